//! The four transaction machines of RFC 3261 §17 as corrected by RFC 6026 and RFC 4320.
//!
//! A machine knows nothing of messages. It is told what happened (a response of some class, a copy
//! of the request, an ACK, an instant) and answers with a step: what to resend, whether to tell
//! its user, whether it is finished. The endpoint keeps the bytes, which a resend repeats exactly.

mod client_invite;
mod client_other;
mod server_invite;
mod server_other;
mod timer;

pub(crate) use client_invite::ClientInvite;
pub(crate) use client_other::ClientOther;
pub(crate) use server_invite::ServerInvite;
pub(crate) use server_other::ServerOther;
pub(crate) use timer::Table;
pub use timer::{Letter, Timers};

/// What a machine asks of its owner after one input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub(crate) struct Step {
    /// Send the message that the machine's side owes now.
    pub(crate) send: Option<Send>,
    /// Give the input to the transaction user.
    pub(crate) tell: Option<Tell>,
    /// The transaction is finished and its entry can be dropped.
    pub(crate) done: bool,
}

impl Step {
    pub(crate) const NOTHING: Step = Step { send: None, tell: None, done: false };

    fn send(what: Send) -> Step {
        Step { send: Some(what), ..Step::NOTHING }
    }

    fn tell(what: Tell) -> Step {
        Step { tell: Some(what), ..Step::NOTHING }
    }

    fn done() -> Step {
        Step { done: true, ..Step::NOTHING }
    }

    fn and_send(self, what: Send) -> Step {
        Step { send: Some(what), ..self }
    }

    fn and_done(self) -> Step {
        Step { done: true, ..self }
    }
}

/// Which of the transaction's messages to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Send {
    /// The request, byte for byte.
    Request,
    /// The ACK of a refusal (RFC 3261 §17.1.1.3).
    Ack,
    /// The latest response, byte for byte.
    Response,
    /// The 100 that RFC 4320 §4.1 owes.
    Trying,
}

/// What the transaction user is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tell {
    /// The response that was handed in.
    Response,
    /// The ACK that was handed in belongs to the user (RFC 6026 §7.1).
    Ack,
    /// The time of the transaction is over without an answer (or, for a server, an ACK).
    Timeout,
}

/// The classes of status code that the machines tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// 1xx.
    Provisional,
    /// 2xx.
    Success,
    /// 3xx to 6xx.
    Refusal,
}

impl Class {
    /// The class of a status code; whatever is not 1xx or 2xx ends a transaction as a refusal.
    pub(crate) fn of(code: u16) -> Class {
        match code {
            0..200 => Class::Provisional,
            200..300 => Class::Success,
            _ => Class::Refusal,
        }
    }
}

/// A starting instant for tests: the machines only ever add to it.
#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests need one instant to count from")]
pub(crate) fn tests_epoch() -> std::time::Instant {
    std::time::Instant::now()
}
