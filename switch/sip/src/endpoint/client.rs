//! Client transactions: sending requests, resending them, and handing their answers on.

use std::time::Instant;

use bytes::Bytes;

use super::auth::{Challenged, copy_of};
use super::table::{Client, ClientKey, ClientMachine, Outgoing, Owner, User};
use super::{Endpoint, Event, Flow, Transmit, Transport};
use crate::transaction::{Class, ClientInvite, ClientOther, Send, Step, Tell};
use crate::wire::{Draft, HeaderName, Message, Method, Reason, push_address};

/// An answer on its way to the user of its transaction.
pub(super) struct Reply<'a> {
    pub(super) key: ClientKey,
    /// The request that is answered.
    pub(super) request: Bytes,
    pub(super) message: &'a Message,
    /// Where the answer came from.
    pub(super) source: Flow,
    /// Where the request went to.
    pub(super) sent: Flow,
    pub(super) code: u16,
}

impl Reply<'_> {
    /// The flow for what follows in the dialog: that of the request, on the connection by which
    /// the answer came.
    pub(super) fn flow(&self) -> Flow {
        match self.sent.transport {
            Transport::Udp => self.sent,
            _ => self.source,
        }
    }
}

/// Why a transaction ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// Nobody answered in time: to be treated as 408 (RFC 3261 §8.1.3.1).
    Timeout,
    /// The message could not be sent: to be treated as 503.
    Transport,
}

impl Silence {
    pub(super) fn code(self) -> u16 {
        match self {
            Silence::Timeout => 408,
            Silence::Transport => 503,
        }
    }
}

impl Endpoint {
    /// Fills the Via and prints the request.
    pub(super) fn stamp(&self, draft: &mut Draft, token: u64, flow: &Flow) -> Bytes {
        let address = self.advertised(flow);
        let branch = self.ids.branch(token);
        let style = self.style(flow);
        draft.set_with("Via", |out| {
            out.extend_from_slice(b"SIP/2.0/");
            out.extend_from_slice(flow.transport.as_str().as_bytes());
            out.push(b' ');
            push_address(out, address);
            out.extend_from_slice(b";branch=");
            out.extend_from_slice(branch.as_bytes());
            if style.rport {
                out.extend_from_slice(b";rport");
            }
            if style.relief {
                out.extend_from_slice(b";oc;oc-algo=\"loss\"");
            }
        });
        draft.to_bytes()
    }

    pub(super) fn transmit(&mut self, flow: Flow, bytes: Bytes) {
        self.transmits.push_back(Transmit { flow, bytes });
    }

    /// Starts a client transaction.
    pub(super) fn start_client(&mut self, now: Instant, mut out: Outgoing) -> ClientKey {
        let key = ClientKey { token: self.ids.token(), cancel: false };
        let mut request = self.stamp(&mut out.draft, key.token, &out.flow);
        // §18.1.1: a request that could be fragmented goes by a stream. A phone behind a NAT is
        // only reachable the way it came.
        if out.flow.transport == Transport::Udp
            && request.len() > self.config.limits.datagram_max
            && !out.keep_flow
            && let Some(listener) = self.listener(Transport::Tcp, out.flow.local)
        {
            let stream = Flow::tcp(listener.bind, out.flow.remote);
            out.fallback = Some(out.flow);
            out.flow = stream;
            request = self.stamp(&mut out.draft, key.token, &out.flow);
        }
        let reliable = out.flow.transport.is_reliable();
        let timers = &self.config.timers;
        let machine = if out.method == Method::Invite {
            ClientMachine::Invite(ClientInvite::start(now, timers, reliable))
        } else {
            ClientMachine::Other(ClientOther::start(now, timers, reliable))
        };
        let held = self.config.careful && matches!(out.user, User::Invite(_));
        let client = Client {
            machine,
            method: out.method,
            request: request.clone(),
            flow: out.flow,
            fallback: out.fallback,
            ack: None,
            user: out.user,
            auth: out.auth,
            held,
            tried: false,
            abandon_at: None,
            cancelled: false,
            due: None,
        };
        self.insert_client(key, client);
        if !held {
            self.transmit(out.flow, request);
        }
        key
    }

