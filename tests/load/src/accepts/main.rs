//! `http-load`: how many requests a second the whole product accepts, and how many of its merchants it tells.
//!
//! The real binary, its ledger on SQLite with every commit synced. Each request asks for a call to an
//! extension that nobody has registered: the switch checks who asks, places the call, commits its holds and
//! only then says yes; the leg fails at once, the call is settled and its result is pushed. Nothing is left
//! out but SIP and sound. A request is a two-way callback of system 000, signed, or a notice of system 002.
//! `--rates 0` lets every connection ask again as soon as it is answered; a rate paces the requests by
//! absolute deadlines and counts the wait from the instant a request was due. `--endpoints` spreads the
//! results over so many machines of merchants, `--dead` puts one among them that takes connections and never
//! answers, for one request in a hundred or its share. The table says what each thread of the switch cost.

#![allow(clippy::print_stdout, reason = "the table is the product")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use e2e::country::{B, KEY, USER, Wish, operator};
use e2e::merchant::callback_target;
use e2e::sipcall;
use e2e::tandem::{Setup, Tandem};
use load::ask::{Asker, Pace, percentile, sorted};
use load::ears::Ears;
use load::usage::{self, Machine};

/// Measures requests accepted and results delivered.
#[derive(Parser)]
struct Arguments {
    /// Requests a second, one run each; 0: as fast as they are answered.
    #[arg(long, value_delimiter = ',', default_value = "0,3000")]
    rates: Vec<u32>,
    /// Length of a run in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Connections that carry the requests.
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// What is asked for.
    #[arg(long, value_enum, default_value_t = Door::Callback)]
    door: Door,
    /// Machines that are told, one run each; a notice has one.
    #[arg(long, value_delimiter = ',', default_value = "1", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    endpoints: Vec<u16>,
    /// One more that never answers.
    #[arg(long)]
    dead: bool,
}

/// Whose request it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Door {
    /// System 000: a callback.
    Callback,
    /// System 002: `App.Sip_Call.PlayVoice`.
    Notice,
}

/// An extension that nobody registers.
const ABSENT: &str = "80000";
/// Requests a second that no machine of today gets answered.
const MANY: usize = 20_000;
/// How many requests there are for each that a dead machine is told of, at least.
const DEAD_SHARE: u64 = 100;

fn main() -> std::io::Result<()> {
    load::sys::raise_file_limit()?;
    let arguments = Arguments::parse();
    println!(
        "{:>7} {:>9} {:>8} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8} {:>13} {:>6} {:>11} {:>6} {:>6}  cpu s/1000 by thread",
        "offered",
        "endpoints",
        "asked",
        "accepted",
        "refused",
        "acc/s",
        "p50 ms",
        "p99 ms",
        "told/s",
        "lag p50/p99 ms",
        "dead",
        "cpu s/1000",
        "idle%",
        "steal%"
    );
    for endpoints in &arguments.endpoints {
        for rate in &arguments.rates {
            run(*rate, usize::from(*endpoints), &arguments)?;
        }
    }
    Ok(())
}

/// The switch, and one merchant of either system.
fn start(folder: &std::path::Path, ears: &Ears) -> Tandem {
    let more = sipcall::company(USER, &ears.url(0));
    let wish =
        Wish { balance: "100000000", max_calls: 1_000_000, record: false, more, ..Wish::default() };
    let settings = [
        "log.level=warn",
        "http.address_rate=off",
        "http.merchant_rate=off",
        "call.max=1000000",
        "rtp.ports=32000-63999",
        "rtp.quarantine=100ms",
    ];
    let setup = Setup {
        settings: settings.map(str::to_owned).into(),
        // Nobody listens at these ports, and nothing is sent to them: the first leg goes nowhere.
        operator: operator(&wish, 9, 9),
    };
    Tandem::start(folder, &setup)
}

/// What became of a request.
struct Answered {
    n: u64,
    accepted: bool,
    wait: Duration,
    at: Instant,
}

