//! One pass over the head of a message: where each header line's name and value lie.
//!
//! The pass decides nothing about values. Lines end in CRLF or LF; a CR that is not part of a line
//! end is refused, because two readers would disagree about it. Offsets are kept in 16 bits, which
//! [`MESSAGE_BYTES_MAX`](super::MESSAGE_BYTES_MAX) allows.

use std::ops::Range;

use super::{HEADER_BYTES_MAX, HEADERS_MAX, HeaderName, ParseFault};

/// One header line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: HeaderName,
    pub(super) folded: bool,
    name_at: u16,
    name_len: u16,
    value_at: u16,
    value_len: u16,
}

impl Field {
    const NONE: Field = Field {
        name: HeaderName::Other,
        folded: false,
        name_at: 0,
        name_len: 0,
        value_at: 0,
        value_len: 0,
    };

    pub(super) fn name_range(&self) -> Range<usize> {
        let at = usize::from(self.name_at);
        at..at + usize::from(self.name_len)
    }

    pub(super) fn value_range(&self) -> Range<usize> {
        let at = usize::from(self.value_at);
        at..at + usize::from(self.value_len)
    }
}

const INLINE: usize = 28;

/// The header lines of a message in order; the usual number of them without allocation.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    inline: [Field; INLINE],
    count: usize,
    rest: Vec<Field>,
}

impl Fields {
    fn new() -> Fields {
        Fields { inline: [Field::NONE; INLINE], count: 0, rest: Vec::new() }
    }

    fn push(&mut self, field: Field) {
        match self.inline.get_mut(self.count) {
            Some(slot) => {
                *slot = field;
                self.count += 1;
            }
            None => self.rest.push(field),
        }
    }

