//! SIP registrations, kept for restarts.

use std::time::Duration;

use facts::time::UnixMillis;

use crate::db::{Conn, Old, args};
use crate::error::Result;
use crate::rows::Binding;

pub(crate) async fn load(conn: &mut Conn, now: UnixMillis) -> Result<Vec<Binding>> {
    let sql = "SELECT extension, contact, expires, detail FROM bindings WHERE expires > $1 \
               ORDER BY extension, contact";
    conn.rows(sql, args![now])
        .await?
        .iter()
        .map(|row| {
            Ok(Binding {
                extension: row.text(0)?,
                contact: row.text(1)?,
                expires: row.instant(2)?,
                detail: row.text(3)?,
            })
        })
        .collect()
}

pub(crate) async fn save(conn: &mut Conn, binding: &Binding) -> Result<()> {
    conn.exec(
        "INSERT INTO bindings (extension, contact, expires, detail) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (extension, contact) DO UPDATE \
         SET expires = excluded.expires, detail = excluded.detail",
        args![&binding.extension, &binding.contact, binding.expires, &binding.detail],
    )
    .await?;
    Ok(())
}

pub(crate) async fn forget(conn: &mut Conn, extension: &str, contact: &str) -> Result<()> {
    let sql = "DELETE FROM bindings WHERE extension = $1 AND contact = $2";
    conn.exec(sql, args![extension, contact]).await?;
    Ok(())
}

/// Contacts that have lapsed.
pub(crate) const OLD: Old = Old {
    table: "bindings",
    keys: "extension, contact",
    which: "expires <= $1",
    life: Duration::ZERO,
};
