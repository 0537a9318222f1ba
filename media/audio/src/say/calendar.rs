//! Days: those of the Gregorian calendar, and what they are called in Iran.

/// A day.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Day {
    /// The year.
    pub year: u16,
    /// 1–12.
    pub month: u8,
    /// 1–31.
    pub day: u8,
}

impl Day {
    /// Whether there is such a day in the Gregorian calendar, in the years that are spoken.
    #[must_use]
    pub fn is_one(self) -> bool {
        let leap = self.year.is_multiple_of(4)
            && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        let longest = match self.month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 => 28 + u8::from(leap),
            _ => return false,
        };
        (1900..=2100).contains(&self.year) && (1..=longest).contains(&self.day)
    }
}

/// The same day in the Solar Hijri calendar. Its leap years follow the cycle of 33 years, which agrees with
/// the observed equinox for all years that are spoken. The day has to be [one](Day::is_one).
#[must_use]
pub fn jalali(day: Day) -> Day {
    let wanted = gregorian_number(day);
    // The year that began in the spring of this one, or the one before.
    let year = day.year - 621;
    let year = if year_begins(year) <= wanted { year } else { year - 1 };
    let since = (wanted - year_begins(year)) as u16;
    // Six months of 31 days, then months of 30.
    let (month, day) = if since < 186 {
        (since / 31, since % 31)
    } else {
        (6 + (since - 186) / 30, (since - 186) % 30)
    };
    Day { year, month: month as u8 + 1, day: day as u8 + 1 }
}

/// Days since the first of March of the year 0.
fn gregorian_number(day: Day) -> i64 {
    let month = i64::from(day.month);
    let year = i64::from(day.year) - i64::from(month <= 2);
    let month = (month + 9) % 12;
    let before = (153 * month + 2) / 5;
    365 * year + year / 4 - year / 100 + year / 400 + before + i64::from(day.day) - 1
}

/// The same count at the beginning of a year of the Solar Hijri calendar.
fn year_begins(year: u16) -> i64 {
    // 21 March 2025 was the first day of 1404.
    const KNOWN: Day = Day { year: 2025, month: 3, day: 21 };
    gregorian_number(KNOWN) + days_before(year) - days_before(1404)
}

/// Days of all years before this one, counted from the year 1.
fn days_before(year: u16) -> i64 {
    const LEAPS: [i64; 8] = [1, 5, 9, 13, 17, 22, 26, 30];
    let year = i64::from(year);
    let leaps = LEAPS.iter().filter(|leap| **leap < year % 33).count() as i64;
    365 * (year - 1) + 8 * (year / 33) + leaps
}
