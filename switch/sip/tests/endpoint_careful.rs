//! A careful endpoint: what waits until its user has written it down, and what may come meanwhile.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod world;

use bytes::Bytes;
use sip::endpoint::{EndpointConfig, Event, SessionId};
use world::*;

fn careful() -> Alone {
    Alone::with(EndpointConfig { careful: true, ..config(A, 1) })
}

fn proceed(peer: &mut Alone, session: SessionId) {
    peer.endpoint.proceed(peer.now, session);
    peer.drain();
}

/// An INVITE has arrived, it rang, and our 200 waits.
fn accepted() -> (Alone, SessionId) {
    let mut peer = careful();
    peer.receive(request("INVITE", "i1", "", OFFER));
    let Some(Event::Invite { session, .. }) = peer.events.first() else {
        panic!("{:?}", peer.events)
    };
    let session = *session;
    peer.endpoint.provisional(peer.now, session, 180, None);
    peer.endpoint.accept(peer.now, session, Bytes::from_static(ANSWER.as_bytes()), Vec::new());
    peer.drain();
    assert_eq!(peer.labels(), ["100 INVITE", "180 INVITE"]);
    (peer, session)
}

fn long() -> sip::endpoint::Invite {
    let mut wish = invite(udp());
    wish.headers = vec![("X-Long".into(), vec![b'x'; 1300])];
    wish
}

#[test]
fn rfc3261_18_1_1_a_long_invite_that_falls_back_to_udp_waits_again() {
    for already_sent in [false, true] {
        let mut peer = careful();
        let session = peer.call_with(long());
        if already_sent {
            proceed(&mut peer, session);
            assert_eq!(peer.sent[0].1, tcp(None));
            peer.take_labels();
        }
        peer.wait(100);
        peer.endpoint.handle_flow_error(peer.now, tcp(None));
        peer.drain();
        assert_eq!(names(&peer.events), ["again"], "new papers");
        peer.run_to(400);
        assert!(peer.sent.is_empty(), "nothing leaves by a way that nobody wrote down");
        assert!(peer.endpoint.is_held(session));
        let papers = peer.endpoint.snapshot(session).unwrap();
        proceed(&mut peer, session);
        let (at, flow, request) = peer.sent("INVITE").remove(0);
        assert_eq!((at, flow, peer.sent.len()), (400, udp(), 1));
        assert_eq!(request.via().unwrap().transport, "UDP");
        peer.run_to(1000);
        assert_eq!(peer.times("INVITE"), [400, 900], "§17.1.1.2: from when it left");
        // Whoever is given the papers cancels it where it went.
        let mut next = careful();
        let resumed = next.endpoint.resume(next.now, &papers, |_| None).unwrap();
        next.endpoint.bye(next.now, resumed, None);
        next.drain();
        let (_, flow, cancel) = next.sent("CANCEL").remove(0);
        assert_eq!(flow, udp());
        assert_eq!(
            cancel.header_str(sip::wire::HeaderName::Via),
            request.header_str(sip::wire::HeaderName::Via)
        );
    }
}

#[test]
fn rfc3261_18_1_1_an_invite_that_was_given_up_is_not_tried_another_way() {
    let mut peer = careful();
    let session = peer.call_with(long());
    proceed(&mut peer, session);
    peer.endpoint.bye(peer.now, session, None);
    peer.endpoint.handle_flow_error(peer.now, tcp(None));
    peer.drain();
    assert_eq!(names(&peer.events), ["failed 487 local"]);
    assert_eq!(peer.labels(), ["INVITE"]);
    peer.assert_empty_after(64_000);
}

#[test]
fn rfc3261_13_2_2_4_who_answers_by_the_way_that_failed_gets_ack_and_bye() {
    let mut peer = careful();
    let session = peer.call_with(long());
    proceed(&mut peer, session);
    let request = peer.last("INVITE");
    peer.endpoint.handle_flow_error(peer.now, tcp(None));
    peer.endpoint.bye(peer.now, session, None);
    peer.drain();
    assert_eq!(names(&peer.take_events()), ["again", "failed 487 local"]);
    assert_eq!(peer.take_labels(), ["INVITE"], "the second one was never let go");
    peer.receive_over(tcp(Some(7)), ok(&request, "b"));
    assert_eq!(names(&peer.take_events()), ["failed 487 local crossed"]);
    proceed(&mut peer, session);
    peer.endpoint.bye(peer.now, session, None);
    peer.drain();
    assert_eq!(peer.labels(), ["ACK", "BYE"]);
}

