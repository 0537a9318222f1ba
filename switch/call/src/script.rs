//! What a call does for its scenario: sounds, waiting for keys, asking for whoever is to be rung.

use std::sync::Arc;
use std::time::Duration;

use facts::media::{MediaCommand, Source};
use facts::scenario::{Next, Question, Say, Scenario, Step, Told};
use facts::sound::Unplayable;
use facts::{LegId, LegNo, Number};

use crate::call::{Call, Phase};
use crate::divert::{LEGS_MAX, Wish};
use crate::event::{Effect, Input, LegEvent, Typed, ours};
use crate::flow::{Flow, Script};
use crate::route::{self, Trail};
use crate::timers::{Key, Timer};
use crate::world::World;

/// Between one time and the next that all is said.
const PAUSE: Duration = Duration::from_secs(1);
/// All addresses of a scenario have so long.
const FETCH: Duration = Duration::from_secs(10);
/// So much later than a question's own time it is given up here: whoever puts it has said so by then.
const LATE: Duration = Duration::from_secs(2);
/// Keys kept of one call, at most: so many times.
const COLLECTED_MAX: usize = 64;

impl Call {
    /// The program of a call that was asked for, or that came for a number with a scenario, and its orders carried out.
    pub(crate) fn start_script(&mut self, w: &mut World) {
        let mut orders = Vec::new();
        let Some(scenario) = self.command.scenario.clone() else { return };
        let fetches = !scenario.addresses().is_empty();
        self.plan.flow = Flow::Script(match self.is_inbound() {
            true => Script::answer(&scenario, fetches, &mut orders),
            false => Script::start(fetches, &mut orders),
        });
        self.perform(w, orders);
    }

    /// What A is to hear and lies behind addresses is visited before anybody is rung, or answered.
    pub(crate) fn fetch(&mut self, w: &mut World) {
        let leg = LegId::new(self.id, LegNo::A);
        let Some(scenario) = self.command.scenario.clone() else { return };
        self.visit_addresses(w, (leg, &scenario));
    }

    fn visit_addresses(&mut self, w: &mut World, (leg, scenario): (LegId, &Scenario)) {
        let urls = scenario.addresses();
        self.fetching = urls.iter().map(|url| (*url).to_owned()).collect();
        let payer = self.command.merchant;
        for url in urls {
            w.media(MediaCommand::Fetch { leg, url: url.to_owned(), payer });
        }
        w.timers.set(Key::call(self.id, Timer::Wait), w.now.mono + FETCH);
    }

    /// One of them is there, or cannot be had.
    pub(crate) fn fetched(&mut self, w: &mut World, url: &str, sound: Result<(), Unplayable>) {
        if !self.fetching.remove(url) {
            return;
        }
        if sound.is_err() {
            self.fetching.clear();
        }
        if !self.fetching.is_empty() {
            return;
        }
        match self.coming.take() {
            Some((turn, scenario)) => {
                let told = sound.is_ok().then_some(Told::Scenario(scenario));
                self.go_on(w, turn, told);
            }
            None => {
                w.timers.cancel(Key::call(self.id, Timer::Wait));
                self.feed(w, Input::Fetched(sound.is_ok()));
            }
        }
    }

