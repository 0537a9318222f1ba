//! Forgetting, a few thousand rows at a time: whoever reads a list to its end waits for those who write, and whoever
//! forgets is one of them.

use facts::UnixMillis;

use super::Store;
use crate::db::{Old, work};
use crate::error::Result;
use crate::{
    axb, bindings, call, campaigns, conferences, numbers, outbox, repeats, rung, smpp, sms,
};

/// Rows that are forgotten in one transaction at most.
const ROWS: u32 = 2_000;

impl Store {
    /// Forgets what is past its life: request keys after thirty days, contacts that lapsed, notifications
    /// delivered and short messages written or received ninety days ago, bindings of privacy numbers a week after they lapsed,
    /// scenarios of numbers a week after they were taken back, conferences and campaigns that were over then. Returns how
    /// many rows went.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn purge(&self, now: UnixMillis) -> Result<u64> {
        let mut gone: u64 =
            self.long(work!(conn, [] => campaigns::purge(conn, now).await?)).await?;
        let old = [
            bindings::OLD,
            rung::OLD,
            conferences::OLD,
            repeats::OLD,
            call::OLD_KEYS,
            axb::OLD,
            numbers::OLD,
            sms::OLD,
            smpp::OLD_PARTS,
            smpp::OLD_LEFT,
            sms::OLD_PARTS,
            sms::OLD_IN,
        ];
        for old in old {
            gone += self.forget(old, now).await?;
        }
        let mut after = 0;
        while let Some((end, some)) =
            self.long(work!(conn, [] => outbox::purge(conn, now, (after, ROWS)).await?)).await?
        {
            (after, gone) = (end, gone + some);
        }
        Ok(gone + self.purge_sounds(now).await?)
    }

    async fn forget(&self, old: Old, now: UnixMillis) -> Result<u64> {
        let mut gone = 0;
        loop {
            let some: u64 =
                self.long(work!(conn, [] => conn.forget(&old, now, ROWS).await?)).await?;
            gone += some;
            if some < u64::from(ROWS) {
                return Ok(gone);
            }
        }
    }
}
