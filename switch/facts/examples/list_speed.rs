//! What a look at a long list of numbers costs: `cargo run --release -p facts --example list_speed`.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement")]

use std::hint::black_box;
use std::time::Instant;

use facts::policy::NumberList;

const NUMBERS: u64 = 100_000;
const LOOKS: u64 = 10_000_000;

fn main() {
    let number = |nth: u64| {
        (8_613_000_000_000 + nth.wrapping_mul(2_654_435_761) % 1_000_000_000).to_string()
    };
    let written: Vec<String> = (0..NUMBERS).map(number).collect();
    let begun = Instant::now();
    let list = NumberList::new(written.iter().map(String::as_str), Vec::new(), Vec::new());
    println!("{NUMBERS} numbers read in {:?}", begun.elapsed());
    let asked: Vec<String> = (0..1_000).map(|nth| number(nth * 97)).collect();
    let begun = Instant::now();
    let mut found = 0_u64;
    for nth in 0..LOOKS {
        let digits = &asked[usize::try_from(nth % 1_000).unwrap_or(0)];
        found += u64::from(list.has(black_box(digits)));
    }
    let each = begun.elapsed().as_nanos() / u128::from(LOOKS);
    println!("{each} ns a look, {found} of {LOOKS} found");
}
