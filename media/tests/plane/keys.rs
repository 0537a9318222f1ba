//! Keys in any pair: heard as an event, as sound or told by signalling, and passed on as the listener takes them.

use audio::codec::{Coding, Decoder, SAMPLES_MAX};
use audio::convert::Converter;
use audio::dtmf::{self, Detector, Digit, Press};
use audio::g711;
use facts::manners::Dtmf;
use facts::media::{Codec, MediaCommand, MediaEvent, PayloadMap, Source, StreamSetup};

use crate::common::*;

/// The event that these tests agree on, where they do.
const EVENT: u8 = 101;
const KEYS: [char; 4] = ['1', '9', '#', 'D'];

/// A key as A-law, 20 ms a packet: silence, 120 ms of it, silence.
fn sounded(key: char) -> Vec<Vec<u8>> {
    let mut samples = vec![0; 800];
    let press = Press { on_ms: 120, off_ms: 150, ..Press::usual(Digit::from_char(key).unwrap()) };
    let from = samples.len();
    samples.resize(from + press.samples() as usize, 0);
    dtmf::Generator::new(press).fill(&mut samples[from..]);
    let octets: Vec<u8> = samples.into_iter().map(g711::linear_to_alaw).collect();
    octets.chunks_exact(160).map(<[u8]>::to_vec).collect()
}

/// A far end presses a key as it can.
fn press(phone: &Phone, key: char, event: bool) {
    let code = Digit::from_char(key).unwrap().event();
    if event {
        let start = 50_000 + 10_000 * u32::from(code);
        for n in 1..=7_u16 {
            let [high, low] = (160 * n.min(5)).to_be_bytes();
            phone.say_at(EVENT, start, &[code, if n >= 5 { 0x8a } else { 10 }, high, low]);
            std::thread::sleep(ms(10));
        }
    } else {
        for payload in sounded(key) {
            phone.say(8, &payload);
            std::thread::sleep(ms(10));
        }
    }
}

/// Events among packets: one for each timestamp, and how they were told.
pub(crate) fn events(packets: &[Packet]) -> Vec<(char, Vec<Packet>)> {
    let mut found: Vec<(char, Vec<Packet>)> = Vec::new();
    for packet in packets.iter().filter(|packet| packet.payload_type == EVENT) {
        match found.last_mut().filter(|(_, all)| all[0].timestamp == packet.timestamp) {
            Some((_, all)) => all.push(packet.clone()),
            None => {
                let key = Digit::from_event(packet.payload[0]).unwrap().as_char();
                found.push((key, vec![packet.clone()]));
            }
        }
    }
    found
}

pub(crate) fn samples(packets: &[Packet], coding: Coding) -> Vec<i16> {
    let mut decoder = Decoder::new(coding).unwrap();
    let mut room = vec![0; SAMPLES_MAX];
    let mut sound = Vec::new();
    for packet in packets.iter().filter(|packet| packet.payload_type != EVENT) {
        let samples = decoder.decode(&packet.payload, &mut room).unwrap();
        sound.extend_from_slice(&room[..samples]);
    }
    match Converter::new(decoder.rate(), audio::RATE) {
        None => sound,
        Some(mut converter) => {
            let mut narrow = vec![0; converter.most(sound.len())];
            let samples = converter.convert(&sound, &mut narrow);
            narrow.truncate(samples);
            narrow
        }
    }
}

/// Keys that an ear hears in sound.
pub(crate) fn heard(sound: &[i16]) -> String {
    let mut keys = String::new();
    Detector::new().hear(sound, |event| {
        if let dtmf::Event::Begin { digit, .. } = event {
            keys.push(digit.as_char());
        }
    });
    keys
}

fn alaw(events: bool) -> PayloadMap {
    let events = if events { vec![(EVENT, 8_000)] } else { vec![] };
    PayloadMap { audio: vec![(8, Codec::Pcma)], events, noise: None }
}

