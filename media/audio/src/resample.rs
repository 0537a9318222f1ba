//! From any sample rate to 8 kHz: a windowed-sinc filter that keeps the telephone band and folds
//! nothing back into it.

use crate::RATE;

/// Lowest and highest rate that is taken.
pub const RATES: std::ops::RangeInclusive<u32> = 4_000..=192_000;

/// A stream being converted. The output is not delayed: its first sample stands where the input's does.
#[derive(Clone, Debug)]
pub struct Resampler {
    /// `filters` filters of `length` taps after each other, at equal distances between two samples.
    taps: Vec<f32>,
    length: usize,
    filters: usize,
    /// An output sample lies `step / phases` input samples after the one before.
    phases: usize,
    step: usize,
    /// Input that is still needed; begins with silence.
    held: Vec<f32>,
    /// Place of the next output sample: its first tap in `held`, and its filter.
    at: usize,
    phase: usize,
    taken: u64,
    given: u64,
}

impl Resampler {
    /// A converter from `from` Hz; `None` when the rate is outside [`RATES`].
    #[must_use]
    pub fn new(from: u32) -> Option<Resampler> {
        if !RATES.contains(&from) {
            return None;
        }
        let common = gcd(from, RATE);
        let (phases, step) = ((RATE / common) as usize, (from / common) as usize);
        let narrow = f64::from(from.min(RATE)) / f64::from(from);
        // What has the right rate already passes as it is.
        let half = if from == RATE { 1 } else { (LOBES / narrow).ceil() as usize };
        let pass = if from == RATE { 1.0 } else { PASS };
        let length = 2 * half;
        // A filter for each phase, or the next earlier one for rates that nobody records at.
        let filters = phases.min(MAX_TAPS / length);
        let mut taps = Vec::with_capacity(filters * length);
        for phase in 0..filters {
            let start = taps.len();
            for tap in 0..length {
                // Distance from the output sample, in input samples.
                let distance = tap as f64 + 1.0 - half as f64 - phase as f64 / filters as f64;
                let sinc = sinc(distance * narrow * pass);
                taps.push((sinc * kaiser(distance / half as f64)) as f32);
            }
            // Each filter passes a constant unchanged.
            let sum: f32 = taps[start..].iter().sum();
            taps[start..].iter_mut().for_each(|tap| *tap /= sum);
        }
        let held = vec![0.0; half - 1];
        let start = Resampler {
            taps,
            length,
            filters,
            phases,
            step,
            held,
            at: 0,
            phase: 0,
            taken: 0,
            given: 0,
        };
        Some(start)
    }

    /// Takes samples and appends what they make.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        self.taken += samples.len() as u64;
        self.held.extend_from_slice(samples);
        self.run(u64::MAX, out);
    }

    /// Appends the rest: the output is then as long as the input, to the sample.
    pub fn finish(&mut self, out: &mut Vec<f32>) {
        self.held.resize(self.held.len() + self.length, 0.0);
        let whole = (self.taken * self.phases as u64).div_ceil(self.step as u64);
        self.run(whole, out);
    }

    fn run(&mut self, until: u64, out: &mut Vec<f32>) {
        while self.at + self.length <= self.held.len() && self.given < until {
            let filter = self.phase * self.filters / self.phases;
            let filter = &self.taps[filter * self.length..][..self.length];
            let input = &self.held[self.at..][..self.length];
            out.push(filter.iter().zip(input).map(|(tap, sample)| tap * sample).sum());
            self.given += 1;
            let place = self.phase + self.step;
            self.at += place / self.phases;
            self.phase = place % self.phases;
        }
        let done = self.at.min(self.held.len());
        self.held.drain(..done);
        self.at -= done;
    }
}

/// Rounds samples of full scale ±1 to 16 bits.
#[must_use]
pub fn to_linear(sample: f32) -> i16 {
    (sample * 32_767.0).round().clamp(-32_768.0, 32_767.0) as i16
}

/// Zero crossings on either side at the lower of both rates.
const LOBES: f64 = 32.0;

/// Taps of all filters together: a file's claim of an odd rate must not cost more than its sound
/// (one filter for each phase of 191 999 Hz would be 12 million).
const MAX_TAPS: usize = 1 << 16;

/// Middle of the filter's edge as a share of the lower Nyquist frequency: 3.7 of 4 kHz, so that the
/// edge lies between 3.4 and 4 kHz.
const PASS: f64 = 0.925;

/// Shape of the Kaiser window: 80 dB.
const BETA: f64 = 8.0;

pub(crate) fn sinc(x: f64) -> f64 {
    let x = x * std::f64::consts::PI;
    if x.abs() < 1e-9 { 1.0 } else { x.sin() / x }
}

/// Kaiser window over −1 … 1.
fn kaiser(x: f64) -> f64 {
    kaiser_of(BETA, x)
}

