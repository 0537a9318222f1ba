//! Writing messages: start line, headers in order, body, in one buffer.

use std::fmt;
use std::io::Write;
use std::ops::Range;

use bytes::Bytes;

use super::{HeaderName, Message, Method, Uri, reason_phrase};

/// A message being written. Content-Length is computed; line ends inside values become blanks, so
/// no value can add a header.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Start line and header lines as they go out.
    head: Vec<u8>,
    /// Where the header lines lie in it, in order.
    lines: Vec<Line>,
    body: Bytes,
}

/// One header line of a draft: `name: value` and the line end.
#[derive(Clone, Copy, Debug)]
struct Line {
    at: usize,
    /// Length of the name.
    name: usize,
    /// Length of the value.
    value: usize,
}

impl Line {
    const fn name_range(self) -> Range<usize> {
        self.at..self.at + self.name
    }

    const fn value_range(self) -> Range<usize> {
        let from = self.at + self.name + SEPARATOR.len();
        from..from + self.value
    }

    const fn end(self) -> usize {
        self.at + self.name + SEPARATOR.len() + self.value + LINE_END.len()
    }
}

const SEPARATOR: &[u8] = b": ";
const LINE_END: &[u8] = b"\r\n";
/// Room for the head of an ordinary message.
const HEAD_BYTES: usize = 768;
/// Header lines of an ordinary message.
const HEAD_LINES: usize = 20;

impl Draft {
    /// A request.
    pub fn request(method: &Method, uri: &Uri) -> Draft {
        Draft::with_start(format_args!("{method} {uri} SIP/2.0"))
    }

    /// A request whose URI is written as given (a remote target is echoed byte by byte).
    pub fn request_to(method: &Method, uri: &str) -> Draft {
        Draft::with_start(format_args!("{method} {uri} SIP/2.0"))
    }

    /// A response with the registered reason phrase.
    pub fn response(code: u16) -> Draft {
        Draft::response_with(code, reason_phrase(code))
    }

    /// A response with a reason phrase of one's own.
    pub fn response_with(code: u16, reason: &str) -> Draft {
        Draft::with_start(format_args!("SIP/2.0 {code} {reason}"))
    }

    /// A response to this request: all Vias, From, To, Call-ID and CSeq copied byte by byte and in
    /// order, Timestamp for a 100 (RFC 3261 §8.2.6). The caller adds a To tag if none was there
    /// ([`Draft::tag_to`]).
    pub fn reply_to(request: &Message, code: u16) -> Draft {
        let mut draft = Draft::response(code);
        for name in COPIED {
            for value in request.lines(name) {
                draft.push(name.as_str(), value);
            }
        }
        if code == 100 {
            for value in request.lines(HeaderName::Timestamp) {
                draft.push(HeaderName::Timestamp.as_str(), value);
            }
        }
        draft
    }

    /// The same message as a draft: start line, header lines under the names they were written with,
    /// and body. Content-Length is computed anew.
    pub fn copy_of(message: &Message) -> Draft {
        let mut draft = Draft::empty();
        draft.head.extend_from_slice(message.start_line());
        draft.start_ends();
        for (known, name, value) in message.fields() {
            // Under whichever name it came: it would stand beside ours.
            if known != HeaderName::ContentLength {
                draft.push(&String::from_utf8_lossy(name), value);
            }
        }
        draft.body = message.body_bytes();
        draft
    }

    fn empty() -> Draft {
        Draft {
            head: Vec::with_capacity(HEAD_BYTES),
            lines: Vec::with_capacity(HEAD_LINES),
            body: Bytes::new(),
        }
    }

    fn with_start(start: fmt::Arguments<'_>) -> Draft {
        let mut draft = Draft::empty();
        print(&mut draft.head, start);
        draft.start_ends();
        draft
    }

    fn start_ends(&mut self) {
        flatten(&mut self.head);
        self.head.extend_from_slice(LINE_END);
    }

    /// Adds a header line at the end.
    pub fn push(&mut self, name: &str, value: impl AsRef<[u8]>) -> &mut Draft {
        self.push_line(name, |head| head.extend_from_slice(value.as_ref()))
    }

    /// [`Draft::push`] of a value that is printed in place: `format_args!("{number} {method}")`.
    pub fn push_args(&mut self, name: &str, value: fmt::Arguments<'_>) -> &mut Draft {
        self.push_line(name, |head| print(head, value))
    }

    fn push_line(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) -> &mut Draft {
        let at = self.head.len();
        // A header name can only be a token; anything else in it is dropped.
        self.head.extend(name.bytes().filter(|&byte| super::scan::is_token(byte)));
        let name = self.head.len() - at;
        if self.head[at..].eq_ignore_ascii_case(HeaderName::ContentLength.as_str().as_bytes()) {
            self.head.truncate(at);
            return self;
        }
        self.head.extend_from_slice(SEPARATOR);
        let from = self.head.len();
        write(&mut self.head);
        flatten(&mut self.head[from..]);
        let value = self.head.len() - from;
        self.head.extend_from_slice(LINE_END);
        self.lines.push(Line { at, name, value });
        self
    }

