//! `App.Sip_Yccall`: tasks. What they are told here is carried out by [`crate::campaigns`].

use std::sync::Arc;

use billing::campaigns::{
    Campaign, CampaignNumber, CampaignState, Created, NewNumber, NumberState, Plan, Request, Said,
    Takers, Tally,
};
use billing::{Constraint, Once};
use dialect::sipcall::task::{self, Agents, NewTask, Page, Phone, Told, Turn};
use dialect::sipcall::{Answer, Code, Fault, Json, Rules, Service, Stop};
use facts::{Dialect, RequestKey};

use super::play::Groups;
use super::{Asker, Gate, form, ours};
use crate::settings::{View, meant};
use crate::state::{ApiState, now};

/// Of those who answer, so many thousandths may find nobody.
const ABANDONED: u16 = 30;
/// How often an id is drawn that is taken.
const DRAWS: u32 = 3;

/// Each of these services.
pub(super) async fn run(gate: Gate<'_>, view: &View, rules: Rules<'_>) -> Result<Answer, Stop> {
    let state = gate.state;
    match gate.service {
        Service::TaskCreat => {
            let asked = NewTask::read(rules)?;
            let asker = gate.open()?;
            let asked = asked?.timely(now())?;
            let phones = phones(asked.list).await?;
            create(state, view, &asker, (asked, phones)).await
        }
        Service::TaskAdd => {
            let (id, list) = task::read_add(rules)?;
            let asker = gate.open()?;
            add(state, view, &asker, (&id, phones(list).await?)).await
        }
        Service::TaskSet => {
            let (id, turn) = task::read_set(rules)?;
            set(state, &gate.open()?, &id, turn).await
        }
        Service::TaskInfo => {
            let (id, page) = (task::task_of(rules)?, task::page_of(rules)?);
            info(state, &gate.open()?, &id, page).await
        }
        _ => {
            let page = task::page_of(rules)?;
            list(state, &gate.open()?, page).await
        }
    }
}

/// The numbers of a list, of whom is known; a long one is read where nobody waits for the thread.
async fn phones(list: &str) -> Result<Vec<Phone>, Stop> {
    let text = list.to_owned();
    let read = form::apart(list.len(), move || task::phones_of(&text)).await;
    Ok(read.ok_or(Fault::Server)??)
}

