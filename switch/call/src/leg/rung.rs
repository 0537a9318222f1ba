//! What whoever follows the call is told of each extension whose phones ring for a leg: that it rings, that it has
//! answered, that it is over; each once, whatever becomes of its phones. The store makes up for what a crash leaves
//! untold.

use std::sync::Arc;

use facts::record::LegState;

use crate::trace::Trace;
use crate::world::World;

use super::Leg;

/// Extensions of one leg that are told of at most.
const RUNG_MAX: usize = 256;

/// An extension that was told to ring.
#[derive(Clone, Debug)]
pub(super) struct Rung {
    user: Arc<str>,
    answered: bool,
    gone: bool,
}

impl Leg {
    /// A phone of an extension rings.
    pub(super) fn rings_told(&mut self, w: &mut World, trace: &Trace, user: Option<Arc<str>>) {
        let Some(user) = user.filter(|_| trace.follows_extensions()) else { return };
        let known = self.rung.iter().any(|rung| rung.user == user);
        let Ok(nth) = u8::try_from(self.rung.len()) else { return };
        if known || self.rung.len() >= RUNG_MAX {
            return;
        }
        trace.tell(w, &self.facts, (&user, nth), LegState::Alerting);
        self.rung.push(Rung { user, answered: false, gone: false });
    }

    /// A phone of whoever is on the leg now has answered; it may not have said that it rings.
    pub(super) fn answered_by(&mut self, w: &mut World, trace: &Trace) {
        if !trace.follows_extensions() {
            return;
        }
        for user in self.agents.clone() {
            self.rings_told(w, trace, Some(user));
        }
        for (nth, rung) in (0..=u8::MAX).zip(&mut self.rung) {
            if !rung.answered && !rung.gone && self.agents.contains(&rung.user) {
                rung.answered = true;
                trace.tell(w, &self.facts, (&rung.user, nth), LegState::Answer);
            }
        }
    }

    /// Those that neither ring nor talk any more are told of as gone.
    pub(crate) fn let_go(&mut self, w: &mut World, trace: &Trace) {
        for (nth, rung) in (0..=u8::MAX).zip(&mut self.rung) {
            if !rung.gone && !self.agents.contains(&rung.user) {
                rung.gone = true;
                trace.tell(w, &self.facts, (&rung.user, nth), LegState::Disconnect);
            }
        }
    }
}
