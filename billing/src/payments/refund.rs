//! Money that goes back: posted as on its way before the gateway is asked, and as gone once it has said so.
//!
//! Each time is a round of its own with a number, and what a gateway says ends the round that it was asked about. While one is
//! under way nobody gives the money back by hand.

use facts::UnixMillis;
use serde::{Deserialize, Serialize};

use super::{
    Attempt, INVOICE, Invoice, InvoiceState, LEASE, REFUNDS, account_of, at_gateway, attempt_of,
    invoice_of, later, locked, post, skipping,
};
use crate::db::{Batch, Conn, Row, args, word, work};
use crate::error::{Error, Result};
use crate::store::Store;

/// Refunds that one turn asks after at most.
const DUE_MAX: u32 = 20;
const HOUR_MS: i64 = 3_600_000;

/// A refund that the caller may ask a gateway for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Round {
    /// Whose money.
    pub invoice: Invoice,
    /// By which it was paid.
    pub attempt: Attempt,
    /// Which refund of the invoice, from 1.
    pub no: u32,
    /// By which the gateway knows it, where it has begun and not decided yet; empty: nothing is known there.
    pub reference: String,
}

/// What came of a refund that was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RefundBegun {
    /// The gateway may be asked, for a minute by the caller.
    Now(Box<Round>),
    /// The gateway is being asked already.
    UnderWay(Invoice),
    /// It is given back.
    Done(Invoice),
    /// There is nothing to give back.
    NotPaid(Invoice),
}

/// What the gateway said to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refund {
    /// The money is on its way.
    Done,
    /// It will not do it, in these words.
    Refused(String),
}

/// How a refund stands. Stored by its word: words never change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundState {
    /// What came of it is not known yet.
    Pending,
    /// The money is given back.
    Done,
    /// The gateway would not.
    Refused,
}

/// A refund as it is kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RefundRow {
    /// Which of the invoice, from 1.
    pub no: u32,
    /// The operator has given the money back, and the gateway was not asked.
    pub by_hand: bool,
    /// How it stands.
    pub state: RefundState,
    /// What the gateway said last, in words for the operator.
    pub said: String,
    /// When it was begun.
    pub made: UnixMillis,
}

/// What stands in the way of a new refund.
async fn in_the_way(conn: &mut Conn, id: i64) -> Result<(Invoice, Option<RefundBegun>)> {
    let invoice = locked(conn, id).await?;
    let stands = match invoice.state {
        InvoiceState::Paid => None,
        InvoiceState::Refunding => Some(RefundBegun::UnderWay(invoice.clone())),
        InvoiceState::Refunded => Some(RefundBegun::Done(invoice.clone())),
        InvoiceState::Open | InvoiceState::Cancelled | InvoiceState::Expired => {
            Some(RefundBegun::NotPaid(invoice.clone()))
        }
    };
    Ok((invoice, stands))
}

async fn begin(conn: &mut Conn, id: i64, node: u16, now: UnixMillis) -> Result<RefundBegun> {
    let (invoice, stands) = in_the_way(conn, id).await?;
    if let Some(RefundBegun::UnderWay(invoice)) = stands {
        return again(conn, invoice, node, now).await;
    }
    if let Some(stands) = stands {
        return Ok(stands);
    }
    let attempt = paid_by(conn, id).await?;
    let no = invoice.refunds + 1;
    let mut batch = Batch::default();
    let sql = "UPDATE ussd_invoices SET state = 'refunding', refunds = $2 WHERE id = $1";
    batch.add(sql, args![id, no]);
    let sql = "INSERT INTO ussd_refunds (invoice_id, no, by_hand, state, made, due, lease, holder) \
               VALUES ($1, $2, 0, 'pending', $3, $3, $4, $5)";
    batch.add(sql, args![id, no, now, now + LEASE, i64::from(node)]);
    let whose = account_of(invoice.merchant, attempt.kind);
    post(&mut batch, (id, &format!("refund.{no}")), (REFUNDS, &whose), invoice.rials, now)?;
    conn.batch(batch).await?;
    let invoice = locked(conn, id).await?;
    Ok(RefundBegun::Now(Box::new(Round { invoice, attempt, no, reference: String::new() })))
}

