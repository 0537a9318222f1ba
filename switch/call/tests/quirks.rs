//! Carriers' habits: short header names, no rport, session timers that are not everybody's or not meant, sound that
//! may be away for longer, larger packets, 183 again and again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::ladder::answers;
use common::phones::{bind, call_from, sdp_of};
use common::*;
use facts::manners::{Quirks, RefreshedBy, SessionTimer};
use facts::media::MediaCommand;
use facts::settings::TrunkOptions;
use facts::{LegNo, TrunkId};
use sip::wire::{HeaderName, Message, Refresher};

/// The carrier that rings A and the one that rings B have these habits; the third one has none. 80001 is reached by
/// a number of the second.
fn with(set: impl Fn(&mut TrunkOptions)) -> Sim {
    Sim::with(
        |_| {},
        |snapshot| {
            for id in [1, 2] {
                set(&mut snapshot.trunks.get_mut(&TrunkId(id)).unwrap().options);
            }
            snapshot.extensions.insert("80001".into(), extension("80001", "right"));
            snapshot.inbound.insert("861088880001".into(), "80001".into());
        },
    )
}

fn quirk(quirks: Quirks) -> Sim {
    with(move |options| options.quirks = quirks)
}

fn timer(set: SessionTimer) -> Sim {
    with(move |options| options.session_timer = Some(set))
}

fn text(message: &Message) -> String {
    String::from_utf8_lossy(message.bytes()).into_owned()
}

/// B's carrier calls 80001 and wants a session of so many seconds; what it is told.
fn calls_in(sim: &mut Sim, seconds: u32) -> Vec<Message> {
    let before = sim.fars["b"].heard.len();
    sim.raw(
        CARRIER_B,
        &format!(
            "INVITE sip:+861088880001@{US} SIP/2.0\nVia: SIP/2.0/UDP {CARRIER_B};branch=z9hG4bKse\n\
             Max-Forwards: 70\nFrom: <sip:+8613800138000@carrier.example>;tag=1\n\
             To: <sip:+861088880001@{US}>\nCall-ID: timed\nCSeq: 1 INVITE\nSupported: timer\n\
             Session-Expires: {seconds}\nContact: <sip:x@{CARRIER_B}>\nContent-Length: 0\n\n"
        ),
    );
    sim.fars["b"].heard[before..].to_vec()
}

fn last_answer(sim: &Sim, name: &str) -> Message {
    let mut heard = sim.fars[name].heard.iter().rev();
    heard.find(|message| message.status().is_some()).unwrap().clone()
}

#[test]
fn quirk_compact_headers_are_written_in_every_message_to_the_carrier_and_to_nobody_else() {
    let mut sim = quirk(Quirks { compact_headers: true, ..Quirks::default() });
    sim.up_to_bridge();
    sim.hang_up("a");
    for method in ["INVITE", "ACK"] {
        let sent = text(sim.far("a").last(method));
        for short in ["\r\nv: ", "\r\nf: ", "\r\nt: ", "\r\ni: ", "\r\nl: "] {
            assert!(sent.contains(short), "{short:?} {sent}");
        }
        for long in ["Via:", "From:", "Call-ID:", "Content-Length:", "Contact:"] {
            assert!(!sent.contains(long), "{long} {sent}");
        }
    }
    assert!(text(sim.far("a").last("INVITE")).contains("\r\nm: <sip:"));
    assert!(text(sim.far("a").last("INVITE")).contains("\r\nk: "));
    assert!(text(&last_answer(&sim, "a")).contains("\r\nv: "), "the 200 to its BYE");
    assert!(text(sim.far("b").last("BYE")).contains("\r\nv: "));
    sim.assert_clean();
    let mut sim = Sim::new();
    sim.place(callback());
    assert!(text(sim.far("a").last("INVITE")).contains("\r\nVia: "));
}

#[test]
fn quirk_no_rport_is_asked_of_a_carrier_that_stumbles_over_it() {
    for no_rport in [false, true] {
        let mut sim = quirk(Quirks { no_rport, ..Quirks::default() });
        sim.place(callback());
        let via = sim.far("a").last("INVITE").header_str(HeaderName::Via).unwrap().to_owned();
        assert_eq!(via.contains("rport"), !no_rport, "{via}");
        sim.ring("a", 180, None);
        sim.refuse("a", 486, None);
        sim.assert_clean();
    }
}

#[test]
fn quirk_session_expires_that_is_only_repeated_is_refreshed_by_us_whatever_it_says() {
    for echo in [false, true] {
        let mut sim = quirk(Quirks { session_expires_echo: echo, ..Quirks::default() });
        let asked = |sim: &mut Sim, name: &str| {
            let invite = sim.far(name).last("INVITE").clone();
            invite.session_expires().unwrap().unwrap().seconds
        };
        sim.up_to_b();
        assert_eq!(asked(&mut sim, "b"), 1_800);
        // The 200 says that the carrier refreshes; it never does.
        answer_with(&mut sim, "b", "Session-Expires: 1800;refresher=uas\nSupported: timer\n");
        let requests = |sim: &Sim| sim.fars["b"].count("INVITE") + sim.fars["b"].count("UPDATE");
        sim.advance(s(899));
        assert_eq!(requests(&sim), 1);
        sim.advance(s(2));
        assert_eq!(requests(&sim) > 1, echo, "at half, by us");
    }
}

