//! Waiting for something that another process does: polls, with a deadline and a name for the error.

use std::time::{Duration, Instant};

/// Polls `ready` every 20 ms until it gives a value.
///
/// # Panics
/// When `limit` passes first; the message names `what`.
pub fn until<T>(what: &str, limit: Duration, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
