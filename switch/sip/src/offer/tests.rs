//! Conformance A20 and A23: offer/answer.

use super::*;

fn local() -> LocalAudio {
    LocalAudio::new("192.0.2.1:40000".parse().unwrap(), vec![Codec::pcma(), Codec::pcmu()])
}

fn remote(body: &str) -> Vec<u8> {
    format!("v=0\r\no=- 7 7 IN IP4 192.0.2.9\r\ns=x\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n{body}")
        .into_bytes()
}

fn lines(sdp: &[u8], start: &str) -> Vec<String> {
    let text = std::str::from_utf8(sdp).unwrap();
    text.lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect()
}

fn answer_to(body: &str) -> Result<(Bytes, Agreed), OfferError> {
    answer(&mut LocalSession::new(1), &remote(body), &local())
}

#[test]
fn a20_rfc3264_6_answer_keeps_m_line_count_and_order_and_refuses_with_port_0() {
    let (sdp, agreed) = answer_to(
        "m=video 5000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
         m=audio 6000 RTP/SAVP 0\r\n\
         m=audio 7000 RTP/AVP 18 8\r\n\
         m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n\
         m=x-thing 1 X/Y z\r\n\
         m=audio 7002 RTP/AVP 0\r\n",
    )
    .unwrap();
    assert_eq!(
        lines(&sdp, "m="),
        [
            "m=video 0 RTP/AVP 96",
            "m=audio 0 RTP/SAVP 0",
            "m=audio 40000 RTP/AVP 8",
            "m=application 0 UDP/DTLS/SCTP webrtc-datachannel",
            "m=x-thing 0 X/Y z",
            "m=audio 0 RTP/AVP 0",
        ]
    );
    assert_eq!(agreed.remote, "192.0.2.9:7000".parse().unwrap());
    assert_eq!(agreed.send, [Codec::pcma()]);
}

#[test]
fn a20_rfc3264_6_1_direction_table() {
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    let table = [
        ("sendrecv", SendRecv, SendRecv),
        ("sendrecv", SendOnly, SendOnly),
        ("sendrecv", RecvOnly, RecvOnly),
        ("sendrecv", Inactive, Inactive),
        ("sendonly", SendRecv, RecvOnly),
        ("sendonly", SendOnly, Inactive),
        ("sendonly", RecvOnly, RecvOnly),
        ("sendonly", Inactive, Inactive),
        ("recvonly", SendRecv, SendOnly),
        ("recvonly", SendOnly, SendOnly),
        ("recvonly", RecvOnly, Inactive),
        ("recvonly", Inactive, Inactive),
        ("inactive", SendRecv, Inactive),
        ("inactive", SendOnly, Inactive),
        ("inactive", RecvOnly, Inactive),
        ("inactive", Inactive, Inactive),
    ];
    for (offered, wish, expected) in table {
        let ours = LocalAudio { direction: wish, ..local() };
        let body = format!("m=audio 7000 RTP/AVP 0\r\na={offered}\r\n");
        let (sdp, agreed) = answer(&mut LocalSession::new(1), &remote(&body), &ours).unwrap();
        assert_eq!(agreed.direction, expected, "{offered} {wish:?}");
        assert_eq!(lines(&sdp, &format!("a={}", expected.as_str())).len(), 1);
    }
}

#[test]
fn a20_rfc3264_8_version_rises_by_one_only_on_change() {
    let mut session = LocalSession::new(77);
    let first = offer(&mut session, local());
    assert_eq!(lines(first.sdp(), "o="), ["o=- 77 1 IN IP4 192.0.2.1"]);
    let same = offer(&mut session, local());
    assert_eq!(first.sdp(), same.sdp());
    let held = LocalAudio { direction: Direction::SendOnly, ..local() };
    let changed = offer(&mut session, held.clone());
    assert_eq!(lines(changed.sdp(), "o="), ["o=- 77 2 IN IP4 192.0.2.1"]);
    let again = offer(&mut session, held);
    assert_eq!(lines(again.sdp(), "o="), ["o=- 77 2 IN IP4 192.0.2.1"]);
    for pending in [first, same, changed, again] {
        pending.withdraw();
    }
}

#[test]
fn a20_refused_offer_leaves_the_session_as_it_was() {
    let mut session = LocalSession::new(1);
    let body = remote("m=audio 7000 RTP/AVP 0\r\n");
    let (before, _) = answer(&mut session, &body, &local()).unwrap();
    let error = answer(&mut session, &remote("m=audio 7000 RTP/AVP 18\r\n"), &local()).unwrap_err();
    assert_eq!((error, error.status()), (OfferError::NoCodec, 488));
    let (after, _) = answer(&mut session, &body, &local()).unwrap();
    assert_eq!(before, after);
}

