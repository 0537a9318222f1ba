//! Scenarios as merchants write them: named steps, compiled to [`facts::scenario`]. All mistakes are told together, each
//! with its place: `/scenario/steps/menu/choices/1`.

use std::collections::BTreeMap;
use std::time::Duration;

use facts::Number;
use facts::scenario::{Ask, Choice, Collect, Next, Say, Scenario, Step};
use facts::sound::Clip;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::command::is_conference;
use super::problem::FieldError;
use super::request::{read as judged, step as under};
use super::sound::{Part, Sound};

/// Where a scenario stands in a request.
const AT: &str = "/scenario";
/// Longest name of a step.
const NAME_MAX: usize = 40;
/// Most tries of a `gather`.
const TRIES_MAX: u8 = 9;
/// How long a message may be unless its step says, and how long an answer may take.
const MESSAGE_S: u16 = 60;
const ASK_S: u16 = 3;
/// How long a key is waited for unless a `gather` says.
const TIMEOUT_S: u16 = 5;

/// What somebody hears and may press, and where that leads.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewScenario {
    /// The name of the first step.
    pub start: String,
    /// `zh`, `en` or `fa`, for what names no language of its own; the merchant's unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Steps by their names: letters, digits, `-` and `_`.
    #[schemars(with = "BTreeMap<String, NewStep>")]
    pub steps: BTreeMap<String, Value>,
}

/// A step. Where it leads nowhere, the call ends.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(super) enum NewStep {
    /// Sounds are heard.
    Play(NewSounds),
    /// Words are heard.
    Say(NewWords),
    /// Sounds are heard and keys taken.
    Gather(Box<NewGather>),
    /// Somebody is rung, and joined with whoever listens.
    Dial(NewDial),
    /// Whoever listens is in a conference of the merchant's, until it is over or he is sent out.
    Conference(NewVisit),
    /// The conversation is recorded from now on, or is not; or whoever listens leaves a message.
    Record(NewRecord),
    /// The merchant's server is asked how it goes on.
    Webhook(NewHook),
    /// The call ends.
    Hangup(Nothing),
}

