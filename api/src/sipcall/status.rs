//! `App.Sip_Status`: how extensions stand.

use std::sync::Arc;

use billing::rows::Extension;
use dialect::sipcall::{
    Answer, CallOf, CallStatus, Code, Extensions, Standing, Stop, calls, registered, valid,
};
use facts::UnixMillis;
use facts::station::{Stage, Station, StationCall};

use super::{Asker, ours};
use crate::settings::View;
use crate::state::{ApiState, now};

/// Extensions that the engine is asked for in one go.
const AT_ONCE: usize = 256;

/// Whether extensions are registered, and from where.
pub(super) async fn register(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    asked: Extensions,
) -> Result<Answer, Stop> {
    let bindings = state.0.calls.bindings_of(asked.0.clone()).await;
    let mut standings = standings(state, view, asker, asked).await?;
    for standing in standings.iter_mut().filter(|standing| standing.code == Code::Enabled) {
        let of = |(user, ..): &&(String, String, u64)| *user == standing.extension;
        let contact = bindings.iter().find(of).map(|(_, contact, _)| contact);
        standing.code = if contact.is_some() { Code::Registered } else { Code::NotRegistered };
        standing.client = contact.map(|uri| host(uri)).unwrap_or_default();
    }
    Ok(registered(&standings))
}

/// Whether extensions are in use.
pub(super) async fn in_use(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    asked: Extensions,
) -> Result<Answer, Stop> {
    Ok(valid(&standings(state, view, asker, asked).await?))
}

/// What extensions are at.
pub(super) async fn at(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    asked: Extensions,
) -> Result<Answer, Stop> {
    let stations = stations(state, &asked.0).await?;
    let standings = standings(state, view, asker, asked).await?;
    let now = now();
    let all = standings.into_iter().zip(stations).map(|(standing, station)| match standing.code {
        Code::Enabled => {
            let mut status = call_status(&station, now);
            if let Some(call) = &mut status.call {
                call.shown = at_home(view, &call.shown);
            }
            status
        }
        code => CallStatus { extension: standing.extension, code, call: None, idle_s: 0 },
    });
    Ok(calls(&all.collect::<Vec<_>>()))
}

/// A number that is shown, as everything else that is told writes it.
fn at_home(view: &View, shown: &str) -> String {
    let known = |digits: &str| view.plan.national(&facts::Number::public(digits.to_owned()));
    if shown.is_empty() { String::new() } else { known(shown) }
}

/// What extensions are at, in their order. The engine is asked for a few at a time: between two of its answers it does
/// what calls are waiting for.
pub(super) async fn stations(
    state: &ApiState,
    extensions: &[String],
) -> Result<Vec<Station>, Code> {
    let mut all = Vec::with_capacity(extensions.len());
    for some in extensions.chunks(AT_ONCE) {
        let told = state.0.calls.stations(some.to_vec()).await;
        all.extend(told.ok_or(Code::Connection)?);
    }
    Ok(all)
}

/// The call in which it talks counts before one in which it does not.
fn call_status(station: &Station, now: UnixMillis) -> CallStatus {
    let talks = station.calls.iter().find(|call| call.stage == Stage::Talks);
    let call = talks.or(station.calls.first());
    let code = match call.map(|call| call.stage) {
        Some(Stage::Talks) => Code::Talking,
        Some(Stage::Rings) => Code::Ringing,
        Some(Stage::Dials) => Code::OffHook,
        None if station.registered => Code::Idle,
        None => Code::Offline,
    };
    let idle_s = match (call, station.idle_since) {
        (None, Some(since)) => now.since(since).as_secs(),
        _ => 0,
    };
    let of = |call: &StationCall| CallOf {
        call: call.call,
        other: call.other.clone(),
        called_in: call.called_in,
        shown: if call.called_in { &call.shown } else { &call.other_shown }.clone(),
        talk_s: match call.stage {
            Stage::Talks => now.since(call.since).as_secs(),
            Stage::Rings | Stage::Dials => 0,
        },
    };
    CallStatus { extension: station.extension.clone(), code, call: call.map(of), idle_s }
}

async fn standings(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    Extensions(numbers): Extensions,
) -> Result<Vec<Standing>, Stop> {
    let mut standings = Vec::with_capacity(numbers.len());
    for extension in numbers {
        let code = own(state, view, asker, &extension).await?.err().unwrap_or(Code::Enabled);
        standings.push(Standing { extension, code, client: String::new() });
    }
    Ok(standings)
}

/// An extension of the company that is in use; or why it is none.
pub(super) async fn own(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    extension: &str,
) -> Result<Result<Arc<Extension>, Code>, Stop> {
    let found = view.extension(&state.0.store, extension).await.map_err(ours)?;
    Ok(match found {
        None => Err(Code::NoExtension),
        Some(found) if found.merchant != asker.merchant.id => Err(Code::ForeignExtension),
        Some(found) if found.enabled => Ok(found),
        Some(_) => Err(Code::DisabledExtension),
    })
}

/// The host of a SIP URI.
fn host(uri: &str) -> String {
    let rest = uri.trim_start_matches('<').split_once(':').map_or("", |(_, rest)| rest);
    let rest = rest.split([';', '?', '>']).next().unwrap_or_default();
    let rest = rest.rsplit('@').next().unwrap_or_default();
    let host = match rest.strip_prefix('[') {
        Some(six) => six.split(']').next().unwrap_or_default(),
        None => rest.split(':').next().unwrap_or_default(),
    };
    host.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_contact() {
        for (uri, wanted) in [
            ("sip:80000@192.0.2.7:5060", "192.0.2.7"),
            ("<sip:80000@192.0.2.7;transport=tcp>", "192.0.2.7"),
            ("sips:80000@[2001:db8::7]:5061;ob", "2001:db8::7"),
            ("sip:192.0.2.7", "192.0.2.7"),
            ("", ""),
        ] {
            assert_eq!(host(uri), wanted, "{uri}");
        }
    }
}
