//! INVITE within a dialog, both ways, and glare (RFC 3261 §14).

use std::time::Instant;

use bytes::Bytes;

use super::auth::Auth;
use super::client::Reply;
use super::config::glare;
use super::receive::{Incoming, body_fault};
use super::refresh::push_granted;
use super::table::{
    ClientKey, Ours, OursState, Outgoing, Pending, Phase, ServerUser, Unacked, Up, User,
};
use super::uac::sdp_of;
use super::{EndCause, Endpoint, Event, SessionId};
use crate::dialog::Dialog;
use crate::transaction::Class;
use crate::wire::{HeaderName, Message, Method};

impl Endpoint {
    pub(super) fn up(&mut self, id: SessionId) -> Option<&mut Up> {
        match &mut self.sessions.get_mut(&id)?.phase {
            Phase::Up(up) => Some(up),
            Phase::Calling(_) | Phase::Ringing(_) | Phase::Ending(_) | Phase::Over(_) => None,
        }
    }

    /// Our offer. §14.1: not while another INVITE in the dialog is open, on either side.
    pub(super) fn start_reinvite(&mut self, now: Instant, id: SessionId, sdp: Bytes) -> bool {
        if !self.up(id).is_some_and(|up| up.may_offer()) {
            return false;
        }
        self.send_reinvite(now, id, sdp, 0);
        true
    }

    fn send_reinvite(&mut self, now: Instant, id: SessionId, sdp: Bytes, tries: u8) {
        let Some(up) = self.up(id) else { return };
        up.dialog.next_cseq();
        let dialog = up.dialog.clone();
        let key = self.send_offer(now, id, &dialog, Method::Invite, sdp.clone());
        // The wait is longer than timer B, which speaks first while nothing has answered.
        let until = now + self.config.timers.timer_b * 2;
        if let Some(up) = self.up(id) {
            up.ours = Some(Ours { state: OursState::Sent(key, until), sdp, tries, update: false });
        }
        self.schedule_session(id);
    }

    /// A re-INVITE or UPDATE in this dialog, whose number is taken already. Without a description it
    /// offers nothing and only refreshes.
    pub(super) fn send_offer(
        &mut self,
        now: Instant,
        id: SessionId,
        dialog: &Dialog,
        method: Method,
        sdp: Bytes,
    ) -> ClientKey {
        let mut draft = dialog.draft(&method, dialog.local_cseq);
        draft.push("Contact", &dialog.contact);
        draft.push("Allow", &self.allow);
        draft.push("Supported", self.supported(id));
        draft.push("Accept", super::ACCEPTED);
        self.push_asked(&mut draft, id);
        if !sdp.is_empty() {
            draft.body("application/sdp", sdp);
        }
        let user = if method == Method::Invite { User::Reinvite(id) } else { User::Update(id) };
        let auth = self.sessions.get(&id).and_then(|session| session.auth.clone());
        let out = Outgoing {
            draft,
            method,
            flow: self.hop(dialog),
            fallback: self.fallback_hop(dialog),
            user,
            auth: Auth::within_dialog(auth.as_ref()),
            keep_flow: dialog.keep_flow,
        };
        self.start_client(now, out)
    }

    /// An answer to our re-INVITE.
    pub(super) fn reinvite_answered(&mut self, now: Instant, id: SessionId, reply: &Reply<'_>) {
        match Class::of(reply.code) {
            Class::Provisional => {}
            Class::Success => self.reinvite_accepted(now, id, reply),
            Class::Refusal => self.offer_refused(now, id, reply),
        }
    }

    fn reinvite_accepted(&mut self, now: Instant, id: SessionId, reply: &Reply<'_>) {
        let Ok(cseq) = reply.message.cseq() else { return };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        // A copy of a 2xx that is acknowledged already.
        if let Some(ack) = session.acks.iter().find(|ack| ack.cseq == cseq.number) {
            let (flow, bytes) = (ack.flow, ack.bytes.clone());
            return self.transmit(flow, bytes);
        }
        let request = Message::parse(reply.request.clone()).ok();
        let offered = request.as_ref().is_some_and(|request| !request.body().is_empty());
        let sdp = sdp_of(reply.message);
        let dialog = match &mut session.phase {
            Phase::Up(up) => {
                if up.owed_ack == Some(cseq.number) {
                    return;
                }
                // §12.2.1.2: the 2xx moves the remote target.
                up.dialog.refresh_target(reply.message);
                let dialog = up.dialog.clone();
                if up.ours.take_if(|ours| ours.is_sent(reply.key)).is_some() {
                    let owed = !offered && sdp.is_some();
                    up.owed_ack = owed.then_some(cseq.number);
                    self.refreshed_by_us(now, id, reply.message);
                    self.events.push_back(Event::ReinviteAnswered { session: id, sdp });
                    if owed {
                        return;
                    }
                }
                dialog
            }
            Phase::Ending(dialog) => (**dialog).clone(),
            Phase::Calling(_) | Phase::Ringing(_) | Phase::Over(_) => return,
        };
        self.send_ack(id, &dialog, cseq.number, request.as_ref(), None);
        self.schedule_session(id);
    }

