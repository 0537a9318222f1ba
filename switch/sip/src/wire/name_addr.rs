//! `"Name" <uri>;params`: From, To, Contact, Route and their kin (RFC 3261 §20.10, §25.1).

use std::borrow::Cow;
use std::fmt;
use std::io::Write;

use super::lists::quoted_end;
use super::params::RawParams;
use super::scan::{is_token, trim};
use super::uri::RawUri;
use super::{Params, Uri};

/// An address with an optional display name and header parameters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NameAddr {
    /// The display name's bytes without the quotes, escapes as written. The charset is the peer's:
    /// GBK survives. Printed in quotes.
    pub display: Option<Vec<u8>>,
    /// The address.
    pub uri: Uri,
    /// Header parameters (`tag`, `expires`, `q`, `+sip.instance` …), not those of the URI.
    pub params: Params,
}

impl NameAddr {
    /// An address without display name and parameters.
    pub const fn new(uri: Uri) -> NameAddr {
        NameAddr { display: None, uri, params: Params::new() }
    }

    /// An address with a display name; quotes and backslashes in it are escaped.
    pub fn named(display: &str, uri: Uri) -> NameAddr {
        let mut name = Vec::with_capacity(display.len());
        for &byte in display.as_bytes() {
            if matches!(byte, b'"' | b'\\') {
                name.push(b'\\');
            }
            name.push(byte);
        }
        NameAddr { display: Some(name), uri, params: Params::new() }
    }

    /// Reads one value. Without angle brackets, parameters belong to the header and a `?` is an
    /// error (RFC 3261 §20: such a URI must be bracketed).
    pub fn parse(value: &[u8]) -> Option<NameAddr> {
        RawNameAddr::parse(value).map(|raw| NameAddr {
            display: raw.display.map(<[u8]>::to_vec),
            uri: raw.uri.to_uri(),
            params: raw.params.to_params(),
        })
    }

    /// The `tag` parameter.
    pub fn tag(&self) -> Option<&str> {
        self.params.get("tag").filter(|tag| !tag.is_empty())
    }

    /// Sets the `tag` parameter.
    pub fn set_tag(&mut self, tag: &str) {
        self.params.set("tag", Some(tag));
    }

    /// [`NameAddr::set_tag`], for building in one expression.
    #[must_use]
    pub fn with_tag(mut self, tag: &str) -> NameAddr {
        self.set_tag(tag);
        self
    }

    /// The display name as text: escapes resolved, bytes that are not UTF-8 replaced. For people and
    /// records, not for printing back.
    pub fn display_text(&self) -> Option<String> {
        let raw = self.display.as_deref()?;
        let mut plain = Vec::with_capacity(raw.len());
        let mut bytes = raw.iter();
        while let Some(&byte) = bytes.next() {
            match byte {
                b'\\' => plain.extend(bytes.next()),
                byte => plain.push(byte),
            }
        }
        Some(String::from_utf8_lossy(&plain).into_owned())
    }

    /// The value as printed, display bytes exact.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(96);
        if let Some(display) = &self.display {
            out.push(b'"');
            push_display(&mut out, display);
            out.extend_from_slice(b"\" ");
        }
        // A vector takes whatever is written into it.
        let _ = write!(out, "<{}>{}", self.uri, self.params);
        out
    }
}

/// An address that was checked and still lies where it came in.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawNameAddr<'a> {
    display: Option<&'a [u8]>,
    uri: RawUri<'a>,
    params: RawParams<'a>,
}

impl<'a> RawNameAddr<'a> {
    /// As [`NameAddr::parse`].
    pub(super) fn parse(value: &'a [u8]) -> Option<RawNameAddr<'a>> {
        let value = trim(value);
        let (display, rest) = display(value)?;
        let (uri, params) = match rest.strip_prefix(b"<") {
            Some(rest) => {
                let end = memchr::memchr(b'>', rest)?;
                let after = trim(&rest[end + 1..]);
                let params = match after {
                    [] => after,
                    [b';', params @ ..] => params,
                    _ => return None,
                };
                (&rest[..end], params)
            }
            None if display.is_some() => return None,
            None => {
                let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
                let uri = trim(&rest[..end]);
                if memchr::memchr2(b'?', b',', uri).is_some() {
                    return None;
                }
                (uri, rest.get(end + 1..).unwrap_or(&[]))
            }
        };
        let uri = RawUri::parse_bytes(uri).ok()?;
        Some(RawNameAddr { display, uri, params: RawParams::parse(params)? })
    }

    /// As [`NameAddr::tag`].
    pub(super) fn tag(self) -> Option<Cow<'a, str>> {
        self.params.get("tag").filter(|tag| !tag.is_empty())
    }

