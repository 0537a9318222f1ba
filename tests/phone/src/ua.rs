//! The phone's state: calls, requests under way, retransmissions, the log.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::link::Link;
use crate::message::Message;
use crate::rtp::{Media, RtpReport};
use crate::sdp::{self, Audio};
use crate::sound::Law;
use crate::{Account, Answer, Behaviour, CallReport, CallState, Credentials, Line, Report, random};

/// T1 and T2 of RFC 3261 §17.1.1.1.
pub(crate) const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
/// Answers that a far end keeps for copies of their requests.
const ANSWERED_MAX: usize = 1000;

pub(crate) struct Core {
    pub(crate) link: Link,
    pub(crate) behaviour: Behaviour,
    /// Of a far end: what it does with a call to a number.
    pub(crate) chosen: Option<fn(&str) -> Behaviour>,
    pub(crate) calls: Vec<Call>,
    pub(crate) pending: Vec<Pending>,
    pub(crate) watchers: Vec<mpsc::Sender<Line>>,
    pub(crate) tickets: BTreeMap<u64, u16>,
    log: Vec<Line>,
    seen: Vec<Vec<u8>>,
    /// Final answers to requests other than INVITE, repeated when the request is (RFC 3261 §17.2.2).
    pub(crate) answered: Vec<(String, Vec<u8>)>,
    next_ticket: u64,
    instance: u64,
}

/// A request of ours that waits for its final answer.
pub(crate) struct Pending {
    pub(crate) branch: String,
    pub(crate) method: String,
    pub(crate) request: Message,
    pub(crate) peer: SocketAddr,
    pub(crate) purpose: Purpose,
    pub(crate) tries: u32,
    pub(crate) repeat: Repeat,
}

pub(crate) enum Purpose {
    Register { ticket: u64, credentials: Credentials },
    Invite { call_id: String, credentials: Option<Credentials> },
    Reinvite { call_id: String },
    Other,
}

/// Sent again and again until something stops it.
pub(crate) struct Repeat {
    pub(crate) bytes: Vec<u8>,
    next: Instant,
    step: Duration,
    until: Instant,
}

impl Repeat {
    pub(crate) fn new(bytes: Vec<u8>, now: Instant) -> Repeat {
        Repeat { bytes, next: now + T1, step: T1, until: now + 64 * T1 }
    }

    /// No more copies; the wait goes on, three minutes at most.
    pub(crate) fn stop(&mut self) {
        self.until = self.until.max(Instant::now() + Duration::from_secs(180));
        self.next = self.until;
    }

    /// The bytes when a copy is due; `Err` when time is up.
    fn due(&mut self, now: Instant, reliable: bool) -> Result<Option<Vec<u8>>, ()> {
        if now >= self.until {
            return Err(());
        }
        if reliable || now < self.next {
            return Ok(None);
        }
        self.step = (self.step * 2).min(T2);
        self.next = now + self.step;
        Ok(Some(self.bytes.clone()))
    }
}

/// One dialog and what goes with it.
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) incoming: bool,
    /// From (or To) value of our side, with our tag.
    pub(crate) local: String,
    /// The other side's, with its tag once known.
    pub(crate) remote: String,
    pub(crate) tag: String,
    pub(crate) target: String,
    pub(crate) routes: Vec<String>,
    pub(crate) peer: SocketAddr,
    pub(crate) cseq: u32,
    pub(crate) state: CallState,
    /// What was chosen for it; the phone's own behaviour otherwise.
    pub(crate) own: Option<Behaviour>,
    pub(crate) invite: Message,
    pub(crate) last_answer: Option<Vec<u8>>,
    pub(crate) repeat: Option<Repeat>,
    pub(crate) media: Option<Media>,
    pub(crate) far: Option<Audio>,
    pub(crate) laws: Vec<(u8, Law)>,
    pub(crate) event: Option<u8>,
    pub(crate) version: u32,
    pub(crate) plan: Vec<(Instant, Step)>,
    pub(crate) answered: Option<Instant>,
    pub(crate) ended: Option<Instant>,
    pub(crate) ended_by: String,
    pub(crate) last_rtp: RtpReport,
}

