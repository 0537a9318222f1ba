//! What a carrier plays before the answer: it is listened to for as long as nobody has answered, gives a failure its
//! cause, and ends an attempt where the settings say so.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use call::Miss;
use common::phones::{bind, call_from};
use common::*;
use facts::manners::EarlyMedia;
use facts::media::{MediaCommand, MediaEvent, Source, Tone};
use facts::recognition::{Announced, Recognition, Release, Sounded};
use facts::settings::Route;
use facts::{Failure, Kind, LegNo, Origin, Outcome, Side, TrunkId};
use sip::wire::HeaderName;

const A: LegNo = LegNo::A;
const B: LegNo = LegNo::B;

/// Calls to B go to "b", and where another carrier may do better to "c".
fn world(release: Release) -> Sim {
    Sim::with(
        |config| config.hearing.release = release,
        |snapshot| {
            snapshot.routes.push(Route::new("8610", TrunkId(3), 1));
            snapshot.trunks.get_mut(&TrunkId(2)).unwrap().options.tones = "de".into();
        },
    )
}

fn words(says: Announced, cause: u8) -> Sounded {
    Sounded::Announcement { says, cause }
}

/// The turn of the listening under way on a leg, and whose tones are known.
fn listening(sim: &Sim, no: LegNo) -> Option<(u8, String)> {
    sim.media.iter().fold(None, |before, command| match command {
        MediaCommand::Listen { leg, country, turn } if leg.no == no => {
            Some((*turn, country.clone()))
        }
        MediaCommand::StopListening { leg } | MediaCommand::Close { leg } if leg.no == no => None,
        _ => before,
    })
}

fn hears(sim: &mut Sim, no: LegNo, sounded: Sounded, certain: bool) {
    let (turn, _) = listening(sim, no).expect("somebody listens");
    told(sim, no, turn, sounded, certain);
}

fn told(sim: &mut Sim, no: LegNo, turn: u8, sounded: Sounded, certain: bool) {
    let leg = sim.leg(no);
    let verdict = Recognition { sounded, certain, confidence: 90, from_ms: 100, to_ms: 3_100 };
    sim.media(MediaEvent::Recognised { leg, turn, verdict });
}

/// B's carrier is heard: 183 with a description, and sound.
fn to_early_b(release: Release) -> Sim {
    let mut sim = world(release);
    sim.up_to_b();
    sim.ring("b", 183, Some(&sdp_of("b")));
    let leg = sim.leg(B);
    sim.media(MediaEvent::Started { leg });
    sim
}

#[test]
fn early_media_is_listened_to_from_its_description_to_the_answer() {
    let mut sim = world(Release::Certain);
    sim.place(callback());
    sim.ring("a", 180, None);
    assert_eq!(listening(&sim, A), None, "nothing can be heard");
    sim.ring("a", 183, Some(&sdp_of("a")));
    assert_eq!(listening(&sim, A), Some((1, "cn".into())));
    let setup = sim.media.iter().position(|c| matches!(c, MediaCommand::Setup { .. }));
    let listen = sim.media.iter().position(|c| matches!(c, MediaCommand::Listen { .. }));
    assert!(setup < listen, "by then its numbers are known");
    sim.ring("a", 183, Some(&sdp_of("a")));
    let times = sim.media.iter().filter(|c| matches!(c, MediaCommand::Listen { .. })).count();
    assert_eq!(times, 1, "not anew with each copy");
    sim.pick_up("a");
    assert_eq!(listening(&sim, A), None);
    // Late news of it changes nothing.
    told(&mut sim, A, 1, words(Announced::SwitchedOff, 20), true);
    sim.ring("b", 183, Some(&sdp_of("b")));
    assert_eq!(listening(&sim, B), Some((1, "de".into())), "the trunk's own tones");
    sim.pick_up("b");
    sim.hang_up("b");
    let record = sim.record();
    assert_eq!(record.outcome, Outcome::Completed);
    assert!(record.legs.iter().all(|leg| leg.recognised.is_none()));
    sim.assert_clean();
}

