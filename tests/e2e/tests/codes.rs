//! System 001's voice code and notice, from the signed request to what the called hears, word by word (merchant API §3.2
//! and §3.3).

use std::path::Path;

use e2e::country::{A, B, Country, USER, Wish};
use e2e::merchant::Merchant;
use e2e::pcap::{Capture, rtp_audio};
use e2e::sipp::Behaviour;
use e2e::sound::said;
use e2e::wait;
use e2e::ytx::{APP, account, ask};
use serde_json::{Value, json};

const CODE: &str = "40aZ7";

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let all = entries.flatten().map(|entry| entry.path());
    all.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn a_code_is_heard_sign_by_sign_twice_and_stands_nowhere() {
    let merchant = Merchant::start();
    let a = Behaviour::Answer { ring_ms: 200, tone: None, talk_ms: None };
    let nobody = Behaviour::Answer { ring_ms: 200, tone: None, talk_ms: None };
    let more = account(USER, &merchant.url("/cb/"), true);
    let country = Country::new(&Wish { more, ..Wish::default() }, &a, &nobody, 1);
    let capture = Capture::start(country.folder.path(), &[country.carrier_a.media_port]);
    let body = json!({ "action": "callOutCode", "appid": APP, "dst": A, "code": CODE });
    let answer = ask(country.tandem.http, "call/CodeCallOut.wx", &body);
    assert_eq!(answer["statusCode"], "0", "{answer}");
    let id = answer["requestId"].as_str().expect("a requestId").to_owned();

    let pushed = wait::until("the record", || merchant.received("/cb/Call").into_iter().next());
    let heard = rtp_audio(&capture.stop(), country.carrier_a.media_port, 8);
    let signs: Vec<String> = CODE.to_lowercase().chars().map(String::from).collect();
    assert_eq!(said(&heard, "zh"), [signs.as_slice(), &signs].concat());

    let record: Value = serde_json::from_str(&pushed.body).expect("JSON");
    let cdr = &record["cdr"][0];
    assert_eq!((&cdr["requestid"], &cdr["fid"]), (&json!(id), &json!("2")), "{cdr}");
    assert_eq!((&cdr["tel"], &cdr["stateDesc"]), (&json!(A), &json!("正常")), "{cdr}");
    assert!(merchant.received("/cb/CallState").is_empty(), "codes push no states");
    let call = country.tandem.settled_call();
    let legs = call["record"]["facts"]["legs"].as_array().expect("legs");
    assert_eq!(legs.len(), 1, "{call:#}");
    assert_eq!(call["record"]["recording_url"], Value::Null, "a code is not recorded");
    let seconds = legs[0]["ended"].as_f64().zip(legs[0]["answered"].as_f64());
    let talked = seconds.map_or(0.0, |(ended, answered)| ended - answered);
    assert!((8_000.0..20_000.0).contains(&talked), "{talked} ms");

    // Neither the books nor the log have it.
    assert!(!country.tandem.log().contains(CODE), "{}", country.tandem.log());
    let kept = files(&country.tandem.folder().join("data"));
    assert!(kept.len() > 1, "{kept:?}");
    for file in kept {
        let octets = std::fs::read(&file).unwrap_or_default();
        let has = octets.windows(CODE.len()).any(|part| part == CODE.as_bytes());
        assert!(!has, "{} has the code", file.display());
    }
}

