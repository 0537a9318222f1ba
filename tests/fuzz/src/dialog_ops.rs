//! The targets that play a whole life of an endpoint: far ends that answer and call, a user who
//! accepts, refuses, hangs up and offers anew, transports that fail, and time, in any order.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip::endpoint::{
    Answer, Credentials, Endpoint, EndpointConfig, Event, Flow, Invite, Limits, Listener,
    OutOfDialog, RequestId, SessionId, SubscriptionId, Transport,
};
use sip::wire::{Message, Method, NameAddr, Uri};

use crate::peer::Peer;
use crate::script::Script;

/// Operations of one run at most.
const OPS_MAX: usize = 96;
/// Messages that one operation may set free at most.
const SENT_MAX: usize = 64;
/// Timers that may fire in one wait.
const TIMERS_MAX: usize = 10_000;
/// Client transactions that one session can have at one time: its INVITE and CANCEL, and one BYE for
/// each branch of a fork, each of them challenged twice.
const CLIENTS_PER_SESSION: usize = 64;
/// What may go to a source that nobody accepted, for each byte that came from it (conformance §2
/// class 12), beyond what a status line and its headers take.
const AMPLIFIED_MAX: usize = 2;
/// Bytes that one answer may have beyond its request: status line, `received`, a To tag, Allow.
const ANSWER_ROOM: usize = 400;

/// Transactions first: requests, answers and copies, with a user who does the obvious.
pub fn transaction_ops(bytes: &[u8]) {
    story(bytes, false);
}

/// Dialogs: a user with a will of its own.
pub fn dialog_ops(bytes: &[u8]) {
    story(bytes, true);
}

/// Plays a script, with a user who has a will of its own or does the obvious, and tells what was seen
/// on the way, in words: what a corpus is worth.
pub fn story(bytes: &[u8], willful: bool) -> BTreeSet<String> {
    Life::new(bytes, willful).run()
}

struct Life<'a> {
    script: Script<'a>,
    willful: bool,
    now: Instant,
    endpoint: Endpoint,
    limits: Limits,
    local: SocketAddr,
    transport: Transport,
    peers: Vec<Peer>,
    stranger: Peer,
    /// Bytes of the datagram of a peer's that is being taken. One that bears the branch and the sent-by of a request of
    /// the stranger's is a copy of it (RFC 3261 §17.2.3) and is answered where that one was.
    copied: Option<usize>,
    /// Bytes that came from the stranger and that went to it, and its datagrams.
    account: (usize, usize, usize),
    /// Sessions whose last event has not come.
    live: BTreeSet<SessionId>,
    /// Incoming ones among them that the user answered.
    ours: BTreeMap<SessionId, bool>,
    seen: BTreeSet<SessionId>,
    requests: Vec<RequestId>,
    /// Subscriptions that are not over, and how many there were.
    watched: BTreeSet<SubscriptionId>,
    watches: usize,
    asked: usize,
    story: BTreeSet<String>,
}