#[test]
fn conformance_5_an_announcement_is_the_cause_whatever_the_status_says() {
    for (sounded, certain, reason, kind, cause) in [
        (words(Announced::SwitchedOff, 20), true, None, Kind::Unreachable, 20),
        (words(Announced::NoSuchNumber, 1), false, None, Kind::Unallocated, 1),
        (words(Announced::NoSuchNumber, 1), true, Some("Q.850;cause=17"), Kind::Unallocated, 1),
        (words(Announced::NoSuchNumber, 1), false, Some("Q.850;cause=31"), Kind::Unallocated, 1),
        // The carrier's own cause is better than what was only likely.
        (words(Announced::NoSuchNumber, 1), false, Some("Q.850;cause=17"), Kind::Busy, 17),
        (Sounded::Busy, true, None, Kind::Busy, 17),
        (Sounded::Special { cause: 22 }, true, None, Kind::Unallocated, 22),
        // These say nothing of the end.
        (Sounded::Special { cause: 31 }, false, None, Kind::Unreachable, 18),
        (Sounded::Music, false, None, Kind::Unreachable, 18),
        (Sounded::Ringing, false, None, Kind::Unreachable, 18),
    ] {
        let mut sim = to_early_b(Release::Never);
        hears(&mut sim, B, sounded, certain);
        assert_eq!(sim.engine.live()[0].state, "dialing_b", "what is heard is for the record");
        sim.advance(s(1));
        sim.refuse("b", 480, reason);
        sim.advance(s(60));
        let b = sim.record().leg(B).unwrap().clone();
        let failure = Failure::new(Origin::LegB, kind);
        assert_eq!((b.failure, b.q850, b.sip_final), (Some(failure), Some(cause), Some(480)));
        let kept = b.recognised.unwrap();
        assert_eq!((kept.verdict.sounded, kept.verdict.certain), (sounded, certain));
        assert!(kept.at >= b.progress.unwrap() && kept.at < b.ended.unwrap());
        assert_eq!(sim.far("c").count("INVITE"), 0, "{sounded:?}: nobody else would do better");
        sim.assert_clean();
    }
}

/// Whoever refused is not rung again by another carrier because of what was only likely, and another carrier is
/// asked although something else was.
#[test]
fn what_is_only_likely_leads_to_no_other_carrier_and_keeps_none_from_being_asked() {
    for (sounded, certain, code, asked) in [
        (words(Announced::NetworkBusy, 34), false, 486, 0),
        (words(Announced::NetworkBusy, 34), false, 603, 0),
        (words(Announced::NetworkBusy, 34), true, 480, 1),
        (Sounded::Congestion, true, 480, 1),
    ] {
        let mut sim = to_early_b(Release::Never);
        hears(&mut sim, B, sounded, certain);
        sim.refuse("b", code, None);
        let rung = sim.far("c").count("INVITE");
        assert_eq!(rung, asked, "{sounded:?}, certain: {certain}, {code}");
    }
}

#[test]
fn what_says_more_is_kept() {
    let mut sim = to_early_b(Release::Never);
    hears(&mut sim, B, Sounded::Speech, false);
    hears(&mut sim, B, words(Announced::OnACall, 17), false);
    hears(&mut sim, B, Sounded::Ringing, false);
    hears(&mut sim, B, words(Announced::OnACall, 17), true);
    hears(&mut sim, B, Sounded::Busy, true);
    hears(&mut sim, B, Sounded::Music, false);
    sim.refuse("b", 503, None);
    sim.advance(s(60));
    let kept = sim.record().leg(B).unwrap().recognised.unwrap().verdict;
    assert_eq!((kept.sounded, kept.certain), (words(Announced::OnACall, 17), true));
    sim.assert_clean();
}

