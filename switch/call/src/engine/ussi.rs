//! The SIP by which subscribers come to menus: a dialog of the IMS (3GPP TS 24.390), or messages of a phone of ours.

use bytes::Bytes;
use facts::manners::{self, Whose};
use facts::settings::Trunk;
use facts::ussd::{ActRefused, Dialled, Door, End};
use facts::{CallId, Kind, Number};
use rand_core::RngCore as _;
use sip::endpoint::{Flow, OutOfDialog, RequestId, RequestOutId, SessionId};
use sip::offer::{LocalSession, soundless};
use sip::ussd::{MEDIA_TYPE, PACKAGE, Style, UssdData};
use sip::wire::{HeaderName, Message, Method, NameAddr, Uri};

use super::Engine;
use super::menu::Way;
use super::register::{Header, header};
use crate::route;

/// What a phone may write: text.
pub(super) const TEXT: &str = "text/plain";
/// What phones say while somebody types (RFC 3994): nothing that anybody waits for.
pub(super) const COMPOSING: &str = "application/im-iscomposing+xml";

/// A dialog in which a menu is shown.
#[derive(Debug)]
pub(super) struct Dialog {
    pub(super) session: SessionId,
    /// As the far end writes.
    style: Style,
    /// Our 200 was acknowledged.
    acked: bool,
    /// An INFO of ours is not answered: there is one at a time.
    busy: bool,
    /// What is to be shown as soon as it can.
    waiting: Option<String>,
}

/// A phone that reads and writes messages.
#[derive(Debug)]
pub(super) struct Phone {
    pub(super) user: String,
    /// By which way its first message came: its other phones are not written to.
    flow: Flow,
    /// As it was dialled: where answers are written to.
    dialled: Dialled,
    /// Messages that are not answered, of those that bear what is on show.
    open: usize,
    /// One of them was taken.
    taken: bool,
}

