//! The outgoing stream of a leg: one SSRC for life, one owner at a time, sequence and timestamp
//! without a break when the owner changes.
//!
//! A relayed stream keeps its own rhythm: what was missing upstream is missing downstream, and what
//! came out of order goes on out of order. Only where it begins in our numbering is ours to say.
//!
//! A stream that is decoded and coded anew was put in order before and has numbers of its own: what was missing is made up for by
//! whoever decodes ([`Recode::lost`]), what comes too late for that is not sent, and a pause stays a
//! pause.

use std::time::Instant;

use crate::coding::Coding;
use crate::event::{self, Press};
use crate::leg::Refusal;
use crate::packet::{Header, Stamp};
use crate::rtcp::SenderInfo;
use crate::wire::{ahead16, ahead32, units};

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
    /// Timestamp units a second of the newest packet.
    clock: u32,
    sent_at: Option<Instant>,
    /// Where the relayed stream is fastened to ours.
    anchor: Option<Anchor>,
    /// What came of the stream that is coded anew.
    line: Option<Line>,
    /// The telephone-event that is told in another clock.
    press: Option<Press>,
    /// The next generated packet starts a talkspurt.
    spurt: bool,
    packets: u64,
    octets: u64,
}

#[derive(Clone, Copy, Debug)]
struct Anchor {
    ssrc: u32,
    highest: u16,
    /// Numbers that the stream has had since it was fastened, or closed up: what is further behind is not
    /// sent.
    used: u32,
    sequence_offset: u16,
    timestamp_offset: u32,
    newest: u32,
    clock: u32,
}

/// A relayed stream that is decoded and coded anew: where it stands.
#[derive(Clone, Copy, Debug)]
struct Line {
    ssrc: u32,
    coding: Coding,
    highest: u16,
    /// Timestamp that follows the newest sound.
    next: u32,
}

/// Sound that is to be decoded and coded anew before it goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recode {
    /// What it is in.
    pub from: Coding,
    /// What the listener takes.
    pub to: Coding,
    /// Timestamp units of `from` that were lost before it, and are to be made up for.
    pub lost: u32,
    /// Another source than before, or its numbers begin anew: what was decoded is of no use for it. After a
    /// pause of the same one the decoder goes on.
    pub fresh: bool,
}

/// How a relayed packet leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sent {
    /// The payload type to send with.
    pub payload_type: u8,
    /// Its timestamp units a second.
    pub clock: u32,
    /// Its length in those units.
    pub span: u32,
}

