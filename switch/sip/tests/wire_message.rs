//! Messages as peers write them: reading, limits, verdicts, and writing.

#![allow(clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use sip::wire::{
    CSeq, Contact, Draft, Fault, HeaderError, HeaderName, Message, Method, NameAddr, ParseFault,
    Uri, Via,
};

fn parse(text: impl AsRef<[u8]>) -> Message {
    Message::parse(Bytes::copy_from_slice(text.as_ref())).unwrap()
}

fn fault(text: impl AsRef<[u8]>) -> ParseFault {
    Message::parse(Bytes::copy_from_slice(text.as_ref())).unwrap_err().fault
}

/// A request with the headers every request needs, and more.
fn request(more: &str) -> String {
    format!(
        "OPTIONS sip:bob@example.net SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1\r\n\
         From: <sip:alice@example.net>;tag=a\r\n\
         To: <sip:bob@example.net>\r\n\
         Call-ID: 1@192.0.2.1\r\n\
         CSeq: 1 OPTIONS\r\n{more}"
    )
}

#[test]
fn rfc3261_7_3_1_folds_blanks_before_colons_and_odd_cases() {
    let message = parse(
        "INVITE sip:b@h SIP/2.0\r\nvIA  : SIP / 2.0 / UDP\r\n  192.0.2.2 : 5070 ; branch = z9hG4bK9\r\n\
         FROM:\r\n \"A\r\n\tB\" <sip:a@h>\r\n ;tag=1\r\nSUBJECT \t:\r\n\tone\r\n two \t\r\nto: sip:b@h\r\n\r\n",
    );
    let via = message.via().unwrap();
    assert_eq!((via.transport.as_str(), via.port), ("UDP", Some(5070)));
    assert_eq!(via.branch(), Some("z9hG4bK9"));
    assert_eq!(message.from().unwrap().tag(), Some("1"));
    assert_eq!(message.header(HeaderName::Subject), Some(&b"one   two"[..]));
    assert!(!message.bytes().windows(3).any(|part| part == b"\n \t"), "no fold is left");
}

#[test]
fn rfc3261_7_3_3_compact_names_read_as_the_long_ones() {
    let message = parse(
        "INVITE sip:b@h SIP/2.0\r\nv: SIP/2.0/TCP h;branch=z9hG4bK1\r\nf: <sip:a@h>;tag=1\r\n\
         t: <sip:b@h>\r\ni: x\r\nm: <sip:a@192.0.2.1>\r\nk: timer, 100rel\r\nx: 1800;refresher=uac\r\n\
         c: application/sdp;charset=utf-8\r\ns: hi\r\nr: <sip:c@h>\r\no: presence\r\nl: 3\r\n\r\nabc",
    );
    assert_eq!(message.call_id(), Some("x"));
    assert!(message.lists(HeaderName::Supported, "TIMER"));
    assert!(message.lists(HeaderName::Supported, "100rel"));
    assert_eq!(message.session_expires().unwrap().unwrap().seconds, 1800);
    assert!(message.has_body_of("Application/SDP"));
    assert_eq!(message.name_addr(HeaderName::ReferTo).unwrap().uri.to_string(), "sip:c@h");
    assert_eq!(message.body(), b"abc");
    assert_eq!(message.others("S").next(), Some(&b"hi"[..]));
}

#[test]
fn rfc3261_7_3_1_lists_over_lines_and_commas_are_one_list() {
    let message = parse(
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1, SIP/2.0/UDP b ;branch=z9hG4bK2\r\n\
         Via: SIP/2.0/UDP c;branch=z9hG4bK3\r\n\
         Record-Route: <sip:p1;lr>,<sip:p2;lr=on>, \"x, y\" <sip:p3>\r\n\
         Contact: \"a,b\" <sip:a,c@h>;q=0.5, <sip:d@h>;expires=60, *\r\n\r\n",
    );
    let hosts: Vec<_> = message.vias().unwrap().iter().map(|via| via.host.to_string()).collect();
    assert_eq!(hosts, ["a", "b", "c"]);
    let loose: Vec<_> =
        message.record_routes().unwrap().iter().map(|route| route.uri.is_loose()).collect();
    assert_eq!(loose, [true, true, false]);
    let contacts = message.contacts().unwrap();
    assert_eq!(contacts.len(), 3);
    assert_eq!(contacts[0].q_thousandths(), Some(500));
    assert_eq!(contacts[1].expires(), Some(60));
    assert_eq!(contacts[2], Contact::Star);
}

