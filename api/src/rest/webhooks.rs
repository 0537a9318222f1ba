//! Webhooks of a merchant: made, changed, tried out; what went there and what came of it; sending it again.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use billing::rows::{Attempt, OutboxRow, Payload, Webhook as Row, WebhookChange};
use dialect::rest::{
    ChangedWebhook, Code, Delivery, DeliveryAttempt, FieldError, JSON, NewSecret, NewWebhook, Page,
    Problem, Tested, Webhook, event_id, instant, parse, parse_leniently, unknown_events,
    webhook_secret, webhook_signature,
};
use serde_json::json;

use super::events::happened;
use super::{Asked, Asker, Reply, ok, ours};
use crate::guard::Outgoing;
use crate::state::{ApiState, now};

/// How long the look-up of an address may take; the visit itself looks again.
const LOOKUP_PATIENCE: Duration = Duration::from_millis(500);
/// How long secrets that are replaced are signed with, unless the request says.
const OVERLAP_S: u32 = 86_400;

pub(super) async fn create(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let (new, wrong) = parse_leniently::<NewWebhook>(&asked.body)?;
    checked(state, Some(&new.url), &new.events, wrong).await?;
    let secret = draw()?;
    let of = (new.url, new.events, secret.clone());
    let made = state.0.store.create_webhook(asker.merchant.id, of, now()).await.map_err(ours)?;
    let made = Webhook { secret: Some(secret), ..shown(&made) };
    Ok(ok(StatusCode::CREATED, &made))
}

fn draw() -> Result<String, Problem> {
    billing::random_octets().map(|octets| webhook_secret(&octets)).map_err(ours)
}

/// An address that is visited, and events that there are; `wrong`: what else is wrong with the request.
async fn checked(
    state: &ApiState,
    url: Option<&str>,
    events: &[String],
    mut wrong: Vec<FieldError>,
) -> Result<(), Problem> {
    wrong.extend(unknown_events(events));
    if let Some(url) = url
        && state.0.guard.check(url, LOOKUP_PATIENCE).await.is_err()
    {
        wrong.push(FieldError::new("/url", "is not an address that is visited"));
    }
    if wrong.is_empty() { Ok(()) } else { Err(Problem::invalid(wrong)) }
}

pub(super) async fn list(state: &ApiState, asker: &Asker) -> Reply {
    let rows = state.0.store.webhooks(asker.merchant.id).await.map_err(ours)?;
    let items = rows.iter().map(shown).collect();
    Ok(ok(StatusCode::OK, &Page { items, next: None }))
}

pub(super) async fn show(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    Ok(ok(StatusCode::OK, &shown(&own(state, asker, asked).await?)))
}

pub(super) async fn change(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let id = own(state, asker, asked).await?.id;
    let (new, wrong) = parse_leniently::<ChangedWebhook>(&asked.body)?;
    checked(state, new.url.as_deref(), new.events.as_deref().unwrap_or_default(), wrong).await?;
    let change = WebhookChange { url: new.url, events: new.events, enabled: new.enabled };
    let changed = state.0.store.change_webhook(asker.merchant.id, id, change).await;
    let changed = changed.map_err(ours)?.ok_or_else(missing)?;
    Ok(ok(StatusCode::OK, &shown(&changed)))
}

pub(super) async fn remove(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let id = own(state, asker, asked).await?.id;
    state.0.store.remove_webhook(asker.merchant.id, id).await.map_err(ours)?;
    Ok(ok(StatusCode::OK, &json!({ "id": id.to_string(), "removed": true })))
}

pub(super) async fn rotate(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let id = own(state, asker, asked).await?.id;
    let new: NewSecret =
        if asked.body.is_empty() { NewSecret::default() } else { parse(&asked.body)? };
    let overlap = new.overlap_s.unwrap_or(OVERLAP_S);
    let (secret, at) = (draw()?, now());
    let times = (at, at + Duration::from_secs(overlap.into()));
    let rotated = state.0.store.rotate_webhook(asker.merchant.id, id, secret.clone(), times).await;
    let rotated = rotated.map_err(ours)?.ok_or_else(missing)?;
    Ok(ok(StatusCode::OK, &Webhook { secret: Some(secret), ..shown(&rotated) }))
}

