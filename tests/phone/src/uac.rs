//! The calling side: requests of ours and the answers to them (RFC 3261 §8.1, §12.2, §13.2, §17.1).

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use crate::digest::{self, Credentials};
use crate::message::{Message, uri_of};
use crate::rtp::Media;
use crate::sdp::Audio;
use crate::ua::{Call, Core, Pending, Purpose, Step};
use crate::{CallState, random};

impl Core {
    pub(crate) fn dial(
        &mut self,
        uri: &str,
        next_hop: SocketAddr,
        user: &str,
        credentials: Option<Credentials>,
    ) -> io::Result<()> {
        let tag = format!("{:012x}", random());
        let id = format!("{:016x}@phone", random());
        let local = format!("<sip:{user}@{}>;tag={tag}", self.link.local());
        let remote = format!("<{uri}>");
        let mut call = Call {
            id: id.clone(),
            incoming: false,
            local: local.clone(),
            remote: remote.clone(),
            tag,
            target: uri.to_owned(),
            routes: Vec::new(),
            peer: next_hop,
            cseq: 1,
            state: CallState::Ringing,
            own: None,
            invite: Message::default(),
            last_answer: None,
            repeat: None,
            media: Some(Media::open(self.link.local().ip(), self.behaviour.tone_hz)?),
            far: None,
            laws: self.behaviour.laws.iter().map(|law| (law.payload_type(), *law)).collect(),
            event: self.behaviour.event,
            version: 0,
            plan: Vec::new(),
            answered: None,
            ended: None,
            ended_by: String::new(),
            last_rtp: Default::default(),
        };
        let mut request = self
            .request("INVITE", uri)
            .with("From", local)
            .with("To", remote)
            .with("Call-ID", id.clone())
            .with("CSeq", "1 INVITE")
            .with("Contact", self.contact())
            .with("Content-Type", "application/sdp");
        request.body = call.describe("sendrecv");
        call.invite = request.clone();
        self.calls.push(call);
        self.begin(next_hop, request, Purpose::Invite { call_id: id, credentials }, 0);
        Ok(())
    }

    pub(crate) fn on_response(&mut self, response: &Message, now: Instant) {
        let Some(code) = response.status() else { return };
        let (branch, method) = (
            response.branch().unwrap_or_default(),
            response.cseq().map(|c| c.1).unwrap_or_default(),
        );
        let index = self.pending.iter().position(|p| p.branch == branch && p.method == method);
        let Some(index) = index else {
            // A copy of a 2xx: its ACK got lost (RFC 3261 §13.2.2.4).
            if method == "INVITE" && (200..300).contains(&code) {
                self.ack_success(response, now);
            }
            return;
        };
        if code < 200 {
            if method == "INVITE" {
                self.on_progress(response);
            }
            // RFC 3261 §17.1.1.2: a provisional answer ends the retransmissions of an INVITE.
            let pending = &mut self.pending[index];
            if method == "INVITE" {
                pending.repeat.stop();
            }
            return;
        }
        let pending = self.pending.remove(index);
        if method == "INVITE" && code >= 300 {
            self.ack_failure(&pending, response, now);
        }
        if matches!(code, 401 | 407) && self.try_again(&pending, response, code) {
            return;
        }
        match pending.purpose {
            Purpose::Register { ticket, .. } => {
                self.tickets.insert(ticket, code);
            }
            Purpose::Invite { call_id, .. } => self.on_final(&call_id, response, code, now),
            Purpose::Reinvite { call_id } => {
                if code < 300 {
                    self.ack_success(response, now);
                    self.on_reanswer(&call_id, response);
                }
            }
            Purpose::Other => {}
        }
    }

