//! The recording against the wire: what lies where in time, how long it is, and when there is none.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use e2e::country::{A, B, Country, KEY, USER, Wish};
use e2e::merchant::{Merchant, callback_target, http};
use e2e::pcap::{Capture, timeline};
use e2e::sipp::Behaviour;
use e2e::sound::{self, Sound};
use serde_json::Value;

/// Parties that beat time: 700 Hz at A, 1100 Hz at B, 300 ms of each second.
fn beating(folder: &std::path::Path, talk_ms: Option<u32>) -> (Behaviour, Behaviour) {
    let (a, b) = (folder.join("700.al"), folder.join("1100.al"));
    sound::write_alaw_beat(&a, 700);
    sound::write_alaw_beat(&b, 1100);
    let a = Behaviour::Answer { ring_ms: 100, tone: Some(a), talk_ms: None };
    (a, Behaviour::Answer { ring_ms: 100, tone: Some(b), talk_ms })
}

fn moment(value: &Value, what: &str) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{what}: {value}"))
}

/// When the first of the legs ended: the other one follows.
fn ended(call: &Value) -> f64 {
    let legs = call["record"]["facts"]["legs"].as_array().expect("legs");
    legs.iter().map(|leg| moment(&leg["ended"], "ended")).fold(f64::MAX, f64::min)
}

/// Both channels on one wall clock: each beat lies where its packet arrived, ±20 ms, and so do the two
/// channels towards each other. The closed file is as long as the two were joined, ±20 ms.
#[test]
fn each_beat_lies_where_it_was_heard_and_the_file_is_as_long_as_the_talk() {
    let folder = tempfile::tempdir().expect("a folder");
    let (a, b) = beating(folder.path(), Some(5300));
    let country = Country::new(&Wish::default(), &a, &b, 1);
    let merchant = Merchant::start();
    let ports = [country.carrier_a.media_port, country.carrier_b.media_port];
    let capture = Capture::start(folder.path(), &ports);
    let target = callback_target(USER, KEY, "beats", A, B, &merchant.url("/back"));
    let _ = http(country.tandem.http, "GET", &target, &[], "");
    let _ = merchant.wait_for("/back", 1);
    let seen = capture.stop();

    let call = country.tandem.settled_call();
    let bridged = moment(&call["record"]["facts"]["bridged"], "bridged");
    let talk = ended(&call) - bridged;
    let file = Sound::decode(&country.tandem.recording());
    let length = f64::from(file.ms());
    assert!(
        (length - talk).abs() <= 20.0,
        "the file has {length} ms, the talk {talk} ms: {call:#}"
    );

    let mut errors = Vec::new();
    for (channel, port) in ports.into_iter().enumerate() {
        let (start, samples) = timeline(&seen, port);
        let wire: Vec<f64> = sound::beats(&samples, 8000.0).iter().map(|at| start + at).collect();
        let taped = sound::beats(&file.channels[channel], file.rate);
        assert!(taped.len() >= 4, "channel {channel}: {taped:?}");
        for at in taped {
            let nearest =
                wire.iter().map(|w| bridged + at - w).min_by(|x, y| x.abs().total_cmp(&y.abs()));
            errors.push(nearest.expect("beats on the wire"));
        }
    }
    let (first, last) =
        errors.iter().fold((f64::MAX, f64::MIN), |(l, h), e| (l.min(*e), h.max(*e)));
    assert!(last - first <= 20.0, "the channels are {} ms apart: {errors:?}", last - first);
    assert!(first >= -20.0 && last <= 20.0, "beats off the wall clock by {errors:?} ms");
}

/// Killed without warning: what was recorded plays, as long as the talk had lasted ±300 ms, and its address
/// stands in the record.
#[test]
fn a_killed_recording_plays_after_the_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let (a, b) = beating(folder.path(), None);
    let mut country = Country::new(&Wish::default(), &a, &b, 1);
    let merchant = Merchant::start();
    let target = callback_target(USER, KEY, "killed", A, B, &merchant.url("/back"));
    let _ = http(country.tandem.http, "GET", &target, &[], "");
    country.tandem.wait_call("bridged");
    std::thread::sleep(Duration::from_millis(4300));
    let killed =
        SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64() * 1e3;
    country.tandem.kill();
    country.tandem.resume();
    let _ = merchant.wait_for("/back", 1);
    let call = country.tandem.settled_call();
    let bridged = moment(&call["record"]["facts"]["bridged"], "bridged");
    let file = Sound::decode(&country.tandem.recording());
    let (length, talk) = (f64::from(file.ms()), killed - bridged);
    assert!((length - talk).abs() <= 300.0, "the file has {length} ms, the talk {talk} ms");
    for channel in 0..2 {
        let beats = sound::beats(&file.channels[channel], file.rate);
        assert!(beats.len() >= 3, "channel {channel} plays: {beats:?}");
    }
}

#[test]
fn nothing_is_recorded_when_recording_is_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let (a, b) = beating(folder.path(), Some(1000));
    let wish = Wish { record: false, ..Wish::default() };
    let country = Country::new(&wish, &a, &b, 1);
    let merchant = Merchant::start();
    let target = callback_target(USER, KEY, "mute", A, B, &merchant.url("/back"));
    let _ = http(country.tandem.http, "GET", &target, &[], "");
    let _ = merchant.wait_for("/back", 1);
    let call = country.tandem.settled_call();
    assert_eq!(call["record"]["recording_url"], Value::Null, "{call:#}");
    let tapes = walk(&country.tandem.folder().join("data/recordings"));
    assert_eq!(tapes, Vec::<std::path::PathBuf>::new());
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .flat_map(|e| if e.path().is_dir() { walk(&e.path()) } else { vec![e.path()] })
        .collect()
}
