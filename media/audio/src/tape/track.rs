//! One channel of a tape: a short window of samples and the anchor between RTP time and wall clock.

use super::HORIZON;
use crate::RATE;

/// What happened to the packets of a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Packets laid down, whole or in part.
    pub placed: u64,
    /// Packets that came after their time was given out.
    pub late: u64,
    /// How often timestamps were anchored anew.
    pub anchored: u64,
    /// Samples by which the sender's clock was corrected.
    pub corrected: u64,
}

/// Samples ahead of what was given out that a channel can hold: a second.
const WINDOW: usize = 8_192;

/// A timestamp this far off its arrival means another time base: 2 s.
const JUMP: i64 = 2 * RATE as i64;

/// Nothing arrives before it was sent: a packet this much too early means the anchor was late. 60 ms.
const EARLY: i64 = 480;

/// Packets after a new anchor that may still pull it to an earlier time at once.
const SETTLING: u32 = 10;

/// Packets over which the fastest one is looked for: five seconds of 20 ms packets.
const SPAN: u32 = 250;

/// Deviation that is left alone: 2 ms.
const DEAD_BAND: i64 = 16;

/// Peak below which a packet is background, in which a correction of any size goes unheard.
const QUIET: u16 = 64;

/// A gap of so few samples comes from a correction and is bridged by the last sample.
const BRIDGE: i64 = 8;

/// Packets in a row, and their spread in time (60 ms), that tell a clock that stands behind from a
/// burst after a stall.
const LATE_RUN: u32 = 4;
const LATE_SPREAD: u64 = 480;

/// How RTP time maps to the wall clock.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    /// A timestamp of this source, the newest seen.
    timestamp: u32,
    /// Its place.
    position: i64,
    /// Packets for which the anchor may still be pulled.
    settling: u32,
    /// Smallest lateness within the present span, and packets left in it.
    fastest: i64,
    left: u32,
    /// Correction still to be made.
    slew: i64,
}

impl Anchor {
    fn new(timestamp: u32, position: i64) -> Anchor {
        Anchor { timestamp, position, settling: SETTLING, fastest: i64::MAX, left: SPAN, slew: 0 }
    }
}

/// One channel.
#[derive(Clone, Debug)]
pub(super) struct Track {
    /// Samples from `given` on, as a ring indexed by position modulo [`WINDOW`]; silence is zero.
    window: Box<[i16; WINDOW]>,
    given: u64,
    anchor: Option<Anchor>,
    /// Where the newest samples end, and the last of them.
    end: i64,
    last: i16,
    /// Packets in a row that were too late, and when the first of them came.
    late_run: u32,
    late_since: u64,
    counts: Counts,
}

impl Track {
    pub(super) fn new() -> Track {
        Track {
            window: Box::new([0; WINDOW]),
            given: 0,
            anchor: None,
            end: 0,
            last: 0,
            late_run: 0,
            late_since: 0,
            counts: Counts::default(),
        }
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) fn put(&mut self, arrival: u64, timestamp: u32, samples: &[i16]) {
        let quiet = samples.iter().all(|sample| sample.unsigned_abs() <= QUIET);
        let arrival_at = arrival.cast_signed();
        let position = match self.locate(arrival_at, timestamp, quiet) {
            Some(position) => position,
            None => self.anchor_at(arrival_at, timestamp),
        };
        let length = samples.len() as i64;
        if position + length <= self.given.cast_signed() {
            self.counts.late += 1;
            if self.late_run == 0 {
                self.late_since = arrival;
            }
            self.late_run += 1;
            if self.late_run < LATE_RUN || arrival < self.late_since + LATE_SPREAD {
                return;
            }
            let position = self.anchor_at(arrival_at, timestamp);
            self.write(position, samples);
            return;
        }
        self.late_run = 0;
        self.write(position, samples);
    }

    /// The place of a packet by the present anchor; `None` when it cannot belong to it.
    fn locate(&mut self, arrival: i64, timestamp: u32, quiet: bool) -> Option<i64> {
        let anchor = self.anchor.as_mut()?;
        let ahead = i64::from(timestamp.wrapping_sub(anchor.timestamp).cast_signed());
        let mut position = anchor.position + ahead;
        let lateness = arrival - position;
        if !(-EARLY..=JUMP).contains(&lateness) {
            return None;
        }
        let mut shift = 0;
        if anchor.settling > 0 {
            anchor.settling -= 1;
            shift = lateness.min(0);
        } else {
            if anchor.slew != 0 {
                shift = if quiet { anchor.slew } else { anchor.slew.signum() };
                anchor.slew -= shift;
            }
            anchor.fastest = anchor.fastest.min(lateness - shift - anchor.slew);
            anchor.left -= 1;
            if anchor.left == 0 {
                // What is still to be corrected is part of the lateness: count it once.
                let off = anchor.fastest + anchor.slew;
                anchor.slew = if off.abs() > DEAD_BAND { off } else { 0 };
                anchor.fastest = i64::MAX;
                anchor.left = SPAN;
            }
        }
        position += shift;
        self.counts.corrected += shift.unsigned_abs();
        if ahead >= 0 {
            anchor.timestamp = timestamp;
            anchor.position = position;
        } else {
            anchor.position += shift;
        }
        Some(position)
    }

    fn anchor_at(&mut self, arrival: i64, timestamp: u32) -> i64 {
        self.anchor = Some(Anchor::new(timestamp, arrival));
        self.counts.anchored += 1;
        self.late_run = 0;
        arrival
    }

    fn write(&mut self, position: i64, samples: &[i16]) {
        self.counts.placed += 1;
        let gap = position - self.end;
        if gap > 0 && gap <= BRIDGE {
            self.lay(self.end, &[self.last; BRIDGE as usize][..gap as usize]);
        }
        self.lay(position, samples);
        let end = position + samples.len() as i64;
        if let Some(last) = samples.last().filter(|_| end > self.end) {
            self.end = end;
            self.last = *last;
        }
    }

    /// Copies what of the samples falls into the window.
    fn lay(&mut self, position: i64, samples: &[i16]) {
        let from = position.max(self.given.cast_signed());
        let to = (position + samples.len() as i64).min(self.given.cast_signed() + WINDOW as i64);
        if from >= to {
            return;
        }
        let samples = &samples[(from - position) as usize..(to - position) as usize];
        let at = from as usize % WINDOW;
        let (head, tail) = samples.split_at(samples.len().min(WINDOW - at));
        self.window[at..][..head.len()].copy_from_slice(head);
        self.window[..tail.len()].copy_from_slice(tail);
    }

    /// Appends everything before `until` that was not given yet, and forgets it.
    pub(super) fn give(&mut self, until: u64, out: &mut Vec<i16>) {
        while self.given < until {
            let at = (self.given % WINDOW as u64) as usize;
            let count = (until - self.given).min((WINDOW - at) as u64);
            let held = &mut self.window[at..][..count as usize];
            out.extend_from_slice(held);
            held.fill(0);
            self.given += count;
        }
    }
}

// A packet that is as late as the horizon allows, and one second of stalled reader, both fit.
const _: () = assert!((HORIZON.as_millis() as usize) * 8 + EARLY as usize + 960 < WINDOW);
