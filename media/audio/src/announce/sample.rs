//! Is a sound fit to be taught? A library that holds silence, tones or hours of sound knows no announcement: it
//! takes whatever comes for one, or nothing at all.

use super::print::{Print, Word};
use crate::RATE;
use crate::spectrum::Spectrum;
use crate::tone::FULL_SCALE_DBM0;

/// The shortest sample that is taken, seconds: less has too little in it to be told from others.
const LEAST_S: f32 = 1.5;
/// The longest, seconds: announcements come round again, one round is enough.
const LONGEST_S: f32 = 60.0;

/// Sound that a sample must have, seconds: the rest may be pauses.
const SOUND_LEAST_S: f32 = 1.0;
/// Softer than this is the noise of a line, no announcement: a talker is at -30 to -10.
const SOFT_DBM0: f32 = -48.0;
/// Softer than the loudest by so much is not what the sample is about, dB.
const BELOW_DB: f32 = 25.0;
/// Samples of one look: 64 ms.
const LOOK: usize = 512;
/// Bins to either side of a peak that belong to it: the window's main lobe.
const LOBE: usize = 2;
/// The share of the power of a look that two sines have between them; of speech it is rarely more than half.
const PURE: f32 = 0.97;
/// The share of steady looks that are pure where a sample is nothing but tones.
const ONLY_TONES: f32 = 0.8;
/// Looks begin so many samples apart: the beeps of a fast rhythm have to be caught whole.
const STEP: usize = LOOK / 4;
/// A look is steady when its quarters differ by no more, dB: a beep that begins or ends within it is no sine.
const STEADY_DB: f32 = 4.0;
/// The levels of noise differ from their mean by less, dB; those of voices by 5 and more.
const EVEN_DB: f32 = 1.5;

/// The share of wrong bits up to which two prints are of one sound; of different ones it is about a half, and
/// announcements of one voice that differ in a few words are between.
const SAME: f32 = 0.30;
/// The share of the shorter print that must lie over the other.
const OVERLAP: f32 = 0.6;
/// Words that count of one stretch, a quarter of a second, and the share of wrong bits up to which every stretch
/// fits: of one voice whole sentences are alike, and a few words tell its announcements apart. The worst stretch of one
/// sound in noise of 10 dB has 0.43 at most, that of two of the announcements that ship 0.50 at least.
const STRETCH: usize = 16;
const FITS: f32 = 0.46;

/// Why a sample is not taken.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
pub enum Unfit {
    /// Too little to be told from others.
    #[error("it is {0:.1} s long: less than {LEAST_S} s cannot be told from other sounds")]
    Short(f32),
    /// More than one round.
    #[error("it is {0:.0} s long, more than {LONGEST_S} s: give one round of the announcement")]
    Long(f32),
    /// Nothing, or next to nothing, is said in it.
    #[error("only {0:.1} s of it are louder than the noise of a line: it is silence")]
    Silent(f32),
    /// Nothing but tones, which are known by their rhythm.
    #[error("it holds tones and no words: tones are known without being taught")]
    Tones,
    /// As loud all the time as no talker is.
    #[error("it is as loud all the time as noise is, and no voice")]
    Noise,
}

/// The print of a sample at 8 kHz that may be taught.
///
/// # Errors
/// Why it may not.
pub fn print(samples: &[i16]) -> Result<Print, Unfit> {
    let seconds = samples.len() as f32 / RATE as f32;
    if seconds < LEAST_S {
        return Err(Unfit::Short(seconds));
    }
    if seconds > LONGEST_S {
        return Err(Unfit::Long(seconds));
    }
    let (mut spectrum, mut power) = (Spectrum::new(LOOK), vec![0.0; LOOK / 2]);
    let loudest = samples.chunks_exact(LOOK).map(level).fold(f32::MIN, f32::max);
    let soft = SOFT_DBM0.max(loudest - BELOW_DB);
    let (mut levels, mut steady, mut pure) = (Vec::new(), 0_usize, 0_usize);
    for look in samples.windows(LOOK).step_by(STEP).filter(|look| level(look) >= soft) {
        levels.push(level(look));
        if !is_steady(look) {
            continue;
        }
        let look: Vec<f32> = look.iter().map(|sample| f32::from(*sample)).collect();
        steady += 1;
        spectrum.power(&look, &mut power);
        pure += usize::from(is_pure(&mut power));
    }
    let sound = (levels.len() * STEP) as f32 / RATE as f32;
    if sound < SOUND_LEAST_S {
        return Err(Unfit::Silent(sound));
    }
    if steady > 0 && pure as f32 >= ONLY_TONES * steady as f32 {
        return Err(Unfit::Tones);
    }
    if deviation(&levels) < EVEN_DB {
        return Err(Unfit::Noise);
    }
    Ok(Print::of(samples))
}

