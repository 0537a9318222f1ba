//! Policies: which numbers may be rung, when, and how often, for a merchant, an app or company of it, and a service.
//! None is there unless the operator makes it, and none is in the way of an extension, or of a phone that dials a short
//! code.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::command::{CallCommand, Purpose, Refusal};
use crate::fraud::DESTINATION_DIGITS;
use crate::hours::{Hours, Zone};
use crate::id::{CallId, LegNo, MerchantId};
use crate::ledger::Cap;
use crate::number::Number;
use crate::time::UnixMillis;

/// What somebody is rung for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// A merchant joins two.
    Callback,
    /// A code is said.
    Code,
    /// An announcement is said; also whatever a scenario of the merchant's own says.
    Notice,
    /// A campaign.
    Campaign,
    /// Many are joined.
    Conference,
    /// Nobody asked for it but a phone that dials or a carrier that delivers.
    Dial,
}

impl Service {
    /// The service that a call is of. `asked`: a merchant asked for it.
    #[must_use]
    pub const fn of(purpose: Purpose, asked: bool) -> Service {
        match purpose {
            Purpose::Callback if asked => Service::Callback,
            Purpose::Callback | Purpose::Inbound => Service::Dial,
            Purpose::Code => Service::Code,
            Purpose::Notice | Purpose::Scenario => Service::Notice,
            Purpose::Campaign => Service::Campaign,
            Purpose::Conference => Service::Conference,
        }
    }

    /// For logs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Service::Callback => "callback",
            Service::Code => "code",
            Service::Notice => "notice",
            Service::Campaign => "campaign",
            Service::Conference => "conference",
            Service::Dial => "dial",
        }
    }
}

/// So many times within so long at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AtMost {
    /// Times.
    pub calls: u32,
    /// Seconds.
    pub within_s: u32,
}

impl AtMost {
    /// The longest that is counted: 30 days.
    pub const WITHIN_MAX_S: u32 = 30 * 86_400;
}

/// What a policy says, as it is kept.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// Whose calls it is about; empty: everybody's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub merchants: Vec<MerchantId>,
    /// Apps of system 001 and companies of system 002; empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub apps: Vec<String>,
    /// Empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// It is about numbers that begin so (digits of E.164); empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prefixes: Vec<String>,
    /// Names of lists: their numbers are not rung.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub block: Vec<String>,
    /// Names of lists: no other numbers are rung.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// Names of lists: their numbers it is not about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
    /// When they may be rung.
    #[serde(skip_serializing_if = "Hours::always")]
    pub hours: Hours,
    /// When they may not, within those hours.
    #[serde(skip_serializing_if = "Hours::always")]
    pub closed: Hours,
    /// Where these are read, an IANA name; `None`: where those of routes are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// How often the same number may be rung.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub at_most: Vec<AtMost>,
    /// Calls of all merchants to a number are counted together; else each merchant's by themselves.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub together: bool,
}

impl Rule {
    /// Spans that are counted at most.
    pub const AT_MOST_MAX: usize = 4;
}

/// A policy with its lists at hand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Row id.
    pub id: i64,
    /// For people.
    pub name: String,
    /// What it says.
    pub rule: Rule,
    /// Where its hours are read, if not where those of routes are.
    pub zone: Option<Zone>,
    /// The lists that [`Rule::block`] names.
    pub block: Vec<Arc<NumberList>>,
    /// Those of [`Rule::only`].
    pub only: Vec<Arc<NumberList>>,
    /// Those of [`Rule::except`].
    pub except: Vec<Arc<NumberList>>,
}

/// Why a number is not rung.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It is on a list of numbers that are not rung.
    Listed,
    /// It is on no list of the numbers that are.
    NotListed,
    /// Not at this time.
    Hours,
    /// It was rung as often as it may be.
    TooOften,
}

impl Reason {
    /// All, in the order of their declaration.
    pub const ALL: [Reason; 4] =
        [Reason::Listed, Reason::NotListed, Reason::Hours, Reason::TooOften];

