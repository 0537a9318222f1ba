//! Prints with their meaning, and where each half of a word occurs in them.

use super::print::Print;
use super::state::State;

/// The most announcements that a library holds.
pub const MAX_ENTRIES: usize = 4_096;

/// The most places of one half word that are looked at: what occurs everywhere says nothing.
const MAX_PLACES: usize = 48;

/// An announcement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// A name of the operator's choice, one of its own.
    pub name: String,
    /// What it means.
    pub state: State,
    /// The cause of ITU-T Q.850 that it is to have; usually the state's own.
    pub cause: u8,
    /// Its language as the operator calls it, e.g. `zh`.
    pub language: String,
    /// Whether it was made by a machine and heard on no network.
    pub synthetic: bool,
    /// Its sound.
    pub print: Print,
}

/// All announcements that a listener knows.
#[derive(Clone, Debug, Default)]
pub struct Library {
    entries: Vec<Entry>,
    /// For the low and the high half of a word: where the places of each value begin in `places`.
    starts: [Vec<u32>; 2],
    /// Entry and word.
    places: [Vec<(u16, u16)>; 2],
}

impl Library {
    /// A library of these; what is more than [`MAX_ENTRIES`] is left out.
    #[must_use]
    pub fn new(mut entries: Vec<Entry>) -> Library {
        entries.truncate(MAX_ENTRIES);
        let (low, high) = (index(&entries, 0), index(&entries, 16));
        Library { entries, starts: [low.0, high.0], places: [low.1, high.1] }
    }

    /// What it holds.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Where a word, or half of it, occurs: entry and word.
    pub(super) fn places(&self, bits: u32) -> impl Iterator<Item = (usize, usize)> + '_ {
        [0, 1].into_iter().flat_map(move |half| {
            let value = (bits >> (16 * half) & 0xffff) as usize;
            let starts = &self.starts[half];
            let range = match (starts.get(value), starts.get(value + 1)) {
                (Some(from), Some(to)) if ((to - from) as usize) <= MAX_PLACES => {
                    *from as usize..*to as usize
                }
                _ => 0..0,
            };
            self.places[half][range]
                .iter()
                .map(|place| (usize::from(place.0), usize::from(place.1)))
        })
    }
}

/// The places of each value of half a word, by value.
fn index(entries: &[Entry], shift: u32) -> (Vec<u32>, Vec<(u16, u16)>) {
    let mut found: Vec<(u16, u16, u16)> = Vec::new();
    for (entry, announcement) in entries.iter().enumerate() {
        let words = announcement.print.words.iter().take(usize::from(u16::MAX)).enumerate();
        for (at, word) in words.filter(|(_, word)| word.counts) {
            found.push(((word.bits >> shift) as u16, entry as u16, at as u16));
        }
    }
    found.sort_unstable();
    let mut starts = vec![0; 65_537];
    for (value, _, _) in &found {
        starts[usize::from(*value) + 1] += 1;
    }
    for value in 0..65_536 {
        starts[value + 1] += starts[value];
    }
    (starts, found.into_iter().map(|(_, entry, at)| (entry, at)).collect())
}
