//! The guard on every address that a merchant gives us: callback URLs, prompt files, USSD pages.
//!
//! A URL is read strictly, its host is resolved, every address is checked, and the connection goes to an
//! address that was checked: the check sits in the connector's resolver, so there is no second look-up
//! that could answer otherwise. Where this process listens itself nobody is led, whatever is allowed. Proxy settings of the environment are ignored, redirects are followed by
//! [`Fetcher::get_unless`] and [`GuardedClient::get_within`] only, at most three, each through the same gate. It does not know what the bytes mean.

pub mod address;
mod named;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use facts::ports::{FetchError, Fetched, Fetcher, Promise, Validators};
use ipnet::IpNet;
use tokio::sync::Semaphore;
use url::{Host, Url};

pub(crate) use named::unvisited;

/// Longest URL we visit.
pub const URL_MAX: usize = 8192;
/// Redirects followed by a fetch. A push follows none.
pub const REDIRECTS_MAX: usize = 3;
/// Connections kept open to one merchant: as many as a lane of pushes uses at once.
const IDLE_PER_HOST: usize = 8;
/// Addresses of one name that we look at.
const ADDRESSES_MAX: usize = 64;

/// Look-ups under way at once: slow name servers must not fill the pool that files and databases share.
pub const LOOKUPS_MAX: usize = 64;

/// What the operator allows beyond the open Internet, and how long anything may take.
#[derive(Clone, Debug)]
pub struct GuardConfig {
    /// Networks that may be visited although they are not public (test merchants on loopback, an
    /// intranet). Empty by default.
    pub allow_networks: Vec<IpNet>,
    /// Host names whose addresses may be anything. Compared without case and trailing dot.
    pub allow_hosts: Vec<String>,
    /// Ports allowed beside those of the web.
    pub allow_ports: Vec<u16>,
    /// Where this process listens itself: never visited, whatever else is allowed. A merchant has no business
    /// at the operator's door.
    pub own: Vec<SocketAddr>,
    /// For the TCP and TLS handshakes.
    pub connect_timeout: Duration,
    /// For everything, from the look-up to the last byte of the answer.
    pub total_timeout: Duration,
}

impl Default for GuardConfig {
    fn default() -> Self {
        GuardConfig {
            allow_networks: Vec::new(),
            allow_hosts: Vec::new(),
            allow_ports: Vec::new(),
            own: Vec::new(),
            connect_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(10),
        }
    }
}

/// Turns names into addresses. The system's resolver in service, a table in tests.
pub trait Names: Send + Sync + 'static {
    /// All addresses of a host name.
    fn lookup(&self, host: String) -> Promise<std::io::Result<Vec<IpAddr>>>;
}

/// The system's resolver. A look-up occupies a thread of the blocking pool to its end, even when nobody waits
/// for it any more: see [`AtMost`].
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemNames;

impl Names for SystemNames {
    fn lookup(&self, host: String) -> Promise<std::io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// A resolver with a limit on look-ups under way. The turn belongs to the look-up and not to whoever asked:
/// an asker who gives up does not make room for another.
pub struct AtMost {
    turns: Arc<Semaphore>,
    names: Arc<dyn Names>,
}

impl fmt::Debug for AtMost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtMost").field("turns", &self.turns).finish_non_exhaustive()
    }
}

impl AtMost {
    /// `limit` look-ups under way at most; the others wait.
    #[must_use]
    pub fn new(limit: usize, names: Arc<dyn Names>) -> AtMost {
        AtMost { turns: Arc::new(Semaphore::new(limit)), names }
    }
}

impl Names for AtMost {
    fn lookup(&self, host: String) -> Promise<std::io::Result<Vec<IpAddr>>> {
        let (turns, names) = (Arc::clone(&self.turns), Arc::clone(&self.names));
        Box::pin(async move {
            let turn = turns.acquire_owned().await.map_err(std::io::Error::other)?;
            let found = tokio::spawn(async move {
                let _turn = turn;
                names.lookup(host).await
            });
            found.await.map_err(std::io::Error::other)?
        })
    }
}

/// A request to a merchant.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// `GET` or `POST`.
    pub post: bool,
    /// Where to.
    pub url: String,
    /// Headers beside Host and Content-Length.
    pub headers: Vec<(&'static str, String)>,
    /// More of them, by names that the operator has chosen.
    pub more: Vec<(String, String)>,
    /// Body of a POST.
    pub body: Vec<u8>,
    /// How long it may take, where that is not as long as every request may.
    pub patience: Option<Duration>,
}

