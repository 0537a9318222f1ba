//! The operator's hand, health, metrics and recordings through the router, against a real store.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod world;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use billing::{After, Report};
use facts::ban::{Ban, Offence};
use facts::media::Prompt;
use facts::sound::{Clip, Listeners, Play};
use facts::{CallId, UnixMillis};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use world::{TOKEN, World, callback, document, read};

const HOOK: &str = "http://127.0.0.1:9009/r";

async fn place(world: &World, id: &str) -> CallId {
    let body = world.get(&callback("test", id, "80000", "13800138000", HOOK)).await;
    assert!(body.starts_with("result=success"), "{body}");
    let merchant = world.store.merchant_by_name("test").await.unwrap().unwrap();
    let found = world.store.call_by_key(merchant.id, facts::Dialect::Callni, id).await.unwrap();
    found.unwrap().call
}

async fn items(world: &World, path: &str) -> Vec<Value> {
    let (status, body) = world.admin("GET", path, None).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    body["items"].as_array().expect("items").clone()
}

#[tokio::test]
async fn f16_every_admin_route_wants_the_token() {
    let world =
        World::with(|config| api::ApiConfig { wrong_tokens: api::Rate::OFF, ..config }).await;
    for (method, path) in [
        ("POST", "/apply"),
        ("POST", "/top-ups"),
        ("GET", "/settings"),
        ("GET", "/balances"),
        ("GET", "/merchants/test/balance"),
        ("GET", "/merchants"),
        ("GET", "/merchants/test"),
        ("GET", "/calls"),
        ("GET", "/calls/1"),
        ("DELETE", "/calls/1"),
        ("POST", "/calls/1/hangup"),
        ("POST", "/calls/1/recording/pause"),
        ("POST", "/calls/1/play"),
        ("POST", "/signature"),
        ("DELETE", "/calls/1/play"),
        ("GET", "/bindings"),
        ("GET", "/carriers"),
        ("GET", "/bans"),
        ("DELETE", "/bans/203.0.113.9"),
        ("GET", "/cdrs"),
        ("GET", "/ledger"),
        ("GET", "/books"),
        ("GET", "/audit"),
        ("GET", "/audit/check"),
        ("GET", "/outbox"),
        ("GET", "/outbox/1"),
        ("GET", "/outbox/1/attempts"),
        ("POST", "/outbox/1/redeliver"),
        ("POST", "/outbox/redeliver"),
    ] {
        for header in [
            None,
            Some("Bearer".to_owned()),
            Some("Bearer ".to_owned()),
            Some("Bearer wrong".to_owned()),
            Some(format!("Bearer {TOKEN}x")),
            Some(format!("Bearer {}", &TOKEN[1..])),
            Some(format!("Basic {TOKEN}")),
            Some(TOKEN.to_owned()),
        ] {
            let mut request = Request::builder().method(method).uri(format!("/admin/v1{path}"));
            if let Some(header) = &header {
                request = request.header("authorization", header);
            }
            let (status, body) = world.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path} {header:?}: {body}");
        }
    }
    let (status, _) = world.admin("GET", "/merchants", None).await;
    assert_eq!(status, StatusCode::OK);
}

/// Conformance F22: who, when, from where, what before and after; and the walk along the chain.
#[tokio::test]
async fn f22_what_operators_do_over_http_is_in_the_audit_trail() {
    let world = World::new().await;
    let before = items(&world, "/audit").await.len();
    let mut merchant = document()["merchants"][0].clone();
    merchant["max_calls"] = 7.into();
    let (status, _) = world.admin("POST", "/apply", Some(json!({ "merchants": [merchant] }))).await;
    assert_eq!(status, StatusCode::OK);
    let top_up = json!({ "id": "t9", "merchant": "test", "amount_micros": 5_000_000 });
    assert_eq!(world.admin("POST", "/top-ups", Some(top_up)).await.0, StatusCode::OK);
    let call = place(&world, "audited").await;
    assert_eq!(world.admin("DELETE", &format!("/calls/{call}"), None).await.0, StatusCode::OK);
    // What was refused, and what only looked, is no act.
    assert_eq!(world.admin("DELETE", "/calls/1", None).await.0, StatusCode::NOT_FOUND);
    let dry = Some(json!({ "merchants": [document()["merchants"][1]], "prune": true }));
    world.admin("POST", "/apply?dry_run=1", dry).await;
    let entries = items(&world, "/audit").await.split_off(before);
    let acts: Vec<&str> = entries.iter().filter_map(|entry| entry["act"].as_str()).collect();
    assert_eq!(acts, ["apply", "apply", "hang_up"], "{entries:#?}");
    for entry in &entries {
        assert!(entry["actor"].as_str().unwrap().starts_with("admin API from "), "{entry}");
        assert_eq!(entry["hash"].as_str().unwrap().len(), 64);
    }
    let fields = entries[0]["changes"][0]["fields"].to_string();
    assert!(fields.contains("max_calls: ") && fields.contains(" → 7"), "{fields}");
    assert!(entries[1]["changes"].to_string().contains("amount: 5.00"), "{}", entries[1]);
    assert_eq!(entries[2]["changes"]["call"], call.to_string());
    let (_, trail) = world.admin("GET", "/audit/check", None).await;
    assert_eq!((&trail["in_order"], &trail["head"]["hash"]), (&true.into(), &entries[2]["hash"]));
    let noted = entries[0]["hash"].as_str().unwrap();
    let (_, trail) = world.admin("GET", &format!("/audit/check?head={noted}"), None).await;
    assert_eq!(trail["holds"], true);
    let (_, trail) = world.admin("GET", "/audit/check?head=00ff", None).await;
    assert_eq!((&trail["in_order"], &trail["holds"]), (&false.into(), &false.into()));
}

