//! Bindings of privacy numbers (merchant API §6).

use billing::axb::{Bound, Entry, NewBinding, Prolonged, Search};
use billing::{Store, StoreConfig};
use facts::MerchantId;

use crate::support::*;

const X: &str = "861088880000";
const A: &str = "8613800000001";
const B: &str = "8613800000002";
const C: &str = "8613800000003";

/// X is a privacy number of the merchant's, another number is not.
async fn privacy(store: &Store) -> MerchantId {
    store.migrate().await.unwrap();
    let mut desired = basics("100");
    let more = from_toml(
        r#"
        [[extensions]]
        number = "70011"
        merchant = "test"
        password = "right"
        [[inbound]]
        number = "+861088880000"
        extension = "70011"
        axb = true
        [[inbound]]
        number = "+861088880001"
        extension = "70011"
        "#,
    );
    desired.extensions.extend(more.extensions);
    desired.inbound = more.inbound;
    let changes = store.apply(&desired, T0, false).await.unwrap();
    assert!(changes.mistakes.is_empty(), "{:?}", changes.mistakes);
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!(snapshot.axb.into_iter().collect::<Vec<_>>(), [X]);
    store.merchant_by_name("test").await.unwrap().unwrap().id
}

fn wanted(merchant: MerchantId, a: &str, b: &str) -> NewBinding {
    let [number, a, b] = [X, a, b].map(str::to_owned);
    NewBinding { merchant, number, a, b, reference: "order 7".into(), seconds: 600 }
}

async fn made(store: &Store, new: NewBinding, seconds: u64) -> Entry {
    match store.bind_axb(new, at(seconds)).await.unwrap() {
        Bound::Now(entry) => entry,
        other => panic!("{other:?}"),
    }
}

