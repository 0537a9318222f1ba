//! Numbers that a scenario answers: whoever calls one by a carrier hears it, presses keys and is led on, and pays nobody.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::sync::Arc;

use call::{Answer, Command, EngineConfig, Reply};
use common::phones::{DESK, bind, invite, invite_with};
use common::team::{change, group, told};
use common::{MERCHANT, NUMBER_A, NUMBER_B, Sim, callback, extension, s};
use facts::capacity::{Capacity, Holder};
use facts::conference::Conference;
use facts::ledger::{Authorize, OpenCall};
use facts::media::{MediaCommand, MediaEvent, Prompt, Source, Tone};
use facts::policy::{NumberList, Policy, Rule, Service};
use facts::scenario::{Ask, Choice, Next, NumberScenario, Say, Scenario, Step, Told};
use facts::settings::Snapshot;
use facts::sound::{Clip, Unplayable};
use facts::{
    CallCommand, Dialect, Failure, Kind, LeadsTo, LegNo, MerchantId, Number, Origin, Outcome,
    Party, Purpose, PushKind, Reach, Refusal, Side, Strategy,
};
use sip::endpoint::SessionId;
use sip::wire::HeaderName;

const A: LegNo = LegNo::A;
const X: &str = "861087654321";
/// Whoever a scenario rings first.
const C: LegNo = LegNo(2);

fn clip(name: &str) -> Clip {
    Clip::Prompt(Prompt { name: name.into(), language: "zh".into() })
}

fn says(name: &str) -> Step {
    Step::Say(Say::only(vec![clip(name)], 1))
}

fn lead(to: Number, failed: Next) -> Step {
    Step::Lead { to, failed }
}

/// 1 leads to step 1; nothing, or something else, to step 2.
fn menu() -> Step {
    Step::Say(Say {
        choices: vec![Choice { keys: "1".into(), next: Next::Step(1) }],
        wait: s(5),
        none: Next::Step(2),
        other: Next::Step(2),
        ..Say::only(vec![clip("welcome")], 1)
    })
}

fn with(
    config: impl FnOnce(&mut EngineConfig),
    steps: Vec<Step>,
    set: impl FnOnce(&mut Snapshot),
) -> Sim {
    let mut sim = Sim::with(config, |snapshot| {
        for user in ["80001", "80002"] {
            snapshot.extensions.insert(user.into(), extension(user, "right"));
        }
        snapshot.inbound.insert(X.into(), "80001".into());
        set(snapshot);
    });
    learn(&mut sim, MERCHANT, Some(steps));
    sim
}

fn sim(steps: Vec<Step>) -> Sim {
    with(|_| {}, steps, |_| {})
}

fn learn(sim: &mut Sim, merchant: MerchantId, steps: Option<Vec<Step>>) {
    let scenario = steps.map(|steps| Arc::new(Scenario::new(steps).unwrap()));
    sim.command(Command::Numbers(vec![NumberScenario { number: X.into(), merchant, scenario }]));
}

/// Somebody calls X by carrier A.
fn calls(sim: &mut Sim, headers: &[(&str, &str)]) -> SessionId {
    let from = format!("<sip:+{NUMBER_A}@192.0.2.1>");
    invite(sim, "a", (&from, &format!("sip:+{X}@198.51.100.1")), None, headers)
}

fn hears(sim: &Sim) -> String {
    match sim.hears(A) {
        Some(Source::Prompt(prompt)) => prompt.name.clone(),
        other => format!("{other:?}"),
    }
}

fn over(sim: &mut Sim) {
    let leg = sim.leg(A);
    sim.media(MediaEvent::Played { leg });
}

fn press(sim: &mut Sim, digit: char) {
    let leg = sim.leg(A);
    sim.media(MediaEvent::Digit { leg, digit });
}

fn state(sim: &Sim) -> String {
    sim.engine.live()[0].state.clone()
}

