//! Groups: whom one offers a call in which order, and what it remembers for that.
//!
//! The order of a call is drawn up once, when the group is first rung; who is free is looked at when a
//! member's turn comes. What is remembered belongs to the process: it survives changes of the settings, and is
//! empty after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use facts::settings::Snapshot;
use facts::{Group, LegId, Strategy};
use sip::endpoint::SessionId;

/// What all groups remember.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    /// Of those that are in the settings.
    memories: BTreeMap<String, Memory>,
}

/// What one group remembers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Memory {
    /// Who was offered the last call.
    last: Option<String>,
    /// Those who took calls.
    taken: BTreeMap<String, Taken>,
    /// Calls that were taken.
    calls: u64,
}

/// The calls of one group that one member took.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Taken {
    count: u64,
    /// The number of the last one among the group's.
    last: u64,
}

impl Memory {
    fn taken(&mut self, member: &str) {
        self.calls += 1;
        let taken = self.taken.entry(member.to_owned()).or_insert(Taken { count: 0, last: 0 });
        *taken = Taken { count: taken.count + 1, last: self.calls };
    }
}

impl Groups {
    /// Whom a group offers the next call, in order; those of one step ring at once.
    pub(crate) fn steps(
        &self,
        (number, group): (&str, &Group),
        agents: &Agents,
        draw: impl FnMut(u64) -> u64,
    ) -> Vec<Vec<String>> {
        let fresh = Memory::default();
        let memory = self.memories.get(number).unwrap_or(&fresh);
        let idle = |member: &str| agents.last_end(member);
        order(group.strategy, &group.members, memory, idle, draw)
    }

    /// These members are offered a call now.
    pub(crate) fn offered(&mut self, number: &str, member: &str) {
        self.memory(number).last = Some(member.to_owned());
    }

    /// This member took the call.
    pub(crate) fn taken(&mut self, number: &str, member: &str) {
        self.memory(number).taken(member);
    }

    fn memory(&mut self, number: &str) -> &mut Memory {
        self.memories.entry(number.to_owned()).or_default()
    }

    /// Forgets groups and members that are no more.
    pub(crate) fn settle(&mut self, snapshot: &Snapshot) {
        self.memories.retain(|number, _| snapshot.groups.contains_key(number));
        for (number, memory) in &mut self.memories {
            let members = &snapshot.groups[number].members;
            memory.taken.retain(|member, _| members.contains(member));
        }
    }
}

/// The order of one call. `idle`: when a member's last call of any kind ended. `draw(n)` gives a number below
/// `n`, evenly.
fn order(
    strategy: Strategy,
    members: &[String],
    memory: &Memory,
    idle: impl Fn(&str) -> Option<Instant>,
    mut draw: impl FnMut(u64) -> u64,
) -> Vec<Vec<String>> {
    let mut members = members.to_vec();
    let taken = |member: &String| memory.taken.get(member);
    match strategy {
        Strategy::RingAll if members.is_empty() => return Vec::new(),
        Strategy::RingAll => return vec![members],
        Strategy::Sequential => {}
        Strategy::RoundRobin => {
            let last = memory.last.as_ref();
            let last = last.and_then(|last| members.iter().position(|member| member == last));
            let next = last.map_or(0, |last| (last + 1) % members.len());
            members.rotate_left(next);
        }
        Strategy::LeastRecent => members.sort_by_key(|m| taken(m).map(|taken| taken.last)),
        Strategy::FewestCalls => members.sort_by_key(|m| taken(m).map_or(0, |taken| taken.count)),
        Strategy::LongestIdle => members.sort_by_key(|member| idle(member)),
        Strategy::Random => {
            for last in (1..members.len()).rev() {
                let at = draw(last as u64 + 1);
                members.swap(last, usize::try_from(at).unwrap_or(0).min(last));
            }
        }
    }
    members.into_iter().map(|member| vec![member]).collect()
}

