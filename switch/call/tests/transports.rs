//! Who comes by which way: carriers that prove themselves by certificate, phones by TLS and in browsers,
//! connections that nobody needs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail where it stands")]
#![allow(dead_code, reason = "the common part serves other files as well")]

mod common;

use bytes::Bytes;
use call::Effect;
use common::*;
use facts::Number;
use facts::settings::TrunkOptions;
use sip::endpoint::{Flow, Listener, Transmit, Transport};
use sip::wire::Message;

const SECURE: &str = "198.51.100.1:5061";
const PHONE: &str = "203.0.113.7:50000";

fn sim(set: impl FnOnce(&mut facts::settings::Snapshot)) -> Sim {
    Sim::with(
        |config| {
            let at = addr(SECURE);
            for transport in [Transport::Tls, Transport::Wss] {
                config.sip.listeners.push(Listener { transport, bind: at, advertised: at });
            }
        },
        |snapshot| {
            snapshot.realm = REALM.into();
            snapshot.extensions.insert("80001".into(), extension("80001", "right"));
            set(snapshot);
        },
    )
}

fn over(transport: Transport, from: &str, connection: u64) -> Flow {
    Flow { transport, local: addr(SECURE), remote: addr(from), connection: Some(connection) }
}

/// What the engine sends now.
fn sent(sim: &mut Sim) -> Vec<(Flow, Message)> {
    std::iter::from_fn(|| sim.engine.poll_effect())
        .filter_map(|effect| match effect {
            Effect::Transmit(Transmit { flow, bytes }) => {
                Some((flow, Message::parse(bytes).unwrap()))
            }
            _ => None,
        })
        .collect()
}

fn registers(sim: &mut Sim, flow: Flow, contact: &str) -> Option<u16> {
    let message = |authorization: &str, cseq: u32| {
        let via = flow.transport.as_str();
        Bytes::from(format!(
            "REGISTER sip:{REALM} SIP/2.0\r\nVia: SIP/2.0/{via} df7jal23ls0d.invalid;branch=z9hG4bKr{cseq}\r\n\
             From: <sip:80001@{REALM}>;tag=t\r\nTo: <sip:80001@{REALM}>\r\nCall-ID: reg{}\r\n\
             CSeq: {cseq} REGISTER\r\nMax-Forwards: 70\r\n{authorization}\
             Contact: <{contact}>;+sip.instance=\"<urn:uuid:0>\";reg-id=1\r\nContent-Length: 0\r\n\r\n",
            flow.connection.unwrap()
        ))
    };
    sim.engine.handle_message(sim.now, flow, message("", 1));
    let (_, challenged) = sent(sim).pop()?;
    let (_, challenge) = sip::digest::challenge_of(&challenged, Some(REALM))?;
    let uri = format!("sip:{REALM}");
    let credentials = challenge.answer("80001", "right", "REGISTER", &uri, 1, "cnonce")?;
    let header = format!("Authorization: {credentials}\r\n");
    sim.engine.handle_message(sim.now, flow, message(&header, 2));
    sent(sim).pop()?.1.status()
}

#[test]
fn b11_rfc5922_7_a_carrier_that_has_to_prove_itself_is_known_by_its_certificate() {
    let mut sim = sim(|snapshot| {
        let trunk = snapshot.trunks.values_mut().next().unwrap();
        trunk.options = TrunkOptions {
            tls_peer_name: "Carrier.example".into(),
            mtls: true,
            ..TrunkOptions::default()
        };
        trunk.peers = vec!["0.0.0.0/0".parse().unwrap()];
    });
    let from = |sim: &mut Sim, flow: Flow, n: u32| {
        let via = flow.transport.as_str();
        let text = format!(
            "INVITE sip:+861087654321@198.51.100.1 SIP/2.0\r\n\
             Via: SIP/2.0/{via} 192.0.2.77:5061;branch=z9hG4bKi{n};rport\r\n\
             From: <sip:+8613900001111@192.0.2.77>;tag=f{n}\r\nTo: <sip:+861087654321@198.51.100.1>\r\n\
             Call-ID: {n}\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:c@192.0.2.77>\r\n\
             Content-Length: 0\r\n\r\n"
        );
        sim.engine.handle_message(sim.now, flow, Bytes::from(text));
        sent(sim).iter().filter_map(|(_, message)| message.status()).find(|code| *code >= 200)
    };
    let stranger = "192.0.2.77:40000";
    // 404: it is the carrier, and the number is nobody's; 403: it is nobody we know.
    let flow = |connection| over(Transport::Tls, stranger, connection);
    assert_eq!(from(&mut sim, flow(1), 1), Some(403));
    sim.engine.handle_peer(sim.now, flow(2), vec!["other.example".into()]);
    assert_eq!(from(&mut sim, flow(2), 2), Some(403));
    sim.engine.handle_peer(sim.now, flow(3), vec!["x.example".into(), "carrier.example".into()]);
    assert_eq!(from(&mut sim, flow(3), 3), Some(404));
    assert_eq!(from(&mut sim, flow(4), 4), Some(403), "another connection from there");
    let plain = Flow::udp(addr(US), addr(stranger));
    assert_eq!(from(&mut sim, plain, 5), Some(403), "UDP proves nothing");
    sim.engine.handle_flow_error(sim.now, flow(3));
    assert_eq!(from(&mut sim, flow(3), 6), Some(403), "it ended with the connection");
}

