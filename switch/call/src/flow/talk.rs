//! What every flow does once two talk: the end, changes of sound, a transfer (RFC 5589 §6), a call that is
//! parked (RFC 5359 §2.15), and whoever calls in to take the place of one of them (RFC 3891).
//!
//! ```text
//!            ┌──── REFER ────► Transferring ── answers, is picked up ──┐
//!  Talking ──┤                     ▲    └─── fails ──► Talking         ├──► Talking
//!            └─ REFER to ─► Parked ┴─ nobody came     (or the end)     │
//!               the code      └───────────── somebody takes it ────────┘
//! ```
//!
//! One of the two may want the other one to be joined with somebody new. The new leg is rung while both still
//! talk, and takes the place of whoever asked when it answers; when it fails, nothing has changed. Who asked may
//! leave meanwhile: then the other one hears ring-back and waits alone.

use facts::{Failure, Kind, LegNo, Outcome, Side};

use crate::event::{Hear, Input, LegEvent, Order, Place, Release, Report};

use super::{author, refuser, too_late};

/// No leg: a call has fewer.
pub(crate) const NOBODY: LegNo = LegNo(u8::MAX);

/// Two who talk: the one on the caller's side, and the one on the callee's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Talk {
    pair: [LegNo; 2],
    turn: Turn,
}

/// What is under way beside the talk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Turn {
    Nothing,
    Transfer(Transfer),
    Parked(Parked),
}

/// A transfer that is under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Transfer {
    /// Who asked for it.
    by: LegNo,
    /// Who is to talk with somebody else.
    stays: LegNo,
    /// Whom he is to talk with.
    to: LegNo,
    /// Who asked has left.
    alone: bool,
}

/// A call that waits for somebody to take it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Parked {
    /// Who parked it, and left.
    by: LegNo,
    /// Who waits.
    stays: LegNo,
}

impl Talk {
    /// A, and who has answered for B.
    pub(crate) const fn with(b: LegNo) -> Talk {
        Talk::of([LegNo::A, b])
    }

    /// These two.
    pub(crate) const fn of(pair: [LegNo; 2]) -> Talk {
        Talk { pair, turn: Turn::Nothing }
    }

    /// Whom the transfer that is under way leads to.
    pub(crate) fn awaits(self) -> Option<LegNo> {
        match self.turn {
            Turn::Transfer(transfer) => Some(transfer.to),
            Turn::Nothing | Turn::Parked(_) => None,
        }
    }

    /// True while nothing else is under way.
    pub(crate) fn is_plain(self) -> bool {
        self.turn == Turn::Nothing
    }

    /// Who has parked the call.
    pub(crate) fn parked_by(self) -> Option<LegNo> {
        match self.turn {
            Turn::Parked(parked) => Some(parked.by),
            Turn::Nothing | Turn::Transfer(_) => None,
        }
    }

    /// One input. `None` when the conversation is over.
    pub(super) fn step(self, input: Input, out: &mut Vec<Order>) -> Option<Talk> {
        match self.turn {
            Turn::Nothing => self.talking(input, out),
            Turn::Transfer(transfer) => self.transferring(transfer, input, out),
            Turn::Parked(parked) => self.parked(parked, input, out),
        }
    }

