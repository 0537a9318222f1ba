//! Classes of faults that were found in other switches, tried on the engine: `docs/advisories.md`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::ladder::{ALICE, BOB, ladder, office, office_with, registers};
use common::phones::{bind, call_from};
use common::{CARRIER_A, REALM, Sim, extension, s, sdp_of};
use facts::{CallFacts, Outcome};
use sip::digest::{Algorithm, ha1};
use sip::wire::{HeaderName, Message};

/// Somebody whom nobody knows.
const STRANGER: &str = "203.0.113.200:5060";

fn world() -> Sim {
    let mut sim = office();
    sim.add("stranger", STRANGER, 199);
    sim
}

/// Alice calls Bob, they talk, and nothing is left.
fn a_call_goes_through(sim: &mut Sim) {
    let before = sim.settled.len();
    call_from(sim, "alice", "80001", "80002");
    sim.pick_up("bob");
    sim.advance(s(5));
    sim.hang_up("bob");
    assert_eq!(sim.settled.len(), before + 1);
    assert_eq!(sim.settled[before].outcome, Outcome::Completed);
}

fn request(method: &str, n: usize, headers: &str, body: &str) -> String {
    format!(
        "{method} sip:80002@{REALM} SIP/2.0\nVia: SIP/2.0/UDP {STRANGER};branch=z9hG4bKs{n}\n\
         Max-Forwards: 70\nFrom: <sip:80001@{REALM}>;tag=s{n}\nTo: <sip:80002@{REALM}>\n\
         Call-ID: stranger-{n}\nCSeq: 1 {method}\nContact: <sip:x@{STRANGER}>\n{headers}\
         Content-Length: {}\n\n{body}",
        body.replace('\n', "\r\n").len()
    )
}

/// What somebody hears of what he sends, for as long as any transaction may live.
fn hears(sim: &mut Sim, name: &str, text: &str) -> Vec<u16> {
    let at = sim.fars[name].at.to_string();
    let before = sim.fars[name].heard.len();
    sim.raw(&at, text);
    sim.advance(s(40));
    sim.fars[name].heard[before..].iter().filter_map(Message::status).filter(|c| *c > 100).collect()
}

// ---- 1: malformed messages, descriptions and bodies

/// What each of these did elsewhere: crash, hang, or eat the memory.
fn oddities() -> Vec<(&'static str, String)> {
    let sdp = |extra: &str| sdp_of("a").replace("\r\n", "\n") + extra;
    let described = |body: &str| {
        let method = request("INVITE", 7, "Content-Type: application/sdp\n", body);
        method.replace("sip:80002@", "sip:+861087654321@")
    };
    let mixed = |boundary: &str, body: &str| {
        let kind = format!("Content-Type: multipart/mixed;boundary={boundary}\n");
        request("INVITE", 8, &kind, body).replace("sip:80002@", "sip:+861087654321@")
    };
    let nested = (0..64).map(|n| format!("--b\nContent-Type: multipart/mixed;boundary=b{n}\n\n"));
    vec![
        ("129 headers", request("OPTIONS", 1, &"X-A: 1\n".repeat(129), "")),
        ("a header of 9 KiB", request("OPTIONS", 2, &format!("X-A: {}\n", "a".repeat(9216)), "")),
        ("a message of 65 KiB", request("MESSAGE", 3, "", &"a".repeat(65 * 1024))),
        (
            "a URI of 2 KiB",
            request("OPTIONS", 4, "", "")
                .replace("sip:80002@", &format!("sip:{}@", "a".repeat(2048))),
        ),
        ("65 media lines", described(&sdp(&"m=audio 4 RTP/AVP 0\n".repeat(65)))),
        ("257 attributes", described(&sdp(&"a=x:y\n".repeat(257)))),
        ("a payload type that is none", described(&sdp("").replace("0 8 101", "65535 0"))),
        ("RED without its map", described(&sdp("a=fmtp:98 0/0/0/0\n").replace("0 8 101", "98 0"))),
        (
            "64 crypto lines",
            described(&sdp(&"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\n".repeat(64))),
        ),
        ("a port that is none", described(&sdp("").replace("30000", "99999999999"))),
        (
            "a media line that stops",
            described("v=0\no=- 1 1 IN IP4 1.2.3.4\ns=-\nt=0 0\nm=audio\n"),
        ),
        ("a multipart without parts", mixed("b", "--b--\n")),
        ("a multipart without its boundary", mixed("nowhere", "--other\n\nx\n--other--\n")),
        ("an empty boundary", mixed("\"\"", "----\n")),
        ("64 parts in each other", mixed("b", &nested.collect::<String>())),
        (
            "a length below zero",
            request("OPTIONS", 5, "", "").replace("Content-Length: 0", "Content-Length: -1"),
        ),
        (
            "a length beyond the datagram",
            request("OPTIONS", 6, "", "")
                .replace("Content-Length: 0", "Content-Length: 4000000000"),
        ),
        (
            "70 hops of a route",
            request("INVITE", 9, &"Record-Route: <sip:203.0.113.1;lr>\n".repeat(70), ""),
        ),
        ("service routes", request("REGISTER", 10, &"Service-Route: <sip:x;lr>\n".repeat(100), "")),
        (
            "a number that is none",
            request("OPTIONS", 11, "", "").replace("CSeq: 1", "CSeq: 99999999999"),
        ),
    ]
}

