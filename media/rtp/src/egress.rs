//! The outgoing stream of a leg: one SSRC for life, one owner at a time, sequence and timestamp
//! without a break when the owner changes.
//!
//! A relayed stream keeps its own rhythm: what was missing upstream is missing downstream, and what
//! came out of order goes on out of order. Only where it begins in our numbering is ours to say.

use std::time::{Duration, Instant};

use crate::CLOCK_HZ;
use crate::leg::Refusal;
use crate::packet::{Header, Stamp};
use crate::rtcp::SenderInfo;
use crate::wire::{ahead16, ahead32};

/// Who may send on the stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// Nobody: nothing leaves.
    Silence,
    /// Another leg's stream.
    Relay,
    /// A tone or an announcement.
    Generator,
}

/// The outgoing stream.
#[derive(Clone, Debug)]
pub struct Egress {
    ssrc: u32,
    owner: Owner,
    /// The next number that was never used.
    sequence: u16,
    /// Timestamp of the newest packet sent; before the first, where the stream will begin.
    timestamp: u32,
    /// Length of the newest packet, in timestamp units.
    span: u32,
    sent_at: Option<Instant>,
    /// Where the relayed stream is fastened to ours.
    anchor: Option<Anchor>,
    /// The next generated packet starts a talkspurt.
    spurt: bool,
    packets: u64,
    octets: u64,
}

#[derive(Clone, Copy, Debug)]
struct Anchor {
    ssrc: u32,
    highest: u16,
    /// How far the stream has come since it was fastened: what is further behind is not sent.
    span: u32,
    sequence_offset: u16,
    timestamp_offset: u32,
    newest: u32,
}

/// A jump of more than this fastens the relayed stream anew.
const JUMP_MAX: u16 = crate::reception::MAX_DROPOUT;
/// A timestamp that strays this far (10 s) from the sequence fastens the relayed stream anew.
const STRAY_MAX: u32 = 10 * CLOCK_HZ;

impl Egress {
    /// A stream that has sent nothing. The three numbers are random (RFC 3550 §5.1).
    #[must_use]
    pub fn new(ssrc: u32, sequence: u16, timestamp: u32) -> Self {
        Egress {
            ssrc,
            owner: Owner::Silence,
            sequence,
            timestamp,
            span: 0,
            sent_at: None,
            anchor: None,
            spurt: true,
            packets: 0,
            octets: 0,
        }
    }

    /// Our SSRC.
    #[must_use]
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Who owns the stream.
    #[must_use]
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// Gives the stream to another owner, or anew to the same: its next packet starts a talkspurt.
    pub fn give(&mut self, owner: Owner) {
        self.owner = owner;
        self.anchor = None;
        self.spurt = true;
    }

    /// Packets sent.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// When the last packet was sent.
    #[must_use]
    pub fn sent_at(&self) -> Option<Instant> {
        self.sent_at
    }

    /// Numbers a relayed packet. `payload_type` is the one to send with.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotOwner`] unless the relay owns the stream; [`Refusal::Late`] for a packet from
    /// before the stream was fastened, whose number somebody else has used.
    pub fn relay(
        &mut self,
        now: Instant,
        header: &Header,
        payload_type: u8,
    ) -> Result<Stamp, Refusal> {
        if self.owner != Owner::Relay {
            return Err(Refusal::NotOwner);
        }
        let (mut anchor, fresh) = match self.anchor {
            Some(anchor) if anchor.holds(header) => (anchor, false),
            _ => (self.fasten(now, header), true),
        };
        let sequence = header.sequence.wrapping_add(anchor.sequence_offset);
        let timestamp = header.timestamp.wrapping_add(anchor.timestamp_offset);
        let ahead = ahead16(anchor.highest, header.sequence);
        if ahead < 0 && u32::from(ahead.unsigned_abs()) > anchor.span {
            return Err(Refusal::Late);
        }
        if fresh || ahead > 0 {
            anchor.span = anchor.span.saturating_add(u32::from(ahead.unsigned_abs()));
            anchor.highest = header.sequence;
            anchor.newest = header.timestamp;
            self.sequence = sequence.wrapping_add(1);
            self.timestamp = timestamp;
            self.span = header.payload.len() as u32;
            self.sent_at = Some(now);
        }
        self.anchor = Some(anchor);
        self.count(header.payload.len());
        Ok(Stamp {
            payload_type,
            marker: header.marker || fresh,
            sequence,
            timestamp,
            ssrc: self.ssrc,
        })
    }

