//! How many calls merchants, sub-accounts, extensions, numbers and carriers may have: at one time, within a while,
//! and by the clock.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use call::{Answer, Command};
use common::phones::{bind, call_from, invite, sdp_of};
use common::*;
use facts::capacity::{Capacity, CapacityAt, Holder};
use facts::fraud::Scope;
use facts::hours::Hours;
use facts::settings::{Route, Snapshot};
use facts::{Refusal, SubAccountId, TrunkId};

const SUB: SubAccountId = SubAccountId(7);

fn desk(set: impl FnOnce(&mut Snapshot)) -> Sim {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            for user in ["80001", "80002"] {
                let mut own = extension(user, "right");
                own.sub_account = Some(SUB);
                snapshot.extensions.insert(user.into(), own);
            }
            snapshot.inbound.insert("861088880001".into(), "80001".into());
            snapshot.inbound.insert("861088880002".into(), "80002".into());
            set(snapshot);
        },
    );
    for (seed, (name, at)) in
        [("one", "203.0.113.5:40000"), ("two", "203.0.113.6:40002")].into_iter().enumerate()
    {
        sim.add(name, at, u8::try_from(seed).unwrap() + 190);
    }
    bind(&mut sim, &[("80001", "203.0.113.5:40000"), ("80002", "203.0.113.6:40002")]);
    sim
}

fn most(max_calls: u32) -> Capacity {
    Capacity { max_calls: Some(max_calls), ..Capacity::default() }
}

fn within(calls: u32, seconds: u32) -> Capacity {
    Capacity { calls: Some(calls), within_s: Some(seconds), ..Capacity::default() }
}

/// B's carrier delivers a call for a number; the last status that it is told.
fn delivers(sim: &mut Sim, number: &str) -> Option<u16> {
    let from = format!("<sip:+8613800138000@{}>", CARRIER_B.split(':').next().unwrap());
    let to = format!("sip:+{number}@{}", US.split(':').next().unwrap());
    invite(sim, "b", (&from, &to), None, &[]);
    last(sim, "b")
}

fn last(sim: &Sim, name: &str) -> Option<u16> {
    let heard = sim.fars[name].heard.iter().rev();
    heard.filter(|message| !message.is_request()).find_map(sip::wire::Message::status)
}

#[test]
fn so_many_calls_of_a_sub_account_at_one_time_and_each_that_ends_makes_room() {
    let mut sim = desk(|s| drop(s.capacity.insert(Holder::Of(Scope::SubAccount(SUB)), most(1))));
    call_from(&mut sim, "one", "80001", "01088886666");
    assert_eq!(sim.far("b").count("INVITE"), 1);
    call_from(&mut sim, "two", "80002", "01088886667");
    assert_eq!((sim.far("b").count("INVITE"), last(&sim, "two")), (1, Some(503)));
    sim.refuse("b", 486, None);
    call_from(&mut sim, "two", "80002", "01088886667");
    assert_eq!(sim.far("b").count("INVITE"), 2);
    sim.refuse("b", 486, None);
    sim.assert_clean();
}

#[test]
fn so_many_calls_of_an_extension_at_one_time_whoever_calls() {
    let extension = Holder::Of(Scope::Extension("80001".into()));
    let mut sim = desk(|s| drop(s.capacity.insert(extension, most(1))));
    delivers(&mut sim, "861088880001");
    assert_eq!(sim.far("one").count("INVITE"), 1);
    call_from(&mut sim, "one", "80001", "01088886666");
    assert_eq!(last(&sim, "one"), Some(503), "its only place is taken by the call that rings it");
    call_from(&mut sim, "two", "80002", "01088886666");
    assert_eq!(sim.far("b").count("INVITE"), 1, "the other one has places");
}

