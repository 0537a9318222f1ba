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

/// As a carrier sends it, with every line end as on the wire.
fn invite() -> Bytes {
    Bytes::from_static(include_bytes!("messages/carriers-invite.sip"))
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
