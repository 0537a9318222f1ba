//! The session table: ids, deadlines, removal, snapshots.

use std::time::Instant;

use super::ids::Ids;
use super::table::{Owner, Phase, Session, Up};
use super::{Endpoint, SessionId};
use crate::dialog::Dialog;

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
            Phase::Calling(_) => self.ring_due(now, id),
            Phase::Ringing(ringing) if ringing.until <= now => self.unanswered_due(now, id),
            Phase::Ringing(_) => self.repeat_provisional(now, id),
            Phase::Up(_) => {
                self.unacked_due(now, id);
                self.theirs_due(now, id);
                self.ours_due(now, id);
            }
            Phase::Over(_) => self.remove_session(id),
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
            Phase::Calling(_) | Phase::Ringing(_) | Phase::Over(_) => None,
        }
    }

    pub(super) fn read_snapshot(&mut self, bytes: &[u8]) -> Option<SessionId> {
        let dialog = Dialog::from_snapshot(bytes)?;
        let id = SessionId(Ids::token_of_tag(&dialog.local_tag)?);
        if self.sessions.contains_key(&id) {
            return None;
        }
        // Whoever is resumed is about to be ended; for glare it counts as the other side.
        let call_id = dialog.call_id.clone();
        let up = Up::new(dialog, false);
        self.sessions.insert(id, Session::new(call_id, Phase::Up(Box::new(up)), None));
        Some(id)
    }
}
