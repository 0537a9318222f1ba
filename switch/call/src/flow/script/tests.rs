//! A scenario against hand-fed events.

use std::time::Duration;

use facts::Origin;
use facts::media::Prompt;
use facts::scenario::Collect;
use facts::sound::Clip;
use facts::{Failure, Number};
use proptest::prelude::*;

use super::*;

const A: LegNo = LegNo::A;
/// Whoever is rung: legs of a scenario come after A and the place of B.
const THIRD: LegNo = LegNo(2);

fn clip(name: &str) -> Clip {
    Clip::Prompt(Prompt { name: name.into(), language: "en".into() })
}

fn choice(keys: &str, next: Next) -> Choice {
    Choice { keys: keys.into(), next }
}

/// A menu, whom 1 leads to, what is said when nobody is there, and digits that are asked for.
fn scenario() -> Scenario {
    let menu = Say {
        choices: vec![
            choice("1", Next::Step(1)),
            choice("12", Next::Step(2)),
            choice("3", Next::Step(3)),
        ],
        wait: Duration::from_secs(5),
        none: Next::HangUp,
        other: Next::Step(0),
        ..Say::only(vec![clip("welcome"), clip("menu")], 2)
    };
    let digits = Say {
        collect: Some(Collect { max: 4, secret: true, next: Next::Step(2) }),
        wait: Duration::from_secs(5),
        none: Next::Step(2),
        ..Say::only(vec![clip("digits")], 1)
    };
    Scenario::new(vec![
        Step::Say(menu),
        Step::Lead { to: Number::Internal("80100".into()), failed: Next::Step(2) },
        Step::Say(Say::only(vec![clip("bye")], 1)),
        Step::Say(digits),
    ])
    .unwrap()
}

fn on(leg: LegNo, event: LegEvent) -> Input {
    Input::Leg(leg, event)
}

fn key(key: char) -> Input {
    on(A, LegEvent::Key(key))
}

const ANSWERED: Input = Input::Leg(A, LegEvent::Answered);
const OVER: Input = Input::Leg(A, LegEvent::PromptOver);

/// Orders of the last of these inputs, and where it stands then.
fn after(inputs: &[Input]) -> (Script, Vec<Order>) {
    let scenario = scenario();
    let mut orders = Vec::new();
    let mut script = Script::start(false, &mut orders);
    for input in inputs {
        orders.clear();
        script = script.step(&scenario, *input, &mut orders);
    }
    (script, orders)
}

fn said(step: u8, clip: u8) -> Order {
    Order::Say { step, clip }
}

#[test]
fn all_is_said_as_often_as_it_is_to_be_and_then_a_key_is_waited_for() {
    let mut inputs = vec![ANSWERED];
    assert_eq!(after(&inputs).1, [Order::Limit, said(0, 0)]);
    for next in [said(0, 1), Order::Pause] {
        inputs.push(OVER);
        assert_eq!(after(&inputs).1, [next]);
    }
    for (input, next) in
        [(Input::Waited, said(0, 0)), (OVER, said(0, 1)), (OVER, Order::Wait { step: 0 })]
    {
        inputs.push(input);
        assert_eq!(after(&inputs).1, [next]);
    }
    inputs.push(Input::Waited);
    let (script, orders) = after(&inputs);
    assert!(script.ending());
    assert_eq!(orders[0], Order::Decide(Outcome::Completed, Side::Platform));
}

/// The keys that were taken, and the step that they led to.
fn collected(orders: &[Order]) -> Option<(String, bool)> {
    orders.iter().find_map(|order| match order {
        Order::Collected { typed, secret } => Some((typed.to_string(), *secret)),
        _ => None,
    })
}

#[test]
fn a_key_ends_what_is_said_and_one_that_may_go_on_is_waited_for() {
    let (script, orders) = after(&[ANSWERED, key('1')]);
    assert_eq!(orders, [Order::Hear(A, Hear::Nothing), Order::Wait { step: 0 }]);
    assert_eq!(script.word(), "waiting");
    // 1 alone, by time or by the key that ends it.
    for end in [Input::Waited, key('#')] {
        let (script, orders) = after(&[ANSWERED, key('1'), end]);
        assert_eq!(collected(&orders), Some(("1".into(), false)), "{end:?}");
        assert!(orders.contains(&Order::Lead { step: 1 }));
        assert_eq!(script.word(), "dialing_b");
    }
    let (_, orders) = after(&[ANSWERED, key('1'), key('2')]);
    assert_eq!(collected(&orders), Some(("12".into(), false)));
    assert_eq!(orders.last(), Some(&said(2, 0)));
    // What is none of the choices: at once.
    for wrong in [vec![key('9')], vec![key('1'), key('7')]] {
        let inputs: Vec<_> = [ANSWERED].into_iter().chain(wrong).collect();
        let (_, orders) = after(&inputs);
        assert_eq!(orders.last(), Some(&said(0, 0)), "said again: {inputs:?}");
    }
}

#[test]
fn digits_are_taken_until_there_are_enough_or_the_key_that_ends_them() {
    let asked = [ANSWERED, key('3')];
    let of = |keys: &str, last: Option<Input>| {
        let keys = keys.chars().map(key);
        let inputs: Vec<_> = asked.into_iter().chain(keys).chain(last).collect();
        after(&inputs).1
    };
    let four = of("4711", None);
    assert_eq!(collected(&four), Some(("4711".into(), true)));
    for (keys, last) in [("47#", None), ("47", Some(Input::Waited))] {
        assert_eq!(collected(&of(keys, last)), Some(("47".into(), true)), "{keys}");
    }
    assert_eq!(of("#", None).last(), Some(&said(2, 0)), "nothing was pressed");
}