#[test]
fn b5_rfc5626_6_a_phone_that_comes_back_by_another_connection_replaces_its_old_one() {
    let mut sim = sim(|_| {});
    let contact = "sip:u7@df7jal23ls0d.invalid;transport=ws";
    let old = over(Transport::Wss, PHONE, 1);
    let new = over(Transport::Wss, "203.0.113.7:50001", 2);
    assert_eq!(registers(&mut sim, old, contact), Some(200));
    assert_eq!(registers(&mut sim, new, "sip:other@2ab.invalid;transport=ws"), Some(200));
    assert_eq!(sim.engine.counts().bindings, 1, "same instance, same reg-id: one phone");
    sim.engine.handle_flow_error(sim.now, old);
    assert_eq!(sim.engine.counts().bindings, 1, "the old connection carries nothing any more");
    sim.engine.handle_flow_error(sim.now, new);
    assert_eq!(sim.engine.counts().bindings, 0, "B5: gone with its flow");
}

#[test]
fn rfc5626_4_2_an_idle_connection_is_closed_unless_somebody_is_registered_by_it() {
    let mut sim = sim(|_| {});
    let phone = over(Transport::Tls, PHONE, 1);
    assert_eq!(registers(&mut sim, phone, "sip:80001@203.0.113.7:50000;transport=tls"), Some(200));
    sim.engine.handle_idle(sim.now, phone);
    sim.engine.handle_idle(sim.now, over(Transport::Tls, PHONE, 2));
    // Its REGISTER is remembered for a while by its transaction; the connection is not needed for that.
    let closed: Vec<u64> = std::iter::from_fn(|| sim.engine.poll_effect())
        .filter_map(|effect| match effect {
            Effect::CloseFlow(flow) => flow.connection,
            _ => None,
        })
        .collect();
    assert_eq!(closed, [2]);
}

#[test]
fn b10_rfc7118_5_a_phone_in_a_browser_is_rung_by_its_connection() {
    let mut sim = sim(|_| {});
    let browser = over(Transport::Wss, PHONE, 9);
    assert_eq!(registers(&mut sim, browser, "sip:u7@df7jal23ls0d.invalid;transport=ws"), Some(200));
    sim.add("browser", PHONE, 171);
    let mut command = callback();
    command.a.number = Number::Internal("80001".into());
    command.a.as_sent = "80001".into();
    sim.place(command);
    let invite = sim.far("browser").last("INVITE").clone();
    assert_eq!(invite.request_uri(), Some("sip:u7@df7jal23ls0d.invalid;transport=ws"));
    assert_eq!(invite.via().unwrap().transport, "WSS");
    let contact = invite.contact().unwrap().uri;
    assert_eq!((contact.transport(), contact.port), (Some("ws"), Some(5061)));
}

#[test]
fn b11_rfc3261_26_2_2_a_sips_contact_is_rung_by_a_secure_way_or_not_at_all() {
    for (transport, rung) in [(Transport::Tls, 1), (Transport::Tcp, 0)] {
        let mut sim = sim(|_| {});
        let phone = over(transport, PHONE, 1);
        assert_eq!(registers(&mut sim, phone, "sips:80001@203.0.113.7:50000"), Some(200));
        sim.add("phone", PHONE, 171);
        let mut command = callback();
        command.a.number = Number::Internal("80001".into());
        command.a.as_sent = "80001".into();
        sim.place(command);
        assert_eq!(sim.far("phone").count("INVITE"), rung, "{transport:?}");
    }
}

/// RFC 8866 §5.7: a leg's description bears an address of the family that its far end speaks.
#[test]
fn rfc6157_3_each_leg_has_an_address_of_its_own_family() {
    let at = addr(US_V6);
    let carrier = "[2001:db8::2]:5060";
    let mut sim = Sim::with(
        |config| {
            let listener = Listener { transport: Transport::Udp, bind: at, advertised: at };
            config.sip.listeners.push(listener);
        },
        |snapshot| {
            let trunk =
                snapshot.trunks.values_mut().find(|trunk| trunk.target == addr(CARRIER_B).into());
            trunk.unwrap().target = addr(carrier).into();
        },
    );
    sim.add("six", carrier, 171);
    sim.place(callback());
    sim.pick_up("a");
    let [four, six] = ["a", "six"].map(|name| sim.far(name).last("INVITE").clone());
    let text = |message: &Message| String::from_utf8_lossy(message.body()).into_owned();
    assert!(text(&four).contains("c=IN IP4 198.51.100.1\r\n"), "{}", text(&four));
    assert!(text(&six).contains("c=IN IP6 2001:db8::1\r\n"), "{}", text(&six));
    // RFC 3261 §25.1: an IPv6 reference stands in brackets.
    assert_eq!(six.via().unwrap().host.as_str(), "[2001:db8::1]");
    assert_eq!(six.contact().unwrap().uri.host.as_str(), "[2001:db8::1]");
    assert!(six.request_uri().unwrap().ends_with("@[2001:db8::2]:5060"));
}
