//! In which language a request is answered, whatever is answered: decided here and nowhere else.

use dialect::sipcall::{Lang, Params, Token};

use super::{Asker, asker, auth};
use crate::state::ApiState;

/// That of whoever is known to ask; else that of the company which what has come of the request names, by its token or its `appid`, though
/// nothing else of it may be right; else the framework's own.
///
/// The rate of an address is answered before anything is looked at.
pub(super) async fn of(state: &ApiState, known: Option<&Asker>, params: &Params) -> Lang {
    match known {
        Some(asker) => asker.lang(),
        None => named(state, params).await.unwrap_or_default(),
    }
}

async fn named(state: &ApiState, params: &Params) -> Option<Lang> {
    let (token, appid) = (params.get("token"), params.get("appid"));
    // A token of a wrong length is nobody's; without either there is nothing to look for.
    if token.is_none() && appid.is_none() {
        return None;
    }
    let view = state.0.settings.current(&state.0.store).await.ok()?;
    if token.is_some_and(Token::may_be)
        && let Ok(Some(asker)) = asker(state, &view, params).await
    {
        return Some(asker.lang());
    }
    let companies = auth::named_by(state, &view, appid?).await.ok()?;
    companies.last().map(Asker::lang)
}
