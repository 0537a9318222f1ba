//! Events of `/v1`: the list, the stream, webhooks; against a real store, real receivers and the real worker.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod world;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::push::{PushConfig, run};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dialect::rest::{RETRY_SECONDS, Scope, webhook_signature};
use facts::CallId;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use world::World;

const OK: &str = "HTTP/1.1 204 Taken\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const FAULT: &str = "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const WAIT: &str =
    "HTTP/1.1 429 Slow\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const MOVED: &str =
    "HTTP/1.1 302 Found\r\nLocation: /else\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const GONE: &str = "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// A merchant's address: answers each push with the next of its answers, the last one for ever.
#[derive(Clone)]
struct Receiver {
    url: String,
    heard: Arc<Mutex<Vec<(String, Value, tokio::time::Instant)>>>,
}

impl Receiver {
    async fn start(answers: &'static [&'static str]) -> Receiver {
        Receiver::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), answers)
    }

    fn on(listener: TcpListener, answers: &'static [&'static str]) -> Receiver {
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let receiver = Receiver { url, heard: Arc::default() };
        let heard = Arc::clone(&receiver.heard);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let heard = Arc::clone(&heard);
                tokio::spawn(async move {
                    let mut text = String::new();
                    let mut chunk = [0; 8192];
                    let body = loop {
                        let read = stream.read(&mut chunk).await.unwrap_or_default();
                        text.push_str(&String::from_utf8_lossy(&chunk[..read]));
                        let whole = text.split_once("\r\n\r\n").map(|(_, body)| body);
                        match whole.and_then(|body| serde_json::from_str(body).ok()) {
                            Some(body) => break body,
                            None if read == 0 => return,
                            None => {}
                        }
                    };
                    let turn = {
                        let mut heard = heard.lock().unwrap();
                        heard.push((text, body, tokio::time::Instant::now()));
                        heard.len() - 1
                    };
                    let answer = answers[turn.min(answers.len() - 1)];
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        receiver
    }

    fn heard(&self) -> Vec<(String, Value)> {
        self.heard.lock().unwrap().iter().map(|one| (one.0.clone(), one.1.clone())).collect()
    }

    async fn until(&self, count: usize) -> Vec<(String, Value)> {
        for _ in 0..400 {
            if self.heard().len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let heard = self.heard();
        assert!(heard.len() >= count, "{} of {count}", heard.len());
        heard
    }
}

fn header<'t>(text: &'t str, name: &str) -> &'t str {
    let line = text.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
    line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim()).unwrap_or_default()
}

struct Client<'w> {
    world: &'w World,
    key: String,
    id: String,
}

async fn client<'w>(world: &'w World, merchant: &str) -> Client<'w> {
    let scopes: Vec<_> = Scope::ALL.iter().map(|scope| scope.word()).collect();
    let asked = json!({ "merchant": merchant, "name": "crm", "scopes": scopes });
    let (_, made) = world.admin("POST", "/api-keys", Some(asked)).await;
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    Client { world, key: text("key"), id: text("id") }
}

impl Client<'_> {
    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/v1{path}"))
            .header("accept", "application/json")
            .header("authorization", format!("Bearer {}", self.key));
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let (status, text) = self.world.send(request.body(body).unwrap()).await;
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn webhook(&self, body: Value) -> (String, String) {
        let (status, made) = self.ask("POST", "/webhooks", Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("id"), text("secret"))
    }

    async fn place(&self) -> CallId {
        let body = json!({ "to": { "number": "80000" }, "connect": { "number": "13800138000" },
            "reference": "order 7" });
        let (_, placed) = self.ask("POST", "/calls", Some(body)).await;
        placed["id"].as_str().unwrap().parse().unwrap()
    }

    /// A call that both answered, told state by state.
    async fn call(&self) -> CallId {
        let call = self.place().await;
        self.world.report_states(call, "80000", "13800138000").await;
        self.world.complete(call).await;
        call
    }

    async fn listed(&self) -> Vec<Value> {
        let (_, page) = self.ask("GET", "/events?after=0&limit=500", None).await;
        page["items"].as_array().unwrap().clone()
    }
}

