//! How often numbers were rung, as the store in memory keeps it: every ring, looked through each time.

use facts::ledger::Cap;
use facts::{CallId, LegId, LegNo, UnixMillis};

#[derive(Debug, Default)]
pub(crate) struct Rung(Vec<(String, String, LegId, UnixMillis)>);

impl Rung {
    pub(crate) fn may(&self, call: CallId, caps: &[Cap], at: UnixMillis) -> bool {
        caps.iter().all(|cap| {
            let leg = LegId::new(call, cap.leg);
            cap.at_most.iter().all(|span| {
                let since = at.0 - i64::from(span.within_s) * 1_000;
                let mine = self.0.iter().filter(|(key, number, other, at)| {
                    (key, number) == (&cap.key, &cap.number) && *other != leg && at.0 > since
                });
                mine.count() < span.calls as usize
            })
        })
    }

    pub(crate) fn count(&mut self, call: CallId, caps: &[Cap], at: UnixMillis) {
        for cap in caps {
            let leg = LegId::new(call, cap.leg);
            let known = |(key, number, other, _): &(String, String, LegId, UnixMillis)| {
                (key, number, *other) == (&cap.key, &cap.number, leg)
            };
            if !self.0.iter().any(known) {
                self.0.push((cap.key.clone(), cap.number.clone(), leg, at));
            }
        }
    }

    /// Of a call only these legs were dialled.
    pub(crate) fn keep(&mut self, call: CallId, dialled: &[LegNo]) {
        self.0.retain(|(_, _, leg, _)| leg.call != call || dialled.contains(&leg.no));
    }
}
