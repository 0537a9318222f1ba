//! Sound through two codings: what somebody hears who has the second, of somebody who has the first.
//!
//! `cargo run -p audio --release --example through FROM TO LOSS [SEED [OVERTAKEN [held]]] < IN.raw > OUT.raw`: signed 16-bit
//! little-endian samples, one channel, of 8 kHz for G.711 and 16 kHz else; `LOSS` of 100 packets of
//! 20 ms are lost on the way to the transcoder, which conceals them. `OVERTAKEN` of 100 come 25 ms late, after the
//! next one (`40ms`: each comes up to 40 ms late): too late, unless they are `held` in a jitter buffer.
//! `tests/load/quality.py` drives it.

#![allow(clippy::disallowed_methods, reason = "an instant has no other origin")]

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use audio::codec::{Coding, Decoder, Encoder, OCTETS_MAX, Transcoder};
use audio::jitter::{Jitter, Next, Stamp};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to, loss, seed @ ..] = arguments.as_slice() else {
        return Err("FROM TO LOSS [SEED [OVERTAKEN [held]]]".into());
    };
    let (from, to, loss) = (coding(from)?, coding(to)?, loss.parse::<u32>()?);
    let mut numbers = seed.first().map_or(Ok(1), |seed| seed.parse::<u32>())?;
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    let sound: Vec<i16> =
        bytes.chunks_exact(2).map(|octets| i16::from_le_bytes([octets[0], octets[1]])).collect();

    let mut encoder = Encoder::at(from, rate(from))?;
    encoder.expect_loss(u8::try_from(loss)?);
    let mut out = [0; OCTETS_MAX];
    let mut payloads = Vec::new();
    for frame in sound.chunks_exact(rate(from) as usize / 50) {
        let octets = encoder.encode(frame, &mut out)?;
        payloads.push(out[..octets].to_vec());
    }
    let mut transcoder = Transcoder::new(from, to, 20)?;
    let mut decoder = Decoder::at(to, rate(to))?;
    let mut heard = vec![0; rate(to) as usize / 50];
    let (late, held) =
        (seed.get(1).map_or(Ok(Late::Some(0)), |late| late.parse())?, seed.len() > 2);
    let mut arrivals = Vec::new();
    for (n, payload) in payloads.iter().enumerate() {
        numbers = numbers.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if (numbers >> 16) % 100 >= loss {
            arrivals.push((20 * n as u64 + late.by(numbers >> 8), n, payload));
        }
    }
    arrivals.sort_by_key(|(at, ..)| *at);
    let (mut line, mut sound) = (Line::new(from, held), std::io::stdout().lock());
    for (at, n, payload) in arrivals {
        line.come(at, n, payload, &mut transcoder)?;
        while let Some((octets, _)) = transcoder.pull(&mut out) {
            let samples = decoder.decode(&out[..octets], &mut heard)?;
            let bytes: Vec<u8> = heard[..samples].iter().flat_map(|s| s.to_le_bytes()).collect();
            sound.write_all(&bytes)?;
        }
    }
    Ok(())
}

/// How late packets are.
#[derive(Clone, Copy)]
enum Late {
    /// So many of 100, by 25 ms.
    Some(u32),
    /// Each, by up to so many ms.
    All(u32),
}

impl Late {
    /// Milliseconds.
    fn by(self, number: u32) -> u64 {
        match self {
            Late::Some(share) if number % 100 < share => 25,
            Late::Some(_) => 0,
            Late::All(most) => u64::from(number % (most + 1)),
        }
    }
}

impl std::str::FromStr for Late {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Late, Self::Err> {
        match text.strip_suffix("ms") {
            Some(most) => Ok(Late::All(most.parse()?)),
            None => Ok(Late::Some(text.parse()?)),
        }
    }
}

/// What stands before the transcoder: an account of what is missing, or a jitter buffer as well.
struct Line {
    from: Coding,
    next: usize,
    start: Instant,
    jitter: Option<Jitter>,
}

impl Line {
    fn new(from: Coding, held: bool) -> Line {
        let start = Instant::now();
        let jitter = held.then(|| Jitter::new(from.clock(), start));
        Line { from, next: 0, start, jitter }
    }

    fn come(
        &mut self,
        at: u64,
        n: usize,
        payload: &[u8],
        transcoder: &mut Transcoder,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let step = self.from.clock() / 50;
        let Some(jitter) = &mut self.jitter else {
            if n >= self.next {
                if n > self.next {
                    transcoder.lost((n - self.next) as u32 * step, Some(payload));
                }
                transcoder.push(payload)?;
                self.next = n + 1;
            }
            return Ok(());
        };
        let now = self.start + Duration::from_millis(at);
        // What was waited for in vain is given up before this one comes.
        while jitter.deadline().is_some_and(|deadline| deadline <= now) {
            give(jitter, now, transcoder)?;
        }
        let stamp = Stamp { ssrc: 1, sequence: n as u16, timestamp: n as u32 * step };
        jitter.push(now, stamp, payload);
        give(jitter, now, transcoder)
    }
}

fn give(
    jitter: &mut Jitter,
    now: Instant,
    transcoder: &mut Transcoder,
) -> Result<(), Box<dyn std::error::Error>> {
    loop {
        match jitter.next(now) {
            Next::Frame { payload, .. } => transcoder.push(payload)?,
            Next::Lost { units, next } => transcoder.lost(units, next),
            Next::Wait => return Ok(()),
        }
    }
}

/// Opus as what a telephone has of it.
fn rate(coding: Coding) -> u32 {
    coding.rate().min(16_000)
}

fn coding(name: &str) -> Result<Coding, String> {
    match name {
        "pcmu" => Ok(Coding::Pcmu),
        "pcma" => Ok(Coding::Pcma),
        "g722" => Ok(Coding::G722),
        "opus" => Ok(Coding::Opus),
        other => Err(format!("{other}: pcmu, pcma, g722 or opus")),
    }
}
