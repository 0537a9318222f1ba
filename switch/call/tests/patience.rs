//! What happens when an answer does not come: from the store, from the next hop.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use call::{Answer, Command, Effect, Miss, Reply};
use common::*;
use facts::routing::{Candidate, Verdict};
use facts::settings::{Route, Snapshot};
use facts::{Failure, Kind, LegNo, Origin, Outcome, Placed, Refusal, TrunkId, UnixMillis};
use sip::endpoint::Flow;

/// Two ways to B.
fn two_ways(snapshot: &mut Snapshot) {
    snapshot.routes.push(Route::new("8610", TrunkId(3), 5));
}

#[test]
fn facts_of_which_nothing_is_heard_are_sent_again() {
    let mut sim = Sim::new();
    sim.ledger.hears = false;
    sim.place(callback());
    sim.refuse("a", 486, None);
    assert_eq!(sim.settled.len(), 1);
    sim.advance(s(95));
    assert_eq!(sim.settled.len(), 4, "every 30 s");
    assert!(sim.settled.iter().all(|facts| *facts == sim.settled[0]), "the same facts");
    sim.ledger.hears = true;
    sim.advance(s(30));
    sim.assert_clean();
}

#[test]
fn a_ledger_that_never_answers_holds_neither_key_nor_place() {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| snapshot.merchants.get_mut(&MERCHANT).unwrap().max_calls = Some(1),
    );
    sim.ledger.answers = false;
    let mut command = callback();
    command.key = Some(key("1", "a-b"));
    let first = sim.place(command.clone());
    sim.advance(s(59));
    assert_eq!(sim.engine.counts().places, 1);
    sim.advance(s(2));
    assert_eq!(sim.placed(first), Err(Refusal::Internal));
    assert_eq!((sim.engine.counts().calls, sim.engine.counts().places), (0, 0));
    sim.ledger.answers = true;
    let second = sim.place(command);
    let live = sim.authorizations[1].call;
    assert_eq!(sim.placed(second), Ok(Placed { call: live, duplicate: false }));
    sim.refuse("a", 486, None);
    // It answers after all: what it holds is given back by a record, and nobody is rung.
    let (call, invites) = (sim.authorizations[0].call, sim.far("a").count("INVITE"));
    let answer = sim.judge(&sim.authorizations[0]);
    sim.reply(Reply::Authorized { call, answer });
    let record = sim.settled.last().unwrap();
    assert!(record.call == call && record.legs.is_empty());
    assert_eq!(sim.far("a").count("INVITE"), invites);
    sim.assert_clean();
}

#[test]
fn rfc3261_17_1_1_2_a_hop_that_says_100_is_not_given_up() {
    let mut sim = Sim::with(|_| {}, two_ways);
    sim.up_to_b();
    // The far end has sent its 100 and looks for the phone: ordinary delay after dialling.
    sim.advance(s(20));
    assert_eq!((sim.far("b").count("CANCEL"), sim.far("c").count("INVITE")), (0, 0));
    sim.ring("b", 180, None);
    sim.pick_up("b");
    assert!(sim.engine.live()[0].bridged.is_some());
    sim.hang_up("a");
    sim.assert_clean();

    let mut sim = Sim::with(|_| {}, two_ways);
    sim.far("b").dead = true;
    sim.up_to_b();
    sim.advance(s(9));
    assert_eq!(sim.far("c").count("INVITE"), 1, "one that says nothing is");
    sim.hang_up("a");
    sim.far("b").dead = false;
    sim.assert_clean();
    assert!(!matches!(sim.engine.poll_effect(), Some(Effect::Transmit(_))));
}

