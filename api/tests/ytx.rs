//! System 001 through the router, against a real store: each code by one request, the record queries.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod world;

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use dialect::clock;
use facts::scenario::Step;
use facts::sound::{Clip, Say, Spoken};
use facts::{CallId, Number, Purpose, PushKind, Refusal, UnixMillis};
use serde_json::{Value, json};
use world::ask::{Ask, ask};
use world::{APP, AUTH_TOKEN, SID, World, now};

const CALL: &str = "call/DailbackCall.wx";
const CDR: &str = "call/CallCdr.wx";
const CODE: &str = "call/CodeCallOut.wx";
const NOTICE: &str = "call/NoticeCall.wx";
const BALANCE: &str = "account/getBlance.wx";

fn dail() -> Value {
    json!({ "action": "callDailBack", "appid": APP, "src": "13810603954", "dst": "18810207016",
            "customParm": "123456" })
}

fn with(mut body: Value, name: &str, value: impl Into<Value>) -> Value {
    body[name] = value.into();
    body
}

async fn place(world: &World, body: &Value) -> (String, CallId) {
    let answer = ask(CALL, body).send(world).await;
    assert_eq!(answer["statusCode"], "0", "{answer}");
    let id = answer["requestId"].as_str().unwrap().to_owned();
    let call = dialect::ytx::call_of_request_id(&id).unwrap();
    (id, call)
}

#[tokio::test]
async fn a_two_way_call_is_placed_with_the_apps_numbers_and_pushes() {
    let world = World::new().await;
    let body = with(with(dail(), "credit", "360"), "dstclid", "01053180003");
    let body = with(with(body, "srctimeout", 30), "dsttimeout", "45");
    let (id, _) = place(&world, &body).await;
    assert_eq!(id.len(), 29);
    let placed = world.switch.placed.lock().unwrap().remove(0);
    assert_eq!(placed.app, APP);
    assert_eq!(placed.a.number, Number::E164("8613810603954".into()));
    assert_eq!(placed.a.shown, Some(Number::E164("861053180002".into())));
    assert_eq!(placed.b.as_ref().unwrap().shown, Some(Number::E164("861053180003".into())));
    assert_eq!(placed.a.ring, Duration::from_secs(30));
    assert_eq!(placed.b.as_ref().unwrap().ring, Duration::from_secs(45));
    assert_eq!(placed.max_talk, Some(Duration::from_secs(360)));
    assert_eq!(placed.custom, "123456");
    assert!(placed.record.is_wanted());
    let pushes: Vec<_> = placed.pushes.iter().map(|p| (p.kind, p.endpoint.as_str())).collect();
    assert_eq!(
        pushes,
        [
            (PushKind::State, "http://127.0.0.1:9009/cb?CallState"),
            (PushKind::Record, "http://127.0.0.1:9009/cb?Call"),
        ]
    );
}

#[tokio::test]
async fn an_own_extension_may_be_either_leg_and_a_foreign_one_not_the_first() {
    let world = World::new().await;
    place(&world, &with(dail(), "src", "80000")).await;
    place(&world, &with(dail(), "dst", "80000")).await;
    let placed = world.switch.placed.lock().unwrap().clone();
    assert_eq!(placed[0].a.number, Number::Internal("80000".into()));
    assert!(placed[0].sub_account.is_some());
    assert_eq!(placed[1].b.as_ref().unwrap().number, Number::Internal("80000".into()));
    assert_eq!(ask(CALL, &with(dail(), "src", "81000")).code(&world).await, "-1");
}

