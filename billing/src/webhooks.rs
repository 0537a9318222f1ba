//! Where events of `/v1` are pushed: addresses, what is pushed there, what it is signed with; and the list of events.
//!
//! A call of `/v1` promises its events to its merchant's list, which is a row of the outbox without an address. The
//! transaction that writes one of these also writes a row for each webhook that wants it.

use std::time::Duration;

use facts::{CallId, MerchantId, PushKind, UnixMillis};

use crate::db::{Batch, Conn, Row, Value, args, json, word};
use crate::error::{Constraint, Error, Result};
use crate::once::Once;
use crate::outbox::{self, Event};
use crate::rows::{OutboxRow, Secret, Secrets, Webhook, WebhookChange};

/// Webhooks of one merchant at most.
const WEBHOOKS_MAX: i64 = 20;
/// Secrets of a webhook at most.
const SECRETS_MAX: usize = 5;
/// A webhook to which nothing could be delivered for so long is disabled.
const FAILING_MAX: Duration = Duration::from_secs(120 * 3600);
/// All events, as a filter.
pub(crate) const ALL: &str = "*";

const WEBHOOK: &str =
    "SELECT id, merchant_id, url, events, secrets, state, reason, failing, created FROM webhooks";

/// Events as a filter is kept.
fn filter(events: &[String]) -> String {
    if events.is_empty() { ALL.to_owned() } else { format!(" {} ", events.join(" ")) }
}

/// Makes a webhook. The same `once` makes one.
pub(crate) async fn create(
    conn: &mut Conn,
    (once, at): (&Once, UnixMillis),
    merchant: MerchantId,
    (url, events, secret): (&str, &[String], &str),
) -> Result<Webhook> {
    let lock = conn.lock("m");
    let sql = format!("SELECT m.id FROM merchants m WHERE m.id = $1{lock}");
    conn.row(&sql, args![merchant.0]).await?.ok_or(Error::Missing("merchant"))?;
    let sql = "SELECT COUNT(*) FROM webhooks WHERE merchant_id = $1 AND once <> $2";
    let there = conn.row(sql, args![merchant.0, once.as_str()]).await?;
    if there.map_or(Ok(0), |row| row.int(0))? >= WEBHOOKS_MAX {
        return Err(Error::Conflict(Constraint::Webhooks));
    }
    let secrets = json(&[Secret { secret: secret.to_owned(), until: None }])?;
    conn.exec(
        "INSERT INTO webhooks (merchant_id, url, events, secrets, state, created, once) \
         VALUES ($1, $2, $3, $4, 'enabled', $5, $6) ON CONFLICT (once) DO NOTHING",
        args![merchant.0, url, filter(events), secrets, at, once.as_str()],
    )
    .await?;
    let row = conn.row(&format!("{WEBHOOK} WHERE once = $1"), args![once.as_str()]).await?;
    row.as_ref().map(read).transpose()?.ok_or(Error::Missing("row just inserted"))
}

/// A webhook of a merchant.
pub(crate) async fn find(
    conn: &mut Conn,
    merchant: MerchantId,
    id: i64,
) -> Result<Option<Webhook>> {
    let sql = format!("{WEBHOOK} WHERE id = $1 AND merchant_id = $2");
    conn.row(&sql, args![id, merchant.0]).await?.as_ref().map(read).transpose()
}

/// All of a merchant.
pub(crate) async fn list(conn: &mut Conn, merchant: MerchantId) -> Result<Vec<Webhook>> {
    let sql = format!("{WEBHOOK} WHERE merchant_id = $1 ORDER BY id");
    conn.rows(&sql, args![merchant.0]).await?.iter().map(read).collect()
}

/// Changes what is given. What is enabled anew has no failures behind it.
pub(crate) async fn change(
    conn: &mut Conn,
    merchant: MerchantId,
    id: i64,
    change: &WebhookChange,
) -> Result<Option<Webhook>> {
    let state = change.enabled.map(|on| if on { "enabled" } else { "disabled" });
    let fresh = change.enabled == Some(true);
    conn.exec(
        "UPDATE webhooks SET url = COALESCE($3, url), events = COALESCE($4, events), \
         state = COALESCE($5, state), reason = CASE WHEN $6 = 1 THEN '' ELSE reason END, \
         failing = CASE WHEN $6 = 1 THEN NULL ELSE failing END WHERE id = $1 AND merchant_id = $2",
        args![
            id,
            merchant.0,
            change.url.clone(),
            change.events.as_deref().map(filter),
            state,
            i64::from(fresh)
        ],
    )
    .await?;
    if change.enabled == Some(false) {
        park(conn, id).await?;
    }
    find(conn, merchant, id).await
}

