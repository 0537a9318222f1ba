//! What a recording is written in: the coder that makes octets of samples, and the head that tells about them.

use std::io;

use audio::mp3::{self, Info, whole_frames};
use audio::ogg::{self, Pages};
use audio::tape::Channels;
use audio::{RATE, wav};
use facts::media::{RecordingForm, RecordingFormat, Voices};

/// What both sides' samples become.
pub(super) enum Coder {
    Mp3(Box<mp3::Encoder>),
    Wav { channels: Channels, samples: u64 },
    Opus(Box<ogg::Encoder>),
}

impl Coder {
    pub(super) fn new(form: RecordingForm) -> io::Result<Coder> {
        let channels = channels(form);
        Ok(match form.format {
            RecordingFormat::Mp3 => {
                Coder::Mp3(Box::new(mp3::Encoder::new(channels).map_err(io::Error::other)?))
            }
            RecordingFormat::Wav => Coder::Wav { channels, samples: 0 },
            RecordingFormat::Opus => {
                Coder::Opus(Box::new(ogg::Encoder::new(channels).map_err(io::Error::other)?))
            }
        })
    }

    /// Samples of each side taken so far, at 8 kHz.
    pub(super) fn samples(&self) -> u64 {
        match self {
            Coder::Mp3(encoder) => encoder.samples(),
            Coder::Wav { samples, .. } => *samples,
            Coder::Opus(encoder) => encoder.samples(),
        }
    }

    /// Appends what became of samples of both sides.
    pub(super) fn encode(
        &mut self,
        left: &[i16],
        right: &[i16],
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        match self {
            Coder::Mp3(encoder) => encoder.encode(left, right, out).map_err(io::Error::other),
            Coder::Wav { channels, samples } => {
                wav::append(*channels, left, right, out);
                *samples += left.len().min(right.len()) as u64;
                Ok(())
            }
            Coder::Opus(encoder) => encoder.encode(left, right, out).map_err(io::Error::other),
        }
    }

    /// Appends what can be written and is gathered only to take less room.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) {
        if let Coder::Opus(encoder) = self {
            encoder.flush(out);
        }
    }

    /// Appends what was held back.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Coder::Mp3(encoder) => encoder.finish(out).map_err(io::Error::other),
            Coder::Wav { .. } => Ok(()),
            Coder::Opus(encoder) => encoder.finish(out).map_err(io::Error::other),
        }
    }
}

/// What stands before the sound. Grows with what is appended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Head {
    Mp3(Info),
    Wav {
        channels: Channels,
        data: u64,
    },
    /// `bytes` of whole pages lie behind it.
    Opus {
        channels: Channels,
        pages: Pages,
        bytes: u64,
    },
}

impl Head {
    pub(super) fn new(form: RecordingForm) -> Head {
        let channels = channels(form);
        match form.format {
            RecordingFormat::Mp3 => Head::Mp3(Info::new(channels)),
            RecordingFormat::Wav => Head::Wav { channels, data: 0 },
            RecordingFormat::Opus => Head::opus(channels),
        }
    }

    /// The head of a file that begins like this; `format` is what its name says.
    pub(super) fn found(format: RecordingFormat, file: &[u8]) -> Option<Head> {
        match format {
            RecordingFormat::Mp3 => {
                let fits = |channels: &Channels| {
                    file.len() >= mp3::frame_bytes(*channels)
                        && file.starts_with(&mp3::frame_header(*channels))
                };
                let channels = [Channels::Stereo, Channels::Mono].into_iter().find(fits)?;
                Some(Head::Mp3(Info::new(channels)))
            }
            RecordingFormat::Wav => Some(Head::Wav { channels: wav::channels_of(file)?, data: 0 }),
            RecordingFormat::Opus => ogg::channels_of(file).map(Head::opus),
        }
    }

    fn opus(channels: Channels) -> Head {
        Head::Opus { channels, pages: Pages::behind_head(), bytes: 0 }
    }

    /// Octets of the head itself.
    pub(super) fn len(&self) -> usize {
        match self {
            Head::Mp3(info) => mp3::frame_bytes(info.channels()),
            Head::Wav { .. } => wav::HEAD_BYTES,
            Head::Opus { channels, .. } => ogg::open(*channels).len(),
        }
    }

