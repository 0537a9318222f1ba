//! `/v1` through the router, against a real store: keys and scopes, calls, problems.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod world;

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use dialect::rest::{Op, Scope};
use facts::media::{Record, RecordedFile};
use facts::scenario::Step;
use facts::sound::{Clip, Listeners};
use facts::{CallId, Number, Purpose, Refusal};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use world::client::{Client, client, make, send};
use world::{World, now};

fn two() -> Value {
    json!({ "to": { "number": "80000" }, "connect": { "number": "13800138000" } })
}

#[tokio::test]
async fn f16_each_operation_needs_its_scope_and_no_other() {
    let world = World::new().await;
    let call = client(&world, "test").await.place(two()).await;
    let mut asked = 0;
    for scope in Scope::ALL {
        let (key, _) = make(&world, "test", json!({ "scopes": [scope.word()] })).await;
        let client = Client { world: &world, key };
        for op in Op::ALL {
            let path = op.path().replace("{call}", &call.to_string()).replace("{nth}", "1");
            let path = path.replace("{conference}", "123456").replace("{number}", "861088880000");
            let path =
                path.replace("{webhook}", "1").replace("{delivery}", "1").replace("{binding}", "1");
            let path = path.replace("{campaign}", "1");
            let body = matches!(op.method(), "POST" | "PATCH" | "PUT").then(|| json!({}));
            let answer = client.ask(op.method(), &path, body).await;
            let refused = answer.status == StatusCode::FORBIDDEN;
            assert_eq!(refused, op.scope() != *scope, "{op:?} with {scope}: {}", answer.status);
            if refused {
                assert_eq!(answer.problem(), "scope_missing");
            }
            assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "{op:?}");
            asked += 1;
        }
    }
    assert_eq!(asked, Op::ALL.len() * Scope::ALL.len());
}

#[tokio::test]
async fn f16_a_key_that_is_wrong_in_any_way_opens_nothing() {
    let world = World::new().await;
    let (key, row) = make(&world, "test", json!({})).await;
    let id = row["id"].as_str().unwrap();
    let swapped = key.replace(id, "0123456789abcdef");
    let last = if key.ends_with('0') { "1" } else { "0" };
    let flipped = format!("{}{last}", &key[..key.len() - 1]);
    let wrong = [
        String::new(),
        "Bearer".to_owned(),
        format!("Basic {key}"),
        format!("Bearer {}", &key[..key.len() - 1]),
        format!("Bearer {}", key.to_uppercase()),
        format!("Bearer {flipped}"),
        format!("Bearer {swapped}"),
        format!("Bearer {key}0"),
        format!("Bearer {}", world::TOKEN),
    ];
    for header in &wrong {
        let request = Request::get("/v1/balance").header("authorization", header);
        let answer = send(&world, request.body(Body::empty()).unwrap()).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::UNAUTHORIZED, "unauthorized"),
            "{header}"
        );
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    assert_eq!(
        Client { world: &world, key: key.clone() }.get("/balance").await.status,
        StatusCode::OK
    );
    // The thirtieth wrong one under a name, and whoever tries it waits; the good one of that name does not, wherever
    // it comes from.
    let mut last = None;
    for _ in 0..40 {
        let request = Request::get("/v1/balance").header("authorization", &wrong[5]);
        last = Some(send(&world, request.body(Body::empty()).unwrap()).await);
    }
    let last = last.unwrap();
    assert_eq!(
        (last.status, last.problem().as_str()),
        (StatusCode::TOO_MANY_REQUESTS, "too_many_requests")
    );
    assert!(last.headers.contains_key("retry-after"));
    let good = Client { world: &world, key };
    assert_eq!(good.get("/balance").await.status, StatusCode::OK, "from the same address");
    let other = Request::get("/v1/balance").header("authorization", &wrong[6]);
    let other = send(&world, other.body(Body::empty()).unwrap()).await;
    assert_eq!(other.status, StatusCode::UNAUTHORIZED, "under another name");
}

