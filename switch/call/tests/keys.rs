//! Keys by signalling (INFO): the other one hears them as its far end takes keys.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::ladder::{ALICE, BOB};
use common::phones::{bind, call_from};
use common::*;
use facts::manners::Dtmf;
use facts::media::{MediaCommand, MediaEvent, Source, StreamSetup};
use facts::sound::{Clip, Ended, Listeners, Play};
use facts::{LegNo, TrunkId};
use sip::endpoint::Event;
use sip::wire::HeaderName;

/// B's far end says a key within its dialog.
fn info(sim: &mut Sim, cseq: u32, content_type: &str, body: &str) {
    let invite = sim.far("b").last("INVITE").clone();
    let heard = sim.far("b").last("ACK").clone();
    let tag = |line: &str| line.split("tag=").nth(1).unwrap().to_owned();
    let header = |name: HeaderName| heard.header_str(name).unwrap().to_owned();
    let (from, to) = (header(HeaderName::From), header(HeaderName::To));
    let (ours, theirs) = (tag(&from), tag(&to));
    let call_id = invite.call_id().unwrap().to_owned();
    let length = body.len();
    sim.raw(
        CARRIER_B,
        &format!(
            "INFO sip:x@{US} SIP/2.0\nVia: SIP/2.0/UDP {CARRIER_B};branch=z9hG4bKinfo{cseq}\n\
             Max-Forwards: 70\nFrom: <sip:b@{CARRIER_B}>;tag={theirs}\nTo: <sip:a@{US}>;tag={ours}\n\
             Call-ID: {call_id}\nCSeq: {cseq} INFO\nContent-Type: {content_type}\n\
             Content-Length: {length}\n\n{body}"
        ),
    );
}

fn pressed(sim: &Sim) -> Vec<(LegNo, char)> {
    let press = |command: &MediaCommand| match command {
        MediaCommand::Press { leg, digit } => Some((leg.no, *digit)),
        _ => None,
    };
    sim.media.iter().filter_map(press).collect()
}

#[test]
fn rfc6086_a_key_by_info_is_pressed_for_the_other_leg_and_one_by_sound_is_not() {
    let mut sim = Sim::new();
    sim.up_to_bridge();
    info(&mut sim, 101, "application/dtmf-relay", "Signal=5");
    info(&mut sim, 102, "application/dtmf", "#");
    info(&mut sim, 103, "application/dtmf", "nonsense");
    assert_eq!(pressed(&sim), [(LegNo::A, '5'), (LegNo::A, '#')]);
    // What came by RTP has passed already.
    let leg = sim.leg(LegNo::B);
    sim.media(MediaEvent::Digit { leg, digit: '7' });
    assert_eq!(pressed(&sim).len(), 2);
    sim.hang_up("a");
    sim.assert_clean();
}

/// Carrier 1 has A, carrier 2 has B.
fn with(a: Dtmf, b: Dtmf) -> Sim {
    Sim::with(
        |_| {},
        |snapshot| {
            snapshot.trunks.get_mut(&TrunkId(1)).unwrap().options.dtmf = a;
            snapshot.trunks.get_mut(&TrunkId(2)).unwrap().options.dtmf = b;
        },
    )
}

/// Keys that a far end was told by INFO: content type and body.
fn told(sim: &mut Sim, name: &str) -> Vec<(String, String)> {
    let info = |event: &Event| match event {
        Event::Info { content_type, body, .. } => {
            Some((content_type.clone(), String::from_utf8(body.to_vec()).unwrap()))
        }
        _ => None,
    };
    sim.far(name).events.iter().filter_map(info).collect()
}

fn relayed(keys: &str) -> Vec<(String, String)> {
    let body = |key| format!("Signal={key}\r\nDuration=100\r\n");
    keys.chars().map(|key| ("application/dtmf-relay".to_owned(), body(key))).collect()
}

