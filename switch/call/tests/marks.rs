//! Carriers by their marks and their manners: who is who at one address, what goes on from leg to leg, ringing
//! and sound before the answer; and what nobody gets in by.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::phones::{DESK, bind, call_from, invite, own};
use common::*;
use facts::manners::{KnownBy, Reinvite};
use facts::settings::{Snapshot, Trunk, TrunkCredentials, TrunkOptions};
use facts::{LegNo, Number, TrunkId};
use sip::endpoint::{Credentials, Event};
use sip::wire::{HeaderName, Message};

const DID: &str = "sip:+861087654321@198.51.100.1";
const CALLER: &str = "<sip:+8613900001111@192.0.2.1>";

/// Extension 80001 with a phone, and a number that carriers call.
fn sim(set: impl FnOnce(&mut Snapshot)) -> Sim {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            snapshot.extensions.insert("80001".into(), extension("80001", "right"));
            snapshot.inbound.insert("861087654321".into(), "80001".into());
            set(snapshot);
        },
    );
    sim.add("desk", DESK, 170);
    bind(&mut sim, &[("80001", DESK)]);
    sim
}

fn options(snapshot: &mut Snapshot, id: i64) -> &mut TrunkOptions {
    &mut snapshot.trunks.get_mut(&TrunkId(id)).unwrap().options
}

/// How calls of a far end failed.
fn refusals(sim: &mut Sim, name: &str) -> Vec<u16> {
    let events = sim.far(name).events.iter();
    let codes = events.filter_map(|event| match event {
        Event::Failed { code, .. } => Some(*code),
        _ => None,
    });
    codes.collect()
}

/// More trunks at the address of the first.
fn also_there(snapshot: &mut Snapshot, id: i64, known: KnownBy) {
    let mut more: Trunk = trunk(&format!("more{id}"), CARRIER_A);
    more.options.known_by = Some(known);
    snapshot.trunks.insert(TrunkId(id), more);
}

/// Name of the trunk that a call of carrier A is taken for.
fn taken_for(sim: &mut Sim, from: &str, to: &str, headers: &[(&str, &str)]) -> String {
    sim.settled.clear();
    let session = invite(sim, "a", (from, to), None, headers);
    let now = sim.now.mono;
    sim.far("a").endpoint.bye(now, session, None);
    sim.drain();
    sim.settled.first().map(|facts| facts.legs[0].trunk.clone()).unwrap_or_default()
}

#[test]
fn class_11_carriers_at_one_address_are_told_apart_by_what_their_calls_bear() {
    let mut sim = sim(|snapshot| {
        let text = |text: &str| text.to_owned();
        also_there(
            snapshot,
            11,
            KnownBy { from_domain: text("blue.example"), ..KnownBy::default() },
        );
        also_there(
            snapshot,
            12,
            KnownBy { header: text("X-Account"), value: text("4711"), ..KnownBy::default() },
        );
        let both = KnownBy {
            from_domain: text("blue.example"),
            header: text("x-account"),
            ..KnownBy::default()
        };
        also_there(snapshot, 13, both);
        also_there(
            snapshot,
            14,
            KnownBy {
                prefix: text("+86108765"),
                uri_domain: text("198.51.100.2"),
                ..KnownBy::default()
            },
        );
        also_there(
            snapshot,
            15,
            KnownBy { to_domain: text("green.example"), ..KnownBy::default() },
        );
    });
    let blue = "<sip:+8613900001111@BLUE.example>";
    let account = [("X-Account", "4711")];
    assert_eq!(taken_for(&mut sim, CALLER, DID, &[]), "alpha", "no mark, and the one without any");
    assert_eq!(taken_for(&mut sim, blue, DID, &[]), "more11");
    assert_eq!(taken_for(&mut sim, CALLER, DID, &account), "more12");
    assert_eq!(taken_for(&mut sim, blue, DID, &[("X-Account", "9")]), "more13", "it says more");
    assert_eq!(
        taken_for(&mut sim, blue, DID, &account),
        "more12",
        "of two that say as much the first"
    );
    assert_eq!(taken_for(&mut sim, CALLER, "sip:+861087654321@198.51.100.2", &[]), "more14");
    assert_eq!(taken_for(&mut sim, CALLER, "sip:+861087654321@green.example", &[]), "more15");
}

