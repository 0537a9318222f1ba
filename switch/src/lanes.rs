//! Work that must be done in order for one key and may be done at once for different keys.
//!
//! A call's journal entries must not overtake each other, nor its settlement them; two calls have nothing to
//! wait for. Each key with work has one task, which ends when its lane is empty. A piece of work that panics is
//! counted, and the next one of its lane goes on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use facts::ports::Promise;
use tokio::runtime::Handle;

/// A piece of work: made when its turn comes.
type Work = Box<dyn FnOnce() -> Promise<()> + Send>;

/// The lanes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Lanes<K> {
    runtime: Handle,
    waiting: Arc<Mutex<BTreeMap<K, VecDeque<Work>>>>,
    panics: Arc<AtomicU64>,
}

impl<K: Ord + Clone + Send + 'static> Lanes<K> {
    pub(crate) fn new(runtime: Handle) -> Self {
        Lanes { runtime, waiting: Arc::default(), panics: Arc::default() }
    }

    /// Puts work at the end of a lane.
    pub(crate) fn push(&self, key: K, work: impl FnOnce() -> Promise<()> + Send + 'static) {
        let mut waiting = lock(&self.waiting);
        if let Some(lane) = waiting.get_mut(&key) {
            lane.push_back(Box::new(work));
            return;
        }
        waiting.insert(key.clone(), VecDeque::new());
        drop(waiting);
        let lanes = Arc::clone(&self.waiting);
        let panics = Arc::clone(&self.panics);
        self.runtime.spawn(async move {
            let mut next: Option<Work> = Some(Box::new(work));
            while let Some(work) = next {
                // A task of its own: a panic ends that one and not the lane.
                let done = tokio::spawn(async move { work().await }).await;
                if done.is_err_and(|error| error.is_panic()) {
                    panics.fetch_add(1, Ordering::Relaxed);
                    tracing::error!("a write to the store panicked");
                }
                let mut waiting = lock(&lanes);
                next = waiting.get_mut(&key).and_then(VecDeque::pop_front);
                if next.is_none() {
                    waiting.remove(&key);
                }
            }
        });
    }

    /// Pieces of work that panicked.
    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Lanes with work.
    #[cfg(test)]
    fn busy(&self) -> usize {
        lock(&self.waiting).len()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_lane_keeps_its_order_and_does_not_stop_another() {
        let lanes = Lanes::new(Handle::current());
        let seen: Arc<Mutex<Vec<(u8, u32)>>> = Arc::default();
        for step in 0..100 {
            for key in 0..4_u8 {
                let seen = Arc::clone(&seen);
                lanes.push(key, move || {
                    Box::pin(async move {
                        if step % 10 == 0 {
                            tokio::time::sleep(Duration::from_micros(u64::from(key) * 300)).await;
                        }
                        lock(&seen).push((key, step));
                    })
                });
            }
        }
        while lanes.busy() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let seen = lock(&seen);
        assert_eq!(seen.len(), 400);
        for key in 0..4_u8 {
            let steps: Vec<u32> = seen.iter().filter(|(k, _)| *k == key).map(|(_, s)| *s).collect();
            assert!(steps.is_sorted(), "{key}: {steps:?}");
        }
    }

    #[tokio::test]
    async fn a_panic_neither_stops_its_lane_nor_stays_in_it() {
        let lanes = Lanes::new(Handle::current());
        let seen: Arc<Mutex<Vec<u32>>> = Arc::default();
        for step in 0..5 {
            let seen = Arc::clone(&seen);
            lanes.push("one", move || {
                assert!(step != 1, "before it begins");
                Box::pin(async move {
                    tokio::task::yield_now().await;
                    assert!(step != 3, "in the middle");
                    lock(&seen).push(step);
                })
            });
        }
        while lanes.busy() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!((lock(&seen).as_slice(), lanes.panics()), ([0, 2, 4].as_slice(), 2));
    }
}
