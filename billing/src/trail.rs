//! The audit trail: who changed what, when and by which hand, each entry chained to the one before.
//!
//! The hash of an entry is SHA-256 over the hash of the entry before and every field of this one. A byte
//! that was changed, an entry that was taken out or put in breaks the chain where it happened. Entries cut
//! off at the end leave a shorter chain that is right in itself: that is found by comparing with a hash
//! that was noted elsewhere ([`Trail::holds`]).

use facts::time::UnixMillis;
use serde::Serialize;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::db::{Conn, args, json};
use crate::error::Result;
use crate::once::Once;

/// Entries of an export page at most, and of one look of the check.
const PAGE_MAX: u32 = 1_000;
/// Findings told at most; a chain that broke early would fill a screen.
const FINDINGS_MAX: usize = 20;
/// What stands before the first entry.
const BEGINNING: &str = "";

/// One change by an operator.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Entry {
    /// Rises by one with each entry.
    pub id: i64,
    /// When.
    pub at: UnixMillis,
    /// Who, and by which hand: `tandem apply, uid 0`, `admin API from 192.0.2.1`. Empty: not known.
    pub actor: String,
    /// `apply`, `hang_up`, `redeliver`.
    pub act: String,
    /// Settings version after it.
    pub version: i64,
    /// What: the lines of the difference with values before and after, or the object's id.
    pub changes: Json,
    /// Hex SHA-256 of the chain up to here; empty in entries made before there was a chain.
    pub hash: String,
}

/// The end of the chain: worth noting where the database's owner cannot write.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Head {
    /// Id of the last entry; 0 when there is none.
    pub entry: i64,
    /// Its hash.
    pub hash: String,
}

/// What a walk along the whole chain found.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Trail {
    /// Entries there are.
    pub entries: u64,
    /// Entries from before there was a chain; the first chained one covers them.
    pub unchained: u64,
    /// The end of the chain.
    pub head: Head,
    /// What is wrong, in words; at most twenty.
    pub findings: Vec<String>,
    /// Whether the hash that was asked for is in the chain; `None` when none was asked for.
    pub holds: Option<bool>,
}

impl Trail {
    /// Nothing is wrong.
    #[must_use]
    pub fn in_order(&self) -> bool {
        self.findings.is_empty() && self.holds != Some(false)
    }

    fn wrong(&mut self, finding: String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }
}

/// An entry as it stands in the table.
struct Line {
    id: i64,
    at: i64,
    version: i64,
    actor: String,
    act: String,
    changes: String,
    hash: String,
}

impl Line {
    /// The hash that this entry must have after one with the hash `before`.
    fn chained(&self, before: &str) -> String {
        let mut hash = Sha256::new();
        let (id, at, version) =
            (self.id.to_string(), self.at.to_string(), self.version.to_string());
        for field in [before, &id, &at, &version, &self.actor, &self.act, &self.changes] {
            // Its length before each field: nothing can move from one to the next unseen.
            hash.update((field.len() as u64).to_be_bytes());
            hash.update(field);
        }
        hex::encode(hash.finalize())
    }
}

/// Adds an entry. The caller holds the lock of the settings row, so that entries come one after the other.
/// Who may ask again for an entry that is there gives it a name; an apply that runs again finds nothing to
/// change and adds nothing.
pub(crate) async fn append<T: Serialize>(
    conn: &mut Conn,
    once: Option<&Once>,
    (at, version): (UnixMillis, i64),
    (actor, act): (&str, &str),
    changes: &T,
) -> Result<Head> {
    if let Some(once) = once {
        let sql = "SELECT id, hash FROM applies WHERE once = $1";
        if let Some(row) = conn.row(sql, args![once.as_str()]).await? {
            return Ok(Head { entry: row.int(0)?, hash: row.text(1)? });
        }
    }
    let head = head(conn).await?;
    let before = match head.hash.as_str() {
        // Nothing yet, or entries from before there was a chain.
        "" => walk(conn, None).await?.1,
        hash => hash.to_owned(),
    };
    let mut line = Line {
        id: head.entry + 1,
        at: at.0,
        version,
        actor: actor.to_owned(),
        act: act.to_owned(),
        changes: json(changes)?,
        hash: String::new(),
    };
    line.hash = line.chained(&before);
    conn.exec(
        "INSERT INTO applies (id, at, version, changes, actor, act, hash, once) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        args![
            line.id,
            at,
            version,
            line.changes,
            line.actor,
            line.act,
            &line.hash,
            once.map(Once::as_str)
        ],
    )
    .await?;
    Ok(Head { entry: line.id, hash: line.hash })
}