#[test]
fn names_in_gbk_survive_byte_by_byte() {
    // "张" in GBK, and a name whose last byte looks like a backslash.
    for name in [&b"\xd5\xc5"[..], b"\x81\x5c"] {
        let mut text =
            b"BYE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: \"".to_vec();
        text.extend_from_slice(name);
        text.extend_from_slice(b"\" <sip:a@h>;tag=1\r\nTo: ");
        text.extend_from_slice(name);
        text.extend_from_slice(b" <sip:b@h>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 BYE\r\n\r\n");
        let message = parse(&text);
        let from = message.from().unwrap();
        assert_eq!(from.display.as_deref(), Some(name));
        assert_eq!(from.tag(), Some("1"));
        assert_eq!(NameAddr::parse(&from.to_bytes()).as_ref(), Some(&from));
        let reply = parse(Draft::reply_to(&message, 200).to_bytes());
        for header in [HeaderName::From, HeaderName::To] {
            assert_eq!(reply.header(header), message.header(header));
        }
        if name[1] != b'\\' {
            assert_eq!(message.to().unwrap().display.as_deref(), Some(name));
        }
    }
}

#[test]
fn a10_rfc3261_18_3_content_length_on_datagrams() {
    let body = |length: &str| request(&format!("{length}\r\nhello"));
    assert_eq!(parse(body("Content-Length: 5\r\n")).body(), b"hello");
    assert_eq!(parse(body("Content-Length: 2\r\n")).body(), b"he", "the rest is noise");
    assert_eq!(parse(body("Content-Length: 0\r\n")).body(), b"");
    assert_eq!(parse(body("")).body(), b"hello", "none: all that follows");
    assert_eq!(parse(body("l: 05\r\nContent-Length:5\r\n")).body(), b"hello");
    for (bad, expected) in [
        ("Content-Length: 6\r\n", ParseFault::BodyTooShort),
        ("Content-Length: 99999999999999999999999\r\n", ParseFault::BodyTooShort),
        ("Content-Length: -5\r\n", ParseFault::ContentLength),
        ("Content-Length: +5\r\n", ParseFault::ContentLength),
        ("Content-Length: 5x\r\n", ParseFault::ContentLength),
        ("Content-Length:\r\n", ParseFault::ContentLength),
        ("Content-Length: 5\r\nl: 4\r\n", ParseFault::ContentLength),
    ] {
        let error = Message::parse(Bytes::from(body(bad))).unwrap_err();
        assert_eq!((error.fault, error.fault.status()), (expected, 400), "{bad}");
        let partial = error.answerable().expect("a broken request is answered");
        let reply = parse(Draft::reply_to(partial, error.fault.status()).to_bytes());
        assert_eq!(reply.status(), Some(400));
        assert_eq!(reply.call_id(), Some("1@192.0.2.1"));
    }
}

#[test]
fn bodies_are_bytes() {
    let body: Vec<u8> = (0..=255).chain([0, b'\r', b'\n', b'\r', b'\n']).collect();
    let mut draft = Draft::request(&Method::Message, &"sip:b@h".parse().unwrap());
    draft
        .push("Via", "SIP/2.0/UDP h;branch=z9hG4bK1")
        .body("application/octet-stream", body.clone());
    let bytes = draft.to_bytes();
    let message = Message::parse(bytes.clone()).unwrap();
    assert_eq!(message.body(), body);
    assert_eq!(message.body_bytes(), body);
    assert_eq!(message.bytes(), &bytes);
    // Folding in the head leaves the body alone.
    let mut folded = b"MESSAGE sip:b@h SIP/2.0\r\nSubject: a\r\n b\r\n\r\n".to_vec();
    folded.extend_from_slice(b"x\r\n y");
    assert_eq!(parse(&folded).body(), b"x\r\n y");
}

#[test]
fn a9_unknown_methods_read_and_can_be_answered() {
    let text = request("\r\n").replace("OPTIONS", "NEWMETHOD");
    let message = parse(&text);
    assert_eq!(message.method(), Some(&Method::Other("NEWMETHOD".into())));
    assert_eq!(message.verify(), Ok(()));
    let bytes = Draft::reply_to(&message, 501).to_bytes();
    assert!(bytes.starts_with(b"SIP/2.0 501 Not Implemented\r\nVia: "));
    assert_eq!(
        parse(&bytes).cseq().unwrap(),
        CSeq { number: 1, method: Method::Other("NEWMETHOD".into()) }
    );
}

