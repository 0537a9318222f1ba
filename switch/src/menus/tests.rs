use std::path::Path;

use billing::StoreConfig;
use billing::desired::Desired;
use facts::ussd::{Dialled, End};
use facts::{Micros, UnixMillis};

use super::*;
use crate::inbox::{Outlet, inbox};

const PRICE: i64 = 250_000;

async fn store(folder: &Path) -> (Store, MerchantId) {
    let url = format!("sqlite://{}", folder.join("store.db").display());
    let store = Store::open(&url, StoreConfig::default()).await.unwrap();
    store.migrate().await.unwrap();
    let desired: Desired = toml::from_str(
        r#"
        [[merchants]]
        name = "test"
        [[top_ups]]
        id = "1"
        merchant = "test"
        amount = "10"
        [[ussd_codes]]
        code = "*1#"
        merchant = "test"
        page = "https://m.example/"
        price = "0.25"
        "#,
    )
    .unwrap();
    let changes = store.apply(&desired, UnixMillis(1), false).await.unwrap();
    assert!(changes.mistakes.is_empty(), "{:?}", changes.mistakes);
    let merchant = store.merchant_by_name("test").await.unwrap().unwrap().id;
    (store, merchant)
}

fn smpp() -> Smpp {
    Smpp::new(Handle::current(), 0)
}

fn step(merchant: MerchantId, session: u64, number: u32) -> Step {
    Step {
        session: CallId(session),
        merchant,
        door: Door::Message,
        code: Dialled::code("*1#").unwrap(),
        mobile: "989123456789".into(),
        inputs: vec![],
        number,
    }
}

fn over(session: u64, end: End) -> Over {
    Over { session: CallId(session), end, steps: 1 }
}

async fn written(menus: &Menus) {
    while menus.busy() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Sessions in the books: how they ended, and what was taken.
async fn books(store: &Store, merchant: MerchantId) -> Vec<(Option<End>, Micros)> {
    let audit = store.check_books().await.unwrap();
    assert!(audit.findings.is_empty(), "{:?}", audit.findings);
    let rows = store.menus(merchant, 0, 100).await.unwrap();
    rows.iter().map(|row| (row.outcome, row.price)).collect()
}

fn refused(outlet: &Outlet) -> Vec<(u64, u32)> {
    let mut told = Vec::new();
    while let Ok(fact) = outlet.facts.try_recv() {
        let Fact::Reply(Reply::Screen { session, number, screen: Screen::Unavailable }) = fact
        else {
            panic!("{fact:?}");
        };
        told.push((session.0, number));
    }
    told
}

#[tokio::test]
async fn s5_2_a_page_that_does_not_answer_takes_no_places_of_other_merchants() {
    let folder = tempfile::tempdir().unwrap();
    let (store, merchant) = store(folder.path()).await;
    let (inbox, outlet) = inbox(8).unwrap();
    let (menus, mut steps) = Menus::new(inbox, store, smpp(), Handle::current());
    for session in 0..OF_ONE_MAX as u64 {
        menus.ask(step(merchant, session, 2));
    }
    assert!(refused(&outlet).is_empty(), "they wait for their page");
    menus.ask(step(merchant, 1000, 2));
    menus.ask(step(MerchantId(merchant.0 + 1), 1001, 2));
    assert_eq!(refused(&outlet), [(1000, 2)], "one too many is answered at once");
    // All have no more than can be visited: nobody waits behind those of others.
    let rest = UNDER_WAY_MAX - OF_ONE_MAX - 1;
    for session in 0..rest as u64 {
        let other = MerchantId(merchant.0 + 2 + (session / 200).cast_signed());
        menus.ask(step(other, 2000 + session, 2));
    }
    assert!(refused(&outlet).is_empty());
    menus.ask(step(MerchantId(merchant.0 + 100), 1003, 2));
    assert_eq!(refused(&outlet), [(1003, 2)]);
    // Whose visit is over leaves his place to the next.
    drop(steps.0.try_recv().unwrap());
    menus.ask(step(merchant, 1002, 2));
    assert!(refused(&outlet).is_empty());
}

#[tokio::test]
async fn s5_2_a_session_is_opened_before_its_page_and_its_end_is_written_behind_that() {
    let folder = tempfile::tempdir().unwrap();
    let (store, merchant) = store(folder.path()).await;
    let (inbox, _outlet) = inbox(8).unwrap();
    let (menus, _steps) = Menus::new(inbox, store.clone(), smpp(), Handle::current());
    assert_eq!(opened(menus.open(&step(merchant, 1, 1))).await, Some(Opened::Now));
    menus.over(over(1, End::Said));
    written(&menus).await;
    assert_eq!(books(&store, merchant).await, [(Some(End::Said), Micros(PRICE))]);
    assert!(menus.unsure().is_empty());
    // Also when it is over before anybody has taken up its step.
    menus.ask(step(merchant, 2, 1));
    menus.over(over(2, End::Left));
    written(&menus).await;
    let all = books(&store, merchant).await;
    assert!(all.contains(&(Some(End::Left), Micros(PRICE))) && all.len() == 2, "{all:?}");
}

#[tokio::test]
async fn s5_2_who_was_not_told_of_an_opening_pays_nothing_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, merchant) = store(folder.path()).await;
    let (inbox, _outlet) = inbox(8).unwrap();
    let (menus, _steps) = Menus::new(inbox, store.clone(), smpp(), Handle::current());
    // The store is slow: something is before it in its lane.
    let (go, gone) = oneshot::channel::<()>();
    menus.in_order(CallId(1), async move {
        let _ = gone.await;
    });
    let begun = Instant::now();
    assert_eq!(opened(menus.open(&step(merchant, 1, 1))).await, None);
    assert!(begun.elapsed() >= OPENING);
    menus.over(over(1, End::Unavailable));
    let _ = go.send(());
    written(&menus).await;
    assert_eq!(books(&store, merchant).await, [(Some(End::Unavailable), Micros::ZERO)]);
    assert!(menus.unsure().is_empty());
    // A store that refuses it.
    let url = format!("sqlite://{}", folder.path().join("empty.db").display());
    let empty = Store::open(&url, StoreConfig::default()).await.unwrap();
    let (menus, _steps) = Menus::new(menus.0.inbox.clone(), empty, smpp(), Handle::current());
    assert_eq!(opened(menus.open(&step(merchant, 2, 1))).await, None);
    assert_eq!(menus.unsure().len(), 1);
}
