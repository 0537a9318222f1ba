//! Calls that go to a mailbox: who gets there, what is heard and kept, what ends it, and that nobody is told of a
//! message that is none.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use call::{Answer, Command};
use common::team::{CALLER, DIRECT, GROUP, dial, from_carrier, internal, team_with, told, wishes};
use common::{Sim, callback, s};
use facts::media::{MediaCommand, MediaEvent, Prompt, Source, Tone};
use facts::sound::{Clip, Ended, Listeners, Play, Unplayable};
use facts::{Kind, LeadsTo, LegNo, Number, Outcome, Reach, Side, Strategy};

fn voicemail(user: &str) -> Option<LeadsTo> {
    Some(LeadsTo::Voicemail(user.into()))
}

/// 80001 has wishes; the direct number leads there. The media plane of the tests records 1 ms.
fn sim(reach: Reach) -> Sim {
    let mut sim = team_with(Strategy::RingAll, |snapshot| {
        wishes(snapshot, "80001", reach);
        snapshot.inbound.insert(DIRECT.into(), "80001".into());
    });
    // Whatever is recorded is a message.
    sim.keep_all();
    sim
}

trait Keeps {
    fn keep_all(&mut self);
    fn prompt_over(&mut self);
    fn to_the_tape(&mut self);
    fn taped(&self) -> Vec<&MediaCommand>;
}

impl Keeps for Sim {
    fn keep_all(&mut self) {
        self.message_ms = 5_000;
    }

    fn prompt_over(&mut self) {
        let leg = self.leg(LegNo::A);
        self.media(MediaEvent::Played { leg });
    }

    /// Past the greeting and the tone.
    fn to_the_tape(&mut self) {
        let greeting =
            |source: &Source| matches!(source, Source::Prompt(p) if p.name == "voicemail-greeting");
        assert!(self.hears(LegNo::A).is_some_and(greeting), "{:?}", self.hears(LegNo::A));
        self.prompt_over();
        assert_eq!(self.hears(LegNo::A), Some(&Source::Tone(Tone::Warning)));
        assert!(self.taped().is_empty(), "the tone is no part of the message");
        self.advance(s(1));
        assert_eq!(self.hears(LegNo::A), Some(&Source::Silence));
    }

    fn taped(&self) -> Vec<&MediaCommand> {
        let record = |command: &&MediaCommand| matches!(command, MediaCommand::Record { .. });
        self.media.iter().filter(record).collect()
    }
}

#[test]
fn rfc5359_2_9_a_call_that_is_not_answered_goes_to_the_mailbox() {
    let wishes = Reach { no_answer: voicemail("80001"), no_answer_s: Some(8), ..Reach::default() };
    let mut sim = sim(wishes);
    from_carrier(&mut sim, &[]);
    sim.ring("one", 180, None);
    assert_eq!(told(&sim, "b"), Some(180));
    sim.advance(s(9));
    assert!(sim.far("one").cancelled());
    assert_eq!(told(&sim, "b"), Some(200));
    sim.to_the_tape();
    let a = sim.leg(LegNo::A);
    let taped = sim.taped();
    assert!(
        matches!(taped[..], [MediaCommand::Record { left, right: None, .. }] if *left == a),
        "the caller alone: {taped:?}"
    );
    sim.advance(s(12));
    sim.hang_up("b");
    let record = sim.record().clone();
    assert_eq!((record.outcome, record.released_by), (Outcome::Completed, Side::Caller));
    let message = record.message.unwrap();
    assert_eq!((message.mailbox.as_str(), message.caller.as_str()), ("80001", "+8613800138000"));
    assert_eq!(message.file.duration_ms, 5_000);
    let answered = record.legs[0].answered.unwrap();
    assert_eq!(message.at.since(answered), s(2), "behind the greeting and the tone");
    assert_eq!(record.recording, None, "a message is no recording of the call");
    assert!(sim.authorizations[0].legs.iter().all(|quote| quote.leg == LegNo::B));
    assert!(sim.added.is_empty(), "a mailbox costs nothing");
    assert_eq!(record.legs.len(), 2, "who called, and who did not answer");
    assert!(sim.discarded.is_empty());
    sim.assert_clean();
}

