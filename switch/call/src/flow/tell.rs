//! Whoever called us reaches nobody by what he dialled: he hears so before any answer, so that it costs him nothing,
//! and is refused. There is no other leg, and nothing to pay.

use facts::{Failure, Kind, LegNo, Outcome, Side};

use crate::event::{Hear, Input, LegEvent, Order, Release, ours};

use super::{origin, prompt, too_late};

/// Where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tell {
    /// A hears it.
    Telling,
    /// A goes down.
    Ending,
}

/// What he is told: by words, and by the status at their end.
const WHY: Kind = Kind::Unallocated;

impl Tell {
    /// The first state and its orders.
    pub(crate) fn start(out: &mut Vec<Order>) -> Tell {
        let Some(name) = prompt(WHY) else { return end(ours(WHY), out) };
        out.push(Order::Early(LegNo::A));
        out.push(Order::Hear(LegNo::A, Hear::Prompt(name)));
        Tell::Telling
    }

    /// The state's name for operators.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Tell::Telling => "telling",
            Tell::Ending => "ending",
        }
    }

    /// One input.
    pub(crate) fn step(self, input: Input, out: &mut Vec<Order>) -> Tell {
        match (self, input) {
            (_, Input::Take { new, .. }) => {
                too_late(new, out);
                self
            }
            (Tell::Ending, _) => self,
            (Tell::Telling, Input::Leg(LegNo::A, LegEvent::PromptOver)) => end(ours(WHY), out),
            (Tell::Telling, Input::Leg(LegNo::A, LegEvent::HungUp)) => {
                end(Failure::new(origin(LegNo::A), Kind::Abandoned), out)
            }
            (
                Tell::Telling,
                Input::Leg(LegNo::A, LegEvent::Lost(failure) | LegEvent::Failed(failure))
                | Input::Cut(failure),
            ) => end(failure, out),
            (Tell::Telling, _) => self,
        }
    }
}

fn end(failure: Failure, out: &mut Vec<Order>) -> Tell {
    let by = if failure.kind == Kind::Abandoned { Side::Caller } else { Side::Platform };
    out.push(Order::Decide(Outcome::Failed(failure), by));
    out.push(Order::Release(LegNo::A, Release { by, failure: Some(failure) }));
    Tell::Ending
}