    fn last_mut(&mut self) -> Option<&mut Field> {
        match self.rest.last_mut() {
            Some(last) => Some(last),
            None => self.inline[..self.count].last_mut(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.count + self.rest.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Field> + Clone {
        self.inline[..self.count].iter().chain(self.rest.iter())
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Field> {
        self.inline[..self.count].iter_mut().chain(self.rest.iter_mut())
    }
}

/// What the pass found. With a `fault`, everything before it is still there, so that a broken
/// request can be answered.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) start_line: Range<usize>,
    pub(super) fields: Fields,
    pub(super) body_at: usize,
    pub(super) folded: bool,
    pub(super) fault: Option<ParseFault>,
}

/// Where the next line ends: (end of its text, start of the line after).
enum LineEnd {
    At(usize, usize),
    StrayCr(usize),
    None,
}

fn line_end(bytes: &[u8], from: usize) -> LineEnd {
    let Some(rest) = bytes.get(from..) else { return LineEnd::None };
    match memchr::memchr2(b'\r', b'\n', rest) {
        None => LineEnd::None,
        Some(offset) => {
            let at = from + offset;
            if bytes[at] == b'\n' {
                LineEnd::At(at, at + 1)
            } else if bytes.get(at + 1) == Some(&b'\n') {
                LineEnd::At(at, at + 2)
            } else {
                LineEnd::StrayCr(at)
            }
        }
    }
}

/// Where the head of the message at the start of `bytes` ends (the first byte of the body), if it
/// has arrived whole. Searching may be resumed at `from`, the start of any line.
pub(super) fn head_end(bytes: &[u8], mut from: usize) -> Result<usize, usize> {
    loop {
        match line_end(bytes, from) {
            LineEnd::At(end, next) if end == from => return Ok(next),
            LineEnd::At(_, next) => from = next,
            // The framer leaves the verdict to the parser: a stray CR is an ordinary byte here.
            LineEnd::StrayCr(at) if at + 1 < bytes.len() => {
                match memchr::memchr(b'\n', &bytes[at..]) {
                    Some(offset) => from = at + offset + 1,
                    None => return Err(from),
                }
            }
            LineEnd::StrayCr(_) | LineEnd::None => return Err(from),
        }
    }
}

/// Skips the CRLFs that may precede a start line (RFC 3261 §7.5).
pub(super) fn skip_line_ends(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|&&byte| byte == b'\r' || byte == b'\n').count()
}

/// Indexes the head of `bytes`.
pub(super) fn scan(bytes: &[u8]) -> Head {
    let mut at = skip_line_ends(bytes);
    let mut head = Head {
        start_line: at..at,
        fields: Fields::new(),
        body_at: bytes.len(),
        folded: false,
        fault: None,
    };
    match line_end(bytes, at) {
        LineEnd::At(end, next) => {
            head.start_line = at..end;
            at = next;
        }
        LineEnd::StrayCr(_) | LineEnd::None => {
            head.fault = Some(ParseFault::StartLine);
            return head;
        }
    }
    loop {
        let (end, next) = match line_end(bytes, at) {
            LineEnd::At(end, next) => (end, next),
            LineEnd::StrayCr(stray) => {
                head.note(ParseFault::HeaderLine);
                match memchr::memchr(b'\n', &bytes[stray..]) {
                    Some(offset) => {
                        at = stray + offset + 1;
                        continue;
                    }
                    None => return head,
                }
            }
            LineEnd::None => {
                head.note(ParseFault::Unterminated);
                return head;
            }
        };
        if end == at {
            head.body_at = next;
            return head;
        }
        if let Err(fault) = line(bytes, at, end, &mut head) {
            head.note(fault);
            if fault == ParseFault::TooManyHeaders {
                return head;
            }
        }
        at = next;
    }
}

impl Head {
    /// Keeps the first fault; the pass goes on for the sake of the answer.
    fn note(&mut self, fault: ParseFault) {
        self.fault.get_or_insert(fault);
    }
}

fn line(bytes: &[u8], at: usize, end: usize, head: &mut Head) -> Result<(), ParseFault> {
    if is_blank(bytes[at]) {
        let last = head.fields.last_mut().ok_or(ParseFault::HeaderLine)?;
        let value_at = usize::from(last.value_at);
        if end - value_at > HEADER_BYTES_MAX {
            return Err(ParseFault::HeaderTooLong);
        }
        last.value_len = narrow(end - value_at)?;
        last.folded = true;
        head.folded = true;
        return Ok(());
    }
    let mut colon = at;
    while colon < end && is_token(bytes[colon]) {
        colon += 1;
    }
    let name_end = colon;
    while colon < end && is_blank(bytes[colon]) {
        colon += 1;
    }
    if name_end == at || colon == end || bytes[colon] != b':' {
        return Err(ParseFault::HeaderLine);
    }
    if head.fields.len() == HEADERS_MAX {
        return Err(ParseFault::TooManyHeaders);
    }
    let (mut value_at, mut value_end) = (colon + 1, end);
    while value_at < value_end && is_blank(bytes[value_at]) {
        value_at += 1;
    }
    while value_end > value_at && is_blank(bytes[value_end - 1]) {
        value_end -= 1;
    }
    if value_end - value_at > HEADER_BYTES_MAX {
        return Err(ParseFault::HeaderTooLong);
    }
    head.fields.push(Field {
        name: HeaderName::of(&bytes[at..name_end]),
        folded: false,
        name_at: narrow(at)?,
        name_len: narrow(name_end - at)?,
        value_at: narrow(value_at)?,
        value_len: narrow(value_end - value_at)?,
    });
    Ok(())
}

fn narrow(value: usize) -> Result<u16, ParseFault> {
    u16::try_from(value).map_err(|_| ParseFault::MessageTooLong)
}

/// Joins folded values in place: the line ends inside them become blanks, so no offset moves
/// (RFC 3261 §7.3.1: a fold equals one blank).
pub(super) fn unfold(bytes: &mut [u8], fields: &mut Fields) {
    for field in fields.iter_mut().filter(|field| field.folded) {
        let range = field.value_range();
        let value = &mut bytes[range.clone()];
        for byte in value.iter_mut().filter(|byte| matches!(byte, b'\r' | b'\n')) {
            *byte = b' ';
        }
        let lead = value.iter().take_while(|&&byte| is_blank(byte)).count();
        let tail = value[lead..].iter().rev().take_while(|&&byte| is_blank(byte)).count();
        // Both fit: the value's own length did.
        field.value_at += lead as u16;
        field.value_len -= (lead + tail) as u16;
    }
}

pub(super) const fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// RFC 3261 §25.1 `token`.
pub(super) const fn is_token(byte: u8) -> bool {
    TOKEN[byte as usize]
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let this = byte as u8;
        table[byte] = this.is_ascii_alphanumeric()
            || matches!(this, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~');
        byte += 1;
    }
    table
};

/// Trims blanks at both ends.
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes {
        if !is_blank(*first) {
            break;
        }
        bytes = rest;
    }
    while let [rest @ .., last] = bytes {
        if !is_blank(*last) {
            break;
        }
        bytes = rest;
    }
    bytes
}
