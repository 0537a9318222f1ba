//! Pushes of system 001: each state of each leg of a two-way call (fid 4), and the record of each call.

use facts::record::LegState;
use facts::{CallRecord, LegFacts, LegNo, NumberPlan, Purpose, PushKind, StateChange, UnixMillis};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::desc::{state_desc, what_became};
use super::id::{FID_CONFERENCE, FID_TWO_WAY, fid, participant_id, request_id};
use crate::clock;

/// An app's wishes about its records; travels with the promise to send them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PushContext {
    /// `cdr_types = number`: fid, duration and amounts are numbers in pushes instead of strings.
    #[serde(default)]
    pub numbers: bool,
    /// `unknown_as = 正常`: what could not be recognised is called normal.
    #[serde(default)]
    pub unknown_as_normal: bool,
    /// Records of codes do not tell what became of them.
    #[serde(default)]
    pub no_code_state: bool,
}

/// How the addresses of the two pushes come from the app's callback URL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PushMode<'a> {
    /// `Call` and `CallState` are appended.
    Suffix,
    /// One address for all; receivers look for the `cdr` key.
    Plain,
    /// Records go to the callback URL, states to this one.
    Two(&'a str),
    /// Records go to the callback URL, states nowhere.
    RecordsOnly,
}

/// The address for records, or for states; `None` when such pushes are not wanted.
#[must_use]
pub fn endpoint(base: &str, mode: &PushMode<'_>, kind: PushKind) -> Option<String> {
    Some(match (mode, kind) {
        (PushMode::RecordsOnly, PushKind::State) => return None,
        (PushMode::Two(states), PushKind::State) => (*states).to_owned(),
        (PushMode::Plain | PushMode::Two(_) | PushMode::RecordsOnly, _) => base.to_owned(),
        (PushMode::Suffix, kind) => {
            let joint = if base.ends_with(['?', '/', '=']) { "" } else { "/" };
            let suffix = if kind == PushKind::State { "CallState" } else { "Call" };
            format!("{base}{joint}{suffix}")
        }
    })
}

/// The body of a state push. `dsc` is the number being called on that leg, `src` the one shown to it.
#[must_use]
pub fn state_push(change: &StateChange) -> String {
    let state = match change.state {
        LegState::Callout => "callout",
        LegState::Alerting => "alerting",
        LegState::Answer => "answer",
        // The latter is told on our own surface alone.
        LegState::Disconnect | LegState::Unrung(_) => "disconnect",
    };
    object(&[
        ("requestid", text(&request_id(change.leg.call, FID_TWO_WAY))),
        ("src", text(&plain_digits(&change.shown))),
        ("dsc", text(&plain_digits(&change.number))),
        ("timestamp", text(&clock::seconds(change.at))),
        ("state", text(state)),
        ("stateDesc", text("")),
    ])
}

/// The body of a record push: one record.
#[must_use]
pub fn cdr_push(record: &CallRecord, context: &PushContext) -> String {
    let style = if context.numbers { CdrStyle::PushNumbers } else { CdrStyle::PushStrings };
    format!(r#"{{"cdr":[{}]}}"#, write_cdr(record, context, style))
}

/// How the same record is written for its readers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CdrStyle {
    /// All strings, times with milliseconds: as the seed shows.
    PushStrings,
    /// Numbers as numbers, times with milliseconds.
    PushNumbers,
    /// Numbers as numbers, times without milliseconds.
    Query,
}

/// Fields in the order of the system's own samples.
pub(super) fn write_cdr(record: &CallRecord, context: &PushContext, style: CdrStyle) -> String {
    match record.facts.command.purpose {
        Purpose::Callback | Purpose::Campaign | Purpose::Inbound => two_way(record, context, style),
        Purpose::Code | Purpose::Notice | Purpose::Scenario => one_way(record, context, style),
        Purpose::Conference => participant(record, LegNo::A, style),
    }
}

