use super::*;
use crate::RATE;
use crate::g711;
use crate::tone::FULL_SCALE_DBM0;

mod corners;

/// White noise with a normal distribution, always the same.
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Noise {
        Noise(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn uniform(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1_u64 << 24) as f32
    }

    /// One sample of unit power.
    pub(crate) fn sample(&mut self) -> f32 {
        let (a, b) = (self.uniform().max(1e-7), self.uniform());
        (-2.0 * a.ln()).sqrt() * (b * std::f32::consts::TAU).cos()
    }

    /// Adds noise of a power in dBm0 to a sound.
    pub(crate) fn add(&mut self, samples: &mut [i16], dbm0: f32) {
        let rms = 32_767.0 / 2.0_f32.sqrt() * 10_f32.powf((dbm0 - FULL_SCALE_DBM0) / 20.0);
        for sample in samples {
            *sample = (f32::from(*sample) + rms * self.sample()).round() as i16;
        }
    }
}

/// A key and its pause, after `lead` samples of silence.
pub(super) fn pressed(press: Press, off_tune: f32, lead: usize) -> Vec<i16> {
    let mut samples = vec![0; lead + press.samples() as usize];
    Generator::off_tune(press, off_tune).fill(&mut samples[lead..]);
    samples
}

pub(super) fn heard(samples: &[i16]) -> Vec<Event> {
    let (mut detector, mut events) = (Detector::new(), Vec::new());
    for frame in samples.chunks(160) {
        detector.hear(frame, |event| events.push(event));
    }
    events
}

pub(super) fn keys(events: &[Event]) -> String {
    let key = |event: &Event| match event {
        Event::Begin { digit, .. } => Some(digit.as_char()),
        Event::End { .. } => None,
    };
    events.iter().filter_map(key).collect()
}

fn press(digit: char) -> Press {
    Press::usual(Digit::from_char(digit).unwrap())
}

#[test]
fn rfc4733_3_2_keys_and_event_codes_agree() {
    let all: String = Digit::all().map(Digit::as_char).collect();
    assert_eq!(all, "0123456789*#ABCD");
    for (code, digit) in Digit::all().enumerate() {
        assert_eq!(usize::from(digit.event()), code);
        assert_eq!(Digit::from_char(digit.as_char().to_ascii_lowercase()), Some(digit));
    }
    assert_eq!(Digit::from_event(16), None);
    assert_eq!(Digit::from_char('E'), None);
    assert_eq!(press('6').digit.frequencies(), [770.0, 1_477.0]);
}

#[test]
fn every_key_is_heard_once_with_its_first_and_last_sample() {
    for digit in Digit::all() {
        for lead in [400, 411, 437] {
            let press = Press { on_ms: 70, off_ms: 120, ..Press::usual(digit) };
            let mut samples = pressed(press, 0.0, lead);
            Noise::new(lead as u64).add(&mut samples, -50.0);
            let events = heard(&samples);
            let [Event::Begin { at, .. }, Event::End { digit: ended, from, to }] = events[..]
            else {
                panic!("{digit:?} {events:?}");
            };
            assert_eq!((ended, from), (digit, at));
            let (first, last) = (lead as i64, lead as i64 + 560);
            // The edges are rounded over 20 samples: their middle is the border.
            assert!((at as i64 - first - 5).abs() <= 12, "{digit:?} begins {at}, not {first}");
            assert!((to as i64 - last + 5).abs() <= 12, "{digit:?} ends {to}, not {last}");
        }
    }
}

#[test]
fn the_end_is_told_within_60_ms() {
    for digit in Digit::all() {
        for lead in [0, 7, 23, 39] {
            let samples = pressed(press(digit.as_char()), 0.0, lead);
            let end = lead as u64 + 800;
            let mut detector = Detector::new();
            let mut told = None;
            for sample in &samples {
                let now = detector.heard() + 1;
                detector.hear(&[*sample], |event| {
                    if matches!(event, Event::End { .. }) {
                        told = Some(now);
                    }
                });
            }
            let late = told.unwrap() - end;
            assert!(late <= u64::from(LATEST_END_MS * RATE / 1_000), "{digit:?}: {late} samples");
        }
    }
}