#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSounds {
    /// One behind the other, 1 to 32.
    sounds: Vec<Sound>,
    /// How often all of them are heard, 1 to 9.
    #[serde(default = "once")]
    times: u8,
    /// The step after them.
    #[serde(default)]
    next: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewWords {
    /// One behind the other, 1 to 32.
    say: Vec<Part>,
    /// `zh`, `en` or `fa`; the scenario's unless given.
    #[serde(default)]
    language: Option<String>,
    /// How often all of it is heard, 1 to 9.
    #[serde(default = "once")]
    times: u8,
    /// The step after it.
    #[serde(default)]
    next: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewGather {
    /// One behind the other, 32 at most; a key ends them.
    #[serde(default)]
    sounds: Vec<Sound>,
    /// Keys (`0`–`9`, `*`, `#`, `A`–`D`, 1 to 20 of them), and the step that each leads to.
    #[serde(default)]
    choices: BTreeMap<String, Option<String>>,
    /// Keys that are no choice are taken all the same.
    #[serde(default)]
    collect: Option<NewCollect>,
    /// How long a key, or the next one, is waited for when the sounds are over: 1 to 60 seconds, 5 unless given.
    #[serde(default)]
    timeout_s: Option<u16>,
    /// How often it is asked in all, 1 to 9.
    #[serde(default = "once")]
    tries: u8,
    /// The step after the last try in which nothing was pressed.
    #[serde(default)]
    no_input: Option<String>,
    /// The step after the last try in which something was pressed that is no choice.
    #[serde(default)]
    no_match: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewCollect {
    /// So many at most, 1 to 20. `#` ends them before, and is not one of them.
    max: u8,
    /// They stand in no record, as `*` alone.
    #[serde(default)]
    secret: bool,
    /// The step after them.
    #[serde(default)]
    next: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewDial {
    /// An extension or a group of the merchant's, or a public number, which the merchant pays for.
    number: String,
    /// The step when nobody can be had.
    #[serde(default)]
    failed: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewVisit {
    /// The number that it is spoken of by, six digits.
    conference: String,
    /// The step when it is over, or he is sent out.
    #[serde(default)]
    next: Option<String>,
    /// The step when he does not come in: it is not under way, it is full, or nobody else may come.
    #[serde(default)]
    failed: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRecord {
    /// What is recorded.
    what: Recorded,
    /// Of a message: so many seconds at most, 1 to 600; 60 unless given. `#` ends it.
    #[serde(default)]
    max_s: Option<u16>,
    /// The step after it.
    #[serde(default)]
    next: Option<String>,
}

/// What a step records.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Recorded {
    /// The conversation, once there is one.
    On,
    /// Nothing of it, until it is `on` again.
    Pause,
    /// What whoever listens says now, after a tone.
    Message,
}

#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewHook {
    /// What is asked, by POST: `https` or `http`.
    url: String,
    /// The webhook of the merchant's with whose secrets the question is signed.
    webhook: String,
    /// What is heard meanwhile, once; nothing unless given.
    #[serde(default)]
    sound: Option<Sound>,
    /// How long the answer may take, 1 to 10 seconds; 3 unless given.
    #[serde(default)]
    timeout_s: Option<u16>,
    /// The step where there is no answer in time, or none that can be carried out.
    #[serde(default)]
    fallback: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// What a step that asks keeps for its question.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HookContext {
    /// What is asked.
    pub url: String,
    /// Whose secrets sign: a webhook of the merchant's.
    pub webhook: i64,
    /// The step that asks.
    pub step: String,
    /// The language of the scenario.
    pub language: String,
    /// Where each step begins; null: it ends the call.
    pub places: BTreeMap<String, Option<u8>>,
    /// Another scenario may lead into conferences: whoever placed the call may.
    #[serde(default)]
    pub confers: bool,
}

/// The answer to a step that asks: one of these.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HookAnswer {
    /// The step that it goes on with.
    #[serde(default)]
    pub next: Option<String>,
    /// Another scenario, which takes the place of this one.
    #[serde(default)]
    pub scenario: Option<NewScenario>,
    /// True: the call is over.
    #[serde(default)]
    pub hangup: bool,
}

const fn once() -> u8 {
    1
}

/// A scenario that can be carried out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Compiled {
    /// Its steps.
    pub scenario: Scenario,
    /// What is heard in it, each with its place in the request.
    pub sounds: Vec<(String, Clip)>,
    /// Addresses that are asked in it, each with its place in the request, and the webhook whose secrets sign.
    pub hooks: Vec<(String, String, i64)>,
    /// It leads into conferences.
    pub confers: bool,
}

impl NewScenario {
    /// Numbers that it may lead to, as written, each with its place in the request. What cannot be read is passed over:
    /// [`NewScenario::compile`] tells.
    #[must_use]
    pub fn numbers(&self) -> Vec<(String, String)> {
        let number = |(name, step): (&String, &Value)| {
            let dials = step.get("do")?.as_str()? == "dial";
            let number = step.get("number")?.as_str()?.to_owned();
            dials.then(|| (format!("{AT}/steps{}/number", under(name)), number))
        };
        self.steps.iter().filter_map(number).collect()
    }

    /// Compiles it. `language`: where nothing names one; `numbers`: those of [`NewScenario::numbers`] that may be rung,
    /// by their places; `confers`: what is answered in its place may lead into conferences.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn compile(
        &self,
        language: &str,
        numbers: &BTreeMap<String, Number>,
        confers: bool,
    ) -> Result<Compiled, Vec<FieldError>> {
        let language = self.language.as_deref().unwrap_or(language);
        let mut compiler = Compiler {
            language,
            numbers,
            confers,
            places: BTreeMap::new(),
            written: BTreeMap::new(),
            sounds: Vec::new(),
            hooks: Vec::new(),
            found: Vec::new(),
        };
        let steps = compiler.read(self);
        if !self.steps.contains_key(&self.start) {
            compiler.wrong(format!("{AT}/start"), "there is no step of this name");
        }
        compiler.place(&self.start, &steps);
        for (name, step) in &steps {
            compiler.step(name, step);
        }
        if let Some(NewStep::Hangup(_)) = steps.get(&self.start) {
            compiler.wrong(format!("{AT}/start"), "the first step would end the call");
        }
        let Compiler { mut found, written, sounds, hooks, .. } = compiler;
        if !found.is_empty() {
            return Err(found);
        }
        let in_order: Vec<Step> = written.into_values().collect();
        match Scenario::new(in_order) {
            Ok(scenario) => {
                let confers =
                    scenario.steps().iter().any(|step| matches!(step, Step::Confer { .. }));
                Ok(Compiled { scenario, sounds, hooks, confers })
            }
            Err(fault) => {
                found.push(FieldError::new(AT, fault.to_string()));
                Err(found)
            }
        }
    }
}

