//! Calls that a scenario leads: what is heard, pressed, priced and put on record (merchant API §4.4: a notice, and a
//! key that leads to a group).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use call::Command;
use common::team::{GROUP, change, invited, team};
use common::{Sim, callback, engine_config, s};
use facts::ledger::OpenCall;
use facts::media::{MediaCommand, MediaEvent, Prompt, Source, Tone};
use facts::record::LegState;
use facts::scenario::{Choice, Next, Say, Scenario, Step};
use facts::sound::{Clip, Spoken, Unplayable};
use facts::{
    CallCommand, Dialect, Failure, Kind, LegNo, Number, Origin, Outcome, Purpose, Push, PushKind,
    Refusal, Side, Strategy,
};

const A: LegNo = LegNo::A;

fn clip(name: &str) -> Clip {
    Clip::Prompt(Prompt { name: name.into(), language: "zh".into() })
}

fn says(steps: Vec<Step>) -> CallCommand {
    let scenario = Some(Arc::new(Scenario::new(steps).unwrap()));
    CallCommand { b: None, scenario, ..callback() }
}

/// A notice, of which 1 leads to the group; a word when nobody is there.
fn menu() -> CallCommand {
    let menu = Say {
        choices: vec![Choice { keys: "1".into(), next: Next::Step(1) }],
        wait: s(5),
        ..Say::only(vec![clip("notice")], 1)
    };
    let to = Number::Internal(GROUP.into());
    says(vec![
        Step::Say(menu),
        Step::Lead { to, failed: Next::Step(2) },
        Step::Say(Say::only(vec![clip("callee-busy")], 1)),
    ])
}

trait Listens {
    fn hears_clip(&self) -> Option<String>;
    fn clip_over(&mut self);
    fn press(&mut self, digit: char);
}

impl Listens for Sim {
    fn hears_clip(&self) -> Option<String> {
        match self.hears(A)? {
            Source::Prompt(prompt) => Some(prompt.name.clone()),
            _ => None,
        }
    }

    fn clip_over(&mut self) {
        let leg = self.leg(A);
        self.media(MediaEvent::Played { leg });
    }

    fn press(&mut self, digit: char) {
        let leg = self.leg(A);
        self.media(MediaEvent::Digit { leg, digit });
    }
}

/// A has answered and hears the notice.
fn heard(command: CallCommand) -> Sim {
    let mut sim = team(Strategy::RingAll);
    let token = sim.place(command);
    assert!(sim.placed(token).is_ok());
    sim.ring("a", 180, None);
    assert_eq!(sim.hears_clip(), None, "nothing is said to a phone that rings");
    sim.pick_up("a");
    sim
}

#[test]
fn a_notice_is_said_and_the_call_is_over() {
    let mut sim = heard(says(vec![Step::Say(Say::only(vec![clip("one"), clip("two")], 2))]));
    for (name, pause) in [("one", 0), ("two", 1), ("one", 0), ("two", 0)] {
        assert_eq!(sim.hears_clip().as_deref(), Some(name));
        sim.press('5');
        assert_eq!(sim.hears_clip().as_deref(), Some(name), "no key is taken");
        sim.advance(s(3));
        sim.clip_over();
        sim.advance(s(pause));
    }
    assert!(sim.far("a").ended());
    let record = sim.record();
    assert_eq!((record.outcome, record.released_by), (Outcome::Completed, Side::Platform));
    assert_eq!((record.legs.len(), record.bridged), (1, None));
    assert_eq!(record.legs[0].talk(), s(13), "every second of it is paid for");
    assert!(record.collected.is_empty());
    let priced: Vec<_> = sim.authorizations[0].legs.iter().map(|quote| quote.leg).collect();
    assert_eq!(priced, [A]);
    sim.assert_clean();
}

#[test]
fn a_key_ends_the_notice_and_rings_the_group_while_ring_back_is_heard() {
    let mut sim = heard(menu());
    sim.advance(s(1));
    sim.press('1');
    assert_eq!(sim.hears(A), Some(&Source::Tone(Tone::RingBack)));
    assert_eq!(invited(&sim), [1, 1, 1, 0]);
    assert_eq!(sim.added.len(), 1, "the ledger was asked for the leg");
    sim.ring("one", 180, None);
    sim.pick_up("two");
    let agent = sim.leg(LegNo(2));
    assert_eq!(sim.hears(A), Some(&Source::Leg(agent)));
    assert!(sim.far("one").cancelled());
    sim.advance(s(20));
    sim.hang_up("a");
    assert!(sim.far("two").ended());
    let record = sim.record();
    assert_eq!((record.outcome, record.released_by), (Outcome::Completed, Side::Caller));
    assert_eq!(record.collected, ["1"]);
    assert!(record.bridged.is_some());
    assert_eq!(record.called(), LegNo(2));
    sim.assert_clean();
}

