//! Incoming sessions: INVITE, its answers, CANCEL and ACK (RFC 3261 §9.2, §13.3).

use std::time::Instant;

use bytes::Bytes;

use super::early::RELIABLE;
use super::receive::Incoming;
use super::refresh::{push_granted, takes_update};
use super::request::{Extra, push_extra};
use super::route::is_behind_nat;
use super::table::{First, Phase, Ringing, ServerId, ServerUser, Session, Unacked, Up, User};
use super::{EndCause, Endpoint, Event, SessionId};
use crate::dialog::Dialog;
use crate::wire::{Draft, HeaderName, Message, Method, Scheme, Uri};

impl Endpoint {
    /// A new INVITE that passed all checks.
    pub(super) fn new_invite(&mut self, now: Instant, incoming: &Incoming) {
        let id = self.new_session_id();
        let request = &incoming.request;
        let asked = request.request_uri().and_then(|uri| Uri::parse(uri).ok());
        let asked = asked.filter(Uri::is_sip).map(|uri| (uri.user.unwrap_or_default(), uri.scheme));
        let (user, scheme) = asked.unwrap_or((String::new(), Scheme::Sip));
        let contact = self.contact_raw(&incoming.flow, &user, &scheme);
        let keep_flow = is_behind_nat(&incoming.flow, &incoming.via);
        let tag = self.ids.tag(id.0);
        let dialog = Dialog::opened_by_request(request, &tag, contact, incoming.flow, keep_flow);
        let Ok(dialog) = dialog else {
            // §8.1.1.8: an INVITE bears a Contact.
            return self.refuse(incoming, 400, &[]);
        };
        // RFC 4028 §9: an interval that is too small is refused before anybody is asked.
        let granted = match self.config.session.granted(request) {
            Ok(granted) => granted,
            Err(min_se) => return self.refuse(incoming, 422, &[("Min-SE", min_se.to_string())]),
        };
        let reliable = self.reliable_answers(request);
        let server = self.start_server(now, incoming, ServerUser::Invite(id));
        let timers = &self.config.timers;
        let until = now + timers.timer_c + timers.timer_b;
        let call_id = dialog.call_id.clone();
        let ringing = Ringing {
            server,
            invite: dialog.remote_cseq.unwrap_or_default(),
            dialog,
            repeat_at: None,
            until,
            code: 100,
            reliable,
            first: if request.body().is_empty() { First::None } else { First::Theirs },
            theirs: None,
            granted,
            updates: takes_update(request),
        };
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
        draft.push("Supported", self.supported(id));
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
        let rseq = match self.ringing(id).and_then(|(ringing, _)| ringing.reliable.as_deref()) {
            Some(sending) => match sending.next_rseq() {
                Some(rseq) => Some(rseq),
                // RFC 3262 §3: whoever acknowledges nothing is told no more.
                None => return,
            },
            None => None,
        };
        let described = sdp.is_some();
        if let Some(sdp) = sdp {
            draft.body("application/sdp", sdp);
        }
        match rseq {
            Some(rseq) => {
                draft.push("Require", RELIABLE);
                draft.push_args("RSeq", format_args!("{rseq}"));
                let bytes = draft.to_bytes();
                self.send_reliably(now, id, (code, bytes), described);
            }
            None => {
                let bytes = draft.to_bytes();
                self.answer(now, server, code, &bytes);
            }
        }
        let repeat_at = now + self.config.timers.provisional_repeat;
        if let Some(session) = self.sessions.get_mut(&id)
            && let Phase::Ringing(ringing) = &mut session.phase
        {
            ringing.repeat_at = Some(repeat_at);
            ringing.code = code;
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
        let Some((ringing, _)) = self.ringing(id) else { return };
        let waits = ringing.reliable.as_ref().is_some_and(|sending| sending.holds_success());
        let late = matches!(ringing.first, First::None | First::Ours);
        if let Some(granted) = ringing.granted {
            push_granted(&mut draft, granted);
        }
        if !sdp.is_empty() {
            draft.body("application/sdp", sdp);
        }
        let bytes = draft.to_bytes();
        let Some(flow) = self.servers.get(&server).map(|row| row.flow) else { return };
        self.reject_offer(now, id, 500);
        // §9.2: until the user lets it go the INVITE has no answer, and a CANCEL still ends it.
        let held = (self.config.careful || waits).then_some(server);
        if held.is_none() && !self.answer(now, server, 200, &bytes) {
            return;
        }
        let wait = Unacked { held, offers: late, ..self.unacked(now, 0, bytes, flow, true) };
        let let_go = !self.config.careful;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        (session.packages, session.bodies) =
            (named(headers, "Recv-Info"), named(headers, "Accept"));
        let Phase::Ringing(ringing) = &mut session.phase else { return };
        let mut up = Up::new(ringing.dialog.clone(), false);
        up.timer = ringing.granted.map(|granted| granted.start(now));
        up.updates = ringing.updates;
        up.reliable = ringing.reliable.take();
        up.let_go = let_go;
        up.waits = waits;
        // The INVITE's number, whatever was asked since.
        up.unacked.push(Unacked { cseq: ringing.invite, ..wait });
        session.phase = Phase::Up(Box::new(up));
        if held.is_none() {
            self.answered_finally(id);
        }
        self.schedule_session(id);
    }

    /// RFC 3262 §3: once the final answer is out, no provisional one is sent again.
    fn answered_finally(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id)
            && let Phase::Up(up) = &mut session.phase
            && let Some(sending) = &mut up.reliable
        {
            sending.finish();
        }
    }

