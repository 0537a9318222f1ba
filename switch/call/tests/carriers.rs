//! Carriers at which we register and whose health we watch, on the virtual clock.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeSet;

use call::{Answer, CarrierChange, Command};
use common::*;
use facts::TrunkId;
use facts::carrier::{Probe, Registration};
use facts::settings::{Route, Snapshot, TrunkCredentials};
use sip::endpoint::{self, Event};
use sip::wire::{HeaderName, Message, Method};

fn registered(snapshot: &mut Snapshot) {
    let trunk = snapshot.trunks.get_mut(&TrunkId(1)).unwrap();
    trunk.domain = "carrier.example".into();
    trunk.options.register =
        Some(Registration { user: "4711".into(), expires: 600, contact_user: String::new() });
    trunk.credentials = Some(TrunkCredentials {
        user: "4711".into(),
        password: "secret".into(),
        realm: "carrier.example".into(),
    });
}

fn probed(snapshot: &mut Snapshot) {
    let trunk = snapshot.trunks.get_mut(&TrunkId(1)).unwrap();
    trunk.options.probe = Some(Probe { from_user: "ping".into(), ..Probe::default() });
}

/// Calls to A may also go to the third trunk.
fn second_way(snapshot: &mut Snapshot) {
    snapshot.routes.push(Route::new("86138", TrunkId(3), 1));
}

/// Answers every request of a far end that has no answer yet; how many there were.
fn answer(sim: &mut Sim, name: &str, code: u16, headers: &[(&str, &str)]) -> usize {
    let now = sim.now.mono;
    let far = sim.far(name);
    let (asked, others): (Vec<Event>, Vec<Event>) =
        far.events.drain(..).partition(|event| matches!(event, Event::Request { .. }));
    far.events = others;
    for event in &asked {
        let Event::Request { id, .. } = event else { continue };
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec()));
        let answer = endpoint::Answer { code, headers: headers.collect(), ..Default::default() };
        far.endpoint.respond(now, *id, answer);
    }
    sim.drain();
    asked.len()
}

/// REGISTERs that the first carrier received, copies apart.
fn registers(sim: &mut Sim) -> usize {
    let heard = sim.far("a").heard.iter();
    let numbers = heard.filter_map(|m| m.is_request().then(|| m.cseq().ok())?);
    let registers = numbers.filter(|cseq| cseq.method == Method::Register);
    registers.map(|cseq| cseq.number).collect::<BTreeSet<_>>().len()
}

fn header(message: &Message, name: HeaderName) -> String {
    message.header_str(name).unwrap_or_default().to_owned()
}

fn changes(sim: &mut Sim) -> Vec<CarrierChange> {
    sim.carriers.drain(..).map(|news| news.change).collect()
}

fn invited(sim: &mut Sim, name: &str) -> usize {
    sim.far(name).invited.len()
}

#[test]
fn rfc3261_10_2_a_trunk_is_registered_at_start_refreshed_in_time_and_left_at_the_drain() {
    let mut sim = Sim::with(|_| {}, registered);
    sim.advance(s(3));
    let first = sim.far("a").last("REGISTER").clone();
    assert_eq!(first.request_uri(), Some("sip:carrier.example"));
    assert!(header(&first, HeaderName::To).starts_with("<sip:4711@carrier.example>"));
    assert_eq!(header(&first, HeaderName::Contact), "<sip:4711@198.51.100.1:5060>;expires=600");
    // The carrier grants less than was asked, and adds its own words.
    let contact = "<sip:4711@198.51.100.1:5060;line=9>;q=1.0;expires=300";
    assert_eq!(answer(&mut sim, "a", 200, &[("Contact", contact)]), 1);
    assert_eq!(changes(&mut sim), [CarrierChange::Registered]);
    sim.advance(s(150));
    assert_eq!(registers(&mut sim), 1, "too early");
    sim.advance(s(110));
    assert_eq!(registers(&mut sim), 2, "refreshed 40 s before it lapses at the latest");
    let second = sim.far("a").last("REGISTER").clone();
    assert_eq!(first.call_id(), second.call_id());
    assert_eq!(second.cseq().unwrap().number, first.cseq().unwrap().number + 1);
    answer(&mut sim, "a", 200, &[("Contact", contact)]);
    assert!(changes(&mut sim).is_empty());
    sim.command(Command::Drain { grace: s(1) });
    assert_eq!(header(sim.far("a").last("REGISTER"), HeaderName::Expires), "0");
    answer(&mut sim, "a", 200, &[]);
    sim.advance(s(1000));
    assert_eq!(registers(&mut sim), 3);
    sim.assert_clean();
}

