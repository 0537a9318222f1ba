//! UPDATE (RFC 3311), both ways, in early and confirmed dialogs; and offers of the peer that wait for
//! the user, whatever request brought them.

use std::time::Instant;

use bytes::Bytes;

use super::client::Reply;
use super::receive::{Incoming, body_fault};
use super::table::{First, Ours, OursState, Pending, Phase, ServerId, ServerUser};
use super::uac::sdp_of;
use super::{Endpoint, Event, SessionId};
use crate::dialog::Dialog;
use crate::transaction::Class;
use crate::wire::{Message, Method};

/// What stands in the way of an offer.
enum Busy {
    /// An offer of theirs waits for its answer: 500 with Retry-After (§5.2).
    Theirs,
    /// One of ours does: 491 (§5.2).
    Ours,
    /// The session ends.
    Ending,
}

impl Endpoint {
    /// An UPDATE (§5.2). Without a description it only moves the target and keeps the session alive.
    pub(super) fn update_received(&mut self, now: Instant, id: SessionId, incoming: &Incoming) {
        let request = &incoming.request;
        if let Some((code, headers)) = body_fault(request, &[]) {
            return self.refuse(incoming, code, &headers);
        }
        if let Err(min_se) = self.timers(id).granted(request) {
            return self.refuse(incoming, 422, &[("Min-SE", min_se.to_string())]);
        }
        let Some(sdp) = sdp_of(request) else {
            // An early dialog that no reliable answer made is not kept: there is nothing to answer from yet.
            if self.dialog_of_request(id, request).is_none() {
                let seconds = self.ids.between(&(0..=10)).to_string();
                return self.answer_within(now, incoming, 500, &[("Retry-After", seconds)]);
            }
            let server = self.start_server(now, incoming, ServerUser::Reinvite(id));
            return self.answer_offer(now, id, server, Bytes::new(), request);
        };
        match self.offer_fault(id, request) {
            None => self.ask_offer(now, id, incoming, sdp),
            Some(Busy::Ours) => self.answer_within(now, incoming, 491, &[]),
            Some(Busy::Ending) => self.answer_within(now, incoming, 487, &[]),
            Some(Busy::Theirs) => {
                let seconds = self.ids.between(&(0..=10)).to_string();
                self.answer_within(now, incoming, 500, &[("Retry-After", seconds)]);
            }
        }
    }

    fn offer_fault(&self, id: SessionId, request: &Message) -> Option<Busy> {
        match &self.sessions.get(&id)?.phase {
            Phase::Up(up) if up.bye.is_some() => Some(Busy::Ending),
            Phase::Up(up) if up.theirs.is_some() => Some(Busy::Theirs),
            Phase::Up(up) => {
                let late = up.unacked.iter().any(|wait| wait.offers);
                let ours = up.ours.as_ref().is_some_and(Ours::is_pending);
                (late || ours || up.owed_ack.is_some()).then_some(Busy::Ours)
            }
            Phase::Ringing(ringing) if ringing.theirs.is_some() => Some(Busy::Theirs),
            Phase::Ringing(ringing) => match ringing.first {
                First::Theirs => Some(Busy::Theirs),
                First::None | First::Ours => Some(Busy::Ours),
                First::Done => None,
            },
            Phase::Calling(calling) if calling.theirs.is_some() => Some(Busy::Theirs),
            Phase::Calling(calling) => {
                let tag = request.from_tag();
                let early =
                    calling.early.iter().find(|early| Some(early.tag.as_str()) == tag.as_deref());
                (!early.is_some_and(super::table::Early::is_settled)).then_some(Busy::Ours)
            }
            Phase::Ending(_) | Phase::Over(_) => Some(Busy::Ending),
        }
    }

    /// Gives the offer of an UPDATE or PRACK to the user.
    pub(super) fn ask_offer(
        &mut self,
        now: Instant,
        id: SessionId,
        incoming: &Incoming,
        sdp: Bytes,
    ) {
        let server = self.start_server(now, incoming, ServerUser::Reinvite(id));
        let until = now + self.config.timers.update_wait;
        let wait = Pending { server, until, update: true };
        let branch = incoming.request.from_tag().unwrap_or_default().into_owned();
        let Some(session) = self.sessions.get_mut(&id) else { return };
        match &mut session.phase {
            Phase::Up(up) => up.theirs = Some(wait),
            Phase::Ringing(ringing) => ringing.theirs = Some(wait),
            Phase::Calling(calling) => calling.theirs = Some((wait, branch.clone())),
            Phase::Ending(_) | Phase::Over(_) => {}
        }
        self.schedule_session(id);
        let (sdp, flow) = (Some(sdp), incoming.flow);
        self.events.push_back(Event::Reinvite { session: id, sdp, flow, branch });
    }

