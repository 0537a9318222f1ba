//! What several threads look up and few change: connections, registrations, live calls.
//!
//! The only module that names `dashmap`. The engine decides; these tables only mirror what it decided, so
//! that sockets, HTTP handlers and metrics need not disturb it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use dashmap::DashMap;
use facts::settings::Transport as Carried;
use facts::{Binding, CallId, Dialect, UnixMillis};
use sip::endpoint::Transport;
use sip::wire::Uri;
use tokio::sync::mpsc;

/// A live connection: where its messages are queued.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    /// What it speaks.
    pub(crate) transport: Transport,
    /// The far end.
    pub(crate) remote: SocketAddr,
    /// Whether whatever goes to that address may go by it.
    pub(crate) shared: bool,
    /// To its writer. Bounded: a far end that does not read loses its connection, not our memory.
    pub(crate) queue: mpsc::Sender<Bytes>,
}

/// The tables.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    connections: DashMap<u64, Connection>,
    peers: DashMap<(Transport, SocketAddr), u64>,
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
    /// Our socket and where it is, when it is registered over UDP behind a NAT. Few are.
    behind_nat: Option<Box<(SocketAddr, SocketAddr)>>,
}

impl Kept {
    fn of(binding: &Binding) -> Kept {
        let Binding { key, contact, expires, transport, local, remote, path, .. } = binding;
        // Behind a proxy is behind its NAT, not behind one that we could keep open.
        let hidden = *transport == Carried::Udp && path.is_empty() && !says(contact, *remote);
        Kept {
            key: key.as_str().into(),
            contact: (contact != key).then(|| contact.as_str().into()),
            expires: *expires,
            behind_nat: hidden.then(|| Box::new((*local, *remote))),
        }
    }
}

/// Those contacts of an extension that have not lapsed: extension, contact, seconds left.
fn lasting(
    user: &str,
    contacts: &[Kept],
    now: UnixMillis,
) -> impl Iterator<Item = (String, String, u64)> {
    let lasts = contacts.iter().filter(move |kept| kept.expires > now);
    lasts.map(move |kept| {
        let contact = kept.contact.as_ref().unwrap_or(&kept.key);
        (user.to_owned(), contact.to_string(), kept.expires.since(now).as_secs())
    })
}

impl Directory {
    /// Enters a connection under a number that is never used again.
    pub(crate) fn connect(&self, connection: Connection) -> u64 {
        let id = self.next_connection.fetch_add(1, Ordering::Relaxed) + 1;
        if connection.shared {
            self.peers.insert((connection.transport, connection.remote), id);
        }
        self.connections.insert(id, connection);
        id
    }

    /// Takes a connection out; its writer ends when the last copy of its queue is gone.
    pub(crate) fn disconnect(&self, id: u64) {
        if let Some((_, connection)) = self.connections.remove(&id) {
            let address = (connection.transport, connection.remote);
            self.peers.remove_if(&address, |_, known| *known == id);
        }
    }

    pub(crate) fn connection(&self, id: u64) -> Option<Connection> {
        self.connections.get(&id).map(|connection| connection.clone())
    }

    /// The connection to an address, if there is one.
    pub(crate) fn to(&self, transport: Transport, remote: SocketAddr) -> Option<(u64, Connection)> {
        let id = *self.peers.get(&(transport, remote))?;
        self.connection(id).map(|connection| (id, connection))
    }

    /// Connections by what they speak.
    pub(crate) fn connections(&self) -> BTreeMap<&'static str, u64> {
        let mut counted: BTreeMap<_, _> = Transport::ALL.map(|known| (known.name(), 0)).into();
        counted.remove(Transport::Udp.name());
        for connection in &self.connections {
            *counted.entry(connection.transport.name()).or_default() += 1;
        }
        counted
    }

    /// Where contacts that are registered over UDP behind a NAT are, and by which socket of ours.
    pub(crate) fn behind_nat(&self) -> Vec<(SocketAddr, SocketAddr)> {
        let contacts = self.bindings.iter();
        contacts
            .flat_map(|contacts| {
                let behind = contacts.iter().filter_map(|kept| kept.behind_nat.as_deref().copied());
                behind.collect::<Vec<_>>()
            })
            .collect()
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
            found.extend(lasting(contacts.key(), contacts.value(), now));
        }
        found.sort();
        found
    }

    /// The same of these extensions alone, in the order in which they are named; nobody else's are looked at.
    pub(crate) fn bindings_of(
        &self,
        extensions: &[String],
        now: UnixMillis,
    ) -> Vec<(String, String, u64)> {
        let mut found: Vec<(String, String, u64)> = Vec::new();
        for extension in extensions {
            let Some(contacts) = self.bindings.get(extension.as_str()) else { continue };
            let mut lasting: Vec<_> = lasting(extension, contacts.value(), now).collect();
            lasting.sort();
            found.append(&mut lasting);
        }
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

/// Whether a contact names the very address it was registered from.
fn says(contact: &str, remote: SocketAddr) -> bool {
    Uri::parse(contact).is_ok_and(|uri| {
        let port = uri.port.unwrap_or(Transport::Udp.default_port());
        uri.host.ip() == Some(remote.ip()) && port == remote.port()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_connection_to_the_same_peer_survives_the_end_of_the_older() {
        let directory = Directory::default();
        let remote = "127.0.0.1:9".parse().unwrap();
        let transport = Transport::Tcp;
        let connection =
            || Connection { transport, remote, shared: true, queue: mpsc::channel(1).0 };
        let (old, new) = (directory.connect(connection()), directory.connect(connection()));
        directory.disconnect(old);
        assert!(directory.connection(old).is_none());
        assert!(directory.to(transport, remote).is_some());
        assert!(directory.to(Transport::Tls, remote).is_none());
        assert_eq!(directory.connections()["tcp"], 1);
        directory.disconnect(new);
        assert!(directory.to(transport, remote).is_none());
        assert_eq!(directory.connections().values().sum::<u64>(), 0);
    }

    #[test]
    fn contacts_of_some_are_found_without_those_of_all() {
        let directory = Directory::default();
        let at = "127.0.0.1:5060".parse().unwrap();
        for (user, expires) in [("80000", 2_000), ("80001", 1_000), ("80002", 3_000)] {
            directory.keep(&Binding {
                user: user.into(),
                key: format!("sip:{user}@127.0.0.1"),
                contact: format!("sip:{user}@127.0.0.1"),
                q: 1_000,
                expires: UnixMillis(expires),
                call_id: "c".into(),
                cseq: 1,
                transport: Carried::Udp,
                local: at,
                remote: at,
                path: vec![],
                updated: UnixMillis(0),
            });
        }
        let wanted = ["80002", "80001", "80003"].map(String::from);
        let found = directory.bindings_of(&wanted, UnixMillis(1_000));
        assert_eq!(found, [("80002".into(), "sip:80002@127.0.0.1".into(), 2)]);
        assert_eq!(directory.bindings(UnixMillis(1_000)).len(), 2);
    }
}
