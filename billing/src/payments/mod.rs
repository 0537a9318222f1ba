//! What menus of merchants have paid (merchant API §5.3, §5.4): invoices, the ways to a gateway, their money in rials.
//!
//! An invoice of a merchant's is paid once, whatever is repeated: there is one that is open or paid, it has one way to a
//! gateway at a time, and what that came to is booked where it ends. Whoever comes back from one that was given up has it
//! asked after once more, beside the other. Their ledger is its own: accounts are named, and
//! what is posted at one time sums to zero.
//!
//! ```text
//!          begin                  the gateway says paid
//!   open --------> open, pending ----------------------> paid <---> refunding ---> refunded
//!    |  <---------                                        |     gateway refuses       ^
//!    |    it says that nobody pays any more                +------- by hand ----------+
//!    +--> cancelled, expired (never while an attempt is pending)
//! ```

mod attempt;
mod invoice;
mod refund;
mod told;

use std::fmt;
use std::time::Duration;

use facts::ussd::Language;
use facts::{CallId, MerchantId, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::db::{Batch, Conn, Row, args, tuples};
use crate::error::{Error, Result};

pub use attempt::{Began, Booked, NewAttempt, Question, Verified};
pub use invoice::{Made, NewInvoice};
pub use refund::{Refund, RefundBegun, RefundRow, RefundState, Round};
pub(crate) use told::gateways_to_change;
pub use told::{Asked, InvoicesAsked};

/// How long a link is good (merchant API §5.3).
pub const LINK_LIFE: Duration = Duration::from_secs(15 * 60);
/// How often the link of an invoice is sent at most.
pub const NOTICES_MAX: u32 = 3;
/// How long a way or a refund belongs to the process that asks after it.
const LEASE: Duration = Duration::from_secs(60);
/// Between two questions after one of them: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(300));

/// Where an invoice stands. Stored by its word: words never change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceState {
    /// To be paid.
    Open,
    /// It is.
    Paid,
    /// The subscriber does not want to, or another one came in its place.
    Cancelled,
    /// The link was not used in time.
    Expired,
    /// The money is being given back.
    Refunding,
    /// It was.
    Refunded,
}

/// An invoice.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Invoice {
    /// Ours.
    pub id: i64,
    /// Whose.
    pub merchant: MerchantId,
    /// The code that was dialled, as `*6655*123#`.
    pub code: String,
    /// The merchant's page that asked for the payment, and is told of it.
    pub page: String,
    /// The language of what the subscriber is told.
    pub language: Language,
    /// The session in which the page asked.
    #[serde(serialize_with = "as_text")]
    pub session: CallId,
    /// Who is to pay: E.164 digits.
    pub subscriber: String,
    /// The same as the page was told him.
    pub mobile: String,
    /// The string that the page was told.
    #[serde(rename = "string")]
    pub call: String,
    /// The merchant's id of it.
    pub factor: String,
    /// How much.
    pub rials: u64,
    /// The merchant tries it out.
    pub trial: bool,
    /// What its page is found by. Whoever has it may pay or cancel.
    #[serde(skip)]
    pub token: String,
    /// Where it stands.
    pub state: InvoiceState,
    /// How often the link was sent.
    pub notices: u32,
    /// When it was made.
    pub made: UnixMillis,
    /// From when on nobody may begin to pay.
    pub expires: UnixMillis,
    /// When it was paid, cancelled or given up; `None` while it is open.
    pub closed: Option<UnixMillis>,
    /// Where it was paid.
    pub gateway: Option<String>,
    /// The gateway's own reference of the payment.
    pub reference: Option<String>,
    /// The bank's tracking number.
    pub rrn: Option<String>,
    /// How often a refund of it was begun.
    pub refunds: u32,
}

