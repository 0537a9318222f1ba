//! RFC 4475 §3.1.2: messages whose syntax is wrong.

use sip::wire::{HeaderName, RetryAfter};

use crate::case::{Case, Layer, Verdict, case, nothing};

const SDP: &str =
    "v=0\no=m 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\nm=audio 49217 RTP/AVP 0\n";

/// A request of the usual headers; `lines` are appended, or replace a header of the same name.
fn request(start: &str, method: &str, lines: &str) -> String {
    let usual = format!(
        "Via: SIP/2.0/UDP 192.0.2.15;branch=z9hG4bKkdjuw\n\
         Max-Forwards: 70\n\
         From: <sip:caller@far.example>;tag=93\n\
         To: <sip:user@tandem.example>\n\
         Call-ID: torture.{}@192.0.2.15\n\
         CSeq: 8 {method}\n\
         Contact: <sip:caller@192.0.2.15>\n",
        start.len() * 1000 + lines.len()
    );
    let name = |line: &str| line.split(':').next().unwrap_or("").trim().to_ascii_lowercase();
    let head = lines.split("\n\n").next().unwrap_or("");
    let kept: String = usual
        .split_inclusive('\n')
        .filter(|line| !head.lines().any(|other| name(other) == name(line)))
        .collect();
    let end = if lines.contains("\n\n") { "" } else { "\n" };
    format!("{start}\n{kept}{lines}{end}")
}

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = header_faults();
    cases.extend(start_line_faults());
    cases.extend(address_faults());
    cases
}

fn header_faults() -> Vec<Case> {
    let invite = "INVITE sip:user@tandem.example SIP/2.0";
    let register = "REGISTER sip:tandem.example SIP/2.0";
    vec![
        case(
            "4475 3.1.2.1",
            "separators with nothing between them",
            &request(
                invite,
                "INVITE",
                "CONTACT: \"Joe\" <sip:joe@192.0.2.15>;;;;\nVia: SIP/2.0/UDP 192.0.2.15;;,;,,\n",
            ),
            Verdict::Refused(Layer::Verify, 400),
            "a list element that is only a semicolon is no Via, and the response has no way back \
             through a Via that cannot be read",
            nothing,
        ),
        case(
            "4475 3.1.2.2",
            "Content-Length larger than the datagram",
            &request(
                invite,
                "INVITE",
                &format!("Content-Type: application/sdp\nContent-Length: 9999\n\n{SDP}"),
            ),
            Verdict::Refused(Layer::Parse, 400),
            "RFC 3261 §18.3",
            nothing,
        ),
        case(
            "4475 3.1.2.3",
            "negative Content-Length",
            &request(
                invite,
                "INVITE",
                &format!("Content-Type: application/sdp\nContent-Length: -999\n\n{SDP}"),
            ),
            Verdict::Refused(Layer::Parse, 400),
            "not a number of digits; on a stream the connection is closed",
            nothing,
        ),
        case(
            "4475 3.1.2.4",
            "numbers in a request too large for their header",
            &request(
                register,
                "REGISTER",
                "CSeq: 36893488147419103232 REGISTER\nMax-Forwards: 300\nExpires: 10000000000000000000\n\
                 Contact: <sip:user@host129.far.example>;expires=280297596632815\n",
            ),
            Verdict::Refused(Layer::Verify, 400),
            "CSeq must be below 2^31; the others alone would be capped",
            |message| {
                assert!(message.cseq().is_err());
                assert_eq!(message.max_forwards(), Ok(Some(255)));
                assert_eq!(message.expires(), Ok(Some(u32::MAX)));
                assert_eq!(message.contacts().unwrap()[0].expires(), Some(u32::MAX));
            },
        ),
        case(
            "4475 3.1.2.5",
            "numbers in a response too large for their header",
            "SIP/2.0 503 Service Unavailable\n\
             Via: SIP/2.0/TCP host129.far.example;branch=z9hG4bKzzxdiwo34sw;received=192.0.2.129\n\
             To: <sip:user@tandem.example>\n\
             From: <sip:other@far.example>;tag=2easdjfejw\n\
             CSeq: 9292394834772304023312 OPTIONS\n\
             Call-ID: scalarlg.noase0of0234hn2qofoaf0232aewf2394r\n\
             Retry-After: 949302838503028349304023988\n\
             Warning: 1812 tandem \"In Progress\"\n\
             Content-Length: 0\n\n",
            Verdict::Dropped(Layer::Endpoint),
            "a response whose CSeq cannot be read matches no request; Retry-After alone is capped",
            |message| {
                assert!(message.cseq().is_err());
                let retry = RetryAfter { seconds: u32::MAX, duration: None };
                assert_eq!(message.retry_after(), Some(retry));
            },
        ),
        case(
            "4475 3.1.2.12",
            "a Date that is not in GMT",
            &request(
                invite,
                "INVITE",
                &format!(
                    "Date: Fri, 01 Jan 2027 16:00:00 CST\nContent-Type: application/sdp\nl: {{len}}\n\n{SDP}"
                ),
            ),
            Verdict::Call,
            "RFC 3261 §8.2: a malformed header that no processing needs is ignored",
            |message| assert!(message.header(HeaderName::Date).is_some()),
        ),
    ]
}

