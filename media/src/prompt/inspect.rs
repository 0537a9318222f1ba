//! A first look at a sound file, before any decoder sees it: which format it is, and whether the sizes
//! it claims are the sizes it has.

use super::{PromptError, aac, opus};
use audio::resample::RATES;

/// The formats taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// RIFF WAVE.
    Wav,
    /// MPEG audio, with or without an ID3 tag.
    Mp3,
    /// Ogg (Vorbis).
    Ogg,
    /// Opus in Ogg.
    Opus,
    /// FLAC.
    Flac,
    /// AAC in frames of ADTS.
    Aac,
    /// AAC in an MPEG-4 file.
    Mpeg4,
}

impl Kind {
    /// The file ending a decoder expects.
    pub(super) fn ending(self) -> &'static str {
        match self {
            Kind::Wav => "wav",
            Kind::Mp3 => "mp3",
            Kind::Ogg | Kind::Opus => "ogg",
            Kind::Flac => "flac",
            Kind::Aac => "aac",
            Kind::Mpeg4 => "m4a",
        }
    }
}

/// Tells the format and refuses what contradicts itself.
pub(super) fn inspect(bytes: &[u8]) -> Result<Kind, PromptError> {
    match bytes {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => wav(bytes),
        [b'O', b'g', b'g', b'S', ..] => ogg(bytes),
        [b'f', b'L', b'a', b'C', ..] => flac(bytes),
        [b'I', b'D', b'3', ..] => id3(bytes),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => Ok(Kind::Mpeg4),
        _ if aac::is_adts(bytes) => Ok(Kind::Aac),
        [0xff, second, ..] if second & 0xe0 == 0xe0 => Ok(Kind::Mp3),
        _ => Err(PromptError::UnknownFormat),
    }
}

/// RIFF chunks: `fmt ` must make sense and `data` must be there as long as it says.
fn wav(bytes: &[u8]) -> Result<Kind, PromptError> {
    let mut at = 12;
    for _ in 0..MAX_CHUNKS {
        let Some(head) = bytes.get(at..at + 8) else { break };
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let body = bytes.get(at + 8..).unwrap_or_default();
        match &head[..4] {
            b"fmt " => {
                let Some(fmt) = body.get(..16.min(length)).filter(|fmt| fmt.len() == 16) else {
                    return Err(PromptError::Truncated("its format is not there"));
                };
                if fmt[2..4] == [0, 0] {
                    return Err(PromptError::NoChannels);
                }
                rate(u32::from_le_bytes([fmt[4], fmt[5], fmt[6], fmt[7]]))?;
            }
            b"data" if length > body.len() => {
                return Err(PromptError::Truncated("its samples end early"));
            }
            b"data" => return Ok(Kind::Wav),
            _ => {}
        }
        // Chunks are padded to an even length.
        at = at.saturating_add(8).saturating_add(length).saturating_add(length & 1);
    }
    Err(PromptError::Truncated("it has no samples"))
}

/// RFC 3533 §6: the last page of a stream says that it is the last, and is whole.
fn ogg(bytes: &[u8]) -> Result<Kind, PromptError> {
    let last = bytes.windows(4).rposition(|word| word == b"OggS").unwrap_or(0);
    let page = &bytes[last..];
    let cut = PromptError::Truncated("its last page is missing");
    let Some(segments) = page.get(26).map(|count| usize::from(*count)) else { return Err(cut) };
    let Some(table) = page.get(27..27 + segments) else { return Err(cut) };
    let body: usize = table.iter().map(|length| usize::from(*length)).sum();
    let ends = page[5] & 0x04 != 0 && page.len() >= 27 + segments + body;
    match (ends, opus::is_opus(bytes)) {
        (false, _) => Err(cut),
        (true, true) => Ok(Kind::Opus),
        (true, false) => Ok(Kind::Ogg),
    }
}

/// RFC 9639 §8.2: the first metadata block is STREAMINFO.
fn flac(bytes: &[u8]) -> Result<Kind, PromptError> {
    let Some(info) = bytes.get(8..8 + 34).filter(|_| bytes[4] & 0x7f == 0) else {
        return Err(PromptError::Truncated("its stream information is not there"));
    };
    rate(u32::from_be_bytes([0, info[10], info[11], info[12]]) >> 4)?;
    Ok(Kind::Flac)
}

/// ID3v2: the tag's size is four octets of seven bits, and the sound comes behind it.
fn id3(bytes: &[u8]) -> Result<Kind, PromptError> {
    let Some(size) = bytes.get(6..10) else {
        return Err(PromptError::Truncated("its tag is not there"));
    };
    let size = size.iter().fold(0_usize, |sum, octet| (sum << 7) | usize::from(octet & 0x7f));
    if size + 10 >= bytes.len() {
        return Err(PromptError::Truncated("its tag claims more than the whole file"));
    }
    Ok(Kind::Mp3)
}

fn rate(hz: u32) -> Result<(), PromptError> {
    if RATES.contains(&hz) { Ok(()) } else { Err(PromptError::Rate(hz)) }
}

/// Chunks that are looked through for the samples.
const MAX_CHUNKS: usize = 64;