#[test]
fn whoever_calls_is_answered_hears_the_menu_and_is_led_on() {
    let to = || Number::E164(NUMBER_B.into());
    let mut sim = sim(vec![menu(), lead(to(), Next::Step(2)), says("bye")]);
    calls(&mut sim, &[]);
    assert_eq!(told(&sim, "a"), Some(200), "answered at once");
    assert_eq!(hears(&sim), "welcome");
    assert!(sim.authorizations[0].legs.is_empty(), "whoever calls pays his own network");
    sim.advance(s(3));
    over(&mut sim);
    sim.advance(s(2));
    press(&mut sim, '1');
    assert_eq!(sim.hears(A), Some(&Source::Tone(Tone::RingBack)));
    assert_eq!(sim.added.len(), 1, "the leg that goes out is paid for");
    assert_eq!((sim.added[0].leg.no, &sim.added[0].number), (C, &to()));
    let rung = sim.far("b").last("INVITE").clone();
    assert_eq!(rung.from().unwrap().uri.user_text().as_deref(), Some("+861088889999"));
    sim.ring("b", 180, None);
    sim.advance(s(3));
    sim.pick_up("b");
    let live = &sim.engine.live()[0];
    assert_eq!((live.state.as_str(), live.a.as_str()), ("bridged", &*format!("+{NUMBER_A}")));
    sim.advance(s(20));
    sim.hang_up("a");
    let record = sim.record();
    let command = &record.command;
    assert_eq!((record.outcome, record.released_by), (Outcome::Completed, Side::Caller));
    assert_eq!(record.collected, ["1"]);
    assert_eq!((command.merchant, command.purpose), (MERCHANT, Purpose::Inbound));
    assert_eq!(command.a.number, Number::E164(NUMBER_A.into()));
    assert_eq!(command.b.as_ref().unwrap().as_sent, X, "which of its numbers was called");
    let legs: Vec<_> = record.legs.iter().map(|leg| (leg.no, leg.answered.is_some())).collect();
    assert_eq!(legs, [(A, true), (C, true)]);
    assert_eq!(sim.far("b").count("INVITE"), 1);
    sim.assert_clean();
}

#[test]
fn the_merchant_has_the_call_as_those_that_it_places() {
    let mut sim = sim(vec![menu(), says("one"), says("bye")]);
    calls(&mut sim, &[]);
    over(&mut sim);
    press(&mut sim, '1');
    over(&mut sim);
    assert!(sim.far("a").ended(), "it leads nowhere");
    let command = &sim.record().command;
    assert_eq!((command.dialect, command.app.as_str()), (Dialect::Rest, "7"));
    let pushes: Vec<_> = command.pushes.iter().map(|push| (push.kind, push.dialect)).collect();
    assert_eq!(pushes, [PushKind::State, PushKind::Record].map(|kind| (kind, Dialect::Rest)));
    for state in ["A callout", "A answer", "A disconnect"] {
        let told = sim.states();
        assert_eq!(told.iter().filter(|told| *told == state).count(), 1, "{state}: {told:?}");
    }
    sim.assert_clean();
}

#[test]
fn keys_by_info_count_as_those_by_sound() {
    let mut sim = sim(vec![menu(), says("one"), says("bye")]);
    calls(&mut sim, &[]);
    sim.press_by_info("a", '1');
    assert_eq!(hears(&sim), "one");
    sim.hang_up("a");
    assert_eq!(sim.record().collected, ["1"]);
    sim.assert_clean();
}

#[test]
fn a_number_leads_where_the_operator_says_until_it_has_a_scenario_and_after_it() {
    let group_of_two = |snapshot: &mut Snapshot| {
        snapshot.groups.insert("80100".into(), group(Strategy::RingAll, &["80001", "80002"]));
        snapshot.inbound.insert(X.into(), "80100".into());
    };
    let mut sim = with(|_| {}, vec![says("bye")], group_of_two);
    learn(&mut sim, MERCHANT, None);
    calls(&mut sim, &[]);
    assert_eq!(told(&sim, "a"), Some(480), "nobody of the group is registered");
    assert_eq!(sim.settled.last().unwrap().command.purpose, Purpose::Callback);
    learn(&mut sim, MERCHANT, Some(vec![says("bye")]));
    calls(&mut sim, &[]);
    assert_eq!((told(&sim, "a"), hears(&sim).as_str()), (Some(200), "bye"));
    // What is changed meanwhile is heard by whoever calls next.
    learn(&mut sim, MERCHANT, Some(vec![says("other")]));
    assert_eq!(hears(&sim), "bye");
    over(&mut sim);
    calls(&mut sim, &[]);
    assert_eq!(hears(&sim), "other");
    over(&mut sim);
    // Another merchant's, from whom the number has passed on.
    learn(&mut sim, MerchantId(99), Some(vec![says("theirs")]));
    calls(&mut sim, &[]);
    assert_eq!(told(&sim, "a"), Some(480));
    sim.assert_clean();
}

