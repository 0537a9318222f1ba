//! `hangupcause` and `hangupdirection` (merchant API §4.2): one space of codes, which of them a call gets.

use super::call::Customer;
use facts::{CallFacts, Failure, Kind, LegFacts, LegNo, Number, Origin, Outcome, Side};

/// Who let go: whoever called, which the platform counts as.
const CALLER: u16 = 10_040;
/// Whoever was called.
const CALLEE: u16 = 10_041;

/// Cause and direction. Whom the merchant had rung is leg A; of a call that it placed for an extension the customer is
/// leg A or leg B, and `placed`.
pub(super) fn of(
    facts: &CallFacts,
    (which, leg): (Customer, Option<&LegFacts>),
    placed: bool,
) -> (u16, u16) {
    let side = if which == Customer::A { Side::Caller } else { Side::Callee };
    let answered = leg.is_some_and(|leg| leg.answered.is_some());
    let by_callee = match facts.outcome {
        _ if !answered => leg.and_then(|leg| leg.sip_final).is_some_and(refuses),
        Outcome::Completed => facts.released_by == side,
        Outcome::Failed(_) => false,
    };
    let cause = match facts.outcome {
        Outcome::Completed => 10_001,
        Outcome::Failed(failure) if !placed => failed(failure, facts.leg(LegNo::A)),
        // Where one of the two did not come, that is why.
        Outcome::Failed(failure) => failed(
            failure,
            match failure.origin {
                Origin::LegA => facts.leg(LegNo::A),
                Origin::LegB => facts.leg(facts.called()),
                Origin::Media | Origin::Billing | Origin::Us => leg.or(facts.leg(LegNo::A)),
            },
        ),
    };
    (cause, if by_callee { CALLEE } else { CALLER })
}

/// A final answer that somebody gave. 408 is nobody's, and 487 ends what was given up here.
const fn refuses(code: u16) -> bool {
    matches!(code, 300..=699) && !matches!(code, 408 | 487)
}

fn failed(failure: Failure, a: Option<&LegFacts>) -> u16 {
    let code = a.and_then(|leg| leg.sip_final);
    let cause = a.and_then(|leg| leg.q850);
    let answered = a.is_some_and(|leg| leg.answered.is_some());
    let internal = a.is_none_or(|leg| matches!(leg.number, Number::Internal(_)));
    match failure.kind {
        Kind::Busy => 10_006,
        // A busy after ringing.
        Kind::Rejected if matches!(code, Some(486 | 600)) => 10_006,
        Kind::Rejected => 10_003,
        Kind::NoAnswer => 10_016,
        Kind::Unreachable => match code {
            None if internal => 10_008,
            None | Some(408) => 10_015,
            // No user responding (Q.850 cause 18), told beside a status that says something else.
            Some(code) if cause == Some(18) && !matches!(code, 480 | 502) => 10_005,
            Some(_) => 10_009,
        },
        Kind::TransportFailed | Kind::Congestion | Kind::NoRoute => 10_004,
        Kind::Unallocated if cause == Some(22) || matches!(code, Some(301 | 410)) => 10_027,
        Kind::Unallocated if internal => 10_013,
        Kind::Unallocated => 10_014,
        Kind::InvalidNumber => 10_024,
        Kind::Forbidden => 10_025,
        Kind::Abandoned => 10_002,
        Kind::HungUpByUs if !answered => 10_002,
        Kind::HungUpByUs | Kind::MaxDuration | Kind::CreditExhausted | Kind::Shutdown => 10_007,
        Kind::Blocked => 10_028,
        Kind::MediaSilence | Kind::LostDialog => 10_011,
        Kind::NoBalance | Kind::NotAcceptable | Kind::Crash | Kind::Internal => 10_020,
    }
}
