//! Results reach the merchant in the end, and a dead merchant is not bothered without end.

use std::time::Duration;

use e2e::country::{A, B, Country, KEY, USER, Wish};
use e2e::merchant::{Merchant, callback_target, http, notification_is_signed};
use e2e::sipp::Behaviour;

fn refusing() -> Behaviour {
    Behaviour::Refuse { rings: false, status: "486 Busy Here", header: "" }
}

fn retries() -> Wish {
    // The same rule as always, only sooner.
    Wish { settings: vec!["push.delays=0s,1s,2s".into()], ..Wish::default() }
}

#[test]
fn two_results_are_delivered_after_two_500s_each() {
    let country = Country::new(&retries(), &refusing(), &refusing(), 2);
    let merchant = Merchant::start();
    merchant.answer_next(&[(500, "no"), (500, "no")]);
    for id in ["one", "two"] {
        let target = callback_target(USER, KEY, id, A, B, &merchant.url(&format!("/{id}")));
        let _ = http(country.tandem.http, "GET", &target, &[], "");
        let sent = merchant.wait_for(&format!("/{id}"), 3);
        assert!(sent.iter().all(|s| s.target == sent[0].target), "the same bytes each time");
        assert!(notification_is_signed(&sent[2], KEY));
        merchant.answer_next(&[(500, "no"), (500, "no")]);
    }
}

/// Field case 70.
#[test]
fn case_70_no_fourth_attempt_and_redelivery_works() {
    let country = Country::new(&retries(), &refusing(), &refusing(), 1);
    let merchant = Merchant::start();
    merchant.answer_next(&[(200, ""), (500, "success"), (200, "fail")]);
    let target = callback_target(USER, KEY, "dead", A, B, &merchant.url("/dead"));
    let _ = http(country.tandem.http, "GET", &target, &[], "");
    let _ = merchant.wait_for("/dead", 3);
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(merchant.received("/dead").len(), 3, "no fourth attempt");
    let parked = country.tandem.admin("GET", "/admin/v1/outbox?state=parked");
    let id = parked["items"][0]["id"].as_i64().expect("a parked event");
    // Whoever looks learns why, in the read-out and in the log; the merchant's own words are in the read-out only.
    let words = "HTTP 200 with other words than the system asks for";
    assert_eq!(parked["items"][0]["reason"], words);
    let log = country.tandem.log();
    let said = |what: &str, reason: &str| {
        log.lines()
            .any(|line| line.contains(what) && line.contains(&format!("reason=\"{reason}\"")))
    };
    assert!(said("push failed", "HTTP 500") && said("push failed: parked", words), "{log}");
    let _ = country.tandem.admin("POST", &format!("/admin/v1/outbox/{id}/redeliver"));
    let all = merchant.wait_for("/dead", 4);
    assert_eq!(all[3].target, all[0].target);
}
