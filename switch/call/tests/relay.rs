//! Offers within a call: relayed from leg to leg or answered here, before and after the answer; and the
//! session timers of each leg.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use bytes::Bytes;
use call::Reinvite;
use common::{CARRIER_A, Sim, US, addr, extension, ms, s, sdp_of};
use facts::media::{Direction, MediaCommand, MediaEvent};
use facts::{Failure, Kind, LegNo, Origin, Outcome};
use sip::endpoint::{Event, Flow, Invite, SessionId};
use sip::wire::{Message, NameAddr, Uri};

const A: LegNo = LegNo::A;
const B: LegNo = LegNo::B;
const DID: &str = "sip:+861087654321@198.51.100.1";

fn relaying() -> Sim {
    let mut sim = Sim::with(|config| config.reinvite = Reinvite::Relay, |_| {});
    sim.up_to_bridge();
    sim
}

/// A far end offers.
fn offer(sim: &mut Sim, name: &str, sdp: &str) {
    let now = sim.now.mono;
    let far = sim.far(name);
    let session = far.session();
    far.events.clear();
    assert!(far.endpoint.reinvite(now, session, Bytes::copy_from_slice(sdp.as_bytes())));
    sim.drain();
}

fn with(name: &str, attribute: &str) -> String {
    format!("{}a={attribute}\r\n", sdp_of(name))
}

/// The offer that a far end was made and has not answered.
fn asked(sim: &mut Sim, name: &str) -> Option<String> {
    sim.far(name).events.iter().rev().find_map(|event| match event {
        Event::Reinvite { sdp, .. } => sdp.as_ref().map(text),
        _ => None,
    })
}

fn text(sdp: &Bytes) -> String {
    String::from_utf8(sdp.to_vec()).unwrap()
}

fn accept(sim: &mut Sim, name: &str, sdp: &str) {
    let now = sim.now.mono;
    let far = sim.far(name);
    let session = far.session();
    far.endpoint.accept_reinvite(now, session, Bytes::copy_from_slice(sdp.as_bytes()));
    sim.drain();
}

fn answered(sim: &mut Sim, name: &str) -> Option<String> {
    sim.far(name).events.iter().rev().find_map(|event| match event {
        Event::ReinviteAnswered { sdp, .. } => sdp.as_ref().map(text),
        _ => None,
    })
}

fn declined(sim: &mut Sim, name: &str) -> Option<u16> {
    sim.far(name).events.iter().rev().find_map(|event| match event {
        Event::ReinviteFailed { code, .. } => Some(*code),
        _ => None,
    })
}

fn direction(sim: &Sim, no: LegNo) -> Option<Direction> {
    sim.media.iter().rev().find_map(|command| match command {
        MediaCommand::Setup { leg, setup } if leg.no == no => Some(setup.direction),
        _ => None,
    })
}

fn setups(sim: &Sim) -> usize {
    sim.media.iter().filter(|command| matches!(command, MediaCommand::Setup { .. })).count()
}

