//! JsSIP over WebSockets, without TLS and with it: registers, asks, and is gone. Its calls need WebRTC.

use std::path::Path;

use e2e::browser::Browser;
use e2e::country::{self, PASSWORD, Wish};
use e2e::tandem::{Setup, Tandem, listening};
use e2e::wait;
use serde_json::json;

const OWN: (&str, &str) = ("80000", PASSWORD);

/// A switch that listens for browsers, and the address at which.
fn switch(folder: &Path, secure: bool) -> (Tandem, String, Option<std::path::PathBuf>) {
    let operator = country::operator(&Wish::default(), e2e::ports::one(), e2e::ports::one());
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
