//! What goes on from leg to leg and what does not: 3xx, Diversion and History-Info, Reason, Max-Breadth.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::phones::{DESK, SOFT, bind, invite};
use common::{NUMBER_B, Sim, callback, extension, ms, s, sdp_of};
use facts::{Kind, Number, Outcome};
use sip::endpoint::SessionId;
use sip::wire::{HeaderName, Message, Reason};

const B: &str = "192.0.2.2:5060";
const DID: &str = "sip:+861087654321@198.51.100.1";

/// The latest INVITE of a far end is answered with 302.
fn redirect(sim: &mut Sim, name: &str, contacts: &str) {
    let now = sim.now.mono;
    let far = sim.far(name);
    let session = far.session();
    let headers = vec![("Contact".to_owned(), contacts.as_bytes().to_vec())];
    far.endpoint.reject(now, session, 302, headers);
    sim.drain();
}

fn kind(outcome: Outcome) -> Option<Kind> {
    match outcome {
        Outcome::Failed(failure) => Some(failure.kind),
        Outcome::Completed => None,
    }
}

#[test]
fn rfc3261_8_1_3_4_a_carrier_may_redirect_to_itself_with_the_same_number() {
    let mut sim = Sim::new();
    sim.up_to_b();
    let first = sim.far("b").last("INVITE").clone();
    redirect(&mut sim, "b", &format!("<sip:+{NUMBER_B};rn=+8610000@{B}>;q=0.5"));
    let again = sim.far("b").last("INVITE").clone();
    assert_eq!(sim.far("b").count("INVITE"), 2);
    assert_eq!(again.request_uri(), Some(format!("sip:+{NUMBER_B};rn=+8610000@{B}").as_str()));
    assert_ne!(again.call_id(), first.call_id());
    sim.pick_up("b");
    assert!(sim.engine.live()[0].bridged.is_some());
    sim.hang_up("b");
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn rfc3261_8_1_3_4_nobody_is_led_to_another_number_another_host_or_in_a_circle() {
    let own = format!("<sip:+{NUMBER_B}@{B}>");
    for contacts in [
        format!("<sip:+8619001234567@{B}>"),
        format!("<sip:+{NUMBER_B}@192.0.2.3:5060>"),
        format!("<sip:+{NUMBER_B}@192.0.2.2:5070>"),
        // RFC 3261 §19.1.2: over TLS the port is 5061 where none is written.
        format!("<sips:+{NUMBER_B}@192.0.2.2>"),
        format!("<sip:+{NUMBER_B}@192.0.2.2;transport=tls>"),
        "<sip:80001@tandem.test>".to_owned(),
        "<tel:+8619001234567>".to_owned(),
        own,
    ] {
        let mut sim = Sim::new();
        sim.up_to_b();
        redirect(&mut sim, "b", &contacts);
        let called: usize = ["a", "b", "c"].map(|name| sim.far(name).count("INVITE")).iter().sum();
        assert_eq!(called, 2, "{contacts}: A and B, once each");
        assert_eq!(sim.lost, 0, "{contacts}");
        sim.advance(s(25));
        assert_eq!(kind(sim.record().outcome), Some(Kind::Unreachable), "{contacts}");
        assert_eq!(sim.record().legs[1].sip_final, Some(302));
        sim.assert_clean();
    }
}

#[test]
fn rfc3261_8_1_3_4_five_targets_are_followed_and_no_more() {
    let mut sim = Sim::new();
    sim.up_to_b();
    for round in 0..9 {
        let before = sim.far("b").count("INVITE");
        redirect(&mut sim, "b", &format!("<sip:+{NUMBER_B};rn=+861000{round}@{B}>"));
        assert_eq!(sim.far("b").count("INVITE") > before, round < 5, "{round}");
        if round == 5 {
            break;
        }
    }
    sim.advance(s(25));
    assert_eq!(kind(sim.record().outcome), Some(Kind::Unreachable));
    sim.assert_clean();
}

#[test]
fn rfc3261_8_1_3_4_the_preferred_target_is_rung_first_and_the_others_when_it_fails() {
    let mut sim = Sim::new();
    sim.up_to_b();
    let target = |rn: &str, q: &str| format!("<sip:+{NUMBER_B};rn={rn}@{B}>;q={q}");
    let contacts = [target("+1", "0.2"), target("+2", "0.9"), target("+3", "0.25")].join(", ");
    redirect(&mut sim, "b", &contacts);
    for rn in ["+2", "+3", "+1"] {
        let invite = sim.far("b").last("INVITE").clone();
        assert!(invite.request_uri().is_some_and(|uri| uri.contains(&format!("rn={rn}@"))), "{rn}");
        // 404 would end a leg that nobody had redirected.
        sim.refuse("b", 404, None);
    }
    assert_eq!(sim.far("b").count("INVITE"), 4);
    sim.advance(s(25));
    assert_eq!(kind(sim.record().outcome), Some(Kind::Unallocated));
    assert_eq!(sim.record().legs.len(), 2);
    sim.assert_clean();
}

#[test]
fn rfc3261_8_1_3_4_a_silent_target_is_given_up_for_the_next_one() {
    let mut sim = Sim::new();
    sim.up_to_b();
    let target = |rn: &str, q: &str| format!("<sip:+{NUMBER_B};rn={rn}@{B}>;q={q}");
    let contacts = [target("+1", "0.9"), target("+2", "0.2")].join(", ");
    sim.far("b").muted = true;
    redirect(&mut sim, "b", &contacts);
    sim.far("b").dead = true;
    sim.unmute("b");
    // Behind the last copy of the INVITE, before it is given up.
    sim.advance(ms(7_800));
    sim.far("b").dead = false;
    sim.advance(s(1));
    let invite = sim.far("b").last("INVITE").clone();
    assert!(invite.request_uri().is_some_and(|uri| uri.contains("rn=+2@")));
    sim.pick_up("b");
    assert!(sim.engine.live()[0].bridged.is_some());
    sim.hang_up("b");
    sim.assert_clean();
}

#[test]
fn rfc3261_8_1_3_4_nothing_is_followed_when_the_operator_says_so() {
    let mut sim = Sim::with(|config| config.redirects = 0, |_| {});
    sim.up_to_b();
    redirect(&mut sim, "b", &format!("<sip:+{NUMBER_B};rn=+8610000@{B}>"));
    assert_eq!(sim.far("b").count("INVITE"), 1);
    sim.advance(s(25));
    assert_eq!(kind(sim.record().outcome), Some(Kind::Unreachable));
    sim.assert_clean();
}

fn phones(merchants: [i64; 2]) -> Sim {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            for (user, merchant) in ["80001", "80002"].into_iter().zip(merchants) {
                let mut owner = extension(user, "right");
                owner.merchant.0 = merchant;
                snapshot.extensions.insert(user.into(), owner);
            }
        },
    );
    sim.add("desk", DESK, 170);
    sim.add("soft", SOFT, 171);
    bind(&mut sim, &[("80001", DESK), ("80002", SOFT)]);
    sim
}

