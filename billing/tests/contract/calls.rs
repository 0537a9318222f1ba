//! Calls and their money.

use std::sync::Arc;
use std::time::Duration;

use billing::{Error, Store, StoreConfig};
use facts::ledger::{Authorized, Extended, JournalLeg};
use facts::media::Codec;
use facts::record::{Outcome, Side};
use facts::scenario::{Say, Scenario, Step};
use facts::sound::Clip;
use facts::spoken::Spoken;
use facts::srtp::SrtpSuite;
use facts::{
    CallCommand, CallId, Dialect, Failure, Kind, LegId, LegNo, MerchantId, Micros, Origin, Purpose,
    Refusal, SubAccountId,
};

use crate::support::*;

pub(crate) async fn authorize_holds_both_legs_and_a_repeat_holds_nothing_more(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "10").await;
    let command = command(merchant, HOME, BEIJING);
    let paid = granted(&store, 1, &command).await;
    // Leg B has 30/6: thirty seconds and five times six make the first minute.
    assert_eq!(paid, [Some(60), Some(60)]);
    assert_eq!(held(&store, merchant).await, micros("1.60"));
    assert_eq!(granted(&store, 1, &command).await, paid);
    assert_eq!(held(&store, merchant).await, micros("1.60"));
    assert_eq!(posted(&store, merchant).await, micros("10"));
    let open = store.open_calls().await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].call, &open[0].command, open[0].placed), (CallId(1), &command, T0));
    assert_eq!(open[0].legs, []);
    in_order(&store).await;
}

pub(crate) async fn case_47_a_thousand_parallel_starts_with_credit_for_one(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "2.50").await;
    let command = Arc::new(command(merchant, HOME, HOME_B));
    let starts = (1..=1000).map(|call| {
        let (store, command) = (store.clone(), Arc::clone(&command));
        tokio::spawn(async move { store.authorize(authorize(call, &command, T0)).await })
    });
    let (mut granted, mut refused, mut busy) = (0, 0, 0);
    for start in starts.collect::<Vec<_>>() {
        match start.await.unwrap() {
            Ok(Authorized::Granted { .. }) => granted += 1,
            Ok(Authorized::Refused(Refusal::NoBalance)) => refused += 1,
            // A pool of eight connections may make the last ones wait too long: no call, no money.
            Err(Error::Busy | Error::Unreachable(_)) => busy += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(granted, 1, "{refused} refused, {busy} told to come again");
    // How many of the others wait too long is a matter of the machine.
    assert!(refused > 0, "{refused} refused, {busy} told to come again");
    assert_eq!(held(&store, merchant).await, micros("2"));
    assert_eq!(store.open_calls().await.unwrap().len(), 1);
    in_order(&store).await;
}

pub(crate) async fn case_48_credit_runs_out_on_time_and_never_below_zero(store: Store, _: String) {
    let merchant = fill(&store, "5.50").await;
    let command = command(merchant, HOME, HOME_B);
    granted(&store, 1, &command).await;
    assert_eq!(store.extend(extend(1, LegNo::A, 1)).await.unwrap(), paid(120));
    assert_eq!(store.extend(extend(1, LegNo::B, 1)).await.unwrap(), paid(120));
    assert_eq!(store.extend(extend(1, LegNo::A, 2)).await.unwrap(), paid(180));
    assert_eq!(store.extend(extend(1, LegNo::B, 2)).await.unwrap(), Extended::Exhausted);
    // The repeat of a step answers as before and holds nothing more.
    assert_eq!(store.extend(extend(1, LegNo::A, 2)).await.unwrap(), paid(180));
    assert_eq!(held(&store, merchant).await, micros("5"));
    // Cut at B's limit; the legs went down a little later than decided.
    let facts = facts(1, &command, Some((Some(0), 121)), Some((Some(0), 122)));
    let record = store.settle(facts, context()).await.unwrap();
    assert_eq!(record.price(LegNo::B), micros("2"));
    assert_eq!(record.price(LegNo::A), micros("3"));
    assert_eq!(posted(&store, merchant).await, micros("0.50"));
    assert_eq!(held(&store, merchant).await, Micros::ZERO);
    in_order(&store).await;
}

fn paid(seconds: u64) -> Extended {
    Extended::Paid(Some(Duration::from_secs(seconds)))
}

pub(crate) async fn case_49_a_call_settled_twice_is_charged_once(store: Store, _: String) {
    let merchant = fill(&store, "10").await;
    let command = command(merchant, HOME, HOME_B);
    granted(&store, 1, &command).await;
    let first = facts(1, &command, Some((Some(5), 30)), Some((Some(10), 30)));
    // Ten at once, and one later with other facts, as a replay after a crash would bring.
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let (store, facts) = (store.clone(), first.clone());
            tokio::spawn(async move { store.settle(facts, context()).await.unwrap() })
        })
        .collect();
    let mut records = Vec::new();
    for task in tasks {
        records.push(task.await.unwrap());
    }
    let other = facts(1, &command, Some((Some(5), 500)), None);
    records.push(store.settle(other, context()).await.unwrap());
    assert!(records.iter().all(|record| *record == records[0]));
    assert_eq!(records[0].total(), micros("2"));
    assert_eq!(posted(&store, merchant).await, micros("8"));
    let cdrs = store.cdrs(None, 0, 100).await.unwrap();
    assert_eq!(cdrs.iter().map(|cdr| cdr.leg).collect::<Vec<_>>(), [LegNo::A, LegNo::B]);
    // Late news of a settled call changes nothing.
    assert!(matches!(store.extend(extend(1, LegNo::A, 1)).await, Err(Error::Missing(_))));
    let again = store.authorize(authorize(1, &command, T0)).await.unwrap();
    assert_eq!(again, Authorized::Refused(Refusal::Internal), "nobody talks on its holds");
    assert_eq!(held(&store, merchant).await, Micros::ZERO);
    in_order(&store).await;
}

