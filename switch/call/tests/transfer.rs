//! Transfers by REFER (RFC 3515, RFC 5589): who may, who pays, who is told what, and what is left when
//! somebody leaves, fails or dies in the middle.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
#[path = "common/transfers.rs"]
mod transfers;

use std::sync::Arc;

use call::{Command, EngineConfig, Reply, Transfer};
use common::phones::{DESK, SOFT, bind, call_from};
use common::{MERCHANT, NUMBER_A, REALM, Sim, callback, extension, ms, s, sdp_of};
use facts::ledger::Added;
use facts::media::{MediaCommand, Source, Tone};
use facts::{Kind, LegId, LegNo, Number, Outcome, Refusal, TrunkId};
use sip::wire::{HeaderName, Message};
use transfers::{recorded, refer, refer_with, restart, told};

const C: LegNo = LegNo(2);

/// Two phones of one merchant, desk (80001) and soft (80002), and the carriers.
fn sim() -> Sim {
    sim_with(|_| {})
}

fn sim_with(config: impl FnOnce(&mut EngineConfig)) -> Sim {
    let mut sim = Sim::with(config, |snapshot| {
        for user in ["80001", "80002"] {
            snapshot.extensions.insert(user.into(), extension(user, "right"));
        }
        let mut stranger = extension("90001", "right");
        stranger.merchant.0 = MERCHANT.0 + 1;
        snapshot.extensions.insert("90001".into(), stranger);
    });
    sim.add("desk", DESK, 170);
    sim.add("soft", SOFT, 171);
    bind(&mut sim, &[("80001", DESK), ("80002", SOFT)]);
    sim
}

/// The desk talks with carrier B's subscriber.
fn desk_to_b() -> Sim {
    let mut sim = sim();
    desk_calls_b(&mut sim);
    sim
}

fn desk_calls_b(sim: &mut Sim) {
    call_from(sim, "desk", "80001", "01088880000");
    sim.pick_up("b");
    sim.advance(s(10));
    assert!(sim.engine.live()[0].bridged.is_some());
}

/// The call as operators see it.
fn between(sim: &Sim) -> [String; 3] {
    let call = sim.engine.live().pop().unwrap();
    [call.state, call.a, call.b]
}

/// Legs that were given to a second listener while the first one still heard them.
fn heard_twice(sim: &Sim) -> Vec<LegId> {
    let mut hears: std::collections::BTreeMap<LegId, LegId> = std::collections::BTreeMap::new();
    let mut twice = Vec::new();
    for command in &sim.media {
        let MediaCommand::Hear { leg, source } = command else { continue };
        hears.remove(leg);
        if let Source::Leg(heard) = source {
            twice.extend(hears.values().find(|other| *other == heard));
            hears.insert(*leg, *heard);
        }
    }
    twice
}

fn number_a() -> String {
    format!("<sip:138{}@{REALM}>", &NUMBER_A[5..])
}