impl<'a> Life<'a> {
    fn new(bytes: &'a [u8], willful: bool) -> Life<'a> {
        let mut script = Script::new(bytes);
        let local: SocketAddr = ([192, 0, 2, 1], 5060).into();
        let setup = script.byte();
        let transport = if setup & 1 == 0 { Transport::Udp } else { Transport::Tcp };
        let small = Limits {
            sessions_max: 4,
            server_transactions_max: 8,
            client_transactions_max: 8,
            forks_max: 2,
            datagram_max: if setup & 4 == 0 { 1300 } else { 400 },
            ..Limits::default()
        };
        let limits = if setup & 2 == 0 { Limits::default() } else { small };
        let listeners = [Transport::Udp, Transport::Tcp].map(|transport| Listener {
            transport,
            bind: local,
            advertised: local,
        });
        let endpoint = Endpoint::new(EndpointConfig {
            listeners: listeners.into(),
            engine: 1,
            seed: [1; 32],
            methods: vec![Method::Register, Method::Message, Method::Subscribe],
            limits: limits.clone(),
            ..EndpointConfig::default()
        });
        let peer = |last: u8| {
            let mut peer = Peer::new(([192, 0, 2, last], 5060).into(), local);
            peer.refers = setup & 8 != 0;
            peer
        };
        Life {
            script,
            willful,
            now: crate::endpoint::origin(),
            endpoint,
            limits,
            local,
            transport,
            peers: vec![peer(10), peer(11)],
            stranger: peer(66),
            copied: None,
            account: (0, 0, 0),
            live: BTreeSet::new(),
            ours: BTreeMap::new(),
            seen: BTreeSet::new(),
            requests: Vec::new(),
            watched: BTreeSet::new(),
            watches: 0,
            asked: 0,
            story: BTreeSet::new(),
        }
    }

    fn run(mut self) -> BTreeSet<String> {
        for _ in 0..OPS_MAX {
            if self.script.is_over() {
                break;
            }
            self.step();
            self.drain();
            self.check();
        }
        self.end();
        self.story
    }

    fn flow(&self, remote: SocketAddr) -> Flow {
        match self.transport {
            Transport::Udp => Flow::udp(self.local, remote),
            _ => {
                Flow { connection: Some(u64::from(remote.port())), ..Flow::tcp(self.local, remote) }
            }
        }
    }

    fn step(&mut self) {
        self.copied = None;
        match self.script.below(12) {
            0..=4 => self.hear(),
            5 => self.hear_stranger(),
            6 => self.wait(),
            7 if self.willful => self.wish(),
            7 | 8 => self.start(),
            9 if self.willful => self.wish(),
            9 => self.hear(),
            10 => self.fail(),
            _ => self.wish_new(),
        }
    }

    fn hear(&mut self) {
        let at = self.script.below(self.peers.len());
        let bytes = self.peers[at].speak(&mut self.script);
        let flow = self.flow(self.peers[at].at);
        self.copied = Some(bytes.len());
        self.endpoint.handle_message(self.now, flow, bytes);
    }

    fn hear_stranger(&mut self) {
        let bytes = self.stranger.speak(&mut self.script);
        self.account.0 += bytes.len();
        self.account.2 += 1;
        // Always by datagram: a stranger on a stream has proved its address.
        let flow = Flow::udp(self.local, self.stranger.at);
        self.endpoint.handle_message(self.now, flow, bytes);
    }

    /// Time goes by: to the next timer, some milliseconds, minutes, or late for all of them.
    fn wait(&mut self) {
        let until = match self.script.below(4) {
            0 => self.endpoint.poll_timeout().map_or(self.now, |(at, _)| at),
            1 => self.now + Duration::from_millis(u64::from(self.script.pair())),
            2 => self.now + Duration::from_secs(u64::from(self.script.byte())),
            _ => {
                // The process was asleep: everything is late.
                self.now += Duration::from_secs(u64::from(self.script.byte()));
                self.endpoint.handle_timeout(self.now);
                return;
            }
        };
        self.wait_until(until);
    }

    fn wait_until(&mut self, until: Instant) {
        for _ in 0..TIMERS_MAX {
            match self.endpoint.poll_timeout() {
                Some((at, _)) if at <= until => {
                    self.now = self.now.max(at);
                    self.endpoint.handle_timeout(self.now);
                    self.drain();
                    self.check();
                }
                _ => {
                    self.now = self.now.max(until);
                    return;
                }
            }
        }
        panic!("timers do not come to rest");
    }

    fn some_session(&mut self) -> Option<SessionId> {
        let at = self.script.below(self.live.len());
        self.live.iter().nth(at).copied()
    }

    fn sdp(&mut self) -> Bytes {
        let direction = self.script.pick(&["sendrecv", "sendonly"]);
        Bytes::from(format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
             m=audio 40000 RTP/AVP 8 0\r\na={direction}\r\n"
        ))
    }

