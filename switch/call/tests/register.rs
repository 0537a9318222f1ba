//! The registrar and the legs to registered phones, over the wire (RFC 3261 §10, §22; A16, A17).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::sync::Arc;

use call::{Command, Denial, Reply};
use common::ladder::asks_registration;
use common::*;
use facts::{Binding, Failure, Kind, LegNo, Number, Origin, Outcome, TrunkId};
use sip::endpoint::{Credentials, Event, Flow, OutOfDialog};
use sip::wire::{HeaderName, Message, Method, NameAddr, Uri};

const PHONE: &str = "203.0.113.5:40000";
const DESK: &str = "203.0.113.6:40002";

fn sim() -> Sim {
    sim_with(|_| {})
}

fn sim_with(set: impl FnOnce(&mut facts::settings::Snapshot)) -> Sim {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            snapshot.extensions.insert("80001".into(), extension("80001", "right"));
            set(snapshot);
        },
    );
    sim.add("phone", PHONE, 151);
    sim.add("desk", DESK, 152);
    sim
}

/// A REGISTER of a phone with its endpoint's digest client; the final answer.
struct Try<'a> {
    from: &'a str,
    user: &'a str,
    password: &'a str,
    contacts: &'a [&'a str],
    expires: Option<&'a str>,
    series: Option<(&'a str, u32)>,
}

const REGISTER: Try<'static> = Try {
    from: "phone",
    user: "80001",
    password: "right",
    contacts: &["<sip:80001@192.168.1.5:5060>"],
    expires: Some("120"),
    series: None,
};

fn register(sim: &mut Sim, what: &Try<'_>) -> (u16, Option<Message>) {
    let (who, name) = ((what.user, what.password), what.from);
    asks_registration(sim, name, who, (what.contacts, what.expires), what.series);
    let far = sim.far(name);
    let at = far.events.iter().position(|e| matches!(e, Event::Response { .. })).unwrap();
    match far.events.remove(at) {
        Event::Response { code, message, .. } => (code, message),
        _ => unreachable!(),
    }
}

fn contacts(message: &Message) -> Vec<String> {
    message.headers(HeaderName::Contact).map(|c| String::from_utf8(c.to_vec()).unwrap()).collect()
}

#[test]
fn rfc3261_10_3_a_phone_registers_refreshes_and_leaves() {
    let mut sim = sim();
    let (code, answer) = register(&mut sim, &REGISTER);
    assert_eq!(code, 200);
    assert_eq!(contacts(&answer.unwrap()), ["<sip:80001@192.168.1.5:5060>;expires=120"]);
    assert_eq!(sim.engine.counts().bindings, 1);
    let saved = sim.bindings.values().next().unwrap().clone();
    assert_eq!(saved.remote, addr(PHONE), "where it really is");
    assert_eq!(saved.expires.since(sim.now.wall), s(120));

    sim.advance(s(100));
    let (code, answer) = register(&mut sim, &REGISTER);
    assert_eq!((code, contacts(&answer.unwrap()).len()), (200, 1));
    sim.advance(s(100));
    assert_eq!(sim.engine.counts().bindings, 1, "refreshed");
    let (code, answer) = register(&mut sim, &Try { expires: Some("0"), ..REGISTER });
    assert_eq!((code, contacts(&answer.unwrap()).len()), (200, 0));
    assert!(sim.bindings.is_empty(), "gone from the store too");

    register(&mut sim, &REGISTER);
    sim.advance(s(121));
    assert_eq!(sim.engine.counts().bindings, 0, "lapsed");
    assert!(sim.bindings.is_empty());
}

#[test]
fn rfc3261_10_3_query_star_and_several_contacts() {
    let mut sim = sim();
    let two = ["<sip:80001@192.168.1.5:5060>;q=0.5", "<sip:80001@192.168.1.6:5060>;expires=600"];
    let (code, answer) = register(&mut sim, &Try { contacts: &two, ..REGISTER });
    let listed = contacts(&answer.unwrap());
    assert_eq!(code, 200);
    assert_eq!(
        listed,
        ["<sip:80001@192.168.1.6:5060>;expires=600", "<sip:80001@192.168.1.5:5060>;expires=120"],
        "higher q first"
    );
    let (code, answer) = register(&mut sim, &Try { contacts: &[], expires: None, ..REGISTER });
    assert_eq!((code, contacts(&answer.unwrap()).len()), (200, 2), "a query changes nothing");
    let third = ["<sip:80001@192.168.1.7:5060>"];
    let (code, _) = register(&mut sim, &Try { contacts: &third, ..REGISTER });
    assert_eq!(code, 403, "max_contacts is 2");
    let (code, _) = register(&mut sim, &Try { contacts: &["*"], ..REGISTER });
    assert_eq!(code, 400, "* needs Expires: 0");
    assert_eq!(sim.engine.counts().bindings, 2);
    let (code, _) = register(&mut sim, &Try { contacts: &["*"], expires: Some("0"), ..REGISTER });
    assert_eq!((code, sim.engine.counts().bindings), (200, 0));
}

