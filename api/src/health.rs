//! `/healthz` (the process answers), `/readyz` (it takes calls), `/metrics`.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;

use crate::door::answer;
use crate::state::ApiState;

/// What a load balancer asks.
pub(crate) fn probes() -> Router<ApiState> {
    Router::new()
        .route("/healthz", get(async || answer(StatusCode::OK, TEXT, "ok\n")))
        .route("/readyz", get(ready))
}

/// What a collector asks.
pub(crate) fn metrics() -> Router<ApiState> {
    Router::new().route("/metrics", get(collect))
}

const TEXT: &str = "text/plain; charset=utf-8";

/// Ready when calls are taken and the store answers.
async fn ready(State(state): State<ApiState>) -> Response {
    if !state.0.calls.ready() {
        return answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, "not taking calls\n");
    }
    match state.0.store.settings_version().await {
        Ok(_) => answer(StatusCode::OK, TEXT, "ready\n"),
        Err(error) => {
            tracing::warn!(%error, "readiness: the store does not answer");
            answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, "the store does not answer\n")
        }
    }
}

async fn collect(State(state): State<ApiState>) -> Response {
    let mut text = (state.0.metrics)();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&state.0.counters.text());
    answer(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
}
