//! System 000 through the router, against a real store: the seed's requests byte for byte, each code.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod world;

use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use dialect::callni::NotifyContext;
use facts::{Number, Refusal};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::ServiceExt as _;
use world::{KEY, World, callback, document, md5, now, signed};

const HOOK: &str = "http://127.0.0.1:9009/r.aspx";

/// What the seed's `WebClient` puts on the wire for a URL: no User-Agent, no Accept.
async fn raw(world: &World, target: &[u8]) -> String {
    let (address, _stop) = world.serve().await;
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let host = b" HTTP/1.1\r\nHost: www.callni.com\r\nConnection: close\r\n\r\n";
    stream.write_all(&[b"GET ", target, host].concat()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

fn body_of(answer: &str) -> &str {
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("cache-control: no-store\r\n"), "{answer}");
    answer.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test]
async fn the_seeds_callback_request_byte_for_byte_places_the_call() {
    let world = World::new().await;
    let target = b"/api/biz_callback?username=test&callbackid=634567890123456789&callback_num=80000&destination_num=13800138000&returnurl=http://127.0.0.1:9009/getcallbackdata.aspx&data=test&sign=44cb54e642dcb812b3a373b78fc12382";
    let answer = raw(&world, target).await;
    assert_eq!(body_of(&answer), "result=success&callbackid=634567890123456789");
    let placed = world.switch.placed.lock().unwrap().remove(0);
    assert_eq!(placed.a.number, Number::Internal("80000".into()));
    assert_eq!(placed.a.as_sent, "80000");
    assert_eq!(placed.b.as_ref().unwrap().number, Number::E164("8613800138000".into()));
    assert_eq!(placed.b.as_ref().unwrap().as_sent, "13800138000");
    assert_eq!(placed.custom, "test");
    assert!(placed.sub_account.is_some());
    assert_eq!(placed.pushes[0].endpoint, "http://127.0.0.1:9009/getcallbackdata.aspx");
    let context: NotifyContext = serde_json::from_str(&placed.pushes[0].context).unwrap();
    assert_eq!(context.callbackid, "634567890123456789");
    assert_eq!(context.data.as_deref(), Some("test"));
    assert!(!context.upper);
}

#[tokio::test]
async fn the_seeds_regist_request_with_a_raw_gbk_name_makes_a_user() {
    let world = World::new().await;
    let target = b"/api/biz_regist?username=test&realname=\xd5\xc5\xc8\xfd&email=z3@example.cn&sign=bd3357466af4e8dc152beb996b8e0385";
    let answer = raw(&world, target).await;
    let body = body_of(&answer);
    assert!(answer.contains("content-type: text/plain"), "{answer}");
    let fields: Vec<(&str, &str)> =
        body.split('&').filter_map(|field| field.split_once('=')).collect();
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["result", "account", "password", "number"], "{body}");
    let (account, password, number) = (fields[1].1, fields[2].1, fields[3].1);
    assert_eq!(account, number);
    assert_eq!(password.len(), 12);
    assert!(password.bytes().all(|b| b.is_ascii_alphanumeric()));
    let users = world.store.sub_accounts(None).await.unwrap();
    let user = users.iter().find(|user| user.name == account).unwrap();
    assert_eq!((user.realname.as_str(), user.email.as_str()), ("张三", "z3@example.cn"));
    assert!(world.store.extension(number).await.unwrap().unwrap().enabled);
    assert!(world.switch.settings_changed.load(Ordering::SeqCst));
    // The same person again is the same account.
    let again = world.get("/api/biz_regist?username=test&realname=%E5%BC%A0%E4%B8%89&email=z3@example.cn&sign=BD3357466AF4E8DC152BEB996B8E0385").await;
    assert_eq!(again, format!("{body}&duplicate=1"));
}

