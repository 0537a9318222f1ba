use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

/// A small DNS: what is not in it has no records, unless it is `unknown`.
#[derive(Default)]
struct Zone {
    records: BTreeMap<Question, Vec<Record>>,
    unknown: Vec<Question>,
}

impl Zone {
    fn with(entries: &[(&str, Record)]) -> Zone {
        let mut zone = Zone::default();
        for (name, record) in entries {
            let kind = match record {
                Record::Naptr(_) => RecordKind::Naptr,
                Record::Srv(_) => RecordKind::Srv,
                Record::Address(IpAddr::V4(_)) => RecordKind::A,
                Record::Address(IpAddr::V6(_)) => RecordKind::Aaaa,
            };
            zone.records.entry(Question::new(name, kind)).or_default().push(record.clone());
        }
        zone
    }

    fn locate(&self, wanted: &Wanted<'_>, draw: &mut dyn FnMut(u64) -> u64) -> Located {
        let known = |question: &Question| match self.records.get(question) {
            _ if self.unknown.contains(question) => None,
            Some(records) => Some(records.as_slice()),
            None => Some(&[][..]),
        };
        locate(wanted, &known, draw)
    }

    /// `udp 192.0.2.1:5060`, in order.
    fn places(&self, wanted: &Wanted<'_>) -> Vec<String> {
        let place = |server: &Server| format!("{} {}", server.transport.name(), server.address);
        self.locate(wanted, &mut |_| 0).servers.iter().map(place).collect()
    }
}

fn naptr(order: u16, preference: u16, service: &str, replacement: &str) -> Record {
    let (flags, service, replacement) = ("s".into(), service.into(), replacement.into());
    Record::Naptr(Naptr { order, preference, flags, service, replacement })
}

fn srv(priority: u16, weight: u16, port: u16, target: &str) -> Record {
    Record::Srv(Srv { priority, weight, port, target: target.into() })
}

fn at(ip: &str) -> Record {
    Record::Address(ip.parse().unwrap())
}

const fn on(transport: Transport, at: IpAddr) -> Listener {
    let bind = SocketAddr::new(at, 5060);
    Listener { transport, bind, advertised: bind }
}

const V4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
const ALL: [Listener; 6] = [
    on(Transport::Udp, V4),
    on(Transport::Udp, V6),
    on(Transport::Tcp, V4),
    on(Transport::Tcp, V6),
    on(Transport::Tls, V4),
    on(Transport::Tls, V6),
];
const PLAIN: [Listener; 2] = [on(Transport::Udp, V4), on(Transport::Tcp, V4)];

fn wanted(transport: Transport, any_transport: bool) -> Wanted<'static> {
    Wanted { host: "example.com", port: None, transport, any_transport, listeners: &ALL }
}

fn kinds(located: &Located) -> Vec<(RecordKind, &str)> {
    located.questions.iter().map(|q| (q.kind, q.name.as_str())).collect()
}

/// The zone of the example in RFC 3263 §4.1.
fn example() -> Zone {
    Zone::with(&[
        ("example.com", naptr(50, 50, "SIPS+D2T", "_sips._tcp.example.com.")),
        ("example.com", naptr(90, 50, "SIP+D2T", "_sip._tcp.example.com")),
        ("example.com", naptr(100, 50, "SIP+D2U", "_sip._udp.example.com.")),
        ("_sip._tcp.example.com", srv(0, 1, 5060, "server1.example.com")),
        ("_sip._tcp.example.com", srv(0, 2, 5060, "server2.example.com.")),
        ("_sip._udp.example.com", srv(0, 1, 5070, "server1.example.com.")),
        ("_sips._tcp.example.com", srv(0, 1, 5061, "server1.example.com.")),
        ("server1.example.com", at("192.0.2.1")),
        ("server2.example.com", at("192.0.2.2")),
        ("example.com", at("192.0.2.9")),
    ])
}

#[test]
fn rfc3263_4_1_the_example_without_tls_goes_by_tcp() {
    let wanted = Wanted { listeners: &PLAIN, ..wanted(Transport::Udp, true) };
    let places = example().places(&wanted);
    assert_eq!(places, ["tcp 192.0.2.1:5060", "tcp 192.0.2.2:5060"]);
}

