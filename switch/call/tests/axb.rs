//! Privacy numbers: two people reach each other by a number of ours, and neither learns the other's (merchant API §6).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::sync::Arc;

use call::Command;
use common::phones::invite;
use common::team::told;
use common::*;
use facts::axb::AxbBinding;
use facts::policy::{NumberList, Policy, Rule};
use facts::settings::{Identity, Snapshot};
use facts::{LegNo, MerchantId, Number, TrunkId, UnixMillis};
use sip::wire::HeaderName;

const X: &str = "861087654321";

/// X is a privacy number of the merchant's; carrier A has the mobiles, carrier B Beijing.
fn sim(set: impl FnOnce(&mut Snapshot)) -> Sim {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            snapshot.extensions.insert("80001".into(), extension("80001", "right"));
            snapshot.inbound.insert(X.into(), "80001".into());
            snapshot.axb.insert(X.into());
            set(snapshot);
        },
    );
    let until = sim.now.wall + s(600);
    learn(&mut sim, MERCHANT, Some(until));
    sim
}

fn learn(sim: &mut Sim, merchant: MerchantId, until: Option<UnixMillis>) {
    let [number, a, b] = [X, NUMBER_A, NUMBER_B].map(str::to_owned);
    sim.command(Command::Axb(vec![AxbBinding { id: 1, merchant, number, a, b, until }]));
}

/// Somebody calls X by a carrier.
fn calls(sim: &mut Sim, carrier: &str, from: &str, headers: &[(&str, &str)]) {
    let from = format!("<sip:+{from}@192.0.2.1>");
    invite(sim, carrier, (&from, &format!("sip:+{X}@198.51.100.1")), None, headers);
}

/// Nothing that a far end was sent has a number in it.
fn nowhere(sim: &Sim, name: &str, number: &str) {
    for message in &sim.fars[name].heard {
        let text = String::from_utf8_lossy(message.bytes());
        assert!(!text.contains(&number[2..]), "{name} learns {number}: {text}");
    }
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
fn s6_axb_whoever_has_no_binding_reaches_nobody() {
    let stranger = "8613900001111";
    let mut sim = sim(|_| {});
    calls(&mut sim, "a", stranger, &[]);
    assert_eq!(told(&sim, "a"), Some(404), "also not the extension that it is of");
    // Taken back.
    learn(&mut sim, MERCHANT, None);
    calls(&mut sim, "a", NUMBER_A, &[]);
    // Of a merchant whose number it is no more.
    let until = sim.now.wall + s(600);
    learn(&mut sim, MerchantId(8), Some(until));
    calls(&mut sim, "a", NUMBER_A, &[]);
    assert!(sim.authorizations.is_empty());
    assert_eq!(sim.far("b").count("INVITE"), 0);
    learn(&mut sim, MERCHANT, Some(until));
    calls(&mut sim, "a", NUMBER_A, &[]);
    assert_eq!(sim.far("b").count("INVITE"), 1);
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
    assert_eq!((sim.far("b").count("INVITE"), told(&sim, "a")), (1, Some(404)));
}

#[test]
fn s6_axb_a_policy_counts_whoever_is_rung() {
    let list = Arc::new(NumberList::new([NUMBER_B].into_iter(), Vec::new(), Vec::new()));
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
            assert_eq!(told(&sim, "a"), Some(404));
        }
    }
}
