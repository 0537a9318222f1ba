//! Bodies of several parts (RFC 2046 §5.1, as RFC 5621 has them in SIP): carriers put a description beside what
//! the telephone network says (RFC 3204), networks a menu beside a description (TS 24.390).

use std::ops::Range;

use bytes::Bytes;

use super::HeaderName;
use super::message::Message;

/// Parts of a body at most; one of more is none.
const PARTS_MAX: usize = 16;
/// Octets of a boundary at most (RFC 2046 §5.1.1).
const BOUNDARY_MAX: usize = 70;

/// One part of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its media type, without parameters, in lower case; `text/plain` where it says none (RFC 2046 §5.1).
    pub media_type: String,
    /// It may be passed over by whoever does not know it (RFC 5621 §8.2: else it has to be understood).
    pub optional: bool,
    /// What it is for (RFC 2183), in lower case; empty where it does not say.
    pub disposition: String,
    /// What stands in it. Nothing of one that is coded for its way.
    pub body: Bytes,
}

impl Part {
    /// Whether it describes the session (RFC 3261 §20.11: what a description is for where it does not say).
    #[must_use]
    pub fn is_description(&self) -> bool {
        self.media_type == "application/sdp"
            && matches!(self.disposition.as_str(), "" | "session")
            && !self.body.is_empty()
    }
}

impl Message {
    /// The parts of a body that has some; `None`: it is one body, or its parts cannot be told.
    #[must_use]
    pub fn parts(&self) -> Option<Vec<Part>> {
        let value = self.header_str(HeaderName::ContentType)?;
        let media_type = value.split(';').next()?.trim();
        let kind = media_type.get(..10)?;
        if !kind.eq_ignore_ascii_case("multipart/") {
            return None;
        }
        split(&self.body_bytes(), &boundary(value)?)
    }

    /// The description of the session: the body, or the first part that is one. Another one beside it, as that of early
    /// media is (RFC 3959), says what it is for.
    #[must_use]
    pub fn description(&self) -> Option<Bytes> {
        if self.has_body_of("application/sdp") {
            return Some(self.body_bytes());
        }
        let fits = |part: &Part| part.is_description();
        Some(self.parts()?.into_iter().find(fits)?.body)
    }
}

/// The boundary that a Content-Type names.
fn boundary(value: &str) -> Option<String> {
    let named = super::Params::parse(value.split_once(';')?.1.as_bytes())?;
    let boundary = named.get("boundary")?.to_owned();
    (1..=BOUNDARY_MAX).contains(&boundary.len()).then_some(boundary)
}

/// The parts between the boundary's lines. What stands before the first and behind the last is for nobody.
fn split(body: &Bytes, boundary: &str) -> Option<Vec<Part>> {
    let delimiter = [b"--", boundary.as_bytes()].concat();
    let mut parts = Vec::new();
    let mut open: Option<usize> = None;
    for line in lines(body) {
        let text = body.get(line.clone())?;
        let Some(tail) = text.strip_prefix(delimiter.as_slice()) else { continue };
        let last = tail.starts_with(b"--");
        let rest = if last { &tail[2..] } else { tail };
        if !rest.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n')) {
            // A longer boundary that begins like this one.
            continue;
        }
        if let Some(from) = open {
            // The line break before a delimiter belongs to it.
            let mut end = line.start;
            for sign in [b'\n', b'\r'] {
                if end > from && body.get(end - 1) == Some(&sign) {
                    end -= 1;
                }
            }
            if parts.len() == PARTS_MAX {
                return None;
            }
            parts.push(part(&body.slice(from..end)));
        }
        open = Some(line.end);
        if last {
            return Some(parts);
        }
    }
    // Cut short: the last delimiter is missing (RFC 2046 §5.1.2 lets a reader take what there is; who sends
    // datagrams lost it on the way).
    None
}

/// The lines of a text, each with its end.
fn lines(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
        let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let line = at..at + length;
        at += length;
        Some(line)
    })
}

/// A part: its headers, an empty line, and what stands in it.
fn part(bytes: &Bytes) -> Part {
    let mut found = Part {
        media_type: "text/plain".to_owned(),
        optional: false,
        disposition: String::new(),
        body: Bytes::new(),
    };
    let (mut coded, mut end) = (false, bytes.len());
    let mut header = String::new();
    for line in lines(bytes) {
        let text = String::from_utf8_lossy(&bytes[line.clone()]);
        // RFC 5322 §2.2.3: a line that begins with a blank goes on with the one before it.
        if text.starts_with([' ', '\t']) && !text.trim().is_empty() {
            header.push_str(&text);
            continue;
        }
        coded |= found.header(&header);
        if text.trim_end_matches(['\r', '\n']).is_empty() {
            header.clear();
            end = line.end;
            break;
        }
        header = text.into_owned();
    }
    coded |= found.header(&header);
    if !coded {
        found.body = bytes.slice(end..);
    }
    found
}

