//! What an endpoint is told once: its listeners, timers, name, methods and maxima.

use std::net::SocketAddr;
use std::time::Duration;

use crate::dialog::SessionTimers;
use crate::transaction::Timers;
use crate::wire::Method;

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// One message in one datagram.
    Udp,
    /// A stream, framed by Content-Length (RFC 3261 §18.3).
    Tcp,
    /// TLS over such a stream (RFC 3261 §26.2.1).
    Tls,
    /// One message in one WebSocket message (RFC 7118). Only whoever connects to us speaks it.
    Ws,
    /// The same over TLS.
    Wss,
}

impl Transport {
    /// Whether the transport resends by itself, so that transactions need not (§17).
    pub fn is_reliable(self) -> bool {
        self != Transport::Udp
    }

    /// Whether what travels is encrypted: what `sips` asks of every hop (RFC 3261 §26.2.2).
    pub fn is_secure(self) -> bool {
        matches!(self, Transport::Tls | Transport::Wss)
    }

    /// Whether the peer made the connection and nobody can make one to it (RFC 7118 §5).
    pub fn is_web(self) -> bool {
        matches!(self, Transport::Ws | Transport::Wss)
    }

    /// The name in a Via (RFC 3261 §20.42, RFC 7118 §5.2.1).
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
            Transport::Ws => "WS",
            Transport::Wss => "WSS",
        }
    }

    /// The value of a `transport` URI parameter. WSS has none of its own (RFC 7118 §5.2.3).
    pub fn as_param(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Ws | Transport::Wss => "ws",
        }
    }

    /// A name that no other has, as an operator writes it.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Wss => "wss",
            other => other.as_param(),
        }
    }

    /// The port of a URI or a Via without one (RFC 3261 §19.1.2, RFC 7118 §5.3).
    pub fn default_port(self) -> u16 {
        match self {
            Transport::Udp | Transport::Tcp => 5060,
            Transport::Tls => 5061,
            Transport::Ws => 80,
            Transport::Wss => 443,
        }
    }

    /// All there are.
    pub const ALL: [Transport; 5] =
        [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss];

    /// The transport that a `transport` parameter or a Via names, in any case.
    pub fn of(name: &str) -> Option<Transport> {
        Transport::ALL.into_iter().find(|transport| transport.as_str().eq_ignore_ascii_case(name))
    }
}

/// A way between one of our sockets and one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// The transport.
    pub transport: Transport,
    /// Our socket: the address a [`Listener`] is bound to.
    pub local: SocketAddr,
    /// The peer's address as the network shows it.
    pub remote: SocketAddr,
    /// The connection of a stream transport. `None` over TCP or TLS asks the shell to connect, or to
    /// use a connection to `remote` that it already has.
    pub connection: Option<u64>,
}

impl Flow {
    /// A flow over UDP.
    pub fn udp(local: SocketAddr, remote: SocketAddr) -> Flow {
        Flow { transport: Transport::Udp, local, remote, connection: None }
    }

    /// A flow over TCP for which the shell connects.
    pub fn tcp(local: SocketAddr, remote: SocketAddr) -> Flow {
        Flow { transport: Transport::Tcp, local, remote, connection: None }
    }
}

/// A socket that the shell listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The transport.
    pub transport: Transport,
    /// The address of the socket, as it stands in [`Flow::local`].
    pub bind: SocketAddr,
    /// The address that we write into Via and Contact.
    pub advertised: SocketAddr,
}

