use facts::{Hours, Micros, Zone};
use proptest::prelude::*;

use super::*;
use crate::route::tests::{extension, trunk};
use facts::Strategy;

/// 2026-11-21 is a Saturday; 15:00 UTC.
const NOW: UnixMillis = UnixMillis(1_795_273_200_000);

fn route(prefix: &str, trunk: i64, priority: u16) -> Route {
    Route::new(prefix, TrunkId(trunk), priority)
}

fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot::default();
    for id in 1..=6 {
        let number = facts::settings::NumberFormat::E164;
        snapshot.trunks.insert(TrunkId(id), trunk(&format!("t{id}"), number));
    }
    snapshot.routes = vec![
        route("", 1, 0),
        route("86", 1, 5),
        route("86138", 2, 9),
        route("86138", 3, 1),
        route("1", 4, 0),
        route("10086", 2, 0),
    ];
    snapshot
}

fn mobile() -> Number {
    Number::E164("8613800138000".into())
}

/// Trunks by id, the draw always falling on the first.
fn order(snapshot: &Snapshot, number: &Number) -> Vec<i64> {
    trunks(snapshot, number, NOW, |_| 0).iter().map(|id| id.0).collect()
}

#[test]
fn the_longest_prefix_wins_then_the_lower_priority() {
    let mut snapshot = snapshot();
    assert_eq!(order(&snapshot, &mobile()), [3, 2]);
    snapshot.trunks.get_mut(&TrunkId(3)).unwrap().enabled = false;
    assert_eq!(order(&snapshot, &mobile()), [2]);
    snapshot.trunks.get_mut(&TrunkId(2)).unwrap().enabled = false;
    assert_eq!(order(&snapshot, &mobile()), [1], "the next prefix that has a trunk");
}

#[test]
fn a_short_code_is_not_caught_by_a_country_code() {
    let snapshot = snapshot();
    assert_eq!(order(&snapshot, &Number::Short("10086".into())), [2]);
    let unnamed = Number::Short("110".into());
    assert_eq!(order(&snapshot, &unnamed), [0; 0], "not by the route for everything either");
    assert!(!exists(&snapshot, &unnamed) && exists(&snapshot, &Number::Short("10086".into())));
    assert_eq!(order(&snapshot, &Number::E164("12025550123".into())), [4]);
}

#[test]
fn among_equal_priorities_the_cheaper_comes_first_and_the_unknown_last() {
    let mut snapshot = snapshot();
    snapshot.routes =
        vec![route("86", 1, 5), route("86", 2, 5), route("86", 3, 5), route("86", 4, 1)];
    snapshot.routes[0].cost = Some(Micros(90_000));
    snapshot.routes[2].cost = Some(Micros(40_000));
    assert_eq!(order(&snapshot, &mobile()), [4, 3, 1, 2]);
}

#[test]
fn a_closed_route_is_as_if_it_were_not_there() {
    let mut snapshot = snapshot();
    snapshot.zone = Zone::named("Asia/Shanghai").unwrap();
    let hours = |text: &str| Hours::try_from(vec![text.to_owned()]).unwrap();
    // Shanghai's clock shows Saturday 23:00.
    snapshot.routes[3].hours = hours("mon-fri 00:00-24:00");
    assert_eq!(order(&snapshot, &mobile()), [2]);
    snapshot.routes[2].hours = hours("08:00-23:00");
    assert_eq!(order(&snapshot, &mobile()), [1], "closed, both: the shorter prefix serves");
    snapshot.routes[2].hours = hours("sat 22:00-06:00");
    assert_eq!(order(&snapshot, &mobile()), [2]);
}

#[test]
fn no_more_than_four_are_tried() {
    let mut snapshot = snapshot();
    snapshot.routes = (1..=6).map(|id| route("86", id, u16::try_from(id).unwrap())).collect();
    assert_eq!(order(&snapshot, &mobile()), [1, 2, 3, 4]);
    let told = explain(&snapshot, "+8613800138000", NOW, None).unwrap();
    assert_eq!(told.candidates[4].verdict, Verdict::TooMany { most: 4 });
    assert_eq!(told.candidates[4].place, None);
}