#[test]
fn rfc3263_4_1_the_service_of_the_lowest_order_that_we_speak_is_used_and_no_other() {
    assert_eq!(example().places(&wanted(Transport::Udp, true)), ["tls 192.0.2.1:5061"]);
    let none = Zone::with(&[
        ("example.com", naptr(1, 1, "E2U+sip", "x.example.com")),
        ("_sip._udp.example.com", srv(0, 0, 5060, "a.example.com")),
        ("a.example.com", at("192.0.2.3")),
    ]);
    assert_eq!(none.places(&wanted(Transport::Udp, true)), ["udp 192.0.2.3:5060"]);
}

#[test]
fn rfc3403_4_1_equals_in_order_are_tried_by_preference() {
    let zone = Zone::with(&[
        ("example.com", naptr(1, 20, "SIP+D2U", "_sip._udp.example.com")),
        ("example.com", naptr(1, 10, "sip+d2t", "_sip._tcp.example.com")),
        ("_sip._udp.example.com", srv(0, 0, 5060, "a.example.com")),
        ("_sip._tcp.example.com", srv(0, 0, 5060, "a.example.com")),
        ("a.example.com", at("192.0.2.3")),
    ]);
    let places = zone.places(&wanted(Transport::Udp, true));
    assert_eq!(places, ["tcp 192.0.2.3:5060", "udp 192.0.2.3:5060"]);
}

#[test]
fn rfc3263_4_1_what_shall_be_secure_never_becomes_less() {
    let mut zone = example();
    zone.records.remove(&Question::new("_sips._tcp.example.com", RecordKind::Srv));
    let located = zone.locate(&wanted(Transport::Tls, true), &mut |_| 0);
    assert!(located.servers.iter().all(|server| server.transport == Transport::Tls));
    assert_eq!(located.servers[0].address, "192.0.2.9:5061".parse().unwrap());
}

#[test]
fn rfc3263_4_1_without_naptr_the_srv_records_of_each_transport_are_asked_for() {
    let zone = Zone::with(&[
        ("_sip._tcp.example.com", srv(0, 0, 5080, "a.example.com")),
        ("a.example.com", at("192.0.2.3")),
    ]);
    let located = zone.locate(&wanted(Transport::Udp, true), &mut |_| 0);
    assert_eq!(located.servers[0].transport, Transport::Tcp);
    for name in ["_sip._udp.example.com", "_sip._tcp.example.com", "_sips._tcp.example.com"] {
        assert!(kinds(&located).contains(&(RecordKind::Srv, name)), "{name}");
    }
}

#[test]
fn rfc3263_4_2_with_a_port_only_addresses_are_asked_for() {
    let wanted = Wanted { port: Some(5080), ..wanted(Transport::Udp, true) };
    let located = example().locate(&wanted, &mut |_| 0);
    let expected = [(RecordKind::A, "example.com"), (RecordKind::Aaaa, "example.com")];
    assert_eq!(kinds(&located), expected);
    assert_eq!(example().places(&wanted), ["udp 192.0.2.9:5080"]);
}

#[test]
fn rfc3263_4_2_with_a_transport_its_service_is_asked_for_and_no_naptr() {
    let located = example().locate(&wanted(Transport::Udp, false), &mut |_| 0);
    assert_eq!(example().places(&wanted(Transport::Udp, false)), ["udp 192.0.2.1:5070"]);
    assert!(!kinds(&located).iter().any(|(kind, _)| *kind == RecordKind::Naptr));
}

#[test]
fn rfc3263_4_2_without_srv_the_name_is_a_host_at_the_usual_port() {
    let zone = Zone::with(&[("example.com", at("2001:db8::9")), ("example.com", at("192.0.2.9"))]);
    assert_eq!(
        zone.places(&wanted(Transport::Udp, false)),
        ["udp 192.0.2.9:5060", "udp [2001:db8::9]:5060"]
    );
    assert_eq!(
        zone.places(&wanted(Transport::Tls, false)),
        ["tls 192.0.2.9:5061", "tls [2001:db8::9]:5061"]
    );
}

#[test]
fn what_is_not_known_yet_is_asked_and_decides_nothing() {
    let mut zone = example();
    zone.unknown = vec![Question::new("_sip._udp.example.com", RecordKind::Srv)];
    let located = zone.locate(&wanted(Transport::Udp, false), &mut |_| 0);
    // The name itself is no way as long as it may have a service.
    assert_eq!((located.servers.len(), located.complete), (0, false));
    assert_eq!(kinds(&located), [(RecordKind::Srv, "_sip._udp.example.com")]);
    zone.unknown = vec![Question::new("example.com", RecordKind::Naptr)];
    let located = zone.locate(&wanted(Transport::Udp, true), &mut |_| 0);
    assert_eq!(kinds(&located), [(RecordKind::Naptr, "example.com")]);
    // One host of two is known: it is used.
    zone.unknown = vec![Question::new("server1.example.com", RecordKind::A)];
    let located = zone.locate(&wanted(Transport::Tcp, false), &mut |_| 0);
    assert_eq!((located.servers.len(), located.complete), (1, false));
}