/// The worker, with short waits between attempts; it ends with the handle.
fn work(world: &World) -> watch::Sender<bool> {
    let (stop, stopped) = watch::channel(false);
    let config = PushConfig {
        delays: Some(vec![Duration::ZERO, Duration::from_millis(100), Duration::from_millis(100)]),
        poll: Duration::from_millis(20),
        gather: Duration::from_millis(1),
        ..PushConfig::default()
    };
    let (store, guard) = (world.store.clone(), world.guard.clone());
    tokio::spawn(run(
        store,
        guard,
        config,
        Arc::clone(&world.counters),
        Arc::clone(&world.wake),
        stopped,
    ));
    stop
}

#[tokio::test]
async fn f19_a_call_is_told_state_by_state_once_signed_and_in_order() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let receiver = Receiver::start(&[OK]).await;
    let (id, secret) = client.webhook(json!({ "url": receiver.url })).await;
    let octets = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    assert_eq!(octets.len(), 32);
    let call = client.call().await;
    // What a restart tells again is told once.
    world.report_states(call, "80000", "13800138000").await;
    let _worker = work(&world);
    let heard = receiver.until(9).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(receiver.heard().len(), 9);
    let names: Vec<_> = heard.iter().map(|(_, body)| body["type"].as_str().unwrap()).collect();
    let leg = ["leg.dialing", "leg.ringing", "leg.answered"];
    let ends = ["leg.ended", "leg.ended", "call.ended"];
    assert_eq!(names, [&leg[..], &leg[..], &ends[..]].concat());
    for (nth, (text, body)) in heard.iter().enumerate() {
        assert_eq!((&body["sequence"], &body["call"]), (&json!(nth + 1), &json!(call.to_string())));
        assert_eq!(
            (&body["reference"], header(text, "webhook-id")),
            (&json!("order 7"), body["id"].as_str().unwrap())
        );
        let stamp: i64 = header(text, "webhook-timestamp").parse().unwrap();
        let bytes = text.split_once("\r\n\r\n").unwrap().1.as_bytes();
        let signed = webhook_signature(
            std::slice::from_ref(&secret),
            header(text, "webhook-id"),
            stamp,
            bytes,
        );
        assert_eq!(header(text, "webhook-signature"), signed);
        assert_eq!(header(text, "content-type"), "application/json");
    }
    assert_eq!(
        (&heard[8].1["data"]["outcome"], &heard[4].1["data"]["leg"]),
        (&json!("completed"), &json!("B"))
    );
    // The list says the same, whether or not there was a webhook.
    let told: Vec<Value> = heard.into_iter().map(|(_, body)| body).collect();
    assert_eq!(client.listed().await, told);
    let (_, page) = client.ask("GET", &format!("/webhooks/{id}/deliveries?limit=4"), None).await;
    assert_eq!(
        (page["items"].as_array().unwrap().len(), page["items"][0]["state"].as_str()),
        (4, Some("done"))
    );
    assert!(page["next"].is_string());
}

#[tokio::test]
async fn f19_what_fails_comes_again_unchanged_and_holds_up_nothing() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let receiver = Receiver::start(&[FAULT, MOVED, OK]).await;
    let (id, _) = client
        .webhook(json!({ "url": receiver.url, "events": ["leg.dialing", "call.ended"] }))
        .await;
    let call = client.call().await;
    let _worker = work(&world);
    // Dialling of A twice failed, dialling of B moved, and so on: five in all for three events.
    let heard = receiver.until(5).await;
    let ids: Vec<_> = heard.iter().map(|(text, _)| header(text, "webhook-id").to_owned()).collect();
    let a = format!("evt_{call}_0");
    assert_eq!((&ids[0], ids.iter().filter(|id| **id == a).count()), (&a, 2), "{ids:?}");
    assert!(ids.contains(&format!("evt_{call}_end")) && !ids.contains(&format!("evt_{call}_1")));
    let again: Vec<_> = heard.iter().filter(|(_, body)| body["id"] == json!(a)).collect();
    assert_eq!(again[0].1, again[1].1);
    let page = format!("/webhooks/{id}/deliveries");
    let (_, list) = client.ask("GET", &page, None).await;
    let first = list["items"][0]["id"].as_str().unwrap().to_owned();
    tokio::time::sleep(Duration::from_millis(60)).await;
    let (_, one) = client.ask("GET", &format!("{page}/{first}"), None).await;
    let log: Vec<_> =
        one["log"].as_array().unwrap().iter().map(|one| one["status"].clone()).collect();
    assert_eq!((log, &one["state"]), (vec![json!(500), json!(204)], &json!("done")));
    let (status, _) = client.ask("POST", &format!("{page}/{first}/redeliver"), None).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let more = receiver.until(6).await;
    assert_eq!(more[5].1, again[0].1);
}

