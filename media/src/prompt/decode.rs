//! From the octets of a sound file to samples at 8 kHz, mono. The only place that knows symphonia.
//!
//! A file may come from anyone who can reach a merchant's library, so everything it claims is checked
//! before it is believed: sizes, rates and channels first, then what really was in it.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use audio::resample::{RATES, Resampler, to_linear};
use symphonia::core::audio::{AudioBuffer, AudioBufferRef, Channels, Signal};
use symphonia::core::codecs::{
    CODEC_TYPE_AAC, CODEC_TYPE_NULL, CodecParameters, Decoder, DecoderOptions,
};
use symphonia::core::errors::Error;
use symphonia::core::formats::{FormatOptions, FormatReader, Packet};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::{Limit, MetadataOptions};
use symphonia::core::probe::Hint;

use super::inspect::{self, Kind};
use super::{aac, opus};

/// The largest file taken: 20 MiB.
pub const MAX_BYTES: usize = 20 * 1024 * 1024;

/// The longest sound taken, seconds.
const MAX_SECONDS: u64 = 300;

/// The longest message taken, seconds: five minutes, and what it took to end it.
const MESSAGE_SECONDS: u64 = 310;

/// The most channels that are mixed down.
const MAX_CHANNELS: usize = 8;

/// Packets that may be broken before the file is.
const MAX_BROKEN: usize = 3;

/// Octets a tag may fill in memory; more is passed over.
const MAX_TAG: usize = 64 * 1024;

/// Samples by which a file may be shorter than it claims, as a part of a second.
const SHORTER_BY: u64 = 100;

/// Why a sound file is not used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PromptError {
    /// Larger than 20 MiB.
    #[error("the file is larger than {} MiB", MAX_BYTES / 1024 / 1024)]
    TooLarge,
    /// Longer than five minutes.
    #[error("the sound is longer than {} minutes", MAX_SECONDS / 60)]
    TooLong,
    /// None of the formats that are taken.
    #[error("not a WAV, MP3, Ogg Vorbis, Opus, FLAC or AAC file")]
    UnknownFormat,
    /// It says that it has no channel.
    #[error("the file has no channel")]
    NoChannels,
    /// More channels than anybody has ears for.
    #[error("the file has {0} channels, more than {MAX_CHANNELS}")]
    TooManyChannels(usize),
    /// A sample rate nobody records at.
    #[error("a sample rate of {0} Hz is not taken")]
    Rate(u32),
    /// It ends before it says it does.
    #[error("the file is cut short: {0}")]
    Truncated(&'static str),
    /// It holds no sound.
    #[error("the file holds no sound")]
    Empty,
    /// The folder holds more files than are taken.
    #[error("there are more files than {}", super::MAX_FILES)]
    TooMany,
    /// The file system or the decoder refused it.
    #[error("the file cannot be read: {0}")]
    Unreadable(String),
}

/// The samples of a sound file at 8 kHz, mono.
///
/// # Errors
///
/// When the file has none of the formats that are taken, is broken, or claims what is not taken. Whatever it
/// claims, no more than the sound of five minutes is held, beside the file itself.
pub fn samples(bytes: &[u8]) -> Result<Vec<i16>, PromptError> {
    if bytes.len() > MAX_BYTES {
        return Err(PromptError::TooLarge);
    }
    taken(bytes, Mix::All)
}

/// The samples of a recording of ours that has one voice, on its left.
///
/// # Errors
///
/// As [`samples`], for a file of five minutes and a little.
pub(crate) fn message(bytes: &[u8]) -> Result<Vec<i16>, PromptError> {
    if bytes.len() > MAX_BYTES {
        return Err(PromptError::TooLarge);
    }
    taken(bytes, Mix::Left)
}

/// Which channels are heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mix {
    All,
    Left,
}

impl Mix {
    fn seconds_max(self) -> u64 {
        match self {
            Mix::All => MAX_SECONDS,
            Mix::Left => MESSAGE_SECONDS,
        }
    }
}

