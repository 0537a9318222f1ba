//! Whole calls between two endpoints over a virtual network.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod world;

use bytes::Bytes;
use sip::endpoint::Event;
use world::*;

fn answer() -> Bytes {
    Bytes::from_static(ANSWER.as_bytes())
}

#[test]
fn a_call_is_set_up_ended_by_the_caller_and_leaves_nothing() {
    let mut world = World::new();
    let caller = world.call();
    world.run(100);
    let callee = world.called();
    world.ends[1].provisional(world.now, callee, 180, None);
    world.drain();
    world.run(1000);
    world.ends[1].accept(world.now, callee, answer(), Vec::new());
    world.drain();
    world.run(1000);
    assert_eq!(names(&world.events[0]), ["trying", "progress 180", "answered"]);
    assert_eq!(names(&world.events[1]), ["invite", "acked"]);
    assert_eq!(world.ends[0].counts().sessions, 1);
    world.ends[0].bye(world.now, caller, None);
    world.drain();
    world.run(100);
    assert_eq!(names(&world.events[0])[3..], ["bye done"]);
    assert_eq!(names(&world.events[1])[2..], ["ended Bye"]);
    let sent: Vec<&str> = world.log.iter().map(|(_, label)| label.as_str()).collect();
    assert_eq!(sent, ["INVITE", "100 INVITE", "180 INVITE", "200 INVITE", "ACK", "BYE", "200 BYE"]);
    world.run(40_000);
    world.assert_empty();
}

#[test]
fn a_call_is_ended_by_the_callee() {
    let mut world = World::new();
    let caller = world.call();
    world.run(100);
    let callee = world.called();
    world.ends[1].accept(world.now, callee, answer(), Vec::new());
    world.drain();
    world.run(100);
    world.ends[1].bye(world.now, callee, None);
    world.drain();
    world.run(100);
    assert!(matches!(&world.events[0][2], Event::Ended { session, .. } if *session == caller));
    assert_eq!(names(&world.events[1]), ["invite", "acked", "bye done"]);
    world.run(40_000);
    world.assert_empty();
}