/// Who dialled us hangs up, and the call is on record as one that went well.
fn caller_leaves(sim: &mut Sim, session: SessionId) {
    let now = sim.now.mono;
    sim.far("a").endpoint.bye(now, session, None);
    sim.drain();
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

fn end(sim: &mut Sim) {
    sim.hang_up("a");
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn rfc3264_8_4_hold_is_relayed_as_direction_whatever_its_spelling() {
    for (said, passed, reply, told, a, b) in [
        (
            "sendonly",
            "sendonly",
            "recvonly",
            "recvonly",
            Direction::ReceiveOnly,
            Direction::SendOnly,
        ),
        ("inactive", "inactive", "inactive", "inactive", Direction::Inactive, Direction::Inactive),
        ("zero", "sendonly", "recvonly", "recvonly", Direction::ReceiveOnly, Direction::SendOnly),
        ("sendonly", "sendonly", "inactive", "inactive", Direction::Inactive, Direction::Inactive),
    ] {
        let mut sim = relaying();
        let hold = match said {
            "zero" => sdp_of("a").replace("c=IN IP4 192.0.2.1", "c=IN IP4 0.0.0.0"),
            attribute => with("a", attribute),
        };
        offer(&mut sim, "a", &hold);
        let passed_on = asked(&mut sim, "b").expect("B is asked");
        assert!(passed_on.contains(&format!("a={passed}")), "{said}: {passed_on}");
        assert_eq!(answered(&mut sim, "a"), None, "{said}: A waits for B");
        accept(&mut sim, "b", &with("b", reply));
        let answer = answered(&mut sim, "a").expect("A is answered");
        assert!(answer.contains(&format!("a={told}")), "{said}: {answer}");
        assert_eq!((direction(&sim, A), direction(&sim, B)), (Some(a), Some(b)), "{said}");
        end(&mut sim);
    }
}

#[test]
fn case_1_five_cycles_of_hold_and_resume_leave_sound_both_ways() {
    let mut sim = relaying();
    for _ in 0..5 {
        for attribute in ["sendonly", "sendrecv"] {
            offer(&mut sim, "b", &with("b", attribute));
            let passed_on = asked(&mut sim, "a").expect("A is asked");
            assert!(passed_on.contains(&format!("a={attribute}")), "{passed_on}");
            let reply = if attribute == "sendonly" { "recvonly" } else { "sendrecv" };
            accept(&mut sim, "a", &with("a", reply));
            assert!(answered(&mut sim, "b").is_some());
            sim.advance(s(1));
        }
        for no in [A, B] {
            assert_eq!(direction(&sim, no), Some(Direction::SendReceive), "leg {no}");
        }
    }
    end(&mut sim);
}

#[test]
fn rfc3261_14_1_a_refusal_of_the_other_leg_is_passed_back_and_leaves_both_as_they_were() {
    let mut sim = relaying();
    let before = setups(&sim);
    offer(&mut sim, "a", &with("a", "sendonly"));
    let now = sim.now.mono;
    let b = sim.far("b");
    let session = b.session();
    b.endpoint.reject_reinvite(now, session, 488);
    sim.drain();
    assert_eq!(declined(&mut sim, "a"), Some(488));
    assert_eq!(setups(&sim), before, "no media was touched");
    // An answer that cannot be used is no answer.
    offer(&mut sim, "a", &with("a", "sendonly"));
    accept(&mut sim, "b", "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nt=0 0\r\n");
    assert_eq!(declined(&mut sim, "a"), Some(488));
    assert_eq!(setups(&sim), before);
    assert_eq!(sim.engine.live()[0].state, "bridged");
    // And the next one is heard.
    offer(&mut sim, "a", &with("a", "sendonly"));
    accept(&mut sim, "b", &with("b", "recvonly"));
    assert!(answered(&mut sim, "a").is_some());
    end(&mut sim);
}

#[test]
fn case_24_offers_that_cross_two_dialogs_are_both_settled_by_14_1() {
    let mut sim = relaying();
    let now = sim.now.mono;
    for name in ["a", "b"] {
        let sdp = with(name, "sendonly");
        let far = sim.far(name);
        let session = far.session();
        far.events.clear();
        assert!(far.endpoint.reinvite(now, session, sdp.into()));
    }
    sim.drain();
    let mut done = [false; 2];
    for _ in 0..120 {
        sim.advance(ms(100));
        for (at, name) in ["a", "b"].into_iter().enumerate() {
            if asked(&mut sim, name).is_some() {
                accept(&mut sim, name, &with(name, "inactive"));
                let waiting = |event: &Event| !matches!(event, Event::Reinvite { .. });
                sim.far(name).events.retain(waiting);
            }
            done[at] |= answered(&mut sim, name).is_some();
        }
    }
    assert_eq!(done, [true, true], "neither gives up its hold");
    let met = |sim: &mut Sim, name: &str| {
        sim.far(name).heard.iter().any(|message| message.status() == Some(491))
    };
    assert!(met(&mut sim, "a") || met(&mut sim, "b"), "they did meet");
    assert_eq!(sim.engine.live()[0].state, "bridged");
    end(&mut sim);
}

#[test]
fn a_hang_up_that_crosses_a_relayed_offer_ends_both_legs_once() {
    for who in ["a", "b"] {
        let mut sim = relaying();
        offer(&mut sim, "a", &with("a", "sendonly"));
        sim.hang_up(who);
        assert_eq!(sim.record().outcome, Outcome::Completed);
        let late = sim.now.mono;
        let b = sim.far("b");
        let session = b.session();
        b.endpoint.accept_reinvite(late, session, with("b", "recvonly").into());
        sim.drain();
        assert_eq!(sim.settled.len(), 1);
        sim.assert_clean();
    }
}

#[test]
fn rfc3264_8_what_concerns_one_leg_alone_is_answered_here() {
    let mut sim = relaying();
    offer(&mut sim, "a", &sdp_of("a").replace("m=audio 30000", "m=audio 31000"));
    assert!(answered(&mut sim, "a").is_some(), "another port");
    assert_eq!(sim.far("b").count("INVITE"), 1, "B is not asked");
    let port = sim.media.iter().rev().find_map(|command| match command {
        MediaCommand::Setup { leg, setup } if leg.no == A => Some(setup.remote.port()),
        _ => None,
    });
    assert_eq!(port, Some(31_000));
    end(&mut sim);
}

#[test]
fn rfc3264_8_3_2_other_codecs_are_offered_to_the_other_leg_first_in_their_order() {
    let mut sim = relaying();
    offer(&mut sim, "a", &sdp_of("a").replace("RTP/AVP 0 8 101", "RTP/AVP 8 101"));
    let passed_on = asked(&mut sim, "b").expect("B is asked");
    assert!(passed_on.contains("RTP/AVP 8 0"), "{passed_on}");
    accept(&mut sim, "b", &sdp_of("b"));
    assert!(answered(&mut sim, "a").is_some());
    end(&mut sim);
}

#[test]
fn case_27_a_late_offer_within_a_call_is_ours_and_its_answer_is_relayed() {
    let mut sim = relaying();
    offer(&mut sim, "a", "");
    let ours = answered(&mut sim, "a").expect("our offer in the 200");
    assert!(ours.contains("m=audio"));
    let a = sim.far("a");
    let session = a.session();
    a.endpoint.acknowledge(session, with("a", "sendonly").into());
    sim.drain();
    let passed_on = asked(&mut sim, "b").expect("what it changes is passed on");
    assert!(passed_on.contains("a=sendonly"), "{passed_on}");
    accept(&mut sim, "b", &with("b", "recvonly"));
    assert_eq!(direction(&sim, B), Some(Direction::SendOnly));
    end(&mut sim);
}

#[test]
fn case_26_an_update_with_an_offer_is_relayed_as_well() {
    let mut sim = relaying();
    let now = sim.now.mono;
    let hold = with("b", "sendonly");
    let b = sim.far("b");
    let session = b.session();
    b.events.clear();
    assert!(b.endpoint.update(now, session, &hold.into()), "we list UPDATE");
    sim.drain();
    assert!(asked(&mut sim, "a").expect("A is asked").contains("a=sendonly"));
    accept(&mut sim, "a", &with("a", "recvonly"));
    assert!(answered(&mut sim, "b").expect("B is answered").contains("a=recvonly"));
    // A takes too long: B is told so, and A's answer changes nothing for B.
    let resume = with("b", "sendrecv");
    let now = sim.now.mono;
    let b = sim.far("b");
    b.events.clear();
    assert!(b.endpoint.update(now, session, &resume.into()));
    sim.drain();
    sim.advance(s(9));
    assert_eq!(declined(&mut sim, "b"), Some(504));
    accept(&mut sim, "a", &sdp_of("a"));
    assert_eq!(sim.engine.live()[0].state, "bridged");
    end(&mut sim);
}

// ---- before the answer

/// A call from a trunk to an extension whose bound phone is B.
fn dialled(sdp: &str) -> (Sim, SessionId) {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            let mut owner = extension("80001", "secret");
            owner.bound_phone = Some(common::NUMBER_B.into());
            snapshot.extensions.insert("80001".into(), owner);
            snapshot.inbound.insert("861087654321".into(), "80001".into());
        },
    );
    let now = sim.now.mono;
    let far = sim.far("a");
    let session = far.endpoint.invite(
        now,
        Invite {
            uri: Uri::parse(DID).unwrap(),
            flow: Flow::udp(addr(CARRIER_A), addr(US)),
            from: NameAddr::parse(b"<sip:+8613900001111@192.0.2.1>").unwrap(),
            to: NameAddr::new(Uri::parse(DID).unwrap()),
            contact_user: "x".into(),
            headers: Vec::new(),
            sdp: Bytes::copy_from_slice(sdp.as_bytes()),
            credentials: None,
            route: Vec::new(),
            keep_flow: false,
            reliable: true,
            edits: Vec::new(),
        },
    );
    sim.drain();
    assert_eq!(sim.far("b").count("INVITE"), 1, "B is called");
    (sim, session)
}

