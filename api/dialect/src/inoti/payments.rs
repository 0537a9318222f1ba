//! What merchants ask about what was paid (`GetPayments`, spec §5.4).

use facts::UnixMillis;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use serde::Serialize;

use super::page::FACTOR_MAX;

/// The inputs, in the order of the seed.
pub const FIELDS: [&str; 15] = [
    "Username",
    "Password",
    "CodeName",
    "IsAll",
    "DateFrom",
    "DateTo",
    "SessionID",
    "PriceFrom",
    "PriceTo",
    "Mobile",
    "RefKey",
    "iNotiFactorID",
    "YourFactorID",
    "RRN",
    "NullResult",
];
/// The word for a name or a password that is not the owner's.
pub const NOT_YOU: &str = "Username Or Password Error";
/// The word for a code that the owner has not.
pub const NO_CODE: &str = "CodeName Error";
/// Records that are told at most: a merchant that wants more asks for fewer days.
pub const TOLD_MAX: usize = 1000;

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Query {
    /// Who asks.
    pub username: String,
    /// And shows it.
    pub password: String,
    /// Of which code.
    pub code: String,
    /// Also of what was not paid.
    pub all: bool,
    /// From this instant on.
    pub from: Option<UnixMillis>,
    /// Before this instant.
    pub before: Option<UnixMillis>,
    /// Of this session.
    pub session: Option<String>,
    /// From this price on, in rials.
    pub price_from: Option<u64>,
    /// Up to this price, in rials.
    pub price_to: Option<u64>,
    /// Of this subscriber: digits as they were written, made a number by who knows the plan.
    pub mobile: Option<String>,
    /// With this reference of the bank.
    pub ref_key: Option<String>,
    /// With this invoice of ours.
    pub invoice: Option<u64>,
    /// With this invoice of the merchant's.
    pub factor: Option<String>,
    /// With this tracking number.
    pub rrn: Option<u64>,
    /// What is answered where there is nothing to tell; empty for an empty list.
    pub null_result: String,
}

impl Query {
    /// Reads the fields as they were sent; those that are missing are empty ones.
    ///
    /// `strict`: the merchant's invoices are digits and nothing else.
    ///
    /// # Errors
    /// The name of the first field, in their order, that has another form than it has to have.
    pub fn read<'a>(
        field: impl Fn(&str) -> Option<&'a str>,
        strict: bool,
    ) -> Result<Query, &'static str> {
        let text = |name| field(name).map(str::trim).filter(|text| !text.is_empty());
        let word = |name| text(name).map(str::to_owned);
        let number = |name: &'static str| match text(name) {
            Some(text) => digits(text).map(Some).ok_or(name),
            None => Ok(None),
        };
        let price = |name: &'static str| match text(name) {
            // Old clients print a double.
            Some(text) => digits(text.strip_suffix(".0").unwrap_or(text)).map(Some).ok_or(name),
            None => Ok(None),
        };
        let day = |name: &'static str, end| match text(name) {
            Some(text) => instant(text, end).map(Some).ok_or(name),
            None => Ok(None),
        };
        let all = match text("IsAll").map(str::to_ascii_lowercase).as_deref() {
            None | Some("false" | "0") => false,
            Some("true" | "1") => true,
            Some(_) => return Err("IsAll"),
        };
        let (from, before) = (day("DateFrom", false)?, day("DateTo", true)?);
        let (price_from, price_to) = (price("PriceFrom")?, price("PriceTo")?);
        let invoice = number("iNotiFactorID")?;
        let factor = word("YourFactorID");
        if factor.as_deref().is_some_and(|factor| !is_factor(factor, strict)) {
            return Err("YourFactorID");
        }
        Ok(Query {
            username: word("Username").unwrap_or_default(),
            // A password may begin with a blank.
            password: field("Password").unwrap_or_default().to_owned(),
            code: word("CodeName").unwrap_or_default(),
            all,
            from,
            before,
            session: word("SessionID"),
            price_from,
            price_to,
            mobile: word("Mobile"),
            ref_key: word("RefKey"),
            invoice,
            factor,
            rrn: number("RRN")?,
            null_result: field("NullResult").unwrap_or_default().to_owned(),
        })
    }
}

/// The word for a field that has another form than it has to have.
#[must_use]
pub fn bad_form(field: &str) -> String {
    format!("{field} Error")
}

fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn is_factor(text: &str, strict: bool) -> bool {
    let sign = |b: u8| {
        b.is_ascii_digit() || (!strict && (b.is_ascii_alphabetic() || b == b'_' || b == b'-'))
    };
    text.len() <= FACTOR_MAX && text.bytes().all(sign)
}

/// Iran's time. It has kept UTC+3:30 without daylight saving since 2022, before anything was paid here.
fn tehran() -> TimeZone {
    TimeZone::fixed(Offset::from_seconds(12_600).unwrap_or(Offset::UTC))
}