#[test]
fn rfc3261_7_5_line_ends_before_the_start_line() {
    assert!(parse(format!("\r\n\r\n\n{}\r\n", request(""))).is_request());
    for nothing in ["", "\r\n", "\r\n\r\n", "\n"] {
        assert_eq!(fault(nothing), ParseFault::Empty);
    }
    for noise in ["\0\0\0\0", "hello", "hello\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"] {
        let error = Message::parse(Bytes::copy_from_slice(noise.as_bytes())).unwrap_err();
        assert!(error.answerable().is_none(), "{noise:?} has nobody to answer to");
    }
}

#[test]
fn rfc3261_7_1_request_lines() {
    let line = |line: &str| {
        let text = request("\r\n").replacen("OPTIONS sip:bob@example.net SIP/2.0", line, 1);
        Message::parse(Bytes::from(text)).map_err(|error| error.fault)
    };
    assert!(line("OPTIONS sip:bob@example.net sip/2.0").is_ok());
    for (bad, expected) in [
        ("OPTIONS sip:bob@example.net SIP/7.0", ParseFault::Version),
        ("OPTIONS sip:bob@example.net SIP/2.x", ParseFault::StartLine),
        ("OPTIONS sip:bob@example.net", ParseFault::StartLine),
        ("OPTIONS  sip:bob@example.net SIP/2.0", ParseFault::RequestUri),
        ("OPTIONS sip:bob@example.net  SIP/2.0", ParseFault::RequestUri),
        ("OPTIONS sip:bob@example.net SIP/2.0 ", ParseFault::StartLine),
        ("OPTIONS <sip:bob@example.net> SIP/2.0", ParseFault::RequestUri),
        ("OPTIONS sip:bob; lr@example.net SIP/2.0", ParseFault::RequestUri),
        ("OPTI(NS sip:bob@example.net SIP/2.0", ParseFault::StartLine),
    ] {
        assert_eq!(line(bad).unwrap_err(), expected, "{bad}");
    }
    assert_eq!(ParseFault::Version.status(), 505);
}

#[test]
fn rfc3261_7_2_status_lines() {
    let reason = |line: &str| {
        let message = parse(format!("{line}\r\n\r\n"));
        (message.status().unwrap(), message.reason_phrase().to_vec())
    };
    assert_eq!(reason("SIP/2.0 200 OK"), (200, b"OK".to_vec()));
    assert_eq!(reason("SIP/2.0 100 "), (100, vec![]));
    assert_eq!(reason("SIP/2.0 183"), (183, vec![]));
    assert_eq!(reason("SIP/2.0 486 \u{5fd9}  x"), (486, "\u{5fd9}  x".into()));
    for bad in [
        "SIP/2.0 99 x",
        "SIP/2.0 700 x",
        "SIP/2.0 2000 x",
        "SIP/2.0 +20 x",
        "SIP/3.0 200 OK",
        "SIP/2.0  200 OK",
    ] {
        let error = Message::parse(Bytes::from(format!("{bad}\r\n\r\n"))).unwrap_err();
        assert_eq!(error.fault, ParseFault::StartLine);
        assert!(error.answerable().is_none(), "responses are dropped, never answered");
    }
}

#[test]
fn malformed_header_lines_are_refused_and_can_be_answered() {
    for bad in
        ["no colon here\r\n", ": empty name\r\n", "Na me: x\r\n", "Sub\0ject: x\r\n", "X: a\rb\r\n"]
    {
        let error = Message::parse(Bytes::from(request(&format!("{bad}\r\n")))).unwrap_err();
        assert_eq!(error.fault, ParseFault::HeaderLine, "{bad:?}");
        assert_eq!(error.answerable().unwrap().call_id(), Some("1@192.0.2.1"));
    }
    assert_eq!(fault(request("")), ParseFault::Unterminated);
    assert_eq!(fault("OPTIONS sip:h SIP/2.0\r\n folded\r\n\r\n"), ParseFault::HeaderLine);
    let ack = request("bad line\r\n\r\n").replace("OPTIONS", "ACK");
    let error = Message::parse(Bytes::from(ack)).unwrap_err();
    assert!(error.answerable().is_none(), "an ACK is never answered");
}

