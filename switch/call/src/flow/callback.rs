//! The callback: third-party call control with anchored media (RFC 3725).
//!
//! ```text
//!  DialingA ──answer──► AnsweredA ──INVITE──► DialingB ──answer──► Bridged
//!     │                     │                    │                    │
//!     │ fails, cut          │ A leaves, cut      │ A leaves, cut      │ either leaves,
//!     ▼                     ▼                    ▼                    ▼ silence, limits
//!   Ending ◄──────────── Ending ◄──────────── Ending ◄───────────── Ending
//!                           ▲ B fails: A hears why, then goes ▲
//! ```
//!
//! Each leg has an offer of its own, so flow I's trap (B slow, A's 2xx times out; RFC 3725 §4.1) cannot
//! happen: A is answered and hears ring-back from us while B is called.

use facts::{Failure, Kind, LegNo, Outcome, Side};

use crate::event::{Hear, Input, LegEvent, Order, Place, Release};

use super::{Talk, cut, origin, prompt, refuser, side, taken, talk, too_late};

/// Where a callback stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Callback {
    /// A is being rung.
    DialingA,
    /// A is up and hears ring-back; B's INVITE has not left yet.
    AnsweredA,
    /// B is being rung. `early`: A hears B's network instead of our tone.
    DialingB {
        /// B, or who has taken its place.
        to: LegNo,
        /// B's first RTP has come (RFC 3960 §3.2).
        early: bool,
    },
    /// Two talk.
    Bridged(Talk),
    /// The outcome is known; the legs go down.
    Ending(Ending),
}

/// How the end goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    /// A hears why B could not be had, and is let go after it.
    Telling(Failure),
    /// Every leg was told to go.
    Leaving,
}

impl Callback {
    /// The first state and its orders.
    pub(crate) fn start(out: &mut Vec<Order>) -> Callback {
        out.push(Order::Dial(LegNo::A));
        Callback::DialingA
    }

    /// The state's name for operators.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Callback::DialingA => "dialing_a",
            Callback::AnsweredA => "answered_a",
            Callback::DialingB { .. } => "dialing_b",
            Callback::Bridged(_) => "bridged",
            Callback::Ending(_) => "ending",
        }
    }

    /// One input.
    pub(crate) fn step(self, input: Input, out: &mut Vec<Order>) -> Callback {
        match self {
            Callback::DialingA => dialing_a(input, out),
            Callback::AnsweredA => calling_b(self, input, out),
            Callback::DialingB { .. } => calling_b(self, input, out),
            Callback::Bridged(talk) => {
                let over = Callback::Ending(Ending::Leaving);
                talk.step(input, out).map_or(over, Callback::Bridged)
            }
            Callback::Ending(ending) => Callback::Ending(ending_step(ending, input, out)),
        }
    }
}

fn dialing_a(input: Input, out: &mut Vec<Order>) -> Callback {
    match input {
        Input::Leg(LegNo::A, LegEvent::Answered) => {
            // RFC 3725 §4.4: A must not sit in silence; ring-back within 1 s of the answer.
            out.push(Order::Hear(LegNo::A, Hear::RingBack));
            out.push(Order::Dial(LegNo::B));
            Callback::AnsweredA
        }
        Input::Leg(LegNo::A, LegEvent::Failed(failure) | LegEvent::Lost(failure)) => {
            let by = refuser(side(LegNo::A), failure);
            out.push(Order::Decide(Outcome::Failed(failure), by));
            out.push(Order::Release(LegNo::A, Release { by, failure: Some(failure) }));
            Callback::Ending(Ending::Leaving)
        }
        // The answer and the BYE came in one breath.
        Input::Leg(LegNo::A, LegEvent::HungUp) => abandoned(LegNo::B, out),
        Input::Cut(failure) => {
            cut(failure, LegNo::B, out);
            Callback::Ending(Ending::Leaving)
        }
        Input::Take { new, .. } => {
            too_late(new, out);
            Callback::DialingA
        }
        Input::Leg(..)
        | Input::Transfer { .. }
        | Input::Park { .. }
        | Input::Diverted { .. }
        | Input::Served(_)
        | Input::Waited
        | Input::Fetched(_)
        | Input::Visit(_)
        | Input::Menu(_)
        | Input::Told { .. }
        | Input::Room(_)
        | Input::Mail(_) => Callback::DialingA,
    }
}