#[tokio::test]
async fn keys_are_hashed_at_rest_told_once_and_rotate_with_overlap() {
    let world = World::new().await;
    let (old, row) = make(&world, "test", json!({ "name": "old" })).await;
    let (new, _) = make(&world, "test", json!({ "name": "new" })).await;
    for key in [&old, &new] {
        let client = Client { world: &world, key: key.clone() };
        assert_eq!(client.get("/balance").await.status, StatusCode::OK);
    }
    let (_, listed) = world.admin("GET", "/api-keys?merchant=test", None).await;
    let text = listed.to_string();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    assert!(!text.contains("hash") && !text.contains(&old) && !text.contains(&new), "{text}");
    let secret = old.rsplit('_').next().unwrap().as_bytes();
    for file in std::fs::read_dir(world.folder.path()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(secret.len()).any(|window| window == secret);
            assert!(!found, "{}", path.display());
        }
    }
    let id = row["id"].as_str().unwrap();
    for _ in 0..2 {
        let (status, gone) = world.admin("DELETE", &format!("/api-keys/{id}"), None).await;
        assert_eq!((status, gone["revoked"].is_i64()), (StatusCode::OK, true));
    }
    let client = Client { world: &world, key: old.clone() };
    assert_eq!(client.get("/balance").await.problem(), "unauthorized", "at once");
    assert_eq!(Client { world: &world, key: new }.get("/balance").await.status, StatusCode::OK);
    let (_, trail) = world.admin("GET", "/audit", None).await;
    let acts: Vec<_> =
        trail["items"].as_array().unwrap().iter().map(|e| e["act"].clone()).collect();
    assert_eq!(&acts[acts.len() - 3..], ["create_api_key", "create_api_key", "revoke_api_key"]);
    assert!(!trail.to_string().contains(std::str::from_utf8(secret).unwrap()));
    let (status, _) = world.admin("DELETE", "/api-keys/nobody", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn keys_lapse_are_bound_to_addresses_and_to_merchants_in_business() {
    let world = World::new().await;
    let soon = now() + Duration::from_millis(150);
    let (key, _) = make(&world, "test", json!({ "expires": soon.0 })).await;
    let client = Client { world: &world, key };
    assert_eq!(client.get("/balance").await.status, StatusCode::OK);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(client.get("/balance").await.problem(), "unauthorized");
    for (merchant, more, code) in [
        ("test", json!({ "allowed_ips": ["192.0.2.0/24"] }), "address_not_allowed"),
        ("fenced", json!({}), "address_not_allowed"),
        ("pending", json!({}), "merchant_disabled"),
        ("frozen", json!({}), "merchant_disabled"),
    ] {
        let (key, _) = make(&world, merchant, more).await;
        let answer = Client { world: &world, key }.get("/balance").await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::FORBIDDEN, code),
            "{merchant}"
        );
    }
    for (asked, words) in [
        (json!({ "merchant": "test", "name": "x", "scopes": ["calls:all"] }), "calls:all"),
        (json!({ "merchant": "test", "name": "x", "scopes": [] }), "scopes"),
        (json!({ "merchant": "test", "name": "", "scopes": ["calls:read"] }), "name"),
        (
            json!({ "merchant": "test", "name": "x", "scopes": ["calls:read"], "allowed_ips": ["x"] }),
            "address",
        ),
        (
            json!({ "merchant": "test", "name": "x", "scopes": ["calls:read"], "caller_ids": ["x"] }),
            "number",
        ),
        (
            json!({ "merchant": "test", "name": "x", "scopes": ["calls:read"], "expires": 1 }),
            "expires",
        ),
    ] {
        let (status, told) = world.admin("POST", "/api-keys", Some(asked.clone())).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{asked}");
        assert!(told["error"]["message"].as_str().unwrap().contains(words), "{told}");
    }
    let unknown = json!({ "merchant": "nobody", "name": "x", "scopes": ["calls:read"] });
    assert_eq!(world.admin("POST", "/api-keys", Some(unknown)).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_call_of_two_is_placed_seen_and_costs_what_its_record_says() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let body = json!({
        "to": { "number": "80000", "caller_id": "010 5318 0002", "ring_s": 20 },
        "connect": { "number": "13800138000" },
        "record": "mono", "max_talk_s": 600, "reference": "order 7",
    });
    let call = client.place(body).await;
    let command = world.switch.placed.lock().unwrap()[0].clone();
    assert_eq!(
        (command.a.number, command.a.ring),
        (Number::Internal("80000".into()), Duration::from_secs(20))
    );
    assert_eq!(command.a.shown.unwrap().digits(), "861053180002");
    assert_eq!(command.b.unwrap().number, Number::public("8613800138000".into()));
    assert_eq!(
        (command.max_talk, command.purpose),
        (Some(Duration::from_secs(600)), Purpose::Callback)
    );
    assert_eq!(command.record, serde_json::from_value::<Record>(json!("mono")).unwrap());
    assert!(command.sub_account.is_some(), "that of the extension");
    let path = format!("/calls/{call}");
    let open = client.get(&path).await.json();
    assert_eq!(
        (&open["status"], &open["stage"], &open["reference"]),
        (&json!("open"), &json!("dialing_a"), &json!("order 7"))
    );
    assert_eq!(client.get("/calls?status=open").await.json()["items"][0], open);
    let balance = client.get("/balance").await.json();
    assert!(balance["held_micros"].as_i64().unwrap() > 0, "{balance}");
    let record = world.complete(call).await;
    let ended = client.get(&path).await.json();
    assert_eq!((&ended["status"], &ended["outcome"]), (&json!("ended"), &json!("completed")));
    assert_eq!(ended["price_micros"], record.total().0);
    assert_eq!(ended["legs"].as_array().unwrap().len(), 2);
    assert_eq!((&ended["legs"][0]["leg"], &ended["legs"][0]["seconds"]), (&json!("A"), &json!(60)));
    assert_eq!(ended["legs"][1]["number"], "13800138000");
    assert!(ended["legs"][1]["answered"].as_str().unwrap().ends_with('Z'));
    let after = client.get("/balance").await.json();
    assert_eq!(after["held_micros"], 0);
    assert_eq!(after["available_micros"], after["posted_micros"]);
    let paid =
        balance["posted_micros"].as_i64().unwrap() - after["posted_micros"].as_i64().unwrap();
    assert_eq!(paid, record.total().0);
    let none = client.get("/calls?status=open").await.json();
    assert_eq!((none["items"].as_array().unwrap().len(), &none["next"]), (0, &Value::Null));
}

