//! Telephone numbers: what a merchant or a carrier wrote, made one of three things we can dial.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest E.164 number: 15 digits (ITU-T E.164 §6.1).
pub const E164_MAX: usize = 15;
/// Shortest number that is taken for one of E.164, country code included. The recommendation names no
/// least length; no country hands out shorter ones.
pub const E164_MIN: usize = 7;

/// A number that can be dialled, priced and routed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Number {
    /// An extension of this switch: digits, as allotted (system 000 calls it a Callni number).
    Internal(String),
    /// A number of the public network: 7 to 15 digits, country code first, no `+`; never 0 first.
    E164(String),
    /// A short code of the home network: digits, dialled as they are (110, 10086, 95588).
    Short(String),
}

impl Number {
    /// The digits, without any mark of kind.
    #[must_use]
    pub fn digits(&self) -> &str {
        match self {
            Number::Internal(d) | Number::E164(d) | Number::Short(d) => d,
        }
    }

    /// A public number of which the books keep the digits: too few for E.164 are those of a short code.
    #[must_use]
    pub fn public(digits: String) -> Number {
        if digits.len() < E164_MIN { Number::Short(digits) } else { Number::E164(digits) }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Internal(d) | Number::Short(d) => f.write_str(d),
            Number::E164(d) => write!(f, "+{d}"),
        }
    }
}

/// Why a text is not a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NumberError {
    /// Nothing left after the separators were taken out.
    Empty,
    /// A character that no telephone number has.
    BadCharacter,
    /// More digits than E.164 allows.
    TooLong,
    /// Fewer digits than any number with its country code has.
    TooShort,
    /// A country code that begins with 0: there is none (ITU-T E.164 §6.2.1).
    BadCountry,
}

impl fmt::Display for NumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NumberError::Empty => "no digits",
            NumberError::BadCharacter => "not a telephone number",
            NumberError::TooLong => "more than 15 digits",
            NumberError::TooShort => "fewer than 7 digits with its country code",
            NumberError::BadCountry => "no country code begins with 0",
        })
    }
}

impl std::error::Error for NumberError {}

/// How numbers are written where this switch stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NumberPlan {
    /// Country code of the home network, e.g. `86`.
    pub country: String,
    /// What stands before a national number when dialled at home, e.g. `0`. May be empty.
    pub trunk_prefix: String,
    /// What stands before a country code when dialled at home, e.g. `00`.
    pub international_prefix: String,
    /// Home numbers up to this many digits that do not start with the trunk prefix are short codes.
    pub short_max: usize,
}

impl Default for NumberPlan {
    fn default() -> Self {
        NumberPlan {
            country: "86".into(),
            trunk_prefix: "0".into(),
            international_prefix: "00".into(),
            short_max: 6,
        }
    }
}

impl NumberPlan {
    /// Reads a public number as people write it: `+86 138…`, `0086…`, `010-8888…`, `138…`, `10086`.
    ///
    /// Blanks, `-`, `.`, `(` and `)` are separators. Whether a bare short digit string is an extension
    /// is the caller's question; here it is a short code.
    ///
    /// # Errors
    /// When no dialable digits remain, a foreign character occurs, or what remains is no number of E.164:
    /// 7 to 15 digits, the first of them not 0.
    pub fn parse(&self, text: &str) -> Result<Number, NumberError> {
        let mut plus = false;
        let mut digits = String::with_capacity(text.len());
        for c in text.trim().chars() {
            match c {
                '+' if digits.is_empty() && !plus => plus = true,
                '0'..='9' => digits.push(c),
                ' ' | '-' | '.' | '(' | ')' | '\u{a0}' => {}
                _ => return Err(NumberError::BadCharacter),
            }
        }
        if digits.is_empty() {
            return Err(NumberError::Empty);
        }
        if plus {
            return self.international(digits);
        }
        if let Some(rest) = strip(&digits, &self.international_prefix) {
            return self.international(rest.to_owned());
        }
        if let Some(rest) = strip(&digits, &self.trunk_prefix) {
            return self.international(format!("{}{rest}", self.country));
        }
        if digits.len() <= self.short_max {
            return Ok(Number::Short(digits));
        }
        // A home number without its trunk prefix; one that already carries the country code and is
        // too long for a national number keeps it.
        let with_country = digits.starts_with(&self.country)
            && digits.len() > self.country.len() + NATIONAL_MIN
            && digits.len() > NATIONAL_MAX;
        if with_country {
            self.international(digits)
        } else {
            self.international(format!("{}{digits}", self.country))
        }
    }

