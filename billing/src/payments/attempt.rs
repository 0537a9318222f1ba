//! Ways to a gateway: begun before the subscriber is sent there, asked after until what came of them is known, booked
//! once.

use std::time::Duration;

use facts::payment::Paid;
use facts::{MerchantId, UnixMillis};

use super::invoice::lapse;
use super::{
    ATTEMPT, Attempt, AttemptState, Gateway, INVOICE, Invoice, InvoiceState, LEASE, PAUSES,
    account_of, at_gateway, attempt_of, due_to, in_its_place, invoice_of, later, locked, pending,
    post, skipping, told,
};
use crate::db::{Batch, Conn, args, word, work};
use crate::error::{Error, Result};
use crate::store::Store;
use crate::{outbox, sms};

/// Ways that one turn asks after at most.
const DUE_MAX: u32 = 50;
/// How long whoever comes back from a way that was given up has it asked after: whoever had the address could ask for ever.
const LATE: Duration = Duration::from_secs(2 * 86_400);

/// A way that a gateway has opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewAttempt {
    /// Of which invoice.
    pub invoice: i64,
    /// At which gateway, as it was when it opened the way.
    pub gateway: Gateway,
    /// By which the gateway knows it.
    pub reference: String,
    /// Where the subscriber pays.
    pub url: String,
    /// How much, in the gateway's own unit.
    pub amount: u64,
    /// Of which currency.
    pub currency: String,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Began {
    /// The subscriber may be sent there.
    Now(Attempt),
    /// He is on another way already, and may be sent there again.
    Before(Attempt),
    /// The invoice is not to be paid any more.
    Closed(Invoice),
    /// The gateway has another account, contract or place by now: nobody is to pay by what was opened.
    Moved(Invoice),
}

/// A question after a way, as it is noted before it is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// By another way the invoice is paid, and by this one the gateway has nothing yet: it need not be asked.
    pub spare: bool,
    /// What the note says; 0: there is none.
    asked: UnixMillis,
    /// Every question before it was answered, or is not on its way any more.
    alone: bool,
}

/// What a gateway says was paid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// How much, in its own unit.
    pub amount: u64,
    /// Of which currency.
    pub currency: String,
    /// Its own reference of the payment.
    pub reference: String,
    /// The bank's tracking number.
    pub rrn: String,
    /// What the subscriber is sent.
    pub text: String,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Booked {
    /// It is booked.
    Now(Invoice),
    /// It was.
    Before(Invoice),
    /// It is not what was asked for: noted, and not booked.
    Odd(Invoice),
}

async fn begin(conn: &mut Conn, new: &NewAttempt, now: UnixMillis) -> Result<Began> {
    let invoice = locked(conn, new.invoice).await?;
    if let Some(attempt) = pending(conn, invoice.id).await? {
        let same = attempt.gateway == new.gateway.name && attempt.reference == new.reference;
        return Ok(if same { Began::Now(attempt) } else { Began::Before(attempt) });
    }
    if !invoice.is_payable(now) {
        return Ok(Began::Closed(invoice));
    }
    // Whoever applies a file locks these rows, and finds the way; or it is found here that the gateway is another one.
    let there = told::gateway(conn, &new.gateway.name).await?;
    if !there.is_some_and(|there| there.is_same_place(&new.gateway)) {
        return Ok(Began::Moved(invoice));
    }
    let sql = "INSERT INTO ussd_attempts (invoice_id, gateway, kind, reference, url, amount, currency, state, made, \
               due) VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending', $8, $9)";
    let args = args![
        new.invoice,
        &new.gateway.name,
        word(&new.gateway.kind)?,
        &new.reference,
        &new.url,
        new.amount,
        &new.currency,
        now,
        now + PAUSES.0
    ];
    conn.exec(sql, args).await?;
    let attempt = pending(conn, invoice.id).await?.ok_or(Error::Missing("attempt"))?;
    Ok(Began::Now(attempt))
}

