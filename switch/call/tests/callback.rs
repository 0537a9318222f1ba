//! The callback, end to end over real SIP endpoints: A24 (RFC 3725), A25 (RFC 3960), each row of the
//! failure table as it looks on the wire and in the record.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::*;
use facts::media::{Codec, Direction, MediaCommand, MediaEvent, MediaStats, Prompt, Source, Tone};
use facts::{Failure, Kind, LegNo, Origin, Outcome, Side};
use sip::endpoint::Event;

const A: LegNo = LegNo::A;
const B: LegNo = LegNo::B;

#[test]
fn a24_rfc3725_a_whole_call() {
    let mut sim = Sim::new();
    let mut command = callback();
    command.record = facts::media::Record::Yes;
    let token = sim.place(command);
    let placed = sim.placed(token).unwrap();
    assert!(!placed.duplicate);

    let invite = sim.far("a").last("INVITE").clone();
    assert_eq!(invite.request_uri(), Some("sip:+8613800138000@192.0.2.1:5060"));
    assert_eq!(invite.from().unwrap().uri.user.as_deref(), Some("+861088889999"));
    sim.advance(s(1));
    sim.ring("a", 180, None);
    sim.advance(s(4));
    assert_eq!(sim.far("b").count("INVITE"), 0, "B is not rung before A answers");
    sim.pick_up("a");
    assert_eq!(sim.far("a").count("ACK"), 1);
    assert_eq!(sim.hears(A), Some(&Source::Tone(Tone::RingBack)), "within 1 s of the answer");
    assert_eq!(sim.engine.live()[0].state, "dialing_b");

    // B's offer: A's first codec first (A answered PCMU before PCMA).
    let offer = String::from_utf8(sim.far("b").last("INVITE").body().to_vec()).unwrap();
    assert!(offer.contains("RTP/AVP 0 8 101"), "{offer}");
    sim.advance(s(1));
    sim.ring("b", 180, None);
    assert_eq!(sim.hears(A), Some(&Source::Tone(Tone::RingBack)));
    sim.advance(s(5));
    sim.pick_up("b");
    assert_eq!(sim.hears(A), Some(&Source::Leg(sim.leg(B))));
    assert_eq!(sim.hears(B), Some(&Source::Leg(sim.leg(A))));
    assert!(sim.media.iter().any(|c| matches!(c, MediaCommand::Record { .. })));

    sim.advance(s(100));
    sim.hang_up("b");
    assert_eq!(sim.far("a").count("BYE"), 1);
    let record = sim.record().clone();
    assert_eq!(record.outcome, Outcome::Completed);
    assert_eq!(record.released_by, Side::Callee);
    assert!(record.recording.is_some());
    assert_eq!(record.placed, sim.authorizations[0].at);
    let (a, b) = (record.leg(A).unwrap(), record.leg(B).unwrap());
    assert_eq!((a.talk(), b.talk()), (s(106), s(100)), "each leg its own answer");
    assert_eq!(a.trunk, "alpha");
    assert_eq!(a.sip_final, Some(200));
    assert_eq!(record.bridged, b.answered);
    assert_eq!(a.alerting, a.progress);
    assert_eq!(a.invited + s(1), a.alerting.unwrap());
    assert_eq!(Some(a.sip_call_id.as_str()), invite.call_id());
    assert_eq!(a.media.packets_received, 1, "the figures of the media plane");
    assert_eq!(
        sim.states(),
        [
            "A callout",
            "A alerting",
            "A answer",
            "B callout",
            "B alerting",
            "B answer",
            "B disconnect",
            "A disconnect",
        ]
    );
    assert!(sim.notes.iter().all(|note| note.shown == "+861088889999"));
    assert_eq!(sim.notes[0].number, "13800138000", "as the merchant wrote it");
    sim.assert_clean();
}

