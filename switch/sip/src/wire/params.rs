//! `;name=value` parameters, of URIs and of header values.

use std::borrow::Cow;
use std::fmt;

use super::PARAMS_MAX;
use super::lists::semicolons;
use super::scan::trim;

/// Parameters in the order they came. Names compare without case; values are kept as written,
/// quotes included. Bytes that are not UTF-8 are replaced: parameters are not where names live.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Params(Vec<(String, Option<String>)>);

impl Params {
    /// No parameters.
    pub const fn new() -> Params {
        Params(Vec::new())
    }

    /// Reads what follows the first semicolon, as [`RawParams::parse`] does.
    pub(super) fn parse(bytes: &[u8]) -> Option<Params> {
        RawParams::parse(bytes).map(RawParams::to_params)
    }

    /// The value as written. `Some(None)` is a parameter without value.
    pub fn find(&self, name: &str) -> Option<Option<&str>> {
        self.0
            .iter()
            .find(|(written, _)| written.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_deref())
    }

    /// The value without surrounding quotes; `None` if absent or without value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name).flatten().map(|value| {
            value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value)
        })
    }

    /// Whether the parameter is there, with or without value.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Sets a parameter, in place if it is there, else at the end.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let value = value.map(str::to_owned);
        match self.0.iter_mut().find(|(written, _)| written.eq_ignore_ascii_case(name)) {
            Some((_, slot)) => *slot = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// [`Params::set`], for building in one expression.
    #[must_use]
    pub fn with(mut self, name: &str, value: Option<&str>) -> Params {
        self.set(name, value);
        self
    }

    /// Removes every parameter of that name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(written, _)| !written.eq_ignore_ascii_case(name));
    }

    /// All parameters in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Parameters that were checked and still lie where they came in: what only looks for one of them
/// copies none.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawParams<'a>(&'a [u8]);

impl<'a> RawParams<'a> {
    /// No parameters.
    pub(super) const NONE: RawParams<'static> = RawParams(&[]);

    /// Reads what follows the first semicolon. `None` if a parameter has a value but no name, if
    /// there are more than [`PARAMS_MAX`], or a quoted string does not end.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<RawParams<'a>> {
        let params = RawParams(bytes);
        for (count, (name, value)) in params.iter().enumerate() {
            if count == PARAMS_MAX {
                return None;
            }
            let bad = |byte: &u8| *byte <= b' ' || matches!(byte, b'"' | b'<' | b'>' | b'@');
            if name.is_empty() || name.iter().any(bad) {
                return None;
            }
            if value.is_some_and(|value| value.starts_with(b"\"") && !is_quoted(value)) {
                return None;
            }
        }
        Some(params)
    }

    fn iter(self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        semicolons(self.0).filter(|part| !part.is_empty()).map(|part| {
            match memchr::memchr(b'=', part) {
                Some(at) => (trim(&part[..at]), Some(trim(&part[at + 1..]))),
                None => (part, None),
            }
        })
    }

    /// As [`Params::get`].
    pub(super) fn get(self, name: &str) -> Option<Cow<'a, str>> {
        let mut all = self.iter();
        let (_, value) = all.find(|(written, _)| written.eq_ignore_ascii_case(name.as_bytes()))?;
        value.map(|value| {
            let bare = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
            text(bare.unwrap_or(value))
        })
    }

    /// As [`Params::has`].
    pub(super) fn has(self, name: &str) -> bool {
        self.iter().any(|(written, _)| written.eq_ignore_ascii_case(name.as_bytes()))
    }

    pub(super) fn to_params(self) -> Params {
        let owned = |bytes| text(bytes).into_owned();
        Params(self.iter().map(|(name, value)| (owned(name), value.map(owned))).collect())
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            match value {
                Some(value) => write!(f, ";{name}={value}")?,
                None => write!(f, ";{name}")?,
            }
        }
        Ok(())
    }
}

fn is_quoted(value: &[u8]) -> bool {
    super::lists::quoted_end(value, 0) == Some(value.len())
}

/// Text, with what is not UTF-8 replaced. Nearly everything is.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}
