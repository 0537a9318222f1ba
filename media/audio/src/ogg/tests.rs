use super::*;
use crate::codec::{Coding, Decoder, SAMPLES_MAX};
use Channels::{Mono, Stereo};

fn sine(hz: f64, samples: usize) -> Vec<i16> {
    let step = hz / f64::from(RATE) * std::f64::consts::TAU;
    (0..samples).map(|n| (8_000.0 * (step * n as f64).sin()) as i16).collect()
}

/// A file of so many samples, coded in uneven steps with a page at every third.
fn file(channels: Channels, samples: usize) -> Vec<u8> {
    let (left, right) = (sine(700.0, samples), sine(1_100.0, samples));
    let mut encoder = Encoder::new(channels).unwrap();
    let mut out = open(channels);
    for (n, (left, right)) in left.chunks(237).zip(right.chunks(237)).enumerate() {
        encoder.encode(left, right, &mut out).unwrap();
        if n % 3 == 0 {
            encoder.flush(&mut out);
        }
    }
    assert_eq!(encoder.samples(), samples as u64);
    encoder.finish(&mut out).unwrap();
    let length = out.len();
    encoder.finish(&mut out).unwrap();
    assert_eq!(out.len(), length, "a second time adds nothing");
    out
}

/// The packets of a file's sound, and the number of its last page.
fn packets(file: &[u8]) -> (Vec<Vec<u8>>, u64) {
    let (mut out, mut at, mut granule) = (Vec::new(), 0, 0);
    let mut number = 0;
    while let Some((header, length)) = head(&file[at..]) {
        assert_eq!(header.number, number);
        number += 1;
        granule = header.granule;
        let page = &file[at..at + length];
        let count = usize::from(page[26]);
        let (mut body, mut packet) = (&page[27 + count..], Vec::new());
        for segment in &page[27..27 + count] {
            let (part, rest) = body.split_at(usize::from(*segment));
            packet.extend_from_slice(part);
            body = rest;
            if *segment < 255 {
                out.push(std::mem::take(&mut packet));
            }
        }
        assert!(packet.is_empty(), "no packet goes on in the next page");
        at += length;
    }
    assert_eq!(at, file.len(), "nothing but pages");
    (out.split_off(2), granule)
}

/// Both sides of a packet of two streams.
fn parted(packet: &[u8]) -> [Vec<u8>; 2] {
    let length = usize::from(packet[1]);
    assert!(length < 252);
    let mut left = vec![packet[0]];
    left.extend_from_slice(&packet[2..2 + length]);
    [left, packet[2 + length..].to_vec()]
}

fn decoded(packets: impl Iterator<Item = Vec<u8>>) -> Vec<i16> {
    let mut decoder = Decoder::at(Coding::Opus, RATE).unwrap();
    let mut out = vec![0; SAMPLES_MAX];
    let mut sound = Vec::new();
    for packet in packets {
        let count = decoder.decode(&packet, &mut out).unwrap();
        sound.extend_from_slice(&out[..count]);
    }
    sound
}

fn amplitude(samples: &[i16], hz: f64) -> f64 {
    let omega = std::f64::consts::TAU * hz / f64::from(RATE);
    let (mut cos, mut sin) = (0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        cos += f64::from(*sample) * (omega * n as f64).cos();
        sin += f64::from(*sample) * (omega * n as f64).sin();
    }
    2.0 * cos.hypot(sin) / samples.len() as f64
}

#[test]
fn rfc7845_4_the_last_page_tells_the_length_to_the_sample() {
    for (channels, samples) in [(Mono, 1), (Mono, 160), (Stereo, 24_000), (Stereo, 12_345)] {
        let (packets, granule) = packets(&file(channels, samples));
        assert_eq!(samples_at(granule), samples as u64, "{channels:?}");
        let there = packets.len() as u64 * PACKET;
        assert!(granule <= there && there - granule < PACKET, "{channels:?}: no packet too many");
    }
}

