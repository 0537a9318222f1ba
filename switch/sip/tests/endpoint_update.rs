//! UPDATE (RFC 3311), both ways, in early and confirmed dialogs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]

mod world;

use bytes::Bytes;
use sip::endpoint::{Event, Invite, SessionId};
use sip::wire::{HeaderName, Message};
use world::{
    ANSWER, Alone, OFFER, World, answer, invite, names, ok, request, udp, within, within_with,
};

const TAKES: &str = "Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE\r\n";

fn sdp(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// Our call is up; the 200 that made it so.
fn called(extra: &str) -> (Alone, SessionId, Message) {
    let mut peer = Alone::new();
    let session = peer.call();
    let extra = format!("Contact: <sip:bob@10.0.0.2:5060>\r\n{extra}");
    let text = answer(&peer.last("INVITE"), 200, "b", &extra, ANSWER);
    peer.receive(&text);
    peer.take_events();
    let ack = peer.last("ACK");
    peer.sent.clear();
    (peer, session, ack)
}

#[test]
fn b2_rfc3311_5_2_an_offer_in_a_confirmed_dialog_is_the_users_and_its_200_has_no_ack() {
    let (mut peer, session, ack) = called("");
    let moved = "Contact: <sip:bob@10.0.0.2:5070>\r\n";
    peer.receive(within_with(&ack, "UPDATE", 1, "u1", moved, OFFER));
    assert_eq!(names(&peer.events), ["reinvite"]);
    assert_eq!(peer.labels().len(), 0, "no 100: it is no INVITE");
    // §5.2: a second one meanwhile.
    peer.receive(within_with(&ack, "UPDATE", 2, "u2", moved, OFFER));
    let busy = peer.last("500 UPDATE");
    assert!(busy.retry_after().is_some_and(|after| after.seconds <= 10));
    peer.receive(within_with(&ack, "INVITE", 3, "i1", moved, OFFER));
    assert_eq!(peer.labels(), ["500 UPDATE", "500 INVITE"]);
    peer.endpoint.accept_reinvite(peer.now, session, sdp(ANSWER));
    peer.drain();
    let done = peer.last("200 UPDATE");
    assert_eq!(done.body(), ANSWER.as_bytes());
    assert!(done.contact().is_ok() && done.lists(HeaderName::Allow, "UPDATE"));
    peer.wait(40_000);
    assert_eq!(peer.times("200 UPDATE").len(), 1);
    peer.endpoint.bye(peer.now, session, None);
    peer.drain();
    assert_eq!(peer.last("BYE").request_uri(), Some("sip:bob@10.0.0.2:5070"), "§5.1: it moved");
}

#[test]
fn b2_rfc3311_5_2_without_an_offer_it_is_answered_at_once() {
    let (mut peer, session, ack) = called("");
    assert!(peer.endpoint.reinvite(peer.now, session, sdp(OFFER)));
    peer.drain();
    peer.sent.clear();
    // Even while an offer of ours is under way: it concerns no media.
    peer.receive(within(&ack, "UPDATE", 1, "u1", "Contact: <sip:bob@10.0.0.2:5070>\r\n"));
    assert_eq!(peer.labels(), ["200 UPDATE"]);
    assert_eq!(names(&peer.events), ["refreshed"]);
    peer.receive(within_with(&ack, "UPDATE", 2, "u2", "Content-Type: text/plain\r\n", "x"));
    assert_eq!(peer.labels()[1..], ["415 UPDATE"]);
}

#[test]
fn b2_rfc3311_5_2_an_offer_that_meets_ours_is_491() {
    let (mut peer, session, ack) = called(TAKES);
    assert!(peer.endpoint.reinvite(peer.now, session, sdp(OFFER)));
    peer.drain();
    peer.receive(within_with(&ack, "UPDATE", 1, "u1", "", OFFER));
    assert_eq!(peer.labels(), ["INVITE", "491 UPDATE"]);
}

#[test]
fn rfc3311_5_2_an_offer_that_the_user_leaves_is_504() {
    let (mut peer, _, ack) = called("");
    peer.receive(within_with(&ack, "UPDATE", 1, "u1", "", OFFER));
    peer.wait(8_000);
    assert_eq!(peer.times("504 UPDATE"), [8_000]);
    peer.receive(within_with(&ack, "UPDATE", 2, "u2", "", OFFER));
    peer.endpoint.reject_reinvite(peer.now, sessions(&peer)[0], 488);
    peer.drain();
    assert_eq!(peer.labels().last().unwrap(), "488 UPDATE");
}

fn sessions(peer: &Alone) -> Vec<SessionId> {
    peer.events
        .iter()
        .filter_map(|event| match event {
            Event::Reinvite { session, .. } => Some(*session),
            _ => None,
        })
        .collect()
}

#[test]
fn b2_rfc3311_5_1_ours_meets_491_and_is_tried_again_and_481_ends_the_dialog() {
    let (mut peer, session, _) = called(&format!("{TAKES}Session-Expires: 1800;refresher=uas\r\n"));
    assert!(peer.endpoint.update(peer.now, session, &sdp(OFFER)));
    peer.drain();
    let update = peer.last("UPDATE");
    assert_eq!(update.body(), OFFER.as_bytes());
    assert!(!peer.endpoint.update(peer.now, session, &sdp(OFFER)), "one at a time");
    peer.receive(answer(&update, 491, "", "", ""));
    peer.wait(4_100);
    let tries = peer.times("UPDATE");
    assert!(tries.len() >= 2 && tries.windows(2).any(|pair| pair[1] - pair[0] >= 2_100));
    let update = peer.last("UPDATE");
    peer.receive(answer(&update, 200, "", "Contact: <sip:bob@10.0.0.2:5060>\r\n", ANSWER));
    assert_eq!(names(&peer.events), ["reinvite answered"]);
    peer.take_events();
    assert!(peer.endpoint.update(peer.now, session, &sdp(OFFER)));
    peer.drain();
    let update = peer.last("UPDATE");
    peer.receive(answer(&update, 488, "", "", ""));
    assert_eq!(names(&peer.events), ["reinvite failed 488"]);
    peer.take_events();
    assert!(peer.endpoint.update(peer.now, session, &sdp(OFFER)));
    peer.drain();
    let update = peer.last("UPDATE");
    peer.receive(answer(&update, 481, "", "", ""));
    assert_eq!(names(&peer.events), ["ended Rejected481"]);
}

#[test]
fn rfc3311_4_whoever_does_not_list_it_gets_none() {
    let (mut peer, session, _) = called("Session-Expires: 1800;refresher=uas\r\n");
    assert!(!peer.endpoint.update(peer.now, session, &sdp(OFFER)));
}

// ---- before the final answer

/// Their INVITE is settled by a reliable 183 whose PRACK has come.
fn ringing(extra: &str) -> (Alone, SessionId, Message) {
    let mut peer = Alone::new();
    let extra = format!("Supported: 100rel\r\n{extra}");
    peer.receive(request("INVITE", "e", &extra, OFFER));
    let Some(Event::Invite { session, .. }) = peer.events.first() else { panic!("no call") };
    let session = *session;
    peer.take_events();
    peer.endpoint.provisional(peer.now, session, 183, Some(sdp(ANSWER)));
    peer.drain();
    let early = peer.last("183 INVITE");
    (peer, session, early)
}

fn acknowledge(peer: &mut Alone, early: &Message) {
    let rack = format!("RAck: {} 1 INVITE\r\n", early.reliable().unwrap());
    peer.receive(within(early, "PRACK", 2, "p", &rack));
    peer.sent.clear();
}

#[test]
fn b2_rfc3311_5_2_the_caller_updates_before_the_answer() {
    let (mut peer, session, early) = ringing("");
    acknowledge(&mut peer, &early);
    peer.receive(within_with(&early, "UPDATE", 3, "u1", "", OFFER));
    assert_eq!(names(&peer.events), ["reinvite"]);
    peer.endpoint.accept_reinvite(peer.now, session, sdp(ANSWER));
    peer.drain();
    assert_eq!(peer.last("200 UPDATE").body(), ANSWER.as_bytes());
    peer.receive(within(&early, "UPDATE", 4, "u2", "Contact: <sip:bob@10.0.0.2:5099>\r\n"));
    assert_eq!(peer.labels(), ["200 UPDATE", "200 UPDATE"]);
    // One that is open when the call is answered.
    peer.receive(within_with(&early, "UPDATE", 5, "u3", "", OFFER));
    peer.endpoint.accept(peer.now, session, sdp(ANSWER), Vec::new());
    peer.drain();
    assert_eq!(peer.labels()[2..], ["500 UPDATE", "200 INVITE"]);
    let done = peer.last("200 INVITE");
    peer.receive(within(&done, "ACK", 1, "ack", ""));
    peer.endpoint.bye(peer.now, session, None);
    peer.drain();
    assert_eq!(peer.last("BYE").request_uri(), Some("sip:bob@10.0.0.2:5099"));
}

#[test]
fn b2_rfc3311_5_2_before_their_first_offer_is_answered_it_is_500_and_before_ours_491() {
    let mut peer = Alone::new();
    peer.receive(request("INVITE", "e", "Supported: 100rel\r\n", OFFER));
    let Some(Event::Invite { session, .. }) = peer.events.first() else { panic!("no call") };
    let session = *session;
    peer.endpoint.provisional(peer.now, session, 180, None);
    peer.drain();
    let early = peer.last("180 INVITE");
    peer.receive(within_with(&early, "UPDATE", 2, "u1", "", OFFER));
    assert!(peer.last("500 UPDATE").retry_after().is_some());

    let mut peer = Alone::new();
    peer.receive(request("INVITE", "l", "Supported: 100rel\r\n", ""));
    let Some(Event::Invite { session, .. }) = peer.events.first() else { panic!("no call") };
    let session = *session;
    peer.endpoint.provisional(peer.now, session, 183, Some(sdp(OFFER)));
    peer.drain();
    let early = peer.last("183 INVITE");
    peer.receive(within_with(&early, "UPDATE", 2, "u1", "", OFFER));
    assert_eq!(peer.labels().last().unwrap(), "491 UPDATE");
}

#[test]
fn rfc3311_5_1_we_update_a_caller_before_the_answer() {
    let (mut peer, session, early) = ringing(TAKES);
    acknowledge(&mut peer, &early);
    assert!(peer.endpoint.update(peer.now, session, &sdp(OFFER)));
    peer.drain();
    let update = peer.last("UPDATE");
    assert_eq!(update.from().unwrap().tag(), early.to().unwrap().tag());
    peer.receive(answer(&update, 200, "", "Contact: <sip:bob@10.0.0.2:5060>\r\n", ANSWER));
    assert_eq!(names(&peer.events), ["reinvite answered"]);
    let (mut peer, session, early) = ringing("");
    acknowledge(&mut peer, &early);
    assert!(!peer.endpoint.update(peer.now, session, &sdp(OFFER)), "it does not take it");
}

#[test]
fn b2_rfc3311_the_callee_updates_and_is_updated_in_its_early_dialog() {
    let mut peer = Alone::new();
    let session = peer.call_with(Invite { reliable: true, ..invite(udp()) });
    let request = peer.last("INVITE");
    let extra =
        format!("Require: 100rel\r\nRSeq: 1\r\nContact: <sip:bob@10.0.0.2:5060>\r\n{TAKES}");
    peer.receive(answer(&request, 180, "b", &extra, ""));
    let prack = peer.last("PRACK");
    peer.receive(within_with(&prack, "UPDATE", 1, "u0", "", OFFER));
    assert_eq!(peer.labels().last().unwrap(), "491 UPDATE", "our offer has no answer yet");
    assert!(!peer.endpoint.update(peer.now, session, &sdp(OFFER)));
    peer.receive(answer(&request, 183, "b", &extra.replace("RSeq: 1", "RSeq: 2"), ANSWER));
    peer.receive(within_with(&prack, "UPDATE", 2, "u1", "", OFFER));
    assert_eq!(names(&peer.events).last().unwrap(), "reinvite");
    peer.receive(within_with(&prack, "UPDATE", 3, "u2", "", OFFER));
    assert_eq!(peer.labels().last().unwrap(), "500 UPDATE");
    peer.endpoint.accept_reinvite(peer.now, session, sdp(ANSWER));
    peer.drain();
    assert_eq!(peer.last("200 UPDATE").body(), ANSWER.as_bytes());
    assert!(peer.endpoint.update(peer.now, session, &sdp(OFFER)));
    peer.drain();
    let update = peer.last("UPDATE");
    assert_eq!(update.cseq().unwrap().number, 4, "after the INVITE and two PRACKs");
    peer.receive(answer(&update, 200, "", "Contact: <sip:bob@10.0.0.2:5060>\r\n", ANSWER));
    assert_eq!(names(&peer.events).last().unwrap(), "reinvite answered");
    peer.receive(ok(&request, "b"));
    assert!(matches!(peer.events.last(), Some(Event::Answered { sdp: None, .. })));
    peer.receive(within(&peer.last("ACK"), "BYE", 2, "low", ""));
    assert_eq!(peer.labels().last().unwrap(), "500 BYE", "§12.2.2: its numbers went on");
}

#[test]
fn rfc3311_5_2_in_an_early_dialog_that_is_not_kept_it_is_put_off_and_not_left_without_an_answer() {
    let mut peer = Alone::new();
    peer.call();
    let request = peer.last("INVITE");
    peer.receive(answer(&request, 180, "b", "Contact: <sip:bob@10.0.0.2:5060>\r\n", ""));
    // A request within that dialog, as the peer would write it.
    let text = String::from_utf8(request.bytes().to_vec()).unwrap();
    let tagged = text.replace("To: <sip:bob@10.0.0.2>", "To: <sip:bob@10.0.0.2>;tag=b");
    assert_ne!(text, tagged);
    let dialog = Message::parse(Bytes::from(tagged)).unwrap();
    peer.receive(within(&dialog, "UPDATE", 1, "u0", "Contact: <sip:bob@10.0.0.2:5060>\r\n"));
    assert!(peer.last("500 UPDATE").retry_after().is_some());
}

#[test]
fn rfc3311_between_two_endpoints_offers_cross_and_both_are_settled() {
    let mut world = World::new();
    let session = world.call();
    world.run(50);
    let called = world.called();
    let now = world.now;
    world.ends[1].accept(now, called, sdp(ANSWER), Vec::new());
    world.drain();
    world.run(500);
    let now = world.now;
    assert!(world.ends[0].update(now, session, &sdp(OFFER)));
    assert!(world.ends[1].update(now, called, &sdp(OFFER)));
    world.drain();
    for _ in 0..60 {
        world.run(100);
        for (end, id) in [(0, session), (1, called)] {
            let now = world.now;
            world.ends[end].accept_reinvite(now, id, sdp(ANSWER));
        }
        world.drain();
    }
    for end in 0..2 {
        let heard = names(&world.events[end]);
        assert!(heard.contains(&"reinvite answered".to_owned()), "{end}: {heard:?}");
    }
    assert!(world.log.iter().any(|(_, label)| label == "491 UPDATE"), "they did cross");
}