/// Pushes an event that is none, at once; only whether it was taken is told of the answer.
pub(super) async fn test(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let webhook = own(state, asker, asked).await?;
    let at = now();
    let id = format!("evt_test_{}_{}", webhook.id, at.0);
    let body = json!({
        "id": id, "type": "test", "timestamp": instant(at), "sequence": 0, "call": null,
        "campaign": null, "reference": "", "data": {},
    });
    let body = body.to_string().into_bytes();
    let signature = webhook_signature(&webhook.secrets.at(at), &id, at.seconds(), &body);
    let headers = vec![
        ("webhook-id", id),
        ("webhook-timestamp", at.seconds().to_string()),
        ("webhook-signature", signature),
        ("content-type", JSON.to_owned()),
    ];
    let outgoing =
        Outgoing { post: true, url: webhook.url, headers, body, more: Vec::new(), patience: None };
    let started = Instant::now();
    let status = state.0.guard.send(&outgoing, 1024).await.ok().map(|answer| answer.status);
    let latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let delivered = status.is_some_and(|status| (200..300).contains(&status));
    Ok(ok(StatusCode::OK, &Tested { delivered, status, latency_ms }))
}

pub(super) async fn deliveries(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let id = own(state, asker, asked).await?.id;
    let (after, limit) = (asked.after()?, asked.limit()?);
    let rows = state.0.store.deliveries(id, after, limit).await.map_err(ours)?;
    let next = rows.last().map(|row| row.id.to_string());
    let items = rows.iter().map(|row| delivery(row, &[])).collect();
    Ok(ok(StatusCode::OK, &Page { items, next }))
}

pub(super) async fn delivered(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let row = own_delivery(state, asker, asked).await?;
    let attempts = state.0.store.attempts(row.id).await.map_err(ours)?;
    Ok(ok(StatusCode::OK, &delivery(&row, &attempts)))
}

pub(super) async fn redeliver(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let row = own_delivery(state, asker, asked).await?;
    enabled(&own(state, asker, asked).await?)?;
    if !state.0.store.redeliver(row.id, now()).await.map_err(ours)? {
        return Err(Problem::new(Code::NotFound, "it is on its way already"));
    }
    state.0.push_wake.notify_one();
    Ok(ok(StatusCode::ACCEPTED, &json!({ "id": row.id.to_string(), "state": "pending" })))
}

/// All that was given up.
pub(super) async fn redeliver_all(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let webhook = own(state, asker, asked).await?;
    enabled(&webhook)?;
    let id = webhook.id;
    let count = state.0.store.redeliver_parked(id, None, now()).await.map_err(ours)?;
    state.0.push_wake.notify_one();
    Ok(ok(StatusCode::ACCEPTED, &json!({ "redelivered": count })))
}

/// Nothing is sent where nothing is to be sent.
fn enabled(webhook: &Row) -> Result<(), Problem> {
    let words = "the webhook is disabled; enable it first";
    webhook.enabled.then_some(()).ok_or_else(|| Problem::new(Code::WebhookDisabled, words))
}

fn missing() -> Problem {
    Problem::new(Code::NotFound, "no such webhook")
}

async fn own(state: &ApiState, asker: &Asker, asked: &Asked) -> Result<Row, Problem> {
    let id = asked.path.first().and_then(|id| id.parse().ok()).ok_or_else(missing)?;
    let found = state.0.store.webhook(asker.merchant.id, id).await.map_err(ours)?;
    found.ok_or_else(missing)
}

async fn own_delivery(
    state: &ApiState,
    asker: &Asker,
    asked: &Asked,
) -> Result<OutboxRow, Problem> {
    let webhook = own(state, asker, asked).await?.id;
    let missing = || Problem::new(Code::NotFound, "no such delivery");
    let id: i64 = asked.path.get(1).and_then(|id| id.parse().ok()).ok_or_else(missing)?;
    let page = state.0.store.deliveries(webhook, id.saturating_sub(1), 1).await.map_err(ours)?;
    page.into_iter().find(|row| row.id == id).ok_or_else(missing)
}

fn shown(row: &Row) -> Webhook {
    Webhook {
        id: row.id.to_string(),
        url: row.url.clone(),
        events: row.events.clone(),
        enabled: row.enabled,
        reason: row.reason.clone(),
        failing_since: row.failing.map(instant),
        created: instant(row.created),
        secret: None,
    }
}

fn delivery(row: &OutboxRow, attempts: &[Attempt]) -> Delivery {
    let state = serde_json::to_value(row.state).ok();
    let attempt = |one: &Attempt| DeliveryAttempt {
        at: instant(one.at),
        status: one.status,
        latency_ms: one.latency_ms,
    };
    Delivery {
        id: row.id.to_string(),
        event: happened(row).map(|event| event_id(row.call, event)).unwrap_or_default(),
        call: (!matches!(row.payload, Payload::Campaign(_) | Payload::Text(_)))
            .then(|| row.call.to_string()),
        state: state.and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default(),
        attempts: row.attempts,
        created: instant(row.created),
        body: row.body.as_deref().map(|body| String::from_utf8_lossy(body).into_owned()),
        log: attempts.iter().map(attempt).collect(),
    }
}
