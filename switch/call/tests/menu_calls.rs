//! Telephones that call the code of a menu (`*6655*123#`, an INVITE with sound): by messages where the phone takes them,
//! read out where it does not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "common/asker.rs"]
mod asker;
mod common;
#[path = "common/menus.rs"]
mod menu_tools;

use common::phones::{DESK, SOFT, bind, invite, own};
use common::{MERCHANT, REALM, Sim, s};
use facts::media::{MediaEvent, Source, Tone};
use facts::sound::Unplayable;
use facts::speech::Speech;
use facts::ussd::{Door, End, Screen};
use facts::{Kind, LegNo, Outcome, Side, TrunkId};
use menu_tools::*;
use sip::endpoint::{Answer, Endpoint, EndpointConfig, Event, Listener, Transport};
use sip::wire::Method;

const CODE: &str = "*6655*123%23";

/// 80001 at its desk, registered. `messages`: its Allow has MESSAGE, and it answers those when it likes.
fn desk(messages: bool) -> Sim {
    let mut sim = sim();
    sim.add("desk", DESK, 180);
    sim.add("soft", SOFT, 181);
    bind(&mut sim, &[("80001", DESK), ("80002", SOFT)]);
    let far = sim.far("desk");
    let listener = Listener { transport: Transport::Udp, bind: far.at, advertised: far.at };
    far.endpoint = Endpoint::new(EndpointConfig {
        listeners: vec![listener],
        engine: 180,
        seed: [180; 32],
        methods: Vec::from_iter(messages.then_some(Method::Message)),
        ..EndpointConfig::default()
    });
    sim
}

/// It calls the code.
fn calls_code(sim: &mut Sim) {
    let from = format!("<sip:80001@{REALM}>");
    let to = format!("sip:{CODE}@{REALM}");
    invite(sim, "desk", (&from, &to), own("80001"), &[]);
}

/// The final answer to the latest INVITE of a far end.
fn told(sim: &Sim, name: &str) -> Option<u16> {
    let mut heard = sim.fars[name].heard.iter().rev();
    heard.find_map(|message| message.status().filter(|code| *code >= 200))
}

fn said(sim: &Sim) -> String {
    match sim.hears(LegNo::A) {
        Some(Source::Url(address)) => {
            let speech = Speech::read(address).unwrap();
            assert_eq!((speech.merchant, speech.language.as_str()), (MERCHANT, "fa"));
            speech.text
        }
        other => panic!("{other:?}"),
    }
}

fn played(sim: &mut Sim) {
    let leg = sim.leg(LegNo::A);
    sim.media(MediaEvent::Played { leg });
}

fn keys(sim: &mut Sim, keys: &str) {
    let leg = sim.leg(LegNo::A);
    for digit in keys.chars() {
        sim.media(MediaEvent::Digit { leg, digit });
    }
}

/// Answers the latest MESSAGE of ours to the desk.
fn takes(sim: &mut Sim, code: u16) -> String {
    let now = sim.now.mono;
    let far = sim.far("desk");
    let text = String::from_utf8(far.last("MESSAGE").body().to_vec()).unwrap();
    let asked = far.events.iter().rev().find_map(|event| match event {
        Event::Request { id, .. } => Some(*id),
        _ => None,
    });
    let request = asked.unwrap();
    far.endpoint.respond(now, request, Answer { code, ..Answer::default() });
    sim.drain();
    text
}

