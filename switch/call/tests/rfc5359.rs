//! RFC 5359, Session Initiation Protocol Service Examples, with the switch where the flows have their proxies and
//! servers. `docs/rfc/5359.md` says flow by flow what is shown where, and what there is not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::ladder::{gives_up, ladder, latest, nobody_talks, office, office_with};
use common::phones::{bind, call_from};
use common::{Sim, callback, s, sdp_of};
use facts::media::{Direction, MediaCommand, Source, Tone};
use facts::{Kind, LegId, LegNo, Outcome};
use sip::endpoint::SessionId;

/// Somebody outside, by carrier B.
const OUTSIDE: &str = "01088880000";

/// Alice talks with Bob; her session.
fn alice_talks_with_bob(sim: &mut Sim) -> SessionId {
    let session = call_from(sim, "alice", "80001", "80002");
    sim.ring("bob", 180, None);
    sim.pick_up("bob");
    sim.advance(s(5));
    assert!(sim.engine.live()[0].bridged.is_some());
    session
}

/// A far end offers its description in one direction, and whoever is asked agrees.
fn offers(sim: &mut Sim, name: &str, session: SessionId, direction: &str) {
    let now = sim.now.mono;
    let sdp = format!("{}a={direction}\r\n", sdp_of(name)).replace("o=- 1 1", "o=- 1 2");
    assert!(sim.far(name).endpoint.reinvite(now, session, sdp.into()));
    sim.drain();
}

/// The re-INVITE that a far end was asked last, answered with the direction that fits.
fn agrees(sim: &mut Sim, name: &str, direction: &str) {
    let now = sim.now.mono;
    let session = sim.far(name).session();
    let sdp = format!("{}a={direction}\r\n", sdp_of(name)).replace("o=- 1 1", "o=- 1 2");
    sim.far(name).endpoint.accept_reinvite(now, session, sdp.into());
    sim.drain();
}

/// What the media plane was told last of a leg.
fn direction(sim: &Sim, leg: LegId) -> Option<Direction> {
    sim.media.iter().rev().find_map(|command| match command {
        MediaCommand::Setup { leg: l, setup } if *l == leg => Some(setup.direction),
        _ => None,
    })
}

fn offered(sim: &Sim, name: &str) -> String {
    String::from_utf8(latest(sim, name, "INVITE").body().to_vec()).unwrap()
}

