//! Addresses that the operator's file names and that the guard would turn away.

use billing::desired::{Desired, Mistake};
use facts::ports::FetchError;

use super::GuardedClient;

/// Where pushes were to go and cannot, as far as can be told without asking what a name leads to. It is no mistake:
/// the settings of the switch may be about to change.
pub(crate) fn unvisited(desired: &Desired, guard: &GuardedClient) -> Vec<Mistake> {
    let apps = desired.ytx_apps.iter().enumerate().flat_map(|(i, app)| {
        [("callback_url", &app.callback_url), ("state_url", &app.state_url)]
            .map(|(key, url)| (format!("ytx_apps[{i}].{key}"), url))
    });
    let companies = desired.companies.iter().enumerate().flat_map(|(i, company)| {
        [("cdr_url", &company.cdr_url), ("state_url", &company.state_url)]
            .map(|(key, url)| (format!("companies[{i}].{key}"), url))
    });
    let pages = desired.ussd_codes.iter().enumerate();
    let pages = pages.map(|(i, code)| (format!("ussd_codes[{i}].page"), code.page.as_str()));
    // What is filled in stands behind the host.
    let filled = |text: &str| text.replace(['{', '}'], "");
    let sms = desired.sms.iter().filter(|sms| sms.enabled && !sms.url.is_empty());
    let sms = sms.map(|sms| ("sms.url".to_owned(), filled(&sms.url)));
    let gateways = desired.payment_gateways.iter().enumerate();
    let gateways = gateways.filter(|(_, gateway)| !gateway.url.is_empty());
    let gateways =
        gateways.map(|(i, gateway)| (format!("payment_gateways[{i}].url"), gateway.url.clone()));
    let others: Vec<_> = sms.chain(gateways).collect();
    let others = others.iter().map(|(path, url)| (path.clone(), url.as_str()));
    let told = |(path, url): (String, &str)| {
        let why = match guard.admits(url) {
            Err(FetchError::Refused) => {
                "its port or its address is barred (http.callback_ports, http.callback_allow)"
            }
            Err(_) => "it is no address that is visited",
            Ok(()) => return None,
        };
        Some(Mistake { path, message: format!("nothing would be sent there: {why}") })
    };
    let given = apps.chain(companies).filter_map(|(path, url)| Some((path, url.as_deref()?)));
    given.chain(pages).chain(others).filter_map(told).collect()
}