#[test]
fn a_clip_of_the_api_does_not_end_the_greeting() {
    let mut sim = sim(Reach { always: voicemail("80001"), ..Reach::default() });
    from_carrier(&mut sim, &[]);
    let leg = sim.leg(LegNo::A);
    let greeting = sim.hears(LegNo::A).cloned();
    let prompt = Prompt { name: "callee-busy".into(), language: "en".into() };
    let play = |clip| Box::new(Play { to: Listeners::A, clip, interruptible: true });
    let missing = Ended::Unplayable(Unplayable::Missing);
    for (token, ended) in [(3, Ended::Played), (4, Ended::Interrupted), (5, missing)] {
        let play = play(Some(Clip::Prompt(prompt.clone())));
        sim.command(Command::Play { token, call: leg.call, play });
        assert_eq!(sim.answers.get(&token), Some(&Answer::Played(true)));
        sim.media(MediaEvent::LaidOver { leg, ended });
        assert_eq!(sim.hears(LegNo::A).cloned(), greeting, "{ended:?}");
        assert!(sim.taped().is_empty());
    }
    sim.to_the_tape();
    sim.hang_up("b");
    sim.assert_clean();
}

#[test]
fn rfc5359_2_7_all_calls_go_to_the_mailbox_and_nobody_is_rung() {
    let mut sim = sim(Reach { always: voicemail("80001"), ..Reach::default() });
    dial(&mut sim, "80001");
    assert_eq!(common::team::invited(&sim), [0; 4]);
    assert_eq!(told(&sim, "caller"), Some(200));
    assert!(sim.authorizations[0].legs.is_empty(), "nothing is held");
    sim.to_the_tape();
    sim.advance(s(3));
    let leg = sim.leg(LegNo::A);
    sim.media(MediaEvent::Digit { leg, digit: '1' });
    assert!(!sim.far("caller").ended());
    sim.media(MediaEvent::Digit { leg, digit: '#' });
    assert!(sim.far("caller").ended(), "who presses # has said it");
    assert_eq!(sim.record().message.as_ref().unwrap().caller, CALLER.1);
    assert_eq!(sim.record().mailbox.as_deref(), Some("80001"));
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn rfc5359_2_8_busy_quiet_and_unreachable_lead_to_the_mailbox_too() {
    let reach = |dnd| Reach {
        dnd,
        busy: voicemail("80001"),
        unreachable: voicemail("80001"),
        ..Reach::default()
    };
    for why in ["busy", "dnd", "unreachable"] {
        let mut sim = sim(reach(why == "dnd"));
        dial(&mut sim, "80001");
        match why {
            "busy" => sim.refuse("one", 486, None),
            "unreachable" => sim.refuse("one", 480, None),
            _ => assert_eq!(sim.far("one").count("INVITE"), 0),
        }
        assert_eq!(told(&sim, "caller"), Some(200), "{why}");
        sim.to_the_tape();
        sim.hang_up("caller");
        assert_eq!(sim.record().message.as_ref().unwrap().mailbox, "80001", "{why}");
        sim.assert_clean();
    }
}

#[test]
fn rfc5359_2_10_what_a_group_does_not_take_goes_to_a_mailbox() {
    let mut sim = team_with(Strategy::RingAll, |snapshot| {
        snapshot.groups.get_mut(GROUP).unwrap().otherwise = voicemail("80002");
    });
    sim.keep_all();
    from_carrier(&mut sim, &[]);
    for name in ["one", "two", "three"] {
        sim.refuse(name, 486, None);
    }
    sim.to_the_tape();
    sim.hang_up("b");
    assert_eq!(sim.record().message.as_ref().unwrap().mailbox, "80002");
    sim.assert_clean();
}

#[test]
fn a_forwarded_call_reaches_the_mailbox_of_who_it_was_forwarded_to() {
    let mut sim = team_with(Strategy::RingAll, |snapshot| {
        wishes(snapshot, "80001", Reach { always: internal("80002"), ..Reach::default() });
        wishes(snapshot, "80002", Reach { busy: voicemail("80002"), ..Reach::default() });
    });
    sim.keep_all();
    dial(&mut sim, "80001");
    sim.refuse("two", 486, None);
    sim.to_the_tape();
    sim.hang_up("caller");
    assert_eq!(sim.record().message.as_ref().unwrap().mailbox, "80002");
    sim.assert_clean();
}

#[test]
fn silence_and_the_longest_time_end_a_message_and_it_is_kept() {
    for end in ["silence", "time"] {
        let mut sim = sim(Reach { always: voicemail("80001"), ..Reach::default() });
        from_carrier(&mut sim, &[]);
        sim.to_the_tape();
        sim.advance(s(179));
        assert!(!sim.far("b").ended(), "{end}");
        match end {
            "time" => sim.advance(s(2)),
            _ => {
                let leg = sim.leg(LegNo::A);
                sim.media(MediaEvent::Silent { leg, since: s(60) });
            }
        }
        assert!(sim.far("b").ended(), "{end}");
        let record = sim.record();
        assert!(record.message.is_some(), "{end}");
        assert_eq!((record.outcome, record.released_by), (Outcome::Completed, Side::Platform));
        sim.assert_clean();
    }
}

#[test]
fn what_is_too_short_or_was_never_said_is_no_message() {
    // 1.999 s of 2 s.
    let mut short = sim(Reach { always: voicemail("80001"), ..Reach::default() });
    short.message_ms = 1_999;
    from_carrier(&mut short, &[]);
    short.to_the_tape();
    short.hang_up("b");
    assert_eq!((&short.record().message, &short.record().recording), (&None, &None));
    assert_eq!(short.discarded.len(), 1, "nobody will ask for the file");
    short.assert_clean();
    // Hung up in the greeting.
    let mut shy = sim(Reach { always: voicemail("80001"), ..Reach::default() });
    from_carrier(&mut shy, &[]);
    shy.hang_up("b");
    assert!(shy.taped().is_empty() && shy.discarded.is_empty());
    assert_eq!(shy.record().message, None);
    let Outcome::Failed(failure) = shy.record().outcome else { panic!("nothing was left") };
    assert_eq!(failure.kind, Kind::Abandoned);
    shy.assert_clean();
    // The file could not be made.
    let mut full = sim(Reach { always: voicemail("80001"), ..Reach::default() });
    from_carrier(&mut full, &[]);
    full.to_the_tape();
    let call = full.leg(LegNo::A).call;
    full.media(MediaEvent::RecordingFailed { call });
    full.hang_up("b");
    assert_eq!(full.record().message, None);
    full.assert_clean();
}

#[test]
fn a_full_mailbox_takes_no_more_and_the_failure_stands() {
    let mut sim = sim(Reach { busy: voicemail("80001"), ..Reach::default() });
    sim.command(Command::Mailbox { user: "80001".into(), new: 60, old: 40 });
    dial(&mut sim, "80001");
    sim.refuse("one", 486, None);
    assert_eq!(told(&sim, "caller"), Some(486));
    sim.assert_clean();
}

#[test]
fn whom_we_rang_for_a_merchant_talks_to_no_mailbox() {
    let reach = Reach { busy: voicemail("80001"), ..Reach::default() };
    let mut sim = sim(reach);
    let mut command = callback();
    command.b.as_mut().unwrap().number = Number::Internal("80001".into());
    sim.place(command);
    sim.pick_up("a");
    sim.advance(Duration::from_millis(100));
    sim.refuse("one", 486, None);
    sim.advance(s(30));
    assert!(sim.taped().is_empty());
    let Outcome::Failed(failure) = sim.record().outcome else { panic!("B was busy") };
    assert_eq!(failure.kind, Kind::Busy);
    sim.assert_clean();
}
