//! The description of `/v1` and the page made of it: the same for everybody, so no key is asked for.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use dialect::rest::{Code, JSON, Problem, openapi, reference};

use super::problem;
use crate::door::{answer, client_ip, ip_may_ask};
use crate::state::ApiState;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Nothing is fetched, nothing runs: the page is text.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

static DESCRIPTION: LazyLock<String> = LazyLock::new(|| openapi(VERSION).to_string());
static PAGE: LazyLock<String> = LazyLock::new(|| reference(VERSION));

pub(super) fn routes() -> Router<ApiState> {
    let description = async |State(state): State<ApiState>, request: Request| {
        told(&state, &request, JSON, &DESCRIPTION)
    };
    let page = async |State(state): State<ApiState>, request: Request| {
        told(&state, &request, "text/html; charset=utf-8", &PAGE)
    };
    Router::new().route("/openapi.json", get(description)).route("/docs", get(page))
}

fn told(state: &ApiState, request: &Request, kind: &'static str, text: &'static str) -> Response {
    if !ip_may_ask(state, client_ip(request, &state.0.config.trusted_proxies)) {
        return problem(&Problem::new(Code::TooMany, "too many requests from this address"));
    }
    let mut response = answer(StatusCode::OK, kind, text);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}
