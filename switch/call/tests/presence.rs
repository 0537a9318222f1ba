//! Subscriptions (RFC 6665) to mailboxes (RFC 3842) and to calls (RFC 4235): who may, what is told when, and
//! what ends them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "common/asker.rs"]
mod asker;
mod common;
#[path = "common/transfers.rs"]
mod transfers;

use std::sync::Arc;

use asker::Asker;
use call::Command;
use common::phones::{DESK, SOFT, bind, call_from, invite, own};
use common::{MERCHANT, REALM, Sim, extension, ms, s, sdp_of};
use sip::wire::HeaderName;
use transfers::refer;

const PANEL: &str = "203.0.113.9:40009";

/// A panel (80009) that watches a desk (80001) and a soft phone (80002), and a phone of somebody else.
fn sim() -> Sim {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            for user in ["80001", "80002", "80009"] {
                snapshot.extensions.insert(user.into(), extension(user, "right"));
            }
            let mut stranger = extension("90001", "right");
            stranger.merchant.0 = MERCHANT.0 + 1;
            snapshot.extensions.insert("90001".into(), stranger);
        },
    );
    sim.add("desk", DESK, 190);
    sim.add("soft", SOFT, 191);
    sim.add("panel", PANEL, 192);
    bind(&mut sim, &[("80001", DESK), ("80002", SOFT)]);
    sim
}

fn mail(sim: &mut Sim, user: &str, new: u32, old: u32) {
    sim.command(Command::Mailbox { user: user.into(), new, old });
}

