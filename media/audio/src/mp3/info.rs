//! The Info frame at the head of a file: how many frames follow, and how many samples at either end
//! are not sound. Layout as LAME writes it (Xing header with the LAME extension).

use super::{DELAY, FRAME_SAMPLES, frame_bytes, frame_header, kbps};
use crate::tape::Channels;

/// What the head of a file says about it. Grows with each frame that is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Info {
    channels: Channels,
    frames: u32,
    crc: u16,
}

impl Info {
    /// A file without sound yet.
    #[must_use]
    pub fn new(channels: Channels) -> Info {
        Info { channels, frames: 0, crc: 0 }
    }

    /// Channels of its frames.
    #[must_use]
    pub fn channels(&self) -> Channels {
        self.channels
    }

    /// Takes note of whole frames that were appended to the file; a fraction at the end is left out.
    pub fn frames_added(&mut self, frames: &[u8]) {
        for frame in frames.chunks_exact(frame_bytes(self.channels)) {
            self.frames = self.frames.saturating_add(1);
            self.crc = frame.iter().fold(self.crc, |crc, octet| crc16(crc, *octet));
        }
    }

    /// Frames behind the Info frame.
    #[must_use]
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// Size of the whole file in octets, the Info frame included.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        (u64::from(self.frames) + 1) * frame_bytes(self.channels) as u64
    }

    /// The most samples (of a channel, at 8 kHz) that the frames can hold when the encoder was cut off
    /// before its last frames.
    #[must_use]
    pub fn samples_when_cut(&self) -> u64 {
        (u64::from(self.frames) * FRAME_SAMPLES).saturating_sub(DELAY + DECODER_DELAY) / 2
    }

    /// The Info frame of a finished file that holds `samples` samples of a channel at 8 kHz.
    #[must_use]
    pub fn frame(&self, samples: u64) -> Vec<u8> {
        let decoded = u64::from(self.frames) * FRAME_SAMPLES;
        let padding = decoded.saturating_sub(DELAY + 2 * samples).min(MAX_12_BITS);
        self.write(Some(padding))
    }

    /// The Info frame of a file that is still being written: it gives the delay and claims no length.
    #[must_use]
    pub fn open_frame(channels: Channels) -> Vec<u8> {
        Info::new(channels).write(None)
    }

    fn write(&self, padding: Option<u64>) -> Vec<u8> {
        let mut frame = vec![0; frame_bytes(self.channels)];
        let mut at = 0;
        let mut put = |octets: &[u8]| {
            frame[at..at + octets.len()].copy_from_slice(octets);
            at += octets.len();
        };
        put(&frame_header(self.channels));
        put(&[0; SIDE_INFO_MAX][..side_info(self.channels)]);
        put(b"Info");
        if padding.is_some() {
            put(&FLAGS_ALL.to_be_bytes());
            put(&self.frames.to_be_bytes());
            put(&self.bytes().to_be_bytes());
            // Constant rate: the position in the file is the position in time.
            for percent in 0..100_u32 {
                put(&[(percent * 256 / 100) as u8]);
            }
            put(&0_u32.to_be_bytes());
        } else {
            put(&0_u32.to_be_bytes());
        }
        put(b"LAME3.100");
        put(&[CONSTANT_RATE, LOWPASS_100_HZ]);
        put(&[0; 8]);
        put(&[0, kbps(self.channels) as u8]);
        let (delay, padding) = (DELAY as u32, padding.unwrap_or(0) as u32);
        put(&((delay << 12) | padding).to_be_bytes()[1..]);
        put(&[0; 4]);
        put(&self.bytes().to_be_bytes());
        put(&self.crc.to_be_bytes());
        let crc = frame_crc(&frame, at);
        frame[at..at + 2].copy_from_slice(&crc.to_be_bytes());
        frame
    }

    fn bytes(&self) -> u32 {
        u32::try_from(self.file_bytes()).unwrap_or(u32::MAX)
    }
}

/// How much of what stands behind the Info frame is whole frames of ours: the length in octets.
/// Counting stops at the first octets that are not the head of such a frame.
#[must_use]
pub fn whole_frames(channels: Channels, body: &[u8]) -> usize {
    let (bytes, head) = (frame_bytes(channels), frame_header(channels));
    body.chunks_exact(bytes).take_while(|frame| frame.starts_with(&head)).count() * bytes
}

/// Samples a decoder lags behind (ISO/IEC 11172-3 synthesis filter bank and overlap): 528 + 1.
const DECODER_DELAY: u64 = 529;

/// Octets of side information in an MPEG-2 frame.
const fn side_info(channels: Channels) -> usize {
    match channels {
        Channels::Stereo => SIDE_INFO_MAX,
        Channels::Mono => 9,
    }
}

const SIDE_INFO_MAX: usize = 17;

/// Frames, bytes, table of contents and quality are present.
const FLAGS_ALL: u32 = 0x0f;

/// Tag revision 0, method 1.
const CONSTANT_RATE: u8 = 1;

/// The lowpass in units of 100 Hz.
const LOWPASS_100_HZ: u8 = (super::LOWPASS_HZ / 100) as u8;

/// Delay and padding are fields of 12 bits.
const MAX_12_BITS: u64 = 0x0fff;

fn frame_crc(frame: &[u8], until: usize) -> u16 {
    frame[..until].iter().fold(0, |crc, octet| crc16(crc, *octet))
}

/// CRC-16 with the polynomial 0x8005, bits reflected, as the LAME extension uses it.
fn crc16(crc: u16, octet: u8) -> u16 {
    (crc >> 8) ^ CRC_TABLE[usize::from((crc as u8) ^ octet)]
}

const CRC_TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u16;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xa001 } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};
