//! Outgoing INVITEs against a scripted peer: exact instants, CANCEL, forks, what crosses.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod world;

use bytes::Bytes;
use sip::endpoint::{Counts, Event, Flow, Transport};
use sip::wire::{HeaderName, NameAddr, Reason};
use world::*;

#[test]
fn a1_rfc3261_17_1_1_2_udp_invite_leaves_seven_times_and_gives_up_at_32_s() {
    let mut peer = Alone::new();
    peer.call();
    peer.run_to(31_999);
    assert_eq!(peer.times("INVITE"), [0, 500, 1500, 3500, 7500, 15_500, 31_500]);
    let copies = peer.sent("INVITE");
    assert!(copies.iter().all(|(_, _, copy)| copy.bytes() == copies[0].2.bytes()));
    assert!(peer.events.is_empty());
    peer.run_to(32_000);
    assert_eq!(names(&peer.events), ["failed 408 local"]);
    peer.assert_empty_after(40_000);
}

#[test]
fn a1_rfc3261_17_1_1_2_tcp_invite_leaves_once() {
    let mut peer = Alone::new();
    peer.call_with(invite(tcp(None)));
    peer.run_to(33_000);
    assert_eq!(peer.times("INVITE"), [0]);
    assert_eq!(names(&peer.events), ["failed 408 local"]);
}

#[test]
fn a1_any_1xx_stops_the_resending_and_timer_c_bounds_the_ringing() {
    let mut peer = Alone::new();
    peer.call();
    peer.run_to(600);
    let request = peer.last("INVITE");
    peer.receive(answer(&request, 183, "b", "", ANSWER));
    peer.run_to(181_599);
    assert_eq!(peer.times("INVITE"), [0, 500]);
    assert_eq!(names(&peer.events), ["progress 183"]);
    peer.run_to(181_600);
    assert_eq!(peer.last("CANCEL").reason(), [Reason::sip(408, "Request Timeout")]);
    let cancel = peer.last("CANCEL");
    peer.receive(answer(&cancel, 200, "b", "", ""));
    peer.receive(answer(&request, 487, "b", "", ""));
    assert_eq!(names(&peer.events)[1..], ["failed 408 local"]);
    peer.assert_empty_after(40_000);
}

#[test]
fn a_provisional_answer_that_requires_100rel_is_never_final() {
    let mut peer = Alone::new();
    peer.call();
    let request = peer.last("INVITE");
    assert!(!request.lists(HeaderName::Supported, "100rel"));
    peer.receive(answer(&request, 183, "b", "Require: 100rel\r\nRSeq: 1\r\n", ANSWER));
    assert_eq!(names(&peer.events), ["progress 183"]);
    assert_eq!(peer.labels(), ["INVITE"]);
    peer.receive(ok(&request, "b"));
    assert_eq!(names(&peer.events), ["progress 183", "answered"]);
}

#[test]
fn a3_rfc3261_17_1_1_3_the_ack_of_a_refusal_bears_the_branch_of_the_invite() {
    let mut peer = Alone::new();
    let mut wish = invite(udp());
    wish.route = vec![NameAddr::parse(b"<sip:10.0.0.2;lr>").unwrap()];
    peer.call_with(wish);
    let request = peer.last("INVITE");
    peer.receive(answer(&request, 486, "busy", "Reason: Q.850;cause=17\r\n", ""));
    let ack = peer.last("ACK");
    assert_eq!(ack.via().unwrap(), request.via().unwrap());
    assert_eq!(ack.request_uri(), request.request_uri());
    assert_eq!(ack.to().unwrap().tag(), Some("busy"));
    assert_eq!(ack.cseq().unwrap().to_string(), "1 ACK");
    assert_eq!(ack.routes().unwrap(), request.routes().unwrap());
    assert!(matches!(
        peer.events[..],
        [Event::Failed { code: 486, q850: Some(17), local: false, crossed: false, .. }]
    ));
    peer.receive(answer(&request, 486, "busy", "", ""));
    assert_eq!(peer.times("ACK").len(), 2, "each copy is acknowledged");
    assert_eq!(peer.events.len(), 1, "and told once");
    peer.assert_empty_after(33_000);
}

