//! What every store promises the engine, kept by SQLite and by PostgreSQL. The simulation's store in memory
//! keeps the same cases (`tests/sim/tests/promises.rs`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "tests")]

#[path = "promises/mod.rs"]
mod cases;
mod support;

use std::future::Future;

use billing::rows::Payload;
use billing::{Error, Store, StoreConfig};
use cases::Books;
use facts::ledger::{AddLeg, Added, Authorize, Authorized, Extend, Extended, JournalLeg, OpenCall};
use facts::record::{CallFacts, StateChange};
use facts::{CallId, LegId, LegNo, MerchantId, Micros, UnixMillis};
use support::postgres::Cluster;
use support::{context, fill, in_order, micros};

/// A store with ten minutes in it.
struct OnStore {
    store: Store,
    merchant: MerchantId,
}

/// The cases speak to stores that answer at once.
fn now<T>(work: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work))
}

impl Books for OnStore {
    fn minute(&self) -> Micros {
        micros("1")
    }

    fn merchant(&self) -> MerchantId {
        self.merchant
    }

    fn authorize(&mut self, ask: Authorize) -> Authorized {
        now(self.store.authorize(ask)).unwrap()
    }

    fn abandon(&mut self, call: CallId) {
        now(self.store.abandon(call, self.merchant)).unwrap();
    }

    fn add_leg(&mut self, ask: AddLeg) -> Option<Added> {
        match now(self.store.add_leg(ask)) {
            Ok(answer) => Some(answer),
            Err(Error::Missing(_)) => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn extend(&mut self, ask: Extend) -> Option<Extended> {
        match now(self.store.extend(ask)) {
            Ok(answer) => Some(answer),
            Err(Error::Missing(_)) => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn journal(&mut self, leg: JournalLeg) {
        now(self.store.journal(leg)).unwrap();
    }

    fn papers(&mut self, leg: LegId, dialog: Option<Vec<u8>>) {
        now(self.store.papers(leg, dialog)).unwrap();
    }

    fn alive(&mut self, call: CallId, at: UnixMillis) {
        now(self.store.alive(vec![call], at)).unwrap();
    }

    fn notify(&mut self, change: StateChange) {
        now(self.store.notify(change)).unwrap();
    }

    fn settle(&mut self, facts: CallFacts) {
        now(self.store.settle(facts, context())).unwrap();
    }

    fn balance(&mut self) -> (Micros, Micros) {
        let balance = now(self.store.balance(self.merchant)).unwrap();
        (balance.posted, balance.held)
    }

    fn open_calls(&mut self) -> Vec<OpenCall> {
        now(self.store.open_calls()).unwrap()
    }

    fn farewells(&mut self) -> Vec<JournalLeg> {
        now(self.store.farewells_of(0)).unwrap()
    }

    fn prices(&mut self, call: CallId) -> Vec<(LegNo, Micros)> {
        let cdrs = now(self.store.cdrs(None, 0, 1000)).unwrap();
        cdrs.iter().filter(|cdr| cdr.call == call).map(|cdr| (cdr.leg, cdr.price)).collect()
    }

    fn promised(&mut self, call: CallId) -> (usize, usize) {
        let rows = now(self.store.outbox(None, None, 0, 1000)).unwrap();
        let mine: Vec<_> = rows.iter().filter(|row| row.call == call).collect();
        let states = mine.iter().filter(|row| matches!(row.payload, Payload::State(_))).count();
        (states, mine.len() - states)
    }
}

async fn kept(url: &str, case: fn(&mut dyn Books)) {
    let store = Store::open(url, StoreConfig::default()).await.unwrap();
    let merchant = fill(&store, "10").await;
    case(&mut OnStore { store: store.clone(), merchant });
    in_order(&store).await;
    store.close().await;
}

macro_rules! on_both {
    ($( $case:ident ),* $(,)?) => {
        mod sqlite {
            $( #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let folder = tempfile::tempdir().unwrap();
                let url = format!("sqlite://{}/tandem.db", folder.path().display());
                super::kept(&url, super::cases::$case).await;
            } )*
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn postgres_keeps_every_promise() {
            let Some(cluster) = Cluster::start(false) else { return };
            $( {
                let name = stringify!($case);
                eprintln!("postgres::{name}");
                // PostgreSQL cuts names at 63 bytes.
                kept(&cluster.database(&name[..name.len().min(60)]), cases::$case).await;
            } )*
        }
    };
}

every_promise!(on_both);
