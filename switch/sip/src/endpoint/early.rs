//! Reliable provisional answers and their PRACKs, both ways (RFC 3262).

use std::time::Instant;

use bytes::Bytes;

use super::auth::Auth;
use super::client::Reply;
use super::receive::{Incoming, body_fault};
use super::refresh::takes_update;
use super::table::{Early, First, Outgoing, Phase, ReliableEarly, User};
use super::uac::sdp_of;
use super::{Endpoint, Event, SessionId};
use crate::dialog::{Dialog, Due, FIRST_RSEQ, Receiving, Sending};
use crate::wire::{HeaderName, Message, Method};

/// Tokens of Supported and Require.
pub(super) const RELIABLE: &str = "100rel";

impl Endpoint {
    /// §3: answers to this INVITE go reliably if it wants that, or takes it and we like it.
    pub(super) fn reliable_answers(&mut self, request: &Message) -> Option<Box<Sending>> {
        let wanted = request.lists(HeaderName::Require, RELIABLE)
            || (self.config.reliable && request.lists(HeaderName::Supported, RELIABLE));
        let number = request.cseq().ok().filter(|_| wanted)?.number;
        let first = u32::try_from(self.ids.between(&FIRST_RSEQ)).unwrap_or(1);
        Some(Box::new(Sending::new(number, first)))
    }

    /// A provisional answer that is printed: leaves now, or when its turn comes.
    pub(super) fn send_reliably(
        &mut self,
        now: Instant,
        id: SessionId,
        (code, bytes): (u16, Bytes),
        described: bool,
    ) {
        let pace = (self.config.timers.t1, self.config.timers.ack_wait);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Phase::Ringing(ringing) = &mut session.phase else { return };
        let Some(sending) = &mut ringing.reliable else { return };
        let server = ringing.server;
        let bytes = sending.push(now, pace, bytes, described);
        if described {
            ringing.first = match ringing.first {
                First::Theirs | First::Done => First::Done,
                First::None | First::Ours => First::Ours,
            };
        }
        if let Some(bytes) = bytes {
            self.answer(now, server, code, &bytes);
        }
    }

    fn sending(&mut self, id: SessionId) -> Option<&mut Sending> {
        match &mut self.sessions.get_mut(&id)?.phase {
            Phase::Ringing(ringing) => ringing.reliable.as_deref_mut(),
            Phase::Up(up) => up.reliable.as_deref_mut(),
            Phase::Calling(_) | Phase::Ending(_) | Phase::Over(_) => None,
        }
    }

    /// A PRACK (§3). What it does not fit is 481.
    pub(super) fn prack_received(&mut self, now: Instant, id: SessionId, incoming: &Incoming) {
        let request = &incoming.request;
        if let Some((code, headers)) = body_fault(request, &[]) {
            return self.refuse(incoming, code, &headers);
        }
        let Ok(rack) = request.rack() else { return self.refuse(incoming, 400, &[]) };
        if self.sending(id).and_then(|sending| sending.acknowledged(&rack)).is_none() {
            return self.refuse(incoming, 481, &[]);
        }
        match sdp_of(request) {
            Some(sdp) => self.prack_described(now, id, incoming, sdp),
            None => self.answer_within(now, incoming, 200, &[]),
        }
        self.next_provisional(now, id);
        self.accept_if_free(now, id);
        self.schedule_session(id);
    }

