//! Privacy numbers: two people reach each other by a number of ours, and neither learns the other's (merchant API §6).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
#[path = "common/privacy.rs"]
mod privacy;

use std::sync::Arc;

use common::phones::{invite, invite_with};
use common::team::told;
use common::*;
use facts::media::{MediaCommand, MediaEvent, Prompt, Source};
use facts::policy::{NumberList, Policy, Rule};
use facts::settings::{Identity, Snapshot};
use facts::{
    Dialect, Failure, Kind, LegNo, MerchantId, Number, Origin, Outcome, PushKind, Side, TrunkId,
};
use privacy::{X, bound, calls, learn, nowhere};
use sip::wire::HeaderName;

const STRANGER: &str = "8613900001111";

fn sim(set: impl FnOnce(&mut Snapshot)) -> Sim {
    bound(|_| {}, set)
}

/// Whoever has called by carrier A hears that there is no such number, to its end.
fn hears_of_nobody(sim: &mut Sim) {
    assert_eq!(told(sim, "a"), Some(183), "before any answer");
    let prompt = Prompt { name: "callee-invalid".into(), language: "en".into() };
    assert_eq!(sim.hears(LegNo::A), Some(&Source::Prompt(prompt)));
    let leg = sim.leg(LegNo::A);
    sim.media(MediaEvent::Played { leg });
    assert_eq!(told(sim, "a"), Some(404));
}

#[test]
fn s6_axb_each_reaches_the_other_who_is_shown_the_number_between() {
    for (from, to, way, back) in [(NUMBER_A, NUMBER_B, "a", "b"), (NUMBER_B, NUMBER_A, "b", "a")] {
        for identity in [Identity::From, Identity::Asserted] {
            let mut sim = sim(|snapshot| {
                for trunk in snapshot.trunks.values_mut() {
                    trunk.options.identity = identity;
                    trunk.options.transit = vec!["X-Caller".into()];
                }
            });
            let first = format!("<sip:+{from}@192.0.2.1>");
            let headers = [("Diversion", first.as_str()), ("X-Caller", from)];
            calls(&mut sim, way, from, &headers);
            let rung = sim.far(back).last("INVITE").clone();
            assert_eq!(rung.from().unwrap().uri.user_text().as_deref(), Some("+861087654321"));
            assert!(rung.header(HeaderName::Diversion).is_none());
            sim.ring(back, 180, None);
            sim.pick_up(back);
            nowhere(&sim, back, from);
            nowhere(&sim, way, to);
            sim.advance(s(20));
            sim.hang_up(way);
            let command = &sim.record().command;
            assert_eq!(command.merchant, MERCHANT);
            assert_eq!(command.a.number, Number::E164(from.into()));
            let b = command.b.as_ref().unwrap();
            assert_eq!(b.number, Number::E164(to.into()));
            assert_eq!(b.shown, Some(Number::E164(X.into())));
            let legs = &sim.record().legs;
            assert_eq!(legs.len(), 2);
            assert!(legs.iter().all(|leg| leg.answered.is_some()), "a call of two");
            assert_eq!(sim.authorizations[0].legs.len(), 1, "the leg that goes out is paid for");
            assert_eq!(sim.authorizations[0].legs[0].leg, LegNo::B);
        }
    }
}

#[test]
fn s6_axb_the_merchant_has_the_call_as_those_that_it_places() {
    let mut sim = sim(|_| {});
    calls(&mut sim, "a", NUMBER_A, &[]);
    sim.ring("b", 180, None);
    sim.pick_up("b");
    sim.advance(s(20));
    sim.hang_up("a");
    let command = &sim.record().command;
    assert_eq!((command.dialect, command.app.as_str()), (Dialect::Rest, "7"));
    let pushes: Vec<_> = command.pushes.iter().map(|push| (push.kind, push.dialect)).collect();
    let both = [PushKind::State, PushKind::Record].map(|kind| (kind, Dialect::Rest));
    assert_eq!(pushes, both);
    assert!(command.pushes.iter().all(|push| push.endpoint.is_empty()), "its list of events");
    assert_eq!(command.custom, "order 7", "the word of the binding");
    assert!(command.pushes.iter().all(|push| push.context == privacy::CONTEXT));
    let told = sim.states();
    for state in ["A answer", "A disconnect", "B callout", "B alerting", "B answer", "B disconnect"]
    {
        assert_eq!(told.iter().filter(|told| *told == state).count(), 1, "{state}: {told:?}");
    }
}