fn setup(sim: &Sim, no: LegNo) -> &StreamSetup {
    let setup = |command: &'_ MediaCommand| matches!(command, MediaCommand::Setup { leg, .. } if leg.no == no);
    match sim.media.iter().rfind(|command| setup(command)) {
        Some(MediaCommand::Setup { setup, .. }) => setup,
        _ => panic!("nothing was agreed"),
    }
}

/// A final answer of a far end to the last INFO that it got.
fn answer(sim: &mut Sim, from: &str, name: &str, code: u16) {
    let asked = sim.far(name).last("INFO").clone();
    let line = |header| asked.header_str(header).unwrap().to_owned();
    let text = format!(
        "SIP/2.0 {code} Whatever\nVia: {}\nFrom: {}\nTo: {}\nCall-ID: {}\nCSeq: {}\n\
         Content-Length: 0\n\n",
        line(HeaderName::Via),
        line(HeaderName::From),
        line(HeaderName::To),
        line(HeaderName::CallId),
        line(HeaderName::CSeq),
    );
    sim.raw(from, &text);
}

#[test]
fn b12_rfc6086_a_key_of_any_kind_is_told_by_info_where_the_carrier_takes_that_and_else_left_to_the_media()
 {
    // From B, however it came there, to A as its carrier takes keys.
    for to in [Dtmf::Auto, Dtmf::Rfc4733, Dtmf::Inband, Dtmf::Info] {
        let mut sim = with(to, Dtmf::Auto);
        sim.up_to_bridge();
        let leg = sim.leg(LegNo::B);
        // As an event or as sound: the media plane tells both alike.
        sim.media(MediaEvent::Digit { leg, digit: '1' });
        info(&mut sim, 101, "application/dtmf-relay", "Signal=2\r\nDuration=160\r\n");
        info(&mut sim, 102, "application/dtmf", "3");
        if to == Dtmf::Info {
            assert_eq!(told(&mut sim, "a"), relayed("123"), "{to:?}");
            assert_eq!(pressed(&sim), [], "nothing goes into its media");
        } else {
            assert_eq!(told(&mut sim, "a"), [], "{to:?}");
            assert_eq!(pressed(&sim), [(LegNo::A, '2'), (LegNo::A, '3')], "{to:?}");
        }
        assert_eq!(told(&mut sim, "b"), [], "whoever pressed is told nothing");
        let (events, dtmf) =
            (!setup(&sim, LegNo::A).send.events.is_empty(), setup(&sim, LegNo::A).dtmf);
        assert_eq!(dtmf, to);
        assert_eq!(events, matches!(to, Dtmf::Auto | Dtmf::Rfc4733), "{to:?}");
        let invite = sim.far("a").last("INVITE").clone();
        let offered = String::from_utf8_lossy(invite.body()).contains("telephone-event");
        assert_eq!(offered, to != Dtmf::Inband, "{to:?}");
        sim.hang_up("a");
        sim.assert_clean();
    }
}

#[test]
fn b12_rfc6086_keys_by_info_go_one_at_a_time_in_order_and_what_is_refused_is_not_said_again() {
    let mut sim = with(Dtmf::Info, Dtmf::Auto);
    sim.up_to_bridge();
    let leg = sim.leg(LegNo::B);
    sim.far("a").muted = true;
    for digit in "12345".chars() {
        sim.media(MediaEvent::Digit { leg, digit });
    }
    assert_eq!(told(&mut sim, "a"), relayed("1"), "the next waits for its answer");
    sim.far("a").kept.clear();
    for (code, so_far) in [(415, "12"), (500, "123"), (202, "1234")] {
        answer(&mut sim, CARRIER_A, "a", code);
        sim.far("a").kept.clear();
        assert_eq!(told(&mut sim, "a"), relayed(so_far), "after {code}");
    }
    sim.unmute("a");
    answer(&mut sim, CARRIER_A, "a", 200);
    assert_eq!(told(&mut sim, "a"), relayed("12345"));
    sim.hang_up("a");
    sim.assert_clean();
}

