//! Sessions of menus that pages of merchants say (system 003, spec §5): who dials a code, what he is shown, and when it
//! is over. By which SIP subscribers come stands in `ussi`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use facts::ussd::{self, ActRefused, Dialled, Door, End, Over, Screen};
use facts::{CallId, MerchantId};
use sip::endpoint::{RequestOutId, SessionId};

use super::Engine;
use super::menu_call::Caller;
use super::menu_text::{Late, Phone};
use super::ussi::Dialog;
use crate::admission::Occupancy;
use crate::event::{Answer, Effect};
use crate::flow::ussd::{Act, Session};

/// Sessions at most, and those of one merchant: whose page is slow takes no other's places.
const OPEN_MAX: usize = 20_000;
const OF_ONE_MAX: u32 = 5_000;

/// A session, and by which way its subscriber is told.
#[derive(Debug)]
struct Live {
    menu: Session,
    merchant: MerchantId,
    mobile: String,
    way: Way,
    /// Where it stands among the deadlines.
    due: Option<Instant>,
    /// When what could not be sent is sent again.
    again: Option<Instant>,
}

/// How a subscriber is told what there is to see.
#[derive(Debug)]
pub(super) enum Way {
    /// By INFO and BYE in his dialog.
    Dialog(Dialog),
    /// By MESSAGE to his phone.
    Phone(Phone),
    /// In this call of his.
    Call(CallId),
    /// By the shell.
    Shell,
}

/// A request of ours that bears a screen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sent {
    /// An INFO in the dialog of a session.
    Info(CallId),
    /// A MESSAGE of a session, and which of its screens that is.
    Text(CallId, u32),
    /// A MESSAGE to whoever calls by this call, and which of its screens.
    ToCaller(CallId, u32),
}

/// All sessions.
#[derive(Debug, Default)]
pub(super) struct Desk {
    open: BTreeMap<CallId, Live>,
    of: Occupancy<MerchantId, CallId>,
    /// A subscriber has one at a time; tries are not his.
    mobiles: BTreeMap<String, CallId>,
    due: BTreeSet<(Instant, CallId)>,
    /// Which session a dialog is.
    pub(super) dialogs: BTreeMap<SessionId, CallId>,
    /// Which session an extension writes to.
    pub(super) phones: BTreeMap<String, CallId>,
    /// INFO and MESSAGE that are not answered.
    pub(super) sent: BTreeMap<RequestOutId, Sent>,
    /// Who calls codes, by his call.
    pub(super) callers: BTreeMap<CallId, Caller>,
    /// Last words for phones that are not there just now.
    pub(super) late: Vec<Late>,
}

impl Desk {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Entries of all other tables: none when nobody is shown anything.
    pub(super) fn shown(&self) -> usize {
        let told = self.sent.len() + self.late.len();
        self.dialogs.len() + self.phones.len() + self.callers.len() + told
    }

    /// Whether a menu is shown in this dialog.
    pub(super) fn has(&self, session: SessionId) -> bool {
        self.dialogs.contains_key(&session)
    }

    /// When a session has something to do.
    pub(super) fn next(&self) -> Option<Instant> {
        let late = self.late.iter().map(Late::due).min();
        [self.due.first().map(|(at, _)| *at), late].into_iter().flatten().min()
    }

    /// What this phone writes is not for this session any more.
    pub(super) fn writes_no_more(&mut self, phone: Option<&Phone>, session: CallId) {
        let user = phone.map(|phone| &phone.user);
        if let Some(user) = user.filter(|user| self.phones.get(*user) == Some(&session)) {
            self.phones.remove(user);
        }
    }

    /// The phone that writes into this session.
    pub(super) fn phone(&self, id: CallId) -> Option<&Phone> {
        match &self.open.get(&id)?.way {
            Way::Phone(phone) => Some(phone),
            Way::Call(call) => self.callers.get(call)?.phone.as_ref(),
            Way::Dialog(_) | Way::Shell => None,
        }
    }

    pub(super) fn way(&mut self, id: CallId) -> Option<&mut Way> {
        self.open.get_mut(&id).map(|live| &mut live.way)
    }

    /// Whether the phone of a session was not there for what is to be shown.
    pub(super) fn unsent(&self, id: CallId) -> bool {
        let way = self.open.get(&id).map(|live| &live.way);
        matches!(way, Some(Way::Phone(Phone { unsent: Some(_), .. })))
    }

    /// It is tried again then.
    pub(super) fn again(&mut self, id: CallId, at: Instant) {
        if let Some(live) = self.open.get_mut(&id) {
            live.again = Some(at);
        }
        self.schedule(id);
    }

    /// The time has come.
    fn is_again(&mut self, id: CallId, now: Instant) -> bool {
        let due = |live: &mut Live| live.again.take_if(|at| *at <= now).is_some();
        self.open.get_mut(&id).is_some_and(due)
    }