#[test]
fn a20_hold_in_every_spelling() {
    let spellings = [
        ("c=IN IP4 192.0.2.9\r\n", "a=sendonly\r\n", Direction::RecvOnly),
        ("c=IN IP4 192.0.2.9\r\n", "a=inactive\r\n", Direction::Inactive),
        ("c=IN IP4 0.0.0.0\r\n", "", Direction::RecvOnly),
        ("c=IN IP4 0.0.0.0\r\n", "a=sendrecv\r\n", Direction::RecvOnly),
        ("c=IN IP4 0.0.0.0\r\n", "a=inactive\r\n", Direction::Inactive),
        ("c=IN IP6 ::\r\n", "a=sendonly\r\n", Direction::RecvOnly),
    ];
    for (connection, attribute, ours) in spellings {
        let (_, agreed) =
            answer_to(&format!("m=audio 7000 RTP/AVP 0\r\n{connection}{attribute}")).unwrap();
        assert!(agreed.held, "{connection}{attribute}");
        assert_eq!(agreed.direction, ours, "{connection}{attribute}");
    }
    // On the session level too, and a media attribute overrides it.
    let (_, agreed) = answer_to("a=sendonly\r\nm=audio 7000 RTP/AVP 0\r\n").unwrap();
    assert!(agreed.held);
    let (_, agreed) = answer_to("a=sendonly\r\nm=audio 7000 RTP/AVP 0\r\na=sendrecv\r\n").unwrap();
    assert!(!agreed.held);
    // One who only listens holds nobody.
    let (_, agreed) = answer_to("m=audio 7000 RTP/AVP 0\r\na=recvonly\r\n").unwrap();
    assert!(!agreed.held);
    assert_eq!(agreed.direction, Direction::SendOnly);
}

#[test]
fn a20_payload_numbers_are_per_direction() {
    let mut session = LocalSession::new(1);
    let ours = LocalAudio {
        codecs: vec![Codec::new(96, "iLBC", 8000), Codec::pcmu()],
        events: vec![(101, 8000)],
        ..local()
    };
    let agreed = offer(&mut session, ours)
        .answered(&remote(
            "m=audio 7000 RTP/AVP 110 120\r\na=rtpmap:110 ilbc/8000\r\n\
             a=rtpmap:120 telephone-event/8000\r\n",
        ))
        .unwrap();
    assert_eq!((agreed.send[0].payload_type, agreed.receive[0].payload_type), (110, 96));
    assert_eq!(agreed.send_events, [(120, 8000)]);
    assert_eq!(agreed.receive_events, [(101, 8000)]);
}

#[test]
fn a20_rfc3264_6_1_answer_keeps_the_offers_numbers_and_order() {
    let (sdp, agreed) = answer_to(
        "m=audio 7000 RTP/AVP 111 0 99 8 98\r\na=rtpmap:111 opus/48000/2\r\n\
         a=rtpmap:99 telephone-event/48000\r\na=rtpmap:98 telephone-event/8000\r\n",
    )
    .unwrap();
    assert_eq!(lines(&sdp, "m="), ["m=audio 40000 RTP/AVP 0 8 98"]);
    assert_eq!(agreed.send, [Codec::pcmu(), Codec::pcma()]);
    assert_eq!(
        (&agreed.send_events, &agreed.receive_events),
        (&vec![(98, 8000)], &vec![(98, 8000)])
    );
}

#[test]
fn a20_delayed_offer_both_sides() {
    // We are called without SDP: our 200 offers, the ACK answers.
    let mut called = LocalSession::new(1);
    let pending = offer(&mut called, local());
    // The caller without SDP takes that offer and answers in its ACK.
    let mut caller = LocalSession::new(2);
    let theirs = LocalAudio { addr: "192.0.2.7:50000".parse().unwrap(), ..local() };
    let (ack_sdp, caller_agreed) = answer(&mut caller, pending.sdp(), &theirs).unwrap();
    let called_agreed = pending.answered(&ack_sdp).unwrap();
    assert_eq!(called_agreed.remote, theirs.addr);
    assert_eq!(caller_agreed.remote, local().addr);
    assert_eq!(called_agreed.send, caller_agreed.receive);
}

