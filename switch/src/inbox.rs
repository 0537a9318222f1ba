//! The way into the engine's thread: what it reads itself from the UDP sockets, and two bounded queues, one
//! for messages of TCP connections and one for everything else.
//!
//! The network may be louder than we can listen. Messages of dialogs and transactions that are under way go
//! first; what would open something new waits in a line of its own, and as soon as that moves too slowly,
//! whoever comes is told at once to come later ([`sip::overload`]). What does not fit at all is dropped and
//! counted, and SIP's own timers repair the loss. Facts (answers of the ledger, media news, commands) are never
//! dropped: there are at most a few for each call, calls are limited, and a queue that is full all the same is
//! a fault that is counted and logged.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::time::{Duration, Instant};

use bytes::Bytes;
use call::{Command, Reply};
use crossbeam_channel::{Receiver, Sender, TrySendError};
use facts::media::MediaEvent;
use media::poll::Waker;
use sip::endpoint::Flow;
use sip::overload::{Claim, claim};

/// A message from the network.
#[derive(Debug)]
pub(crate) struct Datagram {
    pub(crate) flow: Flow,
    pub(crate) bytes: Bytes,
    pub(crate) at: Instant,
}

/// Anything else the engine must hear of.
#[derive(Debug)]
pub(crate) enum Fact {
    /// A connection broke or could not be made.
    FlowError(Flow),
    /// The far end of a new connection has proved to be these domains.
    Peer { flow: Flow, names: Vec<String> },
    /// Nothing has come over a connection for long.
    Idle(Flow),
    /// An answer to an effect.
    Reply(Reply),
    /// News of the media plane.
    Media(MediaEvent),
    /// A wish.
    Command(Command),
    /// The thread shall end.
    Stop,
}

/// Puts things in. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Inbox {
    network: Sender<Datagram>,
    facts: Sender<Fact>,
    counts: Arc<InboxCounts>,
    bell: Arc<Bell>,
}

/// What did not get in, and what waits.
#[derive(Debug, Default)]
pub(crate) struct InboxCounts {
    /// Messages from the network that were dropped.
    pub(crate) dropped: AtomicU64,
    /// Messages that were told to come later.
    pub(crate) excused: AtomicU64,
    /// Facts that were lost: a fault.
    pub(crate) lost: AtomicU64,
    /// Datagrams that were read and wait.
    heard: AtomicUsize,
}

/// Wakes the engine's thread, and costs next to nothing while it is awake.
#[derive(Debug)]
struct Bell {
    asleep: AtomicBool,
    waker: Waker,
}

impl Bell {
    /// Call after something was put in.
    fn ring(&self) {
        // Against `Outlet::may_sleep`: either it sees what was put in, or we see that it sleeps.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed) {
            self.waker.wake();
        }
    }
}

/// The engine's end.
#[derive(Debug)]
pub(crate) struct Outlet {
    /// Messages of connections.
    pub(crate) network: Receiver<Datagram>,
    pub(crate) facts: Receiver<Fact>,
    /// Messages of what is under way, oldest first.
    within: VecDeque<Datagram>,
    /// Messages that open something, oldest first.
    opening: VecDeque<Datagram>,
    /// Messages of those that are told to come later.
    excess: VecDeque<Datagram>,
    room: usize,
    /// Messages of the first line that were taken in a row.
    streak: u32,
    counts: Arc<InboxCounts>,
    bell: Arc<Bell>,
}

/// A line whose first has waited for longer moves too slowly for another call. Less than T1: whoever is told
/// to come later has not said it twice.
const CALL_WAIT: Duration = Duration::from_millis(200);
/// The same for a registration.
const REGISTER_WAIT: Duration = Duration::from_millis(150);
/// And for anything else.
const OTHER_WAIT: Duration = Duration::from_millis(100);
/// After so many messages of what is under way one that opens something has its turn.
const STREAK_MAX: u32 = 16;
/// Messages of connections that are taken in at once.
const GATHER_MAX: usize = 1024;

/// Facts that may wait at most.
const FACTS_MAX: usize = 1 << 18;

