//! What a talk of so many seconds costs.
//!
//! Durations are started seconds. Money is summed as exact sixtieths of a millionth, and rounded once, half
//! up, to the tariff's decimals. Time bands and packages would come between [`Rate`] and [`Rate::charge`]:
//! as a list of (rate, seconds) parts whose exact sums are added before the one rounding.

use facts::Micros;
use serde::{Deserialize, Serialize};

/// Longest interval a rate may have, seconds: one day.
pub const INTERVAL_MAX: u32 = 86_400;
/// Dearest price or fee: a thousand million currency units.
pub const PRICE_MAX: Micros = Micros::units(1_000_000_000);

/// The price of talk towards some numbers. Amounts are never negative.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rate {
    /// Charged once when the leg is answered.
    pub connect_fee: Micros,
    /// Price of a minute within the first interval.
    pub first_per_minute: Micros,
    /// Price of a minute after it.
    pub per_minute: Micros,
    /// Length of the first interval, seconds; charged whole once begun.
    pub initial_s: u32,
    /// Length of each later interval, seconds; charged whole once begun.
    pub next_s: u32,
    /// An answered leg costs at least this.
    pub minimum: Micros,
    /// Seconds from the answer that cost nothing and lie before the first interval.
    pub free_s: u32,
    /// Decimals of a currency unit that a charge is rounded to, 0 to 6.
    pub decimals: u8,
}

/// Why a rate makes no sense.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RateError {
    /// An interval is zero or longer than [`INTERVAL_MAX`].
    #[error("an interval is 1 to 86400 seconds")]
    Interval,
    /// A price or fee is negative or above [`PRICE_MAX`].
    #[error("a price lies between 0 and 1000000000")]
    Price,
    /// More than six decimals.
    #[error("decimals are 0 to 6")]
    Decimals,
}

/// What a leg costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Charge {
    /// Seconds charged: whole intervals, without the free seconds.
    pub seconds: u64,
    /// The price, rounded.
    pub price: Micros,
}

impl Rate {
    /// A rate per minute, charged by started minutes, at six decimals.
    #[must_use]
    pub const fn per_minute(price: Micros) -> Rate {
        Rate {
            connect_fee: Micros::ZERO,
            first_per_minute: price,
            per_minute: price,
            initial_s: 60,
            next_s: 60,
            minimum: Micros::ZERO,
            free_s: 0,
            decimals: 6,
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), RateError> {
        let interval = 1..=INTERVAL_MAX;
        if !interval.contains(&self.initial_s)
            || !interval.contains(&self.next_s)
            || self.free_s > INTERVAL_MAX
        {
            return Err(RateError::Interval);
        }
        let price = Micros::ZERO..=PRICE_MAX;
        let amounts = [self.connect_fee, self.first_per_minute, self.per_minute, self.minimum];
        if amounts.iter().any(|amount| !price.contains(amount)) {
            return Err(RateError::Price);
        }
        if self.decimals > 6 { Err(RateError::Decimals) } else { Ok(()) }
    }

    /// The charge of an answered leg that talked for so many started seconds.
    ///
    /// A price beyond the range of [`Micros`] is the largest amount there is, which no balance covers.
    #[must_use]
    pub fn charge(&self, talk_s: u64) -> Charge {
        let talk = u128::from(talk_s.saturating_sub(u64::from(self.free_s)));
        let (first, later) = self.intervals(talk);
        let sixtieths = wide(self.connect_fee) * 60
            + wide(self.first_per_minute) * first.cast_signed()
            + wide(self.per_minute) * later.cast_signed();
        let sixtieths = sixtieths.max(wide(self.minimum) * 60);
        Charge {
            seconds: u64::try_from(first + later).unwrap_or(u64::MAX),
            price: round_half_up(sixtieths, self.decimals),
        }
    }

    /// Whether talking longer ever costs more.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        self.per_minute == Micros::ZERO && self.first_per_minute == Micros::ZERO
    }

    /// Seconds charged in the first interval and after it.
    fn intervals(&self, talk: u128) -> (u128, u128) {
        if talk == 0 {
            return (0, 0);
        }
        let initial = u128::from(self.initial_s.max(1));
        let next = u128::from(self.next_s.max(1));
        let later = talk.saturating_sub(initial).div_ceil(next) * next;
        (initial, later)
    }
}

fn wide(amount: Micros) -> i128 {
    i128::from(amount.0.max(0))
}

/// Rounds an exact amount, given in sixtieths of a millionth, to `decimals` of the currency unit.
fn round_half_up(sixtieths: i128, decimals: u8) -> Micros {
    let unit = 10_i128.pow(6 - u32::from(decimals.min(6)));
    let divisor = 60 * unit;
    let rounded = (sixtieths + divisor / 2).div_euclid(divisor) * unit;
    Micros(i64::try_from(rounded).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_unit_rounds_up_and_less_rounds_down() {
        // 0.000 05 exactly, to four decimals.
        assert_eq!(round_half_up(50 * 60, 4), Micros(100));
        assert_eq!(round_half_up(50 * 60 - 1, 4), Micros(0));
        assert_eq!(round_half_up(500_000 * 60, 0), Micros(1_000_000));
    }

    #[test]
    fn an_answered_leg_without_talk_pays_the_fee_and_no_time() {
        let rate = Rate { connect_fee: Micros(100), ..Rate::per_minute(Micros::units(1)) };
        assert_eq!(rate.charge(0), Charge { seconds: 0, price: Micros(100) });
        assert_eq!(rate.charge(1), Charge { seconds: 60, price: Micros(1_000_100) });
    }

    #[test]
    fn free_seconds_come_before_the_first_interval() {
        let rate = Rate { free_s: 10, ..Rate::per_minute(Micros::units(6)) };
        assert_eq!(rate.charge(10).price, Micros::ZERO);
        assert_eq!(rate.charge(11), Charge { seconds: 60, price: Micros::units(6) });
        assert_eq!(rate.charge(70).seconds, 60);
        assert_eq!(rate.charge(71).seconds, 120);
    }

    #[test]
    fn rates_out_of_range_are_named() {
        let rate = Rate::per_minute(Micros(1));
        assert_eq!(rate.check(), Ok(()));
        assert_eq!(Rate { next_s: 0, ..rate }.check(), Err(RateError::Interval));
        assert_eq!(Rate { minimum: Micros(-1), ..rate }.check(), Err(RateError::Price));
        assert_eq!(Rate { decimals: 7, ..rate }.check(), Err(RateError::Decimals));
    }
}
