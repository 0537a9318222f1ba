//! Ringing somebody: INVITE, its provisional answers, its final one, the next hop.

use bytes::Bytes;
use facts::record::LegState;
use facts::{Failure, Kind, LegId, Number, Origin, Side};
use sip::endpoint::Invite;
use sip::wire::Reason;

use crate::event::LegEvent;
use crate::flow::{origin, refuser};
use crate::route::Target;
use crate::timers::{Key, Timer};
use crate::trace::Trace;
use crate::world::World;

use super::{BRANCHES_MAX, Called, Inviting, Leg, Port, Stage, hop, hops};

/// The final answer to an INVITE of ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Final {
    pub(crate) code: u16,
    pub(crate) q850: Option<u8>,
    /// No answer at all: time-out or transport error.
    pub(crate) local: bool,
}

impl Leg {
    /// Starts ringing: opens the port first. Fails at once when nothing leads to the target.
    pub(crate) fn dial(
        w: &mut World,
        id: LegId,
        called: &Called,
        target: &Target,
        shown: Option<&Number>,
        paid: Option<std::time::Duration>,
    ) -> Result<Leg, Failure> {
        let mut ways = hops(w, target, shown).map_err(|kind| Failure::new(origin(id.no), kind))?;
        let first =
            hop::take(w, &mut ways, id).ok_or(Failure::new(origin(id.no), Kind::Congestion))?;
        let mut leg = Leg::new(id, called, paid, w);
        leg.hops = ways;
        leg.trunk = first.trunk;
        leg.hop = Some(first);
        Ok(leg)
    }

    /// The port is open: the INVITE leaves. `like` is the other leg's order of codecs.
    pub(crate) fn invite(
        &mut self,
        w: &mut World,
        trace: &mut Trace,
        like: &[facts::media::Codec],
    ) -> Option<LegEvent> {
        let (Port::Open(local), Some(hop)) = (self.port, self.hop.clone()) else {
            return None;
        };
        let sdp = self.audio.offer(local, &hop.codecs, like);
        let session = w.endpoint.invite(
            w.now.mono,
            Invite {
                uri: hop.uri,
                flow: hop.flow,
                from: hop.from,
                to: hop.to,
                contact_user: hop.contact_user,
                headers: self.headers(),
                sdp,
                credentials: hop.credentials,
                route: Vec::new(),
                keep_flow: hop.trunk.is_none(),
            },
        );
        w.sessions.insert(session, self.id);
        self.session = Some(session);
        self.stage = Stage::Inviting(Inviting::default());
        self.facts.shown = hop.shown;
        self.facts.trunk = hop.name;
        self.facts.sip_call_id = w.endpoint.call_id(session).unwrap_or_default().to_owned();
        if !self.hops.is_empty() {
            w.timers.set(Key::leg(self.id, Timer::Response), w.now.mono + w.config.response);
        }
        let first = !self.attempted;
        if first {
            self.attempted = true;
            self.facts.invited = trace.wall(w.now.mono);
            w.timers.set(Key::leg(self.id, Timer::Ring), w.now.mono + self.ring);
        }
        self.journal(w, None);
        first.then(|| {
            trace.notify(w, &self.facts, LegState::Callout);
            LegEvent::Invited
        })
    }

    /// 101 to 199. Never an answer, whatever it bears.
    pub(crate) fn progress(
        &mut self,
        w: &mut World,
        trace: &mut Trace,
        (code, branch): (u16, String),
        sdp: Option<Bytes>,
    ) -> Option<LegEvent> {
        let now = trace.wall(w.now.mono);
        let Stage::Inviting(inviting) = &mut self.stage else {
            return None;
        };
        w.timers.cancel(Key::leg(self.id, Timer::Response));
        let first_sound = inviting.early.is_empty();
        if let Some(sdp) = sdp {
            if inviting.early.len() < BRANCHES_MAX
                && !inviting.early.iter().any(|(tag, _)| *tag == branch)
            {
                inviting.early.push((branch, sdp.clone()));
            }
            // RFC 3960 §3.1: the first branch that speaks is heard; others are kept apart until one
            // of them answers.
            if first_sound && let Ok(setup) = self.audio.answered(&sdp, None) {
                w.media(setup);
            }
        }
        if !(180..190).contains(&code) {
            return None;
        }
        let Stage::Inviting(inviting) = &mut self.stage else {
            return None;
        };
        let rings = code == 180 && self.facts.alerting.is_none();
        if rings {
            self.facts.alerting = Some(now);
        }
        if !std::mem::replace(&mut inviting.rang, true) {
            self.facts.progress = Some(now);
            // A restart tells from this what the leg had reached.
            self.journal(w, None);
            trace.notify(w, &self.facts, LegState::Alerting);
        }
        rings.then_some(LegEvent::Ringing)
    }

    /// The first RTP of this leg came.
    pub(crate) fn sounding(&self) -> Option<LegEvent> {
        match &self.stage {
            Stage::Inviting(inviting) if !inviting.early.is_empty() => Some(LegEvent::EarlyMedia),
            _ => None,
        }
    }

    /// 2xx, acknowledged already.
    pub(crate) fn answered(
        &mut self,
        w: &mut World,
        trace: &mut Trace,
        sdp: Option<Bytes>,
        branch: &str,
    ) -> Option<LegEvent> {
        let Stage::Inviting(inviting) = &self.stage else {
            return None;
        };
        let early = inviting.early.iter().find(|(tag, _)| tag == branch);
        let sdp = sdp.or_else(|| early.map(|(_, sdp)| sdp.clone()));
        self.facts.sip_final = Some(200);
        let silence = w.config.silence;
        let setup = match sdp.map(|sdp| self.audio.answered(&sdp, silence)) {
            Some(Ok(setup)) => setup,
            // RFC 3264 §7: an answer that cannot be used ends the call; the dialog is there, so by BYE.
            Some(Err(_)) | None => return Some(self.unusable(w, trace)),
        };
        w.media(setup);
        self.up(w, trace);
        Some(LegEvent::Answered)
    }

