//! The vendor's doors for short messages (spec §5.5): codes, lines and messages by token, `SendSingleSMS` by SOAP and forms.
//! Paths are read in any case, as the vendor's own server does.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use billing::Once;
use billing::rows::MerchantStatus;
use billing::sms::{Account, DAY, Line, Sale, Sold};
use dialect::inoti::page::mobile;
use dialect::inoti::sms::{
    ActiveLine, Otp, Refused, active_lines, answer as told, fit, numbers, object,
};
use dialect::inoti::soap::{self, SMS};
use dialect::text::decode;
use facts::{Number, NumberPlan};

use super::hooks::form as form_fields;
use crate::counters::count;
use crate::door::{answer, client_ip, ip_allowed, ip_may_ask, merchant_may_ask, read_body, source};
use crate::guests::Judged;
use crate::inoti::{busy, faulted, kept_nowhere, not_allowed, only};
use crate::samples::base;
use crate::state::{ApiState, now};

const JSON: &str = "application/json; charset=utf-8";
/// Bytes of a request at most.
const BODY_MAX: usize = 64 * 1024;
/// The line that means the usual one.
const USUAL: &str = "0";
/// How long a code is worth sending: whoever waits for it asks for another one then.
const CODE_LIFE: Duration = Duration::from_secs(600);

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Door {
    /// A one-time code.
    Otp,
    /// The lines of a token.
    Lines,
    /// A message by token.
    Send,
    /// The service of `SendSingleSMS`, its description, a page of help.
    Service,
    /// `SendSingleSMS` as a form.
    Form,
}

/// Which of them is at a path.
pub(crate) fn at(path: &str) -> Option<Door> {
    Some(match path.to_ascii_lowercase().trim_end_matches('/') {
        "/api/smsapi/otp" => Door::Otp,
        "/api/smsapi/activelines" => Door::Lines,
        "/api/smsapi/send" => Door::Send,
        "/_services/inotisms.asmx" => Door::Service,
        "/_services/inotisms.asmx/sendsinglesms" => Door::Form,
        _ => return None,
    })
}

type Values = BTreeMap<String, String>;

/// Why there is no answer of the door's own.
enum Trouble {
    /// Too much was asked.
    TooMany,
    /// Not this method.
    Method,
    /// Nor this one: a question has a body here.
    Get,
    /// The body could not be read.
    Response(Box<Response>),
}

pub(crate) async fn serve(state: ApiState, door: Door, request: Request) -> Response {
    count(&state.0.counters.sms_requests);
    let ip = client_ip(&request, &state.0.config.trusted_proxies);
    if !ip_may_ask(&state, ip) {
        return busy();
    }
    let done = match door {
        Door::Otp | Door::Lines | Door::Send => by_token(&state, (door, ip), request).await,
        Door::Service => service(&state, ip, request).await,
        Door::Form => form(&state, ip, request).await,
    };
    kept_nowhere(match done {
        Ok(response) => response,
        Err(Trouble::TooMany) => busy(),
        Err(Trouble::Method) => not_allowed(),
        Err(Trouble::Get) => only("POST\n", "POST"),
        Err(Trouble::Response(response)) => *response,
    })
}

/// Fields of the query, of a form or of a JSON object, by their names in small letters. `None`: the body begins like an
/// object of JSON and is none.
async fn values(state: &ApiState, request: Request) -> Result<Option<Values>, Trouble> {
    let (parts, body) = request.into_parts();
    let mut values = form_fields(parts.uri.query().unwrap_or_default().as_bytes());
    if parts.method == Method::POST {
        let body = body_of(state, &parts.headers, body).await?;
        let text = decode(&body);
        match object(&text) {
            Some(json) => values.extend(json),
            None if text
                .trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n'])
                .starts_with('{') =>
            {
                return Ok(None);
            }
            None => values.extend(form_fields(&body)),
        }
    } else if parts.method != Method::GET {
        return Err(Trouble::Method);
    }
    Ok(Some(values))
}

