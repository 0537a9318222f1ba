//! The page that says a code: it asks with a key, and has an answer of its own.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use dialect::sipcall::{
    CONTENT_TYPE, Code, CodeAsked, Echo, Fault, Login, Params, Rules, Service, Stop, code_page,
};
use facts::media::Record;
use facts::scenario::{self, Scenario, Step};
use facts::sound::{Clip, Say, Spoken};
use facts::{CallCommand, Dialect, Party, Purpose, PushKind};

use super::body::{Came, Unread};
use super::play::{Callee, callee, pushes, refused, shown};
use super::{Asker, Gate, auth, body, lang, ours};
use crate::counters::count;
use crate::door::{answer, client_ip, ip_may_ask};
use crate::settings::View;
use crate::state::ApiState;

/// How long it rings for a code.
const RING: Duration = Duration::from_secs(60);
/// How often a code is said.
const TIMES: u8 = 2;
/// The announcement before it.
const CODE_IS: &str = "code-is";

/// `/api/voicecode`.
pub(super) async fn page(State(state): State<ApiState>, request: Request) -> Response {
    if let Some(refused) = super::method(&request) {
        return refused;
    }
    let ip = client_ip(&request, &state.0.config.trusted_proxies);
    count(&state.0.counters.sipcall_requests);
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default().as_bytes();
    let came = match ip_may_ask(&state, ip) {
        true => body::read(&state, (&parts.headers, query), body, ip).await,
        false => Err(Unread::at_all(Fault::TooFrequent)),
    };
    let (params, (outcome, known)) = match came {
        Err(Unread { params, stop }) => (params, (Err(stop), None)),
        Ok(Came { params, .. }) => {
            let done = coded(&state, &params, ip).await;
            (params, done)
        }
    };
    let lang = lang::of(&state, known.as_ref(), &params).await;
    let outcome = outcome.map_err(|stop| {
        super::refused(&state, &stop, ip);
        match stop {
            Stop::Fault(fault) => fault.msg(lang),
            Stop::Code(code) => code.told(lang),
        }
    });
    answer(StatusCode::OK, CONTENT_TYPE, code_page(&outcome))
}

async fn coded(
    state: &ApiState,
    params: &Params,
    ip: IpAddr,
) -> (Result<String, Stop>, Option<Asker>) {
    let read = async {
        let asked = CodeAsked::read(Rules(params))?;
        let view = state.0.settings.current(&state.0.store).await.map_err(ours)?;
        let login = match &asked {
            Ok(asked) => asked.login.clone(),
            Err(_) => Login::read(Rules(params))?,
        };
        let known = auth::asker(state, &view, &login, ip).await?;
        Ok((asked, view, known))
    };
    match read.await {
        Err(stop) => (Err(stop), None),
        Ok((asked, view, known)) => {
            let gate = Gate { state, service: Service::PlayVoice, ip, known: known.clone() };
            (code(gate, &view, asked).await, known)
        }
    }
}

/// Rings somebody and says a code; the name that the record will bear.
async fn code(gate: Gate<'_>, view: &View, asked: Result<CodeAsked, Code>) -> Result<String, Stop> {
    let state = gate.state;
    let asker = gate.open_by_key()?;
    let asked = asked?;
    let company = asker.company.as_ref();
    let callee = callee(state, view, asker.merchant.id, &asked.phone).await;
    let Callee { number, sub_account } = callee.map_err(|stop| stop.about("phone"))?;
    let mut lot = [0_u8; 16];
    getrandom::fill(&mut lot).map_err(|_| Fault::Server)?;
    let echo = Echo { customuuid: hex::encode(lot), ..Echo::default() };
    let shown = shown(company, view, None)?;
    let told = shown.as_ref().map(|number| view.plan.national(number)).unwrap_or_default();
    let mut pushes = pushes(company, (&asked.phone, &echo.customuuid), told, ("6", ""));
    pushes.retain(|push| push.kind == PushKind::Record);
    let command = CallCommand {
        dialect: Dialect::Sipcall,
        merchant: asker.merchant.id,
        sub_account,
        app: company.companycode.clone(),
        key: None,
        pushes,
        a: Party { number, as_sent: asked.phone, shown, ring: RING },
        b: None,
        scenario: Some(Arc::new(said(&asker, asked.code, asked.language)?)),
        conference: None,
        purpose: Purpose::Code,
        max_talk: None,
        record: Record::No,
        custom: serde_json::to_string(&echo).unwrap_or_default(),
    };
    state.place(command).await.map_err(|refusal| refused(refusal).about("phone"))?;
    Ok(echo.customuuid)
}

/// The code behind what is said before it. Of the languages that the page knows we have English; whoever asks for another
/// hears that.
fn said(asker: &Asker, code: String, asked: &str) -> Result<Scenario, Stop> {
    let language = match asked {
        "" => asker.language(),
        _ => "en".to_owned(),
    };
    let parts = vec![Spoken::Prompt(CODE_IS.to_owned()), Spoken::Spelled(code)];
    let clip = Clip::Say(Say { language, parts });
    Scenario::new(vec![Step::Say(scenario::Say::only(vec![clip], TIMES))]).map_err(|fault| {
        tracing::error!(%fault, "system 002: a code makes no scenario");
        Fault::Server.into()
    })
}
