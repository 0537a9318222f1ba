//! Between the rates of telephone codings, 8, 16 and 48 kHz, while a call lasts: what goes in comes
//! out at once but for the filter's delay, without allocation, in integers.
//!
//! All ratios are whole, so one polyphase filter a direction is enough. Files of any rate, where
//! neither delay nor cost matters, go through [`crate::resample`].

use crate::resample::{kaiser_of, sinc};

/// Rates that are converted between.
pub const RATES: [u32; 3] = [8_000, 16_000, 48_000];

/// Delay of a conversion in samples of its lower rate.
pub const DELAY: usize = TAPS / 2;

/// A stream being converted.
#[derive(Clone, Debug)]
pub struct Converter {
    /// The filters of the phases after each other, each turned round: its first tap is for the oldest
    /// sample.
    taps: Box<[i16]>,
    /// Samples of input that one output sample is made of.
    length: usize,
    /// Output samples for an input sample (1 when the rate falls), and the other way.
    up: usize,
    down: usize,
    /// What was heard last, then room for a piece of new input.
    held: Box<[i16]>,
    /// Input samples until the next output sample is due (0 … `down` − 1); only when the rate falls.
    until: usize,
}

impl Converter {
    /// A converter; `None` unless both are among [`RATES`] and differ.
    #[must_use]
    pub fn new(from: u32, to: u32) -> Option<Converter> {
        if from == to || !RATES.contains(&from) || !RATES.contains(&to) {
            return None;
        }
        let (up, down) = ((to / from).max(1) as usize, (from / to).max(1) as usize);
        let ratio = up.max(down);
        let filter = prototype(ratio);
        let length = TAPS * ratio / up;
        let mut taps = Vec::with_capacity(filter.len());
        for phase in 0..up {
            let mut branch: Vec<f64> = filter.iter().skip(phase).step_by(up).copied().collect();
            branch.reverse();
            // Each phase passes a constant unchanged, or it would be heard as a tone.
            let sum: f64 = branch.iter().sum();
            taps.extend(branch.iter().map(|tap| (tap / sum * ONE).round() as i16));
        }
        let held = vec![0; length - 1 + PIECE].into_boxed_slice();
        Some(Converter { taps: taps.into(), length, up, down, held, until: 0 })
    }

    /// How many samples come of `samples` at most.
    #[must_use]
    pub const fn most(&self, samples: usize) -> usize {
        samples * self.up / self.down + 1
    }

    /// Converts; gives the samples written. What does not fit `out` (see [`Converter::most`]) is lost.
    pub fn convert(&mut self, samples: &[i16], out: &mut [i16]) -> usize {
        let mut written = 0;
        for piece in samples.chunks(PIECE) {
            let past = self.length - 1;
            self.held[past..past + piece.len()].copy_from_slice(piece);
            written += if self.down == 1 {
                self.rise(piece.len(), &mut out[written..])
            } else {
                self.fall(piece.len(), &mut out[written..])
            };
            self.held.copy_within(piece.len()..piece.len() + past, 0);
        }
        written
    }

    fn rise(&self, fresh: usize, out: &mut [i16]) -> usize {
        let inputs = self.held.windows(self.length).take(fresh);
        let mut written = 0;
        for (input, outputs) in inputs.zip(out.chunks_exact_mut(self.up)) {
            for (taps, output) in self.taps.chunks_exact(self.length).zip(outputs) {
                *output = filtered(taps, input);
            }
            written += self.up;
        }
        written
    }

    fn fall(&mut self, fresh: usize, out: &mut [i16]) -> usize {
        let mut written = 0;
        let mut at = self.until;
        while at < fresh {
            let input = &self.held[at..at + self.length];
            if let Some(output) = out.get_mut(written) {
                *output = filtered(&self.taps, input);
                written += 1;
            }
            at += self.down;
        }
        self.until = at - fresh;
        written
    }
}

/// One output sample. Sums of integers have no order, so this is done several at a time.
fn filtered(taps: &[i16], input: &[i16]) -> i16 {
    let sum: i32 =
        taps.iter().zip(input).map(|(tap, sample)| i32::from(*tap) * i32::from(*sample)).sum();
    ((sum + (1 << (SHIFT - 1))) >> SHIFT).clamp(-32_768, 32_767) as i16
}

/// Low-pass at the higher rate: flat to 0.85 of the lower one's Nyquist frequency (3.4 of 4 kHz),
/// 60 dB down from there on.
fn prototype(ratio: usize) -> Vec<f64> {
    let length = TAPS * ratio;
    let middle = (length - 1) as f64 / 2.0;
    let edge = PASS / ratio as f64;
    (0..length)
        .map(|tap| {
            let distance = tap as f64 - middle;
            sinc(distance * edge) * kaiser(distance / (middle + 1.0))
        })
        .collect()
}

/// Taps a phase: as many samples of the lower rate are looked at for each sample.
const TAPS: usize = 48;
/// Input samples taken at a time: 20 ms of 48 kHz.
const PIECE: usize = 960;
/// Middle of the filter's edge as a share of the lower Nyquist frequency.
const PASS: f64 = 0.925;
/// Shape of the Kaiser window: 60 dB.
const BETA: f64 = 5.65;
/// Taps have 14 bits behind the point: even a sum of nothing but extremes fits 32 bits.
const SHIFT: u32 = 14;
const ONE: f64 = (1 << SHIFT) as f64;

