//! An extension with several phones: all ring, one answers, the others learn of it (RFC 3261 §16.7,
//! RFC 3326; A12, A25, A26). And what the next process does about phones that ring.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
#[path = "common/transfers.rs"]
mod transfers;

use call::{Command, Reply};
use common::*;
use facts::media::MediaCommand;
use facts::settings::{Route, Snapshot, Transport};
use facts::{Binding, Failure, Kind, LegNo, Number, Origin, Outcome, Side, TrunkId, UnixMillis};
use sip::wire::{HeaderName, Message};
use transfers::restart;

const PHONES: [(&str, &str); 3] =
    [("phone", "203.0.113.5:40000"), ("desk", "203.0.113.6:40002"), ("soft", "203.0.113.7:40004")];

/// An extension that may have two contacts and has as many as told.
fn sim(contacts: usize) -> Sim {
    sim_with(contacts, |_| {})
}

fn sim_with(contacts: usize, set: impl FnOnce(&mut Snapshot)) -> Sim {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            snapshot.extensions.insert("80001".into(), extension("80001", "right"));
            set(snapshot);
        },
    );
    let mut seed = 160;
    for (name, at) in PHONES {
        seed += 1;
        sim.add(name, at, seed);
    }
    let expires = sim.now.wall + s(3_600);
    let bindings = PHONES.iter().take(contacts).map(|(_, at)| binding(at, expires)).collect();
    sim.reply(Reply::Bindings(bindings));
    sim
}

fn binding(at: &str, expires: UnixMillis) -> Binding {
    Binding {
        user: "80001".into(),
        key: at.into(),
        contact: format!("sip:80001@{at}"),
        q: 1000,
        expires,
        call_id: at.into(),
        cseq: 1,
        transport: Transport::Udp,
        local: addr(US),
        remote: addr(at),
        path: Vec::new(),
        updated: UnixMillis(0),
    }
}

fn to_extension() -> facts::CallCommand {
    let mut command = callback();
    command.a.number = Number::Internal("80001".into());
    command.a.as_sent = "80001".into();
    command
}

fn elsewhere(cancel: &Message) -> bool {
    cancel.reason().iter().any(|reason| {
        reason.protocol == "SIP"
            && reason.cause == Some(200)
            && reason.text.as_deref() == Some("Call completed elsewhere")
    })
}

/// Where leg A's sound comes from.
fn heard_from(sim: &Sim) -> Option<std::net::SocketAddr> {
    sim.media.iter().rev().find_map(|command| match command {
        MediaCommand::Setup { leg, setup } if leg.no == LegNo::A => Some(setup.remote),
        _ => None,
    })
}

fn sdp_at(ip: &str, port: u16) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
    )
}

#[test]
fn a26_all_phones_ring_and_the_others_learn_that_the_call_was_completed_elsewhere() {
    let mut sim = sim(2);
    sim.place(to_extension());
    for name in ["phone", "desk"] {
        assert_eq!(sim.far(name).count("INVITE"), 1, "{name} rings at once");
        sim.ring(name, 180, None);
    }
    assert_eq!(sim.states(), ["A callout", "A alerting"], "one leg, told once");
    sim.advance(s(2));
    sim.pick_up_with("desk", &sdp_at("203.0.113.6", 4_000));
    assert!(sim.far("phone").cancelled());
    assert!(elsewhere(sim.far("phone").last("CANCEL")));
    assert_eq!(sim.far("desk").count("CANCEL"), 0);
    assert_eq!(heard_from(&sim), Some(addr("203.0.113.6:4000")), "the winner's description");
    sim.pick_up("b");
    sim.advance(s(10));
    sim.hang_up("b");
    assert_eq!(sim.far("desk").count("BYE"), 1);
    assert_eq!(sim.far("phone").count("BYE"), 0);
    let desk = sim.far("desk").last("INVITE").call_id().unwrap().to_owned();
    let record = sim.record().clone();
    assert_eq!(record.outcome, Outcome::Completed);
    assert_eq!(record.legs.len(), 2, "one record of the leg, however many phones rang");
    let a = record.leg(LegNo::A).unwrap();
    assert_eq!((a.sip_call_id.as_str(), a.sip_final), (desk.as_str(), Some(200)));
    assert_eq!(a.bill_seconds(), 10);
    sim.assert_clean();
}

