//! REFER in a session, and the NOTIFYs that tell what becomes of it (RFC 3515). What is asked for is the
//! user's business; so is the life of the subscription, which ends with the session at the latest.

use std::time::Instant;

use bytes::Bytes;

use super::auth::Auth;
use super::receive::Incoming;
use super::table::{Outgoing, Phase, ServerUser, User};
use super::{Endpoint, Event, RequestId, SessionId};
use crate::dialog::Dialog;
use crate::wire::{Draft, Method};

/// The only body of a NOTIFY about a REFER (RFC 3515 §2.4.5).
const FRAGMENT: &str = "message/sipfrag;version=2.0";

impl Endpoint {
    /// A REFER: only where the session is up, and for the user to answer.
    pub(super) fn refer_received(&mut self, now: Instant, session: SessionId, incoming: &Incoming) {
        let up = matches!(
            self.sessions.get(&session).map(|row| &row.phase),
            Some(Phase::Up(up)) if up.bye.is_none()
        );
        if !up {
            return self.answer_within(now, incoming, 481, &[]);
        }
        let id = self.start_server(now, incoming, ServerUser::Request);
        let (id, request) = (RequestId(id.0), incoming.request.clone());
        self.events.push_back(Event::Refer { id, session, request });
    }

    /// A NOTIFY in the session; nobody waits for its answer. `false`: the session is not up.
    pub(super) fn send_progress(
        &mut self,
        now: Instant,
        session: SessionId,
        (event, state): (&str, &str),
        status_line: &str,
    ) -> bool {
        let Some(up) = self.up(session).filter(|up| up.bye.is_none() && up.held().is_none()) else {
            return false;
        };
        let cseq = up.dialog.next_cseq();
        let dialog = up.dialog.clone();
        let mut draft = dialog.draft(&Method::Notify, cseq);
        draft.push("Contact", &dialog.contact);
        draft.push("Event", event);
        draft.push("Subscription-State", state);
        if !self.config.user_agent.is_empty() {
            draft.push("User-Agent", &self.config.user_agent);
        }
        draft.body(FRAGMENT, Bytes::from(format!("{status_line}\r\n")));
        self.send_unwaited(now, session, (&dialog, Method::Notify), draft);
        true
    }

    /// A REFER in the session; nobody waits for its answer. `false`: the session is not up.
    pub(super) fn send_refer(&mut self, now: Instant, session: SessionId, refer_to: &str) -> bool {
        let Some(up) = self.up(session).filter(|up| up.bye.is_none() && up.held().is_none()) else {
            return false;
        };
        let cseq = up.dialog.next_cseq();
        let dialog = up.dialog.clone();
        let mut draft = dialog.draft(&Method::Refer, cseq);
        draft.push("Contact", &dialog.contact);
        draft.push("Refer-To", refer_to);
        self.send_unwaited(now, session, (&dialog, Method::Refer), draft);
        true
    }

    /// A request in a session whose answer nobody waits for.
    fn send_unwaited(
        &mut self,
        now: Instant,
        session: SessionId,
        (dialog, method): (&Dialog, Method),
        draft: Draft,
    ) {
        let auth = self.sessions.get(&session).and_then(|row| row.auth.clone());
        let out = Outgoing {
            draft,
            method,
            flow: self.hop(dialog),
            fallback: self.fallback_hop(dialog),
            user: User::Stray,
            auth: Auth::within_dialog(auth.as_ref()),
            keep_flow: dialog.keep_flow,
        };
        self.start_client(now, out);
    }

    /// Our Contact in a session that is up.
    pub(super) fn contact_in(&self, session: SessionId) -> Option<Vec<u8>> {
        match &self.sessions.get(&session)?.phase {
            Phase::Up(up) => Some(up.dialog.contact.clone()),
            Phase::Calling(_) | Phase::Ringing(_) | Phase::Ending(_) | Phase::Over(_) => None,
        }
    }
}
