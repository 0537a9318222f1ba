//! Sound among strangers: attacks on the latch, roaming, new streams, ports that come again.

#![allow(clippy::print_stderr, reason = "the seed of a failing world")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sim::sound::far::Change;
use sim::sound::{Plan, Seen, World};

fn plan(seed: u64) -> Plan {
    Plan {
        seed,
        calls: 24,
        over: Duration::from_secs(60),
        rest: Duration::from_secs(5),
        loss: if seed.is_multiple_of(3) { 0 } else { 30 },
        bursts: if seed.is_multiple_of(5) { 200 } else { 40 },
    }
}

fn good(seed: u64) -> Seen {
    let seen = World::new(plan(seed)).run();
    if !seen.faults.is_empty() {
        eprintln!("seed {seed}: {:?}", plan(seed));
        panic!("{}", seen.faults.join("\n"));
    }
    seen
}

/// Twenty-four fixed worlds: field cases 2, 6 and 7, and RFC 3550 §11 and RFC 7362 §4 behind them.
#[test]
fn case_2_6_7_far_ends_are_heard_and_strangers_are_not() {
    let (mut attacks, mut late, mut calls, mut heard, mut said) = (0, 0, 0, 0, 0);
    let mut changes: BTreeMap<Change, u64> = BTreeMap::new();
    for seed in 0..24 {
        let seen = good(seed);
        attacks += seen.attacks;
        late += seen.late;
        calls += seen.calls;
        heard += seen.heard;
        said += seen.said;
        assert!(seen.sent > seen.heard / 2, "seed {seed}: {seen:?}");
        for (change, times) in seen.changes {
            *changes.entry(change).or_default() += times;
        }
    }
    assert!(calls > 250 && said > 250_000, "{calls} calls, {said} packets");
    assert!(heard * 100 > said * 90, "{heard} of {said}: who moves is found soon");
    assert!(attacks > 50_000 && late > 10_000, "{attacks} attacks, {late} late");
    for change in Change::ALL {
        assert!(changes.get(&change).copied().unwrap_or(0) > 50, "{changes:?}");
    }
}

/// The world can tell: ports that do not rest are heard by who was there before.
#[test]
fn case_7_ports_that_do_not_rest_are_found_out() {
    let plan = |seed| Plan { rest: Duration::ZERO, calls: 60, ..plan(seed) };
    let found = (0..20).any(|seed| {
        let faults = World::new(plan(seed)).run().faults;
        faults.iter().any(|fault| fault.contains(" hears "))
    });
    assert!(found, "twenty worlds without rest, and nobody was heard by the wrong call");
}

/// A gateway that had roamed and was told to be where it had been first.
#[test]
fn case_6_a_world_in_which_somebody_came_back() {
    good(1_074);
}

/// More worlds, for as long as `SIM_SECONDS` says (from `SIM_FROM`, see the days).
#[test]
fn more_worlds_hold() {
    let seconds = std::env::var("SIM_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(5);
    let from = std::env::var("SIM_FROM").ok();
    let from = match from.as_deref() {
        Some("fresh") => {
            let day = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            day.map_or(0, |day| day.as_millis() as u64)
        }
        Some(number) => number.parse().expect("a number"),
        None => 1_000,
    };
    let end = Instant::now() + Duration::from_secs(seconds) / 4;
    for seed in from.. {
        good(seed);
        if Instant::now() >= end {
            break;
        }
    }
}
