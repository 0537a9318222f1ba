//! The flows against hand-fed events: every row of the failure table, and what no order of events may
//! do.

use facts::{Failure, Kind, LegNo, Origin, Outcome, Side};
use proptest::prelude::*;

use super::{Callback, Dial, Flow, prompt};
use crate::event::{Hear, Input, LegEvent, Order, Release};

const A: LegNo = LegNo::A;
const B: LegNo = LegNo::B;

fn leg(no: LegNo, event: LegEvent) -> Input {
    Input::Leg(no, event)
}

fn failure(origin: Origin, kind: Kind) -> Failure {
    Failure::new(origin, kind)
}

/// Runs a callback over inputs; the state it ends in and the orders of the last input.
fn callback(inputs: &[Input]) -> (Flow, Vec<Order>) {
    let mut orders = Vec::new();
    let mut flow = Flow::Callback(Callback::start(&mut orders));
    for input in inputs {
        orders.clear();
        flow = flow.step(None, *input, &mut orders);
    }
    (flow, orders)
}

fn to_b_ringing() -> Vec<Input> {
    vec![
        leg(A, LegEvent::Invited),
        leg(A, LegEvent::Ringing),
        leg(A, LegEvent::Answered),
        leg(B, LegEvent::Invited),
        leg(B, LegEvent::Ringing),
    ]
}

fn to_bridged() -> Vec<Input> {
    let mut inputs = to_b_ringing();
    inputs.push(leg(B, LegEvent::Answered));
    inputs
}

fn after(mut inputs: Vec<Input>, last: Input) -> (Flow, Vec<Order>) {
    inputs.push(last);
    callback(&inputs)
}

fn decided(orders: &[Order]) -> Option<(Outcome, Side)> {
    orders.iter().find_map(|order| match order {
        Order::Decide(outcome, side) => Some((*outcome, *side)),
        _ => None,
    })
}

fn released(orders: &[Order], no: LegNo) -> Option<Release> {
    orders.iter().find_map(|order| match order {
        Order::Release(leg, release) if *leg == no => Some(*release),
        _ => None,
    })
}

#[test]
fn a24_a_hears_ring_back_with_its_answer_and_b_is_dialled() {
    let (flow, orders) = callback(&[leg(A, LegEvent::Answered)]);
    assert_eq!(flow.word(), "answered_a");
    assert_eq!(orders, [Order::Hear(A, Hear::RingBack), Order::Dial(B)]);
}

#[test]
fn a25_rfc3960_3_2_the_tone_yields_to_sound_and_never_comes_back() {
    let (flow, orders) = after(to_b_ringing(), leg(B, LegEvent::EarlyMedia));
    assert_eq!(flow, Flow::Callback(Callback::DialingB { to: B, early: true }));
    assert_eq!(orders, [Order::Hear(A, Hear::Leg(B))]);
    let mut inputs = to_b_ringing();
    inputs.push(leg(B, LegEvent::EarlyMedia));
    let (flow, orders) = after(inputs, leg(B, LegEvent::Ringing));
    assert_eq!(flow, Flow::Callback(Callback::DialingB { to: B, early: true }));
    assert!(orders.is_empty(), "180 after 183 does not cut media");
}

#[test]
fn both_answered_is_bridged() {
    let (flow, orders) = callback(&to_bridged());
    assert_eq!(flow.word(), "bridged");
    assert_eq!(orders, [Order::Join]);
}

#[test]
fn every_failure_of_a_is_its_row_of_the_table() {
    for &kind in Kind::ALL {
        let why = failure(Origin::LegA, kind);
        let (flow, orders) = callback(&[leg(A, LegEvent::Invited), leg(A, LegEvent::Failed(why))]);
        assert!(flow.ending(), "{kind:?}");
        let by = match kind {
            Kind::Busy | Kind::Rejected => Side::Caller,
            _ => Side::Platform,
        };
        assert_eq!(decided(&orders), Some((Outcome::Failed(why), by)), "{kind:?}");
        assert!(!orders.iter().any(|order| matches!(order, Order::Dial(_))), "{kind:?}");
    }
}

