//! Non-INVITE server transaction: RFC 3261 §17.2.2, figure 8, with RFC 4320.
//!
//! ```text
//!                          | request: told
//!                          V
//!                   +------------+
//!                   |            |-- 200-699 from the user: send ---+
//!                   |   Trying   |                                  |
//!                   |            |-- request copy: absorbed         |
//!                   +------------+                                  |
//!                     | 100 due (RFC 4320 §4.1): send               |
//!    request copy:    V                                             |
//!    send response  +------------+                                  |
//!           +-------|            |-- 200-699 from the user: send -+ |
//!           +------>| Proceeding |                                | |
//!                   +------------+                                V V
//!                     | nobody waits any more               +-----------+
//!                     | (RFC 4320 §4.2)       request copy: |           |
//!                     |                       send response | Completed |
//!                     V                                   +>|           |
//!               Terminated <------------ timer J ---------- +-----------+
//! ```
//!
//! A challenge (401, 407) keeps no state (§8.2.7): the copy of a request without credentials is a request
//! without credentials, and a flood of them leaves nothing behind.
//!
//! Updates: RFC 4320. §4.1 forbids every provisional response but 100, forbids the 100 over UDP
//! before the client's timer E has grown to T2, and owes it from then on. §4.2 forbids a final
//! answer that nobody waits for, and 408 altogether.

use std::time::{Duration, Instant};

use super::{Letter, Send, Step, Table, Tell, Timers};

/// The machine of one request other than INVITE and ACK that we received.
#[derive(Clone, Debug)]
pub(crate) struct ServerOther {
    state: State,
    timers: Table,
    completed_for: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Trying,
    Proceeding,
    Completed,
    Terminated,
}

impl ServerOther {
    /// A request arrived that matches no transaction.
    pub(crate) fn start(now: Instant, values: &Timers, reliable: bool) -> ServerOther {
        let mut timers = Table::default();
        timers.set(Letter::Trying, now + values.trying_after());
        timers.set(Letter::Stale, now + values.timer_f);
        ServerOther {
            state: State::Trying,
            timers,
            // §17.2.2: timer J is 64·T1 over UDP, zero on reliable transports.
            completed_for: if reliable { Duration::ZERO } else { values.timer_j },
        }
    }

    /// A copy of the request (§17.2.3).
    pub(crate) fn handle_copy(&mut self) -> Step {
        match self.state {
            State::Trying | State::Terminated => Step::NOTHING,
            State::Proceeding | State::Completed => Step::send(Send::Response),
        }
    }

    /// The user's final answer. A second one is refused by an empty step.
    pub(crate) fn respond(&mut self, now: Instant, code: u16) -> Step {
        if !self.is_pending() {
            return Step::NOTHING;
        }
        self.timers.clear();
        // RFC 4320 §4.2: a 408 to a non-INVITE request never leaves.
        if code == 408 {
            self.state = State::Terminated;
            return Step::done();
        }
        let step = Step::send(Send::Response);
        if self.completed_for.is_zero() || matches!(code, 401 | 407) {
            self.state = State::Terminated;
            return step.and_done();
        }
        self.state = State::Completed;
        self.timers.set(Letter::J, now + self.completed_for);
        step
    }

    /// One due timer; call until it returns `None`.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Option<Step> {
        let letter = self.timers.take_due(now)?;
        Some(match (self.state, letter) {
            // RFC 4320 §4.1: the 100 is owed now.
            (State::Trying, Letter::Trying) => {
                self.state = State::Proceeding;
                Step::send(Send::Trying)
            }
            // RFC 4320 §4.2: the client has given up; say nothing.
            (State::Trying | State::Proceeding, Letter::Stale) => {
                self.timers.clear();
                self.state = State::Terminated;
                Step::tell(Tell::Timeout).and_done()
            }
            (State::Completed, Letter::J) => {
                self.state = State::Terminated;
                Step::done()
            }
            _ => Step::NOTHING,
        })
    }

    /// The next instant at which [`Self::handle_timeout`] has work.
    pub(crate) fn poll_timeout(&self) -> Option<(Instant, Letter)> {
        self.timers.next()
    }

    /// A final answer is still owed by us.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.state, State::Trying | State::Proceeding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::tests_epoch;

    #[test]
    fn rfc3261_17_2_2_copies_get_the_final_response_for_timer_j() {
        let (start, values) = (tests_epoch(), Timers::default());
        let mut machine = ServerOther::start(start, &values, false);
        assert_eq!(machine.handle_copy(), Step::NOTHING, "nothing to say in Trying");
        assert_eq!(machine.respond(start, 200), Step::send(Send::Response));
        assert_eq!(machine.handle_copy(), Step::send(Send::Response));
        assert_eq!(machine.respond(start, 500), Step::NOTHING);
        let end = start + Duration::from_secs(32);
        assert_eq!(machine.poll_timeout(), Some((end, Letter::J)));
        assert_eq!(machine.handle_timeout(end), Some(Step::done()));
    }

    #[test]
    fn rfc3261_8_2_7_a_challenge_leaves_no_transaction() {
        for code in [401, 407] {
            let mut machine = ServerOther::start(tests_epoch(), &Timers::default(), false);
            assert_eq!(machine.respond(tests_epoch(), code), Step::send(Send::Response).and_done());
            assert_eq!(machine.poll_timeout(), None);
        }
    }

    #[test]
    fn rfc3261_17_2_2_timer_j_is_zero_on_reliable_transports() {
        let start = tests_epoch();
        let mut machine = ServerOther::start(start, &Timers::default(), true);
        assert_eq!(machine.respond(start, 200), Step::send(Send::Response).and_done());
    }

    #[test]
    fn a13_rfc4320_4_1_the_100_leaves_at_3_5_s_and_not_before() {
        let start = tests_epoch();
        let mut machine = ServerOther::start(start, &Timers::default(), false);
        let due = start + Duration::from_millis(3500);
        assert_eq!(machine.poll_timeout(), Some((due, Letter::Trying)));
        assert_eq!(machine.handle_timeout(due - Duration::from_millis(1)), None);
        assert_eq!(machine.handle_timeout(due), Some(Step::send(Send::Trying)));
        assert_eq!(machine.handle_copy(), Step::send(Send::Response));
    }

    #[test]
    fn a13_rfc4320_4_2_no_408_and_no_answer_that_nobody_waits_for() {
        let (start, values) = (tests_epoch(), Timers::default());
        let mut machine = ServerOther::start(start, &values, false);
        assert_eq!(machine.respond(start, 408), Step::done());
        let mut machine = ServerOther::start(start, &values, false);
        let _ = machine.handle_timeout(start + Duration::from_millis(3500));
        let end = start + Duration::from_secs(32);
        assert_eq!(machine.poll_timeout(), Some((end, Letter::Stale)));
        assert_eq!(machine.handle_timeout(end), Some(Step::tell(Tell::Timeout).and_done()));
        assert_eq!(machine.respond(end, 200), Step::NOTHING);
    }
}
