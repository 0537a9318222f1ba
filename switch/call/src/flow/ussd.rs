//! One session of a menu: a subscriber on one side, a merchant's page on the other (spec §5.2). The doors by which
//! subscribers come differ; what happens between two screens is here, once.
//!
//! ```text
//!            begin: ask                         the page: a menu            typed: ask
//!   dialled ----------->  Asking  ------------------------------>  Shown  -----------+
//!                           ^  |  the page: its last word, or none    | nothing typed |
//!                           |  +-----------------------> Over <-------+ left, too long|
//!                           +---------------------------------------------------------+
//! ```
//!
//! A text that is longer than a screen is shown page by page without asking the merchant for them; whatever but the
//! key for the next page is typed meanwhile goes to the merchant, who may have named it on the first page.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use facts::CallId;
use facts::ussd::{self, Code, Door, End, Language, Screen, Step, typed};

/// Beyond the page's own time: what the shell may take to tell that the page was silent.
const SHELL_WAIT: Duration = Duration::from_secs(2);

/// What is to be done next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Act {
    /// Ask the page.
    Ask(Step),
    /// Show a text, and take what is typed.
    Show(String),
    /// Show a text, and end.
    Close(String),
    /// End without a word.
    Leave,
}

/// A session.
#[derive(Debug)]
pub(crate) struct Session {
    code: Arc<Code>,
    step: Step,
    state: State,
    /// Screens of the text on show that were not shown yet.
    pages: VecDeque<String>,
    /// The text on show is the page's last word.
    last: bool,
    /// What is on show, for whom types nothing that could be told.
    shown: String,
    /// Texts are heard, and not read: whole, however long.
    heard: bool,
    ends_at: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Asking { until: Instant },
    Shown { until: Instant },
    Over(End),
}

impl Session {
    /// A subscriber dialled `code`, and `inputs` behind it in the same breath. Its page is not asked yet.
    pub(crate) fn begin(
        now: Instant,
        code: Arc<Code>,
        (session, mobile, door): (CallId, String, Door),
        inputs: &[String],
    ) -> Session {
        let step = Step {
            session,
            merchant: code.merchant,
            door,
            code: code.code.clone(),
            mobile,
            inputs: inputs.to_vec(),
            number: 0,
        };
        let ends_at = now + code.session;
        Session {
            code,
            step,
            state: State::Shown { until: ends_at },
            pages: VecDeque::new(),
            last: false,
            shown: String::new(),
            heard: false,
            ends_at,
        }
    }

    /// Texts are heard from now on, or are read.
    pub(crate) fn is_heard(&mut self, heard: bool) {
        self.heard = heard;
    }

    /// What is on show begins to be heard, or is over: then the time to type begins.
    pub(crate) fn heard(&mut self, now: Instant, begins: bool) {
        if let State::Shown { until } = &mut self.state {
            *until = if begins { self.ends_at } else { now + self.code.input };
        }
    }

    /// How long its subscriber is given to type.
    pub(crate) fn input(&self) -> Duration {
        self.code.input
    }

    /// Language of what the switch says by itself in it.
    pub(crate) fn language(&self) -> Language {
        self.code.language
    }

    /// How it ended; `None` while it goes on.
    pub(crate) fn end(&self) -> Option<End> {
        match self.state {
            State::Over(end) => Some(end),
            State::Asking { .. } | State::Shown { .. } => None,
        }
    }

    /// Pages that were asked for so far.
    pub(crate) fn steps(&self) -> u32 {
        self.step.number
    }