#[test]
fn a_refusal_tells_retry_after_and_contacts() {
    let mut peer = Alone::new();
    peer.call();
    let request = peer.last("INVITE");
    peer.receive(answer(&request, 302, "b", "Contact: <sip:x@y>, <sip:z@y>\r\n", ""));
    peer.call();
    let request = peer.last("INVITE");
    peer.receive(answer(&request, 503, "b", "Retry-After: 17\r\n", ""));
    assert!(
        matches!(&peer.events[0], Event::Failed { code: 302, contacts, .. } if contacts.len() == 2)
    );
    assert!(matches!(&peer.events[1], Event::Failed { code: 503, retry_after: Some(17), .. }));
}

#[test]
fn a3_rfc3261_13_2_2_4_the_ack_of_a_2xx_has_a_new_branch_and_case_21_each_copy_is_acked() {
    let mut peer = Alone::new();
    peer.call();
    let request = peer.last("INVITE");
    peer.receive(ok(&request, "b"));
    let first = peer.last("ACK");
    assert_ne!(first.via().unwrap().branch(), request.via().unwrap().branch());
    assert_eq!(first.cseq().unwrap().number, 1);
    assert_eq!(first.request_uri(), Some("sip:bob@10.0.0.2:5060"));
    for _ in 0..9 {
        peer.wait(1000);
        peer.receive(ok(&request, "b"));
    }
    let acks = peer.sent("ACK");
    assert_eq!(acks.len(), 10);
    assert!(acks.iter().all(|(_, _, ack)| ack.bytes() == first.bytes()));
    // After timer M the dialog itself knows its ACK.
    peer.wait(60_000);
    peer.receive(ok(&request, "b"));
    assert_eq!(peer.sent("ACK").len(), 11);
    assert_eq!(names(&peer.events), ["answered"]);
}

#[test]
fn case_20_an_early_cancel_waits_for_a_1xx_and_leaves_no_ghost() {
    let mut peer = Alone::new();
    let session = peer.call();
    peer.endpoint.cancel(peer.now, session, None);
    peer.drain();
    peer.run_to(1600);
    assert_eq!(peer.times("CANCEL"), [0_u128; 0], "RFC 3261 §9.1: not before a 1xx");
    let request = peer.last("INVITE");
    peer.receive(answer(&request, 100, "", "", ""));
    assert_eq!(peer.times("CANCEL"), [1600]);
    let cancel = peer.last("CANCEL");
    assert_eq!(cancel.via().unwrap(), request.via().unwrap());
    assert_eq!(cancel.cseq().unwrap().number, request.cseq().unwrap().number);
    assert_eq!(cancel.to().unwrap(), request.to().unwrap());
    peer.receive(answer(&cancel, 200, "b", "", ""));
    assert!(peer.events.is_empty(), "the answer to CANCEL decides nothing");
    peer.receive(answer(&request, 487, "b", "", ""));
    assert_eq!(names(&peer.events), ["failed 487"]);
    peer.assert_empty_after(33_000);
}

#[test]
fn case_20_an_early_cancel_without_any_1xx_ends_with_timer_b() {
    let mut peer = Alone::new();
    let session = peer.call();
    peer.endpoint.cancel(peer.now, session, None);
    peer.run_to(32_000);
    assert_eq!(names(&peer.events), ["failed 487 local"]);
    assert_eq!(peer.times("CANCEL"), [0_u128; 0]);
    peer.assert_empty_after(33_000);
}

