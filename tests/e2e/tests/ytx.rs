//! System 001 from the signed request to the last push.

use std::time::Duration;

use e2e::country::{A, A_MINUTE, B, B_MINUTE, Country, USER, Wish};
use e2e::merchant::{Merchant, Received};
use e2e::sipp::Behaviour;
use e2e::wait;
use e2e::ytx::{APP, account, ask, post};
use serde_json::{Value, json};

/// The fields of a two-way call's record, in the order of the system's own page.
const FIELDS: [&str; 14] = [
    "requestid",
    "appid",
    "fid",
    "caller",
    "called",
    "callerstime",
    "calleretime",
    "calledstime",
    "calledetime",
    "tapesurl",
    "duration",
    "oriamount",
    "customParm",
    "stateDesc",
];

fn country(merchant: &Merchant, b: &Behaviour, record: bool) -> Country {
    let a = Behaviour::Answer { ring_ms: 200, tone: None, talk_ms: None };
    let wish = Wish {
        // The same rule as always, only sooner.
        settings: vec!["push.delays=0s,1s,2s".into()],
        more: account(USER, &merchant.url("/cb/"), record),
        ..Wish::default()
    };
    Country::new(&wish, &a, b, 1)
}

fn call(country: &Country) -> String {
    let body = json!({
        "action": "callDailBack", "appid": APP, "src": A, "dst": B, "credit": "360",
        "customParm": "order-7", "srcclid": "01053180002", "dstclid": "01053180002",
    });
    let answer = ask(country.tandem.http, "call/DailbackCall.wx", &body);
    assert_eq!(answer["statusCode"], "0", "{answer}");
    answer["requestId"].as_str().expect("a requestId").to_owned()
}

/// The bodies that reached one address, each once: retries carry the same bytes.
fn bodies(merchant: &Merchant, path: &str) -> Vec<Value> {
    let all = merchant.received(path).into_iter().filter(|r| r.target == path);
    let mut read: Vec<Value> = Vec::new();
    for got in all {
        let body: Value = serde_json::from_str(&got.body).expect("JSON");
        if !read.contains(&body) {
            read.push(body);
        }
    }
    read
}

/// Sends of records; states go to an address that begins alike.
fn records(merchant: &Merchant) -> Vec<Received> {
    merchant.received("/cb/Call").into_iter().filter(|got| got.target == "/cb/Call").collect()
}

fn wait_records(merchant: &Merchant, count: usize) -> Vec<Received> {
    wait::until(&format!("{count} records"), || {
        Some(records(merchant)).filter(|sent| sent.len() >= count)
    })
}

/// Field names of the first object in the text, in the order they were written.
fn written(text: &str) -> Vec<String> {
    let object = &text[text.find("[{").map_or(0, |at| at + 1)..];
    let mut names = Vec::new();
    for (at, _) in object.match_indices("\":") {
        let start = object[..at].rfind('"').expect("a name");
        names.push(object[start + 1..at].to_owned());
    }
    names
}

#[test]
fn a_two_way_call_pushes_its_states_in_order_then_one_record() {
    let merchant = Merchant::start();
    let b = Behaviour::Answer { ring_ms: 200, tone: None, talk_ms: Some(2500) };
    let country = country(&merchant, &b, true);
    let id = call(&country);
    let _ = merchant.wait_for("/cb/CallState", 8);
    let record = wait_records(&merchant, 1).remove(0);
    let states = bodies(&merchant, "/cb/CallState");
    let told: Vec<(String, String)> = states
        .iter()
        .map(|s| {
            assert_eq!(s["requestid"], id.as_str(), "{s}");
            assert_eq!(s["src"], "01053180002", "{s}");
            let word = |name: &str| s[name].as_str().expect("text").to_owned();
            (word("dsc"), word("state"))
        })
        .collect();
    let expected = [
        (A, "callout"),
        (A, "alerting"),
        (A, "answer"),
        (B, "callout"),
        (B, "alerting"),
        (B, "answer"),
        (B, "disconnect"),
        (A, "disconnect"),
    ];
    let expected: Vec<_> = expected.iter().map(|(n, s)| ((*n).into(), (*s).into())).collect();
    assert_eq!(told, expected);

    assert_eq!(written(&record.body), FIELDS, "{}", record.body);
    let body: Value = serde_json::from_str(&record.body).expect("JSON");
    let cdr = &body["cdr"][0];
    assert_eq!((&cdr["requestid"], &cdr["fid"]), (&json!(id), &json!("4")), "{cdr}");
    assert_eq!((&cdr["caller"], &cdr["called"]), (&json!(A), &json!(B)), "{cdr}");
    assert_eq!(
        (&cdr["customParm"], &cdr["oriamount"]),
        (&json!("order-7"), &json!("0.25")),
        "{cdr}"
    );
    assert_eq!(cdr["stateDesc"], "应答|正常", "{cdr}");
    let tape = cdr["tapesurl"].as_str().expect("text");
    assert!(tape.starts_with("http://") && tape.ends_with(".mp3"), "{tape}");
    for name in ["callerstime", "calleretime", "calledstime", "calledetime"] {
        assert!(cdr[name].as_str().is_some_and(|t| t.ends_with(".000") && t.len() == 23), "{cdr}");
    }

    let query = json!({
        "action": "getCdrByResId", "appid": APP, "fid": "4", "lastresid": id, "limit": 0,
    });
    let text = post(country.tandem.http, "call/CallCdr.wx", &query);
    assert_eq!(written(&text), FIELDS, "{text}");
    let asked: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(asked["cdr"].as_array().map(Vec::len), Some(1), "{asked}");
    assert_eq!((&asked["cdr"][0]["fid"], &asked["cdr"][0]["requestid"]), (&json!(4), &json!(id)));
    assert_eq!(asked["cdr"][0]["oriamount"].as_f64(), Some(0.25), "{asked}");

    let body = json!({ "action": "queryBlance", "appid": APP });
    let balance = ask(country.tandem.http, "account/getBlance.wx", &body);
    let left = (100_000_000 - A_MINUTE - B_MINUTE) as f64 / 1e6;
    assert_eq!(balance["Blance"].as_f64(), Some(left), "{balance}");
    country.tandem.books_in_order();
}

/// 500, 500, 200: three sends of the same bytes, and then no more. Recording is off: `NoTapes`.
#[test]
fn a_record_refused_twice_is_sent_three_times() {
    let merchant = Merchant::start();
    let b = Behaviour::Refuse { rings: false, status: "404 Not Found", header: "" };
    let country = country(&merchant, &b, false);
    merchant.answer_next_at("/cb/Call ", &[(500, ""), (500, "")]);
    let id = call(&country);
    let sent = wait_records(&merchant, 3);
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(records(&merchant).len(), 3, "no fourth");
    assert!(sent.iter().all(|s| s.body == sent[0].body), "the same bytes each time");
    let body: Value = serde_json::from_str(&sent[0].body).expect("JSON");
    let cdr = &body["cdr"][0];
    assert_eq!((&cdr["requestid"], &cdr["tapesurl"]), (&json!(id), &json!("NoTapes")), "{cdr}");
    assert_eq!(
        (&cdr["stateDesc"], &cdr["calledstime"]),
        (&json!("应答|空号"), &json!("")),
        "{cdr}"
    );
}
