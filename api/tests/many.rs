//! Notices of system 002 to many (merchant API §4.4, `/api/yunhu`), and its page that says a code (§4.9), against a real store.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod world;

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use billing::campaigns::CampaignState;
use dialect::text::escape;
use facts::ports::MediaRoom;
use facts::scenario::Step;
use facts::sound::{Clip, Spoken};
use facts::{Dialect, Number, Purpose, PushKind, Refusal};
use serde_json::{Value, json};
use world::company::{code, form, token, wave};
use world::{ACCESSKEY, World, now};

async fn post(world: &World, path: &str, params: &[(&str, &str)]) -> Value {
    let pairs = params.iter().map(|(name, value)| format!("{name}={}", escape(value)));
    let body = pairs.collect::<Vec<_>>().join("&");
    let (_, text) = world.send(Request::post(path).body(Body::from(body)).unwrap()).await;
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A request to many with these changes: an empty value takes a parameter out.
async fn batch(world: &World, changes: &[(&str, &str)]) -> Value {
    let mut asked = vec![
        ("service", "App.Sip_Call.PlayVoice"),
        ("appid", "app1"),
        ("accesskey", ACCESSKEY),
        ("destnumber", "13800138000,138-0013-8001,13900139000"),
        ("voicetype", "1"),
        ("voicefile", "spring.wav"),
        ("customuuid", "c7"),
        ("chengshudu", "1"),
    ];
    for (name, value) in changes {
        asked.retain(|(known, _)| known != name);
        if !value.is_empty() {
            asked.push((name, value));
        }
    }
    post(world, "/api/yunhu", &asked).await
}

async fn with_sound(world: &World) {
    world.store.keep_sound("1", ("spring", "wav"), (wave(800), 100), now()).await.unwrap();
}

fn id(answer: &Value) -> String {
    answer["data"]["result"]["taskid"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// Waits until a task stands so, for three seconds at most.
async fn until(world: &World, id: &str, stands: impl Fn(CampaignState, u64) -> bool) {
    for _ in 0..150 {
        let (campaign, tally) = world.store.campaign("1", id).await.unwrap().unwrap();
        if stands(campaign.state, tally.calling + tally.done) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{:?}", world.store.campaign("1", id).await);
}

#[tokio::test]
async fn s4_4_a_notice_to_many_rings_each_once_as_fast_as_the_merchant_may() {
    let world = World::new().await;
    with_sound(&world).await;
    // The switch takes no more for now: all wait, and none is lost.
    *world.switch.refuse.lock().unwrap() = Some(Refusal::TooManyCalls);
    let answer = batch(&world, &[]).await;
    assert_eq!(answer["data"]["desc"], "播放命令发送成功", "{answer}");
    let id = id(&answer);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let dialler = tokio::spawn(api::campaigns::run(world.state.clone(), stopped));
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(world.store.campaign("1", &id).await.unwrap().unwrap().1.waiting, 3);
    *world.switch.refuse.lock().unwrap() = None;
    until(&world, &id, |_, called| called == 3).await;
    let placed = world.switch.placed.lock().unwrap().clone();
    let sent: Vec<&str> = placed.iter().map(|call| call.a.as_sent.as_str()).collect();
    assert_eq!(sent, ["13800138000", "13800138001", "13900139000"]);
    for call in &placed {
        assert_eq!((call.dialect, call.purpose), (Dialect::Sipcall, Purpose::Notice));
        assert!(call.custom.contains(r#""customuuid":"c7""#) && call.custom.contains(&id));
        assert!(call.scenario.as_ref().unwrap().addresses()[0].starts_with("library:1/"));
        let record = call.pushes.iter().find(|push| push.kind == PushKind::Record).unwrap();
        assert_eq!(record.endpoint, "http://127.0.0.1:9009/cdr");
        assert!(call.key.is_some(), "placed again after a crash it is the same call");
    }
    for call in facts::ports::Calls::live(&*world.switch).await.unwrap() {
        world.complete(call.call).await;
    }
    until(&world, &id, |state, _| state == CampaignState::Ended).await;
    stop.send(true).unwrap();
    dialler.await.unwrap();
    // A record each, told as those of other notices.
    let token = token(&world, "1").await;
    let day = Duration::from_secs(86_400);
    let (from, to) = (dialect::clock::seconds(now() - day), dialect::clock::seconds(now()));
    let when = [("token", token.as_str()), ("starttime", &from), ("endtime", &to)];
    let asked = [&when[..], &[("customuuid", "c7"), ("callmethod", "0")]].concat();
    let bills = form(&world, "App.Sip_Cdr.GetBill", &asked).await["data"]["result"].clone();
    assert_eq!((&bills["totalitems"], &bills["bills"][0]["callmethod"]), (&json!(3), &json!(6)));
    // How it went is told as of a task.
    let info = [("token", token.as_str()), ("taskid", id.as_str())];
    let info = form(&world, "App.Sip_Yccall.TaskInfo", &info).await["data"]["result"].clone();
    assert_eq!((&info["status"], &info["answered"]), (&json!(1028), &json!(3)), "{info}");
}

/// So many numbers with commas between.
fn list(count: usize) -> String {
    (0..count).map(|n| format!("1380013{n:04}")).collect::<Vec<_>>().join(",")
}

#[tokio::test]
async fn s6_a_list_under_a_customuuid_is_taken_once_where_the_company_wants_it() {
    let world = World::new().await;
    world.store.keep_sound("2", ("spring", "wav"), (wave(800), 100), now()).await.unwrap();
    let ask = async |changes: &[(&str, &str)]| {
        let own = [("appid", "app2"), ("destnumber", &list(20))];
        batch(&world, &[&own[..], changes].concat()).await
    };
    let first = ask(&[]).await;
    // Whoever heard no answer asks again.
    let again = ask(&[("waittime", "20")]).await;
    assert_eq!(again["data"]["result"], first["data"]["result"], "{again}");
    assert_eq!(first["data"]["result"]["total"], 20);
    for other in [
        ("destnumber", "13800138000"),
        ("nationcode", "in"),
        ("userid", "T@80100"),
        ("disnumber", "01053189990"),
        ("userkey", "1"),
        ("conntime", "30"),
        ("ext", "other"),
    ] {
        assert_eq!(code(&ask(&[other]).await).0, 1003, "{other:?}");
    }
    assert_ne!(id(&ask(&[("customuuid", "c8")]).await), id(&first));
    assert_ne!(id(&ask(&[("customuuid", "")]).await), id(&ask(&[("customuuid", "")]).await));
    assert_eq!(world.store.campaigns("2", 0, 9).await.unwrap().0, 4);
    // It was taken when its sound was there.
    assert!(world.store.drop_sound("2", "spring", now()).await.unwrap());
    assert_eq!(id(&ask(&[]).await), id(&first));
    assert_eq!(code(&ask(&[("customuuid", "c9")]).await).0, 1029);
    // Who did not ask for that gets what he asks for.
    with_sound(&world).await;
    assert_ne!(id(&batch(&world, &[]).await), id(&batch(&world, &[]).await));
}

#[tokio::test]
async fn s4_9_a_list_that_is_paused_rings_ten_more_at_most() {
    let world = World::new().await;
    with_sound(&world).await;
    *world.switch.slow.lock().unwrap() = Duration::from_millis(20);
    let id = id(&batch(&world, &[("destnumber", &list(50))]).await);
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let dialler = tokio::spawn(api::campaigns::run(world.state.clone(), stopped));
    until(&world, &id, |_, called| called >= 3).await;
    let pause = (CampaignState::Paused, now());
    world.store.set_campaign("1", &id, pause).await.unwrap();
    let paused = world.store.campaign("1", &id).await.unwrap().unwrap().1.calling;
    tokio::time::sleep(Duration::from_millis(900)).await;
    let rung = world.store.campaign("1", &id).await.unwrap().unwrap().1.calling;
    assert!(rung <= paused + 10, "{paused} when it was paused, then {rung}");
    dialler.abort();
}

#[tokio::test]
async fn s4_9_a_look_that_takes_long_is_cut_and_the_next_one_goes_on_behind_it() {
    let world = World::new().await;
    with_sound(&world).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(id(&batch(&world, &[("destnumber", &list(20))]).await));
    }
    *world.switch.slow.lock().unwrap() = Duration::from_millis(20);
    let mut dialler = api::campaigns::Dialler::new(Duration::from_millis(50)).unwrap();
    let placed = || world.switch.placed.lock().unwrap().len();
    dialler.turn(&world.state).await.unwrap();
    assert_eq!(placed(), 0, "it takes them first");
    dialler.turn(&world.state).await.unwrap();
    assert!(placed() <= 3, "{} in fifty milliseconds", placed());
    for _ in 0..20 {
        dialler.turn(&world.state).await.unwrap();
    }
    for id in &ids {
        let tally = world.store.campaign("1", id).await.unwrap().unwrap().1;
        assert!((1..20).contains(&tally.calling), "each has its turn: {tally:?}");
    }
}

#[tokio::test]
async fn case_69_notices_leave_a_fifth_of_the_media_ports_to_others() {
    let world = World::new().await;
    with_sound(&world).await;
    *world.switch.room.lock().unwrap() = MediaRoom { free: 30, all: 100 };
    let id = id(&batch(&world, &[("destnumber", &list(40))]).await);
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let dialler = tokio::spawn(api::campaigns::run(world.state.clone(), stopped));
    until(&world, &id, |_, called| called == 10).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(world.switch.placed.lock().unwrap().len(), 10, "the rest waits");
    world.switch.room.lock().unwrap().free = 100;
    until(&world, &id, |_, called| called == 40).await;
    dialler.abort();
}

#[tokio::test]
async fn s4_4_numbers_of_a_country_and_five_thousand_of_them() {
    let world = World::new().await;
    with_sound(&world).await;
    let list: Vec<String> = (0..5_000).map(|n| format!("98765{n:05}")).collect();
    let answer = batch(&world, &[("destnumber", &list.join(",")), ("nationcode", "in")]).await;
    assert_eq!(answer["data"]["status"], 0, "{answer}");
    let id = id(&answer);
    assert_eq!(world.store.campaign("1", &id).await.unwrap().unwrap().1.total, 5_000);
    // The price list has nothing for India: none can be called, and it pauses after some.
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let dialler = tokio::spawn(api::campaigns::run(world.state.clone(), stopped));
    until(&world, &id, |state, _| state == CampaignState::Paused).await;
    dialler.abort();
    let numbers = world.store.campaign_numbers(&id, 0, 1).await.unwrap();
    assert_eq!(numbers[0].why.as_deref(), Some("no_price"));
    assert_eq!(numbers[0].number.phone, "9876500000", "it comes back as it was sent");
}

#[tokio::test]
async fn s4_4_what_is_wrong_with_a_notice_to_many_is_told_and_nobody_is_rung() {
    let world = World::new().await;
    with_sound(&world).await;
    for (changes, wanted) in [
        (("destnumber", "13800138000,x"), 1002),
        (("destnumber", "13800138000,81000"), 1002),
        (("destnumber", ","), 1002),
        (("destnumber", "110"), 1002),
        (("voicefile", "gone"), 1029),
        (("userid", "1@nobody"), 1044),
        (("disnumber", "01053180009"), 1021),
    ] {
        assert_eq!(code(&batch(&world, &[changes]).await).0, wanted, "{changes:?}");
    }
    for (changes, ret) in [
        (("accesskey", "wrong"), 601),
        (("appid", "nobody"), 601),
        (("appid", "appover"), 602),
        (("appid", "appcdrs"), 603),
        (("appid", "appfenced"), 604),
        (("nationcode", "xx"), 400),
        (("voicetype", "7"), 400),
        // Without any key it is a request for one, which wants a token.
        (("appid", ""), 400),
    ] {
        assert_eq!(batch(&world, &[changes]).await["ret"], ret, "{changes:?}");
    }
    assert_eq!(world.store.campaigns("1", 0, 9).await.unwrap().0, 0);
    // Only there.
    let asked = [
        ("service", "App.Sip_Call.PlayVoice"),
        ("appid", "app1"),
        ("accesskey", ACCESSKEY),
        ("destnumber", "13800138000"),
        ("voicetype", "1"),
        ("voicefile", "spring"),
    ];
    assert_eq!(post(&world, "/", &asked).await["ret"], 400);
    // With a token it is a notice to one, there as well.
    let token = token(&world, "1").await;
    let one = batch(&world, &[("token", &token), ("destnumber", "13800138000")]).await;
    assert!(one["data"]["result"]["uuid"].is_string(), "{one}");
}

async fn say(world: &World, changes: &[(&str, &str)]) -> Value {
    let mut asked = vec![
        ("appid", "app1"),
        ("accesskey", ACCESSKEY),
        ("code", "0427"),
        ("phone", "13800138000"),
    ];
    for (name, value) in changes {
        asked.retain(|(known, _)| known != name);
        if !value.is_empty() {
            asked.push((name, value));
        }
    }
    post(world, "/api/voicecode", &asked).await
}

#[tokio::test]
async fn s4_9_a_code_is_said_by_a_page_of_its_own() {
    let world = World::new().await;
    let answer = say(&world, &[]).await;
    assert_eq!((&answer["code"], &answer["msg"]), (&json!(1), &json!("successful request")));
    let name = answer["data"]["customuuid"].as_str().unwrap();
    let placed = world.switch.placed.lock().unwrap().remove(0);
    assert_eq!((placed.purpose, placed.app.as_str()), (Purpose::Code, "1"));
    assert_eq!(placed.a.number, Number::E164("8613800138000".into()));
    assert!(placed.custom.contains(name) && !placed.custom.contains("0427"));
    assert_eq!(placed.pushes.len(), 1, "the record alone");
    assert!(!placed.pushes[0].context.contains("0427"));
    let scenario = placed.scenario.unwrap();
    let Step::Say(say_step) = &scenario.steps()[0] else { panic!("{scenario:?}") };
    let Clip::Say(words) = &say_step.clips[0] else { panic!("{say_step:?}") };
    assert_eq!((words.language.as_str(), say_step.times), ("zh", 2));
    assert_eq!(words.parts[1], Spoken::Spelled("0427".into()));
    assert_eq!(say(&world, &[("nationCode", "sp")]).await["code"], 1);
    let placed = world.switch.placed.lock().unwrap().remove(0);
    let scenario = placed.scenario.unwrap();
    let Step::Say(say_step) = &scenario.steps()[0] else { panic!("{scenario:?}") };
    assert!(matches!(&say_step.clips[0], Clip::Say(words) if words.language == "en"));
    for (changes, words) in [
        (("code", "12"), "非法请求：code.len应该大于或等于4, 但现在code.len = 2"),
        (("code", "12a4"), "数据验证错误：code"),
        (("phone", "x"), "数据验证错误：phone"),
        // No machine rings an emergency.
        (("phone", "110"), "数据验证错误：phone"),
        (("phone", ""), "非法请求：缺少必要参数phone"),
        (("accesskey", "wrong"), "appid未授权"),
        (("appid", "appcdrs"), "模块未授权"),
        (("nationCode", "xx"), "非法请求：参数nationCode应该为：/en/id/sp，但现在nationCode = xx"),
    ] {
        let answer = say(&world, &[changes]).await;
        assert_eq!(answer, json!({ "code": 0, "msg": words, "data": {} }), "{changes:?}");
    }
    *world.switch.refuse.lock().unwrap() = Some(Refusal::TooOften);
    assert_eq!(say(&world, &[]).await["code"], 0);
}
