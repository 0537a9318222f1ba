//! What a packet costs on its way: no allocation.

#![allow(unsafe_code, reason = "a global allocator that counts can only be written with unsafe")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use rtp::packet::Stamp;
use rtp::rtcp::REPORT_MAX;
use rtp::srtp::{Master, Receiver, Sender, Suite, TRAILER_MAX};
use rtp::{Verdict, forward};

#[path = "fixture/leg.rs"]
mod fixture;
use fixture::leg;

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

#[test]
#[allow(clippy::disallowed_methods, reason = "an origin for virtual time, read once a test")]
fn a_packet_is_relayed_without_allocation() {
    let mut now = Instant::now();
    let (a, b) = ("127.0.0.1:4000".parse().unwrap(), "127.0.0.1:5000".parse().unwrap());
    let stranger = "127.0.0.9:666".parse().unwrap();
    let (mut from, mut to) = (leg(now, a), leg(now, b));
    let mut packet = [0; 172];
    let mut report = [0; REPORT_MAX];
    let before = ALLOCATIONS.with(Cell::get);
    let mut sent = 0_u32;
    for n in 0..100_000_u32 {
        now += Duration::from_millis(20);
        let payload_type = if n % 50 == 0 { 101 } else { 0 };
        let stamp = Stamp {
            payload_type,
            marker: false,
            sequence: (n & 0xffff) as u16,
            timestamp: n.wrapping_mul(160),
            ssrc: 7,
        };
        stamp.write_new(&mut packet);
        let source = if n % 10 == 9 { stranger } else { a };
        let forwarded = forward(now, &mut from, Some(&mut to), source, &mut packet);
        sent += u32::from(matches!(forwarded.verdict, Verdict::Send(_)));
        if n % 250 == 0 {
            to.report(now, false, &mut report);
        }
    }
    assert_eq!(ALLOCATIONS.with(Cell::get) - before, 0);
    assert_eq!(sent, 90_000);
}

#[test]
fn b8_a_packet_is_protected_and_opened_without_allocation() {
    for suite in [Suite::Aes128Sha1_80, Suite::Aes256Gcm] {
        let key = vec![7; suite.key_len() + suite.salt_len()];
        let key = Master::new(suite, &key, None).unwrap();
        let (mut sender, mut receiver) = (Sender::new(&key), Receiver::new(&key));
        let mut packet = [0; 172 + TRAILER_MAX];
        let mut report = [0; REPORT_MAX + TRAILER_MAX];
        let mut before = 0;
        for n in 0..5_000_u32 {
            let sequence = ((n + 63_000) & 0xffff) as u16;
            Stamp { payload_type: 0, marker: false, sequence, timestamp: n, ssrc: 7 }
                .write_new(&mut packet);
            let len = sender.protect(&mut packet, 172).unwrap();
            assert_eq!(receiver.open(&mut packet[..len]), Ok(172));
            assert!(receiver.open(&mut packet[..len]).is_err(), "it is open");
            if n % 100 == 0 {
                report[..8].copy_from_slice(&[0x80, 201, 0, 1, 0, 0, 0, 7]);
                let len = sender.protect_rtcp(&mut report, 8).unwrap();
                assert_eq!(receiver.open_rtcp(&mut report[..len]), Ok(8));
            }
            if n == 0 {
                // The stream has taken its place at both ends.
                before = ALLOCATIONS.with(Cell::get);
            }
        }
        assert_eq!(ALLOCATIONS.with(Cell::get) - before, 0, "{suite:?}");
    }
}
