//! `PlayVoice` to many: the numbers are kept as a task, which [`crate::campaigns`] carries out; and the page that says a code.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use billing::campaigns::{Campaign, CampaignNumber, CampaignState, NewNumber, Plan, Said, Takers};
use billing::rows::Company;
use dialect::sipcall::{
    Answer, Batch, CONTENT_TYPE, Code, CodeAsked, Echo, Fault, Lang, Login, Notice, Params,
    PlayVoice, Rules, Service, Stop, code_page,
};
use facts::media::Record;
use facts::scenario::{self, Scenario, Step};
use facts::sound::{Clip, Say, Spoken};
use facts::{CallCommand, Dialect, Party, Purpose, PushKind};

use super::body::{Came, Unread};
use super::play::{Callee, callee, command, pushes, refused, shown};
use super::{Asker, Gate, auth, body, lang, ours, tasks};
use crate::counters::count;
use crate::door::{answer, client_ip, ip_may_ask};
use crate::settings::View;
use crate::state::{ApiState, now};

/// Calls of one request at a time, at most; the merchant's own limit comes before.
const CONCURRENT: u32 = 1_000;
/// How long it rings for a code.
const RING: Duration = Duration::from_secs(60);
/// How often a code is said.
const TIMES: u8 = 2;
/// The announcement before it.
const CODE_IS: &str = "code-is";

/// Takes a notice to many, or, when anything of it is wrong, none; and whose it is.
pub(super) async fn take(
    state: &ApiState,
    view: &View,
    params: &Params,
    ip: IpAddr,
) -> (Result<Answer, Stop>, Option<Asker>) {
    let (login, asked) = match Batch::read(Rules(params)) {
        Ok(read) => read,
        Err(fault) => return (Err(fault.into()), None),
    };
    match auth::asker(state, view, &login, ip).await {
        Err(stop) => (Err(stop), None),
        Ok(known) => {
            let gate = Gate { state, service: Service::PlayVoice, ip, known: known.clone() };
            (keep(gate, view, asked).await, known)
        }
    }
}

async fn keep(gate: Gate<'_>, view: &View, asked: Result<Batch, Code>) -> Result<Answer, Stop> {
    let state = gate.state;
    let asker = gate.open_by_key()?;
    let Batch { numbers, notice } = asked?;
    // Each would be refused later, where nobody is told.
    for number in &numbers {
        callee(state, view, asker.merchant.id, &notice.dialled(number)).await?;
    }
    if let Some(first) = numbers.first() {
        let whom = callee(state, view, asker.merchant.id, &notice.dialled(first)).await?;
        let asked = PlayVoice { destnumber: first.clone(), ..notice.play.clone() };
        command(state, view, &asker, asked, whom).await?;
    }
    let echo = &notice.play.echo;
    let said = Said {
        userid: echo.userid.clone(),
        memberid: String::new(),
        customuuid: echo.customuuid.clone(),
        ext: echo.chengshudu.clone(),
    };
    let number = |phone| NewNumber { phone, due: None, said: said.clone() };
    let numbers: Vec<NewNumber> = numbers.into_iter().map(number).collect();
    let campaign = Campaign {
        id: String::new(),
        merchant: asker.merchant.id,
        company: asker.company.companycode.clone(),
        name: "PlayVoice".to_owned(),
        plan: Plan {
            takers: Takers::Notice(serde_json::to_string(&notice).unwrap_or_default()),
            lines_per_agent: 1_000,
            predicts: false,
            concurrent: CONCURRENT,
            abandoned: 0,
            shown: Vec::new(),
        },
        begins: None,
        pauses: None,
        state: CampaignState::Running,
        created: now(),
    };
    let words = Answer::done("播放命令发送成功", "play command sent");
    tasks::keep(state, campaign, numbers, words).await
}

/// The call of a number of such a task; else why it cannot be called.
pub(crate) async fn notice(
    state: &ApiState,
    view: &View,
    (campaign, company): (&Campaign, &Arc<Company>),
    (request, row): (&str, &CampaignNumber),
) -> billing::Result<Result<CallCommand, &'static str>> {
    let store = &state.0.store;
    let Some(merchant) = view.merchant(store, campaign.merchant).await? else {
        return Ok(Err("invalid"));
    };
    let Ok(Notice { nation, play }) = serde_json::from_str::<Notice>(request) else {
        return Ok(Err("invalid"));
    };
    let asker = Asker { company: Arc::clone(company), merchant };
    let notice = Notice { nation, play };
    let phone = &row.number.phone;
    let dialled = notice.dialled(phone);
    let mut asked = PlayVoice { destnumber: phone.clone(), ..notice.play };
    asked.echo.taskid.clone_from(&campaign.id);
    let made = async {
        let whom = callee(state, view, campaign.merchant, &dialled).await?;
        command(state, view, &asker, asked, whom).await
    };
    match made.await {
        Ok(command) => Ok(Ok(CallCommand { key: Some(tasks::key(campaign, row)), ..command })),
        Err(Stop::Code(Code::NoFile)) => Ok(Err("no_file")),
        Err(Stop::Code(Code::NoGroup)) => Ok(Err("no_group")),
        Err(Stop::Code(Code::ForeignNumber)) => Ok(Err("bad_caller")),
        Err(Stop::Code(_)) => Ok(Err("invalid")),
        Err(Stop::Fault(fault)) => Err(billing::Error::Database(fault.msg(Lang::En))),
    }
}

/// `/api/voicecode`: a page of its own, with an answer of its own.
pub(super) async fn say_code(State(state): State<ApiState>, request: Request) -> Response {
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
            Stop::Code(code) => code.words(lang).to_owned(),
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
    let Callee { number, sub_account } =
        callee(state, view, asker.merchant.id, &asked.phone).await?;
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
    state.place(command).await.map_err(refused)?;
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
