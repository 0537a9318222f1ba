//! MP3 writing for recordings: two channels that never mix, or one; every frame decodable by itself.
//!
//! MPEG-2 layer III (ISO/IEC 13818-3), 16 kHz, 40 kbit/s a channel, plain stereo or one channel, constant
//! rate, no bit reservoir: each frame is as long as the next ([`frame_bytes`]) and needs no other frame, so a
//! file cut anywhere plays up to the cut. LAME does the coding; the doubling from 8 kHz and the Info tag are ours, so
//! that a recording found after a crash gets the same tag as one that was closed.
//!
//! Not here: files (see `media`), and where in time a sample belongs (see [`crate::tape`]).

use mp3lame_encoder::{Bitrate, Builder, DualPcm, FlushGap, Mode, MonoPcm, Quality, VbrMode};

use crate::tape::{Channels, sum};

mod double;
mod info;

pub use info::{Info, whole_frames};

use double::Doubler;

/// Sample rate of the file.
pub const RATE: u32 = 16_000;
/// Samples per channel in one frame.
pub const FRAME_SAMPLES: u64 = 576;
/// Octets of the longest frame.
pub const FRAME_BYTES_MAX: usize = frame_bytes(Channels::Stereo);
/// Samples at the start of the decoded file that are not sound: LAME's delay and the doubling's.
pub const DELAY: u64 = 576 + double::DELAY as u64;
/// The most samples taken in one step, at 8 kHz: bounds every buffer inside.
pub const MAX_STEP: usize = 8_000;

/// Rate of the file in kbit/s.
#[must_use]
pub const fn kbps(channels: Channels) -> u32 {
    40 * channels.count() as u32
}

/// Octets of one frame; at this rate no frame ever needs a padding octet.
#[must_use]
pub const fn frame_bytes(channels: Channels) -> usize {
    180 * channels.count()
}

/// The four octets each frame begins with: MPEG-2, layer III, no CRC, 80 or 40 kbit/s, 16 kHz, stereo or
/// one channel.
#[must_use]
pub const fn frame_header(channels: Channels) -> [u8; 4] {
    match channels {
        Channels::Stereo => [0xff, 0xf3, 0x98, 0x04],
        Channels::Mono => [0xff, 0xf3, 0x58, 0xc4],
    }
}

/// What LAME may answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The encoder could not be set up; in practice there was no memory.
    #[error("the MP3 encoder could not be set up: {0}")]
    Setup(&'static str),
    /// The encoder refused samples.
    #[error("the MP3 encoder refused samples: {0}")]
    Encode(mp3lame_encoder::EncodeError),
}

/// One recording being coded: 8 kHz samples in, whole frames out.
pub struct Encoder {
    lame: mp3lame_encoder::Encoder,
    channels: Channels,
    left: Doubler,
    right: Doubler,
    doubled: [Vec<i16>; 2],
    samples: u64,
    finished: bool,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("samples", &self.samples).finish_non_exhaustive()
    }
}

impl Encoder {
    /// A fresh encoder.
    ///
    /// # Errors
    ///
    /// When LAME has no memory.
    pub fn new(channels: Channels) -> Result<Encoder, Error> {
        let lame = set_up(channels).map_err(Error::Setup)?;
        let doubled = [Vec::with_capacity(2 * MAX_STEP), Vec::with_capacity(2 * MAX_STEP)];
        let (left, right) = (Doubler::new(), Doubler::new());
        Ok(Encoder { lame, channels, left, right, doubled, samples: 0, finished: false })
    }

    /// Samples per channel taken so far, at 8 kHz.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Takes samples of both sides (the shorter length counts) and appends the frames that became
    /// complete. A file of one channel holds their sum.
    ///
    /// # Errors
    ///
    /// When LAME fails; the frames written before are good.
    pub fn encode(&mut self, left: &[i16], right: &[i16], out: &mut Vec<u8>) -> Result<(), Error> {
        let common = left.len().min(right.len());
        for (left, right) in left[..common].chunks(MAX_STEP).zip(right[..common].chunks(MAX_STEP)) {
            self.step(left, right, out)?;
            self.samples += left.len() as u64;
        }
        Ok(())
    }