#[tokio::test]
async fn a_call_that_nobody_answered_says_why() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let call = client.place(two()).await;
    world.unanswered(call).await;
    let ended = client.get(&format!("/calls/{call}")).await.json();
    let told = (&ended["outcome"], &ended["reason"], &ended["origin"], &ended["price_micros"]);
    assert_eq!(told, (&json!("failed"), &json!("no_answer"), &json!("a"), &json!(0)));
    assert_eq!(
        (&ended["legs"][0]["q850"], &ended["legs"][0]["answered"]),
        (&json!(19), &Value::Null)
    );
}

#[tokio::test]
async fn f16_what_is_another_merchants_is_not_there() {
    let world = World::new().await;
    let (own, other) = (client(&world, "test").await, client(&world, "open").await);
    let (live, over) = (own.place(two()).await, own.place(two()).await);
    world.complete(over).await;
    let missing = other.get("/calls/2100000000000000001").await;
    assert_eq!((missing.status, missing.problem().as_str()), (StatusCode::NOT_FOUND, "not_found"));
    for call in [live, over] {
        for op in Op::ALL.iter().filter(|op| op.path().contains("{call}")) {
            let path = op.path().replace("{call}", &call.to_string()).replace("{nth}", "1");
            let path = path.replace("{conference}", "123456");
            let body = (*op == Op::Play).then(|| json!({ "sound": { "prompt": "welcome" } }));
            let answer = other.ask(op.method(), &path, body).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{op:?}");
            let recording = *op == Op::Recording;
            assert!(recording || answer.body == missing.body, "{op:?}");
        }
    }
    assert_eq!(other.get("/calls").await.json()["items"], json!([]));
    assert_eq!(other.get("/calls?status=open").await.json()["items"], json!([]));
    assert!(!world.switch.live_is_empty(), "nothing was hung up");
    // Nor may another one's extension be rung.
    for body in
        [two(), json!({ "to": { "number": "13800138000" }, "connect": { "number": "80000" } })]
    {
        let answer = other.ask("POST", "/calls", Some(body)).await;
        assert_eq!(answer.pointers().len(), 1);
    }
}

