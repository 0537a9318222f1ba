//! Who calls, and who may know it: P-Asserted-Identity, P-Preferred-Identity (RFC 3325), Privacy (RFC 3323),
//! and what is private of Diversion and History-Info.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::phones::{DESK, bind, invite, own};
use common::{NUMBER_B, REALM, Sim, extension};
use facts::settings::{Identity, Snapshot};
use facts::{Number, TrunkId};
use sip::endpoint::Event;
use sip::wire::{HeaderName, Message};

const DID: &str = "sip:+861087654321@198.51.100.1";
const ASSERTED: &str = "<sip:+8613900001111@192.0.2.1>";
const NOBODY: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";

/// Extension 80001 with a registered phone, an inbound number, and a number of its own.
fn sim(set: impl FnOnce(&mut Snapshot)) -> Sim {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            let mut owner = extension("80001", "right");
            owner.bound_phone = Some("8613700002222".into());
            snapshot.extensions.insert("80001".into(), owner);
            snapshot.inbound.insert("861087654321".into(), "80001".into());
            set(snapshot);
        },
    );
    sim.add("desk", DESK, 170);
    bind(&mut sim, &[("80001", DESK)]);
    sim
}

fn trunk_b(identity: Identity, untrusted: bool) -> impl FnOnce(&mut Snapshot) {
    move |snapshot| {
        let trunk = snapshot.trunks.get_mut(&TrunkId(2)).unwrap();
        (trunk.options.identity, trunk.options.untrusted) = (identity, untrusted);
    }
}

/// The INVITE that reaches a phone when carrier A calls so.
fn to_the_phone(sim: &mut Sim, from: &str, headers: &[(&str, &str)]) -> Message {
    invite(sim, "a", (from, DID), None, headers);
    sim.far("desk").last("INVITE").clone()
}

/// The INVITE that reaches carrier B when the phone calls out.
fn to_the_carrier(sim: &mut Sim, headers: &[(&str, &str)]) -> Message {
    let to = format!("sip:{NUMBER_B}@{REALM}").replace("8610", "010");
    invite(sim, "desk", (&format!("<sip:80001@{REALM}>"), &to), own("80001"), headers);
    sim.far("b").last("INVITE").clone()
}

fn user(message: &Message, name: HeaderName) -> Option<String> {
    message.name_addr(name).ok()?.uri.user_text()
}

fn from(message: &Message) -> String {
    user(message, HeaderName::From).unwrap()
}

#[test]
fn b4_rfc3325_5_what_a_trunk_asserts_is_believed_unless_it_is_not_trusted() {
    let headers = [("P-Asserted-Identity", ASSERTED)];
    for (untrusted, shown) in [(false, "13900001111"), (true, "13800009999")] {
        let mut sim = sim(|snapshot| {
            snapshot.trunks.get_mut(&TrunkId(1)).unwrap().options.untrusted = untrusted;
        });
        let invite = to_the_phone(&mut sim, "<sip:+8613800009999@192.0.2.1>", &headers);
        assert_eq!(from(&invite), shown);
        assert!(invite.header(HeaderName::PAssertedIdentity).is_none(), "no phone is told more");
    }
}

#[test]
fn b4_rfc3325_7_whoever_wants_privacy_is_nobody_to_a_phone_and_on_record_all_the_same() {
    for wish in ["id", "header;user;critical", "id;critical", "session; ID"] {
        let mut sim = sim(|_| {});
        let headers = [("P-Asserted-Identity", ASSERTED), ("Privacy", wish)];
        let invite = to_the_phone(&mut sim, NOBODY, &headers);
        assert_eq!(from(&invite), "anonymous", "{wish}");
        let text = String::from_utf8_lossy(invite.bytes()).into_owned();
        assert!(!text.contains("13900001111"), "{wish}: nowhere in it: {text}");
        let number = &sim.authorizations[0].command.a.number;
        assert_eq!(*number, Number::E164("8613900001111".into()));
    }
    for wish in ["none", "session"] {
        let mut sim = sim(|_| {});
        let headers = [("P-Asserted-Identity", ASSERTED), ("Privacy", wish)];
        assert_eq!(from(&to_the_phone(&mut sim, NOBODY, &headers)), "13900001111", "{wish}");
    }
}

#[test]
fn b4_rfc3323_4_2_what_is_critical_and_unknown_ends_the_call() {
    let mut sim = sim(|_| {});
    invite(&mut sim, "a", (ASSERTED, DID), None, &[("Privacy", "critical;stealth")]);
    let codes = sim.far("a").events.iter().filter_map(|event| match event {
        Event::Failed { code, .. } => Some(*code),
        _ => None,
    });
    assert_eq!(codes.collect::<Vec<_>>(), [500]);
    assert!(sim.authorizations.is_empty());
    to_the_phone(&mut sim, ASSERTED, &[("Privacy", "stealth")]);
}

