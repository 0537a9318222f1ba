//! RFC 4568: lines read and written, offers and answers with keys.

use proptest::prelude::*;

use super::super::{Agreed, Codec, LocalSession, PendingOffer, answer, offer};
use super::*;

/// RFC 4568 §9.1's own key, 30 octets.
const INLINE: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
const LINE: &str = "1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

fn line(tag: u32, suite: Suite, fill: u8) -> Crypto {
    Crypto { tag, suite, key: Key::new(vec![fill; suite.key_len()]), mki: None }
}

fn text(line: &Crypto) -> String {
    Line(line).to_string()
}

fn local(security: Security, fill: u8) -> LocalAudio {
    let suites = [Suite::Aes128Gcm, Suite::Aes128Sha1_80, Suite::Aes128Sha1_32];
    let crypto = (1..).zip(suites).map(|(tag, suite)| line(tag, suite, fill)).collect();
    let plain = LocalAudio::new("192.0.2.1:40000".parse().unwrap(), vec![Codec::pcma()]);
    LocalAudio { security, crypto, events: Vec::new(), ..plain }
}

fn remote(sections: &[(&str, &[&str])]) -> Vec<u8> {
    let mut out =
        "v=0\r\no=- 7 7 IN IP4 192.0.2.9\r\ns=x\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n".to_owned();
    for (proto, lines) in sections {
        out += &format!("m=audio 6000 {proto} 8\r\n");
        for line in *lines {
            out += &format!("a=crypto:{line}\r\n");
        }
    }
    out.into_bytes()
}

fn said(sdp: &[u8], start: &str) -> Vec<String> {
    let text = std::str::from_utf8(sdp).unwrap();
    text.lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect()
}

/// Our answer, kept as what is in use.
fn answers(
    session: &mut LocalSession,
    local: &LocalAudio,
    sections: &[(&str, &[&str])],
) -> Result<(Vec<u8>, Agreed), OfferError> {
    let (sdp, agreed) = answer(session, &remote(sections), local)?;
    session.keep(&agreed);
    Ok((sdp.to_vec(), agreed))
}

fn offers(session: &mut LocalSession, local: LocalAudio) -> PendingOffer {
    offer(session, local)
}

#[test]
fn rfc4568_6_1_lines_are_read_with_lifetime_and_name_of_the_key() {
    let plain = Crypto::parse(LINE).unwrap();
    assert_eq!((plain.tag, plain.suite, plain.mki), (1, Suite::Aes128Sha1_80, None));
    assert_eq!(plain.key.bytes().len(), 30);
    assert_eq!(text(&plain), LINE, "written as it was read");
    for (tail, mki) in [
        ("|2^20", None),
        ("|1048576", None),
        ("|2^20|1:4", Some((1, 4))),
        ("|1:4", Some((1, 4))),
        ("|2^31|255:1 WSH=60 -SOMETHING=7", Some((255, 1))),
    ] {
        let read = Crypto::parse(&format!("{LINE}{tail}"));
        let read = read.unwrap_or_else(|| panic!("{tail}"));
        assert_eq!((read.mki, &read.key), (mki, &plain.key), "{tail}");
    }
    let gcm = text(&line(3, Suite::Aes128Gcm, 7));
    assert!(gcm.ends_with('='), "{gcm}");
    assert_eq!(
        Crypto::parse(gcm.trim_end_matches('=')),
        Crypto::parse(&gcm),
        "padding is not missed"
    );
    assert!(Crypto::parse(&gcm.replace("AEAD", "aead").replace("inline", "INLINE")).is_some());
}

#[test]
fn rfc4568_6_3_lines_that_cannot_be_obeyed_are_skipped() {
    for wrong in [
        "",
        "1",
        "x AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
        "1234567890 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
        "1 F8_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
        "1 AES_CM_128_HMAC_SHA1_80 uri:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
        "1 AES_CM_128_HMAC_SHA1_80 inline:short",
        "1 AES_CM_128_HMAC_SHA1_80 inline:!!!!",
    ] {
        assert_eq!(Crypto::parse(wrong), None, "{wrong}");
    }
    for tail in [
        "|2^49",
        "|0",
        "|2^20|2^20",
        "|1:0",
        "|1:9",
        "|256:1",
        "|x:1",
        "|1:4|2^20",
        ";inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2:4",
        " KDR=5",
        " UNENCRYPTED_SRTP",
        " UNENCRYPTED_SRTCP",
        " UNAUTHENTICATED_SRTP",
        " FEC_ORDER=FEC_SRTP",
        " SOMETHING=7",
    ] {
        assert_eq!(Crypto::parse(&format!("{LINE}{tail}")), None, "{tail}");
    }
}

