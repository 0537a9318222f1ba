//! A leg's two sockets.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// Expedited forwarding (RFC 3246) in the upper six bits of the traffic class: voice, by RFC 4594
/// §4.1.
const DSCP_EF: u32 = 46 << 2;

/// RTP and RTCP on neighbouring ports.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) rtp: UdpSocket,
    pub(crate) rtcp: UdpSocket,
}

impl Pair {
    /// Binds `port` and the next. When the second fails, the first is closed again.
    pub(crate) fn open(address: IpAddr, port: u16) -> io::Result<Pair> {
        let rtp = bind(SocketAddr::new(address, port))?;
        let rtcp = bind(SocketAddr::new(address, port + 1))?;
        Ok(Pair { rtp, rtcp })
    }
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    // Every call opens four: the kind says all at once what four calls of the system would.
    let kind = Type::DGRAM.nonblocking().cloexec();
    let socket = Socket::new_raw(Domain::for_address(address), kind, Some(Protocol::UDP))?;
    // A network that refuses the mark still carries the call.
    let _ = match address {
        SocketAddr::V4(_) => socket.set_tos_v4(DSCP_EF),
        SocketAddr::V6(_) => socket.set_tclass_v6(DSCP_EF),
    };
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_pair_is_marked_and_non_blocking() {
        let mut port = 41_000;
        let pair = loop {
            match Pair::open(HOME, port) {
                Ok(pair) => break pair,
                Err(_) => port += 2,
            }
        };
        assert_eq!(pair.rtp.local_addr().unwrap().port(), port);
        assert_eq!(pair.rtcp.local_addr().unwrap().port(), port + 1);
        let blocked = pair.rtp.recv_from(&mut [0; 8]).unwrap_err();
        assert_eq!(blocked.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(socket2::SockRef::from(&pair.rtp).tos_v4().unwrap(), DSCP_EF);
    }

    #[test]
    fn case_8_when_the_odd_port_fails_the_even_one_is_closed() {
        let mut port = 42_000;
        let odd = loop {
            // Both free at first: somebody else may have the even one.
            let even = UdpSocket::bind((HOME, port));
            match UdpSocket::bind((HOME, port + 1)) {
                Ok(socket) if even.is_ok() => break socket,
                _ => port += 2,
            }
        };
        for _ in 0..2000 {
            let error = Pair::open(HOME, port).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        }
        drop(odd);
        Pair::open(HOME, port).unwrap();
    }
}
