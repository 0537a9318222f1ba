//! Promises to tell merchants, kept until they are told.
//!
//! A row is written in the transaction that makes its event true. A worker leases rows that are due, each
//! written out once and its bytes kept in the same transaction, sends, and reports. A lease is nothing but a later `due`: a worker that
//! dies gives its rows back by doing nothing. Within a stream (a call and an endpoint) the oldest pending row
//! goes first and the others wait for it; streams never wait for each other.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use facts::command::{CallCommand, Dialect, PushKind};
use facts::payment::Paid;
use facts::record::{CallRecord, LegState, StateChange};
use facts::time::UnixMillis;
use facts::{CallId, MerchantId, Push};

use crate::db::{Batch, Conn, Row, Value, args, json, tuples, word};
use crate::error::{Error, Result};
use crate::rows::{Attempt, OutboxRow, OutboxState, Payload};
use crate::{sms, webhooks};

/// Bytes of an answer that are kept.
const ANSWER_MAX: usize = 4096;
/// Rows of a list at most.
const LIST_MAX: u32 = 1000;

/// Something to tell, before it is addressed.
pub(crate) struct Event<'a> {
    pub(crate) call: CallId,
    pub(crate) merchant: MerchantId,
    pub(crate) pushes: &'a [Push],
    pub(crate) kind: PushKind,
    /// Its name on our own surface.
    pub(crate) name: &'static str,
    pub(crate) sequence: u32,
    pub(crate) at: UnixMillis,
    pub(crate) settings_version: i64,
    /// A [`Payload`], written out; empty for the record of the call, which is kept with the records.
    pub(crate) payload: &'a str,
}

/// Writes a row for each push of the command that wants this kind of event. A repeat writes nothing. A push of our own
/// surface without an address is the merchant's list of events, and goes to webhooks from there.
pub(crate) fn insert(batch: &mut Batch, event: &Event<'_>) -> Result<()> {
    insert_all(batch, event, &[event.sequence])
}

/// The same for several events that differ in nothing but their number, in this order.
pub(crate) fn insert_all(batch: &mut Batch, event: &Event<'_>, numbers: &[u32]) -> Result<()> {
    let mut values: Vec<Value> = Vec::new();
    let mut rows = 0;
    let pushes = event.pushes.iter().enumerate();
    let wanted = pushes.filter(|(_, push)| push.kind == event.kind);
    for ((no, push), sequence) in
        wanted.flat_map(|push| numbers.iter().map(move |number| (push, *number)))
    {
        rows += 1;
        let listed = push.dialect == Dialect::Rest && push.endpoint.is_empty();
        values.extend(args![
            event.call,
            event.merchant.0,
            u32::try_from(no).unwrap_or(u32::MAX),
            sequence,
            word(&push.kind)?,
            push.dialect.word(),
            &push.endpoint,
            origin(&push.endpoint),
            stream(event.call, &push.endpoint),
            &push.context,
            event.payload,
            event.settings_version,
            event.at,
            event.at,
            if listed { "done" } else { "pending" },
        ]);
    }
    if rows == 0 {
        return Ok(());
    }
    let sql = format!(
        "INSERT INTO outbox (call_id, merchant_id, push_no, sequence, kind, dialect, endpoint, origin, \
         stream, context, payload, settings_version, created, due, state) VALUES {} \
         ON CONFLICT (call_id, push_no, sequence) DO NOTHING",
        tuples(rows, 15)
    );
    batch.add(&sql, values);
    let listed = |push: &&Push| {
        push.kind == event.kind && push.dialect == Dialect::Rest && push.endpoint.is_empty()
    };
    match event.pushes.iter().find(listed) {
        Some(push) => webhooks::fan_out(batch, event, (event.name, &push.context)),
        None => Ok(()),
    }
}