#[test]
fn b12_keys_that_wait_for_a_carrier_are_bounded_and_go_with_the_leg() {
    let mut sim = with(Dtmf::Info, Dtmf::Auto);
    sim.up_to_bridge();
    let leg = sim.leg(LegNo::B);
    sim.far("a").muted = true;
    for _ in 0..40 {
        sim.media(MediaEvent::Digit { leg, digit: '7' });
    }
    sim.unmute("a");
    sim.advance(s(1));
    assert_eq!(told(&mut sim, "a").len(), 33, "one on its way and 32 that wait");
    sim.far("a").muted = true;
    for _ in 0..3 {
        sim.media(MediaEvent::Digit { leg, digit: '8' });
    }
    sim.hang_up("b");
    sim.unmute("a");
    sim.advance(s(40));
    let eights = told(&mut sim, "a").into_iter().filter(|(_, body)| body.contains('8'));
    assert_eq!(eights.count(), 1, "whoever has left is told no more");
    sim.assert_clean();
}

#[test]
fn b12_rfc3261_12_2_1_2_an_info_that_finds_no_dialog_or_no_answer_ends_the_call() {
    for code in [Some(481), Some(408), None] {
        let mut sim = with(Dtmf::Info, Dtmf::Auto);
        sim.up_to_bridge();
        let leg = sim.leg(LegNo::B);
        sim.far("a").muted = true;
        sim.media(MediaEvent::Digit { leg, digit: '1' });
        sim.far("a").kept.clear();
        match code {
            Some(code) => answer(&mut sim, CARRIER_A, "a", code),
            None => {
                sim.far("a").dead = true;
                sim.advance(s(33));
            }
        }
        let knows = sim.far("a").ended() || code.is_none();
        assert!(knows, "{code:?}: whoever is there hears of it");
        assert!(sim.far("b").ended(), "{code:?}");
        sim.far("a").dead = false;
        sim.unmute("a");
        sim.assert_clean();
        assert_eq!(sim.settled.len(), 1);
    }
}

#[test]
fn b12_phones_take_keys_as_the_process_is_told_and_carriers_as_their_settings_say() {
    let mut sim = Sim::with(
        |config| config.dtmf = Dtmf::Info,
        |snapshot| {
            for user in ["80001", "80002"] {
                snapshot.extensions.insert(user.into(), extension(user, "right"));
            }
        },
    );
    sim.add("alice", ALICE, 180);
    sim.add("bob", BOB, 181);
    bind(&mut sim, &[("80001", ALICE), ("80002", BOB)]);
    call_from(&mut sim, "alice", "80001", "80002");
    sim.pick_up("bob");
    for (no, digit) in [(LegNo::A, '4'), (LegNo::B, '5')] {
        let leg = sim.leg(no);
        sim.media(MediaEvent::Digit { leg, digit });
    }
    assert_eq!((told(&mut sim, "alice"), told(&mut sim, "bob")), (relayed("5"), relayed("4")));
    sim.hang_up("bob");
    call_from(&mut sim, "alice", "80001", "01088880000");
    sim.pick_up("b");
    let leg = sim.leg(LegNo::A);
    sim.media(MediaEvent::Digit { leg, digit: '6' });
    assert_eq!(told(&mut sim, "b"), []);
    sim.hang_up("b");
    sim.assert_clean();
}