/// Each share of a whole turn of draws is exactly the weight.
#[test]
fn weights_share_the_calls() {
    let mut snapshot = snapshot();
    snapshot.routes =
        vec![route("86", 1, 5), route("86", 2, 5), route("86", 3, 5), route("86", 4, 9)];
    snapshot.routes[0].weight = 6;
    snapshot.routes[1].weight = 3;
    let mut firsts = [0_u32; 5];
    for turn in 0..10 {
        let mut draws = 0;
        let order = trunks(&snapshot, &mobile(), NOW, |below| {
            draws += 1;
            if draws == 1 {
                assert_eq!(below, 10, "the weights together");
                turn
            } else {
                0
            }
        });
        assert_eq!(order.len(), 4, "each is tried once");
        assert_eq!(order[3], TrunkId(4), "the worse priority last");
        firsts[usize::try_from(order[0].0).unwrap()] += 1;
    }
    assert_eq!(firsts, [0, 6, 3, 1, 0]);
}

#[test]
fn every_candidate_is_explained() {
    let mut snapshot = snapshot();
    snapshot.routes = vec![
        route("", 1, 0),
        route("86", 1, 1),
        route("86", 2, 1),
        route("86", 3, 2),
        route("86", 4, 3),
        route("86", 5, 4),
        route("44", 6, 0),
    ];
    snapshot.routes[1].weight = 3;
    snapshot.routes[3].hours = Hours::try_from(vec!["mon 08:00-09:00".to_owned()]).unwrap();
    snapshot.trunks.get_mut(&TrunkId(5)).unwrap().enabled = false;
    let live = Live {
        phones: &|_| Vec::new(),
        registered: &|_| false,
        against: &|id, _| (id == TrunkId(4)).then_some(Verdict::Full { legs: 30 }),
        silent: &|_, _| false,
    };
    let told = explain(&snapshot, "013800138000", NOW, Some(&live)).unwrap();
    assert_eq!((told.number.as_str(), told.live), ("+8613800138000", true));
    assert_eq!(told.local_time, "sat 15:00 UTC");
    let verdicts: Vec<_> = (told.candidates.iter())
        .map(|candidate| (candidate.trunk.as_str(), candidate.place, candidate.verdict.to_string()))
        .collect();
    let expected = [
        ("t1", Some(1), "tried; comes first in 3 of 4 calls, by weight"),
        ("t2", Some(2), "tried; comes first in 1 of 4 calls, by weight"),
        ("t3", None, "not tried: open only mon 08:00-09:00"),
        ("t4", None, "skipped now: the trunk carries 30 legs, its limit"),
        ("t5", None, "not tried: the trunk is disabled"),
        ("t1", None, "not tried: prefix 86 is longer"),
    ];
    assert_eq!(verdicts, expected.map(|(trunk, place, why)| (trunk, place, why.to_owned())));
}

