//! An inbound call: A called us, B is rung, A is answered when B answers.

use facts::{Failure, Kind, LegNo, Outcome, Side};

use crate::event::{Hear, Input, LegEvent, Order, Place, Release};

use super::{Talk, cut, origin, refuser, side, taken, talk, too_late};

/// Where an inbound call stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dial {
    /// B is being rung; A waits.
    DialingB {
        /// B, or who has taken its place.
        to: LegNo,
        /// A hears B's network.
        early: bool,
    },
    /// Two talk.
    Bridged(Talk),
    /// The outcome is known; the legs go down.
    Ending,
}

impl Dial {
    /// The first state and its orders.
    pub(crate) fn start(out: &mut Vec<Order>) -> Dial {
        out.push(Order::Dial(LegNo::B));
        Dial::DialingB { to: LegNo::B, early: false }
    }

    /// The state's name for operators.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Dial::DialingB { .. } => "dialing_b",
            Dial::Bridged(_) => "bridged",
            Dial::Ending => "ending",
        }
    }

    /// One input.
    pub(crate) fn step(self, input: Input, out: &mut Vec<Order>) -> Dial {
        match self {
            Dial::DialingB { to, early } => dialing_b((to, early), input, out),
            Dial::Bridged(talk) => talk.step(input, out).map_or(Dial::Ending, Dial::Bridged),
            Dial::Ending => {
                if let Input::Take { new, .. } = input {
                    too_late(new, out);
                }
                self
            }
        }
    }
}

/// Whoever was rung does not come.
fn refused(to: LegNo, failure: Failure, out: &mut Vec<Order>) {
    let by = refuser(side(to), failure);
    out.push(Order::Decide(Outcome::Failed(failure), by));
    out.push(Order::Release(to, Release { by, failure: Some(failure) }));
    // Still waiting for its answer: the row's status and cause (RFC 3398 §8.2.6.1).
    out.push(Order::Release(LegNo::A, Release { by, failure: Some(failure) }));
}

/// Whoever calls does not wait any longer.
fn abandoned(to: LegNo, out: &mut Vec<Order>) {
    let failure = Failure::new(origin(LegNo::A), Kind::Abandoned);
    out.push(Order::Decide(Outcome::Failed(failure), Side::Caller));
    out.push(Order::Release(LegNo::A, Release { by: Side::Caller, failure: None }));
    out.push(Order::Release(to, Release { by: Side::Caller, failure: Some(failure) }));
}

fn dialing_b((to, early): (LegNo, bool), input: Input, out: &mut Vec<Order>) -> Dial {
    match input {
        Input::Leg(leg, rings @ (LegEvent::Ringing | LegEvent::RingsOn)) if leg == to => {
            // RFC 3960 §3.2: a 180 after early sound changes nothing for A.
            if !early || rings == LegEvent::RingsOn {
                out.push(Order::Alert(LegNo::A));
            }
            Dial::DialingB { to, early }
        }
        Input::Leg(leg, LegEvent::EarlyMedia) if leg == to => {
            out.push(Order::Early(LegNo::A));
            out.push(Order::Hear(LegNo::A, Hear::Leg(to)));
            Dial::DialingB { to, early: true }
        }
        // Whoever calls has heard that network already: from us, until the next one is heard.
        Input::Leg(leg, LegEvent::Anew) if leg == to => {
            if early {
                out.push(Order::Hear(LegNo::A, Hear::RingBack));
            }
            Dial::DialingB { to, early }
        }
        Input::Leg(leg, LegEvent::Answered) if leg == to => {
            out.push(Order::Accept(LegNo::A));
            out.push(Order::Join);
            Dial::Bridged(Talk::with(to))
        }
        Input::Leg(leg, LegEvent::Failed(failure) | LegEvent::Lost(failure)) if leg == to => {
            refused(to, failure, out);
            Dial::Ending
        }
        Input::Leg(leg, LegEvent::HungUp) if leg == to => {
            talk::over(side(to), LegNo::A, out);
            Dial::Ending
        }
        Input::Leg(LegNo::A, LegEvent::HungUp) => {
            abandoned(to, out);
            Dial::Ending
        }
        Input::Leg(LegNo::A, LegEvent::Failed(failure) | LegEvent::Lost(failure)) => {
            talk::lost(LegNo::A, to, failure, out);
            Dial::Ending
        }
        Input::Diverted { to } => {
            if early {
                out.push(Order::Hear(LegNo::A, Hear::RingBack));
            }
            out.push(Order::Add(to));
            Dial::DialingB { to, early }
        }
        Input::Cut(failure) => {
            cut(failure, to, out);
            Dial::Ending
        }
        Input::Take { old, new, place: Place::Ringing } if old == to => {
            let talk = taken(old, new, out);
            out.push(Order::Accept(LegNo::A));
            out.push(Order::Join);
            Dial::Bridged(talk)
        }
        Input::Take { new, .. } => {
            too_late(new, out);
            Dial::DialingB { to, early }
        }
        Input::Leg(..)
        | Input::Transfer { .. }
        | Input::Park { .. }
        | Input::Served(_)
        | Input::Waited
        | Input::Fetched(_)
        | Input::Visit(_)
        | Input::Menu(_)
        | Input::Told { .. }
        | Input::Room(_)
        | Input::Mail(_) => Dial::DialingB { to, early },
    }
}
