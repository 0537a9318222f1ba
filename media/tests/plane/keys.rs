//! Keys in any pair: heard as an event, as sound or told by signalling, and passed on as the listener takes them.

use audio::codec::{Coding, Decoder, SAMPLES_MAX};
use audio::convert::Converter;
use audio::dtmf::{self, Detector, Digit, Press};
use audio::g711;
use facts::media::{Codec, MediaCommand, MediaEvent, PayloadMap, Source};

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
fn events(packets: &[Packet]) -> Vec<(char, Vec<Packet>)> {
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

fn samples(packets: &[Packet], coding: Coding) -> Vec<i16> {
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
fn heard(sound: &[i16]) -> String {
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
