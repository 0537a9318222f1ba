//! Incoming INVITEs from a scripted peer, and whatever else strangers send.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod world;

use bytes::Bytes;
use sip::endpoint::{Answer, Counts, Event, Flow, SessionId};
use sip::wire::{HeaderName, Method, Reason};
use world::*;

fn sdp() -> Bytes {
    Bytes::from_static(ANSWER.as_bytes())
}

/// A peer whose INVITE has arrived.
fn called(extra: &str) -> (Alone, SessionId) {
    let mut peer = Alone::new();
    peer.receive(request("INVITE", "i1", extra, OFFER));
    let session = match peer.events.first() {
        Some(Event::Invite { session, .. }) => *session,
        other => panic!("{other:?}"),
    };
    (peer, session)
}

/// A peer whose call is up: INVITE, 200, ACK.
fn up() -> (Alone, SessionId) {
    let (mut peer, session) = called("");
    peer.endpoint.accept(peer.now, session, sdp(), Vec::new());
    peer.drain();
    let ok = peer.last("200 INVITE");
    peer.receive(within(&ok, "ACK", 1, "a1", ""));
    assert_eq!(names(&peer.events), ["invite", "acked"]);
    (peer, session)
}

/// A description in the ACK of a 200 that was the answer itself is nobody's answer.
#[test]
fn rfc3261_13_2_1_the_ack_of_an_answered_offer_answers_nothing() {
    let (mut peer, session) = called("");
    peer.endpoint.accept(peer.now, session, sdp(), Vec::new());
    peer.drain();
    let ok = peer.last("200 INVITE");
    peer.receive(within_with(&ok, "ACK", 1, "a1", "", OFFER));
    assert!(matches!(&peer.events[1], Event::Acked { sdp: None, .. }), "{:?}", peer.events);
}

#[test]
fn rfc3261_17_2_1_100_at_once_and_each_copy_gets_the_latest_answer() {
    let (mut peer, session) = called("");
    assert_eq!(peer.labels(), ["100 INVITE"]);
    assert_eq!(peer.last("100 INVITE").to().unwrap().tag(), None);
    peer.receive(request("INVITE", "i1", "", OFFER));
    peer.endpoint.provisional(peer.now, session, 183, Some(sdp()));
    peer.drain();
    peer.receive(request("INVITE", "i1", "", OFFER));
    assert_eq!(peer.labels(), ["100 INVITE", "100 INVITE", "183 INVITE", "183 INVITE"]);
    assert_eq!(names(&peer.events), ["invite"], "one call");
    let ringing = peer.last("183 INVITE");
    assert!(ringing.to().unwrap().tag().is_some());
    assert_eq!(ringing.body(), ANSWER.as_bytes());
    assert_eq!(ringing.contact().unwrap().uri.to_string(), "sip:alice@10.0.0.1:5060");
}

#[test]
fn rfc3261_12_1_1_record_route_comes_back_in_dialog_making_answers() {
    let routes = "Record-Route: <sip:p2;lr>\r\nRecord-Route: <sip:10.0.0.8;lr>\r\n";
    let (mut peer, session) = called(routes);
    peer.endpoint.provisional(peer.now, session, 180, None);
    peer.endpoint.accept(peer.now, session, sdp(), vec![("X-Y".into(), b"z".to_vec())]);
    peer.drain();
    for what in ["180 INVITE", "200 INVITE"] {
        assert_eq!(peer.last(what).record_routes().unwrap().len(), 2);
    }
    assert_eq!(peer.last("200 INVITE").other("X-Y"), Some(b"z".as_slice()));
    let ok = peer.last("200 INVITE");
    peer.receive(within(&ok, "ACK", 1, "a1", ""));
    peer.endpoint.bye(peer.now, session, None);
    peer.drain();
    let bye = peer.last("BYE");
    let routes: Vec<String> = bye.routes().unwrap().iter().map(|r| r.uri.to_string()).collect();
    assert_eq!(routes, ["sip:p2;lr", "sip:10.0.0.8;lr"], "in the order of the request");
    assert_eq!(peer.sent("BYE")[0].1, udp(), "a name is not resolved: the flow is kept");
}

#[test]
fn rfc3261_13_3_1_1_the_provisional_answer_is_repeated_each_minute() {
    let (mut peer, session) = called("");
    peer.endpoint.provisional(peer.now, session, 180, None);
    peer.drain();
    peer.run_to(130_000);
    assert_eq!(peer.times("180 INVITE"), [0, 60_000, 120_000]);
}

#[test]
fn an_invite_that_the_user_never_answers_ends() {
    let (mut peer, _) = called("");
    peer.run_to(213_000);
    assert_eq!(names(&peer.events), ["invite", "cancelled"]);
    peer.assert_empty_after(70_000);
    assert_eq!(peer.last("480 INVITE").status(), Some(480));
}

