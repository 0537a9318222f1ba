//! `/v1/ussd/sessions`: menus that a merchant tries out as a subscriber would, and what became of all sessions.

use axum::http::StatusCode;
use billing::menus::Session;
use dialect::rest::{
    Code, FieldError, MenuInput, MenuScreen, MenuSession, NewMenu, Page, Problem, instant, parse,
    parse_leniently,
};
use facts::ussd::{Act, ActRefused, Dialled, Door, End, Shown};
use facts::{CallId, Number};
use serde_json::json;

use super::{Asked, Asker, Reply, not_live, ok, ours};
use crate::settings::View;
use crate::state::ApiState;

/// Dials one of the merchant's codes; answers when there is something to be seen.
pub(super) async fn open(state: &ApiState, view: &View, asker: &Asker, asked: &Asked) -> Reply {
    let (new, mut wrong) = parse_leniently::<NewMenu>(&asked.body)?;
    let dialled = Dialled::parse(&new.dialled);
    if dialled.is_none() && wrong.is_empty() {
        wrong.push(FieldError::new(
            "/dialled",
            "is not of the form *6655*123#: at most 10 parts of letters and digits, 256 characters",
        ));
    }
    let mobile = match view.plan.parse(&new.mobile) {
        Ok(Number::E164(digits)) => digits,
        _ => {
            wrong.push(FieldError::new(
                "/mobile",
                "is no number of a telephone outside, such as +989123456789",
            ));
            String::new()
        }
    };
    let Some(dialled) = dialled.filter(|_| wrong.is_empty()) else {
        return Err(Problem::invalid(wrong));
    };
    let merchant = asker.merchant.id;
    let act = Act::Open { dialled, mobile, door: Door::Simulator, only: Some(merchant) };
    match state.0.calls.menu(merchant, act).await {
        Ok(shown) => Ok(ok(StatusCode::CREATED, &screen(shown))),
        Err(why) => Err(unwilling(why)),
    }
}

/// Types something, and answers with what is to be seen then.
pub(super) async fn enter(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let session = asked.call().map_err(|_| missing())?;
    let MenuInput { text } = parse(&asked.body)?;
    match state.0.calls.menu(asker.merchant.id, Act::Type { session, text }).await {
        Ok(shown) => Ok(ok(StatusCode::OK, &screen(shown))),
        Err(why) => Err(refused(state, asker, session, why).await),
    }
}

pub(super) async fn leave(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let session = asked.call().map_err(|_| missing())?;
    match state.0.calls.menu(asker.merchant.id, Act::Leave { session }).await {
        Ok(_) => Ok(ok(StatusCode::OK, &json!({ "id": session.to_string(), "done": "leave" }))),
        Err(why) => Err(refused(state, asker, session, why).await),
    }
}

/// Sessions of all doors, also those under way.
pub(super) async fn list(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let (after, limit) = (asked.after()?, asked.limit()?);
    let rows = state.0.store.menus(asker.merchant.id, after, limit).await.map_err(ours)?;
    let next = rows.last().map(|row| row.id.to_string());
    let items = rows.iter().map(shown).collect();
    Ok(ok(StatusCode::OK, &Page { items, next }))
}

fn screen(Shown { session, text, more, note }: Shown) -> MenuScreen {
    MenuScreen { session: session.to_string(), text, more, note }
}

fn shown(row: &Session) -> MenuSession {
    MenuSession {
        id: row.id.to_string(),
        code: row.code.clone(),
        mobile: row.mobile.clone(),
        door: row.door.word().to_owned(),
        opened: instant(row.opened),
        ended: row.ended.map(instant),
        outcome: row.outcome.map(End::word).map(str::to_owned),
        steps: row.steps,
        price_micros: row.price.0,
        currency: row.currency.code().to_owned(),
    }
}

fn missing() -> Problem {
    Problem::new(Code::NotFound, "no such session")
}

/// Why nothing came of what was done to a session: the books know whether it is one of this merchant's, and whether it
/// is over; one that is open and not here is another process's.
async fn refused(state: &ApiState, asker: &Asker, session: CallId, why: ActRefused) -> Problem {
    if why != ActRefused::NoSession {
        return unwilling(why);
    }
    let before = session.as_i64().saturating_sub(1);
    let row = match state.0.store.menus(asker.merchant.id, before, 1).await {
        Ok(rows) => rows.into_iter().find(|row| row.id == session),
        Err(error) => return ours(error),
    };
    match row {
        None => missing(),
        Some(row) if row.ended.is_some() => Problem::new(Code::NotLive, "the session is over"),
        Some(_) => not_live(state, session, "the session is over"),
    }
}

fn unwilling(why: ActRefused) -> Problem {
    match why {
        ActRefused::NoCode => {
            let words = "begins with no code of this merchant's";
            Problem::invalid(vec![FieldError::new("/dialled", words)])
        }
        ActRefused::Busy => Problem::new(Code::Busy, "too many sessions are open"),
        ActRefused::Blocked => Problem::new(Code::MerchantDisabled, ""),
        ActRefused::NoSession => missing(),
        ActRefused::NotNow => Problem::new(Code::MenuBusy, ""),
    }
}
