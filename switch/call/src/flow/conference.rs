//! A conference: A, who creates it, is rung; when A answers all others are, and whoever answers is in the room.
//!
//! ```text
//!  DialingA ──answer──► Open: each leg  Coming ──answer──► There ──leaves, is sent out──► gone
//!     │                  │                 └──── fails, is sent out ────────────────────► gone
//!     │ fails, cut       │ nobody is there or coming; closed; cut
//!     ▼                  ▼
//!   Ending ◄────────── Ending
//! ```
//!
//! Nobody waits for anybody, and A is one participant like the others once it is in: it may leave, and the rest talk
//! on. What hears whom is the room's business.

use facts::{Failure, Kind, LegNo, Outcome, Side};

use crate::event::{Input, LegEvent, Order, Place, Release, Room, ours};

use super::{origin, refuser, side, too_late};

/// Where a conference stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Conference {
    state: State,
    /// Who was asked for and has not answered.
    coming: Legs,
    /// Who is in.
    there: Legs,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    DialingA,
    Open,
    Ending,
}

/// A set of legs; a conference has no more than [`facts::conference::LEGS_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Legs(u128);

impl Legs {
    const fn with(self, leg: LegNo) -> Legs {
        Legs(self.0 | Legs::bit(leg))
    }

    const fn without(self, leg: LegNo) -> Legs {
        Legs(self.0 & !Legs::bit(leg))
    }

    const fn has(self, leg: LegNo) -> bool {
        self.0 & Legs::bit(leg) != 0
    }

    const fn is_empty(self) -> bool {
        self.0 == 0
    }

    const fn bit(leg: LegNo) -> u128 {
        if leg.0 < 128 { 1 << leg.0 } else { 0 }
    }

    fn each(self) -> impl Iterator<Item = LegNo> {
        (0..128).map(LegNo).filter(move |leg| self.has(*leg))
    }
}

impl Conference {
    /// The first state and its orders.
    pub(crate) fn start(out: &mut Vec<Order>) -> Conference {
        out.push(Order::Dial(LegNo::A));
        let coming = Legs::default().with(LegNo::A);
        Conference { state: State::DialingA, coming, there: Legs::default() }
    }

