use super::*;
use Channels::{Mono, Stereo};

const FRAME_BYTES: usize = frame_bytes(Stereo);
const FRAME_HEADER: [u8; 4] = frame_header(Stereo);

/// A sine at 8 kHz.
fn sine(hz: f32, peak: f32, samples: usize) -> Vec<i16> {
    let step = hz / crate::RATE as f32 * std::f32::consts::TAU;
    (0..samples).map(|n| (peak * (step * n as f32).sin()) as i16).collect()
}

fn coded(seconds: usize) -> (Vec<u8>, Encoder) {
    let (left, right) =
        (sine(700.0, 8_000.0, seconds * 8_000), sine(1_100.0, 8_000.0, seconds * 8_000));
    let mut encoder = Encoder::new(Stereo).unwrap();
    let mut out = Vec::new();
    for (left, right) in left.chunks(800).zip(right.chunks(800)) {
        encoder.encode(left, right, &mut out).unwrap();
    }
    encoder.finish(&mut out).unwrap();
    (out, encoder)
}

#[test]
fn every_frame_is_whole_and_needs_no_other() {
    let (out, encoder) = coded(3);
    assert_eq!(encoder.samples(), 24_000);
    assert_eq!(out.len() % FRAME_BYTES, 0);
    for frame in out.chunks(FRAME_BYTES) {
        assert_eq!(frame[..4], FRAME_HEADER);
        // ISO/IEC 13818-3 §2.4.1.7: side information begins with main_data_begin, 8 bits.
        assert_eq!(frame[4], 0, "the frame takes bits from another");
    }
    assert_eq!(whole_frames(Stereo, &out), out.len());
    assert_eq!(whole_frames(Stereo, &out[..out.len() - 1]), out.len() - FRAME_BYTES);
    let mut broken = out.clone();
    broken[5 * FRAME_BYTES] = 0;
    assert_eq!(whole_frames(Stereo, &broken), 5 * FRAME_BYTES);
}

#[test]
fn frames_come_out_soon_after_their_samples() {
    let mut encoder = Encoder::new(Stereo).unwrap();
    let mut out = Vec::new();
    let mut info = Info::new(Stereo);
    for step in 1..=200_u64 {
        encoder.encode(&[0; 160], &[0; 160], &mut out).unwrap();
        info.frames_added(&out);
        out.clear();
        let held = (step * 160).saturating_sub(info.samples_when_cut());
        assert!(
            step * 160 < 1_600 || held <= 1_200,
            "{held} samples are held back after {step} steps"
        );
    }
}

#[test]
fn finishing_twice_adds_nothing() {
    let (mut out, mut encoder) = coded(1);
    let length = out.len();
    encoder.finish(&mut out).unwrap();
    assert_eq!(out.len(), length);
}

#[test]
fn the_tag_gives_frames_bytes_delay_and_padding() {
    let (out, encoder) = coded(2);
    let mut info = Info::new(Stereo);
    info.frames_added(&out);
    let tag = info.frame(encoder.samples());
    let number = |at: usize| u32::from_be_bytes(tag[at..at + 4].try_into().unwrap());
    assert_eq!(tag[..4], FRAME_HEADER);
    assert_eq!(tag[21..25], *b"Info");
    assert_eq!(number(25), 0x0f);
    assert_eq!(number(29) as usize, out.len() / FRAME_BYTES);
    assert_eq!(number(33) as usize, out.len() + FRAME_BYTES);
    assert_eq!(tag[141..150], *b"LAME3.100");
    let delays = u32::from_be_bytes([0, tag[162], tag[163], tag[164]]);
    let (delay, padding) = (u64::from(delays >> 12), u64::from(delays & 0xfff));
    assert_eq!(delay, DELAY);
    let decoded = (out.len() / FRAME_BYTES) as u64 * FRAME_SAMPLES;
    assert_eq!(decoded - delay - padding, 2 * encoder.samples());
    assert!(padding >= 529, "a decoder's own delay must fit into the padding");
    // Music length and checksum: as a bitwise CRC-16/ARC finds them.
    assert_eq!(number(169) as usize, out.len() + FRAME_BYTES);
    assert_eq!(u16::from_be_bytes([tag[173], tag[174]]), arc(&out));
    assert_eq!(u16::from_be_bytes([tag[175], tag[176]]), arc(&tag[..175]));
    assert!(tag[177..].iter().all(|octet| *octet == 0));
}

#[test]
fn one_channel_has_frames_of_half_the_size_and_holds_both_sides() {
    let (left, right) = (sine(700.0, 8_000.0, 16_000), sine(1_100.0, 8_000.0, 16_000));
    let (mut encoder, mut out) = (Encoder::new(Mono).unwrap(), Vec::new());
    encoder.encode(&left, &right, &mut out).unwrap();
    encoder.finish(&mut out).unwrap();
    let bytes = frame_bytes(Mono);
    assert_eq!((bytes, out.len() % bytes), (180, 0));
    for frame in out.chunks(bytes) {
        assert_eq!((&frame[..4], frame[4]), (&frame_header(Mono)[..], 0), "on its own");
    }
    assert_eq!(whole_frames(Mono, &out), out.len());
    assert_eq!(whole_frames(Stereo, &out), 0);
    let mut info = Info::new(Mono);
    info.frames_added(&out);
    let tag = info.frame(encoder.samples());
    // ISO/IEC 13818-3: 9 octets of side information, then the tag.
    assert_eq!((tag.len(), &tag[13..17]), (bytes, &b"Info"[..]));
    assert_eq!(info.file_bytes() as usize, bytes + out.len());
}

#[test]
fn an_open_tag_claims_no_length() {
    let tag = Info::open_frame(Stereo);
    assert_eq!(tag[..4], FRAME_HEADER);
    assert_eq!(tag[21..25], *b"Info");
    assert_eq!(tag[25..29], [0; 4]);
    assert_eq!(tag[29..38], *b"LAME3.100");
}

/// CRC-16/ARC bit by bit; its check value for "123456789" is 0xbb3d.
fn arc(octets: &[u8]) -> u16 {
    octets.iter().fold(0_u16, |crc, octet| {
        (0..8).fold(crc ^ u16::from(*octet), |crc, _| {
            let carry = crc & 1;
            (crc >> 1) ^ (carry * 0xa001)
        })
    })
}

#[test]
fn the_checksum_is_the_usual_one() {
    assert_eq!(arc(b"123456789"), 0xbb3d);
}

#[test]
fn doubling_keeps_the_telephone_band_and_its_level() {
    for hz in [200.0, 1_000.0, 2_500.0, 3_200.0] {
        let mut doubler = Doubler::new();
        let mut out = Vec::new();
        doubler.push(&sine(hz, 10_000.0, 4_000), &mut out);
        let power = |wanted: f64| {
            let omega = std::f64::consts::TAU * wanted / 16_000.0;
            let (mut cos, mut sin) = (0.0, 0.0);
            for (n, sample) in out[400..7_600].iter().enumerate() {
                cos += f64::from(*sample) * (omega * n as f64).cos();
                sin += f64::from(*sample) * (omega * n as f64).sin();
            }
            20.0 * (2.0 * cos.hypot(sin) / 7_200.0).max(1e-3).log10()
        };
        let wanted = 20.0 * 10_000_f64.log10();
        assert!((power(f64::from(hz)) - wanted).abs() < 0.3, "{hz} Hz: {}", power(f64::from(hz)));
        let image = power(8_000.0 - f64::from(hz));
        assert!(image < wanted - 28.0, "image of {hz} Hz at {image}");
    }
}
