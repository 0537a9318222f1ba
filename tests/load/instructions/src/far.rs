//! Far ends that answer by copying: no parser, no state, cheap enough to stand beside what is measured.
//!
//! They read header lines as a switch of today writes them (full names, one blank, no folding) and know
//! nothing else of SIP. A test that cares for protocol uses `phone` or a foreign phone.

/// The user part of the URI in a From or To.
#[must_use]
pub fn user_of(value: &str) -> &str {
    let uri = value.split_once("sip:").map_or("", |(_, uri)| uri);
    uri.split(['@', '>', ';']).next().unwrap_or_default()
}

/// What an answer copies from a request (RFC 3261 §8.2.6), and what a BYE needs of an INVITE.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Request<'a> {
    /// First word of the first line.
    pub method: &'a str,
    /// User part of the Request-URI without a `+`.
    pub user: &'a str,
    /// All Via lines, one after another, without the last line end.
    pub vias: &'a str,
    /// From, the value.
    pub from: &'a str,
    /// To, the value.
    pub to: &'a str,
    /// Call-ID, the value.
    pub call_id: &'a str,
    /// CSeq, the value.
    pub cseq: &'a str,
    /// URI in Contact.
    pub contact: &'a str,
    /// All Record-Route lines, without the last line end; empty for none.
    pub routes: &'a str,
}

impl<'a> Request<'a> {
    /// Reads a request. `None` for what is none, a response for example.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Request<'a>> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (first, _) = text.split_once("\r\n")?;
        let (method, rest) = first.split_once(' ')?;
        if method.starts_with("SIP/") {
            return None;
        }
        Request::lines(text, method, rest, first.len() + 2)
    }

    /// Reads an answer as if it were a request: `method` is its status.
    #[must_use]
    pub fn read_answer(bytes: &'a [u8]) -> Option<Request<'a>> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (first, _) = text.split_once("\r\n")?;
        let status = first.strip_prefix("SIP/2.0 ")?.get(..3)?;
        Request::lines(text, status, "", first.len() + 2)
    }

    fn lines(text: &'a str, method: &'a str, rest: &'a str, mut at: usize) -> Option<Request<'a>> {
        let user = rest.strip_prefix("sip:").unwrap_or(rest);
        let user = user.split(['@', ' ', ';']).next().unwrap_or_default();
        let mut request =
            Request { method, user: user.trim_start_matches('+'), ..Request::default() };
        for line in text[at..].split("\r\n") {
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").unwrap_or((line, ""));
            match name {
                "Via" => request.vias = joined(text, request.vias, at, line),
                "Record-Route" => request.routes = joined(text, request.routes, at, line),
                "From" => request.from = value,
                "To" => request.to = value,
                "Call-ID" => request.call_id = value,
                "CSeq" => request.cseq = value,
                "Contact" => request.contact = between(value),
                _ => {}
            }
            at += line.len() + 2;
        }
        (!request.call_id.is_empty()).then_some(request)
    }

    /// Writes an answer: status and phrase, tag for a To that has none, further header lines (each with its
    /// end), a session description or nothing.
    pub fn answer(&self, out: &mut Vec<u8>, status: &str, tag: &str, more: &str, sdp: &str) {
        let mut put = |parts: &[&str]| {
            for part in parts {
                out.extend_from_slice(part.as_bytes());
            }
        };
        put(&["SIP/2.0 ", status, "\r\n", self.vias, "\r\n"]);
        if !self.routes.is_empty() {
            put(&[self.routes, "\r\n"]);
        }
        put(&["From: ", self.from, "\r\nTo: ", self.to]);
        if !tag.is_empty() && !self.to.contains(";tag=") {
            put(&[";tag=", tag]);
        }
        put(&["\r\nCall-ID: ", self.call_id, "\r\nCSeq: ", self.cseq, "\r\n", more]);
        ending(out, sdp);
    }

    /// Writes a request of ours within the dialog that this INVITE opened and we answered with `tag`
    /// (RFC 3261 §12.2.1.1): CSeq 1, the route set, the peer's Contact. `local`: transport and address of
    /// the Via.
    pub fn within(&self, out: &mut Vec<u8>, method: &str, local: &str, branch: &str, tag: &str) {
        let from = [self.to, ";tag=", tag].concat();
        self.request(out, method, local, branch, [&from, self.from]);
    }

    /// Writes the ACK of a 2xx that this is (RFC 3261 §13.2.2.4). One proxy at most: the route set is not
    /// turned round.
    pub fn acknowledge(&self, out: &mut Vec<u8>, local: &str, branch: &str) {
        self.request(out, "ACK", local, branch, [self.from, self.to]);
    }

    fn request(
        &self,
        out: &mut Vec<u8>,
        method: &str,
        local: &str,
        branch: &str,
        [from, to]: [&str; 2],
    ) {
        let routes = self.routes.replace("Record-Route: ", "Route: ");
        let mut put = |parts: &[&str]| {
            for part in parts {
                out.extend_from_slice(part.as_bytes());
            }
        };
        put(&[method, " ", self.contact, " SIP/2.0\r\nVia: SIP/2.0/", local, ";branch=", branch]);
        put(&["\r\n", &routes, if routes.is_empty() { "" } else { "\r\n" }]);
        put(&["Max-Forwards: 70\r\nFrom: ", from, "\r\nTo: ", to]);
        put(&["\r\nCall-ID: ", self.call_id, "\r\nCSeq: 1 ", method, "\r\n"]);
        ending(out, "");
    }
}

