//! What a recording is: whose voices are in it, what it is written in, the finished file.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Stands in the name of a file that a mailbox keeps, behind `<digits of the call>_`: it is no recording of a
/// conversation, whatever the books say yet.
pub const MESSAGE: &str = "message-";

/// What a recording is coded in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RecordingFormat {
    /// MPEG-2 layer III, 16 kHz, 40 kbit/s a channel.
    #[default]
    Mp3,
    /// RIFF WAVE, linear, 16 bits, 8 kHz.
    Wav,
    /// Opus in Ogg (RFC 7845), 8 kHz, 40 kbit/s a channel.
    Opus,
}

impl RecordingFormat {
    /// All.
    pub const ALL: [RecordingFormat; 3] =
        [RecordingFormat::Mp3, RecordingFormat::Wav, RecordingFormat::Opus];

    /// What names of such files end with, without the dot.
    #[must_use]
    pub const fn ending(self) -> &'static str {
        match self {
            RecordingFormat::Mp3 => "mp3",
            RecordingFormat::Wav => "wav",
            RecordingFormat::Opus => "opus",
        }
    }

    /// That of a file, by its name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<RecordingFormat> {
        let (_, ending) = name.rsplit_once('.')?;
        RecordingFormat::ALL.into_iter().find(|format| format.ending() == ending)
    }
}

/// Whose voices a recording has, and in how many files.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Voices {
    /// One file of two channels: A left, B right.
    #[default]
    Stereo,
    /// One file of one channel: both together.
    Mixed,
    /// One file of one channel: A alone.
    A,
    /// The same of B.
    B,
    /// Two files of one channel: A's and B's.
    Apart,
}

impl Voices {
    /// All, by the words that settings and files of objects have for them.
    pub const ALL: [(&'static str, Voices); 5] = [
        ("stereo", Voices::Stereo),
        ("mono", Voices::Mixed),
        ("a", Voices::A),
        ("b", Voices::B),
        ("apart", Voices::Apart),
    ];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        Voices::ALL
            .into_iter()
            .find(|(_, voices)| *voices == self)
            .map_or("stereo", |(word, _)| word)
    }

    /// The meaning of a word.
    #[must_use]
    pub fn named(word: &str) -> Option<Voices> {
        Voices::ALL.into_iter().find(|(known, _)| *known == word).map(|(_, voices)| voices)
    }

    /// What stands in the name of the (first) file, before its ending: files of one leg say whose they are.
    #[must_use]
    pub const fn mark(self) -> &'static str {
        match self {
            Voices::Stereo | Voices::Mixed => "",
            Voices::A | Voices::Apart => MARK_A,
            Voices::B => MARK_B,
        }
    }

    /// The name of B's file, from that of A's: `x-a.mp3` → `x-b.mp3`. `None` for a file that is not A's alone.
    #[must_use]
    pub fn other(a: &str) -> Option<String> {
        let (stem, ending) = a.rsplit_once('.')?;
        Some(format!("{}{MARK_B}.{ending}", stem.strip_suffix(MARK_A)?))
    }
}

const MARK_A: &str = "-a";
const MARK_B: &str = "-b";

/// Whether a call is recorded. Written as `true`, `false`, or the word of [`Voices`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Record {
    /// It is not.
    #[default]
    No,
    /// As the settings say.
    Yes,
    /// So, whatever the settings say of voices.
    As(Voices),
}

impl Record {
    /// What is said first counts.
    #[must_use]
    pub const fn or(self, other: Record) -> Record {
        match self {
            Record::No => other,
            Record::Yes | Record::As(_) => self,
        }
    }

    /// Whether it is recorded at all.
    #[must_use]
    pub const fn is_wanted(self) -> bool {
        !matches!(self, Record::No)
    }

    /// The number by which the store keeps it; numbers never change.
    #[must_use]
    pub const fn code(self) -> i64 {
        match self {
            Record::No => 0,
            Record::Yes => 1,
            Record::As(Voices::Stereo) => 2,
            Record::As(Voices::Mixed) => 3,
            Record::As(Voices::A) => 4,
            Record::As(Voices::B) => 5,
            Record::As(Voices::Apart) => 6,
        }
    }

    /// What a number stands for; one that is not known for [`Record::Yes`].
    #[must_use]
    pub fn of_code(code: i64) -> Record {
        let all = Voices::ALL.into_iter().map(|(_, voices)| Record::As(voices));
        let found = all.chain([Record::No]).find(|record| record.code() == code);
        found.unwrap_or(Record::Yes)
    }
}

impl From<bool> for Record {
    fn from(wanted: bool) -> Record {
        if wanted { Record::Yes } else { Record::No }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Record::No => "false",
            Record::Yes => "true",
            Record::As(voices) => voices.word(),
        })
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Record::No => to.serialize_bool(false),
            Record::Yes => to.serialize_bool(true),
            Record::As(voices) => to.serialize_str(voices.word()),
        }
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Record, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = Record;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or one of stereo, mono, a, b, apart")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Record, E> {
                Ok(value.into())
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Record, E> {
                let known = const { &["stereo", "mono", "a", "b", "apart"] };
                let voices = Voices::named(word).map(Record::As);
                voices.ok_or_else(|| E::unknown_variant(word, known))
            }
        }
        from.deserialize_any(Read)
    }
}

/// How a recording is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RecordingForm {
    /// What it is coded in.
    pub format: RecordingFormat,
    /// Whose voices, and in how many files.
    pub voices: Voices,
}

/// A finished recording.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RecordedFile {
    /// Path below the recordings folder.
    pub file: String,
    /// Length of the sound in milliseconds.
    pub duration_ms: u64,
    /// Size in bytes, as checked after the file was moved into place.
    pub bytes: u64,
    /// SHA-256 of the file in place, 64 digits of base 16; empty in records from before it was taken.
    #[serde(default)]
    pub sha256: String,
    /// The file of B, where this one is A's alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<Box<RecordedFile>>,
}

impl RecordedFile {
    /// It, and B's beside it.
    pub fn all(&self) -> impl Iterator<Item = &RecordedFile> {
        std::iter::once(self).chain(self.other.as_deref())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_is_a_truth_or_a_word_and_keeps_its_number() {
        let all = Voices::ALL.into_iter().map(|(_, voices)| Record::As(voices));
        for record in all.chain([Record::No, Record::Yes]) {
            assert_eq!(Record::of_code(record.code()), record);
            let text = serde_json::to_string(&record).unwrap();
            assert_eq!(text.trim_matches('"'), record.to_string());
            assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
        }
        assert_eq!(Record::of_code(99), Record::Yes);
        let error = serde_json::from_str::<Record>("\"stero\"").unwrap_err().to_string();
        assert!(error.starts_with("unknown variant `stero`, expected one of `stereo`"), "{error}");
        assert!(serde_json::from_str::<Record>("1").is_err());
        assert_eq!(Record::No.or(Record::As(Voices::A)), Record::As(Voices::A));
        assert_eq!(Record::Yes.or(Record::As(Voices::A)), Record::Yes);
    }

    #[test]
    fn the_file_of_one_leg_leads_to_that_of_the_other() {
        assert_eq!(Voices::other("ab/1_x-a.mp3").as_deref(), Some("ab/1_x-b.mp3"));
        for not in ["ab/1_x.mp3", "ab/1_x-b.mp3", "ab/1_x-a", ""] {
            assert_eq!(Voices::other(not), None, "{not}");
        }
    }
}
