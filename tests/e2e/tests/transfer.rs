//! What pjsua2 phones do with calls that are up or ring: attended transfer, pick-up, park. The blind transfer is
//! in `pjsua2.rs`.

use std::time::Duration;

use e2e::country::{self, B, PASSWORD, USER, Wish};
use e2e::pjsua::{Line, Phone};
use e2e::sipp::{Behaviour, Sipp};
use e2e::sound::tenths_of;
use e2e::tandem::{Setup, Tandem, listening};
use serde_json::{Value, json};

/// A switch with three extensions, 80000 to 80002, with `settings`, and a carrier at a port.
fn office(folder: &std::path::Path, carrier: u16, settings: Vec<String>) -> Tandem {
    let extension = |number: &str| {
        format!(
            "\n[[extensions]]\nnumber = \"{number}\"\nmerchant = \"{USER}\"\n\
             sub_account = \"shop\"\npassword = \"{PASSWORD}\"\n"
        )
    };
    let wish = Wish { more: extension("80001") + &extension("80002"), ..Wish::default() };
    let operator = country::operator(&wish, e2e::ports::one(), carrier);
    Tandem::start(folder, &Setup { settings, operator })
}

fn phones(folder: &std::path::Path, tandem: &Tandem) -> [Phone; 3] {
    phones_of(folder, &Line { port: tandem.sip.port(), ..Line::default() })
}

/// Three that reach the switch as `line` does.
fn phones_of(folder: &std::path::Path, line: &Line<'_>) -> [Phone; 3] {
    [("80000", 700), ("80001", 1100), ("80002", 1900)]
        .map(|(user, tone)| Phone::start(folder, &Line { user, tone, ..line.clone() }))
}

fn calls(number: &str) -> Value {
    json!({"do": "call", "to": format!("sip:{number}@tandem.example")})
}

fn hang_up() -> Value {
    json!({"do": "hangup"})
}

fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// Tenths of a second for which a phone heard a tone.
fn tenths(phone: Phone, frequency: f32) -> usize {
    let sound = phone.quit();
    tenths_of(&sound.channels[0], sound.rate, frequency)
}

fn consults_and_puts_through(transport: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    // On two media threads, and the carrier's subscriber is paid for all the while.
    let answer = Behaviour::Answer { ring_ms: 100, tone: None, talk_ms: None };
    let mut carrier = Sipp::start(folder.path(), "carrier-b", &answer, 1);
    let (mut settings, port, authority) = listening(folder.path(), transport);
    settings.push("rtp.workers=2".into());
    let tandem = office(folder.path(), carrier.port, settings);
    let port = port.unwrap_or(tandem.sip.port());
    let line = Line { port, transport, authority: authority.as_deref(), ..Line::default() };
    let [mut a, mut b, mut c] = phones_of(folder.path(), &line);
    a.order(&calls("80001"));
    b.wait_state("CONFIRMED");
    let first = a.wait_state("CONFIRMED")["call"].clone();
    a.order(&json!({"do": "hold", "call": first}));
    a.wait("media", &json!({"media": "local-hold"}));
    a.order(&calls("80002"));
    c.wait_state("CONFIRMED");
    let second = a.wait_state("CONFIRMED")["call"].clone();
    pause(500);
    a.order(&json!({"do": "replace", "call": first, "with": second}));
    let told = a.wait("transfer", &json!({"final": true}));
    assert_eq!(told["code"], 200, "{told}");
    for call in [&first, &second] {
        let over = || {
            let is = |told: &Value| told["call"] == *call && told["state"] == "DISCONNECTED";
            a.told("state").iter().any(is).then_some(())
        };
        e2e::wait::until("the phone that asked to be let go", over);
    }
    pause(2500);
    // B has C on the line, and puts a number of the world in its own place: blind, over the link.
    b.order(&json!({"do": "transfer", "to": format!("sip:{B}@tandem.example")}));
    let told = b.wait("transfer", &json!({"final": true}));
    assert_eq!(told["code"], 200, "{told}");
    pause(1500);
    c.order(&hang_up());
    assert!(carrier.finish().success(), "{}", carrier.messages());
    assert!(tenths(c, 1100.0) >= 15, "C hears B");
    assert!(tenths(b, 1900.0) >= 15, "and B hears C");
    drop(a);
    let cdrs = tandem.admin("GET", "/admin/v1/cdrs");
    let legs = cdrs["items"].as_array().expect("CDRs");
    assert_eq!(legs.len(), 5, "{cdrs}");
    tandem.books_in_order();
}

#[test]
fn b6_rfc5589_7_pjsua2_consults_and_puts_the_others_through() {
    consults_and_puts_through("udp");
}

#[test]
fn b6_rfc5589_7_pjsua2_over_tcp_consults_and_puts_the_others_through() {
    consults_and_puts_through("tcp");
}

#[test]
fn b6_rfc5589_7_pjsua2_over_tls_consults_and_puts_the_others_through() {
    consults_and_puts_through("tls");
}

#[test]
fn rfc5359_2_15_pjsua2_parks_a_call_and_another_one_takes_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let tandem = office(folder.path(), e2e::ports::one(), Vec::new());
    let [mut a, mut b, mut c] = phones(folder.path(), &tandem);
    a.order(&calls("80001"));
    a.wait_state("CONFIRMED");
    b.wait_state("CONFIRMED");
    b.order(&json!({"do": "transfer", "to": "sip:*70@tandem.example"}));
    let told = b.wait("transfer", &json!({"final": true}));
    assert_eq!(told["code"], 200, "{told}");
    b.wait_state("DISCONNECTED");
    pause(1000);
    c.order(&calls("*7180001"));
    c.wait_state("CONFIRMED");
    pause(2000);
    c.order(&hang_up());
    a.wait_state("DISCONNECTED");
    assert!(tenths(a, 1900.0) >= 10, "who waited hears who took the call");
    assert!(tenths(c, 700.0) >= 10);
    tandem.books_in_order();
}

#[test]
fn a26_rfc5359_2_16_pjsua2_picks_up_what_rings_elsewhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let tandem = office(folder.path(), e2e::ports::one(), Vec::new());
    let port = tandem.sip.port();
    let slow = json!({"ring_ms": 60_000});
    let line = Line { user: "80001", tone: 1100, port, more: slow, ..Line::default() };
    let mut a = Phone::start(folder.path(), &Line { port, ..Line::default() });
    let mut b = Phone::start(folder.path(), &line);
    let mut c =
        Phone::start(folder.path(), &Line { user: "80002", tone: 1900, port, ..Line::default() });
    a.order(&calls("80001"));
    b.wait("rings", &json!({}));
    a.wait("state", &json!({"state": "EARLY", "code": 180}));
    c.order(&calls("*880001"));
    a.wait_state("CONFIRMED");
    c.wait_state("CONFIRMED");
    b.wait_state("DISCONNECTED");
    let log = b.log();
    let cancel = log.split("CANCEL sip:").nth(1).expect("a CANCEL");
    assert!(cancel.contains("SIP") && cancel.contains("cause=200"), "{cancel}");
    pause(2000);
    a.order(&hang_up());
    c.wait_state("DISCONNECTED");
    assert!(tenths(c, 700.0) >= 10);
    assert!(tenths(a, 1900.0) >= 10);
    tandem.books_in_order();
}
