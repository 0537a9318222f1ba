//! `PlayVoice` to many: the numbers are kept as a task, which [`crate::campaigns`] carries out.

use std::net::IpAddr;
use std::sync::Arc;

use billing::campaigns::{
    Campaign, CampaignNumber, CampaignState, NewNumber, Plan, Request, Said, Takers,
};
use billing::rows::Company;
use dialect::sipcall::{
    Answer, Batch, Code, Lang, Notice, Params, PlayVoice, Rules, Service, Stop,
};
use facts::CallCommand;
use sha2::{Digest as _, Sha256};

use super::play::{callee, command};
use super::{Asker, Gate, auth, ours, tasks};
use crate::campaigns::Refused;
use crate::settings::{View, meant};
use crate::state::{ApiState, now};

/// Calls of one request at a time, at most; the merchant's own limit comes before.
const CONCURRENT: u32 = 1_000;

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
    let words = Answer::done("播放命令发送成功", "play command sent");
    let request = request(&asker.company, &numbers, &notice);
    // What was taken once is taken, whatever became of its sound or its group since.
    if let Some(request) = &request {
        let company = &asker.company.companycode;
        let known = state.0.store.campaign_asked(company, request, now()).await.map_err(ours)?;
        if let Some(known) = known {
            return tasks::told_of(known, (String::new(), words));
        }
    }
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
        ..Said::default()
    };
    let number = |phone: String| NewNumber {
        meant: meant(view, &phone),
        phone,
        due: None,
        said: said.clone(),
    };
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
            own: None,
        },
        begins: None,
        pauses: None,
        state: CampaignState::Running,
        created: now(),
    };
    tasks::keep(state, campaign, (numbers, request), words).await
}

/// Where the company wants it, its own name of a request makes it one.
fn request(company: &Company, numbers: &[String], notice: &Notice) -> Option<Request> {
    let name = notice.play.echo.customuuid.clone();
    let wanted = company.dedupe_customuuid && !name.is_empty();
    let Notice { nation, play } = notice;
    wanted.then(|| {
        let said = format!("{nation}\n{}\n{}", play.said(), numbers.join(","));
        Request { name, fingerprint: hex::encode(Sha256::digest(said.as_bytes())) }
    })
}

/// The call of a number of such a task; else why it cannot be called.
pub(crate) async fn notice(
    state: &ApiState,
    view: &View,
    (campaign, company): (&Campaign, &Arc<Company>),
    (request, row): (&str, &CampaignNumber),
) -> billing::Result<Result<CallCommand, Refused>> {
    let store = &state.0.store;
    let Some(merchant) = view.merchant(store, campaign.merchant).await? else {
        return Ok(Err(Refused::Pause("merchant_disabled")));
    };
    let Ok(Notice { nation, play }) = serde_json::from_str::<Notice>(request) else {
        return Ok(Err(Refused::All("invalid")));
    };
    let asker = Asker { company: Arc::clone(company), merchant };
    let notice = Notice { nation, play };
    let phone = &row.number.phone;
    let dialled = notice.dialled(phone);
    let mut asked = PlayVoice { destnumber: phone.clone(), ..notice.play };
    asked.echo.taskid.clone_from(&campaign.id);
    let refused = |stop: Stop, refused| match stop {
        Stop::Code(_) => Ok(Err(refused)),
        Stop::Fault(fault) => Err(billing::Error::Database(fault.msg(Lang::En))),
    };
    let whom = match callee(state, view, campaign.merchant, &dialled).await {
        Ok(whom) => whom,
        Err(stop) => return refused(stop, Refused::Never("invalid")),
    };
    match command(state, view, &asker, asked, whom).await {
        Ok(command) => Ok(Ok(CallCommand { key: Some(tasks::key(campaign, row)), ..command })),
        Err(stop) => {
            let why = match stop {
                Stop::Code(Code::NoFile) => "no_file",
                Stop::Code(Code::NoGroup) => "no_group",
                Stop::Code(Code::ForeignNumber) => "bad_caller",
                Stop::Code(_) | Stop::Fault(_) => "invalid",
            };
            refused(stop, Refused::All(why))
        }
    }
}