fn ending(out: &mut Vec<u8>, sdp: &str) {
    let kind = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    let end = format!("{kind}Content-Length: {}\r\n\r\n{sdp}", sdp.len());
    out.extend_from_slice(end.as_bytes());
}

/// Neighbouring lines of one name, as one piece of the message.
fn joined<'a>(text: &'a str, before: &'a str, at: usize, line: &str) -> &'a str {
    let start =
        if before.is_empty() { at } else { before.as_ptr() as usize - text.as_ptr() as usize };
    &text[start..at + line.len()]
}

/// What stands between the angle brackets, or the whole.
fn between(value: &str) -> &str {
    let inner = value.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map_or(value, |(inner, _)| inner)
}

/// The value of the Via branch of a message's first line of Via.
#[must_use]
pub fn branch(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (_, rest) = text.split_once(";branch=")?;
    rest.split([';', '\r', ',']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:+8613900000042@127.0.0.1:7000 SIP/2.0\r\n\
        Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKproxy\r\n\
        Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKx;rport\r\n\
        Record-Route: <sip:127.0.0.1:5070;lr>\r\nMax-Forwards: 70\r\n\
        From: <sip:1@127.0.0.1>;tag=a\r\nTo: <sip:2@127.0.0.1>\r\nCall-ID: c1\r\nCSeq: 7 INVITE\r\n\
        Contact: \"x\" <sip:tandem@127.0.0.1:5060>;q=1\r\nContent-Length: 0\r\n\r\n";

    #[test]
    fn rfc3261_8_2_6_an_answer_copies_what_it_must() {
        let request = Request::read(INVITE.as_bytes()).unwrap();
        assert_eq!((request.method, request.user), ("INVITE", "8613900000042"));
        let mut out = Vec::new();
        request.answer(&mut out, "200 OK", "b", "Contact: <sip:p@127.0.0.1:7000>\r\n", "v=0\r\n");
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKproxy\r\n\
             Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKx;rport\r\n\
             Record-Route: <sip:127.0.0.1:5070;lr>\r\n\
             From: <sip:1@127.0.0.1>;tag=a\r\nTo: <sip:2@127.0.0.1>;tag=b\r\nCall-ID: c1\r\n\
             CSeq: 7 INVITE\r\nContact: <sip:p@127.0.0.1:7000>\r\n\
             Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
        );
        assert_eq!(branch(INVITE.as_bytes()), Some("z9hG4bKproxy"));
    }

    #[test]
    fn rfc3261_12_2_1_1_a_bye_goes_to_the_contact_with_the_parties_swapped() {
        let request = Request::read(INVITE.as_bytes()).unwrap();
        let mut out = Vec::new();
        request.within(&mut out, "BYE", "UDP 127.0.0.1:7000", "z9hG4bKours", "b");
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("BYE sip:tandem@127.0.0.1:5060 SIP/2.0\r\n"), "{text}");
        assert!(text.contains("\r\nRoute: <sip:127.0.0.1:5070;lr>\r\n"), "{text}");
        assert!(
            text.contains("\r\nFrom: <sip:2@127.0.0.1>;tag=b\r\nTo: <sip:1@127.0.0.1>;tag=a\r\n")
        );
        assert!(text.ends_with("CSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n"), "{text}");
    }

    #[test]
    fn rfc3261_13_2_2_4_an_ack_goes_to_the_contact_of_the_200() {
        let ok = INVITE.replacen(
            "INVITE sip:+8613900000042@127.0.0.1:7000 SIP/2.0",
            "SIP/2.0 200 OK",
            1,
        );
        let ok = Request::read_answer(ok.as_bytes()).unwrap();
        assert_eq!((ok.method, ok.call_id), ("200", "c1"));
        let mut out = Vec::new();
        ok.acknowledge(&mut out, "UDP 127.0.0.1:7000", "z9hG4bKack");
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("ACK sip:tandem@127.0.0.1:5060 SIP/2.0\r\n"), "{text}");
        assert!(text.contains("\r\nFrom: <sip:1@127.0.0.1>;tag=a\r\nTo: <sip:2@127.0.0.1>\r\n"));
        assert!(text.contains("\r\nRoute: <sip:127.0.0.1:5070;lr>\r\n"), "{text}");
    }

    #[test]
    fn a_response_is_no_request() {
        assert_eq!(Request::read(b"SIP/2.0 200 OK\r\nCall-ID: c\r\n\r\n"), None);
        assert_eq!(Request::read(b"\r\n\r\n"), None);
    }
}