#[test]
fn advisory_1_what_broke_others_is_refused_or_dropped_and_harms_no_call() {
    let mut sim = office_with(|snapshot| {
        snapshot.inbound.insert("861087654321".into(), "80003".into());
    });
    sim.add("stranger", STRANGER, 199);
    for (what, text) in oddities() {
        let heard = hears(&mut sim, "stranger", &text);
        assert!(heard.iter().all(|code| (400..700).contains(code)), "{what}: {heard:?}");
        assert!(sim.authorizations.is_empty(), "{what} of a stranger is no call");
    }
    for (what, text) in oddities() {
        // From a carrier: what can be understood of it may ring, and nobody answers.
        let heard = hears(&mut sim, "a", &text.replace(STRANGER, CARRIER_A));
        let fine = |code: &u16| [180, 183].contains(code) || (400..700).contains(code);
        assert!(heard.iter().all(fine), "{what}: {heard:?}");
        sim.assert_clean();
        let refused = |record: &CallFacts| matches!(record.outcome, Outcome::Failed(_));
        assert!(sim.settled.iter().all(refused), "{what} costs nobody anything");
    }
    bind(&mut sim, &[("80001", ALICE), ("80002", BOB)]);
    a_call_goes_through(&mut sim);
    sim.assert_clean();
}

// ---- 6: floods

/// Ninety seconds of 50 REGISTERs a second, from one source and from 250: elsewhere 8 GB were gone.
#[test]
fn advisory_6_a_flood_of_registers_leaves_nothing_behind() {
    for sources in [1, 250] {
        let mut sim = world();
        let bound = sim.engine.counts().bindings;
        for n in 0..4_500_usize {
            let from = format!("198.51.100.{}:5060", 2 + n % sources);
            let text = request("REGISTER", n, "Expires: 3600\n", "").replace(STRANGER, &from);
            sim.raw(&from, &text);
            if n % 50 == 0 {
                sim.advance(s(1));
            }
        }
        let counts = sim.engine.counts();
        assert_eq!(counts.bindings, bound);
        a_call_goes_through(&mut sim);
        sim.assert_clean();
    }
}

// ---- 7: methods that nobody guards