/// Something a call will do at an instant.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Ring,
    Early,
    Answer,
    Reject(u16, Option<u8>),
    HangUp,
    Hold(bool),
    Press(String),
}

impl Call {
    /// It is over: silence, no plans.
    pub(crate) fn down(&mut self, how: &str, now: Instant) {
        if self.state == CallState::Down {
            return;
        }
        self.state = CallState::Down;
        self.ended = Some(now);
        how.clone_into(&mut self.ended_by);
        self.plan.clear();
        if let Some(media) = self.media.take() {
            media.mute();
            self.last_rtp = media.report();
        }
    }

    /// Our description in the given direction; the version rises with each (RFC 3264 §8).
    pub(crate) fn describe(&mut self, direction: &str) -> Vec<u8> {
        self.version += 1;
        let Some(media) = &self.media else { return Vec::new() };
        sdp::print(media.local(), self.version, &self.laws, self.event, direction)
    }

    /// Points our sound at what the far side described last.
    pub(crate) fn speak(&self, allowed: bool) {
        if let (Some(media), Some(far)) = (&self.media, &self.far) {
            media.agree(far, &self.laws, self.event, allowed);
        }
    }
}

impl Core {
    pub(crate) fn new(link: Link, behaviour: Behaviour) -> Core {
        Core {
            link,
            behaviour,
            chosen: None,
            calls: Vec::new(),
            pending: Vec::new(),
            watchers: Vec::new(),
            tickets: BTreeMap::new(),
            log: Vec::new(),
            seen: Vec::new(),
            answered: Vec::new(),
            next_ticket: 0,
            instance: random(),
        }
    }

    /// One round: messages, then whatever is due. True when a message was handled.
    pub(crate) fn turn(&mut self) -> bool {
        let now = Instant::now();
        let mut busy = false;
        for _ in 0..32 {
            let Some((from, bytes)) = self.link.receive() else { break };
            busy = true;
            if self.behaviour.answer == Answer::Off {
                continue;
            }
            if let Some(message) = Message::parse(&bytes) {
                self.note(false, from, &bytes, &message, now);
                if message.method().is_some() {
                    self.on_request(from, &message, now);
                } else {
                    self.on_response(&message, now);
                }
            }
        }
        self.repeat(now);
        self.carry_out(now);
        if self.chosen.is_some() {
            self.forget(now);
        }
        busy
    }

    fn repeat(&mut self, now: Instant) {
        let reliable = self.link.reliable();
        let mut due: Vec<(SocketAddr, Vec<u8>)> = Vec::new();
        for call in &mut self.calls {
            match call.repeat.as_mut().map(|repeat| repeat.due(now, reliable)) {
                Some(Ok(Some(bytes))) => due.push((call.peer, bytes)),
                Some(Err(())) => {
                    call.repeat = None;
                    if call.state == CallState::Answered {
                        call.down("no ACK", now);
                    }
                }
                _ => {}
            }
        }
        self.pending.retain_mut(|pending| match pending.repeat.due(now, reliable) {
            Ok(bytes) => {
                due.extend(bytes.map(|bytes| (pending.peer, bytes)));
                true
            }
            Err(()) => false,
        });
        for (peer, bytes) in due {
            self.send_bytes(peer, &bytes, now);
        }
    }

    /// What a call is treated by.
    pub(crate) fn behaviour(&self, index: usize) -> Behaviour {
        self.calls[index].own.clone().unwrap_or_else(|| self.behaviour.clone())
    }

    /// Copies of what is older are nobody's any more (RFC 3261 §17: 64 T1).
    fn forget(&mut self, now: Instant) {
        let young = |ended: Instant| now.duration_since(ended) < 64 * T1;
        self.calls.retain(|call| call.ended.is_none_or(young));
        let surplus = self.answered.len().saturating_sub(ANSWERED_MAX);
        self.answered.drain(..surplus);
    }

    fn carry_out(&mut self, now: Instant) {
        for index in 0..self.calls.len() {
            while let Some(at) = self.calls[index].plan.iter().position(|(when, _)| *when <= now) {
                let (_, step) = self.calls[index].plan.remove(at);
                self.step(index, step, now);
            }
        }
    }