/// The words of a dialog-info that tell one state from another.
fn states(body: &str) -> Vec<String> {
    body.split("<state>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
}

fn version(body: &str) -> u32 {
    body.split("version=\"").nth(2).unwrap().split('"').next().unwrap().parse().unwrap()
}

#[test]
fn b7_rfc3842_a_phone_is_told_of_its_mailbox_at_once_and_at_each_change() {
    let mut sim = sim();
    mail(&mut sim, "80009", 2, 8);
    let mut panel = Asker::new(&mut sim, "panel", "80009");
    let answer = panel.subscribe_with(&mut sim, "message-summary", "80009", "Expires: 600\n");
    assert_eq!(answer.header(HeaderName::Expires), Some(b"600".as_slice()));
    assert!(answer.contact().is_ok(), "RFC 6665 §4.2.1.1: a 200 bears one");
    let first = panel.notifies(&sim).pop().unwrap();
    assert_eq!(first.header(HeaderName::Event), Some(b"message-summary".as_slice()));
    assert_eq!(first.content_type(), Some("application/simple-message-summary"));
    let (state, body) = panel.told(&sim);
    assert_eq!(state, "active;expires=600");
    assert_eq!(
        body,
        "Messages-Waiting: yes\r\nMessage-Account: sip:80009@tandem.test\r\nVoice-Message: 2/8 (0/0)\r\n"
    );
    panel.answer(&mut sim, 200, "");
    mail(&mut sim, "80009", 2, 8);
    assert_eq!(panel.notifies(&sim).len(), 1, "nothing has changed");
    mail(&mut sim, "80009", 0, 1);
    let (_, body) = panel.told(&sim);
    assert!(body.starts_with("Messages-Waiting: no\r\n") && body.contains(" 0/1 "), "{body}");
    mail(&mut sim, "80001", 1, 0);
    assert_eq!(panel.notifies(&sim).len(), 2, "that is another mailbox");
}

#[test]
fn b7_rfc4235_a_lamp_follows_the_calls_of_an_extension() {
    let mut sim = sim();
    let mut panel = Asker::new(&mut sim, "panel", "80009");
    assert_eq!(panel.subscribe(&mut sim, "dialog", "80001", 600), 200);
    let (_, body) = panel.told(&sim);
    assert!(
        states(&body).is_empty() && body.contains("entity=\"sip:80001@tandem.test\""),
        "{body}"
    );
    panel.answer(&mut sim, 200, "");

    call_from(&mut sim, "soft", "80002", "80001");
    let (_, body) = panel.told(&sim);
    assert_eq!(states(&body), ["trying"]);
    assert!(body.contains("direction=\"recipient\""), "{body}");
    assert!(body.contains("<remote><identity>sip:80002@tandem.test</identity>"), "{body}");
    panel.answer(&mut sim, 200, "");
    sim.ring("desk", 180, None);
    let (_, body) = panel.told(&sim);
    assert_eq!((states(&body), version(&body)), (vec!["early".to_owned()], 2));
    // RFC 4235 §4.1.1: as the watched phone knows its dialog, so that Replaces can name it.
    let invite = sim.fars["desk"].last("INVITE");
    let ours = invite.from_tag().unwrap().into_owned();
    let call_id = invite.call_id().unwrap().to_owned();
    assert!(body.contains(&format!("call-id=\"{call_id}\"")), "{body}");
    assert!(body.contains(&format!("remote-tag=\"{ours}\"")), "{body}");
    panel.answer(&mut sim, 200, "");
    sim.pick_up("desk");
    let (_, body) = panel.told(&sim);
    assert_eq!(states(&body), ["confirmed"]);
    assert!(body.contains("local-tag="), "{body}");
    panel.answer(&mut sim, 200, "");
    sim.advance(s(5));
    sim.hang_up("soft");
    let (_, body) = panel.told(&sim);
    assert_eq!((states(&body), version(&body)), (vec!["terminated".to_owned()], 4));
    panel.answer(&mut sim, 200, "");
    assert_eq!(panel.notifies(&sim).len(), 5);
}

#[test]
fn b7_rfc4235_who_calls_is_the_initiator_and_a_watcher_who_comes_late_sees_the_call() {
    let mut sim = sim();
    call_from(&mut sim, "desk", "80001", "01088880000");
    let mut panel = Asker::new(&mut sim, "panel", "80009");
    panel.subscribe(&mut sim, "dialog", "80001", 600);
    let (_, body) = panel.told(&sim);
    assert_eq!(states(&body), ["trying"]);
    assert!(
        body.contains("direction=\"initiator\"") && body.contains("sip:01088880000@"),
        "{body}"
    );
    panel.answer(&mut sim, 200, "");
    sim.ring("b", 180, None);
    assert_eq!(states(&panel.told(&sim).1), ["early"]);
    panel.answer(&mut sim, 200, "");
    sim.pick_up("b");
    assert_eq!(states(&panel.told(&sim).1), ["confirmed"]);
    panel.answer(&mut sim, 200, "");
    sim.hang_up("b");
    assert_eq!(states(&panel.told(&sim).1), ["terminated"]);
}

#[test]
fn b7_rfc4235_who_hides_from_the_phone_hides_from_those_who_watch_it() {
    let mut sim = sim();
    let mut panel = Asker::new(&mut sim, "panel", "80009");
    panel.subscribe(&mut sim, "dialog", "80001", 600);
    panel.answer(&mut sim, 200, "");
    let [from, to] = ["80002", "80001"].map(|user| format!("<sip:{user}@{REALM}>"));
    let to = to.trim_matches(['<', '>']).to_owned();
    invite(&mut sim, "soft", (&from, &to), own("80002"), &[("Privacy", "id")]);
    let (_, body) = panel.told(&sim);
    assert_eq!(states(&body), ["trying"]);
    assert!(body.contains("sip:anonymous@anonymous.invalid") && !body.contains("80002"), "{body}");
}

#[test]
fn b7_rfc4235_4_1_after_a_transfer_a_lamp_tells_who_is_there_now() {
    let mut sim = sim();
    let mut panel = Asker::new(&mut sim, "panel", "80009");
    call_from(&mut sim, "soft", "80002", "80001");
    sim.pick_up_with("desk", &sdp_of("c"));
    panel.subscribe(&mut sim, "dialog", "80001", 600);
    panel.answer(&mut sim, 200, "");
    assert!(panel.told(&sim).1.contains("<remote><identity>sip:80002@tandem.test</identity>"));
    assert_eq!(refer(&mut sim, "soft", &format!("<sip:01088880000@{REALM}>")), 202);
    sim.pick_up("b");
    let (_, body) = panel.told(&sim);
    assert_eq!(states(&body), ["confirmed"]);
    let remote = "<remote><identity>sip:01088880000@tandem.test</identity>";
    assert!(body.contains(remote) && !body.contains("80002"), "{body}");
}

#[test]
fn b7_rfc4235_a_code_that_changes_settings_lights_no_lamp() {
    let mut sim = sim();
    let mut panel = Asker::new(&mut sim, "panel", "80009");
    panel.subscribe(&mut sim, "dialog", "80001", 600);
    panel.answer(&mut sim, 200, "");
    call_from(&mut sim, "desk", "80001", "*78");
    sim.advance(s(5));
    assert!(sim.snapshot.extensions["80001"].reach.dnd, "it was done");
    assert_eq!(panel.notifies(&sim).len(), 1, "and nobody was told of a call");
}

#[test]
fn b7_rfc6665_4_2_2_one_notify_is_under_way_and_the_newest_state_wins() {
    let mut sim = sim();
    let mut panel = Asker::new(&mut sim, "panel", "80009");
    panel.subscribe(&mut sim, "message-summary", "80009", 600);
    for new in 1..=5 {
        mail(&mut sim, "80009", new, 0);
    }
    assert_eq!(panel.notifies(&sim).len(), 1, "the first has no answer yet");
    panel.answer(&mut sim, 200, "");
    let all = panel.notifies(&sim);
    assert_eq!(all.len(), 2);
    assert!(panel.told(&sim).1.contains(" 5/0 "));
    let number = |at: usize| all[at].cseq().unwrap().number;
    assert_eq!(number(1), number(0) + 1);
    panel.answer(&mut sim, 200, "");
    assert_eq!(panel.notifies(&sim).len(), 2, "and nothing is told twice");

    // A subscriber that asks for a pause gets it, and then what is new.
    mail(&mut sim, "80009", 6, 0);
    panel.answer(&mut sim, 503, "Retry-After: 20\n");
    mail(&mut sim, "80009", 7, 0);
    sim.advance(s(19));
    assert_eq!(panel.notifies(&sim).len(), 3);
    sim.advance(s(2));
    assert_eq!(panel.notifies(&sim).len(), 4);
    assert!(panel.told(&sim).1.contains(" 7/0 "));
    panel.answer(&mut sim, 200, "");
}

#[test]
fn b7_rfc6665_4_2_a_subscription_is_renewed_ended_and_runs_out() {
    let mut sim = sim();
    let mut panel = Asker::new(&mut sim, "panel", "80009");
    panel.subscribe(&mut sim, "message-summary;id=7", "80009", 100);
    panel.answer(&mut sim, 200, "");
    sim.advance(s(90));
    assert_eq!(panel.subscribe(&mut sim, "message-summary;id=7", "80009", 100), 200);
    assert_eq!(panel.told(&sim).0, "active;expires=100", "§4.2.1.4: a refresh is told as well");
    assert_eq!(
        panel.notifies(&sim).pop().unwrap().header(HeaderName::Event),
        Some(b"message-summary;id=7".as_slice())
    );
    panel.answer(&mut sim, 200, "");
    sim.advance(s(90));
    assert_eq!(sim.engine.counts().subscriptions, 1, "renewed");
    sim.advance(s(11));
    assert_eq!(panel.told(&sim).0, "terminated;reason=timeout");
    assert_eq!(sim.engine.counts().subscriptions, 0);
    let late = panel.ask(&mut sim, ("SUBSCRIBE", "80009"), "Event: message-summary\n", "").unwrap();
    assert_eq!(late.status(), Some(481), "§4.1.2.2: it begins anew");

    panel.afresh();
    panel.subscribe(&mut sim, "message-summary", "80009", 100);
    panel.answer(&mut sim, 200, "");
    assert_eq!(panel.subscribe(&mut sim, "message-summary", "80009", 0), 200);
    let (state, body) = panel.told(&sim);
    assert_eq!(state, "terminated;reason=timeout");
    assert!(body.starts_with("Messages-Waiting: no"), "{body}");
    assert_eq!(sim.engine.counts().subscriptions, 0);

    panel.afresh();
    assert_eq!(panel.subscribe(&mut sim, "dialog", "80001", 0), 200, "§4.4.3: a look");
    assert!(panel.told(&sim).1.contains("<dialog-info"));
    assert_eq!(sim.engine.counts().subscriptions, 0);
    sim.assert_clean();
}

#[test]
fn b7_rfc6665_4_2_2_a_subscriber_that_is_gone_is_told_no_more() {
    let mut sim = sim();
    let mut panel = Asker::new(&mut sim, "panel", "80009");
    for refusal in [481, 408, 404, 489, 401] {
        panel.afresh();
        panel.subscribe(&mut sim, "message-summary", "80009", 600);
        panel.answer(&mut sim, refusal, "");
        assert_eq!(sim.engine.counts().subscriptions, 0, "{refusal}");
    }
    panel.afresh();
    panel.subscribe(&mut sim, "dialog", "80001", 600);
    sim.advance(s(33));
    assert_eq!(sim.engine.counts().subscriptions, 0, "no answer at all");
    call_from(&mut sim, "soft", "80002", "80001");
    let before = panel.notifies(&sim).len();
    sim.ring("desk", 180, None);
    assert_eq!(panel.notifies(&sim).len(), before);
    sim.hang_up("soft");
    sim.assert_clean();
}

#[test]
fn b7_rfc6665_4_2_1_what_cannot_be_had_is_refused() {
    let mut sim = sim();
    let mut panel = Asker::new(&mut sim, "panel", "80009");
    let mut code = |sim: &mut Sim, event: &str, target: &str, headers: &str| {
        panel.afresh();
        let answer = panel.subscribe_with(sim, event, target, headers);
        assert!(panel.notifies(sim).is_empty());
        answer
    };
    let unknown = code(&mut sim, "presence", "80001", "");
    assert_eq!(unknown.status(), Some(489));
    assert_eq!(
        unknown.header(HeaderName::AllowEvents),
        Some(b"dialog".as_slice()),
        "the first of {:?}",
        unknown.lines(HeaderName::AllowEvents).collect::<Vec<_>>()
    );
    let brief = code(&mut sim, "dialog", "80001", "Expires: 59\n");
    assert_eq!(brief.status(), Some(423));
    assert_eq!(brief.header(HeaderName::MinExpires), Some(b"60".as_slice()));
    let long_id = format!("dialog;id={}", "x".repeat(65));
    for (event, target, headers, status) in [
        ("dialog", "90001", "", 403),
        ("dialog", "80055", "", 404),
        ("dialog", "80001", "Accept: application/pidf+xml\n", 406),
        ("dialog", "80001", "Expires: soon\n", 400),
        (long_id.as_str(), "80001", "", 400),
        ("Dialog", "80001", "", 489),
    ] {
        let answer = code(&mut sim, event, target, headers);
        assert_eq!(answer.status(), Some(status), "{event} {target} {headers}");
    }
    assert_eq!(sim.engine.counts().subscriptions, 0);
}

#[test]
fn b7_case_of_many_lamps_one_extension_has_so_many_subscriptions_and_then_503() {
    let mut sim = sim();
    let mut panel = Asker::new(&mut sim, "panel", "80009");
    for _ in 0..256 {
        panel.afresh();
        assert_eq!(panel.subscribe(&mut sim, "message-summary", "80009", 7_200), 200);
        panel.answer(&mut sim, 200, "");
    }
    panel.afresh();
    let refused = panel.subscribe_with(&mut sim, "dialog", "80001", "");
    assert_eq!(refused.status(), Some(503));
    assert!(refused.retry_after().is_some());
    assert_eq!(sim.engine.counts().subscriptions, 256);
    sim.advance(s(7_201));
    assert_eq!(sim.engine.counts().subscriptions, 0);
}

#[test]
fn b7_rfc6665_4_1_3_new_settings_end_what_may_not_be_watched_any_more() {
    let mut sim = sim();
    let mut panel = Asker::new(&mut sim, "panel", "80009");
    panel.subscribe(&mut sim, "dialog", "80001", 600);
    panel.answer(&mut sim, 200, "");
    let mut snapshot = sim.snapshot.clone();
    let moved = snapshot.extensions.get_mut("80001").unwrap();
    moved.merchant.0 += 1;
    sim.command(Command::Settings(Arc::new(snapshot)));
    assert_eq!(panel.told(&sim).0, "terminated;reason=rejected");
    assert_eq!(sim.engine.counts().subscriptions, 0);
}

#[test]
fn rfc6665_4_4_1_a_refresh_of_somebody_elses_subscription_is_refused() {
    let mut sim = sim();
    let mut panel = Asker::new(&mut sim, "panel", "80009");
    panel.subscribe(&mut sim, "dialog", "80001", 600);
    panel.answer(&mut sim, 200, "");
    panel.user = "80002";
    // Another From tag is another dialog; the right one with another password is found out.
    let stray = panel.ask(&mut sim, ("SUBSCRIBE", "80001"), "Event: dialog\n", "").unwrap();
    assert_eq!(stray.status(), Some(481));
    assert_eq!(sim.engine.counts().subscriptions, 1);
    sim.advance(ms(10));
}
