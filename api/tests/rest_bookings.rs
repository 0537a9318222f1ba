//! Conferences of `/v1` that are booked for later, against a real store (merchant API §3.6).

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod world;

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use world::World;
use world::client::client;
use world::now;

/// So many seconds from now, as a merchant at home writes it.
fn ahead(seconds: u64) -> String {
    let at = dialect::rest::instant(now() + Duration::from_secs(seconds));
    at.replace('Z', "+00:00")
}

fn meeting(start_at: &str) -> Value {
    json!({ "to": { "number": "80000" }, "title": "weekly", "start_at": start_at,
            "participants": [{ "number": "13810603954", "name": "Li" }] })
}

#[tokio::test]
async fn s3_6_a_conference_is_booked_seen_begun_once_and_ended() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let body = meeting(&ahead(2));
    let key = [("idempotency-key", "b1")];
    let first = client.ask_with("POST", "/conferences", Some(body.clone()), &key).await;
    assert_eq!(first.status, StatusCode::CREATED);
    let told = first.json();
    assert_eq!((&told["status"], &told["id"]), (&json!("booked"), &Value::Null), "{told}");
    let again = client.ask_with("POST", "/conferences", Some(body), &key).await;
    assert_eq!(
        (again.body, &again.headers["idempotent-replayed"]),
        (first.body, &"true".parse().unwrap())
    );
    let other = Some(meeting(&ahead(3)));
    let reused = client.ask_with("POST", "/conferences", other, &key).await;
    assert_eq!(reused.problem(), "idempotency_key_reused");
    let path = format!("/conferences/{}", told["conference"].as_str().unwrap());
    let seen = client.get(&path).await.json();
    assert_eq!((&seen["status"], &seen["start_at"]), (&json!("booked"), &told["start_at"]));
    assert_eq!(seen["participants"][1]["status"], "waiting");
    let early = client.ask("POST", &format!("{path}/lock"), None).await;
    assert_eq!(early.problem(), "not_live");
    api::bookings::turn(&world.state).await;
    assert!(world.switch.placed.lock().unwrap().is_empty(), "not before its time");
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    for _ in 0..2 {
        api::bookings::turn(&world.state).await;
    }
    assert_eq!(world.switch.placed.lock().unwrap().len(), 1, "once");
    let open = client.get(&path).await.json();
    assert_eq!((&open["status"], &open["start_at"]), (&json!("open"), &told["start_at"]));
    assert!(open["id"].is_string(), "{open}");
    assert_eq!(client.ask("POST", &format!("{path}/lock"), None).await.status, StatusCode::OK);
    assert_eq!(client.ask("DELETE", &path, None).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn s3_6_a_booking_is_cancelled_and_what_cannot_be_booked_is_told() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let mut wished = meeting(&ahead(600));
    wished["conference"] = json!("516152");
    assert_eq!(
        client.ask("POST", "/conferences", Some(wished.clone())).await.status,
        StatusCode::CREATED
    );
    let taken = client.ask("POST", "/conferences", Some(wished)).await;
    assert_eq!(taken.problem(), "conference_taken");
    let path = "/conferences/516152";
    assert_eq!(client.ask("DELETE", path, None).await.status, StatusCode::ACCEPTED);
    let seen = client.get(path).await.json();
    assert_eq!((&seen["status"], &seen["id"]), (&json!("cancelled"), &Value::Null));
    assert_eq!(client.ask("DELETE", path, None).await.problem(), "not_live");
    let year = 367 * 86_400;
    for wrong in ["tomorrow", "2020-01-01T00:00:00Z", "2026-11-24 09:00", &ahead(year)] {
        let answer = client.ask("POST", "/conferences", Some(meeting(wrong))).await;
        assert_eq!(answer.pointers(), ["/start_at"], "{wrong}");
    }
}
