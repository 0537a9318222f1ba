//! Menus of system 003: what pages are asked and what is shown of their answers (spec §5.2), and the door at which
//! merchants try them out.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod world;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use billing::desired::Desired;
use facts::ussd::{Act, ActRefused, Dialled, Door, End, Over, Screen, Shown, Step};
use facts::{CallId, MerchantId};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use world::client::client;
use world::{World, now};

/// What comes back, and whether the connection then stays open without another word.
type Page = fn(&str) -> (Vec<u8>, bool);

/// A merchant's server: first lines of what it was asked.
struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(page: Page) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let seen = Arc::clone(&seen);
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else { return };
                        head.push(byte);
                    }
                    let head = String::from_utf8(head).unwrap();
                    let line = head.lines().next().unwrap().to_owned();
                    seen.lock().unwrap().push(line.clone());
                    let (answer, stays) = page(&line);
                    let _ = stream.write_all(&answer).await;
                    if stays {
                        tokio::time::sleep(Duration::from_secs(60)).await;
                    }
                });
            }
        });
        Server { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn text(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}").into()
}

/// A merchant whose code leads to a page below this address.
async fn world(page: &str, star: bool) -> World {
    let world = World::new().await;
    let desired: Desired = serde_json::from_value(json!({ "ussd_codes": [
        { "code": "*6655*123#", "merchant": "test", "page": page, "leading_star": star,
          "price": "1", "page_seconds": 1 },
        { "code": "*6655*9#", "merchant": "open", "page": page },
    ]}))
    .unwrap();
    let changes = world.store.apply(&desired, now(), false).await.unwrap();
    assert!(changes.mistakes.is_empty(), "{:?}", changes.mistakes);
    world
}

async fn step(world: &World, inputs: &[&str]) -> Step {
    let merchant = world.store.merchant_by_name("test").await.unwrap().unwrap().id;
    Step {
        session: CallId(123),
        merchant,
        door: Door::Ims,
        code: Dialled::code("6655*123").unwrap(),
        mobile: "989123456789".into(),
        inputs: inputs.iter().map(|text| (*text).to_owned()).collect(),
        number: 1,
    }
}

async fn visit(world: &World, step: &Step) -> Screen {
    api::menus::visit(&world.state, step).await.screen
}

