//! `call-load`: what setting up and tearing down two-way calls costs the whole product.
//!
//! The real binary, its ledger on SQLite, real HTTP requests, real SIP on both sides (sipp), the result
//! notification delivered: nothing is left out but sound. Requests leave by absolute deadlines. The
//! switch is charged by the kernel's accounting over the plateau, after the first seconds; a call counts only when
//! its merchant was told `success`.

#![allow(clippy::print_stdout, reason = "the table is the product")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use clap::Parser;
use e2e::country::{A, B, Country, KEY, USER, Wish};
use e2e::merchant::{Merchant, callback_target};
use e2e::sipp::Behaviour;
use load::usage::{self, Machine};

/// Measures signalling, money and notification together.
#[derive(Parser)]
struct Arguments {
    /// Calls a second, one run each.
    #[arg(long, value_delimiter = ',', default_value = "50,100,200")]
    rates: Vec<u32>,
    /// Length of the plateau in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Talk time in milliseconds.
    #[arg(long, default_value_t = 500)]
    talk_ms: u32,
}

/// Seconds before the plateau.
const RAMP: u32 = 3;
/// Connections that carry the requests.
const CONNECTIONS: u32 = 8;

fn main() {
    let arguments = Arguments::parse();
    println!(
        "{:>8} {:>8} {:>8} {:>8} {:>11} {:>9} {:>9} {:>7} {:>6} {:>6}",
        "calls/s",
        "offered",
        "refused",
        "success",
        "cpu s/1000",
        "p50 ms",
        "p99 ms",
        "RSS MB",
        "idle%",
        "steal%"
    );
    for rate in &arguments.rates {
        run(*rate, &arguments);
    }
}

fn run(rate: u32, arguments: &Arguments) {
    let calls = rate * (RAMP + arguments.seconds);
    let wish = Wish {
        balance: "1000000",
        max_calls: 100_000,
        record: false,
        settings: ["log.level=warn", "rtp.ports=32000-63999", "rtp.quarantine=100ms"]
            .map(str::to_owned)
            .into(),
        ..Wish::default()
    };
    let a = Behaviour::Answer { ring_ms: 0, tone: None, talk_ms: None };
    let b = Behaviour::Answer { ring_ms: 0, tone: None, talk_ms: Some(arguments.talk_ms) };
    let country = Country::new(&wish, &a, &b, calls);
    let merchant = Merchant::start();
    let started = Instant::now() + Duration::from_millis(200);
    let (answers, answered) = mpsc::channel();
    let http = country.tandem.http;
    for lane in 0..CONNECTIONS {
        let (answers, url) = (answers.clone(), merchant.url("/back"));
        std::thread::spawn(move || offer(http, &url, lane, calls, rate, started, &answers));
    }
    drop(answers);
    let pid = country.tandem.pid();
    sleep_until(started + Duration::from_secs(RAMP.into()));
    let (cpu, machine, told) = snapshot(pid, &merchant);
    sleep_until(started + Duration::from_secs((RAMP + arguments.seconds).into()));
    let (cpu_end, machine_end, told_end) = snapshot(pid, &merchant);
    let resident = usage::resident(pid).unwrap_or(0);
    let results: Vec<(bool, Duration)> = answered.iter().collect();
    let refused = results.iter().filter(|(accepted, _)| !accepted).count();
    let mut waits: Vec<Duration> = results.iter().map(|(_, wait)| *wait).collect();
    waits.sort();
    let at = |share: usize| {
        let index = (waits.len() * share / 100).min(waits.len().saturating_sub(1));
        waits.get(index).map_or(0.0, |wait| wait.as_secs_f64() * 1000.0)
    };
    let expected = calls as usize - refused;
    let deadline = Instant::now() + Duration::from_secs(20);
    while merchant.received("/back").len() < expected && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    let success = merchant
        .received("/back")
        .iter()
        .filter(|got| got.query("callback_result").as_deref() == Some("success"))
        .count();
    let done = (told_end - told).max(1) as f64;
    let (idle, steal) = machine_end.since(&machine);
    println!(
        "{rate:>8} {calls:>8} {refused:>8} {success:>8} {:>11.3} {:>9.2} {:>9.2} {:>7.1} {idle:>6.1} {steal:>6.1}",
        (cpu_end - cpu) * 1000.0 / done,
        at(50),
        at(99),
        resident as f64 / 1e6,
    );
    let (books, said) = country.tandem.run(&["check", "--books"]);
    assert!(books, "{said}");
}

fn snapshot(pid: u32, merchant: &Merchant) -> (f64, Machine, usize) {
    let cpu = usage::cpu_seconds(pid).expect("the switch lives");
    (cpu, Machine::read().expect("procfs"), merchant.received("/back").len())
}

/// Sends every `CONNECTIONS`th request at its own absolute instant, over one connection.
fn offer(
    to: SocketAddr,
    url: &str,
    lane: u32,
    calls: u32,
    rate: u32,
    started: Instant,
    answers: &mpsc::Sender<(bool, Duration)>,
) {
    let stream = TcpStream::connect(to).expect("the switch listens");
    stream.set_nodelay(true).expect("a socket option");
    let mut reader = BufReader::new(stream);
    for n in (lane..calls).step_by(CONNECTIONS as usize) {
        let target = callback_target(USER, KEY, &format!("load-{n}"), A, B, url);
        let due = started + Duration::from_secs_f64(f64::from(n) / f64::from(rate));
        sleep_until(due);
        let request = format!("GET {target} HTTP/1.1\r\nHost: load\r\n\r\n");
        reader.get_mut().write_all(request.as_bytes()).expect("a connection");
        let body = read_answer(&mut reader);
        let _ = answers.send((body.starts_with("result=success"), due.elapsed()));
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

fn sleep_until(at: Instant) {
    std::thread::sleep(at.saturating_duration_since(Instant::now()));
}