/// Nobody listens for an hour; the waits are those of the real list, an hour of them shortened to 600 ms. Everything comes
/// afterwards, once, each with its place in its call, and a receiver that is well waits for none of it.
#[tokio::test]
async fn f19_a_receiver_that_is_down_for_an_hour_is_told_everything_afterwards_once() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    client.webhook(json!({ "url": format!("http://{port}/hook") })).await;
    let good = Receiver::start(&[OK]).await;
    client.webhook(json!({ "url": good.url })).await;
    let hour = Duration::from_millis(600);
    let short = |seconds: &u64| hour.mul_f64(*seconds as f64 / 3600.0);
    let (stop, stopped) = watch::channel(false);
    let config = PushConfig {
        delays: Some(RETRY_SECONDS.iter().map(short).collect()),
        circuit_pause: short(&30),
        timeout: Duration::from_millis(200),
        lease: Duration::from_millis(300),
        poll: Duration::from_millis(5),
        gather: Duration::from_millis(1),
        ..PushConfig::default()
    };
    let (store, guard, counters) =
        (world.store.clone(), world.guard.clone(), Arc::clone(&world.counters));
    tokio::spawn(run(store, guard, config, counters, Arc::clone(&world.wake), stopped));
    let calls = [client.call().await, client.call().await];
    let ended = tokio::time::Instant::now();
    good.until(18).await;
    assert!(ended.elapsed() < hour, "{:?}", ended.elapsed());
    tokio::time::sleep_until(ended + hour).await;
    let listener = TcpListener::bind(port).await.unwrap();
    let heard = Receiver::on(listener, &[OK]).until(18).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    for call in calls {
        let told: Vec<_> =
            heard.iter().filter(|one| one.1["call"] == json!(call.to_string())).collect();
        let mut each: Vec<_> =
            told.iter().filter_map(|(_, body)| body["sequence"].as_u64()).collect();
        each.sort_unstable();
        assert_eq!(each, (1..=9).collect::<Vec<_>>(), "each once; their places are told");
        for (text, body) in told {
            assert_eq!(header(text, "webhook-id"), body["id"].as_str().unwrap());
        }
    }
    stop.send(true).unwrap();
}

#[tokio::test]
async fn f19_gone_ends_a_webhook_and_retry_after_is_waited_for() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let (gone, slow) = (Receiver::start(&[GONE]).await, Receiver::start(&[WAIT, OK]).await);
    let (id, _) = client.webhook(json!({ "url": gone.url })).await;
    client.webhook(json!({ "url": slow.url, "events": ["call.ended"] })).await;
    client.call().await;
    let _worker = work(&world);
    slow.until(2).await;
    let times: Vec<_> = slow.heard.lock().unwrap().iter().map(|one| one.2).collect();
    assert!(times[1] - times[0] >= Duration::from_millis(950), "{:?}", times[1] - times[0]);
    assert_eq!(gone.heard().len(), 1, "nothing more goes there");
    let (_, shown) = client.ask("GET", &format!("/webhooks/{id}"), None).await;
    assert_eq!(shown["enabled"], false);
    assert!(shown["reason"].as_str().unwrap().contains("410"), "{shown}");
    client.call().await;
    slow.until(3).await;
    assert_eq!(gone.heard().len(), 1);
    // Begun anew, and what was given up sent again, by the merchant's hand.
    let first = client.ask("GET", &format!("/webhooks/{id}/deliveries"), None).await.1;
    let first = first["items"][0]["id"].as_str().unwrap().to_owned();
    for path in ["redeliver".to_owned(), format!("deliveries/{first}/redeliver")] {
        let (status, told) = client.ask("POST", &format!("/webhooks/{id}/{path}"), None).await;
        assert_eq!(
            (status, &told["code"]),
            (StatusCode::CONFLICT, &json!("webhook_disabled")),
            "nothing goes where nothing is to go"
        );
    }
    let (_, begun) =
        client.ask("PATCH", &format!("/webhooks/{id}"), Some(json!({ "enabled": true }))).await;
    assert_eq!((&begun["enabled"], begun.get("reason")), (&json!(true), None));
    let (_, again) = client.ask("POST", &format!("/webhooks/{id}/redeliver"), None).await;
    assert_eq!(again["redelivered"], 9);
}

