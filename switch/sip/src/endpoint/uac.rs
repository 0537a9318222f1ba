//! Outgoing sessions: INVITE, its answers, CANCEL, forks, and what crosses (RFC 3261 §9, §13.2).

use std::borrow::Cow;
use std::time::Instant;

use bytes::Bytes;

use super::auth::Auth;
use super::bye::Farewell;
use super::client::{Reply, Silence};
use super::refresh::{push_asked, takes_update};
use super::request::{self, Extra};
use super::table::{
    AckCopy, Calling, Cancelling, Client, ClientKey, Early, OursState, Outgoing, Over, Phase,
    Session, Up, User,
};
use super::uas::named;
use super::{Endpoint, Event, Flow, Invite, SessionId};
use crate::dialog::{Dialog, OPTION};
use crate::transaction::Class;
use crate::wire::{Draft, HeaderName, Message, Method, Reason};

impl Endpoint {
    pub(super) fn start_invite(&mut self, now: Instant, mut invite: Invite) -> SessionId {
        let id = self.new_session_id();
        if self.sessions.len() >= self.config.limits.sessions_max
            || self.clients.len() >= self.config.limits.client_transactions_max
        {
            self.drops.overload += 1;
            self.fail_unstarted(id);
            return id;
        }
        let call_id = self.ids.call_id();
        let offered = !invite.sdp.is_empty();
        let draft = self.invite_draft(id, &call_id, &mut invite);
        let auth = invite.credentials.map(Auth::new);
        let calling = Calling {
            early: Vec::new(),
            cancel: Cancelling::No,
            ring_until: None,
            gave_up: false,
            keep_flow: invite.keep_flow,
            offered,
            reliable: invite.reliable,
            theirs: None,
        };
        let key = self.start_client(
            now,
            Outgoing {
                draft,
                method: Method::Invite,
                flow: invite.flow,
                fallback: None,
                user: User::Invite(id),
                auth: auth.clone(),
                keep_flow: invite.keep_flow,
            },
        );
        let mut session = Session::new(call_id, Phase::Calling(calling), auth);
        // RFC 6086 §5.2: what our INVITE says that we take.
        session.packages = named(&invite.headers, "Recv-Info");
        session.invite = Some(key);
        session.timers = invite.timers;
        self.sessions.insert(id, session);
        id
    }

    fn invite_draft(&self, id: SessionId, call_id: &str, invite: &mut Invite) -> Draft {
        invite.from.set_tag(&self.ids.tag(id.0));
        invite.to.params.remove("tag");
        let head = request::Head {
            method: &Method::Invite,
            uri: &invite.uri,
            routes: &invite.route,
            from: &invite.from,
            to: &invite.to,
            call_id,
            cseq: 1,
        };
        let mut draft = head.draft();
        draft.push("Contact", self.contact(&invite.flow, &invite.contact_user, &invite.uri.scheme));
        draft.push("Allow", &self.allow);
        draft.push("Accept", super::ACCEPTED);
        let timers = invite.timers.unwrap_or(self.config.session);
        let supported = match (invite.reliable, timers.spoken) {
            (true, true) => super::SUPPORTED,
            (true, false) => super::SUPPORTED_UNTIMED,
            (false, true) => OPTION,
            (false, false) => "",
        };
        if !supported.is_empty() {
            draft.push("Supported", supported);
        }
        push_asked(&mut draft, timers.asked(0), timers.min_se(0));
        if !self.config.user_agent.is_empty() {
            draft.push("User-Agent", &self.config.user_agent);
        }
        request::push_extra(&mut draft, &invite.headers, Extra::Session);
        request::edit(&mut draft, &invite.edits);
        if !invite.sdp.is_empty() {
            draft.body("application/sdp", invite.sdp.clone());
        }
        draft
    }

    fn fail_unstarted(&mut self, session: SessionId) {
        self.events.push_back(Event::Failed {
            session,
            code: 503,
            q850: None,
            local: true,
            crossed: false,
            retry_after: None,
            contacts: Vec::new(),
        });
    }

