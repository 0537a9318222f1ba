//! Live calls, calls by id, registrations.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Extension, Router};
use facts::CallId;
use facts::media::Prompt;
use facts::ports::Silent;
use facts::sound::{Clip, Listeners, Play, Say, Spoken};
use serde::Deserialize;
use serde_json::json;

use super::audit::{Asker, note};
use super::objects::body;
use super::{Fault, Reply, bad, fault, not_found, ok, shown, store_fault};
use crate::state::ApiState;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/admin/v1/calls", get(live))
        .route("/admin/v1/calls/{call}", get(show).merge(delete(hang_up)))
        .route("/admin/v1/calls/{call}/hangup", post(hang_up))
        .route("/admin/v1/calls/{call}/recording/{order}", post(recording))
        .route("/admin/v1/calls/{call}/play", post(play).delete(stop))
        .route("/admin/v1/bindings", get(bindings))
        .route("/admin/v1/carriers", get(carriers))
        .route("/admin/v1/bans", get(bans))
        .route("/admin/v1/bans/{address}", delete(lift))
        .route("/admin/v1/explain/{number}", get(explain))
}

/// The live calls, oldest first.
async fn live(State(state): State<ApiState>) -> Reply {
    let live = state.0.calls.live().await.map_err(silent)?;
    let items: Vec<_> = live.iter().map(shown).collect();
    Ok(ok(&json!({ "items": items })))
}

/// What is known of a call: what was asked for, how it stands if it is live, its record if it is settled.
async fn show(State(state): State<ApiState>, Path(call): Path<String>) -> Reply {
    let call = call_id(&call)?;
    let entry = state.0.store.call(call).await.map_err(store_fault)?;
    let entry = entry.ok_or_else(|| not_found("call"))?;
    let live = state.0.calls.look(call).await.map_err(silent)?;
    let mut value = shown(&entry);
    value["live"] = live.map_or(serde_json::Value::Null, |live| shown(&live));
    Ok(ok(&value))
}

async fn hang_up(
    State(state): State<ApiState>,
    Extension(asker): Extension<Asker>,
    Path(call): Path<String>,
) -> Reply {
    let call = call_id(&call)?;
    if state.0.calls.hang_up(call).await.map_err(silent)? {
        tracing::info!(%call, "admin: call hung up");
        note(&state, asker, "hang_up", json!({ "call": call.to_string() })).await;
        return Ok(ok(&json!({ "call": call.to_string(), "state": "ending" })));
    }
    Err(fault(StatusCode::NOT_FOUND, "not_live", "no such live call"))
}

/// Pauses or resumes a recording: nothing that is said in between is kept.
async fn recording(
    State(state): State<ApiState>,
    Extension(asker): Extension<Asker>,
    Path((call, order)): Path<(String, String)>,
) -> Reply {
    let call = call_id(&call)?;
    let paused = match order.as_str() {
        "pause" => true,
        "resume" => false,
        _ => return Err(bad("a recording is told to `pause` or to `resume`")),
    };
    if state.0.calls.pause_recording(call, paused).await.map_err(silent)? {
        note(&state, asker, &format!("recording_{order}"), json!({ "call": call.to_string() }))
            .await;
        let is = if paused { "paused" } else { "recording" };
        return Ok(ok(&json!({ "call": call.to_string(), "recording": is })));
    }
    Err(fault(StatusCode::NOT_FOUND, "not_recorded", "no such call is being recorded"))
}

/// What is asked to be played: one of `name`, `url` and `say`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    to: Listeners,
    name: Option<String>,
    url: Option<String>,
    say: Option<Vec<Spoken>>,
    #[serde(default)]
    language: String,
    #[serde(default)]
    interruptible: bool,
}

impl Asked {
    fn clip(self) -> Result<Play, Fault> {
        let Asked { to, name, url, say, language, interruptible } = self;
        let clip = match (name, url, say) {
            (Some(name), None, None) => Clip::Prompt(Prompt { name, language }),
            (None, Some(url), None) => Clip::Url(url),
            (None, None, Some(parts)) if (1..=Say::PARTS_MAX).contains(&parts.len()) => {
                Clip::Say(Say { language, parts })
            }
            (None, None, Some(_)) => return Err(bad("`say` is a list of 1 to 32 parts")),
            _ => return Err(bad("one of `name`, `url` and `say` is played")),
        };
        Ok(Play { to, clip: Some(clip), interruptible })
    }
}