#[tokio::test]
async fn each_code_by_one_minimal_bad_request() {
    let world = World::new().await;
    let code = async |ask: Ask, wanted: &str| {
        let answer = ask.send(&world).await;
        assert_eq!(answer["statusCode"], wanted, "{answer} for {}", ask.body);
        assert_eq!(answer["requestId"], "");
        assert!(!answer["statusMsg"].as_str().unwrap().is_empty());
    };
    let good = || ask(CALL, &dail());
    // Who asks.
    code(Ask { header_sid: "other".into(), ..good() }, "-202").await;
    code(Ask::of("nobody", CALL, &dail()), "-200").await;
    code(Ask::of("sid-off", CALL, &dail()), "-201").await;
    code(Ask { stamp: "20160101000000".into(), ..good() }, "-202").await;
    code(Ask { stamp: "yesterday".into(), ..good() }, "-202").await;
    code(Ask { token: "wrong".into(), ..good() }, "-203").await;
    // What is asked.
    code(Ask { body: String::new(), ..good() }, "-4").await;
    code(Ask { body: "action=callDailBack".into(), ..good() }, "-4").await;
    code(Ask { method: "GET", body: String::new(), ..good() }, "-4").await;
    code(ask(CALL, &with(dail(), "action", "calldailback")), "-3").await;
    code(ask(CALL, &with(dail(), "dst", "")), "-2").await;
    code(ask(CALL, &with(dail(), "appid", Value::Null)), "-2").await;
    // The app.
    for app in ["nobody", "app-offline", "app-account-only", "app-fenced", "app-poor"] {
        code(ask(CALL, &with(dail(), "appid", app)), "-205").await;
    }
    // Values.
    code(ask(CALL, &with(dail(), "credit", "x")), "-101").await;
    code(ask(CALL, &with(dail(), "srctimeout", 5)), "-101").await;
    code(ask(CALL, &with(dail(), "srcclid", "01099999999")), "-101").await;
    code(ask(CALL, &with(dail(), "dst", "12ab")), "-102").await;
    code(ask(CALL, &with(dail(), "dst", "000")), "-102").await;
    code(ask(CALL, &with(dail(), "src", "+1234")), "-102").await;
    code(ask(CALL, &with(dail(), "srcclid", "xyz")), "-102").await;
    // A country that no tariff prices.
    code(ask(CALL, &with(dail(), "dst", "0044207946000")), "-1").await;
    // Money.
    code(Ask::of("sid-poor", CALL, &with(dail(), "appid", "app-poor")), "-204").await;
    assert!(world.switch.live_is_empty());
}

#[tokio::test]
async fn checks_come_in_the_systems_order() {
    let world = World::new().await;
    // Everything is wrong; one after another is put right.
    let worst = Ask {
        header_sid: "other".into(),
        token: "wrong".into(),
        stamp: "20160101000000".into(),
        body: "x".into(),
        ..Ask::of("nobody", CALL, &dail())
    };
    assert_eq!(worst.code(&world).await, "-202");
    let same = Ask { header_sid: "nobody".into(), ..worst };
    assert_eq!(same.code(&world).await, "-200");
    let inactive = Ask { sid: "sid-off".into(), header_sid: "sid-off".into(), ..same };
    assert_eq!(inactive.code(&world).await, "-201");
    let known = Ask { sid: SID.into(), header_sid: SID.into(), ..inactive };
    assert_eq!(known.code(&world).await, "-202");
    let timely = Ask { stamp: clock::compact(now()), ..known };
    assert_eq!(timely.code(&world).await, "-203");
    let signed = Ask { token: AUTH_TOKEN.into(), ..timely };
    assert_eq!(signed.code(&world).await, "-4");
    for (body, code) in [
        (json!({}), "-3"),
        (json!({ "action": "callDailBack" }), "-2"),
        (with(with(dail(), "appid", "nobody"), "dst", "x"), "-205"),
        (with(dail(), "dst", "x"), "-102"),
        (dail(), "0"),
    ] {
        assert_eq!(ask(CALL, &body).code(&world).await, code, "{body}");
    }
}

#[tokio::test]
async fn a_sign_one_second_off_is_accepted_and_two_are_not() {
    let world = World::new().await;
    for (off, code) in [(-2000, "-203"), (-1000, "0"), (1000, "0"), (2000, "-203")] {
        let at = now();
        let ask = Ask {
            stamp: clock::compact(at),
            sign_stamp: Some(clock::compact(UnixMillis(at.0 + off))),
            ..ask(CALL, &dail())
        };
        assert_eq!(ask.code(&world).await, code, "{off}");
    }
}

#[tokio::test]
async fn any_content_type_a_byte_order_mark_and_either_version_are_accepted() {
    let world = World::new().await;
    for content_type in [
        None,
        Some("application/json;charset=utf-8;"),
        Some("application/x-www-form-urlencoded; charset=UTF-8"),
        Some("application/x-www-from-urlencoded"),
        Some("text/plain"),
    ] {
        let good = Ask { content_type, version: "201612", ..ask(CALL, &dail()) };
        let bom = Ask { body: format!("\u{feff}{}", good.body), ..good };
        assert_eq!(bom.code(&world).await, "0", "{content_type:?}");
    }
}

