//! INVITE server transaction: RFC 3261 §17.2.1, figure 7, as replaced by RFC 6026 figure 7.1.
//!
//! ```text
//!                          | INVITE: 100 sent, request told
//!    INVITE copy:          V
//!    send response  +------------+
//!           +-------|            |-- 101-199 from the user: send -+
//!           +------>| Proceeding |<-------------------------------+
//!                   |            |-- 2xx from the user: send ---------------+
//!                   +------------+                                          |
//!                     | 300-699 from the user: send                         |
//!    INVITE copy or   V                                                     V
//!    timer G: send  +------------+                                    +----------+
//!           +-------|            |-- timer H: told --+   INVITE copy -|          |
//!           +------>| Completed  |                   |   absorbed   +>| Accepted |
//!                   +------------+                   |        ACK:    |          |
//!                     | ACK                          |        told  +>+----------+
//!                     V                              |                      |
//!                   +------------+                   |                      |
//!         ACK copy -| Confirmed  |                   |                      |
//!         absorbed >|            |                   |                      |
//!                   +------------+                   |                      |
//!                     | timer I                      V              timer L |
//!                     +----------------------> Terminated <-----------------+
//! ```
//!
//! Updates: RFC 6026 (Accepted, timer L). In Accepted the 2xx belongs to the user, who resends it
//! until the ACK (§13.3.1.4); an INVITE copy is absorbed without a word (RFC 6026 §7.1).

use std::time::{Duration, Instant};

use super::{Class, Letter, Send, Step, Table, Tell, Timers};

/// The machine of one INVITE that we received.
#[derive(Clone, Debug)]
pub(crate) struct ServerInvite {
    state: State,
    reliable: bool,
    timers: Table,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Proceeding,
    Completed { interval: Duration },
    Confirmed,
    Accepted,
    Terminated,
}

impl ServerInvite {
    /// An INVITE arrived that matches no transaction. The owner sends 100 at once (§17.2.1), since
    /// our user always has to ask someone before it can answer.
    pub(crate) fn start(reliable: bool) -> ServerInvite {
        ServerInvite { state: State::Proceeding, reliable, timers: Table::default() }
    }

    /// A copy of the INVITE (§17.2.3).
    pub(crate) fn handle_copy(&mut self) -> Step {
        match self.state {
            // §17.2.1: the most recent response again.
            State::Proceeding | State::Completed { .. } => Step::send(Send::Response),
            // RFC 6026 §7.1: absorbed, no second leg, ring or charge.
            State::Accepted | State::Confirmed | State::Terminated => Step::NOTHING,
        }
    }

    /// An ACK whose branch is that of the INVITE, or for a 2xx one that the dialog gave to us.
    pub(crate) fn handle_ack(&mut self, now: Instant, values: &Timers) -> Step {
        match self.state {
            // §17.2.1: Confirmed; timer I is T4 over UDP, zero otherwise.
            State::Completed { .. } => {
                self.timers.clear();
                if self.reliable {
                    self.state = State::Terminated;
                    return Step::done();
                }
                self.state = State::Confirmed;
                self.timers.set(Letter::I, now + values.t4);
                Step::NOTHING
            }
            // RFC 6026 §7.1: ACK goes up; the transaction stays for copies of the INVITE.
            State::Accepted => Step::tell(Tell::Ack),
            State::Proceeding | State::Confirmed | State::Terminated => Step::NOTHING,
        }
    }

    /// The user answers. A second final answer is refused by an empty step. Without `resend` a
    /// refusal leaves once (§8.2.7: a challenge is sent without keeping state), and a copy of the
    /// INVITE draws it again.
    pub(crate) fn respond(
        &mut self,
        now: Instant,
        values: &Timers,
        class: Class,
        resend: bool,
    ) -> Step {
        if self.state != State::Proceeding {
            return Step::NOTHING;
        }
        match class {
            Class::Provisional => {}
            // RFC 6026 §7.1: Accepted, timer L on every transport.
            Class::Success => {
                self.state = State::Accepted;
                self.timers.set(Letter::L, now + values.timer_l);
            }
            Class::Refusal => {
                self.state = State::Completed { interval: values.t1 };
                // §17.2.1: timer G only on unreliable transports, timer H on all.
                if resend && !self.reliable {
                    self.timers.set(Letter::G, now + values.t1);
                }
                self.timers.set(Letter::H, now + values.timer_h);
            }
        }
        Step::send(Send::Response)
    }