#[test]
fn rfc3261_10_2_8_too_short_is_423_with_min_expires_and_too_long_is_shortened() {
    let mut sim = sim();
    let (code, answer) = register(&mut sim, &Try { expires: Some("30"), ..REGISTER });
    assert_eq!(code, 423);
    assert_eq!(answer.unwrap().header(HeaderName::MinExpires), Some(b"60".as_slice()));
    let (code, answer) = register(&mut sim, &Try { expires: Some("86400"), ..REGISTER });
    assert_eq!(code, 200);
    assert!(contacts(&answer.unwrap())[0].ends_with(";expires=3600"));
    let (code, answer) = register(&mut sim, &Try { expires: None, ..REGISTER });
    assert_eq!(code, 200);
    assert!(contacts(&answer.unwrap())[0].ends_with(";expires=300"));
}

#[test]
fn rfc5626_6_the_same_instance_replaces_its_contact() {
    let mut sim = sim();
    let at = |port: u16| {
        format!(
            "<sip:80001@192.168.1.5:{port}>;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>\""
        )
    };
    register(&mut sim, &Try { contacts: &[&at(5060)], ..REGISTER });
    register(&mut sim, &Try { contacts: &[&at(5071)], ..REGISTER });
    assert_eq!(sim.engine.counts().bindings, 1);
    assert_eq!(sim.bindings.values().next().unwrap().contact, "sip:80001@192.168.1.5:5071");
}

#[test]
fn rfc3261_10_3_step_7_an_old_register_changes_nothing() {
    let mut sim = sim();
    register(&mut sim, &Try { series: Some(("one@phone", 10)), ..REGISTER });
    let late = Try { series: Some(("one@phone", 4)), expires: Some("0"), ..REGISTER };
    assert_eq!(register(&mut sim, &late).0, 500);
    assert_eq!(sim.engine.counts().bindings, 1);
}

#[test]
fn a16_an_unknown_user_is_answered_like_a_wrong_password() {
    let mut sim = sim();
    let wrong = Try { password: "wrong", ..REGISTER };
    let (code, known) = register(&mut sim, &wrong);
    assert_eq!(code, 401);
    let (code, unknown) = register(&mut sim, &Try { user: "99999", ..wrong });
    assert_eq!(code, 401);
    let names = |message: Option<Message>| -> Vec<String> {
        let message = message.unwrap();
        message.fields().map(|(_, name, _)| String::from_utf8(name.to_vec()).unwrap()).collect()
    };
    assert_eq!(names(known), names(unknown), "the same headers");
    assert_eq!(sim.engine.counts().bindings, 0);
}

#[test]
fn nobody_registers_for_somebody_else() {
    let mut sim = sim_with(|snapshot| {
        snapshot.extensions.insert("80002".into(), extension("80002", "other"));
    });
    // 80002's credentials under 80001's address of record.
    let now = sim.now.mono;
    let far = sim.far("phone");
    let aor = NameAddr::new(Uri::parse(&format!("sip:80001@{REALM}")).unwrap());
    far.endpoint.request(
        now,
        OutOfDialog {
            method: Method::Register,
            uri: Uri::parse(&format!("sip:{REALM}")).unwrap(),
            flow: Flow::udp(far.at, addr(US)),
            from: aor.clone(),
            to: aor,
            headers: vec![("Contact".into(), b"<sip:80001@192.168.1.9>".to_vec())],
            body: None,
            credentials: Some(Credentials {
                realm: None,
                username: "80002".into(),
                password: "other".into(),
            }),
            series: None,
        },
    );
    sim.drain();
    let code = sim.far("phone").events.iter().find_map(|event| match event {
        Event::Response { code, .. } => Some(*code),
        _ => None,
    });
    assert_eq!((code, sim.engine.counts().bindings), (Some(403), 0));
}

