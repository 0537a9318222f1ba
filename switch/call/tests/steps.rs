//! Steps of a scenario that record, and those that ask whoever asked for the call how it goes on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::sync::Arc;

use call::Reply;
use common::{NUMBER_B, Sim, callback, s};
use facts::media::{MediaCommand, MediaEvent, Prompt, Source, Voices};
use facts::scenario::{Ask, Choice, Next, Say, Scenario, Step, Told};
use facts::sound::{Clip, Unplayable};
use facts::{CallCommand, LegNo, Number, Outcome, Side};

const A: LegNo = LegNo::A;

fn clip(name: &str) -> Clip {
    Clip::Prompt(Prompt { name: name.into(), language: "zh".into() })
}

fn says(name: &str) -> Step {
    Step::Say(Say::only(vec![clip(name)], 1))
}

/// A has answered.
fn heard(steps: Vec<Step>) -> Sim {
    let scenario = Some(Arc::new(Scenario::new(steps).unwrap()));
    let mut sim = Sim::new();
    let token = sim.place(CallCommand { b: None, scenario, ..callback() });
    assert!(sim.placed(token).is_ok());
    sim.pick_up("a");
    sim
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

fn taped(sim: &Sim) -> Vec<&MediaCommand> {
    let of = |command: &&MediaCommand| {
        matches!(
            command,
            MediaCommand::Record { .. }
                | MediaCommand::StopRecording { .. }
                | MediaCommand::PauseRecording { .. }
        )
    };
    sim.media.iter().filter(of).collect()
}

fn message() -> Vec<Step> {
    vec![Step::Message { max: s(20), next: Next::Step(1) }, says("bye")]
}

#[test]
fn what_somebody_says_to_a_step_is_the_recording_of_the_call() {
    for ends_by_key in [true, false] {
        let mut sim = heard(message());
        assert!(taped(&sim).is_empty(), "a tone first");
        over(&mut sim);
        let [MediaCommand::Record { left, right: None, form, file, .. }] = taped(&sim)[..] else {
            panic!("{:?}", taped(&sim))
        };
        assert_eq!((left.no, form.voices), (A, Voices::A));
        assert!(!file.contains(facts::media::MESSAGE), "it is nobody's mailbox: {file}");
        press(&mut sim, '5');
        match ends_by_key {
            true => press(&mut sim, '#'),
            false => sim.advance(s(21)),
        }
        assert!(matches!(taped(&sim)[..], [_, MediaCommand::StopRecording { .. }]));
        assert_eq!(hears(&sim), "bye");
        over(&mut sim);
        assert!(sim.far("a").ended());
        assert!(sim.record().recording.is_some());
        assert!(sim.record().message.is_none());
        sim.assert_clean();
    }
}

#[test]
fn a_message_that_ends_with_the_call_is_kept_and_a_second_one_is_none() {
    let mut sim = heard(message());
    over(&mut sim);
    sim.hang_up("a");
    assert_eq!(
        (sim.record().outcome, sim.record().released_by),
        (Outcome::Completed, Side::Caller)
    );
    sim.assert_clean();

    let again = vec![
        Step::Message { max: s(5), next: Next::Step(1) },
        Step::Message { max: s(5), next: Next::Step(2) },
        says("bye"),
    ];
    let mut sim = heard(again);
    over(&mut sim);
    sim.advance(s(6));
    over(&mut sim);
    assert_eq!(hears(&sim), "bye", "a call has one recording");
    sim.hang_up("a");
    sim.assert_clean();
}

#[test]
fn a_step_turns_the_recording_of_the_conversation_on_or_pauses_it() {
    let lead = || Step::Lead { to: Number::public(NUMBER_B.into()), failed: Next::HangUp };
    for (on, pauses) in [(vec![true], 0), (vec![true, false], 1), (vec![false], 0)] {
        let mut steps: Vec<Step> = Vec::new();
        for on in &on {
            let next = Next::Step(u8::try_from(steps.len() + 1).unwrap());
            steps.push(Step::Tape { on: *on, next });
        }
        steps.push(lead());
        let mut sim = heard(steps);
        assert!(taped(&sim).is_empty(), "there is no conversation yet");
        sim.pick_up("b");
        let begun = taped(&sim);
        let records = begun.iter().filter(|one| matches!(one, MediaCommand::Record { .. })).count();
        let paused =
            |one: &&&MediaCommand| matches!(one, MediaCommand::PauseRecording { paused: true, .. });
        assert_eq!(
            (records, begun.iter().filter(paused).count()),
            (usize::from(on[0]), pauses),
            "{on:?}"
        );
        sim.hang_up("a");
        sim.assert_clean();
    }
    // What takes no time and leads in a circle comes to an end.
    let circle = vec![
        Step::Tape { on: true, next: Next::Step(1) },
        Step::Tape { on: false, next: Next::Step(0) },
    ];
    let mut sim = heard(circle);
    assert!(sim.far("a").ended());
    sim.assert_clean();
}

/// Digits, then the question; whatever comes of it has a word of its own.
fn asks(sound: Option<Clip>) -> Vec<Step> {
    let digits = Say {
        choices: vec![Choice { keys: "1".into(), next: Next::Step(1) }],
        wait: s(5),
        ..Say::only(vec![clip("digits")], 1)
    };
    let ask = Ask { context: "{}".into(), clip: sound, wait: s(3), fallback: Next::Step(3) };
    vec![Step::Say(digits), Step::Ask(ask), says("told"), says("fallback")]
}

fn asked(sound: Option<Clip>) -> Sim {
    let mut sim = heard(asks(sound));
    press(&mut sim, '1');
    assert_eq!(sim.questions.len(), 1);
    sim
}

fn answer(sim: &mut Sim, turn: u8, told: Option<Told>) {
    let call = sim.leg(A).call;
    sim.reply(Reply::Consulted { call, turn, told });
}

#[test]
fn a_merchant_is_asked_with_the_keys_so_far_and_says_where_it_goes_on() {
    let mut sim = asked(Some(clip("one-moment")));
    let question = sim.questions[0].clone();
    assert_eq!((question.turn, question.wait, question.keys), (1, s(3), vec!["1".to_owned()]));
    assert_eq!(hears(&sim), "one-moment", "while it waits");
    over(&mut sim);
    press(&mut sim, '9');
    answer(&mut sim, 2, Some(Told::Next(Next::HangUp)));
    assert!(!sim.far("a").ended(), "that was another question");
    answer(&mut sim, 1, Some(Told::Next(Next::Step(2))));
    assert_eq!(hears(&sim), "told");
    answer(&mut sim, 1, Some(Told::Next(Next::HangUp)));
    assert_eq!(hears(&sim), "told", "the first word counts");
    over(&mut sim);
    assert!(sim.far("a").ended());
    assert_eq!(sim.record().collected, ["1"]);
    sim.assert_clean();
}

#[test]
fn a_merchant_says_another_scenario() {
    let mut sim = asked(None);
    let other = Scenario::new(vec![says("other"), says("told")]).unwrap();
    answer(&mut sim, 1, Some(Told::Scenario(Arc::new(other))));
    assert_eq!(hears(&sim), "other");
    over(&mut sim);
    assert!(sim.far("a").ended(), "its last step");
    sim.assert_clean();
}

/// Another scenario, of two sounds that lie behind addresses.
fn elsewhere() -> Scenario {
    let clips = ["a", "b"].map(|file| Clip::Url(format!("http://merchant.example/{file}.wav")));
    Scenario::new(vec![Step::Say(Say::only(clips.to_vec(), 1))]).unwrap()
}

fn came(sim: &mut Sim, file: &str, sound: Result<(), Unplayable>) {
    let (leg, url) = (sim.leg(A), format!("http://merchant.example/{file}.wav"));
    sim.media(MediaEvent::Fetched { leg, url, sound });
}

fn visits(sim: &Sim) -> usize {
    sim.media.iter().filter(|order| matches!(order, MediaCommand::Fetch { .. })).count()
}

#[test]
fn what_another_scenario_says_is_there_before_it_begins() {
    let mut sim = asked(Some(clip("one-moment")));
    answer(&mut sim, 1, Some(Told::Scenario(Arc::new(elsewhere()))));
    assert_eq!((visits(&sim), hears(&sim).as_str()), (2, "one-moment"), "it is visited meanwhile");
    answer(&mut sim, 1, Some(Told::Next(Next::HangUp)));
    sim.advance(s(9));
    came(&mut sim, "a", Ok(()));
    came(&mut sim, "a", Ok(()));
    assert_eq!(hears(&sim), "one-moment", "the other one is not there");
    came(&mut sim, "b", Ok(()));
    assert!(hears(&sim).contains("a.wav"), "{}", hears(&sim));
    sim.advance(s(5));
    sim.hang_up("a");
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn another_scenario_whose_sounds_cannot_be_had_is_as_no_answer() {
    for late in [true, false] {
        let mut sim = asked(None);
        answer(&mut sim, 1, Some(Told::Scenario(Arc::new(elsewhere()))));
        came(&mut sim, "b", Ok(()));
        match late {
            true => sim.advance(s(11)),
            false => came(&mut sim, "a", Err(Unplayable::Missing)),
        }
        assert_eq!(hears(&sim), "fallback", "late: {late}");
        came(&mut sim, "a", Ok(()));
        assert_eq!(hears(&sim), "fallback", "of the scenario that asked");
        over(&mut sim);
        assert!(sim.far("a").ended());
        assert_eq!(sim.record().outcome, Outcome::Completed);
        sim.assert_clean();
    }
    // Whoever listens has left meanwhile.
    let mut sim = asked(None);
    answer(&mut sim, 1, Some(Told::Scenario(Arc::new(elsewhere()))));
    sim.hang_up("a");
    came(&mut sim, "a", Ok(()));
    came(&mut sim, "b", Ok(()));
    sim.assert_clean();
}

#[test]
fn no_call_hangs_on_a_merchants_server() {
    // It says nothing that can be carried out; it says nothing at all.
    let mut sim = asked(None);
    answer(&mut sim, 1, None);
    assert_eq!(hears(&sim), "fallback");
    sim.hang_up("a");
    sim.assert_clean();
    let mut sim = asked(None);
    sim.advance(s(4));
    assert_ne!(hears(&sim), "fallback", "whoever asks has said so by then");
    sim.advance(s(2));
    assert_eq!(hears(&sim), "fallback");
    let late = Scenario::new(vec![says("late")]).unwrap();
    answer(&mut sim, 1, Some(Told::Scenario(Arc::new(late))));
    assert_eq!(hears(&sim), "fallback");
    over(&mut sim);
    assert!(sim.far("a").ended());
    sim.assert_clean();
    // Whoever listens has left meanwhile; the operator ends it.
    let mut sim = asked(None);
    sim.hang_up("a");
    answer(&mut sim, 1, Some(Told::Next(Next::Step(2))));
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn questions_that_lead_in_a_circle_come_to_an_end() {
    let ask = Ask { context: "{}".into(), clip: None, wait: s(1), fallback: Next::Step(0) };
    let mut sim = heard(vec![Step::Ask(ask)]);
    for turn in 1..=20 {
        if !sim.far("a").ended() {
            answer(&mut sim, turn, None);
        }
    }
    assert!(sim.far("a").ended());
    assert_eq!(sim.questions.len(), 16);
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn one_call_is_looked_at_without_the_others() {
    let mut sim = asked(None);
    let call = sim.leg(A).call;
    let mut look = |call| {
        sim.command(call::Command::Look { token: 77, call });
        match sim.answers.remove(&77) {
            Some(call::Answer::Looked(live)) => live,
            other => panic!("{other:?}"),
        }
    };
    let live = look(call).unwrap();
    assert_eq!((live.call, live.state.as_str()), (call, "asking"));
    assert_eq!(look(facts::CallId(7)), None);
    sim.hang_up("a");
    sim.assert_clean();
}
