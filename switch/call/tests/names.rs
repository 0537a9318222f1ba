//! Carriers that are names (RFC 3263), on the virtual clock.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use call::{Answer, CarrierChange, Command, Resolved};
use common::*;
use facts::carrier::{Probe, Registration};
use facts::routing::Verdict;
use facts::settings::{Route, Snapshot};
use facts::{Failure, Origin, TrunkId};
use sip::endpoint::{self, Event};
use sip::locate::{Question, Record, RecordKind, Srv};
use sip::wire::HeaderName;

const NAME: &str = "sip.alpha.example";
const SERVICE: &str = "_sip._udp.sip.alpha.example";

/// The first carrier is a name. Its calls come from where the name is as well.
fn named(snapshot: &mut Snapshot) {
    let trunk = snapshot.trunks.get_mut(&TrunkId(1)).unwrap();
    trunk.target = NAME.parse().unwrap();
    trunk.peers.clear();
    trunk.peer_names = vec![NAME.into()];
    trunk.options.response_ms = Some(500);
}

fn ask(name: &str, kind: RecordKind) -> Question {
    Question { name: name.into(), kind }
}

fn srv(priority: u16, target: &str) -> Record {
    Record::Srv(Srv { priority, weight: 0, port: 5060, target: target.into() })
}

fn found(records: Vec<Record>, ttl: Duration) -> Resolved {
    Resolved::Found { records, ttl }
}

fn host(sim: &mut Sim, name: &str, ip: &str, ttl: Duration) {
    let records = vec![Record::Address(ip.parse().unwrap())];
    sim.zone.insert(ask(name, RecordKind::A), found(records, ttl));
}

/// Two servers: where A is, and after it where C is.
fn two_servers(sim: &mut Sim) {
    let records = vec![srv(2, "two.alpha.example"), srv(1, "one.alpha.example")];
    sim.zone.insert(ask(SERVICE, RecordKind::Srv), found(records, s(60)));
    host(sim, "one.alpha.example", "192.0.2.1", s(60));
    host(sim, "two.alpha.example", "192.0.2.3", s(60));
}

fn ready() -> Sim {
    ready_with(named)
}

fn ready_with(set: impl FnOnce(&mut Snapshot)) -> Sim {
    let mut sim = Sim::with(|_| {}, set);
    two_servers(&mut sim);
    sim.advance(ms(1));
    sim
}

fn invites(sim: &mut Sim, name: &str) -> usize {
    sim.far(name).invited.len()
}

/// Answers the OPTIONS of a far end; how many there were.
fn answer_options(sim: &mut Sim, name: &str) -> usize {
    let now = sim.now.mono;
    let far = sim.far(name);
    let asked: Vec<Event> = std::mem::take(&mut far.events);
    let mut answered = 0;
    for event in asked {
        if let Event::Request { id, .. } = event {
            let answer = endpoint::Answer { code: 200, ..Default::default() };
            far.endpoint.respond(now, id, answer);
            answered += 1;
        }
    }
    sim.drain();
    answered
}

