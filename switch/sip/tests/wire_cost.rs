//! What reading a message costs: no allocation in the ordinary case, about a microsecond.

#![allow(unsafe_code, reason = "a global allocator that counts can only be written with unsafe")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use sip::wire::{HeaderName, Message};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is handed to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// 963 bytes, as a carrier sends them.
fn invite() -> Bytes {
    let sdp = "v=0\r\no=- 20518 20518 IN IP4 198.51.100.20\r\ns=-\r\nc=IN IP4 198.51.100.20\r\n\
        t=0 0\r\nm=audio 40376 RTP/AVP 8 0 18 101\r\na=rtpmap:8 PCMA/8000\r\n\
        a=rtpmap:0 PCMU/8000\r\na=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\n\
        a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";
    let head = format!(
        "INVITE sip:+8613800138000@203.0.113.10:5060;user=phone SIP/2.0\r\n\
        Via: SIP/2.0/UDP 198.51.100.20:5060;branch=z9hG4bK-524287-1---9d2c1fbe3f7a1a55;rport\r\n\
        Max-Forwards: 69\r\n\
        Contact: <sip:+861059001234@198.51.100.20:5060>\r\n\
        To: <sip:+8613800138000@203.0.113.10>\r\n\
        From: \"01059001234\" <sip:+861059001234@198.51.100.20>;tag=6a4f3b1e\r\n\
        Call-ID: 81223NWQ4MDc0MzY0ZjQ5N2E1\r\nCSeq: 1 INVITE\r\n\
        Allow: INVITE, ACK, CANCEL, BYE, UPDATE, OPTIONS, INFO\r\n\
        Content-Type: application/sdp\r\nSupported: timer\r\n\
        User-Agent: carrier-sbc/7.4\r\nContent-Length: {}\r\n",
        sdp.len()
    );
    let padding = 963 - head.len() - sdp.len() - "Subject: \r\n\r\n".len();
    Bytes::from(format!("{head}Subject: {}\r\n\r\n{sdp}", "s".repeat(padding)))
}

#[test]
fn an_ordinary_message_is_read_without_allocation() {
    let bytes = invite();
    assert_eq!(bytes.len(), 963);
    let copy = bytes.clone(); // The first clone of a Vec's Bytes allocates its counter.
    let before = ALLOCATIONS.get();
    let message = Message::parse(black_box(copy)).unwrap();
    let seen = (
        message.header(HeaderName::Via).map(<[u8]>::len),
        message.header_str(HeaderName::From).map(str::len),
        message.call_id().map(str::len),
        message.request_uri().map(str::len),
        message.body().len(),
        message.lists(HeaderName::Supported, "timer"),
    );
    let after = ALLOCATIONS.get();
    assert_eq!(after - before, 0, "{seen:?}");
    assert!(seen.5);
}

/// Time on a shared machine is noise, so this only prints; run it in release with `--ignored`.
#[test]
#[ignore = "a measurement, for release builds"]
#[allow(clippy::disallowed_methods, reason = "it measures time")]
fn cost_of_a_963_byte_invite() {
    let bytes = invite();
    let mut best = [u128::MAX; 3];
    for _ in 0..30 {
        let start = Instant::now();
        for _ in 0..4000 {
            black_box(Message::parse(black_box(bytes.clone())).unwrap());
        }
        best[0] = best[0].min(start.elapsed().as_nanos() / 4000);
        let start = Instant::now();
        for _ in 0..4000 {
            let message = Message::parse(black_box(bytes.clone())).unwrap();
            let _ = black_box((message.via(), message.from(), message.to(), message.cseq()));
        }
        best[1] = best[1].min(start.elapsed().as_nanos() / 4000);
        let start = Instant::now();
        for _ in 0..4000 {
            let message = Message::parse(black_box(bytes.clone())).unwrap();
            black_box(message.verify()).unwrap();
        }
        best[2] = best[2].min(start.elapsed().as_nanos() / 4000);
    }
    println!("parse {} ns, with typed headers {} ns, with verify {} ns", best[0], best[1], best[2]);
}
