//! Codings beyond G.711 over real sockets.

use facts::media::{Codec, MediaEvent, PayloadMap};

use crate::common::*;

/// Opus, its keys and, if wanted, comfort noise, under these numbers.
fn opus(number: u8, events: &[(u8, u32)]) -> PayloadMap {
    PayloadMap { audio: vec![(number, Codec::Opus)], events: events.to_vec(), noise: None }
}

#[test]
fn rfc7587_4_2_opus_passes_as_it_is_and_silence_that_was_not_sent_stays_a_pause() {
    let w = World::new(26_000, 20, |_| {});
    let (a, b) = (Phone::new(1), Phone::new(2));
    let (ours, theirs) = (opus(96, &[(97, 48_000)]), opus(111, &[(101, 48_000)]));
    w.bridge((&a, setup(&a, ours)), (&b, setup(&b, theirs)));
    // Packets of 20 ms of different lengths, one lost; then a second of which nothing was sent.
    let mut first = None;
    for (n, timestamp) in [(0_u8, 0), (1, 960), (3, 2_880), (4, 3_840), (5, 51_840), (6, 52_800)] {
        if n == 3 {
            a.lose();
        }
        let payload = vec![8 + n; 20 + usize::from(n)];
        a.say_at(96, timestamp, &payload);
        let heard = b.must_hear();
        let (seq, ts) = *first.get_or_insert((heard.sequence, heard.timestamp));
        assert_eq!(heard.payload, payload, "bit-identical");
        assert_eq!(heard.payload_type, 111);
        assert_eq!(heard.sequence, seq.wrapping_add(u16::from(n)), "a gap stays a gap");
        assert_eq!(heard.timestamp, ts.wrapping_add(timestamp), "48000 a second");
    }
    let stats = w.close(A);
    assert_eq!((stats.packets_received, stats.packets_lost), (6, 1));
    assert_eq!(w.close(B).packets_sent, 6);
}

#[test]
fn rfc4733_2_1_keys_are_told_in_the_listeners_clock() {
    let w = World::new(26_100, 20, |_| {});
    let (a, b) = (Phone::new(1), Phone::new(2));
    // One has events of the clock of Opus, the other only those of 8000 Hz.
    let (ours, theirs) = (opus(96, &[(97, 48_000)]), opus(111, &[(101, 8_000)]));
    w.bridge((&a, setup(&a, ours)), (&b, setup(&b, theirs)));
    a.say_at(96, 0, &[8; 20]);
    let sound = b.must_hear();
    for n in 1..=3_u16 {
        let [high, low] = (n * 960).to_be_bytes();
        a.say_at(97, 960, &[5, if n == 3 { 0x8a } else { 10 }, high, low]);
        let heard = b.must_hear();
        assert_eq!(heard.payload_type, 101);
        assert_eq!(heard.payload[2..], (n * 160).to_be_bytes());
        assert_eq!(heard.sequence, sound.sequence.wrapping_add(n));
        assert_eq!(heard.marker, n == 1);
    }
    assert_eq!(w.next(), MediaEvent::Digit { leg: A, digit: '5' });
    // And back: the sound goes on where it was.
    b.say_at(111, 5, &[9; 20]);
    a.must_hear();
    b.say_at(101, 965, &[7, 0x8a, 3, 0x20]);
    assert_eq!(a.must_hear().payload, [7, 0x8a, 0x12, 0xc0]);
    assert_eq!(w.next(), MediaEvent::Digit { leg: B, digit: '7' });
    // What comes sooner may be what is left of the key.
    std::thread::sleep(ms(120));
    a.say_at(96, 3_840, &[8; 20]);
    let heard = b.must_hear();
    assert_eq!(heard.timestamp, sound.timestamp.wrapping_add(3_840));
    assert!(w.find(ms(100), |e| matches!(e, MediaEvent::Digit { .. })).is_none());
}

#[test]
fn rfc3389_4_comfort_noise_passes_to_whoever_takes_it() {
    let w = World::new(26_200, 20, |_| {});
    let (a, b) = (Phone::new(1), Phone::new(2));
    let taken = |number| PayloadMap { noise: Some(number), ..only(9, Codec::G722) };
    w.bridge((&a, setup(&a, taken(13))), (&b, setup(&b, taken(19))));
    a.say_at(9, 0, &[1; 160]);
    let sound = b.must_hear();
    a.say_at(13, 160, &[40]);
    let noise = b.must_hear();
    assert_eq!((noise.payload_type, noise.payload), (19, vec![40]));
    assert_eq!(noise.timestamp, sound.timestamp.wrapping_add(160));
    a.say_at(9, 8_160, &[1; 160]);
    assert_eq!(b.must_hear().timestamp, sound.timestamp.wrapping_add(8_160));
    // Whoever does not take it hears a pause without a gap.
    w.setup(B, setup(&b, only(9, Codec::G722)));
    w.settle();
    a.say_at(13, 8_320, &[40]);
    a.say_at(9, 16_160, &[1; 160]);
    let heard = b.must_hear();
    assert_eq!((heard.payload_type, heard.sequence), (9, sound.sequence.wrapping_add(3)));
}
