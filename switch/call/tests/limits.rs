//! Money, limits, draining, restarts: what ends a call from outside of it, and what may start one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::sync::Arc;

use call::{Answer, Command, Reply};
use common::*;
use facts::ledger::{Authorized, Extended, OpenCall};
use facts::media::{MediaCommand, MediaEvent};
use facts::{Failure, Kind, LegNo, Number, Origin, Outcome, Placed, Refusal, Side};
use proptest::prelude::*;

const A: LegNo = LegNo::A;
const B: LegNo = LegNo::B;

fn beeps(sim: &Sim) -> usize {
    sim.media.iter().filter(|c| matches!(c, MediaCommand::Interject { .. })).count()
}

#[test]
fn case_48_the_cut_comes_at_the_paid_limit_and_is_billed_to_it() {
    let mut sim = Sim::new();
    sim.ledger.steps = 1;
    sim.up_to_bridge();
    // A answered 3 s before B; both have 120 s in all.
    sim.advance(s(101));
    assert_eq!(beeps(&sim), 0);
    sim.advance(s(2));
    assert_eq!(beeps(&sim), 2, "both hear the warning 15 s before the first leg's limit");
    sim.advance(s(20));
    assert_eq!(beeps(&sim), 2, "once");
    let record = sim.record().clone();
    let why = Failure::new(Origin::Billing, Kind::CreditExhausted);
    assert_eq!((record.outcome, record.released_by), (Outcome::Failed(why), Side::Platform));
    let (a, b) = (record.leg(A).unwrap(), record.leg(B).unwrap());
    assert_eq!(a.talk(), s(120), "exactly what was paid");
    assert_eq!(b.talk(), s(117), "cut with it");
    assert_eq!(a.paid_until, Some(s(120)));
    sim.assert_clean();
}

#[test]
fn case_48_a_late_timer_is_not_billed() {
    let mut sim = Sim::new();
    sim.ledger.chunk = None;
    sim.up_to_bridge();
    // The process stalls: the deadline is met seven seconds late.
    let until = s(60 - 3);
    sim.advance(until - ms(10));
    sim.now = sim.now.after(s(7));
    sim.engine.handle_timeout(sim.now);
    sim.drain();
    let record = sim.record().clone();
    assert_eq!(record.leg(A).unwrap().talk(), s(60));
    assert!(record.leg(B).unwrap().talk() <= s(60));
}

#[test]
fn case_60_out_of_credit_ends_the_leg_that_rings() {
    let mut sim = Sim::new();
    sim.ledger.chunk = None;
    sim.ledger.first = Some(s(20));
    sim.up_to_b();
    sim.ring("b", 180, None);
    sim.advance(s(21));
    assert!(sim.far("b").cancelled());
    let record = sim.record().clone();
    assert_eq!(
        record.outcome,
        Outcome::Failed(Failure::new(Origin::Billing, Kind::CreditExhausted))
    );
    assert_eq!(record.leg(A).unwrap().talk(), s(20));
    sim.assert_clean();
}