#[test]
fn class_11_a_carrier_may_be_its_address_and_port() {
    let mut sim = sim(|snapshot| {
        options(snapshot, 1).known_by = Some(KnownBy { port: Some(5060), ..KnownBy::default() });
        also_there(snapshot, 11, KnownBy { port: Some(5070), ..KnownBy::default() });
    });
    let ip = addr(CARRIER_A).ip();
    sim.add("neighbour", &format!("{ip}:5070"), 181);
    sim.add("stranger", &format!("{ip}:5080"), 182);
    assert_eq!(taken_for(&mut sim, CALLER, DID, &[]), "alpha");
    invite(&mut sim, "stranger", (CALLER, DID), None, &[]);
    assert_eq!(refusals(&mut sim, "stranger"), [403], "of neither of the two programs there");
    let asked = sim.authorizations.len();
    invite(&mut sim, "neighbour", (CALLER, DID), None, &[]);
    assert_eq!(sim.authorizations.len(), asked + 1);
    assert!(refusals(&mut sim, "neighbour").is_empty());
}

#[test]
fn class_11_no_mark_makes_up_for_the_address_and_none_that_fits_is_a_stranger() {
    let mut sim = sim(|snapshot| {
        let known = KnownBy { from_domain: "blue.example".into(), ..KnownBy::default() };
        options(snapshot, 1).known_by = Some(known);
    });
    sim.add("thief", "203.0.113.66:5060", 180);
    for (name, from) in [("thief", "<sip:1@blue.example>"), ("thief", CALLER), ("a", CALLER)] {
        invite(&mut sim, name, (from, DID), None, &[("X-Account", "4711")]);
        assert_eq!(refusals(&mut sim, name).last(), Some(&403), "{name} {from}");
    }
    assert!(sim.authorizations.is_empty());
    invite(&mut sim, "a", ("<sip:1@blue.example>", DID), None, &[]);
    assert_eq!(sim.authorizations.len(), 1);
}

/// A carrier that has to answer a challenge.
fn challenging(snapshot: &mut Snapshot) {
    let trunk = snapshot.trunks.get_mut(&TrunkId(1)).unwrap();
    trunk.options.challenge = true;
    trunk.credentials = Some(TrunkCredentials {
        user: "alpha".into(),
        password: "wonder".into(),
        realm: "carrier.example".into(),
    });
}

#[test]
fn rfc3261_22_2_a_carrier_may_have_to_answer_a_challenge_beside_its_address() {
    let credentials = |user: &str, password: &str| {
        let (username, password) = (user.to_owned(), password.to_owned());
        Some(Credentials { realm: Some(REALM.into()), username, password })
    };
    for (given, let_in) in [
        (credentials("alpha", "wonder"), true),
        (credentials("alpha", "wrong"), false),
        (credentials("80001", "right"), false),
        (None, false),
    ] {
        let mut sim = sim(challenging);
        invite(&mut sim, "a", (CALLER, DID), given, &[]);
        assert_eq!(sim.authorizations.len(), usize::from(let_in));
        let expected: &[u16] = if let_in { &[] } else { &[401] };
        assert_eq!(refusals(&mut sim, "a"), expected);
    }
    // The same words from another address are a stranger's.
    let mut sim = sim(challenging);
    sim.add("thief", "203.0.113.66:5060", 180);
    invite(&mut sim, "thief", (CALLER, DID), credentials("alpha", "wonder"), &[]);
    assert_eq!((refusals(&mut sim, "thief"), sim.authorizations.len()), (vec![403], 0));
}

