//! Sockets of signalling: what comes in by UDP, TCP, TLS and WebSockets, and the engine's messages out.

mod connect;
mod connection;
mod dial;
mod gate;
mod keep_alive;
mod listen;
mod mark;
mod stream;
mod tls;
mod udp;
mod web;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use media::poll::Poller;
use sip::endpoint::{Flow, Listener, Transmit, Transport};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::config::{Config, TcpKnobs, reachable};
use crate::directory::Directory;
use crate::inbox::{Inbox, Outlet};
use crate::quiet::Quiet;
pub(crate) use dial::{Stream, dial};
pub(crate) use gate::Gate;
pub(crate) use tls::Tls;

/// Reads datagrams and sends what the engine wants sent. Lives on the engine's thread and never waits.
#[derive(Debug)]
pub(crate) struct Net {
    udp: Vec<udp::Socket>,
    /// Where a datagram is read to.
    buffer: Vec<u8>,
    connector: connect::Connector,
    counts: Arc<NetCounts>,
}

/// Messages in and out, for metrics.
#[derive(Debug, Default)]
pub(crate) struct NetCounts {
    pub(crate) received: ByTransport,
    pub(crate) sent: AtomicU64,
    /// Datagrams the socket had no room for.
    pub(crate) congested: AtomicU64,
    /// Messages that could not be sent at all.
    pub(crate) failed: AtomicU64,
    /// When it was logged last, by address and reason.
    unsent: Mutex<Quiet<(IpAddr, io::ErrorKind)>>,
    /// Connections refused because there were too many, or cut because their far end did not read,
    /// was idle, or sent what is no SIP.
    pub(crate) connections_cut: AtomicU64,
    /// TLS and WebSocket handshakes that failed or took too long.
    pub(crate) handshakes_failed: ByTransport,
    /// Times new certificates were taken up.
    pub(crate) certificates_loaded: AtomicU64,
    /// Times changed certificates could not be used.
    pub(crate) certificates_refused: AtomicU64,
    /// STUN requests answered.
    pub(crate) stun: AtomicU64,
}

impl NetCounts {
    /// Logs why a message could not be sent, once a minute for each address and reason. How often it was so
    /// since the last line, if there is one.
    fn unsent(&self, flow: &Flow, error: &io::Error) -> Option<u64> {
        let mut quiet = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
        let unlogged = quiet.turn(Instant::now(), (flow.remote.ip(), error.kind()))?;
        drop(quiet);
        let (remote, transport) = (flow.remote, flow.transport.name());
        tracing::warn!(%remote, transport, %error, unlogged, "cannot send");
        Some(unlogged)
    }
}

/// A counter for each transport.
#[derive(Debug, Default)]
pub(crate) struct ByTransport([AtomicU64; Transport::ALL.len()]);

impl ByTransport {
    pub(crate) fn of(&self, transport: Transport) -> &AtomicU64 {
        &self.0[transport as usize]
    }

    /// The figures by name, of those transports that can have one.
    pub(crate) fn named(&self, whose: &[Transport]) -> Vec<(&'static str, u64)> {
        let figure = |transport: &Transport| self.of(*transport).load(Ordering::Relaxed);
        whose.iter().map(|transport| (transport.name(), figure(transport))).collect()
    }
}

/// What all sockets share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) inbox: Inbox,
    pub(crate) directory: Arc<Directory>,
    pub(crate) counts: Arc<NetCounts>,
    pub(crate) knobs: TcpKnobs,
    pub(crate) gate: Gate,
    pub(crate) tls: Arc<Tls>,
    /// Turns true when the process ends.
    pub(crate) stop: watch::Receiver<bool>,
}

/// Sockets that are bound but not read yet.
pub(crate) struct Bound {
    udp: Vec<udp::Socket>,
    connections: Vec<listen::Bound>,
    /// Certificates.
    pub(crate) tls: Arc<Tls>,
    /// The listeners, with the ports they really got.
    pub(crate) listeners: Vec<Listener>,
}