fn taken(bytes: &[u8], mix: Mix) -> Result<Vec<i16>, PromptError> {
    let kind = inspect::inspect(bytes)?;
    // A decoder that panics on a stranger's file must not take the program with it.
    let decode = || match kind {
        Kind::Opus => opus::samples(bytes, mix.seconds_max()),
        Kind::Aac => decode_aac(bytes, &aac::adts(bytes)?, mix),
        Kind::Mpeg4 => decode_aac(bytes, &aac::mpeg4(bytes)?, mix),
        Kind::Wav | Kind::Mp3 | Kind::Ogg | Kind::Flac => decode(bytes, kind, mix),
    };
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(PromptError::Unreadable("the decoder gave up".to_owned())))
}

fn decode(bytes: &[u8], kind: Kind, mix: Mix) -> Result<Vec<i16>, PromptError> {
    let mut format = open(bytes, kind)?;
    let track = format
        .tracks()
        .iter()
        .find(|track| track.codec_params.codec != CODEC_TYPE_NULL)
        .ok_or(PromptError::Empty)?;
    let (id, parameters) = (track.id, track.codec_params.clone());
    let rate = parameters.sample_rate.ok_or(PromptError::Rate(0))?;
    if !RATES.contains(&rate) {
        return Err(PromptError::Rate(rate));
    }
    check_channels(parameters.channels.map_or(1, Channels::count))?;
    let claimed = parameters.n_frames.unwrap_or(0);
    if claimed > mix.seconds_max() * u64::from(rate) {
        return Err(PromptError::TooLong);
    }
    let decoder = symphonia::default::get_codecs()
        .make(&parameters, &DecoderOptions::default())
        .map_err(unreadable)?;
    let mut sound = Sound::new(rate, mix, 0)?;
    sound.take_packets(format.as_mut(), id, decoder)?;
    if sound.taken + u64::from(rate) / SHORTER_BY < claimed {
        return Err(PromptError::Truncated("it holds less sound than it says"));
    }
    sound.finish()
}

/// AAC, whose frames we have found ourselves.
fn decode_aac(bytes: &[u8], found: &aac::Frames, mix: Mix) -> Result<Vec<i16>, PromptError> {
    let aac::Frames { config, rate, channels, delay, frames } = found;
    let mut parameters = CodecParameters::new();
    parameters.for_codec(CODEC_TYPE_AAC).with_sample_rate(*rate);
    parameters.with_extra_data(config.clone().into());
    check_channels((*channels).max(1))?;
    let mut sound = Sound::new(*rate, mix, *delay)?;
    if frames.len() as u64 * AAC_FRAME > (mix.seconds_max() + 1) * u64::from(*rate) {
        return Err(PromptError::TooLong);
    }
    let codecs = symphonia::default::get_codecs();
    let mut decoder = codecs.make(&parameters, &DecoderOptions::default()).map_err(unreadable)?;
    let mut broken = 0;
    for frame in frames {
        let packet = Packet::new_from_slice(0, 0, AAC_FRAME, &bytes[frame.clone()]);
        match decoder.decode(&packet) {
            Ok(decoded) => sound.take(&decoded)?,
            Err(Error::DecodeError(_)) if broken < MAX_BROKEN => broken += 1,
            Err(error) => return Err(unreadable(error)),
        }
    }
    sound.finish()
}

/// Samples of a frame of AAC.
const AAC_FRAME: u64 = 1_024;

fn open(bytes: &[u8], kind: Kind) -> Result<Box<dyn FormatReader>, PromptError> {
    let source = Box::new(Cursor::new(bytes.to_vec()));
    let stream = MediaSourceStream::new(source, MediaSourceStreamOptions::default());
    let mut hint = Hint::new();
    hint.with_extension(kind.ending());
    let format = FormatOptions { enable_gapless: true, ..FormatOptions::default() };
    let metadata = MetadataOptions {
        limit_metadata_bytes: Limit::Maximum(MAX_TAG),
        limit_visual_bytes: Limit::Maximum(MAX_TAG),
    };
    let probe = symphonia::default::get_probe();
    Ok(probe.format(&hint, stream, &format, &metadata).map_err(unreadable)?.format)
}

/// The sound as it comes out of the decoder.
struct Sound {
    rate: u32,
    mix: Mix,
    resampler: Resampler,
    mixed: Vec<f32>,
    out: Vec<f32>,
    /// Samples taken from the decoder.
    taken: u64,
    /// Samples to leave out at the beginning.
    skip: u64,
}

