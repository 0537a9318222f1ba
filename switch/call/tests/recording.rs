//! What is recorded, how it is written, what both parties are told, and that it can be paused.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use call::{Answer, Command, EngineConfig, Notice};
use common::*;
use facts::media::{MediaCommand, Prompt, RecordingForm, RecordingFormat, Source, Tone, Voices};
use facts::{CallId, LegNo};

const A: LegNo = LegNo::A;
const B: LegNo = LegNo::B;
const WAV: RecordingForm = RecordingForm { format: RecordingFormat::Wav, voices: Voices::Mixed };

fn bridged(config: impl FnOnce(&mut EngineConfig)) -> Sim {
    let mut sim = Sim::with(config, |_| {});
    let mut command = callback();
    command.record = facts::media::Record::Yes;
    sim.place(command);
    sim.pick_up("a");
    sim.pick_up("b");
    sim
}

/// What was laid over what a leg hears.
fn told(sim: &Sim, no: LegNo) -> Vec<Source> {
    let laid = |command: &MediaCommand| match command {
        MediaCommand::Interject { leg, source } if leg.no == no => Some(source.clone()),
        _ => None,
    };
    sim.media.iter().filter_map(laid).collect()
}

fn written(sim: &Sim) -> Vec<(&str, RecordingForm)> {
    sim.media
        .iter()
        .filter_map(|command| match command {
            MediaCommand::Record { file, form, .. } => Some((file.as_str(), *form)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_conversation_is_written_as_the_settings_say() {
    let sim = bridged(|_| {});
    let [(file, form)] = written(&sim)[..] else { panic!("one recording") };
    assert!(file.ends_with(".mp3"), "{file}");
    assert_eq!(form, RecordingForm::default());
    assert!(told(&sim, A).is_empty() && told(&sim, B).is_empty());
    let sim = bridged(|config| config.recording = WAV);
    let [(file, form)] = written(&sim)[..] else { panic!("one recording") };
    assert!(file.ends_with(".wav"), "{file}");
    assert_eq!(form, WAV);
}

#[test]
fn both_parties_are_told_first_by_a_tone_or_in_words() {
    let sim = bridged(|config| config.recording_notice = Notice::Tone);
    for no in [A, B] {
        assert_eq!(told(&sim, no), [Source::Tone(Tone::Recorded)]);
    }
    let sim = bridged(|config| config.recording_notice = Notice::Prompt("call-recorded".into()));
    for no in [A, B] {
        let [Source::Prompt(Prompt { name, language })] = &told(&sim, no)[..] else {
            panic!("one announcement")
        };
        assert_eq!((name.as_str(), language.as_str()), ("call-recorded", "en"));
    }
}

#[test]
fn nobody_is_told_when_nothing_is_recorded() {
    let mut sim = Sim::with(|config| config.recording_notice = Notice::Tone, |_| {});
    let mut command = callback();
    command.record = facts::media::Record::No;
    sim.place(command);
    sim.pick_up("a");
    sim.pick_up("b");
    assert_eq!(sim.hears(A), Some(&Source::Leg(sim.leg(B))));
    assert!(written(&sim).is_empty() && told(&sim, A).is_empty() && told(&sim, B).is_empty());
    let call = sim.leg(A).call;
    sim.command(Command::PauseRecording { token: 5, call, paused: true });
    assert_eq!(sim.answers.get(&5), Some(&Answer::Paused(false)));
}

#[test]
fn a_recording_is_paused_and_resumed_and_what_is_none_is_not() {
    let mut sim = bridged(|_| {});
    let call = sim.leg(A).call;
    for (token, paused) in [(7, true), (8, false)] {
        sim.command(Command::PauseRecording { token, call, paused });
        assert_eq!(sim.answers.get(&token), Some(&Answer::Paused(true)));
    }
    let pauses: Vec<bool> = sim
        .media
        .iter()
        .filter_map(|command| match command {
            MediaCommand::PauseRecording { call: which, paused } if *which == call => Some(*paused),
            _ => None,
        })
        .collect();
    assert_eq!(pauses, [true, false]);
    sim.command(Command::PauseRecording { token: 9, call: CallId(1), paused: true });
    assert_eq!(sim.answers.get(&9), Some(&Answer::Paused(false)), "no such call");
    sim.hang_up("b");
    sim.command(Command::PauseRecording { token: 10, call, paused: true });
    assert_eq!(sim.answers.get(&10), Some(&Answer::Paused(false)), "it is over");
}
