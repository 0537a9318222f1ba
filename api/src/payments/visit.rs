//! `/pay/{token}`: a subscriber looks at an invoice, goes to a gateway, comes back, or does not want to pay.
//!
//! The token is all that he has to show, and all he can do is pay or not. Nothing is changed by a GET but what the
//! gateway itself says; a button that is pressed twice, and a page that is gone back to, lead where the first time led.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use billing::payments::{
    Attempt, AttemptState, Began, Gateway as Row, GatewayKind, Invoice, InvoiceState, NewAttempt,
};
use dialect::text::{Fields, Plus, decode, unescape};
use facts::ussd::Language;

use super::gateway::{self, Order};
use super::{offered, page, settle, token, without_money, words};
use crate::counters::count;
use crate::door::{answer, client_ip, ip_may_ask, read_body};
use crate::state::{ApiState, now};

/// Ways to gateways of one invoice at most.
const WAYS_MAX: usize = 10;
/// Bytes of a form, and of what a gateway tells by itself, at most.
const FORM_MAX: usize = 4 * 1024;
const HOOK_MAX: usize = 64 * 1024;
/// What the page of an invoice is told of whoever is sent back to it: the gateway could not be reached; by no way was
/// anything paid.
const FAILED: &str = "failed";
const UNPAID: &str = "unpaid";

pub(crate) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/pay/{token}", get(look))
        .route("/pay/{token}/start", post(start))
        .route("/pay/{token}/go", get(go))
        .route("/pay/{token}/back", get(back))
        .route("/pay/{token}/back/{lang}", get(back_in))
        .route("/pay/{token}/cancel", post(cancel))
        .route("/pay/{token}/test", get(test).post(press))
        .route("/pay-hooks/{gateway}", post(hook))
}

/// Why there is no page.
enum Refused {
    TooMany,
    Unknown(Language),
    Failed(billing::Error),
    Response(Box<Response>),
}

impl From<billing::Error> for Refused {
    fn from(error: billing::Error) -> Refused {
        Refused::Failed(error)
    }
}

/// A visit: what is asked, and of which invoice.
struct Visit {
    invoice: Invoice,
    fields: Fields,
    language: Language,
}

type Page = Result<Response, Refused>;

async fn visit(state: &ApiState, token: &str, request: Request) -> Result<Visit, Refused> {
    if !ip_may_ask(state, client_ip(&request, &state.0.config.trusted_proxies)) {
        return Err(Refused::TooMany);
    }
    let (parts, body) = request.into_parts();
    let query = Fields::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let asked = text(&query, "lang");
    let language = asked.as_deref().and_then(page::language);
    let whole = token.len() == 32 && token.bytes().all(|b| b.is_ascii_hexdigit());
    let found = if whole { state.0.store.invoice_by_token(token).await? } else { None };
    let Some(invoice) = found else {
        return Err(Refused::Unknown(language.unwrap_or_default()));
    };
    let fields =
        if parts.method == "POST" { form(state, &parts.headers, body).await? } else { query };
    let language = language.or_else(|| text(&fields, "lang").as_deref().and_then(page::language));
    let language = language.unwrap_or(invoice.language);
    Ok(Visit { invoice, fields, language })
}

async fn form(state: &ApiState, headers: &HeaderMap, body: Body) -> Result<Fields, Refused> {
    let patience = state.0.config.body_timeout;
    let body = read_body(state, headers, body, FORM_MAX, patience).await;
    let body = body.map_err(|response| Refused::Response(Box::new(response)))?;
    Ok(Fields::parse(&body))
}

fn text(fields: &Fields, name: &str) -> Option<String> {
    fields.first(name).map(|raw| decode(&unescape(raw, Plus::Blank)))
}

/// Every page is shown to whoever has the link, kept nowhere, framed nowhere, and tells nobody where it was.
fn dressed(language: Language, status: StatusCode, html: String) -> Response {
    let mut response = answer(status, "text/html; charset=utf-8", html);
    let headers = response.headers_mut();
    let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; \
                  frame-ancestors 'none'";
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CONTENT_LANGUAGE, language.tag()),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert("x-robots-tag", HeaderValue::from_static("noindex, nofollow"));
    response
}

