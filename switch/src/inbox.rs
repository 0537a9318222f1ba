//! The way into the engine's thread: two bounded queues, one for the network and one for everything else.
//!
//! The network may be louder than we can listen: its queue drops and counts, and SIP's own timers repair the
//! loss. Facts (answers of the ledger, media news, commands) are never dropped: there are at most a few for
//! each call, calls are limited, and a queue that is full all the same is a fault that is counted and logged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use call::{Command, Reply};
use crossbeam_channel::{Receiver, Sender, TrySendError};
use facts::media::MediaEvent;
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
}

/// What did not get in.
#[derive(Debug, Default)]
pub(crate) struct InboxCounts {
    /// Messages from the network that were dropped.
    pub(crate) dropped: AtomicU64,
    /// Facts that were lost: a fault.
    pub(crate) lost: AtomicU64,
}

/// The engine's end.
#[derive(Debug)]
pub(crate) struct Outlet {
    pub(crate) network: Receiver<Datagram>,
    pub(crate) facts: Receiver<Fact>,
}

/// Facts that may wait at most.
const FACTS_MAX: usize = 1 << 18;

/// Both ends; `depth` messages of the network may wait.
pub(crate) fn inbox(depth: usize) -> (Inbox, Outlet) {
    let (network, network_out) = crossbeam_channel::bounded(depth);
    let (facts, facts_out) = crossbeam_channel::bounded(FACTS_MAX);
    let inbox = Inbox { network, facts, counts: Arc::default() };
    (inbox, Outlet { network: network_out, facts: facts_out })
}

impl Inbox {
    /// A message from the network; dropped and counted when the queue is full.
    pub(crate) fn datagram(&self, flow: Flow, bytes: Bytes) {
        let datagram = Datagram { flow, bytes, at: Instant::now() };
        if self.network.try_send(datagram).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Anything else.
    pub(crate) fn fact(&self, fact: Fact) {
        match self.facts.try_send(fact) {
            Ok(()) => {}
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
        (self.network.len(), self.network.capacity().unwrap_or(usize::MAX))
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

    #[test]
    fn a_full_queue_drops_messages_and_counts_them_but_keeps_facts() {
        let (inbox, outlet) = inbox(2);
        let flow = Flow::udp("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        for _ in 0..5 {
            inbox.datagram(flow, Bytes::from_static(b"x"));
            inbox.fact(Fact::FlowError(flow));
        }
        assert_eq!(inbox.counts().dropped.load(Ordering::Relaxed), 3);
        assert_eq!((outlet.network.len(), outlet.facts.len()), (2, 5));
        assert!(inbox.crowded());
    }
}
