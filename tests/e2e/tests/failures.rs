//! Every row of the failure table on the real binary: what the merchant is told, what is charged, and
//! that nobody is left ringing.

use std::time::Duration;

use e2e::country::{A, A_MINUTE, B, B_MINUTE, Country, KEY, USER, Wish};
use e2e::merchant::{Merchant, callback_target, http, notification_is_signed};
use e2e::sipp::Behaviour;

/// What must come of a call.
struct Expect {
    result: &'static str,
    price: i64,
    cdrs: usize,
}

fn answering(talk_ms: Option<u32>) -> Behaviour {
    Behaviour::Answer { ring_ms: 200, tone: None, talk_ms }
}

fn refusing(status: &'static str) -> Behaviour {
    Behaviour::Refuse { rings: false, status, header: "" }
}

/// Places one call between two behaviours and checks everything that is said about it afterwards.
fn row(wish: &Wish, a: &Behaviour, b: &Behaviour, expect: &Expect) -> Country {
    let country = Country::new(wish, a, b, 1);
    let merchant = Merchant::start();
    let target = callback_target(USER, KEY, "row", A, B, &merchant.url("/back"));
    let (_, body) = http(country.tandem.http, "GET", &target, &[], "");
    assert_eq!(body, "result=success&callbackid=row");
    let told = merchant.wait_for("/back", 1).remove(0);
    assert!(notification_is_signed(&told, KEY), "{}", told.target);
    assert_eq!(told.query("callback_result").as_deref(), Some(expect.result), "{}", told.target);
    let cdrs = country.tandem.admin("GET", "/admin/v1/cdrs");
    let cdrs = cdrs["items"].as_array().expect("CDRs").clone();
    assert_eq!(cdrs.len(), expect.cdrs, "{cdrs:#?}");
    let price: i64 = cdrs.iter().filter_map(|cdr| cdr["price"].as_i64()).sum();
    assert_eq!(price, expect.price, "{cdrs:#?}");
    let (books, said) = country.tandem.run(&["check", "--books"]);
    assert!(books, "{said}");
    let live = country.tandem.admin("GET", "/admin/v1/calls");
    assert_eq!(live["items"].as_array().map(Vec::len), Some(0), "{live}");
    country
}

#[test]
fn a_busy() {
    let expect = Expect { result: "caller_busy", price: 0, cdrs: 1 };
    row(&Wish::default(), &refusing("486 Busy Here"), &answering(None), &expect);
}

#[test]
fn a_rejects() {
    let expect = Expect { result: "caller_reject", price: 0, cdrs: 1 };
    row(&Wish::default(), &refusing("603 Decline"), &answering(None), &expect);
}

#[test]
fn a_does_not_answer() {
    let wish = Wish { settings: vec!["call.ring=3s".into()], ..Wish::default() };
    let expect = Expect { result: "caller_noanswer", price: 0, cdrs: 1 };
    let mut country = row(&wish, &Behaviour::RingOnly, &answering(None), &expect);
    assert!(country.carrier_a.finish().success(), "A was cancelled");
}

#[test]
fn a_is_unreachable() {
    let expect = Expect { result: "caller_unreachable", price: 0, cdrs: 1 };
    row(&Wish::default(), &refusing("480 Temporarily Unavailable"), &answering(None), &expect);
}

#[test]
fn b_busy_and_a_hears_why() {
    let expect = Expect { result: "callee_busy", price: A_MINUTE, cdrs: 2 };
    let mut country = row(&Wish::default(), &answering(None), &refusing("486 Busy Here"), &expect);
    assert!(country.carrier_a.finish().success(), "A got BYE");
    let bye = country.carrier_a.messages();
    assert!(bye.contains("Reason: Q.850;cause=17"), "BYE says why:\n{bye}");
}

#[test]
fn b_rejects_after_ringing() {
    let b = Behaviour::Refuse { rings: true, status: "603 Decline", header: "" };
    let expect = Expect { result: "callee_reject", price: A_MINUTE, cdrs: 2 };
    row(&Wish::default(), &answering(None), &b, &expect);
}

#[test]
fn b_does_not_answer() {
    let wish = Wish { settings: vec!["call.ring=3s".into()], ..Wish::default() };
    let expect = Expect { result: "callee_noanswer", price: A_MINUTE, cdrs: 2 };
    let mut country = row(&wish, &answering(None), &Behaviour::RingOnly, &expect);
    assert!(country.carrier_b.finish().success(), "B was cancelled");
}

