//! `register-load`: what registered contacts cost: how many a second, CPU, memory, and the storm when all of
//! them refresh at once.
//!
//! The real binary with its bindings on SQLite. Every contact is another extension with a password of its
//! own; it answers the challenge to its first registration, and refreshes with the same nonce and the next
//! count (RFC 7616 §3.4), as phones do. So many requests are under way at one time, never more: the rate is
//! what the switch gives.

#![allow(clippy::print_stdout, reason = "the table is the product")]

mod flood;
mod guesses;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

use clap::Parser;
use e2e::country::{Wish, operator};
use e2e::tandem::{Setup, Tandem};
use load::sys::{BATCH, Batch, Poller, large_buffer};
use load::usage::{self, Machine};
use phone::Credentials;

use flood::Flood;
use guesses::Target;

/// Measures the registrar.
#[derive(Parser)]
struct Arguments {
    /// Contacts, each of an extension of its own.
    #[arg(long, default_value_t = 100_000)]
    contacts: usize,
    /// Requests under way at one time.
    #[arg(long, default_value_t = 200)]
    window: usize,
    /// How often all refresh.
    #[arg(long, default_value_t = 2)]
    refreshes: u32,
    /// Registrations of nobody a second beside that, from each number of addresses in `--sources`.
    #[arg(long)]
    flood: Option<u32>,
    /// Addresses that the flood comes from, one refresh each.
    #[arg(long, value_delimiter = ',', default_value = "1,250")]
    sources: Vec<u8>,
    /// How long each flood lasts at least, in seconds; all refresh every ten seconds of it.
    #[arg(long, default_value_t = 0)]
    seconds: u64,
    /// Guesses at the password of the first phone from 500 addresses, after which it refreshes.
    #[arg(long)]
    guesses: Option<usize>,
    /// The switch is killed at the end, and all register anew with its successor.
    #[arg(long)]
    restart: bool,
}

/// Octets of a message at most.
const MESSAGE: usize = 1536;
/// An unanswered request is sent again after this time (RFC 3261 §17.1.2.2, timer E's first).
const AGAIN: Duration = Duration::from_millis(500);
/// Challenges that one registration answers: the first, and one for a nonce that has expired.
const CHALLENGES_MAX: u32 = 2;
/// The flood begins this long before the phones beside it.
const FLOOD_FIRST: Duration = Duration::from_secs(2);
/// From one refresh beside a flood to the next.
const REFRESH: Duration = Duration::from_secs(10);
/// Number of the first extension.
const FIRST: usize = 1_000_000;

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir()?;
    let wish = Wish { more: extensions(arguments.contacts), ..Wish::default() };
    // The flood comes from loopback, whose addresses are spared by default.
    let settings = ["log.level=warn", "abuse.allow=192.0.2.0/24"].map(str::to_owned).into();
    let setup = Setup { settings, operator: operator(&wish, 9, 9) };
    let begun = Instant::now();
    let mut tandem = Tandem::start(folder.path(), &setup);
    println!(
        "{} extensions applied and served within {:.1} s",
        arguments.contacts,
        begun.elapsed().as_secs_f64()
    );
    let SocketAddr::V4(sip) = tandem.sip else { return Err(io::Error::other("not IPv4")) };
    let pid = tandem.pid();
    std::thread::sleep(Duration::from_millis(500));
    let empty = usage::resident(pid)?;
    println!(
        "{:>9} {:>9} {:>8} {:>8} {:>10} {:>8} {:>8} {:>10} {:>7} {:>7} {:>8} {:>5} {:>5} {:>6}  notes",
        "",
        "contacts",
        "seconds",
        "a second",
        "challenged",
        "again",
        "failed",
        "cpu s/1000",
        "p50 ms",
        "p99 ms",
        "RSS MB",
        "gen%",
        "idle%",
        "steal%",
    );
    println!("{:>9} {:>9} {:>108.1}", "before", 0, empty as f64 / 1e6);
    let mut phones = Phones::new(sip, arguments.contacts, arguments.window)?;
    for round in 0..=arguments.refreshes {
        print(if round == 0 { "register" } else { "refresh" }, &mut phones, pid)?;
    }
    if let Some(rate) = arguments.flood {
        for sources in arguments.sources {
            let flood = Flood::start(sip, rate, sources)?;
            let end = Instant::now() + Duration::from_secs(arguments.seconds);
            std::thread::sleep(FLOOD_FIRST);
            loop {
                let begun = Instant::now();
                print("refresh", &mut phones, pid)?;
                let left = end.saturating_duration_since(Instant::now());
                std::thread::sleep(REFRESH.saturating_sub(begun.elapsed()).min(left));
                if Instant::now() >= end {
                    break;
                }
            }
            let told = flood.end()?;
            let a_second = told.sent as f64 / told.seconds;
            println!(
                "          beside {a_second:.0} a second of nobody from {sources} addresses for {:.0} s: {} sent, {} answered",
                told.seconds, told.sent, told.answered
            );
        }
    }
    if let Some(guesses) = arguments.guesses {
        let target = Target { switch: sip, user: FIRST.to_string(), password: password(0) };
        let told = guesses::play(&target, guesses)?;
        println!(
            "          {} wrong and {} right passwords from 500 addresses within {:.1} s: {} refused, {} believed, {} not answered",
            told.wrong, told.right, told.seconds, told.refused, told.believed, told.silent
        );
        print("refresh", &mut phones, pid)?;
    }
    if arguments.restart {
        tandem.kill();
        tandem.resume();
        print("restarted", &mut phones, tandem.pid())?;
    }
    println!("bound contacts by the switch's own count: {}", bound(&tandem));
    Ok(())
}

