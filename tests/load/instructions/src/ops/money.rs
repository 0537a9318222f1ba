//! Pricing and settling, without a store.

use std::hint::black_box;
use std::time::Duration;

use facts::media::MediaStats;
use facts::record::{LegFacts, Side};
use facts::{LegNo, Micros, Number, UnixMillis};
use money::{Hold, LegToSettle, Pattern, Quote, Rate, Tariff, plan};

use crate::Meter;

/// Prefixes of the price list.
const PREFIXES: u64 = 100_000;

/// A fixed mixing of bits (splitmix64): numbers that look drawn by lot and are the same every time.
fn mixed(n: u64) -> u64 {
    let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Prefixes of 3 to 8 digits; those that come twice are priced once.
fn tariff() -> Tariff {
    let row = |n: u64| {
        let length = 3 + usize::try_from(mixed(n) % 6).unwrap_or(0);
        let digits = format!("{:08}", mixed(n + PREFIXES) % 100_000_000);
        let price = Micros(10_000 + i64::try_from(n).unwrap_or(0));
        (Pattern::Prefix(digits[..length].to_owned()), Rate::per_minute(price))
    };
    let every =
        (0..1000).map(|n| (Pattern::Prefix(format!("{n:03}")), Rate::per_minute(Micros(5))));
    Tariff::new(every.chain((0..PREFIXES).map(row)))
}

pub(super) fn rate(meter: &mut Meter, rounds: u64) {
    let tariff = tariff();
    let numbers: Vec<Number> =
        (0..1000).map(|n| Number::E164(format!("{:012}", mixed(n) % 1_000_000_000_000))).collect();
    meter.start();
    meter.measure(|| {
        for (round, number) in (0..rounds).zip(numbers.iter().cycle()) {
            let money::Priced::Row(_, rate) = tariff.price(black_box(number)) else {
                unreachable!("every number of three digits and more has a price");
            };
            assert!(black_box(rate.charge(1 + round % 600)).price > Micros::ZERO);
        }
    });
}

pub(super) fn settle(meter: &mut Meter, rounds: u64) {
    let now = UnixMillis(1_763_700_000_000);
    let quote = |price| Quote { prefix: "8613".into(), rate: Rate::per_minute(Micros(price)) };
    let quotes = [quote(100_000), quote(150_000)];
    let facts = [leg(LegNo::A, now), leg(LegNo::B, now)];
    let hold = |leg, step, amount| Hold {
        leg,
        step,
        amount: Micros(amount),
        until_s: Some(60 * (step + 1)),
    };
    let holds = [
        hold(LegNo::A, 0, 100_000),
        hold(LegNo::A, 1, 100_000),
        hold(LegNo::B, 0, 150_000),
        hold(LegNo::B, 1, 150_000),
    ];
    let legs = [
        LegToSettle { facts: &facts[0], quote: Some(&quotes[0]) },
        LegToSettle { facts: &facts[1], quote: Some(&quotes[1]) },
    ];
    meter.start();
    meter.measure(|| {
        for _ in 0..rounds {
            let plan = plan(black_box(&legs), black_box(&holds), now + Duration::from_secs(100));
            assert_eq!(plan.total(), Micros(500_000));
        }
    });
}

fn leg(no: LegNo, now: UnixMillis) -> LegFacts {
    LegFacts {
        no,
        number: Number::E164("8613800138000".into()),
        as_sent: "13800138000".into(),
        shown: String::new(),
        trunk: "carrier".into(),
        sip_call_id: "x".into(),
        invited: now,
        progress: None,
        alerting: Some(now),
        answered: Some(now),
        ended: Some(now + Duration::from_secs(100)),
        sip_final: Some(200),
        q850: Some(16),
        released_by: Some(Side::Caller),
        failure: None,
        replaced_by: None,
        paid_until: Some(Duration::from_secs(120)),
        media: MediaStats::default(),
        recognised: None,
        spoken: Default::default(),
    }
}