fn early_media(sim: &mut Sim) {
    sim.ring("b", 183, Some(&sdp_of("b")));
    let b = sim.leg(B);
    sim.media(MediaEvent::Started { leg: b });
}

fn progress(sim: &mut Sim, code: u16) -> Option<(Option<Bytes>, bool, String)> {
    sim.far("a").events.iter().rev().find_map(|event| match event {
        Event::Progress { code: told, sdp, owed, to_tag, .. } if *told == code => {
            Some((sdp.clone(), *owed, to_tag.clone()))
        }
        _ => None,
    })
}

#[test]
fn b1_rfc3262_each_leg_has_its_own_pracks() {
    let (mut sim, session) = dialled(&sdp_of("a"));
    sim.ring("b", 180, None);
    early_media(&mut sim);
    assert_eq!(sim.far("b").count("PRACK"), 2, "ours to B");
    assert!(progress(&mut sim, 183).expect("early sound").0.is_some());
    let pracked = |message: &&Message| {
        message.status() == Some(200)
            && message.cseq().is_ok_and(|cseq| cseq.method == sip::wire::Method::Prack)
    };
    assert_eq!(sim.far("a").heard.iter().filter(pracked).count(), 2, "A's to us");
    sim.pick_up("b");
    sim.advance(s(40));
    assert_eq!(sim.engine.live()[0].state, "bridged");
    caller_leaves(&mut sim, session);
}

