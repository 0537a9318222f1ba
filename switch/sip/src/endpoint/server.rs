//! Server transactions: recognising copies, making and resending answers.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::Endpoint;
use super::receive::Incoming;
use super::table::{Asked, Owner, Server, ServerId, ServerMachine, ServerUser};
use crate::transaction::{Class, Send, ServerInvite, ServerOther, Step, Tell};
use crate::wire::{Draft, HeaderName, Message, Method, Via};

impl Endpoint {
    /// Starts a server transaction for a request that matches none. If the user has to answer an
    /// INVITE, the 100 leaves at once (§17.2.1), without a To tag (§8.2.6.2).
    pub(super) fn start_server(
        &mut self,
        now: Instant,
        incoming: &Incoming,
        user: ServerUser,
    ) -> ServerId {
        self.last_server += 1;
        let id = ServerId(self.last_server);
        let reliable = incoming.flow.transport.is_reliable();
        let invite = incoming.method == Method::Invite;
        let machine = if invite {
            ServerMachine::Invite(ServerInvite::start(reliable))
        } else {
            ServerMachine::Other(ServerOther::start(now, &self.config.timers, reliable))
        };
        let merge_key = merge_key(&incoming.request);
        let mut server = Server {
            machine,
            asked: Some(Box::new(Asked {
                request: incoming.request.clone(),
                via: incoming.via.clone(),
            })),
            flow: incoming.reply,
            response: None,
            user,
            once: false,
            key: incoming.key.clone(),
            merge_key: merge_key.clone(),
            due: None,
        };
        if invite && user != ServerUser::Endpoint {
            let trying = self.reply_draft(&incoming.request, &incoming.via, 100).to_bytes();
            server.response = Some(trying.clone());
            self.transmit(incoming.reply, trying);
        }
        if let Some(key) = merge_key {
            self.merged.insert(key, id);
        }
        self.server_keys.insert(incoming.key.clone(), id);
        self.servers.insert(id, Box::new(server));
        self.schedule_server(id);
        id
    }

    fn schedule_server(&mut self, id: ServerId) {
        let Some(server) = self.servers.get_mut(&id) else { return };
        let next = server.next_timer().map(|(at, _)| at);
        self.schedule.moved(Owner::Server(id), &mut server.due, next);
    }

    fn remove_server(&mut self, id: ServerId) {
        let Some(mut server) = self.servers.remove(&id) else { return };
        self.schedule.moved(Owner::Server(id), &mut server.due, None);
        self.server_keys.remove(&server.key);
        if let Some(key) = &server.merge_key
            && self.merged.get(key) == Some(&id)
        {
            self.merged.remove(key);
        }
    }

    /// The start of every answer (§8.2.6): the copied headers, the Via as we saw it, our name.
    pub(super) fn reply_draft(&self, request: &Message, via: &Via, code: u16) -> Draft {
        let mut draft = Draft::reply_to(request, code);
        draft.set_top_via(via);
        if !self.config.user_agent.is_empty() {
            draft.push("Server", &self.config.user_agent);
        }
        draft
    }

    /// A draft for an answer within a transaction; `None` once the final answer is out.
    pub(super) fn answer_draft(&self, id: ServerId, code: u16, tag: &str) -> Option<Draft> {
        let server = self.servers.get(&id).filter(|server| server.is_pending())?;
        let asked = server.asked.as_ref()?;
        let mut draft = self.reply_draft(&asked.request, &asked.via, code);
        draft.tag_to(tag);
        Some(draft)
    }

    /// Hands an answer to the machine, which sends it. `true` if it left.
    pub(super) fn answer(&mut self, now: Instant, id: ServerId, code: u16, bytes: &Bytes) -> bool {
        let Some(server) = self.servers.get_mut(&id) else { return false };
        let class = Class::of(code);
        let step = match &mut server.machine {
            ServerMachine::Invite(machine) => {
                // §8.2.7, §22.1: a challenge is sent once. Whoever did not get it asks again; and
                // nobody can make us send eleven answers to somebody else's address.
                let resend = !server.once && !matches!(code, 401 | 407);
                machine.respond(now, &self.config.timers, class, resend)
            }
            ServerMachine::Other(machine) => machine.respond(now, code),
        };
        let sent = step.send == Some(Send::Response);
        if sent {
            server.response = Some(bytes.clone());
            let flow = server.flow;
            self.transmit(flow, bytes.clone());
        }
        if class != Class::Provisional
            && let Some(server) = self.servers.get_mut(&id)
        {
            server.asked = None;
        }
        self.settle_server(id, step);
        sent
    }