#[test]
fn rfc5359_2_1_call_hold() {
    let mut sim = office();
    alice_talks_with_bob(&mut sim);
    let bob = sim.far("bob").session();
    offers(&mut sim, "bob", bob, "sendonly");
    assert!(offered(&sim, "alice").contains("a=sendonly"), "Alice is told that she is held");
    agrees(&mut sim, "alice", "recvonly");
    let held = String::from_utf8(latest(&sim, "bob", "200 INVITE").body().to_vec()).unwrap();
    assert!(held.contains("a=recvonly"), "{held}");
    sim.advance(s(30));
    offers(&mut sim, "bob", bob, "sendrecv");
    assert!(!offered(&sim, "alice").contains("a=sendonly"));
    agrees(&mut sim, "alice", "sendrecv");
    assert_eq!(direction(&sim, sim.leg(LegNo::A)), Some(Direction::SendReceive));
    assert_eq!(direction(&sim, sim.leg(LegNo::B)), Some(Direction::SendReceive));
    sim.hang_up("bob");
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn rfc5359_2_2_consultation_hold() {
    let mut sim = office();
    alice_talks_with_bob(&mut sim);
    let bob = sim.far("bob").session();
    offers(&mut sim, "bob", bob, "sendonly");
    agrees(&mut sim, "alice", "recvonly");
    // Bob consults Carol in a call of its own.
    call_from(&mut sim, "bob", "80002", "80003");
    sim.pick_up("carol");
    sim.advance(s(5));
    assert_eq!(sim.engine.live().len(), 2);
    sim.hang_up("carol");
    assert_eq!(sim.engine.live().len(), 1, "Alice is still there");
    offers(&mut sim, "bob", bob, "sendrecv");
    agrees(&mut sim, "alice", "sendrecv");
    let now = sim.now.mono;
    sim.far("bob").endpoint.bye(now, bob, None);
    sim.drain();
    assert_eq!(ladder(&sim, "alice").last().map(String::as_str), Some("BYE"));
    let done = sim.settled.iter().filter(|record| record.outcome == Outcome::Completed).count();
    assert_eq!((done, sim.settled.len()), (2, 2));
    sim.assert_clean();
}

/// Bob's phone has its music from a server of its own: what Alice hears while she is held comes from there.
#[test]
fn rfc5359_2_3_music_on_hold_of_the_phone() {
    let mut sim = office();
    alice_talks_with_bob(&mut sim);
    let now = sim.now.mono;
    let bob = sim.far("bob").session();
    let music = format!("{}a=sendonly\r\n", sdp_of("bob"))
        .replace("o=- 1 1", "o=- 1 2")
        .replace("c=IN IP4 192.0.2.3", "c=IN IP4 192.0.2.99");
    assert!(sim.far("bob").endpoint.reinvite(now, bob, music.into()));
    sim.drain();
    assert!(offered(&sim, "alice").contains("a=sendonly"));
    agrees(&mut sim, "alice", "recvonly");
    let heard_from = |sim: &Sim| {
        let leg = sim.leg(LegNo::B);
        sim.media.iter().rev().find_map(|command| match command {
            MediaCommand::Setup { leg: l, setup } if *l == leg => Some(setup.remote.to_string()),
            _ => None,
        })
    };
    assert_eq!(heard_from(&sim).as_deref(), Some("192.0.2.99:30000"));
    assert_eq!(sim.hears(LegNo::A), Some(&Source::Leg(sim.leg(LegNo::B))));
    offers(&mut sim, "bob", bob, "sendrecv");
    agrees(&mut sim, "alice", "sendrecv");
    assert_eq!(heard_from(&sim).as_deref(), Some("192.0.2.3:30000"));
    sim.hang_up("bob");
    sim.assert_clean();
}

/// Where a hold is answered here, whoever is held hears a tone now and then until it is over.
#[test]
fn rfc5359_2_3_whoever_is_held_here_hears_that_he_waits() {
    for way in ["sendonly", "inactive"] {
        let mut sim = Sim::new();
        sim.up_to_bridge();
        let b = sim.far("b").session();
        let (talk, wait) = (Source::Leg(sim.leg(LegNo::B)), Source::Tone(Tone::Hold));
        assert_eq!(sim.hears(LegNo::A), Some(&talk));
        offers(&mut sim, "b", b, way);
        assert_eq!(sim.hears(LegNo::A), Some(&wait), "{way}");
        let told = sim.media.len();
        offers(&mut sim, "b", b, way);
        let again = sim.media[told..].iter().filter(|m| matches!(m, MediaCommand::Hear { .. }));
        assert_eq!(again.count(), 0, "the tone goes on");
        offers(&mut sim, "b", b, "sendrecv");
        assert_eq!(sim.hears(LegNo::A), Some(&talk), "{way}");
        assert_eq!(sim.far("a").count("INVITE"), 1, "nobody was asked");
        sim.hang_up("a");
        assert_eq!(sim.record().outcome, Outcome::Completed);
        sim.assert_clean();
    }
}

/// Every phone of an extension is tried at once, and the first that answers has the call.
#[test]
fn rfc5359_2_12_find_me() {
    let mut sim = office();
    bind(&mut sim, &[("80002", common::ladder::BOB), ("80002", common::ladder::CAROL)]);
    call_from(&mut sim, "alice", "80001", "80002");
    sim.ring("bob", 180, None);
    sim.ring("carol", 180, None);
    sim.advance(s(4));
    sim.pick_up("carol");
    assert_eq!(ladder(&sim, "bob"), ["INVITE", "CANCEL", "ACK"]);
    assert_eq!(ladder(&sim, "carol"), ["INVITE", "ACK"]);
    sim.hang_up("alice");
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

/// Who may not call a number hears 403 or 404 before anybody rings.
#[test]
fn rfc5359_2_14_outgoing_call_screening() {
    let mut sim = office_with(|snapshot| snapshot.routes.retain(|route| route.prefix != "8610"));
    call_from(&mut sim, "alice", "80001", OUTSIDE);
    let seen = ladder(&sim, "alice");
    assert_eq!(seen.first().map(String::as_str), Some("401 INVITE"));
    assert!(["403 INVITE", "404 INVITE"].contains(&seen.last().unwrap().as_str()), "{seen:?}");
    assert!(["a", "b", "c"].iter().all(|name| sim.fars[name].heard.is_empty()), "nobody rings");
    sim.assert_clean();
}

/// Bob's phone is busy; what redials it is Alice's phone: nothing of the first try is in its way.
#[test]
fn rfc5359_2_17_automatic_redial() {
    let mut sim = office();
    call_from(&mut sim, "alice", "80001", "80002");
    sim.refuse("bob", 486, None);
    assert_eq!(ladder(&sim, "alice").last().map(String::as_str), Some("486 INVITE"));
    sim.advance(s(60));
    alice_talks_with_bob(&mut sim);
    sim.hang_up("bob");
    let outcomes: Vec<_> = sim.settled.iter().map(|record| record.outcome).collect();
    assert!(matches!(outcomes[0], Outcome::Failed(why) if why.kind == Kind::Busy), "{outcomes:?}");
    assert_eq!(outcomes[1], Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn rfc5359_2_18_click_to_dial() {
    let mut sim = office();
    sim.place(callback());
    assert_eq!(ladder(&sim, "a"), ["INVITE"], "first the phone of who clicked");
    assert!(sim.far("b").heard.is_empty());
    sim.ring("a", 180, None);
    sim.pick_up("a");
    assert_eq!(ladder(&sim, "a"), ["INVITE", "ACK"]);
    assert_eq!(ladder(&sim, "b"), ["INVITE"]);
    sim.ring("b", 180, None);
    sim.pick_up("b");
    sim.advance(s(5));
    sim.hang_up("b");
    assert_eq!(ladder(&sim, "a").last().map(String::as_str), Some("BYE"));
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

/// He who clicked and hangs up before the other answers.
#[test]
fn rfc5359_2_18_click_to_dial_given_up() {
    let mut sim = office();
    call_from(&mut sim, "alice", "80001", OUTSIDE);
    sim.ring("b", 180, None);
    gives_up(&mut sim, "alice");
    assert_eq!(ladder(&sim, "b"), ["INVITE", "CANCEL", "ACK"]);
    assert!(nobody_talks(&sim));
    sim.assert_clean();
}
