//! What carriers want otherwise than others: numbers, headers, answers, sound before the answer.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::*;
use facts::manners::{AnswerRule, EarlyMedia, HeaderAct, HeaderRule, Rewrite, Then, Whose};
use facts::media::{MediaCommand, Source, Tone};
use facts::settings::{Route, Snapshot, TrunkOptions};
use facts::{Kind, LegNo, Outcome, TrunkId};
use sip::wire::HeaderName;

fn with(set: impl Fn(&mut TrunkOptions)) -> Sim {
    Sim::with(
        |_| {},
        |snapshot: &mut Snapshot| {
            set(&mut snapshot.trunks.get_mut(&TrunkId(1)).unwrap().options);
            set(&mut snapshot.trunks.get_mut(&TrunkId(2)).unwrap().options);
            snapshot.routes.push(Route::new("86138", TrunkId(3), 1));
            snapshot.routes.push(Route::new("8610", TrunkId(3), 1));
        },
    )
}

fn rewrite(whose: Whose, prefix: &str, strip: u8, add: &str) -> Rewrite {
    Rewrite { whose, prefix: prefix.into(), length: None, strip, add: add.into() }
}

fn header(name: &str, act: HeaderAct, value: &str) -> HeaderRule {
    HeaderRule { name: name.into(), act, value: value.into() }
}

fn answers(codes: &[u16], then: Option<Then>, read_as: Option<u16>) -> AnswerRule {
    AnswerRule { codes: codes.to_vec(), then, read_as }
}

fn kind(sim: &Sim) -> Kind {
    match sim.record().outcome {
        Outcome::Failed(failure) => failure.kind,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn numbers_are_rewritten_on_the_wire_and_nowhere_else() {
    let mut sim = with(|options| {
        options.rewrite =
            vec![rewrite(Whose::Called, "+86", 3, "9990"), rewrite(Whose::Caller, "+8610", 3, "0")];
    });
    sim.place(callback());
    let invite = sim.far("a").last("INVITE").clone();
    assert_eq!(invite.request_uri(), Some("sip:999013800138000@192.0.2.1:5060"));
    let from = invite.header_str(HeaderName::From).unwrap().to_owned();
    assert!(from.starts_with("<sip:01088889999@"), "{from}");
    sim.refuse("a", 486, None);
    let leg = &sim.record().legs[0];
    assert_eq!(leg.number.digits(), NUMBER_A, "the price is that of the number");
    assert_eq!(leg.shown, "01088889999");
}

#[test]
fn numbers_of_calls_that_come_are_rewritten_before_they_are_read() {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            snapshot.extensions.insert("80001".into(), extension("80001", "x"));
            snapshot.inbound.insert("861088880001".into(), "80001".into());
            let options = &mut snapshot.trunks.get_mut(&TrunkId(1)).unwrap().options;
            options.rewrite = vec![
                rewrite(Whose::CalledIn, "77", 2, "+86"),
                rewrite(Whose::CallerIn, "00", 2, "+"),
            ];
        },
    );
    sim.raw(
        CARRIER_A,
        &format!(
            "INVITE sip:771088880001@{US} SIP/2.0\nVia: SIP/2.0/UDP {CARRIER_A};branch=z9hG4bKrw\n\
             Max-Forwards: 70\nFrom: <sip:008613900139000@carrier.example>;tag=1\n\
             To: <sip:771088880001@{US}>\nCall-ID: rewrite-in\nCSeq: 1 INVITE\n\
             Contact: <sip:x@{CARRIER_A}>\nContent-Length: 0\n\n"
        ),
    );
    let asked = &sim.authorizations[0].command;
    assert_eq!(asked.b.as_ref().unwrap().number.digits(), "80001");
    assert_eq!(asked.a.number.digits(), "8613900139000");
}

#[test]
fn headers_are_added_set_and_removed_and_what_makes_the_dialog_stays() {
    let mut sim = with(|options| {
        options.headers = vec![
            header("X-Account", HeaderAct::Add, "4711"),
            header("X-Account", HeaderAct::Add, "4712"),
            header("Allow", HeaderAct::Set, "INVITE, ACK, BYE, CANCEL"),
            header("Session-Expires", HeaderAct::Remove, ""),
            // Refused when it is applied; here as if it had not been.
            header("Via", HeaderAct::Remove, ""),
            header("Call-ID", HeaderAct::Set, "x"),
        ];
    });
    sim.place(callback());
    let invite = sim.far("a").last("INVITE").clone();
    let text = String::from_utf8_lossy(invite.bytes()).into_owned();
    let lines = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
    assert_eq!((lines("X-Account: "), lines("Allow: "), lines("Session-Expires")), (2, 1, 0));
    assert!(text.contains("Allow: INVITE, ACK, BYE, CANCEL\r\n"), "{text}");
    assert_eq!((lines("Via: "), lines("Call-ID: x")), (1, 0));
    sim.refuse("a", 503, None);
    let other = String::from_utf8_lossy(sim.far("c").last("INVITE").bytes()).into_owned();
    assert!(!other.contains("X-Account") && other.contains("Session-Expires"), "{other}");
}

