//! The line before SQLite's writer: who is next, who may wait, what is one row.
//!
//! Units are taken in the order they came. A unit that somebody waits for is taken at once, with everything
//! before it; the others gather for a while, so that one commit serves many. Nothing here touches a database.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use facts::LegId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Boxed, Conn, Verdict, Work};
use crate::error::{Error, Result};
use crate::store::StoreConfig;

/// Units that calls under way may queue, as a multiple of the room that everybody else has.
const UNDER_WAY: usize = 16;
/// How long a unit that insists is tried again after its first failure.
const INSIST: Duration = Duration::from_secs(60);
/// Time between the tries.
const PAUSE: Duration = Duration::from_millis(200);

/// How a unit wants to be treated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// Somebody waits for it: it is committed at once.
    urgent: bool,
    /// It starts something new, and is refused when the line is half full.
    admission: bool,
    /// Whether it is tried again when the database is away.
    insists: Insists,
    /// In a transaction of its own: it may be long, or what it writes is kept in memory by others.
    pub(super) alone: bool,
    /// The leg whose row of the journal it writes: earlier ones are superfluous.
    row: Option<LegId>,
}

impl Manner {
    /// Committed at once.
    pub(crate) const NOW: Manner =
        Manner { urgent: true, admission: false, insists: Insists::Not, alone: false, row: None };
    /// Committed with the next that is, or when it has waited long enough.
    pub(crate) const SOON: Manner = Manner { urgent: false, ..Manner::NOW };
    /// Starts something new.
    pub(crate) const ADMISSION: Manner = Manner { admission: true, ..Manner::NOW };
    /// A transaction of its own.
    pub(crate) const ALONE: Manner = Manner { alone: true, ..Manner::NOW };

    /// Tried again for a minute when the database is away.
    pub(crate) const fn insisting(self) -> Manner {
        Manner { insists: Insists::AMinute, ..self }
    }

    /// Tried again until the database is back.
    pub(crate) const fn waiting(self) -> Manner {
        Manner { insists: Insists::UntilDone, ..self }
    }

    /// The row of a leg's journal: the latest of several is enough.
    pub(crate) const fn row_of(self, leg: LegId) -> Manner {
        Manner { row: Some(leg), ..self }
    }
}

/// For how long a unit is tried again while the database is away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Insists {
    Not,
    AMinute,
    UntilDone,
}

/// A unit of work with its answer, of whatever type.
pub(super) trait Unit: Send {
    /// Does the work; says whether to keep it. May be called again after a rollback.
    fn run<'c>(&'c mut self, conn: &'c mut Conn) -> Boxed<'c, Result<bool>>;
    /// Answers, after the commit.
    fn answer(self: Box<Self>, committed: Result<()>);
}

struct Typed<T, F> {
    work: Work<T>,
    outcome: Option<T>,
    /// The outcome of a row that was not run because a later one was.
    replaced: Option<T>,
    then: F,
}

/// A unit of this work.
pub(super) fn typed<T: Send + 'static>(
    work: Work<T>,
    then: impl FnOnce(Result<T>) + Send + 'static,
) -> Box<dyn Unit> {
    Box::new(Typed { work, outcome: None, replaced: None, then })
}

/// A unit that a later one may make superfluous.
pub(super) fn row(work: Work<()>, then: impl FnOnce(Result<()>) + Send + 'static) -> Box<dyn Unit> {
    Box::new(Typed { work, outcome: None, replaced: Some(()), then })
}

impl<T: Send, F: FnOnce(Result<T>) + Send> Unit for Typed<T, F> {
    fn run<'c>(&'c mut self, conn: &'c mut Conn) -> Boxed<'c, Result<bool>> {
        self.outcome = None;
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
        let Typed { outcome, replaced, then, .. } = *self;
        then(committed.and_then(|()| outcome.or(replaced).ok_or(Error::Closed)));
    }
}

