//! Somebody calls in, not to begin a call but to take a place in one that there is: that of a leg that talks
//! (Replaces, RFC 3891), of one that rings (pick-up, RFC 5359 §2.16), or of whoever has parked the call.
//!
//! The INVITE becomes one more leg. It costs nothing, as no leg does by which somebody calls us; who pays for
//! the call is as before. Its port is opened, its offer read, and only then does the flow give it the place.

use facts::LegNo;

use crate::call::{Call, Phase};
use crate::event::{Input, Place};
use crate::leg::{Arrival, Leg};
use crate::world::World;

/// Whoever called in, until his port is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seat {
    /// His leg.
    new: LegNo,
    /// Whose place he wants.
    old: LegNo,
    place: Place,
}

impl Call {
    /// Whoever called in gets a leg. False when this call can have no more.
    pub(crate) fn admit(
        &mut self,
        w: &mut World,
        arrival: Arrival,
        (old, place): (LegNo, Place),
    ) -> bool {
        let Some(new) = self.next_leg().filter(|_| matches!(self.phase, Phase::Live)) else {
            return false;
        };
        let id = facts::LegId::new(self.id, new);
        let side = match &self.transfer {
            Some(wanted) if !self.pair.contains(&old) => self.side_of(wanted.by),
            _ => self.side_of(old),
        };
        let mut leg = Leg::arrived(w, &mut self.trace, id, arrival);
        leg.side = side;
        self.legs.push(Some(leg));
        self.seats.push(Seat { new, old, place });
        self.with(new, |leg, trace| leg.admitted(w, trace));
        true
    }

    /// A leg has its port: the flow hears of it if it is one that called in, and still waits.
    pub(crate) fn take_seat(&mut self, no: LegNo) {
        let Some(at) = self.seats.iter().position(|seat| seat.new == no) else { return };
        let Seat { new, old, place } = self.seats.remove(at);
        if self.leg(no).is_some_and(Leg::is_waiting) {
            self.inbox.push_back(Input::Take { old, new, place });
        }
    }
}
