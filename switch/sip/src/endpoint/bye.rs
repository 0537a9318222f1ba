//! The end of a confirmed session, from either side (RFC 3261 §15).

use std::time::Instant;

use bytes::Bytes;

use super::auth::Auth;
use super::receive::Incoming;
use super::table::{Cancelling, Outgoing, Phase, ServerUser, User};
use super::{EndCause, Endpoint, Event, SessionId};
use crate::dialog::Dialog;
use crate::wire::{Method, Reason};

/// What a BYE of ours says.
#[derive(Clone, Debug, Default)]
pub(super) struct Farewell {
    pub(super) reason: Option<Reason>,
    /// Content type and body.
    pub(super) body: Option<(String, Bytes)>,
}

impl From<Option<Reason>> for Farewell {
    fn from(reason: Option<Reason>) -> Farewell {
        Farewell { reason, body: None }
    }
}

impl Endpoint {
    /// Sends a BYE through the route set of the dialog.
    pub(super) fn send_bye(
        &mut self,
        now: Instant,
        dialog: &mut Dialog,
        user: User,
        auth: Option<&Auth>,
        farewell: &Farewell,
    ) {
        let cseq = dialog.next_cseq();
        let mut draft = dialog.draft(&Method::Bye, cseq);
        if let Some(reason) = &farewell.reason {
            draft.push("Reason", reason.to_string());
        }
        if !self.config.user_agent.is_empty() {
            draft.push("User-Agent", &self.config.user_agent);
        }
        if let Some((content_type, body)) = &farewell.body {
            draft.body(content_type, body.clone());
        }
        let out = Outgoing {
            draft,
            method: Method::Bye,
            flow: self.hop(dialog),
            fallback: self.fallback_hop(dialog),
            user,
            auth: Auth::within_dialog(auth),
            keep_flow: dialog.keep_flow,
        };
        self.start_client(now, out);
    }

    /// The user ends the session, in whatever state.
    pub(super) fn end_session(&mut self, now: Instant, id: SessionId, farewell: Farewell) {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| session.known) else {
            return;
        };
        match &mut session.phase {
            Phase::Calling(calling) if calling.cancel == Cancelling::No => {
                self.cancel_calling(now, id, farewell.reason);
            }
            Phase::Ringing(_) => self.refuse_ringing(now, id, farewell.reason.as_ref()),
            // RFC 3262 §3: a 2xx that waits for a PRACK has not left, so the INVITE is refused instead of
            // being accepted for a BYE. One that waits for the user's journal is the user's to let go first.
            Phase::Up(up) if up.let_go && up.held().is_some() => {
                self.refuse_ringing(now, id, farewell.reason.as_ref());
            }
            // §15: the callee sends no BYE before the ACK of its 2xx, or its time-out.
            Phase::Up(up) if up.unacked.iter().any(|wait| wait.opens) => {
                up.bye.get_or_insert(farewell);
            }
            Phase::Up(_) => self.bye_up(now, id, &farewell),
            Phase::Calling(_) | Phase::Ending(_) | Phase::Over(_) => {}
        }
    }

    /// An INVITE that has had no final answer is refused: the session ends before it began.
    fn refuse_ringing(&mut self, now: Instant, id: SessionId, reason: Option<&Reason>) {
        let headers: Vec<(String, Vec<u8>)> = reason
            .map(|reason| ("Reason".to_owned(), reason.to_string().into_bytes()))
            .into_iter()
            .collect();
        self.send_reject(now, id, 480, &headers);
        self.events.push_back(Event::ByeDone { session: id });
    }

    /// BYE now.
    pub(super) fn bye_up(&mut self, now: Instant, id: SessionId, farewell: &Farewell) {
        // An offer in the 2xx that nobody answered: the ACK is owed all the same.
        self.send_owed_ack(id, Bytes::new());
        self.drop_reinvites(now, id);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Phase::Up(up) = &session.phase else { return };
        let mut dialog = up.dialog.clone();
        let auth = session.auth.clone();
        self.send_bye(now, &mut dialog, User::Bye(id), auth.as_ref(), farewell);
        if let Some(session) = self.sessions.get_mut(&id) {
            session.phase = Phase::Ending(Box::new(dialog));
            self.schedule_session(id);
        }
    }

    /// Our BYE has its answer, or nobody answers: either way the session is over (§15.1.1).
    pub(super) fn bye_settled(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else { return };
        if !matches!(session.phase, Phase::Ending(_)) {
            return;
        }
        self.events.push_back(Event::ByeDone { session: id });
        self.retire(now, id);
    }

    /// The peer's BYE (§15.1.2).
    pub(super) fn bye_received(&mut self, now: Instant, id: SessionId, incoming: &Incoming) {
        let Some(phase) = self.sessions.get(&id).map(|session| &session.phase) else { return };
        match phase {
            Phase::Up(up) if up.held().is_none() => {
                self.answer_within(now, incoming, 200, &[]);
                self.drop_reinvites(now, id);
                let reason = incoming.request.reason().into_iter().next();
                let waiting = match self.sessions.get(&id).map(|session| &session.phase) {
                    Some(Phase::Up(up)) => up.bye.is_some(),
                    _ => false,
                };
                // A wish of ours that waited for the ACK is fulfilled by the peer.
                self.events.push_back(if waiting {
                    Event::ByeDone { session: id }
                } else {
                    Event::Ended { session: id, cause: EndCause::Bye, reason }
                });
                self.retire(now, id);
            }
            // Two BYEs crossed: ours still gets its answer.
            Phase::Ending(_) => self.answer_within(now, incoming, 200, &[]),
            // §15: a caller may end an early dialog by BYE; the INVITE is answered with 487.
            Phase::Ringing(_) | Phase::Up(_) => {
                self.answer_within(now, incoming, 200, &[]);
                let reason = incoming.request.reason().into_iter().next();
                self.send_reject(now, id, 487, &[]);
                self.events.push_back(Event::Cancelled { session: id, code: 487, reason });
            }
            // §15: a callee may not.
            Phase::Calling(_) | Phase::Over(_) => self.refuse(incoming, 481, &[]),
        }
    }

    /// Answers a request within a dialog by a transaction of the endpoint itself.
    pub(super) fn answer_within(
        &mut self,
        now: Instant,
        incoming: &Incoming,
        code: u16,
        headers: &[(&str, String)],
    ) {
        let server = self.start_server(now, incoming, ServerUser::Endpoint);
        self.answer_plain(now, server, code, "", headers);
    }
}