/// One timestamp, durations that rise, the end three times, the marker on the first.
fn well_told(packets: &[Packet]) {
    let durations: Vec<u16> = packets
        .iter()
        .map(|packet| u16::from_be_bytes([packet.payload[2], packet.payload[3]]))
        .collect();
    assert_eq!(durations, [160, 320, 480, 640, 800, 800, 800]);
    let ends = packets.iter().filter(|packet| packet.payload[1] & 0x80 != 0).count();
    assert_eq!(ends, 3);
    let marked: Vec<bool> = packets.iter().map(|packet| packet.marker).collect();
    assert_eq!(marked, [true, false, false, false, false, false, false]);
    for pair in packets.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
    }
}

#[test]
fn a22_rfc4733_keys_pass_between_events_and_sound_in_any_pair_and_are_told_once() {
    let mut first = 29_000;
    for (from_event, to_event) in [(true, true), (true, false), (false, true), (false, false)] {
        let w = World::new(first, 8, |_| {});
        first += 20;
        let (a, b) = (Phone::new(1), Phone::new(2));
        w.bridge((&a, setup(&a, alaw(from_event))), (&b, setup(&b, alaw(to_event))));
        a.say(8, &[g711::ALAW_SILENCE; 160]);
        let begun = b.must_hear();
        let mut all = vec![begun];
        for key in KEYS {
            press(&a, key, from_event);
            all.extend(b.listen(ms(300)));
        }
        let told = events(&all);
        let keys: String = told.iter().map(|(key, _)| *key).collect();
        let sound = heard(&samples(&all, Coding::Pcma));
        let expected: String = KEYS.iter().collect();
        let (as_events, as_sound) =
            if to_event { (expected.as_str(), "") } else { ("", expected.as_str()) };
        let pair = format!("event {from_event} to event {to_event}");
        assert_eq!((keys.as_str(), sound.as_str()), (as_events, as_sound), "{pair}");
        if to_event && !from_event {
            told.iter().for_each(|(_, packets)| well_told(packets));
        }
        for digit in KEYS {
            assert_eq!(w.next(), MediaEvent::Digit { leg: A, digit }, "{pair}");
        }
        assert!(w.find(ms(100), |_| true).is_none(), "{pair}: each once, and nothing else");
        // The stream has one numbering through all of it.
        assert!(all.iter().all(|packet| packet.ssrc == all[0].ssrc), "{pair}");
        let steps = all.windows(2).map(|two| two[1].sequence.wrapping_sub(two[0].sequence));
        assert!(steps.clone().all(|step| step == 1), "{pair}: {:?}", steps.collect::<Vec<_>>());
        let back = all
            .windows(2)
            .find(|two| two[1].timestamp.wrapping_sub(two[0].timestamp) > u32::MAX / 2);
        assert_eq!(back, None, "{pair}: time goes on");
    }
}

#[test]
fn a_key_by_signalling_is_pressed_as_each_listener_takes_it() {
    let codings = [
        (8, Codec::Pcma, Coding::Pcma),
        (0, Codec::Pcmu, Coding::Pcmu),
        (9, Codec::G722, Coding::G722),
        (111, Codec::Opus, Coding::Opus),
    ];
    for (n, (number, codec, coding)) in codings.into_iter().enumerate() {
        for events_taken in [false, true] {
            let port = 29_200 + 40 * n as u16 + if events_taken { 20 } else { 0 };
            let w = World::new(port, 8, |_| {});
            let b = Phone::new(2);
            let clock = codec.clock_hz();
            let map = PayloadMap {
                events: if events_taken { vec![(EVENT, clock)] } else { vec![] },
                ..only(number, codec)
            };
            b.target.set(Some(w.open(B)));
            w.setup(B, setup(&b, map));
            for digit in KEYS {
                w.order(MediaCommand::Press { leg: B, digit });
            }
            let all = b.listen(ms(1_600));
            let told = events(&all);
            let keys: String = told.iter().map(|(key, _)| *key).collect();
            let sound = heard(&samples(&all, coding));
            let expected: String = KEYS.iter().collect();
            let seen = if events_taken { &keys } else { &sound };
            assert_eq!(*seen, expected, "{codec:?}, events {events_taken}");
            assert!(keys.is_empty() || sound.is_empty(), "one way, not both");
            for (_, packets) in &told {
                let last = packets.last().unwrap();
                let units = u16::from_be_bytes([last.payload[2], last.payload[3]]);
                assert_eq!(u32::from(units), clock / 10, "100 ms in the clock of the sound");
            }
            assert!(w.find(ms(50), |_| true).is_none(), "nobody is told of a key of ours");
        }
    }
}

