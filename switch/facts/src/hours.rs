//! Local time of day, the hours of a week and the days of a year: when a route is open.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::time::UnixMillis;

/// Minutes of a day.
const DAY: u16 = 24 * 60;
/// Names of the days, Monday first (ISO 8601 order).
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A time zone by its IANA name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Zone {
    name: String,
    rules: TimeZone,
}

impl Zone {
    /// The zone of a name, e.g. `Asia/Tehran`. The rules come with the program.
    ///
    /// # Errors
    /// When there is no such zone.
    pub fn named(name: &str) -> Result<Zone, HoursError> {
        let rules = TimeZone::get(name).map_err(|_| HoursError::Zone(name.to_owned()))?;
        Ok(Zone { name: name.to_owned(), rules })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the clock on the wall shows there.
    #[must_use]
    pub fn local(&self, at: UnixMillis) -> Local {
        let instant = Timestamp::from_millisecond(at.0).unwrap_or_default();
        let there = self.rules.to_datetime(instant);
        let day = u8::try_from(there.weekday().to_monday_zero_offset()).unwrap_or(0);
        let hour = u16::try_from(there.hour()).unwrap_or(0);
        let minute = u16::try_from(there.minute()).unwrap_or(0);
        Local { date: there.date(), day, minute: hour * 60 + minute }
    }
}

impl Default for Zone {
    fn default() -> Self {
        Zone { name: "UTC".into(), rules: TimeZone::UTC }
    }
}

/// A minute of the week, and the date.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Local {
    /// Of that day.
    pub date: Date,
    /// 0 is Monday.
    pub day: u8,
    /// Minutes since midnight.
    pub minute: u16,
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = DAYS.get(usize::from(self.day)).copied().unwrap_or("?");
        write!(f, "{day} {:02}:{:02}", self.minute / 60, self.minute % 60)
    }
}

/// Why a text is no zone or no hours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HoursError {
    /// No such time zone.
    Zone(String),
    /// Not `DAYS HH:MM-HH:MM`.
    Window(String),
}

impl fmt::Display for HoursError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HoursError::Zone(name) => {
                write!(f, "no such time zone: {name:?}; an IANA name is expected, e.g. Asia/Tehran")
            }
            HoursError::Window(text) => write!(
                f,
                "not a time of the week: {text:?}; expected e.g. \"mon-fri 08:00-20:00\" or \"22:00-06:00\", \
                 with days before it or alone: \"2026-12-01/2027-01-31\""
            ),
        }
    }
}

impl std::error::Error for HoursError {}

/// Days and a span of the day, e.g. `mon-fri,sun 08:00-20:00`. Without days it is every day. A span that ends
/// before it begins runs past midnight and belongs to the day it begins on; `24:00` is the end of the day. Dates may
/// stand before it or alone, the last one included: `2026-12-01/2027-01-31`, `2026-12-01/..`, `../2027-01-31`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Window {
    /// Bit 0 is Monday.
    days: u8,
    from: u16,
    until: u16,
    first: Option<Date>,
    last: Option<Date>,
}

impl Window {
    fn parse(text: &str) -> Option<Window> {
        let text = text.trim().to_ascii_lowercase();
        let (dates, week) = match text.split_once(char::is_whitespace) {
            Some((dates, week)) if dates.contains('/') => (Some(dates), week.trim()),
            None if text.contains('/') => (Some(text.as_str()), "00:00-24:00"),
            _ => (None, text.as_str()),
        };
        let (first, last) = dates.map_or(Some((None, None)), Window::dates)?;
        let (days, span) = match week.rsplit_once(char::is_whitespace) {
            Some((days, span)) => (Window::days(days)?, span),
            None => (0b111_1111, week),
        };
        let (from, until) = span.split_once('-')?;
        let (from, until) = (Window::minute(from)?, Window::minute(until)?);
        (from < DAY && from != until).then_some(Window { days, from, until, first, last })
    }

    /// The first and the last day; one of them may be open.
    fn dates(text: &str) -> Option<(Option<Date>, Option<Date>)> {
        let of = |text: &str| match text {
            ".." => Some(None),
            day if day.len() == "2026-12-01".len() => day.parse().ok().map(Some),
            _ => None,
        };
        let (first, last) = text.split_once('/')?;
        let (first, last) = (of(first)?, of(last)?);
        let ordered = first.zip(last).is_none_or(|(first, last)| first <= last);
        (ordered && (first.is_some() || last.is_some())).then_some((first, last))
    }

    fn days(text: &str) -> Option<u8> {
        let of = |name: &str| DAYS.iter().position(|day| *day == name.trim());
        let mut days = 0_u8;
        for part in text.split(',') {
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (of(first)?, of(last)?),
                None => (of(part)?, of(part)?),
            };
            let span = (last + DAYS.len() - first) % DAYS.len();
            for step in 0..=span {
                days |= 1 << ((first + step) % DAYS.len());
            }
        }
        Some(days)
    }

    fn minute(text: &str) -> Option<u16> {
        let (hour, minute) = text.split_once(':')?;
        let two = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        if !two(hour) || !two(minute) {
            return None;
        }
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        (minute < 60).then_some(hour * 60 + minute).filter(|minutes| *minutes <= DAY)
    }

    fn on(self, day: u8, date: Date) -> bool {
        self.days & (1 << (day % 7)) != 0
            && self.first.is_none_or(|first| first <= date)
            && self.last.is_none_or(|last| date <= last)
    }

    fn contains(self, local: Local) -> bool {
        let today = self.on(local.day, local.date);
        let before = local.date.yesterday().unwrap_or(local.date);
        let yesterday = self.on((local.day + 6) % 7, before);
        if self.from < self.until {
            return today && (self.from..self.until).contains(&local.minute);
        }
        today && local.minute >= self.from || yesterday && local.minute < self.until
    }
}

