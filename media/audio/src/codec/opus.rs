//! Opus (RFC 6716) at the rate that is wanted of it: it codes and decodes at 8, 16 and 48 kHz by itself.
//!
//! The coder is `opus-rs`, libopus in Rust (`docs/decisions/0050-opus.md`). One channel; a packet of two
//! is mixed down by the decoder.

use std::fmt;

use opus_rs::{Application, OpusDecoder, OpusEncoder};

use super::CodecError;

/// Longest packet (§3.2.5, R5), milliseconds.
const PACKET_MS: usize = 120;
/// Octets of what is written: below any datagram's limit, and what 60 ms take at 64 kbit/s.
const OCTETS: usize = super::OCTETS_MAX;

pub(super) struct Decoder {
    coder: OpusDecoder,
    rate: usize,
    sound: Box<[f32]>,
}

impl Decoder {
    pub(super) fn new(rate: u32) -> Result<Decoder, CodecError> {
        let coder = OpusDecoder::new(rate as i32, 1).map_err(|_| CodecError::Frame)?;
        let rate = rate as usize;
        Ok(Decoder { coder, rate, sound: vec![0.0; PACKET_MS * rate / 1_000].into() })
    }

    /// Forgets what it heard.
    pub(super) fn restart(&mut self) {
        if let Ok(coder) = OpusDecoder::new(self.rate as i32, 1) {
            self.coder = coder;
        }
    }

    pub(super) fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> Result<usize, CodecError> {
        let samples = duration(payload).ok_or(CodecError::Payload)? * self.rate / 48_000;
        let out = out.get_mut(..samples).ok_or(CodecError::Room)?;
        let sound = &mut self.sound[..samples];
        match self.coder.decode(payload, samples, sound) {
            Ok(decoded) if decoded == samples => {}
            Ok(_) | Err(_) => return Err(CodecError::Payload),
        }
        rounded(sound, out);
        Ok(samples)
    }

    /// Fills all of `out`: with the copy that the packet after the gap brings of the one before it
    /// (§2.1.7), as far as there is one, and else with what the coder makes of what it heard.
    pub(super) fn conceal(&mut self, next: Option<&[u8]>, out: &mut [i16]) {
        // Opus counts in 2.5 ms.
        let step = self.rate / 400;
        let mut rest = out;
        while !rest.is_empty() {
            let longest = PACKET_MS * self.rate / 1_000;
            let (piece, after) = rest.split_at_mut(rest.len().min(longest));
            let samples = piece.len().next_multiple_of(step);
            let sound = &mut self.sound[..samples];
            let filled = match next {
                Some(next) if after.is_empty() && duration(next).is_some() => {
                    self.coder.decode_fec(next, samples, sound).is_ok()
                }
                _ => false,
            };
            if !filled && self.coder.decode(&[], samples, sound).is_err() {
                sound.fill(0.0);
            }
            rounded(sound, piece);
            rest = after;
        }
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("rate", &self.rate).finish_non_exhaustive()
    }
}

pub(super) struct Encoder {
    coder: OpusEncoder,
    rate: u32,
}

impl Encoder {
    /// For a call: what is lost of it can be filled.
    pub(super) fn new(rate: u32) -> Result<Encoder, CodecError> {
        let mut encoder = Encoder::with(rate, Application::Voip)?;
        (encoder.coder.bitrate_bps, encoder.coder.complexity) = usual(rate);
        Ok(encoder)
    }

    /// For a file, of which nothing is lost: the transform alone (CELT), which costs a fifth and keeps as much.
    pub(super) fn kept(rate: u32) -> Result<Encoder, CodecError> {
        let mut encoder = Encoder::with(rate, Application::RestrictedLowDelay)?;
        (encoder.coder.bitrate_bps, encoder.coder.complexity) = (KEPT_BPS, 0);
        Ok(encoder)
    }

    fn with(rate: u32, application: Application) -> Result<Encoder, CodecError> {
        let coder = OpusEncoder::new(rate as i32, 1, application).map_err(|_| CodecError::Frame)?;
        Ok(Encoder { coder, rate })
    }

    /// Prepares for loss: from [`COPIES_FROM_PERCENT`] on packets bear a copy of the one before them, and the bits
    /// that it takes.
    pub(super) fn expect_loss(&mut self, percent: u8) {
        let copies = percent >= COPIES_FROM_PERCENT;
        self.coder.use_inband_fec = copies;
        self.coder.packet_loss_perc = i32::from(percent.min(100));
        let settings = if copies { WITH_COPIES } else { usual(self.rate) };
        (self.coder.bitrate_bps, self.coder.complexity) = settings;
    }

    /// A packet is as long as the coder makes it.
    pub(super) fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> Result<usize, CodecError> {
        let out = out.get_mut(..OCTETS).ok_or(CodecError::Room)?;
        self.coder.encode_i16(pcm, pcm.len(), out).map_err(|_| CodecError::Frame)
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("rate", &self.rate).finish_non_exhaustive()
    }
}

/// Bits per second, at most (speech takes a sixth less), and the coder's complexity. By measurement, as what follows:
/// see `docs/decisions/0068-what-opus-is-coded-with.md`. Bits do more for narrow-band sound than thought does, and
/// cost less.
const fn usual(rate: u32) -> (i32, i32) {
    if rate <= 8_000 { (40_000, 1) } else { (48_000, 5) }
}

/// The same of what is kept.
const KEPT_BPS: i32 = 40_000;
/// Bits per second, no more than G.711 takes, and complexity while copies are sent: from 2 on the coder's copies are
/// not always of what they stand for.
const WITH_COPIES: (i32, i32) = (64_000, 1);
/// A copy takes so much of the bits that it is worth it for somebody who misses packets alone.
const COPIES_FROM_PERCENT: u8 = 3;

/// Samples of 48 kHz in a packet, by its first octets (§3.1, §3.2); `None` if it says nothing, or more
/// than [`PACKET_MS`].
fn duration(payload: &[u8]) -> Option<usize> {
    let toc = *payload.first()?;
    let config = usize::from(toc >> 3);
    let frame = match config {
        0..=11 => [480, 960, 1_920, 2_880][config & 3],
        12..=15 => [480, 960][config & 1],
        _ => [120, 240, 480, 960][config & 3],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => usize::from(payload.get(1)? & 0x3f),
    };
    let samples = frame * frames;
    (samples > 0 && samples <= PACKET_MS * 48).then_some(samples)
}

fn rounded(sound: &[f32], out: &mut [i16]) {
    for (out, sample) in out.iter_mut().zip(sound) {
        // Out of range and NaN: the conversion saturates, and makes zero of what is no number.
        *out = (sample * 32_768.0).round() as i16;
    }
}
