//! What is known of the names of carriers: answers of the DNS, kept for as long as they are good and
//! used beyond that while there is no newer one; and where each carrier is by them.
//!
//! Nothing here waits. A name that a trunk bears is asked for as soon as the trunk is there, and again
//! when its answer has run out: a call finds the answer, or takes the trunk for one that cannot be
//! reached.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use facts::NextHop;
use facts::settings::Trunk;
use sip::endpoint::Listener;
use sip::locate::{Located, Question, Record, Wanted, locate};

use crate::event::Resolved;
use crate::leg;

/// An answer is not asked for again sooner, however short it is good for.
const TTL_MIN: Duration = Duration::from_secs(5);
/// Nor later, however long.
const TTL_MAX: Duration = Duration::from_secs(86_400);
/// That there is nothing is believed for so long at most (RFC 2308 §5).
const NOTHING_MAX: Duration = Duration::from_secs(300);
/// First pause after a question that failed, and the longest; it doubles.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(60);
/// A question that is not answered within this has failed.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// Questions that are kept at most: names of thousands of carriers.
const QUESTIONS_MAX: usize = 16_384;

/// What is known of one question.
#[derive(Debug)]
struct Entry {
    /// The latest answer. `None`: there was none yet.
    records: Option<Vec<Record>>,
    /// It waits for an answer.
    asked: bool,
    /// When to ask, or to give up waiting.
    due: Instant,
    failures: u32,
}

/// All that is known.
#[derive(Debug, Default)]
pub(crate) struct Names {
    entries: BTreeMap<Question, Entry>,
    /// When the first of them is due.
    next: Option<Instant>,
}

impl Names {
    /// Keeps what is still of use, and begins to ask for what is new.
    pub(crate) fn keep(&mut self, now: Instant, wanted: BTreeSet<Question>) {
        self.entries.retain(|question, _| wanted.contains(question));
        for question in wanted {
            if self.entries.len() >= QUESTIONS_MAX {
                break;
            }
            let new = || Entry { records: None, asked: false, due: now, failures: 0 };
            self.entries.entry(question).or_insert_with(new);
        }
        self.reschedule();
    }

    fn reschedule(&mut self) {
        self.next = self.entries.values().map(|entry| entry.due).min();
    }

    /// The records of an answer, however old. `None`: there was none yet.
    pub(crate) fn records(&self, question: &Question) -> Option<&[Record]> {
        self.entries.get(question)?.records.as_deref()
    }

    /// What is to be asked now.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Vec<Question> {
        let mut ask = Vec::new();
        if self.next.is_none_or(|next| next > now) {
            return ask;
        }
        for (question, entry) in &mut self.entries {
            if entry.due > now {
                continue;
            }
            if entry.asked {
                entry.failed(now);
            } else {
                entry.asked = true;
                entry.due = now + ANSWER_MAX;
                ask.push(question.clone());
            }
        }
        self.reschedule();
        ask
    }

    /// An answer. True when it says something new.
    pub(crate) fn answered(&mut self, now: Instant, question: &Question, told: Resolved) -> bool {
        let Some(entry) = self.entries.get_mut(question) else { return false };
        let (records, good) = match told {
            Resolved::Found { records, ttl } => (records, ttl.clamp(TTL_MIN, TTL_MAX)),
            Resolved::Nothing { ttl } => (Vec::new(), ttl.clamp(TTL_MIN, NOTHING_MAX)),
            Resolved::Failed => {
                entry.failed(now);
                self.reschedule();
                return false;
            }
        };
        (entry.asked, entry.due, entry.failures) = (false, now + good, 0);
        let new = entry.records.as_ref() != Some(&records);
        entry.records = Some(records);
        self.reschedule();
        new
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Where a trunk is by its name, and what that rests on.
    pub(crate) fn target(
        &self,
        trunk: &Trunk,
        listeners: &[Listener],
        draw: &mut dyn FnMut(u64) -> u64,
    ) -> Located {
        match &trunk.target {
            NextHop::Address(_) => Located::default(),
            NextHop::Name { host, port } => self.locate(trunk, (host, *port), listeners, draw),
        }
    }

    /// The addresses of those whom it takes calls from by name, and what they rest on: all that requests
    /// to such a name might go to, and the name itself.
    fn peers(
        &self,
        trunk: &Trunk,
        listeners: &[Listener],
        questions: &mut BTreeSet<Question>,
    ) -> BTreeSet<IpAddr> {
        let mut found = BTreeSet::new();
        for name in &trunk.peer_names {
            // Whatever the port: only the address is looked at.
            for port in [None, Some(0)] {
                let located = self.locate(trunk, (name, port), listeners, &mut |_| 0);
                questions.extend(located.questions);
                found.extend(located.servers.iter().map(|server| server.address.ip()));
            }
        }
        found
    }

    fn locate(
        &self,
        trunk: &Trunk,
        (host, port): (&str, Option<u16>),
        listeners: &[Listener],
        draw: &mut dyn FnMut(u64) -> u64,
    ) -> Located {
        let wanted = Wanted {
            host,
            port,
            transport: leg::transport(trunk),
            any_transport: trunk.options.naptr,
            listeners,
        };
        locate(&wanted, &|question| self.records(question), draw)
    }

    /// Where a trunk is now. Adds what that rests on.
    pub(crate) fn place(
        &self,
        trunk: &Trunk,
        listeners: &[Listener],
        questions: &mut BTreeSet<Question>,
    ) -> Place {
        let located = self.target(trunk, listeners, &mut |_| 0);
        questions.extend(located.questions);
        let servers = located.servers.iter().map(|server| server.address).collect();
        Place { servers, peers: self.peers(trunk, listeners, questions) }
    }
}