#[test]
fn b8_rfc4568_5_1_2_one_line_is_answered_with_its_tag_and_a_key_of_our_own() {
    let gcm = text(&line(7, Suite::Aes128Gcm, 9));
    let ours = local(Security::Optional, 1);
    let lines = ["4 F8_128_HMAC_SHA1_80 inline:x", LINE, gcm.as_str()];
    let offered = [("RTP/SAVP", lines.as_slice())];
    let (sdp, agreed) = answers(&mut LocalSession::new(1), &ours, &offered).unwrap();
    let mine = text(&line(1, Suite::Aes128Sha1_80, 1));
    assert_eq!(said(&sdp, "a=crypto"), [format!("a=crypto:{mine}")], "the first that will do");
    assert_eq!(said(&sdp, "m="), ["m=audio 40000 RTP/SAVP 8"]);
    let secured = agreed.secured.unwrap();
    assert_eq!(text(&secured.remote), LINE);
    assert_eq!(text(&secured.local), mine);
    let feedback = [("RTP/SAVPF", lines.as_slice())];
    let (sdp, _) = answers(&mut LocalSession::new(1), &ours, &feedback).unwrap();
    assert_eq!(said(&sdp, "m="), ["m=audio 40000 RTP/SAVPF 8"], "as it was offered");
}

#[test]
fn b8_what_has_to_be_protected_and_cannot_be_is_refused_with_488() {
    let bad: &[&str] = &["1 AES_CM_128_HMAC_SHA1_80 inline:short"];
    for (security, sections) in [
        (Security::Optional, ("RTP/SAVP", bad)),
        (Security::Optional, ("RTP/SAVP", [].as_slice())),
        (Security::Required, ("RTP/AVP", [].as_slice())),
        (Security::Required, ("RTP/AVP", bad)),
        (Security::Plain, ("RTP/SAVP", [LINE].as_slice())),
    ] {
        let refused = answers(&mut LocalSession::new(1), &local(security, 1), &[sections]);
        let error = refused.unwrap_err();
        assert_eq!(
            (error, error.status()),
            (OfferError::Insecure, 488),
            "{security:?} {sections:?}"
        );
    }
}

#[test]
fn rfc8643_4_keys_beside_plain_rtp_are_taken_where_both_may() {
    let offered = [("RTP/AVP", [LINE].as_slice())];
    let plain = answers(&mut LocalSession::new(1), &local(Security::Plain, 1), &offered).unwrap();
    assert!(plain.1.secured.is_none() && said(&plain.0, "a=crypto").is_empty());
    for security in [Security::Optional, Security::Required] {
        let (sdp, agreed) =
            answers(&mut LocalSession::new(1), &local(security, 1), &offered).unwrap();
        assert!(agreed.secured.is_some(), "{security:?}");
        assert_eq!(said(&sdp, "m="), ["m=audio 40000 RTP/AVP 8"]);
    }
    let without = [("RTP/AVP", [].as_slice())];
    let (sdp, agreed) =
        answers(&mut LocalSession::new(1), &local(Security::Optional, 1), &without).unwrap();
    assert!(agreed.secured.is_none() && said(&sdp, "a=crypto").is_empty());
    // The same stream twice: the protected one is taken wherever it stands, by whoever may.
    let twice = [("RTP/AVP", [].as_slice()), ("RTP/SAVP", [LINE].as_slice())];
    let (sdp, _) =
        answers(&mut LocalSession::new(1), &local(Security::Optional, 1), &twice).unwrap();
    assert_eq!(said(&sdp, "m="), ["m=audio 0 RTP/AVP 8", "m=audio 40000 RTP/SAVP 8"]);
    let (sdp, _) = answers(&mut LocalSession::new(1), &local(Security::Plain, 1), &twice).unwrap();
    assert_eq!(said(&sdp, "m="), ["m=audio 40000 RTP/AVP 8", "m=audio 0 RTP/SAVP 8"]);
}

#[test]
fn b8_rfc4568_5_1_1_an_offer_has_a_line_for_each_suite_and_the_profile_of_its_policy() {
    for (security, proto, lines) in [
        (Security::Plain, "RTP/AVP", 0),
        (Security::Optional, "RTP/AVP", 3),
        (Security::Required, "RTP/SAVP", 3),
    ] {
        let pending = offers(&mut LocalSession::new(1), local(security, 1));
        assert_eq!(said(pending.sdp(), "m="), [format!("m=audio 40000 {proto} 8")]);
        let said_lines = said(pending.sdp(), "a=crypto");
        assert_eq!(said_lines.len(), lines, "{security:?}");
        assert!(said_lines.iter().all(|line| line.starts_with("a=crypto:")));
        let bare = pending.sdp_without_keys();
        assert!(said(&bare, "a=crypto").is_empty());
        assert_eq!(said(&bare, "m="), said(pending.sdp(), "m="));
    }
}

