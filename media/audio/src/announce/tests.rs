use std::sync::Arc;

use super::*;
use crate::dtmf::Noise;
use crate::g711;
use crate::tone::FULL_SCALE_DBM0;

/// Something like speech, always the same for a seed: syllables of a moving pitch through two moving
/// resonances, a pause after some.
pub(super) fn speech(seed: u64, seconds: f32) -> Vec<i16> {
    let mut random = Noise::new(seed + 100);
    let mut out = Vec::new();
    let (mut turn, mut low, mut high) = (0.0_f32, [0.0_f32; 2], [0.0_f32; 2]);
    while (out.len() as f32) < seconds * 8_000.0 {
        let length = (1_100.0 + 300.0 * random.sample()).clamp(500.0, 2_400.0) as usize;
        let pitch = 120.0 + 20.0 * random.sample();
        let first = (520.0 + 160.0 * random.sample()).clamp(300.0, 900.0);
        let second = (1_400.0 + 350.0 * random.sample()).clamp(950.0, 2_300.0);
        for n in 0..length {
            let way = n as f32 / length as f32;
            turn += pitch * (1.0 - 0.1 * way) / 8_000.0;
            let pulse = if turn >= 1.0 { 1.0 } else { 0.0 };
            turn = turn.fract();
            let ring = |state: &mut [f32; 2], hz: f32| {
                let omega = hz / 8_000.0 * std::f32::consts::TAU;
                let next = pulse + 1.94 * omega.cos() * state[0] - 0.94 * state[1];
                *state = [next, state[0]];
                next
            };
            let sum = ring(&mut low, first * (1.0 + 0.1 * way)) + 0.5 * ring(&mut high, second);
            out.push((sum * 2_500.0 * (way * std::f32::consts::PI).sin()) as i16);
        }
        if random.sample() > 0.8 {
            out.resize(out.len() + 800, 0);
        }
    }
    out.truncate((seconds * 8_000.0) as usize);
    out
}

fn entry(name: &str, state: State, sound: &[i16]) -> Entry {
    Entry {
        name: name.to_owned(),
        state,
        cause: state.cause(),
        language: "zh".to_owned(),
        synthetic: true,
        print: Print::of(sound),
    }
}

/// Ten announcements of 5 s, the third to fifth beginning and all ending alike.
fn library() -> (Arc<Library>, Vec<Vec<i16>>) {
    let (same, end) = (speech(900, 2.0), speech(901, 1.5));
    let sounds: Vec<Vec<i16>> = (0..10)
        .map(|n| {
            let mut sound = if (2..5).contains(&n) { same.clone() } else { speech(n, 2.0) };
            sound.extend(speech(50 + n, 2.0));
            sound.extend(&end);
            sound
        })
        .collect();
    let named = sounds.iter().zip(State::all()).map(|(sound, s)| entry(s.name(), s, sound));
    (Arc::new(Library::new(named.collect())), sounds)
}

pub(super) fn noisy(sound: &[i16], lead: usize, below_db: f32, seed: u64) -> Vec<i16> {
    let mut samples = vec![0; lead];
    samples.extend(sound);
    samples.extend([0; 8_000]);
    let power = sound.iter().map(|x| f32::from(*x).powi(2)).sum::<f32>() / sound.len() as f32;
    let dbm0 = 10.0 * (power / (32_767.0_f32.powi(2) / 2.0)).log10() + FULL_SCALE_DBM0 - below_db;
    Noise::new(seed).add(&mut samples, dbm0);
    samples.iter().map(|x| g711::alaw_to_linear(g711::linear_to_alaw(*x))).collect()
}

fn heard(library: &Arc<Library>, samples: &[i16]) -> Vec<Known> {
    let (mut listener, mut all) = (Listener::new(Arc::clone(library)), Vec::new());
    for frame in samples.chunks(160) {
        listener.hear(frame, |known| all.push(known));
    }
    all
}

