//! What somebody hears before he is recorded, and what becomes of a recording that he does not want.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
#[path = "common/transfers.rs"]
mod transfers;

use call::{Answer, Command, EngineConfig};
use common::*;
use facts::media::{MediaCommand, MediaEvent, Prompt, Source};
use facts::record::Unrecorded;
use facts::sound::{Ended, Unplayable};
use facts::{CallId, LegNo, Outcome};

const A: LegNo = LegNo::A;
const B: LegNo = LegNo::B;
const C: LegNo = LegNo(2);
const ASK: &str = "recording-consent";

fn consent(config: &mut EngineConfig) {
    config.consent.prompt = Some(ASK.into());
}

fn bridged() -> Sim {
    bridged_with(|_| {})
}

fn bridged_with(config: impl FnOnce(&mut EngineConfig)) -> Sim {
    let both = |all: &mut EngineConfig| {
        consent(all);
        config(all);
    };
    let mut sim = Sim::with(both, |_| {});
    let mut command = callback();
    command.record = facts::media::Record::Yes;
    sim.place(command);
    sim.pick_up("a");
    sim.pick_up("b");
    sim
}

/// What was laid over what a leg hears, by name.
fn told(sim: &Sim, no: LegNo) -> Vec<String> {
    let laid = |command: &MediaCommand| match command {
        MediaCommand::Interject { leg, source: Source::Prompt(Prompt { name, .. }) } => {
            (leg.no == no).then(|| name.clone())
        }
        _ => None,
    };
    sim.media.iter().filter_map(laid).collect()
}

/// What the recorder was told, in order.
fn tape(sim: &Sim) -> Vec<String> {
    let word = |command: &MediaCommand| match command {
        MediaCommand::Record { left, right, .. } => {
            Some(format!("record {} {}", left.no, right.unwrap().no))
        }
        MediaCommand::Retape { left, right, .. } => {
            Some(format!("retape {} {}", left.no, right.no))
        }
        MediaCommand::PauseRecording { paused: true, .. } => Some("pause".into()),
        MediaCommand::PauseRecording { paused: false, .. } => Some("resume".into()),
        MediaCommand::StopRecording { .. } => Some("stop".into()),
        _ => None,
    };
    sim.media.iter().filter_map(word).collect()
}

fn played(sim: &mut Sim, no: LegNo) {
    let leg = sim.leg(no);
    sim.media(MediaEvent::LaidOver { leg, ended: Ended::Played });
}

fn press(sim: &mut Sim, no: LegNo, digit: char) {
    let leg = sim.leg(no);
    sim.media(MediaEvent::Digit { leg, digit });
}

#[test]
fn case_15_a_recording_begins_when_both_have_heard_the_announcement_to_its_end() {
    let mut sim = bridged();
    assert_eq!((told(&sim, A), told(&sim, B)), (vec![ASK.to_owned()], vec![ASK.to_owned()]));
    sim.advance(s(9));
    played(&mut sim, A);
    assert_eq!(tape(&sim), [""; 0], "B still listens");
    press(&mut sim, B, '5');
    played(&mut sim, B);
    assert_eq!(tape(&sim), ["record A B"]);
    sim.advance(s(60));
    sim.hang_up("b");
    assert_eq!(tape(&sim), ["record A B", "stop"]);
    let record = sim.record();
    assert!(record.recording.is_some() && record.unrecorded.is_none());
    sim.assert_clean();
}

#[test]
fn case_15_nobody_is_asked_where_nothing_is_recorded() {
    let mut sim = Sim::with(consent, |_| {});
    sim.up_to_bridge();
    assert_eq!((told(&sim, A).len(), tape(&sim).len()), (0, 0));
    press(&mut sim, A, '9');
    sim.hang_up("a");
    assert_eq!(sim.record().unrecorded, None);
}

#[test]
fn a_key_of_either_during_the_announcement_declines_and_both_are_told() {
    for no in [A, B] {
        let mut sim = bridged();
        played(&mut sim, A);
        press(&mut sim, no, '9');
        for no in [A, B] {
            assert_eq!(told(&sim, no), [ASK, "call-not-recorded"]);
        }
        played(&mut sim, A);
        played(&mut sim, B);
        press(&mut sim, B, '9');
        sim.advance(s(120));
        assert_eq!(told(&sim, A).len(), 2, "once");
        sim.hang_up("a");
        assert!(tape(&sim).is_empty() && sim.discarded.is_empty());
        let record = sim.record();
        assert_eq!((&record.recording, record.unrecorded), (&None, Some(Unrecorded::Declined)));
        assert_eq!(record.outcome, Outcome::Completed);
        sim.assert_clean();
    }
}