#[test]
fn case_12_the_sound_of_a_key_that_goes_on_as_an_event_is_silent() {
    let w = World::new(29_500, 8, |_| {});
    let (a, b) = (Phone::new(1), Phone::new(2));
    w.bridge((&a, setup(&a, alaw(false))), (&b, setup(&b, alaw(true))));
    // Speech before and after it is untouched, octet by octet.
    let voice: Vec<u8> = (0..160_u32).map(|n| (n * 37 % 251) as u8).collect();
    a.say(8, &voice);
    assert_eq!(b.must_hear().payload, voice);
    press(&a, '5', false);
    let all = b.listen(ms(300));
    assert_eq!(events(&all).len(), 1);
    let loud = all.iter().filter(|packet| packet.payload_type == 8).filter(|packet| {
        let mut sound = vec![0; packet.payload.len()];
        g711::decode_alaw(&packet.payload, &mut sound);
        sound.iter().any(|sample| sample.unsigned_abs() > 1_000)
    });
    assert!(loud.count() <= 2, "no more than what had left before it could be known");
    a.say(8, &voice);
    assert_eq!(b.must_hear().payload, voice);
    assert_eq!(w.next(), MediaEvent::Digit { leg: A, digit: '5' });
}

#[test]
fn keys_for_who_is_on_hold_or_not_there_are_gone_and_leave_the_stream_to_its_owner() {
    let w = World::new(29_520, 8, |_| {});
    let (a, b) = (Phone::new(1), Phone::new(2));
    w.order(MediaCommand::Press { leg: A, digit: '1' });
    w.bridge((&a, setup(&a, alaw(true))), (&b, setup(&b, alaw(true))));
    let mut held = setup(&b, alaw(true));
    held.direction = facts::media::Direction::ReceiveOnly;
    w.setup(B, held);
    w.order(MediaCommand::Press { leg: B, digit: '2' });
    w.order(MediaCommand::Press { leg: B, digit: 'x' });
    w.settle();
    assert_eq!(b.listen(ms(150)), []);
    w.setup(B, setup(&b, alaw(true)));
    w.hear(B, Source::Leg(A));
    w.settle();
    a.say(8, &[g711::ALAW_SILENCE; 160]);
    assert_eq!(b.must_hear().payload_type, 8);
}

/// Whoever takes keys by INFO: of what was agreed nothing is told as an event.
fn by_info(phone: &Phone, events: bool) -> StreamSetup {
    let mut setup = setup(phone, alaw(events));
    setup.send.events.clear();
    StreamSetup { dtmf: Dtmf::Info, ..setup }
}

#[test]
fn b12_where_keys_go_by_info_signalling_is_told_and_nothing_of_them_is_in_the_media() {
    for (n, from_event) in [false, true].into_iter().enumerate() {
        let w = World::new(29_540 + 20 * n as u16, 8, |_| {});
        let (a, b) = (Phone::new(1), Phone::new(2));
        w.bridge((&a, setup(&a, alaw(from_event))), (&b, by_info(&b, true)));
        a.say(8, &[g711::ALAW_SILENCE; 160]);
        let mut all = vec![b.must_hear()];
        for key in KEYS {
            press(&a, key, from_event);
            all.extend(b.listen(ms(300)));
        }
        // By signalling from A it is signalling that tells B; the order would be a mistake, and presses nothing.
        w.order(MediaCommand::Press { leg: B, digit: '3' });
        all.extend(b.listen(ms(300)));
        assert_eq!(events(&all), [], "from events: {from_event}");
        assert_eq!(heard(&samples(&all, Coding::Pcma)), "", "from events: {from_event}");
        for digit in KEYS {
            assert_eq!(w.next(), MediaEvent::Digit { leg: A, digit });
        }
        assert!(w.find(ms(100), |_| true).is_none(), "each once");
    }
}

