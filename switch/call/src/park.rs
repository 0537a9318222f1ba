//! A call that is parked: one of two has sent the other one to wait until somebody takes the call, and goes
//! back to whoever parked it when nobody does (RFC 5359 §2.15). Where he is at something else by then, it waits for the end of
//! that, but not for ever: then his phone rings all the same, and says what becomes of it.

use std::time::Duration;

use facts::{Kind, LegNo, Number};

use crate::call::{Call, Phase};
use crate::event::{Input, ours};
use crate::flow::Talk;
use crate::leg::Onward;
use crate::route;
use crate::timers::{Key, Timer};
use crate::transfer::{Wanted, called};
use crate::world::World;

/// How long a parked call waits before it looks again whether who parked it is free, and how often.
const PUT_OFF: Duration = Duration::from_secs(10);
const PUT_OFF_MAX: u32 = 12;

impl Call {
    /// The extension at which this call is parked.
    pub(crate) fn parked_at(&self) -> Option<(&str, LegNo)> {
        let by = self.plan.flow.talk().and_then(Talk::parked_by)?;
        match (&self.leg(by)?.facts.number, &self.phase) {
            (Number::Internal(user), Phase::Live) => Some((user, by)),
            _ => None,
        }
    }

    /// Parks the call for one of the two who talk; `told`: he wants to know what becomes of it.
    pub(crate) fn park(&mut self, w: &mut World, by: LegNo, (cseq, told): (u32, bool)) {
        self.put_off = 0;
        w.timers.set(Key::call(self.id, Timer::Park), w.now.mono + w.config.park);
        self.with(by, |leg, _| leg.referred(w, cseq, told));
        self.feed(w, Input::Park { by });
    }

    /// Nobody took it in time.
    pub(crate) fn recall(&mut self, w: &mut World) {
        let Some((user, by)) = self.parked_at() else { return };
        let is_at_it = w.agents.legs(user).any(|leg| leg.call != self.id);
        if is_at_it && self.put_off < PUT_OFF_MAX {
            self.put_off += 1;
            w.timers.set(Key::call(self.id, Timer::Park), w.now.mono + PUT_OFF);
            return;
        }
        let number = Number::Internal(user.to_owned());
        let snapshot = w.snapshot.clone();
        let payer = (&number, self.command.merchant);
        let target = route::target(&snapshot, |user| w.registrar.registered(user), payer);
        let stays = self.leg(self.other(by)).filter(|leg| leg.is_there());
        let (Some(target), Some(to), Some(stays)) = (target, self.next_leg(), stays) else {
            self.feed(w, Input::Cut(ours(Kind::NoAnswer)));
            return;
        };
        let shown = self.shown_beside(&snapshot, &target, stays);
        let hidden = self.plan.onward.hidden && stays.id.no == LegNo::A;
        let onward = Onward { hidden, ..Onward::default() };
        let called = called(target.number(), number.digits().to_owned(), onward);
        self.legs.push(None);
        let asks = Some(number.digits().to_owned());
        self.transfer = Some(Wanted { by, asks, to, target, called, shown });
        self.feed(w, Input::Transfer { by, to });
    }
}
