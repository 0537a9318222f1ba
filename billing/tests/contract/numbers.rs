//! Inbound numbers of merchants, and the scenarios that answer them.

use billing::numbers::{Entry, Inbound, Put};
use billing::{Store, StoreConfig};
use facts::MerchantId;

use crate::support::*;

const X: &str = "861088880000";
const Y: &str = "861088880001";
/// A privacy number.
const AXB: &str = "85223456789";

/// The merchant has three inbound numbers: one leads to an extension, one to a group, one is a privacy number.
async fn merchant(store: &Store) -> MerchantId {
    store.migrate().await.unwrap();
    let mut desired = basics("100");
    let more = from_toml(
        r#"
        [[extensions]]
        number = "70011"
        merchant = "test"
        password = "right"
        [[extensions]]
        number = "70012"
        merchant = "other"
        password = "right"
        [[groups]]
        number = "70100"
        merchant = "test"
        members = ["70011"]
        [[inbound]]
        number = "+861088880001"
        extension = "70100"
        [[inbound]]
        number = "+861088880000"
        extension = "70011"
        [[inbound]]
        number = "+85223456789"
        extension = "70011"
        axb = true
        "#,
    );
    desired.extensions.extend(more.extensions);
    (desired.groups, desired.inbound) = (more.groups, more.inbound);
    let changes = store.apply(&desired, T0, false).await.unwrap();
    assert!(changes.mistakes.is_empty(), "{:?}", changes.mistakes);
    store.merchant_by_name("test").await.unwrap().unwrap().id
}

async fn given(store: &Store, merchant: MerchantId, number: &str, text: &str, s: u64) -> Put {
    store.put_number_scenario(merchant, (number, text.to_owned()), at(s)).await.unwrap()
}

