//! The settings as handlers read them: one snapshot, refreshed when the store says it is older.

use std::sync::Arc;
use std::time::{Duration, Instant};

use facts::settings::Snapshot;
use facts::{MerchantId, Number};
use tokio::sync::Mutex;

/// How long a snapshot is believed without asking the store for its version.
const FRESH: Duration = Duration::from_millis(500);

/// The last snapshot and when it was known to be current.
#[derive(Debug, Default)]
pub(crate) struct Settings(Mutex<Option<(Instant, Arc<Snapshot>)>>);

impl Settings {
    /// The current snapshot, at most half a second old.
    pub(crate) async fn current(&self, store: &billing::Store) -> billing::Result<Arc<Snapshot>> {
        let mut kept = self.0.lock().await;
        if let Some((at, snapshot)) = kept.as_ref() {
            if at.elapsed() < FRESH {
                return Ok(Arc::clone(snapshot));
            }
            if store.settings_version().await? == snapshot.version {
                let snapshot = Arc::clone(snapshot);
                *kept = Some((Instant::now(), Arc::clone(&snapshot)));
                return Ok(snapshot);
            }
        }
        let snapshot = Arc::new(store.snapshot().await?);
        *kept = Some((Instant::now(), Arc::clone(&snapshot)));
        Ok(snapshot)
    }

    /// Forgets what is kept: the next reader sees a change at once.
    pub(crate) async fn forget(&self) {
        *self.0.lock().await = None;
    }
}

/// Whom a written number means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Dialled {
    /// An internal number, whose, and whether it may be rung.
    Extension(billing::rows::Extension),
    /// A number of the public network.
    Public(Number),
    /// Nobody.
    Invalid,
}

/// Finds out whom a number means: internal numbers first, then the number plan.
pub(crate) async fn dialled(
    store: &billing::Store,
    snapshot: &Snapshot,
    written: &str,
) -> billing::Result<Dialled> {
    let bare: String =
        written.trim().chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')')).collect();
    let internal = (5..=10).contains(&bare.len())
        && !bare.starts_with('0')
        && bare.bytes().all(|b| b.is_ascii_digit());
    if internal && let Some(extension) = store.extension(&bare).await? {
        return Ok(Dialled::Extension(extension));
    }
    Ok(snapshot.plan.parse(written).map_or(Dialled::Invalid, Dialled::Public))
}

impl Dialled {
    /// The number to dial, if it may be dialled as a second leg: any enabled extension, any public number.
    pub(crate) fn number(self) -> Option<Number> {
        match self {
            Dialled::Extension(extension) if extension.enabled => {
                Some(Number::Internal(extension.number))
            }
            Dialled::Public(number) => Some(number),
            Dialled::Extension(_) | Dialled::Invalid => None,
        }
    }

    /// Is it an extension of somebody else?
    pub(crate) fn is_foreign_to(&self, merchant: MerchantId) -> bool {
        matches!(self, Dialled::Extension(extension) if extension.merchant != merchant)
    }
}