impl Invoice {
    /// Whether somebody may begin to pay it.
    #[must_use]
    pub fn is_payable(&self, now: UnixMillis) -> bool {
        self.state == InvoiceState::Open && self.expires > now
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn as_text<S: serde::Serializer>(session: &CallId, out: S) -> std::result::Result<S::Ok, S::Error> {
    out.serialize_str(&session.0.to_string())
}

/// How a way to a gateway stands. Stored by its word: words never change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptState {
    /// What came of it is not known yet.
    Pending,
    /// It was paid.
    Paid,
    /// It was not, and will not be.
    Failed,
    /// The gateway says something that does not fit: another amount, or a payment of what is not open any more.
    Odd,
}

/// A way to a gateway.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Attempt {
    /// Row id.
    pub id: i64,
    /// Of which invoice.
    pub invoice: i64,
    /// To which gateway.
    pub gateway: String,
    /// Of which kind that was when it was begun.
    pub kind: GatewayKind,
    /// By which the gateway knows it.
    pub reference: String,
    /// Where the subscriber pays.
    pub url: String,
    /// How much, in the gateway's own unit.
    pub amount: u64,
    /// Of which currency.
    pub currency: String,
    /// How it stands.
    pub state: AttemptState,
    /// What the gateway said last, in words for the operator.
    pub said: String,
    /// At the gateway for tests: the tracking number, once somebody has paid.
    pub rrn: Option<String>,
    /// When it began.
    pub made: UnixMillis,
    /// It was given up, and whoever paid by it came back all the same.
    pub late: bool,
}

/// Who may ask what was paid.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Owner {
    /// Login name.
    pub username: String,
    /// Salted hash of the password.
    #[serde(skip)]
    pub password: String,
    /// Of which merchant.
    pub merchant: MerchantId,
    /// The merchant's invoices are digits and nothing else.
    pub strict: bool,
    /// In use.
    pub active: bool,
}

/// Which kind of gateway. Stored by its word: words never change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GatewayKind {
    /// Two buttons of our own: no money moves.
    Test,
    /// Zarinpal (REST, version 4).
    Zarinpal,
    /// Stripe Checkout.
    Stripe,
}

/// Where invoices are paid.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Gateway {
    /// Unique name.
    pub name: String,
    /// Which kind.
    pub kind: GatewayKind,
    /// What subscribers see.
    pub title: String,
    /// In use.
    pub enabled: bool,
    /// Our account there.
    pub account: String,
    /// What requests to it are made with.
    #[serde(skip)]
    pub secret: String,
    /// What it signs its own words with.
    #[serde(skip)]
    pub hook_secret: String,
    /// The currency that it takes.
    pub currency: String,
    /// How many rials the smallest unit of that currency is.
    pub rials_per_unit: u64,
    /// Where it is; empty: where everybody finds it.
    pub url: String,
}

impl Gateway {
    /// Whether it is asked for the same account, by the same contract, at the same place.
    #[must_use]
    pub fn is_same_place(&self, other: &Gateway) -> bool {
        let place = |it: &Gateway| (it.kind, it.account.clone(), it.secret.clone(), it.url.clone());
        place(self) == place(other)
    }
}

// Accounts and passwords are in no log.
impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Gateway");
        shown.field("name", &self.name).field("kind", &self.kind).field("enabled", &self.enabled);
        shown.finish_non_exhaustive()
    }
}

/// By which short messages leave.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct SmsGateway {
    /// Where to; `{to}`, `{from}` and `{text}` are filled in. Empty: no way leads by HTTP.
    #[serde(skip)]
    pub url: String,
    /// The number or the name they come from.
    pub sender: String,
    /// Header fields, a line each. They may hold a password.
    #[serde(skip)]
    pub headers: String,
    /// The body of a POST, filled in likewise; empty: a GET.
    #[serde(skip)]
    pub body: String,
    /// What the answer has in it when the message was taken; empty: any answer of success.
    pub accept: String,
    /// In which order ways are tried.
    pub ways: Vec<String>,
    /// Where the answer names the message: a JSON pointer; empty: nowhere.
    pub reference: String,
    /// Words that no text of the vendor's doors may have.
    pub bad_words: Vec<String>,
}

impl fmt::Debug for SmsGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmsGateway").field("sender", &self.sender).finish_non_exhaustive()
    }
}

const INVOICE: &str = "SELECT i.id, i.merchant_id, i.code, i.page, i.language, i.session, i.subscriber, i.mobile, \
                       i.call, i.factor, i.rials, i.trial, i.token, i.state, i.notices, i.made, i.expires, \
                       i.closed, i.gateway, i.reference, i.rrn, i.refunds FROM ussd_invoices i";
