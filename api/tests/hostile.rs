//! What strangers send to every door: bodies of very many keys, bombs, very deep JSON, and what a browser would bring
//! along for another page.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod world;

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::ServiceExt as _;
use world::client::client;
use world::company::{LOGIN, form, token};
use world::{ACCESSKEY, KEY, SID, TOKEN, World, callback, md5, read};

/// Where each system takes a body: 000, 001, 002, our own surface, the operator.
const DOORS: [(&str, &str); 5] = [
    ("000", "/api/biz_callback"),
    ("001", "/201512/sid/0123456789abcdef0123456789abcdef/call/DailbackCall.wx"),
    ("002", "/"),
    ("v1", "/v1/calls"),
    ("admin", "/admin/v1/apply"),
];
/// For whatever is asked, in a build that is not optimised, beside other tests.
const SOON: Duration = Duration::from_millis(1_500);

/// Headers with which each door listens at all.
async fn headers(world: &World, door: &str) -> Vec<(&'static str, String)> {
    use base64::Engine as _;
    let stamp = dialect::clock::compact(world::now());
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{SID}|{stamp}"));
    match door {
        "001" => vec![("authorization", basic)],
        "v1" => vec![
            ("authorization", format!("Bearer {}", client(world, "test").await.key)),
            ("content-type", "application/json".to_owned()),
        ],
        "admin" => vec![("authorization", format!("Bearer {TOKEN}"))],
        _ => Vec::new(),
    }
}

/// Sends a body to a door as one who may ask there; what it says, and that it says it soon.
async fn post(
    world: &World,
    (door, path): (&str, &str),
    more: &[(&str, &str)],
    body: impl Into<Body>,
) -> (StatusCode, String) {
    let stamp = dialect::clock::compact(world::now());
    let sign = md5(format!("{SID}{}{stamp}", world::AUTH_TOKEN)).to_uppercase();
    let target = if door == "001" { format!("{path}?Sign={sign}") } else { path.to_owned() };
    let mut request = Request::post(target);
    for (name, value) in headers(world, door).await {
        request = request.header(name, value);
    }
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    let request = request.body(body.into()).unwrap();
    let asked = Instant::now();
    let (status, body) = read(world.router.clone().oneshot(request).await.unwrap()).await;
    let took = asked.elapsed();
    let text = String::from_utf8_lossy(&body).into_owned();
    let head: String = text.chars().take(200).collect();
    assert!(took < SOON, "{door}: {took:?}: {head}");
    (status, text)
}

/// That a door refused in its own words.
fn is_refused(door: &str, (status, text): &(StatusCode, String)) {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let refused = match door {
        "000" => *status == StatusCode::OK && text.starts_with("result=fail"),
        "001" => {
            *status == StatusCode::OK && value["statusCode"].as_str().is_some_and(|c| c != "0")
        }
        "002" => {
            let no = value["ret"].as_i64().is_some_and(|ret| ret != 200);
            no || *status == StatusCode::NOT_FOUND || value["data"]["status"] == 1
        }
        _ => status.is_client_error() && (value["code"].is_string() || value["error"].is_object()),
    };
    let head: String = text.chars().take(200).collect();
    assert!(refused, "{door}: {status}: {head}");
}