/// The window over −1 … 1.
fn kaiser(x: f64) -> f64 {
    kaiser_of(BETA, x)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIRS: [(u32, u32); 6] = [
        (8_000, 16_000),
        (16_000, 8_000),
        (8_000, 48_000),
        (48_000, 8_000),
        (16_000, 48_000),
        (48_000, 16_000),
    ];

    fn sine(hz: f64, rate: u32, samples: usize) -> Vec<i16> {
        let step = hz / f64::from(rate) * std::f64::consts::TAU;
        (0..samples).map(|n| (16_000.0 * (step * n as f64).sin()).round() as i16).collect()
    }

    fn converted(samples: &[i16], from: u32, to: u32, chunk: usize) -> Vec<i16> {
        let mut converter = Converter::new(from, to).unwrap();
        let mut all = Vec::new();
        for chunk in samples.chunks(chunk) {
            let mut out = vec![0; converter.most(chunk.len())];
            let written = converter.convert(chunk, &mut out);
            all.extend_from_slice(&out[..written]);
        }
        all
    }

    /// Power against that of the input sine, dB, when the filter has filled.
    fn gain(out: &[i16]) -> f64 {
        let middle = &out[out.len() / 4..];
        let power: f64 = middle.iter().map(|x| f64::from(*x).powi(2)).sum();
        10.0 * (power / middle.len() as f64 / (16_000.0_f64.powi(2) / 2.0)).max(1e-12).log10()
    }

    #[test]
    fn the_pass_band_is_flat() {
        for (from, to) in PAIRS {
            let nyquist = f64::from(from.min(to)) / 2.0;
            for share in [0.05, 0.25, 0.5, 0.75, 0.85] {
                let hz = nyquist * share;
                let out = converted(&sine(hz, from, from as usize / 2), from, to, 160);
                assert!(gain(&out).abs() < 0.1, "{hz} Hz, {from} to {to}: {} dB", gain(&out));
            }
        }
    }

    #[test]
    fn nothing_folds_back_when_the_rate_falls() {
        for (from, to) in PAIRS.into_iter().filter(|(from, to)| from > to) {
            for share in [1.0, 1.1, 1.3, 1.7, 1.9, 2.5, 3.3, 5.1] {
                let hz = f64::from(to) / 2.0 * share + 3.0;
                if hz < f64::from(from) / 2.0 {
                    let out = converted(&sine(hz, from, from as usize / 2), from, to, 160);
                    assert!(gain(&out) < -58.0, "{hz} Hz, {from} to {to}: {} dB", gain(&out));
                }
            }
        }
    }

    #[test]
    fn no_image_is_heard_when_the_rate_rises() {
        for (from, to) in PAIRS.into_iter().filter(|(from, to)| from < to) {
            for share in [0.1, 0.5, 0.85] {
                let hz = f64::from(from) / 2.0 * share;
                let out = converted(&sine(hz, from, from as usize / 2), from, to, 160);
                // What is left when the sine itself is taken out, by projection on it.
                let out = &out[out.len() / 2..];
                let step = hz / f64::from(to) * std::f64::consts::TAU;
                let (mut cos, mut sin) = (0.0, 0.0);
                for (n, x) in out.iter().enumerate() {
                    cos += f64::from(*x) * (step * n as f64).cos();
                    sin += f64::from(*x) * (step * n as f64).sin();
                }
                let (cos, sin) = (cos * 2.0 / out.len() as f64, sin * 2.0 / out.len() as f64);
                let rest: Vec<i16> = (out.iter().enumerate())
                    .map(|(n, x)| {
                        let turn = step * n as f64;
                        (f64::from(*x) - cos * turn.cos() - sin * turn.sin()).round() as i16
                    })
                    .collect();
                assert!(gain(&rest) < -58.0, "{hz} Hz, {from} to {to}: {} dB", gain(&rest));
            }
        }
    }

    #[test]
    fn pieces_and_the_whole_give_the_same_and_no_sample_is_lost() {
        for (from, to) in PAIRS {
            let input = sine(700.0, from, 9_600);
            let whole = converted(&input, from, to, 9_600);
            assert_eq!(whole.len(), 9_600 * to as usize / from as usize);
            for chunk in [1, 7, 160, 961] {
                assert_eq!(converted(&input, from, to, chunk), whole, "{from} to {to} by {chunk}");
            }
        }
    }

    #[test]
    fn the_delay_is_what_is_said() {
        for (from, to) in PAIRS {
            let mut input = vec![0; from as usize / 100];
            input[0] = 16_000;
            input[1] = 16_000;
            let out = converted(&input, from, to, 80);
            let top = (0..out.len()).max_by_key(|n| out[*n]).unwrap();
            let expected = DELAY * to as usize / from.min(to) as usize;
            assert!(top.abs_diff(expected) <= (to / from).max(1) as usize, "{from} to {to}: {top}");
        }
    }

    #[test]
    fn extremes_are_clipped_and_nothing_overflows() {
        for (from, to) in PAIRS {
            for period in [1, 2, 3, 7, 50] {
                let input: Vec<i16> = (0..2_000)
                    .map(|n| if n / period % 2 == 0 { i16::MAX } else { i16::MIN })
                    .collect();
                assert!(!converted(&input, from, to, 160).is_empty());
            }
        }
    }

    #[test]
    fn other_rates_are_refused() {
        for (from, to) in [(8_000, 8_000), (44_100, 8_000), (8_000, 0), (32_000, 16_000)] {
            assert!(Converter::new(from, to).is_none());
        }
    }
}