#[test]
fn a_key_while_it_is_recorded_ends_the_recording_and_its_file_is_thrown_away() {
    let mut sim = bridged();
    played(&mut sim, A);
    played(&mut sim, B);
    sim.advance(s(30));
    press(&mut sim, B, '9');
    assert_eq!(tape(&sim), ["record A B", "stop"]);
    assert_eq!(sim.discarded, ["x.mp3"], "at once, not at the end of the call");
    let call = sim.leg(A).call;
    sim.command(Command::PauseRecording { token: 5, call, paused: true });
    assert_eq!(sim.answers.get(&5), Some(&Answer::Paused(false)));
    sim.advance(s(30));
    sim.hang_up("b");
    let record = sim.record();
    assert_eq!((&record.recording, record.unrecorded), (&None, Some(Unrecorded::Declined)));
    sim.assert_clean();
}

#[test]
fn the_key_that_declines_is_a_setting() {
    let mut sim = bridged_with(|config| config.consent.decline = Some('#'));
    press(&mut sim, A, '9');
    played(&mut sim, A);
    played(&mut sim, B);
    assert_eq!(tape(&sim), ["record A B"]);
    press(&mut sim, A, '#');
    assert_eq!(sim.discarded.len(), 1);
    let mut sim = bridged_with(|config| config.consent.decline = None);
    press(&mut sim, A, '9');
    played(&mut sim, A);
    played(&mut sim, B);
    assert_eq!(tape(&sim), ["record A B"]);
}

#[test]
fn case_15_who_hangs_up_during_the_announcement_leaves_no_recording_and_no_failure() {
    let mut sim = bridged();
    played(&mut sim, A);
    sim.hang_up("b");
    played(&mut sim, B);
    assert!(tape(&sim).is_empty());
    let record = sim.record();
    assert_eq!((&record.recording, record.unrecorded), (&None, None));
    assert_eq!(record.outcome, Outcome::Completed);
    sim.assert_clean();
}

/// Field case 40: somebody is asked for a key, and hangs up in place of pressing it. The other one is let go at once.
#[test]
fn case_40_whoever_drops_while_he_is_asked_for_a_key_leaves_nobody_stuck() {
    for (drops, other, no) in [("b", "a", B), ("a", "b", A)] {
        let mut sim = bridged();
        assert_eq!((told(&sim, A).len(), told(&sim, B).len()), (1, 1), "both are asked");
        sim.advance(s(1));
        sim.hang_up(drops);
        assert_eq!(sim.fars[other].count("BYE"), 1, "{drops} drops");
        // A key that was on its way, and the end of the question, find nobody.
        press(&mut sim, no, '1');
        played(&mut sim, no);
        sim.advance(s(1));
        let record = sim.record().clone();
        assert_eq!((record.outcome, record.recording), (Outcome::Completed, None));
        assert!(tape(&sim).is_empty());
        sim.assert_clean();
    }
}

#[test]
fn case_15_whoever_takes_a_place_is_told_first_and_nothing_is_kept_meanwhile() {
    let mut sim = transfers::sim_with(consent);
    transfers::recorded(&mut sim);
    played(&mut sim, A);
    played(&mut sim, B);
    sim.advance(s(5));
    assert_eq!(transfers::refer(&mut sim, "desk", "<sip:80002@tandem.example>"), 202);
    assert_eq!(tape(&sim), ["record A B"], "the old pair talks on");
    sim.pick_up_with("soft", &sdp_of("b"));
    assert_eq!(tape(&sim), ["record A B", "pause", "retape A C"]);
    assert_eq!((told(&sim, A).len(), told(&sim, C)), (1, vec![ASK.to_owned()]), "A was told");
    // The operator's word stays, whatever the announcement does.
    let call = sim.leg(A).call;
    sim.command(Command::PauseRecording { token: 5, call, paused: true });
    played(&mut sim, C);
    sim.command(Command::PauseRecording { token: 6, call, paused: false });
    let pauses = ["pause", "pause", "resume"];
    assert_eq!(tape(&sim)[3..], pauses);
    press(&mut sim, C, '9');
    assert_eq!(
        (sim.discarded.len(), told(&sim, A)),
        (1, vec![ASK.to_owned(), "call-not-recorded".into()])
    );
    sim.hang_up("a");
    assert_eq!(sim.record().unrecorded, Some(Unrecorded::Declined));
    sim.assert_clean();
}