/// Removes one; what was not delivered there is parked. False when there is none.
pub(crate) async fn remove(conn: &mut Conn, merchant: MerchantId, id: i64) -> Result<bool> {
    let sql = "DELETE FROM webhooks WHERE id = $1 AND merchant_id = $2";
    let gone = conn.exec(sql, args![id, merchant.0]).await? == 1;
    if gone {
        park(conn, id).await?;
    }
    Ok(gone)
}

async fn park(conn: &mut Conn, id: i64) -> Result<()> {
    let sql = "UPDATE outbox SET state = 'parked' WHERE webhook_id = $1 AND state = 'pending'";
    conn.exec(sql, args![id]).await?;
    Ok(())
}

/// Adds a secret; those before it are good until then. A repeat adds nothing.
pub(crate) async fn rotate(
    conn: &mut Conn,
    (merchant, id): (MerchantId, i64),
    secret: &str,
    (now, until): (UnixMillis, UnixMillis),
) -> Result<Option<Webhook>> {
    let lock = conn.lock("w");
    let sql =
        format!("SELECT w.secrets FROM webhooks w WHERE w.id = $1 AND w.merchant_id = $2{lock}");
    let Some(row) = conn.row(&sql, args![id, merchant.0]).await? else { return Ok(None) };
    let mut secrets: Vec<Secret> = row.json(0)?;
    if !secrets.iter().any(|known| known.secret == secret) {
        secrets.retain(|known| known.is_good(now));
        for known in &mut secrets {
            known.until = Some(known.until.unwrap_or(until.0).min(until.0));
        }
        secrets.insert(0, Secret { secret: secret.to_owned(), until: None });
        secrets.truncate(SECRETS_MAX);
        let sql = "UPDATE webhooks SET secrets = $2 WHERE id = $1";
        conn.exec(sql, args![id, json(&secrets)?]).await?;
    }
    find(conn, merchant, id).await
}

/// Where a webhook is, and what it is signed with at `now`; `None` when it is gone.
pub(crate) async fn target(
    conn: &mut Conn,
    id: i64,
    now: UnixMillis,
) -> Result<Option<(String, Vec<String>)>> {
    let row = conn.row("SELECT url, secrets FROM webhooks WHERE id = $1", args![id]).await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some((row.text(0)?, row.json::<Secrets>(1)?.at(now))))
}

/// Writes a row for each webhook that wants an event. A repeat writes nothing.
pub(crate) fn fan_out(
    batch: &mut Batch,
    event: &Event<'_>,
    (name, context): (&str, &str),
) -> Result<()> {
    // Two kinds of events of a call count from 0, so each has its own number of a push.
    let kind_no = i64::from(event.kind == PushKind::Record);
    let values: Vec<Value> = args![
        event.call,
        event.merchant.0,
        kind_no,
        event.sequence,
        word(&event.kind)?,
        format!("{}-w", event.call),
        context,
        event.payload,
        event.settings_version,
        event.at,
        format!("% {name} %")
    ];
    batch.add(
        "INSERT INTO outbox (call_id, merchant_id, push_no, sequence, kind, dialect, endpoint, origin, \
         stream, context, payload, settings_version, created, due, state, webhook_id) \
         SELECT CAST($1 AS BIGINT), w.merchant_id, 1000 + 2 * w.id + CAST($3 AS BIGINT), \
         CAST($4 AS BIGINT), CAST($5 AS TEXT), 'rest', w.url, w.url, CAST($6 AS TEXT) || w.id, \
         CAST($7 AS TEXT), CAST($8 AS TEXT), CAST($9 AS BIGINT), CAST($10 AS BIGINT), \
         CAST($10 AS BIGINT), 'pending', w.id FROM webhooks w \
         WHERE w.merchant_id = $2 AND w.state = 'enabled' AND (w.events = '*' OR w.events LIKE $11) \
         ON CONFLICT (call_id, push_no, sequence) DO NOTHING",
        values,
    );
    Ok(())
}