pub(crate) async fn case_50_with_thirty_six_the_cdr_is_the_sum_of_the_ledger(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "100").await;
    for (call, seconds, price) in [(1, 32, "0.36"), (2, 57, "0.60"), (3, 75, "0.78")] {
        let command = command(merchant, BEIJING, BEIJING);
        granted(&store, call, &command).await;
        assert!(pay_until(&store, call, LegNo::A, 60, seconds).await);
        let facts = facts(call, &command, Some((Some(0), seconds)), None);
        let record = store.settle(facts, context()).await.unwrap();
        assert_eq!(record.price(LegNo::A), micros(price), "{seconds} s");
        let lines = store.ledger(Some(merchant), 0, 1000).await.unwrap();
        let taken: Micros = lines
            .iter()
            .filter(|line| line.call == Some(CallId(call)))
            .map(|line| line.amount)
            .sum();
        assert_eq!(-taken, record.total());
    }
    in_order(&store).await;
}

pub(crate) async fn case_51_amounts_of_a_thousand_and_more_are_debited_whole(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "900000000").await;
    let mut desired = basics("0");
    desired.tariffs[0].rates[0].per_minute = "123456789.123456".into();
    desired.tariffs[0].decimals = 6;
    assert_eq!(store.apply(&desired, T0, false).await.unwrap().mistakes, []);
    let command = command(merchant, HOME, HOME_B);
    granted(&store, 1, &command).await;
    let facts = facts(1, &command, Some((Some(0), 60)), Some((Some(0), 1)));
    let record = store.settle(facts, context()).await.unwrap();
    assert_eq!(record.total(), micros("246913578.246912"));
    assert_eq!(posted(&store, merchant).await, micros("653086421.753088"));
    in_order(&store).await;
}

pub(crate) async fn case_52_a_call_ended_by_a_timer_is_billed(store: Store, _: String) {
    let merchant = fill(&store, "10").await;
    let command = command(merchant, HOME, HOME_B);
    granted(&store, 1, &command).await;
    assert!(pay_until(&store, 1, LegNo::A, 60, 72).await);
    assert!(pay_until(&store, 1, LegNo::B, 60, 72).await);
    let mut facts = facts(1, &command, Some((Some(0), 72)), Some((Some(0), 72)));
    facts.outcome = Outcome::Failed(Failure::new(Origin::LegB, Kind::LostDialog));
    facts.released_by = Side::Platform;
    for leg in &mut facts.legs {
        leg.released_by = Some(Side::Platform);
        leg.failure = Some(Failure::new(Origin::LegB, Kind::LostDialog));
    }
    let record = store.settle(facts, context()).await.unwrap();
    assert_eq!(record.charges.iter().map(|c| c.charged_seconds).collect::<Vec<_>>(), [120, 120]);
    assert_eq!(record.total(), micros("4"));
    in_order(&store).await;
}

pub(crate) async fn case_53_each_leg_is_debited_by_its_own_answer(store: Store, _: String) {
    let merchant = fill(&store, "20").await;
    let command = command(merchant, HOME, "442079460000");
    granted(&store, 1, &command).await;
    assert!(pay_until(&store, 1, LegNo::A, 60, 130).await);
    assert!(pay_until(&store, 1, LegNo::B, 60, 61).await);
    // A waited for B: it talked for 130 s, B for 55.
    let facts = facts(1, &command, Some((Some(10), 140)), Some((Some(85), 140)));
    let record = store.settle(facts, context()).await.unwrap();
    let charges: Vec<_> =
        record.charges.iter().map(|c| (c.no, c.prefix.as_str(), c.seconds, c.price)).collect();
    assert_eq!(charges, [(LegNo::A, "86", 130, micros("3")), (LegNo::B, "44", 55, micros("2.10"))]);
    let cdrs = store.cdrs(Some(merchant), 0, 10).await.unwrap();
    assert_eq!(cdrs.iter().map(|cdr| cdr.price).collect::<Vec<_>>(), [micros("3"), micros("2.10")]);
    assert_eq!(posted(&store, merchant).await, micros("14.90"));
    in_order(&store).await;
}

