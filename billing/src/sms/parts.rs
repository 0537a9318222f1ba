//! Parts of messages as networks name them, and receipts, which may come before it is known what they are of.

use std::time::Duration;

use facts::UnixMillis;
use facts::sms::{Delivery, Receipt};
use serde::{Deserialize, Serialize};

use crate::db::{Conn, Old, args, work};
use crate::error::Result;
use crate::store::Store;

/// As long as their messages.
const LIFE: Duration = Duration::from_secs(90 * 86_400);
/// A receipt that came longer before its part was named is of another part: networks begin anew. Each is named when it has
/// left.
const EARLY: Duration = Duration::from_secs(1_800);
/// Characters of names and words that are kept.
const NAME_MAX: usize = 100;

/// How a part stands. Stored by its word: words never change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartState {
    /// The network has it.
    Sent,
    /// The phone has it.
    Delivered,
    /// It never will.
    Undelivered,
}

/// A part that a network took.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Part {
    /// Of which message.
    #[serde(skip)]
    pub sms: i64,
    /// What the network calls it.
    pub reference: String,
    /// How it stands.
    pub state: PartState,
    /// The network's own word for it.
    pub word: String,
    /// Since when.
    pub at: UnixMillis,
}

fn cut(text: &str) -> String {
    text.chars().take(NAME_MAX).collect()
}

/// The line of a way, as receipts name it.
fn link(way: &str) -> &str {
    way.strip_prefix("smpp:").unwrap_or(way)
}

/// What is known of a part that is named: its own receipt was faster, or it was named before.
const KNOWN: &str =
    "(sms_parts.sms_id = excluded.sms_id OR (sms_parts.sms_id IS NULL AND sms_parts.at >= $5))";

/// Notes how a network calls the parts of a message. What it told of one of them before belongs to it now; one that was
/// another message's is this one's: networks begin anew.
pub(super) async fn name(
    conn: &mut Conn,
    (sms, way): (i64, &str),
    references: &[String],
    at: UnixMillis,
) -> Result<()> {
    for reference in references.iter().filter(|reference| !reference.is_empty()) {
        let sql = format!(
            "INSERT INTO sms_parts (link, reference, sms_id, state, at) VALUES ($1, $2, $3, 'sent', $4) \
             ON CONFLICT (link, reference) DO UPDATE SET sms_id = excluded.sms_id, \
             state = CASE WHEN {KNOWN} THEN sms_parts.state ELSE 'sent' END, \
             word = CASE WHEN {KNOWN} THEN sms_parts.word ELSE '' END, \
             at = CASE WHEN {KNOWN} THEN sms_parts.at ELSE excluded.at END"
        );
        conn.exec(&sql, args![link(way), cut(reference), sms, at, at - EARLY]).await?;
    }
    tell(conn, sms).await
}

/// The same of a part whose message has others that are to follow.
pub(crate) async fn named(
    conn: &mut Conn,
    (sms, way): (i64, &str),
    reference: &str,
    at: UnixMillis,
) -> Result<()> {
    // The message first, then its part, as whoever notes a receipt does.
    hold(conn, sms).await?;
    name(conn, (sms, way), &[reference.to_owned()], at).await
}

/// A message was taken whole by this way, in these parts: what had left of it before is none of them.
pub(super) async fn forget(
    conn: &mut Conn,
    (sms, way): (i64, &str),
    references: &[String],
) -> Result<()> {
    let named = "SELECT link, reference FROM sms_parts WHERE sms_id = $1";
    for row in conn.rows(named, args![sms]).await? {
        let (at, reference) = (row.text(0)?, row.text(1)?);
        if at != link(way) || !references.iter().any(|known| cut(known) == reference) {
            let sql = "DELETE FROM sms_parts WHERE link = $1 AND reference = $2";
            conn.exec(sql, args![&at, &reference]).await?;
        }
    }
    Ok(())
}

