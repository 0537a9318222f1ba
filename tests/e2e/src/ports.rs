//! Free ports on loopback, below the kernel's ephemeral range so that nobody else is handed them.

use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

/// Each test process starts at a different place; within a process numbers are never handed out twice.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// First port of the block used here.
const FIRST: u16 = 11_000;
/// Size of the block.
const COUNT: u16 = 20_000;
/// Processes that begin one behind the other and run at the same time are to be far from each other: what one has let
/// go and will take again may not be free for the next.
const APART: u32 = 6_151;

/// The first of `count` neighbouring free ports, even, free for UDP and TCP on 127.0.0.1.
///
/// # Panics
/// When a thousand tries find nothing.
#[must_use]
pub fn block(count: u16) -> u16 {
    let step = count.div_ceil(2) * 2;
    for _ in 0..1000 {
        let seed = u16::try_from(std::process::id() % 10_000 * APART % 10_000).unwrap_or(0) * 2;
        let offset = NEXT.fetch_add(step, Ordering::Relaxed);
        let first = FIRST + (seed.wrapping_add(offset)) % (COUNT - step);
        let first = first & !1;
        if (first..first + count).all(free) {
            return first;
        }
    }
    panic!("no {count} free ports");
}

/// One free port.
#[must_use]
pub fn one() -> u16 {
    block(2)
}

fn free(port: u16) -> bool {
    UdpSocket::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok()
}
