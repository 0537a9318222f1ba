//! AAC as it is found in files: a stream of ADTS frames (ISO/IEC 14496-3 annex 1.A.3.2), or an MPEG-4 file
//! (ISO/IEC 14496-12, 14496-14). What comes out is where each frame lies, and how they are to be decoded.
//!
//! Read here rather than by a library, because what a table claims has to be compared with what is there
//! before anything is allocated for it.

use std::ops::Range;

use super::PromptError;

/// Frames of AAC, ready for a decoder.
#[derive(Debug)]
pub(super) struct Frames {
    /// AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1).
    pub(super) config: Vec<u8>,
    /// Samples per second.
    pub(super) rate: u32,
    /// Channels; 0 where the frames say it themselves.
    pub(super) channels: usize,
    /// Samples that come out of the decoder before the sound.
    pub(super) delay: u64,
    /// Where in the file each frame lies.
    pub(super) frames: Vec<Range<usize>>,
}

/// Samples per second, by their index (ISO/IEC 14496-3 table 1.18).
const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];
/// Frames at most: five minutes of the shortest, at 96 kHz, and one more.
const FRAMES_MAX: usize = 300 * 96_000 / 960 + 1;
/// Boxes looked at in one box.
const BOXES_MAX: usize = 128;
/// Octets of an AudioSpecificConfig at most.
const CONFIG_MAX: usize = 64;
/// Samples that an edit list may leave out at the beginning.
const DELAY_MAX: u64 = 16_384;

/// Whether a file begins with an ADTS frame: the sync word and layer 0, which MP3 never has.
pub(super) fn is_adts(bytes: &[u8]) -> bool {
    matches!(bytes, [0xff, second, ..] if second & 0xf6 == 0xf0)
}

/// The frames of a stream of ADTS.
///
/// # Errors
/// [`PromptError`] when a frame is cut short, or is not what the first one said.
pub(super) fn adts(bytes: &[u8]) -> Result<Frames, PromptError> {
    let mut frames = Vec::new();
    let mut first: Option<(u8, u8)> = None;
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        // A tag of the sort that MP3 files have may stand at the end.
        if rest.starts_with(b"TAG") && rest.len() == 128 {
            break;
        }
        let Some(head) = rest.get(..7) else { return Err(cut()) };
        if !is_adts(head) {
            return Err(PromptError::Truncated("a frame is not where it should be"));
        }
        let (profile, index) = (head[2] >> 6, head[2] >> 2 & 15);
        let channels = (head[2] & 1) << 2 | head[3] >> 6;
        if *first.get_or_insert((index, channels)) != (index, channels) || profile != 1 {
            return Err(PromptError::Unreadable("not one stream of low complexity".to_owned()));
        }
        let length =
            usize::from(head[3] & 3) << 11 | usize::from(head[4]) << 3 | usize::from(head[5] >> 5);
        // A frame may be protected by a checksum, and may hold several blocks.
        let head_length = if head[1] & 1 == 1 { 7 } else { 9 };
        if head[6] & 3 != 0 || length < head_length {
            return Err(PromptError::Unreadable("a frame of no known kind".to_owned()));
        }
        if length > rest.len() {
            return Err(cut());
        }
        if frames.len() == FRAMES_MAX {
            return Err(PromptError::TooLong);
        }
        frames.push(at + head_length..at + length);
        at += length;
    }
    let (index, channels) = first.ok_or(PromptError::Empty)?;
    let rate = RATES.get(usize::from(index)).copied().unwrap_or(0);
    // Object type 2, the rate's index, the channels.
    let config = vec![2 << 3 | index >> 1, index << 7 | channels << 3];
    Ok(Frames { config, rate, channels: usize::from(channels), delay: 0, frames })
}

fn cut() -> PromptError {
    PromptError::Truncated("its last frame is not whole")
}

