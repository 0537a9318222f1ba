//! Privacy numbers at `/v1`: who is bound to whom, and until when.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod world;

use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use billing::StoreConfig;
use billing::desired::Desired;
use serde_json::{Value, json};
use world::client::client;
use world::{World, now};

const PATH: &str = "/axb/bindings";

/// A merchant with a privacy number and one that is none.
async fn world() -> World {
    with(StoreConfig::default()).await
}

async fn with(knobs: StoreConfig) -> World {
    let world = World::on(knobs, |config| config).await;
    let desired: Desired = serde_json::from_value(json!({ "inbound": [
        { "number": "01088880000", "extension": "80000", "axb": true },
        { "number": "01088880001", "extension": "80000" },
    ]}))
    .unwrap();
    let changes = world.store.apply(&desired, now(), false).await.unwrap();
    assert!(changes.mistakes.is_empty(), "{:?}", changes.mistakes);
    world
}

fn wanted(a: &str, b: &str) -> Value {
    json!({ "number": "01088880000", "a": a, "b": b, "expires_in_s": 600, "reference": "order 7" })
}

#[tokio::test]
async fn s6_axb_a_binding_is_made_seen_changed_and_ended() {
    let world = world().await;
    let (_, numbers) = world.admin("GET", "/inbound", None).await;
    let marks: Vec<_> = numbers["items"].as_array().unwrap().iter().map(|n| &n["axb"]).collect();
    assert_eq!(marks, [&json!(true), &json!(false)], "operators see which they are");
    let own = client(&world, "test").await;
    let made = own.ask("POST", PATH, Some(wanted("13800000001", "+8613800000002"))).await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert!(
        world.switch.settings_changed.swap(false, Ordering::SeqCst),
        "the engine hears at once"
    );
    let made = made.json();
    assert_eq!(
        (&made["number"], &made["a"], &made["b"], &made["state"], &made["reference"]),
        (
            &json!("861088880000"),
            &json!("8613800000001"),
            &json!("8613800000002"),
            &json!("live"),
            &json!("order 7")
        )
    );
    let again = own.ask("POST", PATH, Some(wanted("13800000001", "13800000002"))).await;
    assert_eq!((again.status, again.json()), (StatusCode::OK, made.clone()));
    let other = own.ask("POST", PATH, Some(wanted("13800000001", "13800000003"))).await;
    assert_eq!((other.status, other.problem().as_str()), (StatusCode::CONFLICT, "binding_taken"));
    let by = format!("it is binding {}", made["id"].as_str().unwrap());
    assert_eq!(other.json()["detail"], json!(by), "it is named");
    let path = format!("{PATH}/{}", made["id"].as_str().unwrap());
    assert_eq!(own.get(&path).await.json(), made);
    let longer = own.ask("PATCH", &path, Some(json!({ "expires_in_s": 604_800 }))).await.json();
    assert!(longer["expires"].as_str() > made["expires"].as_str(), "{longer}");
    assert!(world.switch.settings_changed.swap(false, Ordering::SeqCst));
    let page = own.get(PATH).await.json();
    assert_eq!(page["items"], json!([longer]));
    let next = page["next"].as_str().unwrap();
    assert_eq!(own.get(&format!("{PATH}?after={next}")).await.json()["items"], json!([]));
    let ended = own.ask("DELETE", &path, None).await;
    assert_eq!((ended.status, &ended.json()["state"]), (StatusCode::OK, &json!("ended")));
    assert!(world.switch.settings_changed.swap(false, Ordering::SeqCst));
    assert_eq!(own.get(&path).await.json()["state"], "ended");
    let again = own.ask("DELETE", &path, None).await;
    assert_eq!((again.status, again.json()), (StatusCode::OK, ended.json()), "the same again");
    assert!(
        world.switch.settings_changed.swap(false, Ordering::SeqCst),
        "the first end may be news"
    );
    let longer = own.ask("PATCH", &path, Some(json!({ "expires_in_s": 60 }))).await;
    assert_eq!(longer.problem(), "not_found", "it holds no more");
    let free = own.ask("POST", PATH, Some(wanted("13800000001", "13800000003"))).await;
    assert_eq!(free.status, StatusCode::CREATED);
}

