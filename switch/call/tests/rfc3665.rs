//! RFC 3665, Basic Call Flow Examples, with the switch where the flows have their registrar and proxies: what each end
//! receives is what it receives there. `docs/rfc/3665.md` says flow by flow what differs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use bytes::Bytes;
use common::ladder::{
    ALICE, BOB, answers, gives_up, ladder, latest, nobody_talks, office, office_with, registers,
};
use common::phones::{call_from, own};
use common::{CARRIER_B, REALM, Sim, extension, s, sdp_of};
use facts::media::MediaCommand;
use facts::settings::{Route, TrunkCredentials};
use facts::{Failure, Kind, LegNo, Origin, Outcome, TrunkId};
use sip::endpoint::{Event, Flow, Invite};
use sip::wire::{HeaderName, NameAddr, Uri};

const OWN: (&str, &str) = ("80001", "right");
/// Somebody outside, by carrier B.
const OUTSIDE: &str = "01088880000";

// ---- 2 registration

/// No binding yet, unlike in [`office`].
fn registrar() -> Sim {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            snapshot.extensions.insert("80001".into(), extension("80001", "right"));
        },
    );
    sim.add("bob", BOB, 181);
    sim
}

#[test]
fn rfc3665_2_1_successful_new_registration() {
    let mut sim = registrar();
    let (code, contacts) = registers(&mut sim, "bob", OWN, &["<sip:bob@192.168.1.5>"], "600");
    assert_eq!((code, contacts), (200, vec!["<sip:bob@192.168.1.5>;expires=600".to_owned()]));
    assert_eq!(ladder(&sim, "bob"), ["401 REGISTER", "200 REGISTER"]);
    assert!(latest(&sim, "bob", "401 REGISTER").header(HeaderName::WwwAuthenticate).is_some());
    assert_eq!(sim.engine.counts().bindings, 1);
}

#[test]
fn rfc3665_2_2_update_of_contact_list() {
    let mut sim = registrar();
    registers(&mut sim, "bob", OWN, &["<sip:bob@192.168.1.5>"], "600");
    let more = ["<sip:bob@192.168.1.6>;q=0.2"];
    let (code, contacts) = registers(&mut sim, "bob", OWN, &more, "600");
    let both = ["<sip:bob@192.168.1.5>;expires=600", "<sip:bob@192.168.1.6>;expires=600"];
    assert_eq!((code, contacts), (200, both.map(str::to_owned).to_vec()));
}

#[test]
fn rfc3665_2_3_request_for_current_contact_list() {
    let mut sim = registrar();
    registers(&mut sim, "bob", OWN, &["<sip:bob@192.168.1.5>"], "600");
    sim.advance(s(100));
    let (code, contacts) = registers(&mut sim, "bob", OWN, &[], "");
    assert_eq!((code, contacts), (200, vec!["<sip:bob@192.168.1.5>;expires=500".to_owned()]));
}

#[test]
fn rfc3665_2_4_cancellation_of_registration() {
    let mut sim = registrar();
    registers(&mut sim, "bob", OWN, &["<sip:bob@192.168.1.5>"], "600");
    let (code, contacts) = registers(&mut sim, "bob", OWN, &["*"], "0");
    assert_eq!((code, contacts, sim.engine.counts().bindings), (200, Vec::new(), 0));
}

#[test]
fn rfc3665_2_5_unsuccessful_registration() {
    let mut sim = registrar();
    let wrong = ("80001", "wrong");
    let (code, contacts) = registers(&mut sim, "bob", wrong, &["<sip:bob@192.168.1.5>"], "600");
    assert_eq!((code, contacts, sim.engine.counts().bindings), (401, Vec::new(), 0));
    assert_eq!(ladder(&sim, "bob"), ["401 REGISTER", "401 REGISTER"]);
}

// ---- 3 session establishment

/// Alice's INVITE for Bob, challenged and rung.
fn alice_rings_bob(sim: &mut Sim) {
    call_from(sim, "alice", "80001", "80002");
    sim.ring("bob", 180, None);
}

/// Alice talks with Bob.
fn alice_talks_with_bob() -> Sim {
    let mut sim = office();
    alice_rings_bob(&mut sim);
    sim.advance(s(2));
    sim.pick_up("bob");
    sim.advance(s(5));
    assert!(sim.engine.live()[0].bridged.is_some());
    sim
}

const UNTIL_ANSWERED: [&str; 3] = ["401 INVITE", "180 INVITE", "200 INVITE"];

