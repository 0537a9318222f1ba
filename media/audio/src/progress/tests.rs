use super::*;
use crate::dtmf::Noise;
use crate::g711;
use crate::tone::FULL_SCALE_DBM0;

/// Milliseconds of sines at a level, with the country's wobble.
fn sines(pitch: Pitch, ms: f32, level: f32, detune: f32, out: &mut Vec<i16>) {
    let peak = 32_767.0 * 10_f32.powf((level - FULL_SCALE_DBM0) / 20.0);
    let wave = |hz: f32, n: usize| (n as f32 * hz * detune / 8_000.0 * std::f32::consts::TAU).sin();
    for n in 0..(ms * 8.0) as usize {
        let value = match pitch {
            Pitch::One(hz) => wave(f32::from(hz), n),
            Pitch::Two(a, b) => {
                (wave(f32::from(a), n) + wave(f32::from(b), n)) * std::f32::consts::FRAC_1_SQRT_2
            }
            Pitch::Wobbling(hz, by) => {
                wave(f32::from(hz), n) * (1.0 + 0.9 * wave(f32::from(by), n)) / 1.19
            }
        };
        out.push((value * peak) as i16);
    }
}

/// Two cycles and a bit of a pattern, its lengths and frequencies stretched.
fn played(pattern: &Pattern, cycles: usize, level: f32, stretch: f32, detune: f32) -> Vec<i16> {
    let mut out = vec![0; 1_000];
    for burst in pattern.bursts.iter().cycle().take(cycles * pattern.bursts.len()) {
        sines(burst.pitch, f32::from(burst.on_ms) * stretch, level, detune, &mut out);
        out.resize(out.len() + (f32::from(burst.off_ms) * stretch * 8.0) as usize, 0);
    }
    out
}

fn heard(country: Option<&str>, samples: &[i16]) -> Vec<Heard> {
    let (mut ear, mut all) = (Ear::new(country), Vec::new());
    for frame in samples.chunks(160) {
        ear.hear(frame, |heard| all.push(heard));
    }
    all
}

fn tones(heard: &[Heard]) -> Vec<Sound> {
    let manner = |sound: &Sound| matches!(sound, Sound::Silence | Sound::Music | Sound::Speech);
    heard.iter().map(|heard| heard.sound).filter(|sound| !manner(sound)).collect()
}

fn noisy(mut samples: Vec<i16>, level: f32, seed: u64) -> Vec<i16> {
    Noise::new(seed).add(&mut samples, level);
    for sample in &mut samples {
        *sample = g711::alaw_to_linear(g711::linear_to_alaw(*sample));
    }
    samples
}

/// Kinds that come before an answer.
const EARLY: [Kind; 4] = [Kind::Ring, Kind::Busy, Kind::Congestion, Kind::Information];

#[test]
fn b20_e180_the_tones_of_every_country_are_recognised_within_two_cycles() {
    for zone in ZONES {
        for pattern in zone.patterns.iter().filter(|pattern| EARLY.contains(&pattern.kind)) {
            let cycles = if pattern.bursts.len() == 1 { 4 } else { 2 };
            for (level, stretch, detune) in [(-3.0, 1.15, 1.01), (-30.0, 0.86, 0.99)] {
                let samples =
                    noisy(played(pattern, cycles, level, stretch, detune), level - 20.0, 3);
                let got = tones(&heard(Some(zone.country), &samples));
                let expected = match pattern.bursts[0].pitch {
                    Pitch::One(950) => Sound::Sit(Sit::Unsaid),
                    _ => Sound::Tone(pattern.kind),
                };
                assert_eq!(got, [expected], "{} {:?} {level} dBm0", zone.country, pattern.kind);
            }
        }
    }
}

#[test]
fn b20_a_tone_begins_where_it_began() {
    let cn = zone("CN").unwrap();
    for pattern in cn.patterns.iter().take(3) {
        let samples = noisy(played(pattern, 2, -13.0, 1.0, 1.0), -40.0, 8);
        let all = heard(Some("cn"), &samples);
        let tone = all.iter().find(|heard| heard.sound == Sound::Tone(pattern.kind)).unwrap();
        assert!(tone.from.abs_diff(1_000) <= 24, "{:?} from {}", pattern.kind, tone.from);
        let first = pattern.bursts[0];
        let most = 2 * u64::from(first.on_ms) + u64::from(first.off_ms) + 360;
        assert!(tone.to <= 1_000 + most * 8, "{:?} told at {}", pattern.kind, tone.to);
    }
}

