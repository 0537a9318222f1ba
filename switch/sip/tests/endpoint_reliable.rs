//! Reliable provisional answers (RFC 3262), both roles, on the virtual clock.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]

mod world;

use bytes::Bytes;
use sip::endpoint::{EndpointConfig, Event, Invite, SessionId};
use sip::wire::{HeaderName, Message};
use world::{
    A, ANSWER, Alone, OFFER, World, answer, config, invite, ms, names, ok, request, udp, within,
    within_with,
};

/// An INVITE of a peer that takes, or with `Require` wants, reliable answers.
fn rung(extra: &str, body: &str) -> (Alone, SessionId) {
    let mut peer = Alone::new();
    peer.receive(request("INVITE", "r", extra, body));
    let Some(Event::Invite { session, .. }) = peer.events.first() else { panic!("no call") };
    let session = *session;
    peer.take_events();
    peer.sent.clear();
    (peer, session)
}

fn provisional(peer: &mut Alone, session: SessionId, code: u16, body: Option<&'static str>) {
    let sdp = body.map(|text| Bytes::from_static(text.as_bytes()));
    peer.endpoint.provisional(peer.now, session, code, sdp);
    peer.drain();
}

fn rseq(message: &Message) -> u32 {
    message.reliable().expect("a reliable answer")
}

/// A PRACK of the last answer with this code.
fn prack(peer: &mut Alone, what: &str, cseq: u32, body: &str) {
    let response = peer.last(what);
    let rack = format!("RAck: {} 1 INVITE\r\n", rseq(&response));
    let text = within_with(&response, "PRACK", cseq, &format!("p{cseq}"), &rack, body);
    peer.receive(text);
}

fn accept(peer: &mut Alone, session: SessionId) {
    let sdp = Bytes::from_static(ANSWER.as_bytes());
    peer.endpoint.accept(peer.now, session, sdp, Vec::new());
    peer.drain();
}

#[test]
fn b1_rfc3262_3_rseq_rises_by_one_and_case_30_the_next_waits_for_the_prack() {
    let (mut peer, session) = rung("Supported: 100rel\r\n", OFFER);
    provisional(&mut peer, session, 180, None);
    provisional(&mut peer, session, 183, Some(ANSWER));
    assert_eq!(peer.labels(), ["180 INVITE"]);
    let first = peer.last("180 INVITE");
    assert!(first.lists(HeaderName::Require, "100rel"));
    assert!((1..1 << 31).contains(&rseq(&first)));
    prack(&mut peer, "180 INVITE", 2, "");
    assert_eq!(peer.labels()[1..], ["200 PRACK", "183 INVITE"]);
    assert_eq!(rseq(&peer.last("183 INVITE")), rseq(&first) + 1);
    prack(&mut peer, "183 INVITE", 3, "");
    assert_eq!(peer.labels()[3..], ["200 PRACK"]);
    peer.wait(20_000);
    assert_eq!(peer.times("183 INVITE").len(), 1, "case 30: nothing is repeated after the PRACK");
    accept(&mut peer, session);
    assert_eq!(peer.labels()[4..], ["200 INVITE"]);
    let done = peer.last("200 INVITE");
    peer.receive(within(&done, "ACK", 1, "ack", ""));
    assert_eq!(names(&peer.events), ["acked"], "a PRACK's number is not the INVITE's");
}

#[test]
fn rfc3262_3_without_supported_nothing_is_reliable_and_with_require_all_is() {
    let (mut peer, session) = rung("", OFFER);
    provisional(&mut peer, session, 183, Some(ANSWER));
    assert_eq!(peer.last("183 INVITE").reliable(), None);
    peer.wait(10_000);
    assert_eq!(peer.times("183 INVITE"), [0]);

    let quiet = EndpointConfig { reliable: false, ..config(A, 1) };
    for (extra, wanted) in [("Supported: 100rel\r\n", false), ("Require: 100rel\r\n", true)] {
        let mut peer = Alone::with(quiet.clone());
        peer.receive(request("INVITE", "q", extra, OFFER));
        let Some(Event::Invite { session, .. }) = peer.events.first() else { panic!("no call") };
        let session = *session;
        provisional(&mut peer, session, 180, None);
        assert_eq!(peer.last("180 INVITE").reliable().is_some(), wanted, "{extra}");
    }
}

