//! Puts bursts, rhythm and manner together.

use super::burst::{Bursts, Found, Frame, Step};
use super::cadence::{Rhythm, ms};
use super::manner::{Manner, Manners};
use super::{Heard, Sound, ZONES, Zone};

/// How long 2100 Hz must sound, milliseconds (T.30: 2.6 to 4 s; V.25: 2.6 s at least).
const ANSWERING_MS: f32 = 1_000.0;
/// Frames between two looks at a pause: 50 ms.
const LOOK: u64 = 5;

/// Hears what a network says by tones in one direction of one call, 8 kHz.
#[derive(Clone, Debug)]
pub struct Ear {
    zones: Vec<&'static Zone>,
    bursts: Bursts,
    rhythm: Rhythm,
    manners: Manners,
    frames: u64,
    /// The least power in the pause under way.
    pause: f32,
    /// What was told last of tones, and of the rest.
    told: Option<Sound>,
    told_manner: Option<Manner>,
}

impl Ear {
    /// An ear for the tones of one country; of all that are known if it is none of them or `None`.
    #[must_use]
    pub fn new(country: Option<&str>) -> Ear {
        let zones = match country.and_then(super::zone) {
            Some(zone) => vec![zone],
            None => ZONES.iter().collect(),
        };
        Ear {
            zones,
            bursts: Bursts::new(),
            rhythm: Rhythm::default(),
            manners: Manners::default(),
            frames: 0,
            pause: f32::MAX,
            told: None,
            told_manner: None,
        }
    }

    /// Hears samples, as many as there are, and tells what they were: each sound once, until another.
    pub fn hear(&mut self, samples: &[i16], mut tell: impl FnMut(Heard)) {
        for sample in samples {
            if self.bursts.take(*sample) {
                self.frame(&mut tell);
            }
        }
    }

    fn frame(&mut self, tell: &mut impl FnMut(Heard)) {
        let frame = self.bursts.frame();
        self.frames += 1;
        match self.bursts.step(frame) {
            Step::Ended(found) => self.ended(found, tell),
            Step::Nothing => self.within(frame, tell),
        }
        if !self.bursts.is_within() {
            self.pause = self.pause.min(frame.power);
            if self.frames.is_multiple_of(LOOK) {
                self.look(tell);
            }
        }
        self.listen(frame, tell);
    }

    fn ended(&mut self, found: Found, tell: &mut impl FnMut(Heard)) {
        self.rhythm.push(found);
        self.pause = f32::MAX;
        if let Some((sit, from)) = self.rhythm.sit() {
            self.tell(Sound::Sit(sit), from, tell);
        }
    }

    /// A long tone need not end.
    fn within(&mut self, frame: Frame, tell: &mut impl FnMut(Heard)) {
        let Some((hz, from)) = self.bursts.sounding() else { return };
        let answers = hz[1] == 0.0 && (2_085.0..=2_115.0).contains(&hz[0]) && frame.tonal > 0.9;
        if answers && ms(self.bursts.now.saturating_sub(from)) >= ANSWERING_MS {
            self.tell(Sound::FaxAnswering, from, tell);
        }
    }

    /// A pause goes on: is it that of a known rhythm?
    fn look(&mut self, tell: &mut impl FnMut(Heard)) {
        let Some(last) = self.rhythm.last().copied() else { return };
        let power = self.pause;
        if let Some((kind, from)) = self.rhythm.tone(&self.zones, self.bursts.now, power) {
            self.tell(Sound::Tone(kind), from, tell);
        }
        let length = ms(last.to - last.from);
        let calling = last.hz[1] == 0.0
            && (1_062.0..=1_138.0).contains(&last.hz[0])
            && (425.0..=575.0).contains(&length)
            && ms(self.bursts.now.saturating_sub(last.to)) >= 300.0
            && power * 4.0 < last.power;
        if calling {
            self.tell(Sound::FaxCalling, last.from, tell);
        }
    }

    fn listen(&mut self, frame: Frame, tell: &mut impl FnMut(Heard)) {
        let Some((manner, took)) = self.manners.frame(frame, self.bursts.powers()) else { return };
        if self.told_manner.replace(manner) == Some(manner) {
            return;
        }
        let sound = match manner {
            Manner::Silence => Sound::Silence,
            Manner::Music => Sound::Music,
            Manner::Speech => Sound::Speech,
        };
        let now = self.bursts.now;
        tell(Heard { sound, from: now.saturating_sub(took), to: now });
    }

    fn tell(&mut self, sound: Sound, from: u64, tell: &mut impl FnMut(Heard)) {
        self.manners.start_over();
        self.told_manner = None;
        if self.told.replace(sound) != Some(sound) {
            tell(Heard { sound, from, to: self.bursts.now });
        }
    }
}
