//! The target that feeds an endpoint: any datagrams, in any order, with time passing between them.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip::endpoint::{
    Answer, Endpoint, EndpointConfig, Event, Flow, Listener, SessionId, Transport,
};
use sip::wire::{Message, Method};

/// Most timers that may fire between two datagrams.
const TIMERS_MAX: usize = 10_000;

/// The bytes are cut at NUL NUL into datagrams. After each, the endpoint is drained: what it sends
/// must be messages, and answers go back where the request came from. In the end, with nothing more
/// coming in and every session ended, nothing may be left.
pub fn endpoint(bytes: &[u8]) {
    let mut now = origin();
    let local = ([192, 0, 2, 200], 5060).into();
    let listener = Listener { transport: Transport::Udp, bind: local, advertised: local };
    let mut endpoint = Endpoint::new(EndpointConfig {
        listeners: vec![listener],
        engine: 1,
        seed: [1; 32],
        methods: vec![Method::Register, Method::Message],
        ..EndpointConfig::default()
    });
    let flow = Flow::udp(local, ([192, 0, 2, 99], 5062).into());
    let mut sessions = Vec::new();
    for datagram in split(bytes) {
        endpoint.handle_message(now, flow, Bytes::copy_from_slice(datagram));
        drain(now, &mut endpoint, &mut sessions);
        now += Duration::from_millis(u64::from(datagram.first().copied().unwrap_or(0)));
        run_to(now, &mut endpoint, &mut sessions);
    }
    for &session in &sessions {
        endpoint.bye(now, session, None);
    }
    drain(now, &mut endpoint, &mut sessions);
    now += Duration::from_secs(400);
    run_to(now, &mut endpoint, &mut sessions);
    assert_eq!(endpoint.poll_timeout(), None, "a timer is left");
    let counts = endpoint.counts();
    assert_eq!(counts.sessions, 0, "{counts:?}");
    assert_eq!(counts.server_transactions + counts.client_transactions, 0, "{counts:?}");
}

fn split(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest?;
        match bytes.windows(2).position(|pair| pair == [0, 0]) {
            Some(at) => {
                rest = Some(&bytes[at + 2..]);
                Some(&bytes[..at])
            }
            None => {
                rest = None;
                Some(bytes)
            }
        }
    })
}

fn run_to(now: Instant, endpoint: &mut Endpoint, sessions: &mut Vec<SessionId>) {
    for _ in 0..TIMERS_MAX {
        match endpoint.poll_timeout() {
            Some((at, _)) if at <= now => {
                endpoint.handle_timeout(at);
                drain(at, endpoint, sessions);
            }
            _ => return,
        }
    }
    panic!("timers do not come to rest");
}

fn drain(now: Instant, endpoint: &mut Endpoint, sessions: &mut Vec<SessionId>) {
    loop {
        while let Some(transmit) = endpoint.poll_transmit() {
            Message::parse(transmit.bytes).expect("what an endpoint sends is a message");
        }
        let Some(event) = endpoint.poll_event() else { return };
        match event {
            Event::Invite { session, .. } => {
                sessions.push(session);
                endpoint.provisional(now, session, 180, None);
            }
            Event::Request { id, .. } => {
                endpoint.respond(now, id, Answer { code: 200, ..Answer::default() });
            }
            Event::Reinvite { session, .. } => endpoint.reject_reinvite(now, session, 488),
            _ => {}
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "an instant has no other origin")]
pub(crate) fn origin() -> Instant {
    Instant::now()
}

/// A datagram that may be STUN, from an address of either family: an answer is well formed, names the
/// transaction and where the question came from, is not much longer than it, and answers no answer.
pub fn stun(bytes: &[u8]) {
    let from = match bytes.last().is_some_and(|byte| byte % 2 == 0) {
        true => SocketAddr::from(([192, 0, 2, 1], 32_853)),
        false => SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 32_853)),
    };
    let Some(answer) = sip::stun::answer(bytes, from) else { return };
    assert_eq!(bytes[..2], [0, 1], "a Binding request");
    assert!(answer.len() <= bytes.len() + sip::stun::LONGER_MAX);
    let length = usize::from(u16::from_be_bytes([answer[2], answer[3]]));
    assert!(length + 20 == answer.len() && length.is_multiple_of(4));
    assert_eq!(answer[4..20], bytes[4..20], "cookie and transaction");
    assert_eq!(sip::stun::answer(&answer, from), None);
    if answer[..2] == [1, 1] {
        let unmixed = |at: usize, of: usize| answer[at] ^ answer[4 + of];
        let port = u16::from_be_bytes([unmixed(26, 0), unmixed(27, 1)]);
        let address: Vec<u8> = (0..answer.len() - 28).map(|of| unmixed(28 + of, of)).collect();
        let wanted = match from.ip() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        assert_eq!((port, address), (from.port(), wanted));
    } else {
        assert_eq!(answer[..2], [1, 0x11]);
        assert_eq!(answer[20..28], [0, 9, 0, 21, 0, 0, 4, 20], "420");
    }
}
