//! Cutting a byte stream (TCP) into messages by Content-Length (RFC 3261 §18.3), with the CRLF
//! keep-alive of RFC 5626 §4.4.1.

use bytes::{Buf, Bytes, BytesMut};

use super::scan::head_end;
use super::{HEADER_BYTES_MAX, HEADERS_MAX, HeaderName, MESSAGE_BYTES_MAX};

/// What a stream holds next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// One message, for [`Message::parse`](super::Message::parse).
    Message(Bytes),
    /// The second CRLF of CRLF CRLF: the peer asks whether we live. Answer with one CRLF.
    Ping,
    /// A CRLF: the peer's answer to our ping, padding before a message, or the first half of a
    /// ping. Asks for nothing.
    Pong,
}

/// Why a stream cannot be read on. Its connection must be closed: where the next message starts is
/// not known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// The head does not end within the limits of a message.
    #[error("message head too long")]
    HeadTooLong,
    /// Head and body exceed [`MESSAGE_BYTES_MAX`].
    #[error("message too long")]
    MessageTooLong,
    /// Content-Length is missing (RFC 3261 §18.3 requires it here).
    #[error("no Content-Length")]
    NoContentLength,
    /// Content-Length is negative, no number, or there are two that differ.
    #[error("malformed Content-Length")]
    ContentLength,
}

/// Collects bytes and gives out frames. Holds at most one message and what came with it.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: BytesMut,
    /// Start of the first line of the head not yet seen whole.
    searched: usize,
    /// Length of the message being collected, once its head is there.
    total: Option<usize>,
    half_ping: bool,
    failed: Option<FrameError>,
}

impl Framer {
    /// A framer at the start of a stream.
    pub fn new() -> Framer {
        Framer::default()
    }

    /// Adds received bytes. Call [`Framer::next_frame`] until it gives `None` before adding more: the
    /// buffer then never exceeds one message and one read.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Bytes waiting for the rest of their message. A connection that leaves some here too long is a
    /// slow sender, which is the connection owner's business.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// The next frame, `None` if more bytes are needed. After an error every call repeats it.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.cut().inspect_err(|&error| {
            self.failed = Some(error);
            self.buffer = BytesMut::new();
        })
    }

    fn cut(&mut self) -> Result<Option<Frame>, FrameError> {
        let line_end = match &self.buffer[..] {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] => 1,
            _ => 0,
        };
        if line_end > 0 {
            self.buffer.advance(line_end);
            self.half_ping = !self.half_ping;
            return Ok(Some(if self.half_ping { Frame::Pong } else { Frame::Ping }));
        }
        self.half_ping = false;
        let total = match self.total {
            Some(total) => total,
            None => match self.measure()? {
                Some(total) => total,
                None => return Ok(None),
            },
        };
        if self.buffer.len() < total {
            return Ok(None);
        }
        self.searched = 0;
        self.total = None;
        Ok(Some(Frame::Message(self.buffer.split_to(total).freeze())))
    }

    /// The length of the message at the start of the buffer, once its head has arrived whole.
    fn measure(&mut self) -> Result<Option<usize>, FrameError> {
        let head = match head_end(&self.buffer, self.searched) {
            Ok(end) => end,
            Err(from) => {
                self.searched = from;
                if self.buffer.len() > MESSAGE_BYTES_MAX {
                    return Err(FrameError::HeadTooLong);
                }
                return Ok(None);
            }
        };
        let length = content_length(&self.buffer[..head])?;
        let total = head.checked_add(length).ok_or(FrameError::MessageTooLong)?;
        if total > MESSAGE_BYTES_MAX {
            return Err(FrameError::MessageTooLong);
        }
        self.total = Some(total);
        Ok(Some(total))
    }
}

/// Content-Length of a whole head, found by the same rules as the parser's.
fn content_length(head: &[u8]) -> Result<usize, FrameError> {
    let scanned = super::scan::scan(head);
    let mut found = None;
    for field in scanned.fields.iter().filter(|field| field.name == HeaderName::ContentLength) {
        let value = super::scan::trim(&head[field.value_range()]);
        let length = super::values::digits(value)
            .and_then(|length| usize::try_from(length).ok())
            .filter(|_| !field.folded)
            .ok_or(FrameError::ContentLength)?;
        if found.is_some_and(|before| before != length) {
            return Err(FrameError::ContentLength);
        }
        found = Some(length);
    }
    found.ok_or(FrameError::NoContentLength)
}

const _: () = assert!(HEADERS_MAX * 8 <= MESSAGE_BYTES_MAX && HEADER_BYTES_MAX < MESSAGE_BYTES_MAX);
