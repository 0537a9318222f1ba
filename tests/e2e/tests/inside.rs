//! F17: no door leads the switch to where merchants have no business. The program itself, as it is by default: whatever a
//! merchant writes where an address is asked for, nobody inside hears a connection.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use e2e::country::{self, A, B, KEY, USER, Wish};
use e2e::merchant::{callback_target, http};
use e2e::sipcall::{company, play};
use e2e::sipp::{Behaviour, Sipp};
use e2e::tandem::{Setup, Tandem};
use e2e::{ports, wait};
use serde_json::{Value, json};

/// Hosts that are inside, or only look as if they were not; `PORT` is one that may be visited.
const INSIDE: &[&str] = &[
    "http://127.0.0.1:PORT/",
    "http://127.1:PORT/",
    "http://127.0.1:PORT/",
    "http://2130706433:PORT/",
    "http://0177.0.0.1:PORT/",
    "http://017700000001:PORT/",
    "http://0x7f.0.0.1:PORT/",
    "http://0x7f000001:PORT/",
    "http://0x7F.1:PORT/",
    "http://127.0.0.1.:PORT/",
    "http://127.255.255.254:PORT/",
    "http://127\u{3002}0\u{3002}0\u{3002}1:PORT/",
    "http://\u{ff11}\u{ff12}\u{ff17}.0.0.1:PORT/",
    "http://%31%32%37.0.0.1:PORT/",
    "http://localhost:PORT/",
    "http://LOCALHOST.:PORT/",
    "http://[::1]:PORT/",
    "http://[0:0:0:0:0:0:0:1]:PORT/",
    "http://[::ffff:127.0.0.1]:PORT/",
    "http://[::ffff:7f00:1]:PORT/",
    "http://[::127.0.0.1]:PORT/",
    "http://[64:ff9b::7f00:1]:PORT/",
    "http://[2002:7f00:1::]:PORT/",
    "http://[::]:PORT/",
    "http://0.0.0.0:PORT/",
    "http://0:PORT/",
    "http://0.1.2.3:PORT/",
    "http://user@127.0.0.1:PORT/",
    "http://user:pass@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT@example.invalid/",
    "http://example.invalid@127.0.0.1:PORT/",
    "http://example.invalid\\@127.0.0.1:PORT/",
    "http:\\\\127.0.0.1:PORT\\",
    "http:127.0.0.1:PORT/",
    "http:///127.0.0.1:PORT/",
    "//127.0.0.1:PORT/",
    "HTTP://127.0.0.1:PORT/",
    "https://127.0.0.1:PORT/",
    "https://localhost:PORT/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:PORT/_x",
    "ftp://127.0.0.1:PORT/",
    "dict://127.0.0.1:PORT/stat",
    "jar:http://127.0.0.1:PORT!/",
    "javascript:alert(1)",
    "data:audio/wav,x",
    "http://10.0.0.1:PORT/",
    "http://172.16.0.1:PORT/",
    "http://172.31.255.255:PORT/",
    "http://192.168.0.1:PORT/",
    "http://192.168.1:PORT/",
    "http://100.64.0.1:PORT/",
    "http://169.254.169.254/latest/meta-data/",
    "http://0xA9FEA9FE/",
    "http://168.63.129.16/",
    "http://224.0.0.1:PORT/",
    "http://255.255.255.255:PORT/",
    "http://[fc00::1]:PORT/",
    "http://[fe80::1]:PORT/",
    "http://[fe80::1%25lo]:PORT/",
    "http://[ff02::1]:PORT/",
    "http://localhost:22/",
    "http://localhost:25/",
    "http://localhost:5432/",
];

/// The one address that this switch may visit although it is inside.
const ALLOWED: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 1);

/// Counts who connects to these.
fn listen(addresses: &[SocketAddr]) -> Arc<AtomicUsize> {
    let connected = Arc::new(AtomicUsize::new(0));
    let listeners: Vec<TcpListener> =
        addresses.iter().filter_map(|address| TcpListener::bind(address).ok()).collect();
    assert!(!listeners.is_empty(), "IPv4 is there");
    for listener in listeners {
        let connected = Arc::clone(&connected);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                connected.fetch_add(1, Ordering::SeqCst);
                drop(stream);
            }
        });
    }
    connected
}

