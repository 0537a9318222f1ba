//! The outbox worker: leases rows that are due, sends each, and writes down what came of it.
//!
//! The store keeps order per call; this worker keeps endpoints apart. Each endpoint (a merchant and an
//! authority) has its own lane with a few sends at once, and an endpoint that does not answer at all is left
//! alone for a while, so that a dead merchant delays nobody else. A row is written out once; every attempt
//! sends the same bytes. A crash between the answer and the note of it sends a row again: at least once.

mod lanes;
mod send;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::counters::{Counters, count};
use crate::guard::GuardedClient;
use crate::state::now;
use lanes::{Lanes, Verdict};
use send::Sender;

/// Knobs of the worker.
#[derive(Clone, Debug)]
pub struct PushConfig {
    /// Sends at once.
    pub at_once: usize,
    /// Sends at once to one endpoint.
    pub at_once_per_endpoint: usize,
    /// Rows taken from the outbox at a time.
    pub batch: u32,
    /// How long a taken row is ours. Longer than a send may take.
    pub lease: Duration,
    /// Longest sleep between looks into the outbox.
    pub poll: Duration,
    /// Sends without any answer in a row after which an endpoint is left alone.
    pub circuit_after: u32,
    /// For how long.
    pub circuit_pause: Duration,
    /// Waits before each send, in place of each dialect's own: for operators who test. The list's length is
    /// the number of sends.
    pub delays: Option<Vec<Duration>>,
    /// For sends under way to finish at shutdown.
    pub drain: Duration,
}

impl Default for PushConfig {
    fn default() -> Self {
        PushConfig {
            at_once: 1024,
            at_once_per_endpoint: 8,
            batch: 256,
            lease: Duration::from_secs(60),
            poll: Duration::from_millis(250),
            circuit_after: 10,
            circuit_pause: Duration::from_secs(30),
            delays: None,
            drain: Duration::from_secs(12),
        }
    }
}

/// Between looks into the outbox, however often it is said to have changed: a look is a write, and one finds
/// what came since the last.
const LOOKS_APART: Duration = Duration::from_millis(10);
/// Pause after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Delivers the outbox until `stop` turns true. `wake` shortens the sleep when a row was just written.
pub async fn run(
    store: billing::Store,
    guard: GuardedClient,
    config: PushConfig,
    counters: Arc<Counters>,
    wake: Arc<Notify>,
    mut stop: watch::Receiver<bool>,
) {
    let sender = Arc::new(Sender { store, guard, config, counters });
    let config = &sender.config;
    let mut lanes = Lanes::new(config.at_once, config.at_once_per_endpoint);
    let mut sends: JoinSet<(lanes::Endpoint, Verdict)> = JoinSet::new();
    let mut looked: Option<Instant> = None;
    loop {
        let rest = looked.map_or(Duration::ZERO, |at| LOOKS_APART.saturating_sub(at.elapsed()));
        let pause = if rest.is_zero() {
            let pause = fill(&sender, &mut lanes).await.unwrap_or(STORE_PAUSE);
            looked = Some(Instant::now());
            pause
        } else {
            rest
        };
        while let Some((endpoint, row)) = lanes.start(now(), send::TIMEOUT) {
            let sender = Arc::clone(&sender);
            sends.spawn(async move {
                // A task of its own, so that a fault in it still frees the lane.
                let send = tokio::spawn(async move { sender.deliver(row).await });
                (endpoint, send.await.unwrap_or(Verdict::Silent))
            });
        }
        tokio::select! {
            Some(done) = sends.join_next() => {
                finish(&sender, &mut lanes, done);
                while let Some(done) = sends.try_join_next() {
                    finish(&sender, &mut lanes, done);
                }
            }
            () = wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    // What is waiting in the lanes goes back by itself when its lease ends.
    let rest = async { while sends.join_next().await.is_some() {} };
    if tokio::time::timeout(config.drain, rest).await.is_err() {
        tracing::warn!("pushes under way were cut off; they will be sent again");
    }
}

/// Leases what is due, if there is room. Says how long there is nothing to do; `None` when the store failed.
async fn fill(sender: &Sender, lanes: &mut Lanes) -> Option<Duration> {
    let config = &sender.config;
    let limit = u32::try_from(lanes.room()).unwrap_or(u32::MAX).min(config.batch);
    if limit == 0 {
        return Some(config.poll);
    }
    match sender.store.lease(now(), limit, config.lease).await {
        Ok(rows) => {
            let full = rows.len() >= limit as usize;
            for row in rows {
                lanes.add(row, Instant::now());
            }
            Some(if full { Duration::ZERO } else { config.poll })
        }
        Err(error) => {
            count(&sender.counters.push_store_errors);
            tracing::warn!(%error, "push: the outbox cannot be read");
            None
        }
    }
}

fn finish(
    sender: &Sender,
    lanes: &mut Lanes,
    done: Result<(lanes::Endpoint, Verdict), tokio::task::JoinError>,
) {
    let (endpoint, verdict) = match done {
        Ok(done) => done,
        Err(error) => {
            tracing::error!(%error, "push: a send broke off");
            return;
        }
    };
    let config = &sender.config;
    let opened = lanes.finish(
        &endpoint,
        verdict,
        config.circuit_after,
        config.circuit_pause,
        Instant::now(),
    );
    if opened {
        count(&sender.counters.push_circuit_opened);
        tracing::warn!(
            endpoint = endpoint.authority(),
            "push: endpoint does not answer, left alone"
        );
    }
}