    /// The wish to give up an INVITE without a final answer. §9.1: the CANCEL waits for a 1xx.
    pub(super) fn cancel_calling(&mut self, now: Instant, id: SessionId, reason: Option<Reason>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let (Phase::Calling(calling), Some(key)) = (&mut session.phase, session.invite) else {
            return;
        };
        if calling.cancel != Cancelling::No {
            return;
        }
        calling.ring_until = None;
        let keep_flow = calling.keep_flow;
        if self.clients.get(&key).is_some_and(|client| client.held) {
            let Some(client) = self.remove_client(key) else { return };
            self.report_failure(id, 487, true, None);
            if client.tried {
                return self.linger(now, id, (client.request, client.flow, keep_flow), true);
            }
            // Nobody was asked: there is nothing to take back.
            return self.remove_session(id);
        }
        let ringing = self.clients.get(&key).is_some_and(|client| !client.is_calling());
        if ringing {
            calling.cancel = Cancelling::Sent;
            self.send_cancel(now, key, reason.as_ref());
        } else {
            calling.cancel = Cancelling::Wanted(reason);
        }
        self.schedule_session(id);
    }

    /// An answer to the INVITE of a session.
    pub(super) fn invite_answered(&mut self, now: Instant, id: SessionId, reply: &Reply<'_>) {
        let Some(session) = self.sessions.get(&id) else { return };
        match (&session.phase, Class::of(reply.code)) {
            (Phase::Calling(_), Class::Provisional) => self.progress(now, id, reply),
            (Phase::Calling(_), Class::Success) => {
                self.forsake_other_invite(now, id, reply.key);
                self.answered(now, id, reply);
            }
            (Phase::Calling(_), Class::Refusal) => self.refused(now, id, reply),
            (_, Class::Success) => {
                self.late_success(now, id, &reply.request, reply.flow(), reply.message);
            }
            // A forsaken INVITE rings now: it may be cancelled now (§9.1).
            (_, Class::Provisional) => self.send_cancel_once(now, reply.key),
            (_, Class::Refusal) => {}
        }
    }

    /// The far end refused an INVITE with a challenge, got it anew, and accepted the first one after all (what a
    /// proxy may do, §16.7 step 5). Nobody waits for the other: it is cancelled, now or with its first 1xx, and not
    /// waited for without end.
    fn forsake_other_invite(&mut self, now: Instant, id: SessionId, answered: ClientKey) {
        let other = self.sessions.get(&id).and_then(|session| session.invite);
        let Some(key) = other.filter(|key| *key != answered) else { return };
        let Some(client) = self.clients.get_mut(&key).filter(|client| client.is_pending()) else {
            return;
        };
        if client.held {
            // It never left, or by a connection that is gone.
            self.remove_client(key);
        } else if client.is_calling() {
            client.abandon_at = Some(now + self.config.timers.cancel_wait);
            self.schedule_client(key);
        } else {
            self.send_cancel_once(now, key);
        }
    }

    fn send_cancel_once(&mut self, now: Instant, invite: ClientKey) {
        if self.clients.get(&invite).is_some_and(|client| !client.cancelled) {
            self.send_cancel(now, invite, None);
        }
    }

    /// §13.2.2.1. A provisional answer is never taken as final, whatever it requires.
    fn progress(&mut self, now: Instant, id: SessionId, reply: &Reply<'_>) {
        let limits = &self.config.limits;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Phase::Calling(calling) = &mut session.phase else { return };
        let wanted = match &mut calling.cancel {
            Cancelling::Wanted(reason) => Some(reason.take()),
            Cancelling::No | Cancelling::Sent => None,
        };
        if let Some(reason) = wanted {
            calling.cancel = Cancelling::Sent;
            return self.send_cancel(now, reply.key, reason.as_ref());
        }
        if calling.cancel == Cancelling::Sent {
            return;
        }
        if calling.ring_until.is_none() {
            calling.ring_until = Some(now + self.config.timers.timer_c);
        }
        let to_tag = tag_of(reply.message);
        let known = calling.early.iter().any(|early| early.tag == to_tag);
        if !known && !to_tag.is_empty() && calling.early.len() < limits.forks_max {
            calling.early.push(Early::new(to_tag.clone()));
        }
        if reply.code == 100 {
            self.schedule_session(id);
            return self.events.push_back(Event::Trying { session: id });
        }
        if calling.reliable
            && let Some(rseq) = reply.message.reliable()
        {
            return self.reliable_progress(now, id, reply, (rseq, to_tag));
        }
        let repeats = calling.early.iter().any(|early| early.tag == to_tag && early.is_settled());
        self.schedule_session(id);
        self.tell_progress(id, reply.message, (to_tag, repeats, false));
    }

