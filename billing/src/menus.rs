//! Menus of system 003: their codes, and sessions of subscribers who dialled them, with what each costs.
//!
//! A session is paid for when it is opened, before its page is visited, in the transaction that writes its row. The row
//! is the guard: a unit that is run again finds it and takes nothing twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use facts::ussd::{Code, Dialled, Door, End, Language, Over, Step};
use facts::{CallId, Currency, MerchantId, Micros, UnixMillis};
use serde::Serialize;

use crate::db::{Batch, Conn, Row, args, work};
use crate::error::{Error, Result};
use crate::settle::currency;
use crate::store::{Store, is_of};

/// A code with the address of its page.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CodeRow {
    /// Row id.
    pub id: i64,
    /// What is dialled: `*6655*123#`.
    pub code: String,
    /// Who owns it, and pays.
    pub merchant: MerchantId,
    /// The address that is asked.
    pub page: String,
    /// Language of the switch's own words.
    pub language: Language,
    /// Whether what the page is told begins with a star.
    pub leading_star: bool,
    /// How long the page may take.
    pub page_ms: u64,
    /// How long a subscriber may take to type.
    pub input_ms: u64,
    /// How long a session may last.
    pub session_ms: u64,
    /// What a session costs.
    pub price_micros: Micros,
}

/// A session of a merchant's code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// Its id.
    pub id: CallId,
    /// What was dialled, as far as it is the code.
    pub code: String,
    /// Who dialled it: E.164 digits.
    pub mobile: String,
    /// By which door.
    pub door: Door,
    /// When.
    pub opened: UnixMillis,
    /// When it was over.
    pub ended: Option<UnixMillis>,
    /// How often the page was asked; known when it is over.
    pub steps: u32,
    /// How it ended.
    pub outcome: Option<End>,
    /// What was taken for it.
    pub price: Micros,
    /// The currency of that.
    pub currency: Currency,
}

/// Whether a session may go on to its page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opened {
    /// It is written down, and paid for.
    Now,
    /// It is written down; its merchant cannot pay for it.
    Unpaid,
    /// The merchant, or the code, is not served any more. Nothing is written down.
    Gone,
}

const CODE: &str = "SELECT id, code, merchant_id, page, language, leading_star, page_ms, input_ms, \
                    session_ms, price FROM ussd_codes";

fn code_of(row: &Row) -> Result<CodeRow> {
    Ok(CodeRow {
        id: row.int(0)?,
        code: row.text(1)?,
        merchant: MerchantId(row.int(2)?),
        page: row.text(3)?,
        language: row.word(4)?,
        leading_star: row.truth(5)?,
        page_ms: row.small(6)?,
        input_ms: row.small(7)?,
        session_ms: row.small(8)?,
        price_micros: row.micros(9)?,
    })
}

/// All codes, as the engine knows them.
pub(crate) async fn codes(conn: &mut Conn) -> Result<BTreeMap<Dialled, Arc<Code>>> {
    let mut codes = BTreeMap::new();
    for row in conn.rows(CODE, args![]).await? {
        let row = code_of(&row)?;
        let dialled = Dialled::code(&row.code)
            .ok_or_else(|| Error::Damaged { table: "ussd_codes", detail: row.code.clone() })?;
        let code = Code {
            merchant: row.merchant,
            code: dialled.clone(),
            leading_star: row.leading_star,
            language: row.language,
            page: Duration::from_millis(row.page_ms),
            input: Duration::from_millis(row.input_ms),
            session: Duration::from_millis(row.session_ms),
            price: row.price_micros,
        };
        codes.insert(dialled, Arc::new(code));
    }
    Ok(codes)
}

/// What is read under the lock of the merchant's account.
struct Books {
    account: i64,
    revenue: i64,
    available: Micros,
}

