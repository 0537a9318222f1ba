//! Waiting for something that another process does: polls, with a deadline and a name for the error.

use std::time::{Duration, Instant};

/// For how long anything is waited for. Nothing takes nearly as long, unless the machine stalls or it never
/// comes: a test that is about time measures it by itself.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Polls `ready` every 20 ms until it gives a value.
///
/// # Panics
/// When [`PATIENCE`] is over first; the message names `what`.
pub fn until<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
