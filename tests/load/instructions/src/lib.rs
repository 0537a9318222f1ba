//! How many instructions the hot operations take.
//!
//! Seconds on shared cores are noise; instructions under callgrind are the same from run to run within a
//! few tenths of a per cent. Each operation is prepared and warmed up unmeasured and then done a fixed number
//! of times through [`Meter::measure`], the one function that callgrind counts. The counts are held to
//! the bounds committed in `bounds.toml`.

pub mod bounds;
pub mod callgrind;
pub mod far;
pub mod meter;
pub mod ops;

pub use meter::Meter;