/// The one HTTP client for addresses that we did not choose ourselves.
#[derive(Clone)]
pub struct GuardedClient {
    rules: Arc<Rules>,
    client: reqwest::Client,
    /// For the ports that we listen on: a resolver is not told the port, so this one's names may not lead to
    /// addresses of ours at all.
    careful: reqwest::Client,
}

impl fmt::Debug for GuardedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedClient").field("config", &self.rules.config).finish_non_exhaustive()
    }
}

struct Rules {
    config: GuardConfig,
    names: Arc<dyn Names>,
}

impl GuardedClient {
    /// A client that resolves as the system does.
    ///
    /// # Errors
    /// When the TLS library cannot be set up; a word for the log.
    pub fn new(config: GuardConfig) -> Result<Self, String> {
        Self::with_names(config, Arc::new(AtMost::new(LOOKUPS_MAX, Arc::new(SystemNames))))
    }

    /// A client with its own resolver.
    ///
    /// # Errors
    /// When the TLS library cannot be set up; a word for the log.
    pub fn with_names(config: GuardConfig, names: Arc<dyn Names>) -> Result<Self, String> {
        let rules = Arc::new(Rules { config, names });
        let client = |careful| {
            let resolver = CheckedResolver { rules: Arc::clone(&rules), careful };
            reqwest::Client::builder()
                .dns_resolver(Arc::new(resolver))
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .connect_timeout(rules.config.connect_timeout)
                .timeout(rules.config.total_timeout)
                .pool_max_idle_per_host(IDLE_PER_HOST)
                .pool_idle_timeout(Duration::from_secs(30))
                .user_agent(concat!("Tandem/", env!("CARGO_PKG_VERSION")))
                .build()
                .map_err(|error| error.to_string())
        };
        let (client, careful) = (client(false)?, client(true)?);
        Ok(GuardedClient { rules, client, careful })
    }