#[test]
fn limits_are_kept_exactly() {
    let headers = |count: usize| request(&format!("{}\r\n", "X: y\r\n".repeat(count)));
    assert!(Message::parse(Bytes::from(headers(123))).is_ok());
    assert_eq!(fault(headers(124)), ParseFault::TooManyHeaders);
    let long = |length: usize| request(&format!("X: {}\r\n\r\n", "y".repeat(length)));
    assert!(Message::parse(Bytes::from(long(8192))).is_ok());
    assert_eq!(fault(long(8193)), ParseFault::HeaderTooLong);
    let folded = |count: usize| request(&format!("X: y\r\n{}\r\n", " abcde\r\n".repeat(count)));
    assert!(Message::parse(Bytes::from(folded(1000))).is_ok());
    assert_eq!(fault(folded(1100)), ParseFault::HeaderTooLong);
    let whole = |length: usize| {
        let head = request("\r\n");
        format!("{head}{}", "b".repeat(length - head.len()))
    };
    assert!(Message::parse(Bytes::from(whole(65536))).is_ok());
    assert_eq!(fault(whole(65537)), ParseFault::MessageTooLong);
    let uri = |length: usize| {
        let uri = format!("sip:{}@h", "u".repeat(length - 6));
        request("\r\n").replacen("sip:bob@example.net", &uri, 1)
    };
    assert!(Message::parse(Bytes::from(uri(1024))).is_ok());
    assert_eq!(fault(uri(1025)), ParseFault::RequestUriTooLong);
    for (fault, status) in [
        (ParseFault::TooManyHeaders, 513),
        (ParseFault::HeaderTooLong, 513),
        (ParseFault::RequestUriTooLong, 414),
    ] {
        assert_eq!(fault.status(), status);
    }
}

#[test]
fn a9_rfc3261_8_2_verify_tells_what_a_request_lacks() {
    use HeaderName::{CSeq, CallId, Contact, From, MaxForwards, To, Via};
    assert_eq!(parse(request("\r\n")).verify(), Ok(()));
    for (line, name) in
        [("Via", Via), ("From", From), ("To", To), ("Call-ID", CallId), ("CSeq", CSeq)]
    {
        let text = request("\r\n");
        let gone: String =
            text.split_inclusive("\r\n").filter(|l| !l.starts_with(&format!("{line}:"))).collect();
        assert_eq!(parse(gone).verify(), Err(Fault::Header(HeaderError::Missing(name))));
        let doubled = text.replacen(line, &format!("{line}: x\r\n{line}"), 1);
        let expected = match name {
            Via => Fault::Header(HeaderError::Malformed(Via)),
            name => Fault::Repeated(name),
        };
        assert_eq!(parse(doubled).verify(), Err(expected));
    }
    let malformed = |name| Err(Fault::Header(HeaderError::Malformed(name)));
    assert_eq!(parse(request("Max-Forwards: x\r\n\r\n")).verify(), malformed(MaxForwards));
    assert_eq!(parse(request("Contact: sip:a@h?x=y\r\n\r\n")).verify(), malformed(Contact));
    let mismatch = request("\r\n").replace("1 OPTIONS", "1 INVITE");
    assert_eq!(parse(mismatch).verify(), Err(Fault::MethodMismatch));
    let scheme = request("\r\n").replacen("sip:bob@example.net", "nobodyKnows:x", 1);
    let fault = parse(scheme).verify().unwrap_err();
    assert_eq!((fault, fault.status()), (Fault::Scheme, 416));
    let with_headers = request("\r\n").replacen("sip:bob@example.net", "sip:b@h?Route=x", 1);
    assert_eq!(parse(with_headers).verify(), Err(Fault::RequestUri));
    let tel = request("\r\n").replacen("sip:bob@example.net", "tel:+8613800000000", 1);
    assert_eq!(parse(tel).verify(), Ok(()));
    // What nobody needs may be broken (RFC 3261 §8.2).
    let junk = "Date: yesterday\r\nRetry-After: ?\r\nReason: ;;\r\nSession-Expires: x\r\n\r\n";
    assert_eq!(parse(request(junk)).verify(), Ok(()));
}