#[tokio::test]
async fn the_list_goes_on_behind_its_cursor_in_the_order_of_settlement() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let mut calls = Vec::new();
    for _ in 0..3 {
        calls.push(client.place(two()).await);
    }
    calls.reverse();
    for call in &calls {
        world.complete(*call).await;
    }
    let (mut seen, mut path) = (Vec::new(), "/calls?limit=2".to_owned());
    loop {
        let page = client.get(&path).await.json();
        let items = page["items"].as_array().unwrap();
        seen.extend(
            items.iter().map(|item| item["id"].as_str().unwrap().parse::<CallId>().unwrap()),
        );
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/calls?limit=2&after={next}");
    }
    assert_eq!(seen, calls);
    for query in ["limit=0", "limit=501", "limit=x", "after=x", "after=-1", "status=all"] {
        let answer = client.get(&format!("/calls?{query}")).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::BAD_REQUEST, "bad_request"),
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_request_is_repeated_safely_under_its_key_and_no_other_takes_its_place() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let ask = async |body: Value, key: &str| {
        client.ask_with("POST", "/calls", Some(body), &[("idempotency-key", key)]).await
    };
    // At once, from several threads of a merchant's program.
    let (a, b, c) = tokio::join!(ask(two(), "k 1"), ask(two(), "k 1"), ask(two(), "k 1"));
    assert!(a.status == StatusCode::CREATED && a.body == b.body && b.body == c.body);
    let again =
        [&a, &b, &c].iter().filter(|one| one.headers.contains_key("idempotent-replayed")).count();
    assert_eq!((again, world.switch.placed.lock().unwrap().len()), (2, 1));
    assert_eq!(a.headers["location"], a.json()["url"].as_str().unwrap());
    // Also when the call is over, and under a key that took the place of the first.
    world.complete(a.json()["id"].as_str().unwrap().parse().unwrap()).await;
    let (key, _) = make(&world, "test", json!({})).await;
    let rotated = Client { world: &world, key };
    let late = rotated.ask_with("POST", "/calls", Some(two()), &[("idempotency-key", "k 1")]).await;
    assert_eq!((late.status, &late.body), (StatusCode::CREATED, &a.body));
    let mut other = two();
    other["reference"] = json!("x");
    let conflict = ask(other.clone(), "k 1").await;
    assert_eq!(
        (conflict.status, conflict.problem().as_str()),
        (StatusCode::CONFLICT, "idempotency_key_reused")
    );
    assert_ne!(ask(other, "k 2").await.body, a.body);
    for key in ["", "\u{9}", &"k".repeat(256)] {
        assert_eq!(ask(two(), key).await.problem(), "bad_request", "{key:?}");
    }
    assert_eq!(world.switch.placed.lock().unwrap().len(), 2);
}

fn menu() -> Value {
    json!({ "to": { "number": "13800138000" }, "scenario": { "start": "menu", "language": "en", "steps": {
        "menu": { "do": "gather", "sounds": [{ "prompt": "welcome" }], "choices": { "1": "shop" }, "tries": 2 },
        "shop": { "do": "dial", "number": "80000" },
    }}})
}

