//! Keys between far ends that tell them differently: sipp without events, sipp with them, and with INFO both ways.

use std::time::Duration;

use e2e::country::{A, B, Country, KEY, USER, Wish};
use e2e::merchant::{Merchant, callback_target, http};
use e2e::pcap::{Capture, rtp_audio};
use e2e::sipp::Behaviour;
use e2e::sound;

/// A has no events and presses 5 as sound; B takes events and says 7 by INFO.
#[test]
fn a_key_as_sound_arrives_as_an_event_and_one_by_info_as_sound() {
    let sounds = tempfile::tempdir().expect("a folder");
    let five = sounds.path().join("five.al");
    sound::write_alaw_key(&five, (770, 1_336));
    let a = Behaviour::Answer { ring_ms: 100, tone: Some(five), talk_ms: None };
    let b = Behaviour::Keys { info: '7', after_ms: 4_000 };
    let country = Country::new(&Wish::default(), &a, &b, 1);
    let merchant = Merchant::start();
    let ports = [country.carrier_a.media_port, country.carrier_b.media_port];
    let capture = Capture::start(country.folder.path(), &ports);
    let target = callback_target(USER, KEY, "keys", A, B, &merchant.url("/back"));
    let (_, body) = http(country.tandem.http, "GET", &target, &[], "");
    assert_eq!(body, "result=success&callbackid=keys");
    country.tandem.wait_call("bridged");
    std::thread::sleep(Duration::from_millis(6_000));
    let seen = capture.stop();

    let events = rtp_audio(&seen, ports[1], 101);
    let told: Vec<&[u8]> = events.chunks_exact(4).collect();
    assert_eq!(told.len(), 7, "{told:?}");
    assert!(told.iter().all(|event| event[0] == 5), "{told:?}");
    assert_eq!(told.iter().filter(|event| event[1] & 0x80 != 0).count(), 3, "three ends");

    let heard = sound::alaw(&rtp_audio(&seen, ports[0], 8));
    let both = |part: &[f32]| [852.0, 1_209.0].map(|hz| sound::share(part, 8_000.0, hz));
    let loud = |part: &&[f32]| part.iter().any(|sample| sample.abs() > 0.05);
    let sevens = heard.chunks_exact(320).filter(loud).filter(|part| {
        let [low, high] = both(part);
        low > 0.25 && high > 0.25
    });
    let sevens = sevens.count();
    assert!((1..=3).contains(&sevens), "{sevens} stretches of 40 ms of the key 7");
    country.tandem.books_in_order();
}

/// A has no events and presses 5 as sound; B's carrier wants keys by INFO.
#[test]
fn b12_rfc6086_a_key_as_sound_arrives_by_info_once_and_not_in_the_media() {
    let sounds = tempfile::tempdir().expect("a folder");
    let five = sounds.path().join("five.al");
    sound::write_alaw_key(&five, (770, 1_336));
    let a = Behaviour::Answer { ring_ms: 100, tone: Some(five), talk_ms: None };
    let b = Behaviour::TakesInfo { key: '5' };
    // The last trunk of the file is B's.
    let wish = Wish { more: "[trunks.options]\ndtmf = \"info\"\n".into(), ..Wish::default() };
    let country = Country::new(&wish, &a, &b, 1);
    let merchant = Merchant::start();
    let ports = [country.carrier_a.media_port, country.carrier_b.media_port];
    let capture = Capture::start(country.folder.path(), &ports);
    let target = callback_target(USER, KEY, "keys", A, B, &merchant.url("/back"));
    let (_, body) = http(country.tandem.http, "GET", &target, &[], "");
    assert_eq!(body, "result=success&callbackid=keys");
    country.tandem.wait_call("bridged");
    e2e::wait::until("the key", || {
        let told = country.tandem.metrics()["tandem_keys_by_info_total{result=\"told\"}"];
        (told == 1.0).then_some(())
    });
    std::thread::sleep(Duration::from_millis(1_000));
    let seen = capture.stop();
    assert_eq!(country.tandem.metrics()["tandem_keys_by_info_total{result=\"told\"}"], 1.0);
    assert_eq!(rtp_audio(&seen, ports[1], 101).len(), 0, "no event beside it");
    let heard = sound::alaw(&rtp_audio(&seen, ports[1], 8));
    assert!(heard.len() > 4_000, "sound passes");
    let both = |part: &[f32]| [770.0, 1_336.0].map(|hz| sound::share(part, 8_000.0, hz));
    let loud = |part: &&[f32]| part.iter().any(|sample| sample.abs() > 0.05);
    let fives = heard.chunks_exact(320).filter(loud).filter(|part| {
        let [low, high] = both(part);
        low > 0.25 && high > 0.25
    });
    let fives = fives.count();
    assert!(fives <= 1, "{fives} stretches of 40 ms of the key 5: 25 ms may have left");
    country.tandem.books_in_order();
}