    /// Whether it bears that parameter.
    pub(super) fn has(self, name: &str) -> bool {
        self.params.has(name)
    }
}

/// Writes a display name so that it cannot leave its quotes: names that came from the wire pass
/// through, names that would end early or hold line ends are escaped.
fn push_display(out: &mut Vec<u8>, display: &[u8]) {
    let mut quoted = Vec::with_capacity(display.len() + 2);
    quoted.push(b'"');
    quoted.extend_from_slice(display);
    quoted.push(b'"');
    let closed = quoted_end(&quoted, 0) == Some(quoted.len());
    for &byte in display {
        match byte {
            b'\r' | b'\n' => out.push(b' '),
            b'"' | b'\\' if !closed => out.extend([b'\\', byte]),
            byte => out.push(byte),
        }
    }
}

/// The display name before `<` or the address, and what follows it.
fn display(value: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    if value.first() == Some(&b'"') {
        let end = quoted_end(value, 0)?;
        let rest = trim(&value[end..]);
        return Some((Some(&value[1..end - 1]), rest));
    }
    match memchr::memchr(b'<', value) {
        None | Some(0) => Some((None, value)),
        Some(at) => {
            let name = trim(&value[..at]);
            // RFC 3261 wants tokens here; names in other charsets come unquoted too.
            let plain =
                |&byte: &u8| is_token(byte) || byte == b' ' || byte == b'\t' || byte >= 0x80;
            if !name.iter().all(plain) {
                return None;
            }
            Some(((!name.is_empty()).then_some(name), &value[at..]))
        }
    }
}

impl fmt::Display for NameAddr {
    /// The value as text; bytes of the display name that are not UTF-8 are replaced. On the wire use
    /// [`NameAddr::to_bytes`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}

/// One value of Contact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Contact {
    /// `*`: all bindings (RFC 3261 §10.2.2).
    Star,
    /// An address.
    Address(NameAddr),
}

impl Contact {
    /// Reads one value.
    pub fn parse(value: &[u8]) -> Option<Contact> {
        if trim(value) == b"*" {
            return Some(Contact::Star);
        }
        NameAddr::parse(value).map(Contact::Address)
    }

    /// The address, unless it is `*`.
    pub fn address(&self) -> Option<&NameAddr> {
        match self {
            Contact::Star => None,
            Contact::Address(address) => Some(address),
        }
    }

    fn param(&self, name: &str) -> Option<&str> {
        self.address()?.params.get(name)
    }

    /// `expires` in seconds. A value that does not read counts as 3600 (RFC 3261 §20.10); too large
    /// ones are capped.
    pub fn expires(&self) -> Option<u32> {
        self.param("expires").map(|value| match super::values::digits(value.as_bytes()) {
            Some(seconds) => u32::try_from(seconds).unwrap_or(u32::MAX),
            None => 3600,
        })
    }

    /// `q` in thousandths, 0 to 1000 (RFC 3261 §25.1 `qvalue`); `None` if absent or malformed.
    pub fn q_thousandths(&self) -> Option<u16> {
        let value = self.param("q")?;
        let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
        if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
        match (whole, fraction) {
            ("0", part) => Some(part),
            ("1", 0) => Some(1000),
            _ => None,
        }
    }

    /// `+sip.instance` without quotes and brackets (RFC 5626 §4.1), e.g. `urn:uuid:…`.
    pub fn instance(&self) -> Option<&str> {
        let value = self.param("+sip.instance")?;
        Some(value.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(value))
    }

    /// `reg-id` (RFC 5626 §4.2), from 1.
    pub fn reg_id(&self) -> Option<u32> {
        self.param("reg-id")?.parse().ok().filter(|&id| id > 0)
    }
}
