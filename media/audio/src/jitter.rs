//! Packets of one stream put in order and in time, for those who decode them.
//!
//! One store, two faces. A mixer works by the clock: [`Jitter::pull`] gives what is due, and the delay
//! follows the jitter that was measured. A transcoding relay works by the packet: [`Jitter::next`] hands
//! on at once whatever is in order and holds only what came after a gap, for as long as packets of this
//! stream have been seen to overtake each other. A stream is read by one of them.
//!
//! A loss is a gap in sequence numbers that timestamps confirm: numbers used up by key presses are none
//! (they have no time of their own), and neither is silence that was not sent (RFC 3551 §4.1), where
//! timestamps jump and numbers do not. Another SSRC, numbers or timestamps from nowhere begin anew,
//! without a pause.
//!
//! All memory is taken at the beginning. Instants are arguments.

mod delay;

use std::time::{Duration, Instant};

use delay::Delay;

/// Packets that wait at most: 640 ms of 20 ms packets.
pub const SLOTS: usize = 32;
/// Octets of a payload at most: what fits a datagram of Ethernet's size.
pub const PAYLOAD_MAX: usize = 1_472;
/// Longest delay that jitter is given, and longest wait for what was overtaken.
pub const DELAY_MAX: Duration = Duration::from_millis(200);
/// Longest time that [`Jitter::next`] holds what came after a gap.
pub const HOLD_MAX: Duration = Duration::from_millis(60);

/// What an RTP header says of its packet's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// Whose stream.
    pub ssrc: u32,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp, units of the stream's clock.
    pub timestamp: u32,
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next<'a> {
    /// A packet.
    Frame {
        /// Its timestamp as it came.
        timestamp: u32,
        /// Its payload.
        payload: &'a [u8],
    },
    /// A packet is lost that was this long, in units of the clock; the payload after it, if it is
    /// there, may help to conceal it.
    Lost {
        /// Length of the gap.
        units: u32,
        /// What came right after the lost packet.
        next: Option<&'a [u8]>,
    },
    /// Nothing yet.
    Wait,
}

/// What became of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// It waits to be given out.
    Kept,
    /// It is there already.
    Duplicate,
    /// Its place has passed.
    Late,
    /// It begins a stream anew: what waited is gone.
    Restarted,
    /// It is too long, or its number is from nowhere: the next one must confirm it.
    Refused,
}

/// What happened so far.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Figures {
    /// Packets that were said to be lost.
    pub lost: u64,
    /// Packets that came after their place had passed.
    pub late: u64,
    /// Copies.
    pub duplicates: u64,
    /// Packets that came after a later one and in time.
    pub reordered: u64,
    /// Packets left out to lower the delay, or because a stream began anew.
    pub discarded: u64,
    /// Times that a stream began anew.
    pub restarts: u64,
}

/// The buffer of one stream.
#[derive(Debug)]
pub struct Jitter {
    clock: u32,
    slots: Vec<Slot>,
    stream: Option<Stream>,
    delay: Delay,
    /// How long a gap is held.
    hold: Duration,
    /// The next packet begins a stream anew, whatever its numbers.
    afresh: bool,
    /// When packets last overtook each other, or the hold was last lowered.
    overtaken: Option<Instant>,
    figures: Figures,
}

#[derive(Debug)]
struct Slot {
    used: bool,
    sequence: u16,
    timestamp: u32,
    /// Place on the time line, which has no jumps and does not wrap.
    units: i64,
    arrival: Instant,
    length: usize,
    payload: Box<[u8]>,
}

/// Where a stream stands.
#[derive(Clone, Copy, Debug)]
struct Stream {
    ssrc: u32,
    /// The number that is given out next, and where it is expected on the time line.
    next: u16,
    due: i64,
    /// The newest packet that came.
    newest: Stamp,
    newest_units: i64,
    newest_arrival: Instant,
    /// Length of a packet, by the last two that followed each other.
    length: i64,
    /// A number from nowhere; the one after it begins anew (RFC 3550 appendix A.1).
    strange: Option<u16>,
}