fn calling_b(state: Callback, input: Input, out: &mut Vec<Order>) -> Callback {
    let to = match state {
        Callback::DialingB { to, .. } => to,
        _ => LegNo::B,
    };
    match input {
        Input::Leg(LegNo::A, LegEvent::HungUp) => abandoned(to, out),
        Input::Leg(LegNo::A, LegEvent::Lost(failure) | LegEvent::Failed(failure)) => {
            talk::lost(LegNo::A, to, failure, out);
            Callback::Ending(Ending::Leaving)
        }
        Input::Leg(leg, LegEvent::Invited) if leg == to => Callback::DialingB { to, early: false },
        // RFC 3960 §3.2: only sound that really comes replaces the local tone; a description alone
        // does not, and a 180 after it does not bring the tone back.
        Input::Leg(leg, LegEvent::EarlyMedia) if leg == to => {
            out.push(Order::Hear(LegNo::A, Hear::Leg(to)));
            Callback::DialingB { to, early: true }
        }
        Input::Leg(leg, LegEvent::Anew) if leg == to => {
            out.push(Order::Hear(LegNo::A, Hear::RingBack));
            Callback::DialingB { to, early: false }
        }
        Input::Leg(leg, LegEvent::Answered) if leg == to => {
            out.push(Order::Join);
            Callback::Bridged(Talk::with(to))
        }
        Input::Leg(leg, LegEvent::Failed(failure) | LegEvent::Lost(failure)) if leg == to => {
            b_failed(to, failure, out)
        }
        // B's answer and BYE in one breath.
        Input::Leg(leg, LegEvent::HungUp) if leg == to => {
            talk::over(side(to), LegNo::A, out);
            Callback::Ending(Ending::Leaving)
        }
        Input::Diverted { to } => {
            out.push(Order::Hear(LegNo::A, Hear::RingBack));
            out.push(Order::Add(to));
            Callback::DialingB { to, early: false }
        }
        Input::Cut(failure) => {
            cut(failure, to, out);
            Callback::Ending(Ending::Leaving)
        }
        Input::Take { old, new, place: Place::Ringing } if old == to => {
            let talk = taken(old, new, out);
            out.push(Order::Join);
            Callback::Bridged(talk)
        }
        Input::Take { new, .. } => {
            too_late(new, out);
            state
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
        | Input::Mail(_) => state,
    }
}

/// A gave up while B was being called: CANCEL goes to B.
fn abandoned(b: LegNo, out: &mut Vec<Order>) -> Callback {
    let failure = Failure::new(origin(LegNo::A), Kind::Abandoned);
    out.push(Order::Decide(Outcome::Failed(failure), Side::Caller));
    out.push(Order::Release(LegNo::A, Release { by: Side::Caller, failure: None }));
    out.push(Order::Release(b, Release { by: Side::Caller, failure: Some(failure) }));
    Callback::Ending(Ending::Leaving)
}

/// B cannot be had: A is told why (RFC 3725 §5 leaves the means to us), then let go with the same reason.
fn b_failed(b: LegNo, failure: Failure, out: &mut Vec<Order>) -> Callback {
    out.push(Order::Decide(Outcome::Failed(failure), refuser(side(b), failure)));
    match prompt(failure.kind) {
        Some(name) => {
            out.push(Order::Hear(LegNo::A, Hear::Prompt(name)));
            out.push(Order::Release(
                b,
                Release { by: refuser(side(b), failure), failure: Some(failure) },
            ));
            Callback::Ending(Ending::Telling(failure))
        }
        None => {
            let release = Release { by: Side::Platform, failure: Some(failure) };
            out.push(Order::Release(b, release));
            out.push(Order::Release(LegNo::A, release));
            Callback::Ending(Ending::Leaving)
        }
    }
}

fn ending_step(ending: Ending, input: Input, out: &mut Vec<Order>) -> Ending {
    if let Input::Take { new, .. } = input {
        too_late(new, out);
    }
    let Ending::Telling(told) = ending else {
        return ending;
    };
    let release = match input {
        Input::Leg(LegNo::A, LegEvent::PromptOver) => {
            Release { by: Side::Platform, failure: Some(told) }
        }
        Input::Cut(failure) => Release { by: Side::Platform, failure: Some(failure) },
        Input::Leg(LegNo::A, LegEvent::Lost(failure)) => {
            Release { by: Side::Platform, failure: Some(failure) }
        }
        // A hung up during the prompt: already down.
        Input::Leg(LegNo::A, LegEvent::HungUp | LegEvent::Failed(_)) => return Ending::Leaving,
        Input::Leg(..)
        | Input::Transfer { .. }
        | Input::Take { .. }
        | Input::Park { .. }
        | Input::Diverted { .. }
        | Input::Served(_)
        | Input::Waited
        | Input::Fetched(_)
        | Input::Visit(_)
        | Input::Menu(_)
        | Input::Told { .. }
        | Input::Room(_)
        | Input::Mail(_) => {
            return ending;
        }
    };
    out.push(Order::Release(LegNo::A, release));
    Ending::Leaving
}
