//! The merchants' languages, as pure functions: tolerant bytes in, typed requests out; records in, the
//! exact bytes of answers and pushes out; and the rules by which a push counts as delivered or is retried.
//!
//! One module per system. No clock, socket or store: instants, keys and look-up results are arguments.

pub mod callni;
pub mod clock;
pub mod inoti;
pub mod push;
pub mod rest;
pub mod signature;
pub mod sipcall;
pub mod target;
pub mod text;
pub mod ytx;

pub use push::{
    Event, FormatError, Method, PushRequest, Secrets, delivered, format_paid, format_push,
    patience_seconds, retry_delays,
};