/// Writes the rows of a state change.
pub(crate) async fn notify(conn: &mut Conn, change: &StateChange) -> Result<()> {
    let row = conn
        .row(
            "SELECT c.command, s.version FROM calls c CROSS JOIN settings s WHERE c.id = $1",
            args![change.leg.call],
        )
        .await?
        .ok_or(Error::Missing("call"))?;
    let command: CallCommand = row.json(0)?;
    let payload = json(&Payload::State(change.clone()))?;
    let event = Event {
        call: change.leg.call,
        merchant: command.merchant,
        pushes: &command.pushes,
        kind: change.kind(),
        name: change.state.event(),
        sequence: change.sequence,
        at: change.at,
        settings_version: row.int(1)?,
        payload: &payload,
    };
    let mut batch = Batch::default();
    insert(&mut batch, &event)?;
    conn.batch(batch).await
}

/// Writes rows for extensions of which it was told that they ring, and not that they are gone: a crash took the
/// word with it. What is told late says the same under the same number.
pub(crate) async fn let_go(conn: &mut Conn, record: &CallRecord) -> Result<()> {
    let (facts, command) = (&record.facts, &record.facts.command);
    if !command.pushes.iter().any(|push| push.kind == PushKind::Extension) {
        return Ok(());
    }
    let sql = "SELECT payload, settings_version FROM outbox \
               WHERE call_id = $1 AND kind = 'extension' ORDER BY id";
    let mut open: BTreeMap<u32, (StateChange, i64)> = BTreeMap::new();
    for row in &conn.rows(sql, args![facts.call]).await? {
        let Payload::State(change) = row.json(0)? else { continue };
        let of = change.sequence / 4;
        if change.state == LegState::Disconnect {
            open.remove(&of);
        } else {
            open.insert(of, (change, row.int(1)?));
        }
    }
    let mut batch = Batch::default();
    for (change, settings_version) in open.into_values() {
        let change = change.let_go(facts.ended);
        let payload = json(&Payload::State(change.clone()))?;
        let event = Event {
            call: facts.call,
            merchant: command.merchant,
            pushes: &command.pushes,
            kind: PushKind::Extension,
            name: change.state.event(),
            sequence: change.sequence,
            at: change.at,
            settings_version,
            payload: &payload,
        };
        insert(&mut batch, &event)?;
    }
    // Before everything else that settles the call: the record is told last.
    conn.batch(batch).await
}

/// Number of the only push of a payment, apart from those of calls.
const PAYMENT_PUSH: u32 = 0;

/// Promises to tell a merchant's page that it was paid. Each invoice is told once.
pub(crate) async fn paid(
    conn: &mut Conn,
    (merchant, session): (MerchantId, CallId),
    page: &str,
    paid: &Paid,
    at: UnixMillis,
) -> Result<()> {
    let sql = "INSERT INTO outbox (call_id, merchant_id, push_no, sequence, kind, dialect, endpoint, origin, \
               stream, context, payload, settings_version, created, due, state) \
               SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, '', $10, version, $11, $11, 'pending' FROM settings WHERE only_row = 1 \
               ON CONFLICT (call_id, push_no, sequence) DO NOTHING";
    let args = args![
        session,
        merchant.0,
        PAYMENT_PUSH,
        paid.invoice,
        word(&PushKind::Payment)?,
        Dialect::Inoti.word(),
        page,
        origin(page),
        stream(session, page),
        json(&Payload::Paid(paid.clone()))?,
        at
    ];
    conn.exec(sql, args).await.map(drop)
}

/// `https://host:port` of a URL.
fn origin(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    &url[..end]
}

/// Call and endpoint. The endpoint is hashed (FNV-1a): a clash would only order two endpoints of one call.
fn stream(call: CallId, endpoint: &str) -> String {
    let hash = endpoint.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{call}-{hash:016x}")
}

const COLUMNS: &str = "o.id, o.call_id, o.merchant_id, o.kind, o.dialect, o.endpoint, o.context, \
                       CASE WHEN o.payload <> '' THEN o.payload ELSE \
                       (SELECT '{\"record\":' || r.record || '}' FROM records r WHERE r.call_id = o.call_id) END, \
                       o.settings_version, o.body, o.attempts, o.created, o.due, o.state, o.leases, \
                       CASE WHEN o.dialect = 'rest' THEN (SELECT COUNT(*) FROM outbox e \
                       WHERE e.call_id = o.call_id AND e.endpoint = '' AND e.id <= (SELECT l.id FROM outbox l \
                       WHERE l.call_id = o.call_id AND l.endpoint = '' AND l.kind = o.kind \
                       AND l.sequence = o.sequence)) ELSE 0 END, o.webhook_id, o.sequence";

