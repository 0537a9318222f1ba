//! Who was to be rung in a call that goes on without him, and was not: told and put on record, for no leg tells of him.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::sync::Arc;

use call::{Answer, Command};
use common::team::{GROUP, change, team};
use common::{NUMBER_B, Sim, callback, s};
use facts::conference::{Act, ActRefused, Conference, ConferenceView, Participant, Standing};
use facts::media::{Prompt, Source};
use facts::policy::{NumberList, Policy, Rule};
use facts::record::LegState;
use facts::scenario::{Next, Say, Scenario, Step};
use facts::settings::Snapshot;
use facts::sound::Clip;
use facts::{
    CallCommand, CallFacts, CallId, Dialect, Failure, Kind, LegNo, Number, Origin, Party, Purpose,
    Push, PushKind, Refusal, Strategy,
};

/// Nowhere: no route leads there.
const NOWHERE: &str = "15551234567";

/// As it comes by our own surface.
fn listed(command: CallCommand) -> CallCommand {
    let of = |kind| Push {
        kind,
        dialect: Dialect::Rest,
        endpoint: String::new(),
        context: String::new(),
    };
    let pushes = vec![of(PushKind::State), of(PushKind::Record)];
    CallCommand { dialect: Dialect::Rest, pushes, ..command }
}

fn lead(to: Number, failed: u8) -> Step {
    Step::Lead { to, failed: Next::Step(failed) }
}

fn says() -> Step {
    let prompt = Prompt { name: "callee-busy".into(), language: "zh".into() };
    Step::Say(Say::only(vec![Clip::Prompt(prompt)], 1))
}

fn scenario(steps: Vec<Step>) -> CallCommand {
    let scenario = Some(Arc::new(Scenario::new(steps).unwrap()));
    listed(CallCommand { b: None, scenario, purpose: Purpose::Scenario, ..callback() })
}

fn barred(number: &str) -> Policy {
    Policy {
        id: 7,
        name: "quiet".into(),
        rule: Rule::default(),
        zone: None,
        block: vec![Arc::new(NumberList::new([number], Vec::new(), Vec::new()))],
        only: Vec::new(),
        except: Vec::new(),
    }
}

/// Each who was told of as not rung, and why; none twice by one number.
fn told(sim: &Sim) -> Vec<(String, Failure)> {
    let mut numbers: Vec<u32> = sim.notes.iter().map(|note| note.sequence).collect();
    numbers.sort_unstable();
    assert!(numbers.windows(2).all(|two| two[0] < two[1]), "{numbers:?}");
    let unrung = sim.notes.iter().filter_map(|note| match note.state {
        LegState::Unrung(failure) => Some((note.number.clone(), failure)),
        _ => None,
    });
    unrung.collect()
}

fn recorded(facts: &CallFacts) -> Vec<(String, Failure)> {
    facts.unrung.iter().map(|one| (one.as_sent.clone(), one.failure)).collect()
}

fn us(kind: Kind) -> Failure {
    Failure::new(Origin::Us, kind)
}

fn ends(sim: &mut Sim) -> CallFacts {
    sim.advance(s(1));
    let facts = sim.record().clone();
    sim.assert_clean();
    facts
}

#[test]
fn a_step_that_rings_nobody_is_told_and_put_on_record_with_its_reason() {
    let mut sim = team(Strategy::RingAll);
    change(&mut sim, |snapshot: &mut Snapshot| {
        snapshot.groups.get_mut(GROUP).unwrap().members.clear();
        snapshot.policies.push(barred(NUMBER_B));
    });
    let confer =
        Step::Confer { conference: "516152".into(), next: Next::HangUp, failed: Next::Step(4) };
    sim.place(scenario(vec![
        lead(Number::E164(NOWHERE.into()), 1),
        lead(Number::Internal(GROUP.into()), 2),
        lead(Number::E164(NUMBER_B.into()), 3),
        confer,
        says(),
    ]));
    sim.pick_up("a");
    assert!(
        matches!(sim.hears(LegNo::A), Some(Source::Prompt(prompt)) if prompt.name == "callee-busy")
    );
    let expected = [
        (NOWHERE, us(Kind::NoRoute)),
        (GROUP, Failure::new(Origin::LegB, Kind::Unreachable)),
        (NUMBER_B, us(Kind::Blocked)),
        ("516152", us(Kind::NoRoute)),
    ]
    .map(|(number, why)| (number.to_owned(), why));
    assert_eq!(told(&sim), expected, "at once");
    sim.hang_up("a");
    let facts = ends(&mut sim);
    assert_eq!((recorded(&facts), facts.legs.len()), (expected.to_vec(), 1));
}

#[test]
fn a_leg_that_the_ledger_refuses_is_told_as_that_and_one_that_rang_by_itself() {
    let mut sim = team(Strategy::RingAll);
    let b = || Number::E164(NUMBER_B.into());
    sim.place(scenario(vec![lead(b(), 1), lead(b(), 2), says()]));
    sim.ledger.refuse = Some(Refusal::NoBalance);
    sim.pick_up("a");
    sim.ledger.refuse = None;
    assert_eq!(sim.far("b").count("INVITE"), 0);
    let expected = [(NUMBER_B.to_owned(), Failure::new(Origin::Billing, Kind::NoBalance))];
    sim.advance(s(1));
    sim.hang_up("a");
    assert_eq!(recorded(&ends(&mut sim))[..1], expected);
    // Whoever was rung and was busy has a leg.
    let mut sim = team(Strategy::RingAll);
    sim.place(scenario(vec![lead(b(), 1), says()]));
    sim.pick_up("a");
    sim.refuse("b", 486, None);
    sim.hang_up("a");
    assert!(told(&sim).is_empty());
    let facts = ends(&mut sim);
    assert!(facts.unrung.is_empty() && facts.legs[1].failure.unwrap().kind == Kind::Busy);
}