#[test]
fn groups_and_wishes_are_explained() {
    let mut snapshot = Snapshot::default();
    let mut desk = extension();
    desk.reach.dnd = true;
    desk.reach.busy = Some(LeadsTo::Internal("80100".into()));
    desk.reach.no_answer = Some(LeadsTo::Public("8613900139000".into()));
    snapshot.extensions.insert("80001".into(), desk);
    let group = facts::Group {
        merchant: MerchantId(1),
        name: String::new(),
        enabled: true,
        strategy: Strategy::RoundRobin,
        members: vec!["80001".into(), "80002".into()],
        ring_s: 20,
        timeout_s: 60,
        otherwise: Some(LeadsTo::Internal("80003".into())),
    };
    snapshot.groups.insert("80100".into(), group);
    let told = |snapshot: &Snapshot, number: &str| {
        explain(snapshot, number, UnixMillis(0), None).unwrap().leads_to
    };
    assert_eq!(
        told(&snapshot, "80001"),
        "the contacts of extension 80001; they are not rung, it does not want to be disturbed: \
         a call goes on to 80100 (busy)"
    );
    let desk = |snapshot: &mut Snapshot, set: fn(&mut Reach)| {
        set(&mut snapshot.extensions.get_mut("80001").unwrap().reach);
    };
    desk(&mut snapshot, |reach| reach.busy = None);
    assert!(told(&snapshot, "80001").ends_with("disturbed: a call is refused as busy"));
    desk(&mut snapshot, |reach| reach.dnd = false);
    assert_eq!(
        told(&snapshot, "80001"),
        "the contacts of extension 80001; no answer within 20 s: 8613900139000"
    );
    // Whatever else it wants, `always` wins, and is followed for one step.
    for (to, expected) in [
        (LeadsTo::Internal("80100".into()), "group 80100, in turn: 80001, 80002, then 80003"),
        (LeadsTo::Voicemail("80001".into()), "the mailbox of extension 80001"),
        (LeadsTo::Public("8613900139000".into()), "nowhere: no route has a prefix that fits"),
    ] {
        let reach = &mut snapshot.extensions.get_mut("80001").unwrap().reach;
        (reach.dnd, reach.always) = (true, Some(to.clone()));
        let why = format!(", where extension 80001 leads every call on (always: {to})");
        assert_eq!(told(&snapshot, "80001"), format!("{expected}{why}"));
    }
    assert_eq!(told(&snapshot, "80100"), "group 80100, in turn: 80001, 80002, then 80003");
    snapshot.groups.get_mut("80100").unwrap().enabled = false;
    assert_eq!(told(&snapshot, "80100"), "group 80100, which is disabled");
}

#[test]
fn an_extension_and_nonsense_are_explained_too() {
    let mut snapshot = snapshot();
    let mut extension = extension();
    extension.bound_phone = Some("8613900139000".into());
    snapshot.extensions.insert("80001".into(), extension);
    let told = explain(&snapshot, "80001", NOW, None).unwrap();
    let both =
        "the contacts of extension 80001, or +8613900139000, its bound phone, when it has none";
    assert_eq!((told.leads_to.as_str(), told.candidates[0].trunk.as_str()), (both, "t1"));
    let live = Live {
        registered: &|_| true,
        against: &|_, _| None,
        silent: &|_, _| false,
        phones: &|_| Vec::new(),
    };
    let told = explain(&snapshot, "80001", NOW, Some(&live)).unwrap();
    assert_eq!(told.leads_to, "the contacts of extension 80001");
    assert!(told.candidates.is_empty());
    let live = Live {
        registered: &|_| false,
        against: &|_, _| None,
        silent: &|_, _| false,
        phones: &|_| Vec::new(),
    };
    let told = explain(&snapshot, "80001", NOW, Some(&live)).unwrap();
    assert_eq!(told.leads_to, "+8613900139000, the phone bound to extension 80001");
    assert_eq!(told.candidates[0].trunk, "t1");
    // A mistyped extension is a short code that nobody named; it is not said to leave by a trunk.
    let told = explain(&snapshot, "80002", NOW, None).unwrap();
    let nobody = "nowhere: no extension has this number, and no route names it whole";
    assert_eq!((told.leads_to.as_str(), told.candidates.len()), (nobody, 0));
    snapshot.routes.retain(|route| !route.prefix.is_empty());
    let told = explain(&snapshot, "+442079460000", NOW, None).unwrap();
    assert_eq!(told.leads_to, "nowhere: no route has a prefix that fits");
    snapshot.trunks.values_mut().for_each(|trunk| trunk.enabled = false);
    let told = explain(&snapshot, "13800138000", NOW, None).unwrap();
    assert_eq!(told.leads_to, "nowhere: no route that fits can be tried");
    assert!(!told.candidates.is_empty());
    assert!(explain(&snapshot, "alice", NOW, None).unwrap_err().contains("not a telephone number"));
}

