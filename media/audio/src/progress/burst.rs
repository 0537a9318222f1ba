//! Finds bursts: stretches in which one or two frequencies hold nearly all of the sound, and stay.

use super::super::spectrum::Spectrum;

/// Samples of one spectrum: 32 ms.
const WINDOW: usize = 256;
/// Samples from one to the next: 10 ms.
pub(super) const HOP: usize = 80;
/// Samples remembered for the edges.
const KEEP: usize = 1_600;
/// Hz of one bin.
const BIN: f32 = 8_000.0 / WINDOW as f32;
/// The share of all energy that two frequencies must hold: S/N 10 dB leaves 0.09.
const TONAL: f32 = 0.75;
/// The second frequency counts from this share of the first on: −8 dB.
const SECOND: f32 = 0.16;
/// Frames that agree until a burst began, and frames without it until it ended. One lost packet of
/// 20 ms spoils three; the shortest pause of any country is 85 ms.
const BEGUN: u32 = 3;
const ENDED: u32 = 5;
/// What is shorter is the fading of another, samples: Austria waits with 40 ms.
const SHORTEST: u64 = 240;
/// How much a frequency may move within a burst, as a share.
const STEADY: f32 = 0.04;
/// Mean power of a sample below which there is silence: −48 dBm0.
pub(super) const SILENT: f32 = 32_767.0 * 32_767.0 / 2.0 * 7.7e-6;

/// One spectrum's reading.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Frame {
    /// Mean power of a sample.
    pub(super) power: f32,
    /// The two strongest frequencies, Hz; zero for none.
    pub(super) hz: [f32; 2],
    /// The share of energy that they hold.
    pub(super) tonal: f32,
}

/// A burst that is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) hz: [f32; 2],
    pub(super) from: u64,
    pub(super) to: u64,
    /// Mean power within, and the least of a frame in the gap before.
    pub(super) power: f32,
    pub(super) before: f32,
}

/// What a frame brought.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Nothing new.
    Nothing,
    /// A burst ended.
    Ended(Found),
}

/// A burst under way.
#[derive(Clone, Copy, Debug)]
struct Sounding {
    hz: [f32; 2],
    frames: u32,
    power: f32,
    from: u64,
    /// Frames since it was last there, and its frequency then, if it has one.
    missing: u32,
    last: u64,
    before: f32,
}

/// Cuts a stream into bursts.
#[derive(Clone, Debug)]
pub(super) struct Bursts {
    spectrum: Spectrum,
    history: Box<[f32; KEEP]>,
    partial: usize,
    pub(super) now: u64,
    power: Box<[f32; WINDOW / 2]>,
    sounding: Option<Sounding>,
    /// Frames that may be the beginning of one.
    agree: u32,
    last: Frame,
    /// The least power in the gap.
    gap: f32,
}

impl Bursts {
    pub(super) fn new() -> Bursts {
        Bursts {
            spectrum: Spectrum::new(WINDOW),
            history: Box::new([0.0; KEEP]),
            partial: 0,
            now: 0,
            power: Box::new([0.0; WINDOW / 2]),
            sounding: None,
            agree: 0,
            last: Frame::default(),
            gap: f32::MAX,
        }
    }

    /// Takes a sample; whether a frame is full.
    pub(super) fn take(&mut self, sample: i16) -> bool {
        if self.partial == 0 {
            self.history.copy_within(HOP.., 0);
        }
        self.history[KEEP - HOP + self.partial] = f32::from(sample);
        self.partial = (self.partial + 1) % HOP;
        self.now += 1;
        self.partial == 0
    }

    /// Reads the last window.
    pub(super) fn frame(&mut self) -> Frame {
        let window = &self.history[KEEP - WINDOW..];
        let power = window.iter().map(|x| x * x).sum::<f32>() / WINDOW as f32;
        if power < SILENT {
            return Frame { power, ..Frame::default() };
        }
        self.spectrum.power(window, &mut self.power[..]);
        // Below 150 Hz there is hum and DC.
        let all: f32 = self.power[5..].iter().sum();
        let first = strongest(&self.power[..], None);
        let (one, one_hz) = cluster(&self.power[..], first, None);
        let second = strongest(&self.power[..], Some(first));
        let (two, two_hz) = cluster(&self.power[..], second, Some(first));
        let pair = two > SECOND * one;
        let (held, hz) = if pair { (one + two, [one_hz, two_hz]) } else { (one, [one_hz, 0.0]) };
        let hz = if pair && hz[1] < hz[0] { [hz[1], hz[0]] } else { hz };
        Frame { power, hz, tonal: held / all.max(1.0) }
    }

    /// The spectrum of the last frame that was not silent.
    pub(super) fn powers(&self) -> &[f32] {
        &self.power[..]
    }

