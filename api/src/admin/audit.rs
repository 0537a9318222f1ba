//! The audit trail: what operators changed, by whichever hand; and what is noted of this one.

use std::fmt;
use std::net::IpAddr;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::routing::get;
use billing::Once;
use serde_json::Value;

use super::{Asked, Reply, ok, page, shown, store_fault};
use crate::state::{ApiState, now};

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/admin/v1/audit", get(list)).route("/admin/v1/audit/check", get(check))
}

/// Who asks, as the token check saw it. There is one token, so the address is what tells people apart.
#[derive(Clone, Copy)]
pub(super) struct Asker(pub(super) IpAddr);

impl fmt::Display for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "admin API from {}", self.0)
    }
}

/// Entries, oldest first.
async fn list(State(state): State<ApiState>, RawQuery(query): RawQuery) -> Reply {
    let asked = Asked::read(query.as_deref());
    let (after, limit) = (asked.after()?, asked.limit()?);
    let rows = state.0.store.trail(after, limit).await.map_err(store_fault)?;
    Ok(page(&rows, limit, |row| row.id))
}

/// Walks the chain; `head` is a hash noted earlier that must be in it.
async fn check(State(state): State<ApiState>, RawQuery(query): RawQuery) -> Reply {
    let head = Asked::read(query.as_deref()).text("head");
    let trail = state.0.store.check_trail(head.as_deref()).await.map_err(store_fault)?;
    let mut value = shown(&trail);
    value["in_order"] = trail.in_order().into();
    Ok(ok(&value))
}

/// Notes an act that was carried out. It is done, so a store that fails now is only logged.
pub(super) async fn note(state: &ApiState, asker: Asker, act: &str, what: Value) {
    let noted = match Once::fresh() {
        Ok(once) => state.0.store.note(&once, now(), &asker.to_string(), act, what).await,
        Err(error) => Err(error),
    };
    match noted {
        Ok(head) => tracing::info!(act, entry = head.entry, hash = head.hash, "audit"),
        Err(error) => tracing::error!(%asker, act, %error, "an act is not in the audit trail"),
    }
}
