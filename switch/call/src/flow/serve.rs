//! A code that an extension dials: what it asks for is written down, a tone says so, and the call is over. There
//! is no other leg, and nothing to pay.

use facts::{Failure, Kind, LegNo, Outcome, Side};

use crate::event::{Hear, Input, LegEvent, Order, Release, ours};

use super::{origin, too_late};

/// Where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Serve {
    /// The store is asked.
    Asking,
    /// It is done, and A hears so.
    Telling,
    /// A goes down.
    Ending,
}

impl Serve {
    /// The first state and its orders.
    pub(crate) fn start(out: &mut Vec<Order>) -> Serve {
        out.push(Order::Serve);
        Serve::Asking
    }

    /// The state's name for operators.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Serve::Asking | Serve::Telling => "serving",
            Serve::Ending => "ending",
        }
    }

    /// One input.
    pub(crate) fn step(self, input: Input, out: &mut Vec<Order>) -> Serve {
        match (self, input) {
            (_, Input::Take { new, .. }) => {
                too_late(new, out);
                self
            }
            (Serve::Ending, _) => self,
            (Serve::Asking, Input::Served(true)) => {
                out.push(Order::Accept(LegNo::A));
                out.push(Order::Hear(LegNo::A, Hear::Done));
                Serve::Telling
            }
            (Serve::Asking, Input::Served(false)) => end(ours(Kind::Internal), out),
            (Serve::Asking, Input::Leg(LegNo::A, LegEvent::HungUp)) => {
                end(Failure::new(origin(LegNo::A), Kind::Abandoned), out)
            }
            (Serve::Telling, Input::Leg(LegNo::A, LegEvent::PromptOver)) => {
                done(Side::Platform, out)
            }
            (Serve::Telling, Input::Leg(LegNo::A, LegEvent::HungUp)) => done(Side::Caller, out),
            (_, Input::Leg(LegNo::A, LegEvent::Lost(failure) | LegEvent::Failed(failure))) => {
                end(failure, out)
            }
            (_, Input::Cut(failure)) => end(failure, out),
            (Serve::Asking | Serve::Telling, _) => self,
        }
    }
}

fn done(by: Side, out: &mut Vec<Order>) -> Serve {
    out.push(Order::Decide(Outcome::Completed, by));
    out.push(Order::Release(LegNo::A, Release { by, failure: None }));
    Serve::Ending
}

fn end(failure: Failure, out: &mut Vec<Order>) -> Serve {
    let by = if failure.kind == Kind::Abandoned { Side::Caller } else { Side::Platform };
    out.push(Order::Decide(Outcome::Failed(failure), by));
    out.push(Order::Release(LegNo::A, Release { by, failure: Some(failure) }));
    Serve::Ending
}
