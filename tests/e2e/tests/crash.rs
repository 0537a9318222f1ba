//! `kill -9` of the switch at scripted moments: every open call is ended, billed once to its last proof
//! of life, its holds released, and the merchant told.

use std::time::Duration;

use e2e::country::{A, A_MINUTE, B, B_MINUTE, Country, KEY, USER, Wish};
use e2e::merchant::{Merchant, callback_target, http, notification_is_signed};
use e2e::sipp::Behaviour;

fn answering() -> Behaviour {
    Behaviour::Answer { ring_ms: 600, tone: None, talk_ms: None }
}

/// Places a call, kills the process `after` that, starts it again, and audits everything.
fn killed_after(after: Duration) {
    let wish = Wish { settings: vec!["call.checkpoint=1s".into()], ..Wish::default() };
    let mut country = Country::new(&wish, &answering(), &answering(), 1);
    let merchant = Merchant::start();
    let target = callback_target(USER, KEY, "crash", A, B, &merchant.url("/back"));
    let (_, body) = http(country.tandem.http, "GET", &target, &[], "");
    assert_eq!(body, "result=success&callbackid=crash");
    std::thread::sleep(after);
    country.tandem.kill();
    country.tandem.resume();
    let told = merchant.wait_for("/back", 1, Duration::from_secs(30)).remove(0);
    assert!(notification_is_signed(&told, KEY), "{}", told.target);
    assert_eq!(told.query("callback_result").as_deref(), Some("system_error"), "{after:?}");
    let cdrs = country.tandem.admin("GET", "/admin/v1/cdrs");
    let cdrs = cdrs["items"].as_array().expect("CDRs").clone();
    assert!(cdrs.len() <= 2, "{cdrs:#?}");
    let price: i64 = cdrs.iter().filter_map(|cdr| cdr["price"].as_i64()).sum();
    assert!(price <= A_MINUTE + B_MINUTE, "{cdrs:#?}");
    for cdr in &cdrs {
        let seconds = cdr["seconds"].as_u64().expect("seconds");
        assert!(seconds <= after.as_secs() + 1, "billed {seconds} s, lived {after:?}");
    }
    let (books, said) = country.tandem.run(&["check", "--books"]);
    assert!(books, "killed after {after:?}: {said}");
    let balances = country.tandem.admin("GET", "/admin/v1/balances");
    assert_eq!(balances["items"][0]["held_micros"], 0, "{balances}");
    assert_eq!(
        balances["items"][0]["posted_micros"].as_i64(),
        Some(100_000_000 - price),
        "{balances}"
    );
    // The same request again is the same call: nobody is rung twice.
    let (_, again) = http(country.tandem.http, "GET", &target, &[], "");
    assert_eq!(again, "result=success&callbackid=crash&duplicate=1");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(merchant.received("/back").len(), 1, "told once");
    // Whoever had surely answered is told that it is over.
    if after >= A_IS_UP {
        assert!(country.carrier_a.finish(Duration::from_secs(10)).success(), "A got BYE");
    }
    if after >= BOTH_ARE_UP {
        assert!(country.carrier_b.finish(Duration::from_secs(10)).success(), "B got BYE");
        assert_eq!(cdrs.len(), 2, "{cdrs:#?}");
    }
    // Past a proof of life both are charged, for no less than they are known to have talked.
    if after >= BOTH_ARE_PROVED {
        assert_eq!(price, A_MINUTE + B_MINUTE, "{cdrs:#?}");
        for cdr in &cdrs {
            let seconds = cdr["seconds"].as_u64().expect("seconds");
            assert!(seconds + 3 >= after.as_secs(), "billed {seconds} s, lived {after:?}");
        }
    }
}

/// A answers at 600 ms; the rest is for a slow machine.
const A_IS_UP: Duration = Duration::from_millis(900);
/// B answers at 1200 ms.
const BOTH_ARE_UP: Duration = Duration::from_millis(2000);
/// The first checkpoint after that.
const BOTH_ARE_PROVED: Duration = Duration::from_millis(3000);

macro_rules! moments {
    ($($name:ident: $ms:expr;)*) => {
        $(#[test]
        fn $name() {
            killed_after(Duration::from_millis($ms));
        })*
    };
}

// A rings at about 5 ms and answers at 600; B rings then and answers at 1200; then they talk.
moments! {
    killed_at_0000_ms: 0;
    killed_at_0002_ms: 2;
    killed_at_0005_ms: 5;
    killed_at_0010_ms: 10;
    killed_at_0020_ms: 20;
    killed_at_0100_ms: 100;
    killed_at_0300_ms: 300;
    killed_at_0590_ms: 590;
    killed_at_0600_ms: 600;
    killed_at_0605_ms: 605;
    killed_at_0615_ms: 615;
    killed_at_0650_ms: 650;
    killed_at_0900_ms: 900;
    killed_at_1195_ms: 1195;
    killed_at_1205_ms: 1205;
    killed_at_1220_ms: 1220;
    killed_at_1300_ms: 1300;
    killed_at_2000_ms: 2000;
    killed_at_3000_ms: 3000;
    killed_at_5500_ms: 5500;
}
