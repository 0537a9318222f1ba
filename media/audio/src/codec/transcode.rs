//! From one coding to another: decoded, its gaps filled, its rate converted, cut into packets of the
//! length that the listener wants, and coded.

use super::{CodecError, Coding, Decoder, Encoder, PACKET_MAX_MS, WIDE};
use crate::convert::Converter;

/// Longest gap that one call of [`Transcoder::lost`] fills, milliseconds.
pub const GAP_MAX_MS: usize = PACKET_MAX_MS;

/// One direction of a conversation between two codings: payloads in, payloads out.
///
/// What is decoded waits until it makes a whole packet, so when both sides have the same packet length
/// a payload comes out for each that goes in. Take them all after each [`Transcoder::push`] and
/// [`Transcoder::lost`].
#[derive(Debug)]
pub struct Transcoder {
    from: Coding,
    to: Coding,
    decoder: Decoder,
    /// The decoder has heard something.
    heard: bool,
    converter: Option<Converter>,
    encoder: Encoder,
    /// One packet as it was decoded.
    decoded: Box<[i16]>,
    /// Sound at the listener's rate that has not left; `waiting` samples.
    queue: Box<[i16]>,
    waiting: usize,
    /// Samples of a packet that leaves.
    frame: usize,
}

impl Transcoder {
    /// A transcoder whose packets are `ptime_ms` long.
    ///
    /// # Errors
    /// [`CodecError::Frame`] for a length that `to` has no packets of (see [`Coding::packs`]).
    pub fn new(from: Coding, to: Coding, ptime_ms: u8) -> Result<Transcoder, CodecError> {
        if !to.packs(ptime_ms) {
            return Err(CodecError::Frame);
        }
        // Opus takes the rate of the other side: nothing is converted, and it costs less. But it is heard in wide-band:
        // what it makes of wide-band sound at 8 kHz is worse than what our own filter does.
        let (heard, said) = match (from, to) {
            (Coding::Opus, Coding::Opus) => (WIDE, WIDE),
            (Coding::Opus, _) => (WIDE, to.rate()),
            (_, Coding::Opus) => (from.rate(), from.rate()),
            (_, _) => (from.rate(), to.rate()),
        };
        let per_ms = said as usize / 1_000;
        Ok(Transcoder {
            from,
            to,
            decoder: Decoder::at(from, heard)?,
            heard: false,
            converter: Converter::new(heard, said),
            encoder: Encoder::at(to, said)?,
            decoded: vec![0; PACKET_MAX_MS * heard as usize / 1_000].into(),
            queue: vec![0; QUEUE_MS * per_ms].into(),
            waiting: 0,
            frame: usize::from(ptime_ms) * per_ms,
        })
    }

    /// Takes one received payload. Packets come in order.
    ///
    /// # Errors
    /// [`CodecError::Payload`] when it cannot be decoded: it is then as if it had never come, and what
    /// it should have brought may be said to be [`lost`](Transcoder::lost). [`CodecError::Full`] when
    /// nobody takes what comes out: the payload is gone.
    pub fn push(&mut self, payload: &[u8]) -> Result<(), CodecError> {
        let samples = self.decoder.decode(payload, &mut self.decoded)?;
        self.heard = true;
        self.queue_up(samples)
    }

    /// Another source begins: see [`Decoder::restart`].
    pub fn restart(&mut self) {
        if std::mem::take(&mut self.heard) {
            self.decoder.restart();
        }
    }

    /// Something was lost: `units` of `from`'s RTP clock ([`Coding::clock`]), as the timestamps around
    /// the gap differ. It is filled, up to [`GAP_MAX_MS`]; what is longer than that is no loss to hide.
    /// `next` is the payload after the gap, where it is there already; it is pushed after this as usual.
    pub fn lost(&mut self, units: u32, next: Option<&[u8]>) {
        let (rate, clock) = (u64::from(self.decoder.rate()), u64::from(self.from.clock()));
        let samples = (u64::from(units) * rate / clock) as usize;
        let samples = samples.min(GAP_MAX_MS * rate as usize / 1_000);
        let concealed = self.decoder.conceal(samples, next, &mut self.decoded);
        // Full only if nobody takes what comes out, and then nobody misses it.
        let _ = self.queue_up(concealed);
    }

    /// See [`Encoder::expect_loss`].
    pub fn expect_loss(&mut self, percent: u8) {
        self.encoder.expect_loss(percent);
    }

    /// The next whole packet: the octets written to `out`, and its length in units of `to`'s RTP clock.
    /// `None` until there is one, or while `out` is too small for it ([`super::OCTETS_MAX`] is enough).
    pub fn pull(&mut self, out: &mut [u8]) -> Option<(usize, u32)> {
        if self.waiting < self.frame {
            return None;
        }
        let octets = self.encoder.encode(&self.queue[..self.frame], out).ok()?;
        self.queue.copy_within(self.frame..self.waiting, 0);
        self.waiting -= self.frame;
        let rate = u64::from(self.encoder.rate());
        let units = self.frame as u64 * u64::from(self.to.clock()) / rate;
        Some((octets, units as u32))
    }

    fn queue_up(&mut self, samples: usize) -> Result<(), CodecError> {
        let decoded = &self.decoded[..samples];
        let room = &mut self.queue[self.waiting..];
        match &mut self.converter {
            None => {
                let room = room.get_mut(..samples).ok_or(CodecError::Full)?;
                room.copy_from_slice(decoded);
                self.waiting += samples;
            }
            Some(converter) => {
                if room.len() < converter.most(samples) {
                    return Err(CodecError::Full);
                }
                self.waiting += converter.convert(decoded, room);
            }
        }
        Ok(())
    }
}

/// Sound that may wait: a gap and a packet, each of the longest, and what is left of one that leaves.
const QUEUE_MS: usize = GAP_MAX_MS + PACKET_MAX_MS + 100;
