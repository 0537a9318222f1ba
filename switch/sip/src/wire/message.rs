//! A received message: its bytes and an index over them.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use super::lists::Split;
use super::name_addr::RawNameAddr;
use super::scan::{self, Fields, Head};
use super::via::RawVia;
use super::{
    CSeq, Contact, HeaderError, HeaderName, LIST_MAX, MESSAGE_BYTES_MAX, Method, NameAddr,
    ParseError, ParseFault, RAck, Reason, RetryAfter, SessionExpires, URI_BYTES_MAX, Via,
};

/// A request or response as it was received. Cloning copies the index and shares the bytes.
#[derive(Clone, Debug)]
pub struct Message {
    bytes: Bytes,
    start: Start,
    fields: Fields,
    body: Range<usize>,
}

#[derive(Clone, Debug)]
enum Start {
    Request { method: Method, uri: Range<usize> },
    Response { code: u16, reason: Range<usize> },
}

impl Message {
    /// Reads one datagram, or one message cut from a stream. CRLFs before it are skipped; bytes
    /// after the body that Content-Length announces are dropped (RFC 3261 §18.3); without
    /// Content-Length the body is all that follows the head.
    pub fn parse(bytes: Bytes) -> Result<Message, ParseError> {
        let at = scan::skip_line_ends(&bytes);
        if at == bytes.len() {
            return Err(ParseError::new(ParseFault::Empty));
        }
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(ParseError::new(ParseFault::MessageTooLong));
        }
        let head = scan::scan(&bytes);
        let (start, start_fault) = match start_line(&bytes, head.start_line.clone()) {
            Ok(start) => (start, None),
            Err((fault, Some(start))) => (start, Some(fault)),
            Err((fault, None)) => return Err(ParseError::new(fault)),
        };
        let mut fault = start_fault.or(head.fault);
        let Head { mut fields, body_at, folded, .. } = head;
        let bytes = if folded {
            let mut copy = bytes.to_vec();
            scan::unfold(&mut copy, &mut fields);
            Bytes::from(copy)
        } else {
            bytes
        };
        let mut message = Message { body: body_at..bytes.len(), bytes, start, fields };
        if let Err(length_fault) = message.settle_body() {
            fault.get_or_insert(length_fault);
        }
        match fault {
            None => Ok(message),
            Some(fault) => Err(message.refuse(fault)),
        }
    }

    fn settle_body(&mut self) -> Result<(), ParseFault> {
        let Some(length) = self.content_length()? else { return Ok(()) };
        if length > self.body.len() {
            return Err(ParseFault::BodyTooShort);
        }
        self.body.end = self.body.start + length;
        Ok(())
    }

    fn refuse(self, fault: ParseFault) -> ParseError {
        let due = match &self.start {
            Start::Request { method, .. } => *method != Method::Ack,
            Start::Response { .. } => false,
        };
        if !due || self.raw_via().is_none() {
            return ParseError::new(fault);
        }
        ParseError { fault, partial: Some(Box::new(self)) }
    }

    /// The value of Content-Length. Several equal ones count as one; differing ones are a fault.
    pub(super) fn content_length(&self) -> Result<Option<usize>, ParseFault> {
        let mut found = None;
        for value in self.lines(HeaderName::ContentLength) {
            let length = super::values::digits(value)
                .and_then(|number| usize::try_from(number).ok())
                .ok_or(ParseFault::ContentLength)?;
            if found.is_some_and(|before| before != length) {
                return Err(ParseFault::ContentLength);
            }
            found = Some(length);
        }
        Ok(found)
    }

    /// The message as indexed: what was received, with folded header lines joined.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The start line without its line end.
    pub fn start_line(&self) -> &[u8] {
        let at = scan::skip_line_ends(&self.bytes);
        let line = &self.bytes[at..];
        let end = memchr::memchr2(b'\r', b'\n', line).unwrap_or(line.len());
        &line[..end]
    }

    /// Whether this is a request.
    pub fn is_request(&self) -> bool {
        matches!(self.start, Start::Request { .. })
    }

    /// The method of a request; `None` for a response (its method is in [`Message::cseq`]).
    pub fn method(&self) -> Option<&Method> {
        match &self.start {
            Start::Request { method, .. } => Some(method),
            Start::Response { .. } => None,
        }
    }

    /// The Request-URI as it was written.
    pub fn request_uri(&self) -> Option<&str> {
        match &self.start {
            // The parser has seen that it is UTF-8.
            Start::Request { uri, .. } => std::str::from_utf8(&self.bytes[uri.clone()]).ok(),
            Start::Response { .. } => None,
        }
    }

    /// The status code of a response, 100 to 699.
    pub fn status(&self) -> Option<u16> {
        match &self.start {
            Start::Request { .. } => None,
            Start::Response { code, .. } => Some(*code),
        }
    }

    /// The reason phrase of a response, exactly as received; empty for a request.
    pub fn reason_phrase(&self) -> &[u8] {
        match &self.start {
            Start::Request { .. } => &[],
            Start::Response { reason, .. } => &self.bytes[reason.clone()],
        }
    }

    /// The body. Its bytes are never touched.
    pub fn body(&self) -> &[u8] {
        &self.bytes[self.body.clone()]
    }

    /// The body, sharing the message's memory.
    pub fn body_bytes(&self) -> Bytes {
        self.bytes.slice(self.body.clone())
    }

    /// The values of all lines with this name, unfolded and trimmed, lists not split.
    pub fn lines(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> + Clone {
        self.fields
            .iter()
            .filter(move |field| field.name == name)
            .map(|field| &self.bytes[field.value_range()])
    }

    /// All header lines in order: known name, name as written, value.
    pub fn fields(&self) -> impl Iterator<Item = (HeaderName, &[u8], &[u8])> {
        self.fields.iter().map(|field| {
            (field.name, &self.bytes[field.name_range()], &self.bytes[field.value_range()])
        })
    }

    /// The first value: of a list header its first element, else the first line's value.
    pub fn header(&self, name: HeaderName) -> Option<&[u8]> {
        self.headers(name).next()
    }

    /// All values in order. Comma lists of list headers are split (quoted strings, `<…>` and
    /// comments are respected); empty elements are skipped.
    pub fn headers(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> + Clone {
        let list = name.is_list();
        self.lines(name).flat_map(move |line| Split::new(line, list))
    }

    /// [`Message::header`] if it is UTF-8.
    pub fn header_str(&self, name: HeaderName) -> Option<&str> {
        self.header(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The value of the first line with a name that [`HeaderName`] does not know.
    pub fn other(&self, name: &str) -> Option<&[u8]> {
        self.others(name).next()
    }

    /// The values of all lines with that name, known or not, compared without case.
    pub fn others(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.fields()
            .filter(move |(_, written, _)| written.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, _, value)| value)
    }

    /// Whether a list header (Supported, Require, Allow …) names this token, without case.
    pub fn lists(&self, name: HeaderName, token: &str) -> bool {
        self.headers(name).any(|value| value.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// How many lines bear this name.
    pub fn count(&self, name: HeaderName) -> usize {
        self.lines(name).count()
    }

    fn required(&self, name: HeaderName) -> Result<&[u8], HeaderError> {
        self.header(name).ok_or(HeaderError::Missing(name))
    }

    /// The topmost Via.
    pub fn via(&self) -> Result<Via, HeaderError> {
        let value = self.required(HeaderName::Via)?;
        Via::parse(value).ok_or(HeaderError::Malformed(HeaderName::Via))
    }

    /// The Vias where they lie, topmost first, those that read.
    pub(crate) fn raw_vias(&self) -> impl Iterator<Item = RawVia<'_>> {
        self.headers(HeaderName::Via).filter_map(RawVia::parse)
    }

    /// The topmost Via where it lies, if it reads.
    pub(crate) fn raw_via(&self) -> Option<RawVia<'_>> {
        RawVia::parse(self.header(HeaderName::Via)?)
    }

    /// All Vias, topmost first. Fails if one does not read.
    pub fn vias(&self) -> Result<Vec<Via>, HeaderError> {
        self.typed(HeaderName::Via, Via::parse)
    }

    fn typed<T>(
        &self,
        name: HeaderName,
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>, HeaderError> {
        let mut values = Vec::new();
        for value in self.headers(name) {
            if values.len() == LIST_MAX {
                return Err(HeaderError::Malformed(name));
            }
            values.push(parse(value).ok_or(HeaderError::Malformed(name))?);
        }
        Ok(values)
    }

    /// Checks what [`Message::typed`] would read, without reading it.
    pub(super) fn check(
        &self,
        name: HeaderName,
        reads: impl Fn(&[u8]) -> bool,
    ) -> Result<(), HeaderError> {
        for (count, value) in self.headers(name).enumerate() {
            if count == LIST_MAX || !reads(value) {
                return Err(HeaderError::Malformed(name));
            }
        }
        Ok(())
    }

    /// Checks a header that must be there, without reading it.
    pub(super) fn check_first(
        &self,
        name: HeaderName,
        reads: impl Fn(&[u8]) -> bool,
    ) -> Result<(), HeaderError> {
        if reads(self.required(name)?) { Ok(()) } else { Err(HeaderError::Malformed(name)) }
    }

    /// The tag of From, if there is one and From reads.
    pub fn from_tag(&self) -> Option<Cow<'_, str>> {
        self.tag(HeaderName::From).ok().flatten()
    }

    /// The tag of To, if there is one and To reads.
    pub fn to_tag(&self) -> Option<Cow<'_, str>> {
        self.tag(HeaderName::To).ok().flatten()
    }

    /// The tag of an address, which must be there and read.
    pub(crate) fn tag(&self, name: HeaderName) -> Result<Option<Cow<'_, str>>, HeaderError> {
        let address = RawNameAddr::parse(self.required(name)?);
        address.map(RawNameAddr::tag).ok_or(HeaderError::Malformed(name))
    }

    /// From.
    pub fn from(&self) -> Result<NameAddr, HeaderError> {
        self.name_addr(HeaderName::From)
    }

    /// To.
    pub fn to(&self) -> Result<NameAddr, HeaderError> {
        self.name_addr(HeaderName::To)
    }

    /// The first value of any header that holds an address (Refer-To, P-Asserted-Identity, …).
    pub fn name_addr(&self, name: HeaderName) -> Result<NameAddr, HeaderError> {
        NameAddr::parse(self.required(name)?).ok_or(HeaderError::Malformed(name))
    }

    /// Call-ID, if there is one and it is text without blanks.
    pub fn call_id(&self) -> Option<&str> {
        self.header_str(HeaderName::CallId)
            .filter(|value| !value.is_empty() && !value.contains([' ', '\t']))
    }

    /// CSeq.
    pub fn cseq(&self) -> Result<CSeq, HeaderError> {
        CSeq::parse(self.required(HeaderName::CSeq)?)
            .ok_or(HeaderError::Malformed(HeaderName::CSeq))
    }

    /// All Contacts; `Contact: *` is [`Contact::Star`].
    pub fn contacts(&self) -> Result<Vec<Contact>, HeaderError> {
        self.typed(HeaderName::Contact, Contact::parse)
    }

    /// The first Contact address, the remote target a dialog is built with.
    pub fn contact(&self) -> Result<NameAddr, HeaderError> {
        self.name_addr(HeaderName::Contact)
    }

    /// Max-Forwards; values above 255 read as 255 (RFC 3261 §20.22 has no larger ones).
    pub fn max_forwards(&self) -> Result<Option<u32>, HeaderError> {
        self.number(HeaderName::MaxForwards).map(|value| value.map(|hops| hops.min(255)))
    }

    /// Route, top first.
    pub fn routes(&self) -> Result<Vec<NameAddr>, HeaderError> {
        self.typed(HeaderName::Route, NameAddr::parse)
    }

    /// Record-Route, top first.
    pub fn record_routes(&self) -> Result<Vec<NameAddr>, HeaderError> {
        self.typed(HeaderName::RecordRoute, NameAddr::parse)
    }

    /// Expires in seconds; larger than 2^32-1 reads as that (RFC 3261 §20.19).
    pub fn expires(&self) -> Result<Option<u32>, HeaderError> {
        self.number(HeaderName::Expires)
    }

    /// A header that is one number of at most 32 bits; larger ones are capped.
    pub fn number(&self, name: HeaderName) -> Result<Option<u32>, HeaderError> {
        match self.header(name) {
            None => Ok(None),
            Some(value) => super::values::digits(value)
                .map(|number| Some(u32::try_from(number).unwrap_or(u32::MAX)))
                .ok_or(HeaderError::Malformed(name)),
        }
    }

    /// Reason (RFC 3326); values that do not read are skipped.
    pub fn reason(&self) -> Vec<Reason> {
        self.headers(HeaderName::Reason).take(LIST_MAX).filter_map(Reason::parse).collect()
    }

    /// Retry-After (RFC 3261 §20.33), if it reads.
    pub fn retry_after(&self) -> Option<RetryAfter> {
        RetryAfter::parse(self.header(HeaderName::RetryAfter)?)
    }

    /// Session-Expires (RFC 4028 §4).
    pub fn session_expires(&self) -> Result<Option<SessionExpires>, HeaderError> {
        match self.header(HeaderName::SessionExpires) {
            None => Ok(None),
            Some(value) => SessionExpires::parse(value)
                .map(Some)
                .ok_or(HeaderError::Malformed(HeaderName::SessionExpires)),
        }
    }

    /// RAck (RFC 3262 §7.2).
    pub fn rack(&self) -> Result<RAck, HeaderError> {
        let name = HeaderName::RAck;
        RAck::parse(self.required(name)?).ok_or(HeaderError::Malformed(name))
    }

    /// RSeq (RFC 3262 §7.1) of a provisional response that wants to be acknowledged.
    pub fn reliable(&self) -> Option<u32> {
        let rseq = self.number(HeaderName::RSeq).ok()??;
        self.lists(HeaderName::Require, "100rel").then_some(rseq)
    }

    /// The media type of the body, without parameters and blanks, as written. Compare without case.
    pub fn content_type(&self) -> Option<&str> {
        let value = self.header_str(HeaderName::ContentType)?;
        Some(value.split(';').next().unwrap_or(value).trim())
    }

    /// Whether there is a body and its media type is this one.
    pub fn has_body_of(&self, media_type: &str) -> bool {
        !self.body().is_empty()
            && self.content_type().is_some_and(|found| found.eq_ignore_ascii_case(media_type))
    }
}