async fn one(conn: &mut Conn, id: i64) -> Result<Attempt> {
    let sql = format!("{ATTEMPT} WHERE a.id = $1");
    attempt_of(&conn.row(&sql, args![id]).await?.ok_or(Error::Missing("attempt"))?)
}

/// Whether what was paid of an invoice can still be booked: it is open, or it was given up and no other of the
/// merchant's has taken its place.
async fn may_be_paid(conn: &mut Conn, invoice: &Invoice) -> Result<bool> {
    match invoice.state {
        InvoiceState::Open => Ok(true),
        InvoiceState::Cancelled | InvoiceState::Expired => {
            let sql = "SELECT 1 FROM ussd_invoices WHERE merchant_id = $1 AND trial = $2 AND factor = $3 \
                       AND state IN ('open', 'paid', 'refunding')";
            let args = args![invoice.merchant.0, invoice.trial, &invoice.factor];
            Ok(conn.row(sql, args).await?.is_none())
        }
        InvoiceState::Paid | InvoiceState::Refunding | InvoiceState::Refunded => Ok(false),
    }
}

/// Books a payment: the invoice, the ledger, the promise to tell the page, the subscriber's message, or none of them.
async fn book(conn: &mut Conn, id: i64, paid: &Verified, now: UnixMillis) -> Result<Booked> {
    let invoice = one(conn, id).await?.invoice;
    let invoice = locked(conn, invoice).await?;
    // Whoever was quicker is seen behind the lock.
    let attempt = one(conn, id).await?;
    let odd = match attempt.state {
        AttemptState::Paid => return Ok(Booked::Before(invoice)),
        AttemptState::Odd => return Ok(Booked::Odd(invoice)),
        _ if (attempt.amount, &attempt.currency) != (paid.amount, &paid.currency) => {
            "another amount was paid than asked for"
        }
        // Whatever was given up meanwhile: the gateway has the money.
        _ if !may_be_paid(conn, &invoice).await? => "paid, but the invoice cannot be any more",
        _ => "",
    };
    if !odd.is_empty() {
        let said = format!("{odd}: {} {} by {}", paid.amount, paid.currency, paid.reference);
        let sql = "UPDATE ussd_attempts SET state = 'odd', said = $2 WHERE id = $1";
        conn.exec(sql, args![id, said]).await?;
        return Ok(Booked::Odd(invoice));
    }
    let mut batch = Batch::default();
    let sql = "UPDATE ussd_attempts SET state = 'paid', said = '' WHERE id = $1";
    batch.add(sql, args![id]);
    let sql = "UPDATE ussd_invoices SET state = 'paid', closed = $2, gateway = $3, reference = $4, rrn = $5 \
               WHERE id = $1";
    let args = args![invoice.id, now, &attempt.gateway, &paid.reference, &paid.rrn];
    batch.add(sql, args);
    let whose = account_of(invoice.merchant, attempt.kind);
    let there = at_gateway(&attempt.gateway);
    post(&mut batch, (invoice.id, "payment"), (&whose, &there), invoice.rials, now)?;
    conn.batch(batch).await?;
    outbox::paid(
        conn,
        (invoice.merchant, invoice.session),
        &invoice.page,
        &what_is_told(&invoice, paid),
        now,
    )
    .await?;
    if !invoice.trial {
        let whose = (invoice.merchant, invoice.subscriber.as_str());
        let once = format!("paid {}", invoice.id);
        sms::insert(conn, &once, whose, &paid.text, (now, now + sms::DAY)).await?;
    }
    Ok(Booked::Now(locked(conn, invoice.id).await?))
}

/// What the page is told.
fn what_is_told(invoice: &Invoice, paid: &Verified) -> Paid {
    Paid {
        mobile: invoice.mobile.clone(),
        session: invoice.session.0.to_string(),
        call: invoice.call.clone(),
        factor: invoice.factor.clone(),
        invoice: invoice.id.cast_unsigned(),
        rrn: paid.rrn.clone(),
    }
}