/// The round that an invoice is in, if nobody is asking about it just now.
async fn again(
    conn: &mut Conn,
    invoice: Invoice,
    node: u16,
    now: UnixMillis,
) -> Result<RefundBegun> {
    let sql = "UPDATE ussd_refunds SET lease = $3, holder = $4 \
               WHERE invoice_id = $1 AND no = $2 AND state = 'pending' AND lease <= $5";
    let args = args![invoice.id, invoice.refunds, now + LEASE, i64::from(node), now];
    if conn.exec(sql, args).await? == 0 {
        return Ok(RefundBegun::UnderWay(invoice));
    }
    let attempt = paid_by(conn, invoice.id).await?;
    let no = invoice.refunds;
    let sql = "SELECT reference FROM ussd_refunds WHERE invoice_id = $1 AND no = $2";
    let row = conn.row(sql, args![invoice.id, no]).await?.ok_or(Error::Missing("refund"))?;
    let reference = row.text(0)?;
    Ok(RefundBegun::Now(Box::new(Round { invoice, attempt, no, reference })))
}

/// The operator has given the money back himself: taken from the merchant and gone, in one transaction.
async fn by_hand(conn: &mut Conn, id: i64, now: UnixMillis) -> Result<RefundBegun> {
    let (invoice, stands) = in_the_way(conn, id).await?;
    if let Some(stands) = stands {
        return Ok(stands);
    }
    let attempt = paid_by(conn, id).await?;
    let no = invoice.refunds + 1;
    let mut batch = Batch::default();
    let sql = "UPDATE ussd_invoices SET state = 'refunded', refunds = $2 WHERE id = $1";
    batch.add(sql, args![id, no]);
    let sql = "INSERT INTO ussd_refunds (invoice_id, no, by_hand, state, made, due) \
               VALUES ($1, $2, 1, 'done', $3, $3)";
    batch.add(sql, args![id, no, now]);
    let (whose, there) = (account_of(invoice.merchant, attempt.kind), at_gateway(&attempt.gateway));
    post(&mut batch, (id, &format!("refund.{no}")), (REFUNDS, &whose), invoice.rials, now)?;
    post(&mut batch, (id, &format!("refunded.{no}")), (&there, REFUNDS), invoice.rials, now)?;
    conn.batch(batch).await?;
    Ok(RefundBegun::Done(locked(conn, id).await?))
}

async fn paid_by(conn: &mut Conn, invoice: i64) -> Result<Attempt> {
    let sql = format!("{} WHERE a.invoice_id = $1 AND a.state = 'paid'", super::ATTEMPT);
    let row = conn.row(&sql, args![invoice]).await?.ok_or(Error::Missing("payment"))?;
    attempt_of(&row)
}

async fn end(
    conn: &mut Conn,
    (id, no): (i64, u32),
    how: &Refund,
    now: UnixMillis,
) -> Result<Invoice> {
    let invoice = locked(conn, id).await?;
    if invoice.state != InvoiceState::Refunding || invoice.refunds != no {
        return Ok(invoice);
    }
    let attempt = paid_by(conn, id).await?;
    let mut batch = Batch::default();
    let (stands, said) = match how {
        Refund::Done => {
            batch.add("UPDATE ussd_invoices SET state = 'refunded' WHERE id = $1", args![id]);
            let there = at_gateway(&attempt.gateway);
            let posting = format!("refunded.{no}");
            post(&mut batch, (id, &posting), (&there, REFUNDS), invoice.rials, now)?;
            (RefundState::Done, "")
        }
        Refund::Refused(said) => {
            batch.add("UPDATE ussd_invoices SET state = 'paid' WHERE id = $1", args![id]);
            let whose = account_of(invoice.merchant, attempt.kind);
            let posting = format!("undone.{no}");
            post(&mut batch, (id, &posting), (&whose, REFUNDS), invoice.rials, now)?;
            (RefundState::Refused, said.as_str())
        }
    };
    let sql = "UPDATE ussd_refunds SET state = $3, said = $4 WHERE invoice_id = $1 AND no = $2";
    batch.add(sql, args![id, no, word(&stands)?, said]);
    conn.batch(batch).await?;
    locked(conn, id).await
}

/// Notes what a gateway said that decides nothing, and by which it knows the refund if it has begun it; whether another
/// hour has gone by since the refund began.
async fn wait(
    conn: &mut Conn,
    (id, no): (i64, u32),
    (reference, said): (&str, &str),
    now: UnixMillis,
) -> Result<bool> {
    let sql = "SELECT made, due FROM ussd_refunds WHERE invoice_id = $1 AND no = $2";
    let Some(row) = conn.row(sql, args![id, no]).await? else { return Ok(false) };
    let (made, before) = (row.instant(0)?, row.instant(1)?);
    let due = later(made, now);
    let hours = |at: UnixMillis| (at.0 - made.0) / HOUR_MS;
    let sql = "UPDATE ussd_refunds SET due = $3, lease = 0, said = $4, \
               reference = CASE WHEN $5 = '' THEN reference ELSE $5 END \
               WHERE invoice_id = $1 AND no = $2 AND state = 'pending'";
    let noted = conn.exec(sql, args![id, no, due, said, reference]).await?;
    Ok(noted > 0 && hours(due) > hours(before))
}

