//! Challenges of our requests: answered for the configured trunk and realm, and for nobody else.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod world;

use sip::digest;
use sip::endpoint::{Credentials, Event, Flow, OutOfDialog, SessionId};
use sip::wire::{HeaderName, Message, Method, Uri};
use world::*;

fn credentials(realm: Option<&str>) -> Option<Credentials> {
    let realm = realm.map(str::to_owned);
    Some(Credentials { realm, username: "tandem".into(), password: "secret".into() })
}

fn challenge(kind: &str, realm: &str, nonce: &str, more: &str) -> String {
    format!("{kind}: Digest realm=\"{realm}\", nonce=\"{nonce}\", qop=\"auth\"{more}\r\n")
}

fn call(realm: Option<&str>) -> (Alone, SessionId, Message) {
    let mut peer = Alone::new();
    let mut wish = invite(udp());
    wish.credentials = credentials(realm);
    let session = peer.call_with(wish);
    let request = peer.last("INVITE");
    (peer, session, request)
}

/// Whether the request bears the right answer for this realm and nonce.
fn is_signed(request: &Message, header: HeaderName, realm: &str, nonce: &str) -> bool {
    let Some(value) = request.header(header) else { return false };
    let answer = digest::Authorization::parse(value).unwrap();
    let protection = answer.protection.as_ref().unwrap();
    let method = request.method().unwrap().as_str();
    let ha1 = digest::ha1(digest::Algorithm::Md5, "tandem", realm, "secret");
    let qop = Some(("auth", protection.nc_text.as_str(), protection.cnonce.as_str()));
    let expected = digest::response(
        digest::Algorithm::Md5,
        &ha1,
        method,
        request.request_uri().unwrap(),
        nonce,
        qop,
    );
    answer.realm == realm && answer.nonce == nonce && answer.response == expected
}

#[test]
fn a16_rfc3261_22_2_a_challenged_invite_goes_out_again_in_a_new_transaction() {
    for (code, asks, answers) in [
        (401, "WWW-Authenticate", HeaderName::Authorization),
        (407, "Proxy-Authenticate", HeaderName::ProxyAuthorization),
    ] {
        let (mut peer, _, first) = call(Some("trunk"));
        peer.receive(answer(&first, code, "c", &challenge(asks, "trunk", "n1", ""), ""));
        assert_eq!(peer.labels(), ["INVITE", "ACK", "INVITE"]);
        let second = peer.last("INVITE");
        assert!(is_signed(&second, answers, "trunk", "n1"));
        assert_ne!(second.via().unwrap().branch(), first.via().unwrap().branch());
        assert_eq!(second.cseq().unwrap().number, first.cseq().unwrap().number + 1);
        assert_eq!(second.call_id(), first.call_id());
        assert_eq!(second.from().unwrap(), first.from().unwrap());
        assert_eq!(second.to().unwrap().tag(), None);
        assert_eq!(second.body(), first.body());
        assert!(peer.events.is_empty());
        peer.receive(ok(&second, "b"));
        assert_eq!(names(&peer.events), ["answered"]);
        let ack = peer.last("ACK");
        assert_eq!(ack.header(answers), second.header(answers), "§13.2.2.4: same credentials");
        assert_eq!(ack.cseq().unwrap().number, 2);
    }
}

#[test]
fn a16_without_credentials_or_with_a_foreign_realm_the_challenge_is_a_refusal() {
    let mut peer = Alone::new();
    peer.call();
    let request = peer.last("INVITE");
    let asks = challenge("WWW-Authenticate", "trunk", "n", "");
    peer.receive(answer(&request, 401, "c", &asks, ""));
    assert_eq!(names(&peer.events), ["failed 401"]);
    let (mut peer, _, request) = call(Some("other"));
    peer.receive(answer(&request, 401, "c", &asks, ""));
    assert_eq!(names(&peer.events), ["failed 401"]);
    assert_eq!(peer.times("INVITE").len(), 1);
}

