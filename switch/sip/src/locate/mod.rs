//! Where a request to a name goes: RFC 3263 §4, with the order of RFC 2782.
//!
//! ```text
//!  port said ──────────────────────────────► A, AAAA             §4.2
//!  transport said ──► SRV ──► A, AAAA                            §4.2
//!  neither ──► NAPTR ──► SRV ──► A, AAAA                         §4.1
//!              └─ none ─► SRV of each transport ─ none ─► A, AAAA of the name
//! ```
//!
//! [`locate`] is a function of what is known of the DNS: it says where a request may go, in order, and
//! what must still be asked. Whoever asks, and keeps answers for as long as they are good, is elsewhere.
//!
//! Differences: of a NAPTR the replacement is used, never its expression (§4.1 asks for no other), and
//! addresses of IPv4 come before those of IPv6 of the same host, because RFC 6724 asks for a routing
//! table that there is none of here.

mod order;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use crate::endpoint::{Listener, Transport};

/// Records of one answer that are looked at; the rest is left unread.
pub const RECORDS_MAX: usize = 16;
/// Addresses that are given for one name at most.
pub const SERVERS_MAX: usize = 16;

/// What is asked of the DNS.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Question {
    /// The name, in lower case and without the dot of the root.
    pub name: String,
    /// The kind of record.
    pub kind: RecordKind,
}

impl Question {
    fn new(name: &str, kind: RecordKind) -> Question {
        Question { name: name.trim_end_matches('.').to_ascii_lowercase(), kind }
    }
}

/// The kinds of records that are asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum RecordKind {
    /// RFC 3403 §4.
    Naptr,
    /// RFC 2782.
    Srv,
    /// RFC 1035 §3.4.1.
    A,
    /// RFC 3596 §2.1.
    Aaaa,
}

/// A record of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record {
    /// Which services a domain has.
    Naptr(Naptr),
    /// Where a service is.
    Srv(Srv),
    /// Where a host is.
    Address(IpAddr),
}

/// RFC 3403 §4.1, as far as RFC 3263 §4.1 uses it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Naptr {
    /// Lower first; of another order than the lowest that fits nothing is used.
    pub order: u16,
    /// Lower first among those of one order.
    pub preference: u16,
    /// `s`: what follows is the name of SRV records.
    pub flags: String,
    /// `SIP+D2U`, `SIP+D2T` or `SIPS+D2T`.
    pub service: String,
    /// What to ask for next.
    pub replacement: String,
}

/// RFC 2782.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Srv {
    /// Lower first.
    pub priority: u16,
    /// Share among those of one priority.
    pub weight: u16,
    /// Port of the service.
    pub port: u16,
    /// The host; `.`: there is no such service.
    pub target: String,
}

/// Whom a request is for, and what we speak.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The name.
    pub host: &'a str,
    /// Its port, when it is said.
    pub port: Option<u16>,
    /// The transport to use, or the one to prefer. With TLS nothing but TLS is used (RFC 3261 §26.2.2).
    pub transport: Transport,
    /// The transport is the name's to choose (§4.1).
    pub any_transport: bool,
    /// What we speak: transports, and the families of addresses that each reaches.
    pub listeners: &'a [Listener],
}

/// A place that a request may go to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Server {
    /// By which transport.
    pub transport: Transport,
    /// Where.
    pub address: SocketAddr,
}

/// What is known of where a name is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Located {
    /// In the order to try them.
    pub servers: Vec<Server>,
    /// What this rests on, or would rest on: all of it is to be asked.
    pub questions: BTreeSet<Question>,
    /// Whether all of it was known.
    pub complete: bool,
}

/// Finds where a request goes. `known` gives the records of an answer: none at all when nothing is known,
/// an empty list when there are none. `draw(n)` gives a number below `n`, evenly.
pub fn locate<'k>(
    wanted: &Wanted<'_>,
    known: &'k dyn Fn(&Question) -> Option<&'k [Record]>,
    draw: &mut dyn FnMut(u64) -> u64,
) -> Located {
    let located = Located { complete: true, ..Located::default() };
    let mut search = Search { wanted, known, draw, located };
    match wanted.port {
        Some(port) => search.host(wanted.host, port, wanted.transport),
        None => search.services(),
    }
    search.located
}

struct Search<'s, 'k> {
    wanted: &'s Wanted<'s>,
    known: &'k dyn Fn(&Question) -> Option<&'k [Record]>,
    draw: &'s mut dyn FnMut(u64) -> u64,
    located: Located,
}

