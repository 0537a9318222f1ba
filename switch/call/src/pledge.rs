//! What is written down before it is done. An INVITE of ours, our 2xx and the ACK of a 2xx make a far
//! end ring or talk: each waits until the journal has what ends it, so that a crash at any moment leaves
//! nobody behind whom the next process does not know. A store that is away holds nothing up for longer
//! than [`EngineConfig::journal`](crate::EngineConfig::journal).
//!
//! The papers of a leg stay in the journal until each of its sessions is over on the wire, even when its
//! call was settled long before: a BYE that is lost with the process is said again by the next one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use facts::LegId;
use sip::endpoint::SessionId;
use sip::wire::Reason;

/// A session that waits for its row.
#[derive(Clone, Debug)]
pub(crate) struct Pledge {
    pub(crate) session: SessionId,
    /// It is to be ended as soon as it may go on, and why.
    pub(crate) end: Option<Option<Reason>>,
}

/// A row of the journal, by the number it was written with.
type Row = (LegId, u32);

/// Sessions that wait for the journal.
#[derive(Debug, Default)]
pub(crate) struct Pledges {
    seq: u32,
    rows: BTreeMap<Row, Vec<Pledge>>,
    of: BTreeMap<SessionId, Row>,
    /// All wait equally long: the first is due first.
    due: VecDeque<(Instant, Row)>,
}

impl Pledges {
    /// Lets sessions wait for the next row of a leg, until then at most; the number of that row.
    pub(crate) fn make(&mut self, leg: LegId, sessions: &[SessionId], until: Instant) -> u32 {
        self.seq = self.seq.wrapping_add(1);
        let row = (leg, self.seq);
        let mut pledges = Vec::with_capacity(sessions.len());
        for session in sessions {
            let end = self.take(*session).and_then(|pledge| pledge.end);
            self.of.insert(*session, row);
            pledges.push(Pledge { session: *session, end });
        }
        self.rows.insert(row, pledges);
        self.due.push_back((until, row));
        self.seq
    }

    /// The row is written, or given up: whoever waited for it.
    pub(crate) fn kept(&mut self, leg: LegId, seq: u32) -> Vec<Pledge> {
        let pledges = self.rows.remove(&(leg, seq)).unwrap_or_default();
        for pledge in &pledges {
            self.of.remove(&pledge.session);
        }
        while self.due.front().is_some_and(|(_, row)| !self.rows.contains_key(row)) {
            self.due.pop_front();
        }
        pledges
    }

    /// Whoever has waited for too long.
    pub(crate) fn overdue(&mut self, now: Instant) -> Vec<Pledge> {
        let mut overdue = Vec::new();
        while let Some((_, (leg, seq))) =
            self.due.front().filter(|(until, _)| *until <= now).copied()
        {
            overdue.extend(self.kept(leg, seq));
        }
        overdue
    }

    /// A session that waits shall end at once when it may go on. False when it does not wait.
    pub(crate) fn end(&mut self, session: SessionId, reason: Option<&Reason>) -> bool {
        let Some(pledges) = self.of.get(&session).and_then(|row| self.rows.get_mut(row)) else {
            return false;
        };
        for pledge in pledges.iter_mut().filter(|pledge| pledge.session == session) {
            pledge.end.get_or_insert_with(|| reason.cloned());
        }
        true
    }

    /// True when a session waits.
    pub(crate) fn waits(&self, session: SessionId) -> bool {
        self.of.contains_key(&session)
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.front().map(|(until, _)| *until)
    }

    fn take(&mut self, session: SessionId) -> Option<Pledge> {
        let row = self.of.remove(&session)?;
        let pledges = self.rows.get_mut(&row)?;
        let at = pledges.iter().position(|pledge| pledge.session == session)?;
        Some(pledges.remove(at))
    }
}

/// Which sessions are in the journal, by leg.
#[derive(Debug, Default)]
pub(crate) struct Papers {
    legs: BTreeMap<LegId, Sessions>,
    of: BTreeMap<SessionId, LegId>,
}

#[derive(Debug, Default)]
struct Sessions {
    open: BTreeSet<SessionId>,
    /// The leg is down: it writes nothing more itself.
    down: bool,
}

impl Papers {
    /// A leg is written down with these sessions, and with no other any more.
    pub(crate) fn write(&mut self, leg: LegId, sessions: &[SessionId], down: bool) {
        for gone in self.legs.remove(&leg).unwrap_or_default().open {
            self.of.remove(&gone);
        }
        if sessions.is_empty() {
            return;
        }
        for session in sessions {
            self.of.insert(*session, leg);
        }
        self.legs.insert(leg, Sessions { open: sessions.iter().copied().collect(), down });
    }

    /// A session is over. The leg whose papers that makes void, if nobody else will write it.
    pub(crate) fn close(&mut self, session: SessionId) -> Option<LegId> {
        let leg = self.of.remove(&session)?;
        let sessions = self.legs.get_mut(&leg)?;
        sessions.open.remove(&session);
        if !sessions.open.is_empty() {
            return None;
        }
        let down = sessions.down;
        self.legs.remove(&leg);
        down.then_some(leg)
    }

    pub(crate) fn leg_of(&self, session: SessionId) -> Option<LegId> {
        self.of.get(&session).copied()
    }

    pub(crate) fn of(&self, leg: LegId) -> Vec<SessionId> {
        self.legs.get(&leg).map(|all| all.open.iter().copied().collect()).unwrap_or_default()
    }

    /// Legs of which something is in the journal.
    pub(crate) fn len(&self) -> usize {
        self.legs.len()
    }
}
