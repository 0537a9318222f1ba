//! How many calls a second one core rates over a price list of 100,000 prefixes.
//!
//! `cargo test --release -p money --test speed -- --ignored --nocapture`

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use facts::{Micros, Number};
use money::{Pattern, Priced, Rate, Tariff};

const PREFIXES: u32 = 100_000;
const CALLS: u64 = 4_000_000;

/// Prefixes of three to seven digits, each dearer than the one before.
fn tariff() -> Tariff {
    let rows = (0..PREFIXES).map(|row| {
        let digits = match row {
            0..900 => format!("{}", 100 + row),
            900..10_000 => format!("{}", 10_000 + row * 7),
            _ => format!("{}", 1_000_000 + (row - 10_000) * 97),
        };
        let pattern: Pattern = digits.parse().unwrap();
        (pattern, Rate { initial_s: 30, next_s: 6, ..Rate::per_minute(Micros(i64::from(row) + 1)) })
    });
    Tariff::new(rows)
}

/// Nanoseconds that this thread has spent on a processor.
fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
#[ignore = "a measurement: a release build, and a core to itself as far as CPU time goes"]
fn a_million_calls_a_second_over_a_hundred_thousand_prefixes() {
    let tariff = tariff();
    let numbers: Vec<Number> = (0..65_536_u64)
        .map(|n| Number::E164(format!("{:013}", 1_000_000_000_000 + n * 137_430_211)))
        .collect();
    let (begun, mut total, mut priced) = (cpu_ns(), 0_i128, 0_u64);
    for call in 0..CALLS {
        let number = &numbers[usize::try_from(call * 40_503 % 65_536).unwrap()];
        if let Priced::Row(_, rate) = tariff.price(number) {
            total += i128::from(rate.charge(call % 3_600).price.0);
            priced += 1;
        }
    }
    let took = cpu_ns() - begun;
    let a_second = u128::from(CALLS) * 1_000_000_000 / u128::from(took);
    println!("{a_second} calls a second and core; {priced} of {CALLS} priced, {total} in all");
    assert!(priced > CALLS / 2, "the price list knows most numbers");
    assert!(a_second >= 1_000_000, "{a_second}");
}
