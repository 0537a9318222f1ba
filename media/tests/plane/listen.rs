//! What a network plays before the answer, over real sockets: recognised in any coding, with packets lost, late
//! and overtaken, whether or not anybody else hears it.

use audio::announce::{Entry, Library, Print, State};
use audio::codec::{Coding, Encoder, OCTETS_MAX};
use audio::convert::Converter;
use audio::tone::{Cadence, Generator};
use facts::media::{Codec, MediaCommand, MediaEvent, PayloadMap, Source};
use facts::recognition::{Announced, Recognition, Sounded};

use crate::common::*;

/// An announcement that is played through the plane: one of those that ship for callers.
const SPOKEN: &[u8] = include_bytes!("../../prompts/zh/callee-invalid.ogg");
/// Another one, which is not known.
const STRANGE: &[u8] = include_bytes!("../../prompts/fa/callee-busy.ogg");

fn spoken(file: &[u8]) -> Vec<i16> {
    media::prompt::samples(file).unwrap()
}

fn library() -> Library {
    let entry = Entry {
        name: "spoken".into(),
        state: State::NoSuchNumber,
        cause: 1,
        language: "zh".into(),
        synthetic: true,
        print: Print::of(&spoken(SPOKEN)),
    };
    Library::new(vec![entry])
}

fn busy(seconds: usize) -> Vec<i16> {
    let mut sound = vec![0; 8_000 * seconds];
    Generator::new(Cadence::BUSY).fill(&mut sound);
    sound
}

/// Packets of 20 ms in a coding, each with its timestamp.
fn packets(sound: &[i16], coding: Coding) -> Vec<(u32, Vec<u8>)> {
    let mut encoder = Encoder::new(coding).unwrap();
    let rate = encoder.rate();
    let wide = match Converter::new(audio::RATE, rate) {
        None => sound.to_vec(),
        Some(mut converter) => {
            let mut wide = vec![0; converter.most(sound.len())];
            let samples = converter.convert(sound, &mut wide);
            wide.truncate(samples);
            wide
        }
    };
    let span = coding.clock() / 50;
    let frames = wide.chunks_exact(rate as usize / 50).enumerate();
    let coded = frames.map(|(n, frame)| {
        let mut out = [0; OCTETS_MAX];
        let octets = encoder.encode(frame, &mut out).unwrap();
        (700 + span * n as u32, out[..octets].to_vec())
    });
    coded.collect()
}

/// A leg to whose network the plane listens.
fn early(w: &World, phone: &Phone, map: PayloadMap) {
    w.media.know(library());
    let local = w.open(A);
    w.setup(A, setup(phone, map));
    w.order(MediaCommand::Listen { leg: A, country: "cn".into(), turn: 3 });
    phone.target.set(Some(local));
    w.settle();
}

fn play(phone: &Phone, number: u8, packets: &[(u32, Vec<u8>)]) {
    for (n, (timestamp, payload)) in packets.iter().enumerate() {
        phone.say_at(number, *timestamp, payload);
        // Faster than a carrier, and no faster than the plane listens.
        if n % 8 == 7 {
            std::thread::sleep(ms(4));
        }
    }
}

/// Everything that was recognised, until nothing came for a while.
fn verdicts(w: &World) -> Vec<Recognition> {
    let mut told = Vec::new();
    while let Some(MediaEvent::Recognised { leg, turn, verdict }) =
        w.find(ms(700), |event| matches!(event, MediaEvent::Recognised { .. }))
    {
        assert_eq!((leg, turn), (A, 3));
        told.push(verdict);
    }
    told
}

fn certain(told: &[Recognition]) -> Option<Recognition> {
    told.iter().copied().find(|verdict| verdict.certain)
}

const WORDS: Sounded = Sounded::Announcement { says: Announced::NoSuchNumber, cause: 1 };

#[test]
fn an_announcement_is_known_in_every_coding_while_nobody_else_hears_it() {
    let all = [(0, Codec::Pcmu), (8, Codec::Pcma), (9, Codec::G722), (111, Codec::Opus)];
    let codings = [Coding::Pcmu, Coding::Pcma, Coding::G722, Coding::Opus];
    for (n, ((number, codec), coding)) in all.into_iter().zip(codings).enumerate() {
        let w = World::new(28_000 + 10 * n as u16, 4, |_| {});
        let phone = Phone::new(1);
        early(&w, &phone, only(number, codec));
        // It is not there from the beginning.
        let mut sound = vec![0; 4_000];
        sound.extend(spoken(SPOKEN));
        sound.extend([0; 4_000]);
        play(&phone, number, &packets(&sound, coding));
        let told = verdicts(&w);
        let verdict = certain(&told).unwrap_or_else(|| panic!("{codec:?}: {told:?}"));
        assert_eq!(verdict.sounded, WORDS, "{codec:?}");
        assert!(verdict.confidence > 70 && verdict.to_ms > verdict.from_ms, "{verdict:?}");
        let begun = 500_u32.abs_diff(verdict.from_ms);
        assert!(begun < 120, "{codec:?}: it begins half a second in, not {} ms", verdict.from_ms);
    }
}

#[test]
fn what_is_in_no_library_says_nothing() {
    let w = World::new(28_050, 4, |_| {});
    let phone = Phone::new(1);
    early(&w, &phone, both(None));
    play(&phone, 8, &packets(&spoken(STRANGE), Coding::Pcma));
    let told = verdicts(&w);
    assert!(told.iter().all(|verdict| verdict.cause().is_none()), "{told:?}");
}