/// Ends a way by which nobody will pay any more.
async fn fail(conn: &mut Conn, id: i64, said: &str, now: UnixMillis) -> Result<Invoice> {
    let invoice = one(conn, id).await?.invoice;
    let invoice = locked(conn, invoice).await?;
    let sql =
        "UPDATE ussd_attempts SET state = 'failed', said = $2 WHERE id = $1 AND state = 'pending'";
    conn.exec(sql, args![id, said]).await?;
    let lapsed = invoice.state == InvoiceState::Open && invoice.expires <= now;
    if lapsed && pending(conn, invoice.id).await?.is_none() {
        lapse(conn, invoice.id, now).await?;
    }
    locked(conn, invoice.id).await
}

/// Notes that a way is asked after. Where to ask is to take (`takes`), the note stays until the gateway has said that it
/// has nothing: whoever pays by another way meanwhile has this one asked, and not left.
async fn ask(conn: &mut Conn, id: i64, takes: bool, now: UnixMillis) -> Result<Question> {
    let invoice = one(conn, id).await?.invoice;
    // Behind the lock another way is booked before this, and then this one is left; or after it, and finds the note.
    let invoice = locked(conn, invoice).await?;
    let attempt = one(conn, id).await?;
    let sql = "SELECT taking FROM ussd_attempts WHERE id = $1";
    let before = conn.row(sql, args![id]).await?.ok_or(Error::Missing("attempt"))?.instant(0)?;
    // One that was taken up again may have been verified before: only asking tells.
    let pending = attempt.state == AttemptState::Pending && !attempt.late;
    // One that has ended is left as it is: asking Zarinpal is taking.
    let over = takes && attempt.state == AttemptState::Failed;
    let spare = over || pending && invoice.state != InvoiceState::Open && before.0 == 0;
    let (mut asked, alone) = (UnixMillis(0), before.0 == 0 || before + LEASE < now);
    if takes && !spare {
        asked = UnixMillis(now.0.max(before.0 + 1));
        conn.exec("UPDATE ussd_attempts SET taking = $2 WHERE id = $1", args![id, asked]).await?;
    }
    Ok(Question { spare, asked, alone })
}

/// Notes what a gateway said that decides nothing: it is asked again, the later the older the way is. `answered`: that
/// nothing was paid by then.
async fn wait(
    conn: &mut Conn,
    id: i64,
    (said, answered): (&str, Option<&Question>),
    now: UnixMillis,
) -> Result<()> {
    let attempt = one(conn, id).await?;
    let due = later(attempt.made, now);
    // One that was asked before and is on its way still may find it paid all the same.
    let known = answered.filter(|question| question.alone).map_or(-1, |question| question.asked.0);
    let sql = "UPDATE ussd_attempts SET due = $2, lease = 0, said = $3, \
               taking = CASE WHEN taking = $4 THEN 0 ELSE taking END WHERE id = $1 AND state = 'pending'";
    conn.exec(sql, args![id, due, said, known]).await.map(drop)
}

async fn due(conn: &mut Conn, node: u16, now: UnixMillis) -> Result<Vec<Attempt>> {
    let sql = format!(
        "{ATTEMPT} WHERE a.state = 'pending' AND a.due <= $1 AND a.lease <= $1 \
         ORDER BY a.due, a.id LIMIT $2{}",
        skipping(conn, "a")
    );
    let rows = conn.rows(&sql, args![now, DUE_MAX]).await?;
    let attempts = rows.iter().map(attempt_of).collect::<Result<Vec<_>>>()?;
    for attempt in &attempts {
        let sql = "UPDATE ussd_attempts SET lease = $2, holder = $3 WHERE id = $1";
        conn.exec(sql, args![attempt.id, now + LEASE, i64::from(node)]).await?;
    }
    Ok(attempts)
}