    /// Would this address be visited? Reads the URL and checks what its name resolves to now. A name that
    /// does not resolve, or not within `patience`, is not refused: that is for the visit itself to find out.
    ///
    /// # Errors
    /// [`FetchError::BadUrl`] or [`FetchError::Refused`].
    pub async fn check(&self, text: &str, patience: Duration) -> Result<(), FetchError> {
        let url = self.rules.read(text)?;
        let Some(Host::Domain(name)) = url.host() else { return Ok(()) };
        let careful = self.rules.is_own_port(&url);
        match tokio::time::timeout(patience, self.rules.resolve(name, careful)).await {
            Ok(Err(error @ FetchError::Refused)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Could this address be visited, as far as can be told without asking what its name leads to?
    ///
    /// # Errors
    /// [`FetchError::BadUrl`] or [`FetchError::Refused`].
    pub fn admits(&self, text: &str) -> Result<(), FetchError> {
        self.rules.read(text).map(drop)
    }

    /// Sends one request and reads at most `limit` bytes of the answer; what is longer is cut. A redirect
    /// is an answer like any other.
    ///
    /// # Errors
    /// When the address is refused or no whole answer head came.
    pub async fn send(&self, request: &Outgoing, limit: usize) -> Result<Fetched, FetchError> {
        let url = self.rules.read(&request.url)?;
        let nothing = Validators::default();
        let (fetched, _, _) = self.visit(url, Some(request), (&nothing, None), limit).await?;
        Ok(fetched)
    }

    /// Gets an address, behind at most three redirects, within a time of its own; at most `limit` bytes of body.
    ///
    /// # Errors
    /// When one of the addresses is refused, or no whole answer came in time.
    pub async fn get_within(
        &self,
        url: &str,
        limit: usize,
        within: Duration,
    ) -> Result<Fetched, FetchError> {
        self.follow(url, &Validators::default(), limit, within).await
    }

    async fn follow(
        &self,
        url: &str,
        known: &Validators,
        limit: usize,
        within: Duration,
    ) -> Result<Fetched, FetchError> {
        let work = async {
            let mut url = self.rules.read(url)?;
            for _ in 0..=REDIRECTS_MAX {
                let (fetched, longer, next) =
                    self.visit(url, None, (known, Some(within)), limit).await?;
                match next {
                    Some(next) => url = self.rules.read(next.as_str())?,
                    None if longer => return Err(FetchError::TooLarge),
                    None => return Ok(fetched),
                }
            }
            Err(FetchError::Failed("too many redirects".into()))
        };
        tokio::time::timeout(within, work).await.unwrap_or(Err(FetchError::TimedOut))
    }

    /// One visit. Also says whether the body was longer than `limit`, and where a redirect leads.
    async fn visit(
        &self,
        url: Url,
        request: Option<&Outgoing>,
        (known, within): (&Validators, Option<Duration>),
        limit: usize,
    ) -> Result<(Fetched, bool, Option<Url>), FetchError> {
        let base = url.clone();
        let client = if self.rules.is_own_port(&url) { &self.careful } else { &self.client };
        let mut builder = match request {
            Some(out) if out.post => client.post(url).body(out.body.clone()),
            _ => client.get(url),
        };
        let patience = request.and_then(|out| out.patience);
        if let Some(within) = within.or(patience) {
            builder = builder.timeout(within);
        }
        for (name, value) in request.map(|out| out.headers.as_slice()).unwrap_or_default() {
            builder = builder.header(*name, value);
        }
        for (name, value) in request.map(|out| out.more.as_slice()).unwrap_or_default() {
            builder = builder.header(name, value);
        }
        // RFC 9110 §13.1.3: a server that knows the tag does not look at the time.
        for (name, value) in
            [("if-none-match", &known.etag), ("if-modified-since", &known.last_modified)]
        {
            if let Some(value) = value {
                builder = builder.header(name, value);
            }
        }
        let mut response = builder.send().await.map_err(|error| failed(&error))?;
        let status = response.status().as_u16();
        let said = |name| response.headers().get(name)?.to_str().ok().map(str::to_owned);
        let content_type = said("content-type");
        let validators = Validators { etag: said("etag"), last_modified: said("last-modified") };
        let retry_after_s = said("retry-after").and_then(|text| text.trim().parse().ok());
        let next = (300..400)
            .contains(&status)
            .then(|| response.headers().get("location").and_then(|value| value.to_str().ok()))
            .flatten()
            .and_then(|location| base.join(location).ok());
        let mut body = Vec::new();
        // A fetch that is announced as too long reads nothing of it; of an answer to a push the head is kept.
        let announced = response.content_length().filter(|_| request.is_none() && next.is_none());
        let mut longer = announced.is_some_and(|length| length > limit as u64);
        while !longer {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    let room = limit - body.len();
                    longer = chunk.len() > room;
                    body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                }
                Ok(None) => break,
                Err(error) => return Err(failed(&error)),
            }
        }
        let fetched = Fetched { status, body, content_type, validators, retry_after_s };
        Ok((fetched, longer, next))
    }
}

impl Fetcher for GuardedClient {
    fn get_unless(
        &self,
        url: String,
        known: Validators,
        limit: usize,
    ) -> Promise<Result<Fetched, FetchError>> {
        let this = self.clone();
        Box::pin(
            async move { this.follow(&url, &known, limit, this.rules.config.total_timeout).await },
        )
    }
}

impl Rules {
    /// Reads a URL strictly and checks all that can be checked without a resolver.
    fn read(&self, text: &str) -> Result<Url, FetchError> {
        // The URL standard drops tabs and line breaks and turns `\` into `/`; a merchant has no honest
        // use for them, an attacker has.
        if text.len() > URL_MAX || is_odd(text) {
            return Err(FetchError::BadUrl);
        }
        let url = Url::parse(text).map_err(|_| FetchError::BadUrl)?;
        // `http:host` and `http:///host` are repaired by the standard; here they are mistakes.
        let authority = after_scheme(text);
        let named = authority.is_some_and(|rest| !rest.starts_with(['/', '?', '#']));
        if !named || !matches!(url.scheme(), "http" | "https") {
            return Err(FetchError::BadUrl);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(FetchError::BadUrl);
        }
        if authority.is_some_and(|rest| {
            rest.split(['/', '?', '#']).next().is_some_and(|part| part.contains('@'))
        }) {
            return Err(FetchError::BadUrl);
        }
        let port = url.port_or_known_default().ok_or(FetchError::BadUrl)?;
        if !address::is_web_port(port) && !self.config.allow_ports.contains(&port) {
            return Err(FetchError::Refused);
        }
        match url.host() {
            Some(Host::Ipv4(v4)) => self.admit(IpAddr::V4(v4), self.is_own_port(&url))?,
            Some(Host::Ipv6(v6)) => self.admit(IpAddr::V6(v6), self.is_own_port(&url))?,
            Some(Host::Domain(name)) if !name.trim_end_matches('.').is_empty() => {}
            _ => return Err(FetchError::BadUrl),
        }
        Ok(url)
    }

    /// Whether this process listens on the port of an address: then the address must not be one of ours.
    fn is_own_port(&self, url: &Url) -> bool {
        let port = url.port_or_known_default();
        self.config.own.iter().any(|own| Some(own.port()) == port)
    }

    fn is_own(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.config.own.iter().any(|own| {
            let own = own.ip().to_canonical();
            // What is sent to no address arrives at the machine that sends it.
            own == ip || ip.is_unspecified() || (own.is_unspecified() && address::is_here(ip))
        })
    }