    /// The user does something to a session.
    fn wish(&mut self) {
        let Some(id) = self.some_session() else { return };
        let now = self.now;
        match self.script.below(12) {
            0 | 1 => {
                let sdp = self.sdp();
                self.endpoint.accept(now, id, sdp, Vec::new());
            }
            2 => {
                let sdp = self.sdp();
                let code = self.script.pick(&[180, 183, 100, 199, 200]);
                self.endpoint.provisional(now, id, code, Some(sdp));
            }
            3 => {
                let code = self.script.pick(&[486, 401, 603, 200, 302]);
                let incoming = self.ours.contains_key(&id);
                self.endpoint.reject(now, id, code, Vec::new());
                if incoming && self.endpoint.call_id(id).is_none() {
                    // The session is gone, without an event.
                    self.live.remove(&id);
                }
            }
            4 | 5 => self.endpoint.bye(now, id, None),
            6 => self.endpoint.cancel(now, id, None),
            7 => {
                let sdp = if self.script.one_in(4) { Bytes::new() } else { self.sdp() };
                if sdp.is_empty() || !self.endpoint.update(now, id, &sdp) {
                    self.endpoint.reinvite(now, id, sdp);
                }
            }
            8 => {
                let sdp = self.sdp();
                self.endpoint.accept_reinvite(now, id, sdp);
            }
            9 => self.endpoint.reject_reinvite(now, id, 488),
            10 => {
                let sdp = self.sdp();
                self.endpoint.acknowledge(id, sdp);
            }
            _ => {
                // What is written down can be taken up by another process.
                if let Some(papers) = self.endpoint.snapshot(id) {
                    let mut next = Endpoint::new(EndpointConfig {
                        engine: 1,
                        seed: [2; 32],
                        ..EndpointConfig::default()
                    });
                    let resumed =
                        next.resume(now, &papers, |_| None).expect("papers that we wrote");
                    next.bye(now, resumed, None);
                    let sent = next.poll_transmit().expect("an end");
                    Message::parse(sent.bytes).expect("what an endpoint sends is a message");
                }
            }
        }
    }

    /// The user answers a request, or sends one.
    fn wish_new(&mut self) {
        let now = self.now;
        if let Some(id) = self.requests.pop() {
            let code = self.script.pick(&[200, 401, 404, 500]);
            self.endpoint.respond(now, id, Answer { code, ..Answer::default() });
            return;
        }
        let at = self.peers[0].at;
        self.asked += 1;
        let method = match self.script.below(4) {
            0 | 1 => Method::Options,
            2 => Method::Register,
            // Not to be had this way: answered with 503 by ourselves.
            _ => Method::Invite,
        };
        let (credentials, flow) = (self.credentials(), self.flow(at));
        self.endpoint.request(
            now,
            OutOfDialog {
                method,
                uri: uri(&format!("sip:{at}")),
                flow,
                from: name("<sip:us@192.0.2.1>"),
                to: name(&format!("<sip:{at}>")),
                headers: Vec::new(),
                body: None,
                credentials,
                series: None,
            },
        );
    }

    fn credentials(&mut self) -> Option<Credentials> {
        let realm = self.script.pick(&[Some("carrier"), None]);
        (!self.script.one_in(3)).then(|| Credentials {
            realm: realm.map(str::to_owned),
            username: "us".into(),
            password: "secret".into(),
        })
    }

    /// The user calls.
    fn start(&mut self) {
        let at = self.peers[self.script.below(self.peers.len())].at;
        let sdp = if self.script.one_in(4) { Bytes::new() } else { self.sdp() };
        let credentials = self.credentials();
        let route = if self.script.one_in(8) { vec![name("<sip:192.0.2.10;lr>")] } else { vec![] };
        let keep_flow = self.script.one_in(2);
        let invite = Invite {
            uri: uri(&format!("sip:+8613912345678@{at}")),
            flow: self.flow(at),
            from: name("<sip:+861053180002@192.0.2.1>"),
            to: name(&format!("<sip:+8613912345678@{at}>")),
            contact_user: "us".into(),
            headers: Vec::new(),
            sdp,
            credentials,
            route,
            keep_flow,
            reliable: keep_flow,
            timers: None,
            edits: Vec::new(),
        };
        let id = self.endpoint.invite(self.now, invite);
        assert!(self.seen.insert(id), "a session id is used twice");
        self.live.insert(id);
    }

    fn fail(&mut self) {
        let at = self.peers[self.script.below(self.peers.len())].at;
        let flow = match self.script.below(3) {
            0 => Flow::udp(self.local, at),
            1 => Flow::tcp(self.local, at),
            _ => self.flow(at),
        };
        self.endpoint.handle_flow_error(self.now, flow);
    }

