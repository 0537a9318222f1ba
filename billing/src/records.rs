//! Reading back what was settled: records, CDRs, calls.

use facts::command::Dialect;
use facts::media::Codec;
use facts::record::CallRecord;
use facts::spoken::Codecs;
use facts::time::UnixMillis;
use facts::{CallCommand, CallId, LegNo, MerchantId, Purpose, SubAccountId};

use crate::db::{Conn, Row, Value, args, from_json};
use crate::error::Result;
use crate::rows::{CallEntry, Cdr};
use crate::settle::currency;

/// Rows of a page at most.
const PAGE_MAX: u32 = 10_000;

const ENTRY: &str = "SELECT c.id, c.command, c.placed, r.record \
                     FROM calls c LEFT JOIN records r ON r.call_id = c.id";

pub(crate) async fn call(conn: &mut Conn, call: CallId) -> Result<Option<CallEntry>> {
    let row = conn.row(&format!("{ENTRY} WHERE c.id = $1"), args![call]).await?;
    row.as_ref().map(entry).transpose()
}

pub(crate) async fn call_by_key(
    conn: &mut Conn,
    merchant: MerchantId,
    dialect: Dialect,
    key: &str,
) -> Result<Option<CallEntry>> {
    let sql = format!(
        "{ENTRY} JOIN request_keys k ON k.call_id = c.id \
         WHERE k.merchant_id = $1 AND k.dialect = $2 AND k.request = $3"
    );
    let row = conn.row(&sql, args![merchant.0, dialect.word(), key]).await?;
    row.as_ref().map(entry).transpose()
}

fn entry(row: &Row) -> Result<CallEntry> {
    Ok(CallEntry {
        call: row.call(0)?,
        command: row.json(1)?,
        placed: row.instant(2)?,
        record: row.opt_text(3)?.map(|_| row.json(3)).transpose()?,
    })
}

/// In the order of settlement: a call that was placed early and settled late is not passed over. Calls outside
/// an app are nobody's list (`app <> ''` is what the index holds).
pub(crate) async fn after(
    conn: &mut Conn,
    (dialect, app, purpose): (Dialect, &str, Purpose),
    after: Option<CallId>,
    limit: u32,
) -> Result<Vec<CallRecord>> {
    let sql = "SELECT record FROM records WHERE dialect = $1 AND app = $2 AND app <> '' AND id > COALESCE( \
                 (SELECT id FROM records WHERE call_id = $3 AND dialect = $1 AND app = $2), 0) \
               AND purpose = $5 ORDER BY id LIMIT $4";
    let after = after.map(CallId::as_i64);
    records(conn, sql, args![dialect.word(), app, after, limit.min(PAGE_MAX), purpose.word()]).await
}

pub(crate) async fn between(
    conn: &mut Conn,
    (dialect, app, purpose): (Dialect, &str, Purpose),
    (from, to): (UnixMillis, UnixMillis),
    limit: u32,
) -> Result<Vec<CallRecord>> {
    let sql = "SELECT record FROM records WHERE dialect = $1 AND app = $2 AND app <> '' \
               AND placed >= $3 AND placed < $4 AND purpose = $6 ORDER BY id LIMIT $5";
    records(conn, sql, args![dialect.word(), app, from, to, limit.min(PAGE_MAX), purpose.word()])
        .await
}

/// Records of an app of our own surface, whatever for, in the order of settlement, each with the place it has in that
/// order.
pub(crate) async fn all_after(
    conn: &mut Conn,
    app: &str,
    (after, last): (i64, i64),
    limit: u32,
) -> Result<Vec<(i64, CallRecord)>> {
    // The words of the index `records_of_rest`.
    let sql = "SELECT id, record FROM records WHERE dialect = 'rest' AND app <> '' AND app = $1 \
               AND id > $2 AND id <= $3 ORDER BY id LIMIT $4";
    let rows = conn.rows(sql, args![app, after, last, limit.min(PAGE_MAX)]).await?;
    rows.iter().map(|row| Ok((row.int(0)?, row.json(1)?))).collect()
}

/// Which records of a company of system 002 are looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BillsAsked {
    /// `companycode`.
    pub company: String,
    /// Of calls that were placed from then on, and before that.
    pub span: (UnixMillis, UnixMillis),
    /// Those that were fetched before, or were not; `None`: all.
    pub fetched: Option<bool>,
    /// What the calls are for: one of these.
    pub purposes: &'static [Purpose],
    /// What has to stand somewhere in a record as it is kept.
    pub texts: Vec<String>,
}

