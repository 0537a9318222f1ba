//! Keys as sound (ITU-T Q.23, Q.24): made by [`Generator`], heard by [`Detector`].
//!
//! A key is two sines, one of a low group of four frequencies and one of a high group. [`Detector`]
//! tells sample-exact where each began and ended and silences what is left of them in the sound that
//! goes on, so that a key that travels as an event (RFC 4733) is not heard a second time.

mod detector;
mod edge;
mod fit;
mod generator;

pub use detector::{Detector, Event, GAP_MS, LATEST_END_MS, LEAST_MS};
pub use generator::{Generator, Press};

/// The low group (Q.23): the row of the key pad, Hz.
pub const LOW_HZ: [f32; 4] = [697.0, 770.0, 852.0, 941.0];

/// The high group (Q.23): the column of the key pad, Hz.
pub const HIGH_HZ: [f32; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];

/// One of the sixteen keys.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Digit {
    row: u8,
    column: u8,
}

/// The key pad, row by row.
const PAD: [char; 16] =
    ['1', '2', '3', 'A', '4', '5', '6', 'B', '7', '8', '9', 'C', '*', '0', '#', 'D'];

/// The keys in the order of their event codes (RFC 4733 §3.2, Table 3).
const EVENTS: [char; 16] =
    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];

impl Digit {
    /// The key at a row and a column of the pad, both 0 to 3 (more is taken modulo 4).
    #[must_use]
    pub(crate) const fn at(row: usize, column: usize) -> Digit {
        Digit { row: (row & 3) as u8, column: (column & 3) as u8 }
    }

    /// The key that a character stands for; letters in either case.
    #[must_use]
    pub fn from_char(key: char) -> Option<Digit> {
        let key = key.to_ascii_uppercase();
        let place = PAD.iter().position(|pad| *pad == key)?;
        Some(Digit::at(place / 4, place % 4))
    }

    /// The key of an event code, 0 to 15 (RFC 4733 §3.2).
    #[must_use]
    pub fn from_event(code: u8) -> Option<Digit> {
        EVENTS.get(usize::from(code)).and_then(|key| Digit::from_char(*key))
    }

    /// Its character: `0`–`9`, `*`, `#`, `A`–`D`.
    #[must_use]
    pub const fn as_char(self) -> char {
        PAD[self.row as usize * 4 + self.column as usize]
    }

    /// Its event code (RFC 4733 §3.2, Table 3).
    #[must_use]
    pub fn event(self) -> u8 {
        EVENTS.iter().position(|key| *key == self.as_char()).map_or(0, |code| code as u8)
    }

    /// Its frequency of the low and of the high group, Hz.
    #[must_use]
    pub const fn frequencies(self) -> [f32; 2] {
        [LOW_HZ[self.row as usize], HIGH_HZ[self.column as usize]]
    }

    /// All sixteen, in the order of their event codes.
    pub fn all() -> impl Iterator<Item = Digit> {
        (0..16).filter_map(Digit::from_event)
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::Noise;
