//! All deadlines of an endpoint in one ordered set.

use std::collections::BTreeSet;
use std::time::Instant;

use super::table::Owner;

/// Each owner is in the set at most once; the row of the owner remembers at which instant.
#[derive(Debug, Default)]
pub(super) struct Schedule(BTreeSet<(Instant, Owner)>);

impl Schedule {
    /// Moves an owner from the instant in its row to another.
    pub(super) fn moved(&mut self, owner: Owner, due: &mut Option<Instant>, next: Option<Instant>) {
        if *due == next {
            return;
        }
        if let Some(at) = due.take() {
            self.0.remove(&(at, owner));
        }
        if let Some(at) = next {
            self.0.insert((at, owner));
        }
        *due = next;
    }

    pub(super) fn first(&self) -> Option<(Instant, Owner)> {
        self.0.first().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
