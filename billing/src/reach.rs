//! What an extension itself wishes for its calls.

use facts::{Reach, ReachSet, UnixMillis};
use serde_json::json;

use crate::db::{Conn, args, json};
use crate::error::Result;
use crate::once::Once;
use crate::trail;

/// Changes one wish, and notes it in the audit trail. False when there is no such extension.
pub(crate) async fn set(
    conn: &mut Conn,
    (once, at): (&Once, UnixMillis),
    user: &str,
    set: &ReachSet,
) -> Result<bool> {
    // The settings row first, as everybody who changes settings takes it.
    let lock = conn.lock("settings");
    let settings = conn.row(&format!("SELECT version FROM settings{lock}"), args![]).await?;
    let version = settings.map_or(Ok(0), |row| row.int(0))?;
    let row = conn.row("SELECT reach FROM extensions WHERE number = $1", args![user]).await?;
    let Some(row) = row else { return Ok(false) };
    let before: Reach = row.json(0)?;
    let mut after = before.clone();
    set.clone().apply(&mut after);
    if after != before {
        let sql = "UPDATE extensions SET reach = $2 WHERE number = $1";
        conn.exec(sql, args![user, json(&after)?]).await?;
        conn.exec("UPDATE settings SET version = version + 1", args![]).await?;
        let who = by(user);
        let what = json!({ "extension": user, "before": before, "after": after });
        trail::append(conn, Some(once), (at, version + 1), (&who, "set_reach"), &what).await?;
    }
    Ok(true)
}

/// How the audit trail names an extension that dialled.
pub(crate) fn by(user: &str) -> String {
    format!("extension {user}")
}