proptest! {
    /// What is explained as tried is what is tried, whatever the routes are.
    #[test]
    fn the_explanation_agrees_with_the_choice(
        routes in proptest::collection::vec(
            (0usize..4, 1i64..6, 0u16..3, 0u16..4, proptest::option::of(0i64..3), any::<bool>()), 0..12,
        ),
        disabled in proptest::collection::btree_set(1i64..6, 0..4),
    ) {
        let mut snapshot = snapshot();
        for id in disabled {
            snapshot.trunks.get_mut(&TrunkId(id)).unwrap().enabled = false;
        }
        snapshot.routes.clear();
        for (length, trunk, priority, weight, cost, open) in routes {
            let prefix = &"861"[..length.min(3)];
            if snapshot.routes.iter().any(|r| r.prefix == prefix && r.trunk.0 == trunk) {
                continue;
            }
            let mut route = route(prefix, trunk, priority);
            route.weight = weight;
            route.cost = cost.map(Micros);
            if !open {
                route.hours = Hours::try_from(vec!["tue 10:00-11:00".to_owned()]).unwrap();
            }
            snapshot.routes.push(route);
        }
        let chosen = trunks(&snapshot, &mobile(), NOW, |below| below - 1);
        prop_assert_eq!(chosen.is_empty(), !leads(&snapshot, (&mobile(), MerchantId(1)), NOW));
        let told = explain(&snapshot, "+8613800138000", NOW, None).unwrap();
        prop_assert_eq!(told.candidates.len(), snapshot.routes.len());
        let mut tried: Vec<_> = told.candidates.iter().filter(|c| c.place.is_some()).map(|c| c.trunk.clone()).collect();
        let mut names: Vec<_> = chosen.iter().map(|id| snapshot.trunks[id].name.clone()).collect();
        prop_assert_eq!(tried.len(), names.len());
        // Beyond four the draw decides who is left out.
        if names.len() < HOPS_MAX {
            tried.sort();
            names.sort();
            prop_assert_eq!(tried, names);
        }
    }
}

#[test]
fn an_inbound_number_says_whom_it_rings_and_merchants_pools_say_what_is_shown() {
    let mut snapshot = snapshot();
    snapshot.extensions.insert("80001".into(), extension());
    snapshot.inbound.insert("8613800138000".into(), "80001".into());
    let merchant = MerchantId(1);
    let acme = facts::settings::Merchant {
        name: "acme".into(),
        enabled: true,
        max_calls: None,
        calls_per_second: None,
        max_talk: std::time::Duration::from_secs(60),
        language: "en".into(),
        shown: None,
    };
    snapshot.merchants.insert(merchant, acme);
    let numbers = vec!["861088880001".to_owned(), "861088880002".to_owned()];
    snapshot.pools.insert(merchant, Pool { numbers, always: true, ..Pool::default() });
    let phone = || Phone { contact: "sip:80001@192.0.2.9".into(), rung: true, why: "rung".into() };
    let phones = |user: &str| if user == "80001" { vec![phone()] } else { Vec::new() };
    let live = Live {
        registered: &|_| true,
        against: &|_, _| None,
        silent: &|_, _| false,
        phones: &phones,
    };
    let told = explain(&snapshot, "+8613800138000", NOW, Some(&live)).unwrap();
    assert_eq!(told.delivered.as_deref(), Some("the contacts of extension 80001"));
    assert_eq!(told.phones, [phone()]);
    let tried = told.candidates.iter().filter(|candidate| candidate.place.is_some());
    assert_eq!(tried.count(), 2, "and dialled it leads out");
    let [pool] = &told.pools[..] else { panic!("{:?}", told.pools) };
    assert_eq!(pool.merchant, "acme");
    assert_eq!(pool.shows, "shows one of its 2 numbers (random) always");
    let told = explain(&snapshot, "80001", NOW, Some(&live)).unwrap();
    assert_eq!((told.phones.len(), told.delivered, told.pools.len()), (1, None, 0));
}
