//! Keys of SRTP between far ends and the media plane: who is told them, who has to have them, and how long
//! they are good for.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use bytes::Bytes;
use common::ladder::{ALICE, latest};
use common::phones::{bind, invite_with, own};
use common::{REALM, Sim, addr, callback, extension, s};
use facts::media::{MediaCommand, StreamSetup};
use facts::settings::Snapshot;
use facts::srtp::{Protection, SrtpKeys, SrtpSuite};
use facts::{Failure, Kind, LegNo, Origin, Outcome, TrunkId};
use sip::endpoint::{Event, Flow, Listener, Transport};
use sip::wire::Message;

/// Keys of far ends: 30 octets each.
const THEIRS: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
const OTHERS: &str = "YVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
const SUITE: &str = "AES_CM_128_HMAC_SHA1_80";

fn protected(snapshot: &mut Snapshot, trunk: i64, srtp: Protection) {
    let options = &mut snapshot.trunks.get_mut(&TrunkId(trunk)).unwrap().options;
    (options.srtp, options.srtp_in_clear) = (srtp, true);
}

fn sdp(ip: &str, proto: &str, rest: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 30000 {proto} 8\r\n{rest}"
    )
}

fn line(tag: &str, key: &str) -> String {
    format!("a=crypto:{tag} {SUITE} inline:{key}\r\n")
}

fn text(body: &Bytes) -> String {
    String::from_utf8(body.to_vec()).unwrap()
}

/// Tag and key of our line for this suite.
fn ours(sdp: &str) -> (String, String) {
    let line = sdp.lines().find(|line| line.starts_with("a=crypto:") && line.contains(SUITE));
    let line = line.unwrap_or_else(|| panic!("no key in {sdp}"));
    let mut parts = line["a=crypto:".len()..].split(' ');
    let (tag, key) = (parts.next().unwrap(), parts.nth(1).unwrap());
    (tag.to_owned(), key.strip_prefix("inline:").unwrap().to_owned())
}

fn setup(sim: &Sim, no: LegNo) -> StreamSetup {
    let setup = sim.media.iter().rev().find_map(|command| match command {
        MediaCommand::Setup { leg, setup } if leg.no == no => Some(setup.clone()),
        _ => None,
    });
    setup.expect("set up")
}

fn keys(sim: &Sim, no: LegNo) -> SrtpKeys {
    *setup(sim, no).srtp.expect("protected")
}

/// The invitation of a far end, as text.
fn invited(sim: &Sim, name: &str) -> String {
    text(&latest(sim, name, "INVITE").body_bytes())
}

/// A callback whose leg A is on a protected carrier, up to its answer.
fn up(srtp: Protection, proto: &str) -> (Sim, String) {
    let mut sim = Sim::with(|_| {}, |snapshot| protected(snapshot, 1, srtp));
    sim.place(callback());
    let offer = invited(&sim, "a");
    let (tag, key) = ours(&offer);
    sim.pick_up_with("a", &sdp("192.0.2.1", proto, &line(&tag, THEIRS)));
    (sim, key)
}

