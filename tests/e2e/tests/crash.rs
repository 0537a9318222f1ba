//! `kill -9` of the switch at scripted moments: every open call is ended, billed once to its last proof
//! of life, its holds released, and the merchant told.

use std::time::{Duration, Instant};

use e2e::country::{A, A_MINUTE, B, B_MINUTE, Country, KEY, USER, Wish};
use e2e::merchant::{Merchant, callback_target, http, notification_is_signed};
use e2e::sipp::{Behaviour, Sipp};

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
    let placed = Instant::now();
    let joined = (after >= BOTH_ARE_UP).then(|| {
        country.tandem.wait_call("bridged");
        // The ACK leaves when what ends the session is written: a slow disk is waited for as well.
        let since = Instant::now();
        while !confirmed(&country.carrier_b) && since.elapsed() < STALL {
            std::thread::sleep(Duration::from_millis(5));
        }
        Instant::now()
    });
    std::thread::sleep(joined.map_or(after, |_| after - BOTH_ARE_UP));
    // A machine that stalls kills later than it meant to: what counts is what was.
    let talked = joined.map(|joined| joined.elapsed());
    country.tandem.kill();
    let lived = placed.elapsed();
    let a_talked = confirmed(&country.carrier_a);
    country.tandem.resume();
    let told = merchant.wait_for("/back", 1).remove(0);
    assert!(notification_is_signed(&told, KEY), "{}", told.target);
    assert_eq!(told.query("callback_result").as_deref(), Some("system_error"), "{after:?}");
    let cdrs = country.tandem.admin("GET", "/admin/v1/cdrs");
    let cdrs = cdrs["items"].as_array().expect("CDRs").clone();
    assert!(cdrs.len() <= 2, "{cdrs:#?}");
    let price: i64 = cdrs.iter().filter_map(|cdr| cdr["price"].as_i64()).sum();
    assert!(price <= A_MINUTE + B_MINUTE, "{cdrs:#?}");
    for cdr in &cdrs {
        let seconds = cdr["seconds"].as_u64().expect("seconds");
        assert!(seconds <= lived.as_secs() + 1, "billed {seconds} s, lived {lived:?}");
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
    if a_talked {
        assert!(country.carrier_a.finish().success(), "A got BYE");
    }
    if joined.is_some() {
        assert!(country.carrier_b.finish().success(), "B got BYE");
        assert_eq!(cdrs.len(), 2, "{cdrs:#?}");
    }
    // Past a proof of life both are charged, for no less than they are known to have talked.
    if let Some(talked) = talked.filter(|talked| *talked > STALL) {
        assert_eq!(price, A_MINUTE + B_MINUTE, "{cdrs:#?}");
        for cdr in &cdrs {
            let seconds = cdr["seconds"].as_u64().expect("seconds");
            assert!(
                Duration::from_secs(seconds) + STALL >= talked,
                "billed {seconds} s, talked {talked:?}"
            );
        }
    }
}

/// Whether a carrier's call was answered and the answer confirmed.
fn confirmed(carrier: &Sipp) -> bool {
    carrier.messages().lines().any(|line| line.starts_with("ACK "))
}

/// A answers at 600 ms, B at 1200 ms; on a slow machine later: from here on they are waited for.
const BOTH_ARE_UP: Duration = Duration::from_millis(2000);
/// A checkpoint (1 s), and what a busy machine may be late with it.
const STALL: Duration = Duration::from_secs(5);

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
    killed_at_9000_ms: 9000;
}