#[test]
fn rfc4733_alone_neither_listens_to_the_sound_nor_presses_into_it() {
    let w = World::new(29_580, 8, |_| {});
    let (a, b) = (Phone::new(1), Phone::new(2));
    let alone = |phone: &Phone| StreamSetup { dtmf: Dtmf::Rfc4733, ..setup(phone, alaw(false)) };
    w.bridge((&a, alone(&a)), (&b, alone(&b)));
    press(&a, '5', false);
    assert_eq!(
        heard(&samples(&b.listen(ms(300)), Coding::Pcma)),
        "5",
        "it is sound like any other"
    );
    w.order(MediaCommand::Press { leg: B, digit: '6' });
    assert_eq!(b.listen(ms(300)), []);
    let guessed = |event: &MediaEvent| matches!(event, MediaEvent::Digit { .. });
    assert!(w.find(ms(50), guessed).is_none(), "nobody guesses");
    // With events agreed they are told.
    w.setup(B, StreamSetup { dtmf: Dtmf::Rfc4733, ..setup(&b, alaw(true)) });
    w.order(MediaCommand::Press { leg: B, digit: '7' });
    assert_eq!(events(&b.listen(ms(400))).len(), 1);
}

/// A far end that says a key as events and lets it through in its sound as well.
fn leak(phone: &Phone, key: char) {
    let code = Digit::from_char(key).unwrap().event();
    let sound = sounded(key);
    for (n, payload) in sound.iter().enumerate() {
        let at = 160 * n as u32;
        phone.say_at(8, at, payload);
        // 100 ms of silence, 20 of the key, and then its first event.
        if (5..=12).contains(&n) {
            let end = if n >= 10 { 0x8a } else { 10 };
            let [high, low] = (160 * (n as u16 - 4)).min(960).to_be_bytes();
            phone.say_at(EVENT, 160 * 5, &[code, end, high, low]);
        }
        std::thread::sleep(ms(10));
    }
}

#[test]
fn case_12_a_key_that_leaks_into_the_sound_beside_its_event_is_silenced_for_every_listener() {
    let ways = [(alaw(true), Dtmf::Auto), (alaw(false), Dtmf::Auto), (alaw(false), Dtmf::Info)];
    for (n, (map, dtmf)) in ways.into_iter().enumerate() {
        let takes_events = !map.events.is_empty();
        let w = World::new(29_600 + 20 * n as u16, 8, |_| {});
        let (a, b) = (Phone::new(1), Phone::new(2));
        let of_b = StreamSetup { dtmf, ..setup(&b, map) };
        w.bridge((&a, setup(&a, alaw(true))), (&b, of_b));
        leak(&a, '5');
        let all = b.listen(ms(400));
        let told: String = events(&all).iter().map(|(key, _)| *key).collect();
        let sound = heard(&samples(&all, Coding::Pcma));
        let expected = match (takes_events, dtmf) {
            (true, _) => ("5", ""),
            (false, Dtmf::Info) => ("", ""),
            (false, _) => ("", "5"),
        };
        assert_eq!((told.as_str(), sound.as_str()), expected, "{dtmf:?}, events {takes_events}");
        assert_eq!(w.next(), MediaEvent::Digit { leg: A, digit: '5' });
        assert!(w.find(ms(100), |_| true).is_none(), "told once");
        // A tenth of a second later sound is sound again, octet by octet.
        std::thread::sleep(ms(150));
        let voice: Vec<u8> = (0..160_u32).map(|n| (n * 37 % 251) as u8).collect();
        a.say_at(8, 160 * 60, &voice);
        assert_eq!(b.must_hear().payload, voice);
    }
}

