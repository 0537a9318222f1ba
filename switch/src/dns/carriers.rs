//! Asks the DNS for the engine: NAPTR, SRV, A and AAAA of carriers' names (RFC 3263 §4). What to ask, how
//! long an answer is kept and where a call goes by it is decided there.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use call::{Reply, Resolved};
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, Record as Found, RecordType};
use sip::locate::{Naptr, Question, Record, RecordKind, Srv};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::{Dns, PORT};
use crate::inbox::{Fact, Inbox};

/// Questions under way at most; the others wait.
const ASKED_MAX: usize = 64;
/// How long it is believed that there is nothing, where the answer does not say (RFC 2308 §5).
const NOTHING: Duration = Duration::from_secs(60);
/// Where the system's name servers stand.
const SYSTEM: &str = "/etc/resolv.conf";

/// Asks for the engine. Cheap to clone.
#[derive(Clone)]
pub(crate) struct CarrierNames {
    dns: Dns,
    inbox: Inbox,
    runtime: Handle,
    turns: Arc<Semaphore>,
}

impl CarrierNames {
    /// Asks these servers, or those of the system when there are none.
    ///
    /// # Errors
    /// When the resolver cannot be made; a word for the log.
    pub(crate) fn new(
        servers: &[SocketAddr],
        inbox: Inbox,
        runtime: Handle,
    ) -> Result<CarrierNames, String> {
        let servers = if servers.is_empty() {
            system(&fs::read_to_string(SYSTEM).unwrap_or_default())
        } else {
            servers.to_vec()
        };
        let turns = Arc::new(Semaphore::new(ASKED_MAX));
        Ok(CarrierNames { dns: Dns::uncached(&servers)?, inbox, runtime, turns })
    }

    /// Asks; the answer comes as a [`Reply::Resolved`], whatever becomes of it.
    pub(crate) fn resolve(&self, question: Question) {
        let this = self.clone();
        self.runtime.spawn(async move {
            let _turn = this.turns.acquire().await;
            let told = this.dns.records(&question).await;
            tracing::debug!(name = question.name, kind = ?question.kind, ?told, "asked the DNS");
            this.inbox.fact(Fact::Reply(Reply::Resolved { question, told }));
        });
    }
}

/// The name servers of resolv.conf(5); without any the one on this machine.
fn system(text: &str) -> Vec<SocketAddr> {
    let named = |line: &str| {
        let mut words = line.split_whitespace();
        let server = words.next().filter(|word| *word == "nameserver").and(words.next())?;
        Some(SocketAddr::new(server.parse::<IpAddr>().ok()?, PORT))
    };
    let servers: Vec<SocketAddr> = text.lines().filter_map(named).collect();
    if servers.is_empty() { vec![(Ipv4Addr::LOCALHOST, PORT).into()] } else { servers }
}

impl Dns {
    /// The records of a name.
    async fn records(&self, question: &Question) -> Resolved {
        let kind = match question.kind {
            RecordKind::Naptr => RecordType::NAPTR,
            RecordKind::Srv => RecordType::SRV,
            RecordKind::A => RecordType::A,
            RecordKind::Aaaa => RecordType::AAAA,
        };
        let found = match self.0.lookup(format!("{}.", question.name), kind).await {
            Ok(found) => found,
            Err(error) => return nothing(question, &error),
        };
        // An alias (CNAME) may stand in front: it is good for as long as it says itself.
        let ttl = found.answers().iter().map(|found| found.ttl).min().unwrap_or(0);
        let ttl = Duration::from_secs(ttl.into());
        let asked = found.answers().iter().filter(|found| found.record_type() == kind);
        let records: Vec<Record> = asked.filter_map(record).collect();
        if records.is_empty() {
            return Resolved::Nothing { ttl };
        }
        Resolved::Found { records, ttl }
    }
}

/// That there is nothing is an answer; that nobody answered is none.
fn nothing(question: &Question, error: &NetError) -> Resolved {
    let denied = match error {
        NetError::Dns(DnsError::NoRecordsFound(NoRecords {
            response_code, negative_ttl, ..
        })) => {
            let said = matches!(response_code, ResponseCode::NXDomain | ResponseCode::NoError);
            said.then_some(negative_ttl)
        }
        _ => None,
    };
    match denied {
        Some(ttl) => {
            Resolved::Nothing { ttl: ttl.map_or(NOTHING, |ttl| Duration::from_secs(ttl.into())) }
        }
        None => {
            let (name, kind) = (&question.name, question.kind);
            tracing::warn!(name, ?kind, %error, "the DNS does not answer for a carrier");
            Resolved::Failed
        }
    }
}

