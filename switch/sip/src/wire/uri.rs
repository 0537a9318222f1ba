//! URIs: sip, sips, tel, and the rest as opaque text.
//!
//! A URI prints back exactly as it was read: escapes, case and parameter order are kept. Equality of
//! the struct is equality of the text's parts; equality in the sense of RFC 3261 §19.1.4 is
//! [`Uri::equivalent`].

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::params::RawParams;
use super::{Params, URI_BYTES_MAX};

/// The scheme of a URI.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:` (RFC 3966)
    Tel,
    /// Any other, as written.
    Other(String),
}

impl Scheme {
    /// The scheme's name.
    pub fn as_str(&self) -> &str {
        match self {
            Scheme::Sip => "sip",
            Scheme::Sips => "sips",
            Scheme::Tel => "tel",
            Scheme::Other(name) => name,
        }
    }
}

/// A host name or address as written; IPv6 in brackets. Empty for `tel:` and opaque URIs.
#[derive(Clone, Debug, Default)]
pub struct Host {
    text: String,
}

impl Host {
    /// Reads a host: a name, an IPv4 address, or an IPv6 reference in brackets.
    pub fn parse(text: &str) -> Option<Host> {
        Host::is_valid(text).then(|| Host { text: text.to_owned() })
    }

    /// A host whose text was found to be one.
    pub(super) fn of_checked(text: &str) -> Host {
        Host { text: text.to_owned() }
    }

    fn is_valid(text: &str) -> bool {
        match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) => ipv6(inner).is_some(),
            None => {
                !text.is_empty()
                    && text
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
            }
        }
    }

    /// The text, IPv6 in brackets.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address, if the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        ip_of(&self.text)
    }

    /// Whether there is no host.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Host {
        let text = match ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        Host { text }
    }
}

/// Names compare without case, addresses by value.
impl PartialEq for Host {
    fn eq(&self, other: &Host) -> bool {
        self.text.eq_ignore_ascii_case(&other.text)
            || matches!((self.ip(), other.ip()), (Some(a), Some(b)) if a == b)
    }
}

impl Eq for Host {}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A URI.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Uri {
    /// The scheme.
    pub scheme: Scheme,
    /// sip/sips: the user part, escapes as written (see [`Uri::user_text`]). tel: the number.
    /// Other schemes: everything after the colon.
    pub user: Option<String>,
    /// The password part, as written.
    pub password: Option<String>,
    /// The host; empty for tel and other schemes.
    pub host: Host,
    /// The port, if written.
    pub port: Option<u16>,
    /// URI parameters (`transport`, `lr`, `user`, `phone-context` …).
    pub params: Params,
    /// What follows `?`, as written.
    pub headers: Option<String>,
}

/// Text that is not a URI.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UriError {
    /// More than [`URI_BYTES_MAX`] bytes.
    #[error("URI too long")]
    TooLong,
    /// No scheme.
    #[error("URI without scheme")]
    Scheme,
    /// A part of it does not read.
    #[error("malformed URI")]
    Malformed,
}

impl Uri {
    /// `sip:user@host:port`.
    pub fn sip(user: Option<&str>, host: Host, port: Option<u16>) -> Uri {
        Uri {
            scheme: Scheme::Sip,
            user: user.map(escape_user),
            password: None,
            host,
            port,
            params: Params::new(),
            headers: None,
        }
    }

    /// `sip:user@address:port`.
    pub fn at(user: Option<&str>, address: SocketAddr) -> Uri {
        Uri::sip(user, Host::from(address.ip()), Some(address.port()))
    }

    /// `tel:number`, a global number with its `+`.
    pub fn tel(number: &str) -> Uri {
        RawUri::opaque(RawScheme::Tel, number).to_uri()
    }

    /// Reads a URI.
    pub fn parse(text: &str) -> Result<Uri, UriError> {
        RawUri::parse(text).map(RawUri::to_uri)
    }

