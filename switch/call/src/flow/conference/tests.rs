//! A conference against hand-fed events.

use facts::Origin;
use proptest::prelude::*;

use super::*;

const A: LegNo = LegNo::A;

fn answered(no: u8) -> Input {
    Input::Leg(LegNo(no), LegEvent::Answered)
}

fn hung_up(no: u8) -> Input {
    Input::Leg(LegNo(no), LegEvent::HungUp)
}

fn invited(no: u8) -> Input {
    Input::Room(Room::Invited(LegNo(no)))
}

/// The state after some inputs, and the orders of the last one.
fn run(inputs: &[Input]) -> (Conference, Vec<Order>) {
    let mut orders = Vec::new();
    let mut conference = Conference::start(&mut orders);
    for input in inputs {
        orders.clear();
        conference = conference.step(*input, &mut orders);
    }
    (conference, orders)
}

fn decided(orders: &[Order]) -> Option<(Outcome, Side)> {
    orders.iter().find_map(|order| match order {
        Order::Decide(outcome, by) => Some((*outcome, *by)),
        _ => None,
    })
}

#[test]
fn s3_6_the_others_are_rung_when_the_creator_answers_and_nobody_waits_for_anybody() {
    let (conference, orders) = run(&[]);
    assert_eq!((conference.word(), orders), ("dialing_a", vec![Order::Dial(A)]));
    let (conference, orders) = run(&[answered(0)]);
    assert_eq!(conference.word(), "conference");
    assert_eq!(orders, [Order::Limit, Order::Gather, Order::Enter(A)]);
    let (_, orders) = run(&[answered(0), invited(1), invited(2)]);
    assert_eq!(orders, [Order::Invite(LegNo(2))]);
    let (conference, orders) = run(&[answered(0), invited(1), invited(2), answered(2)]);
    assert_eq!(orders, [Order::Enter(LegNo(2))]);
    assert_eq!(conference.there().collect::<Vec<_>>(), [A, LegNo(2)]);
    assert!(conference.awaits(LegNo(1)));
}

#[test]
fn s3_6_the_creator_leaves_and_the_rest_goes_on_until_nobody_is_left() {
    let up = [answered(0), invited(1), invited(2), answered(1), answered(2), hung_up(0)];
    let (conference, orders) = run(&up);
    assert!(orders.is_empty() && !conference.ending());
    let (conference, orders) = run(&[&up[..], &[hung_up(2)]].concat());
    assert!(orders.is_empty() && !conference.ending(), "one is there");
    let (conference, orders) = run(&[&up[..], &[hung_up(2), hung_up(1)]].concat());
    assert!(conference.ending());
    assert_eq!(decided(&orders), Some((Outcome::Completed, Side::Callee)));
}

#[test]
fn somebody_who_rings_keeps_it_open() {
    let (conference, _) = run(&[answered(0), invited(1), hung_up(0)]);
    assert!(!conference.ending());
    let busy = Failure::new(Origin::LegB, Kind::Busy);
    let no = Input::Leg(LegNo(1), LegEvent::Failed(busy));
    let (conference, orders) = run(&[answered(0), invited(1), hung_up(0), no]);
    assert!(conference.ending());
    assert_eq!(decided(&orders), Some((Outcome::Completed, Side::Callee)));
}

#[test]
fn a_creator_who_does_not_come_ends_it_and_nobody_else_is_rung() {
    for &kind in Kind::ALL {
        let why = Failure::new(Origin::LegA, kind);
        let (conference, orders) = run(&[Input::Leg(A, LegEvent::Failed(why))]);
        assert!(conference.ending(), "{kind:?}");
        assert_eq!(decided(&orders).unwrap().0, Outcome::Failed(why));
        assert!(!orders.contains(&Order::Gather));
    }
}

#[test]
fn s3_6_who_is_sent_out_goes_and_a_closed_one_takes_all_along() {
    let up = [answered(0), invited(1), invited(2), answered(1)];
    for out in [1, 2] {
        let (conference, orders) =
            run(&[&up[..], &[Input::Room(Room::Out(LegNo(out), None))]].concat());
        let release = Release { by: Side::Platform, failure: None };
        assert_eq!(orders, [Order::Release(LegNo(out), release)]);
        assert!(!conference.ending());
    }
    let (conference, orders) = run(&[&up[..], &[Input::Room(Room::Close)]].concat());
    assert!(conference.ending());
    assert_eq!(decided(&orders), Some((Outcome::Completed, Side::Platform)));
    let gone = orders.iter().filter(|order| matches!(order, Order::Release(..))).count();
    assert_eq!(gone, 3, "also who rings");
}

