//! Attended transfer (RFC 5589 §7): who was in two calls leaves both, and the others talk.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
#[path = "common/transfers.rs"]
mod transfers;

use call::Command;
use common::phones::call_from;
use common::{NUMBER_A, REALM, Sim, s, sdp_of};
use facts::media::{Codec, MediaCommand, Source, Tone};
use facts::{CallFacts, CallId, Kind, LegFacts, LegId, LegNo, Outcome, Side};
use sip::wire::HeaderName;
use transfers::{Dialog, dialog, refer_in, restart, sim_with, told};

/// The desk talks with carrier B's subscriber; its dialog.
fn first_call(sim: &mut Sim) -> Dialog {
    call_from(sim, "desk", "80001", "01088880000");
    sim.pick_up("b");
    sim.advance(s(10));
    dialog(sim, "desk")
}

/// And then with the soft phone, after a while.
fn second_call(sim: &mut Sim) -> Dialog {
    call_from(sim, "desk", "80001", "80002");
    sim.ring("soft", 180, None);
    sim.pick_up_with("soft", &sdp_of("c"));
    sim.advance(s(5));
    dialog(sim, "desk")
}

fn consulted() -> (Sim, Dialog, Dialog) {
    let mut sim = sim_with(|_| {});
    let first = first_call(&mut sim);
    let second = second_call(&mut sim);
    (sim, first, second)
}

/// The dialog of a far end that hears the other one ring.
fn early(sim: &Sim, name: &str) -> Dialog {
    let heard = sim.fars[name].heard.iter();
    let ringing = heard.rev().find(|message| message.status() == Some(180)).unwrap();
    let text = |name| String::from_utf8(ringing.header(name).unwrap().to_vec()).unwrap();
    let id = ringing.call_id().unwrap().to_owned();
    (id, text(HeaderName::From), text(HeaderName::To), 1)
}

/// A Refer-To that names a dialog of whoever refers.
fn to(user: &str, (call_id, from, to, _): &Dialog) -> String {
    let tag = |value: &str| value.split("tag=").nth(1).unwrap().to_owned();
    format!(
        "Refer-To: <sip:{user}@{REALM}?Replaces={call_id}%3Bto-tag%3D{}%3Bfrom-tag%3D{}>\n",
        tag(to),
        tag(from)
    )
}

/// The links: from which leg to which port, in which codec.
fn links(sim: &Sim) -> Vec<(LegId, u16, Codec)> {
    let link = |command: &MediaCommand| match command {
        MediaCommand::Link { leg, to, codec } => Some((*leg, to.port(), *codec)),
        _ => None,
    };
    sim.media.iter().filter_map(link).collect()
}

fn call(sim: &Sim, n: usize) -> CallId {
    sim.authorizations[n].call
}

fn record(sim: &Sim, n: usize) -> &CallFacts {
    let id = call(sim, n);
    sim.settled.iter().find(|facts| facts.call == id).expect("a record")
}

#[test]
fn rfc3515_2_4_2_a_call_with_a_mailbox_is_no_second_call() {
    let mut sim = sim_with(|_| {});
    let first = first_call(&mut sim);
    call_from(&mut sim, "desk", "80001", "*97");
    let mailbox = dialog(&sim, "desk");
    assert_ne!(mailbox.0, first.0, "it was answered");
    for (asks, names) in [(&first, &mailbox), (&mailbox, &first)] {
        assert_eq!(refer_in(&mut sim, "desk", asks, &to("80001", names)), 403, "not 491");
    }
    assert!(links(&sim).is_empty());
    assert_eq!(sim.fars["desk"].count("BYE") + sim.fars["b"].count("BYE"), 0);
}

