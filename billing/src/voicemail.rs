//! Messages in voice mailboxes. A row comes with the settlement of the call that left it, in one transaction; the
//! sound is a file. What a number's former owner was told is nobody's: only the messages of the merchant whose
//! extension it is now are seen.

use std::collections::BTreeSet;

use facts::{CallFacts, CallId, MerchantId, UnixMillis};
use serde_json::json;

use crate::db::{Batch, Conn, Row, args, work};
use crate::error::Result;
use crate::once::Once;
use crate::rows::{MailboxCount, VoiceMessage};
use crate::store::Store;
use crate::{reach, trail};

const MESSAGE: &str = "SELECT v.call_id, v.mailbox, v.merchant_id, v.caller, v.at, v.duration_ms, \
                       v.bytes, v.file, v.heard FROM voicemail v JOIN extensions e \
                       ON e.number = v.mailbox AND e.merchant_id = v.merchant_id";
const COUNT: &str = "SELECT v.mailbox, COUNT(*) FILTER (WHERE v.heard = 0), \
                     COUNT(*) FILTER (WHERE v.heard <> 0) FROM voicemail v JOIN extensions e \
                     ON e.number = v.mailbox AND e.merchant_id = v.merchant_id";

/// What the caller left. An extension that is gone meanwhile gets nothing.
pub(crate) fn insert(batch: &mut Batch, facts: &CallFacts) {
    let Some(message) = &facts.message else { return };
    batch.add(
        "INSERT INTO voicemail \
         (call_id, mailbox, merchant_id, caller, at, duration_ms, bytes, file) \
         SELECT $1, e.number, e.merchant_id, $3, $4, $5, $6, $7 FROM extensions e \
         WHERE e.number = $2",
        args![
            facts.call,
            &message.mailbox,
            &message.caller,
            message.at,
            message.file.duration_ms,
            message.file.bytes,
            &message.file.file,
        ],
    );
}

fn message_of(row: &Row) -> Result<VoiceMessage> {
    Ok(VoiceMessage {
        call: row.call(0)?,
        mailbox: row.text(1)?,
        merchant: MerchantId(row.int(2)?),
        caller: row.text(3)?,
        at: row.instant(4)?,
        duration_ms: row.small(5)?,
        bytes: row.small(6)?,
        file: row.text(7)?,
        heard: row.truth(8)?,
    })
}

fn count_of(row: &Row) -> Result<MailboxCount> {
    Ok(MailboxCount { mailbox: row.text(0)?, new: row.small(1)?, old: row.small(2)? })
}

async fn list(
    conn: &mut Conn,
    (mailbox, merchant): (Option<&str>, Option<MerchantId>),
    (after, limit): (CallId, u32),
) -> Result<Vec<VoiceMessage>> {
    let sql = format!(
        "{MESSAGE} WHERE (CAST($1 AS TEXT) IS NULL OR v.mailbox = $1) \
         AND (CAST($2 AS BIGINT) IS NULL OR v.merchant_id = $2) AND v.call_id > $3 \
         ORDER BY v.call_id LIMIT $4"
    );
    let rows = conn.rows(&sql, args![mailbox, merchant.map(|id| id.0), after, limit]).await?;
    rows.iter().map(message_of).collect()
}

async fn one(conn: &mut Conn, call: CallId) -> Result<Option<VoiceMessage>> {
    let row = conn.row(&format!("{MESSAGE} WHERE v.call_id = $1"), args![call]).await?;
    row.as_ref().map(message_of).transpose()
}

async fn delete(conn: &mut Conn, call: CallId) -> Result<Option<VoiceMessage>> {
    let message = one(conn, call).await?;
    conn.exec("DELETE FROM voicemail WHERE call_id = $1", args![call]).await?;
    Ok(message)
}

impl Store {
    /// Messages in voice mailboxes, the oldest call first: of one mailbox or all, of one merchant or all, behind
    /// a call.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn voicemail(
        &self,
        mailbox: Option<String>,
        merchant: Option<MerchantId>,
        (after, limit): (CallId, u32),
    ) -> Result<Vec<VoiceMessage>> {
        self.read(work!(conn, [mailbox] => {
            list(conn, (mailbox.as_deref(), merchant), (after, limit)).await?
        }))
        .await
    }

    /// The message that a call left, if it is still there.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn voice_message(&self, call: CallId) -> Result<Option<VoiceMessage>> {
        self.read(work!(conn, [] => one(conn, call).await?)).await
    }

    /// Takes a message out of its mailbox. Its file stays: whoever asks removes that afterwards.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn delete_voice_message(&self, call: CallId) -> Result<Option<VoiceMessage>> {
        self.write(work!(conn, [] => delete(conn, call).await?)).await
    }

    /// Takes a message out of the mailbox of an extension that dialled so, and notes that in the audit trail.
    /// `None`: it was not there. As [`Store::delete_voice_message`], its file stays.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn delete_own_message(
        &self,
        once: &Once,
        at: UnixMillis,
        user: String,
        call: CallId,
    ) -> Result<Option<VoiceMessage>> {
        let once = once.clone();
        self.write(work!(conn, [once, user] => {
            let own = one(conn, call).await?.filter(|message| message.mailbox == *user);
            if own.is_some() {
                delete(conn, call).await?;
                let who = reach::by(&user);
                let what = json!({ "call": call.to_string(), "extension": user.as_str() });
                trail::note(conn, &once, at, (&who, "delete_voicemail"), &what).await?;
            }
            own
        }))
        .await
    }

    /// Notes that its owner has listened to a message.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn hear_voice_message(&self, call: CallId) -> Result<()> {
        let sql = "UPDATE voicemail SET heard = 1 WHERE call_id = $1";
        self.write(work!(conn, [] => { conn.exec(sql, args![call]).await?; })).await
    }

    /// The files of all messages, by their path below the recordings folder.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn message_files(&self) -> Result<BTreeSet<String>> {
        self.read(work!(conn, [] => {
            let rows = conn.rows("SELECT file FROM voicemail", args![]).await?;
            rows.iter().map(|row| row.text(0)).collect::<Result<BTreeSet<_>>>()?
        }))
        .await
    }

    /// What every mailbox holds that holds anything.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn mailboxes(&self) -> Result<Vec<MailboxCount>> {
        self.read(work!(conn, [] => {
            let sql = format!("{COUNT} GROUP BY v.mailbox ORDER BY v.mailbox");
            conn.rows(&sql, args![]).await?.iter().map(count_of).collect::<Result<Vec<_>>>()?
        }))
        .await
    }

    /// What one mailbox holds.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn mailbox(&self, mailbox: String) -> Result<MailboxCount> {
        self.read(work!(conn, [mailbox] => {
            let sql = format!("{COUNT} WHERE v.mailbox = $1 GROUP BY v.mailbox");
            let row = conn.row(&sql, args![mailbox.as_str()]).await?;
            let none = MailboxCount { mailbox: mailbox.to_string(), new: 0, old: 0 };
            row.as_ref().map_or(Ok(none), count_of)?
        }))
        .await
    }
}
