//! What a neighbour that speaks RFC 7339 is told while there is no time for what it sends.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use sip::endpoint::{Endpoint, EndpointConfig, Flow, Listener, Transport};
use sip::wire::Message;

#[test]
#[allow(clippy::disallowed_methods, reason = "an instant has no other origin")]
fn b14_rfc7339_5_2_a_neighbour_hears_how_much_was_too_much_in_the_last_second() {
    let local = "198.51.100.1:5060".parse().unwrap();
    let listener = Listener { transport: Transport::Udp, bind: local, advertised: local };
    let config =
        EndpointConfig { listeners: vec![listener], started_s: 7_000, ..EndpointConfig::default() };
    let mut endpoint = Endpoint::new(config);
    let flow = Flow::udp(local, "192.0.2.1:5060".parse().unwrap());
    let start = Instant::now();
    let invite = |n: u32| {
        Bytes::from(format!(
            "INVITE sip:1@198.51.100.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{n};oc;\
             oc-algo=\"loss\"\r\nMax-Forwards: 70\r\nFrom: <sip:x@192.0.2.1>;tag={n}\r\n\
             To: <sip:1@198.51.100.1>\r\nCall-ID: {n}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:x@192.0.2.1>\r\nContent-Length: 0\r\n\r\n"
        ))
    };
    let said = |endpoint: &mut Endpoint| {
        let mut last = None;
        while let Some(sent) = endpoint.poll_transmit() {
            last = Some(Message::parse(sent.bytes).unwrap());
        }
        let via = last.unwrap().via().unwrap();
        let of = |name: &str| via.params.get(name).unwrap().to_owned();
        (of("oc"), of("oc-seq"))
    };
    for n in 0..3 {
        endpoint.excuse(start, flow, invite(n));
    }
    endpoint.handle_message(start, flow, invite(3));
    assert_eq!(said(&mut endpoint), ("0".to_owned(), "7000.000".to_owned()));
    endpoint.handle_message(start + Duration::from_millis(1_250), flow, invite(4));
    assert_eq!(said(&mut endpoint), ("75".to_owned(), "7001.250".to_owned()), "three of four");
    endpoint.handle_message(start + Duration::from_secs(9), flow, invite(5));
    assert_eq!(said(&mut endpoint), ("0".to_owned(), "7009.000".to_owned()), "it is over");
}
