//! What may be heard in place of lost packets, of the class of G.711 Appendix I (09/99): the last pitch
//! period goes on, overlapped where it joins, then two and three periods so that it does not buzz, and
//! it has faded to silence after 60 ms.
//!
//! Unlike the appendix nothing is delayed for it: the first repetition begins at the level that the sound
//! had and leaves it within a quarter of a period, instead of changing the last milliseconds before
//! the gap. Works on decoded sound of
//! 8 kHz and its multiples, so that it serves G.722 as well.

/// Longest time that anything is heard in place of what was lost, milliseconds.
pub const AUDIBLE_MS: usize = 60;

/// A stream whose gaps are filled.
#[derive(Clone, Debug)]
pub struct Concealer {
    /// Rate as a multiple of 8 kHz.
    scale: usize,
    /// What was heard last, the newest at the end, with what stood in for lost packets.
    past: Box<[i16]>,
    /// What was heard before the gap that is being filled.
    source: Box<[i16]>,
    /// Samples of this gap so far; zero when there is none.
    lost: usize,
    /// Pitch period of what was heard before the gap, samples.
    pitch: usize,
    /// How far the sound stood from where its repetition begins.
    step: f32,
    /// The loudest sample of the source.
    peak: f32,
    reader: Reader,
    /// The one before a longer cycle began, and samples until it has faded.
    former: Reader,
    fading: usize,
}

/// Where the repetition stands: in a cycle of how many periods.
#[derive(Clone, Copy, Debug)]
struct Reader {
    periods: usize,
    at: usize,
}

impl Concealer {
    /// For sound of `rate` samples a second, a multiple of 8000.
    #[must_use]
    pub fn new(rate: u32) -> Concealer {
        let scale = (rate as usize / 8_000).max(1);
        let silence = vec![0; HISTORY * scale].into_boxed_slice();
        let reader = Reader { periods: 1, at: 0 };
        Concealer {
            scale,
            past: silence.clone(),
            source: silence,
            lost: 0,
            pitch: SHORTEST * scale,
            step: 0.0,
            peak: 0.0,
            reader,
            former: reader,
            fading: 0,
        }
    }

    /// Notes sound that was received. The first after a gap is faded in over what stood in for it.
    pub fn heard(&mut self, samples: &mut [i16]) {
        if self.lost > 0 {
            let ms = 8 * self.scale;
            // §I.2.7: 4 ms, and longer the longer the gap was, up to 10 ms.
            let overlap = (4 * ms + self.lost * 4 / 10).min(10 * ms).min(samples.len());
            for (n, sample) in samples[..overlap].iter_mut().enumerate() {
                let weight = (n + 1) as f32 / (overlap + 1) as f32;
                let instead = self.next();
                *sample = (f32::from(*sample) * weight + instead * (1.0 - weight)) as i16;
            }
            self.lost = 0;
        }
        self.remember(samples);
    }

    /// Fills `out` with what may be heard in place of as many lost samples.
    pub fn conceal(&mut self, out: &mut [i16]) {
        if self.lost == 0 {
            self.source.copy_from_slice(&self.past);
            self.pitch = self.find_pitch();
            let end = self.source.len();
            let (last, before) = (self.source[end - 1], self.source[end - 1 - self.pitch]);
            self.step = f32::from(last) - f32::from(before);
            self.peak = self.source.iter().map(|x| f32::from(*x).abs()).fold(0.0, f32::max);
            self.reader = Reader { periods: 1, at: 0 };
            self.fading = 0;
        }
        for sample in out.iter_mut() {
            *sample = self.next() as i16;
        }
        self.remember(out);
    }

    /// What comes next does not follow what was heard: it is faded in over how that might have gone on.
    pub fn part(&mut self) {
        if self.lost == 0 {
            self.conceal(&mut [0]);
        }
    }

    fn remember(&mut self, samples: &[i16]) {
        let length = self.past.len();
        let fresh = &samples[samples.len().saturating_sub(length)..];
        self.past.copy_within(fresh.len().., 0);
        self.past[length - fresh.len()..].copy_from_slice(fresh);
    }

