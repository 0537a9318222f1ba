//! What became of the file: differences and mistakes.

use serde::Serialize;

/// Something wrong in the file. All are reported together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Mistake {
    /// Where: `merchants[2].tariff`, as the path stands in the file.
    pub path: String,
    /// What is wrong, in words.
    pub message: String,
}

/// What happened, or would happen, to one object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Made.
    Created,
    /// Brought up to date.
    Updated,
    /// Taken away.
    Removed,
    /// Was so already.
    Unchanged,
}

/// One line of the difference.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Change {
    /// What happened.
    pub act: Act,
    /// `merchant`, `trunk`, ….
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Each field that changed: `max_calls: 5 → 10`. Secrets show no value.
    pub fields: Vec<String>,
}

/// The outcome of applying a file. With mistakes nothing was written.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Changes {
    /// In the order of the file's kinds.
    pub lines: Vec<Change>,
    /// Everything that is wrong; empty means it was applied (or would be, in a dry run).
    pub mistakes: Vec<Mistake>,
    /// Settings version afterwards.
    pub version: u64,
}

impl Changes {
    /// How many lines have this act.
    #[must_use]
    pub fn count(&self, act: Act) -> usize {
        self.lines.iter().filter(|line| line.act == act).count()
    }
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mark = match self.act {
            Act::Created => '+',
            Act::Updated => '~',
            Act::Removed => '-',
            Act::Unchanged => '=',
        };
        write!(f, "{mark} {} {}", self.kind, self.name)?;
        for field in &self.fields {
            write!(f, "\n    {field}")?;
        }
        Ok(())
    }
}
