//! Far ends: carriers and phones that ring, answer, refuse, vanish, by the dice.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip::endpoint::{
    Answer, Credentials, Endpoint, EndpointConfig, Event, Flow, Invite, Listener, RequestId,
    SessionId, Transmit, Transport,
};
use sip::wire::{HeaderName, Message, Method, NameAddr, Uri};

use crate::net::Dice;

/// Something a far end will do to a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// 180.
    Ring,
    /// 183 with a description.
    Early,
    /// 200.
    Answer,
    /// A final refusal.
    Refuse(u16),
    /// BYE.
    HangUp,
    /// An offer: hold by re-INVITE, and back by UPDATE where the switch takes it.
    Hold,
    /// The same back to both ways.
    Resume,
    /// The answer to an offer of the switch.
    Agree,
    /// Its refusal.
    Decline,
    /// REFER: to a number, to a code, or to whom it has in another call.
    Transfer(Way),
    /// A caller that waits no longer.
    GiveUp,
    /// Never say or hear anything again in this session.
    Vanish,
}

/// Where a far end sends whom it talks with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// A mobile of the second carrier.
    Mobile(u32),
    /// Its own extension: the phones that belong to it.
    Office,
    /// To be parked.
    Park,
    /// Whomever it talks with in another call.
    Other,
}

#[derive(Debug)]
struct Session {
    port: u16,
    call_id: String,
    /// Answered and acknowledged.
    up: bool,
    /// It has said BYE, which is the end for it whatever becomes of that (RFC 3261 §15.1.1).
    hung_up: bool,
    /// It called us.
    caller: bool,
    /// The direction that answers the switch's latest offer.
    fits: &'static str,
}

/// What the far ends of a world can do besides calling and being called.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Skills {
    /// 100rel and PRACK (RFC 3262), as caller and as callee.
    pub reliable: bool,
    /// They agree to offers within a call, or take their time; else they refuse them.
    pub agrees: bool,
    /// Everybody answers, talks for a while and hangs up: what does not connect is the network's doing.
    pub steady: bool,
    /// One of them watches the office, and writes to it.
    pub watches: bool,
    /// They transfer, park, pick up and take calls, those that may not as well.
    pub transfers: bool,
}

/// A call that a far end makes.
#[derive(Clone, Debug)]
pub struct Dial {
    /// Where the switch is.
    pub to: SocketAddr,
    /// Request-URI.
    pub uri: Uri,
    /// From.
    pub from: NameAddr,
    /// Answers the switch's challenge.
    pub credentials: Option<Credentials>,
}

/// One far end.
#[derive(Debug)]
pub struct Far {
    /// Its address.
    pub at: SocketAddr,
    endpoint: Endpoint,
    skills: Skills,
    sessions: BTreeMap<SessionId, Session>,
    next_port: u16,
    /// Call-IDs that it plays dead for.
    dead: BTreeSet<String>,
    /// Media addresses that fell silent.
    pub vanished: BTreeSet<SocketAddr>,
    /// Things to do, and when from now.
    pub acts: Vec<(Duration, SessionId, Act)>,
}

impl Far {
    /// A far end at an address.
    #[must_use]
    pub fn new(at: SocketAddr, seed: [u8; 32], skills: Skills) -> Far {
        let config = EndpointConfig {
            listeners: vec![Listener { transport: Transport::Udp, bind: at, advertised: at }],
            seed,
            methods: vec![Method::Register, Method::Message],
            reliable: skills.reliable,
            ..EndpointConfig::default()
        };
        Far {
            at,
            endpoint: Endpoint::new(config),
            skills,
            sessions: BTreeMap::new(),
            next_port: 30_000,
            dead: BTreeSet::new(),
            vanished: BTreeSet::new(),
            acts: Vec::new(),
        }
    }

