//! The SIP by which subscribers of mobile networks come to menus: a dialog of the IMS (3GPP TS 24.390).

use std::net::IpAddr;

use bytes::Bytes;
use facts::manners::{self, Whose};
use facts::settings::Trunk;
use facts::ussd::{ActRefused, Dialled, Door, End};
use facts::{CallId, Kind, Number};
use rand_core::RngCore as _;
use sip::endpoint::{Flow, SessionId};
use sip::offer::{LocalSession, soundless};
use sip::ussd::{MEDIA_TYPE, PACKAGE, Style, UssdData};
use sip::wire::{HeaderName, Message, Uri};

use super::Engine;
use super::menu::{Sent, Way};
use super::register::header;
use crate::route;

/// A dialog in which a menu is shown.
#[derive(Debug)]
pub(super) struct Dialog {
    pub(super) session: SessionId,
    /// As the far end writes.
    style: Style,
    /// It takes the package (RFC 6086 §4.2.2); old stacks say nothing of packages, and are told nothing of them.
    packaged: bool,
    /// Our 200 was acknowledged.
    acked: bool,
    /// An INFO of ours is not answered: there is one at a time.
    busy: bool,
    /// What is to be shown as soon as it can.
    waiting: Option<String>,
    /// Our description, without sound.
    local: LocalSession,
    /// Our address in it.
    ip: IpAddr,
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
    packaged: bool,
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
        let packaged = lists(HeaderName::RecvInfo, PACKAGE);
        if body.is_none() && !bare && !packaged {
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
        // RFC 6086 §4.2.2: whoever declares no package is sent no INFO of it. Old stacks write otherwise and say nothing.
        if !packaged && data.style == Style::Elements {
            return Some(Err(488));
        }
        let style = data.style;
        Some(dialled.map(|dialled| Asked { dialled, style, packaged }).ok_or(404))
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
        // What an untrusted peer says of who asks is nobody's word, and costs money (RFC 3325 §5).
        if let Subscriber::Of(trunk) = from
            && trunk.options.untrusted
        {
            return Err(403);
        }
        // RFC 5079 §5: a page is told who asks.
        let mobile = self.subscriber(request, from).ok_or(433u16)?;
        let ip = self
            .world
            .listener_of(flow)
            .map_or(flow.local.ip(), |listener| listener.advertised.ip());
        let offer = request.description();
        let mut local = LocalSession::new(self.world.rng.next_u64());
        let sdp = soundless(&mut local, offer.as_deref(), ip).map_err(|_| 400u16)?;
        let Asked { dialled, style, packaged } = asked;
        let (acked, busy, waiting) = (false, false, None);
        let dialog = Dialog { session, style, packaged, acked, busy, waiting, local, ip };
        let opened = self.open_menu((&dialled, &mobile), (Door::Ims, None), Way::Dialog(dialog));
        let id = opened.map_err(status)?;
        let now = self.world.now.mono;
        let takes = match packaged {
            true => header("Recv-Info", PACKAGE),
            // RFC 3261 §20.1: what is not in it is not taken; a re-INVITE may bear a description.
            false => header("Accept", "application/sdp, application/vnd.3gpp.ussd+xml"),
        };
        self.world.endpoint.accept(now, session, sdp, vec![takes]);
        // It is in no journal: a session that is cut off costs nobody anything more.
        self.world.endpoint.proceed(now, session);
        self.ask_first(id);
        Ok(())
    }

    /// Who asks for a menu, E.164 digits.
    pub(super) fn subscriber(&self, request: &Message, from: Subscriber<'_>) -> Option<String> {
        let snapshot = &self.world.snapshot;
        let number = match from {
            Subscriber::Of(trunk) => {
                let asserted = request.name_addr(HeaderName::PAssertedIdentity).ok();
                let caller = asserted.or_else(|| request.from().ok())?;
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

    /// The far end offers anew, wants our offer again, or says that it is still there (RFC 4028): nothing changes.
    pub(super) fn menu_reinvited(&mut self, session: SessionId, offer: Option<&[u8]>) {
        let now = self.world.now.mono;
        match self.silence_of(session, offer) {
            Some(sdp) => self.world.endpoint.accept_reinvite(now, session, sdp),
            None => self.world.endpoint.reject_reinvite(now, session, 488),
        }
    }

    /// It is ours to say that the session goes on (RFC 4028 §7.4).
    pub(super) fn menu_refresh(&mut self, session: SessionId) {
        if let Some(sdp) = self.silence_of(session, None) {
            self.world.endpoint.reinvite(self.world.now.mono, session, sdp);
        }
    }

    /// Our description in a dialog, which has no sound.
    fn silence_of(&mut self, session: SessionId, offer: Option<&[u8]>) -> Option<Bytes> {
        let id = *self.menus.dialogs.get(&session)?;
        let Some(Way::Dialog(dialog)) = self.menus.way(id) else { return None };
        soundless(&mut dialog.local, offer, dialog.ip).ok()
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

    /// The same in an INFO of no package, as old stacks send it. False: it is none.
    pub(super) fn menu_told_plainly(
        &mut self,
        session: SessionId,
        content_type: &str,
        body: &[u8],
    ) -> bool {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        let is_menu = self.menus.has(session) && media_type.eq_ignore_ascii_case(MEDIA_TYPE);
        if is_menu {
            self.menu_told(session, content_type, body);
        }
        is_menu
    }

    /// An INFO of ours in a dialog was answered.
    pub(super) fn info_taken(&mut self, id: CallId, code: u16) {
        let Some(Way::Dialog(dialog)) = self.menus.way(id) else { return };
        dialog.busy = false;
        // What is on show by now is another screen: that the one before it did not arrive is past.
        if code < 300 || dialog.waiting.is_some() {
            self.show_waiting(id);
        } else {
            self.menu_left(id, End::Lost);
        }
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
        let body = (MEDIA_TYPE, Bytes::from(body));
        let sent = match dialog.packaged {
            true => self.world.endpoint.info_of(now, session, PACKAGE, body),
            false => self.world.endpoint.info(now, session, body),
        };
        // Else it is up no more, which is told apart.
        self.menus.sent.extend(sent.map(|request| (request, Sent::Info(id))));
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
pub(super) const fn status(why: ActRefused) -> u16 {
    match why {
        ActRefused::NoCode | ActRefused::NoSession => 404,
        ActRefused::Busy | ActRefused::NotNow => 503,
        ActRefused::Blocked => 403,
    }
}
