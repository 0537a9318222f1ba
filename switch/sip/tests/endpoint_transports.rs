//! TLS and WebSockets as the endpoint sees them: what it writes of itself, and which ways it takes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![allow(dead_code, reason = "the world serves other files as well")]

mod world;

use bytes::Bytes;
use sip::endpoint::{EndpointConfig, Event, Flow, Listener, SessionId, Transport};
use sip::wire::Uri;
use world::*;

/// An endpoint that listens on everything, each on a port of its own.
fn all() -> EndpointConfig {
    let listener = |(transport, port): (Transport, u16)| {
        let bind = (address(A).ip(), port).into();
        Listener { transport, bind, advertised: bind }
    };
    let ports = [5060, 5060, 5061, 8080, 8443];
    let listeners = Transport::ALL.into_iter().zip(ports).map(listener).collect();
    EndpointConfig { listeners, ..config(A, 1) }
}

fn flow(transport: Transport, port: u16, connection: Option<u64>) -> Flow {
    let local = (address(A).ip(), port).into();
    Flow { transport, local, remote: address("10.0.0.2:40000"), connection }
}

fn tls(connection: Option<u64>) -> Flow {
    flow(Transport::Tls, 5061, connection)
}

/// A call that came over this flow and was answered.
fn answered(way: Flow, target: &str, contact: &str) -> (Alone, SessionId) {
    let mut peer = Alone::with(all());
    let via = format!("Via: SIP/2.0/{}", way.transport.as_str());
    let text = request("INVITE", "i1", "", OFFER).replace("Via: SIP/2.0/UDP", &via);
    let (_, rest) = text.split_once(" SIP/2.0\r\n").unwrap();
    let rest: String = rest
        .split_inclusive("\r\n")
        .map(|line| match line.starts_with("Contact:") {
            true => format!("Contact: <{contact}>\r\n"),
            false => line.to_owned(),
        })
        .collect();
    peer.receive_over(way, format!("INVITE {target} SIP/2.0\r\n{rest}"));
    let Some(Event::Invite { session, .. }) = peer.events.first() else { panic!("no call") };
    let session = *session;
    peer.endpoint.accept(peer.now, session, Bytes::from_static(ANSWER.as_bytes()), Vec::new());
    peer.drain();
    (peer, session)
}

fn contact_of(peer: &Alone, what: &str) -> String {
    peer.last(what).contact().unwrap().uri.to_string()
}

#[test]
fn b11_rfc3261_12_1_1_what_we_are_called_by_is_what_our_contact_says() {
    for (way, target, contact) in [
        (tls(Some(1)), "sip:a@10.0.0.1", "sip:a@10.0.0.1:5061;transport=tls"),
        (tls(Some(1)), "sips:a@10.0.0.1", "sips:a@10.0.0.1:5061"),
        (
            flow(Transport::Tcp, 5060, Some(1)),
            "sip:a@10.0.0.1",
            "sip:a@10.0.0.1:5060;transport=tcp",
        ),
        // RFC 7118 §5.2.3: there is one word for both kinds of WebSocket.
        (flow(Transport::Ws, 8080, Some(1)), "sip:a@10.0.0.1", "sip:a@10.0.0.1:8080;transport=ws"),
        (flow(Transport::Wss, 8443, Some(1)), "sip:a@10.0.0.1", "sip:a@10.0.0.1:8443;transport=ws"),
        (
            flow(Transport::Wss, 8443, Some(1)),
            "sips:a@10.0.0.1",
            "sips:a@10.0.0.1:8443;transport=ws",
        ),
        // RFC 5630 §5.1.1.1: no promise of TLS where there is none.
        (udp(), "sips:a@10.0.0.1", "sip:a@10.0.0.1:5060"),
    ] {
        let (peer, _) = answered(way, target, "sip:bob@10.0.0.2:40000");
        assert_eq!(contact_of(&peer, "200 INVITE"), contact, "{:?} {target}", way.transport);
        assert_eq!(peer.sent("200 INVITE")[0].1, way, "§18.2.2");
    }
}

