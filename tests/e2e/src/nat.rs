//! A home network behind a masquerading router, made of network namespaces: a phone inside, the switch outside.
//!
//! It takes root (`ip netns`, `iptables`). Nothing of it touches the machine's own network but one veth, which goes
//! when the namespaces go.

use std::process::{Command, Stdio};

/// The network of one test.
#[derive(Debug)]
pub struct Nat {
    home: String,
    router: String,
    outside: String,
    public: String,
}

impl Nat {
    /// Makes the network; `None`, with a word about it, where that is not allowed.
    ///
    /// # Panics
    /// When namespaces are allowed and something else of it fails.
    #[must_use]
    pub fn start() -> Option<Nat> {
        let pid = std::process::id();
        let name = |part: &str| format!("tnd{}{part}", pid % 1_000_000);
        let (home, router, outer, inner) = (name("home"), name("router"), name("o"), name("i"));
        if let Err(why) = ip(&["netns", "add", &home]) {
            eprintln!("SKIPPED: no network namespaces here, the NAT was not tested: {why}");
            return None;
        }
        // RFC 2544's networks: nobody's, and not private either.
        let net = format!("198.18.{}.{}", (pid >> 6) & 255, (pid & 63) * 4);
        let at = |last: u32| {
            let (head, low) = net.rsplit_once('.').expect("an address");
            format!("{head}.{}", low.parse::<u32>().expect("a number") + last)
        };
        let nat = Nat { home, router, outside: at(1), public: at(2) };
        let (home, router) = (nat.home.as_str(), nat.router.as_str());
        let (outside, public) = (format!("{}/30", nat.outside), format!("{}/30", nat.public));
        let steps: [&[&str]; 14] = [
            &["netns", "add", router],
            &["link", "add", &outer, "type", "veth", "peer", "name", "wan", "netns", router],
            &["addr", "add", &outside, "dev", &outer],
            &["link", "set", &outer, "up"],
            &["-n", router, "addr", "add", &public, "dev", "wan"],
            &["-n", router, "link", "set", "wan", "up"],
            &[
                "-n", router, "link", "add", &inner, "type", "veth", "peer", "name", "eth",
                "netns", home,
            ],
            &["-n", router, "link", "set", &inner, "name", "lan"],
            &["-n", router, "addr", "add", "192.168.77.1/24", "dev", "lan"],
            &["-n", router, "link", "set", "lan", "up"],
            &["-n", home, "addr", "add", "192.168.77.2/24", "dev", "eth"],
            &["-n", home, "link", "set", "eth", "up"],
            &["-n", home, "link", "set", "lo", "up"],
            &["-n", home, "route", "add", "default", "via", "192.168.77.1"],
        ];
        for step in steps {
            ip(step).unwrap_or_else(|why| panic!("ip {}: {why}", step.join(" ")));
        }
        nat.in_router("echo 1 > /proc/sys/net/ipv4/ip_forward");
        nat.in_router("iptables -t nat -A POSTROUTING -o wan -j MASQUERADE");
        Some(nat)
    }

    /// Address of this machine on the outside.
    #[must_use]
    pub fn outside(&self) -> &str {
        &self.outside
    }

    /// Address that the home is seen by.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.public
    }

    /// Namespace of whoever is at home, at 192.168.77.2.
    #[must_use]
    pub fn home(&self) -> &str {
        &self.home
    }

    /// Who says nothing for so long is forgotten, if it begins after this.
    pub fn forgets_after(&self, seconds: u32) {
        for which in ["udp_timeout", "udp_timeout_stream"] {
            self.in_router(&format!(
                "echo {seconds} > /proc/sys/net/netfilter/nf_conntrack_{which}"
            ));
        }
    }

    /// The router starts anew: every mapping is forgotten, and new ones are of other ports.
    pub fn rebind(&self) {
        // A masquerade is forgotten when its interface goes down.
        self.in_router(
            "ip link set wan down && iptables -t nat -F POSTROUTING \
             && iptables -t nat -A POSTROUTING -o wan -p udp -j MASQUERADE --to-ports 40000-49999 \
             && ip link set wan up",
        );
    }

    fn in_router(&self, line: &str) {
        let out = ip(&["netns", "exec", &self.router, "sh", "-c", line]);
        out.unwrap_or_else(|why| panic!("{line}: {why}"));
    }
}

impl Drop for Nat {
    fn drop(&mut self) {
        for name in [&self.home, &self.router] {
            let _ = ip(&["netns", "del", name]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let out = Command::new("ip").args(arguments).stdin(Stdio::null()).output();
    match out {
        Ok(out) if out.status.success() => Ok(()),
        Ok(out) => Err(String::from_utf8_lossy(&out.stderr).trim().to_owned()),
        Err(why) => Err(why.to_string()),
    }
}
