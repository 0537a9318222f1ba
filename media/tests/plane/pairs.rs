//! Every way in which a far end tells keys, to every way in which another one takes them: each key once, and nothing
//! left of it where it does not belong.

use audio::codec::{Coding, Encoder, OCTETS_MAX};
use audio::convert::Converter;
use audio::dtmf::{Digit, Generator, Press};
use facts::manners::Dtmf;
use facts::media::{Codec, MediaCommand, MediaEvent, PayloadMap, StreamSetup};

use crate::common::*;
use crate::keys::{events, heard, samples};

/// How keys are told, or taken.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Way {
    /// As events of RFC 4733 beside sound that lets them through.
    Event,
    /// By INFO: what signalling orders of the media plane.
    Info,
    /// As sound.
    Sound,
}

const CODECS: [Codec; 3] = [Codec::Pcma, Codec::G722, Codec::Opus];
/// The first one twice: two presses are two.
const KEYS: [char; 3] = ['4', '4', 'D'];
const EVENT: u8 = 101;

fn number(codec: Codec) -> u8 {
    match codec {
        Codec::G722 => 9,
        Codec::Opus => 111,
        _ => 8,
    }
}

fn coding(codec: Codec) -> Coding {
    match codec {
        Codec::G722 => Coding::G722,
        Codec::Opus => Coding::Opus,
        _ => Coding::Pcma,
    }
}

fn agreed(phone: &Phone, way: Way, codec: Codec) -> StreamSetup {
    let events = if way == Way::Event { vec![(EVENT, codec.clock_hz())] } else { vec![] };
    let map = PayloadMap { events, ..only(number(codec), codec) };
    let dtmf = if way == Way::Info { Dtmf::Info } else { Dtmf::Auto };
    StreamSetup { dtmf, ..setup(phone, map) }
}

/// A far end that speaks a coding.
struct Speaker {
    phone: Phone,
    codec: Codec,
    encoder: Encoder,
    converter: Option<Converter>,
    timestamp: u32,
}

impl Speaker {
    fn new(codec: Codec) -> Speaker {
        let rate = if codec == Codec::Opus { 8_000 } else { coding(codec).rate() };
        let encoder = Encoder::at(coding(codec), rate).unwrap();
        let converter = Converter::new(audio::RATE, rate);
        Speaker { phone: Phone::new(1), codec, encoder, converter, timestamp: 777 }
    }

    /// 20 ms of sound.
    fn say(&mut self, sound: &[i16]) {
        let mut wide = vec![0; 400];
        let sound = match &mut self.converter {
            None => sound,
            Some(converter) => {
                let count = converter.convert(sound, &mut wide);
                // The first one is short by what the filter holds back.
                let whole = self.encoder.rate() as usize / 50;
                wide.copy_within(0..count, whole - count);
                &wide[..whole]
            }
        };
        let mut out = [0; OCTETS_MAX];
        let len = self.encoder.encode(sound, &mut out).unwrap();
        self.phone.say_at(number(self.codec), self.timestamp, &out[..len]);
        self.timestamp = self.timestamp.wrapping_add(self.codec.clock_hz() / 50);
    }

    /// A key of 120 ms, and silence around it: as sound, and beside that as an event if it can.
    fn press(&mut self, w: &World, key: char, (way, takes): (Way, Way)) {
        let digit = Digit::from_char(key).unwrap();
        let (mut sound, press) = (vec![0; 800], Press { on_ms: 120, ..Press::usual(digit) });
        let from = sound.len();
        sound.resize(from + 960, 0);
        Generator::new(press).fill(&mut sound[from..]);
        sound.resize(sound.len() + 2_400, 0);
        let unit = self.codec.clock_hz() / 50;
        let start = self.timestamp.wrapping_add(5 * unit);
        for (n, frame) in sound.chunks_exact(160).enumerate() {
            // Speech of whoever tells keys by INFO goes on; there is none here.
            let silent = way == Way::Info;
            self.say(if silent { &[0; 160] } else { frame });
            if way == Way::Event && (5..=13).contains(&n) {
                let lasted = (unit * (n as u32 - 4).min(6)) as u16;
                let [high, low] = lasted.to_be_bytes();
                let end = if n >= 11 { 0x8a } else { 10 };
                self.phone.say_at(EVENT, start, &[digit.event(), end, high, low]);
            }
            if way == Way::Info && n == 5 {
                w.order(MediaCommand::Interrupt { leg: A, digit: key });
                if takes != Way::Info {
                    w.order(MediaCommand::Press { leg: B, digit: key });
                }
            }
            std::thread::sleep(ms(11));
        }
    }
}

