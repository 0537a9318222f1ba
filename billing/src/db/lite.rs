//! SQLite: one writer thread behind a queue, and readers beside it.
//!
//! Readers have connections of their own and never wait (write-ahead log). Writes go through the [`Line`] to
//! the [`Writer`], in the order they came.

use std::fs::OpenOptions;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tokio::sync::oneshot;

use super::line::{Gate, Line, Manner, row, typed};
use super::writer::Writer;
use super::{Conn, Own, Verdict, Work};
use crate::error::{Error, Result};
use crate::store::StoreConfig;

/// Longest wait for a lock that another process holds on the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Prepared statements kept per connection.
const STATEMENTS: usize = 256;

/// A SQLite store: the way to its writer, and its readers.
#[derive(Clone, Debug)]
pub(crate) struct Lite {
    gate: Arc<Gate>,
    /// `None` for a store in memory: there, reading is the writer's work too.
    readers: Option<SqlitePool>,
}

impl Lite {
    pub(crate) async fn open(url: &str, config: &StoreConfig) -> Result<Lite> {
        let memory = url.contains(":memory:");
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|error| Error::BadUrl(error.to_string()))?
            .create_if_missing(true)
            .busy_timeout(BUSY_TIMEOUT)
            .statement_cache_capacity(STATEMENTS);
        if !memory {
            create_private(options.get_filename())?;
        }
        let file = (!memory).then(|| options.get_filename());
        let conn = Conn::Own(Own::open(file, BUSY_TIMEOUT, STATEMENTS)?);
        let readers = if memory {
            None
        } else {
            let options = options.read_only(true).create_if_missing(false);
            let pool = SqlitePoolOptions::new().max_connections(config.connections.max(1));
            Some(pool.connect_with(options).await.map_err(Error::from_sqlx)?)
        };
        let mut config = config.clone();
        if memory {
            // Nothing is synced, and even readers stand in the line.
            config.gather = Duration::ZERO;
        }
        let line = Arc::new(Line::new(&config));
        let writer = Writer::new(conn, Arc::clone(&line), &config);
        std::thread::Builder::new()
            .name("billing-writer".into())
            .spawn(move || writer.serve())
            .map_err(|error| Error::Database(error.to_string()))?;
        Ok(Lite { gate: Arc::new(Gate::new(line)), readers })
    }

    pub(crate) fn backlog(&self) -> usize {
        self.gate.line().len()
    }

    /// Units that panicked.
    pub(crate) fn panics(&self) -> u64 {
        self.gate.line().panics()
    }

    /// Queues a unit and waits for its commit. Unless the unit is an admission, which is refused when the
    /// line is half full, it waits for room: what is under way always finds some.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: Work<T>,
        manner: Manner,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        // Whoever asked may have gone away; the work is done all the same.
        let unit = typed(work, move |result| drop(reply.send(result)));
        self.gate.line().enter(unit, manner).await?;
        answer.await.unwrap_or(Err(Error::Closed))
    }

    /// Queues a unit without waiting; `then` hears what came of it, on the writer's thread. It must be
    /// brief. When the line takes no more, it hears that at once.
    pub(crate) fn queue<T: Send + 'static>(
        &self,
        work: Work<T>,
        manner: Manner,
        then: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        self.gate.line().put(typed(work, then), manner);
    }

    /// The same for a row of a leg's journal.
    pub(crate) fn queue_row(
        &self,
        work: Work<()>,
        manner: Manner,
        then: impl FnOnce(Result<()>) + Send + 'static,
    ) {
        self.gate.line().put(row(work, then), manner);
    }

    /// Reads on a reader's connection; `consistent` shows every statement the same state.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: Work<T>,
        consistent: bool,
    ) -> Result<T> {
        let Some(readers) = &self.readers else { return self.write(work, Manner::NOW).await };
        let mut conn = Conn::Lite(readers.acquire().await.map_err(Error::from_sqlx)?);
        if consistent {
            conn.script("BEGIN").await?;
        }
        let result = work(&mut conn).await;
        if consistent {
            conn.script("ROLLBACK").await?;
        }
        result.map(|verdict| match verdict {
            Verdict::Keep(value) | Verdict::Undo(value) => value,
        })
    }

    pub(crate) async fn close(&self) {
        // A unit that does nothing has everything before it committed.
        let nothing: Work<()> = Box::new(|_| Box::pin(async { Ok(Verdict::Keep(())) }));
        let _ = self.write(nothing, Manner::NOW).await;
        if let Some(readers) = &self.readers {
            readers.close().await;
        }
    }
}

/// Creates the file readable by its owner alone: it holds keys that sign. The log files inherit the mode.
fn create_private(path: &Path) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Error::Unreachable(format!("{}: {error}", path.display()))),
    }
}
