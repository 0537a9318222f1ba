//! Offers within a call: relayed from leg to leg or answered here, before and after the answer; and the
//! session timers of each leg.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use bytes::Bytes;
use call::Reinvite;
use common::{CARRIER_A, CARRIER_B, Sim, US, addr, extension, ms, s, sdp_of};
use facts::media::{Direction, MediaCommand, MediaEvent};
use facts::{Failure, Kind, LegNo, Origin, Outcome};
use sip::endpoint::{Event, Flow, Invite, SessionId};
use sip::wire::{HeaderName, Message, NameAddr, Uri};

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

#[test]
fn rfc3261_14_1_an_offer_that_was_given_up_leaves_no_leg_changed() {
    for (asker, other, no) in [("a", "b", B), ("b", "a", A)] {
        let mut sim = relaying();
        let now = sim.now.mono;
        let hold = with(asker, "sendonly");
        let far = sim.far(asker);
        let session = far.session();
        far.events.clear();
        assert!(far.endpoint.update(now, session, &hold.into()));
        sim.drain();
        sim.advance(s(9));
        assert_eq!(declined(&mut sim, asker), Some(504), "it has waited for too long");
        sim.far(other).events.retain(|event| !matches!(event, Event::ReinviteFailed { .. }));
        accept(&mut sim, other, &with(other, "recvonly"));
        // The other leg has agreed to what nobody asks any more: it is asked back.
        let back = asked(&mut sim, other).expect("it is asked again");
        assert!(back.contains("a=sendrecv") || !back.contains("a=sendonly"), "{back}");
        accept(&mut sim, other, &sdp_of(other));
        assert_eq!(direction(&sim, no), Some(Direction::SendReceive), "{other} speaks again");
        assert_eq!(answered(&mut sim, asker), None, "{asker} hears nothing of it");
        // And offers work as before.
        offer(&mut sim, asker, &with(asker, "sendonly"));
        accept(&mut sim, other, &with(other, "recvonly"));
        assert!(answered(&mut sim, asker).is_some());
        end(&mut sim);
    }
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
            timers: None,
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
    let record = sim.record();
    let why = Failure::new(Origin::LegA, Kind::LostDialog);
    assert_eq!(record.outcome, Outcome::Failed(why));
    let a = record.leg(A).unwrap();
    assert_eq!((a.answered, a.sip_final, a.failure), (None, Some(504), Some(why)));
    assert!(record.leg(B).unwrap().answered.is_some(), "B was there, and is paid for");
    sim.assert_clean();
}

#[test]
fn rfc3262_3_a_caller_is_answered_when_its_prack_lets_the_200_go_and_not_before() {
    let (mut sim, session) = dialled(&sdp_of("a"));
    sim.far("a").muted = true;
    early_media(&mut sim);
    sim.pick_up("b");
    sim.advance(s(3));
    assert!(!sim.far("a").heard.iter().any(|message| message.status() == Some(200)));
    sim.unmute("a");
    sim.advance(s(40));
    assert_eq!(sim.engine.live()[0].state, "bridged");
    caller_leaves(&mut sim, session);
    let record = sim.record();
    let (a, b) = (record.leg(A).unwrap(), record.leg(B).unwrap());
    let late = a.answered.unwrap().since(b.answered.unwrap());
    assert!(late >= s(3) && late < s(5), "{late:?}");
    assert_eq!(a.sip_final, Some(200));
}

#[test]
fn rfc3262_3_a_caller_that_gives_up_while_its_200_waits_was_never_answered() {
    let (mut sim, session) = dialled(&sdp_of("a"));
    sim.far("a").muted = true;
    early_media(&mut sim);
    sim.pick_up("b");
    sim.far("a").kept.clear();
    sim.far("a").muted = false;
    let now = sim.now.mono;
    sim.far("a").endpoint.bye(now, session, None);
    sim.drain();
    sim.advance(s(40));
    let a = sim.record().leg(A).unwrap();
    assert_eq!((a.answered, a.sip_final), (None, Some(487)));
    assert_eq!(sim.far("b").count("BYE"), 1);
    sim.assert_clean();
}

