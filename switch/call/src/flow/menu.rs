//! A has called the code of a menu. It hears what there is to see, or reads it on its phone while the call is up, and
//! types by keys: `#` hands on what was typed, and so does a pause. There is no other leg; what is paid is the session.
//!
//! ```text
//!  Opening ──open──► Open ──a screen to say──► Saying ──its end, a key──► Open ──keys, # or a pause──► the page is asked
//!                     │                          └── the last one is over ──► Ending
//!                     └── nothing more to see ──► Ending
//! ```

use facts::{Failure, Kind, LegNo, Outcome, Side};

use crate::event::{Hear, Input, LegEvent, MenuNews, MenuWish, Order, Release, Typed};

use super::{origin, too_late};

/// Hands on what was typed.
const END_KEY: char = '#';
/// What A hears when what there is to see cannot be said (a file name of the prompt store).
const DEAF: &str = "menu-unsaid";

/// Where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Menu {
    /// The session is to be opened.
    Opening,
    /// Nothing is said: the page is asked, or A has what there is to see, and types.
    Open(Typed),
    /// A hears a screen.
    Saying {
        /// It is the last one.
        last: bool,
    },
    /// A hears that it cannot be said.
    Sorry,
    /// A goes down.
    Ending,
}

impl Menu {
    /// The first state and its orders.
    pub(crate) fn start(out: &mut Vec<Order>) -> Menu {
        out.push(Order::Serve);
        Menu::Opening
    }

    /// The state's name for operators.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Menu::Opening => "serving",
            Menu::Open(_) | Menu::Saying { .. } | Menu::Sorry => "menu",
            Menu::Ending => "ending",
        }
    }

    /// One input.
    pub(crate) fn step(self, input: Input, out: &mut Vec<Order>) -> Menu {
        match (self, input) {
            (_, Input::Take { new, .. }) => {
                too_late(new, out);
                self
            }
            (Menu::Ending, _) => self,
            (Menu::Opening, Input::Leg(LegNo::A, LegEvent::HungUp)) => {
                end(Failure::new(origin(LegNo::A), Kind::Abandoned), out)
            }
            (_, Input::Leg(LegNo::A, LegEvent::HungUp)) => done(Side::Caller, out),
            (_, Input::Leg(LegNo::A, LegEvent::Lost(failure) | LegEvent::Failed(failure)))
            | (_, Input::Cut(failure)) => end(failure, out),
            (Menu::Opening, Input::Menu(MenuNews::Open)) => {
                out.push(Order::Accept(LegNo::A));
                Menu::Open(Typed::default())
            }
            (Menu::Opening, _) => self,
            (_, Input::Menu(news)) => self.told(news, out),
            (Menu::Open(typed), Input::Waited) if !typed.is_empty() => hand_on(typed, out),
            (_, Input::Leg(LegNo::A, event)) => self.heard(event, out),
            (_, _) => self,
        }
    }

    /// What becomes of the session.
    fn told(self, news: MenuNews, out: &mut Vec<Order>) -> Menu {
        match (self, news) {
            // It was told already that nothing can be said; it hears that to its end.
            (Menu::Sorry, _) | (Menu::Saying { last: true }, _) => self,
            (_, MenuNews::Say { last }) => {
                // What was typed into the screen before is nobody's.
                out.push(Order::Typing(false));
                out.push(Order::Screen);
                out.push(Order::Wish(MenuWish::Hears));
                Menu::Saying { last }
            }
            // A soft tone now and then: the call is up, and what there is to see is on the phone.
            (_, MenuNews::Written) => {
                out.push(Order::Typing(false));
                out.push(Order::Hear(LegNo::A, Hear::Hold));
                Menu::Open(Typed::default())
            }
            (_, MenuNews::Over) => done(Side::Platform, out),
            (_, MenuNews::Open) => self,
        }
    }

    /// What A hears is over, or A pressed a key.
    fn heard(self, event: LegEvent, out: &mut Vec<Order>) -> Menu {
        match (self, event) {
            (Menu::Saying { last: false }, LegEvent::PromptOver) => {
                out.push(Order::Wish(MenuWish::Heard));
                Menu::Open(Typed::default())
            }
            (Menu::Saying { last: true } | Menu::Sorry, LegEvent::PromptOver) => {
                done(Side::Platform, out)
            }
            (Menu::Saying { .. }, LegEvent::Unplayable) => {
                out.push(Order::Wish(MenuWish::Deaf));
                out.push(Order::Hear(LegNo::A, Hear::Prompt(DEAF)));
                Menu::Sorry
            }
            (Menu::Saying { last: false }, LegEvent::Key(key)) => {
                out.push(Order::Hear(LegNo::A, Hear::Nothing));
                out.push(Order::Wish(MenuWish::Heard));
                pressed(Typed::default(), key, out)
            }
            (Menu::Open(typed), LegEvent::Key(key)) => pressed(typed, key, out),
            (_, _) => self,
        }
    }
}

