//! `POST /admin/v1/signature`: why a merchant's signature does not match.

use axum::Router;
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use axum::routing::post;
use facts::UnixMillis;

use super::{Asked, Fault, Reply, bad, ok, shown, store_fault};
use crate::door::read_body;
use crate::signature::{self, Sent, Unexplained};
use crate::state::{ApiState, now};

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/admin/v1/signature", post(explain))
}

/// The body is the request as it was sent, bytes and all. Nothing is written down, and no key comes out.
async fn explain(
    State(state): State<ApiState>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Reply {
    let asked = Asked::read(query.as_deref());
    let at = match asked.text("at") {
        None => now(),
        Some(text) => text
            .parse()
            .map(UnixMillis)
            .map_err(|_| bad("`at` is an instant in milliseconds since 1970, UTC"))?,
    };
    let merchant = asked.text("merchant");
    let (parts, body) = request.into_parts();
    let config = &state.0.config;
    let (limit, patience) = (config.body_limit, config.body_timeout);
    let written = |response: Response| Fault::Written(Box::new(response));
    let body = read_body(&state, &parts.headers, body, limit, patience).await.map_err(written)?;
    let sent = Sent::read(&body);
    let store = &state.0.store;
    match signature::explain(store, &sent, merchant.as_deref(), at, config.ytx_validity).await {
        Ok(explanation) => Ok(ok(&shown(&explanation))),
        Err(Unexplained::Store(error)) => Err(store_fault(error)),
        Err(why) => Err(bad(why.to_string())),
    }
}
