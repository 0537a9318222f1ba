//! Lines to networks by SMPP: how they stand, and a message by hand to see that one works.

use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use facts::sms::{Sent, Text};
use serde::Deserialize;
use serde_json::json;

use super::audit::{Asker, note};
use super::objects::body;
use super::{Reply, fault, not_found, ok, shown, store_fault};
use crate::state::{ApiState, now};

/// How long a line may take: less than a request may.
const PATIENCE: Duration = Duration::from_secs(40);
/// Characters of a message that is sent by hand, at most.
const TEXT_MAX: usize = 2_000;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/admin/v1/smpp", get(links))
        .route("/admin/v1/smpp/{name}/messages", post(send))
}

async fn links(State(state): State<ApiState>) -> Response {
    let items: Vec<_> = state.0.texts.links().iter().map(shown).collect();
    ok(&json!({ "items": items }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    to: String,
    text: String,
    #[serde(default)]
    from: String,
}

/// Sends one message by one line, once: it is in no list, and nobody pays for it.
async fn send(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    Extension(asker): Extension<Asker>,
    request: Request,
) -> Reply {
    let asked: Asked = body(&state, request).await?;
    let settings = state.0.settings.current(&state.0.store).await.map_err(store_fault)?;
    let wrong = |words: &str| fault(StatusCode::UNPROCESSABLE_ENTITY, "bad_message", words);
    let to = settings.plan.parse(&asked.to).map_err(|_| wrong("to: not a telephone number"))?;
    let length = asked.text.chars().count();
    if length == 0 || length > TEXT_MAX {
        return Err(wrong("text: 1 to 2000 characters"));
    }
    // Its time stands for the row that it has not: below zero, where rows are not.
    let id = -now().0;
    let to = to.digits().to_owned();
    let text = Text { id, from: asked.from, to, text: asked.text, until: None };
    let mut what = json!({ "link": name, "from": text.from, "to": text.to });
    let came = tokio::time::timeout(PATIENCE, state.0.texts.by_link(name, text)).await;
    let came = came.unwrap_or_else(|_| Sent::Begun("no answer in time".to_owned()));
    // Also of what was refused some parts may have left. What it says stands nowhere.
    let outcome = match &came {
        Sent::NotHere => None,
        Sent::Taken(_) => Some("sent"),
        Sent::Later(_) | Sent::Begun(_) => Some("later"),
        Sent::Refused(_) => Some("refused"),
    };
    if let Some(outcome) = outcome {
        what["came"] = outcome.into();
        note(&state, asker, "message", what).await;
    }
    match came {
        Sent::Taken(references) => Ok(ok(&json!({ "sent": true, "references": references }))),
        Sent::NotHere => Err(not_found("line of this name that carries messages")),
        Sent::Later(why) | Sent::Begun(why) => {
            Err(fault(StatusCode::SERVICE_UNAVAILABLE, "later", why))
        }
        Sent::Refused(why) => Err(fault(StatusCode::BAD_GATEWAY, "refused", why)),
    }
}