async fn due(conn: &mut Conn, node: u16, now: UnixMillis) -> Result<Vec<Round>> {
    let sql = format!(
        "SELECT r.invoice_id, r.no, r.reference FROM ussd_refunds r \
         WHERE r.state = 'pending' AND r.due <= $1 AND r.lease <= $1 \
         ORDER BY r.due, r.invoice_id LIMIT $2{}",
        skipping(conn, "r")
    );
    let mut rounds = Vec::new();
    for row in conn.rows(&sql, args![now, DUE_MAX]).await? {
        let (id, no, reference): (i64, u32, _) = (row.int(0)?, row.small(1)?, row.text(2)?);
        let sql =
            "UPDATE ussd_refunds SET lease = $3, holder = $4 WHERE invoice_id = $1 AND no = $2";
        conn.exec(sql, args![id, no, now + LEASE, i64::from(node)]).await?;
        let sql = format!("{INVOICE} WHERE i.id = $1");
        let row = conn.row(&sql, args![id]).await?.ok_or(Error::Missing("invoice"))?;
        let attempt = paid_by(conn, id).await?;
        rounds.push(Round { invoice: invoice_of(&row)?, attempt, no, reference });
    }
    Ok(rounds)
}

fn refund_of(row: &Row) -> Result<RefundRow> {
    Ok(RefundRow {
        no: row.small(0)?,
        by_hand: row.truth(1)?,
        state: row.word(2)?,
        said: row.text(3)?,
        made: row.instant(4)?,
    })
}

impl Store {
    /// Takes what an invoice came to from its merchant, to be given back by the gateway; or goes on with what was begun,
    /// unless somebody else is asking just now. `node` is the number of the process that asks.
    ///
    /// # Errors
    /// When there is no such invoice; those of the database.
    pub async fn begin_refund(&self, id: i64, node: u16, now: UnixMillis) -> Result<RefundBegun> {
        self.write(work!(conn, [] => begin(conn, id, node, now).await?)).await
    }

    /// Notes that the operator has given the money back himself. Never while the gateway is asked.
    ///
    /// # Errors
    /// When there is no such invoice; those of the database.
    pub async fn refund_by_hand(&self, id: i64, now: UnixMillis) -> Result<RefundBegun> {
        self.write(work!(conn, [] => by_hand(conn, id, now).await?)).await
    }

    /// Notes what the gateway said to one refund of an invoice: the money is gone, or the merchant's again. What it says of
    /// a refund that is over changes nothing.
    ///
    /// # Errors
    /// When there is no such invoice; those of the database.
    pub async fn end_refund(
        &self,
        round: (i64, u32),
        how: Refund,
        now: UnixMillis,
    ) -> Result<Invoice> {
        self.write(work!(conn, [how] => end(conn, round, &how, now).await?)).await
    }

    /// Has a refund asked after later; whether another hour has gone by since it began.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn delay_refund(
        &self,
        round: (i64, u32),
        said: &str,
        now: UnixMillis,
    ) -> Result<bool> {
        self.await_refund(round, ("", said), now).await
    }

    /// The same of one that the gateway has begun: by which it knows it, and what it said.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn await_refund(
        &self,
        round: (i64, u32),
        (reference, said): (&str, &str),
        now: UnixMillis,
    ) -> Result<bool> {
        let (reference, said) = (reference.to_owned(), said.to_owned());
        self.write(
            work!(conn, [reference, said] => wait(conn, round, (&reference, &said), now).await?),
        )
        .await
    }

    /// Refunds that are to be asked after, for a minute those of the process of this number.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn refunds_due(&self, node: u16, now: UnixMillis) -> Result<Vec<Round>> {
        self.write(work!(conn, [] => due(conn, node, now).await?)).await
    }

    /// All refunds of an invoice, oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn refunds_of(&self, invoice: i64) -> Result<Vec<RefundRow>> {
        let sql = "SELECT no, by_hand, state, said, made FROM ussd_refunds WHERE invoice_id = $1 ORDER BY no";
        self.read(work!(conn, [] => {
            let rows = conn.rows(sql, args![invoice]).await?;
            rows.iter().map(refund_of).collect::<Result<Vec<_>>>()?
        }))
        .await
    }
}
