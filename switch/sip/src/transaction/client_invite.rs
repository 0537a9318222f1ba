//! INVITE client transaction: RFC 3261 §17.1.1, figure 5, as replaced by RFC 6026 figure 7.2.
//!
//! ```text
//!                         | INVITE from the user: send
//!   timer A: send         V                     timer B or transport error
//!   doubled   +------------------+                   tell the user
//!      +------|     Calling      |---------------------------------------+
//!      +----->|                  |------ 2xx: tell ------------------+   |
//!             +------------------+                                   |   |
//!   300-699: ACK, tell  |   | 1xx: tell                              |   |
//!      +----------------+   V                                        |   |
//!      |        +---------------+                                    |   |
//!      |        |  Proceeding   |-- 1xx: tell -+                     |   |
//!      |        |               |<-------------+                     |   |
//!      |        +---------------+------ 2xx: tell ----------------+  |   |
//!      |          | 300-699: ACK, tell                            |  |   |
//!      V          V                                               V  V   |
//!   +-----------------+                                    +-----------+ |
//!   |    Completed    |-- 300-699: ACK -+      2xx: tell --| Accepted  | |
//!   |                 |<----------------+                +>|           | |
//!   +-----------------+                                    +-----------+ |
//!           | timer D or transport error (told)       timer M |          |
//!           +------------------------>  Terminated  <---------+----------+
//! ```
//!
//! Updates: RFC 6026 (Accepted, timer M). Ours: a 2xx that arrives in Completed is told to the
//! user. RFC 3261 §16.7 step 5 lets a proxy forward a 2xx after a refusal of another branch, and
//! the far end would ring or talk to nobody; the user answers it with ACK and BYE.

use std::time::{Duration, Instant};

use super::{Class, Letter, Send, Step, Table, Tell, Timers};

/// The machine of one INVITE that we sent.
#[derive(Clone, Debug)]
pub(crate) struct ClientInvite {
    state: State,
    timers: Table,
    completed_for: Duration,
    accepted_for: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Calling { interval: Duration },
    Proceeding,
    Completed,
    Accepted,
    Terminated,
}

impl ClientInvite {
    /// The INVITE goes out now (§17.1.1.2); the owner sends it.
    pub(crate) fn start(now: Instant, values: &Timers, reliable: bool) -> ClientInvite {
        let mut timers = Table::default();
        if !reliable {
            // §17.1.1.2: "start timer A with a value of T1" on unreliable transports only.
            timers.set(Letter::A, now + values.t1);
        }
        timers.set(Letter::B, now + values.timer_b);
        ClientInvite {
            state: State::Calling { interval: values.t1 },
            timers,
            // §17.1.1.2: timer D is zero on reliable transports.
            completed_for: if reliable { Duration::ZERO } else { values.timer_d },
            accepted_for: values.timer_m,
        }
    }

    /// An INVITE of a process that died, which had gone out: in Proceeding, where nothing is resent
    /// and only the far end's final answer, or its owner, ends it.
    pub(crate) fn resumed(values: &Timers, reliable: bool) -> ClientInvite {
        ClientInvite {
            state: State::Proceeding,
            timers: Table::default(),
            completed_for: if reliable { Duration::ZERO } else { values.timer_d },
            accepted_for: values.timer_m,
        }
    }