    /// Appends the last frames and tells what the file now holds. Nothing may be encoded afterwards;
    /// a second call adds nothing.
    ///
    /// # Errors
    ///
    /// When LAME fails; the frames written before are good.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        if std::mem::replace(&mut self.finished, true) {
            return Ok(());
        }
        let tail = [0; double::DELAY / 2];
        self.step(&tail, &tail, out)?;
        out.reserve(FLUSH_ROOM);
        self.lame.flush_to_vec::<FlushGap>(out).map(drop).map_err(Error::Encode)
    }

    fn step(&mut self, left: &[i16], right: &[i16], out: &mut Vec<u8>) -> Result<(), Error> {
        let [doubled_left, doubled_right] = &mut self.doubled;
        doubled_left.clear();
        doubled_right.clear();
        out.reserve(mp3lame_encoder::max_required_buffer_size(2 * left.len()));
        let coded = match self.channels {
            Channels::Stereo => {
                self.left.push(left, doubled_left);
                self.right.push(right, doubled_right);
                let (left, right) = (doubled_left.as_slice(), doubled_right.as_slice());
                self.lame.encode_to_vec(DualPcm { left, right }, out)
            }
            Channels::Mono => {
                let mut both = [0; MAX_STEP];
                let sum = sum(left, right, &mut both);
                self.left.push(sum, doubled_left);
                self.lame.encode_to_vec(MonoPcm(doubled_left.as_slice()), out)
            }
        };
        coded.map(drop).map_err(Error::Encode)
    }
}

/// What LAME's flush may need at most.
const FLUSH_ROOM: usize = 7_200;

/// Hertz above which LAME keeps nothing: the telephone band ends at 3400 Hz, and bits spent above it
/// are taken from speech.
const LOWPASS_HZ: i32 = 3_600;

fn set_up(channels: Channels) -> Result<mp3lame_encoder::Encoder, &'static str> {
    let mut builder = Builder::new().ok_or("no memory")?;
    builder.set_sample_rate(RATE).map_err(|_| "sample rate")?;
    let rate = std::num::NonZeroU32::new(RATE);
    builder.set_output_sample_rate(rate).map_err(|_| "output sample rate")?;
    let (mode, rate) = match channels {
        Channels::Stereo => (Mode::Stereo, Bitrate::Kbps80),
        Channels::Mono => (Mode::Mono, Bitrate::Kbps40),
    };
    builder.set_num_channels(channels.count() as u8).map_err(|_| "channels")?;
    builder.set_mode(mode).map_err(|_| "mode")?;
    builder.set_brate(rate).map_err(|_| "bit rate")?;
    builder.set_vbr_mode(VbrMode::Off).map_err(|_| "constant rate")?;
    builder.set_quality(Quality::Ok).map_err(|_| "quality")?;
    builder.set_to_write_vbr_tag(false).map_err(|_| "no tag")?;
    without_reservoir(&mut builder)?;
    builder.build().map_err(|_| "parameters")
}

/// Each frame on its own, no band above the telephone's, and blocks of one length, a fifth cheaper (PESQ 0.01 less):
/// three settings the safe builder lacks.
#[allow(unsafe_code, reason = "LAME's setters for these are only reachable as C functions")]
fn without_reservoir(builder: &mut Builder) -> Result<(), &'static str> {
    use mp3lame_encoder::ffi;
    // SAFETY: the pointer comes from a live builder that is borrowed for this call; the functions
    // only store a number in the structure behind it.
    let refused = unsafe {
        let lame = builder.as_ptr();
        ffi::lame_set_disable_reservoir(lame, 1)
            | ffi::lame_set_lowpassfreq(lame, LOWPASS_HZ)
            | ffi::lame_set_no_short_blocks(lame, 1)
    };
    if refused == 0 { Ok(()) } else { Err("no reservoir") }
}

#[cfg(test)]
mod tests;
