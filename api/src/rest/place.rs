//! `POST /v1/calls`: from a checked request to a command for the switch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use billing::rows::Merchant;
use dialect::rest::{
    Accepted, Code, Compiled, EventContext, FieldError, NewCall, NewParty, NewScenario, Op,
    Problem, Scope, fingerprint, key_name, parse_leniently,
};
use facts::ports::When;
use facts::scenario::Scenario;
use facts::sound::Clip;
use facts::{
    CallCommand, Dialect, MerchantId, Number, Party, Placed, Purpose, Push, PushKind, Refusal,
    RequestKey, SubAccountId,
};
use serde::Serialize;

use super::{Asked, Asker, Reply, ok, ours};
use crate::settings::{Dialled, View, dialled};
use crate::state::ApiState;

/// How long somebody rings unless the request says.
const RING: Duration = Duration::from_secs(60);
/// How long the look-up of an address may take; the visit itself looks again.
const LOOKUP_PATIENCE: Duration = Duration::from_millis(500);
/// Sounds of one scenario, and addresses that they lie behind, at most: each address is looked up, and visited
/// before anybody is rung.
const SOUNDS_MAX: usize = 256;
const URLS_MAX: usize = 16;
/// Steps of one scenario that ask, at most.
const HOOKS_MAX: usize = 16;
/// Numbers that one scenario leads to at most: each is looked up.
const NUMBERS_MAX: usize = 16;
/// What a key must be good for when a step leads into a conference.
const CONFERS: Scope = Scope::ConferencesWrite;
/// The header of a request that may be repeated.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Says that an answer is that of an earlier request.
pub(super) const REPLAYED: &str = "idempotent-replayed";

pub(super) async fn place(state: &ApiState, view: &View, asker: &Asker, asked: &Asked) -> Reply {
    let key = key(asked, Op::PlaceCall)?;
    if let Some(placed) = earlier(state, asker, key.as_ref()).await? {
        return Ok(told(placed));
    }
    let (new, mut wrong) = parse_leniently::<NewCall>(&asked.body)?;
    wrong.extend(new.mistakes());
    let merchant = &asker.merchant;
    let first = match new.scenario {
        Some(_) => heard(state, view, merchant, &new.to, "/to").await,
        None => rung(state, view, merchant, &new.to, "/to").await,
    };
    let (a, sub_account) = first.map_err(ours)?.unwrap_or_else(|error| {
        wrong.push(error);
        (Number::Internal(String::new()), None)
    });
    let mut b = None;
    if let Some(party) = &new.connect {
        match joined(state, view, merchant, (&party.number, "/connect/number")).await? {
            Ok(number) => b = Some((number, party)),
            Err(error) => wrong.push(error),
        }
    }
    let a_shown = shown(view, asker, &new.to, "/to", &mut wrong);
    let b_shown = new.connect.as_ref().map(|b| shown(view, asker, b, "/connect", &mut wrong));
    let scenario = match &new.scenario {
        Some(scenario) => {
            let asked = (scenario, confers(asker));
            compile(state, view, merchant, asked, &mut wrong).await?
        }
        None => None,
    };
    if !wrong.is_empty() {
        return Err(Problem::invalid(wrong));
    }
    let purpose = if scenario.is_some() { Purpose::Scenario } else { Purpose::Callback };
    let command = CallCommand {
        dialect: Dialect::Rest,
        merchant: merchant.id,
        sub_account,
        app: app(merchant),
        a: party(a, &new.to, a_shown),
        b: b.map(|(number, asked)| party(number, asked, b_shown.flatten())),
        scenario: scenario.map(|ready| Arc::new(ready.scenario)),
        conference: None,
        purpose,
        max_talk: new.max_talk_s.map(|seconds| Duration::from_secs(seconds.into())),
        record: new.record.unwrap_or(merchant.record),
        key,
        pushes: pushes(new.reference.as_deref()),
        custom: new.reference.unwrap_or_default(),
    };
    placing(state, command).await
}

/// Places a call, and says which it became.
pub(super) async fn placing(state: &ApiState, command: CallCommand) -> Reply {
    match state.place(command.clone()).await {
        Ok(placed) => Ok(told(placed)),
        Err(refusal) => Err(unplaced(state, &command, refusal).await),
    }
}

/// Why a call was not taken, and which of its numbers that is about.
pub(super) async fn unplaced(state: &ApiState, command: &CallCommand, refusal: Refusal) -> Problem {
    let mut asked = vec![("/to/number".to_owned(), command.a.number.clone(), When::First)];
    let b = command.b.as_ref();
    asked.extend(b.map(|b| ("/connect/number".to_owned(), b.number.clone(), When::Now)));
    let others = command.conference.iter().flat_map(|conference| &conference.others).enumerate();
    asked.extend(others.map(|(nth, one)| participant(nth, &one.party.number)));
    unreachable(state, command.merchant, refusal, asked).await
}

