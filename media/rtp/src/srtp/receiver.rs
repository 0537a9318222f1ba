//! What comes under a key of the far end's.

use super::key::Master;
use super::stream::Streams;
use super::transform::{CONTROL_HEADER, ENCRYPTED, Place, Protocol, Transform};
use super::window::estimate;
use super::{Failure, header_len};
use crate::wire::{u16_at, u32_at};

/// What a receiver did not open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Packets whose tag was wrong, that were no packets at all, or of one stream too many.
    pub forged: u64,
    /// Packets that were opened before, or too old to tell.
    pub replayed: u64,
}

/// Opens packets. Its roll-over counters and windows live as long as its key.
///
/// When the far end names another key, what it protected with the last is under way still: both are good
/// until the first packet under the new one (RFC 4568 §7.1.4 leaves the overlap to the receiver).
#[derive(Debug)]
pub struct Receiver {
    current: Keyed,
    previous: Option<Box<Keyed>>,
    tally: Tally,
}

/// One key, and what was heard under it.
#[derive(Debug)]
struct Keyed {
    master: Master,
    rtp: Transform,
    rtcp: Transform,
    streams: Streams,
}

impl Receiver {
    /// Opens under this key.
    #[must_use]
    pub fn new(master: &Master) -> Receiver {
        Receiver { current: Keyed::new(master), previous: None, tally: Tally::default() }
    }

    /// Opens under this key from now on: with new counters if it is another one.
    pub fn rekey(&mut self, master: &Master) {
        if self.current.master == *master {
            return;
        }
        let back = self.previous.take().filter(|previous| previous.master == *master);
        // Who goes back to the last key before using the new one goes on where he was.
        let next = back.map_or_else(|| Keyed::new(master), |previous| *previous);
        self.previous = Some(Box::new(std::mem::replace(&mut self.current, next)));
    }

    /// What was not opened so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Opens the SRTP packet that `packet` is; returns the length of the RTP packet it begins with then.
    ///
    /// # Errors
    ///
    /// Why it is not opened. It is as it was then, and nothing else has changed but the tally.
    pub fn open(&mut self, packet: &mut [u8]) -> Result<usize, Failure> {
        self.either(packet, Keyed::open)
    }

    /// Opens the SRTCP packet that `packet` is; returns the length of the RTCP packet it begins with then.
    ///
    /// # Errors
    ///
    /// As [`Receiver::open`].
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Failure> {
        self.either(packet, Keyed::open_rtcp)
    }

    fn either(
        &mut self,
        packet: &mut [u8],
        open: fn(&mut Keyed, &mut [u8]) -> Result<usize, Failure>,
    ) -> Result<usize, Failure> {
        let mut opened = open(&mut self.current, packet);
        if opened.is_ok() {
            self.previous = None;
        } else if let Some(previous) = &mut self.previous {
            opened = open(previous, packet).or(opened);
        }
        match opened {
            Err(Failure::Replayed) => self.tally.replayed += 1,
            Err(_) => self.tally.forged += 1,
            Ok(_) => {}
        }
        opened
    }
}

impl Keyed {
    fn new(master: &Master) -> Keyed {
        Keyed {
            master: master.clone(),
            rtp: Transform::derive(master, Protocol::Srtp),
            rtcp: Transform::derive(master, Protocol::Srtcp),
            streams: Streams::default(),
        }
    }

    fn open(&mut self, packet: &mut [u8]) -> Result<usize, Failure> {
        let header = header_len(packet).ok_or(Failure::Malformed)?;
        let (sequence, ssrc) = (u16_at(packet, 2), u32_at(packet, 8));
        let tag_len = self.rtp.tag_len();
        let end = packet.len().checked_sub(tag_len + self.mki_len()).ok_or(Failure::Malformed)?;
        if end < header {
            return Err(Failure::Malformed);
        }
        let mut stream = self.streams.find(ssrc)?;
        let (mut index, second) = match stream.rtp.highest() {
            Some(highest) => (estimate(highest, sequence)?, None),
            // Of a stream that is new to us the first packets, and a roll-over among them, may be lost.
            None => {
                let next = u64::from(sequence) | 1 << 16;
                (u64::from(sequence), (sequence < 0x8000).then_some(next))
            }
        };
        stream.rtp.check(index)?;
        // The name of the key, which is not signed, stands before the tag of HMAC, and after that of GCM,
        // which counts as part of the payload (RFC 3711 §3.1, RFC 7714 §8.2).
        let (body, trailer) = packet.split_at_mut(end);
        let tag = if self.is_gcm() {
            self.check_name(&trailer[tag_len..])?;
            &trailer[..tag_len]
        } else {
            self.check_name(&trailer[..trailer.len() - tag_len])?;
            &trailer[trailer.len() - tag_len..]
        };
        if let Err(failure) = self.rtp.open_rtp(Place { ssrc, index }, header, body, tag) {
            index = second.ok_or(failure)?;
            self.rtp.open_rtp(Place { ssrc, index }, header, body, tag)?;
        }
        stream.rtp.note(index);
        self.streams.keep(stream);
        Ok(end)
    }

    fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Failure> {
        let tag_len = self.rtcp.tag_len();
        let trailer_len = 4 + tag_len + self.mki_len();
        let end = packet.len().checked_sub(trailer_len).ok_or(Failure::Malformed)?;
        if end < CONTROL_HEADER || packet[0] >> 6 != 2 {
            return Err(Failure::Malformed);
        }
        // RFC 3711 §3.4: index, name, tag; RFC 7714 §9.2: tag, index, name.
        let trailer = &packet[end..];
        let (word_at, name, tag_at) = if self.is_gcm() {
            (tag_len, tag_len + 4..trailer_len, 0)
        } else {
            (0, 4..trailer_len - tag_len, trailer_len - tag_len)
        };
        let word = u32_at(trailer, word_at);
        let mut tag = [0; TAG_MAX];
        let tag = &mut tag[..tag_len];
        tag.copy_from_slice(&trailer[tag_at..tag_at + tag_len]);
        self.check_name(&trailer[name])?;
        let (ssrc, index) = (u32_at(packet, 4), u64::from(word & !ENCRYPTED));
        let mut stream = self.streams.find(ssrc)?;
        stream.rtcp.check(index)?;
        self.rtcp.open_rtcp(Place { ssrc, index }, word.to_be_bytes(), packet, end, tag)?;
        stream.rtcp.note(index);
        self.streams.keep(stream);
        Ok(end)
    }

    fn is_gcm(&self) -> bool {
        self.master.suite().is_gcm()
    }

    fn mki_len(&self) -> usize {
        self.master.mki().map_or(0, |mki| usize::from(mki.len))
    }

    fn check_name(&self, name: &[u8]) -> Result<(), Failure> {
        let ours = self.master.mki().is_none_or(|mki| mki.is(name));
        if ours { Ok(()) } else { Err(Failure::Forged) }
    }
}

/// Octets of a tag at most.
const TAG_MAX: usize = 16;