    /// For logs and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Reason::Listed => "listed",
            Reason::NotListed => "not_listed",
            Reason::Hours => "hours",
            Reason::TooOften => "too_often",
        }
    }

    /// How a merchant hears it.
    #[must_use]
    pub const fn refusal(self) -> Refusal {
        match self {
            Reason::Listed | Reason::NotListed => Refusal::Blocked,
            Reason::Hours => Refusal::OutsideHours,
            Reason::TooOften => Refusal::TooOften,
        }
    }
}

/// A leg that a policy did not let be. For the operator.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Stopped {
    /// Name of the policy; of several that count the same number, all that may have been it.
    pub policy: String,
    /// Why.
    pub reason: Reason,
    /// Who would have paid.
    pub merchant: MerchantId,
    /// What for.
    pub service: Service,
    /// Of which call; `None` where it was refused before it became one.
    pub call: Option<CallId>,
    /// Where the leg was to lead, by its first [`DESTINATION_DIGITS`].
    pub prefix: String,
}

/// Who wants somebody to be rung, and for what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asking<'c> {
    /// Who pays.
    pub merchant: MerchantId,
    /// The app or company within its dialect; empty when there is none.
    pub app: &'c str,
    /// What for.
    pub service: Service,
}

impl<'c> Asking<'c> {
    /// That of a command. `asked`: a merchant asked for it, and not a phone or a carrier.
    #[must_use]
    pub fn of(command: &'c CallCommand, asked: bool) -> Asking<'c> {
        let service = Service::of(command.purpose, asked);
        Asking { merchant: command.merchant, app: &command.app, service }
    }

    /// What is told of a number that is not rung.
    #[must_use]
    pub fn stopped(&self, by: (String, Reason), call: Option<CallId>, number: &Number) -> Stopped {
        let prefix = number.digits().chars().take(DESTINATION_DIGITS).collect();
        let (policy, reason) = by;
        let Asking { merchant, service, .. } = *self;
        Stopped { policy, reason, merchant, service, call, prefix }
    }
}

impl Policy {
    /// Whether it is about somebody's calls to a number of E.164.
    #[must_use]
    pub fn is_about(&self, asking: &Asking<'_>, digits: &str) -> bool {
        let Rule { merchants, apps, services, .. } = &self.rule;
        (merchants.is_empty() || merchants.contains(&asking.merchant))
            && (apps.is_empty() || apps.iter().any(|app| app == asking.app))
            && (services.is_empty() || services.contains(&asking.service))
            && self.concerns(digits)
    }

    /// The digits of a number that somebody wants to ring, if it is about that. Extensions it is never about. A short
    /// code may be an emergency: whoever dials one himself reaches it, and no merchant's service does that a policy for
    /// all numbers forbids.
    #[must_use]
    pub fn digits_about<'n>(&self, asking: &Asking<'_>, number: &'n Number) -> Option<&'n str> {
        let known = match number {
            Number::E164(_) => true,
            Number::Short(_) => asking.service != Service::Dial && self.rule.prefixes.is_empty(),
            Number::Internal(_) => false,
        };
        let digits = number.digits();
        (known && self.is_about(asking, digits)).then_some(digits)
    }

    /// Whether it is about calls to a number of E.164, whoever's they are.
    #[must_use]
    pub fn concerns(&self, digits: &str) -> bool {
        let prefixes = &self.rule.prefixes;
        (prefixes.is_empty() || prefixes.iter().any(|prefix| digits.starts_with(prefix)))
            && !self.except.iter().any(|list| list.has(digits))
    }

    /// Why a number that it is about is not rung at this time; of several reasons the first. How often it was is
    /// the store's to know. `home`: where hours are read that name no zone.
    #[must_use]
    pub fn forbids(&self, digits: &str, at: UnixMillis, home: &Zone) -> Option<Reason> {
        if self.block.iter().any(|list| list.has(digits)) {
            return Some(Reason::Listed);
        }
        if !self.only.is_empty() && !self.only.iter().any(|list| list.has(digits)) {
            return Some(Reason::NotListed);
        }
        let Rule { hours, closed, .. } = &self.rule;
        if hours.always() && closed.always() {
            return None;
        }
        let local = self.zone.as_ref().unwrap_or(home).local(at);
        let shut = !hours.open(local) || !closed.always() && closed.open(local);
        shut.then_some(Reason::Hours)
    }

