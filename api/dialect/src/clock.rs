//! Wall time as the merchants of systems 000 to 002 write it: China Standard Time, without an offset.
//!
//! China has kept UTC+8 without daylight saving since 1991, so a fixed offset needs no zone data.

use facts::UnixMillis;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

const CHINA: Offset = Offset::constant(8);

fn civil(at: UnixMillis) -> DateTime {
    let instant = Timestamp::from_millisecond(at.0).unwrap_or(Timestamp::UNIX_EPOCH);
    CHINA.to_datetime(instant)
}

/// `yyyy-MM-dd HH:mm:ss`.
#[must_use]
pub fn seconds(at: UnixMillis) -> String {
    civil(at).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `yyyyMM`: the first digits of a system 001 request id.
#[must_use]
pub fn year_month(at: UnixMillis) -> String {
    civil(at).strftime("%Y%m").to_string()
}

/// `yyyyMMddHHmmss`: the timestamp of a system 001 request.
#[must_use]
pub fn compact(at: UnixMillis) -> String {
    civil(at).strftime("%Y%m%d%H%M%S").to_string()
}

/// Reads `yyyyMMddHHmmss`.
#[must_use]
pub fn parse_compact(text: &str) -> Option<UnixMillis> {
    if text.len() != 14 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    DateTime::strptime("%Y%m%d%H%M%S", text).ok().and_then(instant)
}

/// Reads `yyyy-MM-dd HH:mm:ss`.
#[must_use]
pub fn parse_seconds(text: &str) -> Option<UnixMillis> {
    let text = text.trim();
    if text.len() != 19 {
        return None;
    }
    DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok().and_then(instant)
}

/// The hour that starts at `hour` o'clock of a day written `yyyy-MM-dd` or `yyyyMMdd`: first instant and
/// first instant after it.
#[must_use]
pub fn hour_of(day: &str, hour: &str) -> Option<(UnixMillis, UnixMillis)> {
    let digits: String = day.chars().filter(|c| *c != '-').collect();
    if digits.len() != 8 || hour.is_empty() || hour.len() > 2 {
        return None;
    }
    let hour: u8 = hour.parse().ok().filter(|h| *h < 24)?;
    let start = parse_compact(&format!("{digits}{hour:02}0000"))?;
    Some((start, UnixMillis(start.0 + 3_600_000)))
}

fn instant(civil: DateTime) -> Option<UnixMillis> {
    let zoned = civil.to_zoned(TimeZone::fixed(CHINA)).ok()?;
    Some(UnixMillis(zoned.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn china_is_eight_hours_ahead_and_what_prints_parses_back() {
        let at = UnixMillis(1_768_440_600_000);
        assert_eq!(compact(at), "20260115093000");
        assert_eq!(seconds(at), "2026-01-15 09:30:00");
        assert_eq!(year_month(at), "202601");
        assert_eq!(parse_compact("20260115093000"), Some(at));
        assert_eq!(parse_seconds("2026-01-15 09:30:00"), Some(at));
        assert_eq!(parse_seconds("2026-1-15 09:30:00"), None);
        assert_eq!(parse_seconds("2026-02-30 09:30:00"), None);
        assert_eq!(parse_seconds("2026-01-15"), None);
        for bad in ["", "2026011509300", "20261315093000", "20260230093000", "2026-01-15 093"] {
            assert_eq!(parse_compact(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_hour_is_read_in_both_spellings_of_day_and_hour() {
        let hour = (UnixMillis(1_768_438_800_000), UnixMillis(1_768_442_400_000));
        for (day, ptime) in [("2026-01-15", "9"), ("20260115", "09")] {
            assert_eq!(hour_of(day, ptime), Some(hour));
        }
        for (day, ptime) in
            [("2026-01-15", "24"), ("2026-01-15", ""), ("x", "1"), ("20260115", "-1")]
        {
            assert_eq!(hour_of(day, ptime), None);
        }
    }
}
