//! Calls that phones and carriers begin, recorded because the number, the group or the extension says so; whose voices
//! go into which file; and the recordings of calls that are led on, picked up, parked and put together.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
#[path = "common/transfers.rs"]
mod transfers;

use call::{Answer, Command, EngineConfig, Notice};
use common::phones::{call_from, invite, sdp_of as sdp_at};
use common::team::change;
use common::*;
use facts::media::{
    MediaCommand, MediaEvent, Record, RecordedFile, RecordingForm, Source, Tone, Voices,
};
use facts::record::Unrecorded;
use facts::settings::Recorded;
use facts::sound::Ended;
use facts::{CallId, LegId, LegNo, Number, Outcome, Strategy};
use transfers::{dialog, refer, refer_in, sim_with};

const A: LegNo = LegNo::A;
const B: LegNo = LegNo::B;
const C: LegNo = LegNo(2);
const DID: &str = "861087654321";

/// Three phones (desk, soft, third: 80001 to 80003) and the carriers; these are recorded.
fn sim(whose: &[(&str, Record)]) -> Sim {
    sim_as(|_| {}, whose)
}

fn sim_as(config: impl FnOnce(&mut EngineConfig), whose: &[(&str, Record)]) -> Sim {
    let mut sim = sim_with(config);
    change(&mut sim, |snapshot| {
        snapshot.inbound.insert(DID.into(), "80001".into());
        let members = ["80002"];
        snapshot.groups.insert("80100".into(), team::group(Strategy::Sequential, &members));
        for (number, record) in whose {
            let number = (*number).to_owned();
            let whose =
                if number == DID { Recorded::Inbound(number) } else { Recorded::Internal(number) };
            snapshot.recorded.insert(whose, *record);
        }
    });
    sim
}

/// Carrier B brings a call for the inbound number.
fn from_carrier(sim: &mut Sim) {
    let from = format!("<sip:+8613800138000@{}>", CARRIER_B.split(':').next().unwrap());
    invite(sim, "b", (&from, &format!("sip:+{DID}@198.51.100.1")), None, &[]);
}

/// What the recorder was told, in order: `1 record A B`, by the order in which calls began.
fn tape(sim: &Sim) -> Vec<String> {
    let calls: Vec<CallId> = sim.authorizations.iter().map(|asked| asked.call).collect();
    let word = |command: &MediaCommand| {
        let (call, word) = match command {
            MediaCommand::Record { call, left, right, .. } => {
                (call, format!("record {} {}", left.no, right.unwrap().no))
            }
            MediaCommand::Retape { call, left, right } => {
                (call, format!("retape {} {}", left.no, right.no))
            }
            MediaCommand::PauseRecording { call, paused: true } => (call, "pause".into()),
            MediaCommand::PauseRecording { call, paused: false } => (call, "resume".into()),
            MediaCommand::StopRecording { call } => (call, "stop".into()),
            _ => return None,
        };
        let number = calls.iter().position(|known| known == call).unwrap() + 1;
        Some(format!("{number} {word}"))
    };
    sim.media.iter().filter_map(word).collect()
}

fn written(sim: &Sim) -> (String, RecordingForm) {
    let mut all = sim.media.iter().filter_map(|command| match command {
        MediaCommand::Record { file, form, .. } => Some((file.clone(), *form)),
        _ => None,
    });
    let first = all.next().expect("it is recorded");
    assert!(all.next().is_none(), "once");
    first
}

fn told(sim: &Sim, no: LegNo) -> Vec<Source> {
    let laid = |command: &MediaCommand| match command {
        MediaCommand::Interject { leg, source } if leg.no == no => Some(source.clone()),
        _ => None,
    };
    sim.media.iter().filter_map(laid).collect()
}

/// What these words mean in a call that is up: who called, and who answered.
fn talk(sim: &mut Sim, number: &str, name: &str) {
    call_from(sim, "desk", "80001", number);
    sim.pick_up_with(name, &sdp_at("c"));
    sim.advance(s(5));
}

