//! What a call leaves behind while it lives: one clock for all its times, one number for each state of
//! each leg.

use std::time::Instant;

use facts::record::LegState;
use facts::{
    CallCommand, CallId, Dialect, LegFacts, LegId, LegNo, Now, Push, PushKind, StateChange,
    UnixMillis, Unrung,
};

use crate::event::Effect;
use crate::world::World;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Trace {
    pub(crate) call: CallId,
    base: Now,
    /// Somebody wants to hear of each state: most dialects tell the end alone, and what nobody waits for
    /// is not written.
    told: bool,
    /// The same on our own surface, which tells of whom nobody rang as well.
    listed: bool,
    /// The same of each extension that rings.
    extensions: bool,
}

impl Trace {
    pub(crate) fn new(call: CallId, base: Now, command: &CallCommand) -> Trace {
        let wants = |kind| command.pushes.iter().any(|push| push.kind == kind);
        let (told, extensions) = (wants(PushKind::State), wants(PushKind::Extension));
        let ours = |push: &Push| push.dialect == Dialect::Rest && push.kind == PushKind::State;
        let listed = command.pushes.iter().any(ours);
        Trace { call, base, told, listed, extensions }
    }

    /// Wall time of an instant, by the monotonic clock since the call was placed: a wall clock that is
    /// set during the call changes neither its durations nor its price.
    pub(crate) fn wall(&self, at: Instant) -> UnixMillis {
        self.base.wall + at.saturating_duration_since(self.base.mono)
    }

    pub(crate) fn notify(&self, w: &mut World, facts: &LegFacts, state: LegState) {
        if !self.told {
            return;
        }
        let change = StateChange {
            leg: LegId::new(self.call, facts.no),
            sequence: number(facts.no, state),
            state,
            number: facts.as_sent.clone(),
            shown: facts.shown.clone(),
            at: self.wall(w.now.mono),
            extension: None,
        };
        w.emit(Effect::Notify(change));
    }

    /// Somebody was to be rung and was not, the `nth` of these.
    pub(crate) fn unrung(&self, w: &mut World, nth: usize, unrung: &Unrung) {
        if !self.listed {
            return;
        }
        let change = StateChange {
            leg: LegId::new(self.call, unrung.leg),
            sequence: StateChange::sequence_of_unrung(nth),
            state: LegState::Unrung(unrung.failure),
            number: unrung.as_sent.clone(),
            shown: String::new(),
            at: unrung.at,
            extension: None,
        };
        w.emit(Effect::Notify(change));
    }

    /// True when somebody wants to hear of each extension that rings.
    pub(crate) fn follows_extensions(&self) -> bool {
        self.extensions
    }

    /// The extension that was the `nth` to ring for a leg has reached a state.
    pub(crate) fn tell(
        &self,
        w: &mut World,
        facts: &LegFacts,
        (user, nth): (&str, u8),
        state: LegState,
    ) {
        let change = StateChange {
            leg: LegId::new(self.call, facts.no),
            sequence: StateChange::sequence_of(facts.no, nth, state),
            state,
            number: user.to_owned(),
            shown: facts.shown.clone(),
            at: self.wall(w.now.mono),
            extension: Some(user.to_owned()),
        };
        w.emit(Effect::Notify(change));
    }
}

/// The same state of the same leg has the same number in every life of the process, so that the store
/// takes it once although a restart tells it again.
fn number(no: LegNo, state: LegState) -> u32 {
    u32::from(no.0) * 4 + state.rank()
}
