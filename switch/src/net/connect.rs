//! Sends over connections, and makes them when the engine asks (RFC 3261 §18.1.1).

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use sip::endpoint::{Flow, Transport};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::connection::{End, Origin, Waiting};
use super::{Shared, mark, stream};
use crate::inbox::Fact;

/// How long connecting may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Sends over connections.
#[derive(Debug)]
pub(super) struct Connector {
    shared: Shared,
    runtime: Handle,
}

impl Connector {
    pub(super) fn new(shared: Shared, runtime: Handle) -> Connector {
        Connector { shared, runtime }
    }

    /// False when the flow is broken.
    pub(super) fn send(&self, flow: Flow, bytes: Bytes) -> bool {
        let directory = &self.shared.directory;
        let known = match flow.connection {
            Some(id) => directory.connection(id).map(|connection| (id, connection)),
            None => directory.to(flow.transport, flow.remote),
        };
        match known {
            Some((id, connection)) => match connection.queue.try_send(bytes) {
                Ok(()) => true,
                Err(_) => {
                    self.shared.counts.connections_cut.fetch_add(1, Ordering::Relaxed);
                    directory.disconnect(id);
                    false
                }
            },
            // Nobody can connect to a WebSocket client (RFC 7118 §5).
            None if flow.connection.is_none() && !flow.transport.is_web() => {
                self.connect(flow, bytes)
            }
            None => false,
        }
    }

    /// Ends a connection that nobody needs.
    pub(super) fn close(&self, flow: Flow) {
        if let Some(id) = flow.connection {
            self.shared.directory.disconnect(id);
        }
    }

    fn connect(&self, asked: Flow, first: Bytes) -> bool {
        let Some(pass) = self.shared.gate.leave(&self.shared.knobs) else {
            let why = io::Error::new(io::ErrorKind::QuotaExceeded, "too many connections");
            self.shared.counts.unsent(&asked, &why);
            return false;
        };
        let (flow, waiting) = self.shared.enter(asked, Origin::Us);
        if !self.shared.say(flow, first) {
            return false;
        }
        let shared = self.shared.clone();
        self.runtime.spawn(async move {
            let _pass = pass;
            if !open(&shared, flow, waiting).await {
                shared.directory.disconnect(flow.connection.unwrap_or_default());
                shared.inbox.fact(Fact::FlowError(asked));
            }
        });
        true
    }
}

/// Connects and serves the connection. `false`: there was none.
async fn open(shared: &Shared, flow: Flow, waiting: Waiting) -> bool {
    let connected = timeout(CONNECT_MAX, TcpStream::connect(flow.remote)).await;
    let stream = match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(stream) => stream,
        Err(error) => {
            shared.counts.unsent(&flow, &error);
            return false;
        }
    };
    let _ = stream.set_nodelay(true);
    mark::signalling(&SockRef::from(&stream), flow.remote);
    let end = match flow.transport {
        Transport::Tls => {
            let (config, name) = shared.tls.client(flow.remote);
            let handshake = TlsConnector::from(config).connect(name, stream);
            match timeout(shared.knobs.handshake, handshake).await {
                Ok(Ok(stream)) => stream::serve(stream, flow, waiting, shared, Origin::Us).await,
                failed => {
                    let error = failed.map_or("took too long".into(), |failed| match failed {
                        Ok(_) => String::new(),
                        Err(error) => error.to_string(),
                    });
                    tracing::warn!(remote = %flow.remote, error, "no TLS with a carrier");
                    shared
                        .counts
                        .handshakes_failed
                        .of(flow.transport)
                        .fetch_add(1, Ordering::Relaxed);
                    return false;
                }
            }
        }
        Transport::Tcp => stream::serve(stream, flow, waiting, shared, Origin::Us).await,
        Transport::Udp | Transport::Ws | Transport::Wss => End::Closed,
    };
    shared.gone(flow, Origin::Us, end);
    true
}
