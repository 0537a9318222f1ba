//! How a call ends: when all its legs are down and its files are closed, its facts are put on record, and again until
//! they are.

use std::time::Duration;

use facts::{CallFacts, Kind, Outcome, Side};

use super::{Call, Phase, Plan};
use crate::event::{Effect, ours};
use crate::leg::Leg;
use crate::timers::{Key, Timer};
use crate::world::World;

/// First pause before facts that were not written are sent again; doubles.
const SETTLE_AGAIN: Duration = Duration::from_secs(1);
/// Longest such pause, and the pause after facts of which nothing was heard.
const SETTLE_AGAIN_MAX: Duration = Duration::from_secs(30);

impl Call {
    /// Takes the steps to the record that can be taken now.
    pub(super) fn close(&mut self, w: &mut World) {
        let ending = self.plan.flow.ending();
        if ending {
            self.end_tape(w);
        }
        for leg in self.legs.iter_mut().flatten() {
            leg.close(w);
        }
        if !ending || !matches!(self.phase, Phase::Live | Phase::Closing) {
            return;
        }
        if !self.legs.iter().flatten().all(Leg::is_down) {
            return;
        }
        if matches!(self.phase, Phase::Live) {
            self.phase = Phase::Closing;
            w.timers.cancel_call(self.id);
            w.timers.set(Key::call(self.id, Timer::Close), w.now.mono + w.config.close);
        }
        let quiet = !self.tape.is_closing();
        if quiet && self.ties.is_empty() && self.legs.iter().flatten().all(Leg::is_closed) {
            self.settle(w);
        }
    }

    pub(super) fn settle(&mut self, w: &mut World) {
        if !matches!(self.phase, Phase::Closing) {
            return;
        }
        w.timers.cancel_call(self.id);
        let legs: Vec<_> = self
            .legs
            .iter()
            .flatten()
            .filter(|leg| leg.attempted)
            .map(|leg| leg.facts.clone())
            .collect();
        let now = self.trace.wall(w.now.mono);
        // Who came by their scenarios may carry a conference on that all legs have left.
        let ended = legs.iter().filter_map(|leg| leg.ended).chain(self.last_guest_left());
        let (outcome, released_by) =
            self.decided.unwrap_or((Outcome::Failed(ours(Kind::Internal)), Side::Platform));
        let (recording, message) = self.message(w, self.tape.file());
        let facts = CallFacts {
            call: self.id,
            command: self.command.clone(),
            placed: self.placed,
            bridged: self.bridged,
            ended: ended.max().unwrap_or(now),
            outcome,
            released_by,
            legs,
            unrung: std::mem::take(&mut self.unrung),
            recording,
            unrecorded: self.tape.unrecorded(),
            message,
            mailbox: self.mailbox.as_ref().map(|mailbox| mailbox.user().to_owned()),
            collected: std::mem::take(&mut self.collected),
        };
        self.put_on_record(w, facts);
    }

    pub(super) fn put_on_record(&mut self, w: &mut World, facts: CallFacts) {
        w.emit(Effect::Settle(Box::new(facts.clone())));
        self.phase = Phase::Settling { facts: Box::new(facts), tries: 0 };
        w.timers.set(Key::call(self.id, Timer::Settle), w.now.mono + SETTLE_AGAIN_MAX);
    }

    /// The facts were not written: later again, and again.
    pub(crate) fn settle_failed(&mut self, w: &mut World) {
        if let Phase::Settling { tries, .. } = &mut self.phase {
            let pause = SETTLE_AGAIN_MAX.min(SETTLE_AGAIN * 2_u32.pow((*tries).min(5)));
            *tries += 1;
            w.timers.set(Key::call(self.id, Timer::Settle), w.now.mono + pause);
        }
    }

    pub(super) fn settle_again(&mut self, w: &mut World) {
        if let Phase::Settling { facts, .. } = &self.phase {
            w.emit(Effect::Settle(facts.clone()));
            // The store takes the same facts once, however often it is told: no answer is no end.
            w.timers.set(Key::call(self.id, Timer::Settle), w.now.mono + SETTLE_AGAIN_MAX);
        }
    }

    /// A call of the last process, whose facts are all that is left of it.
    pub(crate) fn closed(w: &mut World, facts: CallFacts, plan: Plan) -> Call {
        let mut call = Call::new(w, facts.call, facts.command.clone(), plan, None);
        call.placed = facts.placed;
        call.bridged = facts.bridged;
        call.put_on_record(w, facts);
        call
    }
}