/// Takes up a way that was given up, by which its invoice may be paid all the same: from now on it is asked after until
/// that is decided, and nothing takes the invoice's place meanwhile.
async fn resume(
    conn: &mut Conn,
    (id, reference): (i64, &str),
    node: u16,
    now: UnixMillis,
) -> Result<Option<Attempt>> {
    let sql = format!("{INVOICE} WHERE i.id = $1");
    let Some(row) = conn.row(&sql, args![id]).await? else { return Ok(None) };
    // In the order of those who make invoices: theirs first, then the rows.
    in_its_place(conn, &invoice_of(&row)?).await?;
    let invoice = locked(conn, id).await?;
    let is_left = matches!(invoice.state, InvoiceState::Open | InvoiceState::Expired);
    if !is_left || !may_be_paid(conn, &invoice).await? {
        return Ok(None);
    }
    let sql = format!(
        "{ATTEMPT} WHERE a.invoice_id = $1 AND a.reference = $2 AND a.state = 'failed' ORDER BY a.id"
    );
    let Some(row) = conn.row(&sql, args![id, reference]).await? else { return Ok(None) };
    let attempt = attempt_of(&row)?;
    if attempt.made <= now - LATE {
        return Ok(None);
    }
    let sql = "UPDATE ussd_attempts SET state = 'pending', late = 1, due = $2, lease = $3, holder = $4 WHERE id = $1";
    conn.exec(sql, args![attempt.id, now, now + LEASE, i64::from(node)]).await?;
    // It keeps when it lapsed: if nothing was paid, it did so then.
    let sql = "UPDATE ussd_invoices SET state = 'open' WHERE id = $1 AND state = 'expired'";
    conn.exec(sql, args![id]).await?;
    one(conn, attempt.id).await.map(Some)
}

impl Store {
    /// Notes that a subscriber is about to be sent to a gateway. An invoice is on one way at a time.
    ///
    /// # Errors
    /// When there is no such invoice; those of the database.
    pub async fn begin_attempt(&self, new: NewAttempt, now: UnixMillis) -> Result<Began> {
        self.write(work!(conn, [new] => begin(conn, &new, now).await?)).await
    }

    /// Books what a gateway says was paid: once, however often it is said.
    ///
    /// # Errors
    /// When there is no such attempt; those of the database.
    pub async fn book_attempt(&self, id: i64, paid: Verified, now: UnixMillis) -> Result<Booked> {
        self.write(work!(conn, [paid] => book(conn, id, &paid, now).await?)).await
    }

    /// Ends an attempt by which nobody will pay any more; how the invoice stands then.
    ///
    /// # Errors
    /// When there is no such attempt; those of the database.
    pub async fn fail_attempt(&self, id: i64, said: &str, now: UnixMillis) -> Result<Invoice> {
        let said = said.to_owned();
        self.write(work!(conn, [said] => fail(conn, id, &said, now).await?)).await
    }

    /// Notes that an attempt is about to be asked after; `takes`: what was paid is ours from the question on.
    ///
    /// # Errors
    /// When there is no such attempt; those of the database.
    pub async fn ask_attempt(&self, id: i64, takes: bool, now: UnixMillis) -> Result<Question> {
        self.write(work!(conn, [] => ask(conn, id, takes, now).await?)).await
    }

    /// Has an attempt asked after later: nothing is known of it.
    ///
    /// # Errors
    /// When there is no such attempt; those of the database.
    pub async fn delay_attempt(&self, id: i64, said: &str, now: UnixMillis) -> Result<()> {
        let said = said.to_owned();
        self.write(work!(conn, [said] => wait(conn, id, (&said, None), now).await?)).await
    }

    /// The same of one by which nothing was paid when this was asked.
    ///
    /// # Errors
    /// When there is no such attempt; those of the database.
    pub async fn deny_attempt(
        &self,
        id: i64,
        asked: &Question,
        said: &str,
        now: UnixMillis,
    ) -> Result<()> {
        let (said, asked) = (said.to_owned(), asked.clone());
        self.write(work!(conn, [said, asked] => wait(conn, id, (&said, Some(&asked)), now).await?))
            .await
    }

