//! Scanners and guessers on the virtual clock (conformance F10): what they hear, and who is spared.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use call::{Answer, Command, Denial};
use common::*;
use facts::ban::Offence;
use sip::digest;
use sip::wire::Message;

const STRANGER: &str = "203.0.113.9:5060";

fn request(method: &str, user: &str, n: usize) -> String {
    format!(
        "{method} sip:{user}@{REALM} SIP/2.0\nVia: SIP/2.0/UDP {STRANGER};branch=z9hG4bK{user}{n}\n\
         Max-Forwards: 70\nFrom: <sip:{user}@{REALM}>;tag=a{n}\nTo: <sip:{user}@{REALM}>\n\
         Call-ID: {user}-{n}\nCSeq: 1 {method}\nContact: <sip:{user}@{STRANGER}>\n\
         Content-Length: 0\n\n"
    )
}

/// Sends requests until nobody answers any more; how many were answered.
fn until_silence(sim: &mut Sim, most: usize, text: impl Fn(usize) -> String) -> usize {
    (0..most)
        .find(|n| {
            let before = sim.lost;
            sim.raw(STRANGER, &text(*n));
            sim.lost == before
        })
        .unwrap_or(most)
}

#[test]
fn f10_who_tries_extensions_one_after_the_other_hears_nothing_after_twenty() {
    let mut sim = Sim::new();
    let answered =
        until_silence(&mut sim, 100, |n| request("REGISTER", &format!("{}", 100 + n), n));
    assert!(answered <= 20, "{answered}");
    assert_eq!(sim.bans.len(), 1);
    assert_eq!(sim.bans[0].offence, Offence::Knocking);
    assert_eq!(sim.engine.counts().bans, 1);
    sim.command(Command::Bans { token: 90 });
    let Some(Answer::Bans(bans)) = sim.answers.get(&90) else { panic!("no answer") };
    assert_eq!(bans[0].source.to_string(), "203.0.113.9");
    // Every transport and port of it.
    let silent = sim.lost;
    sim.raw("203.0.113.9:40000", &request("OPTIONS", "100", 7));
    assert_eq!(sim.lost, silent);
    // The ban ends by itself, or by an operator.
    sim.command(Command::Lift { token: 91, address: addr(STRANGER).ip() });
    assert_eq!(sim.answers.get(&91), Some(&Answer::Lifted(true)));
    sim.raw(STRANGER, &request("OPTIONS", "100", 8));
    assert!(sim.lost > silent);
}

#[test]
fn f10_a_scanner_that_says_so_hears_nothing_at_all() {
    let mut sim = Sim::new();
    let scan =
        request("OPTIONS", "100", 0).replace("Content", "User-Agent: friendly-scanner\nContent");
    sim.raw(STRANGER, &scan);
    assert_eq!((sim.lost, sim.bans[0].offence), (0, Offence::Scanner));
    sim.advance(s(601));
    sim.raw(STRANGER, &request("OPTIONS", "100", 1));
    assert!(sim.lost > 0, "free again");
}

#[test]
fn f10_a_carrier_whose_address_is_forged_is_never_banned() {
    let mut sim = Sim::new();
    for n in 0..200 {
        let forged = request("REGISTER", "100", n).replace(STRANGER, CARRIER_A);
        sim.raw(CARRIER_A, &forged);
    }
    assert!(sim.bans.is_empty());
    sim.up_to_bridge();
}

#[test]
fn a_running_call_of_a_banned_phone_goes_on_and_ends_as_it_should() {
    let mut sim = Sim::new();
    sim.up_to_bridge();
    // The carrier is taken out of the settings while its call is up, and its address misbehaves.
    let mut settings = sim.snapshot.clone();
    settings.trunks.retain(|id, _| id.0 != 2);
    sim.command(Command::Settings(settings.into()));
    for n in 0..40 {
        let text = request("REGISTER", "100", n).replace(STRANGER, CARRIER_B);
        sim.raw(CARRIER_B, &text);
    }
    assert_eq!(sim.bans.len(), 1);
    sim.hang_up("b");
    sim.advance(s(40));
    assert_eq!(sim.settled.len(), 1, "its BYE was heard");
}

