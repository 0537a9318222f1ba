//! What several threads look up and few change: connections, registrations, live calls.
//!
//! The only module that names `dashmap`. The engine decides; these tables only mirror what it decided, so
//! that sockets, HTTP handlers and metrics need not disturb it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use dashmap::DashMap;
use facts::{Binding, CallId, Dialect, UnixMillis};
use tokio::sync::mpsc;

/// A live connection: where its messages are queued.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    /// The far end.
    pub(crate) remote: SocketAddr,
    /// To its writer. Bounded: a far end that does not read loses its connection, not our memory.
    pub(crate) queue: mpsc::Sender<Bytes>,
}

/// The tables.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    connections: DashMap<u64, Connection>,
    peers: DashMap<SocketAddr, u64>,
    bindings: DashMap<Box<str>, Vec<Kept>>,
    calls: DashMap<CallId, Dialect>,
    next_connection: AtomicU64,
}

/// A registered contact, as lists show it.
#[derive(Debug)]
struct Kept {
    /// Tells the contacts of an extension apart.
    key: Box<str>,
    /// The URI, where it is not the key itself.
    contact: Option<Box<str>>,
    expires: UnixMillis,
}

impl Kept {
    fn of(binding: &Binding) -> Kept {
        let contact = (binding.contact != binding.key).then(|| binding.contact.as_str().into());
        Kept { key: binding.key.as_str().into(), contact, expires: binding.expires }
    }
}

impl Directory {
    /// Enters a connection under a number that is never used again.
    pub(crate) fn connect(&self, connection: Connection) -> u64 {
        let id = self.next_connection.fetch_add(1, Ordering::Relaxed) + 1;
        self.peers.insert(connection.remote, id);
        self.connections.insert(id, connection);
        id
    }

    /// Takes a connection out; its writer ends when the last copy of its queue is gone.
    pub(crate) fn disconnect(&self, id: u64) {
        if let Some((_, connection)) = self.connections.remove(&id) {
            self.peers.remove_if(&connection.remote, |_, known| *known == id);
        }
    }

    pub(crate) fn connection(&self, id: u64) -> Option<Connection> {
        self.connections.get(&id).map(|connection| connection.clone())
    }

    /// The connection to an address, if there is one.
    pub(crate) fn to(&self, remote: SocketAddr) -> Option<(u64, Connection)> {
        let id = *self.peers.get(&remote)?;
        self.connection(id).map(|connection| (id, connection))
    }

    pub(crate) fn connection_count(&self) -> usize {
        self.connections.len()
    }

    pub(crate) fn keep(&self, binding: &Binding) {
        let mut contacts = self.bindings.entry(binding.user.as_str().into()).or_default();
        match contacts.iter_mut().find(|kept| *kept.key == *binding.key) {
            Some(kept) => *kept = Kept::of(binding),
            None => {
                // Hardly any extension has a second contact.
                contacts.reserve_exact(1);
                contacts.push(Kept::of(binding));
            }
        }
    }

    pub(crate) fn forget(&self, user: &str, key: &str) {
        if let Some(mut contacts) = self.bindings.get_mut(user) {
            contacts.retain(|kept| *kept.key != *key);
        }
        self.bindings.remove_if(user, |_, contacts| contacts.is_empty());
    }

    /// Registered contacts that have not lapsed: extension, contact, seconds left; in order.
    pub(crate) fn bindings(&self, now: UnixMillis) -> Vec<(String, String, u64)> {
        let mut found: Vec<(String, String, u64)> = Vec::new();
        for contacts in &self.bindings {
            for kept in contacts.iter().filter(|kept| kept.expires > now) {
                let left = kept.expires.since(now).as_secs();
                let contact = kept.contact.as_ref().unwrap_or(&kept.key);
                found.push((contacts.key().to_string(), contact.to_string(), left));
            }
        }
        found.sort();
        found
    }

    pub(crate) fn binding_count(&self) -> usize {
        self.bindings.iter().map(|contacts| contacts.len()).sum()
    }

    pub(crate) fn call_began(&self, call: CallId, dialect: Dialect) {
        self.calls.insert(call, dialect);
    }

    pub(crate) fn call_ended(&self, call: CallId) {
        self.calls.remove(&call);
    }

    pub(crate) fn is_live(&self, call: CallId) -> bool {
        self.calls.contains_key(&call)
    }

    /// Live calls by the surface they came in by.
    pub(crate) fn calls_by_dialect(&self) -> BTreeMap<&'static str, u64> {
        let mut counted = BTreeMap::new();
        for dialect in &self.calls {
            *counted.entry(dialect.word()).or_default() += 1;
        }
        counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_connection_to_the_same_peer_survives_the_end_of_the_older() {
        let directory = Directory::default();
        let remote = "127.0.0.1:9".parse().unwrap();
        let connection = || Connection { remote, queue: mpsc::channel(1).0 };
        let (old, new) = (directory.connect(connection()), directory.connect(connection()));
        directory.disconnect(old);
        assert!(directory.connection(old).is_none());
        assert!(directory.to(remote).is_some());
        directory.disconnect(new);
        assert!(directory.to(remote).is_none());
        assert_eq!(directory.connection_count(), 0);
    }
}
