//! Limits against toll fraud: what a merchant, a sub-account or an extension may spend, and on whom. Stolen
//! credentials are used within minutes, for numbers that cost much; each of these stops that at a sum that was
//! chosen. They hold however a call comes about, and none is set unless the operator sets it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::command::CallCommand;
use crate::hours::{Hours, Local};
use crate::id::{CallId, MerchantId, SubAccountId};
use crate::money::Micros;
use crate::number::Number;

/// Whose limits they are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Of all calls that a merchant pays.
    Merchant(MerchantId),
    /// Of those in the name of a sub-account.
    SubAccount(SubAccountId),
    /// Of those of one extension, by its number.
    Extension(String),
}

impl Scope {
    /// Whose limits a call is under: of whoever pays, in whose name it was asked for, and of the extension
    /// that is in it, the one that calls before the one that is called.
    #[must_use]
    pub fn all_of(command: &CallCommand) -> Vec<Scope> {
        let sub_account = command.sub_account.map(Scope::SubAccount);
        let extension = Scope::extension_of(command);
        let extension = extension.map(|user| Scope::Extension(user.to_owned()));
        [Some(Scope::Merchant(command.merchant)), sub_account, extension]
            .into_iter()
            .flatten()
            .collect()
    }

    /// The extension whose limits a call is under.
    #[must_use]
    pub fn extension_of(command: &CallCommand) -> Option<&str> {
        let b = command.b.as_ref();
        let numbers = [Some(&command.a), b].into_iter().flatten().map(|party| &party.number);
        numbers.into_iter().find_map(|number| match number {
            Number::Internal(user) => Some(user.as_str()),
            Number::E164(_) | Number::Short(_) => None,
        })
    }

    /// As stores write it: `m7`, `s12`, `x80001`.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Scope::Merchant(id) => format!("m{}", id.0),
            Scope::SubAccount(id) => format!("s{}", id.0),
            Scope::Extension(user) => format!("x{user}"),
        }
    }

    /// Reads [`Scope::key`] back.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Scope> {
        let rest = key.get(1..)?;
        match key.get(..1)? {
            "m" => rest.parse().ok().map(|id| Scope::Merchant(MerchantId(id))),
            "s" => rest.parse().ok().map(|id| Scope::SubAccount(SubAccountId(id))),
            "x" => Some(Scope::Extension(rest.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Merchant(id) => write!(f, "merchant {}", id.0),
            Scope::SubAccount(id) => write!(f, "sub-account {}", id.0),
            Scope::Extension(user) => write!(f, "extension {user}"),
        }
    }
}

/// What somebody may spend, and on whom. Extensions and short codes (emergency numbers) are never limited.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FraudLimits {
    /// Spent within an hour at most, what is held for talk to come included.
    #[serde(with = "amount", skip_serializing_if = "Option::is_none")]
    pub spend_per_hour: Option<Micros>,
    /// The same within 24 hours.
    #[serde(with = "amount", skip_serializing_if = "Option::is_none")]
    pub spend_per_day: Option<Micros>,
    /// What a minute may cost at most.
    #[serde(with = "amount", skip_serializing_if = "Option::is_none")]
    pub price_per_minute: Option<Micros>,
    /// Only numbers that begin so (digits of E.164) may be called; empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Numbers that begin so may not be called. The longer prefix wins over one of `allow`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub block: Vec<String>,
    /// Legs at one time to numbers that begin alike.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls_to: Vec<CallsTo>,
    /// Destinations within an hour that were never called before, told apart by [`DESTINATION_DIGITS`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_destinations: Option<u32>,
    /// When numbers outside may be called.
    #[serde(skip_serializing_if = "Hours::always")]
    pub hours: Hours,
    /// Percent of a sum at which somebody is told.
    pub warn_at: u8,
    /// What happens at a limit.
    pub act: Act,
}

impl Default for FraudLimits {
    fn default() -> Self {
        FraudLimits {
            spend_per_hour: None,
            spend_per_day: None,
            price_per_minute: None,
            allow: Vec::new(),
            block: Vec::new(),
            calls_to: Vec::new(),
            new_destinations: None,
            hours: Hours::default(),
            warn_at: 80,
            act: Act::Block,
        }
    }
}

/// Digits by which destinations are told apart: a country, or a part of a large one.
pub const DESTINATION_DIGITS: usize = 3;