#[test]
fn b6_rfc5589_7_who_consulted_leaves_both_calls_and_the_others_talk() {
    for first_asks in [true, false] {
        let (mut sim, first, second) = consulted();
        let (asks, names) = if first_asks { (&first, &second) } else { (&second, &first) };
        assert_eq!(refer_in(&mut sim, "desk", asks, &to("80002", names)), 202);
        assert_eq!(told(&sim, "desk"), ["100 active", "200 terminated"]);
        assert_eq!(sim.fars["desk"].count("BYE"), 2, "it is let go from both");
        assert_eq!(sim.fars["b"].count("BYE") + sim.fars["soft"].count("BYE"), 0);
        let mut ends = links(&sim);
        ends.sort_by_key(|(leg, ..)| leg.call);
        let legs: Vec<_> = ends.iter().map(|(leg, ..)| *leg).collect();
        assert_eq!(legs, [0, 1].map(|n| LegId::new(call(&sim, n), LegNo::A)));
        assert_ne!(ends[0].1, ends[1].1, "each leads to the other's port");
        assert!(ends.iter().all(|(.., codec)| *codec == Codec::Pcma), "both speak it");
        assert!(sim.added.is_empty(), "nobody is rung: nothing costs anew");
        let live = sim.engine.live();
        assert!(live.iter().all(|call| call.a.is_empty()), "he is in neither: {live:?}");
        let stay: std::collections::BTreeSet<_> = live.into_iter().map(|call| call.b).collect();
        assert_eq!(stay, ["01088880000", "80002"].map(str::to_owned).into());
        sim.advance(s(30));
        sim.hang_up("b");
        assert_eq!(sim.fars["soft"].count("BYE"), 1, "one conversation");
        let talks =
            |facts: &CallFacts| -> Vec<_> { facts.legs.iter().map(LegFacts::talk).collect() };
        assert_eq!(talks(record(&sim, 0)), [s(15), s(45)], "he is billed to when he left");
        assert_eq!(talks(record(&sim, 1)), [s(5), s(35)]);
        for n in [0, 1] {
            assert_eq!(record(&sim, n).outcome, Outcome::Completed);
            assert_eq!(record(&sim, n).legs[0].released_by, Some(Side::Caller));
        }
        assert_eq!(record(&sim, 0).released_by, Side::Callee);
        sim.assert_clean();
    }
}

#[test]
fn b6_rfc5589_7_the_ports_of_a_link_close_with_either_call() {
    for name in ["soft", "b"] {
        let (mut sim, first, second) = consulted();
        refer_in(&mut sim, "desk", &first, &to("80002", &second));
        sim.hang_up(name);
        assert_eq!(sim.settled.len(), 2, "{name}");
        sim.assert_clean();
    }
    // A limit, the operator, the money of one of them.
    for n in [0, 1] {
        let (mut sim, first, second) = consulted();
        refer_in(&mut sim, "desk", &first, &to("80002", &second));
        let id = call(&sim, n);
        sim.command(Command::HangUp { token: 9, call: id });
        assert_eq!(sim.fars["b"].count("BYE") + sim.fars["soft"].count("BYE"), 2);
        let why = facts::Failure::new(facts::Origin::Us, Kind::HungUpByUs);
        assert_eq!(record(&sim, n).outcome, Outcome::Failed(why));
        assert_eq!(record(&sim, 1 - n).outcome, Outcome::Completed);
        sim.assert_clean();
    }
    let (mut sim, first, second) = consulted();
    refer_in(&mut sim, "desk", &first, &to("80002", &second));
    sim.ledger.chunk = None;
    sim.advance(s(61));
    assert_eq!(sim.fars["b"].count("BYE") + sim.fars["soft"].count("BYE"), 2);
    assert_eq!(sim.settled.len(), 2);
    sim.assert_clean();
}