#[test]
fn no_key_and_a_wrong_one_lead_to_nobody() {
    let mut sim = heard(menu());
    sim.clip_over();
    sim.advance(s(4));
    assert!(!sim.far("a").ended());
    sim.advance(s(2));
    assert!(sim.far("a").ended());
    assert!(sim.record().collected.is_empty());
    sim.assert_clean();

    let mut sim = heard(menu());
    sim.press('7');
    assert!(sim.far("a").ended());
    assert_eq!(sim.record().collected, ["7"]);
    assert_eq!(invited(&sim), [0; 4]);
    sim.assert_clean();
}

#[test]
fn a_group_that_is_not_to_be_had_is_told_of() {
    // Nobody in it, none of that name, and one in which nobody answers.
    for case in 0..3 {
        let mut sim = heard(menu());
        change(&mut sim, |snapshot| match case {
            0 => snapshot.groups.get_mut(GROUP).unwrap().members.clear(),
            1 => _ = snapshot.groups.remove(GROUP),
            _ => {}
        });
        sim.press('1');
        if case == 2 {
            sim.advance(s(36));
            assert!(sim.far("one").cancelled());
        }
        assert_eq!(sim.hears_clip().as_deref(), Some("callee-busy"), "{case}");
        sim.clip_over();
        assert!(sim.far("a").ended());
        assert_eq!(sim.record().outcome, Outcome::Completed, "it was heard");
        sim.assert_clean();
    }
}

#[test]
fn whoever_leaves_while_the_group_is_rung_ends_the_ringing() {
    let mut sim = heard(menu());
    sim.press('1');
    sim.ring("one", 180, None);
    sim.hang_up("a");
    for phone in ["one", "two", "three"] {
        sim.ring(phone, 180, None);
        assert!(sim.far(phone).cancelled(), "{phone}");
    }
    assert_eq!(sim.record().released_by, Side::Caller);
    sim.advance(s(40));
    sim.assert_clean();
}

#[test]
fn whoever_does_not_answer_hears_nothing_and_pays_nothing() {
    for (status, kind) in [(486, Kind::Busy), (404, Kind::Unallocated)] {
        let mut sim = team(Strategy::RingAll);
        sim.place(menu());
        sim.refuse("a", status, None);
        assert_eq!(sim.hears_clip(), None);
        let Outcome::Failed(failure) = sim.record().outcome else { unreachable!() };
        assert_eq!(failure.kind, kind);
        assert_eq!(sim.record().legs[0].talk(), Duration::ZERO);
        sim.assert_clean();
    }
}

#[test]
fn a_sound_that_is_not_to_be_had_fails_the_call() {
    let mut sim = heard(menu());
    let leg = sim.leg(A);
    sim.media(MediaEvent::Unplayable { leg, why: Unplayable::Missing });
    assert!(sim.far("a").ended());
    let Outcome::Failed(failure) = sim.record().outcome else { unreachable!() };
    assert_eq!(failure.kind, Kind::Internal);
    sim.assert_clean();
}

#[test]
fn the_longest_talk_counts_from_the_answer() {
    let long = CallCommand { max_talk: Some(s(30)), ..menu() };
    let mut sim = heard(long);
    sim.advance(s(20));
    sim.press('1');
    sim.pick_up("one");
    sim.advance(s(9));
    assert!(!sim.far("a").ended());
    sim.advance(s(2));
    assert!(sim.far("a").ended());
    let Outcome::Failed(failure) = sim.record().outcome else { unreachable!() };
    assert_eq!(failure.kind, Kind::MaxDuration);
    assert_eq!(sim.record().legs[0].talk(), s(30));
    sim.assert_clean();
}

/// The customer of a campaign, for whoever of these is free.
fn campaign(among: &[&str]) -> CallCommand {
    let among = among.iter().map(|&user| user.to_owned()).collect();
    let steps = vec![Step::Hunt { among, failed: Next::HangUp }];
    CallCommand { purpose: Purpose::Campaign, ..says(steps) }
}