#[test]
fn money_paid_in_before_the_cut_keeps_the_call() {
    let mut sim = Sim::new();
    sim.ledger.steps = 0;
    sim.up_to_bridge();
    sim.advance(s(50));
    let asked = sim.extensions.len();
    assert!(asked >= 4, "both legs, again and again: {asked}");
    assert!(sim.extensions.iter().all(|extend| extend.step == 1), "always for the same step");
    sim.ledger.steps = u32::MAX;
    sim.advance(s(60));
    assert!(sim.engine.live()[0].bridged.is_some(), "nobody was cut");
    sim.hang_up("a");
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn proof_of_life_is_dated_by_the_clock_of_each_call() {
    let mut sim = Sim::new();
    sim.up_to_bridge();
    // Somebody sets the wall clock back by a day.
    let (mono, wall) = (sim.now.mono, sim.now.wall);
    sim.now.wall = UnixMillis(wall.0 - 86_400_000);
    sim.advance(s(21));
    let last = sim.alive.last().unwrap().1;
    let passed = sim.now.mono.saturating_duration_since(mono);
    assert!(last >= wall && last <= wall + passed, "{last:?} is not in {wall:?} + {passed:?}");
    sim.hang_up("a");
    assert_eq!(sim.record().leg(LegNo::A).unwrap().ended, Some(wall + passed));
    sim.assert_clean();
}

#[test]
fn rfc3261_12_2_a_moved_remote_target_is_written_down() {
    let mut sim = Sim::new();
    sim.up_to_bridge();
    let before = sim.journal.len();
    let now = sim.now.mono;
    let far = sim.far("a");
    let session = far.session();
    far.endpoint.reinvite(now, session, sdp_of("a").into());
    sim.drain();
    assert_eq!(sim.journal.len(), before + 1, "the re-INVITE");
    assert!(sim.journal[before].dialog.is_some());
    sim.hang_up("a");
    sim.assert_clean();
}

#[test]
fn rfc3261_18_4_an_invite_that_cannot_be_sent_takes_the_next_way_and_is_not_taken_for_silence() {
    let mut sim = Sim::with(|_| {}, two_ways);
    (sim.far("b").muted, sim.far("c").muted) = (true, true);
    sim.up_to_b();
    let broken = |sim: &mut Sim, to: &str| {
        sim.engine.handle_flow_error(sim.now, Flow::udp(addr(US), addr(to)));
        sim.drain();
    };
    broken(&mut sim, CARRIER_B);
    assert_eq!(sim.far("c").count("INVITE"), 1, "at once");
    broken(&mut sim, CARRIER_C);
    sim.advance(s(20));
    let record = sim.record();
    let why = Failure::new(Origin::LegB, Kind::TransportFailed);
    assert_eq!(record.outcome, Outcome::Failed(why));
    let leg = record.leg(LegNo::B).unwrap();
    assert_eq!((leg.sip_final, leg.failure), (None, Some(why)));
    sim.assert_clean();
}

/// Its calls would all wait for as long as the first one did.
#[test]
fn whoever_said_nothing_is_asked_after_the_others_for_a_minute_and_the_operator_is_told() {
    let mut sim = Sim::with(|_| {}, two_ways);
    sim.far("b").dead = true;
    sim.up_to_b();
    sim.advance(s(9));
    assert_eq!(sim.far("c").count("INVITE"), 1);
    sim.pick_up("c");
    sim.hang_up("c");
    let explained = explained(&mut sim);
    let places: Vec<_> = explained.iter().map(|c| (c.trunk.as_str(), c.place)).collect();
    assert_eq!(places, [("gamma", Some(1)), ("beta", Some(2))]);
    assert_eq!(explained[1].verdict, Verdict::Silent);
    sim.up_to_b();
    assert_eq!(sim.far("c").count("INVITE"), 2, "at once");
    sim.refuse("c", 503, None);
    // Nobody else takes the call.
    sim.advance(s(9));
    let missed: Vec<_> = sim.missed.iter().map(|m| (m.trunk.as_str(), m.why)).collect();
    let silence = ("beta", Miss::Silence);
    assert_eq!(missed, [silence, ("gamma", Miss::Refused(503)), silence]);
    sim.advance(s(61));
    sim.far("b").dead = false;
    sim.up_to_b();
    assert_eq!((sim.far("b").count("INVITE"), sim.far("c").count("INVITE")), (1, 2), "as before");
    sim.hang_up("a");
}

fn explained(sim: &mut Sim) -> Vec<Candidate> {
    sim.command(Command::Explain { token: 99, number: format!("+{NUMBER_B}") });
    let Some(Answer::Explained(explained)) = sim.answers.get(&99) else { panic!("no answer") };
    explained.as_ref().as_ref().unwrap().candidates.clone()
}
