//! Splitting comma lists and parameter lists without being fooled by quoted strings, `<…>` or
//! comments.

use super::scan::trim;

/// The position of the first `stop` that stands outside quoted strings and `<…>`.
///
/// A quoted string that never ends is taken as if its quote were an ordinary byte: one broken
/// display name (GBK text may end in a byte that looks like a backslash) must not swallow the rest.
pub(super) fn find_outside(bytes: &[u8], stop: u8) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr3(stop, b'"', b'<', bytes.get(at..)?)?;
        match bytes[at] {
            byte if byte == stop => return Some(at),
            b'"' => at = quoted_end(bytes, at).unwrap_or(at + 1),
            _ => match memchr::memchr(b'>', &bytes[at..]) {
                Some(offset) => at += offset + 1,
                None => at += 1,
            },
        }
    }
}

/// The position after the quoted string that starts at `at`. Backslashes escape (RFC 3261 §25.1);
/// if the string has no end that way, a quote right after a backslash byte is tried as its end.
pub(super) fn quoted_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut end = at + 1;
    while let Some(&byte) = bytes.get(end) {
        match byte {
            b'\\' => end += 2,
            b'"' => return Some(end + 1),
            _ => end += 1,
        }
    }
    let inner = bytes.get(at + 1..)?;
    memchr::memchr(b'"', inner).map(|offset| at + offset + 2)
}

/// The elements of a comma list, trimmed, empty ones skipped. With `list` false: the whole, once.
#[derive(Clone)]
pub(super) struct Split<'a> {
    rest: Option<&'a [u8]>,
    list: bool,
}

impl<'a> Split<'a> {
    pub(super) fn new(line: &'a [u8], list: bool) -> Split<'a> {
        Split { rest: Some(line), list }
    }
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if !self.list {
            return self.rest.take();
        }
        while let Some(rest) = self.rest {
            let element = match find_outside(rest, b',') {
                Some(at) => {
                    self.rest = Some(&rest[at + 1..]);
                    &rest[..at]
                }
                None => {
                    self.rest = None;
                    rest
                }
            };
            let element = trim(element);
            if !element.is_empty() {
                return Some(element);
            }
        }
        None
    }
}

/// The elements of a comma list, trimmed, quoted strings respected, empty ones skipped.
pub(crate) fn split_commas(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    Split::new(bytes, true)
}

/// The parts of `bytes` between semicolons, trimmed.
pub(super) fn semicolons(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest?;
        match find_outside(bytes, b';') {
            Some(at) => {
                rest = Some(&bytes[at + 1..]);
                Some(trim(&bytes[..at]))
            }
            None => {
                rest = None;
                Some(trim(bytes))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &[u8]) -> Vec<&[u8]> {
        Split::new(line, true).collect()
    }

    #[test]
    fn rfc3261_7_3_1_commas_inside_quotes_and_brackets_do_not_split() {
        assert_eq!(
            split(b"\"a, \\\" b\" <sip:x,y@h>;p=\",\" , <sip:z@h>,, "),
            vec![&b"\"a, \\\" b\" <sip:x,y@h>;p=\",\""[..], b"<sip:z@h>"]
        );
    }

    #[test]
    fn a_gbk_name_that_ends_in_a_backslash_byte_keeps_its_address() {
        let line = b"\"\x81\x5c\" <sip:1@h>";
        assert_eq!(split(line), vec![&line[..]]);
        assert_eq!(quoted_end(line, 0), Some(4));
    }

    #[test]
    fn an_unterminated_quote_does_not_swallow_the_list() {
        assert_eq!(split(b"\"a <sip:x@h>, <sip:y@h>").len(), 2);
    }
}
