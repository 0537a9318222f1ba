//! System 002's notice with keys (merchant API §4.4 to §4.6), on the program itself: what is heard, whom a key leads
//! to, and what the merchant is told.

use std::time::Duration;

use e2e::country::{self, A, Country, Wish};
use e2e::merchant::Merchant;
use e2e::notice::{cdr, json_of, line, office, states, tone_at};
use e2e::pcap::{Capture, rtp_audio};
use e2e::pjsua::Phone;
use e2e::sipcall::play;
use e2e::sipp::Behaviour;
use e2e::sound;
use e2e::tandem::{Setup, Tandem};
use serde_json::{Value, json};

/// Two seats, and the group of both that the seed names.
fn more(merchant: &Merchant) -> String {
    office(merchant, "ring_all", &["80001", "80002"])
}

#[test]
fn case_43_key_1_leads_to_a_group_of_two_and_every_state_is_told_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let merchant = Merchant::start();
    let wish = Wish { more: more(&merchant), ..Wish::default() };
    let operator = country::operator(&wish, e2e::ports::one(), e2e::ports::one());
    let tandem = Tandem::start(folder.path(), &Setup { settings: Vec::new(), operator });
    let mut customer = Phone::start(folder.path(), &line(&tandem, "80000", 700, 100));
    let mut taker = Phone::start(folder.path(), &line(&tandem, "80001", 1_300, 700));
    let mut loser = Phone::start(folder.path(), &line(&tandem, "80002", 1_700, 60_000));
    let voice = tone_at(folder.path(), 1);
    let asked = [
        ("destnumber", "80000"),
        ("voicetype", "2"),
        ("voicefile", voice.as_str()),
        ("userid", "1@extGroup-1"),
        ("customuuid", "110001168"),
    ];
    let answer = play(tandem.http, &asked);
    assert_eq!(answer["data"]["desc"], "播放命令发送成功", "{answer}");
    customer.wait_state("CONFIRMED");
    std::thread::sleep(Duration::from_millis(600));
    customer.order(&json!({"do": "keys", "digits": "1", "method": "rfc4733"}));
    loser.wait_state("EARLY");
    taker.wait_state("CONFIRMED");
    loser.wait_state("DISCONNECTED");
    std::thread::sleep(Duration::from_millis(600));
    taker.order(&json!({"do": "hangup"}));
    customer.wait_state("DISCONNECTED");

    let told = cdr(&merchant, "110001168");
    assert_eq!((&told["userkey"], &told["extnumber"]), (&json!("1"), &json!("80001")), "{told}");
    assert_eq!((&told["customuuid"], &told["chengshudu"]), (&json!("110001168"), &json!("1")));
    assert_eq!((&told["callmethod"], &told["companycode"]), (&json!(6), &json!(2028)));
    assert_eq!((&told["hangupcause"], &told["hangupdirection"]), (&json!(10001), &json!(10040)));
    assert_eq!((&told["destnumber"], &told["type"]), (&json!("80000"), &json!("callout")));
    assert_eq!(told["uuid"], answer["data"]["result"]["uuid"], "one name for the call");
    assert_eq!(states(&merchant, &told, "80001", 3), ["ring", "answer", "hangup"]);
    assert_eq!(
        states(&merchant, &told, "80002", 2),
        ["ring", "hangup"],
        "who lost is told of as gone"
    );
    for state in merchant.received("/state").iter().map(json_of) {
        let members = state.as_object().expect("an object");
        assert!(members.values().all(Value::is_string), "all are strings: {state}");
        assert_eq!((&state["uuid"], &state["callee"]), (&told["uuid"], &json!("80000")));
        assert_eq!((&state["method"], &state["isbleg"]), (&json!("2"), &json!("true")));
        assert_eq!(
            (&state["companycode"], &state["caller"]),
            (&json!("2028"), &state["extnumber"])
        );
    }
    let heard = customer.quit();
    let of = |frequency| sound::tenths_of(&heard.channels[0], heard.rate, frequency);
    assert!((4..=10).contains(&of(900.0)), "{} tenths of the notice: the key ended it", of(900.0));
    assert!(of(450.0) >= 2, "ring-back while the group rings");
    assert!(of(1_300.0) >= 3, "the voice of whoever took it");
    assert_eq!(merchant.received("/cdr").len(), 1, "case 67: one record");
    tandem.books_in_order();
}

