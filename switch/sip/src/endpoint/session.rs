//! The session table: ids, deadlines, removal, snapshots.

use std::time::Instant;

use super::auth::Auth;
use super::ids::Ids;
use super::table::{
    Calling, Cancelling, Client, ClientKey, ClientMachine, Owner, Phase, Session, Up, User,
};
use super::{Credentials, Endpoint, Event, Flow, SessionId};
use crate::dialog::{Dialog, EarlySnapshot, early_snapshot};
use crate::transaction::ClientInvite;
use crate::wire::{Message, Method};

impl Endpoint {
    /// An id that no session has. It is the random part of our tag, so that a message with the tag
    /// leads to the session.
    pub(super) fn new_session_id(&mut self) -> SessionId {
        let mut id = SessionId(self.ids.token());
        while self.sessions.contains_key(&id) {
            id = SessionId(self.ids.token());
        }
        id
    }

    pub(super) fn session_by_tag(&self, tag: &str) -> Option<SessionId> {
        let id = SessionId(Ids::token_of_tag(tag)?);
        self.sessions.contains_key(&id).then_some(id)
    }

    pub(super) fn session_call_id(&self, id: SessionId) -> Option<&str> {
        self.sessions.get(&id).map(|session| session.call_id.as_str())
    }

    pub(super) fn schedule_session(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let next = session.next_timer().map(|(at, _)| at);
        self.schedule.moved(Owner::Session(id), &mut session.due, next);
    }

    pub(super) fn remove_session(&mut self, id: SessionId) {
        let Some(mut session) = self.sessions.remove(&id) else { return };
        self.schedule.moved(Owner::Session(id), &mut session.due, None);
        if !session.known {
            self.lingering -= 1;
        }
    }

    /// A deadline of a session has come.
    pub(super) fn session_due(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else { return };
        match &session.phase {
            Phase::Calling(calling) => {
                let rang = calling.ring_until.is_some_and(|at| at <= now);
                self.theirs_due(now, id);
                if rang {
                    self.ring_due(now, id);
                }
            }
            Phase::Ringing(ringing) if ringing.until <= now => self.unanswered_due(now, id, 480),
            Phase::Ringing(_) => {
                self.theirs_due(now, id);
                self.repeat_provisional(now, id);
                self.provisional_due(now, id);
            }
            Phase::Up(_) => {
                self.provisional_due(now, id);
                self.unacked_due(now, id);
                self.theirs_due(now, id);
                self.ours_due(now, id);
                self.timer_due(now, id);
            }
            Phase::Over(over) => {
                if over.open && self.config.careful {
                    self.events.push_back(Event::Gone { session: id });
                }
                self.remove_session(id);
            }
            Phase::Ending(_) => {}
        }
        self.schedule_session(id);
    }

    pub(super) fn allow(&self) -> String {
        self.allow.clone()
    }

    pub(super) fn write_snapshot(&self, id: SessionId) -> Option<Vec<u8>> {
        match &self.sessions.get(&id)?.phase {
            Phase::Up(up) => Some(up.dialog.to_snapshot()),
            Phase::Ending(dialog) => Some(dialog.to_snapshot()),
            Phase::Calling(calling) => {
                let client = self.clients.get(&self.sessions.get(&id)?.invite?)?;
                Some(early_snapshot(&client.request, &client.flow, calling.keep_flow))
            }
            Phase::Over(over) if over.open => {
                Some(early_snapshot(&over.request, &over.flow, over.keep_flow))
            }
            Phase::Ringing(_) | Phase::Over(_) => None,
        }
    }

    /// Whether there is anything that a snapshot would tell.
    pub(super) fn has_snapshot(&self, id: SessionId) -> bool {
        self.sessions.get(&id).is_some_and(|session| match &session.phase {
            Phase::Up(_) | Phase::Ending(_) | Phase::Calling(_) => true,
            Phase::Over(over) => over.open,
            Phase::Ringing(_) => false,
        })
    }

    pub(super) fn read_snapshot(
        &mut self,
        bytes: &[u8],
        credentials: impl FnOnce(&Flow) -> Option<Credentials>,
    ) -> Option<SessionId> {
        if let Some(early) = EarlySnapshot::from_bytes(bytes) {
            let auth = credentials(&early.flow).map(Auth::new);
            return self.resume_early(early, auth);
        }
        let dialog = Dialog::from_snapshot(bytes)?;
        let id = SessionId(Ids::token_of_tag(&dialog.local_tag)?);
        if self.sessions.contains_key(&id) {
            return None;
        }
        // Whoever is resumed is about to be ended; for glare it counts as the other side.
        let call_id = dialog.call_id.clone();
        let auth = credentials(&dialog.flow).map(Auth::new);
        let up = Up::new(dialog, false);
        self.sessions.insert(id, Session::new(call_id, Phase::Up(Box::new(up)), auth));
        Some(id)
    }

    /// Takes an INVITE up that went out in another life. It counts as heard by the far end: its
    /// CANCEL has no 1xx to wait for (§9.1 fears only that it might overtake the INVITE).
    fn resume_early(&mut self, early: EarlySnapshot, auth: Option<Auth>) -> Option<SessionId> {
        let request = Message::parse(early.request.clone()).ok()?;
        if request.method() != Some(&Method::Invite) {
            return None;
        }
        let id = SessionId(Ids::token_of_tag(&request.from_tag()?)?);
        let token = self.ids.token_of_branch(&request.raw_via()?.branch()?)?;
        let key = ClientKey { token, cancel: false };
        if self.sessions.contains_key(&id) || self.clients.contains_key(&key) {
            return None;
        }
        let reliable = early.flow.transport.is_reliable();
        let machine = ClientInvite::resumed(&self.config.timers, reliable);
        let calling = Calling {
            early: Vec::new(),
            cancel: Cancelling::No,
            ring_until: None,
            gave_up: false,
            keep_flow: early.keep_flow,
            offered: true,
            reliable: false,
            theirs: None,
        };
        let call_id = request.call_id()?.to_owned();
        let mut session = Session::new(call_id, Phase::Calling(calling), auth);
        session.invite = Some(key);
        self.sessions.insert(id, session);
        self.insert_client(
            key,
            Client {
                machine: ClientMachine::Invite(machine),
                method: Method::Invite,
                request: early.request,
                flow: early.flow,
                fallback: None,
                ack: None,
                user: User::Invite(id),
                auth: None,
                held: false,
                tried: false,
                abandon_at: None,
                cancelled: false,
                due: None,
            },
        );
        Some(id)
    }
}
