//! How much a carrier is given, in each direction, and what is kept free for calls that we originate.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use call::{Answer, Command};
use common::*;
use facts::TrunkId;
use facts::routing::Verdict;
use facts::settings::{Extension, Snapshot, TrunkOptions};

fn with(reserved: usize, set: impl Fn(&mut TrunkOptions)) -> Sim {
    Sim::with(
        |config| {
            config.calls_max = 3;
            config.calls_reserved = reserved;
        },
        |snapshot: &mut Snapshot| {
            let phone = Some(NUMBER_B.to_owned());
            let desk = Extension { bound_phone: phone, ..extension("80001", "x") };
            snapshot.extensions.insert("80001".into(), desk);
            snapshot.inbound.insert("861088880001".into(), "80001".into());
            set(&mut snapshot.trunks.get_mut(&TrunkId(1)).unwrap().options);
        },
    )
}

/// A call of the first carrier; the status of its answer, 0 while there is none.
fn call_in(sim: &mut Sim, n: u32) -> u16 {
    sim.raw(
        CARRIER_A,
        &format!(
            "INVITE sip:+861088880001@{US} SIP/2.0\nVia: SIP/2.0/UDP {CARRIER_A};branch=z9hG4bKcap{n}\n\
             Max-Forwards: 70\nFrom: <sip:+8613900139000@carrier.example>;tag={n}\n\
             To: <sip:+861088880001@{US}>\nCall-ID: capacity-{n}\nCSeq: 1 INVITE\n\
             Contact: <sip:x@{CARRIER_A}>\nContent-Length: 0\n\n"
        ),
    );
    let id = format!("capacity-{n}");
    let heard = sim.far("a").heard.iter().rev();
    let mut own = heard.filter(|m| m.call_id() == Some(id.as_str()));
    own.find_map(|m| m.status().filter(|status| *status >= 200)).unwrap_or(0)
}

#[test]
fn rfc7339_a_carrier_that_answers_503_is_given_half_and_then_more_by_steps() {
    let mut sim = with(0, |options| options.throttle = true);
    for _ in 0..4 {
        sim.place(callback());
        sim.refuse("a", 486, None);
    }
    sim.place(callback());
    sim.refuse("a", 503, None);
    let asked = |sim: &mut Sim| {
        sim.command(Command::Explain {
            token: 900 + sim.settled.len() as u64,
            number: format!("+{NUMBER_A}"),
        });
        let token = 900 + sim.settled.len() as u64;
        let Some(Answer::Explained(explained)) = sim.answers.remove(&token) else { panic!() };
        explained.unwrap().candidates[0].verdict.clone()
    };
    assert_eq!(asked(&mut sim), Verdict::Throttled { per_second: 2 }, "five were too many");
    let before = sim.far("a").invited.len();
    sim.place(callback());
    assert_eq!(sim.far("a").invited.len(), before);
    sim.advance(s(2));
    assert_eq!(asked(&mut sim), Verdict::Tried);
    sim.advance(s(30));
    for _ in 0..6 {
        sim.place(callback());
        sim.refuse("a", 486, None);
    }
    assert_eq!(sim.far("a").invited.len(), before + 6, "as before");
}

#[test]
fn without_the_setting_503_lowers_nothing() {
    let mut sim = with(0, |_| {});
    for _ in 0..5 {
        sim.place(callback());
        sim.refuse("a", 503, None);
    }
    assert_eq!(sim.far("a").invited.len(), 5);
}

#[test]
fn legs_are_limited_for_each_direction() {
    let mut sim = with(0, |options| options.max_calls_in = Some(1));
    assert_eq!(call_in(&mut sim, 1), 0);
    assert_eq!(call_in(&mut sim, 2), 503);
    sim.place(callback());
    assert_eq!(sim.far("a").invited.len(), 1, "the other direction is free");
    let mut sim = with(0, |options| options.max_calls_out = Some(1));
    sim.place(callback());
    sim.place(callback());
    assert_eq!(sim.far("a").invited.len(), 1);
    assert_eq!(call_in(&mut sim, 3), 0, "the other direction is free");
}

#[test]
fn calls_that_come_are_limited_by_the_second() {
    let mut sim = with(0, |options| options.calls_per_second_in = Some(2));
    assert_eq!([call_in(&mut sim, 1), call_in(&mut sim, 2), call_in(&mut sim, 3)], [0, 0, 503]);
    let refusal = sim.far("a").heard.last().unwrap();
    let after = refusal.retry_after().unwrap().seconds;
    assert!((1..=10).contains(&after), "{after}");
}

#[test]
fn places_are_kept_for_the_calls_of_merchants() {
    let mut sim = with(1, |_| {});
    assert_eq!([call_in(&mut sim, 1), call_in(&mut sim, 2), call_in(&mut sim, 3)], [0, 0, 503]);
    let token = sim.place(callback());
    assert!(sim.placed(token).is_ok());
    let token = sim.place(callback());
    assert!(sim.placed(token).is_err(), "call.max is for all");
}
