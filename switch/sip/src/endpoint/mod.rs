//! The endpoint: datagram or stream message → transaction, dialog, or something new.
//!
//! [`Endpoint`] owns every transaction and session of an engine, as values in tables. It is fed with
//! messages and instants, asked by verbs, and drained after each: [`Endpoint::poll_transmit`] and
//! [`Endpoint::poll_event`] until they are empty, then [`Endpoint::poll_timeout`].
//!
//! Where it sends: answers go by the top Via, `received` and `rport` (RFC 3581). Requests within a
//! dialog go by its route set or remote target if that is an address its sender may name (never a
//! network more private than its own), and otherwise over the flow of the dialog; see
//! [`Invite::keep_flow`]. There is no resolver here.
//!
//! What it answers itself: copies, malformed requests (400, 414, 416, 505, 513), 405 and 501 with
//! Allow, 406, 415 with Accept, 420 with Unsupported, 422 with Min-SE, 481, 482, 483, 491 and 500 with
//! Retry-After in a dialog, 503 with Retry-After when a table is full, BYE, CANCEL, PRACK, and OPTIONS,
//! INFO and UPDATE without an offer in a dialog. It refreshes sessions by UPDATE, and ends those that
//! nobody refreshes, as it does with subscriptions.
//!
//! What it does not do: names (no resolver), media and calls. A REFER in a session is the user's; one
//! outside is refused.

mod auth;
mod bye;
mod client;
mod config;
mod early;
mod event;
mod ids;
mod load;
mod outside;
mod peer;
mod receive;
mod refer;
mod refresh;
mod reinvite;
mod replaces;
mod request;
mod route;
mod schedule;
mod server;
mod session;
mod subscription;
mod table;
mod uac;
mod uas;
mod update;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

pub use crate::dialog::{Refreshes, SessionTimers};
pub use crate::transaction::Timers;
pub use config::{Credentials, EndpointConfig, Flow, Limits, Listener, Transport};
pub use event::{
    Answer, Counts, Drops, Edit, EndCause, Event, Invite, OutOfDialog, RequestId, RequestOutId,
    SessionId, SubscriptionId, Transmit,
};
pub use load::Relief;
pub use peer::Style;
pub use replaces::Standing;

use crate::wire::{Message, Method, NameAddr, Reason};
use bye::Farewell;
use ids::Ids;
use request::{Extra, push_extra};
use schedule::Schedule;
use subscription::Subscription;
use table::{Client, ClientKey, Outside, Owner, Server, ServerId, Session};

/// Most deadlines served in one turn; what is left is due at once in the next.
const TURN_MAX: usize = 1024;
/// Extensions that a peer may require of us (RFC 3262, RFC 4488, RFC 3891, RFC 4028).
pub const SUPPORTED: &str = "100rel, norefersub, replaces, timer";
/// Bodies that are understood (RFC 5621 §3: several parts too).
const ACCEPTED: &str = "application/sdp, multipart/mixed, multipart/alternative";
/// The same as [`SUPPORTED`] towards a peer with which no session timers are spoken.
const SUPPORTED_UNTIMED: &str = "100rel, norefersub, replaces";

/// All SIP state of one engine.
#[derive(Debug)]
pub struct Endpoint {
    config: EndpointConfig,
    allow: String,
    ids: Ids,
    clients: BTreeMap<ClientKey, Client>,
    by_flow: BTreeMap<Flow, BTreeSet<ClientKey>>,
    /// Boxed: a table that grows at its end fills half of its room.
    servers: BTreeMap<ServerId, Box<Server>>,
    server_keys: BTreeMap<Arc<str>, ServerId>,
    merged: BTreeMap<Arc<str>, ServerId>,
    sessions: BTreeMap<SessionId, Session>,
    outside: BTreeMap<RequestOutId, Outside>,
    subscriptions: BTreeMap<SubscriptionId, Subscription>,
    schedule: Schedule,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    last_server: u64,
    last_outside: u64,
    lingering: usize,
    drops: Drops,
    /// Peers that are written to otherwise than all.
    styles: BTreeMap<IpAddr, Style>,
    /// How much of what came was too much.
    load: load::Load,
}

