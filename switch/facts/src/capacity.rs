//! How many calls somebody may have: at one time, and begun within a while; more or less of both by the clock.

use serde::{Deserialize, Serialize};

use crate::command::CallCommand;
use crate::fraud::Scope;
use crate::hours::{Hours, Local};

/// How many calls there may be. None of it is limited unless it is said.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capacity {
    /// At one time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_calls: Option<u32>,
    /// Begun within `within_s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u32>,
    /// Seconds; `None` is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within_s: Option<u32>,
    /// In the hours of the first of these that is open, its numbers hold and not those above.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<CapacityAt>,
}

/// Other numbers for some hours.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapacityAt {
    /// When.
    pub hours: Hours,
    /// As [`Capacity::max_calls`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_calls: Option<u32>,
    /// As [`Capacity::calls`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<u32>,
}

/// What holds at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room {
    /// Calls at one time.
    pub max_calls: Option<u32>,
    /// Calls begun within `within_s`.
    pub calls: Option<u32>,
    /// Seconds.
    pub within_s: u32,
}

impl Capacity {
    /// The most that `calls` may be: so many moments are remembered of each.
    pub const CALLS_MAX: u32 = 10_000;
    /// The most that `within_s` may be, seconds.
    pub const WITHIN_MAX_S: u32 = 3_600;
    /// Entries of `at` at most.
    pub const AT_MAX: usize = 16;

    /// What holds when the clock on the wall shows this.
    #[must_use]
    pub fn room(&self, local: Local) -> Room {
        let at = self.at.iter().find(|at| at.hours.open(local));
        let (max_calls, calls) =
            at.map_or((self.max_calls, self.calls), |at| (at.max_calls, at.calls));
        Room { max_calls, calls, within_s: self.within_s.unwrap_or(1).max(1) }
    }

    /// Whether nothing is limited.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Capacity::default()
    }
}

/// Whose calls are counted together.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Holder {
    /// A merchant's, a sub-account's, an extension's.
    Of(Scope),
    /// Those that carriers deliver for an inbound number, E.164 digits.
    Number(String),
}

impl Holder {
    /// Whose a call is: of those of [`Scope::all_of`], and of the number that it was delivered for.
    #[must_use]
    pub fn all_of(command: &CallCommand, delivered: Option<&str>) -> Vec<Holder> {
        let number = delivered.map(|number| Holder::Number(number.to_owned()));
        Scope::all_of(command).into_iter().map(Holder::Of).chain(number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_hours_that_are_open_hold_in_place_of_the_rest() {
        let hours = |text: &str| Hours::try_from(vec![text.to_owned()]).unwrap();
        let capacity = Capacity {
            max_calls: Some(10),
            calls: Some(5),
            within_s: Some(60),
            at: vec![
                CapacityAt {
                    hours: hours("mon-fri 09:00-18:00"),
                    max_calls: Some(30),
                    calls: None,
                },
                CapacityAt { hours: hours("mon 17:00-20:00"), max_calls: Some(1), calls: Some(1) },
            ],
        };
        let at = |day, hour: u16| {
            let date = jiff::civil::Date::constant(2026, 11, 16);
            let room = capacity.room(Local { date, day, minute: hour * 60 });
            (room.max_calls, room.calls, room.within_s)
        };
        assert_eq!(at(0, 17), (Some(30), None, 60));
        assert_eq!(at(0, 19), (Some(1), Some(1), 60));
        assert_eq!(at(5, 10), (Some(10), Some(5), 60));
    }
}