    /// When [`Session::due`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Asking { until } | State::Shown { until } => Some(until.min(self.ends_at)),
            State::Over(_) => None,
        }
    }

    /// The subscriber typed something. `None`: not now; a page is asked already.
    pub(crate) fn typed(&mut self, now: Instant, text: &str) -> Option<Act> {
        if !matches!(self.state, State::Shown { .. }) {
            return None;
        }
        let text = typed(text);
        if text == ussd::NEXT && !self.pages.is_empty() {
            return Some(self.turn(now));
        }
        if self.last {
            // There is nobody left to answer.
            return Some(self.over(End::Said, None));
        }
        if text.is_empty() {
            return Some(self.show(now, self.shown.clone()));
        }
        self.step.inputs.push(text);
        if !self.step.fits() {
            return Some(self.over(End::Deep, Some(words(self.code.language).deep)));
        }
        Some(self.ask(now))
    }

    /// What the page said to step `number`. `None`: it is not waited for any more.
    pub(crate) fn answered(&mut self, now: Instant, number: u32, screen: Screen) -> Option<Act> {
        if number != self.step.number || !matches!(self.state, State::Asking { .. }) {
            return None;
        }
        let words = words(self.code.language);
        let (text, last) = match screen {
            Screen::Menu(text) => (text, false),
            Screen::Last(text) => (text, true),
            Screen::Unavailable => {
                return Some(self.over(End::Unavailable, Some(words.unavailable)));
            }
            Screen::Unpaid => return Some(self.over(End::Unpaid, Some(words.unavailable))),
        };
        self.pages = match (self.heard, text.trim()) {
            (false, _) => ussd::screens(&text, self.code.language).0.into(),
            (true, "") => VecDeque::new(),
            (true, text) => VecDeque::from([text.to_owned()]),
        };
        self.last = last;
        if self.pages.is_empty() {
            return Some(self.over(End::Unavailable, Some(words.unavailable)));
        }
        Some(self.turn(now))
    }

    /// The subscriber left, or the network lost him.
    pub(crate) fn left(&mut self, end: End) {
        if self.end().is_none() {
            self.state = State::Over(end);
        }
    }

    /// A deadline has come.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Act> {
        if self.poll_timeout()? > now {
            return None;
        }
        let words = words(self.code.language);
        Some(match self.state {
            State::Asking { until } if until <= now => {
                self.over(End::Unavailable, Some(words.unavailable))
            }
            State::Shown { .. } if self.last => self.over(End::Said, None),
            State::Shown { until } if until <= now => self.over(End::Silent, None),
            _ => self.over(End::Long, Some(words.long)),
        })
    }

    /// Asks the page.
    pub(crate) fn ask(&mut self, now: Instant) -> Act {
        self.pages.clear();
        self.step.number += 1;
        self.state = State::Asking { until: now + self.code.page + SHELL_WAIT };
        Act::Ask(self.step.clone())
    }

    /// Shows the next screen of a text.
    fn turn(&mut self, now: Instant) -> Act {
        let text = self.pages.pop_front().unwrap_or_default();
        if self.pages.is_empty() && self.last {
            return self.over(End::Said, Some(text.as_str()));
        }
        self.show(now, text)
    }

    fn show(&mut self, now: Instant, text: String) -> Act {
        self.shown.clone_from(&text);
        self.state = State::Shown { until: now + self.code.input };
        Act::Show(text)
    }

    fn over(&mut self, end: End, text: Option<&str>) -> Act {
        self.state = State::Over(end);
        text.map_or(Act::Leave, |text| Act::Close(text.to_owned()))
    }
}

/// What the switch says by itself.
pub(crate) struct Words {
    /// The page is not to be had.
    pub(crate) unavailable: &'static str,
    /// The session took too long.
    pub(crate) long: &'static str,
    /// More was typed than can be told.
    pub(crate) deep: &'static str,
}

/// The words of a language.
pub(crate) fn words(language: Language) -> &'static Words {
    match language {
        Language::Fa => &Words {
            unavailable: "سرویس در دسترس نیست",
            long: "زمان شما به پایان رسید",
            deep: "تعداد ورودی‌ها بیش از حد مجاز است",
        },
        Language::En => &Words {
            unavailable: "The service is not available",
            long: "Your time is up",
            deep: "Too much was typed",
        },
        Language::Zh => {
            &Words { unavailable: "服务暂不可用", long: "会话超时", deep: "输入过多" }
        }
    }
}

#[cfg(test)]
mod tests;
