//! Sounds that are played to somebody: what is put together of words, what lies behind an address, and why one
//! of them was not heard.

use serde::{Deserialize, Serialize};

use crate::media::Prompt;

/// Several things said one behind the other.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Say {
    /// `zh`, `en` or `fa`; English stands in for any other.
    pub language: String,
    /// What, [`Say::PARTS_MAX`] at most.
    pub parts: Vec<Spoken>,
}

impl Say {
    /// The most parts.
    pub const PARTS_MAX: usize = 32;
}

/// Something that is said.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spoken {
    /// `0`–`9`, `*` and `#`, one by one.
    Digits(String),
    /// A count, up to 999,999,999,999 either way.
    Number(i64),
    /// A day of the Gregorian calendar, 1900 to 2100; told in the Solar Hijri calendar in Persian.
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
        /// In the smallest unit in use: fen, cents, rials.
        amount: i64,
        /// Of what.
        currency: SpokenCurrency,
    },
    /// How long something takes, seconds.
    Duration(u64),
    /// A telephone number, in groups: digits, perhaps with a `+` before them.
    Phone(String),
    /// Latin letters, whatever their case, digits, `*` and `#`, slowly.
    Spelled(String),
    /// An announcement by its name.
    Prompt(String),
}

/// A currency that has words.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SpokenCurrency {
    /// Yuan; amounts in fen.
    Cny,
    /// United States dollars; amounts in cents.
    Usd,
    /// Iranian rials.
    Irr,
    /// Iranian rials, told in tomans of ten.
    Toman,
}

/// What is heard over and over by somebody who waits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Music {
    /// An announcement.
    Prompt(Prompt),
    /// What lies behind an address.
    Url(String),
}

/// Something to be played into a live call, laid over what is heard there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Play {
    /// Who hears it.
    pub to: Listeners,
    /// What; `None` ends what is played.
    pub clip: Option<Clip>,
    /// A key of whoever hears it ends it.
    pub interruptible: bool,
}

/// Who hears something.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Listeners {
    /// Who is on the side of the caller.
    A,
    /// Who is on the side of the callee.
    B,
    /// Both.
    #[default]
    Both,
}

/// A sound with an end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Clip {
    /// An announcement.
    Prompt(Prompt),
    /// What lies behind an address.
    Url(String),
    /// Words.
    Say(Say),
}

/// Why a sound was not heard. Stored by its word: words never change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unplayable {
    /// There is nothing of that name, or behind that address.
    Missing,
    /// It is no sound, is broken, or is longer than may be played.
    NotASound,
    /// Something in it cannot be said.
    Unsayable,
    /// Too many sounds are being read already.
    Busy,
    /// The address is none that may be visited.
    Refused,
    /// The server could not be reached, or did not give it.
    Unreachable,
    /// It did not come in time.
    TimedOut,
    /// It has more octets than are taken.
    TooLarge,
    /// Another sound took its place before it was there.
    Displaced,
}

/// How a sound ended that was laid over what a leg hears.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It was heard to its end.
    Played,
    /// A key has ended it. The key was told before.
    Interrupted,
    /// It cannot be had; nothing of it was heard.
    Unplayable(Unplayable),
}

impl Unplayable {
    /// All of them.
    pub const ALL: [Unplayable; 9] = [
        Unplayable::Missing,
        Unplayable::NotASound,
        Unplayable::Unsayable,
        Unplayable::Busy,
        Unplayable::Refused,
        Unplayable::Unreachable,
        Unplayable::TimedOut,
        Unplayable::TooLarge,
        Unplayable::Displaced,
    ];

    /// The word that records and metrics use.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Unplayable::Missing => "missing",
            Unplayable::NotASound => "not_a_sound",
            Unplayable::Unsayable => "unsayable",
            Unplayable::Busy => "busy",
            Unplayable::Refused => "refused",
            Unplayable::Unreachable => "unreachable",
            Unplayable::TimedOut => "timed_out",
            Unplayable::TooLarge => "too_large",
            Unplayable::Displaced => "displaced",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_stored_are_the_words_that_are_told() {
        for why in Unplayable::ALL {
            let stored = serde_json::to_string(&why).unwrap();
            assert_eq!(stored, format!("\"{}\"", why.word()));
        }
    }

    #[test]
    fn what_is_to_be_said_is_written_as_a_list() {
        let text = r#"{"language":"zh","parts":[{"digits":"12"},{"money":{"amount":1234,"currency":"CNY"}},
            {"date":{"year":2026,"month":11,"day":22}},{"duration":90},{"phone":"+861"},{"prompt":"bye"}]}"#;
        let say: Say = serde_json::from_str(text).unwrap();
        assert_eq!(say.parts.len(), 6);
        assert_eq!(say.parts[1], Spoken::Money { amount: 1_234, currency: SpokenCurrency::Cny });
        assert!(
            serde_json::from_str::<Say>(r#"{"language":"zh","parts":[{"shout":"x"}]}"#).is_err()
        );
    }
}
