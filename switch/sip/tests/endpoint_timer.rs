//! Session timers (RFC 4028), both roles, on the virtual clock.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]

mod world;

use bytes::Bytes;
use sip::endpoint::{Credentials, EndpointConfig, Event, Invite, SessionId, SessionTimers};
use sip::wire::{HeaderName, Message};
use world::{
    A, ANSWER, Alone, OFFER, World, answer, config, invite, label, names, request, udp, within,
    within_with,
};

const CONTACT: &str = "Contact: <sip:bob@10.0.0.2:5060>\r\n";
const TAKES: &str = "Allow: INVITE, ACK, BYE, UPDATE\r\n";

fn expires(message: &Message) -> String {
    message.header_str(HeaderName::SessionExpires).unwrap_or_default().to_owned()
}

/// Our call was answered with these headers.
fn called(extra: &str) -> (Alone, SessionId) {
    let mut peer = Alone::new();
    let session = peer.call();
    let extra = format!("{CONTACT}{extra}");
    let text = answer(&peer.last("INVITE"), 200, "b", &extra, ANSWER);
    peer.receive(&text);
    peer.take_events();
    (peer, session)
}

/// Their call, answered and acknowledged.
fn answered(peer: &mut Alone, extra: &str) -> (SessionId, Message) {
    peer.receive(request("INVITE", "t", extra, OFFER));
    let Some(Event::Invite { session, .. }) = peer.events.first() else {
        panic!("no call: {:?}", peer.labels())
    };
    let session = *session;
    peer.endpoint.accept(peer.now, session, Bytes::from_static(ANSWER.as_bytes()), Vec::new());
    peer.drain();
    let done = peer.last("200 INVITE");
    peer.receive(within(&done, "ACK", 1, "ack", ""));
    peer.take_events();
    (session, done)
}

#[test]
fn b3_rfc4028_7_1_our_invite_asks_for_1800_and_leaves_the_refresher_open() {
    let mut peer = Alone::new();
    peer.call();
    let invite = peer.last("INVITE");
    assert_eq!(expires(&invite), "1800");
    assert!(invite.lists(HeaderName::Supported, "timer"));
    assert_eq!(invite.header(HeaderName::MinSe), None, "90 is what everybody assumes");
    let session = SessionTimers { expires: Some(600), min_se: 120, ..SessionTimers::default() };
    let mut peer = Alone::with(EndpointConfig { session, ..config(A, 1) });
    peer.call();
    let invite = peer.last("INVITE");
    assert_eq!(
        (expires(&invite).as_str(), invite.number(HeaderName::MinSe)),
        ("600", Ok(Some(120)))
    );
    let session = SessionTimers { expires: None, ..SessionTimers::default() };
    let mut peer = Alone::with(EndpointConfig { session, ..config(A, 1) });
    peer.call();
    assert_eq!(expires(&peer.last("INVITE")), "");
}

#[test]
fn b3_rfc4028_7_4_we_refresh_at_half_by_update_and_case_28_the_call_lives_on() {
    let (mut peer, _) =
        called(&format!("{TAKES}Require: timer\r\nSession-Expires: 200;refresher=uac\r\n"));
    for round in 1..=5_u64 {
        peer.run_to(round * 100_000);
        assert_eq!(peer.sent("UPDATE").len() as u64, round);
        let update = peer.last("UPDATE");
        assert!(update.body().is_empty());
        assert_eq!(expires(&update), "200;refresher=uac");
        assert!(update.contact().is_ok());
        let extra = format!("{CONTACT}Require: timer\r\nSession-Expires: 200;refresher=uac\r\n");
        peer.receive(answer(&update, 200, "", &extra, ""));
    }
    assert!(peer.sent("BYE").is_empty());
    assert_eq!(names(&peer.events), ["refreshed"; 5]);
}