#[test]
fn rfc7845_4_2_what_is_skipped_is_what_comes_before_the_sound() {
    let sound = sine(700.0, 8_000);
    let mut encoder = Encoder::new(Mono).unwrap();
    let mut out = open(Mono);
    encoder.encode(&sound, &vec![0; sound.len()], &mut out).unwrap();
    encoder.finish(&mut out).unwrap();
    let heard = decoded(packets(&out).0.into_iter());
    let skip = (PRE_SKIP / RATIO) as usize;
    let error = |skip: usize| -> f64 {
        let pairs = sound[800..7_200].iter().zip(&heard[skip + 800..]);
        pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
    };
    let best = (skip - 5..=skip + 5).min_by(|a, b| error(*a).total_cmp(&error(*b)));
    assert_eq!(best, Some(skip), "samples at 8 kHz");
    let power: f64 = sound[800..7_200].iter().map(|a| f64::from(*a).powi(2)).sum();
    assert!(error(skip) < power / 100.0, "{} of {power}", error(skip));
}

#[test]
fn rfc7845_5_1_1_each_side_is_a_stream_of_its_own() {
    let (packets, _) = packets(&file(Stereo, 24_000));
    let [left, right] = [0, 1].map(|side| decoded(packets.iter().map(|p| parted(p)[side].clone())));
    let of = |sound: &[i16], hz| amplitude(&sound[8_000..16_000], hz);
    assert!((of(&left, 700.0) / 8_000.0 - 1.0).abs() < 0.15, "{}", of(&left, 700.0));
    assert!((of(&right, 1_100.0) / 8_000.0 - 1.0).abs() < 0.15, "{}", of(&right, 1_100.0));
    assert!(of(&left, 1_100.0) < 200.0 && of(&right, 700.0) < 200.0);
}

#[test]
fn rfc7845_5_1_one_channel_holds_both_sides() {
    let sound = decoded(packets(&file(Mono, 24_000)).0.into_iter());
    let of = |hz| amplitude(&sound[8_000..16_000], hz);
    assert!(of(700.0) > 6_000.0 && of(1_100.0) > 6_000.0, "{} {}", of(700.0), of(1_100.0));
}

#[test]
fn rfc3533_6_what_is_cut_or_changed_is_no_page() {
    let whole = file(Stereo, 8_000);
    let start = open(Stereo).len();
    assert_eq!(channels_of(&whole), Some(Stereo));
    assert_eq!(channels_of(&file(Mono, 8)), Some(Mono));
    assert_eq!(channels_of(&whole[..start - 1]), None);
    let fresh = Pages::behind_head();
    assert_eq!(whole_pages(&fresh, &whole[start..]), whole.len() - start);
    for cut in 1..200 {
        let end = whole.len() - cut;
        let kept = whole_pages(&fresh, &whole[start..end]);
        let mut pages = fresh;
        pages.add(&whole[start..start + kept]);
        assert!(kept <= end - start && pages.count() > 2);
        assert!(cut > 20 || kept < end - start, "the last page is longer than that");
    }
    let mut broken = whole.clone();
    let last = broken.len() - 1;
    broken[last] ^= 1;
    assert!(whole_pages(&fresh, &broken[start..]) < whole.len() - start);
    assert_eq!(whole_pages(&fresh, &whole), 0, "another number");
}

#[test]
fn what_was_cut_is_ended_with_silence() {
    for channels in [Mono, Stereo] {
        let whole = file(channels, 8_000);
        let start = open(channels).len();
        let cut = &whole[..whole.len() - 5];
        let mut pages = Pages::behind_head();
        let kept = whole_pages(&pages, &cut[start..]);
        pages.add(&cut[start..start + kept]);
        let mut mended = cut[..start + kept].to_vec();
        mended.extend(silent_end(channels, &pages, 15));
        let (_, granule) = packets(&mended);
        assert_eq!(granule, pages.granule() + 15 * PACKET);
        assert_eq!(whole_pages(&Pages::behind_head(), &mended[start..]), mended.len() - start);
    }
}

#[test]
fn rfc6716_b_long_packets_have_lengths_of_two_octets() {
    let packet = |length: usize| {
        let mut packet = vec![0; length];
        packet[0] = 0x48;
        packet
    };
    for (length, told) in
        [(1, vec![0]), (252, vec![251]), (253, vec![252, 0]), (480, vec![255, 56])]
    {
        let mut out = Vec::new();
        append(&packet(length), false, &mut out).unwrap();
        assert_eq!(out[1..=told.len()], told[..], "{length}");
        assert_eq!(out.len(), length + told.len());
    }
    assert!(append(&[0x49, 0], false, &mut Vec::new()).is_err(), "two frames");
    assert!(append(&[], true, &mut Vec::new()).is_err());
}