    /// Reads a URI from bytes.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Uri, UriError> {
        RawUri::parse_bytes(bytes).map(RawUri::to_uri)
    }

    /// Whether the scheme is sip or sips.
    pub fn is_sip(&self) -> bool {
        matches!(self.scheme, Scheme::Sip | Scheme::Sips)
    }

    /// The user with its %-escapes resolved; bytes that are not UTF-8 are replaced.
    pub fn user_text(&self) -> Option<String> {
        self.user
            .as_deref()
            .map(|user| percent_encoding::percent_decode_str(user).decode_utf8_lossy().into_owned())
    }

    /// The dialled number in it, if there is one: the user part without the parameters that a
    /// telephone-subscriber may carry there (RFC 3261 §19.1.6, `sip:+86…;phone-context=…@host`) and
    /// without visual separators (RFC 3966 §5.1.1) when it otherwise consists of digits.
    pub fn number(&self) -> Option<String> {
        if let Scheme::Other(_) = self.scheme {
            return None;
        }
        let user = self.user_text()?;
        let user = user.split(';').next().unwrap_or(&user);
        let bare: String = user.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')')).collect();
        let dialled = |c: char| c.is_ascii_digit() || matches!(c, '*' | '#');
        let digits = bare.strip_prefix('+').unwrap_or(&bare);
        if !digits.is_empty() && digits.chars().all(dialled) {
            Some(bare)
        } else {
            Some(user.to_owned())
        }
    }

    /// `phone-context` of a tel URI, or of the telephone-subscriber in a sip user part.
    pub fn phone_context(&self) -> Option<String> {
        if let Some(context) = self.params.get("phone-context") {
            return Some(context.to_owned());
        }
        let user = self.user.as_deref()?;
        user.split(';').skip(1).find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.eq_ignore_ascii_case("phone-context").then(|| value.to_owned())
        })
    }

    /// Whether the URI says loose routing, in any of the spellings met (`lr`, `lr=on`, `lr=true`).
    pub fn is_loose(&self) -> bool {
        self.params.has("lr")
    }

    /// The `transport` parameter.
    pub fn transport(&self) -> Option<&str> {
        self.params.get("transport")
    }

    /// Equality by RFC 3261 §19.1.4: user and password with case, host without; escapes of
    /// characters that need none are resolved; user, ttl, method, maddr and transport must be in both
    /// or neither, other parameters agree where both have them; headers must be the same set. tel
    /// URIs compare by RFC 3966 §4: digits without separators, and phone-context.
    pub fn equivalent(&self, other: &Uri) -> bool {
        if self.scheme != other.scheme {
            return false;
        }
        match self.scheme {
            Scheme::Other(_) => self.user == other.user,
            Scheme::Tel => {
                self.number() == other.number()
                    && self.params.get("phone-context").map(str::to_ascii_lowercase)
                        == other.params.get("phone-context").map(str::to_ascii_lowercase)
            }
            Scheme::Sip | Scheme::Sips => {
                decoded(self.user.as_deref()) == decoded(other.user.as_deref())
                    && decoded(self.password.as_deref()) == decoded(other.password.as_deref())
                    && self.host == other.host
                    && self.port == other.port
                    && same_params(&self.params, &other.params)
                    && header_set(self.headers.as_deref()) == header_set(other.headers.as_deref())
            }
        }
    }
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Uri, UriError> {
        Uri::parse(text)
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.scheme.as_str())?;
        if let Some(user) = &self.user {
            f.write_str(user)?;
            if let Some(password) = &self.password {
                write!(f, ":{password}")?;
            }
            if self.is_sip() {
                f.write_str("@")?;
            }
        }
        write!(f, "{}", self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.params)?;
        if let Some(headers) = &self.headers {
            write!(f, "?{headers}")?;
        }
        Ok(())
    }
}

/// A scheme as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RawScheme<'a> {
    Sip,
    Sips,
    Tel,
    Other(&'a str),
}