#[test]
fn b3_rfc4028_7_4_without_update_the_user_is_asked_for_a_re_invite() {
    let (mut peer, session) = called("Require: timer\r\nSession-Expires: 200;refresher=uac\r\n");
    peer.run_to(100_000);
    assert_eq!(names(&peer.events), ["refresh"]);
    let offer = Bytes::from_static(OFFER.as_bytes());
    assert!(peer.endpoint.reinvite(peer.now, session, offer));
    peer.drain();
    let again = peer.last("INVITE");
    assert_eq!(expires(&again), "200;refresher=uac");
    let extra = format!("{CONTACT}Require: timer\r\nSession-Expires: 200;refresher=uac\r\n");
    peer.receive(answer(&again, 200, "", &extra, ANSWER));
    assert_eq!(names(&peer.events)[1..], ["reinvite answered"]);
    peer.run_to(199_000);
    assert!(peer.sent("BYE").is_empty());
    peer.run_to(200_000);
    assert_eq!(names(&peer.events)[2..], ["refresh"]);
    // §10: nothing came of it: BYE 32 s before the end.
    peer.run_to(268_000);
    let bye = peer.last("BYE");
    assert_eq!(peer.times("BYE"), [268_000]);
    assert_eq!(bye.reason()[0].cause, Some(102));
    assert_eq!(names(&peer.events).last().unwrap(), "ended Expired");
}

#[test]
fn case_28_whoever_lists_update_and_refuses_it_is_refreshed_by_re_invite() {
    let (mut peer, _) = called(&format!("{TAKES}Session-Expires: 200;refresher=uac\r\n"));
    peer.run_to(100_000);
    let update = peer.last("UPDATE");
    peer.receive(answer(&update, 405, "", "", ""));
    assert_eq!(names(&peer.events), ["refresh"]);
    assert!(peer.sent("BYE").is_empty());
}

#[test]
fn b3_rfc4028_10_a_refresher_that_falls_silent_gets_a_bye_before_the_end() {
    let (mut peer, _) = called("Session-Expires: 200;refresher=uas\r\n");
    peer.run_to(167_000);
    assert!(peer.sent("BYE").is_empty() && peer.sent("UPDATE").is_empty());
    peer.run_to(168_000);
    assert_eq!(peer.times("BYE"), [168_000]);
    assert_eq!(names(&peer.events), ["ended Expired"]);
    // A third of 90 s is less than 32 s.
    let (mut peer, _) = called("Session-Expires: 90;refresher=uas\r\n");
    peer.run_to(60_000);
    assert_eq!(peer.times("BYE"), [60_000]);
}

#[test]
fn rfc4028_7_2_without_session_expires_in_the_2xx_there_is_no_end() {
    let (mut peer, _) = called("Supported: timer\r\n");
    assert_eq!(peer.endpoint.counts().sessions, 1);
    peer.run_to(7_200_000);
    assert!(peer.sent("BYE").is_empty() && peer.sent("UPDATE").is_empty());
}

#[test]
fn b3_rfc4028_7_3_a_422_is_answered_by_an_invite_with_the_interval_it_wants() {
    let mut peer = Alone::new();
    peer.call();
    let first = peer.last("INVITE");
    peer.receive(answer(&first, 422, "small", "Min-SE: 3600\r\n", ""));
    assert_eq!(peer.take_labels(), ["INVITE", "ACK", "INVITE"]);
    // The INVITE that was sent is not in `sent` any more: ask for the copy.
    peer.wait(500);
    let second = peer.last("INVITE");
    assert_eq!(
        (expires(&second).as_str(), second.number(HeaderName::MinSe)),
        ("3600", Ok(Some(3_600)))
    );
    assert_eq!(second.call_id(), first.call_id());
    assert_eq!(second.from_tag(), first.from_tag());
    assert_eq!(second.cseq().unwrap().number, 2);
    assert_ne!(second.via().unwrap().branch(), first.via().unwrap().branch());
    peer.receive(answer(&second, 422, "small", "Min-SE: 3600\r\n", ""));
    assert_eq!(names(&peer.events), ["failed 422"], "more is not wanted: a refusal");
    peer.assert_empty_after(100_000);
}

