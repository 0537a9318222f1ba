//! The arithmetic against naive oracles.

use std::time::{Duration, Instant};

use facts::record::{LegFacts, Side};
use facts::{LegNo, Micros, Number, UnixMillis};
use money::{Hold, LegToSettle, Pattern, Priced, Quote, Rate, Tariff, plan};
use proptest::prelude::*;

/// Adds up interval by interval, as a fraction with denominator 60 micro-units, and rounds at the end.
fn oracle(rate: &Rate, talk_s: u64) -> i128 {
    let mut sixtieths = i128::from(rate.connect_fee.0) * 60;
    let mut left = i128::from(talk_s) - i128::from(rate.free_s);
    if left > 0 {
        sixtieths += i128::from(rate.first_per_minute.0) * i128::from(rate.initial_s);
        left -= i128::from(rate.initial_s);
        while left > 0 {
            sixtieths += i128::from(rate.per_minute.0) * i128::from(rate.next_s);
            left -= i128::from(rate.next_s);
        }
    }
    sixtieths = sixtieths.max(i128::from(rate.minimum.0) * 60);
    let unit = 60 * 10_i128.pow(6 - u32::from(rate.decimals));
    let (whole, rest) = (sixtieths / unit, sixtieths % unit);
    (whole + i128::from(2 * rest >= unit)) * 10_i128.pow(6 - u32::from(rate.decimals))
}

fn rates() -> impl Strategy<Value = Rate> {
    let price = prop_oneof![0..2_000_000_i64, 0..=1_000_000_000_000_000_i64];
    (
        0..1_000_000_000_i64,
        price.clone(),
        price,
        1..200_u32,
        1..200_u32,
        0..1_000_000_i64,
        0..30_u32,
        0..=6_u8,
    )
        .prop_map(|(connect, first, later, initial_s, next_s, minimum, free_s, decimals)| {
            Rate {
                connect_fee: Micros(connect),
                first_per_minute: Micros(first),
                per_minute: Micros(later),
                initial_s,
                next_s,
                minimum: Micros(minimum),
                free_s,
                decimals,
            }
        })
}

fn talked(answered: Option<i64>, ended: i64) -> LegFacts {
    LegFacts {
        no: LegNo::A,
        number: Number::E164("8613800138000".into()),
        as_sent: "13800138000".into(),
        shown: String::new(),
        trunk: "t".into(),
        sip_call_id: String::new(),
        invited: UnixMillis(0),
        progress: None,
        alerting: None,
        answered: answered.map(UnixMillis),
        ended: Some(UnixMillis(ended)),
        sip_final: Some(200),
        q850: None,
        released_by: Some(Side::Platform),
        failure: None,
        replaced_by: None,
        paid_until: None,
        media: Default::default(),
        recognised: None,
        spoken: Default::default(),
    }
}

