//! Messages that merchants send by the vendor's doors (merchant API §5.5): who may, from which numbers, and what each
//! costs. The price is taken in the transaction that writes the rows, and given back where a message is given up.

use std::time::Duration;

use facts::gsm::septet_count;
use facts::{Currency, MerchantId, Micros, UnixMillis};
use serde::{Deserialize, Serialize};

use super::{SANDBOX, parts};
use crate::db::{Batch, Conn, Row, args, work};
use crate::error::{Error, Result};
use crate::once::Once;
use crate::secrets;
use crate::store::Store;

/// A number that messages come from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The number, or the name.
    pub number: String,
    /// What it is called in the list of lines.
    #[serde(default = "service")]
    pub kind: String,
    /// Price of a part of 7 bit characters, in the merchant's currency.
    #[serde(default)]
    pub price_en: Micros,
    /// Price of a part of others.
    #[serde(default)]
    pub price_fa: Micros,
}

fn service() -> String {
    "service".to_owned()
}

/// Who may send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// Login name.
    pub username: String,
    /// Salted hash of the password; empty: there is none.
    pub password: String,
    /// Who pays.
    pub merchant: MerchantId,
    /// What codes are sent in the name of, where the request names nobody.
    pub company: String,
    /// Numbers; the first is the usual one.
    pub lines: Vec<Line>,
    /// In use.
    pub active: bool,
}

/// Messages to be sent: the same text to each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sale {
    /// Who pays.
    pub merchant: MerchantId,
    /// From where, and at which price.
    pub line: Line,
    /// To whom: E.164 digits.
    pub recipients: Vec<String>,
    /// What.
    pub text: String,
    /// How long it is worth sending.
    pub life: Duration,
}

impl Sale {
    /// What all of it costs; `None` beyond all figures.
    #[must_use]
    pub fn price(&self) -> Option<Micros> {
        let count = i64::try_from(self.recipients.len()).ok()?;
        self.each()?.0.checked_mul(count).map(Micros)
    }

    fn each(&self) -> Option<Micros> {
        let wide = septet_count(&self.text).is_none();
        let part = if wide { self.line.price_fa } else { self.line.price_en };
        part.0.checked_mul(parts(&self.text).into()).map(Micros)
    }
}

/// Messages of one merchant that may wait: whoever sends more than his lines take is told so.
const WAITING_MAX: i64 = 10_000;

/// What came of a sale.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sold {
    /// The rows, in the order of the recipients.
    Now(Vec<i64>),
    /// The merchant cannot pay for all of it: nothing is sent.
    Poor,
    /// Too many of the merchant's wait: later.
    Full,
    /// The merchant is not served any more.
    Gone,
}

async fn sell(conn: &mut Conn, once: &Once, sale: &Sale, at: UnixMillis) -> Result<Sold> {
    let lock = conn.lock("a");
    let sql = format!(
        "SELECT a.id, r.id, a.posted - a.held + a.credit, m.status, a.currency FROM merchants m \
         JOIN accounts a ON a.merchant_id = m.id \
         JOIN accounts r ON r.name = 'revenue:' || a.currency WHERE m.id = $1{lock}"
    );
    let Some(row) = conn.row(&sql, args![sale.merchant.0]).await? else { return Ok(Sold::Gone) };
    let (account, revenue, available) = (row.int(0)?, row.int(1)?, row.micros(2)?);
    let named = |no: usize| format!("sale {} {no}", once.as_str());
    // Our own repeat after a commit whose answer was lost.
    if let Some(before) = before(conn, sale, named).await? {
        return Ok(Sold::Now(before));
    }
    if row.text(3)? != "approved" {
        return Ok(Sold::Gone);
    }
    let (Some(whole), Some(each)) = (sale.price(), sale.each()) else { return Ok(Sold::Poor) };
    if whole > available && whole > Micros::ZERO {
        return Ok(Sold::Poor);
    }
    let sql = "SELECT COUNT(*) FROM (SELECT 1 FROM sms WHERE merchant_id = $1 AND state = 'pending' LIMIT $2) w";
    let waiting = conn.row(sql, args![sale.merchant.0, WAITING_MAX]).await?;
    if waiting.map(|row| row.int(0)).transpose()?.unwrap_or_default() >= WAITING_MAX {
        return Ok(Sold::Full);
    }
    // Whoever tries things out writes to nobody.
    let trial = row.text(4)? == Currency::XTS.code();
    let (state, way, text) = if trial { SANDBOX } else { ("pending", "", sale.text.as_str()) };
    let mut ids = Vec::with_capacity(sale.recipients.len());
    let mut batch = Batch::default();
    for (no, recipient) in sale.recipients.iter().enumerate() {
        let sql = "INSERT INTO sms (merchant_id, once, sender, recipient, text, parts, price, due, made, state, way, \
                   until) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $10, $11) RETURNING id";
        let (merchant, line, count) = (sale.merchant.0, &sale.line.number, parts(&sale.text));
        let whose = args![merchant, named(no), line, recipient, text, count, each, at, state, way];
        let args = whose.into_iter().chain(args![at + sale.life]).collect();
        let row = conn.row(sql, args).await?.ok_or(Error::Missing("row just inserted"))?;
        let id = row.int(0)?;
        book(&mut batch, (account, revenue), (id, "sms"), each, at);
        ids.push(id);
    }
    if whole > Micros::ZERO {
        take(&mut batch, account, whole);
        conn.batch(batch).await?;
    }
    Ok(Sold::Now(ids))
}