#[test]
fn a20_later_offers_keep_the_m_lines_of_earlier_answers() {
    let mut session = LocalSession::new(1);
    let body = remote("m=video 5000 RTP/AVP 96\r\nm=audio 7000 RTP/AVP 0\r\n");
    answer(&mut session, &body, &local()).unwrap();
    let pending = offer(&mut session, local());
    let media = lines(pending.sdp(), "m=");
    assert_eq!(media[0], "m=video 0 RTP/AVP 96");
    assert_eq!(media[1], "m=audio 40000 RTP/AVP 8 0 101");
    let answered = remote("m=video 0 RTP/AVP 96\r\nm=audio 7004 RTP/AVP 8\r\n");
    assert_eq!(pending.answered(&answered).unwrap().remote.port(), 7004);
}

#[test]
fn a20_answers_that_do_not_fit() {
    let make = || offer(&mut LocalSession::new(1), local());
    let fail = |body: &str| make().answered(&remote(body)).unwrap_err();
    assert_eq!(fail(""), OfferError::Mismatch);
    assert_eq!(fail("m=video 7000 RTP/AVP 0\r\n"), OfferError::Mismatch);
    assert_eq!(fail("m=audio 0 RTP/AVP 0\r\n"), OfferError::Refused);
    assert_eq!(fail("m=audio 7000 RTP/AVP 18\r\n"), OfferError::NoCodec);
    assert_eq!(make().answered(b"hello").unwrap_err(), OfferError::Sdp(SdpError::Empty));
}

#[test]
fn a23_rfc3605_rtcp_attribute_and_rfc5761_mux_only_if_both() {
    let (_, plain) = answer_to("m=audio 7000 RTP/AVP 0\r\n").unwrap();
    assert_eq!(plain.remote_rtcp, Some("192.0.2.9:7001".parse().unwrap()));
    let (_, named) = answer_to("m=audio 7000 RTP/AVP 0\r\na=rtcp:53020\r\n").unwrap();
    assert_eq!(named.remote_rtcp, Some("192.0.2.9:53020".parse().unwrap()));
    let (_, full) =
        answer_to("m=audio 7000 RTP/AVP 0\r\na=rtcp:53020 IN IP4 192.0.2.99\r\n").unwrap();
    assert_eq!(full.remote_rtcp, Some("192.0.2.99:53020".parse().unwrap()));
    let muxed = "m=audio 7000 RTP/AVP 0\r\na=rtcp-mux\r\n";
    let (sdp, agreed) = answer_to(muxed).unwrap();
    assert!(!agreed.rtcp_mux && lines(&sdp, "a=rtcp-mux").is_empty());
    let willing = LocalAudio { rtcp_mux: true, ..local() };
    let (sdp, agreed) = answer(&mut LocalSession::new(1), &remote(muxed), &willing).unwrap();
    assert!(agreed.rtcp_mux && lines(&sdp, "a=rtcp-mux").len() == 1);
    assert_eq!(agreed.remote_rtcp, Some(agreed.remote));
    let (sdp, agreed) =
        answer(&mut LocalSession::new(1), &remote("m=audio 7000 RTP/AVP 0\r\n"), &willing).unwrap();
    assert!(!agreed.rtcp_mux && lines(&sdp, "a=rtcp-mux").is_empty());
}

#[test]
fn a20_no_audio_and_hostile_descriptions_are_refused() {
    assert_eq!(answer_to("m=video 1 RTP/AVP 96\r\n").unwrap_err(), OfferError::NoAudio);
    assert_eq!(answer_to("m=audio 0 RTP/AVP 0\r\n").unwrap_err(), OfferError::NoAudio);
    assert_eq!(answer_to("").unwrap_err(), OfferError::NoAudio);
    let named = b"v=0\r\nc=IN IP4 host.invalid\r\nm=audio 7000 RTP/AVP 0\r\n";
    let error = answer(&mut LocalSession::new(1), named, &local()).unwrap_err();
    assert_eq!(error, OfferError::NoAudio);
    for (bad, error) in [
        ("m=audio 70000 RTP/AVP 0\r\n".to_owned(), SdpError::MediaLine),
        ("m=audio -1 RTP/AVP 0\r\n".to_owned(), SdpError::MediaLine),
        ("m=audio +1 RTP/AVP 0\r\n".to_owned(), SdpError::MediaLine),
        ("m=audio\r\n".to_owned(), SdpError::MediaLine),
        ("m=audio 1 RTP/AVP 0\r\n".repeat(65), SdpError::TooManyMedia),
        ("a=x\r\n".repeat(257), SdpError::TooManyAttributes),
        (format!("m=audio 1 RTP/AVP{}\r\n", " 0".repeat(129)), SdpError::TooManyFormats),
    ] {
        let error = OfferError::Sdp(error);
        assert_eq!(answer_to(&bad).unwrap_err(), error);
        assert_eq!(error.status(), 400);
    }
    assert!(answer_to(&format!("m=audio 7000 RTP/AVP 0\r\n{}", "a=x\r\n".repeat(256))).is_ok());
    // A payload number of 65535, and one that maps twice, harm nobody.
    let (_, agreed) =
        answer_to("m=audio 7000 RTP/AVP 65535 128 0 0\r\na=rtpmap:65535 PCMA/8000\r\n").unwrap();
    assert_eq!(agreed.send, [Codec::pcmu()]);
}

