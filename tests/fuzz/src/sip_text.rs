//! The targets that read SIP text: messages, streams, URIs, header values, SDP, digest values.

use bytes::Bytes;
use facts::ussd::Dialled;
use sip::digest::{Authorization, Challenge, challenge_of};
use sip::offer::{Codec, LocalAudio, LocalSession, SessionDescription, answer, offer};
use sip::ussd::UssdData;
use sip::wire::stream::{Frame, Framer};
use sip::wire::{
    CSeq, Contact, Draft, Fault, HEADERS_MAX, HeaderName, MESSAGE_BYTES_MAX, Message, NameAddr,
    Reason, RetryAfter, SessionExpires, Uri, Via,
};

/// One datagram: every value can be asked for, an answer can be written, and printing what was read
/// gives a message that reads and prints the same.
pub fn datagram(bytes: &[u8]) {
    let message = match Message::parse(Bytes::copy_from_slice(bytes)) {
        Ok(message) => message,
        Err(error) => {
            if let Some(partial) = error.answerable() {
                read_all(partial);
                answerable(partial, error.fault.status());
            }
            return;
        }
    };
    read_all(&message);
    if message.is_request() {
        let verdict = message.verify();
        if message.via().is_ok() {
            answerable(&message, verdict.map_or_else(Fault::status, |()| 200));
        }
    }
    let printed = Draft::copy_of(&message).to_bytes();
    // A Content-Length that was missing is added, which may cross a limit.
    if printed.len() > MESSAGE_BYTES_MAX || message.fields().count() >= HEADERS_MAX {
        return;
    }
    let again = Message::parse(printed.clone()).expect("what we print, we read");
    assert_eq!(again.body(), message.body());
    assert_eq!(again.start_line(), message.start_line());
    let values = |message: &Message| -> Vec<_> {
        let own = |(name, _, _): &(HeaderName, &[u8], &[u8])| *name != HeaderName::ContentLength;
        message.fields().filter(own).map(|(name, _, value)| (name, value.to_vec())).collect()
    };
    assert_eq!(values(&again), values(&message));
    assert_eq!(Draft::copy_of(&again).to_bytes(), printed, "printing is a fixed point");
}

fn read_all(message: &Message) {
    let _ = (message.vias(), message.from(), message.to(), message.cseq(), message.call_id());
    let _ = (message.contacts(), message.routes(), message.record_routes(), message.expires());
    let _ = (message.max_forwards(), message.reason(), message.retry_after());
    let _ = (message.session_expires(), message.content_type(), message.reason_phrase());
    let _ = (message.request_uri().map(Uri::parse), challenge_of(message, None));
    assert!(message.body().len() <= message.bytes().len());
    let parts = message.parts().unwrap_or_default();
    assert!(parts.iter().all(|part| part.body.len() <= message.body().len()));
    for &name in HeaderName::ALL {
        assert!(message.headers(name).count() <= message.bytes().len());
        assert!(message.lines(name).all(|line| !line.contains(&b'\r') && !line.contains(&b'\n')));
    }
}

fn answerable(request: &Message, status: u16) {
    let mut draft = Draft::reply_to(request, status);
    draft.tag_to("ours");
    if let Ok(mut via) = request.via() {
        via.stamp(std::net::Ipv4Addr::LOCALHOST.into(), 5060);
        draft.set_top_via(&via);
    }
    let bytes = draft.to_bytes();
    if bytes.len() > MESSAGE_BYTES_MAX || request.fields().count() >= HEADERS_MAX {
        return;
    }
    match Message::parse(bytes) {
        Ok(answer) => {
            assert_eq!(answer.status(), Some(status));
            assert_eq!(
                answer.lines(HeaderName::Via).count(),
                request.lines(HeaderName::Via).count()
            );
        }
        // Stamping the Via or tagging To may push a header that was nearly too long over its limit.
        Err(error) => assert_eq!(error.fault, sip::wire::ParseFault::HeaderTooLong),
    }
}

/// A byte stream: however it is cut on the way, the frames are the same.
pub fn stream(bytes: &[u8]) {
    // The first byte says how to cut the rest.
    let Some((&step, bytes)) = bytes.split_first() else { return };
    let (whole, whole_end) = frames(&[bytes]);
    let step = usize::from(step % 31) + 1;
    let parts: Vec<&[u8]> = bytes.chunks(step).collect();
    let (cut, cut_end) = frames(&parts);
    assert_eq!(whole_end, cut_end);
    assert_eq!(whole, cut);
    for frame in whole {
        if let Frame::Message(bytes) = frame {
            assert!(bytes.len() <= MESSAGE_BYTES_MAX);
            if let Ok(message) = Message::parse(bytes.clone()) {
                let body_at = bytes.len() - message.body().len();
                assert_eq!(
                    message.body(),
                    &bytes[body_at..],
                    "framer and parser agree on the body"
                );
            }
            datagram(&bytes);
        }
    }
}

/// The frames of a stream that comes in these parts, and whether an error ended it.
pub(crate) fn frames(parts: &[&[u8]]) -> (Vec<Frame>, bool) {
    let mut framer = Framer::new();
    let mut found = Vec::new();
    for part in parts {
        framer.push(part);
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => found.push(frame),
                Ok(None) => break,
                Err(_) => return (found, true),
            }
        }
    }
    (found, false)
}

