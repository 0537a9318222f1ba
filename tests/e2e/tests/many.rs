//! System 002's sounds that are sent in and its notices to many (merchant API §4.4, §4.9), on the program itself: what is heard, and
//! that nobody is lost or rung twice when it is killed in the middle.

use std::collections::{BTreeMap, BTreeSet};

use e2e::country::{Country, USER, Wish};
use e2e::merchant::{Merchant, http};
use e2e::pcap::{Capture, rtp_audio};
use e2e::sipcall::{ACCESSKEY, APPID, company, login, upload};
use e2e::sipp::Behaviour;
use e2e::{sound, wait};
use serde_json::{Value, json};

const NUMBERS: usize = 10;

/// The records that came, each once, by the number that was rung.
fn records(merchant: &Merchant) -> BTreeMap<String, BTreeSet<i64>> {
    let mut records: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    for received in merchant.received("/cdr") {
        let told: Value = serde_json::from_str(&received.body).expect("JSON");
        assert_eq!(
            (&told["customuuid"], &told["callmethod"]),
            (&json!("spring"), &json!(6)),
            "{told}"
        );
        let number = told["destnumber"].as_str().expect("a string").to_owned();
        records.entry(number).or_default().insert(told["id"].as_i64().expect("a number"));
    }
    records
}

#[test]
fn s4_4_a_sound_that_was_sent_in_is_heard_by_all_of_a_list_although_the_switch_is_killed() {
    let merchant = Merchant::start();
    let answers = Behaviour::Answer { ring_ms: 100, tone: None, talk_ms: None };
    let more = company(USER, &merchant.url("/"));
    // A fifth of them is left to others: four at a time.
    let wish = Wish { more, max_calls: 5, record: false, ..Wish::default() };
    let mut country = Country::new(&wish, &answers, &Behaviour::RingOnly, 100);
    let door = country.tandem.http;
    let token = login(door);
    let file = country.folder.path().join("spring.wav");
    sound::write_wav_tone(&file, 900, 1);
    let octets = std::fs::read(file).expect("a sound");
    let cut = upload(door, &token, "cut.wav", &octets[..octets.len() / 2]);
    assert_eq!(cut["data"]["errors"]["code"], 1045, "all of it is decoded: {cut}");
    let kept = upload(door, &token, "spring.wav", &octets);
    assert_eq!(
        kept["data"]["result"],
        json!({ "voicefile": "spring.wav", "duration": 1 }),
        "{kept}"
    );

    let capture = Capture::start(country.folder.path(), &[country.carrier_a.media_port]);
    let numbers: Vec<String> = (0..NUMBERS).map(|n| format!("1380000{n:04}")).collect();
    let body = format!(
        "service=App.Sip_Call.PlayVoice&appid={APPID}&accesskey={ACCESSKEY}&voicetype=1\
         &voicefile=spring.wav&customuuid=spring&destnumber={}",
        numbers.join(",")
    );
    let (_, answer) = http(door, "POST", "/api/yunhu", &[], &body);
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(answer["data"]["desc"], "播放命令发送成功", "{answer}");
    wait::until("some records", || (records(&merchant).len() >= 3).then_some(()));
    let at_once = country.tandem.admin("GET", "/admin/v1/calls");
    assert!(at_once["items"].as_array().is_some_and(|calls| calls.len() <= 4), "{at_once}");
    country.tandem.kill();
    country.tandem.resume();
    wait::until("a record of each", || (records(&merchant).len() == NUMBERS).then_some(()));
    let told = records(&merchant);
    assert!(told.keys().eq(&numbers), "{told:?}");
    assert!(told.values().all(|ids| ids.len() == 1), "one record each: {told:?}");
    let heard = sound::alaw(&rtp_audio(&capture.stop(), country.carrier_a.media_port, 8));
    assert!(sound::tenths_of(&heard, 8_000.0, 900.0) >= 8, "the tone was heard");
    wait::until("all calls to be over", || {
        let live = country.tandem.admin("GET", "/admin/v1/calls");
        live["items"].as_array().is_some_and(Vec::is_empty).then_some(())
    });
    country.tandem.books_in_order();
}
