//! Conformance A10: framing on streams.

#![allow(clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use sip::wire::stream::{Frame, FrameError, Framer};

fn message(body: &str) -> String {
    format!(
        "MESSAGE sip:b@h SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nl: {}\r\n\r\n{body}",
        body.len()
    )
}

fn frames(framer: &mut Framer) -> Vec<Frame> {
    std::iter::from_fn(|| framer.next_frame().unwrap()).collect()
}

fn whole(text: &[u8]) -> Vec<Frame> {
    let mut framer = Framer::new();
    framer.push(text);
    frames(&mut framer)
}

#[test]
fn a10_rfc3261_18_3_messages_are_cut_by_content_length() {
    let text = format!("{}{}{}", message("one"), message(""), message("three\r\n\r\nx"));
    let found = whole(text.as_bytes());
    let expected: Vec<_> = ["one", "", "three\r\n\r\nx"]
        .into_iter()
        .map(|body| Frame::Message(Bytes::from(message(body))))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a10_rfc5626_4_4_1_keep_alives() {
    let text = format!("\r\n\r\n{}\r\n{}\r\n\r\n", message("x"), message("y"));
    let found = whole(text.as_bytes());
    let kinds: Vec<_> = found
        .iter()
        .map(|frame| match frame {
            Frame::Message(_) => 'm',
            Frame::Ping => '?',
            Frame::Pong => '.',
        })
        .collect();
    assert_eq!(kinds, ['.', '?', 'm', '.', 'm', '.', '?']);
}

#[test]
fn a10_a_stream_split_at_any_byte_gives_the_same_frames() {
    let folded = "INFO sip:b@h SIP/2.0\r\nSubject: a\r\n b\r\nContent-Length :  2 \r\n\r\nhi";
    let text = format!("\r\n\r\n{}\r\n{folded}{}\r\n\r\n", message("a\r\n\r\nb"), message(""));
    let expected = whole(text.as_bytes());
    assert_eq!(expected.len(), 8);
    for first in 0..text.len() {
        for second in [first, (first + 1).min(text.len()), text.len() - 1] {
            let second = second.max(first);
            let mut framer = Framer::new();
            let mut found = Vec::new();
            for part in [
                &text.as_bytes()[..first],
                &text.as_bytes()[first..second],
                &text.as_bytes()[second..],
            ] {
                framer.push(part);
                found.extend(frames(&mut framer));
            }
            assert_eq!(found, expected, "split at {first} and {second}");
            assert_eq!(framer.pending(), 0);
        }
    }
    let mut framer = Framer::new();
    let mut found = Vec::new();
    for byte in text.as_bytes() {
        framer.push(&[*byte]);
        found.extend(frames(&mut framer));
    }
    assert_eq!(found, expected);
}

#[test]
fn a10_without_a_usable_length_the_stream_is_lost() {
    let head = |length: &str| format!("INFO sip:b@h SIP/2.0\r\n{length}\r\nbody and more\r\n\r\n");
    for (length, error) in [
        ("", FrameError::NoContentLength),
        ("Content-Length: -1\r\n", FrameError::ContentLength),
        ("Content-Length: x\r\n", FrameError::ContentLength),
        ("Content-Length:\r\n", FrameError::ContentLength),
        ("Content-Length: 1\r\nl: 2\r\n", FrameError::ContentLength),
        ("Content-Length: 65536\r\n", FrameError::MessageTooLong),
        ("Content-Length: 99999999999999999999999999\r\n", FrameError::MessageTooLong),
    ] {
        let mut framer = Framer::new();
        framer.push(head(length).as_bytes());
        assert_eq!(framer.next_frame(), Err(error), "{length}");
        framer.push(message("x").as_bytes());
        assert_eq!(framer.next_frame(), Err(error), "an error stays");
        assert_eq!(framer.pending(), 0, "nothing is kept");
    }
}

#[test]
fn a10_a_head_without_end_is_given_up() {
    let mut framer = Framer::new();
    let mut error = None;
    for _ in 0..70_000 / 100 {
        framer.push(&[b'a'; 100]);
        if let Err(found) = framer.next_frame() {
            error = Some(found);
            break;
        }
        assert!(framer.pending() <= 65_536);
    }
    assert_eq!(error, Some(FrameError::HeadTooLong));
}