#[test]
fn case_15_calls_of_phones_and_carriers_are_recorded_where_a_number_or_an_extension_is() {
    let yes = Record::Yes;
    // Who calls; a carrier's subscriber answers.
    let mut one = sim(&[("80001", yes)]);
    talk(&mut one, "01088880000", "b");
    // Who is called.
    let mut two = sim(&[("80002", yes)]);
    talk(&mut two, "80002", "soft");
    // The group that is called, and its member alone.
    let mut three = sim(&[("80100", yes)]);
    talk(&mut three, "80100", "soft");
    let mut four = sim(&[("80002", yes)]);
    talk(&mut four, "80100", "soft");
    // The inbound number, and the extension behind it.
    let mut five = sim(&[(DID, yes)]);
    from_carrier(&mut five);
    five.pick_up_with("desk", &sdp_at("c"));
    let mut six = sim(&[("80001", yes)]);
    from_carrier(&mut six);
    six.pick_up_with("desk", &sdp_at("c"));
    for (n, mut sim) in [one, two, three, four, five, six].into_iter().enumerate() {
        assert_eq!(tape(&sim), ["1 record A B"], "{n}");
        let live = sim.engine.live().pop().unwrap();
        sim.command(Command::HangUp { token: 90, call: live.call });
        assert_eq!(tape(&sim), ["1 record A B", "1 stop"], "{n}");
        let record = sim.record();
        assert!(record.recording.is_some() && record.command.record.is_wanted(), "{n}");
        sim.assert_clean();
    }
}

#[test]
fn calls_of_others_are_not_recorded() {
    let yes = Record::Yes;
    // The number of a stranger's extension is no inbound number, nor the other way round.
    for whose in [vec![], vec![("80003", yes)], vec![("80100", yes)], vec![(DID, yes)]] {
        let mut sim = sim(&whose);
        talk(&mut sim, "80002", "soft");
        sim.hang_up("soft");
        assert!(tape(&sim).is_empty(), "{whose:?}");
        assert_eq!(sim.record().command.record, Record::No);
        sim.assert_clean();
    }
}

#[test]
fn case_15_nothing_is_kept_of_a_call_that_nobody_answers() {
    let mut sim = sim(&[("80001", Record::Yes)]);
    call_from(&mut sim, "desk", "80001", "80002");
    sim.ring("soft", 183, Some(&sdp_at("c")));
    sim.refuse("soft", 486, None);
    assert!(tape(&sim).is_empty());
    sim.assert_clean();
}

#[test]
fn whose_voices_are_kept_is_said_by_the_first_who_says_anything() {
    let apart = Record::As(Voices::Apart);
    for (whose, voices, mark) in [
        (vec![("80001", Record::Yes)], Voices::Mixed, "."),
        (vec![("80001", apart), ("80002", Record::As(Voices::A))], Voices::Apart, "-a."),
        (vec![("80002", Record::As(Voices::A))], Voices::A, "-a."),
        (vec![("80002", Record::As(Voices::B))], Voices::B, "-b."),
        (vec![("80002", Record::As(Voices::Stereo))], Voices::Stereo, "."),
    ] {
        let settings = |config: &mut EngineConfig| config.recording.voices = Voices::Mixed;
        let mut sim = sim_as(settings, &whose);
        talk(&mut sim, "80002", "soft");
        let (file, form) = written(&sim);
        assert_eq!(form.voices, voices, "{whose:?}");
        assert!(file.ends_with(&format!("{mark}mp3")), "{file}");
        assert_eq!(Voices::other(&file).is_some(), matches!(voices, Voices::A | Voices::Apart));
        sim.hang_up("soft");
        sim.assert_clean();
    }
    // What a merchant asks for goes before.
    let mut sim = sim(&[("80001", Record::As(Voices::A))]);
    let mut command = callback();
    command.b.as_mut().unwrap().number = Number::Internal("80001".into());
    command.record = Record::As(Voices::Mixed);
    sim.place(command);
    sim.pick_up("a");
    sim.pick_up_with("desk", &sdp_at("c"));
    assert_eq!(written(&sim).1.voices, Voices::Mixed);
}

#[test]
fn both_hear_the_notice_and_a_pause_is_heeded_in_a_call_between_phones() {
    let mut sim =
        sim_as(|config| config.recording_notice = Notice::Tone, &[("80002", Record::Yes)]);
    talk(&mut sim, "80002", "soft");
    for no in [A, B] {
        assert_eq!(told(&sim, no), [Source::Tone(Tone::Recorded)]);
    }
    let call = sim.leg(A).call;
    for (token, paused) in [(7, true), (8, false)] {
        sim.command(Command::PauseRecording { token, call, paused });
        assert_eq!(sim.answers.get(&token), Some(&Answer::Paused(true)));
    }
    assert_eq!(tape(&sim), ["1 record A B", "1 pause", "1 resume"]);
}