#[test]
fn rfc8866_9_tolerated_line_ends_blanks_and_unknown_lines() {
    let text = b"v=0\no=x 1 1 IN IP4 192.0.2.9\ns=\nz=what\nc = IN IP4 192.0.2.9/127\n\
                 garbage\nm=audio 7000 RTP/AVP 0 \na=PTIME:30\na=rtpmap: 0  PCMU/8000\n";
    let (_, agreed) = answer(&mut LocalSession::new(1), text, &local()).unwrap();
    assert_eq!(agreed.ptime_ms, 30);
    assert_eq!(agreed.remote, "192.0.2.9:7000".parse().unwrap());
}

#[test]
fn rfc8866_ipv6_addresses() {
    let text = b"v=0\r\nc=IN IP6 2001:db8::9\r\nm=audio 7000 RTP/AVP 0\r\n";
    let ours = LocalAudio { addr: "[2001:db8::1]:40000".parse().unwrap(), ..local() };
    let (sdp, agreed) = answer(&mut LocalSession::new(1), text, &ours).unwrap();
    assert_eq!(agreed.remote, "[2001:db8::9]:7000".parse().unwrap());
    assert_eq!(lines(&sdp, "c="), ["c=IN IP6 2001:db8::1"]);
}

fn wide() -> LocalAudio {
    let codecs = vec![Codec::opus(), Codec::g722(), Codec::pcma(), Codec::g729()];
    LocalAudio { noise: Some(13), ..LocalAudio::new(local().addr, codecs) }
}

#[test]
fn rfc7587_7_an_offer_of_opus_and_the_clocks_of_its_events() {
    let pending = offer(&mut LocalSession::new(1), wide());
    assert_eq!(lines(pending.sdp(), "m="), ["m=audio 40000 RTP/AVP 111 9 8 18 13 110 101"]);
    assert_eq!(
        lines(pending.sdp(), "a=rtpmap"),
        [
            "a=rtpmap:111 opus/48000/2",
            "a=rtpmap:9 G722/8000",
            "a=rtpmap:8 PCMA/8000",
            "a=rtpmap:18 G729/8000",
            "a=rtpmap:13 CN/8000",
            "a=rtpmap:110 telephone-event/48000",
            "a=rtpmap:101 telephone-event/8000",
        ]
    );
    assert_eq!(
        lines(pending.sdp(), "a=fmtp"),
        ["a=fmtp:111 useinbandfec=1", "a=fmtp:18 annexb=no", "a=fmtp:110 0-16", "a=fmtp:101 0-16"]
    );
    pending.withdraw();
}

#[test]
fn rfc7587_7_opus_under_any_number_case_and_parameters() {
    let body = "m=audio 7000 RTP/AVP 96 0 97 98\r\na=rtpmap:96 OPUS/48000/2\r\n\
                a=fmtp:96 maxplaybackrate=16000; sprop-maxcapturerate=16000; stereo=1; useinbandfec=0\r\n\
                a=rtpmap:97 telephone-event/48000\r\na=rtpmap:98 telephone-event/8000\r\n";
    let (sdp, agreed) = answer(&mut LocalSession::new(1), &remote(body), &wide()).unwrap();
    assert_eq!(lines(&sdp, "m="), ["m=audio 40000 RTP/AVP 96 97"]);
    assert_eq!(lines(&sdp, "a=rtpmap:96"), ["a=rtpmap:96 OPUS/48000/2"]);
    assert_eq!(lines(&sdp, "a=fmtp:96"), ["a=fmtp:96 useinbandfec=1"], "our decoder's, not theirs");
    assert_eq!((agreed.send[0].payload_type, agreed.receive[0].payload_type), (96, 96));
    assert_eq!(agreed.send_events, [(97, 48_000)], "no codec of 8000 Hz was agreed on");
    // Without the two channels that it must have.
    let body = "m=audio 7000 RTP/AVP 96\r\na=rtpmap:96 opus/48000\r\n";
    let (sdp, _) = answer(&mut LocalSession::new(1), &remote(body), &wide()).unwrap();
    assert_eq!(lines(&sdp, "a=rtpmap"), ["a=rtpmap:96 opus/48000"]);
}