#[test]
fn b12_rfc6086_a_key_that_comes_in_the_media_and_by_info_is_one_and_two_presses_are_two() {
    let mut sim = with(Dtmf::Info, Dtmf::Auto);
    sim.up_to_bridge();
    let leg = sim.leg(LegNo::B);
    // In the media first, by INFO first, and by INFO alone.
    sim.media(MediaEvent::Digit { leg, digit: '5' });
    info(&mut sim, 101, "application/dtmf-relay", "Signal=5\r\nDuration=160\r\n");
    sim.advance(s(1));
    info(&mut sim, 102, "application/dtmf", "5");
    sim.media(MediaEvent::Digit { leg, digit: '5' });
    sim.advance(s(3));
    info(&mut sim, 103, "application/dtmf-relay", "Signal=5");
    sim.advance(s(3));
    sim.media(MediaEvent::Digit { leg, digit: '5' });
    assert_eq!(told(&mut sim, "a"), relayed("5555"));
    // The media plane knows of those that it has not heard, so that it hears them as the same.
    let known = |command: &&MediaCommand| matches!(command, MediaCommand::Interrupt { .. });
    assert_eq!(sim.media.iter().filter(known).count(), 2);
    sim.hang_up("a");
    sim.assert_clean();
}

#[test]
fn b12_an_extension_takes_keys_in_its_own_way_and_others_as_the_process_is_told() {
    for (own, told_by_info) in [(None, true), (Some(Dtmf::Auto), false), (Some(Dtmf::Info), true)] {
        let mut sim = Sim::with(
            |config| config.dtmf = Dtmf::Info,
            |snapshot| {
                for user in ["80001", "80002"] {
                    snapshot.extensions.insert(user.into(), extension(user, "right"));
                }
                snapshot.extensions.get_mut("80001").unwrap().dtmf = own;
            },
        );
        sim.add("alice", ALICE, 180);
        sim.add("bob", BOB, 181);
        bind(&mut sim, &[("80001", ALICE), ("80002", BOB)]);
        // As the one who calls, and as the one who is called.
        for (from, to, alice, bob) in
            [("alice", "80002", LegNo::A, LegNo::B), ("bob", "80001", LegNo::B, LegNo::A)]
        {
            let (user, rung) = if from == "alice" { ("80001", "bob") } else { ("80002", "alice") };
            call_from(&mut sim, from, user, to);
            sim.pick_up(rung);
            assert_eq!(setup(&sim, alice).dtmf, own.unwrap_or(Dtmf::Info), "{own:?}");
            assert_eq!(setup(&sim, bob).dtmf, Dtmf::Info);
            let leg = sim.leg(bob);
            sim.media(MediaEvent::Digit { leg, digit: '5' });
            assert_eq!(told(&mut sim, "alice").is_empty(), !told_by_info, "{own:?}");
            sim.hang_up(rung);
        }
        sim.assert_clean();
    }
}

#[test]
fn rfc6086_a_key_by_info_ends_what_the_media_plane_lets_a_key_end_and_one_by_media_is_known_there()
{
    let mut sim = Sim::new();
    sim.up_to_bridge();
    let (call, leg) = (sim.leg(LegNo::B).call, sim.leg(LegNo::B));
    let clip = Some(Clip::Url("https://sounds.example/a.mp3".into()));
    let play = Box::new(Play { to: Listeners::B, clip, interruptible: true });
    sim.command(call::Command::Play { token: 17, call, play });
    assert!(sim.media.contains(&MediaCommand::Interruptible { leg }));
    let interrupts = |sim: &Sim| {
        let interrupt = |command: &&MediaCommand| matches!(command, MediaCommand::Interrupt { leg: l, .. } if *l == leg);
        sim.media.iter().filter(interrupt).count()
    };
    sim.media(MediaEvent::Digit { leg, digit: '1' });
    assert_eq!(interrupts(&sim), 0);
    info(&mut sim, 101, "application/dtmf", "5");
    assert_eq!(interrupts(&sim), 1);
    sim.media(MediaEvent::LaidOver { leg, ended: Ended::Interrupted });
    assert_eq!(sim.hears(LegNo::B), Some(&Source::Leg(sim.leg(LegNo::A))));
    let ends = |command: &MediaCommand| {
        matches!(command, MediaCommand::Interject { source: Source::Silence, .. })
    };
    assert!(!sim.media.iter().any(ends));
    sim.hang_up("a");
    sim.assert_clean();
}
