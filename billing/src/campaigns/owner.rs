//! Which process dials a campaign: the one with which the most of its agents are registered, since
//! a process rings its own phones only.
//!
//! Each tells how many it has. Whoever has as many as any other takes a campaign that is nobody's;
//! whoever has one and fewer agents than another leaves it as soon as no customer of it rings or
//! waits.

use std::time::Duration;

use facts::UnixMillis;

use super::{COLUMNS, Campaign, Tally, both_of};
use crate::db::{Conn, Row, args, work};
use crate::error::Result;
use crate::once::Once;
use crate::store::Store;

/// How long a process that is gone keeps a campaign from the others.
pub const LEASE: Duration = Duration::from_secs(20);
/// How long what a process told of its agents is believed.
pub const TOLD_LIFE: Duration = Duration::from_secs(15);

/// Who dials a campaign.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// Whoever asks, until then.
    Me(UnixMillis),
    /// Another process.
    Other,
    /// Nobody.
    Nobody,
}

/// A campaign that somebody has to look after: it runs, or calls of it are under way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Open {
    /// What it is.
    pub campaign: Campaign,
    /// How its numbers stand, as far as was noted.
    pub tally: Tally,
    /// Who dials it.
    pub owner: Owner,
    /// Of its agents so many are registered with another process: the one that has the most.
    pub elsewhere: u64,
}

/// What a look at all campaigns found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Found {
    /// Those that somebody has to look after.
    pub open: Vec<Open>,
    /// Those of them that cannot be read, by their ids, and why.
    pub damaged: Vec<(String, String)>,
}

/// What a process wants to do about campaigns.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wishes {
    /// Dials these, if they are its own or nobody's.
    pub take: Vec<String>,
    /// Does not dial these any more.
    pub leave: Vec<String>,
    /// Of these so many agents are registered with it.
    pub agents: Vec<(String, u64)>,
}

impl Wishes {
    /// Nothing is to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.take.is_empty() && self.leave.is_empty() && self.agents.is_empty()
    }
}

async fn open(conn: &mut Conn, me: &Once, now: UnixMillis) -> Result<Found> {
    let sql = format!(
        "SELECT {COLUMNS}, owner, leased, CAST(COALESCE((SELECT MAX(a.agents) \
         FROM campaign_agents a WHERE a.campaign = campaigns.id AND a.process <> $1 \
         AND a.until > $2), 0) AS BIGINT) FROM campaigns \
         WHERE id IN (SELECT id FROM campaigns WHERE state = 'running' \
         UNION SELECT id FROM campaigns WHERE calling > 0) ORDER BY id"
    );
    let of = |row: &Row| -> Result<Open> {
        let (campaign, tally) = both_of(row)?;
        let until = row.instant(17)?;
        let owner = match row.text(16)? {
            _ if until <= now => Owner::Nobody,
            owner if owner == me.as_str() => Owner::Me(until),
            _ => Owner::Other,
        };
        Ok(Open { campaign, tally, owner, elsewhere: row.small(18)? })
    };
    let mut found = Found::default();
    for row in conn.rows(&sql, args![me.as_str(), now]).await? {
        match of(&row) {
            Ok(open) => found.open.push(open),
            Err(error) => found.damaged.push((row.text(0)?, error.to_string())),
        }
    }
    Ok(found)
}

/// Whether one starts or pauses by itself now.
async fn is_due(conn: &mut Conn, now: UnixMillis) -> Result<bool> {
    let sql = "SELECT 1 FROM campaigns WHERE (state = 'waiting' AND begins <= $1 AND total > 0) \
               OR (state = 'running' AND pauses <= $1) LIMIT 1";
    Ok(conn.row(sql, args![now]).await?.is_some())
}

/// Starts and pauses what is due, each instant once: whoever starts by hand what paused by itself
/// is not paused again. One whose time has come before its first number begins with that.
async fn turn(conn: &mut Conn, now: UnixMillis) -> Result<()> {
    let begin = "UPDATE campaigns SET state = 'running', begins = NULL \
                 WHERE state = 'waiting' AND begins <= $1 AND total > 0";
    let pause = "UPDATE campaigns SET state = 'paused', pauses = NULL \
                 WHERE state = 'running' AND pauses <= $1";
    conn.exec(begin, args![now]).await?;
    conn.exec(pause, args![now]).await?;
    Ok(())
}

async fn keep(conn: &mut Conn, me: &Once, wishes: &Wishes, now: UnixMillis) -> Result<()> {
    let me = me.as_str();
    for id in &wishes.take {
        let sql = "UPDATE campaigns SET owner = $2, leased = $3 \
                   WHERE id = $1 AND (owner = $2 OR leased <= $4)";
        conn.exec(sql, args![id, me, now + LEASE, now]).await?;
    }
    for id in &wishes.leave {
        let sql = "UPDATE campaigns SET owner = '', leased = 0 WHERE id = $1 AND owner = $2";
        conn.exec(sql, args![id, me]).await?;
    }
    for (id, agents) in &wishes.agents {
        let sql = "INSERT INTO campaign_agents (campaign, process, agents, until) \
                   VALUES ($1, $2, $3, $4) ON CONFLICT (campaign, process) \
                   DO UPDATE SET agents = excluded.agents, until = excluded.until";
        let agents = i64::try_from(*agents).unwrap_or(i64::MAX);
        conn.exec(sql, args![id, me, agents, now + TOLD_LIFE]).await?;
    }
    Ok(())
}

impl Store {
    /// The campaigns that somebody has to look after now, and who does. Those whose time has come
    /// are started or paused first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn open_campaigns(&self, me: &Once, now: UnixMillis) -> Result<Found> {
        if self.read(work!(conn, [] => is_due(conn, now).await?)).await? {
            self.write::<()>(work!(conn, [] => turn(conn, now).await?)).await?;
        }
        let me = me.clone();
        self.read(work!(conn, [me] => open(conn, &me, now).await?)).await
    }

    /// A process starts: where the database is its own (SQLite), whoever dialled a campaign before
    /// is gone, however long he had taken it for.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn start_campaigns(&self) -> Result<()> {
        self.write(work!(conn, [] => {
            if !conn.is_pg() {
                conn.exec("UPDATE campaigns SET owner = '', leased = 0 WHERE leased > 0", args![])
                    .await?;
                conn.exec("DELETE FROM campaign_agents", args![]).await?;
            }
        }))
        .await
    }

    /// Takes, keeps and leaves campaigns, and tells how many agents of them this process has.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn keep_campaigns(&self, me: &Once, wishes: Wishes, now: UnixMillis) -> Result<()> {
        let me = me.clone();
        self.write(work!(conn, [me, wishes] => keep(conn, &me, &wishes, now).await?)).await
    }
}