#[test]
fn extensions_are_asked_ahead_and_a_store_that_fails_is_asked_again() {
    let mut sim = Sim::new();
    sim.ledger.extends = false;
    sim.up_to_bridge();
    sim.advance(s(45));
    let a = sim.leg(A);
    let asked: Vec<u32> = sim.extensions.iter().filter(|e| e.leg == a).map(|e| e.step).collect();
    assert_eq!(asked, [1], "17 s before the end: the warning and 2 s for the answer");
    sim.reply(Reply::ExtendFailed { leg: a, step: 1 });
    sim.advance(s(2));
    let asked: Vec<u32> = sim.extensions.iter().filter(|e| e.leg == a).map(|e| e.step).collect();
    assert_eq!(asked, [1, 1], "the same step: a repeat is harmless");
    sim.reply(Reply::Extended { leg: a, step: 1, answer: Extended::Paid(Some(s(120))) });
    let b = sim.leg(B);
    sim.reply(Reply::Extended { leg: b, step: 1, answer: Extended::Paid(Some(s(120))) });
    sim.advance(s(20));
    assert!(sim.settled.is_empty(), "past the first hold");
    sim.hang_up("a");
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn who_was_warned_and_paid_more_is_warned_again() {
    let mut sim = Sim::new();
    sim.ledger.steps = 1;
    sim.up_to_bridge();
    sim.advance(s(103));
    assert_eq!(beeps(&sim), 2);
    // Somebody pays in just in time, and it lasts for some minutes more.
    sim.ledger.steps = u32::MAX;
    sim.advance(s(200));
    assert_eq!((beeps(&sim), sim.settled.len()), (2, 0));
    sim.ledger.steps = 0;
    sim.advance(s(130));
    assert_eq!(beeps(&sim), 4, "before the cut that comes");
    let why = Failure::new(Origin::Billing, Kind::CreditExhausted);
    assert_eq!(sim.record().outcome, Outcome::Failed(why));
    sim.assert_clean();
}

#[test]
fn a_store_that_stays_silent_never_costs_more_than_was_paid() {
    let mut sim = Sim::new();
    sim.ledger.extends = false;
    sim.up_to_bridge();
    sim.advance(s(100));
    assert_eq!(sim.record().leg(A).unwrap().talk(), s(60));
    sim.assert_clean();
}

#[test]
fn case_54_parallel_calls_are_each_billed() {
    let mut sim = Sim::new();
    let calls = 5_u64;
    for at in 0..calls {
        sim.place(callback());
        sim.pick_up("a");
        sim.pick_up("b");
        sim.advance(s(at + 1));
    }
    assert_eq!(sim.engine.live().len(), 5);
    let sessions: Vec<_> = sim.far("b").invited.iter().map(|(session, _)| *session).collect();
    for session in sessions {
        let now = sim.now.mono;
        sim.far("b").endpoint.bye(now, session, None);
        sim.drain();
        sim.advance(s(10));
    }
    assert_eq!(sim.settled.len(), 5);
    let mut talks: Vec<u64> =
        sim.settled.iter().map(|facts| facts.leg(B).unwrap().talk().as_secs()).collect();
    talks.sort_unstable();
    // Call k is answered after the first k steps and hung up k times 10 s later.
    let mut expected: Vec<u64> =
        (0..calls).map(|k| (k..calls).map(|at| at + 1).sum::<u64>() + 10 * k).collect();
    expected.sort_unstable();
    assert_eq!(talks, expected);
    let mut ids: Vec<_> = sim.settled.iter().map(|facts| facts.call).collect();
    ids.dedup();
    assert_eq!(ids.len(), 5, "one record each");
    sim.assert_clean();
}

#[test]
fn case_44_three_hundred_finished_calls_leave_nothing() {
    let mut sim = Sim::new();
    for round in 0..300 {
        sim.place(callback());
        match round % 4 {
            0 => sim.refuse("a", 486, None),
            1 => {
                sim.pick_up("a");
                sim.hang_up("a");
            }
            2 => {
                sim.pick_up("a");
                sim.ring("b", 183, Some(&sdp_of("b")));
                sim.refuse("b", 404, None);
                sim.advance(s(21));
            }
            _ => {
                sim.pick_up("a");
                sim.pick_up("b");
                sim.advance(s(3));
                sim.hang_up("b");
            }
        }
    }
    assert_eq!(sim.settled.len(), 300);
    sim.assert_clean();
}

#[test]
fn case_41_case_69_a_slot_is_free_again_however_the_call_failed() {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            snapshot.merchants.get_mut(&MERCHANT).unwrap().max_calls = Some(1);
            snapshot.trunks.get_mut(&facts::TrunkId(1)).unwrap().max_calls = Some(1);
        },
    );
    type Act = fn(&mut Sim);
    let ways: [Act; 6] = [
        |sim| sim.refuse("a", 486, None),
        |sim| {
            sim.ring("a", 180, None);
            sim.advance(s(61));
        },
        |sim| {
            sim.pick_up("a");
            sim.hang_up("a");
        },
        // Both hang up in one breath: the BYEs cross.
        |sim| {
            sim.pick_up("a");
            sim.pick_up("b");
            sim.far("a").muted = true;
            sim.hang_up("a");
            sim.hang_up("b");
            sim.unmute("a");
        },
        |sim| {
            let call = sim.engine.live()[0].call;
            sim.command(Command::HangUp { token: 900, call });
        },
        |sim| {
            sim.pick_up("a");
            sim.refuse("b", 404, None);
            sim.advance(s(25));
        },
    ];
    for (at, way) in ways.into_iter().enumerate() {
        let token = sim.place(callback());
        assert!(sim.placed(token).is_ok(), "round {at}");
        let second = sim.place(callback());
        assert_eq!(sim.placed(second), Err(Refusal::TooManyCalls), "round {at}");
        way(&mut sim);
        sim.advance(s(1));
        assert_eq!(sim.settled.len(), at + 1, "round {at}");
        assert_eq!(sim.engine.counts().places, 0, "round {at}");
        assert_eq!(sim.engine.counts().trunk_legs, 0, "round {at}");
    }
    sim.assert_clean();
}