    /// How often a number that it is about may be rung by a leg; `None`: it does not say. `apart`: whatever it says, this
    /// merchant's calls count among themselves alone, because they ring nobody.
    #[must_use]
    pub fn cap(
        &self,
        merchant: MerchantId,
        (leg, digits): (LegNo, &str),
        apart: bool,
    ) -> Option<Cap> {
        let Rule { at_most, together, .. } = &self.rule;
        let key = if *together && !apart {
            format!("p{}", self.id)
        } else {
            format!("p{}m{}", self.id, merchant.0)
        };
        (!at_most.is_empty()).then(|| Cap {
            leg,
            key,
            number: digits.to_owned(),
            at_most: at_most.clone(),
        })
    }
}

/// Numbers that have something in common: who must not be called, who may be.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NumberList {
    /// Of E.164, in order, each once.
    numbers: Vec<u64>,
    /// Numbers that begin so.
    prefixes: Vec<String>,
    /// Numbers that look so.
    patterns: Vec<Pattern>,
}

impl NumberList {
    /// Numbers at most.
    pub const NUMBERS_MAX: usize = 2_000_000;

    /// A list of digits of E.164, of prefixes and of patterns. What is no number is left out.
    #[must_use]
    pub fn new<'n>(
        numbers: impl IntoIterator<Item = &'n str>,
        prefixes: Vec<String>,
        patterns: Vec<Pattern>,
    ) -> NumberList {
        // No number of E.164 begins with 0, so a number is its digits.
        let mut numbers: Vec<u64> = numbers.into_iter().filter_map(|n| n.parse().ok()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        NumberList { numbers, prefixes, patterns }
    }

    /// Whether a number of E.164 is on it.
    #[must_use]
    pub fn has(&self, digits: &str) -> bool {
        self.prefixes.iter().any(|prefix| digits.starts_with(prefix.as_str()))
            || self.patterns.iter().any(|pattern| pattern.fits(digits))
            || digits.parse().is_ok_and(|number| self.numbers.binary_search(&number).is_ok())
    }
}

/// What numbers may look like: `8613?0000*` (`?` any digit, `*` any digits), `same:6` (six like digits in a row),
/// `rising:6` (each of six one more than the one before it).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    written: String,
    form: Form,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Form {
    Shape,
    /// So many digits in a row, each this much above the one before it.
    Run(u8, usize),
}

/// A text that is no pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PatternError(String);

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expected = "expected digits with ? and *, e.g. 8613?0000*, or same:6, or rising:6";
        write!(f, "not a pattern of numbers: {:?}; {expected}", self.0)
    }
}

impl std::error::Error for PatternError {}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(written: String) -> Result<Pattern, PatternError> {
        let run = |text: &str, step| {
            let length = text.parse().ok().filter(|length| (3..=15).contains(length));
            length.map(|length| Form::Run(step, length))
        };
        let form = match written.split_once(':') {
            Some(("same", length)) => run(length, 0),
            Some(("rising", length)) => run(length, 1),
            Some(_) => None,
            None => {
                let fits = |c: char| c.is_ascii_digit() || matches!(c, '?' | '*');
                let says = written.contains(|c: char| c.is_ascii_digit() || c == '?');
                (written.chars().all(fits) && says && written.len() <= 32).then_some(Form::Shape)
            }
        };
        match form {
            Some(form) => Ok(Pattern { written, form }),
            None => Err(PatternError(written)),
        }
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.written
    }
}

impl Pattern {
    fn fits(&self, digits: &str) -> bool {
        match self.form {
            Form::Shape => has_shape(self.written.as_bytes(), digits.as_bytes()),
            Form::Run(step, length) => {
                let mut run = 1;
                let digits = digits.as_bytes();
                digits.windows(2).any(|pair| {
                    run = if pair[1] == pair[0] + step { run + 1 } else { 1 };
                    run >= length
                })
            }
        }
    }
}