#[test]
fn rfc3261_22_3_the_loop_of_challenges_ends() {
    let (mut peer, _, first) = call(Some("trunk"));
    peer.receive(answer(&first, 401, "c", &challenge("WWW-Authenticate", "trunk", "n1", ""), ""));
    let second = peer.last("INVITE");
    peer.receive(answer(&second, 401, "c", &challenge("WWW-Authenticate", "trunk", "n2", ""), ""));
    assert_eq!(names(&peer.events), ["failed 401"], "the password is wrong");
    let (mut peer, _, first) = call(Some("trunk"));
    let stale = |nonce: &str| challenge("WWW-Authenticate", "trunk", nonce, ", stale=true");
    peer.receive(answer(&first, 401, "c", &stale("n1"), ""));
    for nonce in ["n2", "n3", "n4"] {
        let request = peer.last("INVITE");
        peer.receive(answer(&request, 401, "c", &stale(nonce), ""));
    }
    assert_eq!(peer.times("INVITE").len(), 3, "stale nonces are answered, but not for ever");
    assert_eq!(names(&peer.events), ["failed 401"]);
}

#[test]
fn advisory_8_a_challenge_from_elsewhere_is_not_answered() {
    let (mut peer, _, request) = call(Some("trunk"));
    let asks = challenge("WWW-Authenticate", "trunk", "n1", "");
    let elsewhere = Flow::udp(address(A), address("10.0.0.66:5060"));
    peer.receive_over(elsewhere, answer(&request, 401, "c", &asks, ""));
    assert_eq!(peer.times("INVITE").len(), 1);
    assert_eq!(names(&peer.events), ["failed 401"]);
}

#[test]
fn advisory_8_a_callee_that_challenges_our_bye_learns_nothing() {
    // No realm is configured and none has challenged the INVITE: the peer that answered it is not
    // known to be the trunk.
    let (mut peer, session, request) = call(None);
    peer.receive(ok(&request, "b"));
    peer.endpoint.bye(peer.now, session, None);
    peer.drain();
    let bye = peer.last("BYE");
    peer.receive(answer(&bye, 401, "", &challenge("WWW-Authenticate", "trunk", "n1", ""), ""));
    assert_eq!(peer.times("BYE").len(), 1);
    assert_eq!(names(&peer.events), ["answered", "bye done"]);
    // Another realm than the one that challenged the INVITE.
    let (mut peer, session, first) = call(None);
    let asks = challenge("Proxy-Authenticate", "trunk", "n1", "");
    peer.receive(answer(&first, 407, "c", &asks, ""));
    let request = peer.last("INVITE");
    peer.receive(ok(&request, "b"));
    peer.endpoint.bye(peer.now, session, None);
    peer.drain();
    let bye = peer.last("BYE");
    peer.receive(answer(&bye, 407, "", &challenge("Proxy-Authenticate", "gateway", "n1", ""), ""));
    assert_eq!(peer.times("BYE").len(), 1);
    // A call that came to us has no credentials at all: nothing to leak.
    let mut peer = Alone::new();
    peer.receive(world::request("INVITE", "i1", "", OFFER));
    let Event::Invite { session, .. } = peer.events[0] else { panic!() };
    peer.endpoint.accept(peer.now, session, ANSWER.into(), Vec::new());
    peer.drain();
    let ours = peer.last("200 INVITE");
    peer.receive(within(&ours, "ACK", 1, "a1", ""));
    peer.endpoint.bye(peer.now, session, None);
    peer.drain();
    let bye = peer.last("BYE");
    peer.receive(answer(&bye, 401, "", &challenge("WWW-Authenticate", "trunk", "n1", ""), ""));
    assert_eq!(peer.times("BYE").len(), 1);
}

#[test]
fn a_bye_challenged_by_the_trunk_is_signed() {
    let (mut peer, session, first) = call(None);
    let asks = challenge("Proxy-Authenticate", "trunk", "n1", "");
    peer.receive(answer(&first, 407, "c", &asks, ""));
    let request = peer.last("INVITE");
    peer.receive(ok(&request, "b"));
    peer.endpoint.bye(peer.now, session, None);
    peer.drain();
    let bye = peer.last("BYE");
    peer.receive(answer(&bye, 407, "", &challenge("Proxy-Authenticate", "trunk", "n9", ""), ""));
    let again = peer.last("BYE");
    assert!(is_signed(&again, HeaderName::ProxyAuthorization, "trunk", "n9"));
    assert_eq!(again.cseq().unwrap().number, bye.cseq().unwrap().number + 1);
    assert_eq!(names(&peer.events), ["answered"]);
    peer.receive(answer(&again, 200, "", "", ""));
    assert_eq!(names(&peer.events), ["answered", "bye done"]);
    peer.assert_empty_after(40_000);
}