/// A jump of more than this fastens the relayed stream anew.
const JUMP_MAX: u16 = crate::reception::MAX_DROPOUT;
/// A timestamp that strays this far (seconds) from the sequence fastens the relayed stream anew.
const STRAY_MAX_S: u32 = 10;
/// A gap of more than this many hundredths of a second is a pause and not made up for: concealment has
/// faded to silence by then.
const LOST_MAX_CS: u32 = 10;

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
            clock: 8_000,
            sent_at: None,
            anchor: None,
            line: None,
            press: None,
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
        (self.anchor, self.line, self.press) = (None, None, None);
        self.spurt = true;
    }

    /// Timestamp units a second of what was sent last, or is about to be; `None` before the first.
    #[must_use]
    pub fn clock_hz(&self) -> Option<u32> {
        self.sent_at.map(|_| self.clock)
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

    /// Numbers a relayed packet.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotOwner`] unless the relay owns the stream; [`Refusal::Late`] for a packet from
    /// before the stream was fastened, whose number somebody else has used.
    pub fn relay(&mut self, now: Instant, header: &Header, sent: Sent) -> Result<Stamp, Refusal> {
        if self.owner != Owner::Relay {
            return Err(Refusal::NotOwner);
        }
        let (mut anchor, fresh) = match self.anchor {
            Some(anchor) if anchor.holds(header, sent.clock) => (anchor, false),
            _ => (self.fasten(now, header, sent.clock), true),
        };
        let sequence = header.sequence.wrapping_add(anchor.sequence_offset);
        let timestamp = header.timestamp.wrapping_add(anchor.timestamp_offset);
        let ahead = ahead16(anchor.highest, header.sequence);
        if !fresh && anchor.is_late(ahead) {
            return Err(Refusal::Late);
        }
        if fresh || ahead > 0 {
            anchor.used = anchor.used.saturating_add(u32::from(ahead.unsigned_abs()));
            anchor.highest = header.sequence;
            anchor.newest = header.timestamp;
            self.sequence = sequence.wrapping_add(1);
            self.timestamp = timestamp;
            self.span = sent.span;
            self.clock = sent.clock;
            self.sent_at = Some(now);
        }
        self.anchor = Some(anchor);
        self.line = None;
        self.count(header.payload.len());
        Ok(Stamp {
            payload_type: sent.payload_type,
            marker: header.marker || fresh,
            sequence,
            timestamp,
            ssrc: self.ssrc,
        })
    }

    /// A telephone-event that was relayed: `payload` is told in the clock that it leaves with.
    ///
    /// # Errors
    ///
    /// As [`Egress::relay`]; [`Refusal::Malformed`] for what is no event.
    pub fn relay_event(
        &mut self,
        now: Instant,
        header: &Header,
        (payload_type, from, to): (u8, u32, u32),
        payload: &mut [u8],
    ) -> Result<Stamp, Refusal> {
        let beside = self.anchor.as_ref().is_none_or(|anchor| anchor.clock == to);
        if from == to && beside && self.line.is_none() {
            return self.relay(now, header, Sent { payload_type, clock: to, span: 0 });
        }
        if self.owner != Owner::Relay {
            return Err(Refusal::NotOwner);
        }
        let (source, start) = ((header.ssrc, header.timestamp), self.after_pause(now, self.clock));
        let Some(placed) = event::place(&mut self.press, source, (from, to), start, payload) else {
            self.skip(header);
            return Err(Refusal::Late);
        };
        let sequence = self.beside(header).ok_or(Refusal::Late)?;
        self.count(header.payload.len());
        let (ssrc, timestamp) = (self.ssrc, placed.timestamp);
        Ok(Stamp { payload_type, marker: placed.first, sequence, timestamp, ssrc })
    }

    /// Comfort noise that was relayed: beside sound that is coded anew it stands where that stands.
    ///
    /// # Errors
    ///
    /// As [`Egress::relay`]; [`Refusal::NoNoise`] beside sound of another clock than 8000 Hz.
    pub fn relay_noise(
        &mut self,
        now: Instant,
        header: &Header,
        payload_type: u8,
    ) -> Result<Stamp, Refusal> {
        const CLOCK: u32 = 8_000;
        if self.clock != CLOCK {
            return Err(Refusal::NoNoise);
        }
        if self.line.is_none() {
            return self.relay(now, header, Sent { payload_type, clock: CLOCK, span: 0 });
        }
        let timestamp = self.after_pause(now, CLOCK);
        let sequence = self.beside(header).ok_or(Refusal::Late)?;
        self.count(header.payload.len());
        Ok(Stamp { payload_type, marker: false, sequence, timestamp, ssrc: self.ssrc })
    }

    /// The number of a packet that is no sound, beside sound whose timestamps say nothing of its own.
    fn beside(&mut self, header: &Header) -> Option<u16> {
        if let Some(anchor) = self.anchor.filter(|anchor| anchor.ssrc == header.ssrc) {
            let ahead = ahead16(anchor.highest, header.sequence);
            let sequence = header.sequence.wrapping_add(anchor.sequence_offset);
            if ahead > 0 {
                let used = anchor.used.saturating_add(u32::from(ahead.unsigned_abs()));
                self.anchor = Some(Anchor { highest: header.sequence, used, ..anchor });
                self.sequence = sequence.wrapping_add(1);
            } else if anchor.is_late(ahead) {
                return None;
            }
            return Some(sequence);
        }
        self.skip(header);
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        Some(sequence)
    }

    /// Sound that has to be coded anew before it goes on: what was lost before it.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotOwner`] unless the relay owns the stream; [`Refusal::Late`] for what came before,
    /// or was made up for.
    pub fn line(
        &mut self,
        header: &Header,
        (from, to): (Coding, Coding),
        span: u32,
    ) -> Result<Recode, Refusal> {
        if self.owner != Owner::Relay {
            return Err(Refusal::NotOwner);
        }
        let clock = from.clock_hz();
        let ahead = self.line.map(|line| line.ahead(header, from));
        let (fresh, pause, lost) = match (self.line, ahead) {
            (Some(line), Some(Some(ahead))) => {
                let Some(missing) = ahead.checked_sub(1).filter(|_| ahead > 0) else {
                    return Err(Refusal::Late);
                };
                let gap = ahead32(line.next, header.timestamp);
                let gap = u32::try_from(gap).unwrap_or(0);
                let pause = gap > clock / 100 * LOST_MAX_CS || (missing == 0 && gap > span / 2);
                (false, pause, if pause || missing == 0 { 0 } else { gap })
            }
            _ => (true, false, 0),
        };
        let next = header.timestamp.wrapping_add(span);
        self.line = Some(Line { ssrc: header.ssrc, coding: from, highest: header.sequence, next });
        self.anchor = None;
        self.spurt |= fresh || pause;
        Ok(Recode { from, to, lost, fresh })
    }

    /// What was relayed last was coded anew.
    #[must_use]
    pub fn recodes(&self) -> bool {
        self.line.is_some()
    }

    /// A relayed packet is not passed on though it was not lost: the numbers close up behind it. What was
    /// sent before it and comes after it would take a number that is used: it is late.
    pub fn skip(&mut self, header: &Header) {
        if let Some(anchor) = &mut self.anchor
            && anchor.ssrc == header.ssrc
            && header.sequence == anchor.highest.wrapping_add(1)
        {
            (anchor.highest, anchor.used) = (header.sequence, 0);
            anchor.sequence_offset = anchor.sequence_offset.wrapping_sub(1);
        }
        if let Some(line) = &mut self.line
            && line.ssrc == header.ssrc
            && header.sequence == line.highest.wrapping_add(1)
        {
            line.highest = header.sequence;
        }
    }

    /// Numbers a packet of `octets` that was generated, or coded anew.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotOwner`] unless the generator owns the stream, or the relay, which codes it anew.
    pub fn generate(&mut self, now: Instant, sent: Sent, octets: usize) -> Result<Stamp, Refusal> {
        let recodes = self.owner == Owner::Relay && self.line.is_some();
        if self.owner != Owner::Generator && !recodes {
            return Err(Refusal::NotOwner);
        }
        Ok(self.append(now, sent, octets))
    }

    /// Numbers a packet of a key of ours: `duration` is how long it has lasted, in units of `clock`. All of one key
    /// have the timestamp of the `first` (RFC 4733 §2.5.1.2), and what follows begins after it.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotOwner`] unless the generator owns the stream.
    pub fn press(
        &mut self,
        now: Instant,
        (payload_type, clock): (u8, u32),
        (duration, first): (u32, bool),
        octets: usize,
    ) -> Result<Stamp, Refusal> {
        if self.owner != Owner::Generator {
            return Err(Refusal::NotOwner);
        }
        if first {
            self.timestamp = self.after_pause(now, clock);
            // The clock counts on from where the key began.
            (self.sent_at, self.clock) = (Some(now), clock);
        }
        (self.span, self.spurt) = (duration, true);
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        self.count(octets);
        Ok(Stamp {
            payload_type,
            marker: first,
            sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
        })
    }

    /// The next packet of our own making.
    fn append(&mut self, now: Instant, sent: Sent, octets: usize) -> Stamp {
        let Sent { payload_type, clock, span } = sent;
        let marker = std::mem::take(&mut self.spurt);
        self.timestamp = if marker || clock != self.clock {
            self.after_pause(now, clock)
        } else {
            self.timestamp.wrapping_add(self.span)
        };
        (self.span, self.clock) = (span, clock);
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        self.sent_at = Some(now);
        self.count(octets);
        Stamp { payload_type, marker, sequence, timestamp: self.timestamp, ssrc: self.ssrc }
    }

    /// The sender's part of a report (RFC 3550 §6.4.1): `None` when nothing was ever sent.
    #[must_use]
    pub fn sender_info(&self, now: Instant, ntp: u64) -> Option<SenderInfo> {
        let sent_at = self.sent_at?;
        let since = units(now.saturating_duration_since(sent_at), self.clock);
        Some(SenderInfo {
            ntp,
            timestamp: self.timestamp.wrapping_add((since & u64::from(u32::MAX)) as u32),
            packets: (self.packets & u64::from(u32::MAX)) as u32,
            octets: (self.octets & u64::from(u32::MAX)) as u32,
        })
    }

    fn count(&mut self, octets: usize) {
        self.packets += 1;
        self.octets += octets as u64;
    }

    /// The timestamp of a packet that follows a pause: time went on meanwhile (RFC 3550 §5.1), and
    /// the last packet's sound has to end first. One of another clock goes on from the same number
    /// (RFC 7160 §4.1).
    fn after_pause(&self, now: Instant, clock: u32) -> u32 {
        let Some(sent_at) = self.sent_at else { return self.timestamp };
        let since = units(now.saturating_duration_since(sent_at), clock);
        let span = u64::from(self.span) * u64::from(clock) / u64::from(self.clock);
        self.timestamp.wrapping_add((since.max(span) & u64::from(u32::MAX)) as u32)
    }

    fn fasten(&self, now: Instant, header: &Header, clock: u32) -> Anchor {
        Anchor {
            ssrc: header.ssrc,
            highest: header.sequence,
            used: 1,
            sequence_offset: self.sequence.wrapping_sub(header.sequence),
            timestamp_offset: self.after_pause(now, clock).wrapping_sub(header.timestamp),
            newest: header.timestamp,
            clock,
        }
    }
}

impl Anchor {
    /// A packet this far ahead, or behind, has no number of its own in ours.
    fn is_late(&self, ahead: i16) -> bool {
        ahead <= 0 && u32::from(ahead.unsigned_abs()) >= self.used
    }

    /// The packet belongs to the stream as it was fastened.
    fn holds(&self, header: &Header, clock: u32) -> bool {
        let ahead = ahead16(self.highest, header.sequence);
        let stray = ahead32(self.newest, header.timestamp).unsigned_abs();
        // Upstream may pause for long between talkspurts, but then its marker says so.
        self.ssrc == header.ssrc
            && self.clock == clock
            && ahead.unsigned_abs() < JUMP_MAX
            && (stray < STRAY_MAX_S * clock || header.marker || ahead < 0)
    }
}

impl Line {
    /// How far a packet lies ahead of the newest one; `None` when it belongs to another stream.
    fn ahead(&self, header: &Header, coding: Coding) -> Option<i32> {
        let ahead = ahead16(self.highest, header.sequence);
        let same =
            self.ssrc == header.ssrc && self.coding == coding && ahead.unsigned_abs() < JUMP_MAX;
        same.then_some(i32::from(ahead))
    }
}

#[cfg(test)]
mod tests;
