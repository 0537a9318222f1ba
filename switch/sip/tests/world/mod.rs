//! Two endpoints, a network between them that can lose and reorder, and one virtual clock.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test harness of which each test binary uses its own part"
)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip::endpoint::{
    Endpoint, EndpointConfig, Event, Flow, Invite, Listener, SessionId, Transport,
};
use sip::wire::{Message, Method, NameAddr, Uri};

pub const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n\
                         m=audio 4000 RTP/AVP 0\r\n";
pub const ANSWER: &str = "v=0\r\no=- 1 1 IN IP4 10.0.0.2\r\ns=-\r\nc=IN IP4 10.0.0.2\r\nt=0 0\r\n\
                          m=audio 5000 RTP/AVP 0\r\n";

#[allow(clippy::disallowed_methods, reason = "tests need one instant to count from")]
pub fn epoch() -> Instant {
    Instant::now()
}

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub const A: &str = "10.0.0.1:5060";
pub const B: &str = "10.0.0.2:5060";

pub fn config(bind: &str, engine: u8) -> EndpointConfig {
    let bind = address(bind);
    let listener = |transport| Listener { transport, bind, advertised: bind };
    EndpointConfig {
        listeners: vec![listener(Transport::Udp), listener(Transport::Tcp)],
        engine,
        seed: [engine; 32],
        user_agent: "Tandem".into(),
        methods: vec![Method::Register, Method::Message, Method::Subscribe],
        ..EndpointConfig::default()
    }
}

pub fn name(uri: &str) -> NameAddr {
    NameAddr::new(Uri::parse(uri).unwrap())
}

pub fn invite(flow: Flow) -> Invite {
    Invite {
        uri: Uri::parse("sip:bob@10.0.0.2").unwrap(),
        flow,
        from: name("sip:alice@10.0.0.1"),
        to: name("sip:bob@10.0.0.2"),
        contact_user: "alice".into(),
        headers: Vec::new(),
        sdp: Bytes::from_static(OFFER.as_bytes()),
        credentials: None,
        route: Vec::new(),
        keep_flow: false,
        reliable: false,
        timers: None,
        edits: Vec::new(),
    }
}

pub fn parse(bytes: &Bytes) -> Message {
    Message::parse(bytes.clone()).unwrap()
}

/// A short name of a message: `INVITE`, `ACK`, `200 INVITE`.
pub fn label(message: &Message) -> String {
    match message.status() {
        None => message.method().unwrap().to_string(),
        Some(code) => format!("{code} {}", message.cseq().unwrap().method),
    }
}

/// One endpoint whose peer is the test: what it sends is read, what it gets is written by hand.
pub struct Alone {
    pub start: Instant,
    pub now: Instant,
    pub endpoint: Endpoint,
    /// Milliseconds since the start, the flow, the message.
    pub sent: Vec<(u128, Flow, Message)>,
    pub events: Vec<Event>,
}

impl Alone {
    pub fn new() -> Alone {
        Alone::with(config(A, 1))
    }

    pub fn with(config: EndpointConfig) -> Alone {
        let start = epoch();
        Alone {
            start,
            now: start,
            endpoint: Endpoint::new(config),
            sent: Vec::new(),
            events: Vec::new(),
        }
    }

    pub fn drain(&mut self) {
        let at = (self.now - self.start).as_millis();
        while let Some(transmit) = self.endpoint.poll_transmit() {
            self.sent.push((at, transmit.flow, parse(&transmit.bytes)));
        }
        while let Some(event) = self.endpoint.poll_event() {
            self.events.push(event);
        }
    }

