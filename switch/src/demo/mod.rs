//! `tandem demo`: a callback from the merchant's request to its notification, on loopback, in ten seconds.
//!
//! Everything is real: the phones speak SIP and RTP over sockets and share no code with the switch, the
//! merchant speaks HTTP and checks signatures by itself, the books are a database in a folder that stays.
//! Whatever is not as it should be ends the page with a word and a status of 1.

mod checks;
mod merchant;
mod page;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use billing::rows::CallEntry;
use facts::{CallId, CallRecord};
use phone::{Account, Answer, Behaviour, CallState, Credentials, Phone};

use crate::config::Config;
use crate::operator;
use crate::serve::{self, Running};
use merchant::{Merchant, Received};
use page::{Page, Side};

/// The page ends by itself.
const LIMIT: Duration = Duration::from_secs(28);
/// The extension that is rung first.
const A: &str = "80000";
const A_PASSWORD: &str = "demo-80000-secret";
/// The public number that is rung second.
const B: &str = "13800138000";
/// What each phone hums, in hertz.
const A_HUMS: u32 = 700;
const B_HUMS: u32 = 1100;

type Told<T> = Result<T, String>;

/// Runs the demonstration.
pub(crate) async fn run() -> ExitCode {
    crate::logs::start(&Config { log_level: "error".into(), ..Config::default() });
    let page = Arc::new(Page::new());
    match tokio::time::timeout(LIMIT, story(&page)).await {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(why)) => failed(&page, &why),
        Err(_) => {
            failed(&page, &format!("the demonstration did not end within {} s", LIMIT.as_secs()))
        }
    }
}

/// The end, badly: why, and where to look.
fn failed(page: &Page, why: &str) -> ExitCode {
    page.failed(why);
    let kept = place();
    if kept.exists() {
        page.fact("kept in", &kept.display().to_string());
    }
    ExitCode::FAILURE
}

async fn story(page: &Arc<Page>) -> Told<()> {
    let mut merchant = Merchant::open().map_err(|error| format!("the merchant: {error}"))?;
    let loopback = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let phone = |hums| {
        Phone::bind(loopback, Behaviour { tone_hz: hums, ..Behaviour::default() })
            .map_err(|error| format!("a phone: {error}"))
    };
    let (a, b) = (phone(A_HUMS)?, phone(B_HUMS)?);
    let folder = folder()?;
    let config = config(&folder, merchant.address.port());

    page.heading("Tandem: a merchant's request rings two phones");
    books(page, &config, &b, merchant.address).await?;
    let running = Running::start(&config).await.map_err(|error| error.to_string())?;
    page.fact("switch", &format!("{}", running.addresses));
    page.fact(
        "phones",
        &format!("A {A} at {}, B {B} behind a trunk at {}", a.address(), b.address()),
    );
    page.fact("merchant", &format!("http://{}", merchant.address));

    page.heading("System 000: GET /api/biz_callback");
    let ladder = Ladder::start(page, &a, &b);
    let outcome = first_call(page, &running, &mut merchant, &a, &b).await;
    ladder.stop();
    let first = outcome?;
    checks::checked(page, &first.notification, &first.id)?;
    checks::recorded(page, &running, &folder, &first.record)?;
    checks::heard(page, &a, &b)?;

    page.heading("System 001: POST DailbackCall.wx, each state pushed as it happens");
    let ladder = Ladder::start(page, &a, &b);
    let outcome = second_call(page, &running, &merchant, &b).await;
    ladder.stop();
    outcome?;

    page.heading("The end");
    running.drain(Duration::from_secs(1)).await;
    checks::closed_books(page, &config).await?;
    page.fact("kept in", &folder.display().to_string());
    page.check(&format!("{:.1} s", page.seconds()));
    Ok(())
}

/// A folder of its own, left where it is so that the recording can be listened to.
fn folder() -> Told<PathBuf> {
    let folder = place();
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
}

fn place() -> PathBuf {
    std::env::temp_dir().join(format!("tandem-demo-{}", std::process::id()))
}

fn config(folder: &Path, merchant_port: u16) -> Config {
    let free = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    // Any even start will do: ports that are taken are passed over.
    let low = 20_000 + (std::process::id() as u16 % 1000) * 20;
    let mut config = Config {
        data: folder.to_owned(),
        sip_udp: vec![free],
        sip_tcp: vec![free],
        http: free,
        admin: free,
        rtp_bind: vec![free.ip()],
        rtp_ports: low..=low + 199,
        callback_allow: vec![free.ip().into()],
        callback_ports: vec![merchant_port],
        ..Config::default()
    };
    // A disk that has a build still to write may keep a commit waiting for seconds; the show goes on.
    config.web.place_timeout = Duration::from_secs(8);
    config
}

