//! The endpoint: datagram or stream message → transaction, dialog, or something new.

mod config;
mod event;

use std::time::Instant;

use bytes::Bytes;

pub use crate::transaction::Timers;
pub use config::{Credentials, EndpointConfig, Flow, Limits, Listener, Transport};
pub use event::{
    Answer, Counts, Drops, EndCause, Event, Invite, OutOfDialog, RequestId, RequestOutId,
    SessionId, Transmit,
};

use crate::wire::Reason;

/// All SIP state of one engine. Feed it with `handle_*`, wish with the verbs, then drain
/// [`Endpoint::poll_transmit`] and [`Endpoint::poll_event`].
#[derive(Debug)]
pub struct Endpoint {
    config: EndpointConfig,
}

#[allow(unused_variables, clippy::todo, clippy::needless_pass_by_value, reason = "skeleton")]
impl Endpoint {
    /// An endpoint without any state.
    pub fn new(config: EndpointConfig) -> Endpoint {
        Endpoint { config }
    }

    /// One datagram, or one message cut from a stream.
    pub fn handle_message(&mut self, now: Instant, flow: Flow, bytes: Bytes) {
        todo!()
    }

    /// A message could not be sent over this flow, or its connection is gone.
    pub fn handle_flow_error(&mut self, now: Instant, flow: Flow) {
        todo!()
    }

    /// The instant of [`Endpoint::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        todo!()
    }

    /// When [`Endpoint::handle_timeout`] is due next, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        todo!()
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        todo!()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }

    /// Calls. If the session table is full the session fails with 503 at once, by an event.
    pub fn invite(&mut self, now: Instant, invite: Invite) -> SessionId {
        todo!()
    }

    /// Gives up an outgoing INVITE. The CANCEL waits for a 1xx (RFC 3261 §9.1); the session ends
    /// with `Failed`. On a session that is up it is a BYE.
    pub fn cancel(&mut self, now: Instant, session: SessionId, reason: Option<Reason>) {
        todo!()
    }

    /// Ends a session in whatever state: BYE when it is up, CANCEL for an outgoing INVITE that
    /// rings, 480 for an incoming one. One last event follows.
    pub fn bye(&mut self, now: Instant, session: SessionId, reason: Option<Reason>) {
        todo!()
    }

    /// Offers anew. `false`: the session is not up, or a re-INVITE is under way.
    pub fn reinvite(&mut self, now: Instant, session: SessionId, sdp: Bytes) -> bool {
        todo!()
    }

    /// A provisional answer, 101 to 199, to an incoming INVITE.
    pub fn provisional(&mut self, now: Instant, session: SessionId, code: u16, sdp: Option<Bytes>) {
        todo!()
    }

    /// Answers an incoming INVITE with 200.
    pub fn accept(
        &mut self,
        now: Instant,
        session: SessionId,
        sdp: Bytes,
        headers: Vec<(String, Vec<u8>)>,
    ) {
        todo!()
    }

    /// Refuses an incoming INVITE, 300 to 699. The session is gone, without an event.
    pub fn reject(
        &mut self,
        now: Instant,
        session: SessionId,
        code: u16,
        headers: Vec<(String, Vec<u8>)>,
    ) {
        todo!()
    }

    /// Answers [`Event::Reinvite`] with 200.
    pub fn accept_reinvite(&mut self, now: Instant, session: SessionId, sdp: Bytes) {
        todo!()
    }

    /// Refuses [`Event::Reinvite`]; the session stays as it was.
    pub fn reject_reinvite(&mut self, now: Instant, session: SessionId, code: u16) {
        todo!()
    }

    /// Answers [`Event::Request`].
    pub fn respond(&mut self, now: Instant, request: RequestId, answer: Answer) {
        todo!()
    }

    /// Sends a request outside of sessions; [`Event::Response`] follows exactly once.
    pub fn request(&mut self, now: Instant, request: OutOfDialog) -> RequestOutId {
        todo!()
    }

    /// How much is alive.
    pub fn counts(&self) -> Counts {
        todo!()
    }

    /// What was refused or dropped since the start.
    pub fn drops(&self) -> Drops {
        todo!()
    }

    /// What a restarted process needs to end this session by BYE: tags, route set, target, flow,
    /// CSeq. `None` before the session is up.
    pub fn snapshot(&self, session: SessionId) -> Option<Vec<u8>> {
        todo!()
    }

    /// Takes up a session from its snapshot, with CSeq 1000 further on. `None` if the bytes are not
    /// a snapshot.
    pub fn resume(&mut self, now: Instant, snapshot: &[u8]) -> Option<SessionId> {
        todo!()
    }

    /// Call-ID of a session, for logs and records.
    pub fn call_id(&self, session: SessionId) -> Option<&str> {
        todo!()
    }
}