#[test]
fn b1_rfc3262_3_a_prack_that_fits_nothing_is_481_and_a_copy_gets_its_200_again() {
    let (mut peer, session) = rung("Supported: 100rel\r\n", OFFER);
    provisional(&mut peer, session, 180, None);
    let ringing = peer.last("180 INVITE");
    let number = rseq(&ringing);
    peer.sent.clear();
    for (at, rack) in [
        format!("{} 1 INVITE", number + 1),
        format!("{number} 2 INVITE"),
        format!("{number} 1 UPDATE"),
    ]
    .iter()
    .enumerate()
    {
        let cseq = 2 + at as u32;
        let rack = format!("RAck: {rack}\r\n");
        peer.receive(within(&ringing, "PRACK", cseq, &format!("w{at}"), &rack));
    }
    peer.receive(within(&ringing, "PRACK", 8, "none", ""));
    assert_eq!(peer.take_labels(), ["481 PRACK", "481 PRACK", "481 PRACK", "400 PRACK"]);
    let rack = format!("RAck: {number} 1 INVITE\r\n");
    let good = within(&ringing, "PRACK", 9, "good", &rack);
    peer.receive(&good);
    peer.receive(&good);
    assert_eq!(peer.take_labels(), ["200 PRACK", "200 PRACK"]);
    peer.receive(within(&ringing, "PRACK", 10, "again", &rack));
    assert_eq!(peer.take_labels(), ["481 PRACK"], "acknowledged already");
    peer.receive(request("PRACK", "out", &rack, ""));
    assert_eq!(peer.take_labels(), ["481 PRACK"]);
}

