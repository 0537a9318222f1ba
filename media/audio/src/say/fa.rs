//! Persian: groups of three digits, hundreds in one word each, and an `o` between any two parts.

use super::{Day, MONTHS, Money, NUMBERS, ORDINALS, Piece, TENS, parts, word};

/// What stands between two parts.
const AND: Piece = Piece::Word("and");

/// The hundreds.
const HUNDREDS: [&str; 10] = ["0", "100", "200", "300", "400", "500", "600", "700", "800", "900"];

/// 1,234 is thousand and two hundred and thirty and four.
pub(super) fn number(number: u64, out: &mut Vec<Piece>) {
    if number == 0 {
        return out.push(Piece::Word("0"));
    }
    let begins = out.len();
    let groups = [(1_000_000_000, "1000000000"), (1_000_000, "1000000"), (1_000, "1000"), (1, "")];
    for (divisor, unit) in groups {
        let group = number / divisor % 1_000;
        if group == 0 {
            continue;
        }
        if out.len() > begins {
            out.push(AND);
        }
        // A thousand is not one thousand; a million is one.
        if !(group == 1 && divisor == 1_000) {
            hundreds(group, out);
        }
        if !unit.is_empty() {
            out.push(Piece::Word(unit));
        }
    }
}

/// 1 to 999.
fn hundreds(group: u64, out: &mut Vec<Piece>) {
    let begins = out.len();
    if group >= 100 {
        out.push(word(&HUNDREDS, (group / 100) as usize));
    }
    let rest = group % 100;
    let (tens, ones) = if rest <= 20 { (0, rest) } else { (rest / 10, rest % 10) };
    if tens > 0 {
        joined(begins, word(&TENS, tens as usize), out);
    }
    if ones > 0 {
        joined(begins, word(&NUMBERS, ones as usize), out);
    }
}

/// Appends a part, with an `o` before it unless it is the first since `begins`.
fn joined(begins: usize, part: Piece, out: &mut Vec<Piece>) {
    if out.len() > begins {
        out.push(AND);
    }
    out.push(part);
}

/// A day of the Solar Hijri calendar: the twenty and second of Azar, thousand and four hundred and five.
pub(super) fn date(day: Day, out: &mut Vec<Piece>) {
    let number_of_day = usize::from(day.day);
    match number_of_day {
        1..=20 | 30 => out.push(word(&ORDINALS, number_of_day - 1)),
        _ => {
            let ones = word(&ORDINALS, number_of_day % 10 - 1);
            out.extend([word(&TENS, number_of_day / 10), AND, ones]);
        }
    }
    out.push(word(&MONTHS, usize::from(day.month) - 1));
    number(day.year.into(), out);
}

/// Hour fourteen and five minutes.
pub(super) fn time(hour: u8, minute: u8, out: &mut Vec<Piece>) {
    out.push(Piece::Word("clock"));
    number(hour.into(), out);
    if minute > 0 {
        out.push(AND);
        count(minute.into(), "minutes", out);
    }
}

fn count(size: u64, unit: &'static str, out: &mut Vec<Piece>) {
    number(size, out);
    out.push(Piece::Word(unit));
}

pub(super) fn money(amount: u64, money: Money, out: &mut Vec<Piece>) {
    match money {
        Money::Cny => all(&[(amount / 100, "yuan"), (amount % 100, "fen")], out),
        Money::Usd => all(&[(amount / 100, "dollars"), (amount % 100, "cents")], out),
        Money::Irr => all(&[(amount, "rials")], out),
        Money::Toman => all(&[(amount / 10, "tomans"), (amount % 10, "rials")], out),
    }
}

pub(super) fn duration(seconds: u64, out: &mut Vec<Piece>) {
    let [days, hours, minutes, rest] = parts(seconds);
    if seconds == 0 {
        return count(0, "seconds", out);
    }
    all(&[(days, "days"), (hours, "hours"), (minutes, "minutes"), (rest, "seconds")], out);
}

/// What there is of each unit; of the first if there is nothing at all.
fn all(units: &[(u64, &'static str)], out: &mut Vec<Piece>) {
    let begins = out.len();
    for (size, unit) in units.iter().filter(|(size, _)| *size > 0) {
        if out.len() > begins {
            out.push(AND);
        }
        count(*size, unit, out);
    }
    if let (true, Some((_, unit))) = (out.len() == begins, units.first()) {
        count(0, unit, out);
    }
}
