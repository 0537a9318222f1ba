//! The outbox: what merchants are told, and when.

use std::collections::BTreeMap;
use std::sync::Arc;

use facts::{MerchantId, UnixMillis};

use super::Store;
use crate::db::{Verdict, Work, work};
use crate::error::Result;
use crate::outbox::{self, Lease, Leased, Report};
use crate::rows::{Attempt, OutboxRow, OutboxState};

impl Store {
    /// One visit of the delivery worker, in one transaction: notes what came of rows it had, and leases rows
    /// that are due. Order is kept per call and endpoint, and no endpoint can crowd out another. Rows that go
    /// out for the first time are written, and their bytes kept, with the lease: before the first send.
    ///
    /// # Errors
    /// Those of the database; then nothing is noted and nothing leased.
    pub async fn outbox_turn(
        &self,
        reports: Arc<Vec<Report>>,
        lease: Option<Lease>,
    ) -> Result<Vec<Leased>> {
        let work: Work<Vec<Leased>> = Box::new(move |conn| {
            let (reports, lease) = (Arc::clone(&reports), lease.clone());
            Box::pin(async move {
                Ok(Verdict::Keep(outbox::turn(conn, &reports, lease.as_ref()).await?))
            })
        });
        self.soon(work).await
    }

    /// Puts a parked or delivered row back: same bytes, attempts counted anew. False when there is none.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn redeliver(&self, id: i64, at: UnixMillis) -> Result<bool> {
        self.write(work!(conn, [] => outbox::redeliver(conn, id, at).await?)).await
    }

    /// Attempts made for a row, oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn attempts(&self, id: i64) -> Result<Vec<Attempt>> {
        self.read(work!(conn, [] => outbox::attempts(conn, id).await?)).await
    }

    /// The last attempt of each row whose id is in `[first, last]` and that was tried.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn last_attempts(&self, first: i64, last: i64) -> Result<BTreeMap<i64, Attempt>> {
        self.read(work!(conn, [] => outbox::last_attempts(conn, (first, last)).await?)).await
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
        let span = (after, self.settled("outbox").await?);
        self.read(work!(conn, [] => outbox::list(conn, merchant, state, span, limit).await?)).await
    }

    /// When the next row is due, for the worker's sleep.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn next_due(&self) -> Result<Option<UnixMillis>> {
        self.read(work!(conn, [] => outbox::next_due(conn).await?)).await
    }
}
