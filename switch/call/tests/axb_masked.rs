//! Privacy numbers: whoever else comes into a call by one knows neither of the two (merchant API §6).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "common/asker.rs"]
mod asker;
mod common;
#[path = "common/privacy.rs"]
mod privacy;
#[path = "common/transfers.rs"]
mod transfers;

use asker::Asker;
use call::{Answer, Command};
use common::phones::{DESK, PASSWORD, SOFT, bind, call_from, invite, own};
use common::team::told;
use common::*;
use facts::control::{Control, Led, Mode};
use facts::settings::{Identity, Snapshot};
use facts::{LegNo, Number};
use privacy::{X, bound, calls, nowhere};
use sip::wire::{HeaderName, Reason};
use transfers::{THIRD, dialog, refer, refer_with};

const PANEL: &str = "203.0.113.9:40009";
/// X as phones at home show it.
const X_AT_HOME: &str = "01087654321";

/// A (at carrier A) talks with B by X. 80001 to 80003 have a phone each; a panel watches the first two. Carriers may
/// transfer.
fn talking() -> (Sim, [Asker; 2]) {
    let mut sim = bound(
        |_| {},
        |snapshot| {
            for trunk in snapshot.trunks.values_mut() {
                trunk.options.transfer = Some(true);
                trunk.options.identity = Identity::Asserted;
            }
            snapshot.extensions.insert("80009".into(), extension("80009", PASSWORD));
        },
    );
    for (seed, (name, at)) in (170..).zip([("desk", DESK), ("soft", SOFT), ("third", THIRD)]) {
        sim.add(name, at, seed);
    }
    sim.add("panel", PANEL, 180);
    bind(&mut sim, &[("80001", DESK), ("80002", SOFT), ("80003", THIRD)]);
    let watchers = ["80001", "80002"].map(|watched| {
        let mut panel = Asker::new(&mut sim, "panel", "80009");
        assert_eq!(panel.subscribe(&mut sim, "dialog", watched, 300), 200);
        panel.answer(&mut sim, 200, "");
        panel
    });
    calls(&mut sim, "a", NUMBER_A, &[]);
    sim.pick_up("b");
    sim.advance(s(5));
    assert!(sim.engine.live()[0].bridged.is_some());
    (sim, watchers)
}

/// The user part of From in the latest INVITE of a far end.
fn shown(sim: &Sim, name: &str) -> String {
    let from = sim.fars[name].last("INVITE").from().unwrap();
    from.uri.user_text().unwrap_or_default()
}

/// Nobody but the switch has heard the numbers of the two, the two not each other's.
fn masked(sim: &Sim) {
    for (name, number) in [("a", NUMBER_B), ("b", NUMBER_A)] {
        nowhere(sim, name, number);
    }
    for name in ["c", "desk", "soft", "third", "panel"] {
        nowhere(sim, name, NUMBER_A);
        nowhere(sim, name, NUMBER_B);
    }
}

/// The panel was told of a call of an extension, and with whom: X.
fn watched(sim: &Sim, user: &str) {
    let told = sim.fars["panel"].heard.iter().filter(|message| message.is_request());
    let bodies = told.map(|notify| String::from_utf8_lossy(notify.body()).into_owned());
    let of = |body: &String| body.contains(&format!("entity=\"sip:{user}@{REALM}\""));
    let last = bodies.filter(of).filter(|body| body.contains("<state>")).last().expect("a NOTIFY");
    assert!(last.contains(&format!("<identity>sip:{X_AT_HOME}@{REALM}</identity>")), "{last}");
}

fn control(sim: &mut Sim, control: Control) {
    let call = sim.engine.live()[0].call;
    let token = 10_000 + u64::try_from(sim.answers.len()).unwrap();
    let control = Box::new(control);
    sim.command(Command::Control { token, call, merchant: MERCHANT, control });
    assert_eq!(sim.answers[&token], Answer::Controlled(Ok(())));
}

