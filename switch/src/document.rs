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
    /// Line of a file, from 1, and the column where that helps: a syntax error may be anywhere in it.
    Line(PathBuf, usize, Option<usize>),
    /// A flag or a variable, by name.
    Named(String),
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Line(path, line, None) => {
                write!(f, "{}:{line}: {}", path.display(), self.message)
            }
            Place::Line(path, line, Some(column)) => {
                write!(f, "{}:{line}:{column}: {}", path.display(), self.message)
            }
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
        let place = Place::Line(self.path.clone(), self.at(span.start), None);
        Mistake { place, message: message.into() }
    }

    /// A mistake whose column is told, counted in characters from 1.
    fn pointed(&self, text: &str, span: &Range<usize>, message: impl Into<String>) -> Mistake {
        let line = self.at(span.start);
        let from = self.starts.get(line - 1).copied().unwrap_or(0);
        let column = text.get(from..span.start).map_or(1, |before| before.chars().count() + 1);
        Mistake {
            place: Place::Line(self.path.clone(), line, Some(column)),
            message: message.into(),
        }
    }
}

/// A text as read.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    /// What stands in it; where a key is given twice, the first.
    pub(crate) table: Spanned<DeTable<'a>>,
    pub(crate) lines: Lines,
    /// Keys that are given twice.
    pub(crate) twice: Vec<Mistake>,
}

/// What the parser says of a key that is given twice.
const TWICE: &str = "duplicate key";

/// Reads a text.
///
/// # Errors
/// The first syntax error. What stands behind it cannot be told from what it was meant to be: one slip of
/// the pen would make ten mistakes.
pub(crate) fn read<'a>(path: &Path, text: &'a str) -> Result<Document<'a>, Mistake> {
    let lines = Lines::of(path, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let (twice, syntax): (Vec<_>, Vec<_>) =
        errors.iter().partition(|error| error.message() == TWICE);
    let place = |error: &toml::de::Error| error.span().unwrap_or(0..0);
    if let Some(first) = syntax.into_iter().min_by_key(|error| place(error).start) {
        return Err(lines.pointed(text, &place(first), first.message()));
    }
    let twice = twice
        .into_iter()
        .map(|error| {
            let key = text.get(place(error)).unwrap_or_default();
            lines.pointed(text, &place(error), format!("`{key}` is given twice"))
        })
        .collect();
    Ok(Document { table, lines, twice })
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
        let document = read(Path::new("f"), text).unwrap();
        assert_eq!(document.twice, []);
        let found: Vec<_> = leaves(document.table.get_ref())
            .into_iter()
            .map(|(key, span, values)| (key, document.lines.at(span.start), values.join(",")))
            .collect();
        let expected = [("a", 1, "1"), ("b.c", 3, "x,y"), ("b.d.e", 6, "true")];
        assert_eq!(found, expected.map(|(k, l, v)| (k.to_owned(), l, v.to_owned())));
    }

    #[test]
    fn a_syntax_error_is_one_mistake_with_line_and_column() {
        for (text, place) in [
            ("a = \nb = 1\n", "f:1:5:"),
            ("a = 1\n[[x]\nb = 1\nc = 2\n", "f:2:5:"),
            ("a = 1\nkey = value\n", "f:2:7:"),
            ("a = \"no end\nb = 1\nc = 2\n", "f:1:"),
            ("é = 1\n", "f:1:1:"),
            ("a = 1\nb = [1, 2\nc = 3\nd = 4\n", "f:"),
            ("a = 1 b = 2\n", "f:1:"),
        ] {
            let mistake = read(Path::new("f"), text).unwrap_err().to_string();
            assert!(mistake.starts_with(place), "{text:?}: {mistake}");
            assert!(!mistake.contains('\n'), "{mistake}");
        }
    }

    #[test]
    fn every_key_that_is_given_twice_is_told() {
        let text = "[a]\nx = 1\ny = 2\nx = 3\n[b]\nz = 1\nz = 1\n";
        let document = read(Path::new("f"), text).unwrap();
        let told: Vec<_> = document.twice.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["f:4:1: `x` is given twice", "f:7:1: `z` is given twice"]);
        assert_eq!(leaves(document.table.get_ref())[0].2, ["1"], "the first stands");
    }
}