#[test]
fn a24_rfc3725_reinvites_that_cross_are_each_answered_here() {
    let mut sim = Sim::new();
    sim.up_to_bridge();
    let now = sim.now.mono;
    let hold = |name: &str| sdp_of(name) + "a=sendonly\r\n";
    for name in ["a", "b"] {
        let sdp = hold(name);
        let far = sim.far(name);
        let session = far.session();
        assert!(far.endpoint.reinvite(now, session, sdp.into()));
    }
    sim.drain();
    for name in ["a", "b"] {
        let answered = |event: &Event| matches!(event, Event::ReinviteAnswered { .. });
        assert!(sim.far(name).events.iter().any(answered), "{name} is not made to wait");
        assert_eq!(sim.far(name).count("INVITE"), 1, "and hears nothing of the other's");
    }
    for no in [A, B] {
        let held = sim.media.iter().rev().find_map(|command| match command {
            MediaCommand::Setup { leg, setup } if leg.no == no => Some(setup.direction),
            _ => None,
        });
        assert_eq!(held, Some(Direction::ReceiveOnly), "leg {no}");
    }
    assert_eq!(sim.engine.live()[0].state, "bridged");
    sim.hang_up("b");
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn a24_each_leg_has_its_own_answer_time_and_price() {
    let mut sim = Sim::new();
    sim.up_to_bridge();
    sim.advance(s(20));
    sim.hang_up("b");
    let record = sim.record();
    let (a, b) = (record.leg(A).unwrap(), record.leg(B).unwrap());
    assert!(a.answered.unwrap() < b.answered.unwrap());
    assert_eq!((a.bill_seconds(), b.bill_seconds()), (23, 20), "A heard the tone for 3 s");
    assert_ne!(a.sip_call_id, b.sip_call_id);
    let quoted: Vec<LegNo> = sim.authorizations[0].legs.iter().map(|quote| quote.leg).collect();
    assert_eq!(quoted, [A, B]);
}

#[test]
fn a25_rfc3960_the_tone_stays_until_real_sound_comes() {
    let mut sim = Sim::new();
    sim.up_to_b();
    sim.ring("b", 183, Some(&sdp_of("b")));
    sim.advance(s(2));
    assert_eq!(sim.hears(A), Some(&Source::Tone(Tone::RingBack)), "a 183 without RTP");
    let b = sim.leg(B);
    let early = |c: &MediaCommand| {
        matches!(c, MediaCommand::Setup { leg, setup }
        if *leg == b && setup.silence.is_none())
    };
    assert!(sim.media.iter().any(early), "the port listens to B's network");
    sim.media(MediaEvent::Started { leg: b });
    assert_eq!(sim.hears(A), Some(&Source::Leg(b)));
    sim.ring("b", 180, None);
    assert_eq!(sim.hears(A), Some(&Source::Leg(b)), "180 after 183 does not cut the sound");
    sim.pick_up("b");
    assert_eq!(sim.engine.live()[0].state, "bridged");
    let b = sim.leg(B);
    let watched = |c: &MediaCommand| {
        matches!(c, MediaCommand::Setup { leg, setup }
        if *leg == b && setup.silence.is_some())
    };
    assert!(sim.media.iter().any(watched), "the silence watch begins with the answer");
    sim.hang_up("a");
    sim.assert_clean();
}

#[test]
fn a_provisional_answer_is_never_taken_for_the_final_one() {
    let mut sim = Sim::new();
    sim.up_to_b();
    sim.ring("b", 183, Some(&sdp_of("b")));
    sim.advance(s(30));
    assert_eq!(sim.engine.live()[0].state, "dialing_b");
    assert_eq!(sim.engine.live()[0].bridged, None);
    sim.refuse("b", 486, None);
    assert_eq!(sim.record_after_prompt().leg(B).unwrap().answered, None);
}

/// What A hears and how the call is recorded when B answers `code`.
#[allow(clippy::too_many_arguments, reason = "one row of the table")]
fn b_row(rings: bool, code: u16, reason: Option<&str>, kind: Kind, prompt: &str, by: Side) {
    let mut sim = Sim::new();
    sim.up_to_b();
    if rings {
        sim.ring("b", 180, None);
    }
    sim.advance(s(4));
    sim.refuse("b", code, reason);
    let heard = Source::Prompt(Prompt { name: prompt.into(), language: "en".into() });
    assert_eq!(sim.hears(A), Some(&heard), "{code} {reason:?}");
    assert!(sim.settled.is_empty(), "A is up until it has heard why");
    assert_eq!(sim.engine.live()[0].state, "ending");
    let record = sim.record_after_prompt().clone();
    let why = Failure::new(Origin::LegB, kind);
    assert_eq!(record.outcome, Outcome::Failed(why), "{code} {reason:?}");
    assert_eq!(record.released_by, by);
    let b = record.leg(B).unwrap();
    assert_eq!((b.sip_final, b.answered), (Some(code), None));
    assert_eq!(b.failure, Some(why));
    let bye = sim.far("a").last("BYE").clone();
    let told = reason.and_then(|reason| reason.rsplit('=').next()?.parse().ok());
    let cause = u16::from(told.or(facts::isdn::cause_of(code)).unwrap());
    assert_eq!(bye.reason()[0].cause, Some(cause), "BYE with Reason");
    assert_eq!(b.q850.map(u16::from), Some(cause), "{code} {reason:?}");
    assert!(record.leg(A).unwrap().talk() >= s(7), "A talked to the prompt and pays for it");
    sim.assert_clean();
}

#[test]
fn a24_b_fails_and_a_hears_why_and_gets_a_bye_with_the_reason() {
    use Kind as K;
    use Side::{Callee, Platform};
    b_row(false, 486, None, K::Busy, "callee-busy", Callee);
    b_row(true, 486, None, K::Rejected, "callee-busy", Callee);
    b_row(true, 603, None, K::Rejected, "callee-busy", Callee);
    b_row(false, 404, None, K::Unallocated, "callee-invalid", Platform);
    b_row(false, 484, None, K::InvalidNumber, "callee-invalid", Platform);
    b_row(false, 480, None, K::Unreachable, "callee-unreachable", Platform);
    b_row(false, 480, Some("Q.850;cause=1"), K::Unallocated, "callee-invalid", Platform);
    b_row(true, 408, None, K::NoAnswer, "callee-noanswer", Platform);
    b_row(true, 480, Some("Q.850;cause=19"), K::NoAnswer, "callee-noanswer", Platform);
    b_row(false, 403, None, K::Forbidden, "callee-unreachable", Platform);
    b_row(false, 503, None, K::Congestion, "callee-unreachable", Platform);
    b_row(false, 488, None, K::NotAcceptable, "callee-unreachable", Platform);
}

#[test]
fn b_does_not_answer_within_its_ring_time() {
    let mut sim = Sim::new();
    sim.up_to_b();
    sim.ring("b", 180, None);
    sim.advance(s(59));
    assert!(!sim.far("b").cancelled());
    sim.advance(s(2));
    assert!(sim.far("b").cancelled());
    let record = sim.record_after_prompt().clone();
    let why = Failure::new(Origin::LegB, Kind::NoAnswer);
    assert_eq!((record.outcome, record.released_by), (Outcome::Failed(why), Side::Platform));
    assert_eq!(record.leg(B).unwrap().q850, Some(19));
    assert_eq!(record.leg(B).unwrap().sip_final, Some(487), "the answer to our CANCEL");
    sim.assert_clean();
}

/// How a failure of A is recorded; B is never rung.
fn a_row(act: impl FnOnce(&mut Sim), kind: Kind, by: Side) {
    let mut sim = Sim::new();
    sim.place(callback());
    act(&mut sim);
    let record = sim.record().clone();
    assert_eq!(record.outcome, Outcome::Failed(Failure::new(Origin::LegA, kind)));
    assert_eq!(record.released_by, by);
    assert_eq!(record.legs.len(), 1, "B was never attempted");
    assert_eq!(record.legs[0].answered, None);
    assert_eq!(sim.far("b").count("INVITE"), 0);
    assert_eq!(sim.states().last().map(String::as_str), Some("A disconnect"));
    sim.assert_clean();
}

#[test]
fn a_busy_rejecting_silent_and_gone_are_told_apart() {
    a_row(|sim| sim.refuse("a", 486, None), Kind::Busy, Side::Caller);
    a_row(|sim| sim.refuse("a", 600, None), Kind::Busy, Side::Caller);
    a_row(|sim| sim.refuse("a", 603, None), Kind::Rejected, Side::Caller);
    a_row(|sim| sim.refuse("a", 404, None), Kind::Unallocated, Side::Platform);
    a_row(|sim| sim.refuse("a", 502, None), Kind::Unreachable, Side::Platform);
    a_row(
        |sim| {
            sim.ring("a", 180, None);
            sim.advance(s(61));
        },
        Kind::NoAnswer,
        Side::Platform,
    );
    a_row(
        |sim| {
            sim.ring("a", 180, None);
            sim.refuse("a", 486, None);
        },
        Kind::Rejected,
        Side::Caller,
    );
}

#[test]
fn a_hop_that_is_dead_makes_a_unreachable() {
    let mut sim = Sim::new();
    sim.far("a").dead = true;
    sim.place(callback());
    sim.advance(s(40));
    let record = sim.record().clone();
    assert_eq!(record.outcome, Outcome::Failed(Failure::new(Origin::LegA, Kind::Unreachable)));
    assert_eq!(record.legs[0].sip_final, None, "nobody answered");
    sim.assert_clean();
}

#[test]
fn case_66_a_leaves_while_b_rings_and_the_call_is_on_record() {
    for record in [false, true] {
        let mut sim = Sim::new();
        let mut command = callback();
        command.record = record.into();
        sim.place(command);
        sim.pick_up("a");
        sim.ring("b", 180, None);
        sim.advance(s(5));
        sim.hang_up("a");
        assert!(sim.far("b").cancelled(), "CANCEL B");
        let cancel = sim.far("b").last("CANCEL").clone();
        assert_eq!(cancel.reason()[0].cause, Some(16));
        let record = sim.record().clone();
        let why = Failure::new(Origin::LegA, Kind::Abandoned);
        assert_eq!((record.outcome, record.released_by), (Outcome::Failed(why), Side::Caller));
        assert_eq!(record.leg(A).unwrap().talk(), s(5));
        assert_eq!(record.leg(B).unwrap().answered, None);
        let states = sim.states();
        assert_eq!(states[states.len() - 2..], ["A disconnect", "B disconnect"]);
        sim.assert_clean();
    }
}

#[test]
fn case_18_cancel_crosses_200() {
    let mut sim = Sim::new();
    sim.up_to_b();
    sim.ring("b", 180, None);
    sim.far("b").muted = true;
    sim.pick_up("b");
    sim.hang_up("a");
    sim.unmute("b");
    sim.advance(s(1));
    let b = sim.far("b");
    assert!(b.count("ACK") >= 1 && b.ended(), "ACK and BYE for the 200 that crossed");
    let record = sim.record().clone();
    let leg = record.leg(B).unwrap();
    assert_eq!((leg.answered, leg.talk()), (None, s(0)), "zero billed");
    assert!(!sim.states().contains(&"B answer".to_owned()));
    sim.assert_clean();
}

#[test]
fn case_20_a_very_early_cancel_leaves_no_ghost() {
    let mut sim = Sim::new();
    sim.far("b").muted = true;
    sim.up_to_b();
    sim.hang_up("a");
    sim.advance(ms(200));
    assert_eq!(sim.far("b").count("CANCEL"), 0, "RFC 3261 §9.1: not before a 1xx");
    assert_eq!(sim.settled.len(), 1, "the record does not wait for it");
    sim.unmute("b");
    sim.advance(s(1));
    assert!(sim.far("b").cancelled(), "the ghost is gone");
    sim.assert_clean();
}

#[test]
fn case_52_a_call_that_we_end_is_billed_on_both_legs_to_our_decision() {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            snapshot.merchants.get_mut(&MERCHANT).unwrap().max_talk = s(120);
        },
    );
    sim.up_to_bridge();
    sim.advance(s(104));
    let beeps = |sim: &Sim| {
        sim.media.iter().filter(|c| matches!(c, MediaCommand::Interject { .. })).count()
    };
    assert_eq!(beeps(&sim), 0);
    sim.advance(s(2));
    assert_eq!(beeps(&sim), 2, "both hear the warning 15 s before");
    sim.advance(s(20));
    let record = sim.record().clone();
    assert_eq!(record.outcome, Outcome::Failed(Failure::new(Origin::Us, Kind::MaxDuration)));
    assert_eq!(record.released_by, Side::Platform);
    assert_eq!(record.leg(A).unwrap().talk(), s(123));
    assert_eq!(record.leg(B).unwrap().talk(), s(120));
    assert_eq!(sim.far("a").count("BYE") + sim.far("b").count("BYE"), 2);
    sim.assert_clean();
}

