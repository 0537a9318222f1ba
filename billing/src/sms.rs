//! Short messages that are to be sent. A row is written in the transaction that makes true what it says; a worker leases
//! rows that are due, sends them and reports, as that of the outbox does.

use std::time::Duration;

use facts::gsm::Room;
use facts::{MerchantId, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::db::{Conn, Old, Row, args, work};
use crate::error::Result;
use crate::store::Store;

/// How long a message is the worker's.
const LEASE: Duration = Duration::from_secs(60);
/// Before each further try. Whoever waits for a link does not wait for long.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(300),
];
/// How long it is known that one was sent.
const LIFE: Duration = Duration::from_secs(90 * 86_400);
/// Bytes of a gateway's words that are kept.
const SAID_MAX: usize = 300;

const SMS: &str =
    "SELECT id, merchant_id, recipient, text, parts, state, tries, lease, made, said FROM sms";

/// How a message stands. Stored by its word: words never change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmsState {
    /// To be sent, or to be tried again.
    Pending,
    /// The gateway has taken it.
    Sent,
    /// It was given up.
    Failed,
}

/// A message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Sms {
    /// Row id.
    pub id: i64,
    /// Of whose subscriber.
    pub merchant: MerchantId,
    /// To whom: E.164 digits.
    pub recipient: String,
    /// What it says. It may bear a link that pays.
    #[serde(skip)]
    pub text: String,
    /// Messages that mobile networks make of it.
    pub parts: u32,
    /// How it stands.
    pub state: SmsState,
    /// How often it was tried.
    pub tries: u32,
    /// Counts those who had it.
    #[serde(skip)]
    pub lease: i64,
    /// When it was written.
    pub made: UnixMillis,
    /// What the gateway said last.
    pub said: String,
}

/// What came of a try.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SmsSent {
    /// The gateway has it.
    Taken,
    /// Not now, in these words.
    Later(String),
    /// Never, in these words.
    Refused(String),
}

/// Messages that mobile networks make of a text: one where it fits into one, else parts with a header each
/// (3GPP TS 23.040 §9.2.3.24.1).
#[must_use]
pub fn parts(text: &str) -> u32 {
    if Room::SMS.holds(text) {
        return 1;
    }
    u32::try_from(Room::SMS_PART.parts(text).len()).unwrap_or(u32::MAX)
}

/// Writes a message, unless that was told already.
pub(crate) async fn insert(
    conn: &mut Conn,
    once: &str,
    (merchant, recipient): (MerchantId, &str),
    text: &str,
    now: UnixMillis,
) -> Result<()> {
    let sql = "INSERT INTO sms (merchant_id, once, recipient, text, parts, state, due, made) \
               VALUES ($1, $2, $3, $4, $5, 'pending', $6, $7) ON CONFLICT (once) DO NOTHING";
    let args = args![merchant.0, once, recipient, text, parts(text), now, now];
    conn.exec(sql, args).await.map(drop)
}

/// Whether a message was written under this name.
pub(crate) async fn is_told(conn: &mut Conn, once: &str) -> Result<bool> {
    Ok(conn.row("SELECT 1 FROM sms WHERE once = $1", args![once]).await?.is_some())
}

fn sms_of(row: &Row) -> Result<Sms> {
    Ok(Sms {
        id: row.int(0)?,
        merchant: MerchantId(row.int(1)?),
        recipient: row.text(2)?,
        text: row.text(3)?,
        parts: row.small(4)?,
        state: row.word(5)?,
        tries: row.small(6)?,
        lease: row.int(7)?,
        made: row.instant(8)?,
        said: row.text(9)?,
    })
}

async fn take(conn: &mut Conn, now: UnixMillis, limit: u32) -> Result<Vec<Sms>> {
    let lock = if conn.is_pg() { " FOR UPDATE SKIP LOCKED" } else { "" };
    let sql =
        format!("{SMS} WHERE state = 'pending' AND due <= $1 ORDER BY due, id LIMIT $2{lock}");
    let rows = conn.rows(&sql, args![now, limit]).await?;
    let mut taken = rows.iter().map(sms_of).collect::<Result<Vec<_>>>()?;
    for sms in &mut taken {
        sms.lease += 1;
        let sql = "UPDATE sms SET due = $2, lease = $3 WHERE id = $1";
        conn.exec(sql, args![sms.id, now + LEASE, sms.lease]).await?;
    }
    Ok(taken)
}

async fn note(
    conn: &mut Conn,
    (id, lease): (i64, i64),
    came: &SmsSent,
    now: UnixMillis,
) -> Result<()> {
    let sql = "SELECT tries FROM sms WHERE id = $1 AND lease = $2 AND state = 'pending'";
    let Some(row) = conn.row(sql, args![id, lease]).await? else { return Ok(()) };
    let tries: u32 = row.small(0)?;
    let pause = PAUSES.get(usize::try_from(tries).unwrap_or(usize::MAX));
    let (state, due, said) = match (came, pause) {
        (SmsSent::Taken, _) => ("sent", now, ""),
        (SmsSent::Later(said), Some(pause)) => ("pending", now + *pause, said.as_str()),
        (SmsSent::Later(said) | SmsSent::Refused(said), _) => ("failed", now, said.as_str()),
    };
    let said: String = said.chars().take(SAID_MAX).collect();
    // What was said is not needed once it was sent: a link in it pays.
    let sql = "UPDATE sms SET state = $3, due = $4, said = $5, tries = tries + 1, lease = lease + 1 \
               WHERE id = $1 AND lease = $2";
    conn.exec(sql, args![id, lease, state, due, said]).await.map(drop)
}

/// Messages of long ago.
pub(crate) const OLD: Old =
    Old { table: "sms", keys: "id", which: "made < $1 AND state <> 'pending'", life: LIFE };

impl Store {
    /// Messages that are due, for a minute the caller's.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn take_sms(&self, now: UnixMillis, limit: u32) -> Result<Vec<Sms>> {
        self.write(work!(conn, [] => take(conn, now, limit).await?)).await
    }

    /// Notes what came of a message that was taken with this lease; again, nothing.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn note_sms(&self, of: (i64, i64), came: SmsSent, now: UnixMillis) -> Result<()> {
        self.write(work!(conn, [came] => note(conn, of, &came, now).await?)).await
    }

    /// Messages with a higher id than `after`, by id.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sms(&self, after: i64, limit: u32) -> Result<Vec<Sms>> {
        let sql = format!("{SMS} WHERE id > $1 AND id <= $3 ORDER BY id LIMIT $2");
        let last = self.settled("sms").await?;
        self.read(work!(conn, [sql] => {
            let rows = conn.rows(&sql, args![after, limit, last]).await?;
            rows.iter().map(sms_of).collect::<Result<Vec<_>>>()?
        }))
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_5_a_text_is_so_many_messages_as_networks_make_of_it() {
        for (text, wanted) in [
            ("a".repeat(160), 1),
            ("a".repeat(161), 2),
            ("a".repeat(306), 2),
            ("a".repeat(307), 3),
            ("€".repeat(80), 1),
            ("€".repeat(81), 2),
            ("س".repeat(70), 1),
            ("س".repeat(71), 2),
            ("中".repeat(134), 2),
            ("中".repeat(135), 3),
        ] {
            assert_eq!(parts(&text), wanted, "{} of {}", text.chars().count(), text.len());
        }
    }
}
