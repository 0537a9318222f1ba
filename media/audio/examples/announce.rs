//! Makes libraries of announcements and measures how well they are known again: the figures of
//! `docs/media-quality.md`.
//!
//! * `make OUT`: prints of the sounds listed on standard input (name, state, language, file; tabs
//!   between), marked synthetic.
//! * `known LIBRARY [CODING]`: plays the listed sounds in noise and loss, in both laws of G.711 by turns or in a
//!   coding (g722, opus), from the start and cut in, after silence or ring-back, and counts what each meaning was
//!   taken for.
//! * `strange LIBRARY FILE…`: plays sounds that are in no library, cut into 20 s.
//! * `cost LIBRARY COUNT FILE`: the library repeated with changed bits up to COUNT announcements.
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![allow(clippy::print_stdout, reason = "a measurement prints its figure")]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use audio::announce::{Entry, Known, Library, Listener, Print, State, read, write};
use audio::codec::Coding;
use audio::progress::Ear;

#[path = "common/line.rs"]
mod line;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["make", out] => make(out)?,
        ["known", library] => known(&load(library)?, None)?,
        ["known", library, coding] => {
            known(&load(library)?, Some(line::coding(coding).ok_or("no such coding")?))?;
        }
        ["strange", library, ..] => strange(&load(library)?, &arguments[2..])?,
        ["cost", library, count, file] => cost(library, count.parse()?, &sound(file)?)?,
        _ => {
            return Err(
                "make OUT | known LIBRARY [CODING] | strange LIBRARY FILE… | cost LIBRARY COUNT FILE".into(),
            );
        }
    }
    Ok(())
}

/// A line of the list: name, state, language, file.
type Line = (String, State, String, String);

fn list() -> Result<Vec<Line>, Box<dyn Error>> {
    let mut lines = Vec::new();
    for line in std::io::stdin().lines() {
        let line = line?;
        let parts: Vec<&str> = line.split('\t').collect();
        let [name, state, language, file] = parts[..] else {
            return Err(format!("four columns, not {line:?}").into());
        };
        let state = State::parse(state).ok_or_else(|| format!("no such state: {state}"))?;
        lines.push((name.to_owned(), state, language.to_owned(), file.to_owned()));
    }
    Ok(lines)
}

fn make(out: &str) -> Result<(), Box<dyn Error>> {
    let mut entries = Vec::new();
    for (name, state, language, file) in list()? {
        let print = Print::of(&sound(&file)?);
        entries.push(Entry { name, state, cause: state.cause(), language, synthetic: true, print });
    }
    let octets = write(&entries);
    println!("{} announcements, {} octets", entries.len(), octets.len());
    std::fs::write(out, octets)?;
    Ok(())
}

fn load(file: &str) -> Result<Arc<Library>, Box<dyn Error>> {
    Ok(Arc::new(Library::new(read(&std::fs::read(file)?)?)))
}

/// What became of the plays of one meaning.
#[derive(Default)]
struct Score {
    played: u32,
    right: u32,
    certain: u32,
    wrong: u32,
    certainly_wrong: u32,
    late: Vec<f64>,
}

fn known(library: &Arc<Library>, coding: Option<Coding>) -> Result<(), Box<dyn Error>> {
    let mut by_state: BTreeMap<State, Score> = BTreeMap::new();
    let mut taken: BTreeMap<State, (u32, u32)> = BTreeMap::new();
    let mut by_place: BTreeMap<&str, (u32, u32, u32)> = BTreeMap::new();
    for (number, (_, state, _, file)) in list()?.into_iter().enumerate() {
        let clean = sound(&file)?;
        for play in plays(number as u64) {
            let (samples, begins) = play.of(&clean, coding)?;
            let mut told: Vec<Known> = Vec::new();
            let mut listener = Listener::new(Arc::clone(library));
            listener.hear(&samples, |known| told.push(known));
            let score = by_state.entry(state).or_default();
            let place = by_place.entry(play.place).or_default();
            score.played += 1;
            place.0 += 1;
            // What was said last is what the record keeps.
            if let Some(last) = told.last() {
                let right = last.state == state;
                let count = taken.entry(last.state).or_default();
                *count = (count.0 + u32::from(right), count.1 + 1);
                score.right += u32::from(right);
                score.wrong += u32::from(!right);
                *place = (place.0, place.1 + u32::from(right), place.2 + u32::from(!right));
                if right && play.place == "whole" {
                    score.late.push((told[0].to as f64 - begins as f64) / 8_000.0);
                }
            }
            score.certain +=
                u32::from(told.iter().any(|known| known.certain && known.state == state));
            score.certainly_wrong +=
                u32::from(told.iter().any(|known| known.certain && known.state != state));
        }
    }
    println!(
        "state, played, right, recall %, precision %, certain, wrong, certainly wrong, median s to the first word on it"
    );
    for (state, score) in &mut by_state {
        let (right, all) = taken.get(state).copied().unwrap_or_default();
        score.late.sort_by(f64::total_cmp);
        let median = score.late.get(score.late.len() / 2).copied().unwrap_or(f64::NAN);
        println!(
            "| {} | {} | {} | {:.1} | {:.1} | {} | {} | {} | {median:.1} |",
            state.name(),
            score.played,
            score.right,
            share(score.right, score.played),
            share(right, all),
            score.certain,
            score.wrong,
            score.certainly_wrong
        );
    }
    let sum = |what: fn(&Score) -> u32| by_state.values().map(what).sum::<u32>();
    println!(
        "all: {} played, {} right, {} certain, {} wrong, {} certainly wrong",
        sum(|s| s.played),
        sum(|s| s.right),
        sum(|s| s.certain),
        sum(|s| s.wrong),
        sum(|s| s.certainly_wrong)
    );
    for (place, (played, right, wrong)) in by_place {
        println!("{place}: {right} of {played} right, {wrong} wrong");
    }
    Ok(())
}