impl Endpoint {
    /// An endpoint without any state.
    pub fn new(config: EndpointConfig) -> Endpoint {
        let mut allow = "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, PRACK, UPDATE, REFER".to_owned();
        for method in &config.methods {
            allow.push_str(", ");
            allow.push_str(method.as_str());
        }
        Endpoint {
            allow,
            ids: Ids::new(config.seed, config.engine),
            clients: BTreeMap::new(),
            by_flow: BTreeMap::new(),
            servers: BTreeMap::new(),
            server_keys: BTreeMap::new(),
            merged: BTreeMap::new(),
            sessions: BTreeMap::new(),
            outside: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            schedule: Schedule::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            last_server: 0,
            last_outside: 0,
            lingering: 0,
            drops: Drops::default(),
            styles: BTreeMap::new(),
            load: load::Load::default(),
            config,
        }
    }

    /// One datagram, or one message cut from a stream.
    pub fn handle_message(&mut self, now: Instant, flow: Flow, bytes: Bytes) {
        self.receive(now, flow, bytes);
    }

    /// A message could not be sent over this flow, or its connection is gone.
    pub fn handle_flow_error(&mut self, now: Instant, flow: Flow) {
        self.flow_failed(now, flow);
    }

    /// The instant of [`Endpoint::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        for _ in 0..TURN_MAX {
            let Some((at, owner)) = self.schedule.first() else { return };
            if at > now {
                return;
            }
            match owner {
                Owner::Client(key) => self.client_due(now, key),
                Owner::Server(id) => self.server_due(now, id),
                Owner::Session(id) => self.session_due(now, id),
                Owner::Subscription(id) => self.subscription_due(now, id),
            }
        }
    }

    /// When [`Endpoint::handle_timeout`] is due next, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let (at, owner) = self.schedule.first()?;
        let timer = match owner {
            Owner::Client(key) => self.clients.get(&key).and_then(Client::next_timer),
            Owner::Server(id) => self.servers.get(&id).and_then(|server| server.next_timer()),
            Owner::Session(id) => self.sessions.get(&id).and_then(Session::next_timer),
            Owner::Subscription(id) => self.subscriptions.get(&id).map(Subscription::next_timer),
        };
        Some((at, timer.map_or("", |(_, name)| name)))
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let transmit = self.transmits.pop_front()?;
        Some(self.styled(transmit))
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Calls. If the session table is full the session fails with 503 at once, by an event.
    pub fn invite(&mut self, now: Instant, invite: Invite) -> SessionId {
        self.start_invite(now, invite)
    }

    /// Gives up an outgoing INVITE. The CANCEL waits for a 1xx (RFC 3261 §9.1); the session ends
    /// with `Failed`. On a session that is up it is a BYE.
    pub fn cancel(&mut self, now: Instant, session: SessionId, reason: Option<Reason>) {
        self.end_session(now, session, reason.into());
    }

    /// Ends a session in whatever state: BYE when it is up, CANCEL for an outgoing INVITE that
    /// rings, 480 for an incoming one. One last event follows.
    pub fn bye(&mut self, now: Instant, session: SessionId, reason: Option<Reason>) {
        self.end_session(now, session, reason.into());
    }

    /// Ends a session that is up by a BYE with a body: content type and body (as TS 24.390 §4.5.4 has last words of a
    /// menu). In another state as [`Endpoint::bye`], and the body goes nowhere.
    pub fn bye_with(&mut self, now: Instant, session: SessionId, body: (&str, Bytes)) {
        let body = Some((body.0.to_owned(), body.1));
        self.end_session(now, session, Farewell { reason: None, body });
    }

    /// Answers the offer that a 2xx brought to an INVITE without one; the ACK bears it.
    pub fn acknowledge(&mut self, session: SessionId, sdp: Bytes) {
        self.send_owed_ack(session, sdp);
    }

    /// Offers anew. `false`: the session is not up, or a re-INVITE is under way.
    pub fn reinvite(&mut self, now: Instant, session: SessionId, sdp: Bytes) -> bool {
        self.start_reinvite(now, session, sdp)
    }

    /// Offers anew by UPDATE (RFC 3311 §5.1), also before the final answer to the INVITE. `false`: the
    /// peer does not take it, or an offer is under way. For users that have something to offer before the
    /// answer: the engine's calls have not, and offer by [`Endpoint::reinvite`] afterwards, which every far
    /// end takes; the far ends of its tests and of the simulation offer so.
    pub fn update(&mut self, now: Instant, session: SessionId, sdp: &Bytes) -> bool {
        self.start_update(now, session, sdp)
    }

    /// Answers the offer of a provisional answer to an INVITE without one ([`Event::Progress`] with
    /// `owed`); the PRACK bears it. For users that call without an offer, as the callers of the engine's
    /// tests do; the engine offers in each INVITE, and its PRACKs leave by themselves.
    pub fn prack(&mut self, now: Instant, session: SessionId, branch: &str, sdp: Bytes) {
        self.send_owed_prack(now, session, branch, sdp);
    }

    /// A provisional answer, 101 to 199, to an incoming INVITE. It goes reliably if the caller requires
    /// that, or takes it and [`EndpointConfig::reliable`] says so (RFC 3262 §3); then it is sent again
    /// until its PRACK comes, and the INVITE ends with 504 if none does.
    pub fn provisional(&mut self, now: Instant, session: SessionId, code: u16, sdp: Option<Bytes>) {
        if (101..200).contains(&code) {
            self.send_provisional(now, session, code, sdp);
        }
    }

    /// Answers an incoming INVITE with 200. Packages that a Recv-Info among the headers names are taken in the
    /// session, and bodies that an Accept names in INFOs of no package: [`Event::Info`].
    #[allow(clippy::needless_pass_by_value, reason = "headers are given away with the answer")]
    pub fn accept(
        &mut self,
        now: Instant,
        session: SessionId,
        sdp: Bytes,
        headers: Vec<(String, Vec<u8>)>,
    ) {
        self.send_accept(now, session, sdp, &headers);
    }

    /// Refuses an incoming INVITE, 300 to 699. The session is gone, without an event.
    #[allow(clippy::needless_pass_by_value, reason = "headers are given away with the answer")]
    pub fn reject(
        &mut self,
        now: Instant,
        session: SessionId,
        code: u16,
        headers: Vec<(String, Vec<u8>)>,
    ) {
        self.send_reject(now, session, code.clamp(300, 699), &headers);
    }

    /// Refuses an incoming INVITE of somebody who has not shown who it is: as [`Endpoint::reject`],
    /// but the refusal leaves once, and again only for each copy of the INVITE. Resent by itself it
    /// would let a stranger aim eleven answers at somebody else's address.
    #[allow(clippy::needless_pass_by_value, reason = "headers are given away with the answer")]
    pub fn turn_away(
        &mut self,
        now: Instant,
        session: SessionId,
        code: u16,
        headers: Vec<(String, Vec<u8>)>,
    ) {
        self.answer_once(session);
        self.send_reject(now, session, code.clamp(300, 699), &headers);
    }

    /// Refuses a request unread, because there is no time for it: 503 with Retry-After.
    pub fn excuse(&mut self, now: Instant, flow: Flow, bytes: Bytes) {
        self.excuse_from(now, flow, bytes);
    }

    /// Answers [`Event::Reinvite`] with 200.
    pub fn accept_reinvite(&mut self, now: Instant, session: SessionId, sdp: Bytes) {
        self.accept_offer(now, session, sdp);
    }

    /// Refuses [`Event::Reinvite`]; the session stays as it was.
    pub fn reject_reinvite(&mut self, now: Instant, session: SessionId, code: u16) {
        self.reject_offer(now, session, code.clamp(300, 699));
    }

    /// Answers [`Event::Request`].
    pub fn respond(&mut self, now: Instant, request: RequestId, answer: Answer) {
        let id = ServerId(request.0);
        let Some(server) = self.servers.get(&id) else { return };
        if server.user != table::ServerUser::Request {
            return;
        }
        let tag = match (answer.code, &server.asked) {
            // §8.2.7: no state is kept, so a copy must draw the same tag.
            (401 | 407, Some(asked)) => self.stateless_tag(&server.key, &asked.request),
            _ => {
                let token = self.ids.token();
                self.ids.tag(token)
            }
        };
        let Some(mut draft) = self.answer_draft(id, answer.code, &tag) else {
            return;
        };
        push_extra(&mut draft, &answer.headers, Extra::Outside);
        if let Some((content_type, body)) = answer.body {
            draft.body(&content_type, body);
        }
        let bytes = draft.to_bytes();
        self.answer(now, id, answer.code, &bytes);
    }

    /// Tells what became of a REFER in a session that is up, by a NOTIFY (RFC 3515 §2.4.5): the values of
    /// Event and Subscription-State, and the status line. `false`: the session is up no more, and nobody
    /// will be told.
    pub fn notify_referrer(
        &mut self,
        now: Instant,
        session: SessionId,
        states: (&str, &str),
        status_line: &str,
    ) -> bool {
        self.send_progress(now, session, states, status_line)
    }

    /// Asks the other end of a session that is up to be joined with somebody else, by a REFER with this
    /// Refer-To. For the callers of the engine's tests; the engine refers nobody. `false`: the session is not
    /// up.
    pub fn refer(&mut self, now: Instant, session: SessionId, refer_to: &str) -> bool {
        self.send_refer(now, session, refer_to)
    }

    /// Our Contact in a session that is up, for answers that bear one.
    pub fn contact_of_session(&self, session: SessionId) -> Option<Vec<u8>> {
        self.contact_in(session)
    }

    /// Sends a request outside of sessions; [`Event::Response`] follows exactly once.
    pub fn request(&mut self, now: Instant, request: OutOfDialog) -> RequestOutId {
        self.start_request(now, request, &[])
    }

    /// The same, by these hops first (a route set as in [`Invite::route`]).
    pub fn request_by(
        &mut self,
        now: Instant,
        request: OutOfDialog,
        route: &[NameAddr],
    ) -> RequestOutId {
        self.start_request(now, request, route)
    }

    /// Sends a MESSAGE in a session that is up; [`Event::Response`] follows exactly once. `None`: it is up no
    /// more.
    pub fn message(
        &mut self,
        now: Instant,
        session: SessionId,
        headers: &[(String, Vec<u8>)],
        body: (&str, Bytes),
    ) -> Option<RequestOutId> {
        self.start_message(now, session, headers, body)
    }

    /// Sends an INFO of this package (RFC 6086 §4.2) in a session that is up, as [`Endpoint::info`] sends one without.
    /// The user sends what the far end's Recv-Info names.
    pub fn info_of(
        &mut self,
        now: Instant,
        session: SessionId,
        package: &str,
        body: (&str, Bytes),
    ) -> Option<RequestOutId> {
        self.start_info(now, session, Some(package), body)
    }

    /// Sends an INFO (RFC 6086, without a package) in a session that is up: content type and body.
    /// [`Event::Response`] follows exactly once; 481, 408 and no answer at all end the session as well (RFC 3261
    /// §12.2.1.2). `None`: it is up no more.
    pub fn info(
        &mut self,
        now: Instant,
        session: SessionId,
        body: (&str, Bytes),
    ) -> Option<RequestOutId> {
        self.start_info(now, session, None, body)
    }

    /// Grants a new subscription ([`Event::Subscribe`] without one): 200, and a dialog. `asked`: the value of
    /// Event for its NOTIFYs. The user owes the first of them at once (RFC 6665 §4.2.1.2): by
    /// [`Endpoint::notify`], or by [`Endpoint::end_subscription`] where no time was asked for. `None`: there
    /// is no room (503) or no Contact (400), and that was answered.
    pub fn subscribed(
        &mut self,
        now: Instant,
        request: RequestId,
        flow: Flow,
        asked: String,
        lasts: Duration,
    ) -> Option<SubscriptionId> {
        self.open_subscription(now, request, flow, (asked, lasts))
    }

    /// Grants a refresh ([`Event::Subscribe`] with a subscription): 200. The user owes a NOTIFY as for a new
    /// one. `false`: the subscription ended meanwhile, which was answered.
    pub fn resubscribed(
        &mut self,
        now: Instant,
        request: RequestId,
        subscription: SubscriptionId,
        flow: Flow,
        lasts: Duration,
    ) -> bool {
        self.renew_subscription(now, (request, subscription), flow, lasts)
    }

    /// Tells a subscriber how things stand: content type and body. `false`: a NOTIFY has no answer yet, or
    /// the subscriber wants a pause; [`Event::Notified`] follows when it may be told.
    pub fn notify(
        &mut self,
        now: Instant,
        subscription: SubscriptionId,
        body: Option<(&str, Bytes)>,
    ) -> bool {
        self.send_state(now, subscription, body)
    }

    /// Ends a subscription by a last NOTIFY, whether or not one is under way, with the reason (RFC 6665
    /// §4.1.3) and how things stand. No event follows.
    pub fn end_subscription(
        &mut self,
        now: Instant,
        subscription: SubscriptionId,
        reason: &str,
        body: Option<(&str, Bytes)>,
    ) {
        self.close_subscription(now, subscription, reason, body);
    }

    /// Call-ID, our tag and the peer's tag of a session; the latter is empty as long as nobody has answered,
    /// and that of whoever spoke first before one does.
    pub fn tags(&self, session: SessionId) -> Option<(String, String, String)> {
        self.session_tags(session)
    }

    /// How much is alive.
    pub fn counts(&self) -> Counts {
        Counts {
            sessions: self.sessions.len() - self.lingering,
            lingering: self.lingering,
            client_transactions: self.clients.len(),
            server_transactions: self.servers.len(),
            requests: self.outside.len(),
            subscriptions: self.subscriptions.len(),
            timers: self.schedule.len(),
            indexed: self.by_flow.len() + self.server_keys.len() + self.merged.len(),
        }
    }

    /// What was refused or dropped since the start.
    pub fn drops(&self) -> Drops {
        self.drops
    }

    /// What a restarted process needs to end this session: by BYE (tags, route set, target, flow,
    /// CSeq), or by CANCEL while our INVITE waits for its final answer (the INVITE's head and flow).
    /// `None` for an incoming session that is not up.
    pub fn snapshot(&self, session: SessionId) -> Option<Vec<u8>> {
        self.write_snapshot(session)
    }

    /// Whether [`Endpoint::snapshot`] has anything to tell: there is something left to end.
    pub fn is_unended(&self, session: SessionId) -> bool {
        self.has_snapshot(session)
    }

    /// Takes up a session from its snapshot: one that was up with CSeq 1000 further on, one that
    /// still rang as an INVITE that is under way, to be cancelled. `None` if the bytes are not a
    /// snapshot. Snapshots hold no passwords: `credentials` finds what answers a challenge of whoever
    /// the session was with, by its next hop.
    pub fn resume(
        &mut self,
        _now: Instant,
        snapshot: &[u8],
        credentials: impl FnOnce(&Flow) -> Option<Credentials>,
    ) -> Option<SessionId> {
        self.read_snapshot(snapshot, credentials)
    }

    /// Lets go what waits because of [`EndpointConfig::careful`]: the session is written down, or can
    /// wait no longer. Its timers start now. Without anything that waits it does nothing.
    pub fn proceed(&mut self, now: Instant, session: SessionId) {
        self.let_go(now, session);
    }

    /// Whether the session is up, or would be if it were let go: ending it takes a BYE.
    pub fn is_agreed(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(|row| matches!(row.phase, table::Phase::Up(_)))
    }

    /// Whether provisional answers to this incoming INVITE go reliably, so that an offer may be in them.
    pub fn is_reliable(&self, session: SessionId) -> bool {
        matches!(
            self.sessions.get(&session).map(|row| &row.phase),
            Some(table::Phase::Ringing(ringing)) if ringing.reliable.is_some()
        )
    }

    /// Whether our 2xx waits for a PRACK (RFC 3262 §3): [`Event::Accepted`] tells when it leaves.
    pub fn waits_for_prack(&self, session: SessionId) -> bool {
        matches!(
            self.sessions.get(&session).map(|row| &row.phase),
            Some(table::Phase::Up(up)) if up.waits && up.held().is_some()
        )
    }

    /// Whether a message belongs to what is here already: an answer, an ACK (which draws none), a copy of a
    /// request that was heard, the CANCEL of one, a request within a dialog. Any other one would open
    /// something or be refused.
    pub fn belongs(&self, message: &Message) -> bool {
        let Some(method) = message.method() else { return true };
        let known = |method: &Method| {
            let via = message.via().ok();
            via.is_some_and(|via| {
                self.server_keys.contains_key(&server::server_key(message, &via, method))
            })
        };
        match method {
            Method::Ack => true,
            Method::Cancel => known(method) || known(&Method::Invite),
            _ => {
                known(method)
                    || self.dialog_session(message).is_some()
                    || self.dialog_subscription(message).is_some()
            }
        }
    }

    /// Whether a session, a subscription or a transaction lives on the connection of this flow.
    pub fn uses(&self, flow: &Flow) -> bool {
        let here = |other: &Flow| other.connection == flow.connection;
        flow.connection.is_some()
            && (self.sessions.values().any(|session| session.flow().is_some_and(here))
                || self.subscriptions.values().any(|row| here(row.flow()))
                || self.clients.values().any(|client| here(&client.flow))
                || self.servers.values().any(|server| here(&server.flow)))
    }

    /// Whether an offer of the peer ([`Event::Reinvite`]) still waits for its answer.
    pub fn is_asked(&self, session: SessionId) -> bool {
        self.theirs(session).is_some()
    }

    /// Whether [`Endpoint::reinvite`] would go out now.
    pub fn may_reinvite(&self, session: SessionId) -> bool {
        matches!(
            self.sessions.get(&session).map(|row| &row.phase),
            Some(table::Phase::Up(up)) if up.may_offer()
        )
    }

    /// Whether something of this session waits for [`Endpoint::proceed`].
    pub fn is_held(&self, session: SessionId) -> bool {
        self.is_waiting(session)
    }

    /// Call-ID of a session, for logs and records.
    pub fn call_id(&self, session: SessionId) -> Option<&str> {
        self.session_call_id(session)
    }
}
