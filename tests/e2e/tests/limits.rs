//! Limits hold under parallel requests, and what a failed call took comes back.

use std::sync::atomic::{AtomicUsize, Ordering};

use e2e::country::{A, B, Country, KEY, USER, Wish};
use e2e::merchant::{Merchant, callback_target, http};
use e2e::sipp::Behaviour;
use e2e::tandem::Tandem;

fn place(tandem: &Tandem, merchant: &Merchant, id: &str) -> String {
    let target = callback_target(USER, KEY, id, A, B, &merchant.url("/back"));
    http(tandem.http, "GET", &target, &[], "").1
}

/// A thousand requests at once, with money for one call.
#[test]
fn case_47_a_thousand_parallel_requests_with_money_for_one() {
    let wish = Wish { balance: "0.25", max_calls: 2000, ..Wish::default() };
    let country = Country::new(&wish, &Behaviour::RingOnly, &Behaviour::RingOnly, 1);
    let merchant = Merchant::start();
    let (accepted, poor) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..50 {
            let (country, merchant) = (&country, &merchant);
            let (accepted, poor) = (&accepted, &poor);
            scope.spawn(move || {
                for n in 0..20 {
                    let answer = place(&country.tandem, merchant, &format!("p{thread}-{n}"));
                    if answer.starts_with("result=success") {
                        accepted.fetch_add(1, Ordering::Relaxed);
                    } else {
                        assert_eq!(answer, "result=fail&code=1006&msg=balance_not_enough");
                        poor.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!((accepted.into_inner(), poor.into_inner()), (1, 999));
    let live = country.tandem.admin("GET", "/admin/v1/calls");
    assert_eq!(live["items"].as_array().map(Vec::len), Some(1), "{live}");
    let balances = country.tandem.admin("GET", "/admin/v1/balances");
    assert_eq!(balances["items"][0]["held_micros"], 250_000, "{balances}");
    country.tandem.books_in_order();
}

/// Two calls at a time: the third is refused while two ring, and the slots come back when they failed.
#[test]
fn case_41_case_69_slots_come_back_after_failures() {
    // Long enough for three requests on a machine that stalls.
    let settings = vec!["call.ring=8s".into()];
    let wish = Wish { max_calls: 2, settings, ..Wish::default() };
    let country = Country::new(&wish, &Behaviour::RingOnly, &Behaviour::RingOnly, 6);
    let merchant = Merchant::start();
    for round in 0..3 {
        for n in 0..2 {
            let answer = place(&country.tandem, &merchant, &format!("r{round}-{n}"));
            assert!(answer.starts_with("result=success"), "round {round}: {answer}");
        }
        let third = place(&country.tandem, &merchant, &format!("r{round}-2"));
        assert_eq!(third, "result=fail&code=1011&msg=too_many_calls", "round {round}");
        let told = merchant.wait_for("/back", (round + 1) * 2);
        assert!(
            told.iter().all(|t| t.query("callback_result").as_deref() == Some("caller_noanswer"))
        );
    }
    let balances = country.tandem.admin("GET", "/admin/v1/balances");
    assert_eq!(balances["items"][0]["held_micros"], 0, "{balances}");
    assert_eq!(balances["items"][0]["posted_micros"], 100_000_000, "{balances}");
    country.tandem.books_in_order();
}
