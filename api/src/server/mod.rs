//! The HTTP/1 server: a listener, connections within limits, slow clients shown out.
//!
//! It knows limits and time, not what is served. Header fields over 16 KiB are answered 431 and a head that
//! does not come within ten seconds ends the connection; both by hyper. Request targets are repaired first,
//! see [`dialect::target`].

mod stream;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::ServiceExt as _;

use crate::counters::{Counters, count};
use crate::door::{Peer, closing, source};
use stream::Repaired;

/// Limits of one listener.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Connections at once; more are closed unheard.
    pub connections: usize,
    /// Connections at once from one address.
    pub connections_per_ip: usize,
    /// For a request's head to arrive, also the first byte of the next one on a kept connection.
    pub header_timeout: Duration,
    /// For a request to be answered, from its head to the head of the answer: longer than a body may take, so that who
    /// reads it says that it came too slowly.
    pub request_timeout: Duration,
    /// For a client to take more of an answer; one that stops reading is let go.
    pub write_timeout: Duration,
    /// Bytes of a request's head.
    pub header_max: usize,
    /// For open requests to finish at shutdown.
    pub drain: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            connections: 4096,
            connections_per_ip: 2048,
            header_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(45),
            write_timeout: Duration::from_secs(30),
            header_max: 16 * 1024,
            drain: Duration::from_secs(10),
        }
    }
}

/// Pause after the system refused a connection (out of descriptors): long enough not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves a router on a listener until `stop` turns true, then lets open requests finish.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    config: ServerConfig,
    counters: Arc<Counters>,
    mut stop: watch::Receiver<bool>,
) {
    let open = Arc::new(Open::default());
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "http: accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(seat) = open.take(source(peer.ip()), &config) else {
            count(&counters.connections_refused);
            continue;
        };
        count(&counters.connections);
        converse(stream, peer, seat, router.clone(), &config, &graceful);
    }
    drop(listener);
    if tokio::time::timeout(config.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("http: some requests did not finish in time");
    }
}

fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    seat: Seat,
    router: Router,
    config: &ServerConfig,
    graceful: &GracefulShutdown,
) {
    // Answers are small and awaited.
    let _ = stream.set_nodelay(true);
    let patience = config.request_timeout;
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        let answer = router.clone().oneshot(request);
        async move {
            match tokio::time::timeout(patience, answer).await {
                Ok(answer) => answer,
                Err(_) => Ok(closing(StatusCode::REQUEST_TIMEOUT, "the request took too long")),
            }
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout)
        .max_buf_size(config.header_max.max(8192))
        .half_close(true)
        .serve_connection(TokioIo::new(Repaired::new(stream, config.write_timeout)), service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%peer, %error, "http: connection ended");
        }
        drop(seat);
    });
}

/// Connections now open, by address.
#[derive(Default)]
struct Open(Mutex<BTreeMap<IpAddr, usize>>);

/// One open connection; dropping it frees the place.
struct Seat {
    open: Arc<Open>,
    ip: IpAddr,
}

impl Open {
    fn take(self: &Arc<Self>, ip: IpAddr, config: &ServerConfig) -> Option<Seat> {
        let mut table = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let total: usize = table.values().sum();
        let from_here = table.get(&ip).copied().unwrap_or(0);
        if total >= config.connections || from_here >= config.connections_per_ip {
            return None;
        }
        table.insert(ip, from_here + 1);
        Some(Seat { open: Arc::clone(self), ip })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = self.open.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(count) = table.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                table.remove(&self.ip);
            }
        }
    }
}