    /// The user lets our 2xx go. It leaves once no provisional answer with a description waits for its
    /// PRACK (RFC 3262 §3).
    pub(super) fn accept_if_free(&mut self, now: Instant, id: SessionId) {
        let free = match self.sessions.get(&id).map(|session| &session.phase) {
            Some(Phase::Up(up)) => {
                up.let_go && !up.reliable.as_ref().is_some_and(|sending| sending.holds_success())
            }
            _ => false,
        };
        if free {
            self.let_accept_go(now, id);
        }
    }

    /// §13.3.1.4: a 2xx that waited is resent from when it leaves, not from when it was made.
    fn let_accept_go(&mut self, now: Instant, id: SessionId) {
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
            up.unacked.push(Unacked { offers: made.offers, ..wait });
            up.timer = up.timer.map(|timer| timer.again(now));
            if up.waits {
                self.events.push_back(Event::Accepted { session: id });
            }
        }
        self.answer(now, server, 200, &bytes);
        self.answered_finally(id);
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
            offers: false,
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
        self.reject_offer(now, id, 487);
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
                self.events.push_back(Event::Cancelled { session, code: 487, reason });
            }
            // §9.2: 487, and the session stays.
            ServerUser::Reinvite(session) => self.reject_offer(now, session, 487),
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
            let acked = up.unacked.remove(at);
            let bye = if up.unacked.iter().any(|wait| wait.opens) { None } else { up.bye.take() };
            Some((id, bye, acked.offers))
        });
        let Some((id, bye, offered)) = found else {
            self.drops.stray_acks += 1;
            return;
        };
        self.schedule_session(id);
        if let Some(farewell) = bye {
            return self.bye_up(now, id, &farewell);
        }
        // §13.2.1: where our 2xx was the answer, a description in the ACK answers nothing. pjsua sends one when
        // its UPDATE and its re-INVITE cross.
        let sdp = super::uac::sdp_of(request).filter(|_| offered);
        self.events.push_back(Event::Acked { session: id, sdp });
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
                    Some(_) => self.unanswered_due(now, id, 480),
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
        if let Some(farewell) = up.bye.take() {
            return self.bye_up(now, id, &farewell);
        }
        let reason = crate::wire::Reason::q850(102, "ACK timeout");
        self.lose_dialog(now, id, EndCause::AckTimeout, Some(reason));
    }

    /// The dialog is lost: BYE for whoever still listens, and the last event for the user.
    pub(super) fn lose_dialog(
        &mut self,
        now: Instant,
        id: SessionId,
        cause: EndCause,
        reason: Option<crate::wire::Reason>,
    ) {
        self.drop_reinvites(now, id);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Phase::Up(up) = &mut session.phase else { return };
        let mut dialog = up.dialog.clone();
        let auth = session.auth.clone();
        self.send_bye(now, &mut dialog, User::Stray, auth.as_ref(), &reason.into());
        self.events.push_back(Event::Ended { session: id, cause, reason: None });
        self.retire(now, id);
    }

    /// A user who never answered an INVITE: the caller is not left ringing for ever.
    pub(super) fn unanswered_due(&mut self, now: Instant, id: SessionId, code: u16) {
        self.send_reject(now, id, code, &[]);
        self.events.push_back(Event::Cancelled { session: id, code, reason: None });
    }

    /// §13.3.1.1: the provisional answer once more, so that no proxy gives up; a reliable one is another
    /// answer with a number of its own.
    pub(super) fn repeat_provisional(&mut self, now: Instant, id: SessionId) {
        let again = now + self.config.timers.provisional_repeat;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Phase::Ringing(ringing) = &mut session.phase else { return };
        if ringing.repeat_at.is_none_or(|at| at > now) {
            return;
        }
        ringing.repeat_at = Some(again);
        let (server, code) = (ringing.server, ringing.code);
        match ringing.reliable {
            Some(_) => self.send_provisional(now, id, code, None),
            None => self.resend_response(server),
        }
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

/// What an answer, or an INVITE of ours, names in this header: packages (RFC 6086 §5.1), types of bodies (RFC 3261 §20.1).
pub(super) fn named(headers: &[(String, Vec<u8>)], header: &str) -> Vec<String> {
    let lines = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(header));
    let text = lines.map(|(_, value)| String::from_utf8_lossy(value));
    text.flat_map(|value| value.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>())
        .filter(|name| !name.is_empty())
        .collect()
}
