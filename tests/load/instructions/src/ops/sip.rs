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
static INVITE: &[u8] =
    include_bytes!("../../../../../switch/sip/tests/messages/carriers-invite.sip");

fn over_and_over(meter: &mut Meter, rounds: u64, work: impl Fn(Message)) {
    let bytes = Bytes::from_static(INVITE);
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
                reliable: true,
                timers: None,
                edits: Vec::new(),
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
    let original = String::from_utf8(INVITE.to_vec()).expect("text");
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