fn record(found: &Found) -> Option<Record> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(match &found.data {
        RData::NAPTR(naptr) => Record::Naptr(Naptr {
            order: naptr.order,
            preference: naptr.preference,
            flags: text(&naptr.flags),
            service: text(&naptr.services),
            replacement: naptr.replacement.to_ascii(),
        }),
        RData::SRV(srv) => Record::Srv(Srv {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: srv.target.to_ascii(),
        }),
        RData::A(ip) => Record::Address(IpAddr::V4(ip.0)),
        RData::AAAA(ip) => Record::Address(IpAddr::V6(ip.0)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::names::{NameServer, Says, kinds};
    use super::*;

    fn ask(name: &str, kind: RecordKind) -> Question {
        Question { name: name.into(), kind }
    }

    /// A zone as a carrier publishes it.
    fn carrier(name: &str, kind: u16) -> Says {
        match (name, kind) {
            ("carrier.example", kinds::NAPTR) => {
                Says::naptr((10, 20), "SIP+D2U", "_sip._udp.carrier.example", 300)
            }
            ("_sip._udp.carrier.example", kinds::SRV) => Says::srv(
                &[(1, 5, 5070, "a.carrier.example"), (2, 0, 5060, "b.carrier.example")],
                30,
            ),
            ("a.carrier.example", kinds::A) => Says::addresses(&["192.0.2.1".parse().unwrap()], 7),
            ("gone.example", _) => Says::NoSuchName,
            ("broken.example", _) => Says::Failure,
            _ => Says::addresses(&[], 0),
        }
    }

    #[tokio::test]
    async fn rfc3263_4_naptr_srv_and_addresses_are_read_with_their_lives() {
        let server = NameServer::start(|name, kind, _| carrier(name, kind));
        let dns = Dns::uncached(&[server.address]).unwrap();
        let seconds = Duration::from_secs;
        let naptr = dns.records(&ask("carrier.example", RecordKind::Naptr)).await;
        let Resolved::Found { records, ttl } = naptr else { panic!("{naptr:?}") };
        let expected = Naptr {
            order: 10,
            preference: 20,
            flags: "s".into(),
            service: "SIP+D2U".into(),
            replacement: "_sip._udp.carrier.example.".into(),
        };
        assert_eq!((records, ttl), (vec![Record::Naptr(expected)], seconds(300)));
        let srv = dns.records(&ask("_sip._udp.carrier.example", RecordKind::Srv)).await;
        let Resolved::Found { records, ttl } = srv else { panic!("{srv:?}") };
        let first = Srv { priority: 1, weight: 5, port: 5070, target: "a.carrier.example.".into() };
        assert_eq!((&records[0], records.len(), ttl), (&Record::Srv(first), 2, seconds(30)));
        let a = dns.records(&ask("a.carrier.example", RecordKind::A)).await;
        let records = vec![Record::Address("192.0.2.1".parse().unwrap())];
        assert_eq!(a, Resolved::Found { records, ttl: seconds(7) });
    }

    #[tokio::test]
    async fn rfc2308_nothing_is_told_from_no_answer() {
        let server = NameServer::start(|name, kind, _| carrier(name, kind));
        let dns = Dns::uncached(&[server.address]).unwrap();
        for name in ["gone.example", "a.carrier.example"] {
            let told = dns.records(&ask(name, RecordKind::Aaaa)).await;
            assert_eq!(told, Resolved::Nothing { ttl: NOTHING }, "{name}");
        }
        let told = dns.records(&ask("broken.example", RecordKind::A)).await;
        assert_eq!(told, Resolved::Failed);
    }

    /// The engine keeps answers, and asks when they have run out: nobody may answer for the server then.
    #[tokio::test]
    async fn each_question_reaches_the_server() {
        let server = NameServer::start(|name, kind, _| carrier(name, kind));
        let dns = Dns::uncached(&[server.address]).unwrap();
        for _ in 0..3 {
            dns.records(&ask("carrier.example", RecordKind::Naptr)).await;
        }
        assert_eq!(server.asked().len(), 3);
    }

    #[test]
    fn the_systems_servers_are_those_of_resolv_conf() {
        let text = "# nameserver 10.0.0.1\nsearch a\nnameserver 192.0.2.53\n nameserver 2001:db8::53 \nnameserver x\n";
        let servers: Vec<String> = system(text).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.53:53", "[2001:db8::53]:53"]);
        assert_eq!(system(""), ["127.0.0.1:53".parse().unwrap()]);
    }
}