#[test]
fn rfc3665_3_1_successful_session_establishment() {
    let mut sim = alice_talks_with_bob();
    assert_eq!(ladder(&sim, "alice"), UNTIL_ANSWERED);
    assert_eq!(ladder(&sim, "bob"), ["INVITE", "ACK"]);
    sim.hang_up("bob");
    assert_eq!(ladder(&sim, "alice")[3..], ["BYE"]);
    assert_eq!(ladder(&sim, "bob")[2..], ["200 BYE"]);
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn rfc3665_3_2_session_establishment_through_two_proxies() {
    let mut sim = office();
    call_from(&mut sim, "alice", "80001", OUTSIDE);
    // Two proxies of the carrier stay in the route: as an INVITE collects them, the callee's own is on top.
    let proxies = [CARRIER_B, "198.51.100.77:5060"].map(|at| format!("<sip:{at};lr>"));
    let recorded = format!("Record-Route: {}\nRecord-Route: {}\n", proxies[1], proxies[0]);
    answers(&mut sim, "b", "200 OK", &recorded, &sdp_of("b"));
    assert_eq!(ladder(&sim, "alice"), ["401 INVITE", "200 INVITE"]);
    sim.advance(s(5));
    sim.hang_up("alice");
    for what in ["ACK", "BYE"] {
        let routes: Vec<String> = latest(&sim, "b", what)
            .headers(HeaderName::Route)
            .map(|route| String::from_utf8(route.to_vec()).unwrap())
            .collect();
        assert_eq!(routes.join(", "), proxies.join(", "), "{what} goes by the nearer one first");
    }
    assert!(nobody_talks(&sim));
    sim.assert_clean();
}

#[test]
fn rfc3665_3_3_session_with_multiple_proxy_authentication() {
    let mut sim = office_with(|snapshot| {
        let trunk = snapshot.trunks.get_mut(&TrunkId(2)).unwrap();
        trunk.credentials = Some(TrunkCredentials {
            user: "tandem".into(),
            password: "carrier".into(),
            realm: "carrier.example".into(),
        });
    });
    call_from(&mut sim, "alice", "80001", OUTSIDE);
    let challenge = "Digest realm=\"carrier.example\", nonce=\"wf84f1ceczx41ae6cbe5aea9c8e88d359\", \
                     algorithm=MD5, qop=\"auth\"";
    let now = sim.now.mono;
    let far = sim.far("b");
    let session = far.session();
    let header = ("Proxy-Authenticate".to_owned(), challenge.as_bytes().to_vec());
    far.endpoint.reject(now, session, 407, vec![header]);
    sim.drain();
    assert_eq!(ladder(&sim, "b"), ["INVITE", "ACK", "INVITE"]);
    let again = latest(&sim, "b", "INVITE");
    let proof = again.header(HeaderName::ProxyAuthorization).expect("our own").to_vec();
    let proof = String::from_utf8(proof).unwrap();
    assert!(proof.contains("username=\"tandem\"") && proof.contains("carrier.example"), "{proof}");
    assert!(again.header(HeaderName::Authorization).is_none(), "Alice's are for us alone");
    sim.pick_up("b");
    assert_eq!(ladder(&sim, "alice"), ["401 INVITE", "200 INVITE"], "one challenge");
    sim.hang_up("alice");
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn rfc3665_3_4_successful_session_with_proxy_failure() {
    let mut sim = office_with(|snapshot| {
        let route = |trunk, priority| Route::new("8610", TrunkId(trunk), priority);
        snapshot.routes = vec![route(3, 0), route(2, 1)];
    });
    sim.far("c").dead = true;
    call_from(&mut sim, "alice", "80001", OUTSIDE);
    assert_eq!(sim.far("b").count("INVITE"), 0);
    sim.advance(s(33));
    assert_eq!(ladder(&sim, "b"), ["INVITE"], "the second one is tried");
    sim.ring("b", 180, None);
    sim.pick_up("b");
    assert_eq!(ladder(&sim, "alice"), UNTIL_ANSWERED);
    sim.hang_up("b");
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

/// We stand where the gateway of the firewall does: neither end learns where the other one is.
#[test]
fn rfc3665_3_5_session_through_a_sip_alg() {
    let sim = alice_talks_with_bob();
    let (to_bob, to_alice) = (latest(&sim, "bob", "INVITE"), latest(&sim, "alice", "200 INVITE"));
    for (message, stranger) in [(to_bob, ALICE), (to_alice, BOB)] {
        let contact =
            String::from_utf8(message.header(HeaderName::Contact).unwrap().to_vec()).unwrap();
        assert!(contact.contains("198.51.100.1"), "{contact}");
        let body = String::from_utf8(message.body().to_vec()).unwrap();
        assert!(body.contains("c=IN IP4 198.51.100.1"), "{body}");
        let whole = String::from_utf8_lossy(message.bytes()).into_owned();
        let host = stranger.split(':').next().unwrap();
        assert!(!whole.contains(host) && !whole.contains("192.0.2."), "{whole}");
    }
}

#[test]
fn rfc3665_3_6_session_via_redirect_with_sdp_in_ack() {
    let mut sim = office();
    let now = sim.now.mono;
    let far = sim.far("alice");
    let uri = Uri::parse(&format!("sip:{OUTSIDE}@{REALM}")).unwrap();
    let wish = Invite {
        uri: uri.clone(),
        flow: Flow::udp(far.at, common::addr(common::US)),
        from: NameAddr::parse(format!("<sip:80001@{REALM}>").as_bytes()).unwrap(),
        to: NameAddr::new(uri),
        contact_user: "x".into(),
        headers: Vec::new(),
        sdp: Bytes::new(),
        credentials: own("80001"),
        route: Vec::new(),
        keep_flow: false,
        reliable: false,
        timers: None,
        edits: Vec::new(),
    };
    let session = far.endpoint.invite(now, wish);
    sim.drain();
    let number = common::NUMBER_B;
    let moved = format!("<sip:+{number};rn=+8610000@{CARRIER_B}>");
    let headers = vec![("Contact".to_owned(), moved.into_bytes())];
    let far = sim.far("b");
    let first = far.session();
    far.endpoint.reject(now, first, 302, headers);
    sim.drain();
    assert_eq!(ladder(&sim, "b"), ["INVITE", "ACK", "INVITE"], "it is followed here");
    sim.pick_up("b");
    assert_eq!(ladder(&sim, "alice"), ["401 INVITE", "200 INVITE"], "she sees none");
    let offer = latest(&sim, "alice", "200 INVITE");
    assert!(String::from_utf8_lossy(offer.body()).contains("m=audio"), "our offer");
    let session = sim
        .far("alice")
        .events
        .iter()
        .rev()
        .find_map(|event| match event {
            Event::Answered { session, .. } => Some(*session),
            _ => None,
        })
        .unwrap_or(session);
    sim.far("alice").endpoint.acknowledge(session, sdp_of("a").into());
    sim.drain();
    sim.advance(s(5));
    assert!(sim.engine.live()[0].bridged.is_some(), "the ACK bore the answer");
    sim.hang_up("b");
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn rfc3665_3_7_session_with_re_invite_and_ip_address_change() {
    let mut sim = alice_talks_with_bob();
    let moved = sdp_of("bob").replace("192.0.2.3", "192.0.2.99").replace("o=- 1 1", "o=- 1 2");
    let now = sim.now.mono;
    let bob = sim.far("bob");
    let session = bob.session();
    assert!(bob.endpoint.reinvite(now, session, moved.into()));
    sim.drain();
    assert_eq!(ladder(&sim, "bob")[1..], ["ACK", "200 INVITE"]);
    let leg = sim.leg(LegNo::B);
    let remote = sim.media.iter().rev().find_map(|command| match command {
        MediaCommand::Setup { leg: l, setup } if *l == leg => Some(setup.remote),
        _ => None,
    });
    assert_eq!(remote, Some(common::addr("192.0.2.99:30000")), "sound goes where he moved to");
    assert_eq!(ladder(&sim, "alice"), UNTIL_ANSWERED, "where he is concerns nobody but us");
    sim.hang_up("alice");
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn rfc3665_3_8_unsuccessful_no_answer() {
    let mut sim = office();
    alice_rings_bob(&mut sim);
    sim.advance(s(20));
    gives_up(&mut sim, "alice");
    assert_eq!(ladder(&sim, "alice")[1..], ["180 INVITE", "200 CANCEL", "487 INVITE"]);
    assert_eq!(ladder(&sim, "bob"), ["INVITE", "CANCEL", "ACK"]);
    let why = Failure::new(Origin::LegA, Kind::Abandoned);
    assert_eq!(sim.record().outcome, Outcome::Failed(why));
    sim.assert_clean();
}

#[test]
fn rfc3665_3_9_unsuccessful_busy() {
    let mut sim = office();
    call_from(&mut sim, "alice", "80001", "80002");
    sim.refuse("bob", 486, None);
    assert_eq!(ladder(&sim, "alice"), ["401 INVITE", "486 INVITE"]);
    assert_eq!(ladder(&sim, "bob"), ["INVITE", "ACK"]);
    sim.assert_clean();
}

#[test]
fn rfc3665_3_10_unsuccessful_no_response_from_user_agent() {
    let mut sim = office();
    sim.far("bob").dead = true;
    call_from(&mut sim, "alice", "80001", "80002");
    sim.advance(s(33));
    let seen = ladder(&sim, "alice");
    assert_eq!(seen, ["401 INVITE", "480 INVITE"]);
    sim.assert_clean();
}

#[test]
fn rfc3665_3_11_unsuccessful_temporarily_unavailable() {
    let mut sim = office();
    alice_rings_bob(&mut sim);
    sim.refuse("bob", 480, None);
    assert_eq!(ladder(&sim, "alice")[1..], ["180 INVITE", "480 INVITE"]);
    assert_eq!(ladder(&sim, "bob"), ["INVITE", "ACK"]);
    sim.assert_clean();
}