#[test]
fn every_failure_of_b_is_told_to_a_and_is_its_row_of_the_table() {
    for &kind in Kind::ALL {
        let why = failure(Origin::LegB, kind);
        let (flow, orders) = after(to_b_ringing(), leg(B, LegEvent::Failed(why)));
        assert!(flow.ending(), "{kind:?}");
        let (outcome, _) = decided(&orders).unwrap();
        assert_eq!(outcome, Outcome::Failed(why), "{kind:?}");
        let Some(name) = prompt(kind) else {
            assert_eq!(released(&orders, A).unwrap().failure, Some(why), "{kind:?}");
            continue;
        };
        assert!(orders.contains(&Order::Hear(A, Hear::Prompt(name))), "{kind:?}");
        assert_eq!(released(&orders, A), None, "{kind:?}: A hears the prompt first");
        let mut inputs = to_b_ringing();
        inputs.push(leg(B, LegEvent::Failed(why)));
        let (_, orders) = after(inputs, leg(A, LegEvent::PromptOver));
        let release = Release { by: Side::Platform, failure: Some(why) };
        assert_eq!(orders, [Order::Release(A, release)], "{kind:?}: then BYE with the reason");
    }
}

#[test]
fn the_prompts_are_those_of_the_store() {
    for (kind, name) in [
        (Kind::Busy, "callee-busy"),
        (Kind::Rejected, "callee-busy"),
        (Kind::NoAnswer, "callee-noanswer"),
        (Kind::Unreachable, "callee-unreachable"),
        (Kind::TransportFailed, "callee-unreachable"),
        (Kind::NoRoute, "callee-unreachable"),
        (Kind::Unallocated, "callee-invalid"),
        (Kind::NoBalance, "balance-low"),
        (Kind::Internal, "system-error"),
    ] {
        assert_eq!(prompt(kind), Some(name), "{kind:?}");
    }
}

#[test]
fn a24_a_hangs_up_while_b_rings_and_b_is_cancelled() {
    for state in [vec![leg(A, LegEvent::Answered)], to_b_ringing()] {
        let (flow, orders) = after(state, leg(A, LegEvent::HungUp));
        assert!(flow.ending());
        let why = failure(Origin::LegA, Kind::Abandoned);
        assert_eq!(decided(&orders), Some((Outcome::Failed(why), Side::Caller)));
        let release = Release { by: Side::Caller, failure: Some(why) };
        assert_eq!(released(&orders, B), Some(release));
    }
}

#[test]
fn case_67_either_side_may_hang_up_first_and_the_call_completes_once() {
    for (who, by) in [(A, Side::Caller), (B, Side::Callee)] {
        let (flow, orders) = after(to_bridged(), leg(who, LegEvent::HungUp));
        assert!(flow.ending());
        assert_eq!(decided(&orders), Some((Outcome::Completed, by)));
        let other = if who == A { B } else { A };
        assert_eq!(released(&orders, other), Some(Release { by, failure: None }));
        let mut inputs = to_bridged();
        inputs.push(leg(who, LegEvent::HungUp));
        let (_, orders) = after(inputs, leg(other, LegEvent::HungUp));
        assert!(orders.is_empty(), "a crossing BYE says nothing new");
    }
}

#[test]
fn limits_and_shutdown_cut_both_legs_in_every_state() {
    let states = [vec![], vec![leg(A, LegEvent::Answered)], to_b_ringing(), to_bridged()];
    let causes = [
        failure(Origin::Billing, Kind::CreditExhausted),
        failure(Origin::Us, Kind::MaxDuration),
        failure(Origin::Us, Kind::Shutdown),
        failure(Origin::Us, Kind::HungUpByUs),
    ];
    for state in states {
        for why in causes {
            let (flow, orders) = after(state.clone(), Input::Cut(why));
            assert!(flow.ending());
            assert_eq!(decided(&orders), Some((Outcome::Failed(why), Side::Platform)));
            for no in [A, B] {
                let release = Release { by: Side::Platform, failure: Some(why) };
                assert_eq!(released(&orders, no), Some(release));
            }
        }
    }
}