    /// The next sample of the repetition.
    fn next(&mut self) -> f32 {
        let ms = 8 * self.scale;
        let end = AUDIBLE_MS * ms;
        let lost = self.lost;
        if lost >= end {
            return 0.0;
        }
        self.lost += 1;
        let quarter = self.pitch / 4;
        if (lost == 10 * ms || lost == 20 * ms) && self.reader.periods < PERIODS {
            self.former = self.reader;
            self.fading = quarter;
            self.reader.periods += 1;
        }
        let mut sample = self.read(self.reader);
        self.reader = self.advanced(self.reader);
        if self.fading > 0 {
            let weight = self.fading as f32 / (quarter + 1) as f32;
            sample = sample * (1.0 - weight) + self.read(self.former) * weight;
            self.former = self.advanced(self.former);
            self.fading -= 1;
        }
        if lost < quarter {
            sample += self.step * (1.0 - (lost + 1) as f32 / (quarter + 1) as f32);
            sample = sample.clamp(-self.peak, self.peak);
        }
        // §I.2.6: unchanged for 10 ms, then down by a fifth every 10 ms.
        let faded = lost.saturating_sub(10 * ms) as f32 / (end - 10 * ms) as f32;
        sample * (1.0 - faded)
    }

    fn advanced(&self, reader: Reader) -> Reader {
        let at = (reader.at + 1) % (reader.periods * self.pitch);
        Reader { at, ..reader }
    }

    /// A sample of the cycle: the last periods before the gap, whose end leads back to their beginning.
    fn read(&self, reader: Reader) -> f32 {
        let (length, quarter) = (reader.periods * self.pitch, self.pitch / 4);
        let start = self.source.len() - length;
        let sample = f32::from(self.source[start + reader.at]);
        let left = length - reader.at;
        if left > quarter {
            return sample;
        }
        let weight = left as f32 / (quarter + 1) as f32;
        sample * weight + f32::from(self.source[start - left]) * (1.0 - weight)
    }

    /// §I.2.2: the lag at which the last 20 ms are most like what was before, coarsely, then finely.
    fn find_pitch(&self) -> usize {
        let step = 2 * self.scale;
        let coarse = self.best_lag(SHORTEST * self.scale..=LONGEST * self.scale, step);
        let from = (coarse - (step - 1)).max(SHORTEST * self.scale);
        let to = (coarse + step - 1).min(LONGEST * self.scale);
        self.best_lag(from..=to, 1)
    }

    fn best_lag(&self, lags: std::ops::RangeInclusive<usize>, step: usize) -> usize {
        let end = self.past.len();
        let window = WINDOW * self.scale;
        let (mut best, mut likeness) = (*lags.start(), f32::MIN);
        for lag in lags.step_by(step) {
            let (mut product, mut energy) = (0.0, 1.0);
            for n in (end - window..end).step_by(step) {
                let (now, then) = (f32::from(self.past[n]), f32::from(self.past[n - lag]));
                product += now * then;
                energy += then * then;
            }
            let found = product / energy.sqrt();
            if found > likeness {
                (best, likeness) = (lag, found);
            }
        }
        best
    }
}

