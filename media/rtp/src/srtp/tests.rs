//! Senders and receivers against each other, against known packets, and against forgers.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::testing::{SUITES, hex, master, named, rtp, sealed, sealed_rtcp};
use super::window::WINDOW;
use super::*;

const SSRC: u32 = 0xcafe_babe;

fn pair(suite: Suite) -> (Sender, Receiver) {
    let key = master(suite, 1);
    (Sender::new(&key), Receiver::new(&key))
}

fn opened(receiver: &mut Receiver, packet: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut packet = packet.to_vec();
    let len = receiver.open(&mut packet)?;
    packet.truncate(len);
    Ok(packet)
}

fn opened_rtcp(receiver: &mut Receiver, packet: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut packet = packet.to_vec();
    let len = receiver.open_rtcp(&mut packet)?;
    packet.truncate(len);
    Ok(packet)
}

/// A sender report of 28 octets.
fn report() -> Vec<u8> {
    hex("80c80006 cafebabe 01234567 89abcdef 00000001 00000002 00000003")
}

/// The packets that libsrtp's own tests expect under the key of RFC 3711 B.3.
#[test]
fn b8_rfc3711_3_1_and_3_4_packets_of_libsrtp_are_the_same_to_the_bit() {
    let key = hex("e1f97a0d3e018be0d64fa32c06de4139 0ec675ad498afeebb6960b3aabe6");
    let key = Master::new(Suite::Aes128Sha1_80, &key, None).unwrap();
    let (mut sender, mut receiver) = (Sender::new(&key), Receiver::new(&key));
    let plain = hex("800f1234decafbadcafebabe abababababababababababababababab");
    let expected = "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb";
    assert_eq!(sealed(&mut sender, &plain), hex(expected));
    assert_eq!(opened(&mut receiver, &hex(expected)), Ok(plain));

    let plain = hex("81c8000bcafebabe abababababababababababababababab");
    let expected = "81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798";
    let first = sealed_rtcp(&mut sender, &plain);
    assert_eq!(first[24..28], hex("80000000"), "RFC 3711 §3.2.1: the first index is 0");
    assert_eq!(sealed_rtcp(&mut sender, &plain), hex(expected), "and the next is 1");
    assert_eq!(opened_rtcp(&mut receiver, &hex(expected)), Ok(plain));
}

#[test]
fn b8_every_suite_opens_what_it_protected_and_adds_what_it_says() {
    for suite in SUITES {
        let (mut sender, mut receiver) = pair(suite);
        for len in [0, 1, 15, 16, 17, 160, 480] {
            let packet = rtp(SSRC, len as u16, &vec![0x55; len]);
            let wire = sealed(&mut sender, &packet);
            assert_eq!(wire.len(), packet.len() + suite.tag_len(false), "{suite:?}");
            assert!(len < 15 || wire[12..12 + len] != packet[12..], "{suite:?} hides nothing");
            assert_eq!(opened(&mut receiver, &wire), Ok(packet), "{suite:?} {len}");
        }
        let wire = sealed_rtcp(&mut sender, &report());
        assert_eq!(wire.len(), report().len() + 4 + suite.tag_len(true), "{suite:?}");
        assert_eq!(opened_rtcp(&mut receiver, &wire), Ok(report()), "{suite:?}");
        assert_eq!(receiver.tally(), Tally::default());
    }
}

#[test]
fn rfc3711_3_1_sources_and_extension_stay_clear_and_are_signed() {
    for suite in SUITES {
        let (mut sender, mut receiver) = pair(suite);
        let mut packet = rtp(SSRC, 1, &[9, 9, 9, 9, 0xbe, 0xde, 0, 1, 7, 7, 7, 7, 1, 2, 3]);
        packet[0] |= 0x11;
        let mut wire = sealed(&mut sender, &packet);
        assert_eq!(wire[..24], packet[..24]);
        assert_ne!(wire[24..27], packet[24..27]);
        wire[20] ^= 1;
        assert_eq!(opened(&mut receiver, &wire), Err(Failure::Forged), "{suite:?}");
        wire[20] ^= 1;
        assert_eq!(opened(&mut receiver, &wire), Ok(packet));
    }
}

