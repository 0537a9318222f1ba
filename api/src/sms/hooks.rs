//! `/sms-hooks/{name}`: a gateway tells by HTTP what came in, and what became of what left. The names of its fields stand in
//! the operator's file.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use billing::desired::HookFields;
use billing::smpp::Came;
use dialect::inoti::sms::object;
use dialect::text::{Fields, Plus, decode, unescape};
use facts::NumberPlan;
use facts::sms::{Arrived, Delivery, Receipt};
use sha2::{Digest as _, Sha256};
use std::time::{Duration, Instant};

use super::{came, receipt};
use crate::counters::count;
use crate::door::{answer, client_ip, ip_may_ask, read_body, source};
use crate::state::ApiState;

/// Bytes of a request at most.
const BODY_MAX: usize = 16 * 1024;
/// A message without a name of its own is the same one so long.
const SAME: Duration = Duration::from_secs(600);
/// The way that such a gateway sends by, as its receipts are kept.
const LINK: &str = "http";

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/sms-hooks/{name}", get(told).post(told))
}

fn plain(status: StatusCode, words: &'static str) -> Response {
    answer(status, "text/plain; charset=utf-8", words)
}

async fn told(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let ip = client_ip(&request, &state.0.config.trusted_proxies);
    if !ip_may_ask(&state, ip) {
        return plain(StatusCode::TOO_MANY_REQUESTS, "too many requests\n");
    }
    let (parts, body) = request.into_parts();
    let patience = state.0.config.body_timeout;
    let body = match read_body(&state, &parts.headers, body, BODY_MAX, patience).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let mut fields = form(parts.uri.query().unwrap_or_default().as_bytes());
    match object(&decode(&body)) {
        Some(json) => fields.extend(json),
        None => fields.extend(form(&body)),
    }
    let bearer = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
    let secret = bearer.or(fields.get("secret").map(String::as_str)).unwrap_or_default();
    let names = match state.0.store.sms_hook(&name, secret).await {
        Ok(Some(names)) => names,
        Ok(None) => {
            count(&state.0.counters.bad_signatures);
            // Also for a name that nobody has: who guesses learns nothing.
            let may = state.0.wrong_keys.take((source(ip), "sms-hooks".to_owned()), Instant::now());
            return match may {
                true => plain(StatusCode::FORBIDDEN, "no such hook, or not its secret\n"),
                false => plain(StatusCode::TOO_MANY_REQUESTS, "too many wrong secrets\n"),
            };
        }
        Err(error) => return away(&error),
    };
    match keep(&state, &name, &names, &fields).await {
        Ok(true) => plain(StatusCode::OK, "ok\n"),
        Ok(false) => plain(StatusCode::BAD_REQUEST, "neither a message nor a receipt\n"),
        Err(error) => away(&error),
    }
}

fn away(error: &billing::Error) -> Response {
    tracing::warn!(%error, "what a gateway tells of short messages cannot be kept");
    plain(StatusCode::SERVICE_UNAVAILABLE, "try again\n")
}

/// Fields of a query or a form by their names in small letters.
pub(super) fn form(raw: &[u8]) -> BTreeMap<String, String> {
    let fields = Fields::parse(raw);
    let names: Vec<String> = fields.names().map(str::to_owned).collect();
    let value = |name: &str| Some(decode(&unescape(fields.first(name)?, Plus::Blank)));
    names.iter().filter_map(|name| Some((name.to_lowercase(), value(name)?))).collect()
}

/// Keeps what was told; false where it is nothing.
async fn keep(
    state: &ApiState,
    hook: &str,
    names: &HookFields,
    fields: &BTreeMap<String, String>,
) -> billing::Result<bool> {
    let field = |name: &str| fields.get(&name.to_lowercase()).map(|value| value.trim());
    let given = |name: &str| field(name).filter(|value| !value.is_empty());
    if let Some(word) = given(&names.status) {
        let Some(reference) = given(&names.id) else { return Ok(false) };
        let is = |list: &[String]| list.iter().any(|known| known.eq_ignore_ascii_case(word));
        let delivery = match (is(&names.delivered), is(&names.undelivered)) {
            (true, _) => Delivery::Delivered,
            (false, true) => Delivery::Undelivered,
            // On its way: nothing is known yet.
            (false, false) => return Ok(true),
        };
        let (reference, word) = (reference.to_owned(), word.to_owned());
        receipt(state, Receipt { link: LINK.to_owned(), reference, delivery, word }).await?;
        return Ok(true);
    }
    let (Some(from), Some(to), Some(text)) =
        (given(&names.from), given(&names.to), given(&names.text))
    else {
        return Ok(false);
    };
    let view = state.0.settings.current(&state.0.store).await?;
    let looks = hex::encode(Sha256::digest(format!("{from}\n{to}\n{text}")));
    let (once, same) = match given(&names.id) {
        // Gateways begin anew with their names: another message under an old one is another.
        Some(id) => (format!("id {id} {looks}"), None),
        None => (looks, Some(SAME)),
    };
    let from = public(&view.plan, from);
    let (to, text) = (to.to_owned(), text.to_owned());
    let arrived = Arrived { link: hook.to_owned(), once, from, to, text };
    came(state, arrived, Came { same, renewed: false, parts: None }).await?;
    Ok(true)
}

/// Digits with the country's code, of a number that is written with it or as people at home write it.
fn public(plan: &NumberPlan, written: &str) -> String {
    let bare = written.bytes().all(|b| b.is_ascii_digit());
    let whole = bare && written.starts_with(&plan.country) && written.len() > 10;
    let number = if whole { plan.parse(&format!("+{written}")) } else { plan.parse(written) };
    number.map_or_else(|_| written.to_owned(), |number| number.digits().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_known_however_the_gateway_writes_him() {
        let iran = NumberPlan { country: "98".into(), ..NumberPlan::default() };
        for written in ["989123456789", "+989123456789", "00989123456789", "09123456789"] {
            assert_eq!(public(&iran, written), "989123456789", "{written}");
        }
        assert_eq!(public(&iran, "Acme"), "Acme");
    }
}
