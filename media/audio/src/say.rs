//! What is said, as words to play one behind the other: digits, numbers, dates, times, money, durations and
//! telephone numbers in Chinese, English and Persian.
//!
//! Grammar alone: what comes out are names of recorded words, the same in every voice. Who has the sounds
//! and puts them together is `media`.

mod calendar;
mod en;
mod fa;
mod zh;

pub use calendar::{Day, jalali};

/// A language that we can speak.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Language {
    /// Mandarin.
    Zh,
    /// English.
    En,
    /// Persian; its dates are those of the Solar Hijri calendar.
    Fa,
}

impl Language {
    /// All of them.
    pub const ALL: [Language; 3] = [Language::Zh, Language::En, Language::Fa];

    /// Its code (ISO 639-1).
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Language::Zh => "zh",
            Language::En => "en",
            Language::Fa => "fa",
        }
    }

    /// The one with this code, whatever follows it (`zh-CN`).
    #[must_use]
    pub fn of(code: &str) -> Option<Language> {
        let code = code.split(['-', '_']).next().unwrap_or_default();
        Language::ALL.into_iter().find(|language| language.code().eq_ignore_ascii_case(code))
    }
}

/// Money that has words for its units.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Money {
    /// Yuan; the amount is in fen.
    Cny,
    /// United States dollars; the amount is in cents.
    Usd,
    /// Iranian rials; the amount is in rials, for smaller ones are not in use.
    Irr,
    /// The same told in tomans of ten rials, as people do; the amount is in rials.
    Toman,
}

/// Something to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spoken<'a> {
    /// `0`–`9`, `*` and `#`, one by one.
    Digits(&'a str),
    /// A count, up to [`NUMBER_MAX`] either way.
    Number(i64),
    /// A day of the Gregorian calendar, told in the calendar of the language.
    Date(Day),
    /// A time of day.
    Time {
        /// 0–23.
        hour: u8,
        /// 0–59.
        minute: u8,
    },
    /// An amount in the smallest unit in use.
    Money {
        /// How much, up to [`NUMBER_MAX`] either way.
        amount: i64,
        /// Of what.
        money: Money,
    },
    /// How long something takes: days, hours, minutes, seconds.
    Duration {
        /// Up to [`NUMBER_MAX`].
        seconds: u64,
    },
    /// A telephone number, in groups: digits, perhaps with a `+` before them.
    Phone(&'a str),
    /// Latin letters, whatever their case, digits, `*` and `#`, so slowly that they can be written down.
    Spelled(&'a str),
}

/// A part of what is played.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Piece {
    /// A recorded word, by its name.
    Word(&'static str),
    /// Silence, milliseconds.
    Pause(u16),
}

/// Why something is not said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unsayable {
    /// Beyond [`NUMBER_MAX`].
    #[error("a number beyond {NUMBER_MAX}")]
    TooLarge,
    /// More digits than [`DIGITS_MAX`], or none.
    #[error("not 1 to {DIGITS_MAX} digits")]
    Length,
    /// A sign that is no digit.
    #[error("a sign that is not spoken")]
    Sign,
    /// No day between 1900 and 2100.
    #[error("not a day of the years 1900 to 2100")]
    Day,
    /// No time of day.
    #[error("not a time of day")]
    Time,
}

/// The largest number that is said.
pub const NUMBER_MAX: u64 = 999_999_999_999;
/// The most digits said one by one.
pub const DIGITS_MAX: usize = 64;
/// Between the groups of a telephone number, milliseconds.
const GROUP_PAUSE: u16 = 220;
/// Between signs that are spelled, milliseconds.
const SIGN_PAUSE: u16 = 300;

/// Appends the words for something.
///
/// # Errors
/// When it cannot be said; then nothing was appended.
pub fn say(language: Language, what: Spoken<'_>, out: &mut Vec<Piece>) -> Result<(), Unsayable> {
    match what {
        Spoken::Digits(digits) => one_by_one(digits, out),
        Spoken::Number(number) => {
            let size = bounded(number.unsigned_abs())?;
            minus(number < 0, out);
            match language {
                Language::Zh => zh::number(size, out),
                Language::En => en::number(size, out),
                Language::Fa => fa::number(size, out),
            }
            Ok(())
        }
        Spoken::Date(day) => {
            if !day.is_one() {
                return Err(Unsayable::Day);
            }
            match language {
                Language::Zh => zh::date(day, out),
                Language::En => en::date(day, out),
                Language::Fa => fa::date(jalali(day), out),
            }
            Ok(())
        }
        Spoken::Time { hour, minute } => {
            if hour > 23 || minute > 59 {
                return Err(Unsayable::Time);
            }
            match language {
                Language::Zh => zh::time(hour, minute, out),
                Language::En => en::time(hour, minute, out),
                Language::Fa => fa::time(hour, minute, out),
            }
            Ok(())
        }
        Spoken::Money { amount, money } => {
            let size = bounded(amount.unsigned_abs())?;
            minus(amount < 0, out);
            match language {
                Language::Zh => zh::money(size, money, out),
                Language::En => en::money(size, money, out),
                Language::Fa => fa::money(size, money, out),
            }
            Ok(())
        }
        Spoken::Duration { seconds } => {
            let seconds = bounded(seconds)?;
            match language {
                Language::Zh => zh::duration(seconds, out),
                Language::En => en::duration(seconds, out),
                Language::Fa => fa::duration(seconds, out),
            }
            Ok(())
        }
        Spoken::Phone(number) => phone(language, number, out),
        Spoken::Spelled(signs) => spelled(signs, out),
    }
}

fn bounded(number: u64) -> Result<u64, Unsayable> {
    if number <= NUMBER_MAX { Ok(number) } else { Err(Unsayable::TooLarge) }
}

fn minus(below: bool, out: &mut Vec<Piece>) {
    if below {
        out.push(Piece::Word("minus"));
    }
}

fn one_by_one(digits: &str, out: &mut Vec<Piece>) -> Result<(), Unsayable> {
    if !(1..=DIGITS_MAX).contains(&digits.len()) {
        return Err(Unsayable::Length);
    }
    let words: Option<Vec<Piece>> =
        digits.bytes().map(|sign| Some(Piece::Word(digit(sign)?))).collect();
    out.extend(words.ok_or(Unsayable::Sign)?);
    Ok(())
}

fn spelled(signs: &str, out: &mut Vec<Piece>) -> Result<(), Unsayable> {
    if !(1..=DIGITS_MAX).contains(&signs.len()) {
        return Err(Unsayable::Length);
    }
    let letter = |sign: u8| match sign.to_ascii_lowercase() {
        lower @ b'a'..=b'z' => Some(LETTERS[usize::from(lower - b'a')]),
        _ => digit(sign),
    };
    let words: Option<Vec<_>> = signs.bytes().map(letter).collect();
    for (at, word) in words.ok_or(Unsayable::Sign)?.into_iter().enumerate() {
        if at > 0 {
            out.push(Piece::Pause(SIGN_PAUSE));
        }
        out.push(Piece::Word(word));
    }
    Ok(())
}

/// A telephone number: where it is grouped, somebody who writes it down has time to.
fn phone(language: Language, number: &str, out: &mut Vec<Piece>) -> Result<(), Unsayable> {
    let digits = number.strip_prefix('+').unwrap_or(number);
    let mut said = Vec::new();
    one_by_one(digits, &mut said)?;
    if language == Language::Zh {
        // On the telephone one is told from seven by another word.
        for piece in &mut said {
            if *piece == Piece::Word("1") {
                *piece = Piece::Word("yao");
            }
        }
    }
    if digits.len() < number.len() {
        out.push(Piece::Word("plus"));
    }
    let mut rest = said.as_slice();
    for (at, size) in groups(digits).into_iter().enumerate() {
        let (group, after) = rest.split_at(size.min(rest.len()));
        if at > 0 {
            out.push(Piece::Pause(GROUP_PAUSE));
        }
        out.extend_from_slice(group);
        rest = after;
    }
    Ok(())
}

/// How many digits each group has.
fn groups(digits: &str) -> Vec<usize> {
    match digits.len() {
        0..=4 => vec![digits.len()],
        7 => vec![3, 4],
        8 => vec![4, 4],
        // Chinese mobiles, and what begins with a zero: Iranian ones, area codes.
        11 if digits.starts_with('0') => vec![4, 3, 4],
        11 => vec![3, 4, 4],
        // +98 912 345 6789, +86 138 0013 8000.
        12 => vec![2, 3, 3, 4],
        13 => vec![2, 3, 4, 4],
        // By threes; four at the end rather than one alone.
        length => {
            let mut groups = vec![3; length / 3];
            match (length % 3, groups.last_mut()) {
                (1, Some(last)) => *last = 4,
                (2, Some(_)) => groups.push(2),
                _ => {}
            }
            groups
        }
    }
}

fn digit(sign: u8) -> Option<&'static str> {
    match sign {
        b'0'..=b'9' => Some(NUMBERS[usize::from(sign - b'0')]),
        b'*' => Some("star"),
        b'#' => Some("pound"),
        _ => None,
    }
}