    /// The burst that sounds: its frequencies and first sample, and whether it is there now.
    pub(super) fn sounding(&self) -> Option<([f32; 2], u64)> {
        self.sounding.filter(|burst| burst.missing == 0).map(|burst| (burst.hz, burst.from))
    }

    /// Whether a burst is under way, or missing for less than its end needs.
    pub(super) fn is_within(&self) -> bool {
        self.sounding.is_some()
    }

    /// Follows bursts from frame to frame.
    pub(super) fn step(&mut self, frame: Frame) -> Step {
        let tone = frame.tonal >= TONAL;
        let same = tone && alike(frame.hz, self.last.hz);
        self.agree = if same { self.agree + 1 } else { u32::from(tone) };
        self.last = frame;
        let mut step = Step::Nothing;
        if let Some(mut burst) = self.sounding {
            let there = tone && alike(frame.hz, burst.hz) && frame.power > burst.power / 4.0;
            if there {
                burst.missing = 0;
                burst.last = self.now;
                burst.frames += 1;
                if burst.frames < 20 {
                    burst.power = burst.power.max(frame.power);
                }
                self.sounding = Some(burst);
                return Step::Nothing;
            }
            burst.missing += 1;
            self.sounding = Some(burst);
            let other = self.agree >= BEGUN
                && !alike(frame.hz, burst.hz)
                && frame.power > burst.power / 4.0;
            if burst.missing < ENDED && !other {
                return Step::Nothing;
            }
            let to = self.end(&burst, other).max(burst.from);
            self.sounding = None;
            self.gap = f32::MAX;
            let Sounding { hz, from, power, before, .. } = burst;
            if to - from >= SHORTEST {
                step = Step::Ended(Found { hz, from, to, power, before });
            }
        }
        if self.agree >= BEGUN {
            self.begin(frame, &step);
        } else if self.now > WINDOW as u64 {
            self.gap = self.gap.min(frame.power);
        }
        step
    }

    fn begin(&mut self, frame: Frame, step: &Step) {
        let looked = WINDOW + HOP * (BEGUN as usize + 1);
        let tail = &self.history[KEEP - looked..];
        let level = frame.power / 2.0;
        let back = border(tail.iter().rev(), level);
        let mut from = self.now - (back as u64).min(self.now);
        if let Step::Ended(found) = step {
            from = from.max(found.to);
        }
        let before = if self.gap < f32::MAX { self.gap } else { 0.0 };
        self.sounding = Some(Sounding {
            hz: frame.hz,
            frames: 0,
            power: frame.power,
            from,
            missing: 0,
            last: self.now,
            before,
        });
    }

    /// Where the burst ended: the border of its power, or half-way to the next frequency.
    fn end(&self, burst: &Sounding, other: bool) -> u64 {
        if other {
            // The new frequency has held three windows; the border lies in the middle of the change.
            let first = self.now - (HOP * (BEGUN as usize - 1)) as u64;
            return ((first + burst.last) / 2).saturating_sub(WINDOW as u64 / 2);
        }
        let start = burst.last.saturating_sub(WINDOW as u64);
        let past = ((self.now - start) as usize).min(KEEP);
        let tail = &self.history[KEEP - past..];
        self.now - past as u64 + border(tail.iter(), burst.power / 2.0) as u64
    }
}

/// How many samples in reading order belong to the louder side: where Σ(x² − level) is largest.
fn border<'a>(samples: impl Iterator<Item = &'a f32>, level: f32) -> usize {
    let (mut sum, mut most, mut found) = (0.0, 0.0, 0);
    for (index, sample) in samples.enumerate() {
        sum += sample * sample - level;
        if sum > most {
            (most, found) = (sum, index + 1);
        }
    }
    found
}

fn strongest(power: &[f32], apart_from: Option<usize>) -> usize {
    let mut best = 5;
    for bin in 5..power.len() {
        let taken = apart_from.is_some_and(|other| bin.abs_diff(other) <= 3);
        if !taken && (power[bin] > power[best] || apart_from.is_some_and(|o| best.abs_diff(o) <= 3))
        {
            best = bin;
        }
    }
    best
}

/// Energy around a bin and its centre, Hz.
fn cluster(power: &[f32], bin: usize, apart_from: Option<usize>) -> (f32, f32) {
    let (mut sum, mut moment) = (0.0, 0.0);
    for (k, power) in power.iter().enumerate().take(bin + 4).skip(bin.saturating_sub(3)) {
        if apart_from.is_none_or(|other| k.abs_diff(other) > 3) {
            sum += power;
            moment += power * k as f32;
        }
    }
    (sum, moment / sum.max(1e-9) * BIN)
}

/// Whether two pairs of frequencies are the same tone.
pub(super) fn alike(one: [f32; 2], two: [f32; 2]) -> bool {
    let near = |a: f32, b: f32| (a - b).abs() <= STEADY * a.max(b);
    near(one[0], two[0]) && near(one[1], two[1])
}
