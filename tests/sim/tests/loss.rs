//! Calls over a network that loses, doubles and reorders (conformance F7): far ends that always answer, so that
//! what does not connect is the network's doing. The auditor looks after every step: one record a call, one CDR a
//! leg, billed time and the wire's agree.

#![allow(clippy::print_stderr, reason = "the figures")]

use std::time::Duration;

use facts::{Micros, Outcome};
use sim::far::Skills;
use sim::net::Weather;
use sim::{Plan, World};

/// Calls of one world, one a second.
const EACH: u32 = 100;

/// Calls in all: `F7_CALLS`, or 500.
fn wanted() -> u32 {
    std::env::var("F7_CALLS").ok().and_then(|text| text.parse().ok()).unwrap_or(500)
}

/// The seed of the first world: `F7_SEED`, to play one anew that failed.
fn first() -> u64 {
    std::env::var("F7_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(7_000)
}

/// One world, audited.
fn play(seed: u64, weather: Weather) -> World {
    let mut world = World::new(Plan {
        seed,
        calls: EACH,
        over: Duration::from_secs(EACH.into()),
        crashes: 0,
        paid_in: Micros::units(100_000),
        max_calls: None,
        stormy: false,
        dials: 0,
        drain: false,
        shaky: false,
        aimed: 0,
        skills: Skills { steady: true, ..Skills::default() },
        watched: false,
    });
    world.weather = weather;
    world.run();
    world
}

/// How many calls there were, and how many were completed.
fn calls(weather: Weather) -> (usize, usize) {
    let (mut all, mut completed) = (0, 0);
    let mut why = std::collections::BTreeMap::new();
    for seed in (first()..).take(wanted().div_ceil(EACH) as usize) {
        eprintln!("{weather:?}: seed {seed}");
        let world = play(seed, weather);
        for facts in world.store.records.values() {
            if facts.outcome != Outcome::Completed {
                *why.entry(sim::audit::outcome(facts)).or_insert(0) += 1;
            }
        }
        all += world.store.records.len();
        let done = |outcome: &Outcome| *outcome == Outcome::Completed;
        completed += world.store.records.values().filter(|facts| done(&facts.outcome)).count();
    }
    eprintln!("{weather:?}: {completed} of {all} connected, {why:?}");
    (all, completed)
}

#[test]
fn f7_with_five_in_a_hundred_lost_every_call_connects() {
    let (all, completed) = calls(Weather { loss: 50, duplicate: 10, reorder: 100 });
    assert!(all >= wanted() as usize);
    assert_eq!(completed, all);
}

#[test]
fn f7_with_twenty_in_a_hundred_lost_all_but_few_connect() {
    let (all, completed) = calls(Weather { loss: 200, duplicate: 10, reorder: 100 });
    assert!(all >= wanted() as usize);
    assert!(completed * 1000 >= all * 995, "{completed} of {all}");
}

const FORTY: Weather = Weather { loss: 400, duplicate: 10, reorder: 100 };

/// Both sides hang up, and the BYE of the far end is answered by nobody for 32 s: it was over for it when it said
/// so (RFC 3261 §15.1.1).
#[test]
fn case_38_rfc3261_15_1_1_whoever_says_bye_has_hung_up_whatever_becomes_of_it() {
    assert_eq!(play(7_010, FORTY).store.records.len(), EACH as usize);
}

#[test]
fn case_38_f7_with_forty_in_a_hundred_lost_every_call_comes_to_an_end() {
    let (all, completed) = calls(FORTY);
    assert!(all >= wanted() as usize, "each has its record");
    assert!(completed > 0);
}
