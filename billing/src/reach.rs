//! What an extension itself wishes for its calls.

use facts::{Reach, ReachSet};

use crate::db::{Conn, args, json};
use crate::error::Result;

/// Changes one wish. False when there is no such extension.
pub(crate) async fn set(conn: &mut Conn, user: &str, set: &ReachSet) -> Result<bool> {
    // The settings row first, as everybody who changes settings takes it.
    let lock = conn.lock("settings");
    conn.row(&format!("SELECT version FROM settings{lock}"), args![]).await?;
    let row = conn.row("SELECT reach FROM extensions WHERE number = $1", args![user]).await?;
    let Some(row) = row else { return Ok(false) };
    let before: Reach = row.json(0)?;
    let mut after = before.clone();
    set.clone().apply(&mut after);
    if after != before {
        let sql = "UPDATE extensions SET reach = $2 WHERE number = $1";
        conn.exec(sql, args![user, json(&after)?]).await?;
        conn.exec("UPDATE settings SET version = version + 1", args![]).await?;
    }
    Ok(true)
}
