//! Invoices: made by what a page answers, cancelled, and given up when nobody pays.

use facts::ussd::Language;
use facts::{CallId, MerchantId, UnixMillis};

use super::{
    INVOICE, Invoice, InvoiceState, LINK_LIFE, NOTICES_MAX, invoice_of, locked, once_of, pending,
};
use crate::db::{Conn, args, word, work};
use crate::error::{Error, Result};
use crate::sms;
use crate::store::Store;

/// Invoices that are given up in one turn at most.
const EXPIRED_MAX: u32 = 200;

/// What a page asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewInvoice {
    /// Whose.
    pub merchant: MerchantId,
    /// The code that was dialled, as `*6655*123#`.
    pub code: String,
    /// The page.
    pub page: String,
    /// In which language the subscriber is spoken to.
    pub language: Language,
    /// The session.
    pub session: CallId,
    /// Which step of it: with the session, the name of the request.
    pub step: u32,
    /// Who is to pay: E.164 digits.
    pub subscriber: String,
    /// The same as the page was told him.
    pub mobile: String,
    /// The string that the page was told.
    pub call: String,
    /// The merchant's id of the invoice.
    pub factor: String,
    /// How much.
    pub rials: u64,
    /// The merchant tries it out: no message leaves.
    pub trial: bool,
    /// What the page of a new invoice is found by: drawn at random.
    pub token: String,
    /// What the subscriber is sent, `{token}` in place of the invoice's own.
    pub text: String,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Made {
    /// There is a new invoice, and its link is being sent.
    Now(Invoice),
    /// It was asked for before and is open still: the link is being sent again.
    Again(Invoice),
    /// The same, and the link was sent often enough.
    Enough(Invoice),
    /// Somebody is paying the one that there is, and it is another.
    UnderWay(Invoice),
    /// The merchant's invoice of this id is paid.
    Paid(Invoice),
}

async fn make(conn: &mut Conn, new: &NewInvoice, now: UnixMillis) -> Result<Made> {
    conn.one_at_a_time(&once_of(new.merchant, &new.factor)).await?;
    let sql = format!(
        "{INVOICE} WHERE i.merchant_id = $1 AND i.trial = $2 AND i.factor = $3 \
         AND i.state IN ('open', 'paid', 'refunding'){}",
        conn.lock("i")
    );
    let held = conn.row(&sql, args![new.merchant.0, new.trial, &new.factor]).await?;
    let Some(held) = held.as_ref().map(invoice_of).transpose()? else {
        return insert(conn, new, now).await;
    };
    if held.state != InvoiceState::Open {
        return Ok(Made::Paid(held));
    }
    // The unit may run again after a commit whose answer was lost.
    let same_step = held.session == new.session && sms::is_told(conn, &once(new)).await?;
    if same_step {
        return Ok(Made::Again(held));
    }
    let under_way = pending(conn, held.id).await?.is_some();
    let same = held.rials == new.rials
        && held.subscriber == new.subscriber
        && held.code == new.code
        && (under_way || held.expires > now);
    match (same, under_way) {
        (true, _) => again(conn, held, new, now).await,
        (false, true) => Ok(Made::UnderWay(held)),
        (false, false) => {
            if held.expires > now {
                withdraw(conn, held.id, now).await?;
            } else {
                lapse(conn, held.id, now).await?;
            }
            insert(conn, new, now).await
        }
    }
}

/// Names the message that bears the link.
fn once(new: &NewInvoice) -> String {
    format!("link {} {}", new.session.0, new.step)
}

async fn insert(conn: &mut Conn, new: &NewInvoice, now: UnixMillis) -> Result<Made> {
    let sql = "INSERT INTO ussd_invoices (merchant_id, code, page, language, session, subscriber, mobile, call, \
               factor, rials, trial, token, state, notices, made, expires) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'open', 1, $13, $14) RETURNING id";
    let args = args![
        new.merchant.0,
        &new.code,
        &new.page,
        word(&new.language)?,
        new.session,
        &new.subscriber,
        &new.mobile,
        &new.call,
        &new.factor,
        new.rials,
        new.trial,
        &new.token,
        now,
        now + LINK_LIFE
    ];
    let id = conn.row(sql, args).await?.ok_or(Error::Missing("invoice"))?.int(0)?;
    let made = locked(conn, id).await?;
    notify(conn, &made, new, now).await?;
    Ok(Made::Now(made))
}

