//! Who was turned away: counted by reason, and logged so that a scanner cannot fill the disk.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use call::{Denial, TurnedAway};

use crate::quiet::Quiet;

/// Characters of a user name that a stranger wrote.
const USER_MAX: usize = 64;

/// Counters and the log's memory.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    counts: [AtomicU64; Denial::ALL.len()],
    quiet: Mutex<Quiet<(IpAddr, Denial)>>,
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

#[cfg(test)]
mod tests {
    use super::*;

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
