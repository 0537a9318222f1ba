//! The end of a list below which nothing is still to appear.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{Database, Store};
use crate::db::work;
use crate::error::{Error, Result};

/// How long those who write are waited for.
const PATIENCE: Duration = Duration::from_millis(1_000);
/// Between the first two looks at who still does, and between two looks at most.
const PAUSE: Duration = Duration::from_millis(3);
const PAUSE_MAX: Duration = Duration::from_millis(50);

impl Store {
    /// The id of a table below which no row is still to appear: ids are drawn before their commit, and one that
    /// appeared below a page's end would never be read. Whoever has drawn one holds the table's write lock until he
    /// commits; those who did when the last id was read are waited for, and nobody is kept from writing. No connection
    /// is kept meanwhile. SQLite has one writer.
    pub(crate) async fn settled(&self, table: &'static str) -> Result<i64> {
        if !matches!(self.database, Database::Pg(_)) {
            return Ok(i64::MAX);
        }
        let begun = Instant::now();
        let (last, mut before): (i64, BTreeSet<String>) = self
            .read(work!(conn, [] => (conn.last_drawn(table).await?, conn.writers(table).await?)))
            .await?;
        let mut pause = PAUSE;
        while !before.is_empty() {
            if begun.elapsed() > PATIENCE {
                return Err(Error::Unreachable(format!("{table} is written to for long")));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
            let still: BTreeSet<String> =
                self.read(work!(conn, [] => conn.writers(table).await?)).await?;
            before.retain(|writer| still.contains(writer));
        }
        Ok(last)
    }
}