#[test]
fn rates_are_sliding_windows_of_merchant_and_switch() {
    let mut sim = Sim::with(
        |config| config.calls_per_second = Some(3),
        |snapshot| {
            snapshot.merchants.get_mut(&MERCHANT).unwrap().calls_per_second = Some(2);
        },
    );
    let tokens: Vec<u64> = (0..3).map(|_| sim.place(callback())).collect();
    assert!(sim.placed(tokens[0]).is_ok() && sim.placed(tokens[1]).is_ok());
    assert_eq!(sim.placed(tokens[2]), Err(Refusal::TooManyCalls));
    sim.advance(s(1));
    let token = sim.place(callback());
    assert!(sim.placed(token).is_ok());
}

#[test]
fn what_may_not_be_dialled_is_refused_before_the_ledger_is_asked() {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            snapshot.extensions.insert("80001".into(), extension("80001", "x"));
            let mut other = extension("80002", "x");
            other.merchant = facts::MerchantId(8);
            snapshot.extensions.insert("80002".into(), other);
            let mut off = extension("80003", "x");
            off.enabled = false;
            snapshot.extensions.insert("80003".into(), off);
        },
    );
    let mut refused = |edit: &dyn Fn(&mut facts::CallCommand)| {
        let mut command = callback();
        edit(&mut command);
        let token = sim.place(command);
        sim.placed(token).unwrap_err()
    };
    let internal = |user: &str| Number::Internal(user.into());
    assert_eq!(refused(&|c| c.merchant = facts::MerchantId(99)), Refusal::UnknownMerchant);
    assert_eq!(refused(&|c| c.a.number = internal("80002")), Refusal::BadCaller);
    assert_eq!(refused(&|c| c.a.number = internal("80009")), Refusal::BadCaller);
    assert_eq!(refused(&|c| c.a.number = internal("80003")), Refusal::Disabled);
    assert_eq!(refused(&|c| c.b.as_mut().unwrap().number = internal("80009")), Refusal::NoRoute);
    assert_eq!(
        refused(&|c| c.b.as_mut().unwrap().number = Number::E164("999".into())),
        Refusal::NoRoute
    );
    assert_eq!(
        refused(&|c| c.b.as_mut().unwrap().number = Number::Short("80009".into())),
        Refusal::NoRoute
    );
    let number = callback().a.number;
    assert_eq!(refused(&|c| c.b.as_mut().unwrap().number = number.clone()), Refusal::SameNumber);
    assert!(sim.authorizations.is_empty());
    let mut command = callback();
    command.a.number = internal("80001");
    sim.place(command);
    let why = Failure::new(Origin::LegA, Kind::Unreachable);
    assert_eq!(sim.record().outcome, Outcome::Failed(why), "nobody is registered");
    let mut snapshot = sim.snapshot.clone();
    snapshot.merchants.get_mut(&MERCHANT).unwrap().enabled = false;
    sim.command(Command::Settings(Arc::new(snapshot)));
    let token = sim.place(callback());
    assert_eq!(sim.placed(token), Err(Refusal::Disabled));
}

#[test]
fn a_callback_does_not_ring_one_line_from_both_sides() {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            let mut bound = extension("80001", "x");
            bound.bound_phone = Some(NUMBER_B.into());
            snapshot.extensions.insert("80001".into(), bound);
        },
    );
    let mut command = callback();
    command.a.number = Number::Internal("80001".into());
    let token = sim.place(command.clone());
    assert_eq!(sim.placed(token), Err(Refusal::SameNumber), "its bound phone is B");
    command.b.as_mut().unwrap().number = Number::Internal("80001".into());
    let token = sim.place(command.clone());
    assert_eq!(sim.placed(token), Err(Refusal::SameNumber), "an extension and itself");
    command.b.as_mut().unwrap().number = Number::E164(NUMBER_A.into());
    let token = sim.place(command);
    assert!(sim.placed(token).is_ok());
}