#[test]
fn b6_rfc5589_7_who_is_still_rung_is_put_through_as_well() {
    let mut sim = sim_with(|_| {});
    let first = first_call(&mut sim);
    call_from(&mut sim, "desk", "80001", "80002");
    sim.ring("soft", 180, None);
    let second = early(&sim, "desk");
    for answered in [true, false] {
        if answered {
            assert_eq!(refer_in(&mut sim, "desk", &first, &to("80002", &second)), 202);
            assert_eq!(sim.fars["desk"].count("BYE"), 1, "one call that stood");
            let refused = |m: &sip::wire::Message| m.status() == Some(487);
            assert!(sim.fars["desk"].heard.iter().any(refused), "and one that did not yet");
            let rung = LegId::new(call(&sim, 1), LegNo::A);
            let hears = sim.media.iter().rev().find_map(|command| match command {
                MediaCommand::Hear { leg, source } if *leg == rung => Some(source.clone()),
                _ => None,
            });
            assert_eq!(hears, Some(Source::Tone(Tone::RingBack)), "who waits hears that it rings");
            sim.advance(s(5));
            sim.pick_up_with("soft", &sdp_of("c"));
            assert_eq!(sim.fars["soft"].count("BYE") + sim.fars["b"].count("BYE"), 0);
            sim.advance(s(20));
            sim.hang_up("soft");
            assert_eq!(sim.fars["b"].count("BYE"), 1);
            assert_eq!(record(&sim, 1).leg(LegNo::B).unwrap().talk(), s(20));
            assert_eq!(record(&sim, 1).leg(LegNo::A).unwrap().answered, None);
            assert_eq!(record(&sim, 0).leg(LegNo::B).unwrap().talk(), s(35));
            sim.assert_clean();
        } else {
            // He does not answer: who was put through is let go.
            let mut sim = sim_with(|_| {});
            let first = first_call(&mut sim);
            call_from(&mut sim, "desk", "80001", "80002");
            sim.ring("soft", 180, None);
            let second = early(&sim, "desk");
            assert_eq!(refer_in(&mut sim, "desk", &first, &to("80002", &second)), 202);
            sim.refuse("soft", 486, None);
            assert_eq!(sim.fars["b"].count("BYE"), 1);
            assert_eq!(sim.settled.len(), 2);
            sim.assert_clean();
        }
    }
}

#[test]
fn b6_rfc5589_7_what_is_no_second_call_of_his_is_refused() {
    let (mut sim, first, second) = consulted();
    let mut wrong = second.clone();
    wrong.1.push('x');
    assert_eq!(refer_in(&mut sim, "desk", &first, &to("80002", &wrong)), 481);
    assert_eq!(refer_in(&mut sim, "desk", &first, &to("80002", &first)), 481, "the same call");
    let mut gone = second.clone();
    gone.0.push('x');
    assert_eq!(refer_in(&mut sim, "desk", &first, &to("80002", &gone)), 481);
    // The dialog of somebody else, who is of another merchant.
    call_from(&mut sim, "far", "90001", "90001");
    let theirs = {
        call_from(&mut sim, "third", "80003", "90001");
        sim.pick_up_with("far", &sdp_of("c"));
        dialog(&sim, "far")
    };
    assert_eq!(refer_in(&mut sim, "desk", &first, &to("90001", &theirs)), 403);
    assert!(links(&sim).is_empty() && told(&sim, "desk").is_empty());
    assert_eq!(sim.engine.live().iter().filter(|call| call.bridged.is_some()).count(), 3);
    // While another transfer is under way it has to wait.
    let blind = format!("Refer-To: <sip:138{}@{REALM}>\n", &NUMBER_A[5..]);
    assert_eq!(refer_in(&mut sim, "desk", &first, &blind), 202);
    assert_eq!(refer_in(&mut sim, "desk", &second, &to("80002", &first)), 491);
    for name in ["b", "soft", "far"] {
        sim.hang_up(name);
    }
    sim.assert_clean();
}