/// An answer of one branch of B to the INVITE it heard, as a forking proxy passes it on.
fn branch(sim: &mut Sim, status: &str, tag: &str, more: &str, sdp: &str) {
    let invite = sim.far("b").last("INVITE").clone();
    let header = |name| String::from_utf8(invite.header(name).unwrap().to_vec()).unwrap();
    let text = format!(
        "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag={tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
         Contact: <sip:{tag}@192.0.2.2>\r\nAllow: INVITE, ACK, BYE, PRACK, UPDATE\r\n{more}\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        header(HeaderName::Via),
        header(HeaderName::From),
        header(HeaderName::To),
        header(HeaderName::CallId),
        header(HeaderName::CSeq),
        sdp.len(),
    );
    let flow = Flow::udp(addr(US), addr(CARRIER_B));
    sim.engine.handle_message(sim.now, flow, text.into());
    sim.drain();
}

#[test]
fn rfc3311_5_1_an_early_update_speaks_for_its_own_branch_alone() {
    let (mut sim, session) = dialled(&sdp_of("a"));
    sim.far("b").dead = true;
    let at = |port: u16| sdp_of("b").replace("m=audio 30000", &format!("m=audio {port}"));
    let reliable = "Require: 100rel\r\nRSeq: 1\r\n";
    branch(&mut sim, "183 Session Progress", "one", reliable, &at(31_000));
    branch(&mut sim, "183 Session Progress", "two", reliable, &at(32_000));
    let remote = |sim: &Sim| {
        sim.media.iter().rev().find_map(|command| match command {
            MediaCommand::Setup { leg, setup } if leg.no == B => Some(setup.remote.port()),
            _ => None,
        })
    };
    assert_eq!(remote(&sim), Some(31_000), "who spoke first is heard");
    let invite = sim.far("b").last("INVITE").clone();
    let header = |name| String::from_utf8(invite.header(name).unwrap().to_vec()).unwrap();
    for (tag, port, heard) in [("two", 32_500, 31_000), ("one", 31_500, 31_500)] {
        let sdp = at(port).replace("o=- 1 1", "o=- 1 2");
        let contact = header(HeaderName::Contact);
        let target = contact.split(['<', '>']).nth(1).unwrap();
        let text = format!(
            "UPDATE {target} SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKup{tag}\n\
             Max-Forwards: 70\nFrom: {};tag={tag}\nTo: {}\nCall-ID: {}\nCSeq: 7 UPDATE\n\
             Contact: <sip:{tag}@192.0.2.2>\nContent-Type: application/sdp\nContent-Length: {}\n\n",
            header(HeaderName::To),
            header(HeaderName::From),
            header(HeaderName::CallId),
            sdp.len(),
        );
        let bytes = text.replace('\n', "\r\n") + &sdp;
        let flow = Flow::udp(addr(US), addr(CARRIER_B));
        sim.engine.handle_message(sim.now, flow, bytes.into());
        sim.drain();
        assert_eq!(remote(&sim), Some(heard), "an offer of {tag}");
    }
    // The other branch answers: what the first one had changed does not concern it.
    branch(&mut sim, "200 OK", "two", "", &at(32_000));
    assert_eq!(remote(&sim), Some(32_000));
    assert_eq!(sim.engine.live()[0].state, "bridged");
    sim.far("b").dead = false;
    let now = sim.now.mono;
    sim.far("a").endpoint.bye(now, session, None);
    sim.drain();
    sim.advance(s(400));
    assert_eq!(sim.settled.len(), 1);
}

#[test]
fn rfc3264_7_an_answer_that_cannot_be_used_ends_the_call_by_ack_and_bye() {
    for refused in ["v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nt=0 0\r\n", "no description at all"] {
        let mut sim = Sim::new();
        sim.up_to_b();
        sim.pick_up_with("b", refused);
        assert_eq!((sim.far("b").count("ACK"), sim.far("b").count("BYE")), (1, 1), "{refused}");
        let cause = sim.far("b").last("BYE").reason()[0].cause;
        assert_eq!(cause, Some(88), "Q.850: incompatible destination");
        sim.advance(s(30));
        let why = Failure::new(Origin::LegB, Kind::NotAcceptable);
        assert_eq!(sim.record().outcome, Outcome::Failed(why));
        assert_eq!(sim.record().leg(B).unwrap().answered, None, "nobody pays for it");
        assert_eq!(sim.far("a").count("BYE"), 1, "A is told and let go");
        sim.assert_clean();
    }
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