    /// §14.1, RFC 3311 §5.3: whatever refuses it, the session stays as it was, unless the dialog is
    /// unknown.
    pub(super) fn offer_refused(&mut self, now: Instant, id: SessionId, reply: &Reply<'_>) {
        let Some(up) = self.up(id) else { return };
        let Some(ours) = up.ours.take_if(|ours| ours.is_sent(reply.key)) else { return };
        let owner = up.owner;
        match reply.code {
            405 | 501 if ours.update && ours.sdp.is_empty() => self.refresh_by_reinvite(id),
            // §14.1: the owner of the Call-ID waits 2.1 to 4 s, the other side 0 to 2 s.
            491 if ours.tries < glare::RETRIES_MAX => {
                let steps = if owner { glare::OWNER_STEPS } else { glare::OTHER_STEPS };
                let wait = glare::STEP * u32::try_from(self.ids.between(&steps)).unwrap_or(400);
                if let Some(up) = self.up(id) {
                    up.ours = Some(Ours {
                        state: OursState::Waiting(now + wait),
                        tries: ours.tries + 1,
                        ..ours
                    });
                }
            }
            // §12.2.1.2: the dialog is gone.
            481 | 408 => return self.lose_dialog(now, id, EndCause::Rejected481, None),
            // A refresh without an offer is tried again by the session timer.
            _ if ours.update && ours.sdp.is_empty() => {}
            code => self.events.push_back(Event::ReinviteFailed { session: id, code }),
        }
        self.schedule_session(id);
    }

    /// Whether the answer to this re-INVITE of ours still means something to the session.
    pub(super) fn waits_for_reinvite(&mut self, id: SessionId, key: ClientKey) -> bool {
        self.up(id).is_some_and(|up| up.ours.as_ref().is_some_and(|ours| ours.is_sent(key)))
    }

    /// §12.2.1.2: no answer at all, or no way there. One that was given up already says nothing new.
    pub(super) fn reinvite_silent(&mut self, now: Instant, id: SessionId, key: ClientKey) {
        if self.waits_for_reinvite(id, key) {
            self.lose_dialog(now, id, EndCause::TransportLost, None);
        }
    }

    /// A deadline of our re-INVITE has come: the retry after glare, or the end of patience.
    pub(super) fn ours_due(&mut self, now: Instant, id: SessionId) {
        let Some(up) = self.up(id) else { return };
        let due = match &up.ours {
            Some(Ours { state: OursState::Waiting(at) | OursState::Sent(_, at), .. }) => *at <= now,
            None => false,
        };
        let theirs = up.theirs.is_some() || !up.unacked.is_empty();
        let Some(ours) = up.ours.take_if(|_| due) else { return };
        match ours.state {
            OursState::Waiting(_) if theirs => {
                // §14.1: not while the peer's own try is open or its ACK is missing.
                let state = OursState::Waiting(now + glare::STEP * 20);
                up.ours = Some(Ours { state, ..ours });
                self.schedule_session(id);
            }
            OursState::Waiting(_) if ours.update => {
                up.dialog.next_cseq();
                let dialog = up.dialog.clone();
                self.send_update(now, id, &dialog, ours.sdp, Some(ours.tries));
            }
            OursState::Waiting(_) => self.send_reinvite(now, id, ours.sdp, ours.tries),
            OursState::Sent(key, _) => {
                if !ours.update {
                    self.send_cancel(now, key, None);
                }
                self.events.push_back(Event::ReinviteFailed { session: id, code: 408 });
                self.schedule_session(id);
            }
        }
    }

