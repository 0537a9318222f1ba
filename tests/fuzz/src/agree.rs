//! The targets whose rules go over more than one value: offers and answers of one session, a stream
//! cut at any places, credentials that were bent.

use std::time::Duration;

use bytes::Bytes;
use sip::digest::{Algorithm, Authorization, Challenge, Guard, GuardConfig, Verdict, ha1};
use sip::offer::{
    Codec, Direction, LocalAudio, LocalSession, SessionDescription, answer, events, offer,
};
use sip::wire::{HeaderName, Message};

use crate::mutate::{Random, mutate};
use crate::script::Script;
use crate::sip_text::frames;

/// Descriptions of one run at most.
const ROUNDS_MAX: usize = 32;

/// Offers and answers of one session, one after the other (RFC 3264 §8): what we say is a
/// description, an answer has the m-lines of its offer, an offer has at least those agreed on, and the
/// o= version is one more exactly when something else changed.
pub fn reoffer(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let mut session = LocalSession::new(7);
    let (mut said, mut lines): (Option<Vec<u8>>, usize) = (None, 0);
    for _ in 0..ROUNDS_MAX {
        if script.is_over() {
            return;
        }
        let turn = script.below(4);
        let local = local(&mut script);
        let length = usize::from(script.pair() % 2048);
        let theirs = script.bytes(length);
        let version = session.version();
        let ours = if turn < 2 {
            let Ok((ours, agreed)) = answer(&mut session, theirs, &local) else {
                assert_eq!(session.version(), version, "a refused offer changes nothing");
                continue;
            };
            assert_eq!(agreed.send.len(), agreed.receive.len());
            assert!(!agreed.send.is_empty(), "agreed on nothing");
            let offered = SessionDescription::parse(theirs).expect("it was answered");
            lines = offered.media.len();
            ours.to_vec()
        } else {
            let pending = offer(&mut session, local);
            let ours = pending.sdp().to_vec();
            match turn {
                2 => drop(pending.answered(theirs)),
                _ => pending.withdraw(),
            }
            ours
        };
        let read = SessionDescription::parse(&ours).expect("what we print, we read");
        if turn < 2 {
            assert_eq!(read.media.len(), lines, "RFC 3264 §6: as many m-lines as the offer");
        }
        assert!(read.media.len() >= lines, "RFC 3264 §8: m-lines never go away");
        let same = said.as_deref().is_some_and(|said| but_origin(said) == but_origin(&ours));
        let expected = if same { version } else { version + 1 };
        assert_eq!(session.version(), expected, "RFC 3264 §8: the version of o=");
        said = Some(ours);
    }
}

fn but_origin(sdp: &[u8]) -> Vec<&[u8]> {
    sdp.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"o=")).collect()
}

fn local(script: &mut Script<'_>) -> LocalAudio {
    let codecs = match script.below(3) {
        0 => vec![Codec::pcma(), Codec::pcmu()],
        1 => vec![Codec::pcmu()],
        _ => vec![Codec::opus(), Codec::pcma(), Codec::g722(), Codec::g729()],
    };
    let choice = script.byte();
    let events = if choice & 8 == 0 { events(&codecs) } else { Vec::new() };
    LocalAudio {
        direction: Direction::of(choice & 1 == 0, choice & 2 == 0),
        rtcp_mux: choice & 4 != 0,
        events,
        noise: (choice & 16 != 0).then_some(13),
        ..LocalAudio::new(([192, 0, 2, 1], 40_000).into(), codecs)
    }
}

/// A stream, cut at any places, against the same stream in one piece (RFC 3261 §18.3): the first
/// byte counts the cuts, two bytes name each.
pub fn framing(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let count = script.below(32);
    let cuts: Vec<u16> = (0..count).map(|_| script.pair()).collect();
    let stream = script.rest();
    let mut at: Vec<usize> =
        cuts.iter().map(|cut| usize::from(*cut) % (stream.len() + 1)).collect();
    at.extend([0, stream.len()]);
    at.sort_unstable();
    let parts: Vec<&[u8]> = at.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
    let (whole, whole_ends) = frames(&[stream]);
    let (cut, cut_ends) = frames(&parts);
    assert_eq!(whole_ends, cut_ends, "both end at an error or neither");
    assert_eq!(whole, cut, "the same frames");
    let mut single = Vec::new();
    for byte in stream {
        single.push(std::slice::from_ref(byte));
    }
    assert_eq!(frames(&single), (whole, whole_ends), "byte by byte");
}

/// Right credentials that were bent: whoever passes has the right user, digest and nonce count, and
/// passes once (RFC 7616 §3.4).
pub fn guard(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let algorithm = if script.byte() & 1 == 0 { Algorithm::Md5 } else { Algorithm::Sha256 };
    let now = crate::endpoint::origin();
    let source = std::net::Ipv4Addr::LOCALHOST.into();
    let mut guard = Guard::new(now, GuardConfig::new("realm", [3; 32]));
    let challenge = guard
        .challenge(now, source, false)
        .iter()
        .filter_map(|value| Challenge::parse(value.as_bytes()))
        .find(|challenge| challenge.algorithm == algorithm)
        .expect("both are offered");
    let right = challenge.answer("1001", "secret", "REGISTER", "sip:h", 1, "c").expect("it can be");
    let mut random = Random::new(u64::from(script.pair()));
    let bent = match script.below(3) {
        0 => mutate(right.as_bytes(), &mut random),
        1 => {
            let at = random.below(right.len());
            [&right.as_bytes()[..at], script.rest(), &right.as_bytes()[at..]].concat()
        }
        _ => script.rest().to_vec(),
    };
    // One header line: what would end it belongs to another test.
    let bent: Vec<u8> = bent.into_iter().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    let head = b"REGISTER sip:h SIP/2.0\r\nAuthorization: ";
    let request = Bytes::from([head, bent.as_slice(), b"\r\n\r\n"].concat());
    let Ok(request) = Message::parse(request) else { return };
    let mut check = || {
        guard.check(
            now + Duration::from_secs(1),
            source,
            &request,
            HeaderName::Authorization,
            |user, algorithm| (user == "1001").then(|| ha1(algorithm, user, "realm", "secret")),
        )
    };
    if let Verdict::Accepted { username } = check() {
        let passed = Authorization::parse(&bent).expect("it passed");
        let own = Authorization::parse(right.as_bytes()).expect("what we print, we read");
        assert_eq!((username.as_str(), passed.realm.as_str()), ("1001", "realm"));
        assert_eq!((passed.nonce, passed.uri), (own.nonce, own.uri));
        assert!(passed.response.eq_ignore_ascii_case(&own.response), "another digest passed");
        let again = check();
        assert!(matches!(again, Verdict::Refused { .. }), "a replay passed: {again:?}");
    }
}