#[test]
fn a3_rfc3261_13_3_1_4_2xx_is_resent_eleven_times_then_bye() {
    for over in [udp(), tcp(Some(3))] {
        let mut peer = Alone::new();
        peer.receive_over(over, request("INVITE", "i1", "", OFFER));
        let Event::Invite { session, .. } = peer.events[0] else { panic!() };
        peer.endpoint.accept(peer.now, session, sdp(), Vec::new());
        peer.drain();
        peer.run_to(31_999);
        let expected: [u128; 11] =
            [0, 500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
        assert_eq!(peer.times("200 INVITE"), expected);
        assert_eq!(names(&peer.events), ["invite"]);
        peer.run_to(32_000);
        assert_eq!(peer.times("BYE"), [32_000]);
        assert_eq!(names(&peer.events), ["invite", "ended AckTimeout"]);
        assert_eq!(peer.last("BYE").reason()[0].cause, Some(102));
        peer.assert_empty_after(40_000);
    }
}

#[test]
fn a3_rfc3261_17_2_1_a_refusal_is_resent_until_the_ack() {
    let (mut peer, session) = called("");
    peer.endpoint.reject(
        peer.now,
        session,
        486,
        vec![("Reason".into(), b"Q.850;cause=17".to_vec())],
    );
    peer.drain();
    assert_eq!(peer.endpoint.counts().sessions, 0);
    peer.run_to(4000);
    assert_eq!(peer.times("486 INVITE"), [0, 500, 1500, 3500]);
    let refusal = peer.last("486 INVITE");
    assert_eq!(refusal.reason()[0].cause, Some(17));
    let ack = within(&refusal, "ACK", 1, "i1", "");
    peer.receive(&ack);
    peer.receive(&ack);
    peer.run_to(8_000);
    assert_eq!(peer.times("486 INVITE").len(), 4);
    peer.assert_empty_after(5_000);
}

#[test]
fn advisory_12_a_challenge_is_sent_once() {
    let (mut peer, session) = called("");
    peer.endpoint.reject(
        peer.now,
        session,
        401,
        vec![("WWW-Authenticate".into(), b"Digest realm=\"x\", nonce=\"y\"".to_vec())],
    );
    peer.drain();
    peer.run_to(31_000);
    assert_eq!(peer.times("401 INVITE"), [0]);
    peer.receive(request("INVITE", "i1", "", OFFER));
    assert_eq!(peer.times("401 INVITE"), [0, 31_000], "a copy draws it again");
    peer.assert_empty_after(5_000);
}

#[test]
fn a4_rfc6026_7_1_copies_after_the_2xx_make_no_second_leg() {
    let (mut peer, _) = up();
    peer.sent.clear();
    peer.receive(request("INVITE", "i1", "", OFFER));
    peer.run_to(31_000);
    peer.receive(request("INVITE", "i1", "", OFFER));
    assert_eq!(names(&peer.events), ["invite", "acked"]);
    assert!(peer.labels().is_empty());
}

#[test]
fn a5_rfc3261_8_2_2_2_the_same_request_by_another_path_is_merged() {
    let (mut peer, session) = called("");
    let other = request("INVITE", "i1", "", OFFER).replace("branch=z9hG4bKi1", "branch=z9hG4bKi2");
    peer.receive(&other);
    assert_eq!(peer.take_labels(), ["100 INVITE", "482 INVITE"]);
    assert_eq!(names(&peer.events), ["invite"]);
    // Another number is another request.
    peer.receive(other.replace("CSeq: 1", "CSeq: 2").replace("bKi2", "bKi3"));
    assert_eq!(names(&peer.events), ["invite", "invite"]);
    peer.endpoint.reject(peer.now, session, 486, Vec::new());
    peer.drain();
}

#[test]
fn a5_a_request_is_merged_only_while_the_first_lives() {
    let (mut peer, session) = called("");
    peer.endpoint.reject(peer.now, session, 486, Vec::new());
    peer.drain();
    peer.wait(33_000);
    peer.receive(
        request("INVITE", "i1", "", OFFER).replace("branch=z9hG4bKi1", "branch=z9hG4bKi2"),
    );
    assert_eq!(names(&peer.events), ["invite", "invite"]);
}

#[test]
fn a5_rfc3261_17_2_3_the_key_is_branch_sent_by_and_method() {
    let (mut peer, _) = called("");
    let other = request("INVITE", "i1", "", OFFER)
        .replace("UDP 10.0.0.2:5060", "UDP 10.0.0.2:5064")
        .replace("call-i1", "call-other");
    peer.receive(other);
    assert_eq!(names(&peer.events), ["invite", "invite"]);
}

#[test]
fn a6_rfc3261_9_2_cancel_gets_200_and_the_invite_487() {
    let (mut peer, _) = called("");
    peer.sent.clear();
    let cancel =
        request("CANCEL", "i1", "Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n", "");
    peer.receive(&cancel);
    assert_eq!(peer.labels(), ["200 CANCEL", "487 INVITE"]);
    assert_eq!(
        peer.last("200 CANCEL").to().unwrap().tag(),
        peer.last("487 INVITE").to().unwrap().tag()
    );
    match &peer.events[1] {
        Event::Cancelled { reason: Some(reason), .. } => {
            assert_eq!(*reason, Reason::sip(200, "Call completed elsewhere"));
        }
        other => panic!("{other:?}"),
    }
    peer.receive(&cancel);
    assert_eq!(peer.last("200 CANCEL").status(), Some(200), "a copy is no stranger");
    assert_eq!(peer.times("481 CANCEL"), [0_u128; 0]);
    peer.receive(within(&peer.last("487 INVITE"), "ACK", 1, "i1", ""));
    peer.assert_empty_after(40_000);
}

#[test]
fn a6_cancel_of_nothing_is_481_and_after_the_200_it_changes_nothing() {
    let mut peer = Alone::new();
    peer.receive(request("CANCEL", "x1", "", ""));
    assert_eq!(peer.take_labels(), ["481 CANCEL"]);
    let (mut peer, _) = up();
    peer.sent.clear();
    peer.receive(request("CANCEL", "i1", "", ""));
    assert_eq!(peer.labels(), ["200 CANCEL"]);
    assert_eq!(names(&peer.events), ["invite", "acked"]);
    assert_eq!(peer.endpoint.counts().sessions, 1);
}

#[test]
fn rfc3261_15_a_callee_waits_for_the_ack_before_its_bye() {
    let (mut peer, session) = called("");
    peer.endpoint.accept(peer.now, session, sdp(), Vec::new());
    peer.endpoint.bye(peer.now, session, None);
    peer.drain();
    peer.run_to(1000);
    assert_eq!(peer.times("BYE"), [0_u128; 0]);
    let ok = peer.last("200 INVITE");
    peer.receive(within(&ok, "ACK", 1, "a1", ""));
    assert_eq!(peer.times("BYE"), [1000]);
    let bye = peer.last("BYE");
    peer.receive(answer(&bye, 200, "", "", ""));
    assert_eq!(names(&peer.events), ["invite", "bye done"]);
    peer.assert_empty_after(40_000);
}

#[test]
fn rfc3261_15_without_an_ack_the_bye_leaves_when_the_wait_is_over() {
    let (mut peer, session) = called("");
    peer.endpoint.accept(peer.now, session, sdp(), Vec::new());
    peer.endpoint.bye(peer.now, session, None);
    peer.run_to(32_000);
    assert_eq!(peer.times("BYE"), [32_000]);
    peer.run_to(64_000);
    assert_eq!(names(&peer.events), ["invite", "bye done"]);
    peer.assert_empty_after(1000);
}

#[test]
fn a_bye_of_the_peer_before_its_ack_ends_the_resending() {
    let (mut peer, session) = called("");
    peer.endpoint.accept(peer.now, session, sdp(), Vec::new());
    peer.drain();
    let ok = peer.last("200 INVITE");
    let bye = within(&ok, "BYE", 2, "b1", "Reason: Q.850;cause=16\r\n");
    peer.receive(&bye);
    assert!(
        matches!(&peer.events[1], Event::Ended { reason: Some(reason), .. } if reason.cause == Some(16))
    );
    peer.receive(&bye);
    assert_eq!(peer.times("200 BYE").len(), 2, "a copy gets the same answer");
    peer.run_to(60_000);
    assert_eq!(peer.times("200 INVITE"), [0]);
    peer.assert_empty_after(1000);
}

#[test]
fn rfc3261_15_a_caller_may_end_an_early_dialog_by_bye() {
    let (mut peer, session) = called("");
    peer.endpoint.provisional(peer.now, session, 180, None);
    peer.drain();
    let ringing = peer.last("180 INVITE");
    peer.sent.clear();
    peer.receive(within(&ringing, "BYE", 2, "b1", ""));
    assert_eq!(peer.labels(), ["200 BYE", "487 INVITE"]);
    assert_eq!(names(&peer.events), ["invite", "cancelled"]);
}

#[test]
fn two_byes_that_cross_end_once() {
    let (mut peer, session) = up();
    peer.endpoint.bye(peer.now, session, None);
    peer.drain();
    let bye = peer.last("BYE");
    peer.receive(within(&bye, "BYE", 2, "b1", ""));
    assert_eq!(peer.times("200 BYE").len(), 1);
    peer.receive(answer(&bye, 481, "", "", ""));
    assert_eq!(names(&peer.events)[2..], ["bye done"]);
    peer.assert_empty_after(40_000);
}

#[test]
fn an_ack_is_told_once_with_its_body() {
    let mut peer = Alone::new();
    peer.receive(request("INVITE", "i1", "", ""));
    let Some(Event::Invite { session, .. }) = peer.events.first() else { panic!() };
    let session = *session;
    peer.endpoint.accept(peer.now, session, Bytes::from_static(OFFER.as_bytes()), Vec::new());
    peer.drain();
    let ok = peer.last("200 INVITE");
    let ack = within_with(&ok, "ACK", 1, "a1", "", ANSWER);
    peer.receive(&ack);
    peer.receive(&ack);
    assert_eq!(peer.events.len(), 2);
    assert!(matches!(&peer.events[1], Event::Acked { sdp: Some(sdp), .. } if sdp == ANSWER));
    assert_eq!(peer.endpoint.drops().stray_acks, 1);
}

#[test]
fn an_ack_by_the_branch_of_the_invite_counts() {
    let (mut peer, session) = called("");
    peer.endpoint.accept(peer.now, session, sdp(), Vec::new());
    peer.drain();
    let ok = peer.last("200 INVITE");
    peer.receive(within(&ok, "ACK", 1, "i1", ""));
    assert_eq!(names(&peer.events), ["invite", "acked"]);
}

#[test]
fn a7_unknown_dialogs_are_481_and_a_lower_number_is_500() {
    let (mut peer, _) = up();
    let ok = peer.last("200 INVITE");
    peer.sent.clear();
    let strange = |text: String, from: &str, to: &str| text.replace(from, to);
    let bye = within(&ok, "BYE", 2, "b1", "");
    peer.receive(strange(bye.clone(), "tag=theirs", "tag=others"));
    peer.receive(strange(bye.clone(), "Call-ID: call-i1", "Call-ID: call-i9"));
    let tag = ok.to().unwrap().tag().unwrap().to_owned();
    peer.receive(strange(bye.clone(), &tag, "0100000000000000ff"));
    peer.receive(strange(bye, &tag, "nothing-of-ours"));
    assert_eq!(peer.take_labels(), ["481 BYE"; 4]);
    peer.receive(within(&ok, "OPTIONS", 9, "o9", ""));
    peer.receive(within(&ok, "OPTIONS", 8, "o8", ""));
    assert_eq!(peer.take_labels(), ["200 OPTIONS", "500 OPTIONS"]);
    peer.receive(within(&ok, "ACK", 1, "zz", "").replace(&tag, "0100000000000000ff"));
    assert!(peer.labels().is_empty(), "an ACK is never answered");
}

#[test]
fn a7_only_an_invite_moves_the_remote_target() {
    let (mut peer, session) = up();
    let ok = peer.last("200 INVITE");
    let contact = "Contact: <sip:elsewhere@10.0.0.99:5060>\r\n";
    peer.receive(within(&ok, "OPTIONS", 2, "o1", contact));
    peer.receive(within_with(
        &ok,
        "INFO",
        3,
        "n1",
        &format!("{contact}Content-Type: application/dtmf-relay\r\n"),
        "Signal=5\r\nDuration=160\r\n",
    ));
    let info = peer.events.last().unwrap();
    assert!(
        matches!(info, Event::Info { content_type, .. } if content_type == "application/dtmf-relay")
    );
    peer.endpoint.bye(peer.now, session, None);
    peer.drain();
    assert_eq!(peer.last("BYE").request_uri(), Some("sip:bob@10.0.0.2:5060"));
}

#[test]
fn a8_max_forwards_0_is_483() {
    let mut peer = Alone::new();
    let zero = request("INVITE", "m1", "", OFFER).replace("Max-Forwards: 70", "Max-Forwards: 0");
    peer.receive(zero);
    assert_eq!(peer.labels(), ["483 INVITE"]);
    // A request that ends here needs no hop (RFC 3261 §11.2 for OPTIONS).
    let zero = request("OPTIONS", "m2", "", "").replace("Max-Forwards: 70", "Max-Forwards: 0");
    peer.receive(zero);
    assert_eq!(names(&peer.events), ["request"]);
}

#[test]
fn a9_strangers_are_answered_as_rfc3261_8_2_says() {
    let mut peer = Alone::new();
    let sent = |peer: &mut Alone, text: String| {
        peer.sent.clear();
        peer.receive(text);
        assert_eq!(peer.sent.len(), 1, "{:?}", peer.labels());
        peer.sent[0].2.clone()
    };
    let answer = sent(&mut peer, request("DANCE", "s1", "", ""));
    assert_eq!(label(&answer), "501 DANCE");
    assert!(
        answer.lists(HeaderName::Allow, "INVITE") && answer.lists(HeaderName::Allow, "REGISTER")
    );
    for method in ["NOTIFY", "PUBLISH"] {
        let answer = sent(&mut peer, request(method, method, "", ""));
        assert_eq!(label(&answer), format!("405 {method}"));
        assert!(answer.lists(HeaderName::Allow, "BYE") && !answer.lists(HeaderName::Allow, method));
    }
    let answer = sent(&mut peer, request("REFER", "s2", "Refer-To: <sip:x@y>\r\n", ""));
    assert_eq!(label(&answer), "403 REFER", "whoever is in no call has nobody to transfer");
    let answer = sent(&mut peer, request("INVITE", "s3", "Require: 100rel, x-dance\r\n", OFFER));
    assert_eq!(label(&answer), "420 INVITE");
    assert_eq!(answer.header(HeaderName::Unsupported), Some(b"x-dance".as_slice()));
    assert!(!answer.lists(HeaderName::Unsupported, "100rel"), "that one is done");
    let answer = sent(
        &mut peer,
        request("INVITE", "s4", "Content-Type: text/plain\r\n", OFFER)
            .replace("Content-Type: application/sdp\r\n", ""),
    );
    assert_eq!(label(&answer), "415 INVITE");
    assert!(answer.lists(HeaderName::Accept, "application/sdp"));
    assert!(answer.lists(HeaderName::Accept, "multipart/mixed"));
    let answer = sent(&mut peer, request("INVITE", "s5", "Content-Encoding: gzip\r\n", OFFER));
    assert_eq!(label(&answer), "415 INVITE");
    assert_eq!(answer.header(HeaderName::AcceptEncoding), Some(b"identity".as_slice()));
    let answer = sent(&mut peer, request("INVITE", "s6", "Accept: text/html\r\n", OFFER));
    assert_eq!(label(&answer), "406 INVITE");
    let answer = sent(
        &mut peer,
        request("INVITE", "s7", "", OFFER).replace("sip:alice@10.0.0.1 SIP", "http://x SIP"),
    );
    assert_eq!(label(&answer), "416 INVITE");
    let answer =
        sent(&mut peer, request("INVITE", "s8", "", OFFER).replace("SIP/2.0\r\n", "SIP/3.0\r\n"));
    assert_eq!(label(&answer), "505 INVITE");
    let answer =
        sent(&mut peer, request("INVITE", "s9", "", OFFER).replace("Call-ID: call-s9\r\n", ""));
    assert_eq!(answer.status(), Some(400));
    let answer = sent(
        &mut peer,
        request("INVITE", "s10", "", OFFER).replace("Contact: <sip:bob@10.0.0.2:5060>\r\n", ""),
    );
    assert_eq!(answer.status(), Some(400));
    let answer = sent(&mut peer, request("BYE", "s11", "", ""));
    assert_eq!(label(&answer), "481 BYE");
    assert!(peer.events.is_empty());
    assert_eq!(peer.endpoint.counts(), Counts::default(), "no state for strangers");
}

#[test]
fn a_body_that_may_be_ignored_is_ignored() {
    let mut peer = Alone::new();
    let extra =
        "Content-Type: application/x-trace\r\nContent-Disposition: render; handling=optional\r\n";
    peer.receive(
        request("INVITE", "o1", extra, "trace").replace("Content-Type: application/sdp\r\n", ""),
    );
    assert_eq!(names(&peer.events), ["invite"]);
}

#[test]
fn rfc3261_8_2_7_a_copy_of_a_refused_request_draws_the_same_answer() {
    let mut peer = Alone::new();
    let text = request("DANCE", "s1", "", "");
    peer.receive(&text);
    peer.receive(&text);
    assert_eq!(peer.sent[0].2.bytes(), peer.sent[1].2.bytes());
    peer.receive(request("DANCE", "s2", "", ""));
    assert_ne!(peer.sent[0].2.to().unwrap().tag(), peer.sent[2].2.to().unwrap().tag());
}

#[test]
fn a9_an_unknown_method_within_a_dialog_does_not_harm_it() {
    let (mut peer, _) = up();
    let ok = peer.last("200 INVITE");
    peer.sent.clear();
    peer.receive(within(&ok, "DANCE", 2, "d1", ""));
    peer.receive(within(&ok, "UPDATE", 3, "d2", ""));
    peer.receive(within(&ok, "PUBLISH", 4, "d3", ""));
    peer.receive(within(&ok, "REGISTER", 5, "d4", ""));
    peer.receive(within(&ok, "INFO", 6, "d5", "Info-Package: x\r\n"));
    peer.receive(within(&ok, "INFO", 7, "d6", ""));
    peer.receive(within(&ok, "MESSAGE", 8, "d7", ""));
    assert_eq!(
        peer.labels(),
        ["501 DANCE", "200 UPDATE", "405 PUBLISH", "405 REGISTER", "469 INFO", "200 INFO"]
    );
    let allows = |label, method| peer.last(label).lists(HeaderName::Allow, method);
    assert!(!allows("405 REGISTER", "REGISTER") && allows("405 REGISTER", "BYE"));
    assert!(!allows("405 PUBLISH", "PUBLISH") && allows("405 PUBLISH", "SUBSCRIBE"));
    assert_eq!(names(&peer.events)[2..], ["refreshed", "message"]);
    assert_eq!(peer.endpoint.counts().sessions, 1);
}

#[test]
fn a11_rfc3581_4_received_and_rport_are_added_and_the_answer_goes_to_the_source() {
    let mut peer = Alone::new();
    let source = Flow::udp(address(A), address("203.0.113.9:40404"));
    peer.receive_over(source, request("OPTIONS", "r1", "", ""));
    let Event::Request { id, .. } = peer.events[0] else { panic!() };
    peer.endpoint.respond(peer.now, id, Answer { code: 200, ..Answer::default() });
    peer.drain();
    let (_, flow, message) = peer.sent.pop().unwrap();
    assert_eq!(flow, source);
    let via = message.via().unwrap();
    assert_eq!(via.received(), Some("203.0.113.9".parse().unwrap()));
    assert_eq!(via.rport(), Some(Some(40404)));
    // Without rport: the source address with the sent-by port.
    peer.receive_over(source, request("DANCE", "r2", "", "").replace(";rport", ""));
    let (_, flow, message) = peer.sent.pop().unwrap();
    assert_eq!(flow.remote, address("203.0.113.9:5060"));
    assert_eq!(message.via().unwrap().received(), Some("203.0.113.9".parse().unwrap()));
    assert_eq!(message.via().unwrap().rport(), None);
}

#[test]
fn a11_received_is_always_added_with_rport() {
    let mut peer = Alone::new();
    peer.receive(request("DANCE", "r1", "", ""));
    let via = peer.last("501 DANCE").via().unwrap();
    assert_eq!(via.received(), Some("10.0.0.2".parse().unwrap()));
    assert_eq!(via.rport(), Some(Some(5060)));
}

#[test]
fn case_22_a_caller_behind_nat_gets_its_bye_over_its_flow() {
    let mut peer = Alone::new();
    let source = Flow::udp(address(A), address("10.0.0.77:40404"));
    peer.receive_over(source, request("INVITE", "n1", "", OFFER));
    let Event::Invite { session, .. } = peer.events[0] else { panic!() };
    peer.endpoint.accept(peer.now, session, sdp(), Vec::new());
    peer.drain();
    let ok = peer.last("200 INVITE");
    peer.receive_over(source, within(&ok, "ACK", 1, "a1", ""));
    peer.endpoint.bye(peer.now, session, None);
    peer.drain();
    assert_eq!(peer.sent("BYE")[0].1, source);
}

#[test]
fn a13_rfc4320_a_slow_user_gets_a_100_out_at_3_5_s_and_is_not_waited_for_beyond_32_s() {
    let mut peer = Alone::new();
    peer.receive(request("REGISTER", "g1", "", ""));
    let Event::Request { id, .. } = peer.events[0] else { panic!() };
    peer.run_to(31_000);
    assert_eq!(peer.times("100 REGISTER"), [3500]);
    peer.run_to(32_000);
    assert_eq!(peer.endpoint.counts(), Counts::default());
    peer.endpoint.respond(peer.now, id, Answer { code: 200, ..Answer::default() });
    peer.drain();
    assert_eq!(peer.labels(), ["100 REGISTER"]);
}

#[test]
fn a13_rfc4320_no_408_leaves() {
    let mut peer = Alone::new();
    peer.receive(request("REGISTER", "g1", "", ""));
    let Event::Request { id, .. } = peer.events[0] else { panic!() };
    peer.endpoint.respond(peer.now, id, Answer { code: 408, ..Answer::default() });
    peer.drain();
    assert!(peer.labels().is_empty());
    assert_eq!(peer.endpoint.counts(), Counts::default());
}

#[test]
fn rfc3261_8_2_7_a_challenged_request_leaves_nothing_and_its_copy_draws_the_same_tag() {
    let mut peer = Alone::new();
    for times in 1..=2 {
        peer.receive(request("REGISTER", "g1", "", ""));
        let Some(Event::Request { id, .. }) = peer.events.last() else { panic!() };
        let challenge = ("WWW-Authenticate".to_owned(), b"Digest realm=\"x\"".to_vec());
        let answer = Answer { code: 401, headers: vec![challenge], ..Answer::default() };
        peer.endpoint.respond(peer.now, *id, answer);
        peer.drain();
        assert_eq!((peer.labels().len(), peer.events.len()), (times, times));
        assert_eq!(peer.endpoint.counts(), Counts::default());
    }
    let tag = |at: usize| peer.sent[at].2.to().unwrap().tag().map(str::to_owned);
    assert!(tag(0).is_some());
    assert_eq!(tag(0), tag(1));
}

#[test]
fn the_users_answer_to_a_request_bears_its_headers() {
    let mut peer = Alone::new();
    peer.receive(request("REGISTER", "g1", "", ""));
    let Event::Request { id, .. } = peer.events[0] else { panic!() };
    let contact = ("Contact".to_owned(), b"<sip:bob@10.0.0.2>;expires=60".to_vec());
    let answer = Answer { code: 200, headers: vec![contact], ..Answer::default() };
    peer.endpoint.respond(peer.now, id, answer.clone());
    peer.endpoint.respond(peer.now, id, answer);
    peer.drain();
    assert_eq!(peer.labels(), ["200 REGISTER"], "once");
    assert_eq!(peer.last("200 REGISTER").contacts().unwrap()[0].expires(), Some(60));
    assert!(peer.last("200 REGISTER").to().unwrap().tag().is_some());
    peer.receive(request("REGISTER", "g1", "", ""));
    assert_eq!(peer.labels().len(), 2);
    peer.assert_empty_after(33_000);
}

#[test]
fn b14_overload_is_503_with_retry_after_and_calls_come_first() {
    let mut config = config(A, 1);
    config.limits.server_transactions_max = 8;
    let mut peer = Alone::with(config);
    peer.receive(request("INVITE", "i1", "", OFFER));
    let Event::Invite { session, .. } = peer.events[0] else { panic!() };
    peer.endpoint.accept(peer.now, session, sdp(), Vec::new());
    peer.drain();
    let ok = peer.last("200 INVITE");
    peer.receive(within(&ok, "ACK", 1, "a1", ""));
    for number in 0..8 {
        peer.receive(request("REGISTER", &format!("g{number}"), "", ""));
    }
    let refusal = peer.last("503 REGISTER");
    assert!((2..=10).contains(&refusal.retry_after().unwrap().seconds));
    assert_eq!(peer.times("503 REGISTER").len(), 1);
    peer.receive(within(&ok, "BYE", 2, "b1", ""));
    assert_eq!(peer.times("200 BYE").len(), 1, "who is in a call is served");
}

#[test]
fn b14_a_full_session_table_refuses_new_calls() {
    let mut config = config(A, 1);
    config.limits.sessions_max = 1;
    let mut peer = Alone::with(config);
    peer.receive(request("INVITE", "i1", "", OFFER));
    peer.receive(request("INVITE", "i2", "", OFFER));
    assert_eq!(peer.times("503 INVITE").len(), 1);
    assert_eq!(peer.endpoint.drops().overload, 1);
}

#[test]
fn advisory_12_what_strangers_get_over_udp_is_less_than_twice_what_they_sent() {
    let mut peer = Alone::new();
    for text in [
        request("INVITE", "x1", "", OFFER).replace("sip:alice@10.0.0.1 SIP", "http://x SIP"),
        request("DANCE", "x2", "", ""),
        request("SUBSCRIBE", "x3", "", ""),
        request("INVITE", "x4", "Require: a\r\n", OFFER),
    ] {
        peer.sent.clear();
        peer.receive(&text);
        peer.wait(40_000);
        let out: usize = peer.sent.iter().map(|(_, _, message)| message.bytes().len()).sum();
        assert!(out <= 2 * text.len(), "{out} for {}", text.len());
    }
}

#[test]
fn rfc3261_8_1_1_1_methods_reach_the_user_as_configured() {
    let mut config = config(A, 1);
    config.methods = vec![Method::Publish];
    let mut peer = Alone::with(config);
    peer.receive(request("REGISTER", "g1", "", ""));
    peer.receive(request("PUBLISH", "p1", "", ""));
    assert_eq!(peer.labels(), ["405 REGISTER"]);
    assert_eq!(names(&peer.events), ["request"]);
}

#[test]
fn noise_is_dropped_and_counted() {
    let mut peer = Alone::new();
    peer.receive("\r\n\r\n");
    peer.receive([0_u8, 159, 146, 150]);
    peer.receive("INVITE sip:x SIP/2.0\r\n\r\n");
    peer.receive("SIP/2.0 200 OK\r\n\r\n");
    peer.receive("ACK sip:x SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKq\r\n\r\n");
    assert!(peer.labels().is_empty() && peer.events.is_empty());
    assert_eq!(peer.endpoint.drops().unreadable, 2);
    assert_eq!(peer.endpoint.counts(), Counts::default());
    // RFC 3261 §8.1.1: what says where an answer goes draws 400, and counts as refused.
    let via = "Via: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKq";
    peer.receive(format!("INVITE sip:x SIP/2.0\r\n{via}\r\nCSeq: 1 INVITE\r\n\r\n"));
    assert_eq!(peer.labels().len(), 1);
    let drops = peer.endpoint.drops();
    assert_eq!((drops.unreadable, drops.refused, peer.events.len()), (2, 1, 0));
}

#[test]
fn a14_rfc5393_4_2_an_invite_that_comes_back_unchanged_is_482_and_a_spiral_is_not() {
    let mut peer = Alone::new();
    peer.call();
    let ours = peer.last("INVITE");
    let via = String::from_utf8(ours.header(HeaderName::Via).unwrap().to_vec()).unwrap();
    let returned = |branch: &str, uri: &str| {
        request("INVITE", branch, "", OFFER)
            .replace("INVITE sip:alice@10.0.0.1 SIP", &format!("INVITE {uri} SIP"))
            .replacen("Max-Forwards", &format!("Via: {via}\r\nMax-Forwards"), 1)
    };
    let uri = ours.request_uri().unwrap().to_owned();
    peer.receive(returned("loop", &uri));
    assert_eq!(peer.labels().last().unwrap(), "482 INVITE");
    assert!(peer.events.is_empty());
    peer.receive(returned("spiral", "sip:carol@10.0.0.1"));
    assert_eq!(peer.labels().last().unwrap(), "100 INVITE");
    // A Via that only looks like ours leads to no transaction.
    peer.receive(returned("foreign", &uri).replace("z9hG4bK01", "z9hG4bK02"));
    assert_eq!(peer.labels().last().unwrap(), "100 INVITE");
}

#[test]
fn a14_rfc5393_5_3_3_1_no_breadth_left_is_440() {
    let mut peer = Alone::new();
    peer.receive(request("INVITE", "none", "Max-Breadth: 0\r\n", OFFER));
    assert_eq!(peer.labels(), ["440 INVITE"]);
    peer.receive(request("INVITE", "one", "Max-Breadth: 1\r\n", OFFER));
    assert_eq!(peer.labels().last().unwrap(), "100 INVITE");
}

/// An INVITE with a body of this kind.
fn with_body(kind: &str, branch: &str, body: &str) -> String {
    request("INVITE", branch, &format!("Content-Type: {kind}\r\n"), body)
        .replace("Content-Type: application/sdp\r\nContent-Length", "Content-Length")
}

#[test]
fn rfc5621_3_1_a_description_is_found_among_several_parts() {
    let offer = format!("Content-Type: application/sdp\r\n\r\n{OFFER}\r\n");
    let isup = |handling| {
        format!(
            "Content-Type: application/isup;version=itu-t92+\r\nContent-Disposition: signal;handling={handling}\r\n\r\n\u{1}\u{2}\r\n"
        )
    };
    let mixed = |parts: &[&str]| {
        let parts: String = parts.iter().map(|part| format!("--b\r\n{part}")).collect();
        format!("{parts}--b--\r\n")
    };
    let kind = "multipart/mixed;boundary=b";
    for (branch, kind, body, taken) in [
        ("m1", kind, mixed(&[&offer, &isup("optional")]), true),
        ("m2", kind, mixed(&[&isup("optional"), &offer]), true),
        // RFC 5621 §8.2: what is required and not known is not passed over.
        ("m3", kind, mixed(&[&offer, &isup("required")]), false),
        ("m4", "multipart/alternative;boundary=b", mixed(&[&isup("required"), &offer]), true),
        ("m5", kind, format!("--b\r\n{offer}"), false),
        ("m6", "multipart/mixed", mixed(&[&offer]), false),
    ] {
        let mut peer = Alone::new();
        peer.receive(with_body(kind, branch, &body));
        if !taken {
            assert_eq!(peer.labels(), ["415 INVITE"], "{branch}");
            assert!(peer.last("415 INVITE").lists(HeaderName::Accept, "multipart/mixed"));
            continue;
        }
        let Some(Event::Invite { session, request, .. }) = peer.events.first() else {
            panic!("{branch}: {:?}", peer.labels())
        };
        assert_eq!(request.description().unwrap(), OFFER.as_bytes());
        let session = *session;
        peer.endpoint.accept(peer.now, session, sdp(), Vec::new());
        peer.drain();
        assert!(peer.labels().contains(&"200 INVITE".to_owned()));
    }
}