/// The link once more, to who asked last; the page is told of that step when it is paid.
async fn again(conn: &mut Conn, held: Invoice, new: &NewInvoice, now: UnixMillis) -> Result<Made> {
    let more = held.notices < NOTICES_MAX;
    let sql = "UPDATE ussd_invoices SET session = $2, call = $3, mobile = $4, page = $5, \
               notices = notices + $6, expires = CASE WHEN $6 = 1 THEN $7 ELSE expires END, \
               closed = CASE WHEN $6 = 1 THEN NULL ELSE closed END WHERE id = $1";
    let args =
        args![held.id, new.session, &new.call, &new.mobile, &new.page, more, now + LINK_LIFE];
    conn.exec(sql, args).await?;
    let held = locked(conn, held.id).await?;
    if !more {
        return Ok(Made::Enough(held));
    }
    notify(conn, &held, new, now).await?;
    Ok(Made::Again(held))
}

async fn notify(
    conn: &mut Conn,
    invoice: &Invoice,
    new: &NewInvoice,
    now: UnixMillis,
) -> Result<()> {
    if invoice.trial {
        return Ok(());
    }
    let text = new.text.replace("{token}", &invoice.token);
    let whose = (invoice.merchant, invoice.subscriber.as_str());
    sms::insert(conn, &once(new), whose, &text, (now, invoice.expires)).await
}

/// Gives an open invoice up. One that had lapsed, and was asked after once more, lapsed then.
pub(super) async fn lapse(conn: &mut Conn, id: i64, now: UnixMillis) -> Result<u64> {
    let sql = "UPDATE ussd_invoices SET state = 'expired', closed = COALESCE(closed, $2) \
               WHERE id = $1 AND state = 'open'";
    conn.exec(sql, args![id, now]).await
}

/// Nobody is to pay it any more: somebody has said so.
async fn withdraw(conn: &mut Conn, id: i64, now: UnixMillis) -> Result<u64> {
    let sql = "UPDATE ussd_invoices SET state = 'cancelled', closed = $2 WHERE id = $1 AND state = 'open'";
    conn.exec(sql, args![id, now]).await
}

/// Cancels an open invoice that nobody is paying; how it stands then.
async fn cancel(conn: &mut Conn, id: i64, now: UnixMillis) -> Result<Invoice> {
    let held = locked(conn, id).await?;
    if held.state == InvoiceState::Open && pending(conn, id).await?.is_none() {
        withdraw(conn, id, now).await?;
    }
    locked(conn, id).await
}

/// Gives up what is open, past its time and not being paid.
async fn expire(conn: &mut Conn, now: UnixMillis) -> Result<u64> {
    let sql = format!(
        "SELECT i.id FROM ussd_invoices i WHERE i.state = 'open' AND i.expires <= $1 \
         AND NOT EXISTS (SELECT 1 FROM ussd_attempts a WHERE a.invoice_id = i.id AND a.state = 'pending') \
         ORDER BY i.id LIMIT $2{}",
        conn.lock("i")
    );
    let mut gone = 0;
    for row in conn.rows(&sql, args![now, EXPIRED_MAX]).await? {
        let id = row.int(0)?;
        // Whoever began to pay before the lock was had has it in his hands.
        if pending(conn, id).await?.is_none() {
            gone += lapse(conn, id, now).await?;
        }
    }
    Ok(gone)
}

impl Store {
    /// Makes an invoice, unless there is one: an invoice of the merchant's is paid once. The same again sends the link
    /// again, three times at most; another price, subscriber or code cancels the one before (merchant API §5.3).
    ///
    /// # Errors
    /// Those of the database.
    pub async fn make_invoice(&self, new: NewInvoice, now: UnixMillis) -> Result<Made> {
        self.write(work!(conn, [new] => make(conn, &new, now).await?)).await
    }

    /// The invoice whose page has this token.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn invoice_by_token(&self, token: &str) -> Result<Option<Invoice>> {
        let (sql, token) = (format!("{INVOICE} WHERE i.token = $1"), token.to_owned());
        self.read(work!(conn, [sql, token] => {
            let row = conn.row(&sql, args![token.as_str()]).await?;
            row.as_ref().map(invoice_of).transpose()?
        }))
        .await
    }

    /// An invoice by its id.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn invoice(&self, id: i64) -> Result<Option<Invoice>> {
        let sql = format!("{INVOICE} WHERE i.id = $1");
        self.read(work!(conn, [sql] => {
            conn.row(&sql, args![id]).await?.as_ref().map(invoice_of).transpose()?
        }))
        .await
    }

    /// Cancels an invoice that is open and that nobody is paying; says how it stands then.
    ///
    /// # Errors
    /// When there is no such invoice; those of the database.
    pub async fn cancel_invoice(&self, id: i64, now: UnixMillis) -> Result<Invoice> {
        self.write(work!(conn, [] => cancel(conn, id, now).await?)).await
    }

    /// Gives up invoices whose links are past their time, unless somebody is paying them; how many.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn expire_invoices(&self, now: UnixMillis) -> Result<u64> {
        self.write(work!(conn, [] => expire(conn, now).await?)).await
    }
}