#[test]
fn the_ledgers_refusal_is_the_answer_and_leaves_nothing() {
    let mut sim = Sim::new();
    sim.ledger.refuse = Some(Refusal::NoBalance);
    let token = sim.place(callback());
    assert_eq!(sim.placed(token), Err(Refusal::NoBalance));
    assert!(sim.settled.is_empty() && sim.media.is_empty());
    assert_eq!(sim.far("a").count("INVITE"), 0);
    sim.assert_clean();
}

#[test]
fn the_same_request_in_flight_is_one_call() {
    let mut sim = Sim::new();
    sim.ledger.answers = false;
    let mut command = callback();
    command.key = Some(key("1", "a-b"));
    let first = sim.place(command.clone());
    let second = sim.place(command.clone());
    let mut other = command.clone();
    other.key = Some(key("1", "a-c"));
    let third = sim.place(other);
    assert_eq!(sim.placed(third), Err(Refusal::KeyConflict));
    assert!(!sim.answers.contains_key(&first) && !sim.answers.contains_key(&second));
    assert_eq!(sim.authorizations.len(), 1);
    let call = sim.authorizations[0].call;
    let answer = sim.judge(&sim.authorizations[0]);
    sim.reply(Reply::Authorized { call, answer });
    assert_eq!(sim.placed(first), Ok(Placed { call, duplicate: false }));
    assert_eq!(sim.placed(second), Ok(Placed { call, duplicate: true }));
    let fourth = sim.place(command.clone());
    assert_eq!(sim.placed(fourth), Ok(Placed { call, duplicate: true }));
    sim.refuse("a", 486, None);
    // Forgotten here; the ledger remembers.
    sim.place(command);
    assert_eq!(sim.authorizations.len(), 2);
    let again = sim.authorizations[1].call;
    sim.reply(Reply::Authorized { call: again, answer: Authorized::Existing { call } });
    assert_eq!(sim.answers.len(), 5);
    sim.assert_clean();
}

#[test]
fn a_ledger_that_is_too_late_is_an_error_now_and_no_call_later() {
    let mut sim = Sim::new();
    sim.ledger.answers = false;
    let mut command = callback();
    command.key = Some(key("1", "a-b"));
    let token = sim.place(command.clone());
    sim.advance(s(2));
    assert_eq!(sim.placed(token), Err(Refusal::Internal), "within two seconds");
    let early = sim.place(command.clone());
    assert_eq!(sim.placed(early), Err(Refusal::Busy), "the ledger may have it");
    let call = sim.authorizations[0].call;
    let answer = sim.judge(&sim.authorizations[0]);
    sim.reply(Reply::Authorized { call, answer });
    assert_eq!(sim.far("a").count("INVITE"), 0, "nobody is rung for an answer already given");
    assert_eq!(sim.abandoned, [call]);
    let early = sim.place(command.clone());
    assert_eq!(sim.placed(early), Err(Refusal::Busy), "the key is still in the books");
    sim.reply(Reply::AuthorizeFailed { call });
    assert_eq!(sim.settled.len(), 0, "what never was is not on record");
    sim.ledger.answers = true;
    let again = sim.place(command);
    let Ok(Placed { call: fresh, duplicate: false }) = sim.placed(again) else {
        panic!("a repeat is a call of its own");
    };
    assert_ne!(fresh, call);
    sim.refuse("a", 486, None);
    sim.assert_clean();
}

