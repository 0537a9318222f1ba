//! Keys that signalling has told already: when they come in the media as well, they are the same (RFC 6086 beside
//! RFC 4733, by which nobody is forbidden to tell a key both ways).

use std::time::{Duration, Instant};

/// How long after signalling a key of the same name is the same.
const WINDOW: Duration = Duration::from_secs(2);
/// Keys that are remembered at most; the oldest gives way.
const KEYS_MAX: usize = 4;

/// What may still come in the media.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Expected {
    keys: [Option<(char, Instant)>; KEYS_MAX],
    next: usize,
}

impl Expected {
    /// Signalling has told a key.
    pub(crate) fn add(&mut self, now: Instant, key: char) {
        self.keys[self.next] = Some((key, now));
        self.next = (self.next + 1) % KEYS_MAX;
    }

    /// A key came in the media: true if signalling told it, once.
    pub(crate) fn take(&mut self, now: Instant, key: char) -> bool {
        let fresh = |at: Instant| now.saturating_duration_since(at) < WINDOW;
        let same = |one: &&mut Option<(char, Instant)>| matches!(**one, Some((known, at)) if known == key && fresh(at));
        self.keys.iter_mut().find(same).and_then(Option::take).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b12_rfc6086_what_signalling_told_is_expected_once_and_not_for_ever() {
        let start = crate::testing::origin();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut expected = Expected::default();
        assert!(!expected.take(at(0), '5'));
        expected.add(at(0), '5');
        assert!(!expected.take(at(1), '6'), "another key");
        assert!(expected.take(at(1_999), '5'));
        assert!(!expected.take(at(1_999), '5'), "once");
        expected.add(at(2_000), '5');
        assert!(!expected.take(at(4_000), '5'), "another press");
        for n in 0..100 {
            expected.add(at(5_000 + n), '1');
        }
        let known = (0..100).filter(|_| expected.take(at(5_100), '1')).count();
        assert_eq!(known, KEYS_MAX);
    }
}
