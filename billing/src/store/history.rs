//! What became of calls, and of money.

use facts::command::Dialect;
use facts::ledger::Balance;
use facts::record::CallRecord;
use facts::{CallId, MerchantId, Purpose, UnixMillis};

use super::Store;
use crate::db::work;
use crate::error::Result;
use crate::records::BillsAsked;
use crate::rows::{Audit, CallEntry, Cdr, LedgerLine};
use crate::{books, records};

impl Store {
    /// A call by id.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn call(&self, call: CallId) -> Result<Option<CallEntry>> {
        self.read(work!(conn, [] => records::call(conn, call).await?)).await
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
        let key = key.to_owned();
        self.read(work!(conn, [key] => records::call_by_key(conn, merchant, dialect, &key).await?))
            .await
    }

    /// Records of an app that were asked for one purpose, in the order they were settled, after that of `after` (from the start when `None`
    /// or unknown).
    ///
    /// # Errors
    /// Those of the database.
    pub async fn records_after(
        &self,
        (dialect, app, purpose): (Dialect, &str, Purpose),
        after: Option<CallId>,
        limit: u32,
    ) -> Result<Vec<CallRecord>> {
        let app = app.to_owned();
        self.read(work!(conn, [app] => {
            records::after(conn, (dialect, &app, purpose), after, limit).await?
        }))
        .await
    }

    /// Records of an app for one purpose whose call was placed in `[from, to)`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn records_between(
        &self,
        (dialect, app, purpose): (Dialect, &str, Purpose),
        (from, to): (UnixMillis, UnixMillis),
        limit: u32,
    ) -> Result<Vec<CallRecord>> {
        let app = app.to_owned();
        self.read(work!(conn, [app] => {
            records::between(conn, (dialect, &app, purpose), (from, to), limit).await?
        }))
        .await
    }

    /// Records of an app of our own surface whose place in the order of settlement is above `after`, each with that place.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn records_of_app(
        &self,
        app: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<(i64, CallRecord)>> {
        let app = app.to_owned();
        let span = (after, self.settled("records").await?);
        self.read(work!(conn, [app] => records::all_after(conn, &app, span, limit).await?)).await
    }

    /// Records of a company of system 002 that are looked for, behind row `after`: up to 1,000, with their rows.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn bills(&self, asked: &BillsAsked, after: i64) -> Result<Vec<(i64, CallRecord)>> {
        let asked = asked.clone();
        self.read(work!(conn, [asked] => records::bills(conn, &asked, after).await?)).await
    }

    /// How many there are, and those of a page (how many are passed over, how many it has: 1,000 at most), with their rows.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn bills_page(
        &self,
        asked: &BillsAsked,
        page: (u64, u32),
    ) -> Result<(u64, Vec<(i64, CallRecord)>)> {
        let asked = asked.clone();
        self.read(work!(conn, [asked] => records::bills_page(conn, &asked, page).await?)).await
    }

    /// Notes that these rows were fetched.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn bills_fetched(&self, rows: Vec<i64>) -> Result<()> {
        self.write(work!(conn, [rows] => records::fetched(conn, &rows).await?)).await
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
        let span = (after, self.settled("cdrs").await?);
        self.read(work!(conn, [] => records::cdrs(conn, merchant, span, limit).await?)).await
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
        let span = (after, self.settled("entries").await?);
        self.read(work!(conn, [] => books::lines(conn, merchant, span, limit).await?)).await
    }

    /// Audits the books: entries sum to zero, balances equal their entries, holds equal what is held.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn check_books(&self) -> Result<Audit> {
        self.view(work!(conn, [] => books::audit(conn).await?)).await
    }

    /// Balance of a merchant.
    ///
    /// # Errors
    /// [`crate::Error::Missing`] when there is no such merchant.
    pub async fn balance(&self, merchant: MerchantId) -> Result<Balance> {
        self.read(work!(conn, [] => books::balance(conn, merchant).await?)).await
    }
}
