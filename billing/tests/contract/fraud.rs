//! Limits against toll fraud that are about money.

use billing::{Store, desired::Desired};
use facts::capacity::Holder;
use facts::fraud::{Alert, Rule, Scope};
use facts::ledger::{AddLeg, Added, Authorized, Extended};
use facts::{CallId, LegId, LegNo, MerchantId, Number, Refusal, SubAccountId};

use crate::support::*;

/// A number at 2.00 a minute and 0.10 for the connection.
const DEAR: &str = "442079460000";

/// The merchant of the other cases, with limits of these objects.
async fn limited(store: &Store, limits: impl FnOnce(&mut Desired)) -> MerchantId {
    store.migrate().await.unwrap();
    let mut desired = basics("1000");
    limits(&mut desired);
    let changes = store.apply(&desired, T0, false).await.unwrap();
    assert_eq!(changes.mistakes, []);
    store.merchant_by_name("test").await.unwrap().unwrap().id
}

fn alert(scope: Scope, rule: Rule, blocked: bool) -> (Scope, Rule, bool) {
    (scope, rule, blocked)
}

/// What somebody is told, but for the call and the number.
fn told(store: &Store) -> Vec<(Scope, Rule, bool)> {
    store.alerts().iter().map(Alert::key).collect()
}

async fn start(store: &Store, call: u64, who: (MerchantId, &str), b: &str, second: u64) -> bool {
    let (merchant, a) = who;
    match store.authorize(authorize(call, &command(merchant, a, b), at(second))).await.unwrap() {
        Authorized::Granted { .. } => true,
        Authorized::Refused(Refusal::Blocked) => false,
        other => panic!("{other:?}"),
    }
}

/// A thousand calls with a stolen password: what is held never passes the sum, and somebody is told.
pub(crate) async fn f15_stolen_credentials_spend_no_more_than_the_sum_of_an_hour(
    store: Store,
    _: String,
) {
    let merchant = limited(&store, |desired| {
        desired.extensions[0].fraud.spend_per_hour = Some(micros("7"));
    })
    .await;
    let mut begun = 0;
    for call in 1..=1000 {
        begun += u64::from(start(&store, call, (merchant, "70000"), DEAR, call / 10).await);
    }
    assert_eq!(begun, 3, "2.10 each");
    assert_eq!(held(&store, merchant).await, micros("6.30"));
    let scope = || Scope::Extension("70000".into());
    assert_eq!(
        told(&store),
        [alert(scope(), Rule::SpendPerHour, false), alert(scope(), Rule::SpendPerHour, true)],
        "near it, then at it; each once until somebody looks"
    );
    assert_eq!(store.alerts(), []);
    // Others of the merchant call on.
    assert!(start(&store, 2001, (merchant, HOME), DEAR, 120).await);
    // What goes back was not spent; an hour later there is a new one.
    for call in 1..=3 {
        let command = command(merchant, "70000", DEAR);
        store.settle(facts(call, &command, None, Some((None, 130))), context()).await.unwrap();
    }
    assert!(start(&store, 2002, (merchant, "70000"), DEAR, 140).await);
    assert!(start(&store, 2003, (merchant, "70000"), DEAR, 150).await);
    assert!(start(&store, 2004, (merchant, "70000"), DEAR, 160).await);
    assert!(!start(&store, 2005, (merchant, "70000"), DEAR, 170).await);
    assert!(start(&store, 2006, (merchant, "70000"), DEAR, 160 + 3_600 + 300).await);
    in_order(&store).await;
}

pub(crate) async fn f15_a_call_that_is_up_ends_where_the_sum_does(store: Store, _: String) {
    let merchant = limited(&store, |desired| {
        desired.merchants[0].fraud.spend_per_day = Some(micros("5"));
    })
    .await;
    assert!(start(&store, 1, (merchant, "70000"), DEAR, 0).await);
    let more = store.extend(extend(1, LegNo::B, 1)).await.unwrap();
    assert!(matches!(more, Extended::Paid(Some(until)) if until.as_secs() == 120));
    assert_eq!(store.extend(extend(1, LegNo::B, 2)).await.unwrap(), Extended::Exhausted);
    assert_eq!(held(&store, merchant).await, micros("4.10"));
    let scope = || Scope::Merchant(merchant);
    assert_eq!(
        told(&store),
        [alert(scope(), Rule::SpendPerDay, false), alert(scope(), Rule::SpendPerDay, true)]
    );
    // A leg that a transfer adds is under the same sum.
    let leg = LegId::new(CallId(1), LegNo(2));
    let ask =
        AddLeg { leg, number: Number::E164(DEAR.into()), own: vec![], caps: vec![], at: at(90) };
    assert_eq!(store.add_leg(ask).await.unwrap(), Added::Refused(Refusal::Blocked));
    // What cannot cost anything is not in the way of anything.
    assert!(start(&store, 2, (merchant, "70000"), "70000", 91).await);
}