#[test]
fn rfc4733_2_1_events_of_the_agreed_clock_or_else_those_there_are() {
    let opus = "a=rtpmap:96 opus/48000/2\r\n";
    let body = format!(
        "m=audio 7000 RTP/AVP 96 8 98 97\r\n{opus}a=rtpmap:97 telephone-event/48000\r\na=rtpmap:98 telephone-event/8000\r\n"
    );
    let (_, agreed) = answer(&mut LocalSession::new(1), &remote(&body), &wide()).unwrap();
    assert_eq!(agreed.send_events, [(98, 8_000), (97, 48_000)]);
    let body = format!("m=audio 7000 RTP/AVP 96 98\r\n{opus}a=rtpmap:98 telephone-event/8000\r\n");
    let (_, agreed) = answer(&mut LocalSession::new(1), &remote(&body), &wide()).unwrap();
    assert_eq!(agreed.receive_events, [(98, 8_000)], "better than none");
    // An answer to our offer: their numbers to send with, ours to expect.
    let body = format!("m=audio 7000 RTP/AVP 96 99\r\n{opus}a=rtpmap:99 telephone-event/48000\r\n");
    let agreed = offer(&mut LocalSession::new(1), wide()).answered(&remote(&body)).unwrap();
    assert_eq!(
        (&agreed.send_events[..], &agreed.receive_events[..]),
        (&[(99, 48_000)][..], &[(110, 48_000)][..])
    );
    assert_eq!((agreed.send[0].payload_type, agreed.receive[0].payload_type), (96, 111));
}

#[test]
fn rfc3551_6_static_numbers_need_no_rtpmap_and_4_5_2_g722_is_8000() {
    let (sdp, agreed) =
        answer(&mut LocalSession::new(1), &remote("m=audio 7000 RTP/AVP 18 9 8 0\r\n"), &wide())
            .unwrap();
    assert_eq!(lines(&sdp, "m="), ["m=audio 40000 RTP/AVP 18 9 8"]);
    assert_eq!(lines(&sdp, "a=rtpmap:9 "), ["a=rtpmap:9 G722/8000"]);
    assert_eq!(agreed.send.len(), 3);
    for rate in ["8000", "16000"] {
        let body = format!("m=audio 7000 RTP/AVP 100\r\na=rtpmap:100 g722/{rate}\r\n");
        let (sdp, agreed) = answer(&mut LocalSession::new(1), &remote(&body), &wide()).unwrap();
        assert_eq!(lines(&sdp, "a=rtpmap"), ["a=rtpmap:100 g722/8000"]);
        assert_eq!(agreed.receive[0].payload_type, 100);
    }
}

#[test]
fn rfc7261_3_1_g729_is_answered_without_annex_b() {
    for fmtp in ["", "a=fmtp:18 annexb=yes\r\n", "a=fmtp:18 annexb=no\r\n"] {
        let body = format!("m=audio 7000 RTP/AVP 18\r\n{fmtp}");
        let (sdp, _) = answer(&mut LocalSession::new(1), &remote(&body), &wide()).unwrap();
        assert_eq!(lines(&sdp, "a=fmtp"), ["a=fmtp:18 annexb=no"]);
    }
}

#[test]
fn rfc3389_4_comfort_noise_is_agreed_on_at_8000_hz_and_is_no_codec() {
    let body = remote("m=audio 7000 RTP/AVP 13 0 8\r\n");
    let (sdp, agreed) = answer(&mut LocalSession::new(1), &body, &wide()).unwrap();
    assert_eq!(lines(&sdp, "m="), ["m=audio 40000 RTP/AVP 8 13"]);
    assert_eq!((agreed.send_noise, agreed.receive_noise), (Some(13), Some(13)));
    let (sdp, agreed) = answer(&mut LocalSession::new(1), &body, &local()).unwrap();
    assert_eq!(lines(&sdp, "m="), ["m=audio 40000 RTP/AVP 0 8"], "we do not take it there");
    assert_eq!((agreed.send_noise, agreed.receive_noise), (None, None));
    let wider = "m=audio 7000 RTP/AVP 8 98\r\na=rtpmap:98 CN/16000\r\n";
    let (_, agreed) = answer(&mut LocalSession::new(1), &remote(wider), &wide()).unwrap();
    assert_eq!(agreed.send_noise, None);
    let alone = answer(&mut LocalSession::new(1), &remote("m=audio 7000 RTP/AVP 13\r\n"), &wide());
    assert_eq!(alone.unwrap_err(), OfferError::NoCodec);
}
