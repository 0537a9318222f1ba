//! What can go wrong in the store.

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The queue of writes is full: close admission and try later.
    #[error("the store is busy")]
    Busy,
    /// The store was closed, or its writer thread is gone.
    #[error("the store is closed")]
    Closed,
    /// The database cannot be reached, or broke the connection in the middle.
    #[error("the database is unreachable: {0}")]
    Unreachable(String),
    /// The database's schema is older or newer than this program's.
    #[error("the database needs `tandem migrate`: {0}")]
    Schema(String),
    /// The URL names no database we know.
    #[error("not a store: {0}")]
    BadUrl(String),
    /// What was named does not exist.
    #[error("no such {0}")]
    Missing(&'static str),
    /// A rule of the schema refused the write.
    #[error("{0}")]
    Conflict(Constraint),
    /// A row cannot be read back as what it should be.
    #[error("damaged row in {table}: {detail}")]
    Damaged {
        /// The table.
        table: &'static str,
        /// What was wrong.
        detail: String,
    },
    /// The database refused a statement: a fault of our own.
    #[error("database: {0}")]
    Database(String),
}

/// Rules of the schema, by the name they bear there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Constraint {
    /// `accounts_not_overdrawn`: posted − held + credit stays at or above zero.
    #[error("the account would be overdrawn")]
    NotOverdrawn,
    /// `merchants_name_unique`.
    #[error("a merchant of that name exists")]
    MerchantName,
    /// `extensions_number_unique`.
    #[error("the internal number is taken")]
    ExtensionNumber,
    /// Any other rule.
    #[error("a rule of the schema refused it")]
    Other,
}

/// The store's results.
pub type Result<T> = std::result::Result<T, Error>;
