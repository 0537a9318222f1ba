//! Names of the Internet, asked of the name servers that the operator named (`dns.servers`).
//!
//! Nothing of the system takes part: not `/etc/resolv.conf`, its search domains, nor `/etc/hosts`. Answers
//! are kept for as long as they say themselves. Without servers of its own the switch asks the system for the
//! names of merchants, which is not done here ([`api::guard::SystemNames`]), and the system's name servers for
//! those of carriers ([`CarrierNames`]).

mod carriers;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use api::guard::{AtMost, GuardConfig, GuardedClient, LOOKUPS_MAX, Names};
use facts::ports::Promise;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

pub(crate) use carriers::CarrierNames;

/// For one question to one server.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How often a question is asked again.
const AGAIN: usize = 1;
/// Port of a name server that is named without one (RFC 1035 §4.2).
pub(crate) const PORT: u16 = 53;

/// Asks the operator's name servers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Dns(TokioResolver);

impl Dns {
    /// Asks these servers, over UDP and, when an answer does not fit, TCP (RFC 7766).
    ///
    /// # Errors
    /// When the resolver cannot be made; a word for the log.
    pub(crate) fn new(servers: &[SocketAddr]) -> Result<Dns, String> {
        Dns::build(servers, |_| {})
    }

    /// The same, for somebody who keeps the answers himself.
    fn uncached(servers: &[SocketAddr]) -> Result<Dns, String> {
        Dns::build(servers, |options| options.cache_size = 0)
    }

    fn build(servers: &[SocketAddr], more: impl FnOnce(&mut ResolverOpts)) -> Result<Dns, String> {
        let server = |at: &SocketAddr| {
            let mut server = NameServerConfig::udp_and_tcp(at.ip());
            for connection in &mut server.connections {
                connection.port = at.port();
            }
            server
        };
        let servers = servers.iter().map(server).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        options(builder.options_mut());
        more(builder.options_mut());
        builder.build().map(Dns).map_err(|error| format!("the resolver: {error}"))
    }

    /// All addresses of a host: A (RFC 1035 §3.4.1) and AAAA (RFC 3596 §2.1).
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when there is no such name or it has no address, else what kept the
    /// servers from answering.
    pub(crate) async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        // A whole name: nothing is put behind it.
        let whole = format!("{}.", host.trim_end_matches('.'));
        match self.0.lookup_ip(whole).await {
            Ok(found) => Ok(found.iter().collect()),
            Err(error) if error.is_nx_domain() => {
                Err(io::Error::new(io::ErrorKind::NotFound, "no such name"))
            }
            Err(error) if error.is_no_records_found() => {
                Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
            }
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

fn options(options: &mut ResolverOpts) {
    options.timeout = TIMEOUT;
    options.attempts = AGAIN;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.use_hosts_file = ResolveHosts::Never;
}

impl Names for Dns {
    fn lookup(&self, host: String) -> Promise<io::Result<Vec<IpAddr>>> {
        let this = self.clone();
        Box::pin(async move { this.addresses(&host).await })
    }
}

/// The client for addresses that merchants give: it asks these servers, or the system when there are none.
///
/// # Errors
/// When the client or the resolver cannot be made; a word for the log.
pub(crate) fn guarded(guard: GuardConfig, servers: &[SocketAddr]) -> Result<GuardedClient, String> {
    if servers.is_empty() {
        return GuardedClient::new(guard);
    }
    let names = AtMost::new(LOOKUPS_MAX, Arc::new(Dns::new(servers)?));
    GuardedClient::with_names(guard, Arc::new(names))
}

#[cfg(test)]
#[path = "../tests/bench/names.rs"]
mod names;

#[cfg(test)]
mod tests {
    use super::names::{NameServer, Says};
    use super::*;
    use facts::ports::{FetchError, Fetcher as _};
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::time::Instant;

    const PUBLIC: Ipv4Addr = Ipv4Addr::new(93, 184, 216, 34);
    const PUBLIC_6: Ipv6Addr = Ipv6Addr::new(0x2606, 0x4700, 0, 0, 0, 0, 0, 0x1111);
    const PATIENCE: Duration = Duration::from_secs(10);

    fn client(server: &NameServer) -> GuardedClient {
        guarded(GuardConfig::default(), &[server.address]).unwrap()
    }

    #[tokio::test]
    async fn rfc1035_3_4_1_and_rfc3596_2_1_a_host_has_its_addresses_of_both_families() {
        let server = NameServer::start(|name, kind, _| match (name, kind) {
            ("both.example", names::A) => Says::addresses(&[PUBLIC.into()], 60),
            ("both.example", names::AAAA) => Says::addresses(&[PUBLIC_6.into()], 60),
            ("four.example", names::A) => Says::addresses(&[PUBLIC.into()], 60),
            _ => Says::addresses(&[], 60),
        });
        let dns = Dns::new(&[server.address]).unwrap();
        let mut both = dns.addresses("both.example").await.unwrap();
        both.sort();
        assert_eq!(both, [IpAddr::from(PUBLIC), PUBLIC_6.into()]);
        assert_eq!(dns.addresses("four.example.").await.unwrap(), [IpAddr::from(PUBLIC)]);
        let none = dns.addresses("none.example").await.unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::NotFound, "{none}");
    }

    #[tokio::test]
    async fn rfc2308_2_1_a_name_that_there_is_not_is_told_as_such() {
        let server = NameServer::start(|_, _, _| Says::NoSuchName);
        let dns = Dns::new(&[server.address]).unwrap();
        let error = dns.addresses("gone.example").await.unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (io::ErrorKind::NotFound, "no such name")
        );
        // The visit fails with the word; the check when a call is placed lets it through.
        let client = client(&server);
        assert_eq!(client.check("http://gone.example/", PATIENCE).await, Ok(()));
        let visit = client.get("http://gone.example/".into(), 10).await;
        assert_eq!(visit, Err(FetchError::Failed("look-up: no such name".into())));
    }