/// Reads `1398/11/14` (Solar Hijri, as its year shows) or `2020-02-03`, with a time of day or without, in Tehran.
/// `end`: the first instant behind what was named.
fn instant(text: &str, end: bool) -> Option<UnixMillis> {
    let (day, time) = match text.split_once([' ', 'T']) {
        Some((day, time)) => (day, Some(time.trim())),
        None => (text, None),
    };
    let mut numbers = day.split(['/', '-']).map(|part| digits(part).filter(|_| part.len() <= 4));
    let (year, month, day) = (numbers.next()??, numbers.next()??, numbers.next()??);
    if numbers.next().is_some() {
        return None;
    }
    let date = if (1200..1600).contains(&year) {
        gregorian(year, month, day)?
    } else {
        Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?)
            .ok()?
    };
    let (time, unit) = match time {
        None => (Time::midnight(), 86_400_000),
        Some(text) => clock(text)?,
    };
    let zoned = DateTime::from_parts(date, time).to_zoned(tehran()).ok()?;
    let at = zoned.timestamp().as_millisecond();
    Some(UnixMillis(if end { at + unit } else { at }))
}

/// `12:34` or `12:34:56`, perhaps with a fraction that is not read; and how long what it names lasts, in ms.
fn clock(text: &str) -> Option<(Time, i64)> {
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    let mut numbers = whole.split(':').map(|part| digits(part).and_then(|n| i8::try_from(n).ok()));
    let (hour, minute) = (numbers.next()??, numbers.next()??);
    let second = match numbers.next() {
        Some(second) => Some(second?),
        None => None,
    };
    let unit = if second.is_some() { 1000 } else { 60_000 };
    let time = Time::new(hour, minute, second.unwrap_or(0), 0).ok()?;
    numbers.next().is_none().then_some((time, unit))
}

