//! Opus in Ogg (RFC 7845, RFC 3533): pages, packets, and what of the sound counts. The coder is our own.

use audio::RATE;
use audio::codec::{Coding, Decoder, SAMPLES_MAX};

use super::PromptError;

/// Samples per second that Opus counts in, whatever it carries.
const CLOCK: u64 = 48_000;
/// Octets of a packet at most: 120 ms of three frames of the largest size (RFC 6716 §3.4).
const PACKET_MAX: usize = 61_440;
/// Packets that may be broken before the file is.
const BROKEN_MAX: usize = 3;

/// Whether the first page of a stream begins an Opus stream (RFC 7845 §5.1).
pub(super) fn is_opus(bytes: &[u8]) -> bool {
    let Some(segments) = bytes.get(26) else { return false };
    bytes.get(27 + usize::from(*segments)..).is_some_and(|body| body.starts_with(b"OpusHead"))
}

/// The sound at 8 kHz, mono.
///
/// # Errors
/// [`PromptError`] for what cannot be decoded, or is longer than `seconds_max`.
pub(super) fn samples(bytes: &[u8], seconds_max: u64) -> Result<Vec<i16>, PromptError> {
    let mut pages = Pages { bytes, at: 0, serial: None };
    let head = pages.next().ok_or(PromptError::Empty)?;
    let (skip, gain) = identity(head.body)?;
    let most = seconds_max * u64::from(RATE);
    let unreadable = |error: audio::codec::CodecError| PromptError::Unreadable(error.to_string());
    let mut decoder = Decoder::at(Coding::Opus, RATE).map_err(unreadable)?;
    let (mut out, mut packet) = (Vec::new(), Vec::new());
    let mut sound = [0; SAMPLES_MAX];
    let (mut number, mut broken) = (0, 0);
    let mut end = None;
    for page in pages {
        if page.granule != u64::MAX {
            end = Some(page.granule);
        }
        let mut rest = page.body;
        for lacing in page.table {
            let (piece, after) = rest.split_at(usize::from(*lacing).min(rest.len()));
            rest = after;
            if packet.len() + piece.len() > PACKET_MAX {
                return Err(PromptError::Unreadable("a packet is too long".to_owned()));
            }
            packet.extend_from_slice(piece);
            if *lacing == u8::MAX {
                continue;
            }
            number += 1;
            // The first packet behind the head holds comments.
            if number > 1 && !packet.is_empty() {
                match decoder.decode(&packet, &mut sound) {
                    Ok(count) => out.extend_from_slice(&sound[..count]),
                    Err(_) if broken < BROKEN_MAX => broken += 1,
                    Err(error) => return Err(unreadable(error)),
                }
            }
            packet.clear();
            if out.len() as u64 > most + skip {
                return Err(PromptError::TooLong);
            }
        }
    }
    // RFC 7845 §4.2, §4.4: the beginning is the coder's own, and the end may lie in the last packet.
    if let Some(end) = end {
        out.truncate(usize::try_from(end / (CLOCK / u64::from(RATE))).unwrap_or(usize::MAX));
    }
    out.drain(..out.len().min(skip as usize));
    if out.is_empty() {
        return Err(PromptError::Empty);
    }
    for sample in &mut out {
        *sample = (f32::from(*sample) * gain) as i16;
    }
    Ok(out)
}

/// RFC 7845 §5.1: samples at 8 kHz to leave out, and the factor that the sound is to be multiplied with.
fn identity(head: &[u8]) -> Result<(u64, f32), PromptError> {
    let Some(head) = head.get(..19) else {
        return Err(PromptError::Truncated("its head is not there"));
    };
    match (head[9], head[18]) {
        (0, _) => return Err(PromptError::NoChannels),
        (1 | 2, 0) => {}
        (channels, _) => return Err(PromptError::TooManyChannels(channels.into())),
    }
    let skip = u64::from(u16::from_le_bytes([head[10], head[11]]));
    // In 1/256 dB.
    let gain = f32::from(i16::from_le_bytes([head[16], head[17]])) / 256.0;
    Ok((skip * u64::from(RATE) / CLOCK, 10_f32.powf(gain / 20.0)))
}

/// The pages of the first stream.
struct Pages<'a> {
    bytes: &'a [u8],
    at: usize,
    serial: Option<[u8; 4]>,
}

struct Page<'a> {
    granule: u64,
    table: &'a [u8],
    body: &'a [u8],
}

impl<'a> Iterator for Pages<'a> {
    type Item = Page<'a>;

    fn next(&mut self) -> Option<Page<'a>> {
        loop {
            let bytes = self.bytes;
            let head = bytes.get(self.at..)?.get(..27).filter(|head| head.starts_with(b"OggS"))?;
            let table_at = self.at + 27;
            let table = bytes.get(table_at..table_at + usize::from(head[26]))?;
            let length = table.iter().map(|lacing| usize::from(*lacing)).sum::<usize>();
            let body_at = table_at + table.len();
            let body = bytes.get(body_at..body_at + length)?;
            self.at = body_at + length;
            let serial = [head[14], head[15], head[16], head[17]];
            if *self.serial.get_or_insert(serial) == serial {
                let granule = head[6..14].try_into().map_or(0, u64::from_le_bytes);
                return Some(Page { granule, table, body });
            }
        }
    }
}