#[tokio::test]
async fn f18_a_hundred_thousand_keys_are_refused_unread_or_read_in_one_pass() {
    let keys: String = (0..100_000).map(|n| format!("k{n}=1&")).collect();
    let world = World::new().await;
    for door in DOORS.into_iter().filter(|(door, _)| !["002", "admin"].contains(door)) {
        let (status, _) = post(&world, door, &[], keys.clone()).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{door:?}");
    }
    // Also where the operator lets longer bodies in: the time is that of one pass over them.
    let world = World::with(|config| api::ApiConfig { body_limit: 4 << 20, ..config }).await;
    for door in DOORS {
        is_refused(door.0, &post(&world, door, &[], keys.clone()).await);
    }
    let object: String = (0..100_000).map(|n| format!("\"k{n}\":1,")).collect();
    let object = format!("{{{}\"z\":1}}", object);
    // The operator is told each of his mistakes, however many.
    for door in DOORS.into_iter().filter(|(door, _)| *door != "admin") {
        is_refused(door.0, &post(&world, door, &[], object.clone()).await);
    }
    // A key that is good is found behind them, or the request is refused: never something else.
    let base = "username=test&callbackid=k1&callback_num=80000&destination_num=13800138000";
    let sign = md5(format!("{base}&key={KEY}"));
    let signed = format!("{keys}{base}&sign={sign}&returnurl=http://127.0.0.1:9/r");
    is_refused("000", &post(&world, DOORS[0], &[], signed).await);
    assert!(world.switch.placed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn f18_a_hundred_thousand_keys_in_a_query_are_not_read() {
    let world = World::new().await;
    let (address, _stop) = world.serve().await;
    let keys: String = (0..100_000).map(|n| format!("k{n}=1&")).collect();
    for (_, path) in DOORS {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path}?{keys} HTTP/1.1\r\nHost: a\r\n\r\n");
        // The server hangs up before it has all of it; its answer may be lost with the rest.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let reading = stream.read_to_end(&mut answer);
        let _ = tokio::time::timeout(SOON, reading).await.expect("the server hangs up");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let no = ["HTTP/1.1 431 ", "HTTP/1.1 414 "].iter().any(|head| answer.starts_with(head));
        assert!(answer.is_empty() || no, "{path}: {answer}");
    }
    // As many as a head has room for.
    let keys = "a&".repeat(7_000);
    for (door, path) in DOORS {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path}?{keys} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let reading = stream.read_to_string(&mut answer);
        tokio::time::timeout(SOON, reading).await.expect("an answer, soon").unwrap();
        assert!(answer.starts_with("HTTP/1.1 ") && !answer.contains(" 50"), "{door}: {answer}");
    }
}

/// Zeros, deflated by hand: a length of 258 is eight bits and its distance of one is five (RFC 1951 §3.2.6).
fn bomb(octets: usize) -> Vec<u8> {
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    let (mut held, mut bits) = (0_u32, 0);
    // The last block, fixed codes, one zero; codes stand with their first bit first.
    let begin = [(0b011, 3), (0b0000_1100, 8)];
    let runs = std::iter::repeat_n((0b0_0000_1010_0011, 13), octets / 258);
    for (code, length) in begin.into_iter().chain(runs).chain([(0, 7)]) {
        held |= code << bits;
        bits += length;
        while bits >= 8 {
            packed.push(held as u8);
            held >>= 8;
            bits -= 8;
        }
    }
    packed.push(held as u8);
    packed
}

#[tokio::test]
async fn f18_a_gzip_bomb_is_never_unpacked() {
    // What it would be is a hundred and sixty times as long.
    let bomb = bomb(9 * 1024 * 1024);
    assert!(bomb.len() < 64 * 1024);
    let world = World::new().await;
    for door in DOORS {
        for coding in ["gzip", "x-gzip", "deflate", "gzip, gzip"] {
            let came = post(&world, door, &[("content-encoding", coding)], bomb.clone()).await;
            is_refused(door.0, &came);
        }
    }
    assert!(world.switch.placed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn f18_json_of_any_depth_is_refused_at_every_door() {
    let world = World::new().await;
    let deep = |open: &str, close: &str, depth: usize| {
        format!("{}1{}", open.repeat(depth), close.repeat(depth))
    };
    for depth in [200, 9_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = deep(open, close, depth);
            let inside = [
                deep.clone(),
                format!("{{\"to\":{deep}}}"),
                format!("{{\"action\":\"callDailBack\",\"src\":{deep}}}"),
                format!("{{\"service\":\"App.Sip_Call.PlayVoice\",\"telphone\":{deep}}}"),
                format!("{{\"merchants\":{deep}}}"),
            ];
            for body in inside.iter().filter(|body| body.len() < 64 * 1024) {
                for door in DOORS {
                    is_refused(door.0, &post(&world, door, &[], body.clone()).await);
                }
            }
        }
    }
    assert!(world.switch.placed.lock().unwrap().is_empty());
}

/// What no answer of ours ever has: a session, or leave for other pages to read it.
fn has_no_word_for_browsers(headers: &HeaderMap, of: &str) {
    for (name, value) in headers {
        let name = name.as_str();
        let bad = name.contains("cookie") || name.starts_with("access-control-");
        assert!(!bad, "{of}: {name}: {value:?}");
    }
}

const SURFACES: [&str; 19] = [
    "/",
    "/index.php",
    "/api/yunhu",
    "/api/voicecode",
    "/api/biz_callback",
    "/api/biz_balance",
    "/201512/sid/0123456789abcdef0123456789abcdef/call/DailbackCall.wx",
    "/v1/calls",
    "/v1/balance",
    "/v1/openapi.json",
    "/v1/docs",
    "/recordings/a.mp3",
    "/samples",
    "/samples/rest-v1",
    "/admin/v1/calls",
    "/admin/v1/api-keys",
    "/metrics",
    "/healthz",
    "/readyz",
];

#[tokio::test]
async fn f16_no_door_sets_a_cookie_or_lets_another_page_in() {
    let world = World::new().await;
    let key = client(&world, "test").await.key;
    for path in SURFACES {
        for method in ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"] {
            for authorization in [String::new(), format!("Bearer {key}"), format!("Bearer {TOKEN}")]
            {
                let request = Request::builder()
                    .method(method)
                    .uri(path)
                    .header(header::AUTHORIZATION, authorization)
                    .header(header::ORIGIN, "https://other.example")
                    .header(header::COOKIE, "session=attacker")
                    .header("access-control-request-method", "POST")
                    .header("access-control-request-headers", "authorization")
                    .header("access-control-request-private-network", "true");
                let request = request.body(Body::empty()).unwrap();
                let answer = world.router.clone().oneshot(request).await.unwrap();
                has_no_word_for_browsers(answer.headers(), &format!("{method} {path}"));
                if method == "OPTIONS" {
                    assert_ne!(answer.status(), StatusCode::NO_CONTENT, "{path}: no preflight");
                }
            }
        }
    }
}

