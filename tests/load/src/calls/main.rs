//! `call-load`: what setting up and tearing down two-way calls costs the whole product.
//!
//! The real binary, its ledger, real HTTP requests, real SIP on both sides, the result notification
//! delivered: nothing is left out but sound. Requests leave by absolute deadlines. The switch is charged by
//! the kernel's accounting over the plateau; a call counts only when its merchant was told `success`. The
//! far ends and the merchant are one thread that answers by copying, so that two cores are enough for both
//! sides; its own share is printed.

#![allow(clippy::print_stdout, reason = "the table is the product")]

mod account;
mod kamailio;
mod lines;
mod phones;
mod run;
mod soak;
mod squatters;
mod web;

use std::io;

use clap::Parser;
use load::usage;

use lines::Over;
use run::{Books, Outcome, Plan, Switch};

/// Measures signalling, money and notification together.
#[derive(Parser)]
struct Arguments {
    /// Calls a second, one run each.
    #[arg(long, value_delimiter = ',', default_value = "50,100,200")]
    rates: Vec<u32>,
    /// Calls up at once, one run each at the first rate: talk time follows from it.
    #[arg(long, value_delimiter = ',')]
    up: Vec<u32>,
    /// Length of the plateau in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// How often everything is done.
    #[arg(long, default_value_t = 1)]
    repeat: u32,
    /// Time from 180 to 200 in milliseconds, each leg.
    #[arg(long, default_value_t = 0)]
    ring_ms: u64,
    /// Talk time in milliseconds.
    #[arg(long, default_value_t = 500)]
    talk_ms: u64,
    /// What is measured.
    #[arg(long, value_enum, default_value_t = Switch::Tandem)]
    switch: Switch,
    /// What the carriers speak.
    #[arg(long, value_enum, default_value_t = Over::Udp)]
    over: Over,
    /// Where the books are.
    #[arg(long, value_enum, default_value_t = Books::Sqlite)]
    books: Books,
    /// Memory every minute, and that nothing is left 45 s after the last call.
    #[arg(long)]
    soak: bool,
    /// Connections of nobody that are held open meanwhile, from 250 addresses.
    #[arg(long, default_value_t = 0)]
    squatters: usize,
    /// CPU by thread and waits by stage after each run.
    #[arg(long)]
    details: bool,
}

/// Seconds before the plateau.
const RAMP: u32 = 3;

fn main() -> io::Result<()> {
    load::sys::raise_file_limit()?;
    let arguments = Arguments::parse();
    println!(
        "{:>7} {:>6} {:>7} {:>7} {:>7} {:>6} {:>10} {:>15} {:>15} {:>6} {:>6} {:>5} {:>5} {:>6}  notes",
        "calls/s",
        "up",
        "offered",
        "refused",
        "success",
        "copies",
        "cpu s/1000",
        "HTTP p50/p99 ms",
        "A-to-B p50/p99",
        "RSS MB",
        "kB/up",
        "gen%",
        "idle%",
        "steal%",
    );
    let mut plans = Vec::new();
    let plan = |rate, ramp, talk_ms| Plan {
        switch: arguments.switch,
        rate,
        ramp,
        seconds: arguments.seconds,
        ring_ms: arguments.ring_ms,
        talk_ms,
        books: arguments.books,
        over: arguments.over,
        soak: arguments.soak,
        squatters: arguments.squatters,
    };
    if arguments.up.is_empty() {
        plans.extend(arguments.rates.iter().map(|rate| plan(*rate, RAMP, arguments.talk_ms)));
    }
    for up in &arguments.up {
        let rate = arguments.rates.first().copied().unwrap_or(50);
        let talk_ms = u64::from(*up) * 1000 / u64::from(rate.max(1));
        plans.push(plan(rate, RAMP + u32::try_from(talk_ms.div_ceil(1000)).unwrap_or(0), talk_ms));
    }
    for _ in 0..arguments.repeat {
        for plan in &plans {
            print(plan, &run::run(plan)?, arguments.details);
        }
    }
    Ok(())
}

fn print(plan: &Plan, outcome: &Outcome, details: bool) {
    let account = &outcome.account;
    let [http, to_a, a_to_b, b_to_b, bye] = outcome.waits();
    let mut notes: Vec<String> =
        usage::spoiled(outcome.idle, outcome.stolen).map(str::to_owned).into_iter().collect();
    notes.extend(account.failures.iter().map(|(kind, count)| format!("{count} × {kind}")));
    if outcome.refused() > 0 {
        let told = outcome.refusals();
        notes.push(format!(
            "{:.0}/s carried, refused within p50/p99 {:.1}/{:.1} ms",
            outcome.goodput(),
            told.p50,
            told.p99
        ));
    }
    if account.told_again > 0 {
        notes.push(format!("{} told again", account.told_again));
    }
    let kilobytes = |octets: u64| octets as f64 / 1024.0;
    let [empty, full] = outcome.resident;
    let pair = |waits: &run::Pair| format!("{:.2}/{:.2}", waits.1.p50, waits.1.p99);
    println!(
        "{:>7} {:>6} {:>7} {:>7} {:>7} {:>6} {:>10.3} {:>15} {:>15} {:>6.1} {:>6.1} {:>5.1} {:>5.1} {:>6.1}  {}",
        plan.rate,
        outcome.up,
        account.calls.len(),
        outcome.refused(),
        account.succeeded,
        format!("{}+{}", account.copies_heard, account.copies_sent),
        outcome.cpu * 1000.0 / outcome.done.max(1) as f64,
        pair(&http),
        pair(&a_to_b),
        full as f64 / 1e6,
        kilobytes(full.saturating_sub(empty)) / outcome.up.max(1) as f64,
        outcome.generator * 100.0,
        outcome.idle,
        outcome.stolen,
        notes.join(", "),
    );
    if details {
        for waits in [http, to_a, a_to_b, b_to_b, bye] {
            println!(
                "        {:<24} p50 {:>8.3} ms  p99 {:>8.3} ms",
                waits.0, waits.1.p50, waits.1.p99
            );
        }
        for (name, seconds) in outcome.threads.iter().filter(|(_, seconds)| **seconds > 0.0) {
            let each = seconds * 1000.0 / outcome.done.max(1) as f64;
            println!("        {name:<24} {each:>8.3} s/1000");
        }
        println!("        connections of notifications: {}", outcome.connections_heard);
    }
}