#[tokio::test]
async fn a_scenario_is_compiled_and_every_mistake_in_it_is_told() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    client.place(menu()).await;
    let command = world.switch.placed.lock().unwrap()[0].clone();
    assert_eq!((command.purpose, command.b), (Purpose::Scenario, None));
    let scenario = command.scenario.unwrap();
    let Some(Step::Lead { to, .. }) = scenario.step(2) else { panic!() };
    assert_eq!(to, &Number::Internal("80000".into()));
    let mut wrong = menu();
    wrong["connect"] = json!({ "number": "13800138000", "ring_s": 1 });
    wrong["to"]["number"] = json!("x");
    wrong["to"]["caller_id"] = json!("13900139000");
    let steps = &mut wrong["scenario"]["steps"];
    steps["menu"]["choices"]["1"] = json!("nowhere");
    steps["shop"]["number"] = json!("81000");
    let at = client.ask("POST", "/calls", Some(wrong)).await.pointers();
    let steps = "/scenario/steps";
    for place in [
        "",
        "/connect/ring_s",
        "/to/number",
        "/to/caller_id",
        &format!("{steps}/menu/choices/1"),
        &format!("{steps}/shop/number"),
    ] {
        assert!(at.iter().any(|one| one == place), "{place}: {at:?}");
    }
    assert_eq!(at.len(), 6, "{at:?}");
    // What nobody has, and where nobody is led.
    for (sound, place) in [
        (json!({ "prompt": "nothing" }), "menu/sounds/0"),
        (json!({ "url": "http://10.0.0.1/x.mp3" }), "menu/sounds/0"),
        (json!({ "url": "file:///etc/passwd" }), "menu/sounds/0"),
    ] {
        let mut wrong = menu();
        wrong["scenario"]["steps"]["menu"]["sounds"][0] = sound;
        let at = client.ask("POST", "/calls", Some(wrong)).await.pointers();
        assert_eq!(at, [format!("{steps}/{place}")]);
    }
    assert_eq!(world.switch.placed.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn live_calls_are_played_into_paused_and_hung_up() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let call = client.place(two()).await;
    let path = format!("/calls/{call}");
    let post = async |what: &str, body: Option<Value>| {
        client.ask("POST", &format!("{path}/{what}"), body).await
    };
    let play = json!({ "to": "a", "sound": { "say": [{ "digits": "42" }], "language": "fa" }, "interruptible": true });
    assert_eq!(post("play", Some(play)).await.json()["playing"], true);
    let played = world.switch.plays.lock().unwrap()[0].clone();
    assert!(matches!(&played.clip, Some(Clip::Say(say)) if say.language == "fa"), "{played:?}");
    assert_eq!((played.to, played.interruptible), (Listeners::A, true));
    for (sound, at) in [
        (json!({ "prompt": "nothing" }), "/sound"),
        (json!({ "url": "http://169.254.169.254/latest" }), "/sound"),
        (json!({ "say": [] }), "/sound/say"),
        (json!({ "prompt": "welcome", "url": "http://a.example/x" }), "/sound"),
    ] {
        assert_eq!(post("play", Some(json!({ "sound": sound }))).await.pointers(), [at]);
    }
    assert_eq!(client.ask("DELETE", &format!("{path}/play"), None).await.json()["playing"], false);
    assert_eq!(world.switch.plays.lock().unwrap().len(), 2);
    assert_eq!(post("recording/pause", None).await.json()["recording"], "paused");
    assert_eq!(post("recording/resume", None).await.json()["recording"], "recording");
    assert_eq!(*world.switch.pauses.lock().unwrap(), [(call, true), (call, false)]);
    let gone = client.ask("DELETE", &path, None).await;
    assert_eq!((gone.status, &gone.json()["status"]), (StatusCode::ACCEPTED, &json!("ending")));
    assert_eq!(client.ask("DELETE", &path, None).await.problem(), "not_live");
    assert_eq!(post("recording/pause", None).await.problem(), "not_recorded");
    world.complete(call).await;
    assert_eq!(
        post("play", Some(json!({ "sound": { "prompt": "welcome" } }))).await.problem(),
        "not_live"
    );
}

#[tokio::test]
async fn recordings_are_downloaded_by_whoever_they_belong_to() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let call = client.place(two()).await;
    let path = format!("/calls/{call}/recordings/1");
    assert_eq!(client.get(&path).await.problem(), "not_found", "not yet");
    std::fs::write(world.folder.path().join("recordings/x-a.wav"), b"0123456789").unwrap();
    let file = |file: &str, other| RecordedFile {
        file: file.into(),
        bytes: 10,
        other,
        ..RecordedFile::default()
    };
    let other = Some(Box::new(file("x-b.wav", None)));
    world.complete_with(call, Some(file("x-a.wav", other))).await;
    let told = client.get(&format!("/calls/{call}")).await.json()["recordings"].clone();
    assert_eq!(
        (&told[0]["url"], &told[0]["format"]),
        (&json!(format!("/v1{path}")), &json!("wav"))
    );
    assert_eq!(told.as_array().unwrap().len(), 2);
    let whole = client.get(&path).await;
    assert_eq!(
        (whole.body.as_slice(), &whole.headers["content-type"]),
        (&b"0123456789"[..], &"audio/wav".parse().unwrap())
    );
    let part = client.ask_with("GET", &path, None, &[("range", "bytes=2-4")]).await;
    assert_eq!((part.status, part.body.as_slice()), (StatusCode::PARTIAL_CONTENT, &b"234"[..]));
    for nth in ["0", "2", "3", "x", "-1", "..%2f"] {
        let answer = client.get(&format!("/calls/{call}/recordings/{nth}")).await;
        assert_eq!(answer.problem(), "not_found", "{nth}");
    }
}

