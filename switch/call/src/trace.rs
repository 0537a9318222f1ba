//! What a call leaves behind while it lives: one clock for all its times, one sequence for its states.

use std::time::Instant;

use facts::record::LegState;
use facts::{CallId, LegFacts, LegId, Now, StateChange, UnixMillis};

use crate::event::Effect;
use crate::world::World;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Trace {
    pub(crate) call: CallId,
    base: Now,
    sequence: u32,
}

impl Trace {
    pub(crate) fn new(call: CallId, base: Now) -> Trace {
        Trace { call, base, sequence: 0 }
    }

    /// Goes on counting after a restart.
    pub(crate) fn resume(call: CallId, base: Now, sequence: u32) -> Trace {
        Trace { call, base, sequence }
    }

    /// Wall time of an instant, by the monotonic clock since the call was placed: a wall clock that is
    /// set during the call changes neither its durations nor its price.
    pub(crate) fn wall(&self, at: Instant) -> UnixMillis {
        self.base.wall + at.saturating_duration_since(self.base.mono)
    }

    pub(crate) fn notify(&mut self, w: &mut World, facts: &LegFacts, state: LegState) {
        let change = StateChange {
            leg: LegId::new(self.call, facts.no),
            sequence: self.sequence,
            state,
            number: facts.as_sent.clone(),
            shown: facts.shown.clone(),
            at: self.wall(w.now.mono),
        };
        self.sequence += 1;
        w.emit(Effect::Notify(change));
    }
}
