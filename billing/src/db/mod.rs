//! The narrow door to SQL: values in, rows out, the same statement text for both databases.
//!
//! Statements use `$1`-style parameters and the common subset of SQLite ≥ 3.35 and PostgreSQL ≥ 13; whole
//! numbers are 64 bits, truth is 0 or 1, instants are milliseconds, documents are JSON text. What cannot be
//! said in common is asked of [`Conn`].

mod line;
mod lite;
mod migrate;
mod own;
mod pg;
mod value;
mod writer;

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use facts::UnixMillis;
use sqlx::pool::PoolConnection;
use sqlx::{Executor, Postgres, Sqlite};

use crate::error::{Error, Result};

pub(crate) use line::Manner;
pub(crate) use lite::Lite;
pub(crate) use migrate::{migrate, pending};
use own::Own;
pub(crate) use pg::{BRIEF, LONG, Pg};
pub(crate) use value::{Row, Value, args, from_json, json, word};

/// Rows of a table that are forgotten.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Old {
    pub(crate) table: &'static str,
    /// Its primary key.
    pub(crate) keys: &'static str,
    /// Which of them; `$1` is the instant that is `life` ago.
    pub(crate) which: &'static str,
    pub(crate) life: Duration,
}

/// A future that may cross threads.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a unit of work says at its end.
pub(crate) enum Verdict<T> {
    /// Commit it.
    Keep(T),
    /// Roll it back, and answer this.
    Undo(T),
}

/// A unit of work: run inside a transaction, perhaps more than once (after a deadlock or a lost connection),
/// so it must not have effects outside the database that a repeat would spoil.
pub(crate) type Work<T> =
    Box<dyn for<'c> Fn(&'c mut Conn) -> Boxed<'c, Result<Verdict<T>>> + Send + Sync>;

/// A connection with an open transaction, or a reader.
pub(crate) enum Conn {
    /// SQLite's writer.
    Own(Own),
    /// A reader of SQLite.
    Lite(PoolConnection<Sqlite>),
    Pg(PoolConnection<Postgres>),
}

macro_rules! bound {
    ($db:ty, $sql:expr, $args:expr, $persistent:expr) => {{
        let mut query = sqlx::query::<$db>($sql).persistent($persistent);
        for value in $args {
            query = match value {
                Value::Int(int) => query.bind(int),
                Value::Text(text) => query.bind(text),
                Value::Blob(blob) => query.bind(blob),
            };
        }
        query
    }};
}

impl Conn {
    /// Runs a statement; returns how many rows it touched.
    pub(crate) async fn exec(&mut self, sql: &str, args: Vec<Value>) -> Result<u64> {
        self.run(sql, args, true).await
    }

    /// The same for a statement whose text will not come again: it is not kept prepared.
    pub(crate) async fn exec_once(&mut self, sql: &str, args: Vec<Value>) -> Result<u64> {
        self.run(sql, args, false).await
    }

    async fn run(&mut self, sql: &str, args: Vec<Value>, keep: bool) -> Result<u64> {
        match self {
            Conn::Own(conn) => conn.exec(sql, &args, keep),
            Conn::Lite(conn) => {
                let done = bound!(Sqlite, sql, args, keep).execute(&mut **conn).await;
                Ok(done.map_err(Error::from_sqlx)?.rows_affected())
            }
            Conn::Pg(conn) => {
                let done = bound!(Postgres, sql, args, keep).execute(&mut **conn).await;
                Ok(done.map_err(Error::from_sqlx)?.rows_affected())
            }
        }
    }

    /// Runs statements that do not read each other's effects: one after the other on SQLite, in one trip, as
    /// one statement with a common table expression each, on PostgreSQL.
    pub(crate) async fn batch(&mut self, batch: Batch) -> Result<()> {
        let mut statements = batch.statements;
        if self.is_pg() && statements.len() > 1 {
            statements = vec![in_one(statements)];
        }
        for (sql, values) in statements {
            self.run(&sql, values, true).await?;
        }
        Ok(())
    }

    /// Runs a query; returns its rows.
    pub(crate) async fn rows(&mut self, sql: &str, args: Vec<Value>) -> Result<Vec<Row>> {
        match self {
            Conn::Own(conn) => conn.rows(sql, &args, usize::MAX),
            Conn::Lite(conn) => {
                let rows = bound!(Sqlite, sql, args, true).fetch_all(&mut **conn).await;
                Ok(rows.map_err(Error::from_sqlx)?.into_iter().map(Row::Lite).collect())
            }
            Conn::Pg(conn) => {
                let rows = bound!(Postgres, sql, args, true).fetch_all(&mut **conn).await;
                Ok(rows.map_err(Error::from_sqlx)?.into_iter().map(Row::Pg).collect())
            }
        }
    }

    /// Runs a query; returns its first row.
    pub(crate) async fn row(&mut self, sql: &str, args: Vec<Value>) -> Result<Option<Row>> {
        match self {
            Conn::Own(conn) => Ok(conn.rows(sql, &args, 1)?.pop()),
            Conn::Lite(conn) => {
                let row = bound!(Sqlite, sql, args, true).fetch_optional(&mut **conn).await;
                Ok(row.map_err(Error::from_sqlx)?.map(Row::Lite))
            }
            Conn::Pg(conn) => {
                let row = bound!(Postgres, sql, args, true).fetch_optional(&mut **conn).await;
                Ok(row.map_err(Error::from_sqlx)?.map(Row::Pg))
            }
        }
    }

