//! Where requests to a carrier go: an address, or a name that is looked up.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where requests to a carrier go.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum NextHop {
    /// An address: nothing is looked up.
    Address(SocketAddr),
    /// A name (RFC 3263 §4), in lower case. With a port only its addresses are asked for.
    Name {
        /// The domain or host.
        host: String,
        /// Its port, when it is said.
        port: Option<u16>,
    },
}

/// Longest name, without the dot of the root (RFC 1035 §2.3.4).
const NAME_MAX: usize = 253;
/// Longest part of a name between dots.
const LABEL_MAX: usize = 63;

impl NextHop {
    /// The name, if it is one.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        match self {
            NextHop::Address(_) => None,
            NextHop::Name { host, .. } => Some(host),
        }
    }

    /// The address, if it is one.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            NextHop::Address(address) => Some(*address),
            NextHop::Name { .. } => None,
        }
    }
}

/// A name of the DNS in lower case, without the dot of the root. `None`: it is none. What could be an
/// address is none either.
#[must_use]
pub fn name(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let fits = |label: &str| {
        (1..=LABEL_MAX).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // RFC 3696 §2: the last label is never all digits, so no address is taken for a name.
    let last = text.rsplit('.').next().unwrap_or_default();
    let alphabetic = last.bytes().any(|b| b.is_ascii_alphabetic());
    (text.len() <= NAME_MAX && alphabetic && text.split('.').all(fits))
        .then(|| text.to_ascii_lowercase())
}

/// Neither an address with a port nor a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoNextHop;

impl fmt::Display for NoNextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "an address with its port or a name is expected, e.g. 192.0.2.10:5060, \
             sip.carrier.example or sip.carrier.example:5060",
        )
    }
}

impl std::error::Error for NoNextHop {}

impl FromStr for NextHop {
    type Err = NoNextHop;

    fn from_str(text: &str) -> Result<NextHop, NoNextHop> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(NextHop::Address(address));
        }
        if text.parse::<IpAddr>().is_ok() {
            return Err(NoNextHop);
        }
        let (host, port) = match text.split_once(':') {
            None => (text, None),
            Some((host, port)) => {
                let port = port.parse().ok().filter(|port| *port != 0);
                (host, Some(port.ok_or(NoNextHop)?))
            }
        };
        Ok(NextHop::Name { host: name(host).ok_or(NoNextHop)?, port })
    }
}

impl TryFrom<String> for NextHop {
    type Error = NoNextHop;

    fn try_from(text: String) -> Result<NextHop, NoNextHop> {
        text.parse()
    }
}

impl From<NextHop> for String {
    fn from(hop: NextHop) -> String {
        hop.to_string()
    }
}

impl From<SocketAddr> for NextHop {
    fn from(address: SocketAddr) -> NextHop {
        NextHop::Address(address)
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NextHop::Address(address) => address.fmt(f),
            NextHop::Name { host, port: None } => f.write_str(host),
            NextHop::Name { host, port: Some(port) } => write!(f, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_next_hop_is_an_address_with_a_port_or_a_name() {
        for (text, printed) in [
            ("192.0.2.10:5060", "192.0.2.10:5060"),
            ("[2001:db8::1]:5060", "[2001:db8::1]:5060"),
            ("SIP.Carrier.Example.", "sip.carrier.example"),
            ("sip-1.carrier.example:5070", "sip-1.carrier.example:5070"),
            ("kamailio", "kamailio"),
        ] {
            let hop: NextHop = text.parse().unwrap();
            assert_eq!(hop.to_string(), printed);
            assert_eq!(hop.host().is_some(), hop.address().is_none());
        }
        for text in [
            "",
            ".",
            "192.0.2.10",
            "2001:db8::1",
            "192.0.2.300:5060",
            "a..b",
            "-a.example",
            "a b",
            "carrier.example:",
            "carrier.example:0",
            "carrier.example:70000",
            "carrier.example:sip",
            "sip:carrier.example",
            "10.0.0.999",
        ] {
            assert_eq!(text.parse::<NextHop>(), Err(NoNextHop), "{text}");
        }
        assert!(format!("{}.example", "a".repeat(64)).parse::<NextHop>().is_err());
    }
}