#[test]
fn a_cancelled_call_is_not_tried_again() {
    let (mut peer, session, request) = call(Some("trunk"));
    peer.endpoint.cancel(peer.now, session, None);
    let asks = challenge("WWW-Authenticate", "trunk", "n1", "");
    peer.receive(answer(&request, 401, "c", &asks, ""));
    assert_eq!(peer.times("INVITE").len(), 1);
    assert_eq!(names(&peer.events), ["failed 401"]);
}

/// A proxy that forks may send a 2xx of one branch after the challenge of another (§16.7 step 5).
#[test]
fn rfc3261_9_1_an_invite_sent_anew_is_cancelled_when_the_challenged_one_is_accepted_after_all() {
    let (mut peer, session, first) = call(Some("trunk"));
    peer.receive(answer(&first, 401, "c", &challenge("WWW-Authenticate", "trunk", "n1", ""), ""));
    let second = peer.last("INVITE");
    peer.receive(answer(&second, 180, "d", "", ""));
    peer.receive(ok(&first, "b"));
    assert_eq!(peer.labels()[3..], ["CANCEL", "ACK"]);
    let cancel = peer.last("CANCEL");
    assert_eq!(cancel.via().unwrap().branch(), second.via().unwrap().branch());
    peer.receive(answer(&cancel, 200, "d", "", ""));
    peer.receive(answer(&second, 487, "d", "", ""));
    assert_eq!(peer.labels()[5..], ["ACK"]);
    assert_eq!(names(&peer.take_events()), ["progress 180", "answered"]);
    peer.endpoint.bye(peer.now, session, None);
    peer.drain();
    let bye = peer.last("BYE");
    peer.receive(answer(&bye, 200, "", "", ""));
    peer.assert_empty_after(70_000);
}

#[test]
fn rfc3261_22_2_a_second_challenge_after_the_first_invite_was_accepted_rings_nobody_again() {
    let (mut peer, session, first) = call(Some("trunk"));
    peer.receive(answer(&first, 401, "c", &challenge("WWW-Authenticate", "trunk", "n1", ""), ""));
    let second = peer.last("INVITE");
    peer.receive(ok(&first, "b"));
    let stale = challenge("WWW-Authenticate", "trunk", "n2", ", stale=true");
    peer.receive(answer(&second, 401, "d", &stale, ""));
    assert_eq!(peer.times("INVITE").len(), 2);
    assert_eq!(names(&peer.take_events()), ["answered"]);
    // RFC 4028 §7.3 asks for a longer interval: the same.
    let (mut other, _, first) = call(Some("trunk"));
    other.receive(answer(&first, 401, "c", &challenge("WWW-Authenticate", "trunk", "n1", ""), ""));
    let second = other.last("INVITE");
    other.receive(ok(&first, "b"));
    other.receive(answer(&second, 422, "d", "Min-SE: 3600\r\n", ""));
    assert_eq!(other.times("INVITE").len(), 2);
    peer.endpoint.bye(peer.now, session, None);
    peer.drain();
    let bye = peer.last("BYE");
    peer.receive(answer(&bye, 200, "", "", ""));
    peer.assert_empty_after(70_000);
}

/// Found by random scripts: the second INVITE rang for ever, and nobody waited for it.
#[test]
fn rfc3261_9_1_an_invite_that_nobody_waits_for_is_cancelled_as_soon_as_it_rings() {
    for wanted in [true, false] {
        let (mut peer, session, first) = call(Some("trunk"));
        let asks = challenge("WWW-Authenticate", "trunk", "n1", "");
        peer.receive(answer(&first, 401, "c", &asks, ""));
        let second = peer.last("INVITE");
        if !wanted {
            // §9.1: it waits for a 1xx.
            peer.endpoint.cancel(peer.now, session, None);
        }
        peer.receive(ok(&first, "b"));
        let tells = if wanted { "answered" } else { "failed 487 crossed" };
        assert_eq!(names(&peer.take_events()), [tells]);
        peer.endpoint.bye(peer.now, session, None);
        peer.drain();
        let bye = peer.last("BYE");
        peer.receive(answer(&bye, 200, "", "", ""));
        assert!(peer.times("CANCEL").is_empty(), "the second may not have arrived");
        for _ in 0..2 {
            peer.receive(answer(&second, 180, "d", "", ""));
        }
        assert_eq!(peer.times("CANCEL").len(), 1, "rang twice, cancelled once");
        peer.receive(answer(&peer.last("CANCEL"), 200, "d", "", ""));
        peer.wait(10_000);
        peer.receive(answer(&second, 180, "d", "", ""));
        assert_eq!(peer.times("CANCEL").len(), 1, "and it is not given longer for ringing again");
        // Its 487 is lost.
        peer.assert_empty_after(110_000);
    }
}