#[test]
fn b6_rfc5589_6_1_a_blind_transfer_joins_the_others_and_lets_the_transferor_go() {
    let mut sim = desk_to_b();
    assert_eq!(refer(&mut sim, "desk", &number_a()), 202);
    let accepted = sim.fars["desk"].heard.iter().rev().find(|m| m.status() == Some(202)).unwrap();
    assert!(accepted.contact().is_ok(), "a 2xx to a REFER bears a Contact");
    assert_eq!(told(&sim, "desk"), ["100 active"]);
    assert_eq!(sim.added.len(), 1);
    assert_eq!(sim.added[0].leg, sim.leg(C));
    assert_eq!(sim.added[0].number, Number::E164(NUMBER_A.into()));
    let invite = sim.far("a").last("INVITE").clone();
    assert_eq!(invite.from().unwrap().uri.user.as_deref(), Some("+861088889999"));
    sim.ring("a", 180, None);
    assert_eq!(told(&sim, "desk"), ["100 active", "180 active"]);
    assert_eq!(sim.fars["desk"].count("BYE"), 0, "the old leg stands until the new one does");
    sim.advance(s(5));
    assert_eq!(between(&sim), ["bridged", "80001", "01088880000"]);
    sim.pick_up("a");
    let dialled = format!("138{}", &NUMBER_A[5..]);
    assert_eq!(between(&sim), ["bridged", &dialled, "01088880000"], "those who talk now");
    assert_eq!(heard_twice(&sim), [], "who leaves is deaf before somebody else listens");
    assert_eq!(told(&sim, "desk"), ["100 active", "180 active", "200 terminated"]);
    assert_eq!(sim.fars["desk"].count("BYE"), 1);
    let call = sim.leg(C).call;
    assert_eq!(sim.hears(C), Some(&Source::Leg(LegId::new(call, LegNo::B))));
    assert_eq!(sim.hears(LegNo::B), Some(&Source::Leg(LegId::new(call, C))));
    sim.advance(s(61));
    assert!(sim.extensions.iter().any(|ask| ask.leg.no == C), "it pays for its time");
    sim.hang_up("a");
    assert_eq!(sim.fars["b"].count("BYE"), 1);
    let record = sim.record().clone();
    assert_eq!(record.outcome, Outcome::Completed);
    let talks: Vec<_> = record.legs.iter().map(|leg| (leg.no, leg.talk())).collect();
    assert_eq!(talks, [(LegNo::A, s(15)), (LegNo::B, s(76)), (C, s(61))]);
    assert_eq!(record.leg(C).unwrap().number, Number::E164(NUMBER_A.into()));
    assert_eq!(record.command.merchant, MERCHANT);
    sim.assert_clean();
}

/// Field case 64: whoever reads the record of a leg that was let go without a failure learns that it was put through.
#[test]
fn case_64_the_record_of_a_leg_that_transferred_says_who_took_its_place() {
    for leaves_first in [false, true] {
        let mut sim = desk_to_b();
        assert_eq!(refer(&mut sim, "desk", &number_a()), 202);
        sim.ring("a", 180, None);
        if leaves_first {
            sim.hang_up("desk");
        }
        sim.pick_up("a");
        sim.advance(s(5));
        sim.hang_up("a");
        let record = sim.record().clone();
        let left = record.leg(LegNo::A).unwrap();
        assert_eq!(left.replaced_by, Some(sim.leg(C)), "{leaves_first}");
        assert_eq!((left.q850, left.failure), (Some(16), None));
        assert!(record.legs[1..].iter().all(|leg| leg.replaced_by.is_none()));
        // It stands in what is kept, and a record of before can be read.
        let kept = serde_json::to_string(left).unwrap();
        assert_eq!(&serde_json::from_str::<facts::LegFacts>(&kept).unwrap(), left);
        sim.assert_clean();
    }
    // One that leads nowhere took nobody's place.
    let mut sim = desk_to_b();
    assert_eq!(refer(&mut sim, "desk", &number_a()), 202);
    sim.refuse("a", 486, None);
    sim.hang_up("desk");
    assert_eq!(sim.record().leg(LegNo::A).unwrap().replaced_by, None);
}

#[test]
fn b6_rfc5589_6_the_called_phone_may_transfer_its_caller_to_another_extension() {
    let mut sim = sim();
    let mut command = callback();
    command.b.as_mut().unwrap().number = Number::Internal("80001".into());
    command.b.as_mut().unwrap().as_sent = "80001".into();
    sim.place(command);
    sim.pick_up("a");
    sim.pick_up_with("desk", &sdp_of("c"));
    assert_eq!(refer(&mut sim, "desk", &format!("<sip:80002@{REALM}>")), 202);
    let invite = sim.far("soft").last("INVITE").clone();
    assert_eq!(
        invite.from().unwrap().uri.user.as_deref(),
        Some("13800138000"),
        "who is put through"
    );
    sim.pick_up_with("soft", &sdp_of("c"));
    assert_eq!(sim.fars["desk"].count("BYE"), 1);
    sim.hang_up("a");
    assert_eq!(sim.fars["soft"].count("BYE"), 1);
    assert_eq!(sim.record().legs.len(), 3);
    sim.assert_clean();
}