    /// `careful`: the port is one of ours.
    fn admit(&self, ip: IpAddr, careful: bool) -> Result<(), FetchError> {
        if careful && self.is_own(ip) {
            return Err(FetchError::Refused);
        }
        let plain = ip.to_canonical();
        let listed = |ip: &IpAddr| self.config.allow_networks.iter().any(|net| net.contains(ip));
        if address::is_public(ip) || listed(&ip) || listed(&plain) {
            Ok(())
        } else {
            Err(FetchError::Refused)
        }
    }

    fn host_allowed(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.');
        self.config.allow_hosts.iter().any(|h| h.trim_end_matches('.').eq_ignore_ascii_case(name))
    }

    /// All addresses of a name, if every one of them may be visited. One bad address among good ones
    /// refuses the name: it is how a name is made to point inside now and then.
    async fn resolve(&self, name: &str, careful: bool) -> Result<Vec<IpAddr>, FetchError> {
        let found = self
            .names
            .lookup(name.to_owned())
            .await
            .map_err(|error| FetchError::Failed(format!("look-up: {error}")))?;
        if found.is_empty() {
            return Err(FetchError::Failed("look-up: no address".into()));
        }
        if found.len() > ADDRESSES_MAX {
            return Err(FetchError::Refused);
        }
        let allowed = self.host_allowed(name);
        for ip in &found {
            if allowed && careful && self.is_own(*ip) {
                return Err(FetchError::Refused);
            }
            if !allowed {
                self.admit(*ip, careful)?;
            }
        }
        Ok(found)
    }
}

/// Holds a control character, a blank of any kind, or a backslash.
fn is_odd(text: &str) -> bool {
    if text.is_ascii() {
        return text.bytes().any(|b| b <= b' ' || b == b'\\' || b == 0x7f);
    }
    text.contains(|c: char| c.is_control() || c == '\\' || c.is_whitespace())
}

/// What stands behind `http://` or `https://`, in letters of either case.
fn after_scheme(text: &str) -> Option<&str> {
    ["http://", "https://"].iter().find_map(|scheme| {
        let (head, rest) = text.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

/// What reqwest asks when it is about to connect: the answer is what it connects to.
struct CheckedResolver {
    rules: Arc<Rules>,
    careful: bool,
}

impl reqwest::dns::Resolve for CheckedResolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let (rules, careful) = (Arc::clone(&self.rules), self.careful);
        Box::pin(async move {
            let found = rules.resolve(name.as_str(), careful).await.map_err(|error| {
                let error: Box<dyn std::error::Error + Send + Sync> = Box::new(Blocked(error));
                error
            })?;
            let addresses: Vec<SocketAddr> =
                found.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            Ok(Box::new(addresses.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

/// Carries the resolver's verdict through the HTTP client's error chain.
#[derive(Debug)]
struct Blocked(FetchError);

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            FetchError::Failed(word) => f.write_str(word),
            _ => f.write_str("address refused"),
        }
    }
}

impl std::error::Error for Blocked {}

/// Names a failure without repeating the URL, which may carry a merchant's secrets.
fn failed(error: &reqwest::Error) -> FetchError {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut last = String::new();
    while let Some(inner) = source {
        if let Some(blocked) = inner.downcast_ref::<Blocked>() {
            return blocked.0.clone();
        }
        last = inner.to_string();
        source = inner.source();
    }
    if error.is_timeout() {
        return FetchError::TimedOut;
    }
    if error.is_builder() {
        return FetchError::BadUrl;
    }
    let stage = if error.is_connect() { "connect" } else { "exchange" };
    FetchError::Failed(format!("{stage}: {last}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The quick look at ASCII says what the look at every character says.
    #[test]
    fn every_character_is_judged_alike_alone_and_among_others() {
        for c in (0..=0x2fff).filter_map(char::from_u32) {
            let odd = c.is_control() || c == '\\' || c.is_whitespace();
            assert_eq!(is_odd(&format!("http://a/{c}")), odd, "{c:?}");
            assert_eq!(is_odd(&format!("http://a/\u{e9}{c}")), odd, "{c:?}");
        }
    }

    #[test]
    fn a_scheme_is_read_in_either_case_and_wants_both_slashes() {
        assert_eq!(after_scheme("hTTp://A/b"), Some("A/b"));
        assert_eq!(after_scheme("HTTPS://a"), Some("a"));
        for wrong in ["http:/a", "http:a", "ftp://a", "", "http:/", "htt\u{e9}://a"] {
            assert_eq!(after_scheme(wrong), None, "{wrong}");
        }
    }
}