#[test]
fn whoever_cannot_be_had_leads_on_and_whoever_answers_talks() {
    let led = [ANSWERED, key('1'), key('#')];
    let failure = Failure::new(Origin::LegB, Kind::Busy);
    let (_, orders) = after(&[led.as_slice(), &[on(LegNo::B, LegEvent::Failed(failure))]].concat());
    assert_eq!(orders, [Order::Hear(A, Hear::Nothing), said(2, 0)], "may not be rung");
    let rung = [led.as_slice(), &[Input::Diverted { to: THIRD }]].concat();
    assert_eq!(after(&rung).0.rings(), Some(THIRD));
    let failed = [rung.as_slice(), &[on(THIRD, LegEvent::Failed(failure))]].concat();
    assert_eq!(after(&failed).1.last(), Some(&said(2, 0)));
    let (script, orders) = after(&[rung.as_slice(), &[on(THIRD, LegEvent::Answered)]].concat());
    assert_eq!(orders, [Order::Join]);
    assert!(script.talk().is_some());
    // The customer leaves: the ringing ends.
    let (script, orders) = after(&[rung.as_slice(), &[on(A, LegEvent::HungUp)]].concat());
    assert!(script.ending());
    assert!(orders.iter().any(|order| matches!(order, Order::Release(THIRD, _))));
    assert!(orders.contains(&Order::Decide(Outcome::Completed, Side::Caller)));
}

#[test]
fn half_an_announcement_is_none() {
    let (script, orders) = after(&[ANSWERED, on(A, LegEvent::Unplayable)]);
    assert!(script.ending());
    assert_eq!(orders[0], Order::Decide(Outcome::Failed(ours(Kind::Internal)), Side::Platform));
}

#[test]
fn a_circle_that_takes_no_time_comes_to_an_end() {
    let lead = Step::Lead { to: Number::Internal("80100".into()), failed: Next::Step(0) };
    let scenario = Scenario::new(vec![lead]).unwrap();
    let mut orders = Vec::new();
    let mut script = Script::start(false, &mut orders).step(&scenario, ANSWERED, &mut orders);
    let nobody = on(LegNo::B, LegEvent::Failed(ours(Kind::NoRoute)));
    for _ in 0..LEADS_MAX {
        script = script.step(&scenario, nobody, &mut orders);
    }
    assert!(script.ending());
}

fn any_input() -> impl Strategy<Value = Input> {
    let failure = Failure::new(Origin::LegA, Kind::MediaSilence);
    prop_oneof![
        8 => prop::sample::select(vec![
            ANSWERED,
            OVER,
            Input::Waited,
            Input::Fetched(true),
            Input::Fetched(false),
            key('1'),
            key('2'),
            key('3'),
            key('#'),
            key('*'),
            Input::Diverted { to: THIRD },
            on(THIRD, LegEvent::Answered),
            on(THIRD, LegEvent::EarlyMedia),
            on(THIRD, LegEvent::Failed(failure)),
            on(LegNo::B, LegEvent::Failed(failure)),
        ]),
        1 => prop::sample::select(vec![
            on(A, LegEvent::HungUp),
            on(A, LegEvent::Lost(failure)),
            on(A, LegEvent::Unplayable),
            on(THIRD, LegEvent::HungUp),
            Input::Cut(failure),
            Input::Take { old: THIRD, new: LegNo(3), place: Place::Ringing },
        ]),
    ]
}

proptest! {
    /// Whatever comes in whatever order: the outcome is decided when it ends and at no other time, A is rung
    /// once, or answered once where it has called, nothing is said before the answer, and nothing is ordered once it
    /// is over.
    #[test]
    fn no_order_of_events_leaves_it_without_an_end(
        called in any::<bool>(),
        inputs in prop::collection::vec(any_input(), 0..80),
    ) {
        let scenario = scenario();
        let mut orders = Vec::new();
        let mut script = match called {
            true => Script::answer(&scenario, true, &mut orders),
            false => Script::start(false, &mut orders),
        };
        match called {
            true => prop_assert_eq!(&orders, &[Order::Alert(A), Order::Fetch]),
            false => prop_assert_eq!(&orders, &[Order::Dial(A)]),
        }
        let (mut limited, mut accepted) = (false, !called);
        for input in inputs {
            orders.clear();
            let was_ending = script.ending();
            script = script.step(&scenario, input, &mut orders);
            let decides = orders.iter().any(|order| matches!(order, Order::Decide(..)));
            prop_assert_eq!(decides, script.ending() && !was_ending);
            let taken = matches!(input, Input::Take { .. });
            prop_assert!(!was_ending || orders.is_empty() || taken);
            for order in &orders {
                match order {
                    // Whoever takes the call of somebody who is rung has called himself.
                    Order::Accept(LegNo(3)) => prop_assert!(taken),
                    Order::Accept(_) => prop_assert!(!std::mem::replace(&mut accepted, true)),
                    Order::Limit => prop_assert!(accepted && !std::mem::replace(&mut limited, true)),
                    Order::Say { .. } | Order::Lead { .. } | Order::Join => prop_assert!(limited),
                    Order::Dial(_) => prop_assert!(false, "rung again"),
                    _ => {}
                }
            }
        }
    }
}
