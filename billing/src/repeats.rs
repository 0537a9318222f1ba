//! Requests under a key that become no call of their own, so that a repeat is known: what was said to a conference.

use std::time::Duration;

use facts::{MerchantId, UnixMillis};

use crate::db::{Old, args, work};
use crate::error::Result;
use crate::store::Store;

/// How long they are remembered.
const LIFE: Duration = Duration::from_secs(30 * 86_400);

/// Those that are past it.
pub(crate) const OLD: Old =
    Old { table: "request_repeats", keys: "merchant_id, request", which: "at < $1", life: LIFE };

impl Store {
    /// The fingerprint of the request that a merchant sent under this key, if it did.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn repeated(&self, merchant: MerchantId, key: String) -> Result<Option<String>> {
        let sql = "SELECT fingerprint FROM request_repeats WHERE merchant_id = $1 AND request = $2";
        self.read(work!(conn, [key] => {
            let row = conn.row(sql, args![merchant.0, key.as_str()]).await?;
            row.map(|row| row.text(0)).transpose()?
        }))
        .await
    }

    /// Remembers a request. The first one counts.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn note_repeat(
        &self,
        (merchant, key): (MerchantId, String),
        fingerprint: String,
        at: UnixMillis,
    ) -> Result<()> {
        let sql = "INSERT INTO request_repeats (merchant_id, request, fingerprint, at) \
                   VALUES ($1, $2, $3, $4) ON CONFLICT (merchant_id, request) DO NOTHING";
        self.write(work!(conn, [key, fingerprint] => {
            conn.exec(sql, args![merchant.0, key.as_str(), fingerprint.as_str(), at]).await?
        }))
        .await
        .map(drop)
    }
}
