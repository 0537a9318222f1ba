//! `notice-load`: notices of system 002 that are up at once, each of which waits for a key.
//!
//! The real binary, its ledger on SQLite, real HTTP requests, real SIP, a stored announcement as real RTP to everybody,
//! and everybody presses a key (RFC 4733, six packets 20 ms apart) that the record names. A notice counts only when the
//! merchant was told that very key. The far ends are one thread that answers by copying and counts the RTP that comes;
//! its own share of a core is printed.

#![allow(clippy::print_stdout, reason = "the table is the product")]

mod far;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use clap::Parser;
use e2e::country::{USER, Wish, operator};
use e2e::sipcall;
use e2e::tandem::{Setup, Tandem};
use load::ask::{Asker, Pace, percentile, sorted};
use load::ears::Ears;
use load::usage::{self, Machine};

use far::{FarEnds, Notice, key_of};

/// Measures notices with keys.
#[derive(Parser)]
struct Arguments {
    /// Notices up at once, one run each.
    #[arg(long, value_delimiter = ',', default_value = "500")]
    up: Vec<u32>,
    /// From the ACK of an answer to the key, in milliseconds. The announcement lasts 3 s, and 5 s more are waited.
    #[arg(long, default_value_t = 5_000)]
    key_ms: u64,
    /// Length of the plateau in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// How often everything is done.
    #[arg(long, default_value_t = 1)]
    repeat: u32,
}

/// A stored announcement.
const SOUND: &str = "callee-busy";

fn main() -> io::Result<()> {
    load::sys::raise_file_limit()?;
    let arguments = Arguments::parse();
    println!(
        "{:>6} {:>7} {:>8} {:>7} {:>6} {:>13} {:>15} {:>13} {:>10} {:>8} {:>8} {:>5} {:>5} {:>6}  notes",
        "up",
        "asked",
        "accepted",
        "keys ok",
        "wrong",
        "HTTP p50/p99",
        "key-BYE p50/p99",
        "heard min/p50",
        "cpu s/1000",
        "%core",
        "RSS MB",
        "gen%",
        "idle%",
        "steal%"
    );
    for _ in 0..arguments.repeat {
        for up in &arguments.up {
            run(*up, &arguments)?;
        }
    }
    Ok(())
}

fn start(folder: &std::path::Path, ears: &Ears, carrier: u16) -> Tandem {
    let more = sipcall::company(USER, &ears.url(0)).replace("state_url", "# state_url");
    let wish =
        Wish { balance: "1000000", max_calls: 100_000, record: false, more, ..Wish::default() };
    let settings = [
        "log.level=warn",
        "http.address_rate=off",
        "http.merchant_rate=off",
        "rtp.ports=32000-63999",
        "rtp.quarantine=100ms",
    ];
    let setup = Setup {
        settings: settings.map(str::to_owned).into(),
        operator: operator(&wish, carrier, carrier),
    };
    Tandem::start(folder, &setup)
}

/// An answer to a request: how long it took, and whether it was yes.
type Answer = (bool, Duration);

/// What the switch and the generator have spent so far, and the machine.
struct Sample {
    switch: f64,
    own: f64,
    machine: Machine,
    at: Instant,
}

impl Sample {
    fn take(pid: u32) -> io::Result<Sample> {
        Ok(Sample {
            switch: usage::cpu_seconds(pid)?,
            own: usage::cpu_seconds(std::process::id())?,
            machine: Machine::read()?,
            at: Instant::now(),
        })
    }
}

