//! A sum of voices at one rate, and what leaves it: all of it, or all but one's own.

use super::FRAME_MS;

/// Samples of a frame at the highest rate.
pub(super) const FRAME_MAX: usize = 16 * FRAME_MS;

/// The voices of a tick at one rate.
#[derive(Debug)]
pub(super) struct Bus {
    len: usize,
    sum: [i32; FRAME_MAX],
    /// Everything, as those hear it who say nothing.
    full: [i16; FRAME_MAX],
    /// The last of what a member who left was saying; heard with the next tick.
    farewell: [i32; FRAME_MAX],
    parting: bool,
}

impl Bus {
    pub(super) fn new(rate: u32) -> Bus {
        let len = rate as usize * FRAME_MS / 1_000;
        let none = [0; FRAME_MAX];
        Bus { len, sum: none, full: [0; FRAME_MAX], farewell: none, parting: false }
    }

    /// A tick begins.
    pub(super) fn clear(&mut self) {
        self.sum[..self.len].fill(0);
        if std::mem::take(&mut self.parting) {
            self.sum.copy_from_slice(&self.farewell);
            self.farewell.fill(0);
        }
    }

    pub(super) fn add(&mut self, voice: &[i16]) {
        for (sum, sample) in self.sum[..self.len].iter_mut().zip(voice) {
            *sum += i32::from(*sample);
        }
    }

    pub(super) fn part(&mut self, voice: &[i16]) {
        self.parting = true;
        for (sum, sample) in self.farewell[..self.len].iter_mut().zip(voice) {
            *sum = sum.saturating_add(i32::from(*sample));
        }
    }

    /// All voices are in it.
    pub(super) fn close(&mut self) {
        limited(&self.sum[..self.len], &mut self.full[..self.len]);
    }

    /// What those hear who say nothing.
    pub(super) fn full(&self) -> &[i16] {
        &self.full[..self.len]
    }

    /// What somebody hears who says `own`, and to whom alone `asides` are said.
    pub(super) fn without<'a>(
        &self,
        own: &[i16],
        asides: Option<&[i32; FRAME_MAX]>,
        out: &'a mut [i16; FRAME_MAX],
    ) -> &'a [i16] {
        let mut sum = [0; FRAME_MAX];
        for ((rest, all), own) in sum.iter_mut().zip(&self.sum[..self.len]).zip(own) {
            *rest = all - i32::from(*own);
        }
        for (rest, aside) in sum.iter_mut().zip(asides.into_iter().flatten()) {
            *rest += aside;
        }
        limited(&sum[..self.len], &mut out[..self.len]);
        &out[..self.len]
    }
}

/// The sum as samples: up to [`KNEE`] as it is, beyond it bent so that full scale is never reached. A
/// curve has no memory, so that nothing is turned down after a loud moment, and what is heard with or
/// without one's own voice is bent alike.
pub(super) fn limited(sum: &[i32], out: &mut [i16]) {
    let top = sum.iter().fold(0, |top: i32, sample| top.max(sample.abs()));
    if top <= KNEE {
        for (out, sample) in out.iter_mut().zip(sum) {
            *out = *sample as i16;
        }
        return;
    }
    for (out, sample) in out.iter_mut().zip(sum) {
        let over = (sample.abs() - KNEE).max(0);
        // KNEE + over · R / (R + over): of slope one at the knee, and below full scale for ever.
        let bent = i64::from(over) * i64::from(ROOM) / i64::from(ROOM + over);
        let level = sample.abs().min(KNEE) + bent as i32;
        *out = (level * sample.signum()) as i16;
    }
}

/// −2 dBov: one voice alone hardly ever gets there.
const KNEE: i32 = 26_000;
/// What is left above the knee.
const ROOM: i32 = 32_767 - KNEE;

/// Fades a frame in over its first `ramp` samples, or out over them and then silent.
pub(super) fn fade(frame: &mut [i16], ramp: usize, rising: bool) {
    let ramp = ramp.clamp(1, frame.len().max(1));
    for (n, sample) in frame.iter_mut().enumerate() {
        let done = (n + 1).min(ramp) as i32;
        let weight = if rising { done } else { ramp as i32 - done };
        *sample = (i32::from(*sample) * weight / ramp as i32) as i16;
    }
}