#[test]
fn an_announcement_is_known_again_in_noise_and_its_first_sample_told() {
    let (library, sounds) = library();
    for (n, sound) in sounds.iter().enumerate() {
        let lead = 4_000 + 517 * n;
        let all = heard(&library, &noisy(sound, lead, 12.0, n as u64));
        let last = all.last().unwrap_or_else(|| panic!("{n} unknown"));
        assert!(all.iter().all(|known| known.entry == n), "{n}: {all:?}");
        assert!(last.certain, "{n}: {all:?}");
        assert!(last.from.abs_diff(lead as u64) <= 2 * STEP as u64, "{n} {lead}: {last:?}");
        assert_eq!(last.cause, last.state.cause());
        assert!(all.len() <= 2, "told once, and once more when certain: {all:?}");
    }
}

#[test]
fn who_comes_in_late_is_told_but_no_call_ends_for_the_end_alone() {
    let (library, sounds) = library();
    // The second half of the middle and the end, which they have in common.
    let all = heard(&library, &noisy(&sounds[7][20_000..], 0, 20.0, 3));
    assert!(all.iter().all(|known| known.entry == 7 && !known.certain), "{all:?}");
    // The common end alone says nothing.
    let end = heard(&library, &noisy(&sounds[7][32_000..], 0, 20.0, 4));
    assert_eq!(end, []);
}

#[test]
fn a_common_beginning_is_no_verdict_before_the_word_that_differs() {
    let (library, sounds) = library();
    let all = heard(&library, &noisy(&sounds[3], 0, 30.0, 5));
    assert_eq!(all.first().map(|known| known.entry), Some(3), "{all:?}");
    assert!(all[0].to >= 16_000, "{all:?}");
}

#[test]
fn what_is_in_no_library_stays_unknown() {
    let (library, _) = library();
    for seed in 200..220 {
        let all = heard(&library, &noisy(&speech(seed, 8.0), 100, 20.0, seed));
        assert_eq!(all, [], "{seed}");
    }
    assert_eq!(heard(&Arc::new(Library::default()), &speech(1, 5.0)), []);
    assert_eq!(heard(&library, &[0; 80_000]), []);
}

#[test]
fn loss_and_another_level_do_no_harm() {
    let (library, sounds) = library();
    for n in [0, 4, 9] {
        let mut sound: Vec<i16> = sounds[n].iter().map(|x| x / 6).collect();
        for packet in sound.chunks_mut(160).step_by(20) {
            packet.fill(0);
        }
        let all = heard(&library, &noisy(&sound, 333, 15.0, 6));
        assert!(all.iter().any(|known| known.entry == n), "{n}: {all:?}");
        assert!(all.iter().all(|known| known.entry == n), "{n}: {all:?}");
    }
}

#[test]
fn states_have_numbers_names_and_causes() {
    let numbers: Vec<u8> = State::all().map(State::number).collect();
    assert_eq!(numbers, (2..=20).collect::<Vec<u8>>());
    for state in State::all() {
        let number = state.number().to_string();
        for text in [state.name(), state.chinese(), &number, " 关机 ".trim()] {
            let expected = if text == "关机" { State::SwitchedOff } else { state };
            assert_eq!(State::parse(text), Some(expected));
        }
        assert_eq!(State::from_number(state.number()), Some(state));
        assert!((1..=127).contains(&state.cause()));
    }
    assert_eq!(State::parse("无法接通"), Some(State::Unreachable));
    assert_eq!(State::parse("21"), None);
}

#[test]
fn a_file_holds_what_was_written_and_a_bad_one_is_refused() {
    let (library, _) = library();
    let octets = write(library.entries());
    assert_eq!(read(&octets).as_deref(), Ok(library.entries()));
    assert_eq!(read(b"RIFF"), Err(BadFile::Head));
    for cut in [17, 30, 60, octets.len() - 1] {
        assert_eq!(read(&octets[..cut]), Err(BadFile::Short), "{cut}");
    }
    let mut other = octets;
    // The state of the first: behind its name and its language.
    let at = 16 + 1 + usize::from(other[16]) + 1 + 2;
    other[at] = 77;
    assert_eq!(read(&other), Err(BadFile::Entry(0)));
}

#[test]
fn a_name_that_is_too_long_is_cut_between_characters() {
    let (library, _) = library();
    let name = "号".repeat(70);
    let one = Entry { name, ..library.entries()[0].clone() };
    let back = read(&write(&[one])).unwrap();
    assert_eq!(back[0].name, "号".repeat(40));
}
