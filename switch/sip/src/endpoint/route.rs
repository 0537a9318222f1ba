//! Ways: where a response goes (RFC 3261 §18.2.2, RFC 3581), where a request within a dialog goes
//! (RFC 3261 §8.1.2), and which address of ours is written into it.
//!
//! There is no resolver here. A Route or Contact that names a host by name, or by an address that
//! its sender has no business naming, leaves the message on the flow of the dialog.

use std::net::{IpAddr, SocketAddr};

use super::{Endpoint, Flow, Listener, Transport};
use crate::dialog::Dialog;
use crate::wire::{RawVia, Scheme, Uri, Via};

/// Ports below this are never dialled because a public peer named them.
const LOWEST_PUBLIC_PORT: u16 = 1024;

impl Endpoint {
    /// The listener of a flow, or the first of its transport.
    pub(super) fn listener(&self, transport: Transport, local: SocketAddr) -> Option<&Listener> {
        let of_transport = || self.config.listeners.iter().filter(|at| at.transport == transport);
        of_transport()
            .find(|at| at.bind == local)
            .or_else(|| of_transport().find(|at| at.bind.ip() == local.ip()))
            .or_else(|| of_transport().find(|at| at.bind.is_ipv4() == local.is_ipv4()))
    }

    /// The address that stands for us in messages over this flow.
    pub(super) fn advertised(&self, flow: &Flow) -> SocketAddr {
        self.listener(flow.transport, flow.local).map_or(flow.local, |at| at.advertised)
    }

    /// §18.1.2: a response whose top Via is not ours is dropped.
    pub(super) fn is_ours(&self, via: RawVia<'_>) -> bool {
        let Some(ip) = via.ip() else { return false };
        let mut listeners = self.config.listeners.iter();
        listeners.any(|at| {
            let port = via.port.unwrap_or(at.transport.default_port());
            at.advertised.port() == port && at.advertised.ip() == ip
        })
    }

    /// Our Contact over this flow, for a dialog whose Request-URI has this scheme.
    pub(super) fn contact(&self, flow: &Flow, user: &str, scheme: &Scheme) -> Vec<u8> {
        let user = Some(user).filter(|user| !user.is_empty());
        self.contact_of(flow, Uri::at(user, self.advertised(flow)), scheme)
    }

    /// [`Endpoint::contact`] with a user part that is escaped already.
    pub(super) fn contact_raw(&self, flow: &Flow, user: &str, scheme: &Scheme) -> Vec<u8> {
        let mut uri = Uri::at(None, self.advertised(flow));
        uri.user = Some(user.to_owned()).filter(|user| !user.is_empty());
        self.contact_of(flow, uri, scheme)
    }

    fn contact_of(&self, flow: &Flow, mut uri: Uri, scheme: &Scheme) -> Vec<u8> {
        // §8.1.1.8, §12.1.1: a dialog that was asked for by sips goes on by sips.
        if *scheme == Scheme::Sips && flow.transport.is_secure() {
            uri.scheme = Scheme::Sips;
        }
        // In a sips URI TLS goes without saying (RFC 5630 §3.1.4).
        let unsaid = match flow.transport {
            Transport::Udp => true,
            Transport::Tls => uri.scheme == Scheme::Sips,
            Transport::Tcp | Transport::Ws | Transport::Wss => false,
        };
        if !unsaid {
            uri.params.set("transport", Some(flow.transport.as_param()));
        }
        format!("<{uri}>").into_bytes()
    }

    /// The way of the next request in a dialog.
    pub(super) fn hop(&self, dialog: &Dialog) -> Flow {
        if dialog.keep_flow {
            return dialog.flow;
        }
        self.named_hop(dialog).unwrap_or(dialog.flow)
    }

    /// Where to go if the connection of the dialog is gone.
    pub(super) fn fallback_hop(&self, dialog: &Dialog) -> Option<Flow> {
        dialog.flow.connection?;
        let (address, transport) = self.named_address(dialog)?;
        let local = self.listener(transport, dialog.flow.local)?.bind;
        Some(Flow { transport, local, remote: address, connection: None })
    }

