//! What all SIP connections have in common, whatever they are made of: they are entered in the directory,
//! served, and reported when they are gone.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use sip::endpoint::{Flow, Transport};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Shared;
use crate::config::TcpKnobs;
use crate::directory::Connection;
use crate::inbox::Fact;

/// Messages a connection may have waiting to be written.
const QUEUE_MAX: usize = 64;
/// A far end that takes no byte for this long is gone.
pub(super) const WRITE_MAX: Duration = Duration::from_secs(10);
/// How long a farewell may take.
pub(super) const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// Who made a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// We did.
    Us,
    /// The far end did.
    Peer,
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The far end closed it, or the network did.
    Closed,
    /// We are ending.
    Stopping,
    /// The engine or the directory let go of it.
    Cut,
    /// Its far end takes nothing.
    DoesNotRead,
    /// A message did not come in time.
    TooSlow,
    /// Nothing came for long, and nobody needs it.
    Idle,
    /// What came is no SIP.
    NotSip,
}

/// A queue towards a connection that is being made or served.
pub(super) type Waiting = mpsc::Receiver<Bytes>;

impl Shared {
    /// Enters a connection in the directory; its flow has the number it got.
    pub(super) fn enter(&self, flow: Flow, origin: Origin) -> (Flow, Waiting) {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        // RFC 5923 §8.2: what a peer's connection may be used for besides its own dialogs it would have
        // to prove; over TCP nothing is proved by anybody.
        let shared = origin == Origin::Us || flow.transport == Transport::Tcp;
        let connection =
            Connection { transport: flow.transport, remote: flow.remote, shared, queue };
        let id = self.directory.connect(connection);
        (Flow { connection: Some(id), ..flow }, waiting)
    }

    /// A message has come.
    pub(super) fn heard(&self, flow: Flow, bytes: Bytes) {
        self.counts.received.of(flow.transport).fetch_add(1, Ordering::Relaxed);
        self.inbox.datagram(flow, bytes);
    }

    /// Queues something for the far end of a connection; whether there was room.
    pub(super) fn say(&self, flow: Flow, bytes: Bytes) -> bool {
        let connection = flow.connection.and_then(|id| self.directory.connection(id));
        connection.is_some_and(|connection| connection.queue.try_send(bytes).is_ok())
    }

    /// A connection is gone: nobody writes to it any more, and the engine hears of it.
    pub(super) fn gone(&self, flow: Flow, origin: Origin, end: End) {
        tracing::debug!(connection = flow.connection, remote = %flow.remote, ?end, "connection closed");
        if !matches!(end, End::Closed | End::Stopping) {
            self.counts.connections_cut.fetch_add(1, Ordering::Relaxed);
        }
        self.directory.disconnect(flow.connection.unwrap_or_default());
        self.inbox.fact(Fact::FlowError(flow));
        if origin == Origin::Us {
            // The engine may know it as the way it asked for, before there was a connection.
            self.inbox.fact(Fact::FlowError(Flow { connection: None, ..flow }));
        }
    }
}

/// Since when nothing has come by a connection.
#[derive(Debug)]
pub(super) struct Idle {
    flow: Flow,
    since: Instant,
    /// When the engine was asked last.
    asked: Instant,
}

impl Idle {
    pub(super) fn new(flow: Flow) -> Idle {
        let now = Instant::now();
        Idle { flow, since: now, asked: now }
    }

    /// Something came.
    pub(super) fn heard(&mut self) {
        self.since = Instant::now();
        self.asked = self.since;
    }

    /// When to ask again whether anybody needs the connection.
    pub(super) fn next_look(&self, knobs: &TcpKnobs) -> Instant {
        (self.asked + knobs.unused).min(self.since + knobs.idle)
    }

    /// Whether it has been idle for as long as any connection may. Before that the engine is asked, which
    /// knows whether somebody is registered or in a call by it, and has it closed if not.
    pub(super) fn is_over(&mut self, shared: &Shared) -> bool {
        let now = Instant::now();
        if now.duration_since(self.since) + Duration::from_millis(1) >= shared.knobs.idle {
            return true;
        }
        self.asked = now;
        shared.inbox.fact(Fact::Idle(self.flow));
        false
    }
}