#[test]
fn b4_rfc3325_9_a_carrier_is_told_who_calls_as_it_wants_it() {
    let number = Some("+861088889999".to_owned());
    for (identity, asserted, preferred) in [
        (Identity::From, None, None),
        (Identity::Asserted, number.clone(), None),
        (Identity::Preferred, None, number.clone()),
    ] {
        let mut sim = sim(trunk_b(identity, false));
        let invite = to_the_carrier(&mut sim, &[("P-Asserted-Identity", ASSERTED)]);
        assert_eq!(from(&invite), "+861088889999");
        assert_eq!(user(&invite, HeaderName::PAssertedIdentity), asserted);
        assert_eq!(user(&invite, HeaderName::PPreferredIdentity), preferred);
        assert!(invite.header(HeaderName::Privacy).is_none());
    }
}

#[test]
fn b4_rfc3325_7_privacy_is_passed_to_a_carrier_that_keeps_it_and_kept_from_the_others() {
    let number = Some("+861088889999".to_owned());
    for (identity, untrusted, asserted, preferred) in [
        (Identity::From, false, None, None),
        (Identity::Asserted, false, number.clone(), None),
        (Identity::Asserted, true, None, None),
        (Identity::Preferred, false, None, number.clone()),
    ] {
        let mut sim = sim(trunk_b(identity, untrusted));
        let invite = to_the_carrier(&mut sim, &[("Privacy", "id")]);
        assert_eq!(
            invite.header(HeaderName::From).unwrap().split(|b| *b == b';').next(),
            Some(NOBODY.as_bytes())
        );
        assert_eq!(user(&invite, HeaderName::PAssertedIdentity), asserted);
        assert_eq!(user(&invite, HeaderName::PPreferredIdentity), preferred);
        assert_eq!(invite.header(HeaderName::Privacy), Some(b"id".as_slice()));
        let named = String::from_utf8_lossy(invite.bytes()).contains("88889999");
        assert_eq!(named, asserted.is_some() || preferred.is_some());
    }
}

#[test]
fn b4_rfc3325_6_a_phone_may_prefer_one_of_its_own_numbers_and_no_other() {
    for (preferred, shown) in [
        ("<sip:+8613700002222@tandem.test>", "+8613700002222"),
        ("<tel:+8613700002222>", "+8613700002222"),
        ("<sip:+8613900001111@tandem.test>", "+861088889999"),
    ] {
        let mut sim = sim(|_| {});
        let invite = to_the_carrier(&mut sim, &[("P-Preferred-Identity", preferred)]);
        assert_eq!(from(&invite), shown, "{preferred}");
    }
}

#[test]
fn rfc5806_and_rfc7044_10_1_who_diverted_in_private_is_named_to_a_trusted_carrier_alone() {
    let open = "<sip:+861000000001@192.0.2.1>;reason=no-answer;privacy=off";
    let private = "<sip:+861000000002@192.0.2.1>;privacy=full";
    let history = "<sip:+861000000003@192.0.2.1?Privacy=history>;index=1";
    let headers = [("Diversion", open), ("Diversion", private), ("History-Info", history)];
    let lines = |message: &Message| {
        let all = [HeaderName::Diversion, HeaderName::HistoryInfo];
        all.map(|name| message.lines(name).count())
    };
    let mut sim_of_phone = sim(|_| {});
    assert_eq!(lines(&to_the_phone(&mut sim_of_phone, ASSERTED, &headers)), [1, 0]);
    for (identity, untrusted, told) in
        [(Identity::Asserted, false, [2, 1]), (Identity::Asserted, true, [1, 0])]
    {
        let mut sim = sim(|snapshot| {
            trunk_b(identity, untrusted)(snapshot);
            // Nobody is registered there: the call goes to the phone that it is bound to.
            let mut owner = extension("80002", "right");
            owner.bound_phone = Some(NUMBER_B.into());
            snapshot.extensions.insert("80002".into(), owner);
            snapshot.inbound.insert("861087654321".into(), "80002".into());
        });
        invite(&mut sim, "a", (ASSERTED, DID), None, &headers);
        assert_eq!(lines(sim.far("b").last("INVITE")), told, "{untrusted}");
    }
    // A wish for the whole request hides all of it.
    let mut sim = sim(|_| {});
    let headers =
        [("History-Info", "<sip:+861000000003@192.0.2.1>;index=1"), ("Privacy", "history")];
    assert_eq!(lines(&to_the_phone(&mut sim, ASSERTED, &headers)), [0, 0]);
}