fn to_the_desk(sim: &mut Sim) {
    let mut command = callback();
    command.a.number = Number::Internal("80001".into());
    command.a.as_sent = "80001".into();
    sim.place(command);
    assert_eq!(sim.far("desk").count("INVITE"), 1);
}

#[test]
fn rfc3261_8_1_3_4_a_phone_may_redirect_to_a_registered_phone_of_its_merchant_alone() {
    let mut sim = phones([7, 7]);
    to_the_desk(&mut sim);
    redirect(&mut sim, "desk", "<sip:80002@tandem.test>");
    assert_eq!(sim.far("soft").count("INVITE"), 1);
    sim.pick_up_with("soft", &sdp_of("c"));
    sim.pick_up("b");
    assert!(sim.engine.live()[0].bridged.is_some());
    sim.hang_up("b");
    assert_eq!(sim.far("soft").count("BYE"), 1);
    sim.assert_clean();

    for (merchants, contact) in [
        ([7, 8], "<sip:80002@tandem.test>"),
        ([7, 7], "<sip:+8619001234567@tandem.test>"),
        ([7, 7], "<sip:80002@203.0.113.6:40002>"),
        ([7, 7], "<sip:80002@192.0.2.66>"),
    ] {
        let mut sim = phones(merchants);
        to_the_desk(&mut sim);
        redirect(&mut sim, "desk", contact);
        assert_eq!(sim.far("soft").count("INVITE"), 0, "{contact}");
        assert_eq!(sim.lost, 0, "{contact}");
        assert_eq!(kind(sim.record().outcome), Some(Kind::Unreachable), "{contact}");
        sim.assert_clean();
    }
}

// ---- what an inbound call brings along

fn dialled(sim: &mut Sim, headers: &[(&str, &str)]) -> SessionId {
    invite(sim, "a", ("<sip:+8613900001111@192.0.2.1>", DID), None, headers)
}

