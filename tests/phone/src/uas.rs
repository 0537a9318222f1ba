//! The called side: what the phone does with requests (RFC 3261 §8.2, §13.3, §17.2).

use std::net::SocketAddr;
use std::time::Instant;

use crate::message::{Message, address_of, tag_of, uri_of};
use crate::rtp::Media;
use crate::sdp::{Audio, mirrored};
use crate::ua::{Call, Core, Repeat, Step};
use crate::{Answer, Behaviour, CallState, random};

impl Core {
    pub(crate) fn on_request(&mut self, from: SocketAddr, request: &Message, now: Instant) {
        match request.method().unwrap_or_default() {
            "INVITE" => self.on_invite(from, request, now),
            "ACK" => self.on_ack(request, now),
            "CANCEL" => self.on_cancel(from, request, now),
            "BYE" => self.on_bye(from, request, now),
            "OPTIONS" | "NOTIFY" | "INFO" => self.answer(from, request, 200, "OK", now),
            _ => self.answer(from, request, 501, "Not Implemented", now),
        }
    }

    /// Answers a request other than INVITE, the same way each time it comes.
    fn answer(
        &mut self,
        from: SocketAddr,
        request: &Message,
        code: u16,
        reason: &str,
        now: Instant,
    ) {
        let key = format!("{}{:?}", request.branch().unwrap_or_default(), request.cseq());
        if let Some((_, bytes)) = self.answered.iter().find(|(known, _)| *known == key) {
            let bytes = bytes.clone();
            return self.send_bytes(from, &bytes, now);
        }
        let reply = request.reply(code, reason, &format!("{:x}", random()));
        let bytes = self.send(from, &reply, now);
        self.answered.push((key, bytes));
    }

    fn on_invite(&mut self, from: SocketAddr, request: &Message, now: Instant) {
        let known = self.calls.iter().position(|call| call.id == request.call_id());
        match known {
            None => self.on_new_invite(from, request, now),
            Some(index) if self.calls[index].invite.branch() == request.branch() => {
                if let Some(bytes) = self.calls[index].last_answer.clone() {
                    self.send_bytes(from, &bytes, now);
                }
            }
            Some(index) => self.on_reinvite(index, from, request, now),
        }
    }

    fn on_new_invite(&mut self, from: SocketAddr, request: &Message, now: Instant) {
        let tag = format!("{:012x}", random());
        let own = self.chosen.map(|chosen| chosen(called(request)));
        let behaviour = own.clone().unwrap_or_else(|| self.behaviour.clone());
        let far = self.heard_from(from, request);
        let ours: Vec<(u8, crate::Law)> =
            behaviour.laws.iter().map(|law| (law.payload_type(), *law)).collect();
        // RFC 3264 §6.1: the answer keeps the offerer's numbers and takes what both can.
        let laws = match &far {
            Some(far) => {
                let both = |law| ours.iter().any(|(_, mine)| *mine == law);
                far.laws.iter().copied().filter(|(_, law)| both(*law)).take(1).collect()
            }
            None => ours,
        };
        let event = match (&far, behaviour.event) {
            (Some(far), Some(_)) => far.event,
            (_, event) => event,
        };
        let value = |name| request.header(name).unwrap_or_default().to_owned();
        let mut call = Call {
            id: request.call_id().to_owned(),
            incoming: true,
            local: format!("{};tag={tag}", value("To")),
            remote: value("From"),
            tag,
            target: uri_of(&value("Contact")).to_owned(),
            routes: request
                .all("Record-Route")
                .flat_map(|v| v.split(','))
                .map(|v| v.trim().into())
                .collect(),
            peer: from,
            cseq: 100,
            state: CallState::Ringing,
            own,
            invite: request.clone(),
            last_answer: None,
            repeat: None,
            media: Media::open(self.link.local().ip(), behaviour.tone_hz).ok(),
            far,
            laws,
            event,
            version: 0,
            plan: plan(&behaviour, now),
            answered: None,
            ended: None,
            ended_by: String::new(),
            last_rtp: Default::default(),
        };
        if let Some(media) = &call.media {
            media.repeat(&behaviour.rhythm);
            media.say(&behaviour.speech);
        }
        if call.laws.is_empty() {
            call.plan = vec![(now, Step::Reject(488, None))];
        }
        self.calls.push(call);
        let index = self.calls.len() - 1;
        self.reply_invite(index, 100, "Trying", &[], Vec::new(), now);
    }