    /// [`Draft::push`], for building in one expression.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Draft {
        self.push(name, value);
        self
    }

    /// Replaces all lines of that name by one, at the place of the first.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) -> &mut Draft {
        self.set_with(name, |new| new.extend_from_slice(value.as_ref()))
    }

    /// [`Draft::set`] of a value that is written in place.
    pub(crate) fn set_with(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) -> &mut Draft {
        let Some(first) = self.position(name, 0) else { return self.push_line(name, write) };
        self.replace(first, |_, new| write(new));
        while let Some(again) = self.position(name, first + 1) {
            self.cut(again);
        }
        self
    }

    /// Removes all lines of that name, and no other.
    pub fn remove(&mut self, name: &str) -> &mut Draft {
        while let Some(at) = self.position(name, 0) {
            self.cut(at);
        }
        self
    }

    /// Whether there is a line of that name.
    pub fn has(&self, name: &str) -> bool {
        self.position(name, 0).is_some()
    }

    /// The first line of that name, from a line on.
    fn position(&self, name: &str, from: usize) -> Option<usize> {
        let among = self.lines.iter().skip(from);
        let name = name.as_bytes();
        among
            .enumerate()
            .find(|(_, line)| self.head[line.name_range()].eq_ignore_ascii_case(name))
            .map(|(at, _)| from + at)
    }

    /// Writes a line's value anew; `write` sees the old one.
    fn replace(&mut self, at: usize, write: impl FnOnce(&[u8], &mut Vec<u8>)) {
        let Some(&line) = self.lines.get(at) else { return };
        let range = line.value_range();
        let mut new = Vec::with_capacity(128);
        write(&self.head[range.clone()], &mut new);
        flatten(&mut new);
        let length = new.len();
        self.head.splice(range, new);
        self.lines[at].value = length;
        for later in &mut self.lines[at + 1..] {
            later.at = later.at + length - line.value;
        }
    }

    fn cut(&mut self, at: usize) {
        let line = self.lines.remove(at);
        self.head.drain(line.at..line.end());
        for later in &mut self.lines[at..] {
            later.at -= line.end() - line.at;
        }
    }

    /// Appends a tag to To if it has none. To's text is otherwise left as it was copied.
    pub fn tag_to(&mut self, tag: &str) -> &mut Draft {
        let to = HeaderName::To.as_str().as_bytes();
        let found = self.lines.iter().position(|line| &self.head[line.name_range()] == to);
        if let Some(at) = found
            && !has_tag(&self.head[self.lines[at].value_range()])
        {
            self.replace(at, |old, new| {
                new.extend_from_slice(old);
                new.extend_from_slice(b";tag=");
                new.extend(tag.bytes().filter(|byte| !byte.is_ascii_control()));
            });
        }
        self
    }

    /// Replaces the topmost Via's line (a server stamps `received` and `rport` on it).
    pub fn set_top_via(&mut self, via: &super::Via) -> &mut Draft {
        let name = HeaderName::Via.as_str().as_bytes();
        let found = self.lines.iter().position(|line| &self.head[line.name_range()] == name);
        if let Some(at) = found {
            self.replace(at, |old, new| {
                print(new, format_args!("{via}"));
                if let Some(rest) = super::lists::find_outside(old, b',') {
                    new.extend_from_slice(&old[rest..]);
                }
            });
        }
        self
    }

    /// Sets the body and its media type.
    pub fn body(&mut self, content_type: &str, body: impl Into<Bytes>) -> &mut Draft {
        self.set(HeaderName::ContentType.as_str(), content_type);
        self.body = body.into();
        self
    }

    /// Takes the body away, and the lines that tell of it.
    pub fn no_body(&mut self) -> &mut Draft {
        self.body = Bytes::new();
        self.remove(HeaderName::ContentType.as_str())
    }

    /// [`Draft::body`], for building in one expression.
    #[must_use]
    pub fn with_body(mut self, content_type: &str, body: impl Into<Bytes>) -> Draft {
        self.body(content_type, body);
        self
    }

    /// The message on the wire.
    pub fn to_bytes(&self) -> Bytes {
        let length = self.body.len();
        let name = HeaderName::ContentLength.as_str();
        let digits = length.checked_ilog10().unwrap_or(0) as usize + 1;
        let ends = SEPARATOR.len() + 2 * LINE_END.len();
        // Exactly: what is kept for copies takes no more than it needs.
        let size = self.head.len() + name.len() + digits + ends + length;
        let mut out = Vec::with_capacity(size);
        out.extend_from_slice(&self.head);
        print(&mut out, format_args!("{name}: {length}\r\n\r\n"));
        out.extend_from_slice(&self.body);
        Bytes::from(out)
    }
}

/// Prints into a buffer.
fn print(out: &mut Vec<u8>, value: fmt::Arguments<'_>) {
    // A vector takes whatever is written into it; a value that cannot be printed is left short.
    let _ = out.write_fmt(value);
}

const COPIED: [HeaderName; 5] =
    [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq];

/// Whether a To or From value has a tag already. A value that does not read as an address is
/// searched as text: an answer to a broken request must not get two tags.
fn has_tag(value: &[u8]) -> bool {
    match super::name_addr::RawNameAddr::parse(value) {
        Some(address) => address.has("tag"),
        None => value.windows(5).any(|part| part.eq_ignore_ascii_case(b";tag=")),
    }
}

fn flatten(value: &mut [u8]) {
    for byte in value.iter_mut().filter(|byte| matches!(byte, b'\r' | b'\n')) {
        *byte = b' ';
    }
}