    /// A datagram arrived.
    pub fn handle(&mut self, now: Instant, from: SocketAddr, bytes: Bytes, dice: &mut Dice) {
        if let Some(id) = call_id(&bytes)
            && self.dead.contains(&id)
        {
            return;
        }
        self.endpoint.handle_message(now, Flow::udp(self.at, from), bytes);
        self.drain(now, dice);
    }

    /// Its timers.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        self.endpoint.poll_timeout().map(|(at, _)| at)
    }

    /// A timer came.
    pub fn handle_timeout(&mut self, now: Instant, dice: &mut Dice) {
        self.endpoint.handle_timeout(now);
        self.drain(now, dice);
    }

    /// What it sends.
    pub fn transmit(&mut self) -> Option<Transmit> {
        loop {
            let transmit = self.endpoint.poll_transmit()?;
            match call_id(&transmit.bytes) {
                Some(id) if self.dead.contains(&id) => {}
                _ => return Some(transmit),
            }
        }
    }

    /// Sessions it believes to be up, by Call-ID; those it plays dead for are not counted.
    #[must_use]
    pub fn up(&self) -> Vec<String> {
        self.sessions
            .values()
            .filter(|s| s.up && !s.hung_up && !self.dead.contains(&s.call_id))
            .map(|s| s.call_id.clone())
            .collect()
    }

    /// Calls that it was asked to take and neither took nor refused yet, by Call-ID.
    #[must_use]
    pub fn ringing(&self) -> Vec<String> {
        self.sessions
            .values()
            .filter(|s| !s.up && !s.caller && !self.dead.contains(&s.call_id))
            .map(|s| s.call_id.clone())
            .collect()
    }

    /// Calls the switch.
    pub fn dial(&mut self, now: Instant, dial: Dial, dice: &mut Dice) {
        self.next_port = 30_000 + (self.next_port + 2) % 20_000;
        let port = self.next_port;
        let session = self.endpoint.invite(
            now,
            Invite {
                to: NameAddr::new(dial.uri.clone()),
                uri: dial.uri,
                flow: Flow::udp(self.at, dial.to),
                from: dial.from,
                contact_user: "far".into(),
                headers: Vec::new(),
                sdp: description(self.at, port, "sendrecv"),
                credentials: dial.credentials,
                route: Vec::new(),
                keep_flow: false,
                reliable: self.skills.reliable,
                timers: None,
                edits: Vec::new(),
            },
        );
        let call_id = self.endpoint.call_id(session).unwrap_or_default().to_owned();
        self.enter(session, port, call_id, true);
        let patience = Duration::from_millis(u64::from(2_000 + dice.below(30_000)));
        if dice.chance(300) {
            self.acts.push((patience, session, Act::GiveUp));
        } else if dice.chance(50) {
            self.acts.push((patience, session, Act::Vanish));
        }
        self.drain(now, dice);
    }

    /// Does something it had planned.
    pub fn act(&mut self, now: Instant, id: SessionId, act: Act, dice: &mut Dice) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let sdp = description(self.at, session.port, "sendrecv");
        match act {
            Act::Ring => self.endpoint.provisional(now, id, 180, None),
            Act::Early => self.endpoint.provisional(now, id, 183, Some(sdp)),
            Act::Answer => {
                session.up = true;
                self.endpoint.accept(now, id, sdp, Vec::new());
            }
            Act::Refuse(code) => {
                self.sessions.remove(&id);
                let mut headers = Vec::new();
                if code == 503 && dice.chance(500) {
                    headers.push(("Retry-After".to_owned(), b"20".to_vec()));
                }
                self.endpoint.reject(now, id, code, headers);
            }
            Act::HangUp => {
                // One that is not up is refused, and goes on ringing until that is heard.
                session.hung_up = session.up;
                self.endpoint.bye(now, id, None);
            }
            // A 200 may have come first.
            Act::GiveUp if session.up => {}
            Act::GiveUp => self.endpoint.cancel(now, id, None),
            Act::Hold => {
                let hold = description(self.at, session.port, "sendonly");
                self.endpoint.reinvite(now, id, hold);
            }
            Act::Resume => {
                if !self.endpoint.update(now, id, &sdp) {
                    self.endpoint.reinvite(now, id, sdp);
                }
            }
            Act::Agree => {
                let answer = description(self.at, session.port, session.fits);
                self.endpoint.accept_reinvite(now, id, answer);
            }
            Act::Transfer(way) => self.transfer(now, id, way),
            Act::Decline => self.endpoint.reject_reinvite(now, id, 488),
            Act::Vanish => {
                self.vanished.insert(SocketAddr::new(self.at.ip(), session.port));
                self.dead.insert(session.call_id.clone());
            }
        }
        self.drain(now, dice);
    }

    fn transfer(&mut self, now: Instant, id: SessionId, way: Way) {
        let realm = crate::settings::REALM;
        let to = match way {
            Way::Mobile(n) => format!("<sip:+86139{n:08}@{realm}>"),
            Way::Office => format!("<sip:{}@{realm}>", crate::settings::EXTENSION),
            Way::Park => format!("<sip:*70@{realm}>"),
            Way::Other => {
                let others = self.sessions.iter().filter(|(other, row)| **other != id && row.up);
                let mut named = others.filter_map(|(other, _)| self.endpoint.name_of(*other));
                let Some(named) = named.next() else { return };
                format!(
                    "<sip:x@{realm}?Replaces={}%3Bto-tag%3D{}%3Bfrom-tag%3D{}>",
                    named.call_id, named.to_tag, named.from_tag
                )
            }
        };
        self.endpoint.refer(now, id, &to);
    }

    fn drain(&mut self, now: Instant, dice: &mut Dice) {
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::Invite { session, request, .. } => {
                    self.next_port = 30_000 + (self.next_port + 2) % 20_000;
                    let call_id = request.call_id().unwrap_or_default().to_owned();
                    let port = self.next_port;
                    self.enter(session, port, call_id, false);
                    self.plan(session, dice);
                }
                Event::Acked { session, .. } => self.plan_talk(session, dice),
                Event::Answered { session, .. } => {
                    if let Some(session) = self.sessions.get_mut(&session) {
                        session.up = true;
                    }
                    self.plan_talk(session, dice);
                }
                Event::Reinvite { session, sdp, .. } => self.offered(session, sdp.as_ref(), dice),
                Event::Request { id, request, .. } => self.asked(now, id, &request, dice),
                Event::Failed { session, .. }
                | Event::Cancelled { session, .. }
                | Event::Ended { session, .. }
                | Event::ByeDone { session } => {
                    self.sessions.remove(&session);
                }
                _ => {}
            }
        }
    }

    fn enter(&mut self, id: SessionId, port: u16, call_id: String, caller: bool) {
        let session =
            Session { port, call_id, up: false, hung_up: false, caller, fits: "sendrecv" };
        self.sessions.insert(id, session);
    }

    /// An offer of the switch within a call, or before its answer.
    fn offered(&mut self, id: SessionId, sdp: Option<&Bytes>, dice: &mut Dice) {
        let said = sdp.map(|sdp| String::from_utf8_lossy(sdp).into_owned()).unwrap_or_default();
        if let Some(session) = self.sessions.get_mut(&id) {
            session.fits = match () {
                () if said.contains("a=sendonly") => "recvonly",
                () if said.contains("a=recvonly") => "sendonly",
                () if said.contains("a=inactive") => "inactive",
                () => "sendrecv",
            };
        }
        let soon = Duration::from_millis(u64::from(5 + dice.below(400)));
        match dice.below(100) {
            _ if !self.skills.agrees => self.acts.push((Duration::ZERO, id, Act::Decline)),
            0..=79 => self.acts.push((soon, id, Act::Agree)),
            80..=89 => self.acts.push((soon, id, Act::Decline)),
            // Longer than an UPDATE may wait (RFC 3311 §5.2), and more than its sender does.
            _ => self.acts.push((soon + Duration::from_secs(10), id, Act::Agree)),
        }
    }

    /// REGISTER, OPTIONS and MESSAGE of the switch, which are granted mostly.
    fn asked(&mut self, now: Instant, id: RequestId, request: &Message, dice: &mut Dice) {
        let mut headers = Vec::new();
        let registers = request.method() == Some(&Method::Register);
        let code = match registers {
            true if dice.chance(100) => 403,
            false if dice.chance(350) => 503,
            _ => 200,
        };
        if registers && code == 200 {
            let contact = request.header(HeaderName::Contact).unwrap_or_default().to_vec();
            headers.push(("Contact".to_owned(), contact));
            let expires = request.header(HeaderName::Expires).unwrap_or(b"60").to_vec();
            headers.push(("Expires".to_owned(), expires));
        }
        let answer = Answer { code, headers, ..Answer::default() };
        self.endpoint.respond(now, id, answer);
    }

    /// What the person does about a ringing phone.
    fn plan(&mut self, session: SessionId, dice: &mut Dice) {
        let ms = |low: u32, high: u32, dice: &mut Dice| {
            Duration::from_millis(u64::from(low + dice.below(high - low)))
        };
        let ring = ms(10, 800, dice);
        let later = ring + ms(100, 8_000, dice);
        match dice.below(100) {
            _ if self.skills.steady => {
                self.acts.push((ring, session, Act::Ring));
                self.acts.push((later, session, Act::Answer));
            }
            0..=59 => {
                let first = if dice.chance(250) { Act::Early } else { Act::Ring };
                self.acts.push((ring, session, first));
                self.acts.push((later, session, Act::Answer));
            }
            60..=64 => self.acts.push((ring, session, Act::Answer)),
            65..=74 => self.acts.push((ring, session, Act::Refuse(486))),
            75..=79 => {
                self.acts.push((ring, session, Act::Ring));
                self.acts.push((later, session, Act::Refuse(603)));
            }
            80..=83 => self.acts.push((ring, session, Act::Refuse(404))),
            84..=86 => self.acts.push((ring, session, Act::Refuse(503))),
            87..=92 => self.acts.push((ring, session, Act::Ring)),
            93..=95 => self.acts.push((ring, session, Act::Vanish)),
            _ => {
                self.acts.push((ring, session, Act::Ring));
                self.acts.push((later, session, Act::Vanish));
            }
        }
    }

    /// What the person does once the call is up.
    fn plan_talk(&mut self, session: SessionId, dice: &mut Dice) {
        let talk = Duration::from_millis(u64::from(dice.below(150_000)));
        if self.skills.transfers && dice.chance(400) {
            let way = match dice.below(100) {
                0..=29 => Way::Mobile(dice.below(100_000_000)),
                30..=39 => Way::Office,
                40..=69 => Way::Park,
                _ => Way::Other,
            };
            self.acts.push((talk / 2, session, Act::Transfer(way)));
        }
        match dice.below(100) {
            // Later than the other one can still be ringing.
            _ if self.skills.steady => {
                self.acts.push((talk / 5 + Duration::from_secs(60), session, Act::HangUp));
            }
            0..=59 => self.acts.push((talk, session, Act::HangUp)),
            60..=69 => {
                self.acts.push((talk / 2, session, Act::Hold));
                if self.skills.agrees {
                    self.acts.push((talk * 3 / 4, session, Act::Resume));
                }
                self.acts.push((talk, session, Act::HangUp));
            }
            70..=76 => self.acts.push((talk, session, Act::Vanish)),
            _ => {}
        }
    }
}

/// The Call-ID of a message, without understanding it.
fn call_id(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    text.lines()
        .take_while(|line| !line.is_empty())
        .find_map(|line| line.strip_prefix("Call-ID: "))
        .map(|id| id.trim().to_owned())
}

fn description(at: SocketAddr, port: u16, direction: &str) -> Bytes {
    let ip = at.ip();
    Bytes::from(format!(
        "v=0\r\no=far 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na={direction}\r\n"
    ))
}