    /// A relayed packet is not passed on though it was not lost: the numbers close up behind it.
    pub fn skip(&mut self, header: &Header) {
        if let Some(anchor) = &mut self.anchor
            && anchor.ssrc == header.ssrc
            && header.sequence == anchor.highest.wrapping_add(1)
        {
            anchor.highest = header.sequence;
            anchor.sequence_offset = anchor.sequence_offset.wrapping_sub(1);
        }
    }

    /// Numbers a generated packet of `units` samples, one octet each.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotOwner`] unless the generator owns the stream.
    pub fn generate(
        &mut self,
        now: Instant,
        payload_type: u8,
        units: u16,
    ) -> Result<Stamp, Refusal> {
        if self.owner != Owner::Generator {
            return Err(Refusal::NotOwner);
        }
        let marker = std::mem::take(&mut self.spurt);
        self.timestamp =
            if marker { self.after_pause(now) } else { self.timestamp.wrapping_add(self.span) };
        self.span = u32::from(units);
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        self.sent_at = Some(now);
        self.count(usize::from(units));
        Ok(Stamp { payload_type, marker, sequence, timestamp: self.timestamp, ssrc: self.ssrc })
    }

    /// The sender's part of a report (RFC 3550 §6.4.1): `None` when nothing was ever sent.
    #[must_use]
    pub fn sender_info(&self, now: Instant, ntp: u64) -> Option<SenderInfo> {
        let sent_at = self.sent_at?;
        let since = units(now.saturating_duration_since(sent_at));
        Some(SenderInfo {
            ntp,
            timestamp: self.timestamp.wrapping_add(since),
            packets: (self.packets & u64::from(u32::MAX)) as u32,
            octets: (self.octets & u64::from(u32::MAX)) as u32,
        })
    }

    fn count(&mut self, octets: usize) {
        self.packets += 1;
        self.octets += octets as u64;
    }

    /// The timestamp of a packet that follows a pause: time went on meanwhile (RFC 3550 §5.1), and
    /// the last packet's sound has to end first.
    fn after_pause(&self, now: Instant) -> u32 {
        let Some(sent_at) = self.sent_at else { return self.timestamp };
        let since = units(now.saturating_duration_since(sent_at));
        self.timestamp.wrapping_add(since.max(self.span))
    }

    fn fasten(&self, now: Instant, header: &Header) -> Anchor {
        Anchor {
            ssrc: header.ssrc,
            highest: header.sequence,
            span: 0,
            sequence_offset: self.sequence.wrapping_sub(header.sequence),
            timestamp_offset: self.after_pause(now).wrapping_sub(header.timestamp),
            newest: header.timestamp,
        }
    }
}

impl Anchor {
    /// The packet belongs to the stream as it was fastened.
    fn holds(&self, header: &Header) -> bool {
        let ahead = ahead16(self.highest, header.sequence);
        let stray = ahead32(self.newest, header.timestamp).unsigned_abs();
        // Upstream may pause for long between talkspurts, but then its marker says so.
        self.ssrc == header.ssrc
            && ahead.unsigned_abs() < JUMP_MAX
            && (stray < STRAY_MAX || header.marker || ahead < 0)
    }
}

fn units(time: Duration) -> u32 {
    let units = time.as_micros() * u128::from(CLOCK_HZ) / 1_000_000;
    (units & u128::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests;