#[test]
fn an_interruption_of_20_ms_is_none_and_one_of_40_parts_two_keys() {
    for (gap, expected) in [(10, "5"), (20, "5"), (GAP_MS, "55"), (50, "55")] {
        for lead in 0..40 {
            let one = Press { off_ms: gap, ..press('5') };
            let mut samples = pressed(one, 0.0, lead);
            samples.extend(pressed(press('5'), 0.0, 0));
            assert_eq!(keys(&heard(&samples)), expected, "gap {gap} lead {lead}");
        }
    }
}

#[test]
fn q24_what_sounds_for_less_than_23_ms_is_no_key() {
    for digit in Digit::all() {
        for lead in 0..40 {
            let short = Press { on_ms: 23, ..Press::usual(digit) };
            assert_eq!(keys(&heard(&pressed(short, 0.0, lead))), "", "{digit:?} lead {lead}");
        }
    }
}

#[test]
fn two_keys_without_a_pause_are_two() {
    let mut samples = pressed(Press { off_ms: 0, ..press('1') }, 0.0, 100);
    samples.extend(pressed(press('9'), 0.0, 0));
    let events = heard(&samples);
    assert_eq!(keys(&events), "19");
    assert!(matches!(events[1], Event::End { .. }), "{events:?}");
}

#[test]
fn a_key_held_for_ten_seconds_is_one() {
    let samples = pressed(Press { on_ms: 10_000, ..press('#') }, 0.0, 100);
    let events = heard(&samples);
    assert_eq!(keys(&events), "#");
    assert_eq!(events.len(), 2);
}

#[test]
fn neither_one_sine_nor_three_are_a_key() {
    let sines = |hz: &[f32]| -> Vec<i16> {
        let sample = |n: usize| {
            let sum: f32 =
                hz.iter().map(|hz| (n as f32 * hz / 8_000.0 * std::f32::consts::TAU).sin()).sum();
            (sum * 4_000.0) as i16
        };
        (0..8_000).map(sample).collect()
    };
    for hz in [&[697.0][..], &[1_336.0], &[440.0], &[697.0, 1_209.0, 1_477.0], &[697.0, 852.0]] {
        assert_eq!(keys(&heard(&sines(hz))), "", "{hz:?}");
    }
    assert_eq!(keys(&heard(&sines(&[697.0, 1_209.0]))), "1");
}

#[test]
fn what_is_left_of_a_key_in_the_sound_is_shorter_than_a_key() {
    for digit in Digit::all() {
        for lead in [0, 33, 67, 101, 155] {
            let mut samples = pressed(Press::usual(digit), 0.0, 800 + lead);
            let mut detector = Detector::new();
            for frame in samples.chunks_mut(160) {
                detector.hear_and_mute(frame, |_| ());
            }
            let left = samples.iter().filter(|sample| **sample != 0).count();
            assert!(left <= 25 * 8, "{digit:?}: {} ms", left as f32 / 8.0);
            assert_eq!(keys(&heard(&samples)), "");
        }
    }
}

#[test]
fn sound_after_a_key_is_not_silenced() {
    let mut samples = pressed(Press { off_ms: 400, ..press('2') }, 0.0, 320);
    Noise::new(5).add(&mut samples[1_200..], -30.0);
    let before = samples.clone();
    let mut detector = Detector::new();
    for frame in samples.chunks_mut(160) {
        detector.hear_and_mute(frame, |_| ());
    }
    assert_eq!(samples[1_280..], before[1_280..]);
}

#[test]
fn extremes_and_odd_lengths_do_no_harm() {
    let mut noise = Noise::new(9);
    let loud: Vec<i16> =
        (0..8_000).map(|_| if noise.sample() > 0.0 { i16::MAX } else { i16::MIN }).collect();
    for length in [1, 3, 39, 40, 41, 7_999] {
        let mut detector = Detector::new();
        let mut samples = loud.clone();
        for part in samples.chunks_mut(length) {
            detector.hear_and_mute(part, |event| panic!("{event:?}"));
        }
        assert_eq!(detector.heard(), 8_000);
    }
}