#[test]
fn case_12_what_leaks_in_other_codings_is_silent_in_its_place() {
    let w = World::new(29_660, 8, |_| {});
    let (a, b) = (Phone::new(1), Phone::new(2));
    let wide = PayloadMap { events: vec![(EVENT, 8_000)], ..only(9, Codec::G722) };
    w.bridge((&a, setup(&a, wide.clone())), (&b, setup(&b, wide)));
    a.say(9, &[1; 160]);
    let mut all = vec![b.must_hear()];
    a.say_at(EVENT, 7_000, &[5, 10, 0, 160]);
    a.say(9, &[2; 160]);
    a.say_at(EVENT, 7_000, &[5, 0x8a, 1, 64]);
    std::thread::sleep(ms(150));
    a.say(9, &[3; 160]);
    all.extend(b.listen(ms(200)));
    let payloads: Vec<u8> = all
        .iter()
        .filter(|packet| packet.payload_type == 9)
        .map(|packet| packet.payload[0])
        .collect();
    let mut silent = [2; 160];
    audio::codec::hush(Coding::G722, &mut silent);
    assert_eq!(payloads, [1, silent[0], 3]);
    assert_eq!(events(&all).len(), 1);
    assert!(all.windows(2).all(|two| two[1].sequence == two[0].sequence.wrapping_add(1)));
}

#[test]
fn a22_a_key_during_a_notice_reaches_whoever_hears_the_notice_once() {
    let mut first = 29_700;
    for (from_event, to_event) in [(true, true), (true, false), (false, true), (false, false)] {
        let w = World::new(first, 8, |_| {});
        first += 20;
        let (a, b) = (Phone::new(1), Phone::new(2));
        w.bridge((&a, setup(&a, alaw(from_event))), (&b, setup(&b, alaw(to_event))));
        a.say(8, &[g711::ALAW_SILENCE; 160]);
        b.must_hear();
        let prompt = facts::media::Prompt { name: "call-recorded".into(), language: "en".into() };
        w.order(MediaCommand::Interject { leg: B, source: Source::Prompt(prompt) });
        let mut all = vec![b.must_hear()];
        let keys = ['2', '4'];
        for key in keys {
            press(&a, key, from_event);
        }
        // Held for longer than ours is pressed.
        if from_event {
            for n in 1..=40_u16 {
                let [high, low] = (160 * n).to_be_bytes();
                a.say_at(EVENT, 500_000, &[1, 10, high, low]);
                std::thread::sleep(ms(10));
            }
        }
        let over = std::time::Instant::now() + PATIENCE;
        while w.find(ms(1), |e| matches!(e, MediaEvent::LaidOver { .. })).is_none() {
            assert!(std::time::Instant::now() < over);
            all.extend(b.listen(ms(50)));
            if from_event {
                // Nor its rest after the notice.
                a.say_at(EVENT, 500_000, &[1, 10, 30, 0]);
            }
        }
        if from_event {
            a.say_at(EVENT, 500_000, &[1, 0x8a, 31, 0]);
        }
        all.extend(b.listen(ms(900)));
        let pair = format!("event {from_event} to event {to_event}");
        let told: String = events(&all).iter().map(|(key, _)| *key).collect();
        let sound = heard(&samples(&all, Coding::Pcma));
        let expected = if from_event { "241" } else { "24" };
        let (as_events, as_sound) = if to_event { (expected, "") } else { ("", expected) };
        assert_eq!((told.as_str(), sound.as_str()), (as_events, as_sound), "{pair}");
        let steps = all.windows(2).map(|two| two[1].sequence.wrapping_sub(two[0].sequence));
        assert!(steps.clone().all(|step| step == 1), "{pair}: {:?}", steps.collect::<Vec<_>>());
        a.say(8, &[g711::ALAW_SILENCE; 160]);
        assert_eq!(b.must_hear().payload_type, 8, "{pair}: the voice again");
    }
}
