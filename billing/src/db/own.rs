//! The writer's connection to SQLite: called where it stands, on the writer's own thread.
//!
//! sqlx gives each SQLite connection a thread and sends every statement there and every row back; for readers
//! that keeps slow queries off the runtime. The writer has a thread of its own already, and a call's dozen
//! statements would spend more time waking threads than in SQLite.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Once};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, Value as Owned, ValueRef};
use rusqlite::{CachedStatement, Connection, Statement, ToSql, ffi};

use super::{Row, Value};
use crate::error::{Error, Result};

/// Pages that stay in memory, KiB: the upper levels and the growing ends of every index.
const CACHE_KIB: i64 = 16 * 1024;
/// Pages of the write-ahead log after which it is copied into the file. The pages that every call touches are
/// copied once for many calls; 16 MiB are read again in a blink after a crash.
const LOG_PAGES: i64 = 4096;
/// Bytes of a page.
const PAGE: i64 = 4096;

/// A connection that belongs to one thread at a time.
pub(crate) struct Own {
    conn: Connection,
    /// Statements kept prepared, at most.
    kept: usize,
    /// Which value each parameter of a kept statement takes: to look it up by name costs SQLite a walk each.
    places: HashMap<String, Arc<[usize]>>,
}

impl Own {
    /// Opens a file that exists, or a store in memory, with everything synced at every commit.
    pub(crate) fn open(file: Option<&Path>, busy: Duration, statements: usize) -> Result<Own> {
        without_statistics();
        let open = || {
            let conn = match file {
                Some(file) => Connection::open(file)?,
                None => Connection::open_in_memory()?,
            };
            conn.busy_timeout(busy)?;
            conn.execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
                 PRAGMA temp_store = MEMORY",
            )?;
            conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
            conn.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
            conn.pragma_update(None, "journal_size_limit", LOG_PAGES * PAGE)?;
            conn.set_prepared_statement_cache_capacity(statements);
            Ok(Own { conn, kept: statements, places: HashMap::new() })
        };
        open().map_err(Error::from_rusqlite)
    }

    /// Runs one statement; returns how many rows it touched.
    pub(crate) fn exec(&mut self, sql: &str, values: &[Value], keep: bool) -> Result<u64> {
        let mut run = || {
            let done = if keep {
                let mut statement: CachedStatement<'_> = self.conn.prepare_cached(sql)?;
                let places = known(&mut self.places, self.kept, sql, &statement);
                bind(&mut statement, &places, values)?.raw_execute()?
            } else {
                let mut statement = self.conn.prepare(sql)?;
                let places = places(&statement);
                bind(&mut statement, &places, values)?.raw_execute()?
            };
            Ok(u64::try_from(done).unwrap_or(u64::MAX))
        };
        run().map_err(Error::from_rusqlite)
    }

    /// Runs one query; returns its rows, at most `limit` of them.
    pub(crate) fn rows(&mut self, sql: &str, values: &[Value], limit: usize) -> Result<Vec<Row>> {
        let mut run = || {
            let mut statement: CachedStatement<'_> = self.conn.prepare_cached(sql)?;
            let columns = statement.column_count();
            let places = known(&mut self.places, self.kept, sql, &statement);
            let mut rows = bind(&mut statement, &places, values)?.raw_query();
            let mut found = Vec::new();
            while found.len() < limit
                && let Some(row) = rows.next()?
            {
                let values = (0..columns).map(|column| row.get::<_, Owned>(column));
                found.push(Row::Own(values.collect::<rusqlite::Result<_>>()?));
            }
            Ok(found)
        };
        run().map_err(Error::from_rusqlite)
    }

    /// Rows changed since the connection was opened; `None` when no transaction is open.
    pub(crate) fn changes(&self) -> Option<u64> {
        (!self.conn.is_autocommit()).then(|| self.conn.total_changes())
    }

    /// Runs several statements without parameters.
    pub(crate) fn script(&mut self, sql: &str) -> Result<()> {
        self.conn.execute_batch(sql).map_err(Error::from_rusqlite)
    }
}

/// Tells SQLite not to count what it allocates: it would do so for the whole process under one lock, twice for
/// each allocation, for a figure that nobody asks for. Before anything else is asked of it; later it refuses,
/// which harms nothing.
#[allow(unsafe_code, reason = "SQLite is configured by a C function of variable arguments")]
fn without_statistics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let off: std::ffi::c_int = 0;
        // SAFETY: this option takes one int. No other thread is in SQLite: every connection of the process is
        // opened behind this call, or after one that was.
        unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_MEMSTATUS, off) };
    });
}

/// [`places`], remembered.
fn known(
    places_of: &mut HashMap<String, Arc<[usize]>>,
    kept: usize,
    sql: &str,
    statement: &Statement<'_>,
) -> Arc<[usize]> {
    if let Some(known) = places_of.get(sql) {
        return Arc::clone(known);
    }
    if places_of.len() >= kept {
        places_of.clear();
    }
    let places = places(statement);
    places_of.insert(sql.to_owned(), Arc::clone(&places));
    places
}

/// `$N` takes the Nth value wherever it stands and however often. (To SQLite itself it is but a name.) Counted
/// from 1; 0 is no such name.
fn places(statement: &Statement<'_>) -> Arc<[usize]> {
    let place = |at| {
        let name = statement.parameter_name(at)?;
        name.strip_prefix('$')?.parse().ok()
    };
    (1..=statement.parameter_count()).map(|at| place(at).unwrap_or(0)).collect()
}

fn bind<'s, 'c>(
    statement: &'s mut Statement<'c>,
    places: &[usize],
    values: &[Value],
) -> rusqlite::Result<&'s mut Statement<'c>> {
    for (at, &number) in places.iter().enumerate() {
        let value = number.checked_sub(1).and_then(|place| values.get(place));
        let value = value.ok_or(rusqlite::Error::InvalidParameterCount(values.len(), number))?;
        statement.raw_bind_parameter(at + 1, value)?;
    }
    Ok(statement)
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Int(Some(int)) => ValueRef::Integer(*int),
            Value::Text(Some(text)) => ValueRef::Text(text.as_bytes()),
            Value::Blob(Some(blob)) => ValueRef::Blob(blob),
            Value::Int(None) | Value::Text(None) | Value::Blob(None) => ValueRef::Null,
        }))
    }
}
