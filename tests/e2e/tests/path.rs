//! Kamailio in front of the switch, for its phones: they register through it with Path and outbound, calls and
//! messages to them go by the Path, and the far side of a call sees nothing of the other one.

use std::path::Path;
use std::time::Duration;

use e2e::country::{self, PASSWORD, USER, Wish};
use e2e::kamailio::Kamailio;
use e2e::pjsua::{Line, Phone};
use e2e::sound::tenths_of;
use e2e::tandem::{Setup, Tandem};
use e2e::wait;
use serde_json::{Value, json};

struct Edge {
    tandem: Tandem,
    kamailio: Kamailio,
}

/// Extensions 80000 and 80001, and the edge in front of them.
fn edge(folder: &Path) -> Edge {
    let more = format!(
        "\n[[extensions]]\nnumber = \"80001\"\nmerchant = \"{USER}\"\npassword = \"{PASSWORD}\"\n"
    );
    let wish = Wish { more, ..Wish::default() };
    let operator = country::operator(&wish, e2e::ports::one(), e2e::ports::one());
    let settings = vec!["sip.reinvite=relay".to_owned()];
    let tandem = Tandem::start(folder, &Setup { settings, operator });
    let kamailio = Kamailio::for_phones(folder, e2e::ports::one(), tandem.sip.port());
    Edge { tandem, kamailio }
}

impl Edge {
    /// A phone whose only way to the switch is the edge.
    fn phone(&self, folder: &Path, user: &str, tone: u32) -> Phone {
        let (port, own_port) = (self.kamailio.port, e2e::ports::one());
        let line = Line { user, tone, port, own_port, transport: "tcp", ..Line::default() };
        Phone::start(folder, &line)
    }

    fn bindings(&self) -> usize {
        let bindings = self.tandem.admin("GET", "/admin/v1/bindings");
        bindings["items"].as_array().map_or(0, Vec::len)
    }

    /// Requests of a kind that went to a phone by its Path.
    fn by_path(&self, method: &str) -> usize {
        let mark = format!("path {method} by udp ");
        self.kamailio.log().lines().filter(|line| line.contains(&mark)).count()
    }
}

fn calls(number: &str) -> Value {
    json!({"do": "call", "to": format!("sip:{number}@tandem.example")})
}

fn tenths(phone: Phone, frequency: f32) -> usize {
    let heard = phone.quit();
    tenths_of(&heard.channels[0], heard.rate, frequency)
}

#[test]
fn b5_rfc3327_5_3_phones_register_through_kamailio_and_are_rung_by_the_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let edge = edge(folder.path());
    let mut a = edge.phone(folder.path(), "80000", 700);
    let mut b = edge.phone(folder.path(), "80001", 1100);
    assert_eq!(edge.bindings(), 2);
    // RFC 5626 §5.1: the first hop is an edge that keeps the flow, and the phone is told that it holds.
    let granted = b.lines("RX", "Require: ");
    assert!(granted.iter().any(|value| value.contains("outbound")), "{granted:?}");
    let path = b.lines("RX", "Path: ");
    assert!(path.iter().any(|value| value.contains(";ob")), "RFC 3327 §5.3: echoed: {path:?}");
    a.order(&calls("80001"));
    b.wait("rings", &json!({}));
    a.wait("state", &json!({"state": "EARLY", "code": 180}));
    a.wait_state("CONFIRMED");
    b.wait_state("CONFIRMED");
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(edge.by_path("INVITE"), 1, "{}", edge.kamailio.log());
    b.order(&json!({"do": "hold"}));
    b.wait("media", &json!({"media": "local-hold"}));
    a.wait("media", &json!({"media": "remote-hold"}));
    std::thread::sleep(Duration::from_millis(500));
    b.order(&json!({"do": "resume"}));
    a.wait("media", &json!({"media": "active"}));
    std::thread::sleep(Duration::from_millis(1500));
    a.order(&json!({"do": "hangup"}));
    b.wait_state("DISCONNECTED");
    // And back; this time the called one hangs up.
    b.order(&calls("80000"));
    b.wait_state("CONFIRMED");
    a.wait_state("CONFIRMED");
    a.order(&json!({"do": "hangup"}));
    b.wait_state("DISCONNECTED");
    b.order(&json!({"do": "message", "to": "sip:80000@tandem.example", "body": "by the Path"}));
    a.wait("message", &json!({"body": "by the Path"}));
    b.wait("sent", &json!({"code": 200}));
    assert_eq!((edge.by_path("INVITE"), edge.by_path("MESSAGE")), (2, 1));
    let log = edge.kamailio.log();
    assert!(!log.contains("lost "), "{log}");
    // From a phone, and from us by the record route.
    assert!(edge.kamailio.saw("BYE", "tcp") == 2 && edge.kamailio.saw("BYE", "udp") == 2, "{log}");
    assert!(tenths(a, 1100.0) >= 20, "A hears B");
    assert!(tenths(b, 700.0) >= 20, "B hears A");
    // Whoever leaves says so by the same way.
    wait::until("the bindings to go", || (edge.bindings() == 0).then_some(()));
    edge.tandem.books_in_order();
}

/// What one phone learns of the other is who calls: no address, no Via, no Call-ID of the other leg.
#[test]
fn rfc7092_3_2_neither_phone_sees_the_leg_of_the_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let edge = edge(folder.path());
    let mut a = edge.phone(folder.path(), "80000", 700);
    let mut b = edge.phone(folder.path(), "80001", 1100);
    a.order(&calls("80001"));
    a.wait_state("CONFIRMED");
    b.wait_state("CONFIRMED");
    std::thread::sleep(Duration::from_millis(500));
    b.order(&json!({"do": "hangup"}));
    a.wait_state("DISCONNECTED");
    a.is_hidden_from(&b);
    b.is_hidden_from(&a);
    edge.tandem.books_in_order();
}

/// RFC 5626 §5.3.1, §11.5: the edge knows that the phone's connection is gone, and the binding goes with it.
#[test]
fn b5_rfc5626_5_3_a_phone_whose_connection_to_kamailio_is_gone_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let edge = edge(folder.path());
    let mut a = edge.phone(folder.path(), "80000", 700);
    let b = edge.phone(folder.path(), "80001", 1100);
    assert_eq!(edge.bindings(), 2);
    // Killed: it says nothing.
    drop(b);
    assert_eq!(edge.bindings(), 2);
    a.order(&calls("80001"));
    a.wait("state", &json!({"state": "DISCONNECTED", "code": 480}));
    assert_eq!(edge.bindings(), 1, "{}", edge.kamailio.log());
    edge.tandem.books_in_order();
}
