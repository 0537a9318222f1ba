//! Properties over made values: what is built from parts reads back as those parts.

use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use sip::digest::{Algorithm, Challenge, Guard, GuardConfig, Verdict, ha1};
use sip::offer::crypto::Security;
use sip::offer::{Codec, Direction, LocalAudio, LocalSession, answer, offer};
use sip::wire::stream::{Frame, Framer};
use sip::wire::{Draft, HeaderName, Message, Method, NameAddr, Uri};

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z][a-z0-9-]{0,10}(\\.[a-z]{2,5}){0,2}",
        any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
        any::<std::net::Ipv6Addr>().prop_map(|ip| format!("[{ip}]")),
    ]
}

prop_compose! {
    fn sip_uri()(
        scheme in prop_oneof![Just("sip"), Just("sips")],
        user in proptest::option::of("[a-zA-Z0-9.;?/&=+$,_!~*'()-]{1,24}"),
        password in proptest::option::of("[a-zA-Z0-9&=+$,]{0,8}"),
        host in host(),
        port in proptest::option::of(any::<u16>()),
        params in proptest::collection::vec(("[a-z]{1,8}", proptest::option::of("[a-zA-Z0-9%._-]{1,8}")), 0..4),
        headers in proptest::option::of("[A-Z][a-z]{1,6}=[a-z0-9%]{0,6}"),
    ) -> (Option<String>, String, Option<u16>, String) {
        let mut text = format!("{scheme}:");
        if let Some(user) = &user {
            text += user;
            if let Some(password) = password {
                text += &format!(":{password}");
            }
            text.push('@');
        }
        text += &host;
        if let Some(port) = port {
            text += &format!(":{port}");
        }
        for (name, value) in params {
            text += &format!(";{name}");
            if let Some(value) = value {
                text += &format!("={value}");
            }
        }
        if let Some(headers) = headers {
            text += &format!("?{headers}");
        }
        (user, host, port, text)
    }
}

fn codecs() -> impl Strategy<Value = Vec<Codec>> {
    let known = prop_oneof![
        Just(("PCMU", 8000, 0)),
        Just(("PCMA", 8000, 8)),
        Just(("G722", 8000, 9)),
        Just(("iLBC", 8000, 97)),
        Just(("opus", 48000, 111)),
    ];
    proptest::collection::btree_set(known, 1..5).prop_map(|set| {
        set.into_iter().map(|(name, clock, number)| Codec::new(number, name, clock)).collect()
    })
}