/// B's carrier transfers A to the desk, which has answered.
fn at_the_desk() -> (Sim, [Asker; 2]) {
    let (mut sim, watchers) = talking();
    let by = format!("<sip:+{NUMBER_B}@192.0.2.2>");
    let headers = format!("Refer-To: <sip:80001@{REALM}>\nReferred-By: {by}\n");
    assert_eq!(refer_with(&mut sim, "b", &headers), 202);
    assert_eq!(shown(&sim, "desk"), X_AT_HOME);
    assert!(sim.far("desk").last("INVITE").header(HeaderName::ReferredBy).is_none());
    sim.ring("desk", 180, None);
    watched(&sim, "80001");
    sim.pick_up_with("desk", &sdp_of("c"));
    assert_eq!(sim.fars["b"].count("BYE"), 1);
    watched(&sim, "80001");
    sim.advance(s(5));
    (sim, watchers)
}

#[test]
fn s6_axb_whom_a_carrier_transfers_to_sees_the_number_between_and_so_does_the_next() {
    let (mut sim, _) = at_the_desk();
    assert_eq!(refer(&mut sim, "desk", &format!("<sip:80002@{REALM}>")), 202);
    assert_eq!(shown(&sim, "soft"), X_AT_HOME);
    sim.pick_up_with("soft", &sdp_of("c"));
    watched(&sim, "80002");
    // Outside as well.
    assert_eq!(refer(&mut sim, "soft", &format!("<sip:01077770000@{REALM}>")), 202);
    assert_eq!(shown(&sim, "b"), format!("+{X}"));
    sim.pick_up("b");
    sim.advance(s(5));
    sim.hang_up("a");
    masked(&sim);
    assert_eq!(sim.record().legs.len(), 5);
    sim.assert_clean();
}

#[test]
fn s6_axb_a_carrier_transfers_the_caller_to_a_number_outside_that_is_shown_the_number_between() {
    for by in ["a", "b"] {
        let (mut sim, _) = talking();
        let number = [NUMBER_A, NUMBER_B][usize::from(by == "b")];
        let headers = format!(
            "Refer-To: <sip:+8613700000001@198.51.100.1>\nReferred-By: <sip:+{number}@192.0.2.1>\n"
        );
        change_route(&mut sim);
        assert_eq!(refer_with(&mut sim, by, &headers), 202, "{by}");
        assert_eq!(shown(&sim, "c"), format!("+{X}"));
        sim.pick_up("c");
        sim.advance(s(2));
        sim.hang_up("c");
        masked(&sim);
        sim.assert_clean();
    }
}

/// Carrier C has other mobiles.
fn change_route(sim: &mut Sim) {
    team::change(sim, |snapshot: &mut Snapshot| {
        snapshot.routes.push(facts::settings::Route::new("86137", facts::TrunkId(3), 0));
    });
}

#[test]
fn s6_axb_a_redirect_of_the_carrier_leads_to_no_extension_and_shows_nothing_else() {
    let redirected = |contact: &str| {
        let mut sim = bound(|_| {}, |_| {});
        sim.add("desk", DESK, 170);
        bind(&mut sim, &[("80001", DESK)]);
        calls(&mut sim, "a", NUMBER_A, &[]);
        let (now, session) = (sim.now.mono, sim.far("b").session());
        let headers = vec![("Contact".to_owned(), contact.as_bytes().to_vec())];
        sim.far("b").endpoint.reject(now, session, 302, headers);
        sim.drain();
        sim
    };
    let sim = redirected(&format!("<sip:+{NUMBER_B};rn=+8610000@192.0.2.2:5060>"));
    assert_eq!((sim.fars["b"].count("INVITE"), shown(&sim, "b")), (2, format!("+{X}")));
    nowhere(&sim, "b", NUMBER_A);
    for elsewhere in [
        format!("<sip:80001@{REALM}>"),
        "<sip:80001@198.51.100.1>".to_owned(),
        "<sip:+8613900000000@192.0.2.2:5060>".to_owned(),
        format!("<sip:+{X}@198.51.100.1>"),
    ] {
        let sim = redirected(&elsewhere);
        assert_eq!(sim.fars["desk"].count("INVITE"), 0, "{elsewhere}");
        assert_eq!(sim.fars["b"].count("INVITE"), 1, "{elsewhere}");
        assert!(told(&sim, "a").is_some_and(|status| status >= 400), "{elsewhere}");
        nowhere(&sim, "a", NUMBER_B);
    }
}

