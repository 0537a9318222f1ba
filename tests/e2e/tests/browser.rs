//! JsSIP over WebSockets, without TLS and with it: registers, asks, writes, and is gone. Its calls need WebRTC.

use std::path::Path;

use e2e::browser::Browser;
use e2e::country::{self, PASSWORD, USER, Wish};
use e2e::pjsua::{Line, Phone};
use e2e::tandem::{Setup, Tandem, listening};
use e2e::wait;
use serde_json::json;

const OWN: (&str, &str) = ("80000", PASSWORD);

/// A switch with extensions 80000 and 80001 that listens for browsers, and the address at which.
fn switch(folder: &Path, secure: bool) -> (Tandem, String, Option<std::path::PathBuf>) {
    let more = format!(
        "\n[[extensions]]\nnumber = \"80001\"\nmerchant = \"{USER}\"\npassword = \"{PASSWORD}\"\n"
    );
    let wish = Wish { more, ..Wish::default() };
    let operator = country::operator(&wish, e2e::ports::one(), e2e::ports::one());
    let port = e2e::ports::one();
    let (mut settings, _, authority) = listening(folder, if secure { "tls" } else { "tcp" });
    let (knob, scheme) = if secure { ("sip.wss", "wss") } else { ("sip.ws", "ws") };
    settings.push(format!("{knob}=127.0.0.1:{port}"));
    let tandem = Tandem::start(folder, &Setup { settings, operator });
    (tandem, format!("{scheme}://127.0.0.1:{port}"), authority)
}

fn bindings(tandem: &Tandem) -> usize {
    tandem.admin("GET", "/admin/v1/bindings")["items"].as_array().map_or(0, Vec::len)
}

fn registers_and_asks(secure: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let (tandem, url, authority) = switch(folder.path(), secure);
    let mut phone = Browser::start(folder.path(), &url, OWN, authority.as_deref());
    phone.wait("connected", &json!({}));
    phone.wait("registered", &json!({"code": 200}));
    assert_eq!(bindings(&tandem), 1);
    phone.order(&json!({"do": "options", "to": "sip:tandem.example"}));
    let answer = phone.wait("options", &json!({}));
    let allows = answer["allow"].as_str().is_some_and(|allow| allow.contains("INVITE"));
    assert!(answer["code"] == 200 && allows, "{answer}");
    phone.order(&json!({"do": "unregister"}));
    phone.wait("unregistered", &json!({}));
    assert_eq!(bindings(&tandem), 0);
}

#[test]
fn b10_rfc7118_5_jssip_registers_over_ws_and_asks() {
    registers_and_asks(false);
}

#[test]
fn b10_rfc7118_5_jssip_registers_over_wss_and_asks() {
    registers_and_asks(true);
}

#[test]
fn b10_rfc7118_5_jssip_with_a_wrong_password_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (tandem, url, _) = switch(folder.path(), false);
    let mut phone = Browser::start(folder.path(), &url, ("80000", "wrong"), None);
    let refused = phone.wait("refused", &json!({}));
    assert!(refused["cause"].as_str().is_some_and(|cause| cause.contains("Auth")), "{refused}");
    assert_eq!(bindings(&tandem), 0);
}

/// RFC 7118 §5.2: whoever is reached by its connection alone is gone with it.
#[test]
fn b10_rfc7118_5_jssip_that_closes_its_page_is_gone_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (tandem, url, _) = switch(folder.path(), false);
    let mut phone = Browser::start(folder.path(), &url, OWN, None);
    phone.wait("registered", &json!({"code": 200}));
    assert_eq!(bindings(&tandem), 1);
    drop(phone);
    wait::until("the binding to go", || (bindings(&tandem) == 0).then_some(()));
}

fn says(to: &str, body: &str) -> serde_json::Value {
    json!({"do": "message", "to": format!("sip:{to}@tandem.example"), "body": body})
}

/// From page to page and back; what was sent to a page that is closed is refused.
fn writes_from_page_to_page(secure: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let (tandem, url, authority) = switch(folder.path(), secure);
    let start = |user| Browser::start(folder.path(), &url, (user, PASSWORD), authority.as_deref());
    let (mut a, mut b) = (start("80000"), start("80001"));
    a.wait("registered", &json!({"code": 200}));
    b.wait("registered", &json!({"code": 200}));
    a.order(&says("80001", "from A: \u{4f60}\u{597d}"));
    b.wait("message", &json!({"body": "from A: \u{4f60}\u{597d}", "by": "80000"}));
    a.wait("sent", &json!({"code": 200}));
    b.order(&says("80000", "from B"));
    a.wait("message", &json!({"body": "from B", "by": "80001"}));
    b.wait("sent", &json!({"code": 200}));
    drop(b);
    wait::until("the closed page to go", || (bindings(&tandem) == 1).then_some(()));
    a.order(&says("80001", "too late"));
    a.wait("sent", &json!({"code": 480}));
}

#[test]
fn rfc3428_7_jssip_writes_over_ws_from_page_to_page() {
    writes_from_page_to_page(false);
}

#[test]
fn rfc3428_7_jssip_writes_over_wss_from_page_to_page() {
    writes_from_page_to_page(true);
}

/// RFC 7118 §5.2 and RFC 3428: a page and a phone over UDP write to each other.
#[test]
fn rfc3428_7_jssip_and_pjsua2_write_to_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let (tandem, url, _) = switch(folder.path(), false);
    let mut page = Browser::start(folder.path(), &url, OWN, None);
    page.wait("registered", &json!({"code": 200}));
    let line = Line { user: "80001", port: tandem.sip.port(), ..Line::default() };
    let mut phone = Phone::start(folder.path(), &line);
    page.order(&says("80001", "to the phone"));
    phone.wait("message", &json!({"body": "to the phone"}));
    page.wait("sent", &json!({"code": 200}));
    phone.order(&says("80000", "to the page"));
    page.wait("message", &json!({"body": "to the page", "by": "80001"}));
    phone.wait("sent", &json!({"code": 200}));
}
