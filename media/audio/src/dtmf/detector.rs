//! Hears keys in a stream of samples.
//!
//! Every 5 ms a bank of eight Goertzel filters says which row and which column were strongest over the
//! last 20 ms. Where those two hold a fair part of the energy, two sines are fitted ([`super::fit`]):
//! the key is believed when they explain nearly all of the sound, at the right frequencies, within the
//! twist of Q.24, four times in a row. Speech has harmonics, and pitch that moves: what the fit leaves
//! over is the test against it, stricter than one for the second harmonic alone.

use std::collections::VecDeque;
use std::f32::consts::TAU;

use super::edge;
use super::fit::Fit;
use super::{Digit, HIGH_HZ, LOW_HZ};
use crate::RATE;
use crate::tone::FULL_SCALE_DBM0;

/// A key that sounds at least this long is heard, milliseconds (Q.24: 40).
pub const LEAST_MS: u32 = 40;

/// Two keys with at least this pause are two, milliseconds; an interruption of 20 ms is none.
pub const GAP_MS: u32 = 40;

/// An end is told at most this long after it, milliseconds.
pub const LATEST_END_MS: u32 = 60;

/// Samples between two readings: 5 ms.
const HOP: usize = 40;
/// Hops that one reading looks at: 20 ms.
const SPAN: usize = 4;
const WINDOW: usize = HOP * SPAN;
/// Samples remembered: a key is confirmed 40 ms after it began, and its first sample is wanted.
const KEEP: usize = 600;
/// Good readings in a row until a key is believed: they see 35 ms.
const CONFIRM: usize = 4;
/// Bad ones in a row until it is over: an interruption of 20 ms spoils five.
const OVER: u32 = 7;
/// Samples of the fit that says where a key began.
const LONG: usize = 280;

/// The share of energy that two filters must hold before a fit is worth its cost. A key 1.5 % off has
/// lost half of its higher sine at 20 ms.
const FAIR: f32 = 0.35;
/// What two sines may leave unexplained at a key's beginning: S/N 6 dB.
const RESIDUE: f32 = 0.20;
/// The same while it lasts.
const RESIDUE_LATER: f32 = 0.45;
/// How far off a frequency may be, as a share: between 1.5 % (must do) and 3.5 % (must not).
const OFF_TUNE: f32 = 0.025;
/// Low group over high group and the reverse, as ratios of power: 8 and 4 dB with 3 dB to spare.
const TWIST: f32 = 12.6;
const TWIST_REVERSE: f32 = 5.0;
/// How much a sine's power may change over the readings that confirm it, as a ratio: 3 dB.
const STEADY: f32 = 2.0;
/// The weakest sine that counts, dBm0.
const FLOOR_DBM0: f32 = -42.0;

/// What was heard. Samples are counted from the first that the detector was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A key began.
    Begin {
        /// Which.
        digit: Digit,
        /// Its first sample.
        at: u64,
    },
    /// It ended.
    End {
        /// Which.
        digit: Digit,
        /// Its first sample.
        from: u64,
        /// The first sample after it.
        to: u64,
    },
}

/// Hears keys in one direction of one call, 8 kHz. Takes no memory but its own.
#[derive(Clone, Debug)]
pub struct Detector {
    bank: Bank,
    /// The last samples, oldest first.
    history: [f32; KEEP],
    /// Samples of the hop that is not full yet: they are the last of `history` already.
    partial: usize,
    /// Samples heard.
    now: u64,
    maybe: Option<Maybe>,
    on: Option<On>,
    /// The weakest power that counts, of a sine.
    floor: f32,
}

/// A key that is not believed yet.
#[derive(Clone, Copy, Debug)]
struct Maybe {
    digit: Digit,
    /// The last good readings, the newest last: frequencies and powers.
    readings: [([f32; 2], [f32; 2]); CONFIRM],
    /// How many there were in a row.
    count: usize,
    /// The first sample of its first good window.
    from: u64,
}

/// A key that sounds, or did a moment ago.
#[derive(Clone, Copy, Debug)]
struct On {
    digit: Digit,
    from: u64,
    omega: [f32; 2],
    /// The last good fit and the sample at which its window starts.
    last: Fit,
    last_at: u64,
    misses: u32,
    /// The first sample after it, as far as is known.
    to: u64,
}

impl Default for Detector {
    fn default() -> Detector {
        Detector::new()
    }
}

impl Detector {
    /// An ear that has heard nothing.
    #[must_use]
    pub fn new() -> Detector {
        let sine = 32_767.0_f32.powi(2) / 2.0;
        Detector {
            bank: Bank::new(),
            history: [0.0; KEEP],
            partial: 0,
            now: 0,
            maybe: None,
            on: None,
            floor: sine * 10_f32.powf((FLOOR_DBM0 - FULL_SCALE_DBM0) / 10.0),
        }
    }

    /// How many samples were heard.
    #[must_use]
    pub const fn heard(&self) -> u64 {
        self.now
    }

