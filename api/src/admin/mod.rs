//! `/admin/v1`: the operator's hand over HTTP. JSON in and out, money as integers of 1e-6 units, stable ids,
//! cursors instead of page numbers, errors in words. Every request carries the bearer token.

mod audit;
mod books;
mod calls;
mod keys;
mod objects;
mod outbox;
mod payments;
mod signature;
mod smpp;
mod text;
mod voicemail;

use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use dialect::text::{Fields, Plus, decode, unescape};
use facts::MerchantId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use crate::counters::count;
use crate::door::{answer, client_ip, ip_may_ask, source};
use crate::state::ApiState;

/// Rows on a page when none are asked for.
const PAGE_DEFAULT: u32 = 100;
/// Rows on a page at most.
const PAGE_MAX: u32 = 1000;

/// The operator's routes, the token check laid over all of them.
pub(crate) fn guarded(state: &ApiState) -> Router<ApiState> {
    Router::new()
        .merge(objects::routes())
        .merge(calls::routes())
        .merge(keys::routes())
        .merge(books::routes())
        .merge(audit::routes())
        .merge(outbox::routes())
        .merge(payments::routes())
        .merge(signature::routes())
        .merge(smpp::routes())
        .merge(voicemail::routes())
        .route_layer(from_fn_with_state(state.clone(), authorize))
}