/// The last entry.
pub(crate) async fn head(conn: &mut Conn) -> Result<Head> {
    let row = conn.row("SELECT id, hash FROM applies ORDER BY id DESC LIMIT 1", args![]).await?;
    row.map_or(Ok(Head::default()), |row| Ok(Head { entry: row.int(0)?, hash: row.text(1)? }))
}

/// Notes an act that is no change of settings.
pub(crate) async fn note(
    conn: &mut Conn,
    once: &Once,
    at: UnixMillis,
    (actor, act): (&str, &str),
    changes: &Json,
) -> Result<Head> {
    let sql = format!("SELECT version FROM settings{}", conn.lock("settings"));
    let version = conn.row(&sql, args![]).await?.map_or(Ok(0), |row| row.int(0))?;
    append(conn, Some(once), (at, version), (actor, act), changes).await
}

/// Walks the whole chain; `anchor` is a hash that must be in it.
pub(crate) async fn check(conn: &mut Conn, anchor: Option<&str>) -> Result<Trail> {
    Ok(walk(conn, anchor).await?.0)
}

/// What was found, and the hash that the next entry builds on.
async fn walk(conn: &mut Conn, anchor: Option<&str>) -> Result<(Trail, String)> {
    let mut trail = Trail { holds: anchor.map(|_| false), ..Trail::default() };
    let mut before = BEGINNING.to_owned();
    let (mut after, mut chained) = (0, false);
    loop {
        let lines = page(conn, after, PAGE_MAX).await?;
        let Some(last) = lines.last() else { break };
        let previous = std::mem::replace(&mut after, last.id);
        let mut expected = previous + 1;
        for line in lines {
            trail.entries += 1;
            if line.id != expected && chained {
                trail.wrong(format!("entries {expected} to {} are gone", line.id - 1));
            }
            expected = line.id + 1;
            let hash = line.chained(&before);
            if line.hash.is_empty() {
                trail.unchained += 1;
                if chained {
                    trail.wrong(format!("entry {} has lost its hash", line.id));
                }
                before = hash;
            } else {
                chained = true;
                if line.hash != hash {
                    trail.wrong(format!("entry {} or the one before it was changed", line.id));
                }
                if anchor.is_some_and(|anchor| anchor.eq_ignore_ascii_case(&line.hash)) {
                    trail.holds = Some(true);
                }
                // Goes on from what stands there: one change is one finding.
                before.clone_from(&line.hash);
            }
            trail.head = Head { entry: line.id, hash: line.hash };
        }
    }
    Ok((trail, before))
}

/// Entries with an id above `after`, oldest first.
pub(crate) async fn entries(conn: &mut Conn, after: i64, limit: u32) -> Result<Vec<Entry>> {
    let lines = page(conn, after, limit.min(PAGE_MAX)).await?;
    let entry = |line: Line| Entry {
        id: line.id,
        at: UnixMillis(line.at),
        actor: line.actor,
        act: line.act,
        version: line.version,
        // Somebody may have written into the table by hand: shown as it stands.
        changes: serde_json::from_str(&line.changes).unwrap_or(Json::String(line.changes)),
        hash: line.hash,
    };
    Ok(lines.into_iter().map(entry).collect())
}

async fn page(conn: &mut Conn, after: i64, limit: u32) -> Result<Vec<Line>> {
    let sql = "SELECT id, at, version, actor, act, changes, hash FROM applies WHERE id > $1 \
               ORDER BY id LIMIT $2";
    let rows = conn.rows(sql, args![after, limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(Line {
                id: row.int(0)?,
                at: row.int(1)?,
                version: row.int(2)?,
                actor: row.text(3)?,
                act: row.text(4)?,
                changes: row.text(5)?,
                hash: row.text(6)?,
            })
        })
        .collect()
}
