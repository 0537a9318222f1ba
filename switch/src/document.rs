//! A TOML text with line numbers: so that every mistake in it can be reported at once, and where it stands.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One mistake, where it stands and in words.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Mistake {
    /// Where: a file and line, a flag, a variable of the environment.
    pub(crate) place: Place,
    /// What is wrong.
    pub(crate) message: String,
}

/// Where a mistake stands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Place {
    /// Line of a file, from 1.
    Line(PathBuf, usize),
    /// A flag or a variable, by name.
    Named(String),
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Line(path, line) => write!(f, "{}:{line}: {}", path.display(), self.message),
            Place::Named(name) => write!(f, "{name}: {}", self.message),
        }
    }
}

/// Prints mistakes, one a line, in the order of the lines.
pub(crate) fn listed(mistakes: &[Mistake]) -> String {
    let mut sorted: Vec<&Mistake> = mistakes.iter().collect();
    sorted.sort();
    sorted.dedup();
    sorted.iter().map(|mistake| format!("  {mistake}\n")).collect()
}

/// A text and where its lines begin.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    path: PathBuf,
    starts: Vec<usize>,
}

impl Lines {
    pub(crate) fn of(path: &Path, text: &str) -> Lines {
        let newlines = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
        Lines { path: path.to_owned(), starts: std::iter::once(0).chain(newlines).collect() }
    }

    /// The line an offset lies in, from 1.
    pub(crate) fn at(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    pub(crate) fn mistake(&self, span: &Range<usize>, message: impl Into<String>) -> Mistake {
        let place = Place::Line(self.path.clone(), self.at(span.start));
        Mistake { place, message: message.into() }
    }
}

/// Reads a text; syntax errors are all in the second value.
pub(crate) fn read<'a>(path: &Path, text: &'a str) -> (Spanned<DeTable<'a>>, Lines, Vec<Mistake>) {
    let lines = Lines::of(path, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let mistakes = errors
        .iter()
        .map(|error| lines.mistake(&error.span().unwrap_or(0..0), error.message()))
        .collect();
    (table, lines, mistakes)
}

/// Every leaf below a table: dotted key, span, and its values as texts (an array has several).
pub(crate) fn leaves(table: &DeTable<'_>) -> Vec<(String, Range<usize>, Vec<String>)> {
    let mut found = Vec::new();
    descend("", table, &mut found);
    found
}

fn descend(
    prefix: &str,
    table: &DeTable<'_>,
    found: &mut Vec<(String, Range<usize>, Vec<String>)>,
) {
    for (key, value) in table.iter() {
        let name = if prefix.is_empty() {
            key.get_ref().to_string()
        } else {
            format!("{prefix}.{}", key.get_ref())
        };
        match value.get_ref() {
            DeValue::Table(inner) => descend(&name, inner, found),
            DeValue::Array(items) => {
                let values = items.iter().map(|item| word(item.get_ref())).collect();
                found.push((name, key.span(), values));
            }
            leaf => found.push((name, key.span(), vec![word(leaf)])),
        }
    }
}

/// A leaf as a person would write it on a command line.
fn word(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(yes) => yes.to_string(),
        DeValue::Datetime(at) => at.to_string(),
        DeValue::Array(_) | DeValue::Table(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_know_their_lines() {
        let text = "a = 1\n[b]\nc = [\"x\", \"y\"]\n\n[b.d]\ne = true\n";
        let (table, lines, mistakes) = read(Path::new("f"), text);
        assert_eq!(mistakes, []);
        let found: Vec<_> = leaves(table.get_ref())
            .into_iter()
            .map(|(key, span, values)| (key, lines.at(span.start), values.join(",")))
            .collect();
        let expected = [("a", 1, "1"), ("b.c", 3, "x,y"), ("b.d.e", 6, "true")];
        assert_eq!(found, expected.map(|(k, l, v)| (k.to_owned(), l, v.to_owned())));
    }

    #[test]
    fn every_syntax_error_has_its_line() {
        let (_, _, mistakes) = read(Path::new("f"), "a = \nb = 1\nc = = 2\n");
        let lines: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        assert!(lines.iter().any(|l| l.starts_with("f:1:")), "{lines:?}");
        assert!(lines.iter().any(|l| l.starts_with("f:3:")), "{lines:?}");
    }
}
