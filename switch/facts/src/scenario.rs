//! What somebody who is rung, or calls a number of a merchant's, hears, may press, and whom he is led to: steps, one of
//! which is under way at a time. Announcements, voice codes and menus of merchants are all written as one.

use std::sync::Arc;
use std::time::Duration;

use crate::id::{CallId, MerchantId};
use crate::number::Number;
use crate::sound::Clip;

/// How a number of a merchant's stands that carriers deliver: whoever calls it is answered by a scenario, or is not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NumberScenario {
    /// E.164 digits.
    pub number: String,
    /// Whose scenario it is. The number may have become another merchant's.
    pub merchant: MerchantId,
    /// `None`: the number leads where the operator says.
    pub scenario: Option<Arc<Scenario>>,
}

/// A program of steps; it begins with the first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scenario {
    steps: Vec<Step>,
}

/// What is done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Sounds are heard, and keys may be pressed.
    Say(Say),
    /// Somebody is rung while whoever listens hears ring-back; when they have talked, the call is over.
    Lead {
        /// An extension, a group, or a public number for which the payer of the call pays.
        to: Number,
        /// Where it goes on when nobody can be had.
        failed: Next,
    },
    /// The same, with extensions that are rung one after the other as if they were a group: those that have something
    /// to do are passed over.
    Hunt {
        /// In the order in which they are rung; not empty.
        among: Arc<[String]>,
        /// Where it goes on when none of them can be had.
        failed: Next,
    },
    /// From now on the conversation is recorded, or is not. Takes no time.
    Tape {
        /// It is.
        on: bool,
        /// Where it goes on.
        next: Next,
    },
    /// Whoever listens hears a tone and speaks, and what he says is kept as the recording of the call, which has one
    /// at most. `#` ends it.
    Message {
        /// So long at most, 1 s to [`Step::MESSAGE_MAX`].
        max: Duration,
        /// Where it goes on.
        next: Next,
    },
    /// Whoever asked for the call is asked how it goes on.
    Ask(Ask),
    /// Whoever listens is in a conference of the payer's, until it is over or he is sent out.
    Confer {
        /// The number that it is spoken of by.
        conference: String,
        /// Where it goes on then.
        next: Next,
        /// Where it goes on when he does not come in.
        failed: Next,
    },
}

impl Step {
    /// The longest message.
    pub const MESSAGE_MAX: Duration = Duration::from_secs(600);
}

/// A question to whoever asked for the call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ask {
    /// What its surface needs to put it: its own JSON, opaque to everybody else.
    pub context: Arc<str>,
    /// What is heard meanwhile, once; nothing without.
    pub clip: Option<Clip>,
    /// How long the answer may take, 1 s to [`Ask::WAIT_MAX`].
    pub wait: Duration,
    /// Where it goes on without an answer that can be carried out.
    pub fallback: Next,
}

impl Ask {
    /// The longest wait.
    pub const WAIT_MAX: Duration = Duration::from_secs(10);
}

/// A question on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// The call whose step asks.
    pub call: CallId,
    /// Whoever pays for it.
    pub merchant: MerchantId,
    /// Which of its questions it is, from 1.
    pub turn: u8,
    /// [`Ask::context`].
    pub context: Arc<str>,
    /// [`Ask::wait`].
    pub wait: Duration,
    /// Keys that were taken so far; secret ones are `*`.
    pub keys: Vec<String>,
}

/// How it goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// There.
    Next(Next),
    /// With another scenario, from its beginning.
    Scenario(Arc<Scenario>),
}

/// Sounds, and keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Say {
    /// One behind the other. With none, only keys are waited for.
    pub clips: Vec<Clip>,
    /// How often all of them are said, 1–[`Say::TIMES_MAX`].
    pub times: u8,
    /// What may be pressed, and where it leads; the first key ends the sounds. With none of these and no
    /// `collect` no key is taken.
    pub choices: Vec<Choice>,
    /// Keys that are no choice are taken all the same.
    pub collect: Option<Collect>,
    /// How long a key, or the next one, is waited for when the sounds are over.
    pub wait: Duration,
    /// Where it goes on when nothing was pressed.
    pub none: Next,
    /// Where it goes on when something was pressed that is none of these.
    pub other: Next,
}

/// Keys that lead somewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Choice {
    /// `0`–`9`, `*`, `#`, `A`–`D`: 1–[`Say::KEYS_MAX`] of them.
    pub keys: String,
    /// Where.
    pub next: Next,
}

/// Keys that are written down, whatever they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Collect {
    /// So many at most, 1–[`Say::KEYS_MAX`]. `#` ends them before, and is not one of them.
    pub max: u8,
    /// They stand in no record.
    pub secret: bool,
    /// Where it goes on with them.
    pub next: Next,
}

/// Where it goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// With this step, counted from 0.
    Step(u8),
    /// The call is over.
    HangUp,
}

