//! What arrived and what did not: sequence, loss and jitter (RFC 3550 §6.4.1, A.1, A.3, A.8).
//!
//! One account per leg, over all sources it heard: when the far end changes its SSRC the closed
//! source's figures are added up and a new one begins.

use std::time::{Duration, Instant};

use crate::quality;
use crate::rtcp::ReportBlock;
use crate::wire::{ahead32, units};

/// RFC 3550 A.1: a jump of more than this is not loss but a restart.
pub const MAX_DROPOUT: u16 = 3000;
/// RFC 3550 A.1: how far behind a packet may come and still be late rather than foreign.
pub const MAX_MISORDER: u16 = 100;

/// How a packet relates to those before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// First of its source.
    First,
    /// Ahead of all before it; a gap may lie between.
    Ahead,
    /// Late or a copy.
    Behind,
    /// A jump that may be a restart; counts only when the next packet continues it.
    Suspect,
    /// The far end restarted its numbering.
    Restarted,
}

/// The account of one source (RFC 3550 A.1 `source`).
#[derive(Clone, Debug)]
struct Source {
    ssrc: u32,
    max_seq: u16,
    cycles: u32,
    base_seq: u32,
    /// The sequence number that would confirm a restart; above 16 bits means none.
    bad_seq: u32,
    received: u64,
    expected_prior: u64,
    received_prior: u64,
    transit: Option<u32>,
    /// That of the fastest packets, followed slowly where all become slower.
    fastest: Option<u32>,
    /// Scaled by 16 (RFC 3550 A.8).
    jitter_x16: u32,
}

/// The reception account of a leg.
#[derive(Clone, Debug)]
pub struct Reception {
    /// Arrival times are counted from here.
    epoch: Instant,
    source: Option<Source>,
    lost_before: u64,
    packets: u64,
    octets: u64,
    /// Timestamp units a second of what is heard now.
    clock: u32,
    /// In those units.
    jitter_max: u32,
    /// The largest of what was heard with another clock.
    jitter_max_us: u32,
    /// What came since the last call of [`Reception::stretch`].
    stretch: Running,
    /// Microseconds of jitter times packets, over all stretches, and those packets.
    jitter_sum: [u64; 2],
    late: u64,
}

/// What came within some time, over all sources.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Stretch {
    /// Packets that should have come.
    pub expected: u64,
    /// Those of them that did not, or came too late to be played.
    pub missed: u64,
    /// How much longer the gaps were than those of loss at random (ITU-T G.107 §3.5).
    pub burst: f64,
    /// Mean interarrival jitter.
    pub jitter: Duration,
}

/// A stretch that is under way.
#[derive(Clone, Copy, Debug, Default)]
struct Running {
    expected: u64,
    lost: u64,
    gaps: u64,
    /// Packets that the newest gap still lacks.
    newest_gap: u64,
    late: u64,
    /// Sixteenths of timestamp units times packets, and those packets.
    jitter_x16: u64,
    timed: u64,
}

impl Running {
    fn note(&mut self, order: Order, ahead: u64) {
        match order {
            Order::First | Order::Restarted => self.expected += 1,
            Order::Ahead => {
                self.expected += ahead;
                self.lost += ahead - 1;
                self.gaps += u64::from(ahead > 1);
                self.newest_gap = ahead - 1;
            }
            // Out of order, not lost; a copy of the newest brings nothing.
            Order::Behind if ahead > 0 => {
                self.lost = self.lost.saturating_sub(1);
                // The newest gap is the one that closes, in all but absurd cases.
                self.gaps = self.gaps.saturating_sub(u64::from(self.newest_gap == 1));
                self.newest_gap = self.newest_gap.saturating_sub(1);
            }
            Order::Behind | Order::Suspect => {}
        }
    }
}

/// How far behind the fastest packets one may come and still be played, milliseconds: what a phone's buffer holds at most.
const LATE_MS: u32 = 120;

/// How slowly the fastest transit follows: by one part of so many of the distance, a packet.
const FOLLOWS: u32 = 16;

const NO_BAD_SEQ: u32 = 1 << 17;

