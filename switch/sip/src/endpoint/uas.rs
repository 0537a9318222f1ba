//! Incoming sessions: INVITE, its answers, CANCEL and ACK (RFC 3261 §9.2, §13.3).

use std::time::Instant;

use bytes::Bytes;

use super::receive::Incoming;
use super::request::{Extra, push_extra};
use super::route::is_behind_nat;
use super::table::{Phase, Ringing, ServerId, ServerUser, Session, Unacked, Up, User};
use super::{EndCause, Endpoint, Event, SessionId};
use crate::dialog::Dialog;
use crate::wire::{Draft, HeaderName, Message, Method, Uri};

impl Endpoint {
    /// A new INVITE that passed all checks.
    pub(super) fn new_invite(&mut self, now: Instant, incoming: &Incoming) {
        let id = self.new_session_id();
        let request = &incoming.request;
        let user = request
            .request_uri()
            .and_then(|uri| Uri::parse(uri).ok())
            .filter(Uri::is_sip)
            .and_then(|uri| uri.user)
            .unwrap_or_default();
        let contact = self.contact_raw(&incoming.flow, &user);
        let keep_flow = is_behind_nat(&incoming.flow, &incoming.via);
        let tag = self.ids.tag(id.0);
        let dialog = Dialog::opened_by_request(request, &tag, contact, incoming.flow, keep_flow);
        let Ok(dialog) = dialog else {
            // §8.1.1.8: an INVITE bears a Contact.
            return self.refuse(incoming, 400, &[]);
        };
        let server = self.start_server(now, incoming, ServerUser::Invite(id));
        let timers = &self.config.timers;
        let until = now + timers.timer_c + timers.timer_b;
        let call_id = dialog.call_id.clone();
        let ringing = Ringing { server, dialog, repeat_at: None, until };
        let session = Session::new(call_id, Phase::Ringing(Box::new(ringing)), None);
        self.sessions.insert(id, session);
        self.schedule_session(id);
        self.events.push_back(Event::Invite {
            session: id,
            request: request.clone(),
            flow: incoming.flow,
        });
    }

    fn ringing(&self, id: SessionId) -> Option<(&Ringing, ServerId)> {
        match &self.sessions.get(&id)?.phase {
            Phase::Ringing(ringing) => Some((ringing, ringing.server)),
            Phase::Calling(_) | Phase::Up(_) | Phase::Ending(_) | Phase::Over(_) => None,
        }
    }

    /// The peer's INVITE while it has no final answer: also while our 2xx waits for the user.
    pub(super) fn unanswered(&self, id: SessionId) -> Option<ServerId> {
        match &self.sessions.get(&id)?.phase {
            Phase::Ringing(ringing) => Some(ringing.server),
            Phase::Up(up) => up.held(),
            Phase::Calling(_) | Phase::Ending(_) | Phase::Over(_) => None,
        }
    }

    /// An answer to the INVITE with what makes a dialog (§12.1.1): Record-Route, our Contact.
    fn dialog_answer(&self, id: SessionId, code: u16) -> Option<(ServerId, Draft)> {
        let (ringing, server) = self.ringing(id)?;
        let mut draft = self.answer_draft(server, code, &ringing.dialog.local_tag)?;
        if let Some(request) = self.servers.get(&server).and_then(|row| row.request()) {
            for value in request.lines(HeaderName::RecordRoute) {
                draft.push("Record-Route", value);
            }
        }
        draft.push("Contact", &ringing.dialog.contact);
        draft.push("Allow", &self.allow);
        Some((server, draft))
    }

    pub(super) fn send_provisional(
        &mut self,
        now: Instant,
        id: SessionId,
        code: u16,
        sdp: Option<Bytes>,
    ) {
        let Some((server, mut draft)) = self.dialog_answer(id, code) else { return };
        if let Some(sdp) = sdp {
            draft.body("application/sdp", sdp);
        }
        let bytes = draft.to_bytes();
        self.answer(now, server, code, &bytes);
        let repeat_at = now + self.config.timers.provisional_repeat;
        if let Some(session) = self.sessions.get_mut(&id)
            && let Phase::Ringing(ringing) = &mut session.phase
        {
            ringing.repeat_at = Some(repeat_at);
            self.schedule_session(id);
        }
    }

