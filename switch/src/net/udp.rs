//! SIP over UDP (RFC 3261 §18): a socket read by a task, written by the engine's thread.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::Ordering;

use bytes::Bytes;
use sip::endpoint::Flow;
use tokio::runtime::Handle;

use super::Shared;

/// A bound socket.
pub(super) struct Socket {
    socket: UdpSocket,
    pub(super) local: SocketAddr,
}

/// Room the kernel keeps for datagrams we have not read yet.
const RECEIVE_BUFFER: usize = 4 << 20;
/// Datagrams read before other tasks get a turn.
const BATCH_MAX: usize = 64;
/// Largest datagram.
const DATAGRAM_MAX: usize = 65_535;
/// Nothing shorter is a message: keep-alives of NAT boxes and phones (RFC 5626 §3.5.1, RFC 6223).
const SHORTEST: usize = 16;

impl Socket {
    pub(super) fn bind(address: SocketAddr) -> io::Result<Socket> {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, None)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // A smaller buffer than asked for is no reason not to start.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        let _ = socket.set_send_buffer_size(RECEIVE_BUFFER);
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let socket: UdpSocket = socket.into();
        let local = socket.local_addr()?;
        Ok(Socket { socket, local })
    }

    /// Starts the reader; the socket that comes back is for sending.
    pub(super) fn start(self, shared: &Shared, runtime: &Handle) -> io::Result<UdpSocket> {
        let writer = self.socket.try_clone()?;
        let reader = tokio::net::UdpSocket::from_std(self.socket)?;
        runtime.spawn(read(reader, self.local, shared.clone()));
        Ok(writer)
    }
}

async fn read(socket: tokio::net::UdpSocket, local: SocketAddr, mut shared: Shared) {
    let mut buffer = vec![0_u8; DATAGRAM_MAX];
    loop {
        tokio::select! {
            _ = shared.stop.wait_for(|stop| *stop) => return,
            ready = socket.readable() => {
                if let Err(error) = ready {
                    tracing::error!(%error, %local, "the socket is gone");
                    return;
                }
            }
        }
        for _ in 0..BATCH_MAX {
            match socket.try_recv_from(&mut buffer) {
                Ok((length, remote)) => {
                    shared.counts.received_udp.fetch_add(1, Ordering::Relaxed);
                    if length >= SHORTEST {
                        let bytes = Bytes::copy_from_slice(&buffer[..length]);
                        shared.inbox.datagram(Flow::udp(local, remote), bytes);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // ICMP errors of earlier sends surface here; the next read goes on.
                Err(error) => tracing::trace!(%error, "while reading"),
            }
        }
        tokio::task::yield_now().await;
    }
}
