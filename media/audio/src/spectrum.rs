//! Power spectra of short stretches of sound: a Fourier transform of fixed length with a Hann window.

use std::f32::consts::TAU;

/// Transforms of one length. The tables are made once; the scratch space is its own.
#[derive(Clone, Debug)]
pub(crate) struct Spectrum {
    window: Vec<f32>,
    /// Cosine and sine of each of the `length / 2` turns.
    turns: Vec<(f32, f32)>,
    real: Vec<f32>,
    imaginary: Vec<f32>,
}

impl Spectrum {
    /// A transform of `length` samples, a power of two of at least 4 (the next one is taken).
    pub(crate) fn new(length: usize) -> Spectrum {
        let length = length.max(4).next_power_of_two();
        let turn = |n: usize| TAU * n as f32 / length as f32;
        // Even and odd samples are the real and imaginary parts of a transform of half the length.
        let half = length / 2;
        Spectrum {
            window: (0..length).map(|n| 0.5 - 0.5 * turn(n).cos()).collect(),
            turns: (0..half).map(|n| (turn(n).cos(), -turn(n).sin())).collect(),
            real: vec![0.0; half],
            imaginary: vec![0.0; half],
        }
    }

    /// The power in each bin from 0 to `length / 2 - 1`. A sine of amplitude 1 in the middle of a bin
    /// has about `length² / 16` there. Takes the shorter of all lengths.
    pub(crate) fn power(&mut self, samples: &[f32], power: &mut [f32]) {
        let half = self.real.len();
        let bits = half.trailing_zeros();
        for (n, pair) in samples.chunks_exact(2).take(half).enumerate() {
            let to = n.reverse_bits() >> (usize::BITS - bits);
            self.real[to] = pair[0] * self.window[2 * n];
            self.imaginary[to] = pair[1] * self.window[2 * n + 1];
        }
        self.transform();
        for (k, power) in power.iter_mut().enumerate().take(half) {
            let mirror = (half - k) % half;
            let (a, b) = (self.real[k], self.imaginary[k]);
            let (c, d) = (self.real[mirror], self.imaginary[mirror]);
            let (even, odd) = (((a + c) / 2.0, (b - d) / 2.0), ((b + d) / 2.0, (c - a) / 2.0));
            let (cos, sin) = self.turns[k];
            let re = even.0 + odd.0 * cos - odd.1 * sin;
            let im = even.1 + odd.0 * sin + odd.1 * cos;
            *power = re * re + im * im;
        }
    }

    /// Radix two, in place, the input in bit-reversed order.
    fn transform(&mut self) {
        let half = self.real.len();
        let mut width = 1;
        while width < half {
            // The tables are those of the whole length: a turn of 2·width is every half/width-th.
            let stride = half / width;
            for block in (0..half).step_by(2 * width) {
                for k in 0..width {
                    let (cos, sin) = self.turns[k * stride];
                    let (low, high) = (block + k, block + k + width);
                    let re = self.real[high] * cos - self.imaginary[high] * sin;
                    let im = self.real[high] * sin + self.imaginary[high] * cos;
                    self.real[high] = self.real[low] - re;
                    self.imaginary[high] = self.imaginary[low] - im;
                    self.real[low] += re;
                    self.imaginary[low] += im;
                }
            }
            width *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spectrum_is_that_of_the_definition() {
        for length in [4, 16, 256] {
            let mut spectrum = Spectrum::new(length);
            let samples: Vec<f32> =
                (0..length).map(|n| ((n * n * 37 + n * 11) % 101) as f32 - 50.0).collect();
            let mut power = vec![0.0; length / 2];
            spectrum.power(&samples, &mut power);
            for (k, power) in power.iter().enumerate() {
                let (mut re, mut im) = (0.0_f64, 0.0_f64);
                for (n, sample) in samples.iter().enumerate() {
                    let turn = std::f64::consts::TAU / length as f64;
                    let window = 0.5 - 0.5 * (turn * n as f64).cos();
                    re += f64::from(*sample) * window * (turn * (k * n) as f64).cos();
                    im -= f64::from(*sample) * window * (turn * (k * n) as f64).sin();
                }
                let expected = re * re + im * im;
                let off = (f64::from(*power) - expected).abs();
                assert!(off <= 1e-3 * expected + 1.0, "{length} {k}: {power} {expected}");
            }
        }
    }
}