fn share(part: u32, all: u32) -> f64 {
    f64::from(part) / f64::from(all.max(1)) * 100.0
}

/// One way to hear an announcement.
struct Play {
    place: &'static str,
    noise_db: f32,
    loss: u64,
    alaw: bool,
    gain: f32,
    seed: u64,
}

fn plays(seed: u64) -> Vec<Play> {
    let mut plays = Vec::new();
    for place in ["whole", "cut in, once", "cut in, repeated"] {
        for (n, (noise_db, loss)) in
            [(40.0, 0), (20.0, 0), (15.0, 2), (10.0, 0), (10.0, 5)].into_iter().enumerate()
        {
            let gain = [1.0, 0.3, 0.6, 1.8, 0.15][(n + seed as usize) % 5];
            plays.push(Play {
                place,
                noise_db,
                loss,
                alaw: n % 2 == 0,
                gain,
                seed: seed * 31 + n as u64,
            });
        }
    }
    plays
}

impl Play {
    /// The sound as heard, and where the announcement begins in it.
    fn of(
        &self,
        clean: &[i16],
        coding: Option<Coding>,
    ) -> Result<(Vec<i16>, usize), Box<dyn Error>> {
        let mut random = Random(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let lead = 800 + (random.next() % 16_000) as usize;
        let mut sound = vec![0.0_f32; lead];
        let gain = |sample: &i16| f32::from(*sample) * self.gain;
        match self.place {
            "whole" => sound.extend(clean.iter().map(gain)),
            _ => {
                // Somebody comes in late: up to half of it is over.
                let skip = (random.next() as usize) % (clean.len() / 2).max(1);
                sound.extend(clean[skip..].iter().map(gain));
                if self.place == "cut in, repeated" {
                    sound.extend([0.0; 8_000]);
                    sound.extend(clean.iter().map(gain));
                }
            }
        }
        sound.extend([0.0; 8_000]);
        let power = clean.iter().map(|s| gain(s).powi(2)).sum::<f32>() / clean.len().max(1) as f32;
        let rms = (power * 10_f32.powf(-self.noise_db / 10.0)).sqrt();
        let (mut noisy, mut lost) = (Vec::with_capacity(sound.len()), Vec::new());
        for packet in sound.chunks(160) {
            let gone = random.next() % 100 < self.loss;
            lost.push(gone);
            let noisier = |sample: &f32| match gone {
                true => 0,
                false => (sample + rms * random.normal()).round() as i16,
            };
            noisy.extend(packet.iter().map(noisier));
        }
        let law = if self.alaw { Coding::Pcma } else { Coding::Pcmu };
        let heard = line::over(coding.unwrap_or(law), &noisy, |number| lost[number])?;
        Ok((heard, lead))
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 33
    }

    fn normal(&mut self) -> f32 {
        let sum: f32 = (0..12).map(|_| self.next() as f32 / (1_u64 << 31) as f32).sum();
        sum - 6.0
    }
}

fn strange(library: &Arc<Library>, files: &[String]) -> Result<(), Box<dyn Error>> {
    let (mut parts, mut reports, mut certain) = (0, 0, 0);
    for file in files {
        let samples = sound(file)?;
        for (number, part) in samples.chunks(160_000).enumerate() {
            parts += 1;
            let (mut told, mut sure) = (false, false);
            Listener::new(Arc::clone(library)).hear(part, |known| {
                let name = &library.entries()[known.entry].name;
                println!(
                    "{file} part {number}: {name} wrong {} certain {}",
                    known.wrong, known.certain
                );
                told = true;
                sure |= known.certain;
            });
            reports += u32::from(told);
            certain += u32::from(sure);
        }
    }
    println!("{parts} strange sounds: {reports} reported, {certain} certain");
    Ok(())
}

fn cost(library: &str, count: usize, samples: &[i16]) -> Result<(), Box<dyn Error>> {
    let mut entries = read(&std::fs::read(library)?)?;
    let base = entries.len().max(1);
    let mut random = Random(7);
    while entries.len() < count {
        let mut entry = entries[entries.len() % base].clone();
        // Other announcements: the words of this one in another order, a few bits off.
        let turn = random.next() as usize % entry.print.words.len().max(1);
        entry.print.words.rotate_left(turn);
        for word in &mut entry.print.words {
            word.bits ^= 1 << (random.next() % 32) | 1 << (random.next() % 32);
        }
        entries.push(entry);
    }
    let library = Arc::new(Library::new(entries));
    let begun = Instant::now();
    let (mut listener, mut ear, mut told) =
        (Listener::new(Arc::clone(&library)), Ear::new(None), 0);
    for frame in samples.chunks(160) {
        listener.hear(frame, |_| told += 1);
        ear.hear(frame, |_| told += 1);
    }
    let took = begun.elapsed().as_secs_f64();
    let seconds = samples.len() as f64 / 8_000.0;
    println!(
        "{} announcements, {seconds:.0} s in {took:.3} s: {:.0} streams a core with tones ({told} told)",
        library.entries().len(),
        seconds / took
    );
    Ok(())
}

fn sound(file: &str) -> Result<Vec<i16>, Box<dyn Error>> {
    let bytes = std::fs::read(file)?;
    Ok(bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect())
}
