//! Short messages by MESSAGE (RFC 3428): those that the shell has for phones of ours, and those that phones write to
//! numbers of the operator's, which the shell keeps.

use bytes::Bytes;
use facts::sms::{Arrived, Sent, Text, line};
use sip::endpoint::RequestId;
use sip::wire::{HeaderName, Message, Uri};

use super::Engine;
use super::menu_text::TEXT;
use super::message::{Asker, BODY_MAX};
use super::register::Refused;
use crate::event::{Answer, Effect};

/// What a message comes from that names nobody.
const NOBODY: &str = "sms";
/// Who writes a name may use these, besides letters and digits (RFC 3261 §25.1, `mark`).
const MARKS: [char; 4] = ['-', '_', '.', '+'];

impl Engine {
    /// The shell has a message for whoever has this number.
    pub(super) fn text(&mut self, token: u64, text: &Text) {
        if self.drain.is_some() || !self.messages.has_room() {
            let why = "the switch has too much to do, or goes down";
            return self.answer(token, Answer::Texted(Sent::Later(why.to_owned())));
        }
        // What does not fit goes by a way that cuts it.
        let target = self.phone_of(&text.to).filter(|_| text.text.len() <= BODY_MAX);
        let sent = target.and_then(|target| {
            let body = (format!("{TEXT};charset=UTF-8"), Bytes::from(text.text.clone()));
            self.spread((&sender(&text.from), &target), &[], &body)
        });
        match sent.filter(|sent| !sent.is_empty()) {
            Some(sent) => {
                self.messages.enter(self.world.now.mono, Asker::Shell(token), sent);
            }
            None => self.answer(token, Answer::Texted(Sent::NotHere)),
        }
    }

    /// The extension that has a number: its own, or one of the public network that leads straight to it. The phone that is
    /// bound to an extension is a network's, and what is for it is not for those who registered here.
    fn phone_of(&self, digits: &str) -> Option<String> {
        let snapshot = &self.world.snapshot;
        let direct = snapshot.inbound.get(digits).map_or(digits, String::as_str);
        let extension = snapshot.extensions.get(direct)?;
        extension.enabled.then(|| direct.to_owned())
    }

    /// A MESSAGE of an extension to a number of the operator's: the shell keeps it, and only then it is taken. False: it is
    /// to no such number.
    pub(super) fn written_to_us(&mut self, id: RequestId, request: &Message, user: &str) -> bool {
        let snapshot = &self.world.snapshot;
        let uri = request.request_uri().and_then(|uri| Uri::parse(uri).ok());
        let dialled = uri.and_then(|uri| uri.number());
        let Some(to) = dialled.and_then(|to| line(&snapshot.plan, &to)) else { return false };
        if !snapshot.texts.contains(&to) {
            return false;
        }
        match self.arrived(request, user, to) {
            Ok(Some(arrived)) => {
                let asked = Asker::Phone(id);
                let message = self.messages.enter(self.world.now.mono, asked, Vec::new());
                self.world.emit(Effect::Texted { message, text: Box::new(arrived) });
            }
            Ok(None) => self.respond(id, 200, Vec::new()),
            Err((code, headers)) => self.respond(id, code, headers),
        }
        true
    }

    /// What somebody wrote; nothing, where he only begins to.
    fn arrived(
        &mut self,
        request: &Message,
        user: &str,
        to: String,
    ) -> Result<Option<Arrived>, Refused> {
        let Some(text) = self.text_of(request, user)? else { return Ok(None) };
        let field = |name| request.header_str(name).unwrap_or_default();
        let (call, cseq) = (field(HeaderName::CallId), field(HeaderName::CSeq));
        // By the number that others reach him by; an answer finds him by either.
        let direct = self.world.snapshot.direct.get(user);
        Ok(Some(Arrived {
            link: String::new(),
            once: format!("{user} {call} {cseq}"),
            from: direct.map_or(user, String::as_str).to_owned(),
            to,
            text,
        }))
    }

    /// The shell has kept what a phone wrote, or could not.
    pub(super) fn texted(&mut self, message: u64, kept: bool) {
        if let Some(Asker::Phone(id)) = self.messages.done(message) {
            // RFC 3428 §7: who takes it for somebody else says 202.
            self.respond(id, if kept { 202 } else { 480 }, Vec::new());
        }
    }
}

/// A name that a URI may bear.
fn sender(from: &str) -> String {
    let named = |c: char| if c.is_ascii_alphanumeric() || MARKS.contains(&c) { c } else { '-' };
    let name: String = from.trim().chars().map(named).collect();
    if name.is_empty() { NOBODY.to_owned() } else { name }
}

/// What the best answer of all phones means for a message.
pub(super) fn sent(code: u16) -> Sent {
    match code {
        ..=299 => Sent::Taken(Vec::new()),
        404 | 410 | 480 => Sent::NotHere,
        // It says nothing, or has trouble of its own.
        408 | 430 | 481 | 500..=599 => Sent::Later(format!("the phone says {code}")),
        _ => Sent::Refused(format!("the phone says {code}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3428_7_what_a_phone_says_leads_on_to_another_way_comes_again_or_ends_it() {
        assert_eq!((sent(200), sent(202)), (Sent::Taken(vec![]), Sent::Taken(vec![])));
        assert_eq!((sent(480), sent(404)), (Sent::NotHere, Sent::NotHere));
        assert!(matches!((sent(408), sent(503)), (Sent::Later(_), Sent::Later(_))));
        assert!(matches!((sent(415), sent(603)), (Sent::Refused(_), Sent::Refused(_))));
        assert_eq!(
            (sender("3000"), sender("Acme & Co"), sender(" ")),
            ("3000".into(), "Acme---Co".into(), "sms".into())
        );
    }
}