    /// The peer's INVITE within the dialog (§14.2).
    pub(super) fn reinvite_received(&mut self, now: Instant, id: SessionId, incoming: &Incoming) {
        if let Some((code, headers)) = body_fault(&incoming.request, &[]) {
            return self.refuse(incoming, code, &headers);
        }
        if let Err(min_se) = self.timers(id).granted(&incoming.request) {
            return self.refuse(incoming, 422, &[("Min-SE", min_se.to_string())]);
        }
        let pending = match self.sessions.get(&id).map(|session| &session.phase) {
            Some(Phase::Up(up)) if up.bye.is_some() => return self.refuse(incoming, 487, &[]),
            // §14.2: a second INVITE before the first is answered.
            Some(Phase::Up(up)) if up.theirs.is_some() || up.held().is_some() => true,
            Some(Phase::Ringing(_)) => true,
            // §14.2: an INVITE of ours is under way.
            Some(Phase::Up(up)) if up.ours.as_ref().is_some_and(Ours::is_pending) => {
                return self.answer_within(now, incoming, 491, &[]);
            }
            Some(Phase::Up(_)) => false,
            Some(Phase::Calling(_)) => return self.answer_within(now, incoming, 491, &[]),
            Some(Phase::Ending(_) | Phase::Over(_)) | None => {
                return self.refuse(incoming, 481, &[]);
            }
        };
        if pending {
            let seconds = self.ids.between(&(0..=10)).to_string();
            return self.answer_within(now, incoming, 500, &[("Retry-After", seconds)]);
        }
        let server = self.start_server(now, incoming, ServerUser::Reinvite(id));
        let until = now + self.config.timers.timer_b;
        if let Some(up) = self.up(id) {
            up.theirs = Some(Pending { server, until, update: false });
        }
        self.schedule_session(id);
        let (sdp, flow) = (sdp_of(&incoming.request), incoming.flow);
        let branch = incoming.request.from_tag().unwrap_or_default().into_owned();
        self.events.push_back(Event::Reinvite { session: id, sdp, flow, branch });
    }

    pub(super) fn send_reinvite_accept(&mut self, now: Instant, id: SessionId, sdp: Bytes) {
        let Some(up) = self.up(id) else { return };
        let Some(Pending { server, .. }) = up.theirs else { return };
        let (tag, contact) = (up.dialog.local_tag.clone(), up.dialog.contact.clone());
        let Some(mut draft) = self.answer_draft(server, 200, &tag) else { return };
        let Some(row) = self.servers.get(&server) else { return };
        let (reply, request) = (row.flow, row.request().cloned());
        for value in request.iter().flat_map(|request| request.lines(HeaderName::RecordRoute)) {
            draft.push("Record-Route", value);
        }
        draft.push("Contact", contact);
        draft.push("Allow", &self.allow);
        draft.push("Supported", self.supported(id));
        let timers = self.timers(id);
        let granted = request.as_ref().and_then(|request| timers.granted(request).ok());
        let granted = granted.flatten();
        if let Some(granted) = granted {
            push_granted(&mut draft, granted);
        }
        if !sdp.is_empty() {
            draft.body("application/sdp", sdp);
        }
        let bytes = draft.to_bytes();
        if !self.answer(now, server, 200, &bytes) {
            return;
        }
        let wait = self.unacked(now, 0, bytes, reply, false);
        let Some(up) = self.up(id) else { return };
        up.theirs = None;
        let Some(request) = &request else { return self.schedule_session(id) };
        let cseq = request.cseq().map(|cseq| cseq.number).unwrap_or_default();
        if up.unacked.len() >= UNACKED_MAX {
            up.unacked.remove(0);
        }
        up.unacked.push(Unacked { cseq, offers: request.body().is_empty(), ..wait });
        // §12.2.2: an INVITE moves the remote target.
        self.refreshed_by_peer(now, id, request, granted);
    }

    /// The session ends: what was open in it is closed (§15.1.2: 487), ours is cancelled.
    pub(super) fn drop_reinvites(&mut self, now: Instant, id: SessionId) {
        self.reject_offer(now, id, 487);
        let Some(up) = self.up(id) else { return };
        if let Some(Ours { state: OursState::Sent(key, _), update: false, .. }) = up.ours.take()
            && let Some(client) = self.clients.get_mut(&key)
        {
            // Nobody waits for it any more; it may not wait for ever.
            client.abandon_at = Some(now + self.config.timers.cancel_wait);
            self.schedule_client(key);
        }
    }
}

/// Most 2xx of re-INVITEs that wait for their ACK at one time in a session.
const UNACKED_MAX: usize = 4;
