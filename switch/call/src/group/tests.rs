use std::time::Duration;

use facts::{CallId, LegNo, Strategy};
use proptest::prelude::*;

use super::*;
use crate::testing::start;

const ONE_BY_ONE: [Strategy; 6] = [
    Strategy::Sequential,
    Strategy::RoundRobin,
    Strategy::LeastRecent,
    Strategy::FewestCalls,
    Strategy::Random,
    Strategy::LongestIdle,
];

fn names(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("8000{at}")).collect()
}

/// The order, flat.
fn flat(strategy: Strategy, members: &[String], memory: &Memory) -> Vec<String> {
    order(strategy, members, memory, |_| None, |below| below - 1).concat()
}

/// One call after the other, each taken by the first one who is offered it and is not away.
fn served(strategy: Strategy, members: &[String], away: &[bool]) -> Vec<String> {
    let mut memory = Memory::default();
    let mut served = Vec::new();
    for _ in 0..members.len() * 6 {
        let order = flat(strategy, members, &memory);
        let free = |member: &&String| !away[members.iter().position(|m| m == *member).unwrap()];
        let Some(taker) = order.iter().find(free).cloned() else { break };
        memory.last = Some(taker.clone());
        memory.taken(&taker);
        served.push(taker);
    }
    served
}

#[test]
fn round_robin_goes_on_after_whoever_was_offered_the_last_call() {
    let members = names(4);
    let mut memory = Memory { last: Some(members[1].clone()), ..Memory::default() };
    let begins = |memory: &Memory| flat(Strategy::RoundRobin, &members, memory)[0].clone();
    assert_eq!(begins(&memory), members[2]);
    memory.last = Some(members[3].clone());
    assert_eq!(begins(&memory), members[0], "after the last comes the first");
    memory.last = Some("gone".into());
    assert_eq!(begins(&memory), members[0], "who was asked last is no member any more");
}

#[test]
fn ring_all_is_one_step_and_the_others_are_one_member_a_step() {
    let (members, memory) = (names(5), Memory::default());
    let steps = |strategy| order(strategy, &members, &memory, |_| None, |_| 0);
    assert_eq!(steps(Strategy::RingAll), std::slice::from_ref(&members));
    for strategy in ONE_BY_ONE {
        assert!(steps(strategy).iter().all(|step| step.len() == 1), "{strategy:?}");
    }
    for strategy in ONE_BY_ONE.into_iter().chain([Strategy::RingAll]) {
        assert!(order(strategy, &[], &memory, |_| None, |_| 0).is_empty(), "{strategy:?}");
    }
}

#[test]
fn longest_idle_asks_those_without_a_call_first_and_then_whoever_hung_up_first() {
    let (members, start) = (names(4), start().mono);
    let idle = |member: &str| match member {
        "80000" => Some(start + Duration::from_secs(3)),
        "80001" => Some(start + Duration::from_secs(1)),
        "80003" => Some(start + Duration::from_secs(2)),
        _ => None,
    };
    let order = order(Strategy::LongestIdle, &members, &Memory::default(), idle, |_| 0).concat();
    assert_eq!(order, ["80002", "80001", "80003", "80000"]);
}

#[test]
fn random_draws_every_order() {
    let members = names(3);
    let mut seen = BTreeSet::new();
    for first in 0..3 {
        for second in 0..2 {
            let mut draws = [first, second].into_iter();
            let draw = |below| draws.next().filter(|drawn| *drawn < below).unwrap();
            let drawn = order(Strategy::Random, &members, &Memory::default(), |_| None, draw);
            seen.insert(drawn.concat());
        }
    }
    assert_eq!(seen.len(), 6);
}

#[test]
fn what_is_remembered_goes_with_the_group_and_its_members() {
    let mut groups = Groups::default();
    for (group, member) in [("80100", "80000"), ("80100", "80001"), ("80200", "80000")] {
        groups.taken(group, member);
    }
    let mut snapshot = Snapshot::default();
    let group = Group {
        merchant: facts::MerchantId(1),
        name: String::new(),
        enabled: true,
        strategy: Strategy::FewestCalls,
        members: vec!["80001".into()],
        ring_s: 20,
        timeout_s: 60,
        otherwise: None,
    };
    snapshot.groups.insert("80100".into(), group);
    groups.settle(&snapshot);
    assert_eq!(groups.memories.keys().collect::<Vec<_>>(), ["80100"]);
    assert_eq!(groups.memories["80100"].taken.keys().collect::<Vec<_>>(), ["80001"]);
}

#[test]
fn case_43_nobody_is_busy_whose_leg_is_down() {
    let now = start().mono;
    let leg = |call| LegId::new(CallId(call), LegNo::B);
    let mut agents = Agents::default();
    agents.enter("80000", leg(1));
    agents.enter("80000", leg(2));
    assert!(!agents.is_free("80000", leg(1)), "the other one is at it");
    agents.leave("80000", leg(2), now, true);
    agents.leave("80000", leg(2), now, true);
    assert!(agents.is_free("80000", leg(1)) && !agents.is_free("80000", leg(3)));
    agents.leave("80000", leg(1), now, false);
    assert_eq!((agents.is_free("80000", leg(3)), agents.total()), (true, 0));
}

proptest! {
    /// Whatever happened before: everybody is asked, nobody twice.
    #[test]
    fn every_order_is_a_permutation_of_the_members(
        count in 0_usize..12,
        taken in proptest::collection::vec(0_usize..12, 0..40),
        dice in any::<u64>(),
    ) {
        let members = names(count);
        let mut memory = Memory::default();
        for at in taken {
            memory.taken(&format!("8000{at}"));
            memory.last = Some(format!("8000{at}"));
        }
        for strategy in ONE_BY_ONE.into_iter().chain([Strategy::RingAll]) {
            let order = order(strategy, &members, &memory, |_| None, |below| dice % below);
            let mut sorted = order.concat();
            sorted.sort();
            let mut expected = members.clone();
            expected.sort();
            prop_assert_eq!(sorted, expected, "{:?}", strategy);
        }
    }

    /// Round robin, least recent and fewest calls are fair: of those who are there, nobody takes a second call
    /// more than the others. Sequential asks in the same order for ever.
    #[test]
    fn the_fair_strategies_are_fair(count in 1_usize..8, away in any::<u8>()) {
        let members = names(count);
        let away: Vec<bool> = (0..count).map(|at| away >> at & 1 == 1).collect();
        let here = away.iter().filter(|away| !**away).count();
        prop_assume!(here > 0);
        for strategy in [Strategy::RoundRobin, Strategy::LeastRecent, Strategy::FewestCalls] {
            let served = served(strategy, &members, &away);
            for (at, member) in members.iter().enumerate().filter(|(at, _)| !away[*at]) {
                let count = served.iter().filter(|taker| *taker == member).count();
                let even = served.len() / here;
                prop_assert!(count.abs_diff(even) <= 1, "{:?}: {} of {}", strategy, at, even);
            }
            // In any row of as many calls as there are members, each takes one.
            for row in served.windows(here) {
                prop_assert_eq!(row.iter().collect::<BTreeSet<_>>().len(), here, "{:?}", strategy);
            }
        }
        let first = members.iter().enumerate().find(|(at, _)| !away[*at]).map(|(_, m)| m);
        prop_assert!(served(Strategy::Sequential, &members, &away).iter().all(|m| Some(m) == first));
    }
}
