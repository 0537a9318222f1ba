//! Small header values: CSeq, RAck, Reason, Retry-After, Session-Expires.

use std::fmt;

use super::lists::semicolons;
use super::scan::{is_blank, is_token, trim};
use super::{Method, Params};

/// A number of decimal digits only; larger ones than u64 are capped.
pub(super) fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut number = 0u64;
    for digit in value {
        number = number.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    }
    Some(number)
}

/// CSeq (RFC 3261 §20.16).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CSeq {
    /// The sequence number, below 2^31 (RFC 3261 §8.1.1.5).
    pub number: u32,
    /// The method.
    pub method: Method,
}

impl CSeq {
    /// Reads the value.
    pub fn parse(value: &[u8]) -> Option<CSeq> {
        let blank = value.iter().position(|&byte| is_blank(byte))?;
        let number = digits(&value[..blank]).filter(|&number| number < 1 << 31)?;
        let method = Method::parse(trim(&value[blank..]))?;
        Some(CSeq { number: u32::try_from(number).ok()?, method })
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

/// RAck (RFC 3262 §7.2): which provisional response a PRACK acknowledges.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RAck {
    /// RSeq of the response.
    pub rseq: u32,
    /// CSeq of the request that it answers.
    pub cseq: CSeq,
}

impl RAck {
    /// Reads the value.
    pub fn parse(value: &[u8]) -> Option<RAck> {
        let value = trim(value);
        let blank = value.iter().position(|&byte| is_blank(byte))?;
        let rseq = u32::try_from(digits(&value[..blank])?).ok()?;
        Some(RAck { rseq, cseq: CSeq::parse(trim(&value[blank..]))? })
    }
}

impl fmt::Display for RAck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.rseq, self.cseq)
    }
}

/// Reason (RFC 3326): why a request or response was sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reason {
    /// `SIP`, `Q.850`, … as written.
    pub protocol: String,
    /// The cause in that protocol's numbers.
    pub cause: Option<u16>,
    /// Words.
    pub text: Option<String>,
}

impl Reason {
    /// A Q.850 cause (RFC 3326 §2).
    pub fn q850(cause: u16, text: &str) -> Reason {
        Reason { protocol: "Q.850".into(), cause: Some(cause), text: Some(text.into()) }
    }

    /// A SIP status as reason.
    pub fn sip(code: u16, text: &str) -> Reason {
        Reason { protocol: "SIP".into(), cause: Some(code), text: Some(text.into()) }
    }

    /// Whether the protocol is Q.850.
    pub fn is_q850(&self) -> bool {
        self.protocol.eq_ignore_ascii_case("Q.850")
    }

    /// Reads one value.
    pub fn parse(value: &[u8]) -> Option<Reason> {
        let protocol = semicolons(value).next()?;
        if protocol.is_empty() || !protocol.iter().all(|&byte| is_token(byte)) {
            return None;
        }
        let params = Params::parse(value.get(protocol.len()..)?)?;
        Some(Reason {
            protocol: String::from_utf8_lossy(protocol).into_owned(),
            cause: params.get("cause").and_then(|cause| cause.parse().ok()),
            text: params.get("text").map(unescape),
        })
    }
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.extend(chars.next()),
            c => plain.push(c),
        }
    }
    plain
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.protocol)?;
        if let Some(cause) = self.cause {
            write!(f, ";cause={cause}")?;
        }
        if let Some(text) = &self.text {
            write!(f, ";text=\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))?;
        }
        Ok(())
    }
}

/// Retry-After (RFC 3261 §20.33).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryAfter {
    /// Seconds to wait.
    pub seconds: u32,
    /// How long the sender will be reachable after that, in seconds.
    pub duration: Option<u32>,
}

impl RetryAfter {
    /// Reads the value; a comment in parentheses is skipped.
    pub fn parse(value: &[u8]) -> Option<RetryAfter> {
        let head = semicolons(value).next()?;
        let end = head.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(head.len());
        if !matches!(trim(&head[end..]).first(), None | Some(b'(')) {
            return None;
        }
        let seconds = digits(&head[..end])?;
        let duration = semicolons(value).skip(1).find_map(|part| {
            let rest = part.strip_prefix(b"duration")?;
            digits(trim(trim(rest).strip_prefix(b"=")?))
        });
        let cap = |seconds: u64| u32::try_from(seconds).unwrap_or(u32::MAX);
        Some(RetryAfter { seconds: cap(seconds), duration: duration.map(cap) })
    }
}