    pub(super) fn send_accept(
        &mut self,
        now: Instant,
        id: SessionId,
        sdp: Bytes,
        headers: &[(String, Vec<u8>)],
    ) {
        let Some((server, mut draft)) = self.dialog_answer(id, 200) else { return };
        push_extra(&mut draft, headers, Extra::Session);
        if !sdp.is_empty() {
            draft.body("application/sdp", sdp);
        }
        let bytes = draft.to_bytes();
        let Some(flow) = self.servers.get(&server).map(|row| row.flow) else { return };
        // §9.2: until the user lets it go the INVITE has no answer, and a CANCEL still ends it.
        let held = self.config.careful.then_some(server);
        if held.is_none() && !self.answer(now, server, 200, &bytes) {
            return;
        }
        let wait = Unacked { held, ..self.unacked(now, 0, bytes, flow, true) };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Phase::Ringing(ringing) = &session.phase else { return };
        let mut up = Up::new(ringing.dialog.clone(), false);
        let cseq = up.dialog.remote_cseq.unwrap_or_default();
        up.unacked.push(Unacked { cseq, ..wait });
        session.phase = Phase::Up(Box::new(up));
        self.schedule_session(id);
    }

    /// §13.3.1.4: a 2xx that waited is resent from when it leaves, not from when it was made.
    pub(super) fn let_accept_go(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Phase::Up(up) = &mut session.phase else { return };
        let Some(at) = up.unacked.iter().position(|wait| wait.held.is_some()) else { return };
        let made = up.unacked.remove(at);
        let Some(server) = made.held else { return };
        let bytes = made.bytes.clone();
        let wait = self.unacked(now, made.cseq, made.bytes, made.flow, made.opens);
        if let Some(session) = self.sessions.get_mut(&id)
            && let Phase::Up(up) = &mut session.phase
        {
            up.unacked.push(wait);
        }
        self.answer(now, server, 200, &bytes);
        self.schedule_session(id);
    }

    /// §13.3.1.4: a 2xx is resent by us, on every transport, from T1 doubling to T2.
    pub(super) fn unacked(
        &self,
        now: Instant,
        cseq: u32,
        bytes: Bytes,
        flow: super::Flow,
        opens: bool,
    ) -> Unacked {
        let timers = &self.config.timers;
        Unacked {
            cseq,
            bytes,
            flow,
            next: now + timers.t1,
            interval: timers.t1,
            until: now + timers.ack_wait,
            opens,
            held: None,
        }
    }

    /// Whoever asks has not shown who it is: the refusal that follows is not resent.
    pub(super) fn answer_once(&mut self, id: SessionId) {
        let server = self.ringing(id).map(|(_, server)| server);
        if let Some(row) = server.and_then(|server| self.servers.get_mut(&server)) {
            row.once = true;
        }
    }

    pub(super) fn send_reject(
        &mut self,
        now: Instant,
        id: SessionId,
        code: u16,
        headers: &[(String, Vec<u8>)],
    ) {
        let Some(server) = self.unanswered(id) else { return };
        let tag = self.ids.tag(id.0);
        if let Some(mut draft) = self.answer_draft(server, code, &tag) {
            push_extra(&mut draft, headers, Extra::Outside);
            let bytes = draft.to_bytes();
            self.answer(now, server, code, &bytes);
        }
        self.remove_session(id);
    }

    /// A CANCEL (§9.2): 200 to it if we know the INVITE, 487 to the INVITE if it has no answer.
    pub(super) fn cancel_received(&mut self, now: Instant, incoming: &Incoming) {
        let invite_key =
            super::server::server_key(&incoming.request, &incoming.via, &Method::Invite);
        let invite = self.server_keys.get(&invite_key).copied();
        let Some(user) = invite.and_then(|id| self.servers.get(&id)).map(|row| row.user) else {
            return self.refuse(incoming, 481, &[]);
        };
        let session = match user {
            ServerUser::Invite(session) | ServerUser::Reinvite(session) => Some(session),
            ServerUser::Request | ServerUser::Endpoint => None,
        };
        // §9.2: the To tag of the answer is that of the INVITE's answer.
        let tag = session.map_or_else(
            || self.stateless_tag(&incoming.key, &incoming.request),
            |id| self.ids.tag(id.0),
        );
        if self.is_full(true) {
            // No room to know a copy by: it draws the same answer by the same way.
            let mut draft = self.reply_draft(&incoming.request, &incoming.via, 200);
            draft.tag_to(&tag);
            let bytes = draft.to_bytes();
            self.transmit(incoming.reply, bytes);
        } else {
            let id = self.start_server(now, incoming, ServerUser::Endpoint);
            self.answer_plain(now, id, 200, &tag, &[]);
        }
        let reason = incoming.request.reason().into_iter().next();
        match user {
            ServerUser::Invite(session) if self.unanswered(session).is_some() => {
                self.send_reject(now, session, 487, &[]);
                self.events.push_back(Event::Cancelled { session, reason });
            }
            ServerUser::Reinvite(session) => self.reinvite_cancelled(now, session),
            ServerUser::Invite(_) | ServerUser::Request | ServerUser::Endpoint => {}
        }
    }

