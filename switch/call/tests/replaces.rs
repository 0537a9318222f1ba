//! Who calls in to take a place in a call that there is: by Replaces (RFC 3891), by picking up, by taking
//! what was parked (RFC 5359 §2.15, §2.16).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
#[path = "common/transfers.rs"]
mod transfers;

use call::Denial;
use common::phones::{call_from, invite, own};
use common::{REALM, Sim, callback, ms, s, sdp_of};
use facts::media::{MediaCommand, Source, Tone};
use facts::{LegId, LegNo, Number, Outcome, Side};
use sip::endpoint::Event;
use sip::wire::{HeaderName, Message};
use transfers::{dialog, recorded, refer, refer_with, restart, sim_with, told};

const C: LegNo = LegNo(2);

fn sim() -> Sim {
    sim_with(|_| {})
}

/// The desk talks with carrier B's subscriber.
fn desk_to_b() -> Sim {
    let mut sim = sim();
    call_from(&mut sim, "desk", "80001", "01088880000");
    sim.pick_up("b");
    sim.advance(s(10));
    assert!(sim.engine.live()[0].bridged.is_some());
    sim
}

/// A subscriber of carrier A has the desk rung; what the desk said of its early dialog.
fn desk_rings() -> (Sim, String) {
    let mut sim = sim();
    let mut command = callback();
    command.b.as_mut().unwrap().number = Number::Internal("80001".into());
    command.b.as_mut().unwrap().as_sent = "80001".into();
    sim.place(command);
    sim.pick_up("a");
    sim.far("desk").muted = true;
    sim.ring("desk", 180, None);
    let said = sim.far("desk").kept.back().unwrap().bytes.clone();
    sim.unmute("desk");
    let said = Message::parse(said).unwrap();
    let (call_id, tags) = (said.call_id().unwrap().to_owned(), [said.from_tag(), said.to_tag()]);
    let [ours, its] = tags.map(|tag| tag.unwrap().into_owned());
    sim.advance(s(2));
    (sim, format!("{call_id};to-tag={ours};from-tag={its}"))
}

/// What names the dialog of a far end in a call that is up.
fn named(sim: &Sim, name: &str) -> String {
    let (call_id, from, to, _) = dialog(sim, name);
    let tag = |value: &str| value.split("tag=").nth(1).unwrap().to_owned();
    format!("{call_id};to-tag={};from-tag={}", tag(&to), tag(&from))
}