/// RFC 7714 §17.3 and §17.4: the word says that it is not encrypted.
#[test]
fn b8_rfc7714_9_3_and_rfc3711_3_4_reports_that_are_only_signed_are_read() {
    for suite in [Suite::Aes128Gcm, Suite::Aes128Sha1_80] {
        let key = master(suite, 1);
        let mut wire = report();
        wire.extend([0; 20]);
        let end = report().len();
        let transform = transform::Transform::derive(&key, transform::Protocol::Srtcp);
        transform.sign_rtcp(transform::Place { ssrc: SSRC, index: 5 }, 5, &mut wire, end);
        wire.truncate(end + 4 + suite.tag_len(true));
        let mut receiver = Receiver::new(&key);
        assert_eq!(opened_rtcp(&mut receiver, &wire), Ok(report()), "{suite:?}");
        assert_eq!(opened_rtcp(&mut receiver, &wire), Err(Failure::Replayed));
        let mut forged = wire.clone();
        forged[9] ^= 0x80;
        let word = if suite.is_gcm() { end + 19 } else { end + 3 };
        forged[word] = 6;
        assert_eq!(opened_rtcp(&mut receiver, &forged), Err(Failure::Forged), "{suite:?}");
    }
}

#[test]
fn case_4_the_roll_over_counter_lives_as_long_as_the_key() {
    for suite in [Suite::Aes128Sha1_80, Suite::Aes256Gcm] {
        let (mut sender, mut receiver) = pair(suite);
        let step = 500_u32;
        for n in 0..400 {
            // Three roll-overs; a re-INVITE now and then names the same keys.
            let sequence = ((n * step) & 0xffff) as u16;
            if n % 7 == 0 {
                sender.rekey(&master(suite, 1));
                receiver.rekey(&master(suite, 1));
            }
            let packet = rtp(SSRC, sequence, &n.to_be_bytes());
            let wire = sealed(&mut sender, &packet);
            assert_eq!(opened(&mut receiver, &wire), Ok(packet), "{suite:?} {n}");
        }
        let late = rtp(SSRC, ((400 * step) & 0xffff) as u16, b"late");
        let fresh = sealed(&mut Sender::new(&master(suite, 1)), &late);
        let refused = opened(&mut receiver, &fresh);
        assert_eq!(refused, Err(Failure::Forged), "a counter that starts over does not fit");
    }
}

#[test]
fn case_4_a_new_key_starts_a_new_counter_and_what_is_under_way_is_still_heard() {
    let suite = Suite::Aes128Sha1_80;
    let (mut sender, mut receiver) = pair(suite);
    for sequence in [0x7000, 0xe000, 0x5000] {
        let wire = sealed(&mut sender, &rtp(SSRC, sequence, b"old"));
        opened(&mut receiver, &wire).unwrap();
    }
    let under_way = sealed(&mut sender, &rtp(SSRC, 0x5001, b"old"));
    let too_late = sealed(&mut sender, &rtp(SSRC, 0x5002, b"old"));
    let played = sealed(&mut sender, &rtp(SSRC, 0x5003, b"old"));
    opened(&mut receiver, &played).unwrap();
    sender.rekey(&master(suite, 2));
    receiver.rekey(&master(suite, 2));
    opened(&mut receiver, &under_way).unwrap();
    assert_eq!(opened(&mut receiver, &played), Err(Failure::Forged), "no second life");
    let packet = rtp(SSRC, 0x5004, b"new");
    let wire = sealed(&mut sender, &packet);
    let mut other = Sender::new(&master(suite, 2));
    assert_eq!(wire, sealed(&mut other, &packet), "the counter of the new key is 0");
    assert_eq!(opened(&mut receiver, &wire), Ok(packet));
    let refused = opened(&mut receiver, &too_late);
    assert_eq!(refused, Err(Failure::Forged), "the new key was heard: the old one is gone");
}

