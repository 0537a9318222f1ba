//! SIP over TCP (RFC 3261 §18): connections as tasks, each with a bounded queue, so that a far end that does
//! not read blocks nobody but itself.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use sip::endpoint::{Flow, Transport};
use sip::wire::stream::{Frame, Framer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Shared;
use crate::directory::Connection;
use crate::inbox::Fact;

/// Messages a connection may have waiting to be written.
const QUEUE_MAX: usize = 64;
/// A far end that takes no byte for this long is gone.
const WRITE_MAX: Duration = Duration::from_secs(10);
/// How long connecting may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Bytes read at once.
const CHUNK: usize = 16 * 1024;

/// A bound listener.
pub(super) struct Bound {
    listener: TcpListener,
    pub(super) local: SocketAddr,
}

impl Bound {
    pub(super) fn bind(address: SocketAddr) -> io::Result<Bound> {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(1024)?;
        let listener: TcpListener = socket.into();
        let local = listener.local_addr()?;
        Ok(Bound { listener, local })
    }

    pub(super) fn start(self, shared: &Shared, runtime: &Handle) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        runtime.spawn(accept(listener, self.local, shared.clone()));
        Ok(())
    }
}

async fn accept(listener: tokio::net::TcpListener, local: SocketAddr, mut shared: Shared) {
    loop {
        let accepted = tokio::select! {
            _ = shared.stop.wait_for(|stop| *stop) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, remote)) => {
                if shared.directory.connection_count() >= shared.knobs.connections_max {
                    shared.counts.connections_cut.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                let (queue, waiting) = mpsc::channel(QUEUE_MAX);
                let id = shared.directory.connect(Connection { remote, queue });
                let flow = Flow { transport: Transport::Tcp, local, remote, connection: Some(id) };
                tokio::spawn(serve(stream, flow, waiting, shared.clone(), false));
            }
            // Out of descriptors, or a connection that died in the queue: neither may spin or stop us.
            Err(error) => {
                tracing::debug!(%error, %local, "cannot accept");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

/// Sends over connections, and makes them when the engine asks.
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
            None => directory.to(flow.remote),
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
            None if flow.connection.is_none() => self.connect(flow, bytes),
            None => false,
        }
    }

    fn connect(&self, flow: Flow, first: Bytes) -> bool {
        if self.shared.directory.connection_count() >= self.shared.knobs.connections_max {
            return false;
        }
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        if queue.try_send(first).is_err() {
            return false;
        }
        let id = self.shared.directory.connect(Connection { remote: flow.remote, queue });
        let shared = self.shared.clone();
        self.runtime.spawn(async move {
            match timeout(CONNECT_MAX, TcpStream::connect(flow.remote)).await {
                Ok(Ok(stream)) => {
                    let flow = Flow { connection: Some(id), ..flow };
                    serve(stream, flow, waiting, shared, true).await;
                }
                _ => {
                    shared.directory.disconnect(id);
                    shared.inbox.fact(Fact::FlowError(flow));
                }
            }
        });
        true
    }
}

/// One connection, until either side ends it.
async fn serve(
    stream: TcpStream,
    flow: Flow,
    waiting: mpsc::Receiver<Bytes>,
    mut shared: Shared,
    ours: bool,
) {
    let id = flow.connection.unwrap_or_default();
    let _ = stream.set_nodelay(true);
    let (reader, writer) = stream.into_split();
    let end = {
        let mut stop = shared.stop.clone();
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => "stopping",
            end = write(writer, waiting) => end,
            end = read(reader, flow, &mut shared) => end,
        }
    };
    tracing::debug!(connection = id, remote = %flow.remote, end, "connection closed");
    if end != "closed" && end != "stopping" {
        shared.counts.connections_cut.fetch_add(1, Ordering::Relaxed);
    }
    shared.directory.disconnect(id);
    shared.inbox.fact(Fact::FlowError(flow));
    if ours {
        // The engine may know it as the way it asked for, before there was a connection.
        shared.inbox.fact(Fact::FlowError(Flow { connection: None, ..flow }));
    }
}

async fn write(mut writer: OwnedWriteHalf, mut waiting: mpsc::Receiver<Bytes>) -> &'static str {
    while let Some(bytes) = waiting.recv().await {
        match timeout(WRITE_MAX, writer.write_all(&bytes)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return "closed",
            Err(_) => return "does not read",
        }
    }
    "cut"
}