/// What the media plane was told last of leg A: where its sound is described, and where it signals.
fn told_of_a(sim: &Sim) -> Option<(String, Option<String>)> {
    sim.media.iter().rev().find_map(|command| match command {
        MediaCommand::Setup { leg, setup } if leg.no == LegNo::A => {
            Some((setup.remote.to_string(), setup.signalling.map(|ip| ip.to_string())))
        }
        _ => None,
    })
}

#[test]
fn rfc7362_the_media_plane_is_told_where_each_leg_signals() {
    let mut sim = sim(2);
    sim.place(to_extension());
    let told = |at: &str, from: &str| Some((at.to_owned(), Some(from.to_owned())));
    sim.ring("phone", 183, Some(&sdp_at("192.168.1.5", 3_000)));
    assert_eq!(told_of_a(&sim), told("192.168.1.5:3000", "203.0.113.5"), "early media");
    sim.ring("desk", 183, Some(&sdp_at("192.168.1.6", 4_000)));
    assert_eq!(told_of_a(&sim), told("192.168.1.5:3000", "203.0.113.5"), "the first is heard");
    sim.refuse("phone", 486, None);
    assert_eq!(told_of_a(&sim), told("192.168.1.6:4000", "203.0.113.6"), "the next that spoke");
    sim.pick_up_with("desk", &sdp_at("192.168.1.6", 4_000));
    assert_eq!(told_of_a(&sim), told("192.168.1.6:4000", "203.0.113.6"));
    sim.pick_up("b");
    // The phone changes networks and says so from where it is now.
    let ack = sim.far("desk").last("ACK").clone();
    let line = |name| String::from_utf8_lossy(ack.header(name).unwrap_or_default()).into_owned();
    let sdp = sdp_at("192.168.1.6", 4_000);
    let message = format!(
        "INVITE sip:us@{US} SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.6:5060;rport;branch=z9hG4bK-moved\r\n\
         Max-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 9 INVITE\r\n\
         Contact: <sip:80001@192.168.1.6:5060>\r\nContent-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{sdp}",
        line(HeaderName::To),
        line(HeaderName::From),
        line(HeaderName::CallId),
        sdp.len(),
    );
    sim.raw("198.51.100.99:700", &message.replace("\r\n", "\n"));
    assert_eq!(told_of_a(&sim), told("192.168.1.6:4000", "198.51.100.99"));
}

#[test]
fn case_18_a_200_of_a_second_phone_crosses_and_is_never_charged() {
    let mut sim = sim(2);
    sim.place(to_extension());
    sim.ring("phone", 180, None);
    sim.ring("desk", 180, None);
    sim.far("desk").muted = true;
    sim.pick_up("desk");
    sim.advance(ms(200));
    sim.pick_up("phone");
    sim.advance(ms(200));
    sim.unmute("desk");
    assert_eq!(sim.far("desk").count("ACK"), 1, "its 200 is acknowledged");
    assert_eq!(sim.far("desk").count("BYE"), 1, "and the dialog ended");
    assert!(sim.far("desk").ended());
    sim.pick_up("b");
    sim.advance(s(5));
    assert_eq!(sim.engine.live()[0].state, "bridged", "the winner knows nothing of it");
    sim.hang_up("phone");
    let record = sim.record().clone();
    assert_eq!(record.legs.len(), 2);
    assert_eq!(record.released_by, Side::Caller);
    assert_eq!(record.leg(LegNo::A).unwrap().bill_seconds(), 6, "5.2 s, of one phone alone");
    sim.assert_clean();
}