#[test]
fn so_many_calls_are_delivered_for_a_number_at_one_time_and_within_a_while() {
    let number = |n: &str| Holder::Number(n.into());
    let mut sim = desk(|s| drop(s.capacity.insert(number("861088880001"), most(1))));
    delivers(&mut sim, "861088880001");
    assert_eq!(sim.far("one").count("INVITE"), 1);
    assert_eq!(delivers(&mut sim, "861088880001"), Some(503));
    delivers(&mut sim, "861088880002");
    assert_eq!(sim.far("two").count("INVITE"), 1, "another number has places");
    let mut sim = desk(|s| drop(s.capacity.insert(number("861088880001"), within(2, 60))));
    for rung in [1, 2] {
        delivers(&mut sim, "861088880001");
        assert_eq!(sim.far("one").count("INVITE"), rung);
        sim.refuse("one", 486, None);
        sim.advance(s(20));
    }
    assert_eq!(delivers(&mut sim, "861088880001"), Some(503), "two within a minute");
    sim.advance(s(21));
    delivers(&mut sim, "861088880001");
    assert_eq!(sim.far("one").count("INVITE"), 3, "the first is a minute ago");
    sim.refuse("one", 486, None);
    sim.assert_clean();
}

#[test]
fn a_merchants_callbacks_are_counted_over_a_while_and_by_the_clock() {
    let merchant = || Holder::Of(Scope::Merchant(MERCHANT));
    let mut sim = desk(|s| drop(s.capacity.insert(merchant(), within(1, 600))));
    sim.place(callback());
    sim.refuse("a", 486, None);
    let token = sim.place(callback());
    assert_eq!(sim.placed(token), Err(Refusal::TooManyCalls));
    sim.advance(s(601));
    sim.place(callback());
    sim.refuse("a", 486, None);
    assert_eq!(sim.settled.len(), 2);
    // Other numbers in hours that are always open: what stands before them does not count.
    let always = Hours::try_from(vec!["mon-sun 00:00-24:00".to_owned()]).unwrap();
    let at = vec![CapacityAt { hours: always, max_calls: Some(2), calls: None }];
    let by_clock = Capacity { max_calls: Some(1), at, ..Capacity::default() };
    let mut sim = desk(|s| drop(s.capacity.insert(merchant(), by_clock)));
    let tokens = [sim.place(callback()), sim.place(callback()), sim.place(callback())];
    let placed = tokens.map(|token| sim.placed(token).is_ok());
    assert_eq!(placed, [true, true, false]);
}

#[test]
fn a_carrier_is_given_so_many_within_a_while_and_then_the_next_one_is() {
    let mut sim = desk(|snapshot| {
        snapshot.trunks.get_mut(&TrunkId(2)).unwrap().options.capacity_out = within(1, 30);
        snapshot.routes.push(Route::new("8610", TrunkId(3), 1));
    });
    call_from(&mut sim, "one", "80001", "01088886666");
    sim.refuse("b", 486, None);
    call_from(&mut sim, "one", "80001", "01088886666");
    assert_eq!((sim.far("b").count("INVITE"), sim.far("c").count("INVITE")), (1, 1));
    sim.refuse("c", 486, None);
    sim.command(Command::Explain { token: 900, number: "01088886666".into() });
    let Some(Answer::Explained(told)) = sim.answers.get(&900) else { panic!("no answer") };
    let told = told.as_ref().as_ref().unwrap();
    let why = told.candidates.iter().find(|candidate| candidate.place.is_none()).unwrap();
    assert_eq!(why.verdict.to_string(), "skipped now: 1 calls went there within 30 s, its limit");
    sim.advance(s(31));
    call_from(&mut sim, "one", "80001", "01088886666");
    assert_eq!(sim.far("b").count("INVITE"), 2);
    sim.refuse("b", 486, None);
    sim.assert_clean();
}

#[test]
fn a_carrier_sends_so_many_within_a_while_and_more_are_503() {
    let mut sim = desk(|snapshot| {
        snapshot.trunks.get_mut(&TrunkId(2)).unwrap().options.capacity_in = within(1, 30);
    });
    delivers(&mut sim, "861088880001");
    assert_eq!(sim.far("one").count("INVITE"), 1);
    assert_eq!(delivers(&mut sim, "861088880002"), Some(503));
    sim.advance(s(31));
    delivers(&mut sim, "861088880002");
    assert_eq!(sim.far("two").count("INVITE"), 1);
    sim.pick_up_with("two", &sdp_of("c"));
}
