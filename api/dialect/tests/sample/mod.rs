//! Records to write notifications of.

#![allow(dead_code, reason = "each test file uses what it needs")]

use std::time::Duration;

use facts::media::MediaStats;
use facts::{
    CallCommand, CallFacts, CallId, CallIds, CallRecord, Currency, Dialect, Failure, Kind,
    LegCharge, LegFacts, LegNo, MerchantId, Micros, Number, Origin, Outcome, Party, Side,
    UnixMillis,
};

/// 2016-02-02 11:19:00, Beijing time.
pub(crate) const PLACED: UnixMillis = UnixMillis(1_454_383_140_000);

pub(crate) fn call() -> CallId {
    CallIds::new(0).next(PLACED)
}

pub(crate) fn at(seconds: u64) -> UnixMillis {
    PLACED + Duration::from_secs(seconds)
}

fn party(as_sent: &str) -> Party {
    let number = Number::E164(format!("86{as_sent}"));
    Party { number, as_sent: as_sent.into(), shown: None, ring: Duration::from_secs(60) }
}

pub(crate) fn command(dialect: Dialect, a: &str, b: &str) -> CallCommand {
    CallCommand {
        dialect,
        merchant: MerchantId(1),
        sub_account: None,
        app: "ff8080813fc70a7b013fc72312324213".into(),
        a: party(a),
        b: Some(party(b)),
        scenario: None,
        conference: None,
        purpose: Default::default(),
        max_talk: None,
        record: facts::media::Record::Yes,
        key: None,
        pushes: Vec::new(),
        custom: "123456".into(),
    }
}

/// A leg that was invited and nothing else.
pub(crate) fn leg(no: LegNo) -> LegFacts {
    LegFacts {
        no,
        number: Number::E164("8613800138000".into()),
        as_sent: "13800138000".into(),
        shown: String::new(),
        trunk: "carrier".into(),
        sip_call_id: "x@y".into(),
        invited: at(1),
        progress: None,
        alerting: None,
        answered: None,
        ended: Some(at(100)),
        sip_final: None,
        q850: None,
        released_by: None,
        failure: None,
        replaced_by: None,
        paid_until: None,
        media: MediaStats::default(),
        recognised: None,
        spoken: Default::default(),
    }
}

/// A leg that talked.
pub(crate) fn talked(no: LegNo, from: u64, to: u64) -> LegFacts {
    LegFacts {
        progress: Some(at(5)),
        alerting: Some(at(5)),
        answered: Some(at(from)),
        ended: Some(at(to)),
        sip_final: Some(200),
        ..leg(no)
    }
}

/// A leg that failed.
pub(crate) fn failed(
    no: LegNo,
    sip: Option<u16>,
    q850: Option<u8>,
    rang: bool,
    kind: Kind,
) -> LegFacts {
    let origin = if no == LegNo::A { Origin::LegA } else { Origin::LegB };
    LegFacts {
        progress: rang.then(|| at(5)),
        alerting: rang.then(|| at(5)),
        sip_final: sip,
        q850,
        failure: Some(Failure::new(origin, kind)),
        ..leg(no)
    }
}

pub(crate) fn charge(no: LegNo, seconds: u64, micros: i64) -> LegCharge {
    let prefix = "86".into();
    LegCharge {
        no,
        prefix,
        seconds,
        charged_seconds: seconds.div_ceil(60) * 60,
        price: Micros(micros),
    }
}

pub(crate) fn record(command: CallCommand, outcome: Outcome, legs: Vec<LegFacts>) -> CallRecord {
    let joined = legs.len() == 2 && legs.iter().all(|leg| leg.answered.is_some());
    CallRecord {
        facts: CallFacts {
            call: call(),
            command,
            placed: PLACED,
            bridged: joined.then(|| legs[1].answered).flatten(),
            ended: at(100),
            outcome,
            released_by: Side::Caller,
            legs,
            unrung: Vec::new(),
            recording: None,
            unrecorded: None,
            message: None,
            mailbox: None,
            collected: Vec::new(),
        },
        charges: Vec::new(),
        currency: Currency::CNY,
        recording_url: None,
    }
}
