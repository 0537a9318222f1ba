//! What makes a far end ring or talk is written down first, and stays written until the far end knows
//! that it is over. And the odd answers that the end of a leg may get.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::sync::Arc;

use call::{Command, Reply};
use common::*;
use facts::ledger::JournalLeg;
use facts::settings::Snapshot;
use facts::{Failure, Kind, LegId, LegNo, Origin, Outcome, TrunkId};
use sip::wire::{HeaderName, Message};

const A: LegNo = LegNo::A;
const B: LegNo = LegNo::B;

/// The row of a leg as it is in the store now.
fn row(sim: &Sim, leg: LegId) -> JournalLeg {
    let mut row = sim.journal.iter().rev().find(|entry| entry.leg == leg).unwrap().clone();
    if let Some((_, dialog)) = sim.papers.iter().rev().find(|(of, _)| *of == leg) {
        row.dialog.clone_from(dialog);
    }
    row
}

/// The process is killed, and the next one is given a leg of a settled call.
fn next_process(sim: &mut Sim, farewell: JournalLeg) {
    sim.engine = call::Engine::new(engine_config(), Arc::new(sim.snapshot.clone()), sim.now);
    sim.command(Command::Farewell(Box::new(farewell)));
}

/// The far end of B never hears our BYE; the call is settled.
fn settled_without_b(set: impl FnOnce(&mut Snapshot)) -> Sim {
    let mut sim = Sim::with(|_| {}, set);
    sim.up_to_bridge();
    sim.far("b").dead = true;
    sim.hang_up("a");
    assert_eq!(sim.record().outcome, Outcome::Completed);
    assert_eq!(sim.engine.counts().calls, 0, "the call is forgotten");
    assert!(!sim.far("b").ended(), "but B talks on");
    sim
}

/// An answer to a request, with some headers more.
fn answer(request: &Message, status: &str, more: &str) -> String {
    let line = |name: HeaderName| {
        let value = request.header(name).map(String::from_utf8_lossy).unwrap_or_default();
        format!("{}: {value}\n", name.as_str())
    };
    let copied: String =
        [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq]
            .map(line)
            .concat();
    format!("SIP/2.0 {status}\n{copied}{more}Content-Length: 0\n\n")
}

#[test]
fn an_invite_waits_for_its_row_and_no_longer_than_it_may() {
    let mut sim = Sim::new();
    sim.ledger.journals = false;
    sim.place(callback());
    sim.advance(ms(399));
    assert_eq!(sim.far("a").count("INVITE"), 0, "it is not written down yet");
    assert!(sim.journal[0].dialog.is_some(), "but asked for, with what ends it");
    sim.advance(ms(2));
    assert_eq!(sim.far("a").count("INVITE"), 1, "a store that is away holds nobody up for ever");
    assert_eq!(sim.engine.counts().unwritten, 1, "and it is counted");
    let leg = sim.leg(A);
    sim.reply(Reply::Journaled { leg, seq: 1 });
    assert_eq!(sim.far("a").count("INVITE"), 1, "a late word changes nothing");
}

#[test]
fn rfc3261_17_1_1_2_nothing_waits_for_its_row_longer_than_t1() {
    let mut sim = Sim::with(|config| config.sip.timers.t1 = ms(200), |_| {});
    sim.ledger.journals = false;
    sim.place(callback());
    sim.advance(ms(199));
    assert_eq!(sim.far("a").count("INVITE"), 0);
    sim.advance(ms(1));
    assert_eq!(sim.far("a").count("INVITE"), 1, "T1 is less than the 400 ms of the configuration");
    assert_eq!(sim.engine.counts().unwritten, 1);
}