    /// The key that sounds now.
    #[must_use]
    pub fn pressed(&self) -> Option<Digit> {
        self.on.map(|on| on.digit)
    }

    /// Hears samples, as many as there are, and tells what they were.
    pub fn hear(&mut self, samples: &[i16], mut tell: impl FnMut(Event)) {
        for sample in samples {
            if self.take(*sample) {
                self.step(&mut tell);
            }
        }
    }

    /// Hears samples and silences those that belong to a key, as far as is known when the last of
    /// them was heard: a key's first 25 ms may have gone on before, too short to be a key (Q.24). True if there were any.
    pub fn hear_and_mute(&mut self, samples: &mut [i16], mut tell: impl FnMut(Event)) -> bool {
        let (first, mut muted) = (self.now, false);
        for index in 0..samples.len() {
            if self.take(samples[index]) {
                self.step(&mut tell);
                muted |= self.silence(samples, first, index + 1);
            }
        }
        let all = samples.len();
        muted | self.silence(samples, first, all)
    }

    /// Silences the part of a key in the first `heard` of `samples`.
    fn silence(&self, samples: &mut [i16], first: u64, heard: usize) -> bool {
        let (from, to) = match (&self.on, &self.maybe) {
            (Some(on), _) if on.misses == 0 => (on.from, self.now),
            (Some(on), _) => (on.from, on.to),
            (None, Some(maybe)) => (maybe.from, self.now),
            (None, None) => return false,
        };
        let from = from.saturating_sub(first).min(heard as u64) as usize;
        let to = to.saturating_sub(first).min(heard as u64) as usize;
        if from < to {
            samples[from..to].fill(0);
        }
        from < to
    }

    /// Takes a sample; whether a hop is full.
    fn take(&mut self, sample: i16) -> bool {
        let sample = f32::from(sample);
        if self.partial == 0 {
            self.history.copy_within(HOP.., 0);
        }
        self.history[KEEP - HOP + self.partial] = sample;
        self.bank.take(sample);
        self.partial = (self.partial + 1) % HOP;
        self.now += 1;
        self.partial == 0
    }

    /// Looks at the last window.
    fn step(&mut self, tell: &mut impl FnMut(Event)) {
        self.bank.hop();
        if let Some(on) = &mut self.on {
            let window = &self.history[KEEP - WINDOW..];
            let fit = Fit::from(window, on.omega, 1).filter(|fit| {
                fit.residue <= RESIDUE_LATER
                    && in_tune(fit.omega, on.digit)
                    && loud(fit, self.floor)
            });
            if let Some(fit) = fit {
                (on.last, on.last_at, on.misses) = (fit, self.now - WINDOW as u64, 0);
                self.maybe = None;
                return;
            }
            self.miss(tell);
        }
        match self.reading() {
            Some((digit, fit)) => self.good(digit, &fit, tell),
            None => self.maybe = None,
        }
    }

    /// The key under way was not in the last window.
    fn miss(&mut self, tell: &mut impl FnMut(Event)) {
        let Some(on) = &mut self.on else { return };
        on.misses += 1;
        // The border lies in a window or two after the last good one began: read again while it moves.
        if on.misses <= SPAN as u32 {
            let past = (self.now - on.last_at) as usize;
            let tail = &self.history[KEEP - past.min(KEEP)..];
            on.to = on.last_at + edge::end(tail, &on.last, 0) as u64;
        }
        if on.misses >= OVER {
            self.close(tell);
        }
    }

    fn close(&mut self, tell: &mut impl FnMut(Event)) {
        if let Some(on) = self.on.take() {
            tell(Event::End { digit: on.digit, from: on.from, to: on.to.max(on.from) });
        }
    }

    /// What the last window sounds like, if it is a key.
    fn reading(&self) -> Option<(Digit, Fit)> {
        let (row, column) = self.bank.pair()?;
        let fit = Fit::near(&self.history[KEEP - WINDOW..], row, column)?;
        let digit = Digit::at(row, column);
        let [low, high] = fit.powers();
        let straight = low <= high * TWIST && high <= low * TWIST_REVERSE;
        let good = fit.residue <= RESIDUE
            && straight
            && loud(&fit, self.floor)
            && in_tune(fit.omega, digit);
        good.then_some((digit, fit))
    }

    /// A good window: the beginning of a key, or one more of it.
    fn good(&mut self, digit: Digit, fit: &Fit, tell: &mut impl FnMut(Event)) {
        let mut maybe = match self.maybe {
            Some(maybe) if maybe.digit == digit => maybe,
            _ => Maybe {
                digit,
                readings: Default::default(),
                count: 0,
                from: self.now.saturating_sub(WINDOW as u64),
            },
        };
        maybe.note(fit);
        self.maybe = Some(maybe);
        let omega = maybe.omega();
        if maybe.count < CONFIRM || !maybe.is_steady() || !in_tune(omega, digit) {
            return;
        }
        // With the steady frequency, the longest stretch that is surely inside gives the best phase.
        let long = &self.history[KEEP - LONG..];
        let Some(long) = Fit::from(long, omega, 0) else { return };
        let begin = edge::begin(&self.history, &long, KEEP - LONG);
        self.close(tell);
        self.maybe = None;
        let from = (self.now + begin as u64).saturating_sub(KEEP as u64);
        let last_at = self.now.saturating_sub(WINDOW as u64);
        self.on = Some(On { digit, from, omega, last: *fit, last_at, misses: 0, to: self.now });
        tell(Event::Begin { digit, at: from });
    }
}

