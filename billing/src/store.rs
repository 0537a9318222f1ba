//! The handle through which everybody else reaches the store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use facts::ledger::{AddLeg, Added, Authorize, Authorized, Extend, Extended, JournalLeg, OpenCall};
use facts::record::{CallFacts, CallRecord, StateChange};
use facts::template::Template;
use facts::time::UnixMillis;
use facts::{CallId, LegId, MerchantId, Number};

use crate::db::{self, BRIEF, LONG, Lite, Manner, Pg, Work, work};
use crate::error::{Error, Result};
use crate::once::Once;
use crate::queue::Queue;
use crate::rows::{Binding, Extension, Merchant, Registered, YtxAccount, YtxApp};
use crate::snapshot::Lists;
use crate::spending::Alerts;
use crate::tariffs::Tariffs;
use crate::{bindings, call, journal, objects, outbox, register, secrets, settle};

mod companies;
mod history;
mod keys;
mod lists;
mod operator;
mod purge;
mod pushes;
mod settled;
mod webhooks;

/// Knobs of the store. The defaults are what the house measured.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Writes waiting for SQLite's writer at most; beyond it [`Error::Busy`].
    pub queue: usize,
    /// Units in one SQLite commit at most.
    pub batch: usize,
    /// How long a SQLite transaction may work; what is left of its units goes into the next.
    pub batch_time: Duration,
    /// How long writes that nobody waits for may gather, so that SQLite commits and syncs once for many. A
    /// write that somebody waits for is committed at once, with everything before it.
    pub gather: Duration,
    /// Read connections (SQLite), or connections in all (PostgreSQL).
    pub connections: u32,
    /// Bindings of privacy numbers that one merchant may have at a time.
    pub axb_bindings: u32,
}

impl Default for StoreConfig {
    fn default() -> Self {
        StoreConfig {
            queue: 4096,
            batch: 256,
            batch_time: Duration::from_millis(10),
            gather: Duration::from_millis(10),
            connections: 8,
            axb_bindings: 50_000,
        }
    }
}

/// What settling needs beyond the facts of the call.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SettleContext {
    /// Absolute URL below which recordings are served, without a final slash; empty announces none.
    pub recording_base_url: String,
}

/// The store. Cheap to clone; all clones share one writer and one pool.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
    tariffs: Tariffs,
    lists: Lists,
    pub(crate) alerts: Alerts,
    pub(crate) axb_bindings: u32,
    watch: Option<Arc<dyn Watch>>,
}

/// Whoever sees each unit that writes go into the database and its result come out. Tests of what a crash leaves behind
/// let nothing pass from some point on.
pub trait Watch: fmt::Debug + Send + Sync {
    /// Before a unit, and after it. When false, whoever asked hears nothing any more.
    fn passes(&self) -> bool;
}

#[derive(Clone, Debug)]
enum Database {
    Lite(Lite),
    Pg(Pg),
}

impl Store {
    /// Opens `sqlite://path` (created with mode 0600 when absent), `sqlite::memory:` or `postgres://…`.
    ///
    /// # Errors
    /// When the URL is not understood or the database cannot be reached.
    pub async fn open(url: &str, config: StoreConfig) -> Result<Store> {
        let database = if url.starts_with("sqlite:") {
            Database::Lite(Lite::open(url, &config).await?)
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Database::Pg(Pg::open(url, &config).await?)
        } else {
            return Err(Error::BadUrl("sqlite://… or postgres://… is expected".into()));
        };
        let (tariffs, alerts, lists) = Default::default();
        let axb_bindings = config.axb_bindings;
        Ok(Store { database, tariffs, alerts, lists, axb_bindings, watch: None })
    }

    /// The same store under somebody's eyes.
    #[must_use]
    pub fn watched(self, watch: Arc<dyn Watch>) -> Store {
        Store { watch: Some(watch), ..self }
    }

    /// Brings the schema up to date. Returns the migrations that ran, by name.
    ///
    /// # Errors
    /// When the database is newer than this program, or a statement fails; nothing is half done.
    pub async fn migrate(&self) -> Result<Vec<String>> {
        let secret = secrets::random()?;
        self.long(work!(conn, [secret] => db::migrate(conn, &secret).await?)).await
    }

