//! The timers of RFC 3261 appendix A as data: an enum of their letters and a table of optional
//! instants. Nobody sleeps on them; the endpoint asks for the next one and is told when it is due.

use std::time::{Duration, Instant};

/// One timer of RFC 3261 table 4, RFC 6026 §8.8, or RFC 4320 §4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Letter {
    /// INVITE request resend, unreliable transports only (§17.1.1.2).
    A,
    /// INVITE client transaction gives up (§17.1.1.2).
    B,
    /// Wait for response copies of a refused INVITE (§17.1.1.2).
    D,
    /// Non-INVITE request resend, unreliable transports only (§17.1.2.2).
    E,
    /// Non-INVITE client transaction gives up (§17.1.2.2).
    F,
    /// INVITE final response resend (§17.2.1).
    G,
    /// Wait for the ACK of a refused INVITE (§17.2.1).
    H,
    /// Wait for ACK copies (§17.2.1).
    I,
    /// Wait for copies of a non-INVITE request (§17.2.2).
    J,
    /// Wait for response copies of a non-INVITE request (§17.1.2.2).
    K,
    /// Wait for copies of an accepted INVITE (RFC 6026 §7.1).
    L,
    /// Wait for copies of a 2xx, and for 2xx of other branches (RFC 6026 §7.2).
    M,
    /// The moment at which an unanswered non-INVITE request is owed its 100 (RFC 4320 §4.1).
    Trying,
    /// The moment at which nobody waits for an answer to a non-INVITE request (RFC 4320 §4.2).
    Stale,
}

impl Letter {
    /// The name that appears in logs and in the answer of `poll_timeout`.
    pub fn as_str(self) -> &'static str {
        match self {
            Letter::A => "timer A",
            Letter::B => "timer B",
            Letter::D => "timer D",
            Letter::E => "timer E",
            Letter::F => "timer F",
            Letter::G => "timer G",
            Letter::H => "timer H",
            Letter::I => "timer I",
            Letter::J => "timer J",
            Letter::K => "timer K",
            Letter::L => "timer L",
            Letter::M => "timer M",
            Letter::Trying => "100 due",
            Letter::Stale => "request stale",
        }
    }
}

/// At most one instant for each letter, and two letters at one time: no machine of RFC 3261 §17 runs
/// more than one timer that resends and one that gives up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table([Option<(Instant, Letter)>; 2]);

impl Table {
    /// Starts or restarts a timer.
    pub(crate) fn set(&mut self, letter: Letter, at: Instant) {
        let place = self.place(|running| running == Some(letter));
        let place = place.or_else(|| self.place(|running| running.is_none()));
        self.0[place.expect("a machine runs two timers at most")] = Some((at, letter));
    }

    /// Stops a timer; it is no mistake to stop one that does not run.
    pub(crate) fn stop(&mut self, letter: Letter) {
        if let Some(place) = self.place(|running| running == Some(letter)) {
            self.0[place] = None;
        }
    }

    /// Stops all of them: the step into a state starts its own.
    pub(crate) fn clear(&mut self) {
        self.0 = [None; 2];
    }

    /// The earliest instant and its letter.
    pub(crate) fn next(&self) -> Option<(Instant, Letter)> {
        self.0.into_iter().flatten().min()
    }

    fn place(&self, is: impl Fn(Option<Letter>) -> bool) -> Option<usize> {
        self.0.iter().position(|timer| is(timer.map(|(_, letter)| letter)))
    }

    /// Takes the earliest timer that is due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Letter> {
        let (at, letter) = self.next()?;
        if at > now {
            return None;
        }
        self.stop(letter);
        Some(letter)
    }
}

/// The values behind the letters (RFC 3261 table 4). Every one is a knob.
///
/// The limits that RFC 3261 gives as 64·T1 have fields of their own so that an operator can
/// shorten one without touching the others; [`Timers::scaled`] derives all of them from T1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timers {
    /// Round-trip estimate, 500 ms.
    pub t1: Duration,
    /// Longest resend interval, 4 s.
    pub t2: Duration,
    /// How long a message may live in the network, 5 s.
    pub t4: Duration,
    /// INVITE without any answer, 64·T1.
    pub timer_b: Duration,
    /// Longest ringing of an outgoing INVITE before it is cancelled (§16.6 step 11: over 3 min).
    pub timer_c: Duration,
    /// Lifetime of a refused client INVITE over UDP, at least 32 s.
    pub timer_d: Duration,
    /// Non-INVITE request without a final answer, 64·T1.
    pub timer_f: Duration,
    /// Refused INVITE without an ACK, 64·T1.
    pub timer_h: Duration,
    /// Lifetime of an answered non-INVITE server transaction over UDP, 64·T1.
    pub timer_j: Duration,
    /// Lifetime of an accepted INVITE server transaction, 64·T1 (RFC 6026 §7.1).
    pub timer_l: Duration,
    /// Lifetime of an accepted INVITE client transaction, 64·T1 (RFC 6026 §7.2).
    pub timer_m: Duration,
    /// How long a 2xx is resent without an ACK before the session is given up, 64·T1 (§13.3.1.4).
    pub ack_wait: Duration,
    /// How long a cancelled INVITE is waited for, 64·T1 (§9.1).
    pub cancel_wait: Duration,
    /// How often a provisional answer is repeated so that no proxy gives up, 60 s (§13.3.1.1).
    pub provisional_repeat: Duration,
    /// How long the user may take to answer an offer in an UPDATE or PRACK, 16·T1: its sender waits
    /// 64·T1, and its far end must not take it for lost (RFC 3311 §5.2).
    pub update_wait: Duration,
}

impl Timers {
    /// All timers derived from the three estimates as RFC 3261 table 4 does.
    pub fn scaled(t1: Duration, t2: Duration, t4: Duration) -> Timers {
        let limit = t1 * 64;
        Timers {
            t1,
            t2,
            t4,
            timer_b: limit,
            timer_c: Duration::from_secs(181),
            timer_d: limit.max(Duration::from_secs(32)),
            timer_f: limit,
            timer_h: limit,
            timer_j: limit,
            timer_l: limit,
            timer_m: limit,
            ack_wait: limit,
            cancel_wait: limit,
            provisional_repeat: Duration::from_secs(60),
            update_wait: t1 * 16,
        }
    }

    /// The instant, counted from the first send, at which timer E has grown to T2: before it a
    /// 100 to a non-INVITE request over UDP does harm, after it the 100 is owed (RFC 4320 §4.1).
    pub(crate) fn trying_after(&self) -> Duration {
        let mut interval = self.t1;
        let mut sum = Duration::ZERO;
        while interval < self.t2 && !interval.is_zero() {
            sum += interval;
            interval *= 2;
        }
        sum
    }
}

impl Default for Timers {
    fn default() -> Timers {
        Timers::scaled(Duration::from_millis(500), Duration::from_secs(4), Duration::from_secs(5))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc4320_4_1_trying_is_owed_at_3_5_seconds() {
        assert_eq!(Timers::default().trying_after(), Duration::from_millis(3500));
    }

    #[test]
    fn the_earliest_timer_is_taken_first_and_once() {
        let start = crate::transaction::tests_epoch();
        let mut table = Table::default();
        table.set(Letter::B, start + Duration::from_secs(32));
        table.set(Letter::A, start + Duration::from_millis(500));
        assert_eq!(table.take_due(start), None);
        assert_eq!(table.take_due(start + Duration::from_secs(40)), Some(Letter::A));
        assert_eq!(table.take_due(start + Duration::from_secs(40)), Some(Letter::B));
        assert_eq!(table.take_due(start + Duration::from_secs(40)), None);
    }
}