    /// Takes the offer of the peer that waits for the user out of the session.
    pub(super) fn take_theirs(&mut self, id: SessionId) -> Option<Pending> {
        match &mut self.sessions.get_mut(&id)?.phase {
            Phase::Up(up) => up.theirs.take(),
            Phase::Ringing(ringing) => ringing.theirs.take(),
            Phase::Calling(calling) => calling.theirs.take().map(|(wait, _)| wait),
            Phase::Ending(_) | Phase::Over(_) => None,
        }
    }

    pub(super) fn theirs(&self, id: SessionId) -> Option<Pending> {
        match &self.sessions.get(&id)?.phase {
            Phase::Up(up) => up.theirs,
            Phase::Ringing(ringing) => ringing.theirs,
            Phase::Calling(calling) => calling.theirs.as_ref().map(|(wait, _)| *wait),
            Phase::Ending(_) | Phase::Over(_) => None,
        }
    }

    /// 200 to an UPDATE, or to a PRACK that offered.
    pub(super) fn answer_offer(
        &mut self,
        now: Instant,
        id: SessionId,
        server: ServerId,
        sdp: Bytes,
        request: &Message,
    ) {
        let Some(dialog) = self.dialog_of_request(id, request) else { return };
        let Some(mut draft) = self.answer_draft(server, 200, &dialog.local_tag) else { return };
        draft.push("Contact", &dialog.contact);
        draft.push("Allow", &self.allow);
        draft.push("Supported", self.supported(id));
        let granted = self.timers(id).granted(request).ok().flatten();
        let plain = sdp.is_empty();
        let timed = request.method() == Some(&Method::Update) && self.is_up(id);
        if let Some(granted) = granted.filter(|_| timed) {
            super::refresh::push_granted(&mut draft, granted);
        }
        if !sdp.is_empty() {
            draft.body("application/sdp", sdp);
        }
        let bytes = draft.to_bytes();
        self.answer(now, server, 200, &bytes);
        // A PRACK moves no target.
        if request.method() == Some(&Method::Update) {
            self.refreshed_by_peer(now, id, request, granted.filter(|_| timed));
        }
        if plain && timed {
            self.events.push_back(Event::Refreshed { session: id });
        }
    }

    fn is_up(&self, id: SessionId) -> bool {
        self.sessions.get(&id).is_some_and(|session| matches!(session.phase, Phase::Up(_)))
    }

    /// The dialog in which the peer sent this request.
    fn dialog_of_request(&self, id: SessionId, request: &Message) -> Option<Dialog> {
        match &self.sessions.get(&id)?.phase {
            Phase::Up(up) => Some(up.dialog.clone()),
            Phase::Ringing(ringing) => Some(ringing.dialog.clone()),
            Phase::Ending(dialog) => Some((**dialog).clone()),
            Phase::Calling(calling) => {
                let tag = request.from_tag()?;
                let early = calling.early.iter().find(|early| early.tag == tag)?;
                Some(early.reliable.as_ref()?.dialog.clone())
            }
            Phase::Over(_) => None,
        }
    }

    /// The user's answer to the offer of a re-INVITE, an UPDATE or a PRACK.
    pub(super) fn accept_offer(&mut self, now: Instant, id: SessionId, sdp: Bytes) {
        let Some(wait) = self.theirs(id) else { return };
        if !wait.update {
            return self.send_reinvite_accept(now, id, sdp);
        }
        self.take_theirs(id);
        let request = self.servers.get(&wait.server).and_then(|server| server.request().cloned());
        if let Some(request) = request {
            self.answer_offer(now, id, wait.server, sdp, &request);
        }
        self.schedule_session(id);
    }

    /// The user refuses it, or the session ends: everything stays as it was.
    pub(super) fn reject_offer(&mut self, now: Instant, id: SessionId, code: u16) {
        if let Some(wait) = self.take_theirs(id) {
            // The request bears our tag already.
            self.answer_plain(now, wait.server, code, "", &[]);
            self.schedule_session(id);
        }
    }

