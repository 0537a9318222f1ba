//! Numbers that are shown in turn to those who are called, where a call names none of its own.

use serde::{Deserialize, Serialize};

/// Numbers to show, and which of them to whom.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pool {
    /// Digits of E.164, 1000 at most.
    pub numbers: Vec<String>,
    /// Which of them.
    pub pick: Pick,
    /// Also where the call names a number of its own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub always: bool,
    /// Legs at one time that show one number at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_calls: Option<u32>,
    /// Legs begun in a second with one number at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_per_second: Option<u32>,
    /// Legs begun in 24 hours with one number at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_per_day: Option<u32>,
    /// A number that few answer rests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cool_down: Option<CoolDown>,
}

/// When a number rests, and how long: carriers and phones mark numbers that few answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoolDown {
    /// Percent of legs that showed it: when fewer were answered, it rests.
    pub answered_below: u8,
    /// Of so many of its last legs.
    pub of: u32,
    /// Seconds for which it is not shown; then it begins anew.
    pub rest_s: u32,
}

impl CoolDown {
    /// Bounds of `of`.
    pub const OF: std::ops::RangeInclusive<u32> = 5..=1_000;
    /// Bounds of `rest_s`: a minute to a week.
    pub const REST_S: std::ops::RangeInclusive<u32> = 60..=604_800;

    /// Whether so many answers of the last [`CoolDown::of`] legs are too few.
    #[must_use]
    pub fn is_due(&self, answered: usize) -> bool {
        let answered = u64::try_from(answered).unwrap_or(u64::MAX).saturating_mul(100);
        answered < u64::from(self.of) * u64::from(self.answered_below)
    }
}

impl Pool {
    /// Numbers at most.
    pub const NUMBERS_MAX: usize = 1_000;
}

/// Which number of a pool is shown. One that is at a limit is passed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pick {
    /// Any.
    #[default]
    Random,
    /// One after the other.
    RoundRobin,
    /// To the same callee always the same.
    Sticky,
    /// The one that has the most first digits in common with the callee's; of several any.
    Area,
}

impl Pick {
    /// For people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Pick::Random => "random",
            Pick::RoundRobin => "round_robin",
            Pick::Sticky => "sticky",
            Pick::Area => "area",
        }
    }
}