    /// A response whose branch and method match (§17.1.3).
    pub(crate) fn handle_response(&mut self, now: Instant, class: Class) -> Step {
        match (self.state, class) {
            // §17.1.1.2: any 1xx stops the resending.
            (State::Calling { .. } | State::Proceeding, Class::Provisional) => {
                self.enter(State::Proceeding);
                Step::tell(Tell::Response)
            }
            // §17.1.1.2: ACK in the transaction, response up.
            (State::Calling { .. } | State::Proceeding, Class::Refusal) => {
                self.enter(State::Completed);
                let step = Step::tell(Tell::Response).and_send(Send::Ack);
                if self.completed_for.is_zero() {
                    self.enter(State::Terminated);
                    return step.and_done();
                }
                self.timers.set(Letter::D, now + self.completed_for);
                step
            }
            // RFC 6026 §7.2: a 2xx leads to Accepted and starts timer M.
            (State::Calling { .. } | State::Proceeding, Class::Success) => {
                self.enter(State::Accepted);
                self.timers.set(Letter::M, now + self.accepted_for);
                Step::tell(Tell::Response)
            }
            // §17.1.1.2: each copy of the refusal is ACKed again and not passed up.
            (State::Completed, Class::Refusal) => Step::send(Send::Ack),
            // Ours, see above.
            (State::Completed, Class::Success) => Step::tell(Tell::Response),
            // RFC 6026 §7.2: each 2xx, of whatever branch, goes to the user.
            (State::Accepted, Class::Success) => Step::tell(Tell::Response),
            // RFC 6026 §8.4: late 1xx and refusals are absorbed.
            (State::Accepted, Class::Provisional | Class::Refusal)
            | (State::Completed, Class::Provisional)
            | (State::Terminated, _) => Step::NOTHING,
        }
    }

    /// The transport refused a message (§17.1.1.2, §17.1.4).
    pub(crate) fn handle_transport_error(&mut self) -> Step {
        let step = match self.state {
            State::Calling { .. } | State::Proceeding => Step::tell(Tell::Timeout),
            // RFC 6026 §7.2: the ACK of a 2xx is the user's, whose copies of the 2xx go on.
            State::Accepted => return Step::NOTHING,
            State::Completed | State::Terminated => Step::NOTHING,
        };
        self.enter(State::Terminated);
        step.and_done()
    }