#[test]
fn case_15_who_leaves_before_the_transfer_is_done_takes_the_recording_along_for_a_while() {
    let mut sim = transfers::sim_with(consent);
    transfers::recorded(&mut sim);
    played(&mut sim, A);
    played(&mut sim, B);
    transfers::refer(&mut sim, "desk", "<sip:80002@tandem.example>");
    sim.hang_up("desk");
    assert_eq!(tape(&sim), ["record A B", "retape A C", "pause"]);
    sim.pick_up_with("soft", &sdp_of("b"));
    played(&mut sim, C);
    assert_eq!(tape(&sim)[3..], ["retape A C", "resume"]);
    sim.hang_up("a");
    assert!(sim.record().recording.is_some());
    sim.assert_clean();
}

#[test]
fn case_15_an_announcement_that_fails_is_begun_again_and_without_it_nothing_is_kept() {
    let mut sim = bridged();
    let gone = |sim: &mut Sim| {
        let leg = sim.leg(A);
        let ended = Ended::Unplayable(Unplayable::Missing);
        sim.media(MediaEvent::LaidOver { leg, ended });
    };
    gone(&mut sim);
    assert_eq!(told(&sim, A), [ASK, ASK]);
    played(&mut sim, A);
    played(&mut sim, B);
    assert_eq!(tape(&sim), ["record A B"]);
    let mut sim = bridged();
    gone(&mut sim);
    gone(&mut sim);
    played(&mut sim, B);
    sim.hang_up("a");
    assert!(tape(&sim).is_empty());
    assert_eq!(sim.record().unrecorded, Some(Unrecorded::Unannounced));
    // Of its end nothing is ever heard.
    let mut sim = bridged();
    played(&mut sim, B);
    sim.advance(s(61));
    played(&mut sim, A);
    sim.hang_up("a");
    assert!(tape(&sim).is_empty());
    assert_eq!(sim.record().unrecorded, Some(Unrecorded::Unannounced));
}

#[test]
fn a_pause_and_other_sounds_wait_for_the_announcement() {
    let mut sim = bridged();
    let call = sim.leg(A).call;
    sim.command(Command::PauseRecording { token: 5, call, paused: true });
    assert_eq!(sim.answers.get(&5), Some(&Answer::Paused(true)), "it will be");
    assert!(tape(&sim).is_empty());
    let laid = sim.media.len();
    let clip = Some(facts::sound::Clip::Prompt(Prompt { name: "x".into(), language: "en".into() }));
    let play = facts::sound::Play { to: facts::sound::Listeners::Both, clip, interruptible: true };
    sim.command(Command::Play { token: 6, call, play: Box::new(play.clone()) });
    assert_eq!(sim.media.len(), laid, "nothing takes its place");
    played(&mut sim, A);
    played(&mut sim, B);
    assert_eq!(tape(&sim), ["record A B", "pause"]);
    sim.command(Command::Play { token: 7, call, play: Box::new(play) });
    assert!(sim.media.len() > laid + 2);
    sim.command(Command::PauseRecording { token: 8, call: CallId(1), paused: true });
    assert_eq!(sim.answers.get(&8), Some(&Answer::Paused(false)));
}

#[test]
fn case_16_a_recording_that_fails_is_not_begun_again() {
    let mut sim = bridged();
    played(&mut sim, A);
    played(&mut sim, B);
    let call = sim.leg(A).call;
    sim.media(MediaEvent::RecordingFailed { call });
    sim.advance(s(5));
    press(&mut sim, A, '5');
    assert_eq!(tape(&sim), ["record A B"]);
    sim.hang_up("a");
    let record = sim.record();
    assert_eq!((&record.recording, record.unrecorded), (&None, None));
}