/// Whoever answered a call of somebody else's and asks for a leg spends within its own limits, and not at all
/// when its sub-account is stopped.
pub(crate) async fn f15_a_leg_that_an_extension_asks_for_is_under_its_limits_as_well(
    store: Store,
    _: String,
) {
    let merchant = limited(&store, |desired| {
        desired.extensions[0].fraud.spend_per_hour = Some(micros("3"));
    })
    .await;
    let subs = store.sub_accounts(Some(merchant)).await.unwrap();
    let id = |name: &str| subs.iter().find(|sub| sub.name == name).unwrap().id;
    let (desk, gone) = (id("desk"), id("gone"));
    assert!(start(&store, 1, (merchant, HOME), HOME_B, 0).await, "none of its own");
    let add = |no: u8, sub_account, second| AddLeg {
        leg: LegId::new(CallId(1), LegNo(no)),
        number: Number::E164(DEAR.into()),
        own: vec![Scope::SubAccount(sub_account), Scope::Extension("70000".into())],
        caps: vec![],
        at: at(second),
    };
    let refused = store.add_leg(add(2, gone, 1)).await.unwrap();
    assert_eq!(refused, Added::Refused(Refusal::Disabled), "it is stopped");
    assert!(matches!(store.add_leg(add(3, desk, 2)).await.unwrap(), Added::Paid(Some(_))));
    let refused = store.add_leg(add(4, desk, 3)).await.unwrap();
    assert_eq!(refused, Added::Refused(Refusal::Blocked), "2.10 of 3 are gone");
    let more = store.extend(extend(1, LegNo(3), 1)).await.unwrap();
    assert_eq!(more, Extended::Exhausted, "its time counts there too");
    assert!(!start(&store, 2, (merchant, "70000"), DEAR, 4).await, "and for its own calls");
    in_order(&store).await;
}

/// An authorization that nobody heard of gives its share of the sum back.
pub(crate) async fn f15_what_is_taken_back_was_not_spent(store: Store, _: String) {
    let merchant = limited(&store, |desired| {
        desired.sub_accounts[0].fraud.spend_per_hour = Some(micros("2.10"));
    })
    .await;
    let desk = store.sub_accounts(Some(merchant)).await.unwrap()[0].id;
    let ask = |call: u64| {
        let mut command = command(merchant, "70000", DEAR);
        command.sub_account = Some(desk);
        authorize(call, &command, T0)
    };
    let granted = |answer| matches!(answer, Authorized::Granted { .. });
    assert!(granted(store.authorize(ask(1)).await.unwrap()));
    assert_eq!(store.authorize(ask(2)).await.unwrap(), Authorized::Refused(Refusal::Blocked));
    assert!(store.abandon(CallId(1), merchant).await.unwrap());
    assert!(granted(store.authorize(ask(3)).await.unwrap()));
    assert_ne!(desk, SubAccountId(0));
}

pub(crate) async fn f15_a_minute_may_cost_no_more_and_a_new_country_waits(store: Store, _: String) {
    let merchant =
        limited(&store, |desired| {
            desired.merchants[0].fraud.price_per_minute = Some(micros("1.50"));
            desired.merchants[1].fraud.new_destinations = Some(1);
            desired.tariffs[0].rates.extend(from_toml(
            "[[tariffs]]\nname = \"x\"\nrates = [{ prefix = \"49\", per_minute = \"0.10\" }]",
        ).tariffs.remove(0).rates);
        })
        .await;
    assert!(!start(&store, 1, (merchant, "70000"), DEAR, 0).await, "2.00 a minute");
    let about: Vec<_> = store.alerts().into_iter().map(|a| (a.call, a.prefix)).collect();
    assert_eq!(about, [(Some(CallId(1)), DEAR[..3].to_owned())], "the call and where it led");
    assert!(!start(&store, 1, (merchant, "70000"), DEAR, 0).await);
    assert!(start(&store, 2, (merchant, "70000"), HOME, 0).await, "1.00");
    let expected = alert(Scope::Merchant(merchant), Rule::PricePerMinute, true);
    assert_eq!(told(&store), [expected]);
    let other = store.merchant_by_name("other").await.unwrap().unwrap().id;
    let top_up = from_toml("[[top_ups]]\nid = \"1\"\nmerchant = \"other\"\namount = \"100\"");
    store.apply(&top_up, T0, false).await.unwrap();
    let one = |call, b, second| start(&store, call, (other, "70001"), b, second);
    assert!(one(11, HOME, 0).await);
    assert!(one(12, HOME_B, 10).await, "a destination is its first three digits");
    assert!(!one(13, DEAR, 20).await, "the second one within an hour");
    assert!(one(14, DEAR, 3_700).await);
    assert!(one(15, DEAR, 3_710).await && one(16, HOME, 3_710).await, "known by now");
    assert!(!one(17, "4930123456", 3_720).await);
    let expected = alert(Scope::Merchant(other), Rule::NewDestinations, true);
    assert_eq!(told(&store), [expected]);
}

