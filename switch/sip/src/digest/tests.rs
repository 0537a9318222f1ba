//! Conformance A16: digest authentication.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;
use crate::wire::Message;

const REALM: &str = "sip.example.net";

fn source() -> IpAddr {
    "192.0.2.7".parse().unwrap()
}

struct World {
    now: Instant,
    guard: Guard,
}

impl World {
    fn new() -> World {
        World::with(GuardConfig::new(REALM, [7; 32]))
    }

    fn with(config: GuardConfig) -> World {
        let now = Instant::now_for_tests();
        World { now, guard: Guard::new(now, config) }
    }

    fn challenge(&mut self, algorithm: Algorithm) -> Challenge {
        let values = self.guard.challenge(self.now, source(), false);
        let mut read = values.iter().filter_map(|value| Challenge::parse(value.as_bytes()));
        read.find(|challenge| challenge.algorithm == algorithm).unwrap()
    }

    fn check(&mut self, authorization: &str) -> Verdict {
        self.check_as("REGISTER", "sip:sip.example.net", source(), authorization)
    }

    fn check_as(&mut self, method: &str, uri: &str, from: IpAddr, authorization: &str) -> Verdict {
        let text = format!("{method} {uri} SIP/2.0\r\nAuthorization: {authorization}\r\n\r\n");
        let request = Message::parse(Bytes::from(text)).unwrap();
        self.guard.check(self.now, from, &request, HeaderName::Authorization, |user, algorithm| {
            (user == "1001").then(|| ha1(algorithm, "1001", REALM, "secret"))
        })
    }
}

/// The one place in these tests that asks for an instant: every later one is computed from it.
trait NowForTests {
    fn now_for_tests() -> Instant;
}

impl NowForTests for Instant {
    #[allow(clippy::disallowed_methods, reason = "an Instant has no other origin")]
    fn now_for_tests() -> Instant {
        Instant::now()
    }
}

fn answer(challenge: &Challenge, password: &str, nc: u32) -> String {
    challenge.answer("1001", password, "REGISTER", "sip:sip.example.net", nc, "c0ffee").unwrap()
}

