//! Opus in Ogg (RFC 7845, RFC 3533) for recordings: each page whole in itself, so that a file cut anywhere plays
//! up to the cut.
//!
//! Two sides are two streams of one channel each in one file (channel mapping family 1 without coupling,
//! RFC 7845 §5.1.1): no side takes bits from the other, and none is heard on the other's channel.
//!
//! Not here: files (see `media`), and where in time a sample belongs (see [`crate::tape`]).

use crate::codec::{CodecError, OCTETS_MAX};
use crate::tape::{Channels, sum};
use crate::{FRAME, RATE, codec};

mod page;

pub use page::Pages;
use page::{BEGINS, ENDS, head, write};

/// Samples at 48 kHz at the start of what is decoded that are not sound (RFC 7845 §4.2): 6.5 ms. A file of an earlier
/// release says the same, so that one that a crash left can be ended by this one.
pub const PRE_SKIP: u64 = 312;
/// Of that what the coder looks ahead; the rest is silence that goes before the sound.
const LOOKAHEAD: u64 = 120;
/// That silence in samples at 8 kHz.
const LEAD: usize = ((PRE_SKIP - LOOKAHEAD) / RATIO) as usize;
/// Samples at 48 kHz of one packet.
const PACKET: u64 = 960;
/// Samples at 48 kHz for each at 8 kHz.
const RATIO: u64 = 48_000 / RATE as u64;
/// Packets of one page at most: a second. With both sides in it that is 100 of its 255 segments, or 200 where each
/// packet takes two.
const PACKETS_MAX: usize = 50;

/// One recording being coded: 8 kHz samples in, whole pages out.
#[derive(Debug)]
pub struct Encoder {
    channels: Channels,
    /// One for each channel.
    coders: Vec<codec::Encoder>,
    /// Samples of each side that do not make a packet yet.
    waiting: [Vec<i16>; 2],
    /// Packets that do not make a page yet, and their lengths.
    body: Vec<u8>,
    lengths: Vec<usize>,
    pages: Pages,
    samples: u64,
    finished: bool,
}

impl Encoder {
    /// A fresh encoder. What it gives belongs behind [`open`].
    ///
    /// # Errors
    ///
    /// When the coder cannot be set up.
    pub fn new(channels: Channels) -> Result<Encoder, CodecError> {
        let coder = |_| codec::Encoder::kept(RATE);
        let lead = || {
            let mut waiting = Vec::with_capacity(FRAME);
            waiting.resize(LEAD, 0);
            waiting
        };
        Ok(Encoder {
            channels,
            coders: (0..channels.count()).map(coder).collect::<Result<_, _>>()?,
            waiting: [lead(), lead()],
            body: Vec::new(),
            lengths: Vec::with_capacity(PACKETS_MAX),
            pages: Pages::behind_head(),
            samples: 0,
            finished: false,
        })
    }

    /// Samples of each side taken so far, at 8 kHz.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Takes samples of both sides (the shorter length counts) and appends the pages that became full. A file of one
    /// channel holds their sum.
    ///
    /// # Errors
    ///
    /// When the coder fails; the pages written before are good.
    pub fn encode(
        &mut self,
        left: &[i16],
        right: &[i16],
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let common = left.len().min(right.len());
        for (left, right) in left[..common].chunks(FRAME).zip(right[..common].chunks(FRAME)) {
            self.take(left, right, out)?;
            self.samples += left.len() as u64;
        }
        Ok(())
    }

    /// Appends a page of the packets that wait for one.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        if !self.lengths.is_empty() {
            self.page(0, self.pages.granule() + self.gathered() * PACKET, out);
        }
    }

    /// Appends the last page, which tells where the sound ends (RFC 7845 §4.4). Nothing may be encoded afterwards; a
    /// second call adds nothing.
    ///
    /// # Errors
    ///
    /// When the coder fails; the pages written before are good.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        if std::mem::replace(&mut self.finished, true) {
            return Ok(());
        }
        let end = PRE_SKIP + self.samples * RATIO;
        let silence = [0; FRAME];
        // What is held back, and what fills the last packet.
        while self.pages.granule() + self.gathered() * PACKET < end {
            let lacks = FRAME - self.waiting[0].len();
            self.take(&silence[..lacks], &silence[..lacks], out)?;
        }
        self.page(ENDS, end, out);
        Ok(())
    }

    /// At most one frame, which fills at most one packet.
    fn take(&mut self, left: &[i16], right: &[i16], out: &mut Vec<u8>) -> Result<(), CodecError> {
        let lacks = FRAME - self.waiting[0].len();
        let first = lacks.min(left.len());
        self.gather(&left[..first], &right[..first]);
        if self.waiting[0].len() == FRAME {
            self.packet(out)?;
        }
        self.gather(&left[first..], &right[first..]);
        Ok(())
    }

    fn gather(&mut self, left: &[i16], right: &[i16]) {
        self.waiting[0].extend_from_slice(left);
        self.waiting[1].extend_from_slice(right);
    }

    fn packet(&mut self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let mut both = [0; FRAME];
        let [left, right] = &self.waiting;
        let sides: &[&[i16]] = match self.channels {
            Channels::Mono => &[sum(left, right, &mut both)],
            Channels::Stereo => &[left, right],
        };
        let start = self.body.len();
        let mut octets = [0; OCTETS_MAX];
        for (n, (side, coder)) in sides.iter().zip(&mut self.coders).enumerate() {
            let length = coder.encode(side, &mut octets)?;
            let last = n + 1 == sides.len();
            append(&octets[..length], last, &mut self.body)?;
        }
        self.lengths.push(self.body.len() - start);
        self.waiting.iter_mut().for_each(Vec::clear);
        if self.lengths.len() == PACKETS_MAX {
            self.flush(out);
        }
        Ok(())
    }

    fn gathered(&self) -> u64 {
        self.lengths.len() as u64
    }

    fn page(&mut self, flags: u8, granule: u64, out: &mut Vec<u8>) {
        let from = out.len();
        write(flags, granule, self.pages.count(), &self.lengths, &self.body, out);
        self.pages.add(&out[from..]);
        self.body.clear();
        self.lengths.clear();
    }
}

