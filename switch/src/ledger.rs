//! The engine's questions to the store, asked on other threads; each answer comes back as a reply.

mod mail;
mod registrations;
mod warnings;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use billing::{Error, Once, Queue, SettleContext, Store};
use call::Reply;
use facts::ledger::{AddLeg, Added, Authorize, Authorized, Extend, Extended, JournalLeg};
use facts::media::RecordedFile;
use facts::record::CallRecord;
use facts::{CallFacts, CallId, Kind, LegFacts, LegId, MerchantId, Number, Outcome, StateChange};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::alerts::Alerts;
use crate::clock;
use crate::directory::Directory;
use crate::inbox::{Fact, Inbox};
use crate::lanes::Lanes;
use crate::quality::Quality;
use crate::upload;

/// Carries out effects that end in the store. Cheap to clone.
///
/// SQLite's writer is one queue and keeps every order: questions go straight into it, and their answers come
/// back from its thread. PostgreSQL has many connections: there each call has a lane, which keeps its order.
#[derive(Clone)]
pub(crate) struct Ledger(Arc<Inner>);

struct Inner {
    store: Store,
    queue: Option<Queue>,
    inbox: Inbox,
    directory: Arc<Directory>,
    calls: Lanes<CallId>,
    users: Lanes<String>,
    context: SettleContext,
    recordings: Recordings,
    /// Wakes whoever delivers notifications.
    outbox: Arc<Notify>,
    counts: LedgerCounts,
    quality: Quality,
    alerts: Alerts,
    /// Calls whose settlement waits in its lane: asked for again, it need not wait twice.
    settling: Mutex<BTreeSet<CallId>>,
    /// Questions in the queue.
    asked: AtomicUsize,
}

/// The files of what was said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recordings {
    /// Where they lie.
    pub(crate) folder: PathBuf,
    /// Those that the last process did not finish, put right since.
    pub(crate) unfinished: BTreeMap<CallId, RecordedFile>,
}

/// What became of the questions, for metrics.
#[derive(Debug, Default)]
pub(crate) struct LedgerCounts {
    pub(crate) granted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) settled: AtomicU64,
    pub(crate) failures: AtomicU64,
    /// Messages in mailboxes: left by callers, heard by their owners, deleted by them.
    pub(crate) mail_left: AtomicU64,
    pub(crate) mail_heard: AtomicU64,
    pub(crate) mail_deleted: AtomicU64,
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

/// Attempts to write what a later write makes good: a store that stalls for a minute loses nothing.
const TRIES: u32 = 300;
/// Attempts to write what nothing makes good.
pub(crate) const UNTIL_DONE: u32 = u32::MAX;
/// Questions waiting at most with which a state is taken in that has to wait, too; beyond it is refused,
/// counted and logged. SQLite's line has a bound of its own.
const WAITING_MAX: usize = 65_536;
/// Time between them.
const PAUSE: Duration = Duration::from_millis(200);
/// Time between the rounds in which a failed authorization is taken back.
const AGAIN: Duration = Duration::from_secs(10);

/// A settlement in its lane: it waits until this is dropped.
struct Waits(Ledger, CallId);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.settling().remove(&self.1);
    }
}

/// A question in the queue: it is under way until this is dropped, whatever becomes of it.
struct Asked(Ledger);