/// A message stands as its parts do. Who counts them has its row: two receipts at once are counted one after the other.
async fn tell(conn: &mut Conn, sms: i64) -> Result<()> {
    hold(conn, sms).await?;
    let sql = "SELECT COUNT(*), COALESCE(SUM(CASE WHEN state = 'delivered' THEN 1 ELSE 0 END), 0), \
               COALESCE(SUM(CASE WHEN state = 'undelivered' THEN 1 ELSE 0 END), 0) FROM sms_parts \
               WHERE sms_id = $1";
    let Some(row) = conn.row(sql, args![sms]).await? else { return Ok(()) };
    let (all, delivered, lost) = (row.int(0)?, row.int(1)?, row.int(2)?);
    let state = match (all, delivered, lost) {
        (0, ..) => return Ok(()),
        (_, _, 1..) => "undelivered",
        (all, delivered, _) if all == delivered => "delivered",
        _ => "sent",
    };
    let sql =
        "UPDATE sms SET state = $2 WHERE id = $1 AND state IN ('sent', 'delivered', 'undelivered')";
    conn.exec(sql, args![sms, state]).await.map(drop)
}

/// Nobody else changes a message or counts its parts until the end of this transaction.
async fn hold(conn: &mut Conn, sms: i64) -> Result<()> {
    let lock = conn.lock("s");
    conn.row(&format!("SELECT s.id FROM sms s WHERE s.id = $1{lock}"), args![sms]).await.map(drop)
}

/// Notes a receipt. False where it says nothing new.
async fn receive(conn: &mut Conn, receipt: &Receipt, at: UnixMillis) -> Result<bool> {
    let state = match receipt.delivery {
        Delivery::Delivered => "delivered",
        Delivery::Undelivered => "undelivered",
    };
    let (link, reference) = (link(&receipt.link), cut(&receipt.reference));
    let sql = "INSERT INTO sms_parts (link, reference, state, word, at) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (link, reference) DO NOTHING";
    if conn.exec(sql, args![link, &reference, state, cut(&receipt.word), at]).await? == 1 {
        return Ok(true);
    }
    let sql = "SELECT p.sms_id, p.state FROM sms_parts p WHERE p.link = $1 AND p.reference = $2";
    // The message first, then its part, as whoever names parts does.
    let named = conn.row(sql, args![link, &reference]).await?;
    if let Some(sms) = named.map(|row| row.opt_int(0)).transpose()?.flatten() {
        hold(conn, sms).await?;
    }
    let sql = format!("{sql}{}", conn.lock("p"));
    let Some(row) = conn.row(&sql, args![link, &reference]).await? else { return Ok(false) };
    // A phone that has it has it, whatever is told later.
    let known = row.text(1)?;
    if known == state || known == "delivered" {
        return Ok(false);
    }
    let sql =
        "UPDATE sms_parts SET state = $3, word = $4, at = $5 WHERE link = $1 AND reference = $2";
    conn.exec(sql, args![link, &reference, state, cut(&receipt.word), at]).await?;
    if let Some(sms) = row.opt_int(0)? {
        tell(conn, sms).await?;
    }
    Ok(true)
}

/// Parts of long ago.
pub(crate) const OLD: Old =
    Old { table: "sms_parts", keys: "link, reference", which: "at < $1", life: LIFE };

impl Store {
    /// Notes what became of a part; false where it was known. One that nobody knows yet is kept for when it is named.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sms_receipt(&self, receipt: Receipt, at: UnixMillis) -> Result<bool> {
        self.write(work!(conn, [receipt] => receive(conn, &receipt, at).await?)).await
    }

    /// Parts of the messages of a range of ids, by message and name.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sms_parts(&self, (first, last): (i64, i64)) -> Result<Vec<Part>> {
        let sql = "SELECT sms_id, reference, state, word, at FROM sms_parts \
                   WHERE sms_id BETWEEN $1 AND $2 ORDER BY sms_id, reference";
        self.read(work!(conn, [] => {
            let rows = conn.rows(sql, args![first, last]).await?;
            let part = |row: &crate::db::Row| -> Result<Part> {
                Ok(Part {
                    sms: row.int(0)?,
                    reference: row.text(1)?,
                    state: row.word(2)?,
                    word: row.text(3)?,
                    at: row.instant(4)?,
                })
            };
            rows.iter().map(part).collect::<Result<Vec<_>>>()?
        }))
        .await
    }
}