/// One round of all contacts, and its line of the table.
fn print(name: &str, phones: &mut Phones, pid: u32) -> io::Result<()> {
    let (cpu, own, machine) = (usage::cpu_seconds(pid)?, own()?, Machine::read()?);
    let figures = phones.round()?;
    let cpu = usage::cpu_seconds(pid)? - cpu;
    let own = (self::own()? - own) / figures.seconds;
    let (idle, stolen) = Machine::read()?.since(&machine);
    println!(
        "{name:>9} {:>9} {:>8.2} {:>8.0} {:>10} {:>8} {:>8} {:>10.3} {:>7.2} {:>7.2} {:>8.1} {:>5.1} {idle:>5.1} {stolen:>6.1}  {}",
        figures.done,
        figures.seconds,
        figures.done as f64 / figures.seconds,
        figures.challenged,
        figures.again,
        figures.failed,
        cpu * 1000.0 / figures.done.max(1) as f64,
        figures.p50,
        figures.p99,
        usage::resident(pid)? as f64 / 1e6,
        own * 100.0,
        // All in one go leaves no idle time by design; only stolen time spoils.
        [usage::spoiled(100.0, stolen).unwrap_or_default(), &figures.said()].join(" "),
    );
    Ok(())
}

fn own() -> io::Result<f64> {
    usage::cpu_seconds(std::process::id())
}

/// What `/metrics` says.
fn bound(tandem: &Tandem) -> String {
    let said = e2e::merchant::http(tandem.admin, "GET", "/metrics", &[], "").1;
    let line = said
        .lines()
        .find(|line| !line.starts_with('#') && line.starts_with("tandem_registrations"));
    line.unwrap_or("not told").to_owned()
}

fn extensions(contacts: usize) -> String {
    let mut text = String::new();
    for no in 0..contacts {
        let _ = write!(
            text,
            "[[extensions]]\nnumber = \"{}\"\nmerchant = \"test\"\npassword = \"{}\"\n",
            FIRST + no,
            password(no)
        );
    }
    text
}

fn password(no: usize) -> String {
    format!("k7Qm2XwT9p{no}")
}

/// What a round found.
struct Figures {
    done: u64,
    seconds: f64,
    challenged: u64,
    again: u64,
    failed: u64,
    /// Final answers that were no 200, by status.
    statuses: BTreeMap<u16, u64>,
    p50: f64,
    p99: f64,
}

impl Figures {
    fn said(&self) -> String {
        let each = self.statuses.iter().map(|(status, count)| format!("{count} × {status}"));
        each.collect::<Vec<_>>().join(", ")
    }
}

/// One contact.
#[derive(Clone, Default)]
struct Contact {
    cseq: u32,
    /// The challenge that was answered last, and how often.
    challenge: String,
    count: u32,
    /// How often this registration was challenged.
    challenged: u32,
    /// When its registration began, and when its request was sent last; `None`: nothing is under way.
    begun: Option<Instant>,
    sent: Option<Instant>,
}

struct Phones {
    socket: UdpSocket,
    address: SocketAddr,
    switch: SocketAddrV4,
    contacts: Vec<Contact>,
    window: usize,
    out: Batch<MESSAGE>,
}

