//! Reliable provisional responses (RFC 3262), one machine a role. Neither knows messages or
//! transactions: they number, keep order, and say what to send again.
//!
//! ```text
//!   UAS  push ──► open ──PRACK──► the next one that waits, or nothing
//!                  │ T1, 2·T1, 4·T1 … the same bytes; 64·T1: give up
//!   UAC  RSeq n (the first, any n) ──► taken; n+1 next; copies dropped, later ones kept back
//! ```
//!
//! Where it is stricter than it must be: one response is open at a time, not only the first (§3 leaves
//! that to the server), so that no answer can overtake another.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::wire::{Message, Method, RAck};

/// Responses that wait for the PRACK of an earlier one at most.
const QUEUE_MAX: usize = 8;
/// Responses of one early dialog that came too early and are kept at most.
const KEPT_MAX: usize = 4;

/// Where the numbering may start (§3: 1 to 2^31 - 1); the rest leaves room to count.
pub(crate) const FIRST_RSEQ: std::ops::RangeInclusive<u64> = 1..=0x3fff_ffff;

/// The server's half (§3): its provisional responses, until each is acknowledged.
#[derive(Debug)]
pub(crate) struct Sending {
    /// CSeq number of the INVITE.
    invite: u32,
    next_rseq: u32,
    open: Option<Open>,
    /// Numbered and printed, not sent yet.
    waiting: VecDeque<(u32, Bytes, bool)>,
}

/// A response whose PRACK is awaited.
#[derive(Debug)]
struct Open {
    rseq: u32,
    bytes: Bytes,
    /// It bears a session description: a 2xx has to wait for its PRACK.
    described: bool,
    /// `None` once the final answer is out: it is not sent again.
    repeat: Option<Repeat>,
}

#[derive(Clone, Copy, Debug)]
struct Repeat {
    next: Instant,
    interval: Duration,
    until: Instant,
}

/// What a deadline asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    /// The same response once more.
    Resend(Bytes),
    /// No PRACK in 64·T1: the INVITE is refused with a 5xx.
    GiveUp,
}

impl Sending {
    pub(crate) fn new(invite: u32, first_rseq: u32) -> Sending {
        Sending { invite, next_rseq: first_rseq, open: None, waiting: VecDeque::new() }
    }

    /// RSeq of the next response; `None` when too many wait already.
    pub(crate) fn next_rseq(&self) -> Option<u32> {
        (self.waiting.len() < QUEUE_MAX).then_some(self.next_rseq)
    }

    /// Takes a response that bears [`Sending::next_rseq`]. The bytes to send now, if it need not wait.
    pub(crate) fn push(
        &mut self,
        now: Instant,
        (t1, limit): (Duration, Duration),
        bytes: Bytes,
        described: bool,
    ) -> Option<Bytes> {
        self.waiting.push_back((self.next_rseq, bytes, described));
        self.next_rseq += 1;
        self.advance(now, (t1, limit))
    }

    /// The next response that waits, once none is open.
    pub(crate) fn advance(
        &mut self,
        now: Instant,
        (t1, limit): (Duration, Duration),
    ) -> Option<Bytes> {
        if self.open.is_some() {
            return None;
        }
        let (rseq, bytes, described) = self.waiting.pop_front()?;
        let repeat = Some(Repeat { next: now + t1, interval: t1, until: now + limit });
        self.open = Some(Open { rseq, bytes: bytes.clone(), described, repeat });
        Some(bytes)
    }

    /// A PRACK. `Some(described)` if it acknowledges the open response; else §3 wants 481.
    pub(crate) fn acknowledged(&mut self, rack: &RAck) -> Option<bool> {
        let open = self.open.as_ref()?;
        let fits = rack.rseq == open.rseq
            && rack.cseq.number == self.invite
            && rack.cseq.method == Method::Invite;
        if !fits {
            return None;
        }
        self.open.take().map(|open| open.described)
    }

    /// §3: a 2xx may not leave while a response with a description is not acknowledged.
    pub(crate) fn holds_success(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.described)
            || self.waiting.iter().any(|(_, _, described)| *described)
    }

    /// The final answer is out: nothing is repeated, and the open response may still be acknowledged.
    pub(crate) fn finish(&mut self) {
        self.waiting.clear();
        if let Some(open) = &mut self.open {
            open.repeat = None;
        }
    }

    /// §3: from T1, doubling without a cap, up to 64·T1.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Due {
        let Some(open) = &mut self.open else { return Due::Nothing };
        let Some(repeat) = &mut open.repeat else { return Due::Nothing };
        if repeat.until <= now {
            return Due::GiveUp;
        }
        if repeat.next > now {
            return Due::Nothing;
        }
        repeat.interval *= 2;
        repeat.next = now + repeat.interval;
        Due::Resend(open.bytes.clone())
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let repeat = self.open.as_ref()?.repeat?;
        Some(repeat.next.min(repeat.until))
    }
}

