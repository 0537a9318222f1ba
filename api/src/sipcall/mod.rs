//! System 002 over HTTP: one entry for all services, answers always 200.
//!
//! Order of checks (merchant API §4.1): the address's rate, the service, the parameters by its rules, the token, the
//! account and when it ends, the module, the address, the account's rate; then what the service says.

mod auth;
mod bill;
mod control;
mod form;
mod make;
mod play;
mod status;
mod tasks;

pub(crate) use play::pushes;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::any;
use billing::rows::{Company, Merchant, MerchantStatus};
use dialect::sipcall::{
    Answer, CONTENT_TYPE, Extensions, Fault, GetBill, Lang, Params, PlayVoice, Rules, Service,
    Stop, Token, body,
};

use crate::counters::count;
use crate::door::{self, answer, client_ip, ip_allowed, ip_may_ask, merchant_may_ask};
use crate::settings::View;
use crate::state::{ApiState, now};

pub(crate) fn routes() -> Router<ApiState> {
    let entry = || any(handle);
    Router::new().route("/", entry()).route("/index.php", entry()).route("/api/yunhu", entry())
}

async fn handle(State(state): State<ApiState>, request: Request) -> Response {
    let asked = now();
    let config = &state.0.config;
    let ip = client_ip(&request, &config.trusted_proxies);
    let (parts, body) = request.into_parts();
    let (limit, patience) = (config.body_limit, config.body_timeout);
    let body = match door::read_body(&state, &parts.headers, body, limit, patience).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let mut params = Params::default();
    params.form(parts.uri.query().unwrap_or_default().as_bytes());
    form::read(&mut params, &body).await;
    let Some(service) = Service::of(&params) else {
        return answer(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "no service is named\n");
    };
    count(&state.0.counters.sipcall_requests);
    let mut told = Vec::new();
    let (outcome, lang) = match service {
        _ if !ip_may_ask(&state, ip) => (Err(Fault::TooFrequent.into()), Lang::default()),
        Err(fault) => (Err(fault.into()), Lang::default()),
        Ok(service) => serve(&state, service, &params, ip, &mut told).await,
    };
    if let Err(stop) = &outcome {
        count(&state.0.counters.sipcall_failures);
        // Not the parameters: a stranger writes them.
        let (ret, code) = match stop {
            Stop::Fault(fault) => (fault.ret(), 0),
            Stop::Code(code) => (200, code.number()),
        };
        tracing::info!(ret, code, %ip, "system 002 refused");
    }
    let body = self::body(outcome, lang, (asked, now()));
    if told.is_empty() {
        return answer(StatusCode::OK, CONTENT_TYPE, body);
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

async fn serve(
    state: &ApiState,
    service: Service,
    params: &Params,
    ip: IpAddr,
    told: &mut Vec<i64>,
) -> (Result<Answer, Stop>, Lang) {
    let view = match state.0.settings.current(&state.0.store).await {
        Ok(view) => view,
        Err(error) => return (Err(ours(error)), Lang::default()),
    };
    if service == Service::Login {
        return auth::log_in(state, &view, Rules(params), ip).await;
    }
    let known = match asker(state, &view, params).await {
        Ok(known) => known,
        Err(stop) => return (Err(stop), Lang::default()),
    };
    let lang = known.as_ref().map_or(Lang::default(), Asker::lang);
    let gate = Gate { state, service, ip, known };
    (run(gate, &view, Rules(params), told).await, lang)
}

/// Each service: its parameters, then the gate, then what it does. `told`: records that the answer tells.
async fn run(
    gate: Gate<'_>,
    view: &View,
    rules: Rules<'_>,
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

    /// May it ask from this address, and now?
    fn heard(&self, state: &ApiState, ip: IpAddr) -> Result<(), Fault> {
        let Asker { company, merchant } = self;
        if !ip_allowed(ip, &company.allowed_ips) || !ip_allowed(ip, &merchant.allowed_ips) {
            return Err(Fault::Address);
        }
        if merchant_may_ask(state, merchant.id) { Ok(()) } else { Err(Fault::TooFrequent) }
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