#[test]
fn numbers_in_headers() {
    let message = parse(request("Max-Forwards: 300\r\nExpires: 99999999999\r\n\r\n"));
    assert_eq!(message.max_forwards(), Ok(Some(255)));
    assert_eq!(message.expires(), Ok(Some(u32::MAX)));
    assert_eq!(parse(request("\r\n")).max_forwards(), Ok(None));
}

#[test]
fn rfc3261_8_2_6_replies_copy_what_must_be_copied() {
    let message = parse(request("v: SIP/2.0/UDP far;branch=z9hG4bK0\r\nTimestamp: 54\r\n\r\n"));
    let mut draft = Draft::reply_to(&message, 100);
    assert!(draft.has("timestamp"));
    draft.tag_to("our");
    let mut via = message.via().unwrap();
    via.stamp("198.51.100.7".parse().unwrap(), 6000);
    draft.set_top_via(&via);
    let reply = parse(draft.to_bytes());
    assert_eq!(reply.to().unwrap().tag(), Some("our"));
    let vias = reply.vias().unwrap();
    assert_eq!(vias[0].received(), Some("198.51.100.7".parse().unwrap()));
    assert_eq!((vias.len(), vias[1].host.as_str()), (2, "far"));
    assert_eq!(reply.header(HeaderName::ContentLength), Some(&b"0"[..]));
    // A tag that is there stays.
    let mut again = Draft::reply_to(&parse(reply_as_request(&reply)), 200);
    again.tag_to("other");
    assert_eq!(parse(again.to_bytes()).to().unwrap().tag(), Some("our"));
}

fn reply_as_request(reply: &Message) -> String {
    let text = String::from_utf8(reply.bytes().to_vec()).unwrap();
    text.replacen("SIP/2.0 100 Trying", "OPTIONS sip:b@h SIP/2.0", 1)
}

#[test]
fn drafts_edit_one_header_and_no_other() {
    let uri: Uri = "sip:b@h".parse().unwrap();
    let mut draft = Draft::request(&Method::Info, &uri)
        .header("X-One", "1")
        .header("X-Two", "2")
        .header("x-one", "3")
        .header("Content-Length", "77");
    draft.set("X-ONE", "9").set("X-Three", "4").remove("X-Two");
    let text = String::from_utf8(draft.to_bytes().to_vec()).unwrap();
    assert_eq!(text, "INFO sip:b@h SIP/2.0\r\nX-One: 9\r\nX-Three: 4\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn no_value_can_add_a_header() {
    let uri: Uri = "sip:b@h".parse().unwrap();
    let draft = Draft::request(&Method::Info, &uri)
        .header("Sub\r\nX: y", "a\r\nInjected: 1\r\n\r\nbody")
        .header(
            "From",
            NameAddr {
                display: Some(b"x\" <sip:evil@h>\r\nY: z".to_vec()),
                uri: uri.clone(),
                params: sip::wire::Params::new(),
            }
            .to_bytes(),
        );
    let message = parse(draft.to_bytes());
    let names: Vec<_> = message.fields().map(|(_, name, _)| name.to_vec()).collect();
    assert_eq!(names, [b"SubXy".to_vec(), b"From".to_vec(), b"Content-Length".to_vec()]);
    let from = message.from().unwrap();
    assert_eq!(from.uri, uri);
    assert_eq!(from.display_text().as_deref(), Some("x\" <sip:evil@h>  Y: z"));
}

#[test]
fn rfc3581_4_stamping_a_via() {
    let mut via = Via::parse(b"SIP/2.0/UDP 10.0.0.1:5060;rport;branch=z9hG4bK1").unwrap();
    assert_eq!(via.rport(), Some(None));
    via.stamp("10.0.0.1".parse().unwrap(), 5060);
    assert_eq!(
        via.to_string(),
        "SIP/2.0/UDP 10.0.0.1:5060;rport=5060;branch=z9hG4bK1;received=10.0.0.1"
    );
    assert_eq!(via.rport(), Some(Some(5060)));
    let mut plain = Via::parse(b"SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1").unwrap();
    plain.stamp("10.0.0.1".parse().unwrap(), 9);
    assert_eq!(plain.to_string(), "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1");
    plain.stamp("192.0.2.3".parse().unwrap(), 9);
    assert_eq!(plain.received(), Some("192.0.2.3".parse().unwrap()));
    assert_eq!(plain.rport(), None);
}
