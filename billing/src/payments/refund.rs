//! Money that goes back: posted as on its way before the gateway is asked, and as gone once it has said so.

use facts::UnixMillis;

use super::{
    Attempt, INVOICE, Invoice, InvoiceState, REFUNDS, at_gateway, due_to, invoice_of, locked, post,
};
use crate::db::{Batch, Conn, args, work};
use crate::error::{Error, Result};
use crate::store::Store;

/// What came of a refund that was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RefundBegun {
    /// The gateway may be asked, or asked again.
    Now(Invoice, Attempt),
    /// It is given back already.
    Before(Invoice),
    /// There is nothing to give back.
    NotPaid(Invoice),
}

/// What the gateway said to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refund {
    /// The money is on its way.
    Done,
    /// It will not do it.
    Refused,
}

async fn begin(conn: &mut Conn, id: i64, now: UnixMillis) -> Result<RefundBegun> {
    let invoice = locked(conn, id).await?;
    match invoice.state {
        InvoiceState::Paid => {}
        InvoiceState::Refunding => {
            let attempt = paid_by(conn, id).await?;
            return Ok(RefundBegun::Now(invoice, attempt));
        }
        InvoiceState::Refunded => return Ok(RefundBegun::Before(invoice)),
        InvoiceState::Open | InvoiceState::Cancelled | InvoiceState::Expired => {
            return Ok(RefundBegun::NotPaid(invoice));
        }
    }
    let mut batch = Batch::default();
    let sql = "UPDATE ussd_invoices SET state = 'refunding', refunds = refunds + 1 WHERE id = $1";
    batch.add(sql, args![id]);
    let (no, due) = (invoice.refunds + 1, due_to(invoice.merchant));
    post(&mut batch, (id, &format!("refund.{no}")), (REFUNDS, &due), invoice.rials, now)?;
    conn.batch(batch).await?;
    let attempt = paid_by(conn, id).await?;
    Ok(RefundBegun::Now(locked(conn, id).await?, attempt))
}

async fn paid_by(conn: &mut Conn, invoice: i64) -> Result<Attempt> {
    let sql = format!("{} WHERE a.invoice_id = $1 AND a.state = 'paid'", super::ATTEMPT);
    let row = conn.row(&sql, args![invoice]).await?.ok_or(Error::Missing("payment"))?;
    super::attempt_of(&row)
}

async fn end(conn: &mut Conn, id: i64, how: Refund, now: UnixMillis) -> Result<Invoice> {
    let invoice = locked(conn, id).await?;
    if invoice.state != InvoiceState::Refunding {
        return Ok(invoice);
    }
    let no = invoice.refunds;
    let mut batch = Batch::default();
    match how {
        Refund::Done => {
            batch.add("UPDATE ussd_invoices SET state = 'refunded' WHERE id = $1", args![id]);
            let there = at_gateway(invoice.gateway.as_deref().unwrap_or_default());
            let posting = format!("refunded.{no}");
            post(&mut batch, (id, &posting), (&there, REFUNDS), invoice.rials, now)?;
        }
        Refund::Refused => {
            batch.add("UPDATE ussd_invoices SET state = 'paid' WHERE id = $1", args![id]);
            let (posting, due) = (format!("undone.{no}"), due_to(invoice.merchant));
            post(&mut batch, (id, &posting), (&due, REFUNDS), invoice.rials, now)?;
        }
    }
    conn.batch(batch).await?;
    locked(conn, id).await
}

impl Store {
    /// Takes what an invoice came to from its merchant, to be given back; again, while that is not done.
    ///
    /// # Errors
    /// When there is no such invoice; those of the database.
    pub async fn begin_refund(&self, id: i64, now: UnixMillis) -> Result<RefundBegun> {
        self.write(work!(conn, [] => begin(conn, id, now).await?)).await
    }

    /// Notes what the gateway said: the money is gone, or the merchant's again.
    ///
    /// # Errors
    /// When there is no such invoice; those of the database.
    pub async fn end_refund(&self, id: i64, how: Refund, now: UnixMillis) -> Result<Invoice> {
        self.write(work!(conn, [] => end(conn, id, how, now).await?)).await
    }

    /// Invoices whose money is on its way back, so many at most.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn refunds_under_way(&self, limit: u32) -> Result<Vec<Invoice>> {
        let sql = format!("{INVOICE} WHERE i.state = 'refunding' ORDER BY i.id LIMIT $1");
        self.read(work!(conn, [sql] => {
            let rows = conn.rows(&sql, args![limit]).await?;
            rows.iter().map(invoice_of).collect::<Result<Vec<_>>>()?
        }))
        .await
    }
}