impl<'k> Search<'_, 'k> {
    fn ask(&mut self, name: &str, kind: RecordKind) -> Option<&'k [Record]> {
        let question = Question::new(name, kind);
        let records = (self.known)(&question);
        self.located.complete &= records.is_some();
        self.located.questions.insert(question);
        records.map(|records| records.get(..RECORDS_MAX).unwrap_or(records))
    }

    fn listeners(&self, transport: Transport) -> impl Iterator<Item = &Listener> {
        self.wanted.listeners.iter().filter(move |listener| listener.transport == transport)
    }

    /// No port is said: the services of the name, or the name itself when it has none.
    fn services(&mut self) {
        let Some(services) = self.choose() else { return };
        let (mut known, mut found) = (true, false);
        for (transport, name) in services {
            match self.ask(&name, RecordKind::Srv) {
                None => known = false,
                Some([]) => {}
                Some(records) => {
                    found = true;
                    self.service(records, transport);
                }
            }
        }
        // §4.2: no SRV record at all: the name is a host, at the usual port.
        if known && !found {
            let transport = self.wanted.transport;
            self.host(self.wanted.host, transport.default_port(), transport);
        }
    }

    /// §4.1: by which transports, and where their SRV records are. `None`: not known yet.
    fn choose(&mut self) -> Option<Vec<(Transport, String)>> {
        let Wanted { host, transport, any_transport, .. } = *self.wanted;
        if !any_transport {
            return Some(vec![(transport, service_name(transport, host))]);
        }
        let records = self.ask(host, RecordKind::Naptr)?;
        let records = records.iter().filter_map(|record| match record {
            Record::Naptr(naptr) => Some(naptr),
            Record::Srv(_) | Record::Address(_) => None,
        });
        let fits = |naptr: &&Naptr| {
            let offered = transport_of(&naptr.service);
            naptr.flags.eq_ignore_ascii_case("s")
                && offered.is_some_and(|offered| self.may_use(offered))
        };
        let mut fitting: Vec<&Naptr> = records.filter(fits).collect();
        fitting.sort_by_key(|naptr| (naptr.order, naptr.preference));
        // RFC 3403 §4.1: once a record of an order is used, those of others are not.
        let order = fitting.first().map(|naptr| naptr.order);
        fitting.retain(|naptr| Some(naptr.order) == order);
        if fitting.is_empty() {
            let rest = [Transport::Udp, Transport::Tcp, Transport::Tls];
            let rest = rest.into_iter().filter(|other| *other != transport);
            let all = std::iter::once(transport).chain(rest).filter(|other| self.may_use(*other));
            return Some(all.map(|transport| (transport, service_name(transport, host))).collect());
        }
        let named =
            |naptr: &Naptr| Some((transport_of(&naptr.service)?, naptr.replacement.clone()));
        Some(fitting.into_iter().filter_map(named).collect())
    }

    /// Never less secure than what is asked for.
    fn may_use(&self, transport: Transport) -> bool {
        self.listeners(transport).next().is_some()
            && (transport.is_secure() || !self.wanted.transport.is_secure())
    }

    /// RFC 2782: the hosts of a service, by priority and weight.
    fn service(&mut self, records: &[Record], transport: Transport) {
        let records = records.iter().filter_map(|record| match record {
            Record::Srv(srv) => Some(srv),
            Record::Naptr(_) | Record::Address(_) => None,
        });
        for srv in order::ordered(records.collect(), self.draw) {
            // "." says decidedly that there is no such service.
            if !matches!(srv.target.as_str(), "" | ".") {
                self.host(&srv.target, srv.port, transport);
            }
        }
    }

    /// The addresses of a host. Those of a family begin anywhere: none has all the load while an answer
    /// is kept.
    fn host(&mut self, host: &str, port: u16, transport: Transport) {
        for (kind, v4) in [(RecordKind::A, true), (RecordKind::Aaaa, false)] {
            if !self.listeners(transport).any(|listener| listener.bind.is_ipv4() == v4) {
                continue;
            }
            let records = self.ask(host, kind).unwrap_or_default();
            let mut addresses: Vec<IpAddr> = records.iter().filter_map(address).collect();
            let count = addresses.len();
            if count > 1 {
                let first = (self.draw)(u64::try_from(count).unwrap_or(1));
                addresses.rotate_left(usize::try_from(first).unwrap_or(0).min(count - 1));
            }
            for ip in addresses {
                let server = Server { transport, address: SocketAddr::new(ip, port) };
                let servers = &mut self.located.servers;
                if servers.len() < SERVERS_MAX && !servers.contains(&server) {
                    servers.push(server);
                }
            }
        }
    }
}

fn address(record: &Record) -> Option<IpAddr> {
    match record {
        Record::Address(ip) => Some(*ip),
        Record::Naptr(_) | Record::Srv(_) => None,
    }
}

/// §4.1: the services of SIP.
fn transport_of(service: &str) -> Option<Transport> {
    let known =
        [("SIP+D2U", Transport::Udp), ("SIP+D2T", Transport::Tcp), ("SIPS+D2T", Transport::Tls)];
    let found = known.into_iter().find(|(name, _)| service.eq_ignore_ascii_case(name));
    found.map(|(_, transport)| transport)
}

/// RFC 3263 §4.2, RFC 2782: the name of a service's SRV records.
fn service_name(transport: Transport, host: &str) -> String {
    let service = match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tls => "_sips._tcp",
        Transport::Tcp | Transport::Ws | Transport::Wss => "_sip._tcp",
    };
    format!("{service}.{host}")
}