#[test]
fn an_answer_may_be_told_to_lead_on_or_to_stop() {
    let mut sim = with(|options| {
        options.answers = vec![
            answers(&[404, 480], Some(Then::Next), None),
            answers(&[503], Some(Then::Stop), None),
        ];
    });
    sim.place(callback());
    sim.refuse("a", 480, None);
    assert_eq!(sim.far("c").invited.len(), 1, "another carrier may know better");
    sim.refuse("c", 486, None);
    sim.settled.clear();
    sim.place(callback());
    sim.refuse("a", 503, None);
    assert_eq!(sim.far("c").invited.len(), 1, "and is not asked");
    assert_eq!(sim.record().legs[0].sip_final, Some(503));
}

#[test]
fn a_phone_that_rang_is_not_rung_by_another_carrier_whatever_the_table_says() {
    let mut sim = with(|options| options.answers = vec![answers(&[480], Some(Then::Next), None)]);
    sim.place(callback());
    sim.ring("a", 180, None);
    sim.refuse("a", 480, None);
    assert_eq!(sim.far("c").invited.len(), 0);
}

#[test]
fn an_answer_is_read_as_another_and_kept_as_it_was() {
    let mut sim = with(|options| options.answers = vec![answers(&[500], None, Some(486))]);
    sim.place(callback());
    sim.refuse("a", 500, Some("Q.850;cause=34"));
    assert_eq!(kind(&sim), Kind::Busy, "neither congestion by its status nor by its cause");
    assert_eq!(sim.record().legs[0].sip_final, Some(500));
    assert_eq!(sim.far("c").invited.len(), 0, "whoever is busy is so everywhere");
}

/// What A hears while B's carrier sends 183 with sound.
fn early(policy: EarlyMedia) -> (Sim, Option<Source>) {
    let mut sim = with(|options| options.early_media = policy);
    sim.up_to_b();
    let sdp = sdp_of("b");
    sim.ring("b", 183, Some(&sdp));
    let leg = sim.leg(LegNo::B);
    sim.media(facts::media::MediaEvent::Started { leg });
    let heard = sim.hears(LegNo::A).cloned();
    (sim, heard)
}

#[test]
fn rfc3960_sound_before_the_answer_is_relayed_or_not_as_the_trunk_says() {
    let (sim, heard) = early(EarlyMedia::Relay);
    assert_eq!(heard, Some(Source::Leg(sim.leg(LegNo::B))));
    for policy in [EarlyMedia::Suppress, EarlyMedia::Ringing] {
        let (mut sim, heard) = early(policy);
        assert_eq!(heard, Some(Source::Tone(Tone::RingBack)), "{policy:?}");
        let rings = sim.states().contains(&"B alerting".to_owned());
        assert!(rings, "18x is progress");
        assert_eq!(sim.settled.len(), 0);
        // The answer is heard, also when its 200 bears no description.
        sim.pick_up("b");
        assert_eq!(sim.hears(LegNo::A), Some(&Source::Leg(sim.leg(LegNo::B))), "{policy:?}");
        sim.hang_up("b");
        let alerting = sim.record().legs[1].alerting.is_some();
        assert_eq!(alerting, policy == EarlyMedia::Ringing, "183 is ringing there");
        let set = |c: &&MediaCommand| matches!(c, MediaCommand::Close { .. });
        assert!(sim.media.iter().any(|c| set(&c)));
    }
}

#[test]
fn rfc3262_a_trunk_may_be_asked_for_no_reliable_answers() {
    let mut sim = with(|options| options.reliable = Some(false));
    sim.place(callback());
    let supported = sim.far("a").last("INVITE").header_str(HeaderName::Supported).unwrap();
    assert!(!supported.contains("100rel"), "{supported}");
    sim.refuse("a", 503, None);
    let supported = sim.far("c").last("INVITE").header_str(HeaderName::Supported).unwrap();
    assert!(supported.contains("100rel"), "{supported}");
}
