//! Who was turned away: counted by reason, and logged so that a scanner cannot fill the disk.
//!
//! The first refusal of an address for a reason is a line at once; what follows within a minute is counted
//! and told in its next line. Addresses are forgotten when they were quiet for a minute, and are bounded in
//! number: when there are too many, they share one line a minute.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use call::{Denial, TurnedAway};

/// Lines about one address and reason: one in this time.
const PAUSE: Duration = Duration::from_secs(60);
/// Addresses and reasons that are told apart.
const SOURCES_MAX: usize = 1024;
/// Time between two looks for quiet addresses: a flood from many must not make one for each of its messages.
const SWEEP: Duration = Duration::from_secs(1);
/// Characters of a user name that a stranger wrote.
const USER_MAX: usize = 64;

/// Counters and the log's memory.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    counts: [AtomicU64; Denial::ALL.len()],
    quiet: Mutex<Quiet>,
}

impl Refusals {
    /// Counts a refusal, and logs it unless the same of its address was logged within the last minute.
    pub(crate) fn note(&self, now: Instant, turned: &TurnedAway) {
        self.counts[turned.why as usize].fetch_add(1, Ordering::Relaxed);
        let mut quiet = self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(unlogged) = quiet.turn(now, (turned.source.ip(), turned.why)) else { return };
        drop(quiet);
        let user: Option<String> =
            turned.user.as_ref().map(|user| user.chars().take(USER_MAX).collect());
        // Debug formatting: control characters of a stranger do not reach the terminal.
        tracing::warn!(
            source = %turned.source,
            method = turned.method,
            user = ?user.unwrap_or_default(),
            reason = turned.why.as_str(),
            unlogged,
            "turned away"
        );
    }

    /// Refusals since the start, by reason.
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        let counts = Denial::ALL.iter().zip(&self.counts);
        counts.map(|(why, count)| (why.as_str(), count.load(Ordering::Relaxed))).collect()
    }
}

/// When each address was logged last, and what it did since.
#[derive(Debug, Default)]
struct Quiet {
    sources: BTreeMap<(IpAddr, Denial), (Instant, u64)>,
    /// All addresses beyond those.
    crowd: Option<(Instant, u64)>,
    /// When quiet addresses were looked for last.
    swept: Option<Instant>,
}

impl Quiet {
    /// `Some` when it is time for a line: how many refusals of this address had none.
    fn turn(&mut self, now: Instant, source: (IpAddr, Denial)) -> Option<u64> {
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

    #[test]
    fn refusals_are_counted_by_reason() {
        let refusals = Refusals::default();
        let source = "192.0.2.1:5060".parse().unwrap();
        for why in Denial::ALL {
            let turned = TurnedAway { source, method: "REGISTER", user: None, why };
            refusals.note(Instant::now(), &turned);
        }
        refusals.note(
            Instant::now(),
            &TurnedAway { source, method: "INVITE", user: None, why: Denial::WrongPassword },
        );
        let counts = refusals.counts();
        assert_eq!(counts.len(), Denial::ALL.len());
        assert!(counts.iter().all(|(why, n)| *n == 1 + u64::from(*why == "wrong_password")));
    }
}
