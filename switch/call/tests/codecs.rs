//! Which codecs the two legs of a call agree on: what both speak before what has to be turned, and never two
//! that cannot be joined.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use bytes::Bytes;
use common::ladder::{ALICE, BOB, ladder, latest};
use common::phones::{bind, invite_with, own};
use common::{REALM, Sim, addr, callback, extension, s};
use facts::media::{Codec, MediaCommand, PayloadMap};
use facts::settings::Snapshot;
use facts::{Failure, Kind, LegNo, Origin, Outcome, TrunkId};
use sip::endpoint::Event;

/// Behind carrier b.
const OUTSIDE: &str = "01088880000";
const OPUS: &str = "a=rtpmap:96 opus/48000/2\r\na=rtpmap:97 telephone-event/48000\r\n\
                    a=rtpmap:98 telephone-event/8000\r\n";

/// Alice (80001) and Bob (80002), who may speak anything, and carriers that may too.
fn office(set: impl FnOnce(&mut Snapshot)) -> Sim {
    let mut sim = Sim::with(
        |config| {
            config.codecs = Codec::ALL.to_vec();
            // Each provisional answer and the last one may say something else.
            config.sip.reliable = false;
        },
        |snapshot| {
            for user in ["80001", "80002"] {
                snapshot.extensions.insert(user.into(), extension(user, "right"));
            }
            set(snapshot);
        },
    );
    for (seed, (name, at)) in [("alice", ALICE), ("bob", BOB)].iter().enumerate() {
        sim.add(name, at, u8::try_from(seed).unwrap() + 180);
    }
    bind(&mut sim, &[("80001", ALICE), ("80002", BOB)]);
    sim
}

fn speaks(snapshot: &mut Snapshot, trunk: i64, codecs: &[Codec]) {
    snapshot.trunks.get_mut(&TrunkId(trunk)).unwrap().codecs = codecs.to_vec();
}

/// What a far end says of itself.
fn sdp(name: &str, formats: &str) -> String {
    let ip = match name {
        "alice" => addr(ALICE).ip().to_string(),
        "bob" => addr(BOB).ip().to_string(),
        "a" => "192.0.2.1".to_owned(),
        _ => "192.0.2.2".to_owned(),
    };
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
         m=audio 30000 RTP/AVP {formats}\r\n{OPUS}"
    )
}

fn calls(sim: &mut Sim, number: &str, formats: &str) {
    let (from, to) = (format!("<sip:80001@{REALM}>"), format!("sip:{number}@{REALM}"));
    invite_with(sim, "alice", (&from, &to), own("80001"), (&[], &sdp("alice", formats)));
}

/// The formats of the m-line that a far end was sent with this message.
fn formats(sim: &Sim, name: &str, what: &str) -> String {
    formats_of(&latest(sim, name, what).body_bytes())
}

fn formats_of(sdp: &Bytes) -> String {
    let sdp = String::from_utf8(sdp.to_vec()).unwrap();
    let line = sdp.lines().find(|line| line.starts_with("m=")).expect("an m-line").to_owned();
    line.splitn(4, ' ').nth(3).unwrap().to_owned()
}

/// What the media plane sends on a leg now.
fn send(sim: &Sim, no: LegNo) -> PayloadMap {
    let setup = sim.media.iter().rev().find_map(|command| match command {
        MediaCommand::Setup { leg, setup } if leg.no == no => Some(setup.send.clone()),
        _ => None,
    });
    setup.expect("set up")
}

fn codecs(map: &PayloadMap) -> Vec<Codec> {
    map.audio.iter().map(|(_, codec)| *codec).collect()
}

