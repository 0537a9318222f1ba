//! How far behind the deliveries are, and the last look before the process ends.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use billing::Store;
use tokio::sync::{Notify, watch};

use crate::clock;

/// How long the next notification has been due.
#[derive(Debug, Default)]
pub(crate) struct OutboxGauge {
    lag_us: AtomicU64,
}

/// Time between looks.
const LOOK: Duration = Duration::from_secs(2);

impl OutboxGauge {
    pub(crate) fn lag_us(&self) -> u64 {
        self.lag_us.load(Ordering::Relaxed)
    }

    /// Looks from time to time until `stop`.
    pub(crate) async fn watch(&self, store: Store, mut stop: watch::Receiver<bool>) {
        loop {
            if let Ok(due) = store.next_due().await {
                let lag = due.map_or(Duration::ZERO, |due| clock::wall().since(due));
                let micros = u64::try_from(lag.as_micros()).unwrap_or(u64::MAX);
                self.lag_us.store(micros, Ordering::Relaxed);
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
}

/// Gives what is due one chance to be delivered before the process ends.
pub(crate) async fn flush(store: &Store, wake: &Notify, limit: Duration) {
    let deadline = tokio::time::Instant::now() + limit;
    while tokio::time::Instant::now() < deadline {
        wake.notify_one();
        match store.next_due().await {
            Ok(Some(due)) if due <= clock::wall() => {}
            _ => return,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