#[test]
fn case_2_another_ssrc_under_the_same_key_is_heard_at_once() {
    let (mut sender, mut receiver) = pair(Suite::Aes128Gcm);
    for n in 0..STREAMS_MAX as u32 {
        let packet = rtp(n, 40_000, b"sound");
        let wire = sealed(&mut sender, &packet);
        assert_eq!(opened(&mut receiver, &wire), Ok(packet), "{n}");
        assert_eq!(opened(&mut receiver, &wire), Err(Failure::Replayed), "{n}");
    }
    let wire = sealed(&mut Sender::new(&master(Suite::Aes128Gcm, 1)), &rtp(99, 1, b"sound"));
    assert_eq!(opened(&mut receiver, &wire), Err(Failure::TooManyStreams));
}

#[test]
fn rfc3711_3_3_1_a_roll_over_among_lost_first_packets_is_found() {
    let (mut sender, mut receiver) = pair(Suite::Aes128Sha1_32);
    sealed(&mut sender, &rtp(SSRC, 65_530, b"lost"));
    for sequence in 3..6 {
        let packet = rtp(SSRC, sequence, b"heard");
        let wire = sealed(&mut sender, &packet);
        assert_eq!(opened(&mut receiver, &wire), Ok(packet));
    }
}

#[test]
fn rfc3711_9_1_no_index_is_protected_twice() {
    for suite in SUITES {
        let (mut sender, _) = pair(suite);
        sealed(&mut sender, &rtp(SSRC, 500, b"once"));
        for sequence in [500, 500 - WINDOW as u16] {
            let mut packet = rtp(SSRC, sequence, b"twice");
            packet.extend([0; TRAILER_MAX]);
            let before = packet.clone();
            let refused = sender.protect(&mut packet, before.len() - TRAILER_MAX);
            assert_eq!(refused, Err(Failure::Replayed), "{suite:?}");
            assert_eq!(packet, before, "and nothing of it was written");
        }
    }
}

#[test]
fn rfc3711_3_1_a_named_key_is_told_by_its_name() {
    let mki = Mki { value: 0x0102, len: 4 };
    for suite in [Suite::Aes128Sha1_80, Suite::Aes256Gcm] {
        let mut sender = Sender::new(&master(suite, 1));
        let mut receiver = Receiver::new(&named(suite, 1, Some(mki)));
        let packet = rtp(SSRC, 7, b"sound");
        let wire = sealed(&mut sender, &packet);
        let control = sealed_rtcp(&mut sender, &report());
        let name = |wire: &[u8], tag: usize, name: [u8; 4]| {
            let at = if suite.is_gcm() { wire.len() } else { wire.len() - tag };
            [&wire[..at], &name, &wire[at..]].concat()
        };
        let wrong = name(&wire, suite.tag_len(false), [0, 0, 1, 3]);
        assert_eq!(opened(&mut receiver, &wrong), Err(Failure::Forged), "{suite:?}");
        assert!(opened(&mut receiver, &wire).is_err(), "{suite:?}: no name");
        let right = name(&wire, suite.tag_len(false), [0, 0, 1, 2]);
        assert_eq!(opened(&mut receiver, &right), Ok(packet), "{suite:?}");
        let right = name(&control, suite.tag_len(true), [0, 0, 1, 2]);
        assert_eq!(opened_rtcp(&mut receiver, &right), Ok(report()), "{suite:?}");
    }
}

#[test]
fn keys_are_not_shown() {
    let (sender, receiver) = pair(Suite::Aes128Sha1_80);
    let key = master(Suite::Aes128Sha1_80, 1);
    assert_eq!(format!("{key:?}"), "Master { suite: Aes128Sha1_80, .. }");
    for shown in [format!("{sender:?}"), format!("{receiver:?}")] {
        assert!(shown.contains("Master { suite: Aes128Sha1_80, .. }"), "{shown}");
        assert!(shown.contains("Transform { .. }"), "{shown}");
        assert!(!shown.contains("mac") && !shown.contains("salt"), "{shown}");
    }
    assert!(Master::new(Suite::Aes128Sha1_80, &[0; 29], None).is_none());
    assert!(Master::new(Suite::Aes128Gcm, &[0; 30], None).is_none());
    let long = Mki { value: 1, len: 9 };
    assert!(Master::new(Suite::Aes128Gcm, &[0; 28], Some(long)).is_none());
}