/// The frames of the first track of sound of an MPEG-4 file.
///
/// # Errors
/// [`PromptError`] when the tables claim what is not there, or the sound is no AAC.
pub(super) fn mpeg4(bytes: &[u8]) -> Result<Frames, PromptError> {
    let moov = child(bytes, *b"moov")?.ok_or(ABSENT)?;
    let mut wrong = PromptError::Empty;
    for track in boxes(moov)?.into_iter().filter(|part| part.kind == *b"trak") {
        match self::track(bytes, track.body) {
            Ok(frames) => return Ok(frames),
            Err(error) => wrong = error,
        }
    }
    Err(wrong)
}

/// What is missing in a file that is none.
const ABSENT: PromptError = PromptError::Truncated("a table of it is missing");

fn track(file: &[u8], track: &[u8]) -> Result<Frames, PromptError> {
    let media = child(track, *b"mdia")?.ok_or(ABSENT)?;
    let table = [*b"minf", *b"stbl"];
    let mut stbl = media;
    for kind in table {
        stbl = child(stbl, kind)?.ok_or(ABSENT)?;
    }
    let entry = child(stbl, *b"stsd")?.ok_or(ABSENT)?.get(8..).ok_or(ABSENT)?;
    let entry = boxes(entry)?.into_iter().find(|part| part.kind == *b"mp4a");
    let entry = entry.ok_or(PromptError::UnknownFormat)?.body;
    // AudioSampleEntry (ISO/IEC 14496-12 §12.2.3): 28 octets, then boxes.
    let channels = half(entry, 16).ok_or(ABSENT)?;
    let rate = u32::from(half(entry, 24).ok_or(ABSENT)?);
    let esds = child(entry.get(28..).ok_or(ABSENT)?, *b"esds")?.ok_or(ABSENT)?;
    let config = config(esds.get(4..).ok_or(ABSENT)?).ok_or(PromptError::UnknownFormat)?;
    let delay = edit(track)?.min(DELAY_MAX);
    if channels == 0 {
        return Err(PromptError::NoChannels);
    }
    let frames = places(file, stbl)?;
    let config = config.to_vec();
    // What the decoder is told counts; that of the entry may be of an extension that is not decoded.
    let index = usize::from((config[0] & 7) << 1 | config[1] >> 7);
    let rate = RATES.get(index).copied().unwrap_or(rate);
    Ok(Frames { config, rate, channels: usize::from(channels), delay, frames })
}

/// Where the frames lie: sizes, chunks, and how many are in each (ISO/IEC 14496-12 §8.7).
fn places(file: &[u8], stbl: &[u8]) -> Result<Vec<Range<usize>>, PromptError> {
    let stsz = child(stbl, *b"stsz")?.ok_or(ABSENT)?;
    let (same, count) = (whole(stsz, 4).ok_or(ABSENT)?, whole(stsz, 8).ok_or(ABSENT)? as usize);
    if count > FRAMES_MAX {
        return Err(PromptError::TooLong);
    }
    let size = |frame: usize| if same > 0 { Some(same) } else { whole(stsz, 12 + 4 * frame) };
    let stsc = child(stbl, *b"stsc")?.ok_or(ABSENT)?;
    let runs = whole(stsc, 4).ok_or(ABSENT)? as usize;
    let (chunks, wide) = match child(stbl, *b"stco")? {
        Some(chunks) => (chunks, false),
        None => (child(stbl, *b"co64")?.ok_or(ABSENT)?, true),
    };
    let chunk_count = (whole(chunks, 4).ok_or(ABSENT)? as usize).min(FRAMES_MAX);
    let chunk_at = |chunk: usize| {
        if wide {
            double(chunks, 8 + 8 * chunk)
        } else {
            whole(chunks, 8 + 4 * chunk).map(u64::from)
        }
    };
    let mut frames = Vec::new();
    let mut run = 0;
    for chunk in 0..chunk_count {
        // A run begins at a chunk, counted from one.
        let begins =
            |run: usize| whole(stsc, 8 + 12 * run).map(|first| (first as usize).saturating_sub(1));
        while run + 1 < runs && begins(run + 1).is_some_and(|first| first <= chunk) {
            run += 1;
        }
        let in_chunk = whole(stsc, 8 + 12 * run + 4).ok_or(ABSENT)?;
        let mut at = usize::try_from(chunk_at(chunk).ok_or(ABSENT)?).map_err(|_| ABSENT)?;
        for _ in 0..in_chunk {
            if frames.len() == count {
                return Ok(frames);
            }
            let octets = size(frames.len()).ok_or(ABSENT)? as usize;
            let end = at.checked_add(octets).filter(|end| *end <= file.len()).ok_or(SHORT)?;
            frames.push(at..end);
            at = end;
        }
    }
    if frames.len() == count { Ok(frames) } else { Err(SHORT) }
}