/// Lays a sound over what one of those who talk hears, or both.
async fn play(
    State(state): State<ApiState>,
    Extension(asker): Extension<Asker>,
    Path(call): Path<String>,
    request: Request,
) -> Reply {
    let call = call_id(&call)?;
    let play = body::<Asked>(&state, request).await?.clip()?;
    if let Some(Clip::Url(url)) = &play.clip {
        state
            .0
            .guard
            .check(url, LOOKUP_PATIENCE)
            .await
            .map_err(|_| bad("not an address that is visited"))?;
    }
    if let Some(clip) = &play.clip {
        state.0.calls.playable(clip).map_err(bad)?;
    }
    // What is said, and to where an address leads, may be secret.
    let kind = match &play.clip {
        Some(Clip::Prompt(_)) | None => "name",
        Some(Clip::Url(_)) => "url",
        Some(Clip::Say(_)) => "say",
    };
    if state.0.calls.play(call, play).await.map_err(silent)? {
        note(&state, asker, "play", json!({ "call": call.to_string(), "what": kind })).await;
        return Ok(ok(&json!({ "call": call.to_string(), "playing": true })));
    }
    Err(unheard())
}

/// Ends what is played to both.
async fn stop(
    State(state): State<ApiState>,
    Extension(asker): Extension<Asker>,
    Path(call): Path<String>,
) -> Reply {
    let call = call_id(&call)?;
    let play = Play { to: Listeners::Both, clip: None, interruptible: false };
    if state.0.calls.play(call, play).await.map_err(silent)? {
        note(&state, asker, "play_stop", json!({ "call": call.to_string() })).await;
        return Ok(ok(&json!({ "call": call.to_string(), "playing": false })));
    }
    Err(unheard())
}

/// How long the look-up of an address may take; the visit itself looks again.
const LOOKUP_PATIENCE: Duration = Duration::from_millis(500);

fn unheard() -> Fault {
    fault(StatusCode::NOT_FOUND, "not_live", "nobody in such a call can hear it")
}

async fn bindings(State(state): State<ApiState>) -> Reply {
    let bindings = state.0.calls.bindings().await;
    let items: Vec<_> = bindings
        .into_iter()
        .map(|(extension, contact, seconds)| {
            json!({ "extension": extension, "contact": contact, "expires_s": seconds })
        })
        .collect();
    Ok(ok(&json!({ "items": items })))
}

/// How each trunk stands: legs on it, our registration there, its health.
async fn carriers(State(state): State<ApiState>) -> Reply {
    let trunks = state.0.calls.trunks().await.ok_or_else(busy)?;
    let items: Vec<_> = trunks.iter().map(shown).collect();
    Ok(ok(&json!({ "items": items })))
}

/// Sources that are not listened to.
async fn bans(State(state): State<ApiState>) -> Reply {
    let bans = state.0.calls.bans().await.ok_or_else(busy)?;
    let items: Vec<_> = bans.iter().map(shown).collect();
    Ok(ok(&json!({ "items": items })))
}

/// Listens to an address again.
async fn lift(
    State(state): State<ApiState>,
    Extension(asker): Extension<Asker>,
    Path(address): Path<String>,
) -> Reply {
    let Ok(address) = address.parse::<IpAddr>() else {
        return Err(bad("an IPv4 or IPv6 address was expected"));
    };
    if state.0.calls.lift(address).await.ok_or_else(busy)? {
        note(&state, asker, "lift_ban", json!({ "address": address.to_string() })).await;
        return Ok(ok(&json!({ "address": address.to_string(), "state": "free" })));
    }
    Err(not_found("ban"))
}

/// Where a number would go at this moment: every route whose prefix fits, and why it is tried or not.
async fn explain(State(state): State<ApiState>, Path(number): Path<String>) -> Reply {
    let explained = state.0.calls.explain(number).await.ok_or_else(busy)?;
    let explanation = explained.map_err(bad)?;
    let mut value = shown(&explanation);
    let words = explanation.candidates.iter().map(|candidate| candidate.verdict.to_string());
    let items = value["candidates"].as_array_mut().into_iter().flatten();
    for (item, words) in items.zip(words) {
        item["words"] = words.into();
    }
    Ok(ok(&value))
}

#[allow(clippy::needless_pass_by_value, reason = "the shape map_err wants")]
fn silent(_: Silent) -> Fault {
    busy()
}

fn busy() -> Fault {
    fault(StatusCode::SERVICE_UNAVAILABLE, "busy", "the switch did not answer in time")
}

pub(super) fn call_id(text: &str) -> Result<CallId, Fault> {
    text.parse().map_err(|_| bad("a call id is 19 digits"))
}
