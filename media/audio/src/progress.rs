//! Call progress: what a network says by tones before and instead of an answer (ITU-T E.180, E.182).
//!
//! [`ZONES`] holds the tones of single countries as data. [`Ear`] hears them in a stream of samples,
//! with the special information tones and the tones of fax machines, and tells music from speech. It
//! never takes music for a tone: what it says of music or speech is for the record alone.

mod burst;
mod cadence;
mod ear;
mod manner;
mod zones;

pub use ear::Ear;
pub use zones::ZONES;

/// What a tone means.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// The far phone rings.
    Ring,
    /// It is engaged.
    Busy,
    /// The network has no way left.
    Congestion,
    /// Something is wrong, an announcement says what.
    Information,
    /// Another call waits.
    Waiting,
    /// The call is recorded.
    Record,
}

/// How a burst sounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pitch {
    /// One sine, Hz.
    One(u16),
    /// Two sines of the same level, Hz.
    Two(u16, u16),
    /// A sine whose level goes up and down: its frequency and how often it does, Hz.
    Wobbling(u16, u16),
}

/// A stretch of tone and the pause after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Burst {
    /// What sounds.
    pub pitch: Pitch,
    /// How long, milliseconds.
    pub on_ms: u16,
    /// The pause after it, milliseconds.
    pub off_ms: u16,
}

/// A tone: bursts one after the other, then from the first again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pattern {
    /// What it means.
    pub kind: Kind,
    /// Its bursts, at least one.
    pub bursts: &'static [Burst],
}

/// The tones of one country.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Zone {
    /// ISO 3166 code, small letters.
    pub country: &'static str,
    /// Its tones.
    pub patterns: &'static [Pattern],
}

/// The tones of a country.
#[must_use]
pub fn zone(country: &str) -> Option<&'static Zone> {
    ZONES.iter().find(|zone| zone.country.eq_ignore_ascii_case(country))
}

/// What special information tones say (Telcordia SR-2275 §6.21.2): which frequency and length the
/// first two of the three have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Sit {
    /// The number was changed or taken out of service.
    Intercept,
    /// No such number.
    Vacant,
    /// Switch or network congested.
    Reorder,
    /// All circuits are taken.
    NoCircuit,
    /// Not completed for another reason, misdialled for example.
    Ineffective,
    /// The three tones of E.180 (950, 1400, 1800 Hz), which say no more.
    Unsaid,
}

impl Sit {
    /// The cause of ITU-T Q.850 that says the same.
    #[must_use]
    pub const fn cause(self) -> u8 {
        match self {
            Sit::Intercept => 22,
            Sit::Vacant => 1,
            Sit::Reorder => 42,
            Sit::NoCircuit => 34,
            Sit::Ineffective => 28,
            Sit::Unsaid => 31,
        }
    }
}

/// What was recognised.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Sound {
    /// A tone of a country's table, its rhythm seen twice.
    Tone(Kind),
    /// Special information tones.
    Sit(Sit),
    /// A fax machine calls: 1100 Hz (ITU-T T.30 §4.3.3).
    FaxCalling,
    /// A fax machine or modem answers: 2100 Hz (T.30 §4.3.2, V.25).
    FaxAnswering,
    /// Nothing at all for a while.
    Silence,
    /// Music: coloured ring-back, or a call that waits.
    Music,
    /// Somebody or something speaks.
    Speech,
}

/// A sound and where it was. Samples are counted from the first that the ear was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heard {
    /// What.
    pub sound: Sound,
    /// Its first sample.
    pub from: u64,
    /// The first sample after what was heard of it when it was told.
    pub to: u64,
}

#[cfg(test)]
mod tests;