    fn talking(self, input: Input, out: &mut Vec<Order>) -> Option<Talk> {
        match input {
            Input::Leg(leg, LegEvent::HungUp) if self.talks(leg) => {
                over(self.side(leg), self.other(leg), out);
                None
            }
            // MediaSilence and LostDialog: nobody let go; what is known of the lost leg's end stays with it.
            Input::Leg(leg, LegEvent::Lost(failure) | LegEvent::Failed(failure))
                if self.talks(leg) =>
            {
                lost(leg, self.other(leg), failure, out);
                None
            }
            Input::Cut(failure) => {
                self.cut(failure, out);
                None
            }
            Input::Transfer { by, to } if self.talks(by) => {
                out.push(Order::Add(to));
                let transfer = Transfer { by, stays: self.other(by), to, alone: false };
                Some(self.turned(Turn::Transfer(transfer)))
            }
            Input::Take { old, new, place: Place::Talking } if self.talks(old) => {
                Some(self.give(old, new, out))
            }
            Input::Park { by } if self.talks(by) => {
                let stays = self.other(by);
                out.push(Order::Report(by, Report::Answered));
                out.push(Order::Vacate(by, NOBODY));
                out.push(Order::Hear(stays, Hear::Hold));
                out.push(Order::Release(by, Release { by: self.side(by), failure: None }));
                Some(self.turned(Turn::Parked(Parked { by, stays })))
            }
            Input::Take { new, .. } => {
                too_late(new, out);
                Some(self)
            }
            Input::Leg(leg, event) if self.talks(leg) => {
                self.sound(leg, event, out);
                Some(self)
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
            | Input::Mail(_) => Some(self),
        }
    }

    /// A leg that is up takes the place of another.
    fn give(self, old: LegNo, new: LegNo, out: &mut Vec<Order>) -> Talk {
        out.push(Order::Replace(old, new));
        out.push(Order::Accept(new));
        out.push(Order::Release(old, Release { by: self.side(old), failure: None }));
        Talk::of(self.pair.map(|leg| if leg == old { new } else { leg }))
    }

    /// A leg's offer waits until the other one has answered the same (RFC 3264 §8).
    fn sound(self, leg: LegNo, event: LegEvent, out: &mut Vec<Order>) {
        let other = self.other(leg);
        match event {
            LegEvent::Offered(direction) => out.push(Order::Offer(other, direction.mirrored())),
            LegEvent::Agreed(direction) => out.push(Order::Answer(other, direction.mirrored())),
            LegEvent::Declined(why) => out.push(Order::Decline(other, why)),
            LegEvent::Holds(true) => out.push(Order::Hear(other, Hear::Hold)),
            LegEvent::Holds(false) => out.push(Order::Hear(other, Hear::Leg(leg))),
            LegEvent::Key(_)
            | LegEvent::Invited
            | LegEvent::Ringing
            | LegEvent::RingsOn
            | LegEvent::EarlyMedia
            | LegEvent::Anew
            | LegEvent::Answered
            | LegEvent::Failed(_)
            | LegEvent::HungUp
            | LegEvent::Lost(_)
            | LegEvent::PromptOver
            | LegEvent::Unplayable => {}
        }
    }

    fn transferring(self, transfer: Transfer, input: Input, out: &mut Vec<Order>) -> Option<Talk> {
        match input {
            Input::Leg(leg, event) if leg == transfer.to => self.target(transfer, event, out),
            Input::Leg(leg, LegEvent::HungUp | LegEvent::Lost(_) | LegEvent::Failed(_))
                if leg == transfer.by =>
            {
                out.push(Order::Vacate(leg, transfer.to));
                out.push(Order::Hear(transfer.stays, Hear::RingBack));
                Some(self.turned(Turn::Transfer(Transfer { alone: true, ..transfer })))
            }
            Input::Leg(leg, LegEvent::HungUp) if leg == transfer.stays => {
                let failure = Failure::new(author(self.side(leg)), Kind::Abandoned);
                out.push(Order::Report(transfer.by, Report::Failed(failure)));
                over(self.side(leg), transfer.by, out);
                let release = Release { by: self.side(leg), failure: Some(failure) };
                out.push(Order::Release(transfer.to, release));
                None
            }
            Input::Leg(leg, LegEvent::Lost(failure) | LegEvent::Failed(failure))
                if leg == transfer.stays =>
            {
                out.push(Order::Report(transfer.by, Report::Failed(failure)));
                lost(leg, transfer.by, failure, out);
                let release = Release { by: Side::Platform, failure: Some(failure) };
                out.push(Order::Release(transfer.to, release));
                None
            }
            Input::Cut(failure) => {
                out.push(Order::Report(transfer.by, Report::Failed(failure)));
                self.cut(failure, out);
                let release = Release { by: Side::Platform, failure: Some(failure) };
                out.push(Order::Release(transfer.to, release));
                None
            }
            // Who is put through is picked up by somebody else than he was meant for.
            Input::Take { old, new, place: Place::Ringing } if old == transfer.to => {
                out.push(Order::Elsewhere(old));
                out.push(Order::Report(transfer.by, Report::Answered));
                Some(self.give(transfer.by, new, out))
            }
            Input::Take { new, .. } => {
                too_late(new, out);
                Some(self)
            }
            Input::Leg(leg, event) if self.talks(leg) => {
                self.sound(leg, event, out);
                Some(self)
            }
            // One at a time: the engine asks no second one.
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
            | Input::Mail(_) => Some(self),
        }
    }

    /// News of the leg that is to take the place of whoever asked.
    fn target(self, transfer: Transfer, event: LegEvent, out: &mut Vec<Order>) -> Option<Talk> {
        let Transfer { by, stays, to, alone } = transfer;
        match event {
            LegEvent::Ringing | LegEvent::RingsOn => {
                out.push(Order::Report(by, Report::Ringing));
            }
            LegEvent::EarlyMedia if alone => out.push(Order::Hear(stays, Hear::Leg(to))),
            LegEvent::Anew if alone => out.push(Order::Hear(stays, Hear::RingBack)),
            LegEvent::Answered => {
                out.push(Order::Report(by, Report::Answered));
                out.push(Order::Replace(by, to));
                out.push(Order::Release(by, Release { by: self.side(by), failure: None }));
                return Some(Talk::of(self.pair.map(|leg| if leg == by { to } else { leg })));
            }
            LegEvent::Failed(failure) | LegEvent::Lost(failure) if alone => {
                // Both had talked, and whoever asked had hung up.
                out.push(Order::Decide(Outcome::Completed, self.side(by)));
                let release =
                    Release { by: refuser(self.side(by), failure), failure: Some(failure) };
                out.push(Order::Release(stays, release));
                return None;
            }
            LegEvent::Failed(failure) | LegEvent::Lost(failure) => {
                out.push(Order::Report(by, Report::Failed(failure)));
                return Some(self.turned(Turn::Nothing));
            }
            LegEvent::EarlyMedia
            | LegEvent::Anew
            | LegEvent::Invited
            | LegEvent::HungUp
            | LegEvent::PromptOver
            | LegEvent::Unplayable
            | LegEvent::Offered(_)
            | LegEvent::Agreed(_)
            | LegEvent::Declined(_)
            | LegEvent::Holds(_)
            | LegEvent::Key(_) => {}
        }
        Some(self)
    }

    fn parked(self, parked: Parked, input: Input, out: &mut Vec<Order>) -> Option<Talk> {
        let Parked { by, stays } = parked;
        match input {
            Input::Take { new, place: Place::Parked, .. } => Some(self.give(by, new, out)),
            Input::Take { new, .. } => {
                too_late(new, out);
                Some(self)
            }
            // Nobody took it: it goes back.
            Input::Transfer { to, .. } => {
                out.push(Order::Vacate(by, to));
                out.push(Order::Hear(stays, Hear::RingBack));
                out.push(Order::Add(to));
                let transfer = Transfer { by, stays, to, alone: true };
                Some(self.turned(Turn::Transfer(transfer)))
            }
            Input::Leg(leg, LegEvent::HungUp) if leg == stays => {
                out.push(Order::Decide(Outcome::Completed, self.side(stays)));
                None
            }
            Input::Leg(leg, LegEvent::Lost(failure) | LegEvent::Failed(failure))
                if leg == stays =>
            {
                lost(stays, by, failure, out);
                None
            }
            Input::Cut(failure) => {
                self.cut(failure, out);
                None
            }
            Input::Leg(..)
            | Input::Park { .. }
            | Input::Diverted { .. }
            | Input::Served(_)
            | Input::Waited
            | Input::Fetched(_)
            | Input::Visit(_)
            | Input::Menu(_)
            | Input::Told { .. }
            | Input::Room(_)
            | Input::Mail(_) => Some(self),
        }
    }

    /// Ends the call because of `failure`: both legs go, by our hand.
    fn cut(self, failure: Failure, out: &mut Vec<Order>) {
        let release = Release { by: Side::Platform, failure: Some(failure) };
        out.push(Order::Decide(Outcome::Failed(failure), Side::Platform));
        out.extend(self.pair.map(|leg| Order::Release(leg, release)));
    }

    fn turned(self, turn: Turn) -> Talk {
        Talk { turn, ..self }
    }

    fn talks(self, leg: LegNo) -> bool {
        self.pair.contains(&leg)
    }

    /// Whose place a leg has.
    fn side(self, leg: LegNo) -> Side {
        if leg == self.pair[0] { Side::Caller } else { Side::Callee }
    }

    fn other(self, leg: LegNo) -> LegNo {
        let [one, two] = self.pair;
        if leg == one { two } else { one }
    }
}

/// One of two hung up: the other one goes.
pub(super) fn over(by: Side, other: LegNo, out: &mut Vec<Order>) {
    out.push(Order::Decide(Outcome::Completed, by));
    out.push(Order::Release(other, Release { by, failure: None }));
}

/// A leg that was up is gone without a word: the other one follows.
pub(super) fn lost(leg: LegNo, other: LegNo, failure: Failure, out: &mut Vec<Order>) {
    let release = Release { by: Side::Platform, failure: Some(failure) };
    out.push(Order::Decide(Outcome::Failed(failure), Side::Platform));
    out.push(Order::Release(leg, release));
    out.push(Order::Release(other, release));
}