    /// A number that bears its country code. A trunk prefix written after the home code, as in
    /// `+86 (0)10 …`, is dropped: kept, the number would be priced as a home number and then dialled
    /// with one prefix more, which may be the international one. Only a zero is written so; where the
    /// prefix is another digit, as in Russia, area codes begin with it (+7 812).
    fn international(&self, digits: String) -> Result<Number, NumberError> {
        let Some(national) = strip(&digits, &self.country) else { return e164(digits) };
        let mut bare = national;
        if self.trunk_prefix.starts_with('0') {
            while let Some(rest) = strip(bare, &self.trunk_prefix) {
                bare = rest;
            }
        }
        if bare == self.trunk_prefix {
            return Err(NumberError::Empty);
        }
        e164(format!("{}{bare}", self.country))
    }

    /// Writes a number the way people at home dial it: mobile and foreign numbers as they would. A home
    /// number that would be taken for a foreign one that way bears its country code.
    #[must_use]
    pub fn national(&self, number: &Number) -> String {
        match number {
            Number::Internal(d) | Number::Short(d) => d.clone(),
            Number::E164(d) => match strip(d, &self.country) {
                // Chinese mobile numbers are dialled without the trunk prefix, Beijing's area code 10 with it.
                Some(rest) if self.country == "86" && is_chinese_mobile(rest) => rest.to_owned(),
                Some(rest) => {
                    let dialled = format!("{}{rest}", self.trunk_prefix);
                    let abroad = &self.international_prefix;
                    if abroad.is_empty() || !dialled.starts_with(abroad.as_str()) {
                        return dialled;
                    }
                    format!("{abroad}{d}")
                }
                None => format!("{}{d}", self.international_prefix),
            },
        }
    }
}

/// Eleven digits from 13 to 19.
fn is_chinese_mobile(national: &str) -> bool {
    let mut digits = national.bytes();
    national.len() == 11
        && digits.next() == Some(b'1')
        && digits.next().is_some_and(|second| (b'3'..=b'9').contains(&second))
}

/// Shortest national number that may follow a country code.
const NATIONAL_MIN: usize = 7;
/// Longest national number of the plans we meet.
const NATIONAL_MAX: usize = 11;

fn strip<'a>(digits: &'a str, prefix: &str) -> Option<&'a str> {
    if prefix.is_empty() {
        return None;
    }
    digits.strip_prefix(prefix).filter(|rest| !rest.is_empty())
}

