//! A callback that succeeds: sipp on both sides. What each side heard is measured,
//! so is what was recorded, and the money.

use e2e::country::{self, A, B, Country, KEY, USER, Wish};
use e2e::merchant::{Merchant, callback_target, http, notification_is_signed};
use e2e::pcap::{Capture, rtp_audio};
use e2e::sipp::Behaviour;
use e2e::sound::{self, Sound};

#[test]
fn sipp_to_sipp_each_hears_the_other_and_both_are_recorded_billed_and_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let (tone_a, tone_b) = (folder.path().join("700.al"), folder.path().join("1100.al"));
    sound::write_alaw_tone(&tone_a, 700, 30);
    sound::write_alaw_tone(&tone_b, 1100, 30);
    let a = Behaviour::Answer { ring_ms: 200, tone: Some(tone_a), talk_ms: None };
    let b = Behaviour::Answer { ring_ms: 200, tone: Some(tone_b), talk_ms: Some(4000) };
    let mut country = Country::new(&Wish::default(), &a, &b, 1);
    let merchant = Merchant::start();
    let ports = [country.carrier_a.media_port, country.carrier_b.media_port];
    let capture = Capture::start(folder.path(), &ports);

    let target = callback_target(USER, KEY, "634567890123456789", A, B, &merchant.url("/back"));
    let (status, body) = http(country.tandem.http, "GET", &target, &[], "");
    assert_eq!((status, body.as_str()), (200, "result=success&callbackid=634567890123456789"));

    let told = merchant.wait_for("/back", 1).remove(0);
    assert!(notification_is_signed(&told, KEY), "{}", told.target);
    assert_eq!(told.query("callback_result").as_deref(), Some("success"), "{}", told.target);
    assert_eq!(told.query("callback_num").as_deref(), Some(A));
    assert_eq!(told.query("callback_fee").as_deref(), Some("0.10"));
    assert_eq!(told.query("destination_fee").as_deref(), Some("0.15"));
    assert_eq!(told.query("data").as_deref(), Some("test"));
    let talked: u32 =
        told.query("destination_duration").unwrap_or_default().parse().expect("seconds");
    assert!((4..=5).contains(&talked), "talked {talked} s");
    assert!(country.carrier_a.finish().success(), "{}", country.carrier_a.messages());
    assert!(country.carrier_b.finish().success(), "{}", country.carrier_b.messages());

    let seen = capture.stop();
    let at_b = sound::alaw(&rtp_audio(&seen, ports[1], 8));
    assert!(at_b.len() > 8000 * 3, "B heard {} samples", at_b.len());
    assert!(sound::is_tone(&at_b, 8000.0, 700.0), "B hears A's 700 Hz");
    let at_a = sound::alaw(&rtp_audio(&seen, ports[0], 8));
    assert!(sound::is_tone(&at_a[at_a.len() / 2..], 8000.0, 1100.0), "A hears B's 1100 Hz");

    let sound = Sound::decode(&country.tandem.recording());
    assert!(sound::is_tone(&sound.channels[0], sound.rate, 700.0), "left is A");
    assert!(sound::is_tone(&sound.channels[1], sound.rate, 1100.0), "right is B");

    let charges = country.tandem.admin("GET", "/admin/v1/cdrs");
    let prices: Vec<i64> = charges["items"]
        .as_array()
        .expect("CDRs")
        .iter()
        .map(|cdr| cdr["price"].as_i64().expect("integer money"))
        .collect();
    assert_eq!(prices.iter().sum::<i64>(), country::A_MINUTE + country::B_MINUTE, "{charges}");
    country.tandem.books_in_order();
}