#[test]
fn a_request_outside_of_sessions_is_signed_and_keeps_its_series() {
    let mut peer = Alone::new();
    let wish = |series| OutOfDialog {
        method: Method::Register,
        uri: Uri::parse("sip:trunk.example").unwrap(),
        flow: udp(),
        from: name("sip:me@trunk.example"),
        to: name("sip:me@trunk.example"),
        headers: vec![("Contact".into(), b"<sip:me@10.0.0.1>".to_vec())],
        body: None,
        credentials: credentials(None),
        series,
    };
    let id = peer.endpoint.request(peer.now, wish(None));
    peer.drain();
    let first = peer.last("REGISTER");
    assert_eq!(first.contacts().unwrap().len(), 1);
    let asks = challenge("WWW-Authenticate", "trunk", "n1", "");
    peer.receive(answer(&first, 401, "c", &asks, ""));
    let second = peer.last("REGISTER");
    assert!(is_signed(&second, HeaderName::Authorization, "trunk", "n1"));
    peer.receive(answer(&second, 200, "c", "", ""));
    let Event::Response { id: answered, code: 200, cseq: 2, call_id, .. } = &peer.events[0] else {
        panic!("{:?}", peer.events)
    };
    assert_eq!((*answered, Some(call_id.as_str())), (id, first.call_id()));
    let series = Some((call_id.clone(), 2));
    peer.endpoint.request(peer.now, wish(series));
    peer.drain();
    let third = peer.last("REGISTER");
    assert_eq!((third.call_id(), third.cseq().unwrap().number), (first.call_id(), 3));
    peer.wait(33_000);
    assert!(matches!(&peer.events[1], Event::Response { code: 408, message: None, .. }));
    assert_eq!(peer.times("REGISTER").len(), 2 + 11, "A2: eleven sends");
    peer.assert_empty_after(33_000);
}

#[test]
fn rfc3261_8_1_3_1_a_request_that_cannot_be_sent_is_503() {
    let mut peer = Alone::new();
    let wish = OutOfDialog {
        method: Method::Options,
        uri: Uri::parse("sip:trunk.example").unwrap(),
        flow: tcp(None),
        from: name("sip:me@trunk.example"),
        to: name("sip:trunk.example"),
        headers: Vec::new(),
        body: None,
        credentials: None,
        series: None,
    };
    peer.endpoint.request(peer.now, wish);
    peer.endpoint.handle_flow_error(peer.now, tcp(None));
    peer.drain();
    assert_eq!(names(&peer.events), ["response 503"]);
}

/// A re-INVITE that its session gave up, or that outlived it, was sent anew for a challenge: nobody
/// waited for that one, and a single 180 kept it for ever.
#[test]
fn rfc3261_22_2_a_reinvite_that_nobody_waits_for_is_not_sent_anew_for_a_challenge() {
    let asks = |nonce: &str| challenge("WWW-Authenticate", "trunk", nonce, "");
    for ended in [true, false] {
        let (mut peer, session, first) = call(Some("trunk"));
        peer.receive(ok(&first, "b"));
        let offer = bytes::Bytes::from_static(OFFER.as_bytes());
        assert!(peer.endpoint.reinvite(peer.now, session, offer));
        peer.drain();
        let reinvite = peer.last("INVITE");
        peer.receive(answer(&reinvite, 180, "", "", ""));
        if ended {
            peer.endpoint.bye(peer.now, session, None);
            peer.drain();
        } else {
            // Twice timer B of ringing, and the session gives it up.
            peer.wait(64_000);
            assert_eq!(peer.sent("CANCEL").len(), 1);
        }
        let before = peer.sent("INVITE").len();
        peer.receive(answer(&reinvite, 401, "", &asks("n1"), ""));
        assert_eq!(peer.sent("INVITE").len(), before, "ended {ended}");
        peer.endpoint.bye(peer.now, session, None);
        peer.drain();
        peer.assert_empty_after(64_000);
    }
}