/// A URI that was checked and still lies where it came in: what is only looked at is not copied.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawUri<'a> {
    pub(super) scheme: RawScheme<'a>,
    user: Option<&'a str>,
    password: Option<&'a str>,
    host: &'a str,
    port: Option<u16>,
    params: RawParams<'a>,
    pub(super) headers: Option<&'a str>,
}

impl<'a> RawUri<'a> {
    pub(super) fn parse(text: &'a str) -> Result<RawUri<'a>, UriError> {
        if text.len() > URI_BYTES_MAX {
            return Err(UriError::TooLong);
        }
        let (scheme, rest) = split(text, b':').ok_or(UriError::Scheme)?;
        let letters = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.bytes().all(letters) {
            return Err(UriError::Scheme);
        }
        if text.bytes().any(|b| b <= b' ' || matches!(b, b'<' | b'>' | b'"' | 0x7f)) {
            return Err(UriError::Malformed);
        }
        match scheme {
            _ if scheme.eq_ignore_ascii_case("sip") => sip_uri(RawScheme::Sip, rest),
            _ if scheme.eq_ignore_ascii_case("sips") => sip_uri(RawScheme::Sips, rest),
            _ if scheme.eq_ignore_ascii_case("tel") => tel_uri(rest),
            _ if rest.is_empty() => Err(UriError::Malformed),
            other => Ok(RawUri::opaque(RawScheme::Other(other), rest)),
        }
    }

    pub(super) fn parse_bytes(bytes: &'a [u8]) -> Result<RawUri<'a>, UriError> {
        RawUri::parse(std::str::from_utf8(bytes).map_err(|_| UriError::Malformed)?)
    }

    fn opaque(scheme: RawScheme<'a>, rest: &'a str) -> RawUri<'a> {
        RawUri {
            scheme,
            user: Some(rest),
            password: None,
            host: "",
            port: None,
            params: RawParams::NONE,
            headers: None,
        }
    }

    pub(super) fn to_uri(self) -> Uri {
        Uri {
            scheme: match self.scheme {
                RawScheme::Sip => Scheme::Sip,
                RawScheme::Sips => Scheme::Sips,
                RawScheme::Tel => Scheme::Tel,
                RawScheme::Other(name) => Scheme::Other(name.to_owned()),
            },
            user: self.user.map(str::to_owned),
            password: self.password.map(str::to_owned),
            host: Host { text: self.host.to_owned() },
            port: self.port,
            params: self.params.to_params(),
            headers: self.headers.map(str::to_owned),
        }
    }
}

/// RFC 3261 §19.1.1. The user part ends at the last `@` before the headers: unescaped `@` is not
/// allowed in it, but `;`, `?`, `/` and `.` are.
fn sip_uri<'a>(scheme: RawScheme<'a>, rest: &'a str) -> Result<RawUri<'a>, UriError> {
    let (userinfo, rest) = match split(rest, b'@') {
        Some((userinfo, rest)) => (Some(userinfo), rest),
        None => (None, rest),
    };
    let (user, password) = match userinfo {
        None => (None, None),
        Some("") => return Err(UriError::Malformed),
        Some(info) => match split(info, b':') {
            Some((user, password)) => (Some(user), Some(password)),
            None => (Some(info), None),
        },
    };
    if user == Some("") {
        return Err(UriError::Malformed);
    }
    let (rest, headers) = match split(rest, b'?') {
        Some((rest, headers)) => (rest, Some(headers)),
        None => (rest, None),
    };
    let (hostport, params) = match split(rest, b';') {
        Some((hostport, params)) => (hostport, params),
        None => (rest, ""),
    };
    let (host, port) = raw_host_port(hostport).ok_or(UriError::Malformed)?;
    let params = RawParams::parse(params.as_bytes()).ok_or(UriError::Malformed)?;
    Ok(RawUri { scheme, user, password, host, port, params, headers })
}

/// Parts a text at the first of this ASCII character.
fn split(text: &str, at: u8) -> Option<(&str, &str)> {
    let at = memchr::memchr(at, text.as_bytes())?;
    Some((&text[..at], &text[at + 1..]))
}

/// RFC 3966 §3: the number up to the first semicolon, then parameters.
fn tel_uri(rest: &str) -> Result<RawUri<'_>, UriError> {
    let (number, params) = rest.split_once(';').unwrap_or((rest, ""));
    let dialled = |b: u8| {
        b.is_ascii_hexdigit() || matches!(b, b'+' | b'*' | b'#' | b'-' | b'.' | b'(' | b')' | b'%')
    };
    if number.is_empty() || !number.bytes().all(dialled) {
        return Err(UriError::Malformed);
    }
    let params = RawParams::parse(params.as_bytes()).ok_or(UriError::Malformed)?;
    Ok(RawUri { params, ..RawUri::opaque(RawScheme::Tel, number) })
}