/// Legs at one time to numbers that begin alike.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallsTo {
    /// Digits of E.164.
    pub prefix: String,
    /// So many at most.
    pub max_calls: u32,
}

/// What happens at a limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// The leg is refused, or ended where the sum is reached.
    #[default]
    Block,
    /// Somebody is told, and nothing else happens.
    Warn,
}

/// Which limit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// [`FraudLimits::spend_per_hour`].
    SpendPerHour,
    /// [`FraudLimits::spend_per_day`].
    SpendPerDay,
    /// [`FraudLimits::price_per_minute`].
    PricePerMinute,
    /// [`FraudLimits::allow`] and [`FraudLimits::block`].
    Destination,
    /// [`FraudLimits::calls_to`].
    CallsTo,
    /// [`FraudLimits::new_destinations`].
    NewDestinations,
    /// [`FraudLimits::hours`].
    Hours,
}

impl Rule {
    /// All, in the order of their declaration.
    pub const ALL: [Rule; 7] = [
        Rule::SpendPerHour,
        Rule::SpendPerDay,
        Rule::PricePerMinute,
        Rule::Destination,
        Rule::CallsTo,
        Rule::NewDestinations,
        Rule::Hours,
    ];

    /// For logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Rule::SpendPerHour => "spend_per_hour",
            Rule::SpendPerDay => "spend_per_day",
            Rule::PricePerMinute => "price_per_minute",
            Rule::Destination => "destination",
            Rule::CallsTo => "calls_to",
            Rule::NewDestinations => "new_destinations",
            Rule::Hours => "hours",
        }
    }
}

/// A limit was reached, or soon will be.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Alert {
    /// Whose.
    pub scope: Scope,
    /// Which.
    pub rule: Rule,
    /// A leg was refused or ended for it; else it went on.
    pub blocked: bool,
    /// Of which call; `None` where it was refused before it became one.
    pub call: Option<CallId>,
    /// Where the leg was to lead, by its first [`DESTINATION_DIGITS`]; empty where a call that is up reached a sum.
    pub prefix: String,
}

impl Alert {
    /// What makes two alerts the same for whoever is told.
    #[must_use]
    pub fn key(&self) -> (Scope, Rule, bool) {
        (self.scope.clone(), self.rule, self.blocked)
    }

    /// The same with the call and the number that it is about.
    #[must_use]
    pub fn about(self, call: Option<CallId>, number: Option<&Number>) -> Alert {
        let digits = number.and_then(limited).unwrap_or_default();
        let prefix = digits.chars().take(DESTINATION_DIGITS).collect();
        Alert { call, prefix, ..self }
    }
}

impl FraudLimits {
    /// True when nothing is limited.
    #[must_use]
    pub fn is_none(&self) -> bool {
        let open = FraudLimits { warn_at: self.warn_at, act: self.act, ..FraudLimits::default() };
        *self == open
    }

    /// True when sums are.
    #[must_use]
    pub fn counts_spending(&self) -> bool {
        self.spend_per_hour.is_some() || self.spend_per_day.is_some()
    }

    /// An alert of one of these limits.
    #[must_use]
    pub fn alert(&self, scope: &Scope, rule: Rule) -> Alert {
        let blocked = self.act == Act::Block;
        Alert { scope: scope.clone(), rule, blocked, call: None, prefix: String::new() }
    }

    /// The limits that a number of E.164 breaks at this time of the day. `live`: legs that there are to
    /// numbers that begin so.
    pub fn broken_by(
        &self,
        digits: &str,
        local: Local,
        live: impl Fn(&str) -> usize,
    ) -> impl Iterator<Item = Rule> {
        let closed = !self.hours.open(local);
        let full = self.prefixes_of(digits).any(|to| live(&to.prefix) >= to.max_calls as usize);
        [
            (!self.permits(digits)).then_some(Rule::Destination),
            closed.then_some(Rule::Hours),
            full.then_some(Rule::CallsTo),
        ]
        .into_iter()
        .flatten()
    }

    /// The classes of [`FraudLimits::calls_to`] that a number is of.
    pub fn prefixes_of(&self, digits: &str) -> impl Iterator<Item = &CallsTo> {
        self.calls_to.iter().filter(move |to| digits.starts_with(&to.prefix))
    }

    fn permits(&self, digits: &str) -> bool {
        let longest = |prefixes: &[String]| {
            let fits = prefixes.iter().filter(|prefix| digits.starts_with(prefix.as_str()));
            fits.map(String::len).max()
        };
        match (longest(&self.allow), longest(&self.block)) {
            (None, _) if !self.allow.is_empty() => false,
            (allowed, blocked) => blocked.is_none_or(|blocked| allowed > Some(blocked)),
        }
    }
}

