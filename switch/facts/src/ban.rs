//! Sources that are not listened to for a while.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use crate::time::UnixMillis;

/// Who is told apart: an IPv4 address, or the /64 that an IPv6 address is in, as one host may use all of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Source(IpAddr);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Source(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                IpAddr::V6(network.into())
            }
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(network) => write!(f, "{network}/64"),
        }
    }
}

impl Serialize for Source {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// What somebody did to be banned.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Offence {
    /// Its User-Agent is that of a known scanner.
    Scanner,
    /// Too many requests without or with wrong credentials.
    Knocking,
}

impl Offence {
    /// For logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Offence::Scanner => "scanner",
            Offence::Knocking => "knocking",
        }
    }
}

/// A source that is not listened to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Ban {
    /// Who.
    pub source: Source,
    /// Why.
    pub offence: Offence,
    /// Since when.
    pub since: UnixMillis,
    /// Until when.
    pub until: UnixMillis,
    /// Bans of this source within its last day, this one included.
    pub times: u32,
    /// Messages that were dropped since.
    pub dropped: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_host_is_its_network_and_a_mapped_address_the_one_it_maps() {
        let source = |text: &str| Source::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(source("2001:db8:1:2:3:4:5:6"), source("2001:db8:1:2::9"));
        assert_ne!(source("2001:db8:1:2::9"), source("2001:db8:1:3::9"));
        assert_eq!(source("2001:db8:1:2:3::").to_string(), "2001:db8:1:2::/64");
        assert_eq!(source("::ffff:192.0.2.1").to_string(), "192.0.2.1");
    }
}