#[tokio::test]
async fn f16_what_a_browser_sends_by_itself_opens_nothing() {
    let wrong_tokens = api::Rate { per_second: 100, burst: 100 };
    let world = World::with(|config| api::ApiConfig { wrong_tokens, ..config }).await;
    let key = client(&world, "test").await.key;
    let two = json!({ "to": { "number": "80000" }, "connect": { "number": "13800138000" } });
    // The forms that a page may send anywhere without asking, with a key in each place that is not the header.
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/json"] {
        for name in ["authorization", "session", "token", "key", "api_key"] {
            for (path, secret) in [("/v1/calls", key.as_str()), ("/admin/v1/apply", TOKEN)] {
                let request = Request::post(format!("{path}?{name}={secret}"))
                    .header(header::COOKIE, format!("{name}={secret}; {name}=Bearer%20{secret}"))
                    .header(header::REFERER, format!("http://a/?{name}={secret}"))
                    .header(header::ORIGIN, "https://other.example")
                    .header(header::CONTENT_TYPE, kind);
                let request = request.body(Body::from(two.to_string())).unwrap();
                assert_eq!(world.send(request).await.0, StatusCode::UNAUTHORIZED, "{name} {path}");
            }
        }
    }
    // The older systems have their signature or token in the request itself, which another page does not know.
    let target = callback("test", "c1", "80000", "13800138000", "http://127.0.0.1:9/r");
    let unsigned = target.split("&sign=").next().unwrap();
    let request = Request::get(unsigned).header(header::COOKIE, target.rsplit('?').next().unwrap());
    let (_, answer) = world.send(request.body(Body::empty()).unwrap()).await;
    assert!(answer.starts_with("result=fail"), "{answer}");
    let token = token(&world, "1").await;
    let request = Request::post("/")
        .header(header::COOKIE, format!("token={token}; PHPSESSID={token}"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from("service=App.Sip_Auth.Logout"))
        .unwrap();
    is_refused("002", &world.send(request).await);
    assert!(world.switch.placed.lock().unwrap().is_empty());
}

/// The one thing like a session is the token of system 002: nobody chooses it for somebody else.
#[tokio::test]
async fn f16_a_token_is_made_at_the_login_and_never_taken_from_the_request() {
    let world = World::new().await;
    let chosen = "0123456789abcdef0123456789abcdef";
    let login = [("appid", "app1"), ("accesskey", ACCESSKEY), ("token", chosen)];
    let answer = form(&world, LOGIN, &login).await;
    let made = answer["data"]["result"]["token"].as_str().unwrap();
    assert_ne!(made, chosen);
    let others = token(&world, "2").await;
    assert_ne!(made, others, "of each company its own");
    let refused = form(&world, "App.Sip_Auth.Logout", &[("token", chosen)]).await;
    assert_eq!(refused["ret"], 600, "{refused}");
}