#[test]
fn case_27_a_late_offer_is_made_in_a_reliable_183_and_the_200_bears_none() {
    let (mut sim, session) = dialled("");
    early_media(&mut sim);
    let (sdp, owed, tag) = progress(&mut sim, 183).expect("early sound");
    assert!(owed && text(&sdp.expect("our offer")).contains("m=audio"));
    let now = sim.now.mono;
    sim.far("a").endpoint.prack(now, session, &tag, sdp_of("a").into());
    sim.drain();
    assert_eq!(direction(&sim, A), Some(Direction::SendReceive), "A is heard before the answer");
    sim.pick_up("b");
    let answered =
        sim.far("a").events.iter().any(|event| matches!(event, Event::Answered { sdp: None, .. }));
    assert!(answered, "one offer, one answer");
    sim.advance(s(40));
    assert_eq!(sim.engine.live()[0].state, "bridged");
    caller_leaves(&mut sim, session);
}

#[test]
fn rfc3262_3_a_caller_that_acknowledges_nothing_is_not_put_through() {
    let (mut sim, _) = dialled(&sdp_of("a"));
    sim.far("a").muted = true;
    early_media(&mut sim);
    sim.pick_up("b");
    sim.advance(s(33));
    assert_eq!(sim.settled.len(), 1, "504 ended it");
    assert_eq!(sim.far("b").count("BYE"), 1);
    let refused = sim.far("a").heard.iter().any(|message| message.status() == Some(504));
    assert!(refused);
    sim.assert_clean();
}

#[test]
fn b2_rfc3311_caller_and_callee_update_before_the_answer() {
    let (mut sim, session) = dialled(&sdp_of("a"));
    early_media(&mut sim);
    let now = sim.now.mono;
    let moved = |name: &str| sdp_of(name).replace("m=audio 30000", "m=audio 32000");
    assert!(sim.far("a").endpoint.update(now, session, &moved("a").into()));
    sim.drain();
    assert!(answered(&mut sim, "a").is_some());
    let b = sim.far("b");
    let ringing = b.session();
    assert!(b.endpoint.update(now, ringing, &moved("b").into()));
    sim.drain();
    assert!(answered(&mut sim, "b").is_some());
    sim.pick_up("b");
    for no in [A, B] {
        let remote = sim.media.iter().rev().find_map(|command| match command {
            MediaCommand::Setup { leg, setup } if leg.no == no => Some(setup.remote.port()),
            _ => None,
        });
        assert_eq!(remote, Some(32_000), "leg {no}: the answer brings no old description back");
    }
    assert_eq!(sim.engine.live()[0].state, "bridged");
    caller_leaves(&mut sim, session);
}

// ---- session timers

#[test]
fn b3_rfc4028_each_leg_is_refreshed_and_written_down_anew() {
    let mut sim = Sim::new();
    sim.up_to_bridge();
    let rows = sim.journal.len();
    let extensions = sim.extensions.len();
    sim.advance(s(3_000));
    assert_eq!(sim.engine.live()[0].state, "bridged");
    for name in ["a", "b"] {
        let refreshed = sim.far(name).heard.iter().any(|message| {
            message.status() == Some(200)
                && message.cseq().is_ok_and(|cseq| cseq.method == sip::wire::Method::Update)
        });
        assert!(refreshed, "{name} is answered");
    }
    let paid = sim.extensions.len() - extensions;
    assert!(sim.journal.len() - rows >= paid + 6, "three refreshes of each leg are in the journal");
    sim.hang_up("a");
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn b3_rfc4028_10_a_leg_whose_far_end_is_gone_ends_the_call_before_the_interval_does() {
    let mut sim = Sim::with(|config| config.silence = None, |_| {});
    sim.up_to_bridge();
    sim.far("b").dead = true;
    sim.advance(s(1_760));
    assert_eq!(sim.engine.live().len(), 1);
    sim.advance(s(20));
    let why = Failure::new(Origin::LegB, Kind::LostDialog);
    assert_eq!(sim.record().outcome, Outcome::Failed(why));
    assert_eq!(sim.far("a").count("BYE"), 1, "case 29: the other leg is let go");
}
