//! `;name=value` parameters, of URIs and of header values.

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

    /// Reads what follows the first semicolon. `None` if a parameter has a value but no name, if
    /// there are more than [`PARAMS_MAX`], or a quoted string does not end.
    pub(super) fn parse(bytes: &[u8]) -> Option<Params> {
        let mut params = Vec::new();
        for part in semicolons(bytes).filter(|part| !part.is_empty()) {
            if params.len() == PARAMS_MAX {
                return None;
            }
            let (name, value) = match memchr::memchr(b'=', part) {
                Some(at) => (trim(&part[..at]), Some(trim(&part[at + 1..]))),
                None => (part, None),
            };
            let bad = |byte: &u8| *byte <= b' ' || matches!(byte, b'"' | b'<' | b'>' | b'@');
            if name.is_empty() || name.iter().any(bad) {
                return None;
            }
            if value.is_some_and(|value| value.starts_with(b"\"") && !is_quoted(value)) {
                return None;
            }
            params.push((text(name), value.map(text)));
        }
        Some(Params(params))
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

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
