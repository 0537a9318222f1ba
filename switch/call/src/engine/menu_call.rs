//! Telephones that call a code (`*6655*123#`, an INVITE with sound): a call of ours that [`flow::menu`](crate::flow)
//! leads on one side, the one machine of menus on the other. What there is to see goes by MESSAGE to a phone of ours that
//! takes it, and is read out to everybody else; what is typed comes by keys, or by MESSAGE.

use facts::ussd::{ActRefused, Dialled, Door, End};
use facts::{CallId, Kind};
use sip::endpoint::Flow;
use sip::wire::{HeaderName, Message, Method};

use super::Engine;
use super::menu::Way;
use super::menu_text::Phone;
use super::register::Refused;
use crate::event::{Input, MenuNews, MenuWish, ours};
use crate::serve::Service;

/// Whoever calls a code.
#[derive(Debug)]
pub(super) struct Caller {
    dialled: Dialled,
    mobile: String,
    /// His session, while it goes on.
    pub(super) session: Option<CallId>,
    /// Where messages to him go; `None`: what there is to see is read out.
    pub(super) phone: Option<Phone>,
    /// What was written to him last, and whether something may be typed.
    written: Option<(String, bool)>,
}

impl Engine {
    /// A call came for a code.
    pub(super) fn menu_called(
        &mut self,
        id: CallId,
        service: Option<&Service>,
        (request, flow): (&Message, &Flow),
    ) {
        let Some(Service::Menu { user, dialled, mobile }) = service else { return };
        let takes = request.lists(HeaderName::Allow, Method::Message.as_str());
        let there = |user: &&String| {
            let contacts = self.world.registrar.contacts(user);
            takes && contacts.iter().any(|entry| entry.flow == *flow)
        };
        let phone = user.as_ref().filter(there);
        let phone =
            phone.map(|user| Phone::new(user.clone(), *flow, dialled.clone(), dialled.clone()));
        let caller = Caller {
            dialled: dialled.clone(),
            mobile: mobile.clone(),
            session: None,
            phone,
            written: None,
        };
        self.menus.callers.insert(id, caller);
    }

    /// What the call of somebody wants of his menu.
    pub(super) fn menu_wished(&mut self, call: CallId, wish: MenuWish) {
        let Some(caller) = self.menus.callers.get(&call) else { return };
        let session = caller.session;
        match (wish, session) {
            (MenuWish::Open, _) => {
                let (dialled, mobile) = (caller.dialled.clone(), caller.mobile.clone());
                let opened =
                    self.open_menu((&dialled, &mobile), (Door::Call, None), Way::Call(call));
                match opened {
                    Ok(session) => {
                        self.tell_caller(call, MenuNews::Open);
                        self.ask_first(session);
                    }
                    Err(why) => {
                        let kind = refusal(why);
                        self.on_call(call, |call, w| call.feed(w, Input::Cut(ours(kind))));
                    }
                }
            }
            (MenuWish::Type(typed), Some(session)) => {
                self.typed(session, &typed.to_string());
            }
            (MenuWish::Hears, Some(session)) => self.menu_heard(session, true),
            (MenuWish::Heard, Some(session)) => self.menu_heard(session, false),
            (MenuWish::Deaf, session) => {
                if let Some(session) = session {
                    self.menu_left(session, End::Lost);
                }
            }
            (MenuWish::Gone, session) => {
                let phone = self.menus.callers.remove(&call).and_then(|caller| caller.phone);
                if let Some(session) = session {
                    self.menus.writes_no_more(phone.as_ref(), session);
                    self.menu_left(session, End::Left);
                }
            }
            (MenuWish::Type(_) | MenuWish::Hears | MenuWish::Heard, None) => {}
        }
    }

    /// A call is over, or as good as: its menu is left.
    pub(super) fn menu_hung_up(&mut self, id: CallId) {
        let over = |call: &crate::call::Call| !call.is_live() || call.plan.flow.ending();
        if self.menus.callers.contains_key(&id) && self.calls.get(&id).is_none_or(over) {
            self.world.menu_wishes.push_back((id, MenuWish::Gone));
        }
    }

    /// Whoever writes in a call to a code writes into his menu, by the rules of messages out of dialogs. `None`: his call
    /// is to no code.
    pub(super) fn written_in_call(
        &mut self,
        call: CallId,
        request: &Message,
    ) -> Option<Result<(), Refused>> {
        let caller = self.menus.callers.get(&call)?;
        // A carrier's caller is counted by his number.
        let user = caller.phone.as_ref().map_or(&caller.mobile, |phone| &phone.user).clone();
        let session = caller.session;
        let text = match self.text_of(request, &user) {
            Ok(Some(text)) => text,
            Ok(None) => return Some(Ok(())),
            Err(refused) => return Some(Err(refused)),
        };
        // RFC 3261 §21.4.18: his menu is over, and his call as good as.
        let Some(session) = session else { return Some(Err((480, Vec::new()))) };
        self.typed(session, &text);
        Some(Ok(()))
    }

    /// A screen: by message, or read out.
    pub(super) fn show_to_caller(&mut self, call: CallId, text: String, more: bool) {
        let Some(caller) = self.menus.callers.get_mut(&call) else { return };
        let written = caller.phone.is_some();
        caller.written = Some((text, more));
        let text = caller.written.as_ref().map(|(text, _)| text.clone()).unwrap_or_default();
        if written && self.write_to_caller(call, &text) {
            self.tell_caller(call, MenuNews::Written);
        } else {
            self.read_out(call);
        }
    }

    /// His phone takes no messages: what was written to him is read out, and all that follows.
    pub(super) fn read_out(&mut self, call: CallId) {
        let Some(caller) = self.menus.callers.get_mut(&call) else { return };
        let session = caller.session;
        let phone = caller.phone.take();
        let written = caller.written.take();
        if let Some(session) = session {
            self.menus.writes_no_more(phone.as_ref(), session);
            self.menu_is_heard(session);
        }
        let Some((text, more)) = written else { return };
        self.on_call(call, |call, w| {
            call.screen = Some(text);
            call.feed(w, Input::Menu(MenuNews::Say { last: !more }));
        });
    }

    /// What was written to him has arrived: it was the last word, or he may type.
    pub(super) fn caller_has_read(&mut self, call: CallId) {
        let written = self.menus.callers.get(&call).and_then(|caller| caller.written.as_ref());
        if written.is_some_and(|(_, more)| !more) {
            self.let_caller_go(call);
        }
    }

    /// His session is over, and there is nothing to say of it.
    pub(super) fn let_caller_go(&mut self, call: CallId) {
        self.tell_caller(call, MenuNews::Over);
    }

    fn tell_caller(&mut self, call: CallId, news: MenuNews) {
        self.on_call(call, |call, w| call.feed(w, Input::Menu(news)));
    }
}

/// Why whoever calls a code is refused.
const fn refusal(why: ActRefused) -> Kind {
    match why {
        ActRefused::NoCode | ActRefused::NoSession => Kind::Unallocated,
        ActRefused::Busy | ActRefused::NotNow => Kind::Congestion,
        ActRefused::Blocked => Kind::Forbidden,
    }
}
