//! Our reading of a message against `rsip`'s, where `rsip` is right: messages without folds, compact
//! names, blanks before colons, dotted users, IPv6, lists, quoted names or other charsets.

use bytes::Bytes;
use rsip::prelude::{HeadersExt, ToTypedHeader, UntypedHeader};

use super::Message;

/// Makes a plain message out of `choices` and panics if the two readings differ.
pub fn differential(choices: &[u8]) {
    let plain = Plain::of(&mut Choices(choices.iter()));
    let text = plain.to_string();
    let ours = Message::parse(Bytes::from(text.clone())).expect("a plain message is a message");
    let theirs = rsip::SipMessage::try_from(text.as_str()).expect("rsip reads plain messages");
    match &theirs {
        rsip::SipMessage::Request(request) => {
            let method = ours.method().map(|method| method.as_str().to_owned());
            assert_eq!(method, Some(request.method.to_string()));
            let uri: super::Uri = ours.request_uri().unwrap_or("").parse().expect("a plain URI");
            same_uri(&uri, &request.uri);
            assert_eq!(ours.body(), &request.body[..]);
        }
        rsip::SipMessage::Response(response) => {
            assert_eq!(ours.status(), Some(response.status_code.code()));
            assert_eq!(ours.body(), &response.body[..]);
        }
    }
    let via = ours.via().expect("a plain Via");
    let their_via = theirs.via_header().and_then(ToTypedHeader::typed).expect("a plain Via");
    assert_eq!(via.transport, their_via.transport.to_string());
    assert_eq!(via.branch(), their_via.branch().map(rsip::param::Branch::value));
    let sent_by = &their_via.uri.host_with_port;
    assert_eq!(via.host.as_str(), sent_by.host.to_string());
    assert_eq!(via.port, sent_by.port.as_ref().map(|port| *port.value()));
    let from = ours.from().expect("a plain From");
    let their_from = theirs.from_header().and_then(ToTypedHeader::typed).expect("a plain From");
    same_uri(&from.uri, &their_from.uri);
    assert_eq!(from.tag(), their_from.tag().map(rsip::param::Tag::value));
    let to = ours.to().expect("a plain To");
    let their_to = theirs.to_header().and_then(ToTypedHeader::typed).expect("a plain To");
    same_uri(&to.uri, &their_to.uri);
    assert_eq!(to.tag(), their_to.tag().map(rsip::param::Tag::value));
    let their_call_id = theirs.call_id_header().expect("a Call-ID").value().to_owned();
    assert_eq!(ours.call_id(), Some(their_call_id.as_str()));
    let cseq = ours.cseq().expect("a plain CSeq");
    let their_cseq = theirs.cseq_header().and_then(ToTypedHeader::typed).expect("a plain CSeq");
    assert_eq!((cseq.number, cseq.method), (their_cseq.seq, their_cseq.method.into()));
    let hops = theirs.max_forwards_header().and_then(rsip::headers::MaxForwards::num);
    assert_eq!(ours.max_forwards(), Ok(Some(hops.expect("plain Max-Forwards"))));
}

fn same_uri(ours: &super::Uri, theirs: &rsip::Uri) {
    assert_eq!(ours.user.as_deref(), theirs.user());
    assert_eq!(ours.host.as_str(), theirs.host_with_port.host.to_string());
    assert_eq!(ours.port, theirs.host_with_port.port.as_ref().map(|port| *port.value()));
}

struct Choices<'a>(std::slice::Iter<'a, u8>);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::from(self.byte()) % of.len()]
    }

    fn word(&mut self) -> String {
        const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        let length = usize::from(self.byte() % 12) + 1;
        (0..length).map(|_| char::from(self.pick(LETTERS))).collect()
    }

    fn host(&mut self) -> String {
        match self.byte() % 3 {
            0 => format!("192.0.2.{}", self.byte()),
            1 => format!("h{}.example", self.word().to_ascii_lowercase()),
            _ => "tandem.example".to_owned(),
        }
    }

    fn port(&mut self) -> String {
        match self.byte() % 2 {
            0 => String::new(),
            _ => format!(":{}", u16::from(self.byte()) * 250 + 1),
        }
    }

    fn uri(&mut self) -> String {
        format!("sip:{}@{}{}", self.word(), self.host(), self.port())
    }

    fn tag(&mut self) -> String {
        match self.byte() % 2 {
            0 => String::new(),
            _ => format!(";tag={}", self.word()),
        }
    }
}

struct Plain {
    start: String,
    headers: Vec<String>,
    body: String,
}

impl Plain {
    fn of(choices: &mut Choices<'_>) -> Plain {
        let method =
            choices.pick(&["INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "OPTIONS", "UPDATE"]);
        let start = match choices.byte() % 2 {
            0 => format!("{method} {} SIP/2.0", choices.uri()),
            _ => format!(
                "SIP/2.0 {} Whatever",
                choices.pick(&[100, 180, 183, 200, 302, 404, 486, 503, 603])
            ),
        };
        let transport = choices.pick(&["UDP", "TCP", "TLS"]);
        let mut headers = vec![
            format!(
                "Via: SIP/2.0/{transport} {}{};branch=z9hG4bK{}",
                choices.host(),
                choices.port(),
                choices.word()
            ),
            format!("From: <{}>{}", choices.uri(), choices.tag()),
            format!("To: <{}>{}", choices.uri(), choices.tag()),
            format!("Call-ID: {}@{}", choices.word(), choices.host()),
            format!("CSeq: {} {method}", u32::from(choices.byte()) * 65_537),
            format!("Max-Forwards: {}", choices.byte()),
        ];
        for _ in 0..choices.byte() % 4 {
            headers.push(format!("X-{}: {}", choices.word(), choices.word()));
        }
        let body = match choices.byte() % 2 {
            0 => String::new(),
            _ => format!("{}\r\n\r\n{}", choices.word(), choices.word()),
        };
        headers.push(format!("Content-Length: {}", body.len()));
        Plain { start, headers, body }
    }
}

impl std::fmt::Display for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\r\n{}\r\n\r\n{}", self.start, self.headers.join("\r\n"), self.body)
    }
}