impl Entry {
    fn failed(&mut self, now: Instant) {
        let pause = AGAIN_MAX.min(AGAIN * 2_u32.pow(self.failures.min(6)));
        self.failures = self.failures.saturating_add(1);
        (self.asked, self.due) = (false, now + pause);
    }
}

/// Where a trunk that bears names is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Place {
    /// Where requests to it may go.
    pub(crate) servers: BTreeSet<SocketAddr>,
    /// Where its requests may come from, besides its networks.
    pub(crate) peers: BTreeSet<IpAddr>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::start;
    use sip::locate::RecordKind;

    fn question() -> Question {
        Question { name: "a.example".into(), kind: RecordKind::A }
    }

    fn found(last: u8, ttl: u64) -> Resolved {
        let records = vec![Record::Address(IpAddr::from([192, 0, 2, last]))];
        Resolved::Found { records, ttl: Duration::from_secs(ttl) }
    }

    fn after(now: Instant, seconds: u64) -> Instant {
        now + Duration::from_secs(seconds)
    }

    #[test]
    fn rfc1035_3_2_1_an_answer_is_asked_for_again_when_it_has_run_out_and_not_before() {
        let now = start().mono;
        let mut names = Names::default();
        names.keep(now, [question()].into());
        assert_eq!(names.handle_timeout(now), [question()]);
        assert!(names.handle_timeout(now).is_empty(), "once");
        assert!(names.answered(now, &question(), found(1, 60)));
        assert_eq!(names.next(), Some(after(now, 60)));
        assert!(names.handle_timeout(after(now, 59)).is_empty());
        assert_eq!(names.handle_timeout(after(now, 60)), [question()]);
        assert!(names.records(&question()).is_some(), "in use while it is asked for");
        assert!(!names.answered(after(now, 60), &question(), found(1, 60)), "nothing new");
        // No time at all is some time, and a year is a day.
        names.handle_timeout(after(now, 120));
        names.answered(after(now, 120), &question(), found(1, 0));
        assert_eq!(names.next(), Some(after(now, 120) + TTL_MIN));
        names.handle_timeout(after(now, 125));
        names.answered(after(now, 125), &question(), found(1, 31_536_000));
        assert_eq!(names.next(), Some(after(now, 125) + TTL_MAX));
    }

    #[test]
    fn the_last_answer_is_used_while_the_dns_is_away() {
        let mut now = start().mono;
        let mut names = Names::default();
        names.keep(now, [question()].into());
        names.handle_timeout(now);
        names.answered(now, &question(), found(1, 60));
        let mut asked = Vec::new();
        for _ in 0..20 {
            now = names.next().unwrap();
            if !names.handle_timeout(now).is_empty() {
                asked.push(now);
                // Every other time nobody says anything.
                if asked.len().is_multiple_of(2) {
                    names.answered(now, &question(), Resolved::Failed);
                }
            }
            assert_eq!(names.records(&question()).map(<[Record]>::len), Some(1));
        }
        let waits: Vec<u64> = asked.windows(2).map(|at| (at[1] - at[0]).as_secs()).collect();
        assert!(waits.iter().all(|wait| (1..=80).contains(wait)), "{waits:?}");
        assert!(waits.last() > waits.first(), "later and later: {waits:?}");
        now = names.next().unwrap();
        names.handle_timeout(now);
        assert!(names.answered(now, &question(), found(2, 60)), "it is back");
    }

    #[test]
    fn rfc2308_5_that_there_is_nothing_is_an_answer() {
        let now = start().mono;
        let mut names = Names::default();
        names.keep(now, [question()].into());
        names.handle_timeout(now);
        let nothing = Resolved::Nothing { ttl: Duration::from_secs(9_000) };
        assert!(names.answered(now, &question(), nothing));
        assert_eq!(names.records(&question()), Some(&[][..]));
        assert_eq!(names.next(), Some(now + NOTHING_MAX));
        names.keep(now, BTreeSet::new());
        assert_eq!((names.next(), names.records(&question())), (None, None));
        assert!(!names.answered(now, &question(), found(1, 1)), "nobody wants to know any more");
    }
}
