//! Whether a merchant's request is the merchant's.

use std::hint::black_box;

use dialect::{callni, ytx};

use crate::Meter;

const KEYS: &[&str] = &["awrlk45ghfg7"];

pub(super) fn system_000(meter: &mut Meter, rounds: u64) {
    // MD5 of `username=test&callbackid=load-1&callback_num=…&destination_num=…&key=awrlk45ghfg7`.
    const SIGN: &str = "16524dd0cd65d2c511382d89da93f558";
    let (a, b) = ("13800138000", "13900139000");
    let query = format!(
        "username=test&callbackid=load-1&callback_num={a}&destination_num={b}\
         &returnurl=http%3A%2F%2Fmerchant.example%2Fdone&data=test&sign={SIGN}"
    );
    let check = || {
        let request = callni::Request::parse(black_box(query.as_bytes()), b"");
        request.require_callback().expect("all fields");
        let verified = request.verify_callback(KEYS).expect("the signature of the key");
        black_box(verified.callback().expect("fields that can be used"));
    };
    check();
    meter.start();
    meter.measure(|| (0..rounds).for_each(|_| check()));
}

pub(super) fn system_001(meter: &mut Meter, rounds: u64) {
    // sid and token of 32 hex digits, 2026-01-15 09:30:00 Beijing time.
    const HEADER: &[u8] = b"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWZ8MjAyNjAxMTUwOTMwMDA=";
    const SIGN: &str = "5f4338cff23378c7753f2c822dccd7f3";
    let tokens = ["fedcba9876543210fedcba9876543210"];
    let check = || {
        let auth = ytx::parse_authorization(black_box(HEADER)).expect("a header");
        assert!(ytx::sign_matches(&auth, black_box(SIGN), &tokens));
    };
    check();
    meter.start();
    meter.measure(|| (0..rounds).for_each(|_| check()));
}