    /// Tag of the language that is spoken in it.
    pub(super) fn language(&self, id: CallId) -> Option<&'static str> {
        self.open.get(&id).map(|live| live.menu.language().tag())
    }

    /// Keeps the table of deadlines true to a session.
    fn schedule(&mut self, id: CallId) {
        let Some(live) = self.open.get_mut(&id) else { return };
        let next = [live.menu.poll_timeout(), live.again].into_iter().flatten().min();
        if let Some(before) = std::mem::replace(&mut live.due, next) {
            self.due.remove(&(before, id));
        }
        self.due.extend(next.map(|at| (at, id)));
    }

    fn remove(&mut self, id: CallId) -> Option<Live> {
        let live = self.open.remove(&id)?;
        self.of.leave(live.merchant, id);
        if let Some(due) = live.due {
            self.due.remove(&(due, id));
        }
        if self.mobiles.get(&live.mobile) == Some(&id) {
            self.mobiles.remove(&live.mobile);
        }
        match &live.way {
            Way::Dialog(dialog) => {
                self.dialogs.remove(&dialog.session);
            }
            Way::Phone(phone) if self.phones.get(&phone.user) == Some(&id) => {
                self.phones.remove(&phone.user);
            }
            Way::Call(call) => {
                if let Some(caller) = self.callers.get_mut(call) {
                    caller.session = None;
                    let user = caller.phone.as_ref().map(|phone| &phone.user);
                    if let Some(user) = user.filter(|user| self.phones.get(*user) == Some(&id)) {
                        self.phones.remove(user);
                    }
                }
            }
            Way::Phone(_) | Way::Shell => {}
        }
        Some(live)
    }
}

impl Engine {
    /// Somebody at a door of the shell's does something.
    pub(super) fn menu(&mut self, token: u64, act: ussd::Act) {
        let done = match act {
            ussd::Act::Open { dialled, mobile, door, only } => {
                let opened = self.open_menu((&dialled, &mobile), (door, only), Way::Shell);
                self.answer(token, Answer::Menu(opened));
                if let Ok(id) = opened {
                    self.ask_first(id);
                }
                return;
            }
            ussd::Act::Type { session, text } => match self.menus.way(session) {
                Some(Way::Shell) => match self.typed(session, &text) {
                    true => Ok(session),
                    false => Err(ActRefused::NotNow),
                },
                _ => Err(ActRefused::NoSession),
            },
            ussd::Act::Leave { session } => self.shell_left(session, End::Left),
            ussd::Act::Lose { session } => self.shell_left(session, End::Lost),
        };
        self.answer(token, Answer::Menu(done));
    }

    /// Whoever is told by the shell has left, or cannot be told anything any more.
    fn shell_left(&mut self, session: CallId, end: End) -> Result<CallId, ActRefused> {
        match self.menus.way(session) {
            Some(Way::Shell) => {
                self.menu_left(session, end);
                Ok(session)
            }
            _ => Err(ActRefused::NoSession),
        }
    }

    /// Opens a session for whoever dialled, in place of the one he may have; its page is asked by
    /// [`Engine::ask_first`].
    pub(super) fn open_menu(
        &mut self,
        (dialled, mobile): (&Dialled, &str),
        (door, only): (Door, Option<MerchantId>),
        way: Way,
    ) -> Result<CallId, ActRefused> {
        let snapshot = &self.world.snapshot;
        let code = ussd::longest(&snapshot.ussd, dialled)
            .filter(|code| only.is_none_or(|only| only == code.merchant))
            .ok_or(ActRefused::NoCode)?
            .clone();
        let merchant = code.merchant;
        if !snapshot.merchants.get(&merchant).is_some_and(|merchant| merchant.enabled) {
            return Err(ActRefused::Blocked);
        }
        let full =
            self.menus.open.len() >= OPEN_MAX || !self.menus.of.room(merchant, Some(OF_ONE_MAX));
        if full || self.drain.is_some() {
            return Err(ActRefused::Busy);
        }
        // A try under somebody's number takes nothing away from him.
        let own = door != Door::Simulator;
        if let Some(before) = self.menus.mobiles.get(mobile).filter(|_| own) {
            self.menu_left(*before, End::Left);
        }
        let now = self.world.now;
        let id = self.ids.next(now.wall);
        let inputs = dialled.beyond(&code.code).unwrap_or_default();
        let mut menu = Session::begin(now.mono, code, (id, mobile.to_owned(), door), inputs);
        if let Way::Call(call) = &way {
            menu.is_heard(self.menus.callers.get(call).is_none_or(|to| to.phone.is_none()));
        }
        match &way {
            Way::Dialog(dialog) => {
                self.menus.dialogs.insert(dialog.session, id);
            }
            Way::Phone(phone) => {
                self.menus.phones.insert(phone.user.clone(), id);
            }
            Way::Call(call) => {
                if let Some(caller) = self.menus.callers.get_mut(call) {
                    caller.session = Some(id);
                    let user = caller.phone.as_ref().map(|phone| phone.user.clone());
                    self.menus.phones.extend(user.map(|user| (user, id)));
                }
            }
            Way::Shell => {}
        }
        self.menus.of.enter(merchant, id);
        if own {
            self.menus.mobiles.insert(mobile.to_owned(), id);
        }
        let live = Live { menu, merchant, mobile: mobile.to_owned(), way, due: None, again: None };
        self.menus.open.insert(id, live);
        Ok(id)
    }