    /// Repeats a challenged request with credentials, once (RFC 3261 §22.2).
    fn try_again(&mut self, pending: &Pending, response: &Message, code: u16) -> bool {
        let credentials = match &pending.purpose {
            Purpose::Register { credentials, .. } => Some(credentials.clone()),
            Purpose::Invite { credentials, .. } => credentials.clone(),
            Purpose::Reinvite { .. } | Purpose::Other => None,
        };
        let Some(credentials) = credentials.filter(|_| pending.tries < 2) else { return false };
        let (ask, answer) = if code == 401 {
            ("WWW-Authenticate", "Authorization")
        } else {
            ("Proxy-Authenticate", "Proxy-Authorization")
        };
        let challenges: Vec<&str> = response.all(ask).collect();
        let uri = pending.request.uri().unwrap_or_default();
        let value = digest::answer(&challenges, &credentials, &pending.method, uri, 1);
        let Some(value) = value else { return false };
        let fresh = self.request(&pending.method, uri);
        let mut next = pending.request.clone();
        next.headers.retain(|(name, _)| name != "Via" && name != answer && name != "Max-Forwards");
        let (number, method) = next.cseq().unwrap_or((1, pending.method.clone()));
        for (name, old) in &mut next.headers {
            if name == "CSeq" {
                *old = format!("{} {method}", number + 1);
            }
        }
        next.headers.splice(0..0, fresh.headers);
        let next = next.with(answer, value);
        let purpose = match &pending.purpose {
            Purpose::Register { ticket, .. } => {
                Purpose::Register { ticket: *ticket, credentials: credentials.clone() }
            }
            _ => {
                let call_id = next.call_id().to_owned();
                if let Some(call) = self.calls.iter_mut().find(|call| call.id == call_id) {
                    call.cseq = number + 1;
                    call.invite = next.clone();
                }
                Purpose::Invite { call_id, credentials: Some(credentials) }
            }
        };
        self.begin(pending.peer, next, purpose, pending.tries + 1);
        true
    }

    fn on_progress(&mut self, response: &Message) {
        let speaks = self.behaviour.speaks;
        if let Some(call) = self.calls.iter_mut().find(|call| call.id == response.call_id())
            && let Some(far) = Audio::parse(&response.body)
        {
            call.far = Some(far);
            call.speak(speaks);
        }
    }

    fn on_final(&mut self, call_id: &str, response: &Message, code: u16, now: Instant) {
        let behaviour = self.behaviour.clone();
        let Some(call) = self.calls.iter_mut().find(|call| call.id == call_id) else { return };
        if code >= 300 {
            return call.down(&code.to_string(), now);
        }
        let value = |name| response.header(name).unwrap_or_default().to_owned();
        call.remote = value("To");
        call.target = uri_of(&value("Contact")).to_owned();
        call.routes = response
            .all("Record-Route")
            .flat_map(|v| v.split(','))
            .map(|v| v.trim().into())
            .collect();
        call.routes.reverse();
        if let Some(far) = Audio::parse(&response.body) {
            call.far = Some(far);
        }
        call.speak(behaviour.speaks);
        call.state = CallState::Up;
        call.answered = Some(now);
        call.plan.extend(behaviour.hang_up_after.map(|after| (now + after, Step::HangUp)));
        call.plan.extend(behaviour.keys.map(|(after, keys)| (now + after, Step::Press(keys))));
        self.ack_success(response, now);
    }

    fn on_reanswer(&mut self, call_id: &str, response: &Message) {
        let speaks = self.behaviour.speaks;
        if let Some(call) = self.calls.iter_mut().find(|call| call.id == call_id)
            && let Some(far) = Audio::parse(&response.body)
        {
            call.far = Some(far);
            call.speak(speaks);
        }
    }

    /// The ACK of a 2xx: a request of its own, along the route set (RFC 3261 §13.2.2.4).
    fn ack_success(&mut self, response: &Message, now: Instant) {
        let Some(index) = self.calls.iter().position(|call| call.id == response.call_id()) else {
            return;
        };
        let number = response.cseq().map_or(1, |(number, _)| number);
        let ack = self.inside(index, "ACK", number);
        let peer = self.next_hop(index);
        self.send(peer, &ack, now);
    }

