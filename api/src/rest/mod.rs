//! `/v1`, our own surface for merchants: keys with scopes, problems by RFC 9457 whatever goes wrong.
//!
//! Order of checks: address, key, address of the key, scope, rate, body. What is another merchant's is not there.

mod axb;
mod call;
mod campaigns;
mod conferences;
mod events;
mod invoices;
mod menus;
mod numbers;
mod place;
mod reference;
mod say;
mod webhooks;

pub(crate) use campaigns::{
    Manner, Paces, command as campaign_command, prepare as campaign_script, still_shown,
};
pub(crate) use events::Streams;
pub(crate) use place::compile;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{RawPathParams, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{MethodFilter, any, on};
use billing::rows::{ApiKey, Merchant, MerchantStatus};
use bytes::Bytes;
use dialect::rest::{Code, FieldError, JSON, Op, PROBLEM_JSON, Problem};
use dialect::text::{Fields, Plus, decode, unescape};
use facts::CallId;
use facts::ports::Silent;
use serde::Serialize;
use subtle::ConstantTimeEq;

use crate::counters::count;
use crate::door::{answer, client_ip, ip_allowed, ip_may_ask, merchant_may_ask, read_body, source};
use crate::settings::View;
use crate::sipcall::Held;
use crate::state::{ApiState, now};

/// Bytes of a request's target and header fields.
const HEAD_MAX: usize = 8 * 1024;
/// Unknown parameters of a query that are told at most.
const PARAMETERS_TOLD: usize = 8;
/// Longest name of a key.
const KEY_ID_MAX: usize = 64;
/// For an answer, from the head of the request on; below the server's own patience.
const PATIENCE: Duration = Duration::from_secs(25);
/// A list of numbers, at most; its length has to be announced.
const LIST_MAX: usize = 4 * 1024 * 1024;
/// Rows on a page when none are asked for.
const PAGE_DEFAULT: u32 = 50;
/// Rows on a page at most.
const PAGE_MAX: u32 = 500;

pub(crate) fn routes() -> Router<ApiState> {
    let mut inner = Router::new();
    for op in Op::ALL {
        let op = *op;
        let handler =
            move |State(state): State<ApiState>, params: RawPathParams, request: Request| {
                serve(state, op, path(&params), request)
            };
        inner = inner.route(op.path(), on(filter(op), handler));
    }
    let inner = inner
        .merge(reference::routes())
        .method_not_allowed_fallback(async || problem(&Problem::new(Code::MethodNotAllowed, "")))
        .fallback(async || problem(&Problem::new(Code::NotFound, "no such path")));
    // What is nested does not have its own root with a slash behind it, and system 001 has all versions.
    let nothing = any(async || problem(&Problem::new(Code::NotFound, "no such path")));
    let others = Router::new().route("/v1/", nothing.clone());
    others.route("/v1/sid/{sid}/{func}/{name}", nothing).nest("/v1", inner)
}

fn filter(op: Op) -> MethodFilter {
    match op.method() {
        "POST" => MethodFilter::POST,
        "DELETE" => MethodFilter::DELETE,
        "PATCH" => MethodFilter::PATCH,
        "PUT" => MethodFilter::PUT,
        _ => MethodFilter::GET,
    }
}

/// The variables of a path, in their order.
fn path(params: &RawPathParams) -> Vec<String> {
    params.iter().map(|(_, value)| value.to_owned()).collect()
}

/// Who asks, once all of that is checked.
struct Asker {
    key: Arc<ApiKey>,
    merchant: Arc<Merchant>,
}

/// A request, read.
struct Asked {
    path: Vec<String>,
    query: Fields,
    headers: HeaderMap,
    body: Bytes,
    ip: IpAddr,
}

/// What handlers return.
type Reply = Result<Response, Problem>;

async fn serve(state: ApiState, op: Op, path: Vec<String>, request: Request) -> Response {
    count(&state.0.counters.rest_requests);
    let answered = tokio::time::timeout(PATIENCE, checked(&state, op, path, request)).await;
    let mut response = match answered {
        Ok(Ok(response)) => response,
        Ok(Err(found)) => {
            count(&state.0.counters.rest_failures);
            tracing::info!(operation = op.word(), code = found.code, "rest refused");
            problem(&found)
        }
        Err(_) => problem(&Problem::new(Code::Timeout, "")),
    };
    let headers = response.headers_mut();
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

async fn checked(state: &ApiState, op: Op, path: Vec<String>, request: Request) -> Reply {
    if head(&request) > HEAD_MAX {
        let words = format!("the target and the header fields have {HEAD_MAX} bytes at most");
        return Err(Problem::new(Code::HeadTooLarge, words));
    }
    let ip = client_ip(&request, &state.0.config.trusted_proxies);
    if !ip_may_ask(state, ip) {
        return Err(Problem::new(Code::TooMany, "too many requests from this address"));
    }
    let view = state.0.settings.current(&state.0.store).await.map_err(ours)?;
    let asker = authenticate(state, &view, request.headers(), ip).await?;
    if !asker.key.scopes.contains(op.scope().word()) {
        let words = format!("the key {} is not good for {}", asker.key.id, op.scope());
        return Err(Problem::new(Code::Scope, words));
    }
    if !merchant_may_ask(state, asker.merchant.id) {
        return Err(Problem::new(Code::TooMany, "too many requests of this merchant"));
    }
    let (parts, body) = request.into_parts();
    let config = &state.0.config;
    let (limit, _room) = room(state, op, &asker, &parts.headers)?;
    let patience = config.body_timeout.min(PATIENCE);
    let read = read_body(state, &parts.headers, body, limit, patience).await;
    let body = read.map_err(|response| unread(response.status()))?;
    let body = if op.takes_body() { body } else { nothing_in(&body)? };
    if !body.is_empty() {
        json_only(&parts.headers)?;
    }
    let query = Fields::parse(parts.uri.query().unwrap_or_default().as_bytes());
    known_parameters(op, &query)?;
    let asked = Asked { path, query, headers: parts.headers, body, ip };
    dispatch(state, &view, op, &asker, &asked).await
}

async fn dispatch(state: &ApiState, view: &View, op: Op, asker: &Asker, asked: &Asked) -> Reply {
    match op {
        Op::PlaceCall => place::place(state, view, asker, asked).await,
        Op::ListCalls => call::list(state, asker, asked).await,
        Op::ShowCall => call::show(state, asker, asked).await,
        Op::HangUp => call::hang_up(state, asker, asked).await,
        Op::Play => call::play(state, asker, asked).await,
        Op::StopPlay => call::stop(state, asker, asked).await,
        Op::PauseRecording => call::pause(state, asker, asked, true).await,
        Op::ResumeRecording => call::pause(state, asker, asked, false).await,
        Op::Recording => call::recording(state, asker, asked).await,
        Op::PlaceCode => say::code(state, view, asker, asked).await,
        Op::PlaceNotice => say::notice(state, view, asker, asked).await,
        Op::BeginConference => conferences::begin(state, view, asker, asked).await,
        Op::ShowConference => conferences::show(state, asker, asked).await,
        Op::CloseConference => conferences::close(state, asker, asked).await,
        Op::Invite => conferences::invite(state, view, asker, asked).await,
        Op::Mute | Op::Unmute | Op::Deafen | Op::Undeafen | Op::Kick => {
            conferences::member(state, view, asker, asked, op).await
        }
        Op::Lock => conferences::lock(state, asker, asked, true).await,
        Op::Unlock => conferences::lock(state, asker, asked, false).await,
        Op::BeginCampaign => campaigns::begin(state, view, asker, asked).await,
        Op::ListCampaigns => campaigns::list(state, asker, asked).await,
        Op::ShowCampaign => campaigns::show(state, asker, asked).await,
        Op::AddCampaignNumbers => campaigns::add(state, view, asker, asked).await,
        Op::ListCampaignNumbers => campaigns::numbers(state, asker, asked).await,
        Op::PauseCampaign | Op::ResumeCampaign | Op::CancelCampaign => {
            campaigns::turn(state, asker, asked, op).await
        }
        Op::BindAxb => axb::bind(state, view, asker, asked).await,
        Op::ListAxb => axb::list(state, view, asker, asked).await,
        Op::ShowAxb => axb::show(state, asker, asked).await,
        Op::ChangeAxb => axb::change(state, asker, asked).await,
        Op::UnbindAxb => axb::unbind(state, asker, asked).await,
        Op::ListNumbers => numbers::list(state, asker, asked).await,
        Op::ShowNumberScenario => numbers::show(state, view, asker, asked).await,
        Op::PutNumberScenario => numbers::put(state, view, asker, asked).await,
        Op::DropNumberScenario => numbers::drop_it(state, view, asker, asked).await,
        Op::OpenMenu => menus::open(state, view, asker, asked).await,
        Op::TypeMenu => menus::enter(state, asker, asked).await,
        Op::LeaveMenu => menus::leave(state, asker, asked).await,
        Op::ListMenus => menus::list(state, asker, asked).await,
        Op::ListInvoices => invoices::list(state, asker, asked).await,
        Op::ShowInvoice => invoices::show(state, asker, asked).await,
        Op::Events => events::events(state, asker, asked).await,
        Op::CreateWebhook => webhooks::create(state, asker, asked).await,
        Op::ListWebhooks => webhooks::list(state, asker).await,
        Op::ShowWebhook => webhooks::show(state, asker, asked).await,
        Op::ChangeWebhook => webhooks::change(state, asker, asked).await,
        Op::RemoveWebhook => webhooks::remove(state, asker, asked).await,
        Op::RotateSecret => webhooks::rotate(state, asker, asked).await,
        Op::TestWebhook => webhooks::test(state, asker, asked).await,
        Op::ListDeliveries => webhooks::deliveries(state, asker, asked).await,
        Op::ShowDelivery => webhooks::delivered(state, asker, asked).await,
        Op::Redeliver => webhooks::redeliver(state, asker, asked).await,
        Op::RedeliverAll => webhooks::redeliver_all(state, asker, asked).await,
        Op::Balance => {
            let books = state.0.store.balance(asker.merchant.id).await.map_err(ours)?;
            Ok(ok(StatusCode::OK, &dialect::rest::balance(&books)))
        }
    }
}

/// How long a body may be, and room for it where it is a list of numbers and longer than others.
fn room(
    state: &ApiState,
    op: Op,
    asker: &Asker,
    headers: &HeaderMap,
) -> Result<(usize, Option<Held>), Problem> {
    let limit = state.0.config.body_limit;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced: usize = announced.and_then(|value| value.parse().ok()).unwrap_or_default();
    if !op.takes_many() || !(limit..=LIST_MAX).contains(&announced) {
        return Ok((limit, None));
    }
    let held = state.0.room.take(asker.merchant.id, announced);
    let held = held.ok_or_else(|| Problem::new(Code::TooMany, "too many long requests at once"))?;
    Ok((LIST_MAX, Some(held)))
}

/// What stands in the query is asked for there: a misspelt parameter would be passed over otherwise.
fn known_parameters(op: Op, query: &Fields) -> Result<(), Problem> {
    let unknown = query.names().filter(|name| !op.query().contains(name));
    let words = |name: &str| FieldError::new("", format!("there is no parameter {name:?} here"));
    let mut wrong: Vec<FieldError> = unknown.take(PARAMETERS_TOLD).map(words).collect();
    let known = op.query().iter().filter(|name| query.names().filter(|it| it == *name).count() > 1);
    let twice =
        |name: &&str| FieldError::new("", format!("the parameter {name:?} stands there twice"));
    wrong.extend(known.map(twice));
    if wrong.is_empty() { Ok(()) } else { Err(Problem::invalid(wrong)) }
}

/// The body of an operation that takes none. An empty object says nothing either.
fn nothing_in(body: &Bytes) -> Result<Bytes, Problem> {
    let text = body.trim_ascii();
    let inner = text.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"));
    if text.is_empty() || inner.is_some_and(|inner| inner.trim_ascii().is_empty()) {
        return Ok(Bytes::new());
    }
    Err(Problem::invalid(vec![FieldError::new("", "no body is taken here")]))
}

/// Octets of the target and the header fields.
fn head(request: &Request) -> usize {
    let fields =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    fields.sum::<usize>() + target
}

async fn authenticate(
    state: &ApiState,
    view: &View,
    headers: &HeaderMap,
    ip: IpAddr,
) -> Result<Asker, Problem> {
    let given = bearer(headers);
    let id = given.and_then(ApiKey::id_of);
    let found = match id {
        Some(id) => view.api_key(&state.0.store, id).await.map_err(ours)?,
        None => None,
    };
    let hash = given.map(ApiKey::hash_of).unwrap_or_default();
    let fits = |key: &Arc<ApiKey>| bool::from(key.hash.as_bytes().ct_eq(hash.as_bytes()));
    let Some(key) = found.filter(fits).filter(|key| key.is_good(now())) else {
        count(&state.0.counters.bad_signatures);
        // Only whoever tries out one key waits: a good one is good wherever wrong ones come from.
        if !state.0.wrong_keys.take((source(ip), known(id)), Instant::now()) {
            count(&state.0.counters.rate_limited);
            return Err(Problem::new(Code::TooMany, "too many wrong keys came from this address"));
        }
        tracing::info!(%ip, "rest: wrong or missing key");
        let words = "send a good key as `Authorization: Bearer …`";
        return Err(Problem::new(Code::Unauthorized, words));
    };
    let merchant = view.merchant(&state.0.store, key.merchant).await.map_err(ours)?;
    let merchant = merchant.filter(|merchant| merchant.status == MerchantStatus::Approved);
    let merchant = merchant.ok_or_else(|| Problem::new(Code::MerchantDisabled, ""))?;
    if !ip_allowed(ip, &key.allowed_ips) || !ip_allowed(ip, &merchant.allowed_ips) {
        return Err(Problem::new(Code::AddressNotAllowed, format!("{ip} is not allowed")));
    }
    Ok(Asker { key, merchant })
}

/// What a wrong key is counted by; whatever is none, and whatever is longer than one, together.
fn known(id: Option<&str>) -> String {
    id.filter(|id| id.len() <= KEY_ID_MAX).unwrap_or_default().to_owned()
}

/// The token of RFC 6750 §2.1.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = given.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A body that says what it is says that it is JSON.
fn json_only(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = given.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case(JSON) {
        return Ok(());
    }
    Err(Problem::new(Code::MediaType, "Content-Type has to be application/json"))
}

/// Why a body was not read.
fn unread(status: StatusCode) -> Problem {
    let code = match status {
        StatusCode::PAYLOAD_TOO_LARGE => Code::TooLarge,
        StatusCode::REQUEST_TIMEOUT => Code::RequestTimeout,
        _ => return Problem::new(Code::BadRequest, "the body broke off"),
    };
    Problem::new(code, "")
}

impl Asked {
    fn text(&self, name: &str) -> Option<String> {
        let raw = self.query.first(name)?;
        Some(decode(&unescape(raw, Plus::Blank))).filter(|text| !text.is_empty())
    }

    fn limit(&self) -> Result<u32, Problem> {
        let limit = self.text("limit").map_or(Ok(PAGE_DEFAULT), |text| text.parse());
        limit.ok().filter(|limit| (1..=PAGE_MAX).contains(limit)).ok_or_else(|| {
            Problem::new(Code::BadRequest, format!("`limit` is a number from 1 to {PAGE_MAX}"))
        })
    }

    /// The cursor of a list: where the last page ended.
    fn after(&self) -> Result<i64, Problem> {
        let after = self.text("after").map_or(Ok(0), |text| text.parse::<i64>());
        let words = "`after` is the `next` of the page before";
        after.ok().filter(|at| *at >= 0).ok_or_else(|| Problem::new(Code::BadRequest, words))
    }

    /// The call that the path names.
    fn call(&self) -> Result<CallId, Problem> {
        let text = self.path.first().map(String::as_str).unwrap_or_default();
        let digits = text.len() == 19 && text.bytes().all(|b| b.is_ascii_digit());
        let call = text.parse().ok().filter(|_| digits);
        call.ok_or_else(|| Problem::new(Code::NotFound, "no such call"))
    }
}

/// An answer.
fn ok<T: Serialize>(status: StatusCode, value: &T) -> Response {
    // Text, numbers and lists always have a JSON form.
    answer(status, JSON, serde_json::to_string(value).unwrap_or_default())
}

/// A problem as an answer.
fn problem(found: &Problem) -> Response {
    let status = StatusCode::from_u16(found.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = answer(status, PROBLEM_JSON, found.body());
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    let code = Code::ALL.iter().find(|code| code.word() == found.code);
    if let Some(seconds) = code.and_then(|code| code.retry_after_s()) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    // There may be an unread body on the connection.
    if matches!(found.status, 401 | 403 | 408 | 413 | 429 | 431) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The switch does not answer: what was asked of it may be done, or not.
pub(super) fn silent(_: Silent) -> Problem {
    tracing::warn!("rest: the switch did not answer");
    Problem::new(Code::Busy, "the switch did not answer in time")
}

/// A call that is open in the books and not live here: it is about to end, or another process has it.
fn not_live(state: &ApiState, call: CallId, words: &str) -> Problem {
    if call.node() == state.0.config.node {
        return Problem::new(Code::NotLive, words);
    }
    let words = "another process of the switch has this call: send the request again, to that one";
    Problem::new(Code::Busy, words)
}

/// A fault of the store: logged here, not told.
#[allow(clippy::needless_pass_by_value, reason = "the shape map_err wants")]
fn ours(error: billing::Error) -> Problem {
    tracing::warn!(%error, "rest: the store failed");
    match error {
        billing::Error::Busy | billing::Error::Closed | billing::Error::Unreachable(_) => {
            Problem::new(Code::Busy, "the store does not answer")
        }
        billing::Error::Conflict(billing::Constraint::Webhooks) => {
            Problem::new(Code::Full, "a merchant has twenty webhooks at most")
        }
        _ => Problem::new(Code::Internal, ""),
    }
}
