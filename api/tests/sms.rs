//! Short messages over HTTP (spec §5.5): by which ways they leave, what gateways tell of them and of what comes in, and the
//! vendor's doors.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

#[path = "payments/peer.rs"]
mod peer;
mod world;

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use billing::smpp::Came;
use billing::sms::{NewInbound, Replies, Sms, SmsState};
use facts::sms::{Arrived, Delivery, Receipt, Sent};
use facts::ussd::Language;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use peer::Peer;
use world::client::client;
use world::{World, now};

const TOKEN: &str = "0123456789abcdef";
const POOR: &str = "fedcba9876543210";
const FENCED: &str = "1111222233334444";
const CLOSED: &str = "5555666677778888";
const SECRET: &str = "secret-of-the-gate";

/// Nobody signs up.
static NONE: Replies = Replies { made: "", pending: "", again: "", known: "", approved: "" };

/// A world whose messages leave by these ways.
struct Office {
    world: World,
    gateway: Peer,
}

impl Office {
    async fn new(ways: &[&str]) -> Office {
        let (world, gateway) = (World::new().await, Peer::start().await);
        let account = |name: &str, merchant: &str, token: &str| {
            json!({ "username": name, "merchant": merchant, "token": token, "password": "p",
                    "company": "Acme",
                    "lines": [{ "number": "3000", "price_en": "0.1", "price_fa": "0.25" },
                              { "number": "Acme", "kind": "advertising", "price_en": "0" }] })
        };
        let mut closed = account("closed", "test", CLOSED);
        closed["active"] = json!(false);
        let desired = json!({
            "smpp_links": [{ "name": "mci", "host": "smsc.example", "system_id": "tandem" }],
            "sms": { "ways": ways, "url": gateway.url("/send"), "sender": "2000",
                     "body": "{\"to\":\"{to}\",\"from\":\"{from}\",\"text\":\"{text}\"}",
                     "reference": "/id", "bad_words": ["casino"] },
            "sms_accounts": [account("u", "test", TOKEN), account("poor", "poor", POOR),
                             account("fenced", "fenced", FENCED), closed],
            "sms_keywords": [
                { "number": "3000", "keyword": "REG", "merchant": "test", "purpose": "signup",
                  "language": "zh" },
                { "number": "3000", "merchant": "test" },
            ],
            "sms_hooks": [{ "name": "gate", "secret": SECRET,
                            "fields": { "from": "Sender", "delivered": ["DONE"] } }],
        });
        let changes = world
            .store
            .apply(&serde_json::from_value(desired).unwrap(), now(), false)
            .await
            .unwrap();
        assert_eq!(changes.mistakes, []);
        gateway.answer(200, r#"{"id":4711}"#);
        Office { world, gateway }
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> (StatusCode, String) {
        let kind = match body.trim_start().chars().next() {
            Some('{') => "application/json",
            Some('<') => "text/xml; charset=utf-8",
            _ => "application/x-www-form-urlencoded",
        };
        let request = Request::builder().method(method).uri(path).header("content-type", kind);
        self.world.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    async fn json(&self, path: &str, body: &Value) -> Value {
        let (status, text) = self.ask("POST", path, &body.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn otp(&self, fields: Value) -> i64 {
        let mut body = json!({ "Token": TOKEN, "Code": "123456", "Mobile": "09123456789" });
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        self.json("/api/SMSAPI/OTP", &body).await["Status"].as_i64().unwrap()
    }

    async fn send(&self, query: &str) -> i64 {
        let (status, text) = self.ask("GET", &format!("/api/SMSAPI/Send?{query}"), "").await;
        assert_eq!(status, StatusCode::OK, "{text}");
        serde_json::from_str::<Value>(&text).unwrap()["Status"].as_i64().unwrap()
    }

    async fn turn(&self) {
        api::sms::turn(&self.world.state).await.unwrap();
    }

    async fn rows(&self) -> Vec<Sms> {
        self.world.store.sms(billing::sms::SmsAsked::page(0, 100)).await.unwrap()
    }

    /// How the last of them stands, and by which way it left.
    async fn last(&self) -> (SmsState, String) {
        let row = self.rows().await.pop().unwrap();
        (row.state, row.way)
    }

    fn comes(&self, way: &str, sent: Sent) {
        self.world.switch.lines.lock().unwrap().insert(way.to_owned(), sent);
    }

    /// Ways that were tried since, but for the gateway.
    fn tried(&self) -> Vec<String> {
        let texts = std::mem::take(&mut *self.world.switch.texts.lock().unwrap());
        texts.into_iter().map(|(way, _)| way).collect()
    }
}

#[tokio::test]
async fn s5_5_ways_are_tried_in_order_until_one_takes_the_message() {
    let office = Office::new(&["phone", "smpp:mci", "http"]).await;
    // A phone that is registered; it comes from the line that was asked for.
    office.comes("phone", Sent::Taken(vec![]));
    assert!(office.otp(json!({})).await > 0);
    let text = "Acme\nCode: 123456";
    office.turn().await;
    {
        let texts = office.world.switch.texts.lock().unwrap();
        let (way, sent) = &texts[0];
        assert_eq!((way.as_str(), sent.to.as_str()), ("phone", "989123456789"));
        assert_eq!((sent.from.as_str(), sent.text.as_str()), ("3000", text));
    }
    assert_eq!(office.tried(), ["phone"]);
    assert_eq!(office.last().await, (SmsState::Sent, "phone".into()));
    // None there: the network's line, whose parts have names.
    office.comes("phone", Sent::NotHere);
    office.comes("mci", Sent::Taken(vec!["a".into(), "b".into()]));
    office.otp(json!({})).await;
    office.turn().await;
    assert_eq!(office.tried(), ["phone", "mci"]);
    assert_eq!(office.last().await, (SmsState::Sent, "smpp:mci".into()));
    // It refuses, or cannot now: the gateway, which is given the whole text.
    for came in [Sent::Refused("no".into()), Sent::Later("later".into())] {
        office.comes("mci", came);
        office.otp(json!({})).await;
        office.turn().await;
        assert_eq!(office.last().await, (SmsState::Sent, "http".into()));
        let came = office.gateway.take().remove(0);
        assert_eq!((came.method.as_str(), came.target.as_str()), ("POST", "/send"));
        let asked: Value = serde_json::from_str(&came.body).unwrap();
        assert_eq!(asked, json!({ "to": "989123456789", "from": "3000", "text": text }));
    }
    // It has a part of it, and cannot take the others now: nobody else sends all of it.
    office.comes("mci", Sent::Begun("part 2 of 3: busy".into()));
    office.otp(json!({})).await;
    office.turn().await;
    let row = office.rows().await.pop().unwrap();
    assert_eq!((row.state, row.tries), (SmsState::Pending, 1));
    assert_eq!(row.said, "smpp:mci: part 2 of 3: busy");
    assert!(office.gateway.take().is_empty());
    office.comes("mci", Sent::Later("later".into()));
    // Whoever could is asked again; all refuse: it is given up, and not paid.
    let balance = async || {
        let merchant = office.rows().await[0].merchant;
        office.world.store.balance(merchant).await.unwrap().posted
    };
    office.gateway.answer(503, "busy");
    office.otp(json!({})).await;
    office.turn().await;
    let row = office.rows().await.pop().unwrap();
    assert_eq!((row.state, row.tries), (SmsState::Pending, 1));
    office.comes("mci", Sent::Refused("no".into()));
    office.gateway.answer(400, "never");
    let before = balance().await;
    office.otp(json!({})).await;
    office.turn().await;
    let row = office.rows().await.pop().unwrap();
    assert_eq!(
        (row.state, row.said.as_str()),
        (SmsState::Failed, "smpp:mci: no; http: HTTP 400 never")
    );
    assert_eq!(balance().await, before);
    let audit = office.world.store.check_books().await.unwrap();
    assert_eq!(audit.findings, [""; 0]);
}

#[tokio::test]
async fn s5_5_a_gateway_that_repeats_a_message_is_not_repeated() {
    let office = Office::new(&["http"]).await;
    office.gateway.answer(500, r#"{"error":"cannot send Acme\nCode: 864209 to you"}"#);
    office.otp(json!({ "Code": "864209" })).await;
    office.turn().await;
    let row = office.rows().await.pop().unwrap();
    assert!(row.said.contains("HTTP 500") && !row.said.contains("864209"), "{}", row.said);
    let (_, page) = office.world.admin("GET", "/sms", None).await;
    assert!(!page.to_string().contains("864209"), "{page}");
    assert_eq!(page["items"][0]["state"], "pending");
    // Listed by how they stand, and by whose they are.
    let listed =
        async |query: &str| office.world.admin("GET", &format!("/sms?{query}"), None).await;
    for (query, count) in [("state=pending&merchant=test", 1), ("state=delivered", 0)] {
        assert_eq!(listed(query).await.1["items"].as_array().map(Vec::len), Some(count), "{query}");
    }
    assert_eq!(listed("state=bogus").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(listed("merchant=nobody").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn s5_5_a_gateway_that_begins_anew_with_its_names_loses_no_message() {
    let office = Office::new(&["http"]).await;
    let told = async |text: &str| {
        let form = format!("secret={SECRET}&id=1&sender=13800138001&to=3000&text={text}");
        assert_eq!(office.ask("POST", "/sms-hooks/gate", &form).await.0, StatusCode::OK);
        office.world.store.sms_inbound(None, 0, 99).await.unwrap().len()
    };
    assert_eq!((told("one").await, told("one").await, told("two").await), (1, 1, 2));
}

#[tokio::test]
async fn s5_5_what_a_gateway_tells_again_without_a_name_is_the_same_for_ten_minutes() {
    let office = Office::new(&["http"]).await;
    let ago = |text: &str, seconds: u64| {
        let same = Duration::from_secs(600);
        let arrived = Arrived {
            link: "gate".into(),
            once: hex::encode(Sha256::digest(format!("13800138001\n3000\n{text}"))),
            from: "8613800138001".into(),
            to: "3000".into(),
            text: text.into(),
        };
        let new = NewInbound { arrived, public: true, words: |_: Language| &NONE };
        let came = Came { same: Some(same), renewed: false, parts: None };
        office.world.store.sms_came(new, came, now() - Duration::from_secs(seconds))
    };
    let told = async |text: &str| {
        let form = format!("secret={SECRET}&sender=13800138001&to=3000&text={text}");
        assert_eq!(office.ask("POST", "/sms-hooks/gate", &form).await.0, StatusCode::OK);
        let rows = office.world.store.sms_inbound(None, 0, 99).await.unwrap();
        rows.iter().filter(|row| row.text == text).count()
    };
    // By the sender's clock, not by ours: wherever in an hour it is.
    assert!(ago("one", 590).await.unwrap());
    assert_eq!((told("one").await, told("one").await), (1, 1));
    assert!(ago("three", 700).await.unwrap() && !ago("three", 300).await.unwrap());
    assert_eq!(told("three").await, 2, "of the first, not of the last");
    assert!(ago("two", 601).await.unwrap());
    assert_eq!((told("two").await, told("two").await), (2, 2));
}

#[tokio::test]
async fn s5_5_receipts_of_lines_and_gateways_change_how_a_message_stands() {
    let office = Office::new(&["http"]).await;
    let hook = |rest: &str| format!("/sms-hooks/gate?secret={SECRET}&{rest}");
    let told = async |path: &str| office.ask("GET", path, "").await.0;
    for (kind, wanted) in [
        ("sms-hooks", "gate"),
        ("sms-accounts", "\"has_token\":true"),
        ("sms-keywords", "\"purpose\":\"signup\""),
    ] {
        let (_, listed) = office.world.admin("GET", &format!("/{kind}"), None).await;
        let listed = listed.to_string();
        assert!(
            listed.contains(wanted) && !listed.contains(SECRET) && !listed.contains(TOKEN),
            "{listed}"
        );
    }
    assert_eq!(told("/sms-hooks/gate?id=4711&status=DONE").await, StatusCode::FORBIDDEN);
    assert_eq!(told("/sms-hooks/none?id=4711&status=DONE").await, StatusCode::FORBIDDEN);
    office.otp(json!({})).await;
    office.turn().await;
    assert_eq!(told(&hook("id=4711&status=ENROUTE")).await, StatusCode::OK);
    assert_eq!(office.last().await.0, SmsState::Sent);
    assert_eq!(told(&hook("id=4711&STATUS=done")).await, StatusCode::OK);
    assert_eq!(office.last().await.0, SmsState::Delivered);
    assert_eq!(told(&hook("status=DONE")).await, StatusCode::BAD_REQUEST);
    let (_, page) = office.world.admin("GET", "/sms", None).await;
    let row = &page["items"][0];
    assert_eq!(
        (&row["way"], &row["parts"], &row["state"]),
        (&json!("http"), &json!(1), &json!("delivered"))
    );
    assert_eq!(row["receipts"][0]["reference"], "4711");
    assert_eq!(
        (&row["receipts"][0]["state"], &row["receipts"][0]["word"]),
        (&json!("delivered"), &json!("done"))
    );
    let lost = Receipt {
        link: "mci".into(),
        reference: "x".into(),
        delivery: Delivery::Undelivered,
        word: "EXPIRED".into(),
    };
    assert!(api::sms::receipt(&office.world.state, lost.clone()).await.unwrap());
    assert!(!api::sms::receipt(&office.world.state, lost).await.unwrap(), "known already");
    let metrics = office.world.get("/metrics").await;
    assert!(metrics.contains("\ntandem_sms_receipts_total 2\n"), "{metrics}");
    assert!(metrics.contains("\ntandem_sms_sent_total 1\n"), "{metrics}");
}

#[tokio::test]
async fn s4_1_whoever_writes_the_keyword_signs_up_and_the_merchant_is_told() {
    let office = Office::new(&["phone"]).await;
    let merchant = client(&office.world, "test").await;
    let bearer = |body: &'static str| {
        Request::post("/sms-hooks/gate")
            .header("authorization", format!("Bearer {SECRET}"))
            .body(Body::from(body))
            .unwrap()
    };
    let body = r#"{"id":"m1","sender":"+8613800138000","to":"3000","text":"reg 张三"}"#;
    for _ in 0..2 {
        assert_eq!(office.world.send(bearer(body)).await.0, StatusCode::OK);
    }
    let (_, page) = office.world.admin("GET", "/sms/inbound?merchant=test", None).await;
    let [row] = page["items"].as_array().unwrap().as_slice() else { panic!("{page}") };
    assert_eq!((&row["from"], &row["state"]), (&json!("8613800138000"), &json!("pending")));
    let account = row["account"].as_str().unwrap();
    let answer = office.rows().await.pop().unwrap();
    assert_eq!((answer.recipient.as_str(), answer.sender.as_str()), ("8613800138000", "3000"));
    assert!(
        answer.text.starts_with(&format!("test：申请已收到\n号码 {account}\n密码 ")),
        "{}",
        answer.text
    );
    // Somebody approves it: another message, and the account works.
    let approve = format!("/sms/inbound/{}/approve", row["id"]);
    let (status, approved) = office.world.admin("POST", &approve, None).await;
    assert_eq!((status, &approved["state"]), (StatusCode::OK, &json!("approved")));
    assert_eq!(
        office.world.admin("POST", "/sms/inbound/99/approve", None).await.0,
        StatusCode::NOT_FOUND
    );
    assert!(office.world.store.snapshot().await.unwrap().extensions[account].enabled);
    assert_eq!(office.rows().await.len(), 2);
    // Anything else that is written there is the merchant's to read.
    let plain = format!("secret={SECRET}&sender=13800138001&to=3000&text=hello+there");
    for _ in 0..2 {
        assert_eq!(office.ask("POST", "/sms-hooks/gate", &plain).await.0, StatusCode::OK);
    }
    let events = merchant.get("/events").await.json();
    let [first, second] = events["items"].as_array().unwrap().as_slice() else {
        panic!("{events}")
    };
    let id = row["id"].to_string();
    assert_eq!(
        first["data"],
        json!({ "id": id, "from": "8613800138000", "to": "3000", "keyword": "reg", "text": "张三",
                "purpose": "signup", "account": account })
    );
    assert_eq!((&first["type"], &first["call"]), (&json!("sms.received"), &Value::Null));
    assert_eq!(first["id"], format!("evt_sms_{id}"));
    assert_eq!(
        (&second["data"]["from"], &second["data"]["text"]),
        (&json!("8613800138001"), &json!("hello there"))
    );
    // By a line of the program's own, and from a phone of ours.
    let arrived = |link: &str, from: &str| Arrived {
        link: link.into(),
        once: "1".into(),
        from: from.into(),
        to: "3000".into(),
        text: "REG".into(),
    };
    let state = &office.world.state;
    assert!(api::sms::arrived(state, arrived("mci", "8613800138002")).await.unwrap());
    assert!(!api::sms::arrived(state, arrived("mci", "8613800138002")).await.unwrap());
    assert!(api::sms::arrived(state, arrived("", "80000")).await.unwrap());
    let rows = office.world.store.sms_inbound(None, 0, 10).await.unwrap();
    let stands: Vec<_> =
        rows.iter().map(|row| (row.from.as_str(), row.account.is_some())).collect();
    assert_eq!(stands[2..], [("8613800138002", true), ("80000", false)]);
}

#[tokio::test]
async fn s4_1_a_number_is_ours_however_a_network_writes_it() {
    let office = Office::new(&["phone"]).await;
    let more = json!({ "sms_keywords": [
        { "number": "+861088880002", "merchant": "test" },
        { "number": "10690000", "merchant": "test" },
    ]});
    let desired = serde_json::from_value(more).unwrap();
    assert_eq!(office.world.store.apply(&desired, now(), false).await.unwrap().mistakes, []);
    let written = [
        "861088880002",
        "+861088880002",
        "01088880002",
        "10690000",
        "8610690000",
        "3000",
        "861088880003",
    ];
    for (nth, to) in written.into_iter().enumerate() {
        let arrived = Arrived {
            link: "mci".into(),
            once: nth.to_string(),
            from: "8613800138002".into(),
            to: to.into(),
            text: "hello".into(),
        };
        assert!(api::sms::arrived(&office.world.state, arrived).await.unwrap());
    }
    let rows = office.world.store.sms_inbound(None, 0, 10).await.unwrap();
    let whose: Vec<bool> = rows.iter().map(|row| row.merchant.is_some()).collect();
    assert_eq!(whose, [true, true, true, true, true, true, false]);
}

#[tokio::test]
async fn s5_5_a_phone_that_says_nothing_keeps_no_other_message_waiting() {
    let office = Office::new(&["phone", "http"]).await;
    office.world.switch.hang.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(office.otp(json!({})).await > 0);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let worker = tokio::spawn(api::sms::run(office.world.state.clone(), stopped));
    while office.world.switch.texts.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    office.world.switch.hang.store(false, std::sync::atomic::Ordering::SeqCst);
    assert!(office.otp(json!({ "Mobile": "09123456780" })).await > 0);
    while office.gateway.count() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(office.gateway.take()[0].body.contains("989123456780"));
    stop.send_replace(true);
    worker.await.unwrap();
    let stands: Vec<_> = office.rows().await.iter().map(|row| row.state).collect();
    assert_eq!(stands[0], SmsState::Pending, "nobody knows: the next process sends it again");
}

#[tokio::test]
async fn f19_a_message_that_came_in_is_pushed_and_is_of_no_call() {
    let office = Office::new(&["phone"]).await;
    let merchant = client(&office.world, "test").await;
    let receiver = Peer::start().await;
    let wanted = json!({ "url": receiver.url("/hook"), "events": ["sms.received"] });
    let made = merchant.ask("POST", "/webhooks", Some(wanted)).await.json();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    let (hook, secret) = (text("id"), text("secret"));
    let arrived = Arrived {
        link: "mci".into(),
        once: "1".into(),
        from: "8613800138002".into(),
        to: "3000".into(),
        text: "hello".into(),
    };
    api::sms::arrived(&office.world.state, arrived).await.unwrap();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let world = &office.world;
    let worker = tokio::spawn(api::push::run(
        world.store.clone(),
        world.guard.clone(),
        api::push::PushConfig::default(),
        std::sync::Arc::clone(&world.counters),
        std::sync::Arc::clone(&world.wake),
        stopped,
    ));
    while receiver.count() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let came = receiver.take().remove(0);
    let body: Value = serde_json::from_str(&came.body).unwrap();
    assert_eq!((&body["type"], &body["data"]["text"]), (&json!("sms.received"), &json!("hello")));
    let (id, stamp) = (came.header("webhook-id"), came.header("webhook-timestamp"));
    assert_eq!(body["id"], id);
    let signed = dialect::rest::webhook_signature(
        &[secret],
        id,
        stamp.parse().unwrap(),
        came.body.as_bytes(),
    );
    assert_eq!(came.header("webhook-signature"), signed);
    let page = merchant.get(&format!("/webhooks/{hook}/deliveries")).await.json();
    assert_eq!(page["items"][0]["call"], Value::Null);
    stop.send_replace(true);
    worker.await.unwrap();
}

#[tokio::test]
async fn s5_5_every_status_of_the_door_for_codes() {
    let office = Office::new(&["http"]).await;
    let long = "x".repeat(26);
    for (fields, status) in [
        (json!({ "Token": POOR }), -4),
        (json!({ "CompanyName": "The Casino" }), -5),
        (json!({ "Token": FENCED }), -6),
        (json!({ "Token": CLOSED }), -6),
        (json!({ "Code": "1234567" }), -7),
        (json!({ "CompanyName": long }), -8),
        (json!({ "WebSite": long }), -9),
        (json!({ "Token": "" }), -10),
        (json!({ "Token": "0123456789abcdeF" }), -11),
        (json!({ "Mobile": "0912" }), -1),
        (json!({ "Mobile": "" }), -1),
        (json!({ "Code": "" }), -2),
    ] {
        assert_eq!(office.otp(fields.clone()).await, status, "{fields}");
    }
    assert!(office.rows().await.is_empty());
    // A code as a number, names in any case, as a form.
    assert_eq!(office.otp(json!({ "Code": 123456, "WebSite": "acme.ir" })).await, 1);
    let form = format!("token={TOKEN}&CODE=7&mobile=%2B989123456789&companyname=Shop");
    let (_, text) = office.ask("POST", "/api/smsapi/otp", &form).await;
    assert_eq!(text, r#"{"Result":"sent","Status":2}"#);
    let texts: Vec<_> =
        office.rows().await.into_iter().map(|row| (row.recipient, row.text)).collect();
    let to = || "989123456789".to_owned();
    assert_eq!(
        texts,
        [(to(), "Acme\nCode: 123456\nacme.ir".to_owned()), (to(), "Shop\nCode: 7".to_owned())]
    );
    let (status, text) = office.ask("GET", "/api/SMSAPI/OTP", "").await;
    assert_eq!((status, text.as_str()), (StatusCode::METHOD_NOT_ALLOWED, "POST\n"));
    let broken = format!("\u{feff} {{\"Token\":\"{TOKEN}\",\"Code\":\"7\"");
    let (_, text) = office.ask("POST", "/api/SMSAPI/OTP", &broken).await;
    assert!(text.contains("JSON") && text.contains("-10"), "{text}");
    // Nothing to send it by: 0.
    let off: billing::desired::Desired = serde_json::from_value(
        json!({ "sms": { "url": "http://sms.example/{to}{text}", "enabled": false } }),
    )
    .unwrap();
    office.world.store.apply(&off, now(), false).await.unwrap();
    assert_eq!(office.otp(json!({})).await, 0);
}

#[tokio::test]
async fn s5_5_lines_are_listed_and_messages_sent_by_token() {
    let office = Office::new(&["http"]).await;
    assert_eq!(
        office.json("/api/SMSAPI/ActiveLines", &json!({ "Token": TOKEN })).await,
        json!({ "Status": 1, "ObjActiveLinesOutput": [
            { "LineNumber": "3000", "LineType": "service", "PriceEn": "0.1", "PriceFa": "0.25" },
            { "LineNumber": "Acme", "LineType": "advertising", "PriceEn": "0", "PriceFa": "0" },
        ]})
    );
    let refused = office.json("/api/SMSAPI/ActiveLines", &json!({})).await;
    assert_eq!(refused, json!({ "Status": -10, "ObjActiveLinesOutput": [] }));
    let to = "MobileNumbers=09123456789,%2B8613800138000,9123456789";
    assert_eq!(office.send(&format!("Token={TOKEN}&LineNo=0&{to}&Message=hello+you")).await, 1);
    let rows = office.rows().await;
    let told: Vec<_> =
        rows.iter().map(|row| (row.recipient.as_str(), row.sender.as_str())).collect();
    assert_eq!(told, [("989123456789", "3000"), ("8613800138000", "3000")], "each once");
    assert_eq!(office.send(&format!("Token={TOKEN}&LineNo=Acme&{to}&Message=x")).await, 3);
    for (query, status) in [
        (format!("Token={TOKEN}&LineNo=4000&{to}&Message=x"), -3),
        (format!("Token={TOKEN}&LineNo=0&MobileNumbers=&Message=x"), -1),
        (format!("Token={TOKEN}&LineNo=0&MobileNumbers=110&Message=x"), -1),
        (format!("Token={TOKEN}&LineNo=0&{to}&Message="), -2),
        (format!("Token={TOKEN}&LineNo=0&{to}&Message=casino"), -5),
        (format!("Token={POOR}&LineNo=0&{to}&Message=x"), -4),
        (format!("Token={POOR}&LineNo=Acme&{to}&Message=x"), 5),
    ] {
        assert_eq!(office.send(&query).await, status, "{query}");
    }
    // 0.1 a part of 7 bit, 0.25 of others: two of "hello you", taken with the rows.
    let merchant = rows[0].merchant;
    let balance = async || office.world.store.balance(merchant).await.unwrap().posted.decimal(2);
    assert_eq!(balance().await, "99.80");
    let persian = "%D8%B3".repeat(71);
    let one = "MobileNumbers=09123456789";
    assert!(office.send(&format!("Token={TOKEN}&LineNo=0&{one}&Message={persian}")).await > 0);
    assert_eq!(balance().await, "99.30");
    assert_eq!(office.rows().await.pop().unwrap().parts, 2);
}

#[tokio::test]
async fn s5_5_send_single_sms_by_soap_and_forms() {
    let office = Office::new(&["http"]).await;
    let service = "/_services/iNOTISMS.asmx";
    let envelope = |space: &str, password: &str, text: &str| {
        format!(
            "<s:Envelope xmlns:s=\"{space}\"><s:Body><SendSingleSMS xmlns=\"http://tempuri.org/\">\
             <UserName>u</UserName><Password>{password}</Password><LineNo>0</LineNo>\
             <MobileNumber>09123456789</MobileNumber><Message>{text}</Message></SendSingleSMS>\
             </s:Body></s:Envelope>"
        )
    };
    let (v11, v12) =
        ("http://schemas.xmlsoap.org/soap/envelope/", "http://www.w3.org/2003/05/soap-envelope");
    for (nth, space) in [v11, v12].into_iter().enumerate() {
        let (status, text) = office.ask("POST", service, &envelope(space, "p", "a &amp; b")).await;
        let result = format!("<SendSingleSMSResult>{}</SendSingleSMSResult>", nth + 1);
        assert!(
            status == StatusCode::OK && text.contains(&result) && text.contains(space),
            "{text}"
        );
    }
    assert_eq!(office.rows().await[0].text, "a & b");
    for (password, text, result) in [("x", "a", -6), ("p", "", -2), ("p", "casino", -5)] {
        let (_, told) = office.ask("POST", service, &envelope(v11, password, text)).await;
        assert!(told.contains(&format!("<SendSingleSMSResult>{result}<")), "{told}");
    }
    let (status, text) = office.ask("POST", service, "<x/>").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(text.contains("soap:Client"), "{text}");
    // Forms, in any case; one number and no more.
    let form = "username=u&Password=p&LineNo=Acme&MobileNumber=09123456789&Message=hello";
    for (method, path, body) in [
        ("GET", format!("{service}/SendSingleSMS?{form}"), ""),
        ("POST", "/_SERVICES/inotisms.ASMX/sendsinglesms".to_owned(), form),
    ] {
        let (_, text) = office.ask(method, &path, body).await;
        assert!(text.starts_with("<?xml") && text.contains("<string xmlns"), "{text}");
    }
    assert_eq!(office.rows().await.len(), 4);
    let two = "UserName=u&Password=p&LineNo=0&MobileNumber=09123456789,09123456780&Message=x";
    let (_, text) = office.ask("GET", &format!("{service}/SendSingleSMS?{two}"), "").await;
    assert!(text.contains(">-1</string>"), "{text}");
    let (_, wsdl) = office.ask("GET", &format!("{service}?WSDL"), "").await;
    assert!(wsdl.contains("<wsdl:service name=\"iNOTISMS\">"), "{wsdl}");
    let (_, help) = office.ask("GET", service, "").await;
    assert!(help.contains("SendSingleSMS"), "{help}");
    // Ten wrong passwords: the right one waits as well.
    for _ in 0..9 {
        office.ask("POST", service, &envelope(v11, "x", "a")).await;
    }
    let (_, told) = office.ask("POST", service, &envelope(v11, "p", "a")).await;
    assert!(told.contains("<SendSingleSMSResult>-6<"), "{told}");
}

#[tokio::test]
async fn s5_5_whoever_guesses_tokens_waits() {
    let office = Office::new(&["http"]).await;
    let mut seen = Vec::new();
    for nth in 0..40 {
        let body = json!({ "Token": format!("{nth:016}"), "Code": "1", "Mobile": "09123456789" });
        seen.push(office.ask("POST", "/api/SMSAPI/OTP", &body.to_string()).await.0);
    }
    assert!(seen[..20].iter().all(|status| *status == StatusCode::OK));
    assert_eq!(seen[39], StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn s5_5_a_message_by_hand_is_in_the_audit_trail_and_what_it_says_is_not() {
    let office = Office::new(&["phone"]).await;
    let before = audit(&office).await.len();
    let by_hand = async |link: &str| {
        let body = json!({ "to": "+8613800138000", "from": "Acme", "text": "open sesame" });
        office.world.admin("POST", &format!("/smpp/{link}/messages"), Some(body)).await.0
    };
    office.comes("mci", Sent::Taken(vec!["a1".into()]));
    assert_eq!(by_hand("mci").await, StatusCode::OK);
    office.comes("mci", Sent::Refused("part 2 of 2: ESME_RINVDSTADR (0xb); 1 have left".into()));
    assert_eq!(by_hand("mci").await, StatusCode::BAD_GATEWAY);
    // Nothing has left by a line that is not there.
    office.comes("mci", Sent::NotHere);
    assert_eq!(by_hand("mci").await, StatusCode::NOT_FOUND);
    let entries = audit(&office).await.split_off(before);
    let told = |entry: &Value| (entry["act"].clone(), entry["changes"].clone());
    let what = |came: &str| {
        let to = "8613800138000";
        (json!("message"), json!({ "link": "mci", "from": "Acme", "to": to, "came": came }))
    };
    let told: Vec<_> = entries.iter().map(told).collect();
    assert_eq!(told, [what("sent"), what("refused")]);
    assert!(!json!(entries).to_string().contains("sesame"));
}

async fn audit(office: &Office) -> Vec<Value> {
    let (_, page) = office.world.admin("GET", "/audit?limit=100", None).await;
    page["items"].as_array().unwrap().clone()
}
