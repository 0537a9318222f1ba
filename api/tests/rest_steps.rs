//! Steps that ask a merchant's server: what is asked, how it is signed, what its answers mean (merchant API §6, F17, F19).

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod world;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dialect::rest::webhook_signature;
use facts::scenario::{Next, Question, Scenario, Step, Told};
use facts::{CallId, Number};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use world::World;
use world::client::{Client, client, make};

/// What a merchant's server heard: head and body.
type Heard = Arc<Mutex<Vec<(String, Value)>>>;

/// A merchant's server that answers so, after so long.
async fn server(status: u16, answer: String, after: Duration) -> (String, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/step", listener.local_addr().unwrap());
    let heard = Heard::default();
    let inbox = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (mut text, mut chunk) = (String::new(), [0; 8192]);
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
            inbox.lock().unwrap().push((text, body));
            tokio::time::sleep(after).await;
            let head = format!(
                "HTTP/1.1 {status} x\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n",
                answer.len()
            );
            let _ = stream.write_all(format!("{head}{answer}").as_bytes()).await;
        }
    });
    (url, heard)
}

fn header<'t>(text: &'t str, name: &str) -> &'t str {
    let line = text.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
    line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim()).unwrap_or_default()
}

/// A webhook to sign with, and its secret.
async fn signer(client: &Client<'_>) -> (String, String) {
    let hook = json!({ "url": "http://127.0.0.1:9009/", "events": ["call.ended"] });
    let made = client.ask("POST", "/webhooks", Some(hook)).await.json();
    (made["id"].as_str().unwrap().to_owned(), made["secret"].as_str().unwrap().to_owned())
}

fn asking(url: &str, webhook: &str) -> Value {
    json!({
        "to": { "number": "80000" }, "reference": "order 7",
        "scenario": { "start": "ask", "language": "en", "steps": {
            "ask": { "do": "webhook", "url": url, "webhook": webhook, "timeout_s": 1,
                     "sound": { "prompt": "welcome" }, "fallback": "end" },
            "sales": { "do": "dial", "number": "80100" },
            "end": { "do": "hangup" },
        } },
    })
}

/// A call whose scenario asks this server, and the question as the engine puts it.
async fn question(world: &World, url: &str) -> (CallId, Question, Arc<Scenario>, String) {
    question_of(&client(world, "test").await, url).await
}

/// The same, placed with this key.
async fn question_of(client: &Client<'_>, url: &str) -> (CallId, Question, Arc<Scenario>, String) {
    let world = client.world;
    let (webhook, secret) = signer(client).await;
    let call = client.place(asking(url, &webhook)).await;
    let command = world.switch.placed.lock().unwrap().pop().unwrap();
    let scenario = command.scenario.unwrap();
    let Some(Step::Ask(ask)) = scenario.step(0) else { panic!("{scenario:?}") };
    let question = Question {
        call,
        merchant: command.merchant,
        turn: 1,
        context: Arc::clone(&ask.context),
        wait: ask.wait,
        keys: vec!["12".into(), "****".into()],
    };
    (call, question, Arc::clone(&scenario), secret)
}

async fn told(status: u16, answer: Value) -> Option<Told> {
    let world = World::new().await;
    let (url, _) = server(status, answer.to_string(), Duration::ZERO).await;
    let (_, question, _, _) = question(&world, &url).await;
    api::scenarios::consult(&world.state, question).await
}

#[tokio::test]
async fn f19_a_question_is_signed_names_its_call_and_bears_the_keys_so_far() {
    let world = World::new().await;
    let (url, heard) = server(200, json!({ "next": "sales" }).to_string(), Duration::ZERO).await;
    let (call, question, scenario, secret) = question(&world, &url).await;
    let told = api::scenarios::consult(&world.state, question).await;
    let Some(Told::Next(Next::Step(place))) = told else { panic!("{told:?}") };
    let Some(Step::Lead { to, .. }) = scenario.step(place) else { panic!() };
    assert_eq!(to, &Number::Internal("80100".into()));
    let (text, body) = heard.lock().unwrap()[0].clone();
    let id = format!("evt_{call}_step_1");
    assert_eq!(
        (&body["type"], &body["call"], &body["reference"], &body["data"]),
        (
            &json!("scenario.step"),
            &json!(call.to_string()),
            &json!("order 7"),
            &json!({ "step": "ask", "keys": ["12", "****"] })
        )
    );
    assert_eq!((header(&text, "webhook-id"), body["id"].as_str()), (id.as_str(), Some(&*id)));
    let at: i64 = header(&text, "webhook-timestamp").parse().unwrap();
    let sent = text.split_once("\r\n\r\n").unwrap().1;
    let signature = webhook_signature(&[secret], &id, at, sent.as_bytes());
    assert_eq!(header(&text, "webhook-signature"), signature);
}