    /// A hears a sound of a step.
    pub(crate) fn say_clip(&mut self, w: &mut World, (step, clip): (u8, u8)) {
        w.timers.cancel(Key::call(self.id, Timer::Wait));
        let clip = match self.step_at(step) {
            Some(Step::Ask(ask)) => ask.clip.clone(),
            _ => self.sounds(step).and_then(|say| say.clips.get(usize::from(clip))).cloned(),
        };
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

    fn step_at(&self, step: u8) -> Option<&Step> {
        self.command.scenario.as_ref()?.step(step)
    }

    /// What A says from now on is kept, unless the call has its recording already.
    pub(crate) fn speak(&mut self, w: &mut World, step: u8) {
        let Some(Step::Message { max, .. }) = self.step_at(step) else { return };
        let max = *max;
        if self.may_record() {
            self.record(w, (LegId::new(self.id, LegNo::A), None));
            w.timers.set(Key::call(self.id, Timer::Wait), w.now.mono + max);
        } else {
            self.inbox.push_back(Input::Waited);
        }
    }

    /// A has said it.
    pub(crate) fn spoken(&mut self, w: &mut World) {
        w.timers.cancel(Key::call(self.id, Timer::Wait));
        self.end_tape(w);
    }

    /// Whoever asked for the call is asked how it goes on.
    pub(crate) fn ask(&self, w: &mut World, (step, turn): (u8, u8)) {
        let Some(Step::Ask(ask)) = self.step_at(step) else { return };
        let question = Question {
            call: self.id,
            merchant: self.command.merchant,
            turn,
            context: Arc::clone(&ask.context),
            wait: ask.wait,
            keys: self.collected.clone(),
        };
        w.timers.set(Key::call(self.id, Timer::Wait), w.now.mono + ask.wait + LATE);
        w.emit(Effect::Consult(Box::new(question)));
    }

    /// What he says; the first word on a question that still waits for one counts. What lies behind addresses in
    /// another scenario is visited before that one begins: where it cannot be had, it is as if he had said nothing.
    pub(crate) fn told(&mut self, w: &mut World, turn: u8, told: Option<Told>) {
        let told_before = self.coming.as_ref().is_some_and(|(before, _)| *before == turn);
        if !self.asks(turn) || told_before {
            return;
        }
        match told {
            Some(Told::Scenario(scenario)) if !scenario.addresses().is_empty() => {
                self.visit_addresses(w, (LegId::new(self.id, LegNo::A), &scenario));
                self.coming = Some((turn, scenario));
            }
            told => self.go_on(w, turn, told),
        }
    }

    /// True while this question waits for its answer.
    fn asks(&self, turn: u8) -> bool {
        let asks = matches!(self.plan.flow, Flow::Script(script) if script.asks() == Some(turn));
        asks && matches!(self.phase, Phase::Live)
    }

    fn go_on(&mut self, w: &mut World, turn: u8, told: Option<Told>) {
        if !self.asks(turn) {
            return;
        }
        w.timers.cancel(Key::call(self.id, Timer::Wait));
        let next = match told {
            Some(Told::Scenario(scenario)) => {
                self.command.scenario = Some(scenario);
                Some(Next::Step(0))
            }
            Some(Told::Next(next)) => Some(next),
            None => None,
        };
        self.feed(w, Input::Told { turn, next });
    }

    fn sounds(&self, step: u8) -> Option<&Say> {
        match self.step_at(step)? {
            Step::Say(say) => Some(say),
            _ => None,
        }
    }

    /// The engine is asked for whom a step leads to, as for whom a call is led on to.
    pub(crate) fn lead(&mut self, w: &mut World, step: u8) {
        w.timers.cancel(Key::call(self.id, Timer::Wait));
        let step = self.command.scenario.as_ref().and_then(|scenario| scenario.step(step));
        let step = step.filter(|_| self.legs.len() < LEGS_MAX);
        let payer = self.command.merchant;
        let (number, among) = match step {
            // It may have passed on to somebody else since the scenario was written.
            Some(Step::Lead { to, .. }) if route::is_foreign(&w.snapshot, (to, payer)) => {
                let failure = ours(facts::Kind::NoRoute);
                self.inbox.push_back(Input::Leg(LegNo::B, LegEvent::Failed(failure)));
                return;
            }
            Some(Step::Lead { to, .. }) => (to.clone(), None),
            Some(Step::Hunt { among, .. }) => {
                (Number::Internal(among.first().cloned().unwrap_or_default()), Some(among.clone()))
            }
            _ => {
                // It has had as many legs as it may.
                let failure = ours(facts::Kind::Congestion);
                self.inbox.push_back(Input::Leg(LegNo::B, LegEvent::Failed(failure)));
                return;
            }
        };
        if matches!(self.phase, Phase::Live) {
            let trail = Trail::default();
            self.wish = Some(Wish { leg: LegNo::B, failure: None, trail, number, among });
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