/// Periods in the longest cycle.
const PERIODS: usize = 3;
/// Shortest and longest pitch period, samples of 8 kHz: 200 and 66 Hz.
const SHORTEST: usize = 40;
const LONGEST: usize = 120;
/// What is compared to find the pitch, samples of 8 kHz.
const WINDOW: usize = 160;
/// Three of the longest periods and a quarter more to overlap, samples of 8 kHz.
const HISTORY: usize = PERIODS * LONGEST + LONGEST / 4;

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: usize = 160;

    /// A voice of `hz`: harmonics that fall off.
    fn voice(hz: f64, rate: u32, samples: usize) -> Vec<i16> {
        (0..samples)
            .map(|n| {
                let turn = hz * n as f64 / f64::from(rate) * std::f64::consts::TAU;
                let wave: f64 =
                    (1..=12_u32).map(|k| (turn * f64::from(k)).sin() / f64::from(k)).sum();
                (wave * 5_000.0) as i16
            })
            .collect()
    }

    fn energy(samples: &[i16]) -> f64 {
        samples.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / samples.len() as f64
    }

    /// Signal against error, dB.
    fn snr(expected: &[i16], got: &[i16]) -> f64 {
        let errors: Vec<i16> =
            expected.iter().zip(got).map(|(a, b)| a.saturating_sub(*b)).collect();
        10.0 * (energy(expected) / energy(&errors).max(1e-3)).log10()
    }

    #[test]
    fn g711_appendix_i_a_steady_voice_goes_on_through_a_lost_packet() {
        for (rate, frame) in [(8_000, FRAME), (16_000, 2 * FRAME)] {
            for hz in [80.0, 105.0, 133.0, 190.0] {
                let sound = voice(hz, rate, frame * 10);
                let mut concealer = Concealer::new(rate);
                for packet in sound.chunks(frame).take(5) {
                    concealer.heard(&mut packet.to_vec());
                }
                let mut out = vec![0; frame];
                concealer.conceal(&mut out);
                // The first 10 ms are not yet faded.
                let clean = snr(&sound[5 * frame..][..frame / 2], &out[..frame / 2]);
                assert!(clean > 8.0, "{hz} Hz at {rate}: {clean} dB");
                let mut next = sound[6 * frame..7 * frame].to_vec();
                concealer.heard(&mut next);
                assert_eq!(next[frame / 2..], sound[6 * frame + frame / 2..7 * frame]);
            }
        }
    }

    #[test]
    fn g711_appendix_i_it_is_silent_after_60_ms_and_never_louder_than_before() {
        let mut concealer = Concealer::new(8_000);
        let sound = voice(120.0, 8_000, 800);
        concealer.heard(&mut sound.clone());
        let top = |samples: &[i16]| samples.iter().map(|x| i32::from(*x).abs()).max().unwrap_or(0);
        let mut energies = Vec::new();
        for _ in 0..10 {
            let mut out = [1; 80];
            concealer.conceal(&mut out);
            assert!(top(&out) <= top(&sound), "{} of {}", top(&out), top(&sound));
            energies.push(energy(&out));
        }
        assert!(energies[0] > energy(&sound) / 2.0, "the first 10 ms keep their level");
        assert!(energies[1..6].windows(2).all(|pair| pair[1] < pair[0]), "{energies:?}");
        assert!(energies[6..].iter().all(|energy| *energy == 0.0), "{energies:?}");
    }

    #[test]
    fn joins_do_not_click() {
        for hz in [90.0, 110.0, 160.0] {
            let sound = voice(hz, 8_000, FRAME * 12);
            let steepest = |samples: &[i16]| {
                samples.windows(2).map(|w| w[1].abs_diff(w[0])).max().unwrap_or(0)
            };
            let natural = steepest(&sound);
            let mut concealer = Concealer::new(8_000);
            let mut all = Vec::new();
            for (n, packet) in sound.chunks(FRAME).enumerate() {
                let mut packet = packet.to_vec();
                if n % 4 == 3 {
                    concealer.conceal(&mut packet);
                } else {
                    concealer.heard(&mut packet);
                }
                all.extend(packet);
            }
            assert!(steepest(&all) < natural + natural / 2, "{} of {natural}", steepest(&all));
        }
    }

    #[test]
    fn silence_and_nothing_at_all_stay_silent() {
        let mut concealer = Concealer::new(16_000);
        let mut out = [7; 333];
        concealer.conceal(&mut out);
        assert_eq!(out, [0; 333]);
        concealer.heard(&mut []);
        concealer.conceal(&mut []);
        concealer.heard(&mut out);
        assert_eq!(out, [0; 333]);
    }

    #[test]
    fn frames_longer_than_the_memory_are_taken() {
        let mut concealer = Concealer::new(8_000);
        let mut sound = voice(100.0, 8_000, 1_600);
        concealer.heard(&mut sound);
        let mut out = vec![0; 1_600];
        concealer.conceal(&mut out);
        concealer.heard(&mut sound);
        assert!(out[480..].iter().all(|sample| *sample == 0));
    }
}