#[tokio::test]
async fn f18_whatever_goes_wrong_is_a_problem_in_json() {
    let world = World::with(|mut config| {
        config.body_limit = 1000;
        config
    })
    .await;
    let client = client(&world, "test").await;
    for (method, path, status, code) in [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/", 404, "not_found"),
        ("GET", "/calls/1", 404, "not_found"),
        ("GET", "/calls/x", 404, "not_found"),
        ("GET", "/sid/a/b/c", 404, "not_found"),
        ("PUT", "/calls", 405, "method_not_allowed"),
        ("POST", "/balance", 405, "method_not_allowed"),
        ("GET", "/calls/2100000000000000001/play", 405, "method_not_allowed"),
        ("POST", "/calls", 400, "bad_request"),
    ] {
        let answer = client.ask(method, path, None).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (status, code),
            "{method} {path}"
        );
        let told = answer.headers.contains_key("allow");
        assert_eq!(told, status == 405, "{method} {path}: RFC 9110 §15.5.6");
    }
    let long = "x".repeat(1000);
    let large = client.ask("POST", "/calls", Some(json!({ "reference": long }))).await;
    assert_eq!((large.status.as_u16(), large.problem().as_str()), (413, "too_large"));
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
        let request = Request::post("/v1/calls").header("content-type", kind);
        let request = request.header("authorization", format!("Bearer {}", client.key));
        let answer = send(&world, request.body(Body::from(two().to_string())).unwrap()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (415, "unsupported_media_type"),
            "{kind}"
        );
    }
    let head = client.ask_with("GET", "/balance", None, &[("x-long", &"x".repeat(9000))]).await;
    assert_eq!((head.status.as_u16(), head.problem().as_str()), (431, "head_too_large"));
    for (refusal, status, code) in [
        (Refusal::NoBalance, 402, "balance_too_low"),
        (Refusal::NoPrice, 422, "number_unreachable"),
        (Refusal::TooManyCalls, 429, "too_many_requests"),
        (Refusal::Blocked, 403, "blocked"),
        (Refusal::OutsideHours, 403, "outside_hours"),
        (Refusal::TooOften, 429, "number_too_often"),
        (Refusal::Disabled, 403, "merchant_disabled"),
        (Refusal::Busy, 503, "busy"),
        (Refusal::Internal, 500, "internal"),
    ] {
        *world.switch.refuse.lock().unwrap() = Some(refusal);
        let answer = client.ask("POST", "/calls", Some(two())).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, code));
        assert_eq!(
            answer.headers.contains_key("retry-after"),
            matches!(code, "too_many_requests" | "busy"),
            "{code}"
        );
    }
    // Which of its numbers it is about is told.
    *world.switch.nowhere.lock().unwrap() = vec!["8613800138000".into()];
    for (refusal, at) in [
        (Refusal::NoRoute, vec!["/connect/number"]),
        (Refusal::SameNumber, vec!["/connect/number"]),
        (Refusal::BadCaller, vec!["/to/number"]),
    ] {
        *world.switch.refuse.lock().unwrap() = Some(refusal);
        assert_eq!(client.ask("POST", "/calls", Some(two())).await.pointers(), at, "{refusal:?}");
    }
    world.switch.nowhere.lock().unwrap().clear();
    *world.switch.refuse.lock().unwrap() = None;
    let unpriced = json!({ "to": { "number": "80000" }, "connect": { "number": "+15551234567" } });
    let answer = client.ask("POST", "/calls", Some(unpriced)).await;
    assert_eq!(answer.problem(), "number_unreachable");
    assert_eq!(answer.pointers(), ["/connect/number"], "{}", answer.json());
    world.switch.stuck.store(true, Ordering::SeqCst);
    assert_eq!(client.ask("POST", "/calls", Some(two())).await.problem(), "internal");
}