/// Hours of a week, as the operator wrote them. None at all means always.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Hours {
    written: Vec<String>,
    windows: Vec<Window>,
}

impl Hours {
    /// Whether a minute lies in one of the windows.
    #[must_use]
    pub fn open(&self, local: Local) -> bool {
        self.windows.is_empty() || self.windows.iter().any(|window| window.contains(local))
    }

    /// Whether no window was given.
    #[must_use]
    pub fn always(&self) -> bool {
        self.windows.is_empty()
    }
}

impl TryFrom<Vec<String>> for Hours {
    type Error = HoursError;

    fn try_from(written: Vec<String>) -> Result<Hours, HoursError> {
        let window = |text: &String| Window::parse(text).ok_or(HoursError::Window(text.clone()));
        let windows = written.iter().map(window).collect::<Result<_, _>>()?;
        Ok(Hours { written, windows })
    }
}

impl From<Hours> for Vec<String> {
    fn from(hours: Hours) -> Vec<String> {
        hours.written
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(text: &str) -> Hours {
        Hours::try_from(vec![text.to_owned()]).unwrap()
    }

    fn at(text: &str) -> Local {
        let (day, time) = text.split_once(' ').unwrap();
        let day = DAYS.iter().position(|name| *name == day).unwrap();
        // The week of Monday, 2026-11-16.
        let date = Date::constant(2026, 11, 16 + i8::try_from(day).unwrap());
        Local { date, day: u8::try_from(day).unwrap(), minute: Window::minute(time).unwrap() }
    }

    #[test]
    fn a_window_has_days_and_a_span_with_its_end_outside() {
        let office = hours("mon-fri 08:00-20:00");
        for (time, open) in [
            ("mon 07:59", false),
            ("mon 08:00", true),
            ("fri 19:59", true),
            ("fri 20:00", false),
            ("sat 12:00", false),
        ] {
            assert_eq!(office.open(at(time)), open, "{time}");
        }
        let weekend = hours("Sat,SUN 00:00-24:00");
        assert!(weekend.open(at("sun 23:59")) && weekend.open(at("sat 00:00")));
        assert!(!weekend.open(at("mon 00:00")));
        assert!(
            hours("sun-tue 10:00-11:00").open(at("mon 10:30")),
            "a span of days over the week's end"
        );
    }

    #[test]
    fn a_span_past_midnight_belongs_to_the_day_it_begins_on() {
        let night = hours("fri 22:00-06:00");
        assert!(night.open(at("fri 22:00")) && night.open(at("sat 05:59")));
        assert!(!night.open(at("fri 05:59")) && !night.open(at("sat 22:00")));
        let any = hours("22:00-06:00");
        assert!(
            any.open(at("mon 00:00")) && any.open(at("sun 23:00")) && !any.open(at("wed 12:00"))
        );
    }

    #[test]
    fn no_window_is_always_and_nonsense_is_refused_by_name() {
        assert!(Hours::default().open(at("sun 03:00")));
        for text in [
            "",
            "mon",
            "8:00-20:00",
            "08:00-08:00",
            "08:00-24:01",
            "24:00-08:00",
            "moo 08:00-09:00",
            "2026-11-20/2026-11-17",
            "2026-02-30/..",
            "../..",
            "2026-11-20",
            "2026-11-20/.. mon",
            "08:60-09:00",
        ] {
            let error = Hours::try_from(vec![text.to_owned()]).unwrap_err();
            assert!(error.to_string().contains("not a time of the week"), "{text}: {error}");
        }
    }

    #[test]
    fn dates_bound_a_window_first_and_last_day_included() {
        let tariff = hours("2026-11-17/2026-11-19");
        for (time, open) in
            [("mon 23:59", false), ("tue 00:00", true), ("thu 23:59", true), ("fri 00:00", false)]
        {
            assert_eq!(tariff.open(at(time)), open, "{time}");
        }
        let from = hours("2026-11-18/.. mon-fri 08:00-20:00");
        assert!(
            !from.open(at("tue 12:00"))
                && from.open(at("wed 12:00"))
                && !from.open(at("sat 12:00"))
        );
        let night = hours("../2026-11-18 22:00-06:00");
        assert!(night.open(at("thu 05:59")), "the night of the last day ends on the day after it");
        assert!(!night.open(at("thu 22:00")));
        assert_eq!(tariff.to_string(), "2026-11-17/2026-11-19");
    }

    #[test]
    fn the_clock_on_the_wall_follows_the_zone_and_its_summer() {
        // 2026-11-21 (a Saturday) 15:00 UTC, and 2026-07-01 (a Wednesday) 22:30 UTC.
        let (winter, summer) = (UnixMillis(1_795_273_200_000), UnixMillis(1_782_945_000_000));
        let local = |zone: &str, instant| Zone::named(zone).unwrap().local(instant).to_string();
        assert_eq!(local("UTC", winter), "sat 15:00");
        assert_eq!(local("Asia/Shanghai", winter), "sat 23:00");
        assert_eq!(local("Asia/Tehran", winter), "sat 18:30");
        assert_eq!(local("Europe/Berlin", winter), "sat 16:00");
        assert_eq!(local("Europe/Berlin", summer), "thu 00:30");
        assert!(Zone::named("Asia/Atlantis").is_err());
    }
}