#[test]
fn the_ack_of_a_200_waits_for_its_row_and_copies_of_the_200_wait_with_it() {
    let mut sim = Sim::new();
    sim.place(callback());
    sim.ring("a", 180, None);
    sim.ledger.journals = false;
    sim.pick_up("a");
    assert_eq!(sim.far("a").count("ACK"), 0);
    assert!(sim.journal.iter().any(|entry| entry.facts.answered.is_some()), "the bill runs");
    sim.advance(ms(300));
    assert_eq!(sim.far("a").count("ACK"), 0);
    sim.advance(ms(600));
    // T1 after the 200 comes its copy; it had its ACK by then.
    assert!(sim.far("a").count("ACK") >= 1);
    assert_eq!(sim.engine.counts().unwritten, 2, "A's ACK and B's INVITE");
}

#[test]
fn a_leg_that_is_let_go_before_its_row_is_written_gets_its_ack_and_then_its_bye() {
    let mut sim = Sim::new();
    let token = sim.place(callback());
    let call = sim.placed(token).unwrap().call;
    sim.ring("a", 180, None);
    sim.ledger.journals = false;
    sim.pick_up("a");
    sim.command(Command::HangUp { token: 99, call });
    assert_eq!((sim.far("a").count("ACK"), sim.far("a").count("BYE")), (0, 0));
    sim.advance(ms(401));
    assert_eq!((sim.far("a").count("ACK"), sim.far("a").count("BYE")), (1, 1));
    assert_eq!(sim.far("b").count("INVITE"), 0, "B was never asked, so nobody rings");
    sim.ledger.journals = true;
    sim.assert_clean();
}

#[test]
fn case_18_a_200_that_crosses_the_cancel_is_written_down_before_its_ack() {
    let mut sim = Sim::new();
    let token = sim.place(callback());
    let call = sim.placed(token).unwrap().call;
    sim.ring("a", 180, None);
    sim.far("a").muted = true;
    sim.pick_up("a");
    sim.command(Command::HangUp { token: 99, call });
    assert_eq!(sim.engine.counts().calls, 0, "settled already");
    sim.ledger.journals = false;
    sim.papers.clear();
    sim.unmute("a");
    assert_eq!((sim.far("a").count("ACK"), sim.far("a").count("BYE")), (0, 0));
    assert!(sim.papers[0].1.is_some(), "the papers of a settled call are changed");
    sim.advance(ms(401));
    assert_eq!((sim.far("a").count("ACK"), sim.far("a").count("BYE")), (1, 1));
    assert_eq!(sim.papers.last().unwrap().1, None, "and thrown away when it is over");
    sim.assert_clean();
}

#[test]
fn a_bye_of_a_settled_call_is_said_again_by_the_next_process() {
    let mut sim = settled_without_b(|_| {});
    let leg = sim.leg(B);
    sim.advance(s(20));
    let farewell = row(&sim, leg);
    assert!(farewell.dialog.is_some(), "its papers are kept: nobody answered the BYE");
    sim.far("b").dead = false;
    next_process(&mut sim, farewell.clone());
    assert!(sim.far("b").ended(), "now B knows");
    assert_eq!(row(&sim, leg).dialog, None, "and the papers go");
    // A third process after a second that told nobody uses numbers of its own (RFC 3261 §12.2.2).
    let mut sim = settled_without_b(|_| {});
    let leg = sim.leg(B);
    let first = row(&sim, leg);
    next_process(&mut sim, first.clone());
    let second = row(&sim, leg);
    assert_ne!(first.dialog, second.dialog, "the numbering went on");
    sim.advance(s(5));
    sim.far("b").dead = false;
    next_process(&mut sim, second);
    assert!(sim.far("b").last("BYE").cseq().unwrap().number > 2_000);
    assert!(sim.far("b").ended());
}

#[test]
fn papers_are_kept_until_the_bye_is_answered_or_given_up() {
    let mut sim = settled_without_b(|_| {});
    let leg = sim.leg(B);
    sim.advance(s(31));
    assert!(row(&sim, leg).dialog.is_some());
    sim.advance(s(2));
    assert_eq!(row(&sim, leg).dialog, None, "RFC 3261 §17.1.2.2: nobody is there");
    sim.assert_clean();
}