/// What came of a push says how its webhook does.
pub(crate) async fn heard(
    conn: &mut Conn,
    (id, at): (i64, UnixMillis),
    after: outbox::After,
) -> Result<()> {
    match after {
        outbox::After::Done => {
            let sql = "UPDATE webhooks SET failing = NULL WHERE id = $1 AND failing IS NOT NULL";
            conn.exec(sql, args![id]).await?;
        }
        outbox::After::Gone => disable(conn, id, "the address answered 410 Gone").await?,
        outbox::After::Retry(_) | outbox::After::Park => {
            let sql = "UPDATE webhooks SET failing = $2 WHERE id = $1 AND failing IS NULL";
            conn.exec(sql, args![id, at]).await?;
            let sql = "SELECT 1 FROM webhooks WHERE id = $1 AND failing < $2 AND state = 'enabled'";
            if conn.row(sql, args![id, at - FAILING_MAX]).await?.is_some() {
                disable(conn, id, "nothing could be delivered for five days").await?;
            }
        }
    }
    Ok(())
}

async fn disable(conn: &mut Conn, id: i64, reason: &str) -> Result<()> {
    let sql = "UPDATE webhooks SET state = 'disabled', reason = $2 WHERE id = $1";
    conn.exec(sql, args![id, reason]).await?;
    park(conn, id).await
}

/// Whether anything is behind a place in a merchant's list of events.
pub(crate) async fn has_events(conn: &mut Conn, merchant: MerchantId, after: i64) -> Result<bool> {
    let sql =
        "SELECT 1 FROM outbox o WHERE o.merchant_id = $1 AND o.endpoint = '' AND o.id > $2 LIMIT 1";
    Ok(conn.row(sql, args![merchant.0, after]).await?.is_some())
}

/// The merchant's list of events behind a place in it, and up to another one.
pub(crate) async fn events(
    conn: &mut Conn,
    merchant: MerchantId,
    (after, last): (i64, i64),
    limit: u32,
) -> Result<Vec<OutboxRow>> {
    let of = "o.merchant_id = $1 AND o.endpoint = '' AND o.id > $2 AND o.id <= $4 \
              ORDER BY o.id LIMIT $3";
    outbox::select(conn, of, args![merchant.0, after, limit, last]).await
}

/// The end of that list, up to a place.
pub(crate) async fn last_event(conn: &mut Conn, merchant: MerchantId, last: i64) -> Result<i64> {
    let sql = "SELECT MAX(id) FROM outbox WHERE merchant_id = $1 AND endpoint = '' AND id <= $2";
    let row = conn.row(sql, args![merchant.0, last]).await?;
    Ok(row.map(|row| row.opt_int(0)).transpose()?.flatten().unwrap_or_default())
}

/// What was to be pushed to a webhook, behind a place in that list, and up to another one.
pub(crate) async fn deliveries(
    conn: &mut Conn,
    webhook: i64,
    (after, last): (i64, i64),
    limit: u32,
) -> Result<Vec<OutboxRow>> {
    let of = "o.webhook_id = $1 AND o.id > $2 AND o.id <= $4 ORDER BY o.id LIMIT $3";
    outbox::select(conn, of, args![webhook, after, limit, last]).await
}

/// Puts back what was given up of a webhook that is enabled, of one call or of all; how many.
pub(crate) async fn redeliver_parked(
    conn: &mut Conn,
    webhook: i64,
    call: Option<CallId>,
    at: UnixMillis,
) -> Result<u64> {
    let sql = "UPDATE outbox SET state = 'pending', due = $2, attempts = 0 WHERE webhook_id = $1 \
               AND state = 'parked' AND (CAST($3 AS BIGINT) IS NULL OR call_id = $3) \
               AND EXISTS (SELECT 1 FROM webhooks w WHERE w.id = $1 AND w.state = 'enabled')";
    conn.exec(sql, args![webhook, at, call.map(CallId::as_i64)]).await
}

fn read(row: &Row) -> Result<Webhook> {
    let events = row.text(3)?;
    Ok(Webhook {
        id: row.int(0)?,
        merchant: MerchantId(row.int(1)?),
        url: row.text(2)?,
        events: events.split_whitespace().filter(|name| *name != ALL).map(str::to_owned).collect(),
        secrets: row.json(4)?,
        enabled: row.text(5)? == "enabled",
        reason: row.text(6)?,
        failing: row.opt_int(7)?.map(UnixMillis),
        created: row.instant(8)?,
    })
}
