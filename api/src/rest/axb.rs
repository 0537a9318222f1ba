//! `/v1/axb/bindings`: who reaches whom by a privacy number, and until when.

use axum::http::StatusCode;
use billing::axb::{Bound, Entry, NewBinding, Prolonged, SECONDS, Search};
use dialect::rest::{
    AxbBinding, ChangedAxb, Code, FieldError, NewAxb, Page, Problem, instant, parse,
    parse_leniently,
};
use facts::ports::When;
use facts::{MerchantId, Number, Refusal};

use super::place::unreachable;
use super::{Asked, Asker, Reply, ok, ours};
use crate::settings::View;
use crate::state::{ApiState, now};

/// Makes one. The same one again is the first.
pub(super) async fn bind(state: &ApiState, view: &View, asker: &Asker, asked: &Asked) -> Reply {
    let (new, mut wrong) = parse_leniently::<NewAxb>(&asked.body)?;
    let mut public = |written: &str, at: &str| match view.plan.parse(written) {
        Ok(Number::E164(digits)) => digits,
        _ => {
            wrong.push(FieldError::new(at, "is no number outside"));
            String::new()
        }
    };
    let number = public(&new.number, "/number");
    let (a, b) = (public(&new.a, "/a"), public(&new.b, "/b"));
    if !b.is_empty() && (a == b || b == number) || !a.is_empty() && a == number {
        wrong.push(FieldError::new("/b", "names a number twice"));
    }
    let merchant = asker.merchant.id;
    let own = state.0.store.inbound_number(merchant, &number).await.map_err(ours)?;
    if !number.is_empty() && !own.is_some_and(|own| own.axb) {
        wrong.push(not_yours());
    }
    if !wrong.is_empty() {
        return Err(Problem::invalid(wrong));
    }
    let seconds = new.expires_in_s;
    reachable(state, merchant, [("/a", &a), ("/b", &b)]).await?;
    let new = NewBinding { merchant, number, a, b, reference: new.reference, seconds };
    let at = now();
    match state.0.store.bind_axb(new, at).await.map_err(ours)? {
        Bound::Now(made) => {
            state.0.calls.settings_changed();
            Ok(ok(StatusCode::CREATED, &shown(&made)))
        }
        Bound::Before(held) => told(state, Some(held)),
        Bound::Taken(by) => Err(taken(by)),
        Bound::NotYours => Err(Problem::invalid(vec![not_yours()])),
        Bound::TooMany(most) => {
            let words = format!("so many bindings a merchant may have at a time: {most}");
            Err(Problem::new(Code::Full, words))
        }
        Bound::BadSeconds => Err(bad_seconds()),
    }
}

/// Whether each of the two can be called at some time: a route that is closed at this hour opens while the binding holds.
async fn reachable(
    state: &ApiState,
    merchant: MerchantId,
    two: [(&str, &String); 2],
) -> Result<(), Problem> {
    let asked = two.map(|(at, digits)| (at.to_owned(), Number::E164(digits.clone()), When::Ever));
    let found = unreachable(state, merchant, Refusal::NoRoute, asked.into()).await;
    if found.errors.is_empty() { Ok(()) } else { Err(found) }
}

/// All, or those on a number or of one of the two.
pub(super) async fn list(state: &ApiState, view: &View, asker: &Asker, asked: &Asked) -> Reply {
    let page = (asked.after()?, asked.limit()?);
    let digits = |name: &str| match asked.text(name).map(|written| view.plan.parse(&written)) {
        None => Ok(None),
        Some(Ok(Number::E164(digits))) => Ok(Some(digits)),
        Some(_) => Err(Problem::new(Code::BadRequest, format!("`{name}` is a number outside"))),
    };
    let search = Search { number: digits("number")?, party: digits("party")? };
    let rows = state.0.store.axb_bindings(asker.merchant.id, search, page).await.map_err(ours)?;
    let next = rows.last().map(|row| row.id.to_string());
    let items = rows.iter().map(shown).collect();
    Ok(ok(StatusCode::OK, &Page { items, next }))
}

pub(super) async fn show(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let found = state.0.store.axb_binding(named(asker, asked)?).await.map_err(ours)?;
    Ok(ok(StatusCode::OK, &shown(&found.ok_or_else(missing)?)))
}

pub(super) async fn change(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let of = named(asker, asked)?;
    let new: ChangedAxb = parse(&asked.body)?;
    let changed = state.0.store.prolong_axb(of, new.expires_in_s, now()).await.map_err(ours)?;
    match changed {
        Prolonged::Now(entry) => told(state, Some(entry)),
        Prolonged::Gone => Err(missing()),
        Prolonged::Taken(by) => Err(taken(by)),
        Prolonged::BadSeconds => Err(bad_seconds()),
    }
}

pub(super) async fn unbind(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let ended = state.0.store.unbind_axb(named(asker, asked)?, now()).await.map_err(ours)?;
    told(state, ended)
}

fn not_yours() -> FieldError {
    FieldError::new("/number", "is no privacy number of this merchant's")
}

fn bad_seconds() -> Problem {
    let words = format!("must be {} to {}", SECONDS.start(), SECONDS.end());
    Problem::invalid(vec![FieldError::new("/expires_in_s", words)])
}

/// Which of the merchant's bindings has one of the two.
fn taken(by: i64) -> Problem {
    Problem::new(Code::BindingTaken, format!("it is binding {by}"))
}

/// Tells how a binding stands that was changed, here and to the engine. It may have been so before: a unit of the store
/// whose end nobody saw is done again.
fn told(state: &ApiState, changed: Option<Entry>) -> Reply {
    let changed = changed.ok_or_else(missing)?;
    state.0.calls.settings_changed();
    Ok(ok(StatusCode::OK, &shown(&changed)))
}

/// The binding that the path names.
fn named(asker: &Asker, asked: &Asked) -> Result<(MerchantId, i64), Problem> {
    let id = asked.path.first().and_then(|id| id.parse().ok()).ok_or_else(missing)?;
    Ok((asker.merchant.id, id))
}

fn missing() -> Problem {
    Problem::new(Code::NotFound, "no such binding, or it holds no more")
}

fn shown(entry: &Entry) -> AxbBinding {
    let state = match entry.ended {
        Some(_) => "ended",
        None if entry.expires <= now() => "expired",
        None if entry.lost => "lost",
        None => "live",
    };
    AxbBinding {
        id: entry.id.to_string(),
        number: entry.asked.number.clone(),
        a: entry.asked.a.clone(),
        b: entry.asked.b.clone(),
        reference: entry.asked.reference.clone(),
        state: state.to_owned(),
        created: instant(entry.created),
        expires: instant(entry.expires),
        ended: entry.ended.map(instant),
    }
}
