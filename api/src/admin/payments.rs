//! Invoices of menus for the operator: what was paid, by which ways, and giving it back.

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Extension, Router};
use billing::payments::{Invoice, InvoiceState, InvoicesAsked};
use billing::sms::SmsAsked;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::audit::{Asker, note};
use super::{Asked, Fault, Reply, bad, fault, not_found, ok, page, shown, store_fault};
use crate::door::answer;
use crate::payments::{Refunded, by_hand, refund};
use crate::sms::REPLIES;
use crate::state::{ApiState, now};

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/admin/v1/ussd-invoices", get(list))
        .route("/admin/v1/payments-due", get(due))
        .route("/admin/v1/ussd-invoices/{id}", get(show))
        .route("/admin/v1/ussd-invoices/{id}/refund", post(give_back))
        .route("/admin/v1/sms", get(messages))
        .route("/admin/v1/sms/inbound", get(inbound))
        .route("/admin/v1/sms/inbound/{id}/approve", post(approve))
}

async fn list(State(state): State<ApiState>, RawQuery(query): RawQuery) -> Reply {
    let asked = Asked::read(query.as_deref());
    let (after, limit) = (asked.after()?, asked.limit()?);
    let states = "open, paid, cancelled, expired, refunding or refunded";
    let which = asked.word("state", states)?;
    let merchant = asked.merchant(&state).await?;
    let odd = asked.flag("odd");
    let which = InvoicesAsked { merchant, state: which, odd, after, limit };
    let rows = state.0.store.invoices(which).await.map_err(store_fault)?;
    Ok(page(&rows, limit, |row| row.id))
}

/// What merchants are due of payments: money that gateways have and the operator owes.
async fn due(State(state): State<ApiState>, RawQuery(query): RawQuery) -> Reply {
    let only = Asked::read(query.as_deref()).merchant(&state).await?;
    let store = &state.0.store;
    let mut items = Vec::new();
    for row in store.merchants().await.map_err(store_fault)? {
        if only.is_none_or(|id| id == row.id) {
            let rials = store.payments_due(row.id).await.map_err(store_fault)?;
            items.push(json!({ "merchant": row.name, "rials": rials }));
        }
    }
    Ok(ok(&json!({ "items": items })))
}

async fn find(state: &ApiState, id: &str) -> Result<Invoice, Fault> {
    let id = id.parse().map_err(|_| bad("the id of an invoice is a number"))?;
    let found = state.0.store.invoice(id).await.map_err(store_fault)?;
    found.ok_or_else(|| not_found("invoice"))
}

async fn show(State(state): State<ApiState>, Path(id): Path<String>) -> Reply {
    let invoice = find(&state, &id).await?;
    let attempts = state.0.store.attempts_of(invoice.id).await.map_err(store_fault)?;
    let mut value = shown(&invoice);
    value["attempts"] = attempts.iter().map(shown).collect();
    let rounds = state.0.store.refunds_of(invoice.id).await.map_err(store_fault)?;
    value["given_back"] = rounds.iter().map(shown).collect();
    Ok(ok(&value))
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct How {
    by_hand: bool,
}

async fn give_back(
    State(state): State<ApiState>,
    Extension(asker): Extension<Asker>,
    Path(id): Path<String>,
    body: Bytes,
) -> Reply {
    let how = match body.trim_ascii() {
        b"" => How::default(),
        body => serde_json::from_slice(body).map_err(|error| bad(error.to_string()))?,
    };
    let id = find(&state, &id).await?.id;
    let came = if how.by_hand { by_hand(&state, id).await } else { refund(&state, id).await };
    let came = came.map_err(store_fault)?;
    let conflict = |code, words: String| Err(fault(StatusCode::CONFLICT, code, words));
    match came {
        Refunded::Yes(invoice) => {
            let what = json!({ "invoice": id, "by_hand": how.by_hand });
            note(&state, asker, "refund", what).await;
            Ok(ok(&shown(&invoice)))
        }
        Refunded::NotPaid(invoice) => {
            let stands = shown(&invoice.state);
            conflict("not_paid", format!("there is nothing to give back: the invoice is {stands}"))
        }
        Refunded::UnderWay(_) if how.by_hand => conflict(
            "under_way",
            "the gateway is being asked to give the money back: by hand it would go back twice"
                .to_owned(),
        ),
        Refunded::UnderWay(invoice) => {
            let said = "the gateway is being asked already";
            let body = json!({ "id": id, "state": invoice.state, "said": said });
            Ok(answer(StatusCode::ACCEPTED, "application/json", body.to_string()))
        }
        Refunded::Refused(said) => conflict("refused", format!("the gateway refused: {said}")),
        Refunded::ByHand => conflict(
            "by_hand",
            "this gateway is not asked from here: give the money back there, then say \"by_hand\": true"
                .to_owned(),
        ),
        Refunded::Later(said) => {
            let body = json!({ "id": id, "state": InvoiceState::Refunding, "said": said });
            note(&state, asker, "refund", json!({ "invoice": id, "by_hand": false })).await;
            Ok(answer(StatusCode::ACCEPTED, "application/json", body.to_string()))
        }
    }
}

async fn messages(State(state): State<ApiState>, RawQuery(query): RawQuery) -> Reply {
    let asked = Asked::read(query.as_deref());
    let (after, limit) = (asked.after()?, asked.limit()?);
    let which = asked.word("state", "pending, sent, delivered, undelivered or failed")?;
    let merchant = asked.merchant(&state).await?;
    let which = SmsAsked { merchant, state: which, after, limit };
    let rows = state.0.store.sms(which).await.map_err(store_fault)?;
    let span = rows.first().zip(rows.last()).map(|(first, last)| (first.id, last.id));
    let parts = match span {
        Some(span) => state.0.store.sms_parts(span).await.map_err(store_fault)?,
        None => Vec::new(),
    };
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            let mut value = shown(row);
            value["receipts"] = parts.iter().filter(|part| part.sms == row.id).map(shown).collect();
            value
        })
        .collect();
    Ok(page(&told, limit, |row| row["id"].as_i64().unwrap_or_default()))
}

async fn inbound(State(state): State<ApiState>, RawQuery(query): RawQuery) -> Reply {
    let asked = Asked::read(query.as_deref());
    let (after, limit) = (asked.after()?, asked.limit()?);
    let merchant = asked.merchant(&state).await?;
    let rows = state.0.store.sms_inbound(merchant, after, limit).await.map_err(store_fault)?;
    Ok(page(&rows, limit, |row| row.id))
}

/// A sign-up by short message is taken: its account works, and its owner is told.
async fn approve(
    State(state): State<ApiState>,
    Extension(asker): Extension<Asker>,
    Path(id): Path<String>,
) -> Reply {
    let id = id.parse().map_err(|_| bad("the id of a message is a number"))?;
    let done = state.0.store.approve_sms(id, REPLIES, now()).await.map_err(store_fault)?;
    let row = done.ok_or_else(|| not_found("sign-up"))?;
    state.0.sms_wake.notify_one();
    state.0.calls.settings_changed();
    note(&state, asker, "approve", json!({ "sms_in": id, "account": row.account })).await;
    Ok(ok(&shown(&row)))
}