#[test]
fn b_is_unallocated() {
    let expect = Expect { result: "callee_invalid", price: A_MINUTE, cdrs: 2 };
    row(&Wish::default(), &answering(None), &refusing("404 Not Found"), &expect);
}

#[test]
fn b_is_unallocated_by_q850_alone() {
    let b = Behaviour::Refuse {
        rings: false,
        status: "480 Temporarily Unavailable",
        header: "Reason: Q.850;cause=1;text=\"Unallocated\"",
    };
    let expect = Expect { result: "callee_invalid", price: A_MINUTE, cdrs: 2 };
    row(&Wish::default(), &answering(None), &b, &expect);
}

#[test]
fn b_is_unreachable() {
    let expect = Expect { result: "callee_unreachable", price: A_MINUTE, cdrs: 2 };
    row(&Wish::default(), &answering(None), &refusing("480 Temporarily Unavailable"), &expect);
}

/// Field cases 20 and 66: no ghost on B, and the merchant is told.
#[test]
fn case_20_case_66_a_hangs_up_while_b_rings() {
    let expect = Expect { result: "caller_hangup", price: A_MINUTE, cdrs: 2 };
    let mut country = row(&Wish::default(), &answering(Some(1500)), &Behaviour::RingOnly, &expect);
    assert!(country.carrier_b.finish().success(), "B was cancelled");
}

#[test]
fn longest_duration_cuts_both() {
    let wish = Wish { max_talk: 5, ..Wish::default() };
    let expect = Expect { result: "timeout", price: A_MINUTE + B_MINUTE, cdrs: 2 };
    let mut country = row(&wish, &answering(None), &answering(None), &expect);
    assert!(country.carrier_a.finish().success(), "A got BYE");
    assert!(country.carrier_b.finish().success(), "B got BYE");
}

/// Field case 55: a phone that is gone without BYE does not talk for hours.
#[test]
fn case_55_rtp_silence_ends_the_call() {
    let wish = Wish { settings: vec!["call.silence=4s".into()], ..Wish::default() };
    let expect = Expect { result: "success", price: A_MINUTE + B_MINUTE, cdrs: 2 };
    row(&wish, &answering(None), &Behaviour::VanishAfterAnswer, &expect);
}

/// Field case 55: B loses its power in the middle of a word. What it is billed ends with its last packet, not
/// with our patience.
#[test]
fn case_55_a_lost_bye_is_billed_to_the_last_packet() {
    let tones = tempfile::tempdir().expect("a folder");
    let tone = tones.path().join("1100.al");
    e2e::sound::write_alaw_tone(&tone, 1100, 30);
    let wish = Wish { settings: vec!["call.silence=5s".into()], ..Wish::default() };
    let party = Behaviour::Answer { ring_ms: 100, tone: Some(tone), talk_ms: None };
    let mut country = Country::new(&wish, &party, &party, 1);
    let merchant = Merchant::start();
    let target = callback_target(USER, KEY, "power", A, B, &merchant.url("/back"));
    let _ = http(country.tandem.http, "GET", &target, &[], "");
    country.tandem.wait_call("bridged");
    let joined = std::time::Instant::now();
    std::thread::sleep(Duration::from_millis(2000));
    country.carrier_b.kill();
    let lived = u32::try_from(joined.elapsed().as_secs()).expect("seconds");
    let told = merchant.wait_for("/back", 1).remove(0);
    let seconds: u32 =
        told.query("destination_duration").and_then(|s| s.parse().ok()).expect("seconds");
    // The five seconds of silence are not billed.
    let billed = 2..=lived + 4;
    assert!(billed.contains(&seconds), "B is billed {seconds} s: {}", told.target);
    assert!(country.carrier_a.finish().success(), "A got BYE");
    country.tandem.books_in_order();
}

/// A hangs up and B never answers our BYE: nobody waits for B.
#[test]
fn a_bye_that_b_never_answers_holds_nothing_up() {
    let begun = std::time::Instant::now();
    let expect = Expect { result: "success", price: A_MINUTE + B_MINUTE, cdrs: 2 };
    row(&Wish::default(), &answering(Some(1500)), &Behaviour::VanishAfterAnswer, &expect);
    // Our BYE is said again for 32 s (RFC 3261 §17.1.2.2).
    assert!(begun.elapsed() < Duration::from_secs(25), "told after {:?}", begun.elapsed());
}

