//! Programs over legs. A flow sees leg events and gives orders; it knows no SIP, no clock, no table.
//! Each is an enum of its states, each state one function, each failure one row of one table.

pub(crate) mod callback;
pub(crate) mod conference;
pub(crate) mod dial;
pub(crate) mod listen;
pub(crate) mod menu;
pub(crate) mod script;
pub(crate) mod serve;
mod talk;
pub(crate) mod tell;
pub(crate) mod ussd;
pub(crate) mod voicemail;

use facts::scenario::Scenario;
use facts::{Failure, Kind, LegNo, Origin, Outcome, Side};

use crate::event::{Input, Order, Release};

pub(crate) use callback::Callback;
pub(crate) use conference::Conference;
pub(crate) use dial::Dial;
pub(crate) use listen::Listen;
pub(crate) use menu::Menu;
pub(crate) use script::Script;
pub(crate) use serve::Serve;
pub(crate) use talk::Talk;
pub(crate) use tell::Tell;
pub(crate) use voicemail::Voicemail;

/// The program of one call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flow {
    /// Ring A, then B, then join them.
    Callback(Callback),
    /// A called us: ring B, then join them.
    Dial(Dial),
    /// A dialled a code: do what it is for.
    Serve(Serve),
    /// A leaves a message.
    Voicemail(Voicemail),
    /// A listens to messages.
    Listen(Listen),
    /// A called us, and hears that it reaches nobody.
    Tell(Tell),
    /// A called a menu: it hears what there is to see, and types.
    Menu(Menu),
    /// A was rung, or has called us, for what a scenario says.
    Script(Script),
    /// A was rung, and then many.
    Conference(Conference),
}

impl Flow {
    /// Takes one input; appends its orders. `scenario`: that of the call, where it has one.
    pub(crate) fn step(
        self,
        scenario: Option<&Scenario>,
        input: Input,
        out: &mut Vec<Order>,
    ) -> Flow {
        match self {
            Flow::Callback(state) => Flow::Callback(state.step(input, out)),
            Flow::Dial(state) => Flow::Dial(state.step(input, out)),
            Flow::Serve(state) => Flow::Serve(state.step(input, out)),
            Flow::Voicemail(state) => Flow::Voicemail(state.step(input, out)),
            Flow::Listen(state) => Flow::Listen(state.step(input, out)),
            Flow::Tell(state) => Flow::Tell(state.step(input, out)),
            Flow::Menu(state) => Flow::Menu(state.step(input, out)),
            Flow::Script(state) => match scenario {
                Some(scenario) => Flow::Script(state.step(scenario, input, out)),
                None => self,
            },
            Flow::Conference(state) => Flow::Conference(state.step(input, out)),
        }
    }

    /// True once the flow only waits for its legs to go down.
    pub(crate) fn ending(self) -> bool {
        if let Flow::Script(script) = self {
            return script.ending();
        }
        if let Flow::Conference(conference) = self {
            return conference.ending();
        }
        matches!(
            self,
            Flow::Callback(Callback::Ending(_))
                | Flow::Dial(Dial::Ending)
                | Flow::Serve(Serve::Ending)
                | Flow::Voicemail(Voicemail::Ending)
                | Flow::Listen(Listen::Ending)
                | Flow::Tell(Tell::Ending)
                | Flow::Menu(Menu::Ending)
        )
    }

    /// The leg that is rung for A: B, or who has taken its place.
    pub(crate) fn rings(self) -> Option<LegNo> {
        match self {
            Flow::Callback(Callback::AnsweredA) => Some(LegNo::B),
            Flow::Callback(Callback::DialingB { to, .. })
            | Flow::Dial(Dial::DialingB { to, .. }) => Some(to),
            Flow::Script(script) => script.rings(),
            Flow::Callback(_)
            | Flow::Dial(_)
            | Flow::Serve(_)
            | Flow::Voicemail(_)
            | Flow::Listen(_)
            | Flow::Tell(_)
            | Flow::Menu(_)
            | Flow::Conference(_) => None,
        }
    }

    /// The two who talk, once they do.
    pub(crate) fn talk(self) -> Option<Talk> {
        match self {
            Flow::Callback(Callback::Bridged(talk)) | Flow::Dial(Dial::Bridged(talk)) => Some(talk),
            Flow::Script(script) => script.talk(),
            Flow::Callback(_)
            | Flow::Dial(_)
            | Flow::Serve(_)
            | Flow::Voicemail(_)
            | Flow::Listen(_)
            | Flow::Tell(_)
            | Flow::Menu(_)
            | Flow::Conference(_) => None,
        }
    }

