//! Parameters, wherever they stand: the query, a form of either kind, a JSON object. Later ones win, in this order.

use std::collections::BTreeMap;

use serde::de::{DeserializeSeed, Error as _, MapAccess, Visitor};
use serde_json::Number;
use serde_json::value::RawValue;

use crate::text::{FIELDS_MAX, Fields, Plus, decode, unescape};

/// Parameters by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Params {
    values: BTreeMap<String, String>,
}

impl Params {
    /// Takes those of a query, or of a form that is written like one.
    pub fn form(&mut self, raw: &[u8]) {
        for (name, value) in Fields::parse(raw).iter() {
            self.set(name, decode(&unescape(value, Plus::Blank)));
        }
    }

    /// Takes the members of a JSON object; what is no object has none. A member that is `null` is as if it were not there, and one that
    /// is a list or an object is taken as it is written: nothing is made of it before it is known whose it is.
    pub fn json(&mut self, raw: &[u8]) {
        let text = decode(raw);
        let mut whole = self.clone();
        let mut from = serde_json::Deserializer::from_str(&text);
        let read = Members { into: &mut whole, breaks_off: false }.deserialize(&mut from);
        if read.is_ok() && from.end().is_ok() {
            *self = whole;
        }
    }

    /// Takes one.
    pub fn set(&mut self, name: &str, value: String) {
        if self.values.len() < FIELDS_MAX || self.values.contains_key(name) {
            self.values.insert(name.to_owned(), value);
        }
    }

    /// Takes all that a body has which is no form of parts: JSON where it begins as an object does, whatever
    /// it is called, else a form.
    pub fn body(&mut self, raw: &[u8]) {
        let start = raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(raw).trim_ascii_start();
        if start.starts_with(b"{") { self.json(raw) } else { self.form(raw.trim_ascii()) }
    }

    /// Takes what the beginning of a body says for certain, whose rest has not come: members of an object that are text or numbers,
    /// or fields of a form behind which another one has begun.
    pub fn beginning(&mut self, raw: &[u8]) {
        let start = raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(raw).trim_ascii_start();
        if start.starts_with(b"{") {
            let mut broken = serde_json::Deserializer::from_slice(start);
            // It breaks off: what stands before that was taken.
            let _ = Members { into: self, breaks_off: true }.deserialize(&mut broken);
        } else if let Some(end) = raw.iter().rposition(|byte| *byte == b'&') {
            self.form(raw.get(..end).unwrap_or_default().trim_ascii());
        }
    }

    /// A parameter as it was sent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }
}

/// Takes the members of an object one by one, of which only text is more than passed over.
struct Members<'a> {
    into: &'a mut Params,
    /// The object may end anywhere: only text and numbers are taken, for certain.
    breaks_off: bool,
}

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut number: Option<(String, String)> = None;
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            // One that something stands behind is there to its last digit.
            if let Some((name, digits)) = number.take() {
                self.into.set(&name, digits);
            }
            let value = value.get();
            match value.as_bytes().first() {
                Some(b'"') => {
                    self.into.set(&name, serde_json::from_str(value).map_err(A::Error::custom)?);
                }
                Some(b'-' | b'0'..=b'9') => {
                    let digits: Number = serde_json::from_str(value).map_err(A::Error::custom)?;
                    number = Some((name, digits.to_string()));
                }
                _ if self.breaks_off => {}
                Some(b'n') => {
                    self.into.values.remove(&name);
                }
                // As PHP turns them into text.
                Some(b't') => self.into.set(&name, "1".to_owned()),
                Some(b'f') => self.into.set(&name, String::new()),
                _ => self.into.set(&name, value.to_owned()),
            }
        }
        if let Some((name, digits)) = number.filter(|_| !self.breaks_off) {
            self.into.set(&name, digits);
        }
        Ok(())
    }
}

