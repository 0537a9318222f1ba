//! How long packets have to wait so that those that come later than others are still in time.

use std::time::{Duration, Instant};

use super::DELAY_MAX;

/// Measures transit times and says when a place of the time line is due. Times are microseconds.
#[derive(Debug)]
pub(super) struct Delay {
    origin: Instant,
    /// Transit times of the last packets, as far as they differ: arrival less place.
    transits: [i64; WINDOW],
    /// Packets measured so far.
    count: usize,
    /// The earliest of them; what most of them need beyond it.
    earliest: i64,
    needed: i64,
    /// What is due now lies this far behind its place.
    offset: i64,
}

impl Delay {
    pub(super) fn new(origin: Instant) -> Delay {
        Delay { origin, transits: [0; WINDOW], count: 0, earliest: 0, needed: FIRST, offset: FIRST }
    }

    /// A packet of this place came. A delay that is too short for it grows at once.
    pub(super) fn arrived(&mut self, now: Instant, place: i64) {
        let transit = now.saturating_duration_since(self.origin).as_micros() as i64 - place;
        self.transits[self.count % WINDOW] = transit;
        self.count += 1;
        if self.count == 1 {
            self.earliest = transit;
            self.offset = transit + FIRST;
            return;
        }
        // Soon after the beginning and then at intervals: a scan costs as much as copying a packet.
        if self.count.is_multiple_of(if self.count < WINDOW { 8 } else { 32 }) {
            self.measure();
        }
        self.earliest = self.earliest.min(transit);
        let late = (transit - self.earliest).min(MOST);
        self.needed = self.needed.max(late);
        // A place is due by what it needs, or later when what is in use has not been lowered yet.
        self.offset = self.offset.max(self.earliest + late);
        self.bound();
    }

    /// The earliest transit of the window and what 98 of 100 packets need beyond it.
    fn measure(&mut self) {
        let known = &self.transits[..self.count.min(WINDOW)];
        let Some(earliest) = known.iter().min() else {
            return;
        };
        self.earliest = *earliest;
        let mut bins = [0_u16; BINS];
        for transit in known {
            bins[((transit - earliest) / BIN).clamp(0, BINS as i64 - 1) as usize] += 1;
        }
        let rare = known.len() / 50;
        let mut beyond = 0;
        let most = bins.iter().rposition(|count| {
            beyond += usize::from(*count);
            beyond > rare
        });
        self.needed = ((most.unwrap_or(0) as i64 + 1) * BIN).clamp(LEAST, MOST);
        // The sender's clock may be slower: everything comes later and later.
        self.offset = self.offset.max(self.earliest + LEAST);
        self.bound();
    }

    /// A path that became shorter by more than any delay: what waits leaves at once.
    fn bound(&mut self) {
        self.offset = self.offset.min(self.earliest + MOST);
    }

    /// When a place is due.
    pub(super) fn due(&self, place: i64) -> Instant {
        self.origin + Duration::from_micros((place + self.offset).max(0) as u64)
    }

    /// How much longer the delay is than it has to be.
    pub(super) fn surplus(&self) -> i64 {
        self.offset - self.earliest - self.needed
    }

    pub(super) fn lower(&mut self, by: i64) {
        self.offset -= by;
    }

    /// There is a pause: the delay becomes what it has to be.
    pub(super) fn settle(&mut self) {
        self.offset = self.earliest + self.needed;
    }

    pub(super) fn current(&self) -> Duration {
        Duration::from_micros((self.offset - self.earliest).max(0) as u64)
    }
}

/// Packets that are remembered: five seconds of 20 ms packets.
const WINDOW: usize = 256;
/// Jitter is told apart by this much.
const BIN: i64 = 2_500;
const BINS: usize = (MOST / BIN) as usize;
/// Delay before anything is known, at least and at most.
const FIRST: i64 = 20_000;
const LEAST: i64 = 5_000;
const MOST: i64 = DELAY_MAX.as_micros() as i64;
