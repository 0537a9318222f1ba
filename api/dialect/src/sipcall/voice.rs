//! `App.Sip_Voice` (merchant API §4.9): the sounds that a company has sent in.

use facts::UnixMillis;

use super::answer::Answer;
use super::code::Code;
use super::fault::Fault;
use super::json::Json;
use super::play::stored;
use super::rules::Rules;
use crate::clock;

/// Octets of a sound at most.
pub const OCTETS_MAX: usize = 10 * 1024 * 1024;
/// Longest name, bytes.
const NAME_MAX: i64 = 128;

/// What a sound is coded in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// RIFF WAVE: 8 kHz, 16 bits, one channel.
    Wav,
    /// MPEG layer III.
    Mp3,
}

impl Kind {
    /// How names of such files end, without the point.
    #[must_use]
    pub const fn ending(self) -> &'static str {
        match self {
            Kind::Wav => "wav",
            Kind::Mp3 => "mp3",
        }
    }

    /// That of octets, by how they begin; whether all of them can be played only decoding tells. `None` for every
    /// other kind, and for WAVE of another rate, width or number of channels.
    #[must_use]
    pub fn of(octets: &[u8]) -> Option<Kind> {
        let is_mpeg = octets.starts_with(b"ID3")
            // 11 ones, a version that is not reserved, layer III.
            || matches!(octets, [0xff, second, ..] if second & 0xe6 == 0xe2 && second & 0x18 != 0x08);
        if is_mpeg {
            return Some(Kind::Mp3);
        }
        wave(octets).is_some_and(|format| format == TELEPHONE).then_some(Kind::Wav)
    }
}

/// Format tag, channels, rate, bits of a sample.
type Wave = (u16, u16, u32, u16);
/// Linear, one channel, 8 kHz, 16 bits.
const TELEPHONE: Wave = (1, 1, 8_000, 16);

/// The `fmt ` chunk of a RIFF WAVE file.
fn wave(octets: &[u8]) -> Option<Wave> {
    let mut rest = octets.strip_prefix(b"RIFF")?.get(4..)?.strip_prefix(b"WAVE")?;
    loop {
        let (head, after) = rest.split_at_checked(8)?;
        let length = u32::from_le_bytes(head.get(4..)?.try_into().ok()?);
        let length = usize::try_from(length).ok()?;
        if head.starts_with(b"fmt ") {
            let chunk = after.get(..length.min(after.len()))?;
            let two = |at: usize| Some(u16::from_le_bytes(chunk.get(at..at + 2)?.try_into().ok()?));
            let rate = u32::from_le_bytes(chunk.get(4..8)?.try_into().ok()?);
            return Some((two(0)?, two(2)?, rate, two(14)?));
        }
        // Chunks begin at even places.
        rest = after.get(length.checked_add(length & 1)?..)?;
    }
}

/// Reads the parameter `name`, the name of a sound without its ending; `otherwise`: the name of the file that was sent,
/// where nobody says another.
///
/// # Errors
/// What the framework says; then that it is no name of a sound.
pub fn read_name(rules: Rules<'_>, otherwise: Option<&str>) -> Result<Result<String, Code>, Fault> {
    let name = match otherwise {
        Some(otherwise) => match rules.maybe("name", NAME_MAX)? {
            "" => otherwise,
            name => name,
        },
        None => rules.text("name", (1, NAME_MAX))?,
    };
    Ok(stored(name).filter(|name| name.len() <= 128).ok_or(Code::Bad("name")))
}

/// A sound of a company.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Told<'a> {
    /// Without its ending.
    pub name: &'a str,
    /// Its ending.
    pub ending: &'a str,
    /// Octets.
    pub octets: u64,
    /// How long it is, milliseconds.
    pub millis: u64,
    /// When it came.
    pub uploaded: UnixMillis,
}

impl Told<'_> {
    /// `voicefile`, as `PlayVoice` takes it.
    fn file(&self) -> Json {
        format!("{}.{}", self.name, self.ending).into()
    }
}

/// The answer of `Upload`.
#[must_use]
pub fn uploaded(sound: &Told<'_>) -> Answer {
    let seconds = sound.millis.div_ceil(1_000);
    let result = Json::object([("voicefile", sound.file()), ("duration", seconds.into())]);
    Answer { desc: ("上传成功", "upload succeeded"), result: Some(result) }
}

/// The answer of `List`.
#[must_use]
pub fn listed(sounds: &[Told<'_>]) -> Answer {
    let rows = sounds.iter().map(|sound| {
        Json::object([
            ("voicefile", sound.file()),
            ("size", sound.octets.into()),
            ("duration", sound.millis.div_ceil(1_000).into()),
            ("uploadtime", clock::seconds(sound.uploaded).into()),
        ])
    });
    Answer { desc: ("查询成功", "query succeeded"), result: Some(Json::list(rows)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Params;
    use super::*;

    fn riff(tag: u16, channels: u16, rate: u32, bits: u16) -> Vec<u8> {
        let mut octets = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0".to_vec();
        octets.extend(tag.to_le_bytes());
        octets.extend(channels.to_le_bytes());
        octets.extend(rate.to_le_bytes());
        octets.extend([0; 6]);
        octets.extend(bits.to_le_bytes());
        octets
    }

    #[test]
    fn s4_9_wave_of_telephones_and_mp3_are_taken_and_nothing_else() {
        assert_eq!(Kind::of(&riff(1, 1, 8_000, 16)), Some(Kind::Wav));
        for other in [
            riff(1, 2, 8_000, 16),
            riff(1, 1, 16_000, 16),
            riff(1, 1, 8_000, 8),
            riff(6, 1, 8_000, 16),
            riff(1, 1, 8_000, 16)[..40].to_vec(),
            b"OggS".to_vec(),
            b"fLaC".to_vec(),
            b"\xff\xf1\x50\x80".to_vec(),
            b"<html>".to_vec(),
            Vec::new(),
        ] {
            assert_eq!(Kind::of(&other), None, "{other:?}");
        }
        for mpeg in [&b"ID3\x03"[..], b"\xff\xfb\x90\x00", b"\xff\xf3\x90", b"\xff\xe2"] {
            assert_eq!(Kind::of(mpeg), Some(Kind::Mp3), "{mpeg:?}");
        }
    }

    #[test]
    fn s4_9_names_of_sounds_lead_out_of_no_folder() {
        let read = |query: &str, file: Option<&str>| {
            let mut params = Params::default();
            params.form(query.as_bytes());
            read_name(Rules(&params), file)
        };
        assert_eq!(read("name=a.mp3", Some("b.wav")), Ok(Ok("a".into())));
        assert_eq!(read("", Some("通知.wav")), Ok(Ok("通知".into())));
        assert_eq!(read("", None), Err(Fault::Missing("name")));
        for name in ["../a", "a/b", "..", ".a", "a\\b", "a b"] {
            let query = format!("name={}", crate::text::escape(name));
            assert_eq!(read(&query, None), Ok(Err(Code::Bad("name"))), "{name}");
            assert_eq!(read("", Some(name)), Ok(Err(Code::Bad("name"))), "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_octets_panic(octets in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Kind::of(&octets);
            let _ = Kind::of(&[&b"RIFF\0\0\0\0WAVE"[..], &octets].concat());
        }
    }
}