#[test]
fn case_9_what_is_lost_late_or_overtaken_changes_no_rhythm() {
    let w = World::new(28_060, 4, |_| {});
    let phone = Phone::new(1);
    early(&w, &phone, both(None));
    let mut sent = packets(&busy(6), Coding::Pcmu);
    // Each twentieth is lost, each seventh overtaken by the next one.
    for at in (3..sent.len() - 1).step_by(7) {
        sent.swap(at, at + 1);
    }
    let mut n = 0;
    sent.retain(|_| {
        n += 1;
        n % 20 != 0
    });
    for (timestamp, payload) in &sent {
        phone.say_at(0, *timestamp, payload);
        std::thread::sleep(ms(1));
    }
    let told = verdicts(&w);
    let verdict = certain(&told).unwrap_or_else(|| panic!("{told:?}"));
    assert_eq!((verdict.sounded, verdict.cause()), (Sounded::Busy, Some(17)));
    assert!(verdict.from_ms < 30, "{verdict:?}");
}

#[test]
fn case_9_silence_that_is_not_sent_is_as_long_as_it_was() {
    let w = World::new(28_070, 4, |_| {});
    let phone = Phone::new(1);
    early(&w, &phone, both(None));
    // 350 ms of tone, then nothing for as long: what is silent does not leave.
    for (timestamp, payload) in packets(&busy(4), Coding::Pcma) {
        let quiet = payload.iter().all(|octet| matches!(octet, 0xd5 | 0x55));
        if !quiet {
            phone.say_at(8, timestamp, &payload);
        }
        std::thread::sleep(ms(20));
    }
    let told = verdicts(&w);
    assert_eq!(certain(&told).map(|verdict| verdict.sounded), Some(Sounded::Busy), "{told:?}");
}

#[test]
fn what_another_leg_hears_is_not_touched_and_nobody_listens_after_the_answer() {
    let w = World::new(28_080, 8, |_| {});
    let (a, b) = (Phone::new(1), Phone::new(2));
    w.bridge((&a, setup(&a, only(0, Codec::Pcmu))), (&b, setup(&b, only(8, Codec::Pcma))));
    w.hear(B, Source::Leg(A));
    w.order(MediaCommand::Listen { leg: A, country: "cn".into(), turn: 3 });
    w.settle();
    assert_eq!(w.media.counts().listened, 1);
    for (timestamp, payload) in &packets(&busy(3), Coding::Pcmu) {
        a.say_at(0, *timestamp, payload);
        let mut turned = payload.clone();
        audio::g711::ulaw_to_alaw_in_place(&mut turned);
        assert_eq!(b.must_hear().payload, turned, "as without an ear");
    }
    assert!(certain(&verdicts(&w)).is_some());
    w.order(MediaCommand::StopListening { leg: A });
    w.settle();
    assert_eq!(w.media.counts().listened, 0);
    for (timestamp, payload) in &packets(&busy(3), Coding::Pcmu) {
        a.say_at(0, timestamp + 80_000, payload);
        b.must_hear();
    }
    assert_eq!(verdicts(&w), []);
    w.order(MediaCommand::Listen { leg: A, country: "cn".into(), turn: 3 });
    w.close(A);
    assert_eq!(w.media.counts().listened, 0, "an ear goes with its leg");
}

#[test]
fn legs_beyond_those_that_a_worker_listens_to_are_counted() {
    let w = World::new(28_200, 300, |_| {});
    for n in 0..=255_u8 {
        let leg = facts::LegId::new(CALL, facts::LegNo(n));
        w.order(MediaCommand::Open { leg, family: facts::media::Family::V4 });
        w.order(MediaCommand::Listen { leg, country: "cn".into(), turn: 1 });
    }
    let other = facts::LegId::new(facts::CallId(CALL.0 + 1), facts::LegNo(0));
    w.order(MediaCommand::Open { leg: other, family: facts::media::Family::V4 });
    w.order(MediaCommand::Listen { leg: other, country: "cn".into(), turn: 1 });
    let opened =
        |event: &MediaEvent| matches!(event, MediaEvent::Opened { leg, .. } if *leg == other);
    w.find(PATIENCE, opened).unwrap();
    w.order(MediaCommand::Close { leg: other });
    let closed =
        |event: &MediaEvent| matches!(event, MediaEvent::Closed { leg, .. } if *leg == other);
    w.find(PATIENCE, closed).unwrap();
    let counts = w.media.counts();
    assert_eq!((counts.listened, counts.unheard), (256, 1));
}

/// The operator's program is given the sound that came, its gaps as silence, and what it says of it is told.
#[test]
fn a_program_that_makes_words_of_the_sound_is_heard() {
    // Two seconds of which a quarter is lost are two seconds; the sound is loud, what was lost is not.
    let script = "head -c 32000 | od -An -v -td2 | awk '{for(i=1;i<=NF;i++) if($i>1000||$i<-1000) n++} \
                  END {if (n>9000 && n<13000) print \"Sorry: powered  off.\"; else print n}'";
    let w = World::new(28_090, 4, |config| {
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        let table = "/no/such/table".into();
        config.words = Some(media::dictation::WordsConfig { command, at_once: 1, table });
    });
    let phone = Phone::new(1);
    early(&w, &phone, both(None));
    let loud: Vec<i16> = (0..20_000).map(|n| if n % 2 == 0 { 9_000 } else { -9_000 }).collect();
    let mut sent = packets(&loud, Coding::Pcma);
    let mut n = 0;
    sent.retain(|_| {
        n += 1;
        n % 4 != 0
    });
    play(&phone, 8, &sent);
    let told = verdicts(&w);
    let verdict = told.iter().find(|verdict| verdict.cause().is_some());
    let verdict = verdict.unwrap_or_else(|| panic!("{told:?}"));
    let says = Announced::SwitchedOff;
    assert_eq!(verdict.sounded, Sounded::Announcement { says, cause: 20 });
    assert!(!verdict.certain, "words end no call");
}