#[tokio::test]
async fn s5_2_a_page_is_asked_as_the_document_says_and_its_text_is_shown() {
    let server = Server::start(|line| match line.contains("*4711") {
        false => (text("لطفا کد ثبت نام خود را وارد نمایید"), false),
        true => (text("کد ثبت نام شما با موفقیت در سیستم ثبت شد[end]"), false),
    })
    .await;
    let address = server.address;
    let world = world(&format!("http://{address}/index.php"), true).await;
    let first = visit(&world, &step(&world, &[]).await).await;
    assert_eq!(first, Screen::Menu("لطفا کد ثبت نام خود را وارد نمایید".into()));
    let second = visit(&world, &step(&world, &["4711"]).await).await;
    assert_eq!(second, Screen::Last("کد ثبت نام شما با موفقیت در سیستم ثبت شد".into()));
    let query = "/index.php?mobile=09123456789&sessionid=123&call=*6655*123";
    assert_eq!(
        server.asked(),
        [format!("GET {query} HTTP/1.1"), format!("GET {query}*4711 HTTP/1.1")]
    );
    // The switch of the code, which is read anew when the settings change.
    let desired: Desired = serde_json::from_value(json!({ "ussd_codes": [
        { "code": "*6655*123#", "merchant": "test", "leading_star": false,
          "page": format!("http://{address}/index.php?shop=7") },
    ]}))
    .unwrap();
    world.store.apply(&desired, now(), false).await.unwrap();
    tokio::time::sleep(Duration::from_millis(550)).await;
    visit(&world, &step(&world, &["4711"]).await).await;
    let query = "/index.php?shop=7&mobile=09123456789&sessionid=123&call=6655*123*4711";
    assert_eq!(server.asked(), [format!("GET {query} HTTP/1.1")]);
    // Another's code, and one that is gone, lead nowhere.
    let own = step(&world, &[]).await;
    for strange in [
        Step { merchant: MerchantId(own.merchant.0 + 1), ..own.clone() },
        Step { code: Dialled::code("*6655*7#").unwrap(), ..own },
    ] {
        assert_eq!(visit(&world, &strange).await, Screen::Unavailable);
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn s5_2_what_cannot_be_shown_is_not_and_takes_no_longer_than_it_may() {
    let answers: [(&str, &str, Page); 11] = [
        ("status", "it answered 500", |_| {
            (b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nhi".to_vec(), false)
        }),
        ("created", "it answered 201", |_| {
            (b"HTTP/1.1 201 Made\r\nContent-Length: 2\r\n\r\nhi".to_vec(), false)
        }),
        ("empty", "answered nothing", |_| (text(" \r\n"), false)),
        ("only the mark", "answered nothing", |_| (text("[end]"), false)),
        ("huge", "more than is read", |_| (text(&"x".repeat(64 * 1024 + 1)), false)),
        ("binary", "no text", |_| (text("\u{1}PNG\0\0\0\u{2}IHDR"), false)),
        ("never", "in time", |_| (Vec::new(), true)),
        ("slow", "in time", |_| {
            (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nbegun".to_vec(), true)
        }),
        ("broken off", "", |_| {
            (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nbegun".to_vec(), false)
        }),
        ("no HTTP", "", |_| (b"hello\r\n\r\n".to_vec(), false)),
        ("inward", "barred", |_| {
            let to = "Location: http://169.254.169.254/latest/meta-data/";
            (format!("HTTP/1.1 302 Go\r\n{to}\r\nContent-Length: 0\r\n\r\n").into(), false)
        }),
    ];
    for (name, why, page) in answers {
        let server = Server::start(page).await;
        let world = world(&format!("http://{}/", server.address), true).await;
        let begun = Instant::now();
        let seen = api::menus::visit(&world.state, &step(&world, &[]).await).await;
        assert_eq!(seen.screen, Screen::Unavailable, "{name}");
        assert!(seen.note.as_ref().is_some_and(|note| note.contains(why)), "{name}: {seen:?}");
        assert!(begun.elapsed() < Duration::from_millis(1800), "{name}: {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn s0_3_a_page_may_have_moved_three_times_and_every_step_is_checked() {
    let server = Server::start(|line| {
        let to = |place: &str| {
            let head = format!("HTTP/1.1 302 Go\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n");
            (head.into_bytes(), false)
        };
        match line.split(['/', '?', ' ']).nth(2).unwrap() {
            "a" => to("/b"),
            "b" => to("c?x=1"),
            "c" => to("/d"),
            "round" => to("/round"),
            "d" => (text("<b>moved</b>"), false),
            other => panic!("{other}"),
        }
    })
    .await;
    let moved = world(&format!("http://{}/a", server.address), true).await;
    let seen = api::menus::visit(&moved.state, &step(&moved, &[]).await).await;
    assert_eq!(seen.screen, Screen::Menu("<b>moved</b>".into()), "markup is shown as text");
    assert!(seen.note.is_some_and(|note| note.contains("markup")));
    assert_eq!(server.asked().len(), 4);
    let round = world(&format!("http://{}/round", server.address), true).await;
    assert_eq!(visit(&round, &step(&round, &[]).await).await, Screen::Unavailable);
    assert_eq!(server.asked().len(), 4);
}

#[tokio::test]
async fn s5_1_operators_see_codes_and_hear_of_pages_that_would_not_be_visited() {
    let world = world("https://m.example/index.php", true).await;
    let (status, all) = world.admin("GET", "/ussd-codes", None).await;
    assert_eq!((status, all["items"].as_array().unwrap().len()), (StatusCode::OK, 2));
    let (_, own) = world.admin("GET", "/ussd-codes?merchant=test", None).await;
    let own = &own["items"][0];
    assert_eq!(
        (&own["code"], &own["page"], &own["price_micros"], &own["page_ms"], &own["language"]),
        (
            &json!("*6655*123#"),
            &json!("https://m.example/index.php"),
            &json!(1_000_000),
            &json!(1000),
            &json!("fa")
        )
    );
    let (status, one) = world.admin("GET", "/ussd-codes/*6655*9%23", None).await;
    assert_eq!((status, &one["code"]), (StatusCode::OK, &json!("*6655*9#")));
    let barred = json!({ "ussd_codes": [
        { "code": "1", "merchant": "test", "page": "http://10.0.0.1/menu" },
        { "code": "2", "merchant": "test", "page": "https://m.example/menu" },
        { "code": "97", "merchant": "test", "page": "https://m.example/menu" },
    ], "sms": { "url": "http://10.0.0.1/?to={to}&text={text}" }, "payment_gateways": [
        { "name": "card", "kind": "zarinpal", "account": "a", "url": "http://10.0.0.1/" },
    ]});
    let (status, told) = world.admin("POST", "/apply?dry_run=1", Some(barred)).await;
    assert_eq!(status, StatusCode::OK);
    let told = told["warnings"].as_array().unwrap().iter();
    let told: Vec<_> = told.map(|one| one["path"].as_str().unwrap()).collect();
    let paths = ["ussd_codes[0].page", "sms.url", "payment_gateways[0].url", "ussd_codes[2].code"];
    assert_eq!(told, paths);
}

#[tokio::test]
async fn s5_1_a_merchant_tries_his_menus_out_as_a_subscriber_would() {
    let world = world("https://m.example/", true).await;
    let own = client(&world, "test").await;
    let merchant = step(&world, &[]).await.merchant;
    let (session, path) = (CallId(0x1234_5678_9abc), "/ussd/sessions");
    let shown = Shown { session, text: "1-خرید".into(), more: true, note: None };
    *world.switch.screen.lock().unwrap() = Ok(shown);
    let dial = json!({ "dialled": "*6655*123#", "mobile": "+98 912 345 6789" });
    let opened = own.ask("POST", path, Some(dial.clone())).await;
    assert_eq!(opened.status, StatusCode::CREATED);
    let id = session.to_string();
    assert_eq!(opened.json(), json!({ "session": id, "text": "1-خرید", "more": true }));
    // What is odd is told beside it.
    let note = Some("it answered 500".to_owned());
    *world.switch.screen.lock().unwrap() =
        Ok(Shown { session, text: "".into(), more: false, note });
    let typed = own.ask("POST", &format!("{path}/{id}/input"), Some(json!({ "text": "1" }))).await;
    assert_eq!(typed.json()["note"], "it answered 500");
    assert_eq!((typed.status, typed.json()["session"].as_str()), (StatusCode::OK, Some(&*id)));
    let left = own.ask("DELETE", &format!("{path}/{id}"), None).await;
    assert_eq!((left.status, left.json()), (StatusCode::OK, json!({ "id": id, "done": "leave" })));
    let dialled = Dialled::code("6655*123").unwrap();
    let mobile = "989123456789".to_owned();
    let open = Act::Open { dialled, mobile, door: Door::Simulator, only: Some(merchant) };
    let acts = std::mem::take(&mut *world.switch.menus.lock().unwrap());
    let text = "1".to_owned();
    assert_eq!(
        acts,
        [open, Act::Type { session, text }, Act::Leave { session }].map(|act| (merchant, act))
    );
}

#[tokio::test]
async fn s5_1_what_cannot_be_tried_out_is_told_with_its_place_and_why() {
    let world = world("https://m.example/", true).await;
    let own = client(&world, "test").await;
    let path = "/ussd/sessions";
    let dial = json!({ "dialled": "*6655*123#", "mobile": "+98 912 345 6789" });
    let id = CallId(7).to_string();
    for (body, pointers) in [
        (json!({ "dialled": "6655", "mobile": "+989123456789" }), vec!["/dialled"]),
        (json!({ "dialled": "*1#", "mobile": "12" }), vec!["/mobile"]),
        (json!({ "dialled": "*1#" }), vec!["/mobile"]),
        (json!({ "dialled": "*1#", "mobile": "+989123456789", "door": "ims" }), vec!["/door"]),
    ] {
        assert_eq!(own.ask("POST", path, Some(body)).await.pointers(), pointers);
    }
    let long = json!({ "text": "x".repeat(183) });
    let long = own.ask("POST", &format!("{path}/{id}/input"), Some(long)).await;
    assert_eq!(long.pointers(), ["/text"]);
    assert!(world.switch.menus.lock().unwrap().is_empty());
    for (why, status, code) in [
        (ActRefused::NoCode, 422, "invalid"),
        (ActRefused::Busy, 503, "busy"),
        (ActRefused::Blocked, 403, "merchant_disabled"),
    ] {
        *world.switch.screen.lock().unwrap() = Err(why);
        let told = own.ask("POST", path, Some(dial.clone())).await;
        assert_eq!((told.status.as_u16(), told.problem().as_str()), (status, code));
    }
    // A session that is over, one that another process has, and one that nobody ever had.
    let here = CallId((1 << 41) | (7 << 12));
    let elsewhere = CallId((1 << 41) | (8 << 12));
    for session in [here, elsewhere] {
        let one = Step { session, door: Door::Simulator, ..step(&world, &[]).await };
        world.store.open_menu(one, now()).await.unwrap();
    }
    let left = Over { session: here, end: End::Left, steps: 1 };
    world.store.close_menu(left, None, now()).await.unwrap();
    for (why, of, status, code) in [
        (ActRefused::NotNow, here, 409, "menu_busy"),
        (ActRefused::NoSession, here, 404, "not_live"),
        (ActRefused::NoSession, elsewhere, 503, "busy"),
        (ActRefused::NoSession, CallId(elsewhere.0 + 1), 404, "not_found"),
    ] {
        *world.switch.screen.lock().unwrap() = Err(why);
        let typed = json!({ "text": "1" });
        let told = own.ask("POST", &format!("{path}/{of}/input"), Some(typed)).await;
        assert_eq!((told.status.as_u16(), told.problem().as_str()), (status, code), "{why:?}");
    }
    let strange = own.ask("DELETE", &format!("{path}/12"), None).await;
    assert_eq!(strange.problem(), "not_found");
}

#[tokio::test]
async fn s5_1_a_merchant_sees_sessions_of_all_doors_and_no_one_elses() {
    let world = world("https://m.example/", true).await;
    let own = client(&world, "test").await;
    let path = "/ussd/sessions";
    for (nth, door) in [(1, Door::Ims), (2, Door::Simulator)] {
        let id = CallId((1 << 40) | nth);
        let one = Step { session: id, door, ..step(&world, &[]).await };
        world.store.open_menu(one, now()).await.unwrap();
    }
    let over = Over { session: CallId((1 << 40) | 1), end: End::Said, steps: 2 };
    world.store.close_menu(over, None, now()).await.unwrap();
    let page = own.get(&format!("{path}?limit=1")).await.json();
    let item = &page["items"][0];
    assert_eq!(
        (&item["door"], &item["outcome"], &item["steps"], &item["price_micros"], &item["currency"]),
        (&json!("ims"), &json!("said"), &json!(2), &json!(1_000_000), &json!("CNY"))
    );
    assert_eq!((&item["code"], &item["mobile"]), (&json!("*6655*123#"), &json!("989123456789")));
    let next = page["next"].as_str().unwrap();
    let page = own.get(&format!("{path}?after={next}")).await.json();
    let item = &page["items"][0];
    assert_eq!((&item["door"], &item["outcome"]), (&json!("simulator"), &json!(null)));
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    let other = client(&world, "open").await;
    assert_eq!(other.get(path).await.json()["items"], json!([]));
}

#[tokio::test]
async fn s6_a_phone_in_the_browser_asks_nobody_but_this_switch() {
    let world = world("https://m.example/", true).await;
    let get = async |path: &str, language: &str| {
        let request = axum::http::Request::get(path).header("accept-language", language);
        let request = request.body(axum::body::Body::empty()).unwrap();
        let response = tower::ServiceExt::oneshot(world.merchants.clone(), request).await.unwrap();
        let headers = response.headers().clone();
        let (status, body) = world::read(response).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        (headers, String::from_utf8(body).unwrap())
    };
    for (wish, tag, direction, words) in [
        ("fa-IR", "fa", "rtl", "شمارهٔ مشترک"),
        ("en", "en", "ltr", "Subscriber's number"),
        ("zh-CN", "zh", "ltr", "用户号码"),
    ] {
        let (headers, page) = get("/ussd", wish).await;
        assert!(page.contains(&format!("<html lang=\"{tag}\" dir=\"{direction}\">")), "{page}");
        assert!(page.contains(words) && page.contains("width=device-width"), "{page}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"));
        assert_eq!(headers["content-language"], tag);
        for part in page.split(['"', ' ']).filter(|part| part.starts_with("/ussd/")) {
            let (_, text) = get(part, wish).await;
            let outside = ["http:", "https:", "//cdn", "localStorage", "cookie", "@import"];
            assert!(!outside.iter().any(|word| text.contains(word)), "{part}");
        }
    }
}