/// Both ends; `depth` messages of the network may wait.
///
/// # Errors
/// When the system has no descriptor left.
pub(crate) fn inbox(depth: usize) -> io::Result<(Inbox, Outlet)> {
    let (network, network_out) = crossbeam_channel::bounded(depth);
    let (facts, facts_out) = crossbeam_channel::bounded(FACTS_MAX);
    let counts: Arc<InboxCounts> = Arc::default();
    let bell = Arc::new(Bell { asleep: AtomicBool::new(false), waker: Waker::new()? });
    let outlet = Outlet {
        network: network_out,
        facts: facts_out,
        within: VecDeque::new(),
        opening: VecDeque::new(),
        excess: VecDeque::new(),
        room: depth,
        streak: 0,
        counts: Arc::clone(&counts),
        bell: Arc::clone(&bell),
    };
    Ok((Inbox { network, facts, counts, bell }, outlet))
}

impl Outlet {
    /// A message was read; dropped and counted when too many wait.
    pub(crate) fn hear(&mut self, flow: Flow, bytes: Bytes, at: Instant) {
        self.take_in(Datagram { flow, bytes, at });
        self.note();
    }

    /// Takes in what has come over connections.
    pub(crate) fn gather(&mut self) {
        for _ in 0..GATHER_MAX {
            let Ok(message) = self.network.try_recv() else { break };
            self.take_in(message);
        }
        self.note();
    }

