//! Who talks: the level of a voice against what is heard of its room, with a hangover.
//!
//! Two things hang on it. A member whose gate is shut adds nothing to the mix, or the noise of two
//! hundred rooms would be one loud noise; the gate opens with the frame in which the level rises, so no
//! beginning of a word is lost, and shuts half a second after the last. And whoever is heard for 60 ms
//! is said to talk.

/// One member's level.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Talk {
    /// Power of what is heard when nobody speaks: falls at once, rises slowly.
    floor: u64,
    /// Frames until the gate shuts.
    hang: u8,
    /// Frames with a voice less those without, as long as the gate is open.
    run: u8,
    talking: bool,
}

impl Talk {
    /// Hears a frame.
    pub(super) fn hear(&mut self, frame: &[i16]) {
        let power = power(frame);
        let voice = power > LEAST_POWER.max(VOICE_RATIO * self.floor);
        self.floor = power.min(self.floor + self.floor / FLOOR_RISE + 1).min(FLOOR_MOST);
        if voice {
            self.hang = HANG_FRAMES;
            self.run = self.run.saturating_add(1);
        } else {
            self.pause();
        }
        self.talking |= self.run >= TALK_FRAMES;
    }

    /// There was no frame, or nobody may hear it.
    pub(super) fn pause(&mut self) {
        self.hang = self.hang.saturating_sub(1);
        self.run = self.run.saturating_sub(1);
        if self.hang == 0 {
            (self.run, self.talking) = (0, false);
        }
    }

    /// Nobody is to hear him any more.
    pub(super) fn shut(&mut self) {
        (self.hang, self.run, self.talking) = (0, 0, false);
    }

    /// He is heard by the others.
    pub(super) fn open(&self) -> bool {
        self.hang > 0
    }

    /// He talks.
    pub(super) fn talking(&self) -> bool {
        self.talking
    }

    /// Neither he nor his room has been heard for a while.
    pub(super) fn silent(&self) -> bool {
        self.hang < HANG_FRAMES
    }
}

/// Mean square of the samples.
pub(super) fn power(frame: &[i16]) -> u64 {
    let sum: i64 = frame.iter().map(|sample| i64::from(i32::from(*sample).pow(2))).sum();
    sum.unsigned_abs() / frame.len().max(1) as u64
}

/// −58 dBov: below it nothing is taken for a voice.
const LEAST_POWER: u64 = 40 * 40;
/// A voice is 6 dB above what is heard without it.
const VOICE_RATIO: u64 = 4;
/// The floor rises by this part of itself with every frame: 3.4 dB in a second.
const FLOOR_RISE: u64 = 64;
/// −42 dBov: whatever is 6 dB louder than that is heard, music that never pauses too.
const FLOOR_MOST: u64 = 260 * 260;
/// Half a second.
const HANG_FRAMES: u8 = 25;
/// 60 ms.
const TALK_FRAMES: u8 = 3;
