//! Numbers at `/v1`: where they lead, and the scenarios that answer them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod world;

use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use billing::desired::Desired;
use facts::Number;
use facts::scenario::Step;
use serde_json::{Value, json};
use world::client::{Client, client, make};
use world::{World, now};

const X: &str = "/numbers/861088880001/scenario";

/// A merchant with a privacy number, one that leads to an extension, and one that leads to a group.
async fn world() -> World {
    let world = World::new().await;
    let desired: Desired = serde_json::from_value(json!({ "inbound": [
        { "number": "01088880000", "extension": "80000", "axb": true },
        { "number": "01088880001", "extension": "80000" },
        { "number": "01088880002", "extension": "80100" },
    ]}))
    .unwrap();
    let changes = world.store.apply(&desired, now(), false).await.unwrap();
    assert!(changes.mistakes.is_empty(), "{:?}", changes.mistakes);
    world
}

fn menu() -> Value {
    json!({ "scenario": { "start": "menu", "language": "en", "steps": {
        "menu": { "do": "gather", "sounds": [{ "prompt": "welcome" }], "choices": { "1": "shop" }, "tries": 2 },
        "shop": { "do": "dial", "number": "80000" },
    }}})
}

async fn leads(own: &Client<'_>) -> Vec<(String, String)> {
    let page = own.get("/numbers").await.json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let items = page["items"].as_array().unwrap().iter();
    items.map(|item| (text(&item["number"]), text(&item["leads_to"]))).collect()
}

#[tokio::test]
async fn a_number_is_given_a_scenario_which_is_seen_changed_and_taken_back() {
    let world = world().await;
    let own = client(&world, "test").await;
    let all = |second: &str| {
        [("861088880000", "privacy"), ("861088880001", second), ("861088880002", "group")]
            .map(|(number, leads_to)| (number.to_owned(), leads_to.to_owned()))
    };
    assert_eq!(leads(&own).await, all("extension"));
    assert_eq!(own.get(X).await.problem(), "not_found", "it has none");
    let put = own.ask("PUT", X, Some(menu())).await;
    assert_eq!(put.status, StatusCode::OK);
    assert!(
        world.switch.settings_changed.swap(false, Ordering::SeqCst),
        "the engine hears at once"
    );
    let put = put.json();
    assert_eq!(put["number"], "861088880001");
    assert_eq!(put["scenario"], menu()["scenario"], "as it was sent");
    assert_eq!(own.get(X).await.json(), put);
    assert_eq!(own.get("/numbers/01088880001/scenario").await.json(), put, "as it is dialled");
    assert_eq!(own.get("/numbers/+861088880001/scenario").await.json(), put);
    assert_eq!(leads(&own).await, all("scenario"));
    // What the switch carries out: the same that a call is given.
    let kept = world.store.number_scenario_changes(0, 10).await.unwrap().entries.remove(0);
    let answers = api::scenarios::compiled(kept.clone());
    let steps = answers.scenario.unwrap();
    let Some(Step::Lead { to, .. }) = steps.step(2) else { panic!("{steps:?}") };
    assert_eq!(to, &Number::Internal("80000".into()));
    assert_eq!((answers.number.as_str(), answers.merchant), ("861088880001", kept.merchant));
    // Another one takes its place.
    let bye = json!({ "scenario": { "start": "bye", "steps": {
        "bye": { "do": "play", "sounds": [{ "prompt": "welcome" }] } } } });
    let changed = own.ask("PUT", X, Some(bye.clone())).await.json();
    assert_eq!(changed["scenario"], bye["scenario"]);
    world.switch.settings_changed.store(false, Ordering::SeqCst);
    for _ in 0..2 {
        let back = own.ask("DELETE", X, None).await;
        assert_eq!(back.status, StatusCode::OK, "it may be repeated");
        let told = json!({ "number": "861088880001", "leads_to": "extension", "to": "80000" });
        assert_eq!(back.json(), told);
        assert!(world.switch.settings_changed.swap(false, Ordering::SeqCst));
    }
    assert_eq!(own.get(X).await.problem(), "not_found");
    assert_eq!(leads(&own).await, all("extension"));
    let kept = world.store.number_scenario_changes(0, 10).await.unwrap().entries.remove(0);
    assert_eq!(api::scenarios::compiled(kept).scenario, None);
}

#[tokio::test]
async fn what_is_wrong_in_a_scenario_is_told_as_when_a_call_is_placed() {
    let world = world().await;
    let own = client(&world, "test").await;
    let mut wrong = menu();
    let steps = &mut wrong["scenario"]["steps"];
    steps["menu"]["choices"]["1"] = json!("nowhere");
    steps["menu"]["sounds"][0] = json!({ "prompt": "nothing" });
    steps["shop"]["number"] = json!("81000");
    let at = own.ask("PUT", X, Some(wrong.clone())).await.pointers();
    wrong["to"] = json!({ "number": "13800138000" });
    assert_eq!(own.ask("POST", "/calls", Some(wrong.clone())).await.pointers(), at);
    assert!(at.contains(&"/scenario/steps/shop/number".to_owned()), "{at:?}");
    assert_eq!(own.ask("PUT", X, Some(wrong)).await.pointers(), ["/to"]);
    assert_eq!(own.ask("PUT", X, Some(json!({}))).await.pointers(), ["/scenario"]);
    let mut unheard = menu();
    unheard["scenario"]["steps"]["menu"]["sounds"][0] = json!({ "url": "http://10.0.0.1/x.mp3" });
    let at = own.ask("PUT", X, Some(unheard)).await.pointers();
    assert_eq!(at, ["/scenario/steps/menu/sounds/0"]);
    assert_eq!(own.get(X).await.problem(), "not_found", "nothing was done");
    assert!(!world.switch.settings_changed.load(Ordering::SeqCst));
}

