//! Policies: which numbers are rung, when and how often, whatever asks for it (merchant API §6).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
#[path = "common/transfers.rs"]
mod transfers;

use std::sync::Arc;

use call::{Answer, Command};
use common::phones::{DESK, SOFT, bind, call_from};
use common::*;
use facts::policy::{AtMost, NumberList, Policy, Reason, Rule, Service};
use facts::scenario::{Say, Scenario, Step};
use facts::sound::Clip;
use facts::{CallCommand, Hours, Kind, LegNo, Purpose, Refusal};
use sip::endpoint::Event;

/// Two phones of one merchant, and a policy.
fn sim(set: impl FnOnce(&mut Policy)) -> Sim {
    let mut policy = Policy {
        id: 7,
        name: "quiet".into(),
        rule: Rule::default(),
        zone: None,
        block: Vec::new(),
        only: Vec::new(),
        except: Vec::new(),
    };
    set(&mut policy);
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            for user in ["80001", "80002"] {
                snapshot.extensions.insert(user.into(), extension(user, "right"));
            }
            snapshot.routes.push(facts::settings::Route::new("110", facts::TrunkId(3), 0));
            snapshot.policies.push(policy);
        },
    );
    sim.add("desk", DESK, 170);
    sim.add("soft", SOFT, 171);
    bind(&mut sim, &[("80001", DESK), ("80002", SOFT)]);
    sim
}

fn list(numbers: &[&str]) -> Vec<Arc<NumberList>> {
    vec![Arc::new(NumberList::new(numbers.iter().copied(), Vec::new(), Vec::new()))]
}

fn blocks(number: &str) -> Sim {
    sim(|policy| policy.block = list(&[number]))
}

fn never() -> Hours {
    Hours::try_from(vec!["mon 03:00-03:01".to_owned()]).unwrap()
}

/// A code for the subscriber of carrier A.
fn code() -> CallCommand {
    let clip = Clip::Prompt(facts::media::Prompt { name: "code".into(), language: "zh".into() });
    let scenario = Scenario::new(vec![Step::Say(Say::only(vec![clip], 1))]).unwrap();
    let scenario = Some(Arc::new(scenario));
    CallCommand { b: None, scenario, purpose: Purpose::Code, ..callback() }
}

fn stopped(sim: &Sim) -> Vec<(Reason, Service, &str)> {
    let told = sim.stopped.iter();
    assert!(told.clone().all(|stopped| stopped.policy == "quiet"));
    told.map(|stopped| (stopped.reason, stopped.service, stopped.prefix.as_str())).collect()
}

fn refusals(sim: &mut Sim, name: &str) -> Vec<u16> {
    let codes = sim.far(name).events.iter().filter_map(|event| match event {
        Event::Failed { code, .. } => Some(*code),
        _ => None,
    });
    codes.collect()
}

#[test]
fn s6_a_number_on_a_list_is_rung_by_nobody_and_the_merchant_hears_why() {
    for (number, prefix) in [(NUMBER_A, "861"), (NUMBER_B, "861")] {
        let mut sim = blocks(number);
        let token = sim.place(callback());
        assert_eq!(sim.placed(token), Err(Refusal::Blocked), "{number}: either leg");
        assert_eq!(stopped(&sim), [(Reason::Listed, Service::Callback, prefix)]);
        assert!(sim.authorizations.is_empty(), "nothing is asked for");
    }
    let mut sim = blocks(NUMBER_A);
    let token = sim.place(code());
    assert_eq!(sim.placed(token), Err(Refusal::Blocked));
    let mut sim = blocks(NUMBER_B);
    call_from(&mut sim, "desk", "80001", "01088880000");
    assert_eq!(refusals(&mut sim, "desk"), [403]);
    assert_eq!(stopped(&sim), [(Reason::Listed, Service::Dial, "861")]);
    call_from(&mut sim, "desk", "80001", "80002");
    assert_eq!(sim.far("soft").count("INVITE"), 1, "an extension is on no list");
}

