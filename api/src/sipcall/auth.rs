//! `App.Sip_Auth.Login` and `Logout`: tokens.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use dialect::sipcall::{Answer, Fault, Login, Rules, Stop, Token, logged_in};
use subtle::ConstantTimeEq as _;

use super::{Asker, ours};
use crate::counters::count;
use crate::door::source;
use crate::settings::View;
use crate::state::{ApiState, now};

/// Characters of an `appid` by which wrong keys are counted.
const APPID_MAX: usize = 64;

/// A token for a key, and whose it is.
pub(super) async fn log_in(
    state: &ApiState,
    view: &View,
    rules: Rules<'_>,
    ip: IpAddr,
) -> (Result<Answer, Stop>, Option<Asker>) {
    let login = match Login::read(rules) {
        Ok(login) => login,
        Err(fault) => return (Err(fault.into()), None),
    };
    match asker(state, view, &login, ip).await {
        Ok(known) => (token(state, known.as_ref(), ip).await, known),
        Err(stop) => (Err(stop), None),
    }
}

/// Whose the key is.
pub(super) async fn asker(
    state: &ApiState,
    view: &View,
    login: &Login,
    ip: IpAddr,
) -> Result<Option<Asker>, Stop> {
    // Their keys are chosen by people: whoever tries one after the other waits, also with the right one; but nobody
    // else who comes from there.
    let named: String = login.appid.chars().take(APPID_MAX).collect();
    // Each try is counted before it is looked at, so many at once are no more than one after the other.
    let (tries, from) = (&state.0.logins, (source(ip), named));
    if !tries.take(from.clone(), Instant::now()) {
        count(&state.0.counters.rate_limited);
        return Err(Fault::TooFrequent.into());
    }
    for asker in named_by(state, view, &login.appid).await? {
        let key = &asker.company.accesskey;
        if bool::from(key.as_bytes().ct_eq(login.accesskey.as_bytes())) {
            tries.give(&from);
            return Ok(Some(asker));
        }
    }
    count(&state.0.counters.bad_signatures);
    Ok(None)
}

/// The companies that have an `appid`, whatever their keys are.
pub(super) async fn named_by(
    state: &ApiState,
    view: &View,
    appid: &str,
) -> Result<Vec<Asker>, Stop> {
    let (store, mut askers) = (&state.0.store, Vec::new());
    for company in store.companies_of(appid).await.map_err(ours)? {
        if let Some(merchant) = view.merchant(store, company.merchant).await.map_err(ours)? {
            askers.push(Asker { company: Arc::new(company), merchant });
        }
    }
    Ok(askers)
}

async fn token(state: &ApiState, asker: Option<&Asker>, ip: IpAddr) -> Result<Answer, Stop> {
    let asker = asker.ok_or(Fault::AppId)?;
    asker.authorized()?;
    asker.heard(state, ip)?;
    let company = asker.company.as_ref();
    let token = state.0.store.log_in(company, now(), Token::LIFE).await.map_err(ours)?;
    let modules: Vec<&str> = company.modules.iter().map(String::as_str).collect();
    let (name, allowed) =
        ((company.companycode.as_str(), company.name.as_str()), &company.allowed_ips);
    Ok(logged_in(name, &token, company.expires, &modules.join(","), &allowed.join(",")))
}

/// Ends a token, for all who have it.
pub(super) async fn log_out(state: &ApiState, asker: &Asker) -> Result<Answer, Stop> {
    state.0.store.log_out(&asker.company.companycode).await.map_err(ours)?;
    Ok(Answer::done("注销成功", "logged out"))
}
