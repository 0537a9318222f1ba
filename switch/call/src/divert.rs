//! A call whose leg nobody took is led on: to whom the extension or the group says, by a leg of its own that is
//! admitted, priced, paid and put on record like every other.

use std::sync::Arc;

use facts::{Failure, Kind, LegNo};

use crate::call::{Call, Phase};
use crate::event::{Input, LegEvent, ours};
use crate::leg::Called;
use crate::route::{Target, Trail};
use crate::transfer::Wanted;
use crate::world::World;

/// Legs that one call has in its life at most.
pub(crate) const LEGS_MAX: usize = 8;

/// A leg has failed, and its extension or group wants the call to go elsewhere.
pub(crate) struct Wish {
    pub(crate) leg: LegNo,
    /// Why it has failed; `None`: nobody was rung yet.
    pub(crate) failure: Option<Failure>,
    /// How it goes on from there.
    pub(crate) trail: Trail,
    pub(crate) number: facts::Number,
    /// Instead of the number: extensions that are rung one after the other.
    pub(crate) among: Option<Arc<[String]>>,
}

impl Call {
    /// Whether a failure is not the last word: then the engine is asked, and the flow hears of it later.
    pub(crate) fn holds_back(&mut self, w: &World, input: Input) -> bool {
        let Input::Leg(leg, LegEvent::Failed(failure)) = input else { return false };
        let rung = self.plan.flow.rings() == Some(leg) && matches!(self.phase, Phase::Live);
        if !rung || self.next_leg().is_none() {
            return false;
        }
        let mut trail = self.plan.trail.clone();
        let Some(number) = trail.next(&w.snapshot, failure.kind) else { return false };
        self.wish = Some(Wish { leg, failure: Some(failure), trail, number, among: None });
        true
    }

    /// It may: a new leg takes the place of the one that failed.
    pub(crate) fn divert(
        &mut self,
        w: &mut World,
        wish: Wish,
        (target, called, shown): (Target, Called, Option<facts::Number>),
    ) {
        let Ok(to) = u8::try_from(self.legs.len()).map(LegNo) else { return };
        self.legs.push(None);
        self.pair = [LegNo::A, to];
        // What it had to ring and to talk begins anew.
        self.live_for(w, called.ring);
        self.plan.trail = wish.trail;
        let asks = self.plan.trail.led_by().map(str::to_owned);
        self.transfer = Some(Wanted { by: wish.leg, asks, to, target, called, shown });
        self.inbox.push_front(Input::Diverted { to });
        self.run(w);
    }

    /// It may not: what failed has failed.
    pub(crate) fn not_diverted(&mut self, w: &mut World, wish: &Wish, why: Kind) {
        let failure = wish.failure.unwrap_or(ours(why));
        self.step(w, Input::Leg(wish.leg, LegEvent::Failed(failure)));
        self.run(w);
    }
}
