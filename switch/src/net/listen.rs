//! Listeners of connections: TCP, TLS and WebSockets of both kinds. Whoever connects has to get in by the
//! [`Gate`](super::gate::Gate), and to be through its handshakes in time.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::time::Duration;

use sip::endpoint::{Flow, Transport};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::connection::Origin;
use super::gate::Pass;
use super::{Shared, mark, stream, tls, web};
use crate::inbox::Fact;

/// The pause after a connection that could not be taken.
const REFUSED: Duration = Duration::from_millis(20);

/// A bound listener.
pub(super) struct Bound {
    listener: TcpListener,
    transport: Transport,
    pub(super) local: SocketAddr,
}

impl Bound {
    pub(super) fn bind(transport: Transport, address: SocketAddr) -> io::Result<Bound> {
        let listener: TcpListener = bound(address)?.into();
        let local = listener.local_addr()?;
        Ok(Bound { listener, transport, local })
    }

    pub(super) fn start(self, shared: &Shared, runtime: &Handle) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        runtime.spawn(accept(listener, self.transport, self.local, shared.clone()));
        Ok(())
    }
}

/// A listening socket at an address; what it accepts is marked like it.
pub(super) fn bound(address: SocketAddr) -> io::Result<socket2::Socket> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    mark::signalling(&SockRef::from(&socket), address);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket)
}

async fn accept(
    listener: tokio::net::TcpListener,
    transport: Transport,
    local: SocketAddr,
    mut shared: Shared,
) {
    loop {
        let accepted = tokio::select! {
            _ = shared.stop.wait_for(|stop| *stop) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, remote)) => match shared.gate.enter(remote.ip(), &shared.knobs) {
                Some(pass) => {
                    let flow = Flow { transport, local, remote, connection: None };
                    tokio::spawn(welcome(stream, flow, shared.clone(), pass));
                }
                None => {
                    shared.counts.connections_cut.fetch_add(1, Ordering::Relaxed);
                }
            },
            // Out of descriptors, or a connection that died in the queue: neither may spin or stop us.
            Err(error) => {
                tracing::debug!(%error, %local, "cannot accept");
                tokio::time::sleep(REFUSED).await;
            }
        }
    }
}

/// Handshakes, then the connection itself.
async fn welcome(stream: TcpStream, flow: Flow, shared: Shared, _pass: Pass) {
    let _ = stream.set_nodelay(true);
    let by = Instant::now() + shared.knobs.handshake;
    let failed =
        || shared.counts.handshakes_failed.of(flow.transport).fetch_add(1, Ordering::Relaxed);
    if !matches!(flow.transport, Transport::Tls | Transport::Wss) {
        if greet(stream, flow, by, &shared, Vec::new()).await.is_none() {
            failed();
        }
        return;
    }
    let Some(config) = shared.tls.server() else { return };
    let mut stop = shared.stop.clone();
    let accepted = tokio::select! {
        _ = stop.wait_for(|stop| *stop) => return,
        accepted = timeout_at(by, TlsAcceptor::from(config).accept(stream)) => accepted,
    };
    let stream = match accepted {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, remote = %flow.remote, "no TLS");
            failed();
            return;
        }
        Err(_) => {
            failed();
            return;
        }
    };
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let names = shown.map(tls::identities).unwrap_or_default();
    if greet(stream, flow, by, &shared, names).await.is_none() {
        failed();
    }
}

/// What is above TCP and TLS. `None`: a handshake failed.
async fn greet(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    flow: Flow,
    by: Instant,
    shared: &Shared,
    names: Vec<String>,
) -> Option<()> {
    let begin = || {
        let (flow, waiting) = shared.enter(flow, Origin::Peer);
        if !names.is_empty() {
            // Before the first message: facts go first.
            shared.inbox.fact(Fact::Peer { flow, names });
        }
        (flow, waiting)
    };
    let (flow, end) = if flow.transport.is_web() {
        let socket = timeout_at(by, web::accept(stream, &shared.knobs)).await.ok()??;
        let (flow, waiting) = begin();
        (flow, web::serve(socket, flow, waiting, shared).await)
    } else {
        let (flow, waiting) = begin();
        (flow, stream::serve(stream, flow, waiting, shared, Origin::Peer).await)
    };
    shared.gone(flow, Origin::Peer, end);
    Some(())
}
