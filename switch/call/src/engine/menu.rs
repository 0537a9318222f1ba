//! Sessions of menus that pages of merchants say (system 003, spec §5): who dials a code, what he is shown, and when it
//! is over. By which SIP subscribers come stands in `ussi`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use facts::ussd::{self, ActRefused, Dialled, Door, End, Over, Screen};
use facts::{CallId, MerchantId};
use sip::endpoint::{RequestOutId, SessionId};

use super::Engine;
use super::ussi::{Dialog, Phone};
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
}

/// How a subscriber is told what there is to see.
#[derive(Debug)]
pub(super) enum Way {
    /// By INFO and BYE in his dialog.
    Dialog(Dialog),
    /// By MESSAGE to his phone.
    Phone(Phone),
    /// By the shell.
    Shell,
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
    pub(super) sent: BTreeMap<RequestOutId, CallId>,
}

impl Desk {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether a menu is shown in this dialog.
    pub(super) fn has(&self, session: SessionId) -> bool {
        self.dialogs.contains_key(&session)
    }

    /// When a session has something to do.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    pub(super) fn way(&mut self, id: CallId) -> Option<&mut Way> {
        self.open.get_mut(&id).map(|live| &mut live.way)
    }

    /// Tag of the language that is spoken in it.
    pub(super) fn language(&self, id: CallId) -> Option<&'static str> {
        self.open.get(&id).map(|live| live.menu.language().tag())
    }

    /// Keeps the table of deadlines true to a session.
    fn schedule(&mut self, id: CallId) {
        let Some(live) = self.open.get_mut(&id) else { return };
        let next = live.menu.poll_timeout();
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
        let menu = Session::begin(now.mono, code, (id, mobile.to_owned(), door), inputs);
        match &way {
            Way::Dialog(dialog) => {
                self.menus.dialogs.insert(dialog.session, id);
            }
            Way::Phone(phone) => {
                self.menus.phones.insert(phone.user.clone(), id);
            }
            Way::Shell => {}
        }
        self.menus.of.enter(merchant, id);
        if own {
            self.menus.mobiles.insert(mobile.to_owned(), id);
        }
        let live = Live { menu, merchant, mobile: mobile.to_owned(), way, due: None };
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
        while let Some((_, id)) = self.menus.due.first().filter(|(at, _)| *at <= now).copied() {
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
        }
        true
    }

    /// A screen that something may be typed into.
    fn show(&mut self, session: CallId, text: String) {
        match self.menus.way(session) {
            Some(Way::Dialog(_)) => self.show_in_dialog(session, text),
            Some(Way::Phone(_)) => self.write_to_phone(session, &text),
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
            Some(Way::Shell) => {
                if let Some(text) = text {
                    self.world.emit(Effect::Show { session, text, more: false });
                }
            }
            None => {}
        }
    }
}
