//! Why a call or a leg ended otherwise than by an ordinary hang-up, and the one table that says what
//! each reason is called towards SIP, ISDN, merchants and metrics.

use serde::{Deserialize, Serialize};

/// Whose doing it was.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The first leg's far end or network.
    LegA,
    /// The second leg's far end or network.
    LegB,
    /// The media plane.
    Media,
    /// The ledger.
    Billing,
    /// This switch or its operator.
    Us,
}

macro_rules! kinds {
    ($( $(#[$doc:meta])* $kind:ident { sip: $sip:expr, q850: $q850:expr, label: $label:expr,
        at_a: $a:expr, at_b: $b:expr } )*) => {
        /// What went wrong.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Kind { $( $(#[$doc])* $kind ),* }

        impl Kind {
            /// Every kind, in the order of the table.
            pub const ALL: &'static [Kind] = &[$( Kind::$kind ),*];

            /// This kind's row of the table.
            #[must_use]
            pub const fn row(self) -> Row {
                match self {
                    $( Kind::$kind => Row { sip: $sip, q850: $q850, label: $label, at_a: $a, at_b: $b } ),*
                }
            }
        }
    };
}

/// One row of the failure table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// SIP status we send to a leg that is still waiting for its answer (RFC 3261 §21, RFC 3398 §8.2.6.1).
    pub sip: u16,
    /// ITU-T Q.850 cause for a `Reason` header and the record.
    pub q850: u8,
    /// Metric label and log word.
    pub label: &'static str,
    /// `callback_result` of system 000 when leg A or the switch before B is the cause (spec §2.5).
    pub at_a: &'static str,
    /// `callback_result` of system 000 when it happened to leg B or after both were up.
    pub at_b: &'static str,
}

kinds! {
    /// 486, 600: the line is engaged.
    Busy { sip: 486, q850: 17, label: "busy", at_a: "caller_busy", at_b: "callee_busy" }
    /// 603, or a busy after ringing: the person refused.
    Rejected { sip: 603, q850: 21, label: "rejected", at_a: "caller_reject", at_b: "callee_reject" }
    /// Our ring timer, or 408 after ringing.
    NoAnswer { sip: 480, q850: 19, label: "no_answer", at_a: "caller_noanswer", at_b: "callee_noanswer" }
    /// 408 without ringing, 480, 502, no binding, silence: cannot be reached now.
    Unreachable { sip: 480, q850: 18, label: "unreachable", at_a: "caller_unreachable", at_b: "callee_unreachable" }
    /// Our INVITE could not be sent, or its connection broke before an answer (RFC 3261 §18.4).
    TransportFailed { sip: 502, q850: 38, label: "transport_failed", at_a: "caller_unreachable", at_b: "callee_unreachable" }
    /// 404, 410, 604: the number does not exist.
    Unallocated { sip: 404, q850: 1, label: "unallocated", at_a: "caller_unreachable", at_b: "callee_invalid" }
    /// 484, 416, 400: the network calls the number malformed.
    InvalidNumber { sip: 484, q850: 28, label: "invalid_number", at_a: "caller_unreachable", at_b: "callee_invalid" }
    /// 403: the far network forbids the call.
    Forbidden { sip: 403, q850: 57, label: "forbidden", at_a: "caller_unreachable", at_b: "callee_unreachable" }
    /// 5xx: the far network cannot carry the call.
    Congestion { sip: 503, q850: 34, label: "congestion", at_a: "caller_unreachable", at_b: "callee_unreachable" }
    /// No route leads to the number.
    NoRoute { sip: 404, q850: 3, label: "no_route", at_a: "caller_unreachable", at_b: "callee_unreachable" }
    /// 488, 606, 415: no codec in common, or a description nobody could use.
    NotAcceptable { sip: 488, q850: 88, label: "not_acceptable", at_a: "caller_unreachable", at_b: "callee_unreachable" }
    /// A hung up while B was being called.
    Abandoned { sip: 487, q850: 16, label: "abandoned", at_a: "caller_hangup", at_b: "caller_hangup" }
    /// A block list, calling hours or a fraud rule.
    Blocked { sip: 403, q850: 21, label: "blocked", at_a: "blocked", at_b: "blocked" }
    /// The balance does not cover the first interval.
    NoBalance { sip: 402, q850: 21, label: "no_balance", at_a: "balance_not_enough", at_b: "balance_not_enough" }
    /// The paid time ran out during the call.
    CreditExhausted { sip: 402, q850: 21, label: "credit_exhausted", at_a: "balance_not_enough", at_b: "balance_not_enough" }
    /// The longest duration allowed was reached.
    MaxDuration { sip: 480, q850: 102, label: "max_duration", at_a: "timeout", at_b: "timeout" }
    /// No RTP from a leg for longer than its timeout: a lost BYE or a dead phone.
    MediaSilence { sip: 480, q850: 41, label: "media_silence", at_a: "success", at_b: "success" }
    /// The dialog broke: no ACK for 64·T1, or the far end no longer knows it.
    LostDialog { sip: 481, q850: 41, label: "lost_dialog", at_a: "caller_unreachable", at_b: "callee_unreachable" }
    /// A merchant or an operator ended the call.
    HungUpByUs { sip: 487, q850: 16, label: "hung_up_by_us", at_a: "caller_hangup", at_b: "success" }
    /// The process was told to stop and the grace time is over.
    Shutdown { sip: 503, q850: 42, label: "shutdown", at_a: "system_error", at_b: "system_error" }
    /// The process died during the call; the record was closed on restart.
    Crash { sip: 503, q850: 41, label: "crash", at_a: "system_error", at_b: "system_error" }
    /// No media port, no store, or a fault of our own.
    Internal { sip: 500, q850: 41, label: "internal", at_a: "system_error", at_b: "system_error" }
}

