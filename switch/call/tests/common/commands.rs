//! What merchants ask for.

use facts::{CallCommand, Dialect, Number, Party, Push, PushKind, RequestKey};

use super::{MERCHANT, NUMBER_A, NUMBER_B, s};

pub fn party(number: &str) -> Party {
    Party {
        number: Number::E164(number.into()),
        as_sent: number[2..].into(),
        shown: None,
        ring: s(60),
    }
}

pub fn callback() -> CallCommand {
    CallCommand {
        dialect: Dialect::Callni,
        merchant: MERCHANT,
        sub_account: None,
        app: String::new(),
        a: party(NUMBER_A),
        b: Some(party(NUMBER_B)),
        scenario: None,
        conference: None,
        purpose: Default::default(),
        max_talk: None,
        record: facts::media::Record::No,
        key: None,
        pushes: vec![Push {
            kind: PushKind::State,
            dialect: Dialect::Callni,
            endpoint: "http://merchant.example/state".into(),
            context: String::new(),
        }],
        custom: String::new(),
    }
}

pub fn key(key: &str, fingerprint: &str) -> RequestKey {
    RequestKey { dialect: Dialect::Callni, key: key.into(), fingerprint: fingerprint.into() }
}