fn pressed(typed: Typed, key: char, out: &mut Vec<Order>) -> Menu {
    if key == END_KEY {
        return hand_on(typed, out);
    }
    out.push(Order::Typing(true));
    Menu::Open(typed.and(key))
}

fn hand_on(typed: Typed, out: &mut Vec<Order>) -> Menu {
    out.push(Order::Typing(false));
    out.push(Order::Wish(MenuWish::Type(typed)));
    Menu::Open(Typed::default())
}

fn done(by: Side, out: &mut Vec<Order>) -> Menu {
    out.push(Order::Decide(Outcome::Completed, by));
    out.push(Order::Release(LegNo::A, Release { by, failure: None }));
    Menu::Ending
}

fn end(failure: Failure, out: &mut Vec<Order>) -> Menu {
    let by = if failure.kind == Kind::Abandoned { Side::Caller } else { Side::Platform };
    out.push(Order::Decide(Outcome::Failed(failure), by));
    out.push(Order::Release(LegNo::A, Release { by, failure: Some(failure) }));
    Menu::Ending
}

#[cfg(test)]
mod tests {
    use facts::Origin;
    use proptest::prelude::*;

    use super::*;
    use crate::event::ours;

    fn any_input() -> impl Strategy<Value = Input> {
        let failure = Failure::new(Origin::LegA, Kind::MediaSilence);
        let leg = |event| Input::Leg(LegNo::A, event);
        prop_oneof![
            12 => prop::sample::select(vec![
                Input::Menu(MenuNews::Open),
                Input::Menu(MenuNews::Say { last: false }),
                Input::Menu(MenuNews::Written),
                leg(LegEvent::PromptOver),
                leg(LegEvent::Key('4')),
                leg(LegEvent::Key('#')),
                Input::Waited,
            ]),
            1 => prop::sample::select(vec![
                Input::Menu(MenuNews::Say { last: true }),
                Input::Menu(MenuNews::Over),
                leg(LegEvent::Unplayable),
                leg(LegEvent::HungUp),
                leg(LegEvent::Lost(failure)),
                Input::Cut(failure),
            ]),
        ]
    }

    proptest! {
        /// Whatever comes in whatever order: an outcome is decided exactly when the flow ends, A is answered once and
        /// before it hears or types anything, and what was typed is handed on once, in its order.
        #[test]
        fn no_order_of_events_loses_a_key_or_tells_it_twice(
            inputs in prop::collection::vec(any_input(), 0..60),
        ) {
            let mut orders = Vec::new();
            let mut flow = Menu::start(&mut orders);
            let (mut accepted, mut keys) = (false, String::new());
            for input in inputs {
                orders.clear();
                let before = flow;
                flow = flow.step(input, &mut orders);
                let decides = orders.iter().any(|order| matches!(order, Order::Decide(..)));
                prop_assert_eq!(decides, flow == Menu::Ending && before != Menu::Ending);
                prop_assert!(before != Menu::Ending || orders.is_empty());
                let types = matches!(before, Menu::Open(_) | Menu::Saying { last: false });
                if let Input::Leg(_, LegEvent::Key('4')) = input && types {
                    keys.push('4');
                }
                for order in &orders {
                    match order {
                        Order::Accept(_) => prop_assert!(!std::mem::replace(&mut accepted, true)),
                        Order::Hear(..) | Order::Screen => prop_assert!(accepted),
                        Order::Wish(MenuWish::Type(typed)) => {
                            let most = keys.len().min(facts::scenario::Say::KEYS_MAX);
                            prop_assert_eq!(typed.to_string(), keys[..most].to_owned());
                            keys.clear();
                        }
                        _ => {}
                    }
                }
                if let Input::Menu(_) = input && orders.iter().any(|order| {
                    matches!(order, Order::Screen | Order::Hear(..))
                }) {
                    // Another screen: what was typed into the one before is nobody's.
                    keys.clear();
                }
            }
        }
    }

    #[test]
    fn a_refusal_before_the_answer_is_the_calls_own() {
        let mut out = Vec::new();
        let flow = Menu::start(&mut out).step(Input::Cut(ours(Kind::Forbidden)), &mut out);
        assert_eq!(flow, Menu::Ending);
        assert!(!out.iter().any(|order| matches!(order, Order::Accept(_))));
    }
}