#[test]
fn a_leg_that_falls_silent_takes_the_other_with_it() {
    for who in [A, B] {
        let why = failure(Origin::Media, Kind::MediaSilence);
        let (flow, orders) = after(to_bridged(), leg(who, LegEvent::Lost(why)));
        assert!(flow.ending());
        assert_eq!(decided(&orders), Some((Outcome::Failed(why), Side::Platform)));
        assert_eq!(released(&orders, if who == A { B } else { A }).unwrap().failure, Some(why));
    }
}

#[test]
fn an_inbound_call_passes_ringing_sound_and_failure_on_to_a() {
    let mut orders = Vec::new();
    let flow = Flow::Dial(Dial::start(&mut orders));
    assert_eq!(orders, [Order::Dial(B)]);
    let step = |flow: Flow, input| {
        let mut orders = Vec::new();
        let flow = flow.step(None, input, &mut orders);
        (flow, orders)
    };
    assert_eq!(step(flow, leg(B, LegEvent::Ringing)).1, [Order::Alert(A)]);
    let (early, orders) = step(flow, leg(B, LegEvent::EarlyMedia));
    assert_eq!(orders, [Order::Early(A), Order::Hear(A, Hear::Leg(B))]);
    assert!(step(early, leg(B, LegEvent::Ringing)).1.is_empty());
    let (up, orders) = step(early, leg(B, LegEvent::Answered));
    assert_eq!((up.word(), orders), ("bridged", vec![Order::Accept(A), Order::Join]));
    let why = failure(Origin::LegB, Kind::Busy);
    let (_, orders) = step(flow, leg(B, LegEvent::Failed(why)));
    assert_eq!(released(&orders, A).unwrap().failure, Some(why));
    let (_, orders) = step(flow, leg(A, LegEvent::HungUp));
    assert_eq!(decided(&orders).unwrap().1, Side::Caller);
    assert!(released(&orders, B).is_some());
}

fn any_input() -> impl Strategy<Value = Input> {
    let event = prop_oneof![
        Just(LegEvent::Invited),
        Just(LegEvent::Ringing),
        Just(LegEvent::EarlyMedia),
        Just(LegEvent::Answered),
        Just(LegEvent::Failed(failure(Origin::LegB, Kind::Busy))),
        Just(LegEvent::HungUp),
        Just(LegEvent::Lost(failure(Origin::Media, Kind::MediaSilence))),
        Just(LegEvent::PromptOver),
    ];
    prop_oneof![
        9 => (any::<bool>(), event).prop_map(|(a, e)| leg(if a { A } else { B }, e)),
        1 => Just(Input::Cut(failure(Origin::Us, Kind::Shutdown))),
    ]
}

proptest! {
    /// Whatever comes in whatever order: an outcome is decided exactly when the flow ends, B is
    /// dialled at most once, nobody is joined after the end, and a last cut releases whoever is left.
    #[test]
    fn no_order_of_events_confuses_a_flow(
        inbound in any::<bool>(), inputs in proptest::collection::vec(any_input(), 0..30),
    ) {
        let mut all = Vec::new();
        let mut flow = if inbound {
            Flow::Dial(Dial::start(&mut all))
        } else {
            Flow::Callback(Callback::start(&mut all))
        };
        let mut was_ending = false;
        for input in inputs {
            let mut orders = Vec::new();
            flow = flow.step(None, input, &mut orders);
            let decides = orders.iter().any(|order| matches!(order, Order::Decide(..)));
            prop_assert_eq!(decides, flow.ending() && !was_ending);
            if was_ending {
                prop_assert!(flow.ending());
                prop_assert!(!orders.iter().any(|o| matches!(o, Order::Join | Order::Dial(_))));
            }
            was_ending = flow.ending();
            all.extend(orders);
        }
        let dialled = |no| all.iter().filter(|order| **order == Order::Dial(no)).count();
        prop_assert!(dialled(B) <= 1 && dialled(A) <= 1);
        let mut orders = Vec::new();
        let end = flow.step(None, Input::Cut(failure(Origin::Us, Kind::Shutdown)), &mut orders);
        prop_assert!(end.ending());
        prop_assert_eq!(decided(&orders).is_some(), !was_ending);
    }
}
