//! The process is killed in the middle of its writes, again and again: what was answered is there, what was
//! not is whole or absent, and everything repeated afterwards happens once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use billing::{Store, StoreConfig};
use facts::ledger::JournalLeg;
use facts::{CallId, LegId, LegNo, Micros};
use support::*;

const KILLS: u64 = 12;
const STORE: &str = "TANDEM_TEST_KILLED_STORE";
const FIRST: &str = "TANDEM_TEST_KILLED_FIRST";

/// The victim: works on calls until it is killed, and says each thing once it is committed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn victim() {
    let (Ok(url), Ok(first)) = (std::env::var(STORE), std::env::var(FIRST)) else { return };
    let first: u64 = first.parse().unwrap();
    let store = Store::open(&url, StoreConfig::default()).await.unwrap();
    let merchant = store.merchant_by_name("test").await.unwrap().unwrap().id;
    let say = |text: String| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "\n{text}").and_then(|()| out.flush()).unwrap();
    };
    let workers: Vec<_> = (0..8)
        .map(|worker| {
            let store = store.clone();
            tokio::spawn(async move {
                for call in (first + worker..).step_by(8) {
                    let command = command(merchant, HOME, HOME_B);
                    granted(&store, call, &command).await;
                    say(format!("authorized {call}"));
                    let journal = JournalLeg {
                        leg: LegId::new(CallId(call), LegNo::A),
                        facts: leg(LegNo::A, &command.a, Some(1), 61),
                        dialog: None,
                    };
                    store.journal(journal).await.unwrap();
                    store.extend(extend(call, LegNo::A, 1)).await.unwrap();
                    let facts = facts(call, &command, Some((Some(1), 62)), Some((Some(2), 62)));
                    store.settle(facts, context()).await.unwrap();
                    say(format!("settled {call}"));
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_at_any_moment_leaves_books_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/tandem.db", folder.path().display());
    let store = Store::open(&url, StoreConfig::default()).await.unwrap();
    let merchant = fill(&store, "100000").await;
    store.close().await;
    drop(store);
    let mut settled = BTreeSet::new();
    for kill in 0..KILLS {
        let (authorized, finished) = run_and_kill(&url, 1 + kill * 1_000_000, 20 + 13 * kill);
        settled.extend(finished);
        let store = Store::open(&url, StoreConfig::default()).await.unwrap();
        in_order(&store).await;
        let open = store.open_calls().await.unwrap();
        for call in authorized.iter().filter(|call| !settled.contains(*call)) {
            let there = store.call(CallId(*call)).await.unwrap();
            assert!(there.is_some(), "call {call} was answered for and is gone");
        }
        // What the restarted process does, twice over, as if it had been killed in the middle of that too.
        for _ in 0..2 {
            for open in &open {
                let mut facts = facts(open.call.0, &open.command, None, None);
                facts.legs = open.legs.iter().map(|leg| leg.facts.clone()).collect();
                store.settle(facts, context()).await.unwrap();
                settled.insert(open.call.0);
            }
        }
        assert_eq!(store.open_calls().await.unwrap(), []);
        assert_eq!(held(&store, merchant).await, Micros::ZERO);
        in_order(&store).await;
        store.close().await;
    }
    let store = Store::open(&url, StoreConfig::default()).await.unwrap();
    for call in &settled {
        let entry = store.call(CallId(*call)).await.unwrap().unwrap();
        assert!(entry.record.is_some(), "call {call} has no record");
    }
    assert!(settled.len() > 50, "{} calls are too few to prove anything", settled.len());
    store.close().await;
}

/// Runs the victim until it has said so many lines, kills it, and returns what it said was authorized and
/// what settled.
fn run_and_kill(url: &str, first: u64, lines: u64) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--nocapture", "--test-threads=1"])
        .env(STORE, url)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut authorized, mut settled) = (BTreeSet::new(), BTreeSet::new());
    let mut heard = 0;
    for line in BufReader::new(victim.stdout.take().unwrap()).lines() {
        let Ok(line) = line else { break };
        let Some((word, call)) = line.split_once(' ') else { continue };
        let Ok(call) = call.parse::<u64>() else { continue };
        match word {
            "authorized" => authorized.insert(call),
            "settled" => settled.insert(call),
            _ => continue,
        };
        heard += 1;
        if heard == lines {
            // Somewhere within the next few writes.
            std::thread::sleep(Duration::from_micros(first % 7 * 300));
            victim.kill().unwrap();
        }
    }
    victim.wait().unwrap();
    (authorized, settled)
}