impl Say {
    /// The most that `times` may be.
    pub const TIMES_MAX: u8 = 9;
    /// The most keys that are taken together.
    pub const KEYS_MAX: usize = 20;
    /// The most clips.
    pub const CLIPS_MAX: usize = 32;
    /// The most choices.
    pub const CHOICES_MAX: usize = 32;
    /// Bounds of `wait`.
    pub const WAIT_MAX: Duration = Duration::from_secs(60);

    /// Sounds of which each is heard `times` times, whatever is pressed; then the call is over.
    #[must_use]
    pub fn only(clips: Vec<Clip>, times: u8) -> Say {
        Say {
            clips,
            times,
            choices: Vec::new(),
            collect: None,
            wait: Duration::ZERO,
            none: Next::HangUp,
            other: Next::HangUp,
        }
    }

    /// A key may be pressed.
    #[must_use]
    pub fn listens(&self) -> bool {
        !self.choices.is_empty() || self.collect.is_some()
    }
}

/// Why steps are no scenario. The number is that of the step, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// There is none, or there are too many.
    #[error("a scenario has 1 to {} steps", Scenario::STEPS_MAX)]
    Steps,
    /// It leads to a step that there is not.
    #[error("step {0} leads to a step that there is not")]
    Nowhere(usize),
    /// Neither a sound nor a key nor anybody to ring: it would be over before it began.
    #[error("step {0} says nothing, takes no key and rings nobody")]
    Empty(usize),
    /// A number is out of its bounds.
    #[error("step {0}: {1} is out of its bounds")]
    Bounds(usize, &'static str),
    /// No key, one twice, or none that a telephone has.
    #[error("step {0}: keys are 0-9, *, # and A-D, 1 to {max} of them, and no two choices are the same", max = Say::KEYS_MAX)]
    Keys(usize),
}

impl Scenario {
    /// The most steps.
    pub const STEPS_MAX: usize = 64;

    /// A scenario of these steps.
    ///
    /// # Errors
    ///
    /// When it could not be carried out.
    pub fn new(steps: Vec<Step>) -> Result<Scenario, Fault> {
        if steps.is_empty() || steps.len() > Scenario::STEPS_MAX {
            return Err(Fault::Steps);
        }
        for (at, step) in steps.iter().enumerate() {
            let leads_on = match step {
                Step::Hunt { among, .. } if among.is_empty() => return Err(Fault::Empty(at)),
                Step::Confer { conference, .. } if conference.is_empty() => {
                    return Err(Fault::Empty(at));
                }
                Step::Lead { failed, .. } | Step::Hunt { failed, .. } => vec![*failed],
                Step::Confer { next, failed, .. } => vec![*next, *failed],
                Step::Tape { next, .. } => vec![*next],
                Step::Message { max, next } => {
                    within(at, *max, Step::MESSAGE_MAX, "the length of a message")?;
                    vec![*next]
                }
                Step::Ask(ask) => {
                    within(at, ask.wait, Ask::WAIT_MAX, "the wait for an answer")?;
                    vec![ask.fallback]
                }
                Step::Say(say) => {
                    check(at, say)?;
                    let choices = say.choices.iter().map(|choice| choice.next);
                    let collect = say.collect.map(|collect| collect.next);
                    choices.chain(collect).chain([say.none, say.other]).collect()
                }
            };
            let there = |next: &Next| match next {
                Next::Step(to) => usize::from(*to) < steps.len(),
                Next::HangUp => true,
            };
            if !leads_on.iter().all(there) {
                return Err(Fault::Nowhere(at));
            }
        }
        Ok(Scenario { steps })
    }

    /// A step of it.
    #[must_use]
    pub fn step(&self, at: u8) -> Option<&Step> {
        self.steps.get(usize::from(at))
    }

    /// The addresses that sounds of it lie behind, each once: they are visited before anybody is rung.
    #[must_use]
    pub fn addresses(&self) -> Vec<&str> {
        let clips = self.steps.iter().flat_map(|step| match step {
            Step::Say(say) => say.clips.iter().collect(),
            Step::Ask(ask) => Vec::from_iter(&ask.clip),
            Step::Lead { .. }
            | Step::Hunt { .. }
            | Step::Tape { .. }
            | Step::Message { .. }
            | Step::Confer { .. } => Vec::new(),
        });
        let urls = clips.filter_map(|clip| match clip {
            Clip::Url(url) => Some(url.as_str()),
            Clip::Prompt(_) | Clip::Say(_) => None,
        });
        let mut urls: Vec<&str> = urls.collect();
        urls.sort_unstable();
        urls.dedup();
        urls
    }

