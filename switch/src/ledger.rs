//! The engine's questions to the store, asked on other threads; each answer comes back as a reply.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use billing::{Error, SettleContext, Store};
use call::Reply;
use facts::ledger::{Authorize, Authorized, Extend, JournalLeg};
use facts::media::RecordedFile;
use facts::{
    Binding, CallFacts, CallId, LegId, LegNo, MerchantId, Outcome, StateChange, UnixMillis,
};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tracing::Instrument as _;

use crate::directory::Directory;
use crate::inbox::{Fact, Inbox};
use crate::lanes::Lanes;

/// Carries out effects that end in the store.
#[derive(Clone)]
pub(crate) struct Ledger {
    store: Store,
    inbox: Inbox,
    directory: Arc<Directory>,
    calls: Lanes<CallId>,
    users: Lanes<String>,
    runtime: Handle,
    context: SettleContext,
    /// Recordings that the last process did not finish, put right since.
    recordings: Arc<BTreeMap<CallId, RecordedFile>>,
    /// Wakes whoever delivers notifications.
    outbox: Arc<Notify>,
    counts: Arc<LedgerCounts>,
}

/// What became of the questions, for metrics.
#[derive(Debug, Default)]
pub(crate) struct LedgerCounts {
    pub(crate) granted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) settled: AtomicU64,
    pub(crate) failures: AtomicU64,
}

/// A reply that the engine waits for: unless another one is paid, the refusal given here is, even when
/// the work in between panics.
struct Owed {
    inbox: Inbox,
    reply: Option<Reply>,
}

impl Owed {
    fn new(inbox: &Inbox, otherwise: Reply) -> Owed {
        Owed { inbox: inbox.clone(), reply: Some(otherwise) }
    }

    fn pay(mut self, reply: Reply) {
        self.reply = Some(reply);
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take() {
            self.inbox.fact(Fact::Reply(reply));
        }
    }
}

/// Attempts to write what nobody waits for: a store that stalls for a minute loses nothing.
const TRIES: u32 = 300;
/// Time between them.
const PAUSE: Duration = Duration::from_millis(200);

impl Ledger {
    pub(crate) fn new(
        store: Store,
        inbox: Inbox,
        directory: Arc<Directory>,
        runtime: Handle,
        context: SettleContext,
        outbox: Arc<Notify>,
        recordings: BTreeMap<CallId, RecordedFile>,
    ) -> Ledger {
        let (calls, users) = (Lanes::new(runtime.clone()), Lanes::new(runtime.clone()));
        Ledger {
            store,
            inbox,
            directory,
            calls,
            users,
            runtime,
            context,
            recordings: Arc::new(recordings),
            outbox,
            counts: Arc::default(),
        }
    }

    pub(crate) fn counts(&self) -> &LedgerCounts {
        &self.counts
    }

    /// Writes that ended in a panic; the one after each went on.
    pub(crate) fn panics(&self) -> u64 {
        self.calls.panics() + self.users.panics()
    }

    /// Calls and users with writes under way.
    pub(crate) fn busy(&self) -> usize {
        self.calls.busy() + self.users.busy()
    }

    /// Work of one call, after all that was asked for it before; what it logs bears the call and the leg.
    fn in_order(
        &self,
        call: CallId,
        leg: Option<LegNo>,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let span = match leg {
            Some(leg) => tracing::info_span!("leg", %call, %leg),
            None => tracing::info_span!("call", %call),
        };
        self.calls.push(call, move || Box::pin(work.instrument(span)));
    }

    pub(crate) fn authorize(&self, ask: Authorize) {
        let this = self.clone();
        self.in_order(ask.call, None, async move {
            let (call, dialect) = (ask.call, ask.command.dialect);
            let (merchant, keyed) = (ask.command.merchant, ask.command.key.is_some());
            let owed = Owed::new(&this.inbox, Reply::AuthorizeFailed { call });
            let reply = match this.store.authorize(ask).await {
                Ok(answer) => {
                    this.note_answer(call, dialect, &answer);
                    Reply::Authorized { call, answer }
                }
                Err(error) => {
                    this.failed("authorize", &error);
                    // A repeat of the request must not find the key in the books: the engine keeps it
                    // busy until it hears of the failure, and its own clock answers the merchant in time.
                    // A caller without a key has nothing to repeat and is refused at once.
                    let owed = keyed.then_some(owed);
                    this.abandon(call, merchant).await;
                    drop(owed);
                    return;
                }
            };
            owed.pay(reply);
        });
    }

