//! What the ear for call progress misses and what it imagines: the figures of `docs/media-quality.md`.
//!
//! `cargo run -p audio --release --example tones -- corners [CODING]` plays the tones of every country in noise,
//! off pitch and rhythm, with lost packets, in A-law or another coding (pcmu, g722, opus); `… -- false FILE…` counts tones imagined in speech and
//! music and says which of both each file seems; `… -- cost FILE` what it takes. Sound is as for
//! `keys`.
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![allow(clippy::print_stdout, reason = "a measurement prints its figure")]

use std::error::Error;
use std::time::Instant;

use audio::codec::{CodecError, Coding};
use audio::progress::{Ear, Heard, Kind, Pattern, Pitch, Sit, Sound, ZONES};
use audio::tone::FULL_SCALE_DBM0;

#[path = "common/line.rs"]
mod line;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((word, [])) if word == "corners" => corners(Coding::Pcma)?,
        Some((word, [coding])) if word == "corners" => {
            corners(line::coding(coding).ok_or("no such coding")?)?;
        }
        Some((word, files)) if word == "false" => imagined(files)?,
        Some((word, [file])) if word == "cost" => cost(&read(file)?),
        _ => return Err("corners [CODING] | false FILE… | cost FILE".into()),
    }
    Ok(())
}

fn corners(coding: Coding) -> Result<(), CodecError> {
    for noise in [30.0, 20.0, 10.0] {
        for (loss, more) in [(0, 0), (5, 0), (5, 1)] {
            let (mut all, mut right, mut wrong) = (0, 0, 0);
            for zone in ZONES {
                for pattern in zone.patterns {
                    if matches!(pattern.kind, Kind::Waiting | Kind::Record) {
                        continue;
                    }
                    for (n, level) in [-3.0, -13.0, -30.0].into_iter().enumerate() {
                        for (stretch, detune) in
                            [(1.0, 1.0), (1.15, 1.01), (0.85, 0.99), (1.15, 0.99), (0.85, 1.01)]
                        {
                            let seed = all + n as u64;
                            let play = Play { level, noise, stretch, detune, loss, more, seed };
                            let got = heard(Some(zone.country), &play.play(pattern, coding)?);
                            let expected = match pattern.bursts[0].pitch {
                                Pitch::One(950) => Sound::Sit(Sit::Unsaid),
                                _ => Sound::Tone(pattern.kind),
                            };
                            all += 1;
                            right += u64::from(got.first() == Some(&expected));
                            wrong += u64::from(got.iter().any(|sound| *sound != expected));
                            if got != [expected] && noise > 15.0 && loss == 0 {
                                println!("{} {pattern:?} {play:?}: {got:?}", zone.country);
                            }
                        }
                    }
                }
            }
            let share = right as f64 / all as f64 * 100.0;
            println!(
                "S/N {noise} dB, {loss} % lost, {more} cycles more: {right} of {all} right first ({share:.1} %), {wrong} with another"
            );
        }
    }
    Ok(())
}

#[derive(Debug)]
struct Play {
    level: f32,
    noise: f32,
    stretch: f32,
    detune: f32,
    /// Packets in a hundred that are lost.
    loss: u64,
    /// Cycles more than are needed.
    more: usize,
    seed: u64,
}