/// What extensions are at: each leg that rings one of their phones or came from it, and each session that such
/// a leg has let go and that is not over. Derived from live legs and sessions and nothing else, so that nobody
/// stays busy whose leg is down and whose phone knows it.
#[derive(Debug, Default)]
pub(crate) struct Agents {
    legs: BTreeMap<String, BTreeSet<LegId>>,
    /// Sessions whose CANCEL or BYE is not answered, or waits for a first answer (RFC 3261 §9.1): until they
    /// are over the phone may ring, or believe that it talks.
    fading: BTreeMap<SessionId, Arc<str>>,
    /// When the last call of an extension ended in which it talked.
    ended: BTreeMap<String, Instant>,
    /// How often, one behind the other, an extension was rung as long as it was to be and nobody picked up, and when
    /// last. Whoever talks is none of them.
    missed: BTreeMap<String, (u32, Instant)>,
}

/// So many calls in vain, one behind the other, and an extension is left alone,
const MISSED_MAX: u32 = 3;
/// for so long; then one more call finds out.
const REST: Duration = Duration::from_secs(180);

impl Agents {
    pub(crate) fn enter(&mut self, user: &str, leg: LegId) {
        match self.legs.get_mut(user) {
            Some(legs) => _ = legs.insert(leg),
            None => _ = self.legs.insert(user.to_owned(), BTreeSet::from([leg])),
        }
    }

    /// Leaving twice is leaving once. `talked`: somebody spoke on it.
    pub(crate) fn leave(&mut self, user: &str, leg: LegId, now: Instant, talked: bool) {
        if let Some(legs) = self.legs.get_mut(user) {
            legs.remove(&leg);
            if legs.is_empty() {
                self.legs.remove(user);
            }
            if talked {
                self.ended.insert(user.to_owned(), now);
            }
        }
        if talked {
            self.missed.remove(user);
        }
    }

    /// It was rung in vain.
    pub(crate) fn missed(&mut self, user: &str, now: Instant) {
        let (times, last) = self.missed.entry(user.to_owned()).or_insert((0, now));
        (*times, *last) = (times.saturating_add(1), now);
    }

    /// It let several calls ring in vain, and is left alone for a while by those who can choose.
    pub(crate) fn rests(&self, user: &str, now: Instant) -> bool {
        let missed = self.missed.get(user);
        missed.is_some_and(|(times, last)| *times >= MISSED_MAX && now < *last + REST)
    }

    /// True when no leg is at it but this one.
    pub(crate) fn is_free(&self, user: &str, but: LegId) -> bool {
        self.legs.get(user).is_none_or(|legs| legs.iter().all(|leg| *leg == but))
    }

    /// The legs that it is at, oldest first.
    pub(crate) fn legs(&self, user: &str) -> impl Iterator<Item = LegId> + '_ {
        self.legs.get(user).into_iter().flatten().copied()
    }

    /// A leg has let go of a session at a phone of this extension.
    pub(crate) fn fade(&mut self, session: SessionId, user: Arc<str>) {
        self.fading.insert(session, user);
    }

    /// This session is over.
    pub(crate) fn over(&mut self, session: SessionId) {
        self.fading.remove(&session);
    }

    /// True while a phone of it may not know yet that its last call is over. Walks the sessions that are being
    /// ended.
    pub(crate) fn fades(&self, user: &str) -> bool {
        self.fading.values().any(|fading| **fading == *user)
    }

    /// When its last call ended in which it talked.
    pub(crate) fn last_end(&self, user: &str) -> Option<Instant> {
        self.ended.get(user).copied()
    }

    /// Legs that occupy extensions, and sessions that still do.
    pub(crate) fn total(&self) -> usize {
        self.legs.values().map(BTreeSet::len).sum::<usize>() + self.fading.len()
    }

    /// Forgets extensions that are no more.
    pub(crate) fn settle(&mut self, snapshot: &Snapshot) {
        self.ended.retain(|user, _| snapshot.extensions.contains_key(user));
        self.missed.retain(|user, _| snapshot.extensions.contains_key(user));
    }
}

#[cfg(test)]
mod tests;