impl Asked {
    fn new(ledger: &Ledger) -> Asked {
        ledger.0.asked.fetch_add(1, Ordering::Relaxed);
        Asked(ledger.clone())
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.0.asked.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Ledger {
    pub(crate) fn new(
        store: Store,
        inbox: Inbox,
        directory: Arc<Directory>,
        runtime: Handle,
        context: SettleContext,
        outbox: Arc<Notify>,
        recordings: Recordings,
    ) -> Ledger {
        let (calls, users) = (Lanes::new(runtime.clone()), Lanes::new(runtime));
        Ledger(Arc::new(Inner {
            queue: store.queue(),
            store,
            inbox,
            directory,
            calls,
            users,
            context,
            recordings,
            outbox,
            counts: LedgerCounts::default(),
            quality: Quality::default(),
            alerts: Alerts::default(),
            settling: Mutex::default(),
            asked: AtomicUsize::new(0),
        }))
    }

    pub(crate) fn counts(&self) -> &LedgerCounts {
        &self.0.counts
    }

    /// How the legs of settled calls sounded.
    pub(crate) fn quality(&self) -> &Quality {
        &self.0.quality
    }

    /// Writes that ended in a panic; the one after each went on.
    pub(crate) fn panics(&self) -> u64 {
        self.0.calls.panics() + self.0.users.panics() + self.0.store.panics()
    }

    /// Writes asked for and not answered.
    pub(crate) fn busy(&self) -> usize {
        self.0.asked.load(Ordering::Relaxed)
    }

    /// Work of one call on the runtime, after all that was asked for it there before: all of it on PostgreSQL.
    fn in_order(&self, call: CallId, work: impl Future<Output = ()> + Send + 'static) {
        self.0.calls.push(call, move || Box::pin(work));
    }

    pub(crate) fn authorize(&self, ask: Authorize) {
        let (call, dialect) = (ask.call, ask.command.dialect);
        let (merchant, keyed) = (ask.command.merchant, ask.command.key.is_some());
        let owed = Owed::new(&self.0.inbox, Reply::AuthorizeFailed { call });
        let asked = Asked::new(self);
        let this = self.clone();
        let after = move |result: billing::Result<Authorized>| {
            let _span = tracing::info_span!("call", %call).entered();
            this.alerts();
            match result {
                Ok(answer) => {
                    this.note_answer(call, dialect, &answer);
                    owed.pay(Reply::Authorized { call, answer });
                }
                Err(Error::Busy) if this.0.queue.is_some() => {
                    // The line was full: nothing was written, and to take it back would only fill the line.
                    this.0.counts.refused.fetch_add(1, Ordering::Relaxed);
                    drop(owed);
                }
                Err(error) => {
                    this.failed("authorize", &error);
                    // A repeat of the request must not find the key in the books: the engine keeps it
                    // busy until it hears of the failure, and its own clock answers the merchant in time.
                    // A caller without a key has nothing to repeat and is refused at once.
                    this.abandon(call, merchant, keyed.then_some(owed));
                }
            }
            drop(asked);
        };
        let Some(queue) = &self.0.queue else {
            let this = self.clone();
            return self.in_order(call, async move { after(this.0.store.authorize(ask).await) });
        };
        queue.authorize(ask, after);
    }

    /// Takes back an authorization that came too late for whoever asked; answers as one that failed.
    pub(crate) fn take_back(&self, call: CallId, merchant: MerchantId) {
        let owed = Owed::new(&self.0.inbox, Reply::AuthorizeFailed { call });
        self.abandon(call, merchant, Some(owed));
    }

    /// Nobody knows whether a failed authorization was committed. Its merchant was told to try again, so
    /// it must leave neither a hold nor a key that answers for a call that never was. What is owed is paid
    /// when that is sure, or given up.
    fn abandon(&self, call: CallId, merchant: MerchantId, owed: Option<Owed>) {
        let asked = Asked::new(self);
        let this = self.clone();
        let after = move |result: billing::Result<bool>| {
            let _span = tracing::info_span!("call", %call).entered();
            match result {
                Ok(true) => tracing::warn!("a half-made authorization was taken back"),
                Ok(false) => {}
                Err(error) => {
                    // What it holds must not wait for a restart: tried until the store is back.
                    this.failed("take a half-made authorization back", &error);
                    let again = this.clone();
                    this.in_order(call, async move {
                        tokio::time::sleep(AGAIN).await;
                        again.abandon(call, merchant, owed);
                    });
                    return drop(asked);
                }
            }
            this.0.directory.call_ended(call);
            drop(owed);
            drop(asked);
        };
        let Some(queue) = &self.0.queue else {
            let this = self.clone();
            return self.in_order(call, async move {
                after(insist(TRIES, || this.0.store.abandon(call, merchant)).await);
            });
        };
        queue.abandon(call, merchant, after);
    }

    fn note_answer(&self, call: CallId, dialect: facts::Dialect, answer: &Authorized) {
        match answer {
            Authorized::Granted { .. } => {
                self.0.counts.granted.fetch_add(1, Ordering::Relaxed);
                self.0.directory.call_began(call, dialect);
                tracing::info!(dialect = dialect.word(), "call authorized");
            }
            Authorized::Existing { call: earlier } => {
                tracing::info!(%earlier, "request repeated; nothing new is placed");
            }
            Authorized::Refused(refusal) => {
                self.0.counts.refused.fetch_add(1, Ordering::Relaxed);
                tracing::info!(?refusal, "call refused by the ledger");
            }
        }
    }

    pub(crate) fn add_leg(&self, ask: AddLeg) {
        let leg = ask.leg;
        let owed = Owed::new(&self.0.inbox, Reply::AddFailed { leg });
        let asked = Asked::new(self);
        let this = self.clone();
        let after = move |result: billing::Result<Added>| {
            this.alerts();
            match result {
                Ok(answer) => {
                    if let Added::Refused(refusal) = answer {
                        tracing::info!(%leg, ?refusal, "leg refused by the ledger");
                    }
                    owed.pay(Reply::Added { leg, answer });
                }
                Err(error) => this.leg_failed(leg, "add", &error),
            }
            drop(asked);
        };
        let Some(queue) = &self.0.queue else {
            let this = self.clone();
            return self.in_order(leg.call, async move { after(this.0.store.add_leg(ask).await) });
        };
        queue.add_leg(ask, after);
    }

    /// Changes a wish of an extension; the settings of it are taken up as after any change.
    pub(crate) fn set_reach(&self, call: CallId, user: String, set: facts::ReachSet) {
        let owed = Owed::new(&self.0.inbox, Reply::ReachSet { call, done: false });
        let this = self.clone();
        self.in_order(call, async move {
            let set = match Once::fresh() {
                Ok(once) => this.0.store.set_reach(&once, clock::wall(), user, set).await,
                Err(error) => Err(error),
            };
            match set {
                Ok(done) => owed.pay(Reply::ReachSet { call, done }),
                Err(error) => tracing::warn!(%call, %error, "an extension's wish was not written"),
            }
        });
    }

    pub(crate) fn extend(&self, ask: Extend) {
        let (leg, step) = (ask.leg, ask.step);
        let owed = Owed::new(&self.0.inbox, Reply::ExtendFailed { leg, step });
        let asked = Asked::new(self);
        let this = self.clone();
        let after = move |result: billing::Result<Extended>| {
            this.alerts();
            match result {
                Ok(answer) => owed.pay(Reply::Extended { leg, step, answer }),
                Err(error) => this.leg_failed(leg, "extend", &error),
            }
            drop(asked);
        };
        let Some(queue) = &self.0.queue else {
            let this = self.clone();
            return self.in_order(leg.call, async move { after(this.0.store.extend(ask).await) });
        };
        queue.extend(ask, after);
    }

    pub(crate) fn settle(&self, mut facts: CallFacts) {
        if facts.recording.is_none() {
            facts.recording = self.0.recordings.unfinished.get(&facts.call).cloned();
        }
        let (call, context) = (facts.call, self.0.context.clone());
        if self.0.queue.is_none() && !self.settling().insert(call) {
            return;
        }
        let owed = Owed::new(&self.0.inbox, Reply::SettleFailed { call });
        let asked = Asked::new(self);
        let this = self.clone();
        let after = move |result: billing::Result<CallRecord>| {
            let _span = tracing::info_span!("call", %call).entered();
            match result {
                Ok(record) => {
                    this.settled(&record);
                    owed.pay(Reply::Settled { call });
                }
                Err(error) => this.failed("settle", &error),
            }
            drop(asked);
        };
        let Some(queue) = &self.0.queue else {
            let this = self.clone();
            return self.in_order(call, async move {
                let waits = Waits(this, call);
                let settled = waits.0.0.store.settle(facts, context).await;
                drop(waits);
                after(settled);
            });
        };
        queue.settle(facts, context, after);
    }

    fn settling(&self) -> MutexGuard<'_, BTreeSet<CallId>> {
        self.0.settling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settled(&self, record: &CallRecord) {
        self.0.counts.settled.fetch_add(1, Ordering::Relaxed);
        self.0.directory.call_ended(record.facts.call);
        record.facts.legs.iter().for_each(|leg| self.0.quality.note(leg));
        let outcome = match record.facts.outcome {
            Outcome::Completed => "completed",
            Outcome::Failed(failure) => failure.kind.row().label,
        };
        let seconds: Vec<u64> = record.facts.legs.iter().map(LegFacts::bill_seconds).collect();
        let total = record.total().to_string();
        let facts = &record.facts;
        // What was asked for, an extension or a code: numbers of people stay out of the log.
        let asked = match facts.command.b.as_ref().map(|b| &b.number) {
            Some(Number::Internal(asked) | Number::Short(asked)) => asked.as_str(),
            Some(Number::E164(_)) => "outside",
            None => "scenario",
        };
        let failed = failed(facts);
        match &facts.mailbox {
            Some(mailbox) => {
                tracing::info!(outcome, ?seconds, total, failed, asked, mailbox, "call settled");
            }
            None => tracing::info!(outcome, ?seconds, total, failed, asked, "call settled"),
        }
        self.0.outbox.notify_one();
        if let Some(message) = &record.facts.message {
            self.0.counts.mail_left.fetch_add(1, Ordering::Relaxed);
            self.tell_mailbox(message.mailbox.clone());
        }
    }

    /// Removes a file of the recordings that nobody will want.
    pub(crate) fn discard(&self, call: CallId, file: &str) {
        let path = self.0.recordings.folder.join(file);
        self.in_order(call, async move {
            if let Err(error) = upload::remove(path).await {
                tracing::warn!(%call, %error, "a recording that is not to be kept could not be removed");
            }
        });
    }

    pub(crate) fn journal(&self, entry: JournalLeg, seq: Option<u32>) {
        let leg = entry.leg;
        let after = self.written(leg, "journal", seq);
        let Some(queue) = &self.0.queue else {
            let this = self.clone();
            return self.in_order(leg.call, async move {
                after(insist(TRIES, || this.0.store.journal(entry.clone())).await);
            });
        };
        queue.journal(entry, seq.is_some(), after);
    }

    /// What a leg of a settled call still needs for its BYE; `None` when its far end knows.
    pub(crate) fn papers(&self, leg: LegId, dialog: Option<Vec<u8>>, seq: Option<u32>) {
        let after = self.written(leg, "papers", seq);
        let Some(queue) = &self.0.queue else {
            let this = self.clone();
            return self.in_order(leg.call, async move {
                after(insist(TRIES, || this.0.store.papers(leg, dialog.clone())).await);
            });
        };
        queue.papers(leg, dialog, seq.is_some(), after);
    }

    /// What follows when a row of a leg's journal is written, or given up.
    fn written(
        &self,
        leg: LegId,
        what: &'static str,
        seq: Option<u32>,
    ) -> impl FnOnce(billing::Result<()>) + Send + 'static {
        let owed =
            seq.map(|seq| (seq, Owed::new(&self.0.inbox, Reply::JournalFailed { leg, seq })));
        let asked = Asked::new(self);
        let this = self.clone();
        move |result| {
            match (result, owed) {
                (Ok(()), Some((seq, owed))) => owed.pay(Reply::Journaled { leg, seq }),
                (Ok(()), None) => {}
                (Err(error), owed) => {
                    this.leg_failed(leg, what, &error);
                    drop(owed);
                }
            }
            drop(asked);
        }
    }

    pub(crate) fn notify(&self, change: StateChange) {
        let leg = change.leg;
        let asked = Asked::new(self);
        let this = self.clone();
        let after = move |result: billing::Result<()>| {
            match result {
                Ok(()) => this.0.outbox.notify_one(),
                Err(error) => this.leg_failed(leg, "notify", &error),
            }
            drop(asked);
        };
        let Some(queue) = &self.0.queue else {
            if self.busy() > WAITING_MAX {
                return after(Err(Error::Busy));
            }
            let this = self.clone();
            return self.in_order(leg.call, async move {
                after(insist(UNTIL_DONE, || this.0.store.notify(change.clone())).await);
            });
        };
        queue.notify(change, after);
    }

    fn leg_failed(&self, leg: LegId, what: &'static str, error: &Error) {
        let _span = tracing::info_span!("leg", call = %leg.call, leg = %leg.no).entered();
        self.failed(what, error);
    }

    fn failed(&self, what: &'static str, error: &Error) {
        self.0.counts.failures.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(%error, "the store did not {what}");
    }
}

/// Where a call failed, for whoever looks after the trunks: `leg B, trunk carrier, SIP 503, cause 34`.
fn failed(facts: &CallFacts) -> Option<String> {
    let Outcome::Failed(_) = facts.outcome else { return None };
    let leg = facts.legs.iter().rev().find(|leg| leg.failed_to_connect())?;
    let mut words = vec![format!("leg {}", leg.no)];
    if !leg.trunk.is_empty() {
        words.push(format!("trunk {}", leg.trunk));
    }
    words.push(match (leg.sip_final, leg.failure.map(|failure| failure.kind)) {
        (Some(code), _) => format!("SIP {code}"),
        (None, Some(Kind::TransportFailed)) => "not sent".into(),
        (None, _) => "no answer".into(),
    });
    words.extend(leg.q850.map(|cause| format!("cause {cause}")));
    words.extend(leg.recognised.map(|heard| format!("heard {}", heard.verdict.sounded.word())));
    Some(words.join(", "))
}

/// Writes something until it is written; tries again while the store is busy or away, so many times at most.
pub(crate) async fn insist<T, F>(most: u32, mut write: impl FnMut() -> F) -> billing::Result<T>
where
    F: Future<Output = billing::Result<T>>,
{
    let mut tries = 1;
    loop {
        match write().await {
            Err(Error::Busy | Error::Unreachable(_)) if tries < most => {
                tokio::time::sleep(PAUSE).await;
                tries += 1;
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often a store that is away for so many tries is asked, and what came of it.
    async fn away_for(tries: u32, most: u32) -> (u32, bool) {
        let mut asked = 0;
        let written = insist(most, || {
            asked += 1;
            let back = asked > tries;
            async move { if back { Ok(()) } else { Err(Error::Unreachable("away".into())) } }
        });
        let written = written.await.is_ok();
        (asked, written)
    }

    #[tokio::test(start_paused = true)]
    async fn a_state_waits_for_a_store_that_is_away_for_an_hour() {
        let hour = 3600 * 5;
        let begun = tokio::time::Instant::now();
        assert_eq!(away_for(hour, UNTIL_DONE).await, (hour + 1, true));
        assert!(begun.elapsed() >= Duration::from_secs(3600));
        // A row of the journal does not: the next one, or the record, says the same.
        assert_eq!(away_for(hour, TRIES).await, (TRIES, false));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_store_does_not_take_at_all_is_not_tried_again() {
        let refused = insist(UNTIL_DONE, || async { Err::<(), _>(Error::Missing("call")) }).await;
        assert!(matches!(refused, Err(Error::Missing("call"))));
    }
}
