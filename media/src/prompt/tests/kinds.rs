//! Opus and AAC, and what hostile files of each kind come to.

use std::time::{Duration, Instant};

use super::super::decode::samples;
use super::*;

const OPUS: &[u8] = include_bytes!("../samples/tone.opus");
const AAC: &[u8] = include_bytes!("../samples/tone.aac");
const M4A: &[u8] = include_bytes!("../samples/tone.m4a");

/// What a file comes to, which is told soon.
fn verdict(bytes: &[u8]) -> Result<usize, PromptError> {
    let begun = Instant::now();
    let verdict = samples(bytes).map(|samples| samples.len());
    assert!(begun.elapsed() < Duration::from_secs(20), "{verdict:?}");
    verdict
}

/// A page of Ogg (RFC 3533 §6) whose checksum nobody looks at.
fn page(kind: u8, granule: u64, sequence: u32, packets: &[&[u8]]) -> Vec<u8> {
    let mut page = b"OggS\0".to_vec();
    page.push(kind);
    page.extend(granule.to_le_bytes());
    page.extend(7_u32.to_le_bytes());
    page.extend(sequence.to_le_bytes());
    page.extend([0; 4]);
    page.push(packets.len() as u8);
    page.extend(packets.iter().map(|packet| packet.len() as u8));
    page.extend(packets.concat());
    page
}

/// A head of Opus (RFC 7845 §5.1).
fn head(channels: u8, family: u8, gain: i16) -> Vec<u8> {
    let mut head = b"OpusHead\x01".to_vec();
    head.push(channels);
    head.extend(0_u16.to_le_bytes());
    head.extend(48_000_u32.to_le_bytes());
    head.extend(gain.to_le_bytes());
    head.push(family);
    head
}

fn opus(head: &[u8], packets: &[&[u8]]) -> Vec<u8> {
    let mut file = page(2, 0, 0, &[head]);
    file.extend(page(0, 0, 1, &[b"OpusTags\0\0\0\0\0\0\0\0"]));
    for (number, packets) in packets.chunks(200).enumerate() {
        let granule = 5_760 * 200 * (number as u64 + 1);
        file.extend(page(0, granule, number as u32 + 2, packets));
    }
    file.extend(page(4, u64::MAX, u32::MAX, &[]));
    file
}

/// 120 ms of nothing (RFC 6716 §3.2.5): two frames of no octets.
const NOTHING: &[u8] = &[3 << 3 | 3, 2];

#[test]
fn rfc7845_opus_at_its_exact_length_and_aac_in_both_wrappings() {
    // RFC 7845 §4.4: the last page says how long the sound is.
    let opus = samples(OPUS).unwrap();
    assert_eq!(opus.len(), 4_000);
    assert_tone(&opus, 4_000);
    // ADTS has no place to tell the coder's delay; a frame more at each end.
    assert_tone(&samples(AAC).unwrap(), 5_200);
    // An edit list has: what is left is the padding of the last frame.
    let m4a = samples(M4A).unwrap();
    assert_tone(&m4a, 4_400);
}

#[test]
fn rfc7845_5_1_the_gain_of_the_head_is_applied() {
    let mut louder = OPUS.to_vec();
    let at = louder.windows(8).position(|word| word == b"OpusHead").unwrap();
    let quieter = (-6.0206_f64 * 256.0) as i16;
    louder[at + 16..at + 18].copy_from_slice(&quieter.to_le_bytes());
    let half = amplitude(&samples(&louder).unwrap()[800..3_200], 700.0);
    assert!((half - 0.25).abs() < 0.03, "{half}");
}

#[test]
fn files_of_the_newer_kinds_cut_short_are_refused_too() {
    for file in [OPUS, AAC, M4A] {
        for part in [1, 3, 5, 9] {
            let cut = &file[..file.len() * part / 10];
            assert!(verdict(cut).is_err(), "{:?} cut to {part} tenths", &file[..8]);
        }
    }
}

#[test]
fn bombs_of_opus_are_refused_by_name() {
    assert_eq!(verdict(&opus(&head(0, 0, 0), &[NOTHING])), Err(PromptError::NoChannels));
    assert_eq!(
        verdict(&opus(&head(255, 255, 0), &[NOTHING])),
        Err(PromptError::TooManyChannels(255))
    );
    assert_eq!(verdict(&opus(&head(1, 0, 0), &[])), Err(PromptError::Empty));
    assert_eq!(verdict(&opus(&head(2, 0, i16::MAX), &[NOTHING; 8])), Ok(960 * 8));
    // Eight hours in three quarters of a megabyte.
    let day = opus(&head(1, 0, 0), &vec![NOTHING; 240_000]);
    assert!(day.len() < 1_000_000);
    assert_eq!(verdict(&day), Err(PromptError::TooLong));
    // A packet that never ends.
    let endless = [255_u8; 255];
    let pages: Vec<u8> = (2..3_000).flat_map(|n| page(1, 0, n, &[&endless])).collect();
    let mut file = page(2, 0, 0, &[&head(1, 0, 0)]);
    file.extend(page(0, 0, 1, &[b"OpusTags"]));
    file.extend(pages);
    file.extend(page(4, 0, 4_000, &[]));
    assert!(matches!(verdict(&file), Err(PromptError::Unreadable(_))));
}