    pub(crate) fn send(&mut self, peer: SocketAddr, message: &Message, now: Instant) -> Vec<u8> {
        let bytes = message.print();
        self.send_bytes(peer, &bytes, now);
        bytes
    }

    pub(crate) fn send_bytes(&mut self, peer: SocketAddr, bytes: &[u8], now: Instant) {
        if let Some(message) = Message::parse(bytes) {
            self.note(true, peer, bytes, &message, now);
        }
        // A message that cannot be sent is one that got lost: the timers take care of it.
        let _ = self.link.send(peer, bytes);
    }

    fn note(
        &mut self,
        sent: bool,
        peer: SocketAddr,
        bytes: &[u8],
        message: &Message,
        now: Instant,
    ) {
        if self.chosen.is_some() {
            return;
        }
        let again = self.seen.iter().any(|seen| seen == bytes);
        if !again {
            self.seen.push(bytes.to_vec());
        }
        let line = Line {
            at: now,
            sent,
            peer,
            again,
            what: match message.method() {
                Some(method) => method.to_owned(),
                None => message.start.trim_start_matches("SIP/2.0 ").to_owned(),
            },
            method: message.cseq().map(|(_, method)| method).unwrap_or_default(),
            call_id: message.call_id().to_owned(),
            sdp: !message.body.is_empty(),
            text: String::from_utf8_lossy(bytes).into_owned(),
        };
        self.watchers.retain(|watcher| watcher.send(line.clone()).is_ok());
        self.log.push(line);
    }

    pub(crate) fn report(&self) -> Report {
        let calls = self.calls.iter().map(|call| CallReport {
            call_id: call.id.clone(),
            remote: call.remote.clone(),
            state: call.state,
            answered: call.answered,
            ended: call.ended,
            ended_by: call.ended_by.clone(),
            rtp: call.media.as_ref().map_or_else(|| call.last_rtp.clone(), Media::report),
        });
        Report { log: self.log.clone(), calls: calls.collect() }
    }

    /// Registers; the ticket tells the outcome later.
    pub(crate) fn register(&mut self, account: &Account) -> io::Result<u64> {
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        let user = &account.credentials.user;
        let aor = format!("<sip:{user}@{}>", account.domain);
        let transport = if self.link.reliable() { ";transport=tcp" } else { "" };
        let request = self
            .request("REGISTER", &format!("sip:{}", account.domain))
            .with("From", format!("{aor};tag={:x}", random()))
            .with("To", aor)
            .with("Call-ID", format!("{:016x}@phone", self.instance))
            .with("CSeq", format!("{} REGISTER", ticket * 10))
            .with("Contact", format!("<sip:{user}@{}{transport}>", self.link.local()))
            .with("Expires", account.expires.to_string());
        let credentials = account.credentials.clone();
        self.begin(account.registrar, request, Purpose::Register { ticket, credentials }, 0);
        Ok(ticket)
    }

    pub(crate) fn outcome(&self, ticket: u64) -> Option<u16> {
        self.tickets.get(&ticket).copied()
    }

    /// A request with Via and Max-Forwards; the caller adds the rest.
    pub(crate) fn request(&self, method: &str, uri: &str) -> Message {
        let via = format!(
            "SIP/2.0/{} {};branch=z9hG4bK{:016x};rport",
            self.link.name(),
            self.link.local(),
            random()
        );
        Message { start: format!("{method} {uri} SIP/2.0"), ..Message::default() }
            .with("Via", via)
            .with("Max-Forwards", "70")
    }

    /// Sends a request and waits for its answer in the background.
    pub(crate) fn begin(
        &mut self,
        peer: SocketAddr,
        request: Message,
        purpose: Purpose,
        tries: u32,
    ) {
        let now = Instant::now();
        let bytes = self.send(peer, &request, now);
        self.pending.push(Pending {
            branch: request.branch().unwrap_or_default(),
            method: request.method().unwrap_or_default().to_owned(),
            request,
            peer,
            purpose,
            tries,
            repeat: Repeat::new(bytes, now),
        });
    }
}