/// The oldest pending row of its stream. In systems 001 and 002 states and records may go to two addresses, which are
/// two streams: there a record also waits until every earlier state of its call was tried once. On our own surface an
/// event that could not be delivered at once steps aside.
const HEAD: &str = "o.state = 'pending' AND NOT EXISTS (SELECT 1 FROM outbox p \
                    WHERE p.stream = o.stream AND p.state = 'pending' AND p.id < o.id \
                    AND (o.dialect <> 'rest' OR p.attempts = 0)) \
                    AND NOT (o.dialect IN ('ytx', 'sipcall') AND o.kind = 'record' AND EXISTS (SELECT 1 FROM outbox s \
                    WHERE s.call_id = o.call_id AND s.kind <> 'record' AND s.state = 'pending' \
                    AND s.attempts = 0 AND s.id < o.id))";

/// Asks for rows that are due.
#[derive(Clone)]
pub struct Lease {
    /// The time it is.
    pub now: UnixMillis,
    /// Rows at most.
    pub limit: u32,
    /// How long they are the worker's.
    pub lease_for: Duration,
    /// Writes a row out.
    pub writer: Writer,
}

/// Writes a row out: the row and the signing key of its merchant (empty when it has none) become bytes, or
/// the reason why there can be none. Pure: the unit it runs in may be run again.
pub type Writer =
    Arc<dyn Fn(&OutboxRow, &str) -> std::result::Result<Vec<u8>, String> + Send + Sync>;

/// A row that is the worker's for a while.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leased {
    /// The row, with the bytes to send unless it cannot be written.
    pub row: OutboxRow,
    /// Why there are no bytes.
    pub unwritable: Option<String>,
    /// What a webhook's push is signed with.
    pub secrets: Vec<String>,
}

/// One visit of the delivery worker: notes what came of rows it had, then leases what is due, going round the
/// servers that are told. The bytes of rows that go out for the first time are written and kept with the lease.
pub(crate) async fn turn(
    conn: &mut Conn,
    reports: &[Report],
    lease: Option<&Lease>,
) -> Result<Vec<Leased>> {
    for report in reports {
        note(conn, report).await?;
    }
    match lease {
        Some(lease) => take(conn, lease).await,
        None => Ok(Vec::new()),
    }
}

/// The rows to be leased, oldest first.
async fn due(conn: &mut Conn, lease: &Lease) -> Result<Vec<Row>> {
    if !conn.is_pg() {
        // What fits needs no turns, and a window costs SQLite three tables of its own. It has one worker.
        let sql = format!(
            "SELECT {COLUMNS} FROM outbox o WHERE o.due <= $1 AND {HEAD} ORDER BY o.due, o.id LIMIT $2"
        );
        let mut rows = conn.rows(&sql, args![lease.now, i64::from(lease.limit) + 1]).await?;
        if rows.len() <= lease.limit as usize {
            let ids = rows.iter().map(|row| row.int(0)).collect::<Result<Vec<_>>>()?;
            let mut places: Vec<_> = ids.into_iter().zip(rows.drain(..)).collect();
            places.sort_by_key(|(id, _)| *id);
            return Ok(places.into_iter().map(|(_, row)| row).collect());
        }
    }
    // Two workers at once: who waits for the other's lock finds the row no longer due.
    let lock = conn.lock("o");
    let sql = format!(
        "SELECT {COLUMNS} FROM outbox o WHERE o.state = 'pending' AND o.due <= $1 AND o.id IN ( \
           SELECT id FROM ( \
             SELECT o.id, o.due, ROW_NUMBER() OVER (PARTITION BY o.origin ORDER BY o.due, o.id) AS turn \
             FROM outbox o WHERE o.due <= $1 AND {HEAD} \
           ) AS ready ORDER BY turn, due, id LIMIT $2 \
         ) ORDER BY o.id{lock}"
    );
    conn.rows(&sql, args![lease.now, lease.limit]).await
}