#[test]
fn bindings_survive_a_restart_but_connections_do_not() {
    let mut sim = sim();
    register(&mut sim, &REGISTER);
    let saved: Vec<Binding> = sim.bindings.values().cloned().collect();
    let mut by_tcp = saved[0].clone();
    by_tcp.transport = facts::settings::Transport::Tcp;
    by_tcp.key = "tcp".into();
    sim.bindings.insert(("80001".into(), "tcp".into()), by_tcp.clone());
    sim.now = sim.now.after(s(50));
    sim.engine = call::Engine::new(engine_config(), Arc::new(sim.snapshot.clone()), sim.now);
    sim.reply(Reply::Bindings(vec![saved[0].clone(), by_tcp]));
    assert_eq!(sim.engine.counts().bindings, 1);
    assert_eq!(sim.bindings.len(), 1, "the dead one is forgotten");
    let mut command = callback();
    command.a.number = Number::Internal("80001".into());
    sim.place(command);
    assert_eq!(sim.far("phone").count("INVITE"), 1, "and can be rung");
    sim.command(Command::Bindings { token: 50 });
    let list = sim.answers.get(&50).unwrap().clone();
    assert_eq!(
        list,
        call::Answer::Bindings(vec![("80001".into(), "sip:80001@192.168.1.5:5060".into(), 70)])
    );
}

fn to_extension() -> facts::CallCommand {
    let mut command = callback();
    command.a.number = Number::Internal("80001".into());
    command.a.as_sent = "80001".into();
    command
}

#[test]
fn a_callback_to_a_phone_behind_nat_goes_to_where_it_registered_from() {
    let mut sim = sim();
    register(&mut sim, &REGISTER);
    sim.place(to_extension());
    assert_eq!(sim.authorizations[0].legs[0].number, Number::Internal("80001".into()));
    let invite = sim.far("phone").last("INVITE").clone();
    assert_eq!(invite.request_uri(), Some("sip:80001@192.168.1.5:5060"));
    let shown = invite.from().unwrap().uri.user;
    assert_eq!(shown.as_deref(), Some("01088889999"), "as people at home dial it");
    sim.pick_up("phone");
    sim.pick_up("b");
    sim.advance(s(10));
    sim.hang_up("b");
    assert_eq!(sim.far("phone").count("BYE"), 1, "over the same flow");
    let record = sim.record().clone();
    assert_eq!(record.outcome, Outcome::Completed);
    assert_eq!(record.leg(LegNo::A).unwrap().trunk, "");
    sim.assert_clean();
}

#[test]
fn a_dead_contact_costs_no_time() {
    let mut sim = sim();
    register(&mut sim, &Try { contacts: &["<sip:80001@192.168.1.5>;q=1.0"], ..REGISTER });
    register(
        &mut sim,
        &Try { from: "desk", contacts: &["<sip:80001@192.168.1.6>;q=0.5"], ..REGISTER },
    );
    sim.place(to_extension());
    assert_eq!(sim.far("phone").count("INVITE"), 1);
    assert_eq!(sim.far("desk").count("INVITE"), 1, "both ring at once");
    sim.refuse("phone", 430, None);
    assert!(sim.settled.is_empty());
    sim.refuse("desk", 486, None);
    let why = Failure::new(Origin::LegA, Kind::Busy);
    assert_eq!(sim.record().outcome, Outcome::Failed(why));
    assert_eq!(sim.record().legs.len(), 1);
    sim.assert_clean();
}

#[test]
fn an_extension_that_is_not_registered_is_its_bound_phone() {
    let mut sim = sim_with(|snapshot| {
        let extension = snapshot.extensions.get_mut("80001").unwrap();
        extension.bound_phone = Some(NUMBER_A.into());
    });
    sim.place(to_extension());
    assert_eq!(
        sim.authorizations[0].legs[0].number,
        Number::E164(NUMBER_A.into()),
        "and its price"
    );
    assert_eq!(sim.far("a").count("INVITE"), 1);
    sim.refuse("a", 486, None);
    let leg = sim.record().leg(LegNo::A).unwrap();
    assert_eq!(leg.number, Number::E164(NUMBER_A.into()));
    assert_eq!(leg.as_sent, "80001", "as the merchant wrote it");
}