#[test]
fn rfc3261_16_7_when_all_refuse_the_best_refusal_is_the_legs() {
    for (first, second, kind) in [
        (480, 486, Kind::Busy),
        (486, 480, Kind::Busy),
        (486, 408, Kind::Busy),
        (430, 480, Kind::Unreachable),
        (404, 486, Kind::Busy),
    ] {
        let mut sim = sim(2);
        sim.place(to_extension());
        sim.refuse("phone", first, None);
        assert!(sim.settled.is_empty(), "the other one still rings");
        assert_eq!(sim.far("desk").count("CANCEL"), 0);
        sim.refuse("desk", second, None);
        let why = Failure::new(Origin::LegA, kind);
        assert_eq!(sim.record().outcome, Outcome::Failed(why), "{first} {second}");
        assert_eq!(sim.record().legs.len(), 1);
        sim.assert_clean();
    }
}

#[test]
fn rfc3261_16_7_a_6xx_is_the_persons_word_and_ends_the_ringing_everywhere() {
    let mut sim = sim(2);
    sim.place(to_extension());
    sim.ring("phone", 180, None);
    sim.ring("desk", 180, None);
    sim.refuse("desk", 603, None);
    assert!(sim.far("phone").cancelled());
    let why = Failure::new(Origin::LegA, Kind::Rejected);
    assert_eq!(sim.record().outcome, Outcome::Failed(why));
    assert_eq!(sim.record().leg(LegNo::A).unwrap().sip_final, Some(603));
    sim.assert_clean();
}

#[test]
fn a_busy_phone_that_never_rang_is_busy_although_another_rang() {
    let mut sim = sim(2);
    sim.place(to_extension());
    sim.ring("phone", 180, None);
    sim.refuse("desk", 486, None);
    sim.refuse("phone", 480, None);
    let why = Failure::new(Origin::LegA, Kind::Busy);
    assert_eq!(sim.record().outcome, Outcome::Failed(why), "nobody pressed reject");
    sim.assert_clean();
}