#[test]
fn b8_rfc4568_5_1_3_an_answer_names_one_of_our_lines() {
    let theirs = text(&line(2, Suite::Aes128Sha1_80, 9));
    let answered = |security, proto, lines: &[&str]| {
        let pending = offers(&mut LocalSession::new(1), local(security, 1));
        pending.answered(&remote(&[(proto, lines)])).map(|agreed| agreed.secured)
    };
    let secured = answered(Security::Required, "RTP/SAVP", &[&theirs]).unwrap().unwrap();
    assert_eq!(secured.local, line(2, Suite::Aes128Sha1_80, 1));
    assert_eq!(secured.remote, line(2, Suite::Aes128Sha1_80, 9));
    assert!(answered(Security::Optional, "RTP/AVP", &[&theirs]).unwrap().is_some());
    assert_eq!(answered(Security::Optional, "RTP/AVP", &[]), Ok(None), "it does without");
    let other = text(&line(2, Suite::Aes128Gcm, 9));
    let unknown = text(&line(9, Suite::Aes128Sha1_80, 9));
    for (security, proto, lines) in [
        (Security::Required, "RTP/SAVP", [].as_slice()),
        (Security::Required, "RTP/AVP", [].as_slice()),
        (Security::Optional, "RTP/SAVP", [].as_slice()),
        (Security::Optional, "RTP/AVP", ["2 garbage"].as_slice()),
        (Security::Optional, "RTP/AVP", [other.as_str()].as_slice()),
        (Security::Required, "RTP/SAVP", [unknown.as_str()].as_slice()),
    ] {
        let refused = answered(security, proto, lines);
        assert_eq!(refused, Err(OfferError::Insecure), "{security:?} {proto} {lines:?}");
    }
    let plain = answered(Security::Plain, "RTP/SAVP", &[&theirs]);
    assert_eq!(plain, Err(OfferError::Mismatch), "nobody offered that");
    assert_eq!(answered(Security::Plain, "RTP/AVP", &[&theirs]), Ok(None));
}

#[test]
fn case_4_our_key_stays_with_theirs_and_changes_with_theirs() {
    let mut session = LocalSession::new(1);
    let [first, again, fresh] = [1, 2, 3].map(|fill| local(Security::Optional, fill));
    let offered = [("RTP/SAVP", [LINE].as_slice())];
    let (_, agreed) = answers(&mut session, &first, &offered).unwrap();
    let ours = agreed.secured.unwrap().local;
    assert_eq!(ours.key.bytes(), [1; 30]);
    // Hold: the same line under another tag.
    let moved = LINE.replacen('1', "5", 1);
    let gcm = text(&line(1, Suite::Aes128Gcm, 9));
    let lines = [gcm.as_str(), moved.as_str()];
    let (sdp, agreed) = answers(&mut session, &again, &[("RTP/SAVP", &lines)]).unwrap();
    let kept = agreed.secured.unwrap().local;
    assert_eq!((kept.tag, &kept.key), (5, &ours.key), "what is in use goes on");
    assert_eq!(said(&sdp, "a=crypto"), [format!("a=crypto:{}", text(&kept))]);
    // Our own offer bears the key in use, and no other, and the profile in use.
    let pending = offers(&mut session, again.clone());
    assert_eq!(said(pending.sdp(), "a=crypto"), [format!("a=crypto:{}", text(&kept))]);
    assert_eq!(said(pending.sdp(), "m="), ["m=audio 40000 RTP/SAVP 8"]);
    pending.withdraw();
    // Another key of theirs: somebody else may be there now, who knows no counter of ours.
    let other = text(&line(1, Suite::Aes128Sha1_80, 8));
    let (_, agreed) = answers(&mut session, &fresh, &[("RTP/SAVP", &[other.as_str()])]).unwrap();
    assert_eq!(agreed.secured.unwrap().local.key.bytes(), [3; 30]);
    // What is refused changes nothing.
    assert!(answers(&mut session, &first, &[("RTP/SAVP", &[])]).is_err());
    let pending = offers(&mut session, first.clone());
    assert!(said(pending.sdp(), "a=crypto")[0].ends_with(&text(&line(1, Suite::Aes128Sha1_80, 3))));
    session.forget_keys();
    assert_eq!(said(offers(&mut session, first).sdp(), "a=crypto").len(), 3, "for somebody else");
}

#[test]
fn keys_are_not_shown() {
    let mut session = LocalSession::new(1);
    let ours = local(Security::Required, 0x41);
    let pending = offers(&mut session, ours.clone());
    let secret = BASE64.encode([0x41; 6]);
    assert!(String::from_utf8_lossy(pending.sdp()).contains(&secret), "but on the wire");
    for shown in [format!("{session:?}"), format!("{pending:?}"), format!("{ours:?}")] {
        assert!(!shown.contains(&secret) && !shown.contains("65, 65"), "{shown}");
    }
    assert!(!format!("{:?}", Crypto::parse(LINE)).contains(&INLINE[..8]));
}

proptest! {
    #[test]
    fn rfc4568_reading_never_panics_and_what_was_written_is_read(
        noise in "\\PC{0,60}", tag in 0..1_000_000_000_u32, fill: u8,
        suite in proptest::sample::select(Suite::ALL.to_vec()),
    ) {
        let _ = Crypto::parse(&noise);
        let _ = Crypto::parse(&format!("{tag} {} inline:{noise}", suite.name()));
        let _ = Crypto::parse(&format!("{LINE}|{noise}"));
        let line = line(tag, suite, fill);
        prop_assert_eq!(Crypto::parse(&text(&line)), Some(line));
    }
}