proptest! {
    #[test]
    fn case_51_prices_up_to_a_thousand_million_equal_exact_fractions(
        rate in rates(), talk_s in 0..20_000_u64,
    ) {
        prop_assert_eq!(rate.check(), Ok(()));
        prop_assert_eq!(i128::from(rate.charge(talk_s).price.0), oracle(&rate, talk_s).min(i64::MAX.into()));
    }

    #[test]
    fn longer_talk_never_costs_less(rate in rates(), a in 0..100_000_u64, b in 0..100_000_u64) {
        let (short, long) = (a.min(b), a.max(b));
        prop_assert!(rate.charge(short).price <= rate.charge(long).price);
    }

    #[test]
    fn what_an_amount_covers_is_covered_and_not_a_interval_more(
        rate in rates(), amount in 0..50_000_000_i64,
    ) {
        let quote = Quote { prefix: "86".into(), rate };
        if let Some(talk) = quote.talk_for(Micros(amount)) && talk > 0 {
            prop_assert!(rate.charge(talk.into()).price.0 <= amount);
            let more = u64::from(talk) + u64::from(rate.next_s);
            prop_assert!(rate.charge(more).price.0 > amount || more > 99 * 86_400);
        }
    }

    /// Case 50: the CDR is the sum of what was posted, each hold is resolved once, and nothing is charged
    /// past the holds, however long the leg really lived.
    #[test]
    fn case_50_a_charge_never_passes_its_holds(
        rate in rates(), budget in 0..5_000_000_000_i64, steps in 0..12_u32, talk_ms in 0..5_000_000_i64,
        answered in any::<bool>(),
    ) {
        let quote = Quote { prefix: "86".into(), rate };
        let first = quote.first_chunk();
        let mut holds = vec![Hold { leg: LegNo::A, step: 0, amount: first.amount, until_s: first.until_s }];
        let mut spent = first.amount.0;
        for step in 1..=steps {
            let Some(until) = holds.last().and_then(|hold| hold.until_s) else { break };
            let Some(more) = quote.extension(until, Micros(budget - spent)) else { break };
            prop_assert!(more.until_s > Some(until));
            prop_assert!(spent + more.amount.0 <= budget);
            spent += more.amount.0;
            holds.push(Hold { leg: LegNo::A, step, amount: more.amount, until_s: more.until_s });
        }
        // B was promised and never dialled.
        holds.push(Hold { leg: LegNo::B, step: 0, amount: Micros(7), until_s: Some(60) });
        let facts = talked(answered.then_some(1_000), 1_000 + talk_ms);
        let legs = [LegToSettle { facts: &facts, quote: Some(&quote) }];
        let plan = plan(&legs, &holds, UnixMillis(0));
        prop_assert_eq!(plan.charges.len(), 1);
        let price = plan.charges[0].price;
        prop_assert_eq!(plan.total(), price);
        prop_assert_eq!(plan.holds.iter().map(|h| h.posted).sum::<Micros>(), price);
        prop_assert_eq!(plan.holds.len(), holds.len());
        prop_assert!(price.0 <= spent);
        for resolved in &plan.holds {
            prop_assert!(resolved.posted >= Micros::ZERO && resolved.posted <= resolved.hold.amount);
            prop_assert!(resolved.hold.leg == LegNo::A || resolved.posted == Micros::ZERO);
        }
        if !answered {
            prop_assert_eq!(price, Micros::ZERO);
        }
        let limit = holds.iter().rfind(|h| h.leg == LegNo::A).and_then(|h| h.until_s);
        if let (true, Some(limit)) = (answered, limit) {
            let talk_s = u64::try_from(talk_ms).unwrap().div_ceil(1000).min(limit.into());
            prop_assert_eq!(price, rate.charge(talk_s).price);
        }
    }

    #[test]
    fn the_longest_prefix_wins(
        prefixes in proptest::collection::btree_set("[0-9]{1,6}", 1..60), number in "[0-9]{4,15}",
    ) {
        let rows = prefixes.iter().enumerate().map(|(i, prefix)| {
            (Pattern::Prefix(prefix.clone()), Rate::per_minute(Micros(i64::try_from(i).unwrap())))
        });
        let tariff = Tariff::new(rows);
        let naive = prefixes.iter().filter(|p| number.starts_with(p.as_str())).max_by_key(|p| p.len());
        match (tariff.price(&Number::E164(number.clone())), naive) {
            (Priced::Row(Pattern::Prefix(found), _), Some(wanted)) => prop_assert_eq!(found, wanted),
            (Priced::Unpriced, None) => {}
            (found, wanted) => prop_assert!(false, "{:?} against {:?}", found, wanted),
        }
    }

    #[test]
    fn no_text_panics_as_a_pattern(text in ".{0,24}") {
        if let Ok(pattern) = text.parse::<Pattern>() {
            prop_assert_eq!(pattern.to_string(), text);
        }
    }
}

#[test]
fn exact_beats_prefix_beats_any_and_kinds_do_not_mix() {
    let rate = |price| Rate::per_minute(Micros(price));
    let rows = [("8613", 1), ("=8613800138000", 2), ("*", 3), ("short:10", 4), ("1", 5)];
    let tariff = Tariff::new(rows.map(|(text, price)| (text.parse().unwrap(), rate(price))));
    let price = |number: Number| match tariff.price(&number) {
        Priced::Row(_, rate) => Some(rate.per_minute.0),
        Priced::Free => Some(0),
        Priced::Unpriced => None,
    };
    assert_eq!(price(Number::E164("8613800138000".into())), Some(2));
    assert_eq!(price(Number::E164("86138001380001".into())), Some(1));
    assert_eq!(price(Number::E164("442079460000".into())), Some(3));
    assert_eq!(price(Number::Short("10086".into())), Some(4));
    assert_eq!(price(Number::Short("110".into())), Some(3));
    assert_eq!(price(Number::Internal("80000".into())), Some(0));
}

/// At least a million ratings a second over a hundred thousand prefixes in an optimised build; here it only
/// has to be within reach of that, so that a quadratic slip cannot hide.
#[test]
#[allow(clippy::disallowed_methods, reason = "measuring is the point")]
fn rating_is_fast_over_a_hundred_thousand_prefixes() {
    let rows = (0..100_000_u32).map(|i| {
        let digits = format!("{}{:05}", 1 + i % 9, i);
        (Pattern::Prefix(digits), Rate::per_minute(Micros(i64::from(i))))
    });
    let tariff = Tariff::new(rows);
    let numbers: Vec<Number> = (0..1000_u32)
        .map(|i| Number::E164(format!("{}{:05}1234567", 1 + (i * 97) % 9, i * 97)))
        .collect();
    let begun = Instant::now();
    let mut total = 0_i64;
    let rounds = 100;
    for round in 0..rounds {
        for number in &numbers {
            if let Priced::Row(_, rate) = tariff.price(number) {
                total = total.wrapping_add(rate.charge(round).price.0);
            }
        }
    }
    let each = begun.elapsed() / (u32::try_from(rounds).unwrap() * 1000);
    println!("{each:?} a rating ({total})");
    assert!(each < Duration::from_micros(20), "{each:?} a rating");
}
