//! Two sines laid through a stretch of sound by least squares: how strong each is, how far off its
//! nominal frequency, and how much of the sound they leave unexplained.
//!
//! A bank of Goertzel filters says which two of eight frequencies are strongest; it cannot say whether
//! 715 Hz is 697 Hz mistuned too far (Q.24: ±1.5 % must do, ±3.5 % must not), because 20 ms resolve
//! 50 Hz. The phase between the first and second half of the same stretch can.

use std::f32::consts::TAU;

use super::{HIGH_HZ, LOW_HZ};
use crate::RATE;

/// How often frequencies are corrected before the last reading.
const ROUNDS: usize = 2;

/// Two sines found in a stretch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fit {
    /// Turns per sample times τ, of the low and the high one.
    pub(super) omega: [f32; 2],
    /// Cosine and sine amplitudes of each, in phase with the stretch's first sample.
    pub(super) wave: [[f32; 2]; 2],
    /// The share of the stretch's energy that the sines do not explain, 0 to 1.
    pub(super) residue: f32,
}

/// Sums over a stretch: the basis with itself, the basis with the sound, the sound with itself.
#[derive(Clone, Copy, Default)]
struct Sums {
    gram: [[f32; 4]; 4],
    right: [f32; 4],
    energy: f32,
}

impl Sums {
    fn plus(&self, other: &Sums) -> Sums {
        let mut sum = *self;
        for row in 0..4 {
            for column in 0..4 {
                sum.gram[row][column] += other.gram[row][column];
            }
            sum.right[row] += other.right[row];
        }
        sum.energy += other.energy;
        sum
    }

    /// The coefficients of least squares.
    fn solve(&self) -> Option<[f32; 4]> {
        let (mut matrix, mut right) = (self.gram, self.right);
        for pivot in 0..4 {
            // Symmetric and positive, so no row need be exchanged.
            let at = matrix[pivot][pivot];
            if at < 1e-3 {
                return None;
            }
            for row in pivot + 1..4 {
                let factor = matrix[row][pivot] / at;
                let above = matrix[pivot];
                for (own, above) in matrix[row].iter_mut().zip(above).skip(pivot) {
                    *own -= factor * above;
                }
                right[row] -= factor * right[pivot];
            }
        }
        for row in (0..4).rev() {
            for column in row + 1..4 {
                right[row] -= matrix[row][column] * right[column];
            }
            right[row] /= matrix[row][row];
        }
        Some(right)
    }
}

impl Fit {
    /// Fits the pair of a row and a column; `None` where there is nothing to fit.
    pub(super) fn near(samples: &[f32], row: usize, column: usize) -> Option<Fit> {
        let omega = [LOW_HZ[row & 3], HIGH_HZ[column & 3]].map(|hz| TAU * hz / RATE as f32);
        Fit::from(samples, omega, ROUNDS)
    }

    /// Fits from given frequencies, corrected `rounds` times.
    pub(super) fn from(samples: &[f32], omega: [f32; 2], rounds: usize) -> Option<Fit> {
        let half = samples.len() / 2;
        let (first, second) = samples.split_at(half);
        let mut omega = omega;
        for _ in 0..rounds {
            let (one, two) = halves(first, second, omega);
            let (a, b) = (one.solve()?, two.solve()?);
            for (sine, omega) in omega.iter_mut().enumerate() {
                let (p, q) = ([a[2 * sine], a[2 * sine + 1]], [b[2 * sine], b[2 * sine + 1]]);
                // c·cos + s·sin is the real part of (c − is)·e^{iωn}: the angle between both halves.
                let cross = p[1] * q[0] - p[0] * q[1];
                let dot = p[0] * q[0] + p[1] * q[1];
                *omega += cross.atan2(dot) / half.max(1) as f32;
            }
        }
        let (one, two) = halves(first, second, omega);
        let sums = one.plus(&two);
        let got = sums.solve()?;
        let explained: f32 = got.iter().zip(sums.right).map(|(c, r)| c * r).sum();
        let residue = ((sums.energy - explained) / sums.energy.max(1.0)).clamp(0.0, 1.0);
        Some(Fit { omega, wave: [[got[0], got[1]], [got[2], got[3]]], residue })
    }

    /// Mean power of each sine, in squares of a sample's unit.
    pub(super) fn powers(&self) -> [f32; 2] {
        self.wave.map(|[cosine, sine]| (cosine * cosine + sine * sine) / 2.0)
    }

    /// The fitted sound at a sample counted from the stretch's first; it may lie outside.
    pub(super) fn at(&self, sample: i32) -> f32 {
        let mut sum = 0.0;
        for (omega, [cosine, sine]) in self.omega.iter().zip(self.wave) {
            let (s, c) = (omega * sample as f32).sin_cos();
            sum += cosine * c + sine * s;
        }
        sum
    }
}

/// Sums over both halves, in one phase that starts with the first sample of the first.
fn halves(first: &[f32], second: &[f32], omega: [f32; 2]) -> (Sums, Sums) {
    let turn = omega.map(f32::sin_cos);
    let mut basis = [1.0, 0.0, 1.0, 0.0];
    (sums(first, turn, &mut basis), sums(second, turn, &mut basis))
}

fn sums(samples: &[f32], turn: [(f32, f32); 2], basis: &mut [f32; 4]) -> Sums {
    let mut sums = Sums::default();
    for sample in samples {
        for row in 0..4 {
            for column in row..4 {
                sums.gram[row][column] += basis[row] * basis[column];
            }
            sums.right[row] += basis[row] * sample;
        }
        sums.energy += sample * sample;
        for (sine, (s, c)) in turn.iter().enumerate() {
            let (x, y) = (basis[2 * sine], basis[2 * sine + 1]);
            basis[2 * sine] = x * c - y * s;
            basis[2 * sine + 1] = y * c + x * s;
        }
    }
    for row in 1..4 {
        for column in 0..row {
            sums.gram[row][column] = sums.gram[column][row];
        }
    }
    sums
}
