//! Menus by messages (RFC 3428): to a phone of ours, which writes back. Also the screens of whoever calls a code from
//! such a phone.

use std::time::{Duration, Instant};

use facts::CallId;
use facts::ussd::{self, Dialled, Door, End};
use sip::endpoint::{Flow, OutOfDialog, RequestId, RequestOutId};
use sip::wire::{Message, Method, NameAddr, Uri};

use super::Engine;
use super::menu::{Sent, Way};
use super::register::{Refused, header};
use super::ussi::{Subscriber, status};

/// What a phone may write: text.
pub(super) const TEXT: &str = "text/plain";
/// What phones say while somebody types (RFC 3994): nothing that anybody waits for.
pub(super) const COMPOSING: &str = "application/im-iscomposing+xml";
/// A phone that is not there at the moment is tried again after so long, while its session waits.
const AGAIN: Duration = Duration::from_secs(2);

/// Last words that wait for their phones at most.
const LATE_MAX: usize = 1_000;

/// Last words for a phone that is not there just now.
#[derive(Debug)]
pub(super) struct Late {
    session: CallId,
    phone: Phone,
    again: Instant,
    until: Instant,
}

impl Late {
    /// When it is tried again.
    pub(super) fn due(&self) -> Instant {
        self.again
    }
}

/// A phone that reads and writes messages.
#[derive(Debug)]
pub(super) struct Phone {
    pub(super) user: String,
    /// By which way its first message, or its call, came: its other phones are not written to.
    pub(super) flow: Flow,
    /// As it was dialled: where answers are written to.
    pub(super) dialled: Dialled,
    /// To which it was written: another code may be dialled in a chat with one.
    chat: Dialled,
    /// Which of its screens is on show, counted from 1.
    screen: u32,
    /// Messages that are not answered, of those that bear what is on show.
    open: usize,
    /// One of them was taken.
    taken: bool,
    /// What could not be sent, for it is not registered just now.
    pub(super) unsent: Option<String>,
}

impl Phone {
    pub(super) fn new(user: String, flow: Flow, dialled: Dialled, chat: Dialled) -> Phone {
        Phone { user, flow, dialled, chat, screen: 0, open: 0, taken: false, unsent: None }
    }

    /// A message that bears this screen was answered. The refusal, once all that bear what is on show are refused.
    fn answered(&mut self, screen: u32, code: u16) -> Option<u16> {
        if screen != self.screen {
            return None;
        }
        self.taken |= code < 300;
        self.open = self.open.saturating_sub(1);
        (self.open == 0 && !self.taken).then_some(code)
    }
}

impl Engine {
    /// A MESSAGE of an extension to a code: the code is dialled, or something is typed into its menu. False: it is to
    /// no code.
    pub(super) fn written_to_menu(
        &mut self,
        id: RequestId,
        request: &Message,
        (user, flow): (&str, &Flow),
    ) -> bool {
        let uri = request.request_uri().and_then(|uri| Uri::parse(uri).ok());
        let Some(dialled) = uri.and_then(|uri| Dialled::parse(&uri.number()?)) else {
            return false;
        };
        let (code, headers) = match self.take_message(request, (user, flow), dialled) {
            Ok(()) => (200, Vec::new()),
            Err(refused) => refused,
        };
        self.respond(id, code, headers);
        true
    }