#[test]
fn an_announcement_that_is_never_followed_by_an_answer_is_why_nobody_answered() {
    let mut sim = to_early_b(Release::Never);
    hears(&mut sim, B, words(Announced::NoSuchNumber, 1), true);
    sim.advance(s(200));
    let b = sim.record().leg(B).unwrap().clone();
    assert!(sim.far("b").cancelled());
    assert_eq!(b.failure, Some(Failure::new(Origin::LegB, Kind::Unallocated)));
    assert_eq!(b.q850, Some(1));
    sim.assert_clean();
}

#[test]
fn a_hopeless_attempt_is_given_up_and_whoever_called_hears_why() {
    let mut sim = to_early_b(Release::Certain);
    hears(&mut sim, B, words(Announced::NoSuchNumber, 1), false);
    assert!(!sim.far("b").cancelled(), "likely is not enough");
    hears(&mut sim, B, words(Announced::NoSuchNumber, 1), true);
    assert!(sim.far("b").cancelled());
    let cancel = sim.far("b").last("CANCEL").clone();
    assert_eq!(cancel.header_str(HeaderName::Reason), Some("Q.850;cause=1;text=\"unallocated\""));
    assert_eq!(sim.far("c").count("INVITE"), 0, "the number does not exist anywhere");
    let Some(Source::Prompt(prompt)) = sim.hears(A) else { panic!("{:?}", sim.hears(A)) };
    assert_eq!(prompt.name, "callee-invalid");
    sim.advance(s(60));
    let record = sim.record();
    let b = record.leg(B).unwrap();
    assert_eq!(b.failure, Some(Failure::new(Origin::LegB, Kind::Unallocated)));
    assert_eq!((b.q850, b.answered, record.released_by), (Some(1), None, Side::Platform));
    assert!(b.recognised.unwrap().verdict.certain);
    sim.assert_clean();
}

#[test]
fn a_busy_tone_ends_an_attempt_and_music_ringing_and_speech_never_do() {
    let mut sim = to_early_b(Release::Certain);
    for sounded in [
        Sounded::Music,
        Sounded::Ringing,
        Sounded::Speech,
        Sounded::Silence,
        Sounded::Fax,
        Sounded::Information,
    ] {
        // Not even if somebody were sure of it.
        hears(&mut sim, B, sounded, true);
        assert!(!sim.far("b").cancelled(), "{sounded:?}");
    }
    hears(&mut sim, B, Sounded::Busy, true);
    assert!(sim.far("b").cancelled());
    sim.advance(s(60));
    let b = sim.record().leg(B).unwrap();
    assert_eq!(b.failure, Some(Failure::new(Origin::LegB, Kind::Busy)));
    sim.assert_clean();
}

#[test]
fn a_network_that_is_congested_is_left_for_the_next_carrier() {
    let mut sim = to_early_b(Release::Certain);
    let b = sim.leg(B);
    assert_eq!(sim.hears(A), Some(&Source::Leg(b)));
    hears(&mut sim, B, Sounded::Congestion, true);
    assert!(sim.far("b").cancelled());
    assert_eq!(sim.far("c").count("INVITE"), 1);
    assert_eq!(listening(&sim, B), None, "nothing is heard of it yet");
    assert_eq!(sim.hears(A), Some(&Source::Tone(Tone::RingBack)));
    sim.ring("c", 183, Some(&sdp_of("c")));
    assert_eq!(listening(&sim, B), Some((2, "cn".into())), "another carrier, other tones");
    assert_eq!(sim.hears(A), Some(&Source::Leg(b)), "its port is known to work");
    // What was still on its way of the first one counts for nothing.
    told(&mut sim, B, 1, words(Announced::SwitchedOff, 20), true);
    assert!(!sim.far("c").cancelled());
    sim.pick_up("c");
    sim.hang_up("c");
    let record = sim.record();
    assert_eq!(record.outcome, Outcome::Completed);
    let b = record.leg(B).unwrap();
    assert_eq!((b.trunk.as_str(), b.recognised), ("gamma", None));
    sim.assert_clean();
}

