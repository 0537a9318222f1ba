//! Call-progress tones, made sample by sample: 20 ms frames at 8 kHz for as long as they are asked for.
//!
//! Cadences are those of the Chinese network (ITU-T E.180 supplement 2: 450 Hz). Levels are in dBm0,
//! where G.711 full scale of a sine is +3.14 dBm0 (A-law, G.711 §4). Each burst rises and falls over
//! [`EDGE`] samples along a raised cosine, so that no edge clicks.

use crate::{FRAME, RATE};

/// Rise and fall time of a burst in samples: 5 ms.
pub const EDGE: u32 = 40;

/// The most frequencies that sound together.
pub const MAX_PARTIALS: usize = 2;

/// Level of a sine that just reaches full scale, dBm0 (G.711 §4, A-law).
#[allow(
    clippy::approx_constant,
    reason = "3.14 dBm0 is the recommendation's figure, not half a circle"
)]
pub const FULL_SCALE_DBM0: f32 = 3.14;

/// A tone's rhythm: on and off times after each other, then from the start again.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Cadence {
    /// Frequencies that sound together, Hz; zero is none.
    pub partials: [f32; MAX_PARTIALS],
    /// Level of the sum, dBm0.
    pub level_dbm0: f32,
    /// Length of a burst, milliseconds.
    pub on_ms: u32,
    /// Pause after it, milliseconds.
    pub off_ms: u32,
    /// Bursts until the tone is over; `None` goes on until further notice.
    pub bursts: Option<u32>,
}

impl Cadence {
    /// What a caller hears while the far phone rings: 450 Hz, 1 s on, 4 s off.
    pub const RING_BACK: Cadence = Cadence::network(1_000, 4_000);
    /// The line is engaged: 450 Hz, 0.35 s on, 0.35 s off.
    pub const BUSY: Cadence = Cadence::network(350, 350);
    /// The network is congested: 450 Hz, 0.7 s on, 0.7 s off.
    pub const CONGESTION: Cadence = Cadence::network(700, 700);
    /// The call will be cut soon: one beep of 1400 Hz, the frequency of E.180's warning tone.
    pub const WARNING: Cadence = Cadence {
        partials: [1_400.0, 0.0],
        level_dbm0: -16.0,
        on_ms: 200,
        off_ms: 0,
        bursts: Some(1),
    };

    /// What is said from now on is recorded: one burst of E.180's recording tone.
    pub const RECORDED: Cadence = Cadence {
        partials: [1_400.0, 0.0],
        level_dbm0: -16.0,
        on_ms: 400,
        off_ms: 0,
        bursts: Some(1),
    };

    /// Somebody came into a conference: two short bursts, high.
    pub const JOINED: Cadence = Cadence {
        partials: [880.0, 0.0],
        level_dbm0: -20.0,
        on_ms: 80,
        off_ms: 40,
        bursts: Some(2),
    };

    /// Somebody left a conference: two short bursts, low.
    pub const LEFT: Cadence = Cadence { partials: [440.0, 0.0], ..Cadence::JOINED };

    /// The call waits (E.180's hold tone says no more than that there is one): 425 Hz, softly, 0.3 s in 10 s.
    pub const HOLD: Cadence = Cadence {
        partials: [425.0, 0.0],
        level_dbm0: -24.0,
        on_ms: 300,
        off_ms: 9_700,
        bursts: None,
    };

    const fn network(on_ms: u32, off_ms: u32) -> Cadence {
        Cadence { partials: [450.0, 0.0], level_dbm0: -13.0, on_ms, off_ms, bursts: None }
    }

    /// The same sound, `count` bursts of it.
    #[must_use]
    pub const fn times(self, count: u32) -> Cadence {
        Cadence { bursts: Some(count), ..self }
    }

    /// Samples of one burst with its pause.
    #[must_use]
    pub const fn period(&self) -> u32 {
        (self.on_ms + self.off_ms) * (RATE / 1_000)
    }
}

/// A tone being made. Cheap to copy, cheap to start anew.
#[derive(Clone, Debug)]
pub struct Generator {
    cadence: Cadence,
    /// Peak of each partial.
    amplitude: f32,
    /// Turns per sample and current turn of each partial.
    step: [f32; MAX_PARTIALS],
    turn: [f32; MAX_PARTIALS],
    /// Sample within the burst and its pause.
    at: u32,
    burst: u32,
}

impl Generator {
    /// A tone from its beginning.
    #[must_use]
    pub fn new(cadence: Cadence) -> Generator {
        let partials = cadence.partials.iter().filter(|hz| **hz > 0.0).count().max(1);
        // Partials share the power.
        let peak = 32_767.0 * 10_f32.powf((cadence.level_dbm0 - FULL_SCALE_DBM0) / 20.0);
        let amplitude = peak / (partials as f32).sqrt();
        let step = cadence.partials.map(|hz| hz / RATE as f32);
        Generator { cadence, amplitude, step, turn: [0.0; MAX_PARTIALS], at: 0, burst: 0 }
    }

    /// Whether every burst was made.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.cadence.period() == 0 || self.cadence.bursts.is_some_and(|bursts| self.burst >= bursts)
    }

    /// The next 20 ms; silence once the tone is over.
    pub fn frame(&mut self) -> [i16; FRAME] {
        let mut frame = [0; FRAME];
        self.fill(&mut frame);
        frame
    }

    /// Makes as many samples as fit.
    pub fn fill(&mut self, samples: &mut [i16]) {
        for sample in samples {
            *sample = self.sample();
        }
    }

    fn sample(&mut self) -> i16 {
        if self.is_over() {
            return 0;
        }
        let on = self.cadence.on_ms * (RATE / 1_000);
        let value =
            if self.at < on { self.envelope(on) * self.amplitude * self.wave() } else { 0.0 };
        self.at += 1;
        if self.at == self.cadence.period() {
            self.at = 0;
            self.burst = self.burst.saturating_add(1);
            self.turn = [0.0; MAX_PARTIALS];
        }
        value.round() as i16
    }

    fn wave(&mut self) -> f32 {
        let mut sum = 0.0;
        for (turn, step) in self.turn.iter_mut().zip(self.step) {
            sum += (*turn * std::f32::consts::TAU).sin();
            *turn = (*turn + step).fract();
        }
        sum
    }

    fn envelope(&self, on: u32) -> f32 {
        let edge = EDGE.min(on / 2).max(1);
        let near = (self.at + 1).min(on - self.at).min(edge) as f32 / edge as f32;
        (1.0 - (near * std::f32::consts::PI).cos()) / 2.0
    }
}

#[cfg(test)]
mod tests;
