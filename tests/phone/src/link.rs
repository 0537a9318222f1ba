//! The wire: one UDP socket, or a TCP listener with its streams. Never blocks.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use crate::message::next_in_stream;

/// The transport a phone speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wire {
    /// Datagrams.
    Udp,
    /// Streams; it listens, and connects when it must.
    Tcp,
}

#[derive(Debug)]
pub(crate) enum Link {
    Udp(UdpSocket, SocketAddr),
    Tcp { listener: TcpListener, local: SocketAddr, streams: BTreeMap<SocketAddr, Stream> },
}

#[derive(Debug)]
pub(crate) struct Stream {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Link {
    pub(crate) fn bind(wire: Wire, address: SocketAddr) -> io::Result<Link> {
        Ok(match wire {
            Wire::Udp => {
                let socket = UdpSocket::bind(address)?;
                socket.set_nonblocking(true)?;
                let local = socket.local_addr()?;
                Link::Udp(socket, local)
            }
            Wire::Tcp => {
                let listener = TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                let local = listener.local_addr()?;
                Link::Tcp { listener, local, streams: BTreeMap::new() }
            }
        })
    }

    pub(crate) fn local(&self) -> SocketAddr {
        match self {
            Link::Udp(_, local) | Link::Tcp { local, .. } => *local,
        }
    }

    /// `UDP` or `TCP`, as a Via writes it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Link::Udp(..) => "UDP",
            Link::Tcp { .. } => "TCP",
        }
    }

    pub(crate) fn reliable(&self) -> bool {
        matches!(self, Link::Tcp { .. })
    }

    pub(crate) fn send(&mut self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        match self {
            Link::Udp(socket, _) => socket.send_to(bytes, to).map(|_| ()),
            Link::Tcp { streams, .. } => {
                let stream = match streams.entry(to) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(free) => {
                        let socket = TcpStream::connect_timeout(&to, Duration::from_secs(2))?;
                        socket.set_nodelay(true)?;
                        socket.set_nonblocking(true)?;
                        free.insert(Stream { socket, buffer: Vec::new() })
                    }
                };
                let sent = stream.socket.write_all(bytes);
                if sent.is_err() {
                    streams.remove(&to);
                }
                sent
            }
        }
    }

    /// The next whole message, if one is there.
    pub(crate) fn receive(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        match self {
            Link::Udp(socket, _) => {
                let mut buffer = vec![0; 65_536];
                let (length, from) = socket.recv_from(&mut buffer).ok()?;
                buffer.truncate(length);
                Some((from, buffer))
            }
            Link::Tcp { listener, streams, .. } => {
                while let Ok((socket, from)) = listener.accept() {
                    let _ = socket.set_nodelay(true);
                    if socket.set_nonblocking(true).is_ok() {
                        streams.insert(from, Stream { socket, buffer: Vec::new() });
                    }
                }
                streams.retain(|_, stream| stream.fill());
                streams.iter_mut().find_map(|(from, stream)| {
                    next_in_stream(&mut stream.buffer).map(|bytes| (*from, bytes))
                })
            }
        }
    }
}

impl Stream {
    /// Reads what is there; false when the far end closed and nothing is left to read.
    fn fill(&mut self) -> bool {
        let mut chunk = [0; 8192];
        loop {
            match self.socket.read(&mut chunk) {
                Ok(0) => return !self.buffer.is_empty(),
                Ok(length) => self.buffer.extend_from_slice(&chunk[..length]),
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
    }
}
