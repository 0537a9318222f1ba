//! Campaigns at `/v1`: made, seen, dialled, paused, resumed and cancelled, against a real store.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod world;

use std::time::Duration;

use api::campaigns::Dialler;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use dialect::rest::Op;
use facts::ports::Calls as _;
use facts::scenario::{Next, Step};
use facts::{CallId, Dialect, Number, Purpose, Refusal};
use serde_json::{Value, json};
use world::client::{Answer, Client, client, make};
use world::{ACCESSKEY, World, now};

fn targets(numbers: &[&str]) -> Value {
    numbers.iter().map(|number| json!({ "number": number })).collect()
}

fn agents(more: &[(&str, Value)]) -> Value {
    let mut wanted = json!({
        "name": "winter", "agents": { "extensions": ["80000"] }, "reference": "spring sale",
        "numbers": [{ "number": "13800138000", "reference": "o1" }, { "number": "13800138001" }],
    });
    for (name, given) in more {
        wanted[*name] = given.clone();
    }
    wanted
}

async fn begin(client: &Client<'_>, body: Value) -> String {
    let answer = client.ask("POST", "/campaigns", Some(body)).await;
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, StatusCode::CREATED, "{text}");
    let made = answer.json();
    let id = made["id"].as_str().unwrap().to_owned();
    assert_eq!(made["url"], format!("/v1/campaigns/{id}"));
    assert_eq!(answer.headers["location"], *format!("/v1/campaigns/{id}"));
    id
}

async fn shown(client: &Client<'_>, id: &str) -> Value {
    client.get(&format!("/campaigns/{id}")).await.json()
}

/// Looks so often at all campaigns.
async fn look(world: &World, dialler: &mut Dialler, times: u32) {
    for _ in 0..times {
        dialler.turn(&world.state).await.unwrap();
    }
}

fn dialler() -> Dialler {
    Dialler::new(Duration::from_secs(5)).unwrap()
}

async fn live(world: &World) -> Vec<CallId> {
    world.switch.live().await.unwrap().into_iter().map(|live| live.call).collect()
}

/// Events of campaigns, in their order.
async fn told(client: &Client<'_>) -> Vec<Value> {
    let page = client.get("/events?after=0&limit=500").await.json();
    let of = |event: &&Value| event["type"].as_str().unwrap().starts_with("campaign.");
    page["items"].as_array().unwrap().iter().filter(of).cloned().collect()
}

#[tokio::test]
async fn a_campaign_is_made_listed_shown_paused_resumed_and_cancelled() {
    let world = World::new().await;
    let own = client(&world, "test").await;
    let made = own.ask("POST", "/campaigns", Some(agents(&[]))).await.json();
    assert_eq!(made["numbers"], 2);
    let id = made["id"].as_str().unwrap();
    assert!(id.len() == 18 && id.bytes().all(|digit| digit.is_ascii_digit()), "{id}");
    let one = shown(&own, id).await;
    assert_eq!((&one["state"], &one["name"]), (&json!("running"), &json!("winter")));
    assert_eq!((&one["reference"], &one["created"]), (&json!("spring sale"), &made["created"]));
    assert_eq!(one["agents"], json!({ "extensions": ["80000"] }));
    assert_eq!(
        (&one["calls_at_once"], &one["tries"], &one["now"]),
        (&json!(100), &json!(1), &Value::Null)
    );
    let counts = json!({ "total": 2, "waiting": 2, "calling": 0, "done": 0, "refused": 0, "answered": 0, "connected": 0 });
    assert_eq!(one["numbers"], counts);
    let pacing =
        json!({ "predictive": false, "lines_per_agent_permille": 1000, "abandoned_permille": 30 });
    assert_eq!(one["pacing"], pacing);
    for (turn, state) in [
        ("pause", "paused"),
        ("pause", "paused"),
        ("resume", "running"),
        ("resume", "running"),
        ("cancel", "cancelled"),
        ("cancel", "cancelled"),
    ] {
        let answer = own.ask("POST", &format!("/campaigns/{id}/{turn}"), None).await;
        assert_eq!(
            (answer.status, &answer.json()["state"]),
            (StatusCode::OK, &json!(state)),
            "{turn}"
        );
    }
    for turn in ["pause", "resume"] {
        let answer = own.ask("POST", &format!("/campaigns/{id}/{turn}"), None).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::CONFLICT, "campaign_ended")
        );
    }
    let more = json!({ "numbers": targets(&["13800138002"]) });
    let answer = own.ask("POST", &format!("/campaigns/{id}/numbers"), Some(more)).await;
    assert_eq!(answer.problem(), "campaign_ended");
    assert!(shown(&own, id).await["ended"].is_string());
    let events = told(&own).await;
    assert_eq!(events.len(), 1, "{events:?}");
    let event = &events[0];
    assert_eq!(
        (&event["type"], &event["campaign"], &event["call"]),
        (&json!("campaign.ended"), &json!(id), &Value::Null)
    );
    assert_eq!((&event["id"], &event["sequence"]), (&json!(format!("evt_{id}_1")), &json!(1)));
    let data = json!({ "name": "winter", "state": "cancelled", "reason": null, "numbers": counts });
    assert_eq!((&event["data"], &event["reference"]), (&data, &json!("spring sale")));
    // The newest first, page by page.
    let hold = [("hold", json!(true))];
    let (second, third) =
        (begin(&own, agents(&hold)).await, begin(&own, agents(&[("numbers", json!([]))])).await);
    let page = own.get("/campaigns?limit=2").await.json();
    let ids = |page: &Value| {
        let items = page["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|one| (one["id"].as_str().unwrap().to_owned(), one["state"].clone()))
            .collect::<Vec<_>>()
    };
    let mut newest = vec![(second, json!("waiting")), (third, json!("waiting"))];
    newest.sort_by(|a, b| b.0.cmp(&a.0));
    assert_eq!(ids(&page), newest, "what is held, and what has no numbers, waits");
    let next = page["next"].as_str().unwrap();
    let page = own.get(&format!("/campaigns?limit=2&after={next}")).await.json();
    assert_eq!(ids(&page), [(id.to_owned(), json!("cancelled"))]);
}