/// Kaiser window of a given shape over −1 … 1.
pub(crate) fn kaiser_of(beta: f64, x: f64) -> f64 {
    bessel(beta * (1.0 - x * x).max(0.0).sqrt()) / bessel(beta)
}

/// Modified Bessel function of the first kind, order zero, by its series.
fn bessel(x: f64) -> f64 {
    let mut term = 1.0;
    let mut sum = 1.0;
    for k in 1..40_u32 {
        term *= (x / (2.0 * f64::from(k))).powi(2);
        sum += term;
    }
    sum
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(hz: f64, rate: u32, samples: usize) -> Vec<f32> {
        let step = hz / f64::from(rate) * std::f64::consts::TAU;
        (0..samples).map(|n| (0.5 * (step * n as f64).sin()) as f32).collect()
    }

    fn converted(samples: &[f32], rate: u32, chunk: usize) -> Vec<f32> {
        let mut resampler = Resampler::new(rate).unwrap();
        let mut out = Vec::new();
        for chunk in samples.chunks(chunk) {
            resampler.push(chunk, &mut out);
        }
        resampler.finish(&mut out);
        out
    }

    /// RMS against that of the input sine, dB, away from the ends.
    fn gain(out: &[f32]) -> f64 {
        let middle = &out[out.len() / 4..out.len() * 3 / 4];
        let power: f64 = middle.iter().map(|x| f64::from(*x).powi(2)).sum();
        10.0 * (power / middle.len() as f64 / 0.125).max(1e-12).log10()
    }

    const COMMON: [u32; 8] = [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000];

    #[test]
    fn the_telephone_band_passes_flat() {
        for rate in COMMON {
            for hz in [200.0, 1_000.0, 3_000.0, 3_400.0] {
                let out = converted(&sine(hz, rate, rate as usize / 2), rate, 1_000);
                assert!(gain(&out).abs() < 0.2, "{hz} Hz at {rate}: {} dB", gain(&out));
            }
        }
    }

    #[test]
    fn nothing_folds_back() {
        for rate in COMMON.into_iter().filter(|rate| *rate >= 11_025) {
            for hz in [4_100.0, 4_600.0, 5_000.0, 7_000.0, 7_900.0, 12_000.0, 20_000.0] {
                if hz < f64::from(rate) / 2.0 {
                    let out = converted(&sine(hz, rate, rate as usize / 2), rate, 777);
                    let limit = if hz < 4_300.0 { -40.0 } else { -70.0 };
                    assert!(gain(&out) < limit, "{hz} Hz at {rate}: {} dB", gain(&out));
                }
            }
        }
    }

    #[test]
    fn the_output_is_in_place_and_as_long_as_the_input() {
        for rate in COMMON.into_iter().chain([4_000, 7_919, 192_000]) {
            let input = sine(500.0, rate, rate as usize / 10);
            let out = converted(&input, rate, 100);
            assert_eq!(out.len(), 800, "{rate}");
            let expected = sine(500.0, RATE, 800);
            let middle = out.iter().zip(&expected).skip(300).take(200);
            let worst = middle.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 0.01, "{rate}: {worst}");
        }
    }

    #[test]
    fn pieces_and_the_whole_give_the_same() {
        let input = sine(700.0, 44_100, 8_000);
        let whole = converted(&input, 44_100, 8_000);
        for chunk in [1, 7, 333] {
            assert_eq!(converted(&input, 44_100, chunk), whole);
        }
        assert!(converted(&[], 44_100, 1).is_empty());
    }

    #[test]
    fn no_rate_asks_for_more_than_its_share_of_taps() {
        for rate in [191_999, 191_993, 100_003, 44_101, 7_919, 4_001] {
            let resampler = Resampler::new(rate).unwrap();
            assert!(resampler.taps.capacity() <= MAX_TAPS, "{rate}");
            let out = converted(&sine(3_000.0, rate, rate as usize / 4), rate, 1_000);
            assert!(gain(&out).abs() < 0.2, "{rate}: {} dB", gain(&out));
        }
        for rate in COMMON.into_iter().chain([88_200, 192_000]) {
            let resampler = Resampler::new(rate).unwrap();
            assert_eq!(resampler.filters, resampler.phases, "{rate} is converted exactly");
        }
    }

    #[test]
    fn absurd_rates_are_refused() {
        for rate in [0, 1, 3_999, 192_001, 384_000, u32::MAX] {
            assert!(Resampler::new(rate).is_none());
        }
    }

    #[test]
    fn samples_beyond_full_scale_are_clipped() {
        assert_eq!(to_linear(1.5), 32_767);
        assert_eq!(to_linear(-1.5), -32_768);
        assert_eq!(to_linear(0.0), 0);
    }
}
