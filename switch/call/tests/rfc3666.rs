//! RFC 3666, PSTN Call Flows: the gateways are carriers, of which the far side is the telephone network. What they
//! and the phones receive is what they receive there. `docs/rfc/3666.md` says flow by flow what differs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::ladder::{gives_up, ladder, latest, nobody_talks, office, office_with};
use common::phones::{call_from, invite};
use common::{CARRIER_B, NUMBER_A, Sim, s, sdp_of};
use facts::media::MediaEvent;
use facts::settings::{Route, Snapshot};
use facts::{Failure, Kind, LeadsTo, LegNo, Number, Origin, Outcome, Reach, TrunkId};

/// Somebody in the telephone network, behind gateway b.
const OUTSIDE: &str = "01088880000";
/// The public number of Bob, 80002.
const DIRECT: &str = "861087654321";

/// The office, and a number by which the network reaches Bob.
fn network() -> Sim {
    network_with(|_| {})
}

fn network_with(set: impl FnOnce(&mut Snapshot)) -> Sim {
    office_with(|snapshot| {
        snapshot.inbound.insert(DIRECT.into(), "80002".into());
        set(snapshot);
    })
}

/// A subscriber of the network calls Bob by gateway b.
fn rings_bob(sim: &mut Sim, caller: &str) {
    let from = format!("<sip:{caller}@{}>", CARRIER_B.split(':').next().unwrap());
    invite(sim, "b", (&from, &format!("sip:+{DIRECT}@198.51.100.1")), None, &[]);
}

/// The Q.850 cause in a message.
fn cause(sim: &Sim, name: &str, what: &str) -> Option<u16> {
    latest(sim, name, what).reason().iter().find(|reason| reason.is_q850())?.cause
}

fn completed(sim: &mut Sim) {
    assert_eq!(sim.record().outcome, Outcome::Completed);
    assert!(nobody_talks(sim));
    sim.assert_clean();
}

// ---- 2 from a phone to the network

/// Ringing is a sound of the network: 183 with a description, before the answer.
#[test]
fn rfc3666_2_1_sip_to_isup() {
    let mut sim = office();
    call_from(&mut sim, "alice", "80001", OUTSIDE);
    let to = latest(&sim, "b", "INVITE").request_uri().unwrap().to_owned();
    assert!(to.starts_with("sip:+861088880000@"), "a global number: {to}");
    sim.ring("b", 183, Some(&sdp_of("b")));
    let leg = sim.leg(LegNo::B);
    sim.media(MediaEvent::Started { leg });
    assert_eq!(ladder(&sim, "alice"), ["401 INVITE", "183 INVITE"]);
    assert!(latest(&sim, "alice", "183 INVITE").has_body_of("application/sdp"));
    sim.advance(s(4));
    sim.pick_up("b");
    assert_eq!(ladder(&sim, "alice").last().map(String::as_str), Some("200 INVITE"));
    sim.advance(s(10));
    sim.hang_up("alice");
    assert_eq!(ladder(&sim, "b"), ["INVITE", "ACK", "BYE"]);
    let billed = sim.record().leg(LegNo::B).unwrap().bill_seconds();
    assert_eq!(billed, 10, "from the answer, not from the sound");
    completed(&mut sim);
}

#[test]
fn rfc3666_2_2_sip_to_an_isdn_exchange() {
    let mut sim = office();
    call_from(&mut sim, "alice", "80001", OUTSIDE);
    sim.ring("b", 180, None);
    sim.pick_up("b");
    assert_eq!(ladder(&sim, "alice"), ["401 INVITE", "180 INVITE", "200 INVITE"]);
    sim.advance(s(5));
    sim.hang_up("b");
    assert_eq!(ladder(&sim, "alice").last().map(String::as_str), Some("BYE"));
    completed(&mut sim);
}

/// The first gateway has no circuit left.
#[test]
fn rfc3666_2_3_sip_to_isup_with_overflow() {
    let mut sim = office_with(|snapshot| {
        let route = |trunk, priority| Route::new("8610", TrunkId(trunk), priority);
        snapshot.routes = vec![route(3, 0), route(2, 1)];
    });
    call_from(&mut sim, "alice", "80001", OUTSIDE);
    sim.refuse("c", 503, Some("Q.850;cause=34"));
    assert_eq!(ladder(&sim, "c"), ["INVITE", "ACK"]);
    sim.ring("b", 180, None);
    sim.pick_up("b");
    assert_eq!(ladder(&sim, "alice"), ["401 INVITE", "180 INVITE", "200 INVITE"], "she sees one");
    sim.hang_up("alice");
    completed(&mut sim);
}