/// Makes a task.
async fn create(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    (asked, phones): (NewTask<'_>, Vec<Phone>),
) -> Result<Answer, Stop> {
    let campaign = Campaign {
        id: String::new(),
        merchant: asker.merchant.id,
        company: asker.company.companycode.clone(),
        name: asked.name,
        plan: Plan {
            takers: takers(view, asker, asked.agents)?,
            lines_per_agent: asked.scale,
            predicts: asked.predicts,
            concurrent: asked.concurrent,
            abandoned: ABANDONED,
            shown: shown(view, asker, &asked.disnumbers)?,
            own: None,
        },
        begins: asked.scheduled,
        pauses: asked.paused,
        state: match asked.scheduled {
            None if asked.starts => CampaignState::Running,
            _ => CampaignState::Waiting,
        },
        created: now(),
    };
    let numbers: Vec<NewNumber> = phones.into_iter().map(|phone| number(view, phone)).collect();
    let words = Answer::done("任务创建成功", "task created");
    keep(state, campaign, (numbers, None), words).await
}

/// Keeps a task under an id that nobody has, and tells it with these words; one that was asked for
/// before, under the same name, as the one that it became.
pub(super) async fn keep(
    state: &ApiState,
    campaign: Campaign,
    (numbers, request): (Vec<NewNumber>, Option<Request>),
    words: Answer,
) -> Result<Answer, Stop> {
    let (store, numbers) = (&state.0.store, Arc::new(numbers));
    for _ in 0..DRAWS {
        let id = task::task_id(campaign.created, billing::campaigns::draw().map_err(ours)?);
        let drawn = Campaign { id: id.clone(), ..campaign.clone() };
        match store.create_campaign(drawn, Arc::clone(&numbers), request.clone()).await {
            Ok(created) => return told_of(created, (id, words)),
            Err(billing::Error::Conflict(Constraint::Campaigns)) => {
                return Err(Code::TooMany.into());
            }
            Err(billing::Error::Conflict(_)) => {}
            Err(error) => return Err(ours(error)),
        }
    }
    Err(Code::Failed.into())
}

/// Tells with these words which task a request has become.
pub(super) fn told_of(created: Created, (drawn, words): (String, Answer)) -> Result<Answer, Stop> {
    let (id, total) = match created {
        Created::Now(total) => (drawn, total),
        Created::Before(id, total) => (id, total),
        Created::OtherRequest => return Err(Code::Failed.into()),
    };
    let result = Some(Json::object([("taskid", id.into()), ("total", total.into())]));
    Ok(Answer { result, ..words })
}

/// The key of the call of a number: the same whenever it is tried.
pub(crate) fn key(campaign: &Campaign, row: &CampaignNumber) -> RequestKey {
    RequestKey {
        dialect: Dialect::Sipcall,
        key: billing::campaigns::try_key(&campaign.id, row.seq, row.tries),
        fingerprint: row.number.phone.clone(),
    }
}

/// Adds numbers to a task.
async fn add(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    (id, phones): (&str, Vec<Phone>),
) -> Result<Answer, Stop> {
    let numbers = phones.into_iter().map(|phone| number(view, phone)).collect();
    let company = &asker.company.companycode;
    let once = Once::fresh().map_err(ours)?;
    let store = &state.0.store;
    let known = match store.add_campaign_numbers(&once, now(), (company, id), numbers).await {
        Err(billing::Error::Conflict(Constraint::Campaigns)) => return Err(Code::TooMany.into()),
        known => known.map_err(ours)?,
    };
    let (stands, added) = known.ok_or(Code::NoTask)?;
    if stands == CampaignState::Ended {
        return Err(Code::TaskEnded.into());
    }
    let result = Some(Json::object([("added", added.into())]));
    Ok(Answer { result, ..Answer::done("号码添加成功", "numbers added") })
}

/// Starts, pauses or cancels a task. One that has ended stays so, and is told as that.
async fn set(state: &ApiState, asker: &Asker, id: &str, turn: Turn) -> Result<Answer, Stop> {
    let to = match turn {
        Turn::Start => CampaignState::Running,
        Turn::Pause => CampaignState::Paused,
        Turn::Cancel => CampaignState::Ended,
    };
    let company = &asker.company.companycode;
    match state.0.store.set_campaign(company, id, (to, now())).await.map_err(ours)? {
        None => Err(Code::NoTask.into()),
        Some(CampaignState::Ended) => Err(Code::TaskEnded.into()),
        Some(_) => Ok(Answer::done("任务设置成功", "task set")),
    }
}

/// The tasks of a company.
async fn list(state: &ApiState, asker: &Asker, page: Page) -> Result<Answer, Stop> {
    let company = &asker.company.companycode;
    let skip = u64::from(page.number - 1) * u64::from(page.rows);
    let (total, tasks) = state.0.store.campaigns(company, skip, page.rows).await.map_err(ours)?;
    let tasks = tasks.iter().map(|(campaign, tally)| told(campaign, *tally).json(None));
    Ok(found(Json::object([
        ("totalitems", total.into()),
        ("currentpage", u64::from(page.number).into()),
        ("itemsperpage", u64::from(page.rows).into()),
        ("tasks", Json::list(tasks)),
    ])))
}

/// A task, and what has become of its numbers.
async fn info(state: &ApiState, asker: &Asker, id: &str, page: Page) -> Result<Answer, Stop> {
    let (store, company) = (&state.0.store, &asker.company.companycode);
    let (campaign, tally) = store.campaign(company, id).await.map_err(ours)?.ok_or(Code::NoTask)?;
    let skip = i64::from(page.number - 1) * i64::from(page.rows);
    let numbers = store.campaign_numbers(id, skip, page.rows).await.map_err(ours)?;
    let phones = Json::list(numbers.iter().map(phone));
    Ok(found(told(&campaign, tally).json(Some(phones))))
}

fn found(result: Json) -> Answer {
    Answer { result: Some(result), ..Answer::done("查询成功", "query succeeded") }
}

/// The numbers that are shown: the company's own, those that were asked for or all.
fn shown(view: &View, asker: &Asker, asked: &[String]) -> Result<Vec<String>, Code> {
    let own = &asker.company.callers;
    if asked.is_empty() {
        return Ok(own.clone());
    }
    let known = |number: &String| {
        let parsed = view.plan.parse(number).ok()?;
        own.iter().find(|digits| *digits == parsed.digits()).cloned()
    };
    asked.iter().map(known).collect::<Option<Vec<_>>>().ok_or(Code::ForeignNumber)
}

/// Who takes the calls: extensions and groups of the merchant.
fn takers(view: &View, asker: &Asker, agents: Agents) -> Result<Takers, Code> {
    let mine = asker.merchant.id;
    match agents {
        Agents::Extensions(extensions) => {
            let known = |number: &String| view.extensions.get(number);
            match extensions.iter().map(known).collect::<Option<Vec<_>>>() {
                Some(known) if known.iter().all(|extension| extension.merchant == mine) => {
                    Ok(Takers::Extensions(extensions))
                }
                Some(_) => Err(Code::ForeignExtension),
                None => Err(Code::NoExtension),
            }
        }
        Agents::Group(name) => {
            let number = Groups { view, merchant: mine }.number(&name)?;
            Ok(Takers::Group(number.digits().to_owned()))
        }
    }
}

fn number(view: &View, phone: Phone) -> NewNumber {
    let [userid, memberid, customuuid, ext] = phone.echo;
    let said = Said { userid, memberid, customuuid, ext, ..Said::default() };
    NewNumber { meant: meant(view, &phone.phone), phone: phone.phone, due: phone.time, said }
}

fn told(campaign: &Campaign, tally: Tally) -> Told {
    let in_vain = match campaign.plan.takers {
        Takers::Notice(_) | Takers::Scenario(_) => 0,
        Takers::Group(_) | Takers::Extensions(_) => tally.answered.saturating_sub(tally.joined),
    };
    Told {
        id: campaign.id.clone(),
        name: campaign.name.clone(),
        state: match campaign.state {
            CampaignState::Waiting => Code::TaskWaiting,
            CampaignState::Running => Code::TaskRunning,
            CampaignState::Paused => Code::TaskPaused,
            CampaignState::Ended => Code::TaskEnded,
        },
        created: campaign.created,
        numbers: [tally.total, tally.waiting, tally.calling, tally.done, tally.refused],
        answered: [tally.answered, tally.joined, in_vain],
    }
}

/// A number, as clients of tasks read it.
fn phone(number: &CampaignNumber) -> Json {
    let called = !matches!(number.state, NumberState::Waiting);
    let status = if called { Code::Called } else { Code::Uncalled };
    let said = &number.number.said;
    let yes = |truth| if truth { 1_u64 } else { 0 };
    Json::object([
        ("phone", (&number.number.phone).into()),
        ("status", status.number().into()),
        ("answered", yes(number.answered).into()),
        ("connected", yes(number.joined).into()),
        ("reason", number.why.as_deref().unwrap_or_default().into()),
        ("userid", (&said.userid).into()),
        ("memberid", (&said.memberid).into()),
        ("customuuid", (&said.customuuid).into()),
        ("ext", (&said.ext).into()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s4_9_whoever_heard_a_notice_waited_for_nobody() {
        let plan = |takers| Plan {
            takers,
            lines_per_agent: 1_000,
            predicts: false,
            concurrent: 100,
            abandoned: ABANDONED,
            shown: vec![],
            own: None,
        };
        let of = |takers| Campaign {
            id: "1".into(),
            merchant: facts::MerchantId(1),
            company: "1".into(),
            name: String::new(),
            plan: plan(takers),
            begins: None,
            pauses: None,
            state: CampaignState::Ended,
            created: facts::UnixMillis(0),
        };
        let tally = Tally { total: 5, done: 5, answered: 3, joined: 1, ..Tally::default() };
        assert_eq!(told(&of(Takers::Notice(String::new())), tally).answered, [3, 1, 0]);
        assert_eq!(told(&of(Takers::Group("80100".into())), tally).answered, [3, 1, 2]);
    }
}
