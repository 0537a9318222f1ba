//! `/_services/ExternalUssdPay.asmx`: merchants' programs of system 003 ask what was paid (`GetPayments`, spec §5.4). SOAP
//! 1.1 and 1.2, forms by GET and POST, the description that clients are made from, and a page of help.

mod help;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
use tokio::sync::Semaphore;

use crate::counters::count;
use crate::door::{answer, client_ip, ip_allowed, ip_may_ask, merchant_may_ask, read_body, source};
use crate::samples::{Language, base, html};
use crate::settings::View;
use crate::state::ApiState;

/// The service by its own name; either part in any case, as the vendor's own server has it.
const FOLDER: &str = "_services";
const SERVICE: &str = "ExternalUssdPay.asmx";
/// Wrong passwords under one name from one address, within this time, after which it waits.
const WRONG_MAX: usize = 10;
const WRONG_WITHIN: Duration = Duration::from_secs(600);
/// For so long.
const LOCKED: Duration = Duration::from_secs(900);
/// Names of which wrong passwords are remembered, and those whose right ones are.
const NAMES_MAX: usize = 16_384;
/// Passwords that wait to be stretched at most.
const WAITING_MAX: usize = 64;
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
    let mut response =
        answer(StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", "GET or POST\n");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
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
    let owner = match guests.judge((source(ip), name), found, password).await? {
        Judged::Known(owner) => owner,
        Judged::Locked => {
            count(&state.0.counters.rate_limited);
            return Ok(None);
        }
        Judged::Wrong => {
            count(&state.0.counters.bad_signatures);
            return Ok(None);
        }
    };
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

/// What a password came to.
enum Judged {
    Known(Owner),
    Wrong,
    /// There were too many wrong ones.
    Locked,
}

/// What is remembered of those who ask.
#[derive(Debug)]
pub(crate) struct Guests {
    /// Passwords are stretched one after the other: a lock holds for all that wait behind the one that brought it.
    turn: Semaphore,
    waiting: AtomicUsize,
    wrong: Mutex<BTreeMap<(IpAddr, String), Wrong>>,
    /// Hashes of passwords, each with the one that fitted: to stretch it again takes tens of milliseconds.
    right: Mutex<BTreeMap<String, [u8; 32]>>,
}

#[derive(Debug, Default)]
struct Wrong {
    at: VecDeque<Instant>,
    until: Option<Instant>,
}

impl Default for Guests {
    fn default() -> Guests {
        Guests {
            turn: Semaphore::new(1),
            waiting: AtomicUsize::new(0),
            wrong: Mutex::default(),
            right: Mutex::default(),
        }
    }
}

impl Guests {
    /// Whether a password is that of whoever has the name. A name that nobody has takes as long as a wrong password.
    async fn judge(
        &self,
        key: (IpAddr, String),
        found: Option<Owner>,
        password: &str,
    ) -> billing::Result<Judged> {
        if self.is_locked(&key, Instant::now()) {
            return Ok(Judged::Locked);
        }
        if let Some(owner) = found.as_ref().filter(|owner| self.remembers(owner, password)) {
            return Ok(Judged::Known(owner.clone()));
        }
        let _place = Place::take(&self.waiting).ok_or(billing::Error::Busy)?;
        let Ok(_turn) = self.turn.acquire().await else { return Err(billing::Error::Closed) };
        if self.is_locked(&key, Instant::now()) {
            return Ok(Judged::Locked);
        }
        Ok(match stretched(found, password).await {
            Some(owner) => {
                self.remember(&owner, password);
                Judged::Known(owner)
            }
            None => {
                self.wrong(key, Instant::now());
                Judged::Wrong
            }
        })
    }

    fn is_locked(&self, key: &(IpAddr, String), now: Instant) -> bool {
        lock(&self.wrong).get(key).and_then(|wrong| wrong.until).is_some_and(|until| now < until)
    }

    pub(crate) fn wrong(&self, key: (IpAddr, String), now: Instant) {
        let mut table = lock(&self.wrong);
        if table.len() >= NAMES_MAX && !table.contains_key(&key) {
            let fresh = |at: &Instant| now.saturating_duration_since(*at) < WRONG_WITHIN;
            table.retain(|_, wrong| {
                wrong.until.is_some_and(|until| now < until) || wrong.at.iter().any(fresh)
            });
            if table.len() >= NAMES_MAX {
                table.pop_first();
            }
        }
        let wrong = table.entry(key).or_default();
        wrong.at.push_back(now);
        while wrong.at.front().is_some_and(|at| now.saturating_duration_since(*at) >= WRONG_WITHIN)
        {
            wrong.at.pop_front();
        }
        if wrong.at.len() >= WRONG_MAX {
            wrong.at.clear();
            wrong.until = Some(now + LOCKED);
        }
    }

    fn remembers(&self, owner: &Owner, password: &str) -> bool {
        use subtle::ConstantTimeEq as _;
        let kept = lock(&self.right).get(&owner.password).copied();
        kept.is_some_and(|kept| bool::from(kept.ct_eq(&digest(owner, password))))
    }

    fn remember(&self, owner: &Owner, password: &str) {
        let mut right = lock(&self.right);
        if right.len() >= NAMES_MAX {
            right.clear();
        }
        right.insert(owner.password.clone(), digest(owner, password));
    }
}

fn digest(owner: &Owner, password: &str) -> [u8; 32] {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(format!("{}\n{password}", owner.password).as_bytes()).into()
}

/// The owner whose password it is. It is stretched once, whether there is an owner or not.
async fn stretched(found: Option<Owner>, password: &str) -> Option<Owner> {
    let password = password.to_owned();
    let judged = tokio::task::spawn_blocking(move || match found {
        Some(owner) => owner.knows(&password).then_some(owner),
        None => {
            Owner::nobody_knows(&password);
            None
        }
    });
    judged.await.ok().flatten()
}

/// A place among those who wait for their turn.
struct Place<'a>(&'a AtomicUsize);

