//! The deterministic world.
//!
//! One thread, one virtual clock, one seeded random source: a whole switch (the real
//! [`call::Engine`]) with its carriers, phones, media plane, database and network, on a clock that
//! jumps from event to event. The network loses, doubles and reorders; the process dies at any moment
//! and starts again on what its store had committed. After every step the [`audit`] asks whether money,
//! legs, ports and records still add up. A seed replays exactly.
//!
//! What is real: the engine, the SIP stack on both sides, every timer. What is modelled: RTP (only its
//! events; [`sound`] plays that part by itself), the store (a ledger in memory with the same promises as the
//! durable one), the wire.

pub mod audit;
pub mod far;
pub mod media;
pub mod names;
pub mod net;
mod rung;
pub mod settings;
mod shell;
pub mod sound;
pub mod store;
pub mod team;
pub mod watcher;
pub mod wire;
pub mod world;

pub use world::{Plan, World};