/// Days before each month of the Solar Hijri year: six of 31, five of 30, one of 29 or 30.
fn gregorian(year: u64, month: u64, day: u64) -> Option<Date> {
    let (year, month, day) =
        (i64::try_from(year).ok()?, i64::try_from(month).ok()?, i64::try_from(day).ok()?);
    let length = match month {
        1..=6 => 31,
        7..=11 => 30,
        12 if is_leap(year) => 30,
        12 => 29,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    let before = (month - 1) * 30 + (month - 1).min(6);
    let days = before + day - 1;
    // 1 Farvardin 1400 was 21 March 2021.
    let first = Date::new(2021, 3, 21).ok()?;
    let years: i64 = match year {
        1400.. => (1400..year).map(|year| 365 + i64::from(is_leap(year))).sum(),
        _ => -(year..1400).map(|year| 365 + i64::from(is_leap(year))).sum::<i64>(),
    };
    first.checked_add(jiff::Span::new().try_days(years + days).ok()?).ok()
}

/// The cycle of 33 years, which agrees with the calendar's own rule from 1244 to 1502.
fn is_leap(year: i64) -> bool {
    matches!(year.rem_euclid(33), 1 | 5 | 9 | 13 | 17 | 22 | 26 | 30)
}

/// A payment, as it is told.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Payment {
    /// Ours.
    #[serde(rename = "PayID")]
    pub id: u64,
    /// Of the dialogue in which the page asked for it.
    #[serde(rename = "SessionID")]
    pub session: String,
    /// The bank's receipt.
    #[serde(rename = "RefKeyBank")]
    pub ref_key: String,
    /// Who was to pay, in the national form.
    #[serde(rename = "Mobile")]
    pub mobile: String,
    /// In rials.
    #[serde(rename = "Price")]
    pub rials: u64,
    /// Whether it was paid: a text.
    #[serde(rename = "Result", serialize_with = "as_text")]
    pub paid: bool,
    /// When that was known.
    #[serde(rename = "PayDateTime", serialize_with = "as_time")]
    pub at: UnixMillis,
    /// Our invoice.
    #[serde(rename = "InotiFactorID")]
    pub invoice: u64,
    /// The merchant's.
    #[serde(rename = "YourFactorID")]
    pub factor: String,
    /// The tracking number; 0 without one.
    #[serde(rename = "RRN")]
    pub rrn: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn as_text<S: serde::Serializer>(paid: &bool, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(if *paid { "true" } else { "false" })
}

fn as_time<S: serde::Serializer>(at: &UnixMillis, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(&time(*at))
}

/// `2020-02-03T12:34:56`, in Tehran.
#[must_use]
pub fn time(at: UnixMillis) -> String {
    let instant = Timestamp::from_millisecond(at.0).unwrap_or(Timestamp::UNIX_EPOCH);
    instant.to_zoned(tehran()).strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

/// The result: the records as JSON, or what the merchant wants in place of none.
#[must_use]
pub fn told(payments: &[Payment], null_result: &str) -> String {
    if payments.is_empty() && !null_result.is_empty() {
        return null_result.to_owned();
    }
    serde_json::to_string(payments).unwrap_or_else(|_| "[]".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[(&str, &str)]) -> Result<Query, &'static str> {
        Query::read(|name| fields.iter().find(|(n, _)| *n == name).map(|(_, v)| *v), true)
    }

    #[test]
    fn s5_4_what_is_empty_or_missing_asks_for_nothing() {
        let empty: Vec<(&str, &str)> = FIELDS.iter().map(|name| (*name, "")).collect();
        assert_eq!(read(&empty), Ok(Query::default()));
        assert_eq!(read(&[]), Ok(Query::default()));
    }

    #[test]
    fn s5_4_the_query_of_the_manual() {
        let query = read(&[
            ("Username", "u"),
            ("Password", " p"),
            ("CodeName", "123"),
            ("IsAll", "True"),
            ("SessionID", "123"),
            ("PriceFrom", "12500"),
            ("PriceTo", "12500.0"),
            ("Mobile", "09123456789"),
            ("iNotiFactorID", "55"),
            ("YourFactorID", "9001"),
            ("RRN", "123456789012"),
            ("NullResult", "none"),
        ])
        .unwrap();
        assert_eq!((query.username.as_str(), query.password.as_str()), ("u", " p"));
        assert!(query.all);
        assert_eq!((query.price_from, query.price_to), (Some(12_500), Some(12_500)));
        assert_eq!((query.invoice, query.rrn), (Some(55), Some(123_456_789_012)));
        assert_eq!(query.factor.as_deref(), Some("9001"));
    }

    #[test]
    fn s5_4_a_field_that_fails_its_form_is_named() {
        for (field, value) in [
            ("IsAll", "perhaps"),
            ("DateFrom", "1398/13/01"),
            ("DateFrom", "1399/12/31"),
            ("DateFrom", "1398/12/30"),
            ("DateTo", "yesterday"),
            ("DateTo", "2020-02-30"),
            ("DateTo", "2020-02-03 25:00"),
            ("PriceFrom", "1.5"),
            ("PriceTo", "-1"),
            ("iNotiFactorID", "x"),
            ("YourFactorID", "A1"),
            ("RRN", "99999999999999999999"),
        ] {
            assert_eq!(read(&[(field, value)]), Err(field), "{value}");
        }
        assert_eq!(bad_form("YourFactorID"), "YourFactorID Error");
        let loose = Query::read(|name| (name == "YourFactorID").then_some("A-1_b"), false);
        assert_eq!(loose.unwrap().factor.as_deref(), Some("A-1_b"));
    }

    #[test]
    fn s5_4_days_of_both_calendars_begin_and_end_in_tehran() {
        let told = |text, end| instant(text, end).map(time);
        assert_eq!(told("1398/11/14", false).as_deref(), Some("2020-02-03T00:00:00"));
        assert_eq!(told("1398/11/14", true).as_deref(), Some("2020-02-04T00:00:00"));
        assert_eq!(told("2020-02-03", false).as_deref(), Some("2020-02-03T00:00:00"));
        assert_eq!(told("2020-02-03 12:34", true).as_deref(), Some("2020-02-03T12:35:00"));
        assert_eq!(told("1405/9/2 12:34:56", true).as_deref(), Some("2026-11-23T12:34:57"));
        assert_eq!(told("2020-02-03T12:34:56.789", false).as_deref(), Some("2020-02-03T12:34:56"));
        // Leap years of the Solar Hijri calendar, and the days behind them.
        assert_eq!(told("1399/12/30", false).as_deref(), Some("2021-03-20T00:00:00"));
        assert_eq!(told("1400/01/01", false).as_deref(), Some("2021-03-21T00:00:00"));
        assert_eq!(told("1403/12/30", false).as_deref(), Some("2025-03-20T00:00:00"));
        assert_eq!(told("1404/01/01", false).as_deref(), Some("2025-03-21T00:00:00"));
        assert_eq!(told("1348/10/11", false).as_deref(), Some("1970-01-01T00:00:00"));
        assert_eq!(instant("1348/10/11", false), Some(UnixMillis(-12_600_000)));
    }

    #[test]
    fn s5_4_results_have_the_seeds_names_and_kinds() {
        let payment = Payment {
            id: 1,
            session: "123".into(),
            ref_key: "R".into(),
            mobile: "09123456789".into(),
            rials: 12_500,
            paid: true,
            at: instant("2020-02-03 12:34:56", false).unwrap(),
            invoice: 55,
            factor: "9001".into(),
            rrn: 123_456_789_012,
        };
        assert_eq!(
            told(&[payment], "none"),
            r#"[{"PayID":1,"SessionID":"123","RefKeyBank":"R","Mobile":"09123456789","Price":12500,"Result":"true","PayDateTime":"2020-02-03T12:34:56","InotiFactorID":55,"YourFactorID":"9001","RRN":123456789012}]"#
        );
        assert_eq!(told(&[], "none"), "none");
        assert_eq!(told(&[], ""), "[]");
    }
}