async fn open(conn: &mut Conn, step: &Step, at: UnixMillis) -> Result<Opened> {
    let lock = conn.lock("a");
    let sql = format!(
        "SELECT a.id, r.id, a.posted - a.held + a.credit, m.status, c.price, s.id, s.outcome \
         FROM merchants m JOIN accounts a ON a.merchant_id = m.id \
         JOIN accounts r ON r.name = 'revenue:' || a.currency \
         LEFT JOIN ussd_codes c ON c.code = $2 AND c.merchant_id = m.id \
         LEFT JOIN ussd_sessions s ON s.id = $3 WHERE m.id = $1{lock}"
    );
    let asked = args![step.merchant.0, step.code.to_string(), step.session];
    let Some(row) = conn.row(&sql, asked).await? else { return Ok(Opened::Gone) };
    if row.opt_int(5)?.is_some() {
        // Our own repeat after a commit whose answer was lost.
        let unpaid = row.opt_word::<End>(6)? == Some(End::Unpaid);
        return Ok(if unpaid { Opened::Unpaid } else { Opened::Now });
    }
    let Some(price) = row.opt_int(4)?.map(Micros) else { return Ok(Opened::Gone) };
    if row.text(3)? != "approved" {
        return Ok(Opened::Gone);
    }
    let books = Books { account: row.int(0)?, revenue: row.int(1)?, available: row.micros(2)? };
    // A merchant's own try costs nothing.
    let price = if step.door == Door::Simulator { Micros::ZERO } else { price };
    let mut batch = Batch::default();
    if price > books.available && price > Micros::ZERO {
        insert(&mut batch, step, (Micros::ZERO, Some(End::Unpaid)), at);
        conn.batch(batch).await?;
        return Ok(Opened::Unpaid);
    }
    insert(&mut batch, step, (price, None), at);
    let what = (step.session, "menu", step.code.to_string());
    book(&mut batch, (&books, price), what, at);
    conn.batch(batch).await?;
    Ok(Opened::Now)
}

fn insert(batch: &mut Batch, step: &Step, (price, end): (Micros, Option<End>), at: UnixMillis) {
    batch.add(
        "INSERT INTO ussd_sessions (id, merchant_id, code, mobile, door, opened, ended, steps, \
         outcome, price) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        args![
            step.session,
            step.merchant.0,
            step.code.to_string(),
            &step.mobile,
            step.door.word(),
            at,
            end.map(|_| at),
            step.number,
            end.map(End::word),
            price,
        ],
    );
}

/// One transfer from the merchant to revenue, or back where the price is below zero. Its id is made of the session and
/// what it is for.
fn book(
    batch: &mut Batch,
    (books, price): (&Books, Micros),
    (session, kind, note): (CallId, &str, String),
    at: UnixMillis,
) {
    if price == Micros::ZERO {
        return;
    }
    let id = format!("{session}.{kind}");
    batch.add(
        "INSERT INTO transfers (id, kind, call_id, at, note) VALUES ($1, $2, $3, $4, $5)",
        args![&id, kind, session, at, note],
    );
    batch.add(
        "INSERT INTO entries (transfer_id, account_id, amount) VALUES ($1, $2, $3), ($1, $4, $5)",
        args![&id, books.account, -price, books.revenue, price],
    );
    batch
        .add("UPDATE accounts SET posted = posted - $2 WHERE id = $1", args![books.account, price]);
}

/// Ends a session. `back`: its page was never visited, and it is this merchant who gets back what was taken.
async fn close(
    conn: &mut Conn,
    over: Over,
    back: Option<MerchantId>,
    at: UnixMillis,
) -> Result<bool> {
    let books = match back {
        Some(merchant) => account(conn, merchant).await?,
        None => None,
    };
    // With the account in hand, an opening whose answer was lost is over: what it did is seen now.
    let lock = conn.lock("s");
    let sql = format!("SELECT s.ended, s.price, s.code FROM ussd_sessions s WHERE s.id = $1{lock}");
    let Some(row) = conn.row(&sql, args![over.session]).await? else { return Ok(false) };
    if row.opt_int(0)?.is_some() {
        return Ok(false);
    }
    let taken = row.micros(1)?;
    let kept = if books.is_some() { Micros::ZERO } else { taken };
    let mut batch = Batch::default();
    batch.add(
        "UPDATE ussd_sessions SET ended = $2, steps = $3, outcome = $4, price = $5 WHERE id = $1",
        args![over.session, at, over.steps, over.end.word(), kept],
    );
    if let Some(books) = &books {
        let what = (over.session, "menu_back", row.text(2)?);
        book(&mut batch, (books, -taken), what, at);
    }
    conn.batch(batch).await?;
    Ok(true)
}