impl Reception {
    /// An empty account. `epoch` is any instant not after the first packet.
    #[must_use]
    pub fn new(epoch: Instant) -> Self {
        let (clock, jitter_max, jitter_max_us) = (8_000, 0, 0);
        let (source, lost_before, packets, octets) = (None, 0, 0, 0);
        let (stretch, jitter_sum, late) = (Running::default(), [0; 2], 0);
        Reception {
            epoch,
            source,
            lost_before,
            packets,
            octets,
            clock,
            jitter_max,
            jitter_max_us,
            stretch,
            jitter_sum,
            late,
        }
    }

    /// Notes a packet. `octets` is its payload's length, `clock` the timestamp units a second of its
    /// coding; `None` for packets whose timestamp does not follow the clock (telephone-events), which
    /// would spoil the jitter.
    pub fn note(
        &mut self,
        now: Instant,
        ssrc: u32,
        sequence: u16,
        timestamp: u32,
        octets: usize,
        clock: Option<u32>,
    ) -> Order {
        self.packets += 1;
        self.octets += octets as u64;
        let transit = clock.map(|clock| self.arrival(now, clock).wrapping_sub(timestamp));
        let source = match &mut self.source {
            Some(source) if source.ssrc == ssrc => source,
            other => {
                if let Some(old) = other {
                    self.lost_before += old.lost();
                }
                let mut source = Source::new(ssrc, sequence);
                source.received = 1;
                (source.transit, source.fastest) = (transit, transit);
                *other = Some(source);
                self.stretch.note(Order::First, 1);
                return Order::First;
            }
        };
        let before = source.max_seq;
        let order = source.advance(sequence);
        self.stretch.note(order, u64::from(sequence.wrapping_sub(before)));
        let order = match order {
            Order::Restarted => {
                self.lost_before += source.lost();
                *source = Source::new(ssrc, sequence);
                Order::Restarted
            }
            order => order,
        };
        if order != Order::Suspect {
            source.received += 1;
        }
        if let Some(transit) = transit
            && order != Order::Suspect
        {
            source.note_transit(transit, self.clock);
            self.jitter_max = self.jitter_max.max(source.jitter_x16);
            self.stretch.jitter_x16 += u64::from(source.jitter_x16);
            self.stretch.timed += 1;
            if source.is_late(transit, self.clock) {
                self.stretch.late += 1;
                self.late += 1;
            }
        }
        order
    }

    /// What came since this was called last.
    pub fn stretch(&mut self) -> Stretch {
        let Running { expected, lost, gaps, late, jitter_x16, timed, .. } =
            std::mem::take(&mut self.stretch);
        let missed = (lost + late).min(expected);
        let share =
            if expected == 0 { 0.0 } else { quality::float(missed) / quality::float(expected) };
        let burst = quality::burst(lost, gaps, share);
        let units = jitter_x16.checked_div(16 * timed).unwrap_or(0);
        let jitter_us = (units * 1_000_000).checked_div(u64::from(self.clock)).unwrap_or(0);
        self.jitter_sum[0] = self.jitter_sum[0].saturating_add(jitter_us.saturating_mul(timed));
        self.jitter_sum[1] += timed;
        let jitter = Duration::from_micros(jitter_us);
        Stretch { expected, missed, burst, jitter }
    }

