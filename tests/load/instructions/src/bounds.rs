//! The committed bounds: a text of `name = instructions` lines, and the verdict on a count.

use std::collections::BTreeMap;

/// A count may pass its bound by this share before the check fails, per cent.
pub const TOLERANCE: u64 = 5;

/// Instructions of each operation, by its name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Bounds(BTreeMap<String, u64>);

/// What a count is beside its bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Within the tolerance, above or below.
    Kept,
    /// Less than the bound by more than the tolerance: the bound can be lowered.
    Better,
    /// More than the bound by more than the tolerance.
    Exceeded,
    /// There is no bound of that name.
    Unbounded,
}

impl Verdict {
    /// Whether the check goes on.
    #[must_use]
    pub fn passes(self) -> bool {
        matches!(self, Verdict::Kept | Verdict::Better)
    }

    /// In a table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Kept => "kept",
            Verdict::Better => "better: lower the bound",
            Verdict::Exceeded => "EXCEEDED",
            Verdict::Unbounded => "NO BOUND",
        }
    }
}

impl Bounds {
    /// Reads `name = number` lines; blank lines and `#` comments are skipped, `_` may part digits.
    ///
    /// # Errors
    /// The first line that is none of these, or a name that stands twice.
    pub fn parse(text: &str) -> Result<Bounds, String> {
        let mut bounds = BTreeMap::new();
        for (no, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let fault = || format!("line {}: `{line}` is not `name = instructions`", no + 1);
            let (name, count) = line.split_once('=').ok_or_else(fault)?;
            let count = count.trim().replace('_', "").parse().map_err(|_| fault())?;
            if bounds.insert(name.trim().to_owned(), count).is_some() {
                return Err(format!("line {}: `{}` stands twice", no + 1, name.trim()));
            }
        }
        Ok(Bounds(bounds))
    }

    /// The bound of an operation.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<u64> {
        self.0.get(name).copied()
    }

    /// Per cent that a count is above (or, negative, below) its bound, and the verdict.
    #[must_use]
    pub fn judge(&self, name: &str, count: u64) -> (Option<f64>, Verdict) {
        let Some(bound) = self.get(name) else { return (None, Verdict::Unbounded) };
        let change = (count as f64 / (bound.max(1)) as f64 - 1.0) * 100.0;
        // In whole numbers: a count at the border must not fail by rounding.
        let verdict = if count * 100 > bound * (100 + TOLERANCE) {
            Verdict::Exceeded
        } else if count * 100 < bound * (100 - TOLERANCE) {
            Verdict::Better
        } else {
            Verdict::Kept
        };
        (Some(change), verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read_and_faults_are_named() {
        let bounds = Bounds::parse("# a comment\n\nparse = 1_200 # as of now\nrate=70\n").unwrap();
        assert_eq!((bounds.get("parse"), bounds.get("rate")), (Some(1200), Some(70)));
        assert_eq!(bounds.get("other"), None);
        assert!(Bounds::parse("parse 12").unwrap_err().starts_with("line 1"));
        assert!(Bounds::parse("a = 1\nb = x").unwrap_err().starts_with("line 2"));
        assert!(Bounds::parse("a = 1\na = 1").unwrap_err().contains("twice"));
    }

    #[test]
    fn five_per_cent_are_forgiven_and_no_more() {
        let bounds = Bounds::parse("op = 1000").unwrap();
        let verdict = |count| bounds.judge("op", count).1;
        assert_eq!(verdict(1050), Verdict::Kept);
        assert_eq!(verdict(1051), Verdict::Exceeded);
        assert_eq!(verdict(950), Verdict::Kept);
        assert_eq!(verdict(949), Verdict::Better);
        assert!(!verdict(1051).passes() && verdict(949).passes());
    }

    #[test]
    fn an_operation_without_a_bound_does_not_pass() {
        let (change, verdict) = Bounds::default().judge("new", 1);
        assert_eq!((change, verdict), (None, Verdict::Unbounded));
        assert!(!verdict.passes());
    }
}