#[tokio::test]
async fn f19_questions_and_tests_are_signed_with_secrets_that_are_good_alone() {
    let world = World::new().await;
    let (url, heard) = server(200, json!({ "next": "sales" }).to_string(), Duration::ZERO).await;
    let (_, question, _, old) = question(&world, &url).await;
    let client = client(&world, "test").await;
    let id = client.get("/webhooks").await.json()["items"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/webhooks/{id}");
    let change = client.ask("PATCH", &path, Some(json!({ "url": url }))).await;
    assert_eq!(change.status.as_u16(), 200);
    let rotated =
        client.ask("POST", &format!("{path}/secret"), Some(json!({ "overlap_s": 0 }))).await;
    let new = rotated.json()["secret"].as_str().unwrap().to_owned();
    assert!(api::scenarios::consult(&world.state, question).await.is_some());
    assert_eq!(client.ask("POST", &format!("{path}/test"), None).await.json()["delivered"], true);
    let heard = heard.lock().unwrap().clone();
    assert_eq!(heard.len(), 2);
    for (text, _) in heard {
        let at: i64 = header(&text, "webhook-timestamp").parse().unwrap();
        let sent = text.split_once("\r\n\r\n").unwrap().1;
        let of = |secret: &String| {
            let secret = std::slice::from_ref(secret);
            webhook_signature(secret, header(&text, "webhook-id"), at, sent.as_bytes())
        };
        assert_eq!(header(&text, "webhook-signature"), of(&new), "not {}", of(&old));
    }
}

#[tokio::test]
async fn an_answer_is_a_step_another_scenario_or_the_end_and_nothing_else() {
    assert_eq!(told(200, json!({ "hangup": true })).await, Some(Told::Next(Next::HangUp)));
    assert_eq!(told(200, json!({ "next": "end" })).await, Some(Told::Next(Next::HangUp)));
    let other = json!({ "scenario": { "start": "a", "steps": {
        "a": { "do": "play", "sounds": [{ "prompt": "welcome" }] } } } });
    let Some(Told::Scenario(scenario)) = told(201, other).await else { panic!() };
    assert_eq!(scenario.steps().len(), 1);
    for bad in [
        json!({}),
        json!([]),
        json!(["sales"]),
        json!("sales"),
        json!({ "next": "nowhere" }),
        json!({ "next": "sales", "hangup": true }),
        json!({ "next": "sales", "more": 1 }),
        json!({ "scenario": { "start": "a", "steps": { "a": { "do": "dance" } } } }),
        json!({ "scenario": { "start": "a", "steps": { "a": { "do": "dial", "number": "81000" } } } }),
        json!({ "scenario": { "start": "a", "steps": {
            "a": { "do": "play", "sounds": [{ "prompt": "nothing" }] } } } }),
    ] {
        assert_eq!(told(200, bad.clone()).await, None, "{bad}");
    }
    for status in [302, 400, 404, 500, 503] {
        assert_eq!(told(status, json!({ "next": "sales" })).await, None, "{status}");
    }
}

#[tokio::test]
async fn f17_no_call_waits_for_a_server_that_is_slow_away_or_not_to_be_visited() {
    let world = World::new().await;
    let slow = Duration::from_secs(5);
    let (url, _) = server(200, json!({ "next": "sales" }).to_string(), slow).await;
    let (_, asked, _, _) = question(&world, &url).await;
    let begun = Instant::now();
    assert_eq!(api::scenarios::consult(&world.state, asked.clone()).await, None);
    assert!((900..2500).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    // An address that leads elsewhere by now is looked at again when it is asked.
    let mut context: Value = serde_json::from_str(&asked.context).unwrap();
    for inner in ["http://10.0.0.1/", "http://169.254.169.254/", "file:///etc/passwd"] {
        context["url"] = json!(inner);
        let asked = Question { context: context.to_string().into(), ..asked.clone() };
        assert_eq!(api::scenarios::consult(&world.state, asked).await, None, "{inner}");
    }
    // What may not be asked, and what nobody signs, is told before anybody is rung.
    let client = client(&world, "test").await;
    let (webhook, _) = signer(&client).await;
    for (url, webhook, at) in [
        ("http://10.0.0.1/", webhook.as_str(), "url"),
        ("file:///etc/passwd", &webhook, "url"),
        (&url, "999", "webhook"),
        (&url, "mine", "webhook"),
    ] {
        let answer = client.ask("POST", "/calls", Some(asking(url, webhook))).await;
        assert_eq!(answer.pointers(), [format!("/scenario/steps/ask/{at}")]);
    }
    let mut wrong = asking(&url, &webhook);
    wrong["scenario"]["steps"]["ask"]["timeout_s"] = json!(11);
    let answer = client.ask("POST", "/calls", Some(wrong)).await;
    assert_eq!(answer.pointers(), ["/scenario/steps/ask/timeout_s"]);
    let other = self::client(&world, "open").await;
    let mut theirs = asking(&url, &webhook);
    theirs["to"] = json!({ "number": "13800138000" });
    theirs["scenario"]["steps"]["sales"]["number"] = json!("13900139000");
    let answer = other.ask("POST", "/calls", Some(theirs)).await;
    assert_eq!(answer.pointers(), ["/scenario/steps/ask/webhook"], "another's secrets");
}

#[tokio::test]
async fn a_step_leads_into_a_conference_that_need_not_be_there_yet() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let body = |step: Value| {
        json!({ "to": { "number": "80000" }, "scenario": { "start": "a", "steps": {
            "a": step, "b": { "do": "dial", "number": "80100" }, "end": { "do": "hangup" } } } })
    };
    let visit = json!({ "do": "conference", "conference": "516152", "next": "end", "failed": "b" });
    client.place(body(visit)).await;
    let scenario = world.switch.placed.lock().unwrap().pop().unwrap().scenario.unwrap();
    let (next, failed) = (Next::HangUp, Next::Step(1));
    let wanted = Step::Confer { conference: "516152".into(), next, failed };
    assert_eq!(scenario.step(0), Some(&wanted));
    for (step, at) in [
        (json!({ "do": "conference" }), "conference"),
        (json!({ "do": "conference", "conference": "weekly" }), "conference"),
        (json!({ "do": "conference", "conference": "5161520" }), "conference"),
        (json!({ "do": "conference", "conference": 516_152 }), "conference"),
        (json!({ "do": "conference", "conference": "516152", "next": "c" }), "next"),
        (json!({ "do": "conference", "conference": "516152", "failed": "c" }), "failed"),
        (json!({ "do": "conference", "conference": "516152", "fallback": "b" }), "fallback"),
    ] {
        let answer = client.ask("POST", "/calls", Some(body(step.clone()))).await;
        assert_eq!(answer.pointers(), [format!("/scenario/steps/a/{at}")], "{step}");
    }
}

#[tokio::test]
async fn f16_a_step_that_leads_into_a_conference_needs_the_scope_of_conferences() {
    let world = World::new().await;
    let visit = json!({ "start": "in", "steps": {
        "in": { "do": "conference", "conference": "516152" } } });
    let calls = ["calls:write", "webhooks:write"];
    let more = ["calls:write", "webhooks:write", "conferences:write"];
    for (scopes, may) in [(&calls[..], false), (&more[..], true)] {
        let (key, _) = make(&world, "test", json!({ "scopes": scopes })).await;
        let client = Client { world: &world, key };
        let body = json!({ "to": { "number": "80000" }, "scenario": visit });
        let answer = client.ask("POST", "/calls", Some(body)).await;
        let placed = world.switch.placed.lock().unwrap().pop().is_some();
        assert_eq!((answer.status.as_u16(), placed), (if may { 201 } else { 403 }, may));
        if !may {
            assert_eq!(answer.problem(), "scope_missing");
        }
        // Nor does a merchant's server lead there in its place; of what may be done its answer is carried out.
        let answer = json!({ "scenario": visit }).to_string();
        let (url, heard) = server(200, answer, Duration::ZERO).await;
        let (_, asked, _, _) = question_of(&client, &url).await;
        let told = api::scenarios::consult(&world.state, asked).await;
        assert_eq!(matches!(told, Some(Told::Scenario(_))), may, "{told:?}");
        assert_eq!(heard.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn what_a_step_records_is_compiled_and_bounded() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let body = |step: Value| {
        json!({ "to": { "number": "80000" }, "scenario": { "start": "a", "steps": {
            "a": step, "b": { "do": "dial", "number": "80100" } } } })
    };
    for (step, wanted) in [
        (
            json!({ "do": "record", "what": "on", "next": "b" }),
            Step::Tape { on: true, next: Next::Step(1) },
        ),
        (json!({ "do": "record", "what": "pause" }), Step::Tape { on: false, next: Next::HangUp }),
        (
            json!({ "do": "record", "what": "message", "max_s": 90, "next": "b" }),
            Step::Message { max: Duration::from_secs(90), next: Next::Step(1) },
        ),
    ] {
        client.place(body(step)).await;
        let scenario = world.switch.placed.lock().unwrap().pop().unwrap().scenario.unwrap();
        assert_eq!(scenario.step(0), Some(&wanted));
    }
    for (step, at) in [
        (json!({ "do": "record" }), "what"),
        (json!({ "do": "record", "what": "all" }), "what"),
        (json!({ "do": "record", "what": "message", "max_s": 0 }), "max_s"),
        (json!({ "do": "record", "what": "message", "max_s": 601 }), "max_s"),
        (json!({ "do": "record", "what": "on", "next": "c" }), "next"),
    ] {
        let answer = client.ask("POST", "/calls", Some(body(step.clone()))).await;
        assert_eq!(answer.pointers(), [format!("/scenario/steps/a/{at}")], "{step}");
    }
}
