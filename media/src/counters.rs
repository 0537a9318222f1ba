//! Figures of the workers, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::spread::Cost;

/// What a worker counts as it goes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) dropped: u64,
    /// Those of them that came from strangers.
    pub(crate) refused: u64,
    /// Packets that the system did not take.
    pub(crate) unsent: u64,
    /// Packets whose SRTP tag was wrong.
    pub(crate) forged: u64,
    /// Packets of SRTP that came before.
    pub(crate) replayed: u64,
    /// Packets put in order before sound was coded anew.
    pub(crate) reordered: u64,
    /// Packets that came too late for that, or again.
    pub(crate) late: u64,
    /// Sounds that could not be had.
    pub(crate) unplayable: u64,
    /// Legs that were not listened to because too many were.
    pub(crate) unheard: u64,
}

/// The same, where others can read it.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    received: AtomicU64,
    sent: AtomicU64,
    dropped: AtomicU64,
    refused: AtomicU64,
    unsent: AtomicU64,
    forged: AtomicU64,
    replayed: AtomicU64,
    reordered: AtomicU64,
    late: AtomicU64,
    unplayable: AtomicU64,
    unheard: AtomicU64,
    legs: AtomicU64,
    resting: AtomicU64,
    free: AtomicU64,
    listened: AtomicU64,
    /// Thousandths of a core that the worker took lately, and the legs that it had: 32 bits each, so that they
    /// are read together.
    cost: AtomicU64,
}

impl Counters {
    /// `held`: legs, pairs at rest, pairs free, legs that are listened to.
    pub(crate) fn publish(&self, tally: &Tally, held: [usize; 4]) {
        self.received.store(tally.received, Ordering::Relaxed);
        self.sent.store(tally.sent, Ordering::Relaxed);
        self.dropped.store(tally.dropped, Ordering::Relaxed);
        self.refused.store(tally.refused, Ordering::Relaxed);
        self.unsent.store(tally.unsent, Ordering::Relaxed);
        self.forged.store(tally.forged, Ordering::Relaxed);
        self.replayed.store(tally.replayed, Ordering::Relaxed);
        self.reordered.store(tally.reordered, Ordering::Relaxed);
        self.late.store(tally.late, Ordering::Relaxed);
        self.unplayable.store(tally.unplayable, Ordering::Relaxed);
        self.unheard.store(tally.unheard, Ordering::Relaxed);
        self.legs.store(held[0] as u64, Ordering::Relaxed);
        self.resting.store(held[1] as u64, Ordering::Relaxed);
        self.free.store(held[2] as u64, Ordering::Relaxed);
        self.listened.store(held[3] as u64, Ordering::Relaxed);
    }

    /// What the worker took of a core lately, in thousandths, with so many legs.
    pub(crate) fn publish_cost(&self, busy: u32, legs: u32) {
        self.cost.store(u64::from(busy) << 32 | u64::from(legs), Ordering::Relaxed);
    }

    /// The same.
    pub(crate) fn cost(&self) -> Cost {
        let both = self.cost.load(Ordering::Relaxed);
        let [busy, legs] = [both >> 32, both & u64::from(u32::MAX)];
        let word = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let full = self.free.load(Ordering::Relaxed) == 0;
        Cost { busy: word(busy), legs: word(legs), full }
    }

    /// Adds a worker's figures to a sum.
    pub(crate) fn add_to(&self, counts: &mut crate::MediaCounts) {
        counts.packets_received += self.received.load(Ordering::Relaxed);
        counts.packets_sent += self.sent.load(Ordering::Relaxed);
        counts.packets_dropped += self.dropped.load(Ordering::Relaxed);
        counts.packets_refused += self.refused.load(Ordering::Relaxed);
        counts.packets_unsent += self.unsent.load(Ordering::Relaxed);
        counts.srtp_forged += self.forged.load(Ordering::Relaxed);
        counts.srtp_replayed += self.replayed.load(Ordering::Relaxed);
        counts.reordered += self.reordered.load(Ordering::Relaxed);
        counts.late += self.late.load(Ordering::Relaxed);
        counts.unplayable += self.unplayable.load(Ordering::Relaxed);
        counts.unheard += self.unheard.load(Ordering::Relaxed);
        counts.listened += self.listened.load(Ordering::Relaxed);
        counts.legs += self.legs.load(Ordering::Relaxed);
        counts.quarantined += self.resting.load(Ordering::Relaxed);
        counts.free += self.free.load(Ordering::Relaxed);
    }
}