impl Jitter {
    /// A buffer for a stream whose timestamps count `clock` units a second. `now` is any instant
    /// before the first packet's.
    #[must_use]
    pub fn new(clock: u32, now: Instant) -> Jitter {
        let slot = || Slot {
            used: false,
            sequence: 0,
            timestamp: 0,
            units: 0,
            arrival: now,
            length: 0,
            payload: vec![0; PAYLOAD_MAX].into(),
        };
        Jitter {
            clock: clock.max(1),
            slots: (0..SLOTS).map(|_| slot()).collect(),
            stream: None,
            delay: Delay::new(now),
            hold: HOLD_FIRST,
            afresh: false,
            overtaken: None,
            figures: Figures::default(),
        }
    }

    /// Takes a packet that came at `now`.
    pub fn push(&mut self, now: Instant, stamp: Stamp, payload: &[u8]) -> Taken {
        if payload.len() > PAYLOAD_MAX {
            return Taken::Refused;
        }
        let Some(stream) = self.stream else {
            self.begin(now, stamp, 0);
            self.keep(now, stamp, 0, payload);
            return Taken::Kept;
        };
        if std::mem::take(&mut self.afresh) || stream.ssrc != stamp.ssrc {
            return self.restart(now, stamp, payload);
        }
        let ahead = i32::from(stamp.sequence.wrapping_sub(stream.next) as i16);
        if ahead >= SLOTS as i32 && ahead < DROPOUT {
            return self.restart(now, stamp, payload);
        }
        if !(-MISORDER..DROPOUT).contains(&ahead) {
            if stream.strange == Some(stamp.sequence) {
                return self.restart(now, stamp, payload);
            }
            self.with(|stream| stream.strange = Some(stamp.sequence.wrapping_add(1)));
            return Taken::Refused;
        }
        self.with(|stream| stream.strange = None);
        let units = self.place(now, stamp);
        let newer = stamp.sequence.wrapping_sub(stream.newest.sequence) as i16;
        if newer < 0 {
            self.overtook(now, stamp.sequence);
        }
        if ahead < 0 {
            self.figures.late += 1;
            return Taken::Late;
        }
        let slot = &self.slots[index(stamp.sequence)];
        if slot.used && slot.sequence == stamp.sequence {
            self.figures.duplicates += 1;
            return Taken::Duplicate;
        }
        if newer < 0 {
            self.figures.reordered += 1;
        }
        self.keep(now, stamp, units, payload);
        Taken::Kept
    }

    /// Whether a packet goes on with the stream that is there. One that does not begins it anew, and what
    /// waits is gone: who wants it reads it first.
    #[must_use]
    pub fn goes_on(&self, stamp: Stamp) -> bool {
        self.stream.is_none_or(|stream| {
            let ahead = i32::from(stamp.sequence.wrapping_sub(stream.next) as i16);
            !self.afresh && stream.ssrc == stamp.ssrc && (-MISORDER..SLOTS as i32).contains(&ahead)
        })
    }

