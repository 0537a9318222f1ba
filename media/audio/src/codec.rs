//! The codings of telephone sound behind one face: payloads to samples and back, with what may be
//! heard in place of lost packets, and [`Transcoder`], which does all of it from one coding to another.
//!
//! All state and every buffer is made when a coder is; decoding and coding allocate nothing.

mod hush;
mod opus;
mod transcode;

pub use hush::hush;
pub use transcode::{GAP_MAX_MS, Transcoder};

use crate::convert::Converter;
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

    /// Whether there are coders of sound of this rate: its own, and for Opus what else it has.
    const fn sounds_at(self, rate: u32) -> bool {
        match self {
            Coding::Pcmu | Coding::Pcma | Coding::G722 => rate == self.rate(),
            Coding::Opus => matches!(rate, 8_000 | 16_000 | 48_000),
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
    /// The coding has no sound of this rate.
    #[error("no sound of this rate in this coding")]
    Rate,
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
    rate: u32,
}

#[derive(Debug)]
enum Decoding {
    Pcmu(Concealer),
    Pcma(Concealer),
    G722(Box<g722::Decoder>, Concealer),
    Opus(Box<opus::Decoder>),
}

impl Decoder {
    /// A decoder that has heard nothing.
    ///
    /// # Errors
    /// None at present.
    pub fn new(coding: Coding) -> Result<Decoder, CodecError> {
        Decoder::at(coding, coding.rate())
    }

    /// A decoder whose sound has another rate: Opus gives 8, 16 and 48 kHz without conversion, and
    /// costs less at the lower ones.
    ///
    /// # Errors
    /// [`CodecError::Rate`].
    pub fn at(coding: Coding, rate: u32) -> Result<Decoder, CodecError> {
        if !coding.sounds_at(rate) {
            return Err(CodecError::Rate);
        }
        let state = match coding {
            Coding::Pcmu => Decoding::Pcmu(Concealer::new(rate)),
            Coding::Pcma => Decoding::Pcma(Concealer::new(rate)),
            Coding::G722 => Decoding::G722(Box::default(), Concealer::new(rate)),
            Coding::Opus => Decoding::Opus(Box::new(opus::Decoder::new(rate)?)),
        };
        Ok(Decoder { state, rate })
    }

    /// Samples per second of what is decoded.
    #[must_use]
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Decodes one payload into `out`, one channel at [`Decoder::rate`]; gives the samples written.
    ///
    /// # Errors
    /// [`CodecError::Payload`] for what cannot be decoded, [`CodecError::Room`] when `out` is too small
    /// ([`SAMPLES_MAX`] is always enough). Samples may be written to `out` all the same; they mean
    /// nothing.
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> Result<usize, CodecError> {
        let samples = match &mut self.state {
            Decoding::Opus(decoder) => return decoder.decode(payload, out),
            Decoding::Pcmu(_) | Decoding::Pcma(_) => payload.len(),
            Decoding::G722(..) => 2 * payload.len(),
        };
        if payload.is_empty() || payload.len() > 8 * PACKET_MAX_MS {
            return Err(CodecError::Payload);
        }
        let out = out.get_mut(..samples).ok_or(CodecError::Room)?;
        match &mut self.state {
            Decoding::Pcmu(concealer) => {
                g711::decode_ulaw(payload, out);
                concealer.heard(out);
            }
            Decoding::Pcma(concealer) => {
                g711::decode_alaw(payload, out);
                concealer.heard(out);
            }
            Decoding::G722(decoder, concealer) => {
                decoder.decode(payload, out);
                concealer.heard(out);
            }
            Decoding::Opus(_) => {}
        }
        Ok(samples)
    }

    /// Another source begins: what was heard is of no use for decoding it. The first of it is faded in over
    /// what may be heard of the last one, where the coding does not see to that itself.
    pub fn restart(&mut self) {
        match &mut self.state {
            Decoding::Pcmu(concealer) | Decoding::Pcma(concealer) => concealer.part(),
            Decoding::G722(decoder, concealer) => {
                **decoder = g722::Decoder::default();
                concealer.part();
            }
            Decoding::Opus(decoder) => decoder.restart(),
        }
    }

    /// Writes what may be heard in place of `samples` lost ones (at [`Decoder::rate`]), which fades to
    /// silence; gives how many were written, as many as `out` has room for. `next` is the payload after
    /// the gap, where it is there already: Opus may bring a copy of what was lost in it. It is decoded
    /// after this as usual.
    pub fn conceal(&mut self, samples: usize, next: Option<&[u8]>, out: &mut [i16]) -> usize {
        let samples = samples.min(out.len());
        let out = &mut out[..samples];
        match &mut self.state {
            Decoding::Pcmu(concealer) | Decoding::Pcma(concealer) => concealer.conceal(out),
            Decoding::G722(_, concealer) => concealer.conceal(out),
            Decoding::Opus(decoder) => decoder.conceal(next, out),
        }
        samples
    }
}

/// Samples to payloads.
#[derive(Debug)]
pub struct Encoder {
    coding: Coding,
    state: Encoding,
    rate: u32,
}

#[derive(Debug)]
enum Encoding {
    Pcmu,
    Pcma,
    G722(Box<g722::Encoder>),
    Opus(Box<opus::Encoder>),
    /// Full-band sound is coded as what a telephone has of it.
    Narrowed(Box<Narrowed>),
}

#[derive(Debug)]
struct Narrowed {
    converter: Converter,
    sound: [i16; 60 * WIDE as usize / 1_000],
    encoder: opus::Encoder,
}

/// Rate at which Opus codes what comes at 48 kHz.
const WIDE: u32 = 16_000;

impl Encoder {
    /// An encoder that has heard nothing.
    ///
    /// # Errors
    /// None at present.
    pub fn new(coding: Coding) -> Result<Encoder, CodecError> {
        Encoder::at(coding, coding.rate())
    }

    /// An encoder of sound of another rate: Opus takes 8, 16 and 48 kHz, and costs less at the lower
    /// ones. Speech is what it is made for: what is above 8 kHz is not coded.
    ///
    /// # Errors
    /// [`CodecError::Rate`].
    pub fn at(coding: Coding, rate: u32) -> Result<Encoder, CodecError> {
        if !coding.sounds_at(rate) {
            return Err(CodecError::Rate);
        }
        let state = match (coding, Converter::new(rate, WIDE)) {
            (Coding::Pcmu, _) => Encoding::Pcmu,
            (Coding::Pcma, _) => Encoding::Pcma,
            (Coding::G722, _) => Encoding::G722(Box::default()),
            (Coding::Opus, Some(converter)) if rate > WIDE => {
                let sound = [0; 60 * WIDE as usize / 1_000];
                let encoder = opus::Encoder::new(WIDE)?;
                Encoding::Narrowed(Box::new(Narrowed { converter, sound, encoder }))
            }
            (Coding::Opus, _) => Encoding::Opus(Box::new(opus::Encoder::new(rate)?)),
        };
        Ok(Encoder { coding, state, rate })
    }

    /// An Opus encoder of what is kept in a file: a fifth of the cost of one for calls, whose far ends lose packets.
    ///
    /// # Errors
    /// [`CodecError::Rate`].
    pub fn kept(rate: u32) -> Result<Encoder, CodecError> {
        if !matches!(rate, 8_000 | 16_000) {
            return Err(CodecError::Rate);
        }
        let state = Encoding::Opus(Box::new(opus::Encoder::kept(rate)?));
        Ok(Encoder { coding: Coding::Opus, state, rate })
    }

    /// Samples per second of what is coded.
    #[must_use]
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Goes on where another encoder of the same coding stands, so that whoever decodes what that one wrote
    /// can go on with this one's. False where there is no telling: Opus stays as it is.
    pub fn follow(&mut self, other: &Encoder) -> bool {
        match (&mut self.state, &other.state) {
            (Encoding::G722(own), Encoding::G722(other)) => {
                own.as_mut().clone_from(other);
                true
            }
            (Encoding::Pcmu, Encoding::Pcmu) | (Encoding::Pcma, Encoding::Pcma) => true,
            _ => false,
        }
    }

    /// Prepares for what the far end says it loses (RTCP's fraction lost, per cent): Opus then sends
    /// copies of what may be lost, which costs quality where nothing is. The others have no such thing.
    pub fn expect_loss(&mut self, percent: u8) {
        match &mut self.state {
            Encoding::Opus(encoder) => encoder.expect_loss(percent),
            Encoding::Narrowed(wide) => wide.encoder.expect_loss(percent),
            Encoding::Pcmu | Encoding::Pcma | Encoding::G722(_) => {}
        }
    }

    /// Codes one frame of a length that [`Coding::packs`] allows; gives the octets written.
    ///
    /// # Errors
    /// [`CodecError::Frame`] for other lengths, [`CodecError::Room`] when `out` is too small
    /// ([`OCTETS_MAX`] is always enough). Nothing is changed by either.
    pub fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> Result<usize, CodecError> {
        let per_ms = self.rate as usize / 1_000;
        let ms = u8::try_from(pcm.len() / per_ms).unwrap_or(u8::MAX);
        if !pcm.len().is_multiple_of(per_ms) || !self.coding.packs(ms) {
            return Err(CodecError::Frame);
        }
        let octets = 8 * usize::from(ms);
        match &mut self.state {
            Encoding::Opus(encoder) => encoder.encode(pcm, out),
            Encoding::Narrowed(wide) => {
                if out.len() < OCTETS_MAX {
                    return Err(CodecError::Room);
                }
                let samples = wide.converter.convert(pcm, &mut wide.sound);
                wide.encoder.encode(&wide.sound[..samples], out)
            }
            Encoding::Pcmu | Encoding::Pcma | Encoding::G722(_) if out.len() < octets => {
                Err(CodecError::Room)
            }
            Encoding::Pcmu => Ok(g711::encode_ulaw(pcm, out)),
            Encoding::Pcma => Ok(g711::encode_alaw(pcm, out)),
            Encoding::G722(encoder) => Ok(encoder.encode(pcm, &mut out[..octets])),
        }
    }
}

#[cfg(test)]
mod tests;
