//! Holding money for talk that has not happened yet.
//!
//! A leg's holds are cumulative: after each step they sum to exactly what talking to the paid limit would
//! cost, so a charge within the limit can never pass them.

use facts::Micros;
use serde::{Deserialize, Serialize};

use crate::rate::Rate;

/// One step of holding covers about this much talk when the balance allows it, seconds. With shorter
/// intervals several are held at once, so that signalling need not ask every second.
pub const CHUNK_S: u32 = 60;
/// Longest paid limit, seconds: a leg longer than a hundred days is a fault, not a call.
pub const PAID_MAX_S: u32 = 100 * 86_400;

/// The price a leg was promised when its call was authorized. It holds for the whole call, whatever happens
/// to the tariff meanwhile.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Quote {
    /// The tariff row that matched, as written there.
    pub prefix: String,
    /// Its price.
    pub rate: Rate,
}

/// One hold to make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// How much to hold, beyond what is held already.
    pub amount: Micros,
    /// Talk time covered in total afterwards, seconds; `None` is without limit.
    pub until_s: Option<u32>,
}

impl Quote {
    /// The least that must be held before the leg is dialled: the connect fee and the first interval.
    #[must_use]
    pub fn first_interval(&self) -> Step {
        if self.rate.is_flat() {
            return Step { amount: self.rate.charge(0).price, until_s: None };
        }
        self.step_to(0, None, self.rate.free_s.saturating_add(self.rate.initial_s))
    }

    /// What is held before the leg is dialled when the balance allows it: whole intervals that cover
    /// [`CHUNK_S`].
    #[must_use]
    pub fn first_chunk(&self) -> Step {
        let least = self.first_interval();
        match least.until_s {
            None => least,
            Some(until) => {
                let short = CHUNK_S.saturating_sub(until);
                let next = self.rate.next_s.max(1);
                self.step_to(0, None, until.saturating_add(short.div_ceil(next) * next))
            }
        }
    }

    /// The next hold of a leg that is paid until `paid_s`, as long as `available` allows: at most a chunk, at
    /// least one interval. `None` when not even one interval is covered.
    #[must_use]
    pub fn extension(&self, paid_s: u32, available: Micros) -> Option<Step> {
        let next = self.rate.next_s.max(1);
        let chunk = CHUNK_S.div_ceil(next).max(1);
        let affordable = |intervals: u32| -> Option<Step> {
            let until = paid_s.checked_add(intervals.checked_mul(next)?)?;
            let step = self.step_to(paid_s, Some(paid_s), until);
            (until <= PAID_MAX_S && step.amount <= available).then_some(step)
        };
        // Monotone in the number of intervals: find the largest that is affordable.
        let (mut best, mut low, mut high) = (None, 1, chunk);
        while low <= high {
            let middle = low + (high - low) / 2;
            match affordable(middle) {
                Some(step) => {
                    best = Some(step);
                    low = middle + 1;
                }
                None => high = middle - 1,
            }
        }
        best
    }

    /// The longest talk that `amount` covers, in whole intervals. `None` is without limit; zero means that
    /// not even the first interval is covered.
    #[must_use]
    pub fn talk_for(&self, amount: Micros) -> Option<u32> {
        let first = self.first_interval();
        if first.amount > amount {
            return Some(0);
        }
        let until = first.until_s?;
        let next = self.rate.next_s.max(1);
        let (mut low, mut high) = (0, (PAID_MAX_S - until.min(PAID_MAX_S)) / next);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if self.rate.charge(u64::from(until + middle * next)).price <= amount {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        Some(until + low * next)
    }

    fn step_to(&self, from_s: u32, held_until: Option<u32>, until_s: u32) -> Step {
        let held = held_until.map_or(Micros::ZERO, |_| self.rate.charge(u64::from(from_s)).price);
        let price = self.rate.charge(u64::from(until_s)).price;
        Step { amount: Micros(price.0.saturating_sub(held.0)), until_s: Some(until_s) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quote(rate: Rate) -> Quote {
        Quote { prefix: "86".into(), rate }
    }

    #[test]
    fn minutes_are_held_one_by_one() {
        let quote = quote(Rate::per_minute(Micros::units(1)));
        assert_eq!(quote.first_interval(), Step { amount: Micros::units(1), until_s: Some(60) });
        assert_eq!(quote.first_chunk(), quote.first_interval());
        let step = quote.extension(60, Micros::units(1)).unwrap();
        assert_eq!(step, Step { amount: Micros::units(1), until_s: Some(120) });
        assert_eq!(quote.extension(60, Micros(999_999)), None);
    }

    #[test]
    fn short_intervals_are_held_in_chunks_and_down_to_the_last_one_affordable() {
        let rate = Rate { initial_s: 30, next_s: 6, ..Rate::per_minute(Micros::units(6)) };
        let quote = quote(rate);
        assert_eq!(quote.first_interval(), Step { amount: Micros::units(3), until_s: Some(30) });
        assert_eq!(quote.first_chunk(), Step { amount: Micros::units(6), until_s: Some(60) });
        assert_eq!(quote.extension(60, Micros::units(100)).unwrap().until_s, Some(120));
        let last = quote.extension(60, Micros(1_900_000)).unwrap();
        assert_eq!(last, Step { amount: Micros(1_800_000), until_s: Some(78) });
        assert_eq!(quote.extension(78, Micros(100_000)), None);
    }

    #[test]
    fn a_flat_price_has_no_limit() {
        let rate = Rate { connect_fee: Micros(100_000), ..Rate::per_minute(Micros::ZERO) };
        assert_eq!(quote(rate).first_chunk(), Step { amount: Micros(100_000), until_s: None });
        assert_eq!(quote(rate).talk_for(Micros(100_000)), None);
        assert_eq!(quote(rate).talk_for(Micros(99_999)), Some(0));
    }

    #[test]
    fn an_amount_says_how_long_one_may_talk() {
        let quote = quote(Rate::per_minute(Micros::units(1)));
        assert_eq!(quote.talk_for(Micros(999_999)), Some(0));
        assert_eq!(quote.talk_for(Micros(1_000_000)), Some(60));
        assert_eq!(quote.talk_for(Micros(5_999_999)), Some(300));
    }
}
