//! Phones behind proxies (Path, RFC 3327) and phones with several flows (RFC 5626).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "common/asker.rs"]
mod asker;
mod common;

use asker::Asker;
use call::{Command, Reply};
use common::phones::{DESK, SOFT, bind, call_from};
use common::{Sim, extension, s};
use sip::wire::{HeaderName, Message};

const HOME: &str = "203.0.113.8:40008";
const PATH: &str = "Path: <sip:edge.example;lr;ob>, <sip:token@10.0.0.9:5070;lr>\n";

/// A desk (80001), and a phone that calls it (80002).
fn sim() -> Sim {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            for user in ["80001", "80002"] {
                snapshot.extensions.insert(user.into(), extension(user, "right"));
            }
        },
    );
    sim.add("desk", DESK, 200);
    sim.add("soft", SOFT, 201);
    sim.add("home", HOME, 202);
    bind(&mut sim, &[("80002", HOME)]);
    sim
}

fn register(sim: &mut Sim, name: &'static str, parameters: &str, headers: &str) -> Message {
    let mut phone = Asker::new(sim, name, "80001");
    phone.contact += parameters;
    let headers = format!("{headers}Expires: 600\n");
    let answer = phone.ask_proved(sim, ("REGISTER", "80001"), &headers, "").unwrap();
    sim.far(name).muted = false;
    answer
}

fn lines(message: &Message, name: HeaderName) -> Vec<String> {
    message.lines(name).map(|line| String::from_utf8_lossy(line).into_owned()).collect()
}

#[test]
fn b5_rfc3327_5_3_requests_to_a_contact_go_by_its_path() {
    let mut sim = sim();
    let answer = register(&mut sim, "desk", "", &format!("Supported: path\nRequire: path\n{PATH}"));
    assert_eq!(answer.status(), Some(200));
    let whole = ["<sip:edge.example;lr;ob>", "<sip:token@10.0.0.9:5070;lr>"];
    assert_eq!(lines(&answer, HeaderName::Path), whole, "echoed");
    let saved = sim.bindings.values().next().unwrap().clone();
    assert_eq!(saved.path, whole, "kept");

    // The next process takes up what this one wrote.
    let caller = sim.engine.counts().bindings;
    let mut sim = self::sim();
    sim.reply(Reply::Bindings(vec![saved]));
    assert_eq!(sim.engine.counts().bindings, caller);

    call_from(&mut sim, "home", "80002", "80001");
    let invite = sim.fars["desk"].last("INVITE").clone();
    assert_eq!(lines(&invite, HeaderName::Route), whole);
    assert_eq!(invite.request_uri(), Some(format!("sip:80001@{DESK}").as_str()));
    assert_eq!(sim.lost, 0, "what it names is never dialled: it goes by the flow of the REGISTER");
    sim.hang_up("home");
    sim.far("desk").muted = true;
    let mut home = Asker::new(&mut sim, "home", "80002");
    home.ask_proved(&mut sim, ("MESSAGE", "80001"), "", "hello");
    assert_eq!(lines(sim.fars["desk"].last("MESSAGE"), HeaderName::Route), whole);
}

#[test]
fn b5_rfc3327_5_3_a_path_that_cannot_be_used_is_refused() {
    let mut sim = sim();
    let strange = register(&mut sim, "desk", "", PATH);
    assert_eq!(strange.status(), Some(421), "the phone has not heard of Path");
    assert_eq!(lines(&strange, HeaderName::Require), ["path"]);
    let long = format!("Supported: path\nPath: {}\n", ["<sip:p;lr>"; 9].join(", "));
    for headers in [
        "Supported: path\nPath: <sip:strict.example>\n",
        "Supported: path\nPath: <tel:+1;lr>\n",
        "Supported: path\nPath: nonsense\n",
        long.as_str(),
    ] {
        assert_eq!(register(&mut sim, "desk", "", headers).status(), Some(400), "{headers}");
    }
}

