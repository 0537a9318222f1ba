//! Overload control with neighbours that speak it (RFC 7339): what a carrier asks for is obeyed, who asks us is told.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::*;
use facts::TrunkId;
use facts::settings::Route;
use sip::wire::{HeaderName, Message};

/// The first carrier is asked to say how much is too much; the third takes what it is spared.
fn sim() -> Sim {
    Sim::with(
        |_| {},
        |snapshot| {
            snapshot.trunks.get_mut(&TrunkId(1)).unwrap().options.overload_control = true;
            snapshot.routes.push(Route::new("86138", TrunkId(3), 1));
        },
    )
}

fn via(message: &Message) -> String {
    message.header_str(HeaderName::Via).unwrap().to_owned()
}

/// The first carrier refuses its latest call and says this of itself.
fn refuses(sim: &mut Sim, said: &str) {
    let invite = sim.far("a").last("INVITE").clone();
    let via = via(&invite).replace(";oc;oc-algo=\"loss\"", said);
    let of = |name| String::from_utf8(invite.header(name).unwrap().to_vec()).unwrap();
    let [from, to, id, cseq] =
        [HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq].map(of);
    sim.raw(
        CARRIER_A,
        &format!(
            "SIP/2.0 486 Busy Here\nVia: {via}\nFrom: {from}\nTo: {to};tag=x\nCall-ID: {id}\n\
             CSeq: {cseq}\nContent-Length: 0\n\n"
        ),
    );
}

/// Places so many calls (the far end's own answers speak of itself as well, with lower numbers) that are refused at once; how many the first carrier got.
fn given(sim: &mut Sim, calls: usize) -> usize {
    let before = sim.far("a").count("INVITE");
    for _ in 0..calls {
        let other = sim.far("c").invited.len();
        sim.place(callback());
        let name = if sim.far("c").invited.len() > other { "c" } else { "a" };
        sim.refuse(name, 486, None);
    }
    sim.far("a").count("INVITE") - before
}

#[test]
fn b14_rfc7339_6_a_carrier_is_spared_what_it_asks_for_as_long_as_it_says() {
    let mut sim = sim();
    sim.place(callback());
    let offered = via(sim.far("a").last("INVITE"));
    assert!(offered.contains(";oc;oc-algo=\"loss\""), "{offered}");
    refuses(&mut sim, ";oc=100;oc-algo=\"loss\";oc-validity=5000;oc-seq=1000.5");
    assert_eq!(given(&mut sim, 20), 0, "all of it goes to the next carrier");
    sim.advance(s(6));
    assert_eq!(given(&mut sim, 20), 20, "it lasted five seconds");
    assert!(!via(sim.far("c").last("INVITE")).contains(";oc"), "nobody else is asked");
    sim.assert_clean();
}

#[test]
fn b14_rfc7339_4_4_a_part_is_drawn_what_comes_late_is_old_and_zero_ends_it() {
    let mut sim = sim();
    let says = |sim: &mut Sim, said: &str| {
        sim.place(callback());
        refuses(sim, said);
    };
    says(&mut sim, ";oc=50;oc-algo=\"loss\";oc-validity=60000;oc-seq=1000.5");
    let half = given(&mut sim, 400);
    assert!((150..250).contains(&half), "{half} of 400");
    sim.advance(s(61));
    says(&mut sim, ";oc=100;oc-algo=\"loss\";oc-validity=60000;oc-seq=999.9");
    assert_eq!(given(&mut sim, 10), 10, "older than what was heard");
    says(&mut sim, ";oc=100;oc-algo=\"loss\";oc-validity=2000;oc-seq=1001.0");
    assert_eq!(given(&mut sim, 10), 0);
    sim.advance(s(3));
    says(&mut sim, ";oc=100;oc-algo=\"rate\";oc-validity=60000;oc-seq=1002.0");
    assert_eq!(given(&mut sim, 10), 10, "an algorithm that was not offered");
    says(&mut sim, ";oc=40;oc-algo=\"loss\";oc-validity=0;oc-seq=1003.0");
    assert_eq!(given(&mut sim, 10), 10, "it asks for nothing any more");
}

#[test]
fn b14_rfc7339_5_2_whoever_offers_it_is_told_how_we_are_and_nobody_else_is() {
    let options = |params: &str| {
        format!(
            "OPTIONS sip:{US} SIP/2.0\nVia: SIP/2.0/UDP {CARRIER_A};branch=z9hG4bKoc{params}\n\
             Max-Forwards: 70\nFrom: <sip:x@{CARRIER_A}>;tag=1\nTo: <sip:{US}>\nCall-ID: oc\n\
             CSeq: 1 OPTIONS\nContact: <sip:x@{CARRIER_A}>\nContent-Length: 0\n\n"
        )
    };
    for (params, told) in [
        (";oc;oc-algo=\"loss\"", true),
        (";oc;oc-algo=\"rate,loss\"", true),
        (";oc", true),
        (";oc;oc-algo=\"rate\"", false),
        ("", false),
    ] {
        let mut sim = sim();
        sim.raw(CARRIER_A, &options(params));
        let answer = sim.far("a").heard.last().unwrap().clone();
        let said = via(&answer);
        assert_eq!(said.contains(";oc=0;") && said.contains(";oc-seq="), told, "{params}: {said}");
        assert_eq!(said.contains("oc-algo=\"loss\";oc-validity=1000"), told, "{said}");
    }
}