/// Nobody of the group has a phone: a word says so, and the call is over.
#[test]
fn s4_4_a_key_by_info_to_an_empty_group_is_answered_by_a_word() {
    let merchant = Merchant::start();
    let a = Behaviour::Keys { info: '1', after_ms: 500 };
    let wish = Wish { more: more(&merchant), ..Wish::default() };
    let country = Country::new(&wish, &a, &Behaviour::RingOnly, 1);
    let capture = Capture::start(country.folder.path(), &[country.carrier_a.media_port]);
    let voice = tone_at(country.folder.path(), 1);
    let asked = [
        ("destnumber", A),
        ("voicetype", "2"),
        ("voicefile", voice.as_str()),
        ("userid", "\u{201d}1@extGroup-1\u{201d}"),
    ];
    let answer = play(country.tandem.http, &asked);
    assert_eq!(answer["data"]["status"], 0, "{answer}");
    let told = cdr(&merchant, "");
    assert_eq!((&told["userkey"], &told["extnumber"]), (&json!("1"), &json!("")), "{told}");
    assert_eq!((&told["hangupcause"], &told["hangupdirection"]), (&json!(10001), &json!(10040)));
    assert_eq!((&told["disnumber"], &told["customuuid"]), (&json!("02120280001"), &json!("")));
    assert!(merchant.received("/state").is_empty(), "nobody rang");
    let heard = sound::alaw(&rtp_audio(&capture.stop(), country.carrier_a.media_port, 8));
    let of = sound::tenths_of(&heard, 8_000.0, 900.0);
    assert!((3..=8).contains(&of), "{of} tenths of the notice");
    let loud = heard.chunks(800).filter(|part| part.iter().any(|s| s.abs() > 0.05)).count();
    assert!(loud >= of + 8, "{loud} tenths: nothing was said after it");
    country.tandem.books_in_order();
}

/// A wrong key as sound, and none at all; a sound that nobody has.
#[test]
fn s4_4_a_wrong_key_none_and_a_sound_that_is_not_there() {
    let sounds = tempfile::tempdir().expect("a folder");
    let five = sounds.path().join("five.al");
    sound::write_alaw_key(&five, (770, 1_336));
    let merchant = Merchant::start();
    let a = Behaviour::Answer { ring_ms: 100, tone: Some(five), talk_ms: None };
    let wish = Wish { more: more(&merchant), ..Wish::default() };
    let country = Country::new(&wish, &a, &Behaviour::RingOnly, 2);
    let door = country.tandem.http;
    let voice = tone_at(country.folder.path(), 1);
    let mut asked = vec![("destnumber", A), ("voicetype", "2"), ("voicefile", voice.as_str())];
    asked.push(("userid", "1@extGroup-1"));
    assert_eq!(play(door, &asked)["data"]["status"], 0);
    let told = cdr(&merchant, "");
    assert_eq!((&told["userkey"], &told["hangupcause"]), (&json!("5"), &json!(10001)), "{told}");
    // Without a menu the same key is no key, and the whole is heard.
    asked.pop();
    assert_eq!(play(door, &asked)["data"]["status"], 0);
    let told = json_of(&merchant.wait_for("/cdr", 2)[1]);
    assert_eq!((&told["userkey"], &told["hangupdirection"]), (&json!(""), &json!(10040)), "{told}");
    assert!((1..=2).contains(&told["billsec"].as_i64().unwrap_or_default()), "{told}");
    // Taken, and told by the record alone.
    let gone = format!("127.0.0.1:{}/gone.wav", e2e::ports::one());
    asked[2] = ("voicefile", &gone);
    assert_eq!(play(door, &asked)["data"]["status"], 0, "the answer does not wait for the visit");
    let told = json_of(&merchant.wait_for("/cdr", 3)[2]);
    assert_eq!((&told["hangupcause"], &told["billsec"]), (&json!(10020), &json!(0)), "{told}");
    assert_eq!((&told["answertime"], &told["destnumber"]), (&json!(""), &json!(A)));
    country.tandem.books_in_order();
}

/// The customer goes while the group rings.
#[test]
fn case_66_whoever_leaves_while_the_group_rings_is_on_record_and_so_are_those_who_rang() {
    let folder = tempfile::tempdir().expect("a folder");
    let merchant = Merchant::start();
    // A record that is not taken is told again, and its bytes stay the same.
    merchant.answer_next_at("/cdr", &[(200, "0"), (200, "1")]);
    let wish = Wish { more: more(&merchant), ..Wish::default() };
    let operator = country::operator(&wish, e2e::ports::one(), e2e::ports::one());
    let settings = vec!["push.delays=0s,1s,2s".into()];
    let tandem = Tandem::start(folder.path(), &Setup { settings, operator });
    let mut customer = Phone::start(folder.path(), &line(&tandem, "80000", 700, 100));
    let mut seat = Phone::start(folder.path(), &line(&tandem, "80001", 1_300, 60_000));
    let voice = tone_at(folder.path(), 1);
    let asked = [
        ("destnumber", "80000"),
        ("voicetype", "2"),
        ("voicefile", voice.as_str()),
        ("userid", "T@extGroup-1"),
    ];
    assert_eq!(play(tandem.http, &asked)["data"]["status"], 0);
    seat.wait_state("EARLY");
    customer.order(&json!({"do": "hangup"}));
    seat.wait_state("DISCONNECTED");
    let told = cdr(&merchant, "");
    assert_eq!(
        (&told["extnumber"], &told["hangupdirection"]),
        (&json!(""), &json!(10041)),
        "{told}"
    );
    assert_eq!(states(&merchant, &told, "80001", 2), ["ring", "hangup"]);
    let twice = merchant.wait_for("/cdr", 2);
    assert_eq!(twice[0].body, twice[1].body);
    tandem.books_in_order();
}
