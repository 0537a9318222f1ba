//! Limits against toll fraud that were reached: counted, and told so that a thief cannot fill the disk.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use facts::fraud::{Alert, Rule, Scope};

use crate::quiet::Quiet;

/// Counters and the log's memory.
#[derive(Debug, Default)]
pub(crate) struct Alerts {
    counts: [AtomicU64; Rule::ALL.len()],
    quiet: Mutex<Quiet<(Scope, Rule, bool)>>,
}

impl Alerts {
    /// Counts an alert, and hands it on unless the same one was within the last minute; with how many were
    /// not since then.
    pub(crate) fn note(&self, now: Instant, alert: Alert, tell: impl FnOnce(Alert, u64)) {
        self.counts[alert.rule as usize].fetch_add(1, Ordering::Relaxed);
        let mut quiet = self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
        let unlogged = quiet.turn(now, alert.key());
        drop(quiet);
        if let Some(unlogged) = unlogged {
            tell(alert, unlogged);
        }
    }

    /// Alerts since the start, by rule.
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        let counts = Rule::ALL.iter().zip(&self.counts);
        counts.map(|(rule, count)| (rule.as_str(), count.load(Ordering::Relaxed))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use facts::MerchantId;

    #[test]
    fn f15_an_alert_is_told_at_once_and_its_copies_once_a_minute() {
        let alerts = Alerts::default();
        let mut told = 0;
        for (call, scope) in (1..).zip([1, 1, 2, 1]) {
            let scope = Scope::Merchant(MerchantId(scope));
            // Each of another call.
            let (call, prefix) = (Some(facts::CallId(call)), "861".to_owned());
            let alert = Alert { scope, rule: Rule::SpendPerHour, blocked: true, call, prefix };
            alerts.note(Instant::now(), alert, |_, _| told += 1);
        }
        assert_eq!((told, alerts.counts()["spend_per_hour"]), (2, 4));
        assert_eq!(alerts.counts().len(), Rule::ALL.len());
    }
}
