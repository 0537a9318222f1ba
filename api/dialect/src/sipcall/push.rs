//! What a company is told: each state of each extension that is rung (merchant API §4.5), and the record of each
//! call (§4.6).

use facts::record::LegState;
use facts::{CallId, CallRecord, LegFacts, LegNo, Number, Purpose, StateChange, UnixMillis};
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use super::call::Customer;
use super::cause;
use super::json::Json;
use super::play::Echo;
use crate::clock;
use crate::ytx::plain_digits;

/// Delay before each send of a push, seconds: the list's length is the number of sends.
pub const RETRY_SECONDS: [u64; 3] = [0, 60, 120];
/// `callmethod` of a notice.
pub(super) const METHOD_NOTICE: u16 = 6;
/// `callmethod` of a call of a task.
pub(super) const METHOD_TASK: u16 = 5;

/// What a push has to know beside the event; travels with the promise to send it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PushContext {
    /// `companycode`.
    pub companycode: String,
    /// The customer, as the merchant wrote him.
    pub customer: String,
    /// The number that he is shown.
    pub disnumber: String,
    /// `customuuid`.
    pub customuuid: String,
    /// `method` of states.
    pub method: String,
    /// Records have the members that came in 2025.
    #[serde(default)]
    pub cdr_2025: bool,
    /// The extension that the call was placed for; empty where none was.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub extnumber: String,
}

/// Did the receiver take it? `0` and `fail` say that it did not.
#[must_use]
pub fn is_taken(status: u16, body: &[u8]) -> bool {
    let body = body.trim_ascii();
    (200..300).contains(&status) && body != b"0" && !body.eq_ignore_ascii_case(b"fail")
}

/// A call's `uuid`: the same in every push and answer.
#[must_use]
pub fn call_uuid(call: CallId) -> String {
    uuid(&format!("call:{call}"))
}

/// A name-based UUID (RFC 9562 §5.3).
fn uuid(name: &str) -> String {
    let mut bytes: [u8; 16] = Md5::digest(name).into();
    bytes[6] = bytes[6] & 0x0f | 0x30;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex::encode(bytes);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

/// The body of a state of an extension, all strings; `None` for a state of a leg, or one that is not told.
#[must_use]
pub fn state_push(change: &StateChange, context: &PushContext) -> Option<String> {
    let extension = change.extension.as_deref()?;
    let status = match change.state {
        LegState::Callout | LegState::Unrung(_) => return None,
        LegState::Alerting => "ring",
        LegState::Answer => "answer",
        LegState::Disconnect => "hangup",
    };
    let call = change.leg.call;
    // Of a call that was placed for an extension, the customer may be an extension as well.
    let is_customer = !context.extnumber.is_empty() && extension == context.customer;
    let caller = if is_customer { context.extnumber.as_str() } else { extension };
    // The seed's own sample of an extension that a key led to has it so.
    let customers = is_customer || context.extnumber.is_empty();
    let buuid = uuid(&format!("leg:{call}:{}:{extension}", change.leg.no));
    let body = Json::object([
        ("buuid", buuid.into()),
        ("callee", (&context.customer).into()),
        ("caller", caller.into()),
        ("companycode", (&context.companycode).into()),
        ("direction", "callout".into()),
        ("disnumber", (&context.disnumber).into()),
        ("extnumber", extension.into()),
        ("isbleg", if customers { "true" } else { "false" }.into()),
        ("method", (&context.method).into()),
        ("starttime", call.made_at().seconds().to_string().into()),
        ("status", status.into()),
        ("uuid", call_uuid(call).into()),
        ("ip", "".into()),
        ("customuuid", (&context.customuuid).into()),
        ("type", "call".into()),
    ]);
    Some(body.to_string())
}

/// The body of a record, with the types of the system's own sample.
#[must_use]
pub fn cdr_push(record: &CallRecord, context: &PushContext) -> String {
    let facts = &record.facts;
    let echo = echo(record);
    let (which, leg, as_sent) = customer(record, &echo);
    let times = Times::of(record, leg);
    let (cause, direction) = cause::of(facts, (which, leg), echo.method != 0);
    let code = match context.companycode.parse::<i64>() {
        Ok(number) if !context.cdr_2025 => number.into(),
        _ => Json::from(&context.companycode),
    };
    let chengshudu = chengshudu(&echo);
    let mut members = vec![
        ("answertime", text(times.answered).into()),
        ("hangupcause", cause.into()),
        ("duration", times.waited.into()),
        ("id", facts.call.as_i64().into()),
        ("extnumber", extension(record).into()),
        ("uuid", call_uuid(facts.call).into()),
        ("downloadip", host(record).into()),
        ("customuuid", (&echo.customuuid).into()),
        ("chengshudu", chengshudu.into()),
        ("callmethod", method(record).into()),
        ("recordfilename", file(record).into()),
        ("companycode", code),
        ("memberid", memberid(&echo).into()),
        ("hangupdirection", direction.into()),
        ("billsec", times.talked.into()),
        ("endtime", text(Some(times.ended)).into()),
        ("starttime", text(Some(times.began)).into()),
        ("type", "callout".into()),
        ("disnumber", shown(record, context).into()),
        ("crmid", "0".into()),
        ("userkey", facts.collected.first().map_or("", String::as_str).into()),
        ("destnumber", as_sent.into()),
    ];
    if context.cdr_2025 {
        members.extend([
            ("direction", "callout".into()),
            ("userid", (&echo.userid).into()),
            ("ext", chengshudu.into()),
            ("taskid", (&echo.taskid).into()),
            ("round", 0_u16.into()),
            ("recordurl", record.recording_url.as_deref().unwrap_or_default().into()),
        ]);
    }
    Json::object(members).to_string()
}

/// What the merchant gets back as it was sent.
pub(super) fn echo(record: &CallRecord) -> Echo {
    serde_json::from_str(&record.facts.command.custom).unwrap_or_default()
}

/// `chengshudu`; `0` where none was sent.
pub(super) fn chengshudu(echo: &Echo) -> &str {
    if echo.chengshudu.is_empty() { "0" } else { &echo.chengshudu }
}

/// `memberid`; `0` where none was sent.
pub(super) fn memberid(echo: &Echo) -> &str {
    if echo.memberid.is_empty() { "0" } else { &echo.memberid }
}

/// Which leg is the customer's, that leg if it was rung, and his number as it was sent.
pub(super) fn customer<'a>(
    record: &'a CallRecord,
    echo: &Echo,
) -> (Customer, Option<&'a LegFacts>, &'a str) {
    let facts = &record.facts;
    match echo.customer {
        Customer::A => (Customer::A, facts.leg(LegNo::A), &facts.command.a.as_sent),
        Customer::B => {
            let leg = facts.leg(facts.called()).filter(|leg| leg.no != LegNo::A);
            (Customer::B, leg, facts.command.called_as_sent())
        }
    }
}