#[test]
fn b5_rfc5626_6_outbound_is_granted_to_whoever_says_which_flow_it_is() {
    const PHONE: &str = ";+sip.instance=\"<urn:uuid:0>\";reg-id=1";
    let mut sim = sim();
    let granted = register(&mut sim, "desk", PHONE, "Supported: path, outbound\n");
    assert_eq!(granted.status(), Some(200));
    assert_eq!(lines(&granted, HeaderName::Require), ["outbound"]);
    assert_eq!(granted.other("Flow-Timer"), Some(b"30".as_slice()));
    let plain = register(&mut sim, "desk", PHONE, "");
    assert!(lines(&plain, HeaderName::Require).is_empty() && plain.other("Flow-Timer").is_none());
    let unnamed = register(&mut sim, "soft", ";reg-id=1", "Supported: outbound\n");
    assert!(lines(&unnamed, HeaderName::Require).is_empty(), "no instance, no flows");

    let proxy = "Via: SIP/2.0/UDP 10.0.0.5;branch=z9hG4bKphone\nSupported: path, outbound\n";
    let keeps = register(&mut sim, "desk", PHONE, &format!("{proxy}Path: <sip:e;lr;ob>\n"));
    assert_eq!(lines(&keeps, HeaderName::Require), ["outbound"]);
    for path in ["", "Path: <sip:e;lr>\n", "Path: <sip:f;lr;ob>, <sip:e;lr>\n"] {
        let refused = register(&mut sim, "desk", PHONE, &format!("{proxy}{path}"));
        assert_eq!(refused.status(), Some(439), "nobody keeps the flow: {path}");
    }
}

/// The desk and the soft phone are two flows of one phone; the latter is the fresher one.
fn two_flows() -> Sim {
    let mut sim = sim();
    for (name, reg_id) in [("desk", 1), ("soft", 2)] {
        let phone = format!(";+sip.instance=\"<urn:uuid:0>\";reg-id={reg_id}");
        let answer = register(&mut sim, name, &phone, "Supported: path, outbound\n");
        assert_eq!(answer.status(), Some(200));
        sim.advance(s(1));
    }
    assert_eq!(sim.engine.counts().bindings, 3);
    sim
}

#[test]
fn b5_rfc5626_7_one_flow_of_a_phone_rings_and_430_brings_the_other() {
    let mut sim = two_flows();
    call_from(&mut sim, "home", "80002", "80001");
    assert_eq!([sim.fars["soft"].count("INVITE"), sim.fars["desk"].count("INVITE")], [1, 0]);
    sim.refuse("soft", 430, None);
    assert_eq!(sim.fars["desk"].count("INVITE"), 1);
    assert_eq!(sim.engine.counts().bindings, 2, "the dead flow is nobody's any more");
    sim.pick_up("desk");
    sim.advance(s(3));
    assert!(sim.engine.live()[0].bridged.is_some());
    sim.hang_up("home");
    sim.assert_clean();
    assert_eq!(sim.record().legs.len(), 2, "one leg, whichever flow it took");
}

#[test]
fn b5_rfc5626_7_a_flow_that_is_silent_brings_the_other() {
    let mut sim = two_flows();
    sim.far("soft").dead = true;
    call_from(&mut sim, "home", "80002", "80001");
    sim.advance(s(9));
    assert_eq!(sim.fars["desk"].count("INVITE"), 1);
    sim.ring("desk", 180, None);
    sim.pick_up("desk");
    sim.advance(s(3));
    assert!(sim.engine.live()[0].bridged.is_some());
    sim.far("soft").dead = false;
    sim.hang_up("home");
    sim.assert_clean();
}

#[test]
fn b5_rfc5626_7_a_busy_phone_is_busy_by_every_flow() {
    let mut sim = two_flows();
    call_from(&mut sim, "home", "80002", "80001");
    sim.refuse("soft", 486, None);
    assert_eq!(sim.fars["desk"].count("INVITE"), 0);
    sim.assert_clean();
    sim.command(Command::Bindings { token: 77 });
    assert_eq!(sim.engine.counts().bindings, 3);
}
