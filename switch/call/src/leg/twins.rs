//! A key that its far end tells twice, in its media and by INFO, is one.
//!
//! Neither RFC 4733 nor RFC 6086 says that one press may not be told both ways, and phones do. Of two of the same
//! name that came by different ways within [`WINDOW`] the later one is the same press; each is matched once, so that
//! whoever presses a key twice, and tells each press twice, has pressed it twice.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far apart the two may be: some phones send INFO when the key is let go, and a lost INFO comes again after
/// half a second (RFC 3261 §17.1.2.1).
const WINDOW: Duration = Duration::from_secs(2);
/// Keys that may still be told another way at most; older ones are forgotten.
const PENDING_MAX: usize = 16;

/// By which way a key came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// As an event or as sound.
    Media,
    /// By INFO.
    Info,
}

/// The keys of a leg that were told one way so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Twins {
    pending: VecDeque<(Instant, char, Way)>,
}

impl Twins {
    /// A key came: false if it is one that came before by the other way.
    pub(super) fn is_new(&mut self, now: Instant, key: char, way: Way) -> bool {
        self.pending.retain(|(at, ..)| now.saturating_duration_since(*at) < WINDOW);
        let twin = |(_, other, by): &(Instant, char, Way)| *other == key && *by != way;
        if let Some(at) = self.pending.iter().position(twin) {
            self.pending.remove(at);
            return false;
        }
        if self.pending.len() == PENDING_MAX {
            self.pending.pop_front();
        }
        self.pending.push_back((now, key, way));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b12_rfc6086_a_press_that_is_told_both_ways_is_one_and_two_presses_are_two() {
        use Way::{Info, Media};
        let start = crate::testing::start().mono;
        let count = |told: &[(u64, char, Way)]| {
            let mut twins = Twins::default();
            let at = |ms: u64| start + Duration::from_millis(ms);
            told.iter().filter(|(ms, key, way)| twins.is_new(at(*ms), *key, *way)).count()
        };
        for (one, other) in [(Media, Info), (Info, Media)] {
            assert_eq!(count(&[(0, '5', one), (300, '5', other)]), 1);
            assert_eq!(count(&[(0, '5', one), (1_999, '5', other)]), 1);
            assert_eq!(count(&[(0, '5', one), (2_000, '5', other)]), 2, "too late to be the same");
            assert_eq!(count(&[(0, '5', one), (10, '6', other)]), 2, "another key");
            assert_eq!(count(&[(0, '5', one), (200, '5', one)]), 2, "pressed twice");
            let twice = [(0, '5', one), (100, '5', other), (400, '5', one), (500, '5', other)];
            assert_eq!(count(&twice), 2);
            let late = [(0, '5', one), (200, '5', one), (600, '5', other), (700, '5', other)];
            assert_eq!(count(&late), 2, "INFO that lags behind by a key");
        }
        let many: Vec<_> = (0..1_000).map(|n| (n, '7', Media)).collect();
        assert_eq!(count(&many), 1_000);
    }
}