#[test]
fn b20_special_information_says_why_by_the_length_and_pitch_of_two_tones() {
    let cases = [
        (Sit::Intercept, [(914, 274), (1_371, 274)], 22),
        (Sit::Vacant, [(985, 380), (1_371, 274)], 1),
        (Sit::Reorder, [(914, 274), (1_429, 380)], 42),
        (Sit::Reorder, [(985, 274), (1_371, 380)], 42),
        (Sit::NoCircuit, [(985, 380), (1_429, 380)], 34),
        (Sit::NoCircuit, [(914, 380), (1_371, 380)], 34),
        (Sit::Ineffective, [(914, 380), (1_429, 274)], 28),
        (Sit::Unsaid, [(950, 330), (1_400, 330)], 31),
    ];
    for (sit, tones_of, cause) in cases {
        for gap in [0, 20] {
            let mut samples = vec![0; 2_345];
            for (hz, length) in tones_of.into_iter().chain([(1_777, 380)]) {
                sines(Pitch::One(hz), length as f32, -20.0, 1.0, &mut samples);
                samples.resize(samples.len() + gap * 8, 0);
            }
            samples.resize(samples.len() + 4_000, 0);
            let all = heard(None, &noisy(samples, -40.0, 4));
            assert_eq!(tones(&all), [Sound::Sit(sit)], "{sit:?} gap {gap}");
            assert!(all[0].from.abs_diff(2_345) <= 24, "{all:?}");
            assert_eq!(sit.cause(), cause);
        }
    }
}

#[test]
fn t30_fax_machines_are_known_by_their_tones() {
    let mut calling = vec![0; 800];
    sines(Pitch::One(1_100), 500.0, -15.0, 1.0, &mut calling);
    calling.resize(calling.len() + 8_000, 0);
    assert_eq!(tones(&heard(Some("cn"), &noisy(calling, -45.0, 1))), [Sound::FaxCalling]);
    let mut answering = vec![0; 800];
    sines(Pitch::One(2_100), 2_600.0, -15.0, 1.0, &mut answering);
    assert_eq!(tones(&heard(Some("cn"), &noisy(answering, -45.0, 2))), [Sound::FaxAnswering]);
}

#[test]
fn one_lost_packet_in_a_burst_does_not_break_the_rhythm() {
    let ring = &zone("de").unwrap().patterns[0];
    let mut samples = played(ring, 2, -13.0, 1.0, 1.0);
    samples[4_000..4_160].fill(0);
    samples[44_000..44_160].fill(0);
    assert_eq!(tones(&heard(Some("de"), &samples)), [Sound::Tone(Kind::Ring)]);
}

#[test]
fn neither_a_steady_tone_nor_another_rhythm_is_a_verdict() {
    let mut steady = Vec::new();
    sines(Pitch::One(450), 6_000.0, -13.0, 1.0, &mut steady);
    assert_eq!(tones(&heard(Some("cn"), &steady)), []);
    let mut odd = Vec::new();
    for length in [350, 900, 350, 120, 600, 350] {
        sines(Pitch::One(450), length as f32, -13.0, 1.0, &mut odd);
        odd.resize(odd.len() + 350 * 8, 0);
    }
    assert_eq!(tones(&heard(Some("cn"), &odd)), []);
}

#[test]
fn a_melody_with_notes_of_450_hz_is_no_tone() {
    // Notes without pauses, 450 Hz every other one in the rhythm of busy.
    let mut melody = Vec::new();
    for _ in 0..8 {
        for hz in [450, 600, 450, 500] {
            sines(Pitch::One(hz), 350.0, -13.0, 1.0, &mut melody);
        }
    }
    let all = heard(Some("cn"), &melody);
    assert_eq!(tones(&all), [], "{all:?}");
    assert!(all.iter().any(|heard| heard.sound == Sound::Music), "{all:?}");
}

#[test]
fn silence_is_told_once() {
    let all = heard(None, &vec![3; 8_000 * 13]);
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all[0].sound, Sound::Silence);
}

#[test]
fn every_zone_is_whole() {
    assert!(ZONES.len() >= 20);
    assert!(ZONES.windows(2).all(|pair| pair[0].country < pair[1].country));
    for zone in ZONES {
        assert!(zone.patterns.iter().any(|pattern| pattern.kind == Kind::Ring), "{zone:?}");
        assert!(zone.patterns.iter().any(|pattern| pattern.kind == Kind::Busy), "{zone:?}");
        assert!(zone.patterns.iter().all(|pattern| !pattern.bursts.is_empty()), "{zone:?}");
    }
    assert!(zone("xx").is_none());
}