#[test]
fn s6_outside_its_hours_a_service_rings_nobody_and_others_do() {
    let mut sim = sim(|policy| {
        policy.rule.hours = never();
        policy.rule.services = vec![Service::Code, Service::Dial];
    });
    let token = sim.place(code());
    assert_eq!(sim.placed(token), Err(Refusal::OutsideHours));
    let token = sim.place(callback());
    assert!(sim.placed(token).is_ok(), "another service");
    call_from(&mut sim, "desk", "80001", "01088880000");
    assert_eq!(refusals(&mut sim, "desk"), [403]);
    call_from(&mut sim, "desk", "80001", "110");
    assert_eq!(sim.far("c").count("INVITE"), 1, "an emergency is never in the way");
    // A merchant's service is none.
    let mut ordered = code();
    ordered.a.number = facts::Number::Short("110".into());
    let token = sim.place(ordered);
    assert_eq!(sim.placed(token), Err(Refusal::OutsideHours));
    assert_eq!(sim.stopped.pop().map(|stopped| stopped.prefix), Some("110".into()));
    let hours = Reason::Hours;
    assert_eq!(stopped(&sim), [(hours, Service::Code, "861"), (hours, Service::Dial, "861")]);
}

#[test]
fn s6_a_sandbox_merchant_rings_its_own_numbers_only() {
    let mut sim = sim(|policy| {
        policy.rule.merchants = vec![MERCHANT];
        policy.only = list(&[NUMBER_A]);
    });
    let token = sim.place(code());
    assert!(sim.placed(token).is_ok());
    let token = sim.place(callback());
    assert_eq!(sim.placed(token), Err(Refusal::Blocked));
    assert_eq!(stopped(&sim), [(Reason::NotListed, Service::Callback, "861")]);
}

/// The ledger counts; it is told what, and the operator whose policy it was.
#[test]
fn s6_how_often_a_callee_is_rung_is_asked_of_the_ledger_with_the_hold() {
    let at_most = vec![AtMost { calls: 1, within_s: 60 }, AtMost { calls: 5, within_s: 3_600 }];
    let mut sim = sim(|policy| policy.rule.at_most.clone_from(&at_most));
    let token = sim.place(callback());
    assert!(sim.placed(token).is_ok());
    let caps = &sim.authorizations[0].caps;
    let asked: Vec<_> = caps.iter().map(|cap| (cap.leg, cap.number.as_str())).collect();
    assert_eq!(asked, [(LegNo::A, NUMBER_A), (LegNo::B, NUMBER_B)], "each who is rung");
    assert_eq!(caps[0].at_most, at_most);
    assert_eq!(caps[0].key, format!("p7m{}", MERCHANT.0));
    sim.ledger.refuse = Some(Refusal::TooOften);
    let token = sim.place(code());
    assert_eq!(sim.placed(token), Err(Refusal::TooOften));
    assert_eq!(sim.authorizations[1].caps[0].number, NUMBER_A);
    assert_eq!(stopped(&sim), [(Reason::TooOften, Service::Code, "861")]);
    call_from(&mut sim, "desk", "80001", "80002");
    assert!(sim.authorizations.last().unwrap().caps.is_empty(), "an extension");
}