/// The network tells by a voice why it does not put the call through; she hears it and hangs up. Nobody pays.
#[test]
fn rfc3666_2_5_treatment_from_the_network() {
    let mut sim = office();
    call_from(&mut sim, "alice", "80001", OUTSIDE);
    sim.ring("b", 183, Some(&sdp_of("b")));
    let leg = sim.leg(LegNo::B);
    sim.media(MediaEvent::Started { leg });
    assert_eq!(ladder(&sim, "alice").last().map(String::as_str), Some("183 INVITE"));
    sim.advance(s(8));
    gives_up(&mut sim, "alice");
    assert_eq!(ladder(&sim, "b"), ["INVITE", "CANCEL", "ACK"]);
    let record = sim.record();
    assert_eq!(record.outcome, Outcome::Failed(Failure::new(Origin::LegA, Kind::Abandoned)));
    assert_eq!(record.leg(LegNo::B).unwrap().bill_seconds(), 0);
    sim.assert_clean();
}

#[test]
fn rfc3666_2_6_a_release_with_its_cause() {
    for (code, given) in [(404, 1), (486, 17), (410, 22)] {
        let mut sim = office();
        call_from(&mut sim, "alice", "80001", OUTSIDE);
        sim.refuse("b", code, Some(&format!("Q.850;cause={given}")));
        let told = ladder(&sim, "alice").last().unwrap().clone();
        assert_eq!(sim.record().leg(LegNo::B).unwrap().sip_final, Some(code));
        assert!(told.ends_with(" INVITE") && told.starts_with('4'), "{told}");
        assert!(cause(&sim, "alice", &told).is_some(), "{told}");
        assert_eq!(sim.record().leg(LegNo::B).unwrap().q850, Some(given));
        sim.assert_clean();
    }
}

/// It rings and rings.
#[test]
fn rfc3666_2_7_nobody_answers_in_the_network() {
    let mut sim = office();
    call_from(&mut sim, "alice", "80001", OUTSIDE);
    sim.ring("b", 180, None);
    sim.advance(s(200));
    assert_eq!(ladder(&sim, "b"), ["INVITE", "CANCEL", "ACK"]);
    // Ringing is said again once a minute (RFC 3261 §13.3.1.1).
    let mut seen = ladder(&sim, "alice");
    seen.dedup();
    assert_eq!(seen[1..], ["180 INVITE", "480 INVITE"]);
    assert_eq!(cause(&sim, "alice", "480 INVITE"), Some(19));
    sim.assert_clean();
}

// ---- 3 from the network to a phone

#[test]
fn rfc3666_3_1_the_network_calls_a_phone() {
    let mut sim = network();
    rings_bob(&mut sim, "+8613800138000");
    let caller = latest(&sim, "bob", "INVITE").from().unwrap().uri.user_text().unwrap();
    assert!(caller.ends_with("13800138000"), "{caller}");
    sim.ring("bob", 180, None);
    sim.pick_up("bob");
    assert_eq!(ladder(&sim, "b"), ["180 INVITE", "200 INVITE"], "no gateway is challenged");
    sim.advance(s(5));
    sim.hang_up("bob");
    assert_eq!(ladder(&sim, "b").last().map(String::as_str), Some("BYE"));
    completed(&mut sim);
}

#[test]
fn rfc3666_3_2_fast_answer() {
    let mut sim = network();
    rings_bob(&mut sim, "+8613800138000");
    sim.pick_up("bob");
    assert_eq!(ladder(&sim, "b"), ["200 INVITE"]);
    sim.hang_up("b");
    assert_eq!(ladder(&sim, "bob"), ["INVITE", "ACK", "BYE"]);
    completed(&mut sim);
}

/// A private exchange gives an extension of its own for a caller.
#[test]
fn rfc3666_3_3_a_private_exchange_calls_a_phone() {
    let mut sim = network();
    rings_bob(&mut sim, "4433");
    sim.ring("bob", 180, None);
    sim.pick_up("bob");
    assert_eq!(ladder(&sim, "b"), ["180 INVITE", "200 INVITE"]);
    sim.hang_up("b");
    completed(&mut sim);
}

