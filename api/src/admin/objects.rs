//! The declarative objects: list, show, and apply the whole document.

use axum::extract::{Path, RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use billing::desired::{Act, Changes, Desired, Mistake, TopUp};
use billing::document::Document;
use billing::speech;
use billing::words;
use bytes::Bytes;
use facts::Micros;
use serde::Deserialize;
use serde_json::{Value, json};

use super::audit::Asker;
use super::text::Places;
use super::{Asked, Fault, Reply, fault, merchant_id, not_found, ok, shown, store_fault};
use crate::door::{answer, read_body};
use crate::state::{ApiState, now};
use crate::warnings::warnings;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/admin/v1/apply", post(apply))
        .route("/admin/v1/top-ups", post(top_up))
        .route("/admin/v1/settings", get(settings))
        .route("/admin/v1/balances", get(balances))
        .route("/admin/v1/merchants/{merchant}/balance", get(balance))
        .route("/admin/v1/{kind}", get(list))
        .route("/admin/v1/{kind}/{name}", get(show))
}

/// All objects of a kind, with the field that names one of them. `None` for a kind there is not.
async fn objects(
    state: &ApiState,
    kind: &str,
    asked: &Asked,
) -> Result<Option<(Vec<Value>, &'static str)>, Fault> {
    let store = &state.0.store;
    let merchant = asked.merchant(state).await?;
    let snapshot = || state.0.settings.current(store);
    macro_rules! rows {
        ($rows:expr) => {
            $rows.await.map_err(store_fault)?.iter().map(shown).collect()
        };
    }
    Ok(Some(match kind {
        "merchants" => (rows!(store.merchants()), "name"),
        "sub-accounts" => (rows!(store.sub_accounts(merchant)), "name"),
        "extensions" => (rows!(store.extensions(merchant)), "number"),
        "groups" => {
            let rows = store.groups().await.map_err(store_fault)?;
            let own = rows.iter().filter(|row| merchant.is_none_or(|id| row.group.merchant == id));
            (own.map(shown).collect(), "number")
        }
        "tariffs" => (rows!(store.tariffs()), "name"),
        "ytx-accounts" => (rows!(store.ytx_accounts()), "sid"),
        "ytx-apps" => (rows!(store.ytx_apps()), "appid"),
        "companies" => (rows!(store.companies()), "companycode"),
        "templates" => (rows!(store.templates(merchant)), "id"),
        "number-lists" => (rows!(store.number_lists()), "name"),
        "policies" => (rows!(store.policies()), "name"),
        "ussd-codes" => (rows!(store.ussd_codes(merchant)), "code"),
        "ussd-owners" => (rows!(store.ussd_owners()), "username"),
        "sms-accounts" => (rows!(store.sms_accounts()), "username"),
        "sms-keywords" => (rows!(store.sms_keywords()), "keyword"),
        "sms-hooks" => (rows!(store.sms_hooks()), "name"),
        "smpp-links" => (rows!(store.smpp_links()), "name"),
        "payment-gateways" => (rows!(store.payment_gateways()), "name"),
        "trunks" => {
            let rows = store.trunks().await.map_err(store_fault)?;
            let flat = rows.iter().map(|row| {
                let mut value = shown(&row.trunk);
                value["id"] = row.id.0.into();
                if let Some(password) = value.pointer_mut("/credentials/password") {
                    *password = Value::Null;
                }
                value
            });
            (flat.collect(), "name")
        }
        "routes" => {
            (snapshot().await.map_err(store_fault)?.routes.iter().map(shown).collect(), "prefix")
        }
        "inbound" => {
            let snapshot = snapshot().await.map_err(store_fault)?;
            let rows = snapshot.inbound.iter();
            let rows = rows.map(
                |(n, e)| json!({ "number": n, "extension": e, "axb": snapshot.axb.contains(n) }),
            );
            (rows.collect(), "number")
        }
        _ => return Ok(None),
    }))
}

