//! The handle through which everybody else reaches the store.

use std::time::Duration;

use facts::command::Dialect;
use facts::ledger::{Authorize, Authorized, Balance, Extend, Extended, JournalLeg, OpenCall};
use facts::record::{CallFacts, CallRecord, StateChange};
use facts::settings::Snapshot;
use facts::time::UnixMillis;
use facts::{CallId, MerchantId};

use crate::desired::{Changes, Desired};
use crate::error::{Error, Result};
use crate::rows::{
    Attempt, Audit, Binding, CallEntry, Cdr, Company, Extension, LedgerLine, Merchant, OutboxRow,
    OutboxState, Registered, SubAccount, TrunkRow, YtxAccount, YtxApp,
};

/// Knobs of the store. The defaults are what the house measured.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Writes waiting for SQLite's writer at most; beyond it [`Error::Busy`].
    pub queue: usize,
    /// Units in one SQLite commit at most.
    pub batch: usize,
    /// How long a SQLite batch may stay open for more units.
    pub batch_time: Duration,
    /// Read connections (SQLite), or connections in all (PostgreSQL).
    pub connections: u32,
}

impl Default for StoreConfig {
    fn default() -> Self {
        StoreConfig {
            queue: 4096,
            batch: 256,
            batch_time: Duration::from_millis(2),
            connections: 8,
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
pub struct Store {}

fn later<T>() -> Result<T> {
    Err(Error::Closed)
}

#[allow(clippy::unused_async, reason = "signatures first")]
#[allow(unused_variables, reason = "signatures first")]
#[allow(clippy::needless_pass_by_value, reason = "signatures first")]
impl Store {
    /// Opens `sqlite://path` (created with mode 0600 when absent), `sqlite::memory:` or `postgres://…`.
    ///
    /// # Errors
    /// When the URL is not understood or the database cannot be reached.
    pub async fn open(url: &str, config: StoreConfig) -> Result<Store> {
        later()
    }

    /// Brings the schema up to date. Returns the migrations that ran, by name.
    ///
    /// # Errors
    /// When the database is newer than this program, or a statement fails; nothing is half done.
    pub async fn migrate(&self) -> Result<Vec<String>> {
        later()
    }

    /// Finishes what is queued and closes.
    pub async fn close(&self) {}

    /// Writes waiting in the queue, for metrics and admission.
    #[must_use]
    pub fn backlog(&self) -> usize {
        0
    }

    // ---- calls -------------------------------------------------------------------------------------

    /// May this call be started? Idempotency row, first holds of every leg and journal in one transaction.
    ///
    /// # Errors
    /// [`Error::Busy`] when the queue is full. A refusal is not an error.
    pub async fn authorize(&self, ask: Authorize) -> Result<Authorized> {
        later()
    }

    /// Pays for more time of a leg. Repeating a step answers as the first time.
    ///
    /// # Errors
    /// When the call is unknown or settled.
    pub async fn extend(&self, ask: Extend) -> Result<Extended> {
        later()
    }

    /// Closes a call: one record, one CDR per attempted leg, charges posted, other holds voided, outbox rows
    /// written, journal closed. The second time it returns the first record and writes nothing.
    ///
    /// # Errors
    /// When the call is unknown.
    pub async fn settle(&self, facts: CallFacts, context: SettleContext) -> Result<CallRecord> {
        later()
    }

    /// Writes a leg's state down for a restart.
    ///
    /// # Errors
    /// When the call is unknown or settled.
    pub async fn journal(&self, leg: JournalLeg) -> Result<()> {
        later()
    }

    /// Proof of life of many calls, in one write.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn alive(&self, calls: Vec<CallId>, at: UnixMillis) -> Result<()> {
        later()
    }

    /// Writes an outbox row for every state push of the call. A repeat writes nothing.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn notify(&self, change: StateChange) -> Result<()> {
        later()
    }

    /// Calls that are authorized and not settled, oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn open_calls(&self) -> Result<Vec<OpenCall>> {
        later()
    }

    // ---- settings ----------------------------------------------------------------------------------

