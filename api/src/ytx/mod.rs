//! System 001 over HTTP: `/{version}/sid/{sid}/{func}/{name}.wx`, answers always 200.

mod meeting;
mod notice;
mod place;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use axum::routing::any;
use billing::rows::{CdrTypes, Merchant, MerchantStatus, UnknownAs, YtxAccount, YtxApp};
use dialect::text::{Fields, Plus, decode, unescape};
use dialect::ytx::{
    self, Action, CONTENT_TYPE, CdrPage, Code, Function, PushContext, parse_authorization,
    parse_body,
};
use facts::{CallId, CallRecord, Dialect, LegNo, Purpose};

use crate::counters::count;
use crate::door::{self, answer, client_ip, ip_allowed, ip_may_ask, merchant_may_ask};
use crate::settings::View;
use crate::state::{ApiState, now};

/// Records of one hour answered at most.
const HOUR_MAX: u32 = 1000;

pub(crate) fn routes() -> Router<ApiState> {
    Router::new().route("/{version}/sid/{sid}/{func}/{name}", any(handle))
}

/// Who asks, once all of that is checked.
struct Asker {
    account: Arc<YtxAccount>,
    merchant: Arc<Merchant>,
    app: Arc<YtxApp>,
}

async fn handle(
    State(state): State<ApiState>,
    Path((version, sid, func, name)): Path<(String, String, String, String)>,
    request: Request,
) -> Response {
    let function = Function::read(&func, &name);
    let (Some(function), "201512" | "201612") = (function, version.as_str()) else {
        return answer(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "no such interface\n");
    };
    count(&state.0.counters.ytx_requests);
    let ip = client_ip(&request, &state.0.config.trusted_proxies);
    let (parts, body) = request.into_parts();
    let config = &state.0.config;
    let (limit, patience) = (config.body_limit, config.body_timeout);
    let body = match door::read_body(&state, &parts.headers, body, limit, patience).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let outcome = if ip_may_ask(&state, ip) {
        serve(&state, function, &sid, ip, &parts, &body).await
    } else {
        Err(Code::TooFrequent)
    };
    if let Err(code) = outcome {
        count(&state.0.counters.ytx_failures);
        if code == Code::BadSign {
            count(&state.0.counters.bad_signatures);
        }
        tracing::info!(function = function.word(), code = code.words().0, %ip, "system 001 refused");
    }
    answer(StatusCode::OK, CONTENT_TYPE, outcome.unwrap_or_else(ytx::failure))
}

/// Order of checks (merchant API §3.1): header, account, timestamp, Sign, JSON, action, required fields,
/// app, values, rate, balance.
async fn serve(
    state: &ApiState,
    function: Function,
    sid: &str,
    ip: IpAddr,
    parts: &Parts,
    body: &Bytes,
) -> Result<String, Code> {
    let view = state.0.settings.current(&state.0.store).await.map_err(ours)?;
    let (account, merchant) = authenticate(state, &view, sid, parts).await?;
    if parts.method != Method::POST {
        return Err(Code::BadJson);
    }
    let action = parse_body(function, body)?;
    let app = view.ytx_app(&state.0.store, &action.appid).await.map_err(ours)?;
    let app = app.filter(|app| may_use(app, sid, function, ip)).ok_or(Code::BadApp)?;
    let asker = Asker { account, merchant, app };
    match action.name {
        "callDailBack" => place::dail_back(state, &view, &asker, &action, &parts.headers).await,
        "callOutCode" => place::code_out(state, &view, &asker, &action, &parts.headers).await,
        "templateNoticeCall" => notice::notice(state, &view, &asker, &action, &parts.headers).await,
        "createMeeting" => meeting::create(state, &view, &asker, &action, &parts.headers).await,
        "inviteMeeting" | "muteMeeting" | "unmuteMeeting" | "kickMeeting" | "closeMeeting" => {
            meeting::act(state, &view, &asker, &action).await
        }
        "queryMeeting" => meeting::query(state, &asker, &action).await,
        "hangupCall" => hang_up(state, &asker, &action).await,
        "getCdrByResId" | "getCdrByTime" => records(state, &asker, &action).await,
        "queryBlance" => balance(state, &asker).await,
        _ => Err(Code::BadApp),
    }
}

async fn authenticate(
    state: &ApiState,
    view: &View,
    sid: &str,
    parts: &Parts,
) -> Result<(Arc<YtxAccount>, Arc<Merchant>), Code> {
    let header = parts.headers.get(header::AUTHORIZATION).ok_or(Code::BadHeader)?;
    let auth = parse_authorization(header.as_bytes()).ok_or(Code::BadHeader)?;
    if auth.sid != sid {
        return Err(Code::BadHeader);
    }
    let store = &state.0.store;
    let account = view.ytx_account(store, sid).await.map_err(ours)?.ok_or(Code::NoAccount)?;
    let merchant = view.merchant(store, account.merchant).await.map_err(ours)?;
    let merchant = merchant.ok_or(Code::NoAccount)?;
    if !account.active || merchant.status != MerchantStatus::Approved {
        return Err(Code::AccountDisabled);
    }
    if !auth.is_fresh(now(), state.0.config.ytx_validity) {
        return Err(Code::BadHeader);
    }
    let fields = Fields::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let sign = fields.first("Sign").or_else(|| fields.first("sign")).unwrap_or_default();
    let sign = decode(&unescape(sign, Plus::Blank));
    if !ytx::sign_matches(&auth, &sign, &[account.auth_token.as_str()]) {
        return Err(Code::BadSign);
    }
    Ok((account, merchant))
}