/// The client's half (§4), one for each early dialog.
#[derive(Debug, Default)]
pub(crate) struct Receiving {
    last: Option<u32>,
    kept: BTreeMap<u32, Message>,
}

impl Receiving {
    /// A reliable response. Returns those that are in order now, each to be acknowledged and told; none
    /// for a copy, or for one that came too early.
    pub(crate) fn take(&mut self, rseq: u32, message: &Message) -> Vec<(u32, Message)> {
        let expected = match self.last {
            None => rseq,
            Some(last) => match last.checked_add(1) {
                Some(next) => next,
                None => return Vec::new(),
            },
        };
        if rseq > expected && self.kept.len() < KEPT_MAX {
            self.kept.insert(rseq, message.clone());
        }
        if rseq != expected {
            return Vec::new();
        }
        let mut ready = vec![(rseq, message.clone())];
        let mut last = rseq;
        while let Some(next) = last.checked_add(1)
            && let Some(message) = self.kept.remove(&next)
        {
            ready.push((next, message));
            last = next;
        }
        self.last = Some(last);
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::tests_epoch;

    const T: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(32));

    fn rack(rseq: u32, number: u32, method: &str) -> RAck {
        RAck::parse(format!("{rseq} {number} {method}").as_bytes()).unwrap()
    }

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn b1_rfc3262_3_one_response_is_open_and_the_next_waits_for_its_prack() {
        let now = tests_epoch();
        let mut sending = Sending::new(7, 100);
        assert_eq!(sending.push(now, T, bytes("a"), false), Some(bytes("a")));
        assert_eq!(sending.push(now, T, bytes("b"), true), None);
        assert!(sending.holds_success(), "what waits holds it back as well");
        assert_eq!(sending.next_rseq(), Some(102));
        for wrong in [rack(101, 7, "INVITE"), rack(100, 8, "INVITE"), rack(100, 7, "UPDATE")] {
            assert_eq!(sending.acknowledged(&wrong), None, "{wrong}");
        }
        assert_eq!(sending.acknowledged(&rack(100, 7, "INVITE")), Some(false));
        assert_eq!(sending.acknowledged(&rack(100, 7, "INVITE")), None, "a second one: 481");
        assert_eq!(sending.advance(now, T), Some(bytes("b")));
        assert_eq!(sending.acknowledged(&rack(101, 7, "INVITE")), Some(true));
        assert!(!sending.holds_success());
        assert_eq!(sending.poll_timeout(), None);
    }

    #[test]
    fn b1_rfc3262_3_it_is_resent_from_t1_doubling_without_a_cap_for_64_t1() {
        let start = tests_epoch();
        let mut sending = Sending::new(1, 1);
        sending.push(start, T, bytes("a"), true);
        let mut sent = Vec::new();
        while let Some(at) = sending.poll_timeout() {
            match sending.handle_timeout(at) {
                Due::Resend(_) => sent.push((at - start).as_millis()),
                Due::GiveUp => {
                    assert_eq!(at - start, T.1);
                    break;
                }
                Due::Nothing => panic!("a deadline without a reason"),
            }
        }
        assert_eq!(sent, [500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    }

    #[test]
    fn rfc3262_3_after_the_final_answer_nothing_is_resent_and_the_prack_still_fits() {
        let now = tests_epoch();
        let mut sending = Sending::new(1, 1);
        sending.push(now, T, bytes("a"), false);
        sending.push(now, T, bytes("b"), false);
        sending.finish();
        assert_eq!(sending.poll_timeout(), None);
        assert_eq!(sending.handle_timeout(now + T.1), Due::Nothing);
        assert_eq!(sending.acknowledged(&rack(1, 1, "INVITE")), Some(false));
        assert_eq!(sending.advance(now, T), None);
    }

    #[test]
    fn rfc3262_4_copies_are_dropped_and_early_ones_kept_back() {
        let message = Message::parse(bytes(
            "SIP/2.0 183 X\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a@h>;tag=1\r\n\
             To: <sip:b@h>;tag=2\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\r\n",
        ))
        .unwrap();
        let mut receiving = Receiving::default();
        let mut take = |rseq| -> Vec<u32> {
            receiving.take(rseq, &message).into_iter().map(|(rseq, _)| rseq).collect()
        };
        assert_eq!(take(41), [41], "the first may bear any number");
        assert_eq!(take(41), []);
        assert_eq!(take(44), []);
        assert_eq!(take(43), []);
        assert_eq!(take(42), [42, 43, 44]);
        assert_eq!(take(43), []);
        for early in 50..80 {
            assert_eq!(take(early), []);
        }
        assert!(receiving.kept.len() <= KEPT_MAX);
    }
}