/// Numbers that have a word of their own: up to twenty.
const NUMBERS: [&str; 21] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16",
    "17", "18", "19", "20",
];
/// The letters.
const LETTERS: [&str; 26] = [
    "letter-a", "letter-b", "letter-c", "letter-d", "letter-e", "letter-f", "letter-g", "letter-h",
    "letter-i", "letter-j", "letter-k", "letter-l", "letter-m", "letter-n", "letter-o", "letter-p",
    "letter-q", "letter-r", "letter-s", "letter-t", "letter-u", "letter-v", "letter-w", "letter-x",
    "letter-y", "letter-z",
];
/// The tens.
const TENS: [&str; 10] = ["0", "10", "20", "30", "40", "50", "60", "70", "80", "90"];
/// The months, of either calendar.
const MONTHS: [&str; 12] = [
    "month-1", "month-2", "month-3", "month-4", "month-5", "month-6", "month-7", "month-8",
    "month-9", "month-10", "month-11", "month-12",
];
/// The first, the second, …
const ORDINALS: [&str; 31] = [
    "ord-1", "ord-2", "ord-3", "ord-4", "ord-5", "ord-6", "ord-7", "ord-8", "ord-9", "ord-10",
    "ord-11", "ord-12", "ord-13", "ord-14", "ord-15", "ord-16", "ord-17", "ord-18", "ord-19",
    "ord-20", "ord-21", "ord-22", "ord-23", "ord-24", "ord-25", "ord-26", "ord-27", "ord-28",
    "ord-29", "ord-30", "ord-31",
];

/// A word of a table; the last for what is beyond it.
fn word(table: &[&'static str], at: usize) -> Piece {
    Piece::Word(table[at.min(table.len() - 1)])
}

/// Days, hours, minutes and seconds of a time.
fn parts(seconds: u64) -> [u64; 4] {
    [seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60]
}

#[cfg(test)]
mod tests;