    /// Answers a transaction of the endpoint itself with a bare status and some headers.
    pub(super) fn answer_plain(
        &mut self,
        now: Instant,
        id: ServerId,
        code: u16,
        tag: &str,
        headers: &[(&str, String)],
    ) {
        let Some(mut draft) = self.answer_draft(id, code, tag) else { return };
        for (name, value) in headers {
            draft.push(name, value);
        }
        let bytes = draft.to_bytes();
        self.answer(now, id, code, &bytes);
    }

    fn settle_server(&mut self, id: ServerId, step: Step) {
        if step.done {
            self.remove_server(id);
        } else {
            self.schedule_server(id);
        }
    }

    /// A request with the key of a transaction (§17.2.3): a copy of it, or its ACK.
    pub(super) fn server_matched(&mut self, now: Instant, id: ServerId, incoming: &Incoming) {
        let Some(server) = self.servers.get_mut(&id) else { return };
        let ack = incoming.method == Method::Ack;
        let step = match &mut server.machine {
            ServerMachine::Invite(machine) if ack => machine.handle_ack(now, &self.config.timers),
            ServerMachine::Invite(machine) => machine.handle_copy(),
            ServerMachine::Other(machine) => machine.handle_copy(),
        };
        if step.send == Some(Send::Response)
            && let Some(bytes) = server.response.clone()
        {
            let flow = server.flow;
            self.transmit(flow, bytes);
        }
        self.settle_server(id, step);
        // RFC 6026 §7.1: an ACK of a 2xx that came by the INVITE's branch.
        if step.tell == Some(Tell::Ack) {
            self.ack_received(now, incoming);
        }
    }

    /// A deadline of a server transaction has come.
    pub(super) fn server_due(&mut self, now: Instant, id: ServerId) {
        loop {
            let Some(server) = self.servers.get_mut(&id) else { return };
            let step = match &mut server.machine {
                ServerMachine::Invite(machine) => machine.handle_timeout(now, &self.config.timers),
                ServerMachine::Other(machine) => machine.handle_timeout(now),
            };
            let Some(step) = step else { return self.schedule_server(id) };
            if step.send == Some(Send::Trying) {
                self.send_trying(id);
            }
            if step.send == Some(Send::Response) {
                self.resend_response(id);
            }
            if step.done {
                return self.remove_server(id);
            }
        }
    }

    /// RFC 4320 §4.1.
    fn send_trying(&mut self, id: ServerId) {
        let Some(server) = self.servers.get(&id) else { return };
        let Some(asked) = &server.asked else { return };
        let bytes = self.reply_draft(&asked.request, &asked.via, 100).to_bytes();
        if let Some(server) = self.servers.get_mut(&id) {
            server.response = Some(bytes);
        }
        self.resend_response(id);
    }

    /// The latest response once more.
    pub(super) fn resend_response(&mut self, id: ServerId) {
        if let Some(server) = self.servers.get(&id)
            && let Some(bytes) = server.response.clone()
        {
            let flow = server.flow;
            self.transmit(flow, bytes);
        }
    }
}

/// What identifies a server transaction (§17.2.3): branch, sent-by and method, where ACK counts as
/// INVITE. Without the cookie of RFC 3261 the fields of RFC 2543 do.
pub(super) fn server_key(request: &Message, via: &Via, method: &Method) -> Arc<str> {
    let method = if *method == Method::Ack { &Method::Invite } else { method };
    if via.has_cookie() {
        let branch = via.branch().unwrap_or_default();
        let host = via.host.as_str().to_ascii_lowercase();
        let port = via.port.unwrap_or_default();
        return format!("{branch} {host} {port} {method}").into();
    }
    let text = |name: HeaderName| request.header_str(name).unwrap_or_default();
    let number = request.cseq().map(|cseq| cseq.number).unwrap_or_default();
    let from_tag = request.from_tag().unwrap_or_default();
    format!(
        "{} {from_tag} {} {number} {} {method}",
        request.request_uri().unwrap_or_default(),
        text(HeaderName::CallId),
        text(HeaderName::Via),
    )
    .into()
}

/// What two copies of one request that travelled by two ways have in common (§8.2.2.2); `None` for
/// a request within a dialog.
pub(super) fn merge_key(request: &Message) -> Option<Arc<str>> {
    // A To that does not read makes no key either: it was refused before.
    if request.to_tag().is_some() {
        return None;
    }
    let cseq = request.cseq().ok()?;
    Some(format!("{} {} {cseq}", request.from_tag()?, request.call_id()?).into())
}