#[test]
fn a_phone_that_is_gone_holds_nobody_up() {
    let mut sim = sim(2);
    sim.far("desk").dead = true;
    sim.place(to_extension());
    sim.ring("phone", 180, None);
    sim.advance(s(3));
    sim.pick_up("phone");
    sim.pick_up("b");
    sim.advance(s(60));
    assert_eq!(sim.engine.live()[0].state, "bridged", "what became of the other changes nothing");
    sim.hang_up("b");
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

/// A softphone that was shut down is still bound: it says nothing, and its owner is no less busy for that.
#[test]
fn rfc3261_16_7_busy_is_busy_although_a_phone_that_is_gone_says_nothing() {
    let mut sim = sim(2);
    sim.far("desk").dead = true;
    sim.place(to_extension());
    sim.refuse("phone", 486, None);
    assert!(sim.settled.is_empty(), "the other one may yet ring");
    sim.advance(s(9));
    let record = sim.record().clone();
    assert_eq!(record.outcome, Outcome::Failed(Failure::new(Origin::LegA, Kind::Busy)));
    assert_eq!(record.leg(LegNo::A).unwrap().sip_final, Some(486));
    sim.advance(s(60));
    sim.assert_clean();
}

#[test]
fn only_as_many_phones_ring_as_the_extension_may_have() {
    let mut sim = sim(3);
    sim.place(to_extension());
    let invited = PHONES.iter().filter(|(name, _)| sim.far(name).count("INVITE") == 1).count();
    assert_eq!(invited, 2);
    for (name, _) in PHONES {
        if sim.far(name).count("INVITE") == 1 {
            sim.refuse(name, 486, None);
        }
    }
    sim.assert_clean();
}

#[test]
fn everything_that_ends_a_ringing_leg_cancels_every_phone() {
    // Ring time, the operator, the far end that gives up.
    let mut sim = sim(2);
    sim.place(to_extension());
    sim.ring("phone", 180, None);
    sim.ring("desk", 180, None);
    sim.advance(s(61));
    for name in ["phone", "desk"] {
        assert!(sim.far(name).cancelled(), "{name}");
        assert!(!elsewhere(sim.far(name).last("CANCEL")));
    }
    let why = Failure::new(Origin::LegA, Kind::NoAnswer);
    assert_eq!(sim.record().outcome, Outcome::Failed(why));
    sim.assert_clean();

    let mut sim = self::sim(2);
    sim.place(to_extension());
    sim.ring("phone", 180, None);
    sim.ring("desk", 180, None);
    let call = sim.leg(LegNo::A).call;
    sim.command(Command::HangUp { token: 9, call });
    assert!(sim.far("phone").cancelled() && sim.far("desk").cancelled());
    assert_eq!(sim.record().released_by, Side::Platform);
    sim.assert_clean();
}

#[test]
fn case_32_early_media_of_two_phones_is_kept_apart() {
    let mut sim = sim(2);
    sim.place(to_extension());
    sim.ring("phone", 183, Some(&sdp_at("203.0.113.5", 5_000)));
    sim.ring("desk", 183, Some(&sdp_at("203.0.113.6", 6_000)));
    assert_eq!(heard_from(&sim), Some(addr("203.0.113.5:5000")), "who spoke first is heard");
    // The answer bears no description: its own 183 counts, not the other phone's.
    sim.pick_up_with("desk", "");
    assert_eq!(heard_from(&sim), Some(addr("203.0.113.6:6000")));
    assert!(sim.far("phone").cancelled());
    sim.hang_up("desk");
    sim.assert_clean();
}

#[test]
fn a25_when_the_phone_that_is_heard_refuses_the_next_one_is_heard() {
    let mut sim = sim(2);
    sim.place(to_extension());
    sim.ring("phone", 183, Some(&sdp_at("203.0.113.5", 5_000)));
    sim.ring("desk", 183, Some(&sdp_at("203.0.113.6", 6_000)));
    sim.refuse("phone", 486, None);
    assert_eq!(heard_from(&sim), Some(addr("203.0.113.6:6000")));
    sim.refuse("desk", 486, None);
    sim.assert_clean();

    // The other order: who is not heard leaves without a sound.
    let mut sim = self::sim(2);
    sim.place(to_extension());
    sim.ring("phone", 183, Some(&sdp_at("203.0.113.5", 5_000)));
    sim.ring("desk", 183, Some(&sdp_at("203.0.113.6", 6_000)));
    sim.refuse("desk", 486, None);
    assert_eq!(heard_from(&sim), Some(addr("203.0.113.5:5000")));
    sim.pick_up_with("phone", "");
    assert_eq!(heard_from(&sim), Some(addr("203.0.113.5:5000")));
    sim.hang_up("phone");
    sim.assert_clean();
}

#[test]
fn a_call_from_a_trunk_rings_all_phones_too() {
    let mut sim = sim_with(2, |snapshot| {
        snapshot.inbound.insert("861087654321".into(), "80001".into());
    });
    let sdp = sdp_of("a");
    let text = format!(
        "INVITE sip:+861087654321@198.51.100.1 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKin\n\
         Max-Forwards: 70\nFrom: <sip:+8613800138000@192.0.2.1>;tag=t\n\
         To: <sip:+861087654321@198.51.100.1>\nCall-ID: in\nCSeq: 1 INVITE\n\
         Contact: <sip:192.0.2.1:5060>\nContent-Type: application/sdp\nContent-Length: {}\n\n",
        sdp.len()
    );
    let whole = text.replace('\n', "\r\n") + &sdp;
    let flow = sip::endpoint::Flow::udp(addr(US), addr(CARRIER_A));
    sim.engine.handle_message(sim.now, flow, whole.into());
    sim.drain();
    sim.ring("phone", 180, None);
    sim.ring("desk", 180, None);
    sim.pick_up("phone");
    assert!(elsewhere(sim.far("desk").last("CANCEL")));
    assert_eq!(sim.engine.live()[0].state, "bridged");
    sim.hang_up("phone");
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn a_crash_while_phones_ring_leaves_none_of_them_ringing() {
    let mut sim = sim(2);
    sim.place(to_extension());
    sim.ring("phone", 180, None);
    // The other one has said nothing but 100.
    restart(&mut sim);
    for name in ["phone", "desk"] {
        assert!(sim.far(name).cancelled(), "{name} is told");
        assert_eq!(sim.far(name).count("INVITE"), 1, "{name} is not called again");
    }
    assert_eq!(sim.far("phone").last("CANCEL").reason()[0].cause, Some(41));
    let why = Failure::new(Origin::Us, Kind::Crash);
    assert_eq!(sim.record().outcome, Outcome::Failed(why));
    let counts = {
        sim.advance(s(400));
        sim.engine.counts()
    };
    assert_eq!((counts.sessions, counts.transactions), (0, 0));
}

#[test]
fn case_18_a_phone_picks_up_while_nobody_is_there_to_hear_it() {
    let mut sim = sim(2);
    sim.place(to_extension());
    sim.ring("phone", 180, None);
    sim.far("phone").muted = true;
    sim.pick_up("phone");
    restart(&mut sim);
    sim.unmute("phone");
    assert_eq!(sim.far("phone").count("ACK"), 1, "its 200 is acknowledged");
    assert!(sim.far("phone").ended(), "and ended");
    let record = sim.record();
    assert_eq!(record.leg(LegNo::A).unwrap().answered, None, "and costs nothing");
}

#[test]
fn case_46_a_crash_in_a_call_ends_the_winner_and_whoever_may_still_ring() {
    let mut sim = sim(2);
    sim.place(to_extension());
    sim.ring("phone", 180, None);
    sim.ring("desk", 180, None);
    sim.far("desk").dead = true;
    sim.pick_up("phone");
    sim.pick_up("b");
    assert!(!sim.far("desk").cancelled(), "our CANCEL was lost");
    sim.far("desk").dead = false;
    restart(&mut sim);
    assert!(sim.far("desk").cancelled());
    assert!(sim.far("phone").ended() && sim.far("b").ended());
    assert_eq!(sim.record().leg(LegNo::A).unwrap().failure.map(|f| f.kind), Some(Kind::Crash));
}

#[test]
fn a12_retry_after_is_honoured_by_each_call_for_as_long_as_it_says() {
    let set = |snapshot: &mut Snapshot| {
        let route = Route::new("8610", TrunkId(3), 5);
        snapshot.routes.push(route);
    };
    let mut sim = sim_with(0, set);
    let refuse = |sim: &mut Sim, seconds: &str| {
        let now = sim.now.mono;
        let far = sim.far("b");
        let session = far.session();
        let headers = vec![("Retry-After".to_owned(), seconds.as_bytes().to_vec())];
        far.endpoint.reject(now, session, 503, headers);
        sim.drain();
    };
    sim.up_to_b();
    refuse(&mut sim, "30");
    assert_eq!((sim.far("b").count("INVITE"), sim.far("c").count("INVITE")), (1, 1));
    sim.hang_up("a");
    sim.advance(s(20));
    sim.up_to_b();
    assert_eq!(sim.far("b").count("INVITE"), 1, "left alone");
    assert_eq!(sim.far("c").count("INVITE"), 2);
    sim.hang_up("a");
    sim.advance(s(20));
    sim.up_to_b();
    assert_eq!(sim.far("b").count("INVITE"), 2, "asked again after its time");
    // However long it asks for: five minutes at most.
    refuse(&mut sim, "86400");
    sim.hang_up("a");
    sim.advance(s(301));
    sim.up_to_b();
    assert_eq!(sim.far("b").count("INVITE"), 3);
    sim.hang_up("a");
    sim.assert_clean();
}
