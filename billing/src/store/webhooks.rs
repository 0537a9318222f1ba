//! Webhooks of `/v1`, and the list of events.

use facts::{CallId, MerchantId, UnixMillis};

use super::Store;
use crate::db::work;
use crate::error::Result;
use crate::once::Once;
use crate::rows::{OutboxRow, Webhook, WebhookChange};
use crate::webhooks;

impl Store {
    /// Makes a webhook for these events, none of them being all.
    ///
    /// # Errors
    /// When the merchant has as many as it may have.
    pub async fn create_webhook(
        &self,
        merchant: MerchantId,
        (url, events, secret): (String, Vec<String>, String),
        at: UnixMillis,
    ) -> Result<Webhook> {
        let once = Once::fresh()?;
        self.write(work!(conn, [once, url, events, secret] =>
            webhooks::create(conn, (&once, at), merchant, (&url, &events, &secret)).await?))
            .await
    }

    /// Webhooks of a merchant.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn webhooks(&self, merchant: MerchantId) -> Result<Vec<Webhook>> {
        self.read(work!(conn, [] => webhooks::list(conn, merchant).await?)).await
    }

    /// A webhook of a merchant.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn webhook(&self, merchant: MerchantId, id: i64) -> Result<Option<Webhook>> {
        self.read(work!(conn, [] => webhooks::find(conn, merchant, id).await?)).await
    }

    /// Changes a webhook; `None` when there is none.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn change_webhook(
        &self,
        merchant: MerchantId,
        id: i64,
        change: WebhookChange,
    ) -> Result<Option<Webhook>> {
        self.write(work!(conn, [change] => webhooks::change(conn, merchant, id, &change).await?))
            .await
    }

    /// Removes a webhook; what was not delivered there is given up. False when there is none.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn remove_webhook(&self, merchant: MerchantId, id: i64) -> Result<bool> {
        self.write(work!(conn, [] => webhooks::remove(conn, merchant, id).await?)).await
    }

    /// Gives a webhook a new secret; those before it are signed with until then. `None` when there is none.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn rotate_webhook(
        &self,
        merchant: MerchantId,
        id: i64,
        secret: String,
        times: (UnixMillis, UnixMillis),
    ) -> Result<Option<Webhook>> {
        self.write(work!(conn, [secret] =>
            webhooks::rotate(conn, (merchant, id), &secret, times).await?))
            .await
    }

    /// What was to be pushed to a webhook: rows with id above `after`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn deliveries(&self, webhook: i64, after: i64, limit: u32) -> Result<Vec<OutboxRow>> {
        let last = self.settled("outbox").await?;
        let span = (after, last);
        self.read(work!(conn, [] => webhooks::deliveries(conn, webhook, span, limit).await?)).await
    }

    /// Puts back what was given up of a webhook, of one call or of all; how many rows.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn redeliver_parked(
        &self,
        webhook: i64,
        call: Option<CallId>,
        at: UnixMillis,
    ) -> Result<u64> {
        self.write(work!(conn, [] => webhooks::redeliver_parked(conn, webhook, call, at).await?))
            .await
    }

    /// Events of a merchant's calls with id above `after`, in the order in which they were written.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn events(
        &self,
        merchant: MerchantId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<OutboxRow>> {
        // Whoever waits for news asks again and again: there are none, mostly.
        if !self.read(work!(conn, [] => webhooks::has_events(conn, merchant, after).await?)).await?
        {
            return Ok(Vec::new());
        }
        let span = (after, self.settled("outbox").await?);
        self.read(work!(conn, [] => webhooks::events(conn, merchant, span, limit).await?)).await
    }

    /// The id of the last event of a merchant, 0 when there is none: whatever appears from now on is behind it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn last_event(&self, merchant: MerchantId) -> Result<i64> {
        let last = self.settled("outbox").await?;
        self.read(work!(conn, [] => webhooks::last_event(conn, merchant, last).await?)).await
    }
}
