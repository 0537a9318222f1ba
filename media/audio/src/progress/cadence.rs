//! Compares the bursts heard with the tables: two cycles of a rhythm, whatever the exact frequency.

use std::collections::VecDeque;

use super::burst::{Found, alike as same_pitch};
use super::{Burst, Kind, Pattern, Pitch, Sit, Zone};

/// Bursts remembered: two cycles of the longest pattern, and what distinguishes two with one beginning.
const REMEMBERED: usize = 12;
/// How far a length may be off: 18 %, and 15 ms for the edges.
const GATE: f32 = 0.18;
const EDGE_MS: f32 = 15.0;
/// How far a frequency may be off the table. Rhythm says what a tone means; frequency only that it is
/// one of this country.
const OFF_TUNE: f32 = 0.06;
/// A pause must be this much weaker than its burst: 6 dB. Music that repeats a note is not.
const WEAKER: f32 = 4.0;
/// The longest pause that no country makes, milliseconds: two lost packets.
const LOST_MS: f32 = 50.0;
/// Two sines nearer to each other than this are one to the ear for bursts, Hz.
const ONE_EAR: u16 = 80;

/// The bursts heard of late.
#[derive(Clone, Debug, Default)]
pub(super) struct Rhythm {
    bursts: VecDeque<Found>,
}

impl Rhythm {
    /// One more burst. One that follows at once on the same pitch is the same: a packet was lost.
    pub(super) fn push(&mut self, burst: Found) {
        if let Some(last) = self.bursts.back_mut()
            && ms(burst.from.saturating_sub(last.to)) <= LOST_MS
            && same_pitch(last.hz, burst.hz)
        {
            last.to = burst.to;
            return;
        }
        if self.bursts.len() == REMEMBERED {
            self.bursts.pop_front();
        }
        self.bursts.push_back(burst);
    }

    /// The tone that the last bursts are, when the pause after them has lasted until `now`, and the
    /// first sample of what fits.
    pub(super) fn tone(&self, zones: &[&Zone], now: u64, gap_power: f32) -> Option<(Kind, u64)> {
        let last = self.bursts.back()?;
        if gap_power * WEAKER > last.power {
            return None;
        }
        let gap = ms(now.saturating_sub(last.to));
        let mut best: Option<(f32, Kind, u64)> = None;
        for zone in zones {
            // A pattern whose bursts follow at once is special information: `sit` hears it.
            for pattern in zone.patterns.iter().filter(|pattern| pattern.bursts[0].off_ms > 0) {
                let Some((off, from)) = self.fit(zone, pattern, gap) else { continue };
                if best.is_none_or(|(least, _, _)| off < least) {
                    best = Some((off, pattern.kind, from));
                }
            }
        }
        best.map(|(_, kind, from)| (kind, from))
    }

    /// How far the last bursts are off a pattern (0 to 1) in the worst place, if it is that.
    fn fit(&self, zone: &Zone, pattern: &Pattern, gap: f32) -> Option<(f32, u64)> {
        let length = pattern.bursts.len();
        let needed = cycles(zone, pattern) * length;
        let first = self.bursts.len().checked_sub(needed)?;
        let heard = self.bursts.range(first..);
        (0..length).find_map(|turn| {
            let mut worst = 0.0_f32;
            let mut previous: Option<(&Found, &Burst)> = None;
            for (index, found) in heard.clone().enumerate() {
                let burst = &pattern.bursts[(turn + index) % length];
                if !in_tune(found.hz, burst.pitch) {
                    return None;
                }
                worst = worst.max(off(ms(found.to - found.from), burst.on_ms)?);
                if let Some((before, table)) = previous {
                    let pause = ms(found.from.saturating_sub(before.to));
                    worst = worst.max(off(pause, table.off_ms)?);
                    if found.before * WEAKER > found.power && table.off_ms > 0 {
                        return None;
                    }
                }
                previous = Some((found, burst));
            }
            let (_, table) = previous?;
            // The last pause need not be heard whole, only be no shorter than it must.
            let due = (f32::from(table.off_ms) * 0.7).min(300.0);
            let over = f32::from(table.off_ms) * (1.0 + GATE) + EDGE_MS;
            (gap >= due && gap <= over).then_some((worst, self.bursts[first].from))
        })
    }

