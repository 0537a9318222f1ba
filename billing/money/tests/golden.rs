//! Published rating examples, recomputed exactly, and the billing faults others had.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use facts::Micros;
use money::Rate;

fn micros(text: &str) -> Micros {
    text.parse().expect("an amount")
}

fn rate(connect: &str, per_minute: &str, initial_s: u32, next_s: u32) -> Rate {
    Rate { connect_fee: micros(connect), initial_s, next_s, ..Rate::per_minute(micros(per_minute)) }
}

#[test]
fn the_published_examples_come_out_exactly() {
    let table = [
        (rate("0.2", "1.2", 60, 1), 45, "1.4"),
        (rate("0.1", "0.6", 1, 1), 45, "0.55"),
        (rate("0.1", "0", 60, 60), 45, "0.1"),
        (rate("0.1", "0", 60, 60), 645, "0.1"),
        (rate("0.05", "0.6", 60, 1), 62, "0.67"),
    ];
    for (rate, seconds, price) in table {
        assert_eq!(rate.charge(seconds).price, micros(price), "{rate:?} for {seconds} s");
    }
}

#[test]
fn case_50_thirty_six_is_charged_as_it_is_held() {
    let rate = rate("0", "0.006", 30, 6);
    for (seconds, charged, price) in [(32, 36, "0.0036"), (57, 60, "0.0060"), (75, 78, "0.0078")] {
        let charge = rate.charge(seconds);
        assert_eq!((charge.seconds, charge.price), (charged, micros(price)), "{seconds} s");
    }
}

#[test]
fn increments_of_a_second_do_not_drift() {
    let rate = Rate { decimals: 4, ..rate("0", "0.1", 1, 1) };
    assert_eq!(rate.charge(180).price, micros("0.3"));
}

#[test]
fn the_first_part_may_have_its_own_price() {
    let rate = Rate { first_per_minute: micros("3"), ..rate("0", "0.6", 60, 1) };
    assert_eq!(rate.charge(10).price, micros("3"));
    assert_eq!(rate.charge(70).price, micros("3.1"));
}

#[test]
fn a_minimum_lifts_a_short_call_only() {
    let rate = Rate { minimum: micros("0.5"), ..rate("0", "0.6", 1, 1) };
    assert_eq!(rate.charge(1).price, micros("0.5"));
    assert_eq!(rate.charge(50).price, micros("0.5"));
    assert_eq!(rate.charge(51).price, micros("0.51"));
}