/// A URI: prints as it was read but for the scheme's case, and equals itself.
pub fn uri(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(uri) = Uri::parse(text) else { return };
    let printed = uri.to_string();
    let again = Uri::parse(&printed).expect("what we print, we read");
    assert_eq!(again, uri);
    assert_eq!(again.to_string(), printed);
    assert!(uri.equivalent(&again) && again.equivalent(&uri));
    let _ = (uri.number(), uri.phone_context(), uri.user_text(), uri.host.ip());
}

/// What a subscriber of a mobile network sends: the body of a menu, and the code in it.
pub fn ussd(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(dialled) = Dialled::parse(&text) {
        let printed = dialled.to_string();
        assert_eq!(Dialled::parse(&printed), Some(dialled.clone()));
        assert_eq!(Dialled::code(&printed), Some(dialled));
    }
    let typed = facts::ussd::typed(&text);
    assert!(!typed.contains('*') && !typed.ends_with('#') && !typed.chars().any(char::is_control));
    assert_eq!(facts::ussd::typed(&typed), typed, "what is told is told as it is");
    let Some(data) = UssdData::parse(bytes) else { return };
    let printed = data.print();
    if printed.len() > sip::ussd::BODY_MAX {
        return;
    }
    let again = UssdData::parse(printed.as_bytes()).expect("what we print, we read");
    assert_eq!((again.error, again.text.is_some()), (data.error, data.text.is_some()));
    let printed = again.print();
    if printed.len() <= sip::ussd::BODY_MAX {
        assert_eq!(UssdData::parse(printed.as_bytes()), Some(again), "printing is a fixed point");
    }
}

/// A header value, read as each kind there is.
pub fn header(bytes: &[u8]) {
    if let Some(address) = NameAddr::parse(bytes) {
        let printed = address.to_bytes();
        let again = NameAddr::parse(&printed).expect("what we print, we read");
        assert_eq!(again.uri, address.uri);
        assert_eq!(again.params, address.params);
        assert_eq!(again.to_bytes(), printed);
        let _ = (address.display_text(), address.tag());
    }
    if let Some(via) = Via::parse(bytes) {
        let again = Via::parse(via.to_string().as_bytes()).expect("what we print, we read");
        assert_eq!(again, via);
        let _ = (via.received(), via.rport(), via.has_cookie());
    }
    if let Some(contact) = Contact::parse(bytes) {
        let _ = (contact.expires(), contact.q_thousandths(), contact.instance(), contact.reg_id());
    }
    if let Some(cseq) = CSeq::parse(bytes) {
        assert_eq!(CSeq::parse(cseq.to_string().as_bytes()), Some(cseq));
    }
    if let Some(reason) = Reason::parse(bytes) {
        let again = Reason::parse(reason.to_string().as_bytes()).expect("what we print, we read");
        assert_eq!((again.protocol, again.cause), (reason.protocol, reason.cause));
    }
    let _ = (RetryAfter::parse(bytes), SessionExpires::parse(bytes));
}

/// A session description: printing is a fixed point; as an offer it is refused or answered with as
/// many m-lines as it has, and the answer satisfies whoever reads it.
pub fn sdp(bytes: &[u8]) {
    if let Ok(description) = SessionDescription::parse(bytes) {
        let printed = description.to_string();
        let again = SessionDescription::parse(printed.as_bytes()).expect("what we print, we read");
        assert_eq!(again.to_string(), printed);
        assert_eq!(again.media, description.media);
    }
    let codecs = vec![Codec::pcma(), Codec::pcmu(), Codec::g722(), Codec::opus(), Codec::g729()];
    let local = LocalAudio::new(([192, 0, 2, 1], 40_000).into(), codecs);
    let mut session = LocalSession::new(1);
    if let Ok((ours, agreed)) = answer(&mut session, bytes, &local) {
        let offered = SessionDescription::parse(bytes).expect("it was answered");
        let ours = SessionDescription::parse(&ours).expect("what we print, we read");
        assert_eq!(ours.media.len(), offered.media.len());
        let kinds = |of: &SessionDescription| -> Vec<_> {
            of.media.iter().map(|media| media.kind.clone()).collect()
        };
        assert_eq!(kinds(&ours), kinds(&offered));
        assert_eq!(ours.media.iter().filter(|media| media.port != 0).count(), 1);
        assert!(!agreed.send.is_empty() && agreed.send.len() == agreed.receive.len());
        assert!(!(agreed.remote.ip().is_unspecified() && agreed.direction.sends()));
    }
    let _ = offer(&mut session, local).answered(bytes);
}

/// Digest values: challenges print and read back, and can be answered or not, without panic.
pub fn digest_header(bytes: &[u8]) {
    if let Some(challenge) = Challenge::parse(bytes) {
        let again = Challenge::parse(challenge.to_string().as_bytes());
        assert_eq!(again.expect("what we print, we read").nonce, challenge.nonce);
        if let Some(value) = challenge.answer("1001", "secret", "REGISTER", "sip:h", 1, "c") {
            let read = Authorization::parse(value.as_bytes()).expect("what we print, we read");
            assert_eq!((read.nonce, read.realm), (challenge.nonce, challenge.realm));
        }
    }
    if let Some(read) = Authorization::parse(bytes) {
        assert!(read.protection.is_none_or(|p| u32::from_str_radix(&p.nc_text, 16) == Ok(p.nc)));
    }
}