/// A merchant's account, locked.
async fn account(conn: &mut Conn, merchant: MerchantId) -> Result<Option<Books>> {
    let lock = conn.lock("a");
    let sql = format!(
        "SELECT a.id, r.id, a.posted - a.held + a.credit FROM accounts a \
         JOIN accounts r ON r.name = 'revenue:' || a.currency WHERE a.merchant_id = $1{lock}"
    );
    let row = conn.row(&sql, args![merchant.0]).await?;
    row.map(|row| {
        Ok(Books { account: row.int(0)?, revenue: row.int(1)?, available: row.micros(2)? })
    })
    .transpose()
}

/// Ends the sessions that a process left open.
async fn lose(conn: &mut Conn, node: u16, at: UnixMillis) -> Result<u64> {
    let mut lost = 0;
    for row in conn.rows("SELECT id FROM ussd_sessions WHERE ended IS NULL", args![]).await? {
        let session = row.call(0)?;
        if is_of(session, node) {
            lost += conn
                .exec(
                    "UPDATE ussd_sessions SET ended = $2, outcome = $3 \
                     WHERE id = $1 AND ended IS NULL",
                    args![session, at, End::Lost.word()],
                )
                .await?;
        }
    }
    Ok(lost)
}

fn session(row: &Row) -> Result<Session> {
    Ok(Session {
        id: row.call(0)?,
        code: row.text(1)?,
        mobile: row.text(2)?,
        door: row.word(3)?,
        opened: row.instant(4)?,
        ended: row.opt_int(5)?.map(UnixMillis),
        steps: row.small(6)?,
        outcome: row.opt_word(7)?,
        price: row.micros(8)?,
        currency: currency(&row.text(9)?)?,
    })
}

impl Store {
    /// Opens a session, before its page is visited for the first time: its row and what it costs, in one transaction.
    /// A repeat answers as the first time.
    ///
    /// # Errors
    /// [`Error::Busy`] when the queue is full. A merchant who cannot pay is none.
    pub async fn open_menu(&self, step: Step, at: UnixMillis) -> Result<Opened> {
        self.admit(work!(conn, [step] => open(conn, &step, at).await?)).await
    }

    /// Ends a session; false when it is over already, or was never opened. `back`: nobody was told whether it was
    /// opened, so its page was never visited: this merchant gets back what was taken for it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn close_menu(
        &self,
        over: Over,
        back: Option<MerchantId>,
        at: UnixMillis,
    ) -> Result<bool> {
        self.write(work!(conn, [] => close(conn, over, back, at).await?)).await
    }

    /// Ends the sessions that the last process of this number left open; says how many there were.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn lose_menus(&self, node: u16, at: UnixMillis) -> Result<u64> {
        self.write(work!(conn, [] => lose(conn, node, at).await?)).await
    }

    /// Sessions of a merchant with a higher id than `after`, by id, of all doors.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn menus(
        &self,
        merchant: MerchantId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Session>> {
        let sql = "SELECT s.id, s.code, s.mobile, s.door, s.opened, s.ended, s.steps, s.outcome, \
                   s.price, a.currency FROM ussd_sessions s \
                   JOIN accounts a ON a.merchant_id = s.merchant_id \
                   WHERE s.merchant_id = $1 AND s.id > $2 ORDER BY s.id LIMIT $3";
        self.read(work!(conn, [] => {
            let rows = conn.rows(sql, args![merchant.0, after, limit]).await?;
            rows.iter().map(session).collect::<Result<Vec<_>>>()?
        }))
        .await
    }

    /// Codes of a merchant, or all.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn ussd_codes(&self, merchant: Option<MerchantId>) -> Result<Vec<CodeRow>> {
        let sql =
            format!("{CODE} WHERE CAST($1 AS BIGINT) IS NULL OR merchant_id = $1 ORDER BY code");
        self.read(work!(conn, [sql] => {
            let rows = conn.rows(&sql, args![merchant.map(|id| id.0)]).await?;
            rows.iter().map(code_of).collect::<Result<Vec<_>>>()?
        }))
        .await
    }

    /// A code, as it is dialled.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn ussd_code(&self, code: &Dialled) -> Result<Option<CodeRow>> {
        let (sql, code) = (format!("{CODE} WHERE code = $1"), code.to_string());
        self.read(work!(conn, [sql, code] => {
            let row = conn.row(&sql, args![code.as_str()]).await?;
            row.as_ref().map(code_of).transpose()?
        }))
        .await
    }
}