/// All that the other one is told, by all ways that it has.
fn pairs(first: u16, from: Way, spoken: Codec) {
    let ways = [Way::Event, Way::Info, Way::Sound];
    let mut port = first;
    for takes in ways {
        for codec in CODECS {
            let w = World::new(port, 4, |_| {});
            port += 10;
            let (mut a, b) = (Speaker::new(spoken), Phone::new(2));
            let of_a = agreed(&a.phone, if from == Way::Info { Way::Sound } else { from }, spoken);
            w.bridge((&a.phone, of_a), (&b, agreed(&b, takes, codec)));
            let mut all = Vec::new();
            for key in KEYS {
                a.press(&w, key, (from, takes));
                all.extend(b.listen(ms(150)));
            }
            let pair = format!("{from:?} in {spoken:?} to {takes:?} in {codec:?}");
            let told: String = events(&all).iter().map(|(key, _)| *key).collect();
            let sound = heard(&samples(&all, coding(codec)));
            let keys: String = KEYS.iter().collect();
            let expected = match takes {
                Way::Event => (keys.as_str(), ""),
                Way::Sound => ("", keys.as_str()),
                Way::Info => ("", ""),
            };
            assert_eq!((told.as_str(), sound.as_str()), expected, "{pair}");
            // By INFO signalling knows it already; of all else it is told, and tells who takes INFO.
            for digit in KEYS.into_iter().filter(|_| from != Way::Info) {
                assert_eq!(w.next(), MediaEvent::Digit { leg: A, digit }, "{pair}");
            }
            let more = w.find(ms(50), |event| matches!(event, MediaEvent::Digit { .. }));
            assert_eq!(more, None, "{pair}");
            let steps = all.windows(2).map(|two| two[1].sequence.wrapping_sub(two[0].sequence));
            assert!(steps.clone().all(|step| step == 1), "{pair}: {:?}", steps.collect::<Vec<_>>());
        }
    }
}

#[test]
fn b12_rfc4733_from_events_beside_g711() {
    pairs(31_600, Way::Event, Codec::Pcma);
}

#[test]
fn b12_rfc4733_from_events_beside_g722() {
    pairs(31_700, Way::Event, Codec::G722);
}

#[test]
fn b12_rfc4733_from_events_beside_opus() {
    pairs(31_800, Way::Event, Codec::Opus);
}

#[test]
fn b12_rfc6086_from_info() {
    pairs(31_900, Way::Info, Codec::Pcma);
}

#[test]
fn b12_q24_from_the_sound_of_g711() {
    pairs(32_000, Way::Sound, Codec::Pcma);
}

#[test]
fn b12_q24_from_the_sound_of_g722() {
    pairs(32_100, Way::Sound, Codec::G722);
}

#[test]
fn b12_q24_from_the_sound_of_opus() {
    pairs(32_200, Way::Sound, Codec::Opus);
}

/// A key that came by INFO and comes in the media a moment later is neither passed on nor ends anything again.
#[test]
fn b12_rfc6086_a_key_by_info_and_in_the_media_is_pressed_once() {
    let mut port = 32_300;
    for from in [Way::Event, Way::Sound] {
        for (takes, spoken, codec) in [
            (Way::Event, Codec::Pcma, Codec::Pcma),
            (Way::Event, Codec::Opus, Codec::Pcma),
            (Way::Sound, Codec::Pcma, Codec::Pcma),
        ] {
            let w = World::new(port, 4, |_| {});
            port += 10;
            let (mut a, b) = (Speaker::new(spoken), Phone::new(2));
            w.bridge((&a.phone, agreed(&a.phone, from, spoken)), (&b, agreed(&b, takes, codec)));
            for _ in 0..5 {
                a.say(&[0; 160]);
            }
            let mut all = b.listen(ms(100));
            for key in KEYS {
                w.order(MediaCommand::Interrupt { leg: A, digit: key });
                w.order(MediaCommand::Press { leg: B, digit: key });
                w.settle();
                a.press(&w, key, (from, takes));
                all.extend(b.listen(ms(150)));
            }
            let pair = format!("{from:?} in {spoken:?} to {takes:?} in {codec:?}");
            let told: String = events(&all).iter().map(|(key, _)| *key).collect();
            let sound = heard(&samples(&all, coding(codec)));
            let keys: String = KEYS.iter().collect();
            let seen = if takes == Way::Event { told } else { sound };
            assert_eq!(seen, keys, "{pair}");
        }
    }
}

#[test]
fn case_12_what_leaks_is_silent_in_recordings_and_in_every_coding_that_it_is_turned_into() {
    for (n, spoken) in CODECS.into_iter().enumerate() {
        let w = World::new(32_400 + 20 * n as u16, 4, |_| {});
        let (mut a, b) = (Speaker::new(spoken), Phone::new(2));
        w.bridge(
            (&a.phone, agreed(&a.phone, Way::Event, spoken)),
            (&b, agreed(&b, Way::Event, Codec::Pcmu)),
        );
        let form = facts::media::RecordingForm {
            format: facts::media::RecordingFormat::Wav,
            ..facts::media::RecordingForm::default()
        };
        let file = "2026/leak.wav".to_owned();
        w.order(MediaCommand::Record { call: CALL, left: A, right: Some(B), file, form });
        a.press(&w, '5', (Way::Event, Way::Event));
        w.order(MediaCommand::StopRecording { call: CALL });
        let done = w.find(PATIENCE, |event| matches!(event, MediaEvent::Recorded { .. }));
        assert!(done.is_some());
        let wav = std::fs::read(w.folder.path().join("recordings/2026/leak.wav")).unwrap();
        let left: Vec<i16> =
            wav[44..].chunks_exact(4).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
        assert_eq!(heard(&left), "", "{spoken:?}");
        assert!(left.len() > 2_000, "it was recorded");
    }
}
