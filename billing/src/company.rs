//! Tokens of companies of system 002.
//!
//! A token lives for a while and is the same for all who log in meanwhile, over restarts and for all processes
//! that share the database. It is not kept: it follows from the company's `accesskey` and a number drawn at the first login,
//! so that it ends with the key, and whoever reads the table of tokens has none.

use std::time::Duration;

use facts::UnixMillis;

use crate::db::{Conn, args};
use crate::error::{Error, Result};
use crate::rows::Company;
use crate::secrets;

/// The token of a company: the one that is valid, or a new one made of `nonce`, which is valid for `life`.
pub(crate) async fn log_in(
    conn: &mut Conn,
    company: &Company,
    nonce: &str,
    (now, life): (UnixMillis, Duration),
) -> Result<String> {
    let of = |nonce: &str| secrets::company_token(&company.accesskey, &company.companycode, nonce);
    let code = company.companycode.as_str();
    let kept = "SELECT nonce, digest FROM company_tokens WHERE companycode = $1 AND expires > $2";
    if let Some(row) = conn.row(kept, args![code, now]).await? {
        let token = of(&row.text(0)?);
        // Not of a key that was changed since.
        if secrets::digest(&token) == row.text(1)? {
            return Ok(token);
        }
        conn.exec("DELETE FROM company_tokens WHERE companycode = $1", args![code]).await?;
    }
    let token = of(nonce);
    // Of two who log in at once one comes second: its token is that of the first.
    conn.exec(
        "INSERT INTO company_tokens (companycode, nonce, digest, expires) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (companycode) DO UPDATE SET nonce = excluded.nonce, digest = excluded.digest, \
         expires = excluded.expires WHERE company_tokens.expires <= $5",
        args![code, nonce, secrets::digest(&token), now + life, now],
    )
    .await?;
    let row = conn.row(kept, args![code, now]).await?.ok_or(Error::Missing("token"))?;
    Ok(of(&row.text(0)?))
}

/// Whose token it is, by `companycode`; nobody's once it has expired or its key was changed.
pub(crate) async fn of_token(
    conn: &mut Conn,
    token: &str,
    now: UnixMillis,
) -> Result<Option<String>> {
    let sql = "SELECT t.companycode, t.nonce, c.accesskey FROM company_tokens t \
               JOIN companies c ON c.companycode = t.companycode WHERE t.digest = $1 AND t.expires > $2";
    let Some(row) = conn.row(sql, args![secrets::digest(token), now]).await? else {
        return Ok(None);
    };
    let company = row.text(0)?;
    let valid = secrets::company_token(&row.text(2)?, &company, &row.text(1)?) == token;
    Ok(valid.then_some(company))
}

/// Ends a company's token.
pub(crate) async fn log_out(conn: &mut Conn, companycode: &str) -> Result<()> {
    let sql = "DELETE FROM company_tokens WHERE companycode = $1";
    conn.exec(sql, args![companycode]).await.map(|_| ())
}