/// Appends one stream's packet: the last one as it is, others with their length (RFC 6716 appendix B).
fn append(packet: &[u8], last: bool, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let (toc, frame) = packet.split_first().ok_or(CodecError::Frame)?;
    if last {
        out.extend_from_slice(packet);
        return Ok(());
    }
    // One frame (code 0) is what 20 ms are coded in.
    if toc & 3 != 0 {
        return Err(CodecError::Frame);
    }
    out.push(*toc);
    // RFC 6716 §3.2.1.
    if frame.len() < 252 {
        out.push(frame.len() as u8);
    } else {
        let first = 252 + (frame.len() & 3);
        out.extend([first as u8, ((frame.len() - first) / 4) as u8]);
    }
    out.extend_from_slice(frame);
    Ok(())
}

/// What a file begins with: who it is for (RFC 7845 §5.1) and who made it (§5.2), a page each.
#[must_use]
pub fn open(channels: Channels) -> Vec<u8> {
    let mut identity = b"OpusHead\x01".to_vec();
    identity.push(channels.count() as u8);
    identity.extend((PRE_SKIP as u16).to_le_bytes());
    identity.extend(RATE.to_le_bytes());
    identity.extend([0, 0]);
    match channels {
        Channels::Mono => identity.push(0),
        // Family 1: two streams, none of them a pair; the first is left.
        Channels::Stereo => identity.extend([1, 2, 0, 0, 1]),
    }
    let mut comment = b"OpusTags".to_vec();
    comment.extend((MAKER.len() as u32).to_le_bytes());
    comment.extend(MAKER);
    comment.extend(0_u32.to_le_bytes());
    let mut out = Vec::new();
    write(BEGINS, 0, 0, &[identity.len()], &identity, &mut out);
    write(0, 0, 1, &[comment.len()], &comment, &mut out);
    out
}

const MAKER: &[u8] = b"tandem";

/// The channels of a file that begins like this, if its head is one of ours.
#[must_use]
pub fn channels_of(file: &[u8]) -> Option<Channels> {
    [Channels::Mono, Channels::Stereo]
        .into_iter()
        .find(|channels| file.starts_with(&open(*channels)))
}

/// Samples of each side, at 8 kHz, that a file plays whose last page has this number.
#[must_use]
pub fn samples_at(granule: u64) -> u64 {
    granule.saturating_sub(PRE_SKIP) / RATIO
}

/// The last page of a file that was cut: so many packets of silence, and the end.
#[must_use]
pub fn silent_end(channels: Channels, pages: &Pages, packets: usize) -> Vec<u8> {
    let mut out = Vec::new();
    // A coder that can be set up once can be set up again, and silence has no lengths that it refuses.
    let Ok(mut encoder) = Encoder::new(channels) else { return out };
    encoder.pages = *pages;
    let silence = [0; FRAME];
    for _ in 0..packets.min(PACKETS_MAX - 1) {
        if encoder.take(&silence, &silence, &mut out).is_err() {
            return Vec::new();
        }
    }
    let end = pages.granule() + encoder.gathered() * PACKET;
    encoder.page(ENDS, end, &mut out);
    out
}

/// How much of these octets is whole pages of ours, the next of which is number `count`.
#[must_use]
pub fn whole_pages(pages: &Pages, octets: &[u8]) -> usize {
    let (mut pages, mut at) = (*pages, 0);
    while let Some((header, length)) = head(&octets[at..]) {
        if header.number != pages.count() || header.granule < pages.granule() {
            break;
        }
        pages.add(&octets[at..at + length]);
        at += length;
    }
    at
}

#[cfg(test)]
mod tests;
