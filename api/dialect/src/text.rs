//! Text as merchants really send it: raw bytes, escaped or not, UTF-8 or GB18030.

use encoding_rs::GB18030;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Fields of one query or form that we look at; the rest is ignored.
pub const FIELDS_MAX: usize = 256;

/// How a raw `+` in a query is meant. Clients that escape mean a blank; clients that escape nothing mean
/// a plus sign. The signature tells which.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plus {
    /// As HTML forms have it.
    Blank,
    /// As written.
    Literal,
}

/// The fields of a query or a form body, still in bytes, in the order they came.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    pairs: Vec<(String, Vec<u8>)>,
}

impl Fields {
    /// Splits at `&` and the first `=`; nothing can go wrong. At most [`FIELDS_MAX`] fields are kept.
    #[must_use]
    pub fn parse(raw: &[u8]) -> Fields {
        let pairs = raw
            .split(|b| *b == b'&')
            .filter(|part| !part.is_empty())
            .take(FIELDS_MAX)
            .map(|part| {
                let at = part.iter().position(|b| *b == b'=').unwrap_or(part.len());
                let name = decode(&unescape(&part[..at], Plus::Blank)).trim().to_owned();
                (name, part.get(at + 1..).unwrap_or_default().to_vec())
            })
            .collect();
        Fields { pairs }
    }

    /// Adds the fields of another source behind these.
    pub fn append(&mut self, mut more: Fields) {
        self.pairs.append(&mut more.pairs);
        self.pairs.truncate(FIELDS_MAX);
    }

    /// All of them, values as sent.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().map(|(name, _)| name.as_str())
    }

    /// The first value of a field, as sent.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_slice())
    }

    /// The last value of a field, as sent.
    #[must_use]
    pub fn last(&self, name: &str) -> Option<&[u8]> {
        self.pairs.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_slice())
    }
}

/// Undoes percent-encoding. A `%` that no two hex digits follow stands for itself.
#[must_use]
pub fn unescape(raw: &[u8], plus: Plus) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (*first, tail) {
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = after;
                }
                _ => out.push(b'%'),
            },
            (b'+', _) if plus == Plus::Blank => out.push(b' '),
            (byte, _) => out.push(byte),
        }
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// UTF-8 if it is, else GB18030. A byte order mark is dropped.
#[must_use]
pub fn decode(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => GB18030.decode_without_bom_handling(bytes).0.into_owned(),
    }
}

/// The same text in GB18030, as a Chinese Windows client hashes it.
#[must_use]
pub fn gb18030(text: &str) -> Vec<u8> {
    GB18030.encode(text).0.into_owned()
}

/// All but RFC 3986 §2.3 unreserved characters are escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encodes a value for a query, as UTF-8.
#[must_use]
pub fn escape(value: &str) -> String {
    utf8_percent_encode(value, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escaped_raw_and_broken_percent_signs() {
        assert_eq!(unescape(b"a%20b+c%2b%zz%4", Plus::Blank), b"a b c+%zz%4");
        assert_eq!(unescape(b"+86", Plus::Literal), b"+86");
    }

    #[test]
    fn gbk_and_utf8_names_read_the_same() {
        assert_eq!(decode("测试".as_bytes()), "测试");
        assert_eq!(decode(&[0xb2, 0xe2, 0xca, 0xd4]), "测试");
        assert_eq!(gb18030("测试"), [0xb2, 0xe2, 0xca, 0xd4]);
    }

    #[test]
    fn a_query_of_a_hundred_thousand_fields_is_bounded() {
        let raw = "a=1&".repeat(100_000);
        assert_eq!(Fields::parse(raw.as_bytes()).pairs.len(), FIELDS_MAX);
    }

    proptest! {
        #[test]
        fn what_is_escaped_comes_back(text in ".{0,60}") {
            prop_assert_eq!(decode(&unescape(escape(&text).as_bytes(), Plus::Blank)),
                text.strip_prefix('\u{feff}').unwrap_or(&text));
        }

        #[test]
        fn no_bytes_panic(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
            let fields = Fields::parse(&raw);
            let _ = fields.first("a").map(|v| decode(&unescape(v, Plus::Literal)));
        }
    }
}
