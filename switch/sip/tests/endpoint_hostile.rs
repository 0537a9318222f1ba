//! What hostile peers tried (tests/fuzz found these): each must cost no more than an answer.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod world;

use bytes::Bytes;
use sip::endpoint::{Event, Limits, SessionId};
use sip::wire::HEADERS_MAX;
use world::*;

fn called(peer: &mut Alone, branch: &str, extra: &str) -> Option<SessionId> {
    peer.receive(request("INVITE", branch, extra, OFFER));
    match peer.take_events().first() {
        Some(Event::Invite { session, .. }) => Some(*session),
        _ => None,
    }
}

/// Advisory class 12: a forged source address must not draw eleven answers.
#[test]
fn rfc3261_8_2_7_a_stranger_is_turned_away_once_and_once_for_each_copy() {
    let mut peer = Alone::new();
    let session = called(&mut peer, "i1", "").unwrap();
    peer.endpoint.turn_away(peer.now, session, 403, Vec::new());
    peer.drain();
    peer.run_to(5_000);
    assert_eq!(peer.times("403 INVITE"), [0], "not resent (§17.2.1) to whom nobody vouches for");
    peer.receive(request("INVITE", "i1", "", OFFER));
    assert_eq!(peer.times("403 INVITE"), [0, 5_000]);
    peer.assert_empty_after(32_000);
    assert_eq!(peer.sent("403 INVITE").len(), 2);

    let session = called(&mut peer, "i2", "").unwrap();
    peer.endpoint.reject(peer.now, session, 486, Vec::new());
    peer.drain();
    peer.assert_empty_after(40_000);
    assert_eq!(peer.sent("486 INVITE").len(), 11, "whom we know is told until the ACK");
}

/// A route set comes back as Route lines of each request of ours, which must stay a message.
#[test]
fn rfc3261_12_1_1_a_route_set_that_no_request_can_carry_makes_no_dialog() {
    let routes = |count| format!("Record-Route: {}\r\n", vec!["<sip:p;lr>"; count].join(","));
    let mut peer = Alone::new();
    let session = called(&mut peer, "i1", &routes(64)).unwrap();
    peer.endpoint.accept(peer.now, session, Bytes::from_static(ANSWER.as_bytes()), Vec::new());
    peer.drain();
    let ok = peer.last("200 INVITE");
    peer.receive(within(&ok, "ACK", 1, "a1", ""));
    peer.endpoint.bye(peer.now, session, None);
    peer.drain();
    let bye = peer.last("BYE");
    assert_eq!(bye.routes().unwrap().len(), 64);
    assert!(bye.fields().count() < HEADERS_MAX);
    peer.take_events();

    assert_eq!(called(&mut peer, "i2", &routes(65)), None);
    assert_eq!(peer.last("400 INVITE").status(), Some(400));

    // The same by an answer: no dialog can be built, so there is no call.
    peer.call();
    let invite = peer.last("INVITE");
    let extra = format!("{}Contact: <sip:bob@10.0.0.2>\r\n", routes(65));
    peer.receive(answer(&invite, 200, "b", &extra, ANSWER));
    assert!(matches!(peer.events[..], [Event::Failed { code: 502, .. }]), "{:?}", peer.events);
    peer.assert_empty_after(64_000);
}

/// CANCEL frees what it names, so it is served when nothing else is; but it may not fill the table.
#[test]
fn rfc3261_9_2_a_cancel_that_finds_the_table_full_is_served_and_keeps_nothing() {
    let mut setup = config(A, 1);
    setup.limits = Limits { server_transactions_max: 1, ..Limits::default() };
    let mut peer = Alone::with(setup);
    called(&mut peer, "i1", "").unwrap();
    assert_eq!(peer.endpoint.counts().server_transactions, 1);
    peer.receive(request("CANCEL", "i1", "", ""));
    // The answer draws on what `request` makes of the branch: its Call-ID is that of the INVITE.
    assert_eq!(peer.labels(), ["100 INVITE", "200 CANCEL", "487 INVITE"]);
    assert_eq!(names(&peer.events), ["cancelled"]);
    assert_eq!(peer.endpoint.counts().server_transactions, 1, "the INVITE's alone");
    peer.receive(request("CANCEL", "i1", "", ""));
    assert_eq!(peer.sent("200 CANCEL").len(), 2, "a copy draws the same");
    let tags: Vec<_> = peer.sent("200 CANCEL").iter().map(|sent| sent.2.to().unwrap()).collect();
    assert_eq!(tags[0], tags[1]);
    peer.assert_empty_after(40_000);
}