#[tokio::test]
async fn f18_what_takes_too_long_is_a_problem_in_json() {
    let world = World::with(|mut config| {
        config.place_timeout = Duration::from_secs(60);
        config
    })
    .await;
    let client = client(&world, "test").await;
    world.switch.stuck.store(true, Ordering::SeqCst);
    // Real time until the switch is asked, then the patience of the surface at once.
    let clock = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(26)).await;
    };
    let (answer, ()) = tokio::join!(client.ask("POST", "/calls", Some(two())), clock);
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (504, "timeout"));
}

#[tokio::test]
async fn what_cannot_be_played_is_told_with_its_places() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let call = client.place(two()).await;
    let path = format!("/calls/{call}/play");
    let play = async |body: Value| client.ask("POST", &path, Some(body)).await.pointers();
    for sound in [json!({ "prompt": "nothing" }), json!({ "url": "http://10.0.0.1/x.mp3" })] {
        assert_eq!(play(json!({ "sound": sound })).await, ["/sound"]);
    }
    let mut at = play(json!({ "sound": 5, "to": "c", "loud": true })).await;
    at.sort();
    assert_eq!(at, ["/loud", "/sound", "/to"], "all of them");
    assert!(world.switch.plays.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_surface_describes_itself_to_programs_and_to_people() {
    let world = World::new().await;
    let get =
        async |path: &str| send(&world, Request::get(path).body(Body::empty()).unwrap()).await;
    let described = get("/v1/openapi.json").await;
    assert_eq!(described.headers["content-type"], "application/json");
    let described = described.json();
    assert_eq!(described["openapi"], "3.1.0");
    // What is described is there, and nothing else is: without a key each of them asks for one.
    let mut asked = 0;
    for (path, methods) in described["paths"].as_object().unwrap() {
        let path = path.replace("{call}", "2100000000000000001").replace(['{', '}'], "");
        for method in methods.as_object().unwrap().keys() {
            let request = Request::builder().method(method.to_uppercase().as_str()).uri(&path);
            let answer = send(&world, request.body(Body::empty()).unwrap()).await;
            let code = answer.problem();
            assert!(
                matches!(code.as_str(), "unauthorized" | "too_many_requests"),
                "{method} {path}: {code}"
            );
            asked += 1;
        }
    }
    assert_eq!(asked, Op::ALL.len());
    let page = get("/v1/docs").await;
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    assert!(
        page.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'")
    );
    // A problem says where it is explained.
    let problem = get("/v1/balance").await.json();
    let (path, anchor) = problem["type"].as_str().unwrap().split_once('#').unwrap();
    assert_eq!(path, "/v1/docs");
    assert!(String::from_utf8(page.body).unwrap().contains(&format!("id=\"{anchor}\"")));
}

#[tokio::test]
async fn f18_a_body_that_does_not_come_is_a_problem_in_json_too() {
    let world = World::with(|mut config| {
        config.body_timeout = Duration::from_millis(100);
        config
    })
    .await;
    let client = client(&world, "test").await;
    let (address, _stop) = world.serve().await;
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /v1/calls HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 9\r\n\r\n",
        client.key
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(
        answer.contains("application/problem+json") && answer.contains("request_timeout"),
        "{answer}"
    );
}

#[tokio::test]
async fn f18_what_nobody_knows_in_a_query_is_told_by_its_name() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    for (path, name) in [
        ("/calls?statuz=open", "statuz"),
        ("/calls?limit=5&afer=1", "afer"),
        ("/balance?x=1", "x"),
        ("/events?after=0&type=call.ended", "type"),
    ] {
        let answer = client.get(path).await;
        let text = answer.json().to_string();
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (422, "invalid"), "{path}");
        assert!(text.contains(name), "{text}");
    }
    for path in ["/calls?limit=5&after=0&status=ended", "/calls", "/calls?"] {
        assert_eq!(client.get(path).await.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_switch_that_says_nothing_is_told_as_busy_and_not_as_a_call_that_is_gone() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let call = client.place(two()).await;
    world.switch.silent.store(true, Ordering::SeqCst);
    let path = format!("/calls/{call}");
    let play = json!({ "sound": { "prompt": "welcome" } });
    for (method, path, body) in [
        ("GET", path.clone(), None),
        ("GET", "/calls?status=open".to_owned(), None),
        ("DELETE", path.clone(), None),
        ("POST", format!("{path}/play"), Some(play)),
        ("DELETE", format!("{path}/play"), None),
        ("POST", format!("{path}/recording/pause"), None),
    ] {
        let answer = client.ask(method, &path, body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (503, "busy"),
            "{method} {path}"
        );
        assert!(answer.headers.contains_key("retry-after"));
    }
    let (status, _) = world.admin("GET", "/calls", None).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    world.switch.silent.store(false, Ordering::SeqCst);
    assert_eq!(client.get(&path).await.json()["stage"], "dialing_a");
}

#[tokio::test]
async fn an_object_is_an_object_wherever_it_stands_and_all_mistakes_are_told_in_our_words() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let at = async |body: Value| client.ask("POST", "/calls", Some(body)).await.pointers();
    assert_eq!(at(json!([{ "number": "80000" }, { "number": "13800138000" }])).await, [""]);
    let nested = json!({ "to": ["80000", null, null], "connect": { "number": "13800138000" } });
    assert_eq!(at(nested).await, ["/to"]);
    let wrong = json!({ "to": { "number": 1, "ring": 5 }, "max_talk_s": 0, "record": "loud" });
    let answer = client.ask("POST", "/calls", Some(wrong)).await;
    assert_eq!(answer.pointers(), ["/record", "/to/number", "/to/ring", "/max_talk_s"]);
    let text = answer.json().to_string();
    for word in ["missing field", "invalid type", "unknown field", "expected", "u16", "struct"] {
        assert!(!text.contains(word), "{text}");
    }
    assert!(world.switch.placed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn sounds_and_look_ups_of_one_scenario_are_bounded() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let call = |steps: Value| json!({ "to": { "number": "80000" }, "scenario": { "start": "s0", "steps": steps } });
    let steps = |count: usize, step: &dyn Fn(usize) -> Value| {
        Value::Object((0..count).map(|nth| (format!("s{nth}"), step(nth))).collect())
    };
    let url = |nth: usize| json!({ "url": format!("http://a{nth}.example/x.mp3") });
    let prompts = vec![json!({ "prompt": "welcome" }); 32];
    for (steps, fits) in [
        (steps(17, &|nth| json!({ "do": "play", "sounds": [url(nth)] })), false),
        (steps(9, &|_| json!({ "do": "play", "sounds": prompts })), false),
        (steps(8, &|_| json!({ "do": "play", "sounds": prompts })), true),
        (steps(17, &|nth| json!({ "do": "dial", "number": format!("1380013{nth:04}") })), false),
        (steps(16, &|nth| json!({ "do": "dial", "number": format!("1380013{nth:04}") })), true),
        (steps(60, &|_| json!({ "do": "dial", "number": "80100" })), true),
    ] {
        let answer = client.ask("POST", "/calls", Some(call(steps))).await;
        match fits {
            true => assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json()),
            false => assert_eq!(answer.pointers(), ["/scenario/steps"]),
        }
    }
}

#[tokio::test]
async fn what_can_be_spent_counts_the_credit_line() {
    let world = World::new().await;
    let mut file = world::document();
    file["merchants"][2]["credit"] = json!("5");
    let (status, told) = world.admin("POST", "/apply", Some(file)).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    let balance = client(&world, "poor").await.get("/balance").await.json();
    assert_eq!(
        (&balance["posted_micros"], &balance["credit_micros"], &balance["available_micros"]),
        (&json!(0), &json!(5_000_000), &json!(5_000_000)),
        "{balance}"
    );
}

#[tokio::test]
async fn a_page_that_is_short_leads_on_and_the_last_one_has_nothing() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let call = client.place(two()).await;
    world.complete(call).await;
    for path in ["/calls", "/events"] {
        let page = client.get(&format!("{path}?after=0&limit=50")).await.json();
        let next = page["next"].as_str().unwrap().to_owned();
        let last = client.get(&format!("{path}?after={next}&limit=50")).await.json();
        assert_eq!((last["items"].as_array().unwrap().len(), &last["next"]), (0, &Value::Null));
    }
}
