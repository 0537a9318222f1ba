//! Days of the deterministic world: those that are known, then more for as long as asked.

#![allow(clippy::print_stderr, reason = "the seed of a failing day")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use facts::{LegNo, Micros};
use sim::far::Skills;
use sim::{Plan, World, audit, team};

fn plan(seed: u64) -> Plan {
    Plan {
        seed,
        calls: 12,
        over: Duration::from_secs(120),
        crashes: u32::try_from(seed % 3).unwrap_or(0),
        paid_in: if seed.is_multiple_of(5) { Micros(900_000) } else { Micros::units(1000) },
        max_calls: seed.is_multiple_of(7).then_some(4),
        stormy: !seed.is_multiple_of(4),
        dials: if transfers(seed) { 10 } else { 4 },
        drain: seed.is_multiple_of(3),
        shaky: seed % 5 == 1 || seed % 5 == 3,
        aimed: u32::try_from(seed % 4).unwrap_or(0),
        skills: Skills {
            reliable: seed / 4 % 2 == 1,
            agrees: seed / 8 % 2 == 1,
            watches: seed / 2 % 2 == 1,
            transfers: transfers(seed),
            ..Skills::default()
        },
        watched: seed / 16 % 4 == 1,
    }
}

/// Every other day people put each other through.
fn transfers(seed: u64) -> bool {
    seed / 2 % 2 == 1
}

fn day(seed: u64) -> World {
    let mut world = World::new(plan(seed));
    let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.run()));
    if let Err(panic) = seen {
        eprintln!("seed {seed} failed: {:?}", plan(seed));
        std::panic::resume_unwind(panic);
    }
    world
}

/// Two hundred fixed days: loss up to 30 %, doubling, reordering, crashes, short money, few slots,
/// carriers that fall back, phones that ring together, people who dial by themselves, drains.
#[test]
fn two_hundred_days_add_up() {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut seen_on_the_way: BTreeMap<String, u32> = BTreeMap::new();
    let mut count = |word: String| *seen.entry(word).or_default() += 1;
    for seed in 0..200 {
        let world = day(seed);
        for _ in 0..world.offers() {
            count("offers".into());
        }
        if world.drained {
            count("drained".into());
        }
        for (word, times) in [
            ("crashes", world.crashes),
            ("exits", world.exits),
            ("links", world.media.links),
            ("supervised", world.media.rooms),
            ("taken", taken(&world)),
            ("store failures", world.failures),
            ("unwritten", u32::from(!world.unwritten.is_empty())),
        ] {
            for _ in 0..times {
                count(word.into());
            }
        }
        for facts in world.store.records.values() {
            let kind = if facts.command.key.is_some() { "callback" } else { "dialled" };
            count(audit::outcome(facts));
            count(format!("{kind}:{}", audit::outcome(facts)));
            if facts.command.b.as_ref().is_some_and(|b| b.number.digits() == team::TEAM) {
                count(format!("team:{}", audit::outcome(facts)));
            }
            if facts.message.is_some() {
                count("messages".into());
            }
            if facts.legs.iter().any(|leg| leg.no > LegNo::B) {
                count(format!("led on:{}", audit::outcome(facts)));
            }
            for leg in &facts.legs {
                count(format!("trunk:{}", leg.trunk));
            }
        }
        for (word, times) in world.wire.heard.iter().chain(&world.news) {
            *seen_on_the_way.entry(word.clone()).or_default() += times;
        }
        for (who, spent) in &world.store.spent {
            count(format!("spent:{}", who.map_or(0, |id| id.0)));
            assert!(*spent > Micros::ZERO);
        }
    }
    seen.extend(seen_on_the_way);
    println!("{seen:#?}");
    // The days are only worth something if they are varied.
    for word in [
        "completed",
        "LegB:busy",
        "LegB:no_answer",
        "LegA:rejected",
        "Us:crash",
        "Us:shutdown",
        "Billing:credit_exhausted",
        "callback:completed",
        "dialled:completed",
        "dialled:LegA:abandoned",
        "trunk:c",
        "team:completed",
        "team:LegA:abandoned",
        "led on:completed",
        "offers",
        "messages",
        "drained",
        "exits",
        "store failures",
        "unwritten",
        "spent:0",
        "spent:1",
        "spent:2",
        "spent:3",
        "200 PRACK",
        "200 UPDATE",
        "200 REGISTER",
        "200 OPTIONS",
        "488 INVITE",
        "202 REFER",
        "403 REFER",
        "links",
        "supervised",
        "taken",
        "504 UPDATE",
        "Registered",
        "Unregistered",
        "Down",
        "Up",
    ] {
        assert!(seen.contains_key(word), "no day had {word}: {seen:?}");
    }
}

/// Legs of whoever called in to take a place, and had it.
fn taken(world: &World) -> u32 {
    let legs = world.store.records.values().flat_map(|facts| &facts.legs);
    let came = legs.filter(|leg| {
        let inside = matches!(leg.number, facts::Number::Internal(_));
        leg.no > LegNo::B && inside && leg.shown == leg.number.digits()
    });
    u32::try_from(came.filter(|leg| leg.answered.is_some()).count()).unwrap_or(u32::MAX)
}

/// The first seed unless another is said.
const FROM: u64 = 0x7a6d;

/// More days, for as long as `SIM_SECONDS` says; the seed of a failure is printed, `SIM_SEED` replays one. Seeds are
/// counted up from `SIM_FROM`, the same number each time unless something else is said, so that what fails was changed;
/// `SIM_FROM=fresh` begins at the time of day, to look for more.
#[test]
fn more_days_add_up() {
    let seconds = std::env::var("SIM_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(5);
    let deadline = Instant::now() + Duration::from_secs(seconds);
    if let Some(seed) = std::env::var("SIM_SEED").ok().and_then(|s| s.parse().ok()) {
        day(seed);
        return;
    }
    let from = std::env::var("SIM_FROM").ok();
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut seed = match from.as_deref() {
        Some("fresh") => clock.map_or(0, |d| u64::try_from(d.as_micros()).unwrap_or(0)),
        from => from.and_then(|from| from.parse().ok()).unwrap_or(FROM),
    };
    let mut days = 0_u32;
    while Instant::now() < deadline {
        seed += 1;
        day(seed);
        days += 1;
    }
    println!("{days} more days, last seed {seed}");
    assert!(days > 0);
}

/// The same seed gives the same world.
#[test]
fn a_seed_replays() {
    let (one, two) = (day(17), day(17));
    assert_eq!(one.steps, two.steps);
    assert_eq!(one.store.balance, two.store.balance);
}
