//! The outbox worker against real HTTP servers and a real store.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod world;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use api::push::{PushConfig, run};
use billing::rows::{OutboxRow, OutboxState};
use facts::CallId;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use world::{APP, KEY, World, callback, md5, now};

/// A merchant's receiver: answers each request with the next of its answers, the last one for ever.
#[derive(Clone)]
struct Receiver {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<(Instant, String)>>>,
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nsuccess";
const FAULT: &str = "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const EMPTY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
/// Says nothing until the sender gives up.
const SILENCE: &str = "";

impl Receiver {
    async fn start(answers: &'static [&'static str]) -> Receiver {
        Receiver::slow(Duration::ZERO, answers).await
    }

    /// One that takes so long over each answer.
    async fn slow(takes: Duration, answers: &'static [&'static str]) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver =
            Receiver { address: listener.local_addr().unwrap(), requests: Arc::default() };
        let this = receiver.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let this = this.clone();
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    let mut chunk = [0; 8192];
                    while !whole(&request) {
                        match stream.read(&mut chunk).await {
                            Ok(read @ 1..) => request.extend_from_slice(&chunk[..read]),
                            _ => return,
                        }
                    }
                    let turn = {
                        let mut requests = this.requests.lock().unwrap();
                        let text = String::from_utf8_lossy(&request).into_owned();
                        requests.push((Instant::now(), text));
                        requests.len() - 1
                    };
                    let answer = answers[turn.min(answers.len() - 1)];
                    tokio::time::sleep(takes).await;
                    if answer == SILENCE {
                        tokio::time::sleep(Duration::from_secs(60)).await;
                    }
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        receiver
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Requests without the headers that change between attempts.
    fn seen(&self) -> Vec<String> {
        self.requests.lock().unwrap().iter().map(|(_, text)| text.clone()).collect()
    }

    async fn wait(&self, count: usize) -> Vec<String> {
        for _ in 0..400 {
            if self.seen().len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(self.seen().len(), count, "{:?}", self.seen());
        self.seen()
    }
}

fn whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())
        .unwrap_or(0);
    body.len() >= length
}

fn body(request: &str) -> &str {
    request.split_once("\r\n\r\n").unwrap().1
}

struct Worker {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Worker {
    fn start(world: &World, change: impl FnOnce(PushConfig) -> PushConfig) -> Worker {
        let (stop, stopped) = watch::channel(false);
        let config = change(PushConfig {
            poll: Duration::from_millis(20),
            delays: Some(vec![
                Duration::ZERO,
                Duration::from_millis(150),
                Duration::from_millis(150),
            ]),
            ..PushConfig::default()
        });
        let task = tokio::spawn(run(
            world.store.clone(),
            world.guard.clone(),
            config,
            Arc::clone(&world.counters),
            Arc::clone(&world.wake),
            stopped,
        ));
        Worker { stop, task }
    }

