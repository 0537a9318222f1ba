//! System 000 over HTTP: `/api/biz_*`, GET or POST, answers always 200.

mod place;

use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use billing::Once;
use billing::rows::{CallEntry, Merchant, MerchantStatus};
use dialect::callni::{Answer, Code, Format, Request as Asked, Verified, result_word};
use facts::{Dialect, LegNo};

use crate::counters::count;
use crate::door::{self, answer, client_ip, ip_allowed, ip_may_ask, merchant_may_ask};
use crate::state::{ApiState, now};

pub(crate) fn routes() -> Router<ApiState> {
    let door = |what: What| {
        let handler =
            move |State(state): State<ApiState>, request: Request| handle(state, request, what);
        // A HEAD would else run the handler of GET and ring telephones (RFC 9110 §9.2.1: HEAD is safe).
        get(handler).post(handler).head(no_head)
    };
    Router::new()
        .route("/api/biz_regist", door(What::Regist))
        .route("/api/biz_callback", door(What::Callback))
        .route("/api/biz_balance", door(What::Balance))
        .route("/api/biz_query", door(What::Query))
        .route("/api/biz_hangup", door(What::HangUp))
}

async fn no_head() -> Response {
    let mut response = answer(StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", "");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
    response
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Regist,
    Callback,
    Balance,
    Query,
    HangUp,
}

/// Reads, answers, writes: the one place where HTTP and the dialect meet.
async fn handle(state: ApiState, request: Request, what: What) -> Response {
    count(&state.0.counters.callni_requests);
    let ip = client_ip(&request, &state.0.config.trusted_proxies);
    let (parts, body) = request.into_parts();
    let config = &state.0.config;
    let (limit, patience) = (config.body_limit, config.body_timeout);
    let body = match door::read_body(&state, &parts.headers, body, limit, patience).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let query = parts.uri.query().unwrap_or_default();
    let asked = Asked::parse(query.as_bytes(), &body);
    let format = asked.format();
    let outcome = if ip_may_ask(&state, ip) {
        serve(&state, asked, what, ip).await
    } else {
        Err(Code::TooManyCalls)
    };
    if let Err(code) = outcome {
        count(&state.0.counters.callni_failures);
        if code == Code::SignError {
            count(&state.0.counters.bad_signatures);
        }
        tracing::info!(what = ?what, code = code.words().0, %ip, "system 000 refused");
    }
    write(&outcome.unwrap_or_else(Answer::fail), format)
}

fn write(words: &Answer, format: Format) -> Response {
    let mut response = answer(StatusCode::OK, format.content_type(), words.write(format));
    // A GET that rings telephones must never be answered from a cache.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Order of checks: fields, merchant, signature, status, address, rate, then the values.
async fn serve(
    state: &ApiState,
    asked: Asked,
    what: What,
    ip: std::net::IpAddr,
) -> Result<Answer, Code> {
    match what {
        What::Regist => asked.require_regist()?,
        What::Callback => asked.require_callback()?,
        What::Balance => asked.require_balance()?,
        What::Query | What::HangUp => asked.require_lookup()?,
    }
    let username = asked.username()?;
    let store = &state.0.store;
    let view = state.0.settings.current(store).await.map_err(ours)?;
    let merchant = view.merchant_by_name(store, &username).await.map_err(ours)?;
    let merchant = merchant.ok_or(Code::MerchantNotFound)?;
    if merchant.key.is_empty() {
        // A merchant of another system only: a signature over no secret proves nothing.
        return Err(Code::SignError);
    }
    let keys = [merchant.key.as_str()];
    let verified = match what {
        What::Regist | What::Balance => asked.verify_regist(&keys)?,
        What::Callback => asked.verify_callback(&keys)?,
        What::Query | What::HangUp => asked.verify_lookup(&keys)?,
    };
    if merchant.status != MerchantStatus::Approved {
        return Err(Code::MerchantDisabled);
    }
    if !ip_allowed(ip, &merchant.allowed_ips) {
        return Err(Code::IpNotAllowed);
    }
    if !merchant_may_ask(state, merchant.id) {
        return Err(Code::TooManyCalls);
    }
    match what {
        What::Regist => regist(state, &merchant, &verified).await,
        What::Callback => place::callback(state, &view, &merchant, &verified).await,
        What::Balance => balance(state, &merchant).await,
        What::Query => query(state, &merchant, &verified).await,
        What::HangUp => hang_up(state, &merchant, &verified).await,
    }
}

async fn regist(state: &ApiState, merchant: &Merchant, asked: &Verified) -> Result<Answer, Code> {
    let regist = asked.regist()?;
    if !state.0.registrations.take(merchant.id, Instant::now()) {
        count(&state.0.counters.rate_limited);
        return Err(Code::TooManyCalls);
    }
    let once = Once::fresh().map_err(ours)?;
    let (realname, email) = (&regist.realname, &regist.email);
    let made = state.0.store.register_sub_account(&once, merchant.id, realname, email, now());
    let made = made.await.map_err(|error| match error {
        billing::Error::Conflict(billing::Constraint::SubAccounts) => Code::TooManyCalls,
        error => ours(error),
    })?;
    if !made.duplicate {
        // The doors ask the store for extensions, so that their own snapshot need not be made anew at once.
        state.0.calls.settings_changed();
    }
    let answer = Answer::success()
        .with("account", made.account.name)
        .with("password", made.password.unwrap_or_default())
        .with("number", made.number);
    Ok(if made.duplicate { answer.with("duplicate", "1") } else { answer })
}

async fn balance(state: &ApiState, merchant: &Merchant) -> Result<Answer, Code> {
    let balance = state.0.store.balance(merchant.id).await.map_err(ours)?;
    let available = balance.posted - balance.held;
    Ok(Answer::success().with("balance", available.decimal(4)))
}

async fn query(state: &ApiState, merchant: &Merchant, asked: &Verified) -> Result<Answer, Code> {
    let id = asked.lookup()?.callbackid;
    let entry = find(state, merchant, &id).await?;
    let answer = Answer::success().with("callbackid", id);
    let Some(record) = entry.record else {
        let live = state.0.calls.look(entry.call).await.map_err(silent)?;
        // Authorized and not yet, or no longer, in the engine: on its way in, or being settled.
        return Ok(answer.with("state", live.map_or_else(|| "pending".into(), |live| live.state)));
    };
    let leg = |no: LegNo| {
        let charge = record.charges.iter().find(|charge| charge.no == no);
        let seconds = charge.map_or(0, |charge| charge.seconds);
        (seconds.to_string(), record.price(no).decimal(2))
    };
    let (a_seconds, a_fee) = leg(LegNo::A);
    let (b_seconds, b_fee) = leg(record.facts.called());
    let command = &record.facts.command;
    let answer = answer
        .with("state", "ended")
        .with("callback_num", &command.a.as_sent)
        .with("callback_duration", a_seconds)
        .with("callback_fee", a_fee)
        .with("destination_num", command.called_as_sent())
        .with("destination_duration", b_seconds)
        .with("destination_fee", b_fee)
        .with("callback_result", result_word(&record));
    Ok(match &record.recording_url {
        Some(url) => answer.with("recording", url),
        None => answer,
    })
}

async fn hang_up(state: &ApiState, merchant: &Merchant, asked: &Verified) -> Result<Answer, Code> {
    let id = asked.lookup()?.callbackid;
    let entry = find(state, merchant, &id).await?;
    let was_live = match &entry.record {
        Some(_) => false,
        None => state.0.calls.hang_up(entry.call).await.map_err(silent)?,
    };
    let word = if was_live { "ending" } else { "ended" };
    Ok(Answer::success().with("callbackid", id).with("state", word))
}

async fn find(state: &ApiState, merchant: &Merchant, id: &str) -> Result<CallEntry, Code> {
    let found = state.0.store.call_by_key(merchant.id, Dialect::Callni, id).await;
    found.map_err(ours)?.ok_or(Code::CallbackidNotFound)
}

/// The switch does not answer: told as 1099.
fn silent(_: facts::ports::Silent) -> Code {
    tracing::warn!("system 000: the switch did not answer");
    Code::SystemError
}

/// A fault of our own: logged here, told as 1099.
#[allow(clippy::needless_pass_by_value, reason = "the shape map_err wants")]
fn ours(error: billing::Error) -> Code {
    tracing::warn!(%error, "system 000: the store failed");
    Code::SystemError
}