#[test]
fn s6_axb_of_strangers_the_merchant_hears_nothing() {
    let mut sim = sim(|_| {});
    calls(&mut sim, "a", STRANGER, &[]);
    hears_of_nobody(&mut sim);
    let command = &sim.record().command;
    assert!(command.app.is_empty() && command.pushes.is_empty(), "{command:?}");
    assert!(sim.states().is_empty());
}

#[test]
fn s6_axb_a_stranger_hears_before_any_answer_that_there_is_nobody_and_pays_nothing() {
    let mut sim = sim(|_| {});
    calls(&mut sim, "a", STRANGER, &[]);
    hears_of_nobody(&mut sim);
    let answer = sim.fars["a"].heard.iter().rev().find(|m| m.status() == Some(404)).unwrap();
    assert_eq!(answer.reason()[0].cause, Some(1));
    let early = sim.fars["a"].heard.iter().find(|m| m.status() == Some(183)).unwrap();
    assert!(!early.body().is_empty(), "he is told where the words come from");
    assert_eq!(sim.far("b").count("INVITE"), 0);
    assert!(sim.authorizations[0].legs.is_empty(), "nothing is held");
    assert!(sim.turned_away.is_empty(), "it is no knocking");
    let record = sim.record();
    let why = Failure::new(Origin::Us, Kind::Unallocated);
    assert_eq!((record.outcome, record.released_by), (Outcome::Failed(why), Side::Platform));
    assert_eq!((record.legs.len(), record.legs[0].answered), (1, None));
    assert_eq!(record.command.b.as_ref().unwrap().number, Number::E164(X.into()));
    sim.assert_clean();
}

#[test]
fn s6_axb_a_stranger_who_can_hear_nothing_is_refused_at_once() {
    let mut sim = sim(|_| {});
    let from = format!("<sip:+{STRANGER}@192.0.2.1>");
    let to = format!("sip:+{X}@198.51.100.1");
    invite_with(&mut sim, "a", (&from, &to), None, (&[], ""));
    assert_eq!(told(&sim, "a"), Some(404), "no sound can come before an answer to a late offer");
    assert!(sim.authorizations.is_empty());
    sim.assert_clean();
}

#[test]
fn s6_axb_a_stranger_hangs_up_or_his_words_cannot_be_had() {
    let mut sim = sim(|_| {});
    calls(&mut sim, "a", STRANGER, &[]);
    sim.hang_up("a");
    assert_eq!(told(&sim, "a"), Some(487));
    let why = Failure::new(Origin::LegA, Kind::Abandoned);
    assert_eq!(sim.record().outcome, Outcome::Failed(why));
    calls(&mut sim, "a", STRANGER, &[]);
    let leg = sim.leg(LegNo::A);
    sim.media(MediaEvent::Unplayable { leg, why: facts::sound::Unplayable::Missing });
    assert_eq!(told(&sim, "a"), Some(404));
    calls(&mut sim, "a", STRANGER, &[]);
    sim.advance(s(120));
    assert_eq!(told(&sim, "a"), Some(404), "nobody says that it is over");
    assert_eq!(sim.settled.len(), 3);
    let joined = |command: &MediaCommand| {
        matches!(command, MediaCommand::Hear { source: Source::Leg(_), .. })
    };
    assert!(!sim.media.iter().any(joined));
    sim.assert_clean();
}