    fn named_hop(&self, dialog: &Dialog) -> Option<Flow> {
        let (address, transport) = self.named_address(dialog)?;
        let flow = dialog.flow;
        // A stream to that machine is used whatever port its far end has.
        let same = address.ip() == flow.remote.ip()
            && (address.port() == flow.remote.port() || transport.is_reliable());
        if same && transport == flow.transport {
            return None;
        }
        let local = self.listener(transport, flow.local)?.bind;
        Some(Flow { transport, local, remote: address, connection: None })
    }

    fn named_address(&self, dialog: &Dialog) -> Option<(SocketAddr, Transport)> {
        let uri = dialog.next_hop()?;
        let ip = uri.host.ip()?;
        let transport = dialled_by(&uri, dialog.flow.transport)?;
        let address = SocketAddr::new(ip, uri.port.unwrap_or(transport.default_port()));
        may_dial(address, dialog.flow.remote.ip()).then_some((address, transport))
    }
}

/// The transport by which a URI is dialled. A sips URI is TLS whatever it says is below (RFC 3261
/// §26.2.2, RFC 5630 §3.1.4), never UDP; nobody can dial a WebSocket client.
fn dialled_by(uri: &Uri, flow: Transport) -> Option<Transport> {
    let named = match uri.transport() {
        Some(name) => Some(Transport::of(name)?),
        None => None,
    };
    let transport = match (&uri.scheme, named) {
        (Scheme::Sips, None | Some(Transport::Tcp | Transport::Tls)) => Transport::Tls,
        (Scheme::Sips, Some(_)) => return None,
        (_, Some(named)) => named,
        (_, None) => flow,
    };
    (!transport.is_web()).then_some(transport)
}

/// Where the response to a request goes.
pub(super) fn reply_flow(flow: &Flow, via: &Via) -> Flow {
    match flow.transport {
        // §18.2.2: over the connection on which the request came.
        Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => *flow,
        // RFC 3581 §4: to the source if rport was asked for; else to the source address and the
        // sent-by port. `maddr` is not followed: it would let a stranger aim our answers.
        Transport::Udp => {
            let port = if via.params.has("rport") {
                flow.remote.port()
            } else {
                via.port.unwrap_or(flow.transport.default_port())
            };
            Flow { remote: SocketAddr::new(flow.remote.ip(), port), ..*flow }
        }
    }
}

/// Whether the request came from another address than its sender believes to have: its own Contact
/// is of no use then.
pub(super) fn is_behind_nat(flow: &Flow, via: &Via) -> bool {
    match via.host.ip() {
        Some(ip) => {
            let port = via.port.unwrap_or(flow.transport.default_port());
            let moved = flow.transport == Transport::Udp
                && via.params.has("rport")
                && port != flow.remote.port();
            ip != flow.remote.ip() || moved
        }
        None => false,
    }
}

/// Whether a peer at `peer` may make us send to `address` by naming it in Contact or Record-Route:
/// never into a network more private than its own, never to a group of machines.
fn may_dial(address: SocketAddr, peer: IpAddr) -> bool {
    let reach = reach(address.ip());
    let public_port = reach < PUBLIC || address.port() >= LOWEST_PUBLIC_PORT;
    address.port() != 0 && reach != NOWHERE && reach >= self::reach(peer) && public_port
}

const NOWHERE: u8 = 0;
const LOOPBACK: u8 = 1;
const LINK: u8 = 2;
const PRIVATE: u8 = 3;
const PUBLIC: u8 = 4;