    /// §9.1: the CANCEL of an INVITE that has had a 1xx. The INVITE is given up 64·T1 later.
    pub(super) fn send_cancel(&mut self, now: Instant, invite: ClientKey, reason: Option<&Reason>) {
        let Some(client) = self.clients.get_mut(&invite) else { return };
        client.abandon_at = Some(now + self.config.timers.cancel_wait);
        client.cancelled = true;
        let (bytes, flow) = (client.request.clone(), client.flow);
        self.schedule_client(invite);
        let Ok(request) = Message::parse(bytes) else { return };
        let to = request.header(HeaderName::To).unwrap_or_default();
        let mut draft = derived(&request, &Method::Cancel, to);
        if let Some(reason) = reason {
            draft.push("Reason", reason.to_string());
        }
        let request = draft.to_bytes();
        let timers = &self.config.timers;
        let key = ClientKey { cancel: true, ..invite };
        let client = Client {
            machine: ClientMachine::Other(ClientOther::start(
                now,
                timers,
                flow.transport.is_reliable(),
            )),
            method: Method::Cancel,
            request: request.clone(),
            flow,
            fallback: None,
            ack: None,
            user: User::Cancel,
            auth: None,
            held: false,
            tried: false,
            abandon_at: None,
            cancelled: false,
            due: None,
        };
        self.insert_client(key, client);
        self.transmit(flow, request);
    }

    pub(super) fn insert_client(&mut self, key: ClientKey, client: Client) {
        self.by_flow.entry(client.flow).or_default().insert(key);
        self.clients.insert(key, client);
        self.schedule_client(key);
    }

    pub(super) fn schedule_client(&mut self, key: ClientKey) {
        let Some(client) = self.clients.get_mut(&key) else { return };
        let next = client.next_timer().map(|(at, _)| at);
        self.schedule.moved(Owner::Client(key), &mut client.due, next);
    }

    pub(super) fn remove_client(&mut self, key: ClientKey) -> Option<Client> {
        let mut client = self.clients.remove(&key)?;
        self.schedule.moved(Owner::Client(key), &mut client.due, None);
        if let Some(keys) = self.by_flow.get_mut(&client.flow) {
            keys.remove(&key);
            if keys.is_empty() {
                self.by_flow.remove(&client.flow);
            }
        }
        Some(client)
    }

    /// A response: §18.1.2, then §17.1.3, then the machine, then its user.
    pub(super) fn handle_response(&mut self, now: Instant, source: Flow, message: &Message) {
        let Some(code) = message.status() else { return };
        let Some(key) = self.client_key(message) else {
            return self.stray_response(now, source, message);
        };
        let Some(client) = self.clients.get_mut(&key) else {
            return self.stray_response(now, source, message);
        };
        let class = Class::of(code);
        let step = match &mut client.machine {
            ClientMachine::Invite(machine) => machine.handle_response(now, class),
            ClientMachine::Other(machine) => machine.handle_response(now, class),
        };
        if class != Class::Provisional {
            client.abandon_at = None;
        }
        if step.send == Some(Send::Ack) {
            self.acknowledge_refusal(key, message);
        }
        if step.tell != Some(Tell::Response) {
            return self.settle_client(key, step);
        }
        if matches!(code, 401 | 407) && self.retry_challenged(now, key, message, source) {
            return self.settle_client(key, step);
        }
        let Some(client) = self.clients.get(&key) else { return };
        let (request, sent, user) = (client.request.clone(), client.flow, client.user);
        self.settle_client(key, step);
        let reply = Reply { key, request, message, source, sent, code };
        self.hear_load(&reply);
        self.tell_reply(now, user, &reply);
    }