/// What shall be there, through the same hand that `tandem apply` uses.
async fn books(
    page: &Page,
    config: &Config,
    b: &Phone,
    merchant: std::net::SocketAddr,
) -> Told<()> {
    let text = operator_text(b.address(), merchant);
    let path = config.data.join("operator.toml");
    std::fs::write(&path, &text).map_err(|error| error.to_string())?;
    let store = serve::open_store(config).await.map_err(|error| error.to_string())?;
    let applied = operator::apply_text(&store, (&path, &text), None, false).await;
    store.close().await;
    let changes = applied.map_err(|trouble| format!("the operator's file: {trouble}"))?;
    page.fact("operator", &format!("tandem apply {}", path.display()));
    for line in operator::difference(&changes, false).lines().filter(|line| !line.starts_with(' '))
    {
        page.say(&format!("             {line}"));
    }
    Ok(())
}

fn operator_text(b: std::net::SocketAddr, merchant: std::net::SocketAddr) -> String {
    use merchant::{APP, KEY, SID, TOKEN, USER};
    format!(
        r#"[settings]
realm = "tandem.demo"

[[tariffs]]
name = "standard"
rates = [
  {{ prefix = "internal", per_minute = "0.05" }},
  {{ prefix = "86138", per_minute = "0.15" }},
]

[[merchants]]
name = "{USER}"
key = "{KEY}"
tariff = "standard"
caller_id = "861088880000"
record = true

[[top_ups]]
id = "demo-1"
merchant = "{USER}"
amount = "10.00"

[[extensions]]
number = "{A}"
merchant = "{USER}"
password = "{A_PASSWORD}"

[[trunks]]
name = "carrier"
target = "{b}"
peers = ["{}/32"]

[[routes]]
trunk = "carrier"

[[ytx_accounts]]
sid = "{SID}"
auth_token = "{TOKEN}"
merchant = "{USER}"

[[ytx_apps]]
appid = "{APP}"
account = "{SID}"
callers = ["861088880000"]
callback_url = "http://{merchant}/ytx/"
"#,
        b.ip()
    )
}

/// What came of the first call.
struct First {
    id: String,
    record: CallRecord,
    notification: Received,
}

/// Registers A, places the callback, waits for the end and the notification.
async fn first_call(
    page: &Page,
    running: &Running,
    merchant: &mut Merchant,
    a: &Phone,
    b: &Phone,
) -> Told<First> {
    let account = Account {
        credentials: Credentials { user: A.into(), password: A_PASSWORD.into() },
        domain: "tandem.demo".into(),
        registrar: sip_udp(running)?,
        expires: 300,
    };
    tokio::task::block_in_place(|| a.register(&account))
        .map_err(|error| format!("A cannot register: {error}"))?;
    a.behave(Behaviour {
        answer: Answer::After(Duration::from_millis(500)),
        tone_hz: A_HUMS,
        ..Behaviour::default()
    });
    b.behave(Behaviour {
        answer: Answer::After(Duration::from_millis(900)),
        hang_up_after: Some(Duration::from_millis(4300)),
        tone_hz: B_HUMS,
        ..Behaviour::default()
    });
    let id = format!("{}", 6_345_678_901_234_u64 * 100_000 + u64::from(std::process::id()));
    let returnurl = format!("http://{}/getcallbackdata.aspx", merchant.address);
    let target = merchant::callback_target(&id, A, B, &returnurl);
    let answer = asked(running, "GET", &target, "", "")?;
    page.remark(&format!("merchant asks for {A} and {B}"));
    page.remark(&format!("answer: {answer}"));
    if answer != format!("result=success&callbackid={id}") {
        return Err(format!("the callback was not accepted: {answer}"));
    }
    let call = live_call(running).await?;
    until("both phones to talk", Duration::from_secs(8), || up(a) && up(b)).await?;
    page.remark("A and B talk");
    until("the call to end", Duration::from_secs(9), || !up(a) && !up(b)).await?;
    let record = settled(running, call).await?;
    let notification = notified(merchant).await?;
    page.remark("merchant is notified");
    Ok(First { id, record, notification })
}

