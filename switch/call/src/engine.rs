//! All calls.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use facts::Now;
use facts::command::LiveCall;
use facts::media::MediaEvent;
use facts::settings::Snapshot;
use sip::endpoint::Flow;

use crate::config::EngineConfig;
use crate::event::{Command, Counts, Effect, Reply};

/// Every live call, registration and SIP dialog of a process.
///
/// After each `handle_*` drain [`Engine::poll_effect`], then ask [`Engine::poll_timeout`].
pub struct Engine {
    config: EngineConfig,
}

#[allow(unused_variables, clippy::todo, clippy::needless_pass_by_value, reason = "skeleton")]
impl Engine {
    /// An engine without any state.
    #[must_use]
    pub fn new(config: EngineConfig, snapshot: Arc<Snapshot>, now: Now) -> Engine {
        Engine { config }
    }

    /// One datagram, or one message cut from a stream.
    pub fn handle_message(&mut self, now: Now, flow: Flow, bytes: Bytes) {
        todo!()
    }

    /// A message could not be sent over this flow, or its connection is gone.
    pub fn handle_flow_error(&mut self, now: Now, flow: Flow) {
        todo!()
    }

    /// The outcome of an effect.
    pub fn handle_reply(&mut self, now: Now, reply: Reply) {
        todo!()
    }

    /// News from the media plane.
    pub fn handle_media(&mut self, now: Now, event: MediaEvent) {
        todo!()
    }

    /// A wish of the shell's clients.
    pub fn handle_command(&mut self, now: Now, command: Command) {
        todo!()
    }

    /// The instant of [`Engine::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Now) {
        todo!()
    }

    /// When [`Engine::handle_timeout`] is due next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        todo!()
    }

    /// The live calls, oldest first.
    #[must_use]
    pub fn live(&self) -> Vec<LiveCall> {
        todo!()
    }

    /// Sizes of the tables.
    #[must_use]
    pub fn counts(&self) -> Counts {
        todo!()
    }
}