fn failed(sim: &mut Sim) -> Failure {
    match sim.record().outcome {
        facts::Outcome::Failed(failure) => failure,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn rfc3263_4_a_call_goes_to_the_first_server_of_the_name() {
    let mut sim = ready();
    let token = sim.place(callback());
    sim.placed(token).unwrap();
    assert_eq!((invites(&mut sim, "a"), invites(&mut sim, "c")), (1, 0));
    let invite = sim.far("a").last("INVITE");
    assert_eq!(invite.request_uri(), Some("sip:+8613800138000@sip.alpha.example"));
    let to = invite.header_str(HeaderName::To).unwrap();
    assert_eq!(to, "<sip:+8613800138000@sip.alpha.example>");
}

#[test]
fn rfc3263_4_3_the_next_server_is_asked_when_one_says_nothing_in_its_short_time() {
    let mut sim = ready();
    sim.far("a").dead = true;
    sim.place(callback());
    sim.advance(ms(499));
    assert_eq!(invites(&mut sim, "c"), 0);
    sim.advance(ms(1));
    assert_eq!(invites(&mut sim, "c"), 1, "options.response_ms");
    // A new transaction: another branch.
    sim.far("a").dead = false;
    sim.advance(s(2));
    let branch = |sim: &mut Sim, name: &str| {
        sim.far(name).last("INVITE").header_str(HeaderName::Via).unwrap().to_owned()
    };
    let (first, second) = (branch(&mut sim, "a"), branch(&mut sim, "c"));
    assert_ne!(first, second);
    sim.ring("c", 180, None);
    sim.advance(s(2));
    sim.pick_up("c");
    // What was given up is cancelled as soon as it says that it lives.
    assert!(sim.far("a").cancelled());
    sim.hang_up("c");
    sim.assert_clean();
}

#[test]
fn rfc3263_4_3_the_next_server_is_asked_after_503_and_one_leg_is_one_place_of_the_trunk() {
    let mut sim = ready_with(|snapshot| {
        named(snapshot);
        snapshot.trunks.get_mut(&TrunkId(1)).unwrap().max_calls = Some(1);
    });
    sim.place(callback());
    sim.refuse("a", 503, None);
    assert_eq!(invites(&mut sim, "c"), 1);
    assert_eq!(sim.engine.counts().trunk_legs, 1);
    sim.refuse("c", 503, None);
    assert_eq!(sim.engine.counts().trunk_legs, 0);
    assert_eq!(failed(&mut sim).origin, Origin::LegA);
    sim.assert_clean();
}

#[test]
fn rfc3263_4_3_any_other_answer_is_the_carriers() {
    for code in [500, 504, 480] {
        let mut sim = ready();
        sim.place(callback());
        sim.refuse("a", code, None);
        assert_eq!(invites(&mut sim, "c"), 0, "{code}");
        assert_eq!(sim.settled.len(), 1, "{code}");
    }
}

#[test]
fn a_server_that_was_silent_is_tried_last_for_a_while() {
    let mut sim = ready();
    sim.far("a").dead = true;
    sim.place(callback());
    sim.advance(s(1));
    sim.refuse("c", 486, None);
    let before = sim.far("a").heard.len();
    sim.place(callback());
    assert_eq!(invites(&mut sim, "c"), 2, "at once");
    assert_eq!(sim.far("a").heard.len(), before);
    sim.refuse("c", 486, None);
    sim.advance(s(70));
    sim.far("a").dead = false;
    sim.place(callback());
    assert_eq!(invites(&mut sim, "a"), 1, "first again");
}

#[test]
fn rfc3261_21_5_4_a_server_that_asked_for_rest_is_passed_over_and_the_other_is_not() {
    let mut sim = ready();
    sim.place(callback());
    let now = sim.now.mono;
    let far = sim.far("a");
    let session = far.session();
    let after = vec![("Retry-After".to_owned(), b"100".to_vec())];
    far.endpoint.reject(now, session, 503, after);
    sim.drain();
    assert_eq!(invites(&mut sim, "c"), 1);
    sim.refuse("c", 486, None);
    sim.place(callback());
    assert_eq!((invites(&mut sim, "a"), invites(&mut sim, "c")), (1, 2));
}

#[test]
fn case_34_a_trunk_whose_name_leads_nowhere_is_passed_over_and_says_so() {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            named(snapshot);
            snapshot.routes.push(Route::new("86138", TrunkId(3), 1));
        },
    );
    sim.dns = false;
    sim.advance(s(10));
    sim.place(callback());
    assert_eq!(invites(&mut sim, "c"), 1, "the next route");
    sim.command(Command::Explain { token: 77, number: format!("+{NUMBER_A}") });
    let Some(Answer::Explained(explained)) = sim.answers.get(&77) else { panic!() };
    let candidates = &explained.as_ref().as_ref().unwrap().candidates;
    let verdict = candidates.iter().find(|c| c.trunk == "alpha").map(|c| c.verdict.clone());
    assert_eq!(verdict, Some(Verdict::Unresolved));
    // As soon as the DNS is back it is one like the others.
    sim.dns = true;
    two_servers(&mut sim);
    sim.advance(s(61));
    sim.place(callback());
    assert_eq!(invites(&mut sim, "a"), 1);
}

#[test]
fn a_call_is_placed_by_the_last_answer_while_the_dns_is_away() {
    let mut sim = ready();
    sim.dns = false;
    sim.advance(s(3_600));
    sim.place(callback());
    assert_eq!(invites(&mut sim, "a"), 1);
    let asked = sim.asked.len();
    assert!((20..600).contains(&asked), "asked again, and not like mad: {asked}");
}

#[test]
fn rfc1035_3_2_1_a_carrier_that_moves_is_followed_when_its_answer_runs_out() {
    let mut sim = ready();
    host(&mut sim, "one.alpha.example", "192.0.2.2", s(60));
    sim.advance(s(50));
    sim.place(callback());
    assert_eq!((invites(&mut sim, "a"), invites(&mut sim, "b")), (1, 0), "still good");
    sim.refuse("a", 486, None);
    sim.advance(s(15));
    sim.place(callback());
    assert_eq!((invites(&mut sim, "a"), invites(&mut sim, "b")), (1, 1));
}

#[test]
fn whoever_sends_from_where_the_name_is_is_the_carrier_and_nobody_else() {
    let invite = |from: &str| {
        format!(
            "INVITE sip:+861088880001@{US} SIP/2.0\n\
             Via: SIP/2.0/UDP {from};branch=z9hG4bKnames{from}\nMax-Forwards: 70\n\
             From: <sip:+8613900139000@carrier.example>;tag=1\nTo: <sip:+861088880001@{US}>\n\
             Call-ID: names-{from}\nCSeq: 1 INVITE\nContact: <sip:x@{from}>\nContent-Length: 0\n\n"
        )
    };
    let mut sim = ready();
    sim.raw("192.0.2.3:5060", &invite("192.0.2.3:5060"));
    sim.raw("192.0.2.77:5060", &invite("192.0.2.77:5060"));
    let denials: Vec<_> = sim.turned_away.iter().map(|turned| turned.why.as_str()).collect();
    // The carrier calls a number that nobody has; the other one is nobody.
    assert_eq!(denials, ["unknown_number", "stranger"]);
    // It stays who it is while the DNS is away.
    sim.dns = false;
    sim.advance(s(600));
    sim.raw("192.0.2.1:5060", &invite("192.0.2.1:5060"));
    assert_eq!(sim.turned_away.len(), 3);
    assert_eq!(sim.turned_away[2].user.as_deref(), Some("alpha"));
}