#[test]
fn s4_9_a_customer_is_led_to_whichever_extension_is_free() {
    let mut sim = team(Strategy::RingAll);
    // The first talks, the second does not want to be disturbed, the third is free.
    common::team::dial(&mut sim, "80001");
    sim.pick_up("one");
    let quiet = facts::Reach { dnd: true, ..facts::Reach::default() };
    change(&mut sim, |snapshot| common::team::wishes(snapshot, "80002", quiet));
    let extensions = ["80001", "80002", "80003"].map(str::to_owned).to_vec();
    sim.command(Command::Stations { token: 76, extensions });
    let Some(call::Answer::Stations(stations)) = sim.answers.remove(&76) else { panic!() };
    let free: Vec<_> = stations.iter().map(|one| (one.is_free(|_| false), one.quiet)).collect();
    assert_eq!(free, [(false, false), (false, true), (true, false)]);
    sim.place(campaign(&["80001", "80002", "80003", "80004"]));
    sim.pick_up("a");
    assert_eq!(invited(&sim), [1, 0, 1, 0], "no other is rung before its turn");
    sim.ring("three", 180, None);
    sim.advance(s(15));
    assert_eq!(invited(&sim), [1, 0, 1, 1], "nobody picked up");
    sim.pick_up("four");
    sim.advance(s(10));
    sim.hang_up("a");
    let record = sim.record().clone();
    assert_eq!(record.outcome, Outcome::Completed);
    assert!(record.bridged.is_some());
    assert_eq!(record.legs.last().unwrap().number, Number::Internal("80004".into()));
    // With nobody free the customer is let go.
    sim.place(campaign(&["80001", "80002"]));
    sim.pick_up("a");
    assert!(sim.far("a").ended());
    assert_eq!(sim.settled.last().unwrap().bridged, None);
}

#[test]
fn s4_9_an_extension_that_is_somebody_elses_by_now_gets_no_customer() {
    let mut sim = team(Strategy::RingAll);
    let passes_on = |sim: &mut Sim, number: &str| {
        change(sim, |snapshot| {
            snapshot.extensions.get_mut(number).unwrap().merchant = facts::MerchantId(99);
        });
    };
    passes_on(&mut sim, "80001");
    sim.place(campaign(&["80001", "80002"]));
    sim.pick_up("a");
    assert_eq!(invited(&sim), [0, 1, 0, 0]);
    sim.pick_up("two");
    sim.hang_up("a");
    passes_on(&mut sim, "80002");
    sim.place(campaign(&["80001", "80002"]));
    sim.pick_up("a");
    assert!(sim.far("a").ended());
    assert_eq!((invited(&sim), sim.settled.last().unwrap().bridged), ([0, 1, 0, 0], None));
    sim.assert_clean();
}

#[test]
fn s4_9_whoever_lets_calls_ring_in_vain_is_asked_last_for_a_while() {
    let mut sim = team(Strategy::Sequential);
    let customer = |sim: &mut Sim, among: &[&str]| {
        let before = invited(sim);
        sim.place(campaign(among));
        sim.pick_up("a");
        let after = invited(sim);
        (0..4).filter(|at| after[*at] > before[*at]).collect::<Vec<_>>()
    };
    let rests = |sim: &mut Sim| {
        let extensions = vec!["80001".to_owned()];
        sim.command(Command::Stations { token: 77, extensions });
        let Some(call::Answer::Stations(stations)) = sim.answers.remove(&77) else { panic!() };
        stations[0].rests
    };
    for _ in 0..3 {
        assert!(!rests(&mut sim));
        assert_eq!(customer(&mut sim, &["80001", "80002"]), [0]);
        sim.ring("one", 180, None);
        sim.advance(s(15));
        sim.pick_up("two");
        sim.advance(s(3));
        sim.hang_up("a");
        sim.advance(s(40));
    }
    assert!(rests(&mut sim), "three in vain, one behind the other");
    assert_eq!(customer(&mut sim, &["80001", "80002"]), [1], "he is asked last");
    sim.pick_up("two");
    sim.hang_up("a");
    // Of a group too, but only for those who can choose.
    let team = CallCommand {
        purpose: Purpose::Campaign,
        ..says(vec![Step::Lead { to: Number::Internal(GROUP.into()), failed: Next::HangUp }])
    };
    let before = invited(&sim);
    sim.place(team);
    sim.pick_up("a");
    assert_eq!(invited(&sim)[1], before[1] + 1);
    sim.hang_up("a");
    common::team::dial(&mut sim, "80001");
    assert_eq!(invited(&sim)[0], before[0] + 1, "who dials him rings him");
    sim.pick_up("one");
    assert!(rests(&mut sim), "until he has talked");
    sim.hang_up("one");
    assert!(!rests(&mut sim), "he is there again");
    assert_eq!(customer(&mut sim, &["80001", "80002"]), [0]);
}

