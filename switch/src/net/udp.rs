//! SIP over UDP (RFC 3261 §18): a socket that the engine's thread reads and writes. No other thread stands
//! between a datagram and its answer, so that none has to be woken for it.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use sip::endpoint::{Flow, Transport};
use sip::stun;
use socket2::SockRef;

use super::{NetCounts, mark};
use crate::inbox::Outlet;

/// A bound socket.
#[derive(Debug)]
pub(super) struct Socket {
    socket: UdpSocket,
    pub(super) local: SocketAddr,
}

/// Room the kernel keeps for datagrams we have not read yet.
const RECEIVE_BUFFER: usize = 4 << 20;
/// Datagrams read before those that wait are looked at.
const BATCH_MAX: usize = 1024;
/// Largest datagram.
pub(super) const DATAGRAM_MAX: usize = 65_535;
/// Nothing shorter is a message: keep-alives of NAT boxes and phones (RFC 5626 §3.5.1, RFC 6223).
const SHORTEST: usize = 16;

impl Socket {
    pub(super) fn bind(address: SocketAddr) -> io::Result<Socket> {
        let socket: UdpSocket = bound(address)?.into();
        let local = socket.local_addr()?;
        Ok(Socket { socket, local })
    }

    /// The same socket for another thread.
    pub(super) fn another(&self) -> io::Result<Socket> {
        Ok(Socket { socket: self.socket.try_clone()?, local: self.local })
    }

    /// Reads what has come, at most [`BATCH_MAX`] datagrams.
    pub(super) fn read(&self, buffer: &mut [u8], counts: &NetCounts, outlet: &mut Outlet) {
        for _ in 0..BATCH_MAX {
            match self.socket.recv_from(buffer) {
                Ok((length, remote)) => {
                    counts.received.of(Transport::Udp).fetch_add(1, Ordering::Relaxed);
                    if let Some(answer) = stun::answer(&buffer[..length], remote) {
                        counts.stun.fetch_add(1, Ordering::Relaxed);
                        // Lost like any datagram when there is no room.
                        let _ = self.send(&answer, remote);
                    } else if length >= SHORTEST {
                        let bytes = Bytes::copy_from_slice(&buffer[..length]);
                        outlet.hear(Flow::udp(self.local, remote), bytes, Instant::now());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // ICMP errors of earlier sends surface here; the next read goes on.
                Err(error) => tracing::trace!(%error, "while reading"),
            }
        }
    }

    /// Sends one datagram.
    pub(super) fn send(&self, bytes: &[u8], remote: SocketAddr) -> io::Result<usize> {
        self.socket.send_to(bytes, remote)
    }
}

/// A socket for datagrams at an address.
pub(super) fn bound(address: SocketAddr) -> io::Result<socket2::Socket> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A smaller buffer than asked for is no reason not to start.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    let _ = socket.set_send_buffer_size(RECEIVE_BUFFER);
    mark::signalling(&SockRef::from(&socket), address);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
