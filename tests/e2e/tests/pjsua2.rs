//! pjsua2 as extensions: over each transport they register, call each other both ways, hold, press keys,
//! transfer blind, keep their sessions fresh, write to each other and ask for their mailboxes. What they do
//! with several calls is in `transfer.rs`.

use std::time::Duration;

use e2e::country::{self, PASSWORD, USER, Wish};
use e2e::pjsua::{Line, Phone};
use e2e::sound::{Sound, tenths_of};
use e2e::tandem::{Setup, Tandem, listening};
use serde_json::{Value, json};

/// A switch with three extensions: 80000, 80001, 80002.
fn office(folder: &std::path::Path, settings: Vec<String>) -> Tandem {
    let extension = |number: &str| {
        format!(
            "\n[[extensions]]\nnumber = \"{number}\"\nmerchant = \"{USER}\"\npassword = \"{PASSWORD}\"\n"
        )
    };
    let wish = Wish { more: extension("80001") + &extension("80002"), ..Wish::default() };
    let operator = country::operator(&wish, e2e::ports::one(), e2e::ports::one());
    Tandem::start(folder, &Setup { settings, operator })
}

fn calls(number: &str) -> Value {
    json!({"do": "call", "to": format!("sip:{number}@tandem.example")})
}

fn does(what: &str) -> Value {
    json!({ "do": what })
}

/// Both have the other's sound: their calls are up, and long enough to be heard.
fn talk(one: &mut Phone, other: &mut Phone, for_ms: u64) {
    one.wait_state("CONFIRMED");
    other.wait_state("CONFIRMED");
    std::thread::sleep(Duration::from_millis(for_ms));
}

/// Most of a second or more of one tone, and at the level at which it was sent.
fn heard(what: &Sound, frequency: f32, tenths_min: usize) {
    let samples = &what.channels[0];
    let tenths = tenths_of(samples, what.rate, frequency);
    assert!(tenths >= tenths_min, "{tenths} tenths of {frequency} Hz in {} ms", what.ms());
    let window = (what.rate / 10.0) as usize;
    let mut levels: Vec<f32> = samples
        .chunks_exact(window)
        .map(|w| (w.iter().map(|s| s * s).sum::<f32>() / window as f32).sqrt())
        .filter(|level| *level > 0.02)
        .collect();
    levels.sort_by(f32::total_cmp);
    // A sine of half the full scale, of which the decoder gives each of two channels half the power.
    let middle = levels[levels.len() / 2];
    assert!((0.22..0.28).contains(&middle), "level {middle}");
}

fn call_both_ways(transport: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let (settings, port, authority) = listening(folder.path(), transport);
    let tandem = office(folder.path(), settings);
    let port = port.unwrap_or(tandem.sip.port());
    let line = Line { port, transport, authority: authority.as_deref(), ..Line::default() };
    let mut a = Phone::start(folder.path(), &line);
    let line_b = Line { user: "80001", tone: 1100, ..line };
    let mut b = Phone::start(folder.path(), &line_b);

    a.order(&calls("80001"));
    let rings = b.wait("rings", &json!({}));
    assert!(rings["by"].as_str().is_some_and(|by| by.contains("80000")), "{rings}");
    a.wait("state", &json!({"state": "EARLY", "code": 180}));
    talk(&mut a, &mut b, 1500);
    // Keys as events reach the other phone; keys in INFO are ours to read.
    a.order(&json!({"do": "keys", "digits": "1#", "method": "rfc4733"}));
    for digit in ["1", "#"] {
        b.wait("digit", &json!({"digit": digit, "method": "rfc4733"}));
    }
    a.order(&json!({"do": "keys", "digits": "5", "method": "info"}));
    a.order(&does("hold"));
    a.wait("media", &json!({"media": "local-hold"}));
    // It asks for one codec of the two in our answer, by UPDATE, and cannot ask for both things at once.
    std::thread::sleep(Duration::from_millis(500));
    a.order(&does("resume"));
    a.wait("media", &json!({"media": "active"}));
    std::thread::sleep(Duration::from_millis(1500));
    b.order(&does("hangup"));
    a.wait_state("DISCONNECTED");
    b.wait_state("DISCONNECTED");

    b.order(&calls("80000"));
    talk(&mut b, &mut a, 1500);
    b.order(&does("hold"));
    b.wait("media", &json!({"media": "local-hold"}));
    a.order(&does("hangup"));
    b.wait_state("DISCONNECTED");
    a.wait_state("DISCONNECTED");

    let failed: Vec<Value> = a.told("failed").into_iter().chain(b.told("failed")).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let info = a.log();
    let answered = info.contains("SIP/2.0 200 OK") && info.contains("INFO sip:");
    assert!(answered && !info.contains("SIP/2.0 469") && !info.contains("SIP/2.0 415"), "{info}");
    heard(&a.quit(), 1100.0, 30);
    heard(&b.quit(), 700.0, 30);
    let cdrs = tandem.admin("GET", "/admin/v1/cdrs");
    let legs = cdrs["items"].as_array().expect("CDRs");
    assert_eq!(legs.len(), 4, "{cdrs}");
    assert!(legs.iter().all(|leg| !leg["facts"]["answered"].is_null()), "{cdrs}");
    tandem.books_in_order();
}