/// Why an address cannot be listened on, with the setting that names it.
pub(crate) fn not_bound(setting: &str, address: SocketAddr, error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there".into(),
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".into(),
        io::ErrorKind::PermissionDenied => "the system does not let us".into(),
        _ => error.to_string(),
    };
    format!("{setting}: cannot listen on {address}: {why}")
}

/// Binds every configured listener.
///
/// # Errors
/// Every address that cannot be bound, and file that cannot be read, by setting or name.
pub(crate) fn bind(config: &Config) -> Result<Bound, Vec<String>> {
    let tls = Arc::new(Tls::load(&config.tls).map_err(|error| vec![error.to_string()])?);
    let mut bound = Bound { udp: Vec::new(), connections: Vec::new(), tls, listeners: Vec::new() };
    let mut wrong = Vec::new();
    for address in &config.sip_udp {
        match udp::Socket::bind(*address) {
            Ok(socket) => {
                bound.listeners.push(listener(config, Transport::Udp, socket.local));
                bound.udp.push(socket);
            }
            Err(error) => wrong.push(not_bound("sip.udp", *address, &error)),
        }
    }
    for (transport, addresses) in [
        (Transport::Tcp, &config.sip_tcp),
        (Transport::Tls, &config.sip_tls),
        (Transport::Ws, &config.sip_ws),
        (Transport::Wss, &config.sip_wss),
    ] {
        for address in addresses {
            match listen::Bound::bind(transport, *address) {
                Ok(socket) => {
                    bound.listeners.push(listener(config, transport, socket.local));
                    bound.connections.push(socket);
                }
                Err(error) => {
                    let setting = format!("sip.{}", transport.name());
                    wrong.push(not_bound(&setting, *address, &error));
                }
            }
        }
    }
    if wrong.is_empty() { Ok(bound) } else { Err(wrong) }
}

fn listener(config: &Config, transport: Transport, bind: SocketAddr) -> Listener {
    // One port cannot be that of every kind of listener: what is told is that of UDP and TCP.
    let plain = matches!(transport, Transport::Udp | Transport::Tcp);
    let advertised = match config.sip_advertised.filter(|told| told.is_ipv4() == bind.is_ipv4()) {
        Some(told) if told.port() != 0 && plain => told,
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
        for socket in self.connections {
            socket.start(shared, runtime)?;
        }
        // Taken before anybody may send it: unheard it would end the process.
        let hangup = signal(SignalKind::hangup())?;
        let watch = self.tls.watch(hangup, Arc::clone(&shared.counts), shared.stop.clone());
        runtime.spawn(watch);
        if let Some(pause) = shared.knobs.keep_alive {
            let sockets = self.udp.iter().map(udp::Socket::another).collect::<io::Result<_>>()?;
            runtime.spawn(keep_alive::run(sockets, pause, shared.clone()));
        }
        let connector = connect::Connector::new(shared.clone(), runtime.clone());
        let buffer = vec![0; udp::DATAGRAM_MAX];
        Ok(Net { udp: self.udp, buffer, connector, counts: Arc::clone(&shared.counts) })
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
            _ => self.connector.send(flow, transmit.bytes),
        };
        let counter = if sent { &self.counts.sent } else { &self.counts.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        if sent { Ok(()) } else { Err(flow) }
    }

    /// Closes a connection that nobody needs.
    pub(crate) fn close(&self, flow: Flow) {
        self.connector.close(flow);
    }

    fn datagram(&self, transmit: &Transmit) -> bool {
        let Flow { local, remote, .. } = transmit.flow;
        let of = |fits: &dyn Fn(SocketAddr) -> bool| self.udp.iter().find(|at| fits(at.local));
        let socket = of(&|at| at == local).or_else(|| of(&|at| at.is_ipv4() == remote.is_ipv4()));
        let Some(socket) = socket else {
            let why = io::Error::new(io::ErrorKind::AddrNotAvailable, "no UDP listener fits it");
            self.counts.unsent(&transmit.flow, &why);
            return false;
        };
        match socket.send(&transmit.bytes, remote) {
            Ok(_) => true,
            // No room: lost like any datagram; the transaction sends it again.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.counts.congested.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(error) => {
                self.counts.unsent(&transmit.flow, &error);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests;
