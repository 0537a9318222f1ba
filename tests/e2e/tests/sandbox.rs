//! A merchant that tries things out: its calls end at the simulated far end, its money buys nothing, and no carrier
//! hears of it.

use e2e::country::{Country, Wish};
use e2e::merchant::{Merchant, callback_target, http, notification_is_signed};
use e2e::sipp::Behaviour;
use e2e::{sipcall, wait, ytx};
use serde_json::{Value, json};

const TRIAL: &str = "trial";
const KEY: &str = "k2Jw8sVb";
/// Leg A: answers and never hangs up.
const A: &str = "13800138100";

/// The routes of the country lead to carriers that answer; this merchant's calls are not to take them.
const SANDBOX: &str = r#"
[[tariffs]]
name = "play"
currency = "XTS"
rates = [{ prefix = "86", per_minute = "0.10" }]

[[merchants]]
name = "trial"
key = "k2Jw8sVb"
sandbox = true
currency = "XTS"
tariff = "play"
pstn_caller = true
record = true

[[top_ups]]
id = "play-1"
merchant = "trial"
amount = "1000"
"#;

#[test]
fn the_number_called_chooses_what_comes_of_it_and_no_carrier_is_asked() {
    let answers = Behaviour::Answer { ring_ms: 0, tone: None, talk_ms: Some(500) };
    let wish = Wish { more: SANDBOX.into(), ..Wish::default() };
    let country = Country::new(&wish, &answers, &answers, 1);
    let merchant = Merchant::start();
    let outcomes = [
        ("13900139101", "success"),
        ("13900139200", "callee_busy"),
        ("13900139202", "callee_reject"),
        ("13900139203", "callee_invalid"),
        ("13900139204", "callee_unreachable"),
        // Signalled is 480 alone: it was heard.
        ("13900139300", "callee_busy"),
    ];
    for (b, _) in outcomes {
        let returnurl = merchant.url(&format!("/{b}"));
        let target = callback_target(TRIAL, KEY, b, A, b, &returnurl);
        let (_, body) = http(country.tandem.http, "GET", &target, &[], "");
        assert_eq!(body, format!("result=success&callbackid={b}"));
    }
    for (b, outcome) in outcomes {
        let told = merchant.wait_for(&format!("/{b}"), 1).remove(0);
        assert!(notification_is_signed(&told, KEY), "{b}");
        assert_eq!(told.query("callback_result").as_deref(), Some(outcome), "{b}");
        let fee = if outcome == "success" { "0.10" } else { "0.00" };
        assert_eq!(told.query("destination_fee").as_deref(), Some(fee), "{b}");
    }
    let cdrs = country.tandem.admin("GET", "/admin/v1/cdrs");
    let cdrs = cdrs["items"].as_array().expect("rows");
    assert_eq!(cdrs.len(), 2 * outcomes.len());
    for cdr in cdrs {
        assert_eq!(
            (&cdr["currency"], &cdr["facts"]["trunk"]),
            (&"XTS".into(), &"(sandbox)".into())
        );
    }
    let ledger = country.tandem.admin("GET", "/admin/v1/ledger").to_string();
    assert!(ledger.contains("revenue:XTS") && !ledger.contains("revenue:CNY"), "{ledger}");
    let call = wait::until("a call with a recording", || {
        let cdr = cdrs.iter().find(|cdr| cdr["called"] == "13900139101")?;
        let id = cdr["call"].as_str().expect("an id");
        let call = country.tandem.admin("GET", &format!("/admin/v1/calls/{id}"));
        call["record"]["recording_url"].is_string().then_some(call)
    });
    assert!(call["record"]["recording_url"].as_str().is_some_and(|url| url.ends_with(".mp3")));
    for carrier in [&country.carrier_a, &country.carrier_b] {
        assert!(!carrier.messages().contains("INVITE"), "{}", carrier.messages());
    }
    country.tandem.books_in_order();
}

