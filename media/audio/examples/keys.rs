//! What the ear for keys misses and what it imagines: the figures of `docs/media-quality.md`.
//!
//! `cargo run -p audio --release --example keys -- corners` dials all sixteen keys at every corner;
//! `… -- talkoff FILE…` counts keys imagined in speech and music, `… -- cost FILE` what it takes, and
//! `… -- dial OUT` writes all sixteen for another decoder to read. Sound is signed 16-bit
//! little-endian, 8 kHz, one channel, without a header. `examples/talk` makes hours of it.
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![allow(clippy::print_stdout, reason = "a measurement prints its figure")]

use std::error::Error;
use std::time::Instant;

use audio::dtmf::{Detector, Digit, Event, Generator, Press};
use audio::g711;
use audio::tone::FULL_SCALE_DBM0;

const ALL: &str = "0123456789*#ABCD";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((word, [])) if word == "corners" => corners(),
        Some((word, files)) if word == "talkoff" => talk_off(files)?,
        Some((word, [file])) if word == "cost" => cost(&read(file)?),
        Some((word, [file])) if word == "dial" => dial(file)?,
        _ => return Err("corners | talkoff FILE… | cost FILE | dial OUT".into()),
    }
    Ok(())
}

/// Every corner: level, twist, S/N, tuning, law, and where in a reading the keys fall.
fn corners() {
    let (mut dialled, mut right, mut doubles, mut wrong) = (0, 0, 0, 0);
    let (mut refused, mut taken) = (0, 0);
    for level in [0.0, -6.0, -13.0, -20.0, -26.0, -30.0] {
        for twist in [-4.0, -2.0, 0.0, 4.0, 8.0] {
            for law in [Law::A, Law::Mu] {
                for (noise, off, shift) in variants() {
                    let got = heard(&dialling(level, twist, noise, off, law, shift));
                    if off.abs() > 0.03 {
                        refused += 16;
                        taken += got.len();
                        continue;
                    }
                    dialled += 16;
                    right += ALL.chars().filter(|key| got.matches(*key).count() == 1).count();
                    doubles += ALL.chars().filter(|key| got.matches(*key).count() > 1).count();
                    wrong += usize::from(got != ALL);
                }
            }
        }
    }
    println!(
        "{dialled} keys of 40 ms, 50 ms apart: {right} heard once, {doubles} twice, {wrong} rows wrong"
    );
    println!("{refused} keys 3.5 % off or more: {taken} taken");
}

fn variants() -> Vec<(f32, f32, usize)> {
    let mut variants = Vec::new();
    for noise in [15.0, 20.0, 40.0] {
        for off in [0.0, 0.015, -0.015, 0.035, -0.035] {
            for shift in [0, 11, 23] {
                variants.push((noise, off, shift));
            }
        }
    }
    variants
}

#[derive(Clone, Copy)]
enum Law {
    A,
    Mu,
}

fn dialling(level: f32, twist: f32, noise: f32, off: f32, law: Law, shift: usize) -> Vec<i16> {
    let mut samples = vec![0; 300 + shift];
    for digit in Digit::all() {
        let press = Press { digit, level_dbm0: level, twist_db: twist, on_ms: 40, off_ms: 50 };
        let from = samples.len();
        samples.resize(from + press.samples() as usize + usize::from(digit.event()), 0);
        Generator::off_tune(press, off).fill(&mut samples[from..]);
    }
    samples.resize(samples.len() + 1_000, 0);
    let rms = 32_767.0 / 2.0_f32.sqrt() * 10_f32.powf((level - noise - FULL_SCALE_DBM0) / 20.0);
    let mut state = (shift as u64 + 1) * 0x9e37_79b9 + (level.abs() * 8.0) as u64;
    for sample in &mut samples {
        // Twelve uniform numbers add up to a normal one.
        let mut sum = -6.0;
        for _ in 0..12 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            sum += (state >> 40) as f32 / (1_u64 << 24) as f32;
        }
        let linear = (f32::from(*sample) + rms * sum).round() as i16;
        *sample = match law {
            Law::A => g711::alaw_to_linear(g711::linear_to_alaw(linear)),
            Law::Mu => g711::ulaw_to_linear(g711::linear_to_ulaw(linear)),
        };
    }
    samples
}

fn heard(samples: &[i16]) -> String {
    let mut keys = String::new();
    Detector::new().hear(samples, |event| {
        if let Event::Begin { digit, .. } = event {
            keys.push(digit.as_char());
        }
    });
    keys
}

fn talk_off(files: &[String]) -> Result<(), Box<dyn Error>> {
    let (mut seconds, mut all, mut muted) = (0.0, 0, 0);
    for file in files {
        let mut samples = read(file)?;
        let mut detector = Detector::new();
        let silent = samples.iter().filter(|sample| **sample == 0).count();
        let mut keys = Vec::new();
        for frame in samples.chunks_mut(160) {
            detector.hear_and_mute(frame, |event| keys.push(event));
        }
        muted += samples.iter().filter(|sample| **sample == 0).count() - silent;
        let begun = keys.iter().filter(|event| matches!(event, Event::Begin { .. })).count();
        let length = samples.len() as f64 / 8_000.0;
        println!("{file}: {:.1} min, {begun} keys {keys:?}", length / 60.0);
        seconds += length;
        all += begun;
    }
    println!("{:.1} min, {all} keys imagined, {muted} samples silenced", seconds / 60.0);
    Ok(())
}

fn cost(samples: &[i16]) {
    let begun = Instant::now();
    let (mut detector, mut keys) = (Detector::new(), 0);
    detector.hear(samples, |_| keys += 1);
    let took = begun.elapsed().as_secs_f64();
    let seconds = samples.len() as f64 / 8_000.0;
    println!("{seconds:.0} s in {took:.3} s: {:.0} streams a core ({keys} events)", seconds / took);
}

fn dial(file: &str) -> Result<(), Box<dyn Error>> {
    let mut samples = Vec::new();
    for digit in Digit::all() {
        let press = Press::usual(digit);
        let from = samples.len();
        samples.resize(from + press.samples() as usize, 0);
        Generator::new(press).fill(&mut samples[from..]);
    }
    let bytes: Vec<u8> = samples.iter().flat_map(|sample: &i16| sample.to_le_bytes()).collect();
    std::fs::write(file, bytes)?;
    Ok(())
}

fn read(file: &str) -> Result<Vec<i16>, Box<dyn Error>> {
    let bytes = std::fs::read(file)?;
    Ok(bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect())
}
