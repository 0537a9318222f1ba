//! Messages in voice mailboxes: list, listen, delete. A message is named by the call that left it.

use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::routing::{delete, get};
use axum::{Extension, Router};
use billing::rows::{MailboxCount, VoiceMessage};
use facts::CallId;
use serde_json::json;

use super::audit::{Asker, note};
use super::calls::call_id;
use super::{Asked, Fault, Reply, not_found, ok, shown, store_fault};
use crate::recordings;
use crate::state::ApiState;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/admin/v1/voicemail", get(list))
        .route("/admin/v1/voicemail/{call}", get(show).merge(delete(remove)))
        .route("/admin/v1/voicemail/{call}/sound", get(sound))
}

/// Of one extension or all, of one merchant or all.
async fn list(State(state): State<ApiState>, RawQuery(query): RawQuery) -> Reply {
    let asked = Asked::read(query.as_deref());
    let merchant = asked.merchant(&state).await?;
    let after = match asked.text("after") {
        Some(call) => call_id(&call)?,
        None => CallId(0),
    };
    let limit = asked.limit()?;
    let found = state.0.store.voicemail(asked.text("extension"), merchant, (after, limit)).await;
    let rows = found.map_err(store_fault)?;
    let full = u32::try_from(rows.len()).is_ok_and(|count| count == limit);
    let next = rows.last().filter(|_| full).map(|row| row.call.to_string());
    let items: Vec<_> = rows.iter().map(shown).collect();
    Ok(ok(&json!({ "items": items, "next": next })))
}

async fn show(State(state): State<ApiState>, Path(call): Path<String>) -> Reply {
    Ok(ok(&shown(&message(&state, &call).await?)))
}

/// The sound; whoever operates the switch does not make it a message that was heard.
async fn sound(
    State(state): State<ApiState>,
    Path(call): Path<String>,
    headers: HeaderMap,
) -> Reply {
    let message = message(&state, &call).await?;
    Ok(recordings::file(&state, &message.file, &headers).await)
}

/// The row goes first: a file that nobody names is found by nobody, a row without its file would be played.
async fn remove(
    State(state): State<ApiState>,
    Extension(asker): Extension<Asker>,
    Path(call): Path<String>,
) -> Reply {
    let call = call_id(&call)?;
    let gone = state.0.store.delete_voice_message(call).await.map_err(store_fault)?;
    let gone = gone.ok_or_else(|| not_found("message"))?;
    if let Err(error) = recordings::remove(&state, &gone.file).await {
        tracing::warn!(%call, %error, "the file of a deleted message could not be removed");
    }
    let held = state.0.store.mailbox(gone.mailbox.clone()).await.map_err(store_fault)?;
    let MailboxCount { mailbox, new, old } = held;
    state.0.calls.mailbox_changed(mailbox, new, old);
    let what = json!({ "call": call.to_string(), "extension": gone.mailbox });
    note(&state, asker, "delete_voicemail", what).await;
    Ok(ok(&json!({ "call": call.to_string(), "state": "deleted" })))
}

async fn message(state: &ApiState, call: &str) -> Result<VoiceMessage, Fault> {
    let found = state.0.store.voice_message(call_id(call)?).await.map_err(store_fault)?;
    found.ok_or_else(|| not_found("message"))
}
