//! Calls that are there: seen, ended, played into; their recordings.

use axum::http::StatusCode;
use billing::rows::CallEntry;
use dialect::rest::{Code, FieldError, NewPlay, Page, Problem, ended, open, parse};
use facts::CallId;
use facts::media::RecordedFile;
use facts::sound::{Listeners, Play};
use serde_json::json;

use super::place::{app, audible};
use super::{Asked, Asker, Reply, not_live, ok, ours, silent};
use crate::recordings;
use crate::state::ApiState;

/// Calls that are over, in the order of settlement; or those under way.
pub(super) async fn list(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    match asked.text("status").as_deref() {
        None | Some("ended") => over(state, asker, asked).await,
        Some("open") => live(state, asker).await,
        Some(_) => Err(Problem::new(Code::BadRequest, "`status` is `open` or `ended`")),
    }
}

async fn over(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let (after, limit) = (asked.after()?, asked.limit()?);
    let app = app(&asker.merchant);
    let found = state.0.store.records_of_app(&app, after, limit).await.map_err(ours)?;
    let next = found.last().map(|(place, _)| place.to_string());
    let items = found.iter().map(|(_, record)| ended(record)).collect();
    Ok(ok(StatusCode::OK, &Page { items, next }))
}

/// All of the merchant's that were placed here, oldest first; they fit on a page.
async fn live(state: &ApiState, asker: &Asker) -> Reply {
    let mut items = Vec::new();
    for live in state.0.calls.live().await.map_err(silent)? {
        if live.merchant != asker.merchant.id {
            continue;
        }
        let entry = state.0.store.call(live.call).await.map_err(ours)?;
        let asked_here = |entry: &CallEntry| entry.command.app == app(&asker.merchant);
        if let Some(entry) = entry.filter(|entry| entry.record.is_none() && asked_here(entry)) {
            items.push(open(entry.call, &entry.command, entry.placed, Some(&live)));
        }
    }
    Ok(ok(StatusCode::OK, &Page { items, next: None }))
}

pub(super) async fn show(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let entry = own(state, asker, asked).await?;
    Ok(ok(StatusCode::OK, &shown(state, &entry).await?))
}

async fn shown(state: &ApiState, entry: &CallEntry) -> Result<dialect::rest::Call, Problem> {
    match &entry.record {
        Some(record) => Ok(ended(record)),
        None => {
            let live = state.0.calls.look(entry.call).await.map_err(silent)?;
            Ok(open(entry.call, &entry.command, entry.placed, live.as_ref()))
        }
    }
}

/// A call of the merchant's, by whichever door it came; another one's is not there.
async fn own(state: &ApiState, asker: &Asker, asked: &Asked) -> Result<CallEntry, Problem> {
    let entry = state.0.store.call(asked.call()?).await.map_err(ours)?;
    let own = entry.filter(|entry| entry.command.merchant == asker.merchant.id);
    own.ok_or_else(|| Problem::new(Code::NotFound, "no such call"))
}

/// The same, and it has not ended.
async fn own_live(state: &ApiState, asker: &Asker, asked: &Asked) -> Result<CallId, Problem> {
    let entry = own(state, asker, asked).await?;
    if entry.record.is_some() {
        return Err(Problem::new(Code::NotLive, "the call has ended"));
    }
    Ok(entry.call)
}

pub(super) async fn hang_up(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let call = own_live(state, asker, asked).await?;
    if !state.0.calls.hang_up(call).await.map_err(silent)? {
        return Err(not_live(state, call, "the call is ending"));
    }
    tracing::info!(%call, key = asker.key.id, ip = %asked.ip, "rest: call hung up");
    Ok(ok(StatusCode::ACCEPTED, &json!({ "id": call.to_string(), "status": "ending" })))
}

/// Lays a sound over what one of those who talk hears, or both.
pub(super) async fn play(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let new: NewPlay = parse(&asked.body)?;
    let call = own_live(state, asker, asked).await?;
    let invalid = |error: FieldError| Problem::invalid(vec![error]);
    let clip = new.sound.clip(&asker.merchant.language, "/sound").map_err(invalid)?;
    let heard = audible(state, &clip).await;
    heard.map_err(|words| invalid(FieldError::new("/sound", words)))?;
    let to = new.to.into();
    let play = Play { to, clip: Some(clip), interruptible: new.interruptible };
    playing(state, call, play, true).await
}

/// Ends what is played to both.
pub(super) async fn stop(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let call = own_live(state, asker, asked).await?;
    let play = Play { to: Listeners::Both, clip: None, interruptible: false };
    playing(state, call, play, false).await
}

async fn playing(state: &ApiState, call: CallId, play: Play, playing: bool) -> Reply {
    if !state.0.calls.play(call, play).await.map_err(silent)? {
        return Err(not_live(state, call, "nobody in the call can hear it"));
    }
    Ok(ok(StatusCode::OK, &json!({ "id": call.to_string(), "playing": playing })))
}

/// Pauses or resumes a recording: nothing that is said in between is kept.
pub(super) async fn pause(state: &ApiState, asker: &Asker, asked: &Asked, paused: bool) -> Reply {
    let call = own_live(state, asker, asked).await?;
    if !state.0.calls.pause_recording(call, paused).await.map_err(silent)? {
        return Err(match not_live(state, call, "") {
            here if here.code == Code::NotLive.word() => Problem::new(Code::NotRecorded, ""),
            elsewhere => elsewhere,
        });
    }
    let is = if paused { "paused" } else { "recording" };
    Ok(ok(StatusCode::OK, &json!({ "id": call.to_string(), "recording": is })))
}

/// A finished recording, or the part of it that is asked for.
pub(super) async fn recording(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let missing = || Problem::new(Code::NotFound, "no such recording");
    let entry = own(state, asker, asked).await?;
    let nth: usize = asked.path.get(1).and_then(|nth| nth.parse().ok()).ok_or_else(missing)?;
    let record = entry.record.as_ref().ok_or_else(missing)?;
    let mut files = record.facts.recording.iter().flat_map(RecordedFile::all);
    let file = nth.checked_sub(1).and_then(|nth| files.nth(nth)).ok_or_else(missing)?;
    let response = recordings::file(state, &file.file, &asked.headers).await;
    match response.status() {
        StatusCode::NOT_FOUND => Err(missing()),
        StatusCode::INTERNAL_SERVER_ERROR => Err(Problem::new(Code::Internal, "")),
        _ => Ok(response),
    }
}