#[test]
fn rfc3261_22_a_422_gives_nobody_the_right_to_a_digest_of_the_trunks_password() {
    let credentials = Credentials { realm: None, username: "u".into(), password: "p".into() };
    let mut peer = Alone::new();
    peer.call_with(Invite { credentials: Some(credentials), ..invite(udp()) });
    let extra = format!("{CONTACT}{TAKES}Require: timer\r\nSession-Expires: 200;refresher=uac\r\n");
    let text = answer(&peer.last("INVITE"), 200, "b", &extra, ANSWER);
    peer.receive(&text);
    peer.run_to(100_000);
    let first = peer.last("UPDATE");
    peer.receive(answer(&first, 422, "", "Min-SE: 300\r\n", ""));
    peer.wait(600);
    let second = peer.last("UPDATE");
    assert_eq!(second.cseq().unwrap().number, first.cseq().unwrap().number + 1);
    let challenge = "WWW-Authenticate: Digest realm=\"gateway\", nonce=\"n\", algorithm=MD5\r\n";
    peer.receive(answer(&second, 401, "", challenge, ""));
    peer.wait(600);
    let proved = |m: &Message| m.header(HeaderName::Authorization).is_some();
    assert!(
        !peer.sent("UPDATE").iter().any(|(_, _, message)| proved(message))
            && !proved(&peer.last("UPDATE"))
    );
    assert_eq!(peer.last("UPDATE").cseq(), second.cseq());
}

#[test]
fn rfc4028_7_3_a_422_without_end_is_given_up() {
    let mut peer = Alone::new();
    peer.call();
    for round in 1..10 {
        let last = peer.last("INVITE");
        peer.receive(answer(&last, 422, "s", &format!("Min-SE: {}\r\n", 3_600 * round), ""));
    }
    assert_eq!(peer.sent("INVITE").len(), 4);
    assert_eq!(names(&peer.events), ["failed 422"]);
}

#[test]
fn b3_rfc4028_9_an_interval_below_min_se_is_422() {
    let mut peer = Alone::new();
    peer.receive(request("INVITE", "s", "Supported: timer\r\nSession-Expires: 60\r\n", OFFER));
    let small = peer.last("422 INVITE");
    assert_eq!(small.number(HeaderName::MinSe), Ok(Some(90)));
    assert!(peer.events.is_empty());
    let (_, done) = answered(&mut peer, "Supported: timer\r\nSession-Expires: 90\r\n");
    assert_eq!(expires(&done), "90;refresher=uas");
    let small = "Supported: timer\r\nSession-Expires: 60\r\n";
    peer.receive(within(&done, "UPDATE", 2, "u", small));
    peer.receive(within_with(&done, "INVITE", 3, "i", small, OFFER));
    assert_eq!(peer.last("422 UPDATE").number(HeaderName::MinSe), Ok(Some(90)));
    assert_eq!(peer.last("422 INVITE").number(HeaderName::MinSe), Ok(Some(90)));
}

#[test]
fn b3_rfc4028_9_as_a_server_we_refresh_unless_the_caller_wants_to() {
    let mut peer = Alone::new();
    let (_, done) =
        answered(&mut peer, &format!("{TAKES}Supported: timer\r\nSession-Expires: 300\r\n"));
    assert_eq!(expires(&done), "300;refresher=uas");
    assert!(!done.lists(HeaderName::Require, "timer"));
    peer.run_to(150_000);
    let update = peer.last("UPDATE");
    assert_eq!(expires(&update), "300;refresher=uac", "now we are the client");
    assert_eq!(update.from().unwrap().tag(), done.to().unwrap().tag());

    let mut peer = Alone::new();
    let asked = "Supported: timer\r\nSession-Expires: 300;refresher=uac\r\n";
    let (_, done) = answered(&mut peer, asked);
    assert_eq!(expires(&done), "300;refresher=uac");
    assert!(done.lists(HeaderName::Require, "timer"));
    peer.run_to(200_000);
    peer.receive(within(&done, "UPDATE", 2, "u", &format!("{CONTACT}{asked}")));
    assert_eq!(expires(&peer.last("200 UPDATE")), "300;refresher=uac");
    peer.run_to(400_000);
    assert!(peer.sent("BYE").is_empty(), "it gave a sign of life");
    peer.run_to(468_000);
    assert_eq!(peer.times("BYE"), [468_000]);
}

