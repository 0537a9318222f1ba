//! SQLite: one writer thread, a bounded queue, one commit for many units.
//!
//! Readers have connections of their own and never wait (write-ahead log). The writer opens a transaction for
//! the first unit that comes, takes what is waiting behind it, commits, and only then answers: nothing that a
//! caller was told can be lost with the power. Each unit runs in a savepoint, so one that fails takes nobody
//! with it. While one batch is being synced to disk the next one gathers: no unit ever waits for company.

use std::fs::OpenOptions;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tokio::sync::{mpsc, oneshot};

use super::{Boxed, Conn, Own, Verdict, Work};
use crate::error::{Error, Result};
use crate::store::StoreConfig;

/// Longest wait for a lock that another process holds on the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Prepared statements kept per connection.
const STATEMENTS: usize = 256;

/// A SQLite store: the way to its writer, and its readers.
#[derive(Clone, Debug)]
pub(crate) struct Lite {
    queue: mpsc::Sender<Box<dyn Unit>>,
    waiting: Arc<AtomicUsize>,
    capacity: usize,
    /// `None` for a store in memory: there, reading is the writer's work too.
    readers: Option<SqlitePool>,
}

/// A unit of work with its answer, of whatever type.
trait Unit: Send {
    /// Does the work; says whether to keep it.
    fn run<'c>(&'c mut self, conn: &'c mut Conn) -> Boxed<'c, Result<bool>>;
    /// Answers, after the commit.
    fn answer(self: Box<Self>, committed: Result<()>);
}

struct Typed<T> {
    work: Work<T>,
    outcome: Option<T>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T: Send> Unit for Typed<T> {
    fn run<'c>(&'c mut self, conn: &'c mut Conn) -> Boxed<'c, Result<bool>> {
        Box::pin(async move {
            let (value, keep) = match (self.work)(conn).await? {
                Verdict::Keep(value) => (value, true),
                Verdict::Undo(value) => (value, false),
            };
            self.outcome = Some(value);
            Ok(keep)
        })
    }

    fn answer(self: Box<Self>, committed: Result<()>) {
        let Typed { outcome, reply, .. } = *self;
        // Whoever asked may have gone away; the work is done all the same.
        let _ = reply.send(committed.and_then(|()| outcome.ok_or(Error::Closed)));
    }
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
        let (queue, units) = mpsc::channel(config.queue.max(1));
        let waiting = Arc::new(AtomicUsize::new(0));
        let writer = Writer {
            conn,
            units,
            waiting: Arc::clone(&waiting),
            batch: config.batch.max(1),
            batch_time: config.batch_time,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::Database(error.to_string()))?;
        std::thread::Builder::new()
            .name("billing-writer".into())
            .spawn(move || runtime.block_on(writer.serve()))
            .map_err(|error| Error::Database(error.to_string()))?;
        Ok(Lite { queue, waiting, capacity: config.queue.max(1), readers })
    }

    pub(crate) fn backlog(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Queues a unit and waits for its commit. With `admission` a queue that is half full refuses, so that
    /// what is under way always finds room.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: Work<T>,
        admission: bool,
    ) -> Result<T> {
        if admission && self.backlog() >= self.capacity.div_ceil(2) {
            return Err(Error::Busy);
        }
        let (reply, answer) = oneshot::channel();
        let unit = Box::new(Typed { work, outcome: None, reply });
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if self.queue.send(unit).await.is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::Closed);
        }
        answer.await.unwrap_or(Err(Error::Closed))
    }

    /// Reads on a reader's connection; `consistent` shows every statement the same state.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: Work<T>,
        consistent: bool,
    ) -> Result<T> {
        let Some(readers) = &self.readers else { return self.write(work, false).await };
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
        let _ = self.write(nothing, false).await;
        if let Some(readers) = &self.readers {
            readers.close().await;
        }
    }
}

struct Writer {
    conn: Conn,
    units: mpsc::Receiver<Box<dyn Unit>>,
    waiting: Arc<AtomicUsize>,
    batch: usize,
    batch_time: Duration,
}

impl Writer {
    /// Until the last handle is gone and the queue is empty.
    async fn serve(mut self) {
        while let Some(unit) = self.units.recv().await {
            self.batch(unit).await;
        }
    }

    async fn batch(&mut self, first: Box<dyn Unit>) {
        let mut finished: Vec<(Box<dyn Unit>, Result<()>)> = Vec::new();
        if let Err(error) = self.say("BEGIN IMMEDIATE").await {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            first.answer(Err(error));
            return;
        }
        let begun = Instant::now();
        let mut next = Some(first);
        while let Some(mut unit) = next.take() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            let done = self.unit(unit.as_mut()).await;
            finished.push((unit, done));
            if finished.len() < self.batch && begun.elapsed() < self.batch_time {
                next = self.units.try_recv().ok();
            }
        }
        let committed = self.say("COMMIT").await;
        if committed.is_err() {
            // A commit that failed may leave the transaction open (SQLITE_FULL, SQLITE_IOERR).
            let _ = self.say("ROLLBACK").await;
        }
        for (unit, done) in finished {
            unit.answer(match (&committed, done) {
                (Ok(()), done) => done,
                // Nothing of it is in the file: worth another try.
                (Err(error), Ok(())) => Err(Error::Unreachable(error.to_string())),
                (Err(_), Err(error)) => Err(error),
            });
        }
    }

    /// Runs a unit in a savepoint of its own.
    async fn unit(&mut self, unit: &mut dyn Unit) -> Result<()> {
        // Without its savepoint the whole transaction is gone (SQLITE_FULL, SQLITE_IOERR); the commit will
        // fail, too.
        let gone = |error: Error| Error::Unreachable(error.to_string());
        self.say("SAVEPOINT unit").await.map_err(gone)?;
        let result = unit.run(&mut self.conn).await;
        if !matches!(result, Ok(true)) {
            let undone = self.say("ROLLBACK TO unit").await.map_err(gone);
            return result.and(undone);
        }
        self.say("RELEASE unit").await.map_err(gone)?;
        result.map(drop)
    }

    async fn say(&mut self, sql: &str) -> Result<()> {
        self.conn.exec(sql, Vec::new()).await.map(drop)
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