#[test]
fn s5_6_whoever_calls_a_code_hears_what_there_is_to_see_and_types_by_keys() {
    let mut sim = desk(false);
    calls_code(&mut sim);
    let step = &sim.pages[0];
    assert_eq!((step.mobile.as_str(), step.door), ("989351112233", Door::Call));
    assert_eq!(sim.authorizations[0].legs, [], "the call itself costs nothing");
    assert_eq!(told(&sim, "desk"), Some(200));
    keys(&mut sim, "9#");
    assert_eq!(sim.pages.len(), 1, "nothing was said to type into");
    let long = "الف ".repeat(200);
    say(&mut sim, menu(&long));
    assert_eq!(said(&sim), long.trim(), "whole, however long");
    sim.advance(s(70));
    assert!(sim.overs.is_empty(), "whoever listens is not silent");
    played(&mut sim);
    keys(&mut sim, "4711#");
    assert_eq!(calls(&sim), ["*6655*123", "*6655*123*4711"]);
    say(&mut sim, menu(PROMPT));
    // A key cuts off what is said; a pause ends the keys.
    keys(&mut sim, "5");
    assert_eq!(sim.hears(LegNo::A), Some(&Source::Silence));
    sim.advance(s(3));
    keys(&mut sim, "6");
    sim.advance(s(5));
    assert_eq!(calls(&sim)[2], "*6655*123*4711*56");
    say(&mut sim, menu(PROMPT));
    played(&mut sim);
    keys(&mut sim, "#");
    assert_eq!((said(&sim).as_str(), sim.pages.len()), (PROMPT, 3), "once more");
    keys(&mut sim, "1#");
    say(&mut sim, last(DONE));
    assert_eq!(said(&sim), DONE);
    assert_eq!(over(&sim), (End::Said, 4));
    keys(&mut sim, "1#");
    assert!(!sim.far("desk").ended(), "it is heard to its end");
    played(&mut sim);
    assert!(sim.far("desk").ended());
    assert_eq!(
        (sim.record().outcome, sim.record().released_by),
        (Outcome::Completed, Side::Platform)
    );
    assert_eq!((sim.pages.len(), sim.fars["desk"].count("MESSAGE")), (4, 0));
    sim.assert_clean();
}

#[test]
fn s5_6_rfc3428_a_phone_that_takes_messages_reads_its_menu_while_the_call_is_up() {
    let mut sim = desk(true);
    calls_code(&mut sim);
    say(&mut sim, menu(PROMPT));
    assert_eq!(sim.hears(LegNo::A), Some(&Source::Tone(Tone::Hold)), "the call is up");
    assert_eq!(takes(&mut sim, 200), PROMPT);
    keys(&mut sim, "4711#");
    assert_eq!(calls(&sim), ["*6655*123", "*6655*123*4711"]);
    say(&mut sim, menu("1 or 2?"));
    takes(&mut sim, 200);
    // Or by a message.
    let mut writer = asker::Asker::new(&mut sim, "desk", "80001");
    assert_eq!(writes(&mut sim, &mut writer, "2"), 200);
    sim.unmute("desk");
    assert_eq!(calls(&sim)[2], "*6655*123*4711*2");
    // Or by a message in the dialog of the call.
    say(&mut sim, menu("and now?"));
    takes(&mut sim, 200);
    let now = sim.now.mono;
    let far = sim.far("desk");
    let session = far.session();
    let text = bytes::Bytes::from_static(b"hello");
    far.endpoint.message(now, session, &[], ("text/plain", text)).unwrap();
    sim.drain();
    assert_eq!(calls(&sim)[3], "*6655*123*4711*2*hello");
    say(&mut sim, last(DONE));
    assert!(!sim.far("desk").ended(), "not before the last screen is there");
    assert_eq!(takes(&mut sim, 200), DONE);
    assert!(sim.far("desk").ended());
    assert_eq!(over(&sim), (End::Said, 4));
    sim.assert_clean();
    // Its BYE is the end of the session.
    let mut sim = desk(true);
    calls_code(&mut sim);
    say(&mut sim, menu(PROMPT));
    takes(&mut sim, 200);
    sim.hang_up("desk");
    assert_eq!(over(&sim), (End::Left, 1));
    sim.assert_clean();
}

/// The desk writes in the dialog of its call; what that is answered with.
fn writes_within(sim: &mut Sim, content_type: &str, text: &str) -> u16 {
    let now = sim.now.mono;
    let far = sim.far("desk");
    let session = far.session();
    let body = (content_type, bytes::Bytes::from(text.to_owned()));
    far.endpoint.message(now, session, &[], body).unwrap();
    sim.drain();
    let ours = |message: &&sip::wire::Message| {
        message.cseq().is_ok_and(|cseq| cseq.method == Method::Message)
    };
    let mut answers = sim.fars["desk"].heard.iter().rev().filter(ours);
    answers.find_map(sip::wire::Message::status).unwrap()
}

