//! Who asks: `Authorization: base64(sid|timestamp)` and `Sign=md5(sid + token + timestamp)`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use facts::UnixMillis;
use subtle::ConstantTimeEq;

use crate::callni::md5_hex;
use crate::clock;

/// How far a request's timestamp may be from ours, either way, unless configured otherwise.
pub const VALIDITY_DEFAULT: Duration = Duration::from_hours(24);
/// Longest Authorization value looked at.
const HEADER_MAX: usize = 512;

/// What the Authorization header says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Auth {
    /// accountSID.
    pub sid: String,
    /// `yyyyMMddHHmmss`, Beijing time.
    pub timestamp: String,
    /// The same instant; `None` when it is not a date.
    pub at: Option<UnixMillis>,
}

impl Auth {
    /// Is the timestamp within `validity` of now, before or after?
    #[must_use]
    pub fn is_fresh(&self, now: UnixMillis, validity: Duration) -> bool {
        let limit = u64::try_from(validity.as_millis()).unwrap_or(u64::MAX);
        self.at.is_some_and(|at| now.0.abs_diff(at.0) <= limit)
    }
}

/// Reads the header; it has no scheme word, but one is forgiven, and so is missing padding.
#[must_use]
pub fn parse_authorization(header: &[u8]) -> Option<Auth> {
    if header.len() > HEADER_MAX {
        return None;
    }
    let text = std::str::from_utf8(header).ok()?.trim();
    let text = text.rsplit(' ').next()?;
    let bytes = STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok()?;
    let plain = String::from_utf8(bytes).ok()?;
    let (sid, timestamp) = plain.split_once('|')?;
    let timestamp = timestamp.trim().to_owned();
    let at = clock::parse_compact(&timestamp);
    Some(Auth { sid: sid.trim().to_owned(), timestamp, at })
}

/// Does the Sign match one of the account's tokens? Case of the hex digits does not matter. Clients that
/// read their clock twice are a second off between header and Sign, so both neighbours are tried.
#[must_use]
pub fn sign_matches(auth: &Auth, sign: &str, tokens: &[&str]) -> bool {
    let given = sign.trim().to_ascii_lowercase();
    let mut stamps = vec![auth.timestamp.clone()];
    if let Some(at) = auth.at {
        stamps.extend([-1000, 1000].map(|off| clock::compact(UnixMillis(at.0 + off))));
    }
    let mut matches = false;
    for token in tokens.iter().filter(|token| !token.is_empty()) {
        for stamp in &stamps {
            let expected = md5_hex(format!("{}{token}{stamp}", auth.sid).as_bytes());
            matches |= bool::from(expected.as_bytes().ct_eq(given.as_bytes()));
        }
    }
    matches
}

#[cfg(test)]
mod tests {
    use super::*;

    const SID: &str = "0123456789abcdef0123456789abcdef";
    const TOKEN: &str = "fedcba9876543210fedcba9876543210";
    const HEADER: &[u8] = b"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWZ8MjAyNjAxMTUwOTMwMDA=";

    fn auth() -> Auth {
        parse_authorization(HEADER).unwrap()
    }

    #[test]
    fn vector_6_header_and_sign() {
        assert_eq!(auth().sid, SID);
        assert_eq!(auth().timestamp, "20260115093000");
        assert!(sign_matches(&auth(), "5f4338cff23378c7753f2c822dccd7f3", &[TOKEN]));
        assert!(sign_matches(&auth(), "5F4338CFF23378C7753F2C822DCCD7F3", &["other", TOKEN]));
        assert!(!sign_matches(&auth(), "5f4338cff23378c7753f2c822dccd7f4", &[TOKEN]));
        assert!(!sign_matches(&auth(), "", &[TOKEN]));
        assert!(!sign_matches(&auth(), "5f4338cff23378c7753f2c822dccd7f3", &[""]));
    }

    #[test]
    fn a_sign_one_second_off_is_taken_and_two_are_not() {
        for (stamp, good) in [
            ("20260115092958", false),
            ("20260115092959", true),
            ("20260115093001", true),
            ("20260115093002", false),
        ] {
            let sign = md5_hex(format!("{SID}{TOKEN}{stamp}").as_bytes());
            assert_eq!(sign_matches(&auth(), &sign, &[TOKEN]), good, "{stamp}");
        }
    }

    #[test]
    fn a_timestamp_lives_a_day_either_way() {
        let at = auth().at.unwrap();
        for (off, fresh) in
            [(0, true), (86_400_000, true), (-86_400_000, true), (86_400_001, false)]
        {
            assert_eq!(auth().is_fresh(UnixMillis(at.0 + off), VALIDITY_DEFAULT), fresh);
        }
        let odd = Auth { at: None, ..auth() };
        assert!(!odd.is_fresh(at, VALIDITY_DEFAULT));
    }

    #[test]
    fn headers_that_say_nothing() {
        for bad in [&b""[..], b"Basic", b"\xff\xff", b"MDEy", &[b'A'; 600]] {
            assert_eq!(parse_authorization(bad), None);
        }
    }
}