prop_compose! {
    fn audio(port: u16)(
        codecs in codecs(),
        events in proptest::option::of(98u8..=102),
        noise in proptest::option::of(Just(13u8)),
        ptime_ms in proptest::option::of(10u16..=60),
        sends: bool,
        receives: bool,
        rtcp_mux: bool,
    ) -> LocalAudio {
        LocalAudio {
            addr: ([192, 0, 2, 1], port).into(),
            codecs,
            events: events.map(|number| (number, 8000)).into_iter().collect(),
            noise,
            ptime_ms,
            direction: Direction::of(sends, receives),
            security: Security::Plain,
            crypto: Vec::new(),
            rtcp_mux,
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "an instant has no other origin")]
fn origin() -> Instant {
    Instant::now()
}

proptest! {
    #[test]
    fn uris_read_as_their_parts_and_print_as_they_were((user, host, port, text) in sip_uri()) {
        let uri = Uri::parse(&text).unwrap();
        prop_assert_eq!(&uri.user, &user);
        prop_assert_eq!(uri.host.as_str(), &host);
        prop_assert_eq!(uri.port, port);
        prop_assert_eq!(uri.to_string(), text);
        prop_assert!(uri.equivalent(&uri));
    }

    #[test]
    fn any_user_can_be_put_into_a_uri(user in "\\PC{1,30}") {
        let uri = Uri::sip(Some(&user), sip::wire::Host::parse("h.example").unwrap(), None);
        let again = Uri::parse(&uri.to_string()).unwrap();
        prop_assert_eq!(again.user_text(), Some(user));
        prop_assert_eq!(again, uri);
    }

    #[test]
    fn any_display_name_survives_its_quotes(name in "\\PC{0,40}", tag in "[a-z0-9]{1,9}") {
        let address = NameAddr::named(&name, "sip:a@h".parse().unwrap()).with_tag(&tag);
        let again = NameAddr::parse(&address.to_bytes()).unwrap();
        prop_assert_eq!(again.display_text(), Some(name));
        prop_assert_eq!(again.tag(), Some(tag.as_str()));
        prop_assert_eq!(&again, &address);
    }

    #[test]
    fn display_bytes_are_kept_whatever_their_charset(name in proptest::collection::vec(0x80u8..=0xff, 0..20)) {
        let address = NameAddr { display: Some(name), ..NameAddr::new("sip:a@h".parse().unwrap()) };
        prop_assert_eq!(NameAddr::parse(&address.to_bytes()), Some(address));
    }

    #[test]
    fn lists_come_apart_where_they_were_joined(names in proptest::collection::vec("[ -~]{0,12}", 1..9)) {
        let values: Vec<Vec<u8>> = names
            .iter()
            .map(|name| NameAddr::named(name, "sip:a,b@h".parse().unwrap()).to_bytes())
            .collect();
        let mut draft = Draft::request(&Method::Options, &"sip:h".parse().unwrap());
        draft.push("Contact", values.join(&b", "[..]));
        let message = Message::parse(draft.to_bytes()).unwrap();
        let found: Vec<Vec<u8>> =
            message.headers(HeaderName::Contact).map(<[u8]>::to_vec).collect();
        prop_assert_eq!(found, values);
    }

    #[test]
    fn drafts_read_back(
        headers in proptest::collection::vec(("X-[A-Za-z]{1,9}", proptest::collection::vec(any::<u8>(), 0..60)), 0..30),
        body in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut draft = Draft::request(&Method::Info, &"sip:a@h".parse().unwrap());
        for (name, value) in &headers {
            draft.push(name, value);
        }
        draft.body("application/octet-stream", body.clone());
        let message = Message::parse(draft.to_bytes()).unwrap();
        prop_assert_eq!(message.body(), &body[..]);
        let found: Vec<_> = message
            .fields()
            .filter(|(name, ..)| *name == HeaderName::Other)
            .map(|(_, name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec()))
            .collect();
        // Line ends have become blanks, and blanks around a value are not part of it.
        let sent: Vec<_> = headers
            .into_iter()
            .map(|(name, value)| {
                let flat = value.into_iter().map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { b });
                let flat: Vec<u8> = flat.collect();
                let blank = |b: &u8| matches!(b, b' ' | b'\t');
                let start = flat.iter().position(|b| !blank(b)).unwrap_or(flat.len());
                let end = flat.iter().rposition(|b| !blank(b)).map_or(start, |at| at + 1);
                (name, flat[start..end].to_vec())
            })
            .collect();
        prop_assert_eq!(found, sent);
    }

    #[test]
    fn a10_streams_cut_anywhere_give_the_same_frames(
        bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..5),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..12),
    ) {
        let mut stream = Vec::new();
        let mut expected = Vec::new();
        for (number, body) in bodies.iter().enumerate() {
            if number % 2 == 1 {
                stream.extend_from_slice(b"\r\n\r\n");
                expected.extend([Frame::Pong, Frame::Ping]);
            }
            let mut draft = Draft::request(&Method::Message, &"sip:h".parse().unwrap());
            draft.body("text/plain", body.clone());
            let bytes = draft.to_bytes();
            stream.extend_from_slice(&bytes);
            expected.push(Frame::Message(bytes));
        }
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        at.extend([0, stream.len()]);
        at.sort_unstable();
        let mut framer = Framer::new();
        let mut found = Vec::new();
        for pair in at.windows(2) {
            framer.push(&stream[pair[0]..pair[1]]);
            while let Some(frame) = framer.next_frame().unwrap() {
                found.push(frame);
            }
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a20_both_sides_agree_on_the_same_thing(ours in audio(40_000), theirs in audio(50_000)) {
        let (mut here, mut there) = (LocalSession::new(1), LocalSession::new(2));
        let pending = offer(&mut here, ours.clone());
        let common = ours.codecs.iter().any(|a| theirs.codecs.iter().any(|b| a.same_encoding(b)));
        match answer(&mut there, pending.sdp(), &theirs) {
            Err(error) => {
                prop_assert!(!common, "{}", error);
                prop_assert_eq!(error.status(), 488);
            }
            Ok((sdp, far)) => {
                prop_assert!(common);
                let near = pending.answered(&sdp).unwrap();
                prop_assert_eq!(&near.send, &far.receive);
                prop_assert_eq!(&near.receive, &far.send);
                prop_assert_eq!(near.send_events, far.receive_events);
                prop_assert_eq!(near.receive_events, far.send_events);
                prop_assert_eq!(near.send_noise, far.receive_noise);
                prop_assert_eq!(near.rtcp_mux, far.rtcp_mux);
                prop_assert_eq!(near.rtcp_mux, ours.rtcp_mux && theirs.rtcp_mux);
                prop_assert_eq!(near.direction.sends(), far.direction.receives());
                prop_assert_eq!(near.direction.receives(), far.direction.sends());
                prop_assert_eq!((near.remote, far.remote), (theirs.addr, ours.addr));
                // The same offer again changes nothing, on either side.
                let again = offer(&mut here, ours.clone());
                let (same, _) = answer(&mut there, again.sdp(), &theirs).unwrap();
                again.withdraw();
                prop_assert_eq!(same, sdp);
                prop_assert_eq!((here.version(), there.version()), (1, 1));
            }
        }
    }

    #[test]
    fn a16_the_right_password_passes_and_no_other(
        user in "[a-z0-9 @.\"\\\\-]{1,12}",
        realm in "[a-z0-9 .\"\\\\-]{1,12}",
        password in "\\PC{1,16}",
        guess in "\\PC{0,16}",
        nc in 1u32..,
        md5: bool,
    ) {
        let algorithm = if md5 { Algorithm::Md5 } else { Algorithm::Sha256 };
        let now = origin();
        let source = std::net::Ipv4Addr::LOCALHOST.into();
        let mut guard = Guard::new(now, GuardConfig::new(&realm, [3; 32]));
        let challenges = guard.challenge(now, source, false);
        let challenge = challenges
            .iter()
            .filter_map(|value| Challenge::parse(value.as_bytes()))
            .find(|challenge| challenge.algorithm == algorithm)
            .unwrap();
        let mut check = |password_used: &str, at: Instant| {
            let value = challenge.answer(&user, password_used, "INVITE", "sip:1@h", nc, "c").unwrap();
            let text = format!("INVITE sip:1@h SIP/2.0\r\nAuthorization: {value}\r\n\r\n");
            let request = Message::parse(Bytes::from(text)).unwrap();
            guard.check(at, source, &request, HeaderName::Authorization, |name, algorithm| {
                (name == user).then(|| ha1(algorithm, &user, &realm, &password))
            })
        };
        if guess != password {
            prop_assert!(matches!(check(&guess, now), Verdict::Refused { .. }), "a guess passed");
        }
        prop_assert_eq!(check(&password, now), Verdict::Accepted { username: user.clone() });
        prop_assert!(matches!(check(&password, now), Verdict::Refused { .. }), "a replay passed");
        let late = now + Duration::from_secs(3600);
        prop_assert_eq!(check(&password, late), Verdict::Stale { username: user.clone() });
    }
}
