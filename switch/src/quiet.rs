//! Lines of the log that strangers could multiply: so many that they cannot fill the disk.
//!
//! The first of an address and reason is a line at once; what follows within a minute is counted and told in
//! its next line. Addresses are forgotten when they were quiet for a minute, and are bounded in number: when
//! there are too many, they share one line a minute.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Lines about one address and reason: one in this time.
const PAUSE: Duration = Duration::from_secs(60);
/// Addresses and reasons that are told apart.
const SOURCES_MAX: usize = 1024;
/// Time between two looks for quiet addresses: a flood from many must not make one for each of its messages.
const SWEEP: Duration = Duration::from_secs(1);

/// When each address was logged last, and what it did since.
#[derive(Debug)]
pub(crate) struct Quiet<K> {
    sources: BTreeMap<K, (Instant, u64)>,
    /// All addresses beyond those.
    crowd: Option<(Instant, u64)>,
    /// When quiet addresses were looked for last.
    swept: Option<Instant>,
}

impl<K> Default for Quiet<K> {
    fn default() -> Self {
        Quiet { sources: BTreeMap::new(), crowd: None, swept: None }
    }
}

impl<K: Ord> Quiet<K> {
    /// `Some` when it is time for a line: how many of this address and reason had none.
    pub(crate) fn turn(&mut self, now: Instant, source: K) -> Option<u64> {
        let swept = self.swept.is_some_and(|at| now.saturating_duration_since(at) < SWEEP);
        if !swept && self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&source) {
            self.swept = Some(now);
            self.sources.retain(|_, (last, _)| now.saturating_duration_since(*last) < PAUSE);
        }
        let full = self.sources.len() >= SOURCES_MAX;
        let slot = match self.sources.get_mut(&source) {
            Some(slot) => slot,
            None if full => match &mut self.crowd {
                Some(slot) => slot,
                None => {
                    self.crowd = Some((now, 0));
                    return Some(0);
                }
            },
            None => {
                self.sources.insert(source, (now, 0));
                return Some(0);
            }
        };
        if now.saturating_duration_since(slot.0) < PAUSE {
            slot.1 += 1;
            return None;
        }
        let (_, unlogged) = std::mem::replace(slot, (now, 0));
        Some(unlogged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use call::Denial;
    use std::net::IpAddr;

    fn address(n: u32) -> (IpAddr, Denial) {
        (IpAddr::from(n.to_be_bytes()), Denial::WrongPassword)
    }

    #[test]
    fn an_address_has_one_line_a_minute_that_tells_what_had_none() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut quiet = Quiet::default();
        assert_eq!(quiet.turn(at(0), address(1)), Some(0), "the first at once");
        for second in 1..=59 {
            assert_eq!(quiet.turn(at(second), address(1)), None);
        }
        assert_eq!(quiet.turn(at(59), address(2)), Some(0), "another one has its own");
        let other = (address(1).0, Denial::NoRoute);
        assert_eq!(quiet.turn(at(59), other), Some(0), "so has another reason");
        assert_eq!(quiet.turn(at(60), address(1)), Some(59));
        assert_eq!(quiet.turn(at(61), address(1)), None);
        assert_eq!(quiet.turn(at(200), address(1)), Some(1));
    }

    #[test]
    fn a_crowd_of_addresses_fills_neither_memory_nor_log() {
        let start = Instant::now();
        let mut quiet = Quiet::default();
        let lines = (0..100_000).filter(|n| quiet.turn(start, address(*n)).is_some()).count();
        assert_eq!((lines, quiet.sources.len()), (SOURCES_MAX + 1, SOURCES_MAX));
        let later = start + PAUSE;
        assert_eq!(quiet.turn(later, address(200_000)), Some(0), "quiet ones are forgotten");
        assert_eq!(quiet.sources.len(), 1);
    }
}
