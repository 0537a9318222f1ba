//! Exports: CDRs, ledger lines, and the audit of the books.

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::routing::get;

use super::{Asked, Reply, ok, page, shown, store_fault};
use crate::state::ApiState;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/admin/v1/cdrs", get(cdrs))
        .route("/admin/v1/ledger", get(ledger))
        .route("/admin/v1/books", get(books))
}

/// CDRs, one per leg attempted, in the order they were settled.
async fn cdrs(State(state): State<ApiState>, RawQuery(query): RawQuery) -> Reply {
    let asked = Asked::read(query.as_deref());
    let (after, limit) = (asked.after()?, asked.limit()?);
    let merchant = asked.merchant(&state).await?;
    let rows = state.0.store.cdrs(merchant, after, limit).await.map_err(store_fault)?;
    Ok(page(&rows, limit, |row| row.id))
}

/// Ledger lines; those of one transfer sum to zero.
async fn ledger(State(state): State<ApiState>, RawQuery(query): RawQuery) -> Reply {
    let asked = Asked::read(query.as_deref());
    let (after, limit) = (asked.after()?, asked.limit()?);
    let merchant = asked.merchant(&state).await?;
    let rows = state.0.store.ledger(merchant, after, limit).await.map_err(store_fault)?;
    Ok(page(&rows, limit, |row| row.id))
}

async fn books(State(state): State<ApiState>) -> Reply {
    let audit = state.0.store.check_books().await.map_err(store_fault)?;
    let mut value = shown(&audit);
    value["in_order"] = audit.in_order().into();
    Ok(ok(&value))
}
