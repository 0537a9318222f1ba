//! `http-load`: how many signed callback requests a second the whole product accepts.
//!
//! The real binary, its ledger on SQLite with every commit synced. Each request asks for a call from an
//! extension that nobody has registered: the switch checks the signature, places the call, commits its
//! holds and only then answers `success`; the first leg fails at once, the call is settled and its
//! result is pushed to a merchant. Nothing is left out but SIP and sound. `--rates 0` lets every
//! connection ask again as soon as it is answered; a rate paces the requests by absolute deadlines and
//! counts the wait from the instant a request was due. The table says what each thread of the switch cost.

#![allow(clippy::print_stdout, reason = "the table is the product")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use clap::Parser;
use e2e::country::{B, KEY, USER, Wish, operator};
use e2e::merchant::{Merchant, callback_target};
use e2e::tandem::{Setup, Tandem};
use load::usage::{self, Machine};

/// Measures requests accepted.
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
}

/// An extension that nobody registers.
const ABSENT: &str = "80000";

fn main() {
    let arguments = Arguments::parse();
    println!(
        "{:>7} {:>8} {:>9} {:>8} {:>8} {:>8} {:>8} {:>11} {:>6} {:>6}  cpu s/1000 by thread",
        "offered",
        "asked",
        "accepted",
        "refused",
        "acc/s",
        "p50 ms",
        "p99 ms",
        "cpu s/1000",
        "idle%",
        "steal%"
    );
    for rate in &arguments.rates {
        run(*rate, &arguments);
    }
}

fn run(rate: u32, arguments: &Arguments) {
    let folder = tempfile::tempdir().expect("a folder");
    let wish =
        Wish { balance: "100000000", max_calls: 1_000_000, record: false, ..Wish::default() };
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
    let tandem = Tandem::start(folder.path(), &setup);
    let merchant = Merchant::start();
    let pid = tandem.pid();
    let (threads, machine) = (usage::threads(pid).expect("the switch lives"), Machine::read());
    let started = Instant::now();
    let ends = started + Duration::from_secs(arguments.seconds.into());
    let asked = Arc::new(AtomicU64::new(0));
    let (answers, answered) = mpsc::channel();
    for _ in 0..arguments.connections {
        let (answers, asked, url) = (answers.clone(), Arc::clone(&asked), merchant.url("/back"));
        let pace = Pace { rate, started, ends, asked };
        let to = tandem.http;
        std::thread::spawn(move || offer(to, &url, &pace, &answers));
    }
    drop(answers);
    let results: Vec<(bool, Duration)> = answered.iter().collect();
    let seconds = started.elapsed().as_secs_f64();
    let accepted = results.iter().filter(|(accepted, _)| *accepted).count();
    // Every accepted call is told before the bill is made: settlement and push belong to its cost.
    let deadline = Instant::now() + Duration::from_secs(60);
    while merchant.received("/back").len() < accepted && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(200));
    }
    let told = merchant.received("/back").len();
    let now = usage::threads(pid).expect("the switch lives");
    let spent: BTreeMap<&String, f64> =
        now.iter().map(|(name, all)| (name, all - threads.get(name).unwrap_or(&0.0))).collect();
    let per_thousand = 1000.0 / accepted.max(1) as f64;
    let (idle, steal) = Machine::read().and_then(|now| Ok(now.since(&machine?))).expect("procfs");
    let mut waits: Vec<Duration> = results.iter().map(|(_, wait)| *wait).collect();
    waits.sort();
    let at = |share: usize| {
        let index = (waits.len() * share / 100).min(waits.len().saturating_sub(1));
        waits.get(index).map_or(0.0, |wait| wait.as_secs_f64() * 1000.0)
    };
    let by_thread: Vec<String> = spent
        .iter()
        .filter(|(_, seconds)| **seconds * per_thousand >= 0.0005)
        .map(|(name, seconds)| format!("{name} {:.3}", seconds * per_thousand))
        .collect();
    println!(
        "{rate:>7} {:>8} {accepted:>9} {:>8} {:>8.0} {:>8.2} {:>8.2} {:>11.3} {idle:>6.1} {steal:>6.1}  {}",
        results.len(),
        results.len() - accepted,
        accepted as f64 / seconds,
        at(50),
        at(99),
        spent.values().sum::<f64>() * per_thousand,
        by_thread.join(", "),
    );
    if told < accepted {
        println!("        {} accepted calls were not told within a minute", accepted - told);
    }
    let (books, said) = tandem.run(&["check", "--books"]);
    assert!(books, "{said}");
}

/// When the next request is due.
struct Pace {
    rate: u32,
    started: Instant,
    ends: Instant,
    asked: Arc<AtomicU64>,
}

impl Pace {
    /// The next request's number and the instant it is due; nothing when the run is over.
    fn next(&self) -> Option<(u64, Instant)> {
        let n = self.asked.fetch_add(1, Ordering::Relaxed);
        let due = match self.rate {
            0 => Instant::now(),
            rate => self.started + Duration::from_secs_f64(n as f64 / f64::from(rate)),
        };
        (due < self.ends).then_some((n, due))
    }
}

/// Sends requests over one connection until the run is over.
fn offer(to: SocketAddr, url: &str, pace: &Pace, answers: &mpsc::Sender<(bool, Duration)>) {
    let stream = TcpStream::connect(to).expect("the switch listens");
    stream.set_nodelay(true).expect("a socket option");
    let mut reader = BufReader::new(stream);
    while let Some((n, due)) = pace.next() {
        let target = callback_target(USER, KEY, &format!("load-{n}"), ABSENT, B, url);
        let request = format!("GET {target} HTTP/1.1\r\nHost: load\r\n\r\n");
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        reader.get_mut().write_all(request.as_bytes()).expect("a connection");
        let accepted = read_answer(&mut reader).starts_with("result=success");
        let _ = answers.send((accepted, due.elapsed()));
    }
}

fn read_answer(reader: &mut BufReader<TcpStream>) -> String {
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("an answer");
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    String::from_utf8_lossy(&body).into_owned()
}
