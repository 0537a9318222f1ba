//! An extension listens to what callers have left in its mailbox: a tone and a message, a tone and the next one.
//! [`DELETE_KEY`] takes the message away that is heard, [`NEXT_KEY`] goes on to the next. There is no other leg,
//! and nothing to pay.
//!
//! A message counts as heard when it was heard to its end, or gone on from: one that was cut off, or that cannot
//! be played, stays what it was.

use facts::{Failure, Kind, LegNo, Outcome, Side};

use crate::event::{Hear, Input, LegEvent, Mail, Order, Release, ours};

use super::{origin, too_late};

/// Where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Listen {
    /// The store is asked for what there is.
    Asking,
    /// Is there another one?
    Between,
    /// A hears that another one comes.
    Tone,
    /// A hears a message.
    Playing,
    /// The store is asked to take it away.
    Deleting,
    /// A hears that something is not to be had.
    Sorry,
    /// A hears that there is nothing more.
    Closing,
    /// A goes down.
    Ending,
}

/// Takes the message away.
const DELETE_KEY: char = '7';
/// Goes on to the next one.
const NEXT_KEY: char = '#';
/// What A hears (file names of the prompt store) of an empty mailbox,
const EMPTY: &str = "voicemail-empty";
/// behind the last message,
const END: &str = "voicemail-end";
/// and when a message cannot be played or deleted.
const SORRY: &str = "system-error";

impl Listen {
    /// The first state and its orders.
    pub(crate) fn start(out: &mut Vec<Order>) -> Listen {
        out.push(Order::Serve);
        Listen::Asking
    }

    /// The state's name for operators.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Listen::Asking => "serving",
            Listen::Ending => "ending",
            Listen::Between
            | Listen::Tone
            | Listen::Playing
            | Listen::Deleting
            | Listen::Sorry
            | Listen::Closing => "listening",
        }
    }

    /// One input.
    pub(crate) fn step(self, input: Input, out: &mut Vec<Order>) -> Listen {
        match (self, input) {
            (_, Input::Take { new, .. }) => {
                too_late(new, out);
                self
            }
            (Listen::Ending, _) => self,
            (Listen::Asking, Input::Leg(LegNo::A, LegEvent::HungUp)) => {
                end(Failure::new(origin(LegNo::A), Kind::Abandoned), out)
            }
            (_, Input::Leg(LegNo::A, LegEvent::HungUp)) => done(Side::Caller, out),
            (_, Input::Leg(LegNo::A, LegEvent::Lost(failure) | LegEvent::Failed(failure)))
            | (_, Input::Cut(failure)) => end(failure, out),
            (_, Input::Mail(told)) => self.told(told, out),
            (_, Input::Leg(LegNo::A, event)) => self.heard(event, out),
            (_, _) => self,
        }
    }

    /// What the store says.
    fn told(self, told: Mail, out: &mut Vec<Order>) -> Listen {
        match (self, told) {
            (Listen::Asking, Mail::Fetched { any }) => {
                out.push(Order::Accept(LegNo::A));
                if any {
                    return next(out);
                }
                out.push(Order::Hear(LegNo::A, Hear::Prompt(EMPTY)));
                Listen::Closing
            }
            (Listen::Asking, Mail::Away) => end(ours(Kind::Internal), out),
            (Listen::Between, Mail::Another) => {
                out.push(Order::Hear(LegNo::A, Hear::Done));
                Listen::Tone
            }
            (Listen::Between, Mail::NoMore) => {
                out.push(Order::Hear(LegNo::A, Hear::Prompt(END)));
                Listen::Closing
            }
            (Listen::Deleting, Mail::Deleted) => next(out),
            (Listen::Deleting, Mail::Away) => sorry(out),
            (_, _) => self,
        }
    }

    /// What A hears is over, or A pressed a key.
    fn heard(self, event: LegEvent, out: &mut Vec<Order>) -> Listen {
        match (self, event) {
            (Listen::Tone, LegEvent::PromptOver) => {
                out.push(Order::Play);
                Listen::Playing
            }
            (Listen::Playing, LegEvent::PromptOver | LegEvent::Key(NEXT_KEY)) => {
                out.push(Order::Heard);
                next(out)
            }
            (Listen::Playing, LegEvent::Unplayable) => sorry(out),
            (Listen::Playing | Listen::Sorry, LegEvent::Key(DELETE_KEY)) => {
                out.push(Order::Hear(LegNo::A, Hear::Nothing));
                out.push(Order::Delete);
                Listen::Deleting
            }
            (Listen::Sorry, LegEvent::PromptOver | LegEvent::Key(NEXT_KEY)) => next(out),
            (Listen::Closing, LegEvent::PromptOver) => done(Side::Platform, out),
            (_, _) => self,
        }
    }
}