    /// One due timer; call until it returns `None`.
    pub(crate) fn handle_timeout(&mut self, now: Instant, values: &Timers) -> Option<Step> {
        let letter = self.timers.take_due(now)?;
        Some(match (self.state, letter) {
            // §17.2.1: timer G doubles up to T2.
            (State::Completed { interval }, Letter::G) => {
                let interval = (interval * 2).min(values.t2);
                self.state = State::Completed { interval };
                self.timers.set(Letter::G, now + interval);
                Step::send(Send::Response)
            }
            (State::Completed { .. }, Letter::H) => {
                self.timers.clear();
                self.state = State::Terminated;
                Step::tell(Tell::Timeout).and_done()
            }
            (State::Confirmed, Letter::I) | (State::Accepted, Letter::L) => {
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
        self.state == State::Proceeding
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::tests_epoch;

    #[test]
    fn a3_rfc3261_17_2_1_refusal_is_sent_eleven_times_in_32_s_without_an_ack() {
        let (start, values) = (tests_epoch(), Timers::default());
        let mut machine = ServerInvite::start(false);
        assert_eq!(
            machine.respond(start, &values, Class::Refusal, true),
            Step::send(Send::Response)
        );
        let mut at = vec![0];
        let mut last = Step::NOTHING;
        while let Some((due, _)) = machine.poll_timeout() {
            while let Some(step) = machine.handle_timeout(due, &values) {
                if step.send == Some(Send::Response) {
                    at.push((due - start).as_millis());
                }
                last = step;
            }
        }
        let expected = [0, 500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
        assert_eq!(at, expected);
        assert_eq!(last, Step::tell(Tell::Timeout).and_done());
    }

    #[test]
    fn rfc3261_17_2_1_copies_get_the_latest_response_until_the_ack() {
        let (start, values) = (tests_epoch(), Timers::default());
        let mut machine = ServerInvite::start(false);
        assert_eq!(machine.handle_copy(), Step::send(Send::Response));
        let _ = machine.respond(start, &values, Class::Refusal, true);
        assert_eq!(machine.handle_copy(), Step::send(Send::Response));
        assert_eq!(machine.handle_ack(start, &values), Step::NOTHING);
        assert_eq!(machine.handle_copy(), Step::NOTHING);
        assert_eq!(machine.handle_ack(start, &values), Step::NOTHING, "ACK copies absorbed");
        let end = start + values.t4;
        assert_eq!(machine.poll_timeout(), Some((end, Letter::I)));
        assert_eq!(machine.handle_timeout(end, &values), Some(Step::done()));
    }

    #[test]
    fn rfc3261_17_2_1_reliable_refusal_is_not_resent_and_ends_with_the_ack() {
        let (start, values) = (tests_epoch(), Timers::default());
        let mut machine = ServerInvite::start(true);
        let _ = machine.respond(start, &values, Class::Refusal, true);
        assert_eq!(machine.poll_timeout(), Some((start + values.timer_h, Letter::H)));
        assert_eq!(machine.handle_ack(start, &values), Step::done());
    }

    #[test]
    fn a4_rfc6026_7_1_accepted_lives_32_s_and_absorbs_invite_copies() {
        let (start, values) = (tests_epoch(), Timers::default());
        let mut machine = ServerInvite::start(true);
        assert_eq!(
            machine.respond(start, &values, Class::Success, true),
            Step::send(Send::Response)
        );
        assert_eq!(machine.handle_copy(), Step::NOTHING);
        assert_eq!(machine.handle_ack(start, &values), Step::tell(Tell::Ack));
        assert_eq!(machine.handle_copy(), Step::NOTHING);
        let end = start + Duration::from_secs(32);
        assert_eq!(machine.poll_timeout(), Some((end, Letter::L)));
        assert_eq!(machine.handle_timeout(end, &values), Some(Step::done()));
    }

    #[test]
    fn rfc3261_8_2_7_a_challenge_is_sent_once_and_again_for_each_copy() {
        let (start, values) = (tests_epoch(), Timers::default());
        let mut machine = ServerInvite::start(false);
        let step = machine.respond(start, &values, Class::Refusal, false);
        assert_eq!(step, Step::send(Send::Response));
        assert_eq!(machine.poll_timeout(), Some((start + values.timer_h, Letter::H)));
        assert_eq!(machine.handle_copy(), Step::send(Send::Response));
    }

    #[test]
    fn rfc3261_17_2_1_only_one_final_answer_leaves() {
        let (start, values) = (tests_epoch(), Timers::default());
        let mut machine = ServerInvite::start(false);
        let _ = machine.respond(start, &values, Class::Success, true);
        assert_eq!(machine.respond(start, &values, Class::Refusal, true), Step::NOTHING);
        assert!(!machine.is_pending());
    }
}