/// An extension calls with a Replaces; the status it gets, if it is refused.
fn replace(sim: &mut Sim, (name, user): (&'static str, &str), replaces: &str) -> Option<u16> {
    let from = format!("<sip:{user}@{REALM}>");
    let headers = [("Require", "replaces"), ("Replaces", replaces)];
    invite(sim, name, (&from, &format!("sip:x@{REALM}")), own(user), &headers);
    refused(sim, name)
}

fn dial(sim: &mut Sim, (name, user): (&'static str, &str), code: &str) -> Option<u16> {
    call_from(sim, name, user, code);
    refused(sim, name)
}

fn refused(sim: &Sim, name: &str) -> Option<u16> {
    let far = &sim.fars[name];
    let session = far.session();
    far.events.iter().find_map(|event| match event {
        Event::Failed { session: failed, code, .. } if *failed == session => Some(*code),
        _ => None,
    })
}

fn joined(sim: &Sim, one: LegNo, two: LegNo) -> bool {
    let call = sim.leg(one).call;
    let hears = |no, other| sim.hears(no) == Some(&Source::Leg(LegId::new(call, other)));
    hears(one, two) && hears(two, one)
}

#[test]
fn b6_rfc3891_3_who_calls_in_takes_the_place_of_a_leg_that_talks() {
    let mut sim = desk_to_b();
    let desk = named(&sim, "desk");
    assert_eq!(replace(&mut sim, ("soft", "80002"), &desk), None);
    assert_eq!(sim.fars["desk"].count("BYE"), 1, "the replaced one is let go");
    assert_eq!(sim.fars["b"].count("BYE") + sim.fars["b"].count("INVITE"), 1, "B notices nothing");
    assert!(joined(&sim, LegNo::B, C));
    assert!(sim.added.is_empty(), "whoever calls us costs nothing");
    sim.advance(s(30));
    sim.hang_up("soft");
    assert_eq!(sim.fars["b"].count("BYE"), 1);
    let record = sim.record().clone();
    assert_eq!((record.outcome, record.released_by), (Outcome::Completed, Side::Caller));
    let talks: Vec<_> = record.legs.iter().map(|leg| (leg.no, leg.talk())).collect();
    assert_eq!(talks, [(LegNo::A, s(10)), (LegNo::B, s(40)), (C, s(30))]);
    let new = record.leg(C).unwrap();
    assert_eq!((&new.number, new.paid_until), (&Number::Internal("80002".into()), None));
    sim.assert_clean();
}

#[test]
fn b6_rfc3891_3_the_dialog_must_be_there_and_whole() {
    let mut sim = desk_to_b();
    let desk = named(&sim, "desk");
    let (call_id, tags) = desk.split_once(';').unwrap();
    let foreign = ("far", "90001");
    for (who, replaces, code) in [
        (("soft", "80002"), format!("{desk};early-only"), 486),
        (("soft", "80002"), format!("x{call_id};{tags}"), 481),
        (("soft", "80002"), desk.replace("from-tag=", "from-tag=x"), 481),
        (("soft", "80002"), desk.replace("to-tag=", "to-tag=0"), 481),
        (("soft", "80002"), "nonsense".to_owned(), 400),
        (foreign, desk.clone(), 403),
    ] {
        assert_eq!(replace(&mut sim, who, &replaces), Some(code), "{replaces}");
    }
    let from = format!("<sip:80002@{REALM}>");
    let headers = [("Replaces", desk.as_str()), ("Join", desk.as_str())];
    invite(&mut sim, "soft", (&from, &format!("sip:x@{REALM}")), own("80002"), &headers);
    assert_eq!(refused(&sim, "soft"), Some(400), "§3: not with Join");
    // A carrier speaks for others.
    let headers = [("Replaces", desk.as_str())];
    invite(&mut sim, "c", ("<sip:80002@192.0.2.3>", "sip:x@198.51.100.1"), None, &headers);
    assert_eq!(refused(&sim, "c"), Some(403));
    assert!(joined(&sim, LegNo::A, LegNo::B), "nothing has changed");
    assert!(sim.turned_away.iter().any(|turned| turned.why == Denial::NotAllowed));
    // Our BYE is on its way.
    sim.far("desk").dead = true;
    sim.hang_up("b");
    assert_eq!(replace(&mut sim, ("soft", "80002"), &desk), Some(603));
    sim.advance(s(40));
    assert_eq!(replace(&mut sim, ("soft", "80002"), &desk), Some(481));
    sim.assert_clean();
}

#[test]
fn b6_rfc3891_3_an_early_dialog_of_ours_may_be_replaced_and_theirs_may_not() {
    let (mut sim, desk) = desk_rings();
    assert_eq!(replace(&mut sim, ("soft", "80002"), &format!("{desk};early-only")), None);
    assert!(sim.fars["desk"].cancelled());
    let reason = &sim.fars["desk"].last("CANCEL").reason()[0];
    assert_eq!((reason.protocol.as_str(), reason.cause), ("SIP", Some(200)));
    assert!(joined(&sim, LegNo::A, C));
    sim.advance(s(20));
    sim.hang_up("a");
    assert_eq!(sim.fars["soft"].count("BYE"), 1);
    let record = sim.record();
    assert_eq!(record.leg(LegNo::B).unwrap().answered, None);
    assert_eq!(record.leg(C).unwrap().talk(), s(20));
    assert!(record.bridged.is_some());
    sim.assert_clean();
    // Whoever calls us has an early dialog that we did not begin.
    let mut sim = self::sim();
    call_from(&mut sim, "desk", "80001", "01088880000");
    sim.ring("b", 180, None);
    let ringing = sim.fars["desk"].heard.iter().rev().find(|m| m.status() == Some(180)).unwrap();
    let tag = |tag: Option<std::borrow::Cow<'_, str>>| tag.unwrap().into_owned();
    let (ours, its) = (tag(ringing.to_tag()), tag(ringing.from_tag()));
    let desk = format!("{};to-tag={ours};from-tag={its}", ringing.call_id().unwrap());
    assert_eq!(replace(&mut sim, ("soft", "80002"), &desk), Some(481));
    sim.refuse("b", 486, None);
    sim.assert_clean();
}

#[test]
fn a26_rfc5359_2_16_a_call_that_rings_elsewhere_is_picked_up() {
    for code in ["*880001", "*8"] {
        let (mut sim, _) = desk_rings();
        assert_eq!(dial(&mut sim, ("soft", "80002"), code), None, "{code}");
        let cancel = sim.fars["desk"].last("CANCEL");
        assert_eq!(cancel.reason()[0].cause, Some(200), "completed elsewhere");
        assert!(joined(&sim, LegNo::A, C));
        sim.advance(s(5));
        sim.hang_up("soft");
        let record = sim.record();
        assert_eq!((record.outcome, record.released_by), (Outcome::Completed, Side::Callee));
        assert_eq!(record.legs.len(), 3);
        sim.assert_clean();
    }
}

#[test]
fn rfc5359_2_16_an_inbound_call_is_answered_by_who_picks_it_up() {
    let mut sim = sim();
    call_from(&mut sim, "third", "80003", "80001");
    sim.ring("desk", 180, None);
    assert_eq!(dial(&mut sim, ("soft", "80002"), "*880001"), None);
    let answered = |name: &str| {
        sim.fars[name].events.iter().any(|event| matches!(event, Event::Answered { .. }))
    };
    assert!(answered("third") && answered("soft"));
    assert!(joined(&sim, LegNo::A, C));
    sim.hang_up("third");
    assert_eq!(sim.fars["soft"].count("BYE"), 1);
    sim.assert_clean();
}

#[test]
fn rfc5359_2_16_there_is_nothing_to_pick_up() {
    // Nothing rings; it rings at another one; it is somebody else's; it is one's own call.
    let mut sim = sim();
    for code in ["*8", "*71"] {
        assert_eq!(dial(&mut sim, ("soft", "80002"), code), Some(404));
        assert_eq!(sim.turned_away.last().unwrap().why, Denial::NothingToTake);
        let refusal = sim.fars["soft"].heard.iter().rev().find(|m| m.status() == Some(404));
        let reason = refusal.unwrap().header_str(HeaderName::Reason).unwrap_or_default();
        assert!(reason.starts_with("Q.850;cause=1;"), "RFC 3326: {reason}");
    }
    let (mut sim, _) = desk_rings();
    assert_eq!(dial(&mut sim, ("soft", "80002"), "*880003"), Some(404));
    assert_eq!(dial(&mut sim, ("far", "90001"), "*880001"), Some(404), "as if it were not there");
    // Somebody was faster.
    sim.pick_up_with("desk", &sdp_of("c"));
    assert_eq!(dial(&mut sim, ("soft", "80002"), "*880001"), Some(404));
    sim.hang_up("a");
    sim.assert_clean();
    let (mut sim, _) = desk_rings();
    assert_eq!(dial(&mut sim, ("desk", "80001"), "*8"), Some(404));
    sim.advance(s(70));
    sim.assert_clean();
    // No code, no service: it is dialled as any number is.
    let mut sim = sim_with(|config| config.features = facts::Features::off());
    assert_eq!(dial(&mut sim, ("soft", "80002"), "*8"), Some(facts::Kind::InvalidNumber.row().sip));
    sim.assert_clean();
}

#[test]
fn rfc5359_2_16_the_phone_answers_while_the_other_ones_port_opens() {
    let (mut sim, _) = desk_rings();
    sim.media_answers = false;
    assert_eq!(dial(&mut sim, ("soft", "80002"), "*8"), None);
    sim.pick_up_with("desk", &sdp_of("c"));
    sim.media_answers = true;
    let leg = LegId::new(sim.leg(LegNo::A).call, C);
    let local = common::addr("198.51.100.1:39000");
    sim.media(facts::media::MediaEvent::Opened { leg, local });
    assert_eq!(refused(&sim, "soft"), Some(486), "who answered has the call");
    assert!(joined(&sim, LegNo::A, LegNo::B));
    sim.hang_up("a");
    assert_eq!(sim.record().leg(C).unwrap().answered, None);
    sim.assert_clean();
}

#[test]
fn rfc5359_2_16_who_picks_up_hangs_up_before_he_has_a_port() {
    let (mut sim, _) = desk_rings();
    sim.media_answers = false;
    let session = call_from(&mut sim, "soft", "80002", "*8");
    let now = sim.now.mono;
    sim.far("soft").endpoint.cancel(now, session, None);
    sim.drain();
    sim.media_answers = true;
    let leg = LegId::new(sim.leg(LegNo::A).call, C);
    sim.media(facts::media::MediaEvent::Closed { leg, stats: Default::default() });
    sim.pick_up_with("desk", &sdp_of("c"));
    assert!(joined(&sim, LegNo::A, LegNo::B));
    sim.hang_up("a");
    assert_eq!(sim.settled.len(), 1);
    sim.advance(s(400));
    assert_eq!(sim.engine.counts().calls, 0);
}

#[test]
fn rfc5359_2_16_whom_a_transfer_rings_may_be_picked_up_for() {
    let mut sim = desk_to_b();
    assert_eq!(refer(&mut sim, "desk", &format!("<sip:80002@{REALM}>")), 202);
    sim.ring("soft", 180, None);
    assert_eq!(dial(&mut sim, ("third", "80003"), "*880002"), None);
    assert!(sim.fars["soft"].cancelled());
    assert_eq!(told(&sim, "desk").last().unwrap(), "200 terminated");
    assert_eq!(sim.fars["desk"].count("BYE"), 1);
    assert!(joined(&sim, LegNo::B, LegNo(3)));
    sim.hang_up("b");
    assert_eq!(sim.fars["third"].count("BYE"), 1);
    assert_eq!(sim.record().legs.len(), 4);
    sim.assert_clean();
}

/// The desk has parked B's subscriber.
fn parked() -> Sim {
    let mut sim = desk_to_b();
    assert_eq!(refer(&mut sim, "desk", &format!("<sip:*70@{REALM}>")), 202);
    assert_eq!(told(&sim, "desk"), ["100 active", "200 terminated"]);
    assert_eq!(sim.fars["desk"].count("BYE"), 1);
    assert_eq!(sim.hears(LegNo::B), Some(&Source::Tone(Tone::Hold)));
    sim.advance(s(20));
    sim
}

#[test]
fn rfc5359_2_15_a_parked_call_is_taken_by_another_extension() {
    for (who, code) in [
        (("soft", "80002"), "*7180001"),
        (("desk", "80001"), "*71"),
        (("desk", "80001"), "*7180001"),
    ] {
        let mut sim = parked();
        let live = sim.engine.live().pop().unwrap();
        assert_eq!([live.state, live.a, live.b], ["parked", "", "01088880000"]);
        assert_eq!(dial(&mut sim, who, code), None, "{code}");
        assert!(joined(&sim, LegNo::B, C));
        let live = sim.engine.live().pop().unwrap();
        assert_eq!([live.state.as_str(), &live.a, &live.b], ["bridged", who.1, "01088880000"]);
        sim.advance(s(200));
        assert_eq!(sim.fars["desk"].count("INVITE"), 0, "it does not go back any more");
        sim.hang_up("b");
        assert_eq!(sim.fars[who.0].count("BYE"), if who.0 == "desk" { 2 } else { 1 });
        let record = sim.record();
        let talks: Vec<_> = record.legs.iter().map(|leg| (leg.no, leg.talk())).collect();
        assert_eq!(talks, [(LegNo::A, s(10)), (LegNo::B, s(230)), (C, s(200))]);
        sim.assert_clean();
    }
}

#[test]
fn rfc5359_2_15_nobody_takes_a_call_that_is_not_his_merchants() {
    let mut sim = parked();
    assert_eq!(dial(&mut sim, ("far", "90001"), "*7180001"), Some(404));
    assert_eq!(dial(&mut sim, ("soft", "80002"), "*71"), Some(404), "none is parked there");
    assert_eq!(dial(&mut sim, ("soft", "80002"), "*70"), Some(404), "only a transfer leads there");
    sim.hang_up("b");
    let record = sim.record();
    assert_eq!((record.outcome, record.released_by), (Outcome::Completed, Side::Callee));
    assert_eq!(record.leg(LegNo::B).unwrap().talk(), s(30));
    sim.assert_clean();
}

#[test]
fn rfc5359_2_15_one_call_at_a_time_waits_at_an_extension() {
    let mut sim = parked();
    call_from(&mut sim, "desk", "80001", "13800138000");
    sim.pick_up("a");
    let park = format!("Refer-To: <sip:*70@{REALM}>\n");
    assert_eq!(refer_with(&mut sim, "desk", &park), facts::Kind::Busy.row().sip);
    sim.hang_up("a");
    sim.hang_up("b");
    assert_eq!(sim.settled.len(), 2);
    sim.assert_clean();
}

#[test]
fn rfc5359_2_15_a_call_that_nobody_takes_goes_back_to_who_parked_it() {
    let mut sim = parked();
    sim.advance(s(101));
    assert_eq!(sim.hears(LegNo::B), Some(&Source::Tone(Tone::RingBack)));
    assert_eq!(sim.fars["desk"].count("INVITE"), 1);
    sim.ring("desk", 180, None);
    sim.pick_up_with("desk", &sdp_of("c"));
    assert!(joined(&sim, LegNo::B, C));
    sim.advance(s(9));
    sim.hang_up("desk");
    assert_eq!(sim.fars["b"].count("BYE"), 1);
    let record = sim.record();
    assert_eq!((record.outcome, record.released_by), (Outcome::Completed, Side::Caller));
    assert_eq!(record.leg(C).unwrap().talk(), s(9));
    sim.assert_clean();
    // He does not answer either: the call ends, and is on record.
    let mut sim = parked();
    sim.advance(s(101));
    sim.advance(s(70));
    assert_eq!(sim.fars["b"].count("BYE"), 1);
    assert_eq!((sim.record().outcome, sim.record().legs.len()), (Outcome::Completed, 3));
    sim.assert_clean();
}

#[test]
fn rfc5359_2_15_a_parked_call_waits_while_who_parked_it_talks() {
    let parker = |sim: &Sim| sim.fars["desk"].count("INVITE");
    // He talks when nobody took it: it goes back when he is free.
    let mut sim = parked();
    call_from(&mut sim, "desk", "80001", "13800138000");
    sim.pick_up("a");
    sim.advance(s(141));
    assert_eq!((parker(&sim), sim.fars["b"].count("BYE")), (0, 0));
    sim.hang_up("desk");
    assert_eq!(parker(&sim), 0);
    sim.advance(s(10));
    assert_eq!(parker(&sim), 1);
    sim.pick_up_with("desk", &sdp_of("c"));
    sim.hang_up("b");
    assert_eq!(sim.settled.len(), 2);
    sim.assert_clean();
    // He talks on for longer than anybody waits: his phone is asked, and says that it is busy.
    let mut sim = parked();
    call_from(&mut sim, "desk", "80001", "13800138000");
    sim.pick_up("a");
    sim.advance(s(219));
    assert_eq!(parker(&sim), 0);
    sim.advance(s(10));
    assert_eq!(parker(&sim), 1);
    sim.refuse("desk", 486, None);
    assert_eq!(sim.fars["b"].count("BYE"), 1);
    sim.hang_up("a");
    assert_eq!(sim.settled.len(), 2);
    sim.assert_clean();
}

#[test]
fn a_crash_while_a_call_is_parked_or_was_picked_up_bills_every_leg_once() {
    for taken in [false, true] {
        let mut sim = parked();
        if taken {
            dial(&mut sim, ("soft", "80002"), "*7180001");
            sim.advance(s(5));
        }
        restart(&mut sim);
        assert_eq!(sim.fars["b"].count("BYE"), 1);
        assert_eq!(sim.fars["soft"].count("BYE"), usize::from(taken));
        let record = sim.record();
        assert_eq!(record.legs.len(), if taken { 3 } else { 2 });
        assert!(record.legs.iter().all(|leg| leg.ended.is_some()));
        assert!(record.bridged.is_some());
        sim.advance(s(400));
        assert_eq!((sim.engine.counts().calls, sim.engine.counts().unended), (0, 0));
    }
}

#[test]
fn a_recording_goes_on_for_who_is_parked() {
    let mut sim = sim();
    recorded(&mut sim);
    refer(&mut sim, "desk", &format!("<sip:*70@{REALM}>"));
    let (a, b, c) = (sim.leg(LegNo::A), sim.leg(LegNo::B), sim.leg(C));
    let tapes = |sim: &Sim| -> Vec<_> {
        let pair = |command: &MediaCommand| match command {
            MediaCommand::Retape { left, right, .. } => Some((*left, *right)),
            _ => None,
        };
        sim.media.iter().filter_map(pair).collect()
    };
    assert_eq!(tapes(&sim).len(), 1);
    assert!(tapes(&sim)[0].0 == a && tapes(&sim)[0].1 != b, "the port of who left is not taped");
    dial(&mut sim, ("soft", "80002"), "*7180001");
    assert_eq!(tapes(&sim)[1], (a, c));
    sim.advance(ms(10));
    sim.hang_up("a");
    assert!(sim.record().recording.is_some());
    sim.assert_clean();
}