#[tokio::test]
async fn unknown_paths_are_404() {
    let world = World::new().await;
    for path in [
        format!("/201512/sid/{SID}/call/Nothing.wx"),
        format!("/201412/sid/{SID}/{CALL}"),
        format!("/201512/sid/{SID}/call"),
    ] {
        let request = Request::post(&path).body(Body::empty()).unwrap();
        assert_eq!(world.send(request).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn what_the_switch_refuses_has_its_code() {
    let world = World::new().await;
    for (refusal, code) in [
        (Refusal::Disabled, "-201"),
        (Refusal::NoBalance, "-204"),
        (Refusal::NoRoute, "-1"),
        (Refusal::SameNumber, "-1"),
        (Refusal::Blocked, "-1"),
        (Refusal::OutsideHours, "-1"),
        (Refusal::TooOften, "-104"),
        (Refusal::TooManyCalls, "-104"),
        (Refusal::Busy, "-100"),
        (Refusal::Internal, "-100"),
    ] {
        *world.switch.refuse.lock().unwrap() = Some(refusal);
        assert_eq!(ask(CALL, &dail()).code(&world).await, code, "{refusal:?}");
    }
    *world.switch.refuse.lock().unwrap() = None;
    world.switch.stuck.store(true, Ordering::SeqCst);
    assert_eq!(ask(CALL, &dail()).code(&world).await, "-100");
}

#[tokio::test]
async fn too_frequent_is_104() {
    let rate = api::Rate { per_second: 1, burst: 1 };
    let world = World::with(|config| api::ApiConfig { per_merchant: rate, ..config }).await;
    assert_eq!(ask(CALL, &dail()).code(&world).await, "0");
    assert_eq!(ask(CALL, &dail()).code(&world).await, "-104");
    // What is malformed is told so all the same.
    assert_eq!(ask(CALL, &with(dail(), "dst", "x")).code(&world).await, "-102");
}

#[tokio::test]
async fn an_idempotency_key_places_one_call() {
    let world = World::new().await;
    let keyed = Ask { key: Some("order-7"), ..ask(CALL, &dail()) };
    let first = keyed.send(&world).await;
    assert_eq!(first["statusCode"], "0");
    assert_eq!(keyed.send(&world).await["requestId"], first["requestId"]);
    let other = Ask { key: Some("order-7"), ..ask(CALL, &with(dail(), "dst", "13900139000")) };
    assert_eq!(other.code(&world).await, "-101");
}

/// What was placed before is not judged again: the call may be over, and the hour or the list another one.
#[tokio::test]
async fn s2_4_a_repeat_is_known_for_one_whatever_refuses_it_now() {
    let world = World::new().await;
    let keyed = Ask { key: Some("order-7"), ..ask(CALL, &dail()) };
    let first = keyed.send(&world).await;
    world
        .complete(dialect::ytx::call_of_request_id(first["requestId"].as_str().unwrap()).unwrap())
        .await;
    for refusal in [Refusal::OutsideHours, Refusal::Blocked, Refusal::Disabled, Refusal::NoRoute] {
        *world.switch.refuse.lock().unwrap() = Some(refusal);
        let again = keyed.send(&world).await;
        assert_eq!(
            (&again["statusCode"], &again["requestId"]),
            (&first["statusCode"], &first["requestId"])
        );
        let other = Ask { key: Some("order-7"), ..ask(CALL, &with(dail(), "dst", "13900139000")) };
        assert_eq!(other.code(&world).await, "-101", "{refusal:?}: other numbers");
        let new = Ask { key: Some("order-8"), ..ask(CALL, &dail()) };
        assert_ne!(new.code(&world).await, "0", "{refusal:?}: never placed");
    }
    // It is to be sent again: what is under way may yet be taken back.
    for refusal in [Refusal::Busy, Refusal::Internal] {
        *world.switch.refuse.lock().unwrap() = Some(refusal);
        assert_ne!(keyed.code(&world).await, "0", "{refusal:?}");
    }
    assert_eq!(world.switch.placed.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_live_call_can_be_hung_up_by_its_app_only() {
    let world = World::new().await;
    let (id, call) = place(&world, &dail()).await;
    let hang_up = |app: &str| json!({ "action": "hangupCall", "appid": app, "requestId": id });
    assert_eq!(ask(CALL, &hang_up("app-two")).code(&world).await, "-101");
    let answer = ask(CALL, &hang_up(APP)).send(&world).await;
    assert_eq!(
        (answer["statusCode"].as_str(), answer["requestId"].as_str()),
        (Some("0"), Some(&*id))
    );
    world.complete(call).await;
    assert_eq!(ask(CALL, &hang_up(APP)).code(&world).await, "-101");
}

#[tokio::test]
async fn records_by_id_page_through_all_and_limit_0_is_exactly_one() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let (id, call) = place(&world, &dail()).await;
        world.complete(call).await;
        ids.push(id);
    }
    let query = async |last: &str, limit: Value| {
        let body = json!({ "action": "getCdrByResId", "appid": APP, "fid": "4", "lastresid": last,
                           "limit": limit });
        let answer = ask(CDR, &body).send(&world).await;
        assert!(answer.get("statusCode").is_none(), "{answer}");
        let rows = answer["cdr"].as_array().unwrap().clone();
        rows.iter().map(|row| row["requestid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(query("0", json!("2")).await, ids[..2]);
    assert_eq!(query(&ids[1], json!(10)).await, ids[2..]);
    assert_eq!(query(&ids[2], json!(10)).await, Vec::<String>::new());
    assert_eq!(query(&ids[1], json!(0)).await, [ids[1].clone()]);
    assert_eq!(query("2016010000000206", json!(0)).await, Vec::<String>::new());
    // An app sees its own records only.
    let body = json!({ "action": "getCdrByResId", "appid": "app-two", "fid": "4",
                       "lastresid": ids[1], "limit": 0 });
    assert_eq!(ask(CDR, &body).send(&world).await, json!({ "cdr": [] }));
    // Other functions left no records.
    let body = json!({ "action": "getCdrByResId", "appid": APP, "fid": 5, "lastresid": "0" });
    assert_eq!(ask(CDR, &body).send(&world).await, json!({ "cdr": [] }));
    let body = json!({ "action": "getCdrByResId", "appid": APP, "fid": 9, "lastresid": "0" });
    assert_eq!(ask(CDR, &body).code(&world).await, "-101");
}

#[tokio::test]
async fn records_of_an_hour_are_typed() {
    let world = World::new().await;
    let (id, call) = place(&world, &dail()).await;
    let record = world.complete(call).await;
    let stamp = clock::compact(record.facts.placed);
    let body = json!({ "action": "getCdrByTime", "appid": APP, "fid": "4", "pdate": stamp[..8],
                       "ptime": stamp[8..10] });
    let answer = ask(CDR, &body).send(&world).await;
    let row = &answer["cdr"][0];
    assert_eq!(row["requestid"], id);
    assert_eq!(
        (&row["fid"], &row["duration"], &row["oriamount"]),
        (&json!(4), &json!(60), &json!(0.3))
    );
    assert_eq!(row["tapesurl"], "NoTapes");
    assert_eq!(row["customParm"], "123456");
    assert_eq!(row["stateDesc"], "应答|正常");
    assert_eq!(row["callerstime"].as_str().unwrap().len(), 19);
    let bad = with(body, "ptime", "25");
    assert_eq!(ask(CDR, &bad).code(&world).await, "-101");
}

#[tokio::test]
async fn the_balance_in_the_systems_spelling() {
    let world = World::new().await;
    let body = json!({ "action": "queryBlance", "appid": APP });
    let asked = Ask { version: "201612", ..ask(BALANCE, &body) };
    assert_eq!(asked.send(&world).await, json!({ "AccountSID": SID, "Blance": 100.0 }));
    let (_, call) = place(&world, &dail()).await;
    assert_eq!(asked.send(&world).await["Blance"], 99.7, "both first intervals are held");
    world.complete(call).await;
    assert_eq!(asked.send(&world).await["Blance"], 99.7);
}

fn code_out() -> Value {
    json!({ "action": "callOutCode", "appid": APP, "dst": "13810603954", "code": "4aZ9" })
}

#[tokio::test]
async fn a_code_is_said_twice_in_the_language_of_the_app_and_kept_nowhere() {
    let world = World::new().await;
    let body = with(with(code_out(), "customParm", "order 1"), "dstclid", "01053180003");
    let answer = ask(CODE, &body).send(&world).await;
    assert_eq!((&answer["statusCode"], &answer["statusMsg"]), (&json!("0"), &json!("提交成功")));
    let id = answer["requestId"].as_str().unwrap();
    assert_eq!((id.len(), &id[25..27]), (29, "02"));
    let placed = world.switch.placed.lock().unwrap().remove(0);
    assert_eq!((placed.purpose, &placed.b), (Purpose::Code, &None));
    assert_eq!(placed.a.shown, Some(Number::E164("861053180003".into())));
    assert!(!placed.record.is_wanted(), "a code is never recorded");
    let pushes: Vec<_> = placed.pushes.iter().map(|p| (p.kind, p.endpoint.as_str())).collect();
    assert_eq!(pushes, [(PushKind::Record, "http://127.0.0.1:9009/cb?Call")]);
    let scenario = placed.scenario.unwrap();
    let [Step::Say(said)] = scenario.steps() else { unreachable!() };
    let parts = vec![Spoken::Prompt("code-is".into()), Spoken::Spelled("4aZ9".into())];
    assert_eq!(said.times, 2);
    assert_eq!(said.clips, [Clip::Say(Say { language: "zh".into(), parts })]);
    let call = dialect::ytx::call_of_request_id(id).unwrap();
    let entry = world.store.call(call).await.unwrap().unwrap();
    assert!(!serde_json::to_string(&entry.command).unwrap().contains("4aZ9"));
}

#[tokio::test]
async fn records_of_codes_are_apart_from_those_of_calls() {
    let world = World::new().await;
    let (two_way, call) = place(&world, &dail()).await;
    world.complete(call).await;
    let answer = ask(CODE, &with(code_out(), "time", 3)).send(&world).await;
    let code = answer["requestId"].as_str().unwrap().to_owned();
    world.complete(dialect::ytx::call_of_request_id(&code).unwrap()).await;
    let query = async |fid: u8, last: &str, limit: u8| {
        let body = json!({ "action": "getCdrByResId", "appid": APP, "fid": fid, "lastresid": last,
                           "limit": limit });
        ask(CDR, &body).send(&world).await["cdr"].as_array().unwrap().clone()
    };
    let codes = query(2, "0", 9).await;
    assert_eq!(codes.len(), 1);
    assert_eq!((&codes[0]["requestid"], &codes[0]["fid"]), (&json!(code), &json!(2)));
    assert_eq!(codes[0]["tel"], "13810603954");
    assert_eq!(codes[0]["stateDesc"], "正常");
    assert_eq!(codes[0]["duration"], 60);
    let calls = query(4, "0", 9).await;
    assert_eq!(calls.iter().map(|row| &row["requestid"]).collect::<Vec<_>>(), [&json!(two_way)]);
    assert_eq!(query(2, &code, 0).await.len(), 1);
    assert!(query(4, &code, 0).await.is_empty(), "it is no call of two");
    assert!(query(3, "0", 9).await.is_empty());
}

#[tokio::test]
async fn bad_codes_get_their_words_and_ring_nobody() {
    let world = World::new().await;
    let long = "1".repeat(20);
    for (field, value, words) in [
        ("code", json!("12-4"), "-101"),
        ("code", json!("验证码"), "-101"),
        ("code", json!(long), "-101"),
        ("code", json!(""), "-2"),
        ("dst", json!(""), "-2"),
        ("dst", json!("abc"), "-102"),
        // No machine rings an emergency.
        ("dst", json!("110"), "-102"),
        ("time", json!(0), "-101"),
        ("time", json!("4"), "-101"),
        ("dstclid", json!("01011112222"), "-101"),
        ("customParm", json!("x".repeat(129)), "-101"),
        ("action", json!("calloutcode"), "-3"),
        ("appid", json!("app-two"), "-205"),
        ("dst", json!("81000"), "-1"),
    ] {
        let code = ask(CODE, &with(code_out(), field, value.clone())).code(&world).await;
        assert_eq!(code, words, "{field} {value}");
    }
    assert!(world.switch.placed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_repeat_rings_nobody_again_and_keeps_nothing_of_its_code() {
    let world = World::new().await;
    let keyed =
        |code: &str| Ask { key: Some("otp-1"), ..ask(CODE, &with(code_out(), "code", code)) };
    let first = keyed("4711").send(&world).await;
    assert_eq!(keyed("4711").send(&world).await["requestId"], first["requestId"]);
    assert_eq!(keyed("4712").send(&world).await["requestId"], first["requestId"]);
    let placed = world.switch.placed.lock().unwrap().clone();
    assert_eq!(placed.len(), 1);
    assert_eq!(placed[0].key.as_ref().unwrap().fingerprint, "13810603954\n2");
}

fn notice() -> Value {
    json!({ "action": "templateNoticeCall", "appid": APP, "dst": "13810603954",
            "templateId": "1001", "datas": ["12.5"] })
}

#[tokio::test]
async fn s3_3_a_notice_is_its_template_with_values_said_so_often() {
    let world = World::new().await;
    let asked = with(with(notice(), "isdtmfcallback", "1"), "time", 3);
    let answer = ask(NOTICE, &asked).send(&world).await;
    assert_eq!(answer["statusCode"], "0", "{answer}");
    assert_eq!(&answer["requestId"].as_str().unwrap()[25..27], "03");
    assert!(answer.get("calls").is_none(), "one number, one answer");
    let placed = world.switch.placed.lock().unwrap().remove(0);
    assert_eq!((placed.purpose, &placed.b), (Purpose::Notice, &None));
    assert!(!placed.record.is_wanted());
    let scenario = placed.scenario.unwrap();
    let [Step::Say(said)] = scenario.steps() else { unreachable!() };
    let currency = facts::sound::SpokenCurrency::Cny;
    let parts = vec![Spoken::Prompt("welcome".into()), Spoken::Money { amount: 1_250, currency }];
    assert_eq!(said.clips, [Clip::Say(Say { language: "zh".into(), parts })]);
    assert_eq!((said.times, said.collect.unwrap().max), (3, 1));
    ask(NOTICE, &notice()).send(&world).await;
    let placed = world.switch.placed.lock().unwrap().remove(0);
    let scenario = placed.scenario.unwrap();
    let [Step::Say(said)] = scenario.steps() else { unreachable!() };
    assert!(!said.listens() && said.times == 2, "no key is taken where none is wanted");
}

#[tokio::test]
async fn s3_3_each_of_several_numbers_is_a_call_and_one_that_is_wrong_rings_nobody() {
    let world = World::new().await;
    let several = with(notice(), "dst", "13810603954|18810207016");
    let answer = ask(NOTICE, &several).send(&world).await;
    let calls = answer["calls"].as_array().unwrap();
    let rung: Vec<&str> = calls.iter().map(|call| call["dst"].as_str().unwrap()).collect();
    assert_eq!(rung, ["13810603954", "18810207016"]);
    assert_eq!(
        (&answer["statusCode"], &answer["requestId"]),
        (&json!("0"), &calls[0]["requestId"])
    );
    assert_ne!(calls[0]["requestId"], calls[1]["requestId"]);
    assert_eq!(world.switch.placed.lock().unwrap().len(), 2);
    // A repeat under a key rings nobody again.
    let keyed = Ask { key: Some("n-1"), ..ask(NOTICE, &several) };
    let first = keyed.send(&world).await;
    assert_eq!(keyed.send(&world).await["calls"], first["calls"]);
    world.switch.placed.lock().unwrap().clear();
    let long = "1".repeat(65);
    for (field, value, code) in [
        ("dst", json!("13810603954|abc"), "-102"),
        ("dst", json!("13810603954|110"), "-102"),
        ("dst", json!("13810603954|81000"), "-1"),
        ("templateId", json!("2002"), "-101"),
        ("templateId", json!(""), "-2"),
        ("datas", json!([]), "-101"),
        ("datas", json!(["1", "2"]), "-101"),
        ("datas", json!(["x"]), "-101"),
        ("datas", json!([long]), "-101"),
        ("time", json!(4), "-101"),
        ("speed", json!(0), "-101"),
        ("dstclid", json!("01011112222"), "-101"),
        ("appid", json!("app-two"), "-205"),
    ] {
        let answer = ask(NOTICE, &with(several.clone(), field, value.clone())).code(&world).await;
        assert_eq!(answer, code, "{field} {value}");
    }
    assert!(world.switch.placed.lock().unwrap().is_empty());
    // The switch takes none of them.
    *world.switch.refuse.lock().unwrap() = Some(Refusal::TooOften);
    assert_eq!(ask(NOTICE, &several).code(&world).await, "-104");
}
