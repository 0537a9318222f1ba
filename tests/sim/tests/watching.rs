//! Days on which somebody watches the office, with the weather and the crashes of every other day.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use facts::Micros;
use sim::far::Skills;
use sim::{Plan, World};

fn plan(seed: u64) -> Plan {
    Plan {
        seed,
        calls: 12,
        over: Duration::from_secs(240),
        crashes: u32::from(seed.is_multiple_of(3)),
        paid_in: Micros::units(1000),
        max_calls: None,
        stormy: !seed.is_multiple_of(2),
        dials: 8,
        drain: false,
        shaky: false,
        aimed: 0,
        skills: Skills { watches: true, ..Skills::default() },
        watched: false,
    }
}

#[test]
fn rfc6665_4_2_days_on_which_somebody_watches_add_up() {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut told = 0;
    for seed in 0..24 {
        let mut world = World::new(plan(seed));
        world.run();
        told += world.watcher.as_ref().unwrap().told;
        for (word, times) in &world.wire.heard {
            *seen.entry(word.clone()).or_default() += times;
        }
    }
    // The days are only worth something if they are varied.
    for word in [
        "200 SUBSCRIBE",
        "401 SUBSCRIBE",
        "481 SUBSCRIBE",
        "200 NOTIFY",
        "481 NOTIFY",
        "503 NOTIFY",
        "200 MESSAGE",
        "401 MESSAGE",
    ] {
        assert!(seen.contains_key(word), "no day had {word}: {seen:?}");
    }
    assert!(told > 200, "{told} NOTIFYs in all these days");
}

#[test]
fn a_subscription_that_outlives_its_time_is_found() {
    let verdict = |doubts| {
        let mut world = World::new(plan(2));
        world.doubts = doubts;
        catch_unwind(AssertUnwindSafe(|| world.run()))
            .err()
            .and_then(|panic| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default()
    };
    assert_eq!(verdict(false), "");
    let said = verdict(true);
    assert!(said.contains("a subscription outlived"), "{said:?}");
}
