//! `/v1/campaigns`: made, seen, added to, paused, resumed and cancelled. What they are told here is carried out by
//! [`crate::campaigns`], as tasks of system 002 are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode};
use billing::Constraint;
use billing::campaigns::{
    Added, Campaign as Row, CampaignNumber as NumberRow, CampaignState, Created, Known, NewNumber,
    NumberState, Own, Plan, Request, Said, Takers, Terms, home, try_key,
};
use billing::rows::Merchant;
use dialect::rest::{
    Body, Campaign, CampaignMade, CampaignNumber, Code, EventContext, FieldError, NewAgents,
    NewCampaign, NewNumbers, NewTarget, NumbersAdded, Op, Pacing, PacingNow, Page, Problem, Script,
    instant, parse_leniently,
};
use facts::scenario::Scenario;
use facts::{CallCommand, Dialect, Hours, Party, Purpose, RequestKey, UnixMillis};

use super::place::{
    REPLAYED, app, compile, compiled, confers as may_confer, created, key_of, may_show, pushes_of,
};
use super::{Asked, Asker, Reply, ok, ours};
use crate::campaigns::{Refused, led, shown_to};
use crate::settings::{View, dialled};
use crate::state::{ApiState, now};

/// How long a customer's phone rings unless the request says, seconds.
const RING_S: u16 = 40;
/// Between two calls of a number, unless the request says, seconds.
const RETRY_S: u32 = 1_800;
/// Calls at a time, unless the request says.
const AT_ONCE: u32 = 100;
/// Of those who answer, so many thousandths may find nobody, unless the request says.
const ABANDONED: u16 = 30;
/// Customers for each free agent, in thousandths, unless the request says.
const ONE_EACH: u32 = 1_000;
/// Extensions that may be named one by one.
const EXTENSIONS_MAX: usize = 100;
/// Numbers of one campaign.
const NUMBERS_MAX: u64 = 200_000;
/// Numbers that are told as wrong at most.
const TOLD_MAX: usize = 64;
/// How often an id is drawn that is taken.
const DRAWS: u32 = 3;
/// An id is the instant in milliseconds and so many more.
const LOTS: i64 = 100_000;
/// Longer bodies are read where nobody waits for the thread.
const HERE: usize = 64 * 1024;

/// How the campaigns stand that this process dials.
#[derive(Debug, Default)]
pub(crate) struct Paces(Mutex<BTreeMap<String, PacingNow>>);

impl Paces {
    /// These are dialled here, and no others.
    pub(crate) fn tell(&self, all: BTreeMap<String, PacingNow>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = all;
    }

    fn of(&self, id: &str) -> Option<PacingNow> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }
}

/// What makes a request the same again.
async fn request(asked: &Asked, op: Op) -> Result<Option<Request>, Problem> {
    let (headers, body) = (asked.headers.clone(), asked.body.clone());
    let key = apart(asked, move || key_of(&headers, op, &body)).await?;
    Ok(key.map(|key: RequestKey| Request { name: key.key, fingerprint: key.fingerprint }))
}

async fn read<T: Body + Send + 'static>(asked: &Asked) -> Result<(T, Vec<FieldError>), Problem> {
    let body = asked.body.clone();
    apart(asked, move || parse_leniently(&body)).await
}

/// Does what takes the longer the longer a body is: here, or on a thread of its own.
async fn apart<T: Send + 'static>(
    asked: &Asked,
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    if asked.body.len() <= HERE {
        return work();
    }
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Problem::new(Code::Busy, "the process ends"))?
}

pub(super) async fn begin(state: &ApiState, view: &View, asker: &Asker, asked: &Asked) -> Reply {
    let (request, home) = (request(asked, Op::BeginCampaign).await?, home(asker.merchant.id));
    if let Some(request) = &request {
        let known = state.0.store.campaign_asked(&home, request, now()).await.map_err(ours)?;
        if let Some(known) = known {
            return made(known, String::new());
        }
    }
    let (new, mut wrong) = read::<NewCampaign>(asked).await?;
    wrong.extend(new.mistakes());
    let at = now();
    let begins = new.start(at).unwrap_or_else(|error| {
        wrong.push(error);
        None
    });
    let takers = takers(state, (view, asker), &new, &mut wrong).await?;
    let shown = shown(view, asker, &new.caller_ids, &mut wrong);
    let numbers = targets(state, view, asker, &new.numbers, &mut wrong).await?;
    let Some(takers) = takers.filter(|_| wrong.is_empty()) else {
        return Err(Problem::invalid(wrong));
    };
    let starts = begins.is_none() && !new.hold && !numbers.is_empty();
    let campaign = Row {
        id: String::new(),
        merchant: asker.merchant.id,
        company: home,
        name: new.name.clone(),
        plan: plan(&new, takers, shown),
        begins,
        pauses: None,
        state: if starts { CampaignState::Running } else { CampaignState::Waiting },
        created: at,
    };
    let reference = new.reference.unwrap_or_default();
    keep(state, (campaign, reference), (numbers, request)).await
}