#[test]
fn pjsua2_over_udp_calls_both_ways_holds_and_presses_keys() {
    call_both_ways("udp");
}

#[test]
fn pjsua2_over_tcp_calls_both_ways_holds_and_presses_keys() {
    call_both_ways("tcp");
}

#[test]
fn b11_pjsua2_over_tls_calls_both_ways_holds_and_presses_keys() {
    call_both_ways("tls");
}

fn transfers_blind(transport: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let (settings, port, authority) = listening(folder.path(), transport);
    let tandem = office(folder.path(), settings);
    let port = port.unwrap_or(tandem.sip.port());
    let line = Line { port, transport, authority: authority.as_deref(), ..Line::default() };
    let mut a = Phone::start(folder.path(), &line);
    let mut b = Phone::start(folder.path(), &Line { user: "80001", tone: 1100, ..line.clone() });
    let mut c = Phone::start(folder.path(), &Line { user: "80002", tone: 1900, ..line });
    a.order(&calls("80001"));
    talk(&mut a, &mut b, 1000);
    a.order(&json!({"do": "transfer", "to": "sip:80002@tandem.example"}));
    c.wait("rings", &json!({}));
    c.wait_state("CONFIRMED");
    // RFC 3515 §2.4.5: the last sipfrag tells how it went.
    let told = a.wait("transfer", &json!({"final": true}));
    assert_eq!(told["code"], 200, "{told}");
    a.wait_state("DISCONNECTED");
    std::thread::sleep(Duration::from_millis(2000));
    b.order(&does("hangup"));
    c.wait_state("DISCONNECTED");
    heard(&c.quit(), 1100.0, 10);
    let at_b = b.quit();
    let window = |hz: f32| tenths_of(&at_b.channels[0], at_b.rate, hz);
    assert!(window(700.0) >= 5 && window(1900.0) >= 10, "first A, then C");
    tandem.books_in_order();
}

#[test]
fn b6_rfc5589_6_1_pjsua2_transfers_blind_and_is_let_go() {
    transfers_blind("udp");
}

#[test]
fn b6_rfc5589_6_1_pjsua2_over_tcp_transfers_blind_and_is_let_go() {
    transfers_blind("tcp");
}

#[test]
fn b6_rfc5589_6_1_pjsua2_over_tls_transfers_blind_and_is_let_go() {
    transfers_blind("tls");
}

/// RFC 4028 §7.4: the phones ask for the shortest session that there is, and somebody refreshes it at half
/// of that, in both dialogs: that of A over one transport and that of B over another.
fn sessions_live_on(over_a: &str, over_b: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut settings, tls, authority) = listening(folder.path(), "tls");
    settings.push("sip.session_expires=90s".into());
    let tandem = office(folder.path(), settings);
    let line = |transport| Line {
        port: tls.filter(|_| transport == "tls").unwrap_or(tandem.sip.port()),
        transport,
        authority: authority.as_deref(),
        more: json!({"session_expires": 90}),
        ..Line::default()
    };
    let mut a = Phone::start(folder.path(), &line(over_a));
    let mut b = Phone::start(folder.path(), &Line { user: "80001", tone: 1100, ..line(over_b) });
    a.order(&calls("80001"));
    talk(&mut a, &mut b, 47_000);
    for phone in [&a, &b] {
        let log = phone.log();
        let said = |what: &str| log.lines().filter(|line| line.starts_with(what)).count();
        assert!(said("Session-Expires: 90") >= 2, "{log}");
        assert!(said("UPDATE sip:") + said("INVITE sip:") >= 2, "nobody refreshed:\n{log}");
    }
    a.order(&does("hangup"));
    b.wait_state("DISCONNECTED");
    heard(&a.quit(), 1100.0, 400);
    tandem.books_in_order();
}

#[test]
fn b3_rfc4028_7_4_sessions_of_pjsua2_are_refreshed_and_the_call_lives_on() {
    sessions_live_on("udp", "udp");
}