#[test]
fn case_55_a_lost_bye_is_billed_to_the_last_media() {
    let mut sim = Sim::new();
    sim.up_to_bridge();
    sim.advance(s(90));
    let b = sim.leg(B);
    sim.media(MediaEvent::Silent { leg: b, since: s(60) });
    assert_eq!(sim.far("b").count("BYE"), 1);
    assert_eq!(sim.far("a").count("BYE"), 1);
    let record = sim.record().clone();
    assert_eq!(record.outcome, Outcome::Failed(Failure::new(Origin::Media, Kind::MediaSilence)));
    assert_eq!(record.leg(B).unwrap().talk(), s(30), "not a second of the silence");
    sim.assert_clean();
}

#[test]
fn a_peer_that_is_gone_when_the_other_leg_ends_keeps_nothing_waiting() {
    let mut sim = Sim::new();
    sim.up_to_bridge();
    sim.advance(s(10));
    sim.far("b").dead = true;
    sim.hang_up("a");
    assert_eq!(sim.record().outcome, Outcome::Completed, "B's BYE is not waited for");
    sim.assert_clean();
}

#[test]
fn failover_takes_the_next_route_on_503_and_on_silence() {
    let set = |snapshot: &mut facts::settings::Snapshot| {
        let route = facts::settings::Route::new("8610", facts::TrunkId(3), 5);
        snapshot.routes.push(route);
    };
    let mut sim = Sim::with(|_| {}, set);
    sim.up_to_b();
    sim.refuse("b", 503, None);
    assert_eq!(sim.far("c").count("INVITE"), 1);
    assert_ne!(
        sim.far("b").last("INVITE").call_id().map(str::to_owned),
        sim.far("c").last("INVITE").call_id().map(str::to_owned),
        "a fresh session"
    );
    sim.pick_up("c");
    sim.advance(s(10));
    sim.hang_up("c");
    let record = sim.record().clone();
    assert_eq!(record.legs.len(), 2, "one record of the leg, whatever it took");
    assert_eq!(record.leg(B).unwrap().trunk, "gamma");
    assert_eq!(record.outcome, Outcome::Completed);
    assert_eq!(sim.states().iter().filter(|s| *s == "B callout").count(), 1);
    sim.assert_clean();

    let mut sim = Sim::with(|_| {}, set);
    sim.far("b").dead = true;
    sim.up_to_b();
    sim.advance(s(9));
    assert_eq!(sim.far("c").count("INVITE"), 1, "silence is no longer waited out");
    sim.ring("c", 180, None);
    sim.refuse("c", 503, None);
    let record = sim.record_after_prompt().clone();
    assert_eq!(record.outcome, Outcome::Failed(Failure::new(Origin::LegB, Kind::Congestion)));
    sim.assert_clean();
}