const SHORT: PromptError = PromptError::Truncated("its frames are not all there");

/// Samples that the edit list leaves out at the beginning (§8.6.6); 0 without one.
fn edit(track: &[u8]) -> Result<u64, PromptError> {
    let Some(edits) = child(track, *b"edts")? else { return Ok(0) };
    let Some(list) = child(edits, *b"elst")? else { return Ok(0) };
    let from = match list.first() {
        Some(1) => double(list, 16).map(|from| from as i64),
        _ => whole(list, 12).map(|from| i64::from(from as i32)),
    };
    Ok(from.and_then(|from| u64::try_from(from).ok()).unwrap_or(0))
}

/// The AudioSpecificConfig in the descriptors of an `esds` box (ISO/IEC 14496-1 §7.2.6): tags 3, 4 and 5,
/// each in the one before.
fn config(descriptors: &[u8]) -> Option<&[u8]> {
    let outer = descriptor(descriptors, 3)?;
    let flags = *outer.get(2)?;
    let mut at = 3;
    if flags & 0x80 != 0 {
        at += 2;
    }
    if flags & 0x40 != 0 {
        at += 1 + usize::from(*outer.get(at)?);
    }
    if flags & 0x20 != 0 {
        at += 2;
    }
    let decoder = descriptor(outer.get(at..)?, 4)?;
    // Audio of ISO/IEC 14496-3, or of MPEG-2 in low complexity.
    if !matches!(decoder.first()?, 0x40 | 0x67) {
        return None;
    }
    let config = descriptor(decoder.get(13..)?, 5)?;
    (2..=CONFIG_MAX).contains(&config.len()).then_some(config)
}

/// The body of a descriptor with this tag; its size is at most four octets of seven bits.
fn descriptor(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    if *bytes.first()? != tag {
        return None;
    }
    let mut size = 0;
    for at in 1..=4 {
        let octet = *bytes.get(at)?;
        size = size << 7 | usize::from(octet & 0x7f);
        if octet & 0x80 == 0 {
            return bytes.get(at + 1..at + 1 + size);
        }
    }
    None
}

/// A box (ISO/IEC 14496-12 §4.2).
struct Part<'a> {
    kind: [u8; 4],
    body: &'a [u8],
}

/// What lies in a box, one behind the other.
fn boxes(bytes: &[u8]) -> Result<Vec<Part<'_>>, PromptError> {
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(head) = bytes.get(at..at + 8) {
        let kind = [head[4], head[5], head[6], head[7]];
        let (head_length, length) = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
            0 => (8, (bytes.len() - at) as u64),
            1 => (16, double(bytes, at + 8).ok_or(SHORT_BOX)?),
            length => (8, u64::from(length)),
        };
        let end = usize::try_from(length).ok().and_then(|length| at.checked_add(length));
        let end = end.filter(|end| *end <= bytes.len()).ok_or(SHORT_BOX)?;
        let body = bytes.get(at + head_length..end).ok_or(SHORT_BOX)?;
        if parts.len() == BOXES_MAX {
            return Err(PromptError::Unreadable("it has too many parts".to_owned()));
        }
        parts.push(Part { kind, body });
        at = end;
    }
    Ok(parts)
}

const SHORT_BOX: PromptError = PromptError::Truncated("a part of it claims more than is there");

fn child(bytes: &[u8], kind: [u8; 4]) -> Result<Option<&[u8]>, PromptError> {
    Ok(boxes(bytes)?.into_iter().find(|part| part.kind == kind).map(|part| part.body))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..)?.get(..2)?.try_into().ok()?))
}

fn whole(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..)?.get(..4)?.try_into().ok()?))
}

fn double(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..)?.get(..8)?.try_into().ok()?))
}