    /// Runs several statements without parameters.
    pub(crate) async fn script(&mut self, sql: &str) -> Result<()> {
        let done = match self {
            Conn::Own(conn) => return conn.script(sql),
            Conn::Lite(conn) => conn.execute(sql).await.map(drop),
            Conn::Pg(conn) => conn.execute(sql).await.map(drop),
        };
        done.map_err(Error::from_sqlx)
    }

    /// Appended to a query whose rows are to be locked. SQLite has one writer and needs no lock.
    pub(crate) fn lock(&self, of: &str) -> String {
        match self {
            Conn::Own(_) | Conn::Lite(_) => String::new(),
            Conn::Pg(_) => format!(" FOR NO KEY UPDATE OF {of}"),
        }
    }

    /// The last id of a table that somebody has drawn, whether he has committed or not. PostgreSQL's alone.
    pub(crate) async fn last_drawn(&mut self, table: &str) -> Result<i64> {
        let sql = format!("SELECT last_value FROM {table}_id_seq");
        self.row(&sql, args![]).await?.map_or(Ok(0), |row| row.int(0))
    }

    /// The transactions that have written to a table and are open. PostgreSQL's alone.
    pub(crate) async fn writers(&mut self, table: &str) -> Result<BTreeSet<String>> {
        let sql = "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' \
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
                   AND relation = CAST(CAST($1 AS TEXT) AS regclass) AND mode = 'RowExclusiveLock'";
        self.rows(sql, args![table]).await?.iter().map(|row| row.text(0)).collect()
    }

    /// Forgets rows that are past their life, so many at most; how many.
    pub(crate) async fn forget(&mut self, old: &Old, now: UnixMillis, most: u32) -> Result<u64> {
        let Old { table, keys, which, life } = *old;
        let sql = format!(
            "DELETE FROM {table} WHERE ({keys}) IN \
             (SELECT {keys} FROM {table} WHERE {which} LIMIT $2)"
        );
        self.exec(&sql, args![now - life, most]).await
    }

    /// Waits until no other transaction that is open has taken this word, and takes it until the end of this one.
    /// SQLite has one writer.
    pub(crate) async fn one_at_a_time(&mut self, word: &str) -> Result<()> {
        if self.is_pg() {
            let sql =
                "SELECT 1 FROM (SELECT pg_advisory_xact_lock(hashtextextended($1, 7464))) AS l";
            self.rows(sql, args![word]).await?;
        }
        Ok(())
    }

    /// True on PostgreSQL.
    pub(crate) fn is_pg(&self) -> bool {
        matches!(self, Conn::Pg(_))
    }
}

/// Statements to be run together, each with its parameters.
#[derive(Default)]
pub(crate) struct Batch {
    statements: Vec<(String, Vec<Value>)>,
}

impl Batch {
    /// Adds a statement whose parameters are numbered from `$1`.
    pub(crate) fn add(&mut self, sql: &str, values: Vec<Value>) {
        self.statements.push((sql.to_owned(), values));
    }
}

/// One statement with a common table expression each, parameters numbered through.
fn in_one(statements: Vec<(String, Vec<Value>)>) -> (String, Vec<Value>) {
    use std::fmt::Write;
    let (mut text, mut all) = (String::new(), Vec::new());
    for (i, (sql, values)) in statements.into_iter().enumerate() {
        let comma = if i == 0 { "WITH" } else { "," };
        let _ = write!(text, "{comma} s{i} AS (");
        renumber(&sql, all.len(), &mut text);
        text.push(')');
        all.extend(values);
    }
    text.push_str(" SELECT 1");
    (text, all)
}

fn renumber(sql: &str, by: usize, into: &mut String) {
    use std::fmt::Write;
    let mut rest = sql;
    while let Some(at) = rest.find('$') {
        let (before, after) = rest.split_at(at + 1);
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let number: usize = after[..digits].parse().unwrap_or(0);
        into.push_str(before);
        let _ = write!(into, "{}", number + by);
        rest = &after[digits..];
    }
    into.push_str(rest);
}

/// `($1,$2),($3,$4)`: the VALUES of an insert of several rows.
pub(crate) fn tuples(rows: usize, columns: usize) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(rows * columns * 5);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ",(" });
        for column in 0..columns {
            let comma = if column == 0 { "" } else { "," };
            let _ = write!(text, "{comma}${}", row * columns + column + 1);
        }
        text.push(')');
    }
    text
}

/// Wraps an async block into a [`Work`]: `work!(conn, [captured, …] => expression)`.
macro_rules! work {
    ($conn:ident, [$($captured:ident),*] => $body:expr) => {{
        $( let $captured = std::sync::Arc::new($captured); )*
        Box::new(move |$conn: &mut $crate::db::Conn| {
            $( let $captured = std::sync::Arc::clone(&$captured); )*
            Box::pin(async move { Ok($crate::db::Verdict::Keep($body)) })
                as $crate::db::Boxed<'_, _>
        })
    }};
}
pub(crate) use work;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_numbers_its_parameters_through() {
        let mut batch = Batch::default();
        batch.add("UPDATE a SET b = $2 WHERE c = $1", args![1_i64, 2_i64]);
        batch.add(&format!("INSERT INTO d VALUES {}", tuples(2, 1)), args![3_i64, 4_i64]);
        let together = "WITH s0 AS (UPDATE a SET b = $2 WHERE c = $1), \
                        s1 AS (INSERT INTO d VALUES ($3),($4)) SELECT 1";
        let (text, values) = in_one(batch.statements);
        assert_eq!((text.as_str(), values.len()), (together, 4));
    }
}
