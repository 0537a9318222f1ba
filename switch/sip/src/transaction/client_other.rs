//! Non-INVITE client transaction: RFC 3261 §17.1.2, figure 6.
//!
//! ```text
//!                         | request from the user: send
//!   timer E: send         V                     timer F or transport error
//!   doubled  +------------------+                    tell the user
//!   up to T2 |                  |------------------------------------------+
//!      +-----|      Trying      |                                          |
//!      +---->|                  |---- 200-699: tell -------+               |
//!            +------------------+                          |               |
//!                     | 1xx: tell                          |               |
//!   timer E: send     V                                    |               |
//!   every T2 +------------------+                          |               |
//!      +-----|    Proceeding    |---- 200-699: tell -----+ |               |
//!      +---->|                  |---- timer F, error ----------------------+
//!            +------------------+                        | |               |
//!                                                        V V               |
//!            +------------------+                  +-------------+         |
//!            |    Terminated    |<--- timer K -----|  Completed  |         |
//!            +------------------+                  +-------------+         |
//!                     ^----------------------------------------------------+
//! ```

use std::time::{Duration, Instant};

use super::{Class, Letter, Send, Step, Table, Tell, Timers};

/// The machine of one request other than INVITE and ACK that we sent.
#[derive(Clone, Debug)]
pub(crate) struct ClientOther {
    state: State,
    timers: Table,
    reliable: bool,
    t2: Duration,
    completed_for: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Trying { interval: Duration },
    Proceeding,
    Completed,
    Terminated,
}

impl ClientOther {
    /// The request goes out now (§17.1.2.2); the owner sends it.
    pub(crate) fn start(now: Instant, values: &Timers, reliable: bool) -> ClientOther {
        let mut timers = Table::default();
        timers.set(Letter::F, now + values.timer_f);
        if !reliable {
            timers.set(Letter::E, now + values.t1);
        }
        ClientOther {
            state: State::Trying { interval: values.t1 },
            timers,
            reliable,
            t2: values.t2,
            // §17.1.2.2: timer K is T4 over UDP, zero on reliable transports.
            completed_for: if reliable { Duration::ZERO } else { values.t4 },
        }
    }

    /// A response whose branch and method match (§17.1.3).
    pub(crate) fn handle_response(&mut self, now: Instant, class: Class) -> Step {
        match (self.state, class) {
            // §17.1.2.2: after a 1xx timer E runs at T2; timer F goes on.
            (State::Trying { .. }, Class::Provisional) => {
                self.state = State::Proceeding;
                if !self.reliable {
                    self.timers.set(Letter::E, now + self.t2);
                }
                Step::tell(Tell::Response)
            }
            (State::Proceeding, Class::Provisional) => Step::tell(Tell::Response),
            (State::Trying { .. } | State::Proceeding, Class::Success | Class::Refusal) => {
                self.timers.clear();
                let step = Step::tell(Tell::Response);
                if self.completed_for.is_zero() {
                    self.state = State::Terminated;
                    return step.and_done();
                }
                self.state = State::Completed;
                self.timers.set(Letter::K, now + self.completed_for);
                step
            }
            // §17.1.2.2: Completed exists to absorb copies of the response.
            (State::Completed | State::Terminated, _) => Step::NOTHING,
        }
    }

    /// The transport refused the request (§17.1.4).
    pub(crate) fn handle_transport_error(&mut self) -> Step {
        let told = matches!(self.state, State::Trying { .. } | State::Proceeding);
        self.timers.clear();
        self.state = State::Terminated;
        if told { Step::tell(Tell::Timeout).and_done() } else { Step::done() }
    }