    /// §5: a description in a PRACK answers ours, or offers anew and is answered in its 2xx.
    fn prack_described(&mut self, now: Instant, id: SessionId, incoming: &Incoming, sdp: Bytes) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let first = match &mut session.phase {
            Phase::Ringing(ringing) if ringing.theirs.is_none() => &mut ringing.first,
            _ => return self.answer_within(now, incoming, 488, &[]),
        };
        match first {
            First::Ours => {
                *first = First::Done;
                self.answer_within(now, incoming, 200, &[]);
                self.events.push_back(Event::Pracked { session: id, sdp });
            }
            First::Done => self.ask_offer(now, id, incoming, sdp),
            First::Theirs | First::None => self.answer_within(now, incoming, 488, &[]),
        }
    }

    /// The answer that waited for this PRACK.
    fn next_provisional(&mut self, now: Instant, id: SessionId) {
        let pace = (self.config.timers.t1, self.config.timers.ack_wait);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let (sending, server) = match &mut session.phase {
            Phase::Ringing(ringing) => (ringing.reliable.as_deref_mut(), Some(ringing.server)),
            Phase::Up(up) => {
                let server = up.held();
                (up.reliable.as_deref_mut(), server)
            }
            Phase::Calling(_) | Phase::Ending(_) | Phase::Over(_) => return,
        };
        let (Some(sending), Some(server)) = (sending, server) else { return };
        if let Some(bytes) = sending.advance(now, pace) {
            self.answer(now, server, 183, &bytes);
        }
    }

    /// A deadline of a reliable provisional answer has come.
    pub(super) fn provisional_due(&mut self, now: Instant, id: SessionId) {
        let due = self.sending(id).map_or(Due::Nothing, |sending| sending.handle_timeout(now));
        match due {
            Due::Nothing => {}
            Due::Resend(bytes) => {
                let server = self.unanswered(id).and_then(|server| self.servers.get(&server));
                if let Some(flow) = server.map(|server| server.flow) {
                    self.transmit(flow, bytes);
                }
            }
            // §3: the INVITE is refused with a 5xx.
            Due::GiveUp => self.unanswered_due(now, id, 504),
        }
    }

    /// A reliable provisional answer to our INVITE (§4): in order, once, and acknowledged.
    pub(super) fn reliable_progress(
        &mut self,
        now: Instant,
        id: SessionId,
        reply: &Reply<'_>,
        (rseq, tag): (u32, String),
    ) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Phase::Calling(calling) = &mut session.phase else { return };
        let (keep_flow, offered) = (calling.keep_flow, calling.offered);
        let Some(early) = calling.early.iter_mut().find(|early| early.tag == tag) else { return };
        if early.reliable.is_none() {
            early.reliable = open(reply, keep_flow).map(Box::new);
        }
        let Some(reliable) = &mut early.reliable else { return };
        let ready = reliable.receiving.take(rseq, reply.message);
        for (rseq, message) in ready {
            self.take_reliable(now, id, (rseq, &tag), &message, offered);
        }
        self.schedule_session(id);
    }

    fn take_reliable(
        &mut self,
        now: Instant,
        id: SessionId,
        (rseq, tag): (u32, &str),
        message: &Message,
        offered: bool,
    ) {
        let described = sdp_of(message).is_some();
        let Some(reliable) = self.reliable_early(id, tag) else { return };
        // §5: an offer in it is answered by its PRACK, which only the user can make.
        let owed = described && !offered && !reliable.settled;
        let repeats = reliable.settled;
        reliable.settled |= described;
        reliable.updates |= takes_update(message);
        if owed {
            reliable.owed = Some(rseq);
        } else {
            self.send_prack(now, id, (rseq, tag), None);
        }
        self.tell_progress(id, message, (tag.to_owned(), repeats, owed));
    }

    fn reliable_early(&mut self, id: SessionId, tag: &str) -> Option<&mut ReliableEarly> {
        let Phase::Calling(calling) = &mut self.sessions.get_mut(&id)?.phase else { return None };
        let early = calling.early.iter_mut().find(|early| early.tag == tag)?;
        early.reliable.as_deref_mut()
    }

    /// Tells the user of a provisional answer. `repeats`: its description was heard before.
    pub(super) fn tell_progress(
        &mut self,
        id: SessionId,
        message: &Message,
        (to_tag, repeats, owed): (String, bool, bool),
    ) {
        self.events.push_back(Event::Progress {
            session: id,
            code: message.status().unwrap_or_default(),
            sdp: sdp_of(message).filter(|_| !repeats),
            to_tag,
            owed,
            reason: message.reason().into_iter().next(),
        });
    }

    /// The user's answer to an offer in a provisional answer.
    pub(super) fn send_owed_prack(&mut self, now: Instant, id: SessionId, tag: &str, sdp: Bytes) {
        let owed = self.reliable_early(id, tag).and_then(|early| early.owed.take());
        if let Some(rseq) = owed {
            self.send_prack(now, id, (rseq, tag), Some(sdp));
        }
    }

    fn send_prack(
        &mut self,
        now: Instant,
        id: SessionId,
        (rseq, tag): (u32, &str),
        sdp: Option<Bytes>,
    ) {
        let Some((dialog, invite)) = self.next_in_early(id, tag) else { return };
        let mut draft = dialog.draft(&Method::Prack, dialog.local_cseq);
        draft.push_args("RAck", format_args!("{rseq} {invite} INVITE"));
        if let Some(sdp) = sdp {
            draft.body("application/sdp", sdp);
        }
        let auth = self.sessions.get(&id).and_then(|session| session.auth.clone());
        let out = Outgoing {
            draft,
            method: Method::Prack,
            flow: self.hop(&dialog),
            fallback: self.fallback_hop(&dialog),
            user: User::Prack(id),
            auth: Auth::within_dialog(auth.as_ref()),
            keep_flow: dialog.keep_flow,
        };
        self.start_client(now, out);
    }

    /// An early dialog with the number of our next request in it, and the INVITE's number.
    pub(super) fn next_in_early(&mut self, id: SessionId, tag: &str) -> Option<(Dialog, u32)> {
        let session = self.sessions.get_mut(&id)?;
        let Phase::Calling(calling) = &mut session.phase else { return None };
        let early = calling.early.iter_mut().find(|early| early.tag == tag)?;
        let reliable = early.reliable.as_deref_mut()?;
        session.numbers = session.numbers.max(reliable.dialog.local_cseq) + 1;
        let invite = reliable.invite;
        reliable.dialog.local_cseq = session.numbers;
        Some((reliable.dialog.clone(), invite))
    }
}

impl Early {
    pub(super) fn new(tag: String) -> Early {
        Early { tag, remote_cseq: None, reliable: None }
    }

    /// Whether an offer of ours may go by UPDATE.
    pub(super) fn takes_update(&self) -> bool {
        self.reliable
            .as_ref()
            .is_some_and(|reliable| reliable.settled && reliable.updates && reliable.owed.is_none())
    }

    /// Whether the first offer has its answer, so that what follows only repeats it.
    pub(super) fn is_settled(&self) -> bool {
        self.reliable.as_ref().is_some_and(|reliable| reliable.settled)
    }
}

fn open(reply: &Reply<'_>, keep_flow: bool) -> Option<ReliableEarly> {
    let request = Message::parse(reply.request.clone()).ok()?;
    let dialog = Dialog::opened_by_answer(&request, reply.message, reply.flow(), keep_flow).ok()?;
    let invite = dialog.local_cseq;
    let receiving = Receiving::default();
    let (settled, owed, updates) = (false, None, false);
    Some(ReliableEarly { dialog, invite, receiving, settled, owed, updates })
}