#[test]
fn b3_rfc4028_7_4_sessions_of_pjsua2_over_tcp_and_tls_are_refreshed_and_the_call_lives_on() {
    sessions_live_on("tcp", "tls");
}

/// RFC 4028 §7.3: a session shorter than ours may be is asked for again, longer.
fn asks_for_a_longer_session(transport: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut settings, port, authority) = listening(folder.path(), transport);
    settings.push("sip.min_se=600s".into());
    let tandem = office(folder.path(), settings);
    let more = json!({"session_expires": 90});
    let port = port.unwrap_or(tandem.sip.port());
    let line = Line { port, transport, authority: authority.as_deref(), more, ..Line::default() };
    let mut a = Phone::start(folder.path(), &line);
    let mut b = Phone::start(folder.path(), &Line { user: "80001", tone: 1100, ..line });
    a.order(&calls("80001"));
    talk(&mut a, &mut b, 500);
    let log = a.log();
    assert!(log.contains("SIP/2.0 422") && log.contains("Session-Expires: 600"), "{log}");
    a.order(&does("hangup"));
    b.wait_state("DISCONNECTED");
    tandem.books_in_order();
}

#[test]
fn b3_rfc4028_7_3_pjsua2_hears_422_and_asks_for_a_longer_session() {
    asks_for_a_longer_session("udp");
}

#[test]
fn b3_rfc4028_7_3_pjsua2_over_tcp_hears_422_and_asks_for_a_longer_session() {
    asks_for_a_longer_session("tcp");
}

#[test]
fn b3_rfc4028_7_3_pjsua2_over_tls_hears_422_and_asks_for_a_longer_session() {
    asks_for_a_longer_session("tls");
}

/// One writes to the other and is told that it came, both ways; whoever is gone gets nothing.
fn writes(transport: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let (settings, port, authority) = listening(folder.path(), transport);
    let tandem = office(folder.path(), settings);
    let port = port.unwrap_or(tandem.sip.port());
    let line = Line { port, transport, authority: authority.as_deref(), ..Line::default() };
    let mut a = Phone::start(folder.path(), &line);
    let mut b = Phone::start(folder.path(), &Line { user: "80001", ..line });
    let writes = |to: &str, body: &str| json!({"do": "message", "to": format!("sip:{to}@tandem.example"), "body": body});
    let body = "gr\u{fc}\u{df} dich, \u{4f60}\u{597d}";
    a.order(&writes("80001", body));
    let got = b.wait("message", &json!({ "body": body }));
    assert!(got["by"].as_str().is_some_and(|by| by.contains("80000")), "{got}");
    a.wait("sent", &json!({"code": 200}));
    b.order(&writes("80000", "and you"));
    a.wait("message", &json!({"body": "and you"}));
    b.wait("sent", &json!({"code": 200}));
    let _ = b.quit();
    a.order(&writes("80001", "too late"));
    a.wait("sent", &json!({"code": 480}));
    let delivered = "tandem_sip_messages_total{result=\"delivered\"}";
    e2e::wait::until("the figures", || (tandem.metrics()[delivered] == 2.0).then_some(()));
}

#[test]
fn rfc3428_7_pjsua2_writes_to_another_phone() {
    writes("udp");
}

#[test]
fn rfc3428_7_pjsua2_over_tcp_writes_to_another_phone() {
    writes("tcp");
}

#[test]
fn rfc3428_7_pjsua2_over_tls_writes_to_another_phone() {
    writes("tls");
}

/// The mailbox of whoever asks is empty, and it is told so over each transport.
#[test]
fn b7_rfc3842_pjsua2_subscribes_to_its_mailbox_and_is_told_at_once() {
    for transport in ["udp", "tcp", "tls"] {
        let folder = tempfile::tempdir().expect("a folder");
        let (settings, port, authority) = listening(folder.path(), transport);
        let tandem = office(folder.path(), settings);
        let port = port.unwrap_or(tandem.sip.port());
        let more = json!({"mailbox": true});
        let authority = authority.as_deref();
        let line = Line { port, transport, authority, more, ..Line::default() };
        let mut a = Phone::start(folder.path(), &line);
        let told = a.wait("mwi", &json!({}));
        let body = told["body"].as_str().unwrap_or_default();
        assert!(body.contains("Messages-Waiting: no"), "{transport}: {body}");
        assert!(body.contains("Subscription-State: active"), "{transport}: {body}");
        let figure = "tandem_sip_subscriptions";
        e2e::wait::until("the figures", || (tandem.metrics()[figure] == 1.0).then_some(()));
    }
}
