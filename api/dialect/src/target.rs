//! Request lines as old clients write them.
//!
//! System 000's clients build their URL by joining strings: names in GBK, blanks, quotes and all, straight
//! into the request line. RFC 9112 §3.2 calls such a request-target invalid and recommends 400; those
//! clients are why the system exists, so the bytes that may not stand there are percent-encoded before the
//! HTTP parser sees them. Nothing else of the stream is touched. Pure: bytes in, bytes out.

/// Longest request line that is looked at; a longer one goes through as it is and the parser refuses it.
const LINE_MAX: usize = 16 * 1024;
/// Longest header line looked at for the body's length.
const HEADER_MAX: usize = 16 * 1024;

/// Where in the stream we are.
#[derive(Debug, Default)]
enum At {
    /// In a request line; held back until it is whole.
    #[default]
    Line,
    /// In the headers of a request; the body's length so far.
    Headers { body: Option<u64> },
    /// In a body of known length.
    Body { left: u64 },
    /// Not followed any further: a chunked body, or something that is not HTTP/1.
    Through,
}

/// Repairs the request lines of one connection.
#[derive(Debug, Default)]
pub struct Repair {
    at: At,
    /// The line under way, while in `Line` or `Headers`.
    line: Vec<u8>,
}

impl Repair {
    /// At the beginning of a connection.
    #[must_use]
    pub fn new() -> Repair {
        Repair::default()
    }

    /// Takes what was read from the connection and appends to `out` what the parser is to see.
    pub fn feed(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        while !input.is_empty() {
            input = match self.at {
                At::Line => self.request_line(input, out),
                At::Headers { body } => self.header(input, body, out),
                At::Body { left } => {
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                    out.extend_from_slice(&input[..take]);
                    let left = left - take as u64;
                    self.at = if left == 0 { At::Line } else { At::Body { left } };
                    &input[take..]
                }
                At::Through => {
                    out.extend_from_slice(input);
                    &[]
                }
            };
        }
    }

    fn request_line<'a>(&mut self, input: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let end = input.iter().position(|b| *b == b'\n');
        let take = end.map_or(input.len(), |end| end + 1);
        self.line.extend_from_slice(&input[..take]);
        if end.is_some() {
            let line = std::mem::take(&mut self.line);
            // Empty lines before a request are allowed (RFC 9112 §2.2).
            if line.trim_ascii().is_empty() {
                out.extend_from_slice(&line);
            } else {
                repair_line(&line, out);
                self.at = At::Headers { body: None };
            }
        } else if self.line.len() > LINE_MAX {
            out.append(&mut self.line);
            self.at = At::Through;
        }
        &input[take..]
    }

    fn header<'a>(&mut self, input: &'a [u8], body: Option<u64>, out: &mut Vec<u8>) -> &'a [u8] {
        let end = input.iter().position(|b| *b == b'\n');
        let take = end.map_or(input.len(), |end| end + 1);
        out.extend_from_slice(&input[..take]);
        if end.is_some() && self.line.is_empty() {
            // The usual case: the whole line is here.
            self.at = after_header(input[..take].trim_ascii(), body);
            return &input[take..];
        }
        self.line.extend_from_slice(&input[..take]);
        if end.is_some() {
            self.at = after_header(self.line.trim_ascii(), body);
            self.line.clear();
        } else if self.line.len() > HEADER_MAX {
            self.line.clear();
            self.at = At::Through;
        }
        &input[take..]
    }
}

/// What follows a header line.
fn after_header(line: &[u8], body: Option<u64>) -> At {
    if line.is_empty() {
        return match body {
            Some(left) if left > 0 => At::Body { left },
            _ => At::Line,
        };
    }
    let Some(colon) = line.iter().position(|b| *b == b':') else { return At::Headers { body } };
    let name = line[..colon].trim_ascii();
    if name.eq_ignore_ascii_case(b"transfer-encoding") || name.eq_ignore_ascii_case(b"upgrade") {
        return At::Through;
    }
    if name.eq_ignore_ascii_case(b"content-length") {
        let value = std::str::from_utf8(line[colon + 1..].trim_ascii()).ok();
        return match value.and_then(|value| value.parse().ok()) {
            Some(length) => At::Headers { body: Some(length) },
            None => At::Through,
        };
    }
    At::Headers { body }
}

/// `GET <target> HTTP/1.1`: the target is all between the first blank and the last.
fn repair_line(line: &[u8], out: &mut Vec<u8>) {
    let first = line.iter().position(|b| *b == b' ');
    let last = line.iter().rposition(|b| *b == b' ');
    let (Some(first), Some(last)) = (first, last) else { return out.extend_from_slice(line) };
    if first == last || !line[last + 1..].starts_with(b"HTTP/") {
        return out.extend_from_slice(line);
    }
    out.extend_from_slice(&line[..=first]);
    for byte in &line[first + 1..last] {
        match byte {
            b'!' | b'$'..=b';' | b'=' | b'?'..=b'[' | b']' | b'_' | b'a'..=b'z' | b'~' => {
                out.push(*byte);
            }
            // Control characters are an attack, not a habit: left for the parser to refuse.
            0..=0x1f | 0x7f => out.push(*byte),
            _ => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    out.extend_from_slice(&line[last..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repaired(input: &[u8], step: usize) -> Vec<u8> {
        let mut repair = Repair::new();
        let mut out = Vec::new();
        input.chunks(step).for_each(|chunk| repair.feed(chunk, &mut out));
        out
    }

    #[test]
    fn raw_gbk_blanks_and_quotes_in_the_target_are_escaped_and_nothing_else() {
        let input = b"GET /api/biz_regist?realname=\xb2\xe2 \"\xca\xd4\"&x=%41#f HTTP/1.1\r\nX: \xb2 \"\r\n\r\n";
        let wanted = b"GET /api/biz_regist?realname=%B2%E2%20%22%CA%D4%22&x=%41%23f HTTP/1.1\r\nX: \xb2 \"\r\n\r\n";
        for step in [1, 2, 7, 1000] {
            assert_eq!(repaired(input, step), wanted, "step {step}");
        }
    }

    #[test]
    fn bodies_pass_untouched_and_the_next_request_line_is_seen() {
        let input = b"POST /a HTTP/1.1\r\nContent-Length: 22\r\n\r\nGET /\xb2 HTTP/1.1\r\n\r\n+1GET /\xb2 HTTP/1.1\r\n\r\n";
        let wanted = b"POST /a HTTP/1.1\r\nContent-Length: 22\r\n\r\nGET /\xb2 HTTP/1.1\r\n\r\n+1GET /%B2 HTTP/1.1\r\n\r\n";
        for step in [1, 5, 1000] {
            assert_eq!(repaired(input, step), wanted, "step {step}");
        }
    }

    #[test]
    fn a_chunked_body_ends_the_watching() {
        let input = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nGET /\xb2\r\n0\r\n\r\nGET /\xb2 HTTP/1.1\r\n\r\n";
        assert_eq!(repaired(input, 3), input);
    }

    #[test]
    fn what_is_no_request_line_goes_through() {
        for input in [&b"\x16\x03\x01\x02\x00\n"[..], b"GET /\xb2\r\n\r\n", b"\r\n\r\n", b"\n"] {
            assert_eq!(repaired(input, 1), input);
        }
        let long = [b"GET /".as_slice(), &vec![0xb2; 2 * LINE_MAX]].concat();
        assert_eq!(repaired(&long, 4096), long);
    }
}
