//! Sounds as a merchant names them: an announcement, an address, or words.

use facts::media::Prompt;
use facts::sound::{Clip, Say, Spoken, SpokenCurrency};
use schemars::JsonSchema;
use serde::Deserialize;

use super::problem::FieldError;

/// A sound: one of `prompt`, `url` and `say`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sound {
    /// An announcement of the operator's, by its name.
    #[serde(default)]
    pub prompt: Option<String>,
    /// The address of a sound file, `http` or `https`.
    #[serde(default)]
    pub url: Option<String>,
    /// Words that are put together, 1 to 32.
    #[serde(default)]
    #[schemars(length(min = 1, max = 32))]
    pub say: Option<Vec<Part>>,
    /// `zh`, `en` or `fa`, of `prompt` and `say`; the merchant's unless given.
    #[serde(default)]
    pub language: Option<String>,
}

/// Something that is said.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Part {
    /// `0`–`9`, `*` and `#`, one by one.
    Digits(String),
    /// A count, up to 999,999,999,999 either way.
    Number(i64),
    /// A day of the Gregorian calendar, 1900 to 2100.
    Date {
        /// The year.
        year: u16,
        /// 1–12.
        month: u8,
        /// 1–31.
        day: u8,
    },
    /// A time of day.
    Time {
        /// 0–23.
        hour: u8,
        /// 0–59.
        minute: u8,
    },
    /// An amount of money.
    Money {
        /// In fen, cents or rials.
        amount: i64,
        /// `CNY`, `USD`, `IRR` or `TOMAN`.
        #[schemars(with = "String")]
        currency: SpokenCurrency,
    },
    /// How long something takes, seconds.
    Duration(u64),
    /// A telephone number, in groups.
    Phone(String),
    /// Latin letters, digits, `*` and `#`, slowly.
    Spelled(String),
    /// An announcement by its name.
    Prompt(String),
}

impl From<Part> for Spoken {
    fn from(part: Part) -> Spoken {
        match part {
            Part::Digits(text) => Spoken::Digits(text),
            Part::Number(number) => Spoken::Number(number),
            Part::Date { year, month, day } => Spoken::Date { year, month, day },
            Part::Time { hour, minute } => Spoken::Time { hour, minute },
            Part::Money { amount, currency } => Spoken::Money { amount, currency },
            Part::Duration(seconds) => Spoken::Duration(seconds),
            Part::Phone(text) => Spoken::Phone(text),
            Part::Spelled(text) => Spoken::Spelled(text),
            Part::Prompt(name) => Spoken::Prompt(name),
        }
    }
}

impl Sound {
    /// What is played; `language` where it names none. `at`: where it stands in the request.
    ///
    /// # Errors
    /// When it is not exactly one sound.
    pub fn clip(self, language: &str, at: &str) -> Result<Clip, FieldError> {
        let language = self.language.unwrap_or_else(|| language.to_owned());
        match (self.prompt, self.url, self.say) {
            (Some(name), None, None) => Ok(Clip::Prompt(Prompt { name, language })),
            (None, Some(url), None) => Ok(Clip::Url(url)),
            (None, None, Some(parts)) if (1..=Say::PARTS_MAX).contains(&parts.len()) => {
                let parts = parts.into_iter().map(Spoken::from).collect();
                Ok(Clip::Say(Say { language, parts }))
            }
            (None, None, Some(_)) => {
                Err(FieldError::new(format!("{at}/say"), "must have 1 to 32 parts"))
            }
            _ => Err(FieldError::new(at, "must be one of `prompt`, `url` and `say`")),
        }
    }
}