/// Nobody at all at B's carrier: not even an answer that says so. A person waits on leg A, so
/// the leg is given up long before timer B would (RFC 3261 §17.1.1.2).
#[test]
fn b_s_carrier_is_dead() {
    let mut country = Country::new(&Wish::default(), &answering(None), &answering(None), 1);
    country.carrier_b.kill();
    let merchant = Merchant::start();
    let target = callback_target(USER, KEY, "dead", A, B, &merchant.url("/back"));
    let _ = http(country.tandem.http, "GET", &target, &[], "");
    let told = merchant.wait_for("/back", 1).remove(0);
    let result = told.query("callback_result");
    assert_eq!(result.as_deref(), Some("callee_unreachable"), "{}", told.target);
    assert_eq!(told.query("destination_fee").as_deref(), Some("0.00"), "{}", told.target);
    assert!(country.carrier_a.finish().success(), "A got BYE");
    country.tandem.books_in_order();
}

/// The merchant ends a call that it placed: both are hung up, billed and reported.
#[test]
fn the_merchant_hangs_up() {
    let mut country = Country::new(&Wish::default(), &answering(None), &answering(None), 1);
    let merchant = Merchant::start();
    let target = callback_target(USER, KEY, "enough", A, B, &merchant.url("/back"));
    let _ = http(country.tandem.http, "GET", &target, &[], "");
    country.tandem.wait_call("bridged");
    let base = format!("username={USER}&callbackid=enough");
    let sign = e2e::merchant::md5_hex(&format!("{base}&key={KEY}"));
    let target = format!("/api/biz_hangup?{base}&sign={sign}");
    let (_, body) = http(country.tandem.http, "GET", &target, &[], "");
    assert!(body.starts_with("result=success"), "{body}");
    let told = merchant.wait_for("/back", 1).remove(0);
    assert_eq!(told.query("destination_fee").as_deref(), Some("0.15"), "{}", told.target);
    assert!(country.carrier_a.finish().success(), "A got BYE");
    assert!(country.carrier_b.finish().success(), "B got BYE");
    country.tandem.books_in_order();
}

/// Field cases 47 and 48: no balance, no call; and the merchant hears it at once.
#[test]
fn no_balance_is_refused_at_once() {
    let wish = Wish { balance: "0.20", ..Wish::default() };
    let country = Country::new(&wish, &answering(None), &answering(None), 1);
    let merchant = Merchant::start();
    let target = callback_target(USER, KEY, "poor", A, B, &merchant.url("/back"));
    let (_, body) = http(country.tandem.http, "GET", &target, &[], "");
    assert_eq!(body, "result=fail&code=1006&msg=balance_not_enough");
    assert!(!country.carrier_a.messages().contains("INVITE"), "nobody was dialled");
}

#[test]
fn no_route_is_refused_at_once() {
    let country = Country::new(&Wish::default(), &answering(None), &answering(None), 1);
    let merchant = Merchant::start();
    let target = callback_target(USER, KEY, "far", A, "0044207946000", &merchant.url("/back"));
    let (_, body) = http(country.tandem.http, "GET", &target, &[], "");
    assert_eq!(body, "result=fail&code=1008&msg=destination_num_invalid");
}

/// The process is told to stop: no new calls, the live one ends with a reason, everything is settled.
#[test]
fn case_45_shutdown_ends_settles_and_reports() {
    let wish = Wish { settings: vec!["call.drain_grace=2s".into()], ..Wish::default() };
    let mut country = Country::new(&wish, &answering(None), &answering(None), 1);
    let merchant = Merchant::start();
    let target = callback_target(USER, KEY, "stop", A, B, &merchant.url("/back"));
    let _ = http(country.tandem.http, "GET", &target, &[], "");
    e2e::wait::until("the call to be joined", || {
        let live = country.tandem.admin("GET", "/admin/v1/calls");
        (live["items"][0]["state"] == "bridged").then_some(())
    });
    let status = country.tandem.terminate();
    assert!(status.success(), "{status}");
    assert!(country.carrier_a.finish().success(), "A got BYE");
    assert!(country.carrier_b.finish().success(), "B got BYE");
    country.tandem.resume();
    let told = merchant.wait_for("/back", 1);
    assert_eq!(told[0].query("callback_result").as_deref(), Some("system_error"));
    assert_eq!(told.len(), 1, "told once");
}
