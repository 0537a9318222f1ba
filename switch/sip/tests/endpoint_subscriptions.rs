//! Subscriptions as the endpoint keeps them (RFC 6665 §4.2, §4.4): dialogs, order, time, connections.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod world;

use bytes::Bytes;
use sip::endpoint::{Event, Flow, Limits, RequestId, SubscriptionId, Transport};
use sip::wire::HeaderName;
use world::*;

const BODY: &[u8] = b"Messages-Waiting: no\r\n";

fn asked(peer: &mut Alone) -> RequestId {
    match peer.take_events().pop() {
        Some(Event::Subscribe { id, .. }) => id,
        other => panic!("{other:?}"),
    }
}

fn subscribe_over(peer: &mut Alone, flow: Flow, branch: &str, seconds: u64) -> SubscriptionId {
    let extra = format!("Event: message-summary\r\nExpires: {seconds}\r\n");
    peer.receive_over(flow, request("SUBSCRIBE", branch, &extra, ""));
    let id = asked(peer);
    let event = "message-summary".to_owned();
    let opened = peer.endpoint.subscribed(peer.now, id, flow, event, ms(seconds * 1000)).unwrap();
    assert!(peer.endpoint.notify(peer.now, opened, Some(("text/plain", Bytes::from_static(BODY)))));
    peer.drain();
    opened
}

#[test]
fn rfc6665_4_4_1_a_subscription_has_its_own_dialog_and_dies_with_its_connection() {
    let mut peer = Alone::new();
    subscribe_over(&mut peer, udp(), "s1", 600);
    let ok = peer.last("200 SUBSCRIBE");
    assert_eq!(ok.header(HeaderName::Expires), Some(b"600".as_slice()));
    let notify = peer.last("NOTIFY");
    assert_eq!(notify.request_uri(), Some("sip:bob@10.0.0.2:5060"), "the Contact of the SUBSCRIBE");
    assert_eq!((notify.from_tag(), notify.to_tag()), (ok.to_tag(), ok.from_tag()));
    assert_eq!(notify.call_id(), ok.call_id());
    peer.receive(answer(&notify, 200, "", "Contact: <sip:bob@10.0.0.2:5099>\r\n", ""));
    assert_eq!(names(&peer.take_events()), ["notified"]);

    peer.sent.clear();
    peer.receive(within(&ok, "BYE", 5, "w1", ""));
    peer.receive(within(&ok, "SUBSCRIBE", 4, "w2", "Event: message-summary\r\n"));
    assert_eq!(peer.labels(), ["405 BYE", "500 SUBSCRIBE"]);
    assert_eq!(peer.endpoint.counts().subscriptions, 1);

    let on = tcp(Some(7));
    let second = subscribe_over(&mut peer, on, "s2", 600);
    assert_eq!(peer.sent("NOTIFY").last().unwrap().1.transport, Transport::Tcp);
    assert!(peer.endpoint.uses(&on) && !peer.endpoint.uses(&tcp(Some(8))));
    peer.endpoint.handle_flow_error(peer.now, on);
    peer.drain();
    let gone = |event: &Event| matches!(event, Event::Unsubscribed { subscription } if *subscription == second);
    assert_eq!(peer.take_events().iter().filter(|event| gone(event)).count(), 1, "told once");
    assert_eq!(peer.endpoint.counts().subscriptions, 1, "the other one stands");
    peer.assert_empty_after(700_000);
    assert_eq!(names(&peer.events), ["unsubscribed"], "its time is over");
    let last = peer.last("NOTIFY");
    assert_eq!(
        last.request_uri(),
        Some("sip:bob@10.0.0.2:5099"),
        "RFC 6665 §4.4.1: the target moved"
    );
}

#[test]
fn rfc6665_4_2_2_while_a_notify_is_under_way_no_other_leaves_but_the_last() {
    let mut peer = Alone::new();
    let opened = subscribe_over(&mut peer, udp(), "s1", 600);
    assert!(!peer.endpoint.notify(peer.now, opened, None));
    peer.endpoint.end_subscription(peer.now, opened, "deactivated", None);
    peer.drain();
    let first = peer.sent("NOTIFY")[0].2.clone();
    let last = peer.last("NOTIFY");
    assert_eq!(
        last.header(HeaderName::SubscriptionState),
        Some(b"terminated;reason=deactivated".as_slice())
    );
    assert_eq!(last.cseq().unwrap().number, first.cseq().unwrap().number + 1);
    // What the first one is answered concerns nobody any more.
    peer.receive(answer(&first, 481, "", "", ""));
    peer.assert_empty_after(40_000);
    assert!(peer.events.is_empty());
}

#[test]
fn rfc6665_beyond_the_maximum_of_all_subscriptions_it_is_503() {
    let mut setup = config(A, 1);
    setup.limits = Limits { subscriptions_max: 1, ..Limits::default() };
    let mut peer = Alone::with(setup);
    subscribe_over(&mut peer, udp(), "s1", 60);
    peer.receive(request("SUBSCRIBE", "s2", "Event: message-summary\r\n", ""));
    let id = asked(&mut peer);
    let refused = peer.endpoint.subscribed(peer.now, id, udp(), "message-summary".into(), ms(1));
    assert_eq!(refused, None);
    peer.drain();
    assert!(peer.last("503 SUBSCRIBE").retry_after().is_some());
    assert_eq!(peer.endpoint.counts().subscriptions, 1);
    peer.assert_empty_after(100_000);
}
