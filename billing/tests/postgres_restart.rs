//! PostgreSQL dies five times under load: no call is lost, none is charged twice, the books balance.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "tests")]

mod support;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use billing::{Error, Store, StoreConfig};
use facts::ledger::{Authorized, JournalLeg};
use facts::{CallId, LegId, LegNo, MerchantId, Micros};
use support::postgres::Cluster;
use support::*;

/// Repeats an operation until the database is there again, as the switch does.
async fn until_done<T, F: Future<Output = Result<T, Error>>>(operation: impl Fn() -> F) -> T {
    for _ in 0..600 {
        match operation().await {
            Ok(value) => return value,
            Err(Error::Unreachable(_) | Error::Busy) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the database never came back");
}

async fn whole_call(store: &Store, merchant: MerchantId, call: u64) -> Micros {
    let command = command(merchant, HOME, HOME_B);
    let answer = until_done(|| store.authorize(authorize(call, &command, T0))).await;
    assert!(matches!(answer, Authorized::Granted { .. }), "{answer:?}");
    let journal = JournalLeg {
        leg: LegId::new(CallId(call), LegNo::A),
        facts: leg(LegNo::A, &command.a, Some(1), 61),
        dialog: None,
    };
    until_done(|| store.journal(journal.clone())).await;
    until_done(|| store.extend(extend(call, LegNo::A, 1))).await;
    let facts = facts(call, &command, Some((Some(1), 62)), Some((Some(2), 62)));
    until_done(|| store.settle(facts.clone(), context())).await.total()
}

const CALLS: u64 = 600;
const WORKERS: u64 = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_at_five_points_leaves_balanced_books() {
    let Some(mut cluster) = Cluster::start(true) else { return };
    let url = cluster.database("tandem");
    let store = Store::open(&url, StoreConfig::default()).await.unwrap();
    let merchant = fill(&store, "100000").await;
    let (next, settled) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicU64::new(0)));
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            let store = store.clone();
            let (next, settled) = (Arc::clone(&next), Arc::clone(&settled));
            tokio::spawn(async move {
                loop {
                    let call = next.fetch_add(1, Ordering::SeqCst);
                    if call > CALLS {
                        return;
                    }
                    assert_eq!(whole_call(&store, merchant, call).await, micros("3"));
                    settled.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let killer = tokio::task::spawn_blocking(move || {
        for point in 1..=5 {
            while settled.load(Ordering::SeqCst) < point * CALLS / 6 {
                std::thread::sleep(Duration::from_millis(1));
            }
            cluster.kill();
            std::thread::sleep(Duration::from_millis(100));
            cluster.boot();
        }
        cluster
    });
    for worker in workers {
        worker.await.unwrap();
    }
    let mut cluster = killer.await.unwrap();

    // A program that starts now, too, finds nothing open and everything right.
    cluster.kill();
    cluster.boot();
    let store = Store::open(&url, StoreConfig::default()).await.unwrap();
    assert_eq!(store.open_calls().await.unwrap(), []);
    assert_eq!(store.cdrs(None, 0, 10_000).await.unwrap().len() as u64, 2 * CALLS);
    assert_eq!(held(&store, merchant).await, Micros::ZERO);
    let spent = Micros::units(3 * i64::try_from(CALLS).unwrap());
    assert_eq!(posted(&store, merchant).await, Micros::units(100_000) - spent);
    in_order(&store).await;
}