/// Whether it sounds alike from its beginning to its end.
fn is_steady(look: &[i16]) -> bool {
    let quarters = look.chunks_exact(LOOK / 4).map(level);
    let (least, most) = quarters.fold((f32::MAX, f32::MIN), |(a, b), q| (a.min(q), b.max(q)));
    most - least <= STEADY_DB
}

/// By how much numbers differ from their mean.
fn deviation(numbers: &[f32]) -> f32 {
    let count = numbers.len().max(1) as f32;
    let mean = numbers.iter().sum::<f32>() / count;
    (numbers.iter().map(|number| (number - mean).powi(2)).sum::<f32>() / count).sqrt()
}

/// Level of a look, dBm0.
fn level(look: &[i16]) -> f32 {
    let power = look.iter().map(|sample| f32::from(*sample).powi(2)).sum::<f32>();
    let power = power / look.len().max(1) as f32;
    10.0 * (power.max(1e-6) / (32_767.0_f32.powi(2) / 2.0)).log10() + FULL_SCALE_DBM0
}

/// Whether all of it is in one or two sines. Takes their power out.
fn is_pure(power: &mut [f32]) -> bool {
    let all: f32 = power.iter().sum();
    for _ in 0..2 {
        let strongest = power.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
        let Some((at, _)) = strongest else { break };
        let to = (at + LOBE + 1).min(power.len());
        power[at.saturating_sub(LOBE)..to].fill(0.0);
    }
    power.iter().sum::<f32>() <= (1.0 - PURE) * all
}

impl Print {
    /// Whether both are of one sound, or the shorter is a part of the longer.
    #[must_use]
    pub fn is_like(&self, other: &Print) -> bool {
        let (short, long) = if self.words.len() <= other.words.len() {
            (&self.words, &other.words)
        } else {
            (&other.words, &self.words)
        };
        let least = (counting(short) as f32 * OVERLAP).max(1.0) as usize;
        let (ahead, behind) = (short.len() as i64, long.len() as i64);
        let mut wrong = Vec::with_capacity(short.len());
        (-ahead..behind).any(|offset| {
            let from = usize::try_from(-offset).unwrap_or(0).min(short.len());
            let at = usize::try_from(offset).unwrap_or(0).min(long.len());
            let pairs = short[from..].iter().zip(&long[at..]);
            let pairs = pairs.filter(|(one, two)| one.counts && two.counts);
            wrong.clear();
            wrong.extend(pairs.map(|(one, two)| (one.bits ^ two.bits).count_ones()));
            wrong.len() >= least
                && share(&wrong) <= SAME
                && wrong.windows(STRETCH).all(|stretch| share(stretch) <= FITS)
        })
    }
}

/// The share of wrong bits.
fn share(wrong: &[u32]) -> f32 {
    wrong.iter().sum::<u32>() as f32 / (32 * wrong.len().max(1)) as f32
}

