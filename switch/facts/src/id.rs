//! Identifiers. Each is a newtype: a leg id can never be passed for a call id.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::UnixMillis;

/// Names one call for ever, on every machine of the installation.
///
/// 41 bits of milliseconds since 2010-01-01, 10 bits of node, 12 bits of sequence: sorts by time, fits
/// a signed 64-bit column, and prints as the 19 digits that system 001 embeds in its request ids.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(pub u64);

impl CallId {
    /// The id as databases store it. Never negative.
    #[must_use]
    pub fn as_i64(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// The process of the installation that made it, and has the call while it lasts.
    #[must_use]
    pub const fn node(self) -> u16 {
        ((self.0 >> 12) & 0x3ff) as u16
    }

    /// The instant at which the id was made.
    #[must_use]
    pub fn made_at(self) -> UnixMillis {
        UnixMillis((self.0 >> 22).cast_signed() + EPOCH_MS)
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:019}", self.0)
    }
}

impl FromStr for CallId {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(CallId)
    }
}

/// 2010-01-01T00:00:00Z in Unix milliseconds.
const EPOCH_MS: i64 = 1_262_304_000_000;

/// Makes call ids: strictly rising even when the wall clock stands still or steps back.
#[derive(Debug)]
pub struct CallIds {
    node: u64,
    last: u64,
}

impl CallIds {
    /// `node` tells the processes of one installation apart; only its low 10 bits count.
    #[must_use]
    pub fn new(node: u16) -> Self {
        CallIds { node: u64::from(node) & 0x3ff, last: 0 }
    }

    /// The same, above an id that was given out before, by whichever node.
    #[must_use]
    pub fn after(mut self, last: CallId) -> Self {
        // As if this node had used up that millisecond.
        self.last = self.last.max((last.0 >> 22 << 22) | (self.node << 12) | 0xfff);
        self
    }

    /// The next id at wall time `at`.
    pub fn next(&mut self, at: UnixMillis) -> CallId {
        let ms = u64::try_from(at.0 - EPOCH_MS).unwrap_or(0);
        let fresh = (ms << 22) | (self.node << 12);
        let id = if fresh > self.last {
            fresh
        } else {
            // Same millisecond, or the clock went back: count on, carrying into the millisecond field
            // rather than into the node bits.
            let seq = (self.last & 0xfff) + 1;
            if seq > 0xfff {
                (((self.last >> 22) + 1) << 22) | (self.node << 12)
            } else {
                (self.last & !0xfff) | seq
            }
        };
        self.last = id;
        CallId(id)
    }
}

/// Position of a leg within its call: 0 is A (dialled or arrived first), 1 is B, and so on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LegNo(pub u8);

impl LegNo {
    /// The first leg.
    pub const A: LegNo = LegNo(0);
    /// The second leg.
    pub const B: LegNo = LegNo(1);
}

impl fmt::Display for LegNo {
    /// `A` to `Z`, then `AA`, `AB`, ...: no two are written alike, since transfers of money bear it in their ids.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |no: u8| char::from(b'A' + no % 26);
        match self.0 / 26 {
            0 => write!(f, "{}", letter(self.0)),
            rounds => write!(f, "{}{}", letter(rounds - 1), letter(self.0)),
        }
    }
}

/// Names one leg for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct LegId {
    /// The call it belongs to.
    pub call: CallId,
    /// Which leg of that call.
    pub no: LegNo,
}

impl LegId {
    /// Joins a call and a position.
    #[must_use]
    pub fn new(call: CallId, no: LegNo) -> Self {
        LegId { call, no }
    }
}

impl fmt::Display for LegId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.call, self.no)
    }
}

macro_rules! row_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

row_id! {
    /// Row id of a merchant: the owner of a prepaid balance.
    MerchantId
}
row_id! {
    /// Row id of a sub-account: a user of a merchant, who spends the merchant's balance.
    SubAccountId
}
row_id! {
    /// Row id of a SIP trunk.
    TrunkId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_within_a_millisecond_and_when_the_clock_steps_back() {
        let mut ids = CallIds::new(5);
        let mut last = CallId(0);
        for step in 0..10_000_i64 {
            let wall = UnixMillis(1_763_700_000_000 - step / 100);
            let id = ids.next(wall);
            assert!(id > last);
            assert_eq!(id.node(), 5);
            last = id;
        }
    }

    #[test]
    fn ids_begin_above_those_of_the_last_process_when_the_clock_stepped_back() {
        let wall = UnixMillis(1_763_700_000_000);
        let last = CallIds::new(900).next(wall);
        let mut ids = CallIds::new(5).after(last);
        let mut before = last;
        for _ in 0..5_000 {
            let id = ids.next(UnixMillis(wall.0 - 3_600_000));
            assert!(id > before);
            assert_eq!((id.0 >> 12) & 0x3ff, 5);
            before = id;
        }
        let later = UnixMillis(wall.0 + 1_000);
        assert_eq!(CallIds::new(5).after(last).next(later).made_at(), later);
    }

    #[test]
    fn no_two_legs_of_a_call_are_written_alike() {
        let all: std::collections::BTreeSet<String> =
            (0..=u8::MAX).map(|no| LegNo(no).to_string()).collect();
        assert_eq!(all.len(), 256);
        let written = [0, 25, 26, 52, 99].map(|no| LegNo(no).to_string());
        assert_eq!(written, ["A", "Z", "AA", "BA", "CV"]);
    }

    #[test]
    fn an_id_prints_as_nineteen_digits_and_remembers_its_time() {
        let at = UnixMillis(1_763_700_000_000);
        let id = CallIds::new(0).next(at);
        assert_eq!(id.to_string().len(), 19);
        assert_eq!(id.made_at(), at);
        assert_eq!(id.to_string().parse::<CallId>().unwrap(), id);
    }
}