#[tokio::test]
async fn s6_axb_what_cannot_be_bound_is_told_with_its_place() {
    let world = world().await;
    let own = client(&world, "test").await;
    let post = async |body: Value| own.ask("POST", PATH, Some(body)).await.pointers();
    let with = |name: &str, value: Value| {
        let mut body = wanted("13800000001", "13800000002");
        body[name] = value;
        body
    };
    assert_eq!(post(with("number", json!("01088880001"))).await, ["/number"], "no privacy number");
    assert_eq!(post(with("number", json!("01077770000"))).await, ["/number"], "not of ours");
    assert_eq!(post(with("a", json!("110"))).await, ["/a"], "a short code");
    assert_eq!(post(with("b", json!("13800000001"))).await, ["/b"], "the same");
    assert_eq!(post(with("b", json!("01088880000"))).await, ["/b"], "the number between");
    for seconds in [json!(59), json!(604_801), json!("600"), Value::Null] {
        assert_eq!(post(with("expires_in_s", seconds)).await, ["/expires_in_s"]);
    }
    assert_eq!(post(with("reference", json!("x".repeat(256)))).await, ["/reference"]);
    assert_eq!(post(with("c", json!("1"))).await, ["/c"]);
    // All of them at once.
    let all = json!({ "number": "01088880001", "a": "110", "b": "01088880001",
                      "expires_in_s": 59, "reference": "x".repeat(256) });
    let mut at = post(all).await;
    at.sort();
    assert_eq!(at, ["/a", "/b", "/expires_in_s", "/number", "/reference"]);
    // Whom nobody could call.
    assert_eq!(post(with("b", json!("+15551234567"))).await, ["/b"], "no price");
    *world.switch.nowhere.lock().unwrap() = vec!["8613800000001".into(), "8613800000002".into()];
    let nowhere = own.ask("POST", PATH, Some(wanted("13800000001", "13800000002"))).await;
    assert_eq!((nowhere.status.as_u16(), nowhere.problem().as_str()), (422, "number_unreachable"));
    assert_eq!(nowhere.pointers(), ["/a", "/b"]);
    assert_eq!(own.get(PATH).await.json()["items"], json!([]));
}

#[tokio::test]
async fn s6_axb_bindings_and_numbers_are_their_merchants_own() {
    let world = world().await;
    let (own, other) = (client(&world, "test").await, client(&world, "open").await);
    let body = wanted("13800000001", "13800000002");
    let theirs = other.ask("POST", PATH, Some(body.clone())).await;
    assert_eq!(theirs.pointers(), ["/number"]);
    let made = own.ask("POST", PATH, Some(body)).await.json();
    let path = format!("{PATH}/{}", made["id"].as_str().unwrap());
    for (method, body) in
        [("GET", None), ("DELETE", None), ("PATCH", Some(json!({ "expires_in_s": 60 })))]
    {
        assert_eq!(other.ask(method, &path, body).await.problem(), "not_found", "{method}");
    }
    assert_eq!(other.get(PATH).await.json()["items"], json!([]));
    assert_eq!(own.get(&path).await.json()["state"], "live");
}

#[tokio::test]
async fn s6_axb_bindings_are_looked_for_by_their_numbers_and_told_as_lost_with_them() {
    let world = world().await;
    let own = client(&world, "test").await;
    let mut ids = Vec::new();
    for (a, b) in [("13800000001", "13800000002"), ("13800000003", "13800000004")] {
        let made = own.ask("POST", PATH, Some(wanted(a, b))).await.json();
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    let found = async |query: &str| {
        let page = own.get(&format!("{PATH}?{query}")).await.json();
        let items = page["items"].as_array().unwrap().iter();
        items.map(|item| item["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found("number=01088880000").await, ids);
    assert_eq!(found("party=13800000002").await, ids[..1], "as it is dialled");
    assert_eq!(found("party=8613800000003&number=861088880000").await, ids[1..], "as it is shown");
    assert!(found("number=01088880001").await.is_empty());
    assert_eq!(found("number=01088880000&limit=1").await, ids[..1]);
    assert_eq!(found(&format!("number=01088880000&after={}", ids[0])).await, ids[1..]);
    for query in ["party=110", "number=x"] {
        let refused = own.get(&format!("{PATH}?{query}")).await;
        assert_eq!(refused.problem(), "bad_request", "{query}");
    }
    // The number passes to another merchant.
    let inbound = json!([{ "number": "01088880000", "extension": "81000", "axb": true }]);
    let desired: Desired = serde_json::from_value(json!({ "inbound": inbound })).unwrap();
    let changes = world.store.apply(&desired, now(), false).await.unwrap();
    assert!(changes.mistakes.is_empty(), "{:?}", changes.mistakes);
    let path = format!("{PATH}/{}", ids[0]);
    assert_eq!(own.get(&path).await.json()["state"], "lost");
    let page = own.get(PATH).await.json();
    assert!(page["items"].as_array().unwrap().iter().all(|item| item["state"] == "lost"));
    let longer = own.ask("PATCH", &path, Some(json!({ "expires_in_s": 60 }))).await;
    assert_eq!(longer.problem(), "not_found");
    assert_eq!(own.ask("DELETE", &path, None).await.json()["state"], "ended");
}

#[tokio::test]
async fn s6_axb_a_merchant_has_so_many_and_the_next_is_told_how_many() {
    let world = with(StoreConfig { axb_bindings: 1, ..StoreConfig::default() }).await;
    let own = client(&world, "test").await;
    let made = own.ask("POST", PATH, Some(wanted("13800000001", "13800000002"))).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let more = own.ask("POST", PATH, Some(wanted("13800000003", "13800000004"))).await;
    assert_eq!((more.status, more.json()["code"].clone()), (StatusCode::CONFLICT, json!("full")));
    assert_eq!(more.json()["detail"], "so many bindings a merchant may have at a time: 1");
    let path = format!("{PATH}/{}", made.json()["id"].as_str().unwrap());
    assert_eq!(own.ask("DELETE", &path, None).await.status, StatusCode::OK);
    let more = own.ask("POST", PATH, Some(wanted("13800000003", "13800000004"))).await;
    assert_eq!(more.status, StatusCode::CREATED);
}