#[test]
fn rfc3428_8_what_is_written_in_the_dialog_of_a_menu_is_bounded_as_it_is_elsewhere() {
    let mut sim = desk(true);
    calls_code(&mut sim);
    say(&mut sim, menu(PROMPT));
    takes(&mut sim, 200);
    assert_eq!(writes_within(&mut sim, "application/im-iscomposing+xml", "<a/>"), 200);
    assert_eq!(writes_within(&mut sim, "image/png", "x"), 415);
    assert_eq!(writes_within(&mut sim, "text/plain", &"x".repeat(1_301)), 413);
    assert_eq!(sim.pages.len(), 1, "none of it is typed");
    let told: Vec<u16> = (0..21).map(|_| writes_within(&mut sim, "text/plain", "1")).collect();
    assert_eq!((&told[..20], told[20]), (&[200; 20][..], 503));
    assert_eq!(calls(&sim).last().unwrap(), "*6655*123*1", "the page was asked once");
    say(&mut sim, last(DONE));
    assert_eq!(takes(&mut sim, 200), DONE);
    sim.assert_clean();
}

#[test]
fn s5_6_what_is_said_is_the_menus_merchants_whoever_calls_it() {
    let other = facts::MerchantId(77);
    let mut sim = sim_with(|snapshot| {
        let merchant = snapshot.merchants[&MERCHANT].clone();
        snapshot.merchants.insert(other, merchant);
        let code = snapshot.ussd.values_mut().find(|code| code.code.to_string() == "*6655*123#");
        std::sync::Arc::make_mut(code.unwrap()).merchant = other;
    });
    sim.add("desk", DESK, 180);
    bind(&mut sim, &[("80001", DESK)]);
    calls_code(&mut sim);
    say(&mut sim, menu(PROMPT));
    let heard = match sim.hears(LegNo::A) {
        Some(Source::Url(address)) => Speech::read(address).unwrap(),
        heard => panic!("{heard:?}"),
    };
    assert_eq!((heard.merchant, heard.text.as_str()), (other, PROMPT));
    assert_eq!(sim.authorizations[0].command.merchant, MERCHANT);
    sim.hang_up("desk");
    sim.assert_clean();
}

#[test]
fn s5_6_a_phone_that_refuses_the_message_after_all_hears_it() {
    for code in [405, 415, 501, 480] {
        let mut sim = desk(true);
        calls_code(&mut sim);
        say(&mut sim, menu(PROMPT));
        takes(&mut sim, code);
        assert_eq!(said(&sim), PROMPT, "{code}");
        assert!(sim.overs.is_empty());
        played(&mut sim);
        keys(&mut sim, "1#");
        say(&mut sim, last(DONE));
        assert_eq!((said(&sim).as_str(), sim.fars["desk"].count("MESSAGE")), (DONE, 1));
        played(&mut sim);
        assert!(sim.far("desk").ended());
        assert_eq!(over(&sim), (End::Said, 2));
        sim.assert_clean();
    }
    // The last word too.
    let mut sim = desk(true);
    calls_code(&mut sim);
    say(&mut sim, last(DONE));
    takes(&mut sim, 405);
    assert_eq!(said(&sim), DONE);
    played(&mut sim);
    assert!(sim.far("desk").ended());
    sim.assert_clean();
}

#[test]
fn s5_6_what_can_be_neither_shown_nor_said_ends_with_an_announcement() {
    let mut sim = desk(false);
    calls_code(&mut sim);
    say(&mut sim, menu(PROMPT));
    let leg = sim.leg(LegNo::A);
    sim.media(MediaEvent::Unplayable { leg, why: Unplayable::Missing });
    let heard = sim.hears(LegNo::A);
    assert!(
        matches!(heard, Some(Source::Prompt(prompt))
        if prompt.name == "menu-unsaid" && prompt.language == "fa"),
        "{heard:?}"
    );
    assert_eq!(over(&sim), (End::Lost, 1));
    played(&mut sim);
    assert!(sim.far("desk").ended());
    sim.assert_clean();
}

#[test]
fn s5_2_times_and_refusals_of_a_menu_that_is_called_are_those_of_every_door() {
    // Nothing typed.
    let mut sim = desk(false);
    calls_code(&mut sim);
    say(&mut sim, menu(PROMPT));
    played(&mut sim);
    sim.advance(s(61));
    assert_eq!(over(&sim), (End::Silent, 1));
    assert!(sim.far("desk").ended());
    sim.assert_clean();
    // No page: words of ours, which are heard.
    let mut sim = desk(false);
    calls_code(&mut sim);
    say(&mut sim, Screen::Unavailable);
    assert_eq!((said(&sim).as_str(), over(&sim)), (AWAY, (End::Unavailable, 1)));
    sim.hang_up("desk");
    sim.assert_clean();
    // Who dials anew leaves the menu before, and its call.
    let mut sim = desk(false);
    calls_code(&mut sim);
    say(&mut sim, menu(PROMPT));
    calls_code(&mut sim);
    assert_eq!((over(&sim), sim.engine.counts().menus), ((End::Left, 1), 1));
    sim.advance(s(1));
    assert_eq!(sim.settled.len(), 1);
    sim.hang_up("desk");
    sim.assert_clean();
}