    /// Special information tones: the last three bursts rise as they must and follow each other.
    pub(super) fn sit(&self) -> Option<(Sit, u64)> {
        let first = self.bursts.len().checked_sub(3)?;
        let [one, two, three] = [0, 1, 2].map(|index| self.bursts[first + index]);
        let near = |found: &Found, low: f32, high: f32| {
            found.hz[1] == 0.0 && found.hz[0] >= low && found.hz[0] <= high
        };
        let joined = |a: &Found, b: &Found| ms(b.from.saturating_sub(a.to)) <= 60.0;
        let rises = near(&one, 880.0, 1_030.0)
            && near(&two, 1_330.0, 1_470.0)
            && near(&three, 1_720.0, 1_870.0);
        let lengths = [one, two, three].map(|found| ms(found.to - found.from));
        let long_enough = lengths.iter().all(|length| (200.0..=470.0).contains(length));
        if !rises || !long_enough || !joined(&one, &two) || !joined(&two, &three) {
            return None;
        }
        Some((code(&one, &two, lengths), one.from))
    }

    /// The last burst.
    pub(super) fn last(&self) -> Option<&Found> {
        self.bursts.back()
    }
}

/// What the first two tones say. The frequencies of E.180 lie half-way and say nothing.
fn code(one: &Found, two: &Found, lengths: [f32; 3]) -> Sit {
    let high = |hz: f32, low: f32, high: f32| match hz {
        hz if (hz - low).abs() <= 17.0 => Some(false),
        hz if (hz - high).abs() <= 17.0 => Some(true),
        _ => None,
    };
    let (Some(first), Some(second)) =
        (high(one.hz[0], 913.8, 985.2), high(two.hz[0], 1_370.6, 1_428.5))
    else {
        return Sit::Unsaid;
    };
    // 274 or 380 ms.
    let (long, long_two) = (lengths[0] > 327.0, lengths[1] > 327.0);
    match (first, long, second, long_two) {
        (false, false, false, false) => Sit::Intercept,
        (true, true, false, false) => Sit::Vacant,
        (false, false, true, true) | (true, false, false, true) => Sit::Reorder,
        (true, true, true, true) | (false, true, false, true) => Sit::NoCircuit,
        (false, true, true, false) => Sit::Ineffective,
        _ => Sit::Unsaid,
    }
}

/// Cycles until a pattern is told from every other one of its zone: two, or one more than the longest
/// run of its burst within another pattern.
fn cycles(zone: &Zone, pattern: &Pattern) -> usize {
    let [burst] = pattern.bursts else { return 2 };
    let run = |other: &Pattern| {
        let mut longest = 0;
        let mut run = 0;
        for theirs in other.bursts.iter().chain(other.bursts) {
            let same = alike(theirs.on_ms, burst.on_ms);
            run = if same { run + 1 } else { 0 };
            longest = longest.max(run);
            if !alike(theirs.off_ms, burst.off_ms) {
                run = 0;
            }
        }
        longest
    };
    // What comes only after an answer is in nobody's way.
    let early = |other: &&Pattern| !matches!(other.kind, Kind::Waiting | Kind::Record);
    let others = zone.patterns.iter().filter(early).filter(|other| other.bursts.len() > 1);
    others.map(|other| run(other) + 1).max().unwrap_or(2).clamp(2, REMEMBERED)
}

fn alike(one: u16, two: u16) -> bool {
    off(f32::from(one), two).is_some()
}

/// How far a length is off the table's, of what the gate allows; `None` beyond.
fn off(heard_ms: f32, table_ms: u16) -> Option<f32> {
    let table = f32::from(table_ms);
    let off = (heard_ms - table).abs() / (table * GATE + EDGE_MS);
    (off <= 1.0).then_some(off)
}

fn in_tune(hz: [f32; 2], pitch: Pitch) -> bool {
    let near = |hz: f32, table: f32| (hz - table).abs() <= OFF_TUNE * table;
    match pitch {
        Pitch::One(table) | Pitch::Wobbling(table, _) => {
            hz[1] == 0.0 && near(hz[0], f32::from(table))
        }
        Pitch::Two(one, two) if two.abs_diff(one) < ONE_EAR => {
            hz[1] == 0.0 && near(hz[0], f32::from(one + two) / 2.0)
        }
        Pitch::Two(one, two) => near(hz[0], f32::from(one)) && near(hz[1], f32::from(two)),
    }
}

/// Milliseconds of samples.
pub(super) fn ms(samples: u64) -> f32 {
    samples as f32 / 8.0
}