async fn take(conn: &mut Conn, lease: &Lease) -> Result<Vec<Leased>> {
    let rows = due(conn, lease).await?;
    let until = lease.now + lease.lease_for;
    let mut keys: BTreeMap<MerchantId, String> = BTreeMap::new();
    let mut targets = BTreeMap::new();
    let mut batch = Batch::default();
    let mut leased = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut row = read(row)?;
        row.lease += 1;
        row.leased_until = until;
        let mut unwritable = None;
        let mut secrets = Vec::new();
        if let Some(id) = row.webhook {
            let target = match targets.entry(id) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(webhooks::target(conn, id, lease.now).await?),
            };
            match target {
                Some((url, good)) => (row.endpoint, secrets) = (url.clone(), good.clone()),
                None => unwritable = Some("the webhook is gone".to_owned()),
            }
        }
        if row.body.is_none() && unwritable.is_none() {
            let key = match keys.entry(row.merchant) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(key_of(conn, row.merchant).await?),
            };
            match (lease.writer)(&row, key) {
                Ok(body) => row.body = Some(body),
                Err(reason) => unwritable = Some(reason),
            }
            batch.add(
                "UPDATE outbox SET due = $2, leases = $3, body = $4 WHERE id = $1",
                args![row.id, until, row.lease, row.body.clone()],
            );
        } else {
            batch.add(
                "UPDATE outbox SET due = $2, leases = $3 WHERE id = $1",
                args![row.id, until, row.lease],
            );
        }
        leased.push(Leased { row, unwritable, secrets });
    }
    if !leased.is_empty() {
        conn.batch(batch).await?;
    }
    Ok(leased)
}

async fn key_of(conn: &mut Conn, merchant: MerchantId) -> Result<String> {
    let row = conn.row("SELECT key FROM merchants WHERE id = $1", args![merchant.0]).await?;
    row.map_or(Ok(String::new()), |row| row.text(0))
}

fn read(row: &Row) -> Result<OutboxRow> {
    Ok(OutboxRow {
        id: row.int(0)?,
        call: row.call(1)?,
        merchant: MerchantId(row.int(2)?),
        kind: row.word(3)?,
        dialect: row.word(4)?,
        endpoint: row.text(5)?,
        context: row.text(6)?,
        payload: row.json(7)?,
        settings_version: row.small(8)?,
        body: row.opt_blob(9)?,
        attempts: row.small(10)?,
        created: row.instant(11)?,
        leased_until: row.instant(12)?,
        state: row.word(13)?,
        lease: row.int(14)?,
        sequence: row.small(15)?,
        webhook: row.opt_int(16)?,
        part: row.small(17)?,
    })
}

/// How an attempt came out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum After {
    /// Delivered.
    Done,
    /// Failed; to be tried again then.
    Retry(UnixMillis),
    /// Given up.
    Park,
    /// Given up, and nothing more is to go there.
    Gone,
}

/// What came of a leased row; ends its lease.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Row id.
    pub id: i64,
    /// The lease it ends: the second report of a lease changes nothing.
    pub lease: i64,
    /// What happens next.
    pub after: After,
    /// The attempt, if one was made.
    pub attempt: Option<Attempt>,
    /// The webhook that the row is for, if it is one.
    pub webhook: Option<i64>,
}

