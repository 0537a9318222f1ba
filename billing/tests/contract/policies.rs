//! Policies, lists of numbers, and how often numbers were rung.

use std::sync::Arc;

use billing::desired::{NumberList, Policy, Template};
use billing::{Error, Store};
use facts::ledger::{Authorize, Authorized, Cap};
use facts::policy::{Asking, AtMost, Reason, Service};
use facts::pool::CoolDown;
use facts::{LegNo, Refusal, Zone};

use crate::support::*;

fn policy(text: &str) -> Policy {
    toml::from_str(text).unwrap()
}

fn list(text: &str) -> NumberList {
    toml::from_str(text).unwrap()
}

pub(crate) async fn s6_policies_and_lists_are_what_the_engine_reads(store: Store, _: String) {
    let merchant = fill(&store, "10").await;
    let mut desired = basics("0");
    desired.number_lists = vec![
        list("name = 'dnc'\nnumbers = ['13800138000', '+44 20 7946 0000', '13800138000']"),
        list("name = 'odd'\nprefixes = ['8617']\npatterns = ['same:6']"),
    ];
    desired.policies = vec![
        policy("name = 'register'\nblock = ['dnc', 'odd']\nmerchants = ['test']"),
        policy("name = 'night'\nhours = ['08:00-20:00']\ntime_zone = 'Asia/Shanghai'"),
        policy("name = 'off'\nenabled = false\nblock = ['dnc']"),
    ];
    let changes = store.apply(&desired, T0, false).await.unwrap();
    assert_eq!(changes.mistakes, []);
    let kept = store.number_lists().await.unwrap();
    let counted: Vec<_> = kept.iter().map(|list| (list.name.as_str(), list.numbers)).collect();
    assert_eq!(counted, [("dnc", 2), ("odd", 0)]);
    assert_eq!((&*kept[1].prefixes, kept[1].patterns.len()), (&["8617".to_owned()][..], 1));
    let kept = store.policies().await.unwrap();
    let kept: Vec<_> = kept.iter().map(|policy| (policy.name.as_str(), policy.enabled)).collect();
    assert_eq!(kept, [("night", true), ("off", false), ("register", true)]);
    let policies = store.snapshot().await.unwrap().policies;
    let names: Vec<&str> = policies.iter().map(|policy| policy.name.as_str()).collect();
    assert_eq!(names, ["night", "register"]);
    let register = &policies[1];
    let asking = Asking { merchant, app: "", service: Service::Callback };
    assert!(register.is_about(&asking, HOME));
    for (number, listed) in
        [(HOME, true), ("442079460000", true), ("8617000000000", true), (HOME_B, false)]
    {
        let reason = listed.then_some(Reason::Listed);
        assert_eq!(register.forbids(number, T0, &Zone::default()), reason, "{number}");
    }
    assert_eq!(policies[0].zone, Some(Zone::named("Asia/Shanghai").unwrap()));
    // The same file changes nothing; a list that a policy names stays.
    let again = store.apply(&desired, at(1), false).await.unwrap();
    assert_eq!(again.count(billing::desired::Act::Unchanged), again.lines.len());
    desired.prune = true;
    desired.number_lists.remove(0);
    let refused = store.apply(&desired, at(2), false).await.unwrap();
    assert!(refused.mistakes.iter().any(|m| m.message.contains("dnc")), "{refused:?}");
    desired.policies.truncate(2);
    desired.policies[0].block.remove(0);
    let done = store.apply(&desired, at(3), false).await.unwrap();
    assert_eq!((done.mistakes.len(), done.count(billing::desired::Act::Removed)), (0, 2));
}

