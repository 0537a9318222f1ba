//! The border between what is measured and what only prepares it.

use std::time::{Duration, Instant};

/// Counts or times the work that goes through it, once it is switched on.
#[derive(Debug, Default)]
pub struct Meter {
    on: bool,
    times: bool,
    spent: Duration,
}

impl Meter {
    /// A meter that is off: nothing counts yet.
    #[must_use]
    pub fn new() -> Meter {
        Meter::default()
    }

    /// A meter that adds up the wall clock, for `instructions time`.
    #[must_use]
    pub fn timing() -> Meter {
        Meter { times: true, ..Meter::default() }
    }

    /// From now on the work counts: the preparation is over.
    pub fn start(&mut self) {
        self.on = true;
    }

    /// Does the work; counts it when the meter is on.
    pub fn measure<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let mut work = Some(work);
        let mut result = None;
        let mut once = || {
            if let Some(work) = work.take() {
                result = Some(work());
            }
        };
        match (self.on, self.times) {
            (false, _) => once(),
            (true, false) => measured(&mut once),
            (true, true) => {
                let begun = Instant::now();
                measured(&mut once);
                self.spent += begun.elapsed();
            }
        }
        result.expect("the work was done")
    }

    /// Wall clock spent in the work; only of a [`Meter::timing`].
    #[must_use]
    pub fn spent(&self) -> Duration {
        self.spent
    }
}

/// The function that callgrind collects in (`--toggle-collect`). It must stay a function of its own that
/// nothing else calls, and must not call itself: each entry turns collecting on, each return off.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
    // What follows a tail call would belong to the caller.
    std::hint::black_box(());
}