/// Whoever is rung by a transfer is rung just the same.
#[test]
fn s6_a_leg_that_a_transfer_adds_is_under_lists_hours_and_counts() {
    let to = format!("<sip:013800138000@{REALM}>");
    let talk = |sim: &mut Sim| {
        call_from(sim, "desk", "80001", "01088880000");
        sim.pick_up("b");
        sim.advance(s(5));
    };
    let closed = |policy: &mut Policy| {
        policy.rule.hours = never();
        policy.rule.prefixes = vec!["86138".into()];
    };
    let listed = |policy: &mut Policy| policy.block = list(&[NUMBER_A]);
    for (set, reason) in
        [(&closed as &dyn Fn(&mut Policy), Reason::Hours), (&listed, Reason::Listed)]
    {
        let mut sim = sim(set);
        talk(&mut sim);
        transfers::refer(&mut sim, "desk", &to);
        assert!(sim.added.is_empty(), "the ledger is not even asked");
        assert_eq!(sim.far("a").count("INVITE"), 0);
        assert_eq!(stopped(&sim), [(reason, Service::Dial, "861")]);
        assert!(sim.stopped[0].call.is_some());
        assert!(sim.engine.live()[0].bridged.is_some(), "they talk on");
    }
    let mut sim = sim(|policy| policy.rule.at_most = vec![AtMost { calls: 3, within_s: 86_400 }]);
    talk(&mut sim);
    sim.ledger.refuse = Some(Refusal::TooOften);
    transfers::refer(&mut sim, "desk", &to);
    assert_eq!(sim.added[0].caps[0].number, NUMBER_A);
    assert_eq!(sim.far("a").count("INVITE"), 0);
    assert_eq!(stopped(&sim), [(Reason::TooOften, Service::Dial, "861")]);
}

/// Field case 65: whoever calls in is sent on to a premium number. He who has it forwarded pays, and rings nobody
/// whom he could not ring himself.
#[test]
fn case_65_a_call_that_is_led_on_rings_no_number_that_is_blocked() {
    let led = |sim: &mut Sim| {
        team::change(sim, |snapshot| {
            let reach = &mut snapshot.extensions.get_mut("80001").unwrap().reach;
            reach.busy = Some(facts::LeadsTo::Public(NUMBER_B.into()));
        });
        call_from(sim, "soft", "80002", "80001");
        sim.refuse("desk", 486, None);
    };
    let mut open = blocks("441");
    led(&mut open);
    assert_eq!(open.far("b").count("INVITE"), 1);
    assert_eq!(open.added[0].leg.call, open.authorizations[0].call, "on its payer's account");
    assert_eq!(open.authorizations[0].command.merchant, MERCHANT);
    let mut shut = blocks(NUMBER_B);
    led(&mut shut);
    assert_eq!((shut.far("b").count("INVITE"), shut.added.len()), (0, 0));
    assert_eq!(stopped(&shut), [(Reason::Listed, Service::Dial, "861")]);
    assert_eq!(refusals(&mut shut, "soft"), [403]);
}

#[test]
fn s6_a_refusal_by_a_policy_is_a_call_that_was_intercepted() {
    for refusal in [Refusal::Blocked, Refusal::OutsideHours, Refusal::TooOften] {
        assert_eq!(refusal.kind(), Kind::Blocked);
    }
    for reason in Reason::ALL {
        assert_eq!(reason.refusal().kind().row().at_b, "blocked");
    }
}

#[test]
fn s6_an_operator_who_asks_hears_what_policies_say_of_a_number() {
    let mut sim = sim(|policy| {
        policy.block = list(&[NUMBER_A]);
        policy.rule.merchants = vec![MERCHANT];
        policy.rule.services = vec![Service::Code];
        policy.rule.at_most = vec![AtMost { calls: 1, within_s: 60 }];
    });
    let mut explained = |number: &str| {
        let number = number.to_owned();
        sim.command(Command::Explain { token: 90, number });
        let Some(Answer::Explained(told)) = sim.answers.remove(&90) else { panic!() };
        let told = told.unwrap().policies;
        told.into_iter().map(|told| (told.about, told.says)).collect::<Vec<_>>()
    };
    let about = "merchant acme; service code".to_owned();
    let says = |now: &str| format!("{now}, at most 1 in 60 s by each merchant");
    assert_eq!(explained("13800138000"), [(about.clone(), says("not rung: it is on a list"))]);
    assert_eq!(explained("01088880000"), [(about, says("rung"))]);
    assert_eq!(explained("80001"), []);
}
