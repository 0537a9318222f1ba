//! Menus that a merchant's web page says, step by step, to whoever dials its code (system 003, spec §5).

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::gsm::{Room, septet_count};
use crate::id::{CallId, MerchantId};
use crate::money::Micros;

/// Characters of the string that a page is told, at most (spec §5.2).
pub const CALL_MAX: usize = 256;
/// Segments of it at most, those of the code counted.
pub const SEGMENTS_MAX: usize = 10;
/// Screens of one text at most; the rest of it is not shown.
pub const SCREENS_MAX: usize = 5;
/// What is typed for the next screen of the same text.
pub const NEXT: &str = "0";

/// A dialled string without what frames it: segments of `*6655*123*7#`. At least one, none of them empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Dialled(Vec<String>);

impl Dialled {
    /// Reads `*6655*123#`. The last `#` may be missing (some phones keep it to themselves), digits may be Persian
    /// or Arabic ones, and there may be left-to-right marks about.
    ///
    /// `None`: it is no such string, but perhaps a telephone number. A code begins with `*`, and has digits and
    /// letters between its stars.
    #[must_use]
    pub fn parse(text: &str) -> Option<Dialled> {
        let text: String = text.chars().filter(|c| !is_mark(*c)).map(ascii_digit).collect();
        let inner = text.trim().strip_prefix('*')?;
        let inner = inner.strip_suffix('#').unwrap_or(inner);
        Dialled::segments(inner)
    }

    /// Reads a code as an operator writes it: `*6655*123#`, `6655*123` or `123`.
    #[must_use]
    pub fn code(text: &str) -> Option<Dialled> {
        let text = text.trim();
        let inner = text.strip_prefix('*').unwrap_or(text);
        Dialled::segments(inner.strip_suffix('#').unwrap_or(inner))
    }

    fn segments(inner: &str) -> Option<Dialled> {
        let fits = |segment: &str| {
            !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        let segments: Vec<String> = inner.split('*').map(str::to_owned).collect();
        let whole = segments.iter().all(|segment| fits(segment));
        let short = inner.len() <= CALL_MAX && segments.len() <= SEGMENTS_MAX;
        (whole && short).then_some(Dialled(segments))
    }

    /// What follows this code in what was dialled; `None`: another code was.
    #[must_use]
    pub fn beyond<'a>(&'a self, code: &Dialled) -> Option<&'a [String]> {
        self.0.strip_prefix(code.0.as_slice())
    }

    /// Its segments.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

impl Borrow<[String]> for Dialled {
    fn borrow(&self) -> &[String] {
        &self.0
    }
}

/// Of the codes there are, the longest that what was dialled begins with.
#[must_use]
pub fn longest<'a>(
    codes: &'a BTreeMap<Dialled, Arc<Code>>,
    dialled: &Dialled,
) -> Option<&'a Arc<Code>> {
    (1..=dialled.0.len()).rev().find_map(|segments| codes.get(&dialled.0[..segments]))
}

impl std::fmt::Display for Dialled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "*{}#", self.0.join("*"))
    }
}

/// Marks of writing direction and the byte order mark, which no subscriber typed.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Persian and Arabic digits as ASCII ones.
fn ascii_digit(c: char) -> char {
    let base = match c {
        '\u{6f0}'..='\u{6f9}' => 0x6f0,
        '\u{660}'..='\u{669}' => 0x660,
        _ => return c,
    };
    char::from_digit(u32::from(c) - base, 10).unwrap_or(c)
}

/// What a subscriber typed into a menu, as pages are told it (spec §5.2): no controls, ASCII digits, no `*`, no `#`
/// at its end. Whatever else it is, is left: free text is legal.
#[must_use]
pub fn typed(text: &str) -> String {
    let kept = text.chars().filter(|c| !c.is_control() && !is_mark(*c) && *c != '*');
    let text: String = kept.map(ascii_digit).collect();
    text.trim_start().trim_end_matches(|c: char| c == '#' || c.is_whitespace()).to_owned()
}

/// In which language the switch speaks by itself, where a page does not.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// Persian.
    #[default]
    Fa,
    /// English.
    En,
    /// Chinese.
    Zh,
}

impl Language {
    /// Its tag (ISO 639-1).
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Language::Fa => "fa",
            Language::En => "en",
            Language::Zh => "zh",
        }
    }
}

