//! The result notification of system 000: a GET to the merchant's `returnurl`, signed with its key.

use facts::{CallRecord, LegNo, Micros, Origin, Outcome};
use serde::{Deserialize, Serialize};

use super::{HexCase, md5_hex};
use crate::text::escape;

/// What the notification needs beyond the record; travels with the promise to send it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NotifyContext {
    /// The merchant's id of the call.
    pub callbackid: String,
    /// The merchant's own words, if it gave any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The signature of the request was written in capitals: so will ours be.
    #[serde(default)]
    pub upper: bool,
}

impl NotifyContext {
    /// The case to sign in.
    #[must_use]
    pub fn case(&self) -> HexCase {
        if self.upper { HexCase::Upper } else { HexCase::Lower }
    }
}

/// The URL to get, complete with signature.
#[must_use]
pub fn notification_url(
    returnurl: &str,
    record: &CallRecord,
    context: &NotifyContext,
    key: &str,
) -> String {
    let command = &record.facts.command;
    let leg = |no| {
        let charge = record.charges.iter().find(|charge| charge.no == no);
        let talked = || record.facts.leg(no).map_or(0, facts::LegFacts::bill_seconds);
        let seconds = charge.map_or_else(talked, |charge| charge.seconds);
        (seconds.to_string(), charge.map_or(Micros::ZERO, |charge| charge.price).decimal(2))
    };
    let (a_seconds, a_fee) = leg(LegNo::A);
    let (b_seconds, b_fee) = leg(record.facts.called());
    let fields = [
        ("callbackid", context.callbackid.as_str()),
        ("callback_num", command.a.as_sent.as_str()),
        ("callback_duration", &a_seconds),
        ("callback_fee", &a_fee),
        ("destination_num", command.called_as_sent()),
        ("destination_duration", &b_seconds),
        ("destination_fee", &b_fee),
        ("callback_result", result_word(record)),
    ];
    let mut base = String::new();
    let mut query = String::new();
    for (name, value) in fields {
        base.push_str(&format!("{name}={value}&"));
        query.push_str(&format!("{name}={}&", escape(value)));
    }
    base.push_str("key=");
    base.push_str(key);
    let mut sign = md5_hex(base.as_bytes());
    if context.case() == HexCase::Upper {
        sign.make_ascii_uppercase();
    }
    query.push_str("sign=");
    query.push_str(&sign);
    if let Some(data) = context.data.as_deref().filter(|data| !data.is_empty()) {
        query.push_str("&data=");
        query.push_str(&escape(data));
    }
    append_query(returnurl, &query)
}

/// `?` or, behind a query, `&`; a fragment is not sent anyway and is dropped.
fn append_query(url: &str, query: &str) -> String {
    let url = url.split('#').next().unwrap_or_default();
    match url.split_once('?') {
        None => format!("{url}?{query}"),
        Some((_, "")) => format!("{url}{query}"),
        Some((_, old)) if old.ends_with('&') => format!("{url}{query}"),
        Some(_) => format!("{url}&{query}"),
    }
}

/// The word for how the call came out (merchant API §2.5), from the failure table.
#[must_use]
pub fn result_word(record: &CallRecord) -> &'static str {
    let facts = &record.facts;
    let Outcome::Failed(failure) = facts.outcome else { return SUCCESS };
    let row = failure.kind.row();
    let a_answered = facts.leg(LegNo::A).is_some_and(|leg| leg.answered.is_some());
    let word = match failure.origin {
        Origin::LegA => row.at_a,
        Origin::LegB => row.at_b,
        Origin::Media | Origin::Billing | Origin::Us if a_answered => row.at_b,
        Origin::Media | Origin::Billing | Origin::Us => row.at_a,
    };
    // Once both have talked, only a cut has a word of its own.
    let cut = !word.starts_with("caller_") && !word.starts_with("callee_");
    if facts.bridged.is_some() && !cut { SUCCESS } else { word }
}

const SUCCESS: &str = "success";

/// The merchant answers `success` when it has taken the notification; anything else is a failure.
#[must_use]
pub fn is_delivered(status: u16, body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    (200..300).contains(&status) && body.trim_ascii().eq_ignore_ascii_case(b"success")
}