    /// Lets time pass up to this many milliseconds since the start, serving each deadline.
    pub fn run_to(&mut self, at: u64) {
        let end = self.start + ms(at);
        while let Some((due, why)) = self.endpoint.poll_timeout() {
            if due > end {
                break;
            }
            assert!(!why.is_empty(), "a deadline has a name");
            self.now = self.now.max(due);
            self.endpoint.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    pub fn wait(&mut self, millis: u64) {
        let at = (self.now - self.start).as_millis() as u64 + millis;
        self.run_to(at);
    }

    pub fn receive_over(&mut self, flow: Flow, text: impl AsRef<[u8]>) {
        self.endpoint.handle_message(self.now, flow, Bytes::copy_from_slice(text.as_ref()));
        self.drain();
    }

    pub fn receive(&mut self, text: impl AsRef<[u8]>) {
        self.receive_over(udp(), text);
    }

    pub fn call(&mut self) -> SessionId {
        self.call_with(invite(udp()))
    }

    pub fn call_with(&mut self, wish: Invite) -> SessionId {
        let session = self.endpoint.invite(self.now, wish);
        self.drain();
        session
    }

    /// All messages with this label, with their instants.
    pub fn sent(&self, what: &str) -> Vec<(u128, Flow, Message)> {
        self.sent.iter().filter(|(_, _, message)| label(message) == what).cloned().collect()
    }

    pub fn times(&self, what: &str) -> Vec<u128> {
        self.sent(what).into_iter().map(|(at, ..)| at).collect()
    }

    pub fn last(&self, what: &str) -> Message {
        self.sent(what).pop().unwrap_or_else(|| panic!("no {what} in {:?}", self.labels())).2
    }

    pub fn labels(&self) -> Vec<String> {
        self.sent.iter().map(|(_, _, message)| label(message)).collect()
    }

    pub fn take_labels(&mut self) -> Vec<String> {
        let labels = self.labels();
        self.sent.clear();
        labels
    }

    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// After the last deadline nothing is left.
    pub fn assert_empty_after(&mut self, millis: u64) {
        self.wait(millis);
        let counts = self.endpoint.counts();
        assert_eq!(counts, sip::endpoint::Counts::default(), "left behind");
        assert_eq!(self.endpoint.poll_timeout(), None);
    }
}

pub fn udp() -> Flow {
    Flow::udp(address(A), address(B))
}

pub fn tcp(connection: Option<u64>) -> Flow {
    Flow { transport: Transport::Tcp, local: address(A), remote: address(B), connection }
}

/// An answer to this request as a peer writes it.
pub fn answer(request: &Message, code: u16, tag: &str, extra: &str, body: &str) -> String {
    let mut text = format!("SIP/2.0 {code} Whatever\r\n");
    for (name, written, value) in request.fields() {
        use sip::wire::HeaderName as N;
        if matches!(name, N::Via | N::From | N::To | N::CallId | N::CSeq) {
            let tagged = name == N::To && !tag.is_empty() && request.to().unwrap().tag().is_none();
            text.push_str(&format!(
                "{}: {}{}\r\n",
                String::from_utf8_lossy(written),
                String::from_utf8_lossy(value),
                if tagged { format!(";tag={tag}") } else { String::new() }
            ));
        }
    }
    text.push_str(extra);
    if !body.is_empty() {
        text.push_str("Content-Type: application/sdp\r\n");
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    text
}

/// A 200 with a Contact and an answer.
pub fn ok(request: &Message, tag: &str) -> String {
    answer(request, 200, tag, "Contact: <sip:bob@10.0.0.2:5060>\r\n", ANSWER)
}

/// A request of the peer outside of a dialog.
pub fn request(method: &str, branch: &str, extra: &str, body: &str) -> String {
    let content = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "{method} sip:alice@10.0.0.1 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK{branch};rport\r\n\
         Max-Forwards: 70\r\nFrom: \"B\" <sip:bob@10.0.0.2>;tag=theirs\r\n\
         To: <sip:alice@10.0.0.1>\r\nCall-ID: call-{branch}\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:bob@10.0.0.2:5060>\r\n{extra}{content}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A request of the peer within the dialog of `ours`, one of our messages in it.
pub fn within(ours: &Message, method: &str, cseq: u32, branch: &str, extra: &str) -> String {
    within_with(ours, method, cseq, branch, extra, "")
}

pub fn within_with(
    ours: &Message,
    method: &str,
    cseq: u32,
    branch: &str,
    extra: &str,
    body: &str,
) -> String {
    // In a request of ours we are From, in an answer of ours we are To.
    let (us, them) = match ours.is_request() {
        true => (ours.from().unwrap(), ours.to().unwrap()),
        false => (ours.to().unwrap(), ours.from().unwrap()),
    };
    let content = if body.is_empty() || extra.contains("Content-Type") {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    format!(
        "{method} sip:alice@10.0.0.1 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK{branch};rport\r\n\
         Max-Forwards: 70\r\nFrom: {them}\r\nTo: {us}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n\
         {extra}{content}Content-Length: {}\r\n\r\n{body}",
        ours.call_id().unwrap(),
        body.len()
    )
}

/// The delays after which copies of a message from this end arrive; none: it is lost.
pub type Fate = Box<dyn FnMut(usize, &Message) -> Vec<Duration>>;

/// A network with two endpoints.
pub struct World {
    pub now: Instant,
    pub start: Instant,
    pub ends: [Endpoint; 2],
    pub events: [Vec<Event>; 2],
    /// Every message in the order of sending: who sent it, and what.
    pub log: Vec<(usize, String)>,
    wire: BTreeMap<(Instant, u64), (usize, Flow, Bytes)>,
    serial: u64,
    /// Decides what becomes of a message.
    pub fate: Fate,
}

impl World {
    pub fn new() -> World {
        World::with([config(A, 1), config(B, 2)])
    }

    pub fn with(configs: [EndpointConfig; 2]) -> World {
        let start = epoch();
        World {
            now: start,
            start,
            ends: configs.map(Endpoint::new),
            events: [Vec::new(), Vec::new()],
            log: Vec::new(),
            wire: BTreeMap::new(),
            serial: 0,
            fate: Box::new(|_, _| vec![ms(10)]),
        }
    }

    pub fn drain(&mut self) {
        for end in 0..2 {
            while let Some(transmit) = self.ends[end].poll_transmit() {
                let message = parse(&transmit.bytes);
                self.log.push((end, label(&message)));
                for delay in (self.fate)(end, &message) {
                    let flow = Flow {
                        local: transmit.flow.remote,
                        remote: transmit.flow.local,
                        ..transmit.flow
                    };
                    self.serial += 1;
                    let at = (self.now + delay, self.serial);
                    self.wire.insert(at, (1 - end, flow, transmit.bytes.clone()));
                }
            }
            while let Some(event) = self.ends[end].poll_event() {
                self.events[end].push(event);
            }
        }
    }

    /// The next thing that happens, if it does so before `end`. `false`: nothing does.
    pub fn step(&mut self, end: Instant) -> bool {
        let arrival = self.wire.keys().next().map(|(at, _)| *at);
        let timers = self.ends.iter().filter_map(Endpoint::poll_timeout).map(|(at, _)| at);
        let Some(next) = timers.chain(arrival).min().filter(|at| *at <= end) else {
            self.now = self.now.max(end);
            return false;
        };
        self.now = self.now.max(next);
        if arrival == Some(next)
            && let Some((_, (to, flow, bytes))) = self.wire.pop_first()
        {
            self.ends[to].handle_message(self.now, flow, bytes);
        } else {
            for endpoint in &mut self.ends {
                endpoint.handle_timeout(self.now);
            }
        }
        self.drain();
        true
    }

    pub fn run(&mut self, millis: u64) {
        let end = self.now + ms(millis);
        while self.step(end) {}
    }

    pub fn call(&mut self) -> SessionId {
        let session = self.ends[0].invite(self.now, invite(udp()));
        self.drain();
        session
    }

    /// The session that the second endpoint was told of last.
    pub fn called(&self) -> SessionId {
        self.events[1]
            .iter()
            .rev()
            .find_map(|event| match event {
                Event::Invite { session, .. } => Some(*session),
                _ => None,
            })
            .expect("no INVITE arrived")
    }

    pub fn assert_empty(&self) {
        for endpoint in &self.ends {
            assert_eq!(endpoint.counts(), sip::endpoint::Counts::default());
            assert_eq!(endpoint.poll_timeout(), None);
        }
    }
}

/// A short name of an event, for comparing sequences.
pub fn event_name(event: &Event) -> String {
    match event {
        Event::Invite { .. } => "invite".into(),
        Event::Relief { .. } => "relief".into(),
        Event::Trying { .. } => "trying".into(),
        Event::Again { .. } => "again".into(),
        Event::Gone { .. } => "gone".into(),
        Event::Progress { code, .. } => format!("progress {code}"),
        Event::Answered { .. } => "answered".into(),
        Event::Failed { code, local, crossed, .. } => format!(
            "failed {code}{}{}",
            if *local { " local" } else { "" },
            if *crossed { " crossed" } else { "" }
        ),
        Event::Accepted { .. } => "accepted".into(),
        Event::Acked { .. } => "acked".into(),
        Event::Cancelled { .. } => "cancelled".into(),
        Event::Reinvite { .. } => "reinvite".into(),
        Event::ReinviteAnswered { .. } => "reinvite answered".into(),
        Event::ReinviteFailed { code, .. } => format!("reinvite failed {code}"),
        Event::Pracked { .. } => "pracked".into(),
        Event::Refresh { .. } => "refresh".into(),
        Event::Refreshed { .. } => "refreshed".into(),
        Event::Info { .. } => "info".into(),
        Event::Ended { cause, .. } => format!("ended {cause:?}"),
        Event::ByeDone { .. } => "bye done".into(),
        Event::Request { .. } => "request".into(),
        Event::Refer { .. } => "refer".into(),
        Event::Message { .. } => "message".into(),
        Event::Subscribe { .. } => "subscribe".into(),
        Event::Notified { .. } => "notified".into(),
        Event::Unsubscribed { .. } => "unsubscribed".into(),
        Event::Response { code, .. } => format!("response {code}"),
    }
}

pub fn names(events: &[Event]) -> Vec<String> {
    events.iter().map(event_name).collect()
}
