//! Nobody took the call, and whoever was called wants to be told what it was about: A is answered, hears a greeting
//! and a tone, and what it says then is kept. There is no other leg.

use facts::{Failure, Kind, LegNo, Outcome, Side};

use crate::event::{Hear, Input, LegEvent, Order, Release};

use super::{origin, too_late};

/// Where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Voicemail {
    /// A hears whom it has reached.
    Greeting,
    /// A hears that it may speak.
    Tone,
    /// A speaks.
    Taping,
    /// A goes down.
    Ending,
}

/// What A is greeted with (file name of the prompt store).
pub(crate) const GREETING: &str = "voicemail-greeting";
/// Who presses this has said what was to be said.
const DONE_KEY: char = '#';

impl Voicemail {
    /// The first state and its orders.
    pub(crate) fn start(out: &mut Vec<Order>) -> Voicemail {
        out.push(Order::Accept(LegNo::A));
        out.push(Order::Hear(LegNo::A, Hear::Prompt(GREETING)));
        Voicemail::Greeting
    }

    /// The state's name for operators.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Voicemail::Greeting | Voicemail::Tone | Voicemail::Taping => "voicemail",
            Voicemail::Ending => "ending",
        }
    }

    /// One input.
    pub(crate) fn step(self, input: Input, out: &mut Vec<Order>) -> Voicemail {
        match (self, input) {
            (_, Input::Take { new, .. }) => {
                too_late(new, out);
                self
            }
            (Voicemail::Ending, _) => self,
            (Voicemail::Greeting, Input::Leg(LegNo::A, LegEvent::PromptOver)) => {
                out.push(Order::Hear(LegNo::A, Hear::Done));
                Voicemail::Tone
            }
            (Voicemail::Tone, Input::Leg(LegNo::A, LegEvent::PromptOver)) => {
                out.push(Order::Hear(LegNo::A, Hear::Nothing));
                out.push(Order::Tape);
                Voicemail::Taping
            }
            (Voicemail::Taping, Input::Leg(LegNo::A, LegEvent::Key(DONE_KEY))) => {
                done(Side::Platform, None, out)
            }
            // Nothing was left.
            (Voicemail::Greeting | Voicemail::Tone, Input::Leg(LegNo::A, LegEvent::HungUp)) => {
                let failure = Failure::new(origin(LegNo::A), Kind::Abandoned);
                out.push(Order::Decide(Outcome::Failed(failure), Side::Caller));
                release(Side::Caller, None, out)
            }
            (_, Input::Leg(LegNo::A, LegEvent::HungUp)) => done(Side::Caller, None, out),
            // Somebody who has said it and does not hang up: their silence, or the time, is the end.
            (
                Voicemail::Taping,
                Input::Leg(LegNo::A, LegEvent::Lost(failure)) | Input::Cut(failure),
            ) if matches!(failure.kind, Kind::MediaSilence | Kind::MaxDuration) => {
                done(Side::Platform, Some(failure), out)
            }
            (_, Input::Leg(LegNo::A, LegEvent::Lost(failure) | LegEvent::Failed(failure)))
            | (_, Input::Cut(failure)) => {
                out.push(Order::Decide(Outcome::Failed(failure), Side::Platform));
                release(Side::Platform, Some(failure), out)
            }
            (Voicemail::Greeting | Voicemail::Tone | Voicemail::Taping, _) => self,
        }
    }
}

fn done(by: Side, why: Option<Failure>, out: &mut Vec<Order>) -> Voicemail {
    out.push(Order::Decide(Outcome::Completed, by));
    release(by, why, out)
}

fn release(by: Side, failure: Option<Failure>, out: &mut Vec<Order>) -> Voicemail {
    out.push(Order::Release(LegNo::A, Release { by, failure }));
    Voicemail::Ending
}
