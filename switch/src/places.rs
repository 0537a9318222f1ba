//! Places for what is asked of merchants' servers: a server that never answers takes nobody else's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use facts::MerchantId;

/// How many of each merchant are taken, and how many may be.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    taken: Arc<Mutex<BTreeMap<MerchantId, usize>>>,
    of_one: usize,
    in_all: usize,
}

/// One of them; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    merchant: MerchantId,
    places: Places,
}

impl Places {
    /// `of_one`: those that one merchant may have, of so many `in_all`.
    pub(crate) fn new(of_one: usize, in_all: usize) -> Places {
        Places { taken: Arc::default(), of_one, in_all }
    }

    /// `None`: the merchant has all that he may have, or none is left.
    pub(crate) fn take(&self, merchant: MerchantId) -> Option<Place> {
        let mut taken = self.lock();
        if taken.values().sum::<usize>() >= self.in_all {
            return None;
        }
        let count = taken.entry(merchant).or_default();
        if *count >= self.of_one {
            return None;
        }
        *count += 1;
        Some(Place { merchant, places: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<MerchantId, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Some(count) = taken.get_mut(&self.merchant) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.merchant);
            }
        }
    }
}