/// Names are what they say, not what they look like in JSON or to LIKE.
pub(crate) async fn s6_a_list_that_a_policy_names_stays_whatever_its_name(store: Store, _: String) {
    fill(&store, "10").await;
    for name in ["a\"b", "a\\b", "a'b"] {
        let mut desired = basics("0");
        desired.number_lists = vec![list("name = 'x'"), list("name = 'keep'")];
        desired.number_lists[0].name = name.into();
        desired.policies = vec![toml::from_str("name = 'p'\nblock = ['x']").unwrap()];
        desired.policies[0].block = vec![name.into()];
        let made = store.apply(&desired, T0, false).await.unwrap();
        assert_eq!(made.mistakes, [], "{name}");
        desired.prune = true;
        desired.number_lists.remove(0);
        // The file says nothing of policies: only the store knows of this one.
        desired.policies.clear();
        let refused = store.apply(&desired, at(1), false).await.unwrap();
        let told = format!("number list {name} cannot go: policy p needs it");
        assert!(refused.mistakes.iter().any(|m| m.message == told), "{name}: {refused:?}");
        store.snapshot().await.unwrap();
    }
    // A name is no pattern: nobody needs `%` or `k_ep`.
    let mut desired = basics("0");
    desired.number_lists = vec![list("name = 'keep'"), list("name = 'k_ep'"), list("name = '%'")];
    desired.policies = vec![toml::from_str("name = 'p'\nblock = ['keep']").unwrap()];
    assert_eq!(store.apply(&desired, at(2), false).await.unwrap().mistakes, []);
    desired.prune = true;
    desired.number_lists.truncate(1);
    let done = store.apply(&desired, at(3), false).await.unwrap();
    assert_eq!(done.mistakes, [], "{done:?}");
    store.snapshot().await.unwrap();
}

pub(crate) async fn s6_a_list_is_read_again_when_it_has_changed(store: Store, _: String) {
    fill(&store, "10").await;
    let mut desired = basics("0");
    desired.number_lists = vec![
        list("name = 'dnc'\nnumbers = ['13800138000']"),
        list("name = 'odd'\npatterns = ['same:6']"),
    ];
    desired.policies = vec![policy("name = 'p'\nblock = ['dnc', 'odd']")];
    assert_eq!(store.apply(&desired, T0, false).await.unwrap().mistakes, []);
    let read = async || store.snapshot().await.unwrap().policies.remove(0).block;
    let first = read().await;
    let same = |one: &[Arc<facts::policy::NumberList>], two: &[_]| {
        one.iter().zip(two).map(|(one, two)| Arc::ptr_eq(one, two)).collect::<Vec<_>>()
    };
    // Something else has changed.
    desired.merchants[0].max_calls = Some(77);
    assert_eq!(store.apply(&desired, at(1), false).await.unwrap().mistakes, []);
    assert_eq!(same(&first, &read().await), [true, true]);
    desired.number_lists[0].numbers.push("13800138001".into());
    assert_eq!(store.apply(&desired, at(2), false).await.unwrap().mistakes, []);
    let second = read().await;
    assert_eq!(same(&first, &second), [false, true], "that one alone");
    assert!(second[0].has("8613800138001"));
    // What was only looked at has not changed.
    desired.number_lists[0].numbers.clear();
    store.apply(&desired, at(3), true).await.unwrap();
    assert_eq!(same(&second, &read().await), [true, true]);
}