fn completed(sim: &mut Sim, name: &str) {
    sim.advance(s(5));
    sim.hang_up(name);
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn rfc3264_6_1_what_both_speak_passes_as_it_is() {
    let mut sim = office(|_| {});
    calls(&mut sim, "80002", "96 8 97 98");
    let offered = formats(&sim, "bob", "INVITE");
    assert!(offered.starts_with("111 8 "), "what Alice likes comes first: {offered}");
    assert!(!offered.split(' ').any(|format| format == "18"), "she could not be given it");
    sim.ring("bob", 180, None);
    sim.pick_up_with("bob", &sdp("bob", "96 8 97"));
    assert_eq!(
        formats(&sim, "alice", "200 INVITE"),
        "96 8 97 98",
        "her numbers, all that both speak"
    );
    for no in [LegNo::A, LegNo::B] {
        let map = send(&sim, no);
        assert_eq!(codecs(&map), [Codec::Opus, Codec::Pcma]);
        assert!(map.events.contains(&(97, 48_000)));
    }
    completed(&mut sim, "alice");
}

#[test]
fn rfc3264_6_1_an_answer_leaves_out_what_would_have_to_be_turned() {
    let mut sim = office(|_| {});
    calls(&mut sim, OUTSIDE, "96 0 8 97 98");
    sim.pick_up_with("b", &sdp("b", "8"));
    assert_eq!(formats(&sim, "alice", "200 INVITE"), "8 98", "A-law from end to end");
    assert_eq!(codecs(&send(&sim, LegNo::A)), [Codec::Pcma]);
    assert_eq!(send(&sim, LegNo::A).events, [(98, 8_000)]);
    completed(&mut sim, "alice");
}

#[test]
fn what_only_joins_with_itself_is_offered_only_to_join_with_itself() {
    // Both carriers take it: it goes through, and nothing else is offered beside it.
    let mut sim = office(|snapshot| speaks(snapshot, 2, &[Codec::Pcma, Codec::G729]));
    calls(&mut sim, OUTSIDE, "18 98");
    assert_eq!(formats(&sim, "b", "INVITE"), "18 101");
    sim.pick_up_with("b", &sdp("b", "18"));
    assert_eq!(formats(&sim, "alice", "200 INVITE"), "18 98");
    assert_eq!(codecs(&send(&sim, LegNo::A)), [Codec::G729]);
    completed(&mut sim, "alice");

    // The carrier takes A-law of the two: so does she.
    let mut sim = office(|snapshot| speaks(snapshot, 2, &[Codec::Pcma, Codec::G729]));
    calls(&mut sim, OUTSIDE, "18 8 98");
    assert_eq!(formats(&sim, "b", "INVITE"), "18 8 101");
    sim.pick_up_with("b", &sdp("b", "8"));
    assert_eq!(formats(&sim, "alice", "200 INVITE"), "8 98");
    completed(&mut sim, "alice");
}

#[test]
fn two_that_cannot_be_joined_are_refused_before_anybody_is_rung() {
    let mut sim = office(|_| {});
    calls(&mut sim, OUTSIDE, "18 98");
    assert_eq!(sim.fars["b"].count("INVITE"), 0, "the carrier does not take it");
    assert_eq!(ladder(&sim, "alice").last().map(String::as_str), Some("488 INVITE"));
    let why = Failure::new(Origin::LegB, Kind::NotAcceptable);
    assert_eq!(sim.record().outcome, Outcome::Failed(why));
    sim.assert_clean();

    // The same where we call both.
    let mut sim = office(|snapshot| speaks(snapshot, 1, &[Codec::G729]));
    sim.place(callback());
    assert_eq!(formats(&sim, "a", "INVITE"), "18 101", "there is nothing else to offer");
    sim.pick_up_with("a", &sdp("a", "18"));
    assert_eq!(sim.fars["b"].count("INVITE"), 0);
    sim.advance(s(30));
    assert_eq!(sim.record().outcome, Outcome::Failed(why));
    sim.assert_clean();
}

#[test]
fn an_answer_that_cannot_be_joined_ends_the_leg() {
    let mut sim = office(|snapshot| speaks(snapshot, 2, &[Codec::Pcma, Codec::G729]));
    calls(&mut sim, OUTSIDE, "18 8 98");
    // What was heard early bound Alice to A-law; the one who answers speaks only the other.
    sim.ring("b", 183, Some(&sdp("b", "8")));
    let leg = sim.leg(LegNo::B);
    sim.media(facts::media::MediaEvent::Started { leg });
    assert_eq!(formats(&sim, "alice", "183 INVITE"), "8 98");
    sim.pick_up_with("b", &sdp("b", "18"));
    assert_eq!(sim.fars["b"].count("BYE"), 1, "acknowledged and ended");
    assert_eq!(ladder(&sim, "alice").last().map(String::as_str), Some("488 INVITE"));
    sim.assert_clean();
}

#[test]
fn case_5_a_leg_that_gives_up_what_alone_could_pass_takes_the_other_one_along() {
    let mut sim = office(|snapshot| speaks(snapshot, 2, &[Codec::Pcma, Codec::G729]));
    calls(&mut sim, OUTSIDE, "18 8 98");
    sim.pick_up_with("b", &sdp("b", "18 8"));
    assert_eq!(codecs(&send(&sim, LegNo::A)), [Codec::G729, Codec::Pcma]);
    sim.advance(s(2));
    let now = sim.now.mono;
    let alice = sim.far("alice");
    let session = alice.session();
    assert!(alice.endpoint.reinvite(now, session, sdp("alice", "8 98").into()));
    sim.drain();
    assert_eq!(codecs(&send(&sim, LegNo::A)), [Codec::Pcma]);
    let asked = sim.far("b").events.iter().rev().find_map(|event| match event {
        Event::Reinvite { sdp, .. } => sdp.clone(),
        _ => None,
    });
    assert_eq!(formats_of(&asked.expect("it is offered the same")), "8 101");
    let b = sim.far("b");
    let session = b.session();
    b.endpoint.accept_reinvite(now, session, sdp("b", "8").into());
    sim.drain();
    assert_eq!(codecs(&send(&sim, LegNo::B)), [Codec::Pcma]);
    // And back to what the other one does not speak any more: refused, and all is as it was.
    let alice = sim.far("alice");
    let session = alice.session();
    assert!(alice.endpoint.reinvite(now, session, sdp("alice", "18 98").into()));
    sim.drain();
    let refused = sim.far("alice").events.iter().rev().find_map(|event| match event {
        Event::ReinviteFailed { code, .. } => Some(*code),
        _ => None,
    });
    assert_eq!(refused, Some(488));
    assert_eq!(codecs(&send(&sim, LegNo::A)), [Codec::Pcma]);
    completed(&mut sim, "alice");
}

#[test]
fn rfc3264_8_3_2_a_number_keeps_its_meaning_in_our_own_offers() {
    let mut sim = office(|_| {});
    // Hers are numbers that we use for other things: 101 for Opus, 111 for its events.
    let theirs = sdp("alice", "101 8 111 98")
        .replace("rtpmap:96", "rtpmap:101")
        .replace("rtpmap:97", "rtpmap:111");
    let (from, to) = (format!("<sip:80001@{REALM}>"), format!("sip:80002@{REALM}"));
    invite_with(&mut sim, "alice", (&from, &to), own("80001"), (&[], &theirs));
    sim.pick_up_with("bob", &sdp("bob", "96 8 97"));
    assert_eq!(formats(&sim, "alice", "200 INVITE"), "101 8 111 98");
    // She asks for our offer (RFC 3261 §14.2).
    let now = sim.now.mono;
    let alice = sim.far("alice");
    let session = alice.session();
    assert!(alice.endpoint.reinvite(now, session, Bytes::new()));
    sim.drain();
    let ours = sim.far("alice").events.iter().rev().find_map(|event| match event {
        Event::ReinviteAnswered { sdp, .. } => sdp.clone(),
        _ => None,
    });
    let ours = String::from_utf8(ours.expect("ours").to_vec()).unwrap();
    assert!(ours.contains("a=rtpmap:101 opus/48000/2"), "{ours}");
    assert!(ours.contains("a=rtpmap:111 telephone-event/48000"), "{ours}");
}

#[test]
fn rfc3389_4_comfort_noise_is_agreed_on_by_both_or_by_none() {
    for (theirs, carriers, offered, answered) in [
        ("8 13 98", "8 13 98", "8 0 13 101", "8 13 98"),
        ("8 13 98", "8 98", "8 0 13 101", "8 98"),
        ("8 98", "8 98", "8 0 101", "8 98"),
    ] {
        let mut sim = office(|_| {});
        calls(&mut sim, OUTSIDE, theirs);
        assert_eq!(formats(&sim, "b", "INVITE"), offered);
        sim.pick_up_with("b", &sdp("b", carriers));
        assert_eq!(formats(&sim, "alice", "200 INVITE"), answered);
        assert_eq!(send(&sim, LegNo::A).noise.is_some(), answered.contains(" 13 "));
        completed(&mut sim, "alice");
    }
}
