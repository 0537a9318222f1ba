//! What every flow does once two talk: the end, changes of sound, and a transfer (RFC 5589 §6).
//!
//! One of the two may want the other one to be joined with somebody new. The new leg is rung while both still
//! talk, and takes the place of whoever asked when it answers; when it fails, nothing has changed. Who asked may
//! leave meanwhile: then the other one hears ring-back and waits alone.

use facts::{Failure, Kind, LegNo, Outcome, Side};

use crate::event::{Hear, Input, LegEvent, Order, Release, Report};

use super::{origin, refuser, side};

/// Two who talk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Talk {
    pair: [LegNo; 2],
    transfer: Option<Transfer>,
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

impl Talk {
    /// The two that the call began with.
    pub(crate) const TWO: Talk = Talk { pair: [LegNo::A, LegNo::B], transfer: None };

    /// Whom the transfer that is under way leads to.
    pub(crate) fn awaits(self) -> Option<LegNo> {
        self.transfer.map(|transfer| transfer.to)
    }

    /// One input. `None` when the conversation is over.
    pub(super) fn step(self, input: Input, out: &mut Vec<Order>) -> Option<Talk> {
        match self.transfer {
            None => self.talking(input, out),
            Some(transfer) => self.transferring(transfer, input, out),
        }
    }

    fn talking(self, input: Input, out: &mut Vec<Order>) -> Option<Talk> {
        match input {
            Input::Leg(leg, LegEvent::HungUp) if self.talks(leg) => {
                hung_up(leg, self.other(leg), out);
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
                Some(Talk { transfer: Some(transfer), ..self })
            }
            Input::Leg(leg, event) if self.talks(leg) => {
                self.sound(leg, event, out);
                Some(self)
            }
            Input::Leg(..) | Input::Transfer { .. } => Some(self),
        }
    }

    /// A leg's offer waits until the other one has answered the same (RFC 3264 §8).
    fn sound(self, leg: LegNo, event: LegEvent, out: &mut Vec<Order>) {
        let other = self.other(leg);
        match event {
            LegEvent::Offered(direction) => out.push(Order::Offer(other, direction.mirrored())),
            LegEvent::Agreed(direction) => out.push(Order::Answer(other, direction.mirrored())),
            LegEvent::Declined(why) => out.push(Order::Decline(other, why)),
            LegEvent::Key(_)
            | LegEvent::Invited
            | LegEvent::Ringing
            | LegEvent::EarlyMedia
            | LegEvent::Answered
            | LegEvent::Failed(_)
            | LegEvent::HungUp
            | LegEvent::Lost(_)
            | LegEvent::PromptOver => {}
        }
    }

    fn transferring(self, transfer: Transfer, input: Input, out: &mut Vec<Order>) -> Option<Talk> {
        match input {
            Input::Leg(leg, event) if leg == transfer.to => self.target(transfer, event, out),
            Input::Leg(leg, LegEvent::HungUp | LegEvent::Lost(_) | LegEvent::Failed(_))
                if leg == transfer.by =>
            {
                out.push(Order::Hear(transfer.stays, Hear::RingBack));
                Some(Talk { transfer: Some(Transfer { alone: true, ..transfer }), ..self })
            }
            Input::Leg(leg, LegEvent::HungUp) if leg == transfer.stays => {
                let failure = Failure::new(origin(leg), Kind::Abandoned);
                out.push(Order::Report(transfer.by, Report::Failed(failure)));
                hung_up(leg, transfer.by, out);
                let release = Release { by: side(leg), failure: Some(failure) };
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
            Input::Leg(leg, event) if self.talks(leg) => {
                self.sound(leg, event, out);
                Some(self)
            }
            // One at a time: the engine asks no second one.
            Input::Leg(..) | Input::Transfer { .. } => Some(self),
        }
    }

    /// News of the leg that is to take the place of whoever asked.
    fn target(self, transfer: Transfer, event: LegEvent, out: &mut Vec<Order>) -> Option<Talk> {
        let Transfer { by, stays, to, alone } = transfer;
        match event {
            LegEvent::Ringing => out.push(Order::Report(by, Report::Ringing)),
            LegEvent::EarlyMedia if alone => out.push(Order::Hear(stays, Hear::Leg(to))),
            LegEvent::Answered => {
                out.push(Order::Report(by, Report::Answered));
                out.push(Order::Replace(by, to));
                out.push(Order::Release(by, Release { by: side(by), failure: None }));
                let pair = self.pair.map(|leg| if leg == by { to } else { leg });
                return Some(Talk { pair, transfer: None });
            }
            LegEvent::Failed(failure) | LegEvent::Lost(failure) if alone => {
                // Both had talked, and whoever asked had hung up.
                out.push(Order::Decide(Outcome::Completed, side(by)));
                let release = Release { by: refuser(to, failure), failure: Some(failure) };
                out.push(Order::Release(stays, release));
                return None;
            }
            LegEvent::Failed(failure) | LegEvent::Lost(failure) => {
                out.push(Order::Report(by, Report::Failed(failure)));
                return Some(Talk { transfer: None, ..self });
            }
            LegEvent::EarlyMedia
            | LegEvent::Invited
            | LegEvent::HungUp
            | LegEvent::PromptOver
            | LegEvent::Offered(_)
            | LegEvent::Agreed(_)
            | LegEvent::Declined(_)
            | LegEvent::Key(_) => {}
        }
        Some(self)
    }

    /// Ends the call because of `failure`: both legs go, by our hand.
    fn cut(self, failure: Failure, out: &mut Vec<Order>) {
        let release = Release { by: Side::Platform, failure: Some(failure) };
        out.push(Order::Decide(Outcome::Failed(failure), Side::Platform));
        out.extend(self.pair.map(|leg| Order::Release(leg, release)));
    }

    fn talks(self, leg: LegNo) -> bool {
        self.pair.contains(&leg)
    }

    fn other(self, leg: LegNo) -> LegNo {
        let [one, two] = self.pair;
        if leg == one { two } else { one }
    }
}

/// One of two hung up: the other one goes.
pub(super) fn hung_up(leg: LegNo, other: LegNo, out: &mut Vec<Order>) {
    out.push(Order::Decide(Outcome::Completed, side(leg)));
    out.push(Order::Release(other, Release { by: side(leg), failure: None }));
}

/// A leg that was up is gone without a word: the other one follows.
pub(super) fn lost(leg: LegNo, other: LegNo, failure: Failure, out: &mut Vec<Order>) {
    let release = Release { by: Side::Platform, failure: Some(failure) };
    out.push(Order::Decide(Outcome::Failed(failure), Side::Platform));
    out.push(Order::Release(leg, release));
    out.push(Order::Release(other, release));
}