/// `callmethod` of a record.
pub(super) fn method(record: &CallRecord) -> u16 {
    let said = echo(record).method;
    if said != 0 {
        return said;
    }
    match record.facts.command.purpose {
        Purpose::Campaign => METHOD_TASK,
        _ => METHOD_NOTICE,
    }
}

/// A record in a list.
pub(super) fn bill(record: &CallRecord) -> Json {
    let facts = &record.facts;
    let context =
        facts.command.pushes.iter().find_map(|push| serde_json::from_str(&push.context).ok());
    let context: PushContext = context.unwrap_or_default();
    let echo = echo(record);
    let (which, leg, as_sent) = customer(record, &echo);
    let times = Times::of(record, leg);
    let (cause, direction) = cause::of(facts, (which, leg), echo.method != 0);
    Json::object([
        ("id", facts.call.as_i64().into()),
        ("extnumber", extension(record).into()),
        ("destnumber", as_sent.into()),
        ("displaynumber", shown(record, &context).into()),
        ("starttime", text(Some(times.began)).into()),
        ("answertime", text(times.answered).into()),
        ("endtime", text(Some(times.ended)).into()),
        ("duration", times.waited.into()),
        ("billsec", times.talked.into()),
        ("direction", "callout".into()),
        ("callmethod", method(record).into()),
        ("userid", (&echo.userid).into()),
        ("memberid", memberid(&echo).into()),
        ("chengshudu", chengshudu(&echo).into()),
        ("customuuid", (&echo.customuuid).into()),
        ("recordfilename", file(record).into()),
        ("downloadip", host(record).into()),
        ("hangupdirection", direction.into()),
        ("hangupcause", cause.into()),
        ("uuid", call_uuid(facts.call).into()),
    ])
}

/// When what happened, and for how long.
struct Times {
    began: UnixMillis,
    answered: Option<UnixMillis>,
    ended: UnixMillis,
    /// Seconds from the first to the answer, or to the end: as the times beside it tell.
    waited: i64,
    /// Started seconds from the answer to the end.
    talked: u64,
}

impl Times {
    /// From the first ringing; what follows is the customer's.
    fn of(record: &CallRecord, customer: Option<&LegFacts>) -> Times {
        let facts = &record.facts;
        let began = facts.leg(LegNo::A).map_or(facts.placed, |leg| leg.invited);
        let answered = customer.and_then(|leg| leg.answered);
        let ended = customer.and_then(|leg| leg.ended).unwrap_or(facts.ended);
        let waited = answered.unwrap_or(ended).seconds() - began.seconds();
        let talked = customer.map_or(0, LegFacts::bill_seconds);
        Times { began, answered, ended, waited: waited.max(0), talked }
    }
}

fn text(at: Option<UnixMillis>) -> String {
    at.map(clock::seconds).unwrap_or_default()
}

/// The extension that the call was placed for, or that took it.
pub(super) fn extension(record: &CallRecord) -> String {
    let facts = &record.facts;
    let echo = echo(record);
    if !echo.extnumber.is_empty() {
        return echo.extnumber;
    }
    let taker = match facts.leg(facts.called()) {
        Some(LegFacts { no, number: Number::Internal(number), answered: Some(_), .. })
            if *no != LegNo::A =>
        {
            number
        }
        _ => "",
    };
    taker.to_owned()
}

/// The number that the customer was shown.
fn shown(record: &CallRecord, context: &PushContext) -> String {
    let (_, leg, _) = customer(record, &echo(record));
    let wire = leg.map(|leg| plain_digits(&leg.shown)).unwrap_or_default();
    if context.disnumber.is_empty() { wire } else { context.disnumber.clone() }
}

/// The last part of the recording's path.
fn file(record: &CallRecord) -> &str {
    let file = record.facts.recording.as_ref().map_or("", |recording| &recording.file);
    file.rsplit('/').next().unwrap_or_default()
}

/// Where recordings are had; empty without one.
fn host(record: &CallRecord) -> &str {
    let url = record.recording_url.as_deref().unwrap_or_default();
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}