#[test]
fn b6_rfc5589_6_a_second_transfer_is_told_apart_and_may_lead_on() {
    let mut sim = desk_to_b();
    assert_eq!(refer(&mut sim, "desk", &number_a()), 202);
    assert_eq!(refer_with(&mut sim, "desk", &format!("Refer-To: {}\n", number_a())), 491);
    sim.refuse("a", 486, None);
    assert_eq!(told(&sim, "desk"), ["100 active", "486 terminated"]);
    let soft = format!("Refer-To: <sip:80002@{REALM}>\n");
    assert_eq!(refer_with(&mut sim, "desk", &soft), 202);
    let event = sim.far("desk").last("NOTIFY").header_str(HeaderName::Event).map(str::to_owned);
    assert_eq!(event.as_deref(), Some("refer;id=2"), "RFC 3515 §2.4.6");
    sim.pick_up_with("soft", &sdp_of("c"));
    // The new one may transfer as well.
    assert_eq!(refer(&mut sim, "soft", &number_a()), 202);
    sim.pick_up("a");
    assert_eq!(sim.fars["soft"].count("BYE"), 1);
    sim.hang_up("b");
    let numbers: Vec<u8> = sim.record().legs.iter().map(|leg| leg.no.0).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4], "one for each leg that was tried");
    sim.assert_clean();
}

#[test]
fn b6_rfc5589_6_2_a_transfer_that_fails_gives_the_call_back() {
    for (code, status) in [(486, "486"), (404, "404"), (603, "603")] {
        let mut sim = desk_to_b();
        refer(&mut sim, "desk", &number_a());
        sim.ring("a", 180, None);
        sim.refuse("a", code, None);
        assert_eq!(told(&sim, "desk").last().unwrap(), &format!("{status} terminated"));
        assert_eq!(sim.fars["desk"].count("BYE") + sim.fars["b"].count("BYE"), 0);
        let call = sim.leg(C).call;
        assert_eq!(sim.hears(LegNo::B), Some(&Source::Leg(LegId::new(call, LegNo::A))));
        sim.advance(s(30));
        sim.hang_up("b");
        let record = sim.record();
        assert_eq!(record.outcome, Outcome::Completed);
        assert_eq!(record.leg(LegNo::A).unwrap().talk(), s(40));
        assert_eq!(record.leg(C).unwrap().sip_final, Some(code));
        sim.assert_clean();
    }
}

#[test]
fn a_transfer_that_nobody_can_pay_is_told_and_changes_nothing() {
    let mut sim = desk_to_b();
    sim.ledger.refuse = Some(Refusal::NoBalance);
    assert_eq!(refer(&mut sim, "desk", &number_a()), 202);
    let status = Kind::NoBalance.row().sip;
    assert_eq!(told(&sim, "desk"), ["100 active".to_owned(), format!("{status} terminated")]);
    assert_eq!(sim.fars["a"].count("INVITE"), 0, "nobody is rung");
    sim.hang_up("desk");
    assert_eq!(sim.record().legs.len(), 2);
    sim.assert_clean();
}

#[test]
fn a_ledger_that_says_nothing_ends_the_transfer_and_its_late_word_changes_nothing() {
    let mut sim = desk_to_b();
    sim.ledger.answers = false;
    refer(&mut sim, "desk", &number_a());
    sim.advance(s(60));
    assert_eq!(told(&sim, "desk").last().unwrap(), "500 terminated");
    let leg = sim.leg(C);
    sim.reply(Reply::Added { leg, answer: Added::Paid(Some(s(60))) });
    assert_eq!(sim.fars["a"].count("INVITE"), 0);
    sim.hang_up("b");
    sim.reply(Reply::AddFailed { leg });
    assert_eq!(sim.record().legs.len(), 2);
    sim.assert_clean();
}

