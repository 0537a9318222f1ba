//! SQLite's writer: a thread of its own that turns what waits in the line into few commits.
//!
//! Only after the commit does anybody hear an answer: nothing that a caller was told can be lost with the
//! power. A transaction is run bare. When a unit of it fails after it changed something, or panics, all is
//! rolled back and run again with a savepoint around each unit, so one that fails takes nobody with it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::Conn;
use super::line::{Line, Queued, Unit, flatten, merge};
use crate::error::{Error, Result};
use crate::store::StoreConfig;

/// What the thread works with.
pub(super) struct Writer {
    conn: Conn,
    line: Arc<Line>,
    batch_time: Duration,
}

/// What became of units, in their order.
type Finished = Vec<(Queued, Result<()>)>;

impl Writer {
    pub(super) fn new(conn: Conn, line: Arc<Line>, config: &StoreConfig) -> Writer {
        Writer { conn, line, batch_time: config.batch_time }
    }

    /// Until the last handle is gone and the line is empty.
    pub(super) fn serve(mut self) {
        while let Some(units) = self.line.next() {
            self.transact(units);
        }
    }

    fn transact(&mut self, units: Vec<Queued>) {
        if let Err(error) = self.say("BEGIN IMMEDIATE") {
            return self.fail(units, &error);
        }
        match self.bare(merge(units)) {
            Ok(finished) => self.commit(finished),
            Err(units) => {
                // SQLite may have rolled it back already (SQLITE_FULL, SQLITE_IOERR).
                let _ = self.say("ROLLBACK");
                match self.say("BEGIN IMMEDIATE") {
                    Ok(()) => {
                        let finished = self.careful(flatten(units));
                        self.commit(finished);
                    }
                    Err(error) => self.fail(flatten(units), &error),
                }
            }
        }
    }

    /// Runs units one after the other; gives all of them back when one must be undone. What there was no
    /// time for goes back into the line.
    fn bare(&mut self, units: Vec<Queued>) -> std::result::Result<Finished, Vec<Queued>> {
        let begun = Instant::now();
        let mut finished: Finished = Vec::with_capacity(units.len());
        let mut left = units.into_iter();
        while let Some(mut queued) = left.next() {
            let before = self.changes();
            let done = self.run(queued.unit.as_mut());
            // A unit that changed no row leaves nothing behind, unless it may change the schema.
            let whole = matches!(done, Ok(true))
                || self.changes() == before
                    && before.is_some()
                    && queued.replaced.is_empty()
                    && !queued.manner.alone;
            finished.push((queued, done.map(drop)));
            if !whole {
                let run = finished.into_iter().map(|(queued, _)| queued);
                return Err(run.chain(left).collect());
            }
            if begun.elapsed() >= self.batch_time {
                break;
            }
        }
        self.line.put_back(flatten(left.collect()), false);
        Ok(finished)
    }

    /// Runs each unit in a savepoint of its own.
    fn careful(&mut self, units: Vec<Queued>) -> Finished {
        let run = |mut queued: Queued| {
            let done = self.saved(queued.unit.as_mut());
            (queued, done)
        };
        units.into_iter().map(run).collect()
    }

    fn saved(&mut self, unit: &mut dyn Unit) -> Result<()> {
        // Without its savepoint the whole transaction is gone (SQLITE_FULL, SQLITE_IOERR); the commit will
        // fail, too.
        let gone = |error: Error| Error::Unreachable(error.to_string());
        if self.changes().is_none() {
            // A savepoint would begin a transaction of its own.
            return Err(Error::Unreachable("SQLite took the transaction back".into()));
        }
        self.say("SAVEPOINT unit").map_err(gone)?;
        let result = self.run(unit);
        if !matches!(result, Ok(true)) {
            let undone = self.say("ROLLBACK TO unit").map_err(gone);
            return result.and(undone);
        }
        self.say("RELEASE unit").map_err(gone)?;
        result.map(drop)
    }

    /// Runs a unit; one that panics has failed.
    fn run(&mut self, unit: &mut dyn Unit) -> Result<bool> {
        let conn = &mut self.conn;
        let run = catch_unwind(AssertUnwindSafe(|| {
            let mut work = unit.run(conn);
            work.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        }));
        match run {
            Ok(Poll::Ready(done)) => done,
            // Statements are called where they stand: there is nothing to wait for.
            Ok(Poll::Pending) => Err(Error::Database("a write waited for something else".into())),
            Err(_) => {
                self.line.count_panic();
                Err(Error::Database("a write panicked".into()))
            }
        }
    }

    fn commit(&mut self, finished: Finished) {
        let committed = self.say("COMMIT");
        if let Err(error) = committed {
            // A commit that failed may leave the transaction open (SQLITE_FULL, SQLITE_IOERR).
            let _ = self.say("ROLLBACK");
            // Nothing of it is in the file: worth another try.
            let away = Error::Unreachable(error.to_string());
            let fail = |(queued, done): (Queued, Result<()>)| (queued, done.and(Err(copy(&away))));
            let finished = finished.into_iter().flat_map(|(mut queued, done)| {
                let replaced = std::mem::take(&mut queued.replaced);
                replaced.into_iter().map(|queued| (queued, Ok(()))).chain([(queued, done)])
            });
            return self.answer(finished.map(fail).collect());
        }
        self.answer(finished);
    }