fn consent(config: &mut EngineConfig) {
    config.consent.prompt = Some("recording-consent".into());
}

fn heard(sim: &mut Sim, no: LegNo) {
    let leg = sim.leg(no);
    sim.media(MediaEvent::LaidOver { leg, ended: Ended::Played });
}

#[test]
fn case_15_who_calls_by_himself_is_asked_too_and_both_files_of_who_declines_are_thrown_away() {
    let mut sim = sim_as(consent, &[(DID, Record::As(Voices::Apart))]);
    from_carrier(&mut sim);
    sim.pick_up_with("desk", &sdp_at("c"));
    assert_eq!((told(&sim, A).len(), told(&sim, B).len()), (1, 1));
    heard(&mut sim, A);
    assert!(tape(&sim).is_empty());
    heard(&mut sim, B);
    assert_eq!(tape(&sim), ["1 record A B"]);
    let a = written(&sim).0;
    sim.media_answers = false;
    let leg = sim.leg(B);
    sim.media(MediaEvent::Digit { leg, digit: '9' });
    assert_eq!(tape(&sim)[1..], ["1 stop"]);
    sim.media_answers = true;
    let b = Voices::other(&a).unwrap();
    let file = |file: &String| RecordedFile { file: file.clone(), ..RecordedFile::default() };
    let both = RecordedFile { other: Some(Box::new(file(&b))), ..file(&a) };
    sim.media(MediaEvent::Recorded { call: leg.call, file: both });
    assert_eq!(sim.discarded, [a, b]);
    sim.hang_up("b");
    let record = sim.record();
    assert_eq!((&record.recording, record.unrecorded), (&None, Some(Unrecorded::Declined)));
    assert_eq!(record.outcome, Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn a_recording_begins_with_a_recorded_extension_that_comes_in_later_and_stays_when_it_leaves() {
    let mut sim = sim(&[("80002", Record::Yes)]);
    call_from(&mut sim, "desk", "80001", "01088880000");
    sim.pick_up("b");
    assert!(tape(&sim).is_empty());
    assert_eq!(refer(&mut sim, "b", "<sip:80002@tandem.example>"), 403, "a carrier may not");
    assert_eq!(refer(&mut sim, "desk", "<sip:80002@tandem.example>"), 202);
    assert!(tape(&sim).is_empty(), "the two who talk are not recorded");
    sim.pick_up_with("soft", &sdp_at("c"));
    assert_eq!(tape(&sim), ["1 record C B"]);
    sim.advance(s(5));
    assert_eq!(refer(&mut sim, "soft", "<sip:80003@tandem.example>"), 202);
    sim.pick_up_with("third", &sdp_at("c"));
    assert_eq!(tape(&sim), ["1 record C B", "1 retape D B"], "one file");
    sim.hang_up("b");
    assert!(sim.record().recording.is_some());
    sim.assert_clean();
}

#[test]
fn case_15_a_recorded_extension_that_comes_in_later_begins_nothing_before_both_were_asked() {
    let mut sim = sim_as(consent, &[("80002", Record::Yes)]);
    call_from(&mut sim, "desk", "80001", "01088880000");
    sim.pick_up("b");
    assert!(told(&sim, A).is_empty() && told(&sim, B).is_empty(), "nobody is recorded");
    refer(&mut sim, "desk", "<sip:80002@tandem.example>");
    sim.pick_up_with("soft", &sdp_at("c"));
    assert_eq!((told(&sim, B).len(), told(&sim, C).len()), (1, 1));
    heard(&mut sim, C);
    assert!(tape(&sim).is_empty());
    heard(&mut sim, B);
    assert_eq!(tape(&sim), ["1 record C B"]);
    sim.hang_up("b");
    sim.assert_clean();
}

#[test]
fn case_15_a_call_that_is_picked_up_is_recorded_once_with_who_picked_it_up() {
    let mut sim = sim(&[("80001", Record::Yes)]);
    call_from(&mut sim, "third", "80003", "80001");
    sim.ring("desk", 180, None);
    call_from(&mut sim, "soft", "80002", "*880001");
    sim.advance(s(1));
    assert_eq!(tape(&sim), ["1 record A C"], "it was for a recorded extension");
    sim.hang_up("third");
    assert!(sim.record().recording.is_some());
    sim.assert_clean();
}

#[test]
fn case_15_a_recording_goes_on_while_a_call_of_phones_is_parked_and_with_who_takes_it() {
    let mut sim = sim(&[("80001", Record::Yes)]);
    call_from(&mut sim, "desk", "80001", "01088880000");
    sim.pick_up("b");
    assert_eq!(refer(&mut sim, "desk", &format!("<sip:*70@{REALM}>")), 202);
    assert_eq!(tape(&sim).len(), 2, "{:?}", tape(&sim));
    assert!(tape(&sim)[1].starts_with("1 retape"), "who left is not taped");
    call_from(&mut sim, "soft", "80002", "*7180001");
    sim.advance(s(1));
    assert_eq!(tape(&sim)[2..], ["1 retape C B"]);
    sim.hang_up("b");
    assert!(sim.record().recording.is_some());
    sim.assert_clean();
}

/// What names a dialog of whoever refers.
fn to(user: &str, (call_id, from, to, _): &transfers::Dialog) -> String {
    let tag = |value: &str| value.split("tag=").nth(1).unwrap().to_owned();
    let tags = (tag(to), tag(from));
    format!(
        "Refer-To: <sip:{user}@{REALM}?Replaces={call_id}%3Bto-tag%3D{}%3Bfrom-tag%3D{}>\n",
        tags.0, tags.1
    )
}

#[test]
fn case_15_case_62_two_calls_that_become_one_keep_a_record_and_a_recording_each_and_name_each_other()
 {
    let mut sim = sim(&[("80001", Record::Yes)]);
    call_from(&mut sim, "desk", "80001", "01088880000");
    sim.pick_up("b");
    sim.advance(s(10));
    let first = dialog(&sim, "desk");
    call_from(&mut sim, "desk", "80001", "80002");
    sim.pick_up_with("soft", &sdp_at("c"));
    sim.advance(s(5));
    let second = dialog(&sim, "desk");
    assert_eq!(tape(&sim), ["1 record A B", "2 record A B"]);
    assert_eq!(refer_in(&mut sim, "desk", &first, &to("80002", &second)), 202);
    // The port of who left leads to the other call: what comes by it is his channel from now on.
    assert_eq!(tape(&sim).len(), 2, "neither ends nor begins anew: {:?}", tape(&sim));
    sim.advance(s(30));
    sim.hang_up("b");
    assert_eq!(tape(&sim)[2..].iter().filter(|word| word.ends_with("stop")).count(), 2);
    for facts in &sim.settled {
        assert!(facts.recording.is_some() && facts.unrecorded.is_none());
    }
    assert_eq!(sim.settled.len(), 2);
    // Field case 62: who reads one finds the other, and its file.
    let [one, two] = [0, 1].map(|n| LegId::new(sim.authorizations[n].call, A));
    for (leg, other) in [(one, two), (two, one)] {
        let facts = sim.settled.iter().find(|facts| facts.call == leg.call).unwrap();
        assert_eq!(facts.leg(A).unwrap().replaced_by, Some(other));
    }
    sim.assert_clean();
}

#[test]
fn case_15_who_is_put_through_by_a_link_is_told_before_more_of_it_is_kept() {
    let mut sim = sim_as(consent, &[("80001", Record::Yes)]);
    call_from(&mut sim, "desk", "80001", "01088880000");
    sim.pick_up("b");
    heard(&mut sim, A);
    heard(&mut sim, B);
    let first = dialog(&sim, "desk");
    call_from(&mut sim, "desk", "80001", "80003");
    sim.pick_up_with("third", &sdp_at("c"));
    let second = dialog(&sim, "desk");
    let of = |sim: &Sim, n: usize, no| LegId::new(sim.authorizations[n].call, no);
    let over = |sim: &mut Sim, leg| sim.media(MediaEvent::LaidOver { leg, ended: Ended::Played });
    for no in [A, B] {
        let leg = of(&sim, 1, no);
        over(&mut sim, leg);
    }
    assert_eq!(tape(&sim), ["1 record A B", "2 record A B"]);
    assert_eq!(refer_in(&mut sim, "desk", &first, &to("80003", &second)), 202);
    assert_eq!(tape(&sim)[2..], ["1 pause", "2 pause"], "each has somebody new behind its port");
    let leg = of(&sim, 0, A);
    over(&mut sim, leg);
    assert_eq!(tape(&sim)[4..], ["1 resume"]);
    sim.hang_up("b");
    sim.assert_clean();
}