impl BillsAsked {
    /// The condition, and its values.
    fn told(&self, conn: &Conn) -> (String, Vec<Value>) {
        let mut sql = "dialect = 'sipcall' AND app = $1 AND app <> '' AND placed >= $2 \
                       AND placed < $3 AND (CAST($4 AS BIGINT) IS NULL OR fetched = $4)"
            .to_owned();
        let fetched = self.fetched.map(i64::from);
        let mut values = args![&self.company, self.span.0, self.span.1, fetched];
        // Always: it stands before the time in the index (`records_by_hour`).
        let words: Vec<String> =
            self.purposes.iter().map(|purpose| format!("'{}'", purpose.word())).collect();
        sql.push_str(&format!(" AND purpose IN ({})", words.join(", ")));
        let find = if conn.is_pg() { "strpos" } else { "instr" };
        for text in &self.texts {
            values.push(text.into());
            sql.push_str(&format!(" AND {find}(record, ${}) > 0", values.len()));
        }
        (sql, values)
    }
}

/// Of those that are looked for, those behind row `after`, with their rows.
pub(crate) async fn bills(
    conn: &mut Conn,
    asked: &BillsAsked,
    after: i64,
) -> Result<Vec<(i64, CallRecord)>> {
    let (wanted, mut values) = asked.told(conn);
    let at = values.len();
    values.extend(args![after, BILLS]);
    let sql = format!(
        "SELECT id, record FROM records WHERE {wanted} AND id > ${} ORDER BY id LIMIT ${}",
        at + 1,
        at + 2
    );
    let rows = conn.rows(&sql, values).await?;
    rows.iter().map(|row| Ok((row.int(0)?, row.json(1)?))).collect()
}

/// How many of them there are, and those of a page, with their rows.
pub(crate) async fn bills_page(
    conn: &mut Conn,
    asked: &BillsAsked,
    (skip, limit): (u64, u32),
) -> Result<(u64, Vec<(i64, CallRecord)>)> {
    let (wanted, mut values) = asked.told(conn);
    let sql = format!("SELECT COUNT(*) FROM records WHERE {wanted}");
    let total = conn.row(&sql, values.clone()).await?.map_or(Ok(0), |row| row.small(0))?;
    let at = values.len();
    values.extend(args![limit.min(BILLS), skip]);
    let sql = format!(
        "SELECT id, record FROM records WHERE {wanted} ORDER BY id LIMIT ${} OFFSET ${}",
        at + 1,
        at + 2
    );
    let rows = conn.rows(&sql, values).await?;
    let rows = rows.iter().map(|row| Ok((row.int(0)?, row.json(1)?)));
    Ok((total, rows.collect::<Result<Vec<_>>>()?))
}

/// Notes that records were fetched.
pub(crate) async fn fetched(conn: &mut Conn, rows: &[i64]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let places: Vec<String> = (1..=rows.len()).map(|nth| format!("${nth}")).collect();
    let sql = format!("UPDATE records SET fetched = 1 WHERE id IN ({})", places.join(", "));
    let args = rows.iter().map(|row| Value::from(*row)).collect();
    conn.exec_once(&sql, args).await.map(|_| ())
}

/// Records of a company that are read at once.
const BILLS: u32 = 1_000;

async fn records(conn: &mut Conn, sql: &str, args: Vec<Value>) -> Result<Vec<CallRecord>> {
    conn.rows(sql, args).await?.iter().map(|row| row.json(0)).collect()
}

pub(crate) async fn cdrs(
    conn: &mut Conn,
    merchant: Option<MerchantId>,
    (after, last): (i64, i64),
    limit: u32,
) -> Result<Vec<Cdr>> {
    let rows = conn
        .rows(
            "SELECT id, call_id, leg_no, merchant_id, sub_account_id, dialect, app, facts, prefix, \
             seconds, charged_seconds, price, currency, settled, \
             (SELECT command FROM calls WHERE calls.id = cdrs.call_id), codings, srtp FROM cdrs \
             WHERE id > $1 AND id <= $4 AND (CAST($2 AS BIGINT) IS NULL OR merchant_id = $2) \
             ORDER BY id LIMIT $3",
            args![after, merchant.map(|id| id.0), limit.min(PAGE_MAX), last],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Cdr {
                id: row.int(0)?,
                call: row.call(1)?,
                leg: LegNo(row.small(2)?),
                merchant: MerchantId(row.int(3)?),
                sub_account: row.opt_int(4)?.map(SubAccountId),
                dialect: row.word(5)?,
                app: row.text(6)?,
                called: called(row)?,
                facts: row.json(7)?,
                codings: codings(row)?,
                srtp: row.opt_word(16)?,
                prefix: row.text(8)?,
                seconds: row.small(9)?,
                charged_seconds: row.small(10)?,
                price: row.micros(11)?,
                currency: currency(&row.text(12)?)?,
                settled: row.instant(13)?,
            })
        })
        .collect()
}

/// The codings of a CDR.
fn codings(row: &Row) -> Result<Codecs> {
    let names = row.opt_text(15)?.unwrap_or_default();
    Ok(names.split(',').filter_map(Codec::named).collect())
}

/// Whom the call of a CDR was for.
fn called(row: &Row) -> Result<String> {
    let command = row.opt_text(14)?.map(|text| from_json::<CallCommand>(&text)).transpose()?;
    Ok(command.map(|command| command.called_as_sent().to_owned()).unwrap_or_default())
}
