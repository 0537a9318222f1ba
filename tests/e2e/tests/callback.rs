//! A callback that succeeds: sipp on both sides, then baresip as leg A. What each side heard is measured,
//! so is what was recorded, and the money.

use std::time::Duration;

use e2e::baresip::{Account, Baresip};
use e2e::country::{self, A, B, Country, KEY, USER, Wish};
use e2e::merchant::{Merchant, callback_target, http, notification_is_signed};
use e2e::pcap::{Capture, rtp_audio};
use e2e::sipp::{Behaviour, Sipp};
use e2e::sound::{self, Sound};
use e2e::tandem::{Setup, Tandem};
use e2e::wait;

/// Fetches the recording that the call's record names, and gives its file.
fn recording(tandem: &Tandem, folder: &std::path::Path) -> (std::path::PathBuf, String) {
    let cdrs = tandem.admin("GET", "/admin/v1/cdrs");
    let id = cdrs["items"][0]["call"].as_str().expect("a call id");
    let call = tandem.admin("GET", &format!("/admin/v1/calls/{id}"));
    let url = call["record"]["recording_url"].as_str().expect("a recording").to_owned();
    let path = url.find("/recordings/").expect("a recordings path");
    let file = folder.join("downloaded.mp3");
    let out = std::process::Command::new("curl")
        .args(["-sS", "-f", "-o"])
        .arg(&file)
        .arg(format!("http://{}{}", tandem.http, &url[path..]))
        .status()
        .expect("curl runs");
    assert!(out.success(), "download of {url}");
    (file, url)
}

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

    let told = merchant.wait_for("/back", 1, Duration::from_secs(30)).remove(0);
    assert!(notification_is_signed(&told, KEY), "{}", told.target);
    assert_eq!(told.query("callback_result").as_deref(), Some("success"), "{}", told.target);
    assert_eq!(told.query("callback_num").as_deref(), Some(A));
    assert_eq!(told.query("callback_fee").as_deref(), Some("0.10"));
    assert_eq!(told.query("destination_fee").as_deref(), Some("0.15"));
    assert_eq!(told.query("data").as_deref(), Some("test"));
    let talked: u32 =
        told.query("destination_duration").unwrap_or_default().parse().expect("seconds");
    assert!((4..=5).contains(&talked), "talked {talked} s");
    assert!(
        country.carrier_a.finish(Duration::from_secs(10)).success(),
        "{}",
        country.carrier_a.messages()
    );
    assert!(
        country.carrier_b.finish(Duration::from_secs(10)).success(),
        "{}",
        country.carrier_b.messages()
    );

    let seen = capture.stop();
    let at_b = sound::alaw(&rtp_audio(&seen, ports[1], 8));
    assert!(at_b.len() > 8000 * 3, "B heard {} samples", at_b.len());
    assert!(sound::is_tone(&at_b, 8000.0, 700.0), "B hears A's 700 Hz");
    let at_a = sound::alaw(&rtp_audio(&seen, ports[0], 8));
    assert!(sound::is_tone(&at_a[at_a.len() / 2..], 8000.0, 1100.0), "A hears B's 1100 Hz");

    let (mp3, _) = recording(&country.tandem, folder.path());
    let sound = Sound::decode(&mp3);
    assert!(sound::is_tone(&sound.channels[0], sound.rate, 700.0), "left is A");
    assert!(sound::is_tone(&sound.channels[1], sound.rate, 1100.0), "right is B");
    let left = sound.onset_ms(0, 700.0).expect("A on the left");
    let right = sound.onset_ms(1, 1100.0).expect("B on the right");
    // A has spoken since it answered; the file begins when both are joined. B starts to speak on our ACK.
    assert!((left - right).abs() < 60.0, "left starts at {left} ms, right at {right} ms");

    let charges = country.tandem.admin("GET", "/admin/v1/cdrs");
    let prices: Vec<i64> = charges["items"]
        .as_array()
        .expect("CDRs")
        .iter()
        .map(|cdr| cdr["price"].as_i64().expect("integer money"))
        .collect();
    assert_eq!(prices.iter().sum::<i64>(), country::A_MINUTE + country::B_MINUTE, "{charges}");
    let (books, said) = country.tandem.run(&["check", "--books"]);
    assert!(books, "{said}");
}

#[test]
fn baresip_registers_and_is_leg_a() {
    let folder = tempfile::tempdir().expect("a folder");
    let (tone_a, tone_b) = (folder.path().join("700.wav"), folder.path().join("1100.al"));
    sound::write_wav_tone(&tone_a, 700, 60);
    sound::write_alaw_tone(&tone_b, 1100, 30);
    let answer = Behaviour::Answer { ring_ms: 300, tone: Some(tone_b), talk_ms: Some(5000) };
    let mut carrier = Sipp::start(folder.path(), "carrier-b", &answer, 1);
    let operator = country::operator(&Wish::default(), e2e::ports::one(), carrier.port);
    let tandem = Tandem::start(folder.path(), &Setup { settings: Vec::new(), operator });
    let account = Account {
        user: "80000",
        password: country::PASSWORD,
        domain: "tandem.example",
        registrar: tandem.sip.port(),
        transport: "udp",
    };
    let mut phone = Baresip::start(folder.path(), &account, &tone_a);
    phone.wait_registered();
    let merchant = Merchant::start();
    let capture = Capture::start(folder.path(), &[carrier.media_port]);
    let target = callback_target(USER, KEY, "b-1", "80000", B, &merchant.url("/back"));
    let (_, body) = http(tandem.http, "GET", &target, &[], "");
    assert_eq!(body, "result=success&callbackid=b-1");
    let told = merchant.wait_for("/back", 1, Duration::from_secs(40)).remove(0);
    assert_eq!(told.query("callback_result").as_deref(), Some("success"), "{}", phone.log());
    assert_eq!(
        told.query("callback_fee").as_deref(),
        Some("0.00"),
        "an internal leg costs nothing"
    );
    assert!(carrier.finish(Duration::from_secs(10)).success());
    let at_b = sound::alaw(&rtp_audio(&capture.stop(), carrier.media_port, 8));
    assert!(sound::is_tone(&at_b, 8000.0, 700.0), "B hears baresip's 700 Hz");
    phone.stop();
    let heard = wait::until("baresip's recording", Duration::from_secs(5), || phone.heard().pop());
    let heard = Sound::decode(&heard);
    let half = heard.channels[0].len() / 2;
    assert!(
        sound::is_tone(&heard.channels[0][half..], heard.rate, 1100.0),
        "baresip hears B's 1100 Hz"
    );
    let (mp3, _) = recording(&tandem, folder.path());
    let sound = Sound::decode(&mp3);
    assert!(sound::is_tone(&sound.channels[0], sound.rate, 700.0), "left is A");
    assert!(sound::is_tone(&sound.channels[1], sound.rate, 1100.0), "right is B");
}