pub(crate) async fn a_cdr_tells_what_was_spoken_and_what_protected_it(store: Store, _: String) {
    let merchant = fill(&store, "20").await;
    let command = command(merchant, HOME, HOME_B);
    granted(&store, 1, &command).await;
    let mut facts = facts(1, &command, Some((Some(0), 60)), Some((None, 30)));
    let [a, b] = &mut facts.legs[..] else { panic!("two legs") };
    a.spoken.agree(Codec::Pcma, Some(SrtpSuite::Aes256Gcm));
    // What its media saw is more than what was agreed first.
    (a.media.heard, a.media.said) = ([Codec::G722].into_iter().collect(), a.spoken.agreed);
    b.spoken = Spoken::default();
    store.settle(facts, context()).await.unwrap();
    let told: Vec<_> = store.cdrs(Some(merchant), 0, 10).await.unwrap();
    let told: Vec<_> = told.iter().map(|cdr| (cdr.codings.names(), cdr.srtp)).collect();
    let expected = [("pcma,g722".to_owned(), Some(SrtpSuite::Aes256Gcm)), (String::new(), None)];
    assert_eq!(told, expected);
    in_order(&store).await;
}

pub(crate) async fn case_54_parallel_calls_are_all_billed(store: Store, _: String) {
    let merchant = fill(&store, "100").await;
    let command = command(merchant, HOME, HOME_B);
    let tasks: Vec<_> = (1..=30)
        .map(|call| {
            let (store, command) = (store.clone(), command.clone());
            tokio::spawn(async move {
                granted(&store, call, &command).await;
                let facts = facts(call, &command, Some((Some(1), 20)), Some((Some(2), 20)));
                store.settle(facts, context()).await.unwrap()
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().total(), micros("2"));
    }
    assert_eq!(posted(&store, merchant).await, micros("40"));
    assert_eq!(store.cdrs(None, 0, 1000).await.unwrap().len(), 60);
    in_order(&store).await;
}

pub(crate) async fn case_55_a_lost_bye_is_never_billed_past_the_paid_limit(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "10").await;
    let command = command(merchant, HOME, HOME_B);
    granted(&store, 1, &command).await;
    // Found twelve hours later; what was paid was a minute.
    let facts = facts(1, &command, Some((Some(0), 43_200)), Some((Some(0), 43_200)));
    let record = store.settle(facts, context()).await.unwrap();
    assert_eq!(record.total(), micros("2"));
    assert_eq!(record.charges[0].seconds, 43_200);
    assert_eq!(record.charges[0].charged_seconds, 60);
    in_order(&store).await;
}

pub(crate) async fn case_58_a_charge_takes_from_the_merchant_and_adds_to_revenue(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "10").await;
    let command = command(merchant, HOME, HOME_B);
    granted(&store, 1, &command).await;
    let facts = facts(1, &command, Some((Some(0), 60)), None);
    store.settle(facts, context()).await.unwrap();
    let lines = store.ledger(None, 0, 100).await.unwrap();
    let seen: Vec<_> = lines
        .iter()
        .map(|line| (line.transfer.as_str(), line.account.as_str(), line.amount))
        .collect();
    let account = format!("merchant:{merchant}");
    let topup = format!("topup.{merchant}.first");
    let charge = "0000000000000000001A.charge.0";
    let mut wanted = vec![
        (topup.as_str(), "cash:CNY", micros("-10")),
        (topup.as_str(), account.as_str(), micros("10")),
        (charge, account.as_str(), micros("-1")),
        (charge, "revenue:CNY", micros("1")),
    ];
    let mut seen = seen;
    seen.sort();
    wanted.sort();
    assert_eq!(seen, wanted);
    in_order(&store).await;
}

pub(crate) async fn what_was_held_for_a_leg_that_was_not_called_goes_back(store: Store, _: String) {
    let merchant = fill(&store, "10").await;
    let command = command(merchant, HOME, HOME_B);
    granted(&store, 1, &command).await;
    // A did not answer: B was never called.
    let facts = facts(1, &command, Some((None, 60)), None);
    let record = store.settle(facts, context()).await.unwrap();
    assert_eq!(record.total(), Micros::ZERO);
    assert_eq!(record.charges.len(), 1);
    assert_eq!(posted(&store, merchant).await, micros("10"));
    assert_eq!(held(&store, merchant).await, Micros::ZERO);
    let cdrs = store.cdrs(None, 0, 10).await.unwrap();
    assert_eq!(
        cdrs.iter().map(|cdr| (cdr.leg, cdr.price)).collect::<Vec<_>>(),
        [(LegNo::A, Micros::ZERO)]
    );
    in_order(&store).await;
}

