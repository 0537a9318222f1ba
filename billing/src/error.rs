//! What can go wrong in the store.

use rusqlite::ffi::{
    SQLITE_CONSTRAINT_CHECK, SQLITE_CONSTRAINT_FOREIGNKEY, SQLITE_CONSTRAINT_PRIMARYKEY,
    SQLITE_CONSTRAINT_UNIQUE,
};

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
    /// The primary key of `extensions`.
    #[error("the internal number is taken")]
    ExtensionNumber,
    /// A merchant has as many sub-accounts as it may have.
    #[error("the merchant has too many sub-accounts")]
    SubAccounts,
    /// A merchant has as many webhooks as it may have.
    #[error("the merchant has too many webhooks")]
    Webhooks,
    /// A merchant has as many campaigns that are not over as it may have.
    #[error("the merchant has too many campaigns")]
    Campaigns,
    /// A merchant has as many keys as it may have.
    #[error("the merchant has too many keys")]
    ApiKeys,
    /// `calls_once`, `request_keys_once`, `records_once`, `campaign_requests_once`, `ussd_sessions_once`: somebody else wrote the same thing at the same
    /// moment; the unit is run again and finds it.
    #[error("somebody else was quicker")]
    Raced,
    /// Any other rule.
    #[error("a rule of the schema refused it")]
    Other,
}

/// The store's results.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether trying again may help: the whole unit, from its beginning.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Error::Unreachable(_) | Error::Conflict(Constraint::Raced))
    }

    pub(crate) fn from_sqlx(error: sqlx::Error) -> Error {
        match error {
            sqlx::Error::Database(error) => from_database(error.as_ref()),
            sqlx::Error::Io(error) => Error::Unreachable(error.to_string()),
            sqlx::Error::Tls(error) => Error::Unreachable(error.to_string()),
            sqlx::Error::Protocol(error) => Error::Unreachable(error),
            sqlx::Error::PoolTimedOut => Error::Unreachable("no free connection".into()),
            sqlx::Error::WorkerCrashed => Error::Unreachable("the connection's worker died".into()),
            sqlx::Error::PoolClosed => Error::Closed,
            error => Error::Database(error.to_string()),
        }
    }
}

impl Error {
    pub(crate) fn from_rusqlite(error: rusqlite::Error) -> Error {
        let rusqlite::Error::SqliteFailure(code, message) = error else {
            return Error::Database(error.to_string());
        };
        let message = message.unwrap_or_else(|| code.to_string());
        if message.starts_with("no such table") {
            return Error::Schema(message);
        }
        match code.extended_code {
            SQLITE_CONSTRAINT_UNIQUE
            | SQLITE_CONSTRAINT_PRIMARYKEY
            | SQLITE_CONSTRAINT_CHECK
            | SQLITE_CONSTRAINT_FOREIGNKEY => Error::Conflict(constraint(&message)),
            extended if is_passing_sqlite(&extended.to_string()) => Error::Unreachable(message),
            _ => Error::Database(message),
        }
    }
}

fn from_database(error: &dyn sqlx::error::DatabaseError) -> Error {
    let code = error.code().unwrap_or_default();
    // PostgreSQL: connection trouble (class 08), shutdown and start-up (57P), serialization and deadlock (40),
    // a lock that did not come in time (55P03).
    let passing =
        code.len() == 5 && ["08", "57P", "40", "55P03"].iter().any(|class| code.starts_with(class));
    if passing || is_passing_sqlite(&code) {
        return Error::Unreachable(error.message().to_owned());
    }
    if code == "42P01" || error.message().starts_with("no such table") {
        return Error::Schema(error.message().to_owned());
    }
    if error.is_unique_violation() || error.is_check_violation() || error.is_foreign_key_violation()
    {
        return Error::Conflict(constraint(error.constraint().unwrap_or(error.message())));
    }
    Error::Database(error.message().to_owned())
}

/// SQLITE_BUSY, SQLITE_LOCKED, SQLITE_IOERR and SQLITE_FULL, whatever the upper bytes say in detail: another
/// process has the file, or its disk is full or sick. Written again later, nothing is lost.
fn is_passing_sqlite(code: &str) -> bool {
    // PostgreSQL's codes have five characters, SQLite's numbers four digits at most.
    code.len() < 5 && code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 10 | 13))
}

