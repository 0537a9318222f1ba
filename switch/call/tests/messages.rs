//! MESSAGE between phones (RFC 3428), and who may ask for anything at all.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "common/asker.rs"]
mod asker;
mod common;

use asker::Asker;
use common::phones::{DESK, SOFT, bind, call_from};
use common::{MERCHANT, Sim, extension, s};
use sip::wire::{HeaderName, Message, Method};

const HOME: &str = "203.0.113.8:40008";
const TEXT: &str = "Content-Type: text/plain;charset=utf-8\n";

/// A desk (80001) that writes to somebody with a soft phone and a phone at home (80002).
fn sim() -> Sim {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            for user in ["80001", "80002", "80003"] {
                snapshot.extensions.insert(user.into(), extension(user, "right"));
            }
            let mut stranger = extension("90001", "right");
            stranger.merchant.0 = MERCHANT.0 + 1;
            snapshot.extensions.insert("90001".into(), stranger);
        },
    );
    sim.add("desk", DESK, 180);
    sim.add("soft", SOFT, 181);
    sim.add("home", HOME, 182);
    bind(&mut sim, &[("80001", DESK), ("80002", SOFT), ("80002", HOME)]);
    sim
}

/// The answers to MESSAGE that a far end has had, challenges aside.
fn answers(sim: &Sim, name: &str) -> Vec<u16> {
    let ours = |message: &&Message| message.cseq().is_ok_and(|cseq| cseq.method == Method::Message);
    let heard = sim.fars[name].heard.iter().filter(ours);
    heard.filter_map(Message::status).filter(|code| *code != 401).collect()
}

#[test]
fn rfc3428_7_a_message_reaches_all_phones_and_the_first_that_takes_it_counts() {
    let mut sim = sim();
    let [mut desk, soft, home] = [("desk", "80001"), ("soft", "80002"), ("home", "80002")]
        .map(|(name, user)| Asker::new(&mut sim, name, user));
    let headers = format!("{TEXT}Expires: 60\nX-Evil: 1\n");
    assert!(desk.ask_proved(&mut sim, ("MESSAGE", "80002"), &headers, "hello").is_none());
    for name in ["soft", "home"] {
        let message = sim.fars[name].last("MESSAGE").clone();
        assert_eq!(message.body(), b"hello");
        assert_eq!(message.header_str(HeaderName::ContentType), Some("text/plain;charset=utf-8"));
        let from = message.from().unwrap();
        assert_eq!(from.uri.to_string(), "sip:80001@tandem.test", "as the password says");
        assert_eq!(message.to().unwrap().uri.to_string(), "sip:80002@tandem.test");
        assert_eq!(message.max_forwards().unwrap(), Some(69));
        assert_eq!(message.header(HeaderName::Expires), Some(b"60".as_slice()));
        assert_eq!(message.other("X-Evil"), None);
        assert!(message.contact().is_err(), "RFC 3428 §9");
    }
    let [at_soft, at_home] = ["soft", "home"].map(|name| sim.fars[name].last("MESSAGE").clone());
    home.reply(&mut sim, &at_home, 486, "");
    assert_eq!(answers(&sim, "desk"), [0; 0]);
    soft.reply(&mut sim, &at_soft, 200, "");
    assert_eq!(answers(&sim, "desk"), [200]);
    sim.assert_clean();
    assert_eq!(answers(&sim, "desk"), [200]);
}

#[test]
fn rfc3428_7_when_no_phone_takes_it_the_best_refusal_goes_back() {
    let mut sim = sim();
    let [mut desk, soft, _home] = [("desk", "80001"), ("soft", "80002"), ("home", "80002")]
        .map(|(name, user)| Asker::new(&mut sim, name, user));
    assert!(desk.ask_proved(&mut sim, ("MESSAGE", "80002"), TEXT, "hello").is_none());
    let at_soft = sim.fars["soft"].last("MESSAGE").clone();
    soft.reply(&mut sim, &at_soft, 415, "");
    assert_eq!(answers(&sim, "desk"), [0; 0], "the other one may take it");
    sim.advance(s(23));
    assert_eq!(answers(&sim, "desk"), [100], "RFC 4320 §4.1");
    sim.advance(s(2));
    assert_eq!(answers(&sim, "desk"), [100, 415], "in time for whoever asks (RFC 4320 §4.2)");
    sim.assert_clean();
}

#[test]
fn rfc3428_what_cannot_be_delivered_is_refused_at_once() {
    let mut sim = sim();
    let mut desk = Asker::new(&mut sim, "desk", "80001");
    let long = "x".repeat(1_301);
    for (target, headers, body, status) in [
        ("80003", "", "hello", 480),
        ("80055", "", "hello", 404),
        ("90001", "", "hello", 403),
        ("80002", "", long.as_str(), 413),
    ] {
        let answer = desk.ask_proved(&mut sim, ("MESSAGE", target), headers, body).unwrap();
        assert_eq!(answer.status(), Some(status), "{target}");
    }
    assert_eq!(sim.fars["soft"].count("MESSAGE"), 0);
    sim.assert_clean();
}

