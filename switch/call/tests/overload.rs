//! More than can be done: who is told to come later, and that this ends by itself (RFC 6357 §3, RFC 3261 §21.5.4).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use bytes::Bytes;
use call::{Answer, Command, Reply};
use common::*;
use facts::ledger::Authorized;
use facts::media::MediaEvent;
use facts::settings::{Extension, Snapshot};
use facts::{Failure, Kind, LegNo, Origin, Outcome, Refusal};
use sip::endpoint::Flow;
use sip::wire::Message;

const A: LegNo = LegNo::A;

fn invite(n: u32) -> String {
    format!(
        "INVITE sip:+861088880001@{US} SIP/2.0\nVia: SIP/2.0/UDP {CARRIER_A};branch=z9hG4bKover{n}\n\
         Max-Forwards: 70\nFrom: <sip:+8613900139000@carrier.example>;tag={n}\n\
         To: <sip:+861088880001@{US}>\nCall-ID: over-{n}\nCSeq: 1 INVITE\n\
         Contact: <sip:x@{CARRIER_A}>\nContent-Length: 0\n\n"
    )
}

fn inbound() -> Sim {
    Sim::with(
        |_| {},
        |snapshot: &mut Snapshot| {
            let phone = Some(NUMBER_B.to_owned());
            let desk = Extension { bound_phone: phone, ..extension("80001", "x") };
            snapshot.extensions.insert("80001".into(), desk);
            snapshot.inbound.insert("861088880001".into(), "80001".into());
        },
    )
}

/// A message for which there is no time.
fn excess(sim: &mut Sim, from: &str, text: &str) {
    let flow = Flow::udp(addr(US), addr(from));
    sim.engine.handle_excess(sim.now, flow, Bytes::from(text.replace('\n', "\r\n")));
    sim.drain();
}

fn answers(sim: &mut Sim, n: u32) -> Vec<Message> {
    let id = format!("over-{n}");
    let heard = sim.far("a").heard.iter();
    heard.filter(|m| m.call_id() == Some(id.as_str()) && m.status() > Some(199)).cloned().collect()
}

#[test]
fn b14_rfc3261_21_5_4_who_is_too_much_is_told_when_to_come_again_and_nothing_is_kept() {
    let mut sim = inbound();
    let mut waits = std::collections::BTreeSet::new();
    for n in 0..100 {
        excess(&mut sim, CARRIER_A, &invite(n));
        let told = answers(&mut sim, n);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].status(), Some(503));
        waits.insert(told[0].retry_after().unwrap().seconds);
    }
    assert!(waits.len() > 4 && waits.iter().all(|wait| (1..=10).contains(wait)), "{waits:?}");
    assert_eq!(sim.engine.counts().transactions, 0);
    assert!(sim.authorizations.is_empty());
    // A copy draws the same tag (§8.2.7); the ACK is nobody's.
    excess(&mut sim, CARRIER_A, &invite(1));
    let told = answers(&mut sim, 1);
    assert_eq!(told[0].to_tag(), told[1].to_tag());
    let before = sim.far("a").heard.len();
    excess(&mut sim, CARRIER_A, &invite(1).replace("INVITE", "ACK"));
    assert_eq!(sim.far("a").heard.len(), before);
}

#[test]
fn b14_a_copy_of_an_invite_that_is_being_served_is_not_refused() {
    let mut sim = inbound();
    sim.ledger.answers = false;
    sim.raw(CARRIER_A, &invite(1));
    excess(&mut sim, CARRIER_A, &invite(1));
    assert!(answers(&mut sim, 1).is_empty());
    assert_eq!(sim.authorizations.len(), 1);
}

#[test]
fn b14_f10_who_is_banned_hears_nothing_however_busy_we_are() {
    const STRANGER: &str = "203.0.113.9:5060";
    let mut sim = inbound();
    let scan = invite(1).replace("Content", "User-Agent: friendly-scanner\nContent");
    sim.raw(STRANGER, &scan);
    assert_eq!(sim.bans.len(), 1);
    let before = sim.lost;
    excess(&mut sim, STRANGER, &invite(2));
    assert_eq!(sim.lost, before);
}

#[test]
fn b14_case_42_while_the_ledger_is_behind_no_more_is_asked_of_it() {
    let mut sim = inbound();
    sim.ledger.answers = false;
    let first = sim.place(callback());
    sim.advance(ms(900));
    let second = sim.place(callback());
    assert_eq!(sim.authorizations.len(), 2, "a little late is not behind");
    sim.advance(ms(200));
    let third = sim.place(callback());
    assert_eq!(sim.placed(third), Err(Refusal::Busy));
    sim.raw(CARRIER_A, &invite(1));
    let told = answers(&mut sim, 1);
    assert_eq!(told[0].status(), Some(503));
    assert!((1..=10).contains(&told[0].retry_after().unwrap().seconds));
    assert_eq!(sim.authorizations.len(), 2, "nothing of them was asked");
    // It answers after all: those that waited are served, and so is whoever comes now.
    for at in 0..2 {
        let asked = sim.authorizations[at].clone();
        let answer = sim.judge(&asked);
        sim.reply(Reply::Authorized { call: asked.call, answer });
    }
    assert!(sim.placed(first).is_ok() && sim.placed(second).is_ok());
    sim.ledger.answers = true;
    let fourth = sim.place(callback());
    assert!(sim.placed(fourth).is_ok());
}

#[test]
fn b14_a_ledger_that_never_answers_is_asked_again_when_its_calls_are_let_go() {
    let mut sim = inbound();
    sim.ledger.answers = false;
    sim.place(callback());
    sim.advance(s(2));
    let refused = sim.place(callback());
    assert_eq!(sim.placed(refused), Err(Refusal::Busy));
    // What it never said of a call is not waited for longer than a minute.
    sim.advance(s(60));
    sim.place(callback());
    assert_eq!(sim.authorizations.len(), 2);
    let asked = sim.authorizations[1].clone();
    sim.reply(Reply::Authorized {
        call: asked.call,
        answer: Authorized::Refused(Refusal::NoBalance),
    });
    sim.ledger.answers = true;
    let token = sim.place(callback());
    assert!(sim.placed(token).is_ok());
}

#[test]
fn b14_without_ports_no_call_is_taken_for_a_second() {
    let mut sim = inbound();
    sim.media_answers = false;
    sim.place(callback());
    let leg = sim.leg(A);
    sim.media(MediaEvent::OpenFailed { leg });
    let why = Failure::new(Origin::Media, Kind::Internal);
    assert_eq!(sim.record().outcome, Outcome::Failed(why));
    sim.media_answers = true;
    let token = sim.place(callback());
    assert_eq!(sim.placed(token), Err(Refusal::Busy));
    sim.raw(CARRIER_A, &invite(1));
    assert_eq!(answers(&mut sim, 1)[0].status(), Some(503));
    sim.command(Command::Live { token: 77 });
    assert!(matches!(sim.answers.get(&77), Some(Answer::Live(_))), "questions are answered");
    sim.advance(s(2));
    let token = sim.place(callback());
    assert!(sim.placed(token).is_ok());
}
