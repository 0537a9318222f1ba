//! MESSAGE (RFC 3428): from an extension to the phones of another one of the same merchant, or in a call from
//! one phone to the other. Nothing is stored: whoever has no phone registered cannot be reached.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use facts::settings::Extension;
use sip::endpoint::{self, Flow, OutOfDialog, RequestId, RequestOutId, SessionId};
use sip::wire::{HeaderName, Message, Method, NameAddr, Uri};

use super::Engine;
use super::register::{Header, Refused, header};
use super::texts::sent;
use crate::event::Answer;
use crate::leg::Leg;

/// RFC 3428 §8: longer ones do not fit into a datagram.
pub(super) const BODY_MAX: usize = 1300;
/// Messages of one extension in [`WINDOW`] at most.
const SENT_MAX: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);
/// Extensions that are counted at one time at most.
const COUNTED_MAX: usize = 10_000;
/// Messages under way at most.
const RELAYS_MAX: usize = 10_000;
/// Phones that say nothing are waited for so long. Longer than 32 s would be for nobody (RFC 4320 §4.2), and
/// what is answered has to get there.
const PATIENCE: Duration = Duration::from_secs(24);
/// Seconds after which somebody who sent too many may go on.
const RETRY_AFTER: &str = "10";

/// What phones that say nothing are taken to have said.
const SILENCE: u16 = 408;

/// Headers that go on with a message, besides its type.
const PASSED: [HeaderName; 4] = [
    HeaderName::Date,
    HeaderName::Expires,
    HeaderName::ContentDisposition,
    HeaderName::ContentLanguage,
];

/// Who waits for what becomes of a message.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asker {
    /// A phone, by its request.
    Phone(RequestId),
    /// The shell, by its token.
    Shell(u64),
}

/// A message that is on its way to some phones.
#[derive(Debug)]
struct Relay {
    /// Whom to answer.
    asked: Asker,
    /// Phones that have not answered.
    left: usize,
    /// The best refusal so far.
    best: Option<u16>,
    due: Instant,
}

/// All messages under way, and who sent how many lately.
#[derive(Debug, Default)]
pub(super) struct Relays {
    open: BTreeMap<u64, Relay>,
    sent: BTreeMap<RequestOutId, u64>,
    due: BTreeSet<(Instant, u64)>,
    last: u64,
    rates: BTreeMap<String, (Instant, u32)>,
    /// Since the start: that a phone took, and that none did.
    pub(super) delivered: u64,
    pub(super) undelivered: u64,
}

impl Relays {
    pub(super) fn len(&self) -> usize {
        self.sent.len()
    }

    /// Whether one more may be under way.
    pub(super) fn has_room(&self) -> bool {
        self.sent.len().max(self.open.len()) < RELAYS_MAX
    }

    /// Counts a message, if whoever sends it may.
    fn may_send(&mut self, now: Instant, user: &str) -> bool {
        let over = |since: &Instant| now.saturating_duration_since(*since) >= WINDOW;
        if self.rates.len() >= COUNTED_MAX {
            self.rates.retain(|_, (since, _)| !over(since));
        }
        if !self.has_room() || self.rates.len() >= COUNTED_MAX && !self.rates.contains_key(user) {
            return false;
        }
        let (since, count) = self.rates.entry(user.to_owned()).or_insert((now, 0));
        if over(since) {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count <= SENT_MAX
    }

    /// By which number it is told later what became of it.
    pub(super) fn enter(&mut self, now: Instant, asked: Asker, sent: Vec<RequestOutId>) -> u64 {
        self.last += 1;
        let due = now + PATIENCE;
        self.open.insert(self.last, Relay { asked, left: sent.len(), best: None, due });
        self.due.insert((due, self.last));
        self.sent.extend(sent.into_iter().map(|id| (id, self.last)));
        self.last
    }

    /// What became of a message that went to no phone; nobody, where that comes too late.
    pub(super) fn done(&mut self, no: u64) -> Option<Asker> {
        let relay = self.open.remove(&no)?;
        self.due.remove(&(relay.due, no));
        Some(relay.asked)
    }

    /// A phone has answered: whom to tell what, now that it is known. `None`: the request was no message.
    fn answered(&mut self, id: RequestOutId, code: u16) -> Option<Option<(Asker, u16)>> {
        let no = self.sent.remove(&id)?;
        let Some(relay) = self.open.get_mut(&no) else { return Some(None) };
        relay.left -= 1;
        relay.best = Some(relay.best.map_or(code, |best| better(best, code)));
        if code >= 300 && relay.left > 0 {
            return Some(None);
        }
        let relay = self.open.remove(&no)?;
        self.due.remove(&(relay.due, no));
        let code = relay.best.unwrap_or(code);
        self.count(code);
        Some(Some((relay.asked, code)))
    }

    /// When somebody has waited long enough.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Who has waited long enough, and the best that was said to it.
    fn overdue(&mut self, now: Instant) -> Option<(Asker, u16)> {
        let no = self.due.first().filter(|(at, _)| *at <= now)?.1;
        self.due.pop_first();
        let relay = self.open.remove(&no)?;
        let code = relay.best.unwrap_or(SILENCE);
        self.count(code);
        Some((relay.asked, code))
    }

    fn count(&mut self, code: u16) {
        let counter = if code < 300 { &mut self.delivered } else { &mut self.undelivered };
        *counter += 1;
    }
}

/// RFC 3261 §16.7 step 6: success, then what concerns the person, then what concerns one phone.
fn better(one: u16, other: u16) -> u16 {
    let rank = |code: u16| match code {
        200..=299 => 0,
        600..=699 => 1,
        408 | 503 => 3,
        _ => 2,
    };
    if rank(other) < rank(one) { other } else { one }
}

/// What a phone's answer is to whoever sent the message. A silence is no 408 (RFC 4320 §4.2), and what a
/// phone wants to know of whom is not known here.
fn passed_back(code: u16) -> u16 {
    match code {
        300..=399 | 401 | 407 | 408 | 481 | 503 => 480,
        code => code,
    }
}

impl Engine {
    /// A MESSAGE outside of any dialog.
    pub(super) fn messaged(&mut self, id: RequestId, request: &Message, flow: &Flow) {
        let user = match self.proved("MESSAGE", request, flow) {
            Ok(user) => user,
            Err((code, headers)) => return self.respond(id, code, headers),
        };
        if self.written_to_menu(id, request, (&user, flow))
            || self.written_to_us(id, request, &user)
        {
            return;
        }
        let target = self.addressed(request, &user);
        let sent = target.and_then(|target| self.relay(request, &user, &target));
        match sent {
            Ok(sent) => {
                self.messages.enter(self.world.now.mono, Asker::Phone(id), sent);
            }
            Err((code, headers)) => self.respond(id, code, headers),
        }
    }