    /// One due timer; call until it returns `None`.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Option<Step> {
        let letter = self.timers.take_due(now)?;
        Some(match (self.state, letter) {
            // §17.1.1.2: resend, and double the interval without a cap.
            (State::Calling { interval }, Letter::A) => {
                let interval = interval * 2;
                self.state = State::Calling { interval };
                self.timers.set(Letter::A, now + interval);
                Step::send(Send::Request)
            }
            // §17.1.1.2: timer B in Calling is reported as a timeout.
            (State::Calling { .. }, Letter::B) => {
                self.enter(State::Terminated);
                Step::tell(Tell::Timeout).and_done()
            }
            (State::Completed, Letter::D) | (State::Accepted, Letter::M) => {
                self.enter(State::Terminated);
                Step::done()
            }
            _ => Step::NOTHING,
        })
    }

    /// The next instant at which [`Self::handle_timeout`] has work.
    pub(crate) fn poll_timeout(&self) -> Option<(Instant, Letter)> {
        self.timers.next()
    }

    /// No answer of any kind has come: a CANCEL has to wait (§9.1).
    pub(crate) fn is_calling(&self) -> bool {
        matches!(self.state, State::Calling { .. })
    }

    /// A final answer is still owed.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.state, State::Calling { .. } | State::Proceeding)
    }

    /// The request moves to another transport before any answer (§18.1.1: TCP refused, UDP tried).
    pub(crate) fn restart(&mut self, now: Instant, values: &Timers, reliable: bool) {
        *self = ClientInvite::start(now, values, reliable);
    }

    fn enter(&mut self, state: State) {
        self.timers.clear();
        self.state = state;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::tests_epoch;

    /// Runs the machine's timers until `until` and returns when it sent the request, in ms.
    fn sends(machine: &mut ClientInvite, start: Instant, until: Duration) -> (Vec<u128>, Step) {
        let mut at = vec![0];
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
    fn a1_rfc3261_17_1_1_2_timer_a_doubles_seven_sends_and_timer_b_at_32_s() {
        let start = tests_epoch();
        let mut machine = ClientInvite::start(start, &Timers::default(), false);
        let (at, last) = sends(&mut machine, start, Duration::from_millis(31_999));
        assert_eq!(at, [0, 500, 1500, 3500, 7500, 15_500, 31_500]);
        assert_eq!(last.tell, None);
        assert_eq!(machine.poll_timeout(), Some((start + Duration::from_secs(32), Letter::B)));
        let step = machine.handle_timeout(start + Duration::from_secs(32)).unwrap();
        assert_eq!(step, Step::tell(Tell::Timeout).and_done());
        assert_eq!(machine.poll_timeout(), None);
    }

    #[test]
    fn a1_rfc3261_17_1_1_2_reliable_transport_sends_once() {
        let start = tests_epoch();
        let mut machine = ClientInvite::start(start, &Timers::default(), true);
        let (at, last) = sends(&mut machine, start, Duration::from_secs(32));
        assert_eq!(at, [0]);
        assert_eq!(last, Step::tell(Tell::Timeout).and_done());
    }

    #[test]
    fn a1_rfc3261_17_1_1_2_any_1xx_stops_timers_a_and_b() {
        let start = tests_epoch();
        let mut machine = ClientInvite::start(start, &Timers::default(), false);
        let at = start + Duration::from_millis(700);
        assert_eq!(machine.handle_response(at, Class::Provisional), Step::tell(Tell::Response));
        assert_eq!(machine.poll_timeout(), None);
        assert!(machine.is_pending() && !machine.is_calling());
    }

    #[test]
    fn rfc3261_17_1_1_2_refusal_is_acked_each_time_told_once_and_kept_for_timer_d() {
        let start = tests_epoch();
        let mut machine = ClientInvite::start(start, &Timers::default(), false);
        let first = machine.handle_response(start, Class::Refusal);
        assert_eq!(first, Step::tell(Tell::Response).and_send(Send::Ack));
        assert_eq!(machine.handle_response(start, Class::Refusal), Step::send(Send::Ack));
        assert_eq!(machine.handle_response(start, Class::Provisional), Step::NOTHING);
        let end = start + Duration::from_secs(32);
        assert_eq!(machine.poll_timeout(), Some((end, Letter::D)));
        assert_eq!(machine.handle_timeout(end), Some(Step::done()));
    }

    #[test]
    fn rfc3261_17_1_1_2_timer_d_is_zero_on_reliable_transports() {
        let start = tests_epoch();
        let mut machine = ClientInvite::start(start, &Timers::default(), true);
        let step = machine.handle_response(start, Class::Refusal);
        assert_eq!(step, Step::tell(Tell::Response).and_send(Send::Ack).and_done());
    }

    #[test]
    fn rfc6026_7_2_accepted_tells_every_2xx_and_absorbs_refusals_until_timer_m() {
        let start = tests_epoch();
        let mut machine = ClientInvite::start(start, &Timers::default(), true);
        for _ in 0..3 {
            let step = machine.handle_response(start, Class::Success);
            assert_eq!(step, Step::tell(Tell::Response));
        }
        assert_eq!(machine.handle_response(start, Class::Refusal), Step::NOTHING);
        assert_eq!(machine.handle_response(start, Class::Provisional), Step::NOTHING);
        let end = start + Duration::from_secs(32);
        assert_eq!(machine.poll_timeout(), Some((end, Letter::M)));
        assert_eq!(machine.handle_timeout(end), Some(Step::done()));
    }

    #[test]
    fn rfc3261_17_1_4_transport_error_is_told_while_an_answer_is_owed() {
        let start = tests_epoch();
        let mut machine = ClientInvite::start(start, &Timers::default(), false);
        assert_eq!(machine.handle_transport_error(), Step::tell(Tell::Timeout).and_done());
        let mut machine = ClientInvite::start(start, &Timers::default(), false);
        let _ = machine.handle_response(start, Class::Success);
        assert_eq!(machine.handle_transport_error(), Step::NOTHING);
    }

    #[test]
    fn a_2xx_of_another_branch_after_a_refusal_reaches_the_user() {
        let start = tests_epoch();
        let mut machine = ClientInvite::start(start, &Timers::default(), false);
        let _ = machine.handle_response(start, Class::Refusal);
        assert_eq!(machine.handle_response(start, Class::Success), Step::tell(Tell::Response));
    }
}
