//! The way of an RTP packet.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rtp::packet::Stamp;
use rtp::{Leg, Verdict};

use crate::Meter;

#[path = "../../../../../media/rtp/tests/fixture/leg.rs"]
mod fixture;
use fixture::leg;

fn forward_one(
    now: Instant,
    number: u64,
    from: &mut Leg,
    to: &mut Leg,
    source: SocketAddr,
    packet: &mut [u8; 172],
) {
    let stamp = Stamp {
        payload_type: 0,
        marker: number == 0,
        sequence: (number & 0xffff) as u16,
        timestamp: (number & 0xffff_ffff) as u32,
        ssrc: 7,
    };
    stamp.write_new(packet);
    let forwarded = rtp::forward(now, from, Some(to), source, packet);
    assert!(matches!(black_box(forwarded).verdict, Verdict::Send(_)));
}

pub(super) fn forward(meter: &mut Meter, rounds: u64) {
    let mut now = Instant::now();
    let (a, b) = (([127, 0, 0, 1], 4000).into(), ([127, 0, 0, 1], 5000).into());
    let (mut from, mut to) = (leg(now, a), leg(now, b));
    let mut packet = [0; 172];
    let mut next = |range: std::ops::Range<u64>| {
        for number in range {
            now += Duration::from_millis(20);
            forward_one(now, number, &mut from, &mut to, a, &mut packet);
        }
    };
    next(0..100);
    meter.start();
    meter.measure(|| next(100..100 + rounds));
}
