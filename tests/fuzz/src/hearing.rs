//! What hangs on a live leg and hears: the ear that knows what networks play, and the keypad that hears keys.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use audio::announce::Library;
use audio::codec::{Coding as Sound, Encoder, OCTETS_MAX};
use audio::dtmf::{Digit, Generator, Press};
use audio::g711;
use facts::manners::Dtmf;
use facts::media::{Codec, Direction, MediaEvent, PayloadMap, StreamSetup};
use facts::recognition::{COUNTRIES, Recognition};
use facts::{CallId, LegId, LegNo};
use media::hearing::{Ear, Keypad, VERDICTS_MAX};
use rtp::packet::{HEADER_LEN, Header, Stamp};
use rtp::{Arrival, Coding, Kind};

/// Steps taken of one input at most.
const STEPS_MAX: usize = 48;
/// Packets of one step at most.
const PACKETS_MAX: u8 = 32;
const MS: Duration = Duration::from_millis(1);

/// Packets of any coding, order, length and time into an ear: it tells a bounded number of verdicts, each of a
/// stretch of sound that there was time for, whatever the timestamps claim.
///
/// The first octet is the country. Each step takes an octet: the coding (2 bits), what the timestamp does (3), how
/// much later it is (2), and whether the payload follows, behind its length, or is made: then an octet says which
/// tone (3) and how many packets of it (5).
pub fn ear(bytes: &[u8]) {
    listened(bytes);
}

/// What the ear said, in words.
#[must_use]
pub fn ear_story(bytes: &[u8]) -> BTreeSet<String> {
    listened(bytes).iter().map(|verdict| verdict.sounded.word().to_owned()).collect()
}

fn listened(bytes: &[u8]) -> Vec<Recognition> {
    let [country, rest @ ..] = bytes else { return Vec::new() };
    let mut world = Listening::new(COUNTRIES[usize::from(*country) % COUNTRIES.len()]);
    let mut rest = rest;
    for _ in 0..STEPS_MAX {
        let [head, argument, tail @ ..] = rest else { break };
        rest = world.step(*head, *argument, tail);
    }
    world.verdicts()
}

struct Listening {
    now: Instant,
    ear: Ear,
    told: Arc<Mutex<Vec<Recognition>>>,
    line: Stamp,
    /// Milliseconds of sound and silence that it may have heard at most.
    allowed_ms: u64,
}

impl Listening {
    #[allow(clippy::disallowed_methods, reason = "an instant has no other origin")]
    fn new(country: &'static str) -> Listening {
        let told: Arc<Mutex<Vec<Recognition>>> = Arc::default();
        let heard = Arc::clone(&told);
        let events = move |event| {
            let MediaEvent::Recognised { turn: 7, verdict, .. } = event else {
                panic!("an ear says what it heard, and for which turn");
            };
            heard.lock().unwrap_or_else(PoisonError::into_inner).push(verdict);
        };
        let leg = LegId::new(CallId(1 << 40), LegNo::B);
        let ear = Ear::new(leg, (country, 7), library(), Arc::new(events));
        let line = Stamp {
            payload_type: 0,
            marker: false,
            sequence: 65_530,
            timestamp: 4_294_900_000,
            ssrc: 1,
        };
        Listening { now: Instant::now(), ear, told, line, allowed_ms: 0 }
    }

    fn step<'a>(&mut self, head: u8, argument: u8, rest: &'a [u8]) -> &'a [u8] {
        let (coding, sound) = CODINGS[usize::from(head & 3)];
        let units = coding.clock_hz() / 50;
        let line = &mut self.line;
        match head >> 2 & 7 {
            // As it should be.
            0 | 1 => {}
            2 => line.timestamp = line.timestamp.wrapping_sub(units),
            3 => line.timestamp = line.timestamp.wrapping_add(units),
            4 => line.timestamp = line.timestamp.wrapping_add(3 * units + 1),
            5 => line.timestamp = line.timestamp.wrapping_add(units << 16),
            6 => line.timestamp = line.timestamp.wrapping_sub(units << 9),
            _ => line.ssrc ^= 1,
        }
        let later = [20, 0, 250, 7_000][usize::from(head >> 5 & 3)];
        self.now += MS * later;
        self.allowed_ms += 2 * u64::from(later);
        if head & 0x80 != 0 {
            let (payload, rest) = rest.split_at(rest.len().min(usize::from(argument) * 2));
            self.packet(coding, payload, units);
            return rest;
        }
        let hz = TONES_HZ[usize::from(argument >> 5)];
        let mut encoder = Encoder::new(sound).expect("all of them have coders");
        let samples = sound.rate() / 50;
        let mut out = [0; OCTETS_MAX];
        for number in 0..u32::from(argument) % u32::from(PACKETS_MAX) + 1 {
            let turn = f64::from(hz) / f64::from(sound.rate()) * std::f64::consts::TAU;
            let sine = |n: u32| (8_000.0 * (turn * f64::from(number * samples + n)).sin()) as i16;
            let frame: Vec<i16> = (0..samples).map(sine).collect();
            let octets = encoder.encode(&frame, &mut out).expect("20 ms are a frame");
            self.packet(coding, &out[..octets], units);
            self.now += MS * 20;
            self.allowed_ms += 40;
        }
        rest
    }

    fn packet(&mut self, coding: Coding, payload: &[u8], units: u32) {
        let mut packet = vec![0; HEADER_LEN + payload.len()];
        packet[0] = 0x80;
        packet[HEADER_LEN..].copy_from_slice(payload);
        self.line.write(&mut packet);
        let arrival = arrival(coding, &packet);
        self.ear.hear(self.now, &arrival, &packet);
        // Its own length, the one that waited, and what may run ahead of the clock before each of them.
        self.allowed_ms += 2 * (200 + 250);
        self.line.sequence = self.line.sequence.wrapping_add(1);
        self.line.timestamp = self.line.timestamp.wrapping_add(units);
    }

    fn verdicts(self) -> Vec<Recognition> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert!(told.len() <= usize::from(VERDICTS_MAX), "{} verdicts", told.len());
        for verdict in &told {
            assert!(verdict.from_ms <= verdict.to_ms, "{verdict:?}");
            assert!(verdict.confidence <= 100, "{verdict:?}");
            assert!(
                u64::from(verdict.to_ms) <= self.allowed_ms,
                "{verdict:?}: {}",
                self.allowed_ms
            );
        }
        told
    }
}