#[test]
fn options_are_answered_and_other_requests_refused_with_allow() {
    let mut sim = sim();
    for (method, expected) in
        [(Method::Options, 200), (Method::Publish, 405), (Method::Notify, 405)]
    {
        let now = sim.now.mono;
        let far = sim.far("phone");
        let us = NameAddr::new(Uri::parse(&format!("sip:{REALM}")).unwrap());
        far.endpoint.request(
            now,
            OutOfDialog {
                method: method.clone(),
                uri: us.uri.clone(),
                flow: Flow::udp(far.at, addr(US)),
                from: us.clone(),
                to: us,
                headers: Vec::new(),
                body: None,
                credentials: None,
                series: None,
            },
        );
        sim.drain();
        let answer = sim.far("phone").events.pop();
        let Some(Event::Response { code, message: Some(message), .. }) = answer else {
            panic!("{method}: no answer");
        };
        assert_eq!(code, expected, "{method}");
        assert!(message.header(HeaderName::Allow).is_some(), "{method}");
    }
}

// ---- inbound calls

fn dial_in(sim: &mut Sim, name: &str, from: &str, to: &str, credentials: Option<Credentials>) {
    dial_in_with(sim, name, (from, to), credentials, (20, false));
}

fn dial_in_with(
    sim: &mut Sim,
    name: &str,
    (from, to): (&str, &str),
    credentials: Option<Credentials>,
    (hops, late): (u32, bool),
) {
    let now = sim.now.mono;
    let sdp = sdp_of(if name == "phone" { "c" } else { name });
    let far = sim.far(name);
    let session = far.endpoint.invite(
        now,
        sip::endpoint::Invite {
            uri: Uri::parse(to).unwrap(),
            flow: Flow::udp(far.at, addr(US)),
            from: NameAddr::parse(from.as_bytes()).unwrap(),
            to: NameAddr::new(Uri::parse(to).unwrap()),
            contact_user: "x".into(),
            headers: vec![("Max-Forwards".into(), hops.to_string().into_bytes())],
            sdp: if late { bytes::Bytes::new() } else { sdp.into() },
            credentials,
            route: Vec::new(),
            keep_flow: false,
            reliable: false,
            timers: None,
            edits: Vec::new(),
        },
    );
    let placeholder = Message::parse(bytes::Bytes::from_static(
        b"OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1\r\nFrom: <sip:x>;tag=1\r\n\
          To: <sip:x>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 1\r\n\r\n",
    ));
    far.invited.push((session, placeholder.unwrap()));
    sim.drain();
}

fn codes(sim: &mut Sim, name: &str) -> Vec<u16> {
    sim.far(name)
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Progress { code, .. } | Event::Failed { code, .. } => Some(*code),
            Event::Answered { .. } => Some(200),
            _ => None,
        })
        .collect()
}

fn inbound() -> Sim {
    let mut sim = sim_with(|snapshot| {
        snapshot.inbound.insert("861087654321".into(), "80001".into());
    });
    register(&mut sim, &REGISTER);
    sim
}

/// What the owner of 80001 proves itself with.
fn own() -> Option<Credentials> {
    let realm = Some(REALM.into());
    Some(Credentials { realm, username: "80001".into(), password: "right".into() })
}

const DID: &str = "sip:+861087654321@198.51.100.1";
const CALLER: &str = "<sip:+8613900001111@192.0.2.1>";

#[test]
fn a_call_from_a_trunk_rings_the_extension_and_is_bridged() {
    let mut sim = inbound();
    dial_in(&mut sim, "a", CALLER, DID, None);
    let quotes = &sim.authorizations[0].legs;
    assert_eq!(quotes.len(), 1, "only what we dial is priced");
    assert_eq!(quotes[0].leg, LegNo::B);
    let invite = sim.far("phone").last("INVITE").clone();
    assert_eq!(invite.max_forwards().unwrap(), Some(19), "A8: one less");
    assert_eq!(invite.from().unwrap().uri.user.as_deref(), Some("13900001111"));
    sim.ring("phone", 180, None);
    sim.ring("phone", 180, None);
    assert_eq!(codes(&mut sim, "a"), [180]);
    sim.advance(s(4));
    sim.pick_up("phone");
    assert_eq!(codes(&mut sim, "a"), [180, 200]);
    assert_eq!(sim.engine.live()[0].state, "bridged");
    sim.advance(s(30));
    sim.hang_up("a");
    assert_eq!(sim.far("phone").count("BYE"), 1);
    let record = sim.record().clone();
    assert_eq!(record.outcome, Outcome::Completed);
    assert_eq!(record.leg(LegNo::A).unwrap().talk(), s(30));
    assert_eq!(record.leg(LegNo::A).unwrap().trunk, "alpha");
    assert_eq!(record.command.b.as_ref().unwrap().as_sent, "+861087654321");
    assert_eq!(record.leg(LegNo::A).unwrap().paid_until, None);
    sim.assert_clean();
}