/// Goes back to the last `*` at most once a digit.
fn has_shape(shape: &[u8], digits: &[u8]) -> bool {
    let (mut at, mut seen, mut star) = (0, 0, None);
    while seen < digits.len() {
        match shape.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(sign) if *sign == b'?' || *sign == digits[seen] => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((back, from)) = star else { return false };
                star = Some((back, from + 1));
                (at, seen) = (back + 1, from + 1);
            }
        }
    }
    shape[at.min(shape.len())..].iter().all(|sign| *sign == b'*')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::try_from(text.to_owned()).unwrap()
    }

    fn list(numbers: &[&str], prefixes: &[&str], patterns: &[&str]) -> Arc<NumberList> {
        let prefixes = prefixes.iter().map(|&prefix| prefix.to_owned()).collect();
        let patterns = patterns.iter().map(|text| pattern(text)).collect();
        Arc::new(NumberList::new(numbers.iter().copied(), prefixes, patterns))
    }

    fn policy(rule: Rule) -> Policy {
        let zone = rule.time_zone.as_deref().map(|name| Zone::named(name).unwrap());
        let (block, only, except) = (Vec::new(), Vec::new(), Vec::new());
        Policy { id: 7, name: "p".into(), rule, zone, block, only, except }
    }

    const ASKING: Asking<'_> =
        Asking { merchant: MerchantId(7), app: "app", service: Service::Code };

    #[test]
    fn s6_a_list_has_numbers_prefixes_and_patterns() {
        let list = list(&["8613800138000", "442079460000"], &["8617"], &["same:6", "86??5555*"]);
        for (number, on) in [
            ("8613800138000", true),
            ("8613800138001", false),
            ("442079460000", true),
            ("8617000000123", true),
            ("8613888888123", true),
            ("8613888881234", false),
            ("86135555", true),
            ("861355559999", true),
            ("86135554", false),
        ] {
            assert_eq!(list.has(number), on, "{number}");
        }
        assert!(pattern("rising:6").fits("8612345678") && !pattern("rising:6").fits("8613579246"));
        for wrong in ["", "*", "+86", "same:2", "same:x", "like:6", "86 13"] {
            assert!(Pattern::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    proptest! {
        /// Against a naive oracle.
        #[test]
        fn a_shape_fits_what_it_says(shape in "[12?*]{1,8}", digits in "[12]{0,8}") {
            fn oracle(shape: &[u8], digits: &[u8]) -> bool {
                match (shape.first(), digits.first()) {
                    (None, None) => true,
                    (Some(b'*'), _) => {
                        oracle(&shape[1..], digits)
                            || !digits.is_empty() && oracle(shape, &digits[1..])
                    }
                    (Some(b'?'), Some(_)) => oracle(&shape[1..], &digits[1..]),
                    (Some(one), Some(two)) if one == two => oracle(&shape[1..], &digits[1..]),
                    _ => false,
                }
            }
            let (shape, digits) = (shape.as_bytes(), digits.as_bytes());
            prop_assert_eq!(has_shape(shape, digits), oracle(shape, digits));
        }
    }

    #[test]
    fn s6_a_policy_is_about_a_merchant_an_app_a_service_and_a_country() {
        let rule = Rule {
            merchants: vec![MerchantId(7)],
            apps: vec!["app".into()],
            services: vec![Service::Code],
            prefixes: vec!["86".into()],
            ..Rule::default()
        };
        let mut narrow = policy(rule);
        assert!(narrow.is_about(&ASKING, "8613800138000"));
        assert!(!narrow.is_about(&ASKING, "442079460000"));
        for other in [
            Asking { merchant: MerchantId(8), ..ASKING },
            Asking { app: "", ..ASKING },
            Asking { service: Service::Notice, ..ASKING },
        ] {
            assert!(!narrow.is_about(&other, "8613800138000"), "{other:?}");
            assert!(policy(Rule::default()).is_about(&other, "8613800138000"));
        }
        narrow.except = vec![list(&["8613800138000"], &[], &[])];
        assert!(!narrow.is_about(&ASKING, "8613800138000"));
        assert!(narrow.is_about(&ASKING, "8613800138001"));
    }

    #[test]
    fn s6_a_short_code_is_in_the_way_of_policies_but_for_who_dials_it() {
        let emergency = Number::Short("110".into());
        let all = policy(Rule::default());
        assert_eq!(all.digits_about(&ASKING, &emergency), Some("110"));
        let dials = Asking { service: Service::Dial, ..ASKING };
        assert_eq!(all.digits_about(&dials, &emergency), None);
        let american = policy(Rule { prefixes: vec!["1".into()], ..Rule::default() });
        assert_eq!(american.digits_about(&ASKING, &emergency), None, "prefixes are of E.164");
        assert_eq!(all.digits_about(&ASKING, &Number::Internal("80001".into())), None);
        let mut only = policy(Rule::default());
        only.only = vec![list(&["8613800138000"], &[], &[])];
        let why = only.forbids("110", UnixMillis(0), &Zone::default());
        assert_eq!(why, Some(Reason::NotListed));
    }

    #[test]
    fn s6_hours_are_read_in_the_zone_of_the_policy_and_closed_times_within_them() {
        let hours = |text: &str| Hours::try_from(vec![text.to_owned()]).unwrap();
        let rule = Rule {
            hours: hours("08:00-20:00"),
            closed: hours("2026-10-01/2026-10-07"),
            time_zone: Some("Asia/Shanghai".into()),
            ..Rule::default()
        };
        let policy = policy(rule);
        let at = |text: &str| {
            let instant: jiff::Timestamp = text.parse().unwrap();
            policy.forbids("8613800138000", UnixMillis(instant.as_millisecond()), &Zone::default())
        };
        assert_eq!(at("2026-09-30T00:00:00Z"), None, "08:00 there");
        assert_eq!(at("2026-09-30T12:00:00Z"), Some(Reason::Hours), "20:00 there");
        assert_eq!(at("2026-09-29T23:59:59Z"), Some(Reason::Hours));
        assert_eq!(at("2026-10-03T04:00:00Z"), Some(Reason::Hours), "a holiday");
        assert_eq!(at("2026-10-08T04:00:00Z"), None);
    }

    #[test]
    fn s6_a_sandbox_rings_only_who_is_listed_and_a_block_wins() {
        let mut sandbox = policy(Rule::default());
        sandbox.only = vec![list(&["8613800138000", "8613800138001"], &[], &[])];
        sandbox.block = vec![list(&["8613800138001"], &[], &[])];
        let forbids = |digits: &str| sandbox.forbids(digits, UnixMillis(0), &Zone::default());
        assert_eq!(forbids("8613800138000"), None);
        assert_eq!(forbids("8613800138001"), Some(Reason::Listed));
        assert_eq!(forbids("8613800138002"), Some(Reason::NotListed));
    }

    #[test]
    fn s6_numbers_are_counted_for_each_merchant_unless_together() {
        let at_most = vec![AtMost { calls: 1, within_s: 60 }];
        let mut policy = policy(Rule { at_most, ..Rule::default() });
        let cap = |policy: &Policy, merchant| {
            policy.cap(MerchantId(merchant), (LegNo::B, "861"), false).unwrap().key
        };
        assert_ne!(cap(&policy, 1), cap(&policy, 2));
        policy.rule.together = true;
        assert_eq!(cap(&policy, 1), cap(&policy, 2));
        let sandbox = policy.cap(MerchantId(1), (LegNo::B, "861"), true).unwrap().key;
        assert_ne!(sandbox, cap(&policy, 1), "what rings nobody is not counted with what does");
        let none = Policy { rule: Rule::default(), ..policy };
        assert_eq!(none.cap(MerchantId(1), (LegNo::A, "8"), false), None);
    }

    #[test]
    fn a_rule_is_kept_as_it_is_read() {
        let text = r#"{"services":["code"],"block":["dnc"],"at_most":[{"calls":1,"within_s":60}]}"#;
        let rule: Rule = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&rule).unwrap(), text);
        for service in
            [Service::Callback, Service::Code, Service::Notice, Service::Campaign, Service::Dial]
        {
            assert_eq!(serde_json::to_string(&service).unwrap(), format!("{:?}", service.word()));
        }
    }
}