const CODINGS: [(Coding, Sound); 4] = [
    (Coding::Pcmu, Sound::Pcmu),
    (Coding::Pcma, Sound::Pcma),
    (Coding::G722, Sound::G722),
    (Coding::Opus, Sound::Opus),
];

/// Silence, dial tones, special information, facsimile.
const TONES_HZ: [u16; 8] = [0, 425, 450, 950, 1_400, 1_800, 1_100, 2_100];

/// The announcements that ship.
fn library() -> Arc<Library> {
    static LIBRARY: OnceLock<Arc<Library>> = OnceLock::new();
    let make = || Arc::new(Library::new(media::announcements::starter()));
    Arc::clone(LIBRARY.get_or_init(make))
}

/// As a leg would tell of it.
fn arrival(coding: Coding, packet: &[u8]) -> Arrival {
    let header = Header::parse(packet).expect("a header of ours");
    Arrival {
        header,
        kind: Kind::Audio(coding),
        started: false,
        key: None,
        again: false,
        leaks: false,
    }
}

/// Sound of any kind into a keypad: nothing but what is made silent is changed of a packet, and only where that is
/// asked; a key is told once, and none where none can be heard.
///
/// Each step takes an octet: the law (1 bit), whether keys are made silent (1), whether the payload follows, behind
/// its length, or is made (1): then an octet says which key (4 bits) and how long it sounds (4).
pub fn keypad(bytes: &[u8]) {
    pressed(bytes);
}

/// The keys that were heard.
#[must_use]
pub fn keypad_story(bytes: &[u8]) -> BTreeSet<String> {
    pressed(bytes).chars().map(String::from).collect()
}

fn pressed(bytes: &[u8]) -> String {
    let mut keypad = None;
    Keypad::set(&mut keypad, &without_events());
    let mut keypad = keypad.expect("a far end without events has one");
    let (mut keys, mut rest) = (String::new(), bytes);
    for _ in 0..STEPS_MAX {
        let [head, argument, tail @ ..] = rest else { break };
        let (mute, coding) = (head & 2 != 0, CODINGS[usize::from(head & 1)].0);
        if head & 4 != 0 {
            let (payload, next) = tail.split_at(tail.len().min(usize::from(*argument) * 8));
            rest = next;
            keys.extend(heard(&mut keypad, coding, payload, mute));
            continue;
        }
        rest = tail;
        let code: fn(i16) -> u8 =
            if head & 1 == 0 { g711::linear_to_ulaw } else { g711::linear_to_alaw };
        let on_ms = u32::from(argument >> 4) * 10;
        let digit = Digit::from_event(argument & 15).expect("sixteen keys");
        let mut generator = Generator::new(Press { on_ms, ..Press::usual(digit) });
        while !generator.is_over() {
            let mut sound = [0; 160];
            generator.fill(&mut sound);
            keys.extend(heard(&mut keypad, coding, &sound.map(code), mute));
        }
    }
    keys
}

fn heard(keypad: &mut Keypad, coding: Coding, payload: &[u8], mute: bool) -> Option<char> {
    let mut packet = vec![0; HEADER_LEN];
    packet[0] = 0x80;
    packet.extend_from_slice(payload);
    let before = packet.clone();
    let began = keypad.hear(&arrival(coding, &before), &mut packet, mute);
    let silence = if coding == Coding::Pcmu { g711::ULAW_SILENCE } else { g711::ALAW_SILENCE };
    for (now, was) in packet.iter().zip(&before) {
        assert!(now == was || (mute && *now == silence), "{was:#x} became {now:#x}");
    }
    assert_eq!(packet[..HEADER_LEN], before[..HEADER_LEN]);
    let key = keypad.heard();
    assert_eq!(began, key.is_some());
    assert_eq!(keypad.heard(), None, "told once");
    // Q.24: 23 ms at least; and more than five seconds are no packet.
    key.inspect(|key| assert!(Digit::from_char(*key).is_some() && !payload.is_empty()))
}

fn without_events() -> StreamSetup {
    let map = PayloadMap {
        audio: vec![(0, Codec::Pcmu), (8, Codec::Pcma)],
        events: Vec::new(),
        noise: None,
    };
    StreamSetup {
        remote: ([192, 0, 2, 1], 4_000).into(),
        signalling: None,
        remote_rtcp: None,
        rtcp_mux: false,
        send: map.clone(),
        receive: map,
        direction: Direction::SendReceive,
        ptime_ms: 20,
        silence: None,
        srtp: None,
        dtmf: Dtmf::Auto,
    }
}