pub(crate) async fn a_request_key_starts_one_call_for_thirty_days(store: Store, _: String) {
    let merchant = fill(&store, "2.50").await;
    let mut command = command(merchant, HOME, HOME_B);
    command.key = Some(key("634567890123456789", "a>b"));
    granted(&store, 1, &command).await;
    // No balance is left, but this is not a new call.
    let again = store.authorize(authorize(2, &command, at(5))).await.unwrap();
    assert_eq!(again, Authorized::Existing { call: CallId(1) });
    let mut other = command.clone();
    other.key = Some(key("634567890123456789", "a>c"));
    let conflict = store.authorize(authorize(3, &other, at(5))).await.unwrap();
    assert_eq!(conflict, Authorized::Refused(Refusal::KeyConflict));
    let entry = store.call_by_key(merchant, Dialect::Ytx, "634567890123456789").await.unwrap();
    assert_eq!(entry.map(|entry| (entry.call, entry.record)), Some((CallId(1), None)));
    let facts = facts(1, &command, Some((None, 3)), None);
    let record = store.settle(facts, context()).await.unwrap();
    let entry = store.call_by_key(merchant, Dialect::Ytx, "634567890123456789").await.unwrap();
    assert_eq!(entry.and_then(|entry| entry.record), Some(record));
    let month = at(30 * 86_400 + 1);
    let fresh = store.authorize(authorize(4, &command, month)).await.unwrap();
    assert!(matches!(fresh, Authorized::Granted { .. }), "{fresh:?}");
    assert_eq!(store.purge(month).await.unwrap(), 0);
    in_order(&store).await;
}