    /// A user who never answered an offer. RFC 3311 §5.2: 504 for an UPDATE.
    pub(super) fn theirs_due(&mut self, now: Instant, id: SessionId) {
        let wait = self.theirs(id).filter(|wait| wait.until <= now);
        match wait.map(|wait| wait.update) {
            Some(true) => self.reject_offer(now, id, 504),
            Some(false) => self.reject_offer(now, id, 500),
            None => {}
        }
    }

    /// §5.1: an offer of ours by UPDATE: the first offer has its answer, none is pending, and the peer
    /// takes UPDATE.
    pub(super) fn start_update(&mut self, now: Instant, id: SessionId, sdp: &Bytes) -> bool {
        let Some(up) = self.up(id) else { return self.update_early(now, id, sdp) };
        let busy = up.ours.is_some() || up.theirs.is_some() || up.owed_ack.is_some();
        let late = up.unacked.iter().any(|wait| wait.offers || wait.held.is_some());
        if busy || late || up.bye.is_some() || !up.updates {
            return false;
        }
        up.dialog.next_cseq();
        let dialog = up.dialog.clone();
        self.send_update(now, id, &dialog, sdp.clone(), Some(0));
        true
    }

    fn update_early(&mut self, now: Instant, id: SessionId, sdp: &Bytes) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else { return false };
        let dialog = match &mut session.phase {
            Phase::Ringing(ringing)
                if ringing.first == First::Done && ringing.theirs.is_none() && ringing.updates =>
            {
                ringing.dialog.next_cseq();
                Some(ringing.dialog.clone())
            }
            Phase::Calling(calling) if calling.theirs.is_none() => {
                let settled = calling.early.iter().find(|early| early.takes_update());
                let tag = settled.map(|early| early.tag.clone());
                tag.and_then(|tag| self.next_in_early(id, &tag)).map(|(dialog, _)| dialog)
            }
            _ => None,
        };
        let Some(dialog) = dialog else { return false };
        self.send_update(now, id, &dialog, sdp.clone(), None);
        true
    }

    /// An UPDATE in this dialog, whose number is taken already.
    pub(super) fn send_update(
        &mut self,
        now: Instant,
        id: SessionId,
        dialog: &Dialog,
        sdp: Bytes,
        tries: Option<u8>,
    ) {
        let key = self.send_offer(now, id, dialog, Method::Update, sdp.clone());
        // Timer F speaks first.
        let until = now + self.config.timers.timer_f * 2;
        if let (Some(up), Some(tries)) = (self.up(id), tries) {
            let state = OursState::Sent(key, until);
            up.ours = Some(Ours { state, sdp, tries, update: true });
        }
        self.schedule_session(id);
    }

    /// An answer to our UPDATE.
    pub(super) fn update_answered(&mut self, now: Instant, id: SessionId, reply: &Reply<'_>) {
        let offered =
            Message::parse(reply.request.clone()).is_ok_and(|request| !request.body().is_empty());
        if !self.sessions.get(&id).is_some_and(|session| session.known) {
            return;
        }
        match (Class::of(reply.code), self.is_up(id)) {
            (Class::Provisional, _) => {}
            (Class::Success, true) => self.update_accepted(now, id, reply, offered),
            (Class::Refusal, true) => self.offer_refused(now, id, reply),
            (Class::Success, false) => {
                let sdp = sdp_of(reply.message);
                self.events.push_back(Event::ReinviteAnswered { session: id, sdp });
            }
            // An early dialog is not ended by it: its INVITE will tell what becomes of it.
            (Class::Refusal, false) => {
                self.events.push_back(Event::ReinviteFailed { session: id, code: reply.code });
            }
        }
    }

    fn update_accepted(&mut self, now: Instant, id: SessionId, reply: &Reply<'_>, offered: bool) {
        let Some(up) = self.up(id) else { return };
        up.dialog.refresh_target(reply.message);
        let current = up.ours.as_ref().is_some_and(|ours| ours.is_sent(reply.key));
        if current {
            up.ours = None;
        }
        self.refreshed_by_us(now, id, reply.message);
        if current {
            let sdp = sdp_of(reply.message);
            self.events.push_back(match offered {
                true => Event::ReinviteAnswered { session: id, sdp },
                false => Event::Refreshed { session: id },
            });
        }
        self.schedule_session(id);
    }
}
