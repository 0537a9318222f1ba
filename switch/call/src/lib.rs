//! The back-to-back user agent: legs, flows, routes, registrations, limits.
//!
//! [`Engine`] owns all live signalling of a process. It is pure: the shell hands it messages, media
//! news, replies of the ledger and commands with the clocks' reading, and carries out the [`Effect`]s
//! it polls. It knows neither RTP nor SQL nor HTTP.

mod config;
mod engine;
mod event;
mod registrar;

pub use config::EngineConfig;
pub use engine::Engine;
pub use event::{Answer, Command, Counts, Effect, Reply};
pub use registrar::RegisterLimits;