#[test]
fn early_sound_is_passed_to_whoever_calls() {
    let mut sim = inbound();
    dial_in(&mut sim, "a", CALLER, DID, None);
    sim.ring("phone", 183, Some(&sdp_of("c")));
    let b = sim.leg(LegNo::B);
    sim.media(facts::media::MediaEvent::Started { leg: b });
    let early = sim
        .far("a")
        .events
        .iter()
        .any(|event| matches!(event, Event::Progress { code: 183, sdp: Some(_), .. }));
    assert!(early);
    sim.pick_up("phone");
    sim.hang_up("phone");
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn a_failure_of_b_is_the_status_that_a_gets_and_a_cancel_ends_b() {
    for (code, expected) in [(486, 486), (404, 404), (480, 480)] {
        let mut sim = inbound();
        dial_in(&mut sim, "a", CALLER, DID, None);
        sim.refuse("phone", code, None);
        assert_eq!(codes(&mut sim, "a"), [expected]);
        assert_eq!(sim.settled.len(), 1);
        sim.assert_clean();
    }
    let mut sim = inbound();
    dial_in(&mut sim, "a", CALLER, DID, None);
    sim.ring("phone", 180, None);
    let now = sim.now.mono;
    let a = sim.far("a");
    let session = a.session();
    a.endpoint.cancel(now, session, None);
    sim.drain();
    assert!(sim.far("phone").cancelled());
    let why = Failure::new(Origin::LegA, Kind::Abandoned);
    assert_eq!(sim.record().outcome, Outcome::Failed(why));
    sim.assert_clean();
}

#[test]
fn a_caller_that_gives_up_while_the_ledger_thinks_is_on_record_once() {
    let mut sim = inbound();
    sim.ledger.answers = false;
    dial_in(&mut sim, "a", CALLER, DID, None);
    let now = sim.now.mono;
    let a = sim.far("a");
    let session = a.session();
    a.endpoint.cancel(now, session, None);
    sim.drain();
    assert!(sim.settled.is_empty());
    let authorize = sim.authorizations[0].clone();
    let answer = sim.judge(&authorize);
    sim.reply(Reply::Authorized { call: authorize.call, answer });
    assert_eq!(sim.far("phone").count("INVITE"), 0);
    assert_eq!(sim.record().legs.len(), 1);
    sim.assert_clean();
}

#[test]
fn an_inbound_call_that_may_not_be_is_refused_with_its_row() {
    let mut sim = inbound();
    dial_in(&mut sim, "a", CALLER, "sip:+861000000000@198.51.100.1", None);
    assert_eq!(codes(&mut sim, "a"), [404], "no such number");
    sim.ledger.refuse = Some(facts::Refusal::NoBalance);
    dial_in(&mut sim, "a", CALLER, DID, None);
    assert_eq!(codes(&mut sim, "a"), [404, 402]);
    assert!(sim.settled.is_empty());
    sim.command(Command::Drain { grace: s(5) });
    dial_in(&mut sim, "a", CALLER, DID, None);
    assert_eq!(codes(&mut sim, "a"), [404, 402, 503]);
    sim.assert_clean();
}

#[test]
fn an_extension_calls_out_with_its_password_and_its_merchant_pays() {
    let mut sim = inbound();
    let from = format!("<sip:80001@{REALM}>");
    dial_in(&mut sim, "phone", &from, &format!("sip:01088880000@{REALM}"), own());
    assert_eq!(sim.authorizations[0].command.merchant, MERCHANT);
    assert_eq!(sim.authorizations[0].legs[0].number, Number::E164(NUMBER_B.into()));
    let invite = sim.far("b").last("INVITE").clone();
    assert_eq!(invite.from().unwrap().uri.user.as_deref(), Some("+861088889999"));
    sim.pick_up("b");
    sim.advance(s(61));
    sim.hang_up("phone");
    let record = sim.record().clone();
    assert_eq!(record.leg(LegNo::B).unwrap().talk(), s(61));
    assert_eq!(record.leg(LegNo::A).unwrap().number, Number::Internal("80001".into()));
    sim.assert_clean();
}

/// The peer hears the same 401 for each; the shell hears who it was and why.
#[test]
fn who_is_turned_away_is_told_with_source_user_and_reason() {
    let mut sim = sim_with(|snapshot| {
        let off = facts::settings::Extension { enabled: false, ..extension("80002", "right") };
        snapshot.extensions.insert("80002".into(), off);
    });
    for (what, code, why) in [
        (Try { password: "wrong", ..REGISTER }, 401, Denial::WrongPassword),
        (Try { user: "89999", ..REGISTER }, 401, Denial::UnknownUser),
        (Try { user: "80002", ..REGISTER }, 401, Denial::Disabled),
        (Try { expires: Some("30"), ..REGISTER }, 423, Denial::TooBrief),
    ] {
        sim.turned_away.clear();
        assert_eq!(register(&mut sim, &what).0, code, "{why:?}");
        assert_eq!(sim.turned_away.len(), 1, "once, not for the first challenge: {why:?}");
        let told = &sim.turned_away[0];
        assert_eq!((told.source, told.method, told.why), (addr(PHONE), "REGISTER", why));
        assert_eq!(told.user.as_deref(), Some(what.user));
    }
    sim.turned_away.clear();
    assert_eq!(register(&mut sim, &REGISTER).0, 200);
    assert_eq!(sim.turned_away, [], "nobody was");
    let labels: std::collections::BTreeSet<_> = Denial::ALL.map(Denial::as_str).into();
    assert_eq!(labels.len(), Denial::ALL.len(), "each has a label of its own");
}

#[test]
fn a_stranger_is_challenged_only_under_our_own_name() {
    let mut sim = inbound();
    sim.add("stranger", "203.0.113.99:5060", 160);
    let to = format!("sip:01088880000@{REALM}");
    dial_in(&mut sim, "stranger", &format!("<sip:80001@{REALM}>"), &to, None);
    assert_eq!(codes(&mut sim, "stranger"), [401]);
    assert_eq!(sim.turned_away, [], "asked, not refused");
    dial_in(&mut sim, "stranger", "<sip:80001@elsewhere.example>", &to, None);
    assert_eq!(codes(&mut sim, "stranger"), [401, 403]);
    // A From that looks like a carrier's makes no carrier.
    dial_in(&mut sim, "stranger", CALLER, DID, None);
    assert_eq!(codes(&mut sim, "stranger"), [401, 403, 403]);
    let told: Vec<_> = sim.turned_away.iter().map(|told| (told.method, told.why)).collect();
    assert_eq!(told, [("INVITE", Denial::Stranger); 2]);
    assert_eq!(Denial::of(Kind::NoRoute), Some(Denial::NoRoute));
    assert_eq!(Denial::of(Kind::Shutdown), None, "no doing of the caller's");
    assert!(sim.authorizations.is_empty());
    sim.assert_clean();
}

/// What a phone dials is an extension, a number that a route leads to, or a short code that a route names;
/// anything else is refused before the ledger is asked, and nothing goes to a carrier.
#[test]
fn rfc3261_21_4_5_a_mistyped_extension_is_unallocated_and_goes_to_no_carrier() {
    let mut sim = sim_with(|snapshot| {
        let everything = facts::settings::Route::new("", TrunkId(1), 1);
        let named = facts::settings::Route::new("10086", TrunkId(1), 1);
        snapshot.routes.extend([everything, named]);
    });
    register(&mut sim, &REGISTER);
    let from = format!("<sip:80001@{REALM}>");
    for (dialled, code, why) in [
        ("80099", 404, Denial::UnknownNumber),
        ("110", 404, Denial::UnknownNumber),
        ("12x", 484, Denial::BadNumber),
    ] {
        sim.turned_away.clear();
        sim.far("phone").events.clear();
        dial_in(&mut sim, "phone", &from, &format!("sip:{dialled}@{REALM}"), own());
        assert_eq!(codes(&mut sim, "phone").last(), Some(&code), "{dialled}");
        assert_eq!(sim.turned_away.iter().map(|told| told.why).collect::<Vec<_>>(), [why]);
        assert!(sim.authorizations.is_empty(), "{dialled}");
    }
    dial_in(&mut sim, "phone", &from, &format!("sip:10086@{REALM}"), own());
    assert_eq!(sim.authorizations.len(), 1, "this one is named");
    assert_eq!(sim.far("a").last("INVITE").to().unwrap().uri.user.as_deref(), Some("10086"));
}

/// Advisory class 12: whoever forges an address must not aim eleven refusals at it.
#[test]
fn rfc3261_8_2_7_a_stranger_draws_one_refusal_and_no_more() {
    let invite = |n: u32, hops: u32| {
        format!(
            "INVITE sip:01088880000@192.0.2.1 SIP/2.0\n\
             Via: SIP/2.0/UDP 203.0.113.66:5060;branch=z9hG4bKforged{n}\n\
             Max-Forwards: {hops}\nFrom: <sip:1@elsewhere.example>;tag=x\nTo: <sip:2@h>\n\
             Call-ID: forged{n}\nCSeq: 1 INVITE\nContact: <sip:1@203.0.113.66>\n\
             Content-Length: 0\n\n"
        )
    };
    let mut sim = inbound();
    // What goes to an address where nobody is counts as lost: 100 and 403, then nothing more.
    sim.raw("203.0.113.66:5060", &invite(1, 70));
    assert_eq!(sim.lost, 2);
    sim.advance(s(40));
    assert_eq!(sim.lost, 2, "403 is not resent");
    sim.raw("203.0.113.66:5060", &invite(2, 0));
    sim.advance(s(40));
    assert_eq!(sim.lost, 3, "483 is sent by the endpoint, without a 100");
    sim.command(Command::Drain { grace: s(30) });
    sim.raw("203.0.113.66:5060", &invite(3, 70));
    sim.advance(s(40));
    assert_eq!(sim.lost, 5, "100 and 503");
    sim.assert_clean();
}

#[test]
fn a_trunk_that_is_full_takes_no_more() {
    let mut sim = inbound();
    let mut snapshot = sim.snapshot.clone();
    snapshot.trunks.get_mut(&TrunkId(1)).unwrap().max_calls = Some(1);
    sim.command(Command::Settings(Arc::new(snapshot)));
    dial_in(&mut sim, "a", CALLER, DID, None);
    dial_in(&mut sim, "a", CALLER, DID, None);
    assert_eq!(codes(&mut sim, "a"), [503]);
    sim.pick_up("phone");
    sim.hang_up("phone");
    assert_eq!(sim.engine.counts().trunk_legs, 0);
    sim.assert_clean();
}

#[test]
fn rfc3261_13_3_1_4_a_200_that_is_never_acknowledged_is_a_lost_dialog() {
    let mut sim = inbound();
    dial_in(&mut sim, "a", CALLER, DID, None);
    sim.far("a").muted = true;
    sim.pick_up("phone");
    sim.advance(s(40));
    assert_eq!(sim.far("phone").count("BYE"), 1, "B does not stay alone");
    let why = Failure::new(Origin::LegA, Kind::LostDialog);
    assert_eq!(sim.record().outcome, Outcome::Failed(why));
    assert_eq!(sim.record().leg(LegNo::A).unwrap().q850, Some(41));
    sim.unmute("a");
    sim.assert_clean();
}

#[test]
fn rfc3261_9_2_a_caller_who_cancels_while_our_200_waits_for_its_row_ends_the_call() {
    let mut sim = inbound();
    dial_in(&mut sim, "a", CALLER, DID, None);
    sim.ring("phone", 180, None);
    sim.ledger.journals = false;
    sim.pick_up("phone");
    assert_eq!(codes(&mut sim, "a"), [180], "the 200 waits");
    sim.hang_up("a");
    assert_eq!(codes(&mut sim, "a"), [180, 487]);
    sim.advance(ms(401));
    assert_eq!(codes(&mut sim, "a"), [180, 487], "no 200 after that");
    assert_eq!(sim.far("phone").count("BYE"), 1, "B does not stay alone");
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.ledger.journals = true;
    sim.assert_clean();
}

#[test]
fn rfc3264_a_late_offer_is_made_in_the_200_and_answered_in_the_ack() {
    let mut sim = inbound();
    dial_in_with(&mut sim, "a", (CALLER, DID), None, (20, true));
    sim.pick_up("phone");
    let offer = sim.far("a").events.iter().find_map(|event| match event {
        Event::Answered { sdp, .. } => sdp.clone(),
        _ => None,
    });
    let offer = String::from_utf8(offer.expect("an offer").to_vec()).unwrap();
    assert!(offer.contains("m=audio"), "{offer}");
    sim.hang_up("phone");
    assert_eq!(sim.settled.len(), 1);
    sim.assert_clean();
}

#[test]
fn rfc3264_4_an_ack_without_the_answer_that_our_200_needs_ends_the_call() {
    let mut sim = inbound();
    dial_in_with(&mut sim, "a", (CALLER, DID), None, (20, true));
    sim.pick_up("phone");
    let session = sim.far("a").session();
    sim.far("a").endpoint.acknowledge(session, bytes::Bytes::new());
    sim.drain();
    assert_eq!((sim.far("a").count("BYE"), sim.far("phone").count("BYE")), (1, 1));
    let why = Failure::new(Origin::LegA, Kind::NotAcceptable);
    assert_eq!(sim.record().outcome, Outcome::Failed(why));
    sim.assert_clean();
}

#[test]
fn a8_rfc3261_16_3_no_hop_left_is_not_passed_on_and_the_last_one_is() {
    let mut sim = inbound();
    dial_in_with(&mut sim, "a", (CALLER, DID), None, (0, false));
    assert_eq!(codes(&mut sim, "a"), [483]);
    assert!(sim.authorizations.is_empty());
    dial_in_with(&mut sim, "a", (CALLER, DID), None, (1, false));
    // This phone is a switch itself and goes no further.
    assert_eq!(sim.far("phone").last("INVITE").max_forwards().unwrap(), Some(0));
    sim.assert_clean();
}

#[test]
fn case_36_a_contact_dies_with_its_connection() {
    let mut sim = sim();
    let remote = addr("203.0.113.7:50000");
    let flow = |connection| Flow {
        transport: sip::endpoint::Transport::Tcp,
        local: addr(US),
        remote,
        connection: Some(connection),
    };
    let register = |authorization: &str, cseq: u32| {
        let text = format!(
            "REGISTER sip:{REALM} SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.1:5060;branch=z9hG4bKr{cseq}\r\n\
             From: <sip:80001@{REALM}>;tag=t\r\nTo: <sip:80001@{REALM}>\r\nCall-ID: tcp\r\n\
             CSeq: {cseq} REGISTER\r\nMax-Forwards: 70\r\n{authorization}\
             Contact: <sip:80001@10.0.0.1:5060;transport=tcp>\r\nContent-Length: 0\r\n\r\n"
        );
        bytes::Bytes::from(text)
    };
    let answer = |sim: &mut Sim| {
        std::iter::from_fn(|| sim.engine.poll_effect()).find_map(|effect| match effect {
            call::Effect::Transmit(transmit) => Message::parse(transmit.bytes).ok(),
            _ => None,
        })
    };
    sim.engine.handle_message(sim.now, flow(1), register("", 1));
    let challenge = answer(&mut sim).unwrap();
    let (_, challenge) = sip::digest::challenge_of(&challenge, Some(REALM)).unwrap();
    let uri = format!("sip:{REALM}");
    let credentials = challenge.answer("80001", "right", "REGISTER", &uri, 1, "cnonce").unwrap();
    let header = format!("Authorization: {credentials}\r\n");
    sim.engine.handle_message(sim.now, flow(1), register(&header, 2));
    assert_eq!(answer(&mut sim).unwrap().status(), Some(200));
    assert_eq!(sim.engine.counts().bindings, 1);
    sim.engine.handle_flow_error(sim.now, flow(2));
    assert_eq!(sim.engine.counts().bindings, 1, "another connection");
    sim.engine.handle_flow_error(sim.now, flow(1));
    assert_eq!(sim.engine.counts().bindings, 0);
}

#[test]
fn a_phone_in_a_carriers_network_is_a_phone_and_proves_it() {
    let mut sim = inbound();
    sim.add("near", "192.0.2.1:40000", 170);
    let from = format!("<sip:80001@{REALM}>");
    let to = format!("sip:01088880000@{REALM}");
    dial_in(&mut sim, "near", &from, &to, None);
    assert_eq!(codes(&mut sim, "near"), [401]);
    dial_in(&mut sim, "near", &from, &to, own());
    assert_eq!(sim.far("b").count("INVITE"), 1);
    assert_eq!(sim.authorizations[0].command.a.number, Number::Internal("80001".into()));
    sim.refuse("b", 486, None);
    assert_eq!(codes(&mut sim, "near"), [401, 486]);
    sim.assert_clean();
}