#[test]
fn case_45_draining_starts_nothing_and_ends_what_is_left_with_a_record() {
    let mut sim = Sim::new();
    sim.up_to_bridge();
    sim.command(Command::Drain { grace: s(30) });
    let token = sim.place(callback());
    assert_eq!(sim.placed(token), Err(Refusal::Busy));
    assert_eq!(sim.drained, 0);
    sim.advance(s(29));
    assert_eq!(sim.far("a").count("BYE"), 0, "calls may go on");
    sim.advance(s(2));
    assert_eq!((sim.far("a").count("BYE"), sim.far("b").count("BYE")), (1, 1));
    let record = sim.record().clone();
    assert_eq!(record.outcome, Outcome::Failed(Failure::new(Origin::Us, Kind::Shutdown)));
    assert_eq!(record.leg(B).unwrap().talk(), s(30));
    assert_eq!(sim.drained, 1);
    sim.assert_clean();
    assert_eq!(sim.drained, 1, "told once");

    let mut idle = Sim::new();
    idle.command(Command::Drain { grace: s(30) });
    assert_eq!(idle.drained, 1, "nothing to wait for");
}

#[test]
fn a_hang_up_by_the_operator_ends_both_legs() {
    let mut sim = Sim::new();
    sim.up_to_bridge();
    let call = sim.leg(A).call;
    sim.command(Command::HangUp { token: 77, call });
    assert_eq!(sim.answers.get(&77), Some(&Answer::HungUp(true)));
    let why = Failure::new(Origin::Us, Kind::HungUpByUs);
    assert_eq!(sim.record().outcome, Outcome::Failed(why));
    sim.command(Command::HangUp { token: 78, call });
    assert_eq!(sim.answers.get(&78), Some(&Answer::HungUp(false)));
    sim.assert_clean();
}

#[test]
fn a_record_that_is_not_written_is_sent_again_and_the_call_is_not_forgotten() {
    let mut sim = Sim::new();
    sim.ledger.settles = false;
    sim.place(callback());
    sim.refuse("a", 486, None);
    sim.advance(s(20));
    assert!(sim.settled.len() >= 3, "again and again");
    assert!(sim.settled.iter().all(|facts| *facts == sim.settled[0]), "the same facts");
    assert_eq!(sim.engine.counts().calls, 1);
    assert_eq!(sim.engine.counts().places, 0, "no place of the merchant is held by it");
    sim.ledger.settles = true;
    sim.advance(s(40));
    sim.assert_clean();
}

#[test]
fn proof_of_life_is_one_batch_every_five_seconds() {
    let mut sim = Sim::new();
    sim.up_to_bridge();
    sim.advance(s(21));
    let call = sim.leg(A).call;
    assert!(sim.alive.len() >= 5);
    assert!(sim.alive.iter().all(|(calls, _)| calls == &[call]));
    for pair in sim.alive.windows(2) {
        assert_eq!(pair[1].1.since(pair[0].1), s(5));
    }
    sim.hang_up("a");
    let batches = sim.alive.len();
    sim.advance(s(20));
    assert_eq!(sim.alive.len(), batches, "nothing to prove");
}

#[test]
fn a_call_of_the_last_process_is_ended_and_billed_to_its_last_proof_of_life() {
    let mut sim = Sim::new();
    sim.up_to_bridge();
    sim.advance(s(32));
    let (calls, alive) = sim.alive.last().unwrap().clone();
    let mut open = OpenCall {
        call: calls[0],
        command: callback(),
        placed: sim.authorizations[0].at,
        legs: Vec::new(),
        alive,
    };
    for entry in &sim.journal {
        open.legs.retain(|leg| leg.leg != entry.leg);
        open.legs.push(entry.clone());
    }
    assert!(open.legs.iter().all(|leg| leg.dialog.is_some()), "answered legs can be ended later");
    let told = sim.notes.len();
    // The process is killed; another one starts ten seconds later.
    sim.now = sim.now.after(s(10));
    sim.engine = call::Engine::new(engine_config(), Arc::new(sim.snapshot.clone()), sim.now);
    sim.command(Command::Recover(Box::new(open)));
    let byes = (sim.far("a").count("BYE"), sim.far("b").count("BYE"));
    assert_eq!(byes, (1, 1), "the far ends are told");
    assert!(sim.far("a").ended() && sim.far("b").ended(), "in the dialogs they know");
    let record = sim.record().clone();
    assert_eq!(record.outcome, Outcome::Failed(Failure::new(Origin::Us, Kind::Crash)));
    for leg in &record.legs {
        assert_eq!(leg.ended, Some(alive));
        assert_eq!(leg.talk(), alive.since(leg.answered.unwrap()));
    }
    assert_eq!(sim.notes.len(), told + 2);
    sim.assert_numbered();
    sim.advance(s(40));
    assert_eq!(sim.engine.counts().calls, 0);
    assert_eq!(sim.engine.counts().sessions, 0);
}