#[test]
fn other_surfaces_are_told_of_legs_alone() {
    let mut sim = team(Strategy::RingAll);
    let state = Push {
        kind: PushKind::State,
        dialect: Dialect::Ytx,
        endpoint: "http://192.0.2.9/".into(),
        context: String::new(),
    };
    let command = scenario(vec![lead(Number::E164(NOWHERE.into()), 1), says()]);
    sim.place(CallCommand { dialect: Dialect::Ytx, pushes: vec![state], ..command });
    sim.pick_up("a");
    sim.hang_up("a");
    assert!(told(&sim).is_empty());
    assert_eq!(recorded(&ends(&mut sim)), [(NOWHERE.to_owned(), us(Kind::NoRoute))]);
}

fn party(user: &str) -> Party {
    Party { number: Number::Internal(user.into()), as_sent: user.into(), shown: None, ring: s(40) }
}

fn participant(party: Party) -> Participant {
    Participant { name: "Li".into(), party }
}

fn outside(number: &str) -> Party {
    Party { number: Number::E164(number.into()), as_sent: number.into(), ..party("") }
}

fn meeting(others: Vec<Party>) -> CallCommand {
    let conference = Conference {
        number: "516152".into(),
        title: String::new(),
        creator: String::new(),
        others: others.into_iter().map(participant).collect(),
        chimes: false,
        booking: None,
    };
    let conference = Some(Box::new(conference));
    let purpose = Purpose::Conference;
    listed(CallCommand { a: party("80001"), b: None, conference, purpose, ..callback() })
}

fn view(sim: &mut Sim, call: CallId) -> ConferenceView {
    sim.command(Command::Conference { token: 900, call });
    match sim.answers.remove(&900) {
        Some(Answer::Conference(Some(view))) => *view,
        other => panic!("{other:?}"),
    }
}

fn invite(sim: &mut Sim, call: CallId, who: Party) -> Result<(), ActRefused> {
    let act = Box::new(Act::Invite(vec![participant(who)], None));
    sim.command(Command::Confer { token: 901, call, act });
    match sim.answers.remove(&901) {
        Some(Answer::Conferred(done)) => done,
        other => panic!("{other:?}"),
    }
}

#[test]
fn whoever_cannot_be_called_into_a_conference_is_shown_and_told_with_the_reason() {
    let mut sim = team(Strategy::RingAll);
    let token = sim.place(meeting(vec![party("80002"), outside(NUMBER_B), party("80003")]));
    let call = sim.placed(token).unwrap().call;
    // What could be rung when it was asked for cannot be when its turn has come.
    change(&mut sim, |snapshot| {
        snapshot.extensions.get_mut("80002").unwrap().enabled = false;
        snapshot.policies.push(barred(NUMBER_B));
    });
    sim.pick_up("one");
    sim.pick_up("three");
    let shown = view(&mut sim, call);
    let shown: Vec<_> = shown.participants.iter().map(|one| (one.standing, one.failure)).collect();
    let left = |kind| (Standing::Left, Some(us(kind)));
    let joined = (Standing::Joined, None);
    assert_eq!(shown, [joined, left(Kind::NoRoute), left(Kind::Blocked), joined]);
    let mut expected =
        vec![("80002".to_owned(), us(Kind::NoRoute)), (NUMBER_B.to_owned(), us(Kind::Blocked))];
    assert_eq!(told(&sim), expected);
    // One who is invited, and whom the ledger does not pay for.
    sim.ledger.refuse = Some(Refusal::NoPrice);
    change(&mut sim, |snapshot| snapshot.policies.clear());
    assert_eq!(invite(&mut sim, call, outside(NUMBER_B)), Ok(()));
    sim.advance(s(1));
    sim.ledger.refuse = None;
    expected.push((NUMBER_B.to_owned(), Failure::new(Origin::Billing, Kind::NoRoute)));
    assert_eq!(told(&sim), expected);
    let last = view(&mut sim, call).participants.pop().unwrap();
    assert_eq!((last.standing, last.failure), (Standing::Left, Some(expected[2].1)));
    // Whoever was rung has the reason of his leg.
    assert_eq!(invite(&mut sim, call, party("80004")), Ok(()));
    sim.refuse("four", 486, None);
    let last = view(&mut sim, call).participants.pop().unwrap();
    assert_eq!(last.failure.map(|failure| failure.kind), Some(Kind::Busy));
    assert_eq!(told(&sim).len(), 3);
    sim.hang_up("one");
    sim.hang_up("three");
    let facts = ends(&mut sim);
    assert_eq!(recorded(&facts), expected);
    let unrung: Vec<u8> = facts.unrung.iter().map(|one| one.leg.0).collect();
    assert_eq!(unrung, [1, 2, 4]);
    let legs: Vec<LegNo> = facts.legs.iter().map(|leg| leg.no).collect();
    assert_eq!(legs, [0, 3, 5].map(LegNo));
}