    /// RTP packets received.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Payload octets received.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// Packets missing so far, over all sources. Copies can make up for losses in this figure, as
    /// RFC 3550 §6.4.1 has it, but never below zero.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost_before + self.source.as_ref().map_or(0, Source::lost)
    }

    /// Largest interarrival jitter seen, microseconds.
    #[must_use]
    pub fn jitter_max_us(&self) -> u32 {
        let units = u64::from(self.jitter_max) * 1_000_000 / (16 * u64::from(self.clock));
        u32::try_from(units).unwrap_or(u32::MAX).max(self.jitter_max_us)
    }

    /// Mean interarrival jitter of the stretches that have ended, microseconds.
    #[must_use]
    pub fn jitter_mean_us(&self) -> u32 {
        let [sum, packets] = self.jitter_sum;
        u32::try_from(sum.checked_div(packets).unwrap_or(0)).unwrap_or(u32::MAX)
    }

    /// Packets that came more than 120 ms behind the fastest: received, and too late to be played.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late
    }

    /// The source heard last.
    #[must_use]
    pub fn ssrc(&self) -> Option<u32> {
        self.source.as_ref().map(|source| source.ssrc)
    }

    /// The report block about that source, and the start of a new interval (RFC 3550 A.3).
    /// `last_sr` and `delay_since_sr` come from the RTCP account.
    pub fn report(&mut self, last_sr: u32, delay_since_sr: u32) -> Option<ReportBlock> {
        let source = self.source.as_mut()?;
        let expected = source.expected();
        let expected_interval = expected - source.expected_prior;
        let received_interval = source.received - source.received_prior;
        source.expected_prior = expected;
        source.received_prior = source.received;
        let lost_interval = expected_interval.saturating_sub(received_interval);
        let fraction = (lost_interval << 8).checked_div(expected_interval).unwrap_or(0);
        let lost = expected.cast_signed() - source.received.cast_signed();
        Some(ReportBlock {
            ssrc: source.ssrc,
            fraction_lost: u8::try_from(fraction).unwrap_or(255),
            // 24 bits, signed (RFC 3550 §6.4.1).
            cumulative_lost: i32::try_from(lost.clamp(-0x80_0000, 0x7f_ffff)).unwrap_or(0),
            highest_sequence: source.extended_max(),
            jitter: source.jitter_x16 >> 4,
            last_sr,
            delay_since_sr,
        })
    }

    /// An instant in timestamp units, modulo 2^32. A far end that goes over to another clock begins its
    /// jitter anew (RFC 7160 §3.1): differences across the change mean nothing.
    fn arrival(&mut self, now: Instant, clock: u32) -> u32 {
        if clock != self.clock && clock > 0 {
            self.jitter_max_us = self.jitter_max_us();
            (self.clock, self.jitter_max) = (clock, 0);
            (self.stretch.jitter_x16, self.stretch.timed) = (0, 0);
            if let Some(source) = &mut self.source {
                (source.transit, source.fastest, source.jitter_x16) = (None, None, 0);
            }
        }
        (units(now.saturating_duration_since(self.epoch), self.clock) & u64::from(u32::MAX)) as u32
    }
}

impl Source {
    /// RFC 3550 A.1 `init_seq`.
    fn new(ssrc: u32, sequence: u16) -> Source {
        Source {
            ssrc,
            max_seq: sequence,
            cycles: 0,
            base_seq: u32::from(sequence),
            bad_seq: NO_BAD_SEQ,
            received: 0,
            expected_prior: 0,
            received_prior: 0,
            transit: None,
            fastest: None,
            jitter_x16: 0,
        }
    }

    /// RFC 3550 A.1 `update_seq`, without probation: the latch has vouched for the source.
    fn advance(&mut self, sequence: u16) -> Order {
        let delta = sequence.wrapping_sub(self.max_seq);
        if delta == 0 {
            Order::Behind
        } else if delta < MAX_DROPOUT {
            if sequence < self.max_seq {
                self.cycles = self.cycles.wrapping_add(1 << 16);
            }
            self.max_seq = sequence;
            self.bad_seq = NO_BAD_SEQ;
            Order::Ahead
        } else if delta <= u16::MAX - MAX_MISORDER + 1 {
            if u32::from(sequence) == self.bad_seq {
                Order::Restarted
            } else {
                self.bad_seq = u32::from(sequence.wrapping_add(1));
                Order::Suspect
            }
        } else {
            Order::Behind
        }
    }

    /// RFC 3550 A.8, integer form.
    fn note_transit(&mut self, transit: u32, clock: u32) {
        if let Some(before) = self.transit {
            let d = ahead32(before, transit).unsigned_abs();
            // A far end that steps its timestamp clock is not jitter.
            if d < clock * 10 {
                self.jitter_x16 = self
                    .jitter_x16
                    .wrapping_add(d)
                    .wrapping_sub((self.jitter_x16.wrapping_add(8)) >> 4);
            }
        }
        self.transit = Some(transit);
    }

    /// Whether a packet comes too late to be played. A receiver's buffer grows with what it sees, so a way that has
    /// become longer for good is late for a moment only; a whole second is a timestamp that jumped.
    fn is_late(&mut self, transit: u32, clock: u32) -> bool {
        let fastest = *self.fastest.get_or_insert(transit);
        let behind = ahead32(fastest, transit);
        if behind <= 0 || behind.unsigned_abs() >= clock {
            self.fastest = Some(transit);
            return false;
        }
        self.fastest = Some(fastest.wrapping_add(behind.unsigned_abs() / FOLLOWS));
        behind.unsigned_abs() > clock / 1_000 * LATE_MS
    }

