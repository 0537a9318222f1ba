//! Who has room for another call: counted from the calls that live and from the moments when they began. Nothing is
//! counted down: a call that is gone from the table holds no place.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use facts::capacity::{Capacity, Holder, Room};
use facts::hours::Local;
use facts::settings::Snapshot;
use facts::{CallId, TrunkId};

/// Whose starts are counted together.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Line {
    /// Calls of somebody.
    Holder(Holder),
    /// Calls that a carrier sends.
    In(TrunkId),
    /// INVITEs that a carrier is given.
    Out(TrunkId),
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Capacities {
    live: BTreeMap<Holder, BTreeSet<CallId>>,
    of: BTreeMap<CallId, Vec<Holder>>,
    /// When calls began lately, of those who are limited in it.
    starts: BTreeMap<Line, VecDeque<Instant>>,
}

impl Capacities {
    /// Whether all of these have room for one more call.
    pub(crate) fn room(
        &self,
        settings: &Snapshot,
        holders: &[Holder],
        (now, local): (Instant, Local),
    ) -> bool {
        holders.iter().all(|holder| {
            let Some(capacity) = settings.capacity.get(holder) else { return true };
            let room = capacity.room(local);
            let live = self.live.get(holder).map_or(0, BTreeSet::len);
            room.max_calls.is_none_or(|most| live < most as usize)
                && self.may_start(&Line::Holder(holder.clone()), room, now)
        })
    }

    /// A call began. Only those are remembered who are limited.
    pub(crate) fn enter(
        &mut self,
        settings: &Snapshot,
        (id, holders): (CallId, Vec<Holder>),
        now: Instant,
    ) {
        let limited = |holder: &Holder| settings.capacity.contains_key(holder);
        let holders: Vec<Holder> = holders.into_iter().filter(limited).collect();
        for holder in &holders {
            self.live.entry(holder.clone()).or_default().insert(id);
            self.started(Line::Holder(holder.clone()), settings.capacity.get(holder), now);
        }
        if !holders.is_empty() {
            self.of.insert(id, holders);
        }
    }

    /// A call is over. Leaving twice is leaving once.
    pub(crate) fn leave(&mut self, id: CallId) {
        for holder in self.of.remove(&id).unwrap_or_default() {
            if let Some(calls) = self.live.get_mut(&holder) {
                calls.remove(&id);
                if calls.is_empty() {
                    self.live.remove(&holder);
                }
            }
        }
    }

    /// Whether one more may begin now; nothing is counted.
    pub(crate) fn may_start(&self, line: &Line, room: Room, now: Instant) -> bool {
        let Some(calls) = room.calls else { return true };
        let within = Duration::from_secs(room.within_s.into());
        let recent = |at: &&Instant| now.saturating_duration_since(**at) < within;
        let begun = self.starts.get(line);
        begun.map_or(0, |begun| begun.iter().rev().take_while(recent).count()) < calls as usize
    }

    /// One began.
    pub(crate) fn started(&mut self, line: Line, capacity: Option<&Capacity>, now: Instant) {
        let counts = |capacity: &&Capacity| {
            capacity.calls.is_some() || capacity.at.iter().any(|at| at.calls.is_some())
        };
        let Some(capacity) = capacity.filter(counts) else { return };
        let begun = self.starts.entry(line).or_default();
        let within = Duration::from_secs(capacity.within_s.unwrap_or(1).max(1).into());
        let old = |at: &Instant| now.saturating_duration_since(*at) >= within;
        while begun.front().is_some_and(old) || begun.len() >= Capacity::CALLS_MAX as usize {
            begun.pop_front();
        }
        begun.push_back(now);
    }

    /// Forgets when calls of those began who are not limited any more.
    pub(crate) fn prune(&mut self, settings: &Snapshot) {
        self.starts.retain(|line, _| match line {
            Line::Holder(holder) => settings.capacity.contains_key(holder),
            Line::In(id) | Line::Out(id) => settings.trunks.contains_key(id),
        });
    }

    /// Calls that hold a place.
    pub(crate) fn total(&self) -> usize {
        self.of.len()
    }
}