#[test]
fn a_congested_network_that_says_so_itself_is_left_as_well_and_a_dead_number_is_not() {
    for (sounded, tried) in [
        (words(Announced::NetworkBusy, 34), 1),
        (Sounded::Congestion, 1),
        (Sounded::Special { cause: 42 }, 1),
        (words(Announced::NoSuchNumber, 1), 0),
        (Sounded::Busy, 0),
        (Sounded::Music, 0),
    ] {
        let mut sim = to_early_b(Release::Never);
        hears(&mut sim, B, sounded, false);
        sim.refuse("b", 503, None);
        assert_eq!(sim.far("c").count("INVITE"), tried, "{sounded:?}");
        if tried == 1 {
            sim.refuse("c", 486, None);
        }
        sim.advance(s(60));
        sim.assert_clean();
    }
}

#[test]
fn case_18_an_answer_that_crosses_the_early_end_is_ended_and_costs_nothing() {
    let mut sim = to_early_b(Release::Certain);
    sim.far("b").muted = true;
    sim.pick_up("b");
    hears(&mut sim, B, words(Announced::SwitchedOff, 20), true);
    sim.unmute("b");
    assert_eq!((sim.far("b").count("ACK"), sim.far("b").count("BYE")), (1, 1));
    sim.advance(s(60));
    let b = sim.record().leg(B).unwrap();
    assert_eq!((b.answered, b.bill_seconds()), (None, 0));
    sim.assert_clean();
}

#[test]
fn a_caller_by_sip_is_told_the_cause_that_was_heard() {
    let mut sim = Sim::with(
        |config| config.hearing.release = Release::Certain,
        |snapshot| {
            snapshot.extensions.insert("80001".into(), extension("80001", "right"));
        },
    );
    sim.add("desk", "203.0.113.5:40000", 150);
    bind(&mut sim, &[("80001", "203.0.113.5:40000")]);
    call_from(&mut sim, "desk", "80001", "01088886666");
    sim.ring("b", 183, Some(&sdp_of("b")));
    hears(&mut sim, B, words(Announced::NumberChanged, 22), true);
    let told = sim.fars["desk"].heard.iter().rev().find(|message| !message.is_request()).unwrap();
    assert_eq!(told.status(), Some(410));
    assert!(told.header_str(HeaderName::Reason).unwrap().starts_with("Q.850;cause=22"));
    sim.assert_clean();
}

#[test]
fn sound_that_nobody_is_to_hear_is_listened_to_all_the_same() {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            let trunk = snapshot.trunks.get_mut(&TrunkId(2)).unwrap();
            trunk.options.early_media = EarlyMedia::Suppress;
        },
    );
    sim.up_to_b();
    sim.ring("b", 183, Some(&sdp_of("b")));
    let leg = sim.leg(B);
    sim.media(MediaEvent::Started { leg });
    assert_eq!(sim.hears(A), Some(&Source::Tone(Tone::RingBack)));
    hears(&mut sim, B, words(Announced::InDebt, 21), true);
    sim.refuse("b", 480, None);
    sim.advance(s(60));
    assert_eq!(sim.record().leg(B).unwrap().q850, Some(21));
    sim.assert_clean();
}