#[tokio::test]
async fn f16_webhooks_are_their_merchants_own_and_their_secrets_change_with_overlap() {
    let world = World::new().await;
    let (own, other) = (client(&world, "test").await, client(&world, "open").await);
    let receiver = Receiver::start(&[OK]).await;
    let (id, first) = own.webhook(json!({ "url": receiver.url })).await;
    let path = format!("/webhooks/{id}");
    for (method, path) in [
        ("GET", path.clone()),
        ("PATCH", path.clone()),
        ("DELETE", path.clone()),
        ("POST", format!("{path}/test")),
        ("POST", format!("{path}/secret")),
        ("POST", format!("{path}/redeliver")),
        ("GET", format!("{path}/deliveries")),
        ("GET", format!("{path}/deliveries/1")),
    ] {
        let body = (method == "PATCH").then(|| json!({ "enabled": false }));
        assert_eq!(
            other.ask(method, &path, body).await.0,
            StatusCode::NOT_FOUND,
            "{method} {path}"
        );
    }
    own.call().await;
    assert_eq!((own.listed().await.len(), other.listed().await.len()), (9, 0));
    let (_, rotated) = own.ask("POST", &format!("{path}/secret"), None).await;
    let second = rotated["secret"].as_str().unwrap().to_owned();
    let (_, shown) = own.ask("GET", &path, None).await;
    assert!(first != second && shown.get("secret").is_none(), "told once");
    let (_, tested) = own.ask("POST", &format!("{path}/test"), None).await;
    assert_eq!((&tested["delivered"], &tested["status"]), (&json!(true), &json!(204)));
    let (text, body) = receiver.until(1).await.remove(0);
    let stamp: i64 = header(&text, "webhook-timestamp").parse().unwrap();
    let bytes = text.split_once("\r\n\r\n").unwrap().1.as_bytes();
    let signed = webhook_signature(&[second, first], body["id"].as_str().unwrap(), stamp, bytes);
    assert_eq!(header(&text, "webhook-signature"), signed);
    for (body, pointer) in [
        (json!({ "url": "http://10.0.0.1/x" }), "/url"),
        (json!({ "url": "http://169.254.169.254/latest" }), "/url"),
        (json!({ "url": "https://user:pass@a.example/" }), "/url"),
        (json!({ "url": "file:///etc/passwd" }), "/url"),
        (json!({ "url": receiver.url, "events": ["call.ended", "leg.sung"] }), "/events/1"),
    ] {
        let (status, told) = own.ask("POST", "/webhooks", Some(body)).await;
        assert_eq!(
            (status, &told["errors"][0]["pointer"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!(pointer))
        );
    }
    // All that is wrong at once.
    let wrong = json!({ "url": "http://10.0.0.1/x", "events": ["leg.sung"] });
    let (_, told) = own.ask("POST", "/webhooks", Some(wrong)).await;
    let mut at: Vec<&str> = told["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    at.sort_unstable();
    assert_eq!(at, ["/events/0", "/url"], "{told}");
    for _ in 1..20 {
        own.webhook(json!({ "url": receiver.url })).await;
    }
    let (status, told) = own.ask("POST", "/webhooks", Some(json!({ "url": receiver.url }))).await;
    assert_eq!((status, &told["code"]), (StatusCode::CONFLICT, &json!("full")));
    let (_, all) = own.ask("GET", "/webhooks", None).await;
    let items = all["items"].as_array().unwrap();
    assert_eq!((items.len(), &all["next"]), (20, &Value::Null), "all on one page");
    assert!(items.iter().all(|one| one["url"].is_string() && one["secret"].is_null()), "{all}");
    assert_eq!(own.ask("DELETE", &path, None).await.0, StatusCode::OK);
    assert_eq!(own.ask("GET", &path, None).await.0, StatusCode::NOT_FOUND);
}

/// A reader of the stream.
struct Reader(TcpStream, String);

impl Reader {
    async fn open(address: SocketAddr, key: &str, last: Option<&str>) -> Reader {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let request = format!(
            "GET /v1/events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nConnection: close\r\n\
             Authorization: Bearer {key}\r\n{last}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reader = Reader(stream, String::new());
        reader.until("retry: 2000").await;
        assert!(
            reader.1.to_ascii_lowercase().contains("content-type: text/event-stream"),
            "{}",
            reader.1
        );
        reader
    }

    /// Reads until this was told, or the stream is over.
    async fn until(&mut self, text: &str) -> bool {
        let mut chunk = [0; 8192];
        while !self.1.contains(text) {
            let read = tokio::time::timeout(Duration::from_secs(3), self.0.read(&mut chunk)).await;
            match read.unwrap() {
                Ok(read @ 1..) => self.1.push_str(&String::from_utf8_lossy(&chunk[..read])),
                _ => return false,
            }
        }
        true
    }

    fn ids(&self) -> Vec<&str> {
        self.1.lines().filter_map(|line| line.strip_prefix("id: ")).collect()
    }
}

#[tokio::test]
async fn a_stream_goes_on_where_it_was_left_and_ends_with_its_key() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let (address, _stop) = world.serve().await;
    client.call().await;
    let mut reader = Reader::open(address, &client.key, None).await;
    let call = client.place().await;
    world.report_states(call, "80000", "13800138000").await;
    assert!(reader.until(&format!("evt_{call}_7\"")).await);
    assert_eq!(reader.ids().len(), 8, "what was before it came is not told");
    assert!(reader.1.contains("event: leg.answered\ndata: {"), "{}", reader.1);
    let left = reader.ids()[2].to_owned();
    drop(reader);
    world.complete(call).await;
    let mut back = Reader::open(address, &client.key, Some(&left)).await;
    assert!(back.until("event: call.ended").await);
    assert_eq!(back.ids().len(), 6, "{}", back.1);
    assert!(back.ids().iter().all(|id| id.parse::<i64>().unwrap() > left.parse::<i64>().unwrap()));
    world.admin("DELETE", &format!("/api-keys/{}", client.id), None).await;
    assert!(!back.until("never").await, "the stream is over");
}

#[tokio::test]
async fn f19_the_end_of_a_campaign_is_pushed_and_is_of_no_call() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let receiver = Receiver::start(&[OK]).await;
    let wanted = json!({ "url": receiver.url, "events": ["campaign.ended"] });
    let (hook, secret) = client.webhook(wanted).await;
    let body = json!({ "name": "winter", "agents": { "group": "80100" }, "reference": "order 7",
        "numbers": [{ "number": "13800138000" }] });
    let (_, made) = client.ask("POST", "/campaigns", Some(body)).await;
    let id = made["id"].as_str().unwrap();
    for _ in 0..2 {
        client.ask("POST", &format!("/campaigns/{id}/cancel"), None).await;
    }
    let _worker = work(&world);
    let heard = receiver.until(1).await;
    let (text, body) = &heard[0];
    assert_eq!((&body["type"], &body["campaign"]), (&json!("campaign.ended"), &json!(id)));
    assert_eq!((&body["call"], &body["reference"]), (&Value::Null, &json!("order 7")));
    let name = format!("evt_{id}_1");
    assert_eq!((header(text, "webhook-id"), &body["id"]), (name.as_str(), &json!(name)));
    let stamp: i64 = header(text, "webhook-timestamp").parse().unwrap();
    let bytes = text.split_once("\r\n\r\n").unwrap().1.as_bytes();
    let signed = webhook_signature(&[secret], &name, stamp, bytes);
    assert_eq!(header(text, "webhook-signature"), signed);
    let (_, page) = client.ask("GET", &format!("/webhooks/{hook}/deliveries"), None).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 1, "{page}");
    assert_eq!(
        (&page["items"][0]["event"], &page["items"][0]["call"]),
        (&json!(name), &Value::Null)
    );
}
