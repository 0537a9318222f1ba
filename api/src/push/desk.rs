//! The worker's visits to the store: one at a time, reports and lease together.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use billing::{Error, Lease, Leased, Report, Store, Writer};

use super::{PushConfig, send};
use crate::counters::{Counters, count};
use crate::state::now;

/// Reports noted in one visit at most.
const REPORTS_MAX: usize = 256;
/// Pause after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// Visits at the end, to note what was sent last.
const LAST_VISITS: usize = 64;

/// A visit under way: what it reports, how many rows it asked for, and its answer to come.
struct Visit {
    reports: Arc<Vec<Report>>,
    limit: Option<u32>,
    answer: Pin<Box<dyn Future<Output = billing::Result<Vec<Leased>>> + Send>>,
}

pub(super) struct Desk {
    store: Store,
    counters: Arc<Counters>,
    writer: Writer,
    batch: u32,
    lease: Duration,
    gather: Duration,
    poll: Duration,
    /// Not noted yet. No more than the rows that are ours: while nothing is noted nothing is leased.
    reports: VecDeque<Report>,
    /// Of these, so many go one by one: a visit with one of them failed, and the others shall not suffer.
    singly: usize,
    /// There may be something due.
    due: bool,
    looked: Instant,
    /// No visit before.
    rest: Option<Instant>,
    visit: Option<Visit>,
}

impl Desk {
    pub(super) fn new(store: Store, config: &PushConfig, counters: Arc<Counters>) -> Desk {
        Desk {
            store,
            counters,
            writer: send::writer(),
            batch: config.batch,
            lease: config.lease,
            gather: config.gather,
            poll: config.poll,
            reports: VecDeque::new(),
            singly: 0,
            due: true,
            looked: Instant::now(),
            rest: None,
            visit: None,
        }
    }

    /// Something was written into the outbox.
    pub(super) fn look(&mut self) {
        self.due = true;
    }

    /// Something is to be noted; `followed` when it may make another row due.
    pub(super) fn report(&mut self, report: Report, followed: bool) {
        self.reports.push_back(report);
        self.due |= followed;
    }

    /// Begins a visit if there is a reason and it is time; `room` more rows can be taken.
    pub(super) fn begin(&mut self, room: usize) {
        let now = Instant::now();
        self.due |= now.duration_since(self.looked) >= self.poll;
        let idle = !self.due && self.reports.is_empty();
        if idle || self.visit.is_some() || self.rest.is_some_and(|until| now < until) {
            return;
        }
        let room = u32::try_from(room).unwrap_or(u32::MAX).min(self.batch);
        let limit = (self.due && room > 0 && self.singly == 0).then_some(room);
        if limit.is_some() || room == 0 {
            // When the lanes are full there is time until they are not.
            self.looked = now;
            self.due = false;
        }
        if limit.is_some() || !self.reports.is_empty() {
            self.rest = Some(now + self.gather);
            self.start(limit);
        }
    }

    fn start(&mut self, limit: Option<u32>) {
        let most = if self.singly > 0 { 1 } else { REPORTS_MAX };
        let taken = self.reports.len().min(most);
        let reports: Arc<Vec<Report>> = Arc::new(self.reports.drain(..taken).collect());
        let lease = limit.map(|limit| Lease {
            now: now(),
            limit,
            lease_for: self.lease,
            writer: Arc::clone(&self.writer),
        });
        let (store, told) = (self.store.clone(), Arc::clone(&reports));
        let answer = Box::pin(async move { store.outbox_turn(told, lease).await });
        self.visit = Some(Visit { reports, limit, answer });
    }

    /// How long there is nothing to do unless something happens.
    pub(super) fn pause(&self) -> Duration {
        let now = Instant::now();
        let until = match self.rest {
            Some(rest) if self.due || !self.reports.is_empty() => rest,
            _ => self.looked + self.poll,
        };
        // A visit under way ends the wait by itself; no reason to spin meanwhile.
        let least = if self.visit.is_some() { self.poll } else { Duration::from_millis(1) };
        until.saturating_duration_since(now).max(least)
    }

