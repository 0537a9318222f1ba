//! `App.Sip_Status`: how extensions stand.

use dialect::sipcall::{Answer, Code, Extensions, Standing, Stop, registered, valid};

use super::{Asker, ours};
use crate::settings::View;
use crate::state::ApiState;

/// Whether extensions are registered, and from where.
pub(super) async fn register(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    asked: Extensions,
) -> Result<Answer, Stop> {
    let bindings = state.0.calls.bindings().await;
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

async fn standings(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    Extensions(numbers): Extensions,
) -> Result<Vec<Standing>, Stop> {
    let mut standings = Vec::with_capacity(numbers.len());
    for extension in numbers {
        let found = view.extension(&state.0.store, &extension).await.map_err(ours)?;
        let code = match found {
            None => Code::NoExtension,
            Some(found) if found.merchant != asker.merchant.id => Code::ForeignExtension,
            Some(found) if found.enabled => Code::Enabled,
            Some(_) => Code::DisabledExtension,
        };
        standings.push(Standing { extension, code, client: String::new() });
    }
    Ok(standings)
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