#[test]
fn rfc2782_a_dot_says_that_there_is_no_such_service() {
    let zone = Zone::with(&[
        ("_sip._udp.example.com", srv(0, 0, 0, ".")),
        ("example.com", at("192.0.2.9")),
    ]);
    assert!(zone.places(&wanted(Transport::Udp, false)).is_empty());
}

#[test]
fn rfc2782_lower_priorities_come_first_whatever_their_weight() {
    let zone = Zone::with(&[
        ("_sip._udp.example.com", srv(2, 65535, 5060, "c.example.com")),
        ("_sip._udp.example.com", srv(1, 0, 5060, "b.example.com")),
        ("_sip._udp.example.com", srv(0, 1, 5060, "a.example.com")),
        ("a.example.com", at("192.0.2.1")),
        ("b.example.com", at("192.0.2.2")),
        ("c.example.com", at("192.0.2.3")),
    ]);
    for roll in 0..5 {
        let located = zone.locate(&wanted(Transport::Udp, false), &mut |n| roll % n.max(1));
        let last: Vec<_> = located.servers.iter().map(|s| s.address.ip().to_string()).collect();
        assert_eq!(last, ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    }
}

#[test]
fn rfc2782_equals_are_drawn_by_weight() {
    let (light, heavy, none) = (srv(0, 10, 1, "a"), srv(0, 30, 2, "b"), srv(0, 0, 3, "c"));
    let records = [&light, &heavy, &none].map(|record| match record {
        Record::Srv(srv) => srv,
        _ => unreachable!(),
    });
    let mut first = BTreeMap::new();
    for drawn in 0..=40 {
        let mut draws = vec![drawn];
        let ordered = order::ordered(records.to_vec(), &mut |_| draws.pop().unwrap_or(0));
        assert_eq!(ordered.len(), 3);
        *first.entry(ordered[0].port).or_insert(0) += 1;
    }
    // Of 41 even draws: 0 is the one of no weight, 1 to 10 the light one, 11 to 40 the heavy one.
    assert_eq!(first, BTreeMap::from([(1, 10), (2, 30), (3, 1)]));
}

#[test]
fn addresses_of_one_host_share_the_load() {
    let zone = Zone::with(&[
        ("example.com", at("192.0.2.1")),
        ("example.com", at("192.0.2.2")),
        ("example.com", at("192.0.2.3")),
    ]);
    let first = |roll: u64| {
        let located = zone.locate(&wanted(Transport::Udp, false), &mut |_| roll);
        assert_eq!(located.servers.len(), 3);
        located.servers[0].address.ip().to_string()
    };
    assert_eq!([first(0), first(1), first(2)], ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
}

proptest! {
    /// Whatever a zone says, the answer is bounded, has nothing twice and only what we speak.
    #[test]
    fn a_hostile_zone_gives_a_bounded_answer(
        services in proptest::collection::vec((0u16..3, 0u16..3, 0u16..5, 0usize..40), 0..60),
        hosts in proptest::collection::vec(0u8..=255, 0..60),
        seed in any::<u64>(),
    ) {
        let mut entries = Vec::new();
        for (priority, weight, port, host) in services {
            let target = format!("h{host}.example.com");
            entries.push(("_sip._udp.example.com".to_owned(), srv(priority, weight, port, &target)));
        }
        for (n, last) in hosts.iter().enumerate() {
            entries.push((format!("h{}.example.com", n % 40), at(&format!("192.0.2.{last}"))));
        }
        let entries: Vec<_> = entries.iter().map(|(n, r)| (n.as_str(), r.clone())).collect();
        let zone = Zone::with(&entries);
        let mut rolls = seed;
        let located = zone.locate(&wanted(Transport::Udp, true), &mut |n| {
            rolls = rolls.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (rolls >> 33) % n
        });
        prop_assert!(located.servers.len() <= SERVERS_MAX);
        prop_assert!(located.questions.len() <= 4 + 2 * (RECORDS_MAX + 1));
        let unique: BTreeSet<_> = located.servers.iter().collect();
        prop_assert_eq!(unique.len(), located.servers.len());
    }
}
