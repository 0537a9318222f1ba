//! What transcoding costs: two minutes of something like speech through each pair of codings, in 20 ms
//! packets with a jitter buffer before it, and the share of a core that 100 conversations would take
//! (both directions), in CPU time of this process.
//!
//! `cargo run -p audio --release --example transcode`
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![allow(clippy::print_stdout, reason = "a measurement prints its figure")]

use std::time::{Duration, Instant};

use audio::codec::{Coding, Encoder, OCTETS_MAX, Transcoder};
use audio::jitter::{Jitter, Next, Stamp};

const SECONDS: usize = 120;
const PTIME_MS: u8 = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let codings = [Coding::Pcma, Coding::G722, Coding::Opus];
    for (n, a) in codings.into_iter().enumerate() {
        for b in codings.into_iter().skip(n + 1) {
            let (there, back) = (direction(a, b)?, direction(b, a)?);
            let pair = there + back;
            println!(
                "{a:?} and {b:?}: {pair:.1} % of a core for 100 conversations ({there:.1} + {back:.1})"
            );
        }
    }
    Ok(())
}

/// Per cent of a core that 100 streams take.
fn direction(from: Coding, to: Coding) -> Result<f64, Box<dyn std::error::Error>> {
    let payloads = spoken(from)?;
    let mut transcoder = Transcoder::new(from, to, PTIME_MS)?;
    let start = Instant::now();
    let mut jitter = Jitter::new(from.clock(), start);
    let mut out = [0; OCTETS_MAX];
    let mut packets = 0;
    let begun = cpu_seconds()?;
    for (n, payload) in payloads.iter().enumerate() {
        let stamp = Stamp {
            ssrc: 1,
            sequence: n as u16,
            timestamp: n as u32 * from.clock() / 1_000 * u32::from(PTIME_MS),
        };
        let now = start + Duration::from_millis(u64::from(PTIME_MS)) * n as u32;
        jitter.push(now, stamp, payload);
        while let Next::Frame { payload, .. } = jitter.next(now) {
            transcoder.push(payload)?;
        }
        while transcoder.pull(&mut out).is_some() {
            packets += 1;
        }
    }
    let took = cpu_seconds()? - begun;
    assert_eq!(packets, payloads.len());
    Ok(took / SECONDS as f64 * 100.0 * 100.0)
}

/// Syllables of harmonics over a falling pitch, with pauses, coded.
fn spoken(coding: Coding) -> Result<Vec<Vec<u8>>, Box<dyn std::error::Error>> {
    let rate = coding.rate();
    let mut turn = 0.0_f64;
    let sound: Vec<i16> = (0..SECONDS * rate as usize)
        .map(|n| {
            let t = n as f64 / f64::from(rate);
            turn += (150.0 - 40.0 * (t * 0.7).fract()) / f64::from(rate);
            let talks = ((t / 2.0) as usize) % 3 != 2;
            let syllable = ((t * 4.0).fract() * std::f64::consts::PI).sin().powi(2);
            let wave: f64 = (1..=20_u32)
                .map(|k| (turn * f64::from(k) * std::f64::consts::TAU).sin() / f64::from(k))
                .sum();
            if talks { (wave * syllable * 6_000.0) as i16 } else { 0 }
        })
        .collect();
    let mut encoder = Encoder::new(coding)?;
    let mut out = [0; OCTETS_MAX];
    sound
        .chunks_exact(rate as usize / 1_000 * usize::from(PTIME_MS))
        .map(|frame| {
            let octets = encoder.encode(frame, &mut out)?;
            Ok(out[..octets].to_vec())
        })
        .collect()
}

/// CPU time of this process, by the kernel's account of its threads.
fn cpu_seconds() -> Result<f64, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    let nanoseconds = text.split_whitespace().next().ok_or("schedstat is empty")?;
    Ok(nanoseconds.parse::<f64>()? / 1e9)
}