fn bound() -> Sim {
    Sim::with(
        |_| {},
        |snapshot| {
            let mut owner = extension("80001", "secret");
            owner.bound_phone = Some(NUMBER_B.into());
            snapshot.extensions.insert("80001".into(), owner);
            snapshot.inbound.insert("861087654321".into(), "80001".into());
        },
    )
}

#[test]
fn b18_rfc5806_and_rfc7044_of_a_trunk_go_on_and_other_headers_do_not() {
    let mut sim = bound();
    let diversion = "<sip:+861012345678@192.0.2.1>;reason=unconditional;counter=1";
    let history = "<sip:+861012345678@192.0.2.1>;index=1";
    let asked = [
        ("Diversion", diversion),
        ("History-Info", history),
        ("X-Secret", "1"),
        ("P-Charging-Vector", "icid-value=x"),
    ];
    dialled(&mut sim, &asked);
    let invite = sim.far("b").last("INVITE").clone();
    assert_eq!(invite.header(HeaderName::Diversion), Some(diversion.as_bytes()));
    assert_eq!(invite.header(HeaderName::HistoryInfo), Some(history.as_bytes()));
    assert!(invite.other("X-Secret").is_none() && invite.other("P-Charging-Vector").is_none());
}

fn reasons(message: &Message) -> Vec<(String, Option<u16>)> {
    message.reason().into_iter().map(|reason| (reason.protocol, reason.cause)).collect()
}

#[test]
fn a26_rfc3326_the_cause_of_a_bye_is_passed_on_both_ways() {
    for (from, to) in [("a", "b"), ("b", "a")] {
        let mut sim = Sim::new();
        sim.up_to_bridge();
        let now = sim.now.mono;
        let far = sim.far(from);
        let session = far.session();
        far.endpoint.bye(now, session, Some(Reason::q850(31, "who knows")));
        sim.drain();
        let bye = sim.far(to).last("BYE").clone();
        assert_eq!(reasons(&bye), [("Q.850".to_owned(), Some(31))], "{from} to {to}");
        assert_eq!(bye.reason()[0].text, None, "a text of theirs is not ours to say");
        sim.assert_clean();
    }
    // What is no cause is not passed on.
    let mut sim = Sim::new();
    sim.up_to_bridge();
    let now = sim.now.mono;
    let far = sim.far("a");
    let session = far.session();
    let odd = Reason { protocol: "X".into(), cause: Some(1), text: None };
    far.endpoint.bye(now, session, Some(odd));
    sim.drain();
    assert_eq!(reasons(sim.far("b").last("BYE")), [("Q.850".to_owned(), Some(16))]);
}

#[test]
fn a26_rfc3326_a_cancel_because_somebody_else_answered_says_so_to_the_other_leg() {
    let mut sim = bound();
    let session = dialled(&mut sim, &[]);
    sim.ring("b", 180, None);
    let now = sim.now.mono;
    let why = Reason::sip(200, "Call completed elsewhere");
    sim.far("a").endpoint.cancel(now, session, Some(why.clone()));
    sim.drain();
    assert_eq!(sim.far("b").last("CANCEL").reason(), [why]);
    sim.assert_clean();
}

#[test]
fn a14_rfc5393_5_3_phones_that_ring_at_once_share_the_breadth() {
    let breadth = |message: &Message| message.number(HeaderName::MaxBreadth).unwrap();
    for (given, each) in [(Some("9"), Some(9)), (None, None)] {
        let mut sim = bound();
        let headers: Vec<_> = given.map(|value| ("Max-Breadth", value)).into_iter().collect();
        dialled(&mut sim, &headers);
        assert_eq!(breadth(sim.far("b").last("INVITE")), each);
    }
    for (given, each, rung) in [("9", 4, 2), ("1", 1, 1)] {
        let mut sim = bound();
        sim.add("desk", DESK, 170);
        sim.add("soft", SOFT, 171);
        bind(&mut sim, &[("80001", DESK), ("80001", SOFT)]);
        dialled(&mut sim, &[("Max-Breadth", given)]);
        let heard = |name: &str| sim.fars[name].count("INVITE");
        assert_eq!(heard("desk") + heard("soft"), rung, "{given}");
        for name in ["desk", "soft"].into_iter().filter(|name| heard(name) > 0) {
            assert_eq!(breadth(sim.fars[name].last("INVITE")), Some(each), "{given}");
        }
    }
}
