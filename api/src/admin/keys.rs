//! Keys of the merchants' systems for `/v1`: made, seen, ended. A key itself is told once.

use std::collections::BTreeSet;
use std::net::IpAddr;

use axum::extract::{Path, RawQuery, Request, State};
use axum::http::StatusCode;
use axum::routing::{delete, get};
use axum::{Extension, Router};
use billing::rows::NewKey;
use dialect::rest::Scope;
use facts::UnixMillis;
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::json;

use super::audit::Asker;
use super::objects::body;
use super::{Asked, Fault, Reply, bad, merchant_id, not_found, ok, shown, store_fault};
use crate::door::answer;
use crate::state::{ApiState, now};

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/admin/v1/api-keys", get(list).post(create))
        .route("/admin/v1/api-keys/{id}", delete(revoke))
}

/// Longest name of a key.
const NAME_MAX: usize = 100;
/// Most entries of a list of a key.
const LIST_MAX: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    merchant: String,
    name: String,
    scopes: BTreeSet<String>,
    #[serde(default)]
    allowed_ips: Vec<String>,
    #[serde(default)]
    caller_ids: Vec<String>,
    /// Unix milliseconds.
    expires: Option<i64>,
}

/// All keys, or those of a merchant: also those that are good for nothing any more.
async fn list(State(state): State<ApiState>, RawQuery(query): RawQuery) -> Reply {
    let asked = Asked::read(query.as_deref());
    let merchant = asked.merchant(&state).await?;
    let keys = state.0.store.api_keys(merchant).await.map_err(store_fault)?;
    let items: Vec<_> = keys.iter().map(shown).collect();
    Ok(ok(&json!({ "items": items })))
}

async fn create(
    State(state): State<ApiState>,
    Extension(asker): Extension<Asker>,
    request: Request,
) -> Reply {
    let asked: New = body(&state, request).await?;
    let new = read(&state, asked).await?;
    let made = state.0.store.create_api_key(&asker.to_string(), new, now()).await;
    let (key, told) = made.map_err(store_fault)?;
    tracing::info!(key = key.id, merchant = key.merchant.0, "admin: api key made");
    let mut value = shown(&key);
    value["key"] = told.into();
    Ok(answer(StatusCode::CREATED, "application/json", value.to_string()))
}

async fn read(state: &ApiState, asked: New) -> Result<NewKey, Fault> {
    let merchant = merchant_id(state, &asked.merchant).await?;
    if asked.name.is_empty() || asked.name.chars().count() > NAME_MAX {
        return Err(bad("`name` has 1 to 100 characters"));
    }
    if let Some(unknown) = asked.scopes.iter().find(|word| Scope::named(word).is_none()) {
        let known: Vec<_> = Scope::ALL.iter().map(|scope| scope.word()).collect();
        return Err(bad(format!("there is no scope {unknown:?}; there are {}", known.join(", "))));
    }
    if asked.scopes.is_empty() {
        return Err(bad("`scopes` has none"));
    }
    if asked.allowed_ips.len() > LIST_MAX || asked.caller_ids.len() > LIST_MAX {
        return Err(bad("a list has 100 entries at most"));
    }
    let address = |text: &String| text.parse::<IpNet>().is_ok() || text.parse::<IpAddr>().is_ok();
    if let Some(wrong) = asked.allowed_ips.iter().find(|text| !address(text)) {
        return Err(bad(format!("{wrong:?} is no address and no network")));
    }
    let view = state.0.settings.current(&state.0.store).await.map_err(store_fault)?;
    let mut caller_ids = Vec::with_capacity(asked.caller_ids.len());
    for written in &asked.caller_ids {
        let number = view.plan.parse(written);
        let number = number.map_err(|_| bad(format!("{written:?} is no telephone number")))?;
        caller_ids.push(number.digits().to_owned());
    }
    let expires = asked.expires.map(UnixMillis);
    if expires.is_some_and(|expires| expires <= now()) {
        return Err(bad("`expires` is over already"));
    }
    let (name, scopes, allowed_ips) = (asked.name, asked.scopes, asked.allowed_ips);
    Ok(NewKey { merchant, name, scopes, allowed_ips, caller_ids, expires })
}

/// Ends a key for good.
async fn revoke(
    State(state): State<ApiState>,
    Extension(asker): Extension<Asker>,
    Path(id): Path<String>,
) -> Reply {
    let revoked = state.0.store.revoke_api_key(&asker.to_string(), &id, now()).await;
    let key = revoked.map_err(store_fault)?.ok_or_else(|| not_found("key"))?;
    state.0.settings.forget().await;
    tracing::info!(key = key.id, "admin: api key revoked");
    Ok(ok(&shown(&key)))
}
