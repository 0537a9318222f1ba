//! Privacy numbers under policies, capacities and pools (merchant API §6): whoever is rung by one is rung as by anything
//! else, and who hears that he reaches nobody rings nobody.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
#[path = "common/privacy.rs"]
mod privacy;

use std::sync::Arc;

use common::team::told;
use common::*;
use facts::capacity::{Capacity, Holder};
use facts::media::MediaEvent;
use facts::policy::{AtMost, NumberList, Policy, Reason, Rule, Service};
use facts::pool::Pool;
use facts::{Hours, LegId, LegNo, Outcome, Refusal, TrunkId};
use privacy::{X, bound, calls, nowhere};

fn under(set: impl FnOnce(&mut Policy)) -> Sim {
    let mut policy = Policy {
        id: 7,
        name: "quiet".into(),
        rule: Rule::default(),
        zone: None,
        block: Vec::new(),
        only: Vec::new(),
        except: Vec::new(),
    };
    set(&mut policy);
    bound(|_| {}, |snapshot| snapshot.policies.push(policy))
}

fn list(numbers: &[&str]) -> Vec<Arc<NumberList>> {
    vec![Arc::new(NumberList::new(numbers.iter().copied(), Vec::new(), Vec::new()))]
}

/// Both call X: who is rung, and what a caller is told who rings nobody.
fn rung(sim: &mut Sim) -> [Result<(), Option<u16>>; 2] {
    [("a", NUMBER_A, "b"), ("b", NUMBER_B, "a")].map(|(way, from, back)| {
        calls(sim, way, from, &[]);
        let rings = sim.far(back).count("INVITE") == 1;
        if rings {
            sim.hang_up(way);
            Ok(())
        } else {
            Err(told(sim, way))
        }
    })
}

fn why(sim: &Sim) -> Vec<(Reason, Service)> {
    sim.stopped.iter().map(|stopped| (stopped.reason, stopped.service)).collect()
}

#[test]
fn s6_axb_who_may_not_be_called_is_not_rung_by_a_number_between_either() {
    let mut sim = under(|policy| policy.block = list(&[NUMBER_B]));
    assert_eq!(rung(&mut sim), [Err(Some(403)), Ok(())], "B is on the register");
    assert_eq!(why(&sim), [(Reason::Listed, Service::Dial)]);
    let mut sim = under(|policy| policy.only = list(&[NUMBER_B]));
    assert_eq!(rung(&mut sim), [Ok(()), Err(Some(403))], "only B is on the list");
    assert_eq!(why(&sim), [(Reason::NotListed, Service::Dial)]);
    // Who calls X is no callee: X itself on a list is in nobody's way.
    let mut sim = under(|policy| policy.block = list(&[X]));
    assert_eq!(rung(&mut sim), [Ok(()), Ok(())]);
}

#[test]
fn s6_axb_outside_the_hours_of_his_country_nobody_is_rung() {
    let mut sim = under(|policy| {
        policy.rule.hours = Hours::try_from(vec!["mon 03:00-03:01".to_owned()]).unwrap();
        policy.rule.prefixes = vec!["8610".into()];
    });
    assert_eq!(rung(&mut sim), [Err(Some(403)), Ok(())], "A is somewhere else");
    assert_eq!(why(&sim), [(Reason::Hours, Service::Dial)]);
    let mut sim = under(|policy| {
        policy.rule.hours = Hours::try_from(vec!["mon 03:00-03:01".to_owned()]).unwrap();
        policy.rule.services = vec![Service::Code, Service::Callback];
    });
    assert_eq!(rung(&mut sim), [Ok(()), Ok(())], "it is about other services");
}

#[test]
fn s6_axb_how_often_somebody_is_rung_by_it_is_counted_with_everything_else() {
    let at_most = vec![AtMost { calls: 2, within_s: 3_600 }];
    let mut sim = under(|policy| policy.rule.at_most.clone_from(&at_most));
    assert_eq!(rung(&mut sim), [Ok(()), Ok(())]);
    for (nth, callee) in [(0, NUMBER_B), (1, NUMBER_A)] {
        let caps = &sim.authorizations[nth].caps;
        assert_eq!(caps.len(), 1, "who calls is not rung");
        assert_eq!((caps[0].leg, caps[0].number.as_str()), (LegNo::B, callee));
        assert_eq!((&caps[0].at_most, &caps[0].key), (&at_most, &format!("p7m{}", MERCHANT.0)));
    }
    sim.ledger.refuse = Some(Refusal::TooOften);
    calls(&mut sim, "a", NUMBER_A, &[]);
    assert_eq!((sim.far("b").count("INVITE"), told(&sim, "a")), (1, Some(403)));
    assert_eq!(why(&sim), [(Reason::TooOften, Service::Dial)]);
}