    fn extended_max(&self) -> u32 {
        self.cycles.wrapping_add(u32::from(self.max_seq))
    }

    fn expected(&self) -> u64 {
        u64::from(self.extended_max().wrapping_sub(self.base_seq)) + 1
    }

    fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.received)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::testing::origin;

    const HEARD: Option<u32> = Some(8_000);

    fn feed(account: &mut Reception, start: Instant, numbers: impl IntoIterator<Item = u16>) {
        for (i, n) in numbers.into_iter().enumerate() {
            let at = start + Duration::from_millis(20 * i as u64);
            account.note(at, 7, n, (i as u32).wrapping_mul(160), 160, HEARD);
        }
    }

    #[test]
    fn a21_rfc3550_a_1_the_sequence_wraps_without_loss() {
        let start = origin();
        let mut account = Reception::new(start);
        feed(&mut account, start, (0..200_000_u32).map(|n| (n.wrapping_add(65_000)) as u16));
        assert_eq!(account.lost(), 0);
        let block = account.report(0, 0).unwrap();
        assert_eq!(block.highest_sequence, 65_000 + 199_999);
        assert_eq!((block.fraction_lost, block.cumulative_lost), (0, 0));
    }

    #[test]
    fn rfc3550_a_3_one_in_four_lost_is_64_of_256() {
        let start = origin();
        let mut account = Reception::new(start);
        feed(&mut account, start, (0..100_u16).filter(|n| n % 4 != 2));
        assert_eq!(account.lost(), 25);
        let block = account.report(0, 0).unwrap();
        assert_eq!((block.fraction_lost, block.cumulative_lost), (64, 25));
        feed(&mut account, start, 100..110_u16);
        let block = account.report(0, 0).unwrap();
        assert_eq!((block.fraction_lost, block.cumulative_lost), (0, 25), "a new interval");
    }

    #[test]
    fn rfc3550_6_4_1_copies_make_the_cumulative_figure_negative_not_ours() {
        let start = origin();
        let mut account = Reception::new(start);
        feed(&mut account, start, [1, 1, 2, 2, 3, 3_u16]);
        assert_eq!(account.lost(), 0);
        assert_eq!(account.report(0, 0).unwrap().cumulative_lost, -3);
    }

    #[test]
    fn rfc3550_a_1_a_restart_needs_two_packets_in_a_row() {
        let at = origin();
        let mut account = Reception::new(at);
        assert_eq!(account.note(at, 7, 10, 0, 160, HEARD), Order::First);
        assert_eq!(account.note(at, 7, 30_000, 0, 160, HEARD), Order::Suspect);
        assert_eq!(account.note(at, 7, 11, 160, 160, HEARD), Order::Ahead);
        assert_eq!(account.note(at, 7, 30_000, 0, 160, HEARD), Order::Suspect);
        assert_eq!(account.note(at, 7, 30_001, 0, 160, HEARD), Order::Restarted);
        assert_eq!(account.note(at, 7, 30_003, 0, 160, HEARD), Order::Ahead);
        assert_eq!(account.lost(), 1);
    }

    #[test]
    fn rfc3550_a_8_jitter_settles_at_the_mean_deviation() {
        let start = origin();
        let mut account = Reception::new(start);
        for i in 0..2000_u32 {
            // Every other packet is 5 ms late: |D| is 40 units each time.
            let late = Duration::from_millis(u64::from(i % 2) * 5);
            let at = start + Duration::from_millis(20 * u64::from(i)) + late;
            account.note(
                at,
                7,
                i as u16,
                i.wrapping_mul(160).wrapping_add(u32::MAX - 999),
                160,
                HEARD,
            );
        }
        let jitter = account.report(0, 0).unwrap().jitter;
        assert!((38..=41).contains(&jitter), "{jitter}");
        assert!((4_700..=5_200).contains(&account.jitter_max_us()));
    }

    #[test]
    fn rfc7587_4_1_the_jitter_of_opus_is_counted_in_its_own_clock() {
        let start = origin();
        let mut account = Reception::new(start);
        let mut hear = |from: u32, count: u32, clock: u32| {
            for i in from..from + count {
                let late = Duration::from_millis(u64::from(i % 2) * 5);
                let at = start + Duration::from_millis(20 * u64::from(i)) + late;
                account.note(at, 7, i as u16, i * (clock / 50), 80, Some(clock));
            }
            (account.report(0, 0).unwrap().jitter, account.jitter_max_us())
        };
        let (jitter, most_us) = hear(0, 2_000, 48_000);
        assert!((228..=246).contains(&jitter), "5 ms every other packet: {jitter}");
        assert!((4_700..=5_200).contains(&most_us), "{most_us}");
        // Case 5: the far end goes over to a coding of another clock; its change is no jitter.
        let (jitter, most_us) = hear(2_000, 2_000, 8_000);
        assert!((38..=41).contains(&jitter), "{jitter}");
        assert!((4_700..=5_200).contains(&most_us), "{most_us}");
    }

    #[test]
    fn case_2_a_new_ssrc_starts_a_new_source_and_keeps_the_losses() {
        let at = origin();
        let mut account = Reception::new(at);
        for n in [1, 2, 5] {
            account.note(at, 7, n, 0, 160, HEARD);
        }
        assert_eq!(account.note(at, 8, 40_000, 0, 160, HEARD), Order::First);
        account.note(at, 8, 40_002, 0, 160, HEARD);
        assert_eq!(account.lost(), 3);
        assert_eq!(account.packets(), 5);
    }

    #[test]
    fn a_stretch_tells_loss_gaps_and_order_apart() {
        let start = origin();
        let mut account = Reception::new(start);
        assert_eq!(account.stretch().expected, 0);
        // Ten in a hundred lost, in pairs; two packets swapped; one copy.
        feed(
            &mut account,
            start,
            (0..100_u16).filter(|n| n % 20 > 1).chain([100, 102, 101, 103, 103]),
        );
        let stretch = account.stretch();
        assert_eq!((stretch.expected, stretch.missed), (102, 8), "from the first that came on");
        assert!((1.5..2.0).contains(&stretch.burst), "{stretch:?}");
        let next = start + Duration::from_millis(20 * 95);
        feed(&mut account, next, 104..204_u16);
        let stretch = account.stretch();
        assert_eq!((stretch.expected, stretch.missed), (100, 0), "a new one");
    }

    #[test]
    fn what_comes_too_late_to_be_played_is_missed_though_not_lost() {
        let start = origin();
        let mut account = Reception::new(start);
        let mut hear = |n: u32, late: u64| {
            let at = start + Duration::from_millis(20 * u64::from(n) + late);
            account.note(at, 7, n as u16, n * 160, 160, HEARD);
        };
        for n in 0..500 {
            // Every tenth packet hangs somewhere for 150 ms.
            hear(n, if n % 10 == 5 { 150 } else { 0 });
        }
        let stretch = account.stretch();
        assert_eq!((stretch.expected, stretch.missed), (500, 50));
        assert_eq!((account.lost(), account.late()), (0, 50));
        // The way becomes longer for good: the buffer grows, and the rest is on time.
        let mut hear = |n: u32, late: u64| {
            let at = start + Duration::from_millis(20 * u64::from(n) + late);
            account.note(at, 7, n as u16, n * 160, 160, HEARD);
        };
        for n in 500..1_000 {
            hear(n, 200);
        }
        let stretch = account.stretch();
        assert!((1..=20).contains(&stretch.missed), "{stretch:?}");
        assert!(account.jitter_mean_us() > 1_000, "{}", account.jitter_mean_us());
    }

    proptest! {
        /// Against an oracle that keeps every extended number it saw.
        #[test]
        fn loss_equals_the_numbers_never_seen(
            first: u16,
            steps in proptest::collection::vec((1..40_u32, 0..8_u32), 1..400),
        ) {
            let at = origin();
            let mut account = Reception::new(at);
            let mut seen = BTreeSet::new();
            let mut number = u32::from(first);
            account.note(at, 7, first, 0, 160, HEARD);
            seen.insert(number);
            for (step, back) in steps {
                number += step;
                account.note(at, 7, number as u16, 0, 160, HEARD);
                seen.insert(number);
                // A straggler that was not seen before.
                let late = number - back.min(step - 1);
                if seen.insert(late) {
                    account.note(at, 7, late as u16, 0, 160, HEARD);
                }
            }
            let expected = u64::from(number - u32::from(first)) + 1;
            prop_assert_eq!(account.lost(), expected - seen.len() as u64);
        }
    }
}