    /// Takes back an authorization that came too late for whoever asked; answers as one that failed.
    pub(crate) fn take_back(&self, call: CallId, merchant: MerchantId) {
        let this = self.clone();
        self.in_order(call, None, async move {
            let owed = Owed::new(&this.inbox, Reply::AuthorizeFailed { call });
            this.abandon(call, merchant).await;
            this.directory.call_ended(call);
            drop(owed);
        });
    }

    /// Nobody knows whether a failed authorization was committed. Its merchant was told to try again, so
    /// it must leave neither a hold nor a key that answers for a call that never was.
    async fn abandon(&self, call: CallId, merchant: MerchantId) {
        for _ in 0..TRIES {
            match self.store.abandon(call, merchant).await {
                Ok(true) => return tracing::warn!("a half-made authorization was taken back"),
                Ok(false) => return,
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
        // Recovery at the next start settles it: the journal still has it, undialled.
        self.counts.failures.fetch_add(1, Ordering::Relaxed);
        tracing::error!("a half-made authorization could not be taken back before a restart");
    }

    fn note_answer(&self, call: CallId, dialect: facts::Dialect, answer: &Authorized) {
        match answer {
            Authorized::Granted { .. } => {
                self.counts.granted.fetch_add(1, Ordering::Relaxed);
                self.directory.call_began(call, dialect);
                tracing::info!(dialect = dialect.word(), "call authorized");
            }
            Authorized::Existing { call: earlier } => {
                tracing::info!(%earlier, "request repeated; nothing new is placed");
            }
            Authorized::Refused(refusal) => {
                self.counts.refused.fetch_add(1, Ordering::Relaxed);
                tracing::info!(?refusal, "call refused by the ledger");
            }
        }
    }

    pub(crate) fn extend(&self, ask: Extend) {
        let this = self.clone();
        self.in_order(ask.leg.call, Some(ask.leg.no), async move {
            let (leg, step) = (ask.leg, ask.step);
            let owed = Owed::new(&this.inbox, Reply::ExtendFailed { leg, step });
            let reply = match this.store.extend(ask).await {
                Ok(answer) => Reply::Extended { leg, step, answer },
                Err(error) => {
                    this.failed("extend", &error);
                    return;
                }
            };
            owed.pay(reply);
        });
    }

    pub(crate) fn settle(&self, mut facts: CallFacts) {
        if facts.recording.is_none() {
            facts.recording = self.recordings.get(&facts.call).cloned();
        }
        let this = self.clone();
        let (call, context) = (facts.call, self.context.clone());
        self.in_order(call, None, async move {
            let owed = Owed::new(&this.inbox, Reply::SettleFailed { call });
            let reply = match this.store.settle(facts.clone(), context).await {
                Ok(record) => {
                    this.counts.settled.fetch_add(1, Ordering::Relaxed);
                    this.directory.call_ended(call);
                    let outcome = match facts.outcome {
                        Outcome::Completed => "completed",
                        Outcome::Failed(failure) => failure.kind.row().label,
                    };
                    let seconds: Vec<u64> =
                        facts.legs.iter().map(facts::LegFacts::bill_seconds).collect();
                    let total = record.total().to_string();
                    tracing::info!(
                        outcome,
                        ?seconds,
                        total,
                        failed = failed(&facts),
                        "call settled"
                    );
                    this.outbox.notify_one();
                    Reply::Settled { call }
                }
                Err(error) => {
                    this.failed("settle", &error);
                    return;
                }
            };
            owed.pay(reply);
        });
    }

    pub(crate) fn journal(&self, entry: JournalLeg, seq: Option<u32>) {
        let this = self.clone();
        let leg = entry.leg;
        self.in_order(leg.call, Some(leg.no), async move {
            let owed = seq.map(|seq| Owed::new(&this.inbox, Reply::JournalFailed { leg, seq }));
            let store = this.store.clone();
            let written = this.insist("journal", || store.journal(entry.clone())).await;
            if let (Some(owed), Some(seq), true) = (owed, seq, written) {
                owed.pay(Reply::Journaled { leg, seq });
            }
        });
    }

    pub(crate) fn papers(&self, leg: LegId, dialog: Option<Vec<u8>>, seq: Option<u32>) {
        let this = self.clone();
        self.in_order(leg.call, Some(leg.no), async move {
            let owed = seq.map(|seq| Owed::new(&this.inbox, Reply::JournalFailed { leg, seq }));
            let store = this.store.clone();
            let written = this.insist("papers", || store.papers(leg, dialog.clone())).await;
            if let (Some(owed), Some(seq), true) = (owed, seq, written) {
                owed.pay(Reply::Journaled { leg, seq });
            }
        });
    }

    pub(crate) fn notify(&self, change: StateChange) {
        let this = self.clone();
        let (call, no) = (change.leg.call, change.leg.no);
        self.in_order(call, Some(no), async move {
            let store = this.store.clone();
            this.insist("notify", || store.notify(change.clone())).await;
            this.outbox.notify_one();
        });
    }

    pub(crate) fn alive(&self, calls: Vec<CallId>, at: UnixMillis) {
        let this = self.clone();
        self.runtime.spawn(async move {
            let count = calls.len();
            if let Err(error) = this.store.alive(calls, at).await {
                this.counts.failures.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(count, %error, "proof of life was not written");
            }
        });
    }

    pub(crate) fn save_binding(&self, binding: Binding) {
        self.directory.keep(&binding);
        let this = self.clone();
        self.users.push(binding.user.clone(), move || {
            Box::pin(async move {
                let row = billing::rows::Binding {
                    extension: binding.user.clone(),
                    contact: binding.key.clone(),
                    expires: binding.expires,
                    detail: serde_json::to_string(&binding).unwrap_or_default(),
                };
                if let Err(error) = this.store.save_binding(row).await {
                    this.counts.failures.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(%error, "a registration was not written down");
                }
            })
        });
    }

    pub(crate) fn drop_binding(&self, user: String, key: String) {
        self.directory.forget(&user, &key);
        let this = self.clone();
        self.users.push(user.clone(), move || {
            Box::pin(async move {
                if let Err(error) = this.store.drop_binding(user, key).await {
                    this.counts.failures.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(%error, "a registration was not taken out of the books");
                }
            })
        });
    }

    /// Writes something until it is written; tries again when the store is busy or away. False when it
    /// was given up.
    async fn insist<F>(&self, what: &'static str, mut write: impl FnMut() -> F) -> bool
    where
        F: Future<Output = billing::Result<()>>,
    {
        let mut tries = 1;
        loop {
            match write().await {
                Ok(()) => return true,
                Err(Error::Busy | Error::Unreachable(_)) if tries < TRIES => {
                    tokio::time::sleep(PAUSE).await;
                    tries += 1;
                }
                Err(error) => {
                    self.failed(what, &error);
                    return false;
                }
            }
        }
    }

    fn failed(&self, what: &'static str, error: &Error) {
        self.counts.failures.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(%error, "the store did not {what}");
    }
}

/// Where a call failed, for whoever looks after the trunks: `leg B, trunk carrier, SIP 503, cause 34`.
fn failed(facts: &CallFacts) -> Option<String> {
    let Outcome::Failed(_) = facts.outcome else { return None };
    let leg = facts.legs.iter().rev().find(|leg| leg.failure.is_some())?;
    let mut words = vec![format!("leg {}", leg.no)];
    if !leg.trunk.is_empty() {
        words.push(format!("trunk {}", leg.trunk));
    }
    words.push(leg.sip_final.map_or("no answer".into(), |code| format!("SIP {code}")));
    words.extend(leg.q850.map(|cause| format!("cause {cause}")));
    Some(words.join(", "))
}
