//! Prints: sound as a sequence of words that survive noise, coding and loss.

use crate::spectrum::Spectrum;

/// Samples at 8 kHz from one word to the next: 16 ms.
pub const STEP: usize = 128;

/// Samples of one spectrum, after the rate was halved: 128 ms.
const WINDOW: usize = 512;
/// Bands of equal musical width over 300 to 2000 Hz.
const BANDS: usize = 33;
const LOWEST_HZ: f32 = 300.0;
const HIGHEST_HZ: f32 = 2_000.0;
/// Frames back to which a frame is compared: 48 ms. One frame back changes little but noise.
const BACK: usize = 3;
/// Taps of the filter that halves the rate, from its middle outwards; every other one is zero.
const TAPS: [f32; 4] = [0.311_5, -0.087_0, 0.037_0, -0.011_5];
/// A word counts where its power is at most 20 dB below the loudest of late.
const QUIET: f32 = 0.01;
/// What the loudest of late loses with each word: 20 dB in 5 s.
const FADE: f32 = 0.985_5;
/// Power of a band sum that is digital silence.
const NOTHING: f32 = 1e5;

/// A word and whether there was sound behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Word {
    /// The signs of 32 differences.
    pub bits: u32,
    /// Whether it was loud enough to mean something.
    pub counts: bool,
}

/// The print of a whole sound.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Print {
    /// One word each 16 ms.
    pub words: Vec<Word>,
}

impl Print {
    /// The print of a sound at 8 kHz.
    #[must_use]
    pub fn of(samples: &[i16]) -> Print {
        let mut printer = Printer::new();
        Print { words: samples.iter().filter_map(|sample| printer.take(*sample)).collect() }
    }

    /// Words that count.
    #[must_use]
    pub fn counting(&self) -> usize {
        self.words.iter().filter(|word| word.counts).count()
    }
}

/// Makes words of a stream.
#[derive(Clone, Debug)]
pub(super) struct Printer {
    spectrum: Spectrum,
    edges: [usize; BANDS + 1],
    /// The last eight samples for the filter, and whether the next one makes one of the half rate.
    input: [f32; 15],
    second: bool,
    history: Vec<f32>,
    fresh: usize,
    power: Vec<f32>,
    /// Differences of the last frames, oldest first.
    past: [[f32; BANDS - 1]; BACK],
    loudest: f32,
}

impl Printer {
    pub(super) fn new() -> Printer {
        let mut edges = [0; BANDS + 1];
        let ratio = (HIGHEST_HZ / LOWEST_HZ).powf(1.0 / BANDS as f32);
        for (band, edge) in edges.iter_mut().enumerate() {
            let hz = LOWEST_HZ * ratio.powi(band as i32);
            *edge = ((hz / 4_000.0 * WINDOW as f32).round() as usize).min(WINDOW / 2);
        }
        Printer {
            spectrum: Spectrum::new(WINDOW),
            edges,
            input: [0.0; 15],
            second: false,
            history: vec![0.0; WINDOW],
            fresh: 0,
            power: vec![0.0; WINDOW / 2],
            past: [[0.0; BANDS - 1]; BACK],
            loudest: 0.0,
        }
    }

    /// Takes a sample at 8 kHz; a word every [`STEP`] of them.
    pub(super) fn take(&mut self, sample: i16) -> Option<Word> {
        self.input.copy_within(1.., 0);
        self.input[14] = f32::from(sample);
        self.second = !self.second;
        if self.second {
            return None;
        }
        let mut sum = 0.5 * self.input[7];
        for (tap, weight) in TAPS.iter().enumerate() {
            let away = 2 * tap + 1;
            sum += weight * (self.input[7 - away] + self.input[7 + away]);
        }
        let hop = STEP / 2;
        if self.fresh == 0 {
            self.history.copy_within(hop.., 0);
        }
        self.history[WINDOW - hop + self.fresh] = sum;
        self.fresh = (self.fresh + 1) % hop;
        (self.fresh == 0).then(|| self.word())
    }

    fn word(&mut self) -> Word {
        self.spectrum.power(&self.history, &mut self.power);
        let mut energy = [0.0; BANDS];
        for (band, energy) in energy.iter_mut().enumerate() {
            *energy = self.power[self.edges[band]..self.edges[band + 1]].iter().sum();
        }
        let all: f32 = energy.iter().sum();
        self.loudest = (self.loudest * FADE).max(all);
        let mut bits = 0;
        let mut differences = [0.0; BANDS - 1];
        for (band, difference) in differences.iter_mut().enumerate() {
            *difference = energy[band] - energy[band + 1];
            let rises = *difference > self.past[0][band];
            bits |= u32::from(rises) << band;
        }
        self.past.rotate_left(1);
        self.past[BACK - 1] = differences;
        Word { bits, counts: all > NOTHING && all > QUIET * self.loudest }
    }
}