impl Play {
    /// As many cycles as the country's table needs to be told apart, and the pause after them.
    fn play(&self, pattern: &Pattern, coding: Coding) -> Result<Vec<i16>, CodecError> {
        let mut out = vec![0.0; 1_600 + (self.seed as usize * 7) % 80];
        let cycles =
            if pattern.bursts.len() == 1 && pattern.bursts[0].on_ms <= 200 { 4 } else { 2 };
        let cycles = cycles + self.more;
        for burst in pattern.bursts.iter().cycle().take(cycles * pattern.bursts.len()) {
            self.sines(burst.pitch, f32::from(burst.on_ms) * self.stretch, &mut out);
            out.resize(out.len() + (f32::from(burst.off_ms) * self.stretch * 8.0) as usize, 0.0);
        }
        let mut random = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random >> 40
        };
        let rms = 32_767.0 / 2.0_f32.sqrt()
            * 10_f32.powf((self.level - self.noise - FULL_SCALE_DBM0) / 20.0);
        let (mut noisy, mut lost) = (Vec::with_capacity(out.len()), Vec::new());
        for packet in out.chunks(160) {
            lost.push(next() % 100 < self.loss);
            for sample in packet {
                let noise: f32 = (0..12).map(|_| next() as f32 / (1_u64 << 24) as f32).sum();
                noisy.push((sample + rms * (noise - 6.0) + 40.0).round() as i16);
            }
        }
        line::over(coding, &noisy, |number| lost[number])
    }

    fn sines(&self, pitch: Pitch, ms: f32, out: &mut Vec<f32>) {
        let peak = 32_767.0 * 10_f32.powf((self.level - FULL_SCALE_DBM0) / 20.0);
        let wave = |hz: u16, n: usize| {
            (n as f32 * f32::from(hz) * self.detune / 8_000.0 * std::f32::consts::TAU).sin()
        };
        for n in 0..(ms * 8.0) as usize {
            out.push(
                peak * match pitch {
                    Pitch::One(hz) => wave(hz, n),
                    Pitch::Two(a, b) => (wave(a, n) + wave(b, n)) * std::f32::consts::FRAC_1_SQRT_2,
                    Pitch::Wobbling(hz, by) => wave(hz, n) * (1.0 + 0.9 * wave(by, n)) / 1.19,
                },
            );
        }
    }
}

/// The tones heard, without music, speech and silence.
fn heard(country: Option<&str>, samples: &[i16]) -> Vec<Sound> {
    let mut sounds = Vec::new();
    Ear::new(country).hear(samples, |heard| {
        if !is_manner(heard.sound) {
            sounds.push(heard.sound);
        }
    });
    sounds
}

fn is_manner(sound: Sound) -> bool {
    matches!(sound, Sound::Silence | Sound::Music | Sound::Speech)
}

fn imagined(files: &[String]) -> Result<(), Box<dyn Error>> {
    let (mut minutes, mut all) = (0.0, 0);
    for file in files {
        let samples = read(file)?;
        let mut tones: Vec<Heard> = Vec::new();
        let (mut music, mut speech) = (0, 0);
        for country in [None, Some("cn"), Some("us"), Some("es")] {
            Ear::new(country).hear(&samples, |heard| {
                if !is_manner(heard.sound) {
                    tones.push(heard);
                }
            });
        }
        // Four seconds each, by itself: what a caller hears before an answer.
        for part in samples.chunks_exact(8_000 * 4 + 240) {
            Ear::new(None).hear(part, |heard| {
                music += u32::from(heard.sound == Sound::Music);
                speech += u32::from(heard.sound == Sound::Speech);
            });
        }
        let length = samples.len() as f64 / 8_000.0 / 60.0;
        println!(
            "{file}: {length:.1} min, {} tones {tones:?}, {music} × music, {speech} × speech",
            tones.len()
        );
        minutes += length;
        all += tones.len();
    }
    println!("{minutes:.1} min, {all} tones imagined by four ears");
    Ok(())
}

fn cost(samples: &[i16]) {
    let begun = Instant::now();
    let (mut ear, mut count) = (Ear::new(None), 0);
    ear.hear(samples, |_| count += 1);
    let took = begun.elapsed().as_secs_f64();
    let seconds = samples.len() as f64 / 8_000.0;
    println!("{seconds:.0} s in {took:.3} s: {:.0} streams a core ({count} told)", seconds / took);
}

fn read(file: &str) -> Result<Vec<i16>, Box<dyn Error>> {
    let bytes = std::fs::read(file)?;
    Ok(bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect())
}
