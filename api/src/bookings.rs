//! Booked conferences: each is begun when its time has come, by whichever process sees it first.
//!
//! The store is the clock's memory: a process that was down finds what came due meanwhile. What is late by more than
//! a few minutes is not begun any more, since nobody sits by his phone for it.

use std::time::Duration;

use billing::rows::{Booking, ConferenceState};
use facts::Refusal;
use tokio::sync::watch;

use crate::state::{ApiState, now};

/// Between two looks into the store.
const LOOK: Duration = Duration::from_secs(1);
/// What is later than this is missed.
const LATE_MAX: Duration = Duration::from_secs(300);

/// Begins what is booked until `stop` turns true.
pub async fn run(state: ApiState, mut stop: watch::Receiver<bool>) {
    loop {
        turn(&state).await;
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Looks once.
pub async fn turn(state: &ApiState) {
    if !state.0.calls.ready() {
        return;
    }
    match state.0.store.bookings_due(now()).await {
        Ok(due) => {
            for booking in due {
                begin(state, booking).await;
            }
        }
        Err(error) => tracing::warn!(%error, "booked conferences cannot be read"),
    }
}

async fn begin(state: &ApiState, booking: Booking) {
    let Booking { id, start, command } = booking;
    if now() > start + LATE_MAX {
        return end(state, id, ConferenceState::Missed).await;
    }
    match state.place(command).await {
        Ok(placed) => tracing::info!(call = %placed.call, "a booked conference begins"),
        // Begun by another process, or cancelled, since it was read.
        Err(Refusal::KeyConflict) => {}
        // Again, until it is too late.
        Err(Refusal::TooManyCalls | Refusal::Busy | Refusal::Internal) => {}
        Err(
            refusal @ (Refusal::UnknownMerchant
            | Refusal::Disabled
            | Refusal::NoBalance
            | Refusal::NoPrice
            | Refusal::NoRoute
            | Refusal::BadCaller
            | Refusal::SameNumber
            | Refusal::Blocked
            | Refusal::OutsideHours
            | Refusal::TooOften),
        ) => {
            tracing::info!(booking = id, ?refusal, "a booked conference is refused");
            end(state, id, ConferenceState::Refused).await;
        }
    }
}

async fn end(state: &ApiState, id: i64, how: ConferenceState) {
    if let Err(error) = state.0.store.end_booking(id, how, now()).await {
        tracing::warn!(%error, booking = id, "a booked conference cannot be ended");
    }
}