    /// §13.2.2.4: the first 2xx. If we had cancelled, it crossed: ACK, then BYE, and no call.
    fn answered(&mut self, now: Instant, id: SessionId, reply: &Reply<'_>) {
        let Some(session) = self.sessions.get(&id) else { return };
        let Phase::Calling(calling) = &session.phase else { return };
        let (cancelled, gave_up) = (calling.cancel != Cancelling::No, calling.gave_up);
        let (keep_flow, offered) = (calling.keep_flow, calling.offered);
        let Ok(request) = Message::parse(reply.request.clone()) else { return };
        let dialog = Dialog::opened_by_answer(&request, reply.message, reply.flow(), keep_flow);
        let Ok(mut dialog) = dialog else {
            // A 2xx whose headers leave no dialog to build: nobody can be acknowledged.
            self.report_failure(id, 502, false, None);
            return self.linger(now, id, (reply.request.clone(), reply.flow(), keep_flow), false);
        };
        if cancelled {
            self.events.push_back(Event::Failed {
                session: id,
                code: if gave_up { 408 } else { 487 },
                q850: None,
                local: gave_up,
                crossed: true,
                retry_after: None,
                contacts: Vec::new(),
            });
            if self.config.careful {
                return self.hold_stray(id, dialog);
            }
            self.linger(now, id, (reply.request.clone(), reply.flow(), keep_flow), false);
            return self.end_stray(now, id, dialog, &request);
        }
        let cseq = dialog.local_cseq;
        let to_tag = dialog.remote_tag.clone();
        let early = calling.early.iter().find(|early| early.tag == to_tag);
        let settled = early.is_some_and(Early::is_settled);
        // Numbers of the early dialog go on in the confirmed one.
        dialog.local_cseq = cseq.max(session.numbers);
        dialog.remote_cseq = early.and_then(|early| early.remote_cseq);
        let theirs = calling.theirs.is_some();
        if theirs {
            self.reject_offer(now, id, 500);
        }
        // RFC 6337 §3.1.1: what follows a reliable answer only repeats it.
        let sdp = sdp_of(reply.message).filter(|_| !settled);
        // §13.2.1: an INVITE without an offer gets it in the 2xx, and the ACK bears the answer,
        // which only the user can make.
        let owed = !offered && sdp.is_some();
        let held = !owed && self.config.careful;
        if !owed && !held {
            self.send_ack(id, &dialog, cseq, Some(&request), None);
        }
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let mut up = Up::new(dialog, true);
        up.owed_ack = (owed || held).then_some(cseq);
        up.ack_held = held;
        up.timer = session.timers.unwrap_or(self.config.session).agreed(now, reply.message);
        up.updates = up.timer.is_some() && takes_update(reply.message);
        session.phase = Phase::Up(Box::new(up));
        self.schedule_session(id);
        self.events.push_back(Event::Answered { session: id, sdp, to_tag });
    }

    /// §13.2.2.2, §13.2.2.3: the INVITE was refused.
    fn refused(&mut self, now: Instant, id: SessionId, reply: &Reply<'_>) {
        let Some(session) = self.sessions.get(&id) else { return };
        let Phase::Calling(calling) = &session.phase else { return };
        let (gave_up, keep_flow) = (calling.gave_up, calling.keep_flow);
        let code = if gave_up { 408 } else { reply.code };
        self.report_failure(id, code, gave_up, Some(reply.message));
        self.linger(now, id, (reply.request.clone(), reply.flow(), keep_flow), false);
    }

    /// Timer B, a transport error, or a cancelled INVITE that was never answered.
    pub(super) fn invite_silent(
        &mut self,
        now: Instant,
        id: SessionId,
        client: &Client,
        silence: Silence,
    ) {
        let Some(session) = self.sessions.get(&id) else { return };
        let Phase::Calling(calling) = &session.phase else { return };
        let (keep_flow, cancelled) = (calling.keep_flow, calling.cancel != Cancelling::No);
        let code = if cancelled && !calling.gave_up { 487 } else { silence.code() };
        self.report_failure(id, code, true, None);
        self.linger(now, id, (client.request.clone(), client.flow, keep_flow), true);
    }

    fn report_failure(
        &mut self,
        session: SessionId,
        code: u16,
        local: bool,
        message: Option<&Message>,
    ) {
        let reasons = message.map(Message::reason).unwrap_or_default();
        self.events.push_back(Event::Failed {
            session,
            code,
            q850: reasons
                .iter()
                .find(|reason| reason.is_q850())
                .and_then(|reason| reason.cause)
                .and_then(|cause| u8::try_from(cause).ok()),
            local,
            crossed: false,
            retry_after: message.and_then(Message::retry_after).map(|after| after.seconds),
            contacts: message
                .filter(|_| (300..400).contains(&code) || code == 485)
                .and_then(|message| message.contacts().ok())
                .unwrap_or_default(),
        });
    }