#[test]
fn b6_rfc5589_6_the_transferee_leaves_in_the_middle() {
    let mut sim = desk_to_b();
    refer(&mut sim, "desk", &number_a());
    sim.ring("a", 180, None);
    sim.hang_up("b");
    assert!(sim.fars["a"].cancelled());
    assert_eq!(sim.fars["desk"].count("BYE"), 1);
    assert_eq!(told(&sim, "desk").last().unwrap(), "487 terminated");
    let record = sim.record();
    assert_eq!((record.outcome, record.legs.len()), (Outcome::Completed, 3));
    assert_eq!(record.leg(C).unwrap().answered, None);
    sim.assert_clean();
}

#[test]
fn case_37_the_transferee_hangs_up_in_the_middle_and_no_leg_is_left_or_billed_on() {
    for alone in [false, true] {
        let mut sim = desk_to_b();
        refer(&mut sim, "desk", &number_a());
        sim.ring("a", 180, None);
        if alone {
            sim.hang_up("desk");
        }
        sim.advance(s(5));
        sim.hang_up("b");
        assert!(sim.fars["a"].cancelled());
        let record = sim.record().clone();
        let talks: Vec<_> = record.legs.iter().map(|leg| (leg.no, leg.talk())).collect();
        let desk = if alone { s(10) } else { s(15) };
        assert_eq!(talks, [(LegNo::A, desk), (LegNo::B, s(15)), (C, s(0))]);
        sim.advance(s(600));
        assert_eq!(sim.fars["desk"].count("INVITE") + sim.fars["b"].count("INVITE"), 1);
        sim.assert_clean();
    }
}

