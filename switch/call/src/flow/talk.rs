//! What every two-party flow does once both are up.

use facts::{Failure, LegNo, Outcome, Side};

use crate::event::{Input, LegEvent, Order, Release};

use super::{cut, peer, side};

/// One input while both talk. True when the conversation is over.
pub(super) fn step(input: Input, out: &mut Vec<Order>) -> bool {
    match input {
        Input::Leg(leg, LegEvent::HungUp) => {
            hung_up(leg, out);
            true
        }
        // MediaSilence and LostDialog: nobody let go; what is known of the lost leg's end stays with it.
        Input::Leg(leg, LegEvent::Lost(failure) | LegEvent::Failed(failure)) => {
            lost(leg, failure, out);
            true
        }
        Input::Cut(failure) => {
            cut(failure, out);
            true
        }
        Input::Leg(
            _,
            LegEvent::Invited
            | LegEvent::Ringing
            | LegEvent::EarlyMedia
            | LegEvent::Answered
            | LegEvent::PromptOver,
        ) => false,
    }
}

fn hung_up(leg: LegNo, out: &mut Vec<Order>) {
    out.push(Order::Decide(Outcome::Completed, side(leg)));
    out.push(Order::Release(peer(leg), Release { by: side(leg), failure: None }));
}

/// A leg that was up is gone without a word: the other one follows.
pub(super) fn lost(leg: LegNo, failure: Failure, out: &mut Vec<Order>) {
    let release = Release { by: Side::Platform, failure: Some(failure) };
    out.push(Order::Decide(Outcome::Failed(failure), Side::Platform));
    out.push(Order::Release(leg, release));
    out.push(Order::Release(peer(leg), release));
}