    fn tell_reply(&mut self, now: Instant, user: User, reply: &Reply<'_>) {
        if reply.code == 422 && self.retry_raised(now, user, reply) {
            return;
        }
        match user {
            User::Update(session) => self.update_answered(now, session, reply),
            User::Invite(session) => self.invite_answered(now, session, reply),
            User::Reinvite(session) => self.reinvite_answered(now, session, reply),
            User::Bye(session) if reply.code >= 200 => self.bye_settled(now, session),
            User::Outside(id) if reply.code >= 200 => {
                self.doubt_dialog(now, id, reply.code);
                self.outside_settled(id, reply.code, Some(reply.message));
            }
            User::Notify(subscription) => self.notify_answered(now, subscription, reply),
            User::Bye(_) | User::Outside(_) | User::Cancel | User::Stray | User::Prack(_) => {}
        }
    }

    /// §17.1.3: our branch in the top Via, and the method in CSeq.
    fn client_key(&self, message: &Message) -> Option<ClientKey> {
        let via = message.raw_via().filter(|via| self.is_ours(*via))?;
        // §8.1.3.3: more than one Via: it was meant for somebody else.
        if message.headers(HeaderName::Via).nth(1).is_some() {
            return None;
        }
        let token = self.ids.token_of_branch(&via.branch()?)?;
        let method = message.cseq().ok()?.method;
        let key = ClientKey { token, cancel: method == Method::Cancel };
        let client = self.clients.get(&key)?;
        (client.method == method).then_some(key)
    }

    /// §17.1.1.3: the ACK of a refusal bears the INVITE's branch and the response's To.
    fn acknowledge_refusal(&mut self, key: ClientKey, message: &Message) {
        let Some(client) = self.clients.get_mut(&key) else { return };
        if client.ack.is_none()
            && let Ok(request) = Message::parse(client.request.clone())
        {
            let to = message.header(HeaderName::To).unwrap_or_default();
            client.ack = Some(derived(&request, &Method::Ack, to).to_bytes());
        }
        if let Some(ack) = client.ack.clone() {
            let flow = client.flow;
            self.transmit(flow, ack);
        }
    }

    /// Answers a challenge with a new transaction. `false`: the challenge is a refusal.
    fn retry_challenged(
        &mut self,
        now: Instant,
        key: ClientKey,
        message: &Message,
        source: Flow,
    ) -> bool {
        let Some(client) = self.clients.remove(&key) else { return false };
        let wanted = match client.user {
            // One that was given up, or whose session ends, must not start anew: nobody would end it.
            User::Reinvite(session) => self.waits_for_reinvite(session, key),
            User::Invite(session) => self.may_invite_again(session),
            User::Bye(session) | User::Update(session) | User::Prack(session) => {
                self.may_retry(session)
            }
            User::Cancel | User::Stray | User::Outside(_) | User::Notify(_) => true,
        };
        let outcome = match wanted {
            true => self.answer_challenge(&client, message, &source),
            false => Challenged::Refused,
        };
        let user = client.user;
        self.clients.insert(key, client);
        let Challenged::Retry(out, cseq) = outcome else { return false };
        let auth = out.auth.clone();
        let new = self.start_client(now, *out);
        self.retried(now, user, new, cseq, auth);
        true
    }

    /// Does what a machine asked for after a timer or an error.
    fn settle_client(&mut self, key: ClientKey, step: Step) {
        if step.done {
            self.remove_client(key);
        } else {
            self.schedule_client(key);
        }
    }

    /// A deadline of a client transaction has come.
    pub(super) fn client_due(&mut self, now: Instant, key: ClientKey) {
        loop {
            let Some(client) = self.clients.get_mut(&key) else { return };
            if client.abandon_at.is_some_and(|at| at <= now) {
                return self.silence(now, key, Silence::Timeout);
            }
            let step = match &mut client.machine {
                ClientMachine::Invite(machine) => machine.handle_timeout(now),
                ClientMachine::Other(machine) => machine.handle_timeout(now),
            };
            let Some(step) = step else { return self.schedule_client(key) };
            if step.send == Some(Send::Request) && !client.held {
                let (flow, request) = (client.flow, client.request.clone());
                self.transmit(flow, request);
            }
            if step.tell == Some(Tell::Timeout) {
                return self.silence(now, key, Silence::Timeout);
            }
            if step.done {
                self.remove_client(key);
                return;
            }
        }
    }

