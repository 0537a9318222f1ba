//! System 002 over HTTP: one entry for all services, answers always 200.
//!
//! Order of checks (merchant API §4.1): the address's rate, the service, the parameters by its rules, the token, the
//! account and when it ends, the module, the address, the account's rate; then what the service says.

mod auth;
mod bill;
mod body;
mod control;
mod desk;
mod form;
mod lang;
mod make;
mod many;
mod play;
mod recode;
mod say_code;
mod status;
mod tasks;
mod voice;

pub(crate) use body::{Held, Room};
pub(crate) use many::notice;
pub(crate) use play::pushes;
pub(crate) use tasks::key;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CONNECTION};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::Response;
use axum::routing::{any, get};
use billing::rows::{Company, Merchant, MerchantStatus};
use dialect::sipcall::{
    Answer, Batch, CONTENT_TYPE, Extensions, Fault, GetBill, Lang, Params, PlayVoice, Recode,
    Rules, Service, Stop, Token, body as envelope,
};

use body::{Came, Unread};
use form::File;

use crate::counters::count;
use crate::door::{answer, client_ip, closing, ip_allowed, ip_may_ask, merchant_may_ask};
use crate::settings::View;
use crate::state::{ApiState, now};

pub(crate) fn routes() -> Router<ApiState> {
    let entry = || any(handle);
    Router::new()
        .route("/", entry())
        .route("/index.php", entry())
        .route(MANY, entry())
        .route("/api/voicecode", any(say_code::page))
        .route("/download/{until}/{mark}/{file}", get(recode::download))
        .route("/{file}", any(recode::direct))
}

/// Where notices to many are taken as well.
const MANY: &str = "/api/yunhu";