/// `host[:port]`, IPv6 in brackets; blanks around the colon are taken (RFC 3261 §25.1 `COLON`).
pub(super) fn raw_host_port(text: &str) -> Option<(&str, Option<u16>)> {
    let text = text.trim_matches([' ', '\t']);
    let bytes = text.as_bytes();
    let from = memchr::memchr(b']', bytes).unwrap_or(0);
    let colon = memchr::memchr(b':', &bytes[from..]).map(|at| from + at);
    let valid = |host| Host::is_valid(host).then_some(host);
    let Some(colon) = colon else { return Some((valid(text)?, None)) };
    let host = valid(text[..colon].trim_end_matches([' ', '\t']))?;
    let digits = text[colon + 1..].trim_start_matches([' ', '\t']);
    if digits.is_empty() || digits.len() > 5 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((host, Some(digits.parse().ok()?)))
}

/// The address that a host's text is, IPv6 in brackets.
pub(super) fn ip_of(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => ipv6(inner).map(IpAddr::V6),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// An IPv6 address. The grammar of RFC 3261 lets three colons stand before an IPv4 tail; both that
/// and the two that are meant are taken (RFC 5118 §4.10), nowhere else.
fn ipv6(text: &str) -> Option<Ipv6Addr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (head, tail) = text.split_once(":::")?;
    tail.parse::<Ipv4Addr>().ok()?;
    format!("{head}::{tail}").parse().ok()
}

/// Characters that stand unescaped in a user part (RFC 3261 §25.1 `unreserved`, `user-unreserved`).
fn escape_user(user: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const USER: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'!')
        .remove(b'~')
        .remove(b'*')
        .remove(b'\'')
        .remove(b'(')
        .remove(b')')
        .remove(b'&')
        .remove(b'=')
        .remove(b'+')
        .remove(b'$')
        .remove(b',')
        .remove(b';')
        .remove(b'?')
        .remove(b'/');
    utf8_percent_encode(user, USER).to_string()
}

fn decoded(part: Option<&str>) -> Option<Vec<u8>> {
    part.map(|part| percent_encoding::percent_decode_str(part).collect())
}

fn same_params(a: &Params, b: &Params) -> bool {
    const BOTH: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];
    let agree = |x: &Params, y: &Params| {
        // Of a name that comes twice, which is an error of the peer's, the first counts.
        x.iter().all(|(name, _)| match (x.find(name).flatten(), y.find(name)) {
            (value, Some(other)) => match (value, other) {
                (Some(value), Some(other)) => value.eq_ignore_ascii_case(other),
                (None, None) => true,
                _ => false,
            },
            (_, None) => !BOTH.iter().any(|both| both.eq_ignore_ascii_case(name)),
        })
    };
    agree(a, b) && agree(b, a)
}

fn header_set(headers: Option<&str>) -> Vec<(String, Vec<u8>)> {
    let mut set: Vec<_> = headers
        .unwrap_or("")
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (name.to_ascii_lowercase(), percent_encoding::percent_decode_str(value).collect())
        })
        .collect();
    set.sort();
    set
}
