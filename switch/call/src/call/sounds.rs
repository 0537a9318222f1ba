//! Sounds that are no part of a flow: the beep before the end, music for whoever waits, what is played to those who
//! talk.

use std::time::Instant;

use facts::media::{MediaCommand, Prompt, Source, Tone};
use facts::sound::{Listeners, Music, Play};
use facts::{LegId, LegNo};

use super::Call;
use crate::config::{Track, WARNING_MAX, WARNING_MIN};
use crate::timers::{Key, Timer};
use crate::world::World;

impl Call {
    /// Once for both legs, which run out at almost the same time; again when more was paid meanwhile.
    pub(crate) fn beep(&mut self, w: &mut World) {
        let now = w.now.mono;
        if self.tape.holds_beep() || self.warned.is_some_and(|at| now < at + WARNING_MAX) {
            return;
        }
        self.warned = Some(now);
        for leg in self.legs.iter_mut().flatten() {
            leg.beep(w);
        }
        for no in self.guests() {
            let source = Source::Tone(Tone::Warning);
            w.media(MediaCommand::Interject { leg: LegId::new(self.id, no), source });
        }
    }

    /// The beep comes before the longest that the call may last, where there is still time for it.
    pub(crate) fn warn_before(&self, w: &mut World, end: Option<Instant>) {
        let warning = w.config.warning.clamp(WARNING_MIN, WARNING_MAX);
        if let Some(end) = end.filter(|end| *end > w.now.mono + warning) {
            w.timers.set(Key::call(self.id, Timer::MaxWarn), end - warning);
        }
    }

    /// What whoever waits hears in place of a tone.
    pub(super) fn music(&self, w: &World) -> Option<Music> {
        let merchant = w.snapshot.merchants.get(&self.command.merchant)?;
        let track = w.config.hold_music.of(&merchant.name, self.plan.delivered.as_deref())?;
        let prompt = |name: String| Prompt { name, language: self.plan.language.clone() };
        Some(match track.clone() {
            Track::Name(name) => Music::Prompt(prompt(name)),
            Track::Url(url) => Music::Url(url),
        })
    }

    /// Plays something to those who talk, or ends it. False when nobody of them can hear it.
    pub(crate) fn play(&mut self, w: &mut World, play: Play) -> bool {
        let Play { to, clip, interruptible } = play;
        let source = clip.map_or(Source::Silence, Source::from);
        let [left, right] = self.pair;
        let listeners: Vec<LegNo> = match to {
            Listeners::A => vec![left],
            Listeners::B => vec![right],
            Listeners::Both => self.talkers(),
        };
        let mut heard = false;
        for no in listeners.into_iter().filter(|no| !self.tape.is_telling(*no)).collect::<Vec<_>>()
        {
            let source = source.clone();
            if self.tie_tell(w, no, (source.clone(), interruptible)) {
                heard = true;
                continue;
            }
            self.with(no, |leg, _| heard |= leg.lay_over(w, source, interruptible));
        }
        heard
    }
}
