//! The codings of telephone sound behind one face: payloads to samples and back, with what may be
//! heard in place of lost packets, and [`Transcoder`], which does all of it from one coding to another.
//!
//! All state and every buffer is made when a coder is; decoding and coding allocate nothing.

mod transcode;

pub use transcode::{GAP_MAX_MS, Transcoder};

use crate::plc::Concealer;
use crate::{g711, g722};

/// A coding of sound.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Coding {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// G.722 at 64 kbit/s.
    G722,
    /// Opus (RFC 6716), one channel.
    Opus,
}

impl Coding {
    /// Samples per second of what is decoded and coded.
    #[must_use]
    pub const fn rate(self) -> u32 {
        match self {
            Coding::Pcmu | Coding::Pcma => 8_000,
            Coding::G722 => g722::RATE,
            Coding::Opus => 48_000,
        }
    }

    /// Units per second of its RTP timestamps: G.722 counts 8000 although it has 16 000 samples
    /// (RFC 3551 §4.5.2), Opus 48 000 whatever it carries (RFC 7587 §4.1).
    #[must_use]
    pub const fn clock(self) -> u32 {
        match self {
            Coding::Pcmu | Coding::Pcma | Coding::G722 => 8_000,
            Coding::Opus => 48_000,
        }
    }

    /// Whether packets of this length can be written: 10, 20, 40 and 60 ms in all codings, 30 and 50
    /// in all but Opus (RFC 6716 §2.1.4).
    #[must_use]
    pub const fn packs(self, ptime_ms: u8) -> bool {
        match ptime_ms {
            10 | 20 | 40 | 60 => true,
            30 | 50 => !matches!(self, Coding::Opus),
            _ => false,
        }
    }
}

/// Longest packet that is decoded, milliseconds (RFC 3551 §4.2: receivers take up to 200).
pub const PACKET_MAX_MS: usize = 200;

/// Samples of the longest packet at the highest rate: what a buffer for any decoder needs.
pub const SAMPLES_MAX: usize = PACKET_MAX_MS * 48;

/// Octets of the longest packet that an encoder writes: 60 ms of 64 kbit/s. Opus stays below.
pub const OCTETS_MAX: usize = 480;

/// Why something was not decoded or coded. The coder can be used on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CodecError {
    /// There is no coder for this coding.
    #[error("no coder for {0:?}")]
    Unsupported(Coding),
    /// The payload is none of this coding, is empty, or is longer than [`PACKET_MAX_MS`].
    #[error("not a payload of this coding")]
    Payload,
    /// Not a frame of a length that [`Coding::packs`] allows.
    #[error("not a frame of this coding")]
    Frame,
    /// The buffer given is too small for the result.
    #[error("no room for the result")]
    Room,
    /// More was given than taken away.
    #[error("more was given than taken away")]
    Full,
}

/// Payloads to samples.
#[derive(Debug)]
pub struct Decoder {
    state: Decoding,
    concealer: Concealer,
}

#[derive(Debug)]
enum Decoding {
    Pcmu,
    Pcma,
    G722(Box<g722::Decoder>),
}

impl Decoder {
    /// A decoder that has heard nothing.
    ///
    /// # Errors
    /// [`CodecError::Unsupported`].
    pub fn new(coding: Coding) -> Result<Decoder, CodecError> {
        let state = match coding {
            Coding::Pcmu => Decoding::Pcmu,
            Coding::Pcma => Decoding::Pcma,
            Coding::G722 => Decoding::G722(Box::default()),
            Coding::Opus => return Err(CodecError::Unsupported(coding)),
        };
        Ok(Decoder { state, concealer: Concealer::new(coding.rate()) })
    }

    /// Decodes one payload into `out`, one channel at [`Coding::rate`]; gives the samples written.
    ///
    /// # Errors
    /// [`CodecError::Payload`] for what cannot be decoded, [`CodecError::Room`] when `out` is too small
    /// ([`SAMPLES_MAX`] is always enough). Nothing is changed by either.
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> Result<usize, CodecError> {
        let samples = match self.state {
            Decoding::Pcmu | Decoding::Pcma => payload.len(),
            Decoding::G722(_) => 2 * payload.len(),
        };
        if payload.is_empty() || payload.len() > 8 * PACKET_MAX_MS {
            return Err(CodecError::Payload);
        }
        let out = out.get_mut(..samples).ok_or(CodecError::Room)?;
        match &mut self.state {
            Decoding::Pcmu => g711::decode_ulaw(payload, out),
            Decoding::Pcma => g711::decode_alaw(payload, out),
            Decoding::G722(decoder) => decoder.decode(payload, out),
        };
        self.concealer.heard(out);
        Ok(samples)
    }

    /// Writes what may be heard in place of `samples` lost ones (at [`Coding::rate`]), which fades to
    /// silence; gives how many were written, as many as `out` has room for. `next` is the payload after
    /// the gap, where it is there already: Opus may bring a copy of what was lost in it.
    pub fn conceal(&mut self, samples: usize, next: Option<&[u8]>, out: &mut [i16]) -> usize {
        let _ = next;
        let samples = samples.min(out.len());
        self.concealer.conceal(&mut out[..samples]);
        samples
    }
}

/// Samples to payloads.
#[derive(Debug)]
pub struct Encoder {
    coding: Coding,
    state: Encoding,
}

#[derive(Debug)]
enum Encoding {
    Pcmu,
    Pcma,
    G722(Box<g722::Encoder>),
}

impl Encoder {
    /// An encoder that has heard nothing.
    ///
    /// # Errors
    /// [`CodecError::Unsupported`].
    pub fn new(coding: Coding) -> Result<Encoder, CodecError> {
        let state = match coding {
            Coding::Pcmu => Encoding::Pcmu,
            Coding::Pcma => Encoding::Pcma,
            Coding::G722 => Encoding::G722(Box::default()),
            Coding::Opus => return Err(CodecError::Unsupported(coding)),
        };
        Ok(Encoder { coding, state })
    }

    /// Codes one frame of a length that [`Coding::packs`] allows; gives the octets written.
    ///
    /// # Errors
    /// [`CodecError::Frame`] for other lengths, [`CodecError::Room`] when `out` is too small
    /// ([`OCTETS_MAX`] is always enough). Nothing is changed by either.
    pub fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> Result<usize, CodecError> {
        let per_ms = self.coding.rate() as usize / 1_000;
        let ms = u8::try_from(pcm.len() / per_ms).unwrap_or(u8::MAX);
        if !pcm.len().is_multiple_of(per_ms) || !self.coding.packs(ms) {
            return Err(CodecError::Frame);
        }
        let octets = 8 * usize::from(ms);
        let out = out.get_mut(..octets).ok_or(CodecError::Room)?;
        Ok(match &mut self.state {
            Encoding::Pcmu => g711::encode_ulaw(pcm, out),
            Encoding::Pcma => g711::encode_alaw(pcm, out),
            Encoding::G722(encoder) => encoder.encode(pcm, out),
        })
    }
}

#[cfg(test)]
mod tests;
