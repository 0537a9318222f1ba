//! Mandarin: groups of four digits, zeros told once, two in two words.

use super::{Day, MONTHS, Money, NUMBERS, Piece, parts, word};

/// 10,005 is one ten-thousand, zero, five.
pub(super) fn number(number: u64, out: &mut Vec<Piece>) {
    if number == 0 {
        return out.push(Piece::Word("0"));
    }
    let begins = out.len();
    let groups = [
        (number / 100_000_000, "100000000"),
        (number / 10_000 % 10_000, "10000"),
        (number % 10_000, ""),
    ];
    let mut gap = false;
    for (group, unit) in groups {
        if group == 0 {
            gap = true;
            continue;
        }
        let head = out.len() == begins;
        // A zero for what is left out between this group and the one before it.
        if !head && (gap || group < 1_000) {
            out.push(Piece::Word("0"));
        }
        gap = false;
        if head && group == 2 && !unit.is_empty() {
            out.push(Piece::Word("liang"));
        } else {
            four(group, head, out);
        }
        if !unit.is_empty() {
            out.push(Piece::Word(unit));
        }
    }
}

/// Up to 9999. `head`: nothing stands before it.
fn four(group: u64, head: bool, out: &mut Vec<Piece>) {
    let mut begun = false;
    let mut gap = false;
    for (divisor, unit) in [(1_000, "1000"), (100, "100"), (10, "10"), (1, "")] {
        let digit = group / divisor % 10;
        if digit == 0 {
            gap = begun;
            continue;
        }
        if gap {
            out.push(Piece::Word("0"));
        }
        gap = false;
        let first = head && !begun;
        match (digit, divisor) {
            // Ten is not one ten where it comes first.
            (1, 10) if first => {}
            (2, 100 | 1_000) if first => out.push(Piece::Word("liang")),
            _ => out.push(word(&NUMBERS, digit as usize)),
        }
        if !unit.is_empty() {
            out.push(Piece::Word(unit));
        }
        begun = true;
    }
}

/// How many of something: two is another word then.
fn count(size: u64, unit: &'static str, out: &mut Vec<Piece>) {
    if size == 2 {
        out.push(Piece::Word("liang"));
    } else {
        number(size, out);
    }
    out.push(Piece::Word(unit));
}

pub(super) fn date(day: Day, out: &mut Vec<Piece>) {
    for divisor in [1_000, 100, 10, 1] {
        out.push(word(&NUMBERS, usize::from(day.year / divisor % 10)));
    }
    out.push(Piece::Word("year"));
    out.push(word(&MONTHS, usize::from(day.month) - 1));
    number(day.day.into(), out);
    out.push(Piece::Word("day"));
}

pub(super) fn time(hour: u8, minute: u8, out: &mut Vec<Piece>) {
    count(hour.into(), "clock", out);
    match minute {
        0 => out.push(Piece::Word("sharp")),
        _ => {
            if minute < 10 {
                out.push(Piece::Word("0"));
            }
            number(minute.into(), out);
            out.push(Piece::Word("minute"));
        }
    }
}

pub(super) fn money(amount: u64, money: Money, out: &mut Vec<Piece>) {
    match money {
        Money::Cny => {
            let (yuan, jiao, fen) = (amount / 100, amount / 10 % 10, amount % 10);
            if yuan > 0 || amount == 0 {
                count(yuan, "yuan", out);
            }
            if jiao > 0 {
                count(jiao, "jiao", out);
            } else if yuan > 0 && fen > 0 {
                out.push(Piece::Word("0"));
            }
            if fen > 0 {
                count(fen, "fen", out);
            }
        }
        Money::Usd => both((amount / 100, "dollars"), (amount % 100, "cents"), out),
        Money::Irr => count(amount, "rials", out),
        Money::Toman => both((amount / 10, "tomans"), (amount % 10, "rials"), out),
    }
}

/// The larger unit unless there is none of it, the smaller one if there is any.
fn both(large: (u64, &'static str), small: (u64, &'static str), out: &mut Vec<Piece>) {
    if large.0 > 0 || small.0 == 0 {
        count(large.0, large.1, out);
    }
    if small.0 > 0 {
        count(small.0, small.1, out);
    }
}

pub(super) fn duration(seconds: u64, out: &mut Vec<Piece>) {
    let units = ["days", "hours", "minutes", "seconds"];
    for (size, unit) in parts(seconds).into_iter().zip(units) {
        if size > 0 || (seconds == 0 && unit == "seconds") {
            count(size, unit, out);
        }
    }
}