fn run(rate: u32, endpoints: usize, arguments: &Arguments) -> std::io::Result<()> {
    let folder = tempfile::tempdir()?;
    let most = if rate == 0 { MANY } else { rate as usize } * (arguments.seconds as usize + 1);
    let ears = Arc::new(Ears::start(endpoints, arguments.dead, most)?);
    let tandem = start(folder.path(), &ears);
    let pid = tandem.pid();
    let token = match arguments.door {
        Door::Callback => String::new(),
        Door::Notice => sipcall::login(tandem.http),
    };
    let (threads, machine) = (usage::threads(pid)?, Machine::read()?);
    let started = Instant::now();
    let ends = started + Duration::from_secs(arguments.seconds.into());
    let pace = Arc::new(Pace { rate, started, ends, asked: AtomicU64::new(0) });
    let (answers, answered) = mpsc::channel();
    for _ in 0..arguments.connections {
        let (answers, pace, ears) = (answers.clone(), Arc::clone(&pace), Arc::clone(&ears));
        let (to, door, token) = (tandem.http, arguments.door, token.clone());
        std::thread::spawn(move || offer(to, (door, &token), (&ears, endpoints), &pace, &answers));
    }
    drop(answers);
    let results: Vec<Answered> = answered.iter().collect();
    let seconds = started.elapsed().as_secs_f64();
    let alive = |answer: &&Answered| answer.accepted && !is_dead(answer.n, endpoints, &ears);
    let living: Vec<&Answered> = results.iter().filter(alive).collect();
    // Every accepted call is told before the bill is made: settlement and push belong to its cost.
    let deadline = Instant::now() + Duration::from_secs(60);
    while (ears.calls() as usize) < living.len() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    let now = usage::threads(pid)?;
    let spent: BTreeMap<&String, f64> =
        now.iter().map(|(name, all)| (name, all - threads.get(name).unwrap_or(&0.0))).collect();
    let accepted = results.iter().filter(|answer| answer.accepted).count();
    let per_thousand = 1000.0 / accepted.max(1) as f64;
    let (idle, steal) = Machine::read()?.since(&machine);
    let waits = sorted(results.iter().map(|answer| answer.wait));
    let told = living.iter().filter_map(|answer| {
        let told = ears.told(usize::try_from(answer.n).ok()?)?;
        Some((told, told.saturating_duration_since(answer.at)))
    });
    let (told, lags): (Vec<Instant>, Vec<Duration>) = told.unzip();
    let last = told.iter().max().map_or(seconds, |last| (*last - started).as_secs_f64());
    let lags = sorted(lags.into_iter());
    let by_thread: Vec<String> = spent
        .iter()
        .filter(|(_, seconds)| **seconds * per_thousand >= 0.0005)
        .map(|(name, seconds)| format!("{name} {:.3}", seconds * per_thousand))
        .collect();
    println!(
        "{rate:>7} {endpoints:>9} {:>8} {accepted:>9} {:>8} {:>8.0} {:>8.2} {:>8.2} {:>8.0} {:>13} {:>6} {:>11.3} {idle:>6.1} {steal:>6.1}  {}",
        results.len(),
        results.len() - accepted,
        accepted as f64 / seconds,
        percentile(&waits, 50),
        percentile(&waits, 99),
        told.len() as f64 / last,
        format!("{:.1}/{:.1}", percentile(&lags, 50), percentile(&lags, 99)),
        accepted - living.len(),
        spent.values().sum::<f64>() * per_thousand,
        by_thread.join(", "),
    );
    if told.len() < living.len() {
        println!(
            "        {} accepted calls were not told within a minute",
            living.len() - told.len()
        );
    }
    if ears.oddities() != [0, 0] {
        println!("        told again, of no call: {:?}", ears.oddities());
    }
    let (books, said) = tandem.run(&["check", "--books"]);
    assert!(books, "{said}");
    Ok(())
}

/// Whether the result of this request goes where nobody answers.
fn is_dead(n: u64, endpoints: usize, ears: &Ears) -> bool {
    ears.dead().is_some() && n % DEAD_SHARE.max(endpoints as u64 + 1) == DEAD_SHARE / 2
}

/// Sends requests over one connection until the run is over.
fn offer(
    to: SocketAddr,
    (door, token): (Door, &str),
    (ears, endpoints): (&Ears, usize),
    pace: &Pace,
    answers: &mpsc::Sender<Answered>,
) {
    let mut asker = Asker::connect(to).expect("the switch listens");
    while let Some((n, due)) = pace.next() {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let accepted = match door {
            Door::Callback => {
                let dead = ears.dead().filter(|_| is_dead(n, endpoints, ears));
                let url = dead.unwrap_or_else(|| ears.url(n as usize % endpoints));
                let target = callback_target(USER, KEY, &format!("load-{n}"), ABSENT, B, &url);
                asker.get(&target).expect("an answer").starts_with("result=success")
            }
            Door::Notice => {
                let form = format!(
                    "service=App.Sip_Call.PlayVoice&token={token}&destnumber={ABSENT}&voicetype=1\
                     &voicefile=callee-busy&chengshudu=1&customuuid=load-{n}"
                );
                asker.post("/", &form).expect("an answer").contains("\"status\":0")
            }
        };
        let _ = answers.send(Answered { n, accepted, wait: due.elapsed(), at: Instant::now() });
    }
}