fn e164(digits: String) -> Result<Number, NumberError> {
    if digits.starts_with('0') {
        return Err(NumberError::BadCountry);
    }
    match digits.len() {
        ..E164_MIN => Err(NumberError::TooShort),
        E164_MIN..=E164_MAX => Ok(Number::E164(digits)),
        _ => Err(NumberError::TooLong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn e(digits: &str) -> Result<Number, NumberError> {
        Ok(Number::E164(digits.into()))
    }

    #[test]
    fn every_spelling_of_a_number_is_one_number() {
        let plan = NumberPlan::default();
        for text in
            ["13800138000", "+8613800138000", "008613800138000", "138-0013 8000", "8613800138000"]
        {
            assert_eq!(plan.parse(text), e("8613800138000"), "{text}");
        }
        assert_eq!(plan.parse("010-88888888"), e("861088888888"));
        assert_eq!(plan.parse("0044 20 7946 0000"), e("442079460000"));
        assert_eq!(plan.parse("10086"), Ok(Number::Short("10086".into())));
        assert_eq!(plan.parse(""), Err(NumberError::Empty));
        assert_eq!(plan.parse("12a"), Err(NumberError::BadCharacter));
        assert_eq!(plan.parse("+1234567890123456"), Err(NumberError::TooLong));
    }

    #[test]
    fn e164_6_a_number_has_7_to_15_digits_and_no_country_begins_with_0() {
        let plan = NumberPlan::default();
        for text in ["000", "+0", "+0123456789", "00 0123456789"] {
            assert_eq!(plan.parse(text), Err(NumberError::BadCountry), "{text}");
        }
        for text in ["+1", "+8613", "00112345", "0110", "+868888"] {
            assert_eq!(plan.parse(text), Err(NumberError::TooShort), "{text}");
        }
        assert_eq!(plan.parse("+2906123"), e("2906123"), "seven digits are enough");
        assert_eq!(plan.parse("+123456789012345"), e("123456789012345"));
        assert_eq!(plan.parse("+1234567890123456"), Err(NumberError::TooLong));
        assert_eq!(plan.parse("110"), Ok(Number::Short("110".into())), "dialled as it is");
        assert_eq!(Number::public("110".into()), Number::Short("110".into()));
        assert_eq!(Number::public("2906123".into()), Number::E164("2906123".into()));
    }

    #[test]
    fn a_trunk_prefix_behind_the_home_code_cannot_smuggle_a_foreign_number() {
        let plan = NumberPlan::default();
        assert_eq!(plan.parse("+86 (0)10 8888 8888"), e("861088888888"));
        let home = plan.parse("+86019005551234").unwrap();
        assert_eq!(home, Number::E164("8619005551234".into()));
        assert!(!plan.national(&home).starts_with("00"));
        assert_eq!(plan.parse("+8600"), Err(NumberError::Empty));
        assert_eq!(plan.parse("+39 06 1234567"), e("39061234567"), "a zero abroad is theirs");
    }

    #[test]
    fn a_trunk_prefix_other_than_zero_is_kept_where_it_belongs_to_the_number() {
        let plan = NumberPlan {
            country: "7".into(),
            trunk_prefix: "8".into(),
            international_prefix: "810".into(),
            short_max: 3,
        };
        for text in ["+7 812 333-44-55", "8 812 333-44-55", "810 7 812 333 44 55"] {
            assert_eq!(plan.parse(text), e("78123334455"), "{text}");
        }
        assert_eq!(plan.national(&Number::E164("78123334455".into())), "88123334455");
        // 8 and 10 08 4… would be 810, the way abroad.
        let home = Number::E164("71008455667".into());
        assert_eq!(plan.national(&home), "81071008455667");
        assert_eq!(plan.parse(&plan.national(&home)), Ok(home));
    }

    #[test]
    fn a_trunk_prefix_alone_is_no_number() {
        let plan = NumberPlan { country: "49".into(), short_max: 0, ..NumberPlan::default() };
        assert_eq!(plan.parse("0"), Err(NumberError::Empty));
    }

    #[test]
    fn national_writing_is_what_home_phones_show() {
        let plan = NumberPlan::default();
        assert_eq!(plan.national(&Number::E164("8613800138000".into())), "13800138000");
        assert_eq!(plan.national(&Number::E164("861088888888".into())), "01088888888");
        assert_eq!(plan.national(&Number::E164("442079460000".into())), "00442079460000");
    }

    proptest! {
        #[test]
        fn e164_survives_print_and_parse(digits in "[1-9][0-9]{6,14}") {
            prop_assume!(!digits.starts_with("860"));
            let plan = NumberPlan::default();
            let number = Number::E164(digits);
            prop_assert_eq!(plan.parse(&number.to_string()), Ok(number));
        }
    }
}