    /// The state's name for operators.
    pub(crate) fn word(self) -> &'static str {
        match self.state {
            State::DialingA => "dialing_a",
            State::Open => "conference",
            State::Ending => "ending",
        }
    }

    /// True once it only waits for its legs to go down.
    pub(crate) fn ending(self) -> bool {
        self.state == State::Ending
    }

    /// True once A has answered, until the end.
    pub(crate) fn is_open(self) -> bool {
        self.state == State::Open
    }

    /// Who is in, by number.
    pub(crate) fn there(self) -> impl Iterator<Item = LegNo> {
        self.there.each()
    }

    /// True for a leg that was asked for and has not answered.
    pub(crate) fn awaits(self, leg: LegNo) -> bool {
        self.coming.has(leg)
    }

    /// One input.
    pub(crate) fn step(self, input: Input, out: &mut Vec<Order>) -> Conference {
        match self.state {
            State::DialingA => self.dialing_a(input, out),
            State::Open => self.open(input, out),
            State::Ending => {
                if let Input::Take { new, .. } = input {
                    too_late(new, out);
                }
                self
            }
        }
    }

    fn dialing_a(self, input: Input, out: &mut Vec<Order>) -> Conference {
        const A: LegNo = LegNo::A;
        match input {
            Input::Leg(A, LegEvent::Answered) => {
                out.push(Order::Limit);
                out.push(Order::Gather);
                Conference { state: State::Open, ..self }.enter(A, out)
            }
            // The answer and the BYE came in one breath.
            Input::Leg(A, LegEvent::HungUp) => {
                let failure = Failure::new(origin(A), Kind::Abandoned);
                self.end(Outcome::Failed(failure), (Side::Caller, Some(failure)), out)
            }
            Input::Leg(A, LegEvent::Failed(failure) | LegEvent::Lost(failure)) => {
                let by = refuser(side(A), failure);
                self.end(Outcome::Failed(failure), (by, Some(failure)), out)
            }
            Input::Leg(..)
            | Input::Room(Room::Invited(_) | Room::Came(_))
            | Input::Visit(_)
            | Input::Menu(_)
            | Input::Transfer { .. }
            | Input::Park { .. }
            | Input::Diverted { .. }
            | Input::Served(_)
            | Input::Waited
            | Input::Fetched(_)
            | Input::Told { .. }
            | Input::Mail(_) => self,
            Input::Room(Room::Close) => {
                let failure = ours(Kind::HungUpByUs);
                self.end(Outcome::Failed(failure), (Side::Platform, Some(failure)), out)
            }
            Input::Room(Room::Out(_, failure)) => {
                let failure = failure.unwrap_or(ours(Kind::HungUpByUs));
                self.end(Outcome::Failed(failure), (Side::Platform, Some(failure)), out)
            }
            Input::Cut(failure) => {
                self.end(Outcome::Failed(failure), (Side::Platform, Some(failure)), out)
            }
            Input::Take { .. } => self.take(input, out),
        }
    }

    fn open(self, input: Input, out: &mut Vec<Order>) -> Conference {
        match input {
            Input::Leg(leg, LegEvent::Answered) if self.coming.has(leg) => self.enter(leg, out),
            Input::Leg(leg, LegEvent::HungUp) if self.has(leg) => self.gone(leg, side(leg), out),
            Input::Leg(leg, LegEvent::Failed(failure) | LegEvent::Lost(failure))
                if self.has(leg) =>
            {
                let by = refuser(side(leg), failure);
                out.push(Order::Release(leg, Release { by, failure: Some(failure) }));
                self.gone(leg, by, out)
            }
            Input::Room(Room::Invited(leg)) if !self.has(leg) => {
                out.push(Order::Invite(leg));
                Conference { coming: self.coming.with(leg), ..self }
            }
            Input::Room(Room::Came(leg)) if !self.has(leg) => self.enter(leg, out),
            Input::Room(Room::Out(leg, failure)) if self.has(leg) => {
                out.push(Order::Release(leg, Release { by: Side::Platform, failure }));
                self.gone(leg, Side::Platform, out)
            }
            Input::Room(Room::Close) => self.end(Outcome::Completed, (Side::Platform, None), out),
            Input::Cut(failure) => {
                self.end(Outcome::Failed(failure), (Side::Platform, Some(failure)), out)
            }
            Input::Take { .. } => self.take(input, out),
            Input::Leg(..)
            | Input::Room(Room::Out(..) | Room::Invited(_) | Room::Came(_))
            | Input::Visit(_)
            | Input::Menu(_)
            | Input::Transfer { .. }
            | Input::Park { .. }
            | Input::Diverted { .. }
            | Input::Served(_)
            | Input::Waited
            | Input::Fetched(_)
            | Input::Told { .. }
            | Input::Mail(_) => self,
        }
    }

    /// Somebody called in to take the place of one who rings or is in.
    fn take(self, input: Input, out: &mut Vec<Order>) -> Conference {
        let Input::Take { old, new, place } = input else { return self };
        match place {
            // Nobody takes his own place.
            _ if old == new => return self,
            Place::Ringing if self.state == State::Open && self.coming.has(old) => {
                out.push(Order::Elsewhere(old));
            }
            Place::Talking if self.there.has(old) => {}
            Place::Ringing | Place::Talking | Place::Parked => {
                too_late(new, out);
                return self;
            }
        }
        out.push(Order::Accept(new));
        let conference = self.enter(new, out).left(old);
        if place == Place::Talking {
            out.push(Order::Release(old, Release { by: side(old), failure: None }));
        }
        conference
    }

    fn has(self, leg: LegNo) -> bool {
        self.coming.has(leg) || self.there.has(leg)
    }

    fn enter(self, leg: LegNo, out: &mut Vec<Order>) -> Conference {
        out.push(Order::Enter(leg));
        let Conference { coming, there, .. } = self;
        Conference { coming: coming.without(leg), there: there.with(leg), ..self }
    }

    fn left(self, leg: LegNo) -> Conference {
        let Conference { coming, there, .. } = self;
        Conference { coming: coming.without(leg), there: there.without(leg), ..self }
    }

    /// A leg is not there any more; with the last one it is over.
    fn gone(self, leg: LegNo, by: Side, out: &mut Vec<Order>) -> Conference {
        let rest = self.left(leg);
        if rest.coming.is_empty() && rest.there.is_empty() {
            return rest.end(Outcome::Completed, (by, None), out);
        }
        rest
    }

    /// It is over for all.
    fn end(
        self,
        outcome: Outcome,
        (by, failure): (Side, Option<Failure>),
        out: &mut Vec<Order>,
    ) -> Conference {
        out.push(Order::Decide(outcome, by));
        let all = Legs(self.coming.0 | self.there.0);
        out.extend(all.each().map(|leg| Order::Release(leg, Release { by, failure })));
        Conference { state: State::Ending, coming: Legs::default(), there: Legs::default() }
    }
}

#[cfg(test)]
mod tests;