#[test]
fn b6_conformance_14_an_endless_chain_of_transfers_ends() {
    let (mut sim, first, second) = consulted();
    // Soft is put through, calls a third, and puts that one through; that one does the same.
    assert_eq!(refer_in(&mut sim, "desk", &first, &to("80002", &second)), 202);
    let mut chain = 2;
    let mut at = ("soft", "80002", dialog(&sim, "soft"));
    let others = [("third", "80003"), ("desk", "80001"), ("soft", "80002")];
    let code = loop {
        let (name, user, waits) = at;
        let (next, number) = others[chain - 2];
        call_from(&mut sim, name, user, number);
        sim.pick_up_with(next, &sdp_of("c"));
        let asked = dialog(&sim, name);
        let code = refer_in(&mut sim, name, &waits, &to(number, &asked));
        if code != 202 {
            break code;
        }
        chain += 1;
        let session = sim.fars[next].invited.iter().rev().find(|(_, m)| m.call_id() != Some("1"));
        assert!(session.is_some());
        at = (next, number, transfers::called(&sim, next));
    };
    assert_eq!((code, chain), (403, 4));
    sim.hang_up("b");
    sim.advance(s(1));
    assert_eq!(sim.settled.len(), 4, "all of them end together");
    for name in ["soft", "desk", "third"] {
        sim.hang_up(name);
    }
    sim.assert_clean();
}

#[test]
fn who_was_held_while_the_other_one_consulted_is_taken_off_hold() {
    let mut sim = sim_with(|config| config.reinvite = call::Reinvite::Relay);
    let first = first_call(&mut sim);
    let session = sim.far("desk").session();
    let now = sim.now.mono;
    let hold = sdp_of("desk").replace("o=- 1 1", "o=- 1 2") + "a=sendonly\r\n";
    sim.far("desk").endpoint.reinvite(now, session, hold.into());
    sim.drain();
    let now = sim.now.mono;
    let far = sim.far("b");
    let session = far.session();
    far.endpoint.accept_reinvite(now, session, sdp_of("b").replace("o=- 1 1", "o=- 1 2").into());
    sim.drain();
    let held = |sim: &Sim| {
        let body = sim.fars["b"].last("INVITE").body().to_vec();
        String::from_utf8(body).unwrap().contains("a=sendonly")
    };
    assert!(held(&sim));
    let second = second_call(&mut sim);
    let first = (first.0, first.1, first.2, 9);
    assert_eq!(refer_in(&mut sim, "desk", &first, &to("80002", &second)), 202);
    assert!(!held(&sim));
    sim.hang_up("soft");
    sim.assert_clean();
}

/// A far end offers its description in one direction.
fn offers(sim: &mut Sim, name: &str, direction: &str) {
    let now = sim.now.mono;
    let far = sim.far(name);
    let session = far.session();
    let sdp = format!("{}a={direction}\r\n", sdp_of(name)).replace("o=- 1 1", "o=- 1 2");
    assert!(far.endpoint.reinvite(now, session, sdp.into()));
    sim.drain();
}

fn hears(sim: &Sim, leg: LegId) -> Option<Source> {
    sim.media.iter().rev().find_map(|command| match command {
        MediaCommand::Hear { leg: l, source } if *l == leg => Some(source.clone()),
        _ => None,
    })
}

/// Consultation hold (RFC 5359 §2.2) where it is answered here, and a hold over what he left behind: whoever is
/// held hears that he waits, and each time hears the other one again.
#[test]
fn rfc5359_2_2_a_hold_before_a_transfer_ends_with_it_and_one_over_a_link_is_heard() {
    let mut sim = sim_with(|_| {});
    let first = first_call(&mut sim);
    offers(&mut sim, "desk", "sendonly");
    let [desk, b] = [LegNo::A, LegNo::B].map(|no| LegId::new(call(&sim, 0), no));
    assert_eq!(hears(&sim, b), Some(Source::Tone(Tone::Hold)), "while he consults");
    let second = second_call(&mut sim);
    let first = (first.0, first.1, first.2, 9);
    assert_eq!(refer_in(&mut sim, "desk", &first, &to("80002", &second)), 202);
    assert_eq!(hears(&sim, b), Some(Source::Leg(desk)), "by the port that he left");
    // B holds whom it was put through to: the tone goes over the link.
    for _ in 0..2 {
        offers(&mut sim, "b", "sendonly");
        assert_eq!(hears(&sim, desk), Some(Source::Tone(Tone::Hold)));
        offers(&mut sim, "b", "sendrecv");
        assert_eq!(hears(&sim, desk), Some(Source::Leg(b)));
    }
    sim.hang_up("soft");
    assert_eq!(sim.fars["b"].count("BYE"), 1);
    sim.assert_clean();
}

