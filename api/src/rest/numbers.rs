//! `/v1/numbers`: the merchant's numbers that carriers deliver, and the scenarios that answer whoever calls them.

use axum::http::StatusCode;
use billing::numbers::{Entry, Inbound, Put};
use dialect::rest::{
    AnsweredNumber, Code, InboundNumber, KeptScenario, NewNumberScenario, Page, Problem, instant,
    parse_leniently,
};
use facts::Number;

use super::place::{compile, confers};
use super::{Asked, Asker, Reply, ok, ours};
use crate::settings::View;
use crate::state::{ApiState, now};

/// Where a number leads that is this merchant's no more.
const ELSEWHERE: &str = "elsewhere";

pub(super) async fn list(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let (after, limit) = (asked.after()?, asked.limit()?);
    let rows = state.0.store.inbound_numbers(asker.merchant.id, after, limit).await;
    let rows = rows.map_err(ours)?;
    let next = rows.last().map(|row| row.number.clone());
    let items = rows.iter().map(shown).collect();
    Ok(ok(StatusCode::OK, &Page { items, next }))
}

pub(super) async fn show(state: &ApiState, view: &View, asker: &Asker, asked: &Asked) -> Reply {
    let own = own(state, view, asker, asked).await?;
    let found = state.0.store.number_scenario(asker.merchant.id, &own.number).await;
    let words = "the number has no scenario";
    let entry = found.map_err(ours)?.ok_or_else(|| Problem::new(Code::NotFound, words))?;
    Ok(ok(StatusCode::OK, &answered(&entry)?))
}

/// Gives a number its scenario, in place of the one that it has.
pub(super) async fn put(state: &ApiState, view: &View, asker: &Asker, asked: &Asked) -> Reply {
    let own = own(state, view, asker, asked).await?;
    if own.axb {
        return Err(privacy());
    }
    let (new, mut wrong) = parse_leniently::<NewNumberScenario>(&asked.body)?;
    let merchant = &asker.merchant;
    let scenario = (&new.scenario, confers(asker));
    let ready = compile(state, view, merchant, scenario, &mut wrong).await?;
    let Some(ready) = ready.filter(|_| wrong.is_empty()) else {
        return Err(Problem::invalid(wrong));
    };
    let kept = KeptScenario {
        scenario: new.scenario,
        language: merchant.language.clone(),
        numbers: ready.numbers,
        confers: confers(asker),
    };
    let put = (own.number.as_str(), kept.written());
    match state.0.store.put_number_scenario(merchant.id, put, now()).await.map_err(ours)? {
        Put::Done(entry) => {
            state.0.calls.settings_changed();
            tracing::info!(key = asker.key.id, ip = %asked.ip, "rest: a scenario answers a number");
            Ok(ok(StatusCode::OK, &answered(&entry)?))
        }
        Put::NotYours => Err(missing()),
        Put::Privacy => Err(privacy()),
    }
}

/// Takes the scenario of a number back, also of one that has left the merchant: it would answer again as soon as the
/// number came back. May be repeated.
pub(super) async fn drop_it(state: &ApiState, view: &View, asker: &Asker, asked: &Asked) -> Reply {
    let (store, merchant, number) = (&state.0.store, asker.merchant.id, named(view, asked)?);
    let dropped = store.drop_number_scenario(merchant, &number, now()).await.map_err(ours)?;
    let own = store.inbound_number(merchant, &number).await.map_err(ours)?;
    let told = match own {
        Some(own) => shown(&Inbound { scenario: false, ..own }),
        None if dropped => InboundNumber { number, leads_to: ELSEWHERE.into(), to: String::new() },
        None => return Err(missing()),
    };
    state.0.calls.settings_changed();
    Ok(ok(StatusCode::OK, &told))
}

/// The number that the path names.
fn named(view: &View, asked: &Asked) -> Result<String, Problem> {
    let written = asked.path.first().map(String::as_str).unwrap_or_default();
    match view.plan.parse(written) {
        Ok(Number::E164(digits)) => Ok(digits),
        _ => Err(missing()),
    }
}

/// The same, one of the merchant's.
async fn own(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    asked: &Asked,
) -> Result<Inbound, Problem> {
    let digits = named(view, asked)?;
    let found = state.0.store.inbound_number(asker.merchant.id, &digits).await.map_err(ours)?;
    found.ok_or_else(missing)
}

fn missing() -> Problem {
    Problem::new(Code::NotFound, "no such number of this merchant's")
}

fn privacy() -> Problem {
    Problem::new(Code::PrivacyNumber, "bindings say whom it reaches: see `/v1/axb/bindings`")
}

fn shown(own: &Inbound) -> InboundNumber {
    let leads_to = match own {
        Inbound { axb: true, .. } => "privacy",
        Inbound { scenario: true, .. } => "scenario",
        Inbound { group: true, .. } => "group",
        _ => "extension",
    };
    InboundNumber { number: own.number.clone(), leads_to: leads_to.to_owned(), to: own.to.clone() }
}

fn answered(entry: &Entry) -> Result<AnsweredNumber, Problem> {
    let kept = KeptScenario::read(&entry.scenario).map_err(|words| {
        tracing::warn!(%words, "the scenario of a number cannot be read");
        Problem::new(Code::Internal, "")
    })?;
    let (number, changed) = (entry.number.clone(), instant(entry.changed));
    Ok(AnsweredNumber { number, scenario: kept.scenario, changed })
}