/// The number of E.164 that limits are about; `None` for what is never limited.
#[must_use]
pub fn limited(number: &Number) -> Option<&str> {
    match number {
        Number::E164(digits) => Some(digits),
        Number::Internal(_) | Number::Short(_) => None,
    }
}

/// Amounts as people write them: `"12.50"`.
mod amount {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::money::Micros;

    pub(super) fn serialize<S: Serializer>(
        amount: &Option<Micros>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match amount {
            Some(amount) => to.collect_str(amount),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Micros>, D::Error> {
        let text: Option<String> = Option::deserialize(from)?;
        let amount =
            text.map(|text| text.parse::<Micros>().map_err(D::Error::custom)).transpose()?;
        match amount {
            Some(amount) if amount <= Micros::ZERO => Err(D::Error::custom("an amount above 0")),
            amount => Ok(amount),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::hours::Zone;
    use crate::time::UnixMillis;

    fn prefixes(list: &[&str]) -> Vec<String> {
        list.iter().map(|&prefix| prefix.to_owned()).collect()
    }

    #[test]
    fn class_13_the_longer_prefix_decides_and_what_nobody_allowed_is_blocked() {
        let limits = FraudLimits {
            allow: prefixes(&["86", "4420"]),
            block: prefixes(&["8686", "44"]),
            ..FraudLimits::default()
        };
        for (number, allowed) in [
            ("8613800138000", true),
            ("8686123456", false),
            ("442079460000", true),
            ("449001234567", false),
            ("8821612345678", false),
        ] {
            assert_eq!(limits.permits(number), allowed, "{number}");
        }
        let block_only = FraudLimits { block: prefixes(&["882"]), ..FraudLimits::default() };
        assert!(block_only.permits("8613800138000") && !block_only.permits("8821612345678"));
        let same = FraudLimits {
            allow: prefixes(&["86"]),
            block: prefixes(&["86"]),
            ..FraudLimits::default()
        };
        assert!(!same.permits("8613800138000"), "of two alike the one that forbids");
    }

    #[test]
    fn class_13_every_limit_that_is_broken_is_told() {
        let limits = FraudLimits {
            block: prefixes(&["882"]),
            calls_to: vec![CallsTo { prefix: "882".into(), max_calls: 2 }],
            hours: Hours::try_from(vec!["mon-fri 08:00-20:00".to_owned()]).unwrap(),
            ..FraudLimits::default()
        };
        // A Thursday, 00:00.
        let night = Zone::named("UTC").unwrap().local(UnixMillis(0));
        let day = Zone::named("UTC").unwrap().local(UnixMillis(10 * 3_600_000));
        let broken = |number: &str, local, live| {
            limits.broken_by(number, local, move |_| live).collect::<Vec<_>>()
        };
        assert_eq!(broken("88216", night, 2), [Rule::Destination, Rule::Hours, Rule::CallsTo]);
        assert_eq!(broken("88216", day, 1), [Rule::Destination]);
        assert_eq!(broken("8613800138000", day, 9), []);
    }

    #[test]
    fn limits_are_written_as_they_are_read() {
        let text = r#"{"spend_per_hour":"12.50","block":["882"],"warn_at":50,"act":"warn"}"#;
        let limits: FraudLimits = serde_json::from_str(text).unwrap();
        assert_eq!(limits.spend_per_hour, Some(Micros(12_500_000)));
        assert_eq!(serde_json::to_string(&limits).unwrap(), text);
        assert!(FraudLimits { warn_at: 10, act: Act::Warn, ..FraudLimits::default() }.is_none());
        assert!(!limits.is_none());
        for wrong in [r#"{"spend_per_hour":"0"}"#, r#"{"spend_per_day":"-1"}"#, r#"{"spend":"1"}"#]
        {
            assert!(serde_json::from_str::<FraudLimits>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn scopes_are_read_back() {
        for scope in [
            Scope::Merchant(MerchantId(7)),
            Scope::SubAccount(SubAccountId(12)),
            Scope::Extension("80001".into()),
        ] {
            assert_eq!(Scope::from_key(&scope.key()), Some(scope));
        }
        assert_eq!(Scope::from_key("q1"), None);
        assert_eq!(Scope::from_key(""), None);
    }
}