#[test]
fn nobody_listens_where_the_settings_say_so_nor_to_phones() {
    let mut sim = Sim::with(|config| config.hearing.listens = false, |_| {});
    sim.up_to_b();
    sim.ring("b", 183, Some(&sdp_of("b")));
    assert_eq!(listening(&sim, B), None);
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            snapshot.extensions.insert("80001".into(), extension("80001", "right"));
            snapshot.inbound.insert("861088880001".into(), "80001".into());
        },
    );
    sim.add("desk", "203.0.113.5:40000", 150);
    bind(&mut sim, &[("80001", "203.0.113.5:40000")]);
    sim.raw(
        CARRIER_B,
        &format!(
            "INVITE sip:+861088880001@{US} SIP/2.0\nVia: SIP/2.0/UDP {CARRIER_B};branch=z9hG4bKse\n\
             Max-Forwards: 70\nFrom: <sip:+8613800138000@carrier.example>;tag=1\n\
             To: <sip:+861088880001@{US}>\nCall-ID: heard\nCSeq: 1 INVITE\n\
             Contact: <sip:x@{CARRIER_B}>\nContent-Length: 0\n\n"
        ),
    );
    sim.ring("desk", 183, Some(&sdp_of("c")));
    assert!(sim.media.iter().any(|c| matches!(c, MediaCommand::Setup { .. })));
    assert!(!sim.media.iter().any(|c| matches!(c, MediaCommand::Listen { .. })));
}

/// A provisional answer to B's INVITE from one of the far ends that it reached downstream.
fn from_branch(sim: &mut Sim, status: &str, tag: &str, sdp: &str) {
    let invite = sim.far("b").last("INVITE").clone();
    let line = |name| String::from_utf8(invite.header(name).unwrap().to_vec()).unwrap();
    let [via, from, to, call_id, cseq] =
        [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq]
            .map(line);
    let body = sdp.replace('\r', "");
    let length = body.len() + body.matches('\n').count();
    let text = format!(
        "SIP/2.0 {status}\nVia: {via}\nFrom: {from}\nTo: {to};tag={tag}\nCall-ID: {call_id}\n\
         CSeq: {cseq}\nContact: <sip:b@192.0.2.2:5060>\nContent-Type: application/sdp\n\
         Content-Length: {length}\n\n{body}"
    );
    sim.raw(CARRIER_B, &text);
}

#[test]
fn rfc3261_13_2_2_4_what_one_far_end_plays_ends_nothing_while_another_one_rings() {
    for rings in [None, Some("180 Ringing"), Some("199 Early Dialog Terminated")] {
        let mut sim = world(Release::Certain);
        sim.far("b").muted = true;
        sim.up_to_b();
        from_branch(&mut sim, "183 Session Progress", "one", &sdp_of("b"));
        let before = sim.media.len();
        if let Some(status) = rings {
            from_branch(&mut sim, "180 Ringing", "two", "");
            from_branch(&mut sim, status, "two", "");
            // The one whose sound came first is heard, whoever else sends a description.
            from_branch(&mut sim, "183 Session Progress", "one", &sdp_of("b"));
            assert!(!sim.media[before..].iter().any(|c| {
                matches!(c, MediaCommand::Listen { .. } | MediaCommand::Setup { .. })
            }));
        }
        hears(&mut sim, B, words(Announced::SwitchedOff, 20), true);
        let goes_on = rings == Some("180 Ringing");
        assert_eq!(sim.engine.live()[0].state == "dialing_b", goes_on, "{rings:?}");
        let missed: Vec<_> = sim.missed.iter().map(|m| (m.trunk.as_str(), m.why)).collect();
        match goes_on {
            true => assert!(missed.is_empty(), "{missed:?}"),
            false => assert_eq!(missed, [("beta", Miss::Heard(20))], "it counts once"),
        }
        if goes_on {
            // It was no word of the other one, and the record has it all the same.
            sim.unmute("b");
            sim.refuse("b", 486, None);
        }
        sim.unmute("b");
        sim.advance(s(60));
        let b = sim.record().leg(B).unwrap();
        let kind = if goes_on { Kind::Rejected } else { Kind::Unreachable };
        assert_eq!(b.failure.map(|failure| failure.kind), Some(kind), "{rings:?}");
        assert_eq!(b.recognised.unwrap().verdict.cause(), Some(20));
        assert_eq!(sim.missed.len(), 1, "{:?}", sim.missed);
        sim.assert_clean();
    }
}