/// What a network does to a stream: an order, copies and losses within the window.
fn network() -> impl Strategy<Value = (u16, Vec<usize>)> {
    let order = proptest::collection::vec((0..20_u32, 0..3_u8), 1..150).prop_map(|fates| {
        let mut sent: Vec<(u32, usize)> = Vec::new();
        for (number, (delay, copies)) in fates.into_iter().enumerate() {
            // A packet is late by less than the window, or not there at all, or there twice.
            for copy in 0..u32::from(copies) {
                sent.push((number as u32 + delay + 9 * copy, number));
            }
        }
        sent.sort();
        sent.into_iter().map(|(_, number)| number).collect()
    });
    (any::<u16>().prop_map(|start| start & 0x7fff), order)
}

fn suites() -> impl Strategy<Value = Suite> {
    proptest::sample::select(SUITES.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn b8_rfc3711_3_3_whatever_order_loss_and_copies_each_packet_is_heard_once(
        suite in suites(), (start, order) in network(), roll_overs in 0..3_u32,
    ) {
        let (mut sender, mut receiver) = pair(suite);
        // Both ends have come this far together.
        for quarter in 0..roll_overs * 4 {
            let sequence = start.wrapping_add((quarter * 0x4000) as u16);
            let packet = rtp(SSRC, sequence, b"before");
            let wire = sealed(&mut sender, &packet);
            prop_assert_eq!(opened(&mut receiver, &wire), Ok(packet));
        }
        let last = order.iter().max().map_or(0, |last| last + 1);
        let plain: Vec<Vec<u8>> = (0..last)
            .map(|n| rtp(SSRC, start.wrapping_add(n as u16), &n.to_be_bytes()))
            .collect();
        let wire: Vec<Vec<u8>> = plain.iter().map(|packet| sealed(&mut sender, packet)).collect();
        let mut heard = BTreeSet::new();
        for number in order {
            let result = opened(&mut receiver, &wire[number]);
            if heard.insert(number) {
                prop_assert_eq!(result, Ok(plain[number].clone()));
            } else {
                prop_assert_eq!(result, Err(Failure::Replayed));
            }
        }
    }

    #[test]
    fn b8_what_is_forged_cut_or_made_up_is_refused_and_changes_nothing(
        suite in suites(), bit in any::<prop::sample::Index>(), cut in any::<prop::sample::Index>(),
        noise in proptest::collection::vec(any::<u8>(), 0..120),
        payload in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let (mut sender, mut receiver) = pair(suite);
        let first = sealed(&mut sender, &rtp(SSRC, 10, b"first"));
        opened(&mut receiver, &first).unwrap();
        let plain = rtp(SSRC, 11, &payload);
        let (wire, control) = (sealed(&mut sender, &plain), sealed_rtcp(&mut sender, &report()));
        let flip = |wire: &[u8]| {
            let mut wire = wire.to_vec();
            let at = bit.index(wire.len() * 8);
            wire[at / 8] ^= 1 << (at % 8);
            wire
        };
        for forged in [flip(&wire), wire[..cut.index(wire.len())].to_vec(), noise.clone()] {
            let mut packet = forged.clone();
            prop_assert!(receiver.open(&mut packet).is_err());
            prop_assert_eq!(packet, forged, "and not a bit of it is written");
        }
        for forged in [flip(&control), control[..cut.index(control.len())].to_vec(), noise] {
            let mut packet = forged.clone();
            prop_assert!(receiver.open_rtcp(&mut packet).is_err());
            prop_assert_eq!(packet, forged);
        }
        let Tally { forged, replayed } = receiver.tally();
        prop_assert_eq!(forged + replayed, 6);
        prop_assert_eq!(opened(&mut receiver, &wire), Ok(plain));
        prop_assert_eq!(opened_rtcp(&mut receiver, &control), Ok(report()));
    }
}
