//! Keys by which merchants' systems come in at `/v1`: made, looked up, revoked. What is kept of one is its hash.
//!
//! A key is `tk_<id>_<secret>`: the id finds the row, and the secret has 256 random bits, so that a plain hash tells as
//! little of it as a slow one would.

use facts::{MerchantId, UnixMillis};
use serde_json::json as object;
use sha2::{Digest, Sha256};

use crate::db::{Conn, Row, args, json};
use crate::error::{Constraint, Error, Result};
use crate::once::Once;
use crate::rows::{ApiKey, NewKey};
use crate::trail;

/// Keys of one merchant that are good, at most: more than anybody rotates through.
const KEYS_MAX: i64 = 100;
/// Digits of an id, from the beginning of what was drawn.
const ID: usize = 16;

const KEY: &str = "SELECT id, merchant_id, name, hash, scopes, allowed_ips, caller_ids, created, \
                   expires, revoked FROM api_keys";

/// What was drawn for a key: its id and the whole of it.
pub(crate) struct Drawn {
    id: String,
    /// What the merchant is told, once.
    pub(crate) key: String,
}

impl Drawn {
    /// Of two times 32 random bytes in hex.
    pub(crate) fn of(id: &str, secret: &str) -> Drawn {
        let id = id[..ID.min(id.len())].to_owned();
        let key = format!("tk_{id}_{secret}");
        Drawn { id, key }
    }
}

/// The id that a key bears; `None` for what cannot be one.
pub(crate) fn id_of(key: &str) -> Option<&str> {
    let (id, secret) = key.strip_prefix("tk_")?.split_once('_')?;
    let digits = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (id.len() == ID && secret.len() == 64 && digits(id) && digits(secret)).then_some(id)
}

/// What is kept of a key.
pub(crate) fn hash(key: &str) -> String {
    hex::encode(Sha256::digest(key))
}

/// Makes a key, and notes it in the audit trail. The same `once` makes one.
pub(crate) async fn create(
    conn: &mut Conn,
    (once, at, actor): (&Once, UnixMillis, &str),
    (new, drawn): (&NewKey, &Drawn),
) -> Result<ApiKey> {
    // The settings row first, as everybody who changes settings takes it.
    let version = version(conn).await?;
    if let Some(made) = find(conn, &drawn.id).await? {
        return Ok(made);
    }
    let known = conn.row("SELECT 1 FROM merchants WHERE id = $1", args![new.merchant.0]).await?;
    if known.is_none() {
        return Err(Error::Missing("merchant"));
    }
    let sql = "SELECT COUNT(*) FROM api_keys WHERE merchant_id = $1 AND revoked IS NULL \
               AND (expires IS NULL OR expires > $2)";
    let good = conn.row(sql, args![new.merchant.0, at]).await?.map_or(Ok(0), |row| row.int(0))?;
    if good >= KEYS_MAX {
        return Err(Error::Conflict(Constraint::ApiKeys));
    }
    conn.exec(
        "INSERT INTO api_keys (id, merchant_id, name, hash, scopes, allowed_ips, caller_ids, created, \
         expires) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        args![
            &drawn.id,
            new.merchant.0,
            &new.name,
            hash(&drawn.key),
            json(&new.scopes)?,
            json(&new.allowed_ips)?,
            json(&new.caller_ids)?,
            at,
            new.expires
        ],
    )
    .await?;
    let what = object!({ "key": drawn.id, "merchant": new.merchant, "scopes": new.scopes });
    let act = (actor, "create_api_key");
    trail::append(conn, Some(once), (at, version), act, &what).await?;
    find(conn, &drawn.id).await?.ok_or(Error::Missing("row just inserted"))
}

/// Ends a key for good, and notes it. `None` when there is no such key; one that was revoked stays as it was.
pub(crate) async fn revoke(
    conn: &mut Conn,
    (once, at, actor): (&Once, UnixMillis, &str),
    id: &str,
) -> Result<Option<ApiKey>> {
    let version = version(conn).await?;
    let sql = "UPDATE api_keys SET revoked = $2 WHERE id = $1 AND revoked IS NULL";
    if conn.exec(sql, args![id, at]).await? == 1 {
        // Whoever keeps what it looked up by the version of the settings looks again.
        conn.exec("UPDATE settings SET version = version + 1", args![]).await?;
        let what = object!({ "key": id });
        let act = (actor, "revoke_api_key");
        trail::append(conn, Some(once), (at, version + 1), act, &what).await?;
    }
    find(conn, id).await
}

async fn version(conn: &mut Conn) -> Result<i64> {
    let lock = conn.lock("settings");
    let settings = conn.row(&format!("SELECT version FROM settings{lock}"), args![]).await?;
    settings.map_or(Ok(0), |row| row.int(0))
}

/// A key by its id, good or not.
pub(crate) async fn find(conn: &mut Conn, id: &str) -> Result<Option<ApiKey>> {
    conn.row(&format!("{KEY} WHERE id = $1"), args![id]).await?.as_ref().map(read).transpose()
}

/// Keys of a merchant, or all; oldest first.
pub(crate) async fn list(conn: &mut Conn, merchant: Option<MerchantId>) -> Result<Vec<ApiKey>> {
    let sql =
        format!("{KEY} WHERE CAST($1 AS BIGINT) IS NULL OR merchant_id = $1 ORDER BY created, id");
    conn.rows(&sql, args![merchant.map(|id| id.0)]).await?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<ApiKey> {
    Ok(ApiKey {
        id: row.text(0)?,
        merchant: MerchantId(row.int(1)?),
        name: row.text(2)?,
        hash: row.text(3)?,
        scopes: row.json(4)?,
        allowed_ips: row.json(5)?,
        caller_ids: row.json(6)?,
        created: row.instant(7)?,
        expires: row.opt_int(8)?.map(UnixMillis),
        revoked: row.opt_int(9)?.map(UnixMillis),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_bears_its_id_and_nothing_else_is_one() {
        let drawn = Drawn::of(&"ab".repeat(32), &"0f".repeat(32));
        assert_eq!(id_of(&drawn.key), Some("abababababababab"));
        assert_eq!(hash(&drawn.key).len(), 64);
        let upper = drawn.key.replace("0f", "0F");
        let short = &drawn.key[..drawn.key.len() - 1];
        let long = format!("{}0", drawn.key);
        let bare = drawn.key.replace("tk_", "");
        for wrong in [upper.as_str(), short, &long, &bare, "", "tk_", "tk__", "tk_é_é"] {
            assert_eq!(id_of(wrong), None, "{wrong}");
        }
    }
}
