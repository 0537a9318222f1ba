//! What a carrier plays before the answer, and what follows from it: the cause of a failure that its own status
//! only hints at, and, where the settings say so, the end of an attempt that cannot succeed.
//!
//! Phones are not listened to: they say what they mean by their status.

use std::sync::Arc;

use facts::isdn;
use facts::media::{Codec, MediaCommand};
use facts::recognition::{Recognised, Recognition, Release};
use facts::{Failure, Kind, LegId, TrunkId};
use sip::wire::Reason;

use crate::event::{LegEvent, Miss};
use crate::flow::refuser;
use crate::trace::Trace;
use crate::world::World;

use super::outbound::missed;
use super::{Leg, Stage};

/// Whether somebody listens, and for which attempt.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ear {
    open: bool,
    /// What is told of an earlier attempt counts for nothing.
    turn: u8,
    /// The attempt has reached several far ends; the one that is heard is the one whose sound came first.
    forked: bool,
}

impl Ear {
    /// Has the media plane listen to a leg of this carrier.
    pub(super) fn open(&mut self, w: &mut World, leg: LegId, trunk: TrunkId) {
        let own = w.snapshot.trunks.get(&trunk).map(|trunk| trunk.options.tones.as_str());
        let own = own.filter(|country| !country.is_empty());
        let country = own.unwrap_or(&w.config.hearing.country).to_owned();
        *self = Ear { open: true, turn: self.turn.wrapping_add(1), forked: self.forked };
        w.media(MediaCommand::Listen { leg, country, turn: self.turn });
    }

    /// How many far ends the attempt has reached.
    pub(super) fn reaches(&mut self, several: bool) {
        self.forked = several;
    }

    /// Nobody listens any more: the leg was answered, or another carrier is asked.
    pub(super) fn close(&mut self, w: &mut World, leg: LegId) {
        self.forked = false;
        if std::mem::take(&mut self.open) {
            w.media(MediaCommand::StopListening { leg });
        }
    }
}

impl Leg {
    /// What was heard of the attempt under way that says why it fails. What one of several far ends played says
    /// nothing of the others.
    pub(super) fn fate(&self) -> Option<Recognition> {
        let verdict = self.facts.recognised?.verdict;
        (verdict.cause().is_some() && !self.ear.forked).then_some(verdict)
    }

    /// Something was recognised.
    pub(crate) fn recognised(
        &mut self,
        w: &mut World,
        trace: &mut Trace,
        (turn, verdict): (u8, Recognition),
        like: &[Codec],
    ) -> Option<LegEvent> {
        let rings = matches!(self.stage, Stage::Inviting(_));
        if !rings || !self.ear.open || turn != self.ear.turn {
            return None;
        }
        let before = self.facts.recognised;
        if before.is_some_and(|before| !verdict.tells_more_than(&before.verdict)) {
            return None;
        }
        self.facts.recognised = Some(Recognised { verdict, at: trace.wall(w.now.mono) });
        if verdict.cause().is_some() {
            self.journal(w);
        }
        let cause = verdict.cause().filter(|_| verdict.certain);
        // RFC 3261 §13.2.2.4: another one may still answer.
        let cause = cause.filter(|_| !self.ear.forked);
        match (w.config.hearing.release, cause) {
            (Release::Certain, Some(cause)) => self.hopeless(w, trace, (verdict, cause), like),
            (Release::Never, _) | (_, None) => None,
        }
    }

    /// Gives the attempt up, for what was heard: the next carrier is asked where it may do better.
    fn hopeless(
        &mut self,
        w: &mut World,
        trace: &mut Trace,
        (verdict, cause): (Recognition, u8),
        like: &[Codec],
    ) -> Option<LegEvent> {
        let Stage::Inviting(forks) = &self.stage else { return None };
        let kind = verdict.kind().unwrap_or(Kind::Unreachable);
        let reason = Reason::q850(u16::from(cause), kind.row().label);
        let hops: Vec<_> = forks.iter().map(|fork| Arc::clone(&fork.hop)).collect();
        for hop in hops {
            missed(w, self.id, &hop, Miss::Heard(cause));
        }
        let Stage::Inviting(forks) = &mut self.stage else { return None };
        let old = forks.cancel(w, Some(&reason));
        self.given_up.extend(&old);
        if verdict.sounded.is_elsewhere() {
            let trunk = self.trunk;
            self.hops.retain(|hop| hop.trunk != trunk);
            if self.next_hop(w) {
                for session in &old {
                    w.sessions.remove(session);
                }
                return self.invited_anew(w, trace, like);
            }
        }
        let failure = Failure::new(self.origin(), kind);
        self.facts.q850 = Some(cause);
        self.refusal = Some(isdn::passed_on(kind, kind.row().sip, Some(cause)));
        let ended = trace.wall(w.now.mono);
        self.down(w, trace, ended, refuser(self.side, failure), Some(failure));
        Some(LegEvent::Failed(failure))
    }

    /// Asks the next carrier after the last one was heard.
    pub(super) fn invited_anew(
        &mut self,
        w: &mut World,
        trace: &mut Trace,
        like: &[Codec],
    ) -> Option<LegEvent> {
        let heard = self.sounded;
        self.invite(w, trace, like).or(heard.then_some(LegEvent::Anew))
    }
}