#[test]
fn rfc3428_8_whoever_sends_too_many_is_held_back() {
    let mut sim = sim();
    let [mut desk, _soft, _home] = [("desk", "80001"), ("soft", "80002"), ("home", "80002")]
        .map(|(name, user)| Asker::new(&mut sim, name, user));
    let mut held = None;
    for _ in 0..21 {
        held = desk.ask_proved(&mut sim, ("MESSAGE", "80002"), TEXT, "hello");
    }
    let held = held.unwrap();
    assert_eq!((held.status(), sim.fars["soft"].count("MESSAGE")), (Some(503), 20));
    assert!(held.retry_after().is_some());
    sim.advance(s(10));
    assert!(desk.ask_proved(&mut sim, ("MESSAGE", "80002"), TEXT, "hello").is_none());
}

/// A MESSAGE of the desk in the dialog of its call.
fn message_within(sim: &mut Sim, body: &str) {
    let of_invite =
        |message: &&Message| message.cseq().is_ok_and(|cseq| cseq.method == Method::Invite);
    let heard = sim.fars["desk"].heard.iter().filter(of_invite);
    let ok = heard.rev().find(|message| message.status() == Some(200)).unwrap().clone();
    let text = |name: HeaderName| String::from_utf8(ok.header(name).unwrap().to_vec()).unwrap();
    let message = format!(
        "MESSAGE sip:x@198.51.100.1 SIP/2.0\nVia: SIP/2.0/UDP {DESK};branch=z9hG4bKm{}\n\
         Max-Forwards: 70\nFrom: {}\nTo: {}\nCall-ID: {}\nCSeq: {} MESSAGE\n{TEXT}\
         Content-Length: {}\n\n{body}",
        sim.fars["desk"].heard.len(),
        text(HeaderName::From),
        text(HeaderName::To),
        ok.call_id().unwrap(),
        // Not above those of the requests that its endpoint will send.
        ok.cseq().unwrap().number,
        body.len()
    );
    sim.raw(DESK, &message);
}

#[test]
fn rfc3428_4_a_message_in_a_call_goes_to_the_other_phone() {
    let mut sim = sim();
    call_from(&mut sim, "desk", "80001", "80002");
    sim.pick_up("soft");
    sim.advance(s(2));
    let soft = Asker::new(&mut sim, "soft", "80002");
    message_within(&mut sim, "in the call");
    let message = sim.fars["soft"].last("MESSAGE").clone();
    assert_eq!(message.body(), b"in the call");
    assert_eq!(message.call_id(), sim.fars["soft"].last("INVITE").call_id());
    assert_eq!(sim.fars["home"].count("MESSAGE"), 0, "to the phone that is in the call");
    soft.reply(&mut sim, &message, 200, "");
    assert_eq!(answers(&sim, "desk"), [200]);
    sim.unmute("soft");
    sim.hang_up("desk");
    sim.assert_clean();
}

#[test]
fn rfc3428_4_a_message_in_a_call_with_a_carrier_goes_nowhere() {
    let mut sim = sim();
    call_from(&mut sim, "desk", "80001", "01088880000");
    sim.pick_up("b");
    sim.advance(s(2));
    message_within(&mut sim, "in the call");
    assert_eq!(answers(&sim, "desk"), [405]);
    assert_eq!(sim.fars["b"].count("MESSAGE"), 0);
    sim.hang_up("desk");
    sim.assert_clean();
}

/// Advisory classes 7 and 12: what a stranger asks for is not done, whatever the method, and costs whoever's
/// address it forged no more than twice what it cost the stranger.
#[test]
fn class_7_every_method_of_an_unregistered_source_is_challenged_or_refused() {
    const STRANGER: &str = "203.0.113.66:5060";
    let mut refusals = Vec::new();
    let others = [Method::Other("PING".into())];
    for method in Method::KNOWN.iter().chain(&others) {
        let mut sim = sim();
        sim.add("stranger", STRANGER, 183);
        let mut stranger = Asker::new(&mut sim, "stranger", "80001");
        let headers = "User-Agent: something that is about as long as a phone writes\n\
                       Event: dialog\nRefer-To: <sip:80002@tandem.test>\nExpires: 3600\n\
                       Accept: application/sdp, application/dialog-info+xml\n";
        stranger.ask(&mut sim, (method.as_str(), "80002"), headers, "");
        sim.advance(s(40));
        let heard = &sim.fars["stranger"].heard;
        let out: usize = heard.iter().map(|message| message.bytes().len()).sum();
        let into = 480;
        let codes: Vec<u16> = heard.iter().filter_map(Message::status).collect();
        refusals.push((method.as_str(), codes.clone()));
        assert!(out <= 2 * into + 200, "{method}: {out} bytes for some {into}");
        let granted = codes.iter().any(|code| (200..300).contains(code));
        assert_eq!(granted, *method == Method::Options, "{method}: {codes:?}");
        assert_eq!(sim.lost, 0, "nothing went anywhere else");
        for name in ["desk", "soft", "home"] {
            assert!(sim.fars[name].heard.is_empty(), "{method} reached {name}");
        }
        let counts = sim.engine.counts();
        assert_eq!((counts.calls, counts.subscriptions, counts.messages), (0, 0, 0), "{method}");
        assert_eq!(counts.bindings, 3);
    }
    let of = |name: &str| refusals.iter().find(|(method, _)| *method == name).unwrap().1.clone();
    for (method, code) in [
        ("REGISTER", 401),
        ("SUBSCRIBE", 401),
        ("MESSAGE", 401),
        ("PUBLISH", 405),
        ("NOTIFY", 405),
        ("REFER", 403),
        ("INFO", 481),
        ("PING", 501),
    ] {
        assert_eq!(of(method), [code], "{method}");
    }
    assert_eq!(of("INVITE").last(), Some(&401));
    assert!(of("ACK").is_empty());
}