async fn note(conn: &mut Conn, report: &Report) -> Result<()> {
    let (state, due) = match report.after {
        After::Done => (OutboxState::Done, None),
        After::Retry(at) => (OutboxState::Pending, Some(at)),
        After::Park | After::Gone => (OutboxState::Parked, None),
    };
    // What is delivered stays delivered, whatever a worker with a lapsed lease reports later; and what was parked
    // while it was sent, because its webhook was disabled, is not sent again by itself.
    if let Some(attempt) = &report.attempt
        && !keep(conn, report, attempt).await?
    {
        return Ok(());
    }
    conn.exec(
        "UPDATE outbox SET state = $2, due = COALESCE($3, due), attempts = attempts + $4 \
         WHERE id = $1 AND state <> 'done' AND NOT (state = 'parked' AND $2 = 'pending')",
        args![report.id, word(&state)?, due, report.attempt.is_some()],
    )
    .await?;
    if let (After::Done, Some(attempt)) = (report.after, &report.attempt) {
        receipt(conn, report.id, &attempt.answer, attempt.at).await?;
    }
    match (report.webhook, &report.attempt) {
        (Some(webhook), Some(attempt)) => {
            webhooks::heard(conn, (webhook, attempt.at), report.after).await
        }
        _ => Ok(()),
    }
}

/// What a page answers to the visit that tells it of a payment goes to the subscriber, where its code says so. Once,
/// however often the visit is made.
async fn receipt(conn: &mut Conn, id: i64, answer: &[u8], at: UnixMillis) -> Result<()> {
    let sql = "SELECT o.sequence, i.merchant_id, i.subscriber FROM outbox o \
               JOIN ussd_invoices i ON i.id = o.sequence AND i.merchant_id = o.merchant_id AND i.trial = 0 \
               JOIN ussd_codes c ON c.code = i.code AND c.merchant_id = i.merchant_id AND c.sms_receipt = 1 \
               WHERE o.id = $1 AND o.kind = $2";
    let kind = word(&PushKind::Payment)?;
    let Some(row) = conn.row(sql, args![id, kind]).await? else { return Ok(()) };
    let Some(text) = sms::receipt_text(answer) else { return Ok(()) };
    let whose = (MerchantId(row.int(1)?), row.text(2)?);
    let once = format!("receipt {}", row.int(0)?);
    sms::insert(conn, &once, (whose.0, &whose.1), &text, (at, at + sms::DAY)).await
}

/// Keeps an attempt; false when it is kept already, or the row is delivered or gone.
async fn keep(conn: &mut Conn, report: &Report, attempt: &Attempt) -> Result<bool> {
    let kept = attempt.answer.len().min(ANSWER_MAX);
    let rows = conn
        .exec(
            "INSERT INTO outbox_attempts (outbox_id, lease, at, request, status, answer, latency_ms) \
             SELECT id, $2, $3, $4, $5, $6, $7 FROM outbox WHERE id = $1 AND state <> 'done' \
             ON CONFLICT (outbox_id, lease) DO NOTHING",
            args![
                report.id,
                report.lease,
                attempt.at,
                &attempt.request,
                attempt.status,
                attempt.answer[..kept].to_vec(),
                attempt.latency_ms
            ],
        )
        .await?;
    Ok(rows == 1)
}

/// Puts a row back whose delivery had ended; none of a webhook that is disabled or gone.
pub(crate) async fn redeliver(conn: &mut Conn, id: i64, at: UnixMillis) -> Result<bool> {
    let sql = "UPDATE outbox SET state = 'pending', due = $2, attempts = 0 \
               WHERE id = $1 AND state <> 'pending' AND endpoint <> '' AND (webhook_id IS NULL \
               OR EXISTS (SELECT 1 FROM webhooks w WHERE w.id = webhook_id AND w.state = 'enabled'))";
    Ok(conn.exec(sql, args![id, at]).await? == 1)
}

pub(crate) async fn attempts(conn: &mut Conn, id: i64) -> Result<Vec<Attempt>> {
    let rows = conn
        .rows(
            "SELECT at, request, status, answer, latency_ms FROM outbox_attempts \
             WHERE outbox_id = $1 ORDER BY id",
            args![id],
        )
        .await?;
    rows.iter().map(|row| attempt(row, 0)).collect()
}

