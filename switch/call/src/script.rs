//! What a call does for its scenario: sounds, waiting for keys, asking for whoever is to be rung.

use std::time::Duration;

use facts::media::{MediaCommand, Source};
use facts::scenario::{Say, Step};
use facts::sound::Unplayable;
use facts::{LegId, LegNo, Number};

use crate::call::{Call, Phase};
use crate::divert::{LEGS_MAX, Wish};
use crate::event::{Input, LegEvent, Typed, ours};
use crate::flow::{Flow, Script};
use crate::route::Trail;
use crate::timers::{Key, Timer};
use crate::world::World;

/// Between one time and the next that all is said.
const PAUSE: Duration = Duration::from_secs(1);
/// All addresses of a scenario have so long.
const FETCH: Duration = Duration::from_secs(10);
/// Keys kept of one call, at most: so many times.
const COLLECTED_MAX: usize = 64;

impl Call {
    /// The program of a call that was asked for, and its orders carried out.
    pub(crate) fn start_script(&mut self, w: &mut World) {
        let mut orders = Vec::new();
        let scenario = self.command.scenario.as_ref();
        let fetches = scenario.is_some_and(|scenario| !scenario.addresses().is_empty());
        self.plan.flow = Flow::Script(Script::start(fetches, &mut orders));
        self.perform(w, orders);
    }

    /// What A is to hear and lies behind addresses is visited before anybody is rung.
    pub(crate) fn fetch(&mut self, w: &mut World) {
        let leg = LegId::new(self.id, LegNo::A);
        let Some(scenario) = self.command.scenario.clone() else { return };
        let urls = scenario.addresses();
        self.fetching = urls.len();
        let payer = self.command.merchant;
        for url in urls {
            w.media(MediaCommand::Fetch { leg, url: url.to_owned(), payer });
        }
        w.timers.set(Key::call(self.id, Timer::Wait), w.now.mono + FETCH);
    }

    /// One of them is there, or cannot be had.
    pub(crate) fn fetched(&mut self, w: &mut World, sound: Result<(), Unplayable>) {
        if self.fetching == 0 {
            return;
        }
        self.fetching = if sound.is_ok() { self.fetching - 1 } else { 0 };
        if self.fetching == 0 {
            w.timers.cancel(Key::call(self.id, Timer::Wait));
            self.feed(w, Input::Fetched(sound.is_ok()));
        }
    }

    /// A hears a sound of a step.
    pub(crate) fn say_clip(&mut self, w: &mut World, (step, clip): (u8, u8)) {
        w.timers.cancel(Key::call(self.id, Timer::Wait));
        let clip = self.sounds(step).and_then(|say| say.clips.get(usize::from(clip))).cloned();
        match clip {
            Some(clip) => self.with(LegNo::A, |leg, _| leg.hear_once(w, Source::from(clip))),
            None => self.inbox.push_back(Input::Leg(LegNo::A, LegEvent::Unplayable)),
        }
    }

    /// A has as long as the step says to press a key.
    pub(crate) fn wait_for_key(&self, w: &mut World, step: u8) {
        let wait = self.sounds(step).map_or(Duration::ZERO, |say| say.wait);
        w.timers.set(Key::call(self.id, Timer::Wait), w.now.mono + wait);
    }

    /// All will be said once more.
    pub(crate) fn pause(&self, w: &mut World) {
        w.timers.set(Key::call(self.id, Timer::Wait), w.now.mono + PAUSE);
    }

    fn sounds(&self, step: u8) -> Option<&Say> {
        match self.command.scenario.as_ref()?.step(step)? {
            Step::Say(say) => Some(say),
            Step::Lead { .. } | Step::Hunt { .. } => None,
        }
    }

    /// The engine is asked for whom a step leads to, as for whom a call is led on to.
    pub(crate) fn lead(&mut self, w: &mut World, step: u8) {
        w.timers.cancel(Key::call(self.id, Timer::Wait));
        let failure = ours(facts::Kind::NoRoute);
        let step = self.command.scenario.as_ref().and_then(|scenario| scenario.step(step));
        let step = step.filter(|_| self.legs.len() < LEGS_MAX);
        let (number, among) = match step {
            Some(Step::Lead { to, .. }) => (to.clone(), None),
            Some(Step::Hunt { among, .. }) => {
                (Number::Internal(among.first().cloned().unwrap_or_default()), Some(among.clone()))
            }
            Some(Step::Say(_)) | None => {
                self.inbox.push_back(Input::Leg(LegNo::B, LegEvent::Failed(failure)));
                return;
            }
        };
        if matches!(self.phase, Phase::Live) {
            let trail = Trail::default();
            self.wish = Some(Wish { leg: LegNo::B, failure, trail, number, among });
        }
    }

    /// Keys that A pressed.
    pub(crate) fn collect(&mut self, typed: Typed, secret: bool) {
        if self.collected.len() < COLLECTED_MAX {
            let keys = if secret { "*".repeat(typed.len()) } else { typed.to_string() };
            self.collected.push(keys);
        }
    }

    /// The longest that the call may last begins.
    pub(crate) fn limit(&mut self, w: &mut World) {
        let end = w.now.mono + self.plan.max_talk;
        self.limit = Some(end);
        w.timers.set(Key::call(self.id, Timer::Max), end);
    }
}
