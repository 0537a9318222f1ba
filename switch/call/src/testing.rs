//! What the unit tests of this crate share.

use std::time::Instant;

use facts::{Now, UnixMillis};

/// The instant at which every test begins.
#[allow(clippy::disallowed_methods, reason = "a virtual clock needs one instant to count from")]
pub(crate) fn start() -> Now {
    Now { mono: Instant::now(), wall: UnixMillis(1_763_700_000_000) }
}