pub(crate) async fn refusals_write_nothing(store: Store, _: String) {
    let merchant = fill(&store, "1.99").await;
    let refused = |call, command| {
        let store = store.clone();
        async move {
            match store.authorize(authorize(call, &command, T0)).await.unwrap() {
                Authorized::Refused(refusal) => refusal,
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(refused(1, command(merchant, HOME, HOME_B)).await, Refusal::NoBalance);
    assert_eq!(refused(2, command(MerchantId(999), HOME, HOME)).await, Refusal::UnknownMerchant);
    assert_eq!(refused(3, command(merchant, HOME, "15551234567")).await, Refusal::NoPrice);
    let mut keyed = command(merchant, HOME, HOME_B);
    keyed.key = Some(key("k", "f"));
    assert_eq!(refused(4, keyed.clone()).await, Refusal::NoBalance);
    // A refused request may be repeated with the same key once there is money.
    let mut desired = basics("0");
    desired.top_ups = basics("1").top_ups;
    desired.top_ups[0].id = "second".into();
    store.apply(&desired, T0, false).await.unwrap();
    granted(&store, 5, &keyed).await;
    desired.merchants[0].status = billing::rows::MerchantStatus::Frozen;
    store.apply(&desired, T0, false).await.unwrap();
    assert_eq!(refused(6, command(merchant, "70000", "70000")).await, Refusal::Disabled);
    assert_eq!(store.open_calls().await.unwrap().len(), 1);
    assert_eq!(held(&store, merchant).await, micros("2"));
    in_order(&store).await;
}

pub(crate) async fn a_sub_account_spends_the_balance_of_its_merchant(store: Store, _: String) {
    let merchant = fill(&store, "2").await;
    let subs = store.sub_accounts(Some(merchant)).await.unwrap();
    let id = |name: &str| subs.iter().find(|sub| sub.name == name).map(|sub| sub.id);
    let mut command = command(merchant, HOME, HOME_B);
    command.sub_account = id("gone");
    let ask = authorize(1, &command, T0);
    assert_eq!(store.authorize(ask).await.unwrap(), Authorized::Refused(Refusal::Disabled));
    command.sub_account = Some(SubAccountId(999));
    let ask = authorize(1, &command, T0);
    assert_eq!(store.authorize(ask).await.unwrap(), Authorized::Refused(Refusal::Disabled));
    command.sub_account = id("desk");
    granted(&store, 1, &command).await;
    let ask = authorize(2, &command, T0);
    assert_eq!(store.authorize(ask).await.unwrap(), Authorized::Refused(Refusal::NoBalance));
    let facts = facts(1, &command, Some((Some(0), 1)), Some((Some(0), 1)));
    store.settle(facts, context()).await.unwrap();
    assert_eq!(posted(&store, merchant).await, Micros::ZERO);
    assert_eq!(store.cdrs(None, 0, 10).await.unwrap()[0].sub_account, id("desk"));
    in_order(&store).await;
}

pub(crate) async fn extensions_are_free_and_need_no_balance(store: Store, _: String) {
    let merchant = fill(&store, "0").await;
    let command = command(merchant, "70000", "70001");
    assert_eq!(granted(&store, 1, &command).await, [None, None]);
    assert_eq!(store.extend(extend(1, LegNo::A, 1)).await.unwrap(), Extended::Paid(None));
    let facts = facts(1, &command, Some((Some(0), 5000)), Some((Some(0), 5000)));
    let record = store.settle(facts, context()).await.unwrap();
    assert_eq!(record.total(), Micros::ZERO);
    assert_eq!(record.charges[0].seconds, 5000);
    assert_eq!(record.charges[0].prefix, "");
    in_order(&store).await;
}

pub(crate) async fn a_promised_price_holds_for_the_whole_call(store: Store, _: String) {
    let merchant = fill(&store, "100").await;
    let command = command(merchant, HOME, HOME_B);
    granted(&store, 1, &command).await;
    let mut desired = basics("0");
    desired.tariffs[0].rates[0].per_minute = "9.00".into();
    store.apply(&desired, T0, false).await.unwrap();
    assert!(pay_until(&store, 1, LegNo::A, 60, 120).await);
    let old = facts(1, &command, Some((Some(0), 120)), None);
    assert_eq!(store.settle(old, context()).await.unwrap().total(), micros("2"));
    granted(&store, 2, &command).await;
    let new = facts(2, &command, Some((Some(0), 1)), None);
    assert_eq!(store.settle(new, context()).await.unwrap().total(), micros("9"));
    in_order(&store).await;
}

pub(crate) async fn a_restart_finds_open_calls_and_settles_each_once(store: Store, url: String) {
    let merchant = fill(&store, "100").await;
    let command = command(merchant, HOME, HOME_B);
    for call in 1..=3 {
        granted(&store, call, &command).await;
    }
    // Call 1 was never dialled; call 2 had both legs up; call 3 was settled just before the end.
    let mut a = leg(LegNo::A, &command.a, Some(4), 0);
    a.ended = None;
    let journal = JournalLeg {
        leg: LegId::new(CallId(2), LegNo::A),
        facts: a.clone(),
        dialog: Some(b"tags and routes".to_vec()),
    };
    store.journal(journal.clone()).await.unwrap();
    let mut b = leg(LegNo::B, command.b.as_ref().unwrap(), Some(9), 0);
    b.ended = None;
    let second = JournalLeg { leg: LegId::new(CallId(2), LegNo::B), facts: b, dialog: None };
    store.journal(second.clone()).await.unwrap();
    store.journal(JournalLeg { dialog: Some(b"newer".to_vec()), ..journal.clone() }).await.unwrap();
    store.alive(vec![CallId(2), CallId(3)], at(25)).await.unwrap();
    store.alive(vec![CallId(2)], at(20)).await.unwrap();
    let done = facts(3, &command, Some((Some(0), 10)), None);
    store.settle(done, context()).await.unwrap();
    drop(store);

    let store = Store::open(&url, StoreConfig::default()).await.unwrap();
    assert_eq!(store.migrate().await.unwrap(), Vec::<String>::new());
    let open = store.open_calls().await.unwrap();
    assert_eq!(open.iter().map(|open| open.call).collect::<Vec<_>>(), [CallId(1), CallId(2)]);
    assert_eq!((open[0].alive, open[0].legs.len()), (T0, 0));
    assert_eq!(open[1].alive, at(25));
    assert_eq!(open[1].legs[0].dialog.as_deref(), Some(&b"newer"[..]));
    assert_eq!(open[1].legs[1], second);
    for _ in 0..2 {
        for open in &open {
            let mut facts = facts(open.call.0, &open.command, None, None);
            facts.legs = open.legs.iter().map(|leg| leg.facts.clone()).collect();
            facts.ended = open.alive;
            facts.outcome = Outcome::Failed(Failure::new(Origin::Us, Kind::Crash));
            store.settle(facts, context()).await.unwrap();
        }
    }
    assert_eq!(store.open_calls().await.unwrap(), []);
    // Both legs of call 2 for 21 s and 16 s, leg A of call 3; call 1's holds went back, and it is told too.
    assert_eq!(posted(&store, merchant).await, micros("97"));
    assert_eq!(held(&store, merchant).await, Micros::ZERO);
    let told = store.outbox(None, None, 0, 100).await.unwrap();
    let mut calls: Vec<u64> = told.iter().map(|row| row.call.0).collect();
    calls.sort_unstable();
    assert_eq!(calls, [1, 2, 3]);
    in_order(&store).await;
    store.close().await;
}

pub(crate) async fn an_authorization_nobody_heard_of_is_taken_back(store: Store, _: String) {
    let merchant = fill(&store, "2").await;
    let mut command = command(merchant, HOME, HOME_B);
    command.key = Some(key("again", "f"));
    granted(&store, 1, &command).await;
    assert!(store.abandon(CallId(1), merchant).await.unwrap());
    assert!(!store.abandon(CallId(1), merchant).await.unwrap());
    assert_eq!(held(&store, merchant).await, Micros::ZERO);
    in_order(&store).await;
    // The merchant's repeat of the request is a call of its own.
    granted(&store, 2, &command).await;
    // A call that was dialled, or is over, is not to be taken back.
    let journal = JournalLeg {
        leg: LegId::new(CallId(2), LegNo::A),
        facts: leg(LegNo::A, &command.a, None, 2),
        dialog: None,
    };
    store.journal(journal).await.unwrap();
    assert!(!store.abandon(CallId(2), merchant).await.unwrap());
    store.settle(facts(2, &command, None, None), context()).await.unwrap();
    assert!(!store.abandon(CallId(2), merchant).await.unwrap());
    assert!(store.call(CallId(2)).await.unwrap().is_some());
    in_order(&store).await;
}

pub(crate) async fn a_commit_in_flight_is_waited_for_and_taken_back(store: Store, url: String) {
    use sqlx::{Connection as _, Executor as _};
    if !url.starts_with("postgres") {
        return; // SQLite has one writer: nothing is in flight beside it.
    }
    let merchant = fill(&store, "2").await;
    let text = serde_json::to_string(&command(merchant, HOME, HOME_B)).unwrap();
    let mut other = sqlx::PgConnection::connect(&url).await.unwrap();
    let id = merchant.0;
    let sql = format!(
        "BEGIN; SELECT 1 FROM accounts WHERE merchant_id = {id} FOR NO KEY UPDATE; \
         INSERT INTO calls (id, merchant_id, state, command, placed, alive) \
         VALUES (1, {id}, 'open', '{text}', 1, 1)"
    );
    other.execute(sql.as_str()).await.unwrap();
    let abandoned = tokio::spawn({
        let store = store.clone();
        async move { store.abandon(CallId(1), merchant).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!abandoned.is_finished(), "the commit may still come");
    other.execute("COMMIT").await.unwrap();
    assert!(abandoned.await.unwrap().unwrap());
    assert_eq!(store.open_calls().await.unwrap(), []);
}

pub(crate) async fn a_caller_who_rang_us_is_on_record_and_pays_nothing(store: Store, _: String) {
    let merchant = fill(&store, "1.5").await;
    // From a number that has a price, to one that has a price, with money for one leg.
    let command = command(merchant, HOME, HOME_B);
    let mut ask = authorize(1, &command, T0);
    ask.legs.retain(|leg| leg.leg == LegNo::B);
    assert!(matches!(store.authorize(ask).await.unwrap(), Authorized::Granted { .. }));
    assert_eq!(held(&store, merchant).await, micros("1"));
    let talked = Some((Some(0), 50));
    let record = store.settle(facts(1, &command, talked, talked), context()).await.unwrap();
    let prices: Vec<(LegNo, Micros)> =
        store.cdrs(None, 0, 10).await.unwrap().iter().map(|cdr| (cdr.leg, cdr.price)).collect();
    assert_eq!(prices, [(LegNo::A, Micros::ZERO), (LegNo::B, micros("1"))]);
    assert_eq!(record.total(), micros("1"));
    assert_eq!(posted(&store, merchant).await, micros("0.5"));
    in_order(&store).await;
}

pub(crate) async fn a_statement_that_hangs_is_given_up_and_the_next_one_works(
    store: Store,
    url: String,
) {
    use sqlx::{Connection as _, Executor as _};
    if !url.starts_with("postgres") {
        return; // SQLite has one writer: nobody else can hold a row.
    }
    let merchant = fill(&store, "2").await;
    let mut other = sqlx::PgConnection::connect(&url).await.unwrap();
    other.execute("BEGIN; SELECT 1 FROM accounts FOR UPDATE").await.unwrap();
    let command = command(merchant, HOME, HOME_B);
    let asked = store.authorize(authorize(1, &command, T0));
    let answer = tokio::time::timeout(Duration::from_secs(60), asked).await.unwrap();
    assert!(matches!(answer, Err(Error::Unreachable(_))), "{answer:?}");
    // As after any authorization that failed; it may have been on its way.
    let taken_back = tokio::spawn({
        let store = store.clone();
        async move { store.abandon(CallId(1), merchant).await }
    });
    other.execute("ROLLBACK").await.unwrap();
    taken_back.await.unwrap().unwrap();
    assert_eq!(store.open_calls().await.unwrap(), []);
    granted(&store, 2, &command).await;
    in_order(&store).await;
}

pub(crate) async fn an_export_waits_for_writers_but_not_for_ever(store: Store, url: String) {
    use sqlx::{Connection as _, Executor as _};
    if !url.starts_with("postgres") {
        return; // SQLite's ids are drawn in the order of their commits.
    }
    fill(&store, "2").await;
    let mut writer = sqlx::PgConnection::connect(&url).await.unwrap();
    writer.execute("BEGIN; LOCK TABLE cdrs IN ROW EXCLUSIVE MODE").await.unwrap();
    let reading = tokio::spawn({
        let store = store.clone();
        async move { tokio::time::timeout(Duration::from_secs(60), store.cdrs(None, 0, 10)).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    // Whoever reads keeps nobody from writing.
    let mut other = sqlx::PgConnection::connect(&url).await.unwrap();
    other.execute("SET lock_timeout = '50ms'").await.unwrap();
    other.execute("BEGIN; LOCK TABLE cdrs IN ROW EXCLUSIVE MODE; COMMIT").await.unwrap();
    let page = reading.await.unwrap().unwrap();
    assert!(matches!(page, Err(Error::Unreachable(_))), "{page:?}");
    writer.execute("COMMIT").await.unwrap();
    assert_eq!(store.cdrs(None, 0, 10).await.unwrap(), []);
}

pub(crate) async fn a_list_passes_over_no_row_whose_commit_comes_late(store: Store, url: String) {
    use sqlx::{Connection as _, Executor as _};
    if !url.starts_with("postgres") {
        return; // SQLite's ids are drawn in the order of their commits.
    }
    let merchant = fill(&store, "2").await;
    let row = |call: i64| {
        format!(
            "INSERT INTO records (call_id, merchant_id, dialect, app, placed, settled, record) \
             SELECT {call}, merchant_id, 'rest', 'x', 0, 0, record FROM records WHERE call_id = 1"
        )
    };
    let command = command(merchant, HOME, HOME_B);
    granted(&store, 1, &command).await;
    store.settle(facts(1, &command, None, None), context()).await.unwrap();
    let mut late = sqlx::PgConnection::connect(&url).await.unwrap();
    let mut soon = sqlx::PgConnection::connect(&url).await.unwrap();
    late.execute("BEGIN").await.unwrap();
    late.execute(row(2).as_str()).await.unwrap();
    soon.execute(row(3).as_str()).await.unwrap();
    let reading = tokio::spawn({
        let store = store.clone();
        async move { store.records_of_app("x", 0, 10).await }
    });
    tokio::time::sleep(Duration::from_millis(60)).await;
    late.execute("COMMIT").await.unwrap();
    assert_eq!(reading.await.unwrap().unwrap().len(), 2, "the lower id came last");
}

pub(crate) async fn an_id_that_is_in_use_is_not_granted_to_another_call(store: Store, _: String) {
    let merchant = fill(&store, "10").await;
    let (first, second) = (command(merchant, HOME, HOME_B), command(merchant, HOME, BEIJING));
    assert_eq!(store.last_call_id().await.unwrap(), None);
    granted(&store, 1, &first).await;
    assert_eq!(store.last_call_id().await.unwrap(), Some(CallId(1)));
    let refused = Authorized::Refused(Refusal::Internal);
    assert_eq!(store.authorize(authorize(1, &second, T0)).await.unwrap(), refused);
    granted(&store, 1, &first).await;
    store.settle(facts(1, &first, None, None), context()).await.unwrap();
    assert_eq!(store.authorize(authorize(1, &first, T0)).await.unwrap(), refused);
    assert_eq!(held(&store, merchant).await, Micros::ZERO);
    in_order(&store).await;
}

pub(crate) async fn each_process_finds_its_own_open_calls(store: Store, _: String) {
    let merchant = fill(&store, "100").await;
    let command = command(merchant, HOME, HOME_B);
    let mut nodes = [facts::CallIds::new(1), facts::CallIds::new(2)];
    for node in [0, 1, 1] {
        let call = nodes[node].next(T0);
        granted(&store, call.0, &command).await;
    }
    assert_eq!(store.open_calls_of(1).await.unwrap().len(), 1);
    assert_eq!(store.open_calls_of(2).await.unwrap().len(), 2);
    assert_eq!(store.open_calls_of(3).await.unwrap(), []);
}

pub(crate) async fn a_journal_write_after_settlement_leaves_no_trace(store: Store, _: String) {
    let merchant = fill(&store, "10").await;
    let command = command(merchant, HOME, HOME_B);
    granted(&store, 1, &command).await;
    store.settle(facts(1, &command, None, None), context()).await.unwrap();
    let late = JournalLeg {
        leg: LegId::new(CallId(1), LegNo::A),
        facts: leg(LegNo::A, &command.a, Some(1), 2),
        dialog: None,
    };
    store.journal(late).await.unwrap();
    store.alive(vec![CallId(1)], at(100)).await.unwrap();
    assert_eq!(store.open_calls().await.unwrap(), []);
    assert_eq!(posted(&store, merchant).await, micros("10"));
    in_order(&store).await;
}

pub(crate) async fn papers_outlive_their_call_until_the_far_end_knows(store: Store, _: String) {
    let merchant = fill(&store, "100").await;
    let command = command(merchant, HOME, HOME_B);
    let call = facts::CallIds::new(7).next(T0);
    granted(&store, call.0, &command).await;
    let (a, b) = (LegId::new(call, LegNo::A), LegId::new(call, LegNo::B));
    for (leg, party) in [(a, &command.a), (b, command.b.as_ref().unwrap())] {
        let facts = crate::support::leg(leg.no, party, Some(1), 2);
        store.journal(JournalLeg { leg, facts, dialog: Some(b"early".to_vec()) }).await.unwrap();
    }
    // A's far end hung up while the call was open: its row stays for the record, without papers.
    store.papers(a, None).await.unwrap();
    store.papers(b, Some(b"up".to_vec())).await.unwrap();
    let open = store.open_calls().await.unwrap();
    assert_eq!(open[0].legs[0].dialog, None);
    assert_eq!(open[0].legs[1].dialog.as_deref(), Some(&b"up"[..]));
    assert_eq!(store.farewells_of(7).await.unwrap(), [], "of settled calls alone");
    store.settle(facts(call.0, &command, Some((Some(1), 2)), None), context()).await.unwrap();
    assert_eq!(store.open_calls().await.unwrap(), []);
    let owed = store.farewells_of(7).await.unwrap();
    assert_eq!(owed, [open[0].legs[1].clone()], "B was not told yet");
    assert_eq!(store.farewells_of(8).await.unwrap(), [], "another process's");
    store.papers(b, Some(b"again".to_vec())).await.unwrap();
    assert_eq!(store.farewells_of(7).await.unwrap()[0].dialog.as_deref(), Some(&b"again"[..]));
    for _ in 0..2 {
        store.papers(b, None).await.unwrap();
        assert_eq!(store.farewells_of(7).await.unwrap(), []);
    }
    store.papers(b, Some(b"late".to_vec())).await.unwrap();
    assert_eq!(store.farewells_of(7).await.unwrap(), [], "what is forgotten stays so");
    in_order(&store).await;
}

pub(crate) async fn records_are_read_by_app_in_order_of_settlement(store: Store, _: String) {
    let merchant = fill(&store, "100").await;
    let mine = command(merchant, HOME, HOME_B);
    let mut others = mine.clone();
    others.app = "app2".into();
    for call in 1..=4 {
        granted(&store, call, &mine).await;
    }
    granted(&store, 5, &others).await;
    // Call 1 is settled last.
    for call in [2, 3, 4, 1] {
        let mut facts = facts(call, &mine, Some((Some(0), 10)), None);
        facts.placed = at(call * 1000);
        facts.recording = Some(facts::media::RecordedFile {
            file: "20251121/x.mp3".into(),
            duration_ms: 10_000,
            bytes: 7,
            sha256: String::new(),
            other: None,
        });
        store.settle(facts, context()).await.unwrap();
    }
    store.settle(facts(5, &others, None, None), context()).await.unwrap();
    let after = |after: Option<u64>, limit| {
        let store = store.clone();
        async move {
            let after = after.map(CallId);
            let records = store
                .records_after((Dialect::Ytx, "app1", Purpose::Callback), after, limit)
                .await
                .unwrap();
            records.iter().map(|record| record.facts.call.0).collect::<Vec<_>>()
        }
    };
    assert_eq!(after(None, 10).await, [2, 3, 4, 1]);
    assert_eq!(after(Some(3), 10).await, [4, 1]);
    assert_eq!(after(Some(2), 1).await, [3]);
    assert_eq!(after(Some(1), 10).await, Vec::<u64>::new());
    let of = (Dialect::Ytx, "app1", Purpose::Callback);
    let hour = store.records_between(of, (at(1000), at(3000)), 10).await.unwrap();
    assert_eq!(hour.iter().map(|record| record.facts.call.0).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(hour[0].recording_url.as_deref(), Some("http://rec.example/r/20251121/x.mp3"));
    assert_eq!(store.call(CallId(2)).await.unwrap().unwrap().record.as_ref(), hour.first());
    assert!(store.call(CallId(99)).await.unwrap().is_none());
    // Exports go on where they stopped.
    let page = store.cdrs(None, 0, 3).await.unwrap();
    let rest = store.cdrs(None, page[2].id, 100).await.unwrap();
    assert_eq!(page.len() + rest.len(), 4);
    assert!(rest.iter().all(|cdr| cdr.id > page[2].id));
    // What was asked for another purpose is listed by itself.
    let codes = (Dialect::Ytx, "app1", Purpose::Code);
    assert!(store.records_after(codes, None, 10).await.unwrap().is_empty());
    let said = CallCommand { purpose: Purpose::Code, ..mine.clone() };
    granted(&store, 6, &said).await;
    // Asked again after a commit whose answer was lost: the scenario is not kept, and tells no call apart.
    let step = Step::Say(Say::only(vec![Clip::Url("http://sounds.example/x".into())], 1));
    let scenario = Some(Arc::new(Scenario::new(vec![step]).unwrap()));
    granted(&store, 6, &CallCommand { scenario, ..said.clone() }).await;
    let mut code = facts(6, &said, Some((Some(0), 10)), None);
    code.placed = at(2_500);
    store.settle(code, context()).await.unwrap();
    assert_eq!(store.records_after(codes, None, 10).await.unwrap()[0].facts.call, CallId(6));
    assert_eq!(store.records_between(codes, (at(0), at(9_000)), 10).await.unwrap().len(), 1);
    assert_eq!(after(None, 10).await, [2, 3, 4, 1]);
}
