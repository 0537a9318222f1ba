//! Recorded words, and what is put together of them. `media/say/make` speaks them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use audio::g711;
use audio::say::{self, Day, Language, Money, Piece, Unsayable};
use facts::media::Prompt;
use facts::sound::{Clip, Say, Spoken, SpokenCurrency};

use super::Store;

/// Language, words one behind the other in A-law, and where each of them lies.
const SHIPPED: [(Language, &[u8], &str); 3] = [
    (Language::Zh, include_bytes!("../../say/zh.al"), include_str!("../../say/zh.tsv")),
    (Language::En, include_bytes!("../../say/en.al"), include_str!("../../say/en.tsv")),
    (Language::Fa, include_bytes!("../../say/fa.al"), include_str!("../../say/fa.tsv")),
];

/// Longest that is put together, seconds.
const SECONDS_MAX: usize = 120;
/// Between two things that are said, milliseconds.
const BETWEEN_MS: usize = 150;
/// Octets of G.711 in a millisecond.
const PER_MS: usize = audio::RATE as usize / 1_000;

/// The words that ship with the program.
#[derive(Debug, Default)]
pub(super) struct Words {
    words: BTreeMap<(Language, &'static str), &'static [u8]>,
}

impl Words {
    pub(super) fn shipped() -> Words {
        let mut words = BTreeMap::new();
        for (language, octets, index) in SHIPPED {
            for line in index.lines() {
                let mut cells = line.split('\t');
                let (Some(name), Some(from), Some(count)) =
                    (cells.next(), cells.next(), cells.next())
                else {
                    continue;
                };
                let (from, count) = (from.parse().unwrap_or(0), count.parse().unwrap_or(0));
                if let Some(word) = octets.get(from..from + count) {
                    words.insert((language, name), word);
                }
            }
        }
        Words { words }
    }
}

/// Why nothing was put together.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unsaid {
    /// One part cannot be said.
    #[error("cannot be said: {0}")]
    Unsayable(#[from] Unsayable),
    /// There is no such word or announcement.
    #[error("there is no sound of the name {0}")]
    Missing(String),
    /// Nobody has spoken anything in this language.
    #[error("nothing is said in the language {0:?}; there are {1}")]
    Language(String, String),
    /// More than two minutes, or more parts than are taken.
    #[error("more than {SECONDS_MAX} s, or than {} parts", Say::PARTS_MAX)]
    TooLong,
}

impl Store {
    /// Why a clip could not be heard. Of what lies behind an address only a visit can tell.
    ///
    /// # Errors
    /// What of it cannot be had: a name, a language, words.
    pub fn playable(&self, clip: &Clip) -> Result<(), Unsaid> {
        let known = |language: &str, there: &[&str]| {
            // Without one it is English; a call knows its own.
            let known = language.is_empty() || there.contains(&language);
            let lacks = || Unsaid::Language(language.to_owned(), there.join(", "));
            known.then_some(()).ok_or_else(lacks)
        };
        match clip {
            Clip::Url(_) => Ok(()),
            Clip::Prompt(Prompt { name, language }) => {
                let there: Vec<&str> = self.languages.keys().map(String::as_str).collect();
                known(language, &there)?;
                let found = self.find(name, language).map(|_| ());
                found.ok_or_else(|| Unsaid::Missing(name.clone()))
            }
            Clip::Say(say) => {
                known(&say.language, &Language::ALL.map(Language::code))?;
                self.say(say).map(|_| ())
            }
        }
    }

    /// The sound of what is to be said, in A-law.
    pub(crate) fn say(&self, what: &Say) -> Result<Vec<u8>, Unsaid> {
        if what.parts.len() > Say::PARTS_MAX {
            return Err(Unsaid::TooLong);
        }
        let language = Language::of(&what.language).unwrap_or(Language::En);
        let (mut sound, mut pieces) = (Vec::new(), Vec::new());
        for (at, part) in what.parts.iter().enumerate() {
            if at > 0 {
                pause(BETWEEN_MS, &mut sound);
            }
            if let Spoken::Prompt(name) = part {
                let found = self.find(name, &what.language);
                let found = found.ok_or_else(|| Unsaid::Missing(name.clone()))?;
                sound.extend_from_slice(found.alaw().as_flattened());
            }
            pieces.clear();
            say_part(language, part, &mut pieces)?;
            for piece in &pieces {
                match piece {
                    Piece::Word(word) => sound.extend_from_slice(&self.word(language, word)?),
                    Piece::Pause(ms) => pause(usize::from(*ms), &mut sound),
                }
            }
            if sound.len() > SECONDS_MAX * audio::RATE as usize {
                return Err(Unsaid::TooLong);
            }
        }
        Ok(sound)
    }

    /// A word: the operator's own comes first, as `say-<word>`.
    fn word(&self, language: Language, word: &'static str) -> Result<Cow<'_, [u8]>, Unsaid> {
        if let Some(own) = self.sound(&format!("say-{word}"), language.code()) {
            return Ok(Cow::Borrowed(own.alaw().as_flattened()));
        }
        let shipped = self.words.words.get(&(language, word));
        shipped.map(|octets| Cow::Borrowed(*octets)).ok_or_else(|| Unsaid::Missing(word.to_owned()))
    }
}

fn pause(ms: usize, sound: &mut Vec<u8>) {
    sound.resize(sound.len() + ms * PER_MS, g711::ALAW_SILENCE);
}

fn say_part(language: Language, part: &Spoken, out: &mut Vec<Piece>) -> Result<(), Unsayable> {
    let what = match part {
        Spoken::Digits(digits) => say::Spoken::Digits(digits),
        Spoken::Number(number) => say::Spoken::Number(*number),
        Spoken::Date { year, month, day } => {
            say::Spoken::Date(Day { year: *year, month: *month, day: *day })
        }
        Spoken::Time { hour, minute } => say::Spoken::Time { hour: *hour, minute: *minute },
        Spoken::Money { amount, currency } => {
            let money = match currency {
                SpokenCurrency::Cny => Money::Cny,
                SpokenCurrency::Usd => Money::Usd,
                SpokenCurrency::Irr => Money::Irr,
                SpokenCurrency::Toman => Money::Toman,
            };
            say::Spoken::Money { amount: *amount, money }
        }
        Spoken::Duration(seconds) => say::Spoken::Duration { seconds: *seconds },
        Spoken::Phone(number) => say::Spoken::Phone(number),
        Spoken::Spelled(signs) => say::Spoken::Spelled(signs),
        Spoken::Prompt(_) => return Ok(()),
    };
    say::say(language, what, out)
}