fn start_line_faults() -> Vec<Case> {
    let line = |start: &str, method: &str, cseq: &str| {
        request(start, method, &format!("CSeq: 8 {cseq}\n"))
    };
    let parse = |status| Verdict::Refused(Layer::Parse, status);
    vec![
        case(
            "4475 3.1.2.7",
            "Request-URI in angle brackets",
            &line("INVITE <sip:user@tandem.example> SIP/2.0", "INVITE", "INVITE"),
            parse(400),
            "RFC 3261 §7.1 forbids them",
            nothing,
        ),
        case(
            "4475 3.1.2.8",
            "a blank inside the Request-URI",
            &line("INVITE sip:user@tandem.example; lr SIP/2.0", "INVITE", "INVITE"),
            parse(400),
            "RFC 3261 §7.1: no blanks in the URI; guessing where it ends invites smuggling",
            nothing,
        ),
        case(
            "4475 3.1.2.9",
            "several blanks between the parts of the request line",
            &line("INVITE  sip:user@tandem.example  SIP/2.0", "INVITE", "INVITE"),
            parse(400),
            "RFC 3261 §7.1: exactly one",
            nothing,
        ),
        case(
            "4475 3.1.2.10",
            "blanks after the request line",
            &line("OPTIONS sip:user@tandem.example SIP/2.0  ", "OPTIONS", "OPTIONS"),
            parse(400),
            "RFC 3261 §7.1: the line ends with the version",
            nothing,
        ),
        case(
            "4475 3.1.2.11",
            "headers in the Request-URI",
            &line(
                "INVITE sip:user@tandem.example?Route=%3Csip:far.example%3E SIP/2.0",
                "INVITE",
                "INVITE",
            ),
            Verdict::Refused(Layer::Verify, 400),
            "RFC 3261 §19.1.1 table 1: not allowed there, and never to be copied into a request",
            nothing,
        ),
        case(
            "4475 3.1.2.16",
            "a protocol version we do not speak",
            &line("OPTIONS sip:user@tandem.example SIP/7.0", "OPTIONS", "OPTIONS"),
            parse(505),
            "RFC 3261 §21.5.6",
            nothing,
        ),
        case(
            "4475 3.1.2.17",
            "CSeq names another known method",
            &line("OPTIONS sip:user@tandem.example SIP/2.0", "OPTIONS", "INVITE"),
            Verdict::Refused(Layer::Verify, 400),
            "RFC 3261 §8.1.1.5: they must agree",
            nothing,
        ),
        case(
            "4475 3.1.2.18",
            "an unknown method, and CSeq names another",
            &line("NEWMETHOD sip:user@tandem.example SIP/2.0", "NEWMETHOD", "OPTIONS"),
            Verdict::Refused(Layer::Verify, 400),
            "malformed comes before not implemented",
            nothing,
        ),
        case(
            "4475 3.1.2.19",
            "a status code of ten digits",
            "SIP/2.0 4294967301 better not break the receiver\n\
             Via: SIP/2.0/UDP 192.0.2.105;branch=z9hG4bK2398ndaoe\n\
             Call-ID: bigcode.asdof3uj203asdnf3429uasdhfas3ehjasdfas9i\n\
             CSeq: 353494 INVITE\n\
             From: <sip:user@tandem.example>;tag=39ansfi3\n\
             To: <sip:user@far.example>;tag=902jndnke3\n\
             Content-Length: 0\n\n",
            Verdict::Dropped(Layer::Parse),
            "three digits, RFC 3261 §7.2; cut to 32 bits it would be 5",
            nothing,
        ),
    ]
}

fn address_faults() -> Vec<Case> {
    let invite = "INVITE sip:user@tandem.example SIP/2.0";
    let register = "REGISTER sip:tandem.example SIP/2.0";
    let options = "OPTIONS sip:user@tandem.example SIP/2.0";
    vec![
        case(
            "4475 3.1.2.6",
            "a quoted display name without its end",
            &request(invite, "INVITE", "To: \"Mr. J. User <sip:j.user@tandem.example>\n"),
            Verdict::Refused(Layer::Verify, 400),
            "everything after the quote would be name",
            nothing,
        ),
        case(
            "4475 3.1.2.13",
            "a Contact with headers outside angle brackets",
            &request(
                register,
                "REGISTER",
                "Contact: sip:user@far.example?Route=%3Csip:sip.far.example%3E\n",
            ),
            Verdict::Refused(Layer::Verify, 400),
            "RFC 3261 §20: a URI with a question mark must be bracketed",
            nothing,
        ),
        case(
            "4475 3.1.2.14",
            "blanks inside the angle brackets",
            &request(
                options,
                "OPTIONS",
                "To: \"Watson, Thomas\" < sip:t.watson@tandem.example >\n",
            ),
            Verdict::Refused(Layer::Verify, 400),
            "an addr-spec has none",
            nothing,
        ),
        case(
            "4475 3.1.2.15",
            "a comma in a display name without quotes",
            &request(
                options,
                "OPTIONS",
                "From: Bell, Alexander <sip:a.g.bell@far.example>;tag=43\n",
            ),
            Verdict::Refused(Layer::Verify, 400),
            "only tokens may stand there unquoted",
            nothing,
        ),
    ]
}