    fn take_in(&mut self, message: Datagram) {
        if self.waiting() >= self.room {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let waited =
            self.opening.front().map(|first| message.at.saturating_duration_since(first.at));
        let limit = match claim(&message.bytes) {
            Claim::Nothing => return,
            Claim::Within => return self.within.push_back(message),
            Claim::Follows => Duration::MAX,
            Claim::Call => CALL_WAIT,
            Claim::Register => REGISTER_WAIT,
            Claim::Other => OTHER_WAIT,
        };
        if waited.is_some_and(|waited| waited > limit) {
            self.counts.excused.fetch_add(1, Ordering::Relaxed);
            self.excess.push_back(message);
        } else {
            self.opening.push_back(message);
        }
    }

    fn waiting(&self) -> usize {
        self.within.len() + self.opening.len() + self.excess.len()
    }

    fn note(&self) {
        self.counts.heard.store(self.waiting(), Ordering::Relaxed);
    }

    /// The next message to listen to.
    pub(crate) fn next_message(&mut self) -> Option<Datagram> {
        // A flood of what only seems to be under way must not shut everybody else out.
        let first = if self.streak < STREAK_MAX { self.within.pop_front() } else { None };
        self.streak = if first.is_some() { self.streak + 1 } else { 0 };
        let next = first.or_else(|| self.opening.pop_front()).or_else(|| self.within.pop_front());
        self.note();
        next
    }

    /// The next one that is told to come later.
    pub(crate) fn next_excess(&mut self) -> Option<Datagram> {
        self.excess.pop_front()
    }

    /// Asks whoever puts something in from now on to ring. False when something waits already.
    pub(crate) fn may_sleep(&self) -> bool {
        self.bell.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.waiting() == 0 && self.facts.is_empty() && self.network.is_empty()
    }

    /// Nobody needs to ring any more.
    pub(crate) fn awake(&self) {
        self.bell.asleep.store(false, Ordering::Relaxed);
    }

    /// What becomes readable when somebody rings.
    pub(crate) fn waker(&self) -> &Waker {
        &self.bell.waker
    }
}

impl Inbox {
    /// A message of a connection; dropped and counted when the queue is full.
    pub(crate) fn datagram(&self, flow: Flow, bytes: Bytes) {
        let datagram = Datagram { flow, bytes, at: Instant::now() };
        match self.network.try_send(datagram) {
            Ok(()) => self.bell.ring(),
            Err(_) => {
                self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Anything else.
    pub(crate) fn fact(&self, fact: Fact) {
        match self.facts.try_send(fact) {
            Ok(()) => self.bell.ring(),
            Err(TrySendError::Full(_)) => {
                self.counts.lost.fetch_add(1, Ordering::Relaxed);
                tracing::error!("the engine does not keep up: a fact was lost");
            }
            // The engine has stopped: nobody is interested any more.
            Err(TrySendError::Disconnected(_)) => {}
        }
    }

    /// The same of something that whoever has it can say again: false when there is no room for it now.
    pub(crate) fn offer(&self, fact: Fact) -> bool {
        match self.facts.try_send(fact) {
            Ok(()) => self.bell.ring(),
            Err(TrySendError::Full(_)) => return false,
            Err(TrySendError::Disconnected(_)) => {}
        }
        true
    }

    /// Messages of the network that wait, and how many could.
    pub(crate) fn depth(&self) -> (usize, usize) {
        let waiting = self.network.len() + self.counts.heard.load(Ordering::Relaxed);
        (waiting, self.network.capacity().unwrap_or(usize::MAX))
    }

    /// Facts that wait.
    pub(crate) fn facts_waiting(&self) -> usize {
        self.facts.len()
    }

    /// True when so much waits that new calls would only make it worse.
    pub(crate) fn crowded(&self) -> bool {
        let (waiting, room) = self.depth();
        waiting * 4 > room * 3 || self.facts.len() * 4 > FACTS_MAX
    }

    pub(crate) fn counts(&self) -> &InboxCounts {
        &self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow() -> Flow {
        Flow::udp("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap())
    }

    #[test]
    fn a_full_queue_drops_messages_and_counts_them_but_keeps_facts() {
        let (inbox, mut outlet) = inbox(2).unwrap();
        for _ in 0..5 {
            inbox.datagram(flow(), Bytes::from_static(b"x"));
            inbox.fact(Fact::FlowError(flow()));
        }
        assert_eq!(inbox.counts().dropped.load(Ordering::Relaxed), 3);
        assert_eq!((outlet.network.len(), outlet.facts.len()), (2, 5));
        assert!(inbox.crowded());
        outlet.gather();
        for _ in 0..5 {
            outlet.hear(flow(), Bytes::from_static(b"y"), Instant::now());
        }
        assert_eq!(inbox.counts().dropped.load(Ordering::Relaxed), 8);
        assert_eq!(inbox.depth().0, 2);
        assert_eq!(std::iter::from_fn(|| outlet.next_message()).count(), 2);
        assert_eq!(inbox.depth().0, 0);
    }

    fn said(method: &str, to: &str) -> Bytes {
        Bytes::from(format!("{method} sip:a SIP/2.0\r\nTo: <sip:b>{to}\r\n\r\n"))
    }

    #[test]
    fn b14_what_is_under_way_goes_first_and_a_slow_line_takes_nobody_else_in() {
        let (inbox, mut outlet) = inbox(64).unwrap();
        let begun = Instant::now();
        let hear = |outlet: &mut Outlet, millis, method, to| {
            outlet.hear(flow(), said(method, to), begun + Duration::from_millis(millis));
        };
        hear(&mut outlet, 0, "INVITE", "");
        hear(&mut outlet, 100, "OPTIONS", "");
        for (millis, method) in [(101, "OPTIONS"), (150, "REGISTER"), (151, "REGISTER")] {
            hear(&mut outlet, millis, method, "");
        }
        hear(&mut outlet, 200, "INVITE", "");
        hear(&mut outlet, 201, "INVITE", "");
        hear(&mut outlet, 900, "CANCEL", "");
        hear(&mut outlet, 900, "BYE", ";tag=x");
        let words = |next: &mut dyn FnMut() -> Option<Datagram>| -> Vec<String> {
            let word = |bytes: &Bytes| {
                String::from_utf8_lossy(bytes).split(' ').next().unwrap().to_owned()
            };
            std::iter::from_fn(next).map(|message| word(&message.bytes)).collect()
        };
        let excess = words(&mut || outlet.next_excess());
        assert_eq!(excess, ["OPTIONS", "REGISTER", "INVITE"], "told to come later");
        assert_eq!(inbox.counts().excused.load(Ordering::Relaxed), 3);
        let heard = words(&mut || outlet.next_message());
        assert_eq!(heard, ["BYE", "INVITE", "OPTIONS", "REGISTER", "INVITE", "CANCEL"]);
        hear(&mut outlet, 5000, "OPTIONS", "");
        assert_eq!(words(&mut || outlet.next_message()), ["OPTIONS"], "nobody waits any more");
    }

    #[test]
    fn whoever_sleeps_is_woken_once_and_whoever_is_awake_is_left_alone() {
        let (inbox, outlet) = inbox(2).unwrap();
        let mut poller = media::poll::Poller::new().unwrap();
        poller.watch_waker(outlet.waker(), 1).unwrap();
        let mut rung = || poller.wait(Duration::ZERO).unwrap() == 1;
        inbox.fact(Fact::Stop);
        assert!(!rung(), "awake");
        assert!(!outlet.may_sleep(), "a fact waits");
        assert!(outlet.facts.try_recv().is_ok());
        assert!(outlet.may_sleep());
        inbox.fact(Fact::Stop);
        assert!(rung());
        inbox.fact(Fact::Stop);
        assert!(!rung(), "once is enough");
    }
}