    /// All of them.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

/// A second at least, and no more than this.
fn within(at: usize, time: Duration, most: Duration, what: &'static str) -> Result<(), Fault> {
    let good = (Duration::from_secs(1)..=most).contains(&time);
    if good { Ok(()) } else { Err(Fault::Bounds(at, what)) }
}

fn check(at: usize, say: &Say) -> Result<(), Fault> {
    let bounds = |holds: bool, what| if holds { Ok(()) } else { Err(Fault::Bounds(at, what)) };
    bounds((1..=Say::TIMES_MAX).contains(&say.times), "times")?;
    bounds(say.wait <= Say::WAIT_MAX, "wait")?;
    bounds(say.clips.len() <= Say::CLIPS_MAX, "the number of sounds")?;
    bounds(say.choices.len() <= Say::CHOICES_MAX, "the number of choices")?;
    let max = say.collect.map_or(1, |collect| usize::from(collect.max));
    bounds((1..=Say::KEYS_MAX).contains(&max), "the number of keys")?;
    if say.clips.is_empty() && (!say.listens() || say.wait.is_zero()) {
        return Err(Fault::Empty(at));
    }
    let known = |key: char| matches!(key, '0'..='9' | '*' | '#' | 'A'..='D');
    let choice = |choice: &Choice| {
        let keys = &choice.keys;
        (1..=Say::KEYS_MAX).contains(&keys.len()) && keys.chars().all(known)
    };
    let twice =
        |(nth, one): (usize, &Choice)| say.choices[..nth].iter().any(|two| two.keys == one.keys);
    if !say.choices.iter().all(choice) || say.choices.iter().enumerate().any(twice) {
        return Err(Fault::Keys(at));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Prompt;

    fn clip() -> Clip {
        Clip::Prompt(Prompt { name: "welcome".into(), language: "en".into() })
    }

    fn menu(keys: &[&str]) -> Say {
        let choice = |keys: &&str| Choice { keys: (*keys).into(), next: Next::HangUp };
        let wait = Duration::from_secs(5);
        Say { choices: keys.iter().map(choice).collect(), wait, ..Say::only(vec![clip()], 1) }
    }

    #[test]
    fn what_could_not_be_carried_out_is_no_scenario() {
        let of = |say: Say| Scenario::new(vec![Step::Say(say)]).err();
        assert_eq!(of(Say::only(vec![clip()], 1)), None);
        assert_eq!(of(menu(&["1", "12", "#", "*9"])), None);
        assert_eq!(of(Say::only(vec![], 1)), Some(Fault::Empty(0)));
        assert_eq!(of(Say { clips: vec![], ..menu(&["1"]) }), None, "only a key");
        let never = Say { clips: vec![], wait: Duration::ZERO, ..menu(&["1"]) };
        assert_eq!(of(never), Some(Fault::Empty(0)));
        assert_eq!(of(Say::only(vec![clip()], 0)), Some(Fault::Bounds(0, "times")));
        assert_eq!(of(menu(&["1", "1"])), Some(Fault::Keys(0)));
        assert_eq!(of(menu(&[""])), Some(Fault::Keys(0)));
        assert_eq!(of(menu(&["x"])), Some(Fault::Keys(0)));
        let collect = |max| Some(Collect { max, secret: false, next: Next::HangUp });
        assert_eq!(of(Say { collect: collect(20), ..menu(&[]) }), None);
        let many = Say { collect: collect(21), ..menu(&[]) };
        assert_eq!(of(many), Some(Fault::Bounds(0, "the number of keys")));
        let astray = Say { none: Next::Step(1), ..menu(&["1"]) };
        assert_eq!(of(astray), Some(Fault::Nowhere(0)));
        assert_eq!(Scenario::new(vec![]).err(), Some(Fault::Steps));
        let s = Duration::from_secs;
        let message = |max| Scenario::new(vec![Step::Message { max, next: Next::HangUp }]).err();
        assert_eq!((message(s(1)), message(s(600))), (None, None));
        for max in [s(0), s(601)] {
            assert_eq!(message(max), Some(Fault::Bounds(0, "the length of a message")));
        }
        let ask = |wait, fallback| {
            let (context, clip) = ("".into(), None);
            Scenario::new(vec![Step::Ask(Ask { context, clip, wait, fallback })]).err()
        };
        assert_eq!(ask(s(10), Next::HangUp), None);
        assert_eq!(ask(s(11), Next::HangUp), Some(Fault::Bounds(0, "the wait for an answer")));
        assert_eq!(ask(s(3), Next::Step(1)), Some(Fault::Nowhere(0)));
        let confer = |number: &str, next, failed| {
            let conference = number.to_owned();
            Scenario::new(vec![Step::Confer { conference, next, failed }]).err()
        };
        assert_eq!(confer("516152", Next::HangUp, Next::Step(0)), None);
        assert_eq!(confer("", Next::HangUp, Next::HangUp), Some(Fault::Empty(0)));
        assert_eq!(confer("516152", Next::Step(1), Next::HangUp), Some(Fault::Nowhere(0)));
        let too_many = vec![Step::Say(menu(&["1"])); Scenario::STEPS_MAX + 1];
        assert_eq!(Scenario::new(too_many).err(), Some(Fault::Steps));
    }
}
