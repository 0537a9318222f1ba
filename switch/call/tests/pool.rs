//! Numbers that are shown in turn: of a merchant, of a carrier, and whose goes first.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::phones::{DESK, bind, call_from};
use common::*;
use facts::pool::{CoolDown, Pick, Pool};
use facts::settings::Snapshot;
use facts::{Number, TrunkId};
use sip::wire::HeaderName;

fn pool(numbers: &[&str]) -> Pool {
    let numbers = numbers.iter().map(|&number| number.to_owned()).collect();
    Pool { numbers, pick: Pick::RoundRobin, ..Pool::default() }
}

/// Who calls, as carrier B was told it last.
fn shown(sim: &mut Sim) -> String {
    sim.far("b").last("INVITE").name_addr(HeaderName::From).unwrap().uri.user_text().unwrap()
}

fn sim(set: impl FnOnce(&mut Snapshot)) -> Sim {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            snapshot.extensions.insert("80001".into(), extension("80001", "right"));
            set(snapshot);
        },
    );
    sim.add("desk", DESK, 170);
    bind(&mut sim, &[("80001", DESK)]);
    sim
}

fn of_trunk(snapshot: &mut Snapshot, pool: Pool) {
    snapshot.trunks.get_mut(&TrunkId(2)).unwrap().options.pool = Some(pool);
}

#[test]
fn a_merchants_calls_show_its_numbers_in_turn_unless_they_name_one() {
    let mut sim = sim(|snapshot| {
        snapshot.pools.insert(MERCHANT, pool(&["8610555001", "8610555002"]));
        of_trunk(snapshot, pool(&["8610777001"]));
    });
    for expected in ["+8610555001", "+8610555002", "+8610555001"] {
        call_from(&mut sim, "desk", "80001", "01088880000");
        assert_eq!(shown(&mut sim), expected);
    }
    let mut command = callback();
    command.b.as_mut().unwrap().shown = Some(Number::E164("861066660000".into()));
    sim.place(command);
    sim.pick_up("a");
    assert_eq!(shown(&mut sim), "+861066660000", "the call's own");
    let from = sim.far("a").last("INVITE").name_addr(HeaderName::From).unwrap().uri.user_text();
    assert_eq!(from.as_deref(), Some("+8610555002"), "the other leg named none");
}

#[test]
fn a_carriers_pool_is_for_calls_without_a_number_or_always_where_it_takes_no_other() {
    for (always, has_own, expected) in
        [(false, true, "+861088889999"), (false, false, "+8610777001"), (true, true, "+8610777001")]
    {
        let mut sim = sim(|snapshot| {
            of_trunk(snapshot, Pool { always, ..pool(&["8610777001"]) });
            if !has_own {
                snapshot.merchants.get_mut(&MERCHANT).unwrap().shown = None;
            }
        });
        call_from(&mut sim, "desk", "80001", "01088880000");
        assert_eq!(shown(&mut sim), expected);
        sim.pick_up("b");
        sim.hang_up("b");
        assert_eq!(sim.record().legs[1].shown, expected, "on record as it was shown");
        sim.assert_clean();
    }
}

#[test]
fn a_number_at_its_limit_is_passed_over_and_without_one_the_call_goes_as_before() {
    let mut sim = sim(|snapshot| {
        let limited = Pool { max_calls: Some(1), ..pool(&["8610555001", "8610555002"]) };
        snapshot.pools.insert(MERCHANT, limited);
    });
    let mut sessions = Vec::new();
    for expected in ["+8610555001", "+8610555002", "+861088889999"] {
        sessions.push(call_from(&mut sim, "desk", "80001", "01088880000"));
        assert_eq!(shown(&mut sim), expected);
    }
    let now = sim.now.mono;
    sim.far("desk").endpoint.bye(now, sessions[1], None);
    sim.drain();
    call_from(&mut sim, "desk", "80001", "01088880000");
    assert_eq!(shown(&mut sim), "+8610555002", "free again");
    sim.advance(s(120));
    sim.assert_clean();
}

#[test]
fn an_extension_is_rung_with_the_callers_own_number_and_explain_names_the_pool() {
    let mut sim = sim(|snapshot| {
        snapshot.extensions.insert("80002".into(), extension("80002", "right"));
        snapshot.pools.insert(MERCHANT, Pool { always: true, ..pool(&["8610555001"]) });
        of_trunk(snapshot, pool(&["8610777001", "8610777002"]));
    });
    call_from(&mut sim, "desk", "80001", "80001");
    assert!(sim.engine.counts().watched == 0, "nobody outside is shown anything");
    sim.command(call::Command::Explain { token: 99, number: NUMBER_B.replace("86", "+86") });
    let Some(call::Answer::Explained(explained)) = sim.answers.get(&99) else {
        panic!("no answer")
    };
    let pool = explained.as_ref().as_ref().unwrap().candidates[0].pool.as_deref();
    assert_eq!(pool, Some("shows one of its 2 numbers (round_robin) where a call names none"));
}

#[test]
fn a_carrier_that_was_left_frees_its_number_and_a_day_counts_what_was_sent() {
    let one =
        Pool { max_calls: Some(1), calls_per_day: Some(2), always: true, ..pool(&["8610777001"]) };
    let mut sim = sim(|snapshot| {
        of_trunk(snapshot, one.clone());
        snapshot.routes.push(facts::settings::Route::new("8610", TrunkId(3), 1));
    });
    // No port: nothing was sent, and nothing is counted.
    sim.media_answers = false;
    for _ in 0..3 {
        call_from(&mut sim, "desk", "80001", "01088880000");
        sim.advance(s(60));
    }
    assert_eq!((sim.far("b").count("INVITE"), sim.engine.counts().watched), (0, 0));
    sim.media_answers = true;
    sim.advance(s(60));
    call_from(&mut sim, "desk", "80001", "01088880000");
    assert_eq!(shown(&mut sim), "+8610777001");
    sim.refuse("b", 503, None);
    assert_eq!(sim.far("c").count("INVITE"), 1);
    assert_eq!(sim.engine.counts().watched, 0, "carrier C shows none of B's");
    sim.advance(s(30));
    call_from(&mut sim, "desk", "80001", "01088880000");
    assert_eq!(
        shown(&mut sim),
        "+8610777001",
        "the second of its day, while the first still rings"
    );
}

#[test]
fn s6_a_number_that_nobody_answers_is_passed_over_until_it_has_rested() {
    let mut sim = sim(|snapshot| {
        let cool_down = Some(CoolDown { answered_below: 20, of: 5, rest_s: 600 });
        let two = pool(&["8610555001", "8610555002"]);
        snapshot.pools.insert(MERCHANT, Pool { pick: Pick::Sticky, cool_down, ..two });
    });
    let ring = |sim: &mut Sim, answered: bool| {
        call_from(sim, "desk", "80001", "01088880000");
        match answered {
            true => {
                sim.pick_up("b");
                sim.hang_up("b");
            }
            false => sim.refuse("b", 486, None),
        }
        shown(sim)
    };
    let first = ring(&mut sim, true);
    for _ in 0..4 {
        assert_eq!(ring(&mut sim, false), first, "one of five is enough");
    }
    assert_eq!(ring(&mut sim, false), first);
    let second = ring(&mut sim, true);
    assert_ne!(second, first, "none of five was not");
    sim.advance(s(599));
    assert_eq!(ring(&mut sim, true), second);
    sim.advance(s(1));
    assert_eq!(ring(&mut sim, true), first, "it has rested");
    sim.assert_clean();
}
