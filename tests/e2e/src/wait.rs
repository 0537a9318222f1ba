//! Waiting for something that another process does: polls, with a deadline and a name for the error.

use std::time::{Duration, Instant};

/// For how long anything is waited for. Nothing takes nearly as long, unless the machine stalls or it never
/// comes: a test that is about time measures it by itself.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Polls `ready` every 20 ms until it gives a value.
///
/// # Panics
/// When [`PATIENCE`] is over first; the message names `what`.
pub fn until<T>(what: &str, ready: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, ready).unwrap_or_else(|| panic!("waited {PATIENCE:?} for {what}"))
}

/// The same for whoever says more of what did not come.
pub fn within<T>(patience: Duration, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = ready() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
