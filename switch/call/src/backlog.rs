//! What the ledger has been asked and has not answered yet, and whether another question would only wait.
//!
//! It is behind when its oldest question has waited too long, or when more wait than it answers in half a
//! second: whoever asks now would hear when nobody waits for it any more, and its work for him would be lost
//! to those who do.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use facts::CallId;

/// So many questions may wait at any rate: a start, or a disk that hesitates, is no reason to refuse.
const FEW: usize = 512;
/// The part of a second whose answers may be waited for.
const SHARE: usize = 2;
/// For so long a ledger is left alone that could not be asked.
const REST: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);

/// The questions. Ids rise with time, so the first one is the oldest.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    waiting: BTreeMap<CallId, Instant>,
    /// Since when answers are counted, how many, and how many there were in the second before.
    since: Option<Instant>,
    answers: usize,
    rate: usize,
    /// It is left alone until then.
    rests_until: Option<Instant>,
}

impl Backlog {
    /// The ledger is asked about a call.
    pub(crate) fn asked(&mut self, now: Instant, call: CallId) {
        self.waiting.insert(call, now);
    }

    /// It has answered, or never will.
    pub(crate) fn answered(&mut self, now: Instant, call: CallId) {
        if self.waiting.remove(&call).is_none() {
            return;
        }
        let passed = self.since.map(|since| now.saturating_duration_since(since));
        if passed.is_none_or(|passed| passed >= SECOND) {
            self.rate =
                if passed.is_some_and(|passed| passed < 2 * SECOND) { self.answers } else { 0 };
            (self.since, self.answers) = (Some(now), 0);
        }
        self.answers += 1;
    }

    /// It would not even take the question: whoever comes in the next moment need not try.
    pub(crate) fn failed(&mut self, now: Instant, call: CallId) {
        // What it takes back is told in the same words.
        if self.waiting.contains_key(&call) {
            self.rests_until = Some(now + REST);
        }
    }

    /// Whether another question should not be asked. `patience`: the oldest one may have waited so long.
    pub(crate) fn is_behind(&self, now: Instant, patience: Duration) -> bool {
        let oldest = self.waiting.first_key_value();
        let late = oldest.is_some_and(|(_, at)| now.saturating_duration_since(*at) > patience);
        let rests = self.rests_until.is_some_and(|until| until > now);
        rests || late || self.waiting.len() > FEW.max(self.rate.max(self.answers) / SHARE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::start;

    #[test]
    fn b14_no_more_are_asked_than_are_answered_in_half_a_second() {
        let begun = start().mono;
        let patience = Duration::from_secs(1);
        let mut backlog = Backlog::default();
        let mut next = 0;
        let mut ask = |backlog: &mut Backlog, now| {
            backlog.asked(now, CallId(next));
            next += 1;
        };
        for _ in 0..=FEW {
            assert!(!backlog.is_behind(begun, patience));
            ask(&mut backlog, begun);
        }
        assert!(backlog.is_behind(begun, patience), "nothing is known of it yet");
        // Two thousand a second are answered, for two seconds.
        for n in 0..4_000 {
            let now = begun + Duration::from_micros(500) * n;
            ask(&mut backlog, now);
            backlog.answered(now, CallId(n.into()));
        }
        let now = begun + Duration::from_secs(2);
        assert!(!backlog.is_behind(now, patience), "513 wait, a quarter of a second");
        for _ in 0..500 {
            ask(&mut backlog, now);
        }
        assert!(backlog.is_behind(now, patience), "1013 wait, more than half a second");
        for n in 4_000..4_520 {
            backlog.answered(now, CallId(n));
        }
        assert!(!backlog.is_behind(now, patience));
        assert!(backlog.is_behind(now + Duration::from_millis(1_001), patience), "the oldest one");
    }

    #[test]
    fn b14_a_ledger_that_took_no_question_is_left_alone_for_a_moment() {
        let begun = start().mono;
        let patience = Duration::from_secs(1);
        let mut backlog = Backlog::default();
        backlog.failed(begun, CallId(1));
        assert!(!backlog.is_behind(begun, patience), "it was not asked");
        backlog.asked(begun, CallId(1));
        backlog.failed(begun, CallId(1));
        backlog.answered(begun, CallId(1));
        assert!(backlog.is_behind(begun, patience));
        assert!(!backlog.is_behind(begun + REST, patience));
    }
}