#[test]
fn b1_rfc3262_3_without_prack_it_is_resent_by_t1_doubling_and_the_invite_ends_with_504() {
    let (mut peer, session) = rung("Require: 100rel\r\n", OFFER);
    provisional(&mut peer, session, 183, Some(ANSWER));
    peer.run_to(33_000);
    assert_eq!(peer.times("183 INVITE"), [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    assert_eq!(peer.times("504 INVITE")[0], 32_000);
    assert_eq!(names(&peer.events), ["cancelled"]);
    peer.assert_empty_after(100_000);
}

#[test]
fn b1_rfc3262_3_a_2xx_waits_for_the_prack_of_a_description() {
    let (mut peer, session) = rung("Supported: 100rel\r\n", OFFER);
    provisional(&mut peer, session, 183, Some(ANSWER));
    accept(&mut peer, session);
    peer.wait(1_000);
    assert!(!peer.labels().contains(&"200 INVITE".to_owned()));
    prack(&mut peer, "183 INVITE", 2, "");
    assert_eq!(peer.labels().last().unwrap(), "200 INVITE");
    let done = peer.last("200 INVITE");
    peer.receive(within(&done, "ACK", 1, "ack", ""));
    assert_eq!(names(&peer.events), ["accepted", "acked"]);
    peer.wait(40_000);
    assert_eq!(peer.times("183 INVITE").len(), 2, "once, and once at T1");

    // A description that nobody acknowledges: no 2xx ever, and a CANCEL meanwhile still ends it.
    let (mut peer, session) = rung("Supported: 100rel\r\n", OFFER);
    provisional(&mut peer, session, 183, Some(ANSWER));
    accept(&mut peer, session);
    peer.receive(request("CANCEL", "r", "", ""));
    assert_eq!(peer.labels()[1..], ["200 CANCEL", "487 INVITE"]);
    assert_eq!(names(&peer.events), ["cancelled"]);
    peer.assert_empty_after(100_000);
}

#[test]
fn rfc3262_3_a_2xx_that_waits_for_its_prack_becomes_a_refusal_when_the_call_is_over() {
    let (mut peer, session) = rung("Supported: 100rel\r\n", OFFER);
    provisional(&mut peer, session, 183, Some(ANSWER));
    accept(&mut peer, session);
    peer.endpoint.bye(peer.now, session, None);
    peer.drain();
    assert_eq!(peer.labels().last().unwrap(), "480 INVITE", "not accepted only to be ended");
    prack(&mut peer, "183 INVITE", 2, "");
    peer.wait(1_000);
    let sent = peer.labels();
    assert!(
        !sent.contains(&"200 INVITE".to_owned()) && !sent.contains(&"BYE".to_owned()),
        "{sent:?}"
    );
    peer.assert_empty_after(100_000);
}

#[test]
fn rfc3262_3_a_2xx_overtakes_ringing_without_a_description_whose_prack_still_fits() {
    let (mut peer, session) = rung("Supported: 100rel\r\n", OFFER);
    provisional(&mut peer, session, 180, None);
    accept(&mut peer, session);
    assert_eq!(peer.labels(), ["180 INVITE", "200 INVITE"]);
    prack(&mut peer, "180 INVITE", 2, "");
    assert_eq!(peer.labels()[2..], ["200 PRACK"]);
    let done = peer.last("200 INVITE");
    peer.receive(within(&done, "ACK", 1, "ack", ""));
    peer.wait(30_000);
    assert_eq!(peer.times("180 INVITE"), [0]);
}

#[test]
fn b1_a_careful_user_and_the_prack_are_both_waited_for() {
    for prack_first in [true, false] {
        let mut peer = Alone::with(EndpointConfig { careful: true, ..config(A, 1) });
        peer.receive(request("INVITE", "r", "Supported: 100rel\r\n", OFFER));
        let Some(Event::Invite { session, .. }) = peer.events.first() else { panic!("no call") };
        let session = *session;
        provisional(&mut peer, session, 183, Some(ANSWER));
        accept(&mut peer, session);
        assert!(peer.endpoint.is_held(session));
        if prack_first {
            prack(&mut peer, "183 INVITE", 2, "");
        } else {
            peer.endpoint.proceed(peer.now, session);
            peer.drain();
        }
        assert!(!peer.labels().contains(&"200 INVITE".to_owned()), "{prack_first}");
        if prack_first {
            peer.endpoint.proceed(peer.now, session);
            peer.drain();
        } else {
            assert!(!peer.endpoint.is_held(session), "the user has done his part");
            prack(&mut peer, "183 INVITE", 2, "");
        }
        assert_eq!(peer.labels().last().unwrap(), "200 INVITE", "{prack_first}");
    }
}

#[test]
fn rfc3262_5_an_offer_in_a_reliable_answer_is_answered_in_its_prack() {
    let (mut peer, session) = rung("Supported: 100rel\r\n", "");
    assert!(peer.endpoint.is_reliable(session));
    provisional(&mut peer, session, 183, Some(OFFER));
    prack(&mut peer, "183 INVITE", 2, ANSWER);
    let Some(Event::Pracked { sdp, .. }) = peer.events.first() else { panic!("no answer") };
    assert_eq!(sdp, ANSWER);
    peer.endpoint.accept(peer.now, session, Bytes::new(), Vec::new());
    peer.drain();
    let done = peer.last("200 INVITE");
    assert!(done.body().is_empty());
    peer.receive(within(&done, "ACK", 1, "ack", ""));
    assert_eq!(names(&peer.events), ["pracked", "acked"]);
}

#[test]
fn rfc3262_5_an_offer_in_a_prack_is_answered_in_its_200() {
    let (mut peer, session) = rung("Supported: 100rel\r\n", OFFER);
    provisional(&mut peer, session, 183, Some(ANSWER));
    prack(&mut peer, "183 INVITE", 2, OFFER);
    assert_eq!(names(&peer.events), ["reinvite"]);
    let sdp = Bytes::from_static(ANSWER.as_bytes());
    peer.endpoint.accept_reinvite(peer.now, session, sdp);
    peer.drain();
    assert_eq!(peer.last("200 PRACK").body(), ANSWER.as_bytes());
}

#[test]
fn rfc3261_13_3_1_1_a_reliable_answer_is_repeated_each_minute_under_its_own_number() {
    let (mut peer, session) = rung("Supported: 100rel\r\n", OFFER);
    provisional(&mut peer, session, 180, None);
    let first = rseq(&peer.last("180 INVITE"));
    prack(&mut peer, "180 INVITE", 2, "");
    peer.run_to(60_000);
    assert_eq!(rseq(&peer.last("180 INVITE")), first + 1);
    assert_eq!(peer.times("180 INVITE"), [0, 60_000]);
}

// ---- the client's half

fn calling(sdp: &'static str) -> (Alone, SessionId, Message) {
    let mut peer = Alone::new();
    let wish = Invite { reliable: true, sdp: Bytes::from_static(sdp.as_bytes()), ..invite(udp()) };
    let session = peer.call_with(wish);
    let request = peer.last("INVITE");
    (peer, session, request)
}

fn reliable(request: &Message, code: u16, tag: &str, rseq: u32, body: &str) -> String {
    let extra = format!(
        "Require: 100rel\r\nRSeq: {rseq}\r\nContact: <sip:bob@10.0.0.2:5060>\r\n\
         Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE\r\n"
    );
    answer(request, code, tag, &extra, body)
}

#[test]
fn b1_rfc3262_4_each_reliable_answer_is_acknowledged_once_and_in_order() {
    let (mut peer, _, request) = calling(OFFER);
    assert!(request.lists(HeaderName::Supported, "100rel"));
    peer.receive(reliable(&request, 183, "b", 700, ANSWER));
    let first = peer.last("PRACK");
    assert_eq!(first.header(HeaderName::RAck), Some(b"700 1 INVITE".as_slice()));
    assert_eq!(first.cseq().unwrap().number, 2);
    assert_eq!(first.to().unwrap().tag(), Some("b"));
    assert_eq!(first.request_uri(), Some("sip:bob@10.0.0.2:5060"));
    // A copy draws no second PRACK and no second event; one that came too early waits.
    peer.receive(reliable(&request, 183, "b", 700, ANSWER));
    peer.receive(reliable(&request, 180, "b", 702, ""));
    assert_eq!(peer.sent("PRACK").len(), 1);
    assert_eq!(names(&peer.events), ["progress 183"]);
    peer.receive(reliable(&request, 183, "b", 701, ANSWER));
    let racks: Vec<String> =
        peer.sent("PRACK").iter().map(|(.., prack)| prack.rack().unwrap().to_string()).collect();
    assert_eq!(racks, ["700 1 INVITE", "701 1 INVITE", "702 1 INVITE"]);
    assert_eq!(names(&peer.events), ["progress 183", "progress 183", "progress 180"]);
    let described: Vec<bool> = peer
        .events
        .iter()
        .map(|event| matches!(event, Event::Progress { sdp: Some(_), .. }))
        .collect();
    assert_eq!(described, [true, false, false], "RFC 6337 §3.1.1: a repeat is no new answer");
}

#[test]
fn b1_rfc3262_4_a_lost_prack_is_resent_and_branches_are_counted_apart() {
    let (mut peer, _, request) = calling(OFFER);
    peer.receive(reliable(&request, 180, "x", 1, ""));
    peer.receive(reliable(&request, 180, "y", 9, ""));
    let racks = |peer: &Alone| -> Vec<(String, u32)> {
        peer.sent("PRACK")
            .iter()
            .map(|(.., prack)| {
                (prack.to().unwrap().tag().unwrap().to_string(), prack.rack().unwrap().rseq)
            })
            .collect()
    };
    assert_eq!(racks(&peer), [("x".to_owned(), 1), ("y".to_owned(), 9)]);
    peer.run_to(1_600);
    assert_eq!(peer.times("PRACK"), [0, 0, 500, 500, 1_500, 1_500]);
    // Whatever becomes of a PRACK, the INVITE goes on.
    for (.., prack) in peer.sent("PRACK").iter().take(2) {
        peer.receive(answer(prack, 481, "", "", ""));
    }
    assert_eq!(names(&peer.events), ["progress 180", "progress 180"]);
    peer.receive(ok(&request, "y"));
    let ack = peer.last("ACK");
    assert_eq!(ack.cseq().unwrap().number, 1, "the ACK bears the INVITE's number");
    let Some(Event::Answered { session, .. }) = peer.events.last() else { panic!("no answer") };
    let session = *session;
    peer.endpoint.bye(peer.now, session, None);
    peer.drain();
    assert!(peer.last("BYE").cseq().unwrap().number > 3, "numbers of the PRACKs are used up");
}

#[test]
fn rfc3262_4_an_answer_without_the_promise_is_not_acknowledged() {
    let mut peer = Alone::new();
    peer.call();
    let request = peer.last("INVITE");
    peer.receive(reliable(&request, 183, "b", 1, ANSWER));
    assert_eq!(peer.labels(), ["INVITE"]);
    assert_eq!(names(&peer.events), ["progress 183"]);
    // With the promise, and without Require: nobody waits for a PRACK.
    let (mut peer, _, request) = calling(OFFER);
    peer.receive(answer(&request, 183, "b", "RSeq: 1\r\n", ANSWER));
    assert_eq!(peer.labels(), ["INVITE"]);
}

#[test]
fn rfc3262_5_an_offer_in_an_answer_is_answered_by_the_users_prack() {
    let (mut peer, session, request) = calling("");
    peer.receive(reliable(&request, 183, "b", 5, OFFER));
    assert!(peer.sent("PRACK").is_empty());
    assert!(matches!(peer.events.last(), Some(Event::Progress { owed: true, .. })));
    peer.wait(700);
    peer.receive(reliable(&request, 183, "b", 5, OFFER));
    assert_eq!(peer.events.len(), 1, "a copy while the user thinks");
    let sdp = Bytes::from_static(ANSWER.as_bytes());
    peer.endpoint.prack(peer.now, session, "b", sdp);
    peer.drain();
    assert_eq!(peer.last("PRACK").body(), ANSWER.as_bytes());
    peer.receive(answer(&request, 200, "b", "Contact: <sip:bob@10.0.0.2:5060>\r\n", OFFER));
    assert!(matches!(peer.events.last(), Some(Event::Answered { sdp: None, .. })));
    assert_eq!(peer.labels().last().unwrap(), "ACK", "nothing is owed any more");
}

#[test]
fn rfc3262_4_a_prack_follows_the_route_set_of_its_early_dialog() {
    let (mut peer, _, request) = calling(OFFER);
    let routed = reliable(&request, 183, "b", 1, ANSWER)
        .replace("Allow:", "Record-Route: <sip:10.0.0.9;lr>\r\nAllow:");
    peer.receive(routed);
    let prack = peer.last("PRACK");
    assert_eq!(prack.routes().unwrap()[0].uri.to_string(), "sip:10.0.0.9;lr");
}

/// A lower number than a PRACK's would draw 500 (RFC 3261 §12.2.2), and the far end would stay up.
#[test]
fn case_18_a_200_that_crosses_our_cancel_after_pracks_is_ended_by_a_bye_with_a_number_of_its_own() {
    for careful in [false, true] {
        let mut peer = Alone::with(EndpointConfig { careful, ..config(A, 1) });
        let sdp = Bytes::from_static(OFFER.as_bytes());
        let session = peer.call_with(Invite { reliable: true, sdp, ..invite(udp()) });
        peer.endpoint.proceed(peer.now, session);
        peer.drain();
        let request = peer.last("INVITE");
        peer.receive(reliable(&request, 183, "b", 700, ANSWER));
        peer.receive(reliable(&request, 180, "b", 701, ""));
        assert_eq!(peer.last("PRACK").cseq().unwrap().number, 3);
        peer.endpoint.cancel(peer.now, session, None);
        peer.drain();
        peer.receive(ok(&request, "b"));
        if careful {
            assert!(peer.sent("ACK").is_empty(), "it is written down first");
            peer.endpoint.proceed(peer.now, session);
            peer.endpoint.bye(peer.now, session, None);
            peer.drain();
        }
        assert_eq!(peer.last("ACK").cseq().unwrap().number, 1, "careful: {careful}");
        assert_eq!(peer.last("BYE").cseq().unwrap().number, 4, "careful: {careful}");
    }
}

#[test]
fn b1_two_endpoints_settle_early_media_over_a_lossy_line() {
    for lost in 0..6 {
        let mut world = World::new();
        let mut count = 0;
        world.fate = Box::new(move |_, message| {
            let early = message.reliable().is_some() || message.header(HeaderName::RAck).is_some();
            count += usize::from(early);
            if early && count <= lost { vec![] } else { vec![ms(10)] }
        });
        let wish = Invite { reliable: true, ..invite(udp()) };
        let call = world.ends[0].invite(world.now, wish);
        world.drain();
        world.run(100);
        let called = world.called();
        let sdp = || Bytes::from_static(ANSWER.as_bytes());
        let now = world.now;
        world.ends[1].provisional(now, called, 180, None);
        world.ends[1].provisional(now, called, 183, Some(sdp()));
        world.ends[1].accept(now, called, sdp(), Vec::new());
        world.drain();
        world.run(60_000);
        assert_eq!(names(&world.events[1])[1..], ["accepted", "acked"], "{lost} lost");
        let heard = names(&world.events[0]);
        assert_eq!(heard.last().unwrap(), "answered", "{lost} lost: {heard:?}");
        assert!(heard.contains(&"progress 183".to_owned()), "{lost} lost: {heard:?}");
        let now = world.now;
        world.ends[0].bye(now, call, None);
        world.drain();
        world.run(100_000);
        world.assert_empty();
    }
}