    fn fail(&self, units: Vec<Queued>, error: &Error) {
        self.answer(units.into_iter().map(|queued| (queued, Err(copy(error)))).collect());
    }

    /// Tells everybody; what insists and may still succeed goes back into the line.
    fn answer(&self, finished: Finished) {
        let now = Instant::now();
        let mut again = Vec::new();
        for (mut queued, done) in finished {
            match done {
                Err(error) if queued.tries_again(&error, now) => again.push(queued),
                done => {
                    for replaced in queued.replaced {
                        self.tell(replaced.unit, Ok(()));
                    }
                    self.tell(queued.unit, done);
                }
            }
        }
        self.line.put_back(again, true);
    }

    fn tell(&self, unit: Box<dyn Unit>, done: Result<()>) {
        if catch_unwind(AssertUnwindSafe(|| unit.answer(done))).is_err() {
            self.line.count_panic();
        }
    }

    /// Rows changed since the connection was opened; `None` when the transaction is gone.
    fn changes(&self) -> Option<u64> {
        match &self.conn {
            Conn::Own(conn) => conn.changes(),
            Conn::Lite(_) | Conn::Pg(_) => None,
        }
    }

    fn say(&mut self, sql: &str) -> Result<()> {
        match &mut self.conn {
            Conn::Own(conn) => conn.exec(sql, &[], true).map(drop),
            Conn::Lite(_) | Conn::Pg(_) => Err(Error::Closed),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.line.abandon();
    }
}

/// The same failure for one more.
fn copy(error: &Error) -> Error {
    match error {
        Error::Unreachable(why) => Error::Unreachable(why.clone()),
        other => Error::Database(other.to_string()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, channel};

    use facts::{CallId, LegId, LegNo};

    use super::super::line::{Manner, row, typed};
    use super::super::{Own, Verdict, Work, args};
    use super::*;

    /// A writer that is served by hand, with a table `t`.
    struct Bench {
        writer: Writer,
        line: Arc<Line>,
    }

    impl Bench {
        fn new(file: Option<&Path>) -> Bench {
            let config = StoreConfig { batch_time: Duration::from_secs(60), ..Default::default() };
            let line = Arc::new(Line::new(&config));
            let mut conn = Conn::Own(Own::open(file, Duration::ZERO, 16).unwrap());
            if let Conn::Own(own) = &mut conn {
                own.script("CREATE TABLE IF NOT EXISTS t (x INTEGER PRIMARY KEY)").unwrap();
            }
            Bench { writer: Writer::new(conn, Arc::clone(&line), &config), line }
        }

        fn put(&self, work: Work<()>, manner: Manner) -> Receiver<Result<()>> {
            let (said, heard) = channel();
            self.line.put(row(work, move |result| drop(said.send(result))), manner);
            heard
        }

        fn serve(&mut self) {
            let units = self.line.next().unwrap();
            self.writer.transact(units);
        }

        fn rows(&mut self) -> Vec<i64> {
            let Conn::Own(own) = &mut self.writer.conn else { unreachable!() };
            let rows = own.rows("SELECT x FROM t ORDER BY x", &[], usize::MAX).unwrap();
            rows.iter().map(|row| row.int(0).unwrap()).collect()
        }
    }

    /// Inserts a number, then does as told.
    fn insert(x: i64, then: fn() -> Result<()>) -> Work<()> {
        Box::new(move |conn| {
            Box::pin(async move {
                conn.exec("INSERT INTO t (x) VALUES ($1)", args![x]).await?;
                then().map(Verdict::Keep)
            })
        })
    }

    #[test]
    fn a_unit_that_fails_or_panics_takes_nobody_with_it() {
        let mut bench = Bench::new(None);
        let fine = || Ok(());
        let first = bench.put(insert(1, fine), Manner::NOW);
        let missing = bench.put(insert(2, || Err(Error::Missing("thing"))), Manner::NOW);
        let panicked = bench.put(insert(3, || panic!("on purpose")), Manner::NOW);
        let undone = bench.put(
            Box::new(|conn| {
                Box::pin(async move {
                    conn.exec("INSERT INTO t (x) VALUES (4)", args![]).await?;
                    Ok(Verdict::Undo(()))
                })
            }),
            Manner::NOW,
        );
        let last = bench.put(insert(5, fine), Manner::NOW);
        bench.serve();
        assert!(matches!(first.try_recv(), Ok(Ok(()))));
        assert!(matches!(missing.try_recv(), Ok(Err(Error::Missing("thing")))));
        assert!(matches!(panicked.try_recv(), Ok(Err(Error::Database(_)))));
        assert!(matches!(undone.try_recv(), Ok(Ok(()))));
        assert!(matches!(last.try_recv(), Ok(Ok(()))));
        assert_eq!(bench.rows(), [1, 5]);
        assert!(bench.line.panics() > 0);
        // The thread goes on.
        let next = bench.put(insert(6, fine), Manner::NOW);
        bench.serve();
        assert!(matches!(next.try_recv(), Ok(Ok(()))));
        assert_eq!(bench.rows(), [1, 5, 6]);
    }

    /// SQLite counts changed rows, not changed tables.
    #[test]
    fn a_migration_that_fails_leaves_no_table_behind() {
        let mut bench = Bench::new(None);
        let half: Work<()> = Box::new(|conn| {
            Box::pin(async move {
                conn.script("CREATE TABLE u (x)").await?;
                Err(Error::Missing("the other half"))
            })
        });
        let heard = bench.put(half, Manner::ALONE);
        bench.serve();
        assert!(matches!(heard.try_recv(), Ok(Err(Error::Missing("the other half")))));
        let Conn::Own(own) = &mut bench.writer.conn else { unreachable!() };
        let tables = own.rows("SELECT name FROM sqlite_schema WHERE name = 'u'", &[], 1).unwrap();
        assert!(tables.is_empty());
    }

    #[test]
    fn a_failure_that_changed_nothing_costs_nobody_a_second_run() {
        let mut bench = Bench::new(None);
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let first = bench.put(
            Box::new(move |_| {
                counted.fetch_add(1, Ordering::Relaxed);
                Box::pin(async { Ok(Verdict::Keep(())) })
            }),
            Manner::NOW,
        );
        let second =
            bench.put(Box::new(|_| Box::pin(async { Err(Error::Missing("thing")) })), Manner::NOW);
        bench.serve();
        assert!(matches!(first.try_recv(), Ok(Ok(()))));
        assert!(matches!(second.try_recv(), Ok(Err(Error::Missing(_)))));
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn an_answer_that_panics_stops_nobody() {
        let mut bench = Bench::new(None);
        bench
            .line
            .put(typed(insert(1, || Ok(())), |_: Result<()>| panic!("on purpose")), Manner::NOW);
        let second = bench.put(insert(2, || Ok(())), Manner::NOW);
        bench.serve();
        assert!(matches!(second.try_recv(), Ok(Ok(()))));
        assert_eq!((bench.rows(), bench.line.panics()), (vec![1, 2], 1));
    }

    #[test]
    fn rows_of_a_leg_that_wait_are_one_and_all_are_answered() {
        let mut bench = Bench::new(None);
        let late = Manner::SOON.insisting().row_of(LegId::new(CallId(7), LegNo::A));
        let old = bench.put(insert(1, || Ok(())), late);
        let new = bench.put(insert(2, || Ok(())), late);
        let _ = bench.put(insert(3, || Ok(())), Manner::NOW);
        bench.serve();
        assert!(matches!((old.try_recv(), new.try_recv()), (Ok(Ok(())), Ok(Ok(())))));
        assert_eq!(bench.rows(), [2, 3]);
        // When the later one fails, the earlier one is written after all.
        let old = bench.put(insert(4, || Ok(())), late);
        let new = bench.put(insert(5, || Err(Error::Missing("thing"))), late);
        let _ = bench.put(insert(6, || Ok(())), Manner::NOW);
        bench.serve();
        assert!(matches!(old.try_recv(), Ok(Ok(()))));
        assert!(matches!(new.try_recv(), Ok(Err(Error::Missing(_)))));
        assert_eq!(bench.rows(), [2, 3, 4, 6]);
    }

    #[test]
    fn what_insists_waits_for_a_locked_file_and_keeps_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.db");
        std::fs::File::create(&file).unwrap();
        let mut bench = Bench::new(Some(&file));
        let mut other = Own::open(Some(&file), Duration::ZERO, 4).unwrap();
        other.script("BEGIN IMMEDIATE").unwrap();
        let asked = bench.put(insert(1, || Ok(())), Manner::NOW);
        let late = Manner::SOON.insisting().row_of(LegId::new(CallId(7), LegNo::A));
        let old = bench.put(insert(2, || Ok(())), late);
        let note = bench.put(insert(3, || Ok(())), Manner::SOON.insisting());
        bench.serve();
        // Who waits is told at once; who insists hears nothing yet.
        assert!(matches!(asked.try_recv(), Ok(Err(Error::Unreachable(_)))));
        assert!(old.try_recv().is_err() && note.try_recv().is_err());
        assert_eq!(bench.line.len(), 2);
        other.script("COMMIT").unwrap();
        let new = bench.put(insert(4, || Ok(())), late);
        let _ = bench.put(insert(5, || Ok(())), Manner::NOW);
        bench.serve();
        assert!(matches!((old.try_recv(), new.try_recv()), (Ok(Ok(())), Ok(Ok(())))));
        assert!(matches!(note.try_recv(), Ok(Ok(()))));
        assert_eq!(bench.rows(), [3, 4, 5]);
    }
}