pub(crate) async fn f15_a_limit_that_only_warns_lets_through_and_tells(store: Store, _: String) {
    let merchant = limited(&store, |desired| {
        let fraud = &mut desired.merchants[0].fraud;
        fraud.spend_per_hour = Some(micros("3"));
        fraud.warn_at = 100;
        fraud.act = facts::fraud::Act::Warn;
    })
    .await;
    for call in 1..=5 {
        assert!(start(&store, call, (merchant, "70000"), DEAR, 0).await);
    }
    assert_eq!(told(&store), [alert(Scope::Merchant(merchant), Rule::SpendPerHour, false)]);
}

pub(crate) async fn limits_and_pools_are_kept_judged_and_read_by_the_engine(
    store: Store,
    _: String,
) {
    let merchant = limited(&store, |desired| {
        let more = from_toml(
            r#"
            [[merchants]]
            name = "test"
            fraud = { spend_per_day = "50", block = ["882"], hours = ["mon-fri 08:00-20:00"] }
            pool = { numbers = ["010 8888 8888", "+86 21 5555 0000"], pick = "area" }
            capacity = { calls = 20, within_s = 60, at = [{ hours = ["sat-sun 00:00-24:00"], calls = 5 }] }
            [[inbound]]
            number = "010 8888 0000"
            extension = "70000"
            capacity = { max_calls = 3 }
            "#,
        );
        desired.merchants[0].fraud = more.merchants[0].fraud.clone();
        desired.merchants[0].pool = more.merchants[0].pool.clone();
        desired.merchants[0].capacity = more.merchants[0].capacity.clone();
        desired.inbound = more.inbound.clone();
        desired.extensions[0].capacity.max_calls = Some(2);
        desired.extensions[0].fraud.new_destinations = Some(3);
    })
    .await;
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!(snapshot.fraud[&Scope::Merchant(merchant)].spend_per_day, Some(micros("50")));
    assert_eq!(snapshot.fraud[&Scope::Extension("70000".into())].new_destinations, Some(3));
    assert_eq!(snapshot.fraud.len(), 2, "whoever has none is not in it");
    assert_eq!(snapshot.pools[&merchant].numbers, [BEIJING, "862155550000"]);
    let held = &snapshot.capacity;
    assert_eq!(held[&Holder::Of(Scope::Merchant(merchant))].at[0].calls, Some(5));
    assert_eq!(held[&Holder::Of(Scope::Extension("70000".into()))].max_calls, Some(2));
    assert_eq!(held[&Holder::Number("861088880000".into())].max_calls, Some(3));
    assert_eq!(held.len(), 3, "whoever has none is not in it");
    let wrong = from_toml(
        r#"
        [[merchants]]
        name = "third"
        fraud = { allow = ["+86"], calls_to = [{ prefix = "882", max_calls = 0 }], warn_at = 0 }
        pool = { numbers = ["nobody"], max_calls = 0 }
        capacity = { max_calls = 0, calls = 10001, within_s = 0 }
        [[merchants]]
        name = "fourth"
        pool = { pick = "sticky" }
        "#,
    );
    let changes = store.apply(&wrong, T0, false).await.unwrap();
    let paths: Vec<&str> = changes.mistakes.iter().map(|mistake| mistake.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "merchants[0].fraud.allow[0]",
            "merchants[0].fraud.calls_to[0].max_calls",
            "merchants[0].fraud.warn_at",
            "merchants[0].capacity.max_calls",
            "merchants[0].capacity.calls",
            "merchants[0].capacity.within_s",
            "merchants[0].pool.max_calls",
            "merchants[0].pool.numbers[0]",
            "merchants[1].pool.numbers",
        ]
    );
}

pub(crate) async fn a_carriers_marks_and_what_goes_on_to_it_are_judged(store: Store, _: String) {
    store.migrate().await.unwrap();
    let wrong = from_toml(
        r#"
        [[trunks]]
        name = "one"
        target = "192.0.2.1:5060"
        [trunks.options]
        known_by = {}
        challenge = true
        from_domain = "a b"
        fake_180_ms = 5
        transit = ["X-Fine", "P-Asserted-Identity", "via", "two words"]
        pool = { numbers = [] }
        rtp_timeout_s = 1
        ptime_ms = 25
        session_timer = { off = true, expires = 30 }
        [[trunks]]
        name = "two"
        target = "192.0.2.1:5060"
        options = { known_by = { to_domain = "x@y", value = "1" } }
        "#,
    );
    let changes = store.apply(&wrong, T0, true).await.unwrap();
    let mut paths: Vec<&str> =
        changes.mistakes.iter().map(|mistake| mistake.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(
        paths,
        [
            "trunks[0].options.challenge",
            "trunks[0].options.fake_180_ms",
            "trunks[0].options.from_domain",
            "trunks[0].options.known_by",
            "trunks[0].options.pool.numbers",
            "trunks[0].options.ptime_ms",
            "trunks[0].options.rtp_timeout_s",
            "trunks[0].options.session_timer",
            "trunks[0].options.session_timer.expires",
            "trunks[0].options.transit[1]",
            "trunks[0].options.transit[2]",
            "trunks[0].options.transit[3]",
            "trunks[1].options.known_by.to_domain",
            "trunks[1].options.known_by.value",
        ]
    );
}
