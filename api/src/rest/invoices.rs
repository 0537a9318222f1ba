//! `/v1/ussd/invoices`: what menus of the merchant's wanted paid.

use axum::http::StatusCode;
use billing::payments::{Invoice, InvoicesAsked};
use dialect::rest::{MenuInvoice, Page, Problem, instant};

use super::{Asked, Asker, Reply, ok, ours};
use crate::state::ApiState;

pub(super) async fn list(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let (after, limit) = (asked.after()?, asked.limit()?);
    let merchant = Some(asker.merchant.id);
    let which = InvoicesAsked { merchant, after, limit, ..InvoicesAsked::default() };
    let rows = state.0.store.invoices(which).await.map_err(ours)?;
    let next = rows.last().map(|row| row.id.to_string());
    let items = rows.iter().map(shown).collect();
    Ok(ok(StatusCode::OK, &Page { items, next }))
}

pub(super) async fn show(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let missing = || Problem::new(dialect::rest::Code::NotFound, "no such invoice");
    let id = asked.path.first().and_then(|id| id.parse().ok()).ok_or_else(missing)?;
    let found = state.0.store.invoice(id).await.map_err(ours)?;
    let found = found.filter(|invoice| invoice.merchant == asker.merchant.id);
    Ok(ok(StatusCode::OK, &shown(&found.ok_or_else(missing)?)))
}

fn shown(invoice: &Invoice) -> MenuInvoice {
    let state = serde_json::to_value(invoice.state).ok();
    MenuInvoice {
        id: invoice.id.to_string(),
        session: invoice.session.to_string(),
        code: invoice.code.clone(),
        mobile: invoice.subscriber.clone(),
        factor: invoice.factor.clone(),
        rials: invoice.rials,
        state: state.and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default(),
        trial: invoice.trial,
        gateway: invoice.gateway.clone(),
        reference: invoice.reference.clone(),
        rrn: invoice.rrn.clone(),
        made: instant(invoice.made),
        expires: instant(invoice.expires),
        closed: invoice.closed.map(instant),
    }
}
