//! Which rate prices a number: the longest prefix over its digits; an exact number beats every prefix; `*`
//! catches the rest.
//!
//! A trie of ten-way nodes: one step a digit, no comparison of strings, at most fifteen steps.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use facts::Number;
use facts::number::E164_MAX;

use crate::hold::Quote;
use crate::rate::Rate;

/// Rates in one tariff at most.
pub const RATES_MAX: usize = 1_000_000;

/// What a row of a tariff matches, as operators write it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Pattern {
    /// `8613`: E.164 numbers that start so.
    Prefix(String),
    /// `=8613800138000`: that number alone.
    Exact(String),
    /// `short:10`: short codes that start so.
    Short(String),
    /// `internal`: every extension.
    Internal,
    /// `*`: public numbers and short codes that nothing else matches.
    Any,
}

/// Why a text is not a pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a prefix is digits, `=` and a whole number, `short:` and digits, `internal`, or `*`")]
pub struct PatternError;

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let digits = |part: &str| {
            let good = (1..=E164_MAX).contains(&part.len())
                && part.bytes().all(|byte| byte.is_ascii_digit());
            if good { Ok(part.to_owned()) } else { Err(PatternError) }
        };
        match text {
            "*" => Ok(Pattern::Any),
            "internal" => Ok(Pattern::Internal),
            _ => {
                if let Some(number) = text.strip_prefix('=') {
                    digits(number).map(Pattern::Exact)
                } else if let Some(code) = text.strip_prefix("short:") {
                    digits(code).map(Pattern::Short)
                } else {
                    digits(text).map(Pattern::Prefix)
                }
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Prefix(digits) => f.write_str(digits),
            Pattern::Exact(digits) => write!(f, "={digits}"),
            Pattern::Short(digits) => write!(f, "short:{digits}"),
            Pattern::Internal => f.write_str("internal"),
            Pattern::Any => f.write_str("*"),
        }
    }
}

/// What a tariff says about a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Priced<'a> {
    /// An extension that no row prices: costs nothing.
    Free,
    /// This row prices it.
    Row(&'a Pattern, &'a Rate),
    /// Nothing prices it: it may not be dialled.
    Unpriced,
}

impl Priced<'_> {
    /// The quote to promise, if the number has a price.
    #[must_use]
    pub fn quote(&self) -> Option<Quote> {
        match self {
            Priced::Row(pattern, rate) => Some(Quote { prefix: pattern.to_string(), rate: **rate }),
            Priced::Free | Priced::Unpriced => None,
        }
    }
}

/// A price list, ready for look-ups.
#[derive(Clone, Debug)]
pub struct Tariff {
    rows: Vec<(Pattern, Rate)>,
    prefixes: Trie,
    shorts: Trie,
    exact: BTreeMap<String, u32>,
    internal: Option<u32>,
    any: Option<u32>,
}

impl Tariff {
    /// Builds the index. Of two rows with the same pattern the later counts; rows beyond [`RATES_MAX`] are
    /// not taken.
    #[must_use]
    pub fn new(rows: impl IntoIterator<Item = (Pattern, Rate)>) -> Tariff {
        let mut tariff = Tariff {
            rows: Vec::new(),
            prefixes: Trie::new(),
            shorts: Trie::new(),
            exact: BTreeMap::new(),
            internal: None,
            any: None,
        };
        for (pattern, rate) in rows.into_iter().take(RATES_MAX) {
            let row = u32::try_from(tariff.rows.len()).unwrap_or(NONE);
            match &pattern {
                Pattern::Prefix(digits) => tariff.prefixes.insert(digits, row),
                Pattern::Short(digits) => tariff.shorts.insert(digits, row),
                Pattern::Exact(digits) => {
                    tariff.exact.insert(digits.clone(), row);
                }
                Pattern::Internal => tariff.internal = Some(row),
                Pattern::Any => tariff.any = Some(row),
            }
            tariff.rows.push((pattern, rate));
        }
        tariff
    }

    /// The rate of a number.
    #[must_use]
    pub fn price(&self, number: &Number) -> Priced<'_> {
        let row = match number {
            Number::Internal(_) => match self.internal {
                None => return Priced::Free,
                row => row,
            },
            Number::E164(digits) => {
                let exact =
                    if self.exact.is_empty() { None } else { self.exact.get(digits).copied() };
                exact.or_else(|| self.prefixes.longest(digits)).or(self.any)
            }
            Number::Short(digits) => self.shorts.longest(digits).or(self.any),
        };
        row.and_then(|row| self.rows.get(row as usize))
            .map_or(Priced::Unpriced, |(pattern, rate)| Priced::Row(pattern, rate))
    }
}

const NONE: u32 = u32::MAX;

/// A node's children by digit, and the row that ends here.
#[derive(Clone, Copy, Debug)]
struct Node {
    children: [u32; 10],
    row: u32,
}

#[derive(Clone, Debug)]
struct Trie {
    nodes: Vec<Node>,
}

impl Trie {
    fn new() -> Trie {
        Trie { nodes: vec![EMPTY] }
    }

    fn insert(&mut self, digits: &str, row: u32) {
        let mut at = 0;
        for byte in digits.bytes() {
            let digit = usize::from(byte.wrapping_sub(b'0')) % 10;
            let child = self.nodes[at].children[digit];
            at = if child == NONE {
                let new = self.nodes.len();
                self.nodes[at].children[digit] = u32::try_from(new).unwrap_or(NONE);
                self.nodes.push(EMPTY);
                new
            } else {
                child as usize
            };
        }
        self.nodes[at].row = row;
    }

    fn longest(&self, digits: &str) -> Option<u32> {
        let mut node = self.nodes.first()?;
        let mut best = node.row;
        for byte in digits.bytes() {
            let Some(&child) = node.children.get(usize::from(byte.wrapping_sub(b'0'))) else {
                break;
            };
            let Some(next) = self.nodes.get(child as usize) else { break };
            node = next;
            if node.row != NONE {
                best = node.row;
            }
        }
        (best != NONE).then_some(best)
    }
}

const EMPTY: Node = Node { children: [NONE; 10], row: NONE };