#[test]
fn rfc4028_9_a_caller_that_knows_no_timers_is_not_asked_for_any() {
    let mut peer = Alone::new();
    let (_, done) = answered(&mut peer, "");
    assert_eq!(expires(&done), "");
    peer.run_to(7_200_000);
    assert!(peer.sent("BYE").is_empty());
    let mut peer = Alone::new();
    let (_, done) = answered(&mut peer, "Session-Expires: 60;refresher=uac\r\n");
    assert_eq!(expires(&done), "90;refresher=uas", "a proxy asked: we refresh");
}

#[test]
fn a_reinvite_of_theirs_is_a_refresh_as_well() {
    let mut peer = Alone::new();
    let asked = "Supported: timer\r\nSession-Expires: 300;refresher=uac\r\n";
    let (session, done) = answered(&mut peer, asked);
    peer.run_to(150_000);
    peer.receive(within_with(&done, "INVITE", 2, "i", &format!("{CONTACT}{asked}"), OFFER));
    peer.endpoint.accept_reinvite(peer.now, session, Bytes::from_static(ANSWER.as_bytes()));
    peer.drain();
    let again = peer.last("200 INVITE");
    assert_eq!(expires(&again), "300;refresher=uac");
    peer.receive(within(&again, "ACK", 2, "ack2", ""));
    peer.run_to(417_000);
    assert!(peer.sent("BYE").is_empty());
    peer.run_to(418_000);
    assert_eq!(peer.times("BYE"), [418_000]);
}

#[test]
fn rfc4028_10_481_to_a_refresh_ends_the_session_at_once() {
    let (mut peer, _) = called(&format!("{TAKES}Session-Expires: 200;refresher=uac\r\n"));
    peer.run_to(100_000);
    let update = peer.last("UPDATE");
    peer.receive(answer(&update, 481, "", "", ""));
    assert_eq!(names(&peer.events), ["ended Rejected481"]);
    let (mut peer, _) = called(&format!("{TAKES}Session-Expires: 200;refresher=uac\r\n"));
    peer.run_to(132_000);
    assert_eq!(names(&peer.events), ["ended TransportLost"], "no answer in 64·T1");
    assert_eq!(peer.times("BYE"), [132_000]);
}

#[test]
fn b3_two_endpoints_keep_a_call_alive_for_a_day_and_case_29_part_when_the_line_is_cut() {
    let mut world = World::new();
    world.call();
    world.run(50);
    let called = world.called();
    let now = world.now;
    world.ends[1].accept(now, called, Bytes::from_static(ANSWER.as_bytes()), Vec::new());
    world.drain();
    world.run(86_400_000);
    let refreshed = |world: &World, end: usize| {
        names(&world.events[end]).iter().filter(|name| *name == "refreshed").count()
    };
    assert_eq!((refreshed(&world, 0), refreshed(&world, 1)), (95, 95), "each 900 s, by the server");
    assert!(!world.log.iter().any(|(_, what)| what == "BYE"));
    world.fate = Box::new(|_, _| vec![]);
    world.run(1_800_000);
    for end in 0..2 {
        let heard = names(&world.events[end]);
        assert!(heard.last().unwrap().starts_with("ended"), "{end}: {heard:?}");
    }
    world.run(100_000);
    world.assert_empty();
}

#[test]
fn options_and_answers_say_what_is_supported() {
    let (mut peer, _) = called("");
    let ack = peer.last("ACK");
    peer.receive(within(&ack, "OPTIONS", 1, "o", ""));
    let told = peer.last("200 OPTIONS");
    for method in ["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "INFO", "PRACK", "UPDATE"] {
        assert!(told.lists(HeaderName::Allow, method), "{method}");
    }
    assert!(told.lists(HeaderName::Supported, "100rel"));
    assert!(told.lists(HeaderName::Supported, "timer"));
    assert!(told.lists(HeaderName::Accept, "application/sdp"));
    assert_eq!(label(&told), "200 OPTIONS");
}