#[tokio::test]
async fn only_a_number_of_ones_own_that_no_binding_leads_has_a_scenario() {
    let world = world().await;
    let (own, other) = (client(&world, "test").await, client(&world, "open").await);
    let privacy = own.ask("PUT", "/numbers/861088880000/scenario", Some(menu())).await;
    assert_eq!(
        (privacy.status, privacy.problem().as_str()),
        (StatusCode::CONFLICT, "privacy_number")
    );
    for path in ["861077770000", "80000", "110", "x", "861088880009"] {
        let path = format!("/numbers/{path}/scenario");
        for (method, body) in [("PUT", Some(menu())), ("GET", None), ("DELETE", None)] {
            let answer = own.ask(method, &path, body).await;
            assert_eq!(answer.problem(), "not_found", "{method} {path}");
        }
    }
    own.ask("PUT", X, Some(menu())).await;
    for (method, body) in [("PUT", Some(menu())), ("GET", None), ("DELETE", None)] {
        assert_eq!(other.ask(method, X, body).await.problem(), "not_found", "{method}");
    }
    assert!(leads(&other).await.is_empty());
    assert_eq!(own.get(X).await.status, StatusCode::OK);
    // A page at a time.
    let page = own.get("/numbers?limit=1").await.json();
    assert_eq!(page["next"], "861088880000");
    let next = own.get("/numbers?limit=1&after=861088880000").await.json();
    assert_eq!(next["items"][0]["number"], "861088880001");
    assert_eq!(own.get("/numbers?limit=0").await.problem(), "bad_request");
}

#[tokio::test]
async fn a_scenario_of_a_number_that_has_left_may_be_taken_back_and_stays_so() {
    let world = world().await;
    let (own, other) = (client(&world, "test").await, client(&world, "poor").await);
    assert_eq!(own.ask("PUT", X, Some(menu())).await.status, StatusCode::OK);
    let lead = async |extension: &str| {
        let inbound = json!({ "inbound": [{ "number": "01088880001", "extension": extension }] });
        let desired: Desired = serde_json::from_value(inbound).unwrap();
        let changes = world.store.apply(&desired, now(), false).await.unwrap();
        assert!(changes.mistakes.is_empty(), "{:?}", changes.mistakes);
    };
    lead("81000").await;
    assert_eq!(own.get(X).await.problem(), "not_found", "it is another's");
    world.switch.settings_changed.store(false, Ordering::SeqCst);
    for _ in 0..2 {
        let back = own.ask("DELETE", X, None).await;
        assert_eq!(back.status, StatusCode::OK, "it may be repeated");
        let told = json!({ "number": "861088880001", "leads_to": "elsewhere", "to": "" });
        assert_eq!(back.json(), told);
        assert!(world.switch.settings_changed.swap(false, Ordering::SeqCst));
    }
    let theirs = other.ask("DELETE", X, None).await.json();
    assert_eq!(theirs["leads_to"], "extension", "nothing of the former one's is told");
    lead("80000").await;
    assert_eq!(own.get(X).await.problem(), "not_found", "it does not come back with the number");
}

#[tokio::test]
async fn keys_are_good_for_reading_writing_and_conferences_apart() {
    let world = world().await;
    let with = async |scopes: &[&str]| {
        let (key, _) = make(&world, "test", json!({ "scopes": scopes })).await;
        Client { world: &world, key }
    };
    let reads = with(&["scenarios:read"]).await;
    assert_eq!(reads.get("/numbers").await.status, StatusCode::OK);
    assert_eq!(reads.ask("PUT", X, Some(menu())).await.problem(), "scope_missing");
    assert_eq!(reads.ask("DELETE", X, None).await.problem(), "scope_missing");
    let writes = with(&["scenarios:write"]).await;
    assert_eq!(writes.get("/numbers").await.problem(), "scope_missing");
    assert_eq!(writes.get(X).await.problem(), "scope_missing");
    let room = json!({ "scenario": { "start": "room", "steps": {
        "room": { "do": "conference", "conference": "516152" } } } });
    assert_eq!(writes.ask("PUT", X, Some(room.clone())).await.problem(), "scope_missing");
    assert_eq!(writes.ask("PUT", X, Some(menu())).await.status, StatusCode::OK);
    let confers = with(&["scenarios:write", "conferences:write"]).await;
    assert_eq!(confers.ask("PUT", X, Some(room)).await.status, StatusCode::OK);
}