/// Keeps it under an id that nobody has.
async fn keep(
    state: &ApiState,
    (campaign, reference): (Row, String),
    (numbers, request): (Vec<NewNumber>, Option<Request>),
) -> Reply {
    let (store, numbers) = (&state.0.store, Arc::new(numbers));
    for _ in 0..DRAWS {
        let lot = i64::from(billing::campaigns::draw().map_err(ours)?) % LOTS;
        let id = (campaign.created.0 * LOTS + lot).to_string();
        let mut drawn = Row { id: id.clone(), ..campaign.clone() };
        let context = EventContext { reference: reference.clone(), campaign: Some(id.clone()) };
        if let Some(own) = &mut drawn.plan.own {
            own.context = serde_json::to_string(&context).unwrap_or_default();
        }
        match store.create_campaign(drawn, Arc::clone(&numbers), request.clone()).await {
            Ok(kept) => return made(kept, id),
            Err(billing::Error::Conflict(Constraint::Campaigns)) => return Err(full()),
            Err(billing::Error::Conflict(_)) => {}
            Err(error) => return Err(ours(error)),
        }
    }
    Err(Problem::new(Code::Busy, "no id was free"))
}

fn full() -> Problem {
    Problem::new(Code::Full, "a merchant has 500 campaigns that are not over, tasks among them")
}

/// The answer: a function of what is kept, so that a repeat has the same.
fn made(kept: Created, drawn: String) -> Reply {
    let (id, numbers, duplicate) = match kept {
        Created::Now(numbers) => (drawn, numbers, false),
        Created::Before(id, numbers) => (id, numbers, true),
        Created::OtherRequest => return Err(Problem::new(Code::KeyReused, "")),
    };
    let at = id.parse::<i64>().map_or(0, |id| id / LOTS);
    let made = CampaignMade::of(id, numbers, UnixMillis(at));
    Ok(created(&made, &made.url, duplicate))
}

fn plan(new: &NewCampaign, takers: Takers, shown: Vec<String>) -> Plan {
    let pacing = new.pacing.clone().unwrap_or_default();
    Plan {
        takers,
        lines_per_agent: pacing.lines_per_agent_permille.unwrap_or(ONE_EACH),
        predicts: pacing.predictive,
        concurrent: new.calls_at_once.unwrap_or(AT_ONCE),
        abandoned: pacing.abandoned_permille.unwrap_or(ABANDONED),
        shown,
        own: Some(Own {
            context: String::new(),
            ring_s: new.ring_s.unwrap_or(RING_S),
            max_talk_s: new.max_talk_s,
            record: new.record,
            tries: new.tries.unwrap_or(1),
            retry_s: new.retry_s.unwrap_or(RETRY_S),
            // They were looked at.
            hours: Hours::try_from(new.hours.clone()).unwrap_or_default(),
            zone: new.time_zone.clone().unwrap_or_else(|| "UTC".to_owned()),
        }),
    }
}

/// Who has whoever answers: agents of the merchant's, or what he hears.
async fn takers(
    state: &ApiState,
    (view, asker): (&View, &Asker),
    new: &NewCampaign,
    wrong: &mut Vec<FieldError>,
) -> Result<Option<Takers>, Problem> {
    let mine = asker.merchant.id;
    match &new.agents {
        Some(NewAgents::Group(number)) => {
            let group = view.groups.get(number).filter(|group| group.merchant == mine);
            if group.is_none() {
                wrong.push(FieldError::new("/agents/group", "is no group of the merchant's"));
            }
            Ok(Some(Takers::Group(number.clone())))
        }
        Some(NewAgents::Extensions(extensions)) => {
            if !(1..=EXTENSIONS_MAX).contains(&extensions.len()) {
                let words = format!("must be 1 to {EXTENSIONS_MAX}");
                wrong.push(FieldError::new("/agents/extensions", words));
                return Ok(None);
            }
            for (nth, number) in extensions.iter().enumerate() {
                let own = view.extensions.get(number).filter(|known| known.merchant == mine);
                if own.is_none() {
                    let at = format!("/agents/extensions/{nth}");
                    wrong.push(FieldError::new(at, "is no extension of the merchant's"));
                }
            }
            Ok(Some(Takers::Extensions(extensions.clone())))
        }
        None => {
            let confers = may_confer(asker);
            let Some(script) = new.script(confers) else { return Ok(None) };
            let (asked, mut found) = ((&script.scenario, confers), Vec::new());
            let led = compile(state, view, &asker.merchant, asked, &mut found).await?;
            wrong.extend(new.mistaken(&script, found));
            let request = serde_json::to_string(&script).unwrap_or_default();
            Ok(led.map(|_| Takers::Scenario(request)))
        }
    }
}