#[tokio::test]
async fn each_of_several_mistakes_is_told_and_nothing_is_begun() {
    let world = World::new().await;
    let own = client(&world, "test").await;
    let pointers = async |body: Value| own.ask("POST", "/campaigns", Some(body)).await.pointers();
    let numbers = targets(&["13800138000", "110", "nonsense", "81000"]);
    let bad = agents(&[
        ("numbers", numbers),
        ("caller_ids", json!(["01053180002", "01099999999"])),
        ("agents", json!({ "extensions": ["80000", "81000", "89999"] })),
        ("tries", json!(0)),
        ("hours", json!(["x"])),
    ]);
    let all = [
        "/tries",
        "/hours/0",
        "/agents/extensions/1",
        "/agents/extensions/2",
        "/caller_ids/1",
        "/numbers/1/number",
        "/numbers/2/number",
        "/numbers/3/number",
    ];
    assert_eq!(pointers(bad).await, all);
    assert_eq!(
        pointers(agents(&[("agents", json!({ "group": "81100" }))])).await,
        ["/agents/group"]
    );
    let sound = |sound: Value, keys: Value| json!({ "name": "x", "sound": sound, "keys": keys });
    assert_eq!(
        pointers(sound(json!({ "prompt": "welcome" }), json!({ "1": "81000" }))).await,
        ["/keys/1"]
    );
    assert_eq!(
        pointers(sound(json!({ "prompt": "a", "url": "http://b" }), json!({}))).await,
        ["/sound"]
    );
    assert_eq!(
        pointers(sound(json!({ "url": "http://10.0.0.1/a.wav" }), json!({}))).await,
        ["/sound"]
    );
    let scenario = json!({ "start": "a", "steps": { "a": { "do": "dial", "number": "81000" } } });
    assert_eq!(
        pointers(json!({ "name": "x", "scenario": scenario })).await,
        ["/scenario/steps/a/number"]
    );
    assert_eq!(pointers(json!({ "name": "x", "agents": { "group": "80100" }, "start_at": "2020-01-01T00:00:00Z" })).await, ["/start_at"]);
    let many: Value = (0..10_001).map(|n| json!({ "number": format!("1380013{n:05}") })).collect();
    let long = agents(&[("numbers", many)]);
    assert_eq!(
        own.ask("POST", "/campaigns", Some(long.clone())).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let length = long.to_string().len().to_string();
    let answer =
        own.ask_with("POST", "/campaigns", Some(long), &[("content-length", &length)]).await;
    assert_eq!(answer.pointers(), ["/numbers"], "what is announced is read");
    // A step that leads into a conference asks for its scope as well.
    let (key, _) = make(&world, "test", json!({ "scopes": ["campaigns:write"] })).await;
    let narrow = Client { world: &world, key };
    let scenario =
        json!({ "start": "a", "steps": { "a": { "do": "conference", "conference": "123456" } } });
    let answer =
        narrow.ask("POST", "/campaigns", Some(json!({ "name": "x", "scenario": scenario }))).await;
    assert_eq!(answer.problem(), "scope_missing");
    assert_eq!(own.get("/campaigns").await.json()["items"], json!([]));
    let many: Value = (0..10_000).map(|n| json!({ "number": format!("1380013{n:04}") })).collect();
    let long = agents(&[("numbers", many), ("hold", json!(true))]);
    let length = long.to_string().len().to_string();
    let length = [("content-length", length.as_str())];
    let answer = own.ask_with("POST", "/campaigns", Some(long), &length).await;
    assert_eq!((answer.status, &answer.json()["numbers"]), (StatusCode::CREATED, &json!(10_000)));
}

#[tokio::test]
async fn a_repeat_is_answered_as_the_first_request_was() {
    let world = World::new().await;
    let own = client(&world, "test").await;
    let key = [("idempotency-key", "order 7")];
    let first = own.ask_with("POST", "/campaigns", Some(agents(&[])), &key).await;
    assert_eq!(first.status, StatusCode::CREATED);
    let id = first.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/campaigns/{id}/numbers");
    let more = json!({ "numbers": targets(&["13800138002", "13800138000"]) });
    let adds = async |key: &str, body: &Value| {
        own.ask_with("POST", &path, Some(body.clone()), &[("idempotency-key", key)]).await
    };
    let added = adds("more", &more).await;
    assert_eq!(added.json(), json!({ "id": id, "added": 1 }), "one waits in it already");
    let same = |answer: &Answer, first: &Answer| {
        assert_eq!((answer.status, &answer.body), (first.status, &first.body));
        assert_eq!(answer.headers["idempotent-replayed"], "true");
    };
    same(&adds("more", &more).await, &added);
    // Whatever has become of it since.
    own.ask("POST", &format!("/campaigns/{id}/cancel"), None).await;
    same(&adds("more", &more).await, &added);
    same(&own.ask_with("POST", "/campaigns", Some(agents(&[])), &key).await, &first);
    let other = agents(&[("name", json!("other"))]);
    let answer = own.ask_with("POST", "/campaigns", Some(other), &key).await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (StatusCode::CONFLICT, "idempotency_key_reused")
    );
    assert_eq!(
        adds("more", &json!({ "numbers": targets(&["1"]) })).await.problem(),
        "idempotency_key_reused"
    );
    assert_eq!(shown(&own, &id).await["numbers"]["total"], 3);
    assert_eq!(own.get("/campaigns").await.json()["items"].as_array().unwrap().len(), 1);
}