#[test]
fn class_8_our_credentials_answer_their_own_realm_and_nobody_else() {
    let challenge = |realm: &str| {
        let value = format!("Digest realm=\"{realm}\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"");
        vec![("WWW-Authenticate".to_owned(), value.into_bytes())]
    };
    let reject = |sim: &mut Sim, name: &str, realm: &str| {
        let now = sim.now.mono;
        let far = sim.far(name);
        let session = far.session();
        far.endpoint.reject(now, session, 401, challenge(realm));
        sim.drain();
    };
    for (realm, answered) in
        [("carrier.example", true), (REALM, false), ("elsewhere.example", false)]
    {
        let mut sim = sim(|snapshot| {
            challenging(snapshot);
            options(snapshot, 1).challenge = false;
        });
        sim.place(callback());
        reject(&mut sim, "a", realm);
        assert_eq!(sim.far("a").count("INVITE"), if answered { 2 } else { 1 }, "{realm}");
        // A phone that asks for the carrier's password does not get its digest.
        invite(&mut sim, "b", ("<sip:+8613900001111@192.0.2.2>", DID), None, &[]);
        reject(&mut sim, "desk", realm);
        let told =
            sim.far("desk").heard.iter().any(|m| m.header(HeaderName::Authorization).is_some());
        assert!(!told && sim.far("desk").count("INVITE") == 1, "{realm}");
    }
}

#[test]
fn class_10_no_spelling_of_an_identity_goes_on_from_a_carrier_that_is_not_trusted() {
    let who = "<sip:+8619999999999@192.0.2.1>";
    for line in [
        "P-Asserted-Identity: W",
        "p-asserted-identity: W",
        "P-ASSERTED-IDENTITY: W",
        "P-Asserted-Identity : W",
        "P-Asserted-Identity\t: W",
        "P-Asserted-Identity:\n W",
        "P-Asserted-Identity:W",
        "P-Asserted-Identity:  \"x\" W",
        "P-Preferred-Identity: W",
        "p-preferred-identity : W",
        "Remote-Party-ID: W;party=calling",
        "Diversion: W;reason=unconditional",
        "diversion : W",
        "DIVERSION:\n\tW",
        "History-Info: W;index=1",
        "history-info : W;index=1",
        "P-Charging-Vector: icid-value=+8619999999999",
        "P-Called-Party-ID: W",
        "X-Caller: +8619999999999",
        "x-account : +8619999999999",
        "Referred-By: W",
        "Identity: +8619999999999",
    ] {
        let mut sim = sim(|snapshot| {
            options(snapshot, 1).untrusted = true;
            options(snapshot, 2).transit = vec!["P-Asserted-Identity".into(), "X-Caller".into()];
            // Nobody is there: the call goes on to carrier B.
            let mut owner = extension("80002", "right");
            owner.bound_phone = Some(NUMBER_B.into());
            snapshot.extensions.insert("80002".into(), owner);
            snapshot.inbound.insert("861087654321".into(), "80002".into());
        });
        let line = line.replace('W', who);
        sim.raw(
            CARRIER_A,
            &format!(
                "INVITE {DID} SIP/2.0\nVia: SIP/2.0/UDP {CARRIER_A};branch=z9hG4bKsm\n\
                 Max-Forwards: 70\nFrom: {CALLER};tag=1\nTo: <{DID}>\nCall-ID: smuggle\n\
                 CSeq: 1 INVITE\nContact: <sip:x@{CARRIER_A}>\n{line}\nContent-Length: 0\n\n"
            ),
        );
        let told = String::from_utf8_lossy(sim.far("b").last("INVITE").bytes()).into_owned();
        assert!(!told.contains("9999999999"), "{line}: {told}");
        let number = &sim.authorizations[0].command.a.number;
        assert_eq!(*number, Number::E164("8613900001111".into()), "{line}");
    }
}

fn has(message: &Message, name: &str) -> Option<String> {
    message.other(name).map(|value| String::from_utf8_lossy(value).into_owned())
}

#[test]
fn header_fields_go_on_where_every_carrier_on_the_way_names_them_and_nowhere_else() {
    let headers = [("X-Order", "77"), ("X-Secret", "1"), ("User-to-User", "abc;encoding=hex")];
    let named = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    // From a phone to a carrier.
    let mut out =
        sim(|snapshot| options(snapshot, 2).transit = named(&["x-order", "user-to-user"]));
    let to = format!("sip:01088880000@{REALM}");
    invite(&mut out, "desk", (&format!("<sip:80001@{REALM}>"), &to), own("80001"), &headers);
    let told = out.far("b").last("INVITE").clone();
    assert_eq!(has(&told, "X-Order").as_deref(), Some("77"));
    assert_eq!(has(&told, "User-to-User").as_deref(), Some("abc;encoding=hex"));
    assert_eq!(has(&told, "X-Secret"), None);
    // From a phone to a phone nothing does.
    let inner = format!("sip:80001@{REALM}");
    invite(&mut out, "desk", (&format!("<sip:80001@{REALM}>"), &inner), own("80001"), &headers);
    assert_eq!(has(out.far("desk").last("INVITE"), "X-Order"), None);
    // From a carrier to a phone.
    let mut inward = sim(|snapshot| options(snapshot, 1).transit = named(&["X-Order"]));
    invite(&mut inward, "a", (CALLER, DID), None, &headers);
    let told = inward.far("desk").last("INVITE").clone();
    assert_eq!((has(&told, "X-Order").as_deref(), has(&told, "X-Secret")), (Some("77"), None));
    // Between two carriers.
    for (second, expected) in [(named(&["X-Order"]), Some("77")), (Vec::new(), None)] {
        let mut both = sim(|snapshot| {
            options(snapshot, 1).transit = named(&["X-Order", "X-Secret"]);
            options(snapshot, 2).transit = second;
            let mut owner = extension("80002", "right");
            owner.bound_phone = Some(NUMBER_B.into());
            snapshot.extensions.insert("80002".into(), owner);
            snapshot.inbound.insert("861087654321".into(), "80002".into());
        });
        invite(&mut both, "a", (CALLER, DID), None, &headers);
        let told = both.far("b").last("INVITE").clone();
        assert_eq!(has(&told, "X-Order").as_deref(), expected);
        assert_eq!(has(&told, "X-Secret"), None);
    }
}

#[test]
fn rfc3261_19_1_1_numbers_may_bear_user_phone_and_from_a_domain_of_its_own() {
    let mut sim = sim(|snapshot| {
        snapshot.trunks.get_mut(&TrunkId(2)).unwrap().domain = "carrier.example".into();
        let options = options(snapshot, 2);
        (options.user_phone, options.from_domain) = (true, "customer.example".into());
    });
    call_from(&mut sim, "desk", "80001", "01088880000");
    let told = sim.far("b").last("INVITE").clone();
    assert_eq!(told.request_uri(), Some("sip:+861088880000@carrier.example;user=phone"));
    let from = told.header_str(HeaderName::From).unwrap();
    assert!(from.starts_with("<sip:+861088889999@customer.example;user=phone>"), "{from}");
    let to = told.header_str(HeaderName::To).unwrap();
    assert!(to.starts_with("<sip:+861088880000@carrier.example;user=phone>"), "{to}");
}

/// The provisional answers that the phone which called has heard, copies apart.
fn heard(sim: &mut Sim) -> Vec<u16> {
    let answers = sim.far("desk").heard.iter().filter_map(Message::status);
    answers.filter(|status| (101..200).contains(status)).collect()
}

fn sound(sim: &mut Sim) {
    let sdp = sdp_of("b");
    sim.ring("b", 183, Some(&sdp));
    let leg = sim.leg(LegNo::B);
    sim.media(facts::media::MediaEvent::Started { leg });
}

#[test]
fn case_31_ringing_after_sound_is_passed_on_or_not_as_the_trunk_says() {
    for (pass, expected) in [(false, &[183][..]), (true, &[183, 180][..])] {
        let mut sim = sim(|snapshot| options(snapshot, 2).pass_180_after_183 = pass);
        call_from(&mut sim, "desk", "80001", "01088880000");
        sound(&mut sim);
        // Carriers that repeat themselves are heard once.
        let sdp = sdp_of("b");
        sim.ring("b", 183, Some(&sdp));
        sim.ring("b", 180, None);
        sim.ring("b", 180, None);
        assert_eq!(heard(&mut sim), expected, "{pass}");
        let heard = sim.hears(LegNo::A).cloned();
        assert_eq!(heard, Some(facts::media::Source::Leg(sim.leg(LegNo::B))), "the sound goes on");
        sim.pick_up("b");
        sim.hang_up("b");
        assert!(sim.record().legs[1].alerting.is_some(), "on record in any case");
        sim.assert_clean();
    }
}

#[test]
fn rfc3960_whoever_calls_hears_of_ringing_after_a_time_that_the_trunk_says() {
    let calls = |ms: Option<u32>| {
        let mut sim = sim(|snapshot| options(snapshot, 2).fake_180_ms = ms);
        call_from(&mut sim, "desk", "80001", "01088880000");
        sim
    };
    let mut never = calls(None);
    never.ring("b", 183, None);
    never.advance(s(20));
    assert!(heard(&mut never).is_empty());
    let mut after = calls(Some(3_000));
    after.ring("b", 183, None);
    after.advance(ms(2_900));
    assert!(heard(&mut after).is_empty());
    after.advance(ms(200));
    assert_eq!(heard(&mut after), [180]);
    after.pick_up("b");
    after.hang_up("b");
    assert_eq!(after.record().legs[1].alerting, None, "nobody said that it rings");
    after.assert_clean();
    // Ringing and sound that were there before need no help.
    for ring in [true, false] {
        let mut early = calls(Some(3_000));
        if ring {
            early.ring("b", 180, None);
        } else {
            sound(&mut early);
        }
        early.advance(s(10));
        assert_eq!(heard(&mut early).len(), 1);
        early.refuse("b", 486, None);
        early.assert_clean();
    }
}

#[test]
fn rfc3261_14_a_trunk_may_be_kept_out_of_relayed_offers() {
    for (own, relayed) in
        [(None, true), (Some(Reinvite::Relay), true), (Some(Reinvite::Absorb), false)]
    {
        for hold in ["a", "b"] {
            let mut sim = Sim::with(
                |config| config.reinvite = call::Reinvite::Relay,
                |snapshot| options(snapshot, 2).reinvite = own,
            );
            sim.up_to_bridge();
            let now = sim.now.mono;
            let sdp = format!("{}a=sendonly\r\n", sdp_of(hold));
            let far = sim.far(hold);
            let session = far.session();
            assert!(far.endpoint.reinvite(now, session, sdp.into()));
            sim.drain();
            let other = if hold == "a" { "b" } else { "a" };
            let asked = sim.far(other).events.iter();
            let asked = asked.filter(|event| matches!(event, Event::Reinvite { .. })).count();
            assert_eq!(asked, usize::from(relayed), "{own:?} {hold}");
        }
    }
}

#[test]
fn class_15_a_contact_that_nobody_can_be_at_is_not_dialled() {
    for place in
        ["127.0.0.1:25", "10.0.0.5:5060", "169.254.169.254:80", "192.168.1.1:22", "224.0.0.1:5060"]
    {
        let mut sim = sim(|_| {});
        sim.raw(
            CARRIER_A,
            &format!(
                "INVITE {DID} SIP/2.0\nVia: SIP/2.0/UDP {CARRIER_A};branch=z9hG4bKct\n\
                 Max-Forwards: 70\nFrom: {CALLER};tag=1\nTo: <{DID}>\nCall-ID: contact\n\
                 CSeq: 1 INVITE\nContact: <sip:x@{place}>\nContent-Length: 0\n\n"
            ),
        );
        sim.pick_up("desk");
        sim.hang_up("desk");
        assert_eq!(sim.lost, 0, "{place}: nothing is sent there");
        assert!(!sim.far("a").heard.is_empty());
    }
}