#[test]
fn a_trunk_where_we_are_not_registered_gets_no_calls_and_says_so() {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            registered(snapshot);
            second_way(snapshot);
        },
    );
    sim.place(callback());
    assert_eq!((invited(&mut sim, "a"), invited(&mut sim, "c")), (0, 1), "the next route");
    sim.command(Command::Explain { token: 90, number: format!("+{NUMBER_A}") });
    let Some(Answer::Explained(explained)) = sim.answers.get(&90) else { panic!("no answer") };
    let why = explained.as_ref().as_ref().unwrap().candidates.iter().map(|c| c.verdict.to_string());
    assert!(why.collect::<Vec<_>>().contains(&"skipped now: we are not registered there".into()));
    sim.advance(s(3));
    answer(&mut sim, "a", 200, &[("Expires", "600")]);
    sim.place(callback());
    assert_eq!(invited(&mut sim, "a"), 1);
}

#[test]
fn rfc3261_22_2_a_challenge_is_answered_and_a_second_one_is_a_refusal() {
    let mut sim = Sim::with(|_| {}, registered);
    sim.advance(s(3));
    let digest = r#"Digest realm="carrier.example", nonce="n1", algorithm=MD5"#;
    let challenge = [("WWW-Authenticate", digest)];
    answer(&mut sim, "a", 401, &challenge);
    let proved = sim.far("a").last("REGISTER").clone();
    assert!(header(&proved, HeaderName::Authorization).contains("username=\"4711\""));
    assert_eq!(proved.cseq().unwrap().number, 2);
    answer(&mut sim, "a", 401, &challenge);
    assert_eq!(changes(&mut sim), [CarrierChange::Unregistered]);
    let sent = registers(&mut sim);
    sim.advance(s(140));
    assert_eq!(registers(&mut sim), sent, "a wrong password is not hammered in");
    sim.advance(s(200));
    assert!(registers(&mut sim) > sent);
    assert_eq!(sim.far("a").last("REGISTER").call_id(), proved.call_id());
}

#[test]
fn rfc3261_10_2_2_what_is_taken_out_of_the_settings_is_taken_out_of_the_carrier() {
    let mut sim = Sim::with(|_| {}, registered);
    sim.advance(s(3));
    answer(&mut sim, "a", 200, &[]);
    let mut settings = sim.snapshot.clone();
    settings.trunks.get_mut(&TrunkId(1)).unwrap().options.register = None;
    sim.command(Command::Settings(settings.into()));
    assert_eq!(header(sim.far("a").last("REGISTER"), HeaderName::Expires), "0");
    answer(&mut sim, "a", 200, &[]);
    sim.advance(s(1000));
    assert_eq!(registers(&mut sim), 2);
    sim.place(callback());
    assert_eq!(invited(&mut sim, "a"), 1, "a trunk without registration is just a trunk");
}

#[test]
fn case_35_rfc3261_11_a_silent_trunk_is_down_calls_go_elsewhere_and_two_answers_bring_it_back() {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            probed(snapshot);
            second_way(snapshot);
        },
    );
    sim.advance(s(3));
    let probe = sim.far("a").last("OPTIONS").clone();
    assert!(header(&probe, HeaderName::From).starts_with("<sip:ping@198.51.100.1:5060>"));
    answer(&mut sim, "a", 200, &[]);
    sim.far("a").dead = true;
    sim.advance(s(96));
    assert_eq!(changes(&mut sim), [CarrierChange::Down]);
    sim.place(callback());
    assert_eq!((invited(&mut sim, "a"), invited(&mut sim, "c")), (0, 1));
    sim.far("a").dead = false;
    for _ in 0..70 {
        sim.advance(s(1));
        answer(&mut sim, "a", 200, &[]);
    }
    assert_eq!(changes(&mut sim), [CarrierChange::Up]);
    sim.command(Command::Trunks { token: 91 });
    let Some(Answer::Trunks(trunks)) = sim.answers.get(&91) else { panic!("no answer") };
    let health = trunks[0].health.expect("watched");
    assert!(health.up && health.last_status == Some(200) && health.latency_ms.is_some());
    assert_eq!(trunks[1].health, None);
    sim.place(callback());
    assert_eq!(invited(&mut sim, "a"), 1);
}

