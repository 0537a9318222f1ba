//! Consent on the wire: who is to be recorded hears the announcement to its end, and who presses the key is not.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use e2e::country::{A, B, Country, KEY, USER, Wish};
use e2e::merchant::{Merchant, callback_target, http};
use e2e::pcap::{Capture, Datagram};
use e2e::sipp::Behaviour;
use e2e::sound::{self, Sound};
use serde_json::Value;

/// The announcement: 1900 Hz for so many seconds; that nothing is kept: 2300 Hz.
const ASKS_S: u32 = 2;
const ASKS_HZ: f32 = 1_900.0;
const REFUSED_HZ: f32 = 2_300.0;

/// Announcements of the operator's own, in the merchant's language.
fn wish(folder: &Path) -> Wish {
    let chinese = folder.join("prompts/zh");
    std::fs::create_dir_all(&chinese).expect("a folder");
    sound::write_wav_tone(&chinese.join("ask.wav"), 1_900, ASKS_S);
    sound::write_wav_tone(&chinese.join("call-not-recorded.wav"), 2_300, 1);
    let prompts = folder.join("prompts");
    let settings = vec![
        format!("media.prompts={}", prompts.display()),
        "recording.consent=ask".into(),
        "recording.format=wav".into(),
    ];
    Wish { settings, ..Wish::default() }
}

/// A party that beats time all the while.
fn beating(folder: &Path, hz: u32) -> Behaviour {
    let tone = folder.join(format!("{hz}.al"));
    sound::write_alaw_beat(&tone, hz);
    Behaviour::Answer { ring_ms: 100, tone: Some(tone), talk_ms: None }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let all = entries.flatten().map(|entry| entry.path());
    all.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn moment(value: &Value, what: &str) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{what}: {value}"))
}

/// Places the call and lets the two talk for a while; the merchant's other words are empty.
fn talk(country: &Country, merchant: &Merchant, id: &str, seconds: u64) -> Vec<Datagram> {
    let ports = [country.carrier_a.media_port, country.carrier_b.media_port];
    let capture = Capture::start(country.folder.path(), &ports);
    let target = callback_target(USER, KEY, id, A, B, &merchant.url("/back"));
    let _ = http(country.tandem.http, "GET", &target, &[], "");
    country.tandem.wait_call("bridged");
    std::thread::sleep(Duration::from_secs(seconds));
    capture.stop()
}

/// Ends the call that is up; what is known of it then.
fn ended(country: &Country, merchant: &Merchant) -> Value {
    let live = country.tandem.admin("GET", "/admin/v1/calls");
    let call = live["items"][0]["call"].as_str().expect("it goes on").to_owned();
    let _ = country.tandem.admin("DELETE", &format!("/admin/v1/calls/{call}"));
    let _ = merchant.wait_for("/back", 1);
    country.tandem.settled_call()
}

/// Tenths of a second in which a party was sent this tone.
fn heard(seen: &[Datagram], port: u16, hz: f32) -> usize {
    sound::tenths_of(&sound::alaw(&e2e::pcap::rtp_audio(seen, port, 8)), 8_000.0, hz)
}

#[test]
fn who_hears_the_announcement_to_its_end_is_recorded_from_there_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let (a, b) = (beating(folder.path(), 700), beating(folder.path(), 1_100));
    let country = Country::new(&wish(folder.path()), &a, &b, 1);
    let merchant = Merchant::start();
    let seen = talk(&country, &merchant, "agreed", 7);
    let call = ended(&country, &merchant);
    for port in [country.carrier_a.media_port, country.carrier_b.media_port] {
        let tenths = heard(&seen, port, ASKS_HZ);
        assert!((18..=21).contains(&tenths), "{port} was asked for {tenths} tenths of a second");
        assert_eq!(heard(&seen, port, REFUSED_HZ), 0);
    }
    let facts = &call["record"]["facts"];
    let legs = facts["legs"].as_array().expect("legs").iter();
    let over = legs.map(|leg| moment(&leg["ended"], "ended")).fold(f64::MAX, f64::min);
    let talked = over - moment(&facts["bridged"], "bridged");
    let file = Sound::decode(&country.tandem.recording());
    let (length, asked) = (f64::from(file.ms()), f64::from(ASKS_S) * 1_000.0);
    let off = talked - asked - length;
    assert!((-20.0..=400.0).contains(&off), "{length} ms of {talked} ms: {call:#}");
    for (channel, own, other) in [(0, 700.0, 1_100.0), (1, 1_100.0, 700.0)] {
        let samples = &file.channels[channel];
        let beats = sound::beats(samples, file.rate);
        assert!(beats.len() >= 3, "channel {channel}: {beats:?}");
        let tenths = |hz| sound::tenths_of(samples, file.rate, hz);
        assert!(tenths(own) >= 9, "channel {channel} has its own voice");
        assert_eq!((tenths(other), tenths(ASKS_HZ)), (0, 0), "and no other sound");
    }
    assert_eq!(facts["unrecorded"], Value::Null);
}

#[test]
fn who_declines_while_he_is_asked_is_not_recorded_and_the_call_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let a = beating(folder.path(), 700);
    let b = Behaviour::Keys { info: '9', after_ms: 700 };
    let country = Country::new(&wish(folder.path()), &a, &b, 1);
    let merchant = Merchant::start();
    let seen = talk(&country, &merchant, "declined", 5);
    assert_eq!(files(&country.tandem.folder().join("data/recordings")), Vec::<PathBuf>::new());
    let call = ended(&country, &merchant);
    for port in [country.carrier_a.media_port, country.carrier_b.media_port] {
        let (asked, told) = (heard(&seen, port, ASKS_HZ), heard(&seen, port, REFUSED_HZ));
        assert!((3..=14).contains(&asked), "{port}: asked for {asked} tenths of a second");
        assert!((8..=11).contains(&told), "{port}: told for {told} tenths of a second");
    }
    // B hears A again afterwards: at least the beats of the last two seconds.
    assert!(heard(&seen, country.carrier_b.media_port, 700.0) >= 4, "the call goes on");
    assert_eq!(call["record"]["facts"]["unrecorded"], "declined", "{call:#}");
    assert_eq!(call["record"]["recording_url"], Value::Null);
    assert_eq!(files(&country.tandem.folder().join("data/recordings")), Vec::<PathBuf>::new());
}

#[test]
fn who_declines_while_he_is_recorded_has_nothing_kept_of_him() {
    let folder = tempfile::tempdir().expect("a folder");
    let a = beating(folder.path(), 700);
    let b = Behaviour::Keys { info: '9', after_ms: 4_000 };
    let wish = wish(folder.path());
    let country = Country::new(&wish, &a, &b, 1);
    let recordings = country.tandem.folder().join("data/recordings");
    let merchant = Merchant::start();
    let _ = talk(&country, &merchant, "later", 3);
    assert_eq!(files(&recordings).len(), 1, "it is recorded by then");
    let begun = Instant::now();
    while !files(&recordings).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", files(&recordings));
        std::thread::sleep(Duration::from_millis(50));
    }
    let call = ended(&country, &merchant);
    assert_eq!(call["record"]["facts"]["unrecorded"], "declined", "{call:#}");
    assert_eq!(call["record"]["recording_url"], Value::Null);
}