/// A participant's number, and where it stands.
pub(super) fn participant(nth: usize, number: &Number) -> (String, Number, When) {
    (format!("/participants/{nth}/number"), number.clone(), When::Now)
}

/// A refusal, with the places of the numbers that cannot be called.
pub(super) async fn unreachable(
    state: &ApiState,
    merchant: MerchantId,
    refusal: Refusal,
    asked: Vec<(String, Number, When)>,
) -> Problem {
    let at = |nth: usize, words: &str| FieldError::new(asked[nth].0.clone(), words);
    let errors = match refusal {
        Refusal::BadCaller => vec![at(0, "may not be rung by this merchant")],
        Refusal::SameNumber => vec![at(asked.len() - 1, "rings the same line as the first")],
        Refusal::NoRoute | Refusal::NoPrice => {
            let numbers = asked.iter().map(|(_, number, when)| (number.clone(), *when)).collect();
            let rung = state.0.calls.reaches(merchant, numbers).await.unwrap_or_default();
            let priced = priced(state, merchant, &rung).await;
            let each = rung.iter().zip(priced).enumerate();
            let each = each.filter_map(|(nth, (rung, priced))| match rung {
                None => Some(at(nth, NO_ROUTE)),
                Some(_) if !priced => Some(at(nth, NO_PRICE)),
                Some(_) => None,
            });
            each.collect()
        }
        _ => Vec::new(),
    };
    Problem { errors, ..refused(refusal) }
}

/// Whether each of those that are rung has a price; none is told of where the store does not answer.
async fn priced(state: &ApiState, merchant: MerchantId, rung: &[Option<Number>]) -> Vec<bool> {
    let free = || Number::Internal(String::new());
    let numbers = rung.iter().map(|number| number.clone().unwrap_or_else(free)).collect();
    let priced = state.0.store.prices(merchant, numbers).await;
    priced.unwrap_or_else(|_| vec![true; rung.len()])
}

const NO_ROUTE: &str = "no route leads to it, or nobody is behind it";
const NO_PRICE: &str = "no price is known for it";

/// Which call a request became.
pub(super) fn told(placed: Placed) -> Response {
    let accepted = Accepted::of(placed.call);
    created(&accepted, &accepted.url, placed.duplicate)
}

/// What the same request became before. Asked before anything is looked up: what was accepted once is not refused when it
/// is repeated, whatever has changed since.
pub(super) async fn earlier(
    state: &ApiState,
    asker: &Asker,
    key: Option<&RequestKey>,
) -> Result<Option<Placed>, Problem> {
    match key {
        Some(key) => state.earlier(asker.merchant.id, key).await.map_err(refused),
        None => Ok(None),
    }
}

