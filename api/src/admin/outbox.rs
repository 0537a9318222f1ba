//! The callback log: what was promised to whom, what was sent, what came back; and sending it again.

use std::collections::BTreeMap;

use axum::extract::{Path, RawQuery, State};
use axum::routing::{get, post};
use axum::{Extension, Router};
use billing::rows::{Attempt, OutboxRow, OutboxState, Payload};
use serde_json::{Value, json};

use super::audit::{Asker, note};
use super::{Asked, Fault, Reply, bad, not_found, ok, store_fault};
use crate::push;
use crate::state::{ApiState, now};

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/admin/v1/outbox", get(list))
        .route("/admin/v1/outbox/{id}", get(show))
        .route("/admin/v1/outbox/{id}/attempts", get(attempts))
        .route("/admin/v1/outbox/{id}/redeliver", post(redeliver))
        .route("/admin/v1/outbox/redeliver", post(redeliver_parked))
}

/// Rows put back by one request at most.
const REDELIVER_MAX: u32 = 1000;

async fn list(State(state): State<ApiState>, RawQuery(query): RawQuery) -> Reply {
    let asked = Asked::read(query.as_deref());
    let (after, limit) = (asked.after()?, asked.limit()?);
    let merchant = asked.merchant(&state).await?;
    let which = asked.word("state", "pending, done or parked")?;
    let rows = state.0.store.outbox(merchant, which, after, limit).await.map_err(store_fault)?;
    let next = (rows.len() >= limit as usize).then(|| rows.last().map(|row| row.id)).flatten();
    let tried = match (rows.first(), rows.last()) {
        (Some(first), Some(last)) => {
            state.0.store.last_attempts(first.id, last.id).await.map_err(store_fault)?
        }
        _ => BTreeMap::new(),
    };
    let items: Vec<Value> = rows.iter().map(|one| row(one, tried.get(&one.id))).collect();
    Ok(ok(&json!({ "items": items, "next": next })))
}

async fn show(State(state): State<ApiState>, Path(id): Path<String>) -> Reply {
    let found = &find(&state, row_id(&id)?).await?;
    let attempts = state.0.store.attempts(found.id).await.map_err(store_fault)?;
    let mut value = row(found, attempts.last());
    value["log"] = attempts.iter().map(|one| attempt(found, one)).collect();
    Ok(ok(&value))
}

async fn find(state: &ApiState, id: i64) -> Result<OutboxRow, Fault> {
    let page = state.0.store.outbox(None, None, id.saturating_sub(1), 1).await;
    let found = page.map_err(store_fault)?.into_iter().find(|row| row.id == id);
    found.ok_or_else(|| not_found("outbox row"))
}

async fn attempts(State(state): State<ApiState>, Path(id): Path<String>) -> Reply {
    let found = find(&state, row_id(&id)?).await?;
    let attempts = state.0.store.attempts(found.id).await.map_err(store_fault)?;
    let items: Vec<Value> = attempts.iter().map(|one| attempt(&found, one)).collect();
    Ok(ok(&json!({ "items": items })))
}

async fn redeliver(
    State(state): State<ApiState>,
    Extension(asker): Extension<Asker>,
    Path(id): Path<String>,
) -> Reply {
    let id = row_id(&id)?;
    if !state.0.store.redeliver(id, now()).await.map_err(store_fault)? {
        return Err(not_found("outbox row that was delivered or given up"));
    }
    state.0.push_wake.notify_one();
    note(&state, asker, "redeliver", json!({ "outbox": id })).await;
    Ok(ok(&json!({ "id": id, "state": "pending" })))
}

fn row_id(text: &str) -> Result<i64, Fault> {
    text.parse().map_err(|_| bad("an outbox id is a number"))
}

/// Puts back all that was given up, of one merchant or of all; in pages, by the cursor in `after`.
async fn redeliver_parked(
    State(state): State<ApiState>,
    Extension(asker): Extension<Asker>,
    RawQuery(query): RawQuery,
) -> Reply {
    let asked = Asked::read(query.as_deref());
    let after = asked.after()?;
    let merchant = asked.merchant(&state).await?;
    let parked = Some(OutboxState::Parked);
    let store = &state.0.store;
    let rows = store.outbox(merchant, parked, after, REDELIVER_MAX).await.map_err(store_fault)?;
    let mut count = 0;
    for row in &rows {
        count += u32::from(store.redeliver(row.id, now()).await.map_err(store_fault)?);
    }
    state.0.push_wake.notify_one();
    if count > 0 {
        let what = json!({ "parked": count, "merchant": merchant });
        note(&state, asker, "redeliver", what).await;
    }
    let full = rows.len() >= REDELIVER_MAX as usize;
    let next = full.then(|| rows.last().map(|row| row.id)).flatten();
    Ok(ok(&json!({ "redelivered": count, "next": next })))
}

fn row(row: &OutboxRow, last: Option<&Attempt>) -> Value {
    let event = match &row.payload {
        Payload::State(change) => json!({
            "leg": change.leg.no.to_string(),
            "state": change.state,
            "sequence": change.sequence,
        }),
        Payload::Record(_) => Value::Null,
        Payload::Campaign(change) => json!({
            "campaign": change.campaign,
            "state": change.turn,
            "sequence": change.sequence,
        }),
        Payload::Text(received) => json!({ "sms": received.id, "keyword": received.keyword }),
        Payload::Paid(paid) => json!({ "invoice": paid.invoice, "factor": paid.factor }),
    };
    json!({
        "id": row.id,
        "call": row.call.to_string(),
        "merchant": row.merchant,
        "kind": row.kind,
        "dialect": row.dialect,
        "endpoint": row.endpoint,
        "state": row.state,
        "attempts": row.attempts,
        "created": row.created,
        "settings_version": row.settings_version,
        "event": event,
        "reason": last.and_then(|attempt| reason(row, attempt)),
        "body": row.body.as_deref().map(String::from_utf8_lossy),
    })
}

fn attempt(row: &OutboxRow, attempt: &Attempt) -> Value {
    json!({
        "at": attempt.at,
        "request": attempt.request,
        "status": attempt.status,
        "reason": reason(row, attempt),
        "answer": String::from_utf8_lossy(&attempt.answer),
        "latency_ms": attempt.latency_ms,
    })
}

/// Why an attempt did not deliver; nothing when it did.
fn reason(row: &OutboxRow, attempt: &Attempt) -> Option<String> {
    match attempt.status {
        Some(status) => push::failure(row, status, &attempt.answer),
        None => Some(String::from_utf8_lossy(&attempt.answer).into_owned()),
    }
}