    /// One due timer; call until it returns `None`.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Option<Step> {
        let letter = self.timers.take_due(now)?;
        Some(match (self.state, letter) {
            // §17.1.2.2: MIN(2·T1, T2), MIN(4·T1, T2) and so on.
            (State::Trying { interval }, Letter::E) => {
                let interval = (interval * 2).min(self.t2);
                self.state = State::Trying { interval };
                self.timers.set(Letter::E, now + interval);
                Step::send(Send::Request)
            }
            (State::Proceeding, Letter::E) => {
                self.timers.set(Letter::E, now + self.t2);
                Step::send(Send::Request)
            }
            (State::Trying { .. } | State::Proceeding, Letter::F) => {
                self.timers.clear();
                self.state = State::Terminated;
                Step::tell(Tell::Timeout).and_done()
            }
            (State::Completed, Letter::K) => {
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

    /// A final answer is still owed.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.state, State::Trying { .. } | State::Proceeding)
    }

    /// The request moves to another transport before any answer (§18.1.1).
    pub(crate) fn restart(&mut self, now: Instant, values: &Timers, reliable: bool) {
        *self = ClientOther::start(now, values, reliable);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::tests_epoch;

    fn run(machine: &mut ClientOther, start: Instant, until: Duration) -> (Vec<u128>, Step) {
        let mut at = Vec::new();
        let mut last = Step::NOTHING;
        while let Some((due, _)) = machine.poll_timeout() {
            if due > start + until {
                break;
            }
            while let Some(step) = machine.handle_timeout(due) {
                if step.send == Some(Send::Request) {
                    at.push((due - start).as_millis());
                }
                last = step;
            }
        }
        (at, last)
    }

    #[test]
    fn a2_rfc3261_17_1_2_2_eleven_sends_in_32_s_with_the_gap_capped_at_t2() {
        let start = tests_epoch();
        let mut machine = ClientOther::start(start, &Timers::default(), false);
        let (at, last) = run(&mut machine, start, Duration::from_secs(32));
        let expected = [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
        assert_eq!(at, expected, "ten resends after the first send");
        assert_eq!(last, Step::tell(Tell::Timeout).and_done());
    }

    #[test]
    fn a2_rfc3261_17_1_2_2_after_a_1xx_the_gap_is_t2() {
        let start = tests_epoch();
        let mut machine = ClientOther::start(start, &Timers::default(), false);
        let at = start + Duration::from_millis(100);
        assert_eq!(machine.handle_response(at, Class::Provisional), Step::tell(Tell::Response));
        let (at, last) = run(&mut machine, start, Duration::from_secs(32));
        assert_eq!(at, [4100, 8100, 12_100, 16_100, 20_100, 24_100, 28_100]);
        assert_eq!(last.tell, Some(Tell::Timeout), "timer F still runs");
    }

    #[test]
    fn rfc3261_17_1_2_2_reliable_sends_once_and_ends_with_the_answer() {
        let start = tests_epoch();
        let mut machine = ClientOther::start(start, &Timers::default(), true);
        assert_eq!(run(&mut machine, start, Duration::from_secs(31)).0, [0_u128; 0]);
        let step = machine.handle_response(start, Class::Refusal);
        assert_eq!(step, Step::tell(Tell::Response).and_done());
    }

    #[test]
    fn rfc3261_17_1_2_2_timer_k_absorbs_copies_for_t4() {
        let start = tests_epoch();
        let mut machine = ClientOther::start(start, &Timers::default(), false);
        assert_eq!(machine.handle_response(start, Class::Success), Step::tell(Tell::Response));
        assert_eq!(machine.handle_response(start, Class::Success), Step::NOTHING);
        let end = start + Duration::from_secs(5);
        assert_eq!(machine.poll_timeout(), Some((end, Letter::K)));
        assert_eq!(machine.handle_timeout(end), Some(Step::done()));
    }

    #[test]
    fn rfc3261_17_1_4_transport_error_is_told_once() {
        let start = tests_epoch();
        let mut machine = ClientOther::start(start, &Timers::default(), false);
        assert_eq!(machine.handle_transport_error(), Step::tell(Tell::Timeout).and_done());
        assert_eq!(machine.handle_transport_error(), Step::done());
    }
}
