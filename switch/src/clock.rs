//! The one place where this process reads its clocks for the engine.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use facts::{Now, UnixMillis};

/// Both clocks, read together.
pub(crate) fn now() -> Now {
    Now { mono: Instant::now(), wall: wall() }
}

/// The wall clock.
pub(crate) fn wall() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