#[test]
fn s5_6_whoever_is_not_let_in_by_the_ledger_in_time_leaves_no_menu_behind() {
    let mut sim = desk(false);
    sim.ledger.answers = false;
    calls_code(&mut sim);
    sim.advance(s(120));
    assert!(told(&sim, "desk").is_some_and(|code| code >= 400));
    assert!(sim.pages.is_empty(), "no menu was begun");
    assert_eq!((sim.engine.counts().menus, sim.engine.counts().shown), (0, 0));
    sim.assert_clean();
}

#[test]
fn s5_6_who_is_nobody_or_dials_no_code_gets_no_menu() {
    let mut sim = desk(false);
    let from = format!("<sip:80002@{REALM}>");
    let to = format!("sip:{CODE}@{REALM}");
    invite(&mut sim, "soft", (&from, &to), own("80002"), &[]);
    assert_eq!(told(&sim, "soft"), Some(403), "whose number is not known");
    let mut sim = desk(false);
    let from = format!("<sip:80001@{REALM}>");
    invite(&mut sim, "desk", (&from, &format!("sip:*6655*9%23@{REALM}")), own("80001"), &[]);
    assert!(matches!(told(&sim, "desk"), Some(404 | 484)), "{:?}", told(&sim, "desk"));
    let mut sim = sim_with(|snapshot| {
        snapshot.merchants.get_mut(&MERCHANT).unwrap().enabled = false;
    });
    sim.add("desk", DESK, 180);
    calls_code(&mut sim);
    assert!(told(&sim, "desk").is_some_and(|code| code >= 400));
    assert!(sim.pages.is_empty());
    sim.assert_clean();
}

#[test]
fn s5_6_a_carrier_leads_its_callers_to_menus_where_the_operator_lets_it() {
    let asserted = [("P-Asserted-Identity", "<sip:+989351112233@home1.net>")];
    let trial = |menus: bool, untrusted: bool, headers: &[(&str, &str)]| {
        let mut sim = sim_with(|snapshot| {
            let options = &mut snapshot.trunks.get_mut(&TrunkId(1)).unwrap().options;
            (options.menus, options.untrusted) = (menus, untrusted);
        });
        sim.far("a").muted = false;
        let to = format!("sip:{CODE}@198.51.100.1");
        invite(&mut sim, "a", ("<sip:+989120000000@home1.net>", &to), None, headers);
        sim
    };
    let mut sim = trial(true, false, &asserted);
    assert_eq!((sim.pages[0].mobile.as_str(), sim.pages[0].door), ("989351112233", Door::Call));
    say(&mut sim, last(DONE));
    assert_eq!(said(&sim), DONE);
    played(&mut sim);
    assert_eq!((over(&sim), sim.far("a").ended()), ((End::Said, 1), true));
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
    let none: &[(&str, &str)] = &[];
    for (menus, untrusted, headers) in
        [(false, false, &asserted[..]), (true, true, &asserted[..]), (true, false, none)]
    {
        let sim = trial(menus, untrusted, headers);
        assert!(sim.pages.is_empty() && told(&sim, "a").is_some_and(|code| code >= 400));
    }
}

#[test]
fn s5_6_a_menu_is_over_when_its_call_is_lost_and_when_the_switch_goes_down() {
    let mut sim = desk(false);
    calls_code(&mut sim);
    say(&mut sim, menu(PROMPT));
    let leg = sim.leg(LegNo::A);
    sim.media(MediaEvent::Silent { leg, since: s(0) });
    assert_eq!(over(&sim), (End::Left, 1));
    assert!(
        matches!(sim.record().outcome, Outcome::Failed(failure) if failure.kind == Kind::MediaSilence)
    );
    sim.assert_clean();
    let mut sim = desk(true);
    calls_code(&mut sim);
    say(&mut sim, menu(PROMPT));
    sim.command(call::Command::Drain { grace: s(5) });
    sim.advance(s(6));
    assert_eq!((sim.overs.len(), sim.engine.counts().menus), (1, 0));
    assert!(sim.far("desk").ended());
}
