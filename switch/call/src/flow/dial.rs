//! An inbound call: A called us, B is rung, A is answered when B answers.

use facts::{Failure, Kind, LegNo, Outcome, Side};

use crate::event::{Hear, Input, LegEvent, Order, Place, Release};

use super::{Talk, cut, origin, refuser, side, taken, talk, too_late};

/// Where an inbound call stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dial {
    /// B is being rung; A waits.
    DialingB {
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
        Dial::DialingB { early: false }
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
            Dial::DialingB { early } => dialing_b(early, input, out),
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

fn dialing_b(early: bool, input: Input, out: &mut Vec<Order>) -> Dial {
    match input {
        Input::Leg(LegNo::B, LegEvent::Ringing) => {
            // RFC 3960 §3.2: a 180 after early sound changes nothing for A.
            if !early {
                out.push(Order::Alert(LegNo::A));
            }
            Dial::DialingB { early }
        }
        Input::Leg(LegNo::B, LegEvent::EarlyMedia) => {
            out.push(Order::Early(LegNo::A));
            out.push(Order::Hear(LegNo::A, Hear::Leg(LegNo::B)));
            Dial::DialingB { early: true }
        }
        Input::Leg(LegNo::B, LegEvent::Answered) => {
            out.push(Order::Accept(LegNo::A));
            out.push(Order::Join);
            Dial::Bridged(Talk::TWO)
        }
        Input::Leg(LegNo::B, LegEvent::Failed(failure) | LegEvent::Lost(failure)) => {
            let by = refuser(side(LegNo::B), failure);
            out.push(Order::Decide(Outcome::Failed(failure), by));
            out.push(Order::Release(LegNo::B, Release { by, failure: Some(failure) }));
            // Still waiting for its answer: the row's status and cause (RFC 3398 §8.2.6.1).
            out.push(Order::Release(LegNo::A, Release { by, failure: Some(failure) }));
            Dial::Ending
        }
        Input::Leg(LegNo::B, LegEvent::HungUp) => {
            talk::over(side(LegNo::B), LegNo::A, out);
            Dial::Ending
        }
        Input::Leg(LegNo::A, LegEvent::HungUp) => {
            let failure = Failure::new(origin(LegNo::A), Kind::Abandoned);
            out.push(Order::Decide(Outcome::Failed(failure), Side::Caller));
            out.push(Order::Release(LegNo::A, Release { by: Side::Caller, failure: None }));
            out.push(Order::Release(
                LegNo::B,
                Release { by: Side::Caller, failure: Some(failure) },
            ));
            Dial::Ending
        }
        Input::Leg(LegNo::A, LegEvent::Failed(failure) | LegEvent::Lost(failure)) => {
            talk::lost(LegNo::A, LegNo::B, failure, out);
            Dial::Ending
        }
        Input::Cut(failure) => {
            cut(failure, out);
            Dial::Ending
        }
        Input::Take { old: LegNo::B, new, place: Place::Ringing } => {
            let talk = taken(new, out);
            out.push(Order::Accept(LegNo::A));
            out.push(Order::Join);
            Dial::Bridged(talk)
        }
        Input::Take { new, .. } => {
            too_late(new, out);
            Dial::DialingB { early }
        }
        Input::Leg(..) | Input::Transfer { .. } | Input::Park { .. } => Dial::DialingB { early },
    }
}