/// Who refreshes a session (RFC 4028 §4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refresher {
    /// The side that sent the request.
    Uac,
    /// The side that answered it.
    Uas,
}

/// Session-Expires (RFC 4028 §4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionExpires {
    /// Seconds.
    pub seconds: u32,
    /// Who refreshes, if told.
    pub refresher: Option<Refresher>,
}

impl SessionExpires {
    /// Reads the value.
    pub fn parse(value: &[u8]) -> Option<SessionExpires> {
        let mut parts = semicolons(value);
        let seconds = u32::try_from(digits(parts.next()?)?).unwrap_or(u32::MAX);
        let params = value.iter().position(|&byte| byte == b';').map_or(&[][..], |at| &value[at..]);
        let refresher = match Params::parse(params)?.get("refresher") {
            Some(who) if who.eq_ignore_ascii_case("uac") => Some(Refresher::Uac),
            Some(who) if who.eq_ignore_ascii_case("uas") => Some(Refresher::Uas),
            _ => None,
        };
        Some(SessionExpires { seconds, refresher })
    }
}

impl fmt::Display for SessionExpires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seconds)?;
        match self.refresher {
            Some(Refresher::Uac) => f.write_str(";refresher=uac"),
            Some(Refresher::Uas) => f.write_str(";refresher=uas"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3261_8_1_1_5_cseq_is_below_two_to_the_31() {
        let cseq = CSeq::parse(b"0009\t INVITE").unwrap();
        assert_eq!((cseq.number, cseq.method), (9, Method::Invite));
        assert!(CSeq::parse(b"2147483647 BYE").is_some());
        assert_eq!(CSeq::parse(b"2147483648 BYE"), None);
        assert_eq!(CSeq::parse(b"36893488147419103232 REGISTER"), None);
        assert_eq!(CSeq::parse(b"-1 BYE"), None);
        assert_eq!(CSeq::parse(b"1"), None);
        assert_eq!(CSeq::parse(b"1 IN VITE"), None);
    }

    #[test]
    fn rfc3262_7_2_rack_reads_and_prints() {
        let rack = RAck::parse(b" 776656 \t1 INVITE ").unwrap();
        assert_eq!((rack.rseq, rack.cseq.number), (776_656, 1));
        assert_eq!(rack.cseq.method, Method::Invite);
        assert_eq!(RAck::parse(rack.to_string().as_bytes()), Some(rack));
        for broken in [&b"1"[..], b"1 INVITE", b"x 1 INVITE", b"4294967296 1 INVITE", b""] {
            assert_eq!(RAck::parse(broken), None);
        }
    }

    #[test]
    fn rfc3326_reason_reads_and_prints() {
        let reason =
            Reason::parse(b"Q.850 ;cause=16 ;text=\"Normal; \\\"call\\\" clearing\"").unwrap();
        assert!(reason.is_q850());
        assert_eq!(reason.cause, Some(16));
        assert_eq!(reason.text.as_deref(), Some("Normal; \"call\" clearing"));
        assert_eq!(Reason::parse(reason.to_string().as_bytes()), Some(reason));
        assert_eq!(Reason::parse(b"SIP").unwrap().cause, None);
        assert_eq!(Reason::parse(b";cause=1"), None);
    }

    #[test]
    fn rfc3261_20_33_retry_after_with_comment_and_duration() {
        let plain = RetryAfter::parse(b"120").unwrap();
        assert_eq!((plain.seconds, plain.duration), (120, None));
        let full = RetryAfter::parse(b"18000 (in a meeting);duration=3600").unwrap();
        assert_eq!((full.seconds, full.duration), (18000, Some(3600)));
        assert_eq!(RetryAfter::parse(b"soon"), None);
        assert_eq!(RetryAfter::parse(b"99999999999999999999").unwrap().seconds, u32::MAX);
    }

    #[test]
    fn rfc4028_4_session_expires() {
        let value = SessionExpires::parse(b"1800;refresher=UAS").unwrap();
        assert_eq!((value.seconds, value.refresher), (1800, Some(Refresher::Uas)));
        assert_eq!(value.to_string(), "1800;refresher=uas");
        assert_eq!(SessionExpires::parse(b"90").unwrap().refresher, None);
        assert_eq!(SessionExpires::parse(b"x"), None);
    }
}