    fn take_message(
        &mut self,
        request: &Message,
        (user, flow): (&str, &Flow),
        dialled: Dialled,
    ) -> Result<(), Refused> {
        let Some(text) = self.text_of(request, user)? else { return Ok(()) };
        // Whoever writes to another code dials that one: what he says there is not for this page.
        let session = self.menus.phones.get(user).copied();
        let session = session.filter(|session| self.is_written_at(*session, &dialled));
        let again = match session {
            Some(_) => self.dialled_anew(&text),
            None => Dialled::parse(&text),
        };
        if let Some(session) = session.filter(|_| again.is_none()) {
            // Who types while the page is asked is told so by nothing but its answer.
            self.typed(session, &text);
            return Ok(());
        }
        let mobile = self.subscriber(request, Subscriber::Phone(user)).ok_or((403, Vec::new()))?;
        let chat = dialled.clone();
        let dialled = again.unwrap_or(dialled);
        let phone = Phone::new(user.to_owned(), *flow, dialled.clone(), chat);
        let opened = self.open_menu((&dialled, &mobile), (Door::Message, None), Way::Phone(phone));
        let session = opened.map_err(|why| (status(why), Vec::new()))?;
        self.ask_first(session);
        Ok(())
    }

    /// Whether what is written to this address is for this session.
    fn is_written_at(&self, session: CallId, dialled: &Dialled) -> bool {
        let codes = &self.world.snapshot.ussd;
        let code = |dialled: &Dialled| ussd::longest(codes, dialled).map(|code| &code.code);
        self.menus.phone(session).is_some_and(|phone| {
            [&phone.dialled, &phone.chat].iter().any(|own| code(own) == code(dialled))
        })
    }

    /// What is dialled by what somebody writes whose menu is open: only a whole code that there is ends it, for what is
    /// typed may have a star as well (spec §5.2).
    fn dialled_anew(&self, text: &str) -> Option<Dialled> {
        let whole = text.trim_end().ends_with('#');
        let dialled = Dialled::parse(text).filter(|_| whole)?;
        ussd::longest(&self.world.snapshot.ussd, &dialled).map(|_| dialled)
    }

    /// What somebody writes to a menu, if he may; nothing, where he only begins to.
    pub(super) fn text_of(
        &mut self,
        request: &Message,
        user: &str,
    ) -> Result<Option<String>, Refused> {
        let media_type = request.content_type().unwrap_or(TEXT);
        if media_type.eq_ignore_ascii_case(COMPOSING) {
            return Ok(None);
        }
        if !media_type.eq_ignore_ascii_case(TEXT) {
            return Err((415, vec![header("Accept", TEXT)]));
        }
        self.passes(request, user)?;
        Ok(Some(String::from_utf8_lossy(request.body()).into_owned()))
    }

    /// A screen goes to the phone that asked, or to all of its extension where it is not registered. Nobody there: it
    /// is tried again for as long as something may be typed.
    pub(super) fn write_to_phone(&mut self, id: CallId, text: &str) {
        let Some(Way::Phone(phone)) = self.menus.way(id) else { return };
        let requests = phone_requests(phone);
        let sent = self.send_text(&requests, text);
        let Some(Way::Phone(phone)) = self.menus.way(id) else { return };
        phone.unsent = sent.is_empty().then(|| text.to_owned());
        phone.open = sent.len();
        let screen = phone.screen;
        self.menus.sent.extend(sent.into_iter().map(|out| (out, Sent::Text(id, screen))));
        if self.menus.unsent(id) {
            self.menus.again(id, self.world.now.mono + AGAIN);
        }
    }

    /// A phone that was not there is tried again.
    pub(super) fn write_again(&mut self, id: CallId) {
        let Some(Way::Phone(phone)) = self.menus.way(id) else { return };
        if let Some(text) = phone.unsent.take() {
            self.write_to_phone(id, &text);
        }
    }

    /// A session is over: if its last words could not be sent, they are tried for as long as something might have been
    /// typed.
    pub(super) fn write_late(&mut self, session: CallId, phone: Phone, within: Duration) {
        if phone.unsent.is_some() && self.menus.late.len() < LATE_MAX {
            let now = self.world.now.mono;
            self.menus.late.push(Late { session, phone, again: now + AGAIN, until: now + within });
        }
    }