#[test]
fn s6_axb_what_the_callees_network_says_of_him_stays_here() {
    let mut sim = bound(|_| {}, |_| {});
    calls(&mut sim, "a", NUMBER_A, &[]);
    let (now, session) = (sim.now.mono, sim.far("b").session());
    let own = format!("<sip:+{NUMBER_B}@192.0.2.2>");
    let headers =
        ["P-Asserted-Identity", "Remote-Party-ID", "Diversion", "History-Info", "Subject"];
    let headers = headers.map(|name| (name.to_owned(), own.clone().into_bytes())).to_vec();
    let far = sim.far("b");
    far.endpoint.accept(now, session, sdp_of("b").into(), headers);
    sim.drain();
    sim.advance(s(3));
    let now = sim.now.mono;
    let reason = Reason::q850(31, &format!("{NUMBER_B} left"));
    sim.far("b").endpoint.bye(now, session, Some(reason));
    sim.drain();
    assert_eq!(sim.far("a").last("BYE").reason()[0].cause, Some(31), "only the cause goes on");
    nowhere(&sim, "a", NUMBER_B);
    sim.assert_clean();
}

#[test]
fn s6_axb_who_takes_a_place_by_replaces_learns_nobody() {
    let (mut sim, _) = talking();
    let (call_id, from, to, _) = dialog(&sim, "b");
    let tag = |value: &str| value.split("tag=").nth(1).unwrap().to_owned();
    let replaces = format!("{call_id};to-tag={};from-tag={}", tag(&to), tag(&from));
    let from = format!("<sip:80002@{REALM}>");
    let headers = [("Require", "replaces"), ("Replaces", replaces.as_str())];
    invite(&mut sim, "soft", (&from, &format!("sip:x@{REALM}")), own("80002"), &headers);
    assert_eq!(sim.fars["b"].count("BYE"), 1, "he has B's place");
    watched(&sim, "80002");
    sim.advance(s(3));
    sim.hang_up("soft");
    masked(&sim);
    sim.assert_clean();
}

#[test]
fn s6_axb_a_call_that_is_parked_goes_back_and_is_taken_without_its_number() {
    for taken in [false, true] {
        let (mut sim, _) = at_the_desk();
        assert_eq!(refer(&mut sim, "desk", &format!("<sip:*70@{REALM}>")), 202);
        if taken {
            call_from(&mut sim, "soft", "80002", "*7180001");
            watched(&sim, "80002");
        } else {
            let before = sim.far("desk").count("INVITE");
            sim.advance(s(121));
            assert_eq!(sim.far("desk").count("INVITE"), before + 1, "it goes back");
            assert_eq!(shown(&sim, "desk"), X_AT_HOME);
            sim.pick_up_with("desk", &sdp_of("c"));
            watched(&sim, "80001");
        }
        sim.advance(s(3));
        sim.hang_up("a");
        masked(&sim);
        sim.assert_clean();
    }
}

#[test]
fn s6_axb_who_picks_up_what_rings_for_another_learns_nobody() {
    let (mut sim, _) = talking();
    assert_eq!(refer(&mut sim, "b", &format!("<sip:80001@{REALM}>")), 202);
    sim.ring("desk", 180, None);
    call_from(&mut sim, "soft", "80002", "*8");
    assert_eq!(sim.fars["b"].count("BYE"), 1);
    watched(&sim, "80002");
    sim.advance(s(3));
    sim.hang_up("soft");
    masked(&sim);
    sim.assert_clean();
}

#[test]
fn s6_axb_who_supervises_or_is_led_to_sees_the_number_between() {
    let (mut sim, _) = at_the_desk();
    let who = Number::E164(NUMBER_A.into());
    let monitor =
        Control::Monitor { who: who.clone(), supervisor: "80003".into(), mode: Mode::Listen };
    control(&mut sim, monitor);
    assert_eq!(shown(&sim, "third"), X_AT_HOME);
    sim.pick_up_with("third", &sdp_of("c"));
    sim.hang_up("third");
    sim.advance(s(1));
    let to = Number::Internal("80002".into());
    control(&mut sim, Control::Transfer { who: Led::This(who), to, as_sent: "80002".into() });
    assert_eq!(shown(&sim, "soft"), X_AT_HOME);
    sim.pick_up_with("soft", &sdp_of("c"));
    watched(&sim, "80002");
    sim.advance(s(1));
    sim.hang_up("a");
    masked(&sim);
    assert_eq!(sim.record().legs[0].no, LegNo::A);
    sim.assert_clean();
}