#[test]
fn a_probe_that_is_refused_by_503_counts_as_a_failure_and_404_as_life() {
    for (code, up) in [(503, false), (404, true), (405, true)] {
        let mut sim = Sim::with(|_| {}, probed);
        for _ in 0..100 {
            sim.advance(s(1));
            answer(&mut sim, "a", code, &[]);
        }
        assert_eq!(changes(&mut sim).is_empty(), up, "{code}");
    }
}

#[test]
fn a_password_that_is_put_right_is_tried_at_once_and_the_old_answer_is_not_the_new_ones() {
    let mut sim = Sim::with(|_| {}, registered);
    sim.advance(s(3));
    answer(&mut sim, "a", 403, &[]);
    assert_eq!(changes(&mut sim), [CarrierChange::Unregistered]);
    let old = registers(&mut sim);
    let mut settings = sim.snapshot.clone();
    let trunk = settings.trunks.get_mut(&TrunkId(1)).unwrap();
    trunk.credentials.as_mut().unwrap().password = "right".into();
    let first = sim.far("a").last("REGISTER").call_id().map(str::to_owned);
    sim.command(Command::Settings(settings.into()));
    sim.advance(s(3));
    let second = sim.far("a").last("REGISTER").clone();
    assert_ne!(second.call_id().map(str::to_owned), first, "a registration of its own, {old}");
    answer(&mut sim, "a", 200, &[]);
    assert_eq!(changes(&mut sim), [CarrierChange::Registered]);
    // Another address: the binding at the old one is taken away, the new one is asked.
    let mut settings = sim.snapshot.clone();
    let trunk = settings.trunks.get_mut(&TrunkId(1)).unwrap();
    trunk.target = addr(CARRIER_C).into();
    sim.command(Command::Settings(settings.into()));
    assert_eq!(header(sim.far("a").last("REGISTER"), HeaderName::Expires), "0");
    sim.advance(s(3));
    assert_eq!(header(sim.far("c").last("REGISTER"), HeaderName::Expires), "600");
    // The answer to what left the old place is no binding at the new one.
    answer(&mut sim, "a", 200, &[]);
    assert!(changes(&mut sim).is_empty());
    answer(&mut sim, "c", 200, &[]);
    assert_eq!(changes(&mut sim), [CarrierChange::Registered]);
}

#[test]
fn rfc3608_6_1_calls_take_the_route_that_the_registrar_named_last() {
    let mut sim = Sim::with(|_| {}, registered);
    sim.advance(s(3));
    let contact = "<sip:4711@198.51.100.1:5060>;expires=120";
    let named = "<sip:orig@10.9.9.9;lr>, <sip:p2.carrier.example;lr>";
    answer(&mut sim, "a", 200, &[("Contact", contact), ("Service-Route", named)]);
    let route = |sim: &mut Sim| -> Vec<String> {
        sim.place(callback());
        let invite = sim.far("a").last("INVITE").clone();
        sim.refuse("a", 486, None);
        let hops = invite.headers(HeaderName::Route);
        hops.map(|hop| String::from_utf8(hop.to_vec()).unwrap()).collect()
    };
    assert_eq!(route(&mut sim), ["<sip:orig@10.9.9.9;lr>", "<sip:p2.carrier.example;lr>"]);
    assert_eq!(sim.lost, 0, "what it names is not dialled: the carrier's server is");
    // Each 2xx replaces what was said before; what cannot be used is as if it were not there.
    for again in ["<sip:strict.example>", "<tel:+1>", ""] {
        sim.advance(s(80));
        let mut headers = vec![("Contact", contact)];
        headers.extend((!again.is_empty()).then_some(("Service-Route", again)));
        assert_eq!(answer(&mut sim, "a", 200, &headers), 1, "{again}");
        assert_eq!(route(&mut sim), [""; 0], "{again}");
    }
    sim.advance(s(80));
    answer(&mut sim, "a", 200, &[("Contact", contact), ("Service-Route", named)]);
    assert_eq!(route(&mut sim).len(), 2);
}