/// Who wants a menu.
#[derive(Clone, Copy)]
pub(super) enum Subscriber<'a> {
    /// Somebody in the network of a carrier.
    Of(&'a Trunk),
    /// An extension of ours.
    Phone(&'a str),
}

/// What an INVITE asks for that wants a menu.
struct Asked {
    dialled: Dialled,
    style: Style,
}

impl Asked {
    /// `None`: it wants none. An error is the status that it is answered with.
    fn read(request: &Message) -> Option<Result<Asked, u16>> {
        let lists = |name: HeaderName, word: &str| {
            let lines = request.lines(name).map(String::from_utf8_lossy);
            let fits = |value: &str| {
                let value = value.split(';').next().unwrap_or_default();
                value.trim().eq_ignore_ascii_case(word)
            };
            lines.into_iter().any(|line| line.split(',').any(fits))
        };
        let bare = request.body().is_empty() && lists(HeaderName::Accept, MEDIA_TYPE);
        let body = menu_of(request);
        if body.is_none() && !bare && !lists(HeaderName::RecvInfo, PACKAGE) {
            return None;
        }
        let empty = body.is_none();
        let data = match body.map(|body| UssdData::parse(&body)) {
            Some(None) => return Some(Err(400)),
            Some(Some(data)) => data,
            None => UssdData::default(),
        };
        let uri = || Uri::parse(request.request_uri()?).ok()?.number();
        let dialled = data.text.as_deref().and_then(Dialled::parse);
        let dialled = dialled.or_else(|| Dialled::parse(&uri()?));
        if empty && dialled.is_none() {
            // Whoever could be shown menus calls somebody.
            return None;
        }
        Some(dialled.map(|dialled| Asked { dialled, style: data.style }).ok_or(404))
    }
}

/// The body, or the part of it, that is a menu's.
fn menu_of(request: &Message) -> Option<Bytes> {
    if request.has_body_of(MEDIA_TYPE) {
        return Some(request.body_bytes());
    }
    let mut parts = request.parts()?.into_iter();
    Some(parts.find(|part| part.media_type == MEDIA_TYPE)?.body)
}

impl Engine {
    /// An INVITE of somebody who is known. True: it wanted a menu, and is answered.
    pub(super) fn invited_to_menu(
        &mut self,
        (session, flow): (SessionId, &Flow),
        request: &Message,
        from: Subscriber<'_>,
    ) -> bool {
        let Some(asked) = Asked::read(request) else { return false };
        let now = self.world.now.mono;
        let code =
            match asked.and_then(|asked| self.open_dialog((session, flow), request, from, asked)) {
                Ok(()) => return true,
                Err(code) => code,
            };
        match code {
            503 => self.refuse(session, Kind::Congestion),
            code => self.world.endpoint.reject(now, session, code, Vec::new()),
        }
        true
    }

    fn open_dialog(
        &mut self,
        (session, flow): (SessionId, &Flow),
        request: &Message,
        from: Subscriber<'_>,
        asked: Asked,
    ) -> Result<(), u16> {
        // RFC 5079 §5: a page is told who asks.
        let mobile = self.subscriber(request, from).ok_or(433u16)?;
        let ip = self
            .world
            .listener_of(flow)
            .map_or(flow.local.ip(), |listener| listener.advertised.ip());
        let offer = request.description();
        let mut local = LocalSession::new(self.world.rng.next_u64());
        let sdp = soundless(&mut local, offer.as_deref(), ip).map_err(|_| 400u16)?;
        let Asked { dialled, style } = asked;
        let dialog = Dialog { session, style, acked: false, busy: false, waiting: None };
        let opened = self.open_menu((&dialled, &mobile), (Door::Ims, None), Way::Dialog(dialog));
        let id = opened.map_err(status)?;
        let now = self.world.now.mono;
        self.world.endpoint.accept(now, session, sdp, vec![header("Recv-Info", PACKAGE)]);
        // It is in no journal: a session that is cut off costs nobody anything more.
        self.world.endpoint.proceed(now, session);
        self.ask_first(id);
        Ok(())
    }

    /// Who asks for a menu, E.164 digits.
    fn subscriber(&self, request: &Message, from: Subscriber<'_>) -> Option<String> {
        let snapshot = &self.world.snapshot;
        let number = match from {
            Subscriber::Of(trunk) => {
                let trusted = !trunk.options.untrusted;
                let asserted = request.name_addr(HeaderName::PAssertedIdentity).ok();
                let caller = asserted.filter(|_| trusted).or_else(|| request.from().ok())?;
                let caller = caller.uri.number()?;
                let caller = manners::rewritten(&trunk.options.rewrite, Whose::CallerIn, caller);
                route::read(trunk, &snapshot.plan, &caller)?
            }
            Subscriber::Phone(user) => {
                Number::public(snapshot.extensions.get(user)?.bound_phone.clone()?)
            }
        };
        matches!(number, Number::E164(_)).then(|| number.digits().to_owned())
    }

    /// Our 200 was acknowledged: what there is to show may be shown.
    pub(super) fn menu_acked(&mut self, session: SessionId) {
        let Some(id) = self.menus.dialogs.get(&session).copied() else { return };
        if let Some(Way::Dialog(dialog)) = self.menus.way(id) {
            dialog.acked = true;
        }
        self.show_waiting(id);
    }

    /// The dialog is over.
    pub(super) fn menu_ended(&mut self, session: SessionId) {
        if let Some(id) = self.menus.dialogs.remove(&session) {
            self.menu_left(id, End::Left);
        }
        self.world.ended(session);
    }

    /// What somebody typed, in an INFO of the package.
    pub(super) fn menu_told(&mut self, session: SessionId, content_type: &str, body: &[u8]) {
        let Some(id) = self.menus.dialogs.get(&session).copied() else { return };
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        let data = UssdData::parse(body).filter(|_| media_type.eq_ignore_ascii_case(MEDIA_TYPE));
        match data {
            // TS 24.390 §4.5.3: the phone could not, or somebody did not want to.
            Some(UssdData { error: Some(_), .. }) => self.menu_left(id, End::Left),
            data => {
                let text = data.and_then(|data| data.text).unwrap_or_default();
                self.typed(id, &text);
            }
        }
    }

    /// An INFO or a MESSAGE of a menu was answered. False: it was none.
    pub(super) fn menu_answered(&mut self, request: RequestOutId, code: u16) -> bool {
        let Some(id) = self.menus.sent.remove(&request) else { return false };
        let taken = code < 300;
        match self.menus.way(id) {
            Some(Way::Dialog(dialog)) => {
                dialog.busy = false;
                if taken {
                    self.show_waiting(id);
                } else {
                    self.menu_left(id, End::Lost);
                }
            }
            Some(Way::Phone(phone)) => {
                phone.taken |= taken;
                phone.open = phone.open.saturating_sub(1);
                if phone.open == 0 && !phone.taken {
                    self.menu_left(id, End::Lost);
                }
            }
            Some(Way::Shell) | None => {}
        }
        true
    }

    /// A screen goes out by INFO, as soon as it may.
    pub(super) fn show_in_dialog(&mut self, id: CallId, text: String) {
        if let Some(Way::Dialog(dialog)) = self.menus.way(id) {
            dialog.waiting = Some(text);
        }
        self.show_waiting(id);
    }

    fn show_waiting(&mut self, id: CallId) {
        let language = self.menus.language(id);
        let Some(Way::Dialog(dialog)) = self.menus.way(id) else { return };
        if !dialog.acked || dialog.busy {
            return;
        }
        let Some(text) = dialog.waiting.take() else { return };
        let body = written(text, language, sip::ussd::Kind::Request, dialog.style);
        let (session, now) = (dialog.session, self.world.now.mono);
        dialog.busy = true;
        let sent =
            self.world.endpoint.info_of(now, session, PACKAGE, (MEDIA_TYPE, Bytes::from(body)));
        // Else it is up no more, which is told apart.
        self.menus.sent.extend(sent.map(|request| (request, id)));
    }

    /// The last screen goes out in the BYE (TS 24.390 §4.5.4).
    pub(super) fn close_dialog(&mut self, id: CallId, text: Option<&str>) {
        let language = self.menus.language(id);
        let Some(Way::Dialog(dialog)) = self.menus.way(id) else { return };
        let (session, style, now) = (dialog.session, dialog.style, self.world.now.mono);
        match text {
            Some(text) => {
                let body = written(text.to_owned(), language, sip::ussd::Kind::Last, style);
                self.world.endpoint.bye_with(now, session, (MEDIA_TYPE, Bytes::from(body)));
            }
            None => self.world.endpoint.bye(now, session, None),
        }
    }

    /// A MESSAGE of an extension to a code: the code is dialled, or something is typed into its menu. `None`: it is to
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
    ) -> Result<(), (u16, Vec<Header>)> {
        let media_type = request.content_type().unwrap_or(TEXT);
        if media_type.eq_ignore_ascii_case(COMPOSING) {
            return Ok(());
        }
        if !media_type.eq_ignore_ascii_case(TEXT) {
            return Err((415, vec![header("Accept", TEXT)]));
        }
        self.passes(request, user)?;
        let text = String::from_utf8_lossy(request.body()).into_owned();
        let again = Dialled::parse(&text);
        if again.is_none()
            && let Some(session) = self.menus.phones.get(user).copied()
        {
            // Who types while the page is asked is told so by nothing but its answer.
            self.typed(session, &text);
            return Ok(());
        }
        let mobile = self.subscriber(request, Subscriber::Phone(user)).ok_or((403, Vec::new()))?;
        let dialled = again.unwrap_or(dialled);
        let phone = Phone {
            user: user.to_owned(),
            flow: *flow,
            dialled: dialled.clone(),
            open: 0,
            taken: false,
        };
        let opened = self.open_menu((&dialled, &mobile), (Door::Message, None), Way::Phone(phone));
        let session = opened.map_err(|why| (status(why), Vec::new()))?;
        self.ask_first(session);
        Ok(())
    }

    /// A screen goes to the phone that asked, or to all of its extension where it is not registered.
    pub(super) fn write_to_phone(&mut self, id: CallId, text: &str) {
        let Some(Way::Phone(phone)) = self.menus.way(id) else { return };
        (phone.open, phone.taken) = (0, false);
        let (user, flow, dialled) = (phone.user.clone(), phone.flow, phone.dialled.clone());
        let w = &mut self.world;
        let aor = |user: &str| Uri::parse(&w.aor(user)).ok().map(NameAddr::new);
        let from = aor(&dialled.to_string());
        let (Some(from), Some(to)) = (from, aor(&user)) else { return };
        let contacts = w.registrar.contacts(&user);
        let asked = |entry: &&crate::registrar::Entry| entry.flow == flow;
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
                to: to.clone(),
                headers: Vec::new(),
                body: Some((format!("{TEXT};charset=UTF-8"), text.to_owned().into())),
                credentials: None,
                series: None,
            };
            sent.push(w.endpoint.request_by(now, request, &entry.route()));
        }
        if let Some(Way::Phone(phone)) = self.menus.way(id) {
            phone.open = sent.len();
        }
        self.menus.sent.extend(sent.into_iter().map(|request| (request, id)));
    }
}

fn written(
    text: String,
    language: Option<&'static str>,
    kind: sip::ussd::Kind,
    style: Style,
) -> String {
    let language = language.map(str::to_owned);
    UssdData { language, text: Some(text), error: None, kind: Some(kind), style }.print()
}

/// What whoever dialled is answered.
const fn status(why: ActRefused) -> u16 {
    match why {
        ActRefused::NoCode | ActRefused::NoSession => 404,
        ActRefused::Busy | ActRefused::NotNow => 503,
        ActRefused::Blocked => 403,
    }
}