/// The last attempt of every row of a range of ids that has one.
pub(crate) async fn last_attempts(
    conn: &mut Conn,
    (first, last): (i64, i64),
) -> Result<BTreeMap<i64, Attempt>> {
    let rows = conn
        .rows(
            "SELECT outbox_id, at, request, status, answer, latency_ms FROM outbox_attempts \
             WHERE id IN (SELECT MAX(id) FROM outbox_attempts \
             WHERE outbox_id BETWEEN $1 AND $2 GROUP BY outbox_id)",
            args![first, last],
        )
        .await?;
    rows.iter().map(|row| Ok((row.int(0)?, attempt(row, 1)?))).collect()
}

fn attempt(row: &Row, from: usize) -> Result<Attempt> {
    Ok(Attempt {
        at: row.instant(from)?,
        request: row.text(from + 1)?,
        status: row.opt_small(from + 2)?,
        answer: row.opt_blob(from + 3)?.unwrap_or_default(),
        latency_ms: row.small(from + 4)?,
    })
}

/// Rows of which this holds.
pub(crate) async fn select(conn: &mut Conn, of: &str, args: Vec<Value>) -> Result<Vec<OutboxRow>> {
    let rows = conn.rows(&format!("SELECT {COLUMNS} FROM outbox o WHERE {of}"), args).await?;
    rows.iter().map(read).collect()
}

pub(crate) async fn list(
    conn: &mut Conn,
    merchant: Option<MerchantId>,
    state: Option<OutboxState>,
    (after, last): (i64, i64),
    limit: u32,
) -> Result<Vec<OutboxRow>> {
    let state = state.map(|state| word(&state)).transpose()?;
    let sql = format!(
        "SELECT {COLUMNS} FROM outbox o WHERE o.id > $1 \
         AND (CAST($2 AS BIGINT) IS NULL OR o.merchant_id = $2) \
         AND (CAST($3 AS TEXT) IS NULL OR o.state = $3) AND o.id <= $5 ORDER BY o.id LIMIT $4"
    );
    let merchant = merchant.map(|id| id.0);
    let rows = conn.rows(&sql, args![after, merchant, state, limit.min(LIST_MAX), last]).await?;
    rows.iter().map(read).collect()
}

/// How long a delivered notification and its attempts are kept for the callback log.
const DELIVERED_LIFE: Duration = Duration::from_secs(90 * 86_400);

/// Forgets what was delivered long ago, of so many rows behind a place: the place behind them, and how many went.
/// `None` when there are none, or all of them are young.
pub(crate) async fn purge(
    conn: &mut Conn,
    now: UnixMillis,
    (after, most): (i64, u32),
) -> Result<Option<(i64, u64)>> {
    let before = now - DELIVERED_LIFE;
    let sql = "SELECT MAX(id), MIN(created) FROM \
               (SELECT id, created FROM outbox WHERE id > $1 ORDER BY id LIMIT $2) AS span";
    let row = conn.row(sql, args![after, most]).await?.ok_or(Error::Missing("sum"))?;
    let (Some(end), Some(oldest)) = (row.opt_int(0)?, row.opt_int(1)?) else { return Ok(None) };
    if oldest >= before.0 {
        return Ok(None);
    }
    let old = "id > $1 AND id <= $2 AND state = 'done' AND created < $3";
    let attempts = format!(
        "DELETE FROM outbox_attempts WHERE outbox_id IN (SELECT id FROM outbox WHERE {old})"
    );
    conn.exec(&attempts, args![after, end, before]).await?;
    let rows = format!("DELETE FROM outbox WHERE {old}");
    let gone = conn.exec(&rows, args![after, end, before]).await?;
    Ok(Some((end, gone)))
}

pub(crate) async fn next_due(conn: &mut Conn) -> Result<Option<UnixMillis>> {
    let sql = format!("SELECT MIN(o.due) FROM outbox o WHERE {HEAD}");
    let row = conn.row(&sql, args![]).await?;
    Ok(row.map(|row| row.opt_int(0)).transpose()?.flatten().map(UnixMillis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_ends_where_the_path_begins() {
        assert_eq!(origin("https://a.example:8443/x?y"), "https://a.example:8443");
        assert_eq!(origin("http://a.example?y=/"), "http://a.example");
        assert_eq!(origin("nonsense"), "nonsense");
    }
}