    /// Answers the INVITE of a call, and keeps the answer for its copies.
    fn reply_invite(
        &mut self,
        index: usize,
        code: u16,
        reason: &str,
        headers: &[(&str, String)],
        body: Vec<u8>,
        now: Instant,
    ) {
        let contact = self.contact();
        let call = &mut self.calls[index];
        let mut reply = call.invite.reply(code, reason, &call.tag);
        if code > 100 {
            reply = reply.with("Contact", contact);
        }
        for (name, value) in headers {
            reply = reply.with(name, value.clone());
        }
        if !body.is_empty() {
            reply = reply.with("Content-Type", "application/sdp");
            reply.body = body;
        }
        let peer = call.peer;
        let bytes = self.send(peer, &reply, now);
        let call = &mut self.calls[index];
        if code >= 200 {
            call.repeat = Some(Repeat::new(bytes.clone(), now));
        }
        call.last_answer = Some(bytes);
    }

    pub(crate) fn contact(&self) -> String {
        let transport = if self.link.reliable() { ";transport=tcp" } else { "" };
        format!("<sip:phone@{}{transport}>", self.link.local())
    }

    pub(crate) fn step(&mut self, index: usize, step: Step, now: Instant) {
        let speaks = self.behaviour(index).speaks;
        let state = self.calls[index].state;
        match step {
            Step::Ring if state == CallState::Ringing => {
                self.reply_invite(index, 180, "Ringing", &[], Vec::new(), now);
            }
            Step::Early if state == CallState::Ringing => {
                let body = self.calls[index].describe("sendrecv");
                self.calls[index].speak(speaks);
                self.reply_invite(index, 183, "Session Progress", &[], body, now);
            }
            Step::Answer if state == CallState::Ringing => {
                let call = &mut self.calls[index];
                let direction =
                    call.far.as_ref().map_or("sendrecv", |far| mirrored(&far.direction));
                let body = call.describe(direction);
                call.speak(speaks);
                call.state = CallState::Answered;
                call.answered = Some(now);
                self.reply_invite(index, 200, "OK", &[], body, now);
            }
            Step::Reject(code, cause) if state == CallState::Ringing => {
                let headers: Vec<_> = cause
                    .map(|cause| ("Reason", format!("Q.850;cause={cause}")))
                    .into_iter()
                    .collect();
                self.reply_invite(index, code, reason_of(code), &headers, Vec::new(), now);
                self.calls[index].down(&code.to_string(), now);
            }
            Step::HangUp => self.hang_up(index, now),
            Step::Hold(on) if state == CallState::Up => self.reinvite(index, on),
            Step::Press(keys) if state == CallState::Up => {
                if let Some(media) = &self.calls[index].media {
                    media.press(&keys);
                }
            }
            _ => {}
        }
    }

    /// The other side's description. To a far end that is beside the switch it may name the address that the
    /// world knows: then the sound is where the request came from.
    fn heard_from(&self, from: SocketAddr, request: &Message) -> Option<Audio> {
        let mut far = Audio::parse(&request.body)?;
        let here = || std::net::UdpSocket::bind((far.remote.ip(), 0)).is_ok();
        if self.chosen.is_some() && !here() {
            far.remote.set_ip(from.ip());
        }
        Some(far)
    }

    fn on_ack(&mut self, request: &Message, now: Instant) {
        let Some(index) = self.calls.iter().position(|call| call.id == request.call_id()) else {
            return;
        };
        let behaviour = self.behaviour(index);
        let far = self.heard_from(self.calls[index].peer, request);
        let call = &mut self.calls[index];
        call.repeat = None;
        if call.state != CallState::Answered {
            return;
        }
        call.state = CallState::Up;
        if let Some(far) = far {
            call.far = Some(far);
            call.speak(behaviour.speaks);
        }
        call.plan.extend(behaviour.hang_up_after.map(|after| (now + after, Step::HangUp)));
        call.plan.extend(behaviour.keys.map(|(after, keys)| (now + after, Step::Press(keys))));
        if let Some((hold, resume)) = behaviour.hold {
            call.plan.push((now + hold, Step::Hold(true)));
            call.plan.push((now + hold + resume, Step::Hold(false)));
        }
    }

