//! The way into the engine's thread: what it reads itself from the UDP sockets, and two bounded queues, one
//! for messages of TCP connections and one for everything else.
//!
//! The network may be louder than we can listen: what does not fit is dropped and counted, and SIP's own
//! timers repair the loss. Facts (answers of the ledger, media news, commands) are never dropped: there are at
//! most a few for each call, calls are limited, and a queue that is full all the same is a fault that is counted
//! and logged.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::time::Instant;

use bytes::Bytes;
use call::{Command, Reply};
use crossbeam_channel::{Receiver, Sender, TrySendError};
use facts::media::MediaEvent;
use media::poll::Waker;
use sip::endpoint::Flow;

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
    /// Datagrams that were read, oldest first.
    heard: VecDeque<Datagram>,
    room: usize,
    /// A connection's message has its turn next.
    streams: bool,
    counts: Arc<InboxCounts>,
    bell: Arc<Bell>,
}

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
        heard: VecDeque::new(),
        room: depth,
        streams: false,
        counts: Arc::clone(&counts),
        bell: Arc::clone(&bell),
    };
    Ok((Inbox { network, facts, counts, bell }, outlet))
}

impl Outlet {
    /// A datagram was read; dropped and counted when too many wait.
    pub(crate) fn hear(&mut self, flow: Flow, bytes: Bytes, at: Instant) {
        if self.heard.len() >= self.room {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.heard.push_back(Datagram { flow, bytes, at });
        self.counts.heard.store(self.heard.len(), Ordering::Relaxed);
    }

    /// The next message: datagrams and connections take turns.
    pub(crate) fn next_message(&mut self) -> Option<Datagram> {
        self.streams = !self.streams;
        if self.streams
            && let Ok(message) = self.network.try_recv()
        {
            return Some(message);
        }
        let heard = self.heard.pop_front();
        self.counts.heard.store(self.heard.len(), Ordering::Relaxed);
        heard.or_else(|| self.network.try_recv().ok())
    }

    /// Asks whoever puts something in from now on to ring. False when something waits already.
    pub(crate) fn may_sleep(&self) -> bool {
        self.bell.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.heard.is_empty() && self.facts.is_empty() && self.network.is_empty()
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
        for _ in 0..5 {
            outlet.hear(flow(), Bytes::from_static(b"y"), Instant::now());
        }
        assert_eq!(inbox.counts().dropped.load(Ordering::Relaxed), 6);
        assert_eq!(inbox.depth().0, 4);
        let order: Vec<u8> =
            std::iter::from_fn(|| outlet.next_message()).map(|message| message.bytes[0]).collect();
        assert_eq!(order, b"xyxy", "neither starves the other");
        assert_eq!(inbox.depth().0, 0);
    }

    #[test]
    fn whoever_sleeps_is_woken_once_and_whoever_is_awake_is_left_alone() {
        let (inbox, outlet) = inbox(2).unwrap();
        let mut poller = media::poll::Poller::new().unwrap();
        poller.watch_waker(outlet.waker(), 1).unwrap();
        let mut rung = || poller.wait(std::time::Duration::ZERO).unwrap() == 1;
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
