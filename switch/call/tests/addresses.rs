//! Advisory class 15: nobody sends us to an address where only we can be, by whatever header field.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use call::Reply;
use common::ladder::registers;
use common::phones::{DESK, call_from};
use common::*;
use facts::settings::Transport;
use facts::{Binding, UnixMillis};
use sip::wire::{HeaderName, Message};

/// Loopback, private, of providers' own networks, link-local, multicast, broadcast, nowhere; and ports that are other
/// services'.
const PLACES: [&str; 14] = [
    "127.0.0.1:5060",
    "10.1.2.3:5060",
    "172.16.0.9:5060",
    "192.168.1.1:5060",
    "100.64.0.1:5060",
    "169.254.169.254:5060",
    "224.0.0.1:5060",
    "255.255.255.255:5060",
    "0.0.0.0:5060",
    "203.0.113.77:22",
    "203.0.113.77:1023",
    "[::1]:5060",
    "[fe80::1]:5060",
    "[::ffff:10.0.0.1]:5060",
];
const DID: &str = "sip:+861087654321@198.51.100.1";

/// Extension 80001, which carriers reach by a number, and its phone, which is not registered yet.
fn sim() -> Sim {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            for user in ["80001", "80002"] {
                snapshot.extensions.insert(user.into(), extension(user, "right"));
            }
            snapshot.inbound.insert("861087654321".into(), "80001".into());
        },
    );
    sim.add("desk", DESK, 170);
    sim.add("home", "203.0.113.9:40010", 171);
    sim
}

fn text(message: &Message, name: HeaderName) -> String {
    String::from_utf8(message.header(name).unwrap().to_vec()).unwrap()
}

#[test]
fn class_15_a_caller_sends_our_answers_and_our_bye_nowhere_but_to_itself() {
    for place in PLACES {
        for (contact, route) in [(place, None), (CARRIER_A, Some(place)), (place, Some(place))] {
            let mut sim = sim();
            registers(
                &mut sim,
                "desk",
                ("80001", "right"),
                &[&format!("<sip:80001@{DESK}>")],
                "600",
            );
            let route =
                route.map(|at| format!("Record-Route: <sip:{at};lr>\n")).unwrap_or_default();
            sim.raw(
                CARRIER_A,
                &format!(
                    "INVITE {DID} SIP/2.0\nVia: SIP/2.0/UDP {CARRIER_A};branch=z9hG4bKct\n{route}\
                     Max-Forwards: 70\nFrom: <sip:+8613900001111@192.0.2.1>;tag=1\nTo: <{DID}>\n\
                     Call-ID: contact\nCSeq: 1 INVITE\nContact: <sip:x@{contact}>\nContent-Length: 0\n\n"
                ),
            );
            sim.pick_up("desk");
            sim.hang_up("desk");
            // Its ACK never comes; without one a BYE waits for 64·T1 (RFC 3261 §15).
            sim.advance(s(40));
            assert_eq!(sim.lost, 0, "{contact} {route}: nothing is sent there");
            assert!(
                sim.fars["a"].count("BYE") > 0,
                "{contact} {route}: it is told by the way it came"
            );
        }
    }
}

#[test]
fn class_15_a_callee_sends_our_ack_and_our_bye_nowhere_but_to_itself() {
    for place in PLACES {
        for (contact, route) in [(place, None), (CARRIER_B, Some(place)), (place, Some(place))] {
            let mut sim = sim();
            registers(
                &mut sim,
                "desk",
                ("80001", "right"),
                &[&format!("<sip:80001@{DESK}>")],
                "600",
            );
            call_from(&mut sim, "desk", "80001", "01088886666");
            let invite = sim.far("b").last("INVITE").clone();
            let [via, from, to, id, cseq] = [
                HeaderName::Via,
                HeaderName::From,
                HeaderName::To,
                HeaderName::CallId,
                HeaderName::CSeq,
            ]
            .map(|name| text(&invite, name));
            let route =
                route.map(|at| format!("Record-Route: <sip:{at};lr>\n")).unwrap_or_default();
            let sdp = sdp_of("b").replace("\r\n", "\n");
            let length = sdp.replace('\n', "\r\n").len();
            sim.raw(
                CARRIER_B,
                &format!(
                    "SIP/2.0 200 OK\nVia: {via}\n{route}From: {from}\nTo: {to};tag=far\nCall-ID: {id}\n\
                     CSeq: {cseq}\nContact: <sip:x@{contact}>\nContent-Type: application/sdp\n\
                     Content-Length: {length}\n\n{sdp}"
                ),
            );
            assert!(sim.fars["b"].count("ACK") > 0, "{contact} {route}");
            sim.hang_up("desk");
            sim.advance(s(3));
            assert!(sim.fars["b"].count("BYE") > 0, "{contact} {route}");
            assert_eq!(sim.lost, 0, "{contact} {route}: nothing is sent there");
        }
    }
}

#[test]
fn class_15_a_registered_contact_or_path_is_rung_by_the_way_it_came() {
    for place in PLACES {
        let mut sim = sim();
        let contact = format!("<sip:80001@{place}>");
        let (code, _) = registers(&mut sim, "desk", ("80001", "right"), &[&contact], "600");
        if code == 200 {
            registers(
                &mut sim,
                "home",
                ("80002", "right"),
                &["<sip:80002@203.0.113.9:40010>"],
                "600",
            );
            call_from(&mut sim, "home", "80002", "80001");
            assert_eq!(sim.fars["desk"].count("INVITE"), 1, "{place}");
        }
        sim.advance(s(3));
        assert_eq!(sim.lost, 0, "{place}: a contact");

        let mut sim = self::sim();
        let by_path = Binding {
            user: "80001".into(),
            key: "k".into(),
            contact: format!("sip:80001@{DESK}"),
            q: 1000,
            expires: sim.now.wall + s(600),
            call_id: "c".into(),
            cseq: 1,
            transport: Transport::Udp,
            local: addr(US),
            remote: addr(DESK),
            path: vec![format!("<sip:{place};lr>")],
            updated: UnixMillis(0),
        };
        sim.reply(Reply::Bindings(vec![by_path]));
        registers(&mut sim, "home", ("80002", "right"), &["<sip:80002@203.0.113.9:40010>"], "600");
        call_from(&mut sim, "home", "80002", "80001");
        sim.advance(s(3));
        assert_eq!(sim.fars["desk"].count("INVITE"), 1, "{place}: by its Path");
        assert_eq!(sim.lost, 0, "{place}: a path");
    }
}