    /// Last words are tried again.
    pub(super) fn late_words_due(&mut self) {
        let now = self.world.now.mono;
        let all = std::mem::take(&mut self.menus.late);
        let (due, left) = all.into_iter().partition(|late| late.again <= now);
        self.menus.late = left;
        for mut late in due {
            let requests = phone_requests(&mut late.phone);
            let text = late.phone.unsent.take().unwrap_or_default();
            let sent = self.send_text(&requests, &text);
            if sent.is_empty() && now < late.until {
                late.phone.unsent = Some(text);
                self.menus.late.push(Late { again: now + AGAIN, ..late });
            } else {
                let (session, screen) = (late.session, late.phone.screen);
                let sent = sent.into_iter().map(|out| (out, Sent::Text(session, screen)));
                self.menus.sent.extend(sent);
            }
        }
    }

    /// A message of a session was answered.
    pub(super) fn text_taken(&mut self, id: CallId, screen: u32, code: u16) {
        let Some(Way::Phone(phone)) = self.menus.way(id) else { return };
        if phone.answered(screen, code).is_some() {
            self.menu_left(id, End::Lost);
        }
    }

    /// The same for a phone that calls: false, where it cannot be written to.
    pub(super) fn write_to_caller(&mut self, call: CallId, text: &str) -> bool {
        let Some(phone) = self.menus.callers.get_mut(&call).and_then(|to| to.phone.as_mut()) else {
            return false;
        };
        let requests = phone_requests(phone);
        let sent = self.send_text(&requests, text);
        let Some(phone) = self.menus.callers.get_mut(&call).and_then(|to| to.phone.as_mut()) else {
            return false;
        };
        phone.open = sent.len();
        let (screen, any) = (phone.screen, !sent.is_empty());
        self.menus.sent.extend(sent.into_iter().map(|out| (out, Sent::ToCaller(call, screen))));
        any
    }

    /// A message to a phone that calls was answered.
    pub(super) fn caller_read(&mut self, call: CallId, screen: u32, code: u16) {
        let Some(caller) = self.menus.callers.get_mut(&call) else { return };
        let Some(phone) = caller.phone.as_mut() else { return };
        let refused = phone.answered(screen, code).is_some();
        let done = phone.taken && screen == phone.screen;
        if refused {
            self.read_out(call);
        } else if done {
            self.caller_has_read(call);
        }
    }

    /// Sends a text to the phones of an extension: to the one with this flow, or to all where there is none.
    fn send_text(&mut self, to: &Requests, text: &str) -> Vec<RequestOutId> {
        let w = &mut self.world;
        let aor = |user: &str| Uri::parse(&w.aor(user)).ok().map(NameAddr::new);
        let (Some(from), Some(to_aor)) = (aor(&to.dialled), aor(&to.user)) else {
            return Vec::new();
        };
        let contacts = w.registrar.contacts(&to.user);
        let asked = |entry: &&crate::registrar::Entry| entry.flow == to.flow;
        let own: Vec<_> = contacts.iter().filter(asked).collect();
        let all = if own.is_empty() { contacts.iter().collect() } else { own };
        let now = w.now.mono;
        let mut sent = Vec::new();
        for entry in all {
            let Ok(uri) = Uri::parse(&entry.contact) else { continue };
            let request = OutOfDialog {
                method: Method::Message,
                uri,
                flow: entry.flow,
                from: from.clone(),
                to: to_aor.clone(),
                headers: Vec::new(),
                body: Some((format!("{TEXT};charset=UTF-8"), text.to_owned().into())),
                credentials: None,
                series: None,
            };
            sent.push(w.endpoint.request_by(now, request, &entry.route()));
        }
        sent
    }
}

/// Where the messages of a phone's next screen go.
struct Requests {
    user: String,
    flow: Flow,
    dialled: String,
}

/// The next screen of a phone begins.
fn phone_requests(phone: &mut Phone) -> Requests {
    phone.screen += 1;
    (phone.open, phone.taken) = (0, false);
    Requests { user: phone.user.clone(), flow: phone.flow, dialled: phone.dialled.to_string() }
}