type StartFault = (ParseFault, Option<Start>);

/// Reads the start line. With a fault that can still be answered the start comes along.
fn start_line(bytes: &[u8], range: Range<usize>) -> Result<Start, StartFault> {
    let line = &bytes[range.clone()];
    if line.len() >= 4 && line[..4].eq_ignore_ascii_case(b"SIP/") {
        return status_line(line, range.start).ok_or((ParseFault::StartLine, None));
    }
    request_line(line, range.start)
}

/// RFC 3261 §7.2: `SIP/2.0 SP code SP reason`, where the reason and the blank before it may be gone.
fn status_line(line: &[u8], at: usize) -> Option<Start> {
    let rest = line.get(7..).filter(|_| line[..7].eq_ignore_ascii_case(b"SIP/2.0"))?;
    let rest = rest.strip_prefix(b" ")?;
    let digits = rest.get(..3)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = digits.iter().fold(0u16, |code, digit| code * 10 + u16::from(digit - b'0'));
    if !(100..=699).contains(&code) {
        return None;
    }
    let reason_at = match rest.get(3) {
        None => at + line.len(),
        Some(b' ') => at + 12,
        Some(_) => return None,
    };
    Some(Start::Response { code, reason: reason_at..at + line.len() })
}

/// RFC 3261 §7.1: method, URI and version, each parted by exactly one blank.
fn request_line(line: &[u8], at: usize) -> Result<Start, StartFault> {
    const BROKEN: StartFault = (ParseFault::StartLine, None);
    let method_end = memchr::memchr(b' ', line).ok_or(BROKEN)?;
    let method = Method::parse(&line[..method_end]).ok_or(BROKEN)?;
    let version_at =
        memchr::memrchr(b' ', line).filter(|&at| at > method_end).ok_or_else(|| {
            (ParseFault::StartLine, Some(Start::Request { method: method.clone(), uri: at..at }))
        })?;
    let version = &line[version_at + 1..];
    let uri = &line[method_end + 1..version_at];
    let start = Start::Request { method, uri: at + method_end + 1..at + version_at };
    if !version.eq_ignore_ascii_case(b"SIP/2.0") {
        let fault = if is_version(version) { ParseFault::Version } else { ParseFault::StartLine };
        return Err((fault, Some(start)));
    }
    if uri.len() > URI_BYTES_MAX {
        return Err((ParseFault::RequestUriTooLong, Some(start)));
    }
    let broken = uri.is_empty()
        || uri.iter().any(|&byte| byte <= b' ' || matches!(byte, b'<' | b'>' | b'"' | 0x7f))
        || std::str::from_utf8(uri).is_err();
    if broken {
        return Err((ParseFault::RequestUri, Some(start)));
    }
    Ok(start)
}

/// `SIP/` digits `.` digits.
fn is_version(version: &[u8]) -> bool {
    let Some(rest) = version.get(4..).filter(|_| version[..4].eq_ignore_ascii_case(b"SIP/")) else {
        return false;
    };
    let mut parts = rest.splitn(2, |&byte| byte == b'.');
    let number = |part: Option<&[u8]>| {
        part.is_some_and(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit))
    };
    number(parts.next()) && number(parts.next())
}
