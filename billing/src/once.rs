//! Names for units of work that have none of their own.

use crate::error::Result;
use crate::secrets;

/// Drawn by whoever asks for something that is done once. After a commit whose answer was lost the unit runs
/// again, and finds by this name what the first run wrote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Once(String);

impl Once {
    /// A name that nothing had before.
    ///
    /// # Errors
    /// When the operating system has no random bytes.
    pub fn fresh() -> Result<Once> {
        secrets::random().map(Once)
    }

    /// What a row that is there once names, for what is done because of it.
    pub(crate) const fn of(name: String) -> Once {
        Once(name)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}
