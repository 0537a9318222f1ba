//! `stateDesc`: how far the caller's leg came, and what became of the called one (merchant API §3.7).

use facts::recognition::Sounded;
use facts::{CallFacts, Kind, LegFacts, LegNo, Origin, Outcome};

const NORMAL: &str = "正常";
const UNKNOWN: &str = "未知";

/// `<progress of A>|<recognition of B, or of A when B was not dialled>`.
#[must_use]
pub fn state_desc(facts: &CallFacts, unknown_as_normal: bool) -> String {
    let recognition =
        recognition(facts).unwrap_or(if unknown_as_normal { NORMAL } else { UNKNOWN });
    format!("{}|{recognition}", progress(facts.leg(LegNo::A)))
}

/// What became of the only leg, in one word: of codes and notices.
#[must_use]
pub(super) fn what_became(facts: &CallFacts, unknown_as_normal: bool) -> &'static str {
    let unknown = if unknown_as_normal { NORMAL } else { UNKNOWN };
    facts.leg(LegNo::A).and_then(leg_recognition).unwrap_or(unknown)
}

fn progress(a: Option<&LegFacts>) -> &'static str {
    let Some(a) = a else { return "正在处理中" };
    if a.answered.is_some() {
        return "应答";
    }
    if a.alerting.is_none() && a.progress.is_none() {
        return "正在处理中";
    }
    // Rang and was not answered: by the person's or the timer's doing, or because we gave it up.
    match a.failure.map(|failure| failure.kind) {
        Some(
            Kind::HungUpByUs | Kind::Shutdown | Kind::Crash | Kind::Internal | Kind::Abandoned,
        ) => "振铃",
        _ => "未应答",
    }
}

fn recognition(facts: &CallFacts) -> Option<&'static str> {
    match (facts.leg(facts.called()), facts.leg(LegNo::A)) {
        (Some(b), _) => leg_recognition(b),
        (None, Some(a)) if a.answered.is_none() => leg_recognition(a),
        // A answered and B could not even be tried: that is what became of the called leg.
        (None, _) => match facts.outcome {
            Outcome::Failed(failure) if failure.origin != Origin::LegA => {
                before_invite(failure.kind)
            }
            _ => Some(NORMAL),
        },
    }
}

fn before_invite(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::NoRoute | Kind::TransportFailed => Some("线路故障"),
        Kind::Unreachable => Some("无法拨通"),
        Kind::Congestion => Some("网络忙"),
        Kind::InvalidNumber => Some("拨号方式不正确"),
        Kind::Unallocated => Some("空号"),
        _ => None,
    }
}

fn leg_recognition(leg: &LegFacts) -> Option<&'static str> {
    if leg.answered.is_some() {
        return Some(NORMAL);
    }
    if let Some(word) = heard(leg) {
        return Some(word);
    }
    let kind = leg.failure.map(|failure| failure.kind);
    // Nothing came back at all: the line to a carrier is down. An extension is merely not there.
    let silent = leg.sip_final.is_none() && leg.progress.is_none() && leg.alerting.is_none();
    match kind {
        Some(Kind::NoRoute) => return Some("线路故障"),
        Some(Kind::Unreachable | Kind::LostDialog | Kind::TransportFailed)
            if silent && !leg.trunk.is_empty() =>
        {
            return Some("线路故障");
        }
        // The record carries the table's cause 1 for a moved number; the status says more.
        Some(Kind::Unallocated) if leg.sip_final == Some(301) => return Some("改号"),
        _ => {}
    }
    // Busy with audio before it, and no ringing: the network's announcement of a second call.
    let early_busy = leg.sip_final == Some(486) && leg.q850 == Some(17);
    if early_busy && leg.progress.is_some() && leg.alerting.is_none() {
        return Some("正在通话中");
    }
    leg.q850.and_then(of_cause).or_else(|| leg.sip_final.and_then(|code| of_status(code, leg)))
}

/// What the network itself was heard to say: words before tones, and either before what it signalled. Ringing and
/// music say nothing of the end.
fn heard(leg: &LegFacts) -> Option<&'static str> {
    match leg.recognised?.verdict.sounded {
        Sounded::Announcement { says, .. } => Some(says.chinese()),
        Sounded::Busy => Some("用户正忙"),
        Sounded::Congestion => Some("网络忙"),
        // Where they say no more than that something is wrong, this has no word for it.
        Sounded::Special { cause } => of_cause(cause),
        Sounded::Information
        | Sounded::Fax
        | Sounded::Ringing
        | Sounded::Music
        | Sounded::Speech
        | Sounded::Silence => None,
    }
}

/// Q.850 beats SIP.
fn of_cause(q850: u8) -> Option<&'static str> {
    Some(match q850 {
        1 => "空号",
        3 | 18 => "无法拨通",
        17 => "用户正忙",
        19 => "无人接听",
        20 => "关机",
        21 => "用户拒接",
        22 => "改号",
        27 => "线路故障",
        28 => "拨号方式不正确",
        34 | 38 | 41 | 42 => "网络忙",
        55 => "呼入限制",
        _ => return None,
    })
}

fn of_status(status: u16, leg: &LegFacts) -> Option<&'static str> {
    let rang = leg.alerting.is_some();
    Some(match status {
        301 => "改号",
        302 => "呼叫转移失败",
        402 => "欠费",
        403 => "呼入限制",
        404 | 410 | 604 => "空号",
        408 if rang => "无人接听",
        480 => "无法拨通",
        484 => "拨号方式不正确",
        486 if rang => "用户拒接",
        486 | 600 => "用户正忙",
        603 => "用户拒接",
        500..=599 => "网络忙",
        _ => return None,
    })
}
