//! The outbox worker: leases rows that are due, sends each, and writes down what came of it.
//!
//! The store keeps order per call; this worker keeps endpoints apart. Each endpoint (a merchant and an
//! authority) has its own lane with a few sends at once, and an endpoint that does not answer at all is left
//! alone for a while, so that a dead merchant delays nobody else. A row is written out once; every attempt
//! sends the same bytes. A crash between the answer and the note of it sends a row again: at least once.
//!
//! The store is visited in turns, one at a time: a turn notes what came of all sends since the last and
//! leases what is due, in one transaction. However many calls end in a second, there are a few dozen turns.

mod desk;
mod lanes;
mod send;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use billing::Report;
use facts::Dialect;
use tokio::sync::{Notify, watch};
use tokio::task::{Id, JoinError, JoinSet};

use crate::counters::{Counters, count};
use crate::guard::GuardedClient;
use crate::state::now;
use desk::Desk;
use lanes::{Endpoint, Lanes, Verdict};
use send::Sender;

pub(crate) use send::failure;

/// Knobs of the worker.
#[derive(Clone, Debug)]
pub struct PushConfig {
    /// Sends at once.
    pub at_once: usize,
    /// Sends at once to one endpoint.
    pub at_once_per_endpoint: usize,
    /// Longest time a send may take; the guard's own total may be less.
    pub timeout: Duration,
    /// Rows taken from the outbox at a time.
    pub batch: u32,
    /// How long a taken row is ours. Longer than a send may take.
    pub lease: Duration,
    /// Between two visits to the store at least: each is a write, and finds what came since the last.
    pub gather: Duration,
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
            timeout: Duration::from_secs(10),
            batch: 256,
            lease: Duration::from_secs(60),
            gather: Duration::from_millis(20),
            poll: Duration::from_millis(250),
            circuit_after: 10,
            circuit_pause: Duration::from_secs(30),
            delays: None,
            drain: Duration::from_secs(12),
        }
    }
}

/// What a send came to: of which dialect the row was, what it says about the endpoint, what is to be noted.
type Sent = (Dialect, Verdict, Report);

/// Delivers the outbox until `stop` turns true. `wake` shortens the sleep when a row was just written.
pub async fn run(
    store: billing::Store,
    guard: GuardedClient,
    config: PushConfig,
    counters: Arc<Counters>,
    wake: Arc<Notify>,
    mut stop: watch::Receiver<bool>,
) {
    let mut worker = Worker {
        lanes: Lanes::new(config.at_once, config.at_once_per_endpoint),
        desk: Desk::new(store, &config, Arc::clone(&counters)),
        sender: Arc::new(Sender { guard, config, counters }),
        sends: JoinSet::new(),
        to: HashMap::new(),
    };
    loop {
        worker.start_sends();
        worker.desk.begin(worker.lanes.room());
        let pause = worker.desk.pause();
        tokio::select! {
            rows = worker.desk.finished() => {
                let now = Instant::now();
                rows.into_iter().for_each(|row| worker.lanes.add(row, now));
            }
            Some(done) = worker.sends.join_next_with_id() => worker.sent(done),
            () = wake.notified() => worker.desk.look(),
            () = tokio::time::sleep(pause) => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    worker.finish().await;
}

struct Worker {
    sender: Arc<Sender>,
    lanes: Lanes,
    desk: Desk,
    sends: JoinSet<Sent>,
    /// Whom each send goes to: a send that panics tells no more than its id.
    to: HashMap<Id, Endpoint>,
}

impl Worker {
    fn start_sends(&mut self) {
        while let Some((endpoint, leased)) = self.lanes.start(now(), self.sender.config.timeout) {
            let sender = Arc::clone(&self.sender);
            let send = self.sends.spawn(async move {
                let dialect = leased.row.dialect;
                let (verdict, report) = sender.deliver(leased).await;
                (dialect, verdict, report)
            });
            self.to.insert(send.id(), endpoint);
        }
    }

    /// Takes in the result of a send, and of all others that are over.
    fn sent(&mut self, mut done: Result<(Id, Sent), JoinError>) {
        loop {
            self.one_sent(done);
            match self.sends.try_join_next_with_id() {
                Some(next) => done = next,
                None => return,
            }
        }
    }

    fn one_sent(&mut self, done: Result<(Id, Sent), JoinError>) {
        let (id, verdict) = match done {
            Ok((id, (dialect, verdict, report))) => {
                // The next row of its stream becomes due by this report. Only system 001 and our own surface
                // have streams of more than one row.
                self.desk.report(report, matches!(dialect, Dialect::Ytx | Dialect::Rest));
                (id, verdict)
            }
            Err(error) => {
                // Nothing is noted: the row comes again when its lease ends.
                tracing::error!(%error, "push: a send broke off");
                (error.id(), Verdict::Silent)
            }
        };
        let Some(endpoint) = self.to.remove(&id) else { return };
        let config = &self.sender.config;
        let (after, pause) = (config.circuit_after, config.circuit_pause);
        if self.lanes.finish(&endpoint, verdict, after, pause, Instant::now()) {
            count(&self.sender.counters.push_circuit_opened);
            let endpoint = endpoint.authority();
            tracing::warn!(endpoint, "push: endpoint does not answer, left alone");
        }
    }

    /// Lets sends under way end and notes them. What waits in the lanes goes back by itself when its lease ends.
    async fn finish(mut self) {
        let deadline = tokio::time::Instant::now() + self.sender.config.drain;
        let rest = async {
            while let Some(done) = self.sends.join_next_with_id().await {
                self.sent(done);
            }
        };
        if tokio::time::timeout_at(deadline, rest).await.is_err() {
            tracing::warn!("pushes under way were cut off; they will be sent again");
        }
        self.desk.close().await;
    }
}