#[test]
fn s6_axb_a_stranger_hears_his_words_whatever_policies_say() {
    let mut sim = under(|policy| {
        policy.only = list(&[NUMBER_B]);
        policy.rule.at_most = vec![AtMost { calls: 1, within_s: 60 }];
    });
    calls(&mut sim, "a", "8613900001111", &[]);
    assert_eq!(told(&sim, "a"), Some(183));
    assert!(sim.authorizations[0].caps.is_empty() && sim.stopped.is_empty(), "nobody is rung");
}

#[test]
fn s6_axb_calls_by_one_number_have_its_capacity_and_their_merchants() {
    let busy = |sim: &mut Sim| {
        calls(sim, "a", NUMBER_A, &[]);
        sim.pick_up("b");
        calls(sim, "a", NUMBER_A, &[]);
        assert_eq!(sim.far("b").count("INVITE"), 1, "one at a time");
        assert!(told(sim, "a").is_some_and(|status| status >= 400));
        sim.hang_up("b");
        assert_eq!(sim.record().outcome, Outcome::Completed);
        calls(sim, "a", NUMBER_A, &[]);
        assert_eq!(sim.far("b").count("INVITE"), 2);
    };
    let one = Capacity { max_calls: Some(1), ..Capacity::default() };
    busy(&mut bound(
        |_| {},
        |snapshot| {
            snapshot.capacity.insert(Holder::Number(X.into()), one);
        },
    ));
    busy(&mut bound(
        |_| {},
        |snapshot| {
            snapshot.merchants.get_mut(&MERCHANT).unwrap().max_calls = Some(1);
        },
    ));
}

#[test]
fn s6_axb_strangers_take_none_of_the_merchants_places_rate_or_capacity() {
    let mut sim = bound(
        |_| {},
        |snapshot| {
            let one = Capacity { max_calls: Some(1), ..Capacity::default() };
            snapshot.capacity.insert(Holder::Number(X.into()), one);
            let merchant = snapshot.merchants.get_mut(&MERCHANT).unwrap();
            (merchant.max_calls, merchant.calls_per_second) = (Some(1), Some(1));
        },
    );
    for nth in 0..4 {
        calls(&mut sim, "a", &format!("861390000111{nth}"), &[]);
        assert_eq!(told(&sim, "a"), Some(183), "{nth} hears that there is nobody");
    }
    calls(&mut sim, "a", "8613900001119", &[]);
    assert_eq!(told(&sim, "a"), Some(404), "so many at a time");
    assert_eq!(sim.authorizations.len(), 4, "of which there is no call");
    calls(&mut sim, "a", NUMBER_A, &[]);
    assert_eq!(sim.far("b").count("INVITE"), 1, "its own people have all that it has");
    // Their turn comes again when the others have heard it.
    for call in sim.authorizations.iter().map(|one| one.call).take(4).collect::<Vec<_>>() {
        sim.media(MediaEvent::Played { leg: LegId::new(call, LegNo::A) });
    }
    calls(&mut sim, "a", "8613900001119", &[]);
    assert_eq!(told(&sim, "a"), Some(183));
}

#[test]
fn s6_axb_it_lasts_as_long_as_its_merchants_calls_may() {
    let mut sim =
        bound(|_| {}, |snapshot| snapshot.merchants.get_mut(&MERCHANT).unwrap().max_talk = s(120));
    calls(&mut sim, "a", NUMBER_A, &[]);
    sim.pick_up("b");
    sim.advance(s(119));
    assert!(!sim.far("b").ended());
    sim.advance(s(2));
    assert!(sim.far("a").ended() && sim.far("b").ended());
    assert_eq!(sim.record().legs[1].talk(), s(120));
}

#[test]
fn s6_axb_no_pool_has_another_number_for_two_who_are_bound() {
    let pool = |always| Pool { numbers: vec!["861055500100".into()], always, ..Pool::default() };
    for (of_merchant, always) in [(true, false), (true, true), (false, false), (false, true)] {
        let mut sim = bound(
            |_| {},
            |snapshot| match of_merchant {
                true => {
                    snapshot.pools.insert(MERCHANT, pool(always));
                }
                false => {
                    let trunk = snapshot.trunks.get_mut(&TrunkId(2)).unwrap();
                    trunk.options.pool = Some(pool(always));
                }
            },
        );
        calls(&mut sim, "a", NUMBER_A, &[]);
        let shown = sim.far("b").last("INVITE").from().unwrap().uri.user_text();
        assert_eq!(shown, Some(format!("+{X}")), "{of_merchant} {always}");
        nowhere(&sim, "b", NUMBER_A);
    }
}
