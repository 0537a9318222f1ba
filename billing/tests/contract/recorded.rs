//! Whose calls are recorded, as the operator's file says and the engine reads it.

use billing::Store;
use billing::desired::Act;
use facts::media::{Record, Voices};
use facts::settings::Recorded;

use crate::support::*;

pub(crate) async fn who_is_recorded_is_kept_told_and_read_by_the_engine(store: Store, _: String) {
    store.migrate().await.unwrap();
    let mut desired = basics("100");
    let more = from_toml(
        r#"
        [[extensions]]
        number = "70011"
        merchant = "test"
        password = "p"
        record = "apart"
        [[groups]]
        number = "70100"
        merchant = "test"
        members = ["70011"]
        record = "b"
        [[inbound]]
        number = "010 8888 0000"
        extension = "70011"
        record = true
        "#,
    );
    desired.extensions.extend(more.extensions.clone());
    (desired.groups, desired.inbound) = (more.groups.clone(), more.inbound.clone());
    desired.merchants[0].record = Record::As(Voices::Mixed);
    let changes = store.apply(&desired, T0, false).await.unwrap();
    assert!(changes.mistakes.is_empty(), "{:?}", changes.mistakes);
    let recorded = store.snapshot().await.unwrap().recorded;
    let internal = |number: &str| recorded.get(&Recorded::Internal(number.into())).copied();
    assert_eq!(internal("70011"), Some(Record::As(Voices::Apart)));
    assert_eq!(internal("70100"), Some(Record::As(Voices::B)));
    let inbound = Recorded::Inbound("861088880000".into());
    assert_eq!(recorded.get(&inbound), Some(&Record::Yes));
    assert_eq!(recorded.len(), 3, "whoever is not is not in it");
    let merchant = store.merchant_by_name("test").await.unwrap().unwrap();
    assert_eq!(merchant.record, Record::As(Voices::Mixed));
    // What changes is told by its word.
    desired.inbound[0].record = Record::No;
    desired.extensions.last_mut().unwrap().record = Record::As(Voices::A);
    let changes = store.apply(&desired, T0, false).await.unwrap();
    let changed = changes.lines.iter().filter(|line| line.act == Act::Updated);
    let fields: Vec<&str> =
        changed.flat_map(|line| line.fields.iter().map(String::as_str)).collect();
    assert_eq!(fields, ["record: apart → a", "record: true → false"]);
    assert_eq!(store.snapshot().await.unwrap().recorded.len(), 2);
}
