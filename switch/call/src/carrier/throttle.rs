//! Carriers that are too busy are given fewer calls for a while: each 503 halves what they are given, and
//! it grows again by steps. RFC 7339 would have them say how much they take; few do.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use facts::TrunkId;

/// The span of a rate.
const WINDOW: Duration = Duration::from_secs(1);
/// 503s within this are one: they answer what was sent at the rate before.
const ONE: Duration = Duration::from_secs(1);
/// Without a 503 for this long, a carrier is given a step more.
const STEP: Duration = Duration::from_secs(5);
/// INVITEs of a second that are counted at most.
const COUNTED_MAX: usize = 10_000;

#[derive(Debug, Default)]
struct Row {
    /// INVITEs of the last second.
    sent: VecDeque<Instant>,
    low: Option<Low>,
}

/// A rate that was lowered.
#[derive(Clone, Copy, Debug)]
struct Low {
    /// INVITEs a second, when it was lowered.
    limit: u32,
    /// The rate that was too much, at first.
    peak: u32,
    since: Instant,
}

impl Low {
    /// INVITEs a second now; `None` once it is what it was.
    fn limit(&self, now: Instant) -> Option<u32> {
        let steps = now.saturating_duration_since(self.since).as_secs() / STEP.as_secs();
        let mut limit = self.limit;
        for _ in 0..steps {
            limit += (limit / 4).max(1);
            if limit >= self.peak {
                return None;
            }
        }
        Some(limit)
    }
}

/// What each carrier is given.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    rows: BTreeMap<TrunkId, Row>,
}

impl Throttle {
    /// INVITEs a second that a carrier is given, when it has got as many in this one.
    pub(crate) fn reached(&self, id: TrunkId, now: Instant) -> Option<u32> {
        let sent = recent(&self.rows.get(&id)?.sent, now);
        self.limit(id, now).filter(|limit| sent >= *limit)
    }

    /// INVITEs a second that a carrier is given, while they are fewer than it was.
    fn limit(&self, id: TrunkId, now: Instant) -> Option<u32> {
        self.rows.get(&id)?.low?.limit(now)
    }

    /// Forgets all carriers but these.
    pub(crate) fn retain(&mut self, keep: impl Fn(TrunkId) -> bool) {
        self.rows.retain(|id, _| keep(*id));
    }

    /// An INVITE goes there.
    pub(crate) fn sent(&mut self, id: TrunkId, now: Instant) {
        let sent = &mut self.rows.entry(id).or_default().sent;
        let old = |at: &Instant| now.saturating_duration_since(*at) >= WINDOW;
        while sent.front().is_some_and(old) || sent.len() >= COUNTED_MAX {
            sent.pop_front();
        }
        sent.push_back(now);
    }

    /// It answered 503.
    pub(crate) fn refused(&mut self, id: TrunkId, now: Instant) {
        let row = self.rows.entry(id).or_default();
        let rate = recent(&row.sent, now).max(1);
        row.low = Some(match row.low {
            Some(low) if now.saturating_duration_since(low.since) < ONE => low,
            Some(low) => match low.limit(now) {
                Some(limit) => Low { limit: (limit / 2).max(1), since: now, ..low },
                None => Low { limit: (rate / 2).max(1), peak: rate, since: now },
            },
            None => Low { limit: (rate / 2).max(1), peak: rate, since: now },
        });
    }
}

fn recent(sent: &VecDeque<Instant>, now: Instant) -> u32 {
    let recent = |at: &&Instant| now.saturating_duration_since(**at) < WINDOW;
    u32::try_from(sent.iter().rev().take_while(recent).count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::start;

    const ID: TrunkId = TrunkId(1);

    fn at(seconds: u64, millis: u64) -> Duration {
        Duration::from_secs(seconds) + Duration::from_millis(millis)
    }

    #[test]
    fn a_503_halves_the_rate_once_a_second_and_it_grows_back_by_steps() {
        let begun = start().mono;
        let mut throttle = Throttle::default();
        for call in 0..20 {
            assert_eq!(throttle.reached(ID, begun), None);
            throttle.sent(ID, begun + at(0, call));
        }
        throttle.refused(ID, begun + at(0, 100));
        throttle.refused(ID, begun + at(0, 900));
        assert_eq!(throttle.limit(ID, begun + at(0, 900)), Some(10), "one and the same overload");
        throttle.refused(ID, begun + at(1, 200));
        assert_eq!(throttle.limit(ID, begun + at(1, 200)), Some(5));
        let grown: Vec<_> =
            (0..9).map(|step| throttle.limit(ID, begun + at(1 + 5 * step, 200))).collect();
        let steps = [5, 6, 7, 8, 10, 12, 15, 18].map(Some);
        assert_eq!(grown[..8], steps);
        assert_eq!(grown[8], None, "as it was");
    }

    #[test]
    fn no_more_are_given_in_a_second_than_it_takes_and_never_none_at_all() {
        let begun = start().mono;
        let mut throttle = Throttle::default();
        throttle.sent(ID, begun);
        throttle.refused(ID, begun);
        for second in 2..20 {
            throttle.refused(ID, begun + at(second, 0));
        }
        let now = begun + at(21, 0);
        assert_eq!((throttle.limit(ID, now), throttle.reached(ID, now)), (Some(1), None));
        throttle.sent(ID, now);
        assert_eq!(throttle.reached(ID, now), Some(1));
        assert_eq!(throttle.reached(ID, now + at(1, 0)), None);
    }
}