async fn before(
    conn: &mut Conn,
    sale: &Sale,
    named: impl Fn(usize) -> String,
) -> Result<Option<Vec<i64>>> {
    let mut ids = Vec::new();
    for no in 0..sale.recipients.len() {
        let Some(row) = conn.row("SELECT id FROM sms WHERE once = $1", args![named(no)]).await?
        else {
            return Ok(None);
        };
        ids.push(row.int(0)?);
    }
    Ok(Some(ids).filter(|ids| !ids.is_empty()))
}

/// One transfer from the merchant to revenue, or back where the amount is below zero.
fn book(
    batch: &mut Batch,
    (account, revenue): (i64, i64),
    (sms, kind): (i64, &str),
    amount: Micros,
    at: UnixMillis,
) {
    if amount == Micros::ZERO {
        return;
    }
    let id = format!("sms.{sms}.{kind}");
    batch.add(
        "INSERT INTO transfers (id, kind, at, note) VALUES ($1, $2, $3, $4)",
        args![&id, kind, at, format!("message {sms}")],
    );
    batch.add(
        "INSERT INTO entries (transfer_id, account_id, amount) VALUES ($1, $2, $3), ($1, $4, $5)",
        args![&id, account, -amount, revenue, amount],
    );
}

/// Takes an amount from an account, once in a batch: what changes a row twice there changes it once on PostgreSQL.
fn take(batch: &mut Batch, account: i64, amount: Micros) {
    batch.add("UPDATE accounts SET posted = posted - $2 WHERE id = $1", args![account, amount]);
}

/// Gives back what a message cost that nobody took.
pub(super) async fn give_back(
    conn: &mut Conn,
    sms: i64,
    (merchant, price): (MerchantId, Micros),
    at: UnixMillis,
) -> Result<()> {
    if price <= Micros::ZERO {
        return Ok(());
    }
    let lock = conn.lock("a");
    let sql = format!(
        "SELECT a.id, r.id FROM accounts a JOIN accounts r ON r.name = 'revenue:' || a.currency \
         WHERE a.merchant_id = $1{lock}"
    );
    let Some(row) = conn.row(&sql, args![merchant.0]).await? else { return Ok(()) };
    let mut batch = Batch::default();
    let (account, revenue) = (row.int(0)?, row.int(1)?);
    book(&mut batch, (account, revenue), (sms, "sms_back"), -price, at);
    take(&mut batch, account, -price);
    batch.add("UPDATE sms SET price = 0 WHERE id = $1", args![sms]);
    conn.batch(batch).await
}

fn account_of(row: &Row) -> Result<Account> {
    Ok(Account {
        username: row.text(0)?,
        password: row.text(1)?,
        merchant: MerchantId(row.int(2)?),
        company: row.text(3)?,
        lines: row.json(4)?,
        active: row.truth(5)?,
    })
}

const ACCOUNT: &str =
    "SELECT username, password, merchant_id, company, lines, active FROM sms_accounts";

impl Store {
    /// Writes messages and takes what they cost, all or nothing. The same `once` sells once.
    ///
    /// # Errors
    /// [`Error::Busy`] when the queue is full. A merchant who cannot pay is none.
    pub async fn sell_sms(&self, once: Once, sale: Sale, at: UnixMillis) -> Result<Sold> {
        self.admit(work!(conn, [once, sale] => sell(conn, &once, &sale, at).await?)).await
    }

    /// Who has this token.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sms_account_by_token(&self, token: &str) -> Result<Option<Account>> {
        let (sql, digest) = (format!("{ACCOUNT} WHERE token = $1"), secrets::digest(token));
        self.read(work!(conn, [sql, digest] => {
            let row = conn.row(&sql, args![digest.as_str()]).await?;
            row.as_ref().map(account_of).transpose()?
        }))
        .await
    }

    /// Who has this name.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sms_account(&self, username: &str) -> Result<Option<Account>> {
        let (sql, name) = (format!("{ACCOUNT} WHERE username = $1"), username.to_owned());
        self.read(work!(conn, [sql, name] => {
            let row = conn.row(&sql, args![name.as_str()]).await?;
            row.as_ref().map(account_of).transpose()?
        }))
        .await
    }
}