const ATTEMPT: &str = "SELECT a.id, a.invoice_id, a.gateway, a.reference, a.url, a.amount, a.currency, a.state, \
                       a.said, a.rrn, a.made, a.kind, a.late FROM ussd_attempts a";

fn invoice_of(row: &Row) -> Result<Invoice> {
    let state: InvoiceState = row.word(13)?;
    // One that had lapsed and is asked after once more keeps in its row when it did.
    let open = state == InvoiceState::Open;
    Ok(Invoice {
        id: row.int(0)?,
        merchant: MerchantId(row.int(1)?),
        code: row.text(2)?,
        page: row.text(3)?,
        language: row.word(4)?,
        session: row.call(5)?,
        subscriber: row.text(6)?,
        mobile: row.text(7)?,
        call: row.text(8)?,
        factor: row.text(9)?,
        rials: row.small(10)?,
        trial: row.truth(11)?,
        token: row.text(12)?,
        state,
        notices: row.small(14)?,
        made: row.instant(15)?,
        expires: row.instant(16)?,
        closed: if open { None } else { row.opt_int(17)?.map(UnixMillis) },
        gateway: row.opt_text(18)?,
        reference: row.opt_text(19)?,
        rrn: row.opt_text(20)?,
        refunds: row.small(21)?,
    })
}

fn attempt_of(row: &Row) -> Result<Attempt> {
    Ok(Attempt {
        id: row.int(0)?,
        invoice: row.int(1)?,
        gateway: row.text(2)?,
        reference: row.text(3)?,
        url: row.text(4)?,
        amount: row.small(5)?,
        currency: row.text(6)?,
        state: row.word(7)?,
        said: row.text(8)?,
        rrn: row.opt_text(9)?,
        made: row.instant(10)?,
        kind: row.word(11)?,
        late: row.truth(12)?,
    })
}

/// Until when something that was begun at one instant is left alone after a question that decided nothing: the longer
/// the older it is.
fn later(made: UnixMillis, now: UnixMillis) -> UnixMillis {
    let age = u64::try_from(now.0 - made.0).unwrap_or(0);
    now + Duration::from_millis(age / 2).clamp(PAUSES.0, PAUSES.1)
}

/// An invoice that nobody else changes until the end of this transaction.
async fn locked(conn: &mut Conn, id: i64) -> Result<Invoice> {
    let sql = format!("{INVOICE} WHERE i.id = $1{}", conn.lock("i"));
    let row = conn.row(&sql, args![id]).await?.ok_or(Error::Missing("invoice"))?;
    invoice_of(&row)
}

/// Whoever makes an invoice of this id of the merchant's waits until the end of this transaction.
async fn in_its_place(conn: &mut Conn, invoice: &Invoice) -> Result<()> {
    conn.one_at_a_time(&once_of(invoice.merchant, &invoice.factor)).await
}

/// Names an invoice of a merchant's.
fn once_of(merchant: MerchantId, factor: &str) -> String {
    format!("ussd invoice {} {factor}", merchant.0)
}

/// Locks rows of which other processes may have others meanwhile.
fn skipping(conn: &Conn, of: &str) -> String {
    if conn.is_pg() { format!("{} SKIP LOCKED", conn.lock(of)) } else { String::new() }
}

/// The way to a gateway that an invoice is on; one that was given up and is asked after only where there is no other.
async fn pending(conn: &mut Conn, invoice: i64) -> Result<Option<Attempt>> {
    let sql =
        format!("{ATTEMPT} WHERE a.invoice_id = $1 AND a.state = 'pending' ORDER BY a.late, a.id");
    conn.row(&sql, args![invoice]).await?.as_ref().map(attempt_of).transpose()
}

/// Account of what a gateway has of ours.
fn at_gateway(name: &str) -> String {
    format!("gateway:{name}")
}

/// Account of what a merchant is due: below zero, what we owe.
fn due_to(merchant: MerchantId) -> String {
    format!("merchant:{}", merchant.0)
}

/// The account of a merchant to which a payment belongs: what was paid without money is apart, and he is not due it.
fn account_of(merchant: MerchantId, kind: GatewayKind) -> String {
    match kind {
        GatewayKind::Test => format!("trial:{}", merchant.0),
        GatewayKind::Zarinpal | GatewayKind::Stripe => due_to(merchant),
    }
}

/// Account of what is on its way back to subscribers.
const REFUNDS: &str = "refunds";