/// §3.4 an error, §3.5 busy, §3.6 what a gateway makes a tone of: each has a cause that the network understands.
#[test]
fn rfc3666_3_4_3_5_3_6_what_a_phone_refuses_has_a_cause_for_the_network() {
    for (code, told, given) in
        [(404, "404", 1), (486, "486", 17), (480, "480", 18), (603, "603", 21)]
    {
        let mut sim = network();
        rings_bob(&mut sim, "+8613800138000");
        sim.refuse("bob", code, None);
        let what = format!("{told} INVITE");
        assert_eq!(ladder(&sim, "b"), [what.as_str()], "{code}");
        assert_eq!(cause(&sim, "b", &what), Some(given), "{code}");
        sim.assert_clean();
    }
}

/// The phone is silent, and the network gives up first.
#[test]
fn rfc3666_3_7_the_network_gives_up_a_silent_phone() {
    let mut sim = network();
    sim.far("bob").dead = true;
    rings_bob(&mut sim, "+8613800138000");
    sim.advance(s(5));
    gives_up(&mut sim, "b");
    assert_eq!(ladder(&sim, "b"), ["200 CANCEL", "487 INVITE"]);
    let why = Failure::new(Origin::LegA, Kind::Abandoned);
    assert_eq!(sim.record().outcome, Outcome::Failed(why));
    sim.assert_clean();
}

/// The same where nobody on the way keeps time but us.
#[test]
fn rfc3666_3_8_a_silent_phone_is_given_up_here() {
    let mut sim = network();
    sim.far("bob").dead = true;
    rings_bob(&mut sim, "+8613800138000");
    sim.advance(s(33));
    assert_eq!(ladder(&sim, "b"), ["480 INVITE"]);
    assert!(cause(&sim, "b", "480 INVITE").is_some());
    sim.assert_clean();
}

#[test]
fn rfc3666_3_9_the_caller_in_the_network_hangs_up_while_it_rings() {
    let mut sim = network();
    rings_bob(&mut sim, "+8613800138000");
    sim.ring("bob", 180, None);
    sim.advance(s(8));
    gives_up(&mut sim, "b");
    assert_eq!(ladder(&sim, "b"), ["180 INVITE", "200 CANCEL", "487 INVITE"]);
    assert_eq!(ladder(&sim, "bob"), ["INVITE", "CANCEL", "ACK"]);
    sim.assert_clean();
}

// ---- 4 from the network to the network

/// Bob's calls go to a mobile phone: between the two gateways there is only us.
fn onward(snapshot: &mut Snapshot, trunks: &[(i64, u16)]) {
    let always = Some(LeadsTo::Public(NUMBER_A.into()));
    snapshot.extensions.get_mut("80002").unwrap().reach = Reach { always, ..Reach::default() };
    let route = |(trunk, priority): &(i64, u16)| Route::new("86138", TrunkId(*trunk), *priority);
    snapshot.routes = trunks.iter().map(route).collect();
}

#[test]
fn rfc3666_4_1_from_the_network_to_the_network() {
    let mut sim = network_with(|snapshot| onward(snapshot, &[(1, 0)]));
    rings_bob(&mut sim, "+8613900139000");
    assert!(sim.far("bob").heard.is_empty());
    sim.ring("a", 183, Some(&sdp_of("a")));
    let leg = sim.leg(LegNo::B);
    sim.media(MediaEvent::Started { leg });
    sim.pick_up("a");
    assert_eq!(ladder(&sim, "b"), ["183 INVITE", "200 INVITE"]);
    sim.advance(s(10));
    sim.hang_up("b");
    assert_eq!(ladder(&sim, "a"), ["INVITE", "ACK", "BYE"]);
    let leg = sim.record().leg(LegNo::B).unwrap().clone();
    assert_eq!(
        (leg.number.clone(), leg.talk()),
        (Number::E164(NUMBER_A.into()), s(10)),
        "Bob pays"
    );
    completed(&mut sim);
}

#[test]
fn rfc3666_4_2_from_the_network_to_the_network_with_overflow() {
    let mut sim = network_with(|snapshot| onward(snapshot, &[(3, 0), (1, 1)]));
    rings_bob(&mut sim, "+8613900139000");
    sim.refuse("c", 503, None);
    sim.ring("a", 180, None);
    sim.pick_up("a");
    assert_eq!(ladder(&sim, "b"), ["180 INVITE", "200 INVITE"]);
    sim.hang_up("a");
    assert_eq!(ladder(&sim, "b").last().map(String::as_str), Some("BYE"));
    completed(&mut sim);
}
