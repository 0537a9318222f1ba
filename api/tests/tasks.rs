//! Tasks of system 002 (merchant API §4.9): made, told, dialled and ended, against a real store.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod world;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use billing::campaigns::{CampaignState, Owner};
use facts::scenario::{Next, Step};
use facts::station::Station;
use facts::{Dialect, Purpose, Refusal};
use serde_json::{Value, json};
use world::{ACCESSKEY, World};

/// Asks for a service of tasks with parameters in a form.
async fn ask(world: &World, service: &str, params: &[(&str, &str)]) -> Value {
    let escape = dialect::text::escape;
    let mut body = format!("service=App.Sip_{service}");
    for (name, value) in params {
        body.push_str(&format!("&{name}={}", escape(value)));
    }
    let (_, text) = world.send(Request::post("/").body(Body::from(body)).unwrap()).await;
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

async fn token(world: &World) -> String {
    let login = [("appid", "app1"), ("accesskey", ACCESSKEY)];
    let answer = ask(world, "Auth.Login", &login).await;
    answer["data"]["result"]["token"].as_str().unwrap().to_owned()
}

fn code(answer: &Value) -> i64 {
    answer["data"]["errors"]["code"].as_i64().unwrap_or_else(|| panic!("{answer}"))
}

const LIST: &str =
    r#"[{"phone":"13800138000","customuuid":"o1"},{"phone":"13800138001"},"13900139000"]"#;

async fn create(world: &World, token: &str, more: &[(&str, &str)]) -> Value {
    let mut params = vec![
        ("token", token),
        ("assigntype", "1"),
        ("assignagent", "80000"),
        ("telphone", LIST),
        ("taskname", "winter"),
    ];
    params.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
    params.extend(more);
    ask(world, "Yccall.TaskCreat", &params).await
}

fn id(answer: &Value) -> String {
    answer["data"]["result"]["taskid"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[tokio::test]
async fn s4_9_a_task_is_made_listed_told_paused_and_cancelled() {
    let world = World::new().await;
    let token = token(&world).await;
    let made = create(&world, &token, &[]).await;
    let id = id(&made);
    assert_eq!(made["data"]["desc"], "任务创建成功");
    assert!(id.len() == 20 && id.bytes().all(|digit| digit.is_ascii_digit()), "{id}");
    let info = async |page: &str| {
        let params = [
            ("token", token.as_str()),
            ("taskid", &id),
            ("itemsperpage", "2"),
            ("currentpage", page),
        ];
        ask(&world, "Yccall.TaskInfo", &params).await["data"]["result"].clone()
    };
    let told = info("1").await;
    assert_eq!((&told["taskname"], &told["status"]), (&json!("winter"), &json!(1026)));
    assert_eq!(
        (&told["total"], &told["uncalled"], &told["called"]),
        (&json!(3), &json!(3), &json!(0))
    );
    let first = json!({ "phone": "13800138000", "status": 1035, "answered": 0, "connected": 0, "reason": "",
        "userid": "", "memberid": "", "customuuid": "o1", "ext": "" });
    assert_eq!((told["phones"].as_array().unwrap().len(), &told["phones"][0]), (2, &first));
    assert_eq!(info("2").await["phones"][0]["phone"], "13900139000");
    let set = async |status: &str| {
        let params = [("token", token.as_str()), ("taskid", &id), ("taskstatus", status)];
        ask(&world, "Yccall.TaskSet", &params).await
    };
    for (turn, status) in [("2", 1027), ("1", 1026), ("3", 1028)] {
        assert_eq!(set(turn).await["data"]["status"], 0);
        assert_eq!(info("1").await["status"], status);
    }
    assert_eq!(code(&set("1").await), 1028, "what has ended stays so");
    let add = [("token", token.as_str()), ("taskid", &id), ("telphone", r#"["13700137000"]"#)];
    let added = ask(&world, "Yccall.TaskAdd", &add).await;
    assert_eq!(code(&added), 1028, "one that was cancelled takes no more numbers");
    assert_eq!((&info("1").await["status"], &info("1").await["total"]), (&json!(1028), &json!(3)));
    let list = ask(&world, "Yccall.TaskList", &[("token", &token)]).await["data"]["result"].clone();
    assert_eq!((&list["totalitems"], &list["tasks"][0]["taskid"]), (&json!(1), &json!(id)));
}

#[tokio::test]
async fn s4_9_bad_tasks_are_told_and_none_is_made() {
    let world = World::new().await;
    let token = token(&world).await;
    for (name, value, wanted) in [
        ("assignagent", "89999", 1012),
        ("assignagent", "81000", 1011),
        ("telphone", "[]", 1002),
        ("taskscale", "x", 1002),
        ("scheduledtime", "soon", 1002),
    ] {
        assert_eq!(code(&create(&world, &token, &[(name, value)]).await), wanted, "{name} {value}");
    }
    let group = [("assigntype", "3"), ("assignagent", "none")];
    assert_eq!(code(&create(&world, &token, &group).await), 1044);
    for service in ["TaskInfo", "TaskSet", "TaskAdd"] {
        let params = [
            ("token", token.as_str()),
            ("taskid", "1"),
            ("taskstatus", "1"),
            ("telphone", r#"["1"]"#),
        ];
        assert_eq!(code(&ask(&world, &format!("Yccall.{service}"), &params).await), 1024);
    }
    assert_eq!(create(&world, "0", &[]).await["ret"], 400);
    let list = ask(&world, "Yccall.TaskList", &[("token", &token)]).await;
    assert_eq!(list["data"]["result"]["totalitems"], 0);
}

/// Waits until a task stands so, for three seconds at most.
async fn until(world: &World, id: &str, stands: impl Fn(CampaignState, u64) -> bool) {
    for _ in 0..150 {
        let (campaign, tally) = world.store.campaign("1", id).await.unwrap().unwrap();
        if stands(campaign.state, tally.calling) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{:?}", world.store.campaign("1", id).await);
}

#[tokio::test]
async fn s4_9_a_task_rings_one_for_each_free_agent_and_leads_him_there() {
    let world = World::new().await;
    let token = token(&world).await;
    let id = id(&create(&world, &token, &[]).await);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let dialler = tokio::spawn(api::campaigns::run(world.state.clone(), stopped));
    until(&world, &id, |_, calling| calling == 1).await;
    // The agent is still free, and a customer is rung for him.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let placed = world.switch.placed.lock().unwrap().clone();
    assert_eq!(placed.len(), 1, "{placed:#?}");
    let call = &placed[0];
    assert_eq!(
        (call.dialect, call.purpose, call.app.as_str()),
        (Dialect::Sipcall, Purpose::Campaign, "1")
    );
    assert_eq!(call.a.as_sent, "13800138000");
    let led = [Step::Hunt { among: ["80000".to_owned()].into(), failed: Next::HangUp }];
    assert_eq!(call.scenario.as_ref().unwrap().steps(), led);
    let numbers = world.store.campaign_numbers(&id, 0, 9).await.unwrap();
    assert!(numbers[0].call.is_some() && numbers[1].call.is_none());
    stop.send(true).unwrap();
    dialler.await.unwrap();
}

#[tokio::test]
async fn case_69_without_money_a_task_pauses_and_loses_no_number() {
    let world = World::new().await;
    let token = token(&world).await;
    *world.switch.refuse.lock().unwrap() = Some(Refusal::NoBalance);
    let id = id(&create(&world, &token, &[]).await);
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let dialler = tokio::spawn(api::campaigns::run(world.state.clone(), stopped));
    until(&world, &id, |state, _| state == CampaignState::Paused).await;
    assert_eq!(world.store.campaign("1", &id).await.unwrap().unwrap().1.waiting, 3);
    // Nor does one that cannot be called keep the others from it.
    *world.switch.refuse.lock().unwrap() = Some(Refusal::NoRoute);
    let set = [("token", token.as_str()), ("taskid", &id), ("taskstatus", "1")];
    ask(&world, "Yccall.TaskSet", &set).await;
    until(&world, &id, |state, _| state == CampaignState::Ended).await;
    let numbers = world.store.campaign_numbers(&id, 0, 9).await.unwrap();
    assert!(numbers.iter().all(|number| number.why.as_deref() == Some("no_route")), "{numbers:?}");
    dialler.abort();
}

/// A list of so many numbers.
fn list(count: usize) -> String {
    Value::from((0..count).map(|n| format!("1380013{n:04}")).collect::<Vec<_>>()).to_string()
}

#[tokio::test]
async fn s4_9_twenty_numbers_in_a_row_that_lead_nowhere_pause_a_task() {
    let world = World::new().await;
    let token = token(&world).await;
    *world.switch.refuse.lock().unwrap() = Some(Refusal::NoRoute);
    let id = id(&create(&world, &token, &[("telphone", &list(30))]).await);
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let dialler = tokio::spawn(api::campaigns::run(world.state.clone(), stopped));
    until(&world, &id, |state, _| state == CampaignState::Paused).await;
    let tally = world.store.campaign("1", &id).await.unwrap().unwrap().1;
    assert_eq!((tally.refused, tally.waiting), (20, 10), "the rest is not thrown away");
    // Somebody has seen to the route.
    *world.switch.refuse.lock().unwrap() = None;
    let set = [("token", token.as_str()), ("taskid", &id), ("taskstatus", "1")];
    ask(&world, "Yccall.TaskSet", &set).await;
    until(&world, &id, |_, calling| calling == 1).await;
    dialler.abort();
}

#[tokio::test]
async fn s4_9_who_wants_no_calls_pauses_no_task_and_takes_no_look_for_himself() {
    let world = World::new().await;
    let token = token(&world).await;
    *world.switch.refuse.lock().unwrap() = Some(Refusal::Blocked);
    let id = id(&create(&world, &token, &[("telphone", &list(120))]).await);
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let began = std::time::Instant::now();
    let dialler = tokio::spawn(api::campaigns::run(world.state.clone(), stopped));
    until(&world, &id, |state, _| state != CampaignState::Running).await;
    // Fifty a look, and a fourth one in which it is seen to be over.
    assert!(began.elapsed() > Duration::from_millis(1_900), "{:?}", began.elapsed());
    let (campaign, tally) = world.store.campaign("1", &id).await.unwrap().unwrap();
    assert_eq!((campaign.state, tally.refused), (CampaignState::Ended, 120));
    dialler.abort();
}

#[tokio::test]
async fn s6_a_number_outside_its_hours_waits_and_keeps_nobody_else_waiting() {
    let world = World::new().await;
    let token = token(&world).await;
    *world.switch.refuse.lock().unwrap() = Some(Refusal::OutsideHours);
    let id = id(&create(&world, &token, &[]).await);
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let dialler = tokio::spawn(api::campaigns::run(world.state.clone(), stopped));
    let due = async || {
        let numbers = world.store.campaign_numbers(&id, 0, 9).await.unwrap();
        numbers.iter().filter(|number| number.not_before.is_some()).count()
    };
    for _ in 0..150 {
        if due().await == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(due().await, 3, "each was asked for, and put off");
    *world.switch.refuse.lock().unwrap() = None;
    let add = [("token", token.as_str()), ("taskid", &id), ("telphone", r#"["13700137000"]"#)];
    let added = ask(&world, "Yccall.TaskAdd", &add).await;
    assert_eq!(added["data"]["result"]["added"], 1);
    until(&world, &id, |_, calling| calling == 1).await;
    let placed = world.switch.placed.lock().unwrap().pop().unwrap();
    assert_eq!(placed.a.as_sent, "13700137000");
    let (campaign, tally) = world.store.campaign("1", &id).await.unwrap().unwrap();
    assert_eq!((campaign.state, tally.refused), (CampaignState::Running, 0));
    dialler.abort();
}

#[tokio::test]
async fn s4_9_no_task_calls_an_emergency_and_none_calls_a_number_twice() {
    let world = World::new().await;
    let token = token(&world).await;
    let list = r#"["110","13800138000","13800138000"]"#;
    let made = create(&world, &token, &[("telphone", list)]).await;
    assert_eq!(made["data"]["result"]["total"], 2, "{made}");
    let id = id(&made);
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let dialler = tokio::spawn(api::campaigns::run(world.state.clone(), stopped));
    until(&world, &id, |_, calling| calling == 1).await;
    assert_eq!(world.switch.placed.lock().unwrap().len(), 1);
    let numbers = world.store.campaign_numbers(&id, 0, 9).await.unwrap();
    assert_eq!(numbers[0].why.as_deref(), Some("invalid"), "no merchant's list rings 110");
    dialler.abort();
}

#[tokio::test]
async fn s4_9_a_task_of_yesterday_is_a_mistake() {
    let world = World::new().await;
    let token = token(&world).await;
    let ahead = |seconds: i64| {
        let at = facts::UnixMillis(world::now().0 + seconds * 1_000);
        dialect::clock::seconds(at)
    };
    let asked = async |scheduled: i64, paused: i64| {
        let (scheduled, paused) = (ahead(scheduled), ahead(paused));
        let times = [("scheduledtime", scheduled.as_str()), ("pausedtime", paused.as_str())];
        create(&world, &token, &times).await
    };
    for (scheduled, paused) in [(-86_400, 600), (600, -5), (600, 300)] {
        assert_eq!(code(&asked(scheduled, paused).await), 1002, "{scheduled} {paused}");
    }
    assert_eq!(asked(-30, 600).await["data"]["status"], 0, "clocks differ");
    assert_eq!(asked(300, 600).await["data"]["status"], 0);
}

#[tokio::test]
async fn s4_9_five_hundred_open_tasks_are_enough_for_a_merchant() {
    let world = World::new().await;
    let token = token(&world).await;
    let first = id(&create(&world, &token, &[("status", "0")]).await);
    let (campaign, _) = world.store.campaign("1", &first).await.unwrap().unwrap();
    for n in 1..500 {
        let campaign = billing::campaigns::Campaign { id: n.to_string(), ..campaign.clone() };
        world.store.create_campaign(campaign, Arc::default(), None).await.unwrap();
    }
    assert_eq!(code(&create(&world, &token, &[]).await), 1041);
    let set = [("token", token.as_str()), ("taskid", &first), ("taskstatus", "3")];
    ask(&world, "Yccall.TaskSet", &set).await;
    id(&create(&world, &token, &[]).await);
    assert_eq!(code(&create(&world, &token, &[]).await), 1041);
}

/// No phone of the agent is registered with this process.
fn away(extension: &str) -> Vec<Station> {
    vec![Station {
        extension: extension.into(),
        registered: false,
        calls: vec![],
        fades: false,
        quiet: false,
        rests: false,
        idle_since: None,
    }]
}

/// Two processes over one store: the one whose phones are the agents' dials, and the other takes over when they go there.
#[tokio::test]
async fn s4_9_a_task_is_dialled_where_its_agents_are() {
    let one = World::new().await;
    let two = one.beside();
    *one.switch.stations.lock().unwrap() = away("80000");
    let token = token(&one).await;
    let id = id(&create(&one, &token, &[]).await);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let run =
        |world: &World| tokio::spawn(api::campaigns::run(world.state.clone(), stopped.clone()));
    let first = run(&one);
    // It takes what nobody else wants, and has nobody to dial it for.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let second = run(&two);
    until(&two, &id, |_, calling| calling == 1).await;
    assert!(one.switch.placed.lock().unwrap().is_empty());
    let call = two.store.campaign_numbers(&id, 0, 1).await.unwrap()[0].call.unwrap();
    // The agent registers elsewhere while his customer is rung: nobody else rings one for him meanwhile.
    *two.switch.stations.lock().unwrap() = away("80000");
    one.switch.stations.lock().unwrap().clear();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(one.switch.placed.lock().unwrap().is_empty());
    two.complete(call).await;
    for _ in 0..250 {
        if !one.switch.placed.lock().unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(one.switch.placed.lock().unwrap().len(), 1);
    assert_eq!(two.switch.placed.lock().unwrap().len(), 1, "each customer was rung once");
    // Who ends in order keeps the others waiting for no lease.
    stop.send(true).unwrap();
    first.await.unwrap();
    second.await.unwrap();
    let me = billing::Once::fresh().unwrap();
    let open = one.store.open_campaigns(&me, world::now()).await.unwrap().open;
    assert_eq!((open[0].owner, open[0].elsewhere), (Owner::Nobody, 0));
}

/// Two campaigns for one agent, one of which is being left to another process while its customer is rung.
#[tokio::test]
async fn case_43_who_is_rung_for_a_task_that_is_being_left_has_his_agent() {
    let world = World::new().await;
    let token = token(&world).await;
    let first = id(&create(&world, &token, &[]).await);
    let mut dialler = api::campaigns::Dialler::new(Duration::from_secs(5)).unwrap();
    for _ in 0..2 {
        dialler.turn(&world.state).await.unwrap();
    }
    let placed = || world.switch.placed.lock().unwrap().len();
    assert_eq!(placed(), 1);
    let other = billing::Once::fresh().unwrap();
    let agents = vec![(first.clone(), 9)];
    let wishes = billing::campaigns::Wishes { agents, ..Default::default() };
    world.store.keep_campaigns(&other, wishes, world::now()).await.unwrap();
    let second = id(&create(&world, &token, &[]).await);
    for _ in 0..3 {
        dialler.turn(&world.state).await.unwrap();
    }
    assert_eq!(placed(), 1, "the agent is to come to whoever is rung already");
    let call = world.store.campaign_numbers(&first, 0, 1).await.unwrap()[0].call.unwrap();
    world.complete(call).await;
    for _ in 0..3 {
        dialler.turn(&world.state).await.unwrap();
    }
    assert_eq!(placed(), 2, "it is left, and he is free for the other one");
    assert_eq!(world.store.campaign("1", &second).await.unwrap().unwrap().1.calling, 1);
}