impl Maybe {
    fn note(&mut self, fit: &Fit) {
        self.readings.rotate_left(1);
        self.readings[CONFIRM - 1] = (fit.omega, fit.powers());
        self.count += 1;
    }

    /// The mean frequencies of the last readings.
    fn omega(&self) -> [f32; 2] {
        let mut mean = [0.0; 2];
        for (omega, _) in &self.readings {
            mean = [mean[0] + omega[0], mean[1] + omega[1]];
        }
        mean.map(|sum| sum / CONFIRM as f32)
    }

    /// Whether neither sine changed much over the last readings.
    fn is_steady(&self) -> bool {
        (0..2).all(|sine| {
            let powers = self.readings.map(|(_, powers)| powers[sine]);
            let least = powers.into_iter().fold(f32::MAX, f32::min);
            powers.into_iter().fold(0.0, f32::max) <= STEADY * least
        })
    }
}

fn loud(fit: &Fit, floor: f32) -> bool {
    fit.powers().into_iter().all(|power| power >= floor)
}

fn in_tune(omega: [f32; 2], digit: Digit) -> bool {
    omega.into_iter().zip(digit.frequencies()).all(|(omega, hz)| {
        let share = omega * RATE as f32 / (TAU * hz) - 1.0;
        share.abs() <= OFF_TUNE
    })
}

/// Eight Goertzel filters over the last [`SPAN`] hops.
#[derive(Clone, Debug)]
struct Bank {
    /// 2·cos ω, cos ω, sin ω, and the turn of a whole hop.
    double: [f32; 8],
    cos: [f32; 8],
    sin: [f32; 8],
    hop: [(f32, f32); 8],
    one: [f32; 8],
    two: [f32; 8],
    energy: f32,
    /// What each hop held: real and imaginary parts, energy.
    hops: VecDeque<([f32; 8], [f32; 8], f32)>,
}

impl Bank {
    fn new() -> Bank {
        let mut omega = [0.0; 8];
        for (omega, hz) in omega.iter_mut().zip(LOW_HZ.into_iter().chain(HIGH_HZ)) {
            *omega = TAU * hz / RATE as f32;
        }
        Bank {
            double: omega.map(|omega: f32| 2.0 * omega.cos()),
            cos: omega.map(f32::cos),
            sin: omega.map(f32::sin),
            hop: omega.map(|omega| (omega * HOP as f32).sin_cos()),
            one: [0.0; 8],
            two: [0.0; 8],
            energy: 0.0,
            hops: VecDeque::with_capacity(SPAN + 1),
        }
    }

    fn take(&mut self, sample: f32) {
        for k in 0..8 {
            let next = sample + self.double[k] * self.one[k] - self.two[k];
            self.two[k] = self.one[k];
            self.one[k] = next;
        }
        self.energy += sample * sample;
    }

    /// Closes a hop.
    fn hop(&mut self) {
        let (mut real, mut imaginary) = ([0.0; 8], [0.0; 8]);
        for k in 0..8 {
            real[k] = self.one[k] - self.cos[k] * self.two[k];
            imaginary[k] = self.sin[k] * self.two[k];
        }
        if self.hops.len() == SPAN {
            self.hops.pop_front();
        }
        self.hops.push_back((real, imaginary, self.energy));
        (self.one, self.two, self.energy) = ([0.0; 8], [0.0; 8], 0.0);
    }

    /// The strongest row and column, if they hold a fair part of the energy.
    fn pair(&self) -> Option<(usize, usize)> {
        if self.hops.len() < SPAN {
            return None;
        }
        let mut power = [0.0_f32; 8];
        for (k, power) in power.iter_mut().enumerate() {
            let (sin, cos) = self.hop[k];
            let (mut re, mut im) = (0.0, 0.0);
            for (real, imaginary, _) in &self.hops {
                (re, im) = (re * cos - im * sin + real[k], re * sin + im * cos + imaginary[k]);
            }
            *power = re * re + im * im;
        }
        let strongest = |group: &[f32]| {
            let mut best = 0;
            for (index, power) in group.iter().enumerate() {
                best = if *power > group[best] { index } else { best };
            }
            best
        };
        let (row, column) = (strongest(&power[..4]), strongest(&power[4..]));
        let energy: f32 = self.hops.iter().map(|(_, _, energy)| energy).sum();
        // A sine of amplitude a holds a²N/2 of energy and a²N²/4 of power here.
        let held = 2.0 * (power[row] + power[4 + column]) / WINDOW as f32;
        (held >= FAIR * energy).then_some((row, column))
    }
}
