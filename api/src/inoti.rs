//! `/_services/ExternalUssdPay.asmx`: merchants' programs of system 003 ask what was paid (`GetPayments`, spec §5.4). SOAP
//! 1.1 and 1.2, forms by GET and POST, the description that clients are made from, and a page of help.

mod help;

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use billing::payments::{Asked, Invoice, InvoiceState, Owner};
use billing::rows::MerchantStatus;
use dialect::inoti::page::mobile;
use dialect::inoti::payments::{
    FIELDS, NO_CODE, NOT_YOU, Payment, Query, TOLD_MAX, bad_form, told,
};
use dialect::inoti::soap::{self, Fault, Version};
use dialect::text::{Fields, Plus, decode, unescape};
use facts::ussd::Dialled;
use facts::{Currency, NumberPlan};

use crate::counters::count;
use crate::door::{answer, client_ip, ip_allowed, ip_may_ask, merchant_may_ask, read_body, source};
use crate::guests::Judged;
use crate::samples::{Language, base, html};
use crate::settings::View;
use crate::state::ApiState;

/// The service by its own name; either part in any case, as the vendor's own server has it.
const FOLDER: &str = "_services";
const SERVICE: &str = "ExternalUssdPay.asmx";
/// Characters of a name by which it is remembered.
const NAME_MAX: usize = 64;

pub(crate) fn routes() -> Router<ApiState> {
    // By no pattern: one that takes either case of a name takes the paths of all others.
    Router::new().fallback(elsewhere)
}

/// Whatever no other door is for.
async fn elsewhere(State(state): State<ApiState>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    if let Some(door) = crate::sms::door_at(&path) {
        return crate::sms::serve_door(state, door, request).await;
    }
    let mut parts = path.trim_start_matches('/').split('/');
    let here = parts.next().zip(parts.next());
    if !here.is_some_and(|(folder, service)| is_here(folder, service)) {
        return not_found();
    }
    match (parts.next(), parts.next()) {
        (None, _) => service(state, request).await,
        (Some(name), None) if name.eq_ignore_ascii_case(soap::OPERATION) => {
            operation(state, request).await
        }
        _ => not_found(),
    }
}

fn not_found() -> Response {
    answer(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "no such path\n")
}

fn is_here(folder: &str, service: &str) -> bool {
    folder.eq_ignore_ascii_case(FOLDER) && service.eq_ignore_ascii_case(SERVICE)
}

/// SOAP, the description, the page of help.
async fn service(state: ApiState, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default().to_ascii_lowercase();
    if request.method() == Method::POST {
        return soap(&state, request).await;
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return not_allowed();
    }
    if !ip_may_ask(&state, client_ip(&request, &state.0.config.trusted_proxies)) {
        return busy();
    }
    let here = format!("{}/{FOLDER}/{SERVICE}", base(&state, request.headers()));
    if query.split('&').any(|word| word == "wsdl" || word.starts_with("wsdl=")) {
        return kept_nowhere(answer(
            StatusCode::OK,
            "text/xml; charset=utf-8",
            soap::wsdl(&soap::PAYMENTS, &here),
        ));
    }
    let wished = query.split('&').find_map(|pair| pair.strip_prefix("lang="));
    let language = Language::chosen(wished, request.headers());
    kept_nowhere(html(language, help::page(language, &here)))
}

pub(crate) fn not_allowed() -> Response {
    only("GET or POST\n", "GET, HEAD, POST")
}