async fn prolonged(store: &Store, of: (MerchantId, i64), seconds: u32, now: u64) -> Entry {
    match store.prolong_axb(of, seconds, at(now)).await.unwrap() {
        Prolonged::Now(entry) => entry,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn s6_axb_nobody_has_two_bindings_whatever_two_clocks_say(
    store: Store,
    _: String,
) {
    let merchant = privacy(&store).await;
    let first = made(&store, wanted(merchant, A, B), 0).await;
    // By a clock that is ahead the first has lapsed; by one that is behind it holds, and is to hold longer.
    let second = made(&store, wanted(merchant, A, C), 600).await;
    let late = store.prolong_axb((merchant, first.id), 600, at(599)).await.unwrap();
    assert_eq!(late, Prolonged::Taken(second.id));
    assert_eq!(store.axb_binding((merchant, first.id)).await.unwrap(), Some(first));
    prolonged(&store, (merchant, second.id), 900, 601).await;
}

pub(crate) async fn s6_axb_a_number_that_passes_to_another_merchant_is_free(
    store: Store,
    _: String,
) {
    let former = privacy(&store).await;
    let old = made(&store, wanted(former, A, B), 0).await;
    let desired = from_toml(
        r#"
        [[extensions]]
        number = "70012"
        merchant = "other"
        password = "right"
        [[inbound]]
        number = "+861088880000"
        extension = "70012"
        axb = true
        "#,
    );
    let changes = store.apply(&desired, at(1), false).await.unwrap();
    assert!(changes.mistakes.is_empty(), "{:?}", changes.mistakes);
    let next = store.merchant_by_name("other").await.unwrap().unwrap().id;
    let new = made(&store, wanted(next, A, B), 2).await;
    let late = store.prolong_axb((former, old.id), 900, at(3)).await.unwrap();
    assert_eq!(late, Prolonged::Gone, "the number is another's");
    prolonged(&store, (next, new.id), 900, 3).await;
    let again = store.bind_axb(wanted(former, A, C), at(4)).await.unwrap();
    assert_eq!(again, Bound::NotYours);
    // To whoever had it the old one holds no more, and may be ended for good.
    let told = store.axb_binding((former, old.id)).await.unwrap().unwrap();
    assert!(told.lost && !told.holds(at(4)));
    let page = store.axb_bindings(former, Search::default(), (0, 10)).await.unwrap();
    assert_eq!(page, [told]);
    let ended = store.unbind_axb((former, old.id), at(5)).await.unwrap().unwrap();
    assert_eq!(ended.ended, Some(at(5)));
    let theirs = store.axb_binding((next, new.id)).await.unwrap().unwrap();
    assert!(theirs.holds(at(5)));
}

pub(crate) async fn s6_axb_bindings_are_looked_for_and_hold_as_long_as_may_be(
    store: Store,
    _: String,
) {
    let merchant = privacy(&store).await;
    let first = made(&store, wanted(merchant, A, B), 0).await;
    let second = made(&store, wanted(merchant, C, "8613800000004"), 0).await;
    let found = async |number: Option<&str>, party: Option<&str>| {
        let [number, party] = [number, party].map(|it| it.map(str::to_owned));
        let page = store.axb_bindings(merchant, Search { number, party }, (0, 10)).await.unwrap();
        page.into_iter().map(|entry| entry.id).collect::<Vec<_>>()
    };
    assert_eq!(found(Some(X), None).await, [first.id, second.id]);
    assert_eq!(found(None, Some(A)).await, [first.id]);
    assert_eq!(found(None, Some(B)).await, [first.id], "either of the two");
    assert_eq!(found(Some(X), Some(C)).await, [second.id]);
    assert!(found(Some("861088880001"), Some(C)).await.is_empty());
    let search = Search { party: Some(A.to_owned()), ..Search::default() };
    let behind = store.axb_bindings(merchant, search, (first.id, 10)).await.unwrap();
    assert!(behind.is_empty());
    for seconds in [0, 59, 604_801, u32::MAX] {
        let new = NewBinding { seconds, ..wanted(merchant, "8613800000005", "8613800000006") };
        assert_eq!(store.bind_axb(new, at(1)).await.unwrap(), Bound::BadSeconds, "{seconds}");
        let longer = store.prolong_axb((merchant, first.id), seconds, at(1)).await.unwrap();
        assert_eq!(longer, Prolonged::BadSeconds, "{seconds}");
    }
    assert_eq!(store.axb_binding((merchant, first.id)).await.unwrap(), Some(first));
}

pub(crate) async fn s6_axb_each_side_of_a_number_has_one_binding_at_a_time(
    store: Store,
    _: String,
) {
    let merchant = privacy(&store).await;
    let bind = async |new: NewBinding, s| store.bind_axb(new, at(s)).await.unwrap();
    let first = made(&store, wanted(merchant, A, B), 0).await;
    assert_eq!(first.expires, at(600));
    assert_eq!(bind(wanted(merchant, A, B), 5).await, Bound::Before(first.clone()));
    for (a, b) in [(A, C), (C, A), (B, C), (C, B), (B, A)] {
        assert_eq!(bind(wanted(merchant, a, b), 5).await, Bound::Taken(first.id), "{a} {b}");
    }
    let longer = NewBinding { seconds: 700, ..wanted(merchant, A, B) };
    assert_eq!(bind(longer, 5).await, Bound::Taken(first.id), "that is what PATCH is for");
    let other = NewBinding { number: "861088880001".into(), ..wanted(merchant, A, B) };
    assert_eq!(bind(other, 5).await, Bound::NotYours, "it is no privacy number");
    assert_eq!(bind(wanted(MerchantId(99), C, B), 5).await, Bound::NotYours);
    // It lapses by itself, or is taken back.
    let second = made(&store, wanted(merchant, A, C), 600).await;
    assert!(store.unbind_axb((MerchantId(99), second.id), at(610)).await.unwrap().is_none());
    let ended = store.unbind_axb((merchant, second.id), at(610)).await.unwrap().unwrap();
    assert_eq!((ended.ended, ended.holds(at(611))), (Some(at(610)), false));
    let revision = store.axb_revision().await.unwrap();
    let again = store.unbind_axb((merchant, second.id), at(611)).await.unwrap();
    assert_eq!(again.as_ref(), Some(&ended), "as the first time");
    let lapsed = store.unbind_axb((merchant, first.id), at(611)).await.unwrap().unwrap();
    assert_eq!(lapsed.ended, None, "it was not he who ended it");
    let gone = store.prolong_axb((merchant, second.id), 60, at(611)).await.unwrap();
    assert_eq!(gone, Prolonged::Gone);
    let strange = store.prolong_axb((MerchantId(99), second.id), 60, at(605)).await.unwrap();
    assert_eq!(strange, Prolonged::Gone);
    let owner = bind(wanted(MerchantId(99), C, B), 611).await;
    assert_eq!((owner, store.axb_revision().await.unwrap()), (Bound::NotYours, revision));
    let third = made(&store, wanted(merchant, C, A), 611).await;
    let longer = prolonged(&store, (merchant, third.id), 900, 620).await;
    assert_eq!((longer.expires, longer.asked.seconds), (at(1_520), 900));
    let page = store.axb_bindings(merchant, Search::default(), (first.id, 10)).await.unwrap();
    assert_eq!(page, [ended, longer]);
    assert!(
        store.axb_bindings(MerchantId(99), Search::default(), (0, 10)).await.unwrap().is_empty()
    );
    assert!(store.axb_binding((MerchantId(99), third.id)).await.unwrap().is_none());
}

pub(crate) async fn s6_axb_changes_are_known_to_another_process_and_kept_over_a_restart(
    store: Store,
    url: String,
) {
    let merchant = privacy(&store).await;
    let first = made(&store, wanted(merchant, A, B), 0).await;
    let second = made(
        &store,
        NewBinding { reference: String::new(), ..wanted(merchant, C, "8613800000004") },
        1,
    )
    .await;
    let other = Store::open(&url, StoreConfig::default()).await.unwrap();
    let known = other.axb_changes(0, 10).await.unwrap();
    let told: Vec<_> = known.bindings.iter().map(|one| (one.id, one.until)).collect();
    assert_eq!(told, [(first.id, Some(at(600))), (second.id, Some(at(601)))]);
    assert!(!known.more);
    let page = other.axb_changes(0, 1).await.unwrap();
    assert!(page.more && page.bindings[0].id == first.id);
    assert_eq!(other.axb_changes(page.revision, 10).await.unwrap().bindings[0].id, second.id);
    store.unbind_axb((merchant, first.id), at(10)).await.unwrap().unwrap();
    let news = other.axb_changes(known.revision, 10).await.unwrap();
    assert_eq!(
        (news.bindings.len(), news.bindings[0].id, news.bindings[0].until),
        (1, first.id, None)
    );
    assert!(other.axb_changes(news.revision, 10).await.unwrap().bindings.is_empty());
    // What is over is forgotten a week later.
    let week = 7 * 86_400;
    store.purge(at(600 + week)).await.unwrap();
    assert_eq!(store.axb_bindings(merchant, Search::default(), (0, 10)).await.unwrap().len(), 2);
    store.purge(at(601 + week)).await.unwrap();
    let left = store.axb_bindings(merchant, Search::default(), (0, 10)).await.unwrap();
    assert_eq!(left.iter().map(|entry| entry.id).collect::<Vec<_>>(), [second.id]);
    other.close().await;
}

pub(crate) async fn s6_axb_a_merchant_has_so_many_bindings_at_a_time(store: Store, url: String) {
    let merchant = privacy(&store).await;
    let few = StoreConfig { axb_bindings: 3, ..StoreConfig::default() };
    let few = Store::open(&url, few).await.unwrap();
    let pair = |nth: u64| {
        let [a, b] = [0, 1].map(|side| format!("86138{:08}", 2 * nth + side));
        wanted(merchant, &a, &b)
    };
    let first = made(&few, pair(0), 0).await;
    for nth in 1..3 {
        made(&few, pair(nth), nth).await;
    }
    assert_eq!(few.bind_axb(pair(3), at(3)).await.unwrap(), Bound::TooMany(3));
    assert_eq!(few.bind_axb(pair(0), at(3)).await.unwrap(), Bound::Before(first.clone()));
    few.unbind_axb((merchant, first.id), at(4)).await.unwrap().unwrap();
    made(&few, pair(3), 5).await;
    assert_eq!(few.bind_axb(pair(4), at(600)).await.unwrap(), Bound::TooMany(3));
    made(&few, pair(4), 601).await;
    few.close().await;
}

pub(crate) async fn s6_axb_who_begins_reads_what_holds_and_what_changes_from_then_on(
    store: Store,
    _: String,
) {
    let merchant = privacy(&store).await;
    let bound = async |nth: u64, seconds| {
        let [a, b] = [0, 1].map(|side| format!("86138{:08}", 2 * nth + side));
        made(&store, NewBinding { seconds, ..wanted(merchant, &a, &b) }, 0).await.id
    };
    let mut ids = Vec::new();
    // Two of them lapse at the same moment.
    for (nth, seconds) in [(0, 400), (1, 100), (2, 300), (3, 300), (4, 200)] {
        ids.push(bound(nth, seconds).await);
    }
    store.unbind_axb((merchant, ids[4]), at(50)).await.unwrap().unwrap();
    let revision = store.axb_revision().await.unwrap();
    let (mut after, mut seen) = ((at(100), i64::MAX), Vec::new());
    loop {
        let live = store.axb_live(after, 2).await.unwrap();
        seen.extend(live.bindings.iter().map(|one| (one.id, one.until)));
        let Some(last) = live.last else { break };
        after = last;
    }
    let [two, three] = [at(300), at(400)].map(Some);
    assert_eq!(seen, [(ids[2], two), (ids[3], two), (ids[0], three)], "neither lapsed nor ended");
    assert!(store.axb_changes(revision, 10).await.unwrap().bindings.is_empty());
    prolonged(&store, (merchant, ids[0]), 60, 101).await;
    let news = store.axb_changes(revision, 10).await.unwrap();
    assert_eq!((news.bindings.len(), news.bindings[0].until), (1, Some(at(161))));
    assert_eq!(store.axb_revision().await.unwrap(), news.revision);
}

pub(crate) async fn s6_axb_a_privacy_number_is_one_outside(store: Store, _: String) {
    privacy(&store).await;
    let mistakes = async |number: &str, axb: bool| {
        let mut desired = from_toml(
            r#"
            [[extensions]]
            number = "7001100"
            merchant = "test"
            password = "right"
            [[inbound]]
            number = "0"
            extension = "70011"
            "#,
        );
        (desired.inbound[0].number, desired.inbound[0].axb) = (number.to_owned(), axb);
        let changes = store.apply(&desired, at(1), true).await.unwrap();
        changes.mistakes.into_iter().map(|mistake| mistake.path).collect::<Vec<_>>()
    };
    for number in ["110", "70011", "7001100"] {
        assert_eq!(mistakes(number, true).await, ["inbound[0].axb"], "{number}");
        assert!(mistakes(number, false).await.is_empty(), "{number} may ring an extension");
    }
    assert!(mistakes("01088880002", true).await.is_empty());
}