    /// Octets that belong together; pages of Ogg are of any length.
    pub(super) fn unit(&self) -> usize {
        match self {
            Head::Mp3(info) => mp3::frame_bytes(info.channels()),
            Head::Wav { channels, .. } => wav::block(*channels),
            Head::Opus { .. } => 1,
        }
    }

    /// How much of these octets can be appended: whole units of its own.
    pub(super) fn whole(&self, octets: &[u8]) -> usize {
        match self {
            Head::Mp3(info) => whole_frames(info.channels(), octets),
            Head::Wav { .. } => octets.len() / self.unit() * self.unit(),
            Head::Opus { pages, .. } => ogg::whole_pages(pages, octets),
        }
    }

    /// Whole units were appended.
    pub(super) fn added(&mut self, octets: &[u8]) {
        match self {
            Head::Mp3(info) => info.frames_added(octets),
            Head::Wav { data, .. } => *data += octets.len() as u64,
            Head::Opus { pages, bytes, .. } => {
                pages.add(octets);
                *bytes += octets.len() as u64;
            }
        }
    }

    /// There is no sound behind it.
    pub(super) fn is_empty(&self) -> bool {
        self.file_bytes() <= self.len() as u64
    }

    /// Size of the whole file in octets.
    pub(super) fn file_bytes(&self) -> u64 {
        match self {
            Head::Mp3(info) => info.file_bytes(),
            Head::Wav { data, .. } => wav::HEAD_BYTES as u64 + data,
            Head::Opus { bytes, .. } => self.len() as u64 + bytes,
        }
    }

    /// Samples of each side that the file can hold when no coder finished it.
    pub(super) fn samples_when_cut(&self) -> u64 {
        match self {
            Head::Mp3(info) => info.samples_when_cut(),
            Head::Wav { data, .. } => data / self.unit() as u64,
            Head::Opus { pages, .. } => ogg::samples_at(pages.granule()),
        }
    }

    /// The head of a finished file that holds so many samples of each side.
    pub(super) fn closed(&self, samples: u64) -> Vec<u8> {
        match self {
            Head::Mp3(info) => info.frame(samples),
            Head::Wav { .. } | Head::Opus { .. } => self.open(),
        }
    }

    /// The head of a file that still grows. One of MP3 claims no length, one of Opus has none to claim; one of WAV has to.
    pub(super) fn open(&self) -> Vec<u8> {
        match self {
            Head::Mp3(info) => Info::open_frame(info.channels()),
            Head::Wav { channels, data } => wav::head(*channels, *data).to_vec(),
            Head::Opus { channels, .. } => ogg::open(*channels),
        }
    }

    /// What a growing file's head has to say changes with its length.
    pub(super) fn tells_length(&self) -> bool {
        matches!(self, Head::Wav { .. })
    }

    /// Silence that stands for what a killed process had heard and not written.
    pub(super) fn lost(&self) -> Vec<u8> {
        match self {
            Head::Mp3(info) => {
                let header = mp3::frame_header(info.channels());
                let mut silence = vec![0; self.unit()];
                silence[..header.len()].copy_from_slice(&header);
                let frames =
                    (LOST_MS + HELD_BACK_MS) * u64::from(mp3::RATE) / 1_000 / mp3::FRAME_SAMPLES;
                silence.repeat(frames as usize)
            }
            Head::Opus { channels, pages, .. } => {
                // A packet of 20 ms may be half full.
                ogg::silent_end(*channels, pages, (LOST_MS / 20 + 1) as usize)
            }
            Head::Wav { .. } => vec![0; self.unit() * (LOST_MS * u64::from(RATE) / 1_000) as usize],
        }
    }
}

fn channels(form: RecordingForm) -> Channels {
    match form.voices {
        Voices::Stereo => Channels::Stereo,
        Voices::Mixed | Voices::A | Voices::B | Voices::Apart => Channels::Mono,
    }
}

/// The unwritten tail: what waits on the tape (200 ms), and on average half a turn (50 ms) and what a thread is
/// late.
const LOST_MS: u64 = 290;
/// What LAME holds back.
const HELD_BACK_MS: u64 = 80;
