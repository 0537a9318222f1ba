//! The operator's hand on voice mailboxes, against a real store.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod world;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use billing::SettleContext;
use facts::ledger::{Authorize, Authorized};
use facts::media::RecordedFile;
use facts::record::Message;
use facts::{CallFacts, CallId, Number, Outcome, Party, Side};
use serde_json::Value;
use tower::ServiceExt as _;
use world::{TOKEN, World, now, read};

const SOUND: &[u8] = b"not really an MP3";

/// A call that leaves a message for 80000.
async fn leave(world: &World, call: u64) {
    let merchant = world.store.merchant_by_name("test").await.unwrap().unwrap().id;
    let party = |number: Number| Party {
        as_sent: number.digits().to_owned(),
        number,
        shown: None,
        ring: std::time::Duration::from_secs(60),
    };
    let command = facts::CallCommand {
        dialect: facts::Dialect::Rest,
        merchant,
        sub_account: None,
        app: String::new(),
        a: party(Number::E164("8613800138000".into())),
        b: Some(party(Number::Internal("80000".into()))),
        scenario: None,
        conference: None,
        purpose: Default::default(),
        max_talk: None,
        record: facts::media::Record::No,
        key: None,
        pushes: Vec::new(),
        custom: String::new(),
    };
    let call = CallId(call);
    let ask =
        Authorize { call, command: command.clone(), legs: Vec::new(), caps: Vec::new(), at: now() };
    assert!(matches!(world.store.authorize(ask).await.unwrap(), Authorized::Granted { .. }));
    let file = format!("ab/{}.mp3", call.0);
    let folder = world.folder.path().join("recordings/ab");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{}.mp3", call.0)), SOUND).unwrap();
    let file = RecordedFile {
        file,
        duration_ms: 4_000,
        bytes: SOUND.len() as u64,
        sha256: String::new(),
        other: None,
    };
    let caller = "+8613800138000".to_owned();
    let message = Message { mailbox: "80000".into(), caller, at: now(), file };
    let facts = CallFacts {
        call,
        command,
        placed: now(),
        bridged: None,
        ended: now(),
        outcome: Outcome::Completed,
        released_by: Side::Caller,
        legs: Vec::new(),
        unrung: Vec::new(),
        recording: None,
        unrecorded: None,
        mailbox: None,
        collected: Vec::new(),
        message: Some(message),
    };
    world.store.settle(facts, SettleContext::default()).await.unwrap();
}

#[tokio::test]
async fn messages_are_listed_heard_and_deleted_and_the_phones_hear_of_it() {
    let world = World::new().await;
    for call in 1..=3 {
        leave(&world, call).await;
    }
    let (status, page) = world.admin("GET", "/voicemail?extension=80000&limit=2", None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    assert_eq!(page["items"][0]["caller"], "+8613800138000");
    assert_eq!(page["items"][0]["duration_ms"], 4_000);
    assert_eq!(page["items"][0]["heard"], false);
    let next = page["next"].as_str().unwrap();
    let (_, rest) = world.admin("GET", &format!("/voicemail?after={next}"), None).await;
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);
    let (_, none) = world.admin("GET", "/voicemail?extension=80009", None).await;
    assert_eq!((none["items"].as_array().unwrap().len(), &none["next"]), (0, &Value::Null));
    let id = page["items"][0]["call"].as_str().unwrap();
    let (_, one) = world.admin("GET", &format!("/voicemail/{id}"), None).await;
    assert_eq!(one, page["items"][0]);

    let sound = async |token: &str| {
        let request = Request::get(format!("/admin/v1/voicemail/{id}/sound"))
            .header("authorization", format!("Bearer {token}"))
            .body(Body::empty())
            .unwrap();
        let response = world.router.clone().oneshot(request).await.unwrap();
        let kind = response.headers().get(header::CONTENT_TYPE).cloned();
        (read(response).await, kind)
    };
    let ((status, body), kind) = sound(TOKEN).await;
    assert_eq!((status, body.as_slice()), (StatusCode::OK, SOUND));
    assert_eq!(kind.unwrap(), "audio/mpeg");
    assert_eq!(sound("wrong").await.0.0, StatusCode::UNAUTHORIZED);

    let (status, _) = world.admin("DELETE", &format!("/voicemail/{id}"), None).await;
    assert_eq!(status, StatusCode::OK);
    assert!(!world.folder.path().join("recordings/ab/1.mp3").exists());
    assert!(world.folder.path().join("recordings/ab/2.mp3").exists());
    let told = world.switch.mailboxes.lock().unwrap().clone();
    assert_eq!(told, [("80000".to_owned(), 2, 0)]);
    for method in ["GET", "DELETE"] {
        let (status, _) = world.admin(method, &format!("/voicemail/{id}"), None).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{method}");
    }
    assert_eq!(sound(TOKEN).await.0.0, StatusCode::NOT_FOUND);
    let (_, trail) = world.admin("GET", "/audit", None).await;
    let acts = trail["items"].as_array().unwrap();
    assert!(acts.iter().any(|entry| entry["act"] == "delete_voicemail"), "{trail}");
}