#[test]
fn rfc3261_9_1_a_cancelled_invite_that_is_never_answered_is_given_up_after_64_t1() {
    let mut peer = Alone::new();
    let session = peer.call();
    let request = peer.last("INVITE");
    peer.receive(answer(&request, 180, "b", "", ""));
    peer.run_to(1000);
    peer.endpoint.cancel(peer.now, session, Some(Reason::q850(16, "bye")));
    peer.drain();
    assert_eq!(peer.last("CANCEL").reason()[0].cause, Some(16));
    let cancel = peer.last("CANCEL");
    peer.receive(answer(&cancel, 200, "b", "", ""));
    peer.run_to(32_999);
    assert_eq!(names(&peer.events), ["progress 180"]);
    peer.run_to(33_000);
    assert_eq!(names(&peer.events), ["progress 180", "failed 487 local"]);
    peer.assert_empty_after(33_000);
}

#[test]
fn case_18_cancel_crosses_200_and_case_19_the_bye_goes_through_the_route_set() {
    let mut peer = Alone::new();
    let session = peer.call();
    let request = peer.last("INVITE");
    peer.receive(answer(&request, 180, "b", "", ""));
    peer.endpoint.cancel(peer.now, session, None);
    peer.drain();
    peer.sent.clear();
    let routes = "Record-Route: <sip:p2.example;lr>, <sip:10.0.0.7:5080;lr>\r\n\
                  Contact: <sip:bob@10.9.9.9:5062>\r\n";
    peer.receive(answer(&request, 200, "b", routes, ANSWER));
    assert_eq!(peer.labels(), ["ACK", "BYE"]);
    for (_, flow, message) in &peer.sent {
        let routes: Vec<String> =
            message.routes().unwrap().iter().map(|route| route.uri.to_string()).collect();
        assert_eq!(routes, ["sip:10.0.0.7:5080;lr", "sip:p2.example;lr"]);
        assert_eq!(message.request_uri(), Some("sip:bob@10.9.9.9:5062"));
        assert_eq!(flow.remote, address("10.0.0.7:5080"));
    }
    assert_eq!(peer.last("BYE").cseq().unwrap().number, 2);
    assert_eq!(names(&peer.events)[1..], ["failed 487 crossed"]);
    let bye = peer.last("BYE");
    peer.receive(answer(&request, 200, "b", routes, ANSWER));
    assert_eq!(peer.times("ACK").len(), 2, "copies are acknowledged");
    assert_eq!(peer.times("BYE").len(), 1, "and ended once");
    peer.receive(answer(&bye, 200, "b", "", ""));
    peer.assert_empty_after(40_000);
}

#[test]
fn case_18_the_bye_of_a_crossed_200_is_resent_until_it_is_answered() {
    let mut peer = Alone::new();
    let session = peer.call();
    let request = peer.last("INVITE");
    peer.receive(answer(&request, 180, "b", "", ""));
    peer.endpoint.cancel(peer.now, session, None);
    peer.receive(ok(&request, "b"));
    peer.run_to(40_000);
    assert_eq!(peer.times("BYE").len(), 11);
    peer.assert_empty_after(40_000);
}

#[test]
fn a4_rfc6026_7_2_a_late_forked_2xx_is_acked_and_ended() {
    let mut peer = Alone::new();
    peer.call();
    let request = peer.last("INVITE");
    peer.receive(ok(&request, "first"));
    peer.run_to(5000);
    peer.sent.clear();
    peer.receive(answer(&request, 200, "second", "Contact: <sip:c@10.0.0.3:5060>\r\n", ANSWER));
    assert_eq!(peer.labels(), ["ACK", "BYE"]);
    for (_, flow, message) in &peer.sent {
        assert_eq!(message.to().unwrap().tag(), Some("second"));
        assert_eq!(message.request_uri(), Some("sip:c@10.0.0.3:5060"));
        assert_eq!(flow.remote, address("10.0.0.3:5060"));
    }
    peer.receive(answer(&request, 200, "second", "Contact: <sip:c@10.0.0.3:5060>\r\n", ANSWER));
    assert_eq!(peer.labels(), ["ACK", "BYE", "ACK"]);
    assert_eq!(names(&peer.events), ["answered"], "the call itself goes on");
    assert_eq!(peer.endpoint.counts().sessions, 1);
}