    /// A transaction is over without an answer.
    fn silence(&mut self, now: Instant, key: ClientKey, silence: Silence) {
        let Some(client) = self.remove_client(key) else { return };
        match client.user {
            User::Invite(session) => self.invite_silent(now, session, &client, silence),
            User::Reinvite(session) | User::Update(session) => {
                self.reinvite_silent(now, session, key);
            }
            User::Bye(session) => self.bye_settled(now, session),
            User::Outside(id) => {
                self.doubt_dialog(now, id, silence.code());
                self.outside_settled(id, silence.code(), None);
            }
            User::Notify(subscription) => self.lose_subscription(subscription),
            User::Cancel | User::Stray | User::Prack(_) => {}
        }
    }

    /// §17.1.4, §18.4: a flow failed. What waits on it is told, or tried once another way.
    pub(super) fn flow_failed(&mut self, now: Instant, flow: Flow) {
        let mut keys: Vec<ClientKey> =
            self.by_flow.get(&flow).into_iter().flatten().copied().collect();
        // What asked for a connection may be travelling on the one that failed.
        if flow.connection.is_some() {
            let asked = Flow { connection: None, ..flow };
            keys.extend(self.by_flow.get(&asked).into_iter().flatten());
        }
        for key in keys {
            self.client_failed(now, key);
        }
        self.lose_subscriptions_on(&flow);
    }

    fn client_failed(&mut self, now: Instant, key: ClientKey) {
        // One that was given up is not tried anew: nobody would end it.
        let wanted = match self.clients.get(&key).map(|client| client.user) {
            Some(User::Invite(session)) => self.may_invite_again(session),
            _ => true,
        };
        let Some(client) = self.clients.get_mut(&key) else { return };
        if wanted
            && client.is_pending()
            && let Some(fallback) = client.fallback.take()
            && let Ok(request) = Message::parse(client.request.clone())
        {
            return self.move_client(now, key, fallback, &request);
        }
        let step = match &mut client.machine {
            ClientMachine::Invite(machine) => machine.handle_transport_error(),
            ClientMachine::Other(machine) => machine.handle_transport_error(),
        };
        if step.tell.is_some() {
            return self.silence(now, key, Silence::Transport);
        }
        self.settle_client(key, step);
    }

    /// §18.1.1: the same request by the other transport. An INVITE that the user writes down waits
    /// again: what is written names the transport that failed.
    fn move_client(&mut self, now: Instant, key: ClientKey, flow: Flow, request: &Message) {
        let bytes = self.stamp(&mut copy_of(request), key.token, &flow);
        let Some(mut client) = self.remove_client(key) else { return };
        client.flow = flow;
        client.request = bytes.clone();
        client.restart(now, &self.config.timers);
        let again = match client.user {
            User::Invite(session) if self.config.careful => Some(session),
            _ => None,
        };
        client.tried |= !client.held;
        client.held = again.is_some();
        self.insert_client(key, client);
        match again {
            Some(session) => self.events.push_back(Event::Again { session }),
            None => self.transmit(flow, bytes),
        }
    }
}

/// An ACK of a refusal (§17.1.1.3) or a CANCEL (§9.1): same Request-URI, top Via, From, Call-ID,
/// CSeq number and Route as the request.
fn derived(request: &Message, method: &Method, to: &[u8]) -> Draft {
    let mut draft = Draft::request_to(method, request.request_uri().unwrap_or_default());
    if let Some(via) = request.header(HeaderName::Via) {
        draft.push("Via", via);
    }
    for route in request.lines(HeaderName::Route) {
        draft.push("Route", route);
    }
    draft.push("Max-Forwards", "70");
    draft.push("From", request.header(HeaderName::From).unwrap_or_default());
    draft.push("To", to);
    draft.push("Call-ID", request.call_id().unwrap_or_default());
    let number = request.cseq().map(|cseq| cseq.number).unwrap_or_default();
    draft.push_args("CSeq", format_args!("{number} {method}"));
    draft
}
