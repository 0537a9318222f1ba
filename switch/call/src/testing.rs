//! What the unit tests of this crate share.

use std::time::Instant;

use facts::ledger::OpenCall;
use facts::{CallCommand, CallId, Dialect, MerchantId, Now, Number, Party, UnixMillis};

/// The instant at which every test begins.
#[allow(clippy::disallowed_methods, reason = "a virtual clock needs one instant to count from")]
pub(crate) fn start() -> Now {
    Now { mono: Instant::now(), wall: UnixMillis(1_763_700_000_000) }
}

/// A call that the last process had accepted and not dialled yet.
pub(crate) fn open_call(call: CallId) -> OpenCall {
    let party = || Party {
        number: Number::Internal("80000".into()),
        as_sent: "80000".into(),
        shown: None,
        ring: std::time::Duration::from_secs(60),
    };
    let command = CallCommand {
        dialect: Dialect::Callni,
        merchant: MerchantId(1),
        sub_account: None,
        app: String::new(),
        a: party(),
        b: Some(party()),
        scenario: None,
        conference: None,
        purpose: Default::default(),
        max_talk: None,
        record: facts::media::Record::No,
        key: None,
        pushes: Vec::new(),
        custom: String::new(),
    };
    let now = start().wall;
    OpenCall { call, command, placed: now, legs: Vec::new(), alive: now }
}