fn counting(words: &[Word]) -> usize {
    words.iter().filter(|word| word.counts).count()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{noisy, speech};
    use super::*;
    use crate::dtmf::Noise;
    use crate::tone::{Cadence, Generator};

    fn tone(cadence: Cadence, seconds: usize) -> Vec<i16> {
        let mut samples = vec![0; seconds * RATE as usize];
        Generator::new(cadence).fill(&mut samples);
        samples
    }

    fn refused(samples: &[i16]) -> Option<Unfit> {
        print(samples).err()
    }

    #[test]
    fn speech_is_taken_and_too_little_or_too_much_of_it_is_not() {
        for seed in 0..20 {
            let sound = noisy(&speech(seed, 4.0), 4_000, 15.0, seed);
            assert!(print(&sound).is_ok_and(|print| print == Print::of(&sound)), "{seed}");
            let soft: Vec<i16> = speech(seed, 4.0).iter().map(|sample| sample / 8).collect();
            assert!(print(&soft).is_ok(), "{seed}");
        }
        assert_eq!(refused(&[]), Some(Unfit::Short(0.0)));
        assert_eq!(refused(&speech(1, 1.4)), Some(Unfit::Short(1.4)));
        assert_eq!(refused(&speech(1, 61.0)), Some(Unfit::Long(61.0)));
    }

    #[test]
    fn silence_noise_of_a_line_and_tones_are_not_taken() {
        assert_eq!(refused(&[0; 40_000]), Some(Unfit::Silent(0.0)));
        let mut noise = vec![0; 40_000];
        Noise::new(1).add(&mut noise, -55.0);
        assert_eq!(refused(&noise), Some(Unfit::Silent(0.0)));
        // A word in a long pause is not an announcement.
        let mut little = vec![0; 40_000];
        little[..4_000].copy_from_slice(&speech(3, 0.5));
        assert!(matches!(refused(&little), Some(Unfit::Silent(_))), "{:?}", refused(&little));
        let dial = Cadence { off_ms: 0, partials: [350.0, 440.0], ..Cadence::BUSY };
        for cadence in [Cadence::BUSY, Cadence::CONGESTION, Cadence::RING_BACK, dial] {
            let mut sound = tone(cadence, 10);
            assert_eq!(refused(&sound), Some(Unfit::Tones), "{cadence:?}");
            Noise::new(2).add(&mut sound, -45.0);
            assert_eq!(refused(&sound), Some(Unfit::Tones), "{cadence:?} in noise");
        }
        // The rhythms of mainland China, and faster ones; a key.
        let single = [450.0, 0.0];
        for (on_ms, off_ms, partials) in [
            (350, 350, single),
            (700, 700, single),
            (250, 250, [425.0, 0.0]),
            (200, 200, [425.0, 0.0]),
            (100, 100, [697.0, 1_209.0]),
        ] {
            let sound = tone(Cadence { on_ms, off_ms, partials, ..Cadence::BUSY }, 8);
            assert_eq!(refused(&sound), Some(Unfit::Tones), "{on_ms} {off_ms}");
        }
        for level in [-40.0, -20.0] {
            let mut loud = vec![0; 40_000];
            Noise::new(7).add(&mut loud, level);
            assert_eq!(refused(&loud), Some(Unfit::Noise), "{level}");
        }
        // A period of ring-back before the words does no harm.
        let mut both = tone(Cadence::RING_BACK, 5);
        both.extend(speech(4, 4.0));
        assert!(print(&both).is_ok());
    }

    #[test]
    fn the_same_sound_is_known_in_noise_and_in_part_and_another_is_not() {
        let sounds: Vec<Vec<i16>> = (0..12).map(|seed| speech(seed, 4.0)).collect();
        let prints: Vec<Print> = sounds.iter().map(|sound| Print::of(sound)).collect();
        for (at, sound) in sounds.iter().enumerate() {
            // Half a word off.
            let again = Print::of(&noisy(sound, 3_392, 12.0, at as u64));
            let part = Print::of(&noisy(&sound[8_000..], 100, 20.0, at as u64));
            for (other, print) in prints.iter().enumerate() {
                assert_eq!(again.is_like(print), at == other, "{at} {other}");
                assert_eq!(print.is_like(&part), at == other, "{at} {other}");
            }
        }
        // What begins alike and goes on in another way is not the same.
        let two = [30, 31].map(|end| [speech(20, 2.0), speech(end, 2.0)].concat());
        assert!(!Print::of(&two[0]).is_like(&Print::of(&two[1])));
        assert!(!Print::default().is_like(&prints[0]));
    }
}
