//! Announcements: what a network says in words before and instead of an answer, known again by its
//! sound.
//!
//! A [`Print`] is a sequence of 32-bit words, one every 16 ms, each bit the sign of how the difference
//! of energy between two neighbouring bands changes with time. A [`Library`] holds prints with their
//! meaning; a [`Listener`] compares a stream with all of them at once, from wherever it comes in. What
//! is in no library stays unknown: another voice with the same words is another sound.
//!
//! Why bands and not peaks of the spectrum: `docs/decisions/0057-prints-of-announcements.md`.

mod file;
mod library;
mod listener;
mod print;
mod sample;
mod state;
mod words;

pub use file::{BadFile, read, write};
pub use library::{Entry, Library, MAX_ENTRIES};
pub use listener::{Known, Listener};
pub use print::{Print, STEP};
pub use sample::{Unfit, print as teach};
pub use state::State;
pub use words::{BadLine, MAX_PHRASES, Words};

#[cfg(test)]
mod tests;
