//! Connections of the shell, as far as the engine has a say: who their far ends have proved to be, and
//! which of them nobody needs.

use std::collections::BTreeMap;

use facts::Now;
use facts::settings::Trunk;
use sip::endpoint::Flow;

use super::Engine;
use crate::event::Effect;

/// Names that far ends of connections have proved by certificate, until the connection ends. There are no
/// more than the shell has connections.
#[derive(Debug, Default)]
pub(super) struct Peers(BTreeMap<u64, Vec<String>>);

impl Peers {
    pub(super) fn forget(&mut self, flow: &Flow) {
        if let Some(connection) = flow.connection {
            self.0.remove(&connection);
        }
    }

    /// Whether a request that came by this flow, from one of this carrier's addresses, may be its: where it
    /// has to prove itself, over a connection whose certificate bears its name (RFC 5922 §7.2).
    pub(super) fn proves(&self, trunk: &Trunk, flow: &Flow) -> bool {
        let name = trunk.certified_name();
        let proved = || {
            let names = flow.connection.and_then(|connection| self.0.get(&connection));
            names.is_some_and(|names| names.iter().any(|known| known.eq_ignore_ascii_case(name)))
        };
        !trunk.options.mtls || proved()
    }
}

impl Engine {
    /// The far end of a connection has proved to be these domains by its certificate. To be told before
    /// the first message of the connection.
    pub fn handle_peer(&mut self, now: Now, flow: Flow, names: Vec<String>) {
        self.world.now = now;
        if let Some(connection) = flow.connection {
            self.peers.0.insert(connection, names);
        }
    }

    /// Nothing has come over this connection for long. When no contact is bound to it and no dialog
    /// lives on it, [`Effect::CloseFlow`] follows (RFC 5626 §4.2 lets whoever is registered stay).
    pub fn handle_idle(&mut self, now: Now, flow: Flow) {
        self.world.now = now;
        if !self.world.registrar.is_bound(&flow) && !self.world.endpoint.uses(&flow) {
            self.world.emit(Effect::CloseFlow(flow));
        }
    }
}
