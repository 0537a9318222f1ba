//! The HTTP doors of the switch: one router for the merchants' systems and the operator, a server that
//! survives hostile clients, the outbox worker that pushes results to merchants, and the guard on every
//! address that merchants give us.
//!
//! What the bytes mean is the `dialect` crate's business; who may call and what it costs is the store's;
//! placing and ending calls is behind the [`facts::ports::Calls`] port. This crate moves values between them.

mod admin;
pub mod bookings;
pub mod bucket;
mod callni;
pub mod campaigns;
mod counters;
mod door;
pub mod guard;
mod guests;
mod health;
mod inoti;
mod limits;
mod meeting;
pub mod menus;
pub mod payments;
mod phone;
pub mod push;
mod recordings;
mod rest;
mod samples;
pub mod scenarios;
pub mod server;
mod settings;
pub mod signature;
mod sipcall;
pub mod sms;
mod state;
pub mod warnings;
mod ytx;

pub use counters::Counters;
pub use dialect::rest::EventContext;
pub use limits::Rate;
pub use state::{ApiConfig, ApiState, MetricsText};

use axum::Router;

/// Everything on one router: merchants, recordings, operator, health.
pub fn router(state: ApiState) -> Router {
    let operator = health::metrics().merge(admin::guarded(&state));
    doors().merge(health::probes()).merge(operator).with_state(state)
}

/// The merchants' systems, their recordings, samples for them, `/healthz` and `/readyz`; anything else is 404.
pub fn merchant_router(state: ApiState) -> Router {
    doors().merge(health::probes()).with_state(state)
}

/// `/admin/v1`, `/healthz`, `/readyz` and `/metrics`, for an operator's own listener.
pub fn operator_router(state: ApiState) -> Router {
    let operator = health::metrics().merge(admin::guarded(&state));
    operator.merge(health::probes()).with_state(state)
}

fn doors() -> Router<ApiState> {
    let systems = callni::routes().merge(ytx::routes()).merge(sipcall::routes());
    let systems = systems.merge(rest::routes()).merge(recordings::routes());
    let systems = systems.merge(samples::routes()).merge(phone::routes());
    systems.merge(payments::routes()).merge(sms::routes()).merge(inoti::routes())
}