#[test]
fn b11_rfc3261_8_1_1_8_a_call_to_sips_over_tls_bears_a_sips_contact() {
    for (uri, contact) in [
        ("sip:bob@10.0.0.2;transport=tls", "sip:alice@10.0.0.1:5061;transport=tls"),
        ("sips:bob@10.0.0.2", "sips:alice@10.0.0.1:5061"),
    ] {
        let mut peer = Alone::with(all());
        let mut wish = invite(tls(None));
        wish.uri = Uri::parse(uri).unwrap();
        peer.call_with(wish);
        assert_eq!(contact_of(&peer, "INVITE"), contact);
        let (_, way, invite) = peer.sent("INVITE").remove(0);
        assert_eq!((way, invite.via().unwrap().transport.as_str()), (tls(None), "TLS"));
        assert_eq!(invite.via().unwrap().port, Some(5061));
        peer.run_to(31_000);
        assert_eq!(peer.times("INVITE"), [0], "A1: TLS resends by itself");
        let ok = answer(&invite, 200, "b", "Contact: <sip:b@10.0.0.2:40000>\r\n", ANSWER);
        peer.receive_over(tls(Some(7)), ok);
        assert_eq!(peer.sent("ACK")[0].1, tls(Some(7)), "the connection that the answer came by");
    }
}

#[test]
fn b11_rfc3261_26_2_2_a_dialog_whose_target_becomes_sips_goes_on_by_tls() {
    let (mut peer, session) = answered(udp(), "sip:a@10.0.0.1", "sips:bob@10.0.0.44");
    peer.endpoint.bye(peer.now, session, None);
    peer.receive(within(&peer.last("200 INVITE"), "ACK", 1, "a1", ""));
    let (_, way, bye) = peer.sent("BYE").pop().unwrap();
    let to = address("10.0.0.44:5061");
    assert_eq!(way, Flow { remote: to, ..tls(None) });
    assert_eq!(bye.via().unwrap().transport, "TLS");
    assert_eq!(bye.request_uri(), Some("sips:bob@10.0.0.44"));
}

#[test]
fn b10_rfc7118_5_a_browser_is_reached_by_its_connection_and_by_nothing_else() {
    let way = flow(Transport::Wss, 8443, Some(3));
    for contact in
        ["sip:u7@df7jal23ls0d.invalid;transport=ws", "sip:u7@10.0.0.2:40000;transport=ws"]
    {
        let (mut peer, session) = answered(way, "sip:a@10.0.0.1", contact);
        peer.receive_over(way, within(&peer.last("200 INVITE"), "ACK", 1, "a1", ""));
        peer.endpoint.bye(peer.now, session, None);
        peer.drain();
        let (_, by, bye) = peer.sent("BYE").pop().unwrap();
        assert_eq!((by, bye.via().unwrap().transport.as_str()), (way, "WSS"));
        assert_eq!(bye.request_uri(), Some(contact));
        let before = peer.sent.len();
        peer.endpoint.handle_flow_error(peer.now, way);
        peer.drain();
        assert_eq!(peer.sent.len(), before, "nobody can be connected to");
        peer.assert_empty_after(40_000);
    }
}

#[test]
fn rfc5626_4_2_a_connection_is_needed_as_long_as_a_dialog_lives_on_it() {
    let way = tls(Some(5));
    let (mut peer, session) = answered(way, "sip:a@10.0.0.1", "sip:bob@10.0.0.2:40000");
    assert!(peer.endpoint.uses(&way));
    assert!(!peer.endpoint.uses(&tls(Some(6))) && !peer.endpoint.uses(&tls(None)));
    peer.receive_over(way, within(&peer.last("200 INVITE"), "ACK", 1, "a1", ""));
    peer.run_to(60_000);
    assert!(peer.endpoint.uses(&way), "a call under way says nothing for long");
    peer.endpoint.bye(peer.now, session, None);
    peer.drain();
    let bye = peer.last("BYE");
    peer.receive_over(way, answer(&bye, 200, "", "", ""));
    peer.assert_empty_after(40_000);
    assert!(!peer.endpoint.uses(&way));
}