/// Another method than those that there are.
pub(crate) fn only(words: &'static str, methods: &'static str) -> Response {
    let mut response = answer(StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", words);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
    response
}

pub(crate) fn busy() -> Response {
    answer(StatusCode::TOO_MANY_REQUESTS, "text/plain; charset=utf-8", "too many requests\n")
}

pub(crate) fn kept_nowhere(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn soap(state: &ApiState, request: Request) -> Response {
    let ip = client_ip(&request, &state.0.config.trusted_proxies);
    if !ip_may_ask(state, ip) {
        return busy();
    }
    let (parts, body) = request.into_parts();
    let (limit, patience) = (soap::REQUEST_MAX, state.0.config.body_timeout);
    let body = match read_body(state, &parts.headers, body, limit, patience).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let read = soap::read(&soap::PAYMENTS, &decode(&body));
    let (version, result) = match read {
        Ok(request) => {
            let field = |name: &str| request.field(name).map(str::to_owned);
            (request.version, payments(state, ip, &field).await)
        }
        Err(fault) => return faulted(&parts.headers, fault),
    };
    kept_nowhere(match result {
        Ok(result) => answer(
            StatusCode::OK,
            version.content_type(),
            soap::answer(&soap::PAYMENTS, version, &result),
        ),
        Err(error) => unavailable(&error),
    })
}

/// A request that is none: it is told so in the version that it says it is in.
pub(crate) fn faulted(headers: &HeaderMap, fault: Fault) -> Response {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let newer = kind.is_some_and(|kind| kind.to_ascii_lowercase().contains("application/soap+xml"));
    let version = if newer { Version::V12 } else { Version::V11 };
    let text = soap::fault(version, fault);
    kept_nowhere(answer(StatusCode::INTERNAL_SERVER_ERROR, version.content_type(), text))
}

/// The store is away: a merchant that hears an empty list would book nothing for ever.
fn unavailable(error: &billing::Error) -> Response {
    tracing::warn!(%error, "what was paid cannot be read");
    answer(StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", "try again\n")
}

/// The forms by GET and POST.
async fn operation(state: ApiState, request: Request) -> Response {
    let ip = client_ip(&request, &state.0.config.trusted_proxies);
    if !ip_may_ask(&state, ip) {
        return busy();
    }
    let (parts, body) = request.into_parts();
    let fields = match parts.method {
        Method::GET => Fields::parse(parts.uri.query().unwrap_or_default().as_bytes()),
        Method::POST => {
            let (limit, patience) = (soap::REQUEST_MAX, state.0.config.body_timeout);
            match read_body(&state, &parts.headers, body, limit, patience).await {
                Ok(body) => Fields::parse(&body),
                Err(response) => return response,
            }
        }
        _ => return not_allowed(),
    };
    let field = |name: &str| {
        let named = fields.names().find(|written| written.eq_ignore_ascii_case(name))?.to_owned();
        Some(decode(&unescape(fields.first(&named)?, Plus::Blank)))
    };
    kept_nowhere(match payments(&state, ip, &field).await {
        Ok(result) => answer(StatusCode::OK, "text/xml; charset=utf-8", soap::plain(&result)),
        Err(error) => unavailable(&error),
    })
}

/// The result: records as JSON, what the merchant wants in place of none, or a word of refusal.
async fn payments(
    state: &ApiState,
    ip: IpAddr,
    field: &(dyn Fn(&str) -> Option<String> + Sync),
) -> billing::Result<String> {
    let written: BTreeMap<&str, String> =
        FIELDS.iter().filter_map(|name| Some((*name, field(name)?))).collect();
    let given = |name: &str| written.get(name).map(String::as_str);
    let username = given("Username").unwrap_or_default().trim().to_owned();
    let password = given("Password").unwrap_or_default().to_owned();
    let view = state.0.settings.current(&state.0.store).await?;
    let Some(guest) = known(state, &view, (&username, &password), ip).await? else {
        return Ok(NOT_YOU.to_owned());
    };
    let query = match Query::read(given, guest.owner.strict) {
        Ok(query) => query,
        Err(name) => return Ok(bad_form(name)),
    };
    let (store, owner) = (&state.0.store, guest.owner);
    let mut codes = Vec::new();
    if !query.code.is_empty() {
        codes = store.paying_codes(owner.merchant).await?;
        codes.retain(|code| is_code(&query.code, code));
        if codes.is_empty() {
            return Ok(NO_CODE.to_owned());
        }
    }
    let (plan, null_result) = (&view.plan, query.null_result.clone());
    let Some(mut asked) = asked(query, plan, codes) else { return Ok(told(&[], &null_result)) };
    asked.trials |= guest.sandbox;
    let most = u32::try_from(TOLD_MAX).unwrap_or(u32::MAX);
    let found = store.payments(owner.merchant, asked, most).await?;
    let payments: Vec<Payment> = found.iter().map(payment).collect();
    Ok(told(&payments, &null_result))
}

/// Whether a code that is asked for, with or without its root and stars, is this one.
fn is_code(asked: &str, code: &str) -> bool {
    let (Some(asked), Some(code)) = (Dialled::code(asked), Dialled::code(code)) else {
        return asked.is_empty();
    };
    code.as_slice().ends_with(asked.as_slice())
}

/// What the store is asked; `None`: nothing can fit.
fn asked(query: Query, plan: &NumberPlan, codes: Vec<String>) -> Option<Asked> {
    let id = |number: u64| i64::try_from(number).ok();
    let session = match query.session {
        // Sessions are told as numbers; nobody was told another one.
        Some(text) => Some(text.parse::<i64>().ok()?),
        None => None,
    };
    let invoice = match query.invoice {
        Some(number) => Some(id(number)?),
        None => None,
    };
    let mobile = query.mobile.map(|written| match (own_form(&written), plan.parse(&written)) {
        (Some(own), _) => own,
        (None, Ok(number)) => mobile(plan, number.digits()),
        (None, Err(_)) => written,
    });
    Some(Asked {
        codes,
        all: query.all,
        // Whoever names the session of a try knows what he asks for.
        trials: session.is_some(),
        from: query.from,
        before: query.before,
        session,
        rials_from: query.price_from,
        rials_to: query.price_to,
        mobile,
        reference: query.ref_key,
        invoice,
        factor: query.factor,
        rrn: query.rrn.map(|rrn| rrn.to_string()),
    })
}

/// An Iranian mobile as pages are told it, however it was written.
fn own_form(written: &str) -> Option<String> {
    let digits: String = written.chars().filter(char::is_ascii_digit).collect();
    let rest = ["0098", "98", "0"].iter().find_map(|prefix| digits.strip_prefix(prefix));
    let rest = rest.unwrap_or(&digits);
    (rest.len() == 10 && rest.starts_with('9')).then(|| format!("0{rest}"))
}

fn payment(invoice: &Invoice) -> Payment {
    let id = invoice.id.cast_unsigned();
    Payment {
        id,
        session: invoice.session.0.to_string(),
        ref_key: invoice.reference.clone().unwrap_or_default(),
        mobile: invoice.mobile.clone(),
        rials: invoice.rials,
        paid: invoice.state == InvoiceState::Paid,
        at: invoice.closed.unwrap_or(invoice.made),
        invoice: id,
        factor: invoice.factor.clone(),
        rrn: invoice.rrn.as_deref().and_then(|rrn| rrn.parse().ok()).unwrap_or(0),
    }
}

/// Who asks.
struct Guest {
    owner: Owner,
    /// His merchant has nothing but what is tried out.
    sandbox: bool,
}

/// Who asks, if the password is his.
async fn known(
    state: &ApiState,
    view: &View,
    (username, password): (&str, &str),
    ip: IpAddr,
) -> billing::Result<Option<Guest>> {
    let name: String = username.chars().take(NAME_MAX).collect();
    let (store, guests) = (&state.0.store, &state.0.guests);
    let found = store.ussd_owner(username).await?.filter(|owner| owner.active);
    let hash = found.as_ref().map(|owner| owner.password.clone());
    let counter = match guests.judge((source(ip), name), hash, password).await? {
        Judged::Right => None,
        Judged::Locked => Some(&state.0.counters.rate_limited),
        Judged::Wrong => Some(&state.0.counters.bad_signatures),
    };
    counter.into_iter().for_each(count);
    let Some(owner) = found.filter(|_| counter.is_none()) else { return Ok(None) };
    let merchant = view.merchant(store, owner.merchant).await?;
    let sandbox = merchant.as_ref().is_some_and(|merchant| merchant.currency == Currency::XTS);
    let serves = merchant.is_some_and(|merchant| {
        merchant.status == MerchantStatus::Approved && ip_allowed(ip, &merchant.allowed_ips)
    });
    if serves && !merchant_may_ask(state, owner.merchant) {
        // Whoever asks too often is no stranger: a program that hears so books nothing.
        return Err(billing::Error::Busy);
    }
    Ok(serves.then_some(Guest { owner, sandbox }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_4_a_code_is_asked_for_with_and_without_its_root_and_stars() {
        for asked in ["123", "6655*123", "*6655*123#", "*6655*123", ""] {
            assert!(is_code(asked, "*6655*123#"), "{asked}");
        }
        for asked in ["6655", "23", "*123*6655#", "#123*6655 *", "1 2", "*"] {
            assert!(!is_code(asked, "*6655*123#"), "{asked}");
        }
    }

    #[test]
    fn s5_4_a_mobile_is_found_however_it_is_written() {
        let plan = NumberPlan::default();
        for written in ["09123456789", "+989123456789", "00989123456789", "989123456789"] {
            let query = Query { mobile: Some(written.into()), ..Query::default() };
            let mobile = asked(query, &plan, Vec::new()).unwrap().mobile;
            assert_eq!(mobile.as_deref(), Some("09123456789"), "{written}");
        }
    }
}