    /// A MESSAGE in a call: it goes to the other phone.
    pub(super) fn messaged_within(&mut self, id: RequestId, session: SessionId, request: &Message) {
        if let Some(taken) = self.wrote_within(session, request) {
            let (code, headers) = taken.err().unwrap_or((200, Vec::new()));
            return self.respond(id, code, headers);
        }
        match self.relay_within(session, request) {
            Ok(sent) => {
                self.messages.enter(self.world.now.mono, Asker::Phone(id), vec![sent]);
            }
            Err((code, headers)) => self.respond(id, code, headers),
        }
    }

    /// What becomes of it where it is for the menu that the phone has called; `None`: it is for none.
    fn wrote_within(
        &mut self,
        session: SessionId,
        request: &Message,
    ) -> Option<Result<(), Refused>> {
        let leg = self.world.sessions.get(&session).copied()?;
        self.written_in_call(leg.call, request)
    }

    /// A request of ours was answered. True if it was a message.
    pub(super) fn message_answered(&mut self, id: RequestOutId, code: u16) -> bool {
        match self.messages.answered(id, code) {
            None => false,
            Some(done) => {
                if let Some((asked, code)) = done {
                    self.tell_asker(asked, code);
                }
                true
            }
        }
    }

    /// Phones that have said nothing yet are not waited for any longer.
    pub(super) fn messages_due(&mut self) {
        while let Some((asked, code)) = self.messages.overdue(self.world.now.mono) {
            self.tell_asker(asked, code);
        }
    }

    /// What became of a message.
    fn tell_asker(&mut self, asked: Asker, code: u16) {
        match asked {
            Asker::Phone(id) => self.respond(id, passed_back(code), Vec::new()),
            Asker::Shell(token) => self.answer(token, Answer::Texted(sent(code))),
        }
    }

    /// The extension that a message is for, if whoever sends it may.
    fn addressed(&self, request: &Message, user: &str) -> Result<String, Refused> {
        let snapshot = &self.world.snapshot;
        let uri = request.request_uri().and_then(|uri| Uri::parse(uri).ok());
        let target = uri.and_then(|uri| uri.user_text()).unwrap_or_default();
        let there = snapshot.extensions.get(&target).ok_or((404, Vec::new()))?;
        let own = snapshot.extensions.get(user).ok_or((403, Vec::new()))?;
        match same_merchant(own, there) {
            true => Ok(target),
            false => Err((403, Vec::new())),
        }
    }

    fn relay(
        &mut self,
        request: &Message,
        user: &str,
        target: &str,
    ) -> Result<Vec<RequestOutId>, Refused> {
        let headers = self.passes(request, user)?;
        let body = (type_of(request), request.body_bytes());
        let sent = self.spread((user, target), &headers, &body).ok_or((500, Vec::new()))?;
        if sent.is_empty() { Err((480, Vec::new())) } else { Ok(sent) }
    }

