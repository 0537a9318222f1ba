//! System 000: signed GET requests, `k=v&k=v` answers, one signed GET notification per call.

mod answer;
mod explain;
mod notify;
mod request;

pub use answer::{Answer, Code, Format};
pub(crate) use explain::Asked;
pub use notify::{NotifyContext, is_delivered, notification_url, result_word};
pub use request::{Callback, HexCase, Lookup, Regist, Request, Verified};

use md5::{Digest, Md5};

/// How long a `callbackid` stays reserved, days.
pub const CALLBACKID_DAYS: u32 = 30;
/// Delay before each send of a notification, seconds: the list's length is the number of sends.
pub const RETRY_SECONDS: [u64; 3] = [0, 60, 300];

/// Lower-case hex MD5.
pub(crate) fn md5_hex(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}
