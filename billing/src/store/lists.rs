//! What the operator configured, as lists.

use facts::{MerchantId, UnixMillis};

use super::Store;
use crate::db::work;
use crate::error::Result;
use crate::once::Once;
use crate::rows::{
    Company, Extension, GroupRow, Merchant, NumberListRow, PolicyRow, SubAccount, TemplateRow,
    TrunkRow, YtxAccount, YtxApp,
};
use crate::{objects, signs, tariffs};

impl Store {
    /// All merchants by id.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn merchants(&self) -> Result<Vec<Merchant>> {
        self.read(work!(conn, [] => objects::merchants(conn).await?)).await
    }

    /// Sub-accounts of a merchant, or all.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sub_accounts(&self, merchant: Option<MerchantId>) -> Result<Vec<SubAccount>> {
        self.read(work!(conn, [] => objects::sub_accounts(conn, merchant).await?)).await
    }

    /// Extensions of a merchant, or all.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn extensions(&self, merchant: Option<MerchantId>) -> Result<Vec<Extension>> {
        self.read(work!(conn, [] => objects::extensions(conn, merchant).await?)).await
    }

    /// Changes one wish of an extension, as it dialled, and notes that in the audit trail. False when there is
    /// no such extension.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn set_reach(
        &self,
        once: &Once,
        at: UnixMillis,
        user: String,
        set: facts::ReachSet,
    ) -> Result<bool> {
        let once = once.clone();
        self.write(work!(conn, [once, user, set] =>
            crate::reach::set(conn, (&once, at), &user, &set).await?))
            .await
    }

    /// All groups.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn groups(&self) -> Result<Vec<GroupRow>> {
        self.read(work!(conn, [] => {
            let mut groups = objects::groups(conn).await?;
            signs::merge(conn, &mut groups).await?;
            groups
        }))
        .await
    }

    /// All trunks.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn trunks(&self) -> Result<Vec<TrunkRow>> {
        let mut trunks: Vec<TrunkRow> =
            self.read(work!(conn, [] => objects::trunks(conn).await?)).await?;
        for row in &mut trunks {
            if let Some(credentials) = &mut row.trunk.credentials {
                credentials.password.clear();
            }
        }
        Ok(trunks)
    }

    /// All tariffs with their rates.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn tariffs(&self) -> Result<Vec<crate::desired::Tariff>> {
        self.view(work!(conn, [] => tariffs::list(conn).await?)).await
    }

    /// All 001 accounts.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn ytx_accounts(&self) -> Result<Vec<YtxAccount>> {
        self.read(work!(conn, [] => objects::ytx_accounts(conn).await?)).await
    }

    /// All 001 apps.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn ytx_apps(&self) -> Result<Vec<YtxApp>> {
        self.read(work!(conn, [] => objects::ytx_apps(conn).await?)).await
    }

    /// All 002 companies.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn companies(&self) -> Result<Vec<Company>> {
        self.read(work!(conn, [] => objects::companies(conn).await?)).await
    }

    /// Templates of a merchant, or all.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn templates(&self, merchant: Option<MerchantId>) -> Result<Vec<TemplateRow>> {
        self.read(work!(conn, [] => objects::templates(conn, merchant).await?)).await
    }

    /// All lists of numbers, without their numbers.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn number_lists(&self) -> Result<Vec<NumberListRow>> {
        self.read(work!(conn, [] => objects::number_lists(conn).await?)).await
    }

    /// All policies, also those that are not in use.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn policies(&self) -> Result<Vec<PolicyRow>> {
        self.read(work!(conn, [] => objects::policies(conn).await?)).await
    }
}