async fn authorize(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let ip = client_ip(&request, &state.0.config.trusted_proxies);
    if !ip_may_ask(&state, ip) {
        return fault(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "too many requests")
            .into_response();
    }
    let Some(token) = state.0.config.admin_token.as_deref().filter(|token| !token.is_empty())
    else {
        return fault(StatusCode::FORBIDDEN, "closed", "no admin token is configured")
            .into_response();
    };
    let (wrong, asker) = (&state.0.wrong_tokens, source(ip));
    if wrong.is_empty(&asker, Instant::now()) {
        count(&state.0.counters.rate_limited);
        let words = "too many wrong tokens came from this address";
        return fault(StatusCode::TOO_MANY_REQUESTS, "rate_limited", words).into_response();
    }
    if !bears(request.headers(), token) {
        count(&state.0.counters.bad_signatures);
        wrong.take(asker, Instant::now());
        // Not the path: a stranger writes it.
        tracing::warn!(%ip, method = %request.method(), "admin: wrong or missing token");
        let fault = fault(StatusCode::UNAUTHORIZED, "unauthorized", "a bearer token is required");
        let mut response = fault.into_response();
        let challenge = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        return response;
    }
    let mut request = request;
    request.extensions_mut().insert(audit::Asker(ip));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Compares in a time that does not depend on where the token differs.
fn bears(headers: &HeaderMap, token: &str) -> bool {
    let given = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    let (scheme, given) = given.split_at(given.len().min(7));
    scheme.eq_ignore_ascii_case(b"bearer ")
        && bool::from(given.trim_ascii().ct_eq(token.as_bytes()))
}

/// An answer.
fn ok(value: &Value) -> Response {
    answer(StatusCode::OK, "application/json", value.to_string())
}

/// A refusal: status, code and words; or one that was written elsewhere.
enum Fault {
    Words { status: StatusCode, code: &'static str, message: String },
    Written(Box<Response>),
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        match self {
            Fault::Words { status, code, message } => {
                let body = json!({ "error": { "code": code, "message": message } });
                answer(status, "application/json", body.to_string())
            }
            Fault::Written(response) => *response,
        }
    }
}

/// A refusal in words.
fn fault(status: StatusCode, code: &'static str, message: impl Into<String>) -> Fault {
    Fault::Words { status, code, message: message.into() }
}

/// What handlers return.
type Reply = Result<Response, Fault>;

/// A fault of the store, in words.
fn store_fault(error: billing::Error) -> Fault {
    let status = match error {
        billing::Error::Missing(_) => StatusCode::NOT_FOUND,
        billing::Error::Conflict(_) => StatusCode::CONFLICT,
        billing::Error::Busy | billing::Error::Closed | billing::Error::Unreachable(_) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    if status.is_server_error() {
        tracing::warn!(%error, "admin: the store failed");
    }
    let message = error.to_string();
    drop(error);
    fault(status, "store", message)
}

fn not_found(what: &str) -> Fault {
    fault(StatusCode::NOT_FOUND, "not_found", format!("no such {what}"))
}

fn bad(message: impl Into<String>) -> Fault {
    fault(StatusCode::BAD_REQUEST, "bad_request", message)
}

/// The query of a list: `after` (cursor), `limit`, and filters.
struct Asked(Fields);

impl Asked {
    fn read(query: Option<&str>) -> Asked {
        Asked(Fields::parse(query.unwrap_or_default().as_bytes()))
    }

    fn text(&self, name: &str) -> Option<String> {
        self.0.first(name).map(|raw| decode(&unescape(raw, Plus::Blank))).filter(|t| !t.is_empty())
    }

    fn flag(&self, name: &str) -> bool {
        self.text(name).is_some_and(|text| matches!(text.as_str(), "1" | "true" | "yes"))
    }

    fn after(&self) -> Result<i64, Fault> {
        self.text("after").map_or(Ok(0), |text| {
            text.parse().map_err(|_| bad("`after` is the id of the last row seen"))
        })
    }

    fn limit(&self) -> Result<u32, Fault> {
        let limit = self.text("limit").map_or(Ok(PAGE_DEFAULT), |text| text.parse());
        match limit {
            Ok(limit @ 1..=PAGE_MAX) => Ok(limit),
            _ => Err(bad(format!("`limit` is a number from 1 to {PAGE_MAX}"))),
        }
    }

    /// One of some words, as rows have them.
    fn word<T: DeserializeOwned>(&self, name: &str, words: &str) -> Result<Option<T>, Fault> {
        let word = self.text(name).map(|word| serde_json::from_value(word.into()));
        word.transpose().map_err(|_| bad(format!("`{name}` is {words}")))
    }

    /// `merchant` by id or by name.
    async fn merchant(&self, state: &ApiState) -> Result<Option<MerchantId>, Fault> {
        match self.text("merchant") {
            None => Ok(None),
            Some(text) => merchant_id(state, &text).await.map(Some),
        }
    }
}

/// A merchant named by row id or by login name.
async fn merchant_id(state: &ApiState, text: &str) -> Result<MerchantId, Fault> {
    let store = &state.0.store;
    if let Some(merchant) = store.merchant_by_name(text).await.map_err(store_fault)? {
        return Ok(merchant.id);
    }
    let id = text.parse().map(MerchantId).map_err(|_| not_found("merchant"))?;
    let found = store.merchant(id).await.map_err(store_fault)?;
    found.map(|merchant| merchant.id).ok_or_else(|| not_found("merchant"))
}

/// Rows as a page: `next` is the cursor of the following page, absent on the last.
fn page<T: Serialize>(rows: &[T], limit: u32, id: impl Fn(&T) -> i64) -> Response {
    let next = (rows.len() >= limit as usize).then(|| rows.last().map(&id)).flatten();
    let mut items = to_value(rows);
    calls_as_text(&mut items);
    ok(&json!({ "items": items, "next": next }))
}

/// A value as JSON, call ids as text.
fn shown<T: Serialize>(value: &T) -> Value {
    let mut value = to_value(value);
    calls_as_text(&mut value);
    value
}

fn to_value<T: Serialize + ?Sized>(value: &T) -> Value {
    // Only maps with keys that are not text could fail, and our rows have none.
    serde_json::to_value(value).unwrap_or(Value::Null)
}

/// Call ids need 61 bits; many JSON readers keep 53. They go out as the 19 digits that everything else shows.
fn calls_as_text(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(calls_as_text),
        Value::Object(fields) => {
            for (name, field) in fields {
                match field.as_u64() {
                    Some(id) if name == "call" => *field = facts::CallId(id).to_string().into(),
                    _ => calls_as_text(field),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_ids_are_text_wherever_they_stand() {
        let mut value = json!([{ "call": 123, "leg": { "call": 2_100_000_000_000_000_001_u64 } }]);
        calls_as_text(&mut value);
        assert_eq!(value[0]["call"], "0000000000000000123");
        assert_eq!(value[0]["leg"]["call"], "2100000000000000001");
    }
}