#[test]
fn bombs_of_aac_are_refused_by_name() {
    // A day of the shortest frames there are.
    let frame = &AAC[..7];
    let mut short = frame.to_vec();
    short[3] &= 0xfc;
    (short[4], short[5]) = (1, short[5] & 0x1f);
    short.push(0);
    assert_eq!(verdict(&short.repeat(130_000)), Err(PromptError::TooLong));
    // A rate that has no name.
    let mut rate = AAC.to_vec();
    for at in adts_frames(&rate) {
        rate[at + 2] |= 0x3c;
    }
    assert_eq!(verdict(&rate), Err(PromptError::Rate(0)));
    // A frame of no length, which would be read for ever.
    let mut still = AAC.to_vec();
    (still[3], still[4], still[5]) = (still[3] & 0xfc, 0, still[5] & 0x1f);
    assert!(matches!(verdict(&still), Err(PromptError::Unreadable(_))));
}

fn adts_frames(bytes: &[u8]) -> Vec<usize> {
    let (mut at, mut frames) = (0, Vec::new());
    while at < bytes.len() {
        frames.push(at);
        let head = &bytes[at..];
        at +=
            usize::from(head[3] & 3) << 11 | usize::from(head[4]) << 3 | usize::from(head[5] >> 5);
    }
    frames
}

#[test]
fn bombs_in_mpeg_4_are_refused_by_name() {
    let find = |name: &[u8]| M4A.windows(4).position(|word| word == name).unwrap();
    let with = |name: &[u8], offset: usize, value: u32| {
        let mut file = M4A.to_vec();
        let at = find(name) + offset;
        file[at..at + 4].copy_from_slice(&value.to_be_bytes());
        file
    };
    // Four thousand million frames, declared only; then a few more than there are.
    assert_eq!(verdict(&with(b"stsz", 12, u32::MAX)), Err(PromptError::TooLong));
    assert!(matches!(verdict(&with(b"stsz", 12, 900)), Err(PromptError::Truncated(_))));
    // Frames that lie behind the end of the file, and frames larger than it.
    assert!(matches!(verdict(&with(b"stco", 12, u32::MAX)), Err(PromptError::Truncated(_))));
    assert!(matches!(verdict(&with(b"stsz", 16, u32::MAX)), Err(PromptError::Truncated(_))));
    // Boxes larger than what they lie in.
    for name in [b"moov", b"trak", b"stbl", b"stsd"] {
        let mut file = M4A.to_vec();
        let at = find(name) - 4;
        file[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(matches!(verdict(&file), Err(PromptError::Truncated(_))), "{name:?}");
    }
    // More boxes than anybody needs.
    let mut many = M4A[..32].to_vec();
    many.extend(b"\0\0\0\x08free".repeat(1_000));
    assert!(matches!(verdict(&many), Err(PromptError::Unreadable(_) | PromptError::Truncated(_))));
    let mut runs = M4A.to_vec();
    let at = find(b"stsc") + 8;
    runs[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    let _ = verdict(&runs);
}

#[test]
fn a_day_in_flac_is_too_long_before_any_of_it_is_decoded() {
    // RFC 9639 §8.2: 36 bits of samples.
    let mut flac = FLAC.to_vec();
    let day = 24 * 3_600 * 48_000_u64;
    flac[21] = flac[21] & 0xf0 | (day >> 32) as u8;
    flac[22..26].copy_from_slice(&(day as u32).to_be_bytes());
    assert_eq!(verdict(&flac), Err(PromptError::TooLong));
}

#[test]
fn no_octets_whatever_do_harm_in_the_newer_kinds() {
    let mut state = 0x9e37_79b9_u32;
    let mut draw = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize
    };
    for file in [OPUS, AAC, M4A] {
        for _ in 0..120 {
            let mut broken = file.to_vec();
            for _ in 0..6 {
                let at = draw() % broken.len();
                broken[at] ^= draw() as u8;
            }
            // Any verdict will do, as long as there is one.
            let _ = verdict(&broken);
        }
    }
}