    async fn stop(self) {
        self.stop.send(true).unwrap();
        self.task.await.unwrap();
    }
}

/// Places a call of system 000 whose result goes to `returnurl`.
async fn place(world: &World, id: &str, returnurl: &str) -> CallId {
    let body = world.get(&callback("test", id, "80000", "13800138000", returnurl)).await;
    assert_eq!(body, format!("result=success&callbackid={id}"));
    let merchant = world.store.merchant_by_name("test").await.unwrap().unwrap();
    let entry = world.store.call_by_key(merchant.id, facts::Dialect::Callni, id).await.unwrap();
    entry.unwrap().call
}

async fn rows(world: &World) -> Vec<OutboxRow> {
    world.store.outbox(None, None, 0, 1000).await.unwrap()
}

async fn wait_for(world: &World, state: OutboxState, count: usize) -> Vec<OutboxRow> {
    for _ in 0..400 {
        let rows = world.store.outbox(None, Some(state), 0, 1000).await.unwrap();
        if rows.len() >= count {
            return rows;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{:?}", rows(world).await);
}

#[tokio::test]
async fn the_result_of_a_call_reaches_the_merchant_signed() {
    let world = World::new().await;
    let merchant = Receiver::start(&[OK]).await;
    let call = place(&world, "634567890123456789", &merchant.url("/r.aspx?shop=7")).await;
    let worker = Worker::start(&world, |config| config);
    world.complete(call).await;
    let seen = merchant.wait(1).await;
    let base = "callbackid=634567890123456789&callback_num=80000&callback_duration=60&callback_fee=0.05\
                &destination_num=13800138000&destination_duration=55&destination_fee=0.15&callback_result=success";
    let sign = md5(format!("{base}&key={KEY}"));
    let line = format!("GET /r.aspx?shop=7&{base}&sign={sign}&data=test HTTP/1.1\r\n");
    assert!(seen[0].starts_with(&line), "{}", seen[0]);
    let done = wait_for(&world, OutboxState::Done, 1).await;
    let attempts = world.store.attempts(done[0].id).await.unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].status, Some(200));
    assert_eq!(attempts[0].answer, b"success");
    assert!(attempts[0].request.starts_with("GET http://127.0.0.1:"));
    worker.stop().await;
    assert_eq!(merchant.seen().len(), 1);
}

#[tokio::test]
async fn two_500s_then_a_success_are_three_sends_of_the_same_bytes() {
    let world = World::new().await;
    let merchant = Receiver::start(&[FAULT, FAULT, OK]).await;
    let call = place(&world, "r1", &merchant.url("/r")).await;
    world.unanswered(call).await;
    let worker = Worker::start(&world, |config| config);
    let seen = merchant.wait(3).await;
    let lines: Vec<&str> = seen.iter().map(|request| request.lines().next().unwrap()).collect();
    assert!(lines[0].contains("callback_result=caller_noanswer"), "{}", lines[0]);
    assert!(lines[0].contains("&callback_duration=0&callback_fee=0.00&"), "{}", lines[0]);
    assert!(lines.iter().all(|line| *line == lines[0]), "{lines:?}");
    let id = |request: &str| {
        request.lines().find(|line| line.starts_with("webhook-id: ")).unwrap().to_owned()
    };
    assert_eq!(id(&seen[0]), id(&seen[2]));
    let done = wait_for(&world, OutboxState::Done, 1).await;
    let attempts = world.store.attempts(done[0].id).await.unwrap();
    let codes: Vec<_> = attempts.iter().map(|attempt| attempt.status).collect();
    assert_eq!(codes, [Some(500), Some(500), Some(200)]);
    worker.stop().await;
}

#[tokio::test]
async fn three_500s_are_parked_without_a_fourth_send_and_can_be_sent_again() {
    let world = World::new().await;
    let merchant = Receiver::start(&[EMPTY, EMPTY, EMPTY, OK]).await;
    let call = place(&world, "p1", &merchant.url("/r")).await;
    world.complete(call).await;
    let worker = Worker::start(&world, |config| config);
    let parked = wait_for(&world, OutboxState::Parked, 1).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(merchant.seen().len(), 3);
    let (status, _) =
        world.admin("POST", &format!("/outbox/{}/redeliver", parked[0].id), None).await;
    assert_eq!(status, 200);
    let seen = merchant.wait(4).await;
    assert_eq!(seen[3].lines().next(), seen[0].lines().next());
    wait_for(&world, OutboxState::Done, 1).await;
    worker.stop().await;
}

/// Field case 63: what a server that was away did not take is had by its merchant's own query, and goes out again by one
/// request, as it was: nobody makes it anew.
#[tokio::test]
async fn case_63_records_that_nobody_took_are_had_by_a_query_and_go_out_again_as_they_were() {
    let world = World::new().await;
    // Three for each of three records.
    let away =
        Receiver::start(&[FAULT, FAULT, FAULT, FAULT, FAULT, FAULT, FAULT, FAULT, FAULT, OK]).await;
    let mut calls = Vec::new();
    for id in ["w1", "w2", "w3"] {
        let call = place(&world, id, &away.url(&format!("/{id}"))).await;
        world.complete(call).await;
        calls.push((id, call));
    }
    let worker = Worker::start(&world, |config| config);
    wait_for(&world, OutboxState::Parked, 3).await;
    for (id, _) in &calls {
        let sign = md5(format!("username=test&callbackid={id}&key={KEY}"));
        let query = format!("/api/biz_query?username=test&callbackid={id}&sign={sign}");
        let told = world.get(&query).await;
        assert!(told.contains("state=ended") && told.contains("callback_result=success"), "{told}");
    }
    let (_, again) = world.admin("POST", "/outbox/redeliver?merchant=test", None).await;
    assert_eq!(again["redelivered"], 3);
    let seen = away.wait(12).await;
    let first = |request: &String| request.lines().next().unwrap().to_owned();
    let sent = |part: &[String]| part.iter().map(first).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(sent(&seen[9..]), sent(&seen[..9]), "the same three, byte for byte");
    assert_eq!(sent(&seen[9..]).len(), 3);
    wait_for(&world, OutboxState::Done, 3).await;
    worker.stop().await;
}

async fn ytx_call(world: &World, merchant: &Receiver) -> CallId {
    // The app's callback address is the operator's; give it the receiver's.
    let app = json!({ "ytx_apps": [{ "appid": APP, "account": world::SID,
        "callers": ["01053180002"], "callback_url": merchant.url("/cb?") }] });
    let (status, changes) = world.admin("POST", "/apply", Some(app)).await;
    assert_eq!(status, 200, "{changes}");
    let stamp = dialect::clock::compact(now());
    let sign = md5(format!("{}{}{stamp}", world::SID, world::AUTH_TOKEN));
    let auth = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("{}|{stamp}", world::SID),
    );
    let body = json!({ "action": "callDailBack", "appid": APP, "src": "13810603954",
                       "dst": "18810207016", "customParm": "123456" });
    let path = format!("/201512/sid/{}/call/DailbackCall.wx?Sign={sign}", world::SID);
    let request = axum::http::Request::post(path).header("authorization", auth);
    let (_, answer) = world.send(request.body(body.to_string().into()).unwrap()).await;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["statusCode"], "0", "{answer}");
    dialect::ytx::call_of_request_id(answer["requestId"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_two_way_call_pushes_its_states_in_order_and_exactly_one_record() {
    let world = World::new().await;
    let merchant = Receiver::start(&[OK]).await;
    let call = ytx_call(&world, &merchant).await;
    let worker = Worker::start(&world, |config| config);
    world.report_states(call, "13810603954", "18810207016").await;
    let record = world.complete(call).await;
    let seen = merchant.wait(9).await;
    let states: Vec<(String, String)> = seen
        .iter()
        .filter(|request| request.starts_with("POST /cb?CallState HTTP/1.1\r\n"))
        .map(|request| {
            assert!(
                request.contains("content-type: application/json;charset=UTF-8\r\n"),
                "{request}"
            );
            let json: serde_json::Value = serde_json::from_str(body(request)).unwrap();
            let field = |name: &str| json[name].as_str().unwrap().to_owned();
            assert_eq!(field("stateDesc"), "");
            (field("dsc"), field("state"))
        })
        .collect();
    let (a, b) = ("13810603954", "18810207016");
    let wanted = [
        (a, "callout"),
        (a, "alerting"),
        (a, "answer"),
        (b, "callout"),
        (b, "alerting"),
        (b, "answer"),
        (a, "disconnect"),
        (b, "disconnect"),
    ];
    let wanted: Vec<_> = wanted.iter().map(|(n, s)| ((*n).to_owned(), (*s).to_owned())).collect();
    assert_eq!(states, wanted);
    let records: Vec<&String> =
        seen.iter().filter(|r| r.starts_with("POST /cb?Call HTTP/1.1\r\n")).collect();
    assert_eq!(records.len(), 1);
    let context = dialect::ytx::PushContext::default();
    assert_eq!(body(records[0]), dialect::ytx::cdr_push(&record, &context));
    worker.stop().await;
}

#[tokio::test]
async fn a_failed_state_holds_up_its_own_call_only() {
    let world = World::new().await;
    let merchant = Receiver::start(&[FAULT, OK]).await;
    let call = ytx_call(&world, &merchant).await;
    world.report_states(call, "13810603954", "18810207016").await;
    let worker = Worker::start(&world, |config| config);
    let seen = merchant.wait(9).await;
    let states: Vec<String> = seen
        .iter()
        .map(|request| {
            let json: serde_json::Value = serde_json::from_str(body(request)).unwrap();
            json["state"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(states[..3], ["callout", "callout", "alerting"], "{states:?}");
    assert_eq!(body(&seen[0]), body(&seen[1]));
    worker.stop().await;
}

#[tokio::test]
async fn case_70_f19_a_dead_receiver_delays_nobody_else_and_is_left_alone() {
    let world = World::new().await;
    let dead = Receiver::start(&[SILENCE]).await;
    let good = Receiver::start(&[OK]).await;
    // The dead merchant's rows are older and many.
    for n in 0..40 {
        let call = place(&world, &format!("d{n}"), &dead.url("/r")).await;
        world.complete(call).await;
    }
    let worker = Worker::start(&world, |config| PushConfig {
        at_once_per_endpoint: 2,
        circuit_after: 3,
        ..config
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let started = Instant::now();
    for n in 0..10 {
        let call = place(&world, &format!("g{n}"), &good.url("/r")).await;
        world.complete(call).await;
    }
    good.wait(10).await;
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    // Sends give up after two seconds; after three silences the endpoint is left alone for a while.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let tried = dead.seen().len();
    assert!(tried <= 6, "{tried}");
    assert!(world.counters.text().contains("tandem_push_circuit_opened_total 1"));
    worker.stop().await;
}

/// A server that takes its time: what it says after 30 s nobody waits for. The same goes out again, and no other merchant
/// waits meanwhile.
#[tokio::test]
async fn f19_an_answer_after_30_s_is_too_late_and_the_same_is_sent_again() {
    let world = World::new().await;
    let slow = Receiver::slow(Duration::from_secs(30), &[OK]).await;
    let good = Receiver::start(&[OK]).await;
    let call = place(&world, "s1", &slow.url("/r")).await;
    world.complete(call).await;
    let worker = Worker::start(&world, |config| config);
    slow.wait(1).await;
    let call = place(&world, "g1", &good.url("/r")).await;
    let asked = Instant::now();
    world.complete(call).await;
    good.wait(1).await;
    assert!(asked.elapsed() < Duration::from_millis(500), "{:?}", asked.elapsed());
    let seen = slow.wait(2).await;
    assert_eq!(seen[0].lines().next(), seen[1].lines().next());
    // This world's sends give up after two seconds.
    let attempts = world.store.attempts(rows(&world).await[0].id).await.unwrap();
    assert_eq!((attempts.len(), attempts[0].status), (1, None));
    worker.stop().await;
}

/// Whatever comes back that is no answer, or not the one that is asked for, is a failure and no more.
#[tokio::test]
async fn f19_garbage_for_an_answer_is_a_failure_and_the_next_send_counts() {
    let world = World::new().await;
    let garbage = [
        "\0\u{1}\u{2}\u{3}garbage\r\n\r\n",
        "SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\nContent-Length: 7\r\n\r\nsuccess",
        "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nsuccess",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nsuccess\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 700\r\nConnection: close\r\n\r\nsuccess",
        "HTTP/1.1 200 OK\r\nContent-Length: 24\r\nConnection: close\r\n\r\n<html>\u{1b}[2J\0 it works</h",
        "HTTP/1.1 999 Whatever\r\nContent-Length: 7\r\nConnection: close\r\n\r\nsuccess",
    ];
    let count = garbage.len();
    let answers: Vec<&'static str> = garbage.into_iter().chain([OK]).collect();
    let merchant = Receiver::start(Vec::leak(answers)).await;
    let call = place(&world, "x1", &merchant.url("/r")).await;
    world.complete(call).await;
    let worker = Worker::start(&world, |config| PushConfig {
        delays: Some(vec![Duration::from_millis(10); count + 1]),
        circuit_after: 100,
        ..config
    });
    let seen = merchant.wait(count + 1).await;
    assert!(seen.iter().all(|one| one.lines().next() == seen[0].lines().next()), "{seen:?}");
    let done = wait_for(&world, OutboxState::Done, 1).await;
    let attempts = world.store.attempts(done[0].id).await.unwrap();
    assert_eq!((attempts.len(), attempts[count].status), (count + 1, Some(200)));
    worker.stop().await;
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    let world = World::new().await;
    let merchant = Receiver::start(&[
        "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 7\r\nConnection: close\r\n\r\nsuccess",
        OK,
    ])
    .await;
    let call = place(&world, "x1", &merchant.url("/r")).await;
    world.complete(call).await;
    let worker = Worker::start(&world, |config| config);
    let seen = merchant.wait(2).await;
    assert!(seen.iter().all(|request| request.starts_with("GET /r?")), "{seen:?}");
    wait_for(&world, OutboxState::Done, 1).await;
    worker.stop().await;
}

#[tokio::test]
async fn an_endless_answer_is_cut_and_the_log_keeps_its_head() {
    let world = World::new().await;
    let merchant = Receiver::start(&[concat!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
        "4\r\nnope\r\n0\r\n\r\n"
    )])
    .await;
    let call = place(&world, "l1", &merchant.url("/r")).await;
    world.complete(call).await;
    let worker =
        Worker::start(&world, |config| PushConfig { delays: Some(vec![Duration::ZERO]), ..config });
    let parked = wait_for(&world, OutboxState::Parked, 1).await;
    let attempts = world.store.attempts(parked[0].id).await.unwrap();
    assert_eq!(attempts[0].answer, b"nope");
    worker.stop().await;
}

#[tokio::test]
async fn a_stopped_worker_leaves_its_rows_for_the_next() {
    let world = World::new().await;
    let merchant = Receiver::start(&[OK]).await;
    let worker = Worker::start(&world, |config| config);
    worker.stop().await;
    let call = place(&world, "n1", &merchant.url("/r")).await;
    world.complete(call).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(merchant.seen().is_empty());
    let next = Worker::start(&world, |config| config);
    merchant.wait(1).await;
    next.stop().await;
}

#[tokio::test]
async fn every_call_of_a_busy_minute_is_told_once() {
    let world = World::new().await;
    let merchant = Receiver::start(&[OK]).await;
    let worker = Worker::start(&world, |config| config);
    for n in 0..100 {
        let call = place(&world, &format!("m{n}"), &merchant.url("/r")).await;
        world.unanswered(call).await;
        world.wake.notify_one();
    }
    let seen = merchant.wait(100).await;
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    for request in &seen {
        let id = request.split("callbackid=").nth(1).unwrap().split('&').next().unwrap();
        *told.entry(id.to_owned()).or_default() += 1;
    }
    assert_eq!(told.len(), 100);
    worker.stop().await;
}