async fn body_of(
    state: &ApiState,
    headers: &HeaderMap,
    body: axum::body::Body,
) -> Result<bytes::Bytes, Trouble> {
    let patience = state.0.config.body_timeout;
    let read = read_body(state, headers, body, BODY_MAX, patience).await;
    read.map_err(|response| Trouble::Response(Box::new(response)))
}

async fn by_token(
    state: &ApiState,
    (door, ip): (Door, IpAddr),
    request: Request,
) -> Result<Response, Trouble> {
    if door != Door::Send && request.method() != Method::POST {
        return Err(Trouble::Get);
    }
    let Some(values) = values(state, request).await? else {
        return Ok(json(state, door, Err(Refused::Unread)));
    };
    let field = |name: &str| values.get(name).map(String::as_str);
    let account = match holder(state, ip, field("token").unwrap_or_default().trim()).await? {
        Ok(account) => account,
        Err(refused) => return Ok(json(state, door, Err(refused))),
    };
    let came = match door {
        Door::Lines => {
            let lines: Vec<ActiveLine> = account.lines.iter().map(listed).collect();
            return Ok(answer(StatusCode::OK, JSON, active_lines(Ok(&lines))));
        }
        Door::Otp => match Otp::read(field, &account.company) {
            Ok(otp) => send(state, &account, (USUAL, &otp.mobile, &otp.text), CODE_LIFE).await,
            Err(refused) => Err(refused),
        },
        Door::Send | Door::Service | Door::Form => {
            let given = |name| field(name).unwrap_or_default();
            let what = (given("lineno"), given("mobilenumbers"), given("message"));
            send(state, &account, what, DAY).await
        }
    };
    Ok(json(state, door, came))
}

fn listed(line: &Line) -> ActiveLine {
    ActiveLine {
        line_number: line.number.clone(),
        line_type: line.kind.clone(),
        price_en: line.price_en,
        price_fa: line.price_fa,
    }
}

fn json(state: &ApiState, door: Door, came: Result<i64, Refused>) -> Response {
    let body = match (door, came) {
        (Door::Lines, Err(refused)) => active_lines(Err(refused)),
        (_, came) => told(came),
    };
    if came.is_err() {
        count(&state.0.counters.sms_refused);
    }
    answer(StatusCode::OK, JSON, body)
}

/// Whose a token is.
async fn holder(
    state: &ApiState,
    ip: IpAddr,
    token: &str,
) -> Result<Result<Account, Refused>, Trouble> {
    if token.is_empty() {
        return Ok(Err(Refused::NoToken));
    }
    let account = match state.0.store.sms_account_by_token(token).await {
        Ok(account) => account,
        Err(error) => return Ok(Err(away(&error))),
    };
    let Some(account) = account else {
        count(&state.0.counters.bad_signatures);
        let may = state.0.wrong_keys.take((source(ip), "sms-token".to_owned()), Instant::now());
        return if may { Ok(Err(Refused::BadToken)) } else { Err(Trouble::TooMany) };
    };
    serves(state, ip, account).await
}

/// Whether an account may be used from here.
async fn serves(
    state: &ApiState,
    ip: IpAddr,
    account: Account,
) -> Result<Result<Account, Refused>, Trouble> {
    let merchant = match state.0.store.merchant(account.merchant).await {
        Ok(merchant) => merchant,
        Err(error) => return Ok(Err(away(&error))),
    };
    let good = merchant.is_some_and(|merchant| {
        merchant.status == MerchantStatus::Approved && ip_allowed(ip, &merchant.allowed_ips)
    });
    if !good || !account.active {
        return Ok(Err(Refused::NotYou));
    }
    if !merchant_may_ask(state, account.merchant) {
        return Err(Trouble::TooMany);
    }
    Ok(Ok(account))
}

