//! PostgreSQL as the store: the same call, and the same call with the database killed in the middle.

use std::time::Duration;

use e2e::country::{A, A_MINUTE, B, B_MINUTE, Country, KEY, USER, Wish};
use e2e::merchant::{Merchant, callback_target, http, notification_is_signed};
use e2e::postgres::Postgres;
use e2e::sipp::Behaviour;

fn country(postgres: &Postgres, talk_ms: u32) -> Country {
    let answering = |talk_ms| Behaviour::Answer { ring_ms: 600, tone: None, talk_ms };
    let settings = vec![
        format!("database={}", postgres.url()),
        "call.checkpoint=1s".into(),
        // The same rule as always, only sooner.
        "push.delays=0s,1s,2s".into(),
    ];
    let wish = Wish { settings, ..Wish::default() };
    Country::new(&wish, &answering(None), &answering(Some(talk_ms)), 1)
}

fn place(country: &Country, merchant: &Merchant) -> String {
    let target = callback_target(USER, KEY, "pg", A, B, &merchant.url("/back"));
    http(country.tandem.http, "GET", &target, &[], "").1
}

/// What must be true of a call that was talked to its end, whatever befell the database.
fn settled(country: &mut Country, merchant: &Merchant) {
    let told = merchant.wait_for("/back", 1).remove(0);
    assert!(notification_is_signed(&told, KEY), "{}", told.target);
    assert_eq!(told.query("callback_result").as_deref(), Some("success"), "{}", told.target);
    assert!(country.carrier_a.finish().success(), "A got BYE");
    assert!(country.carrier_b.finish().success(), "B had its talk");
    let cdrs = country.tandem.admin("GET", "/admin/v1/cdrs");
    let cdrs = cdrs["items"].as_array().expect("CDRs").clone();
    assert_eq!(cdrs.len(), 2, "{cdrs:#?}");
    let price: i64 = cdrs.iter().filter_map(|cdr| cdr["price"].as_i64()).sum();
    assert_eq!(price, A_MINUTE + B_MINUTE, "{cdrs:#?}");
    let balances = country.tandem.admin("GET", "/admin/v1/balances");
    assert_eq!(balances["items"][0]["held_micros"], 0, "{balances}");
    assert_eq!(balances["items"][0]["posted_micros"], 100_000_000 - price, "{balances}");
    country.tandem.books_in_order();
    std::thread::sleep(Duration::from_millis(300));
    let sent = merchant.received("/back");
    assert!(sent.iter().all(|s| s.target == sent[0].target), "the same bytes each time");
}

#[test]
fn a_call_on_postgresql() {
    let postgres = Postgres::start();
    let mut country = country(&postgres, 2000);
    let merchant = Merchant::start();
    assert_eq!(place(&country, &merchant), "result=success&callbackid=pg");
    settled(&mut country, &merchant);
    assert_eq!(merchant.received("/back").len(), 1, "told once");
}

/// Kills the database `after` the call was accepted, for `down`: the call goes on, and is settled and reported
/// once the database is back.
fn killed(after: Duration, down: Duration) {
    let mut postgres = Postgres::start();
    let mut country = country(&postgres, 3000);
    let merchant = Merchant::start();
    assert_eq!(place(&country, &merchant), "result=success&callbackid=pg");
    std::thread::sleep(after);
    postgres.kill();
    std::thread::sleep(down);
    postgres.boot();
    settled(&mut country, &merchant);
}

macro_rules! moments {
    ($($name:ident: $after:expr, $down:expr;)*) => {
        $(#[test]
        fn $name() {
            killed(Duration::from_millis($after), Duration::from_millis($down));
        })*
    };
}

// A answers at 600 ms, B at 1200; B hangs up at 4200.
moments! {
    postgresql_killed_while_a_rings: 300, 1500;
    postgresql_killed_as_b_is_called: 605, 1500;
    postgresql_killed_as_both_are_joined: 1200, 1500;
    postgresql_killed_while_they_talk: 2200, 1000;
    postgresql_killed_until_after_the_end: 3500, 3000;
}