/// The boundary of a form of parts (RFC 7578), read off its first line: `Content-Type` is not asked, as clients are
/// wrong about it.
#[must_use]
pub fn boundary(raw: &[u8]) -> Option<String> {
    let line = raw.strip_prefix(b"--")?;
    let end = line.iter().position(|byte| *byte == b'\n')?;
    let line = line[..end].trim_ascii_end();
    let head = &raw[..raw.len().min(HEAD)];
    let says =
        |words: &[u8]| head.windows(words.len()).any(|window| window.eq_ignore_ascii_case(words));
    // RFC 2046 §5.1.1: 1 to 70 characters.
    let fits = (1..=70).contains(&line.len()) && says(b"content-disposition:");
    fits.then(|| String::from_utf8(line.to_vec()).ok()).flatten()
}

/// Where the first part has its header.
const HEAD: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(query: &str, body: &str) -> Params {
        let mut params = Params::default();
        params.form(query.as_bytes());
        params.body(body.as_bytes());
        params
    }

    #[test]
    fn s4_1_later_ones_win_and_json_is_known_by_its_look() {
        let params = of("a=1&b=1&a=2", "b=2&c=%E6%B5%8B+x");
        assert_eq!((params.get("a"), params.get("b")), (Some("2"), Some("2")));
        assert_eq!(params.get("c"), Some("测 x"));
        let params =
            of("a=1&b=1&n=1", "\u{feff} {\"b\":7,\"c\":\"x\",\"d\":true,\"e\":[1],\"n\":null}");
        assert_eq!((params.get("a"), params.get("b")), (Some("1"), Some("7")));
        assert_eq!((params.get("c"), params.get("d")), (Some("x"), Some("1")));
        assert_eq!((params.get("e"), params.get("n")), (Some("[1]"), None));
        assert_eq!(of("a=1", "{broken").get("a"), Some("1"));
    }

    #[test]
    fn a_list_is_kept_as_it_is_written_and_nothing_is_made_of_it() {
        // A tree of this would be refused for its depth, and one of many small objects takes many times their octets.
        let deep = format!("{}1, 2{}", "[".repeat(1_000), "]".repeat(1_000));
        for list in ["[1, {\"\": 0}]", "{ \"a\" :[ ] }", &deep] {
            let params = of("a=1", &format!("{{\"b\":7,\"telphone\":{list},\"c\":\"\\u6d4b\"}}"));
            assert_eq!(params.get("telphone"), Some(list));
            assert_eq!((params.get("b"), params.get("c")), (Some("7"), Some("测")));
        }
        for broken in ["{\"a\":2,\"b\":[1,}", "{\"a\":2} x", "{\"a\":2,\"b\":\"\\x\"}"] {
            assert_eq!(of("a=1", broken), of("a=1", ""), "{broken}");
        }
        assert_eq!(of("", "{\"a\":1,\"n\":12}").get("n"), Some("12"), "also the last one");
    }

    #[test]
    fn the_beginning_of_a_body_says_what_stands_in_it_whole() {
        let of = |body: &str| {
            let mut params = Params::default();
            params.beginning(body.as_bytes());
            params
        };
        let params = of("token=1&service=a&telphone=138");
        assert_eq!((params.get("token"), params.get("service")), (Some("1"), Some("a")));
        assert_eq!(params.get("telphone"), None, "more of it may come");
        let params = of(r#" {"n":7,"token":"1","telphone":[{"phone":"138"},{"pho"#);
        assert_eq!((params.get("token"), params.get("n")), (Some("1"), Some("7")));
        assert_eq!(of(r#"{"telphone":[1,2"#), Params::default());
        assert_eq!(of("telphone=138"), Params::default());
    }

    #[test]
    fn s4_1_a_form_of_parts_is_known_by_its_first_line() {
        let form = "--x1y\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x1y--\r\n";
        assert_eq!(boundary(form.as_bytes()).as_deref(), Some("x1y"));
        for none in ["", "--", "--x", "a=--x", "--\r\nContent-Disposition: x", "--x\r\na=1"] {
            assert_eq!(boundary(none.as_bytes()), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut params = Params::default();
            params.form(&raw);
            params.body(&raw);
            params.json(&raw);
            params.beginning(&raw);
            let _ = boundary(&raw);
        }
    }
}