/// A reason with its author.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// Whose doing.
    pub origin: Origin,
    /// What.
    pub kind: Kind,
}

impl Failure {
    /// Joins an author and a reason.
    #[must_use]
    pub const fn new(origin: Origin, kind: Kind) -> Self {
        Failure { origin, kind }
    }
}

impl Kind {
    /// Reads the final answer of an outbound INVITE (RFC 3398 §7.2.4.1; spec §3.7's ties: Q.850 beats SIP).
    ///
    /// `rang` tells whether a 180 or 183 came before it: a 486 after ringing is a refusal, a 408 after
    /// ringing is no answer.
    #[must_use]
    pub fn of_answer(sip: u16, q850: Option<u8>, rang: bool) -> Kind {
        if let Some(kind) = q850.and_then(Kind::of_cause) {
            return kind;
        }
        match sip {
            486 if rang => Kind::Rejected,
            486 | 600 => Kind::Busy,
            603 | 607 | 608 => Kind::Rejected,
            408 if rang => Kind::NoAnswer,
            404 | 410 | 604 | 301 => Kind::Unallocated,
            484 | 416 | 400 => Kind::InvalidNumber,
            401 | 403 | 407 => Kind::Forbidden,
            402 => Kind::Forbidden,
            415 | 488 | 606 => Kind::NotAcceptable,
            487 => Kind::NoAnswer,
            502 => Kind::Unreachable,
            500..=599 => Kind::Congestion,
            _ => Kind::Unreachable,
        }
    }

    /// Reads a Q.850 cause; `None` for causes that say less than the SIP status does.
    #[must_use]
    pub fn of_cause(q850: u8) -> Option<Kind> {
        Some(match q850 {
            1 => Kind::Unallocated,
            17 => Kind::Busy,
            19 => Kind::NoAnswer,
            3 | 18 | 20 | 27 => Kind::Unreachable,
            21 => Kind::Rejected,
            22 => Kind::Unallocated,
            28 => Kind::InvalidNumber,
            34 | 38 | 41 | 42 | 44 => Kind::Congestion,
            55 | 57 => Kind::Forbidden,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_unique_and_codes_in_range() {
        for (i, kind) in Kind::ALL.iter().enumerate() {
            let row = kind.row();
            assert!((400..700).contains(&row.sip), "{kind:?}");
            assert!(row.q850 < 128, "{kind:?}");
            assert!(!row.at_a.is_empty() && !row.at_b.is_empty());
            for other in &Kind::ALL[..i] {
                assert_ne!(row.label, other.row().label);
            }
        }
    }

    #[test]
    fn a_cause_beats_a_status_and_ringing_tells_refusal_from_busy() {
        assert_eq!(Kind::of_answer(480, Some(1), false), Kind::Unallocated);
        assert_eq!(Kind::of_answer(486, None, false), Kind::Busy);
        assert_eq!(Kind::of_answer(486, None, true), Kind::Rejected);
        assert_eq!(Kind::of_answer(408, None, true), Kind::NoAnswer);
        assert_eq!(Kind::of_answer(408, None, false), Kind::Unreachable);
        assert_eq!(Kind::of_answer(486, Some(16), false), Kind::Busy);
    }
}