#[test]
fn rfc3264_an_answer_that_cannot_be_used_ends_the_leg_by_bye() {
    let mut sim = Sim::new();
    sim.up_to_b();
    let g729 = sdp_of("b").replace("RTP/AVP 8 101", "RTP/AVP 18 101");
    sim.pick_up_with("b", &g729);
    assert!(sim.far("b").ended());
    let record = sim.record_after_prompt().clone();
    let why = Failure::new(Origin::LegB, Kind::NotAcceptable);
    assert_eq!(record.outcome, Outcome::Failed(why));
    assert_eq!(record.leg(B).unwrap().answered, None, "nobody could have talked");
    sim.assert_clean();
}

#[test]
fn rfc3264_8_4_hold_is_answered_here_and_stops_the_silence_watch() {
    let mut sim = Sim::new();
    sim.up_to_bridge();
    let now = sim.now.mono;
    let hold = format!("{}a=sendonly\r\n", sdp_of("a"));
    let a = sim.far("a");
    let session = a.session();
    assert!(a.endpoint.reinvite(now, session, hold.into()));
    sim.drain();
    let answered = sim.far("a").events.iter().find_map(|event| match event {
        Event::ReinviteAnswered { sdp, .. } => sdp.clone(),
        _ => None,
    });
    let answer = String::from_utf8(answered.expect("answered here").to_vec()).unwrap();
    assert!(answer.contains("a=recvonly"), "{answer}");
    assert_eq!(sim.far("b").count("INVITE"), 1, "not passed on");
    let leg = sim.leg(A);
    let last = sim.media.iter().rev().find_map(|c| match c {
        MediaCommand::Setup { leg: l, setup } if *l == leg => Some(setup.clone()),
        _ => None,
    });
    let setup = last.unwrap();
    assert_eq!(setup.silence, None);
    assert_eq!(setup.send.codec(0), Some(Codec::Pcmu));
    sim.hang_up("a");
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn no_media_port_is_our_own_failure() {
    let mut sim = Sim::new();
    sim.media_answers = false;
    sim.place(callback());
    let a = sim.leg(A);
    sim.media(MediaEvent::OpenFailed { leg: a });
    let why = Failure::new(Origin::Media, Kind::Internal);
    assert_eq!(sim.record().outcome, Outcome::Failed(why));
    assert!(sim.record().legs.is_empty(), "nothing was attempted");
    assert_eq!(sim.far("a").count("INVITE"), 0);

    // A media plane that says nothing at all: the call ends all the same.
    let mut sim = Sim::new();
    sim.media_answers = false;
    sim.place(callback());
    sim.advance(s(20));
    assert_eq!(sim.record().outcome, Outcome::Failed(why));
    assert_eq!(sim.engine.counts().calls, 0);
}

#[test]
fn a_prompt_that_never_ends_is_cut() {
    let mut sim = Sim::new();
    sim.up_to_b();
    sim.refuse("b", 486, None);
    sim.advance(s(19));
    assert!(sim.settled.is_empty());
    sim.advance(s(2));
    assert_eq!(sim.record().outcome, Outcome::Failed(Failure::new(Origin::LegB, Kind::Busy)));
    sim.assert_clean();
}

impl Sim {
    /// The prompt is over; the record.
    fn record_after_prompt(&mut self) -> &facts::CallFacts {
        self.advance(s(3));
        let a = self.leg(A);
        self.media(MediaEvent::Played { leg: a });
        self.record()
    }
}

/// An answer to the latest INVITE at B, by hand: from a branch of our choice.
fn from_branch(sim: &mut Sim, status: &str, tag: &str, port: Option<u16>) {
    let invite = sim.far("b").last("INVITE").clone();
    let line = |name: sip::wire::HeaderName| {
        String::from_utf8(invite.header(name).unwrap().to_vec()).unwrap()
    };
    use sip::wire::HeaderName as H;
    let sdp = port.map(|port| sdp_of("b").replace("30000", &port.to_string())).unwrap_or_default();
    let message = format!(
        "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag={tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
         Contact: <sip:b@192.0.2.2:5060>\r\nContent-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{sdp}",
        line(H::Via),
        line(H::From),
        line(H::To),
        line(H::CallId),
        line(H::CSeq),
        sdp.len(),
    );
    sim.raw(CARRIER_B, &message.replace("\r\n", "\n"));
}

#[test]
fn what_each_legs_media_saw_is_in_its_record() {
    let mut sim = Sim::new();
    sim.up_to_bridge();
    sim.advance(s(3));
    sim.media_answers = false;
    sim.hang_up("b");
    for (no, n) in [(B, 1_000), (A, 2_000)] {
        let stats = MediaStats {
            packets_received: n,
            packets_sent: n + 1,
            octets_received: 160 * n,
            packets_lost: n + 2,
            jitter_max_us: 7,
            packets_dropped: n + 3,
            packets_refused: n + 4,
            round_trip_us: 8,
            far_loss: 9,
            ..MediaStats::default()
        };
        let leg = sim.leg(no);
        assert_eq!(sim.engine.live().len(), 1, "not settled before both have told");
        sim.media(MediaEvent::Closed { leg, stats });
    }
    for (no, n) in [(A, 2_000), (B, 1_000)] {
        let media = sim.record().leg(no).unwrap().media;
        assert_eq!((media.packets_received, media.packets_lost), (n, n + 2));
        assert_eq!((media.packets_sent, media.packets_refused), (n + 1, n + 4));
        assert_eq!((media.jitter_max_us, media.far_loss), (7, 9));
    }
}

#[test]
fn a25_forked_early_media_is_kept_apart_by_branch() {
    let mut sim = Sim::new();
    sim.far("b").muted = true;
    sim.up_to_b();
    let b = sim.leg(B);
    let heard_from = |sim: &Sim| {
        sim.media.iter().rev().find_map(|command| match command {
            MediaCommand::Setup { leg, setup } if *leg == b => Some(setup.remote.port()),
            _ => None,
        })
    };
    from_branch(&mut sim, "183 Session Progress", "one", Some(30_000));
    from_branch(&mut sim, "183 Session Progress", "two", Some(40_000));
    assert_eq!(heard_from(&sim), Some(30_000), "the first branch goes on being heard");
    from_branch(&mut sim, "200 OK", "two", None);
    assert_eq!(sim.engine.live()[0].state, "bridged");
    assert_eq!(heard_from(&sim), Some(40_000), "its answer came in its own 183");
    sim.hang_up("a");
    assert_eq!(sim.record().outcome, Outcome::Completed);
}

#[test]
fn case_67_completed_is_said_once_whoever_hangs_up_first() {
    for (name, by) in [("a", Side::Caller), ("b", Side::Callee)] {
        let mut sim = Sim::new();
        sim.up_to_bridge();
        sim.advance(s(9));
        sim.hang_up(name);
        assert_eq!(sim.record().outcome, Outcome::Completed);
        assert_eq!(sim.record().released_by, by);
        assert!(sim.record().legs.iter().all(|leg| leg.released_by == Some(by)));
        assert!(sim.record().legs.iter().all(|leg| leg.failure.is_none() && leg.q850 == Some(16)));
        sim.assert_clean();
    }
}

#[test]
fn a_recording_is_closed_before_the_ports_and_a_late_word_on_it_changes_nothing() {
    let mut sim = Sim::new();
    let mut command = callback();
    command.record = facts::media::Record::Yes;
    sim.place(command);
    sim.pick_up("a");
    sim.pick_up("b");
    sim.hang_up("b");
    let at = |wanted: fn(&MediaCommand) -> bool| sim.media.iter().position(wanted).unwrap();
    let stop = at(|c| matches!(c, MediaCommand::StopRecording { .. }));
    assert!(stop < at(|c| matches!(c, MediaCommand::Close { .. })));
    assert!(sim.record().recording.is_some());

    // A media plane that never says how the recording went: the call is on record without it.
    let mut sim = Sim::new();
    let mut command = callback();
    command.record = facts::media::Record::Yes;
    sim.place(command);
    sim.pick_up("a");
    sim.pick_up("b");
    sim.media_answers = false;
    sim.hang_up("a");
    sim.advance(s(4));
    assert!(sim.settled.is_empty());
    sim.advance(s(2));
    assert_eq!(sim.record().recording, None);
    assert_eq!(sim.engine.counts().calls, 0);
}
