//! Which addresses and ports a merchant may make us visit. Tables, no resolver.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// True for addresses of the open Internet: unicast, globally reachable by the IANA special-purpose
/// registries (RFC 6890), not a tunnel that could carry a private address inside.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let value = u32::from(address);
    !NOT_PUBLIC_V4.iter().any(|&(net, bits)| {
        let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        value & mask == u32::from(net) & mask
    })
}

/// Networks and prefix lengths that are not the open Internet.
const NOT_PUBLIC_V4: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),          // this network, RFC 791 §3.2
    (Ipv4Addr::new(10, 0, 0, 0), 8),         // private, RFC 1918
    (Ipv4Addr::new(100, 64, 0, 0), 10),      // carrier NAT, RFC 6598
    (Ipv4Addr::new(127, 0, 0, 0), 8),        // loopback, RFC 1122 §3.2.1.3
    (Ipv4Addr::new(169, 254, 0, 0), 16),     // link-local and cloud metadata, RFC 3927
    (Ipv4Addr::new(172, 16, 0, 0), 12),      // private, RFC 1918
    (Ipv4Addr::new(192, 0, 0, 0), 24),       // protocol assignments, RFC 6890 §2.1
    (Ipv4Addr::new(192, 0, 2, 0), 24),       // documentation, RFC 5737
    (Ipv4Addr::new(192, 31, 196, 0), 24),    // AS112, RFC 7535
    (Ipv4Addr::new(192, 52, 193, 0), 24),    // AMT, RFC 7450
    (Ipv4Addr::new(192, 88, 99, 0), 24),     // 6to4 relay, RFC 7526
    (Ipv4Addr::new(192, 168, 0, 0), 16),     // private, RFC 1918
    (Ipv4Addr::new(192, 175, 48, 0), 24),    // AS112, RFC 7534
    (Ipv4Addr::new(198, 18, 0, 0), 15),      // benchmarks, RFC 2544
    (Ipv4Addr::new(198, 51, 100, 0), 24),    // documentation, RFC 5737
    (Ipv4Addr::new(203, 0, 113, 0), 24),     // documentation, RFC 5737
    (Ipv4Addr::new(168, 63, 129, 16), 32),   // a cloud's host agent, reachable from inside only
    (Ipv4Addr::new(100, 100, 100, 200), 32), // a cloud's metadata service
    (Ipv4Addr::new(224, 0, 0, 0), 4),        // multicast, RFC 5771
    (Ipv4Addr::new(240, 0, 0, 0), 4),        // reserved and broadcast, RFC 1112 §4
];

fn is_public_v6(address: Ipv6Addr) -> bool {
    let value = u128::from(address);
    // Only 2000::/3 is global unicast (RFC 4291 §2.4): loopback, mapped, NAT64, ULA, link-local and
    // multicast are all outside of it.
    if value >> 125 != 0b001 {
        return false;
    }
    !NOT_PUBLIC_V6.iter().any(|&(net, bits)| value >> (128 - bits) == net >> (128 - bits))
}

/// Parts of 2000::/3 that are not the open Internet, and prefix lengths.
const NOT_PUBLIC_V6: &[(u128, u32)] = &[
    (0x2001_0000 << 96, 23), // protocol assignments with Teredo and ORCHID, RFC 6890 §2.2
    (0x2001_0db8 << 96, 32), // documentation, RFC 3849
    (0x2002_0000 << 96, 16), // 6to4: carries an IPv4 address, RFC 3056
    (0x2620_004f_8000 << 80, 48), // AS112, RFC 7534
    (0x3fff_0000 << 96, 20), // documentation, RFC 9637
];

/// True for addresses of this machine. Connecting a UDP socket sends nothing; it makes the kernel choose the address
/// to send from, and that is the other one itself only where both are here.
#[must_use]
pub fn is_here(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        _ if address.is_loopback() || address.is_unspecified() => return true,
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // The port is no matter (RFC 863).
    let chosen = UdpSocket::bind(SocketAddr::new(any, 0)).and_then(|socket| {
        socket.connect(SocketAddr::new(address, 9))?;
        socket.local_addr()
    });
    chosen.is_ok_and(|chosen| chosen.ip() == address)
}