/// Asks for a service of system 002.
async fn task(world: &World, service: &str, params: &[(&str, &str)]) -> Value {
    let escape = dialect::text::escape;
    let mut body = format!("service=App.Sip_{service}");
    for (name, value) in params {
        body.push_str(&format!("&{name}={}", escape(value)));
    }
    let (_, text) = world.send(Request::post("/").body(Body::from(body)).unwrap()).await;
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn nobody_sees_the_campaigns_of_another_merchant_or_of_another_surface() {
    let world = World::new().await;
    let (own, other) = (client(&world, "test").await, client(&world, "poor").await);
    let id = begin(&own, agents(&[])).await;
    let login = task(&world, "Auth.Login", &[("appid", "app1"), ("accesskey", ACCESSKEY)]).await;
    let token = login["data"]["result"]["token"].as_str().unwrap();
    let list = r#"["13800138000"]"#;
    let wanted =
        [("token", token), ("assigntype", "1"), ("assignagent", "80000"), ("telphone", list)];
    let made = task(&world, "Yccall.TaskCreat", &wanted).await;
    let theirs = made["data"]["result"]["taskid"].as_str().unwrap();
    let numbers = json!({ "numbers": targets(&["13800138009"]) });
    let missing = own.get("/campaigns/1").await;
    assert_eq!((missing.status, missing.problem().as_str()), (StatusCode::NOT_FOUND, "not_found"));
    for (asks, id) in [(&other, id.as_str()), (&own, theirs), (&own, "x")] {
        for op in Op::ALL.iter().filter(|op| op.path().contains("{campaign}")) {
            let body = op.takes_body().then(|| numbers.clone());
            let answer = asks.ask(op.method(), &op.path().replace("{campaign}", id), body).await;
            assert_eq!(
                (answer.status, &answer.body),
                (StatusCode::NOT_FOUND, &missing.body),
                "{op:?} {id}"
            );
        }
    }
    assert_eq!(other.get("/campaigns").await.json()["items"], json!([]));
    assert_eq!(own.get("/campaigns").await.json()["items"].as_array().unwrap().len(), 1);
    let tasks = task(&world, "Yccall.TaskList", &[("token", token)]).await;
    assert_eq!(tasks["data"]["result"]["totalitems"], 1);
    for (service, more) in [
        ("TaskInfo", ("itemsperpage", "1")),
        ("TaskSet", ("taskstatus", "3")),
        ("TaskAdd", ("telphone", list)),
    ] {
        let params = [("token", token), ("taskid", &id), more];
        let answer = task(&world, &format!("Yccall.{service}"), &params).await;
        assert_eq!(answer["data"]["errors"]["code"], 1024, "{answer}");
    }
    assert_eq!(shown(&own, &id).await["state"], "running");
}

#[tokio::test]
async fn a_customer_is_called_for_each_free_agent_and_his_call_is_told() {
    let world = World::new().await;
    let own = client(&world, "test").await;
    let more = [
        ("caller_ids", json!(["01053180002"])),
        ("ring_s", json!(20)),
        ("max_talk_s", json!(600)),
        ("record", json!("mono")),
    ];
    let id = begin(&own, agents(&more)).await;
    let mut dialler = dialler();
    look(&world, &mut dialler, 3).await;
    let placed = world.switch.placed.lock().unwrap().clone();
    assert_eq!(placed.len(), 1, "one for one agent");
    let call = &placed[0];
    assert_eq!(
        (call.dialect, call.purpose, call.app.as_str()),
        (Dialect::Rest, Purpose::Campaign, "1")
    );
    let led = [Step::Hunt { among: ["80000".to_owned()].into(), failed: Next::HangUp }];
    assert_eq!(call.scenario.as_ref().unwrap().steps(), led);
    let shown_number = call.a.shown.as_ref().map(Number::digits);
    assert_eq!((shown_number, call.a.ring), (Some("861053180002"), Duration::from_secs(20)));
    assert_eq!((call.max_talk, call.custom.as_str()), (Some(Duration::from_secs(600)), "o1"));
    let one = shown(&own, &id).await;
    let state = json!({ "agents_free": 1, "ringing": 1, "waiting": 0, "talking": 0, "may_start": 0, "open": true });
    assert_eq!((&one["now"], &one["numbers"]["calling"]), (&state, &json!(1)));
    // The call is one of the merchant's, and says what it is of.
    let call = live(&world).await[0];
    let open = own.get("/calls?status=open").await.json()["items"][0].clone();
    assert_eq!((&open["id"], &open["campaign"]), (&json!(call.to_string()), &json!(id)));
    assert_eq!((&open["purpose"], &open["reference"]), (&json!("campaign"), &json!("o1")));
    world.complete(call).await;
    look(&world, &mut dialler, 1).await;
    let over = own.get(&format!("/calls/{call}")).await.json();
    assert_eq!((&over["campaign"], &over["status"]), (&json!(id), &json!("ended")));
    let page = own.get(&format!("/campaigns/{id}/numbers?limit=1")).await.json();
    let wanted = json!({ "number": "13800138000", "reference": "o1", "state": "done", "reason": "abandoned", "answered": true,
        "connected": false, "tries": 1, "call": call.to_string(), "not_before": null });
    assert_eq!(page["items"], json!([wanted]));
    let next = page["next"].as_str().unwrap();
    let page = own.get(&format!("/campaigns/{id}/numbers?after={next}")).await.json();
    assert_eq!(
        (&page["items"][0]["state"], &page["items"][0]["number"]),
        (&json!("calling"), &json!("13800138001"))
    );
    world.complete(live(&world).await[0]).await;
    look(&world, &mut dialler, 1).await;
    let ended = shown(&own, &id).await;
    assert_eq!((&ended["state"], &ended["now"]), (&json!("ended"), &Value::Null));
    let all = own.get("/events?after=0").await.json()["items"].as_array().unwrap().clone();
    let words: Vec<_> =
        all.iter().map(|event| (event["type"].as_str().unwrap(), &event["campaign"])).collect();
    let wanted =
        [("call.ended", &json!(id)), ("call.ended", &json!(id)), ("campaign.ended", &json!(id))];
    assert_eq!(words, wanted);
    assert_eq!(all[2]["data"]["numbers"]["answered"], 2);
}

#[tokio::test]
async fn a_sound_with_keys_is_heard_within_its_hours_and_a_number_is_called_again() {
    let world = World::new().await;
    let own = client(&world, "test").await;
    let body = |hours: Value| {
        json!({ "name": "notice", "sound": { "prompt": "welcome" }, "keys": { "1": "80100", "2": "80000" }, "tries": 2, "retry_s": 10,
            "hours": hours, "time_zone": "Asia/Shanghai", "numbers": targets(&["13800138000"]) })
    };
    // A window of a minute that was over an hour ago, on the clock of Shanghai.
    let zone = facts::Zone::named("Asia/Shanghai").unwrap();
    let past = zone.local(now() - Duration::from_secs(7_200)).minute;
    let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let shut = format!("mon-sun {}-{}", clock(past), clock((past + 1) % 1_440));
    let shut = begin(&own, body(json!([shut]))).await;
    let id = begin(&own, body(json!(["mon-sun 00:00-24:00"]))).await;
    let mut dialler = dialler();
    look(&world, &mut dialler, 3).await;
    assert_eq!(shown(&own, &shut).await["now"]["open"], false);
    assert_eq!(shown(&own, &id).await["now"]["open"], true);
    let placed = world.switch.placed.lock().unwrap().clone();
    assert_eq!(placed.len(), 1, "the other one waits for its hours");
    assert_eq!(placed[0].campaign(), Some((id.as_str(), 0)));
    assert_eq!((placed[0].purpose, placed[0].custom.as_str()), (Purpose::Notice, ""));
    let steps = placed[0].scenario.as_ref().unwrap().steps().to_vec();
    let Step::Say(say) = &steps[0] else { panic!("{steps:?}") };
    assert_eq!(say.choices[0].keys, "1");
    assert!(
        steps.contains(&Step::Lead { to: Number::Internal("80100".into()), failed: Next::HangUp })
    );
    // Who does not answer is called once more, a little later.
    world.unanswered(live(&world).await[0]).await;
    look(&world, &mut dialler, 2).await;
    let number = own.get(&format!("/campaigns/{id}/numbers")).await.json()["items"][0].clone();
    assert_eq!(
        (&number["state"], &number["reason"], &number["tries"]),
        (&json!("waiting"), &json!("no_answer"), &json!(1))
    );
    assert!(number["not_before"].is_string(), "{number}");
    assert_eq!(world.switch.placed.lock().unwrap().len(), 1);
    // Nobody is where one of its keys leads any more: it pauses, and says why.
    let mut file = world::document();
    file["extensions"][0]["enabled"] = json!(false);
    let desired = serde_json::from_value(file).unwrap();
    let changes = world.store.apply(&desired, now(), false).await.unwrap();
    assert!(changes.mistakes.is_empty(), "{:?}", changes.mistakes);
    world.store.postpone(&id, 1, now()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    look(&world, &mut dialler, 2).await;
    let paused = shown(&own, &id).await;
    assert_eq!((&paused["state"], &paused["reason"]), (&json!("paused"), &json!("scenario")));
}

#[tokio::test]
async fn without_money_a_campaign_pauses_and_its_merchant_is_told_why() {
    let world = World::new().await;
    let own = client(&world, "test").await;
    *world.switch.refuse.lock().unwrap() = Some(Refusal::NoBalance);
    let id = begin(&own, agents(&[])).await;
    let mut dialler = dialler();
    look(&world, &mut dialler, 3).await;
    let paused = shown(&own, &id).await;
    assert_eq!((&paused["state"], &paused["reason"]), (&json!("paused"), &json!("no_balance")));
    assert_eq!(paused["numbers"]["waiting"], 2, "and loses no number");
    let events = told(&own).await;
    let event = &events[0];
    assert_eq!((events.len(), &event["type"]), (1, &json!("campaign.paused")));
    assert_eq!(
        (&event["data"]["state"], &event["data"]["reason"]),
        (&json!("paused"), &json!("no_balance"))
    );
    *world.switch.refuse.lock().unwrap() = None;
    let resumed = own.ask("POST", &format!("/campaigns/{id}/resume"), None).await.json();
    assert_eq!((&resumed["state"], &resumed["reason"]), (&json!("running"), &Value::Null));
    look(&world, &mut dialler, 2).await;
    assert_eq!(world.switch.placed.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn one_number_in_two_spellings_is_called_once_here_and_by_tasks() {
    let world = World::new().await;
    let own = client(&world, "test").await;
    let both = targets(&["13800138000", "+86 138 0013 8000", "(138) 0013-8000", "80000", " 80000"]);
    let made =
        own.ask("POST", "/campaigns", Some(agents(&[("numbers", both.clone())]))).await.json();
    assert_eq!(made["numbers"], 2, "{made}");
    let id = made["id"].as_str().unwrap();
    let path = format!("/campaigns/{id}/numbers");
    let added = own.ask("POST", &path, Some(json!({ "numbers": both }))).await.json();
    assert_eq!(added["added"], 0);
    let listed = own.get(&path).await.json();
    assert_eq!(listed["items"][0]["number"], "13800138000", "as it was written first");
    let login = task(&world, "Auth.Login", &[("appid", "app1"), ("accesskey", ACCESSKEY)]).await;
    let token = login["data"]["result"]["token"].as_str().unwrap();
    let list = r#"["13800138000","138-0013-8000"]"#;
    let wanted =
        [("token", token), ("assigntype", "1"), ("assignagent", "80000"), ("telphone", list)];
    let made = task(&world, "Yccall.TaskCreat", &wanted).await;
    assert_eq!(made["data"]["result"]["total"], 1, "{made}");
}

#[tokio::test]
async fn a_campaign_that_never_had_a_number_waits_for_some() {
    let world = World::new().await;
    let own = client(&world, "test").await;
    let id = begin(&own, agents(&[("numbers", json!([]))])).await;
    let resume = format!("/campaigns/{id}/resume");
    let mut dialler = dialler();
    let answer = own.ask("POST", &resume, None).await;
    assert_eq!((answer.status, &answer.json()["state"]), (StatusCode::OK, &json!("waiting")));
    look(&world, &mut dialler, 3).await;
    assert!(told(&own).await.is_empty());
    let more = json!({ "numbers": targets(&["13800138002"]) });
    let added = own.ask("POST", &format!("/campaigns/{id}/numbers"), Some(more)).await;
    assert_eq!((added.status, &added.json()["added"]), (StatusCode::OK, &json!(1)));
    assert_eq!(own.ask("POST", &resume, None).await.json()["state"], "running");
    look(&world, &mut dialler, 3).await;
    assert_eq!(world.switch.placed.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_a_merchant_may_not_show_any_more_is_shown_to_nobody() {
    let world = World::new().await;
    let (key, row) =
        make(&world, "test", json!({ "caller_ids": ["01053180003", "01053180004"] })).await;
    let lasting = client(&world, "test").await;
    let both = Client { world: &world, key };
    let body = |shown: Value, to: &str| {
        json!({ "name": "notice", "sound": { "prompt": "welcome" }, "caller_ids": shown, "hold": true,
            "numbers": targets(&[to, "13800138009"]), "calls_at_once": 2 })
    };
    let some = begin(&both, body(json!(["01053180003", "01053180004"]), "13800138001")).await;
    let none = begin(&both, body(json!(["01053180003"]), "13800138002")).await;
    // The one key ends, and another one may show one of its numbers.
    make(&world, "test", json!({ "caller_ids": ["01053180004"] })).await;
    let id = row["id"].as_str().unwrap();
    let (status, _) = world.admin("DELETE", &format!("/api-keys/{id}"), None).await;
    assert!(status.is_success(), "{status}");
    for id in [&some, &none] {
        lasting.ask("POST", &format!("/campaigns/{id}/resume"), None).await;
    }
    look(&world, &mut dialler(), 4).await;
    let placed = world.switch.placed.lock().unwrap().clone();
    let shown = placed.iter().map(|call| call.a.shown.as_ref().unwrap().digits().to_owned());
    assert_eq!(shown.collect::<Vec<_>>(), ["861053180004", "861053180004"]);
    let paused = self::shown(&lasting, &none).await;
    assert_eq!((&paused["state"], &paused["reason"]), (&json!("paused"), &json!("bad_caller")));
    assert_eq!(paused["numbers"]["waiting"], 2, "no number is spent");
}
