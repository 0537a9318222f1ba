//! Sound: the codings of telephony and the conversion between them, concealment of what was lost, tones, words to say,
//! sample-rate conversion, the recording timeline and MP3 writing.
//!
//! Pure: instants and samples come in as arguments, samples and bytes go out. Files, sockets and
//! threads belong to `media`.

pub mod announce;
pub mod codec;
pub mod convert;
pub mod dtmf;
pub mod g711;
pub mod g722;
pub mod jitter;
pub mod mix;
pub mod mp3;
pub mod ogg;
pub mod plc;
pub mod progress;
pub mod resample;
pub mod say;
mod spectrum;
pub mod tape;
pub mod tone;
pub mod wav;

/// Samples per second of everything a telephone leg carries.
pub const RATE: u32 = 8_000;

/// Samples of one 20 ms frame at [`RATE`].
pub const FRAME: usize = 160;
