//! Campaigns of `/v1`, as their merchant sees them.

use facts::campaign::CampaignTurn;
use facts::{MerchantId, UnixMillis};

use super::{COLUMNS, Campaign, Tally, both_of, tell};
use crate::db::{Conn, Row, args, work};
use crate::error::Result;
use crate::store::Store;

/// Where the campaigns of `/v1` of a merchant are kept: what system 002 has a company for. No company
/// code has a slash.
#[must_use]
pub fn home(merchant: MerchantId) -> String {
    format!("/v1/{}", merchant.0)
}

/// A campaign, and all that is known of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Known {
    /// What it is.
    pub campaign: Campaign,
    /// How its numbers stand.
    pub tally: Tally,
    /// Why the switch paused it; empty where it did not.
    pub reason: String,
    /// When it ended.
    pub ended: Option<UnixMillis>,
    /// Somebody ended it before all its numbers were called.
    pub cancelled: bool,
}

fn known_of(row: &Row) -> Result<Known> {
    let (campaign, tally) = both_of(row)?;
    let (reason, ended) = (row.text(16)?, row.opt_int(17)?.map(UnixMillis));
    Ok(Known { campaign, tally, reason, ended, cancelled: row.truth(18)? })
}

/// The switch pauses it, if it runs.
pub(super) async fn pause(conn: &mut Conn, id: &str, why: &str, at: UnixMillis) -> Result<()> {
    let sql =
        "UPDATE campaigns SET state = 'paused', reason = $2 WHERE id = $1 AND state = 'running'";
    if conn.exec(sql, args![id, why]).await? == 1 {
        tell::tell(conn, id, (CampaignTurn::Paused, why), at).await?;
    }
    Ok(())
}

impl Store {
    /// A campaign of a home, with all that is known of it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn known_campaign(&self, home: &str, id: &str) -> Result<Option<Known>> {
        let (home, id) = (home.to_owned(), id.to_owned());
        self.read(work!(conn, [home, id] => {
            let sql = format!(
                "SELECT {COLUMNS}, reason, ended, cancelled FROM campaigns \
                 WHERE id = $1 AND company = $2"
            );
            let row = conn.row(&sql, args![id.as_str(), home.as_str()]).await?;
            row.as_ref().map(known_of).transpose()?
        }))
        .await
    }

    /// Campaigns of a home, the newest first, behind one. One that cannot be read is passed over.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn known_campaigns(
        &self,
        home: &str,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Known>> {
        let (home, before) = (home.to_owned(), before.map(str::to_owned));
        self.read(work!(conn, [home, before] => {
            let sql = format!(
                "SELECT {COLUMNS}, reason, ended, cancelled FROM campaigns \
                 WHERE company = $1 AND (CAST($2 AS TEXT) IS NULL OR id < $2) \
                 ORDER BY id DESC LIMIT $3"
            );
            let values = args![home.as_str(), before.as_ref().clone(), limit];
            let rows = conn.rows(&sql, values).await?;
            rows.iter().filter_map(|row| known_of(row).ok()).collect()
        }))
        .await
    }

    /// The switch pauses a campaign that runs, and says why; its merchant is told if it is one of `/v1`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn pause_campaign(&self, id: &str, why: &str, at: UnixMillis) -> Result<()> {
        let (id, why) = (id.to_owned(), why.to_owned());
        self.write(work!(conn, [id, why] => pause(conn, &id, &why, at).await?)).await
    }
}