#[test]
fn s6_axb_whoever_has_no_binding_reaches_nobody() {
    let mut sim = sim(|_| {});
    // Taken back.
    learn(&mut sim, MERCHANT, None);
    calls(&mut sim, "a", NUMBER_A, &[]);
    hears_of_nobody(&mut sim);
    // Of a merchant whose number it is no more.
    let until = sim.now.wall + s(600);
    learn(&mut sim, MerchantId(8), Some(until));
    calls(&mut sim, "a", NUMBER_A, &[]);
    hears_of_nobody(&mut sim);
    assert_eq!(sim.far("b").count("INVITE"), 0);
    learn(&mut sim, MERCHANT, Some(until));
    calls(&mut sim, "a", NUMBER_A, &[]);
    assert_eq!(sim.far("b").count("INVITE"), 1);
}

#[test]
fn s6_axb_bindings_of_whoever_had_the_number_before_are_not_in_the_way() {
    let mut sim = sim(|_| {});
    let until = Some(sim.now.wall + s(600));
    // What the former merchant still does with his does nothing to the new one's.
    learn(&mut sim, MerchantId(8), until);
    calls(&mut sim, "a", NUMBER_A, &[]);
    assert_eq!(sim.far("b").count("INVITE"), 1);
    learn(&mut sim, MerchantId(8), None);
    calls(&mut sim, "a", NUMBER_A, &[]);
    assert_eq!(sim.far("b").count("INVITE"), 2);
}

#[test]
fn s6_axb_a_binding_is_none_from_the_moment_it_expires() {
    let mut sim = sim(|_| {});
    sim.advance(s(590));
    calls(&mut sim, "a", NUMBER_A, &[]);
    assert_eq!(sim.far("b").count("INVITE"), 1);
    sim.pick_up("b");
    sim.advance(s(20));
    assert!(!sim.far("b").ended(), "a call that is up goes on");
    sim.hang_up("a");
    calls(&mut sim, "a", NUMBER_A, &[]);
    assert_eq!(sim.far("b").count("INVITE"), 1);
    hears_of_nobody(&mut sim);
}

#[test]
fn s6_axb_a_policy_counts_whoever_is_rung() {
    let list = Arc::new(NumberList::new([NUMBER_B], Vec::new(), Vec::new()));
    let policy = Policy {
        id: 7,
        name: "quiet".into(),
        rule: Rule::default(),
        zone: None,
        block: vec![list],
        only: Vec::new(),
        except: Vec::new(),
    };
    let mut sim = sim(|snapshot| snapshot.policies.push(policy));
    calls(&mut sim, "a", NUMBER_A, &[]);
    assert_eq!((sim.far("b").count("INVITE"), told(&sim, "a")), (0, Some(403)));
    assert_eq!(sim.stopped.len(), 1);
    calls(&mut sim, "b", NUMBER_B, &[]);
    assert_eq!(sim.far("a").count("INVITE"), 1, "the other is on no list");
}

#[test]
fn s6_axb_who_hides_his_number_is_known_by_what_a_trusted_carrier_asserts() {
    for (untrusted, reached) in [(false, 1), (true, 0)] {
        let mut sim = sim(|snapshot| {
            snapshot.trunks.get_mut(&TrunkId(1)).unwrap().options.untrusted = untrusted;
        });
        let asserted = format!("<sip:+{NUMBER_A}@192.0.2.1>");
        let headers = [("P-Asserted-Identity", asserted.as_str()), ("Privacy", "id")];
        let nobody = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";
        invite(&mut sim, "a", (nobody, &format!("sip:+{X}@198.51.100.1")), None, &headers);
        assert_eq!(sim.far("b").count("INVITE"), reached);
        if reached == 1 {
            let rung = sim.far("b").last("INVITE").clone();
            assert_eq!(rung.from().unwrap().uri.user_text().as_deref(), Some("+861087654321"));
            nowhere(&sim, "b", NUMBER_A);
        } else {
            hears_of_nobody(&mut sim);
        }
    }
}