fn done(put: Put) -> Entry {
    match put {
        Put::Done(entry) => entry,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn a_number_has_the_scenario_that_its_merchant_gave_it_last(
    store: Store,
    _: String,
) {
    let own = merchant(&store).await;
    assert_eq!(store.number_scenario(own, X).await.unwrap(), None);
    let first = done(given(&store, own, X, "one", 1).await);
    assert_eq!((first.scenario.as_str(), first.changed), ("one", at(1)));
    let second = done(given(&store, own, X, "two", 2).await);
    assert_eq!(store.number_scenario(own, X).await.unwrap(), Some(second));
    // Nobody else's, none that there is not, none that bindings lead.
    let other = store.merchant_by_name("other").await.unwrap().unwrap().id;
    assert_eq!(given(&store, other, X, "theirs", 3).await, Put::NotYours);
    assert_eq!(given(&store, own, "861088880009", "none", 3).await, Put::NotYours);
    assert_eq!(given(&store, own, AXB, "none", 3).await, Put::Privacy);
    assert_eq!(given(&store, other, AXB, "none", 3).await, Put::NotYours);
    assert_eq!(store.number_scenario(other, X).await.unwrap(), None);
    assert!(!store.drop_number_scenario(other, X, at(3)).await.unwrap());

    let number = |number: &str, to: &str| Inbound {
        number: number.to_owned(),
        to: to.to_owned(),
        group: false,
        axb: false,
        scenario: false,
    };
    let all = [
        Inbound { axb: true, ..number(AXB, "70011") },
        Inbound { scenario: true, ..number(X, "70011") },
        Inbound { group: true, ..number(Y, "70100") },
    ];
    assert_eq!(store.inbound_numbers(own, 0, 10).await.unwrap(), all, "by size");
    assert_eq!(store.inbound_numbers(own, 0, 1).await.unwrap(), all[..1]);
    let after = AXB.parse().unwrap();
    assert_eq!(store.inbound_numbers(own, after, 10).await.unwrap(), all[1..]);
    assert!(store.inbound_numbers(other, 0, 10).await.unwrap().is_empty());
    assert_eq!(store.inbound_number(own, X).await.unwrap().as_ref(), Some(&all[1]));
    assert_eq!(store.inbound_number(other, X).await.unwrap(), None);

    assert!(store.drop_number_scenario(own, X, at(4)).await.unwrap());
    let told = store.number_scenario_changes(0, 10).await.unwrap();
    assert!(store.drop_number_scenario(own, X, at(5)).await.unwrap(), "it may be repeated");
    assert_eq!(store.number_scenario_changes(0, 10).await.unwrap(), told, "and is no news");
    assert!(!store.drop_number_scenario(own, Y, at(5)).await.unwrap(), "it never had one");
    assert_eq!(store.number_scenario(own, X).await.unwrap(), None);
    assert_eq!(store.inbound_number(own, X).await.unwrap().map(|it| it.scenario), Some(false));
}

pub(crate) async fn a_number_that_passes_to_another_merchant_has_none_of_the_former_ones(
    store: Store,
    _: String,
) {
    let former = merchant(&store).await;
    done(given(&store, former, X, "theirs", 1).await);
    let desired = from_toml(
        r#"
        [[inbound]]
        number = "+861088880000"
        extension = "70012"
        "#,
    );
    let changes = store.apply(&desired, at(2), false).await.unwrap();
    assert!(changes.mistakes.is_empty(), "{:?}", changes.mistakes);
    let next = store.merchant_by_name("other").await.unwrap().unwrap().id;
    let own = store.inbound_number(next, X).await.unwrap().unwrap();
    assert!(!own.scenario, "it was another's");
    assert_eq!(store.number_scenario(next, X).await.unwrap(), None);
    assert_eq!(given(&store, former, X, "theirs", 3).await, Put::NotYours);
    assert!(!store.drop_number_scenario(next, X, at(3)).await.unwrap());
    let new = done(given(&store, next, X, "ours", 4).await);
    assert_eq!(store.number_scenario(next, X).await.unwrap(), Some(new));
    assert_eq!(store.number_scenario(former, X).await.unwrap(), None, "nothing is left of it");
    assert!(!store.drop_number_scenario(former, X, at(5)).await.unwrap());
    let told = store.number_scenario_changes(0, 10).await.unwrap();
    let told: Vec<_> = told.entries.iter().map(|one| (one.merchant, &*one.scenario)).collect();
    assert_eq!(told, [(next, "ours")], "a number has one");
}

pub(crate) async fn scenarios_of_numbers_are_known_to_another_process_and_kept_over_a_restart(
    store: Store,
    url: String,
) {
    let own = merchant(&store).await;
    done(given(&store, own, X, "one", 1).await);
    done(given(&store, own, Y, "two", 2).await);
    let other = Store::open(&url, StoreConfig::default()).await.unwrap();
    let changes = async |after, limit| other.number_scenario_changes(after, limit).await.unwrap();
    let told = |entries: &[Entry]| {
        let one = |entry: &Entry| format!("{} {}", entry.number, entry.scenario);
        entries.iter().map(one).collect::<Vec<_>>()
    };
    let first = changes(0, 1).await;
    assert!(first.more);
    assert_eq!(told(&first.entries), [format!("{X} one")]);
    let rest = changes(first.revision, 10).await;
    assert_eq!((told(&rest.entries), rest.more), (vec![format!("{Y} two")], false));
    done(given(&store, own, X, "three", 3).await);
    assert!(store.drop_number_scenario(own, Y, at(4)).await.unwrap());
    let news = changes(rest.revision, 10).await;
    assert_eq!(told(&news.entries), [format!("{X} three"), format!("{Y} ")]);
    let quiet = changes(news.revision, 10).await;
    assert_eq!((quiet.entries.len(), quiet.revision), (0, news.revision));
    // That one was taken back is forgotten a week later; one that answers is not.
    let week = 7 * 86_400;
    store.purge(at(4 + week)).await.unwrap();
    assert_eq!(changes(0, 10).await.entries.len(), 2);
    store.purge(at(5 + week)).await.unwrap();
    assert_eq!(told(&changes(0, 10).await.entries), [format!("{X} three")]);
    other.close().await;
}
