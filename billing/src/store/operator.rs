//! The operator's hand: settings, the file that is applied, the audit trail.

use std::sync::Arc;

use facts::UnixMillis;
use facts::settings::Snapshot;

use super::Store;
use crate::db::{Work, work};
use crate::desired::{Changes, Desired};
use crate::error::Result;
use crate::once::Once;
use crate::trail::{self, Entry, Head, Trail};
use crate::{apply, snapshot};

impl Store {
    /// Everything the engine reads.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let lists = self.lists.clone();
        self.view(work!(conn, [lists] => snapshot::snapshot(conn, &lists).await?)).await
    }

    /// Rises with every change of the settings.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn settings_version(&self) -> Result<u64> {
        self.read(work!(conn, [] => snapshot::version(conn).await?)).await
    }

    /// Brings the store to what the file says; `dry_run` only shows the difference. With any mistake nothing
    /// is written.
    ///
    /// # Errors
    /// Those of the database. Mistakes in the file are in the answer.
    pub async fn apply(&self, desired: &Desired, at: UnixMillis, dry_run: bool) -> Result<Changes> {
        self.apply_by("", desired, at, dry_run).await
    }

    /// The same, and the audit trail says who did it: `tandem apply, uid 0`.
    ///
    /// # Errors
    /// Those of the database. Mistakes in the file are in the answer.
    pub async fn apply_by(
        &self,
        actor: &str,
        desired: &Desired,
        at: UnixMillis,
        dry_run: bool,
    ) -> Result<Changes> {
        let asked = Arc::new((actor.to_owned(), desired.clone()));
        let work: Work<Changes> = Box::new(move |conn| {
            let asked = Arc::clone(&asked);
            Box::pin(async move {
                let (actor, desired) = &*asked;
                apply::apply(conn, desired, (at, actor), dry_run).await
            })
        });
        self.long(work).await
    }

    /// Notes an operator's act that is no change of settings. The same act again notes nothing more.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn note(
        &self,
        once: &Once,
        at: UnixMillis,
        actor: &str,
        act: &str,
        what: serde_json::Value,
    ) -> Result<Head> {
        let (once, who) = (once.clone(), (actor.to_owned(), act.to_owned()));
        self.write(work!(conn, [once, who, what] =>
            trail::note(conn, &once, at, (&who.0, &who.1), &what).await?))
            .await
    }

    /// The end of the audit trail.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn trail_head(&self) -> Result<Head> {
        self.read(work!(conn, [] => trail::head(conn).await?)).await
    }

    /// Entries of the audit trail with an id above `after`, oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn trail(&self, after: i64, limit: u32) -> Result<Vec<Entry>> {
        self.read(work!(conn, [] => trail::entries(conn, after, limit).await?)).await
    }

    /// Walks the audit trail from its beginning; `anchor` is a hash noted earlier that must be in it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn check_trail(&self, anchor: Option<&str>) -> Result<Trail> {
        let anchor = anchor.map(str::to_owned);
        self.view(work!(conn, [anchor] => trail::check(conn, (*anchor).as_deref()).await?)).await
    }
}
