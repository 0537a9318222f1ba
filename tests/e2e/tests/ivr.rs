//! Numbers that a scenario answers, on the program itself: whoever calls one by a carrier hears the menu, presses keys in
//! every way there is, is led on; a merchant's server that is dead keeps nobody; a killed process loses no money.

use std::path::Path;
use std::time::{Duration, Instant};

use e2e::country::{B_MINUTE, Country, PASSWORD, USER, Wish, operator};
use e2e::merchant::{Merchant, http};
use e2e::pcap::{Capture, rtp_audio};
use e2e::pjsua::{Line, Phone};
use e2e::postgres::Postgres;
use e2e::sipcall::serve;
use e2e::sipp::{Behaviour, Sipp};
use e2e::tandem::{Setup, Tandem};
use e2e::{ports, sound, wait};
use serde_json::{Value, json};

/// The number that is called, as carriers write it, and where its scenario is.
const X: &str = "+861053180009";
const PATH: &str = "/v1/numbers/861053180009/scenario";
const CALLER: &str = "+8613800138000";
const B: &str = "+8613900139000";
const SCOPES: [&str; 5] =
    ["scenarios:write", "scenarios:read", "calls:read", "events:read", "webhooks:write"];

/// Without a scenario the number rings an extension that nobody has.
fn wish() -> Wish {
    let seat = |number: &str| {
        format!(
            "\n[[extensions]]\nnumber = \"{number}\"\nmerchant = \"{USER}\"\npassword = \"{PASSWORD}\"\n"
        )
    };
    let group =
        format!("\n[[groups]]\nnumber = \"80100\"\nmerchant = \"{USER}\"\nmembers = [\"80001\"]\n");
    let inbound = format!("\n[[inbound]]\nnumber = \"{X}\"\nextension = \"80009\"\n");
    let more = [seat("80001"), seat("80009"), group, inbound].concat();
    Wish { more, settings: vec!["call.checkpoint=1s".into()], ..Wish::default() }
}

fn ask(tandem: &Tandem, key: &str, (method, path): (&str, &str), body: &Value) -> (u16, Value) {
    let bearer = format!("Bearer {key}");
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Accept", "application/json"),
        ("Content-Type", "application/json"),
    ];
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let (status, answer) = http(tandem.http, method, path, &headers, &text);
    (status, serde_json::from_str(&answer).unwrap_or(Value::Null))
}

/// The number has this scenario, and the switch knows it.
fn answers(tandem: &Tandem, key: &str, steps: &Value, start: &str) {
    let scenario = json!({ "scenario": { "start": start, "language": "en", "steps": steps } });
    let (status, made) = ask(tandem, key, ("PUT", PATH), &scenario);
    assert_eq!(status, 200, "{made}");
    wait::until("the switch to know it", || {
        let told = tandem.admin("GET", &format!("/admin/v1/explain/{}", &X[1..]));
        told["delivered"].as_str()?.contains("scenario").then_some(())
    });
}

/// So many seconds of a tone, behind an address.
fn tone(folder: &Path, hertz: u32, seconds: u32) -> String {
    let file = folder.join(format!("{hertz}.wav"));
    sound::write_wav_tone(&file, hertz, seconds);
    format!("http://{}/{hertz}.wav", serve(std::fs::read(file).expect("a sound")))
}

fn menu(url: &str, then: &str) -> Value {
    json!({ "do": "gather", "sounds": [{ "url": url }], "choices": { "1": then }, "timeout_s": 3 })
}

/// Items of a list of the merchant's.
fn items(tandem: &Tandem, key: &str, path: &str) -> Vec<Value> {
    let (status, answer) = ask(tandem, key, ("GET", path), &Value::Null);
    assert_eq!(status, 200, "{path}: {answer}");
    answer["items"].as_array().expect("a page").clone()
}

/// The merchant's calls that are over, when there are so many.
fn ended(tandem: &Tandem, key: &str, all: usize) -> Vec<Value> {
    wait::until("the calls to end", || {
        Some(items(tandem, key, "/v1/calls")).filter(|calls| calls.len() == all)
    })
}

