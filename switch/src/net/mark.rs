//! The class of signalling (SIPconnect 2.0, RFC 4594 §4.2): what leaves bears DSCP CS3, as sound bears EF. A network that
//! refuses the mark carries the message all the same.

use std::net::SocketAddr;

use socket2::SockRef;

/// CS3, in the place that the field has.
const DSCP_CS3: u32 = 24 << 2;

/// Marks what leaves by a socket, and by those that a listener accepts.
pub(super) fn signalling(socket: &SockRef<'_>, address: SocketAddr) {
    let _ = match address {
        SocketAddr::V4(_) => socket.set_tos_v4(DSCP_CS3),
        SocketAddr::V6(_) => socket.set_tclass_v6(DSCP_CS3),
    };
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;
    use crate::net::listen::bound;
    use crate::net::udp;

    const ANY: &str = "127.0.0.1:0";

    #[test]
    fn b13_signalling_leaves_as_cs3_over_datagrams_and_streams() {
        let datagrams: UdpSocket = udp::bound(ANY.parse().unwrap()).unwrap().into();
        assert_eq!(SockRef::from(&datagrams).tos_v4().unwrap(), DSCP_CS3);
        let listener: TcpListener = bound(ANY.parse().unwrap()).unwrap().into();
        listener.set_nonblocking(false).unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert_eq!(SockRef::from(&accepted).tos_v4().unwrap(), DSCP_CS3, "taken from the listener");
        signalling(&SockRef::from(&ours), ours.peer_addr().unwrap());
        assert_eq!(SockRef::from(&ours).tos_v4().unwrap(), DSCP_CS3);
    }
}
