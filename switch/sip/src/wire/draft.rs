//! Writing messages: start line, headers in order, body, in one buffer.

use bytes::Bytes;

use super::{HeaderName, Message, Method, Uri, reason_phrase};

/// A message being written. Content-Length is computed; line ends inside values become blanks, so
/// no value can add a header.
#[derive(Clone, Debug)]
pub struct Draft {
    start: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
    body: Bytes,
}

impl Draft {
    /// A request.
    pub fn request(method: &Method, uri: &Uri) -> Draft {
        Draft::with_start(format!("{method} {uri} SIP/2.0").into_bytes())
    }

    /// A request whose URI is written as given (a remote target is echoed byte by byte).
    pub fn request_to(method: &Method, uri: &str) -> Draft {
        Draft::with_start(format!("{method} {uri} SIP/2.0").into_bytes())
    }

    /// A response with the registered reason phrase.
    pub fn response(code: u16) -> Draft {
        Draft::response_with(code, reason_phrase(code))
    }

    /// A response with a reason phrase of one's own.
    pub fn response_with(code: u16, reason: &str) -> Draft {
        Draft::with_start(format!("SIP/2.0 {code} {reason}").into_bytes())
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
        let mut draft = Draft::with_start(message.start_line().to_vec());
        for (_, name, value) in message.fields() {
            draft.push(&String::from_utf8_lossy(name), value);
        }
        // A compact Content-Length would stand beside ours.
        draft.remove("l");
        draft.body = message.body_bytes();
        draft
    }

    fn with_start(mut start: Vec<u8>) -> Draft {
        flatten(&mut start);
        Draft { start, headers: Vec::with_capacity(16), body: Bytes::new() }
    }

    /// Adds a header line at the end.
    pub fn push(&mut self, name: &str, value: impl AsRef<[u8]>) -> &mut Draft {
        let mut value = value.as_ref().to_vec();
        flatten(&mut value);
        self.headers.push((clean_name(name), value));
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
        let first = self.headers.iter().position(|(written, _)| written.eq_ignore_ascii_case(name));
        let Some(at) = first else { return self.push(name, value) };
        let mut value = value.as_ref().to_vec();
        flatten(&mut value);
        self.headers[at].1 = value;
        let mut position = 0;
        self.headers.retain(|(written, _)| {
            position += 1;
            position - 1 <= at || !written.eq_ignore_ascii_case(name)
        });
        self
    }

    /// Removes all lines of that name, and no other.
    pub fn remove(&mut self, name: &str) -> &mut Draft {
        self.headers.retain(|(written, _)| !written.eq_ignore_ascii_case(name));
        self
    }

    /// Whether there is a line of that name.
    pub fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(written, _)| written.eq_ignore_ascii_case(name))
    }

    /// Appends a tag to To if it has none. To's text is otherwise left as it was copied.
    pub fn tag_to(&mut self, tag: &str) -> &mut Draft {
        let to = HeaderName::To.as_str();
        if let Some((_, value)) = self.headers.iter_mut().find(|(name, _)| name == to)
            && !has_tag(value)
        {
            value.extend_from_slice(b";tag=");
            value.extend(tag.bytes().filter(|byte| !byte.is_ascii_control()));
        }
        self
    }

    /// Replaces the topmost Via's line (a server stamps `received` and `rport` on it).
    pub fn set_top_via(&mut self, via: &super::Via) -> &mut Draft {
        let name = HeaderName::Via.as_str();
        if let Some((_, value)) = self.headers.iter_mut().find(|(written, _)| written == name) {
            let rest = super::lists::find_outside(value, b",").map(|at| value[at..].to_vec());
            *value = via.to_string().into_bytes();
            value.extend(rest.unwrap_or_default());
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
        let content_length = HeaderName::ContentLength.as_str();
        let size = self.headers.iter().map(|(name, value)| name.len() + value.len() + 4);
        let mut out =
            Vec::with_capacity(self.start.len() + size.sum::<usize>() + self.body.len() + 32);
        out.extend_from_slice(&self.start);
        out.extend_from_slice(b"\r\n");
        for (name, value) in &self.headers {
            if name.eq_ignore_ascii_case(content_length) {
                continue;
            }
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(format!("{content_length}: {}\r\n\r\n", self.body.len()).as_bytes());
        out.extend_from_slice(&self.body);
        Bytes::from(out)
    }
}

const COPIED: [HeaderName; 5] =
    [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq];

/// Whether a To or From value has a tag already. A value that does not read as an address is
/// searched as text: an answer to a broken request must not get two tags.
fn has_tag(value: &[u8]) -> bool {
    match super::NameAddr::parse(value) {
        Some(address) => address.params.has("tag"),
        None => value.windows(5).any(|part| part.eq_ignore_ascii_case(b";tag=")),
    }
}

fn flatten(value: &mut [u8]) {
    for byte in value.iter_mut().filter(|byte| matches!(byte, b'\r' | b'\n')) {
        *byte = b' ';
    }
}

/// A header name can only be a token; anything else in it is dropped.
fn clean_name(name: &str) -> String {
    name.chars().filter(|&c| u8::try_from(c).is_ok_and(super::scan::is_token)).collect()
}