#[test]
fn whoever_calls_in_takes_a_place_that_is_there() {
    let up = [answered(0), invited(1)];
    let take = |old, new, place| Input::Take { old: LegNo(old), new: LegNo(new), place };
    let (conference, orders) = run(&[&up[..], &[take(1, 2, Place::Ringing)]].concat());
    let new = LegNo(2);
    assert_eq!(orders, [Order::Elsewhere(LegNo(1)), Order::Accept(new), Order::Enter(new)]);
    assert!(!conference.awaits(LegNo(1)) && conference.there().any(|leg| leg == new));
    let (conference, orders) = run(&[&up[..], &[answered(1), take(1, 2, Place::Talking)]].concat());
    assert!(matches!(orders[..], [Order::Accept(_), Order::Enter(_), Order::Release(LegNo(1), _)]));
    assert_eq!(conference.there().collect::<Vec<_>>(), [A, new]);
    let (_, orders) = run(&[&up[..], &[take(1, 2, Place::Talking)]].concat());
    assert!(matches!(orders[..], [Order::Release(LegNo(2), _)]), "too late");
}

const LEGS: u8 = 5;

fn any_input() -> impl Strategy<Value = Input> {
    let failure = Failure::new(Origin::LegB, Kind::Busy);
    let event = prop_oneof![
        Just(LegEvent::Invited),
        Just(LegEvent::Ringing),
        Just(LegEvent::Answered),
        Just(LegEvent::Answered),
        Just(LegEvent::Failed(failure)),
        Just(LegEvent::HungUp),
        Just(LegEvent::Lost(failure)),
        Just(LegEvent::PromptOver),
    ];
    let place = prop_oneof![Just(Place::Ringing), Just(Place::Talking), Just(Place::Parked)];
    let leg = || (0..LEGS).prop_map(LegNo);
    prop_oneof![
        12 => (leg(), event).prop_map(|(no, event)| Input::Leg(no, event)),
        4 => leg().prop_map(|no| Input::Room(Room::Invited(no))),
        2 => leg().prop_map(|no| Input::Room(Room::Out(no, None))),
        1 => (leg(), leg(), place).prop_map(|(old, new, place)| Input::Take { old, new, place }),
        1 => Just(Input::Room(Room::Close)),
        1 => Just(Input::Cut(failure)),
    ]
}

proptest! {
    /// In whatever order things come: it is decided exactly when it ends, nobody is asked for or enters after the
    /// end or twice without having left, it ends when nobody is left, and its end releases all who were.
    #[test]
    fn no_order_of_events_confuses_a_conference(
        inputs in proptest::collection::vec(any_input(), 0..40),
    ) {
        let mut orders = Vec::new();
        let mut conference = Conference::start(&mut orders);
        for input in inputs {
            let before = conference;
            orders.clear();
            conference = conference.step(input, &mut orders);
            let decides = orders.iter().any(|order| matches!(order, Order::Decide(..)));
            prop_assert_eq!(decides, conference.ending() && !before.ending());
            let entered = orders.iter().filter_map(|order| match order {
                Order::Enter(no) => Some(*no),
                _ => None,
            });
            for no in entered {
                let already = before.there().any(|leg| leg == no);
                prop_assert!(!already || matches!(input, Input::Take { .. }), "{no} twice");
                prop_assert!(!before.ending());
            }
            if before.ending() {
                prop_assert!(conference.ending());
                prop_assert!(!orders.iter().any(|order| matches!(order, Order::Invite(_))));
            }
            if conference.ending() && !before.ending() {
                for no in (0..LEGS).map(LegNo) {
                    let was = before.awaits(no) || before.there().any(|leg| leg == no);
                    let own = matches!(input, Input::Leg(leg, LegEvent::HungUp) if leg == no);
                    let released =
                        orders.iter().any(|o| matches!(o, Order::Release(leg, _) if *leg == no));
                    prop_assert!(!was || own || released, "{no} is left behind");
                }
            }
            let left = conference.there().count()
                + (0..LEGS).filter(|no| conference.awaits(LegNo(*no))).count();
            prop_assert_eq!(left == 0, conference.ending(), "open while anybody is there or comes");
        }
    }
}