    /// The session is over for the user; a 2xx that still comes is answered with ACK and BYE.
    /// `open`: no final answer came, so that one may.
    fn linger(
        &mut self,
        now: Instant,
        id: SessionId,
        (request, flow, keep_flow): (Bytes, Flow, bool),
        open: bool,
    ) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if session.known {
            session.known = false;
            self.lingering += 1;
        }
        let until = now + self.config.timers.timer_m;
        session.phase = Phase::Over(Over { request, flow, keep_flow, open, until });
        self.schedule_session(id);
    }

    /// The session is over for the user and for the peer. Only the opening INVITE of an outgoing
    /// one leaves something to wait for.
    pub(super) fn retire(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else { return };
        let keep_flow = match &session.phase {
            Phase::Calling(calling) => calling.keep_flow,
            Phase::Up(up) => up.dialog.keep_flow,
            Phase::Ending(dialog) => dialog.keep_flow,
            Phase::Ringing(_) | Phase::Over(_) => false,
        };
        let invite = session.invite;
        let open = invite.and_then(|key| self.clients.get(&key));
        match open.map(|client| (client.request.clone(), client.flow)) {
            Some((request, flow)) => self.linger(now, id, (request, flow, keep_flow), false),
            None => self.remove_session(id),
        }
    }

    /// A 2xx to the INVITE of a session that has its answer already: a copy is acknowledged again
    /// (§13.2.2.4), another branch is acknowledged and ended.
    fn late_success(
        &mut self,
        now: Instant,
        id: SessionId,
        request: &Bytes,
        flow: Flow,
        message: &Message,
    ) {
        if self.acknowledge_copy(id, message) {
            return;
        }
        let Some(session) = self.sessions.get(&id) else { return };
        let keep_flow = match &session.phase {
            Phase::Up(up) if up.dialog.remote_tag == tag_of(message) => return,
            Phase::Up(up) => up.dialog.keep_flow,
            Phase::Ending(dialog) => dialog.keep_flow,
            Phase::Over(over) => over.keep_flow,
            Phase::Calling(_) | Phase::Ringing(_) => return,
        };
        let late = self.config.careful && matches!(&session.phase, Phase::Over(over) if over.open);
        if session.acks.len() >= self.config.limits.forks_max {
            return;
        }
        let Ok(request) = Message::parse(request.clone()) else { return };
        if let Ok(dialog) = Dialog::opened_by_answer(&request, message, flow, keep_flow) {
            if late {
                self.events.push_back(Event::Failed {
                    session: id,
                    code: 487,
                    q850: None,
                    local: true,
                    crossed: true,
                    retry_after: None,
                    contacts: Vec::new(),
                });
                return self.hold_stray(id, dialog);
            }
            self.end_stray(now, id, dialog, &request);
        }
    }

    /// A dialog that nobody wants, and that the user has to write down before it is agreed on: it is
    /// up, its ACK waits, and the user ends it.
    fn hold_stray(&mut self, id: SessionId, mut dialog: Dialog) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let invite = dialog.local_cseq;
        dialog.local_cseq = invite.max(session.numbers);
        if !session.known {
            session.known = true;
            self.lingering -= 1;
        }
        let mut up = Up::new(dialog, true);
        up.owed_ack = Some(invite);
        up.ack_held = true;
        session.phase = Phase::Up(Box::new(up));
        self.schedule_session(id);
    }

    /// The user has written the session down: what waited for that leaves.
    pub(super) fn let_go(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else { return };
        match &session.phase {
            Phase::Calling(_) => {
                if let Some(key) = session.invite {
                    self.let_invite_go(now, key);
                }
            }
            Phase::Up(up) if up.ack_held => self.send_owed_ack(id, Bytes::new()),
            Phase::Up(_) => {
                if let Some(up) = self.up(id) {
                    up.let_go = true;
                }
                self.accept_if_free(now, id);
            }
            Phase::Ringing(_) | Phase::Ending(_) | Phase::Over(_) => {}
        }
    }

    /// §17.1.1.2: its timers start when it leaves, not when it was made.
    fn let_invite_go(&mut self, now: Instant, key: ClientKey) {
        let Some(client) = self.clients.get_mut(&key).filter(|client| client.held) else { return };
        client.held = false;
        client.restart(now, &self.config.timers);
        let (flow, request) = (client.flow, client.request.clone());
        self.schedule_client(key);
        self.transmit(flow, request);
    }

    /// Whether something of this session waits for [`Endpoint::proceed`].
    pub(super) fn is_waiting(&self, id: SessionId) -> bool {
        let Some(session) = self.sessions.get(&id) else { return false };
        match &session.phase {
            Phase::Calling(_) => {
                session.invite.and_then(|key| self.clients.get(&key)).is_some_and(|c| c.held)
            }
            Phase::Up(up) => up.ack_held || (up.held().is_some() && !up.let_go),
            Phase::Ringing(_) | Phase::Ending(_) | Phase::Over(_) => false,
        }
    }

    /// Sends the ACK of this 2xx again, if it had one.
    fn acknowledge_copy(&mut self, id: SessionId, message: &Message) -> bool {
        let tag = tag_of(message);
        let Ok(cseq) = message.cseq() else { return false };
        let Some(session) = self.sessions.get(&id) else { return false };
        let copy = session.acks.iter().find(|ack| ack.tag == tag && ack.cseq == cseq.number);
        let Some((flow, bytes)) = copy.map(|ack| (ack.flow, ack.bytes.clone())) else {
            return false;
        };
        self.transmit(flow, bytes);
        true
    }

    /// §13.2.2.4: a dialog nobody wants: ACK, then BYE, both through its own route set. The numbers that a
    /// PRACK or an UPDATE of its early life took are taken (§12.2.2: a lower one is refused, and the far end
    /// would stay up).
    fn end_stray(&mut self, now: Instant, id: SessionId, mut dialog: Dialog, request: &Message) {
        let cseq = dialog.local_cseq;
        self.send_ack(id, &dialog, cseq, Some(request), None);
        let session = self.sessions.get(&id);
        dialog.local_cseq = cseq.max(session.map_or(0, |session| session.numbers));
        let auth = session.and_then(|session| session.auth.clone());
        self.send_bye(now, &mut dialog, User::Stray, auth.as_ref(), &Farewell::default());
    }

    /// The ACK of a 2xx (§13.2.2.4): a message of its own, kept for copies.
    pub(super) fn send_ack(
        &mut self,
        id: SessionId,
        dialog: &Dialog,
        cseq: u32,
        request: Option<&Message>,
        sdp: Option<Bytes>,
    ) {
        let mut draft = dialog.draft(&Method::Ack, cseq);
        // §13.2.2.4: the same credentials as the INVITE.
        for name in [HeaderName::Authorization, HeaderName::ProxyAuthorization] {
            for value in request.into_iter().flat_map(|request| request.lines(name)) {
                draft.push(name.as_str(), value);
            }
        }
        if let Some(sdp) = sdp {
            draft.body("application/sdp", sdp);
        }
        let flow = self.hop(dialog);
        let token = self.ids.token();
        let bytes = self.stamp(&mut draft, token, &flow);
        self.transmit(flow, bytes.clone());
        let kept = self.config.limits.forks_max;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if session.acks.len() >= kept {
            session.acks.remove(0);
        }
        session.acks.push(AckCopy { tag: dialog.remote_tag.clone(), cseq, bytes, flow });
    }

    /// A 2xx that matches no transaction any more, or a response that is none of ours.
    pub(super) fn stray_response(&mut self, now: Instant, source: Flow, message: &Message) {
        let session = self.session_of_success(message);
        let Some(id) = session else {
            self.drops.stray_responses += 1;
            return;
        };
        let over = match self.sessions.get(&id).map(|session| &session.phase) {
            Some(Phase::Over(over)) => Some((over.request.clone(), over.flow)),
            _ => None,
        };
        match over {
            Some((request, flow)) => {
                let flow = if flow.transport.is_reliable() { source } else { flow };
                self.late_success(now, id, &request, flow, message);
            }
            None => {
                if !self.acknowledge_copy(id, message) && !self.acknowledge_resumed(id, message) {
                    self.drops.stray_responses += 1;
                }
            }
        }
    }

    /// A copy of a 2xx whose ACK died with the last process, or never left it (§13.2.2.4).
    fn acknowledge_resumed(&mut self, id: SessionId, message: &Message) -> bool {
        let Ok(cseq) = message.cseq() else { return false };
        let dialog = match self.sessions.get(&id).map(|session| &session.phase) {
            Some(Phase::Up(up)) if !up.ack_held => up.dialog.clone(),
            Some(Phase::Ending(dialog)) => (**dialog).clone(),
            _ => return false,
        };
        if dialog.remote_tag != tag_of(message) {
            return false;
        }
        self.send_ack(id, &dialog, cseq.number, None, None);
        true
    }

    fn session_of_success(&self, message: &Message) -> Option<SessionId> {
        let success = message.status().map(Class::of) == Some(Class::Success);
        if !success || message.cseq().ok()?.method != Method::Invite {
            return None;
        }
        if !message.raw_via().is_some_and(|via| self.is_ours(via)) {
            return None;
        }
        let id = self.session_by_tag(&message.from_tag()?)?;
        (self.session_call_id(id) == message.call_id()).then_some(id)
    }

    /// Whether a challenge to this session's request may be answered: not once it is cancelled.
    pub(super) fn may_retry(&self, id: SessionId) -> bool {
        match self.sessions.get(&id).map(|session| &session.phase) {
            Some(Phase::Calling(_)) => self.may_invite_again(id),
            Some(Phase::Up(_) | Phase::Ending(_)) => true,
            Some(Phase::Ringing(_) | Phase::Over(_)) | None => false,
        }
    }

    /// The same of the INVITE that opens it: once it is accepted, or given up, another one would ring whom nobody
    /// waits for.
    pub(super) fn may_invite_again(&self, id: SessionId) -> bool {
        let phase = self.sessions.get(&id).map(|session| &session.phase);
        matches!(phase, Some(Phase::Calling(calling)) if calling.cancel == Cancelling::No)
    }

    /// A challenged request went out anew.
    pub(super) fn retried(
        &mut self,
        now: Instant,
        user: User,
        key: ClientKey,
        cseq: u32,
        auth: Option<Auth>,
    ) {
        let wait = now + self.config.timers.timer_b;
        match user {
            User::Invite(id) => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.invite = Some(key);
                    session.auth = auth;
                }
                if self.config.careful {
                    self.events.push_back(Event::Again { session: id });
                }
            }
            User::Reinvite(id) | User::Update(id) | User::Prack(id) => {
                let Some(session) = self.sessions.get_mut(&id) else { return };
                session.numbers = session.numbers.max(cseq);
                if let Phase::Up(up) = &mut session.phase {
                    up.dialog.local_cseq = up.dialog.local_cseq.max(cseq);
                    if let Some(ours) = up.ours.as_mut().filter(|_| !matches!(user, User::Prack(_)))
                    {
                        ours.state = OursState::Sent(key, wait);
                    }
                    self.schedule_session(id);
                }
            }
            User::Outside(id) => {
                if let Some(outside) = self.outside.get_mut(&id) {
                    outside.cseq = cseq;
                }
            }
            User::Bye(_) | User::Notify(_) | User::Stray | User::Cancel => {}
        }
    }

    /// The user's answer to the offer of a 2xx.
    pub(super) fn send_owed_ack(&mut self, id: SessionId, sdp: Bytes) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Phase::Up(up) = &mut session.phase else { return };
        let Some(cseq) = up.owed_ack.take() else { return };
        up.ack_held = false;
        let dialog = up.dialog.clone();
        let request = session.invite.and_then(|key| self.clients.get(&key));
        let request = request.and_then(|client| Message::parse(client.request.clone()).ok());
        let sdp = Some(sdp).filter(|sdp| !sdp.is_empty());
        self.send_ack(id, &dialog, cseq, request.as_ref(), sdp);
    }

    /// Timer C: the far end rings for ever.
    pub(super) fn ring_due(&mut self, now: Instant, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id)
            && let Phase::Calling(calling) = &mut session.phase
        {
            calling.gave_up = true;
            let reason = Reason::sip(408, "Request Timeout");
            self.cancel_calling(now, id, Some(reason));
        }
    }
}

impl Client {
    fn is_calling(&self) -> bool {
        match &self.machine {
            super::table::ClientMachine::Invite(machine) => machine.is_calling(),
            super::table::ClientMachine::Other(_) => false,
        }
    }
}

/// The To tag, empty without one.
pub(super) fn tag_of(message: &Message) -> String {
    message.to_tag().map(Cow::into_owned).unwrap_or_default()
}

/// The session description in a message.
pub(super) fn sdp_of(message: &Message) -> Option<Bytes> {
    message.description()
}
