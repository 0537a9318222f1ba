//! Our own surface against the program: a call that is placed there, told state by state, and read back with what it cost.

use e2e::country::{self, A, B, Country, USER, Wish};
use e2e::merchant::{Merchant, http};
use e2e::sipp::Behaviour;
use e2e::sound;
use serde_json::{Value, json};

/// A request to the merchants' door.
fn ask(country: &Country, key: &str, request: (&str, &str), body: Option<&Value>) -> (u16, Value) {
    let bearer = format!("Bearer {key}");
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Accept", "application/json"),
        ("Content-Type", "application/json"),
    ];
    let text = body.map(ToString::to_string).unwrap_or_default();
    let (status, answer) = http(country.tandem.http, request.0, request.1, &headers, &text);
    (status, serde_json::from_str(&answer).unwrap_or(Value::Null))
}

/// `A answered`, `call ended`.
fn state(event: &Value) -> String {
    let leg = event["data"]["leg"].as_str().unwrap_or("call");
    let name = event["type"].as_str().expect("a type");
    format!("{leg} {}", name.split('.').nth(1).unwrap_or_default())
}

#[test]
fn a_call_is_placed_told_state_by_state_to_a_webhook_and_read_back_with_its_price() {
    let a = Behaviour::Answer { ring_ms: 200, tone: None, talk_ms: None };
    let b = Behaviour::Answer { ring_ms: 200, tone: None, talk_ms: Some(1500) };
    let country = Country::new(&Wish::default(), &a, &b, 1);
    let merchant = Merchant::start();
    let scopes = ["calls:read", "calls:write", "webhooks:write", "events:read", "balance:read"];
    let key = country.tandem.api_key(USER, &scopes);
    let hook = json!({ "url": merchant.url("/hook") });
    let (status, hook) = ask(&country, &key, ("POST", "/v1/webhooks"), Some(&hook));
    assert_eq!(status, 201, "{hook}");

    let wanted = json!({
        "to": { "number": A }, "connect": { "number": B }, "reference": "order 7",
    });
    let (status, placed) = ask(&country, &key, ("POST", "/v1/calls"), Some(&wanted));
    assert_eq!(status, 201, "{placed}");
    let heard = merchant.wait_for("/hook", 9);
    let told: Vec<Value> =
        heard.iter().map(|one| serde_json::from_str(&one.body).expect("JSON")).collect();
    let states: Vec<String> = told.iter().map(state).collect();
    let rising = ["A dialing", "A ringing", "A answered", "B dialing", "B ringing", "B answered"];
    assert_eq!(states[..6], rising, "{states:?}");
    let mut ends = states[6..8].to_vec();
    ends.sort();
    assert_eq!(ends, ["A ended", "B ended"], "{states:?}");
    assert_eq!(states[8], "call ended", "{states:?}");
    for (nth, event) in told.iter().enumerate() {
        assert_eq!(event["sequence"], json!(nth + 1));
        assert_eq!(event["reference"], "order 7");
    }

    let path = placed["url"].as_str().expect("an address");
    let (_, call) = ask(&country, &key, ("GET", path), None);
    assert_eq!(call, told[8]["data"], "what is told is what is read");
    assert_eq!(call["price_micros"], country::A_MINUTE + country::B_MINUTE, "{call}");
    assert_eq!(call["outcome"], "completed", "{call}");
    let (_, page) = ask(&country, &key, ("GET", "/v1/events?after=0"), None);
    assert_eq!(page["items"].as_array().expect("a list"), &told);
    let (_, balance) = ask(&country, &key, ("GET", "/v1/balance"), None);
    assert_eq!(balance["held_micros"], 0, "{balance}");
    let (status, _) = ask(&country, &key, ("GET", "/v1/webhooks"), None);
    assert_eq!(status, 403, "the key is not good for it");
    country.tandem.books_in_order();
}

#[test]
fn a_scenario_keeps_a_message_and_asks_the_merchants_server_whom_to_ring() {
    let sounds = tempfile::tempdir().expect("a folder");
    let tone = sounds.path().join("700.al");
    sound::write_alaw_tone(&tone, 700, 30);
    let a = Behaviour::Answer { ring_ms: 100, tone: Some(tone), talk_ms: None };
    let b = Behaviour::Answer { ring_ms: 100, tone: None, talk_ms: Some(1000) };
    let country = Country::new(&Wish::default(), &a, &b, 1);
    let merchant = Merchant::start();
    let scopes = ["calls:read", "calls:write", "webhooks:write"];
    let key = country.tandem.api_key(USER, &scopes);
    let hook = json!({ "url": merchant.url("/hook"), "events": ["call.ended"] });
    let (status, hook) = ask(&country, &key, ("POST", "/v1/webhooks"), Some(&hook));
    assert_eq!(status, 201, "{hook}");

    let fragment =
        json!({ "scenario": { "start": "b", "steps": { "b": { "do": "dial", "number": B } } } });
    merchant.answer_next_at("/step", &[(200, r#"{"next":"again"}"#), (200, &fragment.to_string())]);
    let step = |fallback: &str| json!({ "do": "webhook", "url": merchant.url("/step"), "webhook": hook["id"], "fallback": fallback });
    let wanted = json!({
        "to": { "number": A }, "reference": "order 7", "record": false,
        "scenario": { "start": "message", "steps": {
            "message": { "do": "record", "what": "message", "max_s": 1, "next": "first" },
            "first": step("end"), "again": step("end"), "end": { "do": "hangup" },
        } },
    });
    let (status, placed) = ask(&country, &key, ("POST", "/v1/calls"), Some(&wanted));
    assert_eq!(status, 201, "{placed}");
    let told = merchant.wait_for("/hook", 1);
    let ended: Value = serde_json::from_str(&told[0].body).expect("JSON");
    let call = &ended["data"];
    assert_eq!(
        (&call["outcome"], &call["recordings"][0]["format"]),
        (&json!("completed"), &json!("mp3")),
        "{call}"
    );
    assert!(call["recordings"][0]["duration_ms"].as_u64() >= Some(500), "{call}");
    assert_eq!(call["price_micros"], country::A_MINUTE + country::B_MINUTE, "{call}");
    let questions = merchant.received("/step");
    let steps: Vec<Value> =
        questions.iter().map(|one| serde_json::from_str(&one.body).expect("JSON")).collect();
    assert_eq!(steps.len(), 2, "{steps:?}");
    for (nth, question) in steps.iter().enumerate() {
        let name = ["first", "again"][nth];
        assert_eq!((&question["call"], &question["data"]["step"]), (&call["id"], &json!(name)));
    }
    country.tandem.books_in_order();
}
