//! Keys of the merchants' systems.

use facts::{MerchantId, UnixMillis};

use super::Store;
use crate::db::work;
use crate::error::Result;
use crate::keys::{self, Drawn};
use crate::once::Once;
use crate::rows::{ApiKey, NewKey};
use crate::secrets;

impl Store {
    /// Makes a key for a merchant's system, and notes it in the audit trail. Gives what is kept of it, and the key
    /// itself, which nobody can be told again.
    ///
    /// # Errors
    /// When the merchant is unknown or has as many keys as it may have.
    pub async fn create_api_key(
        &self,
        actor: &str,
        new: NewKey,
        at: UnixMillis,
    ) -> Result<(ApiKey, String)> {
        let drawn = Drawn::of(&secrets::random()?, &secrets::random()?);
        let told = drawn.key.clone();
        let (once, actor) = (Once::fresh()?, actor.to_owned());
        let made = self
            .write(work!(conn, [once, actor, new, drawn] =>
                keys::create(conn, (&once, at, &actor), (&new, &drawn)).await?))
            .await?;
        Ok((made, told))
    }

    /// Ends a key for good, and notes it in the audit trail. `None` when there is no such key.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn revoke_api_key(
        &self,
        actor: &str,
        id: &str,
        at: UnixMillis,
    ) -> Result<Option<ApiKey>> {
        let (once, actor, id) = (Once::fresh()?, actor.to_owned(), id.to_owned());
        self.write(work!(conn, [once, actor, id] =>
            keys::revoke(conn, (&once, at, &actor), &id).await?))
            .await
    }

    /// Keys of a merchant, or all: good, lapsed and revoked ones, oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn api_keys(&self, merchant: Option<MerchantId>) -> Result<Vec<ApiKey>> {
        self.read(work!(conn, [] => keys::list(conn, merchant).await?)).await
    }

    /// The key with an id, good or not.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn api_key(&self, id: &str) -> Result<Option<ApiKey>> {
        let id = id.to_owned();
        self.read(work!(conn, [id] => keys::find(conn, &id).await?)).await
    }
}
