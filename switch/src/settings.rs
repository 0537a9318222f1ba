//! The store's housekeeping: notices when the operator changed something, by whatever hand, and gives the
//! engine a new snapshot; forgets what is past its life.

use std::sync::Arc;
use std::time::Duration;

use billing::Store;
use call::Command;
use tokio::sync::{Notify, watch};

use crate::clock;
use crate::inbox::{Fact, Inbox};
use crate::net::Tls;
use crate::sandbox::Sandbox;

/// Time between looks: `tandem apply` runs in another process and cannot call us.
const LOOK: Duration = Duration::from_secs(1);

/// Time between two snapshots at least: changes that come in a crowd are taken up together.
const PAUSE: Duration = Duration::from_millis(200);

/// Scenarios that are read at one time: each may be long.
const SCENARIOS: u32 = 100;

/// Looks until `stop`; `wake` shortens the wait.
pub(crate) async fn watch(
    store: Store,
    inbox: Inbox,
    (mut known, mut answered): (u64, i64),
    wake: Arc<Notify>,
    (tls, sandbox): (Arc<Tls>, Arc<Sandbox>),
    mut stop: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = wake.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
        match numbers(&store, &inbox, answered).await {
            Ok(revision) => answered = revision,
            Err(error) => tracing::warn!(%error, "the scenarios of numbers could not be read"),
        }
        match refreshed(&store, known).await {
            Ok(Some(mut snapshot)) => {
                let version = snapshot.version;
                sandbox.furnish(&mut snapshot);
                tls.know(&snapshot);
                // Without room for them they are read again, as they are by then.
                if inbox.offer(Fact::Command(Command::Settings(Arc::new(snapshot)))) {
                    tracing::info!(version, "new settings");
                    known = version;
                }
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => return,
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the settings could not be read"),
        }
    }
}

/// Gives the engine what has changed of the scenarios that answer numbers since a revision, all that there are since 0; the
/// last revision of what it took.
///
/// # Errors
/// Those of the database.
pub(crate) async fn numbers(store: &Store, inbox: &Inbox, mut after: i64) -> billing::Result<i64> {
    loop {
        let changes = store.number_scenario_changes(after, SCENARIOS).await?;
        let numbers: Vec<_> = changes.entries.into_iter().map(api::scenarios::compiled).collect();
        if !numbers.is_empty() && !inbox.offer(Fact::Command(Command::Numbers(numbers))) {
            return Ok(after);
        }
        after = changes.revision;
        if !changes.more {
            return Ok(after);
        }
    }
}

async fn refreshed(
    store: &Store,
    known: u64,
) -> billing::Result<Option<facts::settings::Snapshot>> {
    if store.settings_version().await? == known {
        return Ok(None);
    }
    store.snapshot().await.map(Some)
}

/// Time between two purges.
const PURGE: Duration = Duration::from_secs(3600);

/// Forgets request keys, lapsed contacts and old deliveries, now and every hour, until `stop`.
pub(crate) async fn purge(store: Store, mut stop: watch::Receiver<bool>) {
    loop {
        match store.purge(clock::wall()).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "rows past their life were removed"),
            Err(error) => tracing::warn!(%error, "old rows could not be removed"),
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(PURGE) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use billing::StoreConfig;
    use billing::desired::Desired;
    use billing::numbers::Put;
    use facts::MerchantId;

    use super::*;
    use crate::inbox::inbox;

    const SETTINGS: &str = r#"
        [[merchants]]
        name = "shop"
        [[extensions]]
        number = "80001"
        merchant = "shop"
        password = "secret"
        [[inbound]]
        number = "01087654321"
        extension = "80001"
        [[inbound]]
        number = "01087654322"
        extension = "80001"
    "#;

    async fn give(store: &Store, number: &str) {
        let scenario = "{}".to_owned();
        let put = store.put_number_scenario(MerchantId(1), (number, scenario), clock::wall()).await;
        assert!(matches!(put.unwrap(), Put::Done(_)));
    }

    #[tokio::test]
    async fn scenarios_of_numbers_that_the_engine_had_no_room_for_are_given_to_it_later() {
        let store = Store::open("sqlite::memory:", StoreConfig::default()).await.unwrap();
        store.migrate().await.unwrap();
        let desired: Desired = toml::from_str(SETTINGS).unwrap();
        let applied = store.apply(&desired, clock::wall(), false).await.unwrap();
        assert!(applied.mistakes.is_empty(), "{:?}", applied.mistakes);
        let (inbox, outlet) = inbox(1).unwrap();
        let taken = || -> Vec<String> {
            std::iter::from_fn(|| outlet.facts.try_recv().ok())
                .filter_map(|fact| match fact {
                    Fact::Command(Command::Numbers(numbers)) => Some(numbers),
                    _ => None,
                })
                .flatten()
                .map(|answers| answers.number)
                .collect()
        };
        give(&store, "861087654321").await;
        let known = numbers(&store, &inbox, 0).await.unwrap();
        assert_eq!(taken(), ["861087654321"]);
        give(&store, "861087654322").await;
        while inbox.offer(Fact::Stop) {}
        assert_eq!(numbers(&store, &inbox, known).await.unwrap(), known, "nothing was taken");
        assert!(taken().is_empty());
        let last = numbers(&store, &inbox, known).await.unwrap();
        assert_eq!(taken(), ["861087654322"]);
        assert!(last > known);
    }
}