#[test]
fn f10_a_banned_source_draws_nothing_by_pretending_to_be_in_a_dialog() {
    let mut sim = Sim::new();
    until_silence(&mut sim, 100, |n| request("REGISTER", &format!("{}", 100 + n), n));
    assert_eq!(sim.bans.len(), 1);
    let silent = sim.lost;
    for (n, method) in
        ["BYE", "INVITE", "OPTIONS", "INFO", "SUBSCRIBE", "UPDATE"].into_iter().enumerate()
    {
        let text = request(method, "100", n);
        let to = format!("To: <sip:100@{REALM}>");
        sim.raw(STRANGER, &text.replace(&to, &format!("{to};tag=made-up")));
    }
    sim.raw(STRANGER, &request("CANCEL", "100", 9));
    assert_eq!(sim.lost, silent, "no 481, no 405");
}

#[test]
fn a_customer_that_calls_by_digest_without_registering_is_never_banned() {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            snapshot.extensions.insert("80000".into(), extension("80000", "secret"));
        },
    );
    let pbx = "203.0.113.20:5060";
    sim.add("pbx", pbx, 77);
    let invite = |n: usize, proof: &str| {
        let own = request("INVITE", "80000", n).replace(STRANGER, pbx);
        own.replace("Content-Length", &format!("{proof}Content-Length"))
    };
    let uri = format!("sip:80000@{REALM}");
    for n in 0..40 {
        sim.far("pbx").heard.clear();
        sim.raw(pbx, &invite(n, ""));
        let heard = &sim.far("pbx").heard;
        let asked = heard.iter().find(|message| message.status() == Some(401));
        let (_, challenge) = digest::challenge_of(asked.expect("it is answered"), None).unwrap();
        let proof = challenge.answer("80000", "secret", "INVITE", &uri, 1, "c").unwrap();
        sim.raw(pbx, &invite(n + 1000, &format!("Authorization: {proof}\n")));
        let told = sim.far("pbx").heard.iter().filter_map(Message::status).max();
        assert!(told.is_some_and(|code| code != 401), "call {n} was proved");
        sim.advance(s(1));
    }
    assert!(sim.bans.is_empty());
}

/// A REGISTER for 80000 from an address, challenge and all; the last answer.
fn register_from(sim: &mut Sim, at: &str, password: &str, n: usize) -> u16 {
    let ask = |proof: &str| {
        let text = request("REGISTER", "80000", n).replace(STRANGER, at);
        text.replace("Content-Length", &format!("{proof}Content-Length"))
    };
    sim.add("guesser", at, 78);
    sim.raw(at, &ask(""));
    let (_, challenge) = digest::challenge_of(&sim.far("guesser").heard[0], None).unwrap();
    let uri = format!("sip:80000@{REALM}");
    let proof = challenge.answer("80000", password, "REGISTER", &uri, 1, "c").unwrap();
    let proved = ask(&format!("Authorization: {proof}\n"));
    sim.raw(at, &proved.replace("branch=z9hG4bK", "branch=z9hG4bKproved"));
    sim.far("guesser").heard.last().and_then(Message::status).unwrap_or(0)
}

#[test]
fn f11_a_user_at_whose_password_many_addresses_guess_is_guarded_and_reached_by_its_owner() {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            snapshot.extensions.insert("80000".into(), extension("80000", "secret"));
        },
    );
    let (home, hotel) = ("203.0.113.20:5060", "203.0.113.21:5060");
    assert_eq!(register_from(&mut sim, home, "secret", 9_000), 200);
    // 500 sources, none of which does enough to be banned.
    for source in 0..500 {
        for n in 0..2 {
            let at = format!("198.51.{}.{}:5060", 100 + source / 250, 1 + source % 250);
            assert_eq!(register_from(&mut sim, &at, "wrong", source * 2 + n), 401);
        }
    }
    assert!(sim.bans.is_empty());
    let looked_at = sim.turned_away.iter().filter(|t| t.why == Denial::WrongPassword).count();
    let guarded = sim.turned_away.iter().filter(|t| t.why == Denial::Guarded).count();
    assert!((20..=21).contains(&looked_at), "{looked_at}");
    assert_eq!(looked_at + guarded, 1_000);
    assert_eq!(register_from(&mut sim, home, "secret", 9_001), 200, "where he is known");
    assert_eq!(register_from(&mut sim, hotel, "secret", 9_002), 401, "no different from a guess");
    sim.advance(s(11));
    assert_eq!(register_from(&mut sim, hotel, "secret", 9_003), 200, "when it has its turn");
    assert_eq!(register_from(&mut sim, hotel, "secret", 9_004), 200, "and now he is known there");
}
