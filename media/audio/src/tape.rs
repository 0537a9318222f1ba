//! Two channels on one wall clock: where in time each received packet belongs in a recording.
//!
//! A packet's place follows its RTP timestamp; the timestamps of each channel are anchored to the
//! arrival clock by the packets that came through fastest. So jitter and reordering leave no trace, a
//! lost packet leaves silence of its own length, a sender's clock that runs fast or slow is corrected
//! sample by sample, and a jump of the timestamp (a new source, a renegotiation) starts a new anchor.
//! The length of the recording is the length of the call, whatever arrived.
//!
//! What is older than [`HORIZON`] is given out by [`Tape::render`]; a packet that comes later than
//! that is too late.

use std::time::{Duration, Instant};

mod channels;
mod track;

pub use channels::{Channels, sum};
pub use track::Counts;
use track::Track;

/// How long the tape waits for a packet that is late.
pub const HORIZON: Duration = Duration::from_millis(200);

/// The most samples of a channel that one call gives out: a second.
pub const MAX_STEP: usize = crate::RATE as usize;

/// One of the two channels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Side {
    /// Leg A.
    Left,
    /// Leg B.
    Right,
}

/// When a packet came and what its header said (RFC 3550 §5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// When it arrived.
    pub arrival: Instant,
    /// RTP timestamp, in samples.
    pub timestamp: u32,
}

/// The timeline of one recording.
#[derive(Clone, Debug)]
pub struct Tape {
    start: Instant,
    rendered: u64,
    left: Track,
    right: Track,
}

impl Tape {
    /// A tape whose first sample is heard at `start`.
    #[must_use]
    pub fn new(start: Instant) -> Tape {
        Tape { start, rendered: 0, left: Track::new(), right: Track::new() }
    }

    /// Lays a packet's samples where they belong.
    pub fn put(&mut self, side: Side, stamp: Stamp, samples: &[i16]) {
        let arrival = self.position(stamp.arrival);
        let track = match side {
            Side::Left => &mut self.left,
            Side::Right => &mut self.right,
        };
        track.put(arrival, stamp.timestamp, samples);
    }

    /// Appends to `left` and `right` what became final by `now`: what is older than [`HORIZON`], at most
    /// [`MAX_STEP`] samples of it. Returns how many; call again until there are none.
    pub fn render(&mut self, now: Instant, left: &mut Vec<i16>, right: &mut Vec<i16>) -> usize {
        match now.checked_sub(HORIZON) {
            Some(until) => self.give(self.position(until), left, right),
            None => 0,
        }
    }

    /// Appends the rest up to the end of the recording, in the same way.
    pub fn finish(&mut self, end: Instant, left: &mut Vec<i16>, right: &mut Vec<i16>) -> usize {
        self.give(self.position(end), left, right)
    }

    /// Samples of each channel given out so far.
    #[must_use]
    pub fn rendered(&self) -> u64 {
        self.rendered
    }

    /// What the channels saw.
    #[must_use]
    pub fn counts(&self) -> [Counts; 2] {
        [self.left.counts(), self.right.counts()]
    }

    fn give(&mut self, until: u64, left: &mut Vec<i16>, right: &mut Vec<i16>) -> usize {
        let until = until.min(self.rendered + MAX_STEP as u64);
        let count = until.saturating_sub(self.rendered);
        self.left.give(self.rendered + count, left);
        self.right.give(self.rendered + count, right);
        self.rendered += count;
        count as usize
    }

    fn position(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start);
        u64::try_from(since.as_nanos() / NANOS_PER_SAMPLE).unwrap_or(u64::MAX)
    }
}

const NANOS_PER_SAMPLE: u128 = 1_000_000_000 / crate::RATE as u128;

#[cfg(test)]
mod tests;
