//! Why bytes are not a message, or a header is not its value.

use super::{HeaderName, Message};

/// What made bytes unreadable as a SIP message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParseFault {
    /// Only line ends (or nothing): a keep-alive, not a message.
    #[error("empty")]
    Empty,
    /// More than [`MESSAGE_BYTES_MAX`](super::MESSAGE_BYTES_MAX) bytes.
    #[error("message too long")]
    MessageTooLong,
    /// The start line is neither a request line nor a status line.
    #[error("malformed start line")]
    StartLine,
    /// The protocol version is not SIP/2.0 (RFC 3261 §21.5.6). Only told for requests.
    #[error("SIP version not supported")]
    Version,
    /// The Request-URI is not UTF-8 text, is bracketed or has blanks in it.
    #[error("malformed Request-URI")]
    RequestUri,
    /// The Request-URI has more than [`URI_BYTES_MAX`](super::URI_BYTES_MAX) bytes.
    #[error("Request-URI too long")]
    RequestUriTooLong,
    /// A header line without name or colon, a line end that is none, or a fold before any header.
    #[error("malformed header line")]
    HeaderLine,
    /// More than [`HEADERS_MAX`](super::HEADERS_MAX) header lines.
    #[error("too many headers")]
    TooManyHeaders,
    /// A header of more than [`HEADER_BYTES_MAX`](super::HEADER_BYTES_MAX) bytes.
    #[error("header too long")]
    HeaderTooLong,
    /// The empty line after the headers is missing.
    #[error("no end of headers")]
    Unterminated,
    /// Content-Length is no number, or two of them differ.
    #[error("malformed Content-Length")]
    ContentLength,
    /// Content-Length promises more bytes than arrived (RFC 3261 §18.3).
    #[error("Content-Length larger than the body")]
    BodyTooShort,
}

impl ParseFault {
    /// The status code that answers a request with this fault (RFC 3261 §18.3, §21.4, §21.5).
    pub const fn status(self) -> u16 {
        match self {
            ParseFault::MessageTooLong | ParseFault::HeaderTooLong | ParseFault::TooManyHeaders => {
                513
            }
            ParseFault::Version => 505,
            ParseFault::RequestUriTooLong => 414,
            _ => 400,
        }
    }
}

/// Bytes that are not a SIP message, with what is needed to answer them if an answer is due.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{fault}")]
pub struct ParseError {
    /// What is wrong.
    pub fault: ParseFault,
    pub(super) partial: Option<Box<Message>>,
}

impl ParseError {
    pub(super) fn new(fault: ParseFault) -> ParseError {
        ParseError { fault, partial: None }
    }

    /// The headers that could be read of a broken *request*, when they suffice for an answer: a Via
    /// to send it by. Never given for a response (dropped, RFC 3261 §18.1.2) or an ACK (not
    /// answered). Use it with [`Draft::reply_to`](super::Draft::reply_to) and
    /// [`ParseFault::status`], and for nothing else.
    pub fn answerable(&self) -> Option<&Message> {
        self.partial.as_deref()
    }
}

/// A header that is missing or does not read as its value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HeaderError {
    /// The header is not there.
    #[error("missing {}", .0.as_str())]
    Missing(HeaderName),
    /// The header is there, but not as its grammar wants it.
    #[error("malformed {}", .0.as_str())]
    Malformed(HeaderName),
}

impl HeaderError {
    /// The header concerned.
    pub const fn name(self) -> HeaderName {
        match self {
            HeaderError::Missing(name) | HeaderError::Malformed(name) => name,
        }
    }
}