/// The screens of a text, none of an empty one, and whether some of it is on none of them. All but the last say how to
/// come to the next.
#[must_use]
pub fn screens(text: &str, language: Language) -> (Vec<String>, bool) {
    let text = text.trim();
    if Room::USSD.holds(text) {
        let whole = Some(text.to_owned()).filter(|text| !text.is_empty());
        return (Vec::from_iter(whole), false);
    }
    let next = match language {
        Language::Fa => "بعد",
        Language::En => "next",
        Language::Zh => "下页",
    };
    let tail = format!("\n{NEXT}-{next}");
    // A tail that is UCS-2 makes the whole screen so.
    let room = match septet_count(text).and(septet_count(&tail)) {
        None => {
            let units = Room::USSD.units - tail.encode_utf16().count();
            Room { septets: units, units }
        }
        Some(septets) => Room { septets: Room::USSD.septets - septets, units: 0 },
    };
    let parts = room.parts(text);
    let shown = parts.len().min(SCREENS_MAX);
    let screen = |(at, part): (usize, &&str)| match at + 1 == shown {
        true => (*part).to_owned(),
        false => format!("{part}{tail}"),
    };
    (parts.iter().take(shown).enumerate().map(screen).collect(), parts.len() > shown)
}

/// A code and the page behind it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Code {
    /// Who owns it, and pays.
    pub merchant: MerchantId,
    /// What is dialled.
    pub code: Dialled,
    /// Whether the string that the page is told begins with a star (spec §7, 003 (2)).
    pub leading_star: bool,
    /// Language of the switch's own words.
    pub language: Language,
    /// How long a page may take.
    pub page: Duration,
    /// How long a subscriber may take to type.
    pub input: Duration,
    /// How long a session may last.
    pub session: Duration,
    /// What a session costs.
    pub price: Micros,
}

/// By which door a subscriber comes. Stored by its word: words never change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// The IMS of a mobile network (3GPP TS 24.390).
    Ims,
    /// A phone of ours that writes and reads messages (RFC 3428).
    Message,
    /// A telephone that calls the code: it is shown messages if it takes them, or else hears what there is to see.
    Call,
    /// A network's gateway by SMPP.
    Smpp,
    /// The merchant's own try, from a browser.
    Simulator,
}

impl Door {
    /// The word that stores use.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Door::Ims => "ims",
            Door::Message => "message",
            Door::Call => "call",
            Door::Smpp => "smpp",
            Door::Simulator => "simulator",
        }
    }
}

/// A step of a session: what the page is asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// Which session: the same in all its steps.
    pub session: CallId,
    /// Whose code it is.
    pub merchant: MerchantId,
    /// By which door.
    pub door: Door,
    /// Which code was dialled.
    pub code: Dialled,
    /// Who dialled it: E.164 digits.
    pub mobile: String,
    /// What was typed since, in order.
    pub inputs: Vec<String>,
    /// Counted from 1.
    pub number: u32,
}

impl Code {
    /// How long a page may be given.
    pub const PAGE: std::ops::RangeInclusive<Duration> =
        Duration::from_secs(1)..=Duration::from_secs(15);
    /// How long a subscriber may be given to type.
    pub const INPUT: std::ops::RangeInclusive<Duration> =
        Duration::from_secs(10)..=Duration::from_secs(600);
    /// How long a session may be let go on.
    pub const SESSION: std::ops::RangeInclusive<Duration> =
        Duration::from_secs(30)..=Duration::from_secs(1800);
}

impl Step {
    /// The string that the page is told, not escaped: the code and all that was typed, stars between.
    #[must_use]
    pub fn call(&self, leading_star: bool) -> String {
        let all: Vec<&str> = self.code.0.iter().chain(&self.inputs).map(String::as_str).collect();
        format!("{}{}", if leading_star { "*" } else { "" }, all.join("*"))
    }

    /// Whether pages take a string this long (spec §5.2).
    #[must_use]
    pub fn fits(&self) -> bool {
        self.code.0.len() + self.inputs.len() <= SEGMENTS_MAX
            && self.call(true).chars().count() <= CALL_MAX
    }
}

/// What the subscriber is to see next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Screen {
    /// A text, and room to type.
    Menu(String),
    /// A text, and the end.
    Last(String),
    /// The page said nothing that could be shown.
    Unavailable,
    /// The merchant has not the price of a session.
    Unpaid,
}

/// A session that is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Over {
    /// Which.
    pub session: CallId,
    /// How it ended.
    pub end: End,
    /// How often the page was asked.
    pub steps: u32,
}

/// What somebody does at a door that is not SIP's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Act {
    /// Dials a code.
    Open {
        /// What was dialled.
        dialled: Dialled,
        /// Who did: E.164 digits.
        mobile: String,
        /// Where.
        door: Door,
        /// Only codes of this merchant's answer.
        only: Option<MerchantId>,
    },
    /// Types into the menu on show.
    Type {
        /// Which session.
        session: CallId,
        /// What.
        text: String,
    },
    /// Leaves.
    Leave {
        /// Which session.
        session: CallId,
    },
    /// Cannot be told anything any more: the way to him is broken.
    Lose {
        /// Which session.
        session: CallId,
    },
}