/// The numbers to show, E.164 digits.
fn shown(view: &View, asker: &Asker, asked: &[String], wrong: &mut Vec<FieldError>) -> Vec<String> {
    let mut all = Vec::with_capacity(asked.len());
    for (nth, written) in asked.iter().enumerate() {
        match may_show(view, asker, written) {
            Some(number) => all.push(number.digits().to_owned()),
            None => {
                let words = "is no number that the key may show";
                wrong.push(FieldError::new(format!("/caller_ids/{nth}"), words));
            }
        }
    }
    all
}

/// Who is called: an extension of the merchant's or a number outside; nobody under a short code.
async fn targets(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    asked: &[NewTarget],
    wrong: &mut Vec<FieldError>,
) -> Result<Vec<NewNumber>, Problem> {
    let mut all = Vec::with_capacity(asked.len());
    let mut told = 0;
    for (nth, target) in asked.iter().enumerate() {
        let found = dialled(&state.0.store, view, &target.number).await.map_err(ours)?;
        let refused = found.is_foreign_to(asker.merchant.id) || found.is_short();
        if refused || found.clone().number().is_none() {
            told += 1;
            if told <= TOLD_MAX {
                let words = "is no telephone number and no extension that may be rung";
                wrong.push(FieldError::new(format!("/numbers/{nth}/number"), words));
            }
            continue;
        }
        let reference = target.reference.clone().unwrap_or_default();
        let said = Said { reference, ..Said::default() };
        // Two ways of writing one number are one.
        let meant = found.named().map(|number| number.to_string());
        let meant = meant.unwrap_or_else(|| target.number.clone());
        all.push(NewNumber { phone: target.number.clone(), meant, due: None, said });
    }
    Ok(all)
}

/// The merchant's campaign that the path names.
async fn known(state: &ApiState, asker: &Asker, asked: &Asked) -> Result<Known, Problem> {
    let id = asked.path.first().map(String::as_str).unwrap_or_default();
    let found = state.0.store.known_campaign(&home(asker.merchant.id), id).await.map_err(ours)?;
    found.ok_or_else(missing)
}

fn missing() -> Problem {
    Problem::new(Code::NotFound, "no such campaign")
}

pub(super) async fn add(state: &ApiState, view: &View, asker: &Asker, asked: &Asked) -> Reply {
    let request = request(asked, Op::AddCampaignNumbers).await?;
    let known = known(state, asker, asked).await?;
    let (id, home) = (known.campaign.id, known.campaign.company);
    let store = &state.0.store;
    if let Some(request) = &request
        && let Some(before) = store.added_under(request, now(), (&home, &id)).await.map_err(ours)?
    {
        return added(before, &id);
    }
    let (new, mut wrong) = read::<NewNumbers>(asked).await?;
    let numbers = targets(state, view, asker, &new.numbers, &mut wrong).await?;
    if !wrong.is_empty() {
        return Err(Problem::invalid(wrong));
    }
    let request = match request {
        Some(request) => request,
        None => Request::unnamed().map_err(ours)?,
    };
    let terms = Terms { reopens: false, most: NUMBERS_MAX };
    let done = store.add_under(request, now(), (&home, &id), (numbers, terms)).await;
    added(done.map_err(ours)?, &id)
}

