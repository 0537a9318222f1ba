//! Sockets of signalling: UDP and TCP in, the engine's messages out.

mod tcp;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use media::poll::Poller;
use sip::endpoint::{Flow, Listener, Transmit, Transport};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::config::{Config, TcpKnobs, reachable};
use crate::directory::Directory;
use crate::inbox::{Inbox, Outlet};

/// Reads datagrams and sends what the engine wants sent. Lives on the engine's thread and never waits.
#[derive(Debug)]
pub(crate) struct Net {
    udp: Vec<udp::Socket>,
    /// Where a datagram is read to.
    buffer: Vec<u8>,
    tcp: tcp::Connector,
    counts: Arc<NetCounts>,
}

/// Messages in and out, for metrics.
#[derive(Debug, Default)]
pub(crate) struct NetCounts {
    pub(crate) received_udp: AtomicU64,
    pub(crate) received_tcp: AtomicU64,
    pub(crate) sent: AtomicU64,
    /// Datagrams the socket had no room for.
    pub(crate) congested: AtomicU64,
    /// Messages that could not be sent at all.
    pub(crate) failed: AtomicU64,
    /// Connections refused because there were too many, or cut because their far end did not read,
    /// was idle, or sent what is no SIP.
    pub(crate) connections_cut: AtomicU64,
}

/// What all sockets share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) inbox: Inbox,
    pub(crate) directory: Arc<Directory>,
    pub(crate) counts: Arc<NetCounts>,
    pub(crate) knobs: TcpKnobs,
    /// Turns true when the process ends.
    pub(crate) stop: watch::Receiver<bool>,
}

/// Sockets that are bound but not read yet.
pub(crate) struct Bound {
    udp: Vec<udp::Socket>,
    tcp: Vec<tcp::Bound>,
    /// The listeners, with the ports they really got.
    pub(crate) listeners: Vec<Listener>,
}

/// Binds every configured listener.
///
/// # Errors
/// The first address that cannot be bound, by name.
pub(crate) fn bind(config: &Config) -> io::Result<Bound> {
    let mut bound = Bound { udp: Vec::new(), tcp: Vec::new(), listeners: Vec::new() };
    let named = |what: &'static str, address: SocketAddr| {
        move |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot listen on {what} {address}: {error}"))
        }
    };
    for address in &config.sip_udp {
        let socket = udp::Socket::bind(*address).map_err(named("udp", *address))?;
        bound.listeners.push(listener(config, Transport::Udp, socket.local));
        bound.udp.push(socket);
    }
    for address in &config.sip_tcp {
        let socket = tcp::Bound::bind(*address).map_err(named("tcp", *address))?;
        bound.listeners.push(listener(config, Transport::Tcp, socket.local));
        bound.tcp.push(socket);
    }
    Ok(bound)
}

fn listener(config: &Config, transport: Transport, bind: SocketAddr) -> Listener {
    let advertised = match config.sip_advertised {
        Some(told) if told.port() != 0 => told,
        Some(told) => SocketAddr::new(told.ip(), bind.port()),
        None => SocketAddr::new(reachable(bind.ip()), bind.port()),
    };
    Listener { transport, bind, advertised }
}

impl Bound {
    /// Starts taking connections; what comes out sends, and reads datagrams.
    ///
    /// # Errors
    /// When the runtime refuses a socket.
    pub(crate) fn start(self, shared: &Shared, runtime: &Handle) -> io::Result<Net> {
        let _entered = runtime.enter();
        for socket in self.tcp {
            socket.start(shared, runtime)?;
        }
        let tcp = tcp::Connector::new(shared.clone(), runtime.clone());
        let buffer = vec![0; udp::DATAGRAM_MAX];
        Ok(Net { udp: self.udp, buffer, tcp, counts: Arc::clone(&shared.counts) })
    }
}

impl Net {
    /// Has the UDP sockets watched, each under its place in [`Net::read`].
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn watch(&self, poller: &Poller) -> io::Result<()> {
        (0..).zip(&self.udp).try_for_each(|(place, socket)| poller.watch(socket, place))
    }

    /// Reads what has come to a UDP socket.
    pub(crate) fn read(&mut self, place: u64, outlet: &mut Outlet) {
        let socket = usize::try_from(place).ok().and_then(|place| self.udp.get(place));
        if let Some(socket) = socket {
            socket.read(&mut self.buffer, &self.counts, outlet);
        }
    }

    /// Sends a message; the flow comes back when it is broken.
    pub(crate) fn transmit(&self, transmit: Transmit) -> Result<(), Flow> {
        let flow = transmit.flow;
        let sent = match flow.transport {
            Transport::Udp => self.datagram(&transmit),
            Transport::Tcp => self.tcp.send(flow, transmit.bytes),
        };
        let counter = if sent { &self.counts.sent } else { &self.counts.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        if sent { Ok(()) } else { Err(flow) }
    }

    fn datagram(&self, transmit: &Transmit) -> bool {
        let Flow { local, remote, .. } = transmit.flow;
        let of = |fits: &dyn Fn(SocketAddr) -> bool| self.udp.iter().find(|at| fits(at.local));
        let socket = of(&|at| at == local).or_else(|| of(&|at| at.is_ipv4() == remote.is_ipv4()));
        let Some(socket) = socket else { return false };
        match socket.send(&transmit.bytes, remote) {
            Ok(_) => true,
            // No room: lost like any datagram; the transaction sends it again.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.counts.congested.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(error) => {
                tracing::debug!(%error, remote = %transmit.flow.remote, "cannot send");
                false
            }
        }
    }
}