#[tokio::test]
async fn without_a_configured_token_the_door_is_closed() {
    for token in [None, Some(String::new())] {
        let world = World::with(|config| api::ApiConfig { admin_token: token, ..config }).await;
        assert_eq!(world.admin("GET", "/merchants", None).await.0, StatusCode::FORBIDDEN);
        let request = Request::get("/admin/v1/merchants").header("authorization", "Bearer ");
        assert_eq!(world.send(request.body(Body::empty()).unwrap()).await.0, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn objects_are_listed_and_shown_without_their_secrets() {
    let world = World::new().await;
    for (kind, count, name) in [
        ("merchants", 7, "test"),
        ("sub-accounts", 2, "shop"),
        ("extensions", 4, "80000"),
        ("tariffs", 1, "standard"),
        ("trunks", 1, "carrier"),
        ("routes", 1, "86"),
        ("ytx-accounts", 3, world::SID),
        ("ytx-apps", 6, world::APP),
        ("companies", 8, "1"),
        ("inbound", 0, ""),
    ] {
        let list = items(&world, &format!("/{kind}")).await;
        assert_eq!(list.len(), count, "{kind}: {list:?}");
        let text = Value::from(list).to_string();
        for secret in [world::KEY, world::AUTH_TOKEN, world::ACCESSKEY, "\"p1\"", "ha1"] {
            assert!(!text.contains(secret), "{kind} shows {secret}");
        }
        if count > 0 {
            let (status, body) = world.admin("GET", &format!("/{kind}/{name}"), None).await;
            assert_eq!(status, StatusCode::OK, "{kind}/{name}: {body}");
        }
        let (status, body) = world.admin("GET", &format!("/{kind}/nobody"), None).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{body}");
        assert_eq!(body["error"]["code"], "not_found");
    }
    let more = json!({
        "templates": [{ "merchant": "test", "id": "parcel", "parts": [{ "digits": "{1}" }] },
                      { "merchant": "open", "id": "late", "parts": [{ "digits": "{1}" }] }],
        "number_lists": [{ "name": "dnc", "numbers": ["+8613800138000", "+442079460000"],
                           "prefixes": ["8617"] }, { "name": "none", "patterns": ["same:6"] }],
        "policies": [{ "name": "off", "enabled": false, "block": ["dnc"], "merchants": ["test"] }],
    });
    let (status, done) = world.admin("POST", "/apply", Some(more)).await;
    assert_eq!((status, &done["created"]), (StatusCode::OK, &json!(5)), "{done}");
    let lists = items(&world, "/number-lists").await;
    let shown = json!({ "name": "dnc", "numbers": 2, "prefixes": ["8617"], "patterns": [] });
    assert_eq!((&lists[0], &lists[1]["numbers"]), (&shown, &json!(0)), "{lists:?}");
    assert_eq!(lists[1]["patterns"], json!(["same:6"]));
    let (_, policy) = world.admin("GET", "/policies/off", None).await;
    assert_eq!((&policy["enabled"], &policy["block"]), (&json!(false), &json!(["dnc"])));
    assert_eq!(policy["merchants"].as_array().map(Vec::len), Some(1), "{policy}");
    assert_eq!(items(&world, "/templates").await.len(), 4);
    assert_eq!(items(&world, "/templates?merchant=open").await.len(), 2);
    let (_, template) = world.admin("GET", "/templates/parcel", None).await;
    assert_eq!((&template["keys"], &template["parts"][0]["digits"]), (&json!(1), &json!("{1}")));
    assert_eq!(items(&world, "/extensions?merchant=poor").await.len(), 1);
    assert_eq!(world.admin("GET", "/extensions?merchant=nobody", None).await.0, 404);
    assert_eq!(world.admin("GET", "/spaceships", None).await.0, 404);
    let (_, settings) = world.admin("GET", "/settings", None).await;
    assert_eq!(settings["realm"], "tandem.test");
}

#[tokio::test]
async fn a_document_is_applied_shown_dry_and_refused_with_all_its_mistakes() {
    let world = World::new().await;
    world.switch.settings_changed.store(false, Ordering::SeqCst);
    let more = json!({ "merchants": [{ "name": "new", "key": "k", "tariff": "standard" }] });
    let (status, dry) = world.admin("POST", "/apply?dry_run=1", Some(more.clone())).await;
    assert_eq!((status, &dry["created"]), (StatusCode::OK, &json!(1)), "{dry}");
    assert_eq!(items(&world, "/merchants").await.len(), 7);
    assert!(!world.switch.settings_changed.load(Ordering::SeqCst));
    let (status, done) = world.admin("POST", "/apply", Some(more.clone())).await;
    assert_eq!((status, &done["created"]), (StatusCode::OK, &json!(1)), "{done}");
    assert!(world.switch.settings_changed.load(Ordering::SeqCst));
    let (_, again) = world.admin("POST", "/apply", Some(more)).await;
    assert_eq!((&again["created"], &again["unchanged"]), (&json!(0), &json!(1)));
    let (_, same) = world.admin("POST", "/apply", Some(document())).await;
    assert_eq!((&same["created"], &same["updated"]), (&json!(0), &json!(0)), "{same}");
    let wrong = json!({ "merchants": [{ "name": "x", "tariff": "nix" }],
                        "extensions": [{ "number": "90000", "merchant": "nobody" }] });
    let (status, refused) = world.admin("POST", "/apply", Some(wrong)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
    assert!(refused["mistakes"].as_array().unwrap().len() >= 2, "{refused}");
    assert_eq!(refused["error"]["code"], "mistakes");
    assert_eq!(items(&world, "/merchants").await.len(), 8);
    // Where pushes cannot go is said, and is no mistake.
    let companies: Vec<_> =
        ["http://127.0.0.1:9000/a", "http://127.0.0.1:9200/b", "http://10.1.2.3/c"]
            .iter()
            .enumerate()
            .map(|(i, url)| {
                json!({ "companycode": format!("w{i}"), "appid": format!("w{i}"), "accesskey": "k",
                    "merchant": "test", "cdr_url": url })
            })
            .collect();
    let asked = json!({ "companies": companies });
    let (status, told) = world.admin("POST", "/apply?dry_run=1", Some(asked)).await;
    assert_eq!((status, &told["mistakes"]), (StatusCode::OK, &json!([])), "{told}");
    let warned: Vec<_> = told["warnings"].as_array().unwrap().iter().map(|w| &w["path"]).collect();
    assert_eq!(warned, ["companies[1].cdr_url", "companies[2].cdr_url"], "{told}");
    assert!(told["warnings"][0]["line"].is_u64(), "{told}");
    // What is new and there twice is told like everything else (it was a failure of the store).
    let template = json!({ "merchant": "test", "id": "parcel", "parts": [{ "digits": "{1}" }] });
    let more = json!({ "name": "twice", "key": "k" });
    let wrong = json!({ "templates": [template, template], "merchants": [more, more],
                        "routes": [{ "trunk": "nobody" }] });
    let (status, refused) = world.admin("POST", "/apply", Some(wrong)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
    let told: Vec<_> = refused["mistakes"].as_array().unwrap().iter().map(|m| &m["path"]).collect();
    for path in ["templates[1].id", "merchants[1].name", "routes[0].trunk"] {
        assert!(told.contains(&&json!(path)), "{path}: {refused}");
    }
    assert_eq!((told.len(), items(&world, "/merchants").await.len()), (3, 8), "{refused}");
    for (body, status) in [("", 400), ("{", 400), ("[]", 400), (r#"{"merchant":[]}"#, 422)] {
        let request = Request::post("/admin/v1/apply")
            .header("authorization", format!("Bearer {TOKEN}"))
            .body(Body::from(body))
            .unwrap();
        let (got, text) = world.send(request).await;
        assert_eq!(got.as_u16(), status, "{body}: {text}");
        assert!(text.contains("\"message\""), "{text}");
    }
}

#[tokio::test]
async fn a_template_that_nobody_could_hear_is_not_applied() {
    let world = World::new().await;
    let mut asked = document();
    let parts = json!([{ "prompt": "welcome" }, { "prompt": "gone" }, { "time": "25:00" }]);
    let template = json!({ "id": "3003", "merchant": "test", "parts": parts });
    asked["templates"].as_array_mut().unwrap().push(template);
    let (status, refused) = world.admin("POST", "/apply", Some(asked)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
    let told = refused["mistakes"].as_array().unwrap();
    let mut paths: Vec<&str> = told.iter().map(|told| told["path"].as_str().unwrap()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["templates[2].parts[1]", "templates[2].parts[2]"], "{refused}");
    // Where that is all that is wrong, nothing is said to have been made.
    let mut asked = document();
    asked["templates"][0]["id"] = "3003".into();
    asked["templates"][0]["parts"] = json!([{ "prompt": "gone" }]);
    let (status, refused) = world.admin("POST", "/apply", Some(asked)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
    assert_eq!((&refused["created"], &refused["lines"]), (&json!(0), &json!([])), "{refused}");
    let merchant = facts::MerchantId(1);
    assert!(world.store.template(merchant, "3003").await.unwrap().is_none());
}

#[tokio::test]
async fn a_document_with_mistakes_of_form_hears_of_all_of_them_by_line_and_changes_nothing() {
    let world = World::new().await;
    let text = r#"{
  "merchants": [
    { "name": "late", "tariff": "standard", "max_calls": "many", "colour": 1 },
    { "name": "later",
      "tariff": "nix", "tariff": "nix" }
  ],
  "trunks": [ { "name": "t", "target": "192.0.2.1:5060",
      "transport": "tpc" } ],
  "merchant": []
}"#;
    let request = Request::post("/admin/v1/apply")
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(Body::from(text))
        .unwrap();
    let (status, body) = world.send(request).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    let told: Vec<(u64, &str)> = body["mistakes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|told| (told["line"].as_u64().unwrap(), told["path"].as_str().unwrap()))
        .collect();
    let expected = [
        (3, "merchants[0].colour"),
        (3, "merchants[0].max_calls"),
        (5, "merchants[1].tariff"),
        (5, "merchants[1].tariff"),
        (8, "trunks[0].transport"),
        (9, "merchant"),
    ];
    assert_eq!(told, expected, "{body:#}");
    assert_eq!((&body["created"], &body["lines"]), (&json!(0), &json!([])));
    assert_eq!(items(&world, "/merchants").await.len(), 7, "none was made");
}

#[tokio::test]
async fn money_is_integers_and_a_top_up_is_booked_once() {
    let world = World::new().await;
    let top_up = json!({ "id": "bank-1", "merchant": "test", "amount_micros": 2_500_000 });
    for _ in 0..2 {
        let (status, body) = world.admin("POST", "/top-ups", Some(top_up.clone())).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }
    let (_, balance) = world.admin("GET", "/merchants/test/balance", None).await;
    assert_eq!(balance["posted_micros"], 102_500_000);
    assert_eq!(balance["currency"], "CNY");
    place(&world, "t1").await;
    let (_, balance) = world.admin("GET", "/merchants/test/balance", None).await;
    assert_eq!(balance["held_micros"], 200_000);
    assert_eq!(balance["available_micros"], 102_300_000);
    assert_eq!(items(&world, "/balances").await.len(), 7);
    let worded = json!({ "id": "b", "merchant": "test", "amount_micros": "1" });
    let (status, body) = world.admin("POST", "/top-ups", Some(worded)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let message = body["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("takes a whole number, not the text \"1\", at line 1"),
        "{message}"
    );
    let bad = json!({ "id": "b", "merchant": "nobody", "amount_micros": 1 });
    let (status, body) = world.admin("POST", "/top-ups", Some(bad)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
}

async fn sounds_are_played(world: &World, call: CallId) {
    let path = format!("/calls/{call}/play");
    let say = json!([{ "digits": "42" }, { "money": { "amount": 1_234, "currency": "CNY" } }]);
    let good = [
        json!({ "name": "welcome", "language": "zh", "to": "a", "interruptible": true }),
        json!({ "say": say, "language": "fa", "to": "b" }),
    ];
    for body in good {
        let (status, answer) = world.admin("POST", &path, Some(body)).await;
        assert_eq!((status, &answer["playing"]), (StatusCode::OK, &json!(true)), "{answer}");
    }
    let (status, _) = world.admin("DELETE", &path, None).await;
    assert_eq!(status, StatusCode::OK);
    {
        let plays = world.switch.plays.lock().unwrap();
        let prompt = Prompt { name: "welcome".into(), language: "zh".into() };
        let first =
            Play { to: Listeners::A, clip: Some(Clip::Prompt(prompt)), interruptible: true };
        assert_eq!(plays[0], first);
        assert!(matches!(&plays[1].clip, Some(Clip::Say(say)) if say.parts.len() == 2));
        assert_eq!(plays[2], Play { to: Listeners::Both, clip: None, interruptible: false });
    }
    for body in [
        json!({}),
        json!({ "name": "a", "url": "https://a.example/" }),
        json!({ "say": [] }),
        json!({ "say": vec![json!({ "number": 1 }); 33] }),
        json!({ "say": [{ "shout": "x" }] }),
        json!({ "name": "a", "to": "c" }),
        json!({ "url": "file:///etc/passwd" }),
        json!({ "url": "http://10.0.0.1/a.mp3" }),
    ] {
        let (status, answer) = world.admin("POST", &path, Some(body.clone())).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {answer}");
    }
    // What nobody has is told before anybody is to hear it.
    let (status, answer) = world.admin("POST", &path, Some(json!({ "name": "nosuch" }))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    assert_eq!(answer["error"]["code"], "bad_request");
    assert_eq!(answer["error"]["message"], "there is no sound of the name nosuch");
    assert_eq!(world.switch.plays.lock().unwrap().len(), 3, "nothing was played");
    let other = format!("/calls/{}/play", CallId(1));
    let (status, answer) = world.admin("POST", &other, Some(json!({ "name": "welcome" }))).await;
    assert_eq!((status, &answer["error"]["code"]), (StatusCode::NOT_FOUND, &json!("not_live")));
}

#[tokio::test]
async fn live_calls_are_listed_shown_and_hung_up() {
    let world = World::new().await;
    let call = place(&world, "c1").await;
    let live = items(&world, "/calls").await;
    assert_eq!(live.len(), 1);
    assert_eq!(live[0]["call"], call.to_string());
    assert_eq!(live[0]["state"], "dialing_a");
    let (_, shown) = world.admin("GET", &format!("/calls/{call}"), None).await;
    assert_eq!(shown["command"]["a"]["as_sent"], "80000");
    assert_eq!(shown["live"]["state"], "dialing_a");
    assert_eq!(shown["record"], Value::Null);
    for (order, said) in [("pause", "paused"), ("resume", "recording")] {
        let path = format!("/calls/{call}/recording/{order}");
        let (status, body) = world.admin("POST", &path, None).await;
        assert_eq!((status, &body["recording"]), (StatusCode::OK, &json!(said)));
    }
    assert_eq!(*world.switch.pauses.lock().unwrap(), [(call, true), (call, false)]);
    let (status, _) = world.admin("POST", &format!("/calls/{call}/recording/stop"), None).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    sounds_are_played(&world, call).await;
    let (status, _) = world.admin("POST", &format!("/calls/{call}/hangup"), None).await;
    assert_eq!(status, StatusCode::OK);
    let (status, body) = world.admin("DELETE", &format!("/calls/{call}/play"), None).await;
    assert_eq!((status, &body["error"]["code"]), (StatusCode::NOT_FOUND, &json!("not_live")));
    let (status, body) = world.admin("POST", &format!("/calls/{call}/recording/pause"), None).await;
    assert_eq!((status, &body["error"]["code"]), (StatusCode::NOT_FOUND, &json!("not_recorded")));
    let (status, body) = world.admin("DELETE", &format!("/calls/{call}"), None).await;
    assert_eq!((status, &body["error"]["code"]), (StatusCode::NOT_FOUND, &json!("not_live")));
    world.complete(call).await;
    let (_, shown) = world.admin("GET", &format!("/calls/{call}"), None).await;
    assert_eq!(shown["live"], Value::Null);
    assert_eq!(shown["record"]["facts"]["call"], call.to_string());
    assert_eq!(world.admin("GET", "/calls/12", None).await.0, 404);
    assert_eq!(world.admin("GET", "/calls/abc", None).await.0, 400);
    assert_eq!(items(&world, "/bindings").await[0]["extension"], "80000");
    let carrier = &items(&world, "/carriers").await[0];
    assert_eq!((&carrier["name"], &carrier["legs"]), (&"carrier".into(), &3.into()));
    assert_eq!(carrier["registration"]["expires_s"], 570);
    assert!(carrier["health"].is_null());
}

#[tokio::test]
async fn a_ban_is_shown_taken_back_and_that_is_on_the_audit_trail() {
    let world = World::new().await;
    let source = "203.0.113.9".parse::<std::net::IpAddr>().unwrap().into();
    let ban = Ban {
        source,
        offence: Offence::Knocking,
        since: UnixMillis(1000),
        until: UnixMillis(601_000),
        times: 1,
        dropped: 7,
    };
    world.switch.bans.lock().unwrap().push(ban);
    let shown = &items(&world, "/bans").await[0];
    assert_eq!((&shown["source"], &shown["dropped"]), (&"203.0.113.9".into(), &7.into()));
    assert_eq!(world.admin("DELETE", "/bans/nobody", None).await.0, 400);
    assert_eq!(world.admin("DELETE", "/bans/203.0.113.9", None).await.0, 200);
    assert_eq!(world.admin("DELETE", "/bans/203.0.113.9", None).await.0, 404);
    assert!(items(&world, "/bans").await.is_empty());
    let trail = items(&world, "/audit").await;
    assert_eq!(trail.last().unwrap()["act"], "lift_ban");
}

#[tokio::test]
async fn a_route_is_explained_in_fields_and_in_words() {
    let world = World::new().await;
    let (status, told) = world.admin("GET", "/explain/+8613800138000", None).await;
    assert_eq!(status, StatusCode::OK);
    let candidate = &told["candidates"][0];
    assert_eq!(candidate["verdict"], json!({ "why": "full", "legs": 30 }));
    assert_eq!((&candidate["cost"], &candidate["place"]), (&json!(45_000), &Value::Null));
    assert_eq!(candidate["words"], "skipped now: the trunk carries 30 legs, its limit");
    let (status, refused) = world.admin("GET", "/explain/alice", None).await;
    assert_eq!(
        (status, &refused["error"]["code"]),
        (StatusCode::BAD_REQUEST, &json!("bad_request"))
    );
}

#[tokio::test]
async fn exports_page_by_cursor_with_stable_ids() {
    let world = World::new().await;
    for n in 0..3 {
        let call = place(&world, &format!("x{n}")).await;
        world.complete(call).await;
    }
    let (_, first) = world.admin("GET", "/cdrs?limit=4", None).await;
    let next = first["next"].as_i64().unwrap();
    let (_, second) = world.admin("GET", &format!("/cdrs?limit=4&after={next}"), None).await;
    assert_eq!(second["next"], Value::Null);
    let mut ids: Vec<i64> = Vec::new();
    for page in [&first, &second] {
        ids.extend(page["items"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()));
    }
    assert_eq!(ids.len(), 6, "one CDR per leg");
    assert!(ids.is_sorted());
    let row = &first["items"][0];
    let (_, call) =
        world.admin("GET", &format!("/calls/{}", row["call"].as_str().unwrap()), None).await;
    assert!(!row["called"].as_str().unwrap().is_empty(), "{row}");
    assert_eq!(row["called"], call["command"]["b"]["as_sent"], "on the caller's leg too");
    assert_eq!(row["call"].as_str().unwrap().len(), 19);
    assert!(row["price"].is_i64());
    let ledger = items(&world, "/ledger?limit=1000").await;
    let sum: i64 = ledger.iter().map(|line| line["amount"].as_i64().unwrap()).sum();
    assert_eq!(sum, 0, "the lines of the books sum to zero");
    assert!(ledger.iter().any(|line| line["call"].is_string()));
    let (_, books) = world.admin("GET", "/books", None).await;
    assert_eq!(books["in_order"], true, "{books}");
    for bad in ["/cdrs?limit=0", "/cdrs?limit=1001", "/cdrs?after=x", "/ledger?limit=-1"] {
        assert_eq!(world.admin("GET", bad, None).await.0, StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test]
async fn the_callback_log_is_listed_and_rows_are_sent_again() {
    let world = World::new().await;
    let call = place(&world, "o1").await;
    world.complete(call).await;
    let rows = items(&world, "/outbox?state=pending").await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["endpoint"], HOOK);
    assert_eq!(rows[0]["call"], call.to_string());
    assert_eq!(rows[0]["body"], Value::Null);
    let id = rows[0]["id"].as_i64().unwrap();
    assert_eq!(rows[0]["reason"], Value::Null, "not tried yet");
    let attempt = |status: Option<u16>, answer: &str| billing::rows::Attempt {
        at: world::now(),
        request: "GET http://merchant.example/".into(),
        status,
        answer: answer.into(),
        latency_ms: 3,
    };
    let failed = |lease, after, status, answer| {
        Arc::new(vec![Report {
            id,
            lease,
            after,
            attempt: Some(attempt(status, answer)),
            webhook: None,
        }])
    };
    let retry = After::Retry(world::now() + Duration::from_secs(60));
    world.store.outbox_turn(failed(1, retry, Some(500), "success"), None).await.unwrap();
    let (_, shown) = world.admin("GET", &format!("/outbox/{id}"), None).await;
    assert_eq!(shown["reason"], "HTTP 500");
    let silence = failed(2, After::Park, None, "no answer in time");
    world.store.outbox_turn(silence, None).await.unwrap();
    let parked = items(&world, "/outbox?state=parked").await;
    assert_eq!(parked[0]["reason"], "no answer in time");
    assert_eq!(items(&world, "/outbox?state=parked&merchant=test").await.len(), 1);
    assert_eq!(items(&world, "/outbox?state=parked&merchant=open").await.len(), 0);
    let (_, shown) = world.admin("GET", &format!("/outbox/{id}"), None).await;
    assert_eq!(shown["state"], "parked");
    let (_, again) = world.admin("POST", "/outbox/redeliver?merchant=test", None).await;
    assert_eq!(again["redelivered"], 1);
    assert_eq!(items(&world, "/outbox?state=pending").await.len(), 1);
    assert_eq!(world.admin("POST", "/outbox/999/redeliver", None).await.0, 404);
    assert_eq!(world.admin("GET", "/outbox/999", None).await.0, 404);
    assert_eq!(world.admin("GET", "/outbox?state=lost", None).await.0, 400);
    let log = items(&world, &format!("/outbox/{id}/attempts")).await;
    let reasons: Vec<_> = log.iter().map(|attempt| attempt["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["HTTP 500", "no answer in time"]);
}

#[tokio::test]
async fn health_readiness_and_metrics() {
    let world = World::new().await;
    assert_eq!(world.get("/healthz").await, "ok\n");
    assert_eq!(world.get("/readyz").await, "ready\n");
    world.get("/api/biz_regist").await;
    let metrics = world.get("/metrics").await;
    assert!(metrics.starts_with("tandem_calls 3\n"), "{metrics}");
    assert!(metrics.contains("\ntandem_api_callni_requests_total 1\n"), "{metrics}");
    world.switch.ready.store(false, Ordering::SeqCst);
    let request = Request::get("/readyz").body(Body::empty()).unwrap();
    assert_eq!(world.send(request).await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(world.get("/healthz").await, "ok\n");
}

#[tokio::test]
async fn the_merchants_listener_shows_probes_and_nothing_of_the_operators() {
    let world = World::new().await;
    for (path, merchants, operators) in [
        ("/healthz", 200, 200),
        ("/readyz", 200, 200),
        ("/api/biz_balance", 200, 404),
        ("/metrics", 404, 200),
        ("/admin/v1/merchants", 404, 401),
    ] {
        for (router, wanted) in [(&world.merchants, merchants), (&world.operators, operators)] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let status = router.clone().oneshot(request).await.unwrap().status();
            assert_eq!(status.as_u16(), wanted, "{path}");
        }
    }
}

// ---- recordings -----------------------------------------------------------------------------------

#[tokio::test]
async fn a_recording_is_downloaded_whole_and_in_parts() {
    let world = World::new().await;
    let sound: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    let folder = world.folder.path().join("recordings/2026/11");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("a1b2c3.mp3"), &sound).unwrap();
    let fetch = async |range: Option<&str>| {
        let mut request = Request::get("/recordings/2026/11/a1b2c3.mp3");
        if let Some(range) = range {
            request = request.header(header::RANGE, range);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = world.router.clone().oneshot(request).await.unwrap();
        let headers = response.headers().clone();
        let (status, body) = read(response).await;
        (status, headers, body)
    };
    let (status, headers, body) = fetch(None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers[header::CONTENT_TYPE], "audio/mpeg");
    assert_eq!(headers[header::CONTENT_LENGTH], "200000");
    assert_eq!(headers[header::ACCEPT_RANGES], "bytes");
    assert_eq!(body, sound);
    let (status, headers, body) = fetch(Some("bytes=100-149999")).await;
    assert_eq!(status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(headers[header::CONTENT_RANGE], "bytes 100-149999/200000");
    assert_eq!(body, sound[100..150_000]);
    let (status, headers, _) = fetch(Some("bytes=200000-")).await;
    assert_eq!(status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(headers[header::CONTENT_RANGE], "bytes */200000");
}

#[tokio::test]
async fn sealed_recordings_are_opened_on_the_way_whole_and_in_part() {
    let keys = "k1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let at = std::env::temp_dir().join(format!("tandem-keys-{}", std::process::id()));
    let world =
        World::with(|config| api::ApiConfig { recording_keys: Some(at.clone()), ..config }).await;
    let folder = world.folder.path().join("recordings/ab");
    std::fs::create_dir_all(&folder).unwrap();
    let sound: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    let mut sealed = Vec::new();
    let ring = seal::Keys::parse(keys).unwrap();
    let mut sealer = seal::Sealer::new(&ring, [9; 16], &sound[..44], &mut sealed).unwrap();
    sound[44..].chunks(1_000).for_each(|part| sealer.sound(part, &mut sealed));
    sealer.end(&mut sealed);
    std::fs::write(folder.join("s.opus"), &sealed).unwrap();
    let get = async |range: Option<&str>| {
        let mut request = Request::get("/recordings/ab/s.opus");
        if let Some(range) = range {
            request = request.header("range", range);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = world.router.clone().oneshot(request).await.unwrap();
        let text = |name| {
            response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned()
        };
        let (length, kind) = (text(header::CONTENT_LENGTH), text(header::CONTENT_TYPE));
        let (status, body) = read(response).await;
        (status.as_u16(), length, kind, body)
    };
    // The key is lost: an error, and no noise for sound.
    assert_eq!(get(None).await.0, 500);
    std::fs::write(&at, keys).unwrap();
    let (status, length, kind, body) = get(None).await;
    assert_eq!((status, length.as_str(), kind.as_str()), (200, "100000", "audio/ogg"));
    assert!(body[..] == sound[..]);
    for (range, part) in [
        ("bytes=0-0", 0..1),
        ("bytes=40-50", 40..51),
        ("bytes=50000-", 50_000..100_000),
        ("bytes=-17", 99_983..100_000),
    ] {
        let (status, length, _, body) = get(Some(range)).await;
        assert_eq!((status, length), (206, part.len().to_string()), "{range}");
        assert!(body[..] == sound[part], "{range}");
    }
    assert_eq!(get(Some("bytes=100000-")).await.0, 416);
    std::fs::remove_file(at).unwrap();
}

#[tokio::test]
async fn nothing_outside_the_recordings_can_be_fetched() {
    let world = World::new().await;
    let root = world.folder.path();
    std::fs::write(root.join("secret.mp3"), "secret").unwrap();
    std::fs::write(root.join("recordings/notes.txt"), "secret").unwrap();
    std::fs::create_dir(root.join("recordings/folder.mp3")).unwrap();
    std::os::unix::fs::symlink(root.join("secret.mp3"), root.join("recordings/link.mp3")).unwrap();
    for path in [
        "../secret.mp3",
        "..%2fsecret.mp3",
        "%2e%2e/secret.mp3",
        "a/../../secret.mp3",
        "..%5csecret.mp3",
        "%2fetc%2fpasswd",
        "notes.txt",
        "folder.mp3",
        "link.mp3",
        "secret.mp3",
        "x.mp3%00.txt",
        "",
    ] {
        let request = Request::get(format!("/recordings/{path}")).body(Body::empty()).unwrap();
        let (status, body) = world.send(request).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}: {body}");
        assert!(!body.contains("secret"), "{path}");
    }
}

#[tokio::test]
async fn after_ten_wrong_tokens_the_address_waits() {
    let world = World::new().await;
    let ask = async |token: &str| {
        let request = Request::get("/admin/v1/merchants")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Body::empty())
            .unwrap();
        world.send(request).await.0.as_u16()
    };
    let mut answers = Vec::new();
    for n in 0..20 {
        answers.push(ask(&format!("guess-{n}")).await);
    }
    assert!(answers[..10].iter().all(|status| *status == 401), "{answers:?}");
    assert_eq!(answers[19], 429, "{answers:?}");
    // Even the right one: else the wait would tell nothing to who guesses.
    assert_eq!(ask(TOKEN).await, 429);
}

/// Bytes as they were sent go in, and what comes out holds no key: system 000 in GBK, system 001 with its header.
#[tokio::test]
async fn a_signature_is_explained_to_the_operator_and_the_key_is_not_told() {
    let world = World::new().await;
    let ask = async |query: &str, body: Vec<u8>| {
        let request = Request::post(format!("/admin/v1/signature{query}"))
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
            .body(Body::from(body));
        let (status, text) = world.send(request.unwrap()).await;
        assert!(!text.contains(world::KEY) && !text.contains(world::AUTH_TOKEN), "{text}");
        (status, serde_json::from_str::<Value>(&text).unwrap())
    };
    let gbk = b"GET /api/biz_balance?username=\xb2\xe2\xca\xd4&sign=68c604305807d9f062e72a02c5cf96cd HTTP/1.1\r\n\r\n";
    let (status, told) = ask("", gbk.to_vec()).await;
    assert_eq!((status, &told["matched"]), (StatusCode::OK, &json!(true)), "{told}");
    assert_eq!((&told["who"], &told["tries"][1]["matches"]), (&json!("测试"), &json!(true)));

    let request = format!(
        "POST /201512/sid/{}/call/DailbackCall.wx?Sign=0 HTTP/1.1\r\nAuthorization: MTIzfDIwMjYwMTE1MDkzMDAw\r\n\r\n{{}}",
        world::SID
    );
    let (_, told) = ask("?at=1768440605000", request.into_bytes()).await;
    assert_eq!((&told["known"], &told["matched"]), (&json!(true), &json!(false)), "{told}");
    assert_eq!((&told["header"]["ahead_s"], &told["header"]["sid"]), (&json!(-5), &json!("123")));

    let result = b"/r?callbackid=1&callback_result=success&sign=0".to_vec();
    let (status, told) = ask("", result.clone()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(told.to_string().contains("name the merchant"), "{told}");
    let (_, told) = ask("?merchant=test", result).await;
    assert_eq!((&told["known"], &told["interface"]), (&json!(true), &json!("result")), "{told}");
    for (query, body) in [("", "/healthz"), ("?at=now", "/api/biz_balance")] {
        assert_eq!(ask(query, body.into()).await.0, StatusCode::BAD_REQUEST, "{query} {body}");
    }
}