async fn read(mut reader: OwnedReadHalf, flow: Flow, shared: &mut Shared) -> &'static str {
    let mut framer = Framer::new();
    let mut chunk = vec![0_u8; CHUNK];
    // A message must be whole within `first_message` of its first byte, the very first one within
    // that time of the connection.
    let mut deadline = Some(tokio::time::Instant::now() + shared.knobs.first_message);
    loop {
        let limit = deadline.unwrap_or_else(|| tokio::time::Instant::now() + shared.knobs.idle);
        let length = match tokio::time::timeout_at(limit, reader.read(&mut chunk)).await {
            Ok(Ok(0) | Err(_)) => return "closed",
            Ok(Ok(length)) => length,
            Err(_) if deadline.is_some() => return "too slow",
            Err(_) => return "idle",
        };
        framer.push(&chunk[..length]);
        let mut whole = false;
        loop {
            match framer.next_frame() {
                Ok(Some(Frame::Message(bytes))) => {
                    whole = true;
                    shared.counts.received_tcp.fetch_add(1, Ordering::Relaxed);
                    shared.inbox.datagram(flow, bytes);
                }
                Ok(Some(Frame::Ping)) => {
                    whole = true;
                    let id = flow.connection.unwrap_or_default();
                    if let Some(connection) = shared.directory.connection(id) {
                        // RFC 5626 §4.4.1: a pong; when the queue is full it is not missed.
                        let _ = connection.queue.try_send(Bytes::from_static(b"\r\n"));
                    }
                }
                Ok(Some(Frame::Pong)) => whole = true,
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(%error, remote = %flow.remote, "not SIP");
                    return "not SIP";
                }
            }
        }
        if framer.pending() == 0 {
            deadline = None;
        } else if whole || deadline.is_none() {
            deadline = Some(tokio::time::Instant::now() + shared.knobs.first_message);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::Config;
    use crate::directory::Directory;
    use crate::inbox::inbox;
    use tokio::sync::watch;

    const OPTIONS: &[u8] = b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n";

    fn shared(
        change: impl FnOnce(&mut Config),
    ) -> (Shared, crate::inbox::Outlet, watch::Sender<bool>) {
        let mut config = Config::default();
        change(&mut config);
        let (inbox, outlet) = inbox(64).unwrap();
        let (stop, stopped) = watch::channel(false);
        let shared = Shared {
            inbox,
            directory: Arc::new(Directory::default()),
            counts: Arc::default(),
            knobs: config.tcp,
            stop: stopped,
        };
        (shared, outlet, stop)
    }

    fn listening(shared: &Shared) -> SocketAddr {
        let bound = Bound::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let local = bound.local;
        bound.start(shared, &Handle::current()).unwrap();
        local
    }

    async fn next(outlet: &crate::inbox::Outlet) -> crate::inbox::Datagram {
        for _ in 0..500 {
            if let Ok(datagram) = outlet.network.try_recv() {
                return datagram;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("nothing came");
    }

    #[tokio::test]
    async fn rfc5626_4_4_1_a_ping_is_answered_and_messages_are_cut() {
        let (shared, outlet, _stop) = shared(|_| {});
        let mut peer = TcpStream::connect(listening(&shared)).await.unwrap();
        peer.write_all(b"\r\n\r\n").await.unwrap();
        let mut pong = [0; 2];
        peer.read_exact(&mut pong).await.unwrap();
        assert_eq!(&pong, b"\r\n");
        peer.write_all(&[OPTIONS, &OPTIONS[..10]].concat()).await.unwrap();
        assert_eq!(&next(&outlet).await.bytes[..], OPTIONS);
        peer.write_all(&OPTIONS[10..]).await.unwrap();
        let second = next(&outlet).await;
        assert_eq!(&second.bytes[..], OPTIONS);
        // An answer goes back over the very same connection.
        let connector = Connector::new(shared.clone(), Handle::current());
        assert!(connector.send(second.flow, Bytes::from_static(b"hello")));
        let mut answer = [0; 5];
        peer.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"hello");
    }

    #[tokio::test]
    async fn a_silent_or_babbling_connection_is_cut() {
        let (shared, outlet, _stop) =
            shared(|config| config.tcp.first_message = Duration::from_millis(50));
        let address = listening(&shared);
        for noise in [&b""[..], b"OPTIONS sip", b"GET / HTTP/1.1\r\n\r\n"] {
            let mut peer = TcpStream::connect(address).await.unwrap();
            peer.write_all(noise).await.unwrap();
            let mut rest = Vec::new();
            let read = timeout(Duration::from_secs(5), peer.read_to_end(&mut rest)).await;
            assert!(read.is_ok(), "{noise:?} kept its connection");
        }
        assert_eq!(shared.counts.connections_cut.load(Ordering::Relaxed), 3);
        assert_eq!(outlet.network.len(), 0);
    }

    #[tokio::test]
    async fn a_far_end_that_does_not_read_loses_its_connection_and_nobody_waits() {
        let (shared, _outlet, _stop) = shared(|_| {});
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let remote = silent.local_addr().unwrap();
        let connector = Connector::new(shared.clone(), Handle::current());
        let flow = Flow::tcp("127.0.0.1:5060".parse().unwrap(), remote);
        let message = Bytes::from(vec![b'x'; 1 << 20]);
        let began = std::time::Instant::now();
        let mut sent = 0;
        while sent < 10_000 && connector.send(flow, message.clone()) {
            sent += 1;
            tokio::task::yield_now().await;
        }
        assert!(sent < 10_000, "the queue never filled");
        assert!(began.elapsed() < Duration::from_secs(5));
    }

    #[tokio::test]
    async fn a_connection_that_cannot_be_made_is_reported_as_it_was_asked_for() {
        let (shared, outlet, _stop) = shared(|_| {});
        let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let remote = gone.local_addr().unwrap();
        drop(gone);
        let connector = Connector::new(shared.clone(), Handle::current());
        let flow = Flow::tcp("127.0.0.1:5060".parse().unwrap(), remote);
        assert!(connector.send(flow, Bytes::from_static(b"x")));
        for _ in 0..500 {
            if let Ok(Fact::FlowError(broken)) = outlet.facts.try_recv() {
                assert_eq!(broken, flow);
                assert_eq!(shared.directory.connection_count(), 0);
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("no report");
    }
}