#[test]
fn of_a_privacy_number_bindings_say_whom_it_reaches() {
    let mut sim = with(
        |_| {},
        vec![says("bye")],
        |snapshot| {
            snapshot.axb.insert(X.into());
        },
    );
    calls(&mut sim, &[]);
    assert_eq!(hears(&sim), "callee-invalid");
    assert_ne!(told(&sim, "a"), Some(200));
    sim.advance(s(60));
    sim.assert_clean();
}

/// A sound behind an address, then another of the operator's.
fn elsewhere() -> Vec<Step> {
    let url = Clip::Url("http://merchant.example/a.wav".into());
    vec![Step::Say(Say::only(vec![url, clip("bye")], 1))]
}

fn came(sim: &mut Sim, sound: Result<(), Unplayable>) {
    let leg = sim.leg(A);
    sim.media(MediaEvent::Fetched { leg, url: "http://merchant.example/a.wav".into(), sound });
}

#[test]
fn whoever_calls_hears_ringing_until_all_that_he_is_to_hear_is_there() {
    let mut sim = sim(elsewhere());
    calls(&mut sim, &[]);
    assert_eq!((told(&sim, "a"), state(&sim).as_str()), (Some(180), "fetching"));
    let visits = |command: &&MediaCommand| matches!(command, MediaCommand::Fetch { .. });
    assert_eq!(sim.media.iter().filter(visits).count(), 1);
    sim.advance(s(9));
    assert_eq!(told(&sim, "a"), Some(180));
    came(&mut sim, Ok(()));
    assert_eq!(told(&sim, "a"), Some(200));
    assert!(hears(&sim).contains("a.wav"));
    over(&mut sim);
    assert_eq!(hears(&sim), "bye");
    over(&mut sim);
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn whoever_calls_is_told_that_nobody_can_be_had_where_a_sound_cannot() {
    for late in [true, false] {
        let mut sim = sim(elsewhere());
        calls(&mut sim, &[]);
        match late {
            true => sim.advance(s(11)),
            false => came(&mut sim, Err(Unplayable::Missing)),
        }
        assert_eq!(told(&sim, "a"), Some(480), "late: {late}");
        let why = Failure::new(Origin::Media, Kind::Unreachable);
        assert_eq!(sim.record().outcome, Outcome::Failed(why));
        assert!(sim.record().legs[0].answered.is_none(), "it cost nobody anything");
        sim.assert_clean();
    }
    // He has left meanwhile.
    let mut sim = sim(elsewhere());
    let session = calls(&mut sim, &[]);
    let now = sim.now.mono;
    sim.far("a").endpoint.cancel(now, session, None);
    sim.drain();
    came(&mut sim, Ok(()));
    let why = Failure::new(Origin::LegA, Kind::Abandoned);
    assert_eq!(sim.record().outcome, Outcome::Failed(why));
    sim.assert_clean();
}

#[test]
fn no_caller_hangs_on_a_merchants_server() {
    let ask = Ask { context: "{}".into(), clip: None, wait: s(3), fallback: Next::Step(1) };
    let mut sim = sim(vec![Step::Ask(ask), says("fallback"), says("told")]);
    calls(&mut sim, &[]);
    assert_eq!((sim.questions.len(), sim.questions[0].merchant), (1, MERCHANT));
    sim.advance(s(6));
    assert_eq!(hears(&sim), "fallback");
    over(&mut sim);
    assert!(sim.far("a").ended());
    calls(&mut sim, &[]);
    let call = sim.questions[1].call;
    let told = Some(Told::Next(Next::Step(2)));
    sim.reply(Reply::Consulted { call, turn: 1, told });
    assert_eq!(hears(&sim), "told");
    over(&mut sim);
    sim.assert_clean();
}

#[test]
fn what_somebody_says_to_a_step_is_the_recording_and_no_mailbox_takes_him_then() {
    let voicemail = |snapshot: &mut Snapshot| {
        let reach =
            Reach { unreachable: Some(LeadsTo::Voicemail("80001".into())), ..Reach::default() };
        snapshot.extensions.get_mut("80001").unwrap().reach = reach;
    };
    let desk = || lead(Number::Internal("80001".into()), Next::Step(2));
    // Whoever is led to an extension that nobody answers is with its mailbox, as any caller.
    let mut sim = with(|_| {}, vec![menu(), desk(), says("bye")], voicemail);
    calls(&mut sim, &[]);
    press(&mut sim, '1');
    assert_eq!((hears(&sim).as_str(), state(&sim).as_str()), ("voicemail-greeting", "voicemail"));
    sim.message_ms = 5_000;
    over(&mut sim);
    over(&mut sim);
    sim.advance(s(5));
    sim.hang_up("a");
    assert_eq!(sim.record().message.as_ref().unwrap().mailbox, "80001");
    sim.assert_clean();
    // A call has one recording.
    let message = Step::Message { max: s(20), next: Next::Step(1) };
    let mut sim = with(|_| {}, vec![message, desk(), says("bye")], voicemail);
    calls(&mut sim, &[]);
    over(&mut sim);
    sim.advance(s(2));
    press(&mut sim, '#');
    assert_eq!(hears(&sim), "bye", "where the step says");
    over(&mut sim);
    assert!(sim.record().recording.is_some() && sim.record().message.is_none());
    sim.assert_clean();
}

#[test]
fn an_extension_that_has_become_another_merchants_is_not_rung() {
    let desk = lead(Number::Internal("80001".into()), Next::Step(2));
    let number_two = |snapshot: &mut Snapshot| {
        snapshot.inbound.insert(X.into(), "80002".into());
    };
    let mut sim = with(|_| {}, vec![menu(), desk, says("bye")], number_two);
    sim.add("desk", DESK, 99);
    bind(&mut sim, &[("80001", DESK)]);
    for (merchant, rung) in [(MERCHANT, 1), (MerchantId(8), 1)] {
        change(&mut sim, |snapshot| {
            snapshot.extensions.get_mut("80001").unwrap().merchant = merchant;
        });
        calls(&mut sim, &[]);
        press(&mut sim, '1');
        assert_eq!(sim.far("desk").count("INVITE"), rung, "of {merchant:?}");
        if merchant == MERCHANT {
            sim.refuse("desk", 486, None);
        }
        assert_eq!(hears(&sim), "bye", "where the step says");
        over(&mut sim);
    }
    sim.assert_clean();
}

#[test]
fn rfc3323_4_2_a_caller_who_asks_not_to_be_known_is_not() {
    for asserted in [true, false] {
        let to = || Number::E164(NUMBER_B.into());
        let mut sim = sim(vec![menu(), lead(to(), Next::Step(2)), says("bye")]);
        let identity = format!("<sip:+{NUMBER_A}@192.0.2.1>");
        let mut headers = vec![("Privacy", "id")];
        headers.extend(asserted.then_some(("P-Asserted-Identity", identity.as_str())));
        calls(&mut sim, &headers);
        press(&mut sim, '1');
        let rung = sim.far("b").last("INVITE").clone();
        assert!(rung.header(HeaderName::Privacy).is_some());
        assert!(!String::from_utf8_lossy(rung.bytes()).contains(&NUMBER_A[4..]));
        sim.pick_up("b");
        sim.advance(s(5));
        sim.hang_up("b");
        let record = sim.record();
        assert_eq!(record.command.a.number, Number::E164(NUMBER_A.into()), "the operator's books");
        assert_eq!(record.command.a.as_sent, "anonymous");
        assert_eq!(record.legs[0].as_sent, "anonymous");
        for note in &sim.notes {
            let (number, shown) = (&note.number, &note.shown);
            assert!(
                !number.contains(&NUMBER_A[4..]) && !shown.contains(&NUMBER_A[4..]),
                "{note:?}"
            );
        }
        sim.assert_clean();
    }
}

#[test]
fn it_is_under_the_limits_of_its_merchant_as_other_calls_that_come() {
    let few = |snapshot: &mut Snapshot| {
        snapshot.merchants.get_mut(&MERCHANT).unwrap().max_calls = Some(1);
    };
    let mut sim = with(|_| {}, vec![menu(), says("one"), says("bye")], few);
    calls(&mut sim, &[]);
    assert_eq!(told(&sim, "a"), Some(200));
    calls(&mut sim, &[]);
    assert_eq!(told(&sim, "a"), Some(503));
    sim.command(Command::Drain { grace: s(30) });
    calls(&mut sim, &[]);
    assert_eq!(told(&sim, "a"), Some(503), "no new ones");
    assert_eq!(hears(&sim), "welcome", "those under way go on");
    sim.advance(s(31));
    assert_eq!(sim.drained, 1);
    assert_eq!(sim.record().outcome, Outcome::Failed(Failure::new(Origin::Us, Kind::Shutdown)));

    let mut sim = with(
        |_| {},
        vec![menu(), says("one"), says("bye")],
        |snapshot| {
            snapshot.merchants.get_mut(&MERCHANT).unwrap().enabled = false;
        },
    );
    calls(&mut sim, &[]);
    assert_eq!(told(&sim, "a"), Some(403));

    let longest = |snapshot: &mut Snapshot| {
        snapshot.merchants.get_mut(&MERCHANT).unwrap().max_talk = s(30);
    };
    let mut sim = with(|_| {}, vec![menu(), says("one"), says("bye")], longest);
    calls(&mut sim, &[]);
    sim.advance(s(31));
    assert!(sim.far("a").ended(), "however long it says something");
    let why = Failure::new(Origin::Us, Kind::MaxDuration);
    assert_eq!(sim.record().outcome, Outcome::Failed(why));
    sim.assert_clean();
}

#[test]
fn whom_it_leads_to_is_under_policies_and_the_balance_and_the_number_under_its_capacity() {
    let away = || {
        let to = Number::E164(NUMBER_B.into());
        vec![menu(), lead(to, Next::Step(2)), says("bye")]
    };
    let listed = |snapshot: &mut Snapshot| {
        let list = NumberList::new([NUMBER_B], Vec::new(), Vec::new());
        snapshot.policies.push(Policy {
            id: 7,
            name: "quiet".into(),
            rule: Rule::default(),
            zone: None,
            block: vec![Arc::new(list)],
            only: Vec::new(),
            except: Vec::new(),
        });
    };
    let mut sim = with(|_| {}, away(), listed);
    calls(&mut sim, &[]);
    press(&mut sim, '1');
    assert_eq!(sim.far("b").count("INVITE"), 0, "he is on the register");
    assert_eq!(sim.stopped[0].service, Service::Dial);
    assert_eq!(hears(&sim), "bye", "where the step says");
    over(&mut sim);
    sim.assert_clean();

    let mut sim = with(|_| {}, away(), |_| {});
    calls(&mut sim, &[]);
    sim.ledger.refuse = Some(Refusal::NoBalance);
    press(&mut sim, '1');
    assert_eq!((sim.far("b").count("INVITE"), hears(&sim).as_str()), (0, "bye"));
    over(&mut sim);
    sim.assert_clean();

    let one = Capacity { max_calls: Some(1), ..Capacity::default() };
    let mut sim = with(
        |_| {},
        away(),
        |snapshot| {
            snapshot.capacity.insert(Holder::Number(X.into()), one);
        },
    );
    calls(&mut sim, &[]);
    calls(&mut sim, &[]);
    assert_eq!(told(&sim, "a"), Some(503), "one at a time");
    sim.advance(s(60));
    over(&mut sim);
    sim.assert_clean();
}

#[test]
fn what_the_last_process_left_open_is_settled_with_its_purpose() {
    let to = Number::E164(NUMBER_B.into());
    let mut sim = sim(vec![menu(), lead(to, Next::Step(2)), says("bye")]);
    calls(&mut sim, &[]);
    press(&mut sim, '1');
    sim.pick_up("b");
    sim.advance(s(20));
    let Authorize { call, command, at, .. } = sim.authorizations[0].clone();
    // Its scenario is in no journal.
    let command = CallCommand { scenario: None, ..command };
    let legs =
        [A, C].map(|no| sim.journal.iter().rev().find(|leg| leg.leg.no == no).unwrap().clone());
    let alive = sim.now.wall;
    let mut next = with(|_| {}, vec![says("bye")], |_| {});
    let open = OpenCall { call, command, placed: at, legs: legs.to_vec(), alive };
    next.command(Command::Recover(Box::new(open)));
    next.advance(s(40));
    let record = next.record();
    assert_eq!((record.command.purpose, record.legs.len()), (Purpose::Inbound, 2));
    assert_eq!(record.outcome, Outcome::Failed(Failure::new(Origin::Us, Kind::Crash)));
    assert_eq!(record.legs[1].talk(), s(20), "to the last proof of its life");
}

#[test]
fn the_explanation_of_the_number_says_that_a_scenario_answers() {
    let mut sim = sim(vec![says("bye")]);
    let explained = |sim: &mut Sim, token| {
        sim.command(Command::Explain { token, number: format!("+{X}") });
        match sim.answers.remove(&token) {
            Some(Answer::Explained(told)) => (*told).unwrap().delivered.unwrap(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(explained(&mut sim, 900), "the scenario that merchant acme has given it");
    learn(&mut sim, MERCHANT, None);
    assert!(explained(&mut sim, 901).contains("extension 80001"));
}

#[test]
fn whoever_describes_no_sound_of_his_own_is_answered_with_an_offer() {
    let mut sim = sim(vec![menu(), says("one"), says("bye")]);
    let from = format!("<sip:+{NUMBER_A}@192.0.2.1>");
    let to = format!("sip:+{X}@198.51.100.1");
    invite_with(&mut sim, "a", (&from, &to), None, (&[], ""));
    assert_eq!(told(&sim, "a"), Some(200));
    let answer = sim.fars["a"].heard.iter().rev().find(|m| m.status() == Some(200)).unwrap();
    assert!(String::from_utf8_lossy(answer.body()).contains("m=audio"), "ours is the offer");
    assert_eq!(hears(&sim), "welcome");
    sim.hang_up("a");
    sim.assert_clean();
}

#[test]
fn it_leads_into_a_conference_of_the_merchants() {
    let confer =
        Step::Confer { conference: "516152".into(), next: Next::Step(1), failed: Next::Step(2) };
    let mut sim = sim(vec![confer, says("after"), says("failed")]);
    let conference = Conference {
        number: "516152".into(),
        title: String::new(),
        creator: String::new(),
        others: Vec::new(),
        chimes: false,
        booking: None,
    };
    let party = Party {
        number: Number::E164(NUMBER_B.into()),
        as_sent: NUMBER_B.into(),
        shown: None,
        ring: s(40),
    };
    let token = sim.place(CallCommand {
        dialect: Dialect::Rest,
        app: "7".into(),
        a: party,
        b: None,
        conference: Some(Box::new(conference)),
        purpose: Purpose::Conference,
        pushes: Vec::new(),
        ..callback()
    });
    sim.placed(token).unwrap();
    sim.pick_up("b");
    calls(&mut sim, &[]);
    assert_eq!(told(&sim, "a"), Some(200));
    let states: Vec<String> = sim.engine.live().into_iter().map(|live| live.state).collect();
    assert_eq!(states, ["conference", "conference"]);
    assert!(matches!(sim.hears(A), Some(Source::Leg(_))), "{:?}", sim.hears(A));
    sim.hang_up("b");
    sim.hang_up("a");
    sim.assert_clean();
    let own = sim.settled.iter().find(|facts| facts.command.purpose == Purpose::Inbound).unwrap();
    assert_eq!((own.legs.len(), own.outcome), (1, Outcome::Completed), "a call of his own");
}