/// What was made, and where it is; the same for a repeat.
pub(super) fn created<T: Serialize>(made: &T, url: &str, duplicate: bool) -> Response {
    let mut response = ok(StatusCode::CREATED, made);
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::from_str(url) {
        headers.insert(header::LOCATION, location);
    }
    if duplicate {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// The merchant's list of events, and with it the webhooks.
pub(super) fn pushes(reference: Option<&str>) -> Vec<Push> {
    pushes_of(reference.unwrap_or_default(), None)
}

/// The same, of a call that may be of a campaign.
pub(super) fn pushes_of(reference: &str, campaign: Option<&str>) -> Vec<Push> {
    let context = EventContext::kept(reference, campaign);
    let (dialect, endpoint) = (Dialect::Rest, String::new());
    let of = |kind| Push { kind, dialect, endpoint: endpoint.clone(), context: context.clone() };
    vec![of(PushKind::State), of(PushKind::Record)]
}

/// What the records of a merchant's calls at `/v1` are found by.
pub(super) fn app(merchant: &Merchant) -> String {
    merchant.id.0.to_string()
}

/// What makes a request repeatable.
pub(super) fn key(asked: &Asked, op: Op) -> Result<Option<RequestKey>, Problem> {
    key_of(&asked.headers, op, &asked.body)
}

/// The same of what a request said.
pub(super) fn key_of(
    headers: &HeaderMap,
    op: Op,
    body: &[u8],
) -> Result<Option<RequestKey>, Problem> {
    let Some(given) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let words = "`Idempotency-Key` has 1 to 255 printable ASCII characters";
    let name = key_name(given.as_bytes());
    let key = name.ok_or_else(|| Problem::new(Code::BadRequest, words))?;
    let fingerprint = fingerprint(given.as_bytes(), op.word(), body);
    Ok(Some(RequestKey { dialect: Dialect::Rest, key, fingerprint }))
}

pub(super) fn party(number: Number, asked: &NewParty, shown: Option<Number>) -> Party {
    let ring = asked.ring_s.map_or(RING, |seconds| Duration::from_secs(seconds.into()));
    Party { number, as_sent: asked.number.clone(), shown, ring }
}

/// Who is rung first: an extension of the merchant's, or a public number.
pub(super) async fn rung(
    state: &ApiState,
    view: &View,
    merchant: &Merchant,
    party: &NewParty,
    at: &str,
) -> billing::Result<Result<(Number, Option<SubAccountId>), FieldError>> {
    let found = dialled(&state.0.store, view, &party.number).await?;
    let sub_account = found.sub_account();
    let number = own(found, merchant).map(|number| (number, sub_account));
    Ok(number.ok_or_else(|| nobody(format!("{at}/number"))))
}

/// Who is rung by a machine that says something: nobody under a short code, as emergency numbers are among them.
pub(super) async fn heard(
    state: &ApiState,
    view: &View,
    merchant: &Merchant,
    party: &NewParty,
    at: &str,
) -> billing::Result<Result<(Number, Option<SubAccountId>), FieldError>> {
    let found = rung(state, view, merchant, party, at).await?;
    let no = |(number, _): &(Number, _)| matches!(number, Number::Short(_));
    Ok(found.and_then(|who| if no(&who) { Err(nobody(format!("{at}/number"))) } else { Ok(who) }))
}

/// Who is rung for somebody who listens: an extension or a group of the merchant's, or a public number.
async fn joined(
    state: &ApiState,
    view: &View,
    merchant: &Merchant,
    (written, at): (&str, &str),
) -> Result<Result<Number, FieldError>, Problem> {
    let group = view.groups.get(written.trim());
    if group.is_some_and(|group| group.enabled && group.merchant == merchant.id) {
        return Ok(Ok(Number::Internal(written.trim().to_owned())));
    }
    let found = dialled(&state.0.store, view, written).await.map_err(ours)?;
    Ok(own(found, merchant).ok_or_else(|| nobody(at)))
}

fn own(found: Dialled, merchant: &Merchant) -> Option<Number> {
    if found.is_foreign_to(merchant.id) { None } else { found.number() }
}

fn nobody(at: impl Into<String>) -> FieldError {
    FieldError::new(at, "is no telephone number and no extension that may be rung")
}

/// A number that the key may show, or the merchant does anyhow.
pub(super) fn may_show(view: &View, asker: &Asker, written: &str) -> Option<Number> {
    let own = asker.merchant.caller_id.as_ref();
    let may_show = |number: &Number| {
        asker.key.caller_ids.iter().chain(own).any(|digits| digits == number.digits())
    };
    view.plan.parse(written).ok().filter(may_show)
}

/// The number to show: one of the key's, or the merchant's own.
pub(super) fn shown(
    view: &View,
    asker: &Asker,
    party: &NewParty,
    at: &str,
    wrong: &mut Vec<FieldError>,
) -> Option<Number> {
    let asked = party.caller_id.as_deref()?;
    let number = may_show(view, asker, asked);
    if number.is_none() {
        let words = "is no number that the key may show";
        wrong.push(FieldError::new(format!("{at}/caller_id"), words));
    }
    number
}

/// Whether a key may lead into conferences.
pub(super) fn confers(asker: &Asker) -> bool {
    asker.key.scopes.contains(CONFERS.word())
}

/// A scenario that may be carried out.
pub(crate) struct Ready {
    pub(crate) scenario: Scenario,
    /// Whom it leads to, by their places in the request.
    pub(crate) numbers: BTreeMap<String, Number>,
}

/// A scenario, once all that it plays may be played and all to whom it leads may be rung. `confers`: whoever asks for it
/// may lead into conferences.
pub(crate) async fn compile(
    state: &ApiState,
    view: &View,
    merchant: &Merchant,
    (scenario, confers): (&NewScenario, bool),
    wrong: &mut Vec<FieldError>,
) -> Result<Option<Ready>, Problem> {
    let Some((compiled, numbers)) =
        compiled(state, view, merchant, (scenario, confers), wrong).await?
    else {
        return Ok(None);
    };
    if compiled.confers && !confers {
        let words = format!("the key is not good for {CONFERS}, and a step is `conference`");
        return Err(Problem::new(Code::Scope, words));
    }
    sounds(state, &compiled.sounds, wrong).await;
    hooks(state, merchant, &compiled.hooks, wrong).await?;
    Ok(Some(Ready { scenario: compiled.scenario, numbers }))
}

/// The same, and nobody looks whether its sounds and its addresses can be had.
pub(super) async fn compiled(
    state: &ApiState,
    view: &View,
    merchant: &Merchant,
    (scenario, confers): (&NewScenario, bool),
    wrong: &mut Vec<FieldError>,
) -> Result<Option<(Compiled, BTreeMap<String, Number>)>, Problem> {
    let places = scenario.numbers();
    let different: BTreeSet<&String> = places.iter().map(|(_, written)| written).collect();
    if scenario.steps.len() > Scenario::STEPS_MAX || different.len() > NUMBERS_MAX {
        let words =
            format!("leads to {NUMBERS_MAX} numbers at most, by {} steps", Scenario::STEPS_MAX);
        wrong.push(FieldError::new("/scenario/steps", words));
        return Ok(None);
    }
    let mut known = BTreeMap::new();
    for written in different {
        let found = joined(state, view, merchant, (written, "")).await?;
        known.insert(written, found.ok());
    }
    let found = places
        .iter()
        .filter_map(|(at, written)| Some((at.clone(), known.get(written).cloned().flatten()?)));
    let numbers: BTreeMap<String, Number> = found.collect();
    let compiled = scenario.compile(&merchant.language, &numbers, confers);
    let compiled = compiled.map_err(|found| wrong.extend(found)).ok();
    Ok(compiled.map(|compiled| (compiled, numbers)))
}

/// Whether all that a scenario asks may be asked, and can be signed.
async fn hooks(
    state: &ApiState,
    merchant: &Merchant,
    hooks: &[(String, String, i64)],
    wrong: &mut Vec<FieldError>,
) -> Result<(), Problem> {
    if hooks.len() > HOOKS_MAX {
        let words = format!("asks by {HOOKS_MAX} steps at most");
        wrong.push(FieldError::new("/scenario/steps", words));
        return Ok(());
    }
    for (at, url, webhook) in hooks {
        if state.0.guard.check(url, LOOKUP_PATIENCE).await.is_err() {
            let words = "is not an address that is visited";
            wrong.push(FieldError::new(format!("{at}/url"), words));
        }
        if state.0.store.webhook(merchant.id, *webhook).await.map_err(ours)?.is_none() {
            let words = "is no webhook of the merchant's";
            wrong.push(FieldError::new(format!("{at}/webhook"), words));
        }
    }
    Ok(())
}

/// Whether all that a scenario plays can be had. What stands there more than once is looked at once.
async fn sounds(state: &ApiState, sounds: &[(String, Clip)], wrong: &mut Vec<FieldError>) {
    let urls = sounds.iter().filter_map(|(_, clip)| match clip {
        Clip::Url(url) => Some(url),
        Clip::Prompt(_) | Clip::Say(_) => None,
    });
    let urls: BTreeSet<&String> = urls.collect();
    if sounds.len() > SOUNDS_MAX || urls.len() > URLS_MAX {
        let words = format!("plays {SOUNDS_MAX} sounds at most, from {URLS_MAX} addresses");
        return wrong.push(FieldError::new("/scenario/steps", words));
    }
    let mut visited = BTreeMap::new();
    for (at, clip) in sounds {
        let heard = match clip {
            Clip::Url(url) => match visited.get(url) {
                Some(known) => Result::clone(known),
                None => {
                    let found = audible(state, clip).await;
                    visited.insert(url, found.clone());
                    found
                }
            },
            Clip::Prompt(_) | Clip::Say(_) => audible(state, clip).await,
        };
        wrong.extend(heard.err().map(|words| FieldError::new(at, words)));
    }
}

/// Whether a sound can be had, as far as that is known before somebody is to hear it; or why not.
pub(super) async fn audible(state: &ApiState, clip: &Clip) -> Result<(), String> {
    if let Clip::Url(url) = clip
        && state.0.guard.check(url, LOOKUP_PATIENCE).await.is_err()
    {
        return Err("is not an address that is visited".to_owned());
    }
    state.0.calls.playable(clip)
}

pub(super) fn refused(refusal: Refusal) -> Problem {
    let code = match refusal {
        Refusal::UnknownMerchant | Refusal::Disabled => Code::MerchantDisabled,
        Refusal::NoBalance => Code::NoBalance,
        Refusal::NoPrice | Refusal::NoRoute | Refusal::BadCaller | Refusal::SameNumber => {
            Code::Unreachable
        }
        Refusal::TooManyCalls => Code::TooMany,
        Refusal::KeyConflict => Code::KeyReused,
        Refusal::Busy => Code::Busy,
        Refusal::Blocked => Code::Blocked,
        Refusal::OutsideHours => Code::OutsideHours,
        Refusal::TooOften => Code::TooOften,
        Refusal::Internal => Code::Internal,
    };
    let words = match refusal {
        Refusal::NoPrice => "no price is known for a number",
        Refusal::NoRoute => "no route leads to a number, or nobody is behind it",
        Refusal::BadCaller => "the first number may not be rung by this merchant",
        Refusal::SameNumber => "both numbers ring the same line",
        Refusal::Busy | Refusal::Internal => "the request may be sent again with the same key",
        _ => "",
    };
    Problem::new(code, words)
}