/// The body of the record push of one participant.
#[must_use]
pub fn participant_push(record: &CallRecord, leg: LegNo, context: &PushContext) -> String {
    let style = if context.numbers { CdrStyle::PushNumbers } else { CdrStyle::PushStrings };
    format!(r#"{{"cdr":[{}]}}"#, participant(record, leg, style))
}

/// A participant of a conference.
pub(super) fn participant(record: &CallRecord, no: LegNo, style: CdrStyle) -> String {
    let facts = &record.facts;
    let command = &facts.command;
    let leg = facts.leg(no);
    let conference = command.conference.as_ref();
    let charged = record.charges.iter().find(|charge| charge.no == no);
    let seconds =
        charged.map_or_else(|| leg.map_or(0, LegFacts::bill_seconds), |charge| charge.seconds);
    let answered = leg.and_then(|leg| leg.answered);
    let tape = record.recording_url.as_deref().filter(|_| answered.is_some());
    object(&[
        ("requestid", text(&participant_id(facts.call, no))),
        ("appid", text(&command.app)),
        ("fid", number(FID_CONFERENCE.to_string(), style)),
        ("tel", text(leg.map_or(&command.a.as_sent, |leg| &leg.as_sent))),
        ("stime", time(answered, style)),
        ("etime", time(leg.and_then(|leg| leg.ended).or(Some(facts.ended)), style)),
        ("confid", text(conference.map_or("", |conference| &conference.number))),
        ("duration", number(seconds.to_string(), style)),
        ("singleoriamount", number(record.price(no).decimal(2), style)),
        ("customParm", text(&command.custom)),
        ("tapesurl", text(tape.unwrap_or("NoTapes"))),
    ])
}

/// A time, as its reader wants it; empty where there is none.
fn time(at: Option<UnixMillis>, style: CdrStyle) -> String {
    match (at, style) {
        (None, _) => text(""),
        (Some(at), CdrStyle::Query) => text(&clock::seconds(at)),
        (Some(at), _) => text(&format!("{}.000", clock::seconds(at))),
    }
}

/// A number, as its reader wants it.
fn number(digits: String, style: CdrStyle) -> String {
    match style {
        CdrStyle::PushStrings => text(&digits),
        CdrStyle::PushNumbers | CdrStyle::Query => digits,
    }
}

/// Seconds that A talked.
fn duration(record: &CallRecord) -> u64 {
    let charged = record.charges.iter().find(|charge| charge.no == LegNo::A);
    let a = record.facts.leg(LegNo::A);
    charged.map_or_else(|| a.map_or(0, LegFacts::bill_seconds), |charge| charge.seconds)
}

/// A code or a notice: one leg.
fn one_way(record: &CallRecord, context: &PushContext, style: CdrStyle) -> String {
    let facts = &record.facts;
    let command = &facts.command;
    let a = facts.leg(LegNo::A);
    let fid = fid(command.purpose);
    let mut fields = vec![
        ("requestid", text(&request_id(facts.call, fid))),
        ("appid", text(&command.app)),
        ("fid", number(fid.to_string(), style)),
        ("tel", text(&command.a.as_sent)),
        ("stime", time(a.and_then(|leg| leg.answered), style)),
        ("etime", time(a.and_then(|leg| leg.ended).or(Some(facts.ended)), style)),
        ("duration", number(duration(record).to_string(), style)),
        ("oriamount", number(record.total().decimal(2), style)),
    ];
    if command.purpose == Purpose::Notice || !context.no_code_state {
        fields.push(("stateDesc", text(what_became(facts, context.unknown_as_normal))));
    }
    if command.purpose == Purpose::Notice {
        fields.push(("dtmf", text(&facts.collected.concat())));
    }
    if !command.custom.is_empty() {
        fields.push(("customParm", text(&command.custom)));
    }
    object(&fields)
}

fn two_way(record: &CallRecord, context: &PushContext, style: CdrStyle) -> String {
    let facts = &record.facts;
    let command = &facts.command;
    let (a, b) = (facts.leg(LegNo::A), facts.leg(facts.called()));
    let (time, number) = (|at| time(at, style), |digits| number(digits, style));
    let a_end = a.and_then(|leg| leg.ended).or(Some(facts.ended));
    let b_answered = b.and_then(|leg| leg.answered);
    // A leg that was never answered ends, on paper, with the caller's.
    let b_end = b_answered.and(b.and_then(|leg| leg.ended)).or(a_end);
    object(&[
        ("requestid", text(&request_id(facts.call, FID_TWO_WAY))),
        ("appid", text(&command.app)),
        ("fid", number(FID_TWO_WAY.to_string())),
        ("caller", text(&command.a.as_sent)),
        ("called", text(command.called_as_sent())),
        ("callerstime", time(a.and_then(|leg| leg.answered))),
        ("calleretime", time(a_end)),
        ("calledstime", time(b_answered)),
        ("calledetime", time(b_end)),
        ("tapesurl", text(record.recording_url.as_deref().unwrap_or("NoTapes"))),
        ("duration", number(duration(record).to_string())),
        ("oriamount", number(record.total().decimal(2))),
        ("customParm", text(&command.custom)),
        ("stateDesc", text(&state_desc(facts, context.unknown_as_normal))),
    ])
}

/// A JSON object whose fields keep their order; the values are JSON already.
pub(super) fn object(fields: &[(&str, String)]) -> String {
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

pub(super) fn text(value: &str) -> String {
    Value::from(value).to_string()
}

/// A number as home phones show it, digits only: receivers compare its end with what they sent.
#[must_use]
pub fn plain_digits(number: &str) -> String {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let plan = NumberPlan::default();
    let foreign = number.trim_start().starts_with('+')
        || digits.starts_with(&plan.international_prefix)
        || (digits.starts_with(&plan.country) && digits.len() > HOME_MAX);
    match plan.parse(number) {
        Ok(parsed) if foreign => plan.national(&parsed),
        _ => digits,
    }
}

/// Longest number dialled at home without its country code: a mobile's 11 digits.
const HOME_MAX: usize = 11;