/// A scenario on its way.
struct Compiler<'a> {
    language: &'a str,
    numbers: &'a BTreeMap<String, Number>,
    confers: bool,
    /// Where each step begins; `None`: it ends the call.
    places: BTreeMap<String, Option<u8>>,
    written: BTreeMap<u8, Step>,
    sounds: Vec<(String, Clip)>,
    hooks: Vec<(String, String, i64)>,
    found: Vec<FieldError>,
}

impl Compiler<'_> {
    fn wrong(&mut self, at: String, words: impl Into<String>) {
        self.found.push(FieldError::new(at, words));
    }

    fn read(&mut self, scenario: &NewScenario) -> BTreeMap<String, NewStep> {
        let mut steps = BTreeMap::new();
        for (name, value) in &scenario.steps {
            let at = format!("{AT}/steps{}", under(name));
            let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
            if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(known) {
                self.wrong(at, "names of steps are 1 to 40 letters, digits, `-` and `_`");
                continue;
            }
            match read(value) {
                Ok(step) => drop(steps.insert(name.clone(), step)),
                Err(found) => found
                    .into_iter()
                    .for_each(|one| self.wrong(format!("{at}{}", one.pointer), one.detail)),
            }
        }
        steps
    }

    /// Gives each step its place: the first one first, a `gather` as many as it has tries.
    fn place(&mut self, start: &str, steps: &BTreeMap<String, NewStep>) {
        let first = steps.get_key_value(start);
        let others = steps.iter().filter(|(name, _)| *name != start);
        let mut next = 0_usize;
        for (name, step) in first.into_iter().chain(others) {
            let size = match step {
                NewStep::Hangup(_) => 0,
                NewStep::Gather(gather) => usize::from(gather.tries.clamp(1, TRIES_MAX)),
                NewStep::Play(_)
                | NewStep::Say(_)
                | NewStep::Dial(_)
                | NewStep::Conference(_)
                | NewStep::Record(_)
                | NewStep::Webhook(_) => 1,
            };
            let place = u8::try_from(next).ok().filter(|_| size > 0);
            self.places.insert(name.clone(), place);
            next += size;
        }
        if next > Scenario::STEPS_MAX {
            let words = format!(
                "must have {} steps at most, each try of a gather counted",
                Scenario::STEPS_MAX
            );
            self.wrong(format!("{AT}/steps"), words);
        }
    }

    /// Where a name leads.
    fn next(&mut self, name: Option<&str>, at: impl FnOnce() -> String) -> Next {
        let Some(name) = name else { return Next::HangUp };
        match self.places.get(name) {
            Some(place) => place.map_or(Next::HangUp, Next::Step),
            None => {
                // A step that could not be read has been told already; so has one that is not there.
                self.wrong(at(), format!("there is no step {name:?} that can be carried out"));
                Next::HangUp
            }
        }
    }

    fn clips(&mut self, sounds: &[Sound], at: &str) -> Vec<Clip> {
        let mut clips = Vec::with_capacity(sounds.len());
        for (nth, sound) in sounds.iter().enumerate() {
            let at = format!("{at}/{nth}");
            match sound.clone().clip(self.language, &at) {
                Ok(clip) => {
                    clips.push(clip.clone());
                    self.sounds.push((at, clip));
                }
                Err(error) => self.found.push(error),
            }
        }
        clips
    }

    /// That a number is within its bounds.
    fn bounds(&mut self, holds: bool, at: String, words: &str) {
        if !holds {
            self.wrong(at, words);
        }
    }

    fn step(&mut self, name: &str, step: &NewStep) {
        let at = format!("{AT}/steps{}", under(name));
        let Some(Some(place)) = self.places.get(name).copied() else { return };
        let written = match step {
            NewStep::Hangup(_) => return,
            NewStep::Gather(gather) => return self.gather(place, gather, &at),
            NewStep::Play(play) => {
                let clips = self.clips(&play.sounds, &format!("{at}/sounds"));
                let none = self.next(play.next.as_deref(), || format!("{at}/next"));
                let some = (1..=Say::CLIPS_MAX).contains(&play.sounds.len());
                self.bounds(some, format!("{at}/sounds"), "must have 1 to 32 sounds");
                self.times(play.times, &at);
                Step::Say(Say { none, ..Say::only(clips, play.times) })
            }
            NewStep::Say(words) => {
                let sound = Sound {
                    prompt: None,
                    url: None,
                    say: Some(words.say.clone()),
                    language: words.language.clone(),
                };
                let clip = match sound.clip(self.language, &at) {
                    Ok(clip) => {
                        self.sounds.push((format!("{at}/say"), clip.clone()));
                        vec![clip]
                    }
                    Err(error) => {
                        self.found.push(error);
                        Vec::new()
                    }
                };
                let none = self.next(words.next.as_deref(), || format!("{at}/next"));
                self.times(words.times, &at);
                Step::Say(Say { none, ..Say::only(clip, words.times) })
            }
            NewStep::Dial(dial) => {
                let failed = self.next(dial.failed.as_deref(), || format!("{at}/failed"));
                let number = format!("{at}/number");
                let Some(to) = self.numbers.get(&number).cloned() else {
                    return self.wrong(number, "is no number that may be rung");
                };
                Step::Lead { to, failed }
            }
            NewStep::Conference(visit) => {
                let next = self.next(visit.next.as_deref(), || format!("{at}/next"));
                let failed = self.next(visit.failed.as_deref(), || format!("{at}/failed"));
                let good = is_conference(&visit.conference);
                self.bounds(good, format!("{at}/conference"), "must be six digits");
                Step::Confer { conference: visit.conference.clone(), next, failed }
            }
            NewStep::Record(record) => self.record(record, &at),
            NewStep::Webhook(hook) => self.hook(name, hook, &at),
        };
        self.written.insert(place, written);
    }

    fn record(&mut self, record: &NewRecord, at: &str) -> Step {
        let next = self.next(record.next.as_deref(), || format!("{at}/next"));
        let seconds = record.max_s.unwrap_or(MESSAGE_S);
        let longest = u16::try_from(Step::MESSAGE_MAX.as_secs()).unwrap_or(u16::MAX);
        let good = (1..=longest).contains(&seconds);
        self.bounds(good, format!("{at}/max_s"), "must be 1 to 600 seconds");
        match record.what {
            Recorded::On => Step::Tape { on: true, next },
            Recorded::Pause => Step::Tape { on: false, next },
            Recorded::Message => Step::Message { max: Duration::from_secs(seconds.into()), next },
        }
    }

    fn hook(&mut self, name: &str, hook: &NewHook, at: &str) -> Step {
        let fallback = self.next(hook.fallback.as_deref(), || format!("{at}/fallback"));
        let sounds: Vec<Sound> = hook.sound.iter().cloned().collect();
        let clip = self.clips(&sounds, &format!("{at}/sound")).pop();
        let wait = hook.timeout_s.unwrap_or(ASK_S);
        let longest = u16::try_from(Ask::WAIT_MAX.as_secs()).unwrap_or(u16::MAX);
        let good = (1..=longest).contains(&wait);
        self.bounds(good, format!("{at}/timeout_s"), "must be 1 to 10 seconds");
        let webhook = hook.webhook.parse().unwrap_or_default();
        self.hooks.push((at.to_owned(), hook.url.clone(), webhook));
        let context = HookContext {
            url: hook.url.clone(),
            webhook,
            step: name.to_owned(),
            language: self.language.to_owned(),
            places: self.places.clone(),
            confers: self.confers,
        };
        // Text and numbers always have a JSON form.
        let context = serde_json::to_string(&context).unwrap_or_default().into();
        Step::Ask(Ask { context, clip, wait: Duration::from_secs(wait.into()), fallback })
    }

    fn times(&mut self, times: u8, at: &str) {
        let good = (1..=Say::TIMES_MAX).contains(&times);
        self.bounds(good, format!("{at}/times"), "must be 1 to 9");
    }

    /// One step for each try: what was not understood leads to the next, and from the last where it is written.
    fn gather(&mut self, place: u8, gather: &NewGather, at: &str) {
        let clips = self.clips(&gather.sounds, &format!("{at}/sounds"));
        let few = gather.sounds.len() <= Say::CLIPS_MAX;
        self.bounds(few, format!("{at}/sounds"), "must have 32 sounds at most");
        let mut choices = Vec::with_capacity(gather.choices.len());
        let few = gather.choices.len() <= Say::CHOICES_MAX;
        self.bounds(few, format!("{at}/choices"), "must have 32 choices at most");
        for (keys, to) in &gather.choices {
            let at = || format!("{at}/choices{}", under(keys));
            let known = |key: char| matches!(key, '0'..='9' | '*' | '#' | 'A'..='D');
            if !(1..=Say::KEYS_MAX).contains(&keys.len()) || !keys.chars().all(known) {
                self.wrong(at(), "keys are 0-9, *, # and A-D, 1 to 20 of them");
            }
            let next = self.next(to.as_deref(), at);
            choices.push(Choice { keys: keys.clone(), next });
        }
        let collect = gather.collect.as_ref().map(|collect| {
            let max = usize::from(collect.max);
            let good = (1..=Say::KEYS_MAX).contains(&max);
            self.bounds(good, format!("{at}/collect/max"), "must be 1 to 20");
            let next = self.next(collect.next.as_deref(), || format!("{at}/collect/next"));
            Collect { max: collect.max, secret: collect.secret, next }
        });
        let listens = !choices.is_empty() || collect.is_some();
        self.bounds(listens, at.to_owned(), "takes no key: it has neither `choices` nor `collect`");
        let timeout = gather.timeout_s.unwrap_or(TIMEOUT_S);
        self.bounds(
            (1..=60).contains(&timeout),
            format!("{at}/timeout_s"),
            "must be 1 to 60 seconds",
        );
        let tries = (1..=TRIES_MAX).contains(&gather.tries);
        self.bounds(tries, format!("{at}/tries"), "must be 1 to 9");
        let none = self.next(gather.no_input.as_deref(), || format!("{at}/no_input"));
        let other = self.next(gather.no_match.as_deref(), || format!("{at}/no_match"));
        // Behind the last place there is none; that there are too many was told where places were given.
        let last = place.saturating_add(gather.tries.clamp(1, TRIES_MAX) - 1);
        for at in place..=last {
            let again = (at < last).then(|| Next::Step(at + 1));
            let say = Say {
                clips: clips.clone(),
                times: 1,
                choices: choices.clone(),
                collect,
                wait: Duration::from_secs(timeout.into()),
                none: again.unwrap_or(none),
                other: again.unwrap_or(other),
            };
            self.written.insert(at, Step::Say(say));
        }
    }
}

/// Reads a step. What is out of its bounds is told where it is written.
fn read(value: &Value) -> Result<NewStep, Vec<FieldError>> {
    judged(value.clone()).map(|(step, _)| step)
}

#[cfg(test)]
mod tests;