/// Ports that HTTP lives on. Below 1024 only the two well-known ones; above, everything but the doors
/// of databases and control planes that answer to whoever reaches them.
#[must_use]
pub fn is_web_port(port: u16) -> bool {
    match port {
        80 | 443 => true,
        0..=1023 => false,
        _ => !NOT_WEB_PORTS.contains(&port),
    }
}

const NOT_WEB_PORTS: &[u16] = &[
    1080, 1433, 1434, 1521, 1720, 1723, 1883, 2049, 2181, 2375, 2376, 2377, 2379, 2380, 3128, 3260,
    3306, 3389, 4045, 4369, 4444, 5038, 5060, 5061, 5432, 5433, 5672, 5900, 5984, 5985, 5986, 6000,
    6066, 6379, 6443, 6660, 6666, 6667, 7000, 7001, 8021, 8086, 8125, 8500, 8600, 8883, 9042, 9092,
    9100, 9160, 9200, 9300, 9418, 10250, 10255, 11211, 15672, 16379, 22122, 25672, 26257, 26379,
    27017, 27018, 27019, 28015, 50000, 50070, 61616,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_at_the_edges_of_each_forbidden_network() {
        for (text, public) in [
            ("0.255.255.255", false),
            ("1.0.0.0", true),
            ("9.255.255.255", true),
            ("10.0.0.0", false),
            ("11.0.0.0", true),
            ("100.63.255.255", true),
            ("100.64.0.0", false),
            ("100.127.255.255", false),
            ("100.128.0.0", true),
            ("172.15.255.255", true),
            ("172.16.0.0", false),
            ("172.31.255.255", false),
            ("172.32.0.0", true),
            ("223.255.255.255", true),
            ("224.0.0.0", false),
            ("255.255.255.255", false),
            ("::", false),
            ("::1", false),
            ("::ffff:8.8.8.8", false),
            ("64:ff9b::808:808", false),
            ("fc00::1", false),
            ("fe80::1", false),
            ("ff02::1", false),
            ("2001:db8::1", false),
            ("2001::1", false),
            ("2002:7f00:1::", false),
            ("2606:4700::1111", true),
            ("2a00:1450:4001::1", true),
            ("4000::1", false),
        ] {
            assert_eq!(is_public(text.parse().unwrap()), public, "{text}");
        }
    }

    #[test]
    fn addresses_of_this_machine_are_known_and_others_are_not() {
        let addresses = std::process::Command::new("hostname").arg("-I").output();
        let addresses = addresses.map(|output| output.stdout).unwrap_or_default();
        let own = String::from_utf8_lossy(&addresses).into_owned();
        let own = own.split_whitespace().filter_map(|address| address.parse().ok());
        for here in
            own.chain(["127.0.0.1", "127.9.9.9", "::1", "0.0.0.0"].map(|a| a.parse().unwrap()))
        {
            assert!(is_here(here), "{here}");
        }
        for there in ["192.0.2.9", "93.184.216.34", "2001:db8::9"] {
            assert!(!is_here(there.parse().unwrap()), "{there}");
        }
    }

    #[test]
    fn ports_of_the_web_and_ports_of_other_things() {
        // The operator's page has them all.
        let page = include_str!("../../../docs/operator-file.md");
        let written: Vec<String> = NOT_WEB_PORTS.iter().map(ToString::to_string).collect();
        assert!(page.contains(&format!("but these: {}.", written.join(", "))));
        for port in [80, 443, 8080, 8443, 3000, 40_001] {
            assert!(is_web_port(port), "{port}");
        }
        for port in [0, 22, 25, 53, 143, 445, 5432, 6379, 9200, 11211] {
            assert!(!is_web_port(port), "{port}");
        }
    }
}
