//! Connections over loopback: the far ends are sockets of the test's own.

mod authority;
mod datagrams;
mod secure;
mod streams;
mod web;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip::endpoint::{Flow, Transport};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::connect::Connector;
use super::listen::Bound;
use super::{Gate, Shared, Tls};
use crate::config::Config;
use crate::directory::Directory;
use crate::inbox::{Datagram, Fact, Outlet, inbox};

const OPTIONS: &[u8] = b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n";

/// Longest wait for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// The shell's side of connections, without an engine.
struct Ground {
    shared: Shared,
    outlet: Outlet,
    connector: Connector,
    _stop: watch::Sender<bool>,
}

impl Ground {
    fn new(change: impl FnOnce(&mut Config)) -> Ground {
        let mut config = Config::default();
        change(&mut config);
        let (inbox, outlet) = inbox(64).unwrap();
        let (stop, stopped) = watch::channel(false);
        let shared = Shared {
            inbox,
            directory: Arc::new(Directory::default()),
            counts: Arc::default(),
            knobs: config.tcp.clone(),
            gate: Gate::default(),
            tls: Arc::new(Tls::load(&config.tls).unwrap()),
            stop: stopped,
        };
        let connector = Connector::new(shared.clone(), Handle::current());
        Ground { shared, outlet, connector, _stop: stop }
    }

    fn listening(&self, transport: Transport) -> SocketAddr {
        let bound = Bound::bind(transport, "127.0.0.1:0".parse().unwrap()).unwrap();
        let local = bound.local;
        bound.start(&self.shared, &Handle::current()).unwrap();
        local
    }

    async fn dial(&self, transport: Transport) -> TcpStream {
        TcpStream::connect(self.listening(transport)).await.unwrap()
    }

    /// The next message for the engine.
    async fn heard(&self) -> Datagram {
        soon("no message came", || self.outlet.network.try_recv().ok()).await
    }

    /// The next fact for the engine.
    async fn fact(&self) -> Fact {
        soon("no fact came", || self.outlet.facts.try_recv().ok()).await
    }

    fn connections(&self) -> u64 {
        self.shared.directory.connections().values().sum()
    }

    fn say(&self, flow: Flow, bytes: &'static [u8]) -> bool {
        self.connector.send(flow, Bytes::from_static(bytes))
    }
}

/// What `look` finds, once it finds something.
async fn soon<T>(otherwise: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = std::time::Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(found) = look() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{otherwise}");
}
