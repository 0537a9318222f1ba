//! What a recording costs: codes ten minutes of two voices and prints the share of a core that one
//! recording takes while its call lasts.
//!
//! `cargo run -p audio --release --example cost [IN.raw OUT.mp3]`; the optional input is signed 16-bit
//! little-endian, 8 kHz, two channels, and the output is what a recording of it would be.
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![allow(clippy::print_stdout, reason = "a measurement prints its figure")]

use std::time::{Duration, Instant};

use audio::mp3::{Encoder, Info};
use audio::tape::{Channels, Side, Stamp, Tape};

const SECONDS: usize = 600;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (left, right) = match arguments.next() {
        Some(path) => split(&std::fs::read(path)?),
        None => (voice(3), voice(11)),
    };
    let (mut out, mut info) = (Vec::new(), Info::new(Channels::Stereo));
    let (mut got_left, mut got_right) = (Vec::new(), Vec::new());
    let mut encoder = Encoder::new(Channels::Stereo)?;
    let begun = Instant::now();
    let mut tape = Tape::new(begun);
    let packets = left.len().min(right.len()) / 160;
    for n in 0..packets {
        let arrival = begun + Duration::from_millis(20) * n as u32;
        let stamp = Stamp { arrival, timestamp: (n * 160) as u32 };
        tape.put(Side::Left, stamp, &left[n * 160..][..160]);
        tape.put(Side::Right, stamp, &right[n * 160..][..160]);
        if n % 5 == 4 {
            tape.render(arrival, &mut got_left, &mut got_right);
            encoder.encode(&got_left, &got_right, &mut out)?;
            got_left.clear();
            got_right.clear();
        }
    }
    let end = begun + Duration::from_millis(20) * packets as u32;
    while tape.finish(end, &mut got_left, &mut got_right) > 0 {}
    encoder.encode(&got_left, &got_right, &mut out)?;
    encoder.finish(&mut out)?;
    info.frames_added(&out);
    let took = begun.elapsed().as_secs_f64();
    let seconds = packets as f64 / 50.0;
    println!(
        "{seconds} s of sound in {took:.3} s: {:.3} % of a core a recording",
        took / seconds * 100.0
    );
    if let Some(path) = arguments.next() {
        let mut file = info.frame(encoder.samples());
        file.extend(out);
        std::fs::write(path, file)?;
    }
    Ok(())
}

/// Something like speech: syllables of harmonics over a falling pitch, with pauses.
fn voice(seed: usize) -> Vec<i16> {
    let mut turn = 0.0_f64;
    (0..SECONDS * 8_000)
        .map(|n| {
            let t = n as f64 / 8_000.0;
            let syllable = (t * 4.0 + seed as f64 * 0.37).fract();
            let talks = !((t / 3.0) as usize + seed).is_multiple_of(3);
            turn += (140.0 - 40.0 * (t * 0.7).fract() + seed as f64) / 8_000.0;
            let envelope =
                if talks { (syllable * std::f64::consts::PI).sin().powi(2) } else { 0.0 };
            let wave: f64 = (1..=20_u32)
                .map(|k| (turn * f64::from(k) * std::f64::consts::TAU).sin() / f64::from(k))
                .sum();
            (wave * envelope * 6_000.0) as i16
        })
        .collect()
}

fn split(bytes: &[u8]) -> (Vec<i16>, Vec<i16>) {
    let sample = |octets: &[u8]| i16::from_le_bytes([octets[0], octets[1]]);
    bytes.chunks_exact(4).map(|frame| (sample(&frame[..2]), sample(&frame[2..]))).unzip()
}