    /// By the packet: what is in order, at once. After [`Next::Wait`] there may be something by
    /// [`Jitter::deadline`].
    pub fn next(&mut self, now: Instant) -> Next<'_> {
        let Some(stream) = self.stream else {
            return Next::Wait;
        };
        if let Some(slot) = self.slot(stream.next) {
            return self.give(slot);
        }
        let Some((gap, slot)) = self.after_gap(&stream) else {
            return Next::Wait;
        };
        if now < self.slots[slot].arrival + self.hold {
            return Next::Wait;
        }
        self.lose(gap, slot)
    }

    /// When [`Jitter::next`] gives up what is missing. `None` while nothing is.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let stream = self.stream?;
        if self.slot(stream.next).is_some() {
            return None;
        }
        let (_, slot) = self.after_gap(&stream)?;
        Some(self.slots[slot].arrival + self.hold)
    }

    /// By the clock: what is due. Asked again until it says [`Next::Wait`].
    pub fn pull(&mut self, now: Instant) -> Next<'_> {
        let Some(stream) = self.stream else {
            return Next::Wait;
        };
        if let Some(slot) = self.slot(stream.next) {
            let units = self.slots[slot].units;
            if stream.due < units {
                // Silence that was not sent may be made shorter or longer by nobody's notice.
                self.delay.settle();
            }
            if now < self.delay.due(self.time(units)) {
                return Next::Wait;
            }
            return self.give(slot);
        }
        let Some((gap, slot)) = self.after_gap(&stream) else {
            return Next::Wait;
        };
        if now < self.delay.due(self.time(stream.due)) {
            return Next::Wait;
        }
        self.lose(gap, slot)
    }

    /// What was given out last was silence, so the next packet may be left out if the delay is more
    /// than is needed. Says whether one was.
    pub fn quiet(&mut self) -> bool {
        let Some(stream) = self.stream else {
            return false;
        };
        let length = self.time(stream.length);
        let Some(slot) = self.slot(stream.next) else {
            return false;
        };
        if length == 0 || self.delay.surplus() < length {
            return false;
        }
        self.delay.lower(length);
        let _ = self.give(slot);
        self.figures.discarded += 1;
        true
    }

    /// The next packet has nothing to do with the last: it begins the stream anew.
    pub fn begin_anew(&mut self) {
        self.afresh = true;
    }

    /// Nobody wants what waits, and the next packet begins the stream anew.
    pub fn clear(&mut self) {
        self.discard();
        self.afresh = true;
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.iter().all(|slot| !slot.used)
    }

    /// How long [`Jitter::pull`] lets packets wait that came as early as any.
    #[must_use]
    pub fn delay(&self) -> Duration {
        self.delay.current()
    }

    /// How long [`Jitter::next`] holds what came after a gap.
    #[must_use]
    pub fn hold(&self) -> Duration {
        self.hold
    }

    /// What happened so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.figures
    }

    /// A stream begins: with this packet, at this place of the time line.
    fn begin(&mut self, now: Instant, stamp: Stamp, units: i64) {
        let length = self.stream.map_or(0, |stream| stream.length);
        self.stream = Some(Stream {
            ssrc: stamp.ssrc,
            next: stamp.sequence,
            due: units,
            newest: stamp,
            newest_units: units,
            newest_arrival: now,
            length,
            strange: None,
        });
    }

    /// Another stream, or this one after a jump: it goes on where the time line is by the clock.
    fn restart(&mut self, now: Instant, stamp: Stamp, payload: &[u8]) -> Taken {
        self.figures.restarts += 1;
        self.discard();
        let units = self.stream.map_or(0, |stream| {
            let since = now.saturating_duration_since(stream.newest_arrival);
            stream.newest_units + self.units(since).max(stream.length)
        });
        self.begin(now, stamp, units);
        self.keep(now, stamp, units, payload);
        Taken::Restarted
    }

    fn discard(&mut self) {
        for slot in &mut self.slots {
            self.figures.discarded += u64::from(slot.used);
            slot.used = false;
        }
    }

    /// The packet's place on the time line, and what its arrival says of the network.
    fn place(&mut self, now: Instant, stamp: Stamp) -> i64 {
        let Some(stream) = self.stream else { return 0 };
        let step = i64::from(stamp.timestamp.wrapping_sub(stream.newest.timestamp) as i32);
        let newer = stamp.sequence.wrapping_sub(stream.newest.sequence) as i16;
        let since = self.units(now.saturating_duration_since(stream.newest_arrival));
        let second = i64::from(self.clock);
        // Timestamps from nowhere: the time line goes on by the clock.
        let jumped = newer > 0 && step.abs() > second && (step - since).abs() > second;
        let step = if jumped || (newer > 0 && step < 0) { since.max(stream.length) } else { step };
        let units = stream.newest_units + step;
        if newer > 0 {
            let length = if newer == 1 && (1..=second / 5).contains(&step) && !jumped {
                step
            } else {
                stream.length
            };
            self.with(|stream| {
                stream.newest = stamp;
                stream.newest_units = units;
                stream.newest_arrival = now;
                stream.length = length;
            });
        }
        units
    }

    fn keep(&mut self, now: Instant, stamp: Stamp, units: i64, payload: &[u8]) {
        let time = self.time(units);
        self.delay.arrived(now, time);
        let slot = &mut self.slots[index(stamp.sequence)];
        slot.used = true;
        slot.sequence = stamp.sequence;
        slot.timestamp = stamp.timestamp;
        slot.units = units;
        slot.arrival = now;
        slot.length = payload.len();
        slot.payload[..payload.len()].copy_from_slice(payload);
    }

    /// A packet came after a later one: gaps are held that long and a quarter more from now on, and
    /// less again when it has not happened for a while.
    fn overtook(&mut self, now: Instant, sequence: u16) {
        let first_after = (self.slots.iter())
            .filter(|slot| (slot.sequence.wrapping_sub(sequence) as i16) > 0)
            .filter(|slot| slot.used || slot.length > 0)
            .map(|slot| slot.arrival)
            .min();
        let Some(first_after) = first_after else {
            return;
        };
        let late = now.saturating_duration_since(first_after);
        if late <= HOLD_MAX {
            self.hold = self.hold.max(late * 5 / 4).min(HOLD_MAX);
            self.overtaken = Some(now);
        }
    }

    fn slot(&self, sequence: u16) -> Option<usize> {
        let index = index(sequence);
        let slot = &self.slots[index];
        (slot.used && slot.sequence == sequence).then_some(index)
    }

    /// The first packet after the gap that `next` stands before, and how many are missing.
    fn after_gap(&self, stream: &Stream) -> Option<(u16, usize)> {
        (1..SLOTS as u16)
            .find_map(|gap| self.slot(stream.next.wrapping_add(gap)).map(|slot| (gap, slot)))
    }

    fn give(&mut self, index: usize) -> Next<'_> {
        let (sequence, units) = (self.slots[index].sequence, self.slots[index].units);
        let arrival = self.slots[index].arrival;
        self.with(|stream| {
            stream.next = sequence.wrapping_add(1);
            stream.due = units + stream.length;
        });
        let since = *self.overtaken.get_or_insert(arrival);
        if arrival.saturating_duration_since(since) > HOLD_KEPT {
            self.hold = (self.hold * 3 / 4).max(HOLD_LEAST);
            self.overtaken = Some(arrival);
        }
        let slot = &mut self.slots[index];
        slot.used = false;
        Next::Frame { timestamp: slot.timestamp, payload: &slot.payload[..slot.length] }
    }

    /// Gives up the packets before the one in `index`: as much time as is missing, one packet at once.
    fn lose(&mut self, gap: u16, index: usize) -> Next<'_> {
        let Some(mut stream) = self.stream else {
            return Next::Wait;
        };
        let mut missing = self.slots[index].units - stream.due;
        if stream.length == 0 {
            // No two packets followed each other yet: the last one was as long as the missing ones.
            stream.length = missing / (i64::from(gap) + 1);
            stream.due += stream.length;
            missing -= stream.length;
            self.stream = Some(stream);
        }
        let length = stream.length;
        if missing <= 0 || length <= 0 {
            // The numbers had no time of their own.
            self.with(|stream| stream.next = stream.next.wrapping_add(gap));
            return self.give(index);
        }
        // The last one lost may have been shorter, or longer by silence that was not sent.
        let units = if gap == 1 && missing < 2 * length { missing } else { missing.min(length) };
        self.figures.lost += 1;
        self.with(|stream| {
            stream.next = stream.next.wrapping_add(1);
            stream.due += units;
        });
        let slot = &self.slots[index];
        let next = (gap == 1).then_some(&slot.payload[..slot.length]);
        Next::Lost { units: units as u32, next }
    }

    fn with(&mut self, change: impl FnOnce(&mut Stream)) {
        if let Some(stream) = &mut self.stream {
            change(stream);
        }
    }

    /// Microseconds of so many units.
    fn time(&self, units: i64) -> i64 {
        units.saturating_mul(1_000_000) / i64::from(self.clock)
    }

    fn units(&self, time: Duration) -> i64 {
        (time.as_micros().min(1 << 40) as i64) * i64::from(self.clock) / 1_000_000
    }
}

fn index(sequence: u16) -> usize {
    usize::from(sequence) % SLOTS
}

/// RFC 3550 appendix A.1: a jump forward that is still the same stream, and one backward.
const DROPOUT: i32 = 3_000;
const MISORDER: i32 = 100;
/// How long a gap is held before anything is known, and at least.
const HOLD_FIRST: Duration = Duration::from_millis(20);
const HOLD_LEAST: Duration = Duration::from_millis(10);
/// After this long without overtaking the hold falls by a quarter.
const HOLD_KEPT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
