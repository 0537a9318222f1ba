//! `menu-load`: menus of system 003 that are open at once, what a step takes beyond the merchant's own time, and what a
//! session costs; the same beside pages that do harm; payments, and questions after them.
//!
//! The real binary, its ledger on SQLite, real SIP (INVITE, INFO, BYE as 3GPP TS 24.390 has them), real visits of pages. A
//! screen counts only when it is the very one that the page wrote for this subscriber and step. A step's time runs from the
//! moment somebody dials or types to the moment his screen is read; what the page itself took is known to it and taken off.
//! Subscribers and pages are a thread each; their share of a core is printed.

#![allow(clippy::print_stdout, reason = "the table is the product")]

mod pages;
mod paying;
mod subscribers;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use e2e::country::{KEY, USER, Wish, operator};
use e2e::tandem::{Setup, Tandem};
use load::ask::{percentile, sorted};
use load::usage::{self, Machine};

use pages::{HARMS, Pages, STEPS};
use subscribers::{Account, Busy, Network, Seen, code};

/// Measures menus.
#[derive(Parser)]
struct Arguments {
    /// Sessions open at once, one run each; 0: none.
    #[arg(long, value_delimiter = ',', default_value = "1000")]
    up: Vec<usize>,
    /// Of a hundred subscribers, who dial pages that do harm; one run each.
    #[arg(long, value_delimiter = ',', default_value = "0,20", value_parser = clap::value_parser!(u8).range(0..=50))]
    harm: Vec<u8>,
    /// From a screen to what is typed, in milliseconds.
    #[arg(long, default_value_t = 3_000)]
    think_ms: u64,
    /// What the merchant's page takes, in milliseconds.
    #[arg(long, default_value_t = 20)]
    page_ms: u64,
    /// Length of the plateau in seconds, and how long is asked what was paid.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How often everything is done.
    #[arg(long, default_value_t = 1)]
    repeat: u32,
    /// Payments by the gateway for tests; 0: none.
    #[arg(long, default_value_t = 0)]
    payments: usize,
    /// Invoices among which is asked for one; 0: nothing is asked.
    #[arg(long, default_value_t = 0)]
    invoices: u32,
}

fn main() -> io::Result<()> {
    load::sys::raise_file_limit()?;
    let arguments = Arguments::parse();
    if arguments.up != [0] {
        println!(
            "{:>6} {:>5} {:>7} {:>7} {:>7} {:>6} {:>7} {:>18} {:>6} {:>15} {:>10} {:>7} {:>7} {:>5} {:>5} {:>6}  notes",
            "up",
            "harm%",
            "open",
            "ended/s",
            "steps/s",
            "wrong",
            "refused",
            "over p50/p99/max",
            "harms",
            "harm p50/max",
            "cpu s/1000",
            "%core",
            "RSS MB",
            "gen%",
            "idle%",
            "steal%"
        );
        for _ in 0..arguments.repeat {
            for up in &arguments.up {
                for harm in &arguments.harm {
                    run(*up, usize::from(*harm), &arguments)?;
                }
            }
        }
    }
    if arguments.payments > 0 || arguments.invoices > 0 {
        for _ in 0..arguments.repeat {
            let asked = Duration::from_secs(arguments.seconds);
            paying::run((arguments.payments, arguments.invoices), asked)?;
        }
    }
    Ok(())
}

/// What nobody offers here limits by.
const SETTINGS: [&str; 4] =
    ["log.level=error", "http.address_rate=off", "http.merchant_rate=off", "call.max=1000000"];

/// The switch, a merchant with a good page, and another whose pages do harm. Menus come from the network at `network`.
fn start(folder: &std::path::Path, pages: &Pages, network: u16) -> Tandem {
    let mut more = format!(
        "\n[[merchants]]\nname = \"harm\"\nkey = \"{KEY}\"\nstatus = \"approved\"\ntariff = \"standard\"\n\
         [[top_ups]]\nid = \"harm\"\nmerchant = \"harm\"\namount = \"1000000\"\n"
    );
    let mut add = |code: &str, merchant: &str, path: &str| {
        more += &format!(
            "[[ussd_codes]]\ncode = \"{code}\"\nmerchant = \"{merchant}\"\npage = \"{}\"\nprice = \"0.01\"\n\
             language = \"en\"\npage_seconds = {}\n",
            pages.url(path),
            if merchant == USER { 8 } else { 2 },
        );
    };
    add(&code(None), USER, "good");
    for (kind, path) in HARMS.iter().enumerate() {
        add(&code(Some(kind)), "harm", path);
    }
    let wish = Wish { balance: "1000000", record: false, more, ..Wish::default() };
    let settings = SETTINGS.map(str::to_owned).into();
    Tandem::start(folder, &Setup { settings, operator: operator(&wish, network, 9) })
}

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