/// Two apps with languages of their own, two calls at once.
#[test]
fn s3_2_a_code_is_heard_in_the_language_of_its_app() {
    const CODE: &str = "4aZ7";
    const PERSIAN: &str = "ffeeddccbbaa99887766554433221100";
    let merchant = Merchant::start();
    let listens = Behaviour::Answer { ring_ms: 200, tone: None, talk_ms: None };
    let english = account(USER, &merchant.url("/cb/"), false) + "language = \"en\"\n";
    let app = english.find("[[ytx_apps]]").expect("an app");
    let persian = english[app..].replace(APP, PERSIAN).replace("\"en\"", "\"fa\"");
    let wish = Wish { more: english + "\n" + &persian, ..Wish::default() };
    let country = Country::new(&wish, &listens, &listens, 1);
    let ports = [country.carrier_a.media_port, country.carrier_b.media_port];
    let capture = Capture::start(country.folder.path(), &ports);
    for (app, to) in [(APP, A), (PERSIAN, B)] {
        let body = json!({ "action": "callOutCode", "appid": app, "dst": to, "code": CODE });
        let answer = ask(country.tandem.http, "call/CodeCallOut.wx", &body);
        assert_eq!(answer["statusCode"], "0", "{answer}");
    }
    let _ = merchant.wait_for("/cb/Call", 2);
    let heard = capture.stop();
    let signs: Vec<String> = CODE.to_lowercase().chars().map(String::from).collect();
    for (language, port) in ["en", "fa"].into_iter().zip(ports) {
        let said = said(&rtp_audio(&heard, port, 8), language);
        assert_eq!(said, [signs.as_slice(), &signs].concat(), "{language}");
    }
    country.tandem.books_in_order();
}

#[test]
fn s3_3_a_notice_is_heard_with_its_values_and_the_key_is_pushed_with_its_record() {
    let merchant = Merchant::start();
    let a = Behaviour::Keys { info: '7', after_ms: 4_500 };
    let nobody = Behaviour::Answer { ring_ms: 200, tone: None, talk_ms: None };
    let template = format!(
        r#"
[[templates]]
id = "1001"
merchant = "{USER}"
parts = [{{ digits = "4{{1}}" }}, {{ spelled = "{{2}}" }}, {{ number = "{{3}}" }}]
"#
    );
    let more = account(USER, &merchant.url("/cb/"), true) + &template;
    let country = Country::new(&Wish { more, ..Wish::default() }, &a, &nobody, 1);
    let capture = Capture::start(country.folder.path(), &[country.carrier_a.media_port]);
    let body = json!({ "action": "templateNoticeCall", "appid": APP, "dst": A, "templateId": 1001,
                       "datas": ["0", "aZ", 5], "time": "1", "speed": "5", "isdtmfcallback": "1" });
    let answer = ask(country.tandem.http, "call/NoticeCall.wx", &body);
    assert_eq!(answer["statusCode"], "0", "{answer}");
    let id = answer["requestId"].as_str().expect("a requestId").to_owned();

    let pushed = wait::until("the record", || merchant.received("/cb/Call").into_iter().next());
    let heard = rtp_audio(&capture.stop(), country.carrier_a.media_port, 8);
    assert_eq!(said(&heard, "zh"), ["4", "0", "a", "z", "5"]);
    let record: Value = serde_json::from_str(&pushed.body).expect("JSON");
    let cdr = &record["cdr"][0];
    assert_eq!((&cdr["requestid"], &cdr["fid"]), (&json!(id), &json!("3")), "{cdr}");
    assert_eq!((&cdr["stateDesc"], &cdr["dtmf"]), (&json!("正常"), &json!("7")), "{cdr}");
    assert!(merchant.received("/cb/CallState").is_empty(), "notices push no states");

    // One number of several is wrong: nobody is rung.
    let mut several = body;
    several["dst"] = json!(format!("{A}|1x"));
    let answer = ask(country.tandem.http, "call/NoticeCall.wx", &several);
    assert_eq!(answer["statusCode"], "-102", "{answer}");
    let query = json!({ "action": "getCdrByResId", "appid": APP, "fid": 3, "lastresid": "0",
                        "limit": 9 });
    let kept = ask(country.tandem.http, "call/CallCdr.wx", &query);
    let rows = kept["cdr"].as_array().expect("a list");
    assert_eq!(rows.len(), 1, "{kept}");
    assert_eq!((&rows[0]["requestid"], &rows[0]["dtmf"]), (&json!(id), &json!("7")));
}
