//! Making a sub-account with an internal number of its own (merchant API §2.3, `biz_regist`).

use std::time::Duration;

use facts::time::UnixMillis;
use facts::{MerchantId, SubAccountId};

use crate::db::{Conn, Row, args};
use crate::error::{Constraint, Error, Result};
use crate::objects::sub_account_of;
use crate::once::Once;
use crate::rows::{Registered, SubAccount};
use crate::secrets;

/// The same person asking again within this time is the same registration.
const SAME_PERSON: Duration = Duration::from_secs(86_400);
/// Numbers taken by the operator that are stepped over in one go at most.
const STEPS_MAX: usize = 100_000;
/// Sub-accounts of one merchant at most: each is in every snapshot of the settings.
const SUB_ACCOUNTS_MAX: i64 = 10_000;
/// Contacts that a new extension may register.
const CONTACTS: u32 = 5;

struct Realm {
    realm: String,
    secret: String,
}

pub(crate) async fn register(
    conn: &mut Conn,
    once: &Once,
    merchant: MerchantId,
    (realname, email): (&str, &str),
    at: UnixMillis,
) -> Result<Registered> {
    // The settings row is the lock under which numbers are handed out in ascending order.
    let lock = conn.lock("settings");
    let sql = format!("SELECT realm, secret, next_number FROM settings{lock}");
    let row = conn.row(&sql, args![]).await?.ok_or(Error::Missing("settings"))?;
    let realm = Realm { realm: row.text(0)?, secret: row.text(1)? };
    let next = row.int(2)?;
    let known = conn.row("SELECT 1 FROM merchants WHERE id = $1", args![merchant.0]).await?;
    if known.is_none() {
        return Err(Error::Missing("merchant"));
    }
    // A unit that runs again answers as it did the first time.
    if let Some(done) = conn.row(&found_by("s.once = $2"), args![merchant.0, once.as_str()]).await?
    {
        return answer(&realm, &done, false);
    }
    if let Some(earlier) = earlier(conn, merchant, (realname, email), at).await? {
        return answer(&realm, &earlier, true);
    }
    let sql = "SELECT COUNT(*) FROM sub_accounts WHERE merchant_id = $1";
    let row = conn.row(sql, args![merchant.0]).await?.ok_or(Error::Missing("count"))?;
    if row.int(0)? >= SUB_ACCOUNTS_MAX {
        return Err(Error::Conflict(Constraint::SubAccounts));
    }
    let number = free_number(conn, next).await?;
    let sub_account = insert(conn, (once, merchant), &number, (realname, email), at).await?;
    let password = secrets::derived(&realm.secret, &number, at.0);
    let (ha1_md5, ha1_sha256) = secrets::ha1(&number, &realm.realm, &password);
    conn.exec(
        "INSERT INTO extensions (number, merchant_id, sub_account_id, enabled, ha1_md5, ha1_sha256, \
         max_contacts) VALUES ($1, $2, $3, 1, $4, $5, $6)",
        args![&number, merchant.0, sub_account.id.0, ha1_md5, ha1_sha256, CONTACTS],
    )
    .await?;
    Ok(Registered { account: sub_account, number, password: Some(password), duplicate: false })
}

/// The same for whoever has shown that a phone is his, which is then bound to his account; again, the account that it is
/// bound to. It is in use at once where the merchant says so (`approved`).
pub(crate) async fn by_phone(
    conn: &mut Conn,
    once: &Once,
    (merchant, approved): (MerchantId, bool),
    (phone, name): (&str, &str),
    at: UnixMillis,
) -> Result<Registered> {
    let lock = conn.lock("settings");
    let sql = format!("SELECT realm, secret FROM settings{lock}");
    let row = conn.row(&sql, args![]).await?.ok_or(Error::Missing("settings"))?;
    let realm = Realm { realm: row.text(0)?, secret: row.text(1)? };
    let sql = found_by("e.bound_phone = $2");
    if let Some(earlier) = conn.row(&sql, args![merchant.0, phone]).await? {
        return answer(&realm, &earlier, true);
    }
    let made = register(conn, once, merchant, (name, ""), at).await?;
    let sql = "UPDATE extensions SET bound_phone = $2, enabled = $3 WHERE number = $1";
    conn.exec(sql, args![&made.number, phone, approved]).await?;
    let sql = "UPDATE sub_accounts SET enabled = $2 WHERE id = $1";
    conn.exec(sql, args![made.account.id.0, approved]).await?;
    Ok(made)
}

