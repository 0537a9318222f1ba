//! Kamailio between the switch and a carrier's subscribers: it stays in the route of every call, UDP on our side and
//! TCP on theirs, and what is said within a call finds its way through the route set from both ends.

use std::path::Path;
use std::time::Duration;

use e2e::country::{self, A, B, KEY, USER, Wish};
use e2e::kamailio::Kamailio;
use e2e::merchant::{Merchant, callback_target, http};
use e2e::pjsua::{Line, Phone};
use e2e::sound::tenths_of;
use e2e::tandem::{Setup, Tandem};
use serde_json::json;

/// The number behind which extension 80000 is.
const DELIVERED: &str = "+861053180002";

struct Edge {
    tandem: Tandem,
    kamailio: Kamailio,
    /// Ports of the subscribers.
    ports: [u16; 2],
}

fn edge(folder: &Path) -> Edge {
    let (port, ports) = (e2e::ports::one(), [e2e::ports::one(), e2e::ports::one()]);
    // The second carrier is not needed: every number goes to the one at the edge.
    let more = format!("\n[[inbound]]\nnumber = \"{DELIVERED}\"\nextension = \"80000\"\n");
    let wish = Wish { more, ..Wish::default() };
    let operator = country::operator(&wish, port, e2e::ports::one()).replace(
        "prefix = \"86139\"\ntrunk = \"carrier-b\"",
        "prefix = \"86139\"\ntrunk = \"carrier-a\"",
    );
    let settings = vec!["sip.reinvite=relay".to_owned()];
    let tandem = Tandem::start(folder, &Setup { settings, operator });
    let kamailio = Kamailio::start(folder, port, tandem.sip.port(), ports);
    Edge { tandem, kamailio, ports }
}

/// A subscriber behind the edge, reached by TCP.
fn subscriber(folder: &Path, user: &str, own_port: u16, tone: u32) -> Phone {
    let line = Line { user, own_port, tone, password: None, transport: "tcp", ..Line::default() };
    Phone::start(folder, &line)
}

fn tenths(phone: Phone, frequency: f32) -> usize {
    let heard = phone.quit();
    tenths_of(&heard.channels[0], heard.rate, frequency)
}

/// A callback whose legs both pass the edge; `who_ends` hangs up.
fn callback_through_the_edge(who_ends: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let edge = edge(folder.path());
    let mut a = subscriber(folder.path(), A, edge.ports[0], 700);
    let mut b = subscriber(folder.path(), B, edge.ports[1], 1100);
    let merchant = Merchant::start();
    let target = callback_target(USER, KEY, "edge", A, B, &merchant.url("/back"));
    let (_, body) = http(edge.tandem.http, "GET", &target, &[], "");
    assert_eq!(body, "result=success&callbackid=edge");
    a.wait_state("CONFIRMED");
    b.wait_state("CONFIRMED");
    edge.tandem.wait_call("bridged");
    std::thread::sleep(Duration::from_millis(1500));
    // Hold goes from B through the edge to us, and from us through the edge to A.
    b.order(&json!({"do": "hold"}));
    b.wait("media", &json!({"media": "local-hold"}));
    a.wait("media", &json!({"media": "remote-hold"}));
    std::thread::sleep(Duration::from_millis(500));
    b.order(&json!({"do": "resume"}));
    b.wait("media", &json!({"media": "active"}));
    a.wait("media", &json!({"media": "active"}));
    std::thread::sleep(Duration::from_millis(1500));
    let (ends, other) = if who_ends == "a" { (&mut a, &mut b) } else { (&mut b, &mut a) };
    ends.order(&json!({"do": "hangup"}));
    ends.wait_state("DISCONNECTED");
    other.wait_state("DISCONNECTED");
    let told = merchant.wait_for("/back", 1).remove(0);
    assert_eq!(told.query("callback_result").as_deref(), Some("success"));
    let log = edge.kamailio.log();
    assert!(!log.contains("lost "), "{log}");
    // One BYE from a subscriber over TCP, one of ours over UDP; our two ACKs, and theirs.
    assert_eq!((edge.kamailio.saw("BYE", "tcp"), edge.kamailio.saw("BYE", "udp")), (1, 1), "{log}");
    assert!(edge.kamailio.saw("ACK", "udp") >= 2, "{log}");
    let of_hold = |by: &str| edge.kamailio.saw("INVITE", by) + edge.kamailio.saw("UPDATE", by);
    assert!(of_hold("tcp") >= 2 && of_hold("udp") >= 2, "{log}");
    assert!(tenths(a, 1100.0) >= 20, "A hears B");
    assert!(tenths(b, 700.0) >= 20, "B hears A");
    edge.tandem.books_in_order();
}

#[test]
fn a7_rfc3261_16_12_a_callback_through_kamailio_is_held_and_ended_by_b() {
    callback_through_the_edge("b");
}

#[test]
fn a7_rfc3261_16_12_a_callback_through_kamailio_is_ended_by_a() {
    callback_through_the_edge("a");
}

/// A call that comes by the edge; the subscriber or the extension hangs up.
fn a_call_comes_through_the_edge(who_ends: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let edge = edge(folder.path());
    let mut outside = subscriber(folder.path(), A, edge.ports[0], 700);
    let line = Line { port: edge.tandem.sip.port(), tone: 1100, ..Line::default() };
    let mut inside = Phone::start(folder.path(), &line);
    let to = format!("sip:{DELIVERED}@127.0.0.1:{};transport=tcp", edge.kamailio.port);
    outside.order(&json!({"do": "call", "to": to}));
    let rings = inside.wait("rings", &json!({}));
    assert!(rings["by"].as_str().is_some_and(|by| by.contains(A)), "{rings}");
    outside.wait("state", &json!({"state": "EARLY", "code": 180}));
    outside.wait_state("CONFIRMED");
    inside.wait_state("CONFIRMED");
    std::thread::sleep(Duration::from_millis(1500));
    inside.order(&json!({"do": "hold"}));
    inside.wait("media", &json!({"media": "local-hold"}));
    outside.wait("media", &json!({"media": "remote-hold"}));
    std::thread::sleep(Duration::from_millis(500));
    inside.order(&json!({"do": "resume"}));
    outside.wait("media", &json!({"media": "active"}));
    std::thread::sleep(Duration::from_millis(1500));
    let by = if who_ends == "outside" { "tcp" } else { "udp" };
    let (ends, other) = match who_ends {
        "outside" => (&mut outside, &mut inside),
        _ => (&mut inside, &mut outside),
    };
    ends.order(&json!({"do": "hangup"}));
    ends.wait_state("DISCONNECTED");
    other.wait_state("DISCONNECTED");
    let log = edge.kamailio.log();
    assert!(!log.contains("lost ") && edge.kamailio.saw("BYE", by) == 1, "{log}");
    assert!(edge.kamailio.saw("ACK", "tcp") >= 1, "{log}");
    // A carrier's subscriber and an extension: each has a dialog with us, and knows nothing of the other's.
    outside.is_hidden_from(&inside);
    inside.is_hidden_from(&outside);
    assert!(tenths(outside, 1100.0) >= 20, "outside hears inside");
    assert!(tenths(inside, 700.0) >= 20, "inside hears outside");
    edge.tandem.books_in_order();
}

#[test]
fn a7_rfc3261_16_12_a_call_from_kamailio_is_held_and_ended_by_the_extension() {
    a_call_comes_through_the_edge("inside");
}

#[test]
fn a7_rfc3261_16_12_a_call_from_kamailio_is_ended_by_the_caller() {
    a_call_comes_through_the_edge("outside");
}