impl Place<'_> {
    fn take(waiting: &AtomicUsize) -> Option<Place<'_>> {
        let place = Place(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < WAITING_MAX).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn s5_4_ten_wrong_passwords_in_ten_minutes_lock_for_fifteen() {
        let guests = Guests::default();
        let key = |name: &str| ("192.0.2.1".parse().unwrap(), name.to_owned());
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for nth in 0..9 {
            guests.wrong(key("a"), at(nth));
        }
        assert!(!guests.is_locked(&key("a"), at(9)));
        guests.wrong(key("a"), at(599));
        assert!(guests.is_locked(&key("a"), at(599)) && !guests.is_locked(&key("b"), at(599)));
        assert!(guests.is_locked(&key("a"), at(599 + 899)));
        assert!(!guests.is_locked(&key("a"), at(599 + 900)));
        // Ten in more than ten minutes are none.
        for nth in 0..30 {
            guests.wrong(key("c"), at(nth * 67));
        }
        assert!(!guests.is_locked(&key("c"), at(30 * 67)));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn s5_4_a_name_that_nobody_has_takes_as_long_and_guesses_at_once_are_counted() {
        let guests = Arc::new(Guests::default());
        let key = |name: &str| -> (IpAddr, String) { ("192.0.2.1".parse().unwrap(), name.into()) };
        // What a name that nobody has takes, and what one stretched hash does: the least of three, for the machine has
        // others to serve.
        let (mut nobody, mut hash) = (Duration::MAX, Duration::MAX);
        for nth in 0..3 {
            let start = Instant::now();
            Owner::nobody_knows("guess");
            hash = hash.min(start.elapsed());
            let start = Instant::now();
            guests.judge(key(&format!("n{nth}")), None, "guess").await.unwrap();
            nobody = nobody.min(start.elapsed());
        }
        assert!(nobody > hash / 2 && hash > Duration::from_millis(1), "{nobody:?} of {hash:?}");
        let at_once = async |count: usize, name: &dyn Fn(usize) -> String| {
            let mut all = tokio::task::JoinSet::new();
            for nth in 0..count {
                let (guests, key) = (Arc::clone(&guests), key(&name(nth)));
                all.spawn(async move { guests.judge(key, None, "guess").await });
            }
            all.join_all().await
        };
        // Forty at once: ten are stretched, and the others hear that it is too late.
        let judged = at_once(40, &|_| "a".to_owned()).await;
        let wrong = judged.iter().filter(|one| matches!(one, Ok(Judged::Wrong))).count();
        let locked = judged.iter().filter(|one| matches!(one, Ok(Judged::Locked))).count();
        assert_eq!((wrong, locked), (WRONG_MAX, 30));
        // More than may wait are told to come again.
        let judged = at_once(WAITING_MAX + 20, &|nth| format!("m{nth}")).await;
        assert!(judged.iter().any(Result::is_err));
        assert_eq!(guests.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn s5_4_a_code_is_asked_for_with_and_without_its_root_and_stars() {
        for asked in ["123", "6655*123", "*6655*123#", "*6655*123", ""] {
            assert!(is_code(asked, "*6655*123#"), "{asked}");
        }
        for asked in ["6655", "23", "*123*6655#", "1 2", "*"] {
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