#[test]
fn a_crash_at_any_edge_repeats_no_state_and_loses_none() {
    type Act = fn(&mut Sim);
    let edges: [Act; 4] = [
        |_| {},
        |sim| sim.ring("a", 180, None),
        |sim| sim.pick_up("a"),
        |sim| {
            sim.pick_up("a");
            sim.ring("b", 183, None);
        },
    ];
    for edge in edges {
        let mut sim = Sim::new();
        sim.place(callback());
        edge(&mut sim);
        let told = sim.notes.len();
        let mut open = OpenCall {
            call: sim.leg(A).call,
            command: callback(),
            placed: sim.authorizations[0].at,
            legs: Vec::new(),
            alive: sim.now.wall,
        };
        for entry in &sim.journal {
            open.legs.retain(|leg| leg.leg != entry.leg);
            open.legs.push(entry.clone());
        }
        sim.engine = call::Engine::new(engine_config(), Arc::new(sim.snapshot.clone()), sim.now);
        sim.command(Command::Recover(Box::new(open)));
        assert!(sim.notes.len() > told);
        sim.assert_numbered();
        let down = sim.notes.iter().filter(|n| n.state == facts::record::LegState::Disconnect);
        let rung = sim.notes.iter().filter(|n| n.state == facts::record::LegState::Callout);
        assert_eq!(down.count(), rung.count());
        assert_eq!(sim.record().released_by, Side::Platform);
    }
}

#[test]
fn a_bye_that_died_with_the_process_is_said_again_by_the_next() {
    let mut sim = Sim::new();
    sim.ledger.settles = false;
    sim.up_to_bridge();
    sim.far("b").dead = true;
    sim.hang_up("a");
    assert!(!sim.far("b").ended(), "our BYE was lost");
    let facts = sim.settled[0].clone();
    let mut open = OpenCall {
        call: facts.call,
        command: facts.command.clone(),
        placed: facts.placed,
        legs: Vec::new(),
        alive: facts.ended,
    };
    for entry in &sim.journal {
        open.legs.retain(|leg| leg.leg != entry.leg);
        open.legs.push(entry.clone());
    }
    let byes = sim.far("a").count("BYE");
    sim.far("b").dead = false;
    sim.ledger.settles = true;
    sim.engine = call::Engine::new(engine_config(), Arc::new(sim.snapshot.clone()), sim.now);
    sim.command(Command::Recover(Box::new(open)));
    assert!(sim.far("b").ended(), "now B knows");
    assert_eq!(sim.far("a").count("BYE"), byes, "A hung up itself");
    assert_eq!(sim.settled.last().unwrap().outcome, Outcome::Completed);
}

#[test]
fn a_call_of_the_last_process_that_was_over_keeps_its_outcome() {
    let mut sim = Sim::new();
    sim.ledger.settles = false;
    sim.up_to_bridge();
    sim.advance(s(10));
    sim.hang_up("b");
    let facts = sim.settled[0].clone();
    let mut open = OpenCall {
        call: facts.call,
        command: facts.command.clone(),
        placed: facts.placed,
        legs: Vec::new(),
        alive: facts.ended,
    };
    for entry in &sim.journal {
        open.legs.retain(|leg| leg.leg != entry.leg);
        open.legs.push(entry.clone());
    }
    let mut next = Sim::new();
    next.command(Command::Recover(Box::new(open)));
    let record = next.record().clone();
    assert_eq!(record.outcome, Outcome::Completed);
    assert_eq!(record.released_by, Side::Callee);
    assert_eq!(record.bridged, facts.bridged);
    assert_eq!(record.ended, facts.ended);
}