/// Posts an amount from one account to another. The same posting of an invoice again changes nothing.
fn post(
    batch: &mut Batch,
    (invoice, posting): (i64, &str),
    (from, to): (&str, &str),
    rials: u64,
    at: UnixMillis,
) -> Result<()> {
    let amount = i64::try_from(rials).map_err(|_| Error::Damaged {
        table: "ussd_invoices",
        detail: "an amount is out of range".into(),
    })?;
    let sql = format!(
        "INSERT INTO ussd_entries (invoice_id, posting, account, rials, at) VALUES {} \
         ON CONFLICT (invoice_id, posting, account) DO NOTHING",
        tuples(2, 5)
    );
    let values = args![invoice, posting, from, -amount, at, invoice, posting, to, amount, at];
    batch.add(&sql, values);
    Ok(())
}

/// Each rule of this ledger, as a query that finds what breaks it: a name and a figure.
pub(crate) const RULES: &[(&str, &str)] = &[
    (
        "what was posted for an invoice does not sum to zero",
        "SELECT CAST(invoice_id AS TEXT) || '.' || posting, CAST(SUM(rials) AS BIGINT) FROM ussd_entries \
         GROUP BY invoice_id, posting HAVING SUM(rials) <> 0 OR COUNT(*) <> 2",
    ),
    (
        "the ledger and the state of an invoice differ",
        "SELECT CAST(i.id AS TEXT) || ' ' || i.state, CAST(COALESCE(SUM(e.rials), 0) AS BIGINT) \
         FROM ussd_invoices i LEFT JOIN ussd_entries e ON e.invoice_id = i.id \
         AND (e.account LIKE 'merchant:%' OR e.account LIKE 'trial:%') \
         GROUP BY i.id, i.state, i.rials \
         HAVING COALESCE(SUM(e.rials), 0) <> CASE WHEN i.state = 'paid' THEN -i.rials ELSE 0 END",
    ),
    (
        "an invoice is paid without a payment, or has several",
        "SELECT CAST(i.id AS TEXT), COUNT(a.id) FROM ussd_invoices i \
         LEFT JOIN ussd_attempts a ON a.invoice_id = i.id AND a.state = 'paid' GROUP BY i.id, i.state \
         HAVING COUNT(a.id) <> CASE WHEN i.state IN ('paid', 'refunding', 'refunded') THEN 1 ELSE 0 END",
    ),
    (
        "an invoice was given up and a payment of it is under way",
        "SELECT CAST(i.id AS TEXT) || ' ' || i.state, a.id FROM ussd_invoices i \
         JOIN ussd_attempts a ON a.invoice_id = i.id AND a.state = 'pending' \
         WHERE i.state IN ('cancelled', 'expired')",
    ),
    (
        "what was paid without money is posted as money, or money as if there were none",
        "SELECT CAST(e.invoice_id AS TEXT) || ' ' || e.account, e.id FROM ussd_entries e \
         JOIN ussd_attempts a ON a.invoice_id = e.invoice_id AND a.state = 'paid' \
         WHERE (e.account LIKE 'merchant:%' AND a.kind = 'test') \
         OR (e.account LIKE 'trial:%' AND a.kind <> 'test')",
    ),
    (
        "money is on its way back without a refund, or a refund under way without it",
        "SELECT CAST(i.id AS TEXT) || ' ' || i.state, COUNT(r.no) FROM ussd_invoices i \
         LEFT JOIN ussd_refunds r ON r.invoice_id = i.id AND r.no = i.refunds AND r.state = 'pending' \
         GROUP BY i.id, i.state HAVING COUNT(r.no) <> CASE WHEN i.state = 'refunding' THEN 1 ELSE 0 END",
    ),
    (
        "what is on its way back is not what was paid",
        "SELECT CAST(i.id AS TEXT) || ' ' || i.state, CAST(COALESCE(SUM(e.rials), 0) AS BIGINT) \
         FROM ussd_invoices i LEFT JOIN ussd_entries e ON e.invoice_id = i.id AND e.account = 'refunds' \
         GROUP BY i.id, i.state, i.rials \
         HAVING COALESCE(SUM(e.rials), 0) <> CASE WHEN i.state = 'refunding' THEN -i.rials ELSE 0 END",
    ),
];