pub(crate) async fn s6_policies_that_cannot_be_are_told_with_their_path(store: Store, _: String) {
    fill(&store, "10").await;
    let mut desired = basics("0");
    desired.number_lists = vec![list("name = 'l'\nnumbers = ['110', 'x']\nprefixes = ['+86']")];
    desired.policies = vec![
        policy("name = 'empty'"),
        policy("name = 'p'\nmerchants = ['nobody']\nblock = ['none']\ntime_zone = 'Mars'"),
        policy("name = 'q'\nat_most = [{ calls = 0, within_s = 60 }, { calls = 1, within_s = 0 }]"),
    ];
    desired.number_lists[0].file = Some("here".into());
    desired.merchants[0].pool = Some(facts::pool::Pool {
        numbers: vec!["01088880000".into()],
        cool_down: Some(CoolDown { answered_below: 0, of: 4, rest_s: 59 }),
        ..Default::default()
    });
    let mistakes = store.apply(&desired, T0, false).await.unwrap().mistakes;
    let mut paths: Vec<&str> = mistakes.iter().map(|mistake| mistake.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(
        paths,
        [
            "merchants[0].pool.cool_down.answered_below",
            "merchants[0].pool.cool_down.of",
            "merchants[0].pool.cool_down.rest_s",
            "number_lists[0].file",
            "number_lists[0].numbers[0]",
            "number_lists[0].numbers[1]",
            "number_lists[0].prefixes[0]",
            "policies[0]",
            "policies[1].block[0]",
            "policies[1].merchants[0]",
            "policies[1].time_zone",
            "policies[2].at_most[0].calls",
            "policies[2].at_most[1].within_s",
        ],
        "{mistakes:#?}"
    );
}

/// Requests at the same moment, of whoever: exactly as many as may be.
pub(crate) async fn s6_a_hundred_parallel_starts_ring_a_number_five_times(store: Store, _: String) {
    let merchant = fill(&store, "1000").await;
    let command = Arc::new(command(merchant, HOME, HOME_B));
    let starts = (1..=100).map(|call| {
        let (store, command) = (store.clone(), Arc::clone(&command));
        tokio::spawn(async move {
            let cap = Cap {
                leg: LegNo::B,
                key: "p1".into(),
                number: HOME_B.into(),
                at_most: vec![AtMost { calls: 5, within_s: 3_600 }],
            };
            let ask = Authorize { caps: vec![cap], ..authorize(call, &command, T0) };
            store.authorize(ask).await
        })
    });
    let (mut granted, mut refused, mut busy) = (0, 0, 0);
    for start in starts.collect::<Vec<_>>() {
        match start.await.unwrap() {
            Ok(Authorized::Granted { .. }) => granted += 1,
            Ok(Authorized::Refused(Refusal::TooOften)) => refused += 1,
            Err(Error::Busy | Error::Unreachable(_)) => busy += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(granted, 5, "{refused} refused, {busy} told to come again");
    assert_eq!(held(&store, merchant).await, micros("10"), "nothing is held for the others");
    // The settings may look back further tomorrow than they did when it was rung.
    store.purge(at(3_601)).await.unwrap();
    let longer = async |second| {
        let at_most = vec![AtMost { calls: 5, within_s: AtMost::WITHIN_MAX_S }];
        let cap = Cap { leg: LegNo::B, key: "p1".into(), number: HOME_B.into(), at_most };
        let ask = Authorize { caps: vec![cap], ..authorize(101, &command, at(second)) };
        store.authorize(ask).await.unwrap()
    };
    assert_eq!(longer(3_602).await, Authorized::Refused(Refusal::TooOften));
    let month = u64::from(AtMost::WITHIN_MAX_S);
    assert!(store.purge(at(month + 1)).await.unwrap() >= 5, "what counts no more is forgotten");
    assert!(matches!(longer(3_603).await, Authorized::Granted { .. }), "nobody knows of it now");
    in_order(&store).await;
}

pub(crate) async fn s3_3_templates_belong_to_a_merchant_and_mistakes_have_a_path(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "10").await;
    let mut desired = basics("0");
    let template = |text: &str| -> Template { toml::from_str(text).unwrap() };
    desired.templates = vec![template(
        "id = 't'\nmerchant = 'test'\nkeys = 4\nparts = [{ prompt = 'hello' }, { digits = '{1}' }]",
    )];
    let changes = store.apply(&desired, T0, false).await.unwrap();
    assert_eq!(changes.mistakes, []);
    let kept = store.template(merchant, "t").await.unwrap().unwrap();
    assert_eq!((kept.keys, kept.parts.len(), kept.places()), (4, 2, Ok(1)));
    let listed = store.templates(Some(merchant)).await.unwrap();
    assert_eq!((listed.len(), &*listed[0].id, &listed[0].template), (1, "t", &kept));
    assert_eq!(store.templates(None).await.unwrap(), listed);
    assert_eq!(store.templates(Some(facts::MerchantId(99))).await.unwrap(), []);
    assert_eq!(store.template(facts::MerchantId(99), "t").await.unwrap(), None);
    desired.prune = true;
    desired.templates[0].id = "u".into();
    let changes = store.apply(&desired, at(1), false).await.unwrap();
    assert_eq!(changes.count(billing::desired::Act::Removed), 1, "{changes:?}");
    assert_eq!(store.template(merchant, "t").await.unwrap(), None);
    desired.templates = vec![
        template("id = 'a'\nmerchant = 'test'\nlanguage = 'de'\nparts = []\nkeys = 0"),
        template("id = 'b'\nmerchant = 'gone'\nparts = [{ number = '{0}' }]"),
    ];
    let mistakes = store.apply(&desired, at(2), false).await.unwrap().mistakes;
    let mut paths: Vec<&str> = mistakes.iter().map(|mistake| mistake.path.as_str()).collect();
    paths.sort_unstable();
    let wanted = [
        "templates[0].keys",
        "templates[0].language",
        "templates[0].parts",
        "templates[1].merchant",
        "templates[1].parts[0]",
    ];
    assert_eq!(paths, wanted, "{mistakes:#?}");
}