/// The named maxima of an endpoint. Beyond each it refuses and counts, and never grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sessions (INVITE usages) at one time, those that only wait for copies included.
    pub sessions_max: usize,
    /// Server transactions at one time.
    pub server_transactions_max: usize,
    /// Client transactions at one time.
    pub client_transactions_max: usize,
    /// Subscriptions of others at one time.
    pub subscriptions_max: usize,
    /// Early dialogs of one outgoing INVITE that are kept apart.
    pub forks_max: usize,
    /// Answers to challenges for one request (RFC 3261 §22.3: a loop ends).
    pub challenges_max: u8,
    /// Requests longer than this go by TCP where we have it (RFC 3261 §18.1.1), in bytes.
    pub datagram_max: usize,
    /// Smallest Retry-After with which overload is answered, in seconds.
    pub retry_after_min: u32,
    /// Largest Retry-After with which overload is answered, in seconds; the value is random.
    pub retry_after_max: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            sessions_max: 100_000,
            server_transactions_max: 250_000,
            client_transactions_max: 200_000,
            subscriptions_max: 50_000,
            forks_max: 16,
            challenges_max: 2,
            datagram_max: 1300,
            retry_after_min: 2,
            retry_after_max: 10,
        }
    }
}

/// Everything an endpoint is built from.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// The sockets of the shell. The first of a transport is used where a flow names no other.
    pub listeners: Vec<Listener>,
    /// Timer values.
    pub timers: Timers,
    /// Number of this engine; it stands in every tag, branch and Call-ID that we make.
    pub engine: u8,
    /// When the process started, in seconds of any clock that goes on from one process to the next (RFC 7339 §4.4).
    pub started_s: u64,
    /// Seed of everything random here.
    pub seed: [u8; 32],
    /// User-Agent and Server. Empty: neither is written.
    pub user_agent: String,
    /// Methods besides INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, PRACK and UPDATE that reach the user as
    /// [`Event::Request`](super::Event::Request), for example REGISTER. Known methods that are
    /// missing here are answered with 405, unknown ones with 501.
    pub methods: Vec<Method>,
    /// Types of bodies of an INVITE, besides descriptions, that the user reads; an INVITE with another one that has to
    /// be understood is answered with 415.
    pub bodies: &'static [&'static str],
    /// The maxima.
    pub limits: Limits,
    /// The user writes each session down before the far end may take it for agreed: an INVITE of ours
    /// (also one that answers a challenge), our 2xx to one, and the ACK of a 2xx wait for
    /// [`Endpoint::proceed`](super::Endpoint::proceed). Nobody waits for ever: the user bounds it.
    pub careful: bool,
    /// Provisional answers to whoever takes reliable ones are sent reliably (RFC 3262 §3). To whoever
    /// requires it they are in any case.
    pub reliable: bool,
    /// How long a session lives without a sign of life (RFC 4028).
    pub session: SessionTimers,
}

impl Default for EndpointConfig {
    fn default() -> EndpointConfig {
        EndpointConfig {
            listeners: Vec::new(),
            timers: Timers::default(),
            engine: 0,
            started_s: 0,
            seed: [0; 32],
            user_agent: String::new(),
            methods: vec![Method::Register],
            bodies: &[],
            limits: Limits::default(),
            careful: false,
            reliable: true,
            session: SessionTimers::default(),
        }
    }
}

/// What answers a challenge to a request of ours.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The realm these are for. `None` takes the realm of the first challenge to the request that
    /// opens the dialog, and from then on that realm alone.
    pub realm: Option<String>,
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("realm", &self.realm).finish_non_exhaustive()
    }
}

/// The reasons a session may wait for, in milliseconds; RFC 3261 §14.1.
pub(crate) mod glare {
    use super::Duration;

    /// The owner of the Call-ID waits 2.1 to 4.0 s, in steps of 10 ms.
    pub(crate) const OWNER_STEPS: std::ops::RangeInclusive<u64> = 210..=400;
    /// The other side waits 0 to 2.0 s, in steps of 10 ms.
    pub(crate) const OTHER_STEPS: std::ops::RangeInclusive<u64> = 0..=200;
    /// One step.
    pub(crate) const STEP: Duration = Duration::from_millis(10);
    /// How often a re-INVITE of ours is tried again after 491.
    pub(crate) const RETRIES_MAX: u8 = 5;
}