/// The app is the account's, online, has the function and is asked for from an allowed address. What this
/// switch does not do yet counts as not enabled.
fn may_use(app: &YtxApp, sid: &str, function: Function, ip: IpAddr) -> bool {
    let word = match function {
        Function::DailbackCall | Function::CallCdr => "call",
        Function::GetBlance => "account",
        Function::CodeCallOut => "code",
        Function::NoticeCall => "notice",
        Function::TeleMeeting | Function::MeetingQuery => "meeting",
    };
    app.sid == sid && app.online && app.functions.contains(word) && ip_allowed(ip, &app.allowed_ips)
}

async fn hang_up(state: &ApiState, asker: &Asker, action: &Action) -> Result<String, Code> {
    let call = action.hang_up()?.call;
    rate(state, asker)?;
    let entry = state.0.store.call(call).await.map_err(ours)?.ok_or(Code::BadValue)?;
    if entry.command.dialect != Dialect::Ytx || entry.command.app != asker.app.appid {
        return Err(Code::BadValue);
    }
    let live = entry.record.is_none();
    if !live || !state.0.calls.hang_up(call).await.map_err(|_| Code::Internal)? {
        return Err(Code::BadValue);
    }
    Ok(ytx::success(&ytx::request_id(call, ytx::fid(entry.command.purpose))))
}

async fn records(state: &ApiState, asker: &Asker, action: &Action) -> Result<String, Code> {
    let query = action.query()?;
    rate(state, asker)?;
    let app = asker.app.appid.as_str();
    let store = &state.0.store;
    let purpose = ytx::purpose(query.fid).ok_or(Code::BadValue)?;
    let of = (Dialect::Ytx, app, purpose);
    if purpose == Purpose::Conference {
        return participants(state, of, query.page).await;
    }
    let found: billing::Result<Vec<CallRecord>> = match query.page {
        CdrPage::One(Some((call, _))) => one(state, of, call).await.map(Vec::from_iter),
        CdrPage::After(last, limit) => {
            store.records_after(of, last.map(|(call, _)| call), limit).await
        }
        CdrPage::Hour(from, to) => store.records_between(of, (from, to), HOUR_MAX).await,
        CdrPage::One(None) | CdrPage::Nothing => Ok(Vec::new()),
    };
    Ok(ytx::cdr_answer(&found.map_err(ours)?, &push_context(&asker.app)))
}

/// The record of a call, if it is one of these.
async fn one(
    state: &ApiState,
    of: (Dialect, &str, Purpose),
    call: CallId,
) -> billing::Result<Option<CallRecord>> {
    let entry = state.0.store.call(call).await?.filter(|entry| {
        let command = &entry.command;
        (command.dialect, command.app.as_str(), command.purpose) == of
    });
    Ok(entry.and_then(|entry| entry.record))
}

/// Conferences leave a record for each participant: a page begins and ends with any of them.
async fn participants(
    state: &ApiState,
    of: (Dialect, &str, Purpose),
    page: CdrPage,
) -> Result<String, Code> {
    let store = &state.0.store;
    let (mut records, mut limit, mut last) = (Vec::new(), HOUR_MAX, None);
    match page {
        CdrPage::One(Some((call, leg))) => {
            records.extend(one(state, of, call).await.map_err(ours)?);
            let rows = rows(&records).filter(|(_, no)| *no == leg);
            return Ok(ytx::participants_answer(rows));
        }
        CdrPage::After(after, most) => {
            if let Some((call, _)) = after {
                // What is left of the conference in which the last page ended.
                records.extend(one(state, of, call).await.map_err(ours)?);
            }
            let call = after.map(|(call, _)| call);
            records.extend(store.records_after(of, call, most).await.map_err(ours)?);
            (limit, last) = (most, after);
        }
        CdrPage::Hour(from, to) => {
            records = store.records_between(of, (from, to), HOUR_MAX).await.map_err(ours)?;
        }
        CdrPage::One(None) | CdrPage::Nothing => {}
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let known = |(record, no): &(&CallRecord, LegNo)| {
        last.is_some_and(|(call, leg)| record.facts.call == call && *no <= leg)
    };
    Ok(ytx::participants_answer(rows(&records).filter(|row| !known(row)).take(limit)))
}

fn rows(records: &[CallRecord]) -> impl Iterator<Item = (&CallRecord, LegNo)> {
    let legs = |record: &CallRecord| record.facts.participants();
    records.iter().flat_map(move |record| legs(record).into_iter().map(move |no| (record, no)))
}

async fn balance(state: &ApiState, asker: &Asker) -> Result<String, Code> {
    rate(state, asker)?;
    let balance = state.0.store.balance(asker.merchant.id).await.map_err(ours)?;
    Ok(ytx::balance_answer(&asker.account.sid, balance.posted - balance.held))
}

fn rate(state: &ApiState, asker: &Asker) -> Result<(), Code> {
    if merchant_may_ask(state, asker.merchant.id) { Ok(()) } else { Err(Code::TooFrequent) }
}

fn push_context(app: &YtxApp) -> PushContext {
    PushContext {
        numbers: app.cdr_types == CdrTypes::Number,
        unknown_as_normal: app.unknown_as == UnknownAs::Normal,
        no_code_state: !app.code_state,
    }
}

/// A fault of our own: logged here, told as -100.
#[allow(clippy::needless_pass_by_value, reason = "the shape map_err wants")]
fn ours(error: billing::Error) -> Code {
    tracing::warn!(%error, "system 001: the store failed");
    Code::Internal
}