#[test]
fn a16_rfc7616_3_9_1_and_rfc2617_3_5_examples() {
    let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
    let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
    for (algorithm, expected) in [
        (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
        (Algorithm::Sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ] {
        let ha1 = ha1(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life");
        let qop = Some(("auth", "00000001", cnonce));
        assert_eq!(response(algorithm, &ha1, "GET", "/dir/index.html", nonce, qop), expected);
    }
    let old = ha1(Algorithm::Md5, "Mufasa", "testrealm@host.com", "Circle Of Life");
    let nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093";
    let qop = Some(("auth", "00000001", "0a4f113b"));
    let digest = response(Algorithm::Md5, &old, "GET", "/dir/index.html", nonce, qop);
    assert_eq!(digest, "6629fae49393a05397450978507c4ef1");
    // RFC 2069's form, with its erratum's digest.
    let ha1 = ha1(Algorithm::Md5, "Mufasa", "testrealm@host.com", "CircleOfLife");
    let digest = response(Algorithm::Md5, &ha1, "GET", "/dir/index.html", nonce, None);
    assert_eq!(digest, "1949323746fe6a43ef61f9606e7febea");
}

#[test]
fn a16_rfc8760_2_4_one_header_per_algorithm_strongest_first() {
    let mut world = World::new();
    let values = world.guard.challenge(world.now, source(), false);
    let read: Vec<_> =
        values.iter().map(|value| Challenge::parse(value.as_bytes()).unwrap()).collect();
    let algorithms: Vec<_> = read.iter().map(|challenge| challenge.algorithm).collect();
    assert_eq!(algorithms, [Algorithm::Sha256, Algorithm::Md5]);
    assert!(read.iter().all(|challenge| challenge.qop == ["auth"] && !challenge.stale));
    assert!(values.iter().all(|value| !value.contains("stale")));
}

#[test]
fn a16_both_algorithms_verify() {
    let mut world = World::new();
    for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
        let challenge = world.challenge(algorithm);
        let verdict = world.check(&answer(&challenge, "secret", 1));
        assert_eq!(verdict, Verdict::Accepted { username: "1001".into() });
    }
}

#[test]
fn a16_rfc7616_3_3_stale_only_for_a_right_digest_on_an_expired_nonce() {
    let mut world = World::new();
    let challenge = world.challenge(Algorithm::Md5);
    world.now += Duration::from_secs(299);
    assert!(matches!(world.check(&answer(&challenge, "secret", 1)), Verdict::Accepted { .. }));
    world.now += Duration::from_secs(2);
    let right = answer(&challenge, "secret", 2);
    assert_eq!(world.check(&right), Verdict::Stale { username: "1001".into() });
    let wrong = answer(&challenge, "guess", 3);
    let refused = Verdict::Refused { why: Refusal::Digest, username: Some("1001".into()) };
    assert_eq!(world.check(&wrong), refused);
    let values = world.guard.challenge(world.now, source(), true);
    assert!(values.iter().all(|value| Challenge::parse(value.as_bytes()).unwrap().stale));
}

#[test]
fn a16_nonces_of_an_earlier_run_are_stale_not_wrong() {
    let mut before = World::with(GuardConfig::new(REALM, [1; 32]));
    let challenge = before.challenge(Algorithm::Sha256);
    let mut after = World::new();
    let verdict = after.check(&answer(&challenge, "secret", 1));
    assert_eq!(verdict, Verdict::Stale { username: "1001".into() });
}

#[test]
fn a16_nc_rises_strictly_and_is_hexadecimal() {
    let mut world = World::new();
    let challenge = world.challenge(Algorithm::Md5);
    let replay = Verdict::Refused { why: Refusal::Replay, username: Some("1001".into()) };
    for (nc, accepted) in [
        (1, true),
        (1, false),
        (9, true),
        (10, true),
        (9, false),
        (0x0100_0000, true),
        (16, false),
        (u32::MAX, true),
        (u32::MAX, false),
    ] {
        let verdict = world.check(&answer(&challenge, "secret", nc));
        if accepted {
            assert_eq!(verdict, Verdict::Accepted { username: "1001".into() }, "nc {nc:x}");
        } else {
            assert_eq!(verdict, replay, "nc {nc:x}");
        }
    }
    // Another nonce counts anew.
    let challenge = world.challenge(Algorithm::Md5);
    assert!(matches!(world.check(&answer(&challenge, "secret", 1)), Verdict::Accepted { .. }));
}

#[test]
fn a16_a_wrong_digest_with_a_high_nc_locks_nobody_out() {
    let mut world = World::new();
    let challenge = world.challenge(Algorithm::Md5);
    let poison = answer(&challenge, "guess", u32::MAX);
    assert!(matches!(world.check(&poison), Verdict::Refused { why: Refusal::Digest, .. }));
    assert_eq!(world.guard.remembered(), 0);
    assert!(matches!(world.check(&answer(&challenge, "secret", 1)), Verdict::Accepted { .. }));
}

#[test]
fn a16_unknown_user_is_answered_like_a_known_one() {
    let mut world = World::new();
    let challenge = world.challenge(Algorithm::Md5);
    let nobody = challenge.answer("9999", "x", "REGISTER", "sip:sip.example.net", 1, "c").unwrap();
    let refused =
        |user: &str| Verdict::Refused { why: Refusal::Digest, username: Some(user.into()) };
    assert_eq!(world.check(&nobody), refused("9999"));
    assert_eq!(world.check(&answer(&challenge, "wrong", 1)), refused("1001"));
    // Nor does an old nonce tell them apart.
    world.now += Duration::from_secs(1000);
    assert_eq!(world.check(&nobody), refused("9999"));
    assert_eq!(world.check(&answer(&challenge, "wrong", 1)), refused("1001"));
}

#[test]
fn a16_replay_on_another_method_uri_or_source_is_refused() {
    let mut world = World::new();
    let challenge = world.challenge(Algorithm::Sha256);
    let made = |nc| answer(&challenge, "secret", nc);
    let digest = |verdict| matches!(verdict, Verdict::Refused { why: Refusal::Digest, .. });
    assert!(digest(world.check_as("INVITE", "sip:sip.example.net", source(), &made(1))));
    let premium = "sip:0900123@sip.example.net";
    let verdict = world.check_as("REGISTER", premium, source(), &made(2));
    assert!(matches!(verdict, Verdict::Refused { why: Refusal::Uri, .. }));
    let elsewhere = "203.0.113.9".parse().unwrap();
    let verdict = world.check_as("REGISTER", "sip:sip.example.net", elsewhere, &made(3));
    assert!(matches!(verdict, Verdict::Stale { .. }));
    // None of this has spent a count.
    assert!(matches!(world.check(&made(1)), Verdict::Accepted { .. }));
}

#[test]
fn a16_the_digest_uri_is_hashed_as_written() {
    let mut world = World::new();
    let challenge = world.challenge(Algorithm::Md5);
    let uri = "sip:SIP.example.NET:5060;transport=tcp";
    let value = challenge.answer("1001", "secret", "REGISTER", uri, 1, "c").unwrap();
    assert!(matches!(world.check(&value), Verdict::Accepted { .. }));
}

#[test]
fn rfc2069_credentials_without_qop_are_good_once() {
    let mut world = World::new();
    let challenge = Challenge { qop: vec![], ..world.challenge(Algorithm::Md5) };
    let value = answer(&challenge, "secret", 1);
    assert!(!value.contains("cnonce"));
    assert!(matches!(world.check(&value), Verdict::Accepted { .. }));
    assert!(matches!(world.check(&value), Verdict::Refused { why: Refusal::Replay, .. }));
}

#[test]
fn a16_the_table_is_bounded_and_forgetting_makes_no_replay_good() {
    let config = GuardConfig { nonces_max: 4, ..GuardConfig::new(REALM, [7; 32]) };
    let mut world = World::with(config);
    let mut first = None;
    for _ in 0..10 {
        world.now += Duration::from_millis(10);
        let challenge = world.challenge(Algorithm::Md5);
        let value = answer(&challenge, "secret", 1);
        assert!(matches!(world.check(&value), Verdict::Accepted { .. }));
        assert!(world.guard.remembered() <= 4);
        first.get_or_insert(value);
    }
    assert!(matches!(world.check(&first.unwrap()), Verdict::Stale { .. }));
    world.now += Duration::from_secs(301);
    let challenge = world.challenge(Algorithm::Md5);
    assert!(matches!(world.check(&answer(&challenge, "secret", 1)), Verdict::Accepted { .. }));
    assert_eq!(world.guard.remembered(), 1, "expired nonces are forgotten");
}

#[test]
fn unreadable_credentials_are_refused_and_foreign_ones_ignored() {
    let mut world = World::new();
    let challenge = world.challenge(Algorithm::Md5);
    let good = answer(&challenge, "secret", 1);
    let malformed = Verdict::Refused { why: Refusal::Malformed, username: None };
    for bad in [
        "Digest username=\"1001\"".to_owned(),
        good.replace("nc=00000001", "nc=x"),
        good.replace("nc=00000001", "nc=000000001ffffffff"),
        good.replace("nc=00000001", "nc=+1"),
        good.replace("username=\"1001\"", "username=\"1001\", username=\"1002\""),
    ] {
        assert_eq!(world.check(&bad), malformed, "{bad}");
    }
    let auth_int = good.replace("qop=auth", "qop=auth-int");
    assert!(matches!(
        world.check(&auth_int),
        Verdict::Refused { why: Refusal::Malformed, username: Some(_) }
    ));
    for other in [
        "NoOneKnowsThisScheme opaque=x".to_owned(),
        good.replace(REALM, "elsewhere"),
        good.replace("algorithm=MD5", "algorithm=MD5-sess"),
        good.replace("algorithm=MD5", "algorithm=SHA-512-256"),
    ] {
        assert_eq!(world.check(&other), Verdict::Missing, "{other}");
    }
    assert!(matches!(world.check(&good), Verdict::Accepted { .. }));
}

#[test]
fn a16_client_takes_the_first_challenge_it_can_answer_of_its_realm() {
    let text = "SIP/2.0 407 x\r\n\
        Proxy-Authenticate: Digest realm=\"a\", nonce=\"1\", algorithm=MD5-sess, qop=\"auth\"\r\n\
        Proxy-Authenticate: Digest realm=\"b\", nonce=\"2\", algorithm=MD5, qop=\"auth\"\r\n\
        Proxy-Authenticate: Digest realm=\"a\", nonce=\"3\", qop=\"auth-int\"\r\n\
        Proxy-Authenticate: Digest realm=\"a\", nonce=\"4\", algorithm=SHA-256,\
        \x20qop=\"auth,auth-int\", opaque=\"o\\\"p\", stale=TRUE\r\n\r\n";
    let response = Message::parse(Bytes::from(text)).unwrap();
    let (header, challenge) = challenge_of(&response, Some("a")).unwrap();
    assert_eq!(header, HeaderName::ProxyAuthorization);
    assert_eq!((challenge.nonce.as_str(), challenge.algorithm), ("4", Algorithm::Sha256));
    assert!(challenge.stale);
    let value = challenge.answer("u\"x", "p", "INVITE", "sip:1@h", 1, "c").unwrap();
    let read = Authorization::parse(value.as_bytes()).unwrap();
    assert_eq!((read.username.as_str(), read.uri.as_str()), ("u\"x", "sip:1@h"));
    assert!(value.contains("opaque=\"o\\\"p\"") && value.contains("qop=auth, nc=00000001"));
    assert_eq!(challenge_of(&response, None).unwrap().1.nonce, "2");
    assert!(challenge_of(&response, Some("c")).is_none());
}

#[test]
fn challenges_print_and_read_back() {
    let challenge = Challenge {
        realm: "a \"b\" \\".into(),
        nonce: "n".into(),
        opaque: Some("o".into()),
        algorithm: Algorithm::Sha512_256,
        stale: true,
        qop: vec!["auth".into(), "auth-int".into()],
    };
    assert_eq!(Challenge::parse(challenge.to_string().as_bytes()), Some(challenge));
}
