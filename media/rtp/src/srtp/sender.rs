//! What leaves under a key of ours.

use super::key::Master;
use super::stream::Streams;
use super::transform::{CONTROL_HEADER, ENCRYPTED, Place, Protocol, Transform};
use super::window::estimate;
use super::{Failure, TRAILER_MAX, header_len};
use crate::wire::{u16_at, u32_at};

/// The indices that SRTCP has (RFC 3711 §3.4).
const CONTROL_INDICES: u32 = 1 << 31;

/// Protects packets. Its roll-over counters live as long as its key: a setup that names the same key
/// changes nothing (see [`Sender::rekey`]).
#[derive(Debug)]
pub struct Sender {
    master: Master,
    rtp: Transform,
    rtcp: Transform,
    streams: Streams,
    /// Of the next SRTCP packet.
    control: u32,
}

impl Sender {
    /// Protects under this key, which names itself in no packet.
    #[must_use]
    pub fn new(master: &Master) -> Sender {
        Sender {
            master: master.clone(),
            rtp: Transform::derive(master, Protocol::Srtp),
            rtcp: Transform::derive(master, Protocol::Srtcp),
            streams: Streams::default(),
            control: 0,
        }
    }

    /// Protects under this key from now on: with new counters if it is another one (RFC 3711 §3.3.1).
    pub fn rekey(&mut self, master: &Master) {
        if self.master != *master {
            *self = Sender::new(master);
        }
    }

    /// Protects the RTP packet in the first `len` octets of `buffer`; returns its length then.
    ///
    /// # Errors
    ///
    /// [`Failure::Replayed`] for an index that this key has protected before, or may have; the others when
    /// there is no such packet, no room of [`TRAILER_MAX`] after it, or the key is used up. The packet is
    /// unchanged then.
    pub fn protect(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, Failure> {
        let packet = buffer.get(..len).ok_or(Failure::NoRoom)?;
        let header = header_len(packet).ok_or(Failure::Malformed)?;
        let (sequence, ssrc) = (u16_at(packet, 2), u32_at(packet, 8));
        let end = len + self.rtp.tag_len();
        let sealed = buffer.get_mut(..end).ok_or(Failure::NoRoom)?;
        let mut stream = self.streams.find(ssrc)?;
        let index = match stream.rtp.highest() {
            Some(highest) => estimate(highest, sequence)?,
            None => u64::from(sequence),
        };
        stream.rtp.check(index)?;
        self.rtp.seal_rtp(Place { ssrc, index }, header, sealed);
        stream.rtp.note(index);
        self.streams.keep(stream);
        Ok(end)
    }

    /// Protects the compound RTCP packet in the first `len` octets of `buffer`; returns its length then.
    ///
    /// # Errors
    ///
    /// As [`Sender::protect`], but never for an index used before.
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, Failure> {
        if len < CONTROL_HEADER || buffer.len() < len {
            return Err(Failure::Malformed);
        }
        let end = len + 4 + self.rtcp.tag_len();
        debug_assert!(end - len <= TRAILER_MAX);
        let sealed = buffer.get_mut(..end).ok_or(Failure::NoRoom)?;
        let index = self.control;
        if index >= CONTROL_INDICES {
            return Err(Failure::Exhausted);
        }
        self.control += 1;
        let place = Place { ssrc: u32_at(sealed, 4), index: u64::from(index) };
        self.rtcp.seal_rtcp(place, (index | ENCRYPTED).to_be_bytes(), sealed);
        Ok(end)
    }
}
