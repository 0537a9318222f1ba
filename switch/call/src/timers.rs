//! Deadlines as data: one table, one instant per key.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use facts::{CallId, LegId, LegNo};

/// What a deadline is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Timer {
    /// The ledger did not answer in time.
    Authorize,
    /// The ledger did not answer at all.
    Unauthorized,
    /// The ledger did not answer about one more leg.
    Transfer,
    /// Nobody took a parked call.
    Park,
    /// The media plane did not give a port.
    Open,
    /// The phone rang long enough.
    Ring,
    /// The store did not write down what an extension dialled.
    Serve,
    /// These members of a group rang long enough.
    Step,
    /// Nothing at all came from the next hop: try another.
    Response,
    /// Whoever calls hears of ringing, whatever the carrier says.
    Pretend,
    /// Time to pay for more talk.
    Extend,
    /// The paid time is about to end: beep.
    Warn,
    /// The paid time is over.
    Paid,
    /// The longest talk time is about to end: beep.
    MaxWarn,
    /// The longest talk time is over.
    Max,
    /// A prompt takes too long.
    Prompt,
    /// No key came in time, or a pause is over.
    Wait,
    /// Nothing was heard of the end of an announcement of a recording.
    Consent,
    /// The media plane did not give its figures.
    Close,
    /// No call lives past this.
    Deadline,
    /// Send the facts again.
    Settle,
}

/// Whose deadline. The engine's own keys are apart from those of calls.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Key {
    pub(crate) call: CallId,
    /// `None` for the call as a whole.
    pub(crate) leg: Option<LegNo>,
    pub(crate) timer: Timer,
}

impl Key {
    pub(crate) const fn call(call: CallId, timer: Timer) -> Key {
        Key { call, leg: None, timer }
    }

    pub(crate) const fn leg(leg: LegId, timer: Timer) -> Key {
        Key { call: leg.call, leg: Some(leg.no), timer }
    }
}

/// The table. Setting a key again moves its deadline.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_key: BTreeMap<Key, Instant>,
    by_time: BTreeSet<(Instant, Key)>,
}

impl Timers {
    pub(crate) fn set(&mut self, key: Key, at: Instant) {
        self.cancel(key);
        self.by_key.insert(key, at);
        self.by_time.insert((at, key));
    }

    pub(crate) fn cancel(&mut self, key: Key) {
        if let Some(at) = self.by_key.remove(&key) {
            self.by_time.remove(&(at, key));
        }
    }

    /// Cancels every deadline of a leg.
    pub(crate) fn cancel_leg(&mut self, leg: LegId) {
        self.cancel_where(leg.call, |key| key.leg == Some(leg.no));
    }

    /// Cancels every deadline of a call and its legs.
    pub(crate) fn cancel_call(&mut self, call: CallId) {
        self.cancel_where(call, |_| true);
    }

    fn cancel_where(&mut self, call: CallId, which: impl Fn(&Key) -> bool) {
        let first = Key::call(call, Timer::Authorize);
        let due: Vec<Key> = self
            .by_key
            .range(first..)
            .map(|(key, _)| *key)
            .take_while(|key| key.call == call)
            .filter(which)
            .collect();
        for key in due {
            self.cancel(key);
        }
    }

    /// Takes the earliest deadline that has come.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Key> {
        let (at, key) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.cancel(key);
        Some(key)
    }

    /// Whether a call or a leg of it has a deadline.
    pub(crate) fn has(&self, call: CallId) -> bool {
        let first = Key::call(call, Timer::Authorize);
        self.by_key.range(first..).next().is_some_and(|(key, _)| key.call == call)
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }
}
