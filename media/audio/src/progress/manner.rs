//! Tells music from speech, for the record alone: nobody's call ends by it.
//!
//! Music holds its notes: the strongest frequency of a frame is that of 50 ms before, and there are few
//! pauses. Speech moves, and stops between words.

use super::burst::{Frame, HOP, SILENT};

/// Frames that one verdict looks at: 4 s.
const FRAMES: u32 = 400;
/// Frames back to which a frame is compared.
const BACK: usize = 5;

/// What a while of sound was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Manner {
    Silence,
    Music,
    Speech,
}

/// Counts over the while under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Manners {
    peaks: [u8; BACK],
    frames: u32,
    silent: u32,
    held: u32,
    /// Sum of the loudness in dB of all frames, of its square, and of its steps.
    rough: f32,
    last_db: f32,
}

impl Manners {
    /// One more frame and its spectrum; the verdict once a while is full, with the samples it took.
    pub(super) fn frame(&mut self, frame: Frame, powers: &[f32]) -> Option<(Manner, u64)> {
        self.frames += 1;
        let db = 10.0 * (frame.power + SILENT / 100.0).log10();
        self.rough += (db - self.last_db).abs().min(20.0);
        self.last_db = db;
        let mut peak = 0;
        if frame.power < SILENT {
            self.silent += 1;
        } else {
            peak = loudest(powers);
            self.held += u32::from(self.peaks[0].abs_diff(peak) <= 1 && self.peaks[0] > 0);
        }
        self.peaks.rotate_left(1);
        self.peaks[BACK - 1] = peak;
        if self.frames < FRAMES {
            return None;
        }
        let manner = self.verdict();
        *self = Manners::default();
        Some((manner, u64::from(FRAMES) * HOP as u64))
    }

    /// Forgets: a tone sounded.
    pub(super) fn start_over(&mut self) {
        *self = Manners::default();
    }

    fn verdict(&self) -> Manner {
        let all = self.frames as f32;
        if self.silent as f32 > 0.95 * all {
            return Manner::Silence;
        }
        let held = self.held as f32 / all;
        let rough = self.rough / all;
        if MUSIC[0] * held - MUSIC[1] * rough > MUSIC[2] { Manner::Music } else { Manner::Speech }
    }
}

/// Weights of held notes and of rough loudness (dB a frame), and the border between both.
const MUSIC: [f32; 3] = [1.0, 0.12, 0.32];

fn loudest(powers: &[f32]) -> u8 {
    let mut best = 5;
    for bin in 5..powers.len() {
        best = if powers[bin] > powers[best] { bin } else { best };
    }
    best as u8
}