    /// The migrations that have not run yet, by name. Changes nothing.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn pending(&self) -> Result<Vec<String>> {
        self.read(work!(conn, [] => db::pending(conn).await?)).await
    }

    /// Finishes what is queued and closes.
    pub async fn close(&self) {
        match &self.database {
            Database::Lite(lite) => lite.close().await,
            Database::Pg(pg) => pg.close().await,
        }
    }

    /// The way for those who ask from a thread that may not wait, where the store keeps their order: SQLite.
    #[must_use]
    pub fn queue(&self) -> Option<Queue> {
        match &self.database {
            Database::Lite(lite) => {
                Some(Queue::new(lite.clone(), self.tariffs.clone(), self.alerts.clone()))
            }
            Database::Pg(_) => None,
        }
    }

    /// Writes that panicked; those after them went on.
    #[must_use]
    pub fn panics(&self) -> u64 {
        match &self.database {
            Database::Lite(lite) => lite.panics(),
            Database::Pg(_) => 0,
        }
    }

    /// Writes waiting in the queue, for metrics and admission.
    #[must_use]
    pub fn backlog(&self) -> usize {
        match &self.database {
            Database::Lite(lite) => lite.backlog(),
            Database::Pg(_) => 0,
        }
    }

    // ---- calls -------------------------------------------------------------------------------------

    /// May this call be started? Idempotency row, first holds of every leg and journal in one transaction.
    ///
    /// # Errors
    /// [`Error::Busy`] when the queue is full. A refusal is not an error.
    pub async fn authorize(&self, ask: Authorize) -> Result<Authorized> {
        let (tariffs, alerts) = (self.tariffs.clone(), self.alerts.clone());
        let work: Work<_> = work!(conn, [tariffs, alerts, ask] =>
            call::authorize(conn, (&tariffs, &alerts), &ask).await?);
        self.admit(work).await
    }

    /// May this call have one more leg? Its first hold in one transaction. A repeat answers as the first time.
    ///
    /// # Errors
    /// When the call is unknown or settled. A refusal is not an error.
    pub async fn add_leg(&self, ask: AddLeg) -> Result<Added> {
        let (tariffs, alerts) = (self.tariffs.clone(), self.alerts.clone());
        let work: Work<_> = work!(conn, [tariffs, alerts, ask] =>
            call::add_leg(conn, (&tariffs, &alerts), &ask).await?);
        self.write(work).await
    }

    /// Whether a merchant's tariff prices each of these numbers, or they cost nothing by nature.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn prices(&self, merchant: MerchantId, numbers: Vec<Number>) -> Result<Vec<bool>> {
        let tariffs = self.tariffs.clone();
        self.read(work!(conn, [tariffs, numbers] => {
            call::prices(conn, &tariffs, merchant, &numbers).await?
        }))
        .await
    }

    /// Pays for more time of a leg. Repeating a step answers as the first time.
    ///
    /// # Errors
    /// When the call is unknown or settled.
    pub async fn extend(&self, ask: Extend) -> Result<Extended> {
        let alerts = self.alerts.clone();
        self.write(work!(conn, [alerts, ask] => call::extend(conn, &alerts, &ask).await?)).await
    }

    /// Closes a call: one record, one CDR per attempted leg, charges posted, other holds voided, outbox rows
    /// written, journal closed. The second time it returns the first record and writes nothing.
    ///
    /// # Errors
    /// When the call is unknown.
    pub async fn settle(&self, facts: CallFacts, context: SettleContext) -> Result<CallRecord> {
        self.write(work!(conn, [facts, context] => settle::settle(conn, &facts, &context).await?))
            .await
    }

    /// Writes a leg's state down for a restart.
    ///
    /// # Errors
    /// When the call is unknown or settled.
    pub async fn journal(&self, leg: JournalLeg) -> Result<()> {
        self.write(work!(conn, [leg] => journal::leg(conn, &leg).await?)).await
    }

    /// Changes what ends a leg, whether its call is open or settled. `None`: nothing is left to end, and
    /// the leg of a settled call is forgotten.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn papers(&self, leg: LegId, dialog: Option<Vec<u8>>) -> Result<()> {
        self.write(work!(conn, [dialog] => journal::papers(conn, leg, dialog.as_deref()).await?))
            .await
    }

    /// Legs of settled calls, of one process of several that share a database, whose far ends may not
    /// know that they are over; oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn farewells_of(&self, node: u16) -> Result<Vec<JournalLeg>> {
        let mut legs: Vec<JournalLeg> =
            self.view(work!(conn, [] => journal::farewells(conn).await?)).await?;
        legs.retain(|leg| is_of(leg.leg.call, node));
        Ok(legs)
    }

    /// Proof of life of many calls, in one write.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn alive(&self, calls: Vec<CallId>, at: UnixMillis) -> Result<()> {
        self.write(work!(conn, [calls] => journal::alive(conn, &calls, at).await?)).await
    }

    /// Writes an outbox row for every state push of the call. A repeat writes nothing.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn notify(&self, change: StateChange) -> Result<()> {
        self.write(work!(conn, [change] => outbox::notify(conn, &change).await?)).await
    }

    /// Calls that are authorized and not settled, oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn open_calls(&self) -> Result<Vec<OpenCall>> {
        self.view(work!(conn, [] => journal::open_calls(conn).await?)).await
    }

    /// The same for one process of several that share a database: calls whose id carries its node.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn open_calls_of(&self, node: u16) -> Result<Vec<OpenCall>> {
        let mut open = self.open_calls().await?;
        open.retain(|open| is_of(open.call, node));
        Ok(open)
    }

    /// The highest id that a call ever had: the ids of a new process begin above it, whatever its clock says.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn last_call_id(&self) -> Result<Option<CallId>> {
        self.read(work!(conn, [] => call::last_id(conn).await?)).await
    }

    /// Takes back an authorization whose answer nobody got: after an error of [`Store::authorize`] it is not
    /// known whether it was committed, and the merchant is told to try again. Holds, key and call are as if
    /// never written; false when there is nothing to take back, or the call was dialled or settled.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn abandon(&self, call: CallId, merchant: MerchantId) -> Result<bool> {
        self.write(work!(conn, [] => call::abandon(conn, call, merchant).await?)).await
    }

    // ---- settings ----------------------------------------------------------------------------------

    // ---- the audit trail ---------------------------------------------------------------------------

    // ---- registrations -----------------------------------------------------------------------------

    /// Contacts that have not lapsed at `now`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn bindings(&self, now: UnixMillis) -> Result<Vec<Binding>> {
        self.read(work!(conn, [] => bindings::load(conn, now).await?)).await
    }

    /// Keeps a contact, or replaces it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn save_binding(&self, binding: Binding) -> Result<()> {
        self.write(work!(conn, [binding] => bindings::save(conn, &binding).await?)).await
    }

    /// Forgets a contact.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn drop_binding(&self, extension: String, contact: String) -> Result<()> {
        self.write(work!(conn, [extension, contact] =>
            bindings::forget(conn, &extension, &contact).await?))
            .await
    }

    // ---- look-ups for the merchant surfaces ----------------------------------------------------------

    /// A merchant by login name.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn merchant_by_name(&self, name: &str) -> Result<Option<Merchant>> {
        let name = name.to_owned();
        self.read(work!(conn, [name] => objects::merchant_by_name(conn, &name).await?)).await
    }

    /// A merchant by id.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn merchant(&self, id: MerchantId) -> Result<Option<Merchant>> {
        self.read(work!(conn, [] => objects::merchant(conn, id).await?)).await
    }

    /// An extension by number.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn extension(&self, number: &str) -> Result<Option<Extension>> {
        let number = number.to_owned();
        self.read(work!(conn, [number] => objects::extension(conn, &number).await?)).await
    }

    /// Makes a sub-account with the next free internal number (system 000 `biz_regist`, merchant API §2.3).
    /// The same real name and non-empty e-mail within 24 hours returns the earlier one; the same `once` returns
    /// what it made, as if for the first time.
    ///
    /// # Errors
    /// When the merchant is unknown.
    pub async fn register_sub_account(
        &self,
        once: &Once,
        merchant: MerchantId,
        realname: &str,
        email: &str,
        at: UnixMillis,
    ) -> Result<Registered> {
        let (once, realname, email) = (once.clone(), realname.to_owned(), email.to_owned());
        self.write(work!(conn, [once, realname, email] =>
            register::register(conn, &once, merchant, (&realname, &email), at).await?))
            .await
    }

    /// A 001 account by `accountSID`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn ytx_account(&self, sid: &str) -> Result<Option<YtxAccount>> {
        let sid = sid.to_owned();
        self.read(work!(conn, [sid] => objects::ytx_account(conn, &sid).await?)).await
    }

    /// A 001 app by `appid`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn ytx_app(&self, appid: &str) -> Result<Option<YtxApp>> {
        let appid = appid.to_owned();
        self.read(work!(conn, [appid] => objects::ytx_app(conn, &appid).await?)).await
    }

    /// A template of a merchant's notices.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn template(&self, merchant: MerchantId, id: &str) -> Result<Option<Template>> {
        let id = id.to_owned();
        self.read(work!(conn, [id] => objects::template(conn, merchant, &id).await?)).await
    }

    // ---- records -------------------------------------------------------------------------------------

    // ---- outbox ----------------------------------------------------------------------------------------

    // ---- the way to the database ---------------------------------------------------------------------

    /// A unit that starts something new: refused when the queue is half full.
    pub(crate) async fn admit<T: Send + 'static>(&self, work: Work<T>) -> Result<T> {
        self.seen(async {
            match &self.database {
                Database::Lite(lite) => lite.write(work, Manner::ADMISSION).await,
                Database::Pg(pg) => pg.write(work, BRIEF).await,
            }
        })
        .await
    }

    /// A unit that something under way depends on: waits for room.
    pub(crate) async fn write<T: Send + 'static>(&self, work: Work<T>) -> Result<T> {
        self.write_as(Manner::NOW, work).await
    }

    /// The same for a unit that can wait for company.
    pub(crate) async fn soon<T: Send + 'static>(&self, work: Work<T>) -> Result<T> {
        self.write_as(Manner::SOON, work).await
    }

    async fn write_as<T: Send + 'static>(&self, manner: Manner, work: Work<T>) -> Result<T> {
        self.seen(async {
            match &self.database {
                Database::Lite(lite) => lite.write(work, manner).await,
                Database::Pg(pg) => pg.write(work, BRIEF).await,
            }
        })
        .await
    }

    /// A unit that may take its time.
    async fn long<T: Send + 'static>(&self, work: Work<T>) -> Result<T> {
        match &self.database {
            Database::Lite(lite) => lite.write(work, Manner::ALONE).await,
            Database::Pg(pg) => pg.write(work, LONG).await,
        }
    }

    /// One query.
    pub(crate) async fn read<T: Send + 'static>(&self, work: Work<T>) -> Result<T> {
        match &self.database {
            Database::Lite(lite) => lite.read(work, false).await,
            Database::Pg(pg) => pg.read(work, false).await,
        }
    }

    async fn seen<T>(&self, work: impl Future<Output = T>) -> T {
        let Some(watch) = &self.watch else { return work.await };
        if !watch.passes() {
            std::future::pending::<()>().await;
        }
        let done = work.await;
        if !watch.passes() {
            std::future::pending::<()>().await;
        }
        done
    }

    /// Several queries that must see one state.
    async fn view<T: Send + 'static>(&self, work: Work<T>) -> Result<T> {
        match &self.database {
            Database::Lite(lite) => lite.read(work, true).await,
            Database::Pg(pg) => pg.read(work, true).await,
        }
    }
}

/// Whether the process with this number made the id.
pub(crate) fn is_of(call: CallId, node: u16) -> bool {
    call.node() == node & 0x3ff
}