/// An account that waited for it is in use.
pub(crate) async fn approve(conn: &mut Conn, merchant: MerchantId, number: &str) -> Result<()> {
    let sql = "UPDATE extensions SET enabled = 1 WHERE number = $1 AND merchant_id = $2";
    conn.exec(sql, args![number, merchant.0]).await?;
    let sql = "UPDATE sub_accounts SET enabled = 1 WHERE name = $1 AND merchant_id = $2";
    conn.exec(sql, args![number, merchant.0]).await?;
    conn.exec("UPDATE settings SET version = version + 1", args![]).await.map(drop)
}

/// The query for what a merchant registered, by this mark of it.
fn found_by(mark: &str) -> String {
    format!(
        "SELECT s.id, s.merchant_id, s.name, s.realname, s.email, s.enabled, s.created, \
         e.number, e.ha1_md5 FROM sub_accounts s \
         JOIN extensions e ON e.sub_account_id = s.id AND e.number = s.name \
         WHERE s.merchant_id = $1 AND {mark} ORDER BY s.id LIMIT 1"
    )
}

async fn earlier(
    conn: &mut Conn,
    merchant: MerchantId,
    (realname, email): (&str, &str),
    at: UnixMillis,
) -> Result<Option<Row>> {
    if email.is_empty() {
        return Ok(None);
    }
    let sql = found_by("s.email = $2 AND s.realname = $3 AND s.created >= $4");
    conn.row(&sql, args![merchant.0, email, realname, at - SAME_PERSON]).await
}

fn answer(realm: &Realm, row: &Row, duplicate: bool) -> Result<Registered> {
    let account = sub_account_of(row)?;
    let number = row.text(7)?;
    let password = secrets::derived(&realm.secret, &number, account.created.0);
    let unchanged = secrets::ha1(&number, &realm.realm, &password).0 == row.text(8)?;
    Ok(Registered { account, number, password: unchanged.then_some(password), duplicate })
}

/// Whether an extension or a group has a number.
const TAKEN: &str = "SELECT 1 FROM extensions WHERE number = $1 UNION ALL \
                     SELECT 1 FROM extension_groups WHERE number = $1";

/// The first free internal number from `next` on; remembers where to go on.
pub(crate) async fn free_number(conn: &mut Conn, next: i64) -> Result<String> {
    let mut number = next;
    for _ in 0..STEPS_MAX {
        let text = number.to_string();
        let taken = conn.row(TAKEN, args![&text]).await?.is_some();
        number += 1;
        if !taken {
            let sql = "UPDATE settings SET next_number = $1, version = version + 1";
            conn.exec(sql, args![number]).await?;
            return Ok(text);
        }
    }
    Err(Error::Missing("free internal number"))
}

async fn insert(
    conn: &mut Conn,
    (once, merchant): (&Once, MerchantId),
    number: &str,
    (realname, email): (&str, &str),
    at: UnixMillis,
) -> Result<SubAccount> {
    let row = conn
        .row(
            "INSERT INTO sub_accounts (merchant_id, name, realname, email, enabled, created, once) \
             VALUES ($1, $2, $3, $4, 1, $5, $6) RETURNING id",
            args![merchant.0, number, realname, email, at, once.as_str()],
        )
        .await?
        .ok_or(Error::Missing("row just inserted"))?;
    Ok(SubAccount {
        id: SubAccountId(row.int(0)?),
        merchant,
        name: number.to_owned(),
        realname: realname.to_owned(),
        email: email.to_owned(),
        enabled: true,
        created: at,
    })
}
