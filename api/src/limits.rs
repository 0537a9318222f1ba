//! Token buckets: how often one address or one merchant may ask.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A rate and how much of it may come at once.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rate {
    /// Requests per second in the long run; 0 switches the limit off.
    pub per_second: u32,
    /// Requests at once after a pause.
    pub burst: u32,
}

impl Rate {
    /// No limit.
    pub const OFF: Rate = Rate { per_second: 0, burst: 0 };
}

/// Buckets kept at most. A bucket that would be full again says nothing and is forgotten first.
const BUCKETS_MAX: usize = 65_536;

/// Buckets by key.
#[derive(Debug)]
pub(crate) struct Buckets<K> {
    rate: Rate,
    table: Mutex<BTreeMap<K, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl<K: Ord + Clone> Buckets<K> {
    pub(crate) fn new(rate: Rate) -> Self {
        Buckets { rate, table: Mutex::new(BTreeMap::new()) }
    }

    /// Takes a token. False when there is none.
    pub(crate) fn take(&self, key: K, now: Instant) -> bool {
        if self.rate.per_second == 0 {
            return true;
        }
        let burst = f64::from(self.rate.burst.max(1));
        let mut table = match self.table.lock() {
            Ok(table) => table,
            Err(poisoned) => poisoned.into_inner(),
        };
        if table.len() >= BUCKETS_MAX && !table.contains_key(&key) {
            self.forget_full(&mut table, now);
        }
        if table.len() >= BUCKETS_MAX && !table.contains_key(&key) {
            // More busy keys than we can follow: strangers wait, known ones go on.
            return false;
        }
        let bucket = table.entry(key).or_insert(Bucket { tokens: burst, at: now });
        bucket.tokens = self.filled(*bucket, now).min(burst);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }

    /// Gives back a token that was taken.
    pub(crate) fn give(&self, key: &K) {
        let mut table = match self.table.lock() {
            Ok(table) => table,
            Err(poisoned) => poisoned.into_inner(),
        };
        // What is full by then is bounded when the next one is taken.
        if let Some(bucket) = table.get_mut(key) {
            bucket.tokens += 1.0;
        }
    }

    /// Would there be no token?
    pub(crate) fn is_empty(&self, key: &K, now: Instant) -> bool {
        if self.rate.per_second == 0 {
            return false;
        }
        let table = match self.table.lock() {
            Ok(table) => table,
            Err(poisoned) => poisoned.into_inner(),
        };
        table.get(key).is_some_and(|bucket| self.filled(*bucket, now) < 1.0)
    }

    fn filled(&self, bucket: Bucket, now: Instant) -> f64 {
        let passed: Duration = now.saturating_duration_since(bucket.at);
        bucket.tokens + passed.as_secs_f64() * f64::from(self.rate.per_second)
    }

    fn forget_full(&self, table: &mut BTreeMap<K, Bucket>, now: Instant) {
        let burst = f64::from(self.rate.burst.max(1));
        table.retain(|_, bucket| self.filled(*bucket, now) < burst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate_and_keys_do_not_touch_each_other() {
        let buckets = Buckets::new(Rate { per_second: 2, burst: 3 });
        let start = Instant::now();
        assert_eq!((0..5).filter(|_| buckets.take("a", start)).count(), 3);
        assert!(buckets.take("b", start));
        let later = start + Duration::from_secs(1);
        assert_eq!((0..5).filter(|_| buckets.take("a", later)).count(), 2);
        // An hour's pause fills no further than the burst.
        let much_later = start + Duration::from_hours(1);
        assert_eq!((0..9).filter(|_| buckets.take("a", much_later)).count(), 3);
    }

    #[test]
    fn the_table_is_bounded_and_idle_keys_make_room() {
        let buckets = Buckets::new(Rate { per_second: 1, burst: 1 });
        let start = Instant::now();
        for key in 0..BUCKETS_MAX {
            assert!(buckets.take(key, start));
        }
        assert!(!buckets.take(BUCKETS_MAX, start));
        assert!(buckets.take(BUCKETS_MAX, start + Duration::from_secs(2)));
        assert_eq!(buckets.table.lock().unwrap().len(), 1);
    }

    #[test]
    fn what_is_given_back_may_be_taken_again_and_fills_no_further_than_the_burst() {
        let buckets = Buckets::new(Rate { per_second: 1, burst: 2 });
        let start = Instant::now();
        for _ in 0..9 {
            assert!(buckets.take("a", start));
            buckets.give(&"a");
        }
        buckets.give(&"a");
        assert_eq!((0..5).filter(|_| buckets.take("a", start)).count(), 2);
    }

    #[test]
    fn off_is_off() {
        let buckets = Buckets::new(Rate::OFF);
        assert!((0..10_000).all(|_| buckets.take((), Instant::now())));
    }
}
