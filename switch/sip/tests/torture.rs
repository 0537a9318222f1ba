//! RFC 4475 and RFC 5118, section by section: for each a message of our own that makes the section's
//! point, what becomes of it, which layer decides, and why.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "torture/case.rs"]
mod case;
#[path = "torture/invalid.rs"]
mod invalid;
#[path = "torture/ipv6.rs"]
mod ipv6;
#[path = "torture/semantic.rs"]
mod semantic;
#[path = "torture/valid.rs"]
mod valid;

use std::collections::BTreeSet;
use std::time::Instant;

use bytes::Bytes;
use case::{Case, Layer, Verdict};
use sip::endpoint::{Endpoint, EndpointConfig, Event, Flow, Listener, Transport};
use sip::wire::stream::{Frame, Framer};
use sip::wire::{Draft, HeaderName, Message, Method};

fn cases() -> Vec<Case> {
    [valid::cases(), invalid::cases(), semantic::cases(), ipv6::cases()]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn f3_every_section_of_both_rfcs_has_its_message() {
    let numbers = |prefix: &str, count: usize| {
        (1..=count).map(move |n| format!("{prefix}.{n}")).collect::<Vec<_>>()
    };
    let mut expected: BTreeSet<String> = BTreeSet::new();
    expected.extend(numbers("4475 3.1.1", 13));
    expected.extend(numbers("4475 3.1.2", 19));
    expected.extend(numbers("4475 3.2", 1));
    expected.extend(numbers("4475 3.3", 15));
    expected.extend(numbers("4475 3.4", 1));
    expected.extend(numbers("5118 4", 10));
    let found: BTreeSet<String> = cases()
        .iter()
        .map(|case| case.section.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(found, expected);
    assert!(cases().iter().all(|case| !case.point.is_empty() && !case.reason.is_empty()));
}

#[test]
fn f3_verdicts_of_the_wire() {
    for case in cases() {
        let name = format!("{}: {}", case.section, case.point);
        let bytes = Bytes::from(case.message.clone());
        let parsed = Message::parse(bytes);
        match (case.verdict, parsed) {
            (Verdict::Refused(Layer::Parse, status), Err(error)) => {
                assert_eq!(error.fault.status(), status, "{name}");
                assert_answer(&name, error.answerable().expect(&name), status);
            }
            (Verdict::Dropped(Layer::Parse), Err(error)) => {
                assert!(error.answerable().is_none(), "{name}");
            }
            (Verdict::Refused(Layer::Verify, status), Ok(message)) => {
                let fault = message.verify().expect_err(&name);
                assert_eq!(fault.status(), status, "{name}: {fault}");
                assert_answer(&name, &message, status);
                (case.check)(&message);
            }
            (Verdict::Dropped(_), Ok(message)) => {
                assert!(!message.is_request(), "{name}");
                (case.check)(&message);
            }
            (
                Verdict::Call | Verdict::Request | Verdict::Refused(Layer::Endpoint, _),
                Ok(message),
            ) => {
                assert_eq!(message.verify(), Ok(()), "{name}");
                (case.check)(&message);
            }
            (verdict, parsed) => panic!("{name}: {verdict:?}, but {parsed:?}"),
        }
    }
}

/// The answer can be written, reads back, and has the request's Vias and whatever else there was.
fn assert_answer(name: &str, request: &Message, status: u16) {
    let mut draft = Draft::reply_to(request, status);
    draft.tag_to("ours");
    let answer = Message::parse(draft.to_bytes()).expect(name);
    assert_eq!(answer.status(), Some(status), "{name}");
    for header in [HeaderName::Via, HeaderName::From, HeaderName::CallId, HeaderName::CSeq] {
        let (ours, theirs): (Vec<_>, Vec<_>) =
            (answer.lines(header).collect(), request.lines(header).collect());
        assert_eq!(ours, theirs, "{name}");
    }
}

/// Over a stream the same messages are cut out whole, but for those whose length is the fault (or
/// missing, or a lie), which cost the connection or wait for bytes that never come.
#[test]
fn a10_torture_messages_on_a_stream() {
    for case in cases() {
        let mut framer = Framer::new();
        framer.push(&case.message);
        let first = framer.next_frame();
        match case.section {
            "4475 3.1.2.3" | "4475 3.3.9" => assert!(first.is_err(), "{}", case.section),
            "4475 3.1.2.2" => assert_eq!(first, Ok(None)),
            _ => {
                let has_length = Message::parse(Bytes::from(case.message.clone()))
                    .map_or_else(|error| error.answerable().cloned(), Some)
                    .is_some_and(|message| message.count(HeaderName::ContentLength) > 0);
                match first {
                    Ok(Some(Frame::Message(bytes))) => assert!(case.message.starts_with(&bytes)),
                    Err(_) => assert!(!has_length, "{}", case.section),
                    other => panic!("{}: {other:?}", case.section),
                }
            }
        }
    }
}

/// What an endpoint does with one datagram: the final status it sends, and what it reports.
fn at_endpoint(bytes: &[u8]) -> (Option<u16>, Option<Verdict>) {
    let local = "192.0.2.200:5060".parse().unwrap();
    let listener = Listener { transport: Transport::Udp, bind: local, advertised: local };
    let mut endpoint = Endpoint::new(EndpointConfig {
        listeners: vec![listener],
        engine: 1,
        seed: [1; 32],
        user_agent: "Tandem".into(),
        methods: vec![Method::Register, Method::Message],
        ..EndpointConfig::default()
    });
    let flow = Flow::udp(local, "192.0.2.99:5062".parse().unwrap());
    endpoint.handle_message(now(), flow, Bytes::copy_from_slice(bytes));
    let mut status = None;
    while let Some(transmit) = endpoint.poll_transmit() {
        let sent = Message::parse(transmit.bytes).unwrap();
        assert_eq!(
            transmit.flow.remote.ip(),
            flow.remote.ip(),
            "answers go back where it came from"
        );
        status = sent.status().filter(|&code| code >= 200).or(status);
    }
    let mut reported = None;
    while let Some(event) = endpoint.poll_event() {
        reported = match event {
            Event::Invite { .. } => Some(Verdict::Call),
            Event::Request { .. } => Some(Verdict::Request),
            other => panic!("{other:?}"),
        };
    }
    (status, reported)
}

#[allow(clippy::disallowed_methods, reason = "an instant has no other origin")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn f3_verdicts_of_the_endpoint() {
    let mut wrong = Vec::new();
    for case in cases() {
        let found = at_endpoint(&case.message);
        let expected = match case.verdict {
            Verdict::Refused(_, status) => (Some(status), None),
            Verdict::Dropped(_) => (None, None),
            reported => (None, Some(reported)),
        };
        if found != expected {
            wrong.push(format!("{} {}: {expected:?}, found {found:?}", case.section, case.point));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The tables in `docs/rfc` are these cases: a row for each, as it stands here.
#[test]
fn the_documented_verdicts_are_these() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rfc");
    let mut cases = cases();
    cases.sort_by_key(|case| {
        let numbers = case.section.split(|c: char| !c.is_ascii_digit());
        numbers.filter_map(|number| number.parse().ok()).collect::<Vec<u32>>()
    });
    for rfc in ["4475", "5118"] {
        let rows: String =
            cases.iter().filter(|case| case.section.starts_with(rfc)).map(row).collect();
        let path = docs.join(format!("{rfc}.md"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(&rows), "{} should hold\n{rows}", path.display());
    }
}

fn row(case: &Case) -> String {
    let section = case.section.split_once(' ').map_or("", |(_, section)| section);
    let verdict = match case.verdict {
        Verdict::Call => "accepted: a call".to_owned(),
        Verdict::Request => "accepted: a request".to_owned(),
        Verdict::Refused(layer, status) => format!("{status}, {}", word(layer)),
        Verdict::Dropped(layer) => format!("dropped, {}", word(layer)),
    };
    format!("| {section} | {} | {verdict} | {} |\n", case.point, case.reason)
}

fn word(layer: Layer) -> &'static str {
    match layer {
        Layer::Parse => "parse",
        Layer::Verify => "verify",
        Layer::Endpoint => "endpoint",
    }
}
