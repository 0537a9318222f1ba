//! What can be in a packet, and how long it lasts.

/// An audio coding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Coding {
    /// G.711 µ-law (RFC 3551 §4.5.14).
    Pcmu,
    /// G.711 A-law (RFC 3551 §4.5.14).
    Pcma,
    /// G.722 at 64 kbit/s, whose clock runs at half the rate of its samples (RFC 3551 §4.5.2).
    G722,
    /// Opus (RFC 7587).
    Opus,
    /// G.729 with or without Annex B (RFC 3551 §4.5.6).
    G729,
}

impl Coding {
    /// Timestamp units a second.
    #[must_use]
    pub const fn clock_hz(self) -> u32 {
        match self {
            Coding::Opus => 48_000,
            Coding::Pcmu | Coding::Pcma | Coding::G722 | Coding::G729 => 8_000,
        }
    }

    /// Whether it can be turned into another one.
    #[must_use]
    pub const fn transcodes(self) -> bool {
        !matches!(self, Coding::G729)
    }

    /// Whether a table turns it into the other one, octet by octet.
    #[must_use]
    pub const fn by_table(self, other: Coding) -> bool {
        const fn g711(coding: Coding) -> bool {
            matches!(coding, Coding::Pcmu | Coding::Pcma)
        }
        g711(self) && g711(other)
    }

    /// How long the sound in a payload is, in timestamp units. What is malformed has some length or
    /// none.
    #[must_use]
    pub fn span(self, payload: &[u8]) -> u32 {
        match self {
            Coding::Pcmu | Coding::Pcma | Coding::G722 => payload.len() as u32,
            // Ten octets for 10 ms; what is left over is a silence descriptor (RFC 3551 §4.5.6).
            Coding::G729 => (payload.len() as u32).div_ceil(10) * 80,
            Coding::Opus => opus_span(payload),
        }
    }
}

/// Codings that were seen, each once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Codings(u8);

impl Codings {
    pub(crate) fn add(&mut self, coding: Coding) {
        self.0 |= 1 << coding as u8;
    }

    /// Whether this one was.
    #[must_use]
    pub const fn has(self, coding: Coding) -> bool {
        self.0 & 1 << coding as u8 != 0
    }
}

/// The length of an Opus packet at 48 kHz (RFC 6716 §3.1, §3.2).
fn opus_span(payload: &[u8]) -> u32 {
    let Some(toc) = payload.first() else { return 0 };
    let config = toc >> 3;
    let frame = match config {
        // SILK: 10, 20, 40, 60 ms.
        0..=11 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
        // Hybrid: 10, 20 ms.
        12..=15 => [480, 960][usize::from(config & 1)],
        // CELT: 2.5, 5, 10, 20 ms.
        _ => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(payload.get(1).copied().unwrap_or(0) & 0x3f),
    };
    (frame * frames).min(OPUS_SPAN_MAX)
}

/// RFC 6716 §3.2.5: 120 ms.
const OPUS_SPAN_MAX: u32 = 5_760;

/// What a packet carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Sound.
    Audio(Coding),
    /// A telephone-event whose clock has so many units a second.
    Event(u32),
    /// Comfort noise (RFC 3389).
    Noise,
}

/// The payload types of one direction (RFC 3264 §5.1: they may differ per direction).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Map {
    /// Audio, best first.
    pub audio: Vec<(u8, Coding)>,
    /// telephone-events (RFC 4733), each with its clock in Hz.
    pub events: Vec<(u8, u32)>,
    /// Comfort noise at 8000 Hz (RFC 3389).
    pub noise: Option<u8>,
}

impl Map {
    /// What a payload type stands for.
    #[must_use]
    pub fn kind(&self, payload_type: u8) -> Option<Kind> {
        if let Some((_, coding)) = self.audio.iter().find(|(pt, _)| *pt == payload_type) {
            return Some(Kind::Audio(*coding));
        }
        if let Some((_, clock)) = self.events.iter().find(|(pt, _)| *pt == payload_type) {
            return Some(Kind::Event(*clock));
        }
        (self.noise == Some(payload_type)).then_some(Kind::Noise)
    }