#[test]
fn whoever_calls_hears_the_menu_presses_a_key_and_is_joined_with_the_group() {
    let folder = tempfile::tempdir().expect("a folder");
    let operator = operator(&wish(), ports::one(), ports::one());
    let settings = wish().settings;
    let tandem = Tandem::start(folder.path(), &Setup { settings, operator });
    let key = tandem.api_key(USER, &SCOPES);
    let steps = json!({
        "menu": menu(&tone(folder.path(), 900, 20), "desk"),
        "desk": { "do": "dial", "number": "80100" },
    });
    answers(&tandem, &key, &steps, "menu");
    let (known, told) = tandem.run(&["explain", X]);
    assert!(known && told.contains("the scenario that merchant test has given it"), "{told}");
    let led = items(&tandem, &key, "/v1/numbers");
    assert_eq!(led[0]["leads_to"], "scenario", "{led:?}");
    let port = tandem.sip.port();
    let taker = Line { user: "80001", tone: 1_300, port, ..Line::default() };
    let mut taker = Phone::start(folder.path(), &taker);
    let caller = Line { user: CALLER, password: None, tone: 700, port, ..Line::default() };
    let mut caller = Phone::start(folder.path(), &caller);
    for method in ["rfc4733", "info"] {
        caller.order(&json!({ "do": "call", "to": format!("sip:{X}@tandem.example") }));
        caller.wait_state("CONFIRMED");
        std::thread::sleep(Duration::from_millis(700));
        caller.order(&json!({ "do": "keys", "digits": "1", "method": method }));
        taker.wait_state("CONFIRMED");
        tandem.wait_call("bridged");
        std::thread::sleep(Duration::from_millis(700));
        caller.order(&json!({ "do": "hangup" }));
        taker.wait_state("DISCONNECTED");
        caller.wait_state("DISCONNECTED");
    }
    let calls = ended(&tandem, &key, 2);
    for call in &calls {
        let found = |at: &str| call.pointer(at).cloned().unwrap_or_default();
        assert_eq!((found("/purpose"), found("/outcome")), (json!("inbound"), json!("completed")));
        assert_eq!(found("/to/number"), CALLER, "{call:#}");
        assert_eq!(found("/connect/number"), X[1..], "{call:#}");
        assert_eq!(found("/keys"), json!(["1"]), "{call:#}");
        assert_eq!(found("/price_micros"), 0, "extensions cost nothing here: {call:#}");
    }
    let events = items(&tandem, &key, "/v1/events?after=0&limit=200");
    let count = |name: &str| events.iter().filter(|event| event["type"] == name).count();
    assert_eq!((count("call.ended"), count("leg.answered")), (2, 4), "{events:#?}");
    let heard = caller.quit();
    let of = |hertz| sound::tenths_of(&heard.channels[0], heard.rate, hertz);
    assert!((8..=30).contains(&of(900.0)), "{} tenths of the menu, until the key", of(900.0));
    assert!(of(1_300.0) >= 6, "{} tenths of who took it", of(1_300.0));
    let heard = taker.quit();
    let own = sound::tenths_of(&heard.channels[0], heard.rate, 700.0);
    assert!(own >= 6, "{own} tenths of who called");
    tandem.books_in_order();
}

#[test]
fn a_key_as_sound_leads_on_and_a_killed_process_loses_neither_money_nor_the_scenario() {
    let sounds = tempfile::tempdir().expect("a folder");
    let one = sounds.path().join("one.al");
    sound::write_alaw_key(&one, (697, 1_209));
    let high = sounds.path().join("1300.al");
    sound::write_alaw_tone(&high, 1_300, 30);
    let b = Behaviour::Answer { ring_ms: 200, tone: Some(high), talk_ms: None };
    let mut country = Country::new(&wish(), &Behaviour::RingOnly, &b, 1);
    let key = country.tandem.api_key(USER, &SCOPES);
    let steps = json!({
        "menu": menu(&tone(sounds.path(), 900, 3), "away"),
        "away": { "do": "dial", "number": B },
    });
    answers(&country.tandem, &key, &steps, "menu");
    let (port, folder) = (country.tandem.sip.port(), country.folder.path().to_owned());
    let dials =
        |talk_ms| Behaviour::Dials { port, from: CALLER, number: X, tone: one.clone(), talk_ms };
    let mut caller = Sipp::start(&folder, "caller", &dials(60_000), 1);
    let capture = Capture::start(&folder, &[caller.media_port]);
    country.tandem.wait_call("bridged");
    std::thread::sleep(Duration::from_millis(1_500));
    country.tandem.kill();
    let seen = capture.stop();
    country.tandem.resume();
    let heard = sound::alaw(&rtp_audio(&seen, caller.media_port, 8));
    for hertz in [900.0, 1_300.0] {
        let tenths = sound::tenths_of(&heard, 8_000.0, hertz);
        assert!(tenths >= 8, "{tenths} tenths of {hertz}");
    }
    caller.kill();
    assert!(country.carrier_b.finish().success(), "B got BYE: {}", country.carrier_b.messages());
    let call = ended(&country.tandem, &key, 1).remove(0);
    assert_eq!((&call["purpose"], &call["reason"]), (&json!("inbound"), &json!("crash")));
    let legs = call["legs"].as_array().expect("legs");
    let price = |leg: &str| {
        let found = legs.iter().find(|one| one["leg"] == leg).expect("a leg");
        found["price_micros"].as_i64()
    };
    assert_eq!((price("A"), price("C")), (Some(0), Some(B_MINUTE)), "{call:#}");
    let balances = country.tandem.admin("GET", "/admin/v1/balances");
    assert_eq!(balances["items"][0]["held_micros"], 0, "{balances}");
    assert_eq!(balances["items"][0]["posted_micros"], 100_000_000 - B_MINUTE, "{balances}");

    // The next process answers as this one did.
    let (status, _) = ask(&country.tandem, &key, ("GET", PATH), &Value::Null);
    assert_eq!(status, 200);
    let mut again = Sipp::start(&folder, "again", &dials(1_000), 1);
    let capture = Capture::start(&folder, &[again.media_port]);
    assert!(again.finish().success(), "{}", again.messages());
    let heard = sound::alaw(&rtp_audio(&capture.stop(), again.media_port, 8));
    assert!(sound::tenths_of(&heard, 8_000.0, 900.0) >= 5, "the menu");
    assert_eq!(ended(&country.tandem, &key, 2)[1]["price_micros"], 0);
    country.tandem.books_in_order();
}