#[test]
fn f17_no_door_of_merchants_leads_inside() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = ports::one();
    let inside = listen(&[(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]);
    let allowed = listen(&[(ALLOWED, port).into()]);
    let settings = vec![
        format!("http.callback_allow={ALLOWED}/32"),
        format!("http.callback_ports={port}"),
        "http.address_rate=off".to_owned(),
        "http.merchant_rate=off".to_owned(),
    ];
    let company =
        company(USER, "").replace("cdr_url", "# cdr_url").replace("state_url", "# state_url");
    let wish = Wish { more: company, ..Wish::default() };
    let rings = Sipp::start(folder.path(), "carrier-b", &Behaviour::RingOnly, 1);
    let operator = country::operator(&wish, ports::one(), rings.port);
    let tandem = Tandem::start(folder.path(), &Setup { settings, operator });
    let scopes = ["calls:read", "calls:write", "webhooks:write", "webhooks:read"];
    let key = format!("Bearer {}", tandem.api_key(USER, &scopes));
    let headers = [("Authorization", key.as_str()), ("Content-Type", "application/json")];
    let rest = |method: &str, path: &str, body: &Value| {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        http(tandem.http, method, path, &headers, &text)
    };
    // A webhook that signs, one that is changed, and a call that rings while sounds are to be played into it.
    let good = format!("http://{ALLOWED}:{port}/");
    let never = json!({ "url": good, "events": ["leg.answered"] });
    let signs = made(rest("POST", "/v1/webhooks", &never));
    let hook = made(rest("POST", "/v1/webhooks", &never));
    let target = callback_target(USER, KEY, "f17-rings", B, A, &escaped(&good));
    let (_, answer) = http(tandem.http, "GET", &target, &[], "");
    assert!(answer.starts_with("result=success"), "{answer}");
    let live = tandem.admin("GET", "/admin/v1/calls");
    let ringing = live["items"][0]["call"].to_string().trim_matches('"').to_owned();
    assert!(INSIDE.len() >= 60);
    for (nth, url) in INSIDE.iter().enumerate() {
        let url = url.replace("PORT", &port.to_string());
        // A callback's result.
        let target = callback_target(USER, KEY, &format!("f17-{nth}"), A, B, &escaped(&url));
        let (_, answer) = http(tandem.http, "GET", &target, &[], "");
        // A name that nobody knows now is found out when it is to be visited.
        let unknown = url.contains("LOCALHOST.");
        assert!(unknown || answer.starts_with("result=fail"), "{url}: {answer}");
        // Events.
        let (status, answer) = rest("POST", "/v1/webhooks", &json!({ "url": url }));
        assert!(unknown || status == 422, "{url}: {status} {answer}");
        // A sound: refused at once, or when it is to be visited, before anybody is rung.
        let scenario =
            json!({ "start": "x", "steps": { "x": { "do": "play", "sounds": [{ "url": url }] } } });
        let (status, answer) =
            rest("POST", "/v1/calls", &json!({ "to": { "number": A }, "scenario": scenario }));
        assert!(matches!(status, 201 | 422), "{url}: {status} {answer}");
        let _ = play(tandem.http, &[("destnumber", A), ("voicetype", "2"), ("voicefile", &url)]);
        // The same webhook, changed.
        let path = format!("/v1/webhooks/{hook}");
        let (status, answer) = rest("PATCH", &path, &json!({ "url": url }));
        assert!(unknown || status == 422, "{url}: {status} {answer}");
        // A question.
        let step = json!({ "do": "webhook", "url": url, "webhook": signs });
        let scenario = json!({ "start": "x", "steps": { "x": step } });
        let (status, answer) =
            rest("POST", "/v1/calls", &json!({ "to": { "number": A }, "scenario": scenario }));
        assert!(unknown || status == 422, "{url}: {status} {answer}");
        if status == 201 {
            let call = made((status, answer));
            assert_eq!(rest("DELETE", &format!("/v1/calls/{call}"), &Value::Null).0, 202);
        }
        // A sound that is played into a call.
        let path = format!("/v1/calls/{ringing}/play");
        let (status, answer) = rest("POST", &path, &json!({ "sound": { "url": url }, "to": "a" }));
        assert!(unknown && status == 404 || status == 422, "{url}: {status} {answer}");
    }
    assert_eq!(rest("DELETE", &format!("/v1/calls/{ringing}"), &Value::Null).0, 202);
    wait::until("all calls to be over", || {
        let live = tandem.admin("GET", "/admin/v1/calls");
        live["items"].as_array().is_some_and(Vec::is_empty).then_some(())
    });
    // What was taken for want of an address was to be visited as well by now.
    wait::until("an attempt at each result", || {
        let rows = tandem.admin("GET", "/admin/v1/outbox?limit=1000");
        // An event that no webhook wants goes nowhere.
        let tried = |row: &Value| row["endpoint"] == "" || row["attempts"] != 0;
        rows["items"].as_array().is_some_and(|rows| rows.iter().all(tried)).then_some(())
    });
    assert_eq!(inside.load(Ordering::SeqCst), 0, "somebody was led inside");
    let (_, ended) = rest("GET", "/v1/calls?limit=500", &Value::Null);
    let ended: Value = serde_json::from_str(&ended).expect("JSON");
    for call in ended["items"].as_array().expect("a list") {
        let rang =
            call["legs"].as_array().expect("legs").iter().any(|leg| leg["answered"].is_string());
        assert!(call["outcome"] == "failed" && !rang, "{call}");
    }
    // The switch does visit what it may, and what listens here is not deaf.
    let url = format!("http://{ALLOWED}:{port}/x.wav");
    let _ = play(tandem.http, &[("destnumber", A), ("voicetype", "2"), ("voicefile", &url)]);
    wait::until("a visit", || (allowed.load(Ordering::SeqCst) > 0).then_some(()));
    std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
    wait::until("a connection", || (inside.load(Ordering::SeqCst) == 1).then_some(()));
    tandem.books_in_order();
}

/// The id of what was made.
fn made((status, answer): (u16, String)) -> String {
    assert_eq!(status, 201, "{answer}");
    let made: Value = serde_json::from_str(&answer).expect("JSON");
    made["id"].as_str().expect("an id").to_owned()
}

/// What a query would be cut short by.
fn escaped(url: &str) -> String {
    let must = |byte: u8| !byte.is_ascii_graphic() || b"&%#+ \\".contains(&byte);
    url.bytes()
        .map(|byte| if must(byte) { format!("%{byte:02X}") } else { char::from(byte).into() })
        .collect()
}
