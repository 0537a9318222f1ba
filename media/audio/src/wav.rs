//! The head of a WAV file (RIFF, Microsoft 1991; `fmt ` chunk of 16 octets): linear samples of 16 bits at
//! 8 kHz, little-endian, sides interleaved.
//!
//! A file that grows has its head written anew now and then, so that it is valid wherever it ends.

use crate::RATE;
use crate::tape::{Channels, sum};

/// Octets of the head.
pub const HEAD_BYTES: usize = 44;
/// Samples as they are, not compressed.
const LINEAR: u16 = 1;
/// Octets of a sample of one channel.
const SAMPLE_BYTES: usize = 2;
/// The most octets of sound that a file can tell of: RIFF counts in 32 bits, the head included.
pub const DATA_MAX: u64 = u32::MAX as u64 - HEAD_BYTES as u64;

/// Octets that one sample of all channels takes.
#[must_use]
pub const fn block(channels: Channels) -> usize {
    SAMPLE_BYTES * channels.count()
}

/// The head of a file with so many octets of sound behind it.
#[must_use]
pub fn head(channels: Channels, data: u64) -> [u8; HEAD_BYTES] {
    let data = u32::try_from(data.min(DATA_MAX)).unwrap_or(u32::MAX);
    let block = block(channels) as u32;
    let mut head = [0; HEAD_BYTES];
    let mut at = 0;
    let mut put = |octets: &[u8]| {
        head[at..at + octets.len()].copy_from_slice(octets);
        at += octets.len();
    };
    put(b"RIFF");
    put(&(data + HEAD_BYTES as u32 - 8).to_le_bytes());
    put(b"WAVEfmt ");
    put(&16_u32.to_le_bytes());
    put(&LINEAR.to_le_bytes());
    put(&(channels.count() as u16).to_le_bytes());
    put(&RATE.to_le_bytes());
    put(&(RATE * block).to_le_bytes());
    put(&(block as u16).to_le_bytes());
    put(&(8 * SAMPLE_BYTES as u16).to_le_bytes());
    put(b"data");
    put(&data.to_le_bytes());
    head
}

/// The channels of a file that begins like this, if the head is one of ours.
#[must_use]
pub fn channels_of(file: &[u8]) -> Option<Channels> {
    let given = file.get(..HEAD_BYTES)?;
    let alike = |channels: &Channels| {
        let ours = head(*channels, 0);
        // All but the two lengths.
        given[..4] == ours[..4] && given[8..40] == ours[8..40]
    };
    [Channels::Mono, Channels::Stereo].into_iter().find(alike)
}

/// Appends samples of both sides (the shorter length counts); one channel holds their sum.
pub fn append(channels: Channels, left: &[i16], right: &[i16], out: &mut Vec<u8>) {
    match channels {
        Channels::Stereo => {
            for (left, right) in left.iter().zip(right) {
                out.extend_from_slice(&left.to_le_bytes());
                out.extend_from_slice(&right.to_le_bytes());
            }
        }
        Channels::Mono => {
            let mut both = [0; crate::FRAME];
            for (left, right) in left.chunks(crate::FRAME).zip(right.chunks(crate::FRAME)) {
                out.extend(sum(left, right, &mut both).iter().flat_map(|n| n.to_le_bytes()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_what_the_format_asks_for() {
        let head = head(Channels::Stereo, 32_000);
        let half = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap());
        assert_eq!(
            (&head[..4], &head[8..16], &head[36..40]),
            (&b"RIFF"[..], &b"WAVEfmt "[..], &b"data"[..])
        );
        assert_eq!((word(4), word(16), word(40)), (32_036, 16, 32_000));
        assert_eq!((half(20), half(22), half(32), half(34)), (1, 2, 4, 16));
        assert_eq!((word(24), word(28)), (8_000, 32_000));
        assert_eq!(channels_of(&head), Some(Channels::Stereo));
        assert_eq!(channels_of(&super::head(Channels::Mono, 7)), Some(Channels::Mono));
        assert_eq!(channels_of(&head[..43]), None);
        let mut other = head;
        other[24] = 0x44;
        assert_eq!(channels_of(&other), None);
        // Longer than the format can tell: the head says as much as it can.
        assert_eq!(super::head(Channels::Mono, u64::MAX)[40..], (u32::MAX - 44).to_le_bytes());
    }

    #[test]
    fn sides_are_interleaved_or_added_and_never_wrap() {
        let (left, right) = ([1, -2, i16::MAX, i16::MIN], [256, 2, 1, -1, 99]);
        let mut out = Vec::new();
        append(Channels::Stereo, &left[..2], &right, &mut out);
        assert_eq!(out, [1, 0, 0, 1, 0xfe, 0xff, 2, 0]);
        out.clear();
        append(Channels::Mono, &left, &right, &mut out);
        assert_eq!(out, [1, 1, 0, 0, 0xff, 0x7f, 0, 0x80]);
        out.clear();
        append(Channels::Mono, &[5; 1_000], &[6; 1_000], &mut out);
        assert_eq!(out, [11, 0].repeat(1_000));
    }
}
