//! A scenario: A is rung, or has called us, hears what its steps say, presses keys, and may be led to somebody else.
//!
//! ```text
//!  Fetching ──all is there──► DialingA        what lies behind addresses is visited first, if anything does;
//!     │                                       A who has called us hears ringing meanwhile
//!     └──A has called us, and is answered──► Saying
//!
//!  DialingA ──answer──► Saying ──sounds are over──► Waiting ──key, or none in time──► the next step
//!                         │  ▲                          ▲                                  │
//!                         │  └── again, after a pause   │ a key that may lead somewhere    │
//!                         └──────────── a key ──────────┘                                  │
//!                 the next step ◄── nobody ── Ringing ◄── Leading ◄────────────────────────┘
//!                                                │ answers
//!                                                ▼
//!                                             Bridged
//! ```
//!
//! A step may also let A into a conference of the payer's, whose call is another one (`Joining`, `Conferring`), let A speak (`Tone`, `Speaking`), or ask whoever asked for the call how it goes on (`Asking`): what
//! he says is the next step, or another scenario; without a word of his it goes on where the step says.
//!
//! What is to be said and where keys lead is in the call's [`Scenario`]; here is only how far it has come.

use facts::scenario::{Choice, Next, Say, Scenario, Step};
use facts::{Failure, Kind, LegNo, Origin, Outcome, Side};

use crate::event::{Hear, Input, LegEvent, Order, Place, Release, Typed, Visit, ours};

use super::{Talk, cut, origin, refuser, side, taken, talk, too_late};

/// How often one call leads to somebody, or into a conference, at most: one who cannot be had takes no time, and may
/// lead in a circle.
/// Whatever else a step does takes time.
const LEADS_MAX: u8 = 16;
/// How often one call asks how it goes on at most.
const ASKS_MAX: u8 = 16;
/// Ends the keys of a step that has longer ones, or any; and a message.
const END_KEY: char = '#';

/// How far a scenario has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Script {
    state: State,
    /// The step that is under way.
    at: u8,
    /// How often it has led to somebody.
    leads: u8,
    /// How often it has asked how it goes on.
    asks: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// What A is to hear is visited; nobody is rung. `called`: A has called us and waits.
    Fetching { called: bool },
    /// A is being rung.
    DialingA,
    /// A hears a sound of the step.
    Saying { clip: u8, round: u8 },
    /// A hears nothing; all will be said once more.
    Pausing { round: u8 },
    /// The sounds are over, or a key has ended them.
    Waiting(Typed),
    /// A hears that it may speak.
    Tone,
    /// A speaks.
    Speaking,
    /// Whoever asked for the call is asked how it goes on.
    Asking,
    /// A is let into a conference.
    Joining,
    /// A is in it.
    Conferring,
    /// It is asked whether somebody may be rung.
    Leading,
    /// Somebody is rung. `early`: A hears that network instead of our tone.
    Ringing { to: LegNo, early: bool },
    /// Two talk.
    Bridged(Talk),
    /// The outcome is known; the legs go down.
    Ending,
}

impl Script {
    /// The first state and its orders. `fetches`: sounds lie behind addresses.
    pub(crate) fn start(fetches: bool, out: &mut Vec<Order>) -> Script {
        let (order, state) = match fetches {
            true => (Order::Fetch, State::Fetching { called: false }),
            false => (Order::Dial(LegNo::A), State::DialingA),
        };
        out.push(order);
        Script { state, at: 0, leads: 0, asks: 0 }
    }

    /// The same for A who has called us: it is answered, once all that it is to hear is there.
    pub(crate) fn answer(scenario: &Scenario, fetches: bool, out: &mut Vec<Order>) -> Script {
        let state = State::Fetching { called: true };
        let script = Script { state, at: 0, leads: 0, asks: 0 };
        if !fetches {
            return script.answered(scenario, out);
        }
        out.push(Order::Alert(LegNo::A));
        out.push(Order::Fetch);
        script
    }