async fn list(
    State(state): State<ApiState>,
    Path(kind): Path<String>,
    RawQuery(query): RawQuery,
) -> Reply {
    let found = objects(&state, &kind, &Asked::read(query.as_deref())).await?;
    let (items, _) = found.ok_or_else(|| not_found("kind of object"))?;
    Ok(ok(&json!({ "items": items })))
}

async fn show(
    State(state): State<ApiState>,
    Path((kind, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Reply {
    let found = objects(&state, &kind, &Asked::read(query.as_deref())).await?;
    let (items, key) = found.ok_or_else(|| not_found("kind of object"))?;
    let named = |item: &Value| {
        item[key] == name.as_str() || item["id"].as_i64().is_some_and(|id| id.to_string() == name)
    };
    items.iter().find(|item| named(item)).map(ok).ok_or_else(|| not_found("object"))
}

async fn settings(State(state): State<ApiState>) -> Reply {
    let snapshot = state.0.settings.current(&state.0.store).await.map_err(store_fault)?;
    Ok(ok(&json!({
        "version": snapshot.version,
        "realm": snapshot.realm,
        "number_plan": shown(&snapshot.plan),
    })))
}

/// The same document as the declarative file, as JSON. `?dry_run=1` only shows the difference. With any
/// mistake nothing is written and all are told.
async fn apply(
    State(state): State<ApiState>,
    Extension(asker): Extension<Asker>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Reply {
    let text = object(&state, request).await?;
    let top = serde_json::from_slice(&text).map_err(|error| bad_json(&error))?;
    let (document, places) = (Document::read(top), Places::of(&text));
    let dry_run = Asked::read(query.as_deref()).flag("dry_run");
    // What has mistakes of form is looked at for mistakes of meaning all the same.
    let wrong = !document.mistakes.is_empty() || !places.twice.is_empty();
    let calls = &state.0.calls;
    let unspeakable = speech::unspeakable(&document.desired, |clip| calls.playable(clip));
    let unheard = !unspeakable.is_empty();
    let dry = dry_run || wrong || unheard;
    let mut changes = change(&state, asker, &document.desired, dry).await?;
    changes.mistakes.extend(unspeakable);
    changes.mistakes = document.all_mistakes(&changes.mistakes);
    changes.mistakes.extend(places.twice.iter().cloned());
    if wrong || unheard {
        // Made of stand-ins, some of it, or not made at all.
        changes.lines.clear();
    }
    // By the settings of the switch that runs.
    let (guard, config) = (Some(&state.0.guard), &state.0.config);
    let told = match wrong {
        true => Vec::new(),
        false => warnings(&document.desired, guard, &config.features, config.mute.as_deref()),
    };
    Ok(written(&changes, Some((&places, &told))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TopUpAsked {
    id: String,
    merchant: String,
    amount_micros: i64,
    #[serde(default)]
    note: String,
}

/// Books money received, once per merchant and id.
async fn top_up(
    State(state): State<ApiState>,
    Extension(asker): Extension<Asker>,
    request: Request,
) -> Reply {
    let asked: TopUpAsked = body(&state, request).await?;
    let top_up = TopUp {
        id: asked.id,
        merchant: asked.merchant,
        amount: Micros(asked.amount_micros).decimal(2),
        note: asked.note,
    };
    let desired = Desired { top_ups: vec![top_up], ..Desired::default() };
    Ok(written(&change(&state, asker, &desired, false).await?, None))
}

async fn change(
    state: &ApiState,
    asker: Asker,
    desired: &Desired,
    dry_run: bool,
) -> Result<Changes, Fault> {
    let applied = state.0.store.apply_by(&asker.to_string(), desired, now(), dry_run).await;
    let changes = applied.map_err(store_fault)?;
    if !dry_run && changes.mistakes.is_empty() {
        state.0.settings.forget().await;
        state.0.calls.settings_changed();
        tracing::info!(version = changes.version, "admin: settings applied");
    }
    Ok(changes)
}

/// What came of it; mistakes and warnings with their lines where there is a text that has some.
fn written(changes: &Changes, text: Option<(&Places, &[Mistake])>) -> Response {
    let status =
        if changes.mistakes.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let mut body = shown(changes);
    if let Some((places, warnings)) = text {
        body["mistakes"] = lined(places, &changes.mistakes);
        body["warnings"] = lined(places, warnings);
    }
    body["created"] = changes.count(Act::Created).into();
    body["updated"] = changes.count(Act::Updated).into();
    body["removed"] = changes.count(Act::Removed).into();
    body["unchanged"] = changes.count(Act::Unchanged).into();
    if !changes.mistakes.is_empty() {
        let count = changes.mistakes.len();
        let words = if count == 1 { "mistake" } else { "mistakes" };
        body["error"] = json!({
            "code": "mistakes",
            "message": format!("{count} {words}; nothing was written"),
        });
    }
    answer(status, "application/json", body.to_string())
}

/// With their lines, in the order of these.
fn lined(places: &Places, mistakes: &[Mistake]) -> Value {
    let mut list: Vec<Value> = mistakes.iter().map(shown).collect();
    for (told, mistake) in list.iter_mut().zip(mistakes) {
        told["line"] = places.line(&mistake.path).into();
    }
    list.sort_by_key(|told| told["line"].as_u64());
    list.into()
}

async fn balances(State(state): State<ApiState>) -> Reply {
    let merchants = state.0.store.merchants().await.map_err(store_fault)?;
    let mut items = Vec::with_capacity(merchants.len());
    for merchant in merchants {
        items.push(balance_of(&state, merchant.id, &merchant.name).await?);
    }
    Ok(ok(&json!({ "items": items })))
}

async fn balance(State(state): State<ApiState>, Path(name): Path<String>) -> Reply {
    let id = merchant_id(&state, &name).await?;
    Ok(ok(&balance_of(&state, id, &name).await?))
}

async fn balance_of(state: &ApiState, id: facts::MerchantId, name: &str) -> Result<Value, Fault> {
    let balance = state.0.store.balance(id).await.map_err(store_fault)?;
    Ok(json!({
        "merchant": id,
        "name": name,
        "posted_micros": balance.posted,
        "held_micros": balance.held,
        "available_micros": balance.posted - balance.held,
        "currency": balance.currency,
    }))
}

/// Reads a JSON body; what is wrong with it is told with line and column.
pub(super) async fn body<T: for<'a> Deserialize<'a>>(
    state: &ApiState,
    request: Request,
) -> Result<T, Fault> {
    let bytes = object(state, request).await?;
    serde_json::from_slice(&bytes).map_err(|error| bad_json(&error))
}

fn bad_json(error: &serde_json::Error) -> Fault {
    let text = error.to_string();
    let words = match text.rsplit_once(" at line ") {
        Some((what, place)) => format!("{}, at line {place}", words::plain(what)),
        None => text,
    };
    fault(StatusCode::BAD_REQUEST, "bad_json", words)
}

/// The bytes of a body that begins as a JSON object does.
async fn object(state: &ApiState, request: Request) -> Result<Bytes, Fault> {
    let (parts, body) = request.into_parts();
    let config = &state.0.config;
    let (limit, patience) = (config.admin_body_limit, config.body_timeout);
    let bytes = read_body(state, &parts.headers, body, limit, patience)
        .await
        .map_err(|response| Fault::Written(Box::new(response)))?;
    // An array would be read as a document's fields in order; nobody means that.
    if !bytes.trim_ascii().starts_with(b"{") {
        return Err(fault(StatusCode::BAD_REQUEST, "bad_json", "a JSON object was expected"));
    }
    Ok(bytes)
}