#[test]
fn rfc3261_22_a_bye_of_the_next_process_answers_a_challenge() {
    let mut sim = settled_without_b(|snapshot| {
        let trunk = snapshot.trunks.get_mut(&TrunkId(2)).unwrap();
        trunk.credentials = Some(facts::settings::TrunkCredentials {
            realm: "beta".into(),
            user: "us".into(),
            password: "secret".into(),
        });
    });
    let farewell = row(&sim, sim.leg(B));
    let told = String::from_utf8_lossy(farewell.dialog.as_deref().unwrap()).into_owned();
    assert!(!told.contains("secret"), "no password is in the journal");
    sim.far("b").dead = false;
    sim.far("b").muted = true;
    next_process(&mut sim, farewell);
    let bye = sim.far("b").last("BYE").clone();
    let more =
        "Proxy-Authenticate: Digest realm=\"beta\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"\n";
    sim.raw(CARRIER_B, &answer(&bye, "407 Proxy Authentication Required", more));
    let again = sim.far("b").last("BYE").clone();
    assert!(again.header(HeaderName::ProxyAuthorization).is_some(), "with the trunk's credentials");
    assert_eq!(again.cseq().unwrap().number, bye.cseq().unwrap().number + 1);
    sim.raw(CARRIER_B, &answer(&again, "200 OK", ""));
    assert_eq!(row(&sim, sim.leg(B)).dialog, None);
    sim.assert_clean();
}

#[test]
fn rfc3261_15_1_1_whatever_answers_our_bye_the_leg_is_over() {
    for status in ["481 Call/Transaction Does Not Exist", "408 Request Timeout", "500 Oops", ""] {
        let mut sim = Sim::new();
        sim.up_to_bridge();
        sim.far("b").muted = true;
        sim.hang_up("a");
        let bye = sim.far("b").last("BYE").clone();
        if !status.is_empty() {
            sim.raw(CARRIER_B, &answer(&bye, status, ""));
        }
        assert_eq!(sim.record().outcome, Outcome::Completed, "{status}");
        sim.advance(s(33));
        let byes = sim.far("b").count("BYE");
        assert_eq!(byes, if status.is_empty() { 11 } else { 1 }, "{status}");
        assert_eq!(row(&sim, sim.leg(B)).dialog, None, "{status}");
        sim.far("b").dead = true;
        sim.assert_clean();
    }
}

#[test]
fn rfc3261_9_1_whatever_answers_our_cancel_the_invite_has_an_end() {
    for status in ["481 Call/Transaction Does Not Exist", "408 Request Timeout", ""] {
        let mut sim = Sim::new();
        sim.up_to_b();
        sim.ring("b", 180, None);
        sim.far("b").muted = true;
        sim.hang_up("a");
        let cancel = sim.far("b").last("CANCEL").clone();
        if !status.is_empty() {
            sim.raw(CARRIER_B, &answer(&cancel, status, ""));
        }
        assert_eq!(sim.settled.len(), 1, "the record does not wait for it: {status}");
        assert!(row(&sim, sim.leg(B)).dialog.is_some(), "it may still ring: {status}");
        sim.far("b").dead = true;
        // 64·T1 until it is given up, and as long again for a 200 that comes after all.
        sim.advance(s(70));
        assert_eq!(row(&sim, sim.leg(B)).dialog, None, "{status}");
        sim.assert_clean();
    }
}

#[test]
fn rfc3261_8_1_3_4_a_redirection_is_acknowledged_and_refused_with_its_code_on_record() {
    for (code, kind) in
        [(301, Kind::Unallocated), (302, Kind::Unreachable), (380, Kind::Unreachable)]
    {
        let mut sim = Sim::new();
        sim.up_to_b();
        sim.refuse("b", code, None);
        assert_eq!(sim.far("b").count("ACK"), 1);
        assert_eq!(sim.far("b").count("INVITE"), 1, "nobody else is rung at our cost");
        sim.advance(s(30));
        let leg = sim.record().leg(B).unwrap().clone();
        assert_eq!(leg.sip_final, Some(code));
        assert_eq!(leg.failure, Some(Failure::new(Origin::LegB, kind)));
        sim.assert_clean();
    }
}