    /// Waits for the end of the visit under way, for ever when there is none; gives the rows it leased.
    /// Dropping the wait leaves the visit under way.
    pub(super) async fn finished(&mut self) -> Vec<Leased> {
        let Some(visit) = &mut self.visit else { return std::future::pending().await };
        let outcome = visit.answer.as_mut().await;
        let Some(Visit { reports, limit, .. }) = self.visit.take() else { return Vec::new() };
        match outcome {
            Ok(rows) => {
                self.singly = self.singly.saturating_sub(reports.len());
                // There may be more.
                self.due |= limit.is_some_and(|limit| rows.len() >= limit as usize);
                rows
            }
            Err(error) => {
                self.failed(&error, Arc::unwrap_or_clone(reports), limit.is_some());
                Vec::new()
            }
        }
    }

    /// A visit that failed has noted and leased nothing.
    fn failed(&mut self, error: &Error, reports: Vec<Report>, asked: bool) {
        count(&self.counters.push_store_errors);
        tracing::warn!(%error, "push: the outbox cannot be read or written");
        self.rest = Some(Instant::now() + STORE_PAUSE);
        self.due |= asked;
        let away = matches!(error, Error::Busy | Error::Unreachable(_));
        match (away, reports.as_slice()) {
            (false, [report]) => {
                // The store does not take it: the row comes again when its lease ends.
                tracing::error!(row = report.id, "push: a result could not be noted");
                self.singly = self.singly.saturating_sub(1);
                self.rest = None;
            }
            (false, [_, _, ..]) => {
                self.singly = reports.len();
                self.rest = None;
                reports.into_iter().rev().for_each(|report| self.reports.push_front(report));
            }
            _ => reports.into_iter().rev().for_each(|report| self.reports.push_front(report)),
        }
    }

    /// Ends the visit under way and notes what is left.
    pub(super) async fn close(&mut self) {
        for _ in 0..LAST_VISITS {
            if self.visit.is_none() {
                if self.reports.is_empty() {
                    return;
                }
                self.start(None);
            }
            // Rows leased at the last moment go back by themselves.
            drop(self.finished().await);
        }
        if !self.reports.is_empty() {
            tracing::warn!(rows = self.reports.len(), "push: results not noted are sent again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::{After, StoreConfig};

    fn report(id: i64) -> Report {
        Report { id, lease: 1, after: After::Done, attempt: None, webhook: None }
    }

    async fn desk() -> Desk {
        let store = Store::open("sqlite::memory:", StoreConfig::default()).await.unwrap();
        let config = PushConfig { gather: Duration::ZERO, ..PushConfig::default() };
        Desk::new(store, &config, Arc::default())
    }

    fn ids(desk: &Desk) -> Vec<i64> {
        desk.reports.iter().map(|report| report.id).collect()
    }

    #[tokio::test]
    async fn what_a_store_that_is_away_did_not_note_is_told_again_in_order() {
        let mut desk = desk().await;
        (1..=4).for_each(|id| desk.report(report(id), false));
        let told: Vec<Report> = desk.reports.drain(..3).collect();
        desk.due = false;
        desk.failed(&Error::Busy, told, true);
        assert_eq!((ids(&desk), desk.singly, desk.due), (vec![1, 2, 3, 4], 0, true));
        desk.begin(10);
        assert!(desk.visit.is_none(), "not at once");
        assert!(desk.pause() > Duration::from_millis(500), "{:?}", desk.pause());
    }

    #[tokio::test]
    async fn a_result_that_the_store_does_not_take_holds_up_no_other() {
        // Without its tables the store refuses whatever it is told.
        let mut desk = desk().await;
        (1..=3).for_each(|id| desk.report(report(id), false));
        desk.begin(10);
        assert_eq!(desk.finished().await, []);
        assert_eq!((ids(&desk), desk.singly), (vec![1, 2, 3], 3));
        desk.begin(10);
        assert_eq!(desk.finished().await, []);
        assert_eq!((ids(&desk), desk.singly), (vec![2, 3], 2), "one alone, and it is given up");
        desk.store.migrate().await.unwrap();
        for left in [1, 0] {
            desk.begin(10);
            assert!(desk.visit.as_ref().is_some_and(|visit| visit.limit.is_none()));
            desk.finished().await;
            assert_eq!((desk.reports.len(), desk.singly), (left, left));
        }
        // What was asked for at first is asked for again.
        desk.begin(10);
        assert_eq!(desk.visit.as_ref().and_then(|visit| visit.limit), Some(10));
    }

    #[tokio::test]
    async fn the_last_results_are_noted_at_the_end() {
        let mut desk = desk().await;
        desk.store.migrate().await.unwrap();
        (1..=1000).for_each(|id| desk.report(report(id), false));
        desk.begin(10);
        desk.close().await;
        assert!(desk.reports.is_empty() && desk.visit.is_none());
    }
}
