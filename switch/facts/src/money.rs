//! Money as integers: one unit is 1e-6 of a currency unit.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An amount in millionths of a currency unit. May be negative (a ledger line).
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Micros(pub i64);

impl Micros {
    /// Nothing.
    pub const ZERO: Micros = Micros(0);
    /// One whole currency unit.
    pub const UNIT: i64 = 1_000_000;

    /// Whole currency units.
    #[must_use]
    pub const fn units(units: i64) -> Micros {
        Micros(units * Self::UNIT)
    }

    /// The sum, or `None` past the range of the type.
    #[must_use]
    pub fn checked_add(self, other: Micros) -> Option<Micros> {
        self.0.checked_add(other.0).map(Micros)
    }

    /// Prints with at least `min` decimals and as many more as the value needs: `0.20`, `0.1275`.
    #[must_use]
    pub fn decimal(self, min: usize) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        let abs = self.0.unsigned_abs();
        let mut fraction = format!("{:06}", abs % 1_000_000);
        let min = min.min(6);
        while fraction.len() > min && fraction.ends_with('0') {
            fraction.pop();
        }
        let whole = abs / 1_000_000;
        if fraction.is_empty() {
            format!("{sign}{whole}")
        } else {
            format!("{sign}{whole}.{fraction}")
        }
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.decimal(2))
    }
}

/// Why a text is not an amount.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AmountError;

impl fmt::Display for AmountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an amount: digits, at most six decimals, within nine trillion")
    }
}

impl std::error::Error for AmountError {}

impl FromStr for Micros {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) || fraction.len() > 6 {
            return Err(AmountError);
        }
        let mut padded = fraction.to_owned();
        while padded.len() < 6 {
            padded.push('0');
        }
        let whole: i64 = whole.parse().map_err(|_| AmountError)?;
        let fraction: i64 = padded.parse().map_err(|_| AmountError)?;
        let value = whole
            .checked_mul(Self::UNIT)
            .and_then(|w| w.checked_add(fraction))
            .ok_or(AmountError)?;
        Ok(Micros(if negative { -value } else { value }))
    }
}

impl Add for Micros {
    type Output = Micros;
    fn add(self, rhs: Micros) -> Micros {
        Micros(self.0 + rhs.0)
    }
}

impl Sub for Micros {
    type Output = Micros;
    fn sub(self, rhs: Micros) -> Micros {
        Micros(self.0 - rhs.0)
    }
}

impl AddAssign for Micros {
    fn add_assign(&mut self, rhs: Micros) {
        self.0 += rhs.0;
    }
}

impl SubAssign for Micros {
    fn sub_assign(&mut self, rhs: Micros) {
        self.0 -= rhs.0;
    }
}

impl Neg for Micros {
    type Output = Micros;
    fn neg(self) -> Micros {
        Micros(-self.0)
    }
}

impl Sum for Micros {
    fn sum<I: Iterator<Item = Micros>>(items: I) -> Micros {
        Micros(items.map(|m| m.0).sum())
    }
}

/// An ISO 4217 code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// Renminbi yuan: the currency of systems 000 to 002.
    pub const CNY: Currency = Currency(*b"CNY");
    /// The code that ISO 4217 keeps for testing: the money of sandboxes, which buys nothing.
    pub const XTS: Currency = Currency(*b"XTS");

    /// The three letters.
    #[must_use]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl TryFrom<String> for Currency {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_bytes() {
            [a, b, c] if text.bytes().all(|x| x.is_ascii_uppercase()) => Ok(Currency([*a, *b, *c])),
            _ => Err("a currency is three capital letters"),
        }
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> String {
        currency.code().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimals_are_kept_only_where_the_value_needs_them() {
        assert_eq!(Micros(200_000).decimal(2), "0.20");
        assert_eq!(Micros(127_500).decimal(2), "0.1275");
        assert_eq!(Micros(-1_000_001).decimal(2), "-1.000001");
        assert_eq!(Micros(7_080_000).decimal(0), "7.08");
        assert_eq!(Micros::units(5).decimal(0), "5");
    }

    proptest! {
        #[test]
        fn what_prints_parses_back(value in -9_000_000_000_000_000_i64..9_000_000_000_000_000) {
            prop_assert_eq!(Micros(value).decimal(2).parse(), Ok(Micros(value)));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<Micros>();
        }
    }
}
