//! Legs that policies did not let be: counted by reason, and logged so that a campaign cannot fill the disk.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use facts::MerchantId;
use facts::policy::{Reason, Stopped};

use crate::quiet::Quiet;

/// Counters and the log's memory.
#[derive(Debug, Default)]
pub(crate) struct Stops {
    counts: [AtomicU64; Reason::ALL.len()],
    quiet: Mutex<Quiet<(String, Reason, MerchantId)>>,
}

impl Stops {
    /// Counts a leg, and logs it unless the same policy was logged for the same merchant within the last minute.
    pub(crate) fn note(&self, now: Instant, stopped: &Stopped) {
        let Stopped { policy, reason, merchant, service, call, prefix } = stopped;
        self.counts[*reason as usize].fetch_add(1, Ordering::Relaxed);
        let mut quiet = self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(unlogged) = quiet.turn(now, (policy.clone(), *reason, *merchant)) else { return };
        drop(quiet);
        tracing::info!(
            policy,
            reason = reason.word(),
            merchant = merchant.0,
            service = service.word(),
            call = call.map(|call| call.to_string()).unwrap_or_default(),
            prefix,
            unlogged,
            "a policy was in the way of a call"
        );
    }

    /// Legs since the start, by reason.
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        let counts = Reason::ALL.iter().zip(&self.counts);
        counts.map(|(reason, count)| (reason.word(), count.load(Ordering::Relaxed))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use facts::policy::Service;

    #[test]
    fn legs_that_were_stopped_are_counted_by_reason() {
        let stops = Stops::default();
        for reason in [Reason::Listed, Reason::TooOften, Reason::TooOften] {
            let stopped = Stopped {
                policy: "codes".into(),
                reason,
                merchant: MerchantId(7),
                service: Service::Code,
                call: None,
                prefix: "861".into(),
            };
            stops.note(Instant::now(), &stopped);
        }
        let counts = stops.counts();
        assert_eq!((counts.len(), counts["listed"], counts["too_often"]), (4, 1, 2));
    }
}