/// PostgreSQL gives the constraint's name; SQLite a sentence with it, or with `table.column`.
fn constraint(text: &str) -> Constraint {
    const NAMES: [(&str, &str, Constraint); 8] = [
        ("accounts_not_overdrawn", "accounts_not_overdrawn", Constraint::NotOverdrawn),
        ("merchants_name_unique", "merchants.name", Constraint::MerchantName),
        ("calls_once", "calls.id", Constraint::Raced),
        ("request_keys_once", "request_keys.merchant_id", Constraint::Raced),
        ("records_once", "records.call_id", Constraint::Raced),
        ("campaign_requests_once", "campaign_requests.company", Constraint::Raced),
        ("ussd_sessions_once", "ussd_sessions.id", Constraint::Raced),
        ("extensions_pkey", "extensions.number", Constraint::ExtensionNumber),
    ];
    let found = NAMES.iter().find(|(name, column, _)| text.contains(name) || text.contains(column));
    found.map_or(Constraint::Other, |(_, _, constraint)| *constraint)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
    use sqlx::{ConnectOptions as _, Executor as _};

    async fn connect(file: &std::path::Path) -> SqliteConnection {
        SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .busy_timeout(std::time::Duration::ZERO)
            .connect()
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_locked_file_and_a_full_disk_are_worth_another_try() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.db");
        let (mut one, mut other) = (connect(&file).await, connect(&file).await);
        one.execute("CREATE TABLE t (x TEXT NOT NULL)").await.unwrap();
        one.execute("BEGIN IMMEDIATE").await.unwrap();
        let busy = Error::from_sqlx(other.execute("BEGIN IMMEDIATE").await.unwrap_err());
        assert!(matches!(busy, Error::Unreachable(_)), "{busy:?}");
        one.execute("COMMIT").await.unwrap();
        one.execute("PRAGMA max_page_count = 3").await.unwrap();
        let full = one.execute("INSERT INTO t VALUES (hex(zeroblob(100000)))").await.unwrap_err();
        let full = Error::from_sqlx(full);
        assert!(matches!(full, Error::Unreachable(_)), "{full:?}");
        // A fault of our own is none of these.
        let wrong = Error::from_sqlx(one.execute("INSERT INTO t VALUES (NULL)").await.unwrap_err());
        assert!(!matches!(wrong, Error::Unreachable(_)), "{wrong:?}");
        let wrong = Error::from_sqlx(one.execute("SELEC").await.unwrap_err());
        assert!(matches!(wrong, Error::Database(_)), "{wrong:?}");
    }

    #[test]
    fn the_writers_failures_are_mapped_like_those_of_the_readers() {
        use rusqlite::Connection;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.db");
        let (one, other) = (Connection::open(&file).unwrap(), Connection::open(&file).unwrap());
        other.busy_timeout(std::time::Duration::ZERO).unwrap();
        let run =
            |conn: &Connection, sql: &str| conn.execute_batch(sql).map_err(Error::from_rusqlite);
        run(
            &one,
            "CREATE TABLE accounts (x BIGINT NOT NULL, \
             CONSTRAINT accounts_not_overdrawn CHECK (x >= 0)); \
             CREATE TABLE merchants (name TEXT CONSTRAINT merchants_name_unique UNIQUE); \
             CREATE TABLE calls (id BIGINT CONSTRAINT calls_once PRIMARY KEY); \
             CREATE TABLE holds (x BIGINT CONSTRAINT holds_positive CHECK (x > 0)); \
             INSERT INTO merchants VALUES ('a'); INSERT INTO calls VALUES (1)",
        )
        .unwrap();
        for (sql, rule) in [
            ("INSERT INTO accounts VALUES (-1)", Constraint::NotOverdrawn),
            ("INSERT INTO merchants VALUES ('a')", Constraint::MerchantName),
            ("INSERT INTO calls VALUES (1)", Constraint::Raced),
            ("INSERT INTO holds VALUES (0)", Constraint::Other),
        ] {
            let error = run(&one, sql).unwrap_err();
            assert!(matches!(error, Error::Conflict(found) if found == rule), "{sql}: {error:?}");
        }
        // A rule without a name of ours is a fault of our own.
        let error = run(&one, "INSERT INTO accounts VALUES (NULL)").unwrap_err();
        assert!(matches!(error, Error::Database(_)), "{error:?}");
        let error = run(&one, "SELECT * FROM nowhere").unwrap_err();
        assert!(matches!(error, Error::Schema(_)), "{error:?}");
        assert!(matches!(run(&one, "SELEC").unwrap_err(), Error::Database(_)));
        run(&one, "BEGIN IMMEDIATE").unwrap();
        let busy = run(&other, "BEGIN IMMEDIATE").unwrap_err();
        assert!(matches!(busy, Error::Unreachable(_)), "{busy:?}");
        run(&one, "COMMIT; PRAGMA max_page_count = 8").unwrap();
        let full = "INSERT INTO merchants VALUES (hex(zeroblob(100000)))";
        let full = run(&one, full).unwrap_err();
        assert!(matches!(full, Error::Unreachable(_)), "{full:?}");
    }
}
