//! What a recording costs: codes ten minutes of two voices and prints the share of a core that one
//! recording takes while its call lasts, by the processor's time of this thread.
//!
//! `cargo run -p audio --release --example cost [mp3|wav|opus [IN.raw OUT [pcmu]]]`; the optional input is signed 16-bit
//! little-endian, 8 kHz, two channels, which goes over two legs in A-law (or µ-law), and the output is what a
//! recording of it would be.
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![allow(clippy::print_stdout, reason = "a measurement prints its figure")]

use std::error::Error;
use std::time::{Duration, Instant};

use audio::mp3::Info;
use audio::tape::{Channels, Side, Stamp, Tape};
use audio::{g711, mp3, ogg, wav};

const SECONDS: usize = 600;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let form = arguments.next().unwrap_or_else(|| "mp3".to_owned());
    let (left, right) = match arguments.next() {
        Some(path) => split(&std::fs::read(path)?),
        None => (voice(3), voice(11)),
    };
    let out = arguments.next();
    let law: fn(i16) -> i16 = match arguments.next().as_deref() {
        Some("pcmu") => |sample| g711::ulaw_to_linear(g711::linear_to_ulaw(sample)),
        _ => |sample| g711::alaw_to_linear(g711::linear_to_alaw(sample)),
    };
    let [left, right] = [left, right].map(|side| side.into_iter().map(law).collect::<Vec<i16>>());
    let mut coder = Coder::new(&form)?;
    let (mut got_left, mut got_right) = (Vec::new(), Vec::new());
    let (begun, spent) = (Instant::now(), processor()?);
    let mut tape = Tape::new(begun);
    let packets = left.len().min(right.len()) / 160;
    for n in 0..packets {
        let arrival = begun + Duration::from_millis(20) * n as u32;
        let stamp = Stamp { arrival, timestamp: (n * 160) as u32 };
        tape.put(Side::Left, stamp, &left[n * 160..][..160]);
        tape.put(Side::Right, stamp, &right[n * 160..][..160]);
        if n % 5 == 4 {
            tape.render(arrival, &mut got_left, &mut got_right);
            coder.encode(&got_left, &got_right)?;
            got_left.clear();
            got_right.clear();
        }
    }
    let end = begun + Duration::from_millis(20) * packets as u32;
    while tape.finish(end, &mut got_left, &mut got_right) > 0 {}
    coder.encode(&got_left, &got_right)?;
    let file = coder.finish()?;
    let took = processor()? - spent;
    let seconds = packets as f64 / 50.0;
    println!(
        "{form}: {seconds} s of sound in {took:.3} s: {:.3} % of a core a recording, {:.1} kbit/s",
        took / seconds * 100.0,
        file.len() as f64 * 8.0 / seconds / 1_000.0
    );
    if let Some(path) = out {
        std::fs::write(path, file)?;
    }
    Ok(())
}

/// Seconds of a processor that this thread has had.
fn processor() -> Result<f64, Box<dyn Error>> {
    let account = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = account.split_whitespace().next().ok_or("an empty account")?;
    Ok(nanoseconds.parse::<f64>()? / 1e9)
}

/// What makes a file of both sides.
enum Coder {
    Mp3(mp3::Encoder, Vec<u8>),
    Wav(Vec<u8>),
    Opus(ogg::Encoder, Vec<u8>),
}

impl Coder {
    fn new(form: &str) -> Result<Coder, Box<dyn Error>> {
        Ok(match form {
            "mp3" => Coder::Mp3(mp3::Encoder::new(Channels::Stereo)?, Vec::new()),
            "wav" => Coder::Wav(Vec::new()),
            "opus" => Coder::Opus(ogg::Encoder::new(Channels::Stereo)?, Vec::new()),
            _ => return Err("mp3, wav or opus".into()),
        })
    }

    fn encode(&mut self, left: &[i16], right: &[i16]) -> Result<(), Box<dyn Error>> {
        match self {
            Coder::Mp3(encoder, out) => encoder.encode(left, right, out)?,
            Coder::Wav(out) => wav::append(Channels::Stereo, left, right, out),
            Coder::Opus(encoder, out) => {
                encoder.encode(left, right, out)?;
                encoder.flush(out);
            }
        }
        Ok(())
    }

    /// The whole file.
    fn finish(self) -> Result<Vec<u8>, Box<dyn Error>> {
        let (mut file, sound) = match self {
            Coder::Mp3(mut encoder, mut out) => {
                encoder.finish(&mut out)?;
                let mut info = Info::new(Channels::Stereo);
                info.frames_added(&out);
                (info.frame(encoder.samples()), out)
            }
            Coder::Wav(out) => (wav::head(Channels::Stereo, out.len() as u64).to_vec(), out),
            Coder::Opus(mut encoder, mut out) => {
                encoder.finish(&mut out)?;
                (ogg::open(Channels::Stereo), out)
            }
        };
        file.extend(sound);
        Ok(file)
    }
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