fn added(done: Added, id: &str) -> Reply {
    let (added, before) = match done {
        Added::Now(CampaignState::Ended, _) => return Err(Problem::new(Code::CampaignEnded, "")),
        Added::Now(_, added) => (added, false),
        Added::Before(_, added) => (added, true),
        Added::Full => {
            let words = format!("a campaign has {NUMBERS_MAX} numbers at most");
            return Err(Problem::new(Code::Full, words));
        }
        Added::Missing => return Err(missing()),
        Added::OtherRequest => return Err(Problem::new(Code::KeyReused, "")),
    };
    let mut response = ok(StatusCode::OK, &NumbersAdded { id: id.to_owned(), added });
    if before {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

pub(super) async fn list(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let (after, limit) = (asked.after()?, asked.limit()?);
    let before = (after > 0).then(|| after.to_string());
    let home = home(asker.merchant.id);
    let found = state.0.store.known_campaigns(&home, before.as_deref(), limit).await;
    let found = found.map_err(ours)?;
    let next = found.last().map(|known| known.campaign.id.clone());
    let items = found.into_iter().map(|known| told(state, known)).collect();
    Ok(ok(StatusCode::OK, &Page { items, next }))
}

pub(super) async fn show(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let known = known(state, asker, asked).await?;
    Ok(ok(StatusCode::OK, &told(state, known)))
}

/// Pauses, resumes or cancels one; what it is already, it stays.
pub(super) async fn turn(state: &ApiState, asker: &Asker, asked: &Asked, op: Op) -> Reply {
    let found = known(state, asker, asked).await?;
    let Row { id, company, state: stands, .. } = &found.campaign;
    let to = match op {
        Op::PauseCampaign => CampaignState::Paused,
        Op::ResumeCampaign => CampaignState::Running,
        _ => CampaignState::Ended,
    };
    if *stands != to {
        let stood = state.0.store.set_campaign(company, id, (to, now())).await.map_err(ours)?;
        let over = stood == Some(CampaignState::Ended);
        // Whoever cancels what is over has what he wants.
        if over && to != CampaignState::Ended {
            return Err(Problem::new(Code::CampaignEnded, ""));
        }
    }
    show(state, asker, asked).await
}

pub(super) async fn numbers(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let known = known(state, asker, asked).await?;
    let (after, limit) = (asked.after()?, asked.limit()?);
    let id = &known.campaign.id;
    let found = state.0.store.campaign_numbers(id, after, limit).await.map_err(ours)?;
    let next = found.last().map(|number| number.seq.to_string());
    let items: Vec<CampaignNumber> = found.into_iter().map(number).collect();
    Ok(ok(StatusCode::OK, &Page { items, next }))
}

fn number(row: NumberRow) -> CampaignNumber {
    let state = match row.state {
        NumberState::Waiting => "waiting",
        NumberState::Calling => "calling",
        NumberState::Done => "done",
        NumberState::Refused => "refused",
    };
    CampaignNumber {
        number: row.number.phone,
        reference: row.number.said.reference,
        state: state.to_owned(),
        reason: row.why,
        answered: row.answered,
        connected: row.joined,
        tries: row.tries,
        call: row.call.map(|call| call.to_string()),
        not_before: row.not_before.filter(|_| row.state == NumberState::Waiting).map(instant),
    }
}

fn told(state: &ApiState, known: Known) -> Campaign {
    let Known { campaign, tally, reason, ended, cancelled } = known;
    let Row { id, name, plan, state: stands, created, begins, .. } = campaign;
    let word = match stands {
        CampaignState::Waiting => "waiting",
        CampaignState::Running => "running",
        CampaignState::Paused => "paused",
        CampaignState::Ended if cancelled => "cancelled",
        CampaignState::Ended => "ended",
    };
    let pacing = Pacing {
        predictive: plan.predicts,
        lines_per_agent_permille: (!plan.predicts).then_some(plan.lines_per_agent),
        abandoned_permille: Some(plan.abandoned),
    };
    let agents = match plan.takers {
        Takers::Group(number) => Some(NewAgents::Group(number)),
        Takers::Extensions(all) => Some(NewAgents::Extensions(all)),
        Takers::Notice(_) | Takers::Scenario(_) => None,
    };
    let own = plan.own;
    let context = own.as_ref().and_then(|own| serde_json::from_str(&own.context).ok());
    let context: EventContext = context.unwrap_or_default();
    Campaign {
        now: state.0.paces.of(&id).filter(|_| stands == CampaignState::Running),
        id,
        name,
        state: word.to_owned(),
        reason: Some(reason).filter(|reason| !reason.is_empty()),
        reference: context.reference,
        created: instant(created),
        start_at: begins.map(instant),
        ended: ended.map(instant),
        numbers: tally.into(),
        pacing: agents.is_some().then_some(pacing),
        agents,
        calls_at_once: plan.concurrent,
        tries: own.as_ref().map_or(1, |own| own.tries),
        retry_s: own.as_ref().map_or(RETRY_S, |own| own.retry_s),
        hours: own.as_ref().map(|own| own.hours.clone().into()).unwrap_or_default(),
        time_zone: own.map(|own| own.zone).unwrap_or_default(),
    }
}

/// The scenario of a campaign that has no agents, as the merchant's extensions and groups are now; `None`: it leads to
/// somebody who is not his any more.
pub(crate) async fn prepare(
    state: &ApiState,
    view: &View,
    merchant: &Merchant,
    request: &str,
) -> billing::Result<Option<Scenario>> {
    let Ok(script) = serde_json::from_str::<Script>(request) else { return Ok(None) };
    let asked = (&script.scenario, script.confers);
    let compiled = compiled(state, view, merchant, asked, &mut Vec::new()).await;
    let compiled = compiled.map_err(|found| billing::Error::Database(found.detail))?;
    Ok(compiled.map(|(compiled, _)| compiled.scenario))
}

/// The numbers of a campaign that its merchant may still show: his own, and those of his keys that are good. `None`
/// when he may show none of them any more.
pub(crate) async fn still_shown(
    state: &ApiState,
    merchant: &Merchant,
    shown: &[String],
) -> billing::Result<Option<Vec<String>>> {
    if shown.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let (keys, at) = (state.0.store.api_keys(Some(merchant.id)).await?, now());
    let good = keys.iter().filter(|key| key.is_good(at)).flat_map(|key| &key.caller_ids);
    let may: Vec<&String> = good.chain(&merchant.caller_id).collect();
    let left: Vec<String> = shown.iter().filter(|digits| may.contains(digits)).cloned().collect();
    Ok(Some(left).filter(|left| !left.is_empty()))
}

/// What is the same for all calls of a campaign just now.
pub(crate) struct Manner<'a> {
    /// What only campaigns of `/v1` say.
    pub(crate) own: &'a Own,
    /// What whoever answers hears, where no agents have him.
    pub(crate) scenario: Option<Arc<Scenario>>,
    /// The numbers to show in turn; none: as for other calls.
    pub(crate) shown: Vec<String>,
}

/// The call of a number; else why it cannot be called.
pub(crate) async fn command(
    state: &ApiState,
    view: &View,
    (campaign, merchant): (&Row, &Merchant),
    Manner { own, scenario, shown }: &Manner<'_>,
    row: &NumberRow,
) -> billing::Result<Result<CallCommand, Refused>> {
    let called = dialled(&state.0.store, view, &row.number.phone).await?;
    if called.is_foreign_to(merchant.id) || called.is_short() {
        return Ok(Err(Refused::Never("invalid")));
    }
    let sub_account = called.sub_account();
    let Some(number) = called.number() else { return Ok(Err(Refused::Never("invalid"))) };
    let agents = || led(view, merchant.id, &campaign.plan.takers, row.seq).map(Arc::new);
    let Some(scenario) = scenario.clone().or_else(agents) else {
        return Ok(Err(Refused::All("no_agents")));
    };
    let context: EventContext = serde_json::from_str(&own.context).unwrap_or_default();
    let said = Some(row.number.said.reference.as_str()).filter(|said| !said.is_empty());
    let reference = said.unwrap_or(&context.reference).to_owned();
    let are_agents = campaign.plan.takers.are_agents();
    Ok(Ok(CallCommand {
        dialect: Dialect::Rest,
        merchant: merchant.id,
        sub_account,
        app: app(merchant),
        a: Party {
            number,
            as_sent: row.number.phone.clone(),
            shown: shown_to(shown, row.seq),
            ring: Duration::from_secs(own.ring_s.into()),
        },
        b: None,
        scenario: Some(scenario),
        conference: None,
        purpose: if are_agents { Purpose::Campaign } else { Purpose::Notice },
        max_talk: own.max_talk_s.map(|seconds| Duration::from_secs(seconds.into())),
        record: own.record.unwrap_or(merchant.record),
        key: Some(RequestKey {
            dialect: Dialect::Rest,
            key: try_key(&campaign.id, row.seq, row.tries),
            fingerprint: row.number.phone.clone(),
        }),
        pushes: pushes_of(&reference, Some(&campaign.id)),
        custom: reference,
    }))
}