    /// Everything the engine reads.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        later()
    }

    /// Rises with every change of the settings.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn settings_version(&self) -> Result<u64> {
        later()
    }

    /// Brings the store to what the file says; `dry_run` only shows the difference. With any mistake nothing
    /// is written.
    ///
    /// # Errors
    /// Those of the database. Mistakes in the file are in the answer.
    pub async fn apply(&self, desired: &Desired, at: UnixMillis, dry_run: bool) -> Result<Changes> {
        later()
    }

    // ---- registrations -----------------------------------------------------------------------------

    /// Contacts that have not lapsed at `now`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn bindings(&self, now: UnixMillis) -> Result<Vec<Binding>> {
        later()
    }

    /// Keeps a contact, or replaces it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn save_binding(&self, binding: Binding) -> Result<()> {
        later()
    }

    /// Forgets a contact.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn drop_binding(&self, extension: String, contact: String) -> Result<()> {
        later()
    }

    // ---- look-ups for the merchant surfaces ----------------------------------------------------------

    /// A merchant by login name.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn merchant_by_name(&self, name: &str) -> Result<Option<Merchant>> {
        later()
    }

    /// A merchant by id.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn merchant(&self, id: MerchantId) -> Result<Option<Merchant>> {
        later()
    }

    /// An extension by number.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn extension(&self, number: &str) -> Result<Option<Extension>> {
        later()
    }

    /// Makes a sub-account with the next free internal number (system 000 `biz_regist`, merchant API §2.3).
    /// The same real name and non-empty e-mail within 24 hours returns the earlier one.
    ///
    /// # Errors
    /// When the merchant is unknown.
    pub async fn register_sub_account(
        &self,
        merchant: MerchantId,
        realname: &str,
        email: &str,
        at: UnixMillis,
    ) -> Result<Registered> {
        later()
    }

    /// Balance of a merchant.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such merchant.
    pub async fn balance(&self, merchant: MerchantId) -> Result<Balance> {
        later()
    }

    /// A 001 account by `accountSID`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn ytx_account(&self, sid: &str) -> Result<Option<YtxAccount>> {
        later()
    }

    /// A 001 app by `appid`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn ytx_app(&self, appid: &str) -> Result<Option<YtxApp>> {
        later()
    }

    /// A 002 company by `companycode`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn company(&self, companycode: &str) -> Result<Option<Company>> {
        later()
    }

    // ---- records -------------------------------------------------------------------------------------

    /// A call by id.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn call(&self, call: CallId) -> Result<Option<CallEntry>> {
        later()
    }

    /// The call a request key became.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn call_by_key(
        &self,
        merchant: MerchantId,
        dialect: Dialect,
        key: &str,
    ) -> Result<Option<CallEntry>> {
        later()
    }

    /// Records of an app, in the order they were settled, after that of `after` (from the start when `None`
    /// or unknown).
    ///
    /// # Errors
    /// Those of the database.
    pub async fn records_after(
        &self,
        dialect: Dialect,
        app: &str,
        after: Option<CallId>,
        limit: u32,
    ) -> Result<Vec<CallRecord>> {
        later()
    }

    /// Records of an app whose call was placed in `[from, to)`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn records_between(
        &self,
        dialect: Dialect,
        app: &str,
        from: UnixMillis,
        to: UnixMillis,
        limit: u32,
    ) -> Result<Vec<CallRecord>> {
        later()
    }

    /// CDRs with id above `after`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn cdrs(
        &self,
        merchant: Option<MerchantId>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Cdr>> {
        later()
    }

    /// Ledger lines with id above `after`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn ledger(
        &self,
        merchant: Option<MerchantId>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<LedgerLine>> {
        later()
    }

    /// Audits the books: entries sum to zero, balances equal their entries, holds equal what is held.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn check_books(&self) -> Result<Audit> {
        later()
    }

    // ---- lists for the operator ------------------------------------------------------------------------

    /// All merchants by id.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn merchants(&self) -> Result<Vec<Merchant>> {
        later()
    }

    /// Sub-accounts of a merchant, or all.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sub_accounts(&self, merchant: Option<MerchantId>) -> Result<Vec<SubAccount>> {
        later()
    }

    /// Extensions of a merchant, or all.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn extensions(&self, merchant: Option<MerchantId>) -> Result<Vec<Extension>> {
        later()
    }

    /// All trunks.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn trunks(&self) -> Result<Vec<TrunkRow>> {
        later()
    }

    /// All tariffs with their rates.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn tariffs(&self) -> Result<Vec<crate::desired::Tariff>> {
        later()
    }

    /// All 001 accounts.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn ytx_accounts(&self) -> Result<Vec<YtxAccount>> {
        later()
    }

    /// All 001 apps.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn ytx_apps(&self) -> Result<Vec<YtxApp>> {
        later()
    }

    /// All 002 companies.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn companies(&self) -> Result<Vec<Company>> {
        later()
    }

    // ---- outbox ----------------------------------------------------------------------------------------

    /// Leases rows that are due: order is kept per call and endpoint, and no endpoint can crowd out another.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn lease(
        &self,
        now: UnixMillis,
        limit: u32,
        lease_for: Duration,
    ) -> Result<Vec<OutboxRow>> {
        later()
    }

    /// Keeps the bytes to be sent, before the first send. Returns the bytes that count: those stored first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn store_body(&self, id: i64, body: Vec<u8>) -> Result<Vec<u8>> {
        later()
    }

    /// Delivered.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn done(&self, id: i64, attempt: Attempt) -> Result<()> {
        later()
    }

    /// Failed; try again at `at`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn retry(&self, id: i64, at: UnixMillis, attempt: Attempt) -> Result<()> {
        later()
    }

    /// Given up.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn park(&self, id: i64, attempt: Option<Attempt>) -> Result<()> {
        later()
    }

    /// Puts a parked or delivered row back: same bytes, attempts counted anew. False when there is none.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn redeliver(&self, id: i64, at: UnixMillis) -> Result<bool> {
        later()
    }

    /// Attempts made for a row, oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn attempts(&self, id: i64) -> Result<Vec<Attempt>> {
        later()
    }

    /// Outbox rows with id above `after`, for the callback log.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn outbox(
        &self,
        merchant: Option<MerchantId>,
        state: Option<OutboxState>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<OutboxRow>> {
        later()
    }

    /// When the next row is due, for the worker's sleep.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn next_due(&self) -> Result<Option<UnixMillis>> {
        later()
    }
}
