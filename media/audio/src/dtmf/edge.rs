//! Where a known sound begins or ends, to the sample.
//!
//! Between "noise" and "noise and the known sound" the likeliest border is the one that makes
//! Σ(2xs − s²) over the side with the sound largest: inside, each term gains about s²; outside, where x
//! has nothing in common with s, it loses as much.

use super::fit::Fit;

/// How many samples before `samples[base]`-relative zero the sound began: the index into `samples`
/// of its first sample. The sound surely lasts to the end of `samples`; `base` is where `fit` has
/// its zero.
pub(super) fn begin(samples: &[f32], fit: &Fit, base: usize) -> usize {
    best(samples, fit, base, (0..samples.len()).rev())
}

/// The index of the first sample after the sound, which surely sounds at the start of `samples`.
pub(super) fn end(samples: &[f32], fit: &Fit, base: usize) -> usize {
    best(samples, fit, base, 0..samples.len()) + 1
}

fn best(samples: &[f32], fit: &Fit, base: usize, way: impl Iterator<Item = usize>) -> usize {
    let (mut sum, mut most, mut found) = (0.0_f32, f32::MIN, 0);
    for index in way {
        let known = fit.at(index as i32 - base as i32);
        sum += known * (2.0 * samples[index] - known);
        if sum > most {
            (most, found) = (sum, index);
        }
    }
    found
}