/// RFC 5589 §7.6: he is put through to somebody who never answers. Who asked has left with the first call, and
/// whom he put through is let go when the second one has rung long enough.
#[test]
fn b6_rfc5589_7_6_who_is_put_through_to_a_phone_that_nobody_answers_is_let_go() {
    let mut sim = sim_with(|_| {});
    let first = first_call(&mut sim);
    call_from(&mut sim, "desk", "80001", "80002");
    sim.ring("soft", 180, None);
    let second = early(&sim, "desk");
    assert_eq!(refer_in(&mut sim, "desk", &first, &to("80002", &second)), 202);
    assert_eq!(told(&sim, "desk"), ["100 active", "200 terminated"], "he is out of it");
    assert_eq!(sim.fars["desk"].count("BYE"), 1);
    assert_eq!(sim.fars["b"].count("BYE"), 0);
    sim.advance(s(100));
    assert!(sim.far("soft").cancelled());
    assert_eq!(sim.fars["b"].count("BYE"), 1);
    assert_eq!(sim.settled.len(), 2);
    let why = record(&sim, 1).outcome;
    assert!(matches!(why, Outcome::Failed(why) if why.kind == Kind::NoAnswer), "{why:?}");
    assert_eq!(record(&sim, 0).outcome, Outcome::Completed);
    sim.assert_clean();
}

/// RFC 5589 §7.6 as it is drawn there: he gives the second call up before it is answered, and transfers blind;
/// when that fails he has the first call still.
#[test]
fn b6_rfc5589_7_6_who_gives_up_the_second_call_may_transfer_blind_and_keeps_the_first_until_then() {
    let mut sim = sim_with(|_| {});
    let first = first_call(&mut sim);
    let held = sim.far("desk").session();
    call_from(&mut sim, "desk", "80001", "80002");
    sim.ring("soft", 180, None);
    let now = sim.now.mono;
    let session = sim.far("desk").session();
    sim.far("desk").endpoint.cancel(now, session, None);
    sim.drain();
    assert!(sim.far("soft").cancelled());
    let blind = format!("Refer-To: <sip:80002@{REALM}>\n");
    assert_eq!(refer_in(&mut sim, "desk", &first, &blind), 202);
    sim.ring("soft", 180, None);
    sim.refuse("soft", 486, None);
    assert_eq!(told(&sim, "desk"), ["100 active", "180 active", "486 terminated"]);
    assert_eq!(sim.engine.live().iter().filter(|call| call.bridged.is_some()).count(), 1);
    let again = (first.0, first.1, first.2, 2);
    assert_eq!(refer_in(&mut sim, "desk", &again, &blind), 202);
    sim.pick_up_with("soft", &sdp_of("c"));
    assert_eq!(sim.fars["desk"].count("BYE"), 1);
    assert!(sim.engine.live()[0].bridged.is_some(), "the others talk: {held:?}");
    sim.hang_up("soft");
    assert_eq!(sim.fars["b"].count("BYE"), 1);
    sim.assert_clean();
}

#[test]
fn b6_a_crash_in_a_conversation_of_two_calls_bills_every_leg_once() {
    let (mut sim, first, second) = consulted();
    refer_in(&mut sim, "desk", &first, &to("80002", &second));
    sim.advance(s(10));
    restart(&mut sim);
    for (name, byes) in [("desk", 2), ("b", 1), ("soft", 1)] {
        assert_eq!(sim.fars[name].count("BYE"), byes, "{name}");
    }
    assert_eq!(sim.settled.len(), 2);
    let talks = |facts: &CallFacts| -> Vec<_> { facts.legs.iter().map(LegFacts::talk).collect() };
    assert_eq!(talks(record(&sim, 0)), [s(15), s(25)]);
    assert_eq!(talks(record(&sim, 1)), [s(5), s(15)]);
    sim.advance(s(400));
    assert_eq!((sim.engine.counts().calls, sim.engine.counts().unended), (0, 0));
}