#[tokio::test]
async fn the_answer_in_json_and_xml() {
    let world = World::new().await;
    let sign = "sign=bd3357466af4e8dc152beb996b8e0385";
    let json = world.get(&format!("/api/biz_balance?username=test&format=json&{sign}")).await;
    assert_eq!(json, r#"{"result":"success","balance":"100.0000"}"#);
    let xml = world.get(&format!("/api/biz_balance?username=test&format=XML&{sign}")).await;
    assert!(
        xml.ends_with("<response><result>success</result><balance>100.0000</balance></response>")
    );
    let text = world.get(&format!("/api/biz_balance?username=test&{sign}")).await;
    assert_eq!(text, "result=success&balance=100.0000");
}

#[tokio::test]
async fn a_post_with_any_content_type_is_read() {
    let world = World::new().await;
    let target = callback("test", "p1", "80000", "13800138000", HOOK);
    let form = target.split_once('?').unwrap().1.to_owned();
    for content_type in
        ["application/json", "application/x-www-from-urlencoded", "multipart/form-data"]
    {
        let request = Request::post("/api/biz_callback")
            .header(header::CONTENT_TYPE, content_type)
            .body(Body::from(form.clone()))
            .unwrap();
        let (_, body) = world.send(request).await;
        assert!(body.starts_with("result=success&callbackid=p1"), "{body}");
    }
    assert_eq!(world.switch.placed.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn each_code_by_one_request() {
    let world = World::new().await;
    let ok = |id: &str| callback("test", id, "80000", "13800138000", HOOK);
    let code = async |path: String, wanted: &str| {
        let body = world.get(&path).await;
        assert!(
            body.starts_with(&format!("result=fail&code={wanted}")),
            "{wanted}: {body} for {path}"
        );
    };
    code(ok("e1").replace("&sign=", "&sing="), "1001&msg=param_missing&param=sign").await;
    code(ok("e1").replace("returnurl", "url"), "1001&msg=param_missing&param=returnurl").await;
    code(ok("e1").replace("13800138000", "13800138001"), "1002&msg=sign_error").await;
    code(callback("nobody", "e1", "80000", "13800138000", HOOK), "1003&msg=merchant_not_found")
        .await;
    code(callback("pending", "e1", "80000", "13800138000", HOOK), "1004&msg=merchant_disabled")
        .await;
    code(callback("frozen", "e1", "80000", "13800138000", HOOK), "1004").await;
    code(callback("fenced", "e1", "82000", "13800138000", HOOK), "1005&msg=ip_not_allowed").await;
    code(callback("poor", "e1", "81000", "13800138000", HOOK), "1006&msg=balance_not_enough").await;
    // Not a number; somebody else's; a public number the merchant may not ring first.
    for a in ["abc", "81000", "13900139000", "79999"] {
        code(callback("test", "e1", a, "13800138000", HOOK), "1007&msg=callback_num_invalid").await;
    }
    // Malformed, and a country that no tariff prices.
    for b in ["12x", "0044207946000", "+12345678901234567"] {
        code(callback("test", "e1", "80000", b, HOOK), "1008&msg=destination_num_invalid").await;
    }
    for returnurl in
        ["ftp://a/", "http://10.0.0.1/", "http://user@127.0.0.1/", "r.aspx", "http://127.0.0.1:22/"]
    {
        code(
            callback("test", "e1", "80000", "13800138000", returnurl),
            "1012&msg=returnurl_invalid",
        )
        .await;
    }
    code(callback("test", "e1", "80009", "13800138000", HOOK), "1013&msg=subaccount_disabled")
        .await;
    for bad in ["000", "+1", "0110", "+0123456789"] {
        code(callback("test", "e1", "80000", bad, HOOK), "1008&msg=destination_num_invalid").await;
        code(callback("test", "e1", bad, "13800138000", HOOK), "1007&msg=callback_num_invalid")
            .await;
    }
    code(signed("biz_query", "username=test&callbackid=nix"), "1014&msg=callbackid_not_found")
        .await;
    assert!(world.get(&ok("e1")).await.starts_with("result=success"));
    code(callback("test", "e1", "80000", "13900139000", HOOK), "1010&msg=callbackid_conflict")
        .await;
}

#[tokio::test]
async fn what_the_switch_refuses_has_its_code() {
    let world = World::new().await;
    for (refusal, code) in [
        (Refusal::UnknownMerchant, "1003"),
        (Refusal::Disabled, "1004"),
        (Refusal::NoBalance, "1006"),
        (Refusal::BadCaller, "1007"),
        (Refusal::NoRoute, "1008"),
        (Refusal::NoPrice, "1008"),
        (Refusal::SameNumber, "1008&msg=destination_num_invalid"),
        (Refusal::Blocked, "1009&msg=number_blocked"),
        (Refusal::OutsideHours, "1009&msg=number_blocked"),
        (Refusal::TooOften, "1009&msg=number_blocked"),
        (Refusal::KeyConflict, "1010"),
        (Refusal::TooManyCalls, "1011&msg=too_many_calls"),
        (Refusal::Busy, "1099&msg=system_error"),
        (Refusal::Internal, "1099&msg=system_error"),
    ] {
        *world.switch.refuse.lock().unwrap() = Some(refusal);
        let body = world.get(&callback("test", "r1", "80000", "13800138000", HOOK)).await;
        assert!(body.starts_with(&format!("result=fail&code={code}")), "{refusal:?}: {body}");
    }
    // A refused id was not used up.
    *world.switch.refuse.lock().unwrap() = None;
    let body = world.get(&callback("test", "r1", "80000", "13800138000", HOOK)).await;
    assert_eq!(body, "result=success&callbackid=r1");
}

#[tokio::test]
async fn a_switch_that_does_not_answer_is_a_system_error_in_time() {
    let world = World::new().await;
    world.switch.stuck.store(true, Ordering::SeqCst);
    let body = world.get(&callback("test", "s1", "80000", "13800138000", HOOK)).await;
    assert_eq!(body, "result=fail&code=1099&msg=system_error");
}

#[tokio::test]
async fn a_replayed_callbackid_places_one_call() {
    let world = World::new().await;
    let path =
        callback("test", "again", "80000", "138-0013 8000".replace(' ', "%20").as_str(), HOOK);
    // The signature covers the decoded value.
    let base = "username=test&callbackid=again&callback_num=80000&destination_num=138-0013 8000";
    let path = format!(
        "{}&sign={}",
        path.split("&sign=").next().unwrap(),
        md5(format!("{base}&key={KEY}"))
    );
    assert_eq!(world.get(&path).await, "result=success&callbackid=again");
    for _ in 0..3 {
        assert_eq!(world.get(&path).await, "result=success&callbackid=again&duplicate=1");
    }
    assert_eq!(world.switch.placed.lock().unwrap().len(), 1);
    assert_eq!(world.switch.placed.lock().unwrap()[0].b.as_ref().unwrap().as_sent, "138-0013 8000");
    // Replayed at the same instant, too.
    let racing = callback("test", "race", "80000", "13800138000", HOOK);
    let (one, two) = tokio::join!(world.get(&racing), world.get(&racing));
    let duplicates = [&one, &two].iter().filter(|body| body.ends_with("&duplicate=1")).count();
    assert_eq!(duplicates, 1, "{one} {two}");
}

#[tokio::test]
async fn a_merchant_who_may_rings_a_public_number_first_and_gets_its_own_hex_case() {
    let world = World::new().await;
    let body = world.get(&callback("open", "o1", "13900139000", "80000", HOOK)).await;
    assert_eq!(body, "result=success&callbackid=o1");
    let placed = world.switch.placed.lock().unwrap().remove(0);
    assert_eq!(placed.a.number, Number::E164("8613900139000".into()));
    assert_eq!(placed.b.as_ref().unwrap().number, Number::Internal("80000".into()));
    let context: NotifyContext = serde_json::from_str(&placed.pushes[0].context).unwrap();
    assert!(context.upper);
}

#[tokio::test]
async fn an_upper_case_signature_is_remembered() {
    let world = World::new().await;
    let path = callback("test", "U1", "80000", "13800138000", HOOK);
    let (start, sign) = path.split_once("&sign=").unwrap();
    let path = format!("{start}&sign={}", sign.to_ascii_uppercase());
    assert!(world.get(&path).await.starts_with("result=success"));
    let context = world.switch.placed.lock().unwrap()[0].pushes[0].context.clone();
    assert!(serde_json::from_str::<NotifyContext>(&context).unwrap().upper);
}

#[tokio::test]
async fn a_chinese_merchant_signs_in_either_encoding() {
    let world = World::new().await;
    for sign in ["8ec488a5400663ad06eaf70d330ced47", "68c604305807d9f062e72a02c5cf96cd"] {
        for name in ["%E6%B5%8B%E8%AF%95", "%B2%E2%CA%D4"] {
            let body = world.get(&format!("/api/biz_balance?username={name}&sign={sign}")).await;
            assert_eq!(body, "result=success&balance=100.0000");
        }
    }
}

#[tokio::test]
async fn query_and_hang_up_follow_a_call_to_its_end() {
    let world = World::new().await;
    world.get(&callback("test", "q1", "80000", "13800138000", HOOK)).await;
    let query = signed("biz_query", "username=test&callbackid=q1");
    assert_eq!(world.get(&query).await, "result=success&callbackid=q1&state=dialing_a");
    let hang_up = signed("biz_hangup", "username=test&callbackid=q1");
    assert_eq!(world.get(&hang_up).await, "result=success&callbackid=q1&state=ending");
    let entry = find(&world, "q1").await;
    world.complete(entry).await;
    assert_eq!(
        world.get(&query).await,
        "result=success&callbackid=q1&state=ended&callback_num=80000&callback_duration=60\
         &callback_fee=0.05&destination_num=13800138000&destination_duration=55\
         &destination_fee=0.15&callback_result=success"
    );
    assert_eq!(world.get(&hang_up).await, "result=success&callbackid=q1&state=ended");
    assert_eq!(
        world.get(&signed("biz_balance", "username=test")).await,
        "result=success&balance=99.8000"
    );
    // Another merchant's key does not open it.
    let foreign = signed("biz_query", "username=open&callbackid=q1");
    assert!(world.get(&foreign).await.contains("code=1014"));
}

async fn find(world: &World, id: &str) -> facts::CallId {
    let merchant = world.store.merchant_by_name("test").await.unwrap().unwrap();
    let dialect = facts::Dialect::Callni;
    world.store.call_by_key(merchant.id, dialect, id).await.unwrap().unwrap().call
}

#[tokio::test]
async fn a_parent_without_balance_blocks_its_sub_accounts() {
    let world = World::new().await;
    let body = world.get(&callback("poor", "b1", "81000", "13800138000", HOOK)).await;
    assert_eq!(body, "result=fail&code=1006&msg=balance_not_enough");
    assert!(world.switch.live_is_empty());
}

#[tokio::test]
async fn rates_per_address_and_per_merchant_are_1011() {
    let rate = api::Rate { per_second: 1, burst: 2 };
    let world = World::with(|config| api::ApiConfig { per_merchant: rate, ..config }).await;
    let balance = signed("biz_balance", "username=test");
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(world.get(&balance).await);
    }
    assert!(answers[1].starts_with("result=success"), "{answers:?}");
    assert_eq!(answers[2], "result=fail&code=1011&msg=too_many_calls");
    // Another merchant is not touched.
    assert!(world.get(&signed("biz_balance", "username=open")).await.starts_with("result=success"));
    let world = World::with(|config| api::ApiConfig { per_ip: rate, ..config }).await;
    for wanted in ["1003", "1003", "1011"] {
        let body = world.get("/api/biz_balance?username=nobody&sign=x").await;
        assert!(body.contains(&format!("code={wanted}")), "{body}");
    }
}

#[tokio::test]
async fn f18_a_body_over_the_limit_is_413_unread_or_cut_off() {
    let world = World::with(|config| api::ApiConfig { body_limit: 1000, ..config }).await;
    let announced = Request::post("/api/biz_callback")
        .header(header::CONTENT_LENGTH, "1001")
        .body(Body::empty())
        .unwrap();
    assert_eq!(world.send(announced).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let sent = Request::post("/api/biz_callback").body(Body::from(vec![b'a'; 1001])).unwrap();
    assert_eq!(world.send(sent).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let within = Request::post("/api/biz_callback").body(Body::from(vec![b'a'; 1000])).unwrap();
    assert_eq!(world.send(within).await.0, StatusCode::OK);
}

#[tokio::test]
async fn what_is_not_there_is_404_and_other_methods_405() {
    let world = World::new().await;
    for path in [
        "/",
        "/?a=1",
        "/index.php",
        "/api/yunhu",
        "/api",
        "/api/biz_nothing",
        "/api/biz_regist/",
        "/favicon.ico",
    ] {
        let (status, _) = world.send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
    let request = Request::delete("/api/biz_regist").body(Body::empty()).unwrap();
    assert_eq!(world.send(request).await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn answers_are_never_cached() {
    let world = World::new().await;
    let request = Request::get("/api/biz_regist").body(Body::empty()).unwrap();
    let response = world.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
}

#[tokio::test]
async fn rfc9110_9_2_1_a_head_rings_nobody() {
    let world = World::new().await;
    let target = callback("test", "h1", "80000", "13800138000", HOOK);
    let request = Request::head(target).body(Body::empty()).unwrap();
    assert_eq!(world.send(request).await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert!(world.switch.placed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn registrations_have_a_rate_of_their_own() {
    let world = World::new().await;
    let target = "/api/biz_regist?username=test&realname=x&email=x@example.cn&sign=bd3357466af4e8dc152beb996b8e0385";
    let mut answers = Vec::new();
    for _ in 0..25 {
        answers.push(world.get(target).await);
    }
    assert!(answers[..20].iter().all(|answer| answer.starts_with("result=success")), "{answers:?}");
    assert!(answers[24].contains("1011"), "{answers:?}");
}

#[tokio::test]
async fn a_merchant_without_a_key_has_no_valid_signature() {
    let world = World::new().await;
    let mut document = document();
    let keyless = json!({ "name": "keyless", "tariff": "standard" });
    document["merchants"].as_array_mut().unwrap().push(keyless);
    let desired = serde_json::from_value(document).unwrap();
    let changes = world.store.apply(&desired, now(), false).await.unwrap();
    assert!(changes.mistakes.is_empty(), "{:?}", changes.mistakes);
    let sign = md5("username=keyless&key=");
    let answer = world.get(&format!("/api/biz_balance?username=keyless&sign={sign}")).await;
    assert!(answer.contains("1002"), "{answer}");
}