    /// The ACK of a failure: same branch, part of the INVITE transaction (RFC 3261 §17.1.1.3).
    fn ack_failure(&mut self, pending: &Pending, response: &Message, now: Instant) {
        let uri = pending.request.uri().unwrap_or_default();
        let mut ack = Message { start: format!("ACK {uri} SIP/2.0"), ..Message::default() };
        for name in ["Via", "Max-Forwards", "Route", "From", "Call-ID"] {
            for value in pending.request.all(name) {
                ack = ack.with(name, value);
            }
        }
        let number = pending.request.cseq().map_or(1, |(number, _)| number);
        let ack = ack
            .with("To", response.header("To").unwrap_or_default())
            .with("CSeq", format!("{number} ACK"));
        self.send(pending.peer, &ack, now);
    }

    /// A request inside the dialog (RFC 3261 §12.2.1.1).
    fn inside(&self, index: usize, method: &str, number: u32) -> Message {
        let call = &self.calls[index];
        let mut request = self.request(method, &call.target);
        for route in &call.routes {
            request = request.with("Route", route.clone());
        }
        request
            .with("From", call.local.clone())
            .with("To", call.remote.clone())
            .with("Call-ID", call.id.clone())
            .with("CSeq", format!("{number} {method}"))
            .with("Contact", self.contact())
    }

    pub(crate) fn hang_up(&mut self, index: usize, now: Instant) {
        let call = &mut self.calls[index];
        match (call.state, call.incoming) {
            (CallState::Up | CallState::Answered, _) => {
                call.cseq += 1;
                let number = call.cseq;
                let bye = self.inside(index, "BYE", number);
                let peer = self.next_hop(index);
                self.calls[index].down("we hung up", now);
                self.begin(peer, bye, Purpose::Other, 0);
            }
            (CallState::Ringing, true) => self.step(index, Step::Reject(480, None), now),
            (CallState::Ringing, false) => {
                // RFC 3261 §9.1: same branch, no body; the 487 ends the call.
                let invite = call.invite.clone();
                let (peer, uri) = (call.peer, invite.uri().unwrap_or_default().to_owned());
                let mut cancel =
                    Message { start: format!("CANCEL {uri} SIP/2.0"), ..Message::default() };
                for name in ["Via", "Max-Forwards", "From", "To", "Call-ID"] {
                    cancel = cancel.with(name, invite.header(name).unwrap_or_default());
                }
                let number = invite.cseq().map_or(1, |(number, _)| number);
                let cancel = cancel.with("CSeq", format!("{number} CANCEL"));
                self.begin(peer, cancel, Purpose::Other, 0);
            }
            (CallState::Down, _) => {}
        }
    }

    pub(crate) fn reinvite(&mut self, index: usize, hold: bool) {
        let call = &mut self.calls[index];
        call.cseq += 1;
        let (number, call_id) = (call.cseq, call.id.clone());
        let body = call.describe(if hold { "sendonly" } else { "sendrecv" });
        let mut request =
            self.inside(index, "INVITE", number).with("Content-Type", "application/sdp");
        request.body = body;
        let peer = self.next_hop(index);
        self.begin(peer, request, Purpose::Reinvite { call_id }, 0);
    }

    pub(crate) fn hang_up_all(&mut self) {
        for index in 0..self.calls.len() {
            self.hang_up(index, Instant::now());
        }
    }

    pub(crate) fn hold_all(&mut self, on: bool) {
        for index in 0..self.calls.len() {
            self.step(index, Step::Hold(on), Instant::now());
        }
    }

    pub(crate) fn press(&mut self, keys: &str) {
        for index in 0..self.calls.len() {
            self.step(index, Step::Press(keys.to_owned()), Instant::now());
        }
    }
}