/// What networks say is heard and told; a key that is pressed is told.
#[test]
fn what_the_far_end_says_and_presses_is_told_to_both_systems() {
    let merchant = Merchant::start();
    let account = ytx::account(TRIAL, &merchant.url("/cb/"), false);
    let more = [SANDBOX.to_owned(), account, sipcall::company(TRIAL, &merchant.url("/"))].concat();
    let wish = Wish { more, ..Wish::default() };
    let country = Country::new(&wish, &Behaviour::RingOnly, &Behaviour::RingOnly, 1);
    let said = [("13900139302", "关机"), ("13900139316", "欠费"), ("13900139318", "改号")];
    for (b, _) in said {
        let asked = json!({ "action": "callDailBack", "appid": ytx::APP, "src": A, "dst": b });
        let answer = ytx::ask(country.tandem.http, "call/DailbackCall.wx", &asked);
        assert_eq!(answer["statusCode"], "0", "{answer}");
    }
    let asked = [
        ("destnumber", "13900139403"),
        ("voicetype", "1"),
        ("voicefile", "callee-busy"),
        ("userkey", "1"),
    ];
    let answer = sipcall::play(country.tandem.http, &asked);
    assert_eq!(answer["data"]["status"], 0, "{answer}");
    let told: Value = serde_json::from_str(&merchant.wait_for("/cdr", 1)[0].body).expect("JSON");
    assert_eq!((&told["userkey"], &told["hangupcause"]), (&json!("3"), &json!(10001)), "{told}");
    for (b, word) in said {
        let record = wait::until("a record", || {
            let all = merchant.received("/cb/Call");
            let mut all = all.iter().map(|one| serde_json::from_str(&one.body).expect("JSON"));
            all.find(|told: &Value| told["cdr"][0]["called"] == b)
        });
        assert_eq!(record["cdr"][0]["stateDesc"], format!("应答|{word}"), "{record}");
    }
    country.tandem.books_in_order();
}