    /// The state's name for operators.
    pub(crate) fn word(self) -> &'static str {
        match self.state {
            State::Fetching { .. } => "fetching",
            State::DialingA => "dialing_a",
            State::Saying { .. } | State::Pausing { .. } => "saying",
            State::Waiting(_) => "waiting",
            State::Tone | State::Speaking => "recording",
            State::Asking => "asking",
            State::Joining | State::Conferring => "conference",
            State::Leading | State::Ringing { .. } => "dialing_b",
            State::Bridged(_) => "bridged",
            State::Ending => "ending",
        }
    }

    /// True once it only waits for its legs to go down.
    pub(crate) fn ending(self) -> bool {
        self.state == State::Ending
    }

    /// The leg that is rung for A.
    pub(crate) fn rings(self) -> Option<LegNo> {
        match self.state {
            State::Ringing { to, .. } => Some(to),
            _ => None,
        }
    }

    /// The two who talk, once they do.
    pub(crate) fn talk(self) -> Option<Talk> {
        match self.state {
            State::Bridged(talk) => Some(talk),
            _ => None,
        }
    }

    /// The question that waits for its answer.
    pub(crate) fn asks(self) -> Option<u8> {
        (self.state == State::Asking).then_some(self.asks)
    }

    /// True while A is alone with what is said.
    pub(crate) fn is_alone(self) -> bool {
        matches!(
            self.state,
            State::Fetching { .. }
                | State::DialingA
                | State::Saying { .. }
                | State::Pausing { .. }
                | State::Waiting(_)
                | State::Tone
                | State::Speaking
                | State::Asking
                | State::Joining
                | State::Conferring
        )
    }

    /// Why the step that is under way leads to nobody, where an input says so and no leg of the call will.
    pub(crate) fn in_vain(self, input: Input) -> Option<Failure> {
        match (self.state, input) {
            (State::Leading, Input::Leg(LegNo::B, LegEvent::Failed(failure))) => Some(failure),
            (_, Input::Visit(Visit::Refused(kind))) if self.visits() => Some(ours(kind)),
            (State::Joining, Input::Visit(Visit::Out) | Input::Waited) => {
                Some(ours(Kind::Congestion))
            }
            _ => None,
        }
    }

    /// Whom it leads to: a number, the first of several, or a conference.
    pub(crate) fn leads_to(self, scenario: &Scenario) -> &str {
        match scenario.step(self.at) {
            Some(Step::Lead { to, .. }) => to.digits(),
            Some(Step::Hunt { among, .. }) => among.first().map_or("", String::as_str),
            Some(Step::Confer { conference, .. }) => conference,
            _ => "",
        }
    }

    /// True while A is in a conference, or is let in.
    pub(crate) fn visits(self) -> bool {
        matches!(self.state, State::Joining | State::Conferring)
    }

    /// One input.
    pub(crate) fn step(self, scenario: &Scenario, input: Input, out: &mut Vec<Order>) -> Script {
        let state = match self.state {
            State::Ending => {
                if let Input::Take { new, .. } = input {
                    too_late(new, out);
                }
                State::Ending
            }
            State::Bridged(talk) => talk.step(input, out).map_or(State::Ending, State::Bridged),
            State::Fetching { called } => return self.fetching(scenario, (called, input), out),
            State::DialingA => return self.dialing_a(scenario, input, out),
            State::Leading | State::Ringing { .. } => return self.leading(scenario, input, out),
            State::Saying { .. } | State::Pausing { .. } | State::Waiting(_) => {
                return self.alone(scenario, input, out);
            }
            State::Tone | State::Speaking => return self.speaking(scenario, input, out),
            State::Asking => return self.asking(scenario, input, out),
            State::Joining | State::Conferring => return self.conferring(scenario, input, out),
        };
        self.turned(state)
    }

    /// Nobody is rung yet, or answered, and nobody is where a sound cannot be had.
    fn fetching(
        self,
        scenario: &Scenario,
        (called, input): (bool, Input),
        out: &mut Vec<Order>,
    ) -> Script {
        match input {
            Input::Fetched(true) if called => self.answered(scenario, out),
            Input::Fetched(true) => {
                out.push(Order::Dial(LegNo::A));
                self.turned(State::DialingA)
            }
            Input::Fetched(false) | Input::Waited => {
                // Whoever has called is told that nobody can be had; it is no fault of the switch's.
                let kind = if called { Kind::Unreachable } else { Kind::Internal };
                let failure = Failure::new(Origin::Media, kind);
                self.end(Outcome::Failed(failure), Side::Platform, out)
            }
            Input::Leg(LegNo::A, LegEvent::HungUp) => {
                let failure = Failure::new(origin(LegNo::A), Kind::Abandoned);
                self.end(Outcome::Failed(failure), Side::Caller, out)
            }
            Input::Leg(LegNo::A, LegEvent::Lost(failure) | LegEvent::Failed(failure)) => {
                self.end(Outcome::Failed(failure), Side::Platform, out)
            }
            input => self.elsewhere(input, out),
        }
    }

    /// A, who has called us, is answered, and it begins.
    fn answered(self, scenario: &Scenario, out: &mut Vec<Order>) -> Script {
        out.push(Order::Accept(LegNo::A));
        out.push(Order::Limit);
        self.go(scenario, Next::Step(0), out)
    }

    fn dialing_a(self, scenario: &Scenario, input: Input, out: &mut Vec<Order>) -> Script {
        match input {
            Input::Leg(LegNo::A, LegEvent::Answered) => {
                out.push(Order::Limit);
                self.go(scenario, Next::Step(0), out)
            }
            Input::Leg(LegNo::A, LegEvent::Failed(failure) | LegEvent::Lost(failure)) => {
                let by = refuser(side(LegNo::A), failure);
                self.end(Outcome::Failed(failure), by, out)
            }
            // The answer and the BYE came in one breath.
            Input::Leg(LegNo::A, LegEvent::HungUp) => {
                self.end(Outcome::Completed, Side::Caller, out)
            }
            input => self.elsewhere(input, out),
        }
    }

    /// A hears something, or is waited for.
    fn alone(self, scenario: &Scenario, input: Input, out: &mut Vec<Order>) -> Script {
        let Some(Step::Say(say)) = scenario.step(self.at) else {
            return self.end(Outcome::Failed(ours(Kind::Internal)), Side::Platform, out);
        };
        match (self.state, input) {
            (_, Input::Leg(LegNo::A, LegEvent::HungUp)) => {
                self.end(Outcome::Completed, Side::Caller, out)
            }
            (_, Input::Leg(LegNo::A, LegEvent::Lost(failure) | LegEvent::Failed(failure))) => {
                self.end(Outcome::Failed(failure), Side::Platform, out)
            }
            (State::Saying { clip, round }, Input::Leg(LegNo::A, LegEvent::PromptOver)) => {
                self.said(scenario, say, (clip, round), out)
            }
            // Half of an announcement is none.
            (State::Saying { .. }, Input::Leg(LegNo::A, LegEvent::Unplayable)) => {
                self.end(Outcome::Failed(ours(Kind::Internal)), Side::Platform, out)
            }
            (State::Pausing { round }, Input::Waited) => self.say((0, round), out),
            (State::Waiting(typed), Input::Waited) => self.typed(scenario, say, (typed, true), out),
            (_, Input::Leg(LegNo::A, LegEvent::Key(key))) if say.listens() => {
                self.pressed(scenario, say, key, out)
            }
            (_, input) => self.elsewhere(input, out),
        }
    }

    /// A leaves a message.
    fn speaking(self, scenario: &Scenario, input: Input, out: &mut Vec<Order>) -> Script {
        let next = match scenario.step(self.at) {
            Some(Step::Message { next, .. }) => *next,
            _ => Next::HangUp,
        };
        match (self.state, input) {
            (State::Tone, Input::Leg(LegNo::A, LegEvent::PromptOver)) => {
                out.push(Order::Hear(LegNo::A, Hear::Nothing));
                out.push(Order::Speak { step: self.at });
                self.turned(State::Speaking)
            }
            (State::Speaking, Input::Waited | Input::Leg(LegNo::A, LegEvent::Key(END_KEY))) => {
                out.push(Order::Spoken);
                self.go(scenario, next, out)
            }
            (_, Input::Leg(LegNo::A, LegEvent::HungUp)) => {
                self.end(Outcome::Completed, Side::Caller, out)
            }
            // Whoever has said it and does not hang up: his silence is the end.
            (State::Speaking, Input::Leg(LegNo::A, LegEvent::Lost(failure)))
                if failure.kind == Kind::MediaSilence =>
            {
                self.end(Outcome::Completed, Side::Platform, out)
            }
            (_, Input::Leg(LegNo::A, LegEvent::Lost(failure) | LegEvent::Failed(failure))) => {
                self.end(Outcome::Failed(failure), Side::Platform, out)
            }
            (_, input) => self.elsewhere(input, out),
        }
    }

    /// How it goes on is asked.
    fn asking(self, scenario: &Scenario, input: Input, out: &mut Vec<Order>) -> Script {
        let (fallback, heard) = match scenario.step(self.at) {
            Some(Step::Ask(ask)) => (ask.fallback, ask.clip.is_some()),
            _ => (Next::HangUp, true),
        };
        let next = match input {
            Input::Told { turn, next } if turn == self.asks => next.unwrap_or(fallback),
            Input::Waited => fallback,
            Input::Leg(LegNo::A, LegEvent::HungUp) => {
                return self.end(Outcome::Completed, Side::Caller, out);
            }
            Input::Leg(LegNo::A, LegEvent::Lost(failure) | LegEvent::Failed(failure)) => {
                return self.end(Outcome::Failed(failure), Side::Platform, out);
            }
            input => return self.elsewhere(input, out),
        };
        if heard {
            out.push(Order::Hear(LegNo::A, Hear::Nothing));
        }
        self.go(scenario, next, out)
    }

    /// A is in a conference, or is let in.
    fn conferring(self, scenario: &Scenario, input: Input, out: &mut Vec<Order>) -> Script {
        let (next, failed) = match scenario.step(self.at) {
            Some(Step::Confer { next, failed, .. }) => (*next, *failed),
            _ => (Next::HangUp, Next::HangUp),
        };
        match (self.state, input) {
            (State::Joining, Input::Visit(Visit::In)) => self.turned(State::Conferring),
            (State::Joining, Input::Visit(Visit::Out | Visit::Refused(_)) | Input::Waited) => {
                self.go(scenario, failed, out)
            }
            (_, Input::Visit(Visit::Refused(_))) => {
                out.push(Order::Hear(LegNo::A, Hear::Nothing));
                self.go(scenario, failed, out)
            }
            (_, Input::Visit(Visit::Out)) => {
                out.push(Order::Hear(LegNo::A, Hear::Nothing));
                self.go(scenario, next, out)
            }
            (_, Input::Leg(LegNo::A, LegEvent::HungUp)) => {
                self.end(Outcome::Completed, Side::Caller, out)
            }
            (_, Input::Leg(LegNo::A, LegEvent::Lost(failure) | LegEvent::Failed(failure))) => {
                self.end(Outcome::Failed(failure), Side::Platform, out)
            }
            (_, input) => self.elsewhere(input, out),
        }
    }

    /// A sound is over.
    fn said(
        self,
        scenario: &Scenario,
        say: &Say,
        (clip, round): (u8, u8),
        out: &mut Vec<Order>,
    ) -> Script {
        if usize::from(clip) + 1 < say.clips.len() {
            return self.say((clip + 1, round), out);
        }
        if round + 1 < say.times {
            out.push(Order::Pause);
            return self.turned(State::Pausing { round: round + 1 });
        }
        self.wait(scenario, say, Typed::default(), out)
    }

    fn say(self, (clip, round): (u8, u8), out: &mut Vec<Order>) -> Script {
        out.push(Order::Say { step: self.at, clip });
        self.turned(State::Saying { clip, round })
    }

    /// For a key, or for the next one.
    fn wait(self, scenario: &Scenario, say: &Say, typed: Typed, out: &mut Vec<Order>) -> Script {
        if !say.listens() || say.wait.is_zero() && typed.is_empty() {
            return self.go(scenario, say.none, out);
        }
        out.push(Order::Wait { step: self.at });
        self.turned(State::Waiting(typed))
    }

    /// A key.
    fn pressed(self, scenario: &Scenario, say: &Say, key: char, out: &mut Vec<Order>) -> Script {
        let typed = match self.state {
            State::Waiting(typed) => typed,
            _ => Typed::default(),
        };
        if matches!(self.state, State::Saying { .. }) {
            out.push(Order::Hear(LegNo::A, Hear::Nothing));
        }
        if key == END_KEY
            && typed.is_empty()
            && say.collect.is_some()
            && !leads(say, typed.and(key))
        {
            return self.go(scenario, say.none, out);
        }
        let more = typed.and(key);
        // The end of what came before it, unless a choice has it.
        let ends = key == END_KEY && !typed.is_empty() && !leads(say, more);
        if ends {
            return self.typed(scenario, say, (typed, true), out);
        }
        self.typed(scenario, say, (more, false), out)
    }

    /// What the keys so far lead to. `over`: there will be no more.
    fn typed(
        self,
        scenario: &Scenario,
        say: &Say,
        (typed, over): (Typed, bool),
        out: &mut Vec<Order>,
    ) -> Script {
        if typed.is_empty() {
            return self.go(scenario, say.none, out);
        }
        let choice = say.choices.iter().find(|choice| typed.is(&choice.keys));
        let longer = say.choices.iter().any(|choice| typed.begins(&choice.keys));
        let full = say.collect.is_some_and(|collect| typed.len() >= usize::from(collect.max));
        if let Some(Choice { next, .. }) = choice
            && (over || !longer)
        {
            let secret = say.collect.is_some_and(|collect| collect.secret);
            out.push(Order::Collected { typed, secret });
            return self.go(scenario, *next, out);
        }
        if let Some(collect) = say.collect
            && (over || full && !longer)
        {
            out.push(Order::Collected { typed, secret: collect.secret });
            return self.go(scenario, collect.next, out);
        }
        if over || !longer && say.collect.is_none() {
            out.push(Order::Collected { typed, secret: false });
            return self.go(scenario, say.other, out);
        }
        self.wait(scenario, say, typed, out)
    }

    /// Goes on with another step.
    fn go(self, scenario: &Scenario, next: Next, out: &mut Vec<Order>) -> Script {
        let mut next = next;
        // What takes no time is done on the way, and may lead in a circle.
        for _ in 0..=Scenario::STEPS_MAX {
            let Next::Step(at) = next else { break };
            let Some(Step::Tape { on, next: then }) = scenario.step(at) else { break };
            out.push(Order::Taping(*on));
            next = *then;
        }
        let (at, step) = match next {
            Next::Step(at) => (at, scenario.step(at)),
            Next::HangUp => (self.at, None),
        };
        let script = Script { at, ..self };
        match step {
            None | Some(Step::Tape { .. }) => script.end(Outcome::Completed, Side::Platform, out),
            Some(Step::Lead { .. } | Step::Hunt { .. } | Step::Confer { .. })
                if self.leads >= LEADS_MAX =>
            {
                script.end(Outcome::Completed, Side::Platform, out)
            }
            Some(Step::Say(say)) if say.clips.is_empty() => {
                script.wait(scenario, say, Typed::default(), out)
            }
            Some(Step::Say(_)) => script.say((0, 0), out),
            Some(Step::Message { .. }) => {
                out.push(Order::Hear(LegNo::A, Hear::Done));
                script.turned(State::Tone)
            }
            Some(Step::Ask(_)) if self.asks >= ASKS_MAX => {
                script.end(Outcome::Completed, Side::Platform, out)
            }
            Some(Step::Ask(ask)) => {
                let asks = self.asks + 1;
                if ask.clip.is_some() {
                    out.push(Order::Say { step: at, clip: 0 });
                }
                out.push(Order::Ask { step: at, turn: asks });
                Script { asks, ..script.turned(State::Asking) }
            }
            Some(Step::Confer { .. }) => {
                out.push(Order::Confer { step: at });
                let leads = self.leads + 1;
                Script { leads, ..script.turned(State::Joining) }
            }
            Some(Step::Lead { .. } | Step::Hunt { .. }) => {
                out.push(Order::Hear(LegNo::A, Hear::RingBack));
                out.push(Order::Lead { step: at });
                let leads = self.leads + 1;
                Script { leads, ..script.turned(State::Leading) }
            }
        }
    }

    /// Somebody is to be rung, or is.
    fn leading(self, scenario: &Scenario, input: Input, out: &mut Vec<Order>) -> Script {
        let to = self.rings();
        let rung = |leg: LegNo| to == Some(leg);
        match input {
            Input::Leg(LegNo::A, LegEvent::HungUp) => {
                let failure = Failure::new(origin(LegNo::A), Kind::Abandoned);
                out.extend(to.map(|to| {
                    Order::Release(to, Release { by: Side::Caller, failure: Some(failure) })
                }));
                // It was heard, whatever became of the rest.
                self.end(Outcome::Completed, Side::Caller, out)
            }
            Input::Leg(LegNo::A, LegEvent::Lost(failure) | LegEvent::Failed(failure)) => {
                let release = Release { by: Side::Platform, failure: Some(failure) };
                out.extend(to.map(|to| Order::Release(to, release)));
                self.end(Outcome::Failed(failure), Side::Platform, out)
            }
            Input::Diverted { to } => {
                out.push(Order::Hear(LegNo::A, Hear::RingBack));
                out.push(Order::Add(to));
                self.turned(State::Ringing { to, early: false })
            }
            Input::Leg(leg, LegEvent::EarlyMedia) if rung(leg) => {
                out.push(Order::Hear(LegNo::A, Hear::Leg(leg)));
                self.turned(State::Ringing { to: leg, early: true })
            }
            Input::Leg(leg, LegEvent::Anew) if rung(leg) => {
                out.push(Order::Hear(LegNo::A, Hear::RingBack));
                self.turned(State::Ringing { to: leg, early: false })
            }
            Input::Leg(leg, LegEvent::Answered) if rung(leg) => {
                out.push(Order::Join);
                self.turned(State::Bridged(Talk::with(leg)))
            }
            Input::Leg(leg, LegEvent::HungUp) if rung(leg) => {
                talk::over(side(leg), LegNo::A, out);
                self.turned(State::Ending)
            }
            // Nobody may be rung: no leg of a scenario is B, this is all that is ever told of it.
            Input::Leg(LegNo::B, LegEvent::Failed(_)) if self.state == State::Leading => {
                self.nobody(scenario, out)
            }
            Input::Leg(leg, LegEvent::Failed(failure) | LegEvent::Lost(failure)) if rung(leg) => {
                let by = refuser(side(leg), failure);
                out.push(Order::Release(leg, Release { by, failure: Some(failure) }));
                self.nobody(scenario, out)
            }
            Input::Take { old, new, place: Place::Ringing } if rung(old) => {
                let talk = taken(old, new, out);
                out.push(Order::Join);
                self.turned(State::Bridged(talk))
            }
            input => self.elsewhere(input, out),
        }
    }

    /// Whom the step leads to cannot be had.
    fn nobody(self, scenario: &Scenario, out: &mut Vec<Order>) -> Script {
        let next = match scenario.step(self.at) {
            Some(Step::Lead { failed, .. } | Step::Hunt { failed, .. }) => *failed,
            _ => Next::HangUp,
        };
        out.push(Order::Hear(LegNo::A, Hear::Nothing));
        self.go(scenario, next, out)
    }

    /// What is the same in each state before two talk.
    fn elsewhere(self, input: Input, out: &mut Vec<Order>) -> Script {
        match input {
            Input::Cut(failure) => {
                cut(failure, self.rings().unwrap_or(LegNo::B), out);
                self.turned(State::Ending)
            }
            Input::Take { new, .. } => {
                too_late(new, out);
                self
            }
            _ => self,
        }
    }

    fn end(self, outcome: Outcome, by: Side, out: &mut Vec<Order>) -> Script {
        let failure = match outcome {
            Outcome::Completed => None,
            Outcome::Failed(failure) => Some(failure),
        };
        out.push(Order::Decide(outcome, by));
        out.push(Order::Release(LegNo::A, Release { by, failure }));
        self.turned(State::Ending)
    }

    fn turned(self, state: State) -> Script {
        Script { state, ..self }
    }
}

/// These keys are a choice, or the beginning of one.
fn leads(say: &Say, typed: Typed) -> bool {
    say.choices.iter().any(|choice| typed.is(&choice.keys) || typed.begins(&choice.keys))
}

#[cfg(test)]
mod tests;