    /// The payload type of a coding, or of the best one that it can be turned into.
    #[must_use]
    pub fn nearest(&self, coding: Coding) -> Option<(u8, Coding)> {
        let same = self.audio.iter().find(|(_, c)| *c == coding).copied();
        same.or_else(|| self.turned().filter(|_| coding.transcodes()))
    }

    /// The best coding that others can be turned into.
    #[must_use]
    pub fn turned(&self) -> Option<(u8, Coding)> {
        self.audio.iter().find(|(_, coding)| coding.transcodes()).copied()
    }

    /// The telephone-event to send beside sound of this clock: that of the same clock (RFC 4733 §2.1),
    /// or else what there is.
    #[must_use]
    pub fn event(&self, clock: u32) -> Option<(u8, u32)> {
        let same = self.events.iter().find(|(_, own)| *own == clock);
        same.or(self.events.first()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6716_3_1_the_first_octet_of_opus_says_how_long_it_is() {
        // Configuration, then how many frames (code 0).
        let one = |config: u8| Coding::Opus.span(&[config << 3, 0]);
        assert_eq!([0, 1, 2, 3].map(one), [480, 960, 1_920, 2_880]);
        assert_eq!([8, 9, 10, 11].map(one), [480, 960, 1_920, 2_880]);
        assert_eq!([12, 13, 14, 15].map(one), [480, 960, 480, 960]);
        assert_eq!([16, 17, 18, 19, 31].map(one), [120, 240, 480, 960, 960]);
        assert_eq!(Coding::Opus.span(&[1 << 3 | 1]), 1_920, "two frames of 20 ms");
        assert_eq!(Coding::Opus.span(&[1 << 3 | 3, 3]), 2_880, "three of them");
        assert_eq!(Coding::Opus.span(&[3 << 3 | 3, 63]), OPUS_SPAN_MAX, "more than there may be");
        assert_eq!(Coding::Opus.span(&[]), 0);
    }

    #[test]
    fn rfc3551_4_5_the_length_of_what_has_fixed_frames() {
        assert_eq!(Coding::Pcmu.span(&[0; 240]), 240);
        assert_eq!(Coding::G722.span(&[0; 160]), 160, "20 ms: 8000 units a second");
        assert_eq!(Coding::G729.span(&[0; 20]), 160);
        assert_eq!(Coding::G729.span(&[0; 12]), 160, "10 ms and a silence descriptor");
    }

    #[test]
    fn rfc4733_2_1_the_event_beside_the_sound_has_its_clock() {
        let map = Map {
            audio: vec![(18, Coding::G729), (96, Coding::Opus), (8, Coding::Pcma)],
            events: vec![(101, 8_000), (97, 48_000)],
            noise: Some(13),
        };
        assert_eq!(map.event(48_000), Some((97, 48_000)));
        assert_eq!(map.event(8_000), Some((101, 8_000)));
        let few = Map { events: vec![(101, 8_000)], ..map.clone() };
        assert_eq!(few.event(48_000), Some((101, 8_000)));
        assert_eq!(
            [97, 13, 96, 3].map(|pt| map.kind(pt)),
            [Some(Kind::Event(48_000)), Some(Kind::Noise), Some(Kind::Audio(Coding::Opus)), None]
        );
        assert_eq!(map.nearest(Coding::G729), Some((18, Coding::G729)));
        assert_eq!(map.nearest(Coding::Pcmu), Some((96, Coding::Opus)));
        let plain = Map { audio: vec![(8, Coding::Pcma)], ..Map::default() };
        assert_eq!(plain.nearest(Coding::G729), None, "nothing turns it");
    }
}