fn reach(ip: IpAddr) -> u8 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            if ip.is_unspecified() || ip.is_multicast() || first >= 240 || first == 0 {
                NOWHERE
            } else if ip.is_loopback() {
                LOOPBACK
            } else if ip.is_link_local() {
                LINK
            } else if ip.is_private() || (first == 100 && (64..128).contains(&second)) {
                PRIVATE
            } else {
                PUBLIC
            }
        }
        IpAddr::V6(ip) => {
            if ip.is_unspecified() || ip.is_multicast() {
                NOWHERE
            } else if ip.is_loopback() {
                LOOPBACK
            } else if ip.is_unicast_link_local() {
                LINK
            } else if ip.is_unique_local() {
                PRIVATE
            } else {
                PUBLIC
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(address: &str, peer: &str) -> bool {
        may_dial(address.parse().unwrap(), peer.parse().unwrap())
    }

    #[test]
    fn a_contact_never_leads_into_a_more_private_network() {
        assert!(may("203.0.113.7:5060", "198.51.100.1"));
        assert!(may("127.0.0.9:5070", "127.0.0.1"));
        assert!(may("10.0.0.9:5070", "192.168.1.1"));
        assert!(may("203.0.113.7:5060", "10.0.0.1"));
        for address in [
            "127.0.0.1:5060",
            "10.1.2.3:5060",
            "100.64.0.1:5060",
            "169.254.1.1:5060",
            "224.0.0.1:5060",
            "255.255.255.255:5060",
            "0.0.0.0:5060",
            "203.0.113.7:22",
            "203.0.113.7:0",
            "[::1]:5060",
            "[fe80::1]:5060",
            "[fd00::1]:5060",
            "[ff02::1]:5060",
            "[::ffff:10.0.0.1]:5060",
        ] {
            assert!(!may(address, "198.51.100.1"), "{address}");
        }
        assert!(!may("127.0.0.1:5060", "10.0.0.1"));
    }

    #[test]
    fn rfc3261_26_2_2_a_sips_target_is_dialled_by_tls_and_nothing_else() {
        let by = |uri: &str, flow| dialled_by(&Uri::parse(uri).unwrap(), flow);
        for uri in
            ["sips:a@192.0.2.1", "sips:a@192.0.2.1;transport=tcp", "sips:a@192.0.2.1;transport=tls"]
        {
            assert_eq!(by(uri, Transport::Udp), Some(Transport::Tls), "{uri}");
        }
        for uri in ["sips:a@192.0.2.1;transport=udp", "sips:a@192.0.2.1;transport=ws"] {
            assert_eq!(by(uri, Transport::Tls), None, "{uri}");
        }
        assert_eq!(by("sip:a@192.0.2.1;transport=tls", Transport::Udp), Some(Transport::Tls));
        assert_eq!(by("sip:a@192.0.2.1", Transport::Tcp), Some(Transport::Tcp));
        for uri in ["sip:a@192.0.2.1;transport=ws", "sip:a@192.0.2.1;transport=sctp"] {
            assert_eq!(by(uri, Transport::Udp), None, "{uri}");
        }
        assert_eq!(
            by("sip:a@192.0.2.1", Transport::Wss),
            None,
            "RFC 7118 §5: nobody dials a browser"
        );
    }

    #[test]
    fn a11_rfc3581_4_the_answer_goes_to_the_source_port_only_if_asked() {
        let flow =
            Flow::udp("192.0.2.1:5060".parse().unwrap(), "198.51.100.9:40001".parse().unwrap());
        let reply = |via: &str| reply_flow(&flow, &Via::parse(via.as_bytes()).unwrap()).remote;
        assert_eq!(
            reply("SIP/2.0/UDP 10.0.0.5:5070;rport;branch=z9hG4bKa"),
            "198.51.100.9:40001".parse().unwrap()
        );
        assert_eq!(
            reply("SIP/2.0/UDP 10.0.0.5:5070;branch=z9hG4bKa"),
            "198.51.100.9:5070".parse().unwrap()
        );
        assert_eq!(
            reply("SIP/2.0/UDP 10.0.0.5;maddr=224.0.0.1;branch=z9hG4bKa"),
            "198.51.100.9:5060".parse().unwrap()
        );
    }
}