#[test]
fn advisory_7_no_method_of_a_stranger_does_anything() {
    let mut sim = world();
    let methods = [
        ("INVITE", &[401][..]),
        ("REGISTER", &[401]),
        ("MESSAGE", &[401, 403, 405]),
        ("SUBSCRIBE", &[401, 403, 405, 489]),
        ("PUBLISH", &[401, 403, 405]),
        ("NOTIFY", &[403, 405, 481]),
        ("REFER", &[401, 403, 405]),
        ("INFO", &[403, 405, 481]),
        ("PRACK", &[405, 481]),
        ("UPDATE", &[405, 481]),
        ("BYE", &[481]),
        ("CANCEL", &[481]),
        ("DANCE", &[405, 501]),
        // Says what we are, as everybody may ask; nothing is done.
        ("OPTIONS", &[200, 401, 403]),
    ];
    for (n, (method, allowed)) in methods.into_iter().enumerate() {
        let headers = "Event: dialog\nRefer-To: <sip:80003@tandem.test>\nExpires: 600\n";
        let heard = hears(&mut sim, "stranger", &request(method, n, headers, ""));
        assert!(heard.len() <= 1, "{method}: {heard:?}");
        assert!(heard.iter().all(|code| allowed.contains(code)), "{method}: {heard:?}");
        // One ban would make the rest of the table easy.
        sim.command(call::Command::Lift {
            token: 900 + n as u64,
            address: common::addr(STRANGER).ip(),
        });
    }
    assert!(sim.authorizations.is_empty() && sim.engine.live().is_empty());
    for name in ["alice", "bob", "carol", "a", "b", "c"] {
        assert!(sim.fars[name].heard.is_empty(), "{name} heard of it");
    }
    sim.assert_clean();
}

// ---- 9: replay

#[test]
fn advisory_9_credentials_are_good_for_one_request_of_one_source() {
    let mut sim = world();
    // Somebody read along; the request as it was is rebuilt from what Alice's phone signs.
    let (nonce, proof) = signed(&mut sim);
    let again = |method: &str, uri: &str, n: usize| {
        request(method, n, &format!("Authorization: {proof}\n"), "")
            .replace("sip:80002@tandem.test SIP", &format!("{uri} SIP"))
    };
    let uri = format!("sip:{REALM}");
    let before = sim.engine.counts().bindings;
    for (what, method, uri, n) in [
        ("by somebody else", "REGISTER", uri.as_str(), 50),
        ("for another method", "INVITE", uri.as_str(), 51),
        ("for another URI", "REGISTER", "sip:80002@tandem.test", 52),
    ] {
        let heard = hears(&mut sim, "stranger", &again(method, uri, n));
        assert_eq!(heard, [401], "{what}");
        let heard = hears(&mut sim, "alice", &again(method, uri, n + 10).replace(STRANGER, ALICE));
        assert!(heard.iter().all(|code| *code == 401), "{what}, from her address: {heard:?}");
    }
    assert!(!nonce.is_empty());
    assert_eq!(sim.engine.counts().bindings, before);
    assert!(sim.authorizations.is_empty());
    sim.assert_clean();
}

/// A nonce of ours and what Alice's password makes of it, used once by her.
fn signed(sim: &mut Sim) -> (String, String) {
    let from = ALICE;
    let text = request("REGISTER", 40, "", "")
        .replace(STRANGER, from)
        .replace("sip:80002@tandem.test SIP", "sip:tandem.test SIP")
        .replace("To: <sip:80002", "To: <sip:80001");
    sim.raw(from, &text);
    let challenge = sim.fars["alice"].heard.last().unwrap();
    let header = challenge
        .headers(HeaderName::WwwAuthenticate)
        .map(|h| String::from_utf8(h.to_vec()).unwrap())
        .find(|h| h.contains("MD5"))
        .unwrap();
    let nonce = header.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let uri = format!("sip:{REALM}");
    let ha1 = ha1(Algorithm::Md5, "80001", REALM, "right");
    let ha2 = Algorithm::Md5.hash(&["REGISTER", &uri]);
    let response = Algorithm::Md5.hash(&[&ha1, &nonce, "00000001", "abc", "auth", &ha2]);
    let proof = format!(
        "Digest username=\"80001\", realm=\"{REALM}\", nonce=\"{nonce}\", uri=\"{uri}\", \
         response=\"{response}\", algorithm=MD5, qop=auth, nc=00000001, cnonce=\"abc\""
    );
    let own = text
        .replace("branch=z9hG4bKs40", "branch=z9hG4bKs41")
        .replace("CSeq: 1 ", "CSeq: 2 ")
        .replace("Max-Forwards", &format!("Authorization: {proof}\nMax-Forwards"));
    sim.raw(from, &own);
    assert_eq!(ladder(sim, "alice").last().map(String::as_str), Some("200 REGISTER"));
    (nonce, proof)
}