/// One move of the outside world.
#[derive(Clone, Copy, Debug)]
enum Move {
    Ring(bool),
    Early(bool),
    PickUp(bool),
    Refuse(bool, u16),
    HangUp(bool),
    Started(bool),
    Silent(bool),
    Played,
    Wait(u64),
    Mute(bool),
    Unmute(bool),
    Operator,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        1 => any::<bool>().prop_map(Move::Ring),
        1 => any::<bool>().prop_map(Move::Early),
        3 => any::<bool>().prop_map(Move::PickUp),
        1 => (any::<bool>(), prop_oneof![Just(486), Just(404), Just(503), Just(480), Just(302)])
            .prop_map(|(a, code)| Move::Refuse(a, code)),
        1 => any::<bool>().prop_map(Move::HangUp),
        1 => any::<bool>().prop_map(Move::Started),
        1 => any::<bool>().prop_map(Move::Silent),
        1 => Just(Move::Played),
        3 => (0u64..70).prop_map(Move::Wait),
        1 => any::<bool>().prop_map(Move::Mute),
        1 => any::<bool>().prop_map(Move::Unmute),
        1 => Just(Move::Operator),
    ];
    proptest::collection::vec(one, 0..14)
}

fn play(sim: &mut Sim, what: Move) {
    let name = |a: bool| if a { "a" } else { "b" };
    let rung = |sim: &mut Sim, a: bool| !sim.far(name(a)).invited.is_empty();
    let leg = |sim: &Sim, a: bool| sim.leg(if a { A } else { B });
    match what {
        Move::Ring(a) if rung(sim, a) => sim.ring(name(a), 180, None),
        Move::Early(a) if rung(sim, a) => sim.ring(name(a), 183, Some(&sdp_of(name(a)))),
        Move::PickUp(a) if rung(sim, a) => sim.pick_up(name(a)),
        Move::Refuse(a, code) if rung(sim, a) => sim.refuse(name(a), code, None),
        Move::HangUp(a) if rung(sim, a) => sim.hang_up(name(a)),
        Move::Started(a) => sim.media(MediaEvent::Started { leg: leg(sim, a) }),
        Move::Silent(a) => sim.media(MediaEvent::Silent { leg: leg(sim, a), since: s(5) }),
        Move::Played => sim.media(MediaEvent::Played { leg: leg(sim, true) }),
        Move::Wait(seconds) => sim.advance(s(seconds)),
        Move::Mute(a) => sim.far(name(a)).muted = true,
        Move::Unmute(a) => sim.unmute(name(a)),
        Move::Operator => {
            let call = sim.leg(A).call;
            sim.answers.remove(&1_000);
            sim.command(Command::HangUp { token: 1_000, call });
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// case_68: whatever the world does, the job ends by its deadline, with exactly one record, one
    /// set of facts per leg attempted, nothing billed past what was paid, and nothing left behind.
    #[test]
    fn case_68_every_job_ends_with_one_record(
        moves in moves(),
        steps in 0u32..4,
        loss in prop_oneof![Just(0u64), 1u64..31],
        seed in any::<u64>(),
    ) {
        let mut sim = Sim::with(|_| {}, |snapshot| {
            snapshot.merchants.get_mut(&MERCHANT).unwrap().max_talk = s(300);
        });
        sim.ledger.steps = steps;
        sim.loss = loss;
        sim.seed(seed);
        let token = sim.place(callback());
        prop_assert!(sim.placed(token).is_ok());
        for what in moves {
            play(&mut sim, what);
            let counts = sim.engine.counts();
            prop_assert!(counts.legs <= 2 * counts.calls);
            prop_assert!(counts.calls == 0 || counts.timers > 0, "every call has a deadline");
        }
        sim.unmute("a");
        sim.unmute("b");
        sim.advance(s(700));
        prop_assert_eq!(sim.settled.len(), 1);
        let facts = &sim.settled[0];
        let dialled = |no: LegNo| sim.notes.iter().any(|n| n.leg.no == no);
        for no in [A, B] {
            prop_assert_eq!(facts.legs.iter().filter(|l| l.no == no).count(), usize::from(dialled(no)));
        }
        for leg in &facts.legs {
            prop_assert!(leg.ended.is_some());
            if let Some(paid) = leg.paid_until {
                prop_assert!(leg.talk() <= paid);
            }
            let down = sim.notes.iter()
                .filter(|n| n.leg.no == leg.no && n.state == facts::record::LegState::Disconnect);
            prop_assert_eq!(down.count(), 1);
        }
        sim.states();
        sim.assert_clean();
    }
}
