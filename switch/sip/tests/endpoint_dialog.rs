//! What happens inside a confirmed dialog: re-INVITE both ways, glare, order, resumption.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod world;

use bytes::Bytes;
use sip::endpoint::{Endpoint, Event, SessionId};
use sip::wire::{Message, NameAddr, Reason};
use world::*;

fn sdp(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// We called, the peer answered. The message is our INVITE.
fn caller() -> (Alone, SessionId, Message) {
    let mut peer = Alone::new();
    let session = peer.call();
    let request = peer.last("INVITE");
    peer.receive(ok(&request, "b"));
    // A request of ours that bears both tags, for the peer to answer within the dialog.
    let ack = peer.last("ACK");
    peer.sent.clear();
    peer.events.clear();
    (peer, session, ack)
}

/// The peer called, we answered. The message is our 200.
fn callee() -> (Alone, SessionId, Message) {
    let mut peer = Alone::new();
    peer.receive(request("INVITE", "i1", "", OFFER));
    let Event::Invite { session, .. } = peer.events[0] else { panic!() };
    peer.endpoint.accept(peer.now, session, sdp(ANSWER), Vec::new());
    peer.drain();
    let ok = peer.last("200 INVITE");
    peer.receive(within(&ok, "ACK", 1, "a1", ""));
    peer.sent.clear();
    peer.events.clear();
    (peer, session, ok)
}

fn reinvite(ours: &Message, cseq: u32, branch: &str) -> String {
    within_with(ours, "INVITE", cseq, branch, "Contact: <sip:bob@10.0.0.2:5060>\r\n", OFFER)
}

#[test]
fn a_reinvite_is_offered_to_the_user_and_accepted_with_resends_until_the_ack() {
    let (mut peer, session, ours) = callee();
    peer.receive(reinvite(&ours, 2, "r1"));
    assert_eq!(peer.labels(), ["100 INVITE"]);
    assert!(matches!(&peer.events[..], [Event::Reinvite { sdp: Some(sdp), .. }] if sdp == OFFER));
    peer.endpoint.accept_reinvite(peer.now, session, sdp(ANSWER));
    peer.drain();
    peer.wait(1500);
    let accepted = peer.last("200 INVITE");
    assert_eq!(peer.times("200 INVITE"), [0, 500, 1500]);
    assert_eq!(accepted.body(), ANSWER.as_bytes());
    assert!(accepted.contact().is_ok());
    peer.receive(within(&ours, "ACK", 2, "a2", ""));
    peer.wait(10_000);
    assert_eq!(peer.times("200 INVITE").len(), 3);
    assert_eq!(names(&peer.events), ["reinvite", "acked"]);
}

#[test]
fn rfc3261_14_2_an_unacknowledged_reinvite_ends_the_session_with_bye() {
    let (mut peer, session, ours) = caller();
    peer.receive(reinvite(&ours, 1, "r1"));
    peer.endpoint.accept_reinvite(peer.now, session, sdp(ANSWER));
    peer.run_to(32_000);
    assert_eq!(names(&peer.events), ["reinvite", "ended AckTimeout"]);
    assert_eq!(peer.times("BYE"), [32_000]);
    peer.assert_empty_after(64_000);
}

#[test]
fn case_23_a_late_ack_is_matched_by_its_cseq_and_not_taken_for_the_reinvites() {
    let mut peer = Alone::new();
    peer.receive(request("INVITE", "i1", "", OFFER));
    let Event::Invite { session, .. } = peer.events[0] else { panic!() };
    peer.endpoint.accept(peer.now, session, sdp(ANSWER), Vec::new());
    peer.drain();
    let ours = peer.last("200 INVITE");
    peer.receive(reinvite(&ours, 2, "r1"));
    peer.endpoint.accept_reinvite(peer.now, session, sdp(ANSWER));
    peer.drain();
    peer.receive(within(&ours, "ACK", 1, "a1", ""));
    peer.sent.clear();
    peer.run_to(4000);
    let resent = peer.sent("200 INVITE");
    assert!(resent.len() >= 3, "the re-INVITE still waits for its own ACK");
    assert!(resent.iter().all(|(_, _, ok)| ok.cseq().unwrap().number == 2));
    peer.receive(within(&ours, "ACK", 2, "a2", ""));
    peer.sent.clear();
    peer.run_to(40_000);
    assert!(peer.labels().is_empty());
    assert_eq!(names(&peer.events), ["invite", "reinvite", "acked", "acked"]);
}

#[test]
fn case_23_an_early_ack_of_the_reinvite_is_not_taken_for_the_first_ones() {
    let mut peer = Alone::new();
    peer.receive(request("INVITE", "i1", "", OFFER));
    let Event::Invite { session, .. } = peer.events[0] else { panic!() };
    peer.endpoint.accept(peer.now, session, sdp(ANSWER), Vec::new());
    peer.drain();
    let ours = peer.last("200 INVITE");
    peer.receive(reinvite(&ours, 2, "r1"));
    peer.endpoint.accept_reinvite(peer.now, session, sdp(ANSWER));
    peer.drain();
    peer.receive(within(&ours, "ACK", 2, "a2", ""));
    peer.sent.clear();
    peer.run_to(1000);
    let resent = peer.sent("200 INVITE");
    assert_eq!(resent.len(), 1);
    assert_eq!(resent[0].2.cseq().unwrap().number, 1, "the first 2xx still waits");
}

#[test]
fn case_24_the_wait_after_glare_is_kept_while_the_peer_has_its_turn() {
    let (mut peer, session, ours) = caller();
    peer.endpoint.reinvite(peer.now, session, sdp(OFFER));
    peer.drain();
    let mine = peer.last("INVITE");
    peer.receive(answer(&mine, 491, "", "", ""));
    peer.sent.clear();
    // The peer's own try comes in between; its ACK is late, so that its 2xx is resent.
    peer.receive(reinvite(&ours, 1, "r1"));
    peer.endpoint.accept_reinvite(peer.now, session, sdp(ANSWER));
    peer.drain();
    peer.run_to(2000);
    assert_eq!(peer.times("200 INVITE"), [0, 500, 1500]);
    assert_eq!(peer.times("INVITE"), [0_u128; 0], "RFC 3261 §14.1: not before 2.1 s");
    peer.run_to(5000);
    assert_eq!(peer.times("INVITE"), [0_u128; 0], "nor while the peer's is not acknowledged");
    peer.receive(within(&ours, "ACK", 1, "a1", ""));
    peer.run_to(5250);
    assert_eq!(peer.times("INVITE").len(), 1);
}

#[test]
fn a15_rfc3261_14_2_a_second_reinvite_before_the_first_is_answered_is_500() {
    let (mut peer, session, ours) = callee();
    peer.receive(reinvite(&ours, 2, "r1"));
    peer.receive(reinvite(&ours, 3, "r2"));
    let refusal = peer.last("500 INVITE");
    assert!(refusal.retry_after().unwrap().seconds <= 10);
    assert_eq!(names(&peer.events), ["reinvite"]);
    peer.endpoint.accept_reinvite(peer.now, session, sdp(ANSWER));
    peer.drain();
    assert_eq!(peer.last("200 INVITE").cseq().unwrap().number, 2);
}

#[test]
fn a15_a_second_invite_before_the_first_is_answered_is_500() {
    let mut peer = Alone::new();
    peer.receive(request("INVITE", "i1", "", OFFER));
    let Event::Invite { session, .. } = peer.events[0] else { panic!() };
    peer.endpoint.provisional(peer.now, session, 180, None);
    peer.drain();
    let ringing = peer.last("180 INVITE");
    peer.receive(reinvite(&ringing, 2, "r1"));
    assert!(peer.last("500 INVITE").retry_after().is_some());
    assert_eq!(peer.endpoint.counts().sessions, 1);
}

#[test]
fn a15_case_24_glare_is_491_and_ours_is_tried_again_by_the_owner_after_2_1_to_4_s() {
    for (open, range) in [
        (caller as fn() -> (Alone, SessionId, Message), 2100..=4000),
        (callee as fn() -> _, 0..=2000),
    ] {
        let (mut peer, session, ours) = open();
        assert!(peer.endpoint.reinvite(peer.now, session, sdp(OFFER)));
        peer.drain();
        let mine = peer.last("INVITE");
        assert_eq!(mine.body(), OFFER.as_bytes());
        // Theirs crosses ours.
        peer.receive(reinvite(&ours, 7, "r1"));
        assert_eq!(peer.last("491 INVITE").status(), Some(491));
        peer.receive(answer(&mine, 491, "", "", ""));
        assert!(peer.events.is_empty(), "glare is dealt with below");
        peer.wait(5000);
        let tries = peer.sent("INVITE");
        let again = tries
            .iter()
            .find(|(_, _, other)| other.cseq().unwrap().number > mine.cseq().unwrap().number);
        let (at, _, second) = again.unwrap();
        assert!(range.contains(at), "{at}");
        assert_eq!(at % 10, 0, "in steps of 10 ms");
        assert_eq!(second.body(), OFFER.as_bytes());
        peer.receive(answer(second, 200, "", "Contact: <sip:b@10.0.0.5>\r\n", ANSWER));
        assert_eq!(names(&peer.events), ["reinvite answered"]);
        assert_eq!(peer.last("ACK").request_uri(), Some("sip:b@10.0.0.5"), "target refreshed");
    }
}

#[test]
fn case_24_glare_between_two_endpoints_is_resolved_for_both() {
    let mut world = World::new();
    let caller = world.call();
    world.run(100);
    let callee = world.called();
    world.ends[1].accept(world.now, callee, sdp(ANSWER), Vec::new());
    world.drain();
    world.run(1000);
    assert!(world.ends[0].reinvite(world.now, caller, sdp(OFFER)));
    assert!(world.ends[1].reinvite(world.now, callee, sdp(ANSWER)));
    world.drain();
    for events in &mut world.events {
        events.clear();
    }
    let end = world.now + ms(20_000);
    while world.step(end) {
        for (end, session) in [(0, caller), (1, callee)] {
            let asked =
                world.events[end].iter().any(|event| matches!(event, Event::Reinvite { .. }));
            if asked {
                world.events[end].retain(|event| !matches!(event, Event::Reinvite { .. }));
                world.ends[end].accept_reinvite(world.now, session, sdp(ANSWER));
                world.drain();
            }
        }
    }
    for events in &world.events {
        assert!(names(events).contains(&"reinvite answered".to_owned()), "{:?}", names(events));
    }
    assert!(world.log.iter().any(|(_, label)| label == "491 INVITE"));
    assert_eq!(world.ends[0].counts().sessions, 1);
}

#[test]
fn case_26_a_reinvite_is_served_again_and_again() {
    let (mut peer, session, ours) = callee();
    for number in 2..12 {
        peer.receive(reinvite(&ours, number, &format!("r{number}")));
        peer.endpoint.accept_reinvite(peer.now, session, sdp(ANSWER));
        peer.drain();
        peer.receive(within(&ours, "ACK", number, &format!("a{number}"), ""));
        peer.wait(100);
    }
    assert_eq!(peer.times("491 INVITE"), [0_u128; 0]);
    assert_eq!(peer.events.len(), 20);
}

#[test]
fn case_25_info_during_a_reinvite_is_served() {
    let (mut peer, _, ours) = callee();
    peer.receive(reinvite(&ours, 2, "r1"));
    peer.receive(within(&ours, "INFO", 3, "n1", ""));
    assert_eq!(peer.last("200 INFO").status(), Some(200));
}

#[test]
fn a15_a_refused_reinvite_leaves_the_old_session() {
    let (mut peer, session, ours) = callee();
    let elsewhere = reinvite(&ours, 2, "r1")
        .replace("<sip:bob@10.0.0.2:5060>\r\nContent", "<sip:bob@10.0.0.66:5060>\r\nContent");
    assert!(elsewhere.contains("10.0.0.66"));
    peer.receive(elsewhere);
    peer.endpoint.reject_reinvite(peer.now, session, 488);
    peer.drain();
    assert_eq!(peer.last("488 INVITE").cseq().unwrap().number, 2);
    assert!(peer.endpoint.reinvite(peer.now, session, sdp(OFFER)));
    peer.drain();
    let mine = peer.last("INVITE");
    assert_eq!(mine.request_uri(), Some("sip:bob@10.0.0.2:5060"), "the target did not move");
    peer.receive(answer(&mine, 488, "", "", ""));
    assert_eq!(names(&peer.events), ["reinvite", "reinvite failed 488"]);
    assert_eq!(peer.endpoint.counts().sessions, 1);
    assert!(peer.endpoint.reinvite(peer.now, session, sdp(OFFER)), "and another may follow");
}

#[test]
fn a7_an_accepted_reinvite_moves_the_target() {
    let (mut peer, session, ours) = callee();
    let elsewhere =
        within_with(&ours, "INVITE", 2, "r1", "Contact: <sip:bob@10.0.0.66:5060>\r\n", OFFER);
    peer.receive(elsewhere);
    peer.endpoint.accept_reinvite(peer.now, session, sdp(ANSWER));
    peer.endpoint.bye(peer.now, session, None);
    peer.drain();
    assert_eq!(peer.last("BYE").request_uri(), Some("sip:bob@10.0.0.66:5060"));
    assert_eq!(peer.sent("BYE")[0].1.remote, address("10.0.0.66:5060"));
}

#[test]
fn a_cancelled_reinvite_is_487_and_the_session_stays() {
    let (mut peer, session, ours) = callee();
    let text = reinvite(&ours, 2, "r1");
    peer.receive(&text);
    let cancel = within(&ours, "CANCEL", 2, "r1", "");
    peer.receive(cancel);
    assert_eq!(peer.labels(), ["100 INVITE", "200 CANCEL", "487 INVITE"]);
    peer.endpoint.accept_reinvite(peer.now, session, sdp(ANSWER));
    peer.drain();
    assert_eq!(peer.labels().len(), 3, "too late");
    assert_eq!(peer.endpoint.counts().sessions, 1);
}

#[test]
fn a_reinvite_that_the_user_forgets_is_500() {
    let (mut peer, _, ours) = callee();
    peer.receive(reinvite(&ours, 2, "r1"));
    peer.run_to(32_000);
    assert_eq!(peer.sent("500 INVITE")[0].0, 32_000);
    assert_eq!(peer.endpoint.counts().sessions, 1);
}

#[test]
fn rfc3261_15_1_2_a_bye_closes_an_open_reinvite_with_487() {
    let (mut peer, _, ours) = callee();
    peer.receive(reinvite(&ours, 2, "r1"));
    peer.receive(within(&ours, "BYE", 3, "b1", ""));
    assert_eq!(peer.labels(), ["100 INVITE", "200 BYE", "487 INVITE"]);
    assert_eq!(names(&peer.events), ["reinvite", "ended Bye"]);
    peer.assert_empty_after(70_000);
}

#[test]
fn rfc3261_12_2_1_2_481_to_our_reinvite_ends_the_session() {
    let (mut peer, session, _) = callee();
    peer.endpoint.reinvite(peer.now, session, sdp(OFFER));
    peer.drain();
    let mine = peer.last("INVITE");
    peer.receive(answer(&mine, 481, "", "", ""));
    assert_eq!(names(&peer.events), ["ended Rejected481"]);
    assert_eq!(peer.times("BYE").len(), 1);
    peer.assert_empty_after(70_000);
}

#[test]
fn an_unanswered_reinvite_of_ours_ends_the_session() {
    let (mut peer, session, _) = callee();
    peer.endpoint.reinvite(peer.now, session, sdp(OFFER));
    peer.run_to(32_000);
    assert_eq!(names(&peer.events), ["ended TransportLost"]);
    peer.assert_empty_after(70_000);
}

#[test]
fn a_reinvite_of_ours_that_only_rings_is_cancelled_and_leaves_nothing() {
    let (mut peer, session, _) = callee();
    peer.endpoint.reinvite(peer.now, session, sdp(OFFER));
    peer.drain();
    let mine = peer.last("INVITE");
    peer.receive(answer(&mine, 180, "", "", ""));
    peer.run_to(64_000);
    assert_eq!(names(&peer.events), ["reinvite failed 408"]);
    assert_eq!(peer.times("CANCEL")[0], 64_000);
    peer.run_to(128_000);
    assert_eq!(names(&peer.events), ["reinvite failed 408"], "the session stays");
    assert_eq!(peer.endpoint.counts().client_transactions, 0);
}

#[test]
fn a_bye_during_our_reinvite_leaves_nothing() {
    let (mut peer, session, _) = callee();
    peer.endpoint.reinvite(peer.now, session, sdp(OFFER));
    peer.drain();
    let mine = peer.last("INVITE");
    peer.receive(answer(&mine, 180, "", "", ""));
    peer.endpoint.bye(peer.now, session, None);
    peer.drain();
    peer.receive(answer(&mine, 200, "", "", ANSWER));
    assert_eq!(peer.times("ACK").len(), 1, "a 2xx is owed its ACK all the same");
    let bye = peer.last("BYE");
    peer.receive(answer(&bye, 200, "", "", ""));
    assert_eq!(names(&peer.events), ["bye done"]);
    peer.assert_empty_after(70_000);
}

#[test]
fn rfc3261_14_1_no_second_offer_while_one_is_open() {
    let (mut peer, session, ours) = callee();
    assert!(peer.endpoint.reinvite(peer.now, session, sdp(OFFER)));
    assert!(!peer.endpoint.reinvite(peer.now, session, sdp(OFFER)));
    let (mut other, other_session, _) = callee();
    other.receive(reinvite(&ours, 2, "r1"));
    other.receive(reinvite(&ours, 2, "r1"));
    let _ = other_session;
    let (mut third, third_session, third_ours) = callee();
    third.receive(reinvite(&third_ours, 2, "r1"));
    assert!(!third.endpoint.reinvite(third.now, third_session, sdp(OFFER)));
}

#[test]
fn a_session_is_taken_up_after_a_restart_and_ended_with_a_higher_number() {
    let mut peer = Alone::new();
    let mut wish = invite(udp());
    wish.route = vec![NameAddr::parse(b"<sip:10.0.0.2;lr>").unwrap()];
    let session = peer.call_with(wish);
    let request = peer.last("INVITE");
    let extra = "Record-Route: <sip:10.0.0.2;lr>\r\nContact: <sip:bob@10.0.0.9>\r\n";
    peer.receive(answer(&request, 200, "b", extra, ANSWER));
    let snapshot = peer.endpoint.snapshot(session).unwrap();
    let mut restarted = Alone::with({
        let mut config = config(A, 9);
        config.seed = [99; 32];
        config
    });
    let again = restarted.endpoint.resume(restarted.now, &snapshot, |_| None).unwrap();
    assert_eq!(restarted.endpoint.resume(restarted.now, &snapshot, |_| None), None, "once");
    assert_eq!(restarted.endpoint.call_id(again), request.call_id());
    restarted.endpoint.bye(restarted.now, again, None);
    restarted.drain();
    let bye = restarted.last("BYE");
    assert_eq!(bye.from().unwrap(), request.from().unwrap());
    assert_eq!(bye.to().unwrap().tag(), Some("b"));
    assert_eq!(bye.request_uri(), Some("sip:bob@10.0.0.9"));
    assert_eq!(bye.routes().unwrap().len(), 1);
    assert!(bye.cseq().unwrap().number > 1000);
    restarted.receive(answer(&bye, 200, "", "", ""));
    assert_eq!(names(&restarted.events), ["bye done"]);
    restarted.assert_empty_after(10_000);
    assert_eq!(restarted.endpoint.resume(restarted.now, b"nonsense", |_| None), None);
}

/// An INVITE of a process that died: its snapshot, in the hands of the next one.
fn rang_before_the_crash(code: Option<u16>) -> (Alone, SessionId, Message) {
    let mut peer = Alone::new();
    let mut wish = invite(udp());
    wish.route = vec![NameAddr::parse(b"<sip:10.0.0.2;lr>").unwrap()];
    let session = peer.call_with(wish);
    let request = peer.last("INVITE");
    if let Some(code) = code {
        peer.receive(answer(&request, code, "b", "", ""));
    }
    let snapshot = peer.endpoint.snapshot(session).unwrap();
    let mut config = config(A, 1);
    config.seed = [99; 32];
    let mut restarted = Alone::with(config);
    let again = restarted.endpoint.resume(restarted.now, &snapshot, |_| None).unwrap();
    assert_eq!(restarted.endpoint.resume(restarted.now, &snapshot, |_| None), None, "once");
    assert_eq!(restarted.endpoint.call_id(again), request.call_id());
    (restarted, again, request)
}

#[test]
fn a6_rfc3261_9_1_an_invite_of_the_last_process_is_cancelled_by_the_next() {
    for code in [None, Some(180)] {
        let (mut restarted, session, invite) = rang_before_the_crash(code);
        restarted.endpoint.bye(restarted.now, session, Some(Reason::q850(41, "crash")));
        restarted.drain();
        assert_eq!(restarted.labels(), ["CANCEL"], "and the INVITE is not sent again");
        let cancel = restarted.last("CANCEL");
        assert_eq!(cancel.request_uri(), invite.request_uri());
        assert_eq!(cancel.via().unwrap().branch(), invite.via().unwrap().branch());
        assert_eq!(cancel.from().unwrap(), invite.from().unwrap());
        assert_eq!(cancel.to().unwrap(), invite.to().unwrap());
        assert_eq!(cancel.call_id(), invite.call_id());
        assert_eq!(cancel.cseq().unwrap().number, invite.cseq().unwrap().number);
        assert_eq!(cancel.routes().unwrap(), invite.routes().unwrap());
        restarted.receive(answer(&cancel, 200, "b", "", ""));
        restarted.receive(answer(&invite, 487, "b", "", ""));
        assert_eq!(restarted.labels(), ["CANCEL", "ACK"]);
        assert_eq!(names(&restarted.events), ["failed 487"]);
        restarted.assert_empty_after(40_000);
    }
}

/// A journal may be damaged: whatever its bytes have become, they resume something that ends, or
/// nothing.
#[test]
fn damaged_snapshots_neither_panic_nor_stay() {
    let mut peer = Alone::new();
    let session = peer.call();
    let early = peer.endpoint.snapshot(session).unwrap();
    peer.receive(ok(&peer.last("INVITE"), "b"));
    let up = peer.endpoint.snapshot(session).unwrap();
    let mut resumed = 0;
    for whole in [early, up] {
        for at in 0..whole.len() {
            for damage in [0x00, 0x0a, 0x20, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = damage;
                let now = peer.now;
                let mut restarted = Endpoint::new(config(A, 1));
                let taken = restarted.resume(now, &bytes, |_| None);
                let cut = restarted.resume(now, &whole[..at], |_| None);
                for session in taken.into_iter().chain(cut) {
                    resumed += 1;
                    restarted.bye(now, session, None);
                }
                while let Some((due, _)) = restarted.poll_timeout() {
                    assert!(due < now + ms(120_000), "it ends");
                    restarted.handle_timeout(due);
                }
                assert_eq!(restarted.counts(), sip::endpoint::Counts::default());
            }
        }
    }
    assert!(resumed > 100, "most damage hurts only what it hits: {resumed}");
}

#[test]
fn case_18_a_200_that_crosses_the_cancel_of_the_next_process_is_acked_and_ended() {
    let (mut restarted, session, invite) = rang_before_the_crash(Some(180));
    restarted.endpoint.cancel(restarted.now, session, None);
    restarted.drain();
    restarted.receive(ok(&invite, "b"));
    assert_eq!(restarted.labels(), ["CANCEL", "ACK", "BYE"]);
    let bye = restarted.last("BYE");
    assert_eq!(bye.to().unwrap().tag(), Some("b"));
    restarted.receive(answer(&bye, 200, "", "", ""));
    restarted.receive(ok(&invite, "b"));
    assert_eq!(restarted.labels().last().unwrap(), "ACK", "each copy is acknowledged again");
    restarted.assert_empty_after(80_000);
}

#[test]
fn an_invite_of_the_last_process_that_nobody_knows_is_given_up() {
    let (mut restarted, session, _) = rang_before_the_crash(None);
    restarted.endpoint.cancel(restarted.now, session, None);
    restarted.drain();
    restarted.wait(33_000);
    assert_eq!(restarted.times("CANCEL").len(), 11, "as any request (RFC 3261 17.1.2)");
    assert_eq!(names(&restarted.events), ["failed 487 local"]);
    restarted.assert_empty_after(80_000);
}

#[test]
fn a_resumed_session_hears_the_peers_bye() {
    let (peer, session, ours) = callee();
    let snapshot = peer.endpoint.snapshot(session).unwrap();
    let mut restarted = Alone::with(config(A, 1));
    restarted.endpoint.resume(restarted.now, &snapshot, |_| None).unwrap();
    restarted.receive(within(&ours, "BYE", 2, "b1", ""));
    assert_eq!(restarted.labels(), ["200 BYE"]);
    assert_eq!(names(&restarted.events), ["ended Bye"]);
}

#[test]
fn unknown_sessions_are_no_reason_to_do_anything() {
    let (mut peer, session, ours) = callee();
    peer.receive(within(&ours, "BYE", 2, "b1", ""));
    peer.sent.clear();
    peer.events.clear();
    let end: &mut Endpoint = &mut peer.endpoint;
    end.bye(peer.now, session, None);
    end.cancel(peer.now, session, None);
    end.provisional(peer.now, session, 180, None);
    end.accept(peer.now, session, Bytes::new(), Vec::new());
    end.reject(peer.now, session, 486, Vec::new());
    end.accept_reinvite(peer.now, session, Bytes::new());
    end.reject_reinvite(peer.now, session, 488);
    end.acknowledge(session, Bytes::new());
    assert!(!end.reinvite(peer.now, session, Bytes::new()));
    assert_eq!(end.snapshot(session), None);
    peer.drain();
    assert!(peer.labels().is_empty() && peer.events.is_empty());
}