#[test]
fn rfc3261_17_1_1_2_the_timers_of_an_invite_that_waited_start_when_it_leaves() {
    let mut peer = careful();
    let session = peer.call();
    peer.run_to(400);
    assert!(peer.sent.is_empty());
    proceed(&mut peer, session);
    peer.run_to(32_399);
    assert_eq!(peer.times("INVITE"), [400, 900, 1900, 3900, 7900, 15_900, 31_900]);
    assert!(peer.events.is_empty());
    peer.run_to(32_400);
    assert_eq!(names(&peer.events), ["failed 408 local"], "timer B");
    assert_eq!(peer.sent.len(), 7);
}

#[test]
fn rfc3261_13_3_1_4_a_2xx_that_waited_is_resent_from_when_it_leaves() {
    let (mut peer, session) = accepted();
    peer.take_labels();
    peer.run_to(400);
    assert!(peer.sent.is_empty());
    proceed(&mut peer, session);
    peer.run_to(32_399);
    let expected = [400, 900, 1900, 3900, 7900, 11_900, 15_900, 19_900, 23_900, 27_900, 31_900];
    assert_eq!(peer.times("200 INVITE"), expected);
    assert_eq!(names(&peer.events), ["invite"]);
    peer.run_to(32_400);
    assert_eq!(names(&peer.events), ["invite", "ended AckTimeout"], "64*T1 after the first");
    assert_eq!(peer.times("BYE"), [32_400]);
    peer.assert_empty_after(64_000);
}

#[test]
fn rfc3261_9_2_a_cancel_while_our_200_waits_still_ends_the_invite() {
    let (mut peer, session) = accepted();
    peer.take_labels();
    peer.receive(request("CANCEL", "i1", "Reason: SIP;cause=200\r\n", ""));
    assert_eq!(peer.labels(), ["200 CANCEL", "487 INVITE"]);
    let (cancel, refusal) = (peer.last("200 CANCEL"), peer.last("487 INVITE"));
    assert_eq!(cancel.to_tag(), refusal.to_tag(), "§9.2: one tag");
    let Some(Event::Cancelled { session: ended, reason: Some(reason), .. }) = peer.events.last()
    else {
        panic!("{:?}", peer.events)
    };
    assert_eq!((*ended, reason.cause), (session, Some(200)));
    proceed(&mut peer, session);
    assert_eq!(peer.labels(), ["200 CANCEL", "487 INVITE"], "no 200 after that");
    peer.assert_empty_after(64_000);
}

#[test]
fn rfc3261_15_1_2_a_bye_while_our_200_waits_ends_the_invite_with_487() {
    let (mut peer, session) = accepted();
    let ringing = peer.last("180 INVITE");
    peer.take_labels();
    peer.receive(within(&ringing, "BYE", 2, "b1", ""));
    assert_eq!(peer.labels(), ["200 BYE", "487 INVITE"]);
    assert_eq!(names(&peer.events), ["invite", "cancelled"]);
    proceed(&mut peer, session);
    peer.assert_empty_after(64_000);
}

#[test]
fn an_ack_or_a_reinvite_before_our_200_left_changes_nothing() {
    let (mut peer, session) = accepted();
    let ringing = peer.last("180 INVITE");
    peer.take_labels();
    peer.receive(within(&ringing, "ACK", 1, "a1", ""));
    assert_eq!(peer.endpoint.drops().stray_acks, 1);
    // §14.2: a second INVITE before the first has its final answer.
    peer.receive(within_with(&ringing, "INVITE", 2, "i2", "", OFFER));
    assert_eq!(peer.take_labels(), ["500 INVITE"]);
    proceed(&mut peer, session);
    assert_eq!(peer.labels(), ["200 INVITE"]);
    peer.receive(within(&ringing, "ACK", 1, "a2", ""));
    assert_eq!(names(&peer.events), ["invite", "acked"]);
}

#[test]
fn a_2xx_that_nobody_ever_lets_go_is_refused_in_the_end() {
    let (mut peer, _) = accepted();
    peer.take_labels();
    // §17.2.1: until then a copy of the INVITE draws what was said last.
    peer.receive(request("INVITE", "i1", "", OFFER));
    assert_eq!(peer.take_labels(), ["180 INVITE"]);
    peer.run_to(32_000);
    assert_eq!(peer.take_labels(), ["480 INVITE"]);
    assert_eq!(names(&peer.events), ["invite", "cancelled"]);
    peer.assert_empty_after(64_000);
}