fn next(out: &mut Vec<Order>) -> Listen {
    out.push(Order::Advance);
    Listen::Between
}

fn sorry(out: &mut Vec<Order>) -> Listen {
    out.push(Order::Hear(LegNo::A, Hear::Prompt(SORRY)));
    Listen::Sorry
}

fn done(by: Side, out: &mut Vec<Order>) -> Listen {
    out.push(Order::Decide(Outcome::Completed, by));
    out.push(Order::Release(LegNo::A, Release { by, failure: None }));
    Listen::Ending
}

fn end(failure: Failure, out: &mut Vec<Order>) -> Listen {
    let by = if failure.kind == Kind::Abandoned { Side::Caller } else { Side::Platform };
    out.push(Order::Decide(Outcome::Failed(failure), by));
    out.push(Order::Release(LegNo::A, Release { by, failure: Some(failure) }));
    Listen::Ending
}

#[cfg(test)]
mod tests {
    use facts::Origin;
    use proptest::prelude::*;

    use super::*;

    fn any_input() -> impl Strategy<Value = Input> {
        let failure = Failure::new(Origin::LegA, Kind::MediaSilence);
        let leg = |event| Input::Leg(LegNo::A, event);
        prop_oneof![
            8 => prop::sample::select(vec![
                Input::Mail(Mail::Fetched { any: true }),
                Input::Mail(Mail::Another),
                leg(LegEvent::PromptOver),
                leg(LegEvent::Key(NEXT_KEY)),
                leg(LegEvent::Key(DELETE_KEY)),
                leg(LegEvent::Key('5')),
                leg(LegEvent::Unplayable),
                Input::Mail(Mail::Deleted),
                Input::Mail(Mail::Away),
            ]),
            1 => prop::sample::select(vec![
                Input::Mail(Mail::Fetched { any: false }),
                Input::Mail(Mail::NoMore),
                leg(LegEvent::HungUp),
                leg(LegEvent::Lost(failure)),
                Input::Cut(failure),
            ]),
        ]
    }

    proptest! {
        /// Whatever comes in whatever order: an outcome is decided exactly when the flow ends, A is answered
        /// once and before it hears anything, and nothing is marked heard that was not played since the one
        /// before.
        #[test]
        fn no_order_of_events_marks_a_message_that_was_not_played(
            inputs in prop::collection::vec(any_input(), 0..60),
        ) {
            let mut orders = Vec::new();
            let mut flow = Listen::start(&mut orders);
            let (mut accepted, mut played, mut deleting) = (false, false, false);
            for input in inputs {
                orders.clear();
                let was_ending = flow == Listen::Ending;
                flow = flow.step(input, &mut orders);
                let decides = orders.iter().any(|order| matches!(order, Order::Decide(..)));
                prop_assert_eq!(decides, flow == Listen::Ending && !was_ending);
                prop_assert!(!was_ending || orders.is_empty());
                if let Input::Mail(Mail::Deleted | Mail::Away) = input {
                    deleting = false;
                }
                for order in &orders {
                    match order {
                        Order::Accept(_) => prop_assert!(!std::mem::replace(&mut accepted, true)),
                        Order::Hear(..) => prop_assert!(accepted),
                        Order::Play => prop_assert!(!std::mem::replace(&mut played, true)),
                        Order::Heard => prop_assert!(std::mem::replace(&mut played, false)),
                        Order::Delete => prop_assert!(!std::mem::replace(&mut deleting, true)),
                        Order::Advance => played = false,
                        _ => {}
                    }
                }
            }
        }
    }
}