    /// True where nobody is who could be joined with somebody else: A talks with this switch, or many with each other.
    pub(crate) fn is_alone(self) -> bool {
        match self {
            Flow::Serve(_)
            | Flow::Voicemail(_)
            | Flow::Listen(_)
            | Flow::Tell(_)
            | Flow::Menu(_)
            | Flow::Conference(_) => true,
            Flow::Script(script) => script.is_alone(),
            Flow::Callback(_) | Flow::Dial(_) => false,
        }
    }

    /// True while A is there, and B is being rung.
    pub(crate) fn dials_b(self) -> bool {
        matches!(
            self,
            Flow::Callback(Callback::AnsweredA | Callback::DialingB { .. })
                | Flow::Dial(Dial::DialingB { .. })
        ) || self.rings().is_some()
    }

    /// True while B is rung and A, who called us, hears nothing from here.
    pub(crate) fn rings_unheard(self) -> bool {
        matches!(self, Flow::Dial(Dial::DialingB { early: false, .. }))
    }

    /// The state's name for operators.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Flow::Callback(state) => state.word(),
            Flow::Dial(state) => state.word(),
            Flow::Serve(state) => state.word(),
            Flow::Voicemail(state) => state.word(),
            Flow::Listen(state) => state.word(),
            Flow::Tell(state) => state.word(),
            Flow::Menu(state) => state.word(),
            Flow::Script(state) => state.word(),
            Flow::Conference(state) => state.word(),
        }
    }
}

/// The person on a leg.
pub(crate) const fn side(leg: LegNo) -> Side {
    if leg.0 == 0 { Side::Caller } else { Side::Callee }
}

/// The author of what happens on a leg.
pub(crate) const fn origin(leg: LegNo) -> Origin {
    if leg.0 == 0 { Origin::LegA } else { Origin::LegB }
}

/// The author of what happens on a side.
pub(crate) const fn author(side: Side) -> Origin {
    match side {
        Side::Caller => Origin::LegA,
        Side::Callee => Origin::LegB,
        Side::Platform => Origin::Us,
    }
}

/// Who let go when a leg of this side failed before its answer: the person if it was the person's wish.
pub(crate) fn refuser(side: Side, failure: Failure) -> Side {
    match failure.kind {
        Kind::Busy | Kind::Rejected => side,
        _ => Side::Platform,
    }
}

/// Somebody called in to take a place that is not there, or not any more.
pub(crate) fn too_late(new: LegNo, out: &mut Vec<Order>) {
    let failure = Failure::new(Origin::Us, Kind::Busy);
    out.push(Order::Release(new, Release { by: Side::Platform, failure: Some(failure) }));
}

/// This leg rings, and somebody else takes the call.
pub(crate) fn taken(old: LegNo, new: LegNo, out: &mut Vec<Order>) -> Talk {
    out.push(Order::Elsewhere(old));
    out.push(Order::Replace(old, new));
    out.push(Order::Accept(new));
    Talk::of([LegNo::A, new])
}

/// Ends the call because of `failure`: both legs go, by our hand.
pub(crate) fn cut(failure: Failure, b: LegNo, out: &mut Vec<Order>) {
    let release = Release { by: Side::Platform, failure: Some(failure) };
    out.push(Order::Decide(Outcome::Failed(failure), Side::Platform));
    out.push(Order::Release(LegNo::A, release));
    out.push(Order::Release(b, release));
}

/// What A is told when B cannot be had (file names of the prompt store); `None` when there is nobody to tell.
pub(crate) const fn prompt(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Busy | Kind::Rejected => "callee-busy",
        Kind::NoAnswer => "callee-noanswer",
        Kind::Unallocated | Kind::InvalidNumber => "callee-invalid",
        Kind::Unreachable
        | Kind::TransportFailed
        | Kind::Forbidden
        | Kind::Congestion
        | Kind::NoRoute
        | Kind::NotAcceptable
        | Kind::Blocked
        | Kind::LostDialog => "callee-unreachable",
        Kind::NoBalance | Kind::CreditExhausted => "balance-low",
        Kind::Internal | Kind::Crash => "system-error",
        Kind::Abandoned
        | Kind::MaxDuration
        | Kind::MediaSilence
        | Kind::HungUpByUs
        | Kind::Shutdown => {
            return None;
        }
    })
}

#[cfg(test)]
mod tests;