/// One leg to this number, which a menu waits for.
fn try_out(country: &Country, key: &str, number: &str) {
    let keys: serde_json::Map<String, Value> =
        "0123456789*#".chars().map(|key| (key.into(), "end".into())).collect();
    let menu = json!({ "do": "gather", "sounds": [{ "prompt": "callee-busy" }], "choices": keys,
                       "timeout_s": 1, "no_input": "end", "no_match": "end" });
    let body = json!({
        "to": { "number": number, "ring_s": 5 }, "reference": number, "record": false,
        "scenario": { "start": "menu", "steps": { "menu": menu, "end": { "do": "hangup" } } },
    });
    let bearer = format!("Bearer {key}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let (status, answer) =
        http(country.tandem.http, "POST", "/v1/calls", &headers, &body.to_string());
    assert_eq!(status, 201, "{number}: {answer}");
}

/// The calls of a key that have ended, when there are so many.
fn ended(country: &Country, key: &str, all: usize) -> Vec<Value> {
    let bearer = format!("Bearer {key}");
    wait::until("the calls to end", || {
        let headers = [("Authorization", bearer.as_str())];
        let (_, page) = http(country.tandem.http, "GET", "/v1/calls?limit=100", &headers, "");
        let page: Value = serde_json::from_str(&page).expect("JSON");
        page["items"].as_array().filter(|items| items.len() == all).cloned()
    })
}

/// A country in which nobody is rung, and a key of each of so many sandboxes.
fn sandboxes(names: &[&str]) -> (Country, Vec<String>) {
    let (tariff, merchant) = SANDBOX.split_once("[[merchants]]").expect("a merchant");
    let one = |name: &&str| {
        let named = merchant.replace("trial", name).replace("play-1", name);
        let named = named.replace("record = true", "caller_id = \"01053180002\"");
        format!("[[merchants]]{named}")
    };
    let more = [tariff.to_owned(), names.iter().map(one).collect()].concat();
    let wish = Wish { more, ..Wish::default() };
    let country = Country::new(&wish, &Behaviour::RingOnly, &Behaviour::RingOnly, 1);
    let scopes = ["calls:read", "calls:write"];
    let keys = names.iter().map(|name| country.tandem.api_key(name, &scopes)).collect();
    (country, keys)
}

/// Each row of `docs/sandbox.md` but those of announcements, by calls of `/v1`: what is told of a call that reached nobody
/// and which key was pressed.
#[test]
fn every_number_of_the_document_does_over_v1_what_it_says() {
    let (country, keys) = sandboxes(&["one", "two"]);
    let refused = [
        ("200", "busy", Some(486), Some(17)),
        ("201", "no_answer", None, None),
        ("202", "rejected", Some(603), Some(21)),
        ("203", "unallocated", Some(404), Some(1)),
        ("204", "unreachable", Some(480), Some(20)),
        ("205", "congestion", Some(503), Some(34)),
        ("206", "unallocated", Some(410), Some(22)),
        ("207", "invalid_number", Some(484), Some(28)),
    ];
    let answered = ["100", "101", "102", "138"];
    let number = |last: &str| format!("13900139{last}");
    for last in refused.iter().map(|row| row.0).chain(answered) {
        try_out(&country, &keys[0], &number(last));
    }
    for last in 400..=411 {
        try_out(&country, &keys[1], &number(&last.to_string()));
    }
    let calls = ended(&country, &keys[0], refused.len() + answered.len());
    let of = |last: &str| {
        let found = calls.iter().find(|call| call["reference"] == number(last));
        found.unwrap_or_else(|| panic!("no call to {last}"))
    };
    for (last, reason, status, cause) in refused {
        let call = of(last);
        let leg = &call["legs"][0];
        assert_eq!(
            (&call["outcome"], &call["reason"]),
            (&json!("failed"), &json!(reason)),
            "{call}"
        );
        assert_eq!((&call["price_micros"], &leg["answered"]), (&json!(0), &json!(null)), "{call}");
        if let (Some(status), Some(cause)) = (status, cause) {
            assert_eq!(
                (&leg["sip_status"], &leg["q850"]),
                (&json!(status), &json!(cause)),
                "{call}"
            );
        }
    }
    for last in answered {
        let call = of(last);
        assert_eq!(
            (&call["outcome"], &call["price_micros"]),
            (&json!("completed"), &json!(100_000))
        );
        // Who talks for a second or two hangs up; for the others the menu does, when nobody pressed anything.
        let hung_up = if ["101", "102"].contains(&last) { "a" } else { "platform" };
        assert_eq!(call["released_by"], hung_up, "{call}");
    }
    for call in ended(&country, &keys[1], 12) {
        let last = call["reference"].as_str().expect("a number").trim_start_matches("139001394");
        let nth: usize = last.parse().expect("two digits");
        let pressed = &"0123456789*#"[nth..=nth];
        assert_eq!(call["keys"], json!([pressed]), "{call}");
    }
    country.tandem.books_in_order();
}

/// `…300` to `…320`: each is heard for what it is.
#[test]
fn every_announcement_of_the_document_is_heard_for_what_it_is() {
    let (country, keys) = sandboxes(&["one", "two"]);
    let said = [
        "switched-off",
        "no-such-number",
        "out-of-service",
        "on-a-call",
        "refused",
        "unreachable",
        "suspended",
        "busy",
        "misdialled",
        "incoming-barred",
        "reminder",
        "forwarding-failed",
        "network-busy",
        "no-answer",
        "in-debt",
        "cannot-answer",
        "number-changed",
        "line-fault",
        "try-later",
    ];
    let number = |last: usize| format!("13900139{last}");
    for last in 300..=320 {
        try_out(&country, &keys[last % 2], &number(last));
    }
    ended(&country, &keys[0], 11);
    ended(&country, &keys[1], 10);
    let cdrs = country.tandem.admin("GET", "/admin/v1/cdrs?limit=100");
    let heard = |last| {
        let cdrs = cdrs["items"].as_array().expect("rows");
        let cdr = cdrs.iter().find(|cdr| cdr["facts"]["as_sent"] == number(last));
        cdr.unwrap_or_else(|| panic!("no CDR of {last}"))["facts"]["recognised"].clone()
    };
    assert_eq!((&heard(300)["kind"], &heard(301)["kind"]), (&json!("busy"), &json!("congestion")));
    for (last, says) in (302..).zip(said) {
        assert_eq!(heard(last)["says"], says, "{last}: {}", heard(last));
    }
    country.tandem.books_in_order();
}

/// Play money and sandboxes belong together, and nobody takes a real balance along into one.
#[test]
fn money_that_buys_nothing_is_for_sandboxes_alone() {
    let answers = Behaviour::RingOnly;
    let country = Country::new(&Wish::default(), &answers, &answers, 1);
    let file = country.folder.path().join("more.toml");
    let refused = |text: &str, words: &str| {
        std::fs::write(&file, text).expect("a file");
        let (done, said) = country.tandem.run(&["apply", &file.display().to_string()]);
        assert!(!done && said.contains(words), "{said}");
    };
    refused(&SANDBOX.replace("sandbox = true\n", ""), "XTS is the money of sandboxes");
    let real = SANDBOX.replace("currency = \"XTS\"\n", "currency = \"CNY\"\n");
    refused(&real, "a sandbox has money that buys nothing");
}