    /// An ACK that belongs to no refused INVITE: the one of a 2xx. It is matched by its CSeq
    /// number (§13.2.2.4: the ACK bears that of its INVITE), so that a late one is never taken for
    /// that of a newer re-INVITE.
    pub(super) fn ack_received(&mut self, now: Instant, incoming: &Incoming) {
        let request = &incoming.request;
        let found = self.dialog_session(request).and_then(|id| {
            let number = request.cseq().ok()?.number;
            let Phase::Up(up) = &mut self.sessions.get_mut(&id)?.phase else { return None };
            let at =
                up.unacked.iter().position(|wait| wait.held.is_none() && wait.cseq == number)?;
            up.unacked.remove(at);
            let bye = if up.unacked.iter().any(|wait| wait.opens) { None } else { up.bye.take() };
            Some((id, bye))
        });
        let Some((id, bye)) = found else {
            self.drops.stray_acks += 1;
            return;
        };
        self.schedule_session(id);
        if let Some(reason) = bye {
            return self.bye_up(now, id, reason.as_ref());
        }
        self.events.push_back(Event::Acked { session: id, sdp: super::uac::sdp_of(request) });
    }

    /// A deadline of our unacknowledged 2xx has come.
    pub(super) fn unacked_due(&mut self, now: Instant, id: SessionId) {
        let t2 = self.config.timers.t2;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Phase::Up(up) = &mut session.phase else { return };
        let mut sends = Vec::new();
        for wait in &mut up.unacked {
            if wait.until <= now {
                return match wait.held {
                    Some(_) => self.unanswered_due(now, id),
                    None => self.never_acked(now, id),
                };
            }
            if wait.next <= now {
                wait.interval = (wait.interval * 2).min(t2);
                wait.next = now + wait.interval;
                if wait.held.is_none() {
                    sends.push((wait.flow, wait.bytes.clone()));
                }
            }
        }
        for (flow, bytes) in sends {
            self.transmit(flow, bytes);
        }
    }

    /// §13.3.1.4, §14.2: no ACK in 64·T1: the session ends with a BYE.
    fn never_acked(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Phase::Up(up) = &mut session.phase else { return };
        up.unacked.clear();
        if let Some(reason) = up.bye.take() {
            return self.bye_up(now, id, reason.as_ref());
        }
        let reason = crate::wire::Reason::q850(102, "ACK timeout");
        self.lose_dialog(now, id, EndCause::AckTimeout, Some(&reason));
    }

    /// The dialog is lost: BYE for whoever still listens, and the last event for the user.
    pub(super) fn lose_dialog(
        &mut self,
        now: Instant,
        id: SessionId,
        cause: EndCause,
        reason: Option<&crate::wire::Reason>,
    ) {
        self.drop_reinvites(now, id);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Phase::Up(up) = &mut session.phase else { return };
        let mut dialog = up.dialog.clone();
        let auth = session.auth.clone();
        self.send_bye(now, &mut dialog, User::Stray, auth.as_ref(), reason);
        self.events.push_back(Event::Ended { session: id, cause, reason: None });
        self.retire(now, id);
    }

    /// A user who never answered an INVITE: the caller is not left ringing for ever.
    pub(super) fn unanswered_due(&mut self, now: Instant, id: SessionId) {
        self.send_reject(now, id, 480, &[]);
        self.events.push_back(Event::Cancelled { session: id, reason: None });
    }

    /// §13.3.1.1: the provisional answer once more, so that no proxy gives up.
    pub(super) fn repeat_provisional(&mut self, now: Instant, id: SessionId) {
        let again = now + self.config.timers.provisional_repeat;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Phase::Ringing(ringing) = &mut session.phase else { return };
        ringing.repeat_at = Some(again);
        let server = ringing.server;
        self.resend_response(server);
    }

    /// The session whose confirmed or early dialog this request belongs to.
    pub(super) fn dialog_session(&self, request: &Message) -> Option<SessionId> {
        let to_tag = request.to_tag()?;
        let id = self.session_by_tag(&to_tag)?;
        let owned = match &self.sessions.get(&id)?.phase {
            Phase::Up(up) => up.dialog.owns(request),
            Phase::Ending(dialog) => dialog.owns(request),
            Phase::Ringing(ringing) => ringing.dialog.owns(request),
            Phase::Calling(calling) => {
                let from_tag = request.from_tag()?;
                request.call_id() == self.session_call_id(id)
                    && to_tag == self.ids.tag(id.0)
                    && calling.early.iter().any(|early| early.tag == from_tag)
            }
            Phase::Over(_) => false,
        };
        owned.then_some(id)
    }
}