    /// Up, for the bill and for the journal.
    pub(super) fn up(&mut self, w: &mut World, trace: &mut Trace) {
        for timer in [Timer::Ring, Timer::Response] {
            w.timers.cancel(Key::leg(self.id, timer));
        }
        self.stage = Stage::Up;
        self.answered_at = Some(w.now.mono);
        self.facts.answered = Some(trace.wall(w.now.mono));
        self.journal_up(w);
        trace.notify(w, &self.facts, LegState::Answer);
        self.arm(w);
    }

    pub(super) fn journal_up(&self, w: &mut World) {
        let dialog = self.session.and_then(|session| w.endpoint.snapshot(session));
        self.journal(w, dialog);
    }

    fn unusable(&mut self, w: &mut World, trace: &mut Trace) -> LegEvent {
        let failure = Failure::new(origin(self.id.no), Kind::NotAcceptable);
        if let Some(session) = self.session {
            let cause = u16::from(Kind::NotAcceptable.row().q850);
            let reason = Reason::q850(cause, Kind::NotAcceptable.row().label);
            self.bye(w, session, reason);
        }
        let ended = trace.wall(w.now.mono);
        self.down(w, trace, ended, Side::Platform, Some(failure));
        LegEvent::Failed(failure)
    }

    /// The INVITE came to nothing: the next hop, or the end of the leg.
    pub(crate) fn failed(
        &mut self,
        w: &mut World,
        trace: &mut Trace,
        answer: Final,
        like: &[facts::media::Codec],
    ) -> Option<LegEvent> {
        let Stage::Inviting(inviting) = &self.stage else {
            // Late word on a leg that we gave up: its status belongs in the record all the same.
            if self.stage == Stage::Down && self.facts.sip_final.is_none() && !answer.local {
                self.facts.sip_final = Some(answer.code);
            }
            return None;
        };
        let rang = inviting.rang;
        self.session = None;
        if !answer.local {
            self.facts.sip_final = Some(answer.code);
        }
        if !rang && is_elsewhere(answer) && self.next_hop(w) {
            return self.invite(w, trace, like);
        }
        // Our own verdicts: the hop is dead, unless it rang before the time ran out.
        let kind = if answer.local && (answer.code != 408 || !rang) {
            Kind::Unreachable
        } else {
            Kind::of_answer(answer.code, answer.q850, rang)
        };
        let failure = Failure::new(origin(self.id.no), kind);
        self.facts.q850 = answer.q850;
        let ended = trace.wall(w.now.mono);
        self.down(w, trace, ended, refuser(self.id.no, failure), Some(failure));
        Some(LegEvent::Failed(failure))
    }

    /// Nothing at all came from the hop in time: give it up and try another one.
    pub(crate) fn unresponsive(
        &mut self,
        w: &mut World,
        trace: &mut Trace,
        like: &[facts::media::Codec],
    ) -> Option<LegEvent> {
        if !matches!(&self.stage, Stage::Inviting(inviting) if !inviting.rang) {
            return None;
        }
        let old = self.session;
        if !self.next_hop(w) {
            return None;
        }
        if let Some(session) = old {
            w.sessions.remove(&session);
            w.endpoint.cancel(w.now.mono, session, None);
        }
        self.invite(w, trace, like)
    }

    /// Rang long enough.
    pub(crate) fn unanswered(&mut self, w: &mut World, trace: &mut Trace) -> Option<LegEvent> {
        let (Stage::Inviting(_), Some(session)) = (&self.stage, self.session) else {
            return None;
        };
        let row = Kind::NoAnswer.row();
        let reason = Reason::q850(u16::from(row.q850), row.label);
        w.endpoint.cancel(w.now.mono, session, Some(reason));
        Some(LegEvent::Failed(self.lost(w, trace, Kind::NoAnswer, origin(self.id.no))))
    }

    /// No media port: the leg cannot be.
    pub(crate) fn unheard(&mut self, w: &mut World, trace: &mut Trace) -> Option<LegEvent> {
        if self.stage != Stage::Opening {
            return None;
        }
        let failure = Failure::new(Origin::Media, Kind::Internal);
        let release = crate::event::Release { by: Side::Platform, failure: Some(failure) };
        self.release(w, trace, release);
        Some(LegEvent::Failed(failure))
    }

    /// Moves to the next hop that has room; false when there is none.
    fn next_hop(&mut self, w: &mut World) -> bool {
        let Some(next) = hop::take(w, &mut self.hops, self.id) else {
            return false;
        };
        if let Some(trunk) = self.trunk.filter(|trunk| next.trunk != Some(*trunk)) {
            w.trunk_legs.leave(trunk, self.id);
        }
        self.trunk = next.trunk;
        self.hop = Some(next);
        true
    }

    fn headers(&self) -> Vec<(String, Vec<u8>)> {
        self.hops_left
            .map(|hops| ("Max-Forwards".to_owned(), hops.to_string().into_bytes()))
            .into_iter()
            .collect()
    }
}

/// Another way may do better: the hop is down, busy or gone, the person was not asked (RFC 3263 §4.3;
/// RFC 5626 §5.3: 430 is a dead flow).
fn is_elsewhere(answer: Final) -> bool {
    answer.local || matches!(answer.code, 408 | 430 | 500 | 502 | 503 | 504)
}
