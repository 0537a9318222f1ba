//! Bindings of privacy numbers on their way from the store to the engine: those that hold at the start, then each change, by
//! whatever process. By a task of its own: what makes new settings, which takes as long as there are settings, keeps no
//! binding waiting.

use std::sync::Arc;
use std::time::Duration;

use api::EventContext;
use billing::Store;
use call::Command;
use facts::axb::AxbBinding;
use tokio::sync::{Notify, watch};

use crate::clock;
use crate::inbox::{Fact, Inbox};

/// Time between looks: another process that changes something cannot call us.
const LOOK: Duration = Duration::from_secs(1);
/// Bindings that are read at one time.
const PAGE: u32 = 1_000;

/// Follows what changes after a revision until `stop`; `wake` shortens the wait.
pub(crate) async fn follow(
    store: Store,
    inbox: Inbox,
    mut known: i64,
    wake: Arc<Notify>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = wake.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
        match changed(&store, &inbox, known).await {
            Ok(revision) => known = revision,
            Err(error) => {
                tracing::warn!(%error, "the bindings of privacy numbers could not be read");
            }
        }
    }
}

/// Gives the engine the bindings that hold; the revision from which on changes are to be read.
///
/// # Errors
/// Those of the database.
pub(crate) async fn begin(store: &Store, inbox: &Inbox) -> billing::Result<i64> {
    // Before the bindings: what changes while they are read is read again.
    let revision = store.axb_revision().await?;
    let mut after = (clock::wall(), i64::MAX);
    loop {
        let live = store.axb_live(after, PAGE).await?;
        let Some(last) = live.last else { return Ok(revision) };
        after = last;
        if !give(inbox, live.bindings) {
            // All of them are read as changes, as soon as there is room.
            return Ok(0);
        }
    }
}

/// Gives the engine what has changed since a revision; the last one of what it took.
async fn changed(store: &Store, inbox: &Inbox, mut after: i64) -> billing::Result<i64> {
    loop {
        let changes = store.axb_changes(after, PAGE).await?;
        if !changes.bindings.is_empty() && !give(inbox, changes.bindings) {
            return Ok(after);
        }
        after = changes.revision;
        if !changes.more {
            return Ok(after);
        }
    }
}

/// False when the engine has no room for them now.
fn give(inbox: &Inbox, mut bindings: Vec<AxbBinding>) -> bool {
    for binding in &mut bindings {
        binding.context = EventContext::kept(&binding.reference, None);
    }
    inbox.offer(Fact::Command(Command::Axb(bindings)))
}

#[cfg(test)]
mod tests {
    use billing::StoreConfig;
    use billing::axb::{Bound, NewBinding};
    use billing::desired::Desired;
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
        axb = true
    "#;

    async fn bind(store: &Store, a: &str) {
        let [number, a, b] = ["861087654321", a, "8613900000000"].map(str::to_owned);
        let (merchant, reference) = (MerchantId(1), "order \"7\"".to_owned());
        let new = NewBinding { merchant, number, a, b, reference, seconds: 600 };
        let made = store.bind_axb(new, clock::wall()).await.unwrap();
        assert!(matches!(made, Bound::Now(_)), "{made:?}");
    }

    #[tokio::test]
    async fn s6_axb_what_the_engine_had_no_room_for_is_given_to_it_later() {
        let store = Store::open("sqlite::memory:", StoreConfig::default()).await.unwrap();
        store.migrate().await.unwrap();
        let desired: Desired = toml::from_str(SETTINGS).unwrap();
        let applied = store.apply(&desired, clock::wall(), false).await.unwrap();
        assert!(applied.mistakes.is_empty(), "{:?}", applied.mistakes);
        let (inbox, outlet) = inbox(1).unwrap();
        let taken = || -> Vec<AxbBinding> {
            std::iter::from_fn(|| outlet.facts.try_recv().ok())
                .filter_map(|fact| match fact {
                    Fact::Command(Command::Axb(bindings)) => Some(bindings),
                    _ => None,
                })
                .flatten()
                .collect()
        };
        bind(&store, "8613800000001").await;
        while inbox.offer(Fact::Stop) {}
        let known = begin(&store, &inbox).await.unwrap();
        assert_eq!(changed(&store, &inbox, known).await.unwrap(), 0, "nothing was taken");
        assert!(taken().is_empty());
        let known = changed(&store, &inbox, known).await.unwrap();
        let [first] = &taken()[..] else { panic!() };
        assert_eq!((first.a.as_str(), first.reference.as_str()), ("8613800000001", "order \"7\""));
        assert_eq!(first.context, r#"{"reference":"order \"7\""}"#);
        assert!(known > 0);
    }
}
