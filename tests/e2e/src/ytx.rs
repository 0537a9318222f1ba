//! A merchant of system 001: signs as that system's clients do and asks.

use std::net::SocketAddr;
use std::process::Command;

use base64::Engine as _;
use serde_json::Value;

use crate::merchant::{http, md5_hex};

/// `accountSID`.
pub const SID: &str = "0123456789abcdef0123456789abcdef";
/// `authToken`.
pub const TOKEN: &str = "fedcba9876543210fedcba9876543210";
/// `appid`.
pub const APP: &str = "00112233445566778899aabbccddeeff";

/// Lines of the operator file: an account, and an app that pushes to `callback`.
#[must_use]
pub fn account(merchant: &str, callback: &str, record: bool) -> String {
    format!(
        r#"
[[ytx_accounts]]
sid = "{SID}"
auth_token = "{TOKEN}"
merchant = "{merchant}"

[[ytx_apps]]
appid = "{APP}"
account = "{SID}"
functions = ["call", "account", "code", "notice"]
callers = ["01053180002"]
callback_url = "{callback}"
callback_mode = "suffix"
record = {record}
"#
    )
}

/// A signed POST; the answer's text as it came.
///
/// # Panics
/// When the answer is not HTTP 200.
#[must_use]
pub fn post(door: SocketAddr, function: &str, body: &Value) -> String {
    // Beijing time, which has no summer.
    let out = Command::new("date").env("TZ", "CST-8").arg("+%Y%m%d%H%M%S").output();
    let now = String::from_utf8(out.expect("date runs").stdout).expect("digits");
    let now = now.trim();
    let sign = md5_hex(&format!("{SID}{TOKEN}{now}")).to_uppercase();
    let bearer = base64::engine::general_purpose::STANDARD.encode(format!("{SID}|{now}"));
    let target = format!("/201512/sid/{SID}/{function}?Sign={sign}");
    let headers =
        [("Authorization", bearer.as_str()), ("Content-Type", "application/json;charset=utf-8;")];
    let (status, text) = http(door, "POST", &target, &headers, &body.to_string());
    assert_eq!(status, 200, "{function}: {text}");
    text
}

/// As [`post`], read.
///
/// # Panics
/// When the answer is not JSON.
#[must_use]
pub fn ask(door: SocketAddr, function: &str, body: &Value) -> Value {
    let text = post(door, function, body);
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{function}: {e}: {text}"))
}