impl Phones {
    fn new(switch: SocketAddrV4, contacts: usize, window: usize) -> io::Result<Phones> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        large_buffer(&socket);
        let address = socket.local_addr()?;
        let contacts = vec![Contact::default(); contacts];
        Ok(Phones { socket, address, switch, contacts, window, out: Batch::new() })
    }

    /// Every contact registers once.
    fn round(&mut self) -> io::Result<Figures> {
        let mut poller = Poller::new()?;
        poller.watch(&self.socket, 0)?;
        let mut batch: Batch<MESSAGE> = Batch::new();
        let mut figures = Figures {
            done: 0,
            seconds: 0.0,
            challenged: 0,
            again: 0,
            failed: 0,
            statuses: BTreeMap::new(),
            p50: 0.0,
            p99: 0.0,
        };
        let mut waits = Vec::with_capacity(self.contacts.len());
        let mut watched: VecDeque<(Instant, usize)> = VecDeque::new();
        let (mut next, mut under_way) = (0, 0);
        let begun = Instant::now();
        while next < self.contacts.len() || under_way > 0 {
            while under_way < self.window && next < self.contacts.len() {
                self.contacts[next].begun = Some(Instant::now());
                watched.push_back((self.ask(next), next));
                next += 1;
                under_way += 1;
            }
            self.flush();
            while let Some((at, no)) =
                watched.front().copied().filter(|(at, _)| at.elapsed() > AGAIN)
            {
                watched.pop_front();
                if self.contacts[no].sent == Some(at) {
                    figures.again += 1;
                    watched.push_back((self.ask(no), no));
                }
            }
            for _ in poller.wait(Duration::from_millis(20)) {}
            loop {
                let mut count = 0;
                for bytes in batch.receive(&self.socket) {
                    count += 1;
                    match self.hear(bytes) {
                        Heard::Nothing => {}
                        Heard::Challenged(no) => {
                            figures.challenged += 1;
                            watched.push_back((self.ask(no), no));
                        }
                        Heard::Ended(status, wait) => {
                            let good = status == 200;
                            if !good {
                                *figures.statuses.entry(status).or_insert(0) += 1;
                            }
                            under_way -= 1;
                            figures.done += u64::from(good);
                            figures.failed += u64::from(!good);
                            waits.push(wait);
                        }
                    }
                }
                self.flush();
                if count < BATCH {
                    break;
                }
            }
        }
        figures.seconds = begun.elapsed().as_secs_f64();
        waits.sort_unstable();
        let at =
            |share: usize| waits.get(waits.len() * share / 100).map_or(0.0, Duration::as_secs_f64);
        (figures.p50, figures.p99) = (at(50) * 1000.0, at(99) * 1000.0);
        Ok(figures)
    }

    /// Sends a REGISTER with what credentials there are; the instant.
    fn ask(&mut self, no: usize) -> Instant {
        let contact = &mut self.contacts[no];
        contact.cseq += 1;
        let (user, uri) = (FIRST + no, "sip:tandem.example");
        let mut text = format!(
            "REGISTER {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bKr{no}x{cseq};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{user}@tandem.example>;tag=f{no}\r\n\
             To: <sip:{user}@tandem.example>\r\nCall-ID: {no}@load\r\nCSeq: {cseq} REGISTER\r\n\
             Contact: <sip:{user}@{at}>\r\nExpires: 3600\r\n",
            at = self.address,
            cseq = contact.cseq,
        );
        if !contact.challenge.is_empty() {
            contact.count += 1;
            let who = Credentials { user: user.to_string(), password: password(no) };
            let challenges = [contact.challenge.as_str()];
            let value = phone::digest::answer(&challenges, &who, "REGISTER", uri, contact.count);
            let _ = write!(text, "Authorization: {}\r\n", value.unwrap_or_default());
        }
        text.push_str("Content-Length: 0\r\n\r\n");
        let now = Instant::now();
        contact.sent = Some(now);
        if self.out.is_full() {
            self.flush();
        }
        self.out.push_bytes(self.switch, text.as_bytes());
        now
    }

    fn hear(&mut self, bytes: &[u8]) -> Heard {
        let text = String::from_utf8_lossy(bytes);
        let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let no = line("Call-ID: ").and_then(|id| id.strip_suffix("@load")?.parse::<usize>().ok());
        let cseq = line("CSeq: ").and_then(|value| value.split(' ').next()?.parse::<u32>().ok());
        let status: u16 =
            text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let Some(contact) = no.and_then(|no| self.contacts.get_mut(no)) else {
            return Heard::Nothing;
        };
        // A late answer to a copy's predecessor.
        if Some(contact.cseq) != cseq || contact.sent.is_none() || status < 200 {
            return Heard::Nothing;
        }
        contact.sent = None;
        if let (401, Some(challenge), Some(no)) = (status, line("WWW-Authenticate: "), no)
            && contact.challenged < CHALLENGES_MAX
        {
            contact.challenged += 1;
            contact.challenge = challenge.to_owned();
            contact.count = 0;
            return Heard::Challenged(no);
        }
        contact.challenged = 0;
        let wait = contact.begun.take().map_or(Duration::ZERO, |begun| begun.elapsed());
        Heard::Ended(status, wait)
    }

    fn flush(&mut self) {
        if !self.out.is_empty() {
            self.out.send(&self.socket);
        }
    }
}

/// What an answer means.
enum Heard {
    Nothing,
    Challenged(usize),
    /// The final status, and after how long.
    Ended(u16, Duration),
}
