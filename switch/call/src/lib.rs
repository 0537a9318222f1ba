//! The back-to-back user agent: legs, flows, routes, registrations, limits.
//!
//! [`Engine`] owns all live signalling of a process. It is pure: the shell hands it messages, media
//! news, replies of the ledger and commands with the clocks' reading, and carries out the [`Effect`]s
//! it polls. It knows neither RTP nor SQL nor HTTP.

mod abuse;
mod admission;
mod axb;
mod backlog;
mod call;
mod capacity;
mod carrier;
mod conference;
mod config;
mod credit;
mod denial;
mod divert;
mod engine;
mod event;
mod flow;
mod fraud;
mod group;
mod guesses;
mod ivr;
mod keys;
mod leg;
mod link;
mod monitor;
mod names;
mod order;
mod park;
mod pledge;
mod policy;
mod pool;
mod presence;
mod registrar;
mod route;
mod script;
mod seat;
mod serve;
mod tape;
#[cfg(test)]
mod testing;
mod tie;
mod timers;
mod trace;
mod transfer;
mod typed;
mod unrung;
mod voicemail;
mod world;

pub use abuse::AbuseLimits;
pub use config::{
    Consent, EngineConfig, Hearing, HoldMusic, Messages, Notice, Reinvite, Track, Transfer,
};
pub use engine::Engine;
pub use event::{
    Answer, CarrierChange, CarrierNews, Command, Counts, Denial, Effect, Kept, Miss, Missed, Reply,
    Resolved, TurnedAway,
};
pub use registrar::RegisterLimits;
pub use route::{Live, explain, explain_delivered};