#[test]
fn a_2xx_of_another_branch_after_a_refusal_is_acked_and_ended() {
    let mut peer = Alone::new();
    peer.call();
    let request = peer.last("INVITE");
    peer.receive(answer(&request, 603, "first", "", ""));
    peer.run_to(3000);
    peer.sent.clear();
    peer.receive(ok(&request, "second"));
    assert_eq!(peer.labels(), ["ACK", "BYE"]);
    assert_eq!(names(&peer.events), ["failed 603"]);
    peer.assert_empty_after(70_000);
}

#[test]
fn a_2xx_after_timer_b_is_acked_and_ended() {
    let mut peer = Alone::new();
    peer.call();
    let request = peer.last("INVITE");
    peer.run_to(40_000);
    peer.sent.clear();
    peer.receive(ok(&request, "b"));
    assert_eq!(peer.labels(), ["ACK", "BYE"]);
    peer.receive(ok(&request, "b"));
    assert_eq!(peer.times("BYE").len(), 1);
    peer.assert_empty_after(70_000);
}

#[test]
fn case_32_early_dialogs_are_kept_apart_by_to_tag() {
    let mut peer = Alone::new();
    peer.call();
    let request = peer.last("INVITE");
    peer.receive(answer(&request, 183, "one", "", ANSWER));
    peer.receive(answer(&request, 180, "two", "", ""));
    peer.receive(ok(&request, "two"));
    let tags: Vec<(u16, &str)> = peer
        .events
        .iter()
        .map(|event| match event {
            Event::Progress { code, to_tag, .. } => (*code, to_tag.as_str()),
            Event::Answered { to_tag, .. } => (200, to_tag.as_str()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(tags, [(183, "one"), (180, "two"), (200, "two")]);
    assert_eq!(peer.last("ACK").to().unwrap().tag(), Some("two"));
}

#[test]
fn requests_in_an_early_dialog_are_answered_and_those_of_unknown_branches_are_not_known() {
    let mut peer = Alone::new();
    peer.call();
    let request = peer.last("INVITE");
    peer.receive(answer(&request, 183, "one", "", ANSWER));
    peer.sent.clear();
    let in_branch = |tag: &str, branch: &str| {
        within(&request, "OPTIONS", 1, branch, "")
            .replace("From: <sip:bob@10.0.0.2>", &format!("From: <sip:bob@10.0.0.2>;tag={tag}"))
    };
    peer.receive(in_branch("one", "o1"));
    peer.receive(in_branch("two", "o2"));
    assert_eq!(peer.labels(), ["200 OPTIONS", "481 OPTIONS"]);
}

#[test]
fn a7_case_22_ack_and_bye_follow_a_reachable_contact() {
    let mut peer = Alone::new();
    let session = peer.call();
    let request = peer.last("INVITE");
    peer.receive(answer(&request, 200, "b", "Contact: <sip:b@10.0.0.44:5099>\r\n", ANSWER));
    peer.endpoint.bye(peer.now, session, None);
    peer.drain();
    for what in ["ACK", "BYE"] {
        let (_, flow, message) = peer.sent(what).pop().unwrap();
        assert_eq!(flow, Flow::udp(address(A), address("10.0.0.44:5099")));
        assert_eq!(message.request_uri(), Some("sip:b@10.0.0.44:5099"));
    }
}

#[test]
fn case_22_behind_nat_ack_and_bye_stay_on_the_flow() {
    let far = Flow::udp(address(A), address("203.0.113.5:41000"));
    // A contact of a network more private than its sender's own is not followed in any case; a
    // registered phone is not followed even to a public one.
    for (keep_flow, contact) in [(false, "192.168.1.5:5060"), (true, "203.0.113.99:5060")] {
        let mut peer = Alone::new();
        let mut wish = invite(far);
        wish.keep_flow = keep_flow;
        let session = peer.call_with(wish);
        let request = peer.last("INVITE");
        let contact = format!("Contact: <sip:b@{contact}>\r\n");
        peer.receive_over(far, answer(&request, 200, "b", &contact, ANSWER));
        peer.endpoint.bye(peer.now, session, None);
        peer.drain();
        assert_eq!(peer.sent("ACK")[0].1, far);
        assert_eq!(peer.sent("BYE")[0].1, far);
    }
}

#[test]
fn a10_rfc3261_18_1_1_a_long_request_goes_by_tcp_and_falls_back_to_udp() {
    let mut peer = Alone::new();
    let mut wish = invite(udp());
    wish.headers = vec![("X-Long".into(), vec![b'x'; 1300])];
    peer.call_with(wish.clone());
    let (_, flow, first) = peer.sent("INVITE").remove(0);
    assert_eq!(flow, tcp(None));
    assert_eq!(first.via().unwrap().transport, "TCP");
    peer.endpoint.handle_flow_error(peer.now, tcp(None));
    peer.drain();
    let (_, flow, second) = peer.sent("INVITE").remove(1);
    assert_eq!(flow, udp());
    assert_eq!(second.via().unwrap().transport, "UDP");
    peer.run_to(600);
    assert_eq!(peer.times("INVITE"), [0, 0, 500], "UDP resends");
    let request = peer.last("INVITE");
    peer.receive(ok(&request, "b"));
    assert_eq!(names(&peer.events), ["answered"]);
    // Where the phone is only reachable by the way it came, size does not matter.
    wish.keep_flow = true;
    peer.call_with(wish);
    assert_eq!(peer.sent.last().unwrap().1.transport, Transport::Udp);
}

#[test]
fn a10_rfc3261_18_1_2_answers_without_a_via_of_ours_are_dropped() {
    let mut peer = Alone::new();
    peer.call();
    let request = peer.last("INVITE");
    let good = ok(&request, "b");
    peer.receive(good.replace("UDP 10.0.0.1:5060", "UDP 10.0.0.9:5060"));
    peer.receive(good.replace("UDP 10.0.0.1:5060", "UDP 10.0.0.1:5070"));
    peer.receive(good.replace("z9hG4bK01", "z9hG4bK02"));
    peer.receive(good.replace("Via: ", "Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKx\r\nVia: "));
    let via = format!("Via: {}\r\n", request.header_str(HeaderName::Via).unwrap());
    peer.receive(
        good.replace(&via, &format!("{via}Via: SIP/2.0/UDP 10.0.0.5;branch=z9hG4bKy\r\n")),
    );
    assert!(peer.events.is_empty());
    assert_eq!(peer.endpoint.drops().stray_responses, 5);
    peer.receive(good);
    assert_eq!(names(&peer.events), ["answered"]);
}

#[test]
fn rfc3261_8_1_3_1_a_transport_error_is_a_503_of_our_own() {
    let mut peer = Alone::new();
    peer.call();
    peer.endpoint.handle_flow_error(peer.now, udp());
    peer.drain();
    assert_eq!(names(&peer.events), ["failed 503 local"]);
    peer.assert_empty_after(33_000);
}

#[test]
fn a_lost_connection_reaches_what_asked_for_it() {
    let mut peer = Alone::new();
    peer.call_with(invite(tcp(None)));
    peer.endpoint.handle_flow_error(peer.now, tcp(Some(7)));
    peer.drain();
    assert_eq!(names(&peer.events), ["failed 503 local"]);
}

#[test]
fn a_bye_on_a_dead_connection_is_tried_again_by_contact() {
    let mut peer = Alone::new();
    let session = peer.call_with(invite(tcp(None)));
    let request = peer.last("INVITE");
    let contact = "Contact: <sip:b@10.0.0.2:5066;transport=tcp>\r\n";
    peer.receive_over(tcp(Some(7)), answer(&request, 200, "b", contact, ANSWER));
    assert_eq!(peer.sent("ACK")[0].1, tcp(Some(7)));
    peer.endpoint.bye(peer.now, session, None);
    peer.drain();
    assert_eq!(peer.sent("BYE")[0].1, tcp(Some(7)));
    peer.endpoint.handle_flow_error(peer.now, tcp(Some(7)));
    peer.drain();
    let again = peer.sent("BYE").remove(1).1;
    assert_eq!((again.remote, again.connection), (address("10.0.0.2:5066"), None));
}

#[test]
fn an_unanswered_bye_leaves_nothing_after_64_t1() {
    let mut peer = Alone::new();
    let session = peer.call();
    let request = peer.last("INVITE");
    peer.receive(ok(&request, "b"));
    peer.endpoint.bye(peer.now, session, Some(Reason::q850(31, "x")));
    peer.drain();
    assert_eq!(peer.last("BYE").reason()[0].cause, Some(31));
    peer.run_to(31_999);
    assert_eq!(names(&peer.events), ["answered"]);
    peer.run_to(32_000);
    assert_eq!(names(&peer.events), ["answered", "bye done"]);
    assert_eq!(peer.times("BYE").len(), 11);
    peer.assert_empty_after(33_000);
}

#[test]
fn an_offer_in_the_2xx_is_answered_by_the_user_in_the_ack() {
    let mut peer = Alone::new();
    let mut wish = invite(udp());
    wish.sdp = Bytes::new();
    let session = peer.call_with(wish);
    let request = peer.last("INVITE");
    assert!(request.body().is_empty());
    peer.receive(ok(&request, "b"));
    assert_eq!(names(&peer.events), ["answered"]);
    assert_eq!(peer.times("ACK"), [0_u128; 0]);
    peer.receive(ok(&request, "b"));
    peer.endpoint.acknowledge(session, Bytes::from_static(OFFER.as_bytes()));
    peer.drain();
    assert_eq!(peer.last("ACK").body(), OFFER.as_bytes());
    peer.receive(ok(&request, "b"));
    assert_eq!(peer.times("ACK").len(), 2);
}

#[test]
fn the_users_headers_cannot_replace_those_of_the_dialog() {
    let mut peer = Alone::new();
    let mut wish = invite(udp());
    wish.headers = vec![
        ("Call-ID".into(), b"mine".to_vec()),
        ("Max-Forwards".into(), b"12".to_vec()),
        ("contact".into(), b"<sip:evil>".to_vec()),
        ("P-Asserted-Identity".into(), b"<sip:+8613800138000@x>\r\nX: y".to_vec()),
    ];
    wish.from.set_tag("mine");
    peer.call_with(wish);
    let request = peer.last("INVITE");
    assert_ne!(request.call_id(), Some("mine"));
    assert_ne!(request.from().unwrap().tag(), Some("mine"));
    assert_eq!(request.max_forwards().unwrap(), Some(12));
    assert_eq!(request.contact().unwrap().uri.to_string(), "sip:alice@10.0.0.1:5060");
    assert_eq!(request.count(HeaderName::Contact), 1);
    assert_eq!(request.other("X"), None);
    assert_eq!(request.header(HeaderName::PAssertedIdentity).map(<[u8]>::len), Some(28));
}

#[test]
fn beyond_the_maximum_of_sessions_a_call_fails_at_once() {
    let mut config = config(A, 1);
    config.limits.sessions_max = 1;
    let mut peer = Alone::with(config);
    peer.call();
    peer.call();
    assert_eq!(names(&peer.events), ["failed 503 local"]);
    assert_eq!(peer.endpoint.drops().overload, 1);
    assert_eq!(
        peer.endpoint.counts(),
        Counts { sessions: 1, client_transactions: 1, timers: 1, indexed: 1, ..Counts::default() }
    );
}
