//! Who may start another call now. Limits are read off the set of live calls, never off a counter that
//! goes up and down: a call that is gone from the set cannot hold a slot.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// Members by what they occupy: calls by merchant, legs by trunk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Occupancy<K: Ord, M: Ord> {
    sets: BTreeMap<K, BTreeSet<M>>,
}

impl<K: Ord, M: Ord> Default for Occupancy<K, M> {
    fn default() -> Self {
        Occupancy { sets: BTreeMap::new() }
    }
}

impl<K: Ord + Copy, M: Ord + Copy> Occupancy<K, M> {
    pub(crate) fn enter(&mut self, key: K, member: M) {
        self.sets.entry(key).or_default().insert(member);
    }

    /// Leaving twice is leaving once.
    pub(crate) fn leave(&mut self, key: K, member: M) {
        if let Some(set) = self.sets.get_mut(&key) {
            set.remove(&member);
            if set.is_empty() {
                self.sets.remove(&key);
            }
        }
    }

    pub(crate) fn len(&self, key: K) -> usize {
        self.sets.get(&key).map_or(0, BTreeSet::len)
    }

    pub(crate) fn total(&self) -> usize {
        self.sets.values().map(BTreeSet::len).sum()
    }

    /// True when `limit` allows one more.
    pub(crate) fn room(&self, key: K, limit: Option<u32>) -> bool {
        limit.is_none_or(|limit| self.len(key) < limit as usize)
    }
}

/// The span of a rate.
const WINDOW: Duration = Duration::from_secs(1);

/// Starts within the last second, per key. Each window holds as many instants as its limit allows.
#[derive(Clone, Debug)]
pub(crate) struct Rates<K: Ord> {
    windows: BTreeMap<K, VecDeque<Instant>>,
}

impl<K: Ord> Default for Rates<K> {
    fn default() -> Self {
        Rates { windows: BTreeMap::new() }
    }
}

impl<K: Ord + Copy> Rates<K> {
    /// True when the window of `key` has room; nothing is counted.
    pub(crate) fn room(&self, key: K, limit: Option<u32>, now: Instant) -> bool {
        let started = || {
            let recent = |at: &&Instant| now.saturating_duration_since(**at) < WINDOW;
            self.windows
                .get(&key)
                .map_or(0, |window| window.iter().rev().take_while(recent).count())
        };
        limit.is_none_or(|limit| started() < limit as usize)
    }

    /// Forgets all but these.
    pub(crate) fn retain(&mut self, keep: impl Fn(K) -> bool) {
        self.windows.retain(|key, _| keep(*key));
    }

    /// Counts one start, and forgets those that no window holds any more. Call after `room` said yes.
    pub(crate) fn count(&mut self, key: K, limit: Option<u32>, now: Instant) {
        if limit.is_none() {
            return;
        }
        let window = self.windows.entry(key).or_default();
        while window.front().is_some_and(|at| now.saturating_duration_since(*at) >= WINDOW) {
            window.pop_front();
        }
        window.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn case_41_leaving_twice_frees_one_slot() {
        let mut live = Occupancy::default();
        live.enter(1, 10);
        live.enter(1, 11);
        live.enter(1, 11);
        live.leave(1, 10);
        live.leave(1, 10);
        assert_eq!(live.len(1), 1);
        assert!(live.room(1, Some(2)) && !live.room(1, Some(1)));
    }

    proptest! {
        /// Against a naive oracle: never more than the limit within any second.
        #[test]
        fn a_rate_holds_in_every_sliding_second(
            limit in 1u32..5, gaps in proptest::collection::vec(0u64..700, 1..60),
        ) {
            let start = crate::testing::start().mono;
            let mut rates = Rates::default();
            let mut at = 0u64;
            let mut taken: Vec<u64> = Vec::new();
            for gap in gaps {
                at += gap;
                let now = start + Duration::from_millis(at);
                let recent = taken.iter().filter(|t| at - **t < 1000).count();
                let room = rates.room((), Some(limit), now);
                prop_assert_eq!(room, recent < limit as usize);
                if room {
                    rates.count((), Some(limit), now);
                    taken.push(at);
                }
            }
        }
    }
}
