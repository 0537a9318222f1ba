//! A tick of a conference.

use std::hint::black_box;
use std::time::Instant;

use audio::codec::{Coding, Encoder, OCTETS_MAX};
use audio::jitter::Stamp;
use audio::mix::{MemberNo, Room, TICK};

use crate::Meter;

/// Ten members, every other one in G.722; two talk.
pub(super) fn mix_10(meter: &mut Meter, rounds: u64) {
    mix(meter, rounds, (10, 2), [Coding::Pcmu, Coding::G722]);
}

/// 200 members in G.711, of whom three talk.
pub(super) fn mix_200(meter: &mut Meter, rounds: u64) {
    mix(meter, rounds, (200, 3), [Coding::Pcmu, Coding::Pcma]);
}

/// A packet of each member, and the tick that mixes them.
fn mix(meter: &mut Meter, rounds: u64, (members, talkers): (u8, u8), codings: [Coding; 2]) {
    let start = Instant::now();
    let mut room = Room::new(start);
    let said: Vec<(Coding, Vec<Vec<u8>>)> = (0..members)
        .map(|no| {
            let coding = codings[usize::from(no) % 2];
            assert!(room.join(no, coding).is_ok());
            (coding, payloads(coding, if no < talkers { 6_000.0 } else { 0.0 }))
        })
        .collect();
    let mut tick = |number: u64| {
        let count = (number & 0xffff_ffff) as u32;
        let now = start + TICK * count;
        for (no, (coding, payloads)) in said.iter().enumerate() {
            let (sequence, timestamp) = ((number & 0xffff) as u16, count * (coding.clock() / 50));
            let stamp = Stamp { ssrc: 1, sequence, timestamp };
            let payload = &payloads[count as usize % payloads.len()];
            room.push(now, no as MemberNo, *coding, stamp, payload);
        }
        room.tick(now + TICK / 2, |_, _, payload| {
            black_box(payload);
        });
    };
    (0..100).for_each(&mut tick);
    meter.start();
    meter.measure(|| (100..100 + rounds).for_each(&mut tick));
}

/// A second of a tone, or of silence.
fn payloads(coding: Coding, peak: f64) -> Vec<Vec<u8>> {
    let Ok(mut encoder) = Encoder::new(coding) else { return Vec::new() };
    let (mut octets, len) = ([0; OCTETS_MAX], coding.rate() as usize / 50);
    let step = 440.0 * std::f64::consts::TAU / f64::from(coding.rate());
    (0..50)
        .map(|frame| {
            let turn = (frame * len..(frame + 1) * len).map(|n| (step * n as f64).sin());
            let sound: Vec<i16> = turn.map(|x| (x * peak) as i16).collect();
            let count = encoder.encode(&sound, &mut octets).unwrap_or(0);
            octets[..count].to_vec()
        })
        .collect()
}