    /// Sends a message to every phone of an extension; `None` where one of the names is no name.
    pub(super) fn spread(
        &mut self,
        (user, target): (&str, &str),
        headers: &[Header],
        body: &(String, Bytes),
    ) -> Option<Vec<RequestOutId>> {
        let w = &mut self.world;
        let aor = |user: &str| Uri::parse(&w.aor(user)).ok().map(NameAddr::new);
        let (from, to) = (aor(user)?, aor(target)?);
        let contacts = w.registrar.contacts(target);
        let limit = w.snapshot.extensions.get(target).map_or(1, |there| there.max_contacts.max(1));
        let now = w.now.mono;
        let ways = contacts.iter().take(limit as usize).filter_map(|entry| {
            let uri = Uri::parse(&entry.contact).ok()?;
            Some((uri, entry.flow, entry.route()))
        });
        let sent = ways
            .map(|(uri, flow, route)| {
                let request = OutOfDialog {
                    method: Method::Message,
                    uri,
                    flow,
                    from: from.clone(),
                    to: to.clone(),
                    headers: headers.to_vec(),
                    body: Some(body.clone()),
                    credentials: None,
                    series: None,
                };
                w.endpoint.request_by(now, request, &route)
            })
            .collect();
        Some(sent)
    }

    /// In a call between two phones of one merchant: each is whom the dialog says, as with everything else
    /// in it.
    fn relay_within(
        &mut self,
        session: SessionId,
        request: &Message,
    ) -> Result<RequestOutId, Refused> {
        let none = || (405, vec![header("Allow", super::register::ALLOW)]);
        let leg = *self.world.sessions.get(&session).ok_or_else(none)?;
        let call = self.calls.get(&leg.call).ok_or_else(none)?;
        let sender = call.leg(leg.no).and_then(Leg::phone).ok_or_else(none)?;
        let other = call.beside(leg.no).filter(|other| other.is_up());
        let (receiver, to) =
            other.and_then(|other| Some((other.phone()?, other.session()?))).ok_or_else(none)?;
        let extensions = &self.world.snapshot.extensions;
        let (own, there) =
            extensions.get(&sender).zip(extensions.get(&receiver)).ok_or_else(none)?;
        if !same_merchant(own, there) {
            return Err((403, Vec::new()));
        }
        let headers = self.passes(request, &sender)?;
        let content_type = type_of(request);
        let now = self.world.now.mono;
        let body = (content_type.as_str(), request.body_bytes());
        self.world.endpoint.message(now, to, &headers, body).ok_or((480, Vec::new()))
    }

    /// The headers that go on with a message, if it may go on at all.
    pub(super) fn passes(&mut self, request: &Message, user: &str) -> Result<Vec<Header>, Refused> {
        let hops = request.max_forwards().ok().flatten();
        if hops == Some(0) {
            return Err((483, Vec::new()));
        }
        if request.body().len() > BODY_MAX {
            return Err((413, Vec::new()));
        }
        let busy = self.drain.is_some() || !self.messages.may_send(self.world.now.mono, user);
        if busy {
            return Err((503, vec![header("Retry-After", RETRY_AFTER)]));
        }
        let passed = PASSED.iter().filter_map(|name| {
            let value = request.header(*name)?;
            Some((name.as_str().to_owned(), value.to_vec()))
        });
        let hops = hops.map(|hops| header("Max-Forwards", &(hops - 1).to_string()));
        Ok(passed.chain(hops).collect())
    }

    /// Answers a request that is no INVITE.
    pub(super) fn respond(&mut self, id: RequestId, code: u16, headers: Vec<Header>) {
        let answer = endpoint::Answer { code, headers, ..endpoint::Answer::default() };
        self.world.endpoint.respond(self.world.now.mono, id, answer);
    }
}

/// With its parameters; the usual one where none is said (RFC 3261 §20.15 wants one with any body).
fn type_of(request: &Message) -> String {
    request.header_str(HeaderName::ContentType).unwrap_or("text/plain").to_owned()
}

fn same_merchant(own: &Extension, there: &Extension) -> bool {
    own.merchant == there.merchant
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3428_8_an_extension_sends_so_many_in_a_while_and_not_more() {
        let start = crate::testing::start().mono;
        let mut relays = Relays::default();
        let taken = (0..40).filter(|_| relays.may_send(start, "80001")).count();
        assert_eq!(taken, SENT_MAX as usize);
        assert!(relays.may_send(start, "80002"), "each for itself");
        assert!(!relays.may_send(start + WINDOW - Duration::from_millis(1), "80001"));
        assert!(relays.may_send(start + WINDOW, "80001"));
    }

    #[test]
    fn rfc3261_16_7_the_best_answer_of_several_phones_goes_back() {
        assert_eq!(better(408, 486), 486);
        assert_eq!(better(486, 603), 603);
        assert_eq!(better(603, 200), 200);
        assert_eq!(better(486, 415), 486, "the first of equals");
        assert_eq!([passed_back(408), passed_back(401), passed_back(202)], [480, 480, 202]);
    }
}
