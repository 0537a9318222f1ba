//! Via (RFC 3261 §20.42, rport of RFC 3581).

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use super::lists::find_outside;
use super::params::RawParams;
use super::scan::{is_token, trim};
use super::uri::{ip_of, raw_host_port};
use super::{Host, Params};

/// The start of every branch made by an RFC 3261 element (§8.1.1.7).
const COOKIE: &str = "z9hG4bK";

/// One Via value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Via {
    /// The transport as written (`UDP`, `TCP`, `TLS-SCTP` …).
    pub transport: String,
    /// The sent-by host.
    pub host: Host,
    /// The sent-by port, if written.
    pub port: Option<u16>,
    /// Parameters (`branch`, `rport`, `received`, `maddr`, `ttl` …).
    pub params: Params,
}

impl Via {
    /// A Via of our own: transport, sent-by and branch, with an empty `rport`.
    pub fn new(transport: &str, host: Host, port: u16, branch: &str) -> Via {
        let params = Params::new().with("branch", Some(branch)).with("rport", None);
        Via { transport: transport.to_owned(), host, port: Some(port), params }
    }

    /// Reads one value. Blanks around the slashes, the colon, `;` and `=` are allowed. Only protocol
    /// `SIP/2.0` is a Via of ours (RFC 3261 §20.42).
    pub fn parse(value: &[u8]) -> Option<Via> {
        RawVia::parse(value).map(|raw| Via {
            transport: String::from_utf8_lossy(raw.transport).into_owned(),
            host: Host::of_checked(raw.host),
            port: raw.port,
            params: raw.params.to_params(),
        })
    }

    /// The branch, if there is a non-empty one.
    pub fn branch(&self) -> Option<&str> {
        self.params.get("branch").filter(|branch| !branch.is_empty())
    }

    /// Whether the branch can identify a transaction: it starts with the cookie of RFC 3261
    /// §8.1.1.7, in any case, and has something after it.
    pub fn has_cookie(&self) -> bool {
        self.branch().is_some_and(|branch| {
            branch.len() > COOKIE.len()
                && branch
                    .get(..COOKIE.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(COOKIE))
        })
    }

    /// `received`, with or without brackets around IPv6 (RFC 5118 §4.5).
    pub fn received(&self) -> Option<IpAddr> {
        let value = self.params.get("received")?;
        let bare = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match bare {
            Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            None => value.parse().ok(),
        }
    }

    /// `rport`: `Some(None)` asks for it, `Some(Some(port))` tells it (RFC 3581 §3).
    pub fn rport(&self) -> Option<Option<u16>> {
        self.params.find("rport").map(|value| value.and_then(|port| port.parse().ok()))
    }

    /// Adds what a server must add: `received`, and the port if it was asked for (RFC 3581 §4;
    /// `received` always comes with it, RFC 3261 §18.2.1 when the host differs).
    pub fn stamp(&mut self, source: IpAddr, port: u16) {
        let asked = self.params.has("rport");
        if asked || self.host.ip() != Some(source) {
            self.params.set("received", Some(&source.to_string()));
        }
        if asked {
            self.params.set("rport", Some(&port.to_string()));
        }
    }
}

/// A Via that was checked and still lies where it came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawVia<'a> {
    transport: &'a [u8],
    host: &'a str,
    /// The sent-by port, if written.
    pub(crate) port: Option<u16>,
    params: RawParams<'a>,
}

impl<'a> RawVia<'a> {
    /// As [`Via::parse`].
    pub(super) fn parse(value: &'a [u8]) -> Option<RawVia<'a>> {
        let value = trim(value);
        let end = find_outside(value, b';').unwrap_or(value.len());
        let (protocol, params) = (&value[..end], value.get(end + 1..).unwrap_or(&[]));
        let mut parts = protocol.splitn(3, |&byte| byte == b'/');
        let (name, version) = (trim(parts.next()?), trim(parts.next()?));
        if !name.eq_ignore_ascii_case(b"SIP") || version != b"2.0" {
            return None;
        }
        let rest = trim(parts.next()?);
        let blank = rest.iter().position(|&byte| super::scan::is_blank(byte))?;
        let (transport, sent_by) = rest.split_at(blank);
        if transport.is_empty() || !transport.iter().all(|&byte| is_token(byte)) {
            return None;
        }
        let (host, port) = raw_host_port(std::str::from_utf8(sent_by).ok()?)?;
        Some(RawVia { transport, host, port, params: RawParams::parse(params)? })
    }

    /// The sent-by host, if it is an address.
    pub(crate) fn ip(self) -> Option<IpAddr> {
        ip_of(self.host)
    }

    /// As [`Via::branch`].
    pub(crate) fn branch(self) -> Option<Cow<'a, str>> {
        self.params.get("branch").filter(|branch| !branch.is_empty())
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/2.0/{} {}", self.transport, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.params)
    }
}
