//! Two calls become one conversation: whoever was in both has left them, and the ones who stay talk on over
//! what he leaves behind (attended transfer, RFC 5589 §7).
//!
//! ```text
//!   call 1:  X ──── T            X ──── ┐ port
//!                          ►            │ ports that speak to each other
//!   call 2:  Y ──── T            Y ──── ┘ port
//! ```
//!
//! His legs end for signalling and for the bill, but their ports stay: each is told that its far end is the
//! other one. Nothing else of the two calls changes: each has its own legs, holds, limits, recording and record,
//! and when one ends its port goes, and with it the other call.

use std::net::SocketAddr;

use facts::media::{Codec, Family};
use facts::{LegId, LegNo};

use crate::call::{Call, Phase};
use crate::event::{Hear, Input, LegEvent, Report};
use crate::leg::Leg;
use crate::world::World;

/// Calls in one conversation at most: whoever is put through again and again ends here.
pub(crate) const CHAIN_MAX: usize = 4;

/// One end of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct End {
    /// The leg that leaves.
    pub(crate) leg: LegId,
    /// Its port.
    pub(crate) local: SocketAddr,
    /// What whoever stays there speaks best.
    pub(crate) codec: Option<Codec>,
}

/// The codec of a link: what both speak best, or else A-law, which each of the two ports turns into its own.
pub(crate) fn common(one: &End, two: &End) -> Codec {
    one.codec.filter(|codec| two.codec == Some(*codec)).unwrap_or(Codec::Pcma)
}

/// Whether the two ports can speak to each other: each turns what its far end speaks into what the link
/// carries, unless that is what both speak.
pub(crate) fn fit(one: &End, two: &End) -> bool {
    let turns = |end: &End| end.codec.is_none_or(Codec::transcodes);
    Family::of(one.local.ip()) == Family::of(two.local.ip())
        && (one.codec == two.codec || turns(one) && turns(two))
}

impl Call {
    /// This leg as the end of a link: whoever is on it may leave, because the other one talks, or is rung or
    /// listens meanwhile.
    pub(crate) fn end_of_link(&self, no: LegNo) -> Option<End> {
        let leg = self.leg(no).filter(|_| matches!(self.phase, Phase::Live))?;
        // What a room says cannot be led on to another call.
        if self.monitor.is_some() {
            return None;
        }
        let talks = match self.plan.flow.talk() {
            Some(talk) => {
                talk.is_plain()
                    && self.pair.contains(&no)
                    && self.leg(self.other(no)).is_some_and(Leg::is_there)
            }
            None => no == LegNo::A && self.plan.flow.dials_b(),
        };
        let local = leg.local().filter(|_| talks && leg.may_leave())?;
        Some(End { leg: leg.id, local, codec: self.like(no).first().copied() })
    }

    /// The legs of this call that lead to others.
    pub(crate) fn links(&self) -> impl Iterator<Item = LegId> {
        self.legs.iter().flatten().filter_map(Leg::leads_to)
    }

    /// Whoever is on this leg leaves, and what he leaves leads to the other end.
    pub(crate) fn link(&mut self, w: &mut World, no: LegNo, other: &End, codec: Codec) {
        self.report(w, no, Report::Answered);
        self.with(no, |leg, trace| {
            leg.facts.replaced_by = Some(other.leg);
            leg.link(w, trace, other, codec);
        });
        self.tape.forget(no);
        if self.plan.flow.rings_unheard() {
            // Whoever called makes the tone himself; who is put through does not.
            let language = self.plan.language.clone();
            self.with(no, |leg, _| leg.hear(w, Hear::RingBack, &language));
        }
        let stays = self.other(no);
        if self.leg(no).is_some_and(Leg::lets_wait) {
            self.hear_leg(w, stays, no);
        }
        // A hold that he had asked for ends with him.
        let like = self.like(stays);
        self.with(stays, |leg, _| leg.resume(w, &like));
        self.ask_first(w);
    }

    /// The other end of a link is gone.
    pub(crate) fn unlinked(&mut self, w: &mut World, no: LegNo) {
        if self.untied(w, no) {
            return;
        }
        let mut gone = false;
        self.with(no, |leg, _| gone = leg.unlinked());
        if gone {
            self.feed(w, Input::Leg(no, LegEvent::HungUp));
        }
    }
}