    /// RFC 3261 §9.2: 200 to the CANCEL, 487 to the INVITE.
    fn on_cancel(&mut self, from: SocketAddr, request: &Message, now: Instant) {
        let branch = request.branch();
        let index = self
            .calls
            .iter()
            .position(|call| call.id == request.call_id() && call.invite.branch() == branch);
        let Some(index) = index else {
            return self.answer(from, request, 481, "Call/Transaction Does Not Exist", now);
        };
        self.answer(from, request, 200, "OK", now);
        if self.calls[index].state == CallState::Ringing {
            if self.behaviour.ignores_cancel {
                self.step(index, Step::Answer, now);
            } else {
                self.reply_invite(index, 487, "Request Terminated", &[], Vec::new(), now);
                self.calls[index].down("cancelled", now);
            }
        }
    }

    fn on_bye(&mut self, from: SocketAddr, request: &Message, now: Instant) {
        if self.behaviour.ignores_bye {
            return;
        }
        let theirs = request.header("From").and_then(tag_of).map(str::to_owned);
        let index = self.calls.iter().position(|call| {
            call.id == request.call_id() && tag_of(&call.remote) == theirs.as_deref()
        });
        match index {
            Some(index) => {
                self.answer(from, request, 200, "OK", now);
                self.calls[index].down("they hung up", now);
            }
            None => self.answer(from, request, 481, "Call/Transaction Does Not Exist", now),
        }
    }

    /// A re-INVITE by the other side: agreed with, whatever it says.
    fn on_reinvite(&mut self, index: usize, from: SocketAddr, request: &Message, now: Instant) {
        let speaks = self.behaviour(index).speaks;
        let far = self.heard_from(from, request);
        let call = &mut self.calls[index];
        if call.state == CallState::Down {
            return self.answer(from, request, 481, "Call/Transaction Does Not Exist", now);
        }
        call.invite = request.clone();
        call.peer = from;
        if let Some(contact) = request.header("Contact") {
            call.target = uri_of(contact).to_owned();
        }
        if let Some(far) = far {
            call.far = Some(far);
        }
        let direction = call.far.as_ref().map_or("sendrecv", |far| mirrored(&far.direction));
        let body = call.describe(direction);
        call.speak(speaks);
        self.reply_invite(index, 200, "OK", &[], body, now);
    }

    /// Where a request inside the dialog goes: the first route, else the target, else where it came from.
    pub(crate) fn next_hop(&self, index: usize) -> SocketAddr {
        let call = &self.calls[index];
        let to = call.routes.first().map_or(&*call.target, |route| uri_of(route));
        if self.link.reliable() || self.chosen.is_some() {
            call.peer
        } else {
            address_of(to).unwrap_or(call.peer)
        }
    }
}

/// What a call will see, and when.
fn plan(behaviour: &Behaviour, now: Instant) -> Vec<(Instant, Step)> {
    let mut plan = Vec::new();
    plan.extend(behaviour.ring_after.map(|after| (now + after, Step::Ring)));
    plan.extend(behaviour.early_media_after.map(|after| (now + after, Step::Early)));
    match behaviour.answer {
        Answer::After(after) => plan.push((now + after, Step::Answer)),
        Answer::Reject { after, code, cause } => {
            plan.push((now + after, Step::Reject(code, cause)));
        }
        Answer::Never | Answer::Off => {}
    }
    plan
}

/// Whom an INVITE is for: the user of its Request-URI.
fn called(request: &Message) -> &str {
    let uri = request.start.split(' ').nth(1).unwrap_or_default();
    let user = uri.split_once(':').map_or("", |(_, rest)| rest);
    user.split(['@', ';']).next().unwrap_or_default()
}

fn reason_of(code: u16) -> &'static str {
    match code {
        403 => "Forbidden",
        404 => "Not Found",
        408 => "Request Timeout",
        480 => "Temporarily Unavailable",
        484 => "Address Incomplete",
        486 => "Busy Here",
        488 => "Not Acceptable Here",
        503 => "Service Unavailable",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        _ => "No",
    }
}
