//! Reading messages, and steps of a transaction.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip::endpoint::{Endpoint, EndpointConfig, Event, Flow, Invite, Listener, Transport};
use sip::wire::{Message, NameAddr, Uri};

use crate::Meter;
use crate::far::Request;

/// As a carrier sends it: 963 octets.
fn carriers_invite() -> Bytes {
    let sdp = "v=0\r\no=- 20518 20518 IN IP4 198.51.100.20\r\ns=-\r\nc=IN IP4 198.51.100.20\r\n\
        t=0 0\r\nm=audio 40376 RTP/AVP 8 0 18 101\r\na=rtpmap:8 PCMA/8000\r\n\
        a=rtpmap:0 PCMU/8000\r\na=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\n\
        a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";
    let head = format!(
        "INVITE sip:+8613800138000@203.0.113.10:5060;user=phone SIP/2.0\r\n\
        Via: SIP/2.0/UDP 198.51.100.20:5060;branch=z9hG4bK-524287-1---9d2c1fbe3f7a1a55;rport\r\n\
        Max-Forwards: 69\r\n\
        Contact: <sip:+861059001234@198.51.100.20:5060>\r\n\
        To: <sip:+8613800138000@203.0.113.10>\r\n\
        From: \"01059001234\" <sip:+861059001234@198.51.100.20>;tag=6a4f3b1e\r\n\
        Call-ID: 81223NWQ4MDc0MzY0ZjQ5N2E1\r\nCSeq: 1 INVITE\r\n\
        Allow: INVITE, ACK, CANCEL, BYE, UPDATE, OPTIONS, INFO\r\n\
        Content-Type: application/sdp\r\nSupported: timer\r\n\
        User-Agent: carrier-sbc/7.4\r\nContent-Length: {}\r\n",
        sdp.len()
    );
    let padding = 963 - head.len() - sdp.len() - "Subject: \r\n\r\n".len();
    Bytes::from(format!("{head}Subject: {}\r\n\r\n{sdp}", "s".repeat(padding)))
}

fn over_and_over(meter: &mut Meter, rounds: u64, work: impl Fn(Message)) {
    let bytes = carriers_invite();
    let once = || work(Message::parse(black_box(bytes.clone())).expect("a message"));
    once();
    meter.start();
    meter.measure(|| (0..rounds).for_each(|_| once()));
}

pub(super) fn parse(meter: &mut Meter, rounds: u64) {
    over_and_over(meter, rounds, |message| {
        black_box(message);
    });
}

pub(super) fn read(meter: &mut Meter, rounds: u64) {
    over_and_over(meter, rounds, |message| {
        let values = (message.via(), message.from(), message.to(), message.cseq());
        assert!(values.0.is_ok() && values.1.is_ok() && values.2.is_ok() && values.3.is_ok());
        let _ = black_box(values);
    });
}

pub(super) fn verify(meter: &mut Meter, rounds: u64) {
    over_and_over(meter, rounds, |message| {
        black_box(&message).verify().expect("a request that may be served");
    });
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

const US: &str = "198.51.100.1:5060";
const THEM: &str = "192.0.2.1:5060";

fn endpoint() -> Endpoint {
    let us = at(US);
    Endpoint::new(EndpointConfig {
        listeners: vec![Listener { transport: Transport::Udp, bind: us, advertised: us }],
        engine: 1,
        seed: [7; 32],
        ..EndpointConfig::default()
    })
}

fn flow() -> Flow {
    Flow::udp(at(US), at(THEM))
}

const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\n\
    t=0 0\r\nm=audio 4000 RTP/AVP 0 8\r\n";

/// Each round is a new transaction: its INVITE leaves unmeasured.
pub(super) fn provisional(meter: &mut Meter, rounds: u64) {
    let name = |uri: &str| NameAddr::new(Uri::parse(uri).expect("a URI"));
    let (mut endpoint, mut now) = (endpoint(), Instant::now());
    for round in 0..rounds + 1 {
        now += Duration::from_millis(10);
        endpoint.invite(
            now,
            Invite {
                uri: Uri::parse("sip:+8613800138000@192.0.2.1").expect("a URI"),
                flow: flow(),
                from: name("sip:+861059001234@198.51.100.1"),
                to: name("sip:+8613800138000@192.0.2.1"),
                contact_user: "tandem".into(),
                headers: Vec::new(),
                sdp: Bytes::from_static(OFFER.as_bytes()),
                credentials: None,
                route: Vec::new(),
                keep_flow: false,
            },
        );
        let invite = endpoint.poll_transmit().expect("an INVITE").bytes;
        let request = Request::read(&invite).expect("a request");
        let mut answer = Vec::new();
        request.answer(&mut answer, "180 Ringing", "t", "Contact: <sip:p@192.0.2.1>\r\n", "");
        let answer = Bytes::from(answer);
        if round == 1 {
            meter.start();
        }
        let event = meter.measure(|| {
            endpoint.handle_message(now, flow(), answer);
            endpoint.poll_event()
        });
        assert!(matches!(event, Some(Event::Progress { .. })), "{event:?}");
    }
}

/// A hundred INVITEs that wait for an answer; each round is a copy of one of them.
pub(super) fn copy(meter: &mut Meter, rounds: u64) {
    const WAITING: usize = 100;
    let (mut endpoint, now) = (endpoint(), Instant::now());
    let original = String::from_utf8(carriers_invite().to_vec()).expect("text");
    let mut invites = Vec::new();
    for no in 0..WAITING {
        let text = original
            .replace("9d2c1fbe3f7a1a55", &format!("{no:016}"))
            .replace("NWQ4MDc0MzY0ZjQ5N2E1", &format!("{no:020}"));
        let bytes = Bytes::from(text);
        endpoint.handle_message(now, flow(), bytes.clone());
        let Some(Event::Invite { session, .. }) = endpoint.poll_event() else {
            unreachable!("an INVITE is announced");
        };
        endpoint.provisional(now, session, 180, None);
        while endpoint.poll_transmit().is_some() {}
        invites.push(bytes);
    }
    meter.start();
    for bytes in invites.iter().cycle().take(usize::try_from(rounds).unwrap_or(usize::MAX)) {
        let again = meter.measure(|| {
            endpoint.handle_message(now, flow(), bytes.clone());
            endpoint.poll_transmit()
        });
        assert!(again.is_some(), "the answer is sent again (RFC 3261 §17.2.1)");
    }
}