    #[tokio::test]
    async fn servers_that_are_silent_end_a_look_up_in_time() {
        let server = NameServer::start(|_, _, _| Says::Nothing);
        let dns = Dns::new(&[server.address]).unwrap();
        let begun = Instant::now();
        assert!(dns.addresses("slow.example").await.is_err());
        assert!(begun.elapsed() < 10 * TIMEOUT, "{:?}", begun.elapsed());
        assert!(server.asked().len() > 1, "a lost question is asked again");
    }

    #[tokio::test]
    async fn a_silent_server_does_not_keep_another_from_answering() {
        let silent = NameServer::start(|_, _, _| Says::Nothing);
        let answers = NameServer::start(|_, _, _| Says::addresses(&[PUBLIC.into()], 60));
        let dns = Dns::new(&[silent.address, answers.address]).unwrap();
        assert_eq!(dns.addresses("a.example").await.unwrap(), [IpAddr::from(PUBLIC)]);
    }

    /// The answer is public when the call is placed, and 127.0.0.1 when the merchant is told.
    #[tokio::test]
    async fn a_name_that_turns_inwards_after_the_check_is_refused_at_the_visit() {
        let server = NameServer::start(|_, kind, nth| match (kind, nth) {
            (names::AAAA, _) => Says::addresses(&[], 0),
            (_, 0) => Says::addresses(&[PUBLIC.into()], 0),
            _ => Says::addresses(&[Ipv4Addr::LOCALHOST.into()], 0),
        });
        let client = client(&server);
        assert_eq!(client.check("http://turns.example/", PATIENCE).await, Ok(()));
        let visit = client.get("http://turns.example/".into(), 10).await;
        assert_eq!(visit, Err(FetchError::Refused));
        let asked = server.asked();
        let a = asked.iter().filter(|(name, kind)| name == "turns.example" && *kind == names::A);
        assert_eq!(a.count(), 2, "an answer for no time at all is not kept: {asked:?}");
    }

    #[tokio::test]
    async fn one_inward_address_among_good_ones_refuses_the_name() {
        let server = NameServer::start(|_, kind, _| match kind {
            names::A => Says::addresses(&[PUBLIC.into(), Ipv4Addr::LOCALHOST.into()], 60),
            _ => Says::addresses(&[], 60),
        });
        let check = client(&server).check("http://mixed.example/", PATIENCE).await;
        assert_eq!(check, Err(FetchError::Refused));
    }
}
