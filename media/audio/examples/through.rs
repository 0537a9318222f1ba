//! Sound through two codings: what somebody hears who has the second, of somebody who has the first.
//!
//! `cargo run -p audio --release --example through FROM TO LOSS [SEED] < IN.raw > OUT.raw`: signed 16-bit
//! little-endian samples, one channel, of 8 kHz for G.711 and 16 kHz else; `LOSS` of 100 packets of
//! 20 ms are lost on the way to the transcoder, which conceals them. `tests/load/quality.py` drives it.

use std::io::{Read, Write};

use audio::codec::{Coding, Decoder, Encoder, OCTETS_MAX, Transcoder};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to, loss, seed @ ..] = arguments.as_slice() else {
        return Err("FROM TO LOSS [SEED]".into());
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
    let mut lost = false;
    for payload in &payloads {
        if lost {
            transcoder.lost(from.clock() / 50, Some(payload));
        }
        numbers = numbers.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        lost = (numbers >> 16) % 100 < loss;
        if !lost {
            transcoder.push(payload)?;
        }
        while let Some((octets, _)) = transcoder.pull(&mut out) {
            let samples = decoder.decode(&out[..octets], &mut heard)?;
            let bytes: Vec<u8> = heard[..samples].iter().flat_map(|s| s.to_le_bytes()).collect();
            std::io::stdout().write_all(&bytes)?;
        }
    }
    Ok(())
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
