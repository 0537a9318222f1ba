//! Merchants that try things out: whatever asks for it, a leg of theirs to a number outside goes to the simulated far
//! end (here: carrier C, to which no route leads) and to no carrier (merchant API §6).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
#[path = "common/transfers.rs"]
mod transfers;

use common::phones::{DESK, SOFT, bind, call_from};
use common::*;
use facts::settings::Snapshot;
use facts::{LeadsTo, Refusal, TrunkId};

/// Two phones of the merchant, whose routes lead to carriers A and B, and an emergency number there.
fn sim(set: impl FnOnce(&mut Snapshot)) -> Sim {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            for user in ["80001", "80002"] {
                snapshot.extensions.insert(user.into(), extension(user, "right"));
            }
            snapshot.routes.push(facts::settings::Route::new("110", TrunkId(2), 0));
            snapshot.sandboxes.insert(MERCHANT);
            snapshot.sandbox = Some(TrunkId(3));
            set(snapshot);
        },
    );
    sim.add("desk", DESK, 170);
    sim.add("soft", SOFT, 171);
    bind(&mut sim, &[("80001", DESK), ("80002", SOFT)]);
    sim
}

/// INVITEs at the carriers and at the far end.
fn invited(sim: &mut Sim) -> [usize; 3] {
    ["a", "b", "c"].map(|name| sim.far(name).count("INVITE"))
}

#[test]
fn s6_both_legs_of_a_sandbox_and_what_its_phones_dial_go_to_the_simulated_far_end() {
    let mut asked = sim(|_| {});
    let token = asked.place(callback());
    assert!(asked.placed(token).is_ok());
    assert_eq!(invited(&mut asked), [0, 0, 1]);
    asked.pick_up("c");
    assert_eq!(invited(&mut asked), [0, 0, 2]);

    let mut sim = sim(|_| {});
    call_from(&mut sim, "desk", "80001", "01088880000");
    assert_eq!(invited(&mut sim), [0, 0, 1]);
    call_from(&mut sim, "desk", "80001", "80002");
    assert_eq!(sim.far("soft").count("INVITE"), 1, "its phones are real");
    call_from(&mut sim, "soft", "80002", "110");
    assert_eq!(invited(&mut sim), [0, 1, 1], "an emergency is none to try out");
}

#[test]
fn s6_what_is_forwarded_or_transferred_stays_in_the_sandbox() {
    let mut led = sim(|snapshot| {
        let reach = &mut snapshot.extensions.get_mut("80001").unwrap().reach;
        reach.busy = Some(LeadsTo::Public(NUMBER_B.into()));
    });
    call_from(&mut led, "soft", "80002", "80001");
    led.refuse("desk", 486, None);
    assert_eq!(invited(&mut led), [0, 0, 1]);

    let mut moved = sim(|_| {});
    call_from(&mut moved, "desk", "80001", "80002");
    moved.pick_up("soft");
    moved.advance(s(5));
    transfers::refer(&mut moved, "desk", &format!("<sip:013800138000@{REALM}>"));
    assert_eq!(invited(&mut moved), [0, 0, 1]);
}

#[test]
fn s6_without_a_far_end_a_sandbox_rings_nobody_and_others_take_their_routes() {
    let mut none = sim(|snapshot| snapshot.sandbox = None);
    let token = none.place(callback());
    assert_eq!(none.placed(token), Err(Refusal::NoRoute));
    assert_eq!(invited(&mut none), [0, 0, 0]);
    let mut other = sim(|snapshot| snapshot.sandboxes.clear());
    let token = other.place(callback());
    assert!(other.placed(token).is_ok());
    assert_eq!(invited(&mut other), [1, 0, 0]);
}

#[test]
fn s6_those_who_are_asked_for_in_a_conference_are_rung_in_the_sandbox_too() {
    let mut sim = sim(|_| {});
    let other = facts::conference::Participant { name: String::new(), party: party(NUMBER_B) };
    let conference = facts::conference::Conference {
        number: "516152".into(),
        title: String::new(),
        creator: String::new(),
        others: vec![other],
        chimes: false,
        booking: None,
    };
    let purpose = facts::Purpose::Conference;
    let conference = Some(Box::new(conference));
    let token = sim.place(facts::CallCommand { b: None, conference, purpose, ..callback() });
    assert!(sim.placed(token).is_ok());
    assert_eq!(invited(&mut sim), [0, 0, 1]);
    sim.pick_up("c");
    assert_eq!(invited(&mut sim), [0, 0, 2]);
}

#[test]
fn s6_one_sandbox_does_not_take_the_far_end_that_all_of_them_share() {
    let other = facts::MerchantId(77);
    let mut sim = sim(|snapshot| {
        snapshot.merchants.insert(other, snapshot.merchants[&MERCHANT].clone());
        snapshot.sandboxes.insert(other);
    });
    for _ in 0..23 {
        let token = sim.place(callback());
        assert!(sim.placed(token).is_ok());
    }
    assert_eq!(invited(&mut sim), [0, 0, 20], "three find no room");
    // Its phones, and emergencies, are no legs of that far end.
    call_from(&mut sim, "desk", "80001", "80002");
    assert_eq!(sim.far("soft").count("INVITE"), 1);
    call_from(&mut sim, "soft", "80002", "110");
    assert_eq!(invited(&mut sim), [0, 1, 20]);
    // Whoever goes gives his place back.
    sim.refuse("c", 486, None);
    let token = sim.place(callback());
    assert!(sim.placed(token).is_ok());
    assert_eq!(invited(&mut sim), [0, 1, 21]);
    let token = sim.place(facts::CallCommand { merchant: other, ..callback() });
    assert!(sim.placed(token).is_ok());
    assert_eq!(invited(&mut sim), [0, 1, 22], "another one has room of its own");
}
