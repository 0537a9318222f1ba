//! What A hears before anybody talks: ring-back, B's early media, the reason why B failed; and the tone
//! that says that the money is running out.

use std::time::Duration;

use e2e::country::{A, B, Country, KEY, USER, Wish};
use e2e::merchant::{Merchant, callback_target, http};
use e2e::pcap::{Capture, rtp_audio};
use e2e::sipp::Behaviour;
use e2e::sound;

/// A that answers at once and says nothing.
fn listening() -> Behaviour {
    Behaviour::Answer { ring_ms: 100, tone: None, talk_ms: None }
}

fn place(country: &Country, merchant: &Merchant) {
    let target = callback_target(USER, KEY, "ears", A, B, &merchant.url("/back"));
    let (_, body) = http(country.tandem.http, "GET", &target, &[], "");
    assert_eq!(body, "result=success&callbackid=ears");
}

/// What arrived at A's media port, as samples.
fn heard_by_a(capture: Capture, country: &Country) -> Vec<f32> {
    sound::alaw(&rtp_audio(&capture.stop(), country.carrier_a.media_port, 8))
}

#[test]
fn a_hears_ring_back_while_b_rings_and_it_stops_when_b_refuses() {
    let wish = Wish { settings: vec!["call.ring=3s".into()], ..Wish::default() };
    let country = Country::new(&wish, &listening(), &Behaviour::RingOnly, 1);
    let merchant = Merchant::start();
    let capture = Capture::start(country.folder.path(), &[country.carrier_a.media_port]);
    place(&country, &merchant);
    let told = merchant.wait_for("/back", 1).remove(0);
    assert_eq!(told.query("callback_result").as_deref(), Some("callee_noanswer"));
    let heard = heard_by_a(capture, &country);
    // 450 Hz, one second on, four off: of three seconds one.
    let ring = sound::tenths_of(&heard[..heard.len().min(8000 * 3)], 8000.0, 450.0);
    assert!((8..=12).contains(&ring), "{ring} tenths of ring-back in the first three seconds");
}

#[test]
fn a_hears_a_prompt_when_b_is_busy() {
    let b = Behaviour::Refuse { rings: false, status: "486 Busy Here", header: "" };
    let country = Country::new(&Wish::default(), &listening(), &b, 1);
    let merchant = Merchant::start();
    let capture = Capture::start(country.folder.path(), &[country.carrier_a.media_port]);
    place(&country, &merchant);
    let told = merchant.wait_for("/back", 1).remove(0);
    assert_eq!(told.query("callback_result").as_deref(), Some("callee_busy"));
    let heard = heard_by_a(capture, &country);
    let loud = heard.chunks(800).filter(|w| w.iter().any(|s| s.abs() > 0.05)).count();
    assert!(loud >= 10, "{loud} tenths of a second of sound in {} ms", heard.len() / 8);
}

#[test]
fn a_hears_early_media_of_b_before_the_answer_and_no_ring_back() {
    let tones = tempfile::tempdir().expect("a folder");
    let tone = tones.path().join("1100.al");
    sound::write_alaw_tone(&tone, 1100, 30);
    let b = Behaviour::EarlyMedia { tone, early_ms: 30_000 };
    let country = Country::new(&Wish::default(), &listening(), &b, 1);
    let merchant = Merchant::start();
    let capture = Capture::start(country.folder.path(), &[country.carrier_a.media_port]);
    place(&country, &merchant);
    country.tandem.wait_call("dialing_b");
    std::thread::sleep(Duration::from_millis(2500));
    let live = country.tandem.admin("GET", "/admin/v1/calls");
    assert_eq!(live["items"][0]["state"], "dialing_b", "B has not answered: {live}");
    let heard = heard_by_a(capture, &country);
    let early = sound::tenths_of(&heard, 8000.0, 1100.0);
    assert!(early >= 15, "{early} tenths of B's early media in {} ms", heard.len() / 8);
    let ring = sound::tenths_of(&heard[heard.len() / 2..], 8000.0, 450.0);
    assert_eq!(ring, 0, "ring-back goes on below early media");
}

/// The money lasts thirteen seconds. Both are warned ten seconds before the end, cut on time, billed not past
/// what was paid, and the balance does not go below zero.
#[test]
fn case_48_credit_warns_cuts_on_time_and_never_goes_below_zero() {
    const SECONDS: &str = r#"
      { prefix = "86", per_minute = "0.60", initial = 13, next = 1 },
    "#;
    let wish = Wish {
        balance: "0.27",
        rates: SECONDS,
        settings: vec!["call.warning=10s".into()],
        ..Wish::default()
    };
    let mut country = Country::new(&wish, &listening(), &listening(), 1);
    let merchant = Merchant::start();
    let ports = [country.carrier_a.media_port, country.carrier_b.media_port];
    let capture = Capture::start(country.folder.path(), &ports);
    place(&country, &merchant);
    let told = merchant.wait_for("/back", 1).remove(0);
    assert_eq!(
        told.query("callback_result").as_deref(),
        Some("balance_not_enough"),
        "{}",
        told.target
    );
    let seconds = |name| told.query(name).and_then(|s| s.parse::<u32>().ok()).expect("seconds");
    let (a, b) = (seconds("callback_duration"), seconds("destination_duration"));
    assert!((12..=14).contains(&a), "A talked {a} s of 14 paid");
    assert!((12..=13).contains(&b), "B talked {b} s of 13 paid");
    assert!(country.carrier_a.finish().success(), "A got BYE");
    assert!(country.carrier_b.finish().success(), "B got BYE");
    let seen = capture.stop();
    for (who, port) in ["A", "B"].iter().zip(ports) {
        let heard = sound::alaw(&rtp_audio(&seen, port, 8));
        // Nobody speaks: but for the ring-back at A, all that sounds is the warning.
        let beep = sound::tenths_of(&heard, 8000.0, WARNING);
        assert!(beep >= 1, "{who} was warned in {} ms", heard.len() / 8);
    }
    let balances = country.tandem.admin("GET", "/admin/v1/balances");
    let left = balances["items"][0]["posted_micros"].as_i64().expect("micros");
    assert!((0..=20_000).contains(&left), "{balances}");
    country.tandem.books_in_order();
}

/// Hertz of the warning tone.
const WARNING: f32 = 1400.0;
