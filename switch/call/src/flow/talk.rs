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
        // A leg's offer waits until the other one has answered the same (RFC 3264 §8).
        Input::Leg(leg, LegEvent::Offered(direction)) => {
            out.push(Order::Offer(peer(leg), direction.mirrored()));
            false
        }
        Input::Leg(leg, LegEvent::Agreed(direction)) => {
            out.push(Order::Answer(peer(leg), direction.mirrored()));
            false
        }
        Input::Leg(leg, LegEvent::Declined(why)) => {
            out.push(Order::Decline(peer(leg), why));
            false
        }
        Input::Leg(
            _,
            LegEvent::Key(_)
            | LegEvent::Invited
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