    /// Asks the page of a session that was just opened.
    pub(super) fn ask_first(&mut self, id: CallId) {
        let now = self.world.now.mono;
        self.on_menu(id, |menu| Some(menu.ask(now)));
    }

    /// A subscriber typed something. False: nobody waits for it.
    pub(super) fn typed(&mut self, id: CallId, text: &str) -> bool {
        let now = self.world.now.mono;
        self.on_menu(id, |menu| menu.typed(now, text))
    }

    /// What a page said.
    pub(super) fn screen(&mut self, id: CallId, number: u32, screen: Screen) {
        let now = self.world.now.mono;
        self.on_menu(id, |menu| menu.answered(now, number, screen));
    }

    /// A subscriber has left, or cannot be told anything any more.
    pub(super) fn menu_left(&mut self, id: CallId, end: End) {
        self.on_menu(id, |menu| {
            menu.left(end);
            Some(Act::Leave)
        });
    }

    /// What was waited for did not come.
    pub(super) fn menus_due(&mut self) {
        let now = self.world.now.mono;
        self.late_words_due();
        while let Some((_, id)) = self.menus.due.first().filter(|(at, _)| *at <= now).copied() {
            if self.menus.is_again(id, now) {
                self.write_again(id);
            }
            self.on_menu(id, |menu| menu.due(now));
        }
    }

    /// The switch goes down.
    pub(super) fn cut_menus(&mut self) {
        let ids: Vec<CallId> = self.menus.open.keys().copied().collect();
        for id in ids {
            self.menu_left(id, End::Lost);
        }
    }

    /// Whoever hears a screen hears it from now on, or has heard it.
    pub(super) fn menu_heard(&mut self, id: CallId, begins: bool) {
        let now = self.world.now.mono;
        self.on_menu(id, |menu| {
            menu.heard(now, begins);
            None
        });
    }

    /// What is shown of a session from now on is heard, and not read.
    pub(super) fn menu_is_heard(&mut self, id: CallId) {
        self.on_menu(id, |menu| {
            menu.is_heard(true);
            None
        });
    }

    /// An INFO or a MESSAGE of a menu was answered. False: it was none.
    pub(super) fn menu_answered(&mut self, request: RequestOutId, code: u16) -> bool {
        match self.menus.sent.remove(&request) {
            Some(Sent::Info(id)) => self.info_taken(id, code),
            Some(Sent::Text(id, screen)) => self.text_taken(id, screen, code),
            Some(Sent::ToCaller(call, screen)) => self.caller_read(call, screen, code),
            None => return false,
        }
        true
    }

    /// Tells a session something, and does what it says. False: it says nothing.
    fn on_menu(&mut self, id: CallId, tell: impl FnOnce(&mut Session) -> Option<Act>) -> bool {
        let Some(live) = self.menus.open.get_mut(&id) else { return false };
        let act = tell(&mut live.menu);
        let end = live.menu.end();
        self.menus.schedule(id);
        let Some(act) = act else { return false };
        match act {
            Act::Ask(step) => self.world.emit(Effect::AskPage(Box::new(step))),
            Act::Show(text) => self.show(id, text),
            Act::Close(text) => self.close(id, Some(text)),
            Act::Leave => self.close(id, None),
        }
        if let Some(end) = end
            && let Some(live) = self.menus.remove(id)
        {
            let steps = live.menu.steps();
            self.world.emit(Effect::MenuOver(Over { session: id, end, steps }));
            if let Way::Phone(phone) = live.way {
                self.write_late(id, phone, live.menu.input());
            }
        }
        true
    }

    /// A screen that something may be typed into.
    fn show(&mut self, session: CallId, text: String) {
        match self.menus.way(session) {
            Some(Way::Dialog(_)) => self.show_in_dialog(session, text),
            Some(Way::Phone(_)) => self.write_to_phone(session, &text),
            Some(Way::Call(call)) => {
                let call = *call;
                self.show_to_caller(call, text, true);
            }
            Some(Way::Shell) => self.world.emit(Effect::Show { session, text, more: true }),
            None => {}
        }
    }

    /// The last screen, if there is one, and the end.
    fn close(&mut self, session: CallId, text: Option<String>) {
        match self.menus.way(session) {
            Some(Way::Dialog(_)) => self.close_dialog(session, text.as_deref()),
            Some(Way::Phone(_)) => {
                if let Some(text) = text {
                    self.write_to_phone(session, &text);
                }
            }
            Some(Way::Call(call)) => {
                let call = *call;
                match text {
                    Some(text) => self.show_to_caller(call, text, false),
                    None => self.let_caller_go(call),
                }
            }
            Some(Way::Shell) => {
                if let Some(text) = text {
                    self.world.emit(Effect::Show { session, text, more: false });
                }
            }
            None => {}
        }
    }
}
