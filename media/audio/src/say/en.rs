//! English: groups of three digits, `and` before what is below a hundred, units in two numbers.

use super::{Day, MONTHS, Money, NUMBERS, ORDINALS, Piece, TENS, parts, word};

/// 1,005 is one thousand and five.
pub(super) fn number(number: u64, out: &mut Vec<Piece>) {
    let begins = out.len();
    let groups = [(1_000_000_000, "1000000000"), (1_000_000, "1000000"), (1_000, "1000")];
    for (divisor, unit) in groups {
        let group = number / divisor % 1_000;
        if group > 0 {
            hundreds(group, out);
            out.push(Piece::Word(unit));
        }
    }
    let rest = number % 1_000;
    if out.len() == begins {
        hundreds(rest, out);
    } else if rest > 0 {
        if rest < 100 {
            out.push(Piece::Word("and"));
        }
        hundreds(rest, out);
    }
}

/// Up to 999.
fn hundreds(group: u64, out: &mut Vec<Piece>) {
    if group >= 100 {
        out.push(word(&NUMBERS, (group / 100) as usize));
        out.push(Piece::Word("100"));
        if group.is_multiple_of(100) {
            return;
        }
        out.push(Piece::Word("and"));
    }
    tens(group % 100, out);
}

/// Up to 99.
fn tens(group: u64, out: &mut Vec<Piece>) {
    if group <= 20 {
        return out.push(word(&NUMBERS, group as usize));
    }
    out.push(word(&TENS, (group / 10) as usize));
    if !group.is_multiple_of(10) {
        out.push(word(&NUMBERS, (group % 10) as usize));
    }
}

/// November, twenty-second, twenty twenty-six.
pub(super) fn date(day: Day, out: &mut Vec<Piece>) {
    out.push(word(&MONTHS, usize::from(day.month) - 1));
    out.push(word(&ORDINALS, usize::from(day.day) - 1));
    let (century, year) = (u64::from(day.year / 100), u64::from(day.year % 100));
    match (century, year) {
        // Two thousand and five, and two thousand.
        (20, 0..10) => number(day.year.into(), out),
        (_, 0) => {
            tens(century, out);
            out.push(Piece::Word("100"));
        }
        _ => {
            tens(century, out);
            if year < 10 {
                out.push(Piece::Word("oh"));
            }
            tens(year, out);
        }
    }
}

/// Two oh five p.m.
pub(super) fn time(hour: u8, minute: u8, out: &mut Vec<Piece>) {
    let half = if hour < 12 { "am" } else { "pm" };
    let hour = if hour.is_multiple_of(12) { 12 } else { hour % 12 };
    tens(hour.into(), out);
    match minute {
        0 => {}
        1..10 => out.extend([Piece::Word("oh"), word(&NUMBERS, minute.into())]),
        _ => tens(minute.into(), out),
    }
    out.push(Piece::Word(half));
}

/// A unit, of one and of others.
type Unit = (&'static str, &'static str);

fn count(size: u64, (one, others): Unit, out: &mut Vec<Piece>) {
    number(size, out);
    out.push(Piece::Word(if size == 1 { one } else { others }));
}

pub(super) fn money(amount: u64, money: Money, out: &mut Vec<Piece>) {
    const RIALS: Unit = ("rial", "rials");
    match money {
        Money::Cny => both((amount / 100, ("yuan", "yuan")), (amount % 100, ("fen", "fen")), out),
        Money::Usd => {
            both((amount / 100, ("dollar", "dollars")), (amount % 100, ("cent", "cents")), out);
        }
        Money::Irr => count(amount, RIALS, out),
        Money::Toman => both((amount / 10, ("toman", "tomans")), (amount % 10, RIALS), out),
    }
}

fn both(large: (u64, Unit), small: (u64, Unit), out: &mut Vec<Piece>) {
    if large.0 > 0 || small.0 == 0 {
        count(large.0, large.1, out);
    }
    if small.0 > 0 {
        if large.0 > 0 {
            out.push(Piece::Word("and"));
        }
        count(small.0, small.1, out);
    }
}

pub(super) fn duration(seconds: u64, out: &mut Vec<Piece>) {
    const UNITS: [Unit; 4] =
        [("day", "days"), ("hour", "hours"), ("minute", "minutes"), ("second", "seconds")];
    let told: Vec<(u64, Unit)> =
        parts(seconds).into_iter().zip(UNITS).filter(|(size, _)| *size > 0).collect();
    for (at, (size, unit)) in told.iter().enumerate() {
        if at > 0 && at + 1 == told.len() {
            out.push(Piece::Word("and"));
        }
        count(*size, *unit, out);
    }
    if told.is_empty() {
        count(0, UNITS[3], out);
    }
}
