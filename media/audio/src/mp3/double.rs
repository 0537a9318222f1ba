//! From 8 to 16 kHz: each sample as it is, and one between each two by a half-band filter.

/// Taps on either side of the sample between.
const HALF: usize = 8;

/// Samples (at 16 kHz) by which the output lags.
pub(super) const DELAY: usize = 2 * HALF;

/// A windowed sinc at the odd half-steps ±0.5, ±1.5 … (Kaiser window, β = 5), one side; both sides
/// together sum to one. Flat within 0.4 dB up to 3.4 kHz; what it leaves above 4.6 kHz (30 dB down) is
/// far outside the encoder's own lowpass.
const TAPS: [f32; HALF] = [
    0.631_843_3,
    -0.196_297_4,
    0.102_000_5,
    -0.058_233_8,
    0.032_999,
    -0.017_529_4,
    0.008_201_5,
    -0.002_983_6,
];

/// The state of one channel.
#[derive(Clone, Debug)]
pub(super) struct Doubler {
    /// The last `2 * HALF` samples, oldest first, and behind them those of the present step.
    held: Vec<f32>,
    /// The samples between, of the present step.
    between: Vec<f32>,
}

impl Doubler {
    pub(super) fn new() -> Doubler {
        Doubler { held: vec![0.0; 2 * HALF], between: Vec::new() }
    }

    /// Appends two samples for each one given.
    ///
    /// Tap by tap over the whole step rather than sample by sample: that way the processor takes
    /// several samples at a time.
    pub(super) fn push(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        let count = samples.len();
        self.held.extend(samples.iter().map(|sample| f32::from(*sample)));
        self.between.clear();
        self.between.resize(count, 0.0);
        for (distance, tap) in TAPS.iter().enumerate() {
            // `held[HALF + n]` came HALF samples before sample n; the new one lies behind it.
            let before = &self.held[HALF - distance..][..count];
            let after = &self.held[HALF + 1 + distance..][..count];
            for ((sum, before), after) in self.between.iter_mut().zip(before).zip(after) {
                *sum += tap * (before + after);
            }
        }
        let on = &self.held[HALF..][..count];
        out.extend(on.iter().zip(&self.between).flat_map(|(on, between)| {
            // To the nearest; the cast clips.
            [*on as i16, (between + 0.5_f32.copysign(*between)) as i16]
        }));
        self.held.drain(..count);
    }
}
