//! What became of each call, by the clock of the generator.

use std::collections::BTreeMap;
use std::time::Instant;

/// Nanoseconds since the start of a run; 0 is never.
pub(crate) type Stamp = u64;

/// One clock for all stamps of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock(Instant::now())
    }

    pub(crate) fn now(self) -> Stamp {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)
    }
}

/// One call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Call {
    /// The request was due, and was written.
    pub(crate) due: Stamp,
    pub(crate) asked: Stamp,
    /// The HTTP answer was there, and said yes.
    pub(crate) replied: Stamp,
    pub(crate) accepted: bool,
    /// By leg: INVITE heard, 200 sent, ACK heard.
    pub(crate) invited: [Stamp; 2],
    pub(crate) answered: [Stamp; 2],
    pub(crate) acknowledged: [Stamp; 2],
    /// B's BYE left; A heard one.
    pub(crate) hung_up: Stamp,
    pub(crate) ended: Stamp,
    /// The merchant was told.
    pub(crate) told: Stamp,
}

impl Call {
    /// Where a call that nobody was told of got stuck.
    fn stuck(&self) -> &'static str {
        match () {
            () if self.replied == 0 => "no HTTP answer",
            () if self.invited[0] == 0 => "no INVITE at A",
            () if self.acknowledged[0] == 0 => "no ACK at A",
            () if self.invited[1] == 0 => "no INVITE at B",
            () if self.acknowledged[1] == 0 => "no ACK at B",
            () if self.ended == 0 => "no BYE at A",
            () => "no notification",
        }
    }
}

/// All calls of a run.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) clock: Clock,
    pub(crate) calls: Vec<Call>,
    /// Refusals by their text, results that are no success by their word, and other trouble.
    pub(crate) failures: BTreeMap<String, u64>,
    pub(crate) told: u64,
    pub(crate) succeeded: u64,
    /// Notifications that came again.
    pub(crate) told_again: u64,
    /// Requests that the switch sent again, and answers and BYEs that its far ends had to send again.
    pub(crate) copies_heard: u64,
    pub(crate) copies_sent: u64,
}

impl Account {
    pub(crate) fn new(calls: u32) -> Account {
        Account {
            clock: Clock::start(),
            calls: vec![Call::default(); calls as usize],
            failures: BTreeMap::new(),
            told: 0,
            succeeded: 0,
            told_again: 0,
            copies_heard: 0,
            copies_sent: 0,
        }
    }

    pub(crate) fn fault(&mut self, kind: impl Into<String>) {
        *self.failures.entry(kind.into()).or_insert(0) += 1;
    }

    /// A notification: which call, and its word.
    pub(crate) fn tell(&mut self, no: usize, word: &str, now: Stamp) {
        let Some(call) = self.calls.get_mut(no) else { return self.fault("told of a stranger") };
        if call.told > 0 {
            self.told_again += 1;
            return;
        }
        call.told = now;
        self.told += 1;
        if word == "success" {
            self.succeeded += 1;
        } else {
            self.fault(format!("result {word}"));
        }
    }

    /// Calls that were accepted (or refused) and of which nothing more is expected.
    pub(crate) fn settled(&self) -> bool {
        self.calls.iter().all(|call| call.told > 0 || (call.replied > 0 && !call.accepted))
    }

    /// Names what is still open after the end.
    pub(crate) fn close(&mut self) {
        let open = |call: &&Call| call.told == 0 && (call.accepted || call.replied == 0);
        let stuck: Vec<&str> = self.calls.iter().filter(open).map(Call::stuck).collect();
        for kind in stuck {
            self.fault(kind);
        }
    }

    /// p50 and p99, milliseconds, of what lies between two stamps of the calls due in the plateau.
    pub(crate) fn between(
        &self,
        plateau: &std::ops::Range<Stamp>,
        from: impl Fn(&Call) -> Stamp,
        to: impl Fn(&Call) -> Stamp,
    ) -> Waits {
        let mut waits: Vec<Stamp> = self
            .calls
            .iter()
            .filter(|call| plateau.contains(&call.due) && from(call) > 0 && to(call) > 0)
            .map(|call| to(call).saturating_sub(from(call)))
            .collect();
        waits.sort_unstable();
        let at = |share: usize| {
            let index = (waits.len() * share / 100).min(waits.len().saturating_sub(1));
            waits.get(index).map_or(f64::NAN, |wait| *wait as f64 / 1e6)
        };
        Waits { p50: at(50), p99: at(99) }
    }
}

/// Milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_ends_in_exactly_one_count() {
        let mut account = Account::new(4);
        for call in &mut account.calls {
            (call.due, call.asked, call.replied, call.accepted) = (1, 1, 2, true);
        }
        account.tell(0, "success", 5);
        account.tell(0, "success", 6);
        account.tell(1, "fail", 6);
        account.calls[2].invited[0] = 3;
        account.calls[3].accepted = false;
        assert!(!account.settled());
        account.close();
        assert_eq!((account.succeeded, account.told_again), (1, 1));
        let kinds: Vec<(&str, u64)> =
            account.failures.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
        assert_eq!(kinds, [("no ACK at A", 1), ("result fail", 1)]);
    }

    #[test]
    fn waits_are_of_the_plateau_alone() {
        let mut account = Account::new(3);
        for (call, (due, wait)) in
            account.calls.iter_mut().zip([(5, 1_000_000), (15, 2_000_000), (16, 4_000_000)])
        {
            (call.due, call.replied) = (due, due + wait);
        }
        let waits = account.between(&(10..20), |call| call.due, |call| call.replied);
        assert!((waits.p50 - 4.0).abs() < 1e-9 && (waits.p99 - 4.0).abs() < 1e-9, "{waits:?}");
    }
}