#[test]
fn a_merchants_server_says_where_it_goes_on_and_keeps_nobody_when_it_is_dead() {
    let sounds = tempfile::tempdir().expect("a folder");
    let silent = sounds.path().join("silent.al");
    sound::write_alaw_key(&silent, (20, 20));
    let country = Country::new(&wish(), &Behaviour::RingOnly, &Behaviour::RingOnly, 1);
    let tandem = &country.tandem;
    let key = tandem.api_key(USER, &SCOPES);
    let merchant = Merchant::start();
    let hook = json!({ "url": merchant.url("/hook"), "events": ["call.ended"] });
    let (_, hook) = ask(tandem, &key, ("POST", "/v1/webhooks"), &hook);
    let (asked, fallback) = (tone(sounds.path(), 1_300, 1), tone(sounds.path(), 900, 1));
    let dead = format!("http://127.0.0.1:{}/step", ports::one());
    let (port, folder) = (tandem.sip.port(), country.folder.path());
    merchant.answer_next_at("/step", &[(200, r#"{"next":"asked"}"#)]);
    for (nth, (url, hertz)) in [(merchant.url("/step"), 1_300.0), (dead, 900.0)].iter().enumerate()
    {
        let steps = json!({
            "ask": { "do": "webhook", "url": url, "webhook": hook["id"], "timeout_s": 1, "fallback": "fallback" },
            "asked": { "do": "play", "sounds": [{ "url": asked }] },
            "fallback": { "do": "play", "sounds": [{ "url": fallback }] },
        });
        answers(tandem, &key, &steps, "ask");
        if nth > 0 {
            // It had a scenario before: the explanation is no news of this one.
            std::thread::sleep(Duration::from_millis(1_200));
        }
        // He would stay for longer than it speaks.
        let dials = Behaviour::Dials {
            port,
            from: CALLER,
            number: X,
            tone: silent.clone(),
            talk_ms: 30_000,
        };
        let mut caller = Sipp::start(folder, &format!("caller-{nth}"), &dials, 1);
        let capture = Capture::start(folder, &[caller.media_port]);
        let call = ended(tandem, &key, nth + 1).remove(nth);
        assert_eq!(
            (&call["outcome"], &call["released_by"]),
            (&json!("completed"), &json!("platform"))
        );
        let heard = sound::alaw(&rtp_audio(&capture.stop(), caller.media_port, 8));
        let tenths = sound::tenths_of(&heard, 8_000.0, *hertz);
        assert!((8..=11).contains(&tenths), "{tenths} tenths of {hertz}");
        caller.kill();
    }
    let told = merchant.wait_for("/step", 1).remove(0);
    let told: Value = serde_json::from_str(&told.body).expect("JSON");
    assert_eq!(told["data"]["from"], CALLER, "{told}");
    assert_eq!(told["data"]["number"], X[1..], "{told}");
    let over = merchant.wait_for("/hook", 2);
    assert!(over.iter().all(|event| event.body.contains("\"inbound\"")), "{over:?}");
    // Taken back, it rings whom the operator says: nobody is there.
    let (status, back) = ask(tandem, &key, ("DELETE", PATH), &Value::Null);
    assert_eq!((status, &back["leads_to"]), (200, &json!("extension")), "{back}");
    tandem.books_in_order();
}

#[test]
fn another_process_knows_a_scenario_and_its_end_within_about_a_second() {
    let postgres = Postgres::start();
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let operator = operator(&wish(), ports::one(), ports::one());
    let mut node = 0;
    let [first, second] = folders.each_ref().map(|folder| {
        node += 1;
        let settings = vec![format!("database={}", postgres.url()), format!("node={node}")];
        Tandem::start(folder.path(), &Setup { settings, operator: operator.clone() })
    });
    let key = first.api_key(USER, &SCOPES);
    let leads = |word: &str| {
        let since = Instant::now();
        wait::until(&format!("the other one to say {word}"), || {
            let told = second.admin("GET", &format!("/admin/v1/explain/{}", &X[1..]));
            told["delivered"].as_str()?.contains(word).then_some(())
        });
        assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
    };
    leads("extension");
    let steps = json!({ "bye": { "do": "say", "say": [{ "digits": "12" }] } });
    answers(&first, &key, &steps, "bye");
    leads("scenario");
    let (status, told) = ask(&second, &key, ("DELETE", PATH), &Value::Null);
    assert_eq!((status, &told["leads_to"]), (200, &json!("extension")), "{told}");
    leads("extension");
    first.books_in_order();
}