#[test]
fn rfc5922_7_2_the_certificate_is_for_the_name_and_not_for_what_the_dns_says() {
    let mut sim = ready();
    assert_eq!(
        sim.certified,
        [(addr("192.0.2.1:5060"), NAME.into()), (addr("192.0.2.3:5060"), NAME.into())]
    );
    let mut snapshot = sim.snapshot.clone();
    snapshot.trunks.remove(&TrunkId(1));
    sim.command(Command::Settings(snapshot.into()));
    sim.advance(ms(1));
    assert!(sim.certified.is_empty());
}

#[test]
fn rfc3263_4_3_a_registration_that_is_not_answered_is_tried_at_the_next_server_at_once() {
    let mut sim = ready_with(|snapshot| {
        named(snapshot);
        let trunk = snapshot.trunks.get_mut(&TrunkId(1)).unwrap();
        trunk.options.register =
            Some(Registration { user: "4711".into(), expires: 600, contact_user: String::new() });
    });
    sim.far("a").dead = true;
    // Timer F.
    sim.advance(s(36));
    assert!(sim.far("c").count("REGISTER") > 0);
    let uri = sim.far("c").last("REGISTER").request_uri().map(str::to_owned);
    assert_eq!(uri.as_deref(), Some("sip:sip.alpha.example"));
}

#[test]
fn case_34_the_health_of_a_carrier_is_that_of_whichever_server_answers() {
    let mut sim = ready_with(|snapshot| {
        named(snapshot);
        let trunk = snapshot.trunks.get_mut(&TrunkId(1)).unwrap();
        trunk.options.probe = Some(Probe::default());
    });
    sim.far("a").dead = true;
    // The first OPTIONS is lost; the next goes where somebody is.
    let mut answered = 0;
    for second in 0..700 {
        sim.dns = second < 70;
        sim.advance(s(1));
        answered += answer_options(&mut sim, "c");
    }
    assert!(answered > 5, "{answered}");
    assert!(
        !sim.carriers.iter().any(|news| news.change == CarrierChange::Down),
        "{:?}",
        sim.carriers
    );
    sim.command(Command::Trunks { token: 5 });
    let Some(Answer::Trunks(trunks)) = sim.answers.get(&5) else { panic!() };
    assert_eq!(trunks[0].addresses.len(), 2);
}

#[test]
fn rfc3263_4_1_a_name_may_choose_its_transport_among_those_we_have() {
    use sip::endpoint::{Listener, Transport};
    use sip::locate::Naptr;
    let mut sim = Sim::with(
        |config| {
            let bind = addr(US);
            let tcp = Listener { transport: Transport::Tcp, bind, advertised: bind };
            config.sip.listeners.push(tcp);
        },
        |snapshot| {
            named(snapshot);
            snapshot.trunks.get_mut(&TrunkId(1)).unwrap().options.naptr = true;
        },
    );
    two_servers(&mut sim);
    let naptr = |order, service: &str, replacement: &str| {
        let (flags, service, replacement) = ("s".into(), service.into(), replacement.into());
        Record::Naptr(Naptr { order, preference: 1, flags, service, replacement })
    };
    let records = vec![
        naptr(1, "SIPS+D2T", "_sips._tcp.sip.alpha.example"),
        naptr(2, "SIP+D2T", "_sip._tcp.sip.alpha.example"),
        naptr(3, "SIP+D2U", SERVICE),
    ];
    sim.zone.insert(ask(NAME, RecordKind::Naptr), found(records, s(60)));
    let records = vec![srv(1, "two.alpha.example")];
    sim.zone.insert(ask("_sip._tcp.sip.alpha.example", RecordKind::Srv), found(records, s(60)));
    sim.advance(ms(1));
    sim.place(callback());
    let invite = sim.far("c").last("INVITE");
    let via = invite.header_str(HeaderName::Via).unwrap();
    assert!(via.starts_with("SIP/2.0/TCP "), "{via}");
}

#[test]
fn a_name_that_nobody_bears_any_more_is_not_asked_for() {
    let mut sim = ready();
    let mut snapshot = sim.snapshot.clone();
    snapshot.trunks.get_mut(&TrunkId(1)).unwrap().enabled = false;
    sim.command(Command::Settings(snapshot.into()));
    let asked = sim.asked.len();
    sim.advance(s(600));
    assert_eq!(sim.asked.len(), asked);
}