    /// Attempts that are to be asked after, for a minute those of the process of this number.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn attempts_due(&self, node: u16, now: UnixMillis) -> Result<Vec<Attempt>> {
        self.write(work!(conn, [] => due(conn, node, now).await?)).await
    }

    /// Has all attempts and refunds asked after at once: a process of this number that begins knows of no answer that
    /// the last one may have had, and has what that one held. What others hold is theirs.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn hasten_payments(&self, node: u16, now: UnixMillis) -> Result<()> {
        self.write(work!(conn, [] => {
            for table in ["ussd_attempts", "ussd_refunds"] {
                let sql = format!(
                    "UPDATE {table} SET due = CASE WHEN due > $1 THEN $1 ELSE due END, \
                     lease = CASE WHEN holder = $2 THEN 0 ELSE lease END \
                     WHERE state = 'pending' AND (due > $1 OR lease > $1)"
                );
                conn.exec(&sql, args![now, i64::from(node)]).await?;
            }
        }))
        .await
    }

    /// Takes up the attempt of an invoice that a gateway knows by this reference, if it began less than two days ago and
    /// was given up, nothing has taken the invoice's place, and the subscriber did not cancel it: it may be paid by it all
    /// the same. It is asked after until that is decided, for a minute by the process of this number.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn resume_attempt(
        &self,
        (invoice, reference): (i64, &str),
        node: u16,
        now: UnixMillis,
    ) -> Result<Option<Attempt>> {
        let reference = reference.to_owned();
        self.write(
            work!(conn, [reference] => resume(conn, (invoice, &reference), node, now).await?),
        )
        .await
    }

    /// The attempt that an invoice is on.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn pending_attempt(&self, invoice: i64) -> Result<Option<Attempt>> {
        self.read(work!(conn, [] => pending(conn, invoice).await?)).await
    }

    /// All attempts of an invoice, oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn attempts_of(&self, invoice: i64) -> Result<Vec<Attempt>> {
        let sql = format!("{ATTEMPT} WHERE a.invoice_id = $1 ORDER BY a.id");
        self.read(work!(conn, [sql] => {
            let rows = conn.rows(&sql, args![invoice]).await?;
            rows.iter().map(attempt_of).collect::<Result<Vec<_>>>()?
        }))
        .await
    }

    /// The attempt that a gateway knows by this reference.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn attempt_by_reference(
        &self,
        gateway: &str,
        reference: &str,
    ) -> Result<Option<Attempt>> {
        let sql = format!("{ATTEMPT} WHERE a.gateway = $1 AND a.reference = $2");
        let (gateway, reference) = (gateway.to_owned(), reference.to_owned());
        self.read(work!(conn, [sql, gateway, reference] => {
            let row = conn.row(&sql, args![gateway.as_str(), reference.as_str()]).await?;
            row.as_ref().map(attempt_of).transpose()?
        }))
        .await
    }

    /// At the gateway for tests: somebody has pressed a button. The first one counts.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn play_payment(&self, id: i64, rrn: &str) -> Result<()> {
        let rrn = rrn.to_owned();
        let sql =
            "UPDATE ussd_attempts SET rrn = $2 WHERE id = $1 AND rrn IS NULL AND state = 'pending'";
        self.write(work!(conn, [rrn] => conn.exec(sql, args![id, rrn.as_str()]).await?))
            .await
            .map(drop)
    }

    /// What a merchant is due of payments, in rials; nothing of what was paid without money.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn payments_due(&self, merchant: MerchantId) -> Result<i64> {
        let account = due_to(merchant);
        let sql =
            "SELECT CAST(COALESCE(SUM(rials), 0) AS BIGINT) FROM ussd_entries WHERE account = $1";
        self.read(work!(conn, [account] => {
            conn.row(sql, args![account.as_str()]).await?.map_or(Ok(0), |row| row.int(0)).map(|sum| -sum)?
        }))
        .await
    }
}