// ---- 12: amplification

/// Whatever a stranger sends, no more than twice of it comes back in all, beyond what two challenges take.
#[test]
fn advisory_12_a_stranger_is_told_once_and_little() {
    const CHALLENGES: usize = 900;
    let mut sim = world();
    for (n, method) in
        ["INVITE", "REGISTER", "OPTIONS", "MESSAGE", "BYE", "ACK", "DANCE"].into_iter().enumerate()
    {
        let before = sim.fars["stranger"].heard.len();
        let text = request(method, n, "", "");
        let heard = hears(&mut sim, "stranger", &text);
        assert!(heard.len() <= 1, "{method}: {heard:?}");
        let out: usize = sim.fars["stranger"].heard[before..].iter().map(|m| m.bytes().len()).sum();
        assert!(out <= 2 * text.len() + CHALLENGES, "{method}: {out} for {}", text.len());
        assert!(method != "ACK" || out == 0, "an ACK has no answer");
    }
}

// ---- 16: who is there

/// Names of headers and everything in them but what is of this one request.
fn shape(message: &Message) -> String {
    let text = String::from_utf8_lossy(message.bytes()).into_owned();
    let kept = |line: &&str| {
        !["Via:", "From:", "To:", "Call-ID:"].iter().any(|name| line.starts_with(name))
    };
    let lines = text.lines().filter(kept).map(|line| match line.split_once("nonce=\"") {
        Some((head, rest)) => {
            format!("{head}{}", rest.split_once('"').map_or("", |(_, tail)| tail))
        }
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn advisory_16_who_is_there_and_who_is_not_are_answered_alike() {
    for method in ["REGISTER", "INVITE", "OPTIONS", "MESSAGE", "SUBSCRIBE"] {
        let mut shapes = Vec::new();
        // Registered, known but not registered, never heard of.
        for (n, user) in ["80001", "80004", "80999"].into_iter().enumerate() {
            let mut sim = office_with(|snapshot| {
                snapshot.extensions.insert("80004".into(), extension("80004", "right"));
            });
            sim.add("stranger", STRANGER, 199);
            let text = request(method, n, "Event: dialog\n", "")
                .replace("From: <sip:80001", &format!("From: <sip:{user}"))
                .replace("To: <sip:80002", &format!("To: <sip:{user}"))
                .replace("sip:80002@tandem.test SIP", &format!("sip:{user}@tandem.test SIP"));
            hears(&mut sim, "stranger", &text);
            shapes.push(sim.fars["stranger"].heard.iter().map(shape).collect::<Vec<_>>());
        }
        assert!(!shapes[0].is_empty(), "{method} is answered");
        assert!(shapes.iter().all(|one| *one == shapes[0]), "{method}: {shapes:#?}");
    }
}

#[test]
fn advisory_16_a_wrong_password_is_answered_alike_for_all() {
    let mut sim = world();
    let mut shapes = Vec::new();
    for user in ["80001", "80999"] {
        let (code, _) =
            registers(&mut sim, "stranger", (user, "wrong"), &["<sip:x@192.168.1.5>"], "600");
        assert_eq!(code, 401);
        shapes.push(shape(sim.fars["stranger"].heard.last().unwrap()));
    }
    assert_eq!(shapes[0], shapes[1]);
}
