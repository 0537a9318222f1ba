//! SIP messages as text: enough of RFC 3261 §7 for a phone on a test bench, and nothing more.

use std::fmt::Write as _;

/// A request or a response, split at the first blank line.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// Request-Line or Status-Line (RFC 3261 §7.1, §7.2).
    pub start: String,
    /// Header fields in order, compact names written out (RFC 3261 §7.3.3), folding undone (§7.3.1).
    pub headers: Vec<(String, String)>,
    /// Whatever followed the blank line.
    pub body: Vec<u8>,
}

impl Message {
    /// Reads one message; `None` when there is no start line.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Message> {
        let split = find(bytes, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..split]).into_owned();
        let mut lines = head.split("\r\n");
        let start = lines.next().filter(|line| line.contains("SIP/2.0"))?.to_owned();
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            if line.starts_with([' ', '\t']) {
                if let Some((_, value)) = headers.last_mut() {
                    let _ = write!(value, " {}", line.trim());
                }
            } else if let Some((name, value)) = line.split_once(':') {
                headers.push((long_name(name.trim()), value.trim().to_owned()));
            }
        }
        let mut body = bytes[split + 4..].to_vec();
        let message = Message { start, headers, body: Vec::new() };
        if let Some(length) = message.header("Content-Length").and_then(|v| v.parse().ok()) {
            body.truncate(length);
        }
        Some(Message { body, ..message })
    }

    /// The method when this is a request.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        let word = self.start.split(' ').next()?;
        (word != "SIP/2.0").then_some(word)
    }

    /// The Request-URI when this is a request.
    #[must_use]
    pub fn uri(&self) -> Option<&str> {
        self.method()?;
        self.start.split(' ').nth(1)
    }

    /// The status when this is a response.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        let rest = self.start.strip_prefix("SIP/2.0 ")?;
        rest.split(' ').next()?.parse().ok()
    }

    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| &**v)
    }

    /// Every line of a header, uncut.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| &**v)
    }

    /// CSeq number and method (RFC 3261 §20.16).
    #[must_use]
    pub fn cseq(&self) -> Option<(u32, String)> {
        let (number, method) = self.header("CSeq")?.split_once(' ')?;
        Some((number.parse().ok()?, method.trim().to_owned()))
    }

    /// The branch of the topmost Via.
    #[must_use]
    pub fn branch(&self) -> Option<String> {
        let top = self.header("Via")?.split(',').next()?;
        param(top, "branch").map(str::to_owned)
    }

    /// The Call-ID, empty when absent.
    #[must_use]
    pub fn call_id(&self) -> &str {
        self.header("Call-ID").unwrap_or_default()
    }

    /// The bytes on the wire, with a correct Content-Length.
    #[must_use]
    pub fn print(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.start);
        for (name, value) in &self.headers {
            if !name.eq_ignore_ascii_case("Content-Length") {
                let _ = write!(text, "{name}: {value}\r\n");
            }
        }
        let _ = write!(text, "Content-Length: {}\r\n\r\n", self.body.len());
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Adds a header at the end.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Message {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// A response to this request (RFC 3261 §8.2.6): Via, From, To, Call-ID, CSeq and Record-Route copied,
    /// our tag added to To.
    #[must_use]
    pub fn reply(&self, code: u16, reason: &str, tag: &str) -> Message {
        let mut reply = Message { start: format!("SIP/2.0 {code} {reason}"), ..Message::default() };
        for name in ["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"] {
            for value in self.all(name) {
                let value = if name == "To" && code > 100 && tag_of(value).is_none() {
                    format!("{value};tag={tag}")
                } else {
                    value.to_owned()
                };
                reply.headers.push((name.to_owned(), value));
            }
        }
        reply
    }
}

/// Cuts the next whole message off a TCP stream (RFC 3261 §18.3); keep-alive CRLFs are skipped.
pub fn next_in_stream(buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let blank = buffer.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    buffer.drain(..blank);
    let split = find(buffer, b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&buffer[..split]).to_ascii_lowercase();
    let length = head
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| matches!(name.trim(), "content-length" | "l"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .unwrap_or(0);
    (buffer.len() >= split + length).then(|| buffer.drain(..split + length).collect())
}

/// The value of `;name=value` behind a header value or inside a Via.
#[must_use]
pub fn param<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    value.split(';').skip(1).find_map(|part| {
        let (n, v) = part.split_once('=')?;
        n.trim().eq_ignore_ascii_case(name).then(|| v.trim())
    })
}