    /// Everything that the endpoint has to say.
    fn drain(&mut self) {
        for _ in 0..SENT_MAX {
            while let Some(event) = self.endpoint.poll_event() {
                self.event(&event);
            }
            let Some(transmit) = self.endpoint.poll_transmit() else { return };
            let message = Message::parse(transmit.bytes.clone())
                .expect("what an endpoint sends is a message");
            self.story.insert(crate::engine_ops::label(&message));
            if !message.is_request() {
                // A request without a CSeq is refused by an answer without one.
                let ack = message.cseq().is_ok_and(|cseq| cseq.method == Method::Ack);
                // One whose method is not the one of its CSeq is no ACK, and is told so.
                assert!(
                    !ack || message.status() == Some(400),
                    "an ACK was answered (RFC 3261 §17)"
                );
            }
            let remote = transmit.flow.remote;
            if remote.ip() == self.stranger.at.ip() {
                if let Some(bytes) = self.copied.take() {
                    self.account.0 += bytes;
                    self.account.2 += 1;
                }
                self.account.1 += transmit.bytes.len();
                self.stranger.saw(&message);
            }
            for peer in &mut self.peers {
                if peer.at == remote {
                    peer.saw(&message);
                }
            }
        }
        panic!("one operation set free more than {SENT_MAX} messages");
    }

    fn event(&mut self, event: &Event) {
        let now = self.now;
        self.story.insert(kind(event));
        match *event {
            Event::Invite { session, flow, .. } => {
                assert!(self.seen.insert(session), "a session id is used twice");
                if flow.remote.ip() == self.stranger.at.ip() {
                    // Nobody knows it: it is turned away and nothing else.
                    self.endpoint.turn_away(now, session, 403, Vec::new());
                    return;
                }
                self.live.insert(session);
                self.ours.insert(session, false);
                if !self.willful {
                    let sdp = self.sdp();
                    self.endpoint.provisional(now, session, 180, None);
                    self.endpoint.accept(now, session, sdp, Vec::new());
                }
            }
            Event::Request { id, flow, .. } => {
                if flow.remote.ip() == self.stranger.at.ip() {
                    let answer = Answer { code: 405, ..Answer::default() };
                    self.endpoint.respond(now, id, answer);
                } else {
                    self.requests.push(id);
                }
            }
            Event::Message { id, session, .. } => {
                assert!(self.live.contains(&session), "news of what is over: {event:?}");
                self.requests.push(id);
                let body = ("text/plain", Bytes::from_static(b"so do I"));
                self.asked += usize::from(self.endpoint.message(now, session, &[], body).is_some());
            }
            Event::Subscribe { id, subscription, flow, .. } => {
                self.subscribed(id, subscription, flow);
            }
            Event::Notified { subscription, delivered } => {
                assert!(self.watched.contains(&subscription), "news of what is over: {event:?}");
                if !delivered {
                    self.endpoint.notify(now, subscription, None);
                }
            }
            Event::Unsubscribed { subscription } => {
                assert!(self.watched.remove(&subscription), "a second last event: {event:?}");
            }
            Event::Refer { id, session, .. } => {
                assert!(self.live.contains(&session), "news of what is over: {event:?}");
                let answer = Answer { code: 202, ..Answer::default() };
                self.endpoint.respond(now, id, answer);
                let states = ("refer", "terminated;reason=noresource");
                self.endpoint.notify_referrer(now, session, states, "SIP/2.0 503 Busy");
            }
            Event::Failed { session, .. }
            | Event::Cancelled { session, .. }
            | Event::Ended { session, .. }
            | Event::ByeDone { session } => {
                assert!(self.live.remove(&session), "a last event that is not the last: {event:?}");
            }
            // To a careful user only, which this one is not.
            Event::Again { .. } | Event::Gone { .. } => panic!("nobody asked for {event:?}"),
            Event::Trying { session }
            | Event::Progress { session, owed: false, .. }
            | Event::Answered { session, .. }
            | Event::Accepted { session }
            | Event::Acked { session, .. }
            | Event::Pracked { session, .. }
            | Event::Refreshed { session }
            | Event::ReinviteAnswered { session, .. }
            | Event::ReinviteFailed { session, .. }
            | Event::Info { session, .. } => {
                assert!(self.live.contains(&session), "news of what is over: {event:?}");
            }
            Event::Progress { session, ref to_tag, .. } => {
                assert!(self.live.contains(&session), "news of what is over: {event:?}");
                let sdp = self.sdp();
                self.endpoint.prack(now, session, to_tag, sdp);
            }
            Event::Refresh { session } => {
                assert!(self.live.contains(&session), "news of what is over: {event:?}");
                let sdp = self.sdp();
                self.endpoint.reinvite(now, session, sdp);
            }
            Event::Reinvite { session, .. } => {
                assert!(self.live.contains(&session), "news of what is over: {event:?}");
                if !self.willful {
                    self.endpoint.reject_reinvite(now, session, 488);
                }
            }
            Event::Response { .. } => {
                self.asked = self.asked.checked_sub(1).expect("one answer for each request");
            }
            Event::Relief { .. } => panic!("nobody is asked how it is: {event:?}"),
        }
    }

