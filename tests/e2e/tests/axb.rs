//! Privacy numbers on the program itself (merchant API §6): two who talk by a number between them, strangers who hear that
//! there is nobody, bindings that outlive a crash, and another process that knows them.

use std::time::Duration;

use e2e::country::{A_MINUTE, B_MINUTE, Country, PASSWORD, USER, Wish, operator};
use e2e::merchant::http;
use e2e::pcap::{Capture, rtp_audio};
use e2e::postgres::Postgres;
use e2e::sipp::{Behaviour, Sipp};
use e2e::tandem::{Setup, Tandem};
use e2e::{sound, wait};
use serde_json::{Value, json};

/// The number between, as carriers write it.
const X: &str = "+861053180009";
const A: &str = "+8613800138000";
const B: &str = "+8613900139000";
const STRANGER: &str = "+8613700137000";

/// A privacy number of the merchant's, whose calls are recorded.
fn wish() -> Wish {
    let more = format!(
        "\n[[extensions]]\nnumber = \"80009\"\nmerchant = \"{USER}\"\npassword = \"{PASSWORD}9\"\n\n\
         [[inbound]]\nnumber = \"{X}\"\nextension = \"80009\"\naxb = true\nrecord = true\n"
    );
    Wish { more, ..Wish::default() }
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

fn bind(tandem: &Tandem, key: &str) -> String {
    let wanted =
        json!({ "number": X, "a": A, "b": B, "expires_in_s": 3_600, "reference": "order 7" });
    let (status, made) = ask(tandem, key, ("POST", "/v1/axb/bindings"), &wanted);
    assert_eq!(status, 201, "{made}");
    format!("/v1/axb/bindings/{}", made["id"].as_str().expect("an id"))
}

fn answers(tone: &std::path::Path) -> Behaviour {
    Behaviour::Answer { ring_ms: 200, tone: Some(tone.to_owned()), talk_ms: None }
}

/// The CDRs of the newest call, when there are so many.
fn legs(tandem: &Tandem, all: usize) -> Vec<Value> {
    let cdrs = wait::until("the CDRs", || {
        let cdrs = tandem.admin("GET", "/admin/v1/cdrs");
        let cdrs = cdrs["items"].as_array()?.clone();
        (cdrs.len() == all).then_some(cdrs)
    });
    let newest = cdrs.iter().max_by_key(|cdr| cdr["id"].as_u64());
    let newest = newest.expect("a CDR")["call"].clone();
    cdrs.into_iter().filter(|cdr| cdr["call"] == newest).collect()
}

/// The call is in the merchant's own list, with all that happened in it.
fn seen_by_the_merchant(tandem: &Tandem, key: &str, id: &str, (from, to): (&str, &str)) {
    let get = |path: &str| {
        let (status, answer) = ask(tandem, key, ("GET", path), &Value::Null);
        assert_eq!(status, 200, "{path}: {answer}");
        answer["items"].as_array().expect("a page").clone()
    };
    let calls = get("/v1/calls");
    let own = calls.iter().find(|call| call["id"] == id);
    let own = own.unwrap_or_else(|| panic!("{id} is listed: {calls:#?}"));
    assert_eq!((&own["status"], &own["outcome"]), (&json!("ended"), &json!("completed")));
    let party = |party: &Value| party["number"].as_str().map(str::to_owned);
    let (a, b) = (party(&own["to"]), party(&own["connect"]));
    assert_eq!((a.as_deref(), b.as_deref()), (Some(from), Some(&to[1..])), "{own:#}");
    let events = get("/v1/events?after=0&limit=200");
    let of_it = events.iter().filter(|event| event["call"] == id);
    let types: Vec<_> = of_it.filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(types.last(), Some(&"call.ended"), "{types:?}");
    assert_eq!(types.iter().filter(|told| **told == "leg.answered").count(), 2, "{types:?}");
}

#[test]
fn s6_axb_each_reaches_the_other_and_hears_him_although_the_switch_was_killed() {
    let sounds = tempfile::tempdir().expect("a folder");
    let [low, high] = [700, 1_100].map(|hertz| {
        let file = sounds.path().join(format!("{hertz}.al"));
        sound::write_alaw_tone(&file, hertz, 30);
        file
    });
    let mut country = Country::new(&wish(), &answers(&low), &answers(&high), 1);
    let scopes = ["axb:write", "axb:read", "calls:read", "events:read"];
    let key = country.tandem.api_key(USER, &scopes);
    let path = bind(&country.tandem, &key);
    // What was answered is known, whatever comes.
    country.tandem.kill();
    country.tandem.resume();
    assert_eq!(ask(&country.tandem, &key, ("GET", &path), &Value::Null).1["state"], "live");

    let port = country.tandem.sip.port();
    let folder = country.folder.path().to_owned();
    let dials = |from, tone: &std::path::Path| Behaviour::Dials {
        port,
        from,
        number: X,
        tone: tone.to_owned(),
        talk_ms: 1_500,
    };
    let mut spent = 0;
    let turns = [(A, B, &low, &high, B_MINUTE), (B, A, &high, &low, A_MINUTE)];
    for (nth, (from, to, own, others, price)) in turns.into_iter().enumerate() {
        let called = if to == B { &mut country.carrier_b } else { &mut country.carrier_a };
        let mut caller = Sipp::start(&folder, &format!("caller-{nth}"), &dials(from, own), 1);
        let capture = Capture::start(&folder, &[caller.media_port, called.media_port]);
        assert!(caller.finish().success(), "{}", caller.messages());
        assert!(called.finish().success(), "{}", called.messages());
        let seen = capture.stop();
        for (port, tone) in [(caller.media_port, others), (called.media_port, own)] {
            let hertz = if tone == &low { 700.0 } else { 1_100.0 };
            let heard = sound::alaw(&rtp_audio(&seen, port, 8));
            assert!(sound::tenths_of(&heard, 8_000.0, hertz) >= 8, "{from}: {hertz} was heard");
        }
        let said = called.messages();
        assert!(said.contains(&format!("From: <sip:{X}@")), "{said}");
        assert!(!said.contains(&from[3..]), "{to} does not learn {from}: {said}");
        let said = caller.messages();
        assert!(!said.contains(&to[3..]), "{from} does not learn {to}: {said}");

        let cdrs = legs(&country.tandem, 2 * (nth + 1));
        let of = |no: u64| cdrs.iter().find(|cdr| cdr["leg"] == no).expect("a leg");
        assert_eq!((&of(0)["price"], &of(1)["price"]), (&json!(0), &json!(price)), "{cdrs:#?}");
        assert_eq!(of(0)["facts"]["as_sent"], from, "{cdrs:#?}");
        assert_eq!(of(1)["facts"]["as_sent"], to[1..], "{cdrs:#?}");
        assert_eq!(of(1)["facts"]["shown"], X, "{cdrs:#?}");
        spent += price;
        let id = of(0)["call"].as_str().expect("a call");
        let call = country.tandem.admin("GET", &format!("/admin/v1/calls/{id}"));
        assert!(call["record"]["recording_url"].is_string(), "{call:#}");
        let file = call["record"]["facts"]["recording"]["file"].to_string();
        assert!(!file.contains(&from[3..]) && !file.contains(&to[3..]), "{file}");
        seen_by_the_merchant(&country.tandem, &key, id, (from, to));
    }

    let told = Behaviour::IsTold { port, from: STRANGER, number: X, status: 404 };
    let mut caller = Sipp::start(&folder, "stranger", &told, 1);
    let capture = Capture::start(&folder, &[caller.media_port]);
    assert!(caller.finish().success(), "{}", caller.messages());
    let heard = sound::alaw(&rtp_audio(&capture.stop(), caller.media_port, 8));
    let loud = heard.iter().filter(|sample| sample.abs() > 0.02).count();
    assert!(loud > 4_000, "words were heard: {loud} of {}", heard.len());
    let cdrs = legs(&country.tandem, 5);
    assert_eq!((cdrs.len(), &cdrs[0]["price"]), (1, &json!(0)), "{cdrs:#?}");
    assert!(cdrs[0]["facts"]["answered"].is_null(), "{cdrs:#?}");
    let balances = country.tandem.admin("GET", "/admin/v1/balances");
    assert_eq!(balances["items"][0]["held_micros"], 0, "{balances}");
    assert_eq!(balances["items"][0]["posted_micros"], 100_000_000 - spent, "{balances}");
    let log = country.tandem.log();
    let info = log.lines().filter(|line| !line.contains("DEBUG") && !line.contains("TRACE"));
    for line in info {
        assert!(!line.contains(&A[3..]) && !line.contains(&B[3..]), "{line}");
    }
    country.tandem.books_in_order();
}

#[test]
fn s6_axb_another_process_knows_a_binding_and_its_end_within_about_a_second() {
    let sounds = tempfile::tempdir().expect("a folder");
    let tone = sounds.path().join("700.al");
    sound::write_alaw_tone(&tone, 700, 10);
    let postgres = Postgres::start();
    let [one, two] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let mut carrier_b = Sipp::start(one.path(), "carrier-b", &answers(&tone), 1);
    let operator = operator(&wish(), e2e::ports::one(), carrier_b.port);
    let start = |folder: &tempfile::TempDir, node: u8| {
        let settings = vec![format!("database={}", postgres.url()), format!("node={node}")];
        Tandem::start(folder.path(), &Setup { settings, operator: operator.clone() })
    };
    let (first, second) = (start(&one, 1), start(&two, 2));
    let key = first.api_key(USER, &["axb:write"]);
    let path = bind(&first, &key);
    std::thread::sleep(Duration::from_millis(1_300));
    let port = second.sip.port();
    let dials = Behaviour::Dials { port, from: A, number: X, tone, talk_ms: 300 };
    let mut caller = Sipp::start(two.path(), "caller", &dials, 1);
    assert!(caller.finish().success(), "{}", caller.messages());
    assert!(carrier_b.finish().success(), "{}", carrier_b.messages());
    assert_eq!(ask(&first, &key, ("DELETE", &path), &Value::Null).0, 200);
    std::thread::sleep(Duration::from_millis(1_300));
    let told = Behaviour::IsTold { port, from: A, number: X, status: 404 };
    let mut caller = Sipp::start(two.path(), "told", &told, 1);
    assert!(caller.finish().success(), "{}", caller.messages());
    first.books_in_order();
}