/// The tag of a From or To value; parameters inside `<>` do not count.
#[must_use]
pub fn tag_of(value: &str) -> Option<&str> {
    let outside = value.rsplit_once('>').map_or(value, |(_, rest)| rest);
    param(&format_semicolon(outside), "tag").map(|tag| {
        let start = value.rfind(tag).unwrap_or(0);
        &value[start..start + tag.len()]
    })
}

/// The URI of a name-addr or addr-spec (RFC 3261 §25.1).
#[must_use]
pub fn uri_of(value: &str) -> &str {
    match value.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or(rest),
        None => value.split(';').next().unwrap_or(value),
    }
    .trim()
}

/// Host and port of a SIP URI when the host is an address literal.
#[must_use]
pub fn address_of(uri: &str) -> Option<std::net::SocketAddr> {
    let rest = uri.split_once(':').map(|(_, rest)| rest)?;
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let host = rest.split([';', '?']).next()?;
    if let Ok(address) = host.parse() {
        return Some(address);
    }
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
    Some(std::net::SocketAddr::new(ip, 5060))
}

fn format_semicolon(outside: &str) -> String {
    format!("x;{}", outside.trim_start_matches(';'))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn long_name(name: &str) -> String {
    match name {
        "v" => "Via",
        "f" => "From",
        "t" => "To",
        "i" => "Call-ID",
        "m" => "Contact",
        "l" => "Content-Length",
        "c" => "Content-Type",
        "k" => "Supported",
        other => other,
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_and_its_reply_copies_what_rfc3261_8_2_6_2_names() {
        let text = b"INVITE sip:b@127.0.0.1 SIP/2.0\r\nv: SIP/2.0/UDP a;branch=z9hG4bK1\r\n\
            From: <sip:a@x;tag=no>;tag=yes\r\nTo: <sip:b@x>\r\ni: 1@x\r\nCSeq: 7 INVITE\r\n\
            Subject: one\r\n two\r\nl: 3\r\n\r\nabcdef";
        let message = Message::parse(text).unwrap();
        assert_eq!(message.method(), Some("INVITE"));
        assert_eq!(message.header("Subject"), Some("one two"));
        assert_eq!(message.body, b"abc");
        assert_eq!(message.branch().as_deref(), Some("z9hG4bK1"));
        assert_eq!(tag_of(message.header("From").unwrap()), Some("yes"));
        let reply = message.reply(180, "Ringing", "t1");
        assert_eq!(reply.status(), Some(180));
        assert_eq!(reply.header("To"), Some("<sip:b@x>;tag=t1"));
        assert_eq!(reply.cseq(), Some((7, "INVITE".into())));
    }

    #[test]
    fn rfc3261_18_3_a_stream_is_cut_by_content_length() {
        let mut stream =
            b"\r\n\r\nOPTIONS sip:a SIP/2.0\r\nContent-Length: 2\r\n\r\nhiBYE".to_vec();
        let first = next_in_stream(&mut stream).unwrap();
        assert!(first.ends_with(b"\r\n\r\nhi"));
        assert_eq!(next_in_stream(&mut stream), None);
        assert_eq!(stream, b"BYE");
    }

    #[test]
    fn addresses_are_taken_from_uris() {
        assert_eq!(address_of("sip:a@127.0.0.1:5070;lr"), "127.0.0.1:5070".parse().ok());
        assert_eq!(address_of("sip:[::1]:5070"), "[::1]:5070".parse().ok());
        assert_eq!(address_of("sip:a@127.0.0.1"), "127.0.0.1:5060".parse().ok());
        assert_eq!(address_of("sip:a@example.com"), None);
        assert_eq!(uri_of("\"A\" <sip:a@b;lr>;x=1"), "sip:a@b;lr");
    }
}