/// The same two phones for system 001; its states are printed as they come.
async fn second_call(page: &Page, running: &Running, merchant: &Merchant, b: &Phone) -> Told<()> {
    b.behave(Behaviour {
        answer: Answer::After(Duration::from_millis(400)),
        hang_up_after: Some(Duration::from_millis(1500)),
        tone_hz: B_HUMS,
        ..Behaviour::default()
    });
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(8)));
    let stamp = now.strftime("%Y%m%d%H%M%S").to_string();
    let (target, header, body) = merchant::two_way(&stamp, A, B);
    let answer = asked(running, "POST", &target, &header, &body)?;
    let told: serde_json::Value =
        serde_json::from_str(&answer).map_err(|_| format!("system 001 answered {answer}"))?;
    if told["statusCode"] != "0" {
        return Err(format!("system 001 refused the call: {answer}"));
    }
    page.remark(&format!("merchant asks; requestId {}", told["requestId"].as_str().unwrap_or("")));
    let (mut states, mut told_record): (Vec<(String, String)>, bool) = (Vec::new(), false);
    let deadline = Instant::now() + Duration::from_secs(10);
    // Four states of each leg and one record, which may come before the last states (merchant API §3.8).
    while states.len() < 8 || !told_record {
        let Some(received) = next(merchant) else {
            if Instant::now() > deadline {
                return Err(format!("system 001's pushes did not come: {states:?}"));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let push: serde_json::Value = serde_json::from_str(&received.body)
            .map_err(|_| format!("a push is no JSON: {}", received.body))?;
        let record = push["cdr"].get(0);
        let word = |name: &str| {
            let value = record.unwrap_or(&push)[name].as_str();
            value.unwrap_or("?").to_owned()
        };
        if record.is_some() {
            told_record = true;
            page.remark(&format!(
                "merchant ⇠ cdr: {} s, {} yuan, {}",
                word("duration"),
                word("oriamount"),
                word("stateDesc")
            ));
        } else {
            page.remark(&format!("merchant ⇠ {} {}", word("dsc"), word("state")));
            states.push((word("dsc"), word("state")));
        }
    }
    let expected = ["callout", "alerting", "answer"];
    for number in [A, B] {
        let of = |(n, s): &(String, String)| (n == number).then(|| s.clone());
        let seen: Vec<String> = states.iter().filter_map(of).collect();
        if seen[..seen.len().min(3)] != expected || seen.last().is_none_or(|s| s != "disconnect") {
            return Err(format!("the states of {number} came as {seen:?}"));
        }
    }
    Ok(())
}

fn next(merchant: &Merchant) -> Option<Received> {
    merchant.heard.try_recv().ok()
}

fn asked(running: &Running, method: &str, target: &str, headers: &str, body: &str) -> Told<String> {
    let http = running.addresses.http;
    let answer = tokio::task::block_in_place(|| merchant::ask(http, method, target, headers, body));
    match answer {
        Ok((200, body)) => Ok(String::from_utf8_lossy(&body).into_owned()),
        Ok((status, _)) => Err(format!("the switch answered HTTP {status}")),
        Err(error) => Err(format!("the switch does not answer HTTP: {error}")),
    }
}

fn sip_udp(running: &Running) -> Told<std::net::SocketAddr> {
    let udp = sip::endpoint::Transport::Udp;
    let listener = running.addresses.sip.iter().find(|listener| listener.transport == udp);
    listener.map(|listener| listener.bind).ok_or_else(|| "no UDP listener".into())
}

async fn until(what: &str, limit: Duration, done: impl Fn() -> bool) -> Told<()> {
    let deadline = Instant::now() + limit;
    while !done() {
        if Instant::now() > deadline {
            return Err(format!("waited in vain for {what}"));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

fn up(phone: &Phone) -> bool {
    phone.report().calls.last().is_some_and(|call| call.state == CallState::Up)
}

async fn live_call(running: &Running) -> Told<CallId> {
    let live = running.live().await;
    live.last().map(|call| call.call).ok_or_else(|| "no live call after it was accepted".into())
}

async fn settled(running: &Running, call: CallId) -> Told<CallRecord> {
    let deadline = Instant::now() + Duration::from_secs(8);
    while Instant::now() < deadline {
        let entry: Option<CallEntry> =
            running.store.call(call).await.map_err(|error| error.to_string())?;
        if let Some(record) = entry.and_then(|entry| entry.record) {
            return Ok(record);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(format!("call {call} was not settled"))
}

async fn notified(merchant: &mut Merchant) -> Told<Received> {
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        if let Some(received) = next(merchant) {
            return Ok(received);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Err("the merchant was not notified".into())
}

/// Prints the messages of both phones as they pass, in the order of their times.
struct Ladder {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Ladder {
    fn start(page: &Arc<Page>, a: &Phone, b: &Phone) -> Ladder {
        page.names(&format!("A {A}"), &format!("B {B}"));
        let stop = Arc::new(AtomicBool::new(false));
        let (page, stopped) = (Arc::clone(page), Arc::clone(&stop));
        let (a, b) = (a.watch(), b.watch());
        let thread = thread::spawn(move || {
            loop {
                let last = stopped.load(Ordering::Relaxed);
                for (side, lines) in [(Side::A, &a), (Side::B, &b)] {
                    for line in lines.try_iter() {
                        page.message(side, &line);
                    }
                }
                page.flush(last);
                if last {
                    return;
                }
                thread::sleep(Duration::from_millis(10));
            }
        });
        Ladder { stop, thread }
    }

    fn stop(self) {
        // The answer to the last BYE is still on its way.
        thread::sleep(Duration::from_millis(100));
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
    }
}