fn away(error: &billing::Error) -> Refused {
    tracing::warn!(%error, "a short message cannot be taken");
    Refused::NotNow
}

/// Writes messages; the id of the first.
async fn send(
    state: &ApiState,
    account: &Account,
    (line, list, text): (&str, &str, &str),
    life: Duration,
) -> Result<i64, Refused> {
    let store = &state.0.store;
    let gateway =
        store.sms_gateway().await.map_err(|error| away(&error))?.ok_or(Refused::NotNow)?;
    let view = state.0.settings.current(store).await.map_err(|error| away(&error))?;
    fit(text, &gateway.bad_words)?;
    let number = line.trim();
    let usual = number.is_empty() || number == USUAL;
    let line = account.lines.iter().find(|line| usual || line.number == number);
    let line = line.ok_or(Refused::Line)?.clone();
    let mut recipients = Vec::new();
    for written in numbers(list)? {
        let number = recipient(&view.plan, written).ok_or(Refused::Number)?;
        if !recipients.contains(&number) {
            recipients.push(number);
        }
    }
    let (merchant, text) = (account.merchant, text.to_owned());
    let sale = Sale { merchant, line, recipients, text, life };
    let once = Once::fresh().map_err(|error| away(&error))?;
    match store.sell_sms(once, sale, now()).await.map_err(|error| away(&error))? {
        Sold::Now(ids) => {
            state.0.sms_wake.notify_one();
            ids.first().copied().ok_or(Refused::Number)
        }
        Sold::Poor => Err(Refused::Credit),
        Sold::Full => Err(Refused::NotNow),
        Sold::Gone => Err(Refused::NotYou),
    }
}

/// A number that messages go to. An Iranian mobile is one in each of its forms, wherever the switch stands.
fn recipient(plan: &NumberPlan, written: &str) -> Option<String> {
    let digits: String = written.chars().filter(char::is_ascii_digit).collect();
    let odd = |c: char| !c.is_ascii_digit() && !matches!(c, '+' | ' ' | '-' | '(' | ')' | '.');
    if written.chars().any(odd) {
        return None;
    }
    for prefix in ["0098", "98", "0", ""] {
        if let Some(rest) = digits.strip_prefix(prefix)
            && rest.len() == 10
            && rest.starts_with('9')
            && mobile(plan, &format!("98{rest}")) == format!("0{rest}")
        {
            return Some(format!("98{rest}"));
        }
    }
    match plan.parse(written).ok()? {
        number @ (Number::E164(_) | Number::Internal(_)) => Some(number.digits().to_owned()),
        Number::Short(_) => None,
    }
}

/// Whose a name and a password are.
async fn login(
    state: &ApiState,
    ip: IpAddr,
    (username, password): (&str, &str),
) -> Result<Result<Account, Refused>, Trouble> {
    let name: String = format!("sms {username}").chars().take(64).collect();
    let key = (source(ip), name);
    let found = match state.0.store.sms_account(username).await {
        Ok(found) => found.filter(|account| !account.password.is_empty()),
        Err(error) => return Ok(Err(away(&error))),
    };
    let hash = found.as_ref().map(|account| account.password.clone());
    let counter = match state.0.guests.judge(key, hash, password).await {
        Ok(Judged::Right) => None,
        Ok(Judged::Locked) => Some(&state.0.counters.rate_limited),
        Ok(Judged::Wrong) => Some(&state.0.counters.bad_signatures),
        Err(_) => return Err(Trouble::TooMany),
    };
    counter.into_iter().for_each(count);
    match found.filter(|_| counter.is_none()) {
        Some(account) => serves(state, ip, account).await,
        None => Ok(Err(Refused::NotYou)),
    }
}