#[test]
fn b8_rfc4568_5_1_a_carrier_that_has_to_protect_is_offered_savp_and_its_key_is_used() {
    let (mut sim, key) = up(Protection::Required, "RTP/SAVP");
    let offer = invited(&sim, "a");
    assert!(offer.contains(" RTP/SAVP "), "{offer}");
    let suites: Vec<&str> = offer
        .lines()
        .filter_map(|line| line.strip_prefix("a=crypto:")?.split(' ').nth(1))
        .collect();
    assert_eq!(suites[..2], ["AEAD_AES_256_GCM", "AEAD_AES_128_GCM"], "best first");
    let keys = keys(&sim, LegNo::A);
    assert_eq!(keys.suite, SrtpSuite::Aes128Sha1_80);
    assert_ne!(keys.send.bytes(), keys.receive.bytes());
    assert_eq!((keys.send.bytes().len(), keys.receive.bytes().len()), (30, 30));
    // Nothing that is written or logged shows a key.
    let shown = format!("{:?} {:?} {:?}", sim.media, sim.journal, sim.papers);
    assert!(!shown.contains(&THEIRS[..8]) && !shown.contains(&key[..8]));
    assert!(!shown.contains("89, 83, 95"), "the first octets of theirs");
    // The other leg has nothing to do with it.
    assert!(!invited(&sim, "b").contains("crypto"));
    sim.pick_up("b");
    assert_eq!(setup(&sim, LegNo::B).srtp, None);
    sim.advance(s(5));
    sim.hang_up("a");
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn b8_a_carrier_that_does_not_protect_what_it_has_to_loses_the_call() {
    for answer in ["", "a=crypto:77 AES_CM_128_HMAC_SHA1_80 inline:x\r\n"] {
        let mut sim = Sim::with(|_| {}, |snapshot| protected(snapshot, 1, Protection::Required));
        sim.place(callback());
        sim.pick_up_with("a", &sdp("192.0.2.1", "RTP/AVP", answer));
        assert!(sim.far("a").ended(), "by BYE: the dialog was there");
        let why = Failure::new(Origin::LegA, Kind::NotAcceptable);
        assert_eq!(sim.record().outcome, Outcome::Failed(why));
        assert_eq!(sim.fars["b"].count("INVITE"), 0);
        sim.assert_clean();
    }
}

#[test]
fn rfc8643_4_a_carrier_that_may_protect_is_offered_both_in_one_line() {
    let (sim, _) = up(Protection::Optional, "RTP/AVP");
    assert!(invited(&sim, "a").contains(" RTP/AVP "));
    assert_eq!(keys(&sim, LegNo::A).suite, SrtpSuite::Aes128Sha1_80);
    // One that does not know of it.
    let mut sim = Sim::with(|_| {}, |snapshot| protected(snapshot, 1, Protection::Optional));
    sim.place(callback());
    sim.pick_up("a");
    assert_eq!(setup(&sim, LegNo::A).srtp, None);
    assert_eq!(sim.fars["b"].count("INVITE"), 1, "the call goes on");
}

/// A far end offers anew; our answer.
fn reinvites(sim: &mut Sim, name: &str, sdp: &str) -> Option<String> {
    let now = sim.now.mono;
    let far = sim.far(name);
    let session = far.session();
    assert!(far.endpoint.reinvite(now, session, Bytes::copy_from_slice(sdp.as_bytes())));
    sim.drain();
    sim.far(name).events.iter().rev().find_map(|event| match event {
        Event::ReinviteAnswered { sdp, .. } => Some(sdp.as_ref().map(text)),
        Event::ReinviteFailed { .. } => Some(None),
        _ => None,
    })?
}

#[test]
fn case_4_hold_and_resume_keep_both_keys_and_another_key_of_theirs_brings_another_of_ours() {
    let (mut sim, key) = up(Protection::Required, "RTP/SAVP");
    sim.pick_up("b");
    let before = keys(&sim, LegNo::A);
    for direction in ["sendonly", "sendrecv", "inactive", "sendrecv"] {
        let rest = format!("{}a={direction}\r\n", line("4", THEIRS));
        let answer = reinvites(&mut sim, "a", &sdp("192.0.2.1", "RTP/SAVP", &rest)).unwrap();
        assert_eq!(ours(&answer), ("4".to_owned(), key.clone()), "tag echoed, key kept");
        assert_eq!(keys(&sim, LegNo::A), before);
    }
    let answer =
        reinvites(&mut sim, "a", &sdp("192.0.2.1", "RTP/SAVP", &line("1", OTHERS))).unwrap();
    assert_ne!(ours(&answer).1, key);
    let after = keys(&sim, LegNo::A);
    assert!(after.send != before.send && after.receive != before.receive);
    // 488 leaves the session as it was.
    assert_eq!(reinvites(&mut sim, "a", &sdp("192.0.2.1", "RTP/AVP", "")), None);
    assert_eq!(keys(&sim, LegNo::A), after);
    sim.advance(s(5));
    sim.hang_up("a");
    assert_eq!(sim.record().outcome, Outcome::Completed);
    let spoken = |no| sim.record().leg(no).unwrap().spoken;
    assert_eq!(spoken(LegNo::A).srtp, Some(SrtpSuite::Aes128Sha1_80), "the record tells it");
    assert_eq!(spoken(LegNo::B).srtp, None);
    sim.assert_clean();
}

#[test]
fn records_and_the_journal_tell_what_was_agreed_and_whether_it_was_protected_all_the_time() {
    let (mut sim, _) = up(Protection::Optional, "RTP/AVP");
    sim.pick_up("b");
    let journaled = |sim: &Sim| sim.journal.iter().rfind(|entry| entry.leg.no == LegNo::A).cloned();
    let spoken = journaled(&sim).unwrap().facts.spoken;
    assert_eq!(spoken.agreed.names(), "pcma", "a crash from here on is told of too");
    assert_eq!(spoken.srtp, Some(SrtpSuite::Aes128Sha1_80));
    // The far end goes on without keys, and in the other law.
    let plain = sdp("192.0.2.1", "RTP/AVP", "").replace("AVP 8", "AVP 0");
    reinvites(&mut sim, "a", &plain).expect("SRTP is a wish alone");
    let spoken = journaled(&sim).unwrap().facts.spoken;
    assert_eq!((spoken.agreed.names(), spoken.srtp), ("pcma,pcmu".to_owned(), None));
    sim.hang_up("a");
    assert_eq!(sim.record().leg(LegNo::A).unwrap().spoken, spoken);
    assert_eq!(sim.record().leg(LegNo::B).unwrap().spoken.agreed.names(), "pcma");
    sim.assert_clean();
}

/// Alice has a phone on TLS as well, at Bob's place.
fn office(srtp: Protection) -> Sim {
    let mut sim = Sim::with(
        |config| {
            config.srtp = srtp;
            config.sip.reliable = false;
            let at = addr("198.51.100.1:5061");
            config.sip.listeners.push(Listener {
                transport: Transport::Tls,
                bind: at,
                advertised: at,
            });
        },
        |snapshot| {
            snapshot.extensions.insert("80001".into(), extension("80001", "right"));
        },
    );
    sim.add("alice", ALICE, 180);
    sim.add("secure", SECURE, 181);
    bind(&mut sim, &[("80001", ALICE)]);
    registers(&mut sim);
    sim
}

/// The other phone comes by TLS.
fn registers(sim: &mut Sim) {
    let flow = Flow {
        transport: Transport::Tls,
        local: addr("198.51.100.1:5061"),
        remote: addr(SECURE),
        connection: Some(1),
    };
    let message = |authorization: &str, cseq: u32| {
        Bytes::from(format!(
            "REGISTER sip:{REALM} SIP/2.0\r\nVia: SIP/2.0/TLS {SECURE};branch=z9hG4bKr{cseq}\r\n\
             From: <sip:80001@{REALM}>;tag=t\r\nTo: <sip:80001@{REALM}>\r\nCall-ID: reg\r\n\
             CSeq: {cseq} REGISTER\r\nMax-Forwards: 70\r\n{authorization}\
             Contact: <sip:80001@{SECURE};transport=tls>\r\nContent-Length: 0\r\n\r\n"
        ))
    };
    sim.engine.handle_message(sim.now, flow, message("", 1));
    let sent = std::iter::from_fn(|| sim.engine.poll_effect()).filter_map(|effect| match effect {
        call::Effect::Transmit(transmit) => Message::parse(transmit.bytes).ok(),
        _ => None,
    });
    let challenged = sent.last().expect("a challenge");
    let (_, challenge) = sip::digest::challenge_of(&challenged, Some(REALM)).unwrap();
    let uri = format!("sip:{REALM}");
    let answer = challenge.answer("80001", "right", "REGISTER", &uri, 1, "cnonce").unwrap();
    let header = format!("Authorization: {answer}\r\n");
    sim.engine.handle_message(sim.now, flow, message(&header, 2));
    sim.drain();
    assert_eq!(sim.engine.counts().bindings, 2);
}

const SECURE: &str = "203.0.113.9:50000";

/// Both phones of extension 80001 are rung.
fn ring(sim: &mut Sim) {
    let mut command = callback();
    command.a.number = facts::Number::Internal("80001".into());
    command.a.as_sent = "80001".into();
    sim.place(command);
}

#[test]
fn b8_rfc4568_7_1_1_keys_are_told_over_tls_alone() {
    let mut sim = office(Protection::Optional);
    ring(&mut sim);
    assert!(!invited(&sim, "alice").contains("crypto"), "over UDP everybody could read them");
    let secure = invited(&sim, "secure");
    assert!(secure.contains("a=crypto:") && secure.contains(" RTP/AVP "), "{secure}");
    // Whoever is offered no key takes none.
    sim.pick_up_with("alice", &sdp("203.0.113.5", "RTP/AVP", ""));
    assert_eq!(setup(&sim, LegNo::A).srtp, None);

    let mut sim = office(Protection::Off);
    ring(&mut sim);
    assert!(!invited(&sim, "secure").contains("crypto"));

    let mut sim = office(Protection::Required);
    ring(&mut sim);
    assert!(invited(&sim, "secure").contains(" RTP/SAVP "));
    assert_eq!(sim.fars["alice"].count("INVITE"), 0, "its way is not secure");
}

#[test]
fn b8_who_calls_over_udp_gets_no_key_of_ours() {
    let call = |srtp, proto: &str, rest: &str| {
        let mut sim = office(srtp);
        let (from, to) = (format!("<sip:80001@{REALM}>"), format!("sip:01088880000@{REALM}"));
        let offer = sdp("203.0.113.5", proto, rest);
        invite_with(&mut sim, "alice", (&from, &to), own("80001"), (&[], &offer));
        sim
    };
    let status = |sim: &Sim| sim.fars["alice"].heard.iter().rev().find_map(Message::status);
    let sim = call(Protection::Optional, "RTP/SAVP", &line("1", THEIRS));
    assert_eq!(status(&sim), Some(488));
    let sim = call(Protection::Required, "RTP/AVP", "");
    assert_eq!(status(&sim), Some(488));
    assert_eq!(sim.fars["b"].count("INVITE"), 0, "and nobody is rung");
    let mut sim = call(Protection::Optional, "RTP/AVP", &line("1", THEIRS));
    sim.pick_up("b");
    let answer = text(&latest(&sim, "alice", "200 INVITE").body_bytes());
    assert!(!answer.contains("crypto"), "{answer}");
    assert_eq!(setup(&sim, LegNo::A).srtp, None);
}