#[test]
fn rfc4028_7_1_a_carrier_is_asked_for_its_own_interval_and_refresher_or_for_none() {
    let own = SessionTimer {
        expires: Some(600),
        min_se: Some(120),
        refresher: RefreshedBy::Us,
        off: false,
    };
    let mut sim = timer(own);
    sim.place(callback());
    let invite = sim.far("a").last("INVITE").clone();
    let said = invite.session_expires().unwrap().unwrap();
    assert_eq!((said.seconds, said.refresher), (600, Some(Refresher::Uac)));
    assert_eq!(invite.header_str(HeaderName::MinSe), Some("120"));
    let mut sim = timer(SessionTimer { refresher: RefreshedBy::Carrier, ..own });
    sim.place(callback());
    let said = sim.far("a").last("INVITE").session_expires().unwrap().unwrap();
    assert_eq!(said.refresher, Some(Refresher::Uas));
    let mut sim = timer(SessionTimer { off: true, ..SessionTimer::default() });
    sim.place(callback());
    let invite = sim.far("a").last("INVITE").clone();
    assert!(!text(&invite).contains("Session-Expires") && !text(&invite).contains("timer"));
}

#[test]
fn rfc4028_9_a_carrier_that_calls_is_granted_what_its_trunk_says() {
    let own = SessionTimer { expires: Some(600), min_se: Some(120), ..SessionTimer::default() };
    let mut sim = timer(own);
    let told = calls_in(&mut sim, 100);
    let refused = told.iter().find(|message| message.status() == Some(422)).unwrap();
    assert_eq!(refused.header_str(HeaderName::MinSe), Some("120"));
    assert!(sim.authorizations.is_empty(), "nobody is asked for a call that cannot be");
    assert!(sim.engine.live().is_empty());
    for (off, granted) in [(false, Some(600)), (true, None)] {
        let set = if off { SessionTimer { off, ..SessionTimer::default() } } else { own };
        let mut sim = timer(set);
        sim.add("desk", "203.0.113.5:40000", 150);
        bind(&mut sim, &[("80001", "203.0.113.5:40000")]);
        calls_in(&mut sim, 1_800);
        sim.pick_up_with("desk", &sdp_of("c"));
        let ok = last_answer(&sim, "b");
        assert_eq!(ok.status(), Some(200));
        let said = ok.session_expires().unwrap().map(|said| said.seconds);
        assert_eq!(said, granted, "off: {off}");
    }
}

#[test]
fn a_carriers_sound_may_be_away_for_as_long_as_its_trunk_says() {
    let mut sim = with(|options| options.rtp_timeout_s = Some(17));
    sim.up_to_bridge();
    let last = |sim: &Sim, no| {
        let leg = sim.leg(no);
        let setups = sim.media.iter().rev().filter_map(|command| match command {
            MediaCommand::Setup { leg: of, setup } if *of == leg => Some(setup.silence),
            _ => None,
        });
        setups.flatten().next()
    };
    assert_eq!((last(&sim, LegNo::A), last(&sim, LegNo::B)), (Some(s(17)), Some(s(17))));
    let mut sim = Sim::new();
    sim.up_to_bridge();
    assert_eq!(last(&sim, LegNo::A), Some(s(60)));
}

#[test]
fn a_carrier_is_asked_for_packets_of_the_size_that_its_trunk_says() {
    let mut sim = with(|options| options.ptime_ms = Some(40));
    sim.place(callback());
    assert!(text(sim.far("a").last("INVITE")).contains("\r\na=ptime:40\r\n"));
    let mut sim = Sim::new();
    sim.place(callback());
    assert!(text(sim.far("a").last("INVITE")).contains("\r\na=ptime:20\r\n"));
}

#[test]
fn quirk_a_183_that_is_repeated_is_heard_once_and_passed_on_once() {
    let mut sim = with(|_| {});
    sim.add("desk", "203.0.113.5:40000", 150);
    bind(&mut sim, &[("80001", "203.0.113.5:40000")]);
    call_from(&mut sim, "desk", "80001", "01088886666");
    let sdp = sdp_of("b");
    let told = |sim: &Sim| {
        let states = sim.states().iter().filter(|state| state.ends_with("alerting")).count();
        let setups = |c: &&MediaCommand| matches!(c, MediaCommand::Setup { .. });
        let early = |message: &&Message| message.status() == Some(183);
        let passed = sim.fars["desk"].heard.iter().filter(early).count();
        (states, sim.media.iter().filter(setups).count(), passed)
    };
    sim.ring("b", 183, Some(&sdp));
    let leg = sim.leg(LegNo::B);
    sim.media(facts::media::MediaEvent::Started { leg });
    let once = told(&sim);
    assert_eq!(once.2, 1, "{once:?}");
    for _ in 0..20 {
        sim.ring("b", 183, Some(&sdp));
    }
    let again = told(&sim);
    assert_eq!((again.0, again.2), (once.0, once.2));
    assert_eq!(again.1, once.1, "the same description changes nothing");
    sim.pick_up_with("b", &sdp);
    sim.hang_up("b");
    assert_eq!(sim.record().legs.len(), 2);
    sim.assert_clean();
}

/// A far end answers its latest INVITE with these headers.
fn answer_with(sim: &mut Sim, name: &str, headers: &str) {
    answers(sim, name, "200 OK", headers, &sdp_of(name));
}