    /// The user lets people watch, whom it has seen before.
    fn subscribed(&mut self, id: RequestId, known: Option<SubscriptionId>, flow: Flow) {
        let now = self.now;
        let code = match known {
            _ if flow.remote.ip() == self.stranger.at.ip() => 401,
            None if self.willful && self.script.one_in(8) => 489,
            _ => 200,
        };
        if code != 200 {
            return self.endpoint.respond(now, id, Answer { code, ..Answer::default() });
        }
        let lasts = Duration::from_secs(30);
        let subscription = match known {
            Some(known) => self.endpoint.resubscribed(now, id, known, flow, lasts).then_some(known),
            None => self.endpoint.subscribed(now, id, flow, "dialog".into(), lasts),
        };
        let Some(subscription) = subscription else { return };
        if known.is_none() {
            assert!(self.watched.insert(subscription), "a subscription's id is used twice");
            self.watches += 1;
        }
        let body = Bytes::from_static(b"<dialog-info/>");
        self.endpoint.notify(now, subscription, Some(("application/dialog-info+xml", body)));
        if self.willful && self.script.one_in(4) {
            self.watched.remove(&subscription);
            self.endpoint.end_subscription(now, subscription, "deactivated", None);
        }
    }

    fn check(&mut self) {
        let (counts, limits) = (self.endpoint.counts(), &self.limits);
        let sessions = counts.sessions + counts.lingering;
        assert!(sessions <= limits.sessions_max, "{counts:?}");
        assert_eq!(counts.sessions, self.live.len(), "sessions and their last events");
        assert_eq!(counts.requests, self.asked);
        assert_eq!(counts.subscriptions, self.watched.len());
        let reserve = limits.server_transactions_max / 8;
        assert!(
            counts.server_transactions <= limits.server_transactions_max + reserve,
            "{counts:?}"
        );
        // Two NOTIFYs of each subscription: the last one waits for nobody.
        let clients = limits.client_transactions_max
            + CLIENTS_PER_SESSION * self.seen.len()
            + 2 * self.watches;
        assert!(counts.client_transactions <= clients, "{counts:?}");
        let rows = counts.client_transactions
            + counts.server_transactions
            + counts.subscriptions
            + sessions;
        assert!(counts.timers <= rows, "a timer of nobody: {counts:?}");
        assert!(counts.indexed <= counts.client_transactions + 2 * counts.server_transactions);
        let (heard, told, datagrams) = self.account;
        assert!(
            told <= AMPLIFIED_MAX * heard + ANSWER_ROOM * datagrams,
            "a stranger draws {told} bytes by {heard} in {datagrams} datagrams"
        );
    }

    /// Everybody falls silent and the user ends what there is: each transaction has 64·T1, and one
    /// more for what its end sets off (a BYE after the wait for an ACK; copies of a 2xx).
    fn end(&mut self) {
        for id in std::mem::take(&mut self.requests) {
            self.endpoint.respond(self.now, id, Answer { code: 500, ..Answer::default() });
        }
        for id in self.live.clone() {
            self.endpoint.bye(self.now, id, None);
        }
        for id in std::mem::take(&mut self.watched) {
            self.endpoint.end_subscription(self.now, id, "deactivated", None);
        }
        self.drain();
        self.check();
        self.wait_until(self.now + Duration::from_secs(64));
        let counts = self.endpoint.counts();
        assert_eq!(counts, sip::endpoint::Counts::default(), "left over after 2 * 64 * T1");
        assert_eq!(self.endpoint.poll_timeout(), None, "a timer is left");
        assert!(self.live.is_empty(), "sessions without a last event: {:?}", self.live);
    }
}

fn uri(text: &str) -> Uri {
    Uri::parse(text).expect("written here")
}

fn name(text: &str) -> NameAddr {
    NameAddr::parse(text.as_bytes()).expect("written here")
}

/// What kind of event it is, in a word or two.
fn kind(event: &Event) -> String {
    let text = format!("{event:?}");
    let name = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    match event {
        Event::Failed { code, crossed: true, .. } => format!("crossed {code}"),
        Event::Failed { code, .. } => format!("{name} {code}"),
        Event::Ended { cause, .. } => format!("{name} {cause:?}"),
        _ => name.to_owned(),
    }
}