impl Part {
    /// Takes one of its headers. `true`: its body is coded for its way.
    fn header(&mut self, header: &str) -> bool {
        let Some((name, value)) = header.split_once(':') else { return false };
        let value = value.trim().to_ascii_lowercase();
        let mut parameters = value.split(';').map(str::trim);
        let first = parameters.next().unwrap_or_default().to_owned();
        match name.trim().to_ascii_lowercase().as_str() {
            "content-type" | "c" => self.media_type = first,
            "content-disposition" => {
                self.disposition = first;
                let blank = [' ', '\t', '\r', '\n'];
                self.optional =
                    parameters.any(|named| named.replace(blank, "") == "handling=optional");
            }
            "content-transfer-encoding" => {
                return matches!(first.as_str(), "base64" | "quoted-printable");
            }
            "content-encoding" | "e" => return first != "identity",
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(content_type: &str, body: &str) -> Message {
        let text = format!(
            "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:c@d>;tag=1\r\nTo: <sip:a@b>\r\n\
             Call-ID: 1\r\nCSeq: 1 INVITE\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Message::parse(Bytes::from(text)).unwrap()
    }

    const TWO: &str = "preamble\r\n--b1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\no=-\r\n\r\n--b1 \r\n\
        Content-Type: application/ISUP; version=itu-t92\r\nContent-Disposition: signal; handling = optional\r\n\r\n\
        \u{1}\u{2}\r\n--b1--\r\nepilogue";

    #[test]
    fn rfc2046_5_1_parts_are_told_by_their_boundary() {
        let two = message("multipart/mixed; boundary=b1", TWO);
        let parts = two.parts().unwrap();
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[0].media_type, "application/sdp");
        assert_eq!(
            parts[0].body, "v=0\r\no=-\r\n",
            "the line break before a delimiter is the delimiter's"
        );
        assert!(!parts[0].optional);
        assert_eq!((parts[1].media_type.as_str(), parts[1].optional), ("application/isup", true));
        assert_eq!(parts[1].body, "\u{1}\u{2}");
        assert_eq!(two.description().unwrap(), "v=0\r\no=-\r\n");
        // Quoted, and with bare line feeds.
        let quoted =
            message("Multipart/Mixed;boundary=\"b 1\"", "--b 1\nc: text/plain\n\nhi\n--b 1--");
        assert_eq!(quoted.parts().unwrap()[0].body, "hi");
        // No headers at all.
        let bare = message("multipart/mixed;boundary=b", "--b\r\n\r\nhi\r\n--b--\r\n");
        assert_eq!(bare.parts().unwrap()[0].body, "hi");
    }

    #[test]
    fn rfc2046_5_1_2_what_is_cut_short_or_named_badly_has_no_parts() {
        let cut = TWO.split("--b1--").next().unwrap();
        for (content_type, body) in [
            ("multipart/mixed; boundary=b1", cut),
            ("multipart/mixed", TWO),
            ("multipart/mixed; boundary=\"\"", TWO),
            ("multipart/mixed; boundary=other", TWO),
            ("application/sdp; boundary=b1", TWO),
        ] {
            assert_eq!(message(content_type, body).parts(), None, "{content_type}");
        }
        let long = format!("multipart/mixed; boundary={}", "x".repeat(71));
        assert_eq!(message(&long, TWO).parts(), None);
        let many = format!("{}--b--", "--b\r\n\r\nx\r\n".repeat(17));
        assert_eq!(message("multipart/mixed;boundary=b", &many).parts(), None);
        // A boundary that begins like another is not it.
        let nested = "--b\r\n\r\n--b2\r\nx\r\n--b--";
        let parts = message("multipart/mixed;boundary=b", nested).parts().unwrap();
        assert_eq!(parts[0].body, "--b2\r\nx");
    }

    #[test]
    fn rfc3959_the_description_of_early_media_is_not_that_of_the_session() {
        let early = "--b\r\nContent-Type: application/sdp\r\nContent-Disposition: early-session\r\n\r\nv=0 early\r\n";
        let body = format!(
            "{early}--b\r\nContent-Disposition: session;\r\n handling=required\r\nContent-Type:\r\n\tapplication/sdp\r\n\r\nv=0\r\n--b--"
        );
        let both = message("multipart/mixed;boundary=b", &body);
        assert_eq!(both.description().unwrap(), "v=0");
        let only = message("multipart/mixed;boundary=b", &format!("{early}--b--"));
        assert_eq!(only.description(), None);
    }

    #[test]
    fn rfc5322_2_2_3_headers_of_a_part_may_be_folded() {
        let body = "--b\r\nContent-Type: application/isup\r\nContent-Disposition: signal;\r\n handling=optional\r\n\r\nx\r\n--b--";
        let parts = message("multipart/mixed;boundary=b", body).parts().unwrap();
        assert_eq!((parts[0].disposition.as_str(), parts[0].optional), ("signal", true));
    }

    #[test]
    fn rfc5621_what_is_coded_for_its_way_is_not_read() {
        for header in ["Content-Transfer-Encoding: base64", "Content-Encoding: gzip"] {
            let body =
                format!("--b\r\nContent-Type: application/sdp\r\n{header}\r\n\r\ndj0w\r\n--b--");
            assert_eq!(message("multipart/mixed;boundary=b", &body).description(), None);
        }
    }
}