impl Sound {
    fn new(rate: u32, mix: Mix, skip: u64) -> Result<Sound, PromptError> {
        let taken = RATES.contains(&rate).then(|| Resampler::new(rate)).flatten();
        let resampler = taken.ok_or(PromptError::Rate(rate))?;
        Ok(Sound { rate, mix, resampler, mixed: Vec::new(), out: Vec::new(), taken: 0, skip })
    }

    fn take_packets(
        &mut self,
        format: &mut dyn FormatReader,
        track: u32,
        mut decoder: Box<dyn Decoder>,
    ) -> Result<(), PromptError> {
        let mut broken = 0;
        loop {
            let packet = match format.next_packet() {
                Ok(packet) if packet.track_id() == track => packet,
                Ok(_) => continue,
                Err(Error::IoError(error)) if error.kind() == END => return Ok(()),
                Err(Error::ResetRequired) => return Ok(()),
                Err(error) => return Err(unreadable(error)),
            };
            match decoder.decode(&packet) {
                Ok(decoded) => self.take(&decoded)?,
                Err(Error::DecodeError(_)) if broken < MAX_BROKEN => broken += 1,
                Err(error) => return Err(unreadable(error)),
            }
        }
    }

    /// Mixes a packet's channels into one and converts its rate.
    fn take(&mut self, decoded: &AudioBufferRef<'_>) -> Result<(), PromptError> {
        let spec = *decoded.spec();
        if spec.rate != self.rate {
            return Err(PromptError::Unreadable("its sample rate changes on the way".to_owned()));
        }
        check_channels(spec.channels.count())?;
        let mut samples: AudioBuffer<f32> = decoded.make_equivalent();
        decoded.convert(&mut samples);
        let planes = samples.planes();
        let planes = planes.planes();
        let planes = match self.mix {
            Mix::All => planes,
            Mix::Left => &planes[..planes.len().min(1)],
        };
        let share = 1.0 / planes.len().max(1) as f32;
        self.mixed.clear();
        for at in 0..samples.frames() {
            self.mixed.push(planes.iter().map(|plane| plane[at]).sum::<f32>() * share);
        }
        self.taken += self.mixed.len() as u64;
        if self.taken > self.mix.seconds_max() * u64::from(self.rate) {
            return Err(PromptError::TooLong);
        }
        let skipped = self.skip.min(self.mixed.len() as u64);
        self.skip -= skipped;
        self.resampler.push(&self.mixed[skipped as usize..], &mut self.out);
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<i16>, PromptError> {
        self.resampler.finish(&mut self.out);
        if self.out.is_empty() {
            return Err(PromptError::Empty);
        }
        Ok(self.out.iter().map(|sample| to_linear(*sample)).collect())
    }
}

fn check_channels(channels: usize) -> Result<(), PromptError> {
    match channels {
        0 => Err(PromptError::NoChannels),
        1..=MAX_CHANNELS => Ok(()),
        _ => Err(PromptError::TooManyChannels(channels)),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn unreadable(error: Error) -> PromptError {
    PromptError::Unreadable(error.to_string())
}

/// How symphonia says that a file is at its end.
const END: std::io::ErrorKind = std::io::ErrorKind::UnexpectedEof;

/// Rate and channels of a file as they are, for tests of what we record.
#[cfg(test)]
pub(crate) fn channels(bytes: &[u8]) -> Result<(u32, Vec<Vec<f32>>), PromptError> {
    let mut format = open(bytes, inspect::inspect(bytes)?)?;
    let parameters = format.tracks().first().ok_or(PromptError::Empty)?.codec_params.clone();
    let codecs = symphonia::default::get_codecs();
    let mut decoder = codecs.make(&parameters, &DecoderOptions::default()).map_err(unreadable)?;
    let (mut rate, mut channels) = (0, Vec::new());
    while let Ok(packet) = format.next_packet() {
        let decoded = decoder.decode(&packet).map_err(unreadable)?;
        let mut samples: AudioBuffer<f32> = decoded.make_equivalent();
        decoded.convert(&mut samples);
        rate = decoded.spec().rate;
        let planes = samples.planes();
        channels.resize(planes.planes().len(), Vec::new());
        for (channel, plane) in channels.iter_mut().zip(planes.planes()) {
            channel.extend_from_slice(plane);
        }
    }
    Ok((rate, channels))
}