#[test]
fn a_circle_of_people_whom_nobody_knows_comes_to_an_end() {
    let nobody = |failed| Step::Lead { to: Number::Internal("89999".into()), failed };
    let circle = vec![nobody(Next::Step(1)), nobody(Next::Step(0))];
    let sim = &mut heard(says(circle));
    assert!(sim.far("a").ended());
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

/// The process dies, and the next one takes over what was written down, as it was written.
fn killed(sim: &mut Sim) {
    let asked = &sim.authorizations[0];
    let kept = serde_json::to_string(&asked.command).unwrap();
    let mut open = OpenCall {
        call: asked.call,
        command: serde_json::from_str(&kept).unwrap(),
        placed: asked.at,
        legs: Vec::new(),
        alive: sim.now.wall,
    };
    for entry in &sim.journal {
        open.legs.retain(|leg| leg.leg != entry.leg);
        open.legs.push(entry.clone());
    }
    sim.now = sim.now.after(s(10));
    let (config, snapshot) = (engine_config(), Arc::new(sim.snapshot.clone()));
    sim.engine = call::Engine::new(config, snapshot, sim.now);
    sim.command(Command::Recover(Box::new(open)));
}

#[test]
fn a_crash_while_something_is_said_ends_the_leg_and_bills_what_is_proved() {
    let mut sim = heard(menu());
    sim.advance(s(6));
    killed(&mut sim);
    assert!(sim.far("a").ended());
    let record = sim.record();
    assert_eq!(record.outcome, Outcome::Failed(Failure::new(Origin::Us, Kind::Crash)));
    assert_eq!(record.legs[0].talk(), s(6));
}

#[test]
fn a_crash_between_the_end_and_the_books_loses_no_notice() {
    let mut sim = team(Strategy::RingAll);
    sim.place(menu());
    sim.pick_up("a");
    sim.advance(s(6));
    // The books are away when it ends.
    sim.ledger.answers = false;
    sim.hang_up("a");
    sim.settled.clear();
    sim.ledger.answers = true;
    killed(&mut sim);
    let record = sim.record();
    assert_eq!((record.outcome, record.released_by), (Outcome::Completed, Side::Caller));
    assert_eq!(record.legs[0].talk(), s(6));
    assert_eq!(record.command.b, None);
}

#[test]
fn a_call_that_would_do_nothing_is_refused() {
    let mut sim = team(Strategy::RingAll);
    let token = sim.place(CallCommand { b: None, ..callback() });
    assert_eq!(sim.placed(token), Err(Refusal::NoRoute));
    sim.assert_clean();
}

#[test]
fn what_is_said_stands_in_nothing_that_is_kept() {
    let say =
        facts::sound::Say { language: "en".into(), parts: vec![Spoken::Digits("471147".into())] };
    let mut sim = heard(says(vec![Step::Say(Say::only(vec![Clip::Say(say)], 2))]));
    assert!(matches!(sim.hears(A), Some(Source::Say(_))));
    sim.hang_up("a");
    let kept = serde_json::to_string(sim.record()).unwrap();
    assert!(!kept.contains("471147"), "{kept}");
    sim.assert_clean();
}

/// Somebody follows the extensions.
fn followed() -> CallCommand {
    let push = Push {
        kind: PushKind::Extension,
        dialect: Dialect::Sipcall,
        endpoint: "http://merchant.example/state".into(),
        context: String::new(),
    };
    CallCommand { pushes: vec![push], ..menu() }
}

/// Who was told of, and what: in order.
fn told_of(sim: &Sim) -> Vec<(String, LegState)> {
    assert!(sim.notes.iter().all(|note| note.extension.is_some()), "{:?}", sim.notes);
    let mut sequences: Vec<u32> = sim.notes.iter().map(|note| note.sequence).collect();
    sequences.sort_unstable();
    sequences.dedup();
    assert_eq!(sequences.len(), sim.notes.len(), "each has a number of its own");
    sim.notes.iter().map(|note| (note.number.clone(), note.state)).collect()
}

#[test]
fn case_43_each_extension_of_a_group_is_told_of_once_whatever_becomes_of_it() {
    use LegState::{Alerting, Answer, Disconnect};
    let mut sim = heard(followed());
    sim.press('1');
    sim.ring("one", 180, None);
    sim.ring("one", 180, None);
    sim.refuse("one", 486, None);
    sim.ring("three", 180, None);
    // Its phone does not say that it rings.
    sim.pick_up("two");
    sim.advance(s(3));
    sim.hang_up("two");
    let state = |user: &str, state| (user.to_owned(), state);
    let wanted = [
        state("80001", Alerting),
        state("80001", Disconnect),
        state("80003", Alerting),
        state("80002", Alerting),
        state("80002", Answer),
        state("80003", Disconnect),
        state("80002", Disconnect),
    ];
    assert_eq!(told_of(&sim), wanted);
    sim.assert_clean();
}

#[test]
fn s4_9_one_of_a_group_is_rung_no_longer_and_the_others_ring_on() {
    let mut sim = heard(followed());
    sim.press('1');
    for phone in ["one", "two", "three"] {
        sim.ring(phone, 180, None);
    }
    let call = sim.engine.live()[0].call;
    let control = Box::new(facts::control::Control::Decline { extension: "80001".into() });
    let merchant = common::MERCHANT;
    sim.command(Command::Control { token: 9_999, call, merchant, control });
    assert_eq!(sim.far("one").count("CANCEL"), 1);
    assert_eq!(sim.far("two").count("CANCEL") + sim.far("three").count("CANCEL"), 0);
    sim.refuse("one", 487, None);
    sim.pick_up("two");
    sim.advance(s(3));
    sim.hang_up("two");
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn case_66_extensions_that_ring_are_told_of_as_gone_when_the_customer_leaves() {
    use LegState::{Alerting, Disconnect};
    let mut sim = heard(followed());
    sim.press('1');
    sim.ring("one", 180, None);
    sim.ring("two", 180, None);
    sim.hang_up("a");
    let states: Vec<_> = told_of(&sim).into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, [Alerting, Alerting, Disconnect, Disconnect]);
    sim.advance(s(40));
    assert_eq!(sim.notes.len(), 4, "and nothing more");
    sim.assert_clean();
}

/// A notice that lies behind an address.
fn fetched() -> Sim {
    let say = Say::only(vec![Clip::Url("http://merchant.example/a.wav".into())], 1);
    let mut sim = team(Strategy::RingAll);
    let token = sim.place(says(vec![Step::Say(say)]));
    assert!(sim.placed(token).is_ok(), "it is taken before it is known what lies there");
    let orders = sim.media.iter().filter(|order| matches!(order, MediaCommand::Fetch { .. }));
    assert_eq!(orders.count(), 1);
    assert_eq!(sim.far("a").count("INVITE"), 0, "nobody is rung before the sound is there");
    sim
}

fn came(sim: &mut Sim, sound: Result<(), Unplayable>) {
    let leg = facts::LegId::new(sim.authorizations[0].call, A);
    let url = "http://merchant.example/a.wav".to_owned();
    sim.media(MediaEvent::Fetched { leg, url, sound });
}

#[test]
fn s4_4_a_sound_behind_an_address_is_there_before_anybody_is_rung() {
    let mut sim = fetched();
    sim.advance(s(9));
    came(&mut sim, Ok(()));
    assert_eq!(sim.far("a").count("INVITE"), 1);
    // The end of the waiting is not that of the call.
    sim.advance(s(5));
    sim.pick_up("a");
    sim.clip_over();
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn s4_4_nobody_is_rung_where_a_sound_cannot_be_had_or_takes_too_long() {
    for late in [false, true] {
        let mut sim = fetched();
        match late {
            true => sim.advance(s(11)),
            false => came(&mut sim, Err(Unplayable::Missing)),
        }
        let record = sim.record();
        let failure = Failure::new(Origin::Media, Kind::Internal);
        assert_eq!(record.outcome, Outcome::Failed(failure), "late: {late}");
        assert!(record.legs.is_empty(), "nobody was rung");
        came(&mut sim, Ok(()));
        assert_eq!(sim.far("a").count("INVITE"), 0);
        sim.assert_clean();
    }
}