fn run(up: u32, arguments: &Arguments) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let key = Duration::from_millis(arguments.key_ms);
    let rate = u32::try_from(u128::from(up) * 1000 / key.as_millis().max(1)).unwrap_or(1).max(1);
    let ramp = key + Duration::from_secs(2);
    let whole = ramp + Duration::from_secs(arguments.seconds.into());
    let notices = (f64::from(rate) * whole.as_secs_f64()).ceil() as usize;
    let ears = Ears::start(1, false, notices + 1)?;
    let far_ends = FarEnds::new(notices + 1, key)?;
    let tandem = start(folder.path(), &ears, far_ends.port());
    let SocketAddr::V4(sip) = tandem.sip else { return Err(io::Error::other("not IPv4")) };
    let (pid, token) = (tandem.pid(), sipcall::login(tandem.http));
    let playing = far_ends.start(sip);
    let started = Instant::now();
    let ends = started + whole;
    let pace = Arc::new(Pace { rate, started, ends, asked: AtomicU64::new(0) });
    let (answers, answered) = channel();
    for _ in 0..8 {
        let (answers, pace, token, to) =
            (answers.clone(), Arc::clone(&pace), token.clone(), tandem.http);
        std::thread::spawn(move || offer(to, &token, &pace, &answers));
    }
    drop(answers);
    std::thread::sleep(ramp);
    let before = Sample::take(pid)?;
    std::thread::sleep(ends.saturating_duration_since(Instant::now()));
    let after = Sample::take(pid)?;
    let (resident, really_up) = (usage::resident(pid)?, playing.up());
    let answers: Vec<Answer> = answered.iter().collect();
    let accepted = answers.iter().filter(|(yes, _)| *yes).count();
    let deadline = Instant::now() + key + Duration::from_secs(30);
    while (ears.calls() as usize) < accepted && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    let done = playing.end();
    report(
        &Found { up: really_up, answers, accepted, before, after, resident, rate },
        &done,
        &ears,
    );
    let (books, said) = tandem.run(&["check", "--books"]);
    if books { Ok(()) } else { Err(io::Error::other(said)) }
}

/// What a run found.
struct Found {
    up: usize,
    answers: Vec<Answer>,
    accepted: usize,
    before: Sample,
    after: Sample,
    resident: u64,
    rate: u32,
}

fn report(found: &Found, (notices, heard): &(Vec<Notice>, Vec<u32>), ears: &Ears) {
    let of = |no: &usize| ears.told(*no).is_some();
    let told: Vec<usize> = (0..notices.len()).filter(of).collect();
    let right = |no: &&usize| ears.key(**no) == Some(key_of(**no).into());
    let keys = told.iter().filter(right).count();
    let waits = sorted(found.answers.iter().map(|(_, wait)| *wait));
    let ends = notices.iter().filter_map(|notice| Some(notice.ended? - notice.pressed?));
    let ends = sorted(ends);
    let share = |part: usize| heard.get(heard.len() * part / 100).copied().unwrap_or(0);
    let seconds = (found.after.at - found.before.at).as_secs_f64();
    let (idle, stolen) = found.after.machine.since(&found.before.machine);
    let switch = found.after.switch - found.before.switch;
    let mut notes: Vec<String> =
        usage::spoiled(idle, stolen).map(str::to_owned).into_iter().collect();
    if told.len() < found.accepted {
        notes.push(format!("{} not told of", found.accepted - told.len()));
    }
    let again: u32 = notices.iter().map(|notice| notice.copies).sum();
    if again > 0 {
        notes.push(format!("{again} copies of INVITE or BYE"));
    }
    println!(
        "{:>6} {:>7} {:>8} {keys:>7} {:>6} {:>13} {:>15} {:>13} {:>10.3} {:>8.1} {:>8.1} {:>5.1} {idle:>5.1} {stolen:>6.1}  {}",
        found.up,
        found.answers.len(),
        found.accepted,
        told.len() - keys,
        format!("{:.1}/{:.1}", percentile(&waits, 50), percentile(&waits, 99)),
        format!("{:.1}/{:.1}", percentile(&ends, 50), percentile(&ends, 99)),
        format!("{}/{}", share(0), share(50)),
        switch / seconds / f64::from(found.rate) * 1000.0,
        switch / seconds * 100.0,
        found.resident as f64 / 1e6,
        (found.after.own - found.before.own) / seconds * 100.0,
        notes.join(", "),
    );
}

/// Asks for notices over one connection until the run is over.
fn offer(to: SocketAddr, token: &str, pace: &Pace, answers: &Sender<Answer>) {
    let mut asker = Asker::connect(to).expect("the switch listens");
    while let Some((n, due)) = pace.next() {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let form = format!(
            "service=App.Sip_Call.PlayVoice&token={token}&destnumber=138{n:08}&voicetype=1\
             &voicefile={SOUND}&chengshudu=1&userkey=1&customuuid=load-{n}"
        );
        let yes = asker.post("/", &form).expect("an answer").contains("\"status\":0");
        let _ = answers.send((yes, due.elapsed()));
    }
}