#[test]
fn b6_rfc5589_6_the_transferor_leaves_before_he_is_told() {
    let mut sim = desk_to_b();
    refer(&mut sim, "desk", &number_a());
    sim.hang_up("desk");
    assert_eq!(sim.fars["b"].count("BYE"), 0, "the transfer goes on without him");
    assert_eq!(sim.hears(LegNo::B), Some(&Source::Tone(Tone::RingBack)));
    sim.advance(s(5));
    sim.pick_up("a");
    let call = sim.leg(C).call;
    assert_eq!(sim.hears(LegNo::B), Some(&Source::Leg(LegId::new(call, C))));
    sim.advance(s(20));
    sim.hang_up("b");
    assert_eq!(sim.fars["a"].count("BYE"), 1);
    let record = sim.record();
    assert_eq!(record.leg(LegNo::A).unwrap().talk(), s(10));
    assert_eq!(record.leg(C).unwrap().talk(), s(20));
    sim.assert_clean();
    // And when nobody comes, whoever was left is let go.
    let mut sim = desk_to_b();
    refer(&mut sim, "desk", &number_a());
    sim.hang_up("desk");
    sim.refuse("a", 486, None);
    assert_eq!(sim.fars["b"].count("BYE"), 1);
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn a_transferor_who_leaves_before_the_ledger_has_answered_leaves_a_transfer_behind() {
    let mut sim = desk_to_b();
    sim.ledger.answers = false;
    refer(&mut sim, "desk", &number_a());
    sim.hang_up("desk");
    let leg = sim.leg(C);
    sim.reply(Reply::Added { leg, answer: Added::Paid(Some(s(60))) });
    sim.pick_up("a");
    sim.advance(s(3));
    sim.hang_up("a");
    assert_eq!(sim.record().leg(C).unwrap().talk(), s(3));
    sim.assert_clean();
}

#[test]
fn the_money_of_the_new_leg_ends_the_call() {
    let mut sim = desk_to_b();
    refer(&mut sim, "desk", &number_a());
    sim.pick_up("a");
    sim.ledger.chunk = None;
    sim.advance(s(70));
    let record = sim.record();
    assert_eq!(record.leg(C).unwrap().talk(), s(50), "B's money was out first");
    assert_eq!(sim.fars["a"].count("BYE") + sim.fars["b"].count("BYE"), 2);
    sim.assert_clean();
}

#[test]
fn b6_rfc4488_4_who_wants_no_notify_gets_none() {
    let mut sim = desk_to_b();
    let headers = format!("Refer-To: {}\nRefer-Sub: false\nRequire: norefersub\n", number_a());
    assert_eq!(refer_with(&mut sim, "desk", &headers), 202);
    let accepted = sim.fars["desk"].heard.iter().rev().find(|m| m.status() == Some(202)).unwrap();
    assert_eq!(accepted.header_str(HeaderName::ReferSub), Some("false"));
    sim.ring("a", 180, None);
    sim.pick_up("a");
    assert!(told(&sim, "desk").is_empty());
    assert_eq!(sim.fars["desk"].count("BYE"), 1);
    sim.hang_up("a");
    sim.assert_clean();
}

#[test]
fn b6_rfc3515_2_4_2_what_cannot_be_asked_is_refused_and_changes_nothing() {
    let mut sim = desk_to_b();
    let other = format!("Refer-To: {}\nRefer-To: {}\n", number_a(), number_a());
    for (headers, code) in [
        ("Refer-To: <sip:80002@tandem.test;method=BYE>\n".to_owned(), 488),
        ("Refer-To: <sip:80002@tandem.test?a=b&replaces=x%3Bto-tag%3Dy>\n".to_owned(), 400),
        (String::new(), 400),
        (other, 400),
        ("Refer-To: <sip:@@@>\n".to_owned(), 400),
        ("Refer-To: <sip:89999@tandem.test>\n".to_owned(), 404),
        ("Refer-To: <sip:alice@tandem.test>\n".to_owned(), Kind::InvalidNumber.row().sip),
        ("Refer-To: <sip:0085212345678@tandem.test>\n".to_owned(), Kind::NoRoute.row().sip),
    ] {
        assert_eq!(refer_with(&mut sim, "desk", &headers), code, "{headers}");
    }
    assert!(sim.added.is_empty() && told(&sim, "desk").is_empty());
    assert!(sim.engine.live()[0].bridged.is_some());
    sim.hang_up("desk");
    sim.assert_clean();
}

#[test]
fn who_may_transfer_is_the_operators_choice() {
    for (policy, name, code) in [
        (Transfer::Off, "desk", 403),
        (Transfer::Extensions, "desk", 202),
        (Transfer::Extensions, "b", 403),
        (Transfer::All, "b", 202),
    ] {
        let mut sim = sim_with(|config| config.transfer = policy);
        desk_calls_b(&mut sim);
        assert_eq!(refer(&mut sim, name, &number_a()), code, "{policy:?} {name}");
        sim.hang_up("desk");
        if code == 202 && name == "b" {
            sim.hang_up("b");
        }
        sim.advance(s(70));
        sim.hang_up("b");
        sim.assert_clean();
    }
}

#[test]
fn class_14_who_may_transfer_is_the_trunks_choice_before_the_operators() {
    for (policy, own, code) in [
        (Transfer::Extensions, Some(true), 202),
        (Transfer::Off, Some(true), 202),
        (Transfer::All, Some(false), 403),
        (Transfer::All, None, 202),
        (Transfer::Extensions, None, 403),
    ] {
        let mut sim = sim_with(|config| config.transfer = policy);
        let mut settings = sim.snapshot.clone();
        settings.trunks.get_mut(&TrunkId(2)).unwrap().options.transfer = own;
        sim.command(Command::Settings(Arc::new(settings)));
        desk_calls_b(&mut sim);
        assert_eq!(refer(&mut sim, "b", &number_a()), code, "{policy:?} {own:?}");
        assert_eq!(sim.added.len(), usize::from(code == 202), "{policy:?} {own:?}");
    }
}

#[test]
fn nobody_spends_the_money_of_another_merchant_by_a_transfer() {
    let mut sim = sim();
    sim.add("far", "203.0.113.9:5060", 172);
    bind(&mut sim, &[("80001", DESK), ("90001", "203.0.113.9:5060")]);
    call_from(&mut sim, "desk", "80001", "90001");
    sim.pick_up_with("far", &sdp_of("c"));
    assert_eq!(refer(&mut sim, "far", &number_a()), 403);
    assert!(sim.added.is_empty());
    sim.hang_up("desk");
    sim.assert_clean();
}

#[test]
fn a_refer_out_of_a_call_is_refused() {
    let mut sim = sim();
    sim.raw(
        DESK,
        &format!(
            "REFER sip:80002@{REALM} SIP/2.0\nVia: SIP/2.0/UDP {DESK};branch=z9hG4bKout\n\
             Max-Forwards: 70\nFrom: <sip:80001@{REALM}>;tag=1\nTo: <sip:80002@{REALM}>\n\
             Call-ID: out\nCSeq: 1 REFER\nContact: <sip:x@{DESK}>\nRefer-To: {}\n\
             Content-Length: 0\n\n",
            number_a()
        ),
    );
    assert_eq!(sim.fars["desk"].heard.last().and_then(Message::status), Some(403));
    sim.assert_clean();
}

/// What the new leg's INVITE says of who had the call transferred.
fn referred_by(sim: &Sim, name: &str) -> Option<String> {
    let invite = sim.fars[name].last("INVITE");
    invite.header_str(HeaderName::ReferredBy).map(str::to_owned)
}

#[test]
fn rfc3892_2_a_phone_learns_who_had_the_call_transferred_and_nobody_is_believed_to_be_another() {
    for (said, told) in [
        (
            format!("\"Desk\" <sip:80001@{REALM}>;cid=\"1@x\""),
            format!("\"Desk\" <sip:80001@{REALM}>"),
        ),
        ("<sip:boss@elsewhere.example>".to_owned(), format!("<sip:80001@{REALM}>")),
    ] {
        let mut sim = desk_to_b();
        let headers = format!("Refer-To: <sip:80002@{REALM}>\nReferred-By: {said}\n");
        assert_eq!(refer_with(&mut sim, "desk", &headers), 202);
        assert_eq!(referred_by(&sim, "soft"), Some(told));
        sim.pick_up_with("soft", &sdp_of("c"));
        sim.hang_up("soft");
        sim.assert_clean();
    }
    let mut sim = desk_to_b();
    assert_eq!(refer(&mut sim, "desk", &format!("<sip:80002@{REALM}>")), 202);
    assert_eq!(referred_by(&sim, "soft"), None, "who does not say so is not named");
    sim.refuse("soft", 486, None);
    for wrong in ["<sip:80001@", "<sip:80001@a.example>\nReferred-By: <sip:80002@a.example>"] {
        let headers = format!("Refer-To: <sip:80002@{REALM}>\nReferred-By: {wrong}\n");
        assert_eq!(refer_with(&mut sim, "desk", &headers), 400, "{wrong}");
    }
    sim.hang_up("b");
    sim.assert_clean();
}

#[test]
fn rfc3892_5_only_a_carrier_that_keeps_it_to_itself_learns_who_had_the_call_transferred() {
    use facts::settings::Identity;
    let headers = format!("Refer-To: {}\nReferred-By: <sip:80001@{REALM}>\n", number_a());
    for trusted in [false, true] {
        let mut sim = sim_with(|_| {});
        if trusted {
            let trunk = sim.snapshot.trunks.get_mut(&TrunkId(1)).unwrap();
            trunk.options.identity = Identity::Asserted;
            let settings = sim.snapshot.clone().into();
            sim.command(Command::Settings(settings));
        }
        desk_calls_b(&mut sim);
        assert_eq!(refer_with(&mut sim, "desk", &headers), 202);
        assert_eq!(referred_by(&sim, "a").is_some(), trusted);
        sim.pick_up("a");
        sim.hang_up("a");
        sim.assert_clean();
    }
}

#[test]
fn a_recording_goes_on_with_whoever_takes_the_place() {
    let mut sim = sim();
    recorded(&mut sim);
    refer(&mut sim, "desk", &format!("<sip:80002@{REALM}>"));
    sim.pick_up_with("soft", &sdp_of("c"));
    let at = |wanted: &dyn Fn(&MediaCommand) -> bool| sim.media.iter().position(wanted);
    let (a, b, c) = (sim.leg(LegNo::A), sim.leg(LegNo::B), sim.leg(C));
    let retaped = at(
        &|command| matches!(command, MediaCommand::Retape { left, right, .. } if (*left, *right) == (a, c)),
    );
    let closed = at(&|command| matches!(command, MediaCommand::Close { leg } if *leg == b));
    assert!(retaped.unwrap() < closed.unwrap(), "or else the file ends with the old leg");
    sim.hang_up("a");
    assert!(sim.record().recording.is_some());
    sim.assert_clean();
}

#[test]
fn who_was_held_for_the_transfer_is_taken_off_hold() {
    let mut sim = sim_with(|config| config.reinvite = call::Reinvite::Relay);
    desk_calls_b(&mut sim);
    let now = sim.now.mono;
    let far = sim.far("desk");
    let session = far.session();
    let hold = sdp_of("desk").replace("o=- 1 1", "o=- 1 2") + "a=sendonly\r\n";
    far.endpoint.reinvite(now, session, hold.into());
    sim.drain();
    let held = |sim: &Sim| {
        let body = sim.fars["b"].last("INVITE").body().to_vec();
        String::from_utf8(body).unwrap().contains("a=sendonly")
    };
    assert!(held(&sim), "B hears that it is on hold");
    let now = sim.now.mono;
    let far = sim.far("b");
    let session = far.session();
    far.endpoint.accept_reinvite(now, session, sdp_of("b").replace("o=- 1 1", "o=- 1 2").into());
    sim.drain();
    refer(&mut sim, "desk", &number_a());
    sim.pick_up("a");
    sim.advance(ms(100));
    assert!(!held(&sim), "and that it is not any more");
    sim.hang_up("a");
    sim.assert_clean();
}

#[test]
fn b6_a_crash_in_the_middle_of_a_transfer_bills_every_leg_once() {
    for answered in [false, true] {
        let mut sim = desk_to_b();
        refer(&mut sim, "desk", &number_a());
        sim.ring("a", 180, None);
        if answered {
            sim.pick_up("a");
            sim.advance(s(5));
        }
        restart(&mut sim);
        for name in ["desk", "b", "a"] {
            let far = &sim.fars[name];
            let over = far.count("BYE") + far.count("CANCEL");
            assert_eq!(over, 1, "{name} knows that it is over ({answered})");
        }
        let record = sim.record();
        assert_eq!(record.legs.len(), 3);
        assert_eq!(record.leg(C).unwrap().answered.is_some(), answered);
        // What each is charged for: nothing of it is lost, and nothing twice.
        let talks: Vec<_> = record.legs.iter().map(|leg| (leg.no, leg.talk())).collect();
        let [b, c] = if answered { [s(15), s(5)] } else { [s(10), s(0)] };
        assert_eq!(talks, [(LegNo::A, s(10)), (LegNo::B, b), (C, c)]);
        assert!(record.legs.iter().all(|leg| leg.ended.is_some()));
        sim.advance(s(400));
        assert_eq!((sim.engine.counts().calls, sim.engine.counts().unended), (0, 0));
    }
}

#[test]
fn b6_a_bound_phone_of_another_merchant_is_not_rung_at_this_ones_cost() {
    let mut sim = desk_to_b();
    common::team::change(&mut sim, |snapshot| {
        let stranger = snapshot.extensions.get_mut("90001").unwrap();
        stranger.bound_phone = Some(NUMBER_A.into());
    });
    refer(&mut sim, "desk", &format!("<sip:90001@{REALM}>"));
    assert_eq!(sim.far("a").count("INVITE"), 0);
    assert!(sim.added.iter().all(|ask| ask.number == Number::Internal("90001".into())));
    assert!(told(&sim, "desk").last().is_none_or(|told| told.ends_with("terminated")));
    assert!(sim.engine.live()[0].bridged.is_some(), "they talk on");
    sim.hang_up("b");
    sim.assert_clean();
}