fn run(up: usize, harm: usize, arguments: &Arguments) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let (think, own) =
        (Duration::from_millis(arguments.think_ms), Duration::from_millis(arguments.page_ms));
    let pages = Arc::new(Pages::start(up, own)?);
    let (socket, at) = Network::socket()?;
    let tandem = start(folder.path(), &pages, at.port());
    let SocketAddr::V4(sip) = tandem.sip else { return Err(io::Error::other("not IPv4")) };
    // As long as one session, so that they are spread evenly over its steps.
    let session = (think + own) * u32::try_from(STEPS).unwrap_or(1);
    let busy = Network::start((socket, at), sip, Arc::clone(&pages), (up, harm), (think, session));
    std::thread::sleep(session + Duration::from_secs(1));
    let before = Sample::take(tandem.pid())?;
    let open = watch(&busy, Duration::from_secs(arguments.seconds));
    let after = Sample::take(tandem.pid())?;
    let resident = usage::resident(tandem.pid())?;
    let account = busy.end();
    report((up, harm), open, &account, (&before, &after), resident);
    drop(pages);
    // Whoever was at it is given up by the switch in its own time; what is written is in order all along.
    let (books, said) = tandem.run(&["check", "--books"]);
    if books { Ok(()) } else { Err(io::Error::other(said)) }
}

/// Sessions that were open, on average.
fn watch(busy: &Busy, plateau: Duration) -> f64 {
    let (ends, mut sum, mut looks) = (Instant::now() + plateau, 0.0, 0.0);
    while Instant::now() < ends {
        std::thread::sleep(Duration::from_millis(50));
        sum += busy.open() as f64;
        looks += 1.0;
    }
    sum / f64::max(looks, 1.0)
}

fn report(
    (up, harm): (usize, usize),
    open: f64,
    account: &Account,
    (before, after): (&Sample, &Sample),
    resident: u64,
) {
    let seconds = (after.at - before.at).as_secs_f64();
    let plateau = |seen: &&Seen| seen.at >= before.at && seen.at < after.at;
    let (bad, good): (Vec<&Seen>, Vec<&Seen>) =
        account.seen.iter().filter(plateau).partition(|seen| seen.harm);
    let over = sorted(good.iter().map(|seen| seen.took.saturating_sub(seen.own)));
    let harms = sorted(bad.iter().map(|seen| seen.took));
    let wrong = good.iter().chain(&bad).filter(|seen| !seen.right).count();
    let ended = good.iter().chain(&bad).filter(|seen| seen.last).count();
    let (idle, stolen) = after.machine.since(&before.machine);
    let switch = after.switch - before.switch;
    let mut notes: Vec<String> =
        usage::spoiled(idle, stolen).map(str::to_owned).into_iter().collect();
    if account.copies > 0 {
        notes.push(format!("{} copies", account.copies));
    }
    println!(
        "{up:>6} {harm:>5} {open:>7.0} {:>7.1} {:>7.1} {wrong:>6} {:>7} {:>18} {:>6} {:>15} {:>10.3} {:>7.1} {:>7.1} {:>5.1} {idle:>5.1} {stolen:>6.1}  {}",
        ended as f64 / seconds,
        good.len() as f64 / seconds,
        account.refused,
        format!(
            "{:.1}/{:.1}/{:.1}",
            percentile(&over, 50),
            percentile(&over, 99),
            percentile(&over, 100)
        ),
        bad.len(),
        format!("{:.0}/{:.0}", percentile(&harms, 50), percentile(&harms, 100)),
        switch / ended.max(1) as f64 * 1000.0,
        switch / seconds * 100.0,
        resident as f64 / 1e6,
        (after.own - before.own) / seconds * 100.0,
        notes.join(", "),
    );
}