/// A unit in the line.
pub(super) struct Queued {
    pub(super) unit: Box<dyn Unit>,
    pub(super) manner: Manner,
    /// Units that this one makes superfluous, oldest first.
    pub(super) replaced: Vec<Queued>,
    since: Instant,
    /// When an insisting unit that failed is given up.
    give_up: Option<Instant>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Queued {
    /// Whether it is worth another try after this failure.
    pub(super) fn tries_again(&mut self, error: &Error, now: Instant) -> bool {
        let passing = matches!(error, Error::Busy | Error::Unreachable(_));
        passing
            && match self.manner.insists {
                Insists::Not => false,
                Insists::AMinute => now < *self.give_up.get_or_insert(now + INSIST),
                Insists::UntilDone => true,
            }
    }
}

/// The line. Shared by those who queue and the one who serves.
pub(super) struct Line {
    state: Mutex<State>,
    bell: Condvar,
    /// Room for those who wait for it.
    room: Arc<Semaphore>,
    capacity: usize,
    batch: usize,
    gather: Duration,
    length: AtomicUsize,
    panics: AtomicU64,
}

#[derive(Default)]
struct State {
    units: VecDeque<Queued>,
    /// Urgent ones among them.
    urgent: usize,
    /// What failed comes again after this instant, unless somebody waits.
    rest_until: Option<Instant>,
    /// What the writer is doing, so that it is woken only when it has to be.
    writer: Doing,
    closed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Doing {
    /// Working: it looks again by itself.
    #[default]
    Work,
    /// The line was empty.
    Sleep,
    /// Lets units gather.
    Gather,
}

impl Line {
    pub(super) fn new(config: &StoreConfig) -> Line {
        let capacity = config.queue.max(1);
        Line {
            state: Mutex::default(),
            bell: Condvar::new(),
            room: Arc::new(Semaphore::new(capacity)),
            capacity,
            batch: config.batch.max(1),
            gather: config.gather,
            length: AtomicUsize::new(0),
            panics: AtomicU64::new(0),
        }
    }

    /// Units waiting.
    pub(super) fn len(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }

    pub(super) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    pub(super) fn count_panic(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// Queues a unit when there is room.
    pub(super) async fn enter(&self, unit: Box<dyn Unit>, manner: Manner) -> Result<()> {
        let room = if manner.admission {
            if self.half_full() {
                return Err(Error::Busy);
            }
            Arc::clone(&self.room).try_acquire_owned().map_err(|_| Error::Busy)?
        } else {
            Arc::clone(&self.room).acquire_owned().await.map_err(|_| Error::Closed)?
        };
        self.push(unit, manner, Some(room)).map_err(|_| Error::Closed)
    }

    /// Queues a unit of a call under way, or refuses it; never waits.
    pub(super) fn put(&self, unit: Box<dyn Unit>, manner: Manner) {
        let full = self.len() >= self.capacity.saturating_mul(UNDER_WAY);
        if full || manner.admission && self.half_full() {
            unit.answer(Err(Error::Busy));
        } else if let Err(unit) = self.push(unit, manner, None) {
            unit.answer(Err(Error::Closed));
        }
    }

    fn half_full(&self) -> bool {
        self.len() >= self.capacity.div_ceil(2)
    }

    fn push(
        &self,
        unit: Box<dyn Unit>,
        manner: Manner,
        room: Option<OwnedSemaphorePermit>,
    ) -> std::result::Result<(), Box<dyn Unit>> {
        let mut state = self.lock();
        if state.closed {
            return Err(unit);
        }
        state.urgent += usize::from(manner.urgent);
        state.units.push_back(Queued {
            unit,
            manner,
            replaced: Vec::new(),
            since: Instant::now(),
            give_up: None,
            _room: room,
        });
        self.length.store(state.units.len(), Ordering::Relaxed);
        let wake = match state.writer {
            Doing::Work => false,
            Doing::Sleep => true,
            Doing::Gather => manner.urgent || state.units.len() >= self.batch,
        };
        if wake {
            state.writer = Doing::Work;
            drop(state);
            self.bell.notify_one();
        }
        Ok(())
    }

    /// The next units for one transaction; waits for them. `None` when the line is closed and empty.
    pub(super) fn next(&self) -> Option<Vec<Queued>> {
        let mut state = self.lock();
        loop {
            match self.due(&state) {
                Due::Never => return None,
                Due::Now => break,
                Due::In(time) => {
                    state.writer = Doing::Gather;
                    let waited = self.bell.wait_timeout(state, time);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                Due::WhenOneComes => {
                    state.writer = Doing::Sleep;
                    state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
            state.writer = Doing::Work;
        }
        let mut taken = Vec::with_capacity(state.units.len().min(self.batch));
        while let Some(next) = state.units.front() {
            let alone = next.manner.alone;
            if taken.len() >= self.batch || alone && !taken.is_empty() {
                break;
            }
            state.urgent -= usize::from(next.manner.urgent);
            taken.extend(state.units.pop_front());
            if alone {
                break;
            }
        }
        state.rest_until = None;
        self.length.store(state.units.len(), Ordering::Relaxed);
        Some(taken)
    }

    fn due(&self, state: &State) -> Due {
        let Some(first) = state.units.front() else {
            return if state.closed { Due::Never } else { Due::WhenOneComes };
        };
        if state.urgent > 0 {
            return Due::Now;
        }
        let full = state.units.len() >= self.batch || state.closed;
        let gathered = if full { first.since } else { first.since + self.gather };
        let due = state.rest_until.map_or(gathered, |until| until.max(gathered));
        let wait = due.saturating_duration_since(Instant::now());
        if wait.is_zero() { Due::Now } else { Due::In(wait) }
    }

    /// Puts units back before all others, in their order. After a failure (`rest`) they wait a while, unless
    /// somebody else cannot.
    pub(super) fn put_back(&self, units: Vec<Queued>, rest: bool) {
        if units.is_empty() {
            return;
        }
        let mut state = self.lock();
        for mut queued in units.into_iter().rev() {
            queued.manner.urgent &= !rest;
            state.urgent += usize::from(queued.manner.urgent);
            state.units.push_front(queued);
        }
        if rest {
            state.rest_until = Some(Instant::now() + PAUSE);
        }
        self.length.store(state.units.len(), Ordering::Relaxed);
    }

    fn close(&self) {
        self.lock().closed = true;
        self.bell.notify_one();
    }

    /// The writer is gone: nobody will be served any more.
    pub(super) fn abandon(&self) {
        let left = {
            let mut state = self.lock();
            state.closed = true;
            state.urgent = 0;
            std::mem::take(&mut state.units)
        };
        self.room.close();
        self.length.store(0, Ordering::Relaxed);
        for queued in left {
            queued.unit.answer(Err(Error::Closed));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Due {
    Now,
    In(Duration),
    WhenOneComes,
    Never,
}

/// Takes out of a transaction the rows of legs that a later row in it makes superfluous, and hangs them on it.
pub(super) fn merge(units: Vec<Queued>) -> Vec<Queued> {
    if units.iter().filter(|queued| queued.manner.row.is_some()).count() < 2 {
        return units;
    }
    let mut older: BTreeMap<LegId, Vec<Queued>> = BTreeMap::new();
    let mut kept = Vec::with_capacity(units.len());
    for queued in units.into_iter().rev() {
        match queued.manner.row.map(|leg| older.entry(leg)) {
            Some(Entry::Occupied(mut later)) => later.get_mut().push(queued),
            Some(Entry::Vacant(first)) => {
                first.insert(Vec::new());
                kept.push(queued);
            }
            None => kept.push(queued),
        }
    }
    kept.reverse();
    for queued in &mut kept {
        let replaced = queued.manner.row.and_then(|leg| older.remove(&leg));
        queued.replaced = replaced.unwrap_or_default();
        queued.replaced.reverse();
    }
    kept
}

/// The opposite of [`merge`].
pub(super) fn flatten(units: Vec<Queued>) -> Vec<Queued> {
    let mut flat = Vec::with_capacity(units.len());
    for mut queued in units {
        flat.append(&mut queued.replaced);
        flat.push(queued);
    }
    flat
}

/// The line's far end: closes it when the last who could queue is gone.
pub(crate) struct Gate(Arc<Line>);

impl Gate {
    pub(super) fn new(line: Arc<Line>) -> Gate {
        Gate(line)
    }

    pub(super) fn line(&self) -> &Line {
        &self.0
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("waiting", &self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use facts::LegNo;

    fn line(gather: Duration) -> Line {
        Line::new(&StoreConfig { queue: 4, batch: 8, gather, ..StoreConfig::default() })
    }

    fn nothing() -> Box<dyn Unit> {
        typed(Box::new(|_| Box::pin(async { Ok(Verdict::Keep(())) })), |_: Result<()>| {})
    }

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn what_nobody_waits_for_gathers_until_somebody_does() {
        let line = line(HOUR);
        line.put(nothing(), Manner::SOON);
        line.put(nothing(), Manner::SOON);
        assert!(matches!(line.due(&line.lock()), Due::In(time) if time > HOUR / 2));
        line.put(nothing(), Manner::NOW);
        line.put(nothing(), Manner::SOON);
        assert_eq!(line.next().map(|units| units.len()), Some(4));
        assert_eq!(line.len(), 0);
    }

    #[test]
    fn a_full_transaction_waits_for_nobody_and_a_long_unit_has_one_of_its_own() {
        let line = line(HOUR);
        (0..9).for_each(|_| line.put(nothing(), Manner::SOON));
        assert_eq!(line.next().map(|units| units.len()), Some(8));
        line.put(nothing(), Manner::ALONE);
        line.put(nothing(), Manner::NOW);
        let sizes: Vec<usize> = (0..3).filter_map(|_| Some(line.next()?.len())).collect();
        assert_eq!(sizes, [1, 1, 1]);
    }

    #[test]
    fn of_several_rows_of_a_leg_the_latest_is_written_and_all_come_back_in_order() {
        let line = line(Duration::ZERO);
        let row = |leg| Manner::SOON.row_of(LegId::new(facts::CallId(1), leg));
        let manners = [row(LegNo::A), row(LegNo::B), Manner::SOON, row(LegNo::A), row(LegNo::A)];
        manners.into_iter().for_each(|manner| line.put(nothing(), manner));
        let units = merge(line.next().unwrap_or_default());
        let replaced: Vec<usize> = units.iter().map(|queued| queued.replaced.len()).collect();
        assert_eq!(replaced, [0, 0, 2]);
        let legs = |units: &[Queued]| -> Vec<_> {
            units.iter().map(|queued| queued.manner.row.map(|leg| leg.no)).collect()
        };
        assert_eq!(legs(&units), [Some(LegNo::B), None, Some(LegNo::A)]);
        let flat = flatten(units);
        assert_eq!(
            legs(&flat),
            [Some(LegNo::B), None, Some(LegNo::A), Some(LegNo::A), Some(LegNo::A)]
        );
        assert!(flat.windows(2).all(|pair| pair[1].manner.row.is_none()
            || pair[0].manner.row != pair[1].manner.row
            || pair[0].since <= pair[1].since));
    }

    #[test]
    fn what_waits_for_the_database_is_not_given_up_after_a_minute_and_other_mistakes_end_it() {
        let away = Error::Unreachable("away".into());
        let later = Instant::now() + 60 * INSIST;
        for (manner, at_first, after_an_hour) in [
            (Manner::SOON, false, false),
            (Manner::SOON.insisting(), true, false),
            (Manner::SOON.waiting(), true, true),
        ] {
            let line = line(Duration::ZERO);
            line.put(nothing(), manner);
            let mut units = line.next().unwrap_or_default();
            assert_eq!(units[0].tries_again(&away, Instant::now()), at_first, "{manner:?}");
            assert_eq!(units[0].tries_again(&away, later), after_an_hour, "{manner:?}");
            assert!(!units[0].tries_again(&Error::Missing("call"), later), "{manner:?}");
        }
    }

    #[tokio::test]
    async fn a_line_that_is_half_full_refuses_admission_and_a_very_long_one_everything() {
        let line = line(HOUR);
        line.put(nothing(), Manner::SOON);
        line.put(nothing(), Manner::SOON);
        assert!(matches!(line.enter(nothing(), Manner::ADMISSION).await, Err(Error::Busy)));
        (2..4 * UNDER_WAY).for_each(|_| line.put(nothing(), Manner::SOON));
        let (said, heard) = std::sync::mpsc::channel();
        let work: Work<()> = Box::new(|_| Box::pin(async { Ok(Verdict::Keep(())) }));
        line.put(typed(work, move |result| drop(said.send(result))), Manner::SOON);
        assert!(matches!(heard.try_recv(), Ok(Err(Error::Busy))));
        assert_eq!(line.len(), 4 * UNDER_WAY);
        // A line whose writer is gone answers everybody.
        line.abandon();
        assert!(matches!(line.enter(nothing(), Manner::NOW).await, Err(Error::Closed)));
    }
}