/// What somebody at a door that is not SIP's sees.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// Which session.
    pub session: CallId,
    /// The text; empty when the session ended without a word.
    pub text: String,
    /// Something may be typed; else the session is over.
    pub more: bool,
    /// What was odd in the page's answer, for whoever made the page.
    pub note: Option<String>,
}

impl Shown {
    /// A session that ended without a word.
    #[must_use]
    pub fn nothing(session: CallId) -> Shown {
        Shown { session, text: String::new(), more: false, note: None }
    }
}

/// Why nothing came of an [`Act`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ActRefused {
    /// No code begins what was dialled.
    NoCode,
    /// Too many sessions are open, of this switch or of the code's owner, or the switch is going down.
    Busy,
    /// The code's owner is not served.
    Blocked,
    /// There is no such session, or not any more.
    NoSession,
    /// The page is being asked; what was typed goes nowhere.
    NotNow,
}

/// How a session ended. Stored by its word: words never change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The page said its last word, and it was shown.
    Said,
    /// The subscriber left.
    Left,
    /// Nothing was typed in time.
    Silent,
    /// It took longer than a session may.
    Long,
    /// More was typed than pages take.
    Deep,
    /// The page was not to be had.
    Unavailable,
    /// The merchant could not pay.
    Unpaid,
    /// The network lost it.
    Lost,
}

impl End {
    /// All.
    pub const ALL: [End; 8] = [
        End::Said,
        End::Left,
        End::Silent,
        End::Long,
        End::Deep,
        End::Unavailable,
        End::Unpaid,
        End::Lost,
    ];

    /// The word that stores use.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            End::Said => "said",
            End::Left => "left",
            End::Silent => "silent",
            End::Long => "long",
            End::Deep => "deep",
            End::Unavailable => "unavailable",
            End::Unpaid => "unpaid",
            End::Lost => "lost",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialled(text: &str) -> Option<Vec<String>> {
        Dialled::parse(text).map(|dialled| dialled.0)
    }

    #[test]
    fn s5_1_a_dialled_string_is_read_with_and_without_its_end() {
        assert_eq!(dialled("*6655*123#").unwrap(), ["6655", "123"]);
        assert_eq!(dialled("*6655*123*7").unwrap(), ["6655", "123", "7"]);
        assert_eq!(dialled("*123#").unwrap(), ["123"]);
        assert_eq!(dialled("\u{202a}*۶۶۵۵*١٢٣#\u{202c}").unwrap(), ["6655", "123"]);
        for text in
            ["", "*", "*#", "#123#", "6655", "*6655**1#", "*66 55#", "**1#", "*1#2#", "*1#*"]
        {
            assert_eq!(dialled(text), None, "{text}");
        }
        assert_eq!(dialled(&format!("*1{}#", "*2".repeat(9))).unwrap().len(), 10);
        assert_eq!(dialled(&format!("*1{}#", "*2".repeat(10))), None);
        assert_eq!(dialled(&format!("*{}#", "1".repeat(300))), None);
        let code = Dialled::code("6655*123").unwrap();
        assert_eq!(code, Dialled::code("*6655*123#").unwrap());
        assert_eq!(code.to_string(), "*6655*123#");
        let deep = Dialled::parse("*6655*123*7*8#").unwrap();
        assert_eq!(deep.beyond(&code).unwrap(), ["7", "8"]);
        assert_eq!(deep.beyond(&Dialled::code("6655*12").unwrap()), None, "whole segments");
    }

    #[test]
    fn s5_2_what_is_typed_is_told_without_stars_controls_and_its_last_hash() {
        assert_eq!(typed("4711#"), "4711");
        assert_eq!(typed(" ۴۷١١ \u{0}"), "4711");
        assert_eq!(typed("1*2*#"), "12");
        assert_eq!(typed("علی رضا"), "علی رضا");
        assert_eq!(typed("a#b"), "a#b");
        assert_eq!(typed("1*2\0# #"), "12");
        assert_eq!(typed("***"), "");
    }

    #[test]
    fn s5_2_the_string_is_the_code_and_all_inputs() {
        let step = |inputs: &[&str]| Step {
            session: CallId(1),
            merchant: MerchantId(1),
            door: Door::Ims,
            code: Dialled::code("6655*123").unwrap(),
            mobile: "989121234567".into(),
            inputs: inputs.iter().map(|text| (*text).to_owned()).collect(),
            number: 1,
        };
        assert_eq!(step(&[]).call(true), "*6655*123");
        assert_eq!(step(&["4711"]).call(true), "*6655*123*4711");
        assert_eq!(step(&["4711"]).call(false), "6655*123*4711");
        assert!(step(&["1"; 8]).fits() && !step(&["1"; 9]).fits());
        assert!(step(&["x".repeat(246).as_str()]).fits());
        assert!(!step(&["x".repeat(247).as_str()]).fits());
    }
}