fn shown(page: Page) -> Response {
    let plain = "text/plain; charset=utf-8";
    match page {
        Ok(response) => response,
        Err(Refused::TooMany) => {
            answer(StatusCode::TOO_MANY_REQUESTS, plain, "too many requests\n")
        }
        Err(Refused::Unknown(language)) => {
            dressed(language, StatusCode::NOT_FOUND, page::unknown(language))
        }
        Err(Refused::Failed(error)) => {
            tracing::warn!(%error, "an invoice cannot be shown");
            answer(StatusCode::SERVICE_UNAVAILABLE, plain, "try again\n")
        }
        Err(Refused::Response(response)) => *response,
    }
}

/// To a page of the invoice, which a reload does not repeat (RFC 9110 §15.4.4).
fn see(visit: &Visit, what: &str) -> Response {
    let (token, lang) = (&visit.invoice.token, visit.language.tag());
    let mut response = dressed(visit.language, StatusCode::SEE_OTHER, String::new());
    if let Ok(value) = HeaderValue::from_str(&format!("/pay/{token}{what}?lang={lang}")) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

async fn look(
    State(state): State<ApiState>,
    Path(token): Path<String>,
    request: Request,
) -> Response {
    let page = async {
        let visit = visit(&state, &token, request).await?;
        whole(&state, &visit).await
    };
    shown(page.await)
}

/// The invoice as it stands.
async fn whole(state: &ApiState, visit: &Visit) -> Page {
    let (store, invoice) = (&state.0.store, &visit.invoice);
    let merchant = store.merchant(invoice.merchant).await?;
    let ways = store.attempts_of(invoice.id).await?;
    let pending = ways.iter().any(|way| way.state == AttemptState::Pending);
    let alive = invoice.is_payable(now());
    let payable = alive && ways.len() < WAYS_MAX;
    let rows = store.payment_gateways().await?;
    let gateways = offered(&rows, invoice.trial);
    let whose = merchant.map(|merchant| merchant.name).unwrap_or_default();
    // An address may say anything: of what became of payments it is the books that are believed.
    let said = |flag: &str| text(&visit.fields, flag).is_some();
    let (failed, unpaid) = (said(FAILED), said(UNPAID) && is_unpaid(&ways));
    let by_play = |way: &Attempt| way.state == AttemptState::Paid && way.kind == GatewayKind::Test;
    let played = ways.iter().any(by_play);
    let stands = page::Stands { pending, failed, unpaid, played, alive, payable };
    let html = page::invoice(visit.language, invoice, &whose, &gateways, stands);
    Ok(dressed(visit.language, StatusCode::OK, html))
}

/// Whether somebody was on a way to a gateway, and by none was or will be anything paid.
fn is_unpaid(ways: &[Attempt]) -> bool {
    !ways.is_empty() && ways.iter().all(|way| way.state == AttemptState::Failed)
}

async fn start(
    State(state): State<ApiState>,
    Path(token): Path<String>,
    request: Request,
) -> Response {
    let page = async {
        let visit = visit(&state, &token, request).await?;
        begin(&state, &visit).await
    };
    shown(page.await)
}

/// Opens a way to the gateway that was chosen; whoever is on one already goes on there.
async fn begin(state: &ApiState, visit: &Visit) -> Page {
    let (store, invoice) = (&state.0.store, &visit.invoice);
    // A way that is still asked after may stand beside one that was paid.
    if invoice.state != InvoiceState::Open {
        return Ok(see(visit, ""));
    }
    if store.pending_attempt(invoice.id).await?.is_some() {
        return Ok(see(visit, "/go"));
    }
    let rows = store.payment_gateways().await?;
    let wanted = text(&visit.fields, "gateway");
    let mut ways = offered(&rows, invoice.trial).into_iter();
    let chosen: Option<Row> = match wanted {
        Some(name) => ways.find(|row| row.name == name).cloned(),
        None => ways.next().cloned(),
    };
    let before = store.attempts_of(invoice.id).await?.len();
    let base = state.0.config.public_url.as_deref().map(|url| url.trim_end_matches('/'));
    let (Some(row), Some(base)) = (chosen, base) else { return Ok(see(visit, "")) };
    if !invoice.is_payable(now()) || before >= WAYS_MAX {
        return Ok(see(visit, ""));
    }
    let there = row.clone();
    let page = format!("{base}/pay/{}", invoice.token);
    let title = format!("{} {}", words::of(invoice.language).factor, invoice.factor);
    let order = Order { invoice: invoice.clone(), before, title, page, language: visit.language };
    let opened = match gateway::of(row, &state.0.guard).open(order).await {
        Ok(opened) => opened,
        Err(said) => {
            tracing::warn!(
                invoice = invoice.id,
                gateway = there.name,
                said,
                "a gateway opens no way to pay"
            );
            return Ok(told(visit, FAILED));
        }
    };
    let gateway::Opened { reference, url, amount, currency } = opened;
    let new = NewAttempt { invoice: invoice.id, gateway: there, reference, url, amount, currency };
    Ok(match store.begin_attempt(new, now()).await? {
        Began::Now(_) | Began::Before(_) => see(visit, "/go"),
        Began::Closed(_) => see(visit, ""),
        Began::Moved(_) => told(visit, FAILED),
    })
}

/// To the invoice, where it says what came of it.
fn told(visit: &Visit, flag: &str) -> Response {
    let mut response = see(visit, "");
    let back = format!("/pay/{}?{flag}=1&lang={}", visit.invoice.token, visit.language.tag());
    if let Ok(value) = HeaderValue::from_str(&back) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

/// On to the gateway, by a page of its own: a form may lead nowhere else than here.
async fn go(
    State(state): State<ApiState>,
    Path(token): Path<String>,
    request: Request,
) -> Response {
    let page = async {
        let visit = visit(&state, &token, request).await?;
        let way = state.0.store.pending_attempt(visit.invoice.id).await?;
        let Some(way) = way.filter(|_| visit.invoice.state == InvoiceState::Open) else {
            return Ok(see(&visit, ""));
        };
        // The gateway for tests goes on in his language.
        let url = match tested(&state, &visit.invoice).await? {
            Some(way) => format!("{}?lang={}", way.url, visit.language.tag()),
            None => way.url,
        };
        let html = page::going(visit.language, &url);
        Ok(dressed(visit.language, StatusCode::OK, html))
    };
    shown(page.await)
}

/// Back from the gateway, in the language in which he went there.
async fn back_in(
    State(state): State<ApiState>,
    Path((token, tag)): Path<(String, String)>,
    request: Request,
) -> Response {
    came_back(&state, &token, page::language(&tag), request).await
}

async fn back(
    State(state): State<ApiState>,
    Path(token): Path<String>,
    request: Request,
) -> Response {
    came_back(&state, &token, None, request).await
}

/// The gateway is asked what came of it, whatever the address says.
async fn came_back(
    state: &ApiState,
    token: &str,
    language: Option<Language>,
    request: Request,
) -> Response {
    let page = async {
        let mut visit = visit(state, token, request).await?;
        visit.language = language.unwrap_or(visit.language);
        let (store, id) = (&state.0.store, visit.invoice.id);
        let nok = text(&visit.fields, "Status").is_some_and(|word| word == "NOK");
        let named = text(&visit.fields, "Authority").filter(|named| !named.is_empty());
        // Whoever comes back late from a way that was given up may have paid by it, and then it is paid. Once it is
        // verified the gateway has the money: first it is written down that it is asked after until it is known.
        if let Some(named) = named.as_deref().filter(|_| !nok)
            && let Some(way) = store.resume_attempt((id, named), state.0.config.node, now()).await?
        {
            settle(state, &way, true).await?;
        }
        if let Some(way) = store.pending_attempt(id).await? {
            // It is said of which way this speaks: one that he left before may not end the one he is on.
            let named = named.is_none_or(|named| named == way.reference);
            let left = nok && named && is_meant(state, &visit, &way).await?;
            settle(state, &way, left || way.late).await?;
        }
        // Whoever pressed twice comes back twice: also the second time he is told.
        let over = is_unpaid(&store.attempts_of(id).await?);
        Ok(if over { told(&visit, UNPAID) } else { see(&visit, "") })
    };
    shown(page.await)
}

/// Whether an address that a gateway was given means this way: it says which of the invoice's it is, counted from 0.
async fn is_meant(state: &ApiState, visit: &Visit, way: &Attempt) -> billing::Result<bool> {
    let Some(nth) = text(&visit.fields, "way") else { return Ok(true) };
    let ways = state.0.store.attempts_of(visit.invoice.id).await?;
    let at = ways.iter().position(|one| one.id == way.id);
    Ok(at.is_some_and(|at| at.to_string() == nth))
}

/// The subscriber does not want to pay. First it has to be known that he did not.
async fn cancel(
    State(state): State<ApiState>,
    Path(token): Path<String>,
    request: Request,
) -> Response {
    let page = async {
        let visit = visit(&state, &token, request).await?;
        let (store, id) = (&state.0.store, visit.invoice.id);
        if let Some(way) = store.pending_attempt(id).await? {
            settle(&state, &way, true).await?;
        }
        store.cancel_invoice(id, now()).await?;
        Ok(see(&visit, ""))
    };
    shown(page.await)
}

/// The way of an invoice that leads to the gateway for tests: it was begun there, and money is not needed by now.
async fn tested(state: &ApiState, invoice: &Invoice) -> billing::Result<Option<Attempt>> {
    let way = state.0.store.pending_attempt(invoice.id).await?;
    let Some(way) = way.filter(|way| way.kind == GatewayKind::Test) else { return Ok(None) };
    let rows = state.0.store.payment_gateways().await?;
    Ok(without_money(&rows, invoice.trial).then_some(way))
}

async fn test(
    State(state): State<ApiState>,
    Path(token): Path<String>,
    request: Request,
) -> Response {
    let page = async {
        let visit = visit(&state, &token, request).await?;
        let way = tested(&state, &visit.invoice).await?;
        if way.is_none() || visit.invoice.state != InvoiceState::Open {
            return Ok(see(&visit, ""));
        }
        let html = page::test(visit.language, &visit.invoice);
        Ok(dressed(visit.language, StatusCode::OK, html))
    };
    shown(page.await)
}

async fn press(
    State(state): State<ApiState>,
    Path(token): Path<String>,
    request: Request,
) -> Response {
    let page = async {
        let visit = visit(&state, &token, request).await?;
        if let Some(way) = tested(&state, &visit.invoice).await? {
            let pays = text(&visit.fields, "act").is_some_and(|act| act == "pay");
            let rrn = if pays { tracking()? } else { String::new() };
            state.0.store.play_payment(way.id, &rrn).await?;
        }
        Ok(see(&visit, "/back"))
    };
    shown(page.await)
}

/// Twelve digits, the first of them not 0.
fn tracking() -> billing::Result<String> {
    let drawn = u64::from_str_radix(&token()?[..15], 16).unwrap_or_default();
    Ok(format!("{}", 100_000_000_000 + drawn % 900_000_000_000))
}

/// What a gateway tells by itself: a reason to ask it.
async fn hook(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let plain = |status: StatusCode| answer(status, "text/plain; charset=utf-8", "");
    if !ip_may_ask(&state, client_ip(&request, &state.0.config.trusted_proxies)) {
        return plain(StatusCode::TOO_MANY_REQUESTS);
    }
    let (parts, body) = request.into_parts();
    let patience = state.0.config.body_timeout;
    let body = match read_body(&state, &parts.headers, body, HOOK_MAX, patience).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let signature = parts.headers.get("stripe-signature").and_then(|value| value.to_str().ok());
    let told = async {
        let rows = state.0.store.payment_gateways().await?;
        let row = rows.iter().find(|row| row.name == name && row.kind == GatewayKind::Stripe);
        let Some(row) = row else { return Ok(StatusCode::NOT_FOUND) };
        let reference = signature.and_then(|signature| {
            gateway::hook(&row.hook_secret, signature, &body, now().seconds())
        });
        let Some(reference) = reference else {
            count(&state.0.counters.bad_signatures);
            return Ok(StatusCode::BAD_REQUEST);
        };
        let way = state.0.store.attempt_by_reference(&row.name, &reference).await?;
        // One that is over says nothing new, except that it was paid after all.
        if let Some(way) = way {
            settle(&state, &way, false).await?;
        }
        Ok::<_, billing::Error>(StatusCode::OK)
    };
    match told.await {
        Ok(status) => plain(status),
        Err(error) => {
            tracing::warn!(%error, gateway = name, "what a gateway told cannot be looked into");
            plain(StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}
