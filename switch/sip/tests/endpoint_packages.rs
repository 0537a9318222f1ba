//! INFO packages (RFC 6086) and last words: what menus are made of (3GPP TS 24.390).
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod world;

use bytes::Bytes;
use sip::endpoint::{Event, SessionId};
use sip::wire::{HeaderName, Message};
use world::*;

const USSD: &str = "application/vnd.3gpp.ussd+xml";

/// A peer whose INVITE was accepted with these packages, and acknowledged.
fn up(packages: &str) -> (Alone, SessionId, Message) {
    let mut peer = Alone::new();
    peer.receive(request("INVITE", "i1", "Recv-Info: g.3gpp.ussd\r\n", OFFER));
    let Some(Event::Invite { session, .. }) = peer.events.first() else { panic!() };
    let session = *session;
    let headers = vec![("Recv-Info".to_owned(), packages.as_bytes().to_vec())];
    peer.endpoint.accept(peer.now, session, Bytes::from_static(ANSWER.as_bytes()), headers);
    peer.drain();
    let ok = peer.last("200 INVITE");
    peer.receive(within(&ok, "ACK", 1, "a1", ""));
    peer.take_events();
    (peer, session, ok)
}

fn info(ok: &Message, cseq: u32, package: &str, body: &str) -> String {
    let headers = format!(
        "Info-Package: {package}\r\nContent-Disposition: Info-Package\r\nContent-Type: {USSD}\r\n"
    );
    within_with(ok, "INFO", cseq, &format!("n{cseq}"), &headers, body)
        .replace("Content-Type: application/sdp\r\n", "")
}

#[test]
fn rfc6086_4_2_2_an_info_of_a_package_that_the_200_named_is_told_and_another_is_469() {
    let (mut peer, of, ok) = up("g.3gpp.ussd, nil");
    assert!(ok.lists(HeaderName::RecvInfo, "g.3gpp.ussd"));
    peer.receive(info(&ok, 2, "G.3GPP.ussd;v=1", "<ussd-data/>"));
    assert_eq!(label(&peer.last("200 INFO")), "200 INFO");
    assert!(peer.last("200 INFO").body().is_empty(), "TS 24.390: the answer is an INFO of its own");
    let told = peer.take_events();
    assert!(
        matches!(&told[..], [Event::Info { session, package: Some(package), content_type, body }]
            if *session == of && package == "G.3GPP.ussd" && content_type == USSD && body == "<ussd-data/>"),
        "{told:?}"
    );
    peer.receive(info(&ok, 3, "x-other", "<a/>"));
    let refused = peer.last("469 INFO");
    assert!(["g.3gpp.ussd", "nil"].iter().all(|name| refused.lists(HeaderName::RecvInfo, name)));
    assert!(peer.take_events().is_empty());
    // Where none was named none is taken.
    let (mut peer, _, ok) = up("");
    peer.receive(info(&ok, 2, "g.3gpp.ussd", "<ussd-data/>"));
    assert!(!peer.last("469 INFO").lists(HeaderName::RecvInfo, "g.3gpp.ussd"));
}

#[test]
fn rfc6086_4_2_1_an_info_of_a_package_says_which_and_its_body_is_the_packages() {
    let (mut peer, session, _) = up("g.3gpp.ussd");
    let body = (USSD, Bytes::from_static(b"<ussd-data/>"));
    let id = peer.endpoint.info_of(peer.now, session, "g.3gpp.ussd", body).unwrap();
    peer.drain();
    let sent = peer.last("INFO");
    assert_eq!(sent.header(HeaderName::InfoPackage), Some(b"g.3gpp.ussd".as_slice()));
    assert_eq!(sent.header(HeaderName::ContentDisposition), Some(b"Info-Package".as_slice()));
    assert_eq!((sent.content_type(), sent.body()), (Some(USSD), b"<ussd-data/>".as_slice()));
    peer.receive(answer(&sent, 200, "", "", ""));
    let told = peer.take_events();
    assert!(
        matches!(&told[..], [Event::Response { id: of, code: 200, .. }] if *of == id),
        "{told:?}"
    );
}

#[test]
fn ts24_390_last_words_stand_in_the_bye_also_when_they_wait_for_the_ack() {
    let (mut peer, session, _) = up("g.3gpp.ussd");
    peer.endpoint.bye_with(peer.now, session, (USSD, Bytes::from_static(b"<bye/>")));
    peer.drain();
    let bye = peer.last("BYE");
    assert_eq!((bye.content_type(), bye.body()), (Some(USSD), b"<bye/>".as_slice()));
    peer.receive(answer(&bye, 200, "", "", ""));
    assert_eq!(names(&peer.take_events()), ["bye done"]);
    peer.assert_empty_after(40_000);

    let mut peer = Alone::new();
    peer.receive(request("INVITE", "i2", "", OFFER));
    let Some(Event::Invite { session, .. }) = peer.events.first() else { panic!() };
    let session = *session;
    peer.endpoint.accept(peer.now, session, Bytes::from_static(ANSWER.as_bytes()), Vec::new());
    peer.endpoint.bye_with(peer.now, session, (USSD, Bytes::from_static(b"<bye/>")));
    peer.drain();
    assert!(peer.times("BYE").is_empty(), "RFC 3261 §15: not before the ACK");
    peer.receive(within(&peer.last("200 INVITE"), "ACK", 1, "a1", ""));
    assert_eq!(peer.last("BYE").body(), b"<bye/>");
}
