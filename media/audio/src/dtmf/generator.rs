//! Makes keys, sample by sample.

use std::f32::consts::{PI, TAU};

use super::Digit;
use crate::RATE;
use crate::tone::{EDGE, FULL_SCALE_DBM0};

/// How a key is pressed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Press {
    /// Which.
    pub digit: Digit,
    /// Level of the two sines together, dBm0.
    pub level_dbm0: f32,
    /// How far the low group is above the high one, dB; negative for below.
    pub twist_db: f32,
    /// How long it sounds, milliseconds.
    pub on_ms: u32,
    /// The pause after it, milliseconds.
    pub off_ms: u32,
}

impl Press {
    /// As Q.24 wants a sender: −7 dBm0, the high group 2 dB above the low (it loses more on the
    /// way), 100 ms, 100 ms pause.
    #[must_use]
    pub const fn usual(digit: Digit) -> Press {
        Press { digit, level_dbm0: -7.0, twist_db: -2.0, on_ms: 100, off_ms: 100 }
    }

    /// Samples of the key and its pause.
    #[must_use]
    pub const fn samples(&self) -> u32 {
        self.on().saturating_add(self.off_ms.saturating_mul(RATE / 1_000))
    }

    const fn on(&self) -> u32 {
        self.on_ms.saturating_mul(RATE / 1_000)
    }
}

/// A key being made. Rises and falls over [`EDGE`] samples, so that no edge clicks.
#[derive(Clone, Debug)]
pub struct Generator {
    press: Press,
    amplitude: [f32; 2],
    step: [f32; 2],
    turn: [f32; 2],
    at: u32,
}

impl Generator {
    /// A key from its beginning.
    #[must_use]
    pub fn new(press: Press) -> Generator {
        Generator::off_tune(press, 0.0)
    }

    /// The same with both frequencies off by a share of themselves: what a test of a receiver sends.
    #[must_use]
    pub fn off_tune(press: Press, share: f32) -> Generator {
        // A sine at full scale is FULL_SCALE_DBM0; the two powers add up to the level.
        let power = 10_f32.powf((press.level_dbm0 - FULL_SCALE_DBM0) / 10.0);
        let ratio = 10_f32.powf(press.twist_db / 10.0);
        let high = power / (1.0 + ratio);
        let amplitude = [power - high, high].map(|power| 32_767.0 * power.max(0.0).sqrt());
        let step = press.digit.frequencies().map(|hz| hz * (1.0 + share) / RATE as f32);
        Generator { press, amplitude, step, turn: [0.0; 2], at: 0 }
    }

    /// Whether the key and its pause are over.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.at >= self.press.samples()
    }

    /// Makes as many samples as fit: the key, its pause, then silence.
    pub fn fill(&mut self, samples: &mut [i16]) {
        for sample in samples {
            *sample = self.sample();
        }
    }

    fn sample(&mut self) -> i16 {
        let on = self.press.on();
        let value = if self.at < on { self.wave() * self.envelope(on) } else { 0.0 };
        self.at = self.at.saturating_add(1);
        // `as` saturates: two sines above full scale clip, as on the line.
        value.round() as i16
    }

    fn wave(&mut self) -> f32 {
        let mut sum = 0.0;
        for ((turn, step), amplitude) in self.turn.iter_mut().zip(self.step).zip(self.amplitude) {
            sum += (*turn * TAU).sin() * amplitude;
            *turn = (*turn + step).fract();
        }
        sum
    }

    fn envelope(&self, on: u32) -> f32 {
        // Half of what a network tone takes: a key may be 40 ms short.
        let edge = (EDGE / 2).min(on / 2).max(1);
        let near = (self.at + 1).min(on - self.at).min(edge) as f32 / edge as f32;
        (1.0 - (near * PI).cos()) / 2.0
    }
}