async fn handle(State(state): State<ApiState>, request: Request) -> Response {
    if let Some(refused) = method(&request) {
        return refused;
    }
    let asked = now();
    let config = &state.0.config;
    let ip = client_ip(&request, &config.trusted_proxies);
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default().as_bytes();
    let came = match ip_may_ask(&state, ip) {
        true => body::read(&state, (&parts.headers, query), body, ip).await,
        false => Err(Unread::at_all(Fault::TooFrequent)),
    };
    let mut told = Vec::new();
    let unread = came.is_err();
    let (params, (outcome, known)) = match came {
        Err(Unread { params, stop }) => (params, (Err(stop), None)),
        Ok(Came { params, file, held }) => {
            let Some(service) = Service::of(&params) else {
                let words = "no service is named\n";
                return answer(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", words);
            };
            let done = match service {
                Err(fault) => (Err(fault.into()), None),
                Ok(service) => {
                    let many = parts.uri.path() == MANY;
                    serve(&state, (service, many), (&params, file), ip, &mut told).await
                }
            };
            // Its room is free when it was served.
            drop(held);
            (params, done)
        }
    };
    count(&state.0.counters.sipcall_requests);
    if let Err(stop) = &outcome {
        refused(&state, stop, ip);
    }
    let lang = lang::of(&state, known.as_ref(), &params).await;
    let body = envelope(outcome, lang, (asked, now()));
    if told.is_empty() {
        let mut response = answer(StatusCode::OK, CONTENT_TYPE, body);
        if unread {
            // There may be more of it on the way.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        return response;
    }
    // Not before it was written: what breaks off is told again.
    let body = bill::Told::new(body, move || {
        tokio::spawn(async move {
            if let Err(error) = state.0.store.bills_fetched(told).await {
                tracing::warn!(%error, "system 002: fetched records are told again");
            }
        });
    });
    answer(StatusCode::OK, CONTENT_TYPE, axum::body::Body::new(body))
}

/// Services do things: whoever only looks (HEAD) or means something else has none carried out. `None`: GET and POST, both of which
/// clients use.
fn method(request: &Request) -> Option<Response> {
    if matches!(*request.method(), Method::GET | Method::POST) {
        return None;
    }
    let words = "GET or POST\n";
    let mut response = closing(StatusCode::METHOD_NOT_ALLOWED, words);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST"));
    Some(response)
}

/// Counts a request that was refused. Not its parameters: a stranger writes them.
fn refused(state: &ApiState, stop: &Stop, ip: IpAddr) {
    count(&state.0.counters.sipcall_failures);
    let (ret, code) = match stop {
        Stop::Fault(fault) => (fault.ret(), 0),
        Stop::Code(code) => (200, code.number()),
    };
    tracing::info!(ret, code, %ip, "system 002 refused");
}

/// What came of it, and who asked, if that is known.
async fn serve(
    state: &ApiState,
    (service, many): (Service, bool),
    (params, file): (&Params, Option<File>),
    ip: IpAddr,
    told: &mut Vec<i64>,
) -> (Result<Answer, Stop>, Option<Asker>) {
    let view = match state.0.settings.current(&state.0.store).await {
        Ok(view) => view,
        Err(error) => return (Err(ours(error)), None),
    };
    if service == Service::Login {
        return auth::log_in(state, &view, Rules(params), ip).await;
    }
    if many && service == Service::PlayVoice && Batch::is_meant(params) {
        return many::take(state, &view, params, ip).await;
    }
    let known = match asker(state, &view, params).await {
        Ok(known) => known,
        Err(stop) => return (Err(stop), None),
    };
    let gate = Gate { state, service, ip, known: known.clone() };
    (run(gate, &view, (Rules(params), file), told).await, known)
}

/// Each service: its parameters, then the gate, then what it does. `told`: records that the answer tells.
async fn run(
    gate: Gate<'_>,
    view: &View,
    (rules, file): (Rules<'_>, Option<File>),
    told: &mut Vec<i64>,
) -> Result<Answer, Stop> {
    let state = gate.state;
    Token::read(rules)?;
    match gate.service {
        Service::Login => Err(Fault::Server.into()),
        Service::Logout => auth::log_out(state, &gate.open()?).await,
        Service::PlayVoice => {
            let asked = PlayVoice::read(rules)?;
            let asker = gate.open()?;
            play::play(state, view, &asker, asked?).await
        }
        Service::GetBill => {
            let asked = GetBill::read(rules)?;
            let asker = gate.open()?;
            let (answer, rows) = bill::bills(state, &asker, &asked?).await?;
            *told = rows;
            Ok(answer)
        }
        Service::GetRecodeFile => {
            let asked = Recode::read(rules)?;
            let asker = gate.open()?;
            recode::told(state, &asker, asked).await
        }
        Service::VoiceUpload | Service::VoiceList | Service::VoiceDelete => {
            voice::run(gate, file, rules).await
        }
        Service::AddExtgroup
        | Service::DelExtgroup
        | Service::GetGroupExt
        | Service::GetSipnumberInfo
        | Service::GetDisnumberInfo
        | Service::GetQueueList
        | Service::SipSignIn
        | Service::SipSignOut
        | Service::GetQueueSipStatus => desk::run(gate, view, rules).await,
        Service::GetSipRegisterStatus => {
            let asked = Extensions::read(rules)?;
            let asker = gate.open()?;
            status::register(state, view, &asker, asked?).await
        }
        Service::GetSipCallStatus => {
            let asked = Extensions::read(rules)?;
            let asker = gate.open()?;
            status::at(state, view, &asker, asked?).await
        }
        Service::MakeCall | Service::MakePloyCall | Service::DoubleCall => {
            make::run(gate, view, rules).await
        }
        Service::HangupCall | Service::TransferCall | Service::SpyCall | Service::ForceCall => {
            control::run(gate, view, rules).await
        }
        Service::GetSipValidStatus => {
            let asked = Extensions::read(rules)?;
            let asker = gate.open()?;
            status::in_use(state, view, &asker, asked?).await
        }
        Service::TaskCreat
        | Service::TaskAdd
        | Service::TaskList
        | Service::TaskInfo
        | Service::TaskSet => tasks::run(gate, view, rules).await,
    }
}

/// Who asks.
#[derive(Clone, Debug)]
struct Asker {
    company: Arc<Company>,
    merchant: Arc<Merchant>,
}

impl Asker {
    /// The language that it is answered in.
    fn lang(&self) -> Lang {
        Lang::of(self.company.language.as_ref().unwrap_or(&self.merchant.language))
    }

    /// May it do business?
    fn authorized(&self) -> Result<(), Fault> {
        let Asker { company, merchant } = self;
        if !company.active || merchant.status != MerchantStatus::Approved {
            return Err(Fault::AppId);
        }
        if company.expires.is_some_and(|end| end <= now()) { Err(Fault::Expired) } else { Ok(()) }
    }

    /// The language of what is said to those whom it calls.
    fn language(&self) -> String {
        self.company.language.as_ref().unwrap_or(&self.merchant.language).clone()
    }

    /// May it ask from this address?
    fn from(&self, ip: IpAddr) -> Result<(), Fault> {
        let Asker { company, merchant } = self;
        let may = ip_allowed(ip, &company.allowed_ips) && ip_allowed(ip, &merchant.allowed_ips);
        if may { Ok(()) } else { Err(Fault::Address) }
    }

    /// May it ask from this address, and now?
    fn heard(&self, state: &ApiState, ip: IpAddr) -> Result<(), Fault> {
        self.from(ip)?;
        let may = merchant_may_ask(state, self.merchant.id);
        if may { Ok(()) } else { Err(Fault::TooFrequent) }
    }
}

/// What stands between a request whose parameters are in order and its service.
struct Gate<'a> {
    state: &'a ApiState,
    service: Service,
    ip: IpAddr,
    /// Whose the token is, if it is anybody's.
    known: Option<Asker>,
}

impl Gate<'_> {
    /// The same, where a key is shown in place of a token.
    fn open_by_key(self) -> Result<Asker, Stop> {
        if self.known.is_none() { Err(Fault::AppId.into()) } else { self.open() }
    }

    /// Lets whoever asks through.
    fn open(self) -> Result<Asker, Stop> {
        let asker = self.known.ok_or(Fault::Token)?;
        asker.authorized()?;
        let modules = &asker.company.modules;
        let closed = |module: String| !modules.is_empty() && !modules.contains(&module);
        if self.service.module().is_some_and(closed) {
            return Err(Fault::Module.into());
        }
        asker.heard(self.state, self.ip)?;
        Ok(asker)
    }
}

/// Whose the token of a request is.
async fn asker(state: &ApiState, view: &View, params: &Params) -> Result<Option<Asker>, Stop> {
    let store = &state.0.store;
    let Ok(Token(token)) = Token::read(Rules(params)) else { return Ok(None) };
    let Some(code) = store.company_of_token(&token, now()).await.map_err(ours)? else {
        return Ok(None);
    };
    let Some(company) = view.company(store, &code).await.map_err(ours)? else { return Ok(None) };
    let merchant = view.merchant(store, company.merchant).await.map_err(ours)?;
    Ok(merchant.map(|merchant| Asker { company, merchant }))
}

/// A fault of our own: logged here, told as 500.
#[allow(clippy::needless_pass_by_value, reason = "the shape map_err wants")]
fn ours(error: billing::Error) -> Stop {
    tracing::warn!(%error, "system 002: the store failed");
    Fault::Server.into()
}