/// `SendSingleSMS`: the number of the message, or that of the refusal, as a text.
async fn single(
    state: &ApiState,
    ip: IpAddr,
    field: &(dyn Fn(&str) -> Option<String> + Sync),
) -> Result<String, Trouble> {
    let given = |name: &str| field(name).unwrap_or_default();
    let [name, password, line, to, text] = SMS.fields else { return Ok(String::new()) };
    let (username, password) = (given(name), given(password));
    let came = match login(state, ip, (username.trim(), &password)).await? {
        Ok(account) => {
            let one = given(to);
            match numbers(&one) {
                Ok(list) if list.len() == 1 => {
                    send(state, &account, (&given(line), &one, &given(text)), DAY).await
                }
                _ => Err(Refused::Number),
            }
        }
        Err(refused) => Err(refused),
    };
    if came.is_err() {
        count(&state.0.counters.sms_refused);
    }
    Ok(came.unwrap_or_else(Refused::status).to_string())
}

async fn form(state: &ApiState, ip: IpAddr, request: Request) -> Result<Response, Trouble> {
    let values = values(state, request).await?.unwrap_or_default();
    let field = |name: &str| values.get(&name.to_lowercase()).cloned();
    let result = single(state, ip, &field).await?;
    Ok(answer(StatusCode::OK, "text/xml; charset=utf-8", soap::plain(&result)))
}

async fn service(state: &ApiState, ip: IpAddr, request: Request) -> Result<Response, Trouble> {
    let here = format!("{}/_services/{}.asmx", base(state, request.headers()), SMS.name);
    let query = request.uri().query().unwrap_or_default().to_ascii_lowercase();
    match *request.method() {
        Method::POST => {}
        Method::GET | Method::HEAD if query.split('&').any(|word| word.starts_with("wsdl")) => {
            let wsdl = soap::wsdl(&SMS, &here);
            return Ok(answer(StatusCode::OK, "text/xml; charset=utf-8", wsdl));
        }
        Method::GET | Method::HEAD => return Ok(help(&here)),
        _ => return Err(Trouble::Method),
    }
    let (parts, body) = request.into_parts();
    let body = body_of(state, &parts.headers, body).await?;
    let request = match soap::read(&SMS, &decode(&body)) {
        Ok(request) => request,
        Err(fault) => return Ok(faulted(&parts.headers, fault)),
    };
    let field = |name: &str| request.field(name).map(str::to_owned);
    let result = single(state, ip, &field).await?;
    let body = soap::answer(&SMS, request.version, &result);
    Ok(answer(StatusCode::OK, request.version.content_type(), body))
}

/// What people see who open the address in a browser.
fn help(here: &str) -> Response {
    let here = here.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    let (name, operation) = (SMS.name, SMS.operation);
    let fields: String =
        SMS.fields.iter().map(|name| format!("<li><code>{name}</code></li>")).collect();
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{name}</title></head><body>\
         <h1>{name}</h1><p>The operation <b>{operation}</b> sends a short message. \
         <a href=\"?WSDL\">Service description</a>.</p><ul>{fields}</ul>\
         <p>SOAP 1.1 and 1.2: POST to <code>{here}</code>. Forms: GET or POST to <code>{here}/{operation}</code>.</p>\
         </body></html>\n"
    );
    let mut page = answer(StatusCode::OK, "text/html; charset=utf-8", page);
    let policy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    page.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_5_a_recipient_is_known_in_each_of_his_forms() {
        let plan = NumberPlan::default();
        for written in ["09123456789", "9123456789", "+98 912 345 6789", "00989123456789"] {
            assert_eq!(recipient(&plan, written).as_deref(), Some("989123456789"), "{written}");
        }
        assert_eq!(recipient(&plan, "13800138000").as_deref(), Some("8613800138000"));
        assert_eq!(
            [recipient(&plan, "110"), recipient(&plan, "x"), recipient(&plan, "")],
            [None, None, None]
        );
        assert_eq!(at("/API/smsapi/otp"), Some(Door::Otp));
        assert_eq!(
            (at("/api/SMSAPI/Otps"), at("/_Services/iNOTISMS.asmx/")),
            (None, Some(Door::Service))
        );
    }
}
